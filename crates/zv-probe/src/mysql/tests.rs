//! Servers that are scripted byte by byte; the real one is in `tests/it`.

use proptest::prelude::*;
use tokio::io::AsyncWriteExt;

use super::*;
use crate::{Check, Target};

fn greeting(capabilities: u32, plugin: &str) -> Vec<u8> {
    let mut packet = b"\x0a8.4.0\0\x01\0\0\0abcdefgh\0".to_vec();
    let bits = capabilities.to_le_bytes();
    packet.extend_from_slice(&[bits[0], bits[1], 45, 2, 0, bits[2], bits[3], 21]);
    packet.extend_from_slice(&[0; 10]);
    packet.extend_from_slice(b"ijklmnopqrst\0");
    packet.extend_from_slice(plugin.as_bytes());
    packet.push(0);
    packet
}

/// Runs the dialogue against a server that says all of this, whatever it hears.
async fn heard(url: &str, packets: &[&[u8]]) -> String {
    let Check::Mysql(mysql) = Target::parse(url).unwrap().check else { panic!() };
    let (ours, mut theirs) = tokio::io::duplex(256 * 1024);
    for (number, packet) in packets.iter().enumerate() {
        theirs.write_all(&packet::framed(u8::try_from(number * 2).unwrap(), packet)).await.unwrap();
    }
    theirs.shutdown().await.unwrap();
    let (mut wire, mut trace) = (Wire::new(Box::new(ours), "it"), Trace::new());
    let dialogue = async {
        let (sequence, greeting) = greeted(&mut wire, &mut trace).await?;
        let capabilities = capabilities(&mysql, false);
        let login = login::Login { mysql: &mysql, greeting: &greeting, capabilities, is_encrypted: false };
        speak(&login, sequence.wrapping_add(1), &mut wire, &mut trace).await
    };
    dialogue.await.unwrap_or_else(|fault| fault.reason)
}

const OK_PACKET: &[u8] = &[OK, 0, 0, 2, 0, 0, 0];

#[tokio::test]
async fn a_server_is_well_once_it_answered_a_ping() {
    for plugin in ["mysql_native_password", "caching_sha2_password", "something_else", ""] {
        let told = heard("mysql://me:x@h/db", &[&greeting(0xf_ffff, plugin), OK_PACKET, OK_PACKET]).await;
        assert_eq!(told, "8.4.0");
    }
    let sha2 = greeting(0xf_ffff, "caching_sha2_password");
    assert_eq!(heard("mysql://me:x@h", &[&sha2, &[1, 3], OK_PACKET, OK_PACKET]).await, "8.4.0");
    let switch = b"\xfemysql_native_password\0abcdefghijklmnopqrst\0";
    assert_eq!(heard("mysql://me:x@h", &[&sha2, switch, OK_PACKET, OK_PACKET]).await, "8.4.0");
}

#[tokio::test]
async fn its_own_words_are_the_reason() {
    let denied = b"\xff\x15\x04#28000Access denied for user 'me'";
    let greeting = greeting(0xf_ffff, "mysql_native_password");
    assert_eq!(
        heard("mysql://me:x@h", &[&greeting, denied]).await,
        "it refuses: Access denied for user 'me'"
    );
    assert_eq!(heard("mysql://h", &[&greeting, denied]).await, "asks for a login");
    assert_eq!(
        heard("mysql://h", &[b"\xff\x10\x04Too many connections"]).await,
        "it refuses: Too many connections"
    );
    let plain = heard("mysql://me:x@h", &[&greeting, &[1, 4]]).await;
    assert!(plain.contains("sent over TLS alone"), "{plain}");
    let unknown = heard("mysql://me:x@h", &[&greeting, b"\xfeclient_ed25519\0abc"]).await;
    assert!(unknown.contains("`client_ed25519`"), "{unknown}");
}

#[tokio::test]
async fn garbage_is_told_as_such() {
    for (packets, told) in [
        (&[&b"\x09old"[..]][..], "does not speak"),
        (&[], "closed the connection"),
        (&[b"\x0a8.4.0"], "does not speak"),
        (&[b"\xff"], "does not speak"),
    ] {
        let heard = heard("mysql://me:x@h", packets).await;
        assert!(heard.contains(told), "{packets:?}: {heard}");
    }
}

proptest! {
    #[test]
    fn no_packets_break_the_login(
        first in proptest::collection::vec(any::<u8>(), 0..80),
        packets in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..20), 0..6),
    ) {
        Greeting::parse(&first);
        Greeting::parse(&[&b"\x0a\0"[..], &first].concat());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let greeting = greeting(0xf_ffff, "caching_sha2_password");
        let mut all: Vec<&[u8]> = vec![&greeting];
        all.extend(packets.iter().map(Vec::as_slice));
        runtime.block_on(heard("mysql://me:x@h", &all));
    }
}
