//! Lists, inspections and events as engines write them.

use serde_json::json;

use super::*;

fn inspect(value: serde_json::Value) -> Seen {
    from_inspect(&serde_json::from_value(value).unwrap()).unwrap()
}

#[test]
fn a_list_entry_tells_place_state_verdict_and_ports() {
    let summary = serde_json::from_value(json!({
        "Id": "c1", "Names": ["/other/alias", "/shop-api-2"], "Image": "api:1", "ImageID": "sha256:1",
        "Created": 1_700_000_000, "State": "running", "Status": "Up 3 minutes (unhealthy)",
        "Ports": [
            {"IP": "::", "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp"},
            {"IP": "0.0.0.0", "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp"},
            {"PrivatePort": 81, "Type": "tcp"}
        ],
        "Labels": {
            "com.docker.compose.project": "shop", "com.docker.compose.service": "api",
            "com.docker.compose.container-number": "2", "com.docker.compose.oneoff": "False",
            "com.docker.compose.config-hash": "h", "zv.replicas": "2", "secret": "x",
            "com.docker.compose.depends_on": "db:service_healthy:true,redis:service_started:false"
        }
    }));
    let seen = from_summary(&summary.unwrap()).unwrap();
    assert_eq!(seen.name, "shop-api-2");
    assert_eq!(seen.key, ServiceKey::new("shop", "api"));
    assert_eq!((seen.number, seen.one_off, seen.state), (2, false, State::Running));
    assert_eq!(seen.verdict, Verdict::Unhealthy);
    assert_eq!(seen.ports, ["0.0.0.0:8080->80/tcp", "[::]:8080->80/tcp"]);
    assert_eq!(seen.depends_on, ["db".into(), "redis".into()] as [Arc<str>; 2]);
    assert_eq!(seen.labels.keys().collect::<Vec<_>>(), ["zv.replicas"]);
    assert!(seen.details.is_none());
}

#[test]
fn a_container_outside_compose_is_its_own_service() {
    let summary = serde_json::from_value(json!({"Id": "c", "Names": ["/lonely"], "State": "exited"}));
    let seen = from_summary(&summary.unwrap()).unwrap();
    assert_eq!(seen.key, ServiceKey::new(LOOSE_STACK, "lonely"));
    assert_eq!((seen.number, seen.state), (1, State::Exited));
}

#[test]
fn an_inspection_tells_how_it_ended() {
    let seen = inspect(json!({
        "Id": "c", "Name": "/x", "RestartCount": 3, "Image": "sha256:1",
        "State": {"Status": "exited", "ExitCode": 137, "OOMKilled": true, "Pid": 0,
                  "StartedAt": "2026-01-02T03:04:05.5Z", "FinishedAt": "2026-01-02T03:05:00Z"},
        "Config": {"Image": "x:1", "Tty": true},
        "HostConfig": {"RestartPolicy": {"Name": "on-failure"}},
        "NetworkSettings": {"Ports": {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}], "81/tcp": null}}
    }));
    let details = seen.details.unwrap();
    assert_eq!(details.exit.as_ref().unwrap().code, Some(137));
    assert!(details.exit.unwrap().oom && details.tty);
    assert_eq!((details.pid, details.restart_count), (None, 3));
    assert_eq!(details.restart_policy, RestartPolicy::OnFailure);
    assert_eq!(seen.ports, ["0.0.0.0:8080->80/tcp"]);
}

#[test]
fn while_it_runs_again_an_old_exit_has_no_code() {
    let state = |status: &str| {
        json!({"Id": "c", "State": {"Status": status, "ExitCode": 3, "OOMKilled": true, "Pid": 7,
               "StartedAt": "2026-01-02T03:04:05Z", "FinishedAt": "2026-01-02T03:04:00Z"}})
    };
    let up = inspect(state("running")).details.unwrap();
    assert_eq!((up.exit.as_ref().unwrap().code, up.exit.unwrap().oom, up.pid), (None, false, Some(7)));
    assert_eq!(inspect(state("restarting")).details.unwrap().exit.unwrap().code, Some(3));
    let never = json!({"Id": "c", "State": {"Status": "created", "FinishedAt": "0001-01-01T00:00:00Z"}});
    assert_eq!(inspect(never).details.unwrap().exit, None);
}

#[test]
fn the_last_checks_are_kept_and_cut_at_a_character() {
    let run = |n: i64, output: &str| json!({"Start": format!("2026-01-02T03:04:0{n}Z"), "ExitCode": n, "Output": output});
    let long = "é".repeat(Check::OUTPUT_LIMIT);
    let runs: Vec<_> = (0..7).map(|n| run(n, &long)).collect();
    let health = json!({"Status": "unhealthy", "FailingStreak": 7, "Log": runs});
    let seen = inspect(json!({"Id": "c", "State": {"Status": "running", "Health": health}}));
    let health = seen.details.unwrap().health;
    assert_eq!((health.verdict, health.failing_streak), (Verdict::Unhealthy, 7));
    assert_eq!(health.log.iter().map(|run| run.exit_code).collect::<Vec<_>>(), [2, 3, 4, 5, 6]);
    assert_eq!(health.log[0].output.len(), Check::OUTPUT_LIMIT);
}

#[test]
fn verdicts_in_the_lists_words() {
    assert_eq!(verdict_of_status("Up 1 second (health: starting)"), Verdict::Starting);
    assert_eq!(verdict_of_status("Up 1 second (healthy)"), Verdict::Healthy);
    assert_eq!(verdict_of_status("Up 1 second (Paused)"), Verdict::None);
    assert_eq!(verdict_of_status("Exited (137) 2 minutes ago"), Verdict::None);
}

#[test]
fn what_ended_was_as_healthy_as_its_checks_said() {
    let verdict = |streak: i64, exit_code: i64| {
        let run = json!({"Start": "2026-01-01T00:00:00Z", "ExitCode": exit_code, "Output": ""});
        let health = json!({"Status": "unhealthy", "FailingStreak": streak, "Log": [run]});
        let seen = inspect(json!({"Id": "c", "State": {"Status": "exited", "Health": health}}));
        seen.details.unwrap().health.verdict
    };
    assert_eq!(verdict(0, 0), Verdict::Healthy);
    assert_eq!(verdict(3, 1), Verdict::Unhealthy);
}

#[test]
fn a_container_has_a_network_of_its_own_or_whose() {
    for (mode, expected) in [
        ("default", Network::Own),
        ("shop_default", Network::Own),
        ("host", Network::Host),
        ("none", Network::Nothing),
        ("container:c1", Network::Of(ReplicaId::new("c1"))),
    ] {
        let summary = json!({"Id": "c", "State": "running", "HostConfig": {"NetworkMode": mode}});
        let listed = from_summary(&serde_json::from_value(summary).unwrap()).unwrap();
        let inspected = inspect(json!({"Id": "c", "HostConfig": {"NetworkMode": mode}}));
        assert_eq!((&listed.network, &inspected.network), (&expected, &expected), "{mode}");
    }
}
