//! Writes what was collected as Prometheus' metrics: one module for each job whose names it speaks.
//!
//! One pass writes all families; those who scrape at once share it.

pub mod containers;
pub mod host;
pub mod own;
pub mod probes;
pub mod stack;

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Mutex;
use tokio::time::Instant;
use zv_wire::{Exposition, Format};

use crate::collect::Collected;
use own::Own;

/// What is older than this is measured again for a scrape,
const FRESH: Duration = Duration::from_secs(1);
/// which waits for that no longer than this.
const PATIENCE: Duration = Duration::from_millis(250);
/// A text is served again while nothing changed, for so long.
const SHARED: Duration = Duration::from_secs(1);

/// A part of the metrics, by the job name that public rules know it by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Part {
    Cadvisor,
    Node,
    Blackbox,
    Zv,
}

impl Part {
    const ALL: [Part; 4] = [Part::Cadvisor, Part::Node, Part::Blackbox, Part::Zv];

    /// Returns the part with this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|part| part.name() == name)
    }

    /// Returns all names, for a person.
    pub fn names() -> String {
        Self::ALL.map(Part::name).join(", ")
    }

    fn name(self) -> &'static str {
        match self {
            Part::Cadvisor => "cadvisor",
            Part::Node => "node",
            Part::Blackbox => "blackbox",
            Part::Zv => "zv",
        }
    }
}

/// The parts of one scrape.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Parts(BTreeSet<Part>);

impl Parts {
    /// Returns all of them.
    pub fn all() -> Self {
        Self(Part::ALL.into())
    }

    /// Adds one.
    pub fn insert(&mut self, part: Part) {
        self.0.insert(part);
    }

    /// Says whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Writes the families of one part. It asks nobody and waits for nothing.
pub type Writer = Box<dyn Fn(&mut Exposition) + Send + Sync>;

/// A handle to the metrics. Cheap to clone.
#[derive(Clone)]
pub struct Metrics {
    inner: Arc<Inner>,
}

struct Inner {
    collected: Collected,
    writers: Vec<(Part, Writer)>,
    /// Rises with what else the writers tell of.
    version: Box<dyn Fn() -> u64 + Send + Sync>,
    /// One writes, the others wait for what it wrote.
    written: Mutex<HashMap<(Format, Parts), Written>>,
}

/// A text that was written.
struct Written {
    text: Bytes,
    at: Instant,
    /// What it tells of.
    of: (u64, u64),
}

impl Metrics {
    /// Returns the metrics that `writers` write, of what was measured and what else is told by `version`.
    pub fn new(
        collected: Collected,
        writers: Vec<(Part, Writer)>,
        version: impl Fn() -> u64 + Send + Sync + 'static,
    ) -> Self {
        let version = Box::new(version);
        Self { inner: Arc::new(Inner { collected, writers, version, written: Mutex::default() }) }
    }

    /// Returns the metrics of stacks, of what was measured of them, and of the agent itself.
    pub fn of(stacks: &crate::stacks::Stacks) -> Self {
        let (told, measured) = (stacks.clone(), stacks.clone());
        let (hosts, own, versions) =
            (stacks.collected().clone(), stacks.collected().own().clone(), stacks.clone());
        let probed = stacks.probes();
        let writers: Vec<(Part, Writer)> = vec![
            (Part::Cadvisor, Box::new(move |out| containers::expose(out, &measured))),
            (
                Part::Node,
                Box::new(move |out| {
                    if let Some(measured) = &hosts.latest().host {
                        host::expose(out, &measured.measurement);
                    }
                }),
            ),
            (Part::Blackbox, Box::new(move |out| probes::expose(out, &probed))),
            (
                Part::Zv,
                Box::new(move |out| {
                    stack::expose(out, &told);
                    own.expose(out);
                }),
            ),
        ];
        Self::new(stacks.collected().clone(), writers, move || versions.version())
    }

    /// Returns the counters of the agent.
    pub fn own(&self) -> &Own {
        self.inner.collected.own()
    }

    /// Returns the text of a scrape.
    pub async fn scrape(&self, format: Format, parts: Parts) -> Bytes {
        self.inner.collected.refresh(FRESH, PATIENCE).await;
        let mut written = self.inner.written.lock().await;
        let of = (self.inner.collected.latest().number, (self.inner.version)());
        let key = (format, parts);
        if let Some(shared) = written.get(&key).filter(|text| text.of == of && text.at.elapsed() < SHARED) {
            return shared.text.clone();
        }
        // It will be about as long as the one before.
        let expected = written.get(&key).map_or(16 * 1024, |before| before.text.len() + 4096);
        let mut out = Exposition::new(format, expected);
        for (part, write) in &self.inner.writers {
            if key.1.0.contains(part) {
                write(&mut out);
            }
        }
        let text = Bytes::from(out.finish());
        // Others that nobody asked for lately would only lie there.
        written.retain(|_, text| text.at.elapsed() < SHARED);
        written.insert(key, Written { text: text.clone(), at: Instant::now(), of });
        text
    }
}

impl Default for Metrics {
    /// Returns metrics of nothing but the agent itself.
    fn default() -> Self {
        let collected = Collected::default();
        let own = collected.own().clone();
        Self::new(collected, vec![(Part::Zv, Box::new(move |out| own.expose(out)))], || 0)
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").field("collected", &self.inner.collected).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
