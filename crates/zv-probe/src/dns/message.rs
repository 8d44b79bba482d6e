//! DNS messages: one question out, the records that answer it in.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

const HEADER: usize = 12;
const CLASS_IN: u16 = 1;
/// A name has at most 255 bytes, so at most 127 labels; a chain of pointers in it is no longer.
const MOST_POINTERS: usize = 127;
/// Records that are read of one answer.
const MOST_RECORDS: usize = 512;

/// A type of record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    A,
    Aaaa,
    Caa,
    Cname,
    Mx,
    Ns,
    Ptr,
    Soa,
    Srv,
    Txt,
}

const KINDS: [(Kind, &str, u16); 10] = [
    (Kind::A, "A", 1),
    (Kind::Aaaa, "AAAA", 28),
    (Kind::Caa, "CAA", 257),
    (Kind::Cname, "CNAME", 5),
    (Kind::Mx, "MX", 15),
    (Kind::Ns, "NS", 2),
    (Kind::Ptr, "PTR", 12),
    (Kind::Soa, "SOA", 6),
    (Kind::Srv, "SRV", 33),
    (Kind::Txt, "TXT", 16),
];

impl Kind {
    /// Returns the name as it is written in zone files.
    pub fn name(self) -> &'static str {
        self.row().1
    }

    fn number(self) -> u16 {
        self.row().2
    }

    fn row(self) -> (Kind, &'static str, u16) {
        KINDS.into_iter().find(|(kind, ..)| *kind == self).unwrap_or(KINDS[0])
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = KINDS.into_iter().find(|(_, name, _)| name.eq_ignore_ascii_case(text));
        let known = || KINDS.map(|(_, name, _)| name).join(", ");
        found
            .map(|(kind, ..)| kind)
            .ok_or_else(|| format!("`{text}` is no type of record known here: {}", known()))
    }
}

/// How a server answers as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Code {
    Fine,
    NoSuchName,
    Other(u8),
}

/// Returns the name of a code of failure.
pub(crate) fn code_name(code: u8) -> String {
    match code {
        1 => "FORMERR".to_owned(),
        2 => "SERVFAIL".to_owned(),
        4 => "NOTIMP".to_owned(),
        5 => "REFUSED".to_owned(),
        other => format!("code {other}"),
    }
}

/// What a server answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) code: Code,
    /// The rest of it can be had over TCP.
    pub(crate) truncated: bool,
    /// The records of the type that was asked for, each as text.
    pub(crate) records: Vec<String>,
}

/// Why bytes are not the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Malformed {
    /// It answers another question.
    NotOurs,
    Broken(&'static str),
}

/// A name that cannot be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BadName(pub(crate) &'static str);

