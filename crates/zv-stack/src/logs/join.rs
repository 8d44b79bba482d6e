//! Joins pieces of an engine's log into lines.
//!
//! Without a terminal the engine sends frames: a header of eight bytes that tells the output and the length, then a
//! timestamp, a space and a piece of a line. With a terminal there are no headers. Either way a line longer than
//! [`PIECE`] bytes comes in pieces, each with a timestamp of its own; only the last ends in a line end.

use chrono::{DateTime, Utc};

use super::{LINE_LIMIT, Output};

/// The engine cuts lines into pieces of so many bytes. Bytes that are not UTF-8 make a piece longer, never shorter.
pub const PIECE: usize = 16 * 1024;
/// The longest timestamp, its space included.
const STAMP_LIMIT: usize = 40;
/// A terminal's line is kept whole with the timestamps in it, so far.
const TERMINAL_LIMIT: usize = LINE_LIMIT + (LINE_LIMIT / PIECE + 2) * STAMP_LIMIT;
/// The longest message of failure that is kept.
const FAILURE_LIMIT: usize = 1024;

/// What comes of the pieces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Joined {
    Line {
        output: Output,
        /// That of the first piece; absent where the engine sent none.
        at: Option<DateTime<Utc>>,
        text: String,
        cut: bool,
    },
    /// The engine could not read on, and says why.
    Failed(String),
}

/// Takes the bytes of one log in whatever portions they arrive.
#[derive(Debug)]
pub struct Joiner {
    mode: Mode,
}

#[derive(Debug)]
enum Mode {
    Framed { frame: Frame, stdout: Line, stderr: Line },
    Terminal { line: Vec<u8>, length: usize },
}

/// Where in a frame the next byte belongs.
#[derive(Debug)]
enum Frame {
    Header {
        bytes: [u8; 8],
        filled: usize,
    },
    Stamp {
        kind: Kind,
        left: usize,
        stamp: Vec<u8>,
    },
    Content {
        kind: Kind,
        left: usize,
        length: usize,
        ended: bool,
    },
    /// The engine's own words, as far as they are kept.
    Failure {
        left: usize,
        words: Vec<u8>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Stdout,
    Stderr,
}

/// A line in the making.
#[derive(Debug, Default)]
struct Line {
    at: Option<DateTime<Utc>>,
    bytes: Vec<u8>,
    cut: bool,
    begun: bool,
}

impl Joiner {
    /// Returns a joiner for the log of a container with a terminal, or without.
    pub fn new(tty: bool) -> Self {
        let mode = if tty {
            Mode::Terminal { line: Vec::new(), length: 0 }
        } else {
            Mode::Framed { frame: Frame::start(), stdout: Line::default(), stderr: Line::default() }
        };
        Self { mode }
    }

    /// Takes the next bytes and adds what they complete to `joined`.
    pub fn push(&mut self, mut bytes: &[u8], joined: &mut Vec<Joined>) {
        match &mut self.mode {
            Mode::Framed { frame, stdout, stderr } => {
                while !bytes.is_empty() {
                    bytes = frame.take(bytes, stdout, stderr, joined);
                }
            }
            Mode::Terminal { line, length } => {
                while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
                    keep(line, length, &bytes[..end]);
                    terminal_lines(line, *length, joined);
                    line.clear();
                    *length = 0;
                    bytes = &bytes[end + 1..];
                }
                keep(line, length, bytes);
            }
        }
    }

    /// Takes note that no more bytes come, and adds what is left.
    pub fn finish(&mut self, joined: &mut Vec<Joined>) {
        match &mut self.mode {
            Mode::Framed { frame, stdout, stderr } => {
                for (output, line) in [(Output::Stdout, stdout), (Output::Stderr, stderr)] {
                    if line.begun {
                        joined.push(line.take(output));
                    }
                }
                if let Frame::Failure { words, .. } = std::mem::replace(frame, Frame::start())
                    && !words.is_empty()
                {
                    joined.push(failed(&words));
                }
            }
            Mode::Terminal { line, length } => {
                if !line.is_empty() {
                    terminal_lines(line, *length, joined);
                    line.clear();
                    *length = 0;
                }
            }
        }
    }
}

impl Frame {
    fn start() -> Self {
        Frame::Header { bytes: [0; 8], filled: 0 }
    }

