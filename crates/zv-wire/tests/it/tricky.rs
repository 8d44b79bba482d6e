//! Documents at the edges of the formats, and what Prometheus 3.5 stores of them. Where it is installed, it is asked.

use std::collections::BTreeMap;

use zv_wire::{Entry, Format, Parser};

use crate::lab::{Prometheus, eventually, serve};

/// What is stored; `None` where the whole document is refused.
type Stored = Option<&'static [(&'static str, f64)]>;

const NAN: f64 = f64::NAN;
const INF: f64 = f64::INFINITY;

/// There, the blank before a name becomes part of it: a mistake that is not followed.
const BLANK_FIRST: &str = "\n\n a 1";

const TEXT: &[(&str, Stored)] = &[
    ("a 1", Some(&[("a", 1.0)])),
    ("", Some(&[])),
    (BLANK_FIRST, Some(&[(" a", 1.0)])),
    ("a{b=\"x\ny\"} 1\n", Some(&[("a b=x\ny", 1.0)])),
    ("a-1\n", Some(&[("a", -1.0)])),
    ("a{b=\"c\"}1", Some(&[("a b=c", 1.0)])),
    ("a {b=\"c\"  , d = \"e\" f=\"g\",} 7 \t 0\n", Some(&[("a b=c d=e f=g", 7.0)])),
    ("a 0x10\n", None),
    ("a 0x1p4\n", None),
    ("a 1e400\n", None),
    ("a 1_0\n", None),
    ("a .\n", None),
    ("a +nan\n", None),
    (
        "a nan\nb +inf\nc -Infinity\nd .5\ne 1.\nf 1E5\n",
        Some(&[("a", NAN), ("b", INF), ("c", -INF), ("d", 0.5), ("e", 1.0), ("f", 1e5)]),
    ),
    (
        "# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"1000000\"} 2\nh_bucket{le=\"0.00001\"} 3\nh_bucket{le=\"x\"} 4\n\
         h_bucket{le=\"+Inf\"} 5\nother{le=\"5\",quantile=\"1\"} 6\n",
        Some(&[
            ("h_bucket le=1.0", 1.0),
            ("h_bucket le=1e+06", 2.0),
            ("h_bucket le=1e-05", 3.0),
            ("h_bucket le=x", 4.0),
            ("h_bucket le=+Inf", 5.0),
            ("other le=5.0 quantile=1", 6.0),
        ]),
    ),
    (
        "# TYPE s summary\ns{quantile=\"0.50\"} 1\n# TYPE g gauge\ng{quantile=\"0.50\"} 1\n",
        Some(&[("s quantile=0.5", 1.0), ("g quantile=0.50", 1.0)]),
    ),
    (
        "{\"a.b\",c=\"d\"} 1\n{e=\"f\",\"g h\"} 2\n{\"a\\\"b\\n\\\\\",} 3\n",
        Some(&[("a.b c=d", 1.0), ("g h e=f", 2.0), ("a\"b\n\\", 3.0)]),
    ),
    ("a{\"b c\"=\"d\"} 1\n", Some(&[("a b c=d", 1.0)])),
    ("a{b=\"1\",b=\"2\"} 1\n", None),
    ("a{b=\"1\",\"b\"=\"2\"} 1\n", None),
    ("a{__name__=\"b\"} 1\n", None),
    ("{__name__=\"b\"} 1\n", None),
    ("{\"\"} 1\n", None),
    ("{\"a\",\"\"=\"x\"} 1\n", None),
    ("{\"a\",\"b\"} 1\n", None),
    ("a{\"b\"} 1\n", None),
    ("{} 1\n", None),
    ("a{} 1\n{\"b\",} 2\n", Some(&[("a", 1.0), ("b", 2.0)])),
    ("a{,} 1\n", None),
    ("a{b=\"c\",,} 1\n", None),
    ("{\"a\" b=\"c\"} 1\n", None),
    ("{\"a\";b=\"c\"} 1\n", None),
    ("a{b:c=\"d\"} 1\n", None),
    (":a:1 1\n", Some(&[(":a:1", 1.0)])),
    ("a 1\r\n", None),
    ("a{b=\"\\z\\\n\"} 1", None),
    ("a{b=\"\\z\"} 1\nc{b=\"\"} 2\n", Some(&[("a b=\\z", 1.0), ("c", 2.0)])),
    ("a 1\na 2\n", Some(&[("a", 1.0)])),
    ("a 1 2 3\n", None),
    ("a 1 2.5\n", None),
    ("a 1 99999999999999999999\n", None),
    ("# HELP a\n# HELPX\n#nothing\n# HELP a-b c\n# TYPE \"x y\" gauge\na 1", Some(&[("a", 1.0)])),
    ("# HELP\n# TYPE\na 1", Some(&[("a", 1.0)])),
    ("# HELP \na 1", None),
    ("# TYPE a\na 1", None),
    ("# TYPE a info\na 1", None),
    ("# TYPE a  gauge\na 1", None),
    ("# TYPE a gauge \na 1", None),
    ("#\tTYPE\ta\tgauge\na\t1", Some(&[("a", 1.0)])),
    ("# TYPE a counter\n# TYPE a gauge\na 1\n# HELP a x\n", Some(&[("a", 1.0)])),
    ("# EOF\na 1\n# EOF", Some(&[("a", 1.0)])),
    ("a 1 # {b=\"c\"} 1\n", None),
];

