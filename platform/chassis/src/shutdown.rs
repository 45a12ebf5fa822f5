//! How a process is told to come to an end: first drain, then stop.

use std::sync::Arc;

use tokio::sync::watch;

/// How far the end has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    Running,
    /// Nothing new is taken; what is under way goes on.
    Draining,
    /// What is under way is dropped.
    Stopping,
}

/// A switch shared by everybody who has to know. Clones are the same switch.
#[derive(Clone, Debug)]
pub struct Shutdown {
    phase: Arc<watch::Sender<Phase>>,
}

impl Shutdown {
    /// A switch that nobody has turned.
    pub fn new() -> Self {
        Self { phase: Arc::new(watch::Sender::new(Phase::Running)) }
    }

    /// Lets what is under way end. Called again, or by a second signal: don't wait for it.
    pub fn begin(&self) {
        self.phase.send_modify(|phase| {
            *phase = match phase {
                Phase::Running => Phase::Draining,
                Phase::Draining | Phase::Stopping => Phase::Stopping,
            };
        });
    }

    /// Returns when it has begun.
    pub async fn begun(&self) {
        reached(&mut self.watch(), Phase::Draining).await;
    }

    /// Drops what is under way.
    pub(crate) fn stop(&self) {
        self.phase.send_replace(Phase::Stopping);
    }

    pub(crate) fn watch(&self) -> watch::Receiver<Phase> {
        self.phase.subscribe()
    }
}

impl Default for Shutdown {
    fn default() -> Self {
        Self::new()
    }
}

/// Returns when `phase` has come.
pub(crate) async fn reached(watch: &mut watch::Receiver<Phase>, phase: Phase) {
    // The sender lives as long as the server; without it the server is gone, too.
    let _ = watch.wait_for(|now| *now >= phase).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_call_does_not_wait() {
        let shutdown = Shutdown::new();
        let watch = shutdown.watch();
        assert_eq!(*watch.borrow(), Phase::Running);
        shutdown.clone().begin();
        assert_eq!(*watch.borrow(), Phase::Draining);
        shutdown.begin();
        assert_eq!(*watch.borrow(), Phase::Stopping);
        shutdown.begin();
        assert_eq!(*watch.borrow(), Phase::Stopping);
    }
}
