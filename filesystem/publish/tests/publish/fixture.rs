//! The repositories that CernVM-FS wrote, opened for the tests.

use std::path::Path;
use std::time::{Duration, SystemTime};

use varve_publish::{CheckOptions, CheckReport, NoProgress, check};
use varve_repository::{PublicKeys, RepositoryName, Trust};
use varve_store::DirectoryStore;
use varve_testkit::Fixture;

/// A time at which the fixtures' whitelists are valid: in 2026.
pub(crate) fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_300_000)
}

pub(crate) fn name(fixture: &Fixture) -> RepositoryName {
    fixture.name().parse().expect("because it is the name of a repository")
}

pub(crate) fn trust(fixture: &Fixture) -> Trust {
    Trust::in_keys(PublicKeys::load(&[fixture.public_key()]).expect("because the fixture has its key"))
}

/// Checks what is served in a directory as the fixture.
pub(crate) fn check_at(fixture: &Fixture, directory: &Path, data: bool) -> CheckReport {
    let store = DirectoryStore::open(directory).expect("because it was copied");
    let options = CheckOptions { data, threads: 2 };
    check(&store, &name(fixture), &trust(fixture), now(), options, &NoProgress)
}
