//! Who may read and who may act, over real sockets.

use std::net::{IpAddr, SocketAddr, UdpSocket};

use zv_agent::http::ReadRight;
use zv_api::client::Client;
use zv_api::{Action, ActionRequest};

use super::harness::{PATIENCE, Served, Setup, TOKEN, raw, request, status};

/// Returns an address of this machine that is not loopback, if there is one. Nothing is sent.
fn own_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.254:9").ok()?;
    Some(socket.local_addr().ok()?.ip()).filter(|ip| !ip.is_loopback() && !ip.is_unspecified())
}

async fn reads(client: &Client) -> Option<u16> {
    client.snapshot().await.err().map(|error| error.status().unwrap())
}

async fn acts(client: &Client) -> Option<u16> {
    let request = ActionRequest {
        action: Action::Restart,
        stack: None,
        service: "api".to_owned(),
        replica: None,
        grace_seconds: None,
    };
    client.act(&request, PATIENCE).await.err().map(|error| error.status().unwrap())
}

/// Asks with no token, the right one and a wrong one, over one endpoint.
async fn answers(served: &Served, endpoint: &str) -> [(Option<u16>, Option<u16>); 3] {
    let mut answers = [(None, None); 3];
    for (answer, token) in answers.iter_mut().zip([None, Some(TOKEN), Some("wrong")]) {
        let client = served.client_at(endpoint, token);
        client.healthy().await.expect("health needs no token");
        *answer = (reads(&client).await, acts(&client).await);
    }
    answers
}

#[tokio::test]
async fn tokens_over_every_kind_of_address() {
    const NO: Option<u16> = Some(401);
    for (read, near) in [(ReadRight::Open, None), (ReadRight::Token, NO)] {
        let mut addresses: Vec<SocketAddr> = vec!["127.0.0.1:0".parse().unwrap()];
        addresses.extend(own_address().map(|ip| SocketAddr::new(ip, 0)));
        let served = Setup { read, addresses, ..Setup::plain() }.serve();
        let expected = [(near, NO), (None, None), (near, NO)];
        assert_eq!(answers(&served, &format!("http://{}", served.addresses[0])).await, expected);
        assert_eq!(answers(&served, &format!("unix://{}", served.unix.display())).await, expected);
        match served.addresses.get(1) {
            Some(far) => {
                let expected = [(NO, NO), (None, None), (NO, NO)];
                assert_eq!(answers(&served, &format!("http://{far}")).await, expected);
            }
            None => println!("skipped: this machine has no address but loopback"),
        }
    }
}

#[tokio::test]
async fn the_client_says_what_to_do_about_a_token() {
    let served = Setup { read: ReadRight::Token, ..Setup::plain() }.serve();
    let endpoint = format!("http://{}", served.address());
    let missing = served.client_at(&endpoint, None).snapshot().await.unwrap_err().to_string();
    assert!(missing.contains("wants a token") && missing.contains("Authorization: Bearer …"), "{missing}");
    let wrong = served.client_at(&endpoint, Some("wrong-one")).snapshot().await.unwrap_err().to_string();
    assert!(wrong.contains("does not know this token") && !wrong.contains("wrong-one"), "{wrong}");
    let unsendable = served.client_at(&endpoint, Some("a\nb")).snapshot().await.unwrap_err().to_string();
    assert!(unsendable.contains("cannot be sent") && !unsendable.contains("a\nb"), "{unsendable}");
    let answer = raw(served.tcp().await, &request("GET", "/api/zv/v1/stack", "", "")).await;
    assert!(answer.to_lowercase().contains("www-authenticate: bearer"), "{answer}");
    assert!(!answer.contains(TOKEN), "{answer}");
}

#[tokio::test]
async fn a_page_of_another_site_reaches_nothing() {
    let served = Setup { hosts: vec!["zv.example".to_owned()], ..Setup::plain() }.serve();
    let asked = async |host: &str| {
        let request = format!("GET /api/zv/v1/stack HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        raw(served.tcp().await, &request).await
    };
    assert_eq!(status(&asked("zv.example").await), 200);
    let answer = asked("rebound.example:9780").await;
    assert_eq!(status(&answer), 421);
    assert!(answer.contains("`api.hosts`"), "{answer}");
    assert!(!answer.to_lowercase().contains("access-control-allow"), "{answer}");
    let form = format!("Authorization: Bearer {TOKEN}\r\nContent-Type: text/plain\r\n");
    let answer = raw(served.tcp().await, &request("POST", "/api/zv/v1/actions", &form, "{}")).await;
    assert_eq!(status(&answer), 415);
    assert_eq!(served.source.asked(), [""; 0]);
}

#[tokio::test]
async fn the_oldest_http_is_for_the_unix_socket_only() {
    let served = Setup::plain().serve();
    let old = "GET /api/zv/v1/stack HTTP/1.0\r\n\r\n";
    assert_eq!(status(&raw(served.tcp().await, old).await), 400);
    assert_eq!(status(&raw(served.unix().await, old).await), 200);
}
