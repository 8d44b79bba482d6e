//! Runs Prometheus' own scripts, and those kept here.

use std::path::{Path, PathBuf};

use zv_promql::script::{Options, Report, run};

/// Of each shared script, how many cases are in it, and how many of these are about floats: 813 in sum.
const SHARED: [(&str, usize, usize); 13] = [
    ("aggregators", 156, 125),
    ("at_modifier", 45, 45),
    ("collision", 2, 2),
    ("functions", 362, 258),
    ("histograms", 116, 100),
    ("literals", 20, 20),
    ("name_label_dropping", 20, 20),
    ("operators", 205, 136),
    ("range_queries", 8, 8),
    ("selectors", 31, 31),
    ("staleness", 17, 17),
    ("subquery", 34, 32),
    ("trig_functions", 19, 19),
];

fn shared() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/promqltest-v3.5.3")
}

fn run_file(path: &Path, options: &Options) -> Report {
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    run(&name, &std::fs::read_to_string(path).unwrap(), options)
}

fn told(report: &Report) {
    let skipped: Vec<String> = report.skipped.iter().map(|(why, count)| format!("{count} {why}")).collect();
    let (name, passed, failed) = (&report.name, report.passed, report.failures.len());
    let (classic, floats) = (report.passed_as_classic, report.passed_on_floats);
    println!(
        "{name:<22} {passed:>4} passed ({floats} on floats, {classic} as classic) {failed:>3} failed, skipped: {}",
        skipped.join(", ")
    );
    report.failures.iter().for_each(|failure| println!("  {failure}"));
}

#[test]
fn the_scripts_of_prometheus_pass() {
    let folder = shared();
    if !folder.exists() {
        println!("skipped: {} is not there", folder.display());
        return;
    }
    let options = Options { is_strict: true, ..Options::default() };
    let reports: Vec<Report> =
        SHARED.iter().map(|(name, ..)| run_file(&folder.join(format!("{name}.test")), &options)).collect();
    reports.iter().for_each(told);
    println!("{} cases passed", reports.iter().map(|report| report.passed).sum::<usize>());
    assert_eq!(SHARED.iter().map(|(_, _, floats)| floats).sum::<usize>(), 813);
    for (report, (name, cases, floats)) in reports.iter().zip(SHARED) {
        assert!(report.is_good(), "{name}");
        assert_eq!(report.passed + report.skipped_count(), cases, "cases of {name}");
        assert!(report.passed >= floats, "{name}: {} of {floats}", report.passed);
    }
}

#[test]
fn the_scripts_kept_here_pass() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts");
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty());
    for path in paths {
        let report = run_file(&path, &Options { is_strict: true, ..Options::default() });
        told(&report);
        assert!(report.is_good() && report.skipped_count() == 0, "{}", report.name);
    }
}
