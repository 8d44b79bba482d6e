//! `GET /probe?target=&module=&debug=`: one probe, now, by blackbox_exporter's contract; and what the scheduled ones found.

use std::fmt::Write;
use std::time::Duration;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use zv_api::{BASE, Probe};
use zv_wire::{Exposition, Format, LabelText};

use super::params::Params;
use super::problem::problem;
use super::{Face, Source};
use crate::metrics::probes::{Row, results};
use crate::probes::{Asked, Found, Refused, phases};
use crate::stacks::Refusal;

/// How long the scraper waits for the answer, in seconds.
const SCRAPE_TIMEOUT: &str = "x-prometheus-scrape-timeout-seconds";
/// The part of that which the way back may take.
const WAY_BACK: Duration = Duration::from_millis(500);
/// There is always some time left to ask.
const LEAST: Duration = Duration::from_millis(100);
/// Nobody waits longer.
const LONGEST: Duration = Duration::from_secs(120);
/// The bytes of an answer, about.
const EXPECTED: usize = 4096;

/// Lists the probes.
pub(super) async fn list<S: Source>(
    State(face): State<Face<S>>,
    uri: Uri,
) -> Result<Json<zv_api::Probes>, Refusal> {
    Params::read(&uri, &[])?;
    Ok(Json(face.source.probes().list()))
}

/// Returns one probe with all that is kept of it.
pub(super) async fn one<S: Source>(
    State(face): State<Face<S>>,
    path: Result<Path<String>, PathRejection>,
    uri: Uri,
) -> Result<Json<Probe>, Refusal> {
    Params::read(&uri, &[])?;
    let found = path.ok().and_then(|Path(id)| face.source.probes().one(&id));
    let none = || Refusal::NotFound(format!("There is no such probe; {BASE}/probes lists them."));
    found.map(Json).ok_or_else(none)
}

/// Probes once.
pub(super) async fn probe<S: Source>(
    State(face): State<Face<S>>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Response> {
    let bad = |reason: String| problem(StatusCode::BAD_REQUEST, reason);
    let refused = IntoResponse::into_response;
    let params = Params::read(&uri, &["target", "module", "debug"]).map_err(refused)?;
    let module = params.one("module").map_err(refused)?.unwrap_or("http_2xx");
    let is_debug = params.flag("debug").map_err(refused)?;
    let target = params.one("target").map_err(refused)?.filter(|target| !target.is_empty());
    let target = target.ok_or_else(|| bad("name a target, as in /probe?target=http://localhost/".into()))?;
    let patience = patience(&headers).map_err(bad)?;
    match face.source.probes().once(Asked { module, target, patience }).await {
        Ok(found) => Ok(told(found, is_debug)),
        Err(refused @ Refused::Misunderstood(_)) => Err(bad(refused.to_string())),
        Err(refused @ Refused::TooMany) => Err(problem(StatusCode::SERVICE_UNAVAILABLE, refused.to_string())),
    }
}

/// Returns how long the scraper lets a probe take.
fn patience(headers: &HeaderMap) -> Result<Option<Duration>, String> {
    let Some(value) = headers.get(SCRAPE_TIMEOUT) else { return Ok(None) };
    let seconds = value.to_str().ok().and_then(|text| text.parse::<f64>().ok());
    let time = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let time = time.ok_or_else(|| format!("`{SCRAPE_TIMEOUT}` is no number of seconds"))?;
    Ok(Some(time.min(LONGEST).saturating_sub(WAY_BACK).max(LEAST)))
}

fn told(found: Found, is_debug: bool) -> Response {
    let Found { target, report } = found;
    let log = if is_debug { log(&target, &report) } else { String::new() };
    let mut out = Exposition::new(Format::Text, EXPECTED);
    let row = Row { labels: LabelText::default(), kind: target.check.kind(), report };
    results(&mut out, std::slice::from_ref(&row));
    let metrics = out.finish();
    if is_debug {
        let text = format!("{log}\nMetrics that would have been returned:\n{metrics}");
        return ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response();
    }
    ([(header::CONTENT_TYPE, Format::Text.content_type())], metrics).into_response()
}

/// Returns what a person wants to know of a probe.
fn log(target: &zv_probe::Target, report: &zv_probe::Report) -> String {
    let mut log = format!("{}: {}\n", target.name, report.verdict);
    // Writing to a string cannot fail.
    if !report.reason.is_empty() {
        let _ = writeln!(log, "reason: {}", report.reason);
    }
    if let Some(peer) = report.peer {
        let _ = writeln!(log, "peer: {peer}");
    }
    for (phase, time) in phases(&report.phases) {
        if let Some(time) = time {
            let _ = writeln!(log, "{phase}: {time:?}");
        }
    }
    let _ = writeln!(log, "in all: {:?}, of {:?} at most", report.duration, target.timeout);
    if let Some(output) = &report.output {
        let _ = writeln!(log, "answered:\n{output}");
    }
    log
}
