//! `zv health-check`: targets, verdicts, forms of output, the memory behind --only-changes, and whom it tells.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use serde_json::Value;

use crate::agent::{Agent, Script};
use crate::zv::{Ended, PATIENCE, command, zv};

/// A web server that answers whatever it is set to, and remembers what it was asked. A path that ends with `/hang` gets
/// no answer.
#[derive(Clone)]
struct Web {
    address: SocketAddr,
    answer: Arc<Mutex<(u16, String)>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Web {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let web = Self {
            address: listener.local_addr().unwrap(),
            answer: Arc::new(Mutex::new((200, "all is \"ok\"".to_owned()))),
            asked: Arc::default(),
        };
        let serving = web.clone();
        // Ends with the process of the tests.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let web = serving.clone();
                std::thread::spawn(move || web.serve(&stream));
            }
        });
        web
    }

    fn serve(&self, mut stream: &TcpStream) {
        let mut reader = BufReader::new(stream);
        let (mut head, mut length) = (String::new(), 0);
        let mut line = String::new();
        while reader.read_line(&mut line).is_ok_and(|count| count > 2) {
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            head.push_str(&std::mem::take(&mut line));
        }
        let mut body = vec![0; length];
        if head.is_empty() || reader.read_exact(&mut body).is_err() {
            return;
        }
        let request = head.lines().next().unwrap().trim_end_matches(" HTTP/1.1").to_owned();
        let hangs = request.ends_with("/hang");
        self.asked.lock().unwrap().push(format!("{request}\n{}", String::from_utf8_lossy(&body)));
        if hangs {
            // Until the other side gives up.
            reader.read_exact(&mut [0]).ok();
            return;
        }
        let (status, body) = self.answer.lock().unwrap().clone();
        let head =
            format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
        stream.write_all(format!("{head}{body}").as_bytes()).ok();
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    fn set(&self, status: u16, body: &str) {
        *self.answer.lock().unwrap() = (status, body.to_owned());
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

/// Returns an address where nobody listens.
fn nobody() -> String {
    format!("tcp://{}", TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap())
}

fn check(arguments: &[&str]) -> Ended {
    let mut all = vec!["health-check"];
    all.extend(arguments);
    zv(&all)
}

fn json(ended: &Ended) -> Value {
    serde_json::from_str(&ended.out).unwrap_or_else(|error| panic!("{error}: {ended:?}"))
}

#[test]
fn the_exit_code_is_the_worst_verdict() {
    let web = Web::start();
    let up = check(&[&web.url("/")]);
    assert_eq!((up.code, up.err.as_str()), (Some(0), ""), "{up:?}");
    assert!(up.out.contains("✓ up") && up.out.contains("200 OK"), "{up:?}");

    let slow = check(&[&web.url("/"), "--within", "1ms", "--json"]);
    let took = json(&slow)["targets"][0]["duration_seconds"].as_f64().unwrap();
    assert_eq!(slow.code, Some(if took > 0.001 { 1 } else { 0 }), "{slow:?}");

    let address = nobody();
    let down = check(&[&web.url("/"), &address, "--json"]);
    assert_eq!(down.code, Some(2), "{down:?}");
    let value = json(&down);
    assert_eq!((value["status"].as_str(), value["exit_code"].as_u64()), (Some("down"), Some(2)));
    assert_eq!(value["targets"][0]["status"], "up");
    assert_eq!(value["targets"][0]["http_status"], 200);
    let reason = format!("connection refused by {}", address.trim_start_matches("tcp://"));
    assert_eq!(value["targets"][1]["reason"], reason.as_str());

    let nowhere = check(&["docker://shop/orders", "--agent", &address.replace("tcp", "http")]);
    assert_eq!(nowhere.code, Some(3), "{nowhere:?}");
    assert!(nowhere.out.contains("? unknown"), "{nowhere:?}");
}

#[test]
fn a_mistake_ends_with_3_and_never_shows_a_secret() {
    for arguments in [
        &["localhost:80"][..],
        &["ftp://host"],
        &["--frob"],
        &["--deadline", "0"],
        &["--deadline", "soon"],
        &["docker://"],
        &["docker://a/b/c"],
        &["tcp://a:1", "--expect-body", "x"],
        &["http://a", "--expect-status", "ok"],
        &["http://a", "--remind", "6h"],
        &["http://a", "--only-changes", "--format", "nagios", "--state", "/x"],
        &["http://a", "--json", "--format", "junit"],
        &["http://a", "--ping", "redis://b"],
        &["http://a", "--ca-file", "/no/such/file"],
        &["postgres://me:hunter2@host:port"],
        &["http://me:hunter2@", "--retries", "1"],
    ] {
        let refused = check(arguments);
        assert_eq!(refused.code, Some(3), "{arguments:?}: {refused:?}");
        assert!(refused.out.is_empty() && !refused.err.is_empty(), "{arguments:?}: {refused:?}");
        assert!(!refused.err.contains("hunter2"), "{refused:?}");
    }
    // The mistakes of other commands are 2, as ever.
    assert_eq!(zv(&["ps", "--frob"]).code, Some(2));
    assert_eq!(zv(&["health-chek"]).code, Some(2));
    let down = check(&["redis://me:hunter2@127.0.0.1:1", "--json"]);
    assert!(down.code == Some(2) && !down.out.contains("hunter2"), "{down:?}");
}

#[test]
fn pages_are_judged_by_status_and_body() {
    let web = Web::start();
    assert_eq!(check(&[&web.url("/"), "--expect-body", "\"ok\""]).code, Some(0));
    let lacks = check(&[&web.url("/"), "--expect-body", "fine"]);
    assert!(lacks.code == Some(2) && lacks.out.contains("body lacks \"fine\""), "{lacks:?}");
    web.set(404, "gone");
    assert_eq!(check(&[&web.url("/"), "--expect-status", "2xx,404"]).code, Some(0));
    let status = check(&[&web.url("/")]);
    assert!(status.out.contains("answers 404 Not Found, not 2xx: `gone`"), "{status:?}");
}

#[test]
fn one_that_hangs_delays_no_other_and_the_deadline_holds() {
    let web = Web::start();
    let begun = Instant::now();
    let ended = check(&[&web.url("/hang"), &web.url("/"), "--deadline", "500ms", "--json"]);
    assert!(begun.elapsed() < PATIENCE, "{ended:?}");
    let value = json(&ended);
    assert_eq!(
        (value["targets"][0]["status"].as_str(), value["targets"][1]["status"].as_str()),
        (Some("down"), Some("up"))
    );
    assert!(value["targets"][0]["reason"].as_str().unwrap().starts_with("no answer from"), "{value}");
}

#[test]
fn what_is_not_up_is_asked_again() {
    let web = Web::start();
    web.set(500, "");
    let ended = check(&[&web.url("/"), "--retries", "2", "--retry-pause", "10ms"]);
    assert!(ended.code == Some(2) && ended.out.contains("(after 3 attempts)"), "{ended:?}");
    assert_eq!(web.asked().len(), 3);
}

#[test]
fn services_are_judged_by_what_the_agent_says() {
    let agent = Agent::start(&Script::shop());
    let all = check(&["--agent", &agent.url(), "--json"]);
    let value = json(&all);
    let targets: Vec<_> =
        value["targets"].as_array().unwrap().iter().map(|t| t["target"].as_str().unwrap()).collect();
    assert!(targets.contains(&"docker://shop/orders"), "{targets:?}");
    assert_eq!(all.code, Some(1), "{all:?}");
    let named = check(&["--agent", &agent.url(), "docker://shop/orders", "docker://nothing-there"]);
    assert_eq!(named.code, Some(2), "{named:?}");
    assert!(
        named.out.contains("▲ degraded") && named.out.contains("nothing is called `nothing-there`"),
        "{named:?}"
    );
}

#[test]
fn other_programs_get_their_own_forms() {
    let web = Web::start();
    let nagios = check(&[&web.url("/"), "--format", "nagios"]).done();
    let first = nagios.lines().next().unwrap();
    assert!(first.starts_with("ZV OK - 1 up | 'http://") && first.ends_with('s'), "{nagios}");
    let junit = check(&[&web.url("/"), &nobody(), "--format", "junit"]);
    assert_eq!(junit.code, Some(2));
    assert!(
        junit.out.contains("<testsuite name=\"zv health-check\" tests=\"2\" failures=\"1\""),
        "{junit:?}"
    );
}

#[test]
fn only_changes_are_printed_once_each() {
    let (web, folder) = (Web::start(), tempfile::tempdir().unwrap());
    let run = |more: &[&str]| {
        let url = web.url("/?token=hunter2");
        let mut all = vec!["health-check", url.as_str(), "--only-changes"];
        all.extend(more);
        Ended::of(&command(&all).env("XDG_STATE_HOME", folder.path()).output().unwrap())
    };
    let silent = |code| {
        let ended = run(&[]);
        assert_eq!((ended.code, ended.out.as_str(), ended.err.as_str()), (Some(code), "", ""));
    };
    silent(0);
    web.set(500, "");
    let fell = run(&[]);
    assert!(
        fell.code == Some(2) && fell.out.contains(" is down, after ") && fell.out.contains("of being up"),
        "{fell:?}"
    );
    silent(2);
    let reminded = run(&["--remind", "1ms"]);
    assert!(reminded.out.contains("is still down"), "{reminded:?}");
    web.set(200, "");
    let rose = run(&["--json"]);
    assert_eq!((rose.code, json(&rose)["targets"][0]["status"].as_str()), (Some(0), Some("up")));
    silent(0);

    let file = folder.path().join("zv/health-check.json");
    assert!(!std::fs::read_to_string(&file).unwrap().contains("hunter2"));
    // A file that is not ours is told and replaced; the health is told all the same.
    std::fs::write(&file, "garbage").unwrap();
    let anew = run(&[]);
    assert!(anew.code == Some(0) && anew.err.contains("begun anew"), "{anew:?}");
    silent(0);
    let unwritable = run(&["--state", "/proc/no/such/state"]);
    assert!(unwritable.code == Some(0) && unwritable.out.contains("✓ up"), "{unwritable:?}");
    assert!(unwritable.err.contains("/proc/no"), "{unwritable:?}");
}

#[test]
fn runs_at_the_same_time_tell_a_change_once() {
    let folder = tempfile::tempdir().unwrap();
    let (state, target) = (folder.path().join("state"), nobody());
    let run = || {
        let arguments = ["health-check", &target, "--only-changes", "--state", state.to_str().unwrap()];
        command(&arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let runs: Vec<Child> = (0..8).map(|_| run()).collect();
    let ended: Vec<Ended> = runs.into_iter().map(|run| Ended::of(&run.wait_with_output().unwrap())).collect();
    assert!(ended.iter().all(|ended| ended.code == Some(2) && ended.err.is_empty()), "{ended:?}");
    assert_eq!(ended.iter().filter(|ended| !ended.out.is_empty()).count(), 1, "{ended:?}");
}

#[test]
fn a_heartbeat_is_told_of_the_start_and_the_end() {
    let (web, monitor) = (Web::start(), Web::start());
    let ping = monitor.url("/uuid?a=b");
    check(&[&web.url("/"), "--ping", &ping]).done();
    web.set(500, "");
    assert_eq!(check(&[&web.url("/"), "--ping", &ping]).code, Some(2));
    let asked = ["GET /uuid/start?a=b\n", "GET /uuid?a=b\n", "GET /uuid/start?a=b\n", "GET /uuid/fail?a=b\n"];
    assert_eq!(monitor.asked(), asked);

    // A monitor that is down is a warning, and the verdict stays.
    web.set(200, "");
    let alone = check(&[&web.url("/"), "--ping", &nobody().replace("tcp", "http")]);
    assert_eq!(alone.code, Some(0), "{alone:?}");
    assert!(
        alone.err.contains("Warning: the heartbeat monitor was not told: connection refused"),
        "{alone:?}"
    );
}

#[test]
fn results_are_pushed_as_prometheus_reads_them() {
    let (web, gateway) = (Web::start(), Web::start());
    check(&[&web.url("/"), "--push-gateway", &gateway.url("")]).done();
    let asked = gateway.asked().remove(0);
    assert!(asked.starts_with("PUT /metrics/job/zv_health_check\n# HELP zv_health_check_up"), "{asked}");
    assert!(asked.contains(&format!("zv_health_check_up{{target=\"{}\"}} 1\n", web.url("/"))), "{asked}");
    assert!(asked.contains("zv_health_check_status 0\n"), "{asked}");
}

#[test]
fn the_probes_of_a_configuration_are_asked_beside_targets() {
    let (web, folder) = (Web::start(), tempfile::tempdir().unwrap());
    let file = folder.path().join("zv.yaml");
    let path = file.to_str().unwrap();
    let write = |text: &str| std::fs::write(&file, text).unwrap();
    write(&format!(
        "probes:\n- {{ name: shop, http: '{}', expect: {{ body_contains: '\"ok\"' }} }}\n- {{ name: cache, tcp: '{}' }}\n",
        web.url("/"),
        nobody().trim_start_matches("tcp://"),
    ));
    let both = check(&["--config", path, "--json"]);
    assert_eq!(both.code, Some(2), "{both:?}");
    let value = json(&both);
    let targets: Vec<&str> =
        value["targets"].as_array().unwrap().iter().map(|t| t["target"].as_str().unwrap()).collect();
    assert!(targets.len() == 2 && targets[0].starts_with("shop (http://"), "{targets:?}");
    assert!(targets[1].starts_with("cache (tcp://"), "{targets:?}");
    assert_eq!(value["targets"][0]["status"], "up");
    web.set(200, "nothing");
    let lacks = check(&[&web.url("/"), "--config", path, "--json"]);
    let value = json(&lacks);
    assert_eq!(value["targets"][0]["status"], "up");
    assert!(value["targets"][1]["reason"].as_str().unwrap().starts_with("body lacks"), "{value}");

    // The default file, where it is asked for.
    let here = |arguments: &[&str]| {
        let mut all = vec!["health-check"];
        all.extend(arguments);
        Ended::of(&command(&all).current_dir(folder.path()).output().unwrap())
    };
    assert_eq!(json(&here(&["--probes", "--json"]))["targets"].as_array().unwrap().len(), 2);
    write("log: { level: info }\n");
    let none = here(&["--probes"]);
    assert!(none.code == Some(3) && none.err.contains("has no `probes`"), "{none:?}");
    write("probes: [{ name: a, htp: x }]\n");
    let wrong = check(&["--config", path]);
    assert!(
        wrong.code == Some(3) && wrong.err.contains("zv.yaml:1:") && wrong.err.contains("`http`"),
        "{wrong:?}"
    );
    // What only the agent may read is not needed.
    write(&format!(
        "probes: [{{ name: a, http: '{}' }}]\napi: {{ token_file: /proc/1/mem }}\n",
        web.url("/")
    ));
    assert_eq!(check(&["--config", path]).code, Some(0));
}

#[test]
fn the_services_of_a_compose_file_are_judged_by_what_the_agent_sees() {
    let agent = Agent::start(&Script::shop());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("compose.yaml");
    let text = "name: ${NAME:-shop}\nservices: {orders: {scale: 2}, gone: {}, idle: {profiles: [debug]}}\n";
    std::fs::write(&file, text).unwrap();
    let path = file.to_str().unwrap();
    let url = agent.url();
    let targets = |arguments: &[&str]| {
        let mut all = vec!["--agent", url.as_str(), "--json"];
        all.extend(arguments);
        let ended = check(&all);
        let value = json(&ended);
        let told = |target: &Value| {
            format!("{} {}", target["target"].as_str().unwrap(), target["status"].as_str().unwrap())
        };
        (ended.code, value["targets"].as_array().unwrap().iter().map(told).collect::<Vec<String>>())
    };
    let expected = ["docker://shop/gone down", "docker://shop/orders degraded"].map(str::to_owned);
    assert_eq!(targets(&["-f", path]), (Some(2), expected.to_vec()));
    assert_eq!(targets(&["--compose", folder.path().to_str().unwrap()]).1, expected);
    let with_profile = targets(&["-f", path, "--profile", "debug"]).1;
    assert!(with_profile.contains(&"docker://shop/idle down".to_owned()), "{with_profile:?}");
    let other = targets(&["-f", path, "-p", "blog"]).1;
    assert_eq!(other, ["docker://blog/gone down", "docker://blog/orders down"]);
    std::fs::write(folder.path().join(".env"), "NAME=of-env\n").unwrap();
    assert_eq!(targets(&["-f", path]).1[0], "docker://of-env/gone down");

    let changes = folder.path().join("state");
    let run =
        || check(&["--agent", &url, "-f", path, "--only-changes", "--state", changes.to_str().unwrap()]);
    assert!(run().out.contains("docker://of-env/gone is down"));
    assert_eq!((run().out.as_str(), run().code), ("", Some(2)));
}

#[test]
fn a_compose_file_that_is_none_ends_with_3() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("compose.yaml");
    let path = file.to_str().unwrap();
    let missing = check(&["-f", path]);
    assert!(missing.code == Some(3) && missing.err.contains("there is no"), "{missing:?}");
    std::fs::write(&file, "services: [\"hunter2\"").unwrap();
    let broken = check(&["-f", path]);
    assert!(
        broken.code == Some(3) && broken.err.contains("line") && !broken.err.contains("hunter2"),
        "{broken:?}"
    );
    std::fs::write(&file, "services: {}").unwrap();
    assert!(check(&["-f", path]).err.contains("names no services"));
    assert_eq!(check(&["-p", "shop"]).code, Some(3));
    std::fs::write(&file, "include: [x.yaml]\nservices: {a: {}}").unwrap();
    let nowhere = check(&["-f", path, "--agent", &nobody().replace("tcp", "http")]);
    assert!(nowhere.code == Some(3) && nowhere.err.contains("`include`"), "{nowhere:?}");
    assert!(nowhere.out.contains("? unknown"), "{nowhere:?}");
}

/// A real Pushgateway; killed at the end.
struct Gateway(Child);

impl Drop for Gateway {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

#[test]
fn a_real_pushgateway_takes_the_results() {
    let program = Path::new("/usr/bin/prometheus-pushgateway");
    if !program.exists() {
        assert!(std::env::var_os("ZV_REQUIRE_SERVERS").is_none(), "{} is required", program.display());
        println!("skipped: {} is not installed", program.display());
        return;
    }
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let listen = format!("--web.listen-address={address}");
    let started = Command::new(program).arg(listen).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let _gateway = Gateway(started.unwrap());
    let (url, target) = (format!("http://{address}"), nobody());
    let begun = Instant::now();
    loop {
        let ended = check(&[&target, "--push-gateway", &url]);
        assert_eq!(ended.code, Some(2), "{ended:?}");
        if ended.err.is_empty() {
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "{ended:?}");
    }
    let pushed = check(&[
        &format!("{url}/metrics"),
        "--expect-body",
        &format!("zv_health_check_up{{instance=\"\",job=\"zv_health_check\",target=\"{target}\"}} 0"),
    ]);
    assert_eq!(pushed.code, Some(0), "{pushed:?}");
}
