//! Servers that accept and never answer, drip, flood, go in circles and speak garbage: each probe ends in time, with a
//! reason that names what happened.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UdpSocket;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use zv_probe::{BodyRule, Check, Http, Report, Target, Verdict, run_all};

use crate::common::{PATIENCE, Server, closed_port, probe, prober, run, target};

/// The time limit of the probes that are meant to run into it.
const LIMIT: Duration = Duration::from_secs(1);
const SCHEMES: [&str; 8] = ["http", "https", "tcp", "tls", "redis", "rediss", "postgres", "mysql"];

fn limited(url: &str) -> Target {
    let mut target = target(url);
    target.timeout = LIMIT;
    target
}

fn http(url: &str, change: impl FnOnce(&mut Http)) -> Target {
    let mut target = target(url);
    let Check::Http(http) = &mut target.check else { panic!("{url} is not HTTP") };
    change(http);
    target
}

fn assert_down(report: &Report, told: &str) {
    assert_eq!(report.verdict, Verdict::Down, "{report:?}");
    assert!(report.reason.contains(told), "`{told}` is not in `{}`", report.reason);
}

/// A server that takes everything and does this forever.
async fn forever(what: &'static [u8], pause: Option<Duration>) -> Server {
    Server::start(move |stream| async move {
        let (mut incoming, mut outgoing) = stream.into_split();
        let mut sink = tokio::io::sink();
        let listening = tokio::io::copy(&mut incoming, &mut sink);
        let talking = async {
            loop {
                match pause {
                    Some(pause) => sleep(pause).await,
                    None if what.is_empty() => std::future::pending().await,
                    None => {}
                }
                if outgoing.write_all(what).await.is_err() {
                    break;
                }
            }
        };
        tokio::select! { _ = listening => {}, () = talking => {} }
    })
    .await
}

#[tokio::test]
async fn a_closed_port_is_told_by_its_address() {
    let address = closed_port().await;
    for scheme in SCHEMES {
        let report = probe(&format!("{scheme}://{address}")).await;
        assert_down(&report, &format!("connection refused by {address}"));
    }
    let report = probe(&format!("tcp://localhost:{}", address.port())).await;
    assert_down(&report, &format!("connection refused by {address}"));
    assert!(report.phases.resolve.is_some() && report.phases.connect.is_some());
}

#[tokio::test]
async fn whoever_accepts_and_never_answers_is_down_in_time() {
    let server = forever(b"", None).await;
    let (place, begun) = (server.address.to_string(), Instant::now());
    let (server, place) = (&server, &place);
    let probes = SCHEMES.map(|scheme| async move {
        let url = if scheme == "tcp" { server.url(scheme) + "?expect=x" } else { server.url(scheme) };
        let report = run(&limited(&url)).await;
        assert_down(&report, " within 1s");
        assert!(report.reason.contains(place), "{}", report.reason);
    });
    join_all(probes).await;
    assert!(begun.elapsed() < PATIENCE / 2);
}

