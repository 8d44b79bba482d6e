//! Asks an engine, or the proxy before it, each question for itself that watching needs: for whoever wants to know what is
//! missing rather than to watch. Nothing here changes anything.

use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::{StreamExt as _, stream};
use serde::Deserialize;
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use super::DockerOptions;
use super::connect::{self, Endpoint};
use super::engine::{ApiError, Engine};

/// A container that no engine has: a refusal of the question differs from the answer that it is not there.
const NOBODY: &str = "zv-asks-for-nobody";
/// Inspections at the same moment.
const LANES: usize = 8;

/// Where the engine is.
#[derive(Debug, Clone)]
pub struct Located {
    /// As a person writes it.
    pub address: String,
    pub origin: Origin,
    endpoint: Endpoint,
}

/// Who said where the engine is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The options name it.
    Named,
    /// A context of the docker command.
    Context(String),
    /// Nobody: it is where engines are.
    System,
}

/// Why a question was not answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// This user may not use the socket.
    Denied,
    /// There is no such socket.
    Absent,
    /// Nobody listens there.
    Closed,
    /// Nothing came within this time.
    Silent(Duration),
    /// It answered with this status.
    Refused {
        status: u16,
        message: String,
    },
    /// It is no engine, or none that can be understood.
    Garbled(String),
    /// Its API and ours have no version in common.
    Unsuitable(String),
    Other(String),
}

impl Trouble {
    /// Says whether a right is missing: a proxy or a plugin says no.
    pub fn is_refusal(&self) -> bool {
        matches!(self, Trouble::Refused { status: 401 | 403 | 404 | 405, .. })
    }
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Trouble::Denied => f.write_str("permission denied"),
            Trouble::Absent => f.write_str("there is no such socket"),
            Trouble::Closed => f.write_str("nobody listens there"),
            Trouble::Silent(limit) => write!(f, "no answer within {limit:.0?}"),
            Trouble::Refused { status, message } => write!(f, "refused with {status} ({message})"),
            Trouble::Garbled(why) => write!(f, "what answers is no engine: {why}"),
            Trouble::Unsuitable(why) | Trouble::Other(why) => f.write_str(why),
        }
    }
}

/// A question that watching, or acting, asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    Ping,
    List,
    Inspect,
    Events,
    Logs,
    Stats,
    Info,
    /// An order; it goes to a container that does not exist.
    Act,
}

impl Route {
    /// All of them, the most important first.
    pub const ALL: [Self; 8] =
        [Self::List, Self::Inspect, Self::Events, Self::Logs, Self::Stats, Self::Info, Self::Ping, Self::Act];

    /// Returns it as the rules of a proxy have it.
    pub fn request(self) -> &'static str {
        match self {
            Self::Ping => "GET /_ping",
            Self::List => "GET /containers/json",
            Self::Inspect => "GET /containers/{id}/json",
            Self::Events => "GET /events",
            Self::Logs => "GET /containers/{id}/logs",
            Self::Stats => "GET /containers/{id}/stats",
            Self::Info => "GET /info",
            Self::Act => "POST /containers/{id}/start",
        }
    }
}

/// An engine that answers, and the version agreed with it.
#[derive(Debug)]
pub struct Answering {
    /// `26.1.5`.
    pub version: String,
    /// The API version that both speak.
    pub agreed: String,
    /// The newest and the oldest API version of the engine.
    pub offered: (Option<String>, Option<String>),
    engine: Engine,
}

/// What the engine says of itself and its host. Absent is what it does not say.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Info {
    pub operating_system: Option<String>,
    pub cgroup_driver: Option<String>,
    pub cgroup_version: Option<String>,
    /// Memory can be limited, which needs it to be counted.
    pub memory_limit: Option<bool>,
    pub swap_limit: Option<bool>,
    /// The engine's clock.
    pub system_time: Option<DateTime<Utc>>,
}

/// A container, with its first process where it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    pub id: String,
    pub name: String,
    pub pid: Option<u32>,
}

/// An entry of the list.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Listed {
    pub id: String,
    /// `running`, `exited` and the like.
    #[serde(default)]
    pub state: String,
}