    /// Takes some of `bytes`, at least one, and returns the rest.
    fn take<'b>(
        &mut self,
        bytes: &'b [u8],
        stdout: &mut Line,
        stderr: &mut Line,
        joined: &mut Vec<Joined>,
    ) -> &'b [u8] {
        let rest = match self {
            Frame::Header { bytes: header, filled } => {
                let count = bytes.len().min(8 - *filled);
                header[*filled..*filled + count].copy_from_slice(&bytes[..count]);
                *filled += count;
                if *filled == 8 {
                    *self = Frame::after_header(*header);
                }
                &bytes[count..]
            }
            Frame::Stamp { kind, left, stamp } => {
                let (kind, end) = (*kind, bytes.len().min(*left).min(STAMP_LIMIT - stamp.len()));
                let space = bytes[..end].iter().position(|byte| *byte == b' ');
                let count = space.map_or(end, |at| at + 1);
                stamp.extend_from_slice(&bytes[..count]);
                *left -= count;
                if space.is_some() || *left == 0 || stamp.len() == STAMP_LIMIT {
                    let (stamp, left) = (std::mem::take(stamp), *left);
                    *self = Frame::Content { kind, left, length: 0, ended: true };
                    begin(&stamp, self, line_of(kind, stdout, stderr), joined);
                }
                &bytes[count..]
            }
            Frame::Content { kind, left, length, ended } => {
                let count = bytes.len().min(*left);
                content(&bytes[..count], *kind, line_of(*kind, stdout, stderr), ended, joined);
                *length += count;
                *left -= count;
                &bytes[count..]
            }
            Frame::Failure { left, words } => {
                let count = bytes.len().min(*left);
                let kept = count.min(FAILURE_LIMIT.saturating_sub(words.len()));
                words.extend_from_slice(&bytes[..kept]);
                *left -= count;
                &bytes[count..]
            }
        };
        self.close(stdout, stderr, joined);
        rest
    }

    fn after_header(header: [u8; 8]) -> Self {
        let left = u32::from_be_bytes([header[4], header[5], header[6], header[7]]) as usize;
        match header[0] {
            3 => Frame::Failure { left, words: Vec::new() },
            2 => Frame::Stamp { kind: Kind::Stderr, left, stamp: Vec::new() },
            _ => Frame::Stamp { kind: Kind::Stdout, left, stamp: Vec::new() },
        }
    }

    /// Goes on to the next frame if this one is complete.
    fn close(&mut self, stdout: &mut Line, stderr: &mut Line, joined: &mut Vec<Joined>) {
        match self {
            Frame::Content { kind, left: 0, length, ended } => {
                // A short piece without a line end is the last the process wrote.
                if !*ended && *length < PIECE {
                    joined.push(line_of(*kind, stdout, stderr).take(kind.output()));
                }
                *self = Frame::start();
            }
            Frame::Failure { left: 0, words } => {
                joined.push(failed(words));
                *self = Frame::start();
            }
            Frame::Stamp { left: 0, .. } => *self = Frame::start(),
            _ => {}
        }
    }
}

impl Kind {
    fn output(self) -> Output {
        if self == Kind::Stderr { Output::Stderr } else { Output::Stdout }
    }
}

fn line_of<'l>(kind: Kind, stdout: &'l mut Line, stderr: &'l mut Line) -> &'l mut Line {
    match kind {
        Kind::Stdout => stdout,
        Kind::Stderr => stderr,
    }
}

/// Begins a frame's content with what was read as its timestamp; what is none belongs to the line.
fn begin(stamp: &[u8], frame: &mut Frame, line: &mut Line, joined: &mut Vec<Joined>) {
    let Frame::Content { kind, length, ended, .. } = frame else { return };
    let at = parse_stamp(stamp);
    if !line.begun {
        line.at = at;
    }
    if at.is_some() {
        // An empty piece that ends no line is one, too: the process ended right after a line end.
        return;
    }
    *length = stamp.len();
    content(stamp, *kind, line, ended, joined);
}

fn content(bytes: &[u8], kind: Kind, line: &mut Line, ended: &mut bool, joined: &mut Vec<Joined>) {
    let mut rest = bytes;
    while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
        line.add(&rest[..end]);
        let at = line.at;
        joined.push(line.take(kind.output()));
        line.at = at;
        rest = &rest[end + 1..];
        *ended = true;
    }
    if !rest.is_empty() {
        line.add(rest);
        *ended = false;
    }
}

