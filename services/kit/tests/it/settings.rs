//! What an operator is told who got the settings wrong.

use zv_kit::{Environment, Service, Settings};

use crate::harness::Captured;

#[tokio::test]
async fn all_mistakes_are_told_at_once() {
    let wrong: Environment = [
        ("BIND", "localhost"),
        ("PORT", "70000"),
        ("LISTEN", "8080"),
        ("DRAIN_GRACE", "ten"),
        ("REQUEST_TIMEOUT", "0s"),
        ("MAX_BODY", "1 TB"),
        ("MAX_CONNECTIONS", "0"),
        ("LOG_LEVEL", "chatty"),
        ("ZV_REPLICA", "a b"),
    ]
    .into_iter()
    .collect();
    let mistakes = Settings::from_environment(&wrong).unwrap_err();
    let expected = [
        "`BIND` is `localhost`: give an IP address, such as 127.0.0.1 or 0.0.0.0",
        "`PORT` is `70000`: give a number from 0 to 65535",
        "`LISTEN` is `8080`: give an IP address and a port, such as 127.0.0.1:8080",
        "`DRAIN_GRACE` is `ten`: give a number and a unit up to a day, such as 500ms, 30s or 5m",
        "`REQUEST_TIMEOUT` is `0s`: give more than zero",
        "`MAX_BODY` is `1 TB`: give a number of bytes, such as 65536, 512KiB or 1MiB",
        "`MAX_CONNECTIONS` is `0`: give a number from 1 to 1000000",
        "`LOG_LEVEL` is `chatty`: give debug, info, warn or error",
        "`ZV_REPLICA` is not a name: give at most 128 visible ASCII characters",
    ];
    assert_eq!(mistakes.iter().collect::<Vec<_>>(), expected);

    let log = Captured::default();
    Service::new("tested", "1.2.3").log_to(log.clone()).refuse(&mistakes).await;
    let told: Vec<_> = log.lines().iter().map(|line| line["error"].as_str().unwrap().to_owned()).collect();
    assert_eq!(told, expected);
}

#[test]
fn a_lead_longer_than_the_grace_is_a_mistake() {
    let wrong: Environment = [("DRAIN_GRACE", "5s"), ("DRAIN_LEAD", "6s")].into_iter().collect();
    let mistakes = Settings::from_environment(&wrong).unwrap_err();
    assert_eq!(mistakes.to_string(), "`DRAIN_LEAD` is longer than `DRAIN_GRACE`, of which it is a part");
}

#[tokio::test]
async fn a_port_in_use_is_named() {
    let holder = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = holder.local_addr().unwrap().to_string();
    let environment: Environment = [("LISTEN", address.as_str())].into_iter().collect();
    let settings = Settings::from_environment(&environment).unwrap();
    let error = Service::new("tested", "1.2.3").log_to(Captured::default()).bind(settings).await.unwrap_err();
    let expected =
        format!("cannot listen on {address}; free it, or set `PORT`, `BIND` or `LISTEN` to another");
    assert_eq!(error.to_string(), expected);
}
