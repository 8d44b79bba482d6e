//! Holds a document against the JSON schema and finds every mistake; what is sound comes out as typed JSON.
//!
//! It knows the part of JSON schema that schemars writes for configuration types: references, `anyOf` of different
//! kinds, constants, objects, lists, scalars with bounds, and the formats of [`super::values`].

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Number, Value};

use super::mistake::{Collector, Place};
use super::nearest::nearest;
use super::tree::{Entry, Kind, Node, Scalar};
use super::values;

/// What is sound of a document.
#[derive(Debug, Default)]
pub(crate) struct Walked {
    /// Matches the schema, except that required keys may be missing where that was reported.
    pub(crate) value: Map<String, Value>,
    /// Where each value stands, by dotted key; wrong values too, so that nobody reports them as absent.
    pub(crate) places: BTreeMap<String, Place>,
}

/// Holds `document` against `schema`.
pub(crate) fn walk(schema: &Value, document: &Node, found: &mut Collector) -> Walked {
    let mut walker = Walker { root: schema, places: BTreeMap::new(), found };
    let value = match walker.node(schema, document, "") {
        Some(Value::Object(value)) => value,
        _ => Map::new(),
    };
    Walked { value, places: walker.places }
}

struct Walker<'a> {
    root: &'a Value,
    places: BTreeMap<String, Place>,
    found: &'a mut Collector,
}

impl<'a> Walker<'a> {
    /// Returns the sound part of `node`, or nothing where it is absent or wrong as a whole.
    fn node(&mut self, schema: &'a Value, node: &Node, key: &str) -> Option<Value> {
        if matches!(node.kind, Kind::Null) {
            return None;
        }
        self.places.insert(key.to_owned(), node.place.clone());
        let alternatives = self.alternatives(schema);
        if let Kind::Scalar(scalar) = &node.kind
            && let Some(words) = words(&alternatives)
        {
            return self.word(&words, scalar, node, key);
        }
        let Some(schema) = alternatives.iter().copied().find(|schema| accepts(schema, &node.kind)) else {
            if !matches!(node.kind, Kind::Broken) {
                self.wrong_kind(&alternatives, node, key);
            }
            return None;
        };
        match &node.kind {
            Kind::Null | Kind::Broken => None,
            Kind::Scalar(scalar) => self.scalar(schema, scalar, node, key),
            Kind::List(items) => {
                let schema = schema.get("items")?;
                // Where nothing is required, what is wrong as a whole leaves an empty mapping, so that the places of
                // those behind it stay true.
                let is_open = self
                    .alternatives(schema)
                    .iter()
                    .any(|schema| has_type(schema, "object") && schema.get("required").is_none());
                let walk = |(index, item)| {
                    let found = self.node(schema, item, &format!("{key}[{index}]"));
                    found.or_else(|| is_open.then(|| Value::Object(Map::new())))
                };
                Some(Value::Array(items.iter().enumerate().filter_map(walk).collect()))
            }
            Kind::Map(entries) => self.object(schema, entries, node, key),
        }
    }

    /// Follows references and spreads `anyOf` and `oneOf`; nothing but schemas that say what they are remain.
    fn alternatives(&self, schema: &'a Value) -> Vec<&'a Value> {
        if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
            let target = reference.strip_prefix('#').and_then(|pointer| self.root.pointer(pointer));
            return target.map_or(Vec::new(), |target| self.alternatives(target));
        }
        let several = schema.get("anyOf").or_else(|| schema.get("oneOf")).and_then(Value::as_array);
        several.map_or_else(|| vec![schema], |all| all.iter().flat_map(|s| self.alternatives(s)).collect())
    }

