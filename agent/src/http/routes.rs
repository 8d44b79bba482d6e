//! What is served.
//!
//! ```text
//! GET  /                            a page for a person
//! GET  /-/healthy                   the process answers; no token anywhere
//! GET  /-/ready                     503 until the runtime's state is known; no token anywhere
//! POST /-/reload                    reads the configuration again; 400 with all its mistakes
//! GET  /metrics                     everything measured, for Prometheus; `collect[]` picks parts
//! GET  /probe?target=&module=       one probe, now, as blackbox_exporter does it
//! GET  /api/zv/v1/stack             all that is known now
//! GET  /api/zv/v1/events            the same, then changes, as server-sent events; `stats` adds measurements
//! GET  /api/zv/v1/host              what is known of the host
//! GET  /api/zv/v1/happenings        the last things that happened
//! GET  /api/zv/v1/logs              log lines as server-sent events
//! GET  /api/zv/v1/deaths            what died, newest first
//! GET  /api/zv/v1/deaths/{id}       one death record
//! GET  /api/zv/v1/probes            the scheduled probes and their last results
//! GET  /api/zv/v1/probes/{id}       one of them with all that is kept
//! POST /api/zv/v1/actions           start, stop, restart, scale
//! ```

use std::time::Duration;

use axum::extract::rejection::PathRejection;
use axum::extract::{Extension, MatchedPath, Path, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::middleware::{Next, from_fn_with_state, map_response};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tokio::time::timeout;
use zv_api::{
    ActionReport, ActionRequest, BASE, Death, Deaths, Happenings, HostReport, LogQuery, Snapshot, StatsPace,
};

use super::auth::{Caller, guard};
use super::metrics;
use super::page;
use super::params::{LAST_EVENT_ID, Params};
use super::probe;
use super::problem::problem;
use super::sse;
use super::{Face, Source};
use crate::metrics::own::Own;
use crate::stacks::Refusal;

/// The longest body of a request.
const BODY_LIMIT: usize = 1024 * 1024;
/// For how long a body may take to arrive.
const BODY_TIME: Duration = Duration::from_secs(10);
/// How many deaths or happenings one answer holds, and the most it may be asked for.
const LIST: usize = 100;
const LIST_LIMIT: usize = 1000;
/// The happenings on the status page.
const PAGE_HAPPENINGS: usize = 15;

/// Returns the routes over `face`.
pub fn router<S: Source>(face: Face<S>) -> Router {
    let api = |path: &str| format!("{BASE}{path}");
    let guarded = Router::new()
        .route("/", get(status_page::<S>))
        .route("/-/reload", post(reload::<S>))
        .route("/metrics", get(metrics::serve::<S>))
        .route(&api("/stack"), get(stack::<S>))
        .route(&api("/events"), get(events::<S>))
        .route(&api("/host"), get(host::<S>))
        .route(&api("/happenings"), get(happenings::<S>))
        .route(&api("/logs"), get(logs::<S>))
        .route(&api("/deaths"), get(deaths::<S>))
        .route(&api("/deaths/{id}"), get(death::<S>))
        .route(&api("/actions"), post(act::<S>))
        .route(&api("/probes"), get(probe::list::<S>))
        .route(&api("/probes/{id}"), get(probe::one::<S>))
        .route("/probe", get(probe::probe::<S>))
        .fallback(unknown)
        .method_not_allowed_fallback(wrong_method)
        .layer(from_fn_with_state(face.rights.clone(), guard));
    Router::new()
        .route("/-/healthy", get(healthy))
        .route("/-/ready", get(ready::<S>))
        .method_not_allowed_fallback(wrong_method)
        .merge(guarded)
        .layer(from_fn_with_state(face.metrics.own().clone(), counted))
        .layer(map_response(hardened))
        .with_state(face)
}

async fn status_page<S: Source>(State(face): State<Face<S>>) -> Response {
    let html = page::render(&face.source.snapshot(), &face.source.happenings(PAGE_HAPPENINGS));
    let policy = HeaderValue::from_static(page::POLICY);
    ([(header::CONTENT_SECURITY_POLICY, policy)], Html(html)).into_response()
}

async fn healthy() -> &'static str {
    "the agent is alive\n"
}

async fn ready<S: Source>(State(face): State<Face<S>>) -> Response {
    if face.readiness.is_set() {
        return "the agent is ready\n".into_response();
    }
    problem(
        StatusCode::SERVICE_UNAVAILABLE,
        "the agent has not heard from its runtime yet; ask again shortly",
    )
}

async fn reload<S: Source>(State(face): State<Face<S>>) -> Response {
    let Some(reload) = &face.reload else {
        return problem(StatusCode::CONFLICT, "there is no configuration to read again here");
    };
    match reload.run().await {
        Ok(done) => format!("{done}\n").into_response(),
        Err(mistakes) => problem(StatusCode::BAD_REQUEST, mistakes.join("\n")),
    }
}

async fn stack<S: Source>(State(face): State<Face<S>>, uri: Uri) -> Result<Json<Snapshot>, Refusal> {
    Params::read(&uri, &[])?;
    Ok(Json(face.source.snapshot()))
}

