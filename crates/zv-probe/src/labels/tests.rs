//! Every label, where its probe goes, and what mistakes say.

use super::*;
use crate::judge::Confirm;

fn asked(labels: &[(&str, &str)], addresses: &[&str], ports: &[&str]) -> Result<Vec<Labelled>, String> {
    let labels =
        labels.iter().map(|(name, value)| (format!("{PREFIX}{name}"), (*value).to_owned())).collect();
    let addresses: Vec<IpAddr> = addresses.iter().map(|address| address.parse().unwrap()).collect();
    let ports: Vec<String> = ports.iter().map(|port| (*port).to_owned()).collect();
    targets(&labels, &Place { name: "web-1", addresses: &addresses, ports: &ports })
        .map_err(|error| error.to_string())
}

fn one(kind: &str, value: &str) -> Result<String, String> {
    let ports = ["0.0.0.0:32768->80/tcp", "127.0.0.1:53->53/udp"];
    asked(&[(kind, value)], &["10.0.0.2", "10.1.0.2"], &ports).map(|found| found[0].target.name.clone())
}

#[test]
fn a_port_is_the_replicas_own() {
    for (kind, value, target) in [
        ("http", ":8080/health", "http://10.0.0.2:8080/health"),
        ("http", "8080/health?deep=1", "http://10.0.0.2:8080/health?deep=1"),
        ("http", "8080", "http://10.0.0.2:8080/"),
        ("http", "/health", "http://10.0.0.2/health"),
        ("http", "https://shop.example/", "https://shop.example/"),
        ("https", "8443/", "https://10.0.0.2:8443/"),
        ("tcp", "25", "tcp://10.0.0.2:25"),
        ("tcp", "mail:25", "tcp://mail:25"),
        ("tls", "443?name=shop.example", "tls://10.0.0.2:443?name=shop.example"),
        ("redis", "on", "redis://10.0.0.2:6379"),
        ("postgres", "5433", "postgres://10.0.0.2:5433"),
        ("postgres", "postgres://me:hunter2@db/shop", "postgres://db/shop"),
        ("mysql", "true", "mysql://10.0.0.2:3306"),
        ("dns", "example.org", "dns://10.0.0.2:53/example.org"),
        ("dns", "5353/example.org?type=AAAA", "dns://10.0.0.2:5353/example.org?type=AAAA"),
    ] {
        let found = if kind == "dns" && !value.contains('/') {
            asked(&[(kind, value)], &["10.0.0.2"], &[]).map(|found| found[0].target.name.clone())
        } else {
            one(kind, value)
        };
        assert_eq!(found.as_deref(), Ok(target), "{kind}={value}");
    }
}

#[test]
fn without_an_address_of_its_own_it_is_asked_where_it_is_published() {
    let at =
        |value: &str, ports: &[&str]| asked(&[("http", value)], &[], ports).unwrap()[0].target.name.clone();
    assert_eq!(at("/", &["0.0.0.0:8081->80/tcp"]), "http://127.0.0.1:8081/");
    assert_eq!(at("80/x", &["[::]:8081->80/tcp"]), "http://[::1]:8081/x");
    assert_eq!(at("9000/x", &["0.0.0.0:8081->80/tcp"]), "http://127.0.0.1:9000/x");
    // A process: it listens where it says.
    let process = asked(&[("http", "/health")], &["127.0.0.1"], &["127.0.0.1:40001"]).unwrap();
    assert_eq!(process[0].target.name, "http://127.0.0.1:40001/health");
}

#[test]
fn every_network_of_a_replica_is_tried() {
    let found = asked(&[("tcp", "25")], &["10.0.0.2", "10.1.0.2"], &[]).unwrap();
    assert_eq!(found[0].target.addresses.len(), 2);
    let elsewhere = asked(&[("tcp", "mail:25")], &["10.0.0.2", "10.1.0.2"], &[]).unwrap();
    assert!(elsewhere[0].target.addresses.is_empty());
}

#[test]
fn settings_hold_for_each_probe_of_the_replica() {
    let found = asked(
        &[
            ("http", "80/"),
            ("tcp", "25"),
            ("interval", "1m30s"),
            ("timeout", "2s"),
            ("within", "300ms"),
            ("confirm", "3 of 5"),
            ("status", "2xx,304"),
            ("contains", "ok"),
        ],
        &["10.0.0.2"],
        &[],
    )
    .unwrap();
    assert_eq!(found.iter().map(|probe| probe.kind).collect::<Vec<_>>(), ["http", "tcp"]);
    for probe in &found {
        assert_eq!(probe.target.timeout, Duration::from_secs(2));
        assert_eq!(probe.target.within, Some(Duration::from_millis(300)));
        assert_eq!(probe.pace.confirm, Confirm::new(3, 5).unwrap());
        assert_eq!(probe.pace.schedule.interval(false), Duration::from_secs(90));
    }
    let Check::Http(http) = &found[0].target.check else { panic!() };
    assert!(http.expect.status.contains(304) && http.expect.body.len() == 1);
    assert!(asked(&[], &[], &[]).unwrap().is_empty());
}

#[test]
fn a_mistake_says_what_to_write() {
    for (labels, told) in [
        (&[("http", "/health")][..], "publishes no port; say which one: `:8080/health`"),
        (&[("http", "health")], "`health` is not understood; write it like `:8080/health`"),
        (&[("http", "99999/")], "not understood"),
        (&[("http", "tcp://a:1")], "`tcp://` is another kind; write `http://…`"),
        (&[("tcp", "25/x")], "nothing to say after the port"),
        (&[("htpp", "80/")], "`zv.probe.htpp` is no label of a probe; known after `zv.probe.`: http"),
        (&[("exec", "rm -rf /")], "a label does not run programs"),
        (&[("interval", "10s")], "how to probe and not what"),
        (&[("tcp", "25"), ("status", "200")], "`zv.probe.status`: it is of `zv.probe.http`"),
        (&[("tcp", "25"), ("interval", "10")], "`zv.probe.interval`: write a time like `10s`"),
        (&[("tcp", "25"), ("timeout", "0s")], "of a day at most"),
        (&[("tcp", "25"), ("confirm", "4 of 3")], "`4 of 3` cannot be meant"),
        (&[("http", "80"), ("status", "20")], "no set of status codes"),
        (&[("http", " ")], "`zv.probe.http` is empty"),
    ] {
        let error = asked(labels, &[], &[]).unwrap_err();
        assert!(error.contains(told), "{labels:?}: {error}");
    }
    let several = asked(&[("htpp", "80/"), ("tcp", "x")], &[], &[]).unwrap_err();
    assert!(several.contains("htpp") && several.contains("zv.probe.tcp"), "{several}");
    let secret = asked(&[("postgres", "postgres://me:hunter2@db:0/x")], &[], &[]).unwrap_err();
    assert!(!secret.contains("hunter2"), "{secret}");
}
