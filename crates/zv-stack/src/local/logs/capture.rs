//! Splits what a process writes into lines.

use tokio::io::{AsyncRead, AsyncReadExt};

use super::Tap;
use crate::clock;
use crate::logs::{LINE_LIMIT, Output};

/// A line buffer that grew beyond this is given back after the line.
const KEPT_CAPACITY: usize = 16 * 1024;

/// Reads one output to its end, line by line into the tap.
pub(in crate::local) async fn capture(mut from: impl AsyncRead + Unpin, output: Output, tap: &Tap) {
    let mut splitter = Splitter::default();
    let mut chunk = vec![0; 16 * 1024];
    loop {
        match from.read(&mut chunk).await {
            Ok(0) => break,
            Ok(read) => splitter.feed(&chunk[..read], |text, cut| tap.push(output, text, cut, clock::now())),
            Err(error) => {
                tracing::warn!(replica.name = %tap.name, error = %error, "the output of a replica cannot be read");
                break;
            }
        }
    }
    splitter.finish(|text, cut| tap.push(output, text, cut, clock::now()));
}

/// Joins chunks into lines.
#[derive(Debug, Default)]
struct Splitter {
    line: Vec<u8>,
    cut: bool,
}

impl Splitter {
    fn feed(&mut self, mut chunk: &[u8], mut emit: impl FnMut(String, bool)) {
        while let Some(end) = chunk.iter().position(|&byte| byte == b'\n') {
            self.append(&chunk[..end]);
            self.flush(&mut emit);
            chunk = &chunk[end + 1..];
        }
        self.append(chunk);
    }

    /// Emits a last line without its end.
    fn finish(mut self, mut emit: impl FnMut(String, bool)) {
        if !self.line.is_empty() {
            self.flush(&mut emit);
        }
    }

    fn append(&mut self, bytes: &[u8]) {
        let room = LINE_LIMIT - self.line.len();
        self.cut |= bytes.len() > room;
        self.line.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    fn flush(&mut self, emit: &mut impl FnMut(String, bool)) {
        if self.cut {
            // The cut may have gone through a character.
            let whole = match std::str::from_utf8(&self.line) {
                Err(error) if error.error_len().is_none() => error.valid_up_to(),
                _ => self.line.len(),
            };
            self.line.truncate(whole);
        }
        emit(String::from_utf8_lossy(&self.line).into_owned(), self.cut);
        self.line.clear();
        self.line.shrink_to(KEPT_CAPACITY);
        self.cut = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(chunks: &[&[u8]]) -> Vec<(String, bool)> {
        let (mut lines, mut splitter) = (Vec::new(), Splitter::default());
        for chunk in chunks {
            splitter.feed(chunk, |text, cut| lines.push((text, cut)));
        }
        splitter.finish(|text, cut| lines.push((text, cut)));
        lines
    }

    #[test]
    fn lines_come_out_whole_however_they_come_in() {
        let expected = [("one".to_owned(), false), (String::new(), false), ("two".to_owned(), false)];
        assert_eq!(lines(&[b"one\n\ntwo"]), expected);
        assert_eq!(lines(&[b"o", b"ne", b"\n", b"\nt", b"wo\n"]), expected);
        assert_eq!(lines(&[]), []);
    }

    #[test]
    fn what_is_not_utf_8_is_replaced() {
        assert_eq!(lines(&[b"a\xffb\n"]), [("a\u{fffd}b".to_owned(), false)]);
        assert_eq!(
            lines(&["ü".as_bytes().split_at(1).0, "ü".as_bytes().split_at(1).1]),
            [("ü".to_owned(), false)]
        );
    }

    #[test]
    fn a_long_line_is_cut_and_marked() {
        let mut long = vec![b'x'; LINE_LIMIT - 1];
        long.extend("üyz\n".as_bytes());
        let cut = lines(&[&long, b"next\n"]);
        assert_eq!(cut[0], ("x".repeat(LINE_LIMIT - 1), true));
        assert_eq!(cut[1], ("next".to_owned(), false));
        let fits = vec![b'x'; LINE_LIMIT];
        assert_eq!(lines(&[&fits, b"\n"]), [("x".repeat(LINE_LIMIT), false)]);
    }
}
