//! An engine of a test's own, of the version under test: one that can be stopped.

use std::path::PathBuf;
use std::process::{Command as SyncCommand, Stdio};

use tempfile::TempDir;
use tokio::process::{Child, Command};

use super::lab::{Lab, engine};
use super::view::eventually;

pub(super) struct OwnEngine {
    pub(super) folder: TempDir,
    dockerd: PathBuf,
    flags: Vec<String>,
    child: Option<Child>,
}

impl OwnEngine {
    /// Starts an engine like the one under test, with more flags; `None` where there is none.
    pub(super) async fn start(flags: &[&str]) -> Option<Self> {
        let dockerd = dockerd(&engine()?)?;
        let folder = tempfile::Builder::new().prefix("zvt").tempdir_in("/tmp").unwrap();
        let flags = flags.iter().map(|flag| flag.replace("{}", folder.path().to_str().unwrap())).collect();
        let mut own = Self { folder, dockerd, flags, child: None };
        own.resume().await;
        Some(own)
    }

    pub(super) fn host(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    pub(super) fn socket(&self) -> PathBuf {
        self.folder.path().join("docker.sock")
    }

    /// Starts it anew after [`OwnEngine::stop`].
    pub(super) async fn resume(&mut self) {
        let at = |name: &str| self.folder.path().join(name);
        let log = std::fs::OpenOptions::new().create(true).append(true).open(at("log")).unwrap();
        let beside = self.dockerd.parent().unwrap().display();
        let child = Command::new(&self.dockerd)
            // Its own rules of the firewall would be those of the engine under test. Without the common bridge it would
            // not do: an engine told to have none removes the other one's.
            .args(["--iptables=false", "--ip6tables=false", "--live-restore=true"])
            .arg("--data-root")
            .arg(at("data"))
            .arg("--exec-root")
            .arg(at("exec"))
            .arg("-p")
            .arg(at("pid"))
            .args(["-H", &self.host()])
            .args(&self.flags)
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
        if let Some(child) = &self.child {
            // A test that failed may leave containers: they would go on without an engine to stop them.
            let host = self.host();
            let docker =
                |arguments: &[&str]| SyncCommand::new("docker").args(["-H", &host]).args(arguments).output();
            let all =
                docker(&["ps", "-aq"]).map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
            let all = all.unwrap_or_default();
            if !all.trim().is_empty() {
                let remove: Vec<_> = ["rm", "-f"].into_iter().chain(all.split_whitespace()).collect();
                let _ = docker(&remove);
            }
            signal(child, rustix::process::Signal::TERM);
            let pid = child.id().and_then(|pid| rustix::process::Pid::from_raw(i32::try_from(pid).ok()?));
            let _ = pid.map(|pid| rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::empty()));
        }
        // With live-restore an engine leaves its folder mounted, and then the folder could not be removed.
        let _ =
            SyncCommand::new("umount").arg(self.folder.path().join("data")).stderr(Stdio::null()).status();
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
