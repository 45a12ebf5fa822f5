//! From needs to a small, closed set of packages.
//!
//! 1. [`Problem`]: the part of the universe that the needs can reach, as numbers.
//! 2. [`greedy`]: what is forced, then the cheapest choice again and again. Mostly a good set, but no proof.
//! 3. [`search`]: resolvo decides whether there is a set at all, trying the greedy one's packages first, and says why not.
//! 4. [`shrink`]: leaves out one chosen package after the other and keeps what becomes smaller.
//!
//! Whatever comes out was checked against every need and exclusion. The same input gives the same set.

mod chain;
mod explain;
mod greedy;
mod problem;
mod search;
mod shrink;

pub use chain::{Chain, Link};
pub use explain::Conflict;
pub use problem::{Problem, Reach};

use crate::universe::{PackageId, Universe};

/// A closed set of packages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closure {
    /// Sorted.
    pub packages: Vec<PackageId>,
}

/// Finds a small set of packages that meets every need; `None` if there is none.
#[must_use]
pub fn solve(problem: &Problem) -> Option<Closure> {
    let greedy = greedy::Greedy::start(problem);
    let found = greedy.as_ref().and_then(|start| start.clone().finish());
    let hints = found.as_ref().map_or_else(Vec::new, |state| state.inside());
    let searched = search::search(problem, &hints)?;
    let mut best = shrink::without_waste(problem, &searched).unwrap_or(searched);
    if let Some(state) = found
        && let Some(set) = shrink::without_waste(problem, &state.inside())
        && problem.weight_of(&set) <= problem.weight_of(&best)
    {
        best = set;
    }
    if let Some(start) = &greedy {
        best = shrink::shrink(problem, start, best);
    }
    if problem.has_wishes()
        && let Some(larger) =
            greedy.and_then(|start| start.with(&best)).map(|state| state.with_wishes().inside())
        && problem.is_solution(&larger)
    {
        best = larger;
    }
    // Whatever way it came about.
    problem.is_solution(&best).then(|| problem.closure(&best))
}

/// Why [`solve`] found nothing.
#[must_use]
pub fn explain(problem: &Problem, universe: &dyn Universe) -> Conflict {
    explain::explain(problem, universe)
}
