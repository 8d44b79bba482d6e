//! What services, replicas and the host use, in as few characters as tell it.

use zv_api::{HostUsage, Usage};

use crate::paint::{Line, Style};
use crate::table::Cell;

/// Shown where nothing is known.
const NOTHING: &str = "–";
/// From here on a limit is near.
const NEAR: f64 = 0.9;

/// The cells of what is used.
#[derive(Debug)]
pub(super) struct Used {
    pub(super) cpu: Cell,
    pub(super) memory: Cell,
    pub(super) net: Cell,
}

impl Used {
    /// Returns the cells for what is used; nothing is known of what does not run.
    pub(super) fn of(usage: Option<&Usage>) -> Self {
        let nothing = || Cell::new(NOTHING, Style::Plain);
        let Some(usage) = usage else { return Self { cpu: nothing(), memory: nothing(), net: nothing() } };
        let style = |is_near: bool| if is_near { Style::Warn } else { Style::Plain };
        let full_cpu = part(usage.cpu_cores, usage.cpu_limit_cores).is_some_and(|part| part >= NEAR);
        let memory_limit = usage.memory_limit_bytes.map(|limit| limit as f64);
        let full_memory =
            part(usage.memory_bytes.map(|bytes| bytes as f64), memory_limit).is_some_and(|part| part >= NEAR);
        Self {
            cpu: usage.cpu_cores.map_or_else(nothing, |cores| Cell::new(percent(cores), style(full_cpu))),
            memory: usage.memory_bytes.map_or_else(nothing, |used| {
                let limit = memory_limit.map(|limit| format!("/{}", bytes(limit))).unwrap_or_default();
                Cell::new(format!("{}{limit}", bytes(used as f64)), style(full_memory))
            }),
            net: net(usage).map_or_else(nothing, |net| Cell::new(net, Style::Plain)),
        }
    }
}

fn net(usage: &Usage) -> Option<String> {
    let (received, sent) =
        usage.network_receive_bytes_per_second.zip(usage.network_transmit_bytes_per_second)?;
    Some(format!("{}/{}", bytes(received), bytes(sent)))
}

fn part(used: Option<f64>, limit: Option<f64>) -> Option<f64> {
    let (used, limit) = used.zip(limit)?;
    (limit > 0.0).then(|| used / limit)
}

/// Returns the line about the host; nothing where nothing of it is known.
pub(super) fn host(name: &str, usage: &HostUsage) -> Option<Line> {
    let mut parts = Vec::new();
    if let (Some(cores), Some(cpus)) = (usage.cpu_cores, usage.cpus.filter(|cpus| *cpus > 0)) {
        parts.push(format!("CPU {} of {cpus}", percent(cores / f64::from(cpus))));
    }
    if let (Some(used), Some(total)) = (usage.memory_bytes, usage.memory_total_bytes) {
        parts.push(format!("memory {}/{}", bytes(used as f64), bytes(total as f64)));
    }
    let sized = usage.filesystems.iter().filter(|one| one.size_bytes > 0);
    let full = sized.map(|one| {
        let used = one.size_bytes.saturating_sub(one.available_bytes);
        (used as f64 / one.size_bytes as f64, one)
    });
    let fullest = full.max_by(|(a, _), (b, _)| a.total_cmp(b));
    if let Some((full, one)) = fullest {
        parts.push(format!("disk {} {}", one.mount, percent(full)));
    }
    if let Some(load) = usage.load1 {
        parts.push(format!("load {load:.2}"));
    }
    let is_near = fullest.is_some_and(|(full, _)| full >= NEAR)
        || part(
            usage.memory_bytes.map(|used| used as f64),
            usage.memory_total_bytes.map(|total| total as f64),
        )
        .is_some_and(|part| part >= NEAR);
    let style = if is_near { Style::Warn } else { Style::Faint };
    (!parts.is_empty()).then(|| Line::of(format!("Host {name}: {}", parts.join(", ")), style))
}

/// Returns a part of one as percent: `0.4%`, `12%`.
fn percent(part: f64) -> String {
    let percent = part * 100.0;
    // What would be rounded to 10.0 is shown as 10.
    if percent < 9.95 { format!("{percent:.1}%") } else { format!("{percent:.0}%") }
}

/// Returns bytes with three digits at most: `0B`, `1.5K`, `312M`.
fn bytes(count: f64) -> String {
    let (mut count, mut unit) = (count, 0);
    const UNITS: [&str; 6] = ["B", "K", "M", "G", "T", "P"];
    while count >= 999.5 && unit + 1 < UNITS.len() {
        count /= 1024.0;
        unit += 1;
    }
    let digits = usize::from(unit > 0 && count < 9.95);
    format!("{count:.digits$}{}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use zv_api::Filesystem;

    use super::*;

    #[test]
    fn numbers_have_three_digits_at_most() {
        let mega = 1024.0 * 1024.0;
        for (count, expected) in [
            (0.0, "0B"),
            (999.0, "999B"),
            (1000.0, "1.0K"),
            (1536.0, "1.5K"),
            (312.4 * mega, "312M"),
            (1023.0 * mega, "1.0G"),
            (9.96 * mega, "10M"),
            (1e30, "888178419700125P"),
        ] {
            assert_eq!(bytes(count), expected);
        }
        for (part, expected) in [(0.0, "0.0%"), (0.004, "0.4%"), (0.0996, "10%"), (1.5, "150%")] {
            assert_eq!(percent(part), expected);
        }
    }

    #[test]
    fn the_host_tells_what_is_known_of_it() {
        assert_eq!(host("web-1", &HostUsage::default()), None);
        let disk = |mount: &str, available_bytes| Filesystem {
            mount: mount.to_owned(),
            device: "/dev/sda1".to_owned(),
            kind: "ext4".to_owned(),
            size_bytes: 100,
            available_bytes,
        };
        let usage = HostUsage {
            cpu_cores: Some(0.5),
            cpus: Some(4),
            memory_bytes: Some(3 << 30),
            memory_total_bytes: Some(8 << 30),
            load1: Some(0.421),
            filesystems: vec![disk("/", 60), disk("/data", 29)],
            ..HostUsage::default()
        };
        let line = host("web-1", &usage).unwrap();
        assert_eq!(line.text(), "Host web-1: CPU 12% of 4, memory 3.0G/8.0G, disk /data 71%, load 0.42");
    }
}
