//! Series and their values as scripts write them: `up{job="zv"} 0 1+2x3 _ stale {{…}}`.

use zv_model::{Labels, STALE_NAN};

use crate::parse;

/// The longest sequence: a mistyped repetition must not fill the memory.
const LONGEST: usize = 1_000_000;

/// A value in a sequence.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Value {
    Float(f64),
    Omitted,
    /// A native histogram, whatever is in it.
    Histogram,
}

/// Reads a series and its values.
pub(crate) fn series(line: &str) -> Result<(Labels, Vec<Value>), String> {
    let end = labels_end(line)?;
    let labels = parse::labels(&line[..end]).map_err(|error| error.to_string())?;
    Ok((labels, values(&line[end..])?))
}

/// Returns where the labels end.
fn labels_end(line: &str) -> Result<usize, String> {
    let is_end = |c: char| c == '{' || c.is_whitespace();
    let name_end = line.find(is_end).unwrap_or(line.len());
    if !line[name_end..].starts_with('{') || line[name_end..].starts_with("{{") {
        return Ok(name_end);
    }
    let mut quote = None;
    let mut is_escaped = false;
    for (at, c) in line.char_indices().skip_while(|(at, _)| *at < name_end) {
        match quote {
            Some(_) if is_escaped => is_escaped = false,
            Some(mark) if c == '\\' => is_escaped = mark != '`',
            Some(mark) if c == mark => quote = None,
            Some(_) => {}
            None if matches!(c, '"' | '\'' | '`') => quote = Some(c),
            None if c == '}' => return Ok(at + 1),
            None => {}
        }
    }
    Err("the braces are not closed".to_owned())
}

/// Reads values.
pub(crate) fn values(text: &str) -> Result<Vec<Value>, String> {
    let mut out = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        rest = if rest.starts_with("{{") { histograms(rest, &mut out)? } else { item(rest, &mut out)? };
        rest = rest.trim_start();
        if out.len() > LONGEST {
            return Err(format!("a sequence may have {LONGEST} values at most"));
        }
    }
    Ok(out)
}

/// Reads `{{…}}`, `{{…}}x3` or `{{…}}+{{…}}x3`.
fn histograms<'a>(text: &'a str, out: &mut Vec<Value>) -> Result<&'a str, String> {
    let close = |text: &'a str| {
        let end = text.find("}}").ok_or("the histogram is not closed")?;
        Ok::<_, String>(&text[end + 2..])
    };
    let mut rest = close(text)?;
    if let Some(step) = rest.strip_prefix(['+', '-']).filter(|step| step.starts_with("{{")) {
        rest = close(step)?;
    }
    let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
    let times = match rest[..end].strip_prefix('x') {
        Some(times) => repetitions(times)? + 1,
        None => 1,
    };
    out.extend(std::iter::repeat_n(Value::Histogram, times));
    Ok(&rest[end..])
}

/// Reads one item up to the next space.
fn item<'a>(text: &'a str, out: &mut Vec<Value>) -> Result<&'a str, String> {
    let end = text.find(char::is_whitespace).unwrap_or(text.len());
    let (item, rest) = text.split_at(end);
    if let Some(value) = single(item) {
        out.push(value);
        return Ok(rest);
    }
    let invalid = || format!("`{item}` is no value of a series");
    let (repeated, times) = item.rsplit_once('x').ok_or_else(invalid)?;
    let times = repetitions(times)?;
    match single(repeated) {
        Some(Value::Omitted) => out.extend(std::iter::repeat_n(Value::Omitted, times)),
        Some(value) => out.extend(std::iter::repeat_n(value, times + 1)),
        None => {
            let (mut value, step) = with_step(repeated).ok_or_else(invalid)?;
            for _ in 0..=times {
                out.push(Value::Float(value));
                value += step;
            }
        }
    }
    Ok(rest)
}

fn repetitions(text: &str) -> Result<usize, String> {
    let times = text.parse::<usize>().map_err(|_| format!("`{text}` is no number of repetitions"))?;
    if times > LONGEST { Err(format!("a sequence may have {LONGEST} values at most")) } else { Ok(times) }
}

fn single(item: &str) -> Option<Value> {
    match item {
        "_" => Some(Value::Omitted),
        "stale" => Some(Value::Float(STALE_NAN)),
        _ => number(item).map(Value::Float),
    }
}

/// Reads `1+2` or `1-2`: a beginning and a step.
fn with_step(text: &str) -> Option<(f64, f64)> {
    let signs = text.char_indices().skip(1).filter(|(_, c)| matches!(c, '+' | '-'));
    let mut pairs = signs.filter_map(|(at, _)| Some((number(&text[..at])?, number(&text[at..])?)));
    pairs.next()
}

/// Reads a number with or without a sign.
pub(crate) fn number(text: &str) -> Option<f64> {
    let plain = text.strip_prefix(['+', '-']).unwrap_or(text);
    let is_word = ["inf", "nan"].iter().any(|word| plain.eq_ignore_ascii_case(word));
    if !is_word && !plain.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return None;
    }
    // `0x59` is a repetition, not a hexadecimal number.
    if plain.contains(['x', 'X']) {
        return None;
    }
    let value = parse::parse_number(plain).ok()?;
    Some(if text.starts_with('-') { -value } else { value })
}
