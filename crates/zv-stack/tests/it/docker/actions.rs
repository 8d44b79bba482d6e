//! Start, stop and restart, and what is said when they are not possible.

use std::time::Duration;

use zv_stack::{ActionError, EventKind, ReplicaId, State};

use super::lab::Lab;
use super::view::View;

#[tokio::test]
async fn start_stop_and_restart() {
    let Some(lab) = Lab::open("actions").await else { return };
    let runtime = lab.runtime();
    let mut view = View::of(&runtime);
    let id = lab.run("a", &[], &["sleep"]).await;
    runtime.start(&id).await.expect("one that runs is left alone");
    runtime.stop(&id, None).await.unwrap();
    runtime.stop(&id, None).await.expect("one that is stopped is left alone");
    view.event(&id, EventKind::Stopped).await;
    let exit = view.details(&id, State::Exited).await.details.unwrap().exit.unwrap();
    assert_eq!(exit.code, Some(0), "it was asked, not killed");
    runtime.start(&id).await.unwrap();
    view.details(&id, State::Running).await;
    runtime.restart(&id, Some(Duration::from_secs(5))).await.unwrap();
    view.details(&id, State::Running).await;
}

#[tokio::test]
async fn the_stubborn_are_killed_after_their_grace() {
    let Some(lab) = Lab::open("stubborn").await else { return };
    let runtime = lab.runtime();
    let mut view = View::of(&runtime);
    let id = lab.run("a", &[], &["stubborn"]).await;
    runtime.stop(&id, Some(Duration::from_millis(300))).await.unwrap();
    let exit = view.details(&id, State::Exited).await.details.unwrap().exit.unwrap();
    assert_eq!(exit.code, Some(137));
}

#[tokio::test]
async fn what_is_gone_is_said_to_be() {
    let Some(lab) = Lab::open("gone").await else { return };
    let id = ReplicaId::new("f".repeat(64));
    for result in [
        lab.runtime().start(&id).await,
        lab.runtime().stop(&id, None).await,
        lab.runtime().restart(&id, None).await,
    ] {
        assert!(matches!(result, Err(ActionError::Gone(name)) if name == "ffffffffffff"));
    }
}

#[tokio::test]
async fn the_engines_own_words_reach_the_person() {
    let Some(lab) = Lab::open("refused").await else { return };
    let name = format!("{}-wrong", lab.project);
    let label = format!("com.docker.compose.project={}", lab.project);
    let create =
        ["create", "--name", &name, "--label", &label, "--entrypoint", "/nothing", super::lab::IMAGE];
    let id = ReplicaId::new(lab.docker(&create).await);
    let error = lab.runtime().start(&id).await.unwrap_err();
    assert!(matches!(&error, ActionError::Refused { reason, .. } if reason.contains("/nothing")), "{error}");
}
