//! Threads with a connection each, and what they do with the closures that are given to them: begin, run, commit, again if
//! something was in the way, and only then the answer.
//!
//! A connection that can puts everything that waits into one commit, each closure between a savepoint and its release: a commit
//! costs a wait for the disk, and the wait is the same for one and for a hundred.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};
use tokio::sync::oneshot;

use super::engine::{Connection, Connector};
use super::error::{DatabaseError, EngineError, Fault};
use super::transaction::Transaction;

/// Closures that may wait for a thread; whoever comes after that is told that the database is busy.
const QUEUE: usize = 10_000;
/// The most transactions in one commit, and for how long they are gathered.
const GROUP: usize = 200;
const GATHERING: Duration = Duration::from_millis(10);
/// How often a transaction is tried that others are in the way of.
const TRIALS: u32 = 30;
/// The pause before an engine that is away is looked for again.
const PAUSE: Duration = Duration::from_millis(100);

/// A queue and its threads, which end with it.
#[derive(Debug)]
pub(super) struct Lane {
    jobs: Sender<Box<dyn Job>>,
}

impl Lane {
    /// Starts the threads; each makes its connection when it has something to do.
    pub(super) fn start<C: Connector>(
        name: &str,
        threads: usize,
        patience: Duration,
        connector: C,
    ) -> Result<Self, DatabaseError> {
        let (jobs, queue) = bounded::<Box<dyn Job>>(QUEUE);
        let connector = Arc::new(connector);
        for number in 0..threads {
            let mut worker = Worker {
                connector: Arc::clone(&connector),
                connection: None,
                queue: queue.clone(),
                patience,
            };
            thread::Builder::new().name(format!("{name}-{number}")).spawn(move || worker.work()).map_err(
                |error| DatabaseError::Unavailable {
                    place: "of this process".to_owned(),
                    reason: error.to_string(),
                },
            )?;
        }
        Ok(Self { jobs })
    }

    /// Has a closure run.
    pub(super) async fn run<T, E, F>(&self, writes: bool, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<DatabaseError> + Send + 'static,
        F: Fn(&mut Transaction<'_>) -> Result<T, E> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let task = Task { work, writes, result: None, answer };
        self.jobs.try_send(Box::new(task)).map_err(|_| DatabaseError::Busy)?;
        answered.await.unwrap_or_else(|_| Err(DatabaseError::GivenUp.into()))
    }
}

/// A closure on its way.
trait Job: Send {
    /// Whether it may write.
    fn writes(&self) -> bool;

