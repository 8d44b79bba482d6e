//! Real servers from Debian's packages, each a private instance in a folder of its own. Where one is not installed, its
//! test says so; with `ZV_REQUIRE_SERVERS` set it fails.

use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use zv_probe::{BodyRule, Check, Report, Trust, Verdict};

use crate::common::{PATIENCE, probe, run, target};

/// Where Debian keeps what is not in everybody's path.
const FOLDERS: [&str; 5] = ["/usr/sbin", "/usr/bin", "/usr/local/sbin", "/usr/local/bin", "/sbin"];

/// Finds a server's program, the newest where there are versions of it.
#[expect(clippy::print_stdout, reason = "a test that was skipped says so")]
fn installed(program: &str) -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut versions: Vec<PathBuf> = versions.map(|version| version.path().join("bin")).collect();
    versions.sort();
    let folders = FOLDERS.map(PathBuf::from).into_iter().chain(versions.into_iter().rev());
    let found = folders.map(|folder| folder.join(program)).find(|path| path.exists());
    if found.is_none() {
        assert!(
            std::env::var_os("ZV_REQUIRE_SERVERS").is_none(),
            "`{program}` is not installed, but required"
        );
        println!("skipped: `{program}` is not installed");
    }
    found
}

/// A server in a folder of its own. It is told to stop at the end, and killed where it does not.
struct Instance {
    child: Child,
    address: SocketAddr,
    folder: tempfile::TempDir,
}

impl Drop for Instance {
    fn drop(&mut self) {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};
        use rustix::process::{Pid, PidfdFlags, Signal, kill_process, kill_process_group, pidfd_open};
        let pid = Pid::from_child(&self.child);
        // One that is killed at once leaves shared memory behind.
        if let Ok(pidfd) = pidfd_open(pid, PidfdFlags::empty()) {
            kill_process(pid, Signal::TERM).ok();
            let patience = Timespec { tv_sec: 10, tv_nsec: 0 };
            poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&patience)).ok();
        }
        // The whole group: some of these start others.
        kill_process_group(pid, Signal::KILL).ok();
        self.child.wait().ok();
    }
}

impl Instance {
    /// Starts what `command` makes of a folder and a port, and waits until a probe of `url` (with `PORT` in it) is well.
    async fn start(prepare: impl FnOnce(&Path, u16) -> Command, url: &str) -> Self {
        let folder = folder();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut command = prepare(folder.path(), port);
        let log = std::fs::File::create(folder.path().join("output")).unwrap();
        command.current_dir(folder.path()).process_group(0).stdin(Stdio::null());
        command.stdout(log.try_clone().unwrap()).stderr(log);
        let child = command.spawn().unwrap();
        let mut instance = Self { child, address: ([127, 0, 0, 1], port).into(), folder };
        let begun = Instant::now();
        loop {
            let report = instance.probe(url).await;
            if report.verdict == Verdict::Up {
                return instance;
            }
            let ended = instance.child.try_wait().unwrap();
            let log = || std::fs::read_to_string(instance.folder.path().join("output")).unwrap_or_default();
            assert!(ended.is_none() && begun.elapsed() < PATIENCE * 2, "{}: {}", report.reason, log());
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Returns a URL with this instance's port.
    fn url(&self, url: &str) -> String {
        url.replace("PORT", &self.address.port().to_string())
    }

    async fn probe(&self, url: &str) -> Report {
        probe(&self.url(url)).await
    }

    async fn assert(&self, url: &str, verdict: Verdict, told: &str) {
        let report = self.probe(url).await;
        assert_eq!(report.verdict, verdict, "{url}: {report:?}");
        assert!(report.reason.contains(told), "{url}: `{told}` is not in `{}`", report.reason);
    }
}

/// A folder that the users of servers may enter.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::Builder::new().prefix("zv-probe-").tempdir_in("/tmp").unwrap();
    std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o777)).unwrap();
    folder
}

/// Returns a program run as `user` where these tests are root: some servers refuse to be.
fn as_user(user: &str, program: &Path) -> Command {
    if !rustix::process::geteuid().is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid", user, "--regid", user, "--init-groups"]).arg(program);
    command
}

