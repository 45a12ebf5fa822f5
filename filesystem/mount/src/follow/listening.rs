//! Hears from servers that a repository shows another revision than the mount does.

use std::collections::HashSet;
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender};
use varve_repository::RepositoryName;
use varve_store::Announcements;

use crate::attached::Attached;

/// The repositories that are listened to.
pub(super) struct Listening {
    announcements: Option<Announcements>,
    listened_to: HashSet<RepositoryName>,
    hear: Sender<RepositoryName>,
    heard: Receiver<RepositoryName>,
}

impl Listening {
    pub(super) fn new() -> Self {
        let (hear, heard) = crossbeam_channel::unbounded();
        Self { announcements: None, listened_to: HashSet::new(), hear, heard }
    }

    /// Listens to a repository, unless that is done already or nobody may announce it.
    pub(super) fn add(&mut self, attached: &Arc<Attached>) {
        let Some(servers) = &attached.mounted.announced_by else { return };
        if !self.listened_to.insert(attached.name.clone()) {
            return;
        }
        if let Err(error) = self.listen(attached, servers) {
            tracing::warn!(repository = %attached.name, %error, "does not listen to announcements");
        }
    }

    /// The repositories of which another revision was announced than is shown.
    pub(super) fn heard(&self) -> &Receiver<RepositoryName> {
        &self.heard
    }

    fn listen(
        &mut self,
        attached: &Arc<Attached>,
        servers: &varve_store::HttpConfig,
    ) -> Result<(), varve_store::HttpConfigError> {
        let announcements = match self.announcements.take() {
            Some(announcements) => announcements,
            None => Announcements::new()?,
        };
        let announcements = self.announcements.insert(announcements);
        let (attached, hear) = (Arc::downgrade(attached), self.hear.clone());
        announcements.listen(servers, move |announced| {
            let Some(attached) = attached.upgrade() else { return };
            if attached.current.load().reference.hash.to_string() != announced.root_catalog {
                let _ = hear.send(attached.name.clone());
            }
        })
    }
}
