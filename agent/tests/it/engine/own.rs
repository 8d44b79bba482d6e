//! An engine of a test's own, of the version under test: one that can be stopped.

use std::path::PathBuf;
use std::process::Stdio;

use tempfile::TempDir;
use tokio::process::{Child, Command};

use super::lab::{Lab, engine};
use crate::whole::rig::eventually;

pub(super) struct OwnEngine {
    folder: TempDir,
    dockerd: PathBuf,
    child: Option<Child>,
}

impl OwnEngine {
    /// Starts an engine like the one under test; `None` where there is none.
    pub(super) async fn start() -> Option<Self> {
        let dockerd = dockerd(&engine()?)?;
        let folder = tempfile::Builder::new().prefix("zvt").tempdir_in("/tmp").unwrap();
        let mut own = Self { folder, dockerd, child: None };
        own.resume().await;
        Some(own)
    }

    pub(super) fn host(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("docker.sock")
    }

    /// Starts it anew after [`OwnEngine::stop`].
    pub(super) async fn resume(&mut self) {
        let at = |name: &str| self.folder.path().join(name);
        let log = std::fs::OpenOptions::new().create(true).append(true).open(at("log")).unwrap();
        let beside = self.dockerd.parent().unwrap().display();
        let child = Command::new(&self.dockerd)
            .args(["--bridge=none", "--iptables=false", "--ip6tables=false", "--live-restore=true"])
            .arg("--data-root")
            .arg(at("data"))
            .arg("--exec-root")
            .arg(at("exec"))
            .arg("-p")
            .arg(at("pid"))
            .args(["-H", &self.host()])
            .env("PATH", format!("{beside}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.child = Some(child);
        let lab = Lab::at(&self.host(), "ping");
        eventually("the engine answers", async || {
            lab.try_docker(&["version"]).await.1.is_none().then_some(())
        })
        .await;
    }

    /// Asks it to stop and waits until it has. Containers go on.
    pub(super) async fn stop(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        signal(&child, rustix::process::Signal::TERM);
        child.wait().await.unwrap();
    }
}

impl Drop for OwnEngine {
    fn drop(&mut self) {
        let Some(child) = &self.child else { return };
        // A test that failed may leave containers: with the engine they would go on without anybody to stop them.
        let all = std::process::Command::new("docker").args(["-H", &self.host(), "ps", "-aq"]).output();
        let all = all.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
        if !all.trim().is_empty() {
            let remove = ["-H", &self.host(), "rm", "-f"];
            let _ = std::process::Command::new("docker").args(remove).args(all.split_whitespace()).output();
        }
        signal(child, rustix::process::Signal::TERM);
        let pid = child.id().and_then(|pid| rustix::process::Pid::from_raw(i32::try_from(pid).ok()?));
        let _ = pid.map(|pid| rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::empty()));
    }
}

fn signal(child: &Child, signal: rustix::process::Signal) {
    let pid = child.id().and_then(|pid| rustix::process::Pid::from_raw(i32::try_from(pid).ok()?));
    if let Some(pid) = pid {
        let _ = rustix::process::kill_process(pid, signal);
    }
}

/// Finds the program of the engine under test, through the pid file beside its socket.
fn dockerd(host: &str) -> Option<PathBuf> {
    let folder = PathBuf::from(host.strip_prefix("unix://")?).parent()?.to_owned();
    let pid = std::fs::read_to_string(folder.join("pid")).ok()?;
    let program = std::fs::read_link(format!("/proc/{}/exe", pid.trim())).ok();
    assert!(program.is_some(), "the engine under test has no process {pid}");
    program
}
