//! The shapes of values that a configuration is written in: durations, sizes, addresses, one or several.

use std::borrow::Cow;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer, SeqAccess, Visitor};
use serde_json::Value;

const DURATION: &str = "zv-duration";
const SIZE: &str = "zv-size";
const ADDRESS: &str = "zv-address";

/// Holds `text` against the format that `schema` names, if any. The answer reads after the quoted text.
pub(crate) fn check(schema: &Value, text: &str) -> Result<(), String> {
    match schema.get("format").and_then(Value::as_str) {
        Some(DURATION) => text.parse::<Span>().map(drop),
        Some(SIZE) => text.parse::<Size>().map(drop),
        Some(ADDRESS) => text.parse::<Address>().map(drop),
        _ if text.contains('\0') => Err("holds a null character".to_owned()),
        _ => Ok(()),
    }
}

/// A duration as Prometheus writes it: `10s`, `1h30m`, `500ms`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Span(pub(crate) Duration);

/// The units of a duration in milliseconds, longest first.
const SPAN_UNITS: [(&str, u64); 7] = [
    ("y", 365 * 86_400_000),
    ("w", 7 * 86_400_000),
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1000),
    ("ms", 1),
];

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const HOW: &str = "is not a duration; write it as `10s`, `1h30m` or `500ms`";
        if text == "0" {
            return Ok(Self(Duration::ZERO));
        }
        if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
            return Err("has no unit; put `s` after it for seconds".to_owned());
        }
        let (mut rest, mut milliseconds, mut units) = (text, 0_u64, SPAN_UNITS.as_slice());
        while !rest.is_empty() || milliseconds == 0 && units.len() == SPAN_UNITS.len() {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            let (number, after) = rest.split_at(digits);
            let letters = after.bytes().take_while(u8::is_ascii_lowercase).count();
            let (unit, after) = after.split_at(letters);
            // Each unit once, from the longest to the shortest.
            let index = units.iter().position(|(name, _)| *name == unit).ok_or(HOW)?;
            let number: u64 = number.parse().map_err(|_| HOW)?;
            let more = number.checked_mul(units[index].1);
            milliseconds = more.and_then(|m| m.checked_add(milliseconds)).ok_or("is too long")?;
            units = &units[index + 1..];
            rest = after;
        }
        Ok(Self(Duration::from_millis(milliseconds)))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        if rest == 0 {
            return f.write_str("0s");
        }
        for (unit, milliseconds) in SPAN_UNITS {
            if rest >= milliseconds {
                write!(f, "{}{unit}", rest / milliseconds)?;
                rest %= milliseconds;
            }
        }
        Ok(())
    }
}

/// A size in bytes: `64MB`, `1.5GB`, `1048576`. Units count in steps of 1024, as Prometheus has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size(pub(crate) u64);

const SIZE_UNITS: [(&str, u32); 5] = [("TB", 40), ("GB", 30), ("MB", 20), ("KB", 10), ("B", 0)];

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const HOW: &str = "is not a size; write it as `64MB`, `1.5GB` or a number of bytes";
        let end = text.bytes().take_while(|b| b.is_ascii_digit() || *b == b'.').count();
        let (number, unit) = text.split_at(end);
        let unit = unit.trim_start().to_ascii_uppercase().replace("IB", "B");
        let shift = match unit.as_str() {
            "" => 0,
            unit => {
                let known = |(name, _): &&(&str, u32)| *name == unit || name.strip_suffix('B') == Some(unit);
                SIZE_UNITS.iter().find(known).map(|(_, shift)| *shift).ok_or(HOW)?
            }
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let bytes: u64 = whole.parse().map_err(|_| HOW)?;
        let bytes = bytes.checked_mul(1 << shift).ok_or("is too large")?;
        if number.ends_with('.') || fraction.len() > 6 {
            return Err(HOW.to_owned());
        }
        let fraction: u64 = format!("{fraction:0<6}").parse().map_err(|_| HOW)?;
        // Six digits of a terabyte are below 2^60.
        let fraction = (fraction << shift) / 1_000_000;
        bytes.checked_add(fraction).map(Self).ok_or_else(|| "is too large".to_owned())
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exact = |(_, shift): &&(&str, u32)| self.0 != 0 && self.0.is_multiple_of(1 << shift);
        match SIZE_UNITS.iter().find(exact) {
            Some((unit, shift)) => write!(f, "{}{unit}", self.0 >> shift),
            None => f.write_str("0B"),
        }
    }
}

/// Where to listen: `127.0.0.1:9780`, `[::1]:9780`, `localhost:9780`, or `:9780` for every address of the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Address(pub(crate) SocketAddr);

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const HOW: &str = "is not an address; write an IP address and a port, as in `127.0.0.1:9780`";
        let named = |host: &str, port: &str| -> Option<SocketAddr> {
            let address = match host {
                "" => Ipv4Addr::UNSPECIFIED,
                "localhost" => Ipv4Addr::LOCALHOST,
                _ => return None,
            };
            Some((address, port.parse().ok()?).into())
        };
        let parsed = text.parse().ok().or_else(|| text.rsplit_once(':').and_then(|(h, p)| named(h, p)));
        parsed.map(Self).ok_or_else(|| HOW.to_owned())
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Implements reading from text and the schema of a type that is written as text.
macro_rules! text_value {
    ($type:ident, $format:expr, [$($json:literal),+], $pattern:literal) => {
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(de::Error::custom)
            }
        }

        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                stringify!($type).into()
            }

            fn inline_schema() -> bool {
                true
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                // A variable may stand for the whole or a part: editors cannot check those.
                let pattern = concat!("^(", $pattern, ")$|\\$\\{");
                json_schema!({ "type": [$($json),+], "format": $format, "pattern": pattern })
            }
        }
    };
}

text_value!(Span, DURATION, ["string"], "0|([0-9]+(y|w|d|h|m|s|ms))+");
text_value!(Size, SIZE, ["string", "integer"], "[0-9]+([.][0-9]+)? ?([KMGTkmgt]?[Ii]?[Bb]?)");
text_value!(Address, ADDRESS, ["string"], ".*:[0-9]+");

/// One value, or a list of them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct OneOrMore<T>(pub(crate) Vec<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for OneOrMore<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Several<T>(std::marker::PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Several<T> {
            type Value = OneOrMore<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("one value or a list of them")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
                let one = T::deserialize(de::value::StrDeserializer::new(text))?;
                Ok(OneOrMore(vec![one]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = seq.next_element()? {
                    items.push(item);
                }
                Ok(OneOrMore(items))
            }
        }

        deserializer.deserialize_any(Several(std::marker::PhantomData))
    }
}

impl<T: JsonSchema> JsonSchema for OneOrMore<T> {
    fn schema_name() -> Cow<'static, str> {
        format!("OneOrMore{}", T::schema_name()).into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let one = generator.subschema_for::<T>();
        json_schema!({ "anyOf": [one, { "type": "array", "items": one }] })
    }
}

#[cfg(test)]
mod tests;
