//! One set of tests for both engines.

use std::path::Path;
use std::time::Duration;

use varve_testkit::Postgres;

use super::*;
use crate::values;

const SCHEMA: Schema = Schema {
    service: "test",
    migrations: &[Migration {
        name: "first",
        sql: "CREATE TABLE things (id TEXT PRIMARY KEY, size BIGINT NOT NULL, hot BOOLEAN NOT NULL, \
              weight DOUBLE PRECISION, content BYTEA);",
    }],
    tables: &["things"],
};

fn config(location: &Location) -> DatabaseConfig {
    DatabaseConfig { location: location.clone(), threads: 4, patience: Duration::from_secs(30) }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

fn sqlite(directory: &Path) -> Location {
    Location::Sqlite(directory.join("hub/hub.db"))
}

async fn count(database: &Database) -> i64 {
    let count = database.read(|transaction| {
        let row = transaction.query_first("SELECT count(*) FROM things", &[])?;
        row.map_or(Ok(0), |mut row| row.take::<i64>(0))
    });
    count.await.unwrap()
}

async fn insert(database: &Database, id: String, size: i64) -> Result<(), DatabaseError> {
    let work = move |transaction: &mut Transaction<'_>| {
        let sql = "INSERT INTO things (id, size, hot, weight, content) VALUES ($1, $2, $3, $4, $5)";
        transaction.execute(sql, values![&id, size, size % 2 == 0, 0.5, vec![0u8, 255]]).map(|_| ())
    };
    database.write(work).await
}

/// What holds for every engine.
fn conform(location: &Location) {
    let database = Database::open(&config(location), &[SCHEMA]).unwrap();
    let again = Database::open(&config(location), &[SCHEMA]).unwrap();
    runtime().block_on(async {
        insert(&database, "a".into(), 5).await.unwrap();
        let duplicate = insert(&again, "a".into(), 6).await;
        assert!(matches!(duplicate, Err(DatabaseError::Duplicate { .. })), "{duplicate:?}");

        // Values come back as they went in, parameters in any order.
        let mut row = database
            .read(|transaction| {
                let sql = "SELECT size, hot, weight, content, NULL FROM things WHERE $2 = size AND id = $1";
                transaction.query_first(sql, values!["a", 5])
            })
            .await
            .unwrap()
            .unwrap();
        assert_eq!((row.take::<i64>(0).unwrap(), row.take::<bool>(1).unwrap()), (5, false));
        assert_eq!((row.take::<f64>(2).unwrap(), row.take::<Vec<u8>>(3).unwrap()), (0.5, vec![0, 255]));

        // A closure that refuses leaves nothing, nor does one that goes on after a failure.
        let refused: Result<(), DatabaseError> = database
            .write(|transaction| {
                transaction.execute("UPDATE things SET size = 7", &[])?;
                Err(DatabaseError::GivenUp)
            })
            .await;
        assert!(matches!(refused, Err(DatabaseError::GivenUp)));
        let swallowed: Result<(), DatabaseError> = database
            .write(|transaction| {
                transaction.execute("UPDATE things SET size = 7", &[])?;
                let _ = transaction.execute("UPDATE nothing SET size = 7", &[]);
                Ok(())
            })
            .await;
        assert!(matches!(swallowed, Err(DatabaseError::Refused { .. })), "{swallowed:?}");
        let panicked: Result<(), DatabaseError> = database.write(|_| panic!("for the test")).await;
        assert!(matches!(panicked, Err(DatabaseError::GivenUp)));
        let written: Result<u64, DatabaseError> =
            database.read(|transaction| transaction.execute("UPDATE things SET size = 7", &[])).await;
        assert!(written.is_err(), "who reads can't write");

        // Nobody's increment is lost, through two pools that know nothing of each other.
        let increments = (0..100).map(|number| {
            let database = if number % 2 == 0 { database.clone() } else { again.clone() };
            tokio::spawn(async move {
                let work = |transaction: &mut Transaction<'_>| -> Result<(), DatabaseError> {
                    let row = transaction.query_first("SELECT size FROM things WHERE id = 'a'", &[])?;
                    let size: i64 = row.map_or(Ok(0), |mut row| row.take(0))?;
                    transaction.execute("UPDATE things SET size = $1 WHERE id = 'a'", values![size + 1])?;
                    Ok(())
                };
                // Whom others are in the way of for too long tries again.
                while let Err(error) = database.write(work).await {
                    assert!(matches!(error, DatabaseError::Busy), "{error:?}");
                }
            })
        });
        for increment in increments.collect::<Vec<_>>() {
            increment.await.unwrap();
        }
        let size: i64 = database
            .read(|transaction| {
                let row = transaction.query_first("SELECT size FROM things", &[])?;
                row.map_or(Ok(0), |mut row| row.take(0))
            })
            .await
            .map_err(|error: DatabaseError| error)
            .unwrap();
        assert_eq!(size, 105);
    });
}

