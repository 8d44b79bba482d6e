//! The format of server-sent events, parsed as it arrives. Pure.

use std::mem;

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Frame {
    /// The last id seen so far, this event's own included.
    pub(super) id: String,
    /// `message` where the event has no name.
    pub(super) name: String,
    pub(super) data: String,
}

/// An event is larger than is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooLarge;

/// Takes bytes in any portions, gives events.
#[derive(Debug)]
pub(super) struct Parser {
    limit: usize,
    line: Vec<u8>,
    /// The last byte was a carriage return: a line feed that follows belongs to it.
    after_return: bool,
    at_start: bool,
    id: String,
    name: String,
    data: String,
    has_data: bool,
}

impl Parser {
    /// Returns a parser for events of at most `limit` bytes.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            line: Vec::new(),
            after_return: false,
            at_start: true,
            id: String::new(),
            name: String::new(),
            data: String::new(),
            has_data: false,
        }
    }

    /// Takes more bytes and appends the events that they complete to `frames`. After an error the rest makes no sense.
    pub(super) fn push(&mut self, mut bytes: &[u8], frames: &mut Vec<Frame>) -> Result<(), TooLarge> {
        while !bytes.is_empty() {
            if mem::take(&mut self.after_return) && bytes[0] == b'\n' {
                bytes = &bytes[1..];
                continue;
            }
            let end = bytes.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
            let part = &bytes[..end.unwrap_or(bytes.len())];
            if self.line.len() + part.len() + self.data.len() > self.limit {
                return Err(TooLarge);
            }
            self.line.extend_from_slice(part);
            let Some(end) = end else { return Ok(()) };
            self.after_return = bytes[end] == b'\r';
            bytes = &bytes[end + 1..];
            frames.extend(self.finish_line());
        }
        Ok(())
    }

    fn finish_line(&mut self) -> Option<Frame> {
        let line = mem::take(&mut self.line);
        let line = match mem::take(&mut self.at_start) {
            true => line.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&line),
            false => &line,
        };
        if line.is_empty() {
            return self.dispatch();
        }
        let text = String::from_utf8_lossy(line);
        let (field, value) = text.split_once(':').unwrap_or((&text, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.name),
            "id" if !value.contains('\0') => value.clone_into(&mut self.id),
            "data" => {
                if mem::replace(&mut self.has_data, true) {
                    self.data.push('\n');
                }
                self.data.push_str(value);
            }
            // A comment, which has no name, or a field that means nothing here.
            _ => {}
        }
        None
    }

    fn dispatch(&mut self) -> Option<Frame> {
        let name = mem::take(&mut self.name);
        let data = mem::take(&mut self.data);
        mem::take(&mut self.has_data).then(|| Frame {
            id: self.id.clone(),
            name: if name.is_empty() { "message".to_owned() } else { name },
            data,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse<'a>(portions: impl IntoIterator<Item = &'a [u8]>, limit: usize) -> Result<Vec<Frame>, TooLarge> {
        let mut parser = Parser::new(limit);
        let mut frames = Vec::new();
        for portion in portions {
            parser.push(portion, &mut frames)?;
        }
        Ok(frames)
    }

    fn check(input: &str, expected: &[(&str, &str, &str)]) {
        let frames = parse([input.as_bytes()], 1000).unwrap();
        let frames: Vec<_> =
            frames.iter().map(|f| (f.id.as_str(), f.name.as_str(), f.data.as_str())).collect();
        assert_eq!(frames, expected, "{input:?}");
    }

    #[test]
    fn the_fields_of_an_event() {
        check("event: change\nid: e-1\ndata: {}\n\n", &[("e-1", "change", "{}")]);
        check("data: a\ndata:b\ndata:  c\n\n", &[("", "message", "a\nb\n c")]);
        check("data\n\ndata\ndata\n\n", &[("", "message", ""), ("", "message", "\n")]);
        check(": keep\n\n:\n\ndata: a: b\nretry: 7\nother: x\n\n", &[("", "message", "a: b")]);
        check(
            "id: 1\ndata: a\n\ndata: b\n\nid\ndata: c\n\n",
            &[("1", "message", "a"), ("1", "message", "b"), ("", "message", "c")],
        );
        check("event: lost\n\ndata: a\n\n", &[("", "message", "a")]);
        check("\u{feff}data: a\n\n\u{feff}data: b\n\n", &[("", "message", "a")]);
        check("data: cut off\n", &[]);
    }

    #[test]
    fn every_line_end() {
        for end in ["\n", "\r\n", "\r"] {
            check(
                &"id: 1|data: a|data: b||data: c||".replace('|', end),
                &[("1", "message", "a\nb"), ("1", "message", "c")],
            );
        }
        check("data: a\r\r\ndata: b\n\r\n", &[("", "message", "a"), ("", "message", "b")]);
    }

    #[test]
    fn an_event_has_a_largest_size_and_a_stream_has_none() {
        let event = format!("data: {}\n\n", "x".repeat(50));
        let stream = event.repeat(100);
        assert_eq!(parse([stream.as_bytes()], 60).unwrap().len(), 100);
        assert_eq!(parse([stream.as_bytes()], 50), Err(TooLarge));
        let lines = "data: x\n".repeat(100);
        assert_eq!(parse([lines.as_bytes()], 60), Err(TooLarge));
    }

    fn stream() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop::sample::select(vec![
            "data",
            "event",
            "id",
            ": ",
            ":",
            " ",
            "\n",
            "\r",
            "\r\n",
            "\n\n",
            "x",
            "ü",
            "\u{feff}",
            "\0",
            "data: a\n\n",
        ]);
        prop::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat().into_bytes())
    }

    proptest! {
        #[test]
        fn any_portions_give_the_same_events(stream in stream(), cuts in prop::collection::vec(0usize..200, 0..20)) {
            let whole = parse([stream.as_slice()], 4096).unwrap();
            let bytes = stream.chunks(1);
            prop_assert_eq!(&parse(bytes, 4096).unwrap(), &whole);
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(stream.len())).collect();
            cuts.extend([0, stream.len()]);
            cuts.sort_unstable();
            let portions = cuts.windows(2).map(|pair| &stream[pair[0]..pair[1]]);
            prop_assert_eq!(&parse(portions, 4096).unwrap(), &whole);
        }

        #[test]
        fn no_bytes_are_too_strange(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            parse([bytes.as_slice()], 100).ok();
        }
    }
}
