//! The event stream that outlives its connections.

use std::sync::Arc;

use futures_util::stream::{self, BoxStream, StreamExt};
use tokio::time::sleep;

use super::backoff::Backoff;
use super::{Client, ClientError, Event, Notice};
use crate::StatsPace;

struct Watch {
    client: Client,
    stats: Option<StatsPace>,
    last_event_id: Option<String>,
    backoff: Backoff,
    state: State,
}

enum State {
    Apart,
    Together(BoxStream<'static, Result<Event, ClientError>>),
    Waiting(std::time::Duration),
}

/// Connects, reads, and begins again where it was cut off.
pub(super) fn events(client: Client, stats: Option<StatsPace>) -> BoxStream<'static, Notice> {
    let watch = Watch { client, stats, last_event_id: None, backoff: Backoff::new(), state: State::Apart };
    stream::unfold(watch, |mut watch| async {
        let notice = watch.next().await;
        Some((notice, watch))
    })
    .boxed()
}

impl Watch {
    async fn next(&mut self) -> Notice {
        if let State::Waiting(pause) = self.state {
            sleep(pause).await;
            self.state = State::Apart;
        }
        match &mut self.state {
            State::Together(events) => match events.next().await {
                Some(Ok(event)) => {
                    // Only what arrives proves the connection: one that breaks at once again must not be hammered.
                    self.backoff.reset();
                    self.last_event_id = Some(event.id.clone());
                    Notice::Event(event)
                }
                Some(Err(error)) => self.lose(error),
                None => {
                    let endpoint = Arc::clone(self.client.shared.transport.name());
                    self.lose(ClientError::Lost { endpoint, reason: "the agent shut down".to_owned() })
                }
            },
            State::Apart | State::Waiting(_) => {
                match self.client.events_with(self.last_event_id.as_deref(), self.stats).await {
                    Ok(events) => {
                        self.state = State::Together(events);
                        Notice::Connected
                    }
                    Err(error) => self.lose(error),
                }
            }
        }
    }

    fn lose(&mut self, error: ClientError) -> Notice {
        // An id that the agent does not take, or an event that cannot be read, must not come again and again.
        if !error.is_passing() {
            self.last_event_id = None;
        }
        let retry_in = self.backoff.pause();
        self.state = State::Waiting(retry_in);
        Notice::Disconnected { error, retry_in }
    }
}
