//! The services of a compose file: what should run by the file, beside what does by an agent or the engine, and what the
//! labels of its containers ask to be probed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File as DiskFile;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use zv_api::{Replica, Service, Snapshot};
use zv_probe::{Target, Verdict, labels};
use zv_stack::compose::{self, File};

use super::args::HealthCheckArgs;
use super::finding::Finding;
use super::look::{address, blindness, service_verdict};
use crate::failure::{Failure, Outcome};
use crate::{linked, names};

/// No compose file is larger.
const LIMIT: u64 = 1024 * 1024;
/// What a folder is looked through for, as Compose does: the file, and what is laid over it.
const NAMES: [&str; 4] = ["compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml"];
const OVERRIDES: [&str; 4] = [
    "compose.override.yaml",
    "compose.override.yml",
    "docker-compose.override.yaml",
    "docker-compose.override.yml",
];

/// What a compose file says, in its surroundings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Project {
    name: String,
    file: File,
    /// Those that are switched on.
    profiles: BTreeSet<String>,
    /// What is not looked at.
    pub(super) warnings: Vec<String>,
}

/// A probe that a label asks for.
#[derive(Debug)]
pub(super) struct Labelled {
    /// Stays the same when the container is made anew.
    pub(super) name: String,
    pub(super) target: Result<Target, String>,
}

impl Project {
    /// Reads the compose files that `args` name.
    pub(super) fn of(args: &HealthCheckArgs) -> Outcome<Option<Self>> {
        let files = args.compose.iter().map(|path| found(path)).collect::<Outcome<Vec<_>>>()?.concat();
        let Some(first) = files.first() else { return Ok(None) };
        let folder = folder_of(first)?;
        let variables = variables(&folder, linked::environment().variables)?;
        let (mut file, mut warnings) = (File::default(), Vec::new());
        for path in &files {
            let shown = path.display();
            let parsed = compose::parse(&read(path)?, &variables)
                .map_err(|error| Failure::new(format!("`{shown}`: {error}")))?;
            if parsed.includes {
                warnings.push(format!(
                    "`include` in {shown} is not followed: name those files with --compose, too"
                ));
            }
            file.merge(parsed);
        }
        if file.services.is_empty() {
            return Err(Failure::new(format!("`{}` names no services", first.display())));
        }
        let given = |name: &str| variables.get(name).filter(|value| !value.is_empty()).cloned();
        let of_folder = || folder.file_name().map(|name| compose::project_name(&name.to_string_lossy()));
        let name = args.project.clone().or_else(|| given("COMPOSE_PROJECT_NAME"));
        let name = name.or_else(|| file.name.clone()).or_else(of_folder).filter(|name| !name.is_empty());
        let name =
            name.ok_or_else(|| Failure::Usage("say which project it is: --project NAME".to_owned()))?;
        let profiles = if args.profile.is_empty() {
            let listed = given("COMPOSE_PROFILES").unwrap_or_default();
            listed.split(',').map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect()
        } else {
            args.profile.iter().cloned().collect()
        };
        Ok(Some(Self { name, file, profiles, warnings }))
    }

    /// Returns how many places its findings take.
    pub(super) fn places(&self) -> usize {
        self.file.services.len()
    }

    /// Returns its services with their places, those of profiles that are off, too.
    pub(super) fn services(&self) -> impl Iterator<Item = (usize, &str)> {
        self.file.services.keys().map(String::as_str).enumerate()
    }

    /// Returns `PROJECT/SERVICE`.
    pub(super) fn path(&self, service: &str) -> String {
        format!("{}/{service}", self.name)
    }

    /// Judges each service that should run, and those that run although they need not.
    pub(super) fn judge(&self, snapshot: &Snapshot) -> Vec<(usize, Finding)> {
        let findings = self.services().filter_map(|(place, name)| {
            let seen = self.seen(snapshot, name);
            let (verdict, reason) = match seen {
                Some(service) if self.is_on(name) || runs(service) => self.of_service(service),
                None if self.is_on(name) => self.of_nothing(snapshot, name),
                _ => return None,
            };
            Some((place, Finding::seen(address(&self.path(name)), verdict, reason)))
        });
        findings.collect()
    }

