//! The binary against a real engine and the real Compose: a look without an agent, and actions through one.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Instant;

use crate::zv::{Ended, PATIENCE, Running, command};

pub(crate) const IMAGE: &str = "zv-cli-test:1";

/// Returns the engine under test; `None` where there is none.
#[expect(clippy::disallowed_methods, reason = "the tests' one place that reads the environment")]
pub(crate) fn engine() -> Option<String> {
    let host = std::env::var("ZV_TEST_ENGINE").ok().filter(|host| !host.is_empty());
    if host.is_none() {
        assert!(std::env::var_os("ZV_REQUIRE_ENGINE").is_none(), "ZV_TEST_ENGINE is not set, but required");
        println!("skipped: set ZV_TEST_ENGINE to the address of an engine, such as unix:///run/docker.sock");
    }
    host
}

/// Runs the docker command.
pub(crate) fn docker(host: &str, arguments: &[&str]) -> Output {
    Command::new("docker").args(["-H", host]).args(arguments).output().unwrap()
}

/// Makes the image of these tests: the binary under test is static, and its own image.
pub(crate) fn make_image(host: &str, folder: &Path) {
    let tar = folder.join("image.tar");
    let binary = Path::new(env!("CARGO_BIN_EXE_zv"));
    let mut tape = Command::new("tar");
    tape.arg("-chf").arg(&tar).arg("-C").arg(binary.parent().unwrap()).arg(binary.file_name().unwrap());
    assert!(tape.status().unwrap().success());
    let made = docker(host, &["import", "-c", r#"ENTRYPOINT ["/zv"]"#, tar.to_str().unwrap(), IMAGE]);
    assert!(made.status.success(), "{made:?}");
}

/// A project on the engine under test, removed at the end.
struct Project {
    host: String,
    name: String,
    folder: tempfile::TempDir,
}

impl Project {
    /// Brings up the stack of these tests; `None` where there is no engine.
    fn up(name: &str) -> Option<Self> {
        let host = engine()?;
        let folder = tempfile::tempdir().unwrap();
        let project = Self { host, name: format!("zvcli-{name}-{}", std::process::id()), folder };
        make_image(&project.host, project.folder.path());
        let check = serde_json::json!({
            "test": ["CMD", "/zv", "service", "main-server", "check"], "interval": "500ms", "retries": 3,
        });
        let main = |replicas: u32| {
            serde_json::json!({
                "image": IMAGE, "command": ["service", "main-server"], "network_mode": "none",
                "deploy": { "replicas": replicas }, "healthcheck": check,
            })
        };
        let once = |command: &[&str]| serde_json::json!({ "image": IMAGE, "command": command, "network_mode": "none", "restart": "no" });
        // On the host's network: engines beside each other, as in tests, share the addresses of their bridges.
        let port =
            std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
        let probed = serde_json::json!({
            "image": IMAGE, "command": ["service", "main-server"], "network_mode": "host",
            "environment": { "PORT": port }, "profiles": ["probed"],
            "labels": { "zv.probe.http": format!(":{port}/health"), "zv.probe.tcp": "9" },
        });
        let services = serde_json::json!({ "services": {
            "api": main(2), "job": once(&["--version"]), "broken": once(&["no-such-command"]), "probed": probed,
        }});
        std::fs::write(project.path("compose.yaml"), services.to_string()).unwrap();
        let file = project.path("compose.yaml");
        project.docker(&["compose", "-p", &project.name, "-f", file.to_str().unwrap(), "up", "-d"]);
        Some(project)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn docker(&self, arguments: &[&str]) {
        let output = docker(&self.host, arguments);
        assert!(output.status.success(), "docker {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// Runs the binary with the engine in its environment.
    fn zv(&self, arguments: &[&str]) -> Ended {
        let mut command = command(arguments);
        Ended::of(&command.env("DOCKER_HOST", &self.host).env("HOME", self.folder.path()).output().unwrap())
    }

    /// Runs the binary again and again until what it prints is as it should be.
    fn until(&self, arguments: &[&str], found: impl Fn(&str) -> bool) -> String {
        let begun = Instant::now();
        loop {
            let ended = self.zv(arguments);
            if ended.code == Some(0) && found(&ended.out) {
                return ended.out;
            }
            assert!(begun.elapsed() < PATIENCE, "{arguments:?} never said so: {ended:?}");
        }
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        let filter = format!("label=com.docker.compose.project={}", self.name);
        let mut list = Command::new("docker");
        let Ok(listed) = list.args(["-H", &self.host, "ps", "-aq", "--filter", &filter]).output() else {
            return;
        };
        let ids = String::from_utf8_lossy(&listed.stdout).into_owned();
        // A test that failed before it brought anything up has nothing to remove.
        let _ =
            Command::new("docker").args(["-H", &self.host, "rm", "-f"]).args(ids.split_whitespace()).output();
    }
}

#[test]
fn without_an_agent_the_local_engine_is_looked_at() {
    let Some(project) = Project::up("look") else { return };
    let ps = ["ps", "--agent", "none", &project.name];
    let table = project.until(&ps, |out| out.contains("2/2"));
    let line = |name: &str| table.lines().find(|line| line.contains(name)).unwrap().to_owned();
    assert!(line("api").contains("ok"), "{table}");
    assert!(line("job").contains("finished"), "{table}");
    assert!(line("broken").contains("down"), "{table}");
    assert!(table.contains("exited with code 2"), "{table}");

    let why = project.zv(&["why", "--agent", "none", &format!("{}/broken", project.name)]).done();
    assert!(why.contains("exited with code 2") && why.contains("no-such-command"), "{why}");

    let check = |service: &str| {
        project.zv(&["health-check", "--agent", "none", &format!("docker://{}/{service}", project.name)])
    };
    for (service, code) in [("api", 0), ("job", 0), ("broken", 2), ("nothing", 2)] {
        let ended = check(service);
        assert_eq!(ended.code, Some(code), "{service}: {ended:?}");
    }

    let api = format!("{}/api", project.name);
    let logs = project.zv(&["logs", "--agent", "none", "--tail", "50", &api]).done();
    assert_eq!(logs.matches("\"message\":\"listening\"").count(), 2, "{logs}");
}

#[test]
fn the_services_of_a_compose_file_are_checked_with_their_probes() {
    let Some(project) = Project::up("file") else { return };
    let file = project.path("compose.yaml");
    let compose = |rest: &[&str]| {
        let mut all = vec!["compose", "-p", &project.name, "-f", file.to_str().unwrap()];
        all.extend(rest);
        project.docker(&all);
    };
    let check = |rest: &[&str]| {
        let mut all = vec![
            "health-check",
            "--agent",
            "none",
            "--json",
            "-p",
            &project.name,
            "-f",
            file.to_str().unwrap(),
        ];
        all.extend(rest);
        let ended = project.zv(&all);
        let value: serde_json::Value = serde_json::from_str(&ended.out).unwrap();
        let told = |target: &serde_json::Value| {
            let name = target["target"].as_str().unwrap().replace(&project.name, "P");
            format!("{name} {}", target["status"].as_str().unwrap())
        };
        (ended.code, value["targets"].as_array().unwrap().iter().map(told).collect::<Vec<String>>())
    };
    let until = |rest: &[&str], expected: &[&str]| {
        let begun = Instant::now();
        loop {
            let (code, found) = check(rest);
            if found == expected {
                return code;
            }
            assert!(begun.elapsed() < PATIENCE, "{rest:?}: {found:?} instead of {expected:?}");
        }
    };
    let code = until(&[], &["docker://P/api up", "docker://P/broken down", "docker://P/job up"]);
    assert_eq!(code, Some(2));
    // One replica fewer than the file wants; the profile wants one more service.
    compose(&["up", "-d", "--no-recreate", "--scale", "api=1", "api"]);
    let profile = ["--profile", "probed"];
    let fewer = ["docker://P/api degraded", "docker://P/broken down", "docker://P/job up"];
    let missing = [&fewer[..], &["docker://P/probed down"]].concat();
    until(&profile, &missing);
    compose(&["--profile", "probed", "up", "-d", "--no-recreate", "probed", "api"]);
    let probed = ["docker://P/probed up", "P-probed-1 zv.probe.http up", "P-probed-1 zv.probe.tcp down"];
    let whole = ["docker://P/api up", "docker://P/broken down", "docker://P/job up"];
    until(&profile, &[&whole[..], &probed].concat());
    // It runs, so it is judged with its profile off, too.
    until(&[], &[&whole[..], &probed].concat());
    compose(&["stop", "api"]);
    until(&[], &[&["docker://P/api down"], &whole[1..], &probed].concat());
}

#[test]
fn through_an_agent_services_are_stopped_started_and_scaled() {
    let Some(project) = Project::up("act") else { return };
    let (store, socket) = (project.path("store"), project.path("zv.sock"));
    let config = project.path("zv.yaml");
    let text = format!(
        "stack: {{ project: {}, docker: {{ host: '{}' }} }}\napi: {{ listen: [], unix: {} }}\nstore: {{ path: {} }}\n",
        project.name,
        project.host,
        socket.display(),
        store.display()
    );
    std::fs::write(&config, text).unwrap();
    let agent = Running::start(&["agent", "--config", config.to_str().unwrap()]);
    while !agent.err().contains("ready") {}

    let (address, token) = (format!("unix://{}", socket.display()), store.join("token"));
    let with = |rest: &[&str]| -> Vec<String> {
        let all = ["--agent", &address, "--token-file", token.to_str().unwrap()];
        all.iter().chain(rest).map(|text| (*text).to_owned()).collect()
    };
    let run = |rest: &[&str]| project.zv(&with(rest).iter().map(String::as_str).collect::<Vec<_>>());
    let until = |rest: &[&str], words: &[&str]| {
        let arguments = with(rest);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        project.until(&arguments, |out| words.iter().all(|word| out.contains(word)));
    };
    until(&["ps", "api"], &["2/2", "ok"]);
    run(&["stop", "api"]).done();
    until(&["ps", "api"], &["stopped"]);
    run(&["start", "api"]).done();
    until(&["ps", "api"], &["2/2", "ok"]);
    run(&["scale", "api=3"]).done();
    until(&["ps", "api"], &["3/3", "ok"]);
    run(&["scale", "api=1"]).done();
    until(&["ps", "api"], &["1/1", "ok"]);
    let mistake = run(&["stop", "apo"]);
    assert_eq!(mistake.code, Some(1), "{mistake:?}");
    assert_eq!(agent.interrupt(), Some(0));
}
