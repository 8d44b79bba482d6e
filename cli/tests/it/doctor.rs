//! `zv doctor`: engines that refuse, hang or speak garbage, an agent that answers, configurations with mistakes, and the
//! real engine from inside a container with and without what an agent needs there.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use serde_json::Value;

use crate::agent::{Agent, Script};
use crate::engine::{IMAGE, docker, engine, make_image};
use crate::zv::{Ended, PATIENCE, command};

/// What a scripted engine does with a request.
enum Answer {
    Json(&'static str),
    Status(u16, &'static str),
    Bytes(&'static [u8]),
    Hang,
}

const VERSION: Answer = Answer::Json(r#"{"Version":"26.1.5","ApiVersion":"1.45","MinAPIVersion":"1.24"}"#);

/// Serves `answer`, which gets the method and the path without its version and query, on a socket.
fn engine_that(folder: &Path, answer: impl Fn(&str, &str) -> Answer + Send + Sync + 'static) -> String {
    let path = folder.join("docker.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let answer = Arc::new(answer);
    // Ends with the process of the tests.
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let answer = Arc::clone(&answer);
            std::thread::spawn(move || serve(&stream, answer.as_ref()));
        }
    });
    format!("unix://{}", path.display())
}

fn serve(mut stream: &UnixStream, answer: &impl Fn(&str, &str) -> Answer) {
    let mut reader = BufReader::new(stream);
    let (mut head, mut line) = (String::new(), String::new());
    while reader.read_line(&mut line).is_ok_and(|count| count > 2) {
        head.push_str(&std::mem::take(&mut line));
    }
    let mut words = head.split_whitespace();
    let (Some(method), Some(target)) = (words.next(), words.next()) else { return };
    let path = target.split('?').next().unwrap();
    let path = path.strip_prefix("/v1.45").unwrap_or(path);
    let (status, body) = match answer(method, path) {
        Answer::Json(body) => (200, body),
        Answer::Status(status, body) => (status, body),
        Answer::Bytes(bytes) => {
            stream.write_all(bytes).ok();
            return;
        }
        // Until the other side gives up.
        Answer::Hang => return reader.read_line(&mut line).map_or((), drop),
    };
    let head = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
    stream.write_all(format!("{head}{body}").as_bytes()).ok();
}

/// A folder of its own, with a configuration that disturbs nobody.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new(more: &str) -> Self {
        let place = Self { folder: tempfile::tempdir().unwrap() };
        let (store, socket) = (place.path("store"), place.path("zv.sock"));
        let text = format!(
            "store: {{ path: {} }}\napi: {{ listen: '127.0.0.1:0', unix: {} }}\n{more}",
            store.display(),
            socket.display()
        );
        std::fs::write(place.path("zv.yaml"), text).unwrap();
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn doctor(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Ended {
        let config = self.path("zv.yaml");
        let mut all = vec!["doctor", "--config", config.to_str().unwrap()];
        all.extend(arguments);
        Ended::of(&command(&all).envs(variables.iter().copied()).output().unwrap())
    }

    fn checks(&self, host: &str, more: &[&str]) -> Checks {
        let mut all = vec!["--json", "--agent", "none"];
        all.extend(more);
        Checks::of(&self.doctor(&all, &[("DOCKER_HOST", host)]))
    }
}

/// What a run found.
#[derive(Debug)]
struct Checks {
    code: Option<i32>,
    all: Vec<Value>,
}

impl Checks {
    fn of(ended: &Ended) -> Self {
        let value: Value =
            serde_json::from_str(&ended.out).unwrap_or_else(|error| panic!("{error}: {ended:?}"));
        Self { code: ended.code, all: value["checks"].as_array().unwrap().clone() }
    }

    /// Returns the status of a check, and all it says.
    fn get(&self, area: &str, check: &str) -> (String, String) {
        let found = self.all.iter().find(|found| found["area"] == area && found["check"] == check);
        let found = found.unwrap_or_else(|| panic!("no {area}/{check} in {self:?}"));
        let text = |key: &str| found[key].as_str().unwrap_or_default().to_owned();
        (text("status"), format!("{} → {}", text("found"), text("advice")))
    }

    fn has(&self, area: &str, check: &str) -> bool {
        self.all.iter().any(|found| found["area"] == area && found["check"] == check)
    }
}

#[track_caller]
fn told(found: &(String, String), status: &str, words: &[&str]) {
    assert_eq!(found.0, status, "{}", found.1);
    for word in words {
        assert!(found.1.contains(word), "`{word}` is not in: {}", found.1);
    }
}

/// An engine without any container that allows everything.
fn willing(method: &str, path: &str) -> Answer {
    match (method, path) {
        (_, "/version") => VERSION,
        (_, "/_ping") => Answer::Status(200, "OK"),
        (_, "/containers/json") => Answer::Json("[]"),
        (_, "/events") => Answer::Status(200, ""),
        (_, "/info") => Answer::Json(r#"{"CgroupDriver":"systemd","MemoryLimit":true,"SwapLimit":true}"#),
        (_, path) if path.starts_with("/containers/") => {
            Answer::Status(404, r#"{"message":"No such container: zv-asks-for-nobody"}"#)
        }
        _ => Answer::Status(404, r#"{"message":"page not found"}"#),
    }
}

#[test]
fn an_engine_that_allows_everything_leaves_nothing_wrong() {
    let place = Place::new("");
    let host = engine_that(place.folder.path(), willing);
    let found = place.checks(&host, &[]);
    assert_eq!(found.code, Some(0), "{found:?}");
    told(&found.get("engine", "address"), "ok", &[&host, "from DOCKER_HOST"]);
    told(&found.get("engine", "answers"), "ok", &["26.1.5", "API 1.45", "1.24 to 1.45"]);
    told(&found.get("rights", "reading"), "ok", &["list, inspect, events, logs, stats, info, ping"]);
    told(&found.get("rights", "acting"), "ok", &["orders are let through"]);
    told(&found.get("configuration", "file"), "ok", &["zv.yaml, sound"]);
    told(&found.get("store", "folder"), "ok", &["made on the first start"]);
    told(&found.get("listening", "socket"), "ok", &["zv.sock is made"]);
    assert!(
        found.has("host", "clock") && found.has("host", "names") && found.has("containers", "open files")
    );

    let named = place.checks("unix:///elsewhere.sock", &["--docker-host", &host]);
    told(&named.get("engine", "address"), "ok", &[&host, "from --docker-host"]);
    let text = place.doctor(&["--agent", "none"], &[("DOCKER_HOST", &host)]);
    assert_eq!((text.code, text.err.as_str()), (Some(0), ""), "{text:?}");
    assert!(text.out.contains("\nEngine\n  ✓ ok       address"), "{}", text.out);
    assert!(!text.out.contains('\u{1b}'), "{}", text.out);
}

#[test]
fn a_proxy_that_refuses_is_told_right_by_right() {
    let place = Place::new("");
    let forbidden = Answer::Status;
    let host = engine_that(place.folder.path(), move |method, path| match (method, path) {
        ("POST", _) => forbidden(405, "Method Not Allowed"),
        (_, "/events") => forbidden(403, "<html>Forbidden</html>"),
        (_, "/info") => forbidden(403, "Forbidden"),
        (_, path) if path.ends_with("/logs") => forbidden(404, "not found"),
        (_, path) if path.ends_with("/stats") => Answer::Hang,
        _ => willing(method, path),
    });
    let begun = Instant::now();
    let found = place.checks(&host, &["--deadline", "2s"]);
    assert!(begun.elapsed() < PATIENCE);
    assert_eq!(found.code, Some(1), "{found:?}");
    told(
        &found.get("rights", "events"),
        "problem",
        &["refused with 403", "nothing is watched", "EVENTS=1", "GET /events"],
    );
    told(&found.get("rights", "logs"), "problem", &["no logs", "CONTAINERS=1", "GET /containers/{id}/logs"]);
    told(&found.get("rights", "info"), "note", &["INFO=1"]);
    told(&found.get("rights", "stats"), "note", &["no answer within"]);
    told(&found.get("rights", "acting"), "ok", &["only reads"]);
    told(&found.get("rights", "reading"), "ok", &["list, inspect, ping"]);

    let strict = Place::new("");
    let host = engine_that(strict.folder.path(), |_, _| Answer::Status(403, "Forbidden"));
    let found = strict.checks(&host, &[]);
    told(&found.get("engine", "answers"), "problem", &["403", "VERSION=1"]);
}

#[test]
fn an_engine_that_hangs_or_is_none_is_a_finding_within_the_deadline() {
    for (answer, words) in [
        (0, &["no answer within", "journalctl"][..]),
        (1, &["is no engine"]),
        (2, &["engine"]),
        (3, &["too old", "1.40", "20.10"]),
    ] {
        let place = Place::new("");
        let host = engine_that(place.folder.path(), move |_, _| match answer {
            0 => Answer::Hang,
            1 => Answer::Json("[1, 2"),
            2 => Answer::Bytes(b"SSH-2.0-OpenSSH_9.2\r\n"),
            _ => Answer::Json(r#"{"Version":"19.03","ApiVersion":"1.40","MinAPIVersion":"1.12"}"#),
        });
        let begun = Instant::now();
        let found = place.checks(&host, &["--deadline", "1s"]);
        assert!(begun.elapsed() < PATIENCE);
        assert_eq!(found.code, Some(1), "{found:?}");
        let (status, text) = found.get("engine", "answers");
        assert_eq!(status, "problem");
        assert!(words.iter().all(|word| text.contains(word)), "{text}");
        // The rest is looked at all the same.
        assert!(found.has("host", "clock") && found.has("store", "folder"), "{found:?}");
    }
    let place = Place::new("");
    let found = place.checks("unix:///no/such.sock", &[]);
    told(&found.get("engine", "answers"), "problem", &["no such socket"]);
    let found = place.checks("tcp://me:hunter2@box:1", &[]);
    assert!(!format!("{found:?}").contains("hunter2"), "{found:?}");
}

#[test]
fn mistakes_in_the_configuration_are_told_and_secrets_are_not() {
    let place = Place::new("stak: {}\nlog: { level: loud }\n");
    let found = place.checks("unix:///no/such.sock", &[]);
    told(&found.get("configuration", "mistake"), "problem", &["`stak`", "`stack`", "zv config check"]);
    assert_eq!(found.all.iter().filter(|found| found["check"] == "mistake").count(), 2);

    let place = Place::new("");
    std::fs::create_dir(place.path("store")).unwrap();
    let token = place.path("store/token");
    std::fs::write(&token, "hunter2hunter2hunter2\n").unwrap();
    std::fs::set_permissions(&token, std::fs::Permissions::from_mode(0o644)).unwrap();
    let ended = place.doctor(&["--json", "--agent", "none"], &[("DOCKER_HOST", "unix:///no/such.sock")]);
    let found = Checks::of(&ended);
    told(&found.get("store", "token"), "problem", &["open to everybody", "chmod o="]);
    told(&found.get("store", "kept"), "ok", &["1 file,"]);
    assert!(!ended.out.contains("hunter2"), "{}", ended.out);

    let local = Place::new("stack: { runtime: local, file: /dev/null }\n");
    let found = local.checks("unix:///no/such.sock", &[]);
    told(&found.get("engine", "engine"), "ok", &["local"]);
    assert_eq!(crate::zv::zv(&["doctor", "--deadline", "0"]).code, Some(2));
}

#[test]
fn an_agent_that_answers_is_named_with_its_version() {
    let agent = Agent::start(&Script::shop());
    let place = Place::new("");
    let url = agent.url();
    let ended = place.doctor(&["--json", "--agent", &url], &[("DOCKER_HOST", "unix:///no/such.sock")]);
    let found = Checks::of(&ended);
    let (status, text) = found.get("agent", "answers");
    assert!(status != "problem" && text.contains(&url) && text.contains("version"), "{text}");
    let ended = place.doctor(&["--json", "--agent", "http://127.0.0.1:1"], &[]);
    told(&Checks::of(&ended).get("agent", "answers"), "problem", &["none at http://127.0.0.1:1"]);
}

#[test]
fn in_a_container_the_mounts_that_are_missing_are_named_and_then_gone() {
    let Some(host) = engine() else { return };
    let folder = tempfile::tempdir().unwrap();
    make_image(&host, folder.path());
    let socket = format!("{}:/var/run/docker.sock", host.strip_prefix("unix://").unwrap());
    let doctor = |options: &[&str]| {
        let mut all = vec!["run", "--rm", "--network", "none"];
        all.extend(options);
        all.extend([IMAGE, "doctor", "--json", "--agent", "none"]);
        Checks::of(&Ended::of(&docker(&host, &all)))
    };
    let alone = doctor(&[]);
    assert_eq!(alone.code, Some(1), "{alone:?}");
    told(&alone.get("engine", "answers"), "problem", &["-v /var/run/docker.sock:/var/run/docker.sock"]);

    let bare = doctor(&["-v", &socket]);
    assert_eq!(bare.code, Some(0), "{bare:?}");
    told(
        &bare.get("containers", "processes"),
        "note",
        &["--pid host", "-v /sys/fs/cgroup:/sys/fs/cgroup:ro"],
    );
    told(&bare.get("host", "file systems"), "note", &["-v /:/host:ro"]);
    told(&bare.get("store", "volume"), "note", &["-v zv-data:/var/lib/zv"]);

    let stranger = doctor(&["-v", &socket, "--user", "4242"]);
    told(&stranger.get("engine", "answers"), "problem", &["permission denied", "--group-add"]);

    let store = format!("{}:/var/lib/zv", folder.path().display());
    let mounts =
        ["--pid", "host", "--cgroupns", "host", "-v", "/sys/fs/cgroup:/sys/fs/cgroup:ro", "-v", "/:/host:ro"];
    let mut options = vec!["-v", socket.as_str(), "-v", store.as_str()];
    options.extend(mounts);
    let whole = doctor(&options);
    assert_eq!(whole.code, Some(0), "{whole:?}");
    for check in ["processes", "usage", "network", "deaths"] {
        told(&whole.get("containers", check), "ok", &[]);
    }
    told(&whole.get("host", "file systems"), "note", &["host_root: /host"]);
    assert!(!whole.has("store", "volume"), "{whole:?}");
}
