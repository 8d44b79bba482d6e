//! Scenarios of the model: what a runtime says, and what a person then sees.

mod hands;
mod races;

use chrono::TimeDelta;
use proptest::prelude::*;

use super::*;
use crate::model::{Details, Health, Network, ReplicaStatus, RestartPolicy, ServiceStatus, State, Verdict};

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000 + seconds, 0).unwrap()
}

fn key(service: &str) -> ServiceKey {
    ServiceKey::new("shop", service)
}

fn id(name: &str) -> ReplicaId {
    ReplicaId::new(name)
}

fn details(pid: u32) -> Details {
    Details {
        pid: Some(pid),
        started_at: Some(at(0)),
        exit: None,
        restart_count: 0,
        restart_policy: RestartPolicy::No,
        health: Health::default(),
        tty: false,
    }
}

/// A running replica, inspected; its name is `SERVICE-NUMBER`.
fn replica(service: &str, number: u32) -> Seen {
    Seen {
        id: id(&format!("{service}-{number}")),
        name: format!("{service}-{number}"),
        key: key(service),
        number,
        one_off: false,
        state: State::Running,
        verdict: Verdict::None,
        created_at: Some(at(0)),
        image: "shop/api:1".into(),
        image_id: "sha256:1".into(),
        config_hash: Some("c1".into()),
        depends_on: Vec::new(),
        labels: BTreeMap::new(),
        ports: vec!["127.0.0.1:8080->80/tcp".into()],
        addresses: vec![],
        network: Network::Own,
        details: Some(details(100 + number)),
    }
}

fn with_health(mut seen: Seen, verdict: Verdict) -> Seen {
    seen.verdict = verdict;
    if let Some(details) = &mut seen.details {
        details.health.verdict = verdict;
    }
    seen
}

fn exited(mut seen: Seen, code: i32, ended: DateTime<Utc>) -> Seen {
    seen.state = State::Exited;
    if let Some(details) = &mut seen.details {
        details.pid = None;
        details.exit = Some(Exit { at: ended, code: Some(code), oom: false });
    }
    seen
}

fn listed_only(mut seen: Seen) -> Seen {
    seen.details = None;
    seen
}

fn up() -> Input {
    Input::Up { kind: "docker".into(), version: "26.1".into(), api_version: "1.45".into() }
}

fn event(name: &str, seconds: i64, kind: EventKind) -> Input {
    Input::Happened(Box::new(Event { id: id(name), at: at(seconds), kind, seen: None }))
}

/// A model that has listed these replicas.
fn model(seen: Vec<Seen>) -> Model {
    let mut model = Model::default();
    model.apply(at(1), up());
    model.apply(at(1), Input::Listed(seen));
    model
}

fn status(model: &Model, service: &str) -> ServiceStatus {
    model.service(&key(service)).unwrap().status
}

fn replica_status(model: &Model, name: &str) -> ReplicaStatus {
    model.replica(&id(name)).unwrap().status
}

fn deaths(changes: &[Change]) -> Vec<&Death> {
    changes.iter().filter_map(|c| if let Change::Died(death) = c { Some(death) } else { None }).collect()
}

fn kinds(changes: &[Change]) -> Vec<HappeningKind> {
    changes.iter().filter_map(|c| if let Change::Happened(h) = c { Some(h.kind) } else { None }).collect()
}

#[test]
fn a_service_with_all_replicas_up_is_ok() {
    let model = model(vec![replica("api", 1), replica("api", 2)]);
    let view = model.service(&key("api")).unwrap();
    assert_eq!((view.status, view.running, view.healthy), (ServiceStatus::Ok, 2, 2));
    assert_eq!(view.desired, crate::Desired { replicas: 2, source: crate::DesiredSource::HighestSeen });
    assert_eq!(view.reason, None);
}

#[test]
fn a_list_that_says_the_same_changes_nothing() {
    let mut model = model(vec![replica("api", 1), replica("db", 1)]);
    assert_eq!(model.apply(at(31), Input::Listed(vec![replica("api", 1), replica("db", 1)])), vec![]);
    let glance = vec![listed_only(replica("api", 1)), listed_only(replica("db", 1))];
    assert_eq!(model.apply(at(61), Input::Listed(glance)), vec![]);
}