/// Returns the message that asks for the records of a name.
pub(crate) fn question(id: u16, name: &str, kind: Kind) -> Result<Vec<u8>, BadName> {
    let mut message = Vec::with_capacity(HEADER + name.len() + 6);
    message.extend_from_slice(&id.to_be_bytes());
    // Recursion is wished for; one question, nothing else.
    message.extend_from_slice(&[1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    encode_name(&mut message, name)?;
    message.extend_from_slice(&kind.number().to_be_bytes());
    message.extend_from_slice(&CLASS_IN.to_be_bytes());
    Ok(message)
}

fn encode_name(message: &mut Vec<u8>, name: &str) -> Result<(), BadName> {
    let bare = name.strip_suffix('.').unwrap_or(name);
    if bare.len() > 253 {
        return Err(BadName("the name is longer than 253 characters"));
    }
    if !bare.is_empty() {
        for label in bare.split('.') {
            match u8::try_from(label.len()) {
                Ok(0) => return Err(BadName("the name has an empty part")),
                Ok(length) if length <= 63 => message.push(length),
                _ => return Err(BadName("a part of the name is longer than 63 characters")),
            }
            message.extend_from_slice(label.as_bytes());
        }
    }
    message.push(0);
    Ok(())
}

/// Reads the answer to the question with this id.
pub(crate) fn answer(message: &[u8], id: u16, name: &str, kind: Kind) -> Result<Answer, Malformed> {
    let mut reader = Reader { message, at: 0 };
    if reader.u16()? != id {
        return Err(Malformed::NotOurs);
    }
    let flags = reader.u16()?;
    if flags & 0x8000 == 0 {
        return Err(Malformed::Broken("it sent a question back"));
    }
    let (questions, answers) = (reader.u16()?, reader.u16()?);
    reader.skip(4)?;
    // A server that cannot read the question may leave it out.
    if questions > 1 {
        return Err(Malformed::Broken("it repeats more questions than there were"));
    }
    if questions == 1 {
        let asked = reader.name()?;
        let same = asked.trim_end_matches('.').eq_ignore_ascii_case(name.trim_end_matches('.'));
        if !same || reader.u16()? != kind.number() || reader.u16()? != CLASS_IN {
            return Err(Malformed::NotOurs);
        }
    }
    let code = match (flags & 0x000f) as u8 {
        0 => Code::Fine,
        3 => Code::NoSuchName,
        other => Code::Other(other),
    };
    let truncated = flags & 0x0200 != 0;
    let mut records = Vec::new();
    // What is cut off is asked for again as a whole.
    for _ in 0..usize::from(if truncated { 0 } else { answers }).min(MOST_RECORDS) {
        reader.name()?;
        let (number, class) = (reader.u16()?, reader.u16()?);
        reader.skip(4)?;
        let length = usize::from(reader.u16()?);
        let end = reader.at + length;
        if end > message.len() {
            return Err(Malformed::Broken("a record is longer than the message"));
        }
        if number == kind.number() && class == CLASS_IN {
            let mut data = Reader { message: &message[..end], at: reader.at };
            records.push(data.record(kind)?);
        }
        reader.at = end;
    }
    Ok(Answer { code, truncated, records })
}

/// A place in a message.
struct Reader<'a> {
    message: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn bytes(&mut self, count: usize) -> Result<&[u8], Malformed> {
        let end = self.at.checked_add(count).filter(|end| *end <= self.message.len());
        let end = end.ok_or(Malformed::Broken("the message ends too early"))?;
        let bytes = &self.message[self.at..end];
        self.at = end;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let mut array = [0; N];
        array.copy_from_slice(self.bytes(N)?);
        Ok(array)
    }

    fn skip(&mut self, count: usize) -> Result<(), Malformed> {
        self.bytes(count).map(drop)
    }

    fn u8(&mut self) -> Result<u8, Malformed> {
        Ok(self.array::<1>()?[0])
    }

    fn u16(&mut self) -> Result<u16, Malformed> {
        Ok(u16::from_be_bytes(self.array()?))
    }

    fn u32(&mut self) -> Result<u32, Malformed> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    /// Reads a name. Pointers lead backwards only, so that they cannot go in circles.
    fn name(&mut self) -> Result<String, Malformed> {
        let mut name = String::new();
        let mut at = self.at;
        let mut after = None;
        let mut pointers = 0;
        loop {
            let length = *self.message.get(at).ok_or(Malformed::Broken("a name ends too early"))?;
            match length {
                0 => break,
                1..=63 => {
                    let end = at + 1 + usize::from(length);
                    let label =
                        self.message.get(at + 1..end).ok_or(Malformed::Broken("a name ends too early"))?;
                    push_label(&mut name, label);
                    if name.len() > 1024 {
                        return Err(Malformed::Broken("a name is too long"));
                    }
                    at = end;
                }
                192.. => {
                    let low = *self.message.get(at + 1).ok_or(Malformed::Broken("a name ends too early"))?;
                    let target = usize::from(length & 0x3f) << 8 | usize::from(low);
                    pointers += 1;
                    if target >= at || pointers > MOST_POINTERS {
                        return Err(Malformed::Broken("a name goes in circles"));
                    }
                    after.get_or_insert(at + 2);
                    at = target;
                }
                _ => return Err(Malformed::Broken("a name has a part of an unknown kind")),
            }
        }
        self.at = after.unwrap_or(at + 1);
        if name.is_empty() {
            name.push('.');
        }
        Ok(name)
    }

    /// Reads the data of a record as a zone file has it.
    fn record(&mut self, kind: Kind) -> Result<String, Malformed> {
        Ok(match kind {
            Kind::A => Ipv4Addr::from(self.array::<4>()?).to_string(),
            Kind::Aaaa => Ipv6Addr::from(self.array::<16>()?).to_string(),
            Kind::Cname | Kind::Ns | Kind::Ptr => self.name()?,
            Kind::Mx => format!("{} {}", self.u16()?, self.name()?),
            Kind::Srv => format!("{} {} {} {}", self.u16()?, self.u16()?, self.u16()?, self.name()?),
            Kind::Soa => {
                let mut text = format!("{} {}", self.name()?, self.name()?);
                for _ in 0..5 {
                    // Writing to a string cannot fail.
                    write!(text, " {}", self.u32()?).ok();
                }
                text
            }
            Kind::Caa => {
                let (flags, length) = (self.u8()?, self.u8()?);
                let tag = String::from_utf8_lossy(self.bytes(usize::from(length))?).into_owned();
                let rest = self.message.len() - self.at;
                format!("{flags} {tag} {}", String::from_utf8_lossy(self.bytes(rest)?))
            }
            Kind::Txt => {
                let mut text = Vec::new();
                while self.at < self.message.len() {
                    let length = usize::from(self.u8()?);
                    text.extend_from_slice(self.bytes(length)?);
                }
                String::from_utf8_lossy(&text).into_owned()
            }
        })
    }
}

fn push_label(name: &mut String, label: &[u8]) {
    for byte in label {
        if byte.is_ascii_graphic() && *byte != b'.' {
            name.push(char::from(*byte));
        } else {
            write!(name, "\\{byte:03}").ok();
        }
    }
    name.push('.');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// An answer with one record whose name points at the question's.
    fn reply(id: u16, name: &str, kind: Kind, data: &[u8]) -> Vec<u8> {
        let mut message = question(id, name, kind).unwrap();
        message[2] = 0x81;
        message[7] = 1;
        message.extend_from_slice(&[0xc0, 12]);
        message.extend_from_slice(&kind.number().to_be_bytes());
        message.extend_from_slice(&[0, 1, 0, 0, 0, 60]);
        message.extend_from_slice(&u16::try_from(data.len()).unwrap().to_be_bytes());
        message.extend_from_slice(data);
        message
    }

    #[test]
    fn records_read_as_in_a_zone_file() {
        for (kind, data, text) in [
            (Kind::A, &[127, 0, 0, 1][..], "127.0.0.1"),
            (Kind::Mx, &[0, 10, 4, b'm', b'a', b'i', b'l', 0xc0, 12], "10 mail.db.shop."),
            (Kind::Txt, &[2, b'o', b'k', 1, b'!'], "ok!"),
            (Kind::Cname, &[0xc0, 12], "db.shop."),
        ] {
            let read = answer(&reply(7, "db.shop", kind, data), 7, "DB.shop.", kind).unwrap();
            assert_eq!((read.code, read.records), (Code::Fine, vec![text.to_owned()]));
        }
    }

    #[test]
    fn what_was_not_asked_is_not_an_answer() {
        let message = reply(7, "db.shop", Kind::A, &[127, 0, 0, 1]);
        for (id, name, kind) in [(8, "db.shop", Kind::A), (7, "db.mall", Kind::A), (7, "db.shop", Kind::Aaaa)]
        {
            assert_eq!(answer(&message, id, name, kind), Err(Malformed::NotOurs));
        }
    }

    #[test]
    fn a_name_that_points_at_itself_ends() {
        let mut message = reply(7, "db", Kind::Cname, &[]);
        let at = message.len();
        let pointer = [0xc0 | u8::try_from(at >> 8).unwrap(), u8::try_from(at & 0xff).unwrap()];
        message.extend_from_slice(&pointer);
        message[at - 1] = 2;
        assert_eq!(answer(&message, 7, "db", Kind::Cname), Err(Malformed::Broken("a name goes in circles")));
    }

    #[test]
    fn names_that_cannot_be_asked_are_refused() {
        assert!(question(1, &"a".repeat(64), Kind::A).is_err());
        assert!(question(1, "a..b", Kind::A).is_err());
        assert!(question(1, &"a.".repeat(200), Kind::A).is_err());
        assert!(question(1, ".", Kind::Ns).is_ok());
    }

    proptest! {
        #[test]
        fn no_bytes_break_the_reader(
            mut bytes in proptest::collection::vec(any::<u8>(), 0..300),
            number in 0..KINDS.len(),
        ) {
            let kind = KINDS[number].0;
            answer(&bytes, 0, "x", kind).ok();
            // The same, behind a head that is right.
            let mut message = reply(7, "x", kind, &[]);
            let at = message.len();
            message[at - 2..].copy_from_slice(&u16::try_from(bytes.len()).unwrap().to_be_bytes());
            message.append(&mut bytes);
            answer(&message, 7, "x", kind).ok();
        }
    }
}
