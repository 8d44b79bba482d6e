//! Who is let in, by where they come from and what they bring.

use super::*;

const TOKEN: &str = "0123456789abcdef";

fn rights(read: ReadRight) -> Rights {
    let token = Some(Token::given("ZV_TOKEN", TOKEN).unwrap());
    Rights { token, read, hosts: vec!["zv.example".to_owned()] }
}

fn loopback() -> Origin {
    Origin::of_listener("127.0.0.1:9780".parse().unwrap())
}

fn network() -> Origin {
    Origin::of_listener("192.0.2.1:9780".parse().unwrap())
}

fn request(method: Method, headers: &[(&str, &str)]) -> Parts {
    let mut request = Request::builder().method(method).uri("/api/zv/v1/stack");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap().into_parts().0
}

fn status(rights: &Rights, origin: Origin, request: &Parts) -> u16 {
    rights.admit(origin, request).map_or_else(|denial| denial.status.as_u16(), |_| 200)
}

#[test]
fn who_may_read_and_act() {
    let bearer = format!("Bearer {TOKEN}");
    let without = [("host", "localhost")];
    let with = [("host", "localhost"), ("authorization", bearer.as_str())];
    let wrong = [("host", "localhost"), ("authorization", "Bearer 0123456789abcdee")];
    use ReadRight::{Open, Token};
    // Read without, read with, read with a wrong one; act without, act with, act with a wrong one.
    for (read, origin, expected) in [
        (Open, loopback(), [200, 200, 200, 401, 200, 401]),
        (Open, Origin::Unix, [200, 200, 200, 401, 200, 401]),
        (Open, network(), [401, 200, 401, 401, 200, 401]),
        (Open, Origin::InProcess, [200, 200, 200, 200, 200, 200]),
        (Token, loopback(), [401, 200, 401, 401, 200, 401]),
        (Token, Origin::Unix, [401, 200, 401, 401, 200, 401]),
        (Token, network(), [401, 200, 401, 401, 200, 401]),
        (Token, Origin::InProcess, [200, 200, 200, 200, 200, 200]),
    ] {
        let rights = rights(read);
        let requests = [Method::GET, Method::POST]
            .into_iter()
            .flat_map(|method| [&without[..], &with, &wrong].map(|headers| request(method.clone(), headers)));
        let got: Vec<u16> = requests.map(|request| status(&rights, origin, &request)).collect();
        assert_eq!(got, expected, "{read:?} {origin:?}");
    }
}

#[test]
fn every_address_but_loopback_is_the_network() {
    for address in ["127.0.0.1:1", "127.0.0.2:1", "[::1]:1", "[::ffff:127.0.0.1]:1"] {
        assert!(matches!(Origin::of_listener(address.parse().unwrap()), Origin::Loopback(_)), "{address}");
    }
    for address in ["0.0.0.0:1", "[::]:1", "192.0.2.1:1", "10.0.0.1:1", "[fe80::1]:1"] {
        assert!(matches!(Origin::of_listener(address.parse().unwrap()), Origin::Network(_)), "{address}");
    }
}

#[test]
fn the_denial_says_where_the_token_is_and_never_what_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    let token = Token::load_or_create(&path).unwrap();
    let secret = token.reveal().to_owned();
    let rights = Rights { token: Some(token), read: ReadRight::Open, hosts: Vec::new() };
    let denial = rights.admit(network(), &request(Method::GET, &[("host", "web-1:9780")])).unwrap_err();
    let expected = format!("send the token of {} as \"Authorization: Bearer …\"", path.display());
    assert_eq!(denial.reason, expected);
    assert!(!format!("{rights:?}{denial:?}").contains(&secret));
}

#[test]
fn a_loopback_address_answers_only_to_its_own_names() {
    let rights = rights(ReadRight::Open);
    let over = |origin, host: &str| status(&rights, origin, &request(Method::GET, &[("host", host)]));
    for host in
        ["localhost", "LOCALHOST:9780", "localhost.", "127.0.0.1:1", "[::1]", "[::1]:80", "zv.example:443"]
    {
        assert_eq!(over(loopback(), host), 200, "{host}");
    }
    for host in
        ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "192.0.2.1", "", "x@localhost"]
    {
        assert_eq!(over(loopback(), host), 421, "{host}");
    }
    assert_eq!(over(Origin::of_listener("127.0.0.2:1".parse().unwrap()), "127.0.0.2:1"), 200);
    assert_eq!(over(Origin::Unix, "evil.example"), 200);
}

