//! The probes' metrics, by blackbox_exporter's names.

use std::net::IpAddr;
use std::time::Duration;

use zv_model::MetricKind;
use zv_probe::{Report, Verdict};
use zv_wire::{Exposition, LabelText};

use crate::probes::{Probes, VERDICTS, phases};

/// One result and the labels it is told under.
pub(crate) struct Row {
    pub(crate) labels: LabelText,
    /// The kind of probe.
    pub(crate) kind: &'static str,
    pub(crate) report: Report,
}

/// What every probe found last, how often it found what, and what stands.
pub fn expose(out: &mut Exposition, probes: &Probes) {
    let mut rows = Vec::new();
    let stood = probes.read(|seen| {
        let owner = seen.owner;
        let labels = LabelText::of([
            ("probe", seen.name),
            ("target", seen.target),
            ("project", owner.map_or("", |owner| &owner.key.stack)),
            ("service", owner.map_or("", |owner| &owner.key.service)),
            ("replica", owner.map_or("", |owner| &owner.name)),
        ]);
        let row = |report: &Report| Row { labels: labels.clone(), kind: seen.kind, report: report.clone() };
        rows.extend(seen.last.map(row));
        (labels, seen.standing, seen.counts)
    });
    results(out, &rows);
    let help = "Results of the probe by verdict, confirmed or not.";
    let mut family = out.family("zv_probe_results_total", MetricKind::Counter, help);
    for (labels, _, counts) in &stood {
        for (verdict, count) in VERDICTS.iter().zip(counts) {
            #[expect(clippy::cast_precision_loss, reason = "nobody counts so far")]
            family.sample(labels, &[("result", verdict.word())], *count as f64);
        }
    }
    let help = "What stands of the probe once enough results agree: 1 for that state.";
    let mut family = out.family("zv_probe_state", MetricKind::Gauge, help);
    for (labels, standing, _) in &stood {
        for verdict in VERDICTS {
            family.sample(labels, &[("state", verdict.word())], flag(verdict == *standing));
        }
    }
}

/// Writes single results as blackbox_exporter does: which families there are depends on the kind of probe.
pub(crate) fn results(out: &mut Exposition, rows: &[Row]) {
    let mut families = Families { out, rows };
    families.of_all();
    families.of_web();
    families.of_names();
    families.of_certificates();
}

struct Families<'a> {
    out: &'a mut Exposition,
    rows: &'a [Row],
}

