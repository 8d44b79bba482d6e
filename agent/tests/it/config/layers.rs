//! Flags over environment over file over defaults.

use std::path::Path;

use zv_agent::config::{Config, LoadOptions, Overrides, Purpose, RuntimeChoice, Secret, load};

use super::{environment, of_file, sound, written};

fn with_variables(text: &str, variables: &[(&str, &str)]) -> Result<Config, String> {
    let (_folder, path) = written(text);
    let options = LoadOptions { environment: environment(variables), ..of_file(&path) };
    load(&options).map(|loaded| loaded.config).map_err(|mistakes| mistakes.to_string())
}

fn warnings(variables: &[(&str, &str)]) -> Vec<String> {
    let options = LoadOptions { environment: environment(variables), ..LoadOptions::default() };
    load(&options).expect("it is sound").warnings.iter().map(ToString::to_string).collect()
}

#[test]
fn no_file_at_all_is_fine() {
    let loaded = load(&LoadOptions { environment: environment(&[]), ..LoadOptions::default() }).unwrap();
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
    let config = loaded.config;
    assert_eq!(config.file, None);
    assert_eq!(config.global.host_name, "web-1");
    assert_eq!(config.stack.runtime, RuntimeChoice::Auto);
    assert_eq!(config.store.path, Path::new("/home/ada/.local/state/zv"));
    assert_eq!(config.api.listen, ["127.0.0.1:9780".parse().unwrap()]);
    assert_eq!(config.api.unix, None);
    assert_eq!(config.api.token_file, Path::new("/home/ada/.local/state/zv/token"));
    assert_eq!(config.stack.docker.config_dir.as_deref(), Some(Path::new("/home/ada/.docker")));
}

#[test]
fn root_has_the_folders_of_the_system() {
    let mut options =
        LoadOptions { environment: environment(&[("XDG_STATE_HOME", "/x")]), ..LoadOptions::default() };
    options.purpose = Purpose::Look;
    options.environment.uid = 0;
    let config = load(&options).unwrap().config;
    assert_eq!(config.store.path, Path::new("/var/lib/zv"));
    assert_eq!(config.api.unix.as_deref(), Some(Path::new("/run/zv/zv.sock")));
}

#[test]
fn a_user_has_the_folders_of_xdg() {
    let config =
        with_variables("", &[("XDG_STATE_HOME", "/x"), ("XDG_RUNTIME_DIR", "/run/user/1000")]).unwrap();
    assert_eq!(config.store.path, Path::new("/x/zv"));
    assert_eq!(config.api.unix.as_deref(), Some(Path::new("/run/user/1000/zv/zv.sock")));
    let config = with_variables("", &[("XDG_STATE_HOME", "relative")]).unwrap();
    assert_eq!(config.store.path, Path::new("/home/ada/.local/state/zv"));
}

#[test]
fn a_user_without_a_home_is_warned() {
    let warnings = warnings(&[("HOME", "")]);
    assert_eq!(
        warnings,
        ["nothing says where to keep the state: `/tmp/zv-1000` is used and may be lost at any time; \
          set `store.path` or `ZV_STORE`"]
    );
}

#[test]
fn each_layer_wins_over_the_ones_below() {
    let text = "stack: { runtime: docker, project: shop }\nlog: { level: warn, format: json }\n";
    let (_folder, path) = written(text);
    let mut options = of_file(&path);
    options.environment =
        environment(&[("ZV_LOG", "debug"), ("ZV_LISTEN", "127.0.0.1:1, [::1]:2"), ("ZV_STORE", "state")]);
    options.overrides = Overrides {
        log_level: Some("trace".to_owned()),
        projects: vec!["blog".to_owned(), "2024".to_owned()],
        ..Overrides::default()
    };
    let config = load(&options).unwrap().config;
    assert_eq!(config.log.level.as_str(), "trace");
    assert_eq!(config.log.format.as_str(), "json");
    assert_eq!(config.stack.projects, ["blog", "2024"]);
    assert_eq!(config.stack.runtime, RuntimeChoice::Docker);
    assert_eq!(config.api.listen.len(), 2);
    // A path in a variable is seen from where the program runs, one in a file from where the file is.
    assert_eq!(config.store.path, Path::new("state"));
    let printed = config.print();
    for line in
        ["level: trace  # --log-level", "path: state  # ZV_STORE", "read: open  # default", "zv.yaml:2:29"]
    {
        assert!(printed.contains(line), "{line} in\n{printed}");
    }
}

