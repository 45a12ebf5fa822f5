//! `varve vm snapshot`: states of a machine that are kept under names.

use clap::Args;
use indicatif::HumanBytes;
use jiff::Timestamp;
use serde::Serialize;
use varve_hypervisor::{MachineName, Snapshot, SnapshotName};

use crate::cli::ListingOptions;
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::output::Row;

/// Keep memory and disks of a running machine under a name, or list what is kept
#[derive(Args, Debug)]
pub(crate) struct Snapshots {
    /// The machine
    name: MachineName,
    /// What to call the snapshot; without it, all are listed
    snapshot: Option<SnapshotName>,
    /// Forget the snapshot of that name instead
    #[arg(long, requires = "snapshot")]
    delete: bool,
    #[command(flatten)]
    listing: ListingOptions,
}

/// One snapshot.
#[derive(Serialize)]
struct Kept {
    name: String,
    created: String,
    memory_bytes: Option<u64>,
}

impl Row for Kept {
    const HEADINGS: &'static [&'static str] = &["NAME", "CREATED", "MEMORY"];
    const NUMBERS: &'static [usize] = &[2];

    fn cells(&self) -> Vec<String> {
        vec![
            self.name.clone(),
            self.created.clone(),
            self.memory_bytes.map_or_else(|| "-".to_owned(), |bytes| HumanBytes(bytes).to_string()),
        ]
    }
}

impl Snapshots {
    pub(crate) fn run(self, invocation: &Invocation) -> Result<(), Failure> {
        let machines = super::machines(invocation)?;
        let (name, output) = (&self.name, &invocation.output);
        match &self.snapshot {
            None => {
                let kept: Vec<Kept> = machines.snapshots(name)?.into_iter().map(kept).collect();
                output.listing(self.listing, &kept)
            }
            Some(snapshot) if self.delete => {
                machines.delete_snapshot(name, snapshot)?;
                output.say(format!("{name} has no snapshot {snapshot} any more"));
                Ok(())
            }
            Some(snapshot) => {
                machines.snapshot(name, snapshot)?;
                output.say(format!("{name} can go back to here with `varve vm restore {name} {snapshot}`"));
                Ok(())
            }
        }
    }
}

fn kept(snapshot: Snapshot) -> Kept {
    let created = Timestamp::from_second(snapshot.created).map(|time| time.to_string());
    Kept { name: snapshot.name, created: created.unwrap_or_default(), memory_bytes: snapshot.memory }
}
