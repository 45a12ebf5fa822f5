//! What the words of a list mean in some indexes.

use std::collections::{BTreeSet, HashMap};
use std::fmt;

use super::LockingError;
use crate::index::Index;
use crate::list::{Request, ShoppingList, Subject, suggested};
use crate::suggest::similar;
use crate::universe::{Clause, PackageId, Universe};

/// The needs that a list comes to.
#[derive(Clone, Debug)]
pub struct Requests {
    clauses: Vec<Clause>,
    /// What a word of the list names itself.
    asked_for: BTreeSet<PackageId>,
    /// The only versions of a name that a word of the list allows.
    pinned: HashMap<String, Vec<PackageId>>,
}

/// A word that nothing in the indexes answers to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownRequest {
    /// As the list says it.
    pub request: String,
    /// The versions that there are, if it is only the version.
    pub versions: Vec<String>,
    /// What could be meant.
    pub suggestions: Vec<String>,
}

impl fmt::Display for UnknownRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { request, versions, suggestions } = self;
        match &versions[..] {
            [] => write!(f, "no index has '{request}'{}", suggested(suggestions)),
            versions => write!(f, "no index has '{request}'; there is {}", versions.join(", ")),
        }
    }
}

/// How many names are suggested.
const SUGGESTIONS: usize = 3;

impl Requests {
    /// Looks every word of the list up.
    ///
    /// # Errors
    /// If some are nowhere, all of them; or the list excludes what it asks for.
    pub fn resolve(
        list: &ShoppingList,
        universe: &dyn Universe,
        indexes: &[Index],
    ) -> Result<Self, LockingError> {
        let mut requests = Self { clauses: Vec::new(), asked_for: BTreeSet::new(), pinned: HashMap::new() };
        let mut unknown = Vec::new();
        for request in &list.requests {
            match &request.subject {
                Subject::Group(name) => match universe.group(name) {
                    Some(members) => requests.add_group(members, list, universe),
                    None => unknown.push(unknown_group(name, universe)),
                },
                Subject::Package { name, .. } => {
                    if let Some(pattern) = list.exclude.matching(name) {
                        let (request, pattern) = (request.text.clone(), pattern.to_owned());
                        return Err(LockingError::Excluded { request, pattern });
                    }
                    if !requests.add_package(request, universe, indexes)? {
                        unknown.push(unknown_package(request, universe));
                    }
                }
            }
        }
        if !unknown.is_empty() {
            return Err(LockingError::Unknown(unknown));
        }
        if list.essential {
            let mut essential: BTreeSet<&str> = BTreeSet::new();
            for at in 0..universe.count() {
                let id = PackageId(at as u32);
                if universe.is_essential(id) && list.exclude.matching(universe.name(id)).is_none() {
                    essential.insert(universe.name(id));
                }
            }
            for name in essential {
                requests.need(universe.named(name).to_vec(), format!("{name} (essential)"));
            }
        }
        Ok(requests)
    }

    /// The needs, those of the list first.
    #[must_use]
    pub fn clauses(&self) -> &[Clause] {
        &self.clauses
    }

    /// Whether a word of the list names this package.
    #[must_use]
    pub fn asks_for(&self, id: PackageId) -> bool {
        self.asked_for.contains(&id)
    }

    /// The only versions of a name that the list allows, if it says so.
    pub(super) fn pinned(&self, name: &str) -> Option<&[PackageId]> {
        self.pinned.get(name).map(Vec::as_slice)
    }

    fn need(&mut self, any_of: Vec<PackageId>, text: String) {
        self.clauses.push(Clause { when: Vec::new(), any_of, text });
    }

    fn add_group(&mut self, members: Vec<PackageId>, list: &ShoppingList, universe: &dyn Universe) {
        for member in members {
            let name = universe.name(member);
            // What is left out is left out of groups.
            if list.exclude.matching(name).is_none() {
                let all = universe.named(name).to_vec();
                self.asked_for.extend(&all);
                self.need(all, name.to_owned());
            }
        }
    }

    /// Whether there is such a package.
    fn add_package(
        &mut self,
        request: &Request,
        universe: &dyn Universe,
        indexes: &[Index],
    ) -> Result<bool, LockingError> {
        let Subject::Package { name, version, index } = &request.subject else { return Ok(false) };
        let fits = |id: PackageId| {
            let fits_version = version.as_ref().is_none_or(|(operator, wanted)| {
                let order = universe.compare(universe.version(id), wanted);
                match operator.as_str() {
                    "=" => order.is_eq(),
                    ">=" => order.is_ge(),
                    "<=" => order.is_le(),
                    ">>" => order.is_gt(),
                    _ => order.is_lt(),
                }
            });
            fits_version
                && index.as_ref().is_none_or(|index| {
                    indexes.get(universe.index(id)).is_some_and(|from| from.locked.id == *index)
                })
        };
        let mut found: Vec<PackageId> = universe.named(name).iter().copied().filter(|&id| fits(id)).collect();
        if !found.is_empty() {
            if version.is_some() || index.is_some() {
                self.pinned.insert(name.clone(), found.clone());
            }
            self.asked_for.extend(&found);
        } else if version.is_none() && index.is_none() {
            found = universe.providers(name)?;
        }
        let any = !found.is_empty();
        if any {
            self.need(found, request.text.clone());
        }
        Ok(any)
    }
}

fn unknown_package(request: &Request, universe: &dyn Universe) -> UnknownRequest {
    let Subject::Package { name, .. } = &request.subject else {
        return UnknownRequest {
            request: request.text.clone(),
            versions: Vec::new(),
            suggestions: Vec::new(),
        };
    };
    let versions: Vec<String> =
        universe.named(name).iter().map(|&id| format!("{name} {}", universe.version(id))).collect();
    let suggestions =
        if versions.is_empty() { similar(name, universe.names(), SUGGESTIONS) } else { Vec::new() };
    UnknownRequest { request: request.text.clone(), versions, suggestions }
}

fn unknown_group(name: &str, universe: &dyn Universe) -> UnknownRequest {
    let groups = universe.groups();
    let suggestions = similar(name, groups.iter().map(String::as_str), SUGGESTIONS);
    UnknownRequest { request: name.to_owned(), versions: Vec::new(), suggestions }
}
