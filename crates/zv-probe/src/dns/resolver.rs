//! From a name to addresses, as the system's files say: `/etc/hosts`, then the name servers of `/etc/resolv.conf`.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

use super::message::{Code, Kind};
use super::{Silence, ask};
use crate::clock;
use crate::verdict::Fault;

/// For how long what the files say is taken for true.
const FRESH: Duration = Duration::from_secs(5);
/// More of either file is not read.
const FILE_LIMIT: u64 = 1024 * 1024;
const MOST_SERVERS: usize = 3;
const MOST_SEARCHED: usize = 6;

/// What the two files say.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Files {
    hosts: Vec<(String, IpAddr)>,
    servers: Vec<SocketAddr>,
    search: Vec<String>,
    dots: usize,
}

/// Finds addresses.
#[derive(Debug)]
pub(crate) struct Resolver {
    hosts: PathBuf,
    conf: PathBuf,
    /// Held for the time of reading two small files, so that a crowd reads them once.
    files: Mutex<Option<(Instant, Arc<Files>)>>,
}

impl Resolver {
    pub(crate) fn system() -> Self {
        Self::new("/etc/hosts".into(), "/etc/resolv.conf".into())
    }

    pub(crate) fn new(hosts: PathBuf, conf: PathBuf) -> Self {
        Self { hosts, conf, files: Mutex::new(None) }
    }

    /// Returns the name server that the system asks first.
    pub(crate) async fn first_server(&self) -> Result<SocketAddr, Fault> {
        let files = self.files().await?;
        files
            .servers
            .first()
            .copied()
            .ok_or_else(|| Fault::unknown(format!("{} names no server", self.conf.display())))
    }

