//! Runs probes: one, or many of which none waits for another.

use std::sync::Arc;
use std::time::Duration;

use futures_util::Stream;
use tokio::time::{Instant, timeout_at};

use crate::dns::resolver::Resolver;
use crate::lanes;
use crate::target::{Check, Target};
use crate::tls::{self, Trust};
use crate::trace::Trace;
use crate::verdict::{Fault, Report, Verdict};
use crate::words::{cut, span, visible};
use crate::{clock, dns, exec, http, mysql, postgres, redis, tcp};

/// A reason is a sentence; what is longer repeats something long.
const REASON_LIMIT: usize = 512;

/// What probes share: how names are found and whom TLS trusts where a target does not say.
#[derive(Debug)]
pub struct Prober {
    pub(crate) resolver: Resolver,
    trust: Arc<Trust>,
    pub(crate) anything: Trust,
}

impl Prober {
    /// Returns a prober that trusts `trust` wherever a target has no trust of its own.
    pub fn new(trust: Arc<Trust>) -> Self {
        Self { resolver: Resolver::system(), trust, anything: Trust::anything() }
    }

    /// Runs one probe. It ends at the target's own time limit or at `deadline`, whichever comes first, whatever the
    /// other side does. What cannot begin before the deadline is unknown.
    pub async fn run(&self, target: &Target, deadline: Instant) -> Report {
        let begun = clock::now();
        let limit = target.timeout.min(deadline.saturating_duration_since(begun));
        if limit.is_zero() {
            return Report::not_tried();
        }
        let mut trace = Trace::new();
        trace.addresses.clone_from(&target.addresses);
        let outcome = match timeout_at(begun + limit, Box::pin(self.check(target, &mut trace))).await {
            Ok(outcome) => outcome,
            Err(_) => Err(trace.cut_off(limit)),
        };
        let (phases, duration) = trace.finish();
        let (verdict, reason) = match outcome {
            Ok(note) => graded(target, &trace, duration, note),
            Err(Fault { verdict, reason }) => (verdict, reason),
        };
        let is_up = verdict == Verdict::Up;
        let output = (!is_up && !trace.output.is_empty())
            .then(|| visible(&target.masked(String::from_utf8_lossy(&trace.output)), Report::OUTPUT_LIMIT));
        Report {
            verdict,
            reason: cut(target.masked(reason.into()).into_owned(), REASON_LIMIT),
            duration,
            phases,
            address: trace.address,
            peer: trace.peer,
            http_status: trace.http_status,
            http: trace.http,
            redirects: trace.redirects,
            tls_version: trace.tls_version,
            tls_cipher: trace.tls_cipher,
            certificate_ends: trace.certificate_ends,
            mismatched: trace.mismatched,
            output,
        }
    }

    async fn check(&self, target: &Target, trace: &mut Trace) -> Result<String, Fault> {
        let trust = target.trust.as_ref().unwrap_or(&self.trust);
        match &target.check {
            Check::Http(check) => http::check(check, self, trust, trace).await,
            Check::Tcp(check) => tcp::check(check, self, trace).await,
            Check::Tls(check) => tls::check(check, self, trust, trace).await,
            Check::Dns(check) => dns::check(check, self, trace).await,
            Check::Redis(check) => redis::check(check, self, trust, trace).await,
            Check::Postgres(check) => postgres::check(check, self, trust, trace).await,
            Check::Mysql(check) => mysql::check(check, self, trust, trace).await,
            Check::Exec(check) => exec::check(check, trace).await,
        }
    }
}

/// It answers as it should; is it fast, and will it last?
fn graded(target: &Target, trace: &Trace, duration: Duration, note: String) -> (Verdict, String) {
    let ends = trace.certificate_ends;
    let ends_soon =
        ends.and_then(|ends| tls::ends_soon(ends, clock::unix_seconds(), target.certificate_days));
    let slow = target.within.filter(|within| duration > *within);
    let slow = slow.map(|within| format!("took {}, more than {}", span(duration), span(within)));
    match (ends_soon, slow) {
        (None, None) => (Verdict::Up, note),
        (Some(why), None) | (None, Some(why)) => (Verdict::Degraded, why),
        (Some(why), Some(slow)) => (Verdict::Degraded, format!("{why}; {slow}")),
    }
}

/// Runs many probes and yields each report, with the target's place, as soon as it is there. About `limit` of them are
/// under way at once: one that waits long does not count any more (see [`lanes::run`]), so that targets that hang delay
/// no other. What has not begun at `deadline` is unknown.
pub fn run_all<'a>(
    prober: &'a Prober,
    targets: &'a [Target],
    limit: usize,
    deadline: Instant,
) -> impl Stream<Item = (usize, Report)> + 'a {
    lanes::run(targets.iter().map(move |target| prober.run(target, deadline)), limit)
}
