//! `varve repo gc`: removes what no kept revision needs.

use std::num::{NonZeroU64, NonZeroUsize};
use std::sync::OnceLock;
use std::time::SystemTime;

use clap::Args;
use serde::Serialize;
use varve_publish::{Amount, CollectProgress, CollectRequest, Collected, Keep, collect};
use varve_repository::{Reference, RepositoryName, RepositoryPath};

use super::local;
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::progress::{Progress, Unit};

/// For how long revisions are kept unless somebody chooses otherwise, as in CernVM-FS.
pub(crate) const DAYS: u64 = 3;

/// Seconds of a day.
const DAY: u64 = 24 * 3600;

/// Remove the objects that no kept revision needs
#[derive(Args, Debug)]
#[command(
    after_help = "Kept are the newest revision, every revision with a tag that somebody has made, and what the options \
                  say: by default what was the newest at some time of the last three days. The automatic tags of the \
                  other revisions are removed with them. Killed at any time it leaves a sound repository; the next \
                  one goes on."
)]
pub(crate) struct Gc {
    /// The repository
    name: RepositoryName,
    /// Keep the newest so many revisions
    #[arg(long, value_name = "NUMBER", group = "keep")]
    keep_revisions: Option<NonZeroU64>,
    /// Keep what was the newest revision at this time or later: 2026-11-21 or 2026-11-21T00:36:09Z
    #[arg(long, value_name = "DATE", group = "keep", value_parser = date)]
    keep_since: Option<u64>,
    /// Keep what was the newest revision at some time of the last so many days; 3 if nothing is said
    #[arg(long, value_name = "NUMBER", group = "keep")]
    keep_days: Option<u32>,
    /// Remove nothing, only tell what would be removed
    #[arg(long)]
    dry_run: bool,
    /// Threads; one per core if not given
    #[arg(long, value_name = "NUMBER")]
    threads: Option<NonZeroUsize>,
    /// Print what was done as JSON
    #[arg(long)]
    json: bool,
}

/// What was done, for programs.
#[derive(Serialize)]
struct Report {
    repository: String,
    dry_run: bool,
    revisions_kept: u64,
    revisions_removed: u64,
    tags_removed: Vec<String>,
    catalogs_kept: u64,
    objects_kept: u64,
    bytes_kept: u64,
    objects_removed: u64,
    bytes_removed: u64,
}

impl Gc {
    pub(crate) fn run(self, invocation: &Invocation) -> Result<(), Failure> {
        let local = local::repository(invocation, &self.name)?;
        let now = invocation.now();
        let settings = local.read_settings().map_err(Failure::usage_error)?;
        let threads = self.threads.unwrap_or_else(|| local::readers(&settings.storage));
        let request = CollectRequest { keep: self.keep(now), dry_run: self.dry_run, threads, now };
        let progress = Shown::start(invocation);
        let collected = collect(&local, &request, &progress)?;
        progress.finish();
        if self.json {
            return invocation.output.json(&self.report(&collected));
        }
        invocation.output.line(self.summary(&collected))
    }

    fn keep(&self, now: SystemTime) -> Keep {
        match (self.keep_revisions, self.keep_since) {
            (Some(number), _) => Keep::Revisions(number),
            (None, Some(seconds)) => Keep::Since(seconds),
            (None, None) => Keep::Since(days_before(now, self.keep_days.map_or(DAYS, u64::from))),
        }
    }

    fn report(&self, collected: &Collected) -> Report {
        Report {
            repository: self.name.to_string(),
            dry_run: self.dry_run,
            revisions_kept: collected.revisions_kept,
            revisions_removed: collected.revisions_removed,
            tags_removed: collected.tags_removed.iter().map(|tag| tag.name.to_string()).collect(),
            catalogs_kept: collected.catalogs,
            objects_kept: collected.kept.objects,
            bytes_kept: collected.kept.bytes,
            objects_removed: collected.removed.objects,
            bytes_removed: collected.removed.bytes,
        }
    }

    /// Two lines for people.
    fn summary(&self, collected: &Collected) -> String {
        let amount = |amount: Amount| {
            let bytes = indicatif::HumanBytes(amount.bytes);
            format!("{} with {bytes}", counted(amount.objects, "object"))
        };
        let [keeps, removes] =
            if self.dry_run { ["would keep", "would remove"] } else { ["keeps", "has removed"] };
        format!(
            "{name} {keeps} {}: {}\n{name} {removes} {} and {}: {}",
            counted(collected.revisions_kept, "revision"),
            amount(collected.kept),
            counted(collected.revisions_removed, "revision"),
            counted(collected.tags_removed.len() as u64, "automatic tag"),
            amount(collected.removed),
            name = self.name,
        )
    }
}

/// So many days before a time, in seconds since 1970.
pub(crate) fn days_before(now: SystemTime, days: u64) -> u64 {
    let now = now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    now.saturating_sub(days * DAY)
}

/// `1 object`, `2 objects`.
fn counted(number: u64, what: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {what}{plural}", indicatif::HumanCount(number))
}

/// Seconds since 1970; of a day without a time its first, UTC.
pub(crate) fn date(text: &str) -> Result<u64, String> {
    for text in [format!("{text}T00:00:00Z"), text.to_owned()] {
        match text.parse() {
            Ok(Reference::Date { seconds, .. }) => return Ok(seconds),
            Ok(_) => {}
            Err(never) => match never {},
        }
    }
    Err("no date: write 2026-11-21 or 2026-11-21T00:36:09Z".to_owned())
}

/// Two bars: catalogs that were marked, then objects that were looked at.
struct Shown<'a> {
    invocation: &'a Invocation,
    catalogs: Progress,
    objects: OnceLock<Progress>,
}

impl<'a> Shown<'a> {
    fn start(invocation: &'a Invocation) -> Self {
        let catalogs = invocation.progress("catalogs", Unit::Count, None);
        Self { invocation, catalogs, objects: OnceLock::new() }
    }

    fn finish(self) {
        self.catalogs.finish();
        if let Some(objects) = self.objects.into_inner() {
            objects.finish();
        }
    }
}

impl CollectProgress for Shown<'_> {
    fn catalog(&self, path: &RepositoryPath) {
        self.catalogs.advance(1);
        self.catalogs.set_detail(path.to_string());
    }

    fn marked(&self, needed: u64) {
        let objects = self.objects.get_or_init(|| self.invocation.progress("objects", Unit::Count, None));
        objects.set_detail(format!("{} are needed", indicatif::HumanCount(needed)));
    }

    fn listed(&self) {
        if let Some(objects) = self.objects.get() {
            objects.advance(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_begin_with_their_day() {
        assert_eq!(date("2026-11-21"), Ok(1_795_219_200));
        assert_eq!(date("2026-11-21T00:36:09Z"), Ok(1_795_221_369));
        assert_eq!(date("2026-11-21T02:36:09+02:00"), Ok(1_795_221_369));
        for text in ["", "v1", "2026", "2026-11-31", "38cb3870b263c3327ff694d0ab371c62d9c1d8da"] {
            assert!(date(text).is_err(), "{text}");
        }
    }
}
