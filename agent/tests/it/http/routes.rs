//! Every route, asked by the real client.

use std::time::Duration;

use zv_agent::http::{Reload, Rights, SharedRights, in_process, router};
use zv_api::client::{Client, ClientError, Connector, Endpoint};
use zv_api::{Action, ActionRequest};

use super::fake::{Fake, at};
use super::harness::{PATIENCE, Setup, raw, request, status, within};

fn action(service: &str) -> ActionRequest {
    ActionRequest {
        action: Action::Scale { replicas: 3 },
        stack: None,
        service: service.to_owned(),
        replica: None,
        grace_seconds: None,
    }
}

#[tokio::test]
async fn what_is_known_is_told() {
    let served = Setup::plain().serve();
    let client = served.client();
    served.source.happened("started", "shop-api-1 started", at(1));
    assert_eq!(client.snapshot().await.unwrap().stacks[0].services[0].name, "api");
    assert_eq!(client.happenings(7).await.unwrap().happenings[0].text, "shop-api-1 started");
    assert_eq!(client.deaths(Some("a b"), Some("ü&c"), 5).await.unwrap().deaths[0].id, "d-1");
    assert_eq!(client.deaths(None, None, 5).await.unwrap().deaths.len(), 1);
    assert_eq!(client.death("d-1").await.unwrap().summary.exit.code, Some(137));
    let asked = served.source.asked();
    assert_eq!(asked, ["7 happenings", r#"5 deaths of Some("a b") Some("ü&c")"#, "5 deaths of None None"]);
}

#[tokio::test]
async fn a_refusal_keeps_its_status_and_its_sentence() {
    let served = Setup::plain().serve();
    let client = served.client();
    for (error, expected, sentence) in [
        (client.death("d-9").await.unwrap_err(), 404, "there is no death record `d-9`"),
        (client.death("d-2").await.unwrap_err(), 503, "the disk does not answer"),
        (
            client.act(&action("busy"), PATIENCE).await.unwrap_err(),
            409,
            "`busy` is being changed by somebody else",
        ),
        (client.happenings(5000).await.unwrap_err(), 400, "`limit` must be a number from 1 to 1000"),
    ] {
        assert_eq!((error.status(), error.to_string().as_str()), (Some(expected), sentence));
    }
}

#[tokio::test]
async fn the_id_of_a_death_names_no_other_file() {
    let served = Setup::plain().serve();
    for id in ["../token", "..", ".hidden", "a/b", "a\0b", "", "ä", &"x".repeat(201)] {
        let error = served.client().death(id).await.unwrap_err();
        assert!(matches!(error.status(), Some(400 | 404)), "{id:?}: {error}");
    }
    for path in ["..%2f..%2ftoken", "%2e%2e", "%ff", "..%5ctoken"] {
        let answer =
            raw(served.tcp().await, &request("GET", &format!("/api/zv/v1/deaths/{path}"), "", "")).await;
        assert_eq!(status(&answer), 400, "{path}: {answer}");
        assert!(answer.contains("/api/zv/v1/deaths lists them"), "{answer}");
    }
}

#[tokio::test]
async fn actions_are_carried_out() {
    let served = Setup::plain().serve();
    let report = served.client().act(&action("api"), PATIENCE).await.unwrap();
    assert_eq!((report.service.as_str(), report.results[0].error.as_ref()), ("api", None));
    assert_eq!(served.source.asked(), ["Scale { replicas: 3 } api"]);
}

#[tokio::test]
async fn a_client_waits_for_an_action_only_as_long_as_it_said() {
    let served = Setup::plain().serve();
    served.source.hold_actions();
    let error = served.client().act(&action("api"), Duration::from_millis(50)).await.unwrap_err();
    assert!(error.to_string().ends_with("gave no answer within 50ms"), "{error}");
}

#[tokio::test]
async fn what_is_no_action_is_refused_with_the_reason() {
    let served = Setup::plain().serve();
    let headers = "Authorization: Bearer a-token-of-the-tests\r\nContent-Type: application/json\r\n";
    for body in ["{", "{}", r#"{"action":{"name":"explode"},"service":"api"}"#, "[]"] {
        let answer = raw(served.tcp().await, &request("POST", "/api/zv/v1/actions", headers, body)).await;
        assert_eq!(status(&answer), 400, "{answer}");
        assert!(answer.contains("this is no action: "), "{answer}");
    }
}

#[tokio::test]
async fn health_and_readiness() {
    let served = Setup::plain().serve();
    let client = served.client();
    client.healthy().await.unwrap();
    let error = client.ready().await.unwrap_err();
    assert_eq!(error.status(), Some(503));
    assert!(error.is_passing());
    served.readiness.set();
    client.ready().await.unwrap();
}

#[tokio::test]
async fn a_reload_tells_what_it_did_or_every_mistake() {
    let done =
        Setup { reload: Some(Reload::new(async || Ok("2 things changed".to_owned()))), ..Setup::plain() };
    assert_eq!(done.serve().client().reload().await.unwrap(), "2 things changed");
    let mistakes = || vec!["line 1: no".to_owned(), "line 2: no".to_owned()];
    let failed =
        Setup { reload: Some(Reload::new(move || async move { Err(mistakes()) })), ..Setup::plain() };
    let error = failed.serve().client().reload().await.unwrap_err();
    assert_eq!((error.status(), error.to_string().as_str()), (Some(400), "line 1: no\nline 2: no"));
    let none = Setup::plain().serve().client().reload().await.unwrap_err();
    assert_eq!(none.status(), Some(409));
}

#[tokio::test]
async fn what_is_not_there_is_answered_with_what_is() {
    let served = Setup::plain().serve();
    let bearer = "Authorization: Bearer a-token-of-the-tests\r\n";
    for (method, path, expected, sentence) in [
        ("GET", "/api/zv/v2/stack", 404, "/api/zv/v1/stack"),
        ("GET", "/api/zv/v1", 404, "/api/zv/v1/stack"),
        ("POST", "/api/zv/v1/stack", 405, "GET for everything else"),
        ("GET", "/api/zv/v1/actions", 405, "POST for actions"),
        ("POST", "/-/healthy", 405, "POST for actions"),
        ("GET", "/api/zv/v1/stack?x=1", 400, "there is none at all"),
        ("GET", "/api/zv/v1/logs?sevrice=api", 400, "known are `stack`, `service`, `replica`"),
        ("GET", "/api/zv/v1/logs?service=nobody", 404, "there is no service `nobody`"),
    ] {
        let answer = raw(served.tcp().await, &request(method, path, bearer, "")).await;
        assert_eq!(status(&answer), expected, "{answer}");
        assert!(answer.contains(r#"{"error":""#) && answer.contains(sentence), "{answer}");
        let head = answer.to_lowercase();
        for header in
            ["content-type: application/json", "x-content-type-options: nosniff", "cache-control: no-store"]
        {
            assert!(head.contains(header), "{header}: {answer}");
        }
    }
}

#[tokio::test]
async fn the_agent_in_this_process_needs_neither_socket_nor_token() {
    let source = Fake::new();
    let face = zv_agent::http::Face {
        source: source.clone(),
        rights: SharedRights::new(Rights::in_process()),
        readiness: Default::default(),
        metrics: Default::default(),
        reload: None,
    };
    let (dialler, server) = in_process::pair();
    let connector = Connector::new({
        let dialler = dialler.clone();
        move || {
            let dialler = dialler.clone();
            async move { dialler.dial().await }
        }
    });
    let client = Client::new(Endpoint::Custom(connector), None).unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = server.serve(router(face), async { drop(stopped.await) }, PATIENCE);
    let asking = async {
        assert_eq!(client.snapshot().await.unwrap().host.name, "web-1");
        client.act(&action("api"), PATIENCE).await.unwrap();
        let (events, snapshot) = tokio::join!(client.events(None), client.snapshot());
        snapshot.unwrap();
        stop.send(()).unwrap();
        futures_util::StreamExt::collect::<Vec<_>>(events.unwrap()).await
    };
    let (drained, events) = within(Box::pin(async { tokio::join!(serving, asking) })).await;
    assert_eq!(drained, zv_agent::http::Drained::Cleanly);
    assert!(events.iter().all(Result::is_ok));
    let gone = client.snapshot().await.unwrap_err();
    assert!(matches!(gone, ClientError::Connect { .. }), "{gone}");
}
