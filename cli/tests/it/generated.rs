//! What is made from the definition: completions, manual pages, the reference.

use std::path::Path;

use crate::zv::{command, zv};

#[test]
fn completions_are_there_for_every_shell() {
    for (shell, expected) in
        [("bash", "complete -F"), ("zsh", "#compdef zv"), ("fish", "complete -c zv"), ("elvish", "zv")]
    {
        let script = zv(&["completions", shell]).done();
        assert!(script.contains(expected) && script.contains("restart"), "{shell}");
    }
}

#[test]
fn manual_pages_are_printed_and_written() {
    assert!(zv(&["man"]).done().contains(".TH zv 1"));
    let dir = tempfile::tempdir().unwrap();
    let pages = dir.path().join("man1");
    zv(&["man", pages.to_str().unwrap()]).done();
    for page in ["zv.1", "zv-ps.1", "zv-why.1", "zv-config-check.1", "zv-scale.1"] {
        assert!(pages.join(page).is_file(), "{page}");
    }
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    let refused = zv(&["man", file.to_str().unwrap()]);
    assert_eq!(refused.code, Some(1));
    assert!(refused.err.contains("Cannot write the manual pages to"), "{}", refused.err);
}

#[test]
fn the_reference_is_up_to_date() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/cli.md");
    let page = zv_cli::reference::page(zv_cli::args::definition());
    if std::env::var_os("ZV_BLESS").is_some() {
        std::fs::write(&file, &page).unwrap();
    }
    let committed = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(committed == page, "docs/cli.md is out of date: run the tests of the package zv with ZV_BLESS=1");
}

#[test]
fn the_reference_does_not_depend_on_the_environment() {
    let page = || zv_cli::reference::page(zv_cli::args::definition());
    assert_eq!(page(), page());
    // The help in a terminal depends on ZV_AGENT no more than the page does.
    let output = command(&["ps", "--help"]).env("ZV_AGENT", "http://secret.example").output().unwrap();
    assert!(!String::from_utf8(output.stdout).unwrap().contains("secret.example"));
}
