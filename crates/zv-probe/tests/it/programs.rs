//! Programs as probes: their end, what they say, and what they leave behind.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use zv_probe::{Check, Exec, Target, Verdict};

use crate::common::{PATIENCE, run};

fn shell(script: &str) -> Target {
    let exec = Exec { program: "sh".to_owned(), arguments: vec!["-c".to_owned(), script.to_owned()] };
    let mut target = Target::new("script", Check::Exec(exec));
    target.timeout = PATIENCE;
    target
}

#[tokio::test]
async fn a_program_says_how_it_is_by_its_exit_code() {
    for (script, verdict, told) in [
        ("echo all fine", Verdict::Up, "all fine"),
        ("echo so; echo 'disk full' >&2; exit 3", Verdict::Down, "`sh` exited with code 3: disk full"),
        ("kill -9 $$", Verdict::Down, "`sh` was killed by signal 9"),
        ("yes | head -c 10000000; echo; echo end", Verdict::Up, "end"),
        ("exec >&- 2>&-; exit 4", Verdict::Down, "`sh` exited with code 4"),
    ] {
        let report = run(&shell(script)).await;
        assert_eq!((report.verdict, report.reason.as_str()), (verdict, told), "{script}");
    }
    let missing = Exec { program: "/no/such/program".to_owned(), arguments: Vec::new() };
    assert_eq!(run(&Target::new("missing", Check::Exec(missing))).await.verdict, Verdict::Unknown);
}

#[tokio::test]
async fn nothing_of_a_program_outlives_its_probe() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pid");
    let script =
        |rest: &str| format!("sleep 1000 & echo $! > {}.tmp; mv {0}.tmp {0}; {rest}", file.display());
    for rest in ["wait", "exit 0"] {
        let mut target = shell(&script(rest));
        if rest == "wait" {
            target.timeout = Duration::from_millis(500);
        }
        let begun = Instant::now();
        let report = run(&target).await;
        assert!(begun.elapsed() < PATIENCE, "{rest}");
        assert_eq!(report.verdict, if rest == "wait" { Verdict::Down } else { Verdict::Up }, "{report:?}");
        let pid = std::fs::read_to_string(&file).unwrap();
        let is_gone = || {
            let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
            // Killed and not yet taken away by whoever inherited it.
            stat.is_empty() || stat.contains(") Z ") || stat.contains(") X ")
        };
        while !is_gone() {
            assert!(begun.elapsed() < PATIENCE, "{rest}: {} lives on", pid.trim());
            sleep(Duration::from_millis(10)).await;
        }
    }
}
