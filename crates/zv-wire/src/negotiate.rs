//! Chooses the format that whoever scrapes would rather have, from its `Accept` header; and says what a scraper accepts and
//! what it was given.

use crate::expose::Format;

impl Format {
    /// What a scraper that reads with [`crate::Parser`] puts into its `Accept` header.
    pub const ACCEPT: &str = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
        application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,\
        text/plain;version=0.0.4;q=0.3,*/*;q=0.2";

    /// Returns the format of a document by its `Content-Type`. Prometheus refuses what is `None` unless its configuration
    /// names a format for such targets (`fallback_scrape_protocol`).
    pub fn of_content_type(content_type: &str) -> Option<Format> {
        let kind = content_type.split(';').next().unwrap_or_default().trim();
        if kind.eq_ignore_ascii_case("application/openmetrics-text") {
            return Some(Format::OpenMetrics);
        }
        kind.eq_ignore_ascii_case("text/plain").then_some(Format::Text)
    }

    /// Returns the format of a document of which nothing else is known: OpenMetrics ends with `# EOF`.
    pub fn of_document(document: &[u8]) -> Format {
        let last = document.strip_suffix(b"\n").unwrap_or(document);
        let last = last.rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
        if last == b"# EOF" { Format::OpenMetrics } else { Format::Text }
    }

    /// Returns the format for an `Accept` header: the one with the highest `q` among those that are spoken, the first named
    /// where two are wished for alike. Whatever is not understood counts as not said; then the text format is the answer,
    /// as everything that scrapes reads it.
    pub fn negotiate(accept: &str) -> Format {
        let mut best: Option<(u16, Format)> = None;
        for range in split_outside_quotes(accept, ',') {
            let Some((weight, format)) = wish(range) else { continue };
            if weight > 0 && best.is_none_or(|(most, _)| weight > most) {
                best = Some((weight, format));
            }
        }
        best.map_or(Format::Text, |(_, format)| format)
    }
}

/// Returns how much one range of the header is wished for, in thousandths, and the format that it means.
fn wish(range: &str) -> Option<(u16, Format)> {
    let mut parts = split_outside_quotes(range, ';').map(str::trim);
    let kind = parts.next()?.to_ascii_lowercase();
    let (mut weight, mut version) = (1000, None);
    for parameter in parts {
        let Some((name, value)) = parameter.split_once('=') else { continue };
        let value = value.trim().trim_matches('"');
        match name.trim().to_ascii_lowercase().as_str() {
            "q" => weight = thousandths(value)?,
            "version" => version = Some(value),
            // `escaping`, `charset`: names are plain and the text is UTF-8, which suits everybody.
            _ => {}
        }
    }
    let format = match (kind.as_str(), version) {
        // What 1.0.0 brought is said in a way that readers of 0.0.1 understand.
        ("application/openmetrics-text", None | Some("1.0.0" | "0.0.1")) => Format::OpenMetrics,
        ("application/*", None) => Format::OpenMetrics,
        // 1.0.0 adds names in quotes to 0.0.4, and none are written.
        ("text/plain", None | Some("0.0.4" | "1.0.0")) => Format::Text,
        ("text/*" | "*/*", _) => Format::Text,
        _ => return None,
    };
    Some((weight, format))
}

/// Reads a weight: `1`, `0.5`, `0.123`.
fn thousandths(text: &str) -> Option<u16> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !matches!(whole, "0" | "1") || part.len() > 12 || !is_number(part) {
        return None;
    }
    let part = part.bytes().chain([b'0'; 3]).take(3);
    let part = part.fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0'));
    Some(if whole == "1" { 1000 } else { part })
}

/// Splits at a sign that stands in no quotes.
fn split_outside_quotes(text: &str, sign: char) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    text.split(move |c| {
        quoted ^= c == '"';
        !quoted && c == sign
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn scrapers_get_what_they_would_rather_have() {
        for (accept, expected) in [
            // Prometheus 3.5, in the order it has by default.
            (
                "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
                 application/openmetrics-text;version=0.0.1;q=0.5,\
                 text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
                Format::OpenMetrics,
            ),
            // Prometheus 2.53, and one told to scrape text first.
            (
                "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,\
                 text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
                Format::OpenMetrics,
            ),
            (
                "text/plain;version=0.0.4;q=0.5,application/openmetrics-text;version=1.0.0;q=0.4,*/*;q=0.1",
                Format::Text,
            ),
            // With native histograms, protobuf comes first; it is not spoken.
            (
                "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.7,\
                 application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.5",
                Format::OpenMetrics,
            ),
            ("text/plain", Format::Text),
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", Format::Text),
            ("*/*", Format::Text),
            ("", Format::Text),
            ("Application/OpenMetrics-Text; Version=\"1.0.0\"; Q=1", Format::OpenMetrics),
            ("application/openmetrics-text", Format::OpenMetrics),
            ("application/openmetrics-text; version=1.0.0; charset=utf-8", Format::OpenMetrics),
            ("application/openmetrics-text;version=2.0.0", Format::Text),
            ("application/openmetrics-text;q=0", Format::Text),
            ("application/openmetrics-text;q=0.5,text/plain;q=0.5", Format::OpenMetrics),
            ("text/plain;q=0.5,application/openmetrics-text;q=0.5", Format::Text),
            ("application/openmetrics-text;q=0.123456,text/plain;q=0.12", Format::OpenMetrics),
            ("application/openmetrics-text;q=x,text/plain;q=0.1", Format::Text),
            ("application/openmetrics-text;note=\"a,b;q=0\"", Format::OpenMetrics),
            ("application/json", Format::Text),
            (";;;,,,=\"", Format::Text),
        ] {
            assert_eq!(Format::negotiate(accept), expected, "{accept}");
        }
    }

    #[test]
    fn formats_are_told_by_header_and_by_ending() {
        for format in [Format::Text, Format::OpenMetrics] {
            assert_eq!(Format::of_content_type(format.content_type()), Some(format));
        }
        assert_eq!(Format::of_content_type("Text/Plain"), Some(Format::Text));
        assert_eq!(Format::of_content_type("text/html; charset=utf-8"), None);
        assert_eq!(Format::of_content_type(""), None);
        assert_eq!(Format::negotiate(Format::ACCEPT), Format::OpenMetrics);
        for (document, expected) in [
            ("a 1\n# EOF\n", Format::OpenMetrics),
            ("# EOF", Format::OpenMetrics),
            ("a 1\n# EOF\n\n", Format::Text),
            ("a 1\n", Format::Text),
            ("", Format::Text),
        ] {
            assert_eq!(Format::of_document(document.as_bytes()), expected, "{document}");
        }
    }

    proptest! {
        #[test]
        fn whatever_comes_is_answered(accept in "\\PC*") {
            Format::negotiate(&accept);
        }
    }
}
