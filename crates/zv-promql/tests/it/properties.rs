//! What holds of any expression.

use proptest::prelude::*;
use zv_model::{Labels, Sample, TimeRange};
use zv_promql::memory::Memory;
use zv_promql::{Engine, Options, ParseOptions, Query, Value};

const STEP: i64 = 15_000;

fn series() -> Memory {
    let mut memory = Memory::default();
    for (number, (name, a, b)) in [
        ("m_total", "1", "x"),
        ("m_total", "2", "x"),
        ("m_total", "3", "y"),
        ("n", "1", "x"),
        ("n", "2", "y"),
    ]
    .into_iter()
    .enumerate()
    {
        let labels = Labels::of([("__name__", name), ("a", a), ("b", b)]);
        for step in 0..60_i64 {
            let place = step * 7 + i64::try_from(number).unwrap();
            let value = match place % 17 {
                0 => continue,
                1 => zv_model::STALE_NAN,
                2 => f64::NAN,
                3 => 0.0,
                value => value as f64,
            };
            memory.append(&labels, step * 10_000 + place % 3, value);
        }
    }
    memory
}

const LEAVES: &[&str] = &[
    "m_total",
    "n",
    "m_total{a=\"1\"}",
    "n offset 20s",
    "n @ 300",
    "m_total @ start()",
    "n offset -25s",
    "vector(time())",
    "vector(2)",
    // Which of equal elements is picked depends on their order, which only selectors give at every step.
    "topk by (b) (1, m_total)",
    "bottomk(2, n)",
    "{b=\"x\"}",
];

const RANGES: &[&str] = &["[1m]", "[37s]", "[45s:15s]", "[1m:7s] offset 9s", "[1m:] @ end()"];

const OVER: &[&str] = &[
    "rate",
    "increase",
    "delta",
    "irate",
    "idelta",
    "sum_over_time",
    "avg_over_time",
    "min_over_time",
    "max_over_time",
    "last_over_time",
    "stddev_over_time",
    "changes",
    "resets",
    "deriv",
    "count_over_time",
    "absent_over_time",
];

const MAPS: &[&str] = &["abs", "-", "sgn", "absent", "ceil", "timestamp", "hour", "sort", "round"];

const AGGREGATIONS: &[&str] = &[
    "sum by (b)",
    "avg",
    "count without (a)",
    "max by (a)",
    "stdvar",
    "quantile(0.4,",
    "group",
    "count_values(\"v\",",
];

const OPERATORS: &[&str] = &[
    "+ on (a, b)",
    "> bool 3 *",
    "and on (b)",
    "or",
    "unless on (a)",
    "* on (a) group_left ()",
    "<= on (b) group_right ()",
    "== bool on (a)",
    "or on (b)",
];

fn vector() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(LEAVES);
    leaf.prop_map(str::to_owned).prop_recursive(4, 24, 3, |inner| {
        let range = prop::sample::select(RANGES);
        let over = prop::sample::select(OVER);
        let map = prop::sample::select(MAPS);
        let aggregate = prop::sample::select(AGGREGATIONS);
        let operator = prop::sample::select(OPERATORS);
        prop_oneof![
            (over, inner.clone(), range).prop_map(|(over, inner, range)| match range.contains(':') {
                true => format!("{over}(({inner}){range})"),
                false => format!("{over}(n{range})"),
            }),
            (map, inner.clone()).prop_map(|(map, inner)| format!("{map}({inner})")),
            (aggregate, inner.clone()).prop_map(|(aggregate, inner)| match aggregate.ends_with(',') {
                true => format!("{aggregate} {inner})"),
                false => format!("{aggregate} ({inner})"),
            }),
            (inner.clone(), operator, inner)
                .prop_map(|(left, operator, right)| format!("({left}) {operator} ({right})")),
        ]
    })
}

/// The values at one time, by labels.
fn at(value: &Value, time: i64) -> Vec<(Labels, String)> {
    let mut found: Vec<(Labels, String)> = match value {
        Value::Vector(elements) => {
            elements.iter().map(|element| (element.labels.clone(), written(element.sample))).collect()
        }
        Value::Matrix(series) => {
            let of = |points: &[Sample]| points.iter().find(|point| point.at == time).copied();
            series
                .iter()
                .filter_map(|series| Some((series.labels.clone(), written(of(&series.points)?))))
                .collect()
        }
        Value::Scalar(_) | Value::Text { .. } => Vec::new(),
    };
    found.sort();
    found
}

