//! The messages of remote write: samples on their way from one store to another. [`v1`] is version 1.0 of the protocol;
//! version 2.0 has its place beside it, and is told apart here already.

mod protobuf;
pub mod v1;

pub use protobuf::WireError;

/// The value of `Content-Encoding`: a single block of snappy, without frames.
pub const CONTENT_ENCODING: &str = "snappy";
/// The header that tells the version of the protocol.
pub const VERSION_HEADER: &str = "X-Prometheus-Remote-Write-Version";
/// Headers that belong to the protocol: nobody may set them in a configuration.
pub const RESERVED_HEADERS: [&str; 4] = ["Content-Encoding", "Content-Type", VERSION_HEADER, "User-Agent"];

/// A version of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Version {
    V1,
    V2,
}

impl Version {
    /// Returns what a sender puts into `Content-Type`.
    pub fn content_type(self) -> &'static str {
        match self {
            Version::V1 => "application/x-protobuf",
            Version::V2 => "application/x-protobuf;proto=io.prometheus.write.v2.Request",
        }
    }

    /// Returns what a sender puts into [`VERSION_HEADER`].
    pub fn header(self) -> &'static str {
        match self {
            Version::V1 => "0.1.0",
            Version::V2 => "2.0.0",
        }
    }

    /// Returns the version of a message by its `Content-Type`; `None` where it is no message of remote write. Old senders
    /// set none.
    pub fn of_content_type(content_type: &str) -> Option<Self> {
        let mut parts = content_type.split(';').map(str::trim);
        let kind = parts.next().unwrap_or_default();
        if !kind.is_empty() && !kind.eq_ignore_ascii_case("application/x-protobuf") {
            return None;
        }
        let mut version = Version::V1;
        for part in parts {
            match part.split_once('=').map(|(name, value)| (name.trim(), value.trim().trim_matches('"'))) {
                Some((name, "prometheus.WriteRequest")) if name.eq_ignore_ascii_case("proto") => {}
                Some((name, "io.prometheus.write.v2.Request")) if name.eq_ignore_ascii_case("proto") => {
                    version = Version::V2;
                }
                Some((name, _)) if name.eq_ignore_ascii_case("proto") => return None,
                _ => {}
            }
        }
        Some(version)
    }
}

/// Why a body is no block of snappy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BlockError {
    #[error("the body has {len} bytes unpacked, more than the {limit} allowed")]
    TooBig { len: usize, limit: usize },
    #[error("the body is no block of snappy")]
    Corrupt(#[source] snap::Error),
    #[error("the body claims to have {0} bytes unpacked, which cannot be")]
    Bomb(usize),
}

/// Unpacks the body of a request. How long it says it is, is checked before room is made for it.
pub fn unpack(body: &[u8], limit: usize) -> Result<Vec<u8>, BlockError> {
    let len = snap::raw::decompress_len(body).map_err(BlockError::Corrupt)?;
    if len > limit {
        return Err(BlockError::TooBig { len, limit });
    }
    // The best that the format can do is a copy of 64 bytes in 3.
    if len > body.len().saturating_mul(22) {
        return Err(BlockError::Bomb(len));
    }
    snap::raw::Decoder::new().decompress_vec(body).map_err(BlockError::Corrupt)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_told_by_the_content_type() {
        for (content_type, expected) in [
            ("", Some(Version::V1)),
            ("application/x-protobuf", Some(Version::V1)),
            ("Application/X-Protobuf; proto=prometheus.WriteRequest", Some(Version::V1)),
            (Version::V2.content_type(), Some(Version::V2)),
            (
                "application/x-protobuf; proto=\"io.prometheus.write.v2.Request\"; charset=x",
                Some(Version::V2),
            ),
            ("application/x-protobuf;proto=other", None),
            ("application/json", None),
        ] {
            assert_eq!(Version::of_content_type(content_type), expected, "{content_type}");
        }
    }

    #[test]
    fn bombs_are_refused_before_they_are_unpacked() {
        let zeros = vec![0; 1 << 20];
        let packed = snap::raw::Encoder::new().compress_vec(&zeros).unwrap();
        assert_eq!(unpack(&packed, 1 << 20), Ok(zeros));
        assert_eq!(unpack(&packed, 1000), Err(BlockError::TooBig { len: 1 << 20, limit: 1000 }));
        // A length of 2^28 with nothing behind it.
        assert_eq!(unpack(&[0x80, 0x80, 0x80, 0x80, 0x01], usize::MAX), Err(BlockError::Bomb(1 << 28)));
        assert!(matches!(unpack(&[], 10), Err(BlockError::Corrupt(_))));
        assert_eq!(unpack(&[0], 10), Ok(Vec::new()));
        assert!(matches!(unpack(&[0xff; 20], usize::MAX), Err(BlockError::Corrupt(_))));
        assert!(matches!(
            unpack(&packed[..packed.len() / 2], 1 << 20),
            Err(BlockError::Corrupt(_) | BlockError::Bomb(_))
        ));
    }
}
