//! Where the agent listens: whether its addresses are free or whose they are, and who may use its socket.

use std::fs;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::Path;

use rustix::fs::{Access, access};
use zv_agent::config::Config;

use super::finding::{Area, Finding, Findings, Level};
use super::here::{GROUP, Here};

/// A process whose open files are looked through; a host has fewer.
const PROCESSES: usize = 100_000;

/// Looks at every address and the socket; `agent` is where one answers.
pub(super) fn look(config: &Config, agent: Option<&str>, here: &Here) -> Vec<Finding> {
    let mut findings = Findings::of(Area::Listening);
    for address in &config.api.listen {
        of_address(*address, agent.is_some(), here, &mut findings);
    }
    if let Some(path) = &config.api.unix {
        of_socket(path, here, &mut findings);
    }
    findings.all
}

fn of_address(address: SocketAddr, an_agent_answers: bool, here: &Here, findings: &mut Findings) {
    let Err(error) = TcpListener::bind(address) else {
        findings.ok("address", format!("{address} is free"));
        return;
    };
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            let owner = owner(address);
            let process = owner.as_ref().and_then(|owner| owner.process.clone());
            let is_ours = process.as_deref().map_or(an_agent_answers, |name| name.starts_with("zv"));
            let who = match (process, owner) {
                (Some(process), _) => format!("`{process}`"),
                (None, Some(owner)) => format!("a process of {}", here.names.user(owner.uid)),
                (None, None) => "another process".to_owned(),
            };
            if is_ours && an_agent_answers {
                findings.ok("address", format!("{address} is the agent's ({who})"));
            } else {
                let advice = "stop it, or set `api.listen` (ZV_LISTEN) to another address";
                findings.problem("address", format!("{address} is taken by {who}"), advice);
            }
        }
        io::ErrorKind::AddrNotAvailable => findings.problem(
            "address",
            format!("no interface here has {}", address.ip()),
            here.fitting(
                "inside a container listen on 0.0.0.0: ZV_LISTEN=0.0.0.0:9780, or run it with `--network host`",
                "set `api.listen` (ZV_LISTEN) to an address of this host",
            ),
        ),
        io::ErrorKind::PermissionDenied => findings.at(
            // It is the agent that must listen there, not whoever asks.
            if here.uid == 0 { Level::Problem } else { Level::Note },
            "address",
            format!("{address} cannot be taken by {}: ports below 1024 are root's", here.user),
            "set `api.listen` to a higher port, or give the agent CAP_NET_BIND_SERVICE",
        ),
        _ => findings.problem("address", format!("{address}: {error}"), "set `api.listen` (ZV_LISTEN) to another address"),
    }
}

/// Who listens at a port.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Owner {
    uid: u32,
    /// Where this user may see it.
    process: Option<String>,
}

fn owner(address: SocketAddr) -> Option<Owner> {
    let tables =
        ["/proc/net/tcp", "/proc/net/tcp6"].map(|table| fs::read_to_string(table).unwrap_or_default());
    let (uid, inode) = tables.iter().find_map(|table| listener(table, address))?;
    Some(Owner { uid, process: process_with(inode) })
}

/// Finds who listens at an address, or at all addresses with its port, in a table of the kernel: the user and the number
/// of the socket.
fn listener(table: &str, address: SocketAddr) -> Option<(u32, u64)> {
    const LISTEN: &str = "0A";
    let wanted = hexadecimal(address.ip());
    let everywhere = |ip: &str| ip.bytes().all(|digit| digit == b'0');
    table.lines().skip(1).find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (ip, port) = fields.get(1)?.rsplit_once(':')?;
        let is_it = fields.get(3) == Some(&LISTEN)
            && u16::from_str_radix(port, 16) == Ok(address.port())
            && (ip == wanted || everywhere(ip) || address.ip().is_unspecified());
        is_it.then(|| Some((fields.get(7)?.parse().ok()?, fields.get(9)?.parse().ok()?)))?
    })
}

/// Writes an address as the kernel's tables do: in words of this machine's order.
fn hexadecimal(ip: IpAddr) -> String {
    let octets = match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    let words = octets.as_chunks::<4>().0.iter();
    words.map(|word| format!("{:08X}", u32::from_ne_bytes(*word))).collect()
}

/// Finds the process that has a socket, as far as this user may look.
fn process_with(inode: u64) -> Option<String> {
    let wanted = format!("socket:[{inode}]");
    let processes = fs::read_dir("/proc").ok()?.flatten().take(PROCESSES);
    let has_it = |folder: &Path| {
        let files = fs::read_dir(folder.join("fd")).into_iter().flatten().flatten();
        files
            .filter_map(|file| fs::read_link(file.path()).ok())
            .any(|link| link.as_os_str() == wanted.as_str())
    };
    let is_number = |name: &std::ffi::OsStr| name.as_encoded_bytes().iter().all(u8::is_ascii_digit);
    let numbered = processes.filter(|entry| is_number(&entry.file_name()));
    let found = numbered.map(|entry| entry.path()).find(|folder| has_it(folder))?;
    let name = fs::read_to_string(found.join("comm")).ok()?;
    let pid = found.file_name()?.to_string_lossy().into_owned();
    Some(format!("{} ({pid})", name.trim()))
}