    fn object(&mut self, schema: &'a Value, entries: &[Entry], node: &Node, key: &str) -> Option<Value> {
        let known = schema.get("properties").and_then(Value::as_object);
        let any_other = schema.get("additionalProperties").filter(|schema| schema.is_object());
        let mut object = Map::new();
        let mut seen: BTreeMap<&str, &Place> = BTreeMap::new();
        for entry in entries {
            if let Some(first) = seen.get(entry.key.as_str()) {
                let text = format!("{} is given twice{}; keep one", quote(&entry.key), first_place(first));
                self.found.mistake(&entry.key_place, text);
            }
            let path = join(key, &entry.key);
            let Some(value_schema) = known.and_then(|known| known.get(&entry.key)).or(any_other) else {
                if !is_extension(schema, &entry.key) {
                    self.unknown(schema, entry, key);
                }
                continue;
            };
            let value = self.node(value_schema, &entry.value, &path);
            if seen.insert(&entry.key, &entry.key_place).is_none()
                && let Some(value) = value
            {
                object.insert(entry.key.clone(), value);
            }
        }
        let required = schema.get("required").and_then(Value::as_array).into_iter().flatten();
        let mut complete = true;
        for name in required.filter_map(Value::as_str).filter(|name| !object.contains_key(*name)) {
            complete = false;
            if !self.places.contains_key(&join(key, name)) {
                self.found.mistake(&node.place, format!("`{key}` needs the key `{name}`"));
            }
        }
        complete.then_some(Value::Object(object))
    }

    fn unknown(&mut self, schema: &Value, entry: &Entry, key: &str) {
        let known: Vec<&str> = properties(schema).collect();
        let mut text = format!("unknown key {}", quote(&entry.key));
        if !key.is_empty() {
            text.push_str(&format!(" in `{key}`"));
        }
        if let Some(near) = nearest(&entry.key, known.iter().copied()) {
            text.push_str(&format!("; did you mean `{near}`?"));
        } else if let Some(home) = self.home_of(&entry.key) {
            text.push_str(&format!("; it belongs in `{home}`"));
        }
        text.push_str(&format!(" (known: {})", known.join(", ")));
        self.found.mistake(&entry.key_place, text);
    }

    /// Returns the one key of the whole schema under which `name` is known.
    fn home_of(&self, name: &str) -> Option<String> {
        let mut homes = BTreeSet::new();
        self.homes(self.root, "", name, &mut homes);
        (homes.len() == 1).then(|| homes.pop_first()).flatten()
    }

    fn homes(&self, schema: &'a Value, key: &str, name: &str, homes: &mut BTreeSet<String>) {
        for schema in self.alternatives(schema) {
            for (child, child_schema) in
                schema.get("properties").and_then(Value::as_object).into_iter().flatten()
            {
                if child == name && !key.is_empty() {
                    homes.insert(key.to_owned());
                }
                self.homes(child_schema, &join(key, child), name, homes);
            }
        }
    }

    fn scalar(&mut self, schema: &Value, scalar: &Scalar, node: &Node, key: &str) -> Option<Value> {
        if scalar.text.is_empty() {
            self.found.mistake(&node.place, format!("`{key}` is empty; leave it out"));
            return None;
        }
        let typed = if has_type(schema, "string") {
            values::check(schema, &scalar.text).map(|()| Value::String(scalar.text.clone()))
        } else if has_type(schema, "boolean") {
            boolean(&scalar.text)
        } else if has_type(schema, "integer") {
            integer(schema, &scalar.text)
        } else {
            number(&scalar.text)
        };
        typed
            .map_err(|why| self.found.mistake(&node.place, format!("`{key}`: {} {why}", scalar.shown())))
            .ok()
    }

    /// Takes one of a fixed set of words.
    fn word(&mut self, words: &[&str], scalar: &Scalar, node: &Node, key: &str) -> Option<Value> {
        if words.contains(&scalar.text.as_str()) {
            return Some(Value::String(scalar.text.clone()));
        }
        // A hint would tell something of what a variable holds.
        let hint = nearest(&scalar.text, words.iter().copied()).filter(|_| scalar.written.is_none());
        let hint = hint.map_or(String::new(), |near| format!("; did you mean `{near}`?"));
        let text = format!("`{key}` cannot be {}{hint} (known: {})", scalar.shown(), words.join(", "));
        self.found.mistake(&node.place, text);
        None
    }

    fn wrong_kind(&mut self, alternatives: &[&Value], node: &Node, key: &str) {
        let mut expected: Vec<&str> = Vec::new();
        for schema in alternatives {
            for (name, word) in KINDS {
                if has_type(schema, name) && !expected.contains(&word) {
                    expected.push(word);
                }
            }
        }
        let actual = match &node.kind {
            Kind::Null | Kind::Broken => "nothing".to_owned(),
            Kind::Scalar(scalar) => scalar.shown(),
            Kind::List(_) => "a list".to_owned(),
            Kind::Map(_) => "a mapping".to_owned(),
        };
        let subject = if key.is_empty() { "the file".to_owned() } else { format!("`{key}`") };
        self.found.mistake(&node.place, format!("{subject} must be {}, not {actual}", expected.join(" or ")));
    }
}

