//! What the watcher tells of containers that come, change and go.

use std::sync::Arc;

use zv_stack::{EventKind, Input, LOOSE_STACK, Runtime, State, Verdict};

use super::lab::{HEALTH_IMAGE, Lab};
use super::view::View;

#[tokio::test]
async fn the_list_comes_before_any_inspection() {
    let Some(lab) = Lab::open("first").await else { return };
    let a = lab.run("a", &["--label", "zv.alerts=off", "-e", "X=1"], &["sleep"]).await;
    let b = lab.run("b", &["--restart", "on-failure"], &["exit", "--code", "0"]).await;
    let mut view = View::of(&lab.runtime());
    let seen = view.details(&a, State::Running).await;
    let ended = view.details(&b, State::Exited).await;

    assert!(matches!(&view.inputs[0], Input::Up { kind, .. } if kind == "docker"));
    let Input::Listed(listed) = &view.inputs[1] else { panic!("{:?} after Up", view.inputs[1]) };
    assert_eq!(listed.len(), 2);
    assert!(listed.iter().all(|seen| seen.details.is_none()));
    let first = listed.iter().find(|seen| seen.id == a).unwrap();
    assert_eq!((&first.name, &first.key, first.state), (&seen.name, &seen.key, seen.state));
    assert_eq!(
        (&first.image, &first.image_id, first.created_at),
        (&seen.image, &seen.image_id, seen.created_at)
    );

    assert_eq!(&*seen.key.stack, lab.project);
    assert_eq!(seen.labels.get("zv.alerts").map(String::as_str), Some("off"));
    let details = seen.details.unwrap();
    assert!(details.pid.is_some() && details.started_at.is_some() && details.exit.is_none());
    let exit = ended.details.unwrap().exit.unwrap();
    assert_eq!((exit.code, exit.oom), (Some(0), false));
}

#[tokio::test]
async fn an_exit_tells_its_code() {
    let Some(lab) = Lab::open("exit").await else { return };
    let mut view = View::of(&lab.runtime());
    view.until("the first list", |view| view.inputs.iter().any(|i| matches!(i, Input::Listed(_)))).await;
    let id = lab.run("job", &[], &["exit", "--code", "3", "--after-ms", "300"]).await;
    let started = view.event(&id, EventKind::Started { pid: None }).await;
    let created = view.event(&id, EventKind::Created).await;
    let seen = created.seen.expect("the event that makes a container tells what it is");
    assert_eq!((&*seen.key.service, seen.number, seen.state), ("job", 1, State::Created));
    assert!(started.at >= created.at);
    view.event(&id, EventKind::Died { code: Some(3) }).await;
    let exit = view.details(&id, State::Exited).await.details.unwrap().exit.unwrap();
    assert_eq!((exit.code, exit.oom), (Some(3), false));
    assert!(!view.events(&id).contains(&EventKind::Stopped));
}

#[tokio::test]
async fn a_container_that_eats_its_memory_is_marked() {
    let Some(lab) = Lab::open("oom").await else { return };
    let mut view = View::of(&lab.runtime());
    let id = lab.run("eater", &["-m", "24m", "--memory-swap", "24m"], &["oom"]).await;
    let exit = view.details(&id, State::Exited).await.details.unwrap().exit.unwrap();
    assert_eq!(exit.code, Some(137));
    // An engine that hears of the want of memory after the end marks no exit; its event comes all the same.
    view.until("the mark or the event", |view| {
        let exit = view.replicas.get(&id).and_then(|seen| seen.details.as_ref()?.exit.as_ref());
        exit.is_some_and(|exit| exit.oom) || view.events(&id).contains(&EventKind::OutOfMemory)
    })
    .await;
}

