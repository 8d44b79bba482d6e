//! HTTP/1.1 as a probe speaks it: one request for each hop, on a connection of its own.

mod exchange;

use std::time::Duration;

use bytes::Bytes;
use hyper::header::{HeaderName, HeaderValue, LOCATION};
use hyper::{Method, StatusCode};
use serde_json::Value;
use tokio::time::timeout;
use url::Url;

use crate::prober::Prober;
use crate::target::http::{BodyRule, Http, shown};
use crate::tls::Trust;
use crate::trace::Trace;
use crate::verdict::Fault;
use crate::words::{bytes, quote};
use exchange::Answer;

/// More of a body is not read.
const BODY_LIMIT: usize = 1024 * 1024;
/// How long a server may take to explain a wrong status: the status is worth more than the words.
const HEAR_OUT: Duration = Duration::from_millis(500);

/// One request of perhaps several.
struct Hop {
    method: Method,
    url: Url,
    headers: Vec<(HeaderName, HeaderValue)>,
    body: Bytes,
}

/// Runs a probe.
pub(crate) async fn check(
    http: &Http,
    prober: &Prober,
    trust: &Trust,
    trace: &mut Trace,
) -> Result<String, Fault> {
    let mut hop = Hop {
        method: http.method.clone(),
        url: http.url.clone(),
        headers: http.headers.clone(),
        body: http.body.clone(),
    };
    let mut seen: Vec<(Method, Url)> = Vec::new();
    loop {
        let mut answer = exchange::send(&hop, prober, trust, trace).await?;
        let status = answer.status();
        trace.http_status = Some(status.as_u16());
        trace.http = Some(answer.facts(hop.url.scheme() == "https"));
        trace.output.clear();
        let expected = http.expect.status.contains(status.as_u16());
        if expected || http.redirects == 0 || !is_redirect(status) {
            if !expected {
                return Err(unexpected_status(&hop, status, http, &mut answer, trace).await);
            }
            return judged(http, status, &mut answer, trace).await;
        }
        let Some(location) = answer.header(&LOCATION) else {
            return Err(Fault::down(format!("{status} leads nowhere: it has no `Location`")));
        };
        let next = redirected(&hop, status, location)?;
        seen.push((hop.method, hop.url));
        hop = next;
        if seen.iter().any(|(method, url)| *method == hop.method && *url == hop.url) {
            return Err(Fault::down(format!("redirects in a circle: it leads back to {}", brief(&hop.url))));
        }
        if seen.len() > usize::try_from(http.redirects).unwrap_or(usize::MAX) {
            return Err(Fault::down(format!("redirects more than {} times", http.redirects)));
        }
        trace.redirects += 1;
    }
}

fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

fn brief(url: &Url) -> String {
    quote(shown(url).as_bytes())
}

/// Returns the request that a redirect asks for.
fn redirected(hop: &Hop, status: StatusCode, location: &HeaderValue) -> Result<Hop, Fault> {
    let text = std::str::from_utf8(location.as_bytes()).ok();
    let mut url = text
        .and_then(|text| hop.url.join(text).ok())
        .filter(|url| matches!(url.scheme(), "http" | "https") && url.host().is_some())
        .ok_or_else(|| Fault::down(format!("{status} leads to what is no address of a web page")))?;
    url.set_fragment(None);
    // A login in an address that a server made up is not ours to send.
    url.set_username("").ok();
    url.set_password(None).ok();
    let same_host = url.origin() == hop.url.origin();
    // As every client does it, whatever the standard once said about 301 and 302.
    let keeps_method =
        matches!(status.as_u16(), 307 | 308) || matches!(hop.method, Method::GET | Method::HEAD);
    Ok(Hop {
        method: if keeps_method { hop.method.clone() } else { Method::GET },
        headers: if same_host { hop.headers.clone() } else { Vec::new() },
        body: if keeps_method && same_host { hop.body.clone() } else { Bytes::new() },
        url,
    })
}

/// Says what came instead of the expected status, in the server's own words where it has any.
async fn unexpected_status(
    hop: &Hop,
    status: StatusCode,
    http: &Http,
    answer: &mut Answer,
    trace: &mut Trace,
) -> Fault {
    let told = match timeout(HEAR_OUT, answer.first_chunk()).await {
        Ok(Some(said)) if !said.is_empty() => {
            trace.hear(&said);
            trace.read_body(said.len());
            format!(": `{}`", quote(&said))
        }
        _ => String::new(),
    };
    let at = if hop.url == http.url { String::new() } else { format!(" at {}", brief(&hop.url)) };
    Fault::down(format!("answers {status}{at}, not {}{told}", http.expect.status))
}

