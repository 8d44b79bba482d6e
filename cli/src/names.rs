//! Finds what a person means by a name: a service, one of its replicas, a stack; or says what comes close.

use zv_api::{Replica, RuntimeState, Service, Snapshot};

use crate::failure::Failure;

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Found<'a> {
    pub service: &'a Service,
    /// Set where the name is a replica's.
    pub replica: Option<&'a Replica>,
}

/// The shortest beginning of an id that is taken for one.
const ID_PREFIX: usize = 4;

/// Says whether `name` is the replica's name or the start of its id.
pub fn is_replica(replica: &Replica, name: &str) -> bool {
    is_named(&replica.name, &replica.id, name)
}

/// Says whether `name` is a replica's name or the start of its id.
pub fn is_named(replica: &str, id: &str, name: &str) -> bool {
    replica == name || (name.len() >= ID_PREFIX && id.starts_with(name))
}

/// Says whether `name` names the service: `orders`, or `shop/orders`.
pub fn is_service(service: &Service, name: &str) -> bool {
    service.name == name
        || name.rsplit_once('/').is_some_and(|(stack, name)| service.stack == stack && service.name == name)
}

/// Finds the one service, or the one replica of it, that `name` stands for.
pub fn find<'a>(snapshot: &'a Snapshot, name: &str, stack: Option<&str>) -> Result<Found<'a>, Failure> {
    let services: Vec<&Service> =
        services(snapshot).filter(|s| stack.is_none_or(|stack| s.stack == stack)).collect();
    let named: Vec<Found<'_>> = services
        .iter()
        .filter(|service| is_service(service, name))
        .map(|service| Found { service, replica: None })
        .collect();
    let found = if named.is_empty() {
        let replicas = services.iter().flat_map(|service| {
            service.replicas.iter().map(|replica| Found { service, replica: Some(replica) })
        });
        replicas.filter(|found| found.replica.is_some_and(|replica| is_replica(replica, name))).collect()
    } else {
        named
    };
    match found.as_slice() {
        [one] => Ok(*one),
        [] => Err(unknown(snapshot, name, stack)),
        several => Err(ambiguous(name, several)),
    }
}

/// Returns all services of all stacks.
pub fn services(snapshot: &Snapshot) -> impl Iterator<Item = &Service> {
    snapshot.stacks.iter().flat_map(|stack| &stack.services)
}

/// Returns the failure for a name that stands for nothing, with the names that come close.
pub fn unknown(snapshot: &Snapshot, name: &str, stack: Option<&str>) -> Failure {
    if let Some(known) = snapshot.stacks.iter().find(|known| known.name == name) {
        let services: Vec<String> =
            known.services.iter().map(|service| format!("`{name}/{}`", service.name)).collect();
        return Failure::new(format!(
            "`{name}` is a stack; name one of its services: {}",
            services.join(", ")
        ));
    }
    let place = stack.map(|stack| format!(" in the stack `{stack}`")).unwrap_or_default();
    let near = nearest(snapshot, name);
    let advice = match near.as_slice() {
        [] => "`zv ps` lists what there is".to_owned(),
        near => format!("did you mean {}?", near.join(" or ")),
    };
    // What cannot be seen may well be there.
    Failure::new(match &snapshot.runtime {
        RuntimeState::Up { .. } => format!("nothing is called `{name}`{place}: {advice}"),
        RuntimeState::Connecting => {
            format!("nothing called `{name}` is known{place}: the runtime has not answered yet")
        }
        RuntimeState::Down { reason, .. } => {
            format!("nothing called `{name}` is known{place}, and the runtime cannot be asked: {reason}")
        }
    })
}

fn ambiguous(name: &str, found: &[Found<'_>]) -> Failure {
    let mut text = format!("`{name}` stands for more than one thing; say which with its stack:\n");
    for found in found {
        let replica = found.replica.map(|replica| format!(" (replica {})", replica.name)).unwrap_or_default();
        text.push_str(&format!("  {}/{}{replica}\n", found.service.stack, found.service.name));
    }
    Failure::new(text)
}

/// Returns up to three names that come close to `name`, in backticks, closest first.
fn nearest(snapshot: &Snapshot, name: &str) -> Vec<String> {
    let stacks = snapshot.stacks.iter().map(|stack| stack.name.as_str());
    let replicas =
        services(snapshot).flat_map(|service| &service.replicas).map(|replica| replica.name.as_str());
    let names = services(snapshot).map(|service| service.name.as_str()).chain(stacks).chain(replicas);
    let wanted = name.rsplit('/').next().unwrap_or(name);
    let mut near: Vec<(usize, &str)> = names
        .map(|known| (if known.contains(wanted) { 1 } else { distance(wanted, known) }, known))
        .filter(|(distance, known)| *distance <= 1 + known.chars().count().min(wanted.chars().count()) / 3)
        .collect();
    near.sort_unstable();
    near.dedup_by_key(|(_, known)| *known);
    near.into_iter().take(3).map(|(_, known)| format!("`{known}`")).collect()
}

/// Returns how many characters must be typed, removed or replaced to turn one word into the other.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, a) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;

    #[test]
    fn a_name_is_a_service_or_a_replica_with_or_without_its_stack() {
        let snapshot = samples::shop();
        for (name, service, replica) in [
            ("orders", "orders", None),
            ("shop/orders", "orders", None),
            ("shop-orders-2", "orders", Some("shop-orders-2")),
            ("b2b2b2", "orders", Some("shop-orders-2")),
        ] {
            let found = find(&snapshot, name, None).unwrap();
            assert_eq!(
                (found.service.name.as_str(), found.replica.map(|r| r.name.as_str())),
                (service, replica)
            );
        }
    }

    #[test]
    fn a_name_in_two_stacks_is_refused_with_both() {
        let snapshot = samples::shop();
        let refused = find(&snapshot, "db", None).unwrap_err().to_string();
        assert!(refused.contains("  blog/db\n") && refused.contains("  shop/db"), "{refused}");
        assert_eq!(find(&snapshot, "db", Some("blog")).unwrap().service.stack, "blog");
        assert_eq!(find(&snapshot, "blog/db", None).unwrap().service.stack, "blog");
    }

    #[test]
    fn an_unknown_name_brings_the_nearest_ones() {
        let snapshot = samples::shop();
        for (name, expected) in [
            ("oders", "Nothing is called `oders`: did you mean `orders`?"),
            ("zzzzzz", "Nothing is called `zzzzzz`: `zv ps` lists what there is."),
        ] {
            assert_eq!(find(&snapshot, name, None).unwrap_err().to_string(), expected);
        }
    }

    #[test]
    fn a_stack_is_told_apart_from_what_does_not_exist() {
        let told = find(&samples::shop(), "blog", None).unwrap_err().to_string();
        assert_eq!(told, "`blog` is a stack; name one of its services: `blog/db`.");
    }

    #[test]
    fn what_cannot_be_seen_is_not_said_to_be_absent() {
        let mut snapshot = samples::shop();
        snapshot.runtime = RuntimeState::Down { since: samples::ago(5), reason: "connection refused".into() };
        let told = find(&snapshot, "cart", None).unwrap_err().to_string();
        assert_eq!(
            told,
            "Nothing called `cart` is known, and the runtime cannot be asked: connection refused."
        );
    }

    #[test]
    fn distances_are_symmetric_and_exact() {
        for (a, b, expected) in
            [("", "abc", 3), ("orders", "oders", 1), ("kitten", "sitting", 3), ("same", "same", 0)]
        {
            assert_eq!(distance(a, b), expected);
            assert_eq!(distance(b, a), expected);
        }
    }
}
