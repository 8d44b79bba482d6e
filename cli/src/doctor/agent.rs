//! The agent: whether one answers, which, and as whom it runs.

use std::path::Path;
use std::time::Duration;

use tokio::net::UnixStream;
use tokio::time::timeout;
use zv_agent::config::Config;
use zv_api::client::ClientError;
use zv_api::{RuntimeState, Snapshot};

use super::finding::{Area, Finding, Findings};
use super::here::{GROUP, Here};
use crate::connect::{self, DEFAULT_ADDRESSES, NO_AGENT, Options};

/// How long each address may take.
const PATIENCE: Duration = Duration::from_secs(3);

/// What was found of an agent, for the checks that go by it.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// The address that answered.
    pub(super) address: Option<String>,
    /// As whom it runs, where that can be told.
    pub(super) uid: Option<u32>,
}

/// What one address said.
#[derive(Debug)]
enum Said {
    Nobody,
    Trouble(String),
    Denied,
    WantsToken,
    NotReady(Option<Box<Snapshot>>),
    Ready(Option<Box<Snapshot>>),
}

/// Looks for an agent at all addresses at once.
pub(super) async fn look(options: &Options, config: Option<&Config>, here: &Here) -> (Vec<Finding>, Found) {
    if options.agent.as_deref() == Some(NO_AGENT) {
        return (Vec::new(), Found::default());
    }
    let addresses = addresses(options, config);
    let asking =
        addresses.iter().map(|address| async move { (address.as_str(), said(address, options).await) });
    let answers = futures_util::future::join_all(asking).await;
    let mut found = Found::default();
    for (address, said) in &answers {
        if found.address.is_none() && matches!(said, Said::Ready(_) | Said::NotReady(_) | Said::WantsToken) {
            found.address = Some((*address).to_owned());
        }
        if let (None, Some(path)) = (found.uid, address.strip_prefix("unix://")) {
            found.uid = uid_behind(Path::new(path)).await;
        }
    }
    (judge(&answers, options.agent.is_some(), here), found)
}

fn addresses(options: &Options, config: Option<&Config>) -> Vec<String> {
    if let Some(address) = &options.agent {
        return vec![address.clone()];
    }
    let mut addresses = Vec::new();
    if let Some(config) = config {
        addresses.extend(config.api.unix.as_ref().map(|path| format!("unix://{}", path.display())));
        let scheme = if config.api.tls.is_some() { "https" } else { "http" };
        addresses.extend(config.api.listen.iter().filter(|address| address.port() != 0).map(|address| {
            let mut address = *address;
            if address.ip().is_unspecified() {
                address.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
            }
            format!("{scheme}://{address}")
        }));
    }
    for default in DEFAULT_ADDRESSES {
        if !addresses.iter().any(|address| address == default) {
            addresses.push(default.to_owned());
        }
    }
    addresses
}

async fn said(address: &str, options: &Options) -> Said {
    let client = match connect::client(address, options) {
        Ok(client) => client,
        Err(failure) => return Said::Trouble(failure.to_string()),
    };
    match timeout(PATIENCE, client.healthy()).await {
        Err(_) => {
            return Said::Trouble(format!("it takes connections and gives no answer within {PATIENCE:?}"));
        }
        Ok(Err(error)) if error.is_absence() => return Said::Nobody,
        Ok(Err(ClientError::Connect { source, .. }))
            if source.kind() == std::io::ErrorKind::PermissionDenied =>
        {
            return Said::Denied;
        }
        Ok(Err(error)) => return Said::Trouble(error.to_string()),
        Ok(Ok(())) => {}
    }
    let (ready, snapshot) =
        tokio::join!(timeout(PATIENCE, client.ready()), timeout(PATIENCE, client.snapshot()));
    let snapshot = match snapshot {
        Ok(Ok(snapshot)) => Some(Box::new(snapshot)),
        Ok(Err(ClientError::Unauthorized { .. })) => return Said::WantsToken,
        Ok(Err(_)) | Err(_) => None,
    };
    if matches!(ready, Ok(Ok(()))) { Said::Ready(snapshot) } else { Said::NotReady(snapshot) }
}

/// Asks the kernel who listens at a socket.
async fn uid_behind(path: &Path) -> Option<u32> {
    let stream = timeout(PATIENCE, UnixStream::connect(path)).await.ok()?.ok()?;
    Some(stream.peer_cred().ok()?.uid())
}

