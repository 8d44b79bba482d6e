//! What each action of a `relabel_config` makes of labels, and what is no rule. Where Prometheus and promtool are installed,
//! they are asked, too.

use std::collections::BTreeMap;
use std::process::Command;

use zv_model::Labels;
use zv_wire::relabel::{RelabelConfig, Rule, relabel};

use crate::lab::{Prometheus, eventually, installed, serve};

/// The fields of a rule; `source_labels` are separated by commas.
type Fields = &'static [(&'static str, &'static str)];

/// How labels differ from those before; an empty value: it is gone.
type Changes = Option<&'static [(&'static str, &'static str)]>;

/// Every series has these labels to begin with, and those that Prometheus gives it.
const LABELS: [(&str, &str); 7] = [
    ("__name__", "m"),
    ("a", "foo"),
    ("b", "bar"),
    ("c", "Baz ǅÉß"),
    ("meta_x", "1"),
    ("meta_y", "2"),
    ("zone", "eu-1\n"),
];

/// Rules, and how the labels differ afterwards; `None` where the series is dropped.
const CASES: &[(&[Fields], Changes)] = &[
    (&[&[("target_label", "t")]], Some(&[])),
    (&[&[("source_labels", "a"), ("target_label", "t")]], Some(&[("t", "foo")])),
    (&[&[("source_labels", "a,b"), ("target_label", "t")]], Some(&[("t", "foo;bar")])),
    (&[&[("source_labels", "a,none,b"), ("target_label", "t"), ("separator", "")]], Some(&[("t", "foobar")])),
    (
        &[&[
            ("source_labels", "a"),
            ("regex", "f(.*)"),
            ("target_label", "t"),
            ("replacement", "${1}-$0-$$1-$2"),
        ]],
        Some(&[("t", "oo-foo-$1-")]),
    ),
    (
        &[&[
            ("source_labels", "a"),
            ("regex", "(?P<n>f)(o+)"),
            ("target_label", "t"),
            ("replacement", "$n${n}x$nx$2"),
        ]],
        Some(&[("t", "ffxoo")]),
    ),
    (&[&[("source_labels", "a"), ("regex", "oo"), ("target_label", "t"), ("replacement", "x")]], Some(&[])),
    (
        &[&[("source_labels", "none"), ("target_label", "t"), ("replacement", "static")]],
        Some(&[("t", "static")]),
    ),
    (
        &[&[("source_labels", "none"), ("regex", ".+"), ("target_label", "t"), ("replacement", "static")]],
        Some(&[]),
    ),
    (
        &[&[("source_labels", "none"), ("regex", ""), ("target_label", "t"), ("replacement", "static")]],
        Some(&[("t", "static")]),
    ),
    (&[&[("target_label", "a"), ("replacement", "")]], Some(&[("a", "")])),
    (&[&[("source_labels", "none"), ("target_label", "a")]], Some(&[("a", "")])),
    (
        &[&[("source_labels", "a"), ("target_label", "x_${1}_y"), ("replacement", "z")]],
        Some(&[("x_foo_y", "z")]),
    ),
    (&[&[("source_labels", "none"), ("target_label", "$1"), ("replacement", "z")]], Some(&[])),
    (
        &[&[("source_labels", "c"), ("target_label", "is $1"), ("replacement", "z")]],
        Some(&[("is Baz ǅÉß", "z")]),
    ),
    (
        &[&[("source_labels", "__name__"), ("target_label", "__name__"), ("replacement", "pre_$1")]],
        Some(&[("__name__", "pre_m")]),
    ),
    (
        &[
            &[("source_labels", "a"), ("target_label", "__tmp"), ("replacement", "1$1")],
            &[("source_labels", "__tmp"), ("target_label", "t")],
            &[("action", "labeldrop"), ("regex", "__tmp")],
        ],
        Some(&[("t", "1foo")]),
    ),
    (
        &[&[("source_labels", "zone"), ("regex", "eu-.*"), ("target_label", "t"), ("replacement", "eu")]],
        Some(&[("t", "eu")]),
    ),
    (&[&[("source_labels", "a"), ("regex", "(?i)FOO"), ("action", "keep")]], Some(&[])),
    (&[&[("source_labels", "a"), ("regex", "fo"), ("action", "keep")]], None),
    (&[&[("source_labels", "a,b"), ("regex", "foo;bar"), ("action", "keep")]], Some(&[])),
    (&[&[("source_labels", "a"), ("regex", "foo|x"), ("action", "drop")]], None),
    (&[&[("source_labels", "a"), ("regex", "x"), ("action", "drop")]], Some(&[])),
    (&[&[("action", "drop")]], None),
    (&[&[("source_labels", "a"), ("action", "Drop"), ("regex", "")]], Some(&[])),
    (&[&[("source_labels", "a"), ("target_label", "b"), ("action", "keepequal")]], None),
    (&[&[("source_labels", "a"), ("target_label", "a"), ("action", "keepequal")]], Some(&[])),
    (&[&[("source_labels", "none"), ("target_label", "void"), ("action", "dropequal")]], None),
    (&[&[("source_labels", "a"), ("target_label", "b"), ("action", "dropequal")]], Some(&[])),
    (
        &[&[("source_labels", "a,b"), ("target_label", "t"), ("action", "hashmod"), ("modulus", "1000")]],
        Some(&[("t", "750")]),
    ),
    (
        &[&[
            ("source_labels", "none"),
            ("target_label", "t"),
            ("action", "hashmod"),
            ("modulus", "18446744073709551615"),
        ]],
        Some(&[("t", "16825458760271544958")]),
    ),
    (&[&[("regex", "meta_(.*)"), ("action", "labelmap")]], Some(&[("x", "1"), ("y", "2")])),
    (
        &[&[("regex", "meta_(.*)"), ("action", "labelmap"), ("replacement", "a_${1}_z")]],
        Some(&[("a_x_z", "1"), ("a_y_z", "2")]),
    ),
    (
        &[&[("regex", "meta_(.)"), ("action", "labelmap"), ("replacement", "meta_${1}x")]],
        Some(&[("meta_xx", "1"), ("meta_yx", "2")]),
    ),
    (&[&[("regex", "a|b"), ("action", "labelmap"), ("replacement", "t")]], Some(&[("t", "bar")])),
    (&[&[("regex", "a"), ("action", "labelmap"), ("replacement", "b")]], Some(&[("b", "foo")])),
    (&[&[("regex", "meta_.*|none"), ("action", "labeldrop")]], Some(&[("meta_x", ""), ("meta_y", "")])),
    (
        &[&[("regex", "__name__|a|job"), ("action", "labelkeep")]],
        Some(&[("b", ""), ("c", ""), ("meta_x", ""), ("meta_y", ""), ("zone", ""), ("instance", "")]),
    ),
    (&[&[("source_labels", "c"), ("target_label", "t"), ("action", "lowercase")]], Some(&[("t", "baz ǆéß")])),
    (&[&[("source_labels", "c"), ("target_label", "t"), ("action", "uppercase")]], Some(&[("t", "BAZ ǄÉß")])),
    (&[&[("source_labels", "none"), ("target_label", "a"), ("action", "uppercase")]], Some(&[("a", "")])),
];

