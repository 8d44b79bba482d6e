//! Labels as they may be shown: those of probes may hold logins.

use std::borrow::Cow;

use serde_json::Value;

/// What the labels of probes begin with.
const PROBES: &str = "zv.probe.";
/// What stands where a secret stood.
pub const MASK: &str = "***";
/// Parts of names of parameters whose values are nobody's business; `send` is what a probe says first.
const SECRET_PARAMETERS: [&str; 9] =
    ["auth", "credential", "key", "passw", "pwd", "secret", "send", "sig", "token"];

/// Returns the value of a label without the password of a login in it: `user:***@host`.
pub fn shown<'a>(name: &str, value: &'a str) -> Cow<'a, str> {
    if !name.starts_with(PROBES) {
        return value.into();
    }
    let (address, parameters) = value.split_at(value.find(['?', '#']).unwrap_or(value.len()));
    // A password may hold a question mark that nobody escaped.
    let (address, parameters) = if parameters.contains('@') && !address.contains('@') && is_open(address) {
        (value, "")
    } else {
        (address, parameters)
    };
    match (without_password(address), without_secrets(parameters)) {
        (None, None) => value.into(),
        (address_shown, parameters_shown) => {
            let mut shown = address_shown.unwrap_or_else(|| address.to_owned());
            shown.push_str(parameters_shown.as_deref().unwrap_or(parameters));
            shown.into()
        }
    }
}

/// Says whether something was left out of a label's value.
pub fn is_masked(value: &str) -> bool {
    value.contains(MASK)
}

/// Hides the same in labels as a runtime writes them.
pub(crate) fn mask(labels: &mut serde_json::Map<String, Value>) {
    for (name, value) in labels {
        if let Some(Cow::Owned(shown)) = value.as_str().map(|text| shown(name, text)) {
            *value = Value::String(shown);
        }
    }
}

/// Says whether what stands after the last colon of the host is no port: then it is the beginning of a password.
fn is_open(address: &str) -> bool {
    let rest = address.split_once("://").map_or(address, |(_, rest)| rest);
    let authority = rest.split('/').next().unwrap_or_default();
    authority.rsplit_once(':').is_some_and(|(_, port)| !port.bytes().all(|byte| byte.is_ascii_digit()))
}

fn without_password(address: &str) -> Option<String> {
    let start = address.find("://").map_or(0, |place| place + "://".len());
    let (scheme, rest) = address.split_at(start);
    let authority = rest.split('/').next().unwrap_or_default();
    let at = match authority.rfind('@') {
        // What looks like more of the host may be more of a password that holds a slash.
        None if !is_open(address) => return None,
        Some(_) | None => rest.rfind('@')?,
    };
    let (login, host) = rest.split_at(at);
    let (user, _) = login.split_once(':')?;
    Some(format!("{scheme}{user}:{MASK}{host}"))
}

fn without_secrets(parameters: &str) -> Option<String> {
    let is_secret = |name: &str| {
        let name = name.trim_start_matches(['?', '#']).to_ascii_lowercase();
        SECRET_PARAMETERS.iter().any(|part| name.contains(part))
    };
    let mut is_changed = false;
    let shown = parameters.split('&').map(|pair| match pair.split_once('=') {
        Some((name, value)) if is_secret(name) && !value.is_empty() => {
            is_changed = true;
            format!("{name}={MASK}")
        }
        _ => pair.to_owned(),
    });
    let shown = shown.collect::<Vec<_>>().join("&");
    is_changed.then_some(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_in_labels_of_probes_are_not_shown() {
        for (value, told) in [
            ("postgres://me:hunter2@db/shop", "postgres://me:***@db/shop"),
            ("me:hunter2@db/shop", "me:***@db/shop"),
            ("redis://:hunter2@cache", "redis://:***@cache"),
            ("postgres://me:hun/ter2@db:5432/shop", "postgres://me:***@db:5432/shop"),
            ("postgres://me:hun?ter2@db/shop", "postgres://me:***@db/shop"),
            ("postgres://me:hun@ter2@db/shop", "postgres://me:***@db/shop"),
            ("http://api/?a=b&token=hunter2", "http://api/?a=b&token=***"),
            ("tcp://a:1?send=AUTH%20hunter2", "tcp://a:1?send=***"),
        ] {
            assert_eq!(shown("zv.probe.x", value), told);
            assert!(is_masked(told) && !is_masked(value));
            assert_eq!(shown("other", value), value);
        }
        for value in [
            "on",
            "5432",
            ":8080/health",
            "http://me@host/",
            "http://host:80/@me",
            "[::1]:80/@me",
            "http://a/?mail=a@b",
        ] {
            assert_eq!(shown("zv.probe.http", value), value);
        }
    }
}
