//! Documents held against the schema, with all their mistakes.

use std::path::Path;
use std::sync::Arc;

use serde_json::json;

use super::*;
use crate::config::tree;

/// Walks `text` against a schema with one key of each kind; returns what is sound and what is wrong.
fn walked(text: &str) -> (Value, Vec<String>) {
    let schema = json!({
        "type": "object",
        "properties": {
            "text": { "type": ["string", "null"] },
            "count": { "type": "integer", "format": "uint32", "minimum": 1 },
            "signed": { "type": "integer", "format": "int64" },
            "ratio": { "type": "number" },
            "on": { "type": "boolean" },
            "words": { "anyOf": [{ "$ref": "#/$defs/Word" }, { "type": "null" }] },
            "several": { "anyOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" } }] },
            "deep": { "$ref": "#/$defs/Deep" },
        },
        "$defs": {
            "Word": { "oneOf": [{ "const": "red" }, { "enum": ["green", "blue"] }] },
            "Deep": { "type": "object", "properties": { "a": { "type": "string" }, "b": {"type": "string"} }, "required": ["a"] },
        },
    });
    let file: Arc<Path> = Path::new("f").into();
    let mut found = Collector::default();
    let document = tree::parse(&file, text).unwrap();
    let walked = walk(&schema, &document, &mut found);
    let wrong =
        found.finish().map_or_else(|m| m.all.iter().map(ToString::to_string).collect(), |_| Vec::new());
    (Value::Object(walked.value), wrong)
}

fn sound(text: &str, expected: &Value) {
    assert_eq!(walked(text), (expected.clone(), Vec::new()), "{text}");
}

fn wrong(text: &str, expected: &str) {
    assert_eq!(walked(text).1, [expected], "{text}");
}

#[test]
fn a_value_becomes_what_the_schema_expects() {
    sound("text: 007", &json!({ "text": "007" }));
    sound("text: yes", &json!({ "text": "yes" }));
    sound("text: true", &json!({ "text": "true" }));
    sound("text: 1.10", &json!({ "text": "1.10" }));
    sound("text: 'a # b'", &json!({ "text": "a # b" }));
    sound("count: 7", &json!({ "count": 7 }));
    sound("signed: -3", &json!({ "signed": -3 }));
    sound("ratio: 0.5", &json!({ "ratio": 0.5 }));
    sound("ratio: 2", &json!({ "ratio": 2.0 }));
    sound("on: true", &json!({ "on": true }));
    sound("words: blue", &json!({ "words": "blue" }));
    sound("several: a", &json!({ "several": "a" }));
    sound("several: [a, 1]", &json!({ "several": ["a", "1"] }));
    sound("deep: { a: x }", &json!({ "deep": { "a": "x" } }));
}

#[test]
fn nothing_is_as_good_as_absent() {
    for text in ["", "~", "{}", "text:", "deep: ~", "count: null", "words: # later"] {
        sound(text, &json!({}));
    }
}

#[test]
fn each_kind_of_mistake_is_worded() {
    wrong("[a]", "f:1:1: the file must be a mapping, not a list");
    wrong("text: [a]", "f:1:7: `text` must be text, not a list");
    wrong("several: {a: b}", "f:1:10: `several` must be text or a list, not a mapping");
    wrong("deep: 5", "f:1:7: `deep` must be a mapping, not `5`");
    wrong("count: '5'", "f:1:8: `count` must be a whole number, not `5`");
    wrong("count: 5.5", "f:1:8: `count`: `5.5` is not a whole number");
    wrong("count: 0", "f:1:8: `count`: `0` is too small; the least is 1");
    wrong("count: 4294967296", "f:1:8: `count`: `4294967296` is too large; the most is 4294967295");
    wrong("on: yes", "f:1:5: `on`: `yes` is neither `true` nor `false`");
    wrong("ratio: .inf", "f:1:8: `ratio`: `.inf` is not a number");
    wrong(
        "words: grene",
        "f:1:8: `words` cannot be `grene`; did you mean `green`? (known: red, green, blue)",
    );
    wrong("words: [red]", "f:1:8: `words` must be text, not a list");
    wrong("deep: { b: x }", "f:1:7: `deep` needs the key `a`");
    wrong("deep: { c: x, a: y }", "f:1:9: unknown key `c` in `deep`; did you mean `a`? (known: a, b)");
    wrong("text: a\ntext: b", "f:2:1: `text` is given twice, first in line 1; keep one");
    wrong(
        "a: x",
        "f:1:1: unknown key `a`; it belongs in `deep` (known: count, deep, on, ratio, several, signed, text, words)",
    );
}

#[test]
fn a_wrong_value_is_not_reported_as_missing() {
    wrong("deep: { a: [] }", "f:1:12: `deep.a` must be text, not a list");
}