/// Judges the body.
async fn judged(
    http: &Http,
    status: StatusCode,
    answer: &mut Answer,
    trace: &mut Trace,
) -> Result<String, Fault> {
    let (body, is_whole) = answer.body(BODY_LIMIT, trace).await?;
    trace.read_body(body.len());
    for rule in &http.expect.body {
        judge_body(rule, &body, is_whole).map_err(|lack| {
            trace.mismatched = true;
            Fault::down(lack)
        })?;
    }
    Ok(status.to_string())
}

fn judge_body(rule: &BodyRule, body: &[u8], is_whole: bool) -> Result<(), String> {
    let part = if is_whole { String::new() } else { format!(" in its first {}", bytes(BODY_LIMIT)) };
    match rule {
        BodyRule::Contains(wanted) => {
            let text = String::from_utf8_lossy(body);
            if text.contains(wanted) { Ok(()) } else { Err(format!("body lacks {wanted:?}{part}")) }
        }
        BodyRule::Matches(pattern) => {
            let text = String::from_utf8_lossy(body);
            if pattern.is_match(&text) {
                Ok(())
            } else {
                Err(format!("body does not match `{pattern}`{part}"))
            }
        }
        BodyRule::Json { .. } if !is_whole => Err(format!("body is longer than {}", bytes(BODY_LIMIT))),
        BodyRule::Json { pointer, equals } => {
            let json: Value =
                serde_json::from_slice(body).map_err(|error| format!("body is no JSON: {error}"))?;
            let found = json.pointer(pointer).ok_or_else(|| format!("body has nothing at `{pointer}`"))?;
            match equals {
                Some(wanted) if !is_same(wanted, found) => {
                    let found = quote(found.to_string().as_bytes());
                    Err(format!("body has {found} at `{pointer}`, not {wanted}"))
                }
                _ => Ok(()),
            }
        }
    }
}

/// Compares as a person reads it: text also stands for the number or truth value that is written so.
fn is_same(wanted: &Value, found: &Value) -> bool {
    let written = |text: &str| {
        !found.is_string() && serde_json::from_str(text).is_ok_and(|value: Value| value == *found)
    };
    wanted == found || wanted.as_str().is_some_and(written)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_judged_by_each_kind_of_rule() {
        let json = |pointer: &str, equals: Option<Value>| BodyRule::json(pointer, equals).unwrap();
        let body = br#"{"status":"ok","db":{"lag":3}}"#;
        for (rule, told) in [
            (BodyRule::Contains("ok".into()), ""),
            (BodyRule::Contains("fine".into()), "body lacks \"fine\""),
            (BodyRule::matches("(?i)OK").unwrap(), ""),
            (BodyRule::matches("^ok$").unwrap(), "body does not match `^ok$`"),
            (json("/db/lag", None), ""),
            (json("/db/lag", Some(3.into())), ""),
            (json("/db/lag", Some("3".into())), ""),
            (json("/db/lag", Some(0.into())), "body has 3 at `/db/lag`, not 0"),
            (json("/cache", None), "body has nothing at `/cache`"),
        ] {
            assert_eq!(judge_body(&rule, body, true).err().unwrap_or_default(), told);
        }
        let cut = judge_body(&BodyRule::Contains("fine".into()), body, false).unwrap_err();
        assert_eq!(cut, "body lacks \"fine\" in its first 1 MiB");
        assert!(judge_body(&json("", None), b"<html>", true).unwrap_err().starts_with("body is no JSON"));
    }

    #[test]
    fn what_was_meant_for_one_host_is_not_sent_to_another() {
        let http = Http::get(Url::parse("http://me:hunter2@a/x").unwrap()).unwrap();
        let hop = Hop {
            method: Method::POST,
            url: http.url,
            headers: http.headers,
            body: Bytes::from_static(b"x"),
        };
        let next = |status: u16, location: &'static str| {
            redirected(&hop, StatusCode::from_u16(status).unwrap(), &HeaderValue::from_static(location))
        };
        let near = next(307, "/y").unwrap();
        assert_eq!(
            (near.url.as_str(), near.method, near.headers.len(), near.body.len()),
            ("http://a/y", Method::POST, 1, 1)
        );
        let far = next(308, "http://you:there@b/").unwrap();
        assert_eq!((far.url.as_str(), far.headers.len(), far.body.len()), ("http://b/", 0, 0));
        assert_eq!(next(302, "https://a/").unwrap().headers.len(), 0);
        assert_eq!(next(302, "y").unwrap().method, Method::GET);
        for location in ["ftp://a/", "http://", "mailto:x"] {
            assert!(next(302, location).is_err(), "{location}");
        }
    }
}
