//! `/proc/diskstats`.

/// What one block device did. A number is absent where the kernel is too old to count it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Disk {
    pub(crate) device: Box<str>,
    /// In the kernel's order: see [`Disk::number`].
    numbers: [Option<u64>; 17],
}

/// The columns, as Documentation/admin-guide/iostats.rst numbers them from nought. Times are in milliseconds, sectors
/// have 512 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Column {
    Reads,
    ReadsMerged,
    SectorsRead,
    ReadTime,
    Writes,
    WritesMerged,
    SectorsWritten,
    WriteTime,
    InFlight,
    Time,
    WeightedTime,
    Discards,
    DiscardsMerged,
    SectorsDiscarded,
    DiscardTime,
    Flushes,
    FlushTime,
}

impl Disk {
    /// Returns one of its numbers.
    pub(crate) fn number(&self, column: Column) -> Option<u64> {
        self.numbers[column as usize]
    }

    /// Tells whether it stands for itself: what lies on other devices counts their bytes again.
    pub(super) fn is_bottom(&self) -> bool {
        let upper = ["dm-", "md", "zram", "bcache", "drbd", "loop", "sr"];
        let on_card = |at: usize| self.device[at..].starts_with('p') && self.device.starts_with("mmcblk");
        !upper.iter().any(|prefix| self.device.starts_with(prefix))
            && !self.device.rfind('p').is_some_and(on_card)
    }
}

/// Reads all devices but partitions, memory and loops.
pub(super) fn parse(text: &str) -> Vec<Disk> {
    let disks = text.lines().filter_map(|line| {
        let mut words = line.split_ascii_whitespace();
        let device = words.nth(2).filter(|device| !is_left_out(device))?;
        let mut next = || words.next()?.parse().ok();
        let numbers: [Option<u64>; 17] = std::array::from_fn(|_| next());
        // Partitions of very old kernels have four columns with another meaning.
        numbers[Column::WeightedTime as usize].map(|_| Disk { device: device.into(), numbers })
    });
    disks.collect()
}

/// Tells what node_exporter leaves out: `^(z?ram|loop|fd|(h|s|v|xv)d[a-z]|nvme\d+n\d+p)\d+$`.
fn is_left_out(device: &str) -> bool {
    let stem = device.trim_end_matches(|character: char| character.is_ascii_digit());
    if stem.len() == device.len() {
        return false;
    }
    let disk = |prefix: &str| {
        stem.strip_prefix(prefix)
            .is_some_and(|letter| letter.len() == 1 && letter.as_bytes()[0].is_ascii_lowercase())
    };
    matches!(stem, "ram" | "zram" | "loop" | "fd")
        || ["hd", "sd", "vd", "xvd"].into_iter().any(disk)
        || stem.strip_prefix("nvme").and_then(|rest| rest.strip_suffix('p')).is_some_and(|rest| {
            let all_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            rest.split_once('n').is_some_and(|(controller, name)| all_digits(controller) && all_digits(name))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_loops_and_memory_are_left_out() {
        for device in ["ram0", "zram0", "loop7", "fd0", "sda1", "vdb12", "xvda1", "hdc3", "nvme0n1p2"] {
            assert!(is_left_out(device), "{device}");
        }
        for device in
            ["sda", "vda", "xvda", "nvme0n1", "dm-0", "md0", "mmcblk0", "mmcblk0p1", "sdaa", "sdaa1", "sr0"]
        {
            assert!(!is_left_out(device), "{device}");
        }
    }

    #[test]
    fn bytes_are_counted_once() {
        let text = "8 0 sda 1 2 3 4 5 6 7 8 9 10 11\n253 0 dm-0 1 2 3 4 5 6 7 8 9 10 11\n\
                    179 0 mmcblk0 1 2 3 4 5 6 7 8 9 10 11\n179 1 mmcblk0p1 1 2 3 4 5 6 7 8 9 10 11\n";
        let disks = parse(text);
        let bottom: Vec<&str> =
            disks.iter().filter(|disk| disk.is_bottom()).map(|disk| &*disk.device).collect();
        assert_eq!(bottom, ["sda", "mmcblk0"]);
        assert_eq!(disks[0].number(Column::WeightedTime), Some(11));
        assert_eq!(disks[0].number(Column::Discards), None);
    }
}
