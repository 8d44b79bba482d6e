//! The engine's own log files, read from the disk: a container that is killed by its removal has no log any more by the time
//! the engine could be asked for it.
//!
//! Only the `json-file` driver writes one that can be read, and only an engine on this host one that can be found.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Mutex as Lock, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use rustix::fs::{Mode, OFlags};
use serde::Deserialize;

use crate::death::LastLines;
use crate::logs::{LINE_LIMIT, LogLine, Output};
use crate::model::ReplicaId;

/// The bytes read from the end of a file.
const TAIL: u64 = 512 * 1024;

/// Where the containers that run keep their logs.
#[derive(Debug, Default)]
pub(super) struct LogFiles {
    // Held to look up or to change one entry, never across an await.
    paths: Lock<HashMap<ReplicaId, Place>>,
}

#[derive(Debug)]
struct Place {
    path: PathBuf,
    /// The last list did not have it.
    is_missing: bool,
}

impl LogFiles {
    /// Remembers a container's file. One that is not the container's own is left alone: an engine elsewhere must not choose
    /// what is read here.
    pub(super) fn remember(&self, id: &ReplicaId, path: Option<&str>) {
        let own = format!("{0}/{0}-json.log", id.as_str());
        if let Some(path) = path.map(Path::new).filter(|path| path.is_absolute() && path.ends_with(&own)) {
            self.lock().insert(id.clone(), Place { path: path.to_owned(), is_missing: false });
        }
    }

    /// Opens the file of a container that has died, if it is there, and forgets where it was: should the container start
    /// again, it is inspected again.
    pub(super) fn take(&self, id: &ReplicaId) -> Option<File> {
        let Place { path, .. } = self.lock().remove(id)?;
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        rustix::fs::open(path, flags, Mode::empty()).ok().map(File::from)
    }

    /// Forgets the files of those that two lists in a row did not have: a container that was removed unseen is never taken.
    /// One list is not enough, for whoever gathers what a death left behind may be about to.
    pub(super) fn listed(&self, is_known: impl Fn(&ReplicaId) -> bool) {
        self.lock().retain(|id, place| {
            let was_missing = std::mem::replace(&mut place.is_missing, !is_known(id));
            !(was_missing && place.is_missing)
        });
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ReplicaId, Place>> {
        self.paths.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads the last lines of a file. It blocks for as long as the disk takes.
pub(super) fn last_lines(mut file: File, id: &ReplicaId) -> Vec<LogLine> {
    let read = || -> std::io::Result<Vec<u8>> {
        let length = file.metadata()?.len();
        let from = length.saturating_sub(TAIL);
        file.seek(SeekFrom::Start(from))?;
        let mut bytes = Vec::new();
        file.take(TAIL).read_to_end(&mut bytes)?;
        // What comes first is the end of a line.
        let begin = if from == 0 { 0 } else { bytes.iter().position(|byte| *byte == b'\n').unwrap_or(0) };
        Ok(bytes.split_off(begin))
    };
    read().map(|bytes| lines(&bytes, id)).unwrap_or_default()
}

/// One piece of a line as the engine writes it. The last piece of a line ends in a line end.
#[derive(Debug, Deserialize)]
struct Piece {
    #[serde(default)]
    log: String,
    #[serde(default)]
    stream: String,
    time: DateTime<Utc>,
}

fn lines(bytes: &[u8], id: &ReplicaId) -> Vec<LogLine> {
    let mut last = LastLines::default();
    let mut open: [Option<LogLine>; 2] = [None, None];
    let pieces = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    // A line that is not whole, at the end of a file that was being written, is left out.
    for piece in pieces.filter_map(|line| serde_json::from_slice::<Piece>(line).ok()) {
        let output = if piece.stream == "stderr" { Output::Stderr } else { Output::Stdout };
        let place = usize::from(output == Output::Stderr);
        let line = open[place].get_or_insert_with(|| LogLine {
            replica: id.clone(),
            output,
            at: piece.time,
            text: String::new(),
            cut: false,
        });
        let ends = piece.log.ends_with('\n');
        append(line, piece.log.strip_suffix('\n').unwrap_or(&piece.log));
        if ends {
            open[place].take().into_iter().for_each(|line| last.push(line));
        }
    }
    open.into_iter().flatten().for_each(|line| last.push(line));
    last.into()
}

fn append(line: &mut LogLine, text: &str) {
    let room = LINE_LIMIT.saturating_sub(line.text.len());
    if text.len() <= room {
        line.text.push_str(text);
        return;
    }
    let end = (0..=room).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    line.text.push_str(&text[..end]);
    line.cut = true;
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn id() -> ReplicaId {
        ReplicaId::new("a".repeat(64))
    }

    #[test]
    fn pieces_become_lines_output_by_output() {
        let text = r#"{"log":"one ","stream":"stdout","time":"2026-01-02T03:04:05.1Z"}
{"log":"error\n","stream":"stderr","time":"2026-01-02T03:04:05.2Z"}
{"log":"line\n","stream":"stdout","time":"2026-01-02T03:04:05.3Z"}
not json
{"log":"the last","stream":"stdout","time":"2026-01-02T03:04:05.4Z"}
{"log":"cut of"#;
        let found: Vec<(Output, String)> =
            lines(text.as_bytes(), &id()).into_iter().map(|line| (line.output, line.text)).collect();
        let expected =
            [(Output::Stderr, "error"), (Output::Stdout, "one line"), (Output::Stdout, "the last")];
        assert_eq!(found, expected.map(|(output, text)| (output, text.to_owned())));
    }

    #[test]
    fn only_the_end_of_a_long_file_is_read() {
        let mut file = tempfile::tempfile().unwrap();
        for number in 0..20_000 {
            writeln!(file, r#"{{"log":"line {number}\n","stream":"stdout","time":"2026-01-02T03:04:05Z"}}"#)
                .unwrap();
        }
        let lines = last_lines(file, &id());
        assert_eq!((lines.len(), lines.last().unwrap().text.as_str()), (200, "line 19999"));
    }

    #[test]
    fn a_file_that_is_not_the_containers_own_is_left_alone() {
        let files = LogFiles::default();
        let own = format!("/var/lib/docker/containers/{0}/{0}-json.log", id().as_str());
        for path in ["/etc/shadow", "relative/x", "", &own.replacen('a', "b", 3)] {
            files.remember(&id(), Some(path));
            assert!(files.lock().is_empty(), "{path}");
        }
        files.remember(&id(), Some(&own));
        assert_eq!(files.lock().len(), 1);
        assert!(files.take(&id()).is_none(), "it does not exist here");
        assert!(files.lock().is_empty());
        files.remember(&id(), Some(&own));
        for (is_known, left) in [(true, 1), (false, 1), (true, 1), (false, 1), (false, 0)] {
            files.listed(|_| is_known);
            assert_eq!(files.lock().len(), left);
        }
    }
}