fn failed(words: &[u8]) -> Joined {
    Joined::Failed(String::from_utf8_lossy(words).into_owned())
}

impl Line {
    fn add(&mut self, bytes: &[u8]) {
        self.begun = true;
        // One byte more than a line has may be the carriage return of its end.
        let room = LINE_LIMIT + 1 - self.bytes.len();
        self.cut |= bytes.len() > room;
        self.bytes.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    fn take(&mut self, output: Output) -> Joined {
        let line = std::mem::take(self);
        finished(output, line.at, line.bytes, line.cut)
    }
}

/// Makes a line of bytes without their line end.
fn finished(output: Output, at: Option<DateTime<Utc>>, mut bytes: Vec<u8>, mut cut: bool) -> Joined {
    if !cut && bytes.last() == Some(&b'\r') {
        bytes.pop();
    }
    if bytes.len() > LINE_LIMIT {
        bytes.truncate(LINE_LIMIT);
        cut = true;
    }
    if cut {
        // A character that the cut went through is dropped whole.
        if let Err(error) = std::str::from_utf8(&bytes)
            && error.error_len().is_none()
        {
            bytes.truncate(error.valid_up_to());
        }
    }
    Joined::Line { output, at, text: String::from_utf8_lossy(&bytes).into_owned(), cut }
}

/// Keeps as much of a terminal's line as is of use.
fn keep(line: &mut Vec<u8>, length: &mut usize, bytes: &[u8]) {
    let room = TERMINAL_LIMIT - line.len();
    line.extend_from_slice(&bytes[..bytes.len().min(room)]);
    *length += bytes.len();
}

/// Takes the timestamps out of a terminal's line.
fn terminal_lines(raw: &[u8], length: usize, joined: &mut Vec<Joined>) {
    let cut = length > raw.len();
    let mut raw = Some(raw);
    while let Some(bytes) = raw {
        let stamp = stamp_length(bytes).unwrap_or(0);
        let (first, mut rest) = bytes.split_at(stamp);
        let mut line = Line { at: parse_stamp(first), ..Line::default() };
        let mut pieces = 0;
        while rest.len() > PIECE
            && let Some((end, stamp)) = next_stamp(rest, first)
        {
            line.add(&rest[..end]);
            rest = &rest[end + stamp..];
            pieces += 1;
        }
        let end = if pieces > 0 { lost_line_end(rest) } else { None };
        let (last, next) = end.map_or((rest, None), |end| (&rest[..end], Some(&rest[end..])));
        line.add(last);
        joined.push(finished(Output::Stdout, line.at, line.bytes, line.cut || cut && next.is_none()));
        raw = next;
    }
}

/// Finds where the next line begins: Docker 20.10 with the driver `local` drops the line end of a line in pieces, all
/// but the carriage return that the terminal put before it.
fn lost_line_end(last: &[u8]) -> Option<usize> {
    let returns = last.iter().enumerate().filter(|(_, byte)| **byte == b'\r').map(|(at, _)| at + 1);
    returns.into_iter().find(|after| stamp_length(&last[*after..]).is_some())
}

/// Finds the timestamp after the first piece: right at its end, or the line's own somewhat later, where bytes that are
/// not UTF-8 made the piece longer.
fn next_stamp(rest: &[u8], first: &[u8]) -> Option<(usize, usize)> {
    if let Some(stamp) = stamp_length(&rest[PIECE..]) {
        return Some((PIECE, stamp));
    }
    if first.is_empty() {
        return None;
    }
    let at = rest[PIECE..].windows(first.len()).position(|window| window == first)?;
    Some((PIECE + at, first.len()))
}

/// Returns the length of a timestamp with its space, if `bytes` begin with one.
fn stamp_length(bytes: &[u8]) -> Option<usize> {
    let end = bytes.iter().take(STAMP_LIMIT).position(|byte| *byte == b' ')? + 1;
    parse_stamp(&bytes[..end]).map(|_| end)
}

fn parse_stamp(bytes: &[u8]) -> Option<DateTime<Utc>> {
    let text = std::str::from_utf8(bytes.strip_suffix(b" ").unwrap_or(bytes)).ok()?;
    DateTime::parse_from_rfc3339(text).ok().map(|at| at.to_utc())
}

#[cfg(test)]
mod tests;