fn rule_of(fields: Fields) -> RelabelConfig {
    let mut config = RelabelConfig::default();
    for (name, value) in fields {
        let text = Some((*value).to_owned());
        match *name {
            "source_labels" => {
                let names = value.split(',').filter(|_| !value.is_empty()).map(str::to_owned);
                config.source_labels = Some(names.collect());
            }
            "separator" => config.separator = text,
            "regex" => config.regex = text,
            "modulus" => config.modulus = value.parse().ok(),
            "target_label" => config.target_label = text,
            "replacement" => config.replacement = text,
            "action" => config.action = text,
            _ => unreachable!("{name}"),
        }
    }
    config
}

/// Writes a rule as Prometheus reads it.
fn yaml(fields: Fields) -> String {
    let fields = fields.iter().map(|(name, value)| match *name {
        "source_labels" => {
            let names: Vec<&str> = value.split(',').filter(|_| !value.is_empty()).collect();
            format!("{name}: {}", serde_json::to_string(&names).unwrap())
        }
        "modulus" => format!("{name}: {value}"),
        _ => format!("{name}: {}", serde_json::to_string(value).unwrap()),
    });
    format!("{{ {} }}", fields.collect::<Vec<_>>().join(", "))
}

fn before(place: usize) -> Labels {
    let place = place.to_string();
    Labels::of(LABELS.into_iter().chain([("instance", place.as_str()), ("job", "lab")]))
}

fn after(place: usize) -> Option<Labels> {
    let (rules, _) = CASES[place];
    let rules: Vec<Rule> = rules.iter().map(|fields| rule_of(fields).check().unwrap()).collect();
    relabel(&before(place), &rules)
}

#[test]
fn each_action_does_what_it_says() {
    for (place, (rules, changes)) in CASES.iter().enumerate() {
        let expected = changes.map(|changes| {
            let mut labels = before(place).to_builder();
            for (name, value) in changes {
                labels.set(*name, *value);
            }
            labels.finish()
        });
        assert_eq!(after(place), expected, "{rules:?}");
    }
}

