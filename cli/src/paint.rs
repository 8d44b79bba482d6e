//! Styled text: the one way from somebody's words to the terminal.
//!
//! A [`Line`] is made of [`Span`]s whose text is cleaned when they are made, so that only a [`Palette`] ever writes an
//! escape sequence.

use std::fmt::Write as _;

use crate::text;

/// What a piece of text means, not how it looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Style {
    #[default]
    Plain,
    Strong,
    Faint,
    Good,
    Warn,
    Bad,
    /// One of [`Style::TONES`] colours that tell neighbours apart and mean nothing.
    Tone(u8),
}

impl Style {
    /// How many tones there are.
    pub const TONES: u8 = 10;

    fn code(self) -> &'static str {
        // Red is left to what is bad, black and white to the background.
        const TONES: [&str; Style::TONES as usize] =
            ["36", "33", "32", "35", "34", "96", "93", "92", "95", "94"];
        match self {
            Style::Plain => "",
            Style::Strong => "1",
            Style::Faint => "2",
            Style::Good => "32",
            Style::Warn => "33",
            Style::Bad => "31",
            Style::Tone(tone) => TONES[usize::from(tone % Style::TONES)],
        }
    }
}

/// Whether colours are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Palette {
    Colour,
    Mono,
}

impl Palette {
    /// Returns `text` in the given style. The text must be clean.
    pub fn paint(self, style: Style, text: &str) -> String {
        let code = style.code();
        match self {
            Palette::Colour if !code.is_empty() && !text.is_empty() => {
                format!("\u{1b}[{code}m{text}\u{1b}[0m")
            }
            _ => text.to_owned(),
        }
    }
}

/// A piece of a line in one style.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    text: String,
    style: Style,
}

impl Span {
    /// Returns `text`, cleaned, in a style.
    pub fn new(text: impl AsRef<str>, style: Style) -> Self {
        Self { text: text::clean(text.as_ref()).into_owned(), style }
    }

    /// Returns the clean text.
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// One line of output, without its end.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Line {
    spans: Vec<Span>,
}

impl Line {
    /// Returns an empty line.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns a line in one style.
    pub fn of(text: impl AsRef<str>, style: Style) -> Self {
        Self::new().with(text, style)
    }

    /// Returns a line without any style.
    pub fn plain(text: impl AsRef<str>) -> Self {
        Self::of(text, Style::Plain)
    }

    /// Adds a piece.
    #[must_use]
    pub fn with(mut self, text: impl AsRef<str>, style: Style) -> Self {
        self.push(Span::new(text, style));
        self
    }

    /// Adds a piece.
    pub fn push(&mut self, span: Span) {
        self.spans.push(span);
    }

    /// Returns the columns it takes.
    pub fn width(&self) -> usize {
        text::width(&self.text())
    }

    /// Returns the text alone.
    pub fn text(&self) -> String {
        self.spans.iter().map(Span::text).collect()
    }

    /// Returns the line in one style throughout.
    #[must_use]
    pub fn all(mut self, style: Style) -> Self {
        for span in &mut self.spans {
            span.style = style;
        }
        self
    }

    /// Shortens the line to at most `max` columns.
    #[must_use]
    pub fn fit(self, max: Option<usize>) -> Self {
        let Some(max) = max.filter(|max| self.width() > *max) else {
            return self;
        };
        let mut fitted = Self::new();
        for span in self.spans {
            let room = max - fitted.width();
            // The piece that does not fit ends the line; one column is kept for its mark.
            if text::width(&span.text) >= room {
                let short = format!("{}…", text::head(&span.text, room.saturating_sub(1)));
                let short = if room == 0 { String::new() } else { short };
                fitted.spans.push(Span { text: short, style: span.style });
                break;
            }
            fitted.spans.push(span);
        }
        fitted
    }

    /// Returns the line as it is written, without spaces at its end.
    pub fn render(&self, palette: Palette) -> String {
        let mut out = String::new();
        let last = self.spans.iter().rposition(|span| !span.text.trim_end().is_empty());
        let Some(last) = last else {
            return out;
        };
        for (at, span) in self.spans.iter().enumerate().take(last + 1) {
            let shown = if at == last { span.text.trim_end() } else { &span.text };
            out.push_str(&palette.paint(span.style, shown));
        }
        out
    }
}

/// Returns lines as they are written, each with its end.
pub fn render(lines: &[Line], palette: Palette) -> String {
    let mut out = String::new();
    for line in lines {
        writeln!(out, "{}", line.render(palette)).expect("writing to a string cannot fail");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_palette_writes_escape_sequences() {
        let line = Line::of("\u{1b}[31mname", Style::Good);
        assert_eq!(line.render(Palette::Mono), "\u{fffd}[31mname");
        assert_eq!(line.render(Palette::Colour), "\u{1b}[32m\u{fffd}[31mname\u{1b}[0m");
    }

    #[test]
    fn a_line_is_cut_at_the_width_with_a_mark() {
        let line = Line::plain("abc").with("def", Style::Bad);
        for (max, expected) in [(6, "abcdef"), (5, "abcd…"), (4, "abc…"), (3, "ab…"), (1, "…"), (0, "")]
        {
            assert_eq!(line.clone().fit(Some(max)).text(), expected, "at {max}");
        }
        assert_eq!(line.clone().fit(None).text(), "abcdef");
    }

    #[test]
    fn spaces_at_the_end_are_not_written() {
        let line = Line::plain("a  ").with("   ", Style::Good);
        assert_eq!(line.render(Palette::Colour), "a");
    }
}
