//! Servers that are scripted byte by byte; the real one is in `tests/it`.

use proptest::prelude::*;
use tokio::io::AsyncWriteExt;

use super::*;
use crate::{Check, Target};

/// Returns a message of the server.
fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![kind];
    bytes.extend_from_slice(&u32::try_from(body.len() + 4).unwrap().to_be_bytes());
    bytes.extend_from_slice(body);
    bytes
}

fn authentication(kind: u32) -> Vec<u8> {
    message(b'R', &kind.to_be_bytes())
}

async fn heard(url: &str, answers: &[u8]) -> String {
    let Check::Postgres(postgres) = Target::parse(url).unwrap().check else { panic!() };
    let (ours, mut theirs) = tokio::io::duplex(256 * 1024);
    theirs.write_all(answers).await.unwrap();
    theirs.shutdown().await.unwrap();
    let mut wire = Wire::new(Box::new(ours), "it");
    speak(&postgres, &mut wire, &mut Trace::new()).await.unwrap_or_else(|fault| fault.reason)
}

fn all(messages: &[Vec<u8>]) -> Vec<u8> {
    messages.concat()
}

#[tokio::test]
async fn a_server_is_well_once_it_answered_a_query() {
    let ready = message(b'Z', b"I");
    let version = message(b'S', b"server_version\x0015.3\0");
    let row = message(b'D', &[0, 1, 0, 0, 0, 1, b'1']);
    let answers = all(&[authentication(0), version, ready.clone(), row, ready.clone()]);
    assert_eq!(heard("postgres://me@h", &answers).await, "PostgreSQL 15.3");
    let empty = all(&[authentication(0), ready.clone(), ready]);
    assert_eq!(heard("postgres://me@h", &empty).await, "it has no answer to `select 1`");
}

#[tokio::test]
async fn its_own_words_are_the_reason() {
    let error = message(b'E', b"SFATAL\0C57P03\0Mthe database system is starting up\0\0");
    assert_eq!(heard("postgres://h", &error).await, "it refuses: the database system is starting up");
    let wrong = message(b'E', b"C28P01\0Mpassword authentication failed\0\0");
    assert_eq!(heard("postgres://h", &wrong).await, "asks for a login");
    assert_eq!(heard("postgres://me:x@h", &wrong).await, "it refuses: password authentication failed");
    assert_eq!(heard("postgres://h", &authentication(3)).await, "asks for a login");
    let asked = heard("postgres://me@h", &authentication(3)).await;
    assert_eq!(asked, "it asks for the password of `me`, and none is given");
}

#[tokio::test]
async fn garbage_is_told_as_such() {
    for (answers, told) in [
        (&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], "longer than 64 KiB"),
        (b"\x00\x00\x00\x00\x00\x00", "does not speak"),
        (b"R\x00\x00\x00\x01", "does not speak"),
        (b"", "closed the connection"),
        (b"R\x00\x00\x00\x08\x00\x00\x00\x0b", "breaks the rules"),
    ] {
        let heard = heard("postgres://me:x@h", answers).await;
        assert!(heard.contains(told), "{answers:?}: {heard}");
    }
}

proptest! {
    #[test]
    fn no_messages_break_the_login(messages in proptest::collection::vec((any::<u8>(), any::<Vec<u8>>()), 0..6)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let bytes: Vec<u8> = messages.iter().flat_map(|(kind, body)| message(b"RZESDKN"[usize::from(kind % 7)], body)).collect();
        runtime.block_on(heard("postgres://me:x@h", &bytes));
    }
}
