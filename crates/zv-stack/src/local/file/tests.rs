//! Stack files, sound ones and each kind of mistake.

use super::*;

fn vars() -> BTreeMap<String, String> {
    BTreeMap::from([("ZV_EXE".to_owned(), "/opt/zv".to_owned())])
}

fn parsed(text: &str) -> Result<StackFile, String> {
    parse(Path::new("dir/stack.yaml"), text, &vars()).map_err(|error| error.to_string())
}

fn one(definition: &str) -> Result<Spec, String> {
    let indented: String = definition.lines().map(|line| format!("      {line}\n")).collect();
    let stack = parsed(&format!("name: demo\nx-zv:\n  local:\n    web:\n{indented}"))?;
    Ok((*stack.services["web"]).clone())
}

#[test]
fn everything_a_service_can_say() {
    let text = r#"
name: demo
services:
  web: { image: nginx, ports: !override ["80:80"] }
x-zv:
  other: [1, 2]
  local:
    db: { command: [db] }
    web:
      command: ["${ZV_EXE}", service, web, "$$HOME", "${ZV_EXE}/x"]
      replicas: 2
      env: { KEY: value, NUMBER: "8" }
      working_dir: sub
      depends_on: [db]
      health: { http: /health, interval: 2s, timeout: 1s, retries: 4, start_period: 1m30s }
      restart: unless-stopped
      stop_grace: 500ms
      labels: { zv.replicas: "2" }
"#;
    let stack = parsed(text).expect("a good file");
    assert_eq!(&*stack.name, "demo");
    let web = &stack.services["web"];
    assert_eq!(web.command, ["/opt/zv", "service", "web", "$HOME", "/opt/zv/x"]);
    assert_eq!((web.replicas, web.restart), (2, RestartPolicy::UnlessStopped));
    assert_eq!(web.working_dir, Path::new("dir/sub"));
    assert_eq!(web.stop_grace, Duration::from_millis(500));
    let health = web.health.as_ref().expect("a check");
    assert_eq!(health.test, Test::Http("/health".into()));
    assert_eq!((health.retries, health.start_period), (4, Duration::from_secs(90)));
    assert_eq!(stack.levels(), [[Arc::from("db")], [Arc::from("web")]]);
}

#[test]
fn little_is_needed() {
    let spec = one("command: [sleep, infinity]").expect("a good file");
    assert_eq!((spec.replicas, spec.restart), (1, RestartPolicy::No));
    assert_eq!(spec.stop_grace, Duration::from_secs(10));
    assert_eq!(spec.health, None);
    assert_eq!(spec.working_dir, Path::new("dir"));
}

#[test]
fn mistakes_name_their_line_and_what_to_do() {
    let cases = [
        ("command: [\"${NOPE}\"]", "dir/stack.yaml:5: the variable `NOPE` is not known here; known: ZV_EXE"),
        ("command: [\"${ZV_EXE\"]", "dir/stack.yaml:5: `${ZV_EXE` has a `${` without its `}`"),
        ("command: []", "dir/stack.yaml:5: the command is empty; its first word is the program"),
        (
            "command: [a]\ndepends_on: [db]",
            "dir/stack.yaml:6: `web` depends on `db`, which is not among the local services",
        ),
        (
            "command: [a]\ndepends_on: [web]",
            "dir/stack.yaml:5: `depends_on` goes round in a circle: web → web",
        ),
        ("command: [a]\nreplicas: 5000", "dir/stack.yaml:6: `replicas: 5000` is more than 1000"),
        (
            "command: [a]\nhealth: { tcp: true, http: / }",
            "dir/stack.yaml:6: `health` needs one of `http: /path`, `tcp: true` and `exec: [command]`",
        ),
        (
            "command: [a]\nhealth: { http: health }",
            "dir/stack.yaml:6: `http: health` is not a path; write it like `/health`",
        ),
    ];
    for (definition, message) in cases {
        assert_eq!(one(definition).expect_err(definition), message);
    }
}

#[test]
fn what_the_parser_refuses_names_its_line_too() {
    let cases = [
        ("command: [a]\nreplica: 2", "dir/stack.yaml:6: ", "replica"),
        (
            "command: [a]\nstop_grace: 3",
            "dir/stack.yaml:6: ",
            "`3` is not a duration; write it like `500ms`, `2s` or `1m30s`",
        ),
        ("command: [a]\nrestart: sometimes", "dir/stack.yaml:6: ", "sometimes"),
        ("replicas: 1", "dir/stack.yaml:", "command"),
        ("command: [a", "dir/stack.yaml:", ""),
    ];
    for (definition, place, text) in cases {
        let message = one(definition).expect_err(definition);
        assert!(message.starts_with(place) && message.contains(text), "{definition}: {message}");
        assert!(!message.contains('\n'), "{message}");
    }
}

#[test]
fn a_file_without_local_services_is_refused() {
    let message = parsed("services: {}\n").expect_err("nothing local");
    assert_eq!(message, "dir/stack.yaml: names no local service; add one under `x-zv: local:`");
}

#[test]
fn a_circle_is_named() {
    let text = "name: x\nx-zv:\n  local:\n    a: { command: [a], depends_on: [b] }\n    b: { command: [b], depends_on: [c] }\n    c: { command: [c], depends_on: [b] }\n";
    let message = parsed(text).expect_err("a circle");
    assert!(message.contains("b → c → b"), "{message}");
}

#[test]
fn durations() {
    let cases = [
        ("500ms", Some(500)),
        ("2s", Some(2000)),
        ("1m30s", Some(90_000)),
        ("1.5s", Some(1500)),
        ("1h", Some(3_600_000)),
    ];
    for (text, milliseconds) in cases {
        assert_eq!(parse_duration(text), milliseconds.map(Duration::from_millis), "{text}");
    }
    for text in ["", "5", "s", "30s1m", "1s1s", "-1s", "1 s", "99999h"] {
        assert_eq!(parse_duration(text), None, "{text}");
    }
}

#[test]
fn the_hash_follows_the_definition_but_not_the_count() {
    let hash = |text: &str| one(text).expect("a good file").hash;
    assert_eq!(hash("command: [a]"), hash("command: [a]\nreplicas: 7"));
    assert_ne!(hash("command: [a]"), hash("command: [a]\nenv: { A: b }"));
}
