//! Log lines of the services a person names, as they are written.

use std::collections::BTreeMap;

use futures_util::stream::{self, BoxStream, StreamExt};
use zv_api::{LogLine, LogQuery};
use zv_stack::logs::cursor::Cursor;
use zv_stack::logs::follow::{Follow, Item, Member, Request};
use zv_stack::{Model, ReplicaId, ServiceKey};

use super::{LogMessage, Refusal, Stacks, convert, select};

/// The lines of the last days a reader may ask for at once.
const TAIL_LIMIT: u32 = 1_000_000;
/// The services one query may name.
const SERVICES_LIMIT: usize = 256;

/// Whose lines are wanted, and what is known of those who wrote them: a replica may be gone before its lines are read.
#[derive(Debug)]
struct Readers {
    query: LogQuery,
    known: BTreeMap<ReplicaId, (ServiceKey, String)>,
}

impl Stacks {
    /// Streams log lines of all replicas that match; `cursor` resumes an earlier stream.
    pub fn logs(
        &self,
        query: LogQuery,
        cursor: Option<&str>,
    ) -> Result<BoxStream<'static, LogMessage>, Refusal> {
        let cursor =
            cursor.unwrap_or_default().parse::<Cursor>().map_err(|error| Refusal::Bad(error.to_string()))?;
        self.check_names(&query)?;
        let request = Request {
            since: query.since,
            tail: query.tail.map(|lines| lines.min(TAIL_LIMIT)),
            follow: query.follow,
            cursor: cursor.clone(),
        };
        let follow = Follow::new(self.inner.runtime.clone(), self.members(query.clone()), request);
        let stacks = self.clone();
        let readers = Readers { query, known: BTreeMap::new() };
        let lines =
            stream::unfold((follow, readers, cursor), move |(mut follow, mut readers, mut cursor)| {
                let stacks = stacks.clone();
                async move {
                    loop {
                        match follow.next().await? {
                            Item::Line { line, .. } => {
                                cursor.advance(&line);
                                let is_wanted =
                                    readers.query.grep.as_ref().is_none_or(|grep| line.text.contains(grep));
                                if is_wanted {
                                    let (key, name) = readers.name_of(&stacks, &line.replica);
                                    let line = convert::log_line(&line, &key, &name);
                                    return Some((
                                        LogMessage { cursor: cursor.to_string(), line },
                                        (follow, readers, cursor),
                                    ));
                                }
                            }
                            Item::Trouble { id, error } => {
                                let (key, name) = readers.name_of(&stacks, &id);
                                let line = trouble(&key, &id, name, &error.to_string());
                                return Some((
                                    LogMessage { cursor: cursor.to_string(), line },
                                    (follow, readers, cursor),
                                ));
                            }
                        }
                    }
                }
            });
        Ok(lines.take_until(self.inner.closing.clone().cancelled_owned()).boxed())
    }

    /// A misspelt name is an error rather than an empty log; following may name what is yet to come.
    fn check_names(&self, query: &LogQuery) -> Result<(), Refusal> {
        if query.services.len() > SERVICES_LIMIT {
            return Err(Refusal::Bad(format!("More than {SERVICES_LIMIT} services cannot be read at once.")));
        }
        let state = self.state();
        for name in &query.services {
            match select::service(&state.model, query.stack.as_deref(), name) {
                // The same name in several stacks: all of them are meant.
                Ok(_) | Err(Refusal::Conflict(_)) => {}
                Err(_) if query.follow && !state.model.is_listed() => {}
                Err(refusal) => return Err(refusal),
            }
        }
        Ok(())
    }

    /// Returns the replicas that match, now and after each change.
    fn members(&self, query: LogQuery) -> BoxStream<'static, Vec<Member>> {
        let version = self.inner.version.subscribe();
        let stacks = self.clone();
        stream::unfold((version, stacks, query, true), |(mut version, stacks, query, first)| async move {
            if !first {
                version.changed().await.ok()?;
            }
            version.mark_unchanged();
            let members = members(&stacks.state().model, &query);
            Some((members, (version, stacks, query, false)))
        })
        .boxed()
    }
}

fn members(model: &Model, query: &LogQuery) -> Vec<Member> {
    let services = model.services().filter(|view| {
        query.stack.as_ref().is_none_or(|stack| *view.key.stack == **stack)
            && (query.services.is_empty() || query.services.iter().any(|name| *view.key.service == **name))
    });
    let replicas = services.flat_map(|view| view.replicas);
    let wanted = replicas.filter(|view| {
        query.replica.as_ref().is_none_or(|replica| {
            view.seen.name == *replica || view.seen.id.as_str().starts_with(replica.as_str())
        })
    });
    wanted
        .map(|view| Member {
            id: view.seen.id.clone(),
            life: view.life,
            ended_at: view.exit.map(|exit| exit.at),
        })
        .collect()
}

impl Readers {
    fn name_of(&mut self, stacks: &Stacks, id: &ReplicaId) -> (ServiceKey, String) {
        if let Some(view) = stacks.state().model.replica(id) {
            let name = (view.seen.key.clone(), view.seen.name.clone());
            self.known.insert(id.clone(), name.clone());
            return name;
        }
        self.known.get(id).cloned().unwrap_or_else(|| (ServiceKey::new("", ""), id.to_string()))
    }
}

/// Tells in the log itself that a replica cannot be read.
fn trouble(key: &ServiceKey, id: &ReplicaId, name: String, text: &str) -> LogLine {
    LogLine {
        stack: key.stack.to_string(),
        service: key.service.to_string(),
        replica: id.as_str().to_owned(),
        name,
        output: "stderr".to_owned(),
        at: crate::clock::now(),
        text: format!("[zv] {text}"),
        cut: false,
    }
}
