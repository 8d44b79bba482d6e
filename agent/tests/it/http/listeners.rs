//! Binding: what is taken, what is left alone, and the sentences about it.

use std::net::SocketAddr;
use std::path::Path;

use zv_agent::http::{Limits, ListenOptions, bind};

use super::harness::Setup;

fn options(tcp: &[SocketAddr], unix: Option<&Path>) -> ListenOptions {
    ListenOptions {
        tcp: tcp.to_vec(),
        unix: unix.map(Path::to_owned),
        unix_group: None,
        tls: None,
        limits: Limits::STANDARD,
    }
}

#[test]
fn an_address_in_use_is_named_with_what_to_do_and_no_runtime_is_needed() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("zv.sock");
    let first = bind(options(&["127.0.0.1:0".parse().unwrap()], Some(&socket))).unwrap();
    let address = first.addresses()[0];
    let error = bind(options(&[address], None)).unwrap_err().to_string();
    let expected = format!(
        "cannot listen on {address}: another process listens there; stop it, or set `api.listen` to another address"
    );
    assert_eq!(error, expected);
    let error = bind(options(&[], Some(&socket))).unwrap_err().to_string();
    assert!(error.contains("zv.sock") && error.contains("an agent answers there already"), "{error}");
    let error = bind(options(&["198.51.100.7:0".parse().unwrap()], None)).unwrap_err().to_string();
    assert!(error.contains("no interface of this host"), "{error}");
    drop(first);
    bind(options(&[address], Some(&socket))).unwrap();
}

#[tokio::test]
async fn a_socket_that_a_killed_agent_left_is_taken_over() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("zv.sock");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    drop(bind(options(&[], Some(&path))).unwrap());
}

#[tokio::test]
async fn the_client_says_that_nobody_is_there() {
    let mut served = Setup::plain().serve();
    let (tcp, unix) = (served.client(), served.unix_client(None));
    served.begin_stop();
    served.stopped().await;
    assert!(!served.unix.exists(), "the socket's file goes with the agent");
    for client in [tcp, unix] {
        let error = client.snapshot().await.unwrap_err();
        assert!(error.is_absence() && error.to_string().contains("start it with \"zv agent\""), "{error}");
    }
}
