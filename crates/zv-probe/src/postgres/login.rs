//! The ways in which a PostgreSQL server lets somebody in.

use fallible_iterator::FallibleIterator;
use postgres_protocol::authentication::md5_hash;
use postgres_protocol::authentication::sasl::{ChannelBinding, SCRAM_SHA_256, ScramSha256};
use postgres_protocol::message::{backend, frontend};

use super::{Complaint, MOST_MESSAGES, read, refusal, send};
use crate::target::Postgres;
use crate::trace::Trace;
use crate::verdict::Fault;
use crate::wire::Wire;

/// Servers ask for 4096 rounds, careful ones for a few more. A number without an end would keep this thread busy beyond
/// any deadline.
const MOST_ROUNDS: u64 = 200_000;

/// How far the login came.
pub(super) enum Outcome {
    LoggedIn,
    /// It wants to know more than was given, which is nothing.
    AsksForLogin,
}

/// Answers whatever the server asks until it lets us in.
pub(super) async fn log_in(
    postgres: &Postgres,
    user: &str,
    wire: &mut Wire,
    trace: &mut Trace,
) -> Result<Outcome, Fault> {
    let mut scram: Option<ScramSha256> = None;
    for _ in 0..MOST_MESSAGES {
        let message = read(wire, trace).await?;
        let asks = matches!(
            message,
            backend::Message::AuthenticationCleartextPassword
                | backend::Message::AuthenticationMd5Password(_)
                | backend::Message::AuthenticationSasl(_)
        );
        if asks && postgres.credentials.is_anonymous() {
            return Ok(Outcome::AsksForLogin);
        }
        let password = || {
            let missing = || {
                Fault::down(format!("{} asks for the password of `{user}`, and none is given", wire.peer()))
            };
            postgres
                .credentials
                .password
                .as_ref()
                .map(|password| password.expose().to_owned())
                .ok_or_else(missing)
        };
        match message {
            backend::Message::AuthenticationOk => return Ok(Outcome::LoggedIn),
            backend::Message::AuthenticationCleartextPassword => {
                let password = password()?;
                send(wire, |buffer| frontend::password_message(password.as_bytes(), buffer)).await?;
            }
            backend::Message::AuthenticationMd5Password(body) => {
                let hash = md5_hash(user.as_bytes(), password()?.as_bytes(), body.salt());
                send(wire, |buffer| frontend::password_message(hash.as_bytes(), buffer)).await?;
            }
            backend::Message::AuthenticationSasl(body) => {
                let mut offered = body.mechanisms();
                let mut known = false;
                while let Ok(Some(mechanism)) = offered.next() {
                    known |= mechanism == SCRAM_SHA_256;
                }
                if !known {
                    return Err(unknown_way(wire));
                }
                let client = ScramSha256::new(password()?.as_bytes(), ChannelBinding::unsupported());
                send(wire, |buffer| frontend::sasl_initial_response(SCRAM_SHA_256, client.message(), buffer))
                    .await?;
                scram = Some(client);
            }
            backend::Message::AuthenticationSaslContinue(body) => {
                let client = scram.as_mut().ok_or_else(|| out_of_turn(wire))?;
                if rounds(body.data()) > MOST_ROUNDS {
                    return Err(out_of_turn(wire));
                }
                client.update(body.data()).map_err(|_| out_of_turn(wire))?;
                send(wire, |buffer| frontend::sasl_response(client.message(), buffer)).await?;
            }
            backend::Message::AuthenticationSaslFinal(body) => {
                let client = scram.as_mut().ok_or_else(|| out_of_turn(wire))?;
                let proven = client.finish(body.data());
                proven.map_err(|_| {
                    Fault::down(format!("{} does not prove that it knows the password", wire.peer()))
                })?;
            }
            backend::Message::ErrorResponse(error) => {
                let complaint = Complaint::of(&error);
                if complaint.is_about_login() && postgres.credentials.is_anonymous() {
                    return Ok(Outcome::AsksForLogin);
                }
                return Err(refusal(wire, &complaint));
            }
            backend::Message::NoticeResponse(_) => {}
            _ => return Err(unknown_way(wire)),
        }
    }
    Err(super::endless(wire))
}

/// Returns how often the server wants the password to be hashed.
fn rounds(challenge: &[u8]) -> u64 {
    let text = String::from_utf8_lossy(challenge);
    let count = text.split(',').find_map(|part| part.strip_prefix("i="));
    count.map_or(0, |count| count.parse().unwrap_or(u64::MAX))
}

fn out_of_turn(wire: &Wire) -> Fault {
    Fault::down(format!("{} breaks the rules of the login", wire.peer()))
}

fn unknown_way(wire: &Wire) -> Fault {
    Fault::unknown(format!(
        "{} wants a way of logging in that is not known here: let this user in by scram-sha-256, md5 or password",
        wire.peer()
    ))
}
