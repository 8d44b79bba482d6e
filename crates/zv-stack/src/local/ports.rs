//! Gives each replica a port of its own on the loopback.

use std::collections::BTreeSet;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::{Mutex, PoisonError};

/// The tries to find a port that nobody was promised.
const TRIES: usize = 1000;

/// Ports that replicas hold, whether they listen at the moment or not.
#[derive(Debug, Default)]
pub(super) struct Ports {
    // Held for a few system calls, never across an await.
    taken: Mutex<BTreeSet<u16>>,
}

impl Ports {
    /// Returns `held` while nobody else listens there, otherwise a free port; the port given up is free for others.
    pub(super) fn claim(&self, held: Option<u16>) -> io::Result<u16> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(port) = held {
            if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
                return Ok(port);
            }
            taken.remove(&port);
        }
        for _ in 0..TRIES {
            let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
            if Some(port) != held && taken.insert(port) {
                return Ok(port);
            }
        }
        Err(io::Error::other("no free port on 127.0.0.1"))
    }

    /// Frees a port for others.
    pub(super) fn release(&self, port: u16) {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).remove(&port);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_gets_the_port_of_another() {
        let ports = Ports::default();
        let given: BTreeSet<u16> = (0..200).map(|_| ports.claim(None).expect("a free port")).collect();
        assert_eq!(given.len(), 200);
    }

    #[test]
    fn a_port_is_kept_while_it_is_free() {
        let ports = Ports::default();
        let port = ports.claim(None).expect("a free port");
        assert_eq!(ports.claim(Some(port)).expect("still free"), port);
        let other = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).expect("nobody listens");
        let next = ports.claim(Some(port)).expect("another");
        assert_ne!(next, port);
        drop(other);
    }
}
