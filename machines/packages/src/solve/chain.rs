//! Why a package is in a set: the shortest way to it from something that was asked for.

use std::collections::{HashMap, HashSet, VecDeque};

use crate::universe::{Clause, EntryError, PackageId, Universe};

/// A way from a request to a package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    /// What was asked for, as the list says it.
    pub request: String,
    /// The packages on the way, the last is the one in question.
    pub links: Vec<Link>,
}

/// A step of a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// What asks for the package: a relation of the one before; the request for the first.
    pub relation: String,
    /// Whether the one before only recommends it.
    pub recommended: bool,
    /// What came in for it.
    pub package: PackageId,
}

impl Chain {
    /// Finds the shortest way within a set; `None` if nothing leads there.
    ///
    /// # Errors
    /// If the entry of a package can't be understood.
    pub fn find(
        universe: &dyn Universe,
        roots: &[Clause],
        set: &[PackageId],
        wanted: PackageId,
    ) -> Result<Option<Self>, EntryError> {
        let set: HashSet<PackageId> = set.iter().copied().collect();
        let mut from: HashMap<PackageId, (Option<PackageId>, Link)> = HashMap::new();
        let mut queue = VecDeque::new();
        let mut visit = |before: Option<PackageId>,
                         clause: &Clause,
                         recommended: bool,
                         queue: &mut VecDeque<PackageId>| {
            for &package in clause.any_of.iter().filter(|package| set.contains(package)) {
                from.entry(package).or_insert_with(|| {
                    queue.push_back(package);
                    (before, Link { relation: clause.text.clone(), recommended, package })
                });
            }
        };
        for root in roots {
            visit(None, root, false, &mut queue);
        }
        while let Some(package) = queue.pop_front() {
            if package == wanted {
                break;
            }
            let relations = universe.relations(package)?;
            for clause in &relations.requires {
                visit(Some(package), clause, false, &mut queue);
            }
            for clause in &relations.recommends {
                visit(Some(package), clause, true, &mut queue);
            }
        }
        let mut links = Vec::new();
        let mut at = Some(wanted);
        while let Some(package) = at {
            let Some((before, link)) = from.get(&package) else { return Ok(None) };
            links.push(link.clone());
            at = *before;
        }
        links.reverse();
        let request = links.first().map(|link| link.relation.clone()).unwrap_or_default();
        Ok(Some(Self { request, links }))
    }
}
