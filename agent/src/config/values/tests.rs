//! Spans, sizes and addresses as people write them.

use proptest::prelude::*;

use super::*;

fn span(text: &str) -> Result<u64, String> {
    text.parse::<Span>().map(|span| u64::try_from(span.0.as_millis()).unwrap())
}

#[test]
fn durations_are_read_as_prometheus_reads_them() {
    for (text, milliseconds) in [
        ("0", 0),
        ("0s", 0),
        ("10s", 10_000),
        ("1h30m", 5_400_000),
        ("500ms", 500),
        ("1d", 86_400_000),
        ("1y2w", 32_745_600_000),
    ] {
        assert_eq!(span(text), Ok(milliseconds), "{text}");
    }
}

#[test]
fn a_duration_that_is_none_is_refused() {
    assert_eq!(span("10").unwrap_err(), "has no unit; put `s` after it for seconds");
    for text in ["", "s", "10 s", "1.5h", "1m1h", "1s1s", "-1s", "10S", "1e3s", "10seconds", "ten"] {
        assert_eq!(
            span(text).unwrap_err(),
            "is not a duration; write it as `10s`, `1h30m` or `500ms`",
            "{text}"
        );
    }
    assert_eq!(span("99999999999999y").unwrap_err(), "is too long");
}

#[test]
fn sizes_count_in_steps_of_1024() {
    for (text, bytes) in [
        ("0", 0),
        ("1048576", 1 << 20),
        ("64MB", 64 << 20),
        ("64MiB", 64 << 20),
        ("64 mb", 64 << 20),
        ("64M", 64 << 20),
        ("1.5GB", 3 << 29),
        ("2TB", 2 << 40),
        ("1KB", 1024),
        ("7B", 7),
    ] {
        assert_eq!(text.parse(), Ok(Size(bytes)), "{text}");
    }
}

#[test]
fn a_size_that_is_none_is_refused() {
    for text in ["", "MB", "64XB", "-1", "1.MB", ".5MB", "1.2.3MB", "1e6", "64MBs", "0x10"] {
        let error = text.parse::<Size>().unwrap_err();
        assert_eq!(error, "is not a size; write it as `64MB`, `1.5GB` or a number of bytes", "{text}");
    }
    assert_eq!("99999999TB".parse::<Size>().unwrap_err(), "is too large");
}

#[test]
fn addresses_need_no_name_service() {
    for (text, address) in [
        ("127.0.0.1:9780", "127.0.0.1:9780"),
        ("[::1]:0", "[::1]:0"),
        ("localhost:80", "127.0.0.1:80"),
        (":9780", "0.0.0.0:9780"),
    ] {
        assert_eq!(text.parse(), Ok(Address(address.parse().unwrap())), "{text}");
    }
    for text in ["", "9780", "127.0.0.1", "web-1:80", "127.0.0.1:99999", "http://127.0.0.1:80", "::1:80x"] {
        text.parse::<Address>().unwrap_err();
    }
}

proptest! {
    #[test]
    fn what_is_printed_reads_back(milliseconds in any::<u64>(), bytes in any::<u64>()) {
        let span = Span(Duration::from_millis(milliseconds));
        prop_assert_eq!(span.to_string().parse(), Ok(span));
        prop_assert_eq!(Size(bytes).to_string().parse(), Ok(Size(bytes)));
    }

    #[test]
    fn any_text_is_taken(text in "([0-9a-zA-Z.: ]|\\PC)*") {
        let _ = (text.parse::<Span>(), text.parse::<Size>(), text.parse::<Address>());
    }
}
