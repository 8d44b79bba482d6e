//! MySQL and MariaDB: a whole login, a ping and a goodbye. A probe that leaves after the greeting counts as an error
//! there, and after enough of them (`max_connect_errors`) the server blocks the host.

mod login;
mod packet;

use crate::connect;
use crate::prober::Prober;
use crate::target::{Encryption, Mysql};
use crate::tls::{self, Trust};
use crate::trace::{Phase, Trace};
use crate::verdict::Fault;
use crate::wire::Wire;
use crate::words::quote;
use packet::{Greeting, OK, Refusal, read, send};

const COM_QUIT: u8 = 0x01;
const COM_PING: u8 = 0x0e;
/// Asked as whoever is not named.
const USUAL_USER: &str = "zv";

/// What both sides can do, as bits of the protocol.
mod can {
    pub(super) const LONG_PASSWORD: u32 = 0x1;
    pub(super) const CONNECT_WITH_DB: u32 = 0x8;
    pub(super) const PROTOCOL_41: u32 = 0x200;
    pub(super) const SSL: u32 = 0x800;
    pub(super) const TRANSACTIONS: u32 = 0x2000;
    pub(super) const SECURE_CONNECTION: u32 = 0x8000;
    pub(super) const PLUGIN_AUTH: u32 = 0x8_0000;
}

/// Runs a probe.
pub(crate) async fn check(
    mysql: &Mysql,
    prober: &Prober,
    trust: &Trust,
    trace: &mut Trace,
) -> Result<String, Fault> {
    let mut wire = connect::tcp(&mysql.endpoint, prober, trace).await?;
    trace.enter_for(Phase::Processing, wire.peer().to_owned());
    let (mut sequence, greeting) = greeted(&mut wire, trace).await?;
    let encrypts = match (mysql.encryption, greeting.capabilities & can::SSL != 0) {
        (Encryption::Never, _) | (Encryption::IfOffered, false) => false,
        (_, true) => true,
        (_, false) => return Err(Fault::down(format!("{} offers no TLS", wire.peer()))),
    };
    let capabilities = capabilities(mysql, encrypts);
    if encrypts {
        sequence = sequence.wrapping_add(1);
        send(&mut wire, sequence, &head(capabilities)).await?;
        let (io, peer) = wire.into_clean_io()?;
        let trust = if mysql.encryption == Encryption::Verified { trust } else { &prober.anything };
        wire = tls::upgrade(io, peer, &mysql.endpoint.host, trust, trace).await?;
        trace.enter_for(Phase::Processing, wire.peer().to_owned());
    }
    let login = login::Login { mysql, greeting: &greeting, capabilities, is_encrypted: encrypts };
    speak(&login, sequence.wrapping_add(1), &mut wire, trace).await
}

/// Waits for the greeting, which may be a refusal already.
async fn greeted(wire: &mut Wire, trace: &mut Trace) -> Result<(u8, Greeting), Fault> {
    let (sequence, packet) = read(wire, trace).await?;
    if let Some(refusal) = Refusal::of(&packet) {
        return Err(refused(wire, &refusal));
    }
    match Greeting::parse(&packet) {
        Some(greeting) => Ok((sequence, greeting)),
        None => Err(Fault::down(format!(
            "{} does not speak the protocol of MySQL: `{}`",
            wire.peer(),
            quote(&packet)
        ))),
    }
}

async fn speak(
    login: &login::Login<'_>,
    sequence: u8,
    wire: &mut Wire,
    trace: &mut Trace,
) -> Result<String, Fault> {
    match login.log_in(sequence, wire, trace).await {
        Ok(()) => {}
        // Nobody gave it a name; that it asks for one shows that it is there.
        Err(login::NotIn::Refused(refusal)) if login.is_anonymous() && refusal.is_about_login() => {
            return Ok("asks for a login".to_owned());
        }
        Err(login::NotIn::Refused(refusal)) => return Err(refused(wire, &refusal)),
        Err(login::NotIn::Fault(fault)) => return Err(fault),
    }
    send(wire, 0, &[COM_PING]).await?;
    let (_, packet) = read(wire, trace).await?;
    if let Some(refusal) = Refusal::of(&packet) {
        return Err(refused(wire, &refusal));
    }
    if packet.first() != Some(&OK) {
        return Err(Fault::down(format!("{} does not answer to a ping", wire.peer())));
    }
    let goodbye = packet::framed(0, &[COM_QUIT]);
    wire.bid_farewell(&goodbye).await;
    Ok(login.greeting.version.clone())
}

fn refused(wire: &Wire, refusal: &Refusal) -> Fault {
    Fault::down(format!("{} refuses: {}", wire.peer(), refusal.text))
}

fn capabilities(mysql: &Mysql, encrypts: bool) -> u32 {
    let mut bits =
        can::LONG_PASSWORD | can::PROTOCOL_41 | can::TRANSACTIONS | can::SECURE_CONNECTION | can::PLUGIN_AUTH;
    if encrypts {
        bits |= can::SSL;
    }
    if mysql.database.is_some() {
        bits |= can::CONNECT_WITH_DB;
    }
    bits
}

/// What begins the request for TLS and the login alike: capabilities, the largest packet, the character set.
fn head(capabilities: u32) -> Vec<u8> {
    const LARGEST: u32 = 1 << 24;
    const UTF8MB4: u8 = 45;
    let mut bytes = capabilities.to_le_bytes().to_vec();
    bytes.extend_from_slice(&LARGEST.to_le_bytes());
    bytes.push(UTF8MB4);
    bytes.extend_from_slice(&[0; 23]);
    bytes
}

#[cfg(test)]
mod tests;
