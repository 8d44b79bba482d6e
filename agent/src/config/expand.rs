//! `${NAME}` in the values of a document, put in from the environment after the YAML was parsed: what a variable
//! holds can never become structure. `${1}`, `$1` and `$$` are left alone, so that relabelling works.

use std::collections::BTreeSet;

use super::environment::Environment;
use super::mistake::Collector;
use super::tree::{Kind, Node, Scalar, is_null};

/// Expands every scalar below `node`; returns the names that were asked for.
pub(crate) fn expand(node: &mut Node, environment: &Environment, found: &mut Collector) -> BTreeSet<String> {
    let mut used = BTreeSet::new();
    expand_node(node, environment, found, &mut used);
    used
}

fn expand_node(
    node: &mut Node,
    environment: &Environment,
    found: &mut Collector,
    used: &mut BTreeSet<String>,
) {
    match &mut node.kind {
        Kind::Null | Kind::Broken => {}
        Kind::List(items) => items.iter_mut().for_each(|item| expand_node(item, environment, found, used)),
        Kind::Map(entries) => {
            entries.iter_mut().for_each(|entry| expand_node(&mut entry.value, environment, found, used));
        }
        Kind::Scalar(scalar) => {
            let mut wrong = Vec::new();
            let expanded = expand_text(
                &scalar.text,
                |name| {
                    used.insert(name.to_owned());
                    environment.variable(name)
                },
                &mut wrong,
            );
            for text in &wrong {
                found.mistake(&node.place, text);
            }
            let Some(text) = expanded else { return };
            if !wrong.is_empty() {
                node.kind = Kind::Broken;
                return;
            }
            if text.is_empty() || scalar.plain && is_null(&text) {
                node.kind = Kind::Null;
                return;
            }
            let written = std::mem::take(&mut scalar.text);
            // Between braces the reference had to be quoted: that says nothing of what it stands for.
            *scalar = Scalar { text, plain: true, written: Some(written) };
        }
    }
}

/// Returns the expanded text, or nothing where there is no reference in it. What is wrong is added to `wrong`.
fn expand_text<'e>(
    text: &str,
    mut variable: impl FnMut(&str) -> Option<&'e str>,
    wrong: &mut Vec<String>,
) -> Option<String> {
    let mut expanded = String::with_capacity(text.len());
    let mut any = false;
    let mut rest = text;
    while let Some(start) = rest.find('$') {
        expanded.push_str(&rest[..start]);
        rest = &rest[start..];
        if rest.starts_with("$$") {
            expanded.push_str("$$");
            rest = &rest[2..];
            continue;
        }
        let is_reference = rest[1..]
            .strip_prefix('{')
            .is_some_and(|r| r.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_'));
        if !is_reference {
            expanded.push('$');
            rest = &rest[1..];
            continue;
        }
        any = true;
        let Some(end) = rest.find('}') else {
            wrong.push("`${` has no closing `}`".to_owned());
            rest = "";
            break;
        };
        match resolve(&rest[2..end], &mut variable) {
            Ok(value) => expanded.push_str(value),
            Err(text) => wrong.push(text),
        }
        rest = &rest[end + 1..];
    }
    expanded.push_str(rest);
    any.then_some(expanded)
}

fn resolve<'a, 'e: 'a>(
    reference: &'a str,
    variable: &mut impl FnMut(&str) -> Option<&'e str>,
) -> Result<&'a str, String> {
    let (name, fallback) = match reference.split_once(":-") {
        Some((name, fallback)) => (name, Some(fallback)),
        None => (reference, None),
    };
    if !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
        return Err(format!(
            "`${{{reference}}}` is not understood; write `${{NAME}}` or `${{NAME:-default}}`"
        ));
    }
    match (variable(name), fallback) {
        // As in a shell: `:-` stands in for an empty variable too.
        (None | Some(""), Some(fallback)) => Ok(fallback),
        (Some(value), _) => Ok(value),
        (None, None) => {
            Err(format!("the variable `{name}` is not set; set it, or write `${{{name}:-default}}`"))
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(text: &str, expected: Option<&str>) {
        let mut wrong = Vec::new();
        let variable = |name: &str| match name {
            "HOST" => Some("web-1"),
            "_a1" => Some("under"),
            "EMPTY" => Some(""),
            "TRICK" => Some("${HOST}: [1]"),
            _ => None,
        };
        assert_eq!(expand_text(text, variable, &mut wrong).as_deref(), expected, "{text}");
        assert!(wrong.is_empty(), "{wrong:?}");
    }

    #[test]
    fn a_reference_is_replaced() {
        check("${HOST}", Some("web-1"));
        check("a ${HOST}-${_a1}!", Some("a web-1-under!"));
        check("${EMPTY}", Some(""));
        check("${NONE:-x:-y}${EMPTY:-z}${HOST:-no}${NONE:-}", Some("x:-yzweb-1"));
    }

    #[test]
    fn a_value_is_never_expanded_again() {
        check("${TRICK}", Some("${HOST}: [1]"));
    }

    #[test]
    fn what_belongs_to_relabelling_is_left_alone() {
        for text in
            ["", "$", "$1", "${1}", "$$", "$${HOST}", "${}", "$HOST", "a$", "${-x}", "100 $ and ${ more"]
        {
            check(text, None);
        }
        check("$1-${HOST}-$$", Some("$1-web-1-$$"));
    }

    #[test]
    fn what_cannot_be_put_in_is_told() {
        let mut wrong = Vec::new();
        expand_text("${NONE} ${HOST-x} ${a:?b} ${OPEN", |_| None, &mut wrong);
        assert_eq!(
            wrong,
            [
                "the variable `NONE` is not set; set it, or write `${NONE:-default}`",
                "`${HOST-x}` is not understood; write `${NAME}` or `${NAME:-default}`",
                "`${a:?b}` is not understood; write `${NAME}` or `${NAME:-default}`",
                "`${` has no closing `}`",
            ]
        );
    }

    proptest! {
        #[test]
        fn text_without_a_reference_stays(text in "[^{]*") {
            prop_assert_eq!(expand_text(&text, |_| Some("x"), &mut Vec::new()), None);
        }

        #[test]
        fn the_parts_around_a_reference_stay(before in "[a-z }:]*", value in ".*", after in "[a-z {:]*") {
            let mut wrong = Vec::new();
            let expanded = expand_text(&format!("{before}${{X}}{after}"), |_| Some(&value), &mut wrong);
            prop_assert_eq!(expanded, Some(format!("{before}{value}{after}")));
            prop_assert!(wrong.is_empty());
        }

        #[test]
        fn any_text_is_taken(text in "([${}a-z0-9:_-]|\\PC)*") {
            expand_text(&text, |_| Some("x"), &mut Vec::new());
        }
    }
}
