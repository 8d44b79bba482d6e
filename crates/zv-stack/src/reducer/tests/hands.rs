//! What other hands do to a stack beside zv's: Compose, a person with the docker command.

use super::*;
use crate::DesiredSource::{File, HighestSeen, Scaled};
use crate::model::Desired;

fn desired(model: &Model) -> (u32, crate::DesiredSource) {
    let Desired { replicas, source } = model.service(&key("api")).unwrap().desired;
    (replicas, source)
}

fn declared(replicas: Option<u32>) -> Input {
    Input::Declared(vec![Declared { key: key("api"), named: true, replicas, depends_on: Vec::new() }])
}

fn stop_and_remove(model: &mut Model, name: &str) {
    for kind in [EventKind::Killed, EventKind::Died { code: Some(0) }, EventKind::Stopped, EventKind::Removed]
    {
        model.apply(at(5), event(name, 5, kind));
    }
}

fn add(model: &mut Model, number: u32) {
    model.apply(at(6), Input::Seen(Box::new(replica("api", number))));
}

#[test]
fn a_job_that_is_run_again_and_again_is_no_crash_loop() {
    let mut job = exited(replica("api", 1), 0, at(0));
    job.ports.clear();
    let mut model = model(vec![job]);
    for round in 0..6 {
        model.apply(at(10 + round), event("api-1", 10 + round, EventKind::Started { pid: Some(200) }));
        model.apply(at(10 + round), event("api-1", 10 + round, EventKind::Died { code: Some(0) }));
    }
    assert_eq!(status(&model, "api"), ServiceStatus::Finished);
}

#[test]
fn what_compose_makes_of_a_scaled_service_is_the_later_word() {
    let mut fewer = model((1..=3).map(|number| replica("api", number)).collect());
    fewer.apply(at(2), declared(Some(2)));
    fewer.apply(at(2), Input::Scaled { key: key("api"), replicas: 3 });
    assert_eq!(desired(&fewer), (3, Scaled));
    stop_and_remove(&mut fewer, "api-3");
    assert_eq!((desired(&fewer), status(&fewer, "api")), ((2, File), ServiceStatus::Ok));

    let mut more = model(vec![replica("api", 1)]);
    more.apply(at(2), Input::Scaled { key: key("api"), replicas: 1 });
    add(&mut more, 2);
    assert_eq!(desired(&more), (2, HighestSeen));
}

#[test]
fn scaling_by_zv_itself_keeps_its_word() {
    let mut model = model(vec![replica("api", 1), replica("api", 2)]);
    model.apply(at(2), Input::Scaled { key: key("api"), replicas: 1 });
    stop_and_remove(&mut model, "api-2");
    assert_eq!(desired(&model), (1, Scaled));
    // The replica may be told of before the wish.
    add(&mut model, 2);
    model.apply(at(7), Input::Scaled { key: key("api"), replicas: 2 });
    assert_eq!(desired(&model), (2, Scaled));
    // A crash that is swept away is no wish.
    model.apply(at(8), event("api-2", 8, EventKind::Died { code: Some(1) }));
    model.apply(at(8), event("api-2", 8, EventKind::Removed));
    assert_eq!((desired(&model), status(&model, "api")), ((2, Scaled), ServiceStatus::Degraded));
}

#[test]
fn removing_a_one_off_asks_for_no_fewer_replicas() {
    let mut shell = replica("api", 7);
    shell.one_off = true;
    let mut model = model(vec![replica("api", 1), replica("api", 2), shell]);
    stop_and_remove(&mut model, "api-7");
    assert_eq!(desired(&model), (2, HighestSeen));
}

#[test]
fn a_file_that_names_no_number_means_one_unless_more_were_seen() {
    let mut model = model(vec![replica("api", 1)]);
    model.apply(at(2), declared(None));
    assert_eq!(desired(&model), (1, File));
    add(&mut model, 2);
    assert_eq!(desired(&model), (2, HighestSeen));
}

