//! What a match is rewritten to: `$1`, `${name}`, `$$`, as Go's `regexp` reads it.

use regex::Regex;

/// A template, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Template(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Group(usize),
}

impl Template {
    /// Takes a template apart. Groups that the pattern does not have are empty; a `$` that begins nothing is itself. A
    /// name in the template is that of a group of `regex`, or of none.
    pub(super) fn new(template: &str, regex: Option<&Regex>) -> Self {
        let (mut parts, mut text, mut rest) = (Vec::new(), String::new(), template);
        while let Some(at) = rest.find('$') {
            text.push_str(&rest[..at]);
            rest = &rest[at + 1..];
            if let Some(after) = rest.strip_prefix('$') {
                text.push('$');
                rest = after;
                continue;
            }
            let Some((name, after)) = group_name(rest) else {
                text.push('$');
                continue;
            };
            rest = after;
            if let Some(group) = group_of(name, regex) {
                if !text.is_empty() {
                    parts.push(Part::Text(std::mem::take(&mut text)));
                }
                parts.push(Part::Group(group));
            }
        }
        text.push_str(rest);
        if !text.is_empty() {
            parts.push(Part::Text(text));
        }
        Self(parts)
    }

    pub(super) fn expand<'t>(&self, group: impl Fn(usize) -> Option<&'t str>) -> String {
        let mut out = String::new();
        for part in &self.0 {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Group(number) => out.push_str(group(*number).unwrap_or_default()),
            }
        }
        out
    }
}

/// Reads the name behind a `$`, the longest there is, with braces or without.
fn group_name(text: &str) -> Option<(&str, &str)> {
    let inner = text.strip_prefix('{').unwrap_or(text);
    let end = inner.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(inner.len());
    let (name, after) = inner.split_at(end);
    let after = if inner.len() == text.len() { after } else { after.strip_prefix('}')? };
    (!name.is_empty()).then_some((name, after))
}

fn group_of(name: &str, regex: Option<&Regex>) -> Option<usize> {
    if name.bytes().all(|byte| byte.is_ascii_digit()) && (name == "0" || !name.starts_with('0')) {
        return name.parse().ok();
    }
    regex?.capture_names().position(|group| group == Some(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_filled_as_go_does() {
        let regex = Regex::new("^(?s:(a+)(?P<rest>.*))$").unwrap();
        let groups = regex.captures("aab").unwrap();
        for (template, expected) in [
            ("$1", "aa"),
            ("${1}x", "aax"),
            ("$1x", ""),
            ("${rest}-$rest-$0", "b-b-aab"),
            ("$none$9${01}", ""),
            ("$$1", "$1"),
            ("$", "$"),
            ("a$-${}-${1-${r s}", "a$-${}-${1-${r s}"),
            ("", ""),
        ] {
            let filled =
                Template::new(template, Some(&regex)).expand(|group| Some(groups.get(group)?.as_str()));
            assert_eq!(filled, expected, "{template}");
        }
    }
}
