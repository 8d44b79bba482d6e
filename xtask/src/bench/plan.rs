//! What the caller asks for.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

/// A long watch is one of the agent: everything else has said what it has to say sooner.
const LONGEST_BESIDE: Duration = Duration::from_secs(150);
const LONGEST_STEP: Duration = Duration::from_secs(60);

/// The arguments, with their defaults.
#[derive(Debug, PartialEq)]
pub(super) struct Plan {
    pub(super) containers: usize,
    minutes: f64,
    /// `unix:///PATH`.
    pub(super) host: String,
    /// Go on although the engine runs something else: it shows in the figures.
    pub(super) force: bool,
    pub(super) write: bool,
}

impl Plan {
    pub(super) fn parse(args: &[&str], docker_host: Option<String>) -> Result<Self> {
        let default_host = docker_host.filter(|host| !host.is_empty());
        let mut plan = Self {
            containers: 300,
            minutes: 5.0,
            host: default_host.unwrap_or_else(|| "unix:///var/run/docker.sock".into()),
            force: false,
            write: false,
        };
        let mut args = args.iter();
        while let Some(name) = args.next() {
            let mut value = || args.next().copied().with_context(|| format!("`{name}` needs a value"));
            match *name {
                "--containers" => {
                    plan.containers = value()?.parse().context("`--containers` takes a number")?;
                }
                "--minutes" => plan.minutes = value()?.parse().context("`--minutes` takes a number")?,
                "--engine" => value()?.clone_into(&mut plan.host),
                "--force" => plan.force = true,
                "--write" => plan.write = true,
                other => bail!("`{other}` is not an option of `bench agent`"),
            }
        }
        ensure!(plan.host.starts_with("unix://"), "the engine has to be on this machine: use unix:///PATH");
        ensure!(plan.containers > 0, "`--containers` has to be at least 1");
        ensure!((0.1..=1440.0).contains(&plan.minutes), "`--minutes` has to be between 0.1 and 1440");
        Ok(plan)
    }

    /// How long the agent is watched beside all containers.
    pub(super) fn window(&self) -> Duration {
        Duration::from_secs_f64(self.minutes * 60.0)
    }

    /// How long what it is compared with is watched.
    pub(super) fn half_window(&self) -> Duration {
        (self.window() / 2).min(LONGEST_BESIDE)
    }

    /// How long it is watched at each step before.
    pub(super) fn short_window(&self) -> Duration {
        (self.window() / 5).min(LONGEST_STEP)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_engine_is_the_one_of_the_environment_unless_named() {
        let host = || Some("unix:///a".to_owned());
        assert_eq!(Plan::parse(&[], host()).unwrap().host, "unix:///a");
        assert_eq!(Plan::parse(&["--engine", "unix:///b"], host()).unwrap().host, "unix:///b");
        assert!(Plan::parse(&[], None).unwrap().host.starts_with("unix:///"));
    }

    #[test]
    fn options_are_read() {
        let plan = Plan::parse(&["--containers", "20", "--minutes", "0.5", "--write"], None).unwrap();
        assert_eq!((plan.containers, plan.write, plan.force), (20, true, false));
        assert_eq!(plan.window(), Duration::from_secs(30));
    }

    #[test]
    fn mistakes_are_refused() {
        for (args, words) in [
            (&["--containers"][..], "needs a value"),
            (&["--containers", "many"], "takes a number"),
            (&["--containers", "0"], "at least 1"),
            (&["--minutes", "NaN"], "between"),
            (&["--engine", "tcp://a:1"], "on this machine"),
            (&["--speed"], "not an option"),
        ] {
            let error = format!("{:#}", Plan::parse(args, None).unwrap_err());
            assert!(error.contains(words), "{args:?}: {error}");
        }
    }
}