#[test]
fn a_new_replica_is_not_well_before_its_health_check_is_known() {
    let mut model = model(vec![with_health(replica("api", 1), Verdict::Healthy)]);
    let new = listed_only(Seen { state: State::Created, ..replica("api", 2) });
    let created = Event { id: id("api-2"), at: at(5), kind: EventKind::Created, seen: Some(Box::new(new)) };
    model.apply(at(5), Input::Happened(Box::new(created)));
    model.apply(at(5), event("api-2", 5, EventKind::Started { pid: Some(300) }));
    let view = model.service(&key("api")).unwrap();
    assert_eq!((view.healthy, view.replicas[1].status), (1, ReplicaStatus::Starting));
    assert_eq!(view.replicas[1].verdict, None);

    add(&mut model, 2);
    let view = model.service(&key("api")).unwrap();
    assert_eq!((view.healthy, view.replicas[1].status), (2, ReplicaStatus::Running));
}

#[test]
fn a_service_whose_replicas_all_start_is_not_down() {
    let starting = |number| with_health(replica("api", number), Verdict::Starting);
    let mut model = model(vec![starting(1), starting(2)]);
    model.apply(at(2), declared(Some(3)));
    assert_eq!(status(&model, "api"), ServiceStatus::Degraded);
}

#[test]
fn a_deploy_in_place_keeps_the_count() {
    let mut model = model(vec![replica("api", 1)]);
    let mut newer = Seen { config_hash: Some("c2".into()), created_at: Some(at(10)), ..replica("api", 1) };
    newer.id = id("api-1-new");
    // Compose makes the new one, stops and removes the old one, and gives its name to the new one.
    model.apply(at(10), Input::Seen(Box::new(newer.clone())));
    model.apply(at(11), event("api-1", 11, EventKind::Killed));
    model.apply(at(11), event("api-1", 11, EventKind::Died { code: Some(0) }));
    model.apply(at(11), event("api-1", 11, EventKind::Stopped));
    model.apply(at(12), event("api-1", 12, EventKind::Removed));
    let view = model.service(&key("api")).unwrap();
    assert_eq!((view.desired.replicas, view.running, view.status), (1, 1, ServiceStatus::Ok));
}

/// An engine without live-restore ends its containers, and tells of it as of stops.
#[test]
fn what_ends_with_the_engine_was_not_asked_for() {
    let mut model = model(vec![replica("api", 1), replica("job", 1)]);
    for name in ["api-1", "job-1"] {
        model.apply(at(100), event(name, 100, EventKind::Killed));
        model.apply(at(101), event(name, 101, EventKind::Died { code: Some(0) }));
        model.apply(at(101), event(name, 101, EventKind::Stopped));
    }
    model.apply(at(102), Input::Down { reason: "gone".into() });
    let changes = model.apply(at(110), up());
    assert!(changes.contains(&Change::Memory), "the wish is taken back on disk, too");
    let ended = |name: &str| exited(replica(name, 1), 0, at(101));
    model.apply(at(110), Input::Listed(vec![ended("api"), ended("job")]));
    model.apply(at(110), event("api-1", 101, EventKind::Stopped));
    assert_eq!((status(&model, "api"), status(&model, "job")), (ServiceStatus::Down, ServiceStatus::Down));
    model.apply(at(120), event("api-1", 120, EventKind::Started { pid: Some(300) }));
    model.apply(at(130), event("api-1", 130, EventKind::Killed));
    model.apply(at(131), event("api-1", 131, EventKind::Died { code: Some(0) }));
    model.apply(at(131), event("api-1", 131, EventKind::Stopped));
    assert_eq!(status(&model, "api"), ServiceStatus::Stopped, "later, a person's stop is one again");
}

#[test]
fn what_was_stopped_stays_stopped_where_an_engine_leaves_the_others_alone() {
    let mut model = model(vec![replica("api", 1), replica("db", 1)]);
    model.apply(at(100), event("api-1", 100, EventKind::Killed));
    model.apply(at(101), event("api-1", 101, EventKind::Died { code: Some(0) }));
    model.apply(at(101), event("api-1", 101, EventKind::Stopped));
    model.apply(at(102), Input::Down { reason: "gone".into() });
    model.apply(at(110), up());
    model.apply(at(110), Input::Listed(vec![exited(replica("api", 1), 0, at(101)), replica("db", 1)]));
    assert_eq!((status(&model, "api"), status(&model, "db")), (ServiceStatus::Stopped, ServiceStatus::Ok));
}