/// Writes a certificate for `localhost` and its key, which belongs to `user`; it signs itself.
fn certificate(folder: &Path, user: &str) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    std::fs::write(folder.join("cert.pem"), made.cert.pem()).unwrap();
    std::fs::write(folder.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
    std::fs::set_permissions(folder.join("key.pem"), PermissionsExt::from_mode(0o600)).unwrap();
    if rustix::process::geteuid().is_root() {
        done(Command::new("chown").arg(user).arg(folder.join("key.pem")));
    }
}

/// Probes with this instance's certificate as the only one that is trusted.
async fn trusting(instance: &Instance, url: &str) -> Report {
    let mut target = target(&instance.url(url));
    let pem = std::fs::read(instance.folder.path().join("cert.pem")).unwrap();
    target.trust = Some(Arc::new(Trust::only(&pem).unwrap()));
    run(&target).await
}

/// Asserts that a server's TLS is used, and believed only where there is a reason to.
async fn assert_tls(instance: &Instance, verified: &str) {
    let report = trusting(instance, verified).await;
    assert_eq!(report.verdict, Verdict::Up, "{verified}: {report:?}");
    assert!(report.phases.tls.is_some(), "{verified}: {report:?}");
    instance.assert(verified, Verdict::Down, "signed by nobody who is trusted here").await;
    let elsewhere = trusting(instance, &verified.replace("localhost", "127.0.0.1")).await;
    assert!(elsewhere.reason.contains("is made for"), "{elsewhere:?}");
}

fn done(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test]
async fn nginx() {
    let Some(program) = installed("nginx") else { return };
    let prepare = |folder: &Path, port: u16| {
        let shown = folder.display();
        let config = format!(
            "daemon off; error_log stderr; pid {shown}/pid; events {{}}
             http {{ access_log off; client_body_temp_path {shown}/b; proxy_temp_path {shown}/p;
               fastcgi_temp_path {shown}/f; uwsgi_temp_path {shown}/u; scgi_temp_path {shown}/s;
               server {{ listen 127.0.0.1:{port};
                 location = / {{ return 200 '{{\"status\":\"ok\"}}'; }}
                 location = /there {{ return 301 /; }}
                 location = /circle {{ return 302 /circle; }}
                 location = /secret {{ if ($http_authorization != 'Basic bWU6aHVudGVyMg==') {{ return 401; }} return 200; }}
                 location = /broken {{ return 503 'no database'; }} }} }}"
        );
        std::fs::write(folder.join("nginx.conf"), config).unwrap();
        let mut command = Command::new(&program);
        command.arg("-p").arg(folder).arg("-c").arg(folder.join("nginx.conf"));
        command
    };
    let nginx = Instance::start(prepare, "http://127.0.0.1:PORT/").await;
    nginx.assert("http://127.0.0.1:PORT/there", Verdict::Up, "200 OK").await;
    nginx.assert("http://localhost:PORT/circle", Verdict::Down, "redirects in a circle").await;
    nginx
        .assert(
            "http://127.0.0.1:PORT/broken",
            Verdict::Down,
            "503 Service Unavailable, not 2xx: `no database`",
        )
        .await;
    nginx.assert("http://127.0.0.1:PORT/secret", Verdict::Down, "401").await;
    nginx.assert("http://me:hunter2@127.0.0.1:PORT/secret", Verdict::Up, "").await;
    nginx.assert("https://127.0.0.1:PORT/", Verdict::Down, "does not speak TLS").await;
    nginx.assert("redis://127.0.0.1:PORT/", Verdict::Down, "does not speak the protocol of Redis").await;
    let mut json = target(&nginx.url("http://127.0.0.1:PORT/"));
    let Check::Http(http) = &mut json.check else { panic!() };
    http.expect.body.push(BodyRule::json("/status", Some("ok".into())).unwrap());
    let report = run(&json).await;
    assert_eq!(report.verdict, Verdict::Up, "{report:?}");
    assert!(report.phases.connect.is_some() && report.phases.processing.is_some(), "{report:?}");
}

