//! What is to be probed: the configuration's probes, and those that labels of running replicas ask for.

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;
use std::sync::Arc;

use zv_probe::labels::{self, Place};
use zv_probe::{Pace, Target};
use zv_stack::{ReplicaId, ServiceKey};

use crate::config;

/// One probe as it is to be.
#[derive(Debug)]
pub(super) struct Spec {
    pub(super) id: Arc<str>,
    pub(super) name: String,
    pub(super) kind: &'static str,
    /// Where labels are not understood, what to write instead.
    pub(super) target: Result<Target, String>,
    pub(super) pace: Pace,
    /// The replica whose labels ask for it.
    pub(super) owner: Option<Owner>,
    /// The same content has the same.
    pub(super) fingerprint: u64,
}

/// The replica that a probe belongs to.
#[derive(Debug, Clone)]
pub(crate) struct Owner {
    pub(crate) key: ServiceKey,
    pub(crate) id: ReplicaId,
    pub(crate) name: String,
}

/// A running replica with labels of probes.
#[derive(Debug)]
pub(crate) struct LabelledReplica {
    pub(crate) owner: Owner,
    /// Another number after each start.
    pub(crate) life: u64,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) addresses: Vec<IpAddr>,
    pub(crate) ports: Vec<String>,
}

/// Everything that is to be probed, by id.
pub(super) type Wanted = BTreeMap<Arc<str>, Arc<Spec>>;

/// Turns configuration and labels into specs; what was read of a replica is kept while it stays the same.
#[derive(Debug, Default)]
pub(super) struct Reader {
    replicas: HashMap<ReplicaId, (u64, Vec<Arc<Spec>>)>,
}

impl Reader {
    pub(super) fn wanted(
        &mut self,
        configured: &[Arc<config::Probe>],
        replicas: Vec<LabelledReplica>,
    ) -> Wanted {
        let mut wanted = Wanted::new();
        let mut read = HashMap::with_capacity(replicas.len());
        for replica in replicas {
            let fingerprint = fingerprint(&replica);
            let known = self.replicas.remove(&replica.owner.id).filter(|(known, _)| *known == fingerprint);
            let (_, specs) = known.unwrap_or_else(|| (fingerprint, of_labels(&replica, fingerprint)));
            wanted.extend(specs.iter().map(|spec| (Arc::clone(&spec.id), Arc::clone(spec))));
            read.insert(replica.owner.id, (fingerprint, specs));
        }
        self.replicas = read;
        // Last: a person's own words win, should two ids ever be the same.
        for probe in configured {
            let spec = Arc::new(of_configuration(probe));
            wanted.insert(Arc::clone(&spec.id), spec);
        }
        wanted
    }
}

fn of_configuration(probe: &config::Probe) -> Spec {
    Spec {
        id: fit_for_a_path(&probe.name).into(),
        name: probe.name.clone(),
        kind: probe.target.check.kind(),
        target: Ok(probe.target.clone()),
        pace: probe.pace,
        owner: None,
        fingerprint: probe.fingerprint,
    }
}

fn of_labels(replica: &LabelledReplica, fingerprint: u64) -> Vec<Arc<Spec>> {
    let LabelledReplica { owner, labels, addresses, ports, .. } = replica;
    let place = Place { name: &owner.name, addresses, ports };
    let spec = |kind: &str, check: &'static str, target, pace| {
        Arc::new(Spec {
            id: format!("replica.{}-{kind}", fit_for_a_path(owner.id.short())).into(),
            name: format!("{} {kind}", owner.name),
            kind: check,
            target,
            pace,
            owner: Some(owner.clone()),
            fingerprint,
        })
    };
    match labels::targets(labels, &place) {
        Ok(found) => found
            .into_iter()
            .map(|found| spec(found.kind, found.target.check.kind(), Ok(found.target), found.pace))
            .collect(),
        Err(error) => {
            let reason = error.to_string();
            tracing::warn!(container.name = %owner.name, %reason, "labels of a probe are not understood");
            vec![spec("labels", "labels", Err(reason), Pace::default())]
        }
    }
}

fn fingerprint(replica: &LabelledReplica) -> u64 {
    let mut hasher = DefaultHasher::new();
    let labels = replica.labels.iter().filter(|(name, _)| name.starts_with(labels::PREFIX));
    for label in labels {
        label.hash(&mut hasher);
    }
    let LabelledReplica { owner, life, addresses, ports, .. } = replica;
    (&owner.key, &owner.id, &owner.name, life, addresses, ports).hash(&mut hasher);
    hasher.finish()
}

/// Returns a name as a part of a path: itself where it may be, else what is left of it and a number of its own.
fn fit_for_a_path(name: &str) -> String {
    const LONGEST: usize = 60;
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.len() <= LONGEST && !name.starts_with('.') && !name.is_empty() && name.chars().all(is_plain) {
        return name.to_owned();
    }
    let kept: String = name.chars().take(LONGEST).map(|c| if is_plain(c) { c } else { '-' }).collect();
    // FNV-1a: the same in every version of the agent.
    let number = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{}-{:08x}", kept.trim_start_matches('.'), number & 0xffff_ffff)
}
