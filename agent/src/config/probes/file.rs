//! What is written of a probe.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::values::{OneOrMore, Span};

/// One thing to ask from outside: a name, one of the kinds, and what must come back.
#[derive(Clone, Default, PartialEq, Eq, Hash, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProbeFile {
    /// How people, metrics and alerts know it. Needed, and unique.
    pub(crate) name: Option<String>,
    /// The kind http, with the address: `http://main-server:8080/health`.
    pub(crate) http: Option<String>,
    /// The kind tcp, with the host and the port: `mail:25`.
    pub(crate) tcp: Option<String>,
    /// The kind tls, the certificate alone: `shop.example:443`.
    pub(crate) tls: Option<String>,
    /// The kind dns: a name to ask the system's server for, or `dns://SERVER/NAME?type=A`.
    pub(crate) dns: Option<String>,
    /// The kind redis: `redis://:PASSWORD@HOST:6379/0`, `rediss://…` with TLS.
    pub(crate) redis: Option<String>,
    /// The kind postgres: `postgres://USER:PASSWORD@HOST/DATABASE`.
    pub(crate) postgres: Option<String>,
    /// The kind mysql: `mysql://USER:PASSWORD@HOST/DATABASE`.
    pub(crate) mysql: Option<String>,
    /// The kind exec: a program, or a list of the program and its arguments. Well where it exits with 0.
    pub(crate) exec: Option<OneOrMore<String>>,
    /// Of http. Default: `GET`.
    pub(crate) method: Option<String>,
    /// Of http: what is sent beside the usual ones.
    pub(crate) headers: Option<BTreeMap<String, String>>,
    /// Of http: what is sent after the headers.
    pub(crate) body: Option<String>,
    /// Of http: how many redirects are followed; 0 judges the redirect itself. Default: 10.
    pub(crate) redirects: Option<u32>,
    /// Of tcp: what is sent first.
    pub(crate) send: Option<String>,
    /// The file with the password for the user in the address.
    pub(crate) password_file: Option<PathBuf>,
    /// The authorities that certificates must come from, as PEM. Default: those of the system.
    pub(crate) ca_file: Option<PathBuf>,
    /// Takes any certificate; its end is still looked at.
    pub(crate) insecure_skip_verify: Option<bool>,
    /// What must come back.
    pub(crate) expect: Option<ExpectFile>,
    /// It is down where it takes longer. Default: `5s`.
    pub(crate) timeout: Option<Span>,
    /// How often it is asked. Default: `10s`.
    pub(crate) every: Option<Span>,
    /// How often it is asked while it is not well. Default: a fifth of `every`, a second at least.
    pub(crate) failing_every: Option<Span>,
    /// How many of the last results must agree before what stands changes. Default: `2 of 3`.
    pub(crate) confirm: Option<String>,
}

/// What must come back.
#[derive(Clone, Default, PartialEq, Eq, Hash, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExpectFile {
    /// Of http: `200`, `2xx`, `200-299,304`. Default: `2xx`.
    pub(crate) status: Option<String>,
    /// Of http: text that the body holds, or a list of which all are needed.
    pub(crate) body_contains: Option<OneOrMore<String>>,
    /// Of http: a regular expression that matches in the body, or a list of which all must.
    pub(crate) body_regex: Option<OneOrMore<String>>,
    /// Of http: JSON pointers and the values there, as in `/status: ok`.
    pub(crate) json: Option<BTreeMap<String, String>>,
    /// Of tcp: text that the answer holds.
    pub(crate) answer: Option<String>,
    /// Of dns: records that must be among the answers, written as in a zone file.
    pub(crate) records: Option<OneOrMore<String>>,
    /// It is degraded where it takes longer.
    pub(crate) within: Option<Span>,
    /// It is degraded where its certificate ends in fewer days. Default: 14.
    pub(crate) certificate_days: Option<u32>,
}

impl ProbeFile {
    /// Returns the kinds that ask over the network, with what was given for them.
    pub(super) fn addresses(&self) -> [(&'static str, Option<&String>); 7] {
        [
            ("http", self.http.as_ref()),
            ("tcp", self.tcp.as_ref()),
            ("tls", self.tls.as_ref()),
            ("dns", self.dns.as_ref()),
            ("redis", self.redis.as_ref()),
            ("postgres", self.postgres.as_ref()),
            ("mysql", self.mysql.as_ref()),
        ]
    }

    /// Returns the first kind given with its address.
    pub(super) fn address(&self) -> Option<(&'static str, &str)> {
        self.addresses().into_iter().find_map(|(kind, given)| Some((kind, given?.as_str())))
    }
}

impl fmt::Debug for ProbeFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Addresses, headers and bodies hold secrets.
        f.debug_struct("ProbeFile").field("name", &self.name).finish_non_exhaustive()
    }
}

impl fmt::Debug for ExpectFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExpectFile").field("status", &self.status).finish_non_exhaustive()
    }
}
