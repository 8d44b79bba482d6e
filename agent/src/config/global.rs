//! The area `global`: what is true of this host everywhere. It names the host in every id.

use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use schemars::JsonSchema;
use serde::Deserialize;

use super::reading::Reading;

/// What is true of everything this agent sees.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct GlobalFile {
    /// Labels that mark what comes from this agent.
    external_labels: Option<ExternalLabelsFile>,
}

/// Labels that mark what comes from this agent.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExternalLabelsFile {
    /// The host's name. Default: the name that the kernel knows.
    host: Option<String>,
}

/// Which host this is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Global {
    /// What people call the host.
    pub host_name: String,
    /// Tells the host from all others, over reboots and renames; absent until [`keep_host_id`] has made one.
    pub host_id: Option<String>,
}

/// The file in the store's folder that keeps a host's id where the system has none.
const HOST_ID_FILE: &str = "host-id";

impl Global {
    pub(crate) fn resolve(file: GlobalFile, reading: &mut Reading<'_>, store: &Path) -> Self {
        let named = file.external_labels.and_then(|labels| labels.host);
        let host_name = named.or_else(|| reading.environment.host_name.clone()).unwrap_or_else(|| {
            let text = "this host has no name: it is called `localhost`; set `global.external_labels.host`";
            reading.warn("global.external_labels.host", text);
            "localhost".to_owned()
        });
        let host_id = reading.environment.machine_id.as_deref().map(host_id).or_else(|| kept_host_id(store));
        Self { host_name, host_id }
    }
}

/// Returns an id made from the machine's own, which must not leave the machine.
fn host_id(machine_id: &str) -> String {
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, machine_id.as_bytes());
    hex(&ring::hmac::sign(&key, b"zv host id").as_ref()[..8])
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn kept_host_id(store: &Path) -> Option<String> {
    let text = std::fs::read_to_string(store.join(HOST_ID_FILE)).ok()?;
    let text = text.trim();
    let sound = text.len() == 16 && text.bytes().all(|b| b.is_ascii_hexdigit());
    sound.then(|| text.to_owned())
}

/// Returns the id that the store's folder keeps for a host without one of its own; makes it on first use.
pub fn keep_host_id(store: &Path) -> std::io::Result<String> {
    if let Some(id) = kept_host_id(store) {
        return Ok(id);
    }
    let mut random = [0_u8; 8];
    // So few bytes come at once or not at all.
    rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty())?;
    let id = hex(&random);
    let (path, fresh) = (store.join(HOST_ID_FILE), store.join(format!("{HOST_ID_FILE}.{id}")));
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(0o644).open(&fresh)?;
    std::io::Write::write_all(&mut file, format!("{id}\n").as_bytes())?;
    file.sync_all()?;
    // A link, unlike a rename, keeps the id of another process that was faster.
    let linked = match std::fs::hard_link(&fresh, &path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists && kept_host_id(store).is_none() => {
            std::fs::rename(&fresh, &path)
        }
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
        _ => std::fs::remove_file(&fresh),
    };
    linked.map(|()| kept_host_id(store).unwrap_or(id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_id_does_not_shine_through() {
        let id = host_id("0123456789abcdef0123456789abcdef");
        assert_eq!(id, host_id("0123456789abcdef0123456789abcdef"));
        assert_eq!(id.len(), 16);
        assert_ne!(id, host_id("1123456789abcdef0123456789abcdef"));
    }

    #[test]
    fn an_id_is_made_once_and_kept() {
        let store = tempfile::tempdir().unwrap();
        let id = keep_host_id(store.path()).unwrap();
        assert_eq!(keep_host_id(store.path()).unwrap(), id);
        assert_eq!(kept_host_id(store.path()), Some(id));
        assert_eq!(std::fs::read_dir(store.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_spoilt_id_is_made_anew() {
        let store = tempfile::tempdir().unwrap();
        std::fs::write(store.path().join(HOST_ID_FILE), "").unwrap();
        let id = keep_host_id(store.path()).unwrap();
        assert_eq!(kept_host_id(store.path()), Some(id));
    }

    #[test]
    fn a_store_that_cannot_be_written_is_an_error() {
        keep_host_id(Path::new("/proc/nowhere")).unwrap_err();
    }
}