    /// Returns what the labels of its containers ask for, each with the place of its service.
    pub(super) fn labels(&self, snapshot: &Snapshot) -> Vec<(usize, Labelled)> {
        let asked = self.services().flat_map(|(place, name)| {
            let replicas = self.seen(snapshot, name).map(|service| service.replicas.as_slice());
            let up = replicas.unwrap_or_default().iter().filter(|replica| is_up(replica));
            up.flat_map(of_labels).map(move |labelled| (place, labelled))
        });
        asked.collect()
    }

    fn seen<'a>(&self, snapshot: &'a Snapshot, name: &str) -> Option<&'a Service> {
        let mut services = names::services(snapshot);
        let service = services.find(|service| service.stack == self.name && service.name == name)?;
        // What `compose run` made is no replica of the service.
        service.replicas.iter().any(|replica| replica.intent != "one-off").then_some(service)
    }

    fn is_on(&self, name: &str) -> bool {
        let profiles =
            self.file.services.get(name).map(|service| service.profiles.as_slice()).unwrap_or_default();
        let is_on = |profile: &str| self.profiles.contains(profile) || self.profiles.contains("*");
        profiles.is_empty() || profiles.iter().any(|profile| is_on(profile))
    }

    fn wanted(&self, name: &str) -> u32 {
        self.file.services.get(name).and_then(|service| service.replicas).unwrap_or(1)
    }

    fn of_nothing(&self, snapshot: &Snapshot, name: &str) -> (Verdict, String) {
        if self.wanted(name) == 0 {
            return (Verdict::Up, "no replica is wanted".to_owned());
        }
        match blindness(snapshot) {
            Some(reason) => (Verdict::Unknown, reason),
            None => (Verdict::Down, format!("it has no container in the project `{}`", self.name)),
        }
    }

    fn of_service(&self, service: &Service) -> (Verdict, String) {
        let (verdict, reason) = service_verdict(service, true);
        let wanted = self.wanted(&service.name);
        // What somebody scaled, or a label says, counts more than the file.
        let by_file = !matches!(service.desired_source.as_str(), "scaled" | "label");
        if verdict == Verdict::Up && service.status == "ok" && by_file && service.healthy < wanted {
            let reason = format!("{} of {wanted} healthy, which the compose file wants", service.healthy);
            return (Verdict::Degraded, reason);
        }
        (verdict, reason)
    }
}

fn is_up(replica: &Replica) -> bool {
    replica.state == "running" && replica.intent != "one-off"
}

fn runs(service: &Service) -> bool {
    service.replicas.iter().any(is_up)
}

fn of_labels(replica: &Replica) -> Vec<Labelled> {
    let place = labels::Place { name: &replica.name, addresses: &replica.addresses, ports: &replica.ports };
    match labels::targets(&replica.labels, &place) {
        Ok(found) => found
            .into_iter()
            .map(|probe| Labelled {
                name: format!("{} {}{}", replica.name, labels::PREFIX, probe.kind),
                target: Ok(probe.target),
            })
            .collect(),
        Err(error) => vec![Labelled {
            name: format!("{} {}*", replica.name, labels::PREFIX),
            target: Err(error.to_string()),
        }],
    }
}

/// Returns the file itself, or those that Compose takes in a folder.
fn found(path: &Path) -> Outcome<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let first = |names: &[&str]| names.iter().map(|name| path.join(name)).find(|file| file.is_file());
    let file = first(&NAMES).ok_or_else(|| {
        Failure::Usage(format!("--compose: there is no compose.yaml in `{}`", path.display()))
    })?;
    Ok(std::iter::once(file).chain(first(&OVERRIDES)).collect())
}

fn folder_of(file: &Path) -> Outcome<PathBuf> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    folder.canonicalize().map_err(|error| unreadable(file, &error))
}

fn read(path: &Path) -> Outcome<String> {
    let mut text = String::new();
    let file = DiskFile::open(path).map_err(|error| unreadable(path, &error))?;
    // One byte more tells a file that is too long from one that just fits.
    let count = file.take(LIMIT + 1).read_to_string(&mut text).map_err(|error| unreadable(path, &error))?;
    if count as u64 > LIMIT {
        return Err(Failure::new(format!("`{}` is larger than 1 MiB; no compose file is", path.display())));
    }
    Ok(text)
}

