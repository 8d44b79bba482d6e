//! Configurations, right and wrong. Each file in `tests/config` is named after what it shows; the `.txt` beside it holds
//! what loading it says. `ZV_BLESS=1` writes those files, and the schema in `docs`, anew.

mod fixtures;
mod hostile;
mod layers;
mod reload;
mod schema;

use std::path::{Path, PathBuf};

use zv_agent::config::{Environment, LoadOptions, Loaded, load};

/// Returns an environment of which everything is known: a user's, on the host `web-1`.
fn environment(variables: &[(&str, &str)]) -> Environment {
    let home = [("HOME", "/home/ada")];
    Environment {
        variables: home.iter().chain(variables).map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
        uid: 1000,
        host_name: Some("web-1".to_owned()),
        machine_id: Some("0123456789abcdef0123456789abcdef".to_owned()),
        default_files: Vec::new(),
        also_known: Vec::new(),
    }
}

fn of_file(path: &Path) -> LoadOptions {
    LoadOptions { file: Some(path.to_owned()), environment: environment(&[]), ..LoadOptions::default() }
}

/// Writes `text` to a file of its own.
fn written(text: impl AsRef<[u8]>) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder for the file");
    let path = folder.path().join("zv.yaml");
    std::fs::write(&path, text).expect("the file is written");
    (folder, path)
}

/// Loads `text`, which must be sound.
fn sound(text: &str) -> Loaded {
    let (_folder, path) = written(text);
    load(&of_file(&path)).unwrap_or_else(|mistakes| panic!("{text}\n{mistakes}"))
}

/// Loads `text`, which must be wrong, and returns what is said, with the name of the file alone.
fn wrong(text: impl AsRef<[u8]>) -> String {
    let (folder, path) = written(text);
    let said = load(&of_file(&path)).expect_err("it is wrong").to_string();
    said.replace(&format!("{}/", folder.path().display()), "")
}

fn is_blessing() -> bool {
    Environment::of_process().variable("ZV_BLESS").is_some()
}