/// Finds out where the engine is; the text says why that cannot be told.
pub fn locate(options: &DockerOptions) -> Result<Located, String> {
    let find = || {
        let endpoint = connect::resolve(options)?;
        let is_named = options.host.as_deref().is_some_and(|host| !host.is_empty());
        let context = if is_named { None } else { connect::context_of(options)? };
        let origin = match context {
            _ if is_named => Origin::Named,
            Some(name) => Origin::Context(name),
            None => Origin::System,
        };
        Ok(Located { address: address(&endpoint), origin, endpoint })
    };
    find().map_err(|error: connect::ConnectError| error.to_string())
}

fn address(endpoint: &Endpoint) -> String {
    match endpoint {
        Endpoint::Unix(path) => format!("unix://{}", path.display()),
        Endpoint::Tcp(authority) => format!("tcp://{authority}"),
        Endpoint::Tls { authority, .. } => format!("tcp://{authority} with TLS"),
    }
}

impl Located {
    /// Returns the socket, where it is one.
    pub fn socket(&self) -> Option<&Path> {
        match &self.endpoint {
            Endpoint::Unix(path) => Some(path),
            Endpoint::Tcp(_) | Endpoint::Tls { .. } => None,
        }
    }

    /// Connects and agrees on a version.
    pub async fn agree(&self, within: Duration) -> Result<Answering, Trouble> {
        let agreeing = async {
            knock(&self.endpoint).await.map_err(|error| of_dialling(&error))?;
            let engine = Engine::connect(&self.endpoint).await?;
            let offered = engine.get::<Offered>("/version", within).await?;
            Ok(Answering {
                version: engine.version.clone(),
                agreed: engine.api_version.clone(),
                offered: (offered.api_version, offered.min_api_version),
                engine,
            })
        };
        bounded(within, agreeing).await
    }
}

#[derive(Deserialize)]
struct Offered {
    #[serde(rename = "ApiVersion")]
    api_version: Option<String>,
    #[serde(rename = "MinAPIVersion")]
    min_api_version: Option<String>,
}

/// Only dials: the transport's own errors no longer say what the kernel said.
async fn knock(endpoint: &Endpoint) -> io::Result<()> {
    match endpoint {
        Endpoint::Unix(path) => UnixStream::connect(path).await.map(drop),
        Endpoint::Tcp(authority) | Endpoint::Tls { authority, .. } => {
            TcpStream::connect(authority).await.map(drop)
        }
    }
}

fn of_dialling(error: &io::Error) -> Trouble {
    match error.kind() {
        io::ErrorKind::PermissionDenied => Trouble::Denied,
        io::ErrorKind::NotFound => Trouble::Absent,
        io::ErrorKind::ConnectionRefused => Trouble::Closed,
        _ => Trouble::Other(error.to_string()),
    }
}

impl From<ApiError> for Trouble {
    fn from(error: ApiError) -> Self {
        match error {
            ApiError::Status { status, message } => Trouble::Refused { status, message },
            ApiError::TimedOut(limit) => Trouble::Silent(limit),
            ApiError::Garbled(why) => Trouble::Garbled(why),
            ApiError::Unsuitable(why) => Trouble::Unsuitable(why),
            ApiError::Unreachable(why) => Trouble::Other(why),
        }
    }
}

async fn bounded<T>(
    within: Duration,
    asking: impl Future<Output = Result<T, Trouble>>,
) -> Result<T, Trouble> {
    timeout(within, asking).await.unwrap_or(Err(Trouble::Silent(within)))
}

impl Answering {
    /// Lists all containers, stopped ones too.
    pub async fn list(&self, within: Duration) -> Result<Vec<Listed>, Trouble> {
        bounded(within, async { Ok(self.engine.get("/containers/json?all=true", within).await?) }).await
    }

    /// Asks what the engine knows of itself.
    pub async fn info(&self, within: Duration) -> Result<Info, Trouble> {
        bounded(within, async { Ok(self.engine.get("/info", within).await?) }).await
    }

    /// Inspects these containers, several at once; those that cannot be inspected are left out.
    pub async fn inspect(&self, ids: &[String], within: Duration) -> Vec<Container> {
        let asking = ids.iter().map(|id| async move {
            let inspected: Inspected =
                self.engine.get(&format!("/containers/{id}/json"), within).await.ok()?;
            let name = inspected.name.trim_start_matches('/').to_owned();
            let pid = u32::try_from(inspected.state.pid).ok().filter(|pid| *pid > 0);
            Some(Container { id: id.clone(), name, pid })
        });
        let found = stream::iter(asking).buffer_unordered(LANES).filter_map(std::future::ready).collect();
        timeout(within, found).await.unwrap_or_default()
    }