#[tokio::test]
async fn redis() {
    let Some(program) = installed("redis-server") else { return };
    let prepare = |protected: bool| {
        let program = program.clone();
        move |folder: &Path, port: u16| {
            let mut command = Command::new(program);
            command
                .args(["--bind", "127.0.0.1", "--save", "", "--port", &port.to_string(), "--dir"])
                .arg(folder);
            if protected {
                command.args(["--requirepass", "hunter2"]);
            }
            command
        }
    };
    let open = Instance::start(prepare(false), "redis://127.0.0.1:PORT").await;
    open.assert("redis://127.0.0.1:PORT/3", Verdict::Up, "answers PING").await;
    open.assert("redis://127.0.0.1:PORT/99", Verdict::Down, "refuses database 99").await;
    let closed = Instance::start(prepare(true), "redis://:hunter2@127.0.0.1:PORT").await;
    closed.assert("redis://default:hunter2@127.0.0.1:PORT/0", Verdict::Up, "answers PING").await;
    closed.assert("redis://127.0.0.1:PORT/0", Verdict::Up, "asks for a password").await;
    closed.assert("redis://:wrong@127.0.0.1:PORT", Verdict::Down, "refuses the login: WRONGPASS").await;

    let secure = |folder: &Path, port: u16| {
        certificate(folder, "root");
        let (certificate, key) = (folder.join("cert.pem"), folder.join("key.pem"));
        let mut command = Command::new(&program);
        command.args([
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--port",
            "0",
            "--tls-auth-clients",
            "no",
            "--dir",
        ]);
        command.arg(folder).args(["--tls-port", &port.to_string(), "--tls-cert-file"]).arg(&certificate);
        command.arg("--tls-ca-cert-file").arg(certificate).arg("--tls-key-file").arg(key);
        command
    };
    // It is there as soon as it takes connections; whether it is believed is asked next.
    let secure = Instance::start(secure, "tcp://127.0.0.1:PORT").await;
    assert_tls(&secure, "rediss://localhost:PORT").await;
}

#[tokio::test]
async fn postgresql() {
    let (Some(program), Some(initdb)) = (installed("postgres"), installed("initdb")) else { return };
    let prepare = |folder: &Path, port: u16| {
        let data = folder.join("data");
        std::fs::write(folder.join("password"), "hunter2").unwrap();
        let mut make = as_user("postgres", &initdb);
        make.current_dir(folder).args(["-U", "me", "-E", "UTF8", "--locale=C", "--no-sync", "-D"]).arg(&data);
        make.arg(format!("--pwfile={}", folder.join("password").display()));
        done(&mut make);
        let access = "host shop me all scram-sha-256\nhost old me all md5\nhost clear me all password\n\
                      host postgres me all trust\nhost all all all reject\n";
        std::fs::write(data.join("pg_hba.conf"), access).unwrap();
        let sockets = format!("unix_socket_directories={}", folder.display());
        let mut command = as_user("postgres", &program);
        command.args(["-c", "listen_addresses=127.0.0.1", "-c", "fsync=off", "-p", &port.to_string()]);
        command.arg("-c").arg(sockets).arg("-D").arg(data);
        command
    };
    let postgres = Instance::start(prepare, "postgres://me@127.0.0.1:PORT/postgres").await;
    postgres.assert("postgres://me@127.0.0.1:PORT/postgres", Verdict::Up, "PostgreSQL 1").await;
    // A database that is missing is told after the login alone: its methods differ by name.
    for database in ["shop", "clear"] {
        let url = format!("postgres://me:hunter2@127.0.0.1:PORT/{database}");
        postgres.assert(&url, Verdict::Down, &format!("database \"{database}\" does not exist")).await;
        let url = format!("postgres://me:wrong@127.0.0.1:PORT/{database}");
        postgres.assert(&url, Verdict::Down, "password authentication failed").await;
        let url = format!("postgres://me@127.0.0.1:PORT/{database}");
        postgres.assert(&url, Verdict::Down, "asks for the password of `me`").await;
    }
    // The stored password is a scram one, so md5 means scram here; it is refused or let in by the same words.
    postgres.assert("postgres://me:hunter2@127.0.0.1:PORT/old", Verdict::Down, "does not exist").await;
    postgres.assert("postgres://127.0.0.1:PORT/shop", Verdict::Up, "asks for a login").await;
    postgres
        .assert("postgres://127.0.0.1:PORT/postgres?sslmode=require", Verdict::Down, "offers no TLS")
        .await;

    let secure = |folder: &Path, port: u16| {
        certificate(folder, "postgres");
        let mut command = prepare(folder, port);
        command.args(["-c", "ssl=on", "-c"]).arg(format!("ssl_cert_file={}/cert.pem", folder.display()));
        command.arg("-c").arg(format!("ssl_key_file={}/key.pem", folder.display()));
        command
    };
    let secure = Instance::start(secure, "postgres://me@127.0.0.1:PORT/postgres?sslmode=require").await;
    assert_tls(&secure, "postgres://me@localhost:PORT/postgres?sslmode=verify-full").await;
}

