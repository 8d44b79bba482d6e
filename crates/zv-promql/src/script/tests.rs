//! Scripts about the runner itself: what must fail does, and says why.

use super::*;

fn report(text: &str) -> Report {
    run("test", text, &Options::default())
}

#[test]
fn a_good_script_passes() {
    let report = report(
        "load 10s\n  m{a=\"b\"} 0+1x3 _ stale\n\neval instant at 20s m\n  m{a=\"b\"} 2\n\n# end\nclear\neval instant at 1 m\n",
    );
    assert_eq!((report.passed, report.failures), (2, Vec::new()));
}

#[test]
fn a_wrong_value_is_told_with_its_line() {
    let report = report("load 10s\n  m 1\n\neval instant at 5s m\n  m 2\n");
    assert_eq!(report.failures.len(), 1);
    assert_eq!(report.failures[0].line, 4);
    assert!(report.failures[0].to_string().contains("should be 2, and is 1"), "{}", report.failures[0]);
}

#[test]
fn histograms_are_skipped_and_counted() {
    let report = report(
        "load 1m\n  h {{sum:1 count:1}}x3\n  f 1x3\n\neval instant at 1m h\n  h {{sum:1}}\n\neval instant at 1m f\n  f 1\n",
    );
    assert_eq!((report.passed, report.skipped_count()), (1, 1));
}

#[test]
fn what_prometheus_hides_behind_switches_is_skipped() {
    let cases = [
        "m[1m + 2m]",
        "m offset min(1s, 2s)",
        "m[step()]",
        "info(m)",
        "rate(m[1m] smoothed)",
        "m + fill(1) m",
        "abs(m)",
    ];
    let evals = cases.map(|case| format!("eval instant at 1m {case}\n  {{}} 9\n\n"));
    let report = report(&format!("load 1m\n  m{{__type__=\"counter\"}} 1 2 3\n\n{}", evals.concat()));
    assert_eq!((report.passed, report.failures), (0, Vec::new()));
    let reasons: Vec<_> = report.skipped.into_iter().collect();
    assert_eq!(reasons, [("experimental syntax", 6), ("labels of type and unit", 1)]);
}

#[test]
fn failures_are_compared() {
    let script = "eval_fail instant at 0 label_replace(vector(1), \"\", \"\", \"\", \"\")\n\neval instant at 0 1 + \"a\"\n";
    let report = report(script);
    assert_eq!((report.passed, report.failures.len()), (1, 1));
}

#[test]
fn what_is_no_script_is_refused() {
    for text in
        ["lode 1m\n", "load x\n", "eval instant at x 1\n", "load 1m\n  m 1x99999999999\n", "load 1m\n m {{\n"]
    {
        assert_eq!(report(text).failures.len(), 1, "{text}");
    }
}
