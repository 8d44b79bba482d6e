//! The common suite on containers, brought up by the real Compose.

use std::path::PathBuf;

use zv_stack::{RestartPolicy, Runtime};

use super::lab::{IMAGE, Lab};
use crate::rig::{Plan, Rig};
use crate::suite;

/// The port the subject is given; nobody outside the container sees it.
const PORT: &str = "8080";

struct DockerRig {
    lab: Lab,
    folder: tempfile::TempDir,
}

impl DockerRig {
    /// Returns a rig on the engine under test; `None` where there is none.
    async fn open(name: &str) -> Option<Self> {
        let lab = Lab::open(&format!("suite-{name}")).await?;
        Some(Self { lab, folder: tempfile::tempdir().unwrap() })
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("compose.yaml")
    }
}

impl Rig for DockerRig {
    async fn deploy(&mut self, plans: &[Plan]) {
        let services: serde_json::Map<String, serde_json::Value> =
            plans.iter().map(|plan| (plan.service.to_owned(), service(plan))).collect();
        // JSON is YAML.
        std::fs::write(self.file(), serde_json::json!({ "services": services }).to_string()).unwrap();
        let file = self.file();
        let compose = ["compose", "-p", &self.lab.project, "-f", file.to_str().unwrap(), "up", "-d"];
        self.lab.docker(&compose).await;
    }

    fn runtime(&self) -> Runtime {
        self.lab.runtime()
    }

    fn stack(&self) -> String {
        self.lab.project.clone()
    }
}

fn service(plan: &Plan) -> serde_json::Value {
    let mut service = serde_json::json!({
        "image": IMAGE,
        "command": plan.args,
        "network_mode": "none",
        "environment": { "PORT": PORT },
        "deploy": { "replicas": plan.replicas },
        "restart": match plan.restart {
            RestartPolicy::No => "no",
            RestartPolicy::OnFailure => "on-failure",
            RestartPolicy::Always => "always",
            RestartPolicy::UnlessStopped => "unless-stopped",
        },
        "stop_grace_period": format!("{}ms", plan.grace.as_millis()),
        "labels": plan.labels.iter().copied().collect::<std::collections::BTreeMap<_, _>>(),
        "depends_on": plan.depends_on,
    });
    if let Some(health) = plan.health {
        service["healthcheck"] = serde_json::json!({
            "test": ["CMD", "/subject", "check", "--port", PORT],
            "interval": format!("{}ms", health.interval_ms),
            "timeout": "5s",
            "retries": health.retries,
        });
    }
    service
}

#[tokio::test]
async fn discovers_services_and_replicas() {
    let Some(rig) = DockerRig::open("discovers").await else { return };
    suite::discovers_services_and_replicas(rig).await;
}

#[tokio::test]
async fn knows_the_exit_code() {
    let Some(rig) = DockerRig::open("exit").await else { return };
    suite::knows_the_exit_code(rig).await;
}

#[tokio::test]
async fn restarts_as_the_policy_says() {
    let Some(rig) = DockerRig::open("policy").await else { return };
    suite::restarts_as_the_policy_says(rig).await;
}

#[tokio::test]
async fn follows_health() {
    let Some(rig) = DockerRig::open("health").await else { return };
    suite::follows_health(rig).await;
}

#[tokio::test]
async fn stops_starts_and_restarts() {
    let Some(rig) = DockerRig::open("actions").await else { return };
    suite::stops_starts_and_restarts(rig).await;
}

#[tokio::test]
async fn kills_the_stubborn() {
    let Some(rig) = DockerRig::open("stubborn").await else { return };
    suite::kills_the_stubborn(rig).await;
}

#[tokio::test]
async fn scales_up_and_down() {
    let Some(rig) = DockerRig::open("scales").await else { return };
    suite::scales_up_and_down(rig).await;
}

#[tokio::test]
async fn keeps_logs_over_a_restart() {
    let Some(rig) = DockerRig::open("keeps").await else { return };
    suite::keeps_logs_over_a_restart(rig).await;
}

#[tokio::test]
async fn reads_the_log_of_a_short_life() {
    let Some(rig) = DockerRig::open("short").await else { return };
    suite::reads_the_log_of_a_short_life(rig).await;
}

#[tokio::test]
async fn measures_what_runs() {
    let Some(rig) = DockerRig::open("measures").await else { return };
    suite::measures_what_runs(rig).await;
}

#[tokio::test]
async fn keeps_evidence_of_a_death() {
    let Some(rig) = DockerRig::open("evidence").await else { return };
    suite::keeps_evidence_of_a_death(rig).await;
}