#[tokio::test]
async fn mariadb() {
    let (Some(program), Some(install)) = (installed("mariadbd"), installed("mariadb-install-db")) else {
        return;
    };
    let prepare = |folder: &Path, port: u16| {
        let data = folder.join("data");
        let owner = if rustix::process::geteuid().is_root() { "--user=mysql" } else { "--skip-name-resolve" };
        let mut make = Command::new(&install);
        make.arg("--no-defaults")
            .arg(owner)
            .args(["--skip-test-db", "--auth-root-authentication-method=normal"]);
        done(make.arg(format!("--datadir={}", data.display())));
        // A name that was probed wrongly three times is blocked; every login by this file's users is complete.
        let setup = "CREATE USER me@'127.0.0.1' IDENTIFIED BY 'hunter2'; CREATE DATABASE shop; \
                     GRANT ALL ON shop.* TO me@'127.0.0.1'; SET GLOBAL max_connect_errors=3;";
        let setup = setup.replace("; ", ";\n");
        std::fs::write(folder.join("setup.sql"), setup).unwrap();
        let mut command = Command::new(&program);
        command.arg("--no-defaults").arg(owner).args(["--bind-address=127.0.0.1", "--skip-log-bin"]);
        command.arg(format!("--port={port}")).arg(format!("--datadir={}", data.display()));
        command.arg(format!("--socket={}", folder.join("socket").display()));
        command.arg(format!("--init-file={}", folder.join("setup.sql").display()));
        command
    };
    let mariadb = Instance::start(prepare, "mysql://me:hunter2@127.0.0.1:PORT/shop").await;
    mariadb.assert("mysql://me:hunter2@127.0.0.1:PORT", Verdict::Up, "MariaDB").await;
    mariadb.assert("mysql://me:wrong@127.0.0.1:PORT", Verdict::Down, "Access denied for user 'me'").await;
    mariadb.assert("mysql://me:hunter2@127.0.0.1:PORT/mall", Verdict::Down, "mall").await;
    mariadb.assert("mysql://127.0.0.1:PORT", Verdict::Up, "asks for a login").await;
    mariadb.assert("mysql://127.0.0.1:PORT?ssl-mode=REQUIRED", Verdict::Down, "offers no TLS").await;
    // Far more than `max_connect_errors`: no probe may count as an error, or this host would be blocked.
    for _ in 0..20 {
        mariadb.assert("mysql://127.0.0.1:PORT", Verdict::Up, "asks for a login").await;
        mariadb.assert("mysql://me:hunter2@127.0.0.1:PORT/shop", Verdict::Up, "MariaDB").await;
    }

    let secure = |folder: &Path, port: u16| {
        certificate(folder, "mysql");
        let mut command = prepare(folder, port);
        command.arg(format!("--ssl-cert={}/cert.pem", folder.display()));
        command.arg(format!("--ssl-key={}/key.pem", folder.display()));
        command
    };
    let secure = Instance::start(secure, "mysql://me:hunter2@127.0.0.1:PORT/shop?ssl-mode=REQUIRED").await;
    assert_tls(&secure, "mysql://me:hunter2@localhost:PORT/shop?ssl-mode=VERIFY_IDENTITY").await;
}