fn written(sample: Sample) -> String {
    format!("{:.9e}", sample.value)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// Unless names of series change on the way, a range query is its instant queries. `@ start()` and `@ end()` mean
    /// other times there, so they are replaced.
    #[test]
    fn a_range_query_is_an_instant_query_at_each_step(text in vector(), from in 10_i64..30) {
        let memory = series();
        let (from, to) = (from * 10_000, from * 10_000 + 8 * STEP);
        let text = text.replace("start()", &(from / 1000).to_string()).replace("end()", &(to / 1000).to_string());
        let query = Query::parse(&text, ParseOptions { experimental: false }).unwrap();
        let engine = Engine::new(&memory, Options::default(), &|| None);
        let range = engine.range(&query, TimeRange { from, to }, STEP);
        for step in 0..=8 {
            let time = from + step * STEP;
            match (&range, engine.instant(&query, time)) {
                (Ok(range), Ok(instant)) => {
                    prop_assert_eq!(at(&range.value, time), at(&instant.value, time), "{} at {}", text, time);
                }
                // Series that share labels at different steps are refused for the whole range only.
                (Err(_), _) => {}
                (Ok(_), Err(error)) => prop_assert!(false, "{text} at {time}: {error}"),
            }
        }
    }
}

#[test]
fn limits_hold() {
    let memory = series();
    let query = |text: &str| Query::parse(text, ParseOptions { experimental: false }).unwrap();
    let ask = |options: Options, text: &str, to: i64, step: i64| {
        let engine = Engine::new(&memory, options, &|| None);
        engine
            .range(&query(text), TimeRange { from: 0, to }, step)
            .map(|_| ())
            .map_err(|error| error.to_string())
    };
    let few = Options { max_samples: 20, ..Options::default() };
    let error = ask(few, "m_total + n", 600_000, 10_000).unwrap_err();
    assert_eq!(error, "query processing would load too many samples into memory in query execution");
    let small = Options { max_bytes: 1000, ..Options::default() };
    assert!(
        ask(small.clone(), "n", 600_000, 1000).unwrap_err().contains("more memory than allowed (1000 bytes)")
    );
    assert!(ask(small, "max_over_time(vector(1)[100y:1ms])", 10, 10).is_err());
    let error = ask(Options::default(), "n", 11_001_000, 1000).unwrap_err();
    assert!(error.starts_with("exceeded maximum resolution of 11,000 points per timeseries"), "{error}");
    assert!(ask(Options::default(), "n", 11_000_000, 1000).is_ok());
    assert!(ask(Options::default(), "n", 10, 0).unwrap_err().starts_with("zero or negative"));
    assert!(ask(Options::default(), "n", -10, 1).unwrap_err().starts_with("end timestamp"));
    assert!(ask(Options::default(), "\"a\"", 10, 1).unwrap_err().contains("\"string\" for range query"));
}

#[test]
fn an_evaluation_can_be_stopped() {
    let memory = series();
    let query = Query::parse("sum(rate(m_total[1m]))", ParseOptions { experimental: false }).unwrap();
    for (stop, kind) in [(zv_promql::Stop::Timeout, "timeout"), (zv_promql::Stop::Canceled, "canceled")] {
        let asked = std::cell::Cell::new(0);
        let stop = || {
            asked.set(asked.get() + 1);
            (asked.get() > 3).then_some(stop)
        };
        let error = Engine::new(&memory, Options::default(), &stop).instant(&query, 60_000).unwrap_err();
        assert_eq!((error.kind(), asked.get()), (kind, 4));
    }
}

/// A test's thread has the stack of a worker: the deepest and the longest expressions that are read fit on it.
#[test]
fn the_deepest_expressions_are_evaluated() {
    let memory = series();
    let engine = Engine::new(&memory, Options::default(), &|| None);
    let nested = |before: &str, inner: &str, after: &str, times: usize| {
        format!("{}{inner}{}", before.repeat(times), after.repeat(times))
    };
    for text in [
        nested("(", "n", ")", 98),
        nested("sum(", "n", ")", 98),
        nested("abs(", "n", ")", 98),
        nested("-", "n", "", 98),
        nested("max_over_time(", "n", "[10s:10s])", 49),
        nested("label_replace(", "n", ", \"x\", \"y\", \"z\", \".*\")", 98),
        nested("n + (", "n", ")", 49),
        nested("2 ^ ", "n", "", 98),
        format!("n{}", " + n".repeat(1000)),
        format!("n{}", " or n".repeat(1000)),
    ] {
        let query = Query::parse(&text, ParseOptions { experimental: false }).unwrap();
        let copy = query.clone();
        assert!(copy.expr() == query.expr() && !zv_promql::pretty(copy.expr()).is_empty());
        engine.instant(&query, 100_000).unwrap();
    }
}
