//! `/proc/1/net/dev`, and of `/sys/class/net` what tells whether a device is up.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::source::read_once;

/// The columns of `/proc/net/dev`, as the metrics call them: received, then sent.
pub(crate) const RECEIVED: [&str; 8] =
    ["bytes", "packets", "errs", "drop", "fifo", "frame", "compressed", "multicast"];
pub(crate) const SENT: [&str; 8] =
    ["bytes", "packets", "errs", "drop", "fifo", "colls", "carrier", "compressed"];

/// What changes seldom is looked at again every so many measurements, and where a device went up or down.
const LOOK_AGAIN: u32 = 6;

/// What went through one device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Device {
    pub(crate) name: Box<str>,
    /// By [`RECEIVED`].
    pub(crate) received: [u64; 8],
    /// By [`SENT`].
    pub(crate) sent: [u64; 8],
    /// Absent where `/sys` does not show the devices of this network namespace.
    pub(crate) link: Option<Arc<Link>>,
}

/// What `/sys/class/net` says of a device. Texts are empty where the device has no such thing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Link {
    /// `up`, `down`, `unknown`, …
    pub(crate) state: Box<str>,
    pub(crate) carrier_changes: Option<u64>,
    /// Whether an administrator wants it up.
    pub(crate) enabled: Option<bool>,
    pub(crate) address: Box<str>,
    pub(crate) broadcast: Box<str>,
    pub(crate) duplex: Box<str>,
    pub(crate) alias: Box<str>,
    pub(crate) mtu_bytes: Option<u64>,
    /// In megabits per second; absent where the device has none.
    pub(crate) speed: Option<u64>,
    pub(crate) carrier: Option<bool>,
    /// There is a device behind it, not only software.
    pub(crate) physical: bool,
}

impl Device {
    /// Tells whether it is one by which the host reaches others, as far as its name says; what goes through those left
    /// out goes through another as well, or stays on the host.
    fn is_outer_by_name(&self) -> bool {
        const INNER: [&str; 18] = [
            "lo", "veth", "docker", "br-", "virbr", "cni", "flannel", "cali", "ifb", "dummy", "tun", "tap",
            "wg", "bond", "team", "sit", "gre", "vxlan",
        ];
        !INNER.iter().any(|prefix| self.name.starts_with(prefix))
    }
}

/// Returns the devices by which the host reaches others, so that no byte counts twice: those of hardware where `/sys`
/// shows them.
pub(super) fn outer(devices: &[Device]) -> impl Iterator<Item = &Device> {
    let physical = |device: &Device| device.link.as_ref().is_some_and(|link| link.physical);
    let any = devices.iter().any(physical);
    devices.iter().filter(move |device| if any { physical(device) } else { device.is_outer_by_name() })
}

/// Reads all devices but the ends of containers' pairs: what they carry is measured with the containers.
pub(super) fn parse(text: &str) -> Vec<Device> {
    let devices = text.lines().filter_map(|line| {
        // The last colon: a device's name may hold one.
        let (name, rest) = line.rsplit_once(':')?;
        let name = name.trim_start();
        if name.starts_with("veth") {
            return None;
        }
        let mut numbers = rest.split_ascii_whitespace();
        let mut next = || numbers.next()?.parse::<u64>().ok();
        let mut eight = || {
            let numbers: [Option<u64>; 8] = std::array::from_fn(|_| next());
            numbers.iter().all(Option::is_some).then(|| numbers.map(Option::unwrap_or_default))
        };
        Some(Device { name: name.into(), received: eight()?, sent: eight()?, link: None })
    });
    devices.collect()
}

/// `/sys/class/net`, with what was seen there before.
#[derive(Debug)]
pub(super) struct Links {
    folder: PathBuf,
    known: BTreeMap<Box<str>, Arc<Link>>,
    round: u32,
}

impl Links {
    pub(super) fn new(folder: PathBuf) -> Self {
        Self { folder, known: BTreeMap::new(), round: 0 }
    }

    /// Adds to each device what is said of it.
    pub(super) fn describe(&mut self, devices: &mut [Device], buffer: &mut Vec<u8>) {
        let anew = self.round.is_multiple_of(LOOK_AGAIN);
        self.round = self.round.wrapping_add(1);
        let mut known = BTreeMap::new();
        for device in devices {
            // A name is a file's name; anything else would lead elsewhere.
            if device.name.contains('/') || device.name.starts_with('.') {
                continue;
            }
            let path = self.folder.join(&*device.name);
            let before = self.known.get(&device.name).filter(|_| !anew);
            device.link = look(&path, before, buffer);
            known.extend(device.link.clone().map(|link| (device.name.clone(), link)));
        }
        self.known = known;
    }
}