const OPEN: &[(&str, Stored)] = &[
    ("# EOF", Some(&[])),
    ("a 1\n", None),
    ("a 1\n# EOF\n\n", None),
    ("a 1\n\n# EOF\n", None),
    ("a 1 1.5\n# EOF\n", Some(&[("a", 1.0)])),
    ("a{b=\"c\",} 1\n# EOF", Some(&[("a b=c", 1.0)])),
    ("a{b=\"c\" ,d=\"e\"} 1\n# EOF", None),
    ("a{b=\"c\"d=\"e\"} 1\n# EOF", None),
    ("# comment\n# EOF\n", None),
    ("{\"a b\",c=\"d\"} 1 # {\"x y\"=\"z\"} 1\n# EOF\n", Some(&[("a b c=d", 1.0)])),
    ("a 1 # {\"x\"} 1\n# EOF\n", None),
    ("a 1 # {x=\"y\"}\n# EOF\n", None),
    ("a 1 # {x=\"y\"} 1 2 3\n# EOF\n", None),
    ("a 1 # {x=\"y\"} 1 Inf\n# EOF\n", None),
    ("a 1 5 # {} 1 2\n# EOF\n", Some(&[("a", 1.0)])),
    ("# TYPE a untyped\n# EOF\n", None),
    ("# TYPE a info\na_info{b=\"c\"} 1\n# EOF\n", Some(&[("a_info b=c", 1.0)])),
    (
        "# TYPE a histogram\na_bucket{le=\"1\"} 1\n# TYPE b gaugehistogram\nb_bucket{le=\"1\"} 1\n# TYPE s summary\ns{quantile=\"0.50\"} 1\n# EOF\n",
        Some(&[("a_bucket le=1.0", 1.0), ("b_bucket le=1", 1.0), ("s quantile=0.5", 1.0)]),
    ),
    (
        "# TYPE a_s counter\n# UNIT a_s s\na_s_total 1\na_s_created 2\n# EOF\n",
        Some(&[("a_s_total", 1.0), ("a_s_created", 2.0)]),
    ),
    ("# UNIT a s\n# EOF\n", None),
    ("# UNIT a \na 1\n# EOF\n", Some(&[("a", 1.0)])),
    ("a{b=\"c\"}  1\n# EOF\n", None),
    ("a {b=\"c\"} 1\n# EOF\n", None),
    ("a{b=\"x\ny\"} 1\n# EOF\n", None),
    ("a 1 \n# EOF\n", None),
    ("a 1 NaN\n# EOF\n", None),
    ("a{b=\"1\",b=\"2\"} 1\n# EOF\n", None),
    ("a 1 #\n# EOF\n", None),
];

/// What is not UTF-8 has no place in the tables above.
const BYTES: &[(&[u8], Stored)] = &[
    (b"# \xff\na 1\n", Some(&[("a", 1.0)])),
    (b"#\xff\xfe\na 1\n#\xff", Some(&[("a", 1.0)])),
    (b"a{b=\"\xff\"} 1\n", None),
    (b"# HELP a \xff\na 1\n", None),
    (b"a\xff 1\n", None),
    (b"a{b=\"c\0d\"} 1\n", Some(&[("a b=c\0d", 1.0)])),
];

