//! Documents of OpenMetrics' own test suite and their verdict, and what is written here.

use std::path::Path;

use super::*;
use crate::{Exposition, LabelText};

/// Returns the folders of the documents that OpenMetrics' own test suite has, with their verdict.
fn documents() -> Vec<(String, Vec<u8>, bool)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/openmetrics/parsers");
    let shared =
        std::env::var_os("ZV_SHARED").map(|shared| Path::new(&shared).join("data/openmetrics/parsers"));
    let folder = shared.filter(|folder| folder.exists()).unwrap_or(folder);
    let Ok(folders) = std::fs::read_dir(&folder) else {
        println!("skipped: {} is not there", folder.display());
        return Vec::new();
    };
    let mut all: Vec<_> = folders
        .map(|one| {
            let path = one.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let document = std::fs::read(path.join("metrics")).unwrap();
            let verdict = std::fs::read_to_string(path.join("test.json")).unwrap();
            (name, document, verdict.contains("\"shouldParse\": true"))
        })
        .collect();
    all.sort();
    assert_eq!((all.len(), all.iter().filter(|(_, _, sound)| *sound).count()), (211, 44));
    all
}

fn scrapes(document: &[u8]) -> Result<(), ParseError> {
    let mut parser = Parser::new(Format::OpenMetrics, document);
    loop {
        match parser.next_entry()? {
            Entry::Series(series) => drop(series.labels()?),
            Entry::Eof => return Ok(()),
            _ => {}
        }
    }
}

#[test]
fn the_documents_of_openmetrics_get_their_verdict() {
    let mut wrong = Vec::new();
    let mut scraped = 0;
    for (name, document, sound) in documents() {
        let (lenient, strict) = (scrapes(&document), check(&document));
        let told = strict.as_ref().map_or_else(ToString::to_string, |()| "sound".to_owned());
        println!("{name:44} {:7} {told}", if lenient.is_ok() { "scraped" } else { "refused" });
        scraped += usize::from(!sound && lenient.is_ok());
        if strict.is_ok() != sound || (sound && lenient.is_err()) {
            wrong.push(name);
        }
    }
    println!("of those that are no OpenMetrics, {scraped} are scraped nevertheless, as Prometheus does");
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn what_is_written_here_is_sound() {
    let mut out = Exposition::new(Format::OpenMetrics, 0);
    let web = LabelText::of([("name", "we\"b\n\\"), ("image", "")]);
    let none = LabelText::default();
    let mut counter = out.family("requests_total", MetricKind::Counter, "Requests \"served\".\n");
    counter.sample(&web, &[("code", "200")], 3.0);
    counter.sample_at(&none, &[], 0.1, 1500);
    out.family("failcnt", MetricKind::Counter, "").sample(&none, &[], 1e21);
    let mut sizes = out.family("size_bytes", MetricKind::Histogram, "Sizes.");
    for (bound, count) in [("0.1", 1.0), ("1e3", 2.0), ("+Inf", 2.0)] {
        sizes.part("_bucket", &web, &[("le", bound)], count);
    }
    sizes.part("_sum", &web, &[], 1.5);
    sizes.part("_count", &web, &[], 2.0);
    out.family("build_info", MetricKind::Info, "Build.").sample(&none, &[("v", "1")], 1.0);
    out.family("odd", MetricKind::Info, "Not named so.").sample(&none, &[("v", "1")], 1.0);
    out.family("state", MetricKind::StateSet, "State.").sample(&none, &[("state", "up")], 0.0);
    out.family("temperature", MetricKind::Unknown, "").sample(&none, &[], -0.5);
    let document = out.finish();
    assert_eq!(check(document.as_bytes()), Ok(()), "{document}");
}

#[test]
fn every_time_of_a_histogram_is_looked_at() {
    let document = |count| {
        let later = "a_bucket{le=\"+Inf\"} 2 2\n# EOF\n";
        format!("# TYPE a histogram\na_bucket{{le=\"1\"}} {count} 1\na_bucket{{le=\"+Inf\"}} 1 1\n{later}")
    };
    assert_eq!(check(document(1).as_bytes()), Ok(()));
    let told = check(document(2).as_bytes()).unwrap_err().to_string();
    assert_eq!(told, "line 4: a bucket counts less than the one before");
}
