//! Packets: a length, a number, and what is in those that a login needs.

use bytes::Bytes;

use crate::trace::Trace;
use crate::verdict::Fault;
use crate::wire::Wire;
use crate::words::{bytes, quote};

pub(super) const OK: u8 = 0x00;
pub(super) const ERROR: u8 = 0xff;

/// No packet that is waited for here is longer.
const LIMIT: usize = 64 * 1024;
/// The version of the protocol that everybody speaks since 1998.
const PROTOCOL: u8 = 10;
const ACCESS_DENIED: [u16; 4] = [1044, 1045, 1049, 1698];

/// Reads a packet; returns its number and what is in it.
pub(super) async fn read(wire: &mut Wire, trace: &mut Trace) -> Result<(u8, Bytes), Fault> {
    wire.need(4, trace).await?;
    let head = wire.buffered();
    let length = u32::from_le_bytes([head[0], head[1], head[2], 0]);
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    let sequence = head[3];
    if length > LIMIT {
        // Text that is taken for a length: who speaks another protocol begins like that.
        let looks_like_text = head.iter().all(|byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace());
        return Err(if looks_like_text {
            wire.garbage("the protocol of MySQL")
        } else {
            Fault::down(format!("{} sends a packet longer than {}", wire.peer(), bytes(LIMIT)))
        });
    }
    let packet = wire.take(4 + length, trace).await?;
    Ok((sequence, packet.slice(4..)))
}

/// Sends a packet.
pub(super) async fn send(wire: &mut Wire, sequence: u8, content: &[u8]) -> Result<(), Fault> {
    wire.send(&framed(sequence, content)).await
}

/// Returns a packet as bytes. Everything sent here is far shorter than a packet may be.
pub(super) fn framed(sequence: u8, content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len()).unwrap_or(u32::MAX).to_le_bytes();
    let mut packet = vec![length[0], length[1], length[2], sequence];
    packet.extend_from_slice(content);
    packet
}

/// What a server says first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Greeting {
    pub(super) version: String,
    pub(super) capabilities: u32,
    pub(super) scramble: Vec<u8>,
    pub(super) plugin: String,
}

impl Greeting {
    pub(super) fn parse(packet: &[u8]) -> Option<Self> {
        let (&protocol, rest) = packet.split_first()?;
        if protocol != PROTOCOL {
            return None;
        }
        let (version, rest) = until_zero(rest)?;
        // The number of the thread, the first part of the scramble, a zero, the lower half of the capabilities.
        let mut scramble = rest.get(4..12)?.to_vec();
        let low = u16::from_le_bytes([*rest.get(13)?, *rest.get(14)?]);
        // The character set, the state, the upper half, the length of the scramble, ten zeros.
        let high = u16::from_le_bytes([*rest.get(18)?, *rest.get(19)?]);
        let length = usize::from(*rest.get(20)?);
        let rest = rest.get(31..)?;
        let part = length.saturating_sub(8).max(13);
        scramble.extend_from_slice(rest.get(..part.min(rest.len()))?);
        // It ends with a zero that is no part of it.
        scramble.truncate(20);
        let plugin = rest.get(part..).map(|rest| until_zero(rest).map_or(rest, |(name, _)| name));
        let plugin = plugin.filter(|name| !name.is_empty()).unwrap_or(super::login::NATIVE.as_bytes());
        Some(Self {
            version: quote(version),
            capabilities: u32::from(high) << 16 | u32::from(low),
            scramble,
            plugin: quote(plugin),
        })
    }
}

/// Splits text from what follows its zero.
pub(super) fn until_zero(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|byte| *byte == 0)?;
    Some((&bytes[..end], &bytes[end + 1..]))
}

/// What a server says is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    code: u16,
    pub(super) text: String,
}

impl Refusal {
    /// Reads a packet that may be one.
    pub(super) fn of(packet: &[u8]) -> Option<Self> {
        let [ERROR, low, high, text @ ..] = packet else { return None };
        // Five characters that say the code once more, unless the greeting was still to come.
        let text = if text.first() == Some(&b'#') { text.get(6..).unwrap_or_default() } else { text };
        Some(Self { code: u16::from_le_bytes([*low, *high]), text: quote(text) })
    }

    /// Says whether it is about who logs in, and not about the server.
    pub(super) fn is_about_login(&self) -> bool {
        ACCESS_DENIED.contains(&self.code)
    }
}