#[test]
fn flags_and_variables_are_checked_like_keys() {
    let (folder, path) = written("lgo: {}");
    let mut options = of_file(&path);
    options.environment = environment(&[("ZV_LISTEN", "here"), ("ZV_TOKEN", "tell"), ("ZV_RUNTIME", "")]);
    options.overrides.runtime = Some("dokcer".to_owned());
    let said = load(&options).unwrap_err().to_string().replace(&format!("{}/", folder.path().display()), "");
    assert_eq!(
        said.lines().collect::<Vec<_>>(),
        [
            "zv.yaml:1:1: unknown key `lgo`; did you mean `log`? (known: api, collect, global, log, probes, shutdown_grace, stack, store)",
            "ZV_LISTEN: `api.listen[0]`: `here` is not an address; write an IP address and a port, as in `127.0.0.1:9780`",
            "ZV_TOKEN: the token is too short; take at least 16 characters, as from `openssl rand -hex 32`",
            "--runtime: `stack.runtime` cannot be `dokcer`; did you mean `docker`? (known: auto, docker, local)",
            "4 mistakes",
        ]
    );
}

#[test]
fn variables_that_nothing_reads_are_warned_of() {
    assert_eq!(
        warnings(&[("ZV_LISTN", "x"), ("ZV_QQQQQQQQ", "x"), ("ZVX", "x"), ("OTHER", "x")]),
        [
            "ZV_LISTN: no such variable is known; did you mean `ZV_LISTEN`?",
            "ZV_QQQQQQQQ: no such variable is known"
        ]
    );
    let (_folder, path) = written("stack: { project: \"${ZV_PROJECT}\" }");
    let mut options = of_file(&path);
    options.environment = environment(&[("ZV_PROJECT", "shop"), ("ZV_BLESS", "1")]);
    options.environment.also_known = vec!["ZV_BLESS"];
    assert!(load(&options).unwrap().warnings.is_empty());
}

#[test]
fn the_engine_is_found_as_the_docker_command_finds_it() {
    let docker =
        |text: &str, variables: &[(&str, &str)]| with_variables(text, variables).unwrap().stack.docker;
    let office = "stack: { docker: { context: office, cert_dir: /certs } }";
    assert_eq!(docker(office, &[]).context.as_deref(), Some("office"));
    // Another engine: what was said of the first one does not hold.
    let other = docker(office, &[("DOCKER_HOST", "tcp://10.0.0.1:2375")]);
    assert_eq!(
        (other.host.as_deref(), other.context, other.cert_dir),
        (Some("tcp://10.0.0.1:2375"), None, None)
    );
    let both = docker("", &[("DOCKER_HOST", "unix:///run/d.sock"), ("DOCKER_CONTEXT", "office")]);
    assert_eq!((both.host.as_deref(), both.context), (Some("unix:///run/d.sock"), None));
    let verified =
        docker("", &[("DOCKER_HOST", "tcp://h:2376"), ("DOCKER_TLS_VERIFY", "1"), ("DOCKER_CONFIG", "/d")]);
    assert_eq!(verified.cert_dir.as_deref(), Some(Path::new("/d")));
    let given = docker("", &[("DOCKER_CERT_PATH", "/c"), ("DOCKER_TLS_VERIFY", "1")]);
    assert_eq!(given.cert_dir.as_deref(), Some(Path::new("/c")));
}

