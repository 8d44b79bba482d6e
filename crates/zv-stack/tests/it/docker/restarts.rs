//! Engines that go away and come back while containers come and go.

use std::time::Instant;

use zv_stack::{Input, ReplicaId, State};

use super::engine::OwnEngine;
use super::lab::Lab;
use super::view::View;

#[tokio::test]
async fn after_restarts_nothing_is_lost_and_nothing_is_a_ghost() {
    let Some(mut engine) = OwnEngine::start(&[]).await else { return };
    let lab = Lab::at(&engine.host(), "restarts");
    lab.images().await;
    let mut view = View::of(&lab.runtime());
    let stays = lab.run("stays", &[], &["sleep"]).await;
    let dies = lab.run("dies", &[], &["sleep"]).await;
    let pid = view.details(&dies, State::Running).await.details.unwrap().pid.unwrap();
    for round in 0..3 {
        let goes = lab.run(&format!("goes{round}"), &[], &["sleep"]).await;
        view.details(&goes, State::Running).await;
        engine.stop().await;
        view.next("the loss of the engine", |input| matches!(input, Input::Down { .. })).await;
        if round == 1 {
            kill(pid);
            view.next(
                "the end of its process",
                |input| matches!(input, Input::ProcessEnded { id, .. } if *id == dies),
            )
            .await;
        }
        engine.resume().await;
        // Before the watcher is heard again: what happens now it can know from the list alone.
        lab.docker(&["rm", "-f", goes.as_str()]).await;
        let comes = lab.run(&format!("comes{round}"), &[], &["exit", "--code", "5"]).await;
        lab.docker(&["wait", comes.as_str()]).await;
        view.next("the engine's return", |input| matches!(input, Input::Up { .. })).await;
        view.details(&comes, State::Exited).await;
    }
    view.details(&stays, State::Running).await;
    view.details(&dies, State::Exited).await;
    let mut fresh = View::of(&lab.runtime());
    fresh.details(&stays, State::Running).await;
    let known = |view: &View| -> Vec<(ReplicaId, String, State)> {
        view.replicas.values().map(|seen| (seen.id.clone(), seen.name.clone(), seen.state)).collect()
    };
    let expected = known(&fresh);
    assert_eq!(expected.len(), 5);
    view.until("the same as a fresh list", |view| known(view) == expected).await;
    drop(lab);
    engine.stop().await;
}

#[tokio::test]
async fn a_death_is_known_while_the_engine_is_away() {
    let Some(mut engine) = OwnEngine::start(&[]).await else { return };
    let lab = Lab::at(&engine.host(), "away");
    lab.images().await;
    let mut view = View::of(&lab.runtime());
    let id = lab.run("a", &[], &["stubborn"]).await;
    let pid = view.details(&id, State::Running).await.details.unwrap().pid.unwrap();
    engine.stop().await;
    view.next("the loss of the engine", |input| matches!(input, Input::Down { .. })).await;
    let killed = Instant::now();
    kill(pid);
    let ended = view.next("the end", |input| matches!(input, Input::ProcessEnded { .. })).await;
    println!("a death while the engine was away was known after {:?}", killed.elapsed());
    assert!(matches!(ended, Input::ProcessEnded { id: told, pid: of } if told == id && of == pid));
    engine.resume().await;
    let exit = view.details(&id, State::Exited).await.details.unwrap().exit.unwrap();
    assert!(exit.code.is_some());
    drop(lab);
    engine.stop().await;
}

fn kill(pid: u32) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}
