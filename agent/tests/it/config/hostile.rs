//! Files that are not what a friendly editor writes.

use std::os::unix::fs::PermissionsExt;

use proptest::prelude::*;
use zv_agent::config::{LoadOptions, LogLevel, Purpose, load};

use super::{environment, of_file, sound, written, wrong};

#[test]
fn a_byte_order_mark_and_carriage_returns_change_nothing() {
    let loaded = sound("\u{feff}stack:\r\n  project: shop\r\nlog: { level: debug }\r\n");
    assert_eq!(loaded.config.stack.projects, ["shop"]);
    assert_eq!(loaded.config.log.level, LogLevel::Debug);
    let said = wrong("\u{feff}stack:\r\n  projct: shop\r\nlgo: {}\r\n");
    assert!(said.contains("zv.yaml:2:3: unknown key `projct` in `stack`"), "{said}");
    assert!(said.contains("zv.yaml:3:1: unknown key `lgo`"), "{said}");
}

#[test]
fn columns_count_characters() {
    let said = wrong("x-é: 'ü', ö: 1");
    assert!(said.starts_with("zv.yaml:1:"), "{said}");
    assert_eq!(
        wrong("{ x-ü: ü, lgo: x }").lines().next(),
        Some(
            "zv.yaml:1:11: unknown key `lgo`; did you mean `log`? (known: api, collect, global, log, probes, shutdown_grace, stack, store)"
        )
    );
}

#[test]
fn a_file_that_is_not_utf8_names_the_place() {
    let said = wrong(b"stack:\n  project: caf\xe9\n");
    assert_eq!(said, "zv.yaml:2:15: the file is not UTF-8; save it as such\n1 mistake");
    assert!(wrong([0_u8, 159, 146, 150]).contains("zv.yaml:1:2: the file is not UTF-8"));
}

#[test]
fn a_file_above_the_limit_is_refused() {
    let exactly = format!("log: {{}} # {}", "x".repeat((1 << 20) - 10));
    assert_eq!(exactly.len(), 1 << 20);
    sound(&exactly);
    let said = wrong(exactly + "x");
    assert_eq!(said, "zv.yaml: the file is larger than 1 MiB; no configuration is\n1 mistake");
}

#[test]
fn deep_nesting_is_refused() {
    for (open, close) in [("[", "]"), ("{a: ", "}")] {
        for depth in [100, 10_000, 200_000] {
            let said = wrong(format!("stack: {}{}", open.repeat(depth), close.repeat(depth)));
            assert!(said.contains("not valid YAML"), "{said}");
        }
    }
    let steps: String = (0..500).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect();
    assert!(wrong(steps).contains("not valid YAML"));
}

#[test]
fn a_flood_of_mistakes_is_counted_and_cut() {
    let text: String = (0..5000).map(|index| format!("wrong{index}: 1\n")).collect();
    let said = wrong(text);
    assert_eq!(said.lines().count(), 101);
    assert_eq!(said.lines().last(), Some("5000 mistakes, the first 100 are shown"));
}

#[test]
fn what_cannot_be_read_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let name = folder.path().display();
    let said = load(&of_file(folder.path())).unwrap_err().to_string();
    assert_eq!(said, format!("{name}: `{name}` is a directory; name the file in it\n1 mistake"));
    let said = load(&of_file(&folder.path().join("none.yaml"))).unwrap_err().to_string();
    assert_eq!(said, format!("{name}/none.yaml: `{name}/none.yaml` does not exist\n1 mistake"));
}

#[test]
fn a_file_without_the_right_to_read_it_is_told() {
    let (_folder, path) = written("log: {}");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o000)).unwrap();
    let as_nobody = move || {
        // The kernel keeps users per thread: this one alone gives up root's right to read everything.
        if rustix::process::geteuid().is_root() {
            let nobody = rustix::process::Uid::from_raw(65534);
            rustix::thread::set_thread_res_uid(nobody, nobody, nobody).unwrap();
        }
        let said = load(&of_file(&path)).unwrap_err().to_string();
        assert!(said.contains("may not be read by this user: permission denied"), "{said}");
        let mut look =
            LoadOptions { purpose: Purpose::Look, environment: environment(&[]), ..LoadOptions::default() };
        look.environment.default_files = vec![path];
        assert!(load(&look).unwrap().warnings[0].text.contains("it is left out"));
    };
    std::thread::spawn(as_nobody).join().unwrap();
}

/// Words and signs of which a configuration may be made up.
fn nearly_a_configuration() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        prop::sample::select(vec![
            "stack",
            "api",
            "log",
            "listen",
            "docker",
            "level",
            "tls",
            "store",
            "deaths",
            ": ",
            ":\n  ",
            "\n",
            "- ",
            "[",
            "]",
            "{",
            "}",
            ", ",
            "&a ",
            "*a",
            "<<: ",
            "!!str ",
            "'",
            "\"",
            "|\n",
            ">\n",
            "# ",
            "---\n",
            "${X}",
            "${",
            "~",
            "5",
            "true",
            "\t",
            "? ",
            "10s",
            "127.0.0.1:80",
            "\r\n",
            "\u{feff}",
            "ü",
            "\0",
        ])
        .prop_map(str::to_owned),
        "[a-z]{1,5}",
    ];
    prop::collection::vec(part, 0..40).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_taken(text in ".*") {
        let (_folder, path) = written(text);
        let _ = load(&of_file(&path));
    }

    #[test]
    fn anything_like_a_configuration_is_taken(text in nearly_a_configuration()) {
        let (_folder, path) = written(text);
        if let Err(mistakes) = load(&of_file(&path)) {
            prop_assert!(!mistakes.all.is_empty());
        }
    }

    #[test]
    fn a_variable_can_never_inject_structure(value in "[^\0]*") {
        let (_folder, path) = written("stack:\n  project: x${VALUE}\n");
        let mut options = of_file(&path);
        options.environment = environment(&[("VALUE", &value)]);
        prop_assert_eq!(load(&options).unwrap().config.stack.projects, [format!("x{value}")]);
    }
}
