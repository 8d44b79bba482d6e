//! Finds the engine: an explicit address, a context of the docker command, or the system's socket.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::DockerOptions;

/// Where an engine listens on most hosts.
pub(super) const SYSTEM_SOCKET: &str = "/var/run/docker.sock";
/// The port of an engine without TLS, where an address names none.
const PLAIN_PORT: u16 = 2375;
/// The port of an engine with TLS, where an address names none.
const TLS_PORT: u16 = 2376;

/// Where an engine listens and how it is spoken to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Endpoint {
    Unix(PathBuf),
    /// `HOST:PORT`.
    Tcp(String),
    Tls {
        authority: String,
        files: TlsFiles,
    },
}

/// The PEM files of a TLS connection; the system's roots stand in for an absent `ca`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct TlsFiles {
    pub(super) ca: Option<PathBuf>,
    pub(super) cert: Option<PathBuf>,
    pub(super) key: Option<PathBuf>,
}

/// Why no engine could be named.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum ConnectError {
    #[error(
        "`{0}` needs an SSH connection, which zv does not open: forward the socket with \
         `ssh -NL /run/zv-docker.sock:/var/run/docker.sock HOST` and use `unix:///run/zv-docker.sock`"
    )]
    Ssh(String),
    #[error(
        "`{host}` is not the address of an engine: use unix:///PATH, tcp://HOST:PORT or https://HOST:PORT"
    )]
    Address { host: String },
    #[error("context `{name}` is not in `{}`: see `docker context ls`", folder.display())]
    NoContext { name: String, folder: PathBuf },
    #[error("context `{0}` names no docker endpoint")]
    NoEndpoint(String),
    #[error(
        "context `{0}` turns TLS verification off, which zv does not: add the engine's ca.pem to the context"
    )]
    Unverified(String),
    #[error("context `{0}` is asked for, but no folder with the docker command's configuration is known")]
    NoFolder(String),
    #[error("cannot read `{}`: {reason}", path.display())]
    Unreadable { path: PathBuf, reason: String },
}

/// Finds the endpoint that `options` mean.
pub(super) fn resolve(options: &DockerOptions) -> Result<Endpoint, ConnectError> {
    if let Some(host) = options.host.as_deref().filter(|host| !host.is_empty()) {
        return parse(host, options.cert_dir.as_deref().map(TlsFiles::in_folder));
    }
    let folder = options.config_dir.as_deref();
    match context_of(options)?.as_deref() {
        None => Ok(Endpoint::Unix(SYSTEM_SOCKET.into())),
        Some(name) => of_context(name, folder.ok_or_else(|| ConnectError::NoFolder(name.to_owned()))?),
    }
}

/// Returns the context that `options` mean where they name no host: the one they name, else the docker command's own.
pub(super) fn context_of(options: &DockerOptions) -> Result<Option<String>, ConnectError> {
    let name = match options.context.clone().filter(|name| !name.is_empty()) {
        Some(name) => Some(name),
        None => options.config_dir.as_deref().map(current_context).transpose()?.flatten(),
    };
    Ok(name.filter(|name| name != "default"))
}

impl TlsFiles {
    /// Takes what there is of `ca.pem`, `cert.pem` and `key.pem` in `folder`.
    fn in_folder(folder: &Path) -> Self {
        let there = |name: &str| Some(folder.join(name)).filter(|path| path.exists());
        Self { ca: there("ca.pem"), cert: there("cert.pem"), key: there("key.pem") }
    }
}

/// Parses an address; `tls` present makes `tcp://` a TLS one.
fn parse(host: &str, tls: Option<TlsFiles>) -> Result<Endpoint, ConnectError> {
    let wrong = || ConnectError::Address { host: without_user(host) };
    let (scheme, rest) = host.split_once("://").ok_or_else(wrong)?;
    match (scheme, tls) {
        ("unix", _) if rest.starts_with('/') => Ok(Endpoint::Unix(rest.into())),
        ("ssh", _) => Err(ConnectError::Ssh(without_user(host))),
        ("tcp", None) | ("http", _) => Ok(Endpoint::Tcp(
            authority(rest, if scheme == "http" { 80 } else { PLAIN_PORT }).ok_or_else(wrong)?,
        )),
        ("tcp", Some(files)) => {
            Ok(Endpoint::Tls { authority: authority(rest, TLS_PORT).ok_or_else(wrong)?, files })
        }
        ("https", files) => Ok(Endpoint::Tls {
            authority: authority(rest, 443).ok_or_else(wrong)?,
            files: files.unwrap_or_default(),
        }),
        _ => Err(wrong()),
    }
}