    /// Runs the closure and keeps what it says; `true` if what it wrote is to stay.
    fn run(&mut self, transaction: &mut Transaction<'_>) -> bool;

    /// Tells the caller: what the closure said, or why it didn't come to that.
    fn finish(self: Box<Self>, failed: Option<DatabaseError>);

    /// Whether nobody waits for it any more.
    fn is_abandoned(&self) -> bool;
}

struct Task<T, E, F> {
    work: F,
    writes: bool,
    result: Option<Result<T, E>>,
    answer: oneshot::Sender<Result<T, E>>,
}

impl<T, E, F> Job for Task<T, E, F>
where
    T: Send,
    E: From<DatabaseError> + Send,
    F: Fn(&mut Transaction<'_>) -> Result<T, E> + Send,
{
    fn writes(&self) -> bool {
        self.writes
    }

    fn run(&mut self, transaction: &mut Transaction<'_>) -> bool {
        let result = (self.work)(transaction);
        let stays = result.is_ok();
        self.result = Some(result);
        stays
    }

    fn finish(self: Box<Self>, failed: Option<DatabaseError>) {
        let result = match failed {
            Some(error) => Err(error.into()),
            None => self.result.unwrap_or_else(|| Err(DatabaseError::GivenUp.into())),
        };
        // Who has gone doesn't want to know.
        let _ = self.answer.send(result);
    }

    fn is_abandoned(&self) -> bool {
        self.answer.is_closed()
    }
}

/// How a closure went.
enum Ran {
    /// It did what it wanted: to be kept.
    Stays,
    /// It refused, which is its answer.
    Refused,
    /// A statement failed.
    Failed(EngineError),
    /// It panicked.
    Panicked,
}

struct Worker<C> {
    connector: Arc<C>,
    connection: Option<Box<dyn Connection>>,
    queue: Receiver<Box<dyn Job>>,
    patience: Duration,
}

impl<C: Connector> Worker<C> {
    fn work(&mut self) {
        while let Ok(job) = self.queue.recv() {
            let groups =
                job.writes() && self.connection.as_ref().is_some_and(|connection| connection.groups());
            if groups {
                self.group(job);
            } else {
                self.single(job);
            }
        }
    }

    /// One transaction by itself, again while it can get better.
    fn single(&mut self, mut job: Box<dyn Job>) {
        let deadline = Instant::now() + self.patience;
        let mut trials = 0;
        loop {
            if job.is_abandoned() {
                return;
            }
            let failed = match self.attempt(job.as_mut()) {
                Ok(()) => return job.finish(None),
                Err(failed) => failed,
            };
            trials += 1;
            let again = match failed.fault {
                Fault::Lasting => false,
                Fault::Conflict => trials < TRIALS,
                Fault::Lost => {
                    self.connection = None;
                    Instant::now() < deadline && !matches!(failed.error, DatabaseError::Unknown)
                }
            };
            if !again {
                return job.finish(Some(failed.error));
            }
            match failed.fault {
                // The first time it may have been an old connection.
                Fault::Lost if trials > 1 => thread::sleep(PAUSE),
                Fault::Conflict => thread::sleep(Duration::from_millis(u64::from(trials.min(20)))),
                _ => {}
            }
        }
    }

    fn attempt(&mut self, job: &mut dyn Job) -> Result<(), EngineError> {
        if self.connection.is_none() {
            self.connection = Some(self.connector.connect()?);
        }
        let Some(connection) = self.connection.as_mut() else { return Ok(()) };
        connection.begin(job.writes())?;
        match run(connection.as_mut(), job) {
            Ran::Stays => connection.commit().map_err(|failed| match failed.fault {
                Fault::Lost if job.writes() => EngineError { error: DatabaseError::Unknown, ..failed },
                _ => failed,
            }),
            Ran::Refused => connection.rollback(),
            Ran::Failed(failed) => {
                if failed.fault != Fault::Lost {
                    connection.rollback()?;
                }
                Err(failed)
            }
            Ran::Panicked => {
                connection.rollback()?;
                Err(EngineError::lasting(DatabaseError::GivenUp))
            }
        }
    }

    /// What waits, in one commit.
    fn group(&mut self, first: Box<dyn Job>) {
        let Some(mut connection) = self.connection.take() else { return self.single(first) };
        if connection.begin(true).is_err() {
            // Another process writes: with more patience.
            self.connection = Some(connection);
            return self.single(first);
        }
        let until = Instant::now() + GATHERING;
        let (mut done, mut alone) = (Vec::new(), Vec::new());
        let mut next = Some(first);
        while let Some(mut job) = next {
            match part(connection.as_mut(), job.as_mut()) {
                Ok(Ran::Stays | Ran::Refused) => done.push(job),
                Ok(Ran::Failed(failed)) if !failed.passes() => {
                    // Nothing of it is there: its answer needn't wait.
                    job.finish(Some(failed.error));
                }
                Ok(Ran::Panicked) => job.finish(Some(DatabaseError::GivenUp)),
                Ok(Ran::Failed(_)) | Err(_) => alone.push(job),
            }
            let more = alone.is_empty() && done.len() < GROUP && Instant::now() < until;
            next = if more { self.queue.try_recv().ok() } else { None };
        }
        let committed = connection.commit();
        if committed.is_err() {
            let _ = connection.rollback();
        }
        self.connection = Some(connection);
        match committed {
            Ok(()) => done.into_iter().for_each(|job| job.finish(None)),
            Err(_) => alone.extend(done),
        }
        for job in alone {
            self.single(job);
        }
    }
}

fn run(connection: &mut dyn Connection, job: &mut dyn Job) -> Ran {
    let mut transaction = Transaction::of(connection);
    let stays = match catch_unwind(AssertUnwindSafe(|| job.run(&mut transaction))) {
        Ok(stays) => stays,
        Err(_) => return Ran::Panicked,
    };
    match transaction.failed() {
        Some(failed) if stays || failed.passes() => Ran::Failed(failed),
        Some(_) => Ran::Refused,
        None if stays => Ran::Stays,
        None => Ran::Refused,
    }
}

/// A transaction within a commit of several; an error means that the whole commit is in doubt.
fn part(connection: &mut dyn Connection, job: &mut dyn Job) -> Result<Ran, EngineError> {
    connection.batch("SAVEPOINT part")?;
    let ran = run(connection, job);
    if !matches!(ran, Ran::Stays) {
        connection.batch("ROLLBACK TO part")?;
    }
    connection.batch("RELEASE part")?;
    Ok(ran)
}
