//! What the probes see of the stacks, and how they tell of themselves.

use std::path::Path;
use std::sync::LazyLock;

use tokio::sync::watch;
use zv_api::What;
use zv_probe::labels;
use zv_stack::{Network, State};

use super::Stacks;
use crate::probes::{LabelledReplica, Owner};

/// The agent is in a container with a network of its own: its loopback is not the host's.
static IS_SEALED: LazyLock<bool> = LazyLock::new(|| {
    let is_contained = ["/.dockerenv", "/run/.containerenv"].iter().any(|mark| Path::new(mark).exists());
    is_contained && !has_interface_of_the_host(Path::new("/sys/class/net"))
});

/// Says whether any interface besides the loopback is whole; in a container, each is one end of a pair.
fn has_interface_of_the_host(folder: &Path) -> bool {
    let Ok(interfaces) = std::fs::read_dir(folder) else { return false };
    let is_whole = |interface: std::fs::DirEntry| {
        let number = |name: &str| {
            let text = std::fs::read_to_string(interface.path().join(name)).ok()?;
            text.trim().parse::<u32>().ok()
        };
        interface.file_name() != "lo" && number("ifindex").is_some_and(|own| number("iflink") == Some(own))
    };
    interfaces.filter_map(Result::ok).any(is_whole)
}

impl Stacks {
    /// Returns a number that rises with every change of the model.
    pub(crate) fn versions(&self) -> watch::Receiver<u64> {
        self.inner.version.subscribe()
    }

    /// Returns the running replicas whose labels ask for probes. Those that were not looked at closely yet have no address
    /// that could be believed, and one that runs a single command is no server.
    pub(crate) fn replicas_with_probes(&self) -> Vec<LabelledReplica> {
        let is_near = self.inner.runtime.is_on_this_host() && !*IS_SEALED;
        let state = self.state();
        let asking = state.model.replicas().filter(|view| {
            let seen = view.seen;
            let is_fit = seen.state == State::Running && seen.details.is_some() && !seen.one_off;
            is_fit && labels::ask_for_probes(seen.labels.keys().map(String::as_str))
        });
        let labelled = asking.map(|view| {
            // Whoever has another's network is reached where that one is.
            let lender = match &view.seen.network {
                Network::Of(id) => state.model.replicas().find(|view| view.seen.id == *id),
                Network::Own | Network::Host | Network::Nothing => None,
            };
            let place = lender.as_ref().map_or(view.seen, |lender| lender.seen);
            LabelledReplica {
                owner: Owner {
                    key: view.seen.key.clone(),
                    id: view.seen.id.clone(),
                    name: view.seen.name.clone(),
                    number: view.seen.number,
                },
                life: view.life,
                labels: view.seen.labels.clone(),
                addresses: place.addresses.clone(),
                ports: place.ports.clone(),
                shares_host: place.network == Network::Host,
                is_near,
            }
        });
        labelled.collect()
    }

    /// Tells every listener of probes.
    pub(crate) fn tell_of_probes(&self, changes: Vec<What>) {
        let mut state = self.state();
        for what in changes {
            self.publish(&mut state, what);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interface_of_the_host_is_no_end_of_a_pair() {
        let folder = tempfile::tempdir().unwrap();
        let interface = |name: &str, own: u32, link: u32| {
            let path = folder.path().join(name);
            std::fs::create_dir(&path).unwrap();
            std::fs::write(path.join("ifindex"), format!("{own}\n")).unwrap();
            std::fs::write(path.join("iflink"), format!("{link}\n")).unwrap();
        };
        interface("lo", 1, 1);
        interface("eth0", 2, 17);
        assert!(!has_interface_of_the_host(folder.path()));
        interface("docker0", 3, 3);
        assert!(has_interface_of_the_host(folder.path()));
    }
}
