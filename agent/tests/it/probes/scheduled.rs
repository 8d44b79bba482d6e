//! Those of the configuration and of labels, in an agent that runs.

use std::fmt::Write;

use zv_api::Probe;

use super::{Server, answer, get};
use crate::whole::disk::Tiny;
use crate::whole::rig::{Agent, POLITE, Place, eventually, shell};

async fn until(agent: &Agent, name: &str, verdict: &str) -> Probe {
    eventually(&format!("{name} is {verdict}"), async || {
        let probes = agent.client.probes().await.unwrap().probes;
        probes.into_iter().find(|probe| probe.name == name && probe.verdict == verdict)
    })
    .await
}

fn count(probe: &Probe) -> u64 {
    probe.results.values().sum()
}

#[tokio::test]
async fn a_configured_probe_is_told_of_everywhere() {
    let (server, echo) = (Server::fine().await, Server::start(|request| answer(500, request)).await);
    let place = Place::new().variable("ZV_TOKEN", "a-token-of-the-agent");
    let (fine, broken) = (server.address, echo.address);
    place.configure(&format!(
        "probes:
  - {{ name: api, http: \"http://{fine}/\", expect: {{ body_contains: fine }}, every: 200ms, confirm: 1 of 2 }}
  - name: broken
    http: \"http://me:hunter2@{broken}/?token=hunter2\"
    headers: {{ X-Api-Key: hunter2 }}
    every: 200ms
  - name: script
    exec: [sh, -c, \"echo token=$(printenv ZV_TOKEN || echo none)\"]
    every: 200ms
"
    ));
    let mut agent = place.start().await;
    agent.client = agent.client_with("a-token-of-the-agent");
    let api = until(&agent, "api", "up").await;
    assert_eq!((api.kind.as_str(), api.confirm.as_str(), api.reason.as_str()), ("http", "1 of 2", "200 OK"));
    assert_eq!(api.target, format!("http://{fine}/"));
    let broken = until(&agent, "broken", "down").await;
    let broken = agent.client.probe(&broken.id).await.unwrap();
    let last = broken.history.last().unwrap();
    let output = last.output.as_deref().unwrap();
    assert!(output.contains("GET /?token=*** HTTP/1.1") && last.reason.contains("500"), "{last:?}");
    assert_eq!(until(&agent, "script", "up").await.reason, "token=none");

    let told = agent
        .until("it is told", |snapshot| {
            let mut names = snapshot.probes.iter().map(|probe| (&*probe.name, probe.history.len()));
            names.any(|probe| probe == ("broken", 1)).then(|| format!("{snapshot:?}"))
        })
        .await;
    let mut text = format!("{told} {broken:?} {:?}", agent.client.happenings(100).await.unwrap());
    let (_, debug) =
        get(agent.address, &format!("/probe?module=broken&target=http://{}/&debug=true", echo.address), "")
            .await;
    write!(text, "{debug} {:?}", agent.process.text()).unwrap();
    assert!(text.contains("probe-down") && debug.contains("answers 500"), "{text}");
    assert!(!text.contains("hunter2") && !text.contains("aHVudGVy"), "{text}");
    assert_eq!(agent.client.probe("nobody").await.unwrap_err().status(), Some(404));
}

#[tokio::test]
async fn a_reload_changes_probes_without_a_restart() {
    let server = Server::fine().await;
    let place = Place::new();
    let probe = |name: &str| format!("  - {{ name: {name}, tcp: \"{}\", every: 100ms }}\n", server.address);
    place.configure(&format!("probes:\n{}{}", probe("a"), probe("b")));
    let agent = place.start().await;
    let before = until(&agent, "a", "up").await;
    place.configure(&format!("probes:\n{}{}", probe("c"), probe("a")));
    assert_eq!(agent.client.reload().await.unwrap(), "reloaded: probes");
    until(&agent, "c", "up").await;
    let probes = agent.client.probes().await.unwrap().probes;
    assert_eq!(probes.iter().map(|probe| probe.name.as_str()).collect::<Vec<_>>(), ["a", "c"]);
    assert!(probes[0].since == before.since && count(&probes[0]) >= count(&before));
}

#[tokio::test]
async fn a_label_in_the_stack_file_is_a_probe() {
    let server = Server::fine().await;
    let keys = format!("labels: {{ zv.probe.tcp: \"{}\" }}", server.address);
    let place = Place::of_stack(&shell("api", POLITE, &keys));
    let agent = place.start().await;
    let name = agent.until_running("api", 1).await[0].name.clone();
    let probe = until(&agent, &format!("{name} tcp"), "up").await;
    assert_eq!((probe.stack.as_deref(), probe.service.as_deref()), (Some("shop"), Some("api")));
    let deploy = shell("api", POLITE, "labels: { zv.probe.exec: \"rm -rf /\" }");
    place.deploy(&deploy);
    agent.client.reload().await.unwrap();
    let wrong = until(&agent, &format!("{name} labels"), "unknown").await;
    assert!(wrong.reason.contains("a label does not run programs"), "{}", wrong.reason);
}

#[tokio::test]
async fn a_full_disk_stops_no_probe() {
    let place = Place::new();
    let Some(disk) = Tiny::mount(&place.store(), "size=256k,mode=0755") else { return };
    let mut server = Some(Server::fine().await);
    let address = server.as_ref().unwrap().address;
    place.configure(&format!("probes:\n  - {{ name: a, tcp: \"{address}\", every: 100ms }}\n"));
    let agent = place.start().await;
    until(&agent, "a", "up").await;
    disk.fill();
    server.take();
    until(&agent, "a", "down").await;
    agent.end().await;
}
