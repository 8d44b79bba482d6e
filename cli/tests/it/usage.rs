//! Help, usage errors, exit codes, and `zv config`.

use serde_json::Value;

use crate::zv::{Ended, command, zv};

const COMMANDS: [&[&str]; 17] = [
    &["ps"],
    &["why"],
    &["logs"],
    &["health-check"],
    &["doctor"],
    &["stop"],
    &["start"],
    &["restart"],
    &["scale"],
    &["demo"],
    &["agent"],
    &["config"],
    &["config", "check"],
    &["config", "print"],
    &["config", "schema"],
    &["completions"],
    &["man"],
];

#[test]
fn every_command_explains_itself() {
    for command in COMMANDS {
        let mut arguments = command.to_vec();
        arguments.push("--help");
        let help = zv(&arguments).done();
        assert!(help.contains("Usage: zv "), "{command:?}: {help}");
        assert!(*command == ["config"] || help.contains("Examples:\n"), "{command:?}: {help}");
        assert!(help.contains("--json"), "{command:?}: {help}");
        assert!(!help.contains('\u{1b}'), "a pipe gets no colours");
    }
    let help = zv(&["--help"]).done();
    assert!(help.contains("Exit codes:") && !help.contains("guard"), "{help}");
    assert!(zv(&["--version"]).done().starts_with("zv "));
}

#[test]
fn what_is_not_understood_ends_with_2() {
    for arguments in [
        &[][..],
        &["pz"],
        &["ps", "--frob"],
        &["why"],
        &["stop"],
        &["scale", "orders"],
        &["scale", "orders=x"],
        &["logs", "--since", "yesterday"],
        &["logs", "--tail", "-3"],
        &["stop", "orders", "--grace", "soon"],
        &["demo", "--for", "long"],
        &["completions", "tcsh"],
        &["config"],
        &["guard"],
    ] {
        let refused = zv(arguments);
        assert_eq!(refused.code, Some(2), "{arguments:?}: {refused:?}");
        assert_eq!(refused.out, "", "{arguments:?}");
    }
    let refused = zv(&["logs", "--since", "yesterday"]).err;
    assert!(refused.contains("write an age like `10m`"), "{refused}");
}

#[test]
fn a_configuration_is_checked_printed_and_described() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("zv.yaml");
    let path = file.to_str().unwrap();
    std::fs::write(&file, format!("store: {{ path: {}/store }}\n", dir.path().display())).unwrap();
    assert_eq!(zv(&["config", "check", path]).done(), format!("✓ Sound ({path}).\n"));
    assert!(zv(&["config", "print", "--config", path]).done().contains("store:\n"));
    let schema: Value = serde_json::from_str(&zv(&["config", "schema"]).done()).unwrap();
    assert_eq!(schema["title"], "zv.yaml");

    std::fs::write(&file, "stak: {}\nlog: { level: loud }\n").unwrap();
    let wrong = zv(&["config", "check", path]);
    assert_eq!(wrong.code, Some(1));
    assert!(
        wrong.out.contains(&format!("{path}:1:1: mistake: ")) && wrong.out.contains("`stack`"),
        "{}",
        wrong.out
    );
    assert!(wrong.out.ends_with("✖ 2 mistakes.\n"), "{}", wrong.out);
    let wrong = zv(&["config", "check", path, "--json"]);
    let findings: Value = serde_json::from_str(&wrong.out).unwrap();
    assert_eq!((wrong.code, findings["mistakes"].as_array().unwrap().len()), (Some(1), 2));
    let wrong = zv(&["config", "print", path]);
    assert_eq!(wrong.code, Some(1));
    assert!(wrong.err.contains("2 mistakes"), "{}", wrong.err);
    assert_eq!(zv(&["config", "check", "/nowhere/zv.yaml"]).code, Some(1));
}

#[test]
fn variables_of_the_command_line_are_no_surprise_to_the_configuration() {
    let output = command(&["config", "check"]).env("ZV_AGENT", "http://localhost").output().unwrap();
    let shown = Ended::of(&output).done();
    assert!(!shown.contains("ZV_AGENT"), "{shown}");
}

#[test]
fn output_that_cannot_be_written_is_said_to_be_that() {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let ended = command(&["config", "schema"]).stdout(full).output().unwrap();
    let err = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(1), "{err}");
    assert!(err.contains("Cannot write to standard output: No space left on device"), "{err}");
}

#[test]
#[cfg(feature = "demo")]
fn a_demo_says_where_it_is_and_what_to_do_where_it_cannot_be_there() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let refused = zv(&["demo", "--listen", &address]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.err.contains("--listen") && !refused.err.contains("api.listen"), "{refused:?}");

    let told = zv(&["demo", "--json", "--for", "4s"]).done();
    let lines: Vec<serde_json::Value> =
        told.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2, "{told}");
    assert!(lines[0]["agent"].as_str().unwrap().starts_with("http://127.0.0.1:"), "{told}");
    assert!(lines[0]["replicas"][0]["url"].as_str().unwrap().starts_with("http://127.0.0.1:"), "{told}");
    assert_eq!(lines[1]["left_behind"], 0, "{told}");
}
