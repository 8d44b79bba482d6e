//! Scaling a service of the real Compose, which must accept the result as its own.

use std::path::PathBuf;

use serde_json::Value;
use tempfile::TempDir;
use zv_stack::{ActionError, ServiceKey};

use super::lab::{IMAGE, Lab};

struct Project {
    lab: Lab,
    folder: TempDir,
}

impl Project {
    async fn up(name: &str, service: &str) -> Option<Self> {
        let lab = Lab::open(name).await?;
        let folder = tempfile::tempdir().unwrap();
        let text = format!(
            "name: {}\nservices:\n  web:\n    image: {IMAGE}\n    command: [sleep]\n{service}\n\
             networks: {{front: {{}}, back: {{}}}}\nvolumes: {{kept: {{}}}}\n",
            lab.project
        );
        std::fs::write(folder.path().join("compose.yaml"), text).unwrap();
        let project = Self { lab, folder };
        project.compose(&["up", "-d"]).await;
        Some(project)
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("compose.yaml")
    }

    /// Runs Compose and returns what it prints and reports.
    async fn compose(&self, arguments: &[&str]) -> String {
        let file = self.file();
        let output = tokio::process::Command::new("docker")
            .args(["-H", &self.lab.host, "compose", "--ansi", "never", "-f", file.to_str().unwrap()])
            .args(arguments)
            .output()
            .await
            .unwrap();
        let text =
            format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "compose {arguments:?}: {text}");
        text
    }

    async fn scale(&self, replicas: u32) -> Result<(), ActionError> {
        let key = ServiceKey::new(self.lab.project.as_str(), "web");
        self.lab.runtime().scale(&key, replicas).await
    }

    /// Returns the replicas' inspections in the order of their names.
    async fn replicas(&self) -> Vec<Value> {
        let filter = format!("label=com.docker.compose.project={}", self.lab.project);
        let ids = self.lab.docker(&["ps", "-aq", "--filter", &filter]).await;
        if ids.is_empty() {
            return Vec::new();
        }
        let mut arguments = vec!["inspect"];
        arguments.extend(ids.split_whitespace());
        let mut all: Vec<Value> = serde_json::from_str(&self.lab.docker(&arguments).await).unwrap();
        all.sort_by_key(|one| one["Name"].as_str().map(str::to_owned));
        all
    }

    async fn names(&self) -> Vec<String> {
        let prefix = format!("/{}-", self.lab.project);
        let name = |one: &Value| one["Name"].as_str().unwrap().trim_start_matches(&prefix).to_owned();
        self.replicas().await.iter().map(name).collect()
    }
}

fn ids(replicas: &[Value]) -> Vec<&str> {
    replicas.iter().map(|one| one["Id"].as_str().unwrap()).collect()
}

const FULL: &str = "    networks: {front: {aliases: [shop]}, back: {}}
    volumes: ['kept:/kept', '/nameless']
    environment: {A: b}
    stop_grace_period: 3s
    labels: {zv.alerts: 'off'}
    scale: SCALE";