/// Reads of one device what may change at any time, and the rest where it may have changed.
fn look(path: &Path, before: Option<&Arc<Link>>, buffer: &mut Vec<u8>) -> Option<Arc<Link>> {
    let state: Box<str> = read_once(&path.join("operstate"), buffer)?.into();
    let carrier_changes = number(&path.join("carrier_changes"), buffer);
    if let Some(before) = before
        && before.state == state
        && before.carrier_changes == carrier_changes
    {
        return Some(Arc::clone(before));
    }
    let mut text = |name| read_once(&path.join(name), buffer).map(Box::<str>::from).unwrap_or_default();
    let flags = text("flags");
    let flags = flags.strip_prefix("0x").and_then(|flags| u64::from_str_radix(flags, 16).ok());
    Some(Arc::new(Link {
        state,
        carrier_changes,
        enabled: flags.map(|flags| flags & 1 == 1),
        address: text("address"),
        broadcast: text("broadcast"),
        duplex: text("duplex"),
        alias: text("ifalias"),
        mtu_bytes: text("mtu").parse().ok(),
        // Minus one where there is none.
        speed: text("speed").parse().ok(),
        // Refused where the device is down.
        carrier: number(&path.join("carrier"), buffer).map(|carrier| carrier == 1),
        physical: path.join("device").exists(),
    }))
}

fn number(path: &Path, buffer: &mut Vec<u8>) -> Option<u64> {
    read_once(path, buffer)?.parse().ok()
}

/// One bond: how many devices it has, and how many of them work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bond {
    pub(crate) name: Box<str>,
    pub(crate) members: u32,
    pub(crate) active: u32,
}

/// Reads the bonds; none where the kernel has no such thing loaded.
pub(super) fn bonds(folder: &Path, buffer: &mut Vec<u8>) -> Vec<Bond> {
    let Some(names) = read_once(&folder.join("bonding_masters"), buffer) else { return Vec::new() };
    let names: Vec<Box<str>> = names.split_ascii_whitespace().map(Into::into).collect();
    let bonds = names.into_iter().filter_map(|name| {
        let members = read_once(&folder.join(&*name).join("bonding/slaves"), buffer)?.into_owned();
        let members: Vec<&str> = members.split_ascii_whitespace().collect();
        let works = |member: &&&str| {
            let state = folder.join(&*name).join(format!("lower_{member}/bonding_slave/mii_status"));
            read_once(&state, buffer).as_deref() == Some("up")
        };
        let count = members.len() as u32;
        Some(Bond { members: count, active: members.iter().filter(works).count() as u32, name })
    });
    bonds.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEV: &str = "Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:     100       1    0    0    0     0          0         0      100       1    0    0    0     0       0          0
  eth0: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16
eth0:1: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16
veth12ab: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16
docker0: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15
br-a: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16
";

    fn names<'a>(devices: impl IntoIterator<Item = &'a Device>) -> Vec<&'a str> {
        devices.into_iter().map(|device| &*device.name).collect()
    }

    #[test]
    fn devices_are_read_but_those_of_containers() {
        let devices = parse(DEV);
        assert_eq!(names(&devices), ["lo", "eth0", "eth0:1", "br-a"]);
        assert_eq!(devices[1].received, [1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(devices[1].sent, [9, 10, 11, 12, 13, 14, 15, 16]);
    }

    #[test]
    fn no_byte_counts_twice() {
        let mut devices = parse(DEV);
        assert_eq!(names(outer(&devices)), ["eth0", "eth0:1"]);
        devices[1].link = Some(Arc::new(Link { physical: true, ..Link::default() }));
        assert_eq!(names(outer(&devices)), ["eth0"]);
    }

    #[test]
    fn a_link_is_looked_at_again_where_it_changed() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join("eth0").join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("operstate", "up\n");
        write("flags", "0x1003\n");
        write("speed", "-1\n");
        write("mtu", "1500\n");
        write("device/vendor", "");
        let mut links = Links::new(folder.path().to_owned());
        let mut buffer = Vec::new();
        let mut look = || {
            let mut devices =
                parse("eth0: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n../x: 1 2 3 4 5 6 7 8 9 1 2 3 4 5 6 7");
            links.describe(&mut devices, &mut buffer);
            assert_eq!(devices[1].link, None);
            devices.remove(0).link.unwrap()
        };
        let link = look();
        assert_eq!(
            (link.enabled, link.speed, link.mtu_bytes, link.physical),
            (Some(true), None, Some(1500), true)
        );
        write("mtu", "9000\n");
        assert_eq!(look().mtu_bytes, Some(1500), "seldom changes, seldom read");
        write("operstate", "down\n");
        let link = look();
        assert_eq!((&*link.state, link.mtu_bytes), ("down", Some(9000)));
    }

    #[test]
    fn bonds_and_their_members() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        assert_eq!(bonds(folder.path(), &mut Vec::new()), []);
        write("bonding_masters", "bond0\n");
        write("bond0/bonding/slaves", "eth0 eth1\n");
        write("bond0/lower_eth0/bonding_slave/mii_status", "up\n");
        write("bond0/lower_eth1/bonding_slave/mii_status", "down\n");
        let bond = Bond { name: "bond0".into(), members: 2, active: 1 };
        assert_eq!(bonds(folder.path(), &mut Vec::new()), [bond]);
    }
}
