//! What of the containers is measured from here, and what the kernel counts at all.

use rustix::process::{Resource, getrlimit};
use zv_stack::docker::checkup::{Container, Info};
use zv_stack::visibility::{self, Layout, Mounts, Sight, Visible, Waiting};

use super::engine::Told;
use super::finding::{Area, Finding, Findings, Level};
use super::here::Here;
use crate::clock;

/// Files that stay open for each running container, with room for its logs and probes.
const FILES_EACH: u64 = 16;
/// Files for everything else.
const FILES_BESIDE: u64 = 256;

/// What was seen.
#[derive(Debug)]
pub(super) struct Seen {
    layout: Layout,
    /// Without the one this process is in, where that has no name here.
    containers: Vec<Visible>,
    /// Groups of containers can be found where they usually are.
    groups_are_mounted: bool,
    own_namespace: bool,
    shares_processes: bool,
    counts_memory: Option<bool>,
    counts_swap: Option<bool>,
    tells_pressure: bool,
    /// The most files that may be open, after the agent has raised it as far as it may.
    files: Option<u64>,
}

/// Looks; blocks for a moment.
pub(super) fn look(mounts: &Mounts, running: &[Container]) -> Seen {
    let at = clock::now();
    let with_pids = running.iter().filter_map(|container| Some((container, container.pid?)));
    Seen {
        layout: mounts.layout,
        containers: with_pids
            .map(|(container, pid)| visibility::of_container(&container.id, pid, at))
            .filter(|visible| visible.process != Sight::Own)
            .collect(),
        groups_are_mounted: running.iter().any(|container| mounts.shows_group_of(&container.id)),
        own_namespace: visibility::has_own_group_namespace(),
        shares_processes: visibility::shares_process_table(),
        counts_memory: mounts.counts_memory(),
        counts_swap: mounts.counts_swap(),
        tells_pressure: visibility::tells_pressure(),
        files: getrlimit(Resource::Nofile).maximum,
    }
}

/// Judges what was seen; `told` is absent where no engine answers.
pub(super) fn judge(seen: &Seen, told: Option<&Told>, here: &Here) -> Vec<Finding> {
    let mut findings = Findings::of(Area::Containers);
    if told.is_some_and(|told| told.is_remote) {
        findings.note(
            "cgroups",
            "the engine runs its containers on another machine: they are measured by asking it, which costs more",
            "run an agent on that machine for exact measurements every second",
        );
        return findings.all;
    }
    groups(seen, told, here, &mut findings);
    if told.is_some() && !seen.containers.is_empty() {
        sights(seen, told, here, &mut findings);
    }
    counting(seen, told.and_then(|told| told.info.as_ref()), here, &mut findings);
    files(seen, told, here, &mut findings);
    findings.all
}

fn groups(seen: &Seen, told: Option<&Told>, here: &Here, findings: &mut Findings) {
    let driver = told.and_then(|told| told.info.as_ref()?.cgroup_driver.as_deref());
    let driver = driver.map(|driver| format!(", driver {driver}")).unwrap_or_default();
    let layout = match seen.layout {
        Layout::One => "version 1",
        Layout::Two => "version 2",
        Layout::Both => "version 1 with version 2 beside it",
        Layout::Absent => {
            let advice = here.fitting(
                "run the container with `-v /sys/fs/cgroup:/sys/fs/cgroup:ro`",
                "mount them: `sudo mount -t cgroup2 cgroup2 /sys/fs/cgroup`",
            );
            findings.problem("cgroups", "none are mounted", advice);
            return;
        }
    };
    findings.ok("cgroups", format!("{layout}{driver}"));
}

/// Says which of the containers are seen, and by which options the rest would be.
fn sights(seen: &Seen, told: Option<&Told>, here: &Here, findings: &mut Findings) {
    let in_sight: Vec<&Visible> = seen.containers.iter().filter(|one| one.process == Sight::Seen).collect();
    // Without cgroups the engine can be asked for each; without that right nothing is left.
    let can_ask = told.is_some_and(|told| told.stats);
    let (level, instead) = if can_ask {
        (Level::Note, "the engine is asked for each instead, which costs more")
    } else {
        (Level::Problem, "nothing measures them")
    };
    if in_sight.is_empty() {
        let all = counted(seen.containers.len());
        let hidden = seen.containers.iter().any(|one| one.process == Sight::Hidden);
        let advice = if hidden { "run the agent as root".to_owned() } else { options(seen, here) };
        let found = format!("none of {all} that run is found in this /proc: {instead}");
        findings.at(level, "processes", found, advice);
        return;
    }
    // Those that are not there while others are have ended meanwhile.
    let all = counted(in_sight.len());
    findings.ok("processes", format!("those of {all}"));
    let unmeasured = in_sight.iter().filter(|one| !(one.cpu && one.memory)).count();
    if unmeasured == 0 {
        findings.ok("usage", format!("CPU and memory of {all}, from their cgroups"));
    } else {
        let found = format!("{} cannot be measured by their cgroups: {instead}", counted(unmeasured));
        findings.at(level, "usage", found, options(seen, here));
    }
    let silent = in_sight.iter().filter(|one| !one.network).count();
    if silent == 0 {
        findings.ok("network", "the interfaces of containers are counted");
    } else {
        let found = format!("/proc/PID/net/dev of {} cannot be read", counted(silent));
        findings.at(level, "network", found, "run the agent as root, or without a stricter security profile");
    }
    waiting(&in_sight, findings);
}

