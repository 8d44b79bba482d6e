//! Who may depend on whom. The drawing is in ARCHITECTURE.md; this is what holds the code to it.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use cargo_metadata::{DependencyKind, MetadataCommand};

use crate::command::root;

/// Each package with the packages of the workspace it may use, in what it ships.
const ALLOWED: &[(&str, &[&str])] = &[
    ("zv-model", &[]),
    ("zv-stack", &[]),
    ("zv-api", &["zv-model"]),
    ("zv-probe", &[]),
    ("zv-wire", &["zv-model"]),
    ("zv-store", &["zv-model"]),
    ("zv-promql", &["zv-model"]),
    ("zv-agent", &["zv-api", "zv-model", "zv-probe", "zv-promql", "zv-stack", "zv-store", "zv-wire"]),
    (
        "zv",
        &["main-server", "zv-agent", "zv-api", "zv-model", "zv-probe", "zv-promql", "zv-stack", "zv-wire"],
    ),
    ("zv-kit", &[]),
    ("main-server", &["zv-kit"]),
    ("xtask", &[]),
];

/// Libraries that one package alone may use, so that what they stand for stays behind one door.
const BEHIND_ONE_DOOR: &[(&str, &[&str])] = &[
    ("bollard", &["xtask", "zv-stack"]),
    ("axum", &["main-server", "zv-agent", "zv-kit"]),
    ("clap", &["zv"]),
    ("schemars", &["zv-agent"]),
];

/// Fails where a dependency points upwards or goes round a door.
pub(crate) fn check() -> Result<()> {
    let metadata = MetadataCommand::new().current_dir(root()).no_deps().exec()?;
    let members: BTreeSet<&str> = metadata.packages.iter().map(|package| package.name.as_str()).collect();
    let mut faults = Vec::new();
    for package in &metadata.packages {
        let name = package.name.as_str();
        let Some((_, allowed)) = ALLOWED.iter().find(|(known, _)| *known == name) else {
            faults.push(format!("`{name}` has no place in the graph: give it one in xtask/src/graph.rs"));
            continue;
        };
        for dependency in package.dependencies.iter().filter(|d| d.kind == DependencyKind::Normal) {
            let used = dependency.name.as_str();
            if members.contains(used) && !allowed.contains(&used) {
                faults.push(format!("`{name}` must not depend on `{used}`"));
            }
            let door = BEHIND_ONE_DOOR.iter().find(|(library, _)| *library == used);
            if door.is_some_and(|(_, users)| !users.contains(&name)) {
                faults.push(format!("`{name}` must not use `{used}` itself"));
            }
        }
    }
    ensure!(faults.is_empty(), "{}", faults.join("\n"));
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn dependencies_point_downwards_only() {
        super::check().unwrap();
    }
}
