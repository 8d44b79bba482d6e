//! Where an agent is, as people write it.

use std::path::PathBuf;

use hyper::Uri;

use super::connect::Connector;

/// The agent's port where none is written.
const PORT: u16 = 9780;

/// Where an agent is.
#[derive(Debug, Clone)]
pub enum Endpoint {
    Http {
        host: String,
        port: u16,
    },
    /// With the file of the authority to trust; the system's are trusted where it is absent.
    Https {
        host: String,
        port: u16,
        ca_file: Option<PathBuf>,
    },
    Unix(PathBuf),
    /// Whatever the connector opens: the agent in this process.
    Custom(Connector),
}

/// Why a text names no agent. A password in it is not repeated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    #[error(
        "`{0}` is no address of an agent: write http://HOST:PORT, https://HOST:PORT, unix:///PATH or HOST:PORT"
    )]
    Unclear(String),
    #[error("the address of an agent takes no user and password; give the token by itself")]
    Credentials,
    #[error("the address of an agent ends with its port; leave out `{0}`")]
    Path(String),
}

impl Endpoint {
    /// Reads `http://HOST:PORT`, `https://HOST:PORT`, `unix:///PATH` or `HOST:PORT`. The port may be left out: 80 and
    /// 443 are meant in a URL, 9780 elsewhere.
    pub fn parse(text: &str) -> Result<Self, EndpointError> {
        if text.contains('@') {
            return Err(EndpointError::Credentials);
        }
        let unclear = || EndpointError::Unclear(text.to_owned());
        if let Some(path) = text.strip_prefix("unix://") {
            return if path.starts_with('/') { Ok(Self::Unix(path.into())) } else { Err(unclear()) };
        }
        let (scheme, rest) = match text.split_once("://") {
            Some((scheme, rest)) => (Some(scheme.to_ascii_lowercase()), rest),
            None => (None, text),
        };
        let default = match scheme.as_deref() {
            None => PORT,
            Some("http") => 80,
            Some("https") => 443,
            Some(_) => return Err(unclear()),
        };
        let uri: Uri = format!("http://{rest}").parse().map_err(|_| unclear())?;
        if uri.path_and_query().is_some_and(|path| path.as_str() != "/") {
            return Err(EndpointError::Path(
                uri.path_and_query().map(ToString::to_string).unwrap_or_default(),
            ));
        }
        let authority = uri.authority().ok_or_else(unclear)?;
        let host = authority.host().to_owned();
        let port = match authority.as_str().strip_prefix(host.as_str()).unwrap_or_default() {
            "" => default,
            port => port.strip_prefix(':').and_then(|port| port.parse().ok()).ok_or_else(unclear)?,
        };
        if host.is_empty() || port == 0 {
            return Err(unclear());
        }
        Ok(match scheme.as_deref() {
            Some("https") => Self::Https { host, port, ca_file: None },
            _ => Self::Http { host, port },
        })
    }

    /// Trusts the authority in the PEM file `ca_file` instead of the system's; nothing but TLS asks for it.
    #[must_use]
    pub fn trusting(self, ca_file: PathBuf) -> Self {
        match self {
            Self::Https { host, port, .. } => Self::Https { host, port, ca_file: Some(ca_file) },
            other => other,
        }
    }

    /// Returns the endpoint as a person writes it.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Http { host, port } => format!("http://{host}:{port}"),
            Self::Https { host, port, .. } => format!("https://{host}:{port}"),
            Self::Unix(path) => format!("unix://{}", path.display()),
            Self::Custom(_) => "the agent in this process".to_owned(),
        }
    }

    /// Returns what the `Host` header names.
    pub(super) fn host_header(&self) -> String {
        match self {
            Self::Http { host, port } | Self::Https { host, port, .. } => format!("{host}:{port}"),
            Self::Unix(_) | Self::Custom(_) => "localhost".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_of_writing_it_is_understood() {
        for (text, expected) in [
            ("http://127.0.0.1:9780", "http://127.0.0.1:9780"),
            ("HTTP://web-1:9780/", "http://web-1:9780"),
            ("http://web-1", "http://web-1:80"),
            ("https://web-1.example", "https://web-1.example:443"),
            ("https://[::1]:9780", "https://[::1]:9780"),
            ("unix:///run/zv/zv.sock", "unix:///run/zv/zv.sock"),
            ("web-1:1234", "http://web-1:1234"),
            ("localhost", "http://localhost:9780"),
            ("[fd00::2]:9780", "http://[fd00::2]:9780"),
        ] {
            assert_eq!(Endpoint::parse(text).unwrap().name(), expected, "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused_with_what_to_write() {
        for text in
            ["", "ftp://a", "unix://relative", "http://", "a:b", "a:0", "a:70000", "a b", "://", "[::1"]
        {
            let error = Endpoint::parse(text).unwrap_err().to_string();
            assert!(error.contains("write http://HOST:PORT"), "{text}: {error}");
        }
        let error = Endpoint::parse("http://web-1/zv?x=1").unwrap_err().to_string();
        assert!(error.contains("leave out `/zv?x=1`"), "{error}");
        let error = Endpoint::parse("http://me:s3cret@web-1").unwrap_err().to_string();
        assert!(!error.contains("s3cret"), "{error}");
    }

    proptest::proptest! {
        #[test]
        fn no_text_is_too_strange(text in ".{0,40}") {
            Endpoint::parse(&text).map(|endpoint| endpoint.name()).ok();
        }
    }
}
