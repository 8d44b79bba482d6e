//! Variables in compose files: `$NAME`, `${NAME}`, `${NAME:-default}` and their kin.

use std::collections::BTreeMap;

/// Variables in defaults of variables are followed so deep.
const DEPTH: usize = 8;

/// Puts the values of variables into `text`; `None` where one has none, or where the text is malformed.
pub(super) fn expand(text: &str, env: &BTreeMap<String, String>) -> Option<String> {
    expand_to(text, env, DEPTH)
}

fn expand_to(text: &str, env: &BTreeMap<String, String>, depth: usize) -> Option<String> {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(dollar) = rest.find('$') {
        expanded.push_str(&rest[..dollar]);
        rest = &rest[dollar + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            expanded.push('$');
            rest = after;
        } else if let Some(after) = rest.strip_prefix('{') {
            let end = closing(after)?;
            expanded.push_str(&value(&after[..end], env, depth.checked_sub(1)?)?);
            rest = &after[end + 1..];
        } else {
            let (name, after) = rest.split_at(name_length(rest));
            expanded.push_str(env.get(name)?);
            rest = after;
        }
    }
    expanded.push_str(rest);
    Some(expanded)
}

/// Finds the brace that closes the one before `text`.
fn closing(text: &str) -> Option<usize> {
    let mut open = 0usize;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'{' => open += 1,
            b'}' if open == 0 => return Some(at),
            b'}' => open -= 1,
            _ => {}
        }
    }
    None
}

fn name_length(text: &str) -> usize {
    text.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_').count()
}

/// Resolves what stands between the braces.
fn value(inner: &str, env: &BTreeMap<String, String>, depth: usize) -> Option<String> {
    let (name, operation) = inner.split_at(name_length(inner));
    if name.is_empty() {
        return None;
    }
    let set = env.get(name);
    // With a colon, an empty value counts as none.
    let (set, operation) = match operation.strip_prefix(':') {
        Some(operation) => (set.filter(|value| !value.is_empty()), operation),
        None => (set, operation),
    };
    match (operation.chars().next(), operation.get(1..)) {
        (None, _) => set.cloned(),
        (Some('-'), Some(default)) => set.cloned().or_else(|| expand_to(default, env, depth)),
        (Some('?'), _) => set.cloned(),
        (Some('+'), Some(instead)) => match set {
            Some(_) => expand_to(instead, env, depth),
            None => Some(String::new()),
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_and_their_defaults() {
        let env = BTreeMap::from([("A".to_owned(), "1".to_owned()), ("E".to_owned(), String::new())]);
        let check = |text: &str, expected: Option<&str>| {
            assert_eq!(expand(text, &env).as_deref(), expected, "{text}");
        };
        check("plain", Some("plain"));
        check("$A-${A}", Some("1-1"));
        check("$$A", Some("$A"));
        check("${B}", None);
        check("${B-2}${B:-3}", Some("23"));
        check("${E-2}", Some(""));
        check("${E:-2}", Some("2"));
        check("${B:-${A}}", Some("1"));
        check("${B:-${C:-4}}", Some("4"));
        check("${A:+5}${B:+6}", Some("5"));
        check("${B?needed}", None);
        check("${A", None);
        check("${}", None);
        check("$", None);
    }

    #[test]
    fn nesting_has_an_end() {
        let deep = "${A:-".repeat(1000) + &"}".repeat(1000);
        assert_eq!(expand(&deep, &BTreeMap::new()), None);
    }
}