fn judge(answers: &[(&str, Said)], is_named: bool, here: &Here) -> Vec<Finding> {
    let mut findings = Findings::of(Area::Agent);
    for (address, said) in answers {
        match said {
            Said::Nobody => {}
            Said::Denied => {
                let advice = match here.names.gid(GROUP) {
                    Some(gid) => here.joining(gid),
                    None => {
                        "`sudo zv doctor`; a group `zv` would let others use it: `sudo groupadd --system zv`"
                            .to_owned()
                    }
                };
                findings.note("answers", format!("this user may not use {address}"), advice);
            }
            Said::Trouble(trouble) => findings.problem(
                "answers",
                format!("{address}: {trouble}"),
                "look at its log: `journalctl -u zv-agent` or `docker logs`; something else may listen there",
            ),
            Said::WantsToken => findings.note(
                "answers",
                format!("{address}, and shows nothing without its token"),
                "give zv the token with --token-file FILE or as ZV_TOKEN",
            ),
            Said::Ready(snapshot) | Said::NotReady(snapshot) => {
                let ready = matches!(said, Said::Ready(_));
                answering(address, snapshot.as_deref(), ready, &mut findings);
            }
        }
    }
    if findings.all.is_empty() {
        let places: Vec<&str> = answers.iter().map(|(address, _)| *address).collect();
        let found = format!("none at {}", places.join(", "));
        if is_named {
            findings.problem("answers", found, "start it there, or correct the address");
        } else {
            let advice = "start one: `sudo systemctl start zv-agent`, or `zv agent`; without it every command looks for itself";
            findings.note("answers", found, advice);
        }
    }
    findings.all
}

fn answering(address: &str, snapshot: Option<&Snapshot>, ready: bool, findings: &mut Findings) {
    let own = env!("CARGO_PKG_VERSION");
    let version = snapshot.map_or(String::new(), |snapshot| format!(", version {}", snapshot.version));
    if snapshot.is_some_and(|snapshot| snapshot.version != own) {
        let found = format!("{address}{version}, and this zv is {own}");
        findings.note("answers", found, "update the older of the two, and restart the agent");
    } else {
        findings.ok("answers", format!("{address}{version}"));
    }
    match snapshot.map(|snapshot| &snapshot.runtime) {
        Some(RuntimeState::Down { reason, .. }) => findings.problem(
            "ready",
            format!("{address} cannot see its runtime: {reason}"),
            "mend what is told of the engine below, for the agent's user; it then goes on by itself",
        ),
        Some(RuntimeState::Connecting) => findings.note(
            "ready",
            format!("{address} has not heard of its runtime yet"),
            "ask again in a few seconds; then look at its log",
        ),
        _ if !ready => findings.problem(
            "ready",
            format!("{address} is not ready"),
            "look at its log: `journalctl -u zv-agent` or `docker logs`",
        ),
        _ => findings.ok("ready", "it sees its runtime"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::super::here::tests::here;
    use super::*;
    use crate::samples;

    fn of(said: Said, named: bool) -> (Level, String) {
        let findings = judge(&[("http://a:1", said)], named, &here(false, 1000));
        let worst = findings.iter().max_by_key(|finding| finding.status).unwrap();
        (worst.status, format!("{} {}", worst.found, worst.advice.clone().unwrap_or_default()))
    }

    #[test]
    fn each_kind_of_answer_has_its_verdict_and_advice() {
        let own = |version: &str, runtime| {
            let snapshot = Snapshot { version: version.into(), runtime, ..samples::shop() };
            Some(Box::new(snapshot))
        };
        let down = RuntimeState::Down { since: samples::now(), reason: "permission denied".into() };
        let up = samples::shop().runtime;
        let version = env!("CARGO_PKG_VERSION");
        for (said, named, level, words) in [
            (Said::Nobody, false, Level::Note, "zv agent"),
            (Said::Nobody, true, Level::Problem, "correct the address"),
            (Said::Denied, false, Level::Note, "log in again"),
            (Said::WantsToken, false, Level::Note, "ZV_TOKEN"),
            (Said::Trouble("garbage".into()), false, Level::Problem, "garbage"),
            (Said::Ready(own(version, up.clone())), false, Level::Ok, ""),
            (Said::Ready(own("0.0.1", up)), false, Level::Note, "update the older"),
            (Said::NotReady(own(version, down)), false, Level::Problem, "permission denied"),
            (Said::NotReady(own(version, RuntimeState::Connecting)), false, Level::Note, "few seconds"),
            (Said::NotReady(None), false, Level::Problem, "not ready"),
        ] {
            let shown = format!("{said:?}");
            let (found, text) = of(said, named);
            assert!(found == level && text.contains(words), "{shown}: {found:?} {text}");
        }
    }
}
