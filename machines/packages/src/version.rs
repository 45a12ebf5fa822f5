//! The order of versions, of each family as its own tools see it.

mod debian;
mod rpm;

use std::cmp::Ordering;

use crate::family::Family;

pub(crate) use rpm::Evr;

/// Compares two versions, as `dpkg --compare-versions` or RPM's `rpmvercmp` do. Any text has a place in the order.
#[must_use]
pub fn compare_versions(family: Family, one: &str, other: &str) -> Ordering {
    match family {
        Family::Debian => debian::compare(one, other),
        Family::Rpm => Evr::parse(one).compare(&Evr::parse(other)),
    }
}
