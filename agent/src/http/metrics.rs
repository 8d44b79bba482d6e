//! `GET /metrics`: what was measured, as whoever scrapes would rather have it.
//!
//! `?collect[]=` picks parts, so that four scrape jobs give each part the job name that public rules and dashboards know:
//! `cadvisor`, `node`, `blackbox`, `zv`. Without it, all of them are served.

use axum::extract::State;
use axum::http::{HeaderMap, Uri, header};
use axum::response::{IntoResponse, Response};
use zv_wire::Format;

use super::params::Params;
use super::{Face, Source};
use crate::metrics::{Part, Parts};
use crate::stacks::Refusal;

/// The name by which exporters are told what to collect.
const COLLECT: &str = "collect[]";

/// Serves the route.
pub(super) async fn serve<S: Source>(
    State(face): State<Face<S>>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let parts = parts(&Params::read(&uri, &[COLLECT])?)?;
    // A header that comes in several lines means the same as one with commas.
    let accepted: Vec<&str> =
        headers.get_all(header::ACCEPT).iter().filter_map(|line| line.to_str().ok()).collect();
    let format = Format::negotiate(&accepted.join(","));
    let text = face.metrics.scrape(format, parts).await;
    let content = [(header::CONTENT_TYPE, format.content_type()), (header::VARY, "Accept")];
    Ok((content, text).into_response())
}

fn parts(params: &Params) -> Result<Parts, Refusal> {
    let mut parts = Parts::default();
    for name in params.all(COLLECT) {
        let Some(part) = Part::named(name) else {
            return Err(Refusal::Bad(format!("`{COLLECT}` must be one of {}", Part::names())));
        };
        parts.insert(part);
    }
    Ok(if parts.is_empty() { Parts::all() } else { parts })
}