/// Drops a user and a password, so that an error never shows them.
fn without_user(host: &str) -> String {
    match (host.find("://"), host.rfind('@')) {
        (Some(scheme), Some(at)) if at > scheme => format!("{}{}", &host[..scheme + 3], &host[at + 1..]),
        _ => host.to_owned(),
    }
}

/// Returns `HOST:PORT` with the port filled in; `None` where there is more than that.
fn authority(rest: &str, default_port: u16) -> Option<String> {
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let authority: hyper::http::uri::Authority = rest.parse().ok()?;
    if rest.contains('@') || authority.host().is_empty() {
        return None;
    }
    let port = match rest[authority.host().len()..].strip_prefix(':') {
        Some(port) => port.parse().ok()?,
        None => default_port,
    };
    Some(format!("{}:{port}", authority.host()))
}

/// The part of `config.json` that matters here.
#[derive(Deserialize)]
struct Config {
    #[serde(rename = "currentContext")]
    current_context: Option<String>,
}

/// The part of a context's `meta.json` that matters here.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Meta {
    name: String,
    #[serde(default)]
    endpoints: Endpoints,
}

#[derive(Deserialize, Default)]
struct Endpoints {
    docker: Option<DockerEndpoint>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DockerEndpoint {
    host: Option<String>,
    #[serde(default, rename = "SkipTLSVerify")]
    skip_tls_verify: bool,
}

fn current_context(folder: &Path) -> Result<Option<String>, ConnectError> {
    let path = folder.join("config.json");
    match fs::read(&path) {
        Ok(bytes) => {
            let config: Config = serde_json::from_slice(&bytes).map_err(|error| unreadable(&path, &error))?;
            Ok(config.current_context.filter(|name| !name.is_empty()))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(unreadable(&path, &error)),
    }
}

/// Finds a context by the name in its metadata: the folders' names are digests that say nothing.
fn of_context(name: &str, folder: &Path) -> Result<Endpoint, ConnectError> {
    let missing = || ConnectError::NoContext { name: name.to_owned(), folder: folder.to_owned() };
    let metas = folder.join("contexts/meta");
    let entries = fs::read_dir(&metas).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => missing(),
        _ => unreadable(&metas, &error),
    })?;
    for entry in entries {
        let entry = entry.map_err(|error| unreadable(&metas, &error))?;
        let path = entry.path().join("meta.json");
        // A folder without readable metadata is another context's trouble.
        let Some(meta) = fs::read(&path).ok().and_then(|bytes| serde_json::from_slice::<Meta>(&bytes).ok())
        else {
            continue;
        };
        if meta.name == name {
            let tls = folder.join("contexts/tls").join(entry.file_name()).join("docker");
            return endpoint_of(meta, &tls);
        }
    }
    Err(missing())
}

fn endpoint_of(meta: Meta, tls: &Path) -> Result<Endpoint, ConnectError> {
    let Some(DockerEndpoint { host: Some(host), skip_tls_verify }) = meta.endpoints.docker else {
        return Err(ConnectError::NoEndpoint(meta.name));
    };
    if skip_tls_verify {
        return Err(ConnectError::Unverified(meta.name));
    }
    parse(&host, tls.is_dir().then(|| TlsFiles::in_folder(tls)))
}