impl Families<'_> {
    fn gauge(&mut self, name: &str, help: &str, value: impl Fn(&Row) -> Option<f64>) {
        let mut family = self.out.family(name, MetricKind::Gauge, help);
        for row in self.rows {
            if let Some(value) = value(row) {
                family.sample(&row.labels, &[], value);
            }
        }
    }

    fn by_phase(&mut self, name: &str, help: &str, kind: &str, words: &[(&str, &str)]) {
        let mut family = self.out.family(name, MetricKind::Gauge, help);
        for row in self.rows.iter().filter(|row| row.kind == kind) {
            for (phase, time) in phases(&row.report.phases) {
                if let Some((_, word)) = words.iter().find(|(ours, _)| *ours == phase) {
                    family.sample(&row.labels, &[("phase", word)], seconds(time));
                }
            }
        }
    }

    fn of_all(&mut self) {
        let help = "Displays whether or not the probe was a success";
        self.gauge("probe_success", help, |row| Some(flag(is_success(&row.report))));
        let help = "Returns how long the probe took to complete in seconds";
        self.gauge("probe_duration_seconds", help, |row| Some(row.report.duration.as_secs_f64()));
        let help = "Returns the time taken for probe dns lookup in seconds";
        self.gauge("probe_dns_lookup_time_seconds", help, |row| {
            (row.kind != "exec").then(|| seconds(row.report.phases.resolve))
        });
        let help = "Specifies whether probe ip protocol is IP4 or IP6";
        self.gauge("probe_ip_protocol", help, |row| {
            row.report.address.map(|address| if address.is_ipv4() { 4.0 } else { 6.0 })
        });
        let help = "Specifies the hash of IP address. It's useful to detect if the IP address changes.";
        self.gauge("probe_ip_addr_hash", help, |row| row.report.address.map(hash));
        let help = "Indicates if probe failed due to regex";
        self.gauge("probe_failed_due_to_regex", help, |row| {
            let is_told = row.kind == "http" || is_conversation(row);
            is_told.then(|| flag(row.report.mismatched))
        });
        let help = "Indicates if probe failed due to bytes mismatch";
        self.gauge("probe_failed_due_to_bytes", help, |row| is_conversation(row).then_some(0.0));
    }

    fn of_web(&mut self) {
        let help = "Response HTTP status code";
        self.web("probe_http_status_code", help, |report| report.http_status.map_or(0.0, f64::from));
        let help = "Indicates if SSL was used for the final redirect";
        self.web("probe_http_ssl", help, |report| {
            report.http.map_or(0.0, |answer| flag(answer.is_encrypted))
        });
        self.web("probe_http_redirects", "The number of redirects", |report| f64::from(report.redirects));
        let help = "Returns the version of HTTP of the probe response";
        self.web("probe_http_version", help, |report| match report.http {
            Some(answer) => answer.version.parse().unwrap_or(0.0),
            None => 0.0,
        });
        let help = "Length of http content response";
        self.web("probe_http_content_length", help, |report| {
            report.http.map_or(0.0, |answer| answer.content_length.map_or(-1.0, whole))
        });
        let help = "Length of uncompressed response body";
        self.web("probe_http_uncompressed_body_length", help, |report| {
            report.http.map_or(0.0, |answer| whole(answer.body_bytes))
        });
        let help = "Duration of http request by phase, summed over all redirects";
        let words = ["resolve", "connect", "tls", "processing", "transfer"].map(|word| (word, word));
        self.by_phase("probe_http_duration_seconds", help, "http", &words);
    }

    fn web(&mut self, name: &str, help: &str, value: impl Fn(&Report) -> f64) {
        self.gauge(name, help, |row| (row.kind == "http").then(|| value(&row.report)));
    }

    fn of_names(&mut self) {
        let help = "Displays whether or not the query was executed successfully";
        self.gauge("probe_dns_query_succeeded", help, |row| {
            (row.kind == "dns").then(|| flag(is_success(&row.report)))
        });
        let words = [("resolve", "resolve"), ("connect", "connect"), ("processing", "request")];
        self.by_phase("probe_dns_duration_seconds", "Duration of DNS request by phase", "dns", &words);
    }

    fn of_certificates(&mut self) {
        let help = "Returns last SSL chain expiry in unixtime";
        self.gauge("probe_ssl_earliest_cert_expiry", help, |row| {
            #[expect(clippy::cast_precision_loss, reason = "exact for a hundred million years")]
            row.report.certificate_ends.map(|ends| ends as f64)
        });
        let help = "Returns the TLS version used or NaN when unknown";
        let mut family = self.out.family("probe_tls_version_info", MetricKind::Gauge, help);
        for row in self.rows {
            if let Some(version) = row.report.tls_version {
                family.sample(&row.labels, &[("version", version)], 1.0);
            }
        }
        let help = "Returns the TLS cipher negotiated during handshake";
        let mut family = self.out.family("probe_tls_cipher_info", MetricKind::Gauge, help);
        for row in self.rows.iter().filter(|row| row.kind == "http") {
            if let Some(cipher) = row.report.tls_cipher {
                // The library names those of TLS 1.3 in its own way.
                let cipher = cipher.replacen("TLS13_", "TLS_", 1);
                family.sample(&row.labels, &[("cipher", &cipher)], 1.0);
            }
        }
    }
}

/// A target that is slow, or whose certificate ends soon, still serves.
fn is_success(report: &Report) -> bool {
    matches!(report.verdict, Verdict::Up | Verdict::Degraded)
}

/// There was a connection to somebody who may say the wrong thing.
fn is_conversation(row: &Row) -> bool {
    match row.kind {
        "tcp" | "redis" | "postgres" | "mysql" => row.report.peer.is_some(),
        "tls" => row.report.tls_version.is_some(),
        _ => false,
    }
}

fn flag(is_so: bool) -> f64 {
    if is_so { 1.0 } else { 0.0 }
}

fn seconds(time: Option<Duration>) -> f64 {
    time.unwrap_or_default().as_secs_f64()
}

#[expect(clippy::cast_precision_loss, reason = "nothing here is as long")]
fn whole(count: u64) -> f64 {
    count as f64
}

/// FNV-1a of 32 bits, as blackbox_exporter has it.
fn hash(address: IpAddr) -> f64 {
    let over = |bytes: &[u8]| {
        bytes.iter().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
    };
    f64::from(match address {
        IpAddr::V4(address) => over(&address.octets()),
        IpAddr::V6(address) => over(&address.octets()),
    })
}
