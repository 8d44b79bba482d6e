//! What is known of each replica, and what all of a stack's tasks share.

use std::collections::{BTreeMap, VecDeque};
use std::ffi::OsString;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};
use tokio::sync::{mpsc, watch};

use super::file::Spec;
use super::logs::{LogStore, Tap};
use super::ports::Ports;
use crate::input::Input;
use crate::model::{Details, Exit, Health, Network, ReplicaId, Seen, ServiceKey, State, Verdict};

/// What the tasks of one stack share.
#[derive(Debug)]
pub(super) struct Context {
    pub guard: Vec<OsString>,
    pub logs: Arc<LogStore>,
    pub registry: Registry,
    pub ports: Ports,
    /// Ends the mark of every process of this stack: tells stacks with different state folders apart.
    pub mark: String,
    /// Fires whenever a replica's facts change; dependents wait for it.
    pub changed: watch::Sender<()>,
}

/// The replicas there are.
#[derive(Debug, Default)]
pub(super) struct Registry {
    // Held to look up or to change one entry, never across an await.
    replicas: Mutex<Replicas>,
}

#[derive(Debug, Default)]
struct Replicas {
    known: BTreeMap<ReplicaId, Arc<Shared>>,
    /// The last ones that were removed, oldest first: their death may still be looked into.
    removed: VecDeque<Arc<Shared>>,
}

/// The removed replicas that are remembered.
const REMEMBERED: usize = 32;

impl Registry {
    pub(super) fn get(&self, id: &ReplicaId) -> Option<Arc<Shared>> {
        self.lock().known.get(id).cloned()
    }

    /// Returns a replica that may have been removed meanwhile.
    pub(super) fn get_or_remember(&self, id: &ReplicaId) -> Option<Arc<Shared>> {
        let replicas = self.lock();
        let removed = || replicas.removed.iter().rev().find(|replica| replica.id == *id);
        replicas.known.get(id).or_else(removed).cloned()
    }

    pub(super) fn insert(&self, shared: Arc<Shared>) {
        self.lock().known.insert(shared.id.clone(), shared);
    }

    pub(super) fn remove(&self, id: &ReplicaId) {
        let mut replicas = self.lock();
        if let Some(removed) = replicas.known.remove(id) {
            replicas.removed.push_back(removed);
            if replicas.removed.len() > REMEMBERED {
                replicas.removed.pop_front();
            }
        }
    }

    pub(super) fn all(&self) -> Vec<Arc<Shared>> {
        self.lock().known.values().cloned().collect()
    }

    /// Returns the replicas of one service.
    pub(super) fn of(&self, key: &ServiceKey) -> Vec<Arc<Shared>> {
        self.lock().known.values().filter(|replica| replica.key == *key).cloned().collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Replicas> {
        self.replicas.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One replica as everybody may see it.
#[derive(Debug)]
pub(super) struct Shared {
    pub id: ReplicaId,
    pub name: String,
    pub key: ServiceKey,
    pub number: u32,
    pub tap: Arc<Tap>,
    created_at: DateTime<Utc>,
    // Held to read or change the facts, never across an await.
    facts: Mutex<Facts>,
}

/// What changes in the life of a replica. Only its own task writes it.
#[derive(Debug, Clone)]
pub(super) struct Facts {
    pub spec: Arc<Spec>,
    pub state: State,
    pub port: Option<u16>,
    pub pid: Option<u32>,
    pub started_at: Option<DateTime<Utc>>,
    pub exit: Option<Exit>,
    pub restart_count: u32,
    pub health: Health,
    /// Kept beyond the next start, for the record of the death.
    pub health_at_death: Health,
}

impl Shared {
    /// Returns a replica that was never started.
    pub(super) fn new(
        stack: &Arc<str>,
        service: &Arc<str>,
        number: u32,
        spec: Arc<Spec>,
        logs: &Arc<LogStore>,
        now: DateTime<Utc>,
    ) -> Self {
        let id = ReplicaId::new(format!("local-{stack}-{service}-{number}"));
        let name = format!("{service}-{number}");
        let tap = Arc::new(Tap::new(id.clone(), &name, logs.clone()));
        let facts = Facts {
            spec,
            state: State::Created,
            port: None,
            pid: None,
            started_at: None,
            exit: None,
            restart_count: 0,
            health: Health::default(),
            health_at_death: Health::default(),
        };
        let key = ServiceKey::new(stack.clone(), service.clone());
        Self { id, name, key, number, tap, created_at: now, facts: Mutex::new(facts) }
    }

    pub(super) fn facts(&self) -> Facts {
        self.lock().clone()
    }

    pub(super) fn update<T>(&self, change: impl FnOnce(&mut Facts) -> T) -> T {
        change(&mut self.lock())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Facts> {
        self.facts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says whether services that need this one may start.
    pub(super) fn is_ready(&self) -> bool {
        let facts = self.lock();
        let up =
            facts.state == State::Running && matches!(facts.health.verdict, Verdict::Healthy | Verdict::None);
        let finished =
            facts.state == State::Exited && facts.exit.as_ref().is_some_and(|exit| exit.code == Some(0));
        up || finished
    }

    /// Describes the replica to the model.
    pub(super) fn seen(&self) -> Seen {
        let facts = self.facts();
        let spec = &facts.spec;
        let labels = spec.labels.iter().filter(|(name, _)| name.starts_with("zv."));
        Seen {
            id: self.id.clone(),
            name: self.name.clone(),
            key: self.key.clone(),
            number: self.number,
            one_off: false,
            state: facts.state,
            verdict: facts.health.verdict,
            created_at: Some(self.created_at),
            image: spec.command.first().cloned().unwrap_or_default(),
            image_id: String::new(),
            config_hash: Some(spec.hash.clone()),
            depends_on: spec.depends_on.clone(),
            labels: labels.map(|(name, value)| (name.clone(), value.clone())).collect(),
            ports: facts.port.map(|port| format!("127.0.0.1:{port}")).into_iter().collect(),
            addresses: vec![Ipv4Addr::LOCALHOST.into()],
            network: Network::Host,
            details: Some(Details {
                pid: facts.pid,
                started_at: facts.started_at,
                exit: facts.exit,
                restart_count: facts.restart_count,
                restart_policy: spec.restart,
                health: facts.health,
                tty: false,
            }),
        }
    }

    /// Describes the replica to a person, without the values of its environment and the logins of its probes.
    pub(super) fn inspect(&self) -> serde_json::Value {
        let facts = self.facts();
        let labels = facts.spec.labels.iter().map(|(name, value)| (name, crate::labels::shown(name, value)));
        let labels: BTreeMap<_, _> = labels.collect();
        let spec = &facts.spec;
        let masked: BTreeMap<&String, &str> = spec.env.keys().map(|name| (name, "***")).collect();
        serde_json::json!({
            "name": self.name,
            "command": spec.command,
            "working_dir": spec.working_dir,
            "env": masked,
            "port": facts.port,
            "restart": spec.restart,
            "restart_count": facts.restart_count,
            "stop_grace_seconds": spec.stop_grace.as_secs_f64(),
            "depends_on": spec.depends_on,
            "labels": labels,
            "started_at": facts.started_at,
            "config_hash": spec.hash,
        })
    }
}

/// Where inputs for the model go. Bounded: a consumer that stands still holds up the tasks, not their logs.
pub(super) type Events = mpsc::Sender<Input>;