#[test]
fn a_context_flag_wins_over_a_host_variable() {
    let mut options =
        LoadOptions { environment: environment(&[("DOCKER_HOST", "tcp://h:1")]), ..LoadOptions::default() };
    options.overrides.docker_context = Some("office".to_owned());
    let docker = load(&options).unwrap().config.stack.docker;
    assert_eq!((docker.host, docker.context.as_deref()), (None, Some("office")));
    options.environment = environment(&[("DOCKER_CERT_PATH", "/c")]);
    options.overrides = Overrides { docker_host: Some("tcp://h:2".to_owned()), ..Overrides::default() };
    let docker = load(&options).unwrap().config.stack.docker;
    assert_eq!(
        (docker.host.as_deref(), docker.cert_dir.as_deref()),
        (Some("tcp://h:2"), Some(Path::new("/c")))
    );
}

#[test]
fn the_first_default_file_that_exists_is_taken() {
    let (folder, path) = written("log: { level: warn }");
    let mut options = LoadOptions { environment: environment(&[]), ..LoadOptions::default() };
    options.environment.default_files = vec![folder.path().join("none.yaml"), path.clone()];
    assert_eq!(load(&options).unwrap().config.file, Some(path));
    options.environment.default_files.truncate(1);
    assert_eq!(load(&options).unwrap().config.file, None);
    options.environment.variables.insert("ZV_CONFIG".to_owned(), "/nowhere/zv.yaml".to_owned());
    assert!(load(&options).unwrap_err().to_string().contains("does not exist"));
}

#[test]
fn paths_in_a_file_are_seen_from_its_folder() {
    let (folder, path) = written("store: { path: state }\napi: { unix: zv.sock }\n");
    let config = load(&of_file(&path)).unwrap().config;
    assert_eq!(config.store.path, folder.path().join("state"));
    assert_eq!(config.api.unix, Some(folder.path().join("zv.sock")));
    assert_eq!(config.api.token_file, folder.path().join("state/token"));
}

#[test]
fn the_token_comes_from_the_environment_or_its_file() {
    let (folder, path) = written("api: { token_file: token }");
    let token = "0123456789abcdef";
    assert_eq!(load(&of_file(&path)).unwrap().config.api.token, None);
    std::fs::write(folder.path().join("token"), format!("{token}\n")).unwrap();
    let config = load(&of_file(&path)).unwrap().config;
    assert_eq!(config.api.token.as_ref().map(Secret::expose), Some(token));
    let mut options = of_file(&path);
    options.purpose = Purpose::Look;
    assert_eq!(load(&options).unwrap().config.api.token, None);
    options.environment = environment(&[("ZV_TOKEN", "fedcba9876543210")]);
    let config = load(&options).unwrap().config;
    assert_eq!(config.api.token.as_ref().map(Secret::expose), Some("fedcba9876543210"));
    let printed = format!("{config:?}{}", config.print());
    assert!(printed.contains("# token: ***  # ZV_TOKEN") && !printed.contains("fedcba"), "{printed}");
}

#[test]
fn looking_reads_no_other_file() {
    let (_folder, path) = written("api: { tls: { cert_file: none, key_file: none } }\nstack: { file: none }");
    assert!(load(&of_file(&path)).is_err());
    load(&LoadOptions { purpose: Purpose::Look, ..of_file(&path) }).unwrap();
}

#[test]
fn what_is_printed_loads_to_the_same() {
    for text in [
        "",
        "stack: { project: [\"a: b\", \"2024\", 'no', \"x # y\", \"tab\\t\"], runtime: docker }",
        "api: { unix: \"off\", hosts: [a.b], listen: [\"[::1]:80\", \":81\"] }\nshutdown_grace: 1h\nstore: { deaths: { keep: 0, max_bytes: 0 } }",
        "stack: { docker: { host: \"unix:///run/docker.sock\", cert_dir: /c } }\nglobal: { external_labels: { host: \"007\" } }",
    ] {
        let first = sound(text).config;
        let second = sound(&first.print()).config;
        assert!(zv_agent::config::diff(&first, &second).changed.is_empty(), "{}", first.print());
    }
}