/// The types of JSON schema, and what people call them.
const KINDS: [(&str, &str); 6] = [
    ("object", "a mapping"),
    ("array", "a list"),
    ("string", "text"),
    ("integer", "a whole number"),
    ("number", "a number"),
    ("boolean", "true or false"),
];

fn has_type(schema: &Value, name: &str) -> bool {
    match schema.get("type") {
        Some(Value::String(one)) => one == name,
        Some(Value::Array(several)) => several.iter().any(|one| one == name),
        _ => schema.get("const").is_some() && name == "string",
    }
}

fn accepts(schema: &Value, kind: &Kind) -> bool {
    let any_of = |names: &[&str]| names.iter().any(|name| has_type(schema, name));
    match kind {
        Kind::Null | Kind::Broken => false,
        Kind::List(_) => any_of(&["array"]),
        Kind::Map(_) => any_of(&["object"]),
        Kind::Scalar(scalar) if scalar.plain => any_of(&["string", "integer", "number", "boolean"]),
        Kind::Scalar(_) => any_of(&["string"]),
    }
}

/// Returns the words, where nothing but a fixed set of them is allowed.
fn words<'a>(alternatives: &[&'a Value]) -> Option<Vec<&'a str>> {
    let mut words = Vec::new();
    for schema in alternatives {
        match (schema.get("const"), schema.get("enum")) {
            (Some(Value::String(word)), _) => words.push(word.as_str()),
            (_, Some(Value::Array(several))) => words.extend(several.iter().filter_map(Value::as_str)),
            _ if has_type(schema, "null") && !has_type(schema, "string") => {}
            _ => return None,
        }
    }
    (!words.is_empty()).then_some(words)
}

fn properties(schema: &Value) -> impl Iterator<Item = &str> {
    schema.get("properties").and_then(Value::as_object).into_iter().flatten().map(|(name, _)| name.as_str())
}

/// Says whether the schema leaves this key to the user: `x-…` at the top, for anchors.
fn is_extension(schema: &Value, key: &str) -> bool {
    let patterns = schema.get("patternProperties").and_then(Value::as_object);
    patterns
        .into_iter()
        .flatten()
        .any(|(pattern, _)| pattern.strip_prefix('^').is_some_and(|p| key.starts_with(p)))
}

fn join(key: &str, child: &str) -> String {
    if key.is_empty() { child.to_owned() } else { format!("{key}.{child}") }
}

fn quote(key: &str) -> String {
    Scalar { text: key.to_owned(), plain: true, written: None }.shown()
}

fn first_place(place: &Place) -> String {
    match place {
        Place::Line { line, .. } => format!(", first in line {line}"),
        _ => String::new(),
    }
}

fn boolean(text: &str) -> Result<Value, String> {
    match text {
        "true" | "True" | "TRUE" => Ok(Value::Bool(true)),
        "false" | "False" | "FALSE" => Ok(Value::Bool(false)),
        _ => Err("is neither `true` nor `false`".to_owned()),
    }
}

fn integer(schema: &Value, text: &str) -> Result<Value, String> {
    let Ok(value) = text.parse::<i128>() else { return Err("is not a whole number".to_owned()) };
    let bound = |name: &str| schema.get(name).and_then(Value::as_i64).map(i128::from);
    let (format_least, format_most) = match schema.get("format").and_then(Value::as_str) {
        Some("uint16") => (0, u16::MAX.into()),
        Some("uint32") => (0, u32::MAX.into()),
        Some("uint" | "uint64") => (0, u64::MAX.into()),
        _ => (i64::MIN.into(), i64::MAX.into()),
    };
    let (least, most) = (bound("minimum").unwrap_or(format_least), bound("maximum").unwrap_or(format_most));
    if value < least {
        return Err(format!("is too small; the least is {least}"));
    }
    if value > most {
        return Err(format!("is too large; the most is {most}"));
    }
    let number = u64::try_from(value).map(Number::from).or_else(|_| i64::try_from(value).map(Number::from));
    number.map(Value::Number).map_err(|_| "is out of range".to_owned())
}

fn number(text: &str) -> Result<Value, String> {
    let number = text.parse::<f64>().ok().and_then(Number::from_f64);
    number.map(Value::Number).ok_or_else(|| "is not a number".to_owned())
}

#[cfg(test)]
mod tests;