    /// Returns the addresses of a name, those of IPv4 first.
    pub(crate) async fn addresses(&self, name: &str) -> Result<Vec<IpAddr>, Fault> {
        let bare = name.trim_end_matches('.').to_ascii_lowercase();
        // Never asked of anybody, so that nobody can send it elsewhere.
        if bare == "localhost" || bare.ends_with(".localhost") {
            return Ok(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
        }
        let files = self.files().await?;
        let mut known: Vec<IpAddr> =
            files.hosts.iter().filter(|(host, _)| *host == bare).map(|(_, address)| *address).collect();
        if !known.is_empty() {
            known.sort_by_key(IpAddr::is_ipv6);
            return Ok(known);
        }
        let mut silence = None;
        let mut asked = None;
        for candidate in files.candidates(name) {
            match look_up(&files.servers, &candidate).await {
                Ok((_, found)) if !found.is_empty() => return Ok(found),
                Ok((server, _)) => asked = Some(server),
                Err(silent) => silence = Some(silent),
            }
        }
        Err(match (silence, asked) {
            // A server that is silent about one candidate may have been the one that knows.
            (Some(Silence(why)), _) => {
                Fault::unknown(format!("the address of `{name}` cannot be found: {why}"))
            }
            (None, Some(server)) => {
                Fault::down(format!("the name `{name}` has no address, says {}", server.ip()))
            }
            (None, None) => Fault::unknown(format!(
                "the address of `{name}` cannot be found: {} names no server",
                self.conf.display()
            )),
        })
    }

    async fn files(&self) -> Result<Arc<Files>, Fault> {
        let mut kept = self.files.lock().await;
        let now = clock::now();
        if let Some((read_at, files)) = &*kept
            && now - *read_at < FRESH
        {
            return Ok(Arc::clone(files));
        }
        let (hosts, conf) = (self.hosts.clone(), self.conf.clone());
        // On a thread of its own: a disk that is stuck holds up no probe but those that wait for a name.
        let reading = tokio::task::spawn_blocking(move || {
            Files::parse(&read_if_there(&hosts)?, &read_if_there(&conf)?)
        });
        let files = match reading.await {
            Ok(Ok(files)) => Arc::new(files),
            Ok(Err(error)) => return Err(Fault::unknown(format!("names cannot be looked up: {error}"))),
            Err(error) => return Err(Fault::unknown(format!("names cannot be looked up: {error}"))),
        };
        *kept = Some((now, Arc::clone(&files)));
        Ok(files)
    }
}

fn read_if_there(path: &std::path::Path) -> io::Result<String> {
    let mut text = Vec::new();
    match std::fs::File::open(path) {
        Ok(file) => io::Read::read_to_end(&mut io::Read::take(file, FILE_LIMIT), &mut text)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
        Err(error) => return Err(io::Error::new(error.kind(), format!("{}: {error}", path.display()))),
    };
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// Asks the servers in turn for both kinds of address; returns who answered and what.
async fn look_up(servers: &[SocketAddr], name: &str) -> Result<(SocketAddr, Vec<IpAddr>), Silence> {
    let mut silence = Silence("no name server is known".to_owned());
    for &server in servers {
        let (v4, v6) = tokio::join!(ask(server, name, Kind::A), ask(server, name, Kind::Aaaa));
        let mut found = Vec::new();
        let mut broken = None;
        for answer in [v4, v6] {
            match answer {
                Ok(answer) if matches!(answer.code, Code::Fine | Code::NoSuchName) => {
                    found.extend(answer.records.iter().filter_map(|record| record.parse::<IpAddr>().ok()));
                }
                Ok(_) => broken = Some(Silence(format!("{server} fails to answer"))),
                Err(silent) => broken = Some(silent),
            }
        }
        match broken {
            // One family is enough to go on with.
            Some(silent) if found.is_empty() => silence = silent,
            _ => return Ok((server, found)),
        }
    }
    Err(silence)
}

impl Files {
    #[expect(clippy::unnecessary_wraps, reason = "ends the chain of a closure that may fail")]
    fn parse(hosts: &str, conf: &str) -> io::Result<Self> {
        let mut files = Files { dots: 1, ..Files::default() };
        for line in hosts.lines() {
            let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
            let Some(address) = words.next().and_then(|word| word.parse().ok()) else { continue };
            files.hosts.extend(words.map(|name| (name.to_ascii_lowercase(), address)));
        }
        for line in conf.lines() {
            let mut words = line.split(['#', ';']).next().unwrap_or_default().split_whitespace();
            match words.next() {
                Some("nameserver") => {
                    let server = words.next().and_then(|word| word.parse::<IpAddr>().ok());
                    files.servers.extend(server.map(|address| SocketAddr::new(address, 53)));
                }
                Some("search" | "domain") => {
                    files.search =
                        words.take(MOST_SEARCHED).map(|word| word.trim_matches('.').to_owned()).collect();
                    files.search.retain(|domain| !domain.is_empty());
                }
                Some("options") => {
                    let dots = words.find_map(|word| word.strip_prefix("ndots:")?.parse::<usize>().ok());
                    files.dots = dots.unwrap_or(files.dots).min(15);
                }
                _ => {}
            }
        }
        files.servers.truncate(MOST_SERVERS);
        if files.servers.is_empty() {
            // What the C library does where the file names none.
            files.servers.push((Ipv4Addr::LOCALHOST, 53).into());
        }
        Ok(files)
    }

    /// Returns the names to ask for, in order.
    fn candidates(&self, name: &str) -> Vec<String> {
        if name.ends_with('.') {
            return vec![name.to_owned()];
        }
        let searched = self.search.iter().map(|domain| format!("{name}.{domain}"));
        let as_it_is = std::iter::once(name.to_owned());
        if name.matches('.').count() >= self.dots {
            as_it_is.chain(searched).collect()
        } else {
            searched.chain(as_it_is).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CONF: &str = "# by hand\nnameserver 10.0.0.2\nnameserver fe80::1%eth0\nnameserver ::1\nsearch shop.lan lan.\noptions edns0 ndots:2\n";

    #[test]
    fn the_files_are_read_as_the_system_reads_them() {
        let files = Files::parse("127.0.0.1 me Me.lan # us\nbroken line\n::1 me", CONF).unwrap();
        assert_eq!(
            files.servers,
            ["10.0.0.2:53".parse().unwrap(), "[::1]:53".parse::<SocketAddr>().unwrap()]
        );
        assert_eq!(files.candidates("db"), ["db.shop.lan", "db.lan", "db"]);
        assert_eq!(files.candidates("a.b.c"), ["a.b.c", "a.b.c.shop.lan", "a.b.c.lan"]);
        assert_eq!(files.candidates("db."), ["db."]);
        assert_eq!(files.hosts.len(), 3);
    }

    #[tokio::test]
    async fn hosts_win_and_localhost_is_asked_of_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let (hosts, conf) = (folder.path().join("hosts"), folder.path().join("resolv.conf"));
        std::fs::write(&hosts, "::7 db\n10.1.1.1 DB\n").unwrap();
        let resolver = Resolver::new(hosts, conf);
        let expected: Vec<IpAddr> = vec!["10.1.1.1".parse().unwrap(), "::7".parse().unwrap()];
        assert_eq!(resolver.addresses("db").await.unwrap(), expected);
        assert_eq!(resolver.addresses("api.LOCALHOST").await.unwrap().len(), 2);
    }

    proptest! {
        #[test]
        fn any_file_is_survived(hosts in ".{0,200}", conf in "((nameserver|search|options|domain) ?.{0,20}\n){0,8}") {
            let files = Files::parse(&hosts, &conf).unwrap();
            prop_assert!(files.servers.len() <= MOST_SERVERS);
            prop_assert!(files.candidates("x").len() <= MOST_SEARCHED + 1);
        }
    }
}
