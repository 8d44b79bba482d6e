//! Where output goes: stdout for what was asked for, stderr for what a person should know besides.

use std::borrow::Cow;
use std::fmt::{self, Write as _};
use std::io::{self, BufWriter, IsTerminal, Write};

use anyhow::Context;
use serde::Serialize;

use crate::environment::Environment;
use crate::failure::Outcome;
use crate::paint::{self, Line, Palette, Style};
use crate::text;

/// The width of a terminal that does not tell its own.
const USUAL_WIDTH: usize = 80;
/// What failed where a full disk or a closed file takes no output.
const UNWRITABLE: &str = "cannot write to standard output";

/// The two outputs of the process and what is known of them.
pub struct Console {
    out: Box<dyn Write + Send>,
    err: Box<dyn Write + Send>,
    facts: Facts,
}

/// What is known of the two outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// How stdout is painted.
    pub palette: Palette,
    /// How stderr is painted.
    pub err_palette: Palette,
    /// The columns of stdout; none where it is not a terminal.
    pub width: Option<usize>,
    /// Stderr is a terminal: progress may be shown there.
    pub progress: bool,
}

impl fmt::Debug for Console {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Console").field("facts", &self.facts).finish_non_exhaustive()
    }
}

impl Console {
    /// Returns the console of this process.
    pub fn of_process(environment: &Environment, no_color: bool) -> Self {
        let (stdout, stderr) = (io::stdout(), io::stderr());
        let facts = Facts {
            palette: palette(environment, no_color, stdout.is_terminal()),
            err_palette: palette(environment, no_color, stderr.is_terminal()),
            width: stdout.is_terminal().then(|| terminal_width(environment)),
            progress: stderr.is_terminal() && !environment.dumb_terminal,
        };
        Self { out: Box::new(BufWriter::with_capacity(64 * 1024, stdout)), err: Box::new(stderr), facts }
    }

    /// Returns a console that writes elsewhere.
    pub fn new(out: Box<dyn Write + Send>, err: Box<dyn Write + Send>, facts: Facts) -> Self {
        Self { out, err, facts }
    }

    /// Returns what is known of the outputs.
    pub fn facts(&self) -> Facts {
        self.facts
    }

    /// Says whether stdout is a terminal.
    pub fn is_terminal(&self) -> bool {
        self.facts.width.is_some()
    }

    /// Prints lines to stdout.
    pub fn lines(&mut self, lines: &[Line]) -> Outcome {
        let text = paint::render(lines, self.facts.palette);
        self.raw(text.as_bytes())
    }

    /// Prints bytes to stdout as they are.
    pub fn raw(&mut self, bytes: &[u8]) -> Outcome {
        Ok(self.out.write_all(bytes).context(UNWRITABLE)?)
    }

    /// Prints a value to stdout as indented JSON.
    pub fn json<T: Serialize + ?Sized>(&mut self, value: &T) -> Outcome {
        let text = serde_json::to_string_pretty(value).map_err(anyhow::Error::new)?;
        self.raw(format!("{}\n", harmless_json(&text)).as_bytes())
    }

    /// Prints a value to stdout as one line of JSON.
    pub fn json_line<T: Serialize + ?Sized>(&mut self, value: &T) -> Outcome {
        let text = serde_json::to_string(value).map_err(anyhow::Error::new)?;
        self.raw(format!("{}\n", harmless_json(&text)).as_bytes())
    }

    /// Hands everything printed so far to the reader.
    pub fn flush(&mut self) -> Outcome {
        Ok(self.out.flush().context(UNWRITABLE)?)
    }

    /// Tells a person something on stderr. A stderr that is closed is nobody's loss.
    pub fn tell(&mut self, sentence: &str) {
        let line = Line::plain(sentence).render(self.facts.err_palette);
        writeln!(self.err, "{line}").ok();
    }

    /// Tells an error on stderr, each of its lines cleaned.
    pub fn error(&mut self, sentence: &str) {
        let mut lines = sentence.lines();
        let mut line = Line::of("error:", Style::Bad).with(" ", Style::Plain);
        line = line.with(lines.next().unwrap_or_default(), Style::Plain);
        writeln!(self.err, "{}", line.render(self.facts.err_palette)).ok();
        for rest in lines {
            writeln!(self.err, "{}", text::clean(rest)).ok();
        }
    }

    /// Shows what is being done, on a terminal alone; the next call replaces it, an empty text takes it away.
    pub fn progress(&mut self, text: &str) {
        if self.facts.progress {
            write!(self.err, "\r\u{1b}[K{}", text::clean(text)).and_then(|()| self.err.flush()).ok();
        }
    }
}

/// Escapes what acts on a terminal and may stand in JSON as it is: control characters beyond ASCII, text direction. Such
/// characters stand in strings alone, but for line ends.
fn harmless_json(json: &str) -> Cow<'_, str> {
    let escaped = |c: char| c != '\n' && text::acts(c);
    if !json.contains(escaped) {
        return Cow::Borrowed(json);
    }
    let mut out = String::with_capacity(json.len() + 16);
    for c in json.chars() {
        if escaped(c) {
            write!(out, "\\u{:04x}", u32::from(c)).expect("writing to a string cannot fail");
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

/// Decides on colours: an explicit no wins, then a force, then whether a terminal is there to show them.
fn palette(environment: &Environment, no_color: bool, terminal: bool) -> Palette {
    let forced = environment.force_color;
    if no_color || environment.no_color || (!forced && (!terminal || environment.dumb_terminal)) {
        Palette::Mono
    } else {
        Palette::Colour
    }
}

fn terminal_width(environment: &Environment) -> usize {
    let told = rustix::termios::tcgetwinsize(io::stdout()).ok().map(|size| usize::from(size.ws_col));
    told.filter(|columns| *columns > 0).or(environment.columns).unwrap_or(USUAL_WIDTH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_the_same_to_a_program_and_harmless_to_a_terminal() {
        let hostile = ["\u{9b}2J\u{7f}\u{202e}\u{1b}[2J\n", "日本語"];
        let json = serde_json::to_string_pretty(&hostile).unwrap();
        let shown = harmless_json(&json);
        assert!(!shown.chars().any(|c| c != '\n' && text::acts(c)), "{shown:?}");
        assert_eq!(serde_json::from_str::<Vec<String>>(&shown).unwrap(), hostile);
    }

    #[test]
    fn colours_are_shown_where_a_terminal_is_or_where_they_are_forced_and_nobody_says_no() {
        let environment = |no_color, force_color, dumb_terminal| Environment {
            no_color,
            force_color,
            dumb_terminal,
            ..Environment::default()
        };
        for (environment, flag, terminal, expected) in [
            (environment(false, false, false), false, true, Palette::Colour),
            (environment(false, false, false), false, false, Palette::Mono),
            (environment(false, false, true), false, true, Palette::Mono),
            (environment(false, true, false), false, false, Palette::Colour),
            (environment(false, true, true), false, false, Palette::Colour),
            (environment(true, true, false), false, true, Palette::Mono),
            (environment(false, true, false), true, true, Palette::Mono),
        ] {
            assert_eq!(palette(&environment, flag, terminal), expected, "{environment:?} {flag} {terminal}");
        }
    }
}
