//! Scrapes an agent as Prometheus does, for as long as it is watched.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::figures::Series;
use super::listen::fetch;

const EVERY: Duration = Duration::from_secs(15);

/// Scrapes until it is dropped.
#[derive(Debug)]
pub(super) struct Scraper {
    seen: Arc<Mutex<Seen>>,
    _scraping: JoinSet<()>,
}

#[derive(Debug, Default)]
struct Seen {
    bytes: usize,
    samples: usize,
    times: Vec<Duration>,
    failures: usize,
}

/// What the scrapes were like.
#[derive(Debug, Clone)]
pub(super) struct Scrapes {
    /// Of the last one.
    pub(super) bytes: usize,
    pub(super) samples: usize,
    /// In milliseconds, as seen by the one who asks.
    pub(super) times: Series,
    pub(super) failures: usize,
}

impl Scraper {
    pub(super) fn start(agent: SocketAddr) -> Self {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let mut scraping = JoinSet::new();
        let keep = Arc::clone(&seen);
        scraping.spawn(async move {
            let mut ticks = interval(EVERY);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                let began = Instant::now();
                let answer = scrape(agent).await;
                let mut seen = keep.lock().unwrap_or_else(PoisonError::into_inner);
                match answer {
                    Some(body) => {
                        seen.times.push(began.elapsed());
                        seen.bytes = body.len();
                        let lines = body.split(|byte| *byte == b'\n');
                        seen.samples = lines.filter(|line| line.first().is_some_and(|b| *b != b'#')).count();
                    }
                    None => seen.failures += 1,
                }
            }
        });
        Self { seen, _scraping: scraping }
    }

    pub(super) fn scrapes(&self) -> Scrapes {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        Scrapes {
            bytes: seen.bytes,
            samples: seen.samples,
            times: seen.times.iter().copied().collect(),
            failures: seen.failures,
        }
    }
}

async fn scrape(agent: SocketAddr) -> Option<Vec<u8>> {
    let socket = TcpStream::connect(agent).await.ok()?;
    fetch(socket, "/metrics").await.ok()
}
