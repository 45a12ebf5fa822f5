//! The metadata servers of a host's machines: one for each, at a socket in the machine's own directory.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::time::SystemTime;

use parking_lot::{Mutex, RwLock};
use tokio::task::JoinHandle;
use varve_hypervisor::{Home, MetadataSource};

use super::record::Record;
use crate::hosts::protocol::Definition;
use crate::id::InstanceId;
use crate::metadata::{Known, Sessions, serve};

/// The servers.
pub(super) struct MetadataServers {
    servers: Mutex<BTreeMap<InstanceId, Serving>>,
    sessions: Sessions,
    clock: fn() -> SystemTime,
    /// Servers run in the background of whoever made this.
    runtime: tokio::runtime::Handle,
}

struct Serving {
    known: Known,
    task: Option<JoinHandle<()>>,
}

impl MetadataServers {
    /// To be called within a runtime.
    pub(super) fn new(clock: fn() -> SystemTime) -> Self {
        let runtime = tokio::runtime::Handle::current();
        Self { servers: Mutex::default(), sessions: Sessions::default(), clock, runtime }
    }

    /// What a machine is told from now on.
    pub(super) fn replace(&self, definition: &Definition, tokens_required: bool) {
        let new = (Arc::new(definition.clone()), tokens_required);
        let mut servers = self.servers.lock();
        match servers.get(&definition.instance) {
            Some(serving) => *serving.known.write() = new,
            None => {
                let serving = Serving { known: Arc::new(RwLock::new(new)), task: None };
                servers.insert(definition.instance.clone(), serving);
            }
        }
    }

    /// Whether a machine needs a session token from now on.
    pub(super) fn require_tokens(&self, instance: &InstanceId, required: bool) {
        if let Some(serving) = self.servers.lock().get(instance) {
            serving.known.write().1 = required;
        }
    }

    /// Lets a machine's server listen, if it doesn't.
    pub(super) fn ensure(&self, instance: &InstanceId, home: &Home, record: Option<&Record>) {
        let mut servers = self.servers.lock();
        if !servers.contains_key(instance) {
            let Some(definition) = record.and_then(|record| record.definition.clone()) else { return };
            // Until the service says otherwise: a machine that may do without a token gets on with one as well.
            let known = Arc::new(RwLock::new((Arc::new(definition), true)));
            servers.insert(instance.clone(), Serving { known, task: None });
        }
        let Some(serving) = servers.get_mut(instance) else { return };
        if serving.task.as_ref().is_some_and(|task| !task.is_finished()) {
            return;
        }
        let _inside = self.runtime.enter();
        match listen(home) {
            Ok(listener) => {
                let (known, sessions) = (Arc::clone(&serving.known), self.sessions.clone());
                serving.task = Some(self.runtime.spawn(serve(listener, known, sessions, self.clock)));
            }
            Err(error) => tracing::warn!(%instance, %error, "its metadata can't be served"),
        }
    }

    /// Ends a machine's server.
    pub(super) fn stop(&self, instance: &InstanceId) {
        if let Some(Serving { task: Some(task), .. }) = self.servers.lock().remove(instance) {
            task.abort();
        }
    }
}

fn listen(home: &Home) -> io::Result<tokio::net::UnixListener> {
    match fs::remove_file(home.path(MetadataSource::SOCKET)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    // The directory's path may be longer than a socket's can be.
    let directory = File::open(home.directory())?;
    let listener =
        UnixListener::bind(format!("/proc/self/fd/{}/{}", directory.as_raw_fd(), MetadataSource::SOCKET))?;
    listener.set_nonblocking(true)?;
    tokio::net::UnixListener::from_std(listener)
}
