//! How a service ends, and what becomes of its clients.

use zv_kit::Ending;

use crate::harness::{Client, Running, soon};

async fn in_flight(service: &Running) -> Client {
    let mut client = service.client().await;
    client.send(b"GET /slow HTTP/1.1\r\nhost: x\r\n\r\n").await;
    soon(service.slow.begun.notified()).await;
    client
}

#[tokio::test]
async fn a_request_in_flight_is_answered_and_idle_connections_are_closed() {
    let mut service = Running::start([("DRAIN_GRACE", "60s")]).await;
    let mut idle = service.client().await;
    let first = idle.get("/items/1").await;
    assert_eq!((first.status, first.headers.get("connection")), (200, None));
    let mut untouched = service.client().await;
    let mut busy = in_flight(&service).await;

    service.stop();
    assert!(idle.is_closed().await);
    assert!(untouched.is_closed().await);
    assert!(tokio::net::TcpStream::connect(service.address).await.is_err(), "it still accepts");

    service.slow.release.notify_one();
    let last = busy.reply().await;
    assert_eq!((last.status, last.body.as_str()), (200, "done"));
    assert_eq!(last.headers["connection"], "close");
    assert!(busy.is_closed().await);
    assert_eq!(service.ending().await, Ending::Drained);
    service.log.line(|line| line["message"] == "stopped: every request was answered").await;
}

#[tokio::test]
async fn a_request_sent_right_before_the_signal_is_not_lost() {
    let request = b"GET /items/1 HTTP/1.1\r\nhost: x\r\n\r\n";
    for _ in 0..10 {
        let mut service = Running::start([]).await;
        let mut connected = service.client().await;
        service.get("/items/1").await;
        connected.send(request).await;
        let mut in_the_kernel: Vec<Client> = (0..5).map(|_| service.client_unseen(request)).collect();
        service.stop();
        for client in in_the_kernel.iter_mut().chain([&mut connected]) {
            assert_eq!(client.reply().await.status, 200);
        }
        assert_eq!(service.ending().await, Ending::Drained);
    }
}

#[tokio::test]
async fn when_the_grace_is_over_the_rest_is_cut() {
    let mut service = Running::start([("DRAIN_GRACE", "50ms")]).await;
    let mut busy = in_flight(&service).await;
    service.stop();
    assert_eq!(service.ending().await, Ending::Cut { connections: 1 });
    assert!(busy.is_closed().await);
    let cut = service.log.line(|line| line["path"] == "/slow").await;
    assert_eq!(cut["status"], 499);
    let last =
        service.log.line(|line| line["message"] == "stopped: the grace was over before the requests").await;
    assert_eq!((&last["level"], &last["cut_connections"]), (&"error".into(), &1.into()));
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let mut service = Running::start([("DRAIN_GRACE", "60s")]).await;
    let mut busy = in_flight(&service).await;
    service.stop();
    service.log.line(|line| line["message"] == "draining" && line["in_flight"] == 1).await;
    service.force();
    assert_eq!(service.ending().await, Ending::Forced { connections: 1 });
    assert!(busy.is_closed().await);
}

#[tokio::test]
async fn half_a_request_does_not_use_up_the_grace() {
    let mut service = Running::start([("DRAIN_GRACE", "3600s")]).await;
    let mut stalling = service.client().await;
    stalling.send(b"GET /items/1 HT").await;
    service.stop();
    assert_eq!(service.ending().await, Ending::Drained);
    assert!(stalling.is_closed().await);
}
