//! Disks that are full or cannot be written: the stack goes on, and what was not written is written later.

use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::Signal;
use zv_api::Action;

use super::rig::{Agent, POLITE, Place, eventually, kill, service, shell};

/// A file system of a few pages.
pub(crate) struct Tiny(PathBuf);

impl Tiny {
    /// Mounts one at `path`; `None` where this takes more than the tests may.
    #[expect(clippy::disallowed_methods, reason = "the tests' one place that asks whether root is required")]
    pub(crate) fn mount(path: &Path, options: &str) -> Option<Self> {
        std::fs::create_dir_all(path).unwrap();
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", options, "tiny"]).arg(path).output();
        let mounted = mount.is_ok_and(|output| output.status.success());
        if !mounted {
            assert!(
                std::env::var("ZV_REQUIRE_ROOT").is_err(),
                "a tmpfs cannot be mounted, but it is required"
            );
            println!("skipped: needs root");
        }
        mounted.then(|| Self(path.to_owned()))
    }

    /// Takes all the space there is.
    pub(crate) fn fill(&self) {
        let file = self.0.join("ballast");
        let mut size = 1 << 20;
        let mut content = Vec::new();
        while size > 0 {
            content.resize(content.len() + size, b'x');
            if std::fs::write(&file, &content).is_err() {
                content.truncate(content.len() - size);
                size /= 2;
            }
        }
        // The last attempt took what was left.
        let _full = std::fs::write(self.0.join("last"), "x");
    }

    fn empty(&self) {
        std::fs::remove_file(self.0.join("ballast")).unwrap();
    }
}

impl Drop for Tiny {
    fn drop(&mut self) {
        let _gone = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

fn files(place: &Place) -> usize {
    let files = std::fs::read_dir(place.store().join("deaths")).into_iter().flatten().flatten();
    files.filter(|file| file.path().extension().is_some_and(|end| end == "json")).count()
}

/// Lets the replica die so often, and expects everything else to go on.
async fn die(agent: &Agent, times: usize) {
    for _ in 0..times {
        let before = agent.client.deaths(None, None, 100).await.unwrap().deaths.len();
        let pid = agent.until_running("api", 1).await[0].pid.unwrap();
        kill(pid, Signal::KILL);
        agent.until_deaths("api", before + 1).await;
        agent.answers_promptly().await;
    }
    agent.until_running("api", 1).await;
}

#[tokio::test]
async fn a_full_disk_stops_nothing_and_records_are_written_once_there_is_space() {
    let place = Place::of_stack(&(shell("api", POLITE, "restart: always") + &shell("other", POLITE, "")));
    let Some(disk) = Tiny::mount(&place.store(), "size=256k") else { return };
    let agent = place.start().await;
    let other = agent.until_running("other", 1).await[0].pid;
    die(&agent, 1).await;
    eventually("the record is on disk", async || (files(&place) == 1).then_some(())).await;
    disk.fill();
    die(&agent, 3).await;
    let deaths = agent.client.deaths(None, None, 100).await.unwrap().deaths;
    assert_eq!(deaths.len(), 4);
    assert_eq!(files(&place), 1, "the disk is full");
    for death in &deaths {
        agent.client.death(&death.id).await.expect("a record that is in memory is told as any other");
    }
    agent.act(Action::Restart, "api").await;
    agent.act(Action::Stop, "other").await;
    agent.until_status("other", "stopped").await;
    agent.act(Action::Start, "other").await;
    let ran_on = agent.until_running("other", 1).await[0].pid;
    assert_ne!(ran_on, other);
    disk.empty();
    // Nobody has to die for that.
    eventually("all records are on disk", async || (files(&place) >= 6).then_some(())).await;
    let known = agent.client.deaths(None, None, 100).await.unwrap().deaths;
    let (status, text) = agent.end().await;
    assert!(status.success(), "{text:?}");
    assert!(text.iter().any(|line| line.contains("kept in memory only")), "{text:?}");
    let agent = place.start().await;
    let after = agent.client.deaths(None, None, 100).await.unwrap().deaths;
    assert!(known.iter().all(|death| after.contains(death)), "{known:#?} {after:#?}");
}

#[tokio::test]
async fn records_that_cannot_be_written_are_written_once_they_can() {
    let place = Place::of_stack(&shell("api", POLITE, "restart: always"));
    let mut agent = place.start().await;
    agent.until_running("api", 1).await;
    let Some(disk) = Tiny::mount(&place.store().join("deaths"), "size=64k,ro") else { return };
    die(&agent, 3).await;
    agent.process.said("that nothing is written", |line| line.contains("in memory only").then_some(())).await;
    agent.act(Action::Scale { replicas: 2 }, "api").await;
    agent.until_running("api", 2).await;
    assert_eq!(files(&place), 0);
    drop(disk);
    eventually("all records are on disk", async || (files(&place) >= 3).then_some(())).await;
}

#[tokio::test]
async fn a_store_that_is_read_only_from_the_start_leaves_an_agent_that_watches() {
    let place =
        Place::new().with(&["--runtime", "docker"]).variable("DOCKER_HOST", "unix:///nowhere/docker.sock");
    let Some(_disk) = Tiny::mount(&place.store(), "size=1m,ro") else { return };
    let agent = place.start().await;
    agent.until("the engine is down", super::rig::down).await;
    eventually("it is ready", async || agent.client.ready().await.ok()).await;
    agent.answers_promptly().await;
    assert!(service(&agent.client.snapshot().await.unwrap(), "api").is_none());
    let (status, text) = agent.end().await;
    assert!(status.success(), "{text:?}");
    assert!(text.iter().any(|line| line.contains("there is no token")), "{text:?}");
}
