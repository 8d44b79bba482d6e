//! Tells which of many readers has something to say: to ask each of them for each line costs more than the lines.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Wake;

use futures_util::task::AtomicWaker;

/// The bell of one reader. It has rung at the beginning, so that each is asked once.
pub(super) struct Bell {
    rung: AtomicBool,
    listener: Arc<AtomicWaker>,
}

impl Bell {
    /// Returns a bell that wakes `listener`.
    pub(super) fn new(listener: Arc<AtomicWaker>) -> Arc<Self> {
        Arc::new(Self { rung: AtomicBool::new(true), listener })
    }

    /// Rings without waking anybody: the reader is to be asked when the listener comes by.
    pub(super) fn ring(&self) {
        self.rung.store(true, Ordering::Release);
    }

    /// Says whether it has rung since the last time.
    pub(super) fn has_rung(&self) -> bool {
        self.rung.load(Ordering::Relaxed) && self.rung.swap(false, Ordering::Acquire)
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.ring();
        self.listener.wake();
    }
}
