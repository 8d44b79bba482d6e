//! What is written here is read by Prometheus and promtool as it was meant.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::Value;
use zv_model::MetricKind;
use zv_wire::{Exposition, Format, LabelText};

use crate::lab::{Prometheus, eventually, installed, serve};

/// Values of every size, and the odd ones.
fn values() -> Vec<f64> {
    let mut values =
        vec![0.0, -0.0, 1.0, 1e-5, 9.99e-6, 1e16, 1e17, 123_456_789.125, f64::MAX, f64::MIN_POSITIVE, 5e-324];
    values.extend([f64::INFINITY, f64::NEG_INFINITY, f64::NAN, 9_007_199_254_740_993.0, 0.1 + 0.2]);
    // Bits that are spread over all there are, always the same ones.
    let mut bits = 0x9e37_79b9_7f4a_7c15_u64;
    for _ in 0..300 {
        bits = bits.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        values.push(f64::from_bits(bits));
    }
    values
}

fn odd_label(place: usize) -> String {
    let odd = ["\\", "\n", "\"", "\\n", "é", "\t", "{}", "\\\"", "# ", "", "\r", "\0"];
    format!("{place}{}{}", odd[place % odd.len()], odd[place / 7 % odd.len()])
}

fn document(format: Format) -> Vec<u8> {
    let mut out = Exposition::new(format, 0);
    let mut family = out.family("lab_value", MetricKind::Gauge, "A \"value\" \\ of\nsome size.");
    for (place, value) in values().into_iter().enumerate() {
        let (number, odd) = (place.to_string(), odd_label(place));
        family.sample(&LabelText::of([("odd", odd.as_str())]), &[("place", &number)], value);
    }
    let mut family = out.family("lab.dotted", MetricKind::Counter, "");
    family.sample(&LabelText::of([("a b", "c")]), &[], 1.0);
    out.finish().into_bytes()
}

#[test]
fn prometheus_stores_what_is_written() {
    let formats = [Format::Text, Format::OpenMetrics];
    let address = serve(formats.map(|format| (format.content_type(), document(format))).to_vec());
    let mut configuration =
        "global: { scrape_interval: 1s, scrape_timeout: 1s }\nscrape_configs:\n- job_name: lab\n  static_configs:\n"
            .to_owned();
    for place in 0..formats.len() {
        configuration += &format!(
            "  - {{ targets: ['{address}'], labels: {{ __metrics_path__: /{place}, instance: '{place}' }} }}\n"
        );
    }
    let Some(prometheus) = Prometheus::start(&configuration) else { return };
    let values = values();
    for (instance, format) in formats.into_iter().enumerate() {
        let query = |name: &str| {
            format!("/api/v1/query?query=%7B__name__%3D%22{name}%22,instance%3D%22{instance}%22%7D")
        };
        let answer = eventually("the samples", || {
            let answer = prometheus.data(&query("lab_value"));
            (!answer["result"].as_array()?.is_empty()).then_some(answer)
        });
        let result = answer["result"].as_array().unwrap();
        assert_eq!(result.len(), values.len(), "{format:?}");
        for one in result {
            let label = |name: &str| one["metric"][name].as_str().unwrap();
            let place: usize = label("place").parse().unwrap();
            assert_eq!(label("odd"), odd_label(place));
            let found: f64 = one["value"][1].as_str().unwrap().parse().unwrap();
            let expected = values[place];
            let same = found.to_bits() == expected.to_bits() || (found.is_nan() && expected.is_nan());
            assert!(same, "{format:?} {expected:e}: {found:e}");
        }
        assert_eq!(prometheus.data(&query("lab.dotted"))["result"][0]["metric"]["a b"], "c");
    }
    let known: Value = prometheus.data("/api/v1/metadata?metric=lab_value");
    assert_eq!(known["lab_value"][0]["help"], "A \"value\" \\ of\nsome size.");
}

#[test]
fn promtool_finds_nothing_to_mend() {
    let Some(promtool) = installed("promtool") else { return };
    let mut out = Exposition::new(Format::Text, 0);
    let web = LabelText::of([("name", "we\"b\n\\"), ("image", "")]);
    let mut counter = out.family("zv_requests_total", MetricKind::Counter, "Requests \"served\".\n");
    for (place, value) in values().into_iter().enumerate() {
        counter.sample_at(&web, &[("place", &place.to_string())], value, 1500);
    }
    let mut sizes = out.family("zv_size_bytes", MetricKind::Histogram, "Sizes.");
    sizes.part("_bucket", &web, &[("le", "0.1")], 1.0);
    sizes.part("_bucket", &web, &[("le", "+Inf")], 2.0);
    sizes.part("_sum", &web, &[], 1.5);
    sizes.part("_count", &web, &[], 2.0);
    out.family("zv_build_info", MetricKind::Info, "Build.").sample(&LabelText::default(), &[("v", "1")], 1.0);
    let document = out.finish();
    let mut child = Command::new(promtool)
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(document.as_bytes()).unwrap();
    let done = child.wait_with_output().unwrap();
    let told = String::from_utf8([done.stdout, done.stderr].concat()).unwrap();
    assert!(done.status.success() && told.is_empty(), "{told}\n{document}");
}
