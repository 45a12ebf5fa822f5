//! Hosts: the computers that machines run on, and which of them takes the next one.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::id::HostId;

/// After so long without a word a host counts as lost: it gets nothing new, and its instances' status checks say so.
pub const LOST_AFTER: Duration = Duration::from_secs(60);

/// What is recorded of a host. Times are milliseconds since 1970, memory is in megabytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// Its id.
    pub id: HostId,
    /// What people call it.
    pub name: String,
    /// The part of the cloud that it is in.
    pub zone: String,
    /// The version of the program on it.
    pub version: String,
    /// The cores that it gives to machines.
    pub cores: u32,
    /// The memory that it gives to machines.
    pub memory: u64,
    /// The cores that are taken.
    pub taken_cores: u32,
    /// The memory that is taken.
    pub taken_memory: u64,
    /// When it joined.
    pub joined: i64,
    /// When it was last heard of.
    pub heard: i64,
    /// Counts what became new for it.
    pub revision: i64,
}

impl Host {
    /// Whether it has not been heard of for too long.
    pub fn is_lost(&self, now: i64) -> bool {
        now.saturating_sub(self.heard) > i64::try_from(LOST_AFTER.as_millis()).unwrap_or(i64::MAX)
    }

    /// The cores that are free.
    pub fn free_cores(&self) -> u32 {
        self.cores.saturating_sub(self.taken_cores)
    }

    /// The memory that is free.
    pub fn free_memory(&self) -> u64 {
        self.memory.saturating_sub(self.taken_memory)
    }

    fn fits(&self, cores: u32, memory: u64) -> bool {
        self.free_cores() >= cores && self.free_memory() >= memory
    }
}

/// Finds hosts for up to `count` machines of a size: each goes to the one that has most memory free then. What is said of the
/// hosts is changed as if they were there.
pub fn place(
    hosts: &mut [Host],
    cores: u32,
    memory: u64,
    zone: Option<&str>,
    count: u32,
    now: i64,
) -> Vec<usize> {
    let mut places = Vec::new();
    for _ in 0..count {
        let fitting = hosts.iter().enumerate().filter(|(_, host)| {
            host.fits(cores, memory) && !host.is_lost(now) && zone.is_none_or(|zone| zone == host.zone)
        });
        let most = fitting
            .max_by_key(|(index, host)| (host.free_memory(), host.free_cores(), std::cmp::Reverse(*index)));
        let Some((index, _)) = most else { break };
        hosts[index].taken_cores += cores;
        hosts[index].taken_memory += memory;
        places.push(index);
    }
    places
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn host(name: &str, cores: u32, memory: u64) -> Host {
        Host {
            id: HostId::new(),
            name: name.into(),
            zone: "local-a".into(),
            version: String::new(),
            cores,
            memory,
            taken_cores: 0,
            taken_memory: 0,
            joined: 0,
            heard: 0,
            revision: 1,
        }
    }

    #[test]
    fn machines_are_spread_and_never_too_many() {
        let mut hosts = [host("a", 4, 4096), host("b", 2, 8192), host("lost", 100, 1 << 20)];
        hosts[2].heard = -100_000;
        assert_eq!(place(&mut hosts, 1, 1024, None, 10, 0), [1, 1, 0, 0, 0, 0]);
        assert_eq!((hosts[0].free_cores(), hosts[0].free_memory(), hosts[1].free_memory()), (0, 0, 6144));
        assert!(place(&mut hosts, 1, 1, None, 1, 0).is_empty());
        let mut hosts = [host("a", 4, 4096)];
        assert!(place(&mut hosts, 1, 1, Some("local-b"), 1, 0).is_empty());
        assert!(place(&mut hosts, 1, 1, None, 1, 60_001).is_empty());
    }
}
