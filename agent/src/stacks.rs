//! The agent's view of its stacks: what is true now, what changed, and the actions on it. Cheap to clone.

use futures_util::stream::BoxStream;
use zv_api::{ActionReport, ActionRequest, Change, Death, Deaths, Happenings, LogLine, LogQuery, Snapshot};

/// A handle to everything the agent knows of its stacks.
#[derive(Debug, Clone)]
pub struct Stacks {}

/// One message of the event stream.
#[derive(Debug, Clone)]
pub struct Message {
    /// Sent back as `Last-Event-ID`, it resumes after this message.
    pub id: String,
    pub body: Body,
}

/// A snapshot comes first, and again where a listener missed too much; changes follow.
#[derive(Debug, Clone)]
pub enum Body {
    Snapshot(Box<Snapshot>),
    Change(std::sync::Arc<Change>),
}

/// One line with the cursor that resumes after it.
#[derive(Debug, Clone)]
pub struct LogMessage {
    pub cursor: String,
    pub line: LogLine,
}

/// Why a request could not be served. The texts are sentences for the person who asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Refusal {
    /// 400
    #[error("{0}")]
    Bad(String),
    /// 404
    #[error("{0}")]
    NotFound(String),
    /// 409
    #[error("{0}")]
    Conflict(String),
    /// 503
    #[error("{0}")]
    Unavailable(String),
}

impl Stacks {
    /// Returns all that is known now.
    pub fn snapshot(&self) -> Snapshot {
        unimplemented!()
    }

    /// Streams changes after `last_event_id`, or from a snapshot on; ends when the agent shuts down.
    pub fn events(&self, _last_event_id: Option<&str>) -> BoxStream<'static, Message> {
        unimplemented!()
    }

    /// Returns the last things that happened, oldest first.
    pub fn happenings(&self, _limit: usize) -> Happenings {
        unimplemented!()
    }

    /// Lists deaths, newest first.
    pub fn deaths(&self, _stack: Option<&str>, _service: Option<&str>, _limit: usize) -> Deaths {
        unimplemented!()
    }

    /// Reads one death record.
    pub async fn death(&self, _id: &str) -> Result<Death, Refusal> {
        unimplemented!()
    }

    /// Streams log lines of all replicas that match; `cursor` resumes an earlier stream.
    pub fn logs(
        &self,
        _query: LogQuery,
        _cursor: Option<&str>,
    ) -> Result<BoxStream<'static, LogMessage>, Refusal> {
        unimplemented!()
    }

    /// Carries out an action and waits for it.
    pub async fn act(&self, _request: ActionRequest) -> Result<ActionReport, Refusal> {
        unimplemented!()
    }
}