    /// Asks one question, of the container `subject` where it is about one.
    pub async fn ask(&self, route: Route, subject: Option<&str>, within: Duration) -> Result<(), Trouble> {
        let container = |rest: &str| format!("/containers/{}/{rest}", subject.unwrap_or(NOBODY));
        let asking = async {
            let engine = &self.engine;
            let asked = match route {
                Route::Ping => engine.ping().await,
                Route::List => engine.get_text("/containers/json?limit=1", within).await.map(drop),
                Route::Info => engine.get_text("/info", within).await.map(drop),
                Route::Inspect => engine.get_text(&container("json"), within).await.map(drop),
                Route::Stats => {
                    engine.get_text(&container("stats?stream=false&one-shot=true"), within).await.map(drop)
                }
                // Of a stream, the head is the answer.
                Route::Logs => {
                    engine.open(&container("logs?stdout=1&stderr=1&tail=1"), within).await.map(drop)
                }
                Route::Events => {
                    let now = crate::clock::now().timestamp();
                    engine.open(&format!("/events?since={now}&until={now}"), within).await.map(drop)
                }
                Route::Act => {
                    let path = format!("/containers/{NOBODY}/start");
                    engine.post::<serde_json::Value>(&path, &serde_json::json!({}), within).await.map(drop)
                }
            };
            answered(asked)
        };
        bounded(within, asking).await
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Inspected {
    #[serde(default)]
    name: String,
    #[serde(default)]
    state: InspectedState,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct InspectedState {
    pid: i64,
}

/// An engine that looks for a container has let the question through.
fn answered(asked: Result<(), ApiError>) -> Result<(), Trouble> {
    match asked {
        Err(ApiError::Status { status: 404, message })
            if message.to_ascii_lowercase().contains("no such container")
                || message.contains("no container with name") =>
        {
            Ok(())
        }
        other => Ok(other?),
    }
}

/// Returns the socket that the system's engine has where nobody says otherwise.
pub fn system_socket() -> PathBuf {
    connect::SYSTEM_SOCKET.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_that_is_looked_for_is_an_answer_and_a_proxys_404_is_none() {
        let status = |status, message: &str| Err(ApiError::Status { status, message: message.to_owned() });
        assert_eq!(answered(status(404, "No such container: zv-asks-for-nobody")), Ok(()));
        assert_eq!(answered(Ok(())), Ok(()));
        assert!(answered(status(404, "<h1>Not Found</h1>")).unwrap_err().is_refusal());
        assert!(answered(status(403, "Forbidden")).unwrap_err().is_refusal());
        assert!(!answered(status(500, "oh no")).unwrap_err().is_refusal());
    }

    #[test]
    fn who_named_the_engine_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let meta = folder.path().join("contexts/meta/aa");
        std::fs::create_dir_all(&meta).unwrap();
        std::fs::write(
            meta.join("meta.json"),
            r#"{"Name":"far","Endpoints":{"docker":{"Host":"tcp://far:99"}}}"#,
        )
        .unwrap();
        let base = DockerOptions { config_dir: Some(folder.path().into()), ..DockerOptions::default() };
        let system = locate(&base).unwrap();
        assert_eq!((system.origin, system.address.as_str()), (Origin::System, "unix:///var/run/docker.sock"));
        let named = DockerOptions { host: Some("unix:///x.sock".into()), ..base.clone() };
        assert_eq!(locate(&named).unwrap().origin, Origin::Named);
        assert_eq!(locate(&named).unwrap().socket(), Some(Path::new("/x.sock")));
        std::fs::write(folder.path().join("config.json"), r#"{"currentContext":"far"}"#).unwrap();
        let context = locate(&base).unwrap();
        assert_eq!(
            (context.origin, context.address.as_str()),
            (Origin::Context("far".into()), "tcp://far:99")
        );
        let wrong = DockerOptions { context: Some("nowhere".into()), ..base };
        assert!(locate(&wrong).unwrap_err().contains("docker context ls"));
    }
}
