//! Finds what a person means by a name.

use zv_stack::{Intent, Model, ReplicaId, ServiceKey};

use super::{Refusal, short};

/// One replica that was meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Chosen {
    pub(super) id: ReplicaId,
    pub(super) name: String,
}

/// Finds the one service with this name, in this stack if one is given.
pub(super) fn service(model: &Model, stack: Option<&str>, name: &str) -> Result<ServiceKey, Refusal> {
    let matching: Vec<ServiceKey> = model
        .services()
        .filter(|view| *view.key.service == *name && stack.is_none_or(|stack| *view.key.stack == *stack))
        .map(|view| view.key.clone())
        .collect();
    match matching.as_slice() {
        [one] => Ok(one.clone()),
        [] => Err(Refusal::NotFound(unknown_service(model, stack, name))),
        several => {
            let stacks: Vec<&str> = several.iter().map(|key| &*key.stack).collect();
            let (name, stacks) = (short(name), stacks.join(", "));
            Err(Refusal::Conflict(format!("`{name}` is in more than one stack: say which of {stacks}.")))
        }
    }
}

/// Finds the replicas of a service, or the one that `replica` names by name, number or the start of its id.
pub(super) fn replicas(
    model: &Model,
    key: &ServiceKey,
    replica: Option<&str>,
) -> Result<Vec<Chosen>, Refusal> {
    let Some(view) = model.service(key) else {
        return Err(Refusal::NotFound(format!("There is no service `{key}` any more.")));
    };
    let chosen =
        |view: &zv_stack::ReplicaView<'_>| Chosen { id: view.seen.id.clone(), name: view.seen.name.clone() };
    let Some(wanted) = replica else {
        return Ok(view.replicas.iter().filter(|r| r.intent != Intent::OneOff).map(chosen).collect());
    };
    let exact = |r: &&zv_stack::ReplicaView<'_>| r.seen.name == wanted || r.seen.number.to_string() == wanted;
    let found: Vec<Chosen> = match view.replicas.iter().filter(exact).map(chosen).collect::<Vec<_>>() {
        found if !found.is_empty() => found,
        _ => view.replicas.iter().filter(|r| r.seen.id.as_str().starts_with(wanted)).map(chosen).collect(),
    };
    match found.len() {
        1 => Ok(found),
        0 => {
            let names: Vec<&str> = view.replicas.iter().map(|r| r.seen.name.as_str()).collect();
            let (wanted, names) = (short(wanted), names.join(", "));
            Err(Refusal::NotFound(format!("`{key}` has no replica `{wanted}`: it has {names}.")))
        }
        _ => Err(Refusal::Conflict(format!("`{}` names more than one replica of `{key}`.", short(wanted)))),
    }
}

fn unknown_service(model: &Model, stack: Option<&str>, name: &str) -> String {
    let mut names: Vec<String> = model.services().map(|view| view.key.to_string()).collect();
    let wanted = stack.map_or_else(|| short(name), |stack| format!("{}/{}", short(stack), short(name)));
    if names.is_empty() {
        return format!("There is no service `{wanted}`: nothing runs here.");
    }
    let rest = names.len().saturating_sub(10);
    names.truncate(10);
    let more = if rest > 0 { format!(" and {rest} more") } else { String::new() };
    format!("There is no service `{wanted}`: there is {}{more}.", names.join(", "))
}
