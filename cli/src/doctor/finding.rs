//! What the doctor says: one finding for each check, and what they come to.

use serde::Serialize;

/// How a check went, in the order of how much it needs somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Level {
    Ok,
    /// It works, and something is less than it could be.
    Note,
    Problem,
}

impl Level {
    pub(super) fn word(self) -> &'static str {
        match self {
            Level::Ok => "ok",
            Level::Note => "note",
            Level::Problem => "problem",
        }
    }
}

/// What a check is about, in the order in which it is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Area {
    Configuration,
    Agent,
    Engine,
    Rights,
    Containers,
    Host,
    Store,
    Listening,
}

impl Area {
    pub(super) fn title(self) -> &'static str {
        match self {
            Area::Configuration => "Configuration",
            Area::Agent => "Agent",
            Area::Engine => "Engine",
            Area::Rights => "Rights at the engine",
            Area::Containers => "Containers, measured",
            Area::Host => "Host",
            Area::Store => "Store",
            Area::Listening => "Listening",
        }
    }
}

/// What one check found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    pub(super) area: Area,
    pub(super) check: &'static str,
    pub(super) status: Level,
    pub(super) found: String,
    /// What to do; there is always something where it is not ok.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) advice: Option<String>,
}

/// Findings of one area in the making.
#[derive(Debug)]
pub(super) struct Findings {
    area: Area,
    pub(super) all: Vec<Finding>,
}

impl Findings {
    pub(super) fn of(area: Area) -> Self {
        Self { area, all: Vec::new() }
    }

    pub(super) fn ok(&mut self, check: &'static str, found: impl Into<String>) {
        self.push(check, Level::Ok, found.into(), None);
    }

    pub(super) fn note(&mut self, check: &'static str, found: impl Into<String>, advice: impl Into<String>) {
        self.push(check, Level::Note, found.into(), Some(advice.into()));
    }

    pub(super) fn problem(
        &mut self,
        check: &'static str,
        found: impl Into<String>,
        advice: impl Into<String>,
    ) {
        self.push(check, Level::Problem, found.into(), Some(advice.into()));
    }

    pub(super) fn at(
        &mut self,
        level: Level,
        check: &'static str,
        found: impl Into<String>,
        advice: impl Into<String>,
    ) {
        self.push(check, level, found.into(), Some(advice.into()));
    }

    fn push(&mut self, check: &'static str, status: Level, found: String, advice: Option<String>) {
        self.all.push(Finding { area: self.area, check, status, found, advice });
    }
}

/// Returns the worst there is.
pub(super) fn worst(findings: &[Finding]) -> Level {
    findings.iter().map(|finding| finding.status).max().unwrap_or(Level::Ok)
}

/// Returns how many are how: `1 problem, 2 notes, 14 ok`.
pub(super) fn counts(findings: &[Finding]) -> String {
    let count = |level| findings.iter().filter(|finding| finding.status == level).count();
    let told = [(Level::Problem, "problems"), (Level::Note, "notes"), (Level::Ok, "ok")];
    let told = told.into_iter().map(|(level, words)| (count(level), level, words));
    let told = told.filter(|(count, _, _)| *count > 0).map(|(count, level, words)| match count {
        1 => format!("1 {}", level.word()),
        _ => format!("{count} {words}"),
    });
    told.collect::<Vec<_>>().join(", ")
}