#[test]
fn a_death_is_told_once_with_its_code() {
    let mut model = model(vec![replica("api", 1), replica("api", 2)]);
    let first = model.apply(at(10), Input::ProcessEnded { id: id("api-2"), pid: 102 });
    assert_eq!(first, vec![Change::Service(key("api"))], "the code is not known yet, the status is");
    assert_eq!(replica_status(&model, "api-2"), ReplicaStatus::Exited);

    let second = model.apply(at(10), event("api-2", 10, EventKind::Died { code: Some(137) }));
    assert_eq!(kinds(&second), [HappeningKind::Died]);
    assert_eq!(deaths(&second)[0].exit.code, Some(137));
    assert!(!deaths(&second)[0].late);

    let third = model.apply(at(10), Input::Seen(Box::new(exited(replica("api", 2), 137, at(10)))));
    assert_eq!((kinds(&third), deaths(&third)), (vec![], vec![]));
    let view = model.service(&key("api")).unwrap();
    assert_eq!((view.status, view.healthy), (ServiceStatus::Degraded, 1));
    assert_eq!(view.reason.as_deref(), Some("api-2 exited with code 137 (SIGKILL)"));
}

#[test]
fn want_of_memory_that_is_told_after_the_death_still_marks_it() {
    let mut model = model(vec![replica("api", 1)]);
    model.apply(at(5), event("api-1", 5, EventKind::Died { code: Some(137) }));
    model.apply(at(5), event("api-1", 5, EventKind::OutOfMemory));
    model.apply(at(5), Input::Seen(Box::new(exited(replica("api", 1), 137, at(5)))));
    let exit = model.replica(&id("api-1")).unwrap().exit.unwrap();
    assert!(exit.oom, "an inspection that does not know takes nothing back");
}

#[test]
fn a_list_that_lags_behind_the_kernel_does_not_revive() {
    let mut model = model(vec![replica("api", 1)]);
    model.apply(at(10), Input::ProcessEnded { id: id("api-1"), pid: 101 });
    model.apply(at(10), Input::Listed(vec![listed_only(replica("api", 1))]));
    assert_eq!(replica_status(&model, "api-1"), ReplicaStatus::Exited);
    model.apply(at(10), Input::Seen(Box::new(replica("api", 1))));
    assert_eq!(replica_status(&model, "api-1"), ReplicaStatus::Exited, "the same process cannot come back");
    let mut again = replica("api", 1);
    again.details = Some(Details { pid: Some(555), started_at: Some(at(11)), ..details(555) });
    model.apply(at(12), Input::Seen(Box::new(again)));
    assert_eq!(replica_status(&model, "api-1"), ReplicaStatus::Running);
}

#[test]
fn while_the_runtime_is_away_nothing_is_called_healthy() {
    let mut model = model(vec![with_health(replica("api", 1), Verdict::Healthy), replica("db", 1)]);
    let changes = model.apply(at(10), Input::Down { reason: "connection refused".into() });
    assert!(changes.contains(&Change::Service(key("api"))) && changes.contains(&Change::Service(key("db"))));
    for service in ["api", "db"] {
        let view = model.service(&key(service)).unwrap();
        assert_eq!((view.status, view.running, view.healthy), (ServiceStatus::Unknown, 0, 0));
        assert_eq!(view.reason.as_deref(), Some("connection refused"));
        assert_eq!(view.replicas[0].verdict, None);
    }
    model.apply(at(20), up());
    assert_eq!(status(&model, "api"), ServiceStatus::Unknown, "answering is not yet telling");
    model.apply(
        at(20),
        Input::Listed(vec![listed_only(with_health(replica("api", 1), Verdict::Healthy)), replica("db", 1)]),
    );
    assert_eq!(status(&model, "api"), ServiceStatus::Ok);
}

