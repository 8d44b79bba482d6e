//! Log lines of the services a person names, as they are written.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::stream::{self, BoxStream, StreamExt};
use tokio::sync::watch as signal;
use zv_api::{LogLine, LogQuery};
use zv_stack::logs::cursor::Cursor;
use zv_stack::logs::follow::{Follow, Item, Member, Request};
use zv_stack::{Model, ReplicaId, ReplicaView, Runtime, ServiceKey};

use super::{LogMessage, Refusal, Stacks, convert, select};

/// The lines of the last days a reader may ask for at once.
const TAIL_LIMIT: u32 = 1_000_000;
/// The services one query may name.
const SERVICES_LIMIT: usize = 256;

/// Lines of one request, with all that it takes to name those who wrote them: a replica may be gone before its lines are
/// read.
struct Reading {
    stacks: Stacks,
    follow: Follow<Runtime>,
    grep: Option<String>,
    version: signal::Receiver<u64>,
    /// Looked up since the last change.
    current: BTreeMap<ReplicaId, (ServiceKey, String)>,
    /// Those that may have changed since.
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
        let turn = Arc::clone(&self.inner.log_turns).try_acquire_owned().map_err(|_| {
            Refusal::Unavailable("Too many logs are being read: end another, or try again later.".to_owned())
        })?;
        let request = Request {
            since: query.since,
            tail: query.tail.map(|lines| lines.min(TAIL_LIMIT)),
            follow: query.follow,
            cursor,
        };
        let reading = Reading {
            stacks: self.clone(),
            follow: Follow::new(self.inner.runtime.clone(), self.members(query.clone()), request),
            grep: query.grep,
            version: self.inner.version.subscribe(),
            current: BTreeMap::new(),
            known: BTreeMap::new(),
        };
        let lines = stream::unfold((reading, turn), |(mut reading, turn)| async move {
            let message = reading.next().await?;
            Some((message, (reading, turn)))
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

    /// Returns the replicas that match, now and whenever they or the runtime's state are others.
    fn members(&self, query: LogQuery) -> BoxStream<'static, Vec<Member>> {
        let seen = (self.inner.version.subscribe(), None);
        let stacks = self.clone();
        stream::unfold((stacks, query, seen), |(stacks, query, (mut version, last))| async move {
            loop {
                version.mark_unchanged();
                let now = {
                    let state = stacks.state();
                    (members(&state.model, &query), state.model.runtime().clone())
                };
                if last.as_ref() != Some(&now) {
                    return Some((now.0.clone(), (stacks, query, (version, Some(now)))));
                }
                version.changed().await.ok()?;
            }
        })
        .boxed()
    }
}

fn members(model: &Model, query: &LogQuery) -> Vec<Member> {
    let wanted = model.replicas().filter(|view| {
        let key = &view.seen.key;
        query.stack.as_ref().is_none_or(|stack| *key.stack == **stack)
            && (query.services.is_empty() || query.services.iter().any(|name| *key.service == **name))
            && query.replica.as_ref().is_none_or(|replica| {
                view.seen.name == *replica || view.seen.id.as_str().starts_with(replica.as_str())
            })
    });
    let member = |view: ReplicaView<'_>| Member {
        id: view.seen.id.clone(),
        life: view.life,
        ended_at: view.exit.map(|exit| exit.at),
    };
    wanted.map(member).collect()
}

impl Reading {
    async fn next(&mut self) -> Option<LogMessage> {
        loop {
            let line = match self.follow.next().await? {
                Item::Line(line) => {
                    if self.grep.as_ref().is_some_and(|grep| !line.text.contains(grep)) {
                        continue;
                    }
                    let (key, name) = self.name_of(&line.replica);
                    convert::log_line(line, key, name)
                }
                Item::Trouble { id, error } => {
                    let (key, name) = self.name_of(&id);
                    trouble(key, &id, name.to_owned(), &error.to_string())
                }
            };
            return Some(LogMessage { cursor: self.follow.cursor().to_string(), line });
        }
    }

    fn name_of(&mut self, id: &ReplicaId) -> (&ServiceKey, &str) {
        if self.version.has_changed().unwrap_or(false) {
            self.version.mark_unchanged();
            self.known.append(&mut self.current);
            let cursor = self.follow.cursor();
            self.known.retain(|id, _| cursor.mark(id).is_some());
        }
        if !self.current.contains_key(id) {
            let found = {
                let state = self.stacks.state();
                state.model.replica(id).map(|view| (view.seen.key.clone(), view.seen.name.clone()))
            };
            let before = self.known.remove(id);
            let unknown = || (ServiceKey::new("", ""), id.to_string());
            self.current.insert(id.clone(), found.or(before).unwrap_or_else(unknown));
        }
        let (key, name) = &self.current[id];
        (key, name)
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
