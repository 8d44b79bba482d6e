//! A real node_exporter, on a port of its own; killed at the end.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

pub(super) struct Exporter {
    child: Child,
    address: SocketAddr,
}

impl Drop for Exporter {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

impl Exporter {
    /// Starts it with its authors' defaults, which packages change, and without what differs on purpose: containers' ends
    /// of the network, network file systems, speeds of devices that have none.
    pub(super) fn start(program: &Path) -> Self {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut command = Command::new(program);
        command.arg(format!("--web.listen-address={address}")).args([
            "--collector.filesystem.mount-points-exclude=^/(dev|proc|run/credentials/.+|sys|var/lib/docker/.+|var/lib/containers/storage/.+)($|/)",
            "--collector.filesystem.fs-types-exclude=^(9p|autofs|binfmt_misc|bpf|cgroup2?|cifs|configfs|debugfs|devpts|devtmpfs|fuse.lxcfs|fusectl|hugetlbfs|iso9660|mqueue|nfs4?|nsfs|overlay|proc|procfs|pstore|rpc_pipefs|securityfs|selinuxfs|squashfs|sysfs|tracefs)$",
            "--collector.diskstats.device-exclude=^(z?ram|loop|fd|(h|s|v|xv)d[a-z]|nvme\\d+n\\d+p)\\d+$",
            "--collector.netdev.device-exclude=^veth.*$",
            "--collector.netclass.ignored-devices=^veth.*$",
            "--collector.netclass.ignore-invalid-speed",
            "--no-collector.systemd",
            "--no-collector.zfs",
        ]);
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let mut exporter = Self { child, address };
        let begun = Instant::now();
        while exporter.try_scrape().is_none() {
            assert!(exporter.child.try_wait().unwrap().is_none(), "node_exporter ended");
            assert!(begun.elapsed() < Duration::from_secs(30), "node_exporter does not answer");
            std::thread::yield_now();
        }
        exporter
    }

    pub(super) fn scrape(&self) -> String {
        self.try_scrape().unwrap()
    }

    fn try_scrape(&self) -> Option<String> {
        let mut stream = TcpStream::connect(self.address).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        head.contains(" 200 ").then(|| body.to_owned())
    }
}
