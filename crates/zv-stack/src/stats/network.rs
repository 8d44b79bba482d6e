//! A container's first process, and the network it is in. `net/dev` is never kept open: that would keep the network of a
//! container that is gone. The process' folder may stay open: it stands for this process even if its number goes to
//! another, and holds nothing back.

use std::fs::File;
use std::sync::Arc;

use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;

use super::files::{Desk, Failure};
use super::{Flow, Interface, files, parse};

/// The tunnels that the kernel itself puts into every network; nobody set them up where they carry nothing.
const KERNELS_OWN: [&[u8]; 9] =
    [b"tunl0", b"gre0", b"gretap0", b"erspan0", b"ip_vti0", b"ip6_vti0", b"sit0", b"ip6tnl0", b"ip6gre0"];

/// One process by its folder in `/proc`.
#[derive(Debug)]
pub(super) struct Process {
    folder: OwnedFd,
}

impl Process {
    /// Finds it; absent where there is none of that number.
    pub(super) fn find(pid: u32, desk: &Desk) -> Result<Option<Self>, Failure> {
        let folder = desk.root.join("proc").join(pid.to_string());
        let opened =
            rustix::fs::open(folder, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
        Ok(allowed(opened)?.map(|folder| Self { folder }))
    }

    /// Reads one of its files; absent where it has ended.
    pub(super) fn read<'a>(&self, file: &str, desk: &'a mut Desk) -> Result<Option<&'a [u8]>, Failure> {
        let opened = rustix::fs::openat(&self.folder, file, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
        let Some(file) = allowed(opened)? else { return Ok(None) };
        let length = files::read(&File::from(file), &mut desk.buffer);
        Ok(length.ok().map(|length| &desk.buffer[..length]))
    }

    /// Says whether it is in the host's own network. The file of counters has another number in each network, and this can
    /// be seen without the right to look at the network itself.
    pub(super) fn shares_host_network(&self, desk: &Desk) -> Option<bool> {
        let own = rustix::fs::statat(&self.folder, "net/dev", AtFlags::empty()).ok()?;
        let host = |process: &str| rustix::fs::stat(desk.root.join("proc").join(process).join("net/dev"));
        let host = host("1").or_else(|_| host("self")).ok()?;
        Some(own.st_ino == host.st_ino)
    }
}

/// Tells what is not there from what this process has no room for.
fn allowed(opened: rustix::io::Result<OwnedFd>) -> Result<Option<OwnedFd>, Failure> {
    match opened {
        Ok(file) => Ok(Some(file)),
        Err(Errno::MFILE | Errno::NFILE) => Err(Failure::NoFile),
        Err(_) => Ok(None),
    }
}

/// Turns the counters of `net/dev` into interfaces, without the loopback; names that are known already are shared.
pub(super) fn interfaces(text: &[u8], names: &mut Vec<Arc<str>>) -> Vec<Interface> {
    let mut all = Vec::with_capacity(names.len());
    for (name, received, transmitted) in parse::interfaces(text) {
        let idle = received == Flow::default() && transmitted == Flow::default();
        if name == b"lo" || idle && KERNELS_OWN.contains(&name) {
            continue;
        }
        let known = names.iter().position(|known| known.as_bytes() == name);
        let at = known.unwrap_or_else(|| {
            names.push(String::from_utf8_lossy(name).into());
            names.len() - 1
        });
        all.push(Interface { name: Arc::clone(&names[at]), received, transmitted });
    }
    // Interfaces may come and go under ever new names.
    if names.len() > all.len() + 8 {
        *names = all.iter().map(|interface| Arc::clone(&interface.name)).collect();
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &[u8] = b"\
Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:  999999    100    0    0    0     0          0         0   999999    100    0    0    0     0       0          0
  sit0:       0      0    0    0    0     0          0         0        0      0    0    0    0     0       0          0
  eth0:    1500     10    0    0    0     0          0         0     2500     20    0    0    0     0       0          0
  eth1:1            10    0    0    0     0          0         0        2     20    0    0    0     0       0          0
";

    #[test]
    fn interfaces_are_those_that_somebody_set_up() {
        let mut names = Vec::new();
        let first = interfaces(TEXT, &mut names);
        let told: Vec<_> =
            first.iter().map(|one| (&*one.name, one.received.bytes, one.transmitted.bytes)).collect();
        assert_eq!(told, [("eth0", 1500, 2500), ("eth1", 1, 2)]);
        let again = interfaces(TEXT, &mut names);
        assert!(Arc::ptr_eq(&first[0].name, &again[0].name));
    }

    #[test]
    fn names_of_interfaces_that_are_gone_are_forgotten() {
        let mut names = Vec::new();
        for number in 0..100 {
            let text = format!("h\nh\nveth{number}: 1 1 0 0 0 0 0 0 1 1 0 0 0 0 0 0\n");
            assert_eq!(interfaces(text.as_bytes(), &mut names).len(), 1);
        }
        assert!(names.len() < 20);
    }
}