fn counted(containers: usize) -> String {
    if containers == 1 { "1 container".to_owned() } else { format!("{containers} containers") }
}

/// Returns the options of a container, or what takes their place on a host.
fn options(seen: &Seen, here: &Here) -> String {
    if !here.contained {
        return "run zv on the host that runs the containers, outside of any namespace of its own".to_owned();
    }
    let mut options = Vec::new();
    if !seen.shares_processes && !seen.containers.iter().any(|one| one.process == Sight::Seen) {
        options.push("--pid host");
    }
    if !seen.groups_are_mounted {
        options.push("-v /sys/fs/cgroup:/sys/fs/cgroup:ro");
    }
    if seen.own_namespace {
        options.push("--cgroupns host");
    }
    if options.is_empty() {
        options.push("--user root");
    }
    format!("run the container with `{}`", options.join(" "))
}

fn waiting(in_sight: &[&Visible], findings: &mut Findings) {
    let of: Vec<Waiting> = in_sight.iter().map(|container| container.waiting).collect();
    if of.contains(&Waiting::Possible) {
        findings.ok("deaths", "known from the kernel at once, also while the engine is away");
    } else if of.contains(&Waiting::Unknown) {
        findings.note(
            "deaths",
            "this kernel has no pidfd: they are known from the engine alone, and not while it is away",
            "run a kernel of 5.3 or newer",
        );
    } else if of.contains(&Waiting::Forbidden) {
        findings.note(
            "deaths",
            "pidfd_open is forbidden here: they are known from the engine alone, and not while it is away",
            "allow `pidfd_open` in the seccomp profile of the agent (Docker 20.10 and later do)",
        );
    }
}

fn counting(seen: &Seen, info: Option<&Info>, here: &Here, findings: &mut Findings) {
    let boot = |word: &str| {
        format!(
            "add `{word}` to the kernel's command line (GRUB_CMDLINE_LINUX in /etc/default/grub and `update-grub`; on a \
             Raspberry Pi /boot/firmware/cmdline.txt), then boot again"
        )
    };
    let says_no = |of: fn(&Info) -> Option<bool>| info.and_then(of) == Some(false);
    if seen.counts_memory == Some(false) || says_no(|info| info.memory_limit) {
        findings.problem("memory", "the kernel counts no memory of containers", boot("cgroup_enable=memory"));
    } else {
        findings.ok("memory", "the kernel counts it");
        if seen.counts_swap == Some(false) || says_no(|info| info.swap_limit) {
            findings.note("swap", "the kernel does not count swap of containers", boot("swapaccount=1"));
        }
    }
    if seen.tells_pressure {
        let of = if seen.layout == Layout::Two { "the host and of containers" } else { "the host" };
        findings.ok("pressure", format!("the kernel tells how long processes of {of} waited (PSI)"));
    } else {
        let advice = here.fitting(format!("on its host, {}", boot("psi=1")), boot("psi=1"));
        findings.note("pressure", "the kernel does not tell how long processes waited (PSI)", advice);
    }
}

