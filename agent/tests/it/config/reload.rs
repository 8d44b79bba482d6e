//! What a reload applies, and what it refuses.

use zv_agent::config::{Config, Setting, diff, load};

use super::{of_file, sound, written};

fn change(old: &str, new: &str) -> (Vec<&'static str>, Vec<Setting>, Vec<String>) {
    let plan = diff(&sound(old).config, &sound(new).config);
    assert_eq!(plan.unchanged.len() + plan.changed.len(), 8);
    assert_eq!(plan.is_applicable(), plan.needs_restart.is_empty());
    (plan.changed, plan.apply, plan.needs_restart)
}

#[test]
fn the_same_configuration_changes_nothing() {
    let text = "store: { path: /s }\nlog: { level: debug }";
    assert_eq!(
        change(text, "log:\n  level: debug  # the same\nstore: { path: /s }"),
        (vec![], vec![], vec![])
    );
}

#[test]
fn what_can_change_live_is_applied() {
    let (changed, apply, restart) = change(
        "store: { path: /s }",
        "store: { path: /s, deaths: { keep: 1 } }\ncollect: { interval: 30s }\nlog: { level: debug }\nshutdown_grace: 1s\napi: { read: token, hosts: [a] }",
    );
    assert_eq!(changed, ["collect", "store", "api", "log", "shutdown_grace"]);
    assert_eq!(
        apply,
        [
            Setting::CollectInterval,
            Setting::StoreDeaths,
            Setting::ApiRead,
            Setting::ApiHosts,
            Setting::LogLevel,
            Setting::ShutdownGrace
        ]
    );
    assert!(restart.is_empty(), "{restart:?}");
    assert_eq!(apply.iter().map(|setting| setting.key()).next(), Some("collect.interval"));
}

#[test]
fn what_needs_a_restart_is_refused_by_name() {
    let (_, _, restart) = change(
        "",
        "store: { path: /other }\napi: { listen: \"127.0.0.1:1\", unix: /s }\nlog: { format: json }\ncollect: { host_root: /etc }\n\
         stack: { runtime: docker, project: shop, docker: { context: x } }\nglobal: { external_labels: { host: x } }",
    );
    let keys: Vec<&str> = restart.iter().filter_map(|sentence| sentence.split('`').nth(1)).collect();
    assert_eq!(
        keys,
        [
            "global.external_labels.host",
            "stack.runtime",
            "stack.project",
            "stack.docker",
            "collect.host_root",
            "store.path",
            "api.listen",
            "api.unix",
            "log.format",
        ]
    );
    assert_eq!(restart[5], "`store.path` changed, which needs a restart of the agent");
}

#[test]
fn a_change_inside_a_file_is_seen() {
    let (folder, path) = written(
        "stack: { file: compose.yaml }\napi: { token_file: token, tls: { cert_file: cert, key_file: key } }\n",
    );
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    let config = || -> Config { load(&of_file(&path)).unwrap().config };
    write("compose.yaml", "a: 1");
    write("token", "0123456789abcdef");
    write("cert", "-----BEGIN CERTIFICATE-----");
    write("key", "-----BEGIN PRIVATE KEY-----");
    let old = config();
    assert!(diff(&old, &config()).changed.is_empty());
    write("compose.yaml", "a: 2");
    assert_eq!(diff(&old, &config()).apply, [Setting::StackFile]);
    write("token", "fedcba9876543210");
    write("key", "-----BEGIN PRIVATE KEY----- 2");
    let plan = diff(&old, &config());
    assert_eq!(plan.apply, [Setting::StackFile, Setting::ApiToken, Setting::ApiTls]);
    assert_eq!(plan.changed, ["stack", "api"]);
    assert!(plan.is_applicable());
}

#[test]
fn switching_tls_on_needs_a_restart() {
    let (folder, path) = written("api: { tls: { cert_file: cert, key_file: key } }\n");
    std::fs::write(folder.path().join("cert"), "-----BEGIN CERTIFICATE-----").unwrap();
    std::fs::write(folder.path().join("key"), "-----BEGIN PRIVATE KEY-----").unwrap();
    let plan = diff(&sound("").config, &load(&of_file(&path)).unwrap().config);
    assert!(plan.apply.is_empty());
    assert_eq!(plan.needs_restart, ["`api.tls` changed, which needs a restart of the agent"]);
}

#[test]
fn probes_change_live_and_one_by_one() {
    let probes = |text: &str| format!("probes:\n  - {{ name: a, tcp: \"a:1\" }}\n{text}");
    let (old, same) =
        (probes("  - { name: b, tcp: \"b:1\" }"), probes("  - { tcp: \"b:1\", name: b } # moved"));
    assert_eq!(change(&old, &same), (vec![], vec![], vec![]));
    let new = probes("  - { name: b, tcp: \"b:1\", every: 1m }");
    assert_eq!(change(&old, &new), (vec!["probes"], vec![Setting::Probes], vec![]));
    let (old, new) = (sound(&old).config.probes, sound(&new).config.probes);
    assert_eq!(old[0], new[0]);
    assert_ne!(old[1], new[1]);
}

#[test]
fn a_change_inside_a_file_of_a_probe_is_seen() {
    let (folder, path) =
        written("probes: [{ name: db, postgres: \"postgres://zv@db/shop\", password_file: secret }]\n");
    let secret = |text: &str| std::fs::write(folder.path().join("secret"), text).unwrap();
    let config = || load(&of_file(&path)).unwrap().config;
    secret("hunter2\n");
    let old = config();
    assert!(!format!("{:?} {}", old.probes, old.print()).contains("hunter2"));
    assert!(diff(&old, &config()).changed.is_empty());
    secret("hunter3\n");
    assert_eq!(diff(&old, &config()).apply, [Setting::Probes]);
}
