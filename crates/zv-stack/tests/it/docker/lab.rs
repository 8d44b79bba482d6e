//! A place on the engine for one test: containers under a project of its own, removed at the end.

use std::process::{Command as SyncCommand, Stdio};

use tokio::process::Command;
use tokio::sync::OnceCell;
use zv_stack::docker::{DockerOptions, DockerRuntime};
use zv_stack::{ReplicaId, Runtime};

/// The image that holds the test program as `/subject`.
pub(super) const IMAGE: &str = "zv-test:1";
/// The same with a health check that runs `/check`, a second copy of the program.
pub(super) const HEALTH_IMAGE: &str = "zv-test:health";

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
        Self { host: host.to_owned(), project: format!("zvt-{name}-{}", std::process::id()) }
    }

    /// Makes the images.
    pub(super) async fn images(&self) {
        let dir = tempfile::tempdir().unwrap();
        for name in ["subject", "check"] {
            std::fs::copy(env!("CARGO_BIN_EXE_zv-test-subject"), dir.path().join(name)).unwrap();
        }
        let tar = dir.path().join("image.tar");
        let mut tape = Command::new("tar");
        tape.arg("-cf").arg(&tar).arg("-C").arg(dir.path()).args(["subject", "check"]);
        assert!(tape.status().await.unwrap().success());
        let tar = tar.to_str().unwrap();
        let entry = r#"ENTRYPOINT ["/subject"]"#;
        self.docker(&["import", "-c", entry, tar, IMAGE]).await;
        let check = r#"HEALTHCHECK --interval=1s --timeout=5s --retries=1 CMD ["/check", "print"]"#;
        self.docker(&["import", "-c", entry, "-c", check, tar, HEALTH_IMAGE]).await;
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

    /// Starts a replica of this place's project, in no network.
    pub(super) async fn run(&self, service: &str, options: &[&str], command: &[&str]) -> ReplicaId {
        self.run_in("none", service, options, command).await
    }

    /// The same in a network.
    pub(super) async fn run_in(
        &self,
        network: &str,
        service: &str,
        options: &[&str],
        command: &[&str],
    ) -> ReplicaId {
        let labels = [
            format!("com.docker.compose.project={}", self.project),
            format!("com.docker.compose.service={service}"),
            "com.docker.compose.container-number=1".to_owned(),
            "com.docker.compose.oneoff=False".to_owned(),
        ];
        let name = format!("{}-{service}-1", self.project);
        let mut all = vec!["run", "-d", "--network", network, "--name", &name];
        all.extend(labels.iter().flat_map(|label| ["--label", label]));
        all.extend(options);
        if !options.iter().any(|option| option.starts_with("zv-test:")) {
            all.push(IMAGE);
        }
        all.extend(command);
        ReplicaId::new(self.docker(&all).await)
    }

    /// Makes a network of this place's own and returns its name: the engine's common one goes when another engine on the
    /// same host removes it.
    pub(super) async fn network(&self) -> String {
        let label = format!("com.docker.compose.project={}", self.project);
        let name = format!("{}-net", self.project);
        self.docker(&["network", "create", "--label", &label, &name]).await;
        name
    }

    /// Returns a runtime that sees this place alone.
    pub(super) fn runtime(&self) -> Runtime {
        self.runtime_at(&self.host)
    }

    /// Returns the same through another address.
    pub(super) fn runtime_at(&self, host: &str) -> Runtime {
        let options = DockerOptions {
            host: Some(host.to_owned()),
            projects: vec![self.project.clone()],
            ..DockerOptions::default()
        };
        Runtime::Docker(DockerRuntime::new(options).unwrap())
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let filter = format!("label=com.docker.compose.project={}", self.project);
        for (list, remove) in [
            (&["ps", "-aq", "--no-trunc", "--filter"][..], &["rm", "-fv"][..]),
            (&["network", "ls", "-q", "--filter"], &["network", "rm"]),
            (&["volume", "ls", "-q", "--filter"], &["volume", "rm"]),
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