fn unreadable(path: &Path, error: &std::io::Error) -> Failure {
    let path = path.display();
    match error.kind() {
        ErrorKind::NotFound => Failure::Usage(format!("--compose: there is no `{path}`")),
        _ => Failure::new(format!("`{path}` cannot be read: {error}")),
    }
}

/// Returns what variables in the file may be: those of `.env` beside it, and over them those of the environment.
fn variables(folder: &Path, environment: BTreeMap<String, String>) -> Outcome<BTreeMap<String, String>> {
    let file = folder.join(".env");
    let mut variables = if file.is_file() { compose::parse_env(&read(&file)?) } else { BTreeMap::new() };
    variables.extend(environment);
    Ok(variables)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;

    fn project(text: &str, profiles: &[&str]) -> Project {
        Project {
            name: "shop".into(),
            file: compose::parse(text, &BTreeMap::new()).unwrap(),
            profiles: profiles.iter().map(|name| (*name).to_owned()).collect(),
            warnings: Vec::new(),
        }
    }

    fn verdicts(project: &Project) -> Vec<(String, Verdict)> {
        let found = project.judge(&samples::shop()).into_iter();
        found.map(|(_, finding)| (finding.target.replace("docker://shop/", ""), finding.verdict)).collect()
    }

    #[test]
    fn services_are_judged_by_what_the_file_wants() {
        let text =
            "services: {db: {}, orders: {scale: 2}, migrate: {}, mail: {}, gone: {}, none: {scale: 0}}";
        let expected = [
            ("db", Verdict::Up),
            ("gone", Verdict::Down),
            ("mail", Verdict::Down),
            ("migrate", Verdict::Up),
            ("none", Verdict::Up),
            ("orders", Verdict::Degraded),
        ];
        let expected = expected.map(|(name, verdict)| (name.to_owned(), verdict));
        assert_eq!(verdicts(&project(text, &[])), expected);
        let more = project("services: {db: {scale: 3}}", &[]);
        let found = more.judge(&samples::shop()).remove(0).1;
        assert_eq!(found.verdict, Verdict::Degraded);
        assert!(found.reason.contains("1 of 3 healthy"), "{}", found.reason);
    }

    #[test]
    fn a_profile_that_is_off_wants_nothing_and_what_runs_of_it_is_judged() {
        let text =
            "services: {gone: {profiles: [debug]}, mail: {profiles: [debug]}, db: {profiles: [debug]}}";
        assert_eq!(verdicts(&project(text, &[])), [("db".to_owned(), Verdict::Up)]);
        for on in ["debug", "*"] {
            assert_eq!(verdicts(&project(text, &[on])).len(), 3, "{on}");
        }
    }

    #[test]
    fn what_cannot_be_seen_is_unknown() {
        let mut snapshot = samples::shop();
        snapshot.runtime = zv_api::RuntimeState::Down { since: samples::now(), reason: "gone".into() };
        let found = project("services: {gone: {}}", &[]).judge(&snapshot).remove(0).1;
        assert_eq!(found.verdict, Verdict::Unknown);
    }

    #[test]
    fn labels_of_running_containers_are_asked_and_mistakes_are_told() {
        let mut snapshot = samples::shop();
        let shop = snapshot.stacks.iter_mut().find(|stack| stack.name == "shop").unwrap();
        for service in &mut shop.services {
            for replica in &mut service.replicas {
                let value = if service.name == "db" { ":8080/health" } else { "nonsense here" };
                replica.labels.insert("zv.probe.http".into(), value.into());
                replica.addresses = vec!["10.0.0.7".parse().unwrap()];
            }
        }
        let found = project("services: {db: {}, orders: {}, mail: {}}", &[]).labels(&snapshot);
        let names: Vec<&str> = found.iter().map(|(_, labelled)| labelled.name.as_str()).collect();
        assert_eq!(names, ["shop-db-1 zv.probe.http", "shop-orders-1 zv.probe.*"]);
        assert_eq!(found[0].1.target.as_ref().unwrap().name, "http://10.0.0.7:8080/health");
        assert!(found[1].1.target.is_err());
    }
}
