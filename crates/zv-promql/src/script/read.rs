//! Reads scripts: `load`, `clear`, `eval`, and what is expected of it.

use zv_model::{Labels, duration};

use super::sequence::{self, Value};

#[derive(Debug)]
pub(super) enum Command {
    Clear,
    Load(Load),
    Eval(Box<Eval>),
}

/// Series to be put into memory, from time zero on.
#[derive(Debug)]
pub(super) struct Load {
    pub(super) step: i64,
    pub(super) series: Vec<(Labels, Vec<Value>)>,
    /// Classic histograms are native ones, too.
    pub(super) with_native: bool,
    /// Some series say when they began, which is not known here.
    pub(super) has_starts: bool,
}

/// When an expression is evaluated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    At(i64),
    Range { from: i64, to: i64, step: i64 },
}

/// What a text must be like.
#[derive(Debug, Clone)]
pub(super) enum Wanted {
    Anything,
    Message(String),
    Pattern(String),
}

/// A case.
#[derive(Debug, Clone)]
pub(super) struct Eval {
    pub(super) line: usize,
    pub(super) when: When,
    pub(super) expr: String,
    pub(super) is_ordered: bool,
    pub(super) fail: Option<Wanted>,
    pub(super) warn: Vec<Wanted>,
    pub(super) info: Vec<Wanted>,
    pub(super) no_warn: bool,
    pub(super) no_info: bool,
    /// Something is said about warnings or infos.
    pub(super) says_annotations: bool,
    pub(super) scalar: Option<f64>,
    pub(super) text: Option<String>,
    /// The times of the samples that an instant query of a range vector gives.
    pub(super) range_vector: Option<(i64, i64, i64)>,
    pub(super) series: Vec<(Labels, Vec<Value>)>,
}

/// A line, counted from one, and what is wrong with it.
type Mistake = (usize, String);

pub(super) struct Reader<'a> {
    lines: &'a [&'a str],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(lines: &'a [&'a str]) -> Self {
        Self { lines, at: 0 }
    }

    /// Returns the next line of a block; nothing where it ends.
    fn next_in_block(&mut self) -> Option<&'a str> {
        let line = self.lines.get(self.at).filter(|line| !is_blank(line))?;
        self.at += 1;
        Some(line)
    }

    pub(super) fn next_command(&mut self) -> Result<Option<Command>, Mistake> {
        while self.lines.get(self.at).is_some_and(|line| is_blank(line)) {
            self.at += 1;
        }
        let Some(line) = self.lines.get(self.at) else { return Ok(None) };
        self.at += 1;
        let number = self.at;
        let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let command = match word.to_ascii_lowercase().as_str() {
            "clear" => Ok(Command::Clear),
            word if word.starts_with("load") => self.load(word, rest.trim()).map(Command::Load),
            word if word.starts_with("eval") => {
                self.eval(number, word, rest.trim()).map(|eval| Command::Eval(Box::new(eval)))
            }
            _ => Err("the line is no command: `load`, `clear` and `eval` are known".to_owned()),
        };
        command.map(Some).map_err(|message| (self.at, message))
    }

    fn load(&mut self, word: &str, step: &str) -> Result<Load, String> {
        let step = time(step)?;
        let mut load =
            Load { step, series: Vec::new(), with_native: word == "load_with_nhcb", has_starts: false };
        while let Some(line) = self.next_in_block() {
            let first = line.split_whitespace().next().unwrap_or_default();
            if first.ends_with("@st") {
                load.has_starts = true;
                continue;
            }
            load.series.push(sequence::series(line)?);
        }
        Ok(load)
    }

    fn eval(&mut self, line: usize, word: &str, rest: &str) -> Result<Eval, String> {
        let (when, expr) = when(rest)?;
        let mut eval = Eval {
            line,
            when,
            expr: expr.to_owned(),
            is_ordered: word == "eval_ordered",
            fail: (word == "eval_fail").then_some(Wanted::Anything),
            warn: if word == "eval_warn" { vec![Wanted::Anything] } else { Vec::new() },
            info: if word == "eval_info" { vec![Wanted::Anything] } else { Vec::new() },
            no_warn: false,
            no_info: false,
            says_annotations: false,
            scalar: None,
            text: None,
            range_vector: None,
            series: Vec::new(),
        };
        while let Some(line) = self.next_in_block() {
            if eval.expectation(line)? {
                break;
            }
        }
        Ok(eval)
    }
}

