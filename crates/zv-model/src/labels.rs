//! A series' name and labels: sorted by name, each name once, no empty values; cheap to clone.

use std::fmt;
use std::sync::Arc;

/// The label that holds a metric's name.
pub const METRIC_NAME: &str = "__name__";

/// One label. Names and values may be shared with other sets.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Label {
    pub name: Arc<str>,
    pub value: Arc<str>,
}

impl fmt::Debug for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={:?}", self.name, self.value)
    }
}

/// A set of labels. An empty value is the same as no label.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Labels(Arc<[Label]>);

impl Labels {
    /// Returns the set without a label.
    pub fn empty() -> Self {
        Self(Arc::from([]))
    }

    /// Returns the set of these pairs; of a name that comes twice the last value counts.
    pub fn of<N: AsRef<str>, V: AsRef<str>>(pairs: impl IntoIterator<Item = (N, V)>) -> Self {
        let mut builder = LabelsBuilder::default();
        for (name, value) in pairs {
            builder.set(name.as_ref(), value.as_ref());
        }
        builder.finish()
    }

    /// Returns the value of a label; the empty text where there is none.
    pub fn get(&self, name: &str) -> &str {
        self.find(name).map_or("", |label| &label.value)
    }

    /// Returns a label.
    pub fn find(&self, name: &str) -> Option<&Label> {
        // Few labels: a walk is as fast as a search.
        self.0.iter().find(|label| &*label.name == name)
    }

    /// Returns the metric's name; the empty text where there is none.
    pub fn metric_name(&self) -> &str {
        self.get(METRIC_NAME)
    }

    /// Returns the labels in the order of their names.
    pub fn iter(&self) -> std::slice::Iter<'_, Label> {
        self.0.iter()
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the labels for which `keep` says so.
    pub fn filtered(&self, keep: impl Fn(&Label) -> bool) -> Self {
        if self.0.iter().all(&keep) {
            return self.clone();
        }
        Self(self.0.iter().filter(|label| keep(label)).cloned().collect())
    }

    /// Begins a changed copy.
    pub fn to_builder(&self) -> LabelsBuilder {
        LabelsBuilder { labels: self.0.to_vec() }
    }

    /// Returns the fingerprint that Prometheus' and Alertmanager's interfaces show: FNV-1a over names and values, each
    /// followed by a byte that no text holds.
    pub fn fingerprint(&self) -> u64 {
        let mut hash = Fnv::default();
        for label in self.iter() {
            hash.text(&label.name);
            hash.text(&label.value);
        }
        hash.0
    }
}

impl Default for Labels {
    fn default() -> Self {
        Self::empty()
    }
}

impl<'a> IntoIterator for &'a Labels {
    type Item = &'a Label;
    type IntoIter = std::slice::Iter<'a, Label>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// Writes them as a selector: `{__name__="up", job="zv"}`.
impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (place, label) in self.iter().enumerate() {
            let comma = if place > 0 { ", " } else { "" };
            write!(f, "{comma}{label:?}")?;
        }
        f.write_str("}")
    }
}

/// Makes a set of labels.
#[derive(Debug, Clone, Default)]
pub struct LabelsBuilder {
    /// Sorted by name.
    labels: Vec<Label>,
}

impl LabelsBuilder {
    /// Sets a label; an empty value removes it.
    pub fn set(&mut self, name: impl AsRef<str> + Into<Arc<str>>, value: impl AsRef<str> + Into<Arc<str>>) {
        match self.labels.binary_search_by(|label| (*label.name).cmp(name.as_ref())) {
            Ok(at) if value.as_ref().is_empty() => drop(self.labels.remove(at)),
            Ok(at) => self.labels[at].value = value.into(),
            Err(_) if value.as_ref().is_empty() => {}
            Err(at) => self.labels.insert(at, Label { name: name.into(), value: value.into() }),
        }
    }

    /// Removes a label.
    pub fn remove(&mut self, name: &str) {
        self.labels.retain(|label| &*label.name != name);
    }

    /// Keeps the labels for which `keep` says so.
    pub fn retain(&mut self, keep: impl FnMut(&Label) -> bool) {
        self.labels.retain(keep);
    }

    /// Returns the labels set so far, in the order of their names.
    pub fn iter(&self) -> std::slice::Iter<'_, Label> {
        self.labels.iter()
    }

    /// Returns the value set so far; the empty text where there is none.
    pub fn get(&self, name: &str) -> &str {
        let found = self.labels.binary_search_by(|label| (*label.name).cmp(name));
        found.map_or("", |at| &self.labels[at].value)
    }

    /// Returns the set.
    pub fn finish(self) -> Labels {
        Labels(self.labels.into())
    }
}

struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Fnv {
    fn text(&mut self, text: &str) {
        for byte in text.bytes().chain([0xff]) {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

/// Says whether a text can name a metric without quotes: `[a-zA-Z_:][a-zA-Z0-9_:]*`.
pub fn is_plain_metric_name(text: &str) -> bool {
    is_plain(text, |byte| byte == b':')
}

/// Says whether a text can name a label without quotes: `[a-zA-Z_][a-zA-Z0-9_]*`.
pub fn is_plain_label_name(text: &str) -> bool {
    is_plain(text, |_| false)
}

fn is_plain(text: &str, also: impl Fn(u8) -> bool) -> bool {
    let first = text.bytes().next();
    first.is_some_and(|byte| !byte.is_ascii_digit())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || also(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_sorted_unique_and_never_empty() {
        let labels = Labels::of([("job", "a"), ("__name__", "up"), ("job", "zv"), ("gone", "")]);
        assert_eq!(format!("{labels:?}"), r#"{__name__="up", job="zv"}"#);
        assert_eq!((labels.metric_name(), labels.get("job"), labels.get("gone")), ("up", "zv", ""));
    }

    #[test]
    fn the_order_is_that_of_names_and_values() {
        let a = Labels::of([("a", "1"), ("b", "2")]);
        let b = Labels::of([("a", "1"), ("c", "1")]);
        let c = Labels::of([("a", "1")]);
        let mut all = [&b, &a, &c];
        all.sort();
        assert_eq!(all, [&c, &a, &b]);
    }

    #[test]
    fn a_changed_copy_leaves_the_original() {
        let labels = Labels::of([("a", "1"), ("b", "2")]);
        let mut builder = labels.to_builder();
        builder.set("c", "3");
        builder.set("a", "");
        builder.remove("b");
        assert_eq!((builder.get("c"), builder.get("a")), ("3", ""));
        assert_eq!(builder.finish(), Labels::of([("c", "3")]));
        assert_eq!(labels.filtered(|label| &*label.name == "a"), Labels::of([("a", "1")]));
    }

    #[test]
    fn the_fingerprint_is_the_one_alertmanager_shows() {
        // The fingerprint of no labels is the hash's own beginning; Alertmanager prints it as cbf29ce484222325.
        assert_eq!(Labels::empty().fingerprint(), 0xcbf2_9ce4_8422_2325);
    }

    #[test]
    fn names_without_quotes() {
        for (text, metric, label) in [
            ("up", true, true),
            ("a:b", true, false),
            ("1a", false, false),
            ("", false, false),
            ("é", false, false),
        ] {
            assert_eq!((is_plain_metric_name(text), is_plain_label_name(text)), (metric, label), "{text}");
        }
    }
}
