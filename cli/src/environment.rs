//! What the command line takes from the environment, read once at the start. Options that clap reads for itself
//! (`ZV_AGENT`) are not here; a secret never passes through clap, which could print it.

use std::fmt;
use std::path::{Path, PathBuf};

/// The variables that change what the command line does.
#[derive(Clone, Default)]
pub struct Environment {
    /// `ZV_TOKEN`: the agent's token.
    pub token: Option<String>,
    /// Where an agent of this user keeps its state, if the user is not root.
    pub own_state: Option<PathBuf>,
    /// `DOCKER_HOST` or `DOCKER_CONTEXT` names another engine than the one every host has.
    pub names_engine: bool,
    /// `NO_COLOR` is set and not empty.
    pub no_color: bool,
    /// `CLICOLOR_FORCE` is set, not empty and not `0`.
    pub force_color: bool,
    /// `TERM` is `dumb`.
    pub dumb_terminal: bool,
    /// `XDG_STATE_HOME`, else below `HOME` for everybody but root: where programs keep what they remember.
    pub state_home: Option<PathBuf>,
    /// `COLUMNS`: the width where the terminal does not tell its own.
    pub columns: Option<usize>,
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Environment")
            .field("token", &self.token.as_ref().map(|_| "(secret)"))
            .field("own_state", &self.own_state)
            .field("names_engine", &self.names_engine)
            .field("no_color", &self.no_color)
            .field("force_color", &self.force_color)
            .field("dumb_terminal", &self.dumb_terminal)
            .field("state_home", &self.state_home)
            .field("columns", &self.columns)
            .finish()
    }
}

impl Environment {
    /// Reads the environment of this process.
    #[expect(clippy::disallowed_methods, reason = "this module is where the binary reads the environment")]
    pub fn read() -> Self {
        Self::from_lookup(|name| std::env::var(name).ok())
    }

    /// Takes the variables from `lookup`. A variable that is empty counts as not set.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Self {
        let set = |name: &str| lookup(name).filter(|value| !value.is_empty());
        let home = || set("HOME").filter(|_| !rustix::process::geteuid().is_root());
        let below_home = || home().map(|home| PathBuf::from(home).join(".local/state"));
        Self {
            token: set("ZV_TOKEN"),
            own_state: set("XDG_STATE_HOME")
                .map(|state| Path::new(&state).join("zv"))
                .or_else(|| set("HOME").map(|home| Path::new(&home).join(".local/state/zv"))),
            names_engine: set("DOCKER_HOST").is_some_and(|host| host != "unix:///var/run/docker.sock")
                || set("DOCKER_CONTEXT").is_some_and(|context| context != "default"),
            no_color: set("NO_COLOR").is_some(),
            force_color: set("CLICOLOR_FORCE").is_some_and(|value| value != "0"),
            dumb_terminal: set("TERM").is_some_and(|value| value == "dumb"),
            state_home: set("XDG_STATE_HOME").map(PathBuf::from).or_else(below_home),
            columns: set("COLUMNS").and_then(|value| value.parse().ok()).filter(|columns| *columns > 0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_variable_counts_as_not_set() {
        let read = Environment::from_lookup(|_| Some(String::new()));
        assert!(!read.no_color && !read.force_color && read.token.is_none() && read.columns.is_none());
    }

    #[test]
    fn the_engine_of_the_host_is_no_other_engine() {
        let names = |variable: &str, value: &str| {
            Environment::from_lookup(|name| (name == variable).then(|| value.to_owned())).names_engine
        };
        assert!(names("DOCKER_HOST", "tcp://db-1:2376") && names("DOCKER_CONTEXT", "prod"));
        assert!(!names("DOCKER_HOST", "unix:///var/run/docker.sock") && !names("DOCKER_CONTEXT", "default"));
    }

    #[test]
    fn the_token_never_reaches_a_debug_print() {
        let read = Environment::from_lookup(|name| (name == "ZV_TOKEN").then(|| "hunter2".to_owned()));
        assert_eq!(read.token.as_deref(), Some("hunter2"));
        assert!(!format!("{read:?}").contains("hunter2"));
    }
}
