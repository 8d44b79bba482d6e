//! What is known of a probe while it runs: it outlives a probe that is cut off by its deadline, and says where that was.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::time::Instant;

use crate::clock;
use crate::verdict::{Fault, HttpAnswer, Phases, Report};
use crate::words::span;

/// A part of a probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Resolve,
    Connect,
    Tls,
    Processing,
    Transfer,
}

/// The record of one run.
#[derive(Debug)]
pub(crate) struct Trace {
    begun: Instant,
    current: Option<(Phase, Instant)>,
    phases: Phases,
    /// Whom the current phase waits for, as a person writes it.
    subject: String,
    /// The target's addresses, where it has several.
    pub(crate) addresses: Vec<IpAddr>,
    pub(crate) address: Option<IpAddr>,
    pub(crate) peer: Option<SocketAddr>,
    pub(crate) http_status: Option<u16>,
    pub(crate) redirects: u32,
    pub(crate) http: Option<HttpAnswer>,
    pub(crate) tls_version: Option<&'static str>,
    pub(crate) tls_cipher: Option<&'static str>,
    pub(crate) certificate_ends: Option<i64>,
    pub(crate) mismatched: bool,
    /// What is read goes into [`Trace::output`].
    pub(crate) is_listening: bool,
    /// The beginning of what was answered last.
    pub(crate) output: Vec<u8>,
}

impl Trace {
    pub(crate) fn new() -> Self {
        Self {
            begun: clock::now(),
            current: None,
            phases: Phases::default(),
            subject: String::new(),
            addresses: Vec::new(),
            address: None,
            peer: None,
            http_status: None,
            redirects: 0,
            http: None,
            tls_version: None,
            tls_cipher: None,
            certificate_ends: None,
            mismatched: false,
            is_listening: false,
            output: Vec::new(),
        }
    }

    /// Keeps the beginning of what is answered.
    pub(crate) fn hear(&mut self, bytes: &[u8]) {
        let room = Report::OUTPUT_LIMIT.saturating_sub(self.output.len());
        self.output.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    /// Notes how much was read of the body of the last answer.
    pub(crate) fn read_body(&mut self, bytes: usize) {
        if let Some(answer) = &mut self.http {
            answer.body_bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        }
    }

    /// Ends the current phase and begins another.
    pub(crate) fn enter(&mut self, phase: Phase) {
        let now = clock::now();
        self.close(now);
        self.current = Some((phase, now));
    }

    /// Begins a phase in which `subject` is waited for.
    pub(crate) fn enter_for(&mut self, phase: Phase, subject: impl Into<String>) {
        self.subject = subject.into();
        self.enter(phase);
    }

    /// Says whether this is the current phase.
    pub(crate) fn is_in(&self, phase: Phase) -> bool {
        self.current.is_some_and(|(current, _)| current == phase)
    }

    /// Ends the last phase; returns all of them and the time from the start.
    pub(crate) fn finish(&mut self) -> (Phases, Duration) {
        let now = clock::now();
        self.close(now);
        (self.phases, now - self.begun)
    }

    fn close(&mut self, now: Instant) {
        if let Some((phase, since)) = self.current.take() {
            let slot = match phase {
                Phase::Resolve => &mut self.phases.resolve,
                Phase::Connect => &mut self.phases.connect,
                Phase::Tls => &mut self.phases.tls,
                Phase::Processing => &mut self.phases.processing,
                Phase::Transfer => &mut self.phases.transfer,
            };
            *slot = Some(slot.unwrap_or_default() + (now - since));
        }
    }

    /// Says what did not happen in time, for a probe that was cut off after `limit`. Where no name server answers,
    /// nothing was learnt of the target.
    pub(crate) fn cut_off(&self, limit: Duration) -> Fault {
        let (subject, time) = (&self.subject, span(limit));
        match self.current.map(|(phase, _)| phase) {
            None => Fault::unknown(format!("nothing happened within {time}")),
            Some(Phase::Resolve) => {
                Fault::unknown(format!("no name server told the address of `{subject}` within {time}"))
            }
            Some(Phase::Connect) => Fault::down(format!("no connection to {subject} within {time}")),
            Some(Phase::Tls) => {
                Fault::down(format!("{subject} did not complete the TLS handshake within {time}"))
            }
            Some(Phase::Processing) => Fault::down(format!("no answer from {subject} within {time}")),
            Some(Phase::Transfer) => {
                Fault::down(format!("the answer of {subject} did not end within {time}"))
            }
        }
    }
}