#[test]
fn the_kernel_tells_of_a_death_while_the_runtime_is_away() {
    let mut model = model(vec![replica("api", 1), replica("api", 2)]);
    model.apply(at(10), Input::Down { reason: "gone".into() });
    let changes = model.apply(at(11), Input::ProcessEnded { id: id("api-1"), pid: 101 });
    assert_eq!(kinds(&changes), [HappeningKind::Died]);
    assert_eq!(deaths(&changes).len(), 1);
    assert_eq!(replica_status(&model, "api-1"), ReplicaStatus::Exited);
    assert_eq!(replica_status(&model, "api-2"), ReplicaStatus::Unknown);
    assert_eq!(status(&model, "api"), ServiceStatus::Degraded);
}

#[test]
fn a_death_known_to_the_kernel_alone_is_told_when_the_runtime_goes_away() {
    let mut model = model(vec![replica("api", 1)]);
    model.apply(at(10), Input::ProcessEnded { id: id("api-1"), pid: 101 });
    let changes = model.apply(at(11), Input::Down { reason: "gone".into() });
    assert_eq!(deaths(&changes).len(), 1);
}

#[test]
fn a_stop_by_a_person_is_no_outage() {
    let mut model = model(vec![replica("api", 1)]);
    model.apply(at(10), event("api-1", 10, EventKind::Died { code: Some(143) }));
    assert_eq!(status(&model, "api"), ServiceStatus::Down);
    let changes = model.apply(at(10), event("api-1", 10, EventKind::Stopped));
    assert!(changes.contains(&Change::Memory));
    assert_eq!(status(&model, "api"), ServiceStatus::Stopped);
    model.apply(at(11), Input::Seen(Box::new(exited(replica("api", 1), 143, at(10)))));
    assert_eq!(status(&model, "api"), ServiceStatus::Stopped);
}

#[test]
fn a_stop_is_remembered_over_a_restart_of_the_agent() {
    let mut before = model(vec![replica("api", 1)]);
    before.apply(at(10), event("api-1", 10, EventKind::Died { code: Some(143) }));
    before.apply(at(10), event("api-1", 10, EventKind::Stopped));
    let text = serde_json::to_string(&before.memory()).unwrap();
    let mut after = Model::new(serde_json::from_str(&text).unwrap());
    after.apply(at(20), up());
    after.apply(at(20), Input::Listed(vec![exited(replica("api", 1), 143, at(10))]));
    assert_eq!(status(&after, "api"), ServiceStatus::Stopped);
}

#[test]
fn an_unwatched_end_is_an_outage_unless_the_runtime_would_have_restarted_it() {
    let crashed = exited(replica("api", 1), 1, at(-60));
    let mut policy = exited(replica("web", 1), 0, at(-60));
    policy.details.as_mut().unwrap().restart_policy = RestartPolicy::UnlessStopped;
    let model = model(vec![crashed, policy]);
    assert_eq!(status(&model, "api"), ServiceStatus::Down);
    assert_eq!(status(&model, "web"), ServiceStatus::Stopped);
}

#[test]
fn a_watched_kill_is_an_outage_even_where_the_runtime_does_not_restart_it() {
    let mut seen = replica("web", 1);
    seen.details.as_mut().unwrap().restart_policy = RestartPolicy::Always;
    let mut model = model(vec![seen.clone()]);
    model.apply(at(10), event("web-1", 10, EventKind::Killed));
    model.apply(at(10), event("web-1", 10, EventKind::Died { code: Some(137) }));
    model.apply(at(10), Input::Seen(Box::new(exited(seen, 137, at(10)))));
    assert_eq!(status(&model, "web"), ServiceStatus::Down);
}

#[test]
fn a_job_that_ended_well_is_finished_and_a_failed_one_is_down() {
    let job = |service: &str, code| {
        let mut seen = exited(replica(service, 1), code, at(0));
        seen.ports.clear();
        seen
    };
    let with_check = with_health(job("mail", 0), Verdict::Unhealthy);
    let mut server = with_health(job("web", 0), Verdict::Unhealthy);
    let check = crate::Check { at: at(0), exit_code: 0, output: String::new() };
    server.details.as_mut().unwrap().health.log.push(check);
    let model = model(vec![job("migrate", 0), job("import", 2), with_check, server]);
    assert_eq!(status(&model, "migrate"), ServiceStatus::Finished);
    assert_eq!(status(&model, "mail"), ServiceStatus::Finished, "its image brings a check that never passed");
    assert_eq!(status(&model, "web"), ServiceStatus::Down, "it was healthy once, so it is no job");
    assert_eq!(status(&model, "import"), ServiceStatus::Down);
}

