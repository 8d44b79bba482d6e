//! OpenMetrics 1.0, as strict as Prometheus' own reader: one blank where one belongs, no comments, `# EOF` at the end.

use zv_model::{MetricKind, Timestamp};

use super::error::{Fault, excerpt};
use super::input::Input;
use super::{Item, Sample, entry, number};

type Labels<'a> = Vec<(&'a str, &'a str)>;

/// Reads the next entry.
pub(super) fn read<'a>(
    input: &mut Input<'a>,
    labels: &mut Labels<'a>,
    exemplar_labels: &mut Labels<'a>,
) -> Result<Item<'a>, Fault> {
    input.begin_entry();
    if input.ended()? {
        return Err(Fault::NoEof);
    }
    if input.skip_text("# EOF") {
        input.skip(b'\n');
        return if input.ended().unwrap_or(false) { Ok(Item::Eof) } else { Err(Fault::AfterEof) };
    }
    for (word, what) in
        [("# HELP ", Metadata::Help), ("# TYPE ", Metadata::Type), ("# UNIT ", Metadata::Unit)]
    {
        if input.skip_text(word) {
            return metadata(input, what);
        }
    }
    series(input, labels, exemplar_labels)
}

#[derive(Clone, Copy)]
enum Metadata {
    Help,
    Type,
    Unit,
}

fn metadata<'a>(input: &mut Input<'a>, what: Metadata) -> Result<Item<'a>, Fault> {
    let name = match input.plain_metric_name()? {
        Some(name) => Some(name),
        None => input.quoted_name(false)?,
    };
    let Some(name) = name else { return Err(input.expected("a metric's name")) };
    let family = entry::unescape(name, true);
    input.need(b' ', "a blank and a text")?;
    let text = input.until(|byte| byte == b'\n');
    input.need(b'\n', "the end of the line")?;
    match what {
        Metadata::Help => Ok(Item::Help { family, text: entry::unescape(text, true) }),
        Metadata::Type => {
            let kind = MetricKind::from_word(text).ok_or_else(|| Fault::Type(excerpt(text)))?;
            Ok(Item::Type { family, kind })
        }
        Metadata::Unit => {
            let stem = family.strip_suffix(text);
            if text.is_empty() || stem.is_some_and(|stem| stem.ends_with('_')) {
                return Ok(Item::Unit { family, unit: text });
            }
            Err(Fault::Unit { family: excerpt(&family), unit: excerpt(text) })
        }
    }
}

fn series<'a>(
    input: &mut Input<'a>,
    labels: &mut Labels<'a>,
    exemplar_labels: &mut Labels<'a>,
) -> Result<Item<'a>, Fault> {
    let from = input.at();
    labels.clear();
    let mut name = input.plain_metric_name()?;
    if name.is_none() && input.peek() != Some(b'{') {
        return Err(input.expected("a metric's name, `# HELP`, `# TYPE`, `# UNIT` or `# EOF`"));
    }
    if input.skip(b'{') {
        braces(input, labels, Some(&mut name))?;
    }
    let text = input.since(from);
    let Some(name) = name else { return Err(Fault::NoName) };
    let value = word(input, "a blank and a value")?;
    let value = number::read(value)?;
    let mut at = None;
    let mut exemplar = None;
    if input.peek() == Some(b' ') && !input.comes(" # {") {
        at = Some(number::read_seconds(word(input, "a time")?)?);
    }
    if input.skip_text(" # {") {
        exemplar = Some(read_exemplar(input, exemplar_labels)?);
    }
    match input.ended()? {
        true => Err(Fault::NoEof),
        false => input.need(b'\n', "the end of the line"),
    }?;
    Ok(Item::Series(Sample { text, name, value, at, exemplar }))
}

/// Reads the labels of an exemplar, behind its opening brace, its value and its time.
fn read_exemplar<'a>(
    input: &mut Input<'a>,
    labels: &mut Labels<'a>,
) -> Result<(f64, Option<Timestamp>), Fault> {
    labels.clear();
    braces(input, labels, None)?;
    let value = number::read(word(input, "a blank and the exemplar's value")?)?;
    let at = match input.peek() {
        Some(b' ') => Some(number::read_seconds(word(input, "the exemplar's time")?)?),
        _ => None,
    };
    Ok((value, at))
}

/// Reads a blank and what follows it.
fn word<'a>(input: &mut Input<'a>, expected: &'static str) -> Result<&'a str, Fault> {
    input.need(b' ', expected)?;
    match input.until(|byte| matches!(byte, b' ' | b'\n')) {
        "" => Err(input.expected(expected)),
        word => Ok(word),
    }
}

/// Reads what stands between braces, and the closing one. A name in quotes without a value is the metric's; an exemplar has
/// no place for one.
fn braces<'a>(
    input: &mut Input<'a>,
    labels: &mut Labels<'a>,
    mut metric: Option<&mut Option<&'a str>>,
) -> Result<(), Fault> {
    loop {
        if input.skip(b'}') {
            return Ok(());
        }
        let plain = input.plain_label_name()?;
        let quoted = if plain.is_none() { input.quoted_name(false)? } else { None };
        let Some(name) = plain.or(quoted) else { return Err(input.expected("a label's name")) };
        match &mut metric {
            Some(metric) if quoted.is_some() && matches!(input.peek(), Some(b',' | b'}')) => {
                if metric.replace(name).is_some() {
                    return Err(Fault::SecondName);
                }
                input.skip(b',');
                continue;
            }
            _ => {}
        }
        input.need(b'=', "`=`")?;
        let value = input.label_value(false)?;
        input.push_label(labels, name, value)?;
        if !input.skip(b',') && input.peek() != Some(b'}') {
            return Err(input.expected("a comma or the closing brace"));
        }
    }
}
