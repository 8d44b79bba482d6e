//! A YAML document as a tree that knows where each of its parts stands.
//!
//! The tree is read through serde-saphyr, so anchors, merge keys, tags and the budget against bombs are its. Scalars
//! keep the text that was written: what they are is decided later by what the schema expects there.

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{DuplicateKeyPolicy, Location, Spanned};

use super::mistake::{Mistake, Place};

/// One part of a document.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) place: Place,
    pub(crate) kind: Kind,
}

/// What a part is.
#[derive(Debug, Clone)]
pub(crate) enum Kind {
    /// Nothing, `~` or `null`.
    Null,
    /// Something that has been reported already.
    Broken,
    Scalar(Scalar),
    List(Vec<Node>),
    /// In the order of the file; a key that was given twice is there twice.
    Map(Vec<Entry>),
}

/// One key and its value.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) key_place: Place,
    pub(crate) value: Node,
}

/// Text, not yet typed.
#[derive(Debug, Clone)]
pub(crate) struct Scalar {
    pub(crate) text: String,
    /// Written without quotes, or out of a variable: it may become a number, a truth value or nothing.
    pub(crate) plain: bool,
    /// What was written where variables were put in: reports show this and never what a variable holds.
    pub(crate) written: Option<String>,
}

impl Scalar {
    /// Returns what a report may show of the scalar, in backticks and cut to a readable length.
    pub(crate) fn shown(&self) -> String {
        const LIMIT: usize = 60;
        let text = self.written.as_ref().unwrap_or(&self.text);
        let mut shown: String = text.chars().take(LIMIT).flat_map(char::escape_debug).collect();
        shown = shown.replace("\\\"", "\"").replace("\\'", "'");
        if text.chars().nth(LIMIT).is_some() {
            shown.push('…');
        }
        format!("`{shown}`")
    }
}

impl Node {
    /// Returns a plain scalar, as a flag or a variable gives one.
    pub(crate) fn plain(place: Place, text: &str) -> Self {
        Self { place, kind: Kind::Scalar(Scalar { text: text.to_owned(), plain: true, written: None }) }
    }
}

/// Says whether plain `text` stands for nothing.
pub(crate) fn is_null(text: &str) -> bool {
    matches!(text.trim(), "" | "~" | "null" | "Null" | "NULL")
}

/// Reads `text` as one YAML document. The mistake is the first thing that is not YAML.
pub(crate) fn parse(file: &Arc<Path>, text: &str) -> Result<Node, Mistake> {
    let options = serde_saphyr::options! {
        // Reported by the walk, all of them.
        duplicate_keys: DuplicateKeyPolicy::LastWins,
        strict_booleans: true,
        non_finite_float_policy: serde_saphyr::NonFiniteFloatPolicy::AsString,
        budget: serde_saphyr::budget! {
            max_nodes: 100_000,
            max_events: 300_000,
            // A level costs up to 36 KiB of stack while it is read, and a worker thread has 2 MiB.
            max_depth: 32,
            flow_nesting_limit: 32,
        },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: 100_000 },
    };
    match serde_saphyr::from_str_with_options::<Spanned<Raw>>(text, options) {
        Ok(raw) => Ok(Source { file, text }.node(raw)),
        Err(error) => Err(not_yaml(file, text, &error)),
    }
}

fn not_yaml(file: &Arc<Path>, text: &str, error: &serde_saphyr::Error) -> Mistake {
    let at = error.location().filter(|at| *at != Location::UNKNOWN);
    let place = at.map_or_else(|| Place::File(Arc::clone(file)), |at| place(file, at));
    let line = at.and_then(|at| text.lines().nth(usize::try_from(at.line()).ok()?.checked_sub(1)?));
    let unquoted =
        line.is_some_and(|line| line.contains(": ${") && line.contains(": {") || line.contains("[${"));
    let hint = if unquoted { "; inside braces and brackets `${…}` needs quotes" } else { "" };
    let message = error.without_snippet().render_with_formatter(&WithoutPlace);
    Mistake { place, text: format!("not valid YAML: {}{hint}", message.trim().trim_end_matches('.')) }
}

/// Words an error without the place at its end: here it stands in front.
struct WithoutPlace;

impl serde_saphyr::MessageFormatter for WithoutPlace {
    fn localizer(&self) -> &dyn serde_saphyr::Localizer {
        self
    }

    fn format_message<'a>(&self, error: &'a serde_saphyr::Error) -> Cow<'a, str> {
        serde_saphyr::UserMessageFormatter.format_message(error)
    }
}

impl serde_saphyr::Localizer for WithoutPlace {
    fn attach_location<'a>(&self, base: Cow<'a, str>, _: Location) -> Cow<'a, str> {
        base
    }

    fn alias_defined_at(&self, _: Location) -> String {
        String::new()
    }

    fn alias_used_at(&self, _: Location) -> String {
        String::new()
    }
}

fn place(file: &Arc<Path>, at: Location) -> Place {
    Place::Line { file: Arc::clone(file), line: at.line(), column: at.column() }
}

/// What the deserializer says of a node: plain scalars come typed, and are turned back into what was written.
#[derive(Debug)]
enum Raw {
    Null,
    /// A scalar that YAML takes for a number or a truth value, as this program would print it.
    Typed(String),
    Text(String),
    List(Vec<Spanned<Raw>>),
    Map(Vec<(Spanned<String>, Spanned<Raw>)>),
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Raw, E> {
        Ok(Raw::Typed(value.to_string()))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Raw, E> {
        Ok(Raw::Typed(value.to_string()))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Raw, E> {
        Ok(Raw::Typed(value.to_string()))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Raw, E> {
        Ok(Raw::Typed(value.to_string()))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Raw, E> {
        Ok(Raw::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Raw, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Raw::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Raw, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Raw::Map(entries))
    }
}

struct Source<'a> {
    file: &'a Arc<Path>,
    text: &'a str,
}

impl Source<'_> {
    fn node(&self, raw: Spanned<Raw>) -> Node {
        // Where a value is defined is where it must be mended, also when an alias or a merge brings it elsewhere.
        let at = raw.defined;
        let kind = match raw.value {
            Raw::Null => Kind::Null,
            Raw::Typed(typed) => {
                let text = self.written(at).map_or(typed, str::to_owned);
                Kind::Scalar(Scalar { text, plain: true, written: None })
            }
            Raw::Text(text) => {
                let quoted = self.written(at).is_some_and(|w| w.starts_with(['"', '\'', '|', '>']));
                Kind::Scalar(Scalar { text, plain: !quoted, written: None })
            }
            Raw::List(items) => Kind::List(items.into_iter().map(|item| self.node(item)).collect()),
            Raw::Map(entries) => Kind::Map(entries.into_iter().map(|(k, v)| self.entry(k, v)).collect()),
        };
        Node { place: place(self.file, at), kind }
    }

    fn entry(&self, key: Spanned<String>, value: Spanned<Raw>) -> Entry {
        Entry { key: key.value, key_place: place(self.file, key.defined), value: self.node(value) }
    }

    fn written(&self, at: Location) -> Option<&str> {
        let start = usize::try_from(at.span().byte_offset()?).ok()?;
        let length = usize::try_from(at.span().byte_len()?).ok()?;
        let text = self.text.get(start..start.checked_add(length)?)?.trim();
        (!text.is_empty()).then_some(text)
    }
}
