//! The files whose fields become metrics one by one, named by the field: `/proc/meminfo`, `/proc/vmstat`,
//! `/proc/net/{sockstat,sockstat6,snmp,netstat,snmp6}`.

use std::collections::BTreeMap;
use std::sync::Arc;

/// What a field is worth.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Field {
    /// The whole name of the metric.
    pub(crate) name: Arc<str>,
    pub(crate) value: f64,
}

/// The names, so that a measurement does not make them anew. The kernel has some hundred; should a file have ever other
/// ones, they are forgotten together.
#[derive(Debug, Default)]
pub(super) struct Names {
    known: BTreeMap<Arc<str>, Arc<str>>,
    /// Where a key is put together.
    key: String,
}

const MOST_NAMES: usize = 1024;

impl Names {
    /// Returns the name of `PREFIX_PARTS`, with what a metric's name may not have replaced.
    fn get(&mut self, prefix: &str, parts: [&str; 3]) -> Arc<str> {
        self.key.clear();
        self.key.push_str(prefix);
        for part in parts {
            self.key.push_str(part);
        }
        if let Some(name) = self.known.get(self.key.as_str()) {
            return Arc::clone(name);
        }
        if self.known.len() >= MOST_NAMES {
            self.known.clear();
        }
        let fit = |character: char| if character.is_ascii_alphanumeric() { character } else { '_' };
        let name: Arc<str> = self.key.chars().map(fit).collect::<String>().into();
        self.known.insert(self.key.as_str().into(), Arc::clone(&name));
        name
    }

    /// Reads `/proc/meminfo`: `Active(anon): 123 kB`.
    pub(super) fn memory(&mut self, text: &str) -> Vec<Field> {
        let fields = text.lines().filter_map(|line| {
            let (key, rest) = line.split_once(':')?;
            let mut words = rest.split_ascii_whitespace();
            let value: u64 = words.next()?.parse().ok()?;
            let in_kibibytes = words.next() == Some("kB");
            let unit = if in_kibibytes { "_bytes" } else { "" };
            // `Active(anon)` is `Active_anon`.
            let (stem, part) = key.split_once('(').unwrap_or((key, ""));
            let name = match part.strip_suffix(')') {
                Some(part) => {
                    let stem = self.get("node_memory_", [stem, "_", part]);
                    self.get(&stem, [unit, "", ""])
                }
                None => self.get("node_memory_", [key, unit, ""]),
            };
            Some(Field { name, value: value as f64 * if in_kibibytes { 1024.0 } else { 1.0 } })
        });
        fields.collect()
    }

    /// Reads of `/proc/vmstat` what tells of paging and of want of memory.
    pub(super) fn paging(&mut self, text: &str) -> Vec<Field> {
        let wanted = |key: &str| {
            key.starts_with("oom_kill")
                || key.starts_with("pgpg")
                || key.starts_with("pswp")
                || (key.starts_with("pg") && key.contains("fault"))
        };
        let lines = text.lines().filter_map(|line| line.split_once(' '));
        let lines = lines.filter(|(key, _)| wanted(key));
        let fields = lines.filter_map(|(key, value)| {
            let value: u64 = value.trim().parse().ok()?;
            Some(Field { name: self.get("node_vmstat_", [key, "", ""]), value: value as f64 })
        });
        fields.collect()
    }

    /// Reads `/proc/net/sockstat` or `sockstat6`: `TCP: inuse 2 mem 1`.
    pub(super) fn sockets(&mut self, text: &str, page_bytes: u64, fields: &mut Vec<Field>) {
        for line in text.lines() {
            let Some((group, rest)) = line.split_once(':') else { continue };
            let mut words = rest.split_ascii_whitespace();
            while let (Some(key), Some(value)) = (words.next(), words.next()) {
                let Ok(value) = value.parse::<u64>() else { continue };
                let name = self.get("node_sockstat_", [group, "_", key]);
                if key == "mem" {
                    let bytes = self.get(&name, ["_bytes", "", ""]);
                    fields.push(Field { name: bytes, value: value as f64 * page_bytes as f64 });
                }
                fields.push(Field { name, value: value as f64 });
            }
        }
    }

    /// Reads `/proc/net/snmp` or `netstat`: pairs of lines, `Tcp: InSegs …` and `Tcp: 12 …`.
    pub(super) fn protocols(&mut self, text: &str, fields: &mut Vec<Field>) {
        let mut lines = text.lines();
        while let (Some(keys), Some(values)) = (lines.next(), lines.next()) {
            let (Some((group, keys)), Some((same, values))) = (keys.split_once(':'), values.split_once(':'))
            else {
                continue;
            };
            if group != same {
                continue;
            }
            let pairs = keys.split_ascii_whitespace().zip(values.split_ascii_whitespace());
            for (key, value) in pairs.filter(|(key, _)| wanted_of(group, key)) {
                self.protocol(group, key, value, fields);
            }
        }
    }

