//! Errors as a client sees them: `{"error": "…", "request_id": "…"}`. What happened inside goes to the log alone.

use std::borrow::Cow;
use std::sync::Arc;

use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Why a request failed: a status and a text for the client, and for the log its cause. Any other error turns into
/// [`Error::internal`] through `?`.
#[derive(Debug, Clone)]
pub struct Error {
    pub(crate) status: StatusCode,
    pub(crate) message: Cow<'static, str>,
    pub(crate) cause: Option<Arc<str>>,
}

impl Error {
    /// Returns an error whose `message` the client may read.
    pub fn new(status: StatusCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self { status, message: message.into(), cause: None }
    }

    /// Returns a 500 that tells the client nothing and the log everything.
    pub fn internal(cause: impl Into<Arc<str>>) -> Self {
        let message = Cow::Borrowed("internal server error");
        Self { status: StatusCode::INTERNAL_SERVER_ERROR, message, cause: Some(cause.into()) }
    }

    /// Returns the error with a cause that only the log sees.
    #[must_use]
    pub fn because(mut self, cause: impl Into<Arc<str>>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    /// Returns what a bare `status` says.
    pub(crate) fn of_status(status: StatusCode) -> Self {
        let reason = status.canonical_reason().unwrap_or("request failed");
        Self::new(status, reason.to_ascii_lowercase())
    }
}

impl<E: std::error::Error> From<E> for Error {
    fn from(error: E) -> Self {
        let mut text = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            text.push_str(": ");
            text.push_str(&cause.to_string());
            source = cause.source();
        }
        Self::internal(text)
    }
}

impl IntoResponse for Error {
    /// The body is written by [`crate::exchange`], which knows the request's id.
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// A JSON body, in and out, whose rejections have the shape of every other error.
#[derive(Debug, Clone, Copy, Default)]
pub struct Json<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Error;

    async fn from_request(request: Request, state: &S) -> Result<Self, Error> {
        match axum::Json::<T>::from_request(request, state).await {
            Ok(axum::Json(value)) => Ok(Self(value)),
            Err(rejection) => Err(Error::new(rejection.status(), rejection.body_text())),
        }
    }
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        let mut response = match serde_json::to_vec(&self.0) {
            Ok(body) => body.into_response(),
            Err(error) => return Error::from(error).into_response(),
        };
        response.headers_mut().insert(
            axum::http::header::CONTENT_TYPE,
            axum::http::HeaderValue::from_static("application/json"),
        );
        response
    }
}
