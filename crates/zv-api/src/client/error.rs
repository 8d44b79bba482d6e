//! Why a call failed, for the person who must act. No text holds a token.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::endpoint::EndpointError;

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    #[error("cannot connect to {endpoint}: {}", advice(source))]
    Connect { endpoint: Arc<str>, source: io::Error },
    #[error("no connection to {endpoint} within {limit:?}; is the host up, and its firewall open?")]
    ConnectTimeout { endpoint: Arc<str>, limit: Duration },
    #[error(
        "cannot speak TLS with {endpoint}: {source}; is its certificate from an authority that is trusted here?"
    )]
    Tls { endpoint: Arc<str>, source: io::Error },
    #[error("the certificates in `{file}` cannot be used: {reason}")]
    Authority { file: PathBuf, reason: String },
    #[error("the token cannot be sent: it holds characters that no header may hold")]
    UnsendableToken,
    #[error("{endpoint} gave no answer within {limit:?}")]
    Timeout { endpoint: Arc<str>, limit: Duration },
    #[error("the connection to {endpoint} broke: {reason}")]
    Lost { endpoint: Arc<str>, reason: String },
    /// The token is missing or wrong.
    #[error("{endpoint} {}: {problem}", if *offered { "does not know this token" } else { "wants a token" })]
    Unauthorized { endpoint: Arc<str>, offered: bool, problem: String },
    /// Any other answer that is not 2xx.
    #[error("{problem}")]
    Refused { status: u16, problem: String },
    #[error("{endpoint} sent more than {limit} bytes at once")]
    TooLarge { endpoint: Arc<str>, limit: usize },
    #[error("{endpoint} sent something else than {what}; is it a zv agent of this version?")]
    Malformed { endpoint: Arc<str>, what: &'static str, source: serde_json::Error },
    #[error("the request cannot be written as JSON")]
    Unwritable { source: serde_json::Error },
}

impl ClientError {
    /// Says whether the same call may succeed later without anybody changing anything here.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Connect { .. } | Self::ConnectTimeout { .. } | Self::Timeout { .. } | Self::Lost { .. } => {
                true
            }
            Self::Refused { status, .. } => matches!(status, 408 | 429 | 500..),
            Self::Endpoint(_)
            | Self::Tls { .. }
            | Self::Authority { .. }
            | Self::UnsendableToken
            | Self::Unauthorized { .. }
            | Self::TooLarge { .. }
            | Self::Malformed { .. }
            | Self::Unwritable { .. } => false,
        }
    }

    /// Says whether no agent was there to answer.
    pub fn is_absence(&self) -> bool {
        matches!(self, Self::Connect { source, .. }
            if matches!(source.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound))
    }

    /// Returns the status of an answer that was not 2xx.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Unauthorized { .. } => Some(401),
            Self::Refused { status, .. } => Some(*status),
            _ => None,
        }
    }
}

fn advice(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => {
            "connection refused; is the agent running? start it with \"zv agent\"".to_owned()
        }
        io::ErrorKind::NotFound => {
            "there is no such socket; is the agent running? start it with \"zv agent\"".to_owned()
        }
        io::ErrorKind::PermissionDenied => {
            "permission denied; be root or a member of the group that the socket belongs to".to_owned()
        }
        _ => error.to_string(),
    }
}