#[test]
fn a_one_off_container_never_counts() {
    let mut shell = exited(replica("api", 7), 1, at(0));
    shell.one_off = true;
    let model = model(vec![replica("api", 1), shell]);
    let view = model.service(&key("api")).unwrap();
    assert_eq!((view.status, view.desired.replicas, view.replicas.len()), (ServiceStatus::Ok, 1, 2));
    assert!(view.replicas[1].seen.one_off);
}

#[test]
fn desired_comes_from_scale_then_label_then_file_then_the_highest_count() {
    use crate::DesiredSource::{File, HighestSeen, Label, Scaled};
    let mut model = model(vec![replica("api", 1), replica("api", 2)]);
    let desired = |model: &Model| model.service(&key("api")).unwrap().desired;
    assert_eq!((desired(&model).replicas, desired(&model).source), (2, HighestSeen));
    let declared =
        Declared { key: key("api"), named: true, replicas: Some(3), depends_on: vec!["db".into()] };
    model.apply(at(2), Input::Declared(vec![declared]));
    assert_eq!((desired(&model).replicas, desired(&model).source), (3, File));
    assert!(model.service(&key("api")).unwrap().depends_on.contains("db"));

    let mut labelled = replica("api", 1);
    labelled.labels.insert("zv.replicas".into(), "4".into());
    labelled.config_hash = Some("c2".into());
    labelled.id = id("api-new");
    labelled.created_at = Some(at(5));
    model.apply(at(5), Input::Seen(Box::new(labelled)));
    assert_eq!((desired(&model).replicas, desired(&model).source), (4, Label));

    model.apply(at(6), Input::Scaled { key: key("api"), replicas: 1 });
    assert_eq!((desired(&model).replicas, desired(&model).source), (1, Scaled));
}

#[test]
fn a_deploy_begins_the_count_anew() {
    let mut model = model(vec![replica("api", 1), replica("api", 2), replica("api", 3)]);
    let mut new = replica("api", 1);
    new.id = id("new-1");
    new.config_hash = Some("c2".into());
    new.created_at = Some(at(9));
    model.apply(at(9), Input::Listed(vec![new]));
    let view = model.service(&key("api")).unwrap();
    assert_eq!((view.status, view.desired.replicas), (ServiceStatus::Ok, 1));
}

#[test]
fn fewer_by_a_persons_hand_is_no_outage_but_a_swept_away_crash_is() {
    let all = || vec![replica("api", 1), replica("api", 2), replica("api", 3)];
    let mut by_hand = model(all());
    by_hand.apply(at(5), event("api-3", 5, EventKind::Died { code: Some(0) }));
    by_hand.apply(at(5), event("api-3", 5, EventKind::Stopped));
    by_hand.apply(at(5), event("api-3", 5, EventKind::Removed));
    assert_eq!(status(&by_hand, "api"), ServiceStatus::Ok);

    let mut crashed = model(all());
    crashed.apply(at(5), event("api-3", 5, EventKind::Died { code: Some(1) }));
    crashed.apply(at(5), event("api-3", 5, EventKind::Removed));
    let view = crashed.service(&key("api")).unwrap();
    assert_eq!((view.status, view.reason.as_deref()), (ServiceStatus::Degraded, Some("2 of 3 replicas")));
}

#[test]
fn what_was_scaled_to_none_stays_known_until_its_stack_is_removed() {
    let mut model = model(vec![replica("api", 1), replica("db", 1)]);
    model.apply(at(2), Input::Scaled { key: key("api"), replicas: 0 });
    let remove = |model: &mut Model, name: &str| {
        model.apply(at(3), event(name, 3, EventKind::Died { code: Some(0) }));
        model.apply(at(3), event(name, 3, EventKind::Stopped));
        model.apply(at(3), event(name, 3, EventKind::Removed))
    };
    assert!(!remove(&mut model, "api-1").contains(&Change::ServiceGone(key("api"))));
    let view = model.service(&key("api")).unwrap();
    assert_eq!((view.status, view.desired.replicas, view.replicas.len()), (ServiceStatus::Stopped, 0, 0));
    assert_eq!(model.services().count(), 2);
    let gone = remove(&mut model, "db-1");
    assert!(
        gone.contains(&Change::ServiceGone(key("api"))) && gone.contains(&Change::ServiceGone(key("db")))
    );
    assert_eq!(model.services().count(), 0);
}

