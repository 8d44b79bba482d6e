//! The local runtime: the common suite, and what only supervised processes can do.

mod faults;
mod orphans;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use zv_stack::local::{LocalOptions, LocalRuntime};
use zv_stack::{ActionError, RestartPolicy, Runtime};

use crate::rig::{Plan, Rig, subject};
use crate::suite;

/// A folder with a stack file and the state of its runtime.
pub(crate) struct LocalRig {
    folder: tempfile::TempDir,
    runtime: Option<Runtime>,
}

impl LocalRig {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a folder"), runtime: None }
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.folder.path().join("stack.yaml")
    }

    pub(crate) fn state_dir(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    pub(crate) fn write(&self, text: &str) {
        std::fs::write(self.file(), text).expect("the file is written");
    }

    /// Deploys what a plan cannot say.
    pub(crate) fn deploy_text(&mut self, text: &str) {
        self.write(text);
        self.runtime = Some(Runtime::Local(self.open().expect("a good file")));
    }

    pub(crate) fn options(&self, state_dir: &Path) -> LocalOptions {
        let subject = subject();
        let vars = BTreeMap::from([("SUBJECT".to_owned(), subject.to_string_lossy().into_owned())]);
        let guard = vec![subject.into_os_string(), "guard".into()];
        LocalOptions { file: self.file(), state_dir: state_dir.to_owned(), guard, vars }
    }

    pub(crate) fn open(&self) -> Result<LocalRuntime, ActionError> {
        LocalRuntime::new(self.options(&self.state_dir()))
    }
}

impl Rig for LocalRig {
    async fn deploy(&mut self, plans: &[Plan]) {
        self.deploy_text(&stack_file(plans));
    }

    fn runtime(&self) -> Runtime {
        self.runtime.clone().expect("it was deployed")
    }

    fn stack(&self) -> String {
        "demo".into()
    }
}

/// Writes plans as a stack file. JSON is YAML.
pub(crate) fn stack_file(plans: &[Plan]) -> String {
    let services: serde_json::Map<String, serde_json::Value> =
        plans.iter().map(|plan| (plan.service.to_owned(), service(plan))).collect();
    serde_json::json!({ "name": "demo", "x-zv": { "local": services } }).to_string()
}

fn service(plan: &Plan) -> serde_json::Value {
    let mut command = vec!["${SUBJECT}"];
    command.extend(&plan.args);
    let labels: BTreeMap<&str, &str> = plan.labels.iter().copied().collect();
    let mut service = serde_json::json!({
        "command": command,
        "replicas": plan.replicas,
        "restart": match plan.restart {
            RestartPolicy::No => "no",
            RestartPolicy::OnFailure => "on-failure",
            RestartPolicy::Always => "always",
            RestartPolicy::UnlessStopped => "unless-stopped",
        },
        "stop_grace": format!("{}ms", plan.grace.as_millis()),
        "labels": labels,
        "depends_on": plan.depends_on,
    });
    if let Some(health) = plan.health {
        service["health"] = serde_json::json!({
            "http": "/",
            "interval": format!("{}ms", health.interval_ms),
            "timeout": "5s",
            "retries": health.retries,
        });
    }
    service
}

#[tokio::test]
async fn discovers_services_and_replicas() {
    suite::discovers_services_and_replicas(LocalRig::new()).await;
}

#[tokio::test]
async fn knows_the_exit_code() {
    suite::knows_the_exit_code(LocalRig::new()).await;
}

#[tokio::test]
async fn restarts_as_the_policy_says() {
    suite::restarts_as_the_policy_says(LocalRig::new()).await;
}

#[tokio::test]
async fn follows_health() {
    suite::follows_health(LocalRig::new()).await;
}

#[tokio::test]
async fn stops_starts_and_restarts() {
    suite::stops_starts_and_restarts(LocalRig::new()).await;
}

#[tokio::test]
async fn kills_the_stubborn() {
    suite::kills_the_stubborn(LocalRig::new()).await;
}

#[tokio::test]
async fn scales_up_and_down() {
    suite::scales_up_and_down(LocalRig::new()).await;
}

#[tokio::test]
async fn keeps_logs_over_a_restart() {
    suite::keeps_logs_over_a_restart(LocalRig::new()).await;
}

#[tokio::test]
async fn reads_the_log_of_a_short_life() {
    suite::reads_the_log_of_a_short_life(LocalRig::new()).await;
}

#[tokio::test]
async fn measures_what_runs() {
    suite::measures_what_runs(LocalRig::new()).await;
}

#[tokio::test]
async fn keeps_evidence_of_a_death() {
    suite::keeps_evidence_of_a_death(LocalRig::new()).await;
}
