//! A Compose project from its first container to its last.

use tokio::process::Command;
use zv_api::Service;

use super::lab::{FAIL, IMAGE, Lab, SLEEP};
use crate::whole::rig::{Place, service};

struct Project<'l> {
    lab: &'l Lab,
    folder: tempfile::TempDir,
}

impl<'l> Project<'l> {
    fn new(lab: &'l Lab) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let common = format!("image: {IMAGE}, network_mode: none, stop_grace_period: 20s");
        let command = serde_json::to_string(&SLEEP).unwrap();
        let text = format!(
            "name: {}\nservices:\n  db: {{ {common}, command: {command} }}\n  \
             api: {{ {common}, command: {command}, depends_on: [db], deploy: {{ replicas: 2 }} }}\n",
            lab.project
        );
        std::fs::write(folder.path().join("compose.yaml"), text).unwrap();
        Self { lab, folder }
    }

    async fn compose(&self, arguments: &[&str]) {
        let output = Command::new("docker")
            .args(["-H", &self.lab.host, "compose", "--ansi", "never"])
            .arg("-f")
            .arg(self.folder.path().join("compose.yaml"))
            .args(arguments)
            .output()
            .await
            .unwrap();
        assert!(
            output.status.success(),
            "compose {arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

fn states(service: &Service) -> Vec<(&str, &str)> {
    service.replicas.iter().map(|one| (one.status.as_str(), one.intent.as_str())).collect()
}

#[tokio::test]
async fn a_project_comes_suffers_is_stopped_and_goes() {
    let Some(lab) = Lab::open("project").await else { return };
    let place = lab.place();
    let agent = lab.agent(&place).await;
    let project = Project::new(&lab);
    project.compose(&["up", "-d"]).await;
    agent.until_running("api", 2).await;
    // The file is read beside the list, which sees the containers first.
    let api = agent
        .until("what the file says", |snapshot| {
            service(snapshot, "api").filter(|api| api.desired_source == "file" && api.status == "ok").cloned()
        })
        .await;
    assert_eq!((api.desired, &api.depends_on[..]), (2, &["db".to_owned()][..]));
    let name = |number: u32| api.replicas.iter().find(|one| one.number == number).unwrap().name.clone();

    lab.docker(&["kill", &name(1)]).await;
    // The kernel tells of the death first, the engine its code a moment later.
    agent
        .until("degraded, with the code", |snapshot| {
            let api = service(snapshot, "api").filter(|api| api.status == "degraded")?;
            api.reason.as_deref().filter(|reason| reason.contains("137")).map(str::to_owned)
        })
        .await;
    let summary = agent.until_deaths("api", 1).await.remove(0);
    assert_eq!(
        (summary.name.as_str(), summary.exit.code, summary.wanted),
        (name(1).as_str(), Some(137), false)
    );
    let death = agent.client.death(&summary.id).await.unwrap();
    assert!(death.logs.iter().any(|line| line.text.contains("listening")), "{:#?}", death.logs);
    assert!(death.inspect.is_some());
    lab.docker(&["start", &name(1)]).await;
    agent.until_status("api", "ok").await;

    lab.docker(&["stop", &name(2)]).await;
    let wanted = agent.until("the second was stopped", |snapshot| {
        let api = service(snapshot, "api")?;
        states(api).contains(&("stopped", "stopped")).then(|| api.clone())
    });
    assert_eq!(wanted.await.status, "ok", "what a person stopped is not missed");
    let summary = agent.until_deaths("api", 2).await.remove(0);
    assert_eq!((summary.name.as_str(), summary.exit.code, summary.wanted), (name(2).as_str(), Some(0), true));

    project.compose(&["stop"]).await;
    agent.until_status("api", "stopped").await;
    agent.until_status("db", "stopped").await;
    project.compose(&["down"]).await;
    agent.until("all is gone", |snapshot| snapshot.stacks.is_empty().then_some(())).await;
}

#[tokio::test]
async fn the_shortest_lives_leave_records() {
    let Some(lab) = Lab::open("short").await else { return };
    let place: Place = lab.place();
    let agent = lab.agent(&place).await;
    lab.run("short", &[], &FAIL).await;
    let summary = agent.until_deaths("short", 1).await.remove(0);
    assert_eq!((summary.exit.code, summary.wanted), (Some(2), false));
    let death = agent.client.death(&summary.id).await.unwrap();
    assert!(
        death.logs.iter().any(|line| line.text.contains("`--fail` is not an option")),
        "{:#?}",
        death.logs
    );
    let short = agent.until_status("short", "down").await;
    assert!(short.reason.as_deref().is_some_and(|reason| reason.contains("code 2")), "{short:#?}");

    let vanishing = lab.run_arguments("vanishing", &["--rm"], &FAIL);
    let (_, error) = lab.try_docker(&vanishing.iter().map(String::as_str).collect::<Vec<_>>()).await;
    assert!(error.is_some_and(|text| text.contains("is not an option")));
    let summary = agent.until_deaths("vanishing", 1).await.remove(0);
    assert_eq!((summary.exit.code, summary.wanted), (Some(2), false));
    agent.until("it is gone", |snapshot| service(snapshot, "vanishing").is_none().then_some(())).await;
    agent.client.death(&summary.id).await.unwrap();
}
