//! Every form of target, and that none shows a secret.

use proptest::prelude::*;

use super::*;

fn endpoint(host: &str, port: u16) -> Endpoint {
    Endpoint { host: host.to_owned(), port }
}

#[test]
fn ports_and_databases_have_usual_values() {
    let check = |text: &str| target(text, None).unwrap().check;
    let Check::Redis(redis) = check("rediss://:hunter2@cache/3") else { panic!() };
    assert_eq!((redis.endpoint, redis.database, redis.tls), (endpoint("cache", 6379), Some(3), true));
    assert_eq!(redis.credentials.password.unwrap().expose(), "hunter2");
    let Check::Postgres(postgres) = check("postgres://me:a%40b@[::1]/shop?sslmode=require") else { panic!() };
    assert_eq!((postgres.endpoint, postgres.encryption), (endpoint("::1", 5432), Encryption::Unverified));
    assert_eq!(
        (postgres.database.as_deref(), postgres.credentials.password.unwrap().expose()),
        (Some("shop"), "a@b")
    );
    let Check::Mysql(mysql) = check("mysql://db") else { panic!() };
    assert_eq!((mysql.endpoint, mysql.database), (endpoint("db", 3306), None));
    let Check::Dns(dns) = check("dns:///db.shop?type=mx&expect=1") else { panic!() };
    assert_eq!((dns.server, dns.name.as_str(), dns.kind), (None, "db.shop", RecordKind::Mx));
    let Check::Tcp(tcp) = check("tcp://mail:25?expect=220%20") else { panic!() };
    assert_eq!((tcp.endpoint, tcp.expect), (endpoint("mail", 25), b"220 ".to_vec()));
    let Check::Tls(tls) = check("tls://10.0.0.1?name=shop.example") else { panic!() };
    assert_eq!((tls.endpoint, tls.name.as_deref()), (endpoint("10.0.0.1", 443), Some("shop.example")));
}

#[test]
fn a_mistake_says_what_to_write() {
    for (text, told) in [
        ("localhost:8080", "write `http://localhost:8080`"),
        ("ftp://host", "`ftp://` is no kind of target"),
        ("tcp://host", "write `tcp://HOST:PORT`"),
        ("tcp://host:0", "there is no port"),
        ("tcp://host:1/x", "nothing to say after the port"),
        ("tcp://me@host:1", "nobody logs in"),
        ("redis://host/zero", "`redis://HOST/0`"),
        ("dns://1.1.1.1", "`dns://SERVER/NAME?type=A`"),
        ("dns://1.1.1.1/x?type=B", "AAAA"),
        ("dns://1.1.1.1/a..b", "empty part"),
        ("postgres://h?sslmode=on", "`verify-full`"),
        ("mysql://h?tls=1", "known: ssl-mode"),
        ("http://", "is no address"),
        ("tcp://ho%20st:1", "no spaces"),
    ] {
        let error = target(text, None).unwrap_err().to_string();
        assert!(error.contains(told), "`{text}`: {error}");
    }
}

#[test]
fn secrets_are_never_shown() {
    for text in [
        "http://me:hunter2@host/x?api_key=hunter2&a=b#hunter2",
        "https://host/?access_token=hunter2",
        "redis://:hunter2@host",
        "rediss://me:hunter2@host/1",
        "postgres://me:hunter2@host/db",
        "mysql://me:hunter2@host/db",
        "tcp://host:1?send=AUTH%20hunter2",
        // Wrong ones.
        "postgres://me:hunter2@host:port/db",
        "postgres://me:hunter2@host/db?tls=hunter2",
        "redis://me:hunter2@host/db",
        "me:hunter2@host",
        "tcp://me:hunter2@host:1",
        "tcp://me:hunter2@",
        "http://me:hunter2@ho st/",
        "ftp://me:hunter2@host",
    ] {
        let shown = match target(text, None) {
            Ok(target) => format!("{} {target:?}", target.name),
            Err(error) => format!("{error} {error:?}"),
        };
        assert!(!shown.contains("hunter2"), "`{text}`: {shown}");
        assert!(!shown.contains("aHVudGVyMg"), "`{text}`: {shown}");
    }
}

#[test]
fn status_sets_read_back_as_they_are_written() {
    use super::super::StatusSet;
    for text in ["200", "2xx", "200,301-303,5xx"] {
        assert_eq!(text.parse::<StatusSet>().unwrap().to_string(), text);
    }
    for text in ["", "20", "2x", "xx", "99", "600", "300-200", "200-", "+20", "6xx"] {
        assert!(text.parse::<StatusSet>().is_err(), "{text}");
    }
    let set: StatusSet = "2xx,404".parse().unwrap();
    assert!(set.contains(299) && set.contains(404) && !set.contains(300));
}

proptest! {
    #[test]
    fn no_text_breaks_the_parser(text in "\\PC{0,60}") {
        target(&text, None).ok();
    }

    #[test]
    fn a_password_is_never_shown(
        scheme in "http|tcp|tls|dns|redis|postgres|mysql|ftp|x",
        password in "[A-Z]{8}[%@:/?#&= ]{0,3}[A-Z]{8}",
        rest in "[a-z.:/?=%0-9]{0,20}",
    ) {
        // Whatever stands between the first colon and the last `@` is or may be a password.
        let text = format!("{scheme}://me:{password}@{rest}");
        let shown = match target(&text, None) {
            Ok(target) => format!("{} {target:?}", target.name),
            Err(error) => error.to_string(),
        };
        // A `/`, `?` or `#` that is not escaped ends the login: what follows is a path, as any reader would see it.
        if !password.contains(['/', '?', '#']) {
            prop_assert!(!shown.contains(&password[..8]) && !shown.contains(&password[password.len() - 8..]), "{shown}");
        }
    }
}