#[test]
fn prometheus_itself_relabels_so() {
    let mut document = Vec::new();
    for (name, value) in &LABELS[1..] {
        document.push(format!("{name}={}", serde_json::to_string(value).unwrap()));
    }
    let address = serve(vec![("text/plain", format!("m{{{}}} 1\n", document.join(",")).into_bytes())]);
    let mut configuration =
        "global: { scrape_interval: 1s, scrape_timeout: 1s }\nscrape_configs:\n".to_owned();
    for (place, (rules, _)) in CASES.iter().enumerate() {
        let mut all: Vec<String> = rules.iter().map(|fields| yaml(fields)).collect();
        // What was relabelled is asked for by its place.
        all.push(format!("{{ target_label: place, replacement: '{place}' }}"));
        configuration += &format!(
            "- {{ job_name: 'lab{place}', metrics_path: /0, metric_relabel_configs: [{}], static_configs: \
             [{{ targets: ['{address}'], labels: {{ instance: '{place}', job: lab }} }}] }}\n",
            all.join(", ")
        );
    }
    let Some(prometheus) = Prometheus::start(&configuration) else { return };
    eventually("the scrapes", || {
        let scraped = prometheus.data("/api/v1/query?query=scrape_samples_scraped");
        (scraped["result"].as_array()?.len() == CASES.len()).then_some(())
    });
    for (place, (rules, _)) in CASES.iter().enumerate() {
        let answer = prometheus.data(&format!("/api/v1/query?query=%7Bplace%3D%22{place}%22%7D"));
        let result = answer["result"].as_array().unwrap().first();
        let found: Option<BTreeMap<String, String>> =
            result.map(|one| serde_json::from_value(one["metric"].clone()).unwrap());
        let expected = after(place).map(|labels| {
            let mut labels = labels.to_builder();
            labels.set("place", place.to_string());
            labels.iter().map(|label| (label.name.to_string(), label.value.to_string())).collect()
        });
        assert_eq!(found, expected, "{rules:?}\n{}", prometheus.log());
    }
}

/// What is no rule, and why.
const MISTAKES: &[(Fields, &str)] = &[
    (&[], "relabel configuration for replace action requires 'target_label' value"),
    (&[("action", "foo")], "unknown relabel action \"foo\""),
    (&[("action", "")], "unknown relabel action \"\""),
    (&[("target_label", "")], "relabel configuration for replace action requires 'target_label' value"),
    (&[("action", "hashmod")], "relabel configuration for hashmod requires non-zero modulus"),
    (
        &[("action", "hashmod"), ("target_label", "a"), ("modulus", "0")],
        "relabel configuration for hashmod requires non-zero modulus",
    ),
    (
        &[("action", "hashmod"), ("modulus", "5")],
        "relabel configuration for hashmod action requires 'target_label' value",
    ),
    (&[("action", "lowercase")], "relabel configuration for lowercase action requires 'target_label' value"),
    (
        &[("action", "uppercase"), ("target_label", "a"), ("replacement", "x")],
        "'replacement' can not be set for uppercase action",
    ),
    (
        &[("action", "keepequal"), ("target_label", "a"), ("replacement", "x")],
        "'replacement' can not be set for keepequal action",
    ),
    (
        &[("action", "keepequal"), ("target_label", "a"), ("regex", "(.*)")],
        "keepequal action requires only 'source_labels' and `target_label`, and no other fields",
    ),
    (
        &[("action", "dropequal"), ("target_label", "a"), ("separator", ",")],
        "dropequal action requires only 'source_labels' and `target_label`, and no other fields",
    ),
    (
        &[("action", "dropequal"), ("target_label", "a"), ("modulus", "4")],
        "dropequal action requires only 'source_labels' and `target_label`, and no other fields",
    ),
    (
        &[("action", "labeldrop"), ("source_labels", "")],
        "labeldrop action requires only 'regex', and no other fields",
    ),
    (
        &[("action", "labelkeep"), ("target_label", "a")],
        "labelkeep action requires only 'regex', and no other fields",
    ),
    (
        &[("action", "labelkeep"), ("replacement", "a")],
        "labelkeep action requires only 'regex', and no other fields",
    ),
    (&[("action", "labelmap"), ("replacement", "")], "\"\" is invalid 'replacement' for labelmap action"),
    (&[("action", "keep"), ("regex", "(")], "error parsing regexp: "),
];

/// What looks like a mistake and is none.
const SOUND: &[Fields] = &[
    &[("action", "keep")],
    &[("action", "DropEqual"), ("target_label", "a"), ("replacement", "$1"), ("separator", ";")],
    &[("action", "lowercase"), ("target_label", "$1"), ("replacement", "$1")],
    &[("target_label", "${1")],
    &[("target_label", "a b"), ("modulus", "3")],
    &[("action", "labelmap"), ("replacement", "$")],
];

#[test]
fn mistakes_are_told_in_prometheus_words() {
    for (fields, expected) in MISTAKES {
        let told = rule_of(fields).check().unwrap_err().to_string();
        assert!(told.starts_with(expected), "{fields:?}: {told}");
    }
    for fields in SOUND {
        rule_of(fields).check().unwrap();
    }
}

#[test]
fn promtool_itself_tells_the_same_mistakes() {
    let Some(promtool) = installed("promtool") else { return };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("prometheus.yml");
    let check = |fields| {
        let rule = yaml(fields);
        std::fs::write(&file, format!("scrape_configs: [{{ job_name: a, relabel_configs: [{rule}] }}]"))
            .unwrap();
        let done = Command::new(&promtool).args(["check", "config"]).arg(&file).output().unwrap();
        String::from_utf8(done.stderr).unwrap()
    };
    for (fields, expected) in MISTAKES {
        let told = check(fields);
        assert!(told.contains(expected), "{fields:?}: {told}");
    }
    for fields in SOUND {
        assert!(!check(fields).contains("FAILED"), "{fields:?}");
    }
}
