//! Keeps people's wishes over a restart of the agent.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::{fs, io};

use zv_stack::Memory;

/// Reads what was kept. A file that cannot be understood is reported and does without.
pub(super) fn load(path: &Path) -> Memory {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Memory::default(),
        Err(error) => {
            tracing::warn!(path = %path.display(), error = %error, "what was stopped or scaled before is not known");
            return Memory::default();
        }
    };
    serde_json::from_slice(&text).unwrap_or_else(|error| {
        tracing::warn!(path = %path.display(), error = %error, "what was stopped or scaled before is not known");
        Memory::default()
    })
}

/// Writes it as a whole or not at all.
pub(super) fn save(path: &Path, memory: &Memory) -> io::Result<()> {
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir)?;
    }
    let temporary = path.with_extension("tmp");
    let mut file =
        fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o640).open(&temporary)?;
    serde_json::to_writer(&mut file, memory)?;
    file.flush()?;
    file.sync_data()?;
    fs::rename(&temporary, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comes_back_as_it_was_and_garbage_is_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new/wishes.json");
        assert_eq!(load(&path), Memory::default());
        save(&path, &Memory::default()).unwrap();
        assert_eq!(load(&path), Memory::default());
        fs::write(&path, "{").unwrap();
        assert_eq!(load(&path), Memory::default());
    }
}
