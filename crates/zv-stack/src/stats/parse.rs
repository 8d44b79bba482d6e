//! Numbers out of the texts that the kernel writes. Nothing here allocates, and no text makes it panic.

use super::{Flow, Stall};

/// A version 1 limit above this is the kernel's way to write that there is none.
const NO_LIMIT: u64 = 1 << 60;

/// Returns the lines of a text without their ends.
pub(super) fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty())
}

/// Returns the words of a line.
pub(super) fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty())
}

/// Reads a number that stands alone.
pub(super) fn number(text: &[u8]) -> Option<u64> {
    let digits = text.trim_ascii();
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |number, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

/// Reads a limit: absent where there is none, in the words of either version.
pub(super) fn limit(text: &[u8]) -> Option<u64> {
    number(text).and_then(bound)
}

/// Returns a limit that is one.
pub(super) fn bound(limit: u64) -> Option<u64> {
    (limit < NO_LIMIT).then_some(limit)
}

/// Splits the lines of a file of `NAME NUMBER`; other lines are left out.
pub(super) fn fields(text: &[u8]) -> impl Iterator<Item = (&[u8], u64)> {
    lines(text).filter_map(|line| {
        let at = line.iter().position(|byte| *byte == b' ')?;
        Some((&line[..at], number(&line[at + 1..])?))
    })
}

/// Reads a file of pressures: the time in which some waited, and in which all did.
pub(super) fn stall(text: &[u8]) -> Option<Stall> {
    let total = |kind: &[u8]| {
        let line = lines(text).find(|line| words(line).next() == Some(kind))?;
        words(line).find_map(|word| number(word.strip_prefix(b"total=")?)).map(micros)
    };
    Some(Stall { some_seconds: total(b"some")?, full_seconds: total(b"full") })
}

/// Reads `cpu.max`: the quota, where there is one, and the period.
pub(super) fn quota(text: &[u8]) -> Option<(u64, u64)> {
    let mut words = words(text);
    words.next().and_then(number).zip(words.next().and_then(number))
}

/// A device by its numbers.
pub(super) type Numbers = (u32, u32);

/// Reads `MAJOR:MINOR`.
pub(super) fn device(word: &[u8]) -> Option<Numbers> {
    let at = word.iter().position(|byte| *byte == b':')?;
    let part = |text| number(text).and_then(|number| u32::try_from(number).ok());
    part(&word[..at]).zip(part(&word[at + 1..]))
}

/// Splits a version 1 file of block devices into device, operation and count; the sums over all are left out.
pub(super) fn operations(text: &[u8]) -> impl Iterator<Item = (Numbers, &[u8], u64)> {
    lines(text).filter_map(|line| {
        let mut words = words(line);
        Some((device(words.next()?)?, words.next()?, number(words.next()?)?))
    })
}

/// Splits one line of `io.stat` into its devices and their counters. Some kernels leave the line of a device without
/// counters open, and the next device follows in it.
pub(super) fn io_counters(line: &[u8]) -> impl Iterator<Item = (Numbers, &[u8], u64)> {
    let mut current = None;
    words(line).filter_map(move |word| match word.iter().position(|byte| *byte == b'=') {
        Some(at) => Some((current?, &word[..at], number(&word[at + 1..])?)),
        None => {
            current = device(word);
            None
        }
    })
}

/// Splits `/proc/PID/net/dev` into interfaces with what they received and transmitted.
pub(super) fn interfaces(text: &[u8]) -> impl Iterator<Item = (&[u8], Flow, Flow)> {
    lines(text).skip(2).filter_map(|line| {
        // A name may hold a colon itself; the counters never do.
        let at = line.iter().rposition(|byte| *byte == b':')?;
        let mut counters = words(&line[at + 1..]).map(number);
        let mut flow = |skip: usize| {
            let mut next = |skip: usize| counters.nth(skip).flatten();
            Some(Flow { bytes: next(skip)?, packets: next(0)?, errors: next(0)?, dropped: next(0)? })
        };
        Some((line[..at].trim_ascii(), flow(0)?, flow(4)?))
    })
}

/// Turns microseconds into seconds.
#[expect(clippy::cast_precision_loss, reason = "times of less than a century stay exact to the microsecond")]
pub(super) fn micros(micros: u64) -> f64 {
    micros as f64 / 1e6
}

/// Turns nanoseconds into seconds.
#[expect(clippy::cast_precision_loss, reason = "times of less than a century stay exact to the microsecond")]
pub(super) fn nanos(nanos: u64) -> f64 {
    nanos as f64 / 1e9
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_stand_alone() {
        let cases: [(&str, Option<u64>); 8] = [
            ("12\n", Some(12)),
            ("18446744073709551615", Some(u64::MAX)),
            ("18446744073709551616", None),
            ("", None),
            ("\n", None),
            ("max\n", None),
            ("-1\n", None),
            ("1 2", None),
        ];
        for (text, expected) in cases {
            assert_eq!(number(text.as_bytes()), expected, "{text:?}");
        }
        assert_eq!(limit(b"9223372036854771712\n"), None);
        assert_eq!(limit(b"67108864\n"), Some(67_108_864));
    }

    #[test]
    fn pressure_is_told_in_seconds() {
        let text = b"some avg10=0.00 avg60=0.00 avg300=0.00 total=1500000\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=250000\n";
        assert_eq!(stall(text), Some(Stall { some_seconds: 1.5, full_seconds: Some(0.25) }));
        assert_eq!(
            stall(b"some avg10=0.00 total=1\n"),
            Some(Stall { some_seconds: 1e-6, full_seconds: None })
        );
        assert_eq!(stall(b"full total=1\n"), None);
    }

    #[test]
    fn a_quota_without_a_bound_is_none() {
        assert_eq!(quota(b"50000 100000\n"), Some((50_000, 100_000)));
        assert_eq!(quota(b"max 100000\n"), None);
    }

    #[test]
    fn devices_may_share_a_line() {
        let line = b"253:10 253:9 8:0 rbytes=4096 wbytes=0 rios=1 wios=0 dbytes=0 dios=0";
        let all: Vec<_> = io_counters(line).collect();
        assert_eq!(all.len(), 6);
        assert_eq!(all[0], ((8, 0), &b"rbytes"[..], 4096));
        assert_eq!(io_counters(b"8:0 ").count(), 0);
    }

    #[test]
    fn interfaces_may_touch_their_first_counter_and_hold_a_colon() {
        let text = b"head\nhead\n    lo:  99   1 0 0 0 0 0 0 99 1 0 0 0 0 0 0\neth0:1:1500 10 1 2 0 0 0 0 2500 20 3 4 0 0 0 0\ncut: 1 2\n";
        let all: Vec<_> = interfaces(text).collect();
        assert_eq!(all.len(), 2);
        let (name, received, transmitted) = all[1];
        assert_eq!(name, b"eth0:1");
        assert_eq!(received, Flow { bytes: 1500, packets: 10, errors: 1, dropped: 2 });
        assert_eq!(transmitted, Flow { bytes: 2500, packets: 20, errors: 3, dropped: 4 });
    }

    proptest! {
        #[test]
        fn no_text_makes_a_parser_panic(text in proptest::collection::vec(any::<u8>(), 0..400)) {
            crate::fuzzing::kernel_counters(&text);
        }

        #[test]
        fn text_much_like_the_kernels_neither(text in "((some|full|8:0|253:1|rbytes=|total=|Read|max|eth0:|[0-9]{1,22})[ :=\n]){0,60}") {
            crate::fuzzing::kernel_counters(text.as_bytes());
        }
    }
}