#[test]
fn removing_by_force_is_a_wish_and_sweeping_away_a_crash_is_none() {
    let mut by_force = model(vec![replica("api", 1)]);
    by_force.apply(at(5), event("api-1", 5, EventKind::Killed));
    by_force.apply(at(5), event("api-1", 5, EventKind::Died { code: Some(137) }));
    let changes = by_force.apply(at(5), event("api-1", 5, EventKind::Removed));
    assert_eq!(kinds(&changes), [HappeningKind::Stopped, HappeningKind::Removed]);

    let mut crashed = model(vec![replica("api", 1)]);
    crashed.apply(at(5), event("api-1", 5, EventKind::Died { code: Some(1) }));
    let changes = crashed.apply(at(5), event("api-1", 5, EventKind::Removed));
    assert_eq!(kinds(&changes), [HappeningKind::Removed]);
}

#[test]
fn a_removed_project_is_gone_and_no_outage() {
    let mut model = model(vec![replica("api", 1)]);
    model.apply(at(5), event("api-1", 5, EventKind::Died { code: Some(0) }));
    model.apply(at(5), event("api-1", 5, EventKind::Stopped));
    let changes = model.apply(at(5), event("api-1", 5, EventKind::Removed));
    assert!(changes.contains(&Change::ServiceGone(key("api"))));
    assert_eq!(model.services().count(), 0);
}

#[test]
fn three_restarts_in_five_minutes_are_a_crash_loop_until_it_calms_down() {
    let mut model = model(vec![replica("api", 1)]);
    for round in 0..3 {
        model.apply(at(10 + round), event("api-1", 10 + round, EventKind::Died { code: Some(1) }));
        model.apply(at(10 + round), event("api-1", 10 + round, EventKind::Started { pid: Some(200) }));
    }
    assert_eq!(replica_status(&model, "api-1"), ReplicaStatus::CrashLoop);
    assert_eq!(model.replica(&id("api-1")).unwrap().restarts, 3);
    assert_eq!(status(&model, "api"), ServiceStatus::Down);
    assert_eq!(model.tick(at(300)), vec![]);
    assert_eq!(model.tick(at(10 + 301)), vec![Change::Service(key("api"))]);
    assert_eq!(replica_status(&model, "api-1"), ReplicaStatus::Running);
}

#[test]
fn a_restart_by_a_person_is_none_of_the_crash_loops() {
    let mut model = model(vec![replica("api", 1)]);
    for round in 0..5 {
        model.apply(at(10 + round), event("api-1", 10 + round, EventKind::Died { code: Some(0) }));
        model.apply(at(10 + round), event("api-1", 10 + round, EventKind::Stopped));
        model.apply(at(10 + round), event("api-1", 10 + round, EventKind::Started { pid: Some(200) }));
    }
    assert_eq!(replica_status(&model, "api-1"), ReplicaStatus::Running);
    assert_eq!(model.replica(&id("api-1")).unwrap().restarts, 0);
}

#[test]
fn a_loop_met_in_its_middle_is_a_loop() {
    let mut seen = exited(replica("api", 1), 1, at(0));
    seen.state = State::Restarting;
    let details = seen.details.as_mut().unwrap();
    details.restart_count = 9;
    details.restart_policy = RestartPolicy::Always;
    let model = model(vec![seen]);
    assert_eq!(replica_status(&model, "api-1"), ReplicaStatus::CrashLoop);
}