#[tokio::test]
async fn whoever_drips_is_down_in_time() {
    let drips =
        [(&b"H"[..], "tcp"), (b"+", "redis"), (b"N", "postgres"), (b"\x0a", "mysql"), (b"\x16", "https")];
    let probes = drips.map(|(drop, scheme)| async move {
        let server = forever(drop, Some(Duration::from_millis(20))).await;
        let url = if scheme == "tcp" { server.url(scheme) + "?expect=x" } else { server.url(scheme) };
        let report = run(&limited(&url)).await;
        assert_eq!(report.verdict, Verdict::Down, "{scheme}: {report:?}");
    });
    join_all(probes).await;
    let headers = forever(b"HTTP/1.1 200 OK\r\nx: y", Some(Duration::from_millis(20))).await;
    assert_eq!(run(&limited(&headers.url("http"))).await.verdict, Verdict::Down);
    let body = Server::start(|mut stream| async move {
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n").await.unwrap();
        while stream.write_all(b"x").await.is_ok() {
            sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    let report = run(&limited(&body.url("http"))).await;
    assert_down(&report, &format!("the answer of {} did not end within 1s", body.address));
    assert!(report.phases.processing.is_some() && report.phases.transfer.is_some());
}

#[tokio::test]
async fn endless_heads_lines_and_bodies_are_cut_off() {
    let heads =
        forever(b"HTTP/1.1 200 OK\r\nx: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy", None).await;
    assert_down(&probe(&heads.url("http")).await, "too long");
    let line = forever(b"+xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", None).await;
    assert_down(&probe(&line.url("redis")).await, "longer than 4 KiB");
    assert_down(&probe(&(line.url("tcp") + "?expect=y")).await, "64 KiB");
    let notices = forever(b"N\0\0\0\x05\0", None).await;
    assert_down(&probe(&(notices.url("postgres") + "?sslmode=disable")).await, "does not answer");
    // Packets that ask for another way of logging in, again and again.
    let switches = forever(b"\x02\0\0\x02\xfe\0", None).await;
    assert_eq!(probe(&switches.url("mysql")).await.verdict, Verdict::Down);

    let body = Server::start(|mut stream| async move {
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.ok();
        while stream.write_all(&[b'x'; 8192]).await.is_ok() {}
    })
    .await;
    // What nobody looks at need not end.
    assert_eq!(probe(&body.url("http")).await.verdict, Verdict::Up);
    let lacks = http(&body.url("http"), |http| http.expect.body.push(BodyRule::Contains("ok".into())));
    assert_down(&run(&lacks).await, "body lacks \"ok\" in its first 1 MiB");
    let json = http(&body.url("http"), |http| http.expect.body.push(BodyRule::json("/a", None).unwrap()));
    assert_down(&run(&json).await, "longer than 1 MiB");
}

#[tokio::test]
async fn redirects_are_followed_and_never_in_circles() {
    let redirect =
        |location: &str| format!("HTTP/1.1 302 Found\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n");
    let good = Server::saying("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
    let there = Server::saying(redirect(&good.url("http"))).await;
    let report = probe(&there.url("http")).await;
    assert_eq!((report.verdict, report.redirects, report.http_status), (Verdict::Up, 1, Some(200)));

    let itself = Server::saying(redirect("/")).await;
    assert_down(&probe(&itself.url("http")).await, "redirects in a circle");
    let longer = Server::start(|mut stream| async move {
        let mut request = vec![0; 4096];
        let count = stream.read(&mut request).await.unwrap();
        let path = String::from_utf8_lossy(&request[..count]).split(' ').nth(1).unwrap().to_owned();
        stream
            .write_all(format!("HTTP/1.1 302 Found\r\nlocation: {path}x\r\n\r\n").as_bytes())
            .await
            .unwrap();
    })
    .await;
    assert_down(&probe(&longer.url("http")).await, "redirects more than 10 times");
    let judged = http(&itself.url("http"), |http| http.expect.status = "302".parse().unwrap());
    assert_eq!(run(&judged).await.verdict, Verdict::Up);
    assert_down(
        &probe(&Server::saying(redirect("file:///etc/passwd")).await.url("http")).await,
        "no address",
    );
    assert_down(&probe(&Server::saying("HTTP/1.1 301 Gone\r\n\r\n").await.url("http")).await, "`Location`");
}

#[tokio::test]
async fn a_wrong_status_is_told_with_the_servers_own_words() {
    let server =
        Server::saying("HTTP/1.1 503 Unavailable\r\ncontent-length: 24\r\n\r\ndatabase is \x1b[31mlocked\n")
            .await;
    let report = probe(&server.url("http")).await;
    assert_down(&report, "answers 503 Service Unavailable, not 2xx: `database is [31mlocked`");
    assert_eq!(report.http_status, Some(503));

    // One that does not come to the point is told by its status alone.
    let silent = Server::start(|mut stream| async move {
        stream.write_all(b"HTTP/1.1 503 Unavailable\r\ncontent-length: 9\r\n\r\n").await.ok();
        stream.read_to_end(&mut Vec::new()).await.ok();
    })
    .await;
    assert_down(&probe(&silent.url("http")).await, "answers 503 Service Unavailable, not 2xx");
}

#[tokio::test]
async fn garbage_is_told_as_such() {
    for (garbage, scheme, told) in [
        (&b"220 mail ready\r\n"[..], "http", "does not speak HTTP"),
        (b"220 mail ready\r\n", "https", "does not speak TLS"),
        (b"220 mail ready\r\n", "tls", "does not speak TLS"),
        (b"220 mail ready\r\n", "redis", "does not speak the protocol of Redis: `220 mail ready`"),
        (b"220 mail ready\r\n", "postgres", "does not speak the protocol of PostgreSQL"),
        (b"\0\x01\x02", "http", "does not speak HTTP"),
        (b"", "http", "closed the connection before it had answered"),
        (b"", "redis", "closed the connection before it had answered"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nshort", "http", "broke off"),
    ] {
        let server = Server::saying(garbage).await;
        assert_down(&probe(&server.url(scheme)).await, told);
    }
    // A server that speaks first, as those of MySQL do.
    let mail = Server::start(|mut stream| async move {
        stream.write_all(b"220 mail ready\r\n").await.ok();
        stream.shutdown().await.ok();
    })
    .await;
    assert_down(&probe(&mail.url("mysql")).await, "does not speak the protocol of MySQL: `220 mail ready`");
}

#[tokio::test]
async fn a_slow_answer_is_degraded() {
    let server = Server::start(|mut stream| async move {
        sleep(Duration::from_millis(30)).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.ok();
    })
    .await;
    let mut target = target(&server.url("http"));
    target.within = Some(Duration::from_millis(10));
    let report = run(&target).await;
    assert_eq!(report.verdict, Verdict::Degraded);
    assert!(report.reason.contains("more than 10ms"), "{}", report.reason);
}

#[tokio::test]
async fn a_thousand_targets_of_which_two_hundred_hang_are_judged_on_time() {
    let good = Server::saying("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    let hanging = forever(b"", None).await;
    let targets: Vec<Target> = (0..1000)
        .map(|number| {
            let mut target = target(&if number % 5 == 0 { hanging.url("http") } else { good.url("http") });
            target.timeout = PATIENCE;
            target
        })
        .collect();
    let (prober, begun) = (prober(), Instant::now());
    let mut reports = Box::pin(run_all(&prober, &targets, 64, begun + PATIENCE));
    for _ in 0..800 {
        let (number, report) = reports.next().await.unwrap();
        assert_eq!(report.verdict, Verdict::Up, "{number} after {:?}: {report:?}", begun.elapsed());
    }
    assert!(begun.elapsed() < PATIENCE, "they waited for those that hang");
}

#[tokio::test]
async fn what_has_not_begun_at_the_deadline_is_unknown() {
    let (prober, targets) = (prober(), [target("tcp://127.0.0.1:1")]);
    let reports: Vec<_> = run_all(&prober, &targets, 1, Instant::now()).collect().await;
    assert_eq!(reports[0].1.verdict, Verdict::Unknown);
}

/// A name server that answers with what a function makes of the question.
async fn name_server(answer: impl Fn(&[u8]) -> Vec<Vec<u8>> + Send + 'static) -> (String, JoinSet<()>) {
    let socket = Arc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap());
    let address = socket.local_addr().unwrap().to_string();
    let mut serving = JoinSet::new();
    serving.spawn(async move {
        let mut packet = [0; 512];
        loop {
            let (length, from) = socket.recv_from(&mut packet).await.unwrap();
            for reply in answer(&packet[..length]) {
                socket.send_to(&reply, from).await.unwrap();
            }
        }
    });
    (address, serving)
}

/// Turns a question into its answer: these flags, and an address for the name.
fn reply(question: &[u8], flags: [u8; 2], addresses: &[[u8; 4]]) -> Vec<u8> {
    let mut reply = question.to_vec();
    reply[2..4].copy_from_slice(&flags);
    reply[7] = u8::try_from(addresses.len()).unwrap();
    for address in addresses {
        reply.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4]);
        reply.extend_from_slice(address);
    }
    reply
}

#[tokio::test]
async fn a_name_server_is_judged_by_its_answer() {
    let (server, _serving) = name_server(|question| {
        // Before the right one, a forged one: nobody guessed the number of the question.
        let mut forged = reply(question, [0x81, 0x80], &[[6, 6, 6, 6]]);
        forged[0] ^= 0xff;
        vec![forged, reply(question, [0x81, 0x80], &[[10, 0, 0, 1], [10, 0, 0, 2]])]
    })
    .await;
    let report = probe(&format!("dns://{server}/db.shop?expect=10.0.0.2")).await;
    assert_eq!((report.verdict, report.reason.as_str()), (Verdict::Up, "10.0.0.1, 10.0.0.2"));
    let report = probe(&format!("dns://{server}/db.shop?expect=10.0.0.3")).await;
    assert_down(&report, "answers `10.0.0.1, 10.0.0.2` for `db.shop`, not `10.0.0.3`");

    for (code, told) in [(3, "knows no name `db.shop`"), (2, "answers SERVFAIL"), (0, "knows no A record")] {
        let (server, _serving) =
            name_server(move |question| vec![reply(question, [0x81, 0x80 | code], &[])]).await;
        assert_down(&probe(&format!("dns://{server}/db.shop")).await, told);
    }
    let (server, _serving) = name_server(|question| vec![question[..7].to_vec()]).await;
    assert_down(&probe(&format!("dns://{server}/db.shop")).await, "does not speak DNS");
    let (server, _serving) = name_server(|_| Vec::new()).await;
    assert_down(&run(&limited(&format!("dns://{server}/db.shop"))).await, "no answer from");
}

#[tokio::test]
async fn a_long_answer_comes_over_tcp() {
    let (server, _serving) = name_server(|question| vec![reply(question, [0x83, 0x80], &[])]).await;
    let listener = tokio::net::TcpListener::bind(&server).await.unwrap();
    let over_tcp = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let length = stream.read_u16().await.unwrap();
        let mut question = vec![0; usize::from(length)];
        stream.read_exact(&mut question).await.unwrap();
        let answer = reply(&question, [0x81, 0x80], &[[10, 0, 0, 1]; 200]);
        stream.write_u16(u16::try_from(answer.len()).unwrap()).await.unwrap();
        stream.write_all(&answer).await.unwrap();
    };
    let url = format!("dns://{server}/db.shop");
    let ((), report) = tokio::join!(over_tcp, probe(&url));
    assert_eq!(report.verdict, Verdict::Up, "{report:?}");
}
