//! The engine and the containers that are watched.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use bollard::Docker;
use bollard::models::{ContainerCreateBody, ContainerSummary, HealthConfig};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, InspectContainerOptions, ListContainersOptionsBuilder,
    RemoveContainerOptionsBuilder, StartContainerOptions,
};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tokio::net::UnixStream;
use tokio::process::{Child, Command};

use super::listen::Listener;
use super::note;
use super::process;
use super::window::Group;

/// What marks the containers as ours.
pub(super) const LABEL: &str = "zv.bench";
const IMAGE: &str = "zv-bench:1";
/// Requests at once while containers come and go.
const AT_ONCE: usize = 4;
/// Longer than any request takes on a busy machine, in seconds.
const TIMEOUT: u64 = 120;
const REPLICAS_PER_SERVICE: usize = 5;
const SERVICES_PER_PROJECT: usize = 10;
/// One container of so many has a health check.
const ONE_HEALTH_CHECK_IN: usize = 20;
const HEALTH_CHECK_EVERY_NS: i64 = 30_000_000_000;

/// Where it was measured.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) date: String,
    pub(super) kernel: String,
    pub(super) engine: String,
    pub(super) cores: i64,
}

#[derive(Debug)]
pub(super) struct Engine {
    docker: Docker,
    host: String,
    /// The ids of ours.
    containers: Vec<String>,
}

impl Engine {
    pub(super) async fn connect(host: &str) -> Result<Self> {
        let docker = Docker::connect_with_unix(host, TIMEOUT, bollard::API_DEFAULT_VERSION)?;
        let docker =
            docker.negotiate_version().await.with_context(|| format!("no engine answers at {host}"))?;
        Ok(Self { docker, host: host.to_owned(), containers: Vec::new() })
    }

    /// Removes what an earlier run left, and refuses an engine that somebody else uses.
    pub(super) async fn claim(&self, force: bool) -> Result<()> {
        let is_ours =
            |one: &ContainerSummary| one.labels.as_ref().is_some_and(|labels| labels.contains_key(LABEL));
        let others = self.list().await?.iter().filter(|one| !is_ours(one)).count();
        ensure!(
            others == 0 || force,
            "the engine has {others} other containers: use one that is empty, or --force and live with the noise"
        );
        self.remove_all().await
    }

    pub(super) async fn place(&self) -> Result<Place> {
        let info = self.docker.info().await?;
        let until = |text: Option<String>, ends: &[char]| {
            let text = text.unwrap_or_default();
            text.split(ends).next().unwrap_or_default().to_owned()
        };
        Ok(Place {
            date: until(info.system_time, &['T']),
            // What follows the version names the builder.
            kernel: until(info.kernel_version, &['-', '+']),
            engine: until(info.server_version, &['-', '+']),
            cores: info.ncpu.unwrap_or_default(),
        })
    }

