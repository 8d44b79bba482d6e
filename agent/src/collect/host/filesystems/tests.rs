//! Real threads, and file systems that do not answer: a function that blocks until it is let go.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

/// How long anything may take before a test fails.
const GENEROUSLY: Duration = Duration::from_secs(20);

/// Mounts at these paths, by a table in a folder.
fn table(folder: &Path, paths: &[&str]) -> Table {
    let lines = paths
        .iter()
        .enumerate()
        .map(|(id, path)| format!("{id} 0 8:{id} / {path} rw - ext4 /dev/d{id} rw\n"));
    let file = folder.join("mountinfo");
    std::fs::write(&file, lines.collect::<String>()).unwrap();
    Table::new(file, "/".into(), false)
}

/// File systems of which some hang until they are let go.
#[derive(Default)]
struct Hung {
    paths: Mutex<Vec<&'static str>>,
    let_go: Condvar,
    asked: AtomicUsize,
    waiting: AtomicUsize,
}

impl Hung {
    fn at(paths: &[&'static str]) -> Arc<Self> {
        Arc::new(Self { paths: Mutex::new(paths.to_vec()), ..Self::default() })
    }

    fn ask(self: &Arc<Self>) -> Ask {
        let hung = Arc::clone(self);
        Arc::new(move |mount| {
            hung.asked.fetch_add(1, Ordering::SeqCst);
            hung.waiting.fetch_add(1, Ordering::SeqCst);
            let paths = hung.paths.lock().unwrap();
            let hangs = |paths: &mut Vec<&'static str>| paths.contains(&&*mount.mountpoint);
            drop(hung.let_go.wait_while(paths, hangs).unwrap());
            hung.waiting.fetch_sub(1, Ordering::SeqCst);
            Answer::Space(Space { size_bytes: 1, free_bytes: 1, available_bytes: 1, files: 1, files_free: 1 })
        })
    }

    fn heal(&self) {
        self.paths.lock().unwrap().clear();
        self.let_go.notify_all();
    }
}

/// Looks until the answers are as they should be, or much time has passed.
fn until(filesystems: &mut FileSystems, expected: impl Fn(&[(&str, bool)]) -> bool) {
    let begun = Instant::now();
    loop {
        filesystems.look();
        let asked = Instant::now();
        let volumes = filesystems.volumes().unwrap_or_default();
        assert!(asked.elapsed() < Duration::from_secs(2), "a measurement waited");
        let answers: Vec<(&str, bool)> = volumes
            .iter()
            .filter(|volume| volume.answer != Answer::Hidden)
            .map(|volume| (&*volume.mount.mountpoint, volume.answer != Answer::Stuck))
            .collect();
        if expected(&answers) {
            return;
        }
        assert!(begun.elapsed() < GENEROUSLY, "{answers:?}");
        std::thread::yield_now();
    }
}

#[test]
fn one_that_hangs_is_marked_and_the_others_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let hung = Hung::at(&["/b"]);
    let table = table(folder.path(), &["/a", "/b", "/c"]);
    let mut filesystems = FileSystems::with(table, hung.ask(), Duration::from_millis(30));
    until(&mut filesystems, |answers| answers == [("/a", true), ("/b", false), ("/c", true)]);
    // Asked once by a thread that is lost; nobody else waits for it.
    assert_eq!(hung.waiting.load(Ordering::SeqCst), 1);
    hung.heal();
    until(&mut filesystems, |answers| answers == [("/a", true), ("/b", true), ("/c", true)]);
}

#[test]
fn the_end_does_not_wait_for_one_that_hangs() {
    let folder = tempfile::tempdir().unwrap();
    let hung = Hung::at(&["/a", "/b"]);
    let table = table(folder.path(), &["/a", "/b"]);
    let mut filesystems = FileSystems::with(table, hung.ask(), GENEROUSLY);
    filesystems.look();
    let begun = Instant::now();
    while hung.waiting.load(Ordering::SeqCst) == 0 {
        assert!(begun.elapsed() < GENEROUSLY);
        std::thread::yield_now();
    }
    let begun = Instant::now();
    drop(filesystems);
    assert!(begun.elapsed() < Duration::from_secs(2));
    // Once it is let go, it asks no other.
    hung.heal();
    let begun = Instant::now();
    while Arc::strong_count(&hung) > 1 {
        assert!(begun.elapsed() < GENEROUSLY);
        std::thread::yield_now();
    }
    assert_eq!(hung.asked.load(Ordering::SeqCst), 1);
}

#[test]
fn threads_that_are_lost_are_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let paths: [&'static str; 12] = ["/0", "/1", "/2", "/3", "/4", "/5", "/6", "/7", "/8", "/9", "/x", "/y"];
    let hung = Hung::at(&paths);
    let table = table(folder.path(), &paths);
    let mut filesystems = FileSystems::with(table, hung.ask(), Duration::from_millis(5));
    let begun = Instant::now();
    while hung.waiting.load(Ordering::SeqCst) <= MOST_STUCK {
        filesystems.look();
        assert!(begun.elapsed() < GENEROUSLY);
        std::thread::yield_now();
    }
    // Nobody else is started, however often a look is wanted.
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(50) {
        filesystems.look();
    }
    assert_eq!(hung.waiting.load(Ordering::SeqCst), MOST_STUCK + 1);
    hung.heal();
    until(&mut filesystems, |answers| answers.len() == 12 && answers.iter().all(|(_, well)| *well));
}

#[test]
fn a_thread_that_broke_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let asked = AtomicUsize::new(0);
    let ask: Ask = Arc::new(move |_| {
        assert!(asked.fetch_add(1, Ordering::SeqCst) > 0, "the first question breaks the thread");
        Answer::Failed
    });
    let mut filesystems = FileSystems::with(table(folder.path(), &["/a"]), ask, GENEROUSLY);
    until(&mut filesystems, |answers| answers == [("/a", true)]);
}

#[test]
fn what_is_not_the_hosts_is_not_shown() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mountinfo");
    let stat = rustix::fs::stat(folder.path()).unwrap();
    let (major, minor) = (rustix::fs::major(stat.st_dev), rustix::fs::minor(stat.st_dev));
    std::fs::create_dir(folder.path().join("here")).unwrap();
    let lines = format!(
        "1 0 {major}:{minor} / /here rw - ext4 /dev/a rw\n2 0 4095:1 / /here rw - ext4 /dev/b rw\n\
         3 0 {major}:{minor} / /nowhere rw - ext4 /dev/c rw\n"
    );
    std::fs::write(&file, lines).unwrap();
    let table = Table::new(file, folder.path().to_owned(), true);
    let mut filesystems = FileSystems::new(table);
    until(&mut filesystems, |answers| answers == [("/here", true)]);
}

#[test]
fn a_new_mount_is_seen_in_the_kernels_table() {
    let table = Table::new("/proc/self/mountinfo".into(), "/".into(), false);
    let mut filesystems = FileSystems::new(table);
    until(&mut filesystems, |answers| answers.iter().any(|(path, _)| *path == "/"));
}
