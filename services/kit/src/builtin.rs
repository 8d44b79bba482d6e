//! The routes every service has.
//!
//! - `GET /health`: alive, also while it drains; asks nobody else.
//! - `GET /ready`: 200 if requests are wanted, else 503 and the reasons.
//! - `GET /metrics`: Prometheus' text format.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Serialize;
use tokio::time::Instant;

use crate::context::Identity;
use crate::error::{Error, Json};
use crate::metrics::{Metrics, TEXT};
use crate::readiness::Readiness;

/// What the routes need.
#[derive(Debug, Clone)]
pub(crate) struct Facts {
    pub(crate) identity: Arc<Identity>,
    pub(crate) readiness: Readiness,
    pub(crate) metrics: Metrics,
    pub(crate) since: Instant,
}

/// Returns the routes.
pub(crate) fn routes(facts: Facts) -> Router {
    Router::new()
        .route("/health", get(health))
        .route("/ready", get(ready))
        .route("/metrics", get(metrics))
        .with_state(facts)
}

#[derive(Serialize)]
struct Health {
    status: &'static str,
    service: &'static str,
    version: &'static str,
    replica: String,
    uptime_seconds: u64,
}

async fn health(State(facts): State<Facts>) -> Json<Health> {
    let identity = &facts.identity;
    Json(Health {
        status: "ok",
        service: identity.service,
        version: identity.version,
        replica: identity.replica.clone(),
        uptime_seconds: facts.since.elapsed().as_secs(),
    })
}

#[derive(Serialize)]
struct Ready {
    status: &'static str,
    reasons: Vec<String>,
}

async fn ready(State(facts): State<Facts>) -> Response {
    let report = facts.readiness.report().await;
    let code = if report.reasons.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (code, Json(Ready { status: report.status, reasons: report.reasons })).into_response()
}

async fn metrics(State(facts): State<Facts>) -> Result<Response, Error> {
    let mut response = facts.metrics.text()?.into_response();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(TEXT));
    Ok(response)
}
