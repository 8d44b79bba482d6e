//! PostgreSQL: a whole login and `select 1`, which a server that merely takes connections cannot do.

mod login;

use bytes::BytesMut;
use fallible_iterator::FallibleIterator;
use postgres_protocol::message::{backend, frontend};

use crate::connect;
use crate::prober::Prober;
use crate::target::{Encryption, Postgres};
use crate::tls::{self, Trust};
use crate::trace::{Phase, Trace};
use crate::verdict::Fault;
use crate::wire::Wire;
use crate::words::{bytes, quote};

/// The code of the message that asks for TLS lies in the protocol's library; its answers are one byte.
const YES: u8 = b'S';
const NO: u8 = b'N';
/// No message that is waited for here is longer.
const MESSAGE_LIMIT: usize = 64 * 1024;
/// Notices and parameters come between what is waited for; nobody sends so many.
const MOST_MESSAGES: usize = 1000;
/// Asked as whoever is not named.
const USUAL_USER: &str = "postgres";

/// Runs a probe.
pub(crate) async fn check(
    postgres: &Postgres,
    prober: &Prober,
    trust: &Trust,
    trace: &mut Trace,
) -> Result<String, Fault> {
    let mut wire = connect::tcp(&postgres.endpoint, prober, trace).await?;
    if postgres.encryption != Encryption::Never {
        wire = encrypted(wire, postgres, prober, trust, trace).await?;
    }
    trace.enter_for(Phase::Processing, wire.peer().to_owned());
    speak(postgres, &mut wire, trace).await
}

async fn encrypted(
    mut wire: Wire,
    postgres: &Postgres,
    prober: &Prober,
    trust: &Trust,
    trace: &mut Trace,
) -> Result<Wire, Fault> {
    let mut request = BytesMut::new();
    frontend::ssl_request(&mut request);
    trace.enter_for(Phase::Tls, wire.peer().to_owned());
    wire.send(&request).await?;
    match wire.take(1, trace).await?[0] {
        YES => {
            let (io, peer) = wire.into_clean_io()?;
            let trust = if postgres.encryption == Encryption::Verified { trust } else { &prober.anything };
            tls::upgrade(io, peer, &postgres.endpoint.host, trust, trace).await
        }
        NO if postgres.encryption == Encryption::IfOffered => Ok(wire),
        NO => Err(Fault::down(format!("{} offers no TLS", wire.peer()))),
        _ => Err(Fault::down(format!("{} does not speak the protocol of PostgreSQL", wire.peer()))),
    }
}

async fn speak(postgres: &Postgres, wire: &mut Wire, trace: &mut Trace) -> Result<String, Fault> {
    let user = postgres.credentials.user.as_deref().unwrap_or(USUAL_USER);
    let mut parameters = vec![("user", user), ("application_name", "zv")];
    parameters.extend(postgres.database.as_deref().map(|database| ("database", database)));
    send(wire, |buffer| frontend::startup_message(parameters, buffer)).await?;
    if let login::Outcome::AsksForLogin = login::log_in(postgres, user, wire, trace).await? {
        return Ok("asks for a login".to_owned());
    }
    let version = ready(wire, trace).await?;
    send(wire, |buffer| frontend::query("select 1", buffer)).await?;
    let mut has_row = false;
    for _ in 0..MOST_MESSAGES {
        match read(wire, trace).await? {
            backend::Message::DataRow(_) => has_row = true,
            backend::Message::ReadyForQuery(_) if has_row => {
                let mut farewell = BytesMut::new();
                frontend::terminate(&mut farewell);
                wire.bid_farewell(&farewell).await;
                return Ok(
                    version.map_or_else(|| "answers".to_owned(), |version| format!("PostgreSQL {version}"))
                );
            }
            backend::Message::ReadyForQuery(_) => {
                return Err(Fault::down(format!("{} has no answer to `select 1`", wire.peer())));
            }
            backend::Message::ErrorResponse(error) => return Err(refusal(wire, &Complaint::of(&error))),
            _ => {}
        }
    }
    Err(endless(wire))
}

/// Waits until the server takes queries; returns the version that it tells on the way.
async fn ready(wire: &mut Wire, trace: &mut Trace) -> Result<Option<String>, Fault> {
    let mut version = None;
    for _ in 0..MOST_MESSAGES {
        match read(wire, trace).await? {
            backend::Message::ParameterStatus(status) => {
                if let (Ok("server_version"), Ok(value)) = (status.name(), status.value()) {
                    version = Some(quote(value.as_bytes()));
                }
            }
            backend::Message::ReadyForQuery(_) => return Ok(version),
            backend::Message::ErrorResponse(error) => return Err(refusal(wire, &Complaint::of(&error))),
            _ => {}
        }
    }
    Err(endless(wire))
}

fn endless(wire: &Wire) -> Fault {
    Fault::down(format!("{} talks and talks and does not answer", wire.peer()))
}

async fn send(
    wire: &mut Wire,
    write: impl FnOnce(&mut BytesMut) -> Result<(), std::io::Error>,
) -> Result<(), Fault> {
    let mut buffer = BytesMut::new();
    write(&mut buffer).map_err(|error| Fault::unknown(format!("this cannot be asked: {error}")))?;
    wire.send(&buffer).await
}

/// Reads one message, whose length is looked at before it is waited for.
async fn read(wire: &mut Wire, trace: &mut Trace) -> Result<backend::Message, Fault> {
    wire.need(5, trace).await?;
    let head = wire.buffered();
    let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]);
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    if !head[0].is_ascii_alphanumeric() || length < 4 {
        return Err(wire.garbage("the protocol of PostgreSQL"));
    }
    if length > MESSAGE_LIMIT {
        let limit = bytes(MESSAGE_LIMIT);
        return Err(Fault::down(format!("{} sends a message longer than {limit}", wire.peer())));
    }
    wire.need(length + 1, trace).await?;
    match backend::Message::parse(wire.buffer_mut()) {
        Ok(Some(message)) => Ok(message),
        Ok(None) | Err(_) => {
            Err(Fault::down(format!("{} does not speak the protocol of PostgreSQL", wire.peer())))
        }
    }
}

/// What a server says is wrong.
struct Complaint {
    /// Five characters, the same in every language.
    code: String,
    text: String,
}

impl Complaint {
    fn of(error: &backend::ErrorResponseBody) -> Self {
        let mut complaint = Self { code: String::new(), text: String::new() };
        let mut fields = error.fields();
        while let Ok(Some(field)) = fields.next() {
            match field.type_() {
                b'C' => complaint.code = quote(field.value_bytes()),
                b'M' => complaint.text = quote(field.value_bytes()),
                _ => {}
            }
        }
        complaint
    }

    /// Says whether it is about who logs in, and not about the server.
    fn is_about_login(&self) -> bool {
        // Invalid authorization; and a database that does not exist, which is looked for as the user's own.
        self.code.starts_with("28") || self.code == "3D000"
    }
}

fn refusal(wire: &Wire, complaint: &Complaint) -> Fault {
    let Complaint { code, text } = complaint;
    let told = if text.is_empty() { code } else { text };
    Fault::down(format!("{} refuses: {told}", wire.peer()))
}

#[cfg(test)]
mod tests;