    /// Reads `/proc/net/snmp6`: `Ip6InOctets 12`.
    pub(super) fn protocols6(&mut self, text: &str, fields: &mut Vec<Field>) {
        for line in text.lines() {
            let mut words = line.split_ascii_whitespace();
            let (Some(key), Some(value)) = (words.next(), words.next()) else { continue };
            let Some((group, key)) = key.find('6').map(|at| key.split_at(at + 1)) else { continue };
            if wanted_of(group, key) {
                self.protocol(group, key, value, fields);
            }
        }
    }

    fn protocol(&mut self, group: &str, key: &str, value: &str, fields: &mut Vec<Field>) {
        if let Ok(value) = value.parse::<i64>() {
            fields.push(Field { name: self.get("node_netstat_", [group, "_", key]), value: value as f64 });
        }
    }
}

/// Tells whether node_exporter shows it without being asked to.
fn wanted_of(group: &str, key: &str) -> bool {
    if key == "InErrors" || key == "InErrs" {
        return true;
    }
    match group {
        "Ip" => key == "Forwarding",
        "Ip6" | "IpExt" => matches!(key, "InOctets" | "OutOctets"),
        "Icmp" | "Icmp6" => matches!(key, "InMsgs" | "OutMsgs"),
        "TcpExt" => {
            key.starts_with("Listen")
                || key.starts_with("Syncookies")
                || matches!(key, "TCPSynRetrans" | "TCPTimeouts" | "TCPOFOQueue" | "TCPRcvQDrop")
        }
        "Tcp" => matches!(
            key,
            "ActiveOpens" | "InSegs" | "OutSegs" | "OutRsts" | "PassiveOpens" | "RetransSegs" | "CurrEstab"
        ),
        "Udp" | "Udp6" => {
            matches!(key, "InDatagrams" | "OutDatagrams" | "NoPorts" | "RcvbufErrors" | "SndbufErrors")
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(fields: &[Field]) -> Vec<(&str, f64)> {
        fields.iter().map(|field| (&*field.name, field.value)).collect()
    }

    #[test]
    fn fields_of_memory() {
        let text = "MemTotal:  24684096 kB\nActive(anon):  7 kB\nHugePages_Total:  3\nBroken\nX: y kB\n";
        assert_eq!(
            pairs(&Names::default().memory(text)),
            [
                ("node_memory_MemTotal_bytes", 25_276_514_304.0),
                ("node_memory_Active_anon_bytes", 7168.0),
                ("node_memory_HugePages_Total", 3.0)
            ]
        );
    }

    #[test]
    fn fields_of_sockets_and_protocols() {
        let mut names = Names::default();
        let mut fields = Vec::new();
        names.sockets("sockets: used 37\nTCP: inuse 2 mem 3\n", 4096, &mut fields);
        names.protocols("Tcp: RtoMin InSegs\nTcp: 200 5\nA: InErrs\nB: 1\nUdp: InErrors\n", &mut fields);
        names.protocols6("Ip6InOctets   \t2636\nIp6InReceives 1\nbroken\n", &mut fields);
        assert_eq!(
            pairs(&fields),
            [
                ("node_sockstat_sockets_used", 37.0),
                ("node_sockstat_TCP_inuse", 2.0),
                ("node_sockstat_TCP_mem_bytes", 12288.0),
                ("node_sockstat_TCP_mem", 3.0),
                ("node_netstat_Tcp_InSegs", 5.0),
                ("node_netstat_Ip6_InOctets", 2636.0)
            ]
        );
    }

    #[test]
    fn fields_of_paging() {
        let text =
            "nr_free_pages 1\npgpgin 2\npswpout 3\npgfault 4\npgmajfault 5\noom_kill 6\npgalloc_dma 7\n";
        let fields = Names::default().paging(text);
        assert_eq!(fields.iter().map(|field| field.value as u64).collect::<Vec<_>>(), [2, 3, 4, 5, 6]);
    }

    #[test]
    fn names_stay_few() {
        let mut names = Names::default();
        for number in 0..5 * MOST_NAMES {
            names.memory(&format!("Field{number}: 1 kB"));
        }
        assert!(names.known.len() <= MOST_NAMES);
    }
}
