//! The agent in this process: what looks at the local engine where no agent runs.

use std::time::Duration;

use zv_agent::config::{Overrides, Purpose, RuntimeChoice};
use zv_agent::embedded::Embedded as Look;
use zv_api::client::{Client, Connector, Endpoint};

use crate::connect::Options;
use crate::failure::{Failure, Outcome};
use crate::linked;

/// How long an engine may take to tell all it has; what is not known by then is shown as unknown.
const PATIENCE: Duration = Duration::from_secs(5);

/// An agent in this process. It ends when it is dropped.
#[derive(Debug)]
pub struct Embedded {
    client: Client,
    look: Look,
}

impl Embedded {
    /// Returns a client of it.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// Measures what can be seen from here, twice within a moment.
    pub async fn measure(&self) {
        self.look.measured().await;
    }
}

/// Builds the agent in this process from the configuration that `options` name, and returns it once it knows the
/// local engine, or that it does not answer.
pub async fn client(options: &Options) -> Outcome<Embedded> {
    let loaded = linked::load(options.config.clone(), Overrides::default(), Purpose::Look)
        .map_err(|found| linked::mistakes(&found))?;
    let mut config = loaded.config;
    // A look must not start anything, and a local stack lives in its agent alone.
    if config.stack.runtime == RuntimeChoice::Local {
        return Err(Failure::new(
            "no agent answers, and a local stack runs only while its agent does: start it with `zv agent`, or name it \
             with --agent",
        ));
    }
    config.stack.file = None;
    if options.whole_host {
        config.stack.projects.clear();
    }
    let look = Look::start(&config, &linked::surroundings()?)?;
    look.settled(PATIENCE).await;
    let dialler = look.dialler();
    let connector = Connector::new(move || {
        let dialler = dialler.clone();
        async move { dialler.dial().await }
    });
    let client = Client::new(Endpoint::Custom(connector), None).map_err(anyhow::Error::new)?;
    Ok(Embedded { client, look })
}
