//! The accounts service of the reference stack.
//!
//! - `GET /v1/service`: which replica answered; what whoever balances over replicas wants to see.
//! - `POST /v1/echo`: the JSON body, back.

use std::ffi::OsString;
use std::process::ExitCode;

use axum::Router;
use axum::routing::{get, post};
use serde::Serialize;
use zv_kit::{Context, Environment, Json, Readiness, Service, Settings};

/// What the service is called, in logs and metrics too.
pub const NAME: &str = "main-server";

/// Carries out a command line without the program's name: serves until SIGTERM, or checks a replica. Call it once per
/// process, inside a runtime with time and IO: it takes over the process's signals, panics and standard output.
pub async fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let service = Service::new(NAME, env!("CARGO_PKG_VERSION"));
    zv_kit::command::run(service, arguments, &Environment::of_process(), serve).await
}

async fn serve(service: Service, environment: &Environment) -> ExitCode {
    match Settings::from_environment(environment) {
        Ok(settings) => service.run(router(), Readiness::new(), settings).await,
        Err(mistakes) => service.refuse(&mistakes).await,
    }
}

fn router() -> Router {
    Router::new().route("/v1/service", get(who)).route("/v1/echo", post(echo))
}

#[derive(Serialize)]
struct Who {
    service: &'static str,
    version: &'static str,
    replica: String,
    started_at: String,
    request_id: String,
}

async fn who(context: Context) -> Json<Who> {
    let identity = &context.identity;
    Json(Who {
        service: identity.service,
        version: identity.version,
        replica: identity.replica.clone(),
        started_at: identity.started_at.clone(),
        request_id: context.request_id.to_string(),
    })
}

async fn echo(Json(body): Json<serde_json::Value>) -> Json<serde_json::Value> {
    Json(body)
}
