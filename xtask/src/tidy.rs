//! Rules for source files that no lint knows.

use std::fs;
use std::path::Path;

use anyhow::{Result, ensure};

use crate::command::{output_of, root};

/// A file with more lines has more than one job. Tests tell stories and may be longer.
const LINE_LIMIT: usize = 600;

/// Fails with all files that break a rule.
pub(crate) fn check() -> Result<()> {
    let mut git = std::process::Command::new("git");
    git.args(["ls-files", "--cached", "--others", "--exclude-standard", "*.rs"]).current_dir(root());
    let mut faults = Vec::new();
    for name in output_of(&mut git)?.lines() {
        // A file that is deleted and not yet committed is listed all the same.
        if let Ok(text) = fs::read_to_string(root().join(name)) {
            faults.extend(faults_of(name, &text));
        }
    }
    ensure!(faults.is_empty(), "{}", faults.join("\n"));
    Ok(())
}

fn faults_of(name: &str, text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let is_test =
        Path::new(name).components().any(|part| part.as_os_str() == "tests") || name.ends_with("tests.rs");
    if !text.starts_with("//!") {
        faults.push(format!("{name}: does not say at its top what it is for"));
    }
    let lines = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or(text).lines().count();
    if !is_test && lines > LINE_LIMIT {
        faults.push(format!("{name}: {lines} lines are too many, {LINE_LIMIT} are allowed: split it"));
    }
    let allowance = concat!("#[", "allow(");
    for (number, line) in text.lines().enumerate() {
        if line.trim_start().starts_with(allowance) {
            faults.push(format!(
                "{name}:{}: `allow` hides what is fixed later: use `expect` with a reason",
                number + 1
            ));
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sources_are_tidy() {
        check().unwrap();
    }

    #[test]
    fn each_rule_can_fail() {
        let long = format!("//! x\n{}", "fn f() {}\n".repeat(LINE_LIMIT));
        assert_eq!(faults_of("a.rs", &long).len(), 1);
        assert_eq!(faults_of("a/tests.rs", &long).len(), 0);
        assert_eq!(faults_of("a.rs", "fn f() {}").len(), 1);
        assert_eq!(faults_of("a.rs", concat!("//! x\n    #[", "allow(dead_code)]")).len(), 1);
    }
}