fn unreadable(path: &Path, reason: &dyn std::fmt::Display) -> ConnectError {
    ConnectError::Unreadable { path: path.to_owned(), reason: reason.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(host: &str) -> Result<Endpoint, ConnectError> {
        resolve(&DockerOptions { host: Some(host.to_owned()), ..DockerOptions::default() })
    }

    #[test]
    fn addresses_in_all_their_forms() {
        assert_eq!(host("unix:///a/b.sock"), Ok(Endpoint::Unix("/a/b.sock".into())));
        assert_eq!(host("tcp://h"), Ok(Endpoint::Tcp("h:2375".into())));
        assert_eq!(host("tcp://h:99/"), Ok(Endpoint::Tcp("h:99".into())));
        assert_eq!(host("http://[::1]:99"), Ok(Endpoint::Tcp("[::1]:99".into())));
        assert!(matches!(host("https://h:5"), Ok(Endpoint::Tls { authority, .. }) if authority == "h:5"));
        for wrong in
            ["h:2375", "tcp://", "tcp://h/base", "tcp://h:x", "unix://relative", "npipe:////./pipe/x"]
        {
            assert!(matches!(host(wrong), Err(ConnectError::Address { .. })), "{wrong}");
        }
    }

    #[test]
    fn ssh_says_what_to_do_and_no_error_shows_a_password() {
        let text = host("ssh://me@box").unwrap_err().to_string();
        assert!(text.contains("ssh -NL") && text.contains("ssh://box"), "{text}");
        let text = host("tcp://me:secret@box").unwrap_err().to_string();
        assert!(!text.contains("secret"), "{text}");
    }

    #[test]
    fn certificates_make_tcp_a_tls_address() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("ca.pem"), "").unwrap();
        let options = DockerOptions {
            host: Some("tcp://h".into()),
            cert_dir: Some(dir.path().into()),
            ..DockerOptions::default()
        };
        let files = TlsFiles { ca: Some(dir.path().join("ca.pem")), cert: None, key: None };
        assert_eq!(resolve(&options), Ok(Endpoint::Tls { authority: "h:2376".into(), files }));
    }

    fn context(folder: &Path, digest: &str, meta: &str) {
        let meta_folder = folder.join("contexts/meta").join(digest);
        fs::create_dir_all(&meta_folder).unwrap();
        fs::write(meta_folder.join("meta.json"), meta).unwrap();
    }

    #[test]
    fn contexts_are_found_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path();
        context(folder, "aa", r#"{"Name":"other","Endpoints":{"docker":{"Host":"unix:///other.sock"}}}"#);
        context(folder, "bb", r#"{"Name":"far","Endpoints":{"docker":{"Host":"tcp://far:2376"}}}"#);
        context(
            folder,
            "cc",
            r#"{"Name":"lax","Endpoints":{"docker":{"Host":"tcp://l","SkipTLSVerify":true}}}"#,
        );
        context(folder, "dd", "not json");
        fs::create_dir_all(folder.join("contexts/tls/bb/docker")).unwrap();
        fs::write(folder.join("contexts/tls/bb/docker/ca.pem"), "").unwrap();
        fs::write(folder.join("config.json"), r#"{"currentContext":"other","auths":{}}"#).unwrap();

        let with = |context: Option<&str>, host: Option<&str>| {
            resolve(&DockerOptions {
                host: host.map(Into::into),
                context: context.map(Into::into),
                config_dir: Some(folder.into()),
                ..DockerOptions::default()
            })
        };
        assert_eq!(with(None, None), Ok(Endpoint::Unix("/other.sock".into())));
        assert!(
            matches!(with(Some("far"), None), Ok(Endpoint::Tls { files, .. }) if files.ca == Some(folder.join("contexts/tls/bb/docker/ca.pem")))
        );
        assert_eq!(with(Some("far"), Some("unix:///h")), Ok(Endpoint::Unix("/h".into())));
        assert_eq!(with(Some("default"), None), Ok(Endpoint::Unix(SYSTEM_SOCKET.into())));
        assert!(matches!(with(Some("none"), None), Err(ConnectError::NoContext { .. })));
        assert!(matches!(with(Some("lax"), None), Err(ConnectError::Unverified(_))));
    }

    #[test]
    fn without_anything_it_is_the_system_socket() {
        assert_eq!(resolve(&DockerOptions::default()), Ok(Endpoint::Unix(SYSTEM_SOCKET.into())));
    }
}
