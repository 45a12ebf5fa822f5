//! From a shopping list and verified indexes to a lock.

mod changes;
mod policy;
mod requests;

use crate::family::Family;
use crate::index::Index;
use crate::list::ShoppingList;
use crate::lock::{ListOrigin, Lock};
use crate::name::PackageName;
use crate::solve::{Closure, Conflict, Problem, explain, solve};
use crate::universe::{EntryError, PackageId, Universe};

pub use changes::{Change, ChangeKind, changes};
pub use requests::{Requests, UnknownRequest};

use policy::{Policy, Strictness};

/// What a new lock keeps of an old one.
#[derive(Clone, Debug)]
pub struct Previous<'a> {
    /// The old one.
    pub lock: &'a Lock,
    /// What may change without need.
    pub scope: UpdateScope,
}

/// What an update may change without need. What is new in an index of security updates is always taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UpdateScope {
    /// Nothing.
    Least,
    /// These packages.
    Named(Vec<PackageName>),
    /// Everything.
    All,
}

/// A lock, and the set that it was made of.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// The lock.
    pub lock: Lock,
    /// Its packages in the universe.
    pub closure: Closure,
    /// What they take when installed, in bytes.
    pub installed_size: u64,
}

/// Why there is no lock.
#[derive(Debug, thiserror::Error)]
pub enum LockingError {
    /// Names that nothing has.
    #[error("{}", lines(.0))]
    Unknown(Vec<UnknownRequest>),
    /// The list asks for what it leaves out.
    #[error("the list asks for '{request}' and excludes it by '{pattern}'")]
    Excluded {
        /// The request.
        request: String,
        /// The pattern.
        pattern: String,
    },
    /// A package that is to be updated is not in the lock.
    #[error("the lock has no package '{name}'{}", crate::list::suggested(suggestions))]
    NotLocked {
        /// Its name.
        name: String,
        /// What could be meant.
        suggestions: Vec<String>,
    },
    /// There is no such set of packages.
    #[error(transparent)]
    Conflict(Box<Conflict>),
    /// The entry of a package makes no sense.
    #[error(transparent)]
    Entry(#[from] EntryError),
    /// The lock is of another family or architecture than the list.
    #[error("the lock is for {locked}, but the list is for {listed}")]
    OtherSystem {
        /// What the lock is for.
        locked: String,
        /// What the list is for.
        listed: String,
    },
}

/// Finds the packages of a list.
///
/// # Errors
/// If a name is unknown, or there is no set of packages that meets every need.
pub fn make_lock(
    list: &ShoppingList,
    indexes: &[Index],
    universe: &dyn Universe,
    previous: Option<&Previous<'_>>,
) -> Result<Resolved, LockingError> {
    if let Some(previous) = previous {
        check_previous(list, previous)?;
    }
    let requests = Requests::resolve(list, universe, indexes)?;
    let mut found = None;
    for strictness in Strictness::ALL {
        // Without a lock to keep to there is nothing between the first and the last.
        if strictness == Strictness::Two && previous.is_none() {
            continue;
        }
        let policy = Policy::new(list, indexes, universe, &requests, previous, strictness);
        let problem = Problem::explore(universe, requests.clauses(), &policy)?;
        found = solve(&problem);
        if found.is_some() {
            break;
        }
        // The last one had the most to choose from.
        if strictness == Strictness::Every {
            return Err(LockingError::Conflict(Box::new(explain(&problem, universe))));
        }
    }
    let closure = found.expect("because the last attempt returns otherwise");
    let lock = lock_of(list, indexes, universe, &requests, &closure)?;
    let installed_size = closure.packages.iter().map(|&id| universe.installed_size(id)).sum();
    Ok(Resolved { lock, closure, installed_size })
}

/// The part of a universe that a list can reach, as the solver gets it first. For comparison with other solvers.
///
/// # Errors
/// As [`make_lock`].
pub fn problem_of(
    list: &ShoppingList,
    indexes: &[Index],
    universe: &dyn Universe,
) -> Result<Problem, LockingError> {
    let requests = Requests::resolve(list, universe, indexes)?;
    let policy = Policy::new(list, indexes, universe, &requests, None, Strictness::ALL[0]);
    Ok(Problem::explore(universe, requests.clauses(), &policy)?)
}

fn lock_of(
    list: &ShoppingList,
    indexes: &[Index],
    universe: &dyn Universe,
    requests: &Requests,
    closure: &Closure,
) -> Result<Lock, EntryError> {
    let mut packages = Vec::with_capacity(closure.packages.len());
    for &id in &closure.packages {
        let mut package = universe.locked(id)?;
        package.requested = requests.asks_for(id);
        packages.push(package);
    }
    let lock = Lock {
        family: list.family,
        architecture: list.architecture.clone(),
        list: ListOrigin {
            name: list.name.clone(),
            sha256: list.sha256,
            request: list.requests.iter().map(|request| request.text.clone()).collect(),
        },
        indexes: indexes.iter().map(|index| index.locked.clone()).collect(),
        packages,
    };
    // In the order that it is written in.
    Ok(Lock::parse(&lock.to_text()).unwrap_or(lock))
}

fn check_previous(list: &ShoppingList, previous: &Previous<'_>) -> Result<(), LockingError> {
    let lock = previous.lock;
    if (lock.family, &lock.architecture) != (list.family, &list.architecture) {
        let words = |family: Family, architecture| format!("{family} on {architecture}");
        return Err(LockingError::OtherSystem {
            locked: words(lock.family, &lock.architecture),
            listed: words(list.family, &list.architecture),
        });
    }
    if let UpdateScope::Named(names) = &previous.scope {
        for name in names {
            if lock.package(name.as_str()).is_none() {
                let known = lock.packages.iter().map(|package| package.name.as_str());
                let suggestions = crate::suggest::similar(name.as_str(), known, 3);
                return Err(LockingError::NotLocked { name: name.to_string(), suggestions });
            }
        }
    }
    Ok(())
}

/// The packages of a lock in a universe; those that are not there are left out.
#[must_use]
pub fn locked_packages(lock: &Lock, universe: &dyn Universe) -> Vec<PackageId> {
    let find = |package: &crate::lock::LockedPackage| {
        let mut same = universe.named(package.name.as_str()).iter().copied();
        same.find(|&id| universe.version(id) == package.version.as_str())
    };
    lock.packages.iter().filter_map(find).collect()
}

fn lines(unknown: &[UnknownRequest]) -> String {
    unknown.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}
