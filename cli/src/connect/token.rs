//! Where the token comes from: the option, the environment, the file that an agent on this host keeps.

use std::io::{ErrorKind, Read};
use std::net::IpAddr;
use std::path::Path;

use zv_api::client::Endpoint;

use crate::failure::{Failure, Outcome};

/// Where an agent keeps its token by default.
pub(super) const DEFAULT_FILE: &str = "/var/lib/zv/token";
/// A token is a line; a file beyond this is something else.
const LIMIT: u64 = 4096;

/// Returns the token for an agent, if there is one.
///
/// `own` is the folder in which an agent of this user keeps its state.
pub(super) fn find(
    file: Option<&Path>,
    variable: Option<&str>,
    own: Option<&Path>,
    agent: &Endpoint,
) -> Outcome<Option<String>> {
    if let Some(file) = file {
        let token = read(file).map_err(|error| unreadable(file, &error))?;
        if token.is_empty() {
            return Err(Failure::new(format!("the token file `{}` is empty", file.display())));
        }
        if token.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err(Failure::new(format!(
                "the token file `{}` holds no token: that is one word on one line",
                file.display()
            )));
        }
        return Ok(Some(token));
    }
    if let Some(token) = variable {
        return Ok(Some(token.trim().to_owned()));
    }
    // This host's token is no other host's business.
    if !is_here(agent) {
        return Ok(None);
    }
    // Reading needs none: one that this user may not read is missed only when an action asks for it.
    let own = own.map(|folder| folder.join("token"));
    let files = [Some(Path::new(DEFAULT_FILE)), own.as_deref()];
    Ok(files.into_iter().flatten().filter_map(|file| read(file).ok()).find(|token| !token.is_empty()))
}

/// Says whether the agent is on this host.
fn is_here(agent: &Endpoint) -> bool {
    match agent {
        Endpoint::Unix(_) | Endpoint::Custom(_) => true,
        Endpoint::Http { host, .. } | Endpoint::Https { host, .. } => {
            let host = host.trim_start_matches('[').trim_end_matches(']');
            host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
        }
    }
}

fn read(file: &Path) -> std::io::Result<String> {
    let mut token = String::new();
    std::fs::File::open(file)?.take(LIMIT).read_to_string(&mut token)?;
    Ok(token.trim().to_owned())
}

fn unreadable(file: &Path, error: &std::io::Error) -> Failure {
    let file = file.display();
    Failure::new(match error.kind() {
        ErrorKind::NotFound => format!("the token file `{file}` does not exist"),
        ErrorKind::PermissionDenied => format!("the token file `{file}` may not be read by this user"),
        ErrorKind::InvalidData => format!("the token file `{file}` holds no token: it is not text"),
        _ => format!("the token file `{file}` cannot be read: {error}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remote() -> Endpoint {
        Endpoint::parse("https://web-1.example:9780").unwrap()
    }

    #[test]
    fn the_option_wins_over_the_environment() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("token");
        std::fs::write(&file, "from-file\n").unwrap();
        assert_eq!(
            find(Some(&file), Some("from-env"), None, &remote()).unwrap().as_deref(),
            Some("from-file")
        );
        assert_eq!(find(None, Some("from-env"), None, &remote()).unwrap().as_deref(), Some("from-env"));
        assert_eq!(find(None, None, Some(dir.path()), &remote()).unwrap(), None);
    }

    #[test]
    fn an_agent_of_the_same_user_is_acted_through_without_further_ado() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("token"), "own\n").unwrap();
        let here = Endpoint::parse("http://127.0.0.1:9780").unwrap();
        // Where the tests run as root, an agent of the host may have a token as well.
        if !Path::new(DEFAULT_FILE).exists() {
            assert_eq!(find(None, None, Some(dir.path()), &here).unwrap().as_deref(), Some("own"));
        }
        assert_eq!(find(None, None, Some(dir.path()), &remote()).unwrap(), None);
    }

    #[test]
    fn a_named_file_must_hold_a_token() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("token");
        let refused = || find(Some(&file), None, None, &remote()).unwrap_err().to_string();
        assert!(refused().contains("does not exist"));
        std::fs::write(&file, " \n").unwrap();
        assert!(refused().contains("is empty"));
        std::fs::write(&file, "store:\n  path: /x\n").unwrap();
        assert!(refused().contains("one word on one line"));
        std::fs::write(&file, [0xff, 0xfe]).unwrap();
        assert!(refused().contains("is not text"));
    }

    #[test]
    fn only_an_agent_on_this_host_gets_this_hosts_token() {
        for (address, here) in [
            ("unix:///run/zv/zv.sock", true),
            ("http://127.0.0.1:9780", true),
            ("http://[::1]:9780", true),
            ("http://localhost:9780", true),
            ("http://192.0.2.1:9780", false),
            ("https://localhost.evil.example", false),
        ] {
            assert_eq!(is_here(&Endpoint::parse(address).unwrap()), here, "{address}");
        }
    }
}
