//! Prometheus' `relabel_config`, as of 3.5: rules that drop, keep and rewrite the labels of targets, series and alerts.

mod config;
mod template;

pub use config::{RelabelConfig, RelabelError};

use std::fmt;

use md5::{Digest, Md5};
use regex::Regex;
use zv_model::{Label, Labels, LabelsBuilder};

use template::Template;

/// What a rule does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Action {
    #[default]
    Replace,
    Keep,
    Drop,
    KeepEqual,
    DropEqual,
    HashMod,
    LabelMap,
    LabelDrop,
    LabelKeep,
    Lowercase,
    Uppercase,
}

impl Action {
    const ALL: [Action; 11] = [
        Action::Replace,
        Action::Keep,
        Action::Drop,
        Action::KeepEqual,
        Action::DropEqual,
        Action::HashMod,
        Action::LabelMap,
        Action::LabelDrop,
        Action::LabelKeep,
        Action::Lowercase,
        Action::Uppercase,
    ];

    /// Returns the word for it in a configuration.
    pub fn word(self) -> &'static str {
        match self {
            Action::Replace => "replace",
            Action::Keep => "keep",
            Action::Drop => "drop",
            Action::KeepEqual => "keepequal",
            Action::DropEqual => "dropequal",
            Action::HashMod => "hashmod",
            Action::LabelMap => "labelmap",
            Action::LabelDrop => "labeldrop",
            Action::LabelKeep => "labelkeep",
            Action::Lowercase => "lowercase",
            Action::Uppercase => "uppercase",
        }
    }

    /// Returns the action that a word means, in upper or lower case.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.word().eq_ignore_ascii_case(word))
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// A rule, checked and ready. [`RelabelConfig::check`] makes it.
#[derive(Debug, Clone)]
pub struct Rule {
    source: Vec<String>,
    separator: String,
    does: Does,
}

#[derive(Debug, Clone)]
enum Does {
    Replace { pattern: Pattern, target: Template, replacement: Template },
    Keep(Pattern),
    Drop(Pattern),
    KeepEqual(String),
    DropEqual(String),
    HashMod { target: String, modulus: u64 },
    LabelMap { pattern: Pattern, replacement: Template },
    LabelDrop(Pattern),
    LabelKeep(Pattern),
    Lowercase(String),
    Uppercase(String),
}

/// A pattern that must match a whole text.
#[derive(Debug, Clone)]
enum Pattern {
    /// The one that stands for what was left out, `(.*)`: the text is its group.
    Everything,
    Regex(Regex),
}

impl Pattern {
    fn matches(&self, text: &str) -> bool {
        match self {
            Pattern::Everything => true,
            Pattern::Regex(regex) => regex.is_match(text),
        }
    }

    /// Fills templates from the groups of a match; `None` where there is no match.
    fn expand<const N: usize>(&self, text: &str, templates: [&Template; N]) -> Option<[String; N]> {
        match self {
            Pattern::Everything => {
                Some(templates.map(|template| template.expand(|group| (group < 2).then_some(text))))
            }
            Pattern::Regex(regex) => {
                let groups = regex.captures(text)?;
                let group = |group| groups.get(group).map(|found| found.as_str());
                Some(templates.map(|template| template.expand(group)))
            }
        }
    }
}

impl Rule {
    /// Changes the labels; returns false where whoever has them is to be dropped.
    pub fn apply(&self, labels: &mut LabelsBuilder) -> bool {
        match &self.does {
            Does::Keep(pattern) => return pattern.matches(&self.value(labels)),
            Does::Drop(pattern) => return !pattern.matches(&self.value(labels)),
            Does::KeepEqual(target) => return labels.get(target) == self.value(labels),
            Does::DropEqual(target) => return labels.get(target) != self.value(labels),
            Does::Replace { pattern, target, replacement } => {
                let expanded = pattern.expand(&self.value(labels), [target, replacement]);
                if let Some([target, value]) = expanded.filter(|[target, _]| !target.is_empty()) {
                    labels.set(target, value);
                }
            }
            Does::HashMod { target, modulus } => {
                let hash: [u8; 16] = Md5::digest(self.value(labels)).into();
                let last = hash[8..].iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
                labels.set(target.as_str(), (last % modulus).to_string());
            }
            Does::LabelMap { pattern, replacement } => label_map(labels, pattern, replacement),
            Does::LabelDrop(pattern) => labels.retain(|label| !pattern.matches(&label.name)),
            Does::LabelKeep(pattern) => labels.retain(|label| pattern.matches(&label.name)),
            Does::Lowercase(target) => {
                let value = self.value(labels).chars().map(lower).collect::<String>();
                labels.set(target.as_str(), value);
            }
            Does::Uppercase(target) => {
                let value = self.value(labels).chars().map(upper).collect::<String>();
                labels.set(target.as_str(), value);
            }
        }
        true
    }

    /// Returns what the rule looks at.
    fn value(&self, labels: &LabelsBuilder) -> String {
        let mut value = String::new();
        for (place, name) in self.source.iter().enumerate() {
            if place > 0 {
                value.push_str(&self.separator);
            }
            value.push_str(labels.get(name));
        }
        value
    }
}

/// Applies rules in their order; `None` where one of them drops.
pub fn relabel(labels: &Labels, rules: &[Rule]) -> Option<Labels> {
    if rules.is_empty() {
        return Some(labels.clone());
    }
    let mut builder = labels.to_builder();
    rules.iter().all(|rule| rule.apply(&mut builder)).then(|| builder.finish())
}

fn label_map(labels: &mut LabelsBuilder, pattern: &Pattern, replacement: &Template) {
    // All are looked at before the first is set: a label that was copied is not copied again.
    let copies: Vec<(String, Label)> = labels
        .iter()
        .filter_map(|label| {
            let [name] = pattern.expand(&label.name, [replacement])?;
            Some((name, label.clone()))
        })
        .collect();
    for (name, label) in copies.into_iter().filter(|(name, _)| !name.is_empty()) {
        labels.set(name, label.value);
    }
}

/// Returns the lower case of a character where that is one character, as Go maps it.
fn lower(c: char) -> char {
    let mut all = c.to_lowercase();
    match (all.next(), all.next()) {
        (Some(one), None) => one,
        // The one whose full form has a dot more.
        _ if c == 'İ' => 'i',
        _ => c,
    }
}

fn upper(c: char) -> char {
    let mut all = c.to_uppercase();
    match (all.next(), all.next()) {
        (Some(one), None) => one,
        _ => c,
    }
}
