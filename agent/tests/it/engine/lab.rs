//! A place on the engine for one test: a project of its own, removed at the end, and an agent that sees it alone.
//!
//! No image can be pulled where this runs, so containers run the one static program there is: the agent itself. As a
//! daemon it sleeps until SIGTERM; with an option that does not exist it says so and ends with 2.

use std::process::{Command as SyncCommand, Stdio};

use tokio::process::Command;
use tokio::sync::OnceCell;

use crate::whole::rig::{Agent, Place};

pub(super) const IMAGE: &str = "zv-whole:1";
/// Arguments of a container that runs until it is stopped.
pub(super) const SLEEP: [&str; 4] = ["--listen", "127.0.0.1:0", "--store", "/store"];
/// Arguments of a container that ends at once, with 2 and a line on stderr.
pub(super) const FAIL: [&str; 1] = ["--fail"];

pub(super) struct Lab {
    pub(super) host: String,
    pub(super) project: String,
}

/// Returns the address of the engine under test; says so where there is none, and fails where one has to be.
#[expect(clippy::disallowed_methods, reason = "the tests' one place that reads the environment")]
pub(super) fn engine() -> Option<String> {
    let host = std::env::var("ZV_TEST_ENGINE").ok().filter(|host| !host.is_empty());
    if host.is_none() {
        assert!(std::env::var_os("ZV_REQUIRE_ENGINE").is_none(), "ZV_TEST_ENGINE is not set, but required");
        println!("skipped: set ZV_TEST_ENGINE to the address of an engine, such as unix:///run/docker.sock");
    }
    host
}

impl Lab {
    /// Opens a place on the engine under test; `None` where there is none.
    pub(super) async fn open(name: &str) -> Option<Self> {
        static IMAGES: OnceCell<()> = OnceCell::const_new();
        let lab = Self::at(&engine()?, name);
        IMAGES.get_or_init(|| lab.images()).await;
        Some(lab)
    }

    /// Opens a place on the engine at `host`.
    pub(super) fn at(host: &str, name: &str) -> Self {
        Self { host: host.to_owned(), project: format!("zvw-{name}-{}", std::process::id()) }
    }

    /// Makes the image.
    pub(super) async fn images(&self) {
        let dir = tempfile::tempdir().unwrap();
        std::fs::copy(env!("CARGO_BIN_EXE_zv-agent"), dir.path().join("zv-agent")).unwrap();
        let tar = dir.path().join("image.tar");
        let mut tape = Command::new("tar");
        tape.arg("-cf").arg(&tar).arg("-C").arg(dir.path()).arg("zv-agent");
        assert!(tape.status().await.unwrap().success());
        let entry = r#"ENTRYPOINT ["/zv-agent"]"#;
        self.docker(&["import", "-c", entry, tar.to_str().unwrap(), IMAGE]).await;
    }

    /// Runs the docker command and returns what it prints.
    pub(super) async fn docker(&self, arguments: &[&str]) -> String {
        let (printed, error) = self.try_docker(arguments).await;
        assert!(error.is_none(), "docker {arguments:?}: {}", error.unwrap_or_default());
        printed
    }

    /// Runs the docker command and returns what it prints, and what it complains of where it fails.
    pub(super) async fn try_docker(&self, arguments: &[&str]) -> (String, Option<String>) {
        let command = Command::new("docker")
            .args(["-H", &self.host])
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .await
            .expect("the docker command is installed");
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).trim().to_owned();
        (text(command.stdout), (!command.status.success()).then(|| text(command.stderr)))
    }

    /// Returns the arguments that run a replica of this place's project.
    pub(super) fn run_arguments(&self, service: &str, options: &[&str], command: &[&str]) -> Vec<String> {
        let labels = [
            format!("com.docker.compose.project={}", self.project),
            format!("com.docker.compose.service={service}"),
            "com.docker.compose.container-number=1".to_owned(),
            "com.docker.compose.oneoff=False".to_owned(),
        ];
        let mut all = vec!["run".to_owned(), "--network".to_owned(), "none".to_owned()];
        all.extend(["--name".to_owned(), format!("{}-{service}-1", self.project)]);
        all.extend(labels.into_iter().flat_map(|label| ["--label".to_owned(), label]));
        all.extend(options.iter().map(ToString::to_string));
        all.push(IMAGE.to_owned());
        all.extend(command.iter().map(ToString::to_string));
        all
    }

    /// Runs a replica in the background.
    pub(super) async fn run(&self, service: &str, options: &[&str], command: &[&str]) -> String {
        let all = self.run_arguments(service, &[&["-d"], options].concat(), command);
        self.docker(&all.iter().map(String::as_str).collect::<Vec<_>>()).await
    }

    /// Returns a place for an agent that sees this project alone, through this engine.
    pub(super) fn place(&self) -> Place {
        self.place_at(&self.host)
    }

    /// The same through another address.
    pub(super) fn place_at(&self, host: &str) -> Place {
        let place = Place::new().with(&["--runtime", "docker"]).variable("DOCKER_HOST", host);
        place.configure(&format!("stack: {{ project: {} }}\n", self.project));
        place
    }

    /// Starts an agent and waits until it has seen what there is.
    pub(super) async fn agent(&self, place: &Place) -> Agent {
        let agent = place.start().await;
        crate::whole::rig::eventually("it is ready", async || agent.client.ready().await.ok()).await;
        agent
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let filter = format!("label=com.docker.compose.project={}", self.project);
        for (list, remove) in [
            (&["ps", "-aq", "--no-trunc", "--filter"][..], &["rm", "-fv"][..]),
            (&["network", "ls", "-q", "--filter"], &["network", "rm"]),
        ] {
            let docker = || {
                let mut command = SyncCommand::new("docker");
                command.args(["-H", &self.host]).stderr(Stdio::null());
                command
            };
            let Ok(listed) = docker().args(list).arg(&filter).output() else { return };
            let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
            if !listed.trim().is_empty() {
                let _ = docker().args(remove).args(listed.split_whitespace()).output();
            }
        }
    }
}
