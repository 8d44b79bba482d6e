//! The settings of one target, used to ask another.

use super::{Check, Credentials, Target, TargetError};

impl Target {
    /// Returns a target of the same kind and with the same expectations at another address, which is written as for
    /// [`Target::parse`], with or without the scheme. Whatever may be secret goes nowhere but where it was meant to go:
    /// logins, headers and what is sent stay behind unless host and port are the same.
    pub fn elsewhere(&self, text: &str) -> Result<Self, TargetError> {
        if matches!(self.check, Check::Exec(_)) {
            return Err(TargetError::new("a program has no address to be asked at"));
        }
        let kind = self.check.kind();
        let text = match (&self.check, text.contains("://")) {
            (_, true) => text.to_owned(),
            (Check::Dns(dns), false) if !text.contains('/') => format!("dns://{text}/{}", dns.name),
            (_, false) => format!("{kind}://{text}"),
        };
        let mut there = Self::parse(&text)?;
        if there.check.kind() != kind {
            return Err(TargetError::new(format!(
                "this asks targets of the kind {kind}; write `{kind}://HOST`"
            )));
        }
        self.lend(&mut there.check);
        Ok(Self {
            timeout: self.timeout,
            within: self.within,
            certificate_days: self.certificate_days,
            trust: self.trust.clone(),
            ..there
        })
    }

    /// Gives another check of the same kind what this one has and that one lacks.
    fn lend(&self, there: &mut Check) {
        match (&self.check, there) {
            (Check::Http(here), Check::Http(there)) => {
                let url = std::mem::replace(&mut there.url, here.url.clone());
                let login = std::mem::take(&mut there.headers);
                let is_same_place = url.origin() == here.url.origin();
                **there = (**here).clone();
                there.url = url;
                if !is_same_place {
                    there.headers = login;
                    there.body = bytes::Bytes::new();
                }
            }
            (Check::Tcp(here), Check::Tcp(there)) => {
                if there.expect.is_empty() {
                    there.expect.clone_from(&here.expect);
                }
                if there.send.is_empty() && here.endpoint == there.endpoint {
                    there.send.clone_from(&here.send);
                }
            }
            (Check::Tls(here), Check::Tls(there)) => {
                there.name = there.name.take().or_else(|| here.name.clone());
            }
            (Check::Dns(here), Check::Dns(there)) if here.name == there.name => {
                (there.kind, there.expect) = (here.kind, here.expect.clone());
            }
            (Check::Redis(here), Check::Redis(there)) => {
                there.tls |= here.tls;
                lend_login(here.endpoint == there.endpoint, &here.credentials, &mut there.credentials);
            }
            (Check::Postgres(here), Check::Postgres(there)) => {
                there.encryption = here.encryption;
                lend_login(here.endpoint == there.endpoint, &here.credentials, &mut there.credentials);
            }
            (Check::Mysql(here), Check::Mysql(there)) => {
                there.encryption = here.encryption;
                lend_login(here.endpoint == there.endpoint, &here.credentials, &mut there.credentials);
            }
            _ => {}
        }
    }
}

fn lend_login(is_same_place: bool, here: &Credentials, there: &mut Credentials) {
    if is_same_place && there.is_anonymous() {
        *there = here.clone();
    }
}

#[cfg(test)]
mod tests {
    use super::super::Http;
    use super::*;

    fn parsed(text: &str) -> Target {
        Target::parse(text).unwrap()
    }

    #[test]
    fn settings_go_along_and_secrets_stay() {
        let mut here = parsed("http://me:hunter2@shop/health");
        let Check::Http(http) = &mut here.check else { panic!() };
        http.redirects = 0;
        http.body = "secret".into();
        let web = |target: &Target| -> Http {
            let Check::Http(http) = &target.check else { panic!() };
            (**http).clone()
        };
        let same = web(&here.elsewhere("shop/other").unwrap());
        assert_eq!((same.url.as_str(), same.redirects), ("http://shop/other", 0));
        assert_eq!((same.headers.len(), same.body.len()), (1, 6));
        for other in ["evil/", "http://shop:81/", "https://shop/"] {
            let other = web(&here.elsewhere(other).unwrap());
            assert_eq!((other.redirects, other.headers.len(), other.body.len()), (0, 0, 0));
        }
        let own = web(&here.elsewhere("http://you:there@evil/").unwrap());
        assert_eq!(own.headers.len(), 1);
        assert_ne!(own.headers, same.headers);

        let db = parsed("postgres://me:hunter2@db/shop?sslmode=verify-full");
        let login = |text: &str| {
            let Check::Postgres(db) = db.elsewhere(text).unwrap().check else { panic!() };
            db.credentials.password.map(|password| password.expose().to_owned())
        };
        assert_eq!(login("db:5432/other").as_deref(), Some("hunter2"));
        assert_eq!(login("evil/shop"), None);
    }

    #[test]
    fn another_kind_is_refused() {
        assert!(
            parsed("http://a/").elsewhere("tcp://a:1").unwrap_err().to_string().contains("the kind http")
        );
        let names = parsed("dns://a/shop.example?type=AAAA");
        let Check::Dns(there) = names.elsewhere("10.0.0.1:5353").unwrap().check else { panic!() };
        assert_eq!((there.name.as_str(), there.kind.name()), ("shop.example", "AAAA"));
    }
}
