//! One log line, as it is printed.

use chrono::SecondsFormat;
use zv_api::LogLine;

use crate::paint::{Palette, Style};
use crate::text::{self, Colours};

/// Prefixes are not aligned beyond this: a single long name would push all text to the right.
const WIDEST_PREFIX: usize = 32;

/// How lines are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Format {
    pub prefix: bool,
    pub timestamps: bool,
    pub json: bool,
    pub palette: Palette,
    /// The output is a terminal: what acts on one is taken out.
    pub terminal: bool,
}

/// The width of the names seen so far, so that the text of all replicas starts in one column.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Prefixes {
    width: usize,
}

impl Format {
    /// Returns the line with its end.
    pub fn line(self, line: &LogLine, prefixes: &mut Prefixes) -> String {
        let mut out = String::with_capacity(line.text.len() + 48);
        let stderr = line.output == "stderr";
        if self.prefix {
            let name = text::clean(&line.name);
            let width = text::width(&name);
            prefixes.width = prefixes.width.max(width.min(WIDEST_PREFIX));
            out.push_str(&self.palette.paint(tone(&line.name), &name));
            out.push_str(&" ".repeat(prefixes.width.saturating_sub(width)));
            let (bar, style) = if stderr { (" ! ", Style::Bad) } else { (" | ", Style::Faint) };
            out.push_str(&self.palette.paint(style, bar));
        }
        if self.timestamps {
            let stamp = line.at.to_rfc3339_opts(SecondsFormat::Millis, true);
            out.push_str(&self.palette.paint(Style::Faint, &stamp));
            out.push(' ');
        }
        if self.terminal {
            let colours = if self.palette == Palette::Colour { Colours::Keep } else { Colours::Strip };
            out.push_str(&text::harmless(&line.text, colours));
        } else {
            out.push_str(&line.text);
        }
        if line.cut {
            out.push_str(&self.palette.paint(Style::Warn, " … (cut: the line is too long)"));
        }
        out.push('\n');
        out
    }
}

/// Returns the colour of a name: the same in every run, on every host.
fn tone(name: &str) -> Style {
    // FNV-1a: the standard library's hash is not stable between releases.
    let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    let tone = (hash ^ (hash >> 32)) % u64::from(Style::TONES);
    Style::Tone(u8::try_from(tone).expect("a remainder of a u8 fits into one"))
}

#[cfg(test)]
pub(super) mod samples {
    use zv_api::LogLine;

    use crate::samples;

    /// Returns a line that a service's first replica wrote to stdout.
    pub(in crate::logs) fn line(stack: &str, service: &str, text: &str) -> LogLine {
        LogLine {
            stack: stack.into(),
            service: service.into(),
            replica: "id".into(),
            name: format!("{service}-1"),
            output: "stdout".into(),
            at: samples::now(),
            text: text.into(),
            cut: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Format =
        Format { prefix: true, timestamps: false, json: false, palette: Palette::Mono, terminal: true };

    fn line(name: &str, output: &str, text: &str) -> LogLine {
        LogLine { name: name.into(), output: output.into(), ..samples::line("shop", "orders", text) }
    }

    fn shown(format: Format, lines: &[LogLine]) -> String {
        let mut prefixes = Prefixes::default();
        lines.iter().map(|line| format.line(line, &mut prefixes)).collect()
    }

    #[test]
    fn names_are_aligned_and_stderr_is_marked_by_a_character() {
        let lines = [
            line("orders-1", "stdout", "a"),
            line("db-1", "stderr", "b"),
            line(&"x".repeat(40), "stdout", "c"),
        ];
        assert_eq!(shown(PLAIN, &lines), format!("orders-1 | a\ndb-1     ! b\n{} | c\n", "x".repeat(40)));
    }

    #[test]
    fn timestamps_and_bare_lines() {
        let one = [line("db-1", "stdout", "hello")];
        assert_eq!(
            shown(Format { timestamps: true, ..PLAIN }, &one),
            "db-1 | 2026-03-01T12:00:00.000Z hello\n"
        );
        assert_eq!(shown(Format { prefix: false, ..PLAIN }, &one), "hello\n");
    }

    #[test]
    fn escape_sequences_reach_a_pipe_and_never_a_terminal() {
        let evil = [line("d\u{1b}[2Jb", "stdout", "\u{1b}[2J\u{1b}[31mred\u{1b}]0;t\u{7}")];
        assert_eq!(shown(PLAIN, &evil), "d\u{fffd}[2Jb | red\n");
        let coloured = shown(Format { palette: Palette::Colour, ..PLAIN }, &evil);
        assert!(
            coloured.ends_with("\u{1b}[31mred\u{1b}[0m\n") && !coloured.contains("\u{1b}[2J"),
            "{coloured:?}"
        );
        let piped = shown(Format { terminal: false, prefix: false, ..PLAIN }, &evil);
        assert_eq!(piped, "\u{1b}[2J\u{1b}[31mred\u{1b}]0;t\u{7}\n");
    }

    #[test]
    fn a_cut_line_says_so() {
        let cut = LogLine { cut: true, ..line("db-1", "stdout", "long") };
        assert_eq!(shown(PLAIN, &[cut]), "db-1 | long … (cut: the line is too long)\n");
    }

    #[test]
    fn a_name_keeps_its_colour_and_names_differ() {
        assert_eq!(tone("orders-1"), tone("orders-1"));
        let tones: std::collections::BTreeSet<String> =
            (1..=20).map(|number| format!("{:?}", tone(&format!("orders-{number}")))).collect();
        assert!(tones.len() >= 5, "{tones:?}");
    }
}