fn of_socket(path: &Path, here: &Here, findings: &mut Findings) {
    let shown = path.display();
    match fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => {
            findings.problem(
                "socket",
                format!("{shown} is no socket"),
                format!("remove {shown}, or set `api.unix`"),
            );
        }
        Ok(found) => {
            let group = here.names.group(found.gid());
            let for_group = found.permissions().mode() & 0o060 == 0o060;
            let whom = match (&group, for_group) {
                (Some(group), true) => {
                    format!("for {} and the group `{group}`", here.names.user(found.uid()))
                }
                _ => format!("for {}", here.names.user(found.uid())),
            };
            let mine = here.uid == 0 || found.uid() == here.uid || here.groups.contains(&found.gid());
            if mine {
                findings.ok("socket", format!("{shown}, {whom}"));
            } else {
                findings.note(
                    "socket",
                    format!("{shown}, {whom}: not for {}", here.user),
                    here.joining(found.gid()),
                );
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => to_be_made(path, here, findings),
        Err(error) => findings.note("socket", format!("{shown}: {error}"), "`sudo zv doctor` sees it"),
    }
    if here.names.gid(GROUP).is_none() && here.uid == 0 && !here.contained {
        findings.note(
            "group",
            format!("there is no group `{GROUP}`: only root uses the socket and reads the token"),
            format!("`sudo groupadd --system {GROUP}`, add people to it, and restart the agent"),
        );
    }
}

fn to_be_made(path: &Path, here: &Here, findings: &mut Findings) {
    let shown = path.display();
    let above = path.ancestors().skip(1).find(|folder| folder.exists()).unwrap_or(Path::new("/"));
    if access(above, Access::WRITE_OK | Access::EXEC_OK).is_ok() {
        findings.ok("socket", format!("{shown} is made when the agent starts"));
    } else {
        findings.note(
            "socket",
            format!("{shown} cannot be made by {}: {} cannot be written", here.user, above.display()),
            here.fitting(
                format!("run the container with `-v /run/zv:{}`, or `api.unix: off`", above.display()),
                "set `api.unix` to a place of the agent's own, or `off`",
            ),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::super::here::tests::here;
    use super::*;

    #[test]
    fn whoever_listens_is_found() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n   \
                     0: 0100007F:2634 00000000:0000 01 00000000:00000000 00:00000000 00000000     7        0 11 1\n   \
                     1: 0200007F:2634 00000000:0000 0A 00000000:00000000 00:00000000 00000000     7        0 12 1\n   \
                     2: 0100007F:2634 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4242 1\n";
        let listener = |address: &str| listener(table, address.parse().unwrap());
        assert_eq!(listener("127.0.0.1:9780"), Some((1000, 4242)));
        assert_eq!(listener("0.0.0.0:9780"), Some((7, 12)));
        assert_eq!(listener("127.0.0.3:9780"), None);
        assert_eq!(listener("127.0.0.1:9781"), None);
        assert_eq!(hexadecimal("::1".parse().unwrap()), "00000000000000000000000001000000");

        let listening = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listening.local_addr().unwrap();
        let own = owner(address).unwrap();
        assert_eq!(own.uid, rustix::process::geteuid().as_raw());
        assert!(own.process.as_ref().unwrap().ends_with(&format!("({})", std::process::id())), "{own:?}");
        let mut findings = Findings::of(Area::Listening);
        of_address(address, false, &here(false, 0), &mut findings);
        assert_eq!(findings.all[0].status, Level::Problem);
        assert!(findings.all[0].found.contains("is taken by `"), "{findings:?}");
        of_address("192.0.2.1:9780".parse().unwrap(), false, &here(true, 0), &mut findings);
        assert!(findings.all[1].advice.as_ref().unwrap().contains("0.0.0.0"), "{findings:?}");
    }

    #[test]
    fn a_socket_says_whom_it_is_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("zv.sock");
        let check = |uid| {
            let mut findings = Findings::of(Area::Listening);
            of_socket(&path, &here(false, uid), &mut findings);
            findings.all.remove(0)
        };
        assert!(check(0).found.ends_with("is made when the agent starts"));
        let _socket = std::os::unix::net::UnixListener::bind(&path).unwrap();
        assert_eq!(check(0).status, Level::Ok);
        let owner = fs::metadata(&path).unwrap().uid();
        let stranger = check(owner + 4321);
        assert!(stranger.status == Level::Note && stranger.advice.is_some(), "{stranger:?}");
        fs::remove_file(&path).unwrap();
        fs::write(&path, "").unwrap();
        assert_eq!(check(0).status, Level::Problem);
    }
}
