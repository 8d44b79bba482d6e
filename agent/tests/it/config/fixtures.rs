//! Every file in `tests/config` with the mistakes it is named after.

use std::path::Path;

use zv_agent::config::load;

use super::{environment, is_blessing, of_file};

const FOLDER: &str = "tests/config";

/// Returns what loading a fixture says: its mistakes, or its warnings and the effective configuration.
fn said(path: &Path) -> String {
    let mut options = of_file(path);
    let variables = [("NAME", "shop"), ("PORT", "9790"), ("EMPTY", ""), ("SECRET", "hunter2")];
    options.environment = environment(&variables);
    let said = match load(&options) {
        Ok(loaded) => {
            let warnings: String =
                loaded.warnings.iter().map(|warning| format!("warning: {warning}\n")).collect();
            warnings + &loaded.config.print()
        }
        Err(mistakes) => format!("{mistakes}\n"),
    };
    said.replace(&format!("{FOLDER}/"), "")
}

#[test]
fn each_fixture_says_what_stands_beside_it() {
    let mut names: Vec<_> = std::fs::read_dir(FOLDER).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.retain(|path| path.extension().is_some_and(|extension| extension == "yml"));
    names.sort();
    assert!(names.len() > 40, "{names:?}");
    let mut different = Vec::new();
    for path in names {
        let (said, expected) = (said(&path), path.with_extension("txt"));
        assert!(!said.contains("hunter2"), "{said}");
        if is_blessing() {
            std::fs::write(&expected, &said).unwrap();
        }
        let expected = std::fs::read_to_string(&expected).unwrap_or_default();
        if said != expected {
            different.push(format!("{}:\n--- expected\n{expected}--- said\n{said}", path.display()));
        }
    }
    assert!(different.is_empty(), "{}\nrun with ZV_BLESS=1 if this is meant", different.join("\n"));
}