fn files(seen: &Seen, told: Option<&Told>, here: &Here, findings: &mut Findings) {
    let count = told.map_or(0, |told| told.count);
    let needed = count as u64 * FILES_EACH + FILES_BESIDE;
    let count = counted(count);
    match seen.files {
        Some(most) if most < needed => findings.problem(
            "open files",
            format!("at most {most}, and {count} may need {needed}"),
            here.fitting(
                "run the container with `--ulimit nofile=65536:65536`",
                "`LimitNOFILE=65536` in the unit (`systemctl edit zv-agent`), or `ulimit -Hn 65536` before the agent",
            ),
        ),
        Some(most) => findings.ok("open files", format!("at most {most}; {count} may need {needed}")),
        None => findings.ok("open files", "as many as it takes"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::here::tests::here;
    use super::*;

    const GOOD: Visible =
        Visible { process: Sight::Seen, cpu: true, memory: true, network: true, waiting: Waiting::Possible };
    const UNSEEN: Visible =
        Visible { process: Sight::Absent, cpu: false, memory: false, network: false, waiting: Waiting::Gone };

    fn seen(container: Visible) -> Seen {
        Seen {
            layout: Layout::Two,
            containers: vec![container],
            groups_are_mounted: true,
            own_namespace: false,
            shares_processes: false,
            counts_memory: Some(true),
            counts_swap: None,
            tells_pressure: true,
            files: Some(65536),
        }
    }

    fn told(stats: bool) -> Told {
        Told { stats, count: 1, ..Told::default() }
    }

    fn of(check: &str, seen: &Seen, told: &Told, contained: bool) -> (Level, String) {
        let findings = judge(seen, Some(told), &here(contained, 0));
        let found = findings.into_iter().find(|finding| finding.check == check);
        found.map_or((Level::Ok, String::new()), |found| (found.status, found.advice.unwrap_or_default()))
    }

    #[test]
    fn all_is_well_where_all_is_seen() {
        let findings = judge(&seen(GOOD), Some(&told(true)), &here(true, 0));
        assert!(findings.iter().all(|finding| finding.status == Level::Ok), "{findings:?}");
    }

    #[test]
    fn the_options_that_are_missing_are_named_and_no_others() {
        let bare = Seen { groups_are_mounted: false, own_namespace: true, ..seen(UNSEEN) };
        let (level, advice) = of("processes", &bare, &told(true), true);
        let all = "run the container with `--pid host -v /sys/fs/cgroup:/sys/fs/cgroup:ro --cgroupns host`";
        assert_eq!((level, advice.as_str()), (Level::Note, all));
        let (level, advice) = of("processes", &seen(UNSEEN), &told(false), true);
        assert_eq!((level, advice.as_str()), (Level::Problem, "run the container with `--pid host`"));
        let unmounted = Seen { groups_are_mounted: false, ..seen(Visible { cpu: false, ..GOOD }) };
        let (_, advice) = of("usage", &unmounted, &told(true), true);
        assert_eq!(advice, "run the container with `-v /sys/fs/cgroup:/sys/fs/cgroup:ro`");
        let (_, advice) = of("processes", &seen(UNSEEN), &told(true), false);
        assert!(advice.contains("on the host"), "{advice}");
        let nameless = Seen { shares_processes: true, own_namespace: true, ..seen(UNSEEN) };
        assert_eq!(
            of("processes", &nameless, &told(true), true).1,
            "run the container with `--cgroupns host`"
        );
        let ended = Seen { containers: vec![GOOD, UNSEEN], ..seen(GOOD) };
        assert_eq!(of("usage", &ended, &told(true), true).0, Level::Ok);
        let hidden = seen(Visible { process: Sight::Hidden, ..UNSEEN });
        assert_eq!(of("processes", &hidden, &told(true), false).1, "run the agent as root");
    }

    #[test]
    fn what_the_kernel_lacks_is_told_with_its_switch() {
        let lacking = Seen {
            counts_memory: Some(false),
            tells_pressure: false,
            files: Some(100),
            ..seen(Visible { waiting: Waiting::Forbidden, network: false, ..GOOD })
        };
        for (check, level, words) in [
            ("memory", Level::Problem, "cgroup_enable=memory"),
            ("pressure", Level::Note, "psi=1"),
            ("open files", Level::Problem, "--ulimit nofile"),
            ("deaths", Level::Note, "seccomp"),
            ("network", Level::Note, "root"),
        ] {
            let (found, advice) = of(check, &lacking, &told(true), true);
            assert!(found == level && advice.contains(words), "{check}: {advice}");
        }
        let swap = Seen { counts_swap: Some(false), ..seen(GOOD) };
        assert!(of("swap", &swap, &told(true), false).1.contains("swapaccount=1"));
        let old = seen(Visible { waiting: Waiting::Unknown, ..GOOD });
        assert!(of("deaths", &old, &told(true), false).1.contains("5.3"));
        let none = Seen { layout: Layout::Absent, ..seen(GOOD) };
        assert_eq!(of("cgroups", &none, &told(true), true).0, Level::Problem);
        let remote = Told { is_remote: true, ..told(true) };
        let found = judge(&lacking, Some(&remote), &here(false, 0));
        assert_eq!((found.len(), found[0].status), (1, Level::Note));
    }
}