#[test]
fn a_life_that_ended_between_two_looks_is_told() {
    let mut model = model(vec![replica("api", 1)]);
    let mut again = replica("api", 1);
    again.details = Some(Details {
        pid: Some(7),
        started_at: Some(at(60)),
        exit: Some(Exit { at: at(59), code: Some(0), oom: false }),
        restart_count: 1,
        ..details(7)
    });
    let changes = model.apply(at(70), Input::Seen(Box::new(again.clone())));
    assert_eq!(deaths(&changes).len(), 1);
    assert_eq!(deaths(&changes)[0].exit.code, None, "a running container has forgotten its last code");
    assert_eq!(deaths(&model.apply(at(71), Input::Seen(Box::new(again)))).len(), 0);
}

#[test]
fn a_health_flip_is_told_with_the_last_output() {
    let mut model = model(vec![with_health(replica("api", 1), Verdict::Healthy)]);
    let changes = model.apply(at(5), event("api-1", 5, EventKind::Health(Verdict::Unhealthy)));
    assert_eq!(kinds(&changes), [HappeningKind::Unhealthy]);
    let mut sick = with_health(replica("api", 1), Verdict::Unhealthy);
    let health = &mut sick.details.as_mut().unwrap().health;
    health.failing_streak = 3;
    health.log = vec![crate::Check { at: at(5), exit_code: 1, output: "db timeout\nmore".into() }];
    let changes = model.apply(at(5), Input::Seen(Box::new(sick)));
    assert_eq!(kinds(&changes), [], "told once");
    let reason = model.service(&key("api")).unwrap().reason.unwrap();
    assert_eq!(reason, "api-1 is unhealthy, 3 checks failed in a row: db timeout");
}

#[test]
fn a_new_service_is_starting_until_its_first_healthy_moment() {
    let mut model = model(vec![with_health(replica("api", 1), Verdict::Starting)]);
    assert_eq!(status(&model, "api"), ServiceStatus::Starting);
    model.apply(at(3), event("api-1", 3, EventKind::Health(Verdict::Healthy)));
    assert_eq!(status(&model, "api"), ServiceStatus::Ok);
}

#[test]
fn a_replica_is_known_by_its_first_event() {
    let mut model = model(vec![]);
    let mut seen = listed_only(replica("api", 1));
    seen.state = State::Created;
    let created = Event { id: id("api-1"), at: at(2), kind: EventKind::Created, seen: Some(Box::new(seen)) };
    model.apply(at(2), Input::Happened(Box::new(created)));
    model.apply(at(2), event("api-1", 2, EventKind::Started { pid: None }));
    assert_eq!(status(&model, "api"), ServiceStatus::Starting, "its health check is not known yet");
    let changes = model.apply(at(2), event("api-1", 2, EventKind::Died { code: Some(3) }));
    assert_eq!(deaths(&changes)[0].exit.code, Some(3), "no inspection was needed to know");
}

#[test]
fn an_engine_restart_that_killed_the_containers_is_told() {
    let mut model = model(vec![replica("api", 1)]);
    model.apply(at(5), Input::Down { reason: "gone".into() });
    model.apply(at(9), up());
    let mut dead = exited(replica("api", 1), 137, at(6));
    model.apply(at(9), Input::Listed(vec![listed_only(dead.clone())]));
    dead.details.as_mut().unwrap().restart_policy = RestartPolicy::No;
    let changes = model.apply(at(9), Input::Seen(Box::new(dead)));
    assert_eq!(kinds(&changes), [HappeningKind::Died]);
    assert_eq!(status(&model, "api"), ServiceStatus::Down);
}

fn any_kind() -> impl Strategy<Value = EventKind> {
    prop_oneof![
        Just(EventKind::Created),
        Just(EventKind::Started { pid: None }),
        (0..200u32).prop_map(|pid| EventKind::Started { pid: Some(pid) }),
        proptest::option::of(0..255i32).prop_map(|code| EventKind::Died { code }),
        Just(EventKind::OutOfMemory),
        Just(EventKind::Killed),
        Just(EventKind::Stopped),
        Just(EventKind::Paused),
        Just(EventKind::Unpaused),
        Just(EventKind::Health(Verdict::Unhealthy)),
        Just(EventKind::Health(Verdict::Healthy)),
        Just(EventKind::Renamed("other".into())),
        Just(EventKind::Removed),
    ]
}