#[test]
fn the_name_in_the_request_line_counts_too() {
    let mut request = request(Method::GET, &[("host", "localhost")]);
    request.uri = "http://evil.example/".parse().unwrap();
    assert_eq!(status(&rights(ReadRight::Open), loopback(), &request), 421);
}

#[test]
fn a_request_without_one_host_is_for_the_unix_socket_only() {
    let rights = rights(ReadRight::Open);
    let none = request(Method::GET, &[]);
    let two = request(Method::GET, &[("host", "localhost"), ("host", "localhost")]);
    let mut old = request(Method::GET, &[("host", "localhost")]);
    old.version = Version::HTTP_10;
    for request in [none, two, old] {
        assert_eq!(status(&rights, loopback(), &request), 400);
        assert_eq!(status(&rights, network(), &request), 400);
        assert_eq!(status(&rights, Origin::Unix, &request), 200);
    }
}

#[test]
fn a_page_of_another_site_reads_nothing_without_the_token() {
    let bearer = format!("Bearer {TOKEN}");
    for (headers, expected) in [
        (&[("sec-fetch-site", "none")][..], 200),
        (&[("sec-fetch-site", "same-origin"), ("origin", "http://localhost:9780")], 200),
        (&[("origin", "https://zv.example")], 200),
        (&[("sec-fetch-site", "same-site")], 403),
        (&[("sec-fetch-site", "cross-site")], 403),
        (&[("sec-fetch-site", "none"), ("sec-fetch-site", "cross-site")], 403),
        (&[("origin", "http://evil.example")], 403),
        (&[("origin", "http://localhost:3000")], 403),
        (&[("origin", "http://evil.example/localhost:9780")], 403),
        (&[("origin", "null")], 403),
    ] {
        let mut headers = headers.to_vec();
        headers.push(("host", "localhost:9780"));
        for origin in [loopback(), Origin::Unix] {
            let got = status(&rights(ReadRight::Open), origin, &request(Method::GET, &headers));
            assert_eq!(got, expected, "{origin:?} {headers:?}");
        }
        let got = status(&rights(ReadRight::Open), Origin::InProcess, &request(Method::GET, &headers));
        assert_eq!(got, 200, "{headers:?}");
        headers.push(("authorization", &bearer));
        for origin in [loopback(), network()] {
            let got = status(&rights(ReadRight::Open), origin, &request(Method::GET, &headers));
            assert_eq!(got, 200, "{headers:?}");
        }
    }
}

#[test]
fn only_a_token_or_this_process_is_trusted() {
    let (bearer, wrong) = (format!("Bearer {TOKEN}"), "Bearer 0123456789abcdee");
    let standing = |origin, headers: &[(&str, &str)]| {
        let headers = [&[("host", "localhost")], headers].concat();
        rights(ReadRight::Open).admit(origin, &request(Method::GET, &headers)).unwrap()
    };
    for origin in [loopback(), Origin::Unix] {
        assert_eq!(standing(origin, &[]), Standing::Guest);
        assert_eq!(standing(origin, &[("authorization", wrong)]), Standing::Guest);
        assert_eq!(standing(origin, &[("authorization", &bearer)]), Standing::Trusted);
    }
    assert_eq!(standing(Origin::InProcess, &[]), Standing::Trusted);
}

#[test]
fn a_body_must_be_json() {
    let rights = rights(ReadRight::Open);
    let posted =
        |headers: &[(&str, &str)]| status(&rights, Origin::InProcess, &request(Method::POST, headers));
    assert_eq!(posted(&[]), 200);
    assert_eq!(posted(&[("content-length", "0")]), 200);
    assert_eq!(posted(&[("content-type", "application/json; charset=utf-8"), ("content-length", "2")]), 200);
    assert_eq!(posted(&[("content-length", "2")]), 415);
    assert_eq!(posted(&[("transfer-encoding", "chunked")]), 415);
    assert_eq!(posted(&[("content-type", "text/plain")]), 415);
    assert_eq!(posted(&[("content-type", "application/x-www-form-urlencoded")]), 415);
}