    /// Makes an image with nothing but the program, as `/subject`.
    pub(super) async fn import(&self, subject: &Path) -> Result<()> {
        let folder = tempfile::tempdir()?;
        std::fs::copy(subject, folder.path().join("subject"))?;
        let tape = folder.path().join("image.tar");
        let mut tar = Command::new("tar");
        tar.arg("-cf").arg(&tape).arg("-C").arg(folder.path()).arg("subject");
        ensure!(tar.status().await.context("cannot run tar")?.success(), "tar made no image");
        let mut import = self.docker_command(&["import", "-c", r#"ENTRYPOINT ["/subject"]"#]);
        let output = import.arg(&tape).arg(IMAGE).output().await.context("cannot run docker")?;
        ensure!(output.status.success(), "docker import: {}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    }

    /// Starts containers until there are `count`.
    pub(super) async fn grow_to(&mut self, count: usize) -> Result<()> {
        let first = self.containers.len();
        let mut starting = stream::iter(first..count).map(|index| self.run(index)).buffered(AT_ONCE);
        let mut started = Vec::new();
        while let Some(container) = starting.try_next().await? {
            started.push(container);
            let running = first + started.len();
            if running.is_multiple_of(25) || running == count {
                note(&format!("{running} of {count} containers are started"));
            }
        }
        drop(starting);
        self.containers.extend(started);
        Ok(())
    }

    /// Returns the ids of our containers.
    pub(super) fn containers(&self) -> &[String] {
        &self.containers
    }

    /// Starts a container again.
    pub(super) async fn start(&self, id: &str) -> Result<()> {
        Ok(self.docker.start_container(id, None::<StartContainerOptions>).await?)
    }

    /// Asks for a container's first process.
    pub(super) async fn pid(&self, id: &str) -> Result<u32> {
        let seen = self.docker.inspect_container(id, None::<InspectContainerOptions>).await?;
        let pid = seen.state.and_then(|state| state.pid).and_then(|pid| u32::try_from(pid).ok());
        pid.filter(|pid| *pid > 0).with_context(|| format!("container {id} has no process"))
    }

    /// Opens the engine's own stream of starts and deaths.
    pub(super) async fn events(&self) -> Result<Listener> {
        // {"type":["container"],"event":["start","die"]}
        const PATH: &str = "/events?filters=%7B%22type%22%3A%5B%22container%22%5D%2C\
            %22event%22%3A%5B%22start%22%2C%22die%22%5D%7D";
        Listener::open(UnixStream::connect(self.socket()).await?, PATH).await
    }

    /// Returns the engine's processes: dockerd, and containerd if dockerd started it.
    pub(super) fn group(&self) -> Result<Group> {
        let socket = std::os::unix::net::UnixStream::connect(self.socket())?;
        let listener =
            rustix::net::sockopt::socket_peercred(&socket).context("nobody owns the engine's socket")?;
        let dockerd = u32::try_from(listener.pid.as_raw_nonzero().get())?;
        let mut pids = vec![dockerd];
        pids.extend(process::children(dockerd, "containerd")?);
        Ok(Group::many("engine", pids))
    }

    /// Starts a docker command that runs until it is dropped and says nothing.
    pub(super) fn command(&self, arguments: &[&str]) -> Result<Child> {
        let mut command = self.docker_command(arguments);
        command.stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
        command.spawn().context("cannot run docker")
    }

    /// Removes our containers and the image.
    pub(super) async fn remove_all(&self) -> Result<()> {
        let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
        // More than once: where it was interrupted, one that had been asked for may appear late.
        loop {
            let ours = self.list_ours().await?;
            if ours.is_empty() {
                break;
            }
            let removing = stream::iter(ours).map(|id| {
                let options = options.clone();
                async move { self.docker.remove_container(&id, Some(options)).await }
            });
            removing.buffer_unordered(AT_ONCE).try_collect::<()>().await?;
        }
        // There is none before the first run.
        let _ = self.docker_command(&["rmi", IMAGE]).output().await.context("cannot run docker")?;
        Ok(())
    }

    async fn run(&self, index: usize) -> Result<String> {
        let (name, body) = description(index);
        let options = CreateContainerOptionsBuilder::default().name(&name).build();
        let made = self.docker.create_container(Some(options), body).await?;
        self.start(&made.id).await?;
        Ok(made.id)
    }

    async fn list(&self) -> Result<Vec<ContainerSummary>> {
        let all = ListContainersOptionsBuilder::default().all(true).build();
        Ok(self.docker.list_containers(Some(all)).await?)
    }

    async fn list_ours(&self) -> Result<HashSet<String>> {
        let filters = HashMap::from([("label", vec![LABEL])]);
        let ours = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
        Ok(self.docker.list_containers(Some(ours)).await?.into_iter().filter_map(|one| one.id).collect())
    }

    fn socket(&self) -> &Path {
        Path::new(self.host.trim_start_matches("unix://"))
    }

    fn docker_command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("docker");
        command.args(["-H", &self.host]).args(arguments).stdin(Stdio::null());
        command
    }
}

/// Names the project of a container.
fn project(index: usize) -> String {
    format!("bench-{}", index / (REPLICAS_PER_SERVICE * SERVICES_PER_PROJECT) + 1)
}

/// Names the projects of the first `count` containers; they may hold a few more.
pub(super) fn projects(count: usize) -> Vec<String> {
    let mut names: Vec<String> = (0..count).map(project).collect();
    names.dedup();
    names
}

/// Describes a container like those that Compose makes.
fn description(index: usize) -> (String, ContainerCreateBody) {
    let service = index / REPLICAS_PER_SERVICE;
    let project = project(index);
    let service = format!("service-{}", service % SERVICES_PER_PROJECT + 1);
    let number = (index % REPLICAS_PER_SERVICE + 1).to_string();
    let name = format!("{project}-{service}-{number}");
    let hash = format!("{:064x}", index / REPLICAS_PER_SERVICE);
    let labels = [
        ("com.docker.compose.config-hash", hash.as_str()),
        ("com.docker.compose.container-number", &number),
        ("com.docker.compose.depends_on", ""),
        ("com.docker.compose.oneoff", "False"),
        ("com.docker.compose.project", &project),
        ("com.docker.compose.service", &service),
        ("com.docker.compose.version", "2.40.3"),
        ("org.opencontainers.image.version", "1.0.0"),
        (LABEL, "agent"),
    ];
    let health = HealthConfig {
        test: Some(["CMD", "/subject", "print"].map(String::from).to_vec()),
        interval: Some(HEALTH_CHECK_EVERY_NS),
        ..HealthConfig::default()
    };
    let body = ContainerCreateBody {
        image: Some(IMAGE.into()),
        cmd: Some(vec!["sleep".into()]),
        labels: Some(labels.map(|(name, value)| (name.to_owned(), value.to_owned())).into()),
        healthcheck: index.is_multiple_of(ONE_HEALTH_CHECK_IN).then_some(health),
        ..ContainerCreateBody::default()
    };
    (name, body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_hundred_containers_are_six_projects_of_ten_services() {
        let all: Vec<_> = (0..300).map(description).collect();
        let names: HashSet<_> = all.iter().map(|(name, _)| name).collect();
        assert_eq!(names.len(), 300);
        assert_eq!(all[299].0, "bench-6-service-10-5");
        assert_eq!(projects(100), ["bench-1", "bench-2"]);
        assert_eq!(all.iter().filter(|(_, body)| body.healthcheck.is_some()).count(), 15);
    }
}