impl Eval {
    /// Reads a line of what is expected. Says whether it is the last.
    fn expectation(&mut self, line: &str) -> Result<bool, String> {
        if let Some(message) = line.strip_prefix("expected_fail_message") {
            self.fail = Some(Wanted::Message(message.trim().to_owned()));
            return Ok(true);
        }
        if let Some(pattern) = line.strip_prefix("expected_fail_regexp") {
            self.fail = Some(Wanted::Pattern(pattern.trim().to_owned()));
            return Ok(true);
        }
        if let Some(range) = line.strip_prefix("expect range vector from ") {
            self.range_vector = Some(from_to_step(range)?);
            return Ok(false);
        }
        if let Some(text) =
            line.strip_prefix("expect string").filter(|text| text.is_empty() || text.starts_with(' '))
        {
            let text = text.strip_prefix(' ').unwrap_or(text);
            let is_quoted = text.len() > 1 && text.starts_with(['"', '\'', '`']);
            self.text = Some(if is_quoted { crate::quote::unquote(text) } else { text.to_owned() });
            return Ok(false);
        }
        if let Some(rest) = line.strip_prefix("expect ") {
            return self.expect(rest.trim()).map(|()| false);
        }
        if let Some(number) = sequence::number(line) {
            self.scalar = Some(number);
            return Ok(true);
        }
        self.series.push(sequence::series(line)?);
        Ok(false)
    }

    fn expect(&mut self, rest: &str) -> Result<(), String> {
        let (mode, detail) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        let detail = detail.trim();
        let wanted = match detail.split_once(':') {
            None if detail.is_empty() => Wanted::Anything,
            Some(("msg", text)) => Wanted::Message(text.trim().to_owned()),
            Some(("regex", text)) => Wanted::Pattern(text.trim().to_owned()),
            _ => return Err("`expect` takes `msg:` or `regex:`".to_owned()),
        };
        match mode {
            "fail" => self.fail = Some(wanted),
            "warn" => self.warn.push(wanted),
            "info" => self.info.push(wanted),
            "no_warn" => self.no_warn = true,
            "no_info" => self.no_info = true,
            "ordered" => self.is_ordered = true,
            _ => return Err(format!("`expect {mode}` is not known")),
        }
        self.says_annotations |= !matches!(mode, "fail" | "ordered");
        Ok(())
    }

    /// Returns the case without what it says of warnings and infos.
    pub(super) fn without_remarks(&self) -> Self {
        let (warn, info) = (Vec::new(), Vec::new());
        Self { warn, info, no_warn: false, no_info: false, says_annotations: true, ..self.clone() }
    }

    /// Says whether a native histogram is expected.
    pub(super) fn wants_histogram(&self) -> bool {
        self.series.iter().any(|(_, values)| values.contains(&Value::Histogram))
    }
}

/// Comments end a block, as blank lines do.
fn is_blank(line: &str) -> bool {
    line.is_empty() || line.starts_with('#')
}

/// Reads `instant at 5m EXPR` or `range from 0 to 10m step 1m EXPR`.
fn when(rest: &str) -> Result<(When, &str), String> {
    const FORM: &str =
        "write `eval instant at TIME EXPR` or `eval range from TIME to TIME step DURATION EXPR`";
    let words = |text: &str| {
        text.split_once(char::is_whitespace).map_or((text.len(), text.len()), |(word, rest)| {
            (word.len(), text.len() - rest.trim_start().len())
        })
    };
    let (kind_end, begin) = words(rest);
    let body = &rest[begin..];
    match &rest[..kind_end] {
        "instant" => {
            let Some(body) = body.strip_prefix("at ").map(str::trim_start) else {
                return Ok((When::At(0), body));
            };
            let (end, begin) = words(body);
            Ok((When::At(time(&body[..end])?), &body[begin..]))
        }
        "range" => {
            let body = body.strip_prefix("from ").ok_or(FORM)?;
            let (from, body) = body.split_once(" to ").ok_or(FORM)?;
            let (to, body) = body.split_once(" step ").ok_or(FORM)?;
            let body = body.trim_start();
            let (end, begin) = words(body);
            let (from, to, step) = (time(from.trim())?, time(to.trim())?, time(&body[..end])?);
            Ok((When::Range { from, to, step }, &body[begin..]))
        }
        _ => Err(FORM.to_owned()),
    }
}

/// Reads `0 to 10m step 1m`.
fn from_to_step(text: &str) -> Result<(i64, i64, i64), String> {
    const FORM: &str = "write `expect range vector from TIME to TIME step DURATION`";
    let (from, rest) = text.split_once(" to ").ok_or(FORM)?;
    let (to, step) = rest.split_once(" step ").ok_or(FORM)?;
    Ok((time(from.trim())?, time(to.trim())?, time(step.trim())?))
}

/// Reads a time or a duration in milliseconds; a number alone is seconds.
fn time(text: &str) -> Result<i64, String> {
    let (is_minus, plain) = match text.strip_prefix('-') {
        Some(plain) => (true, plain),
        None => (false, text),
    };
    let millis = match plain.parse::<u32>() {
        Ok(seconds) => i64::from(seconds) * 1000,
        Err(_) => duration::parse(plain).map_err(|error| error.to_string())?,
    };
    Ok(if is_minus { -millis } else { millis })
}
