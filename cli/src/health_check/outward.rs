//! Whom a run tells besides the person: a heartbeat monitor and a Pushgateway. When they fail, that is a warning; what
//! was found stays what it is.

use std::fmt::Write as _;
use std::time::Duration;

use tokio::time::Instant;
use zv_probe::{Check, Method, Prober, Target, Verdict};

use super::args::{HealthCheckArgs, Plan};
use super::finding::Summary;
use crate::failure::{Failure, Outcome};

/// How long each of them may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// Where results go unless the address says otherwise.
const JOB: &str = "/metrics/job/zv_health_check";

/// Those to tell.
pub(super) struct Outward<'a> {
    prober: &'a Prober,
    ping: Option<Pings>,
    push: Option<Target>,
}

struct Pings {
    start: Target,
    success: Target,
    fail: Target,
}

impl<'a> Outward<'a> {
    pub(super) fn of(args: &HealthCheckArgs, plan: &'a Plan) -> Outcome<Self> {
        let ping = args.ping.as_deref().map(|url| {
            let target = |end: &str| page("--ping", &at(url, end));
            Ok::<_, Failure>(Pings { start: target("/start")?, success: target("")?, fail: target("/fail")? })
        });
        let push = args.push_gateway.as_deref().map(|url| {
            let mut target = page(
                "--push-gateway",
                &if url.contains("/metrics/job/") { url.to_owned() } else { at(url, JOB) },
            )?;
            if let Check::Http(http) = &mut target.check {
                http.method = Method::PUT;
            }
            Ok::<_, Failure>(target)
        });
        Ok(Self { prober: &plan.prober, ping: ping.transpose()?, push: push.transpose()? })
    }

    /// Tells that the run begins; returns what went wrong.
    pub(super) async fn started(&self, deadline: Instant) -> Option<String> {
        let start = &self.ping.as_ref()?.start;
        self.call(start, deadline, "the heartbeat monitor").await
    }

    /// Tells how the run ended; returns what went wrong.
    pub(super) async fn ended(&self, summary: &Summary) -> Vec<String> {
        let deadline = Instant::now() + PATIENCE;
        let ping = async {
            let ping = self.ping.as_ref()?;
            let target = if summary.verdict() == Verdict::Up { &ping.success } else { &ping.fail };
            self.call(target, deadline, "the heartbeat monitor").await
        };
        let push = async {
            let mut target = self.push.clone()?;
            if let Check::Http(http) = &mut target.check {
                http.body = metrics(summary).into();
            }
            self.call(&target, deadline, "the Pushgateway").await
        };
        let (ping, push) = tokio::join!(ping, push);
        ping.into_iter().chain(push).collect()
    }

    async fn call(&self, target: &Target, deadline: Instant, who: &str) -> Option<String> {
        let report = Box::pin(self.prober.run(target, deadline)).await;
        let is_told = matches!(report.verdict, Verdict::Up | Verdict::Degraded);
        (!is_told).then(|| format!("{who} was not told: {}", report.reason))
    }
}

/// Adds an end to the path of a URL.
fn at(url: &str, end: &str) -> String {
    if end.is_empty() {
        return url.to_owned();
    }
    let (path, query) = url.find('?').map_or((url, ""), |query| url.split_at(query));
    format!("{}{end}{query}", path.trim_end_matches('/'))
}

fn page(option: &str, url: &str) -> Outcome<Target> {
    let target = Target::parse(url).map_err(|error| Failure::Usage(format!("{option}: {error}")))?;
    if !matches!(target.check, Check::Http(_)) {
        return Err(Failure::Usage(format!("{option} takes an address like `https://HOST/PATH`")));
    }
    Ok(Target { timeout: PATIENCE, ..target })
}

/// Returns a run as Prometheus reads it.
fn metrics(summary: &Summary) -> String {
    let mut text = String::new();
    let mut family = |name: &str, help: &str, samples: &[(String, f64)]| {
        writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge").expect("writing to a string cannot fail");
        for (labels, value) in samples {
            writeln!(text, "{name}{labels} {value}").expect("writing to a string cannot fail");
        }
    };
    // A target that was named twice is one series.
    let mut seen = std::collections::BTreeSet::new();
    let findings: Vec<_> = summary.findings.iter().filter(|finding| seen.insert(&finding.target)).collect();
    let up: Vec<_> = findings
        .iter()
        .map(|finding| {
            let serves = matches!(finding.verdict, Verdict::Up | Verdict::Degraded);
            (label(&finding.target), if serves { 1.0 } else { 0.0 })
        })
        .collect();
    let times: Vec<_> =
        findings.iter().filter_map(|finding| Some((label(&finding.target), finding.seconds?))).collect();
    family("zv_health_check_up", "Whether the target serves.", &up);
    family("zv_health_check_duration_seconds", "How long the last attempt took.", &times);
    let status = [(String::new(), f64::from(summary.code()))];
    family("zv_health_check_status", "The exit code: 0 healthy, 1 degraded, 2 down, 3 unknown.", &status);
    text
}

fn label(target: &str) -> String {
    let escaped = target.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n");
    format!("{{target=\"{escaped}\"}}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health_check::finding::Finding;
    use crate::samples;

    #[test]
    fn an_end_goes_to_the_path() {
        assert_eq!(at("https://hc.example/uuid", "/start"), "https://hc.example/uuid/start");
        assert_eq!(at("https://hc.example/uuid/?a=b", "/fail"), "https://hc.example/uuid/fail?a=b");
        assert_eq!(at("https://hc.example/uuid/", ""), "https://hc.example/uuid/");
    }

    #[test]
    fn metrics_are_those_of_prometheus() {
        let findings = vec![
            Finding { seconds: Some(0.25), ..Finding::seen("tcp://a:1", Verdict::Up, "") },
            Finding::seen("docker://\"b\"", Verdict::Down, ""),
        ];
        let text = metrics(&Summary { at: samples::now(), seconds: 1.0, findings });
        for line in [
            "zv_health_check_up{target=\"tcp://a:1\"} 1",
            "zv_health_check_up{target=\"docker://\\\"b\\\"\"} 0",
            "zv_health_check_duration_seconds{target=\"tcp://a:1\"} 0.25",
            "zv_health_check_status 2",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}: {text}");
        }
    }
}
