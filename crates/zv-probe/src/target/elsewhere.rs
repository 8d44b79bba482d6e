//! The settings of one target, used to ask another.

use super::{Check, Credentials, Target, TargetError};

/// To whom what may be secret is lent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lend {
    /// To the very address it was meant for: with the path, the parameters, the database.
    ToTheSame,
    /// To every address of the same host and port: whoever asks may know the secret.
    ToTheHost,
}

impl Target {
    /// Returns a target of the same kind and with the same expectations at another address, which is written as for
    /// [`Target::parse`], with or without the scheme. Whatever may be secret goes nowhere but where it was meant to go:
    /// logins, headers and what is sent stay behind unless `lend` lets them go there.
    pub fn elsewhere(&self, text: &str, lend: Lend) -> Result<Self, TargetError> {
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
        self.lend(&mut there.check, lend);
        Ok(Self {
            timeout: self.timeout,
            within: self.within,
            certificate_days: self.certificate_days,
            trust: self.trust.clone(),
            ..there
        })
    }

    /// Gives another check of the same kind what this one has and that one lacks.
    fn lend(&self, there: &mut Check, lend: Lend) {
        let is_wide = lend == Lend::ToTheHost;
        match (&self.check, there) {
            (Check::Http(here), Check::Http(there)) => {
                let url = std::mem::replace(&mut there.url, here.url.clone());
                let login = std::mem::take(&mut there.headers);
                let is_same_place = url == here.url || (is_wide && url.origin() == here.url.origin());
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
                let is_same_place =
                    here.endpoint == there.endpoint && (is_wide || here.database == there.database);
                lend_login(is_same_place, &here.credentials, &mut there.credentials);
            }
            (Check::Postgres(here), Check::Postgres(there)) => {
                there.encryption = here.encryption;
                let is_same_place =
                    here.endpoint == there.endpoint && (is_wide || here.database == there.database);
                lend_login(is_same_place, &here.credentials, &mut there.credentials);
            }
            (Check::Mysql(here), Check::Mysql(there)) => {
                there.encryption = here.encryption;
                let is_same_place =
                    here.endpoint == there.endpoint && (is_wide || here.database == there.database);
                lend_login(is_same_place, &here.credentials, &mut there.credentials);
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
        let there = |text: &str, lend| {
            let found = web(&here.elsewhere(text, lend).unwrap());
            assert_eq!(found.redirects, 0);
            (found.url.to_string(), found.headers.len(), found.body.len())
        };
        let (same, wide) = (Lend::ToTheSame, Lend::ToTheHost);
        assert_eq!(there("shop/health", same), ("http://shop/health".into(), 1, 6));
        for other in ["shop/other", "shop/health?echo=1", "shop/"] {
            assert_eq!(there(other, same), (format!("http://{other}"), 0, 0));
            assert_eq!(there(other, wide), (format!("http://{other}"), 1, 6));
        }
        for other in ["http://evil/", "http://shop:81/", "https://shop/"] {
            assert_eq!(there(other, same), (other.to_owned(), 0, 0));
            assert_eq!(there(other, wide), (other.to_owned(), 0, 0));
        }
        let own = web(&here.elsewhere("http://you:there@evil/", wide).unwrap());
        assert_eq!(own.headers.len(), 1);
        assert_ne!(own.headers, web(&here).headers);

        let db = parsed("postgres://me:hunter2@db/shop?sslmode=verify-full");
        let login = |text: &str, lend| {
            let Check::Postgres(db) = db.elsewhere(text, lend).unwrap().check else { panic!() };
            db.credentials.password.map(|password| password.expose().to_owned())
        };
        assert_eq!(login("db:5432/shop", same).as_deref(), Some("hunter2"));
        assert_eq!(login("db:5432/other", same), None);
        assert_eq!(login("db:5432/other", wide).as_deref(), Some("hunter2"));
        assert_eq!(login("evil/shop", wide), None);
    }

    #[test]
    fn another_kind_is_refused() {
        assert!(
            parsed("http://a/")
                .elsewhere("tcp://a:1", Lend::ToTheSame)
                .unwrap_err()
                .to_string()
                .contains("the kind http")
        );
        let names = parsed("dns://a/shop.example?type=AAAA");
        let Check::Dns(there) = names.elsewhere("10.0.0.1:5353", Lend::ToTheSame).unwrap().check else {
            panic!()
        };
        assert_eq!((there.name.as_str(), there.kind.name()), ("shop.example", "AAAA"));
    }
}