fn any_seen() -> impl Strategy<Value = Seen> {
    (0..3usize, 1..4u32, 0..4u8, any::<bool>(), 0..5u32).prop_map(
        |(service, number, state, inspected, restarts)| {
            let mut seen = replica(["api", "db", "job"][service], number);
            match state {
                0 => {}
                1 => seen = exited(seen, 1, at(i64::from(restarts))),
                2 => seen.state = State::Restarting,
                _ => seen = with_health(seen, Verdict::Unhealthy),
            }
            seen.details.as_mut().unwrap().restart_count = restarts;
            if inspected { seen } else { listed_only(seen) }
        },
    )
}

fn any_input() -> impl Strategy<Value = Input> {
    prop_oneof![
        1 => Just(up()),
        1 => Just(Input::Down { reason: "away".into() }),
        2 => proptest::collection::vec(any_seen(), 0..6).prop_map(Input::Listed),
        4 => any_seen().prop_map(|seen| Input::Seen(Box::new(seen))),
        8 => (any_seen(), any_kind(), any::<bool>(), 0..600i64).prop_map(|(seen, kind, tell, seconds)| {
            let id = seen.id.clone();
            Input::Happened(Box::new(Event { id, at: at(seconds), kind, seen: tell.then(|| Box::new(seen)) }))
        }),
        2 => any_seen().prop_map(|seen| Input::ProcessEnded { pid: 100 + seen.number, id: seen.id }),
        1 => any_seen().prop_map(|seen| Input::Gone(seen.id)),
        1 => any_seen().prop_map(|seen| Input::Scaled { key: seen.key, replicas: 2 }),
    ]
}

proptest! {
    /// Whatever came before, after a complete list and inspections the model holds those replicas and no other.
    #[test]
    fn the_model_ends_equal_to_a_fresh_list(
        inputs in proptest::collection::vec(any_input(), 0..60),
        last in proptest::collection::btree_map(0..9u32, any_seen(), 0..6),
    ) {
        let mut model = Model::default();
        for (second, input) in inputs.into_iter().enumerate() {
            model.apply(at(second as i64), input);
        }
        let mut truth: BTreeMap<ReplicaId, Seen> = BTreeMap::new();
        for (pid, mut seen) in last.into_values().enumerate() {
            let state = seen.state;
            seen.details = Some(Details {
                // A process no death was ever reported of.
                pid: state.is_up().then_some(5_000 + pid as u32),
                health: Health { verdict: seen.verdict, ..Health::default() },
                ..details(1)
            });
            truth.insert(seen.id.clone(), seen);
        }
        model.apply(at(1_000), Input::Down { reason: "away".into() });
        model.apply(at(1_001), up());
        model.apply(at(1_001), Input::Listed(truth.values().cloned().map(listed_only).collect()));
        for seen in truth.values() {
            model.apply(at(1_002), Input::Seen(Box::new(seen.clone())));
        }
        let mut count = 0;
        for service in model.services() {
            for view in service.replicas {
                let seen = &truth[&view.seen.id];
                prop_assert_eq!(view.seen.state, seen.state);
                prop_assert_eq!(view.verdict, Some(seen.verdict));
                prop_assert_eq!(view.pid, seen.details.as_ref().and_then(|d| d.pid));
                prop_assert_eq!(&view.seen.name, &seen.name);
                count += 1;
            }
        }
        prop_assert_eq!(count, truth.len());
    }

    /// While the runtime is away nothing is healthy, running or ok.
    #[test]
    fn away_is_never_healthy(inputs in proptest::collection::vec(any_input(), 0..60)) {
        let mut model = Model::default();
        for (second, input) in inputs.into_iter().enumerate() {
            let now = at(second as i64);
            model.apply(now, input);
            model.tick(now + TimeDelta::milliseconds(1));
            if !matches!(model.runtime(), RuntimeState::Up { .. }) {
                for service in model.services() {
                    prop_assert_eq!(service.healthy, 0);
                    prop_assert!(!matches!(service.status, ServiceStatus::Ok | ServiceStatus::Starting));
                }
            }
        }
    }
}
