//! The ways in which a MySQL or MariaDB server lets somebody in.

use ring::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};

use super::packet::{ERROR, Greeting, OK, Refusal, read, send, until_zero};
use super::{USUAL_USER, can, head};
use crate::target::Mysql;
use crate::trace::Trace;
use crate::verdict::Fault;
use crate::wire::Wire;
use crate::words::quote;

pub(super) const NATIVE: &str = "mysql_native_password";
const CACHING_SHA2: &str = "caching_sha2_password";

const SWITCH: u8 = 0xfe;
const MORE: u8 = 0x01;
const FAST_OK: u8 = 3;
const WANTS_PASSWORD: u8 = 4;
/// A login takes three or four packets.
const MOST_PACKETS: usize = 10;

/// Somebody who logs in.
pub(super) struct Login<'a> {
    pub(super) mysql: &'a Mysql,
    pub(super) greeting: &'a Greeting,
    pub(super) capabilities: u32,
    pub(super) is_encrypted: bool,
}

/// Why somebody is not in.
pub(super) enum NotIn {
    Refused(Refusal),
    Fault(Fault),
}

impl From<Fault> for NotIn {
    fn from(fault: Fault) -> Self {
        NotIn::Fault(fault)
    }
}

impl Login<'_> {
    pub(super) fn is_anonymous(&self) -> bool {
        self.mysql.credentials.is_anonymous()
    }

    fn password(&self) -> &str {
        self.mysql.credentials.password.as_ref().map_or("", |password| password.expose())
    }

    /// Logs in: the packet with this number is the first to send.
    pub(super) async fn log_in(&self, sequence: u8, wire: &mut Wire, trace: &mut Trace) -> Result<(), NotIn> {
        send(wire, sequence, &self.first()).await?;
        for _ in 0..MOST_PACKETS {
            let (sequence, packet) = read(wire, trace).await?;
            let next = sequence.wrapping_add(1);
            match packet.split_first() {
                Some((&OK, _)) => return Ok(()),
                Some((&ERROR, _)) => match Refusal::of(&packet) {
                    Some(refusal) => return Err(NotIn::Refused(refusal)),
                    None => break,
                },
                Some((&SWITCH, rest)) => {
                    let Some((plugin, scramble)) = until_zero(rest) else { break };
                    let plugin = quote(plugin);
                    let scramble = &scramble[..scramble.len().min(20)];
                    let proof = proof(&plugin, self.password(), scramble)
                        .ok_or_else(|| unknown_way(wire, &plugin))?;
                    send(wire, next, &proof).await?;
                }
                Some((&MORE, &[FAST_OK])) => {}
                Some((&MORE, &[WANTS_PASSWORD])) if self.is_encrypted => {
                    let mut password = self.password().as_bytes().to_vec();
                    password.push(0);
                    send(wire, next, &password).await?;
                }
                Some((&MORE, &[WANTS_PASSWORD])) => {
                    let told = format!(
                        "{} wants the password itself, which is sent over TLS alone: give the server a certificate, or \
                         let this user log in elsewhere first",
                        wire.peer()
                    );
                    return Err(Fault::unknown(told).into());
                }
                _ => break,
            }
        }
        Err(Fault::down(format!("{} breaks the rules of the login", wire.peer())).into())
    }

    /// Returns the packet that answers the greeting.
    fn first(&self) -> Vec<u8> {
        let greeting = self.greeting;
        let mut packet = head(self.capabilities);
        let user = self.mysql.credentials.user.as_deref().unwrap_or(USUAL_USER);
        packet.extend_from_slice(user.as_bytes());
        packet.push(0);
        // A way that is not known here is not begun; the server then proposes the one of this user.
        let (plugin, proof) = match proof(&greeting.plugin, self.password(), &greeting.scramble) {
            Some(proof) => (greeting.plugin.as_str(), proof),
            None => (NATIVE, proof(NATIVE, self.password(), &greeting.scramble).unwrap_or_default()),
        };
        packet.push(u8::try_from(proof.len()).unwrap_or_default());
        packet.extend_from_slice(&proof);
        if self.capabilities & can::CONNECT_WITH_DB != 0 {
            packet.extend_from_slice(self.mysql.database.as_deref().unwrap_or_default().as_bytes());
            packet.push(0);
        }
        packet.extend_from_slice(plugin.as_bytes());
        packet.push(0);
        packet
    }
}

fn unknown_way(wire: &Wire, plugin: &str) -> Fault {
    Fault::unknown(format!(
        "{} wants the way of logging in `{plugin}`, which is not known here: let this user in by {CACHING_SHA2} or {NATIVE}",
        wire.peer()
    ))
}

/// Proves that the password is known without telling it; nothing where the way is unknown. No password has no proof.
fn proof(plugin: &str, password: &str, scramble: &[u8]) -> Option<Vec<u8>> {
    let is_native = match plugin {
        NATIVE => true,
        CACHING_SHA2 => false,
        _ => return None,
    };
    if password.is_empty() {
        return Some(Vec::new());
    }
    let algorithm = if is_native { &SHA1_FOR_LEGACY_USE_ONLY } else { &SHA256 };
    let once = digest(algorithm, password.as_bytes());
    let twice = digest(algorithm, once.as_ref());
    let mut context = Context::new(algorithm);
    // The same two things in the order that each way has chosen.
    for part in if is_native { [scramble, twice.as_ref()] } else { [twice.as_ref(), scramble] } {
        context.update(part);
    }
    let mask = context.finish();
    Some(once.as_ref().iter().zip(mask.as_ref()).map(|(byte, mask)| byte ^ mask).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_proven_as_the_servers_check_it() {
        // What a server stores of the password is the hash of its hash: it takes the mask off and hashes once.
        for (plugin, algorithm) in [(NATIVE, &SHA1_FOR_LEGACY_USE_ONLY), (CACHING_SHA2, &SHA256)] {
            let scramble = b"abcdefghijklmnopqrst";
            let stored = digest(algorithm, digest(algorithm, b"hunter2").as_ref());
            let parts: [&[u8]; 2] =
                if plugin == NATIVE { [scramble, stored.as_ref()] } else { [stored.as_ref(), scramble] };
            let mask = digest(algorithm, &parts.concat());
            let proof = proof(plugin, "hunter2", scramble).unwrap();
            let once: Vec<u8> = proof.iter().zip(mask.as_ref()).map(|(byte, mask)| byte ^ mask).collect();
            assert_eq!(digest(algorithm, &once).as_ref(), stored.as_ref());
        }
        assert_eq!(proof(NATIVE, "", b"x"), Some(Vec::new()));
        assert_eq!(proof("client_ed25519", "hunter2", b"x"), None);
    }
}
