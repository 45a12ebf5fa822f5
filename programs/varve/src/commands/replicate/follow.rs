//! `varve replicate --follow`: copies every new revision, soon after its publisher announces it and at least as often as
//! clients would look for one.

use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use varve_content::ContentHash;
use varve_replicate::UnseenProgress;
use varve_store::{Announcement, Announcements};

use super::{Replica, Replicate, report};
use crate::exit_code::ExitCode;
use crate::failure::Failure;
use crate::invocation::Invocation;

/// It is not asked more often than this, whatever the manifest says.
const SHORTEST: Duration = Duration::from_secs(5);

/// The first pause after a failure; doubled for each further one,
const FIRST_RETRY: Duration = Duration::from_secs(2);

/// up to this.
const LONGEST_RETRY: Duration = Duration::from_secs(300);

/// Follows all of them until the process is ended. Returns if one of them can't be meant as it was asked for.
pub(super) fn follow(
    command: &Replicate,
    invocation: &Invocation,
    replicas: &[Replica],
) -> Result<(), Failure> {
    let announcements = Announcements::new().map_err(|error| Failure::new(ExitCode::Failure, error))?;
    let (end, ended) = channel();
    std::thread::scope(|scope| {
        for replica in replicas {
            let (hear, heard) = channel();
            let listens = announcements.listen(&replica.config, move |announced| {
                // Nobody waits any more when the process ends.
                let _ = hear.send(announced);
            });
            if let Err(error) = listens {
                invocation
                    .output
                    .warn(format!("{}: does not listen to announcements: {error}", replica.name));
            }
            let end = end.clone();
            scope.spawn(move || {
                let failure = follow_one(command, invocation, replica, &heard);
                let _ = end.send(failure);
            });
        }
        drop(end);
        // Every thread ends with a mistake of the command line only, which ends the program with all others.
        ended.recv().map_or(Ok(()), |failure: Failure| {
            failure.report(&invocation.output);
            std::process::exit(i32::from(failure.code().number()))
        })
    })
}

/// Follows one, and says why that can't go on.
fn follow_one(
    command: &Replicate,
    invocation: &Invocation,
    replica: &Replica,
    heard: &Receiver<Announcement>,
) -> Failure {
    let mut failures = 0;
    let mut shown = None;
    loop {
        let pause = match command.update(invocation, replica, &UnseenProgress) {
            Ok(mirrored) => {
                failures = 0;
                if mirrored.is_new || shown.is_none() {
                    let told = report::tell_shortly(invocation, &replica.name, &mirrored, command.json);
                    if let Err(failure) = told {
                        return failure;
                    }
                }
                shown = Some(mirrored.root_catalog);
                let every = command
                    .refresh
                    .map_or(mirrored.ttl, |every| mirrored.ttl.min(Duration::from_secs(every)));
                scattered(every.max(SHORTEST), invocation)
            }
            Err(failure) if failure.code() == ExitCode::Usage => return failure,
            Err(failure) => {
                failure.report(&invocation.output);
                failures += 1;
                FIRST_RETRY.saturating_mul(2_u32.saturating_pow(failures - 1)).min(LONGEST_RETRY)
            }
        };
        wait(pause, heard, shown);
    }
}

/// Waits for a pause, or until something else is announced than is shown.
fn wait(pause: Duration, heard: &Receiver<Announcement>, shown: Option<ContentHash>) {
    let end = Instant::now() + pause;
    let shown = shown.map(|shown| shown.to_string());
    loop {
        let left = end.saturating_duration_since(Instant::now());
        match heard.recv_timeout(left) {
            Ok(announced) if shown.as_ref() == Some(&announced.root_catalog) => {}
            Ok(_) => {
                // What was announced before is known by the question that follows.
                while heard.try_recv().is_ok() {}
                return;
            }
            Err(RecvTimeoutError::Timeout) => return,
            // Nobody announces anything.
            Err(RecvTimeoutError::Disconnected) => {
                std::thread::sleep(left);
                return;
            }
        }
    }
}

/// A tenth more or less: many replicas that were started together don't ask together for ever.
fn scattered(pause: Duration, invocation: &Invocation) -> Duration {
    let now = invocation.now().duration_since(std::time::SystemTime::UNIX_EPOCH);
    let part = now.map_or(0.5, |now| f64::from(now.subsec_micros()) / 1e6);
    pause.mul_f64(0.9 + 0.2 * part)
}