async fn events<S: Source>(
    State(face): State<Face<S>>,
    Extension(caller): Extension<Caller>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let params = Params::read(&uri, &["stats", LAST_EVENT_ID])?;
    let pace = match params.one("stats")? {
        None => None,
        Some("recorded") => Some(StatsPace::Recorded),
        Some("live") => Some(StatsPace::Live),
        Some(_) => return Err(Refusal::Bad("`stats` must be recorded or live".to_owned())),
    };
    let cursor = params.cursor(&headers)?;
    Ok(sse::events(face.source.events(cursor.as_deref(), pace), caller.draining))
}

async fn host<S: Source>(State(face): State<Face<S>>, uri: Uri) -> Result<Json<HostReport>, Refusal> {
    Params::read(&uri, &[])?;
    Ok(Json(face.source.host()))
}

async fn happenings<S: Source>(State(face): State<Face<S>>, uri: Uri) -> Result<Json<Happenings>, Refusal> {
    let limit = Params::read(&uri, &["limit"])?.limit("limit", LIST, LIST_LIMIT)?;
    Ok(Json(face.source.happenings(limit)))
}

async fn logs<S: Source>(
    State(face): State<Face<S>>,
    Extension(caller): Extension<Caller>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let known = ["stack", "service", "replica", "since", "tail", "follow", "grep", LAST_EVENT_ID];
    let params = Params::read(&uri, &known)?;
    let text = |name| params.one(name).map(|value| value.map(str::to_owned));
    let query = LogQuery {
        stack: text("stack")?,
        services: params.all("service").into_iter().map(str::to_owned).collect(),
        replica: text("replica")?,
        since: params.time("since")?,
        tail: params.count("tail")?,
        follow: params.flag("follow")?,
        grep: text("grep")?,
    };
    let follow = query.follow;
    let lines = face.source.logs(query, params.cursor(&headers)?.as_deref())?;
    Ok(sse::logs(lines, follow, caller.draining))
}

async fn deaths<S: Source>(State(face): State<Face<S>>, uri: Uri) -> Result<Json<Deaths>, Refusal> {
    let params = Params::read(&uri, &["stack", "service", "limit"])?;
    let limit = params.limit("limit", LIST, LIST_LIMIT)?;
    Ok(Json(face.source.deaths(params.one("stack")?, params.one("service")?, limit).await?))
}

async fn death<S: Source>(
    State(face): State<Face<S>>,
    path: Result<Path<String>, PathRejection>,
    uri: Uri,
) -> Result<Json<Death>, Refusal> {
    Params::read(&uri, &[])?;
    let id = path.ok().map(|Path(id)| id).filter(|id| is_death_id(id));
    let Some(id) = id else {
        return Err(Refusal::Bad(format!("this is no id of a death record; {BASE}/deaths lists them")));
    };
    Ok(Json(face.source.death(&id).await?))
}

/// An id names a file: it must not be able to name any other.
fn is_death_id(id: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    (1..=200).contains(&id.len()) && !id.starts_with('.') && id.bytes().all(plain)
}

async fn act<S: Source>(
    State(face): State<Face<S>>,
    uri: Uri,
    body: axum::body::Body,
) -> Result<Json<ActionReport>, Response> {
    Params::read(&uri, &[]).map_err(IntoResponse::into_response)?;
    let body = match timeout(BODY_TIME, Limited::new(body, BODY_LIMIT).collect()).await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            return Err(problem(StatusCode::PAYLOAD_TOO_LARGE, "a request may hold 1 MiB at most"));
        }
        Ok(Err(error)) => {
            return Err(problem(StatusCode::BAD_REQUEST, format!("the request broke off: {error}")));
        }
        Err(_) => return Err(problem(StatusCode::REQUEST_TIMEOUT, "send the whole request at once")),
    };
    let request: ActionRequest = serde_json::from_slice(&body)
        .map_err(|error| problem(StatusCode::BAD_REQUEST, format!("this is no action: {error}")))?;
    face.source.act(request).await.map(Json).map_err(IntoResponse::into_response)
}

async fn unknown(uri: Uri) -> Response {
    let known = "there are /, /metrics, /-/healthy, /-/ready, /-/reload, /probe and, under ";
    let routes = "stack, events, host, happenings, logs, deaths, deaths/{id}, probes, probes/{id} and actions, as in /api/zv/v1/stack";
    let path = uri.path().chars().take(100).collect::<String>();
    problem(StatusCode::NOT_FOUND, format!("nothing is at {path}; {known}{BASE}, {routes}"))
}

async fn wrong_method() -> Response {
    let reason = "this path takes another method: POST for actions and /-/reload, GET for everything else";
    problem(StatusCode::METHOD_NOT_ALLOWED, reason)
}

/// Counts what was answered, by the route and not by what somebody typed.
async fn counted(State(own): State<Own>, request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().cloned();
    let response = next.run(request).await;
    own.request(route.as_ref().map_or("none", MatchedPath::as_str), response.status().as_u16());
    response
}

/// Whatever is answered is neither kept, nor guessed at, nor framed by another page.
async fn hardened(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}