/// A backup of one is restored into the other.
fn moves(from: &Location, to: &Location) {
    let database = Database::open(&config(from), &[SCHEMA]).unwrap();
    runtime().block_on(insert(&database, "\"quoted\"\n".into(), 1)).unwrap();
    let mut backup = Vec::new();
    assert_eq!(dump(from, &[SCHEMA], &mut backup).unwrap(), 2);

    let cut = &backup[..backup.len() - 40];
    assert!(matches!(restore(to, &[SCHEMA], &mut &cut[..]), Err(DumpError::Unsound { .. })));
    let mut changed = backup.clone();
    let at = changed.windows(3).position(|three| three == b"105").unwrap();
    changed[at] = b'2';
    assert!(matches!(restore(to, &[SCHEMA], &mut &changed[..]), Err(DumpError::Unsound { .. })));

    assert_eq!(restore(to, &[SCHEMA], &mut &backup[..]).unwrap(), 2);
    let restored = Database::open(&config(to), &[SCHEMA]).unwrap();
    assert_eq!(runtime().block_on(count(&restored)), 2);
    let mut again = Vec::new();
    dump(to, &[SCHEMA], &mut again).unwrap();
    assert_eq!(String::from_utf8(again).unwrap(), String::from_utf8(backup.clone()).unwrap());
    assert!(matches!(restore(to, &[SCHEMA], &mut &backup[..]), Err(DumpError::NotEmpty { .. })));
}

#[test]
fn sqlite_conforms() {
    let scratch = varve_testkit::Scratch::new();
    let location = sqlite(&scratch);
    conform(&location);
    moves(&location, &Location::Sqlite(scratch.join("other.db")));
}

#[test]
fn postgresql_conforms() {
    let Some(mut server) = Postgres::start() else { return };
    let location = Location::Postgres(server.address());
    conform(&location);
    let scratch = varve_testkit::Scratch::new();
    moves(&location, &sqlite(&scratch));

    // It goes away and returns: what was asked for meanwhile is done then.
    let database = Database::open(&config(&location), &[SCHEMA]).unwrap();
    runtime().block_on(async {
        insert(&database, "before".into(), 1).await.unwrap();
        server.stop();
        let waiting = {
            let database = database.clone();
            tokio::spawn(async move { insert(&database, "meanwhile".into(), 1).await })
        };
        server.resume();
        waiting.await.unwrap().unwrap();
        assert_eq!(count(&database).await, 4);
    });
    server.stop();
    let opened = Database::open(&config(&location), &[SCHEMA]);
    assert!(matches!(opened, Err(DatabaseError::Unavailable { .. })), "{opened:?}");
}

#[test]
fn many_at_a_time_are_all_there() {
    let scratch = varve_testkit::Scratch::new();
    let database = Database::open(&config(&sqlite(&scratch)), &[SCHEMA]).unwrap();
    runtime().block_on(async {
        let insertions = (0..1000).map(|number| {
            let database = database.clone();
            tokio::spawn(async move { insert(&database, format!("{}", number % 900), number).await })
        });
        let mut duplicates = 0;
        for insertion in insertions.collect::<Vec<_>>() {
            duplicates += i64::from(insertion.await.unwrap().is_err());
        }
        assert_eq!((duplicates, count(&database).await), (100, 900));
    });
}

#[test]
fn tables_of_another_version_are_refused() {
    let scratch = varve_testkit::Scratch::new();
    let location = sqlite(&scratch);
    Database::open(&config(&location), &[SCHEMA]).unwrap();
    let older = Schema { migrations: &[], ..SCHEMA };
    let error = Database::open(&config(&location), &[older]).unwrap_err();
    assert!(error.to_string().contains("newer version"), "{error}");
    let other =
        Schema { migrations: &[Migration { name: "first", sql: "CREATE TABLE x (y TEXT);" }], ..SCHEMA };
    let error = Database::open(&config(&location), &[other]).unwrap_err();
    assert!(error.to_string().contains("step 1 (first) was another one"), "{error}");
}