#[tokio::test]
async fn health_is_told_as_it_turns() {
    let Some(lab) = Lab::open("health").await else { return };
    let mut view = View::of(&lab.runtime());
    let id = lab.run("api", &[HEALTH_IMAGE], &["sleep"]).await;
    view.event(&id, EventKind::Health(Verdict::Healthy)).await;
    view.until("the check's output", |view| {
        let details = view.replicas.get(&id).and_then(|seen| seen.details.as_ref());
        details.is_some_and(|all| {
            all.health.log.iter().any(|run| run.output.trim_end() == "line 1" && run.exit_code == 0)
        })
    })
    .await;

    // A check that cannot be run any more fails.
    let nothing = tempfile::NamedTempFile::new().unwrap();
    lab.docker(&["cp", nothing.path().to_str().unwrap(), &format!("{}:/check", id.as_str())]).await;
    view.event(&id, EventKind::Health(Verdict::Unhealthy)).await;
    view.until("the details of the sick", |view| {
        let seen = view.replicas.get(&id).filter(|seen| seen.verdict == Verdict::Unhealthy);
        seen.and_then(|seen| seen.details.as_ref()).is_some_and(|all| all.health.failing_streak > 0)
    })
    .await;

    let mut late = View::of(&lab.runtime());
    late.until("the list", |view| view.replicas.contains_key(&id)).await;
    assert_eq!(late.replicas[&id].verdict, Verdict::Unhealthy, "the list alone tells the verdict");
}

#[tokio::test]
async fn a_stop_by_a_person_is_told_now_and_to_who_comes_late() {
    let Some(lab) = Lab::open("stop").await else { return };
    let mut view = View::of(&lab.runtime());
    let stopped = lab.run("stopped", &[], &["sleep"]).await;
    let killed = lab.run("killed", &[], &["sleep"]).await;
    let again = lab.run("again", &[], &["sleep"]).await;
    view.details(&stopped, State::Running).await;
    lab.docker(&["stop", stopped.as_str(), again.as_str()]).await;
    lab.docker(&["start", again.as_str()]).await;
    lab.docker(&["kill", killed.as_str()]).await;
    view.event(&stopped, EventKind::Stopped).await;
    view.event(&killed, EventKind::Died { code: Some(137) }).await;
    assert!(!view.events(&killed).contains(&EventKind::Stopped));

    let mut late = View::of(&lab.runtime());
    late.event(&stopped, EventKind::Stopped).await;
    late.details(&again, State::Running).await;
    late.details(&killed, State::Exited).await;
    assert!(matches!(late.inputs[1], Input::Listed(_)), "the list comes before history");
    let told: Vec<_> = late.inputs.iter().filter(|input| matches!(input, Input::Happened(_))).collect();
    assert_eq!(told.len(), 1, "history beyond the stop: {told:?}");
}

#[tokio::test]
async fn history_does_not_bring_back_what_is_gone() {
    let Some(lab) = Lab::open("ghost").await else { return };
    let gone = lab.run("gone", &[], &["sleep"]).await;
    lab.docker(&["rm", "-f", gone.as_str()]).await;
    let here = lab.run("here", &[], &["sleep"]).await;
    let mut view = View::of(&lab.runtime());
    view.details(&here, State::Running).await;
    assert!(view.events(&gone).is_empty());
    assert_eq!(view.replicas.len(), 1);
}

#[tokio::test]
async fn rename_pause_restart_and_removal() {
    let Some(lab) = Lab::open("changes").await else { return };
    let mut view = View::of(&lab.runtime());
    let id = lab.run("a", &[], &["sleep"]).await;
    let before = view.details(&id, State::Running).await.details.unwrap().pid;
    let new_name = format!("{}-renamed", lab.project);
    lab.docker(&["rename", id.as_str(), &new_name]).await;
    view.event(&id, EventKind::Renamed(new_name.clone())).await;
    view.until("the new name", |view| view.replicas[&id].name == new_name).await;
    lab.docker(&["pause", id.as_str()]).await;
    view.event(&id, EventKind::Paused).await;
    view.details(&id, State::Paused).await;
    lab.docker(&["unpause", id.as_str()]).await;
    view.event(&id, EventKind::Unpaused).await;
    lab.docker(&["restart", id.as_str()]).await;
    view.until("another process", |view| {
        let seen = &view.replicas[&id];
        seen.state == State::Running
            && seen.details.as_ref().is_some_and(|all| all.pid.is_some() && all.pid != before)
    })
    .await;
    lab.docker(&["rm", "-f", id.as_str()]).await;
    view.event(&id, EventKind::Removed).await;
    assert!(!view.replicas.contains_key(&id));
}

