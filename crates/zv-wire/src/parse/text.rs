//! The text format, version 0.0.4, as lenient as Prometheus' own reader: blanks may stand nearly everywhere, commas between
//! labels may be missing, the last line needs no end, and names may stand in quotes.
//!
//! Otherwise than there, a blank before a name is no part of it, a time may be before 1970, and a NUL ends nothing: it may
//! stand in quotes and is a mistake elsewhere.

use zv_model::MetricKind;

use super::error::{Fault, excerpt};
use super::input::Input;
use super::{Item, Sample, entry, number};

type Labels<'a> = Vec<(&'a str, &'a str)>;

/// Reads the next entry.
pub(super) fn read<'a>(input: &mut Input<'a>, labels: &mut Labels<'a>) -> Result<Item<'a>, Fault> {
    loop {
        input.skip_blanks();
        input.begin_entry();
        match input.peek() {
            None if input.ended()? => return Ok(Item::Eof),
            Some(b'\n') => {
                input.skip(b'\n');
            }
            Some(b'#') => return hash(input),
            _ => return series(input, labels),
        }
    }
}

/// Reads a line that begins with `#`.
fn hash<'a>(input: &mut Input<'a>) -> Result<Item<'a>, Fault> {
    let from = input.at();
    input.skip(b'#');
    let blank = |input: &Input<'_>| matches!(input.peek(), Some(b' ' | b'\t'));
    if blank(input) {
        input.skip_blanks();
        let is_help = input.skip_text("HELP");
        if (is_help || input.skip_text("TYPE")) && blank(input) {
            input.skip_blanks();
            return metadata(input, is_help);
        }
    }
    let text = input.comment(from);
    input.skip(b'\n');
    Ok(Item::Comment(text))
}

fn metadata<'a>(input: &mut Input<'a>, is_help: bool) -> Result<Item<'a>, Fault> {
    let name = match input.plain_metric_name()? {
        Some(name) => Some(name),
        None => input.quoted_name(true)?,
    };
    let Some(family) = name else { return Err(input.expected("a metric's name")) };
    let family = entry::unescape(family, true);
    let text = input.until(|byte| byte == b'\n');
    // A single character is between the two, whatever it is.
    let text = text.char_indices().nth(1).map_or("", |(at, _)| &text[at..]);
    if input.ended()? || input.skip(b'\n') {
        if is_help {
            return Ok(Item::Help { family, text: entry::unescape(text, false) });
        }
        return match text {
            "counter" => Ok(MetricKind::Counter),
            "gauge" => Ok(MetricKind::Gauge),
            "histogram" => Ok(MetricKind::Histogram),
            "summary" => Ok(MetricKind::Summary),
            "untyped" => Ok(MetricKind::Unknown),
            _ => Err(Fault::Type(excerpt(text))),
        }
        .map(|kind| Item::Type { family, kind });
    }
    Err(input.expected("the end of the line"))
}

fn series<'a>(input: &mut Input<'a>, labels: &mut Labels<'a>) -> Result<Item<'a>, Fault> {
    let from = input.at();
    labels.clear();
    let mut name = input.plain_metric_name()?;
    let mut text = input.since(from);
    if name.is_none() && input.peek() != Some(b'{') {
        return Err(input.expected("a metric's name"));
    }
    input.skip_blanks();
    if input.skip(b'{') {
        braces(input, labels, &mut name)?;
        text = input.since(from);
        input.skip_blanks();
    }
    let Some(name) = name else { return Err(Fault::NoName) };
    let value = input.until(|byte| matches!(byte, b'{' | b' ' | b'\t' | b'\n'));
    if value.is_empty() {
        return Err(input.expected("a value"));
    }
    let value = number::read(value)?;
    input.skip_blanks();
    let at = time(input)?;
    input.skip_blanks();
    if !input.skip(b'\n') && !input.ended()? {
        return Err(input.expected("the end of the line"));
    }
    Ok(Item::Series(Sample { text, name, value, at, exemplar: None }))
}

fn time(input: &mut Input<'_>) -> Result<Option<zv_model::Timestamp>, Fault> {
    let from = input.at();
    // Prometheus refuses times before 1970; the format's description has them.
    input.skip(b'-');
    input.until(|byte| !byte.is_ascii_digit());
    match input.since(from) {
        "" => Ok(None),
        text => text.parse().map(Some).map_err(|_| Fault::Time(excerpt(text))),
    }
}

/// Reads what stands between braces, and the closing one. A name in quotes without a value is the metric's.
fn braces<'a>(
    input: &mut Input<'a>,
    labels: &mut Labels<'a>,
    metric: &mut Option<&'a str>,
) -> Result<(), Fault> {
    loop {
        input.skip_blanks();
        if input.skip(b'}') {
            return Ok(());
        }
        let plain = input.plain_label_name()?;
        let quoted = if plain.is_none() { input.quoted_name(true)? } else { None };
        let Some(name) = plain.or(quoted) else { return Err(input.expected("a label's name")) };
        input.skip_blanks();
        if quoted.is_some() && matches!(input.peek(), Some(b',' | b'}')) {
            if metric.replace(name).is_some() {
                return Err(Fault::SecondName);
            }
            input.skip(b',');
            continue;
        }
        input.need(b'=', "`=`")?;
        input.skip_blanks();
        let value = input.label_value(true)?;
        input.push_label(labels, name, value)?;
        input.skip_blanks();
        input.skip(b',');
    }
}
