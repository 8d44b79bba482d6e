//! Redis: log in, choose a database, PING.

use bytes::Bytes;

use crate::connect;
use crate::prober::Prober;
use crate::target::Redis;
use crate::tls::{self, Trust};
use crate::trace::{Phase, Trace};
use crate::verdict::Fault;
use crate::wire::Wire;
use crate::words::quote;

/// No answer that is waited for here is longer.
const LINE_LIMIT: usize = 4 * 1024;

/// Runs a probe.
pub(crate) async fn check(
    redis: &Redis,
    prober: &Prober,
    trust: &Trust,
    trace: &mut Trace,
) -> Result<String, Fault> {
    trace.is_listening = true;
    let mut wire = if redis.tls {
        tls::connect(&redis.endpoint, &redis.endpoint.host, prober, trust, trace).await?
    } else {
        connect::tcp(&redis.endpoint, prober, trace).await?
    };
    trace.enter_for(Phase::Processing, wire.peer().to_owned());
    speak(redis, &mut wire, trace).await
}

async fn speak(redis: &Redis, wire: &mut Wire, trace: &mut Trace) -> Result<String, Fault> {
    let login = &redis.credentials;
    if let Some(password) = &login.password {
        let mut words = vec!["AUTH"];
        words.extend(login.user.as_deref());
        words.push(password.expose());
        match ask(wire, &words, trace).await? {
            Reply::Line(_) => {}
            Reply::Error(told) => return Err(refused(wire, "the login", &told)),
        }
    }
    if let Some(database) = redis.database {
        match ask(wire, &["SELECT", &database.to_string()], trace).await? {
            Reply::Error(told) if login.password.is_none() && told.starts_with(b"NOAUTH") => {}
            Reply::Error(told) => return Err(refused(wire, &format!("database {database}"), &told)),
            Reply::Line(_) => {}
        }
    }
    let note = match ask(wire, &["PING"], trace).await? {
        Reply::Line(line) if line.as_ref() == b"PONG" => "answers PING".to_owned(),
        Reply::Line(line) => {
            return Err(Fault::down(format!("{} answers `{}` to PING", wire.peer(), quote(&line))));
        }
        // Nobody gave it a password; that it asks for one shows that it is there.
        Reply::Error(told) if login.is_anonymous() && told.starts_with(b"NOAUTH") => {
            "asks for a password".to_owned()
        }
        Reply::Error(told) => return Err(refused(wire, "PING", &told)),
    };
    wire.bid_farewell(&command(&["QUIT"])).await;
    Ok(note)
}

fn refused(wire: &Wire, what: &str, told: &[u8]) -> Fault {
    Fault::down(format!("{} refuses {what}: {}", wire.peer(), quote(told)))
}

enum Reply {
    Line(Bytes),
    Error(Bytes),
}

/// Sends a command and reads its answer, which is one line for each that is used here.
async fn ask(wire: &mut Wire, words: &[&str], trace: &mut Trace) -> Result<Reply, Fault> {
    wire.send(&command(words)).await?;
    wire.need(1, trace).await?;
    let kind = wire.buffered()[0];
    if kind != b'+' && kind != b'-' {
        return Err(wire.garbage("the protocol of Redis"));
    }
    let line = wire.line(LINE_LIMIT, trace).await?;
    Ok(if kind == b'+' { Reply::Line(line.slice(1..)) } else { Reply::Error(line.slice(1..)) })
}

/// Returns a command with its words counted, so that nothing in them can be taken for another command.
fn command(words: &[&str]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend_from_slice(format!("${}\r\n{word}\r\n", word.len()).as_bytes());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;
    use crate::{Check, Target};

    async fn heard(url: &str, answers: &[u8]) -> Result<String, String> {
        let Check::Redis(redis) = Target::parse(url).unwrap().check else { panic!() };
        let (ours, mut theirs) = tokio::io::duplex(64 * 1024);
        theirs.write_all(answers).await.unwrap();
        // The reading half stays open: a server does not go before it is told to.
        let mut wire = Wire::new(Box::new(ours), "it");
        let heard = if answers.ends_with(b"\n") {
            speak(&redis, &mut wire, &mut Trace::new()).await
        } else {
            drop(theirs);
            speak(&redis, &mut wire, &mut Trace::new()).await
        };
        heard.map_err(|fault| fault.reason)
    }

    #[tokio::test]
    async fn a_server_is_judged_by_what_it_says() {
        let said = async |url, answers: &[u8]| heard(url, answers).await.unwrap_or_else(|reason| reason);
        assert_eq!(said("redis://h", b"+PONG\r\n").await, "answers PING");
        assert_eq!(said("redis://u:p@h/2", b"+OK\r\n+OK\r\n+PONG\r\n").await, "answers PING");
        assert_eq!(said("redis://h", b"-NOAUTH Authentication required.\r\n").await, "asks for a password");
        let wrong = said("redis://:hunter2@h", b"-WRONGPASS invalid\r\n").await;
        assert_eq!(wrong, "it refuses the login: WRONGPASS invalid");
        let loading = said("redis://h", b"-LOADING Redis is loading the dataset in memory\r\n").await;
        assert_eq!(loading, "it refuses PING: LOADING Redis is loading the dataset in memory");
        assert!(said("redis://h", b"HTTP/1.1 400\r\n").await.starts_with("it does not speak"));
    }

    #[test]
    fn words_cannot_become_commands() {
        assert_eq!(command(&["AUTH", "a\r\nFLUSHALL"]), b"*2\r\n$4\r\nAUTH\r\n$11\r\na\r\nFLUSHALL\r\n");
    }
}