#[tokio::test]
async fn containers_outside_compose_have_a_stack_of_their_own() {
    let Some(lab) = Lab::open("loose").await else { return };
    let name = format!("{}-loose", lab.project);
    let label = format!("com.docker.compose.project={}", lab.project);
    let id = lab
        .docker(&[
            "run",
            "-d",
            "--network",
            "none",
            "--name",
            &name,
            "--label",
            &label,
            super::lab::IMAGE,
            "sleep",
        ])
        .await;
    let mut view = View::of(&lab.runtime());
    let seen = view.details(&zv_stack::ReplicaId::new(id), State::Running).await;
    assert_eq!((&*seen.key.stack, &*seen.key.service), (LOOSE_STACK, name.as_str()));
}

#[tokio::test]
async fn compose_files_declare_what_is_desired() {
    let Some(lab) = Lab::open("declared").await else { return };
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(
        dir.path().join("compose.yaml"),
        "services: {api: {deploy: {replicas: 2}, depends_on: [db]}}",
    )
    .unwrap();
    let folder = format!("com.docker.compose.project.working_dir={}", dir.path().display());
    let files = ["--label", "com.docker.compose.project.config_files=compose.yaml", "--label", &folder];
    lab.run("api", &files, &["sleep"]).await;
    let mut view = View::of(&lab.runtime());
    let declared = view.next("a declaration", |input| matches!(input, Input::Declared(_))).await;
    let Input::Declared(declared) = declared else { unreachable!("just checked") };
    assert_eq!((&*declared[0].key.service, declared[0].replicas), ("api", Some(2)));
    assert_eq!(declared[0].depends_on, ["db".into()] as [Arc<str>; 1]);
}

#[tokio::test]
async fn a_death_leaves_evidence_without_secrets() {
    let Some(lab) = Lab::open("evidence").await else { return };
    let id = lab.run("job", &["-e", "PASSWORD=hunter2"], &["print", "--lines", "300"]).await;
    lab.docker(&["wait", id.as_str()]).await;
    let evidence = lab.runtime().evidence(&id).await;
    assert_eq!(evidence.exit.unwrap().code, Some(0));
    assert_eq!((evidence.logs.len(), evidence.logs[199].text.as_str()), (200, "line 300"));
    let inspect = evidence.inspect.unwrap().to_string();
    assert!(inspect.contains("PASSWORD=***") && !inspect.contains("hunter2"));

    lab.docker(&["rm", id.as_str()]).await;
    let nothing = lab.runtime().evidence(&id).await;
    assert_eq!(nothing, zv_stack::death::Evidence::default());
}

/// The engine removes the log some milliseconds after the death: now and then it is faster than a machine that is busy.
#[tokio::test]
async fn a_container_that_is_killed_by_its_removal_leaves_its_log() {
    let Some(lab) = Lab::open("removed").await else { return };
    for attempt in 1.. {
        let runtime = lab.runtime();
        let mut view = View::of(&runtime);
        let id = lab.run(&format!("a{attempt}"), &[], &["print", "--lines", "300", "--then-sleep"]).await;
        view.details(&id, State::Running).await;
        let remove = ["rm", "-f", id.as_str()];
        let removing = lab.docker(&remove);
        let looking = async {
            view.next(
                "its end",
                |input| matches!(input, Input::ProcessEnded { id: ended, .. } if *ended == id),
            )
            .await;
            runtime.evidence(&id).await
        };
        let (_, evidence) = tokio::join!(removing, looking);
        if let Some(last) = evidence.logs.last() {
            assert_eq!((evidence.logs.len(), last.text.as_str()), (200, "ready"));
            return;
        }
        assert!(attempt < 5, "the log was gone every time");
    }
}

#[tokio::test]
async fn a_running_container_is_measured() {
    let Some(lab) = Lab::open("stats").await else { return };
    let id = lab.run("a", &["-m", "64m"], &["sleep"]).await;
    let runtime: Runtime = lab.runtime();
    let stats = runtime.measure(&id).await.unwrap().stats();
    assert!(stats.cpu_seconds.is_some() && stats.memory_bytes.is_some_and(|bytes| bytes > 0));
    assert_eq!(stats.memory_limit_bytes, Some(64 << 20));
    lab.docker(&["stop", id.as_str()]).await;
    assert_eq!(runtime.measure(&id).await, None);
}
