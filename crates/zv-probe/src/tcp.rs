//! A port that takes connections; where something is expected, it must come.

use crate::connect;
use crate::prober::Prober;
use crate::target::Tcp;
use crate::trace::{Phase, Trace};
use crate::verdict::Fault;
use crate::wire::Wire;
use crate::words::{bytes, quote};

/// What is expected comes within so many bytes.
const LIMIT: usize = 64 * 1024;

/// Runs a probe.
pub(crate) async fn check(tcp: &Tcp, prober: &Prober, trace: &mut Trace) -> Result<String, Fault> {
    trace.is_listening = true;
    let mut wire = connect::tcp(&tcp.endpoint, prober, trace).await?;
    if !tcp.send.is_empty() {
        trace.enter_for(Phase::Processing, wire.peer().to_owned());
        wire.send(&tcp.send).await?;
    }
    if tcp.expect.is_empty() {
        return Ok("takes connections".to_owned());
    }
    trace.enter_for(Phase::Processing, wire.peer().to_owned());
    let told = expect(&mut wire, &tcp.expect, trace).await?;
    Ok(format!("answers `{told}`"))
}

/// Reads until the text is there; returns the line that has it.
async fn expect(wire: &mut Wire, wanted: &[u8], trace: &mut Trace) -> Result<String, Fault> {
    let mut looked_at: usize = 0;
    loop {
        // The text may begin at the end of what was looked at before.
        let from = looked_at.saturating_sub(wanted.len() - 1);
        if wire.buffered()[from..].windows(wanted.len()).any(|window| window == wanted) {
            return Ok(quote(wire.buffered()));
        }
        looked_at = wire.buffered().len();
        let lacks = |wire: &Wire, when: &str| {
            let (said, wanted) = (quote(wire.buffered()), quote(wanted));
            Fault::down(format!("{} says `{said}`{when}, not `{wanted}`", wire.peer()))
        };
        if looked_at >= LIMIT {
            trace.mismatched = true;
            return Err(lacks(wire, &format!(" and more in {}", bytes(LIMIT))));
        }
        if !wire.fill(trace).await? {
            trace.mismatched = true;
            return Err(lacks(wire, ""));
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;

    async fn heard(pieces: &'static [&'static [u8]], wanted: &[u8]) -> Result<String, Fault> {
        let (ours, mut theirs) = tokio::io::duplex(LIMIT * 2);
        for piece in pieces {
            theirs.write_all(piece).await.unwrap();
        }
        drop(theirs);
        expect(&mut Wire::new(Box::new(ours), "it"), wanted, &mut Trace::new()).await
    }

    #[tokio::test]
    async fn the_text_may_come_in_pieces_and_anywhere() {
        assert_eq!(heard(&[b"220 mail re", b"ady\r\n"], b"ready").await.unwrap(), "220 mail ready");
        let lacks = heard(&[b"421 busy\r\n"], b"220").await.unwrap_err();
        assert_eq!(lacks.reason, "it says `421 busy`, not `220`");
        let much = heard(&[&[b'x'; LIMIT + 1]], b"220").await.unwrap_err();
        assert!(much.reason.contains("64 KiB"), "{}", much.reason);
    }
}
