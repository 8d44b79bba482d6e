//! What comes out of order, twice or not at all.

use super::*;
use crate::model::DesiredSource;

fn seen(replica: Seen) -> Input {
    Input::Seen(Box::new(replica))
}

/// As an inspection sees a replica between its death and the restart by the engine, which counts the restart already.
fn restarting(count: u32, ended: i64) -> Seen {
    let mut seen = exited(replica("api", 1), 1, at(ended));
    seen.state = State::Restarting;
    if let Some(details) = &mut seen.details {
        (details.restart_count, details.restart_policy) = (count, RestartPolicy::Always);
    }
    seen
}

fn restarted(count: u32, pid: u32, started: i64) -> Seen {
    let mut seen = replica("api", 1);
    seen.details = Some(Details {
        started_at: Some(at(started)),
        exit: Some(Exit { at: at(started - 1), code: None, oom: false }),
        restart_count: count,
        restart_policy: RestartPolicy::Always,
        ..details(pid)
    });
    seen
}

#[test]
fn a_restart_that_an_inspection_counted_first_is_counted_once() {
    let mut model = model(vec![replica("api", 1)]);
    for round in 1..=3 {
        let second = i64::from(round) * 10;
        model.apply(at(second), event("api-1", second, EventKind::Died { code: Some(1) }));
        model.apply(at(second), seen(restarting(round, second)));
        model.apply(at(second + 1), event("api-1", second + 1, EventKind::Started { pid: None }));
        assert_eq!(model.replica(&id("api-1")).unwrap().restarts, round);
        model.apply(at(second + 1), seen(restarted(round, 200 + round, second + 1)));
        assert_eq!(model.replica(&id("api-1")).unwrap().restarts, round);
        let is_loop = replica_status(&model, "api-1") == ReplicaStatus::CrashLoop;
        assert_eq!(is_loop, round == 3, "after {round} restarts");
    }
}

#[test]
fn a_stop_that_is_told_before_its_death_is_a_stop() {
    let mut model = model(vec![replica("api", 1)]);
    model.apply(at(10), event("api-1", 10, EventKind::Killed));
    model.apply(at(11), event("api-1", 11, EventKind::Stopped));
    let changes = model.apply(at(11), event("api-1", 11, EventKind::Died { code: Some(137) }));
    assert_eq!(replica_status(&model, "api-1"), ReplicaStatus::Stopped);
    assert_eq!(status(&model, "api"), ServiceStatus::Stopped);
    assert!(changes.contains(&Change::Memory), "the wish outlives the agent");
    assert_eq!(kinds(&changes), [HappeningKind::Died, HappeningKind::Stopped]);
}

#[test]
fn a_stop_that_is_told_after_the_next_start_stops_nothing() {
    let mut model = model(vec![replica("api", 1)]);
    for kind in [
        EventKind::Killed,
        EventKind::Died { code: Some(0) },
        EventKind::Started { pid: Some(200) },
        EventKind::Stopped,
        EventKind::Died { code: Some(1) },
    ] {
        model.apply(at(10), event("api-1", 10, kind));
    }
    assert_eq!(replica_status(&model, "api-1"), ReplicaStatus::Exited);
}

#[test]
fn a_life_that_began_between_two_looks_is_another_life() {
    let mut model = model(vec![replica("api", 1)]);
    let life = |model: &Model| model.replica(&id("api-1")).unwrap().life;
    let first = life(&model);
    model.apply(at(70), seen(restarted(1, 7, 60)));
    let second = life(&model);
    assert_ne!(first, second);
    model.apply(at(71), seen(restarted(1, 7, 60)));
    assert_eq!(life(&model), second);
    // So soon after the last one that its end is not told apart from that.
    model.apply(at(72), seen(restarted(2, 8, 62)));
    assert_ne!(life(&model), second);
}

#[test]
fn what_no_file_declares_any_more_takes_no_room() {
    let mut model = model(vec![replica("api", 1)]);
    let declared = |service: &str, replicas: Option<u32>| Declared {
        key: key(service),
        named: replicas.is_some(),
        replicas,
        depends_on: Vec::new(),
    };
    model.apply(at(1), Input::Declared(vec![declared("api", Some(3)), declared("db", Some(1))]));
    assert_eq!(model.services.len(), 2);
    model.apply(at(2), Input::Declared(vec![declared("api", None), declared("db", None)]));
    assert_eq!(model.services.len(), 1);
    assert_eq!(model.service(&key("api")).unwrap().desired.source, DesiredSource::HighestSeen);
}

#[test]
fn a_service_that_was_swept_away_leaves_no_wish_behind() {
    let mut model = model(vec![replica("api", 1)]);
    model.apply(at(1), Input::Scaled { key: key("api"), replicas: 5 });
    model.apply(at(2), event("api-1", 2, EventKind::Died { code: Some(137) }));
    let changes = model.apply(at(2), event("api-1", 2, EventKind::Removed));
    assert!(changes.contains(&Change::Memory));
    assert_eq!(model.memory(), Memory::default());
}

#[test]
fn wishes_for_what_was_removed_meanwhile_are_forgotten() {
    let mut before = model(vec![replica("api", 1), replica("web", 1)]);
    before.apply(at(1), Input::Scaled { key: key("web"), replicas: 0 });
    before.apply(at(2), event("web-1", 2, EventKind::Removed));
    let memory = before.memory();

    let mut after = Model::new(memory.clone());
    after.apply(at(10), up());
    after.apply(at(10), Input::Listed(vec![replica("api", 1)]));
    assert_eq!(status(&after, "web"), ServiceStatus::Stopped, "scaled to none, and its stack is there");
    assert_eq!(after.memory(), memory);

    let mut after = Model::new(memory);
    after.apply(at(10), up());
    let changes = after.apply(at(10), Input::Listed(Vec::new()));
    assert_eq!(after.memory(), Memory::default());
    assert!(changes.contains(&Change::Memory));
}