#[tokio::test]
async fn up_and_down_as_compose_would() {
    let Some(project) = Project::up("scale", &FULL.replace("SCALE", "1")).await else { return };
    project.scale(3).await.unwrap();
    assert_eq!(project.names().await, ["web-1", "web-2", "web-3"]);
    let replicas = project.replicas().await;
    let volume = |one: &Value, target: &str| {
        let mounts = one["Mounts"].as_array().unwrap();
        mounts.iter().find(|mount| mount["Destination"] == target).unwrap()["Name"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert_eq!(volume(&replicas[0], "/kept"), volume(&replicas[2], "/kept"));
    assert_ne!(volume(&replicas[0], "/nameless"), volume(&replicas[2], "/nameless"));
    let networks = replicas[2]["NetworkSettings"]["Networks"].as_object().unwrap();
    assert_eq!(networks.len(), 2);
    let front = &networks[&format!("{}_front", project.lab.project)]["Aliases"].to_string();
    assert!(front.contains("shop") && front.contains("\"web\"") && front.contains("web-3"), "{front}");
    assert!(!front.contains("web-1"), "{front}");
    assert_eq!(replicas[2]["Config"]["Labels"]["com.docker.compose.container-number"], "3");
    assert_eq!(replicas[2]["Config"]["StopTimeout"], 3);

    // Compose takes all of them for its own and makes none anew.
    assert_eq!(project.compose(&["ps", "-q"]).await.lines().count(), 3);
    std::fs::write(
        project.file(),
        std::fs::read_to_string(project.file()).unwrap().replace("scale: 1", "scale: 3"),
    )
    .unwrap();
    let said = project.compose(&["up", "-d"]).await;
    assert!(!said.contains("Recreate") && !said.contains("Created") && !said.contains("Removed"), "{said}");
    let after = project.replicas().await;
    assert_eq!(ids(&after), ids(&replicas));

    project.scale(1).await.unwrap();
    assert_eq!(ids(&project.replicas().await), ids(&replicas[..1]), "the highest numbers went");
    project.scale(0).await.unwrap();
    assert!(project.replicas().await.is_empty());
}

#[tokio::test]
async fn from_none_it_comes_back_while_it_is_remembered() {
    let Some(project) = Project::up("zero", &FULL.replace("SCALE", "2")).await else { return };
    let key = ServiceKey::new(project.lab.project.as_str(), "web");
    let runtime = project.lab.runtime();
    runtime.scale(&key, 0).await.unwrap();
    let forgetful = project.lab.runtime().scale(&key, 1).await.unwrap_err();
    assert!(forgetful.to_string().contains("docker compose up"), "{forgetful}");
    runtime.scale(&key, 2).await.unwrap();
    assert_eq!(project.names().await, ["web-1", "web-2"]);
    let said = project.compose(&["up", "-d"]).await;
    assert!(!said.contains("Recreate") && !said.contains("Created"), "{said}");
}

#[tokio::test]
async fn stopped_replicas_are_started_before_new_ones_are_made() {
    let Some(project) = Project::up("idle", &FULL.replace("SCALE", "2")).await else { return };
    let before = project.replicas().await;
    project.compose(&["stop"]).await;
    project.scale(2).await.unwrap();
    let after = project.replicas().await;
    assert_eq!(ids(&after), ids(&before));
    assert!(after.iter().all(|one| one["State"]["Running"] == true));
}

#[tokio::test]
async fn a_fixed_port_or_name_cannot_be_shared() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let ports = format!("    ports: ['127.0.0.1:{port}:80']");
    let Some(project) = Project::up("port", &ports).await else { return };
    let error = project.scale(2).await.unwrap_err().to_string();
    assert!(error.contains("cannot be scaled") && error.contains("range of ports"), "{error}");
    assert_eq!(project.names().await, ["web-1"], "nothing is left behind");

    let fixed = "zvt-fixed-name";
    let Some(project) = Project::up("name", &format!("    container_name: {fixed}")).await else { return };
    let error = project.scale(2).await.unwrap_err().to_string();
    assert!(error.contains("container_name"), "{error}");
}

#[tokio::test]
async fn absurd_numbers_and_loose_containers_are_refused() {
    let Some(lab) = Lab::open("bounds").await else { return };
    let refused = |result: Result<(), ActionError>| matches!(result, Err(ActionError::Refused { .. }));
    assert!(refused(lab.runtime().scale(&ServiceKey::new(lab.project.as_str(), "a"), 1001).await));
    assert!(refused(lab.runtime().scale(&ServiceKey::new(zv_stack::LOOSE_STACK, "a"), 2).await));
    assert!(refused(lab.runtime().scale(&ServiceKey::new(lab.project.as_str(), "none"), 1).await));
}