fn documents() -> Vec<(Format, Vec<u8>, Stored)> {
    let text = TEXT.iter().map(|(document, stored)| (Format::Text, document.as_bytes().to_vec(), *stored));
    let open =
        OPEN.iter().map(|(document, stored)| (Format::OpenMetrics, document.as_bytes().to_vec(), *stored));
    let bytes = BYTES.iter().map(|(document, stored)| (Format::Text, document.to_vec(), *stored));
    text.chain(open).chain(bytes).collect()
}

/// The values are texts, so that a NaN equals another.
type Series = BTreeMap<String, String>;

fn number(value: f64) -> String {
    if value.is_nan() { "NaN".to_owned() } else { value.to_string() }
}

fn expected(stored: Stored) -> Option<Series> {
    Some(stored?.iter().map(|(series, value)| ((*series).to_owned(), number(*value))).collect())
}

/// Reads a document; of samples of one series the first counts.
fn read(format: Format, document: &[u8]) -> Option<Series> {
    let mut parser = Parser::new(format, document);
    let mut all = Series::new();
    loop {
        match parser.next_entry().ok()? {
            Entry::Series(series) => {
                let labels = series.labels().ok()?;
                let mut text = labels.metric_name().to_owned();
                for label in labels.iter().filter(|label| &*label.name != "__name__") {
                    text += &format!(" {}={}", label.name, label.value);
                }
                all.entry(text).or_insert(number(series.value));
            }
            Entry::Eof => return Some(all),
            _ => {}
        }
    }
}

#[test]
fn edges_are_read_as_prometheus_does() {
    for (format, document, stored) in documents() {
        if document == BLANK_FIRST.as_bytes() {
            continue;
        }
        assert_eq!(
            read(format, &document),
            expected(stored),
            "{format:?} {:?}",
            String::from_utf8_lossy(&document)
        );
    }
}

#[test]
fn prometheus_itself_reads_edges_so() {
    let all = documents();
    let served = all.iter().map(|(format, document, _)| (format.content_type(), document.clone())).collect();
    let address = serve(served);
    let mut configuration =
        "global: { scrape_interval: 1s, scrape_timeout: 1s }\nscrape_configs:\n- job_name: lab\n  \
        honor_timestamps: false\n  static_configs:\n"
            .to_owned();
    for place in 0..all.len() {
        configuration += &format!(
            "  - {{ targets: ['{address}'], labels: {{ __metrics_path__: /{place}, instance: '{place}' }} }}\n"
        );
    }
    let Some(prometheus) = Prometheus::start(&configuration) else { return };
    let errors: BTreeMap<String, String> = eventually("the scrapes", || {
        let targets = prometheus.data("/api/v1/targets?state=active");
        let targets = targets["activeTargets"].as_array()?;
        let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        let done = targets.len() == all.len() && targets.iter().all(|target| target["health"] != "unknown");
        let errors = targets.iter();
        done.then(|| errors.map(|one| (text(&one["labels"]["instance"]), text(&one["lastError"]))).collect())
    });
    for (place, (format, document, stored)) in all.iter().enumerate() {
        let what = format!("{format:?} {:?}", String::from_utf8_lossy(document));
        let error = &errors[&place.to_string()];
        if error.is_empty() {
            assert_eq!(Some(kept(&prometheus, place)), expected(*stored), "{what}");
        } else {
            assert_eq!(*stored, None, "{what}: {error}\n{}", prometheus.log());
        }
    }
}

/// Returns what Prometheus stored of a document. An empty answer is asked for again: it may have come too early.
fn kept(prometheus: &Prometheus, place: usize) -> Series {
    let query = format!("/api/v1/query?query=%7Binstance%3D%22{place}%22%7D");
    let answer = eventually("the samples", || {
        let answer = prometheus.data(&query);
        (answer["result"].as_array()?.len() >= 5).then_some(answer)
    });
    let mut all = Series::new();
    for one in answer["result"].as_array().unwrap() {
        let labels = one["metric"].as_object().unwrap();
        let name = labels["__name__"].as_str().unwrap();
        if name == "up" || name.starts_with("scrape_") {
            continue;
        }
        let mut text = name.to_owned();
        for (name, value) in labels {
            if !["__name__", "instance", "job"].contains(&name.as_str()) {
                text += &format!(" {name}={}", value.as_str().unwrap());
            }
        }
        let value = one["value"][1].as_str().unwrap().parse().unwrap();
        all.insert(text, number(value));
    }
    all
}
