//! The command line every service has: serve, or check the replica that runs beside it. An image made from scratch has
//! no other program that could do the latter.

use std::ffi::OsString;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use axum::body::Body;
use hyper::Uri;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::service::Service;
use crate::settings::{Environment, Mistakes, Settings};

/// How long a check may take; Compose files give the healthcheck a little more.
const CHECK_TIMEOUT: Duration = Duration::from_secs(3);

/// The exit code of a command line that is not understood.
const USAGE: u8 = 2;

#[derive(Debug, PartialEq, Eq)]
enum Command {
    Serve,
    Check { url: Option<String> },
    Help,
    Version,
}

/// Carries out the command line of `service`; `serve` is called where it asks for the service itself.
pub async fn run(
    service: Service,
    arguments: impl IntoIterator<Item = OsString>,
    environment: &Environment,
    serve: impl AsyncFnOnce(Service, &Environment) -> ExitCode,
) -> ExitCode {
    let (name, version) = (service.name(), service.version());
    match parse(arguments) {
        Ok(Command::Serve) => serve(service, environment).await,
        Ok(Command::Check { url }) => check(environment, url).await,
        Ok(Command::Help) => print(&help(name)),
        Ok(Command::Version) => print(&format!("{name} {version}\n")),
        Err(mistake) => complain(&format!("{name}: {mistake}; see `{name} --help`"), USAGE),
    }
}

fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Command, String> {
    let mut arguments = arguments.into_iter().map(|argument| argument.to_string_lossy().into_owned());
    let command = match arguments.next().as_deref() {
        None => Command::Serve,
        Some("--help" | "-h" | "help") => Command::Help,
        Some("--version" | "-V") => Command::Version,
        Some("check") => match arguments.next().as_deref() {
            None => Command::Check { url: None },
            Some("--url") => Command::Check { url: Some(arguments.next().ok_or("`--url` needs a URL")?) },
            Some("--help" | "-h") => Command::Help,
            Some(other) => return Err(format!("`check` does not know `{other}`")),
        },
        Some(other) => return Err(format!("`{other}` is no command")),
    };
    match arguments.next() {
        Some(other) if command != Command::Help => Err(format!("`{other}` is one argument too many")),
        _ => Ok(command),
    }
}

fn help(name: &str) -> String {
    format!(
        "Usage: {name}                      Serve until SIGTERM or SIGINT.
       {name} check [--url URL]    Ask /health; exit 0 if it answers 2xx, else 1.

Set through the environment:
  PORT=8080 BIND=127.0.0.1   Where to listen; or both at once: LISTEN=127.0.0.1:8080
  LOG_LEVEL=info             debug, info, warn, error
  DRAIN_GRACE=8s             For requests in flight after the signal to stop
  DRAIN_LEAD=0s              How much of it to go on accepting, while /ready refuses
  REQUEST_TIMEOUT=30s IDLE_TIMEOUT=30s WRITE_TIMEOUT=30s
  MAX_BODY=1MiB MAX_CONNECTIONS=1024
  ZV_REPLICA                 This replica's name; else HOSTNAME

Routes of every service: /health /ready /metrics
"
    )
}

/// Prints to standard output; a reader that has left is no failure.
fn print(text: &str) -> ExitCode {
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn complain(text: &str, code: u8) -> ExitCode {
    // The exit code tells where this cannot.
    let _unheard = writeln!(std::io::stderr(), "{text}");
    ExitCode::from(code)
}

async fn check(environment: &Environment, url: Option<String>) -> ExitCode {
    let url = match url.map_or_else(|| own_url(environment), Ok) {
        Ok(url) => url,
        Err(mistakes) => return complain(&format!("unhealthy: {mistakes}"), 1),
    };
    match tokio::time::timeout(CHECK_TIMEOUT, ask(&url)).await {
        Ok(Ok(())) => print("healthy\n"),
        Ok(Err(reason)) => complain(&format!("unhealthy: {url}: {reason}"), 1),
        Err(_) => complain(&format!("unhealthy: {url}: no answer within {} s", CHECK_TIMEOUT.as_secs()), 1),
    }
}

/// Returns where the replica with the same settings answers.
fn own_url(environment: &Environment) -> Result<String, Mistakes> {
    let listen = Settings::from_environment(environment)?.listen;
    let ip = match listen.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    Ok(format!("http://{}/health", SocketAddr::new(ip, listen.port())))
}

/// Asks once. The answer's body is not read: its status is the verdict.
async fn ask(url: &str) -> Result<(), String> {
    let uri: Uri = url.parse().map_err(|_| "not a URL".to_owned())?;
    let authority = uri.authority().filter(|_| uri.scheme_str() == Some("http"));
    let authority = authority.ok_or("not a URL that starts with http://")?;
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    let stream = TcpStream::connect((host, authority.port_u16().unwrap_or(80)));
    let stream = stream.await.map_err(|error| format!("cannot connect: {error}"))?;
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let request = hyper::Request::get(path).header("host", authority.as_str()).header("connection", "close");
    let request = request.body(Body::empty()).map_err(|error| error.to_string())?;
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(|error| error.to_string())?;
    let mut connection = std::pin::pin!(connection);
    let mut answer = std::pin::pin!(sender.send_request(request));
    let answer = tokio::select! {
        biased;
        answer = &mut answer => answer,
        // The last of what it read is the answer, if there is one.
        _ = connection.as_mut() => answer.await,
    };
    let answer = answer.map_err(|error| format!("no answer: {error}"))?;
    if answer.status().is_success() { Ok(()) } else { Err(format!("answered {}", answer.status())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(arguments: &[&str]) -> Result<Command, String> {
        parse(arguments.iter().map(OsString::from))
    }

    #[test]
    fn commands_are_understood_and_others_named() {
        let url = Some("http://x/".to_owned());
        for (arguments, expected) in [
            (&[][..], Ok(Command::Serve)),
            (&["check"], Ok(Command::Check { url: None })),
            (&["check", "--url", "http://x/"], Ok(Command::Check { url })),
            (&["--help"], Ok(Command::Help)),
            (&["check", "--help"], Ok(Command::Help)),
            (&["-V"], Ok(Command::Version)),
            (&["serv"], Err("`serv` is no command".to_owned())),
            (&["check", "--url"], Err("`--url` needs a URL".to_owned())),
            (&["check", "-u"], Err("`check` does not know `-u`".to_owned())),
            (&["--version", "now"], Err("`now` is one argument too many".to_owned())),
        ] {
            assert_eq!(parsed(arguments), expected, "{arguments:?}");
        }
    }

    #[test]
    fn a_replica_that_listens_everywhere_is_asked_on_loopback() {
        for (bind, expected) in [
            ("0.0.0.0", "http://127.0.0.1:9/health"),
            ("::", "http://[::1]:9/health"),
            ("127.0.0.3", "http://127.0.0.3:9/health"),
        ] {
            let environment = [("BIND", bind), ("PORT", "9")].into_iter().collect();
            assert_eq!(own_url(&environment).unwrap(), expected);
        }
    }

    #[tokio::test]
    async fn a_check_says_why_it_fails() {
        assert!(ask("http://127.0.0.1:1/health").await.unwrap_err().starts_with("cannot connect"));
        assert_eq!(ask("https://127.0.0.1:1/").await.unwrap_err(), "not a URL that starts with http://");
        assert_eq!(ask("/health").await.unwrap_err(), "not a URL that starts with http://");
        assert_eq!(ask("not a url").await.unwrap_err(), "not a URL");
    }
}
