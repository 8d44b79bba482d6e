//! A rule as it is written, and what may be wrong with it, in Prometheus' own words.

use zv_model::pattern::{self, PatternError};

use super::template::Template;
use super::{Action, Does, Pattern, Rule};

const DEFAULT_SEPARATOR: &str = ";";
const DEFAULT_REPLACEMENT: &str = "$1";

/// A rule as it is written. What is left out is `None`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RelabelConfig {
    /// The labels whose values are looked at.
    pub source_labels: Option<Vec<String>>,
    /// Stands between the values; `;`.
    pub separator: Option<String>,
    /// What the values must match as a whole; `(.*)`.
    pub regex: Option<String>,
    /// What the hash is divided by.
    pub modulus: Option<u64>,
    /// The label that is written. Groups of a match may stand in it where the action is `replace`.
    pub target_label: Option<String>,
    /// What is written; `$1`.
    pub replacement: Option<String>,
    /// One of [`Action`]'s words; `replace`.
    pub action: Option<String>,
}

/// Why a rule is none. The texts are Prometheus' own.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RelabelError {
    #[error("unknown relabel action {0:?}")]
    UnknownAction(String),
    #[error("{0:?} is not a valid label name")]
    LabelName(String),
    #[error("error parsing regexp: {cause}")]
    Pattern {
        #[source]
        cause: PatternError,
    },
    #[error("relabel configuration for hashmod requires non-zero modulus")]
    NoModulus,
    #[error("relabel configuration for {0} action requires 'target_label' value")]
    NoTarget(Action),
    #[error("'replacement' can not be set for {0} action")]
    Replacement(Action),
    #[error("\"\" is invalid 'replacement' for labelmap action")]
    EmptyReplacement,
    #[error("{0} action requires only 'source_labels' and `target_label`, and no other fields")]
    OnlySourceAndTarget(Action),
    #[error("{0} action requires only 'regex', and no other fields")]
    OnlyRegex(Action),
}

impl RelabelConfig {
    /// Checks the rule and makes it ready. A second `$` in a template is no mistake, nor is a group that is not there.
    pub fn check(&self) -> Result<Rule, RelabelError> {
        let action = self.action.as_deref().map_or(Ok(Action::Replace), |word| {
            Action::from_word(word).ok_or_else(|| RelabelError::UnknownAction(word.to_owned()))
        })?;
        let source = self.source_labels.clone().unwrap_or_default();
        if let Some(name) = source.iter().find(|name| name.is_empty()) {
            return Err(RelabelError::LabelName(name.clone()));
        }
        let pattern = match &self.regex {
            None => Pattern::Everything,
            Some(text) => {
                let compiled = pattern::compile_whole(text);
                Pattern::Regex(compiled.map_err(|cause| RelabelError::Pattern { cause })?)
            }
        };
        self.check_fields(action)?;
        let separator = self.separator.clone().unwrap_or_else(|| DEFAULT_SEPARATOR.to_owned());
        Ok(Rule { source, separator, does: self.does(action, pattern) })
    }

    fn has_default_replacement(&self) -> bool {
        self.replacement.as_deref().is_none_or(|text| text == DEFAULT_REPLACEMENT)
    }

    /// Checks which fields an action needs and which it has no use for.
    fn check_fields(&self, action: Action) -> Result<(), RelabelError> {
        let has_target = self.target_label.as_deref().is_some_and(|target| !target.is_empty());
        let has_modulus = self.modulus.is_some_and(|modulus| modulus != 0);
        let has_separator = self.separator.as_deref().is_some_and(|text| text != DEFAULT_SEPARATOR);
        if action == Action::HashMod && !has_modulus {
            return Err(RelabelError::NoModulus);
        }
        let in_place = match action {
            Action::Keep | Action::Drop | Action::LabelMap | Action::LabelDrop | Action::LabelKeep => true,
            Action::Replace | Action::HashMod => has_target,
            Action::Lowercase | Action::Uppercase | Action::KeepEqual | Action::DropEqual => {
                if has_target && !self.has_default_replacement() {
                    return Err(RelabelError::Replacement(action));
                }
                has_target
            }
        };
        if !in_place {
            return Err(RelabelError::NoTarget(action));
        }
        match action {
            Action::LabelMap if self.replacement.as_deref() == Some("") => {
                Err(RelabelError::EmptyReplacement)
            }
            Action::KeepEqual | Action::DropEqual if self.regex.is_some() || has_modulus || has_separator => {
                Err(RelabelError::OnlySourceAndTarget(action))
            }
            Action::LabelDrop | Action::LabelKeep
                if self.source_labels.is_some()
                    || has_target
                    || has_modulus
                    || has_separator
                    || !self.has_default_replacement() =>
            {
                Err(RelabelError::OnlyRegex(action))
            }
            _ => Ok(()),
        }
    }

    fn does(&self, action: Action, pattern: Pattern) -> Does {
        let regex = match &pattern {
            Pattern::Everything => None,
            Pattern::Regex(regex) => Some(regex),
        };
        let target = self.target_label.clone().unwrap_or_default();
        let replacement = self.replacement.as_deref().unwrap_or(DEFAULT_REPLACEMENT);
        let replacement = Template::new(replacement, regex);
        match action {
            Action::Replace => Does::Replace { target: Template::new(&target, regex), replacement, pattern },
            Action::Keep => Does::Keep(pattern),
            Action::Drop => Does::Drop(pattern),
            Action::KeepEqual => Does::KeepEqual(target),
            Action::DropEqual => Does::DropEqual(target),
            Action::HashMod => Does::HashMod { target, modulus: self.modulus.unwrap_or(1).max(1) },
            Action::LabelMap => Does::LabelMap { pattern, replacement },
            Action::LabelDrop => Does::LabelDrop(pattern),
            Action::LabelKeep => Does::LabelKeep(pattern),
            Action::Lowercase => Does::Lowercase(target),
            Action::Uppercase => Does::Uppercase(target),
        }
    }
}
