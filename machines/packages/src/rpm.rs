//! RPM's repositories: the signed table of files, the lists of packages, and what they say of each package.

mod comps;
mod fetch;
mod primary;
mod relation;
mod repomd;

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::family::Family;
use crate::lock::LockedPackage;
use crate::name::IndexId;
use crate::universe::{Clause, EntryError, Exclusion, PackageId, Relations, Universe};

pub(crate) use fetch::{fetch, recall};
use primary::Record;
use relation::{Dependency, Formula};
pub use repomd::RpmError;

/// The texts of one repository.
#[derive(Clone, Debug, Default)]
pub(crate) struct RpmTexts {
    pub(crate) primary: String,
    pub(crate) filelists: Option<String>,
    pub(crate) groups: Option<String>,
}

/// All packages of some RPM repositories, for one architecture.
#[derive(Debug)]
pub struct RpmUniverse {
    indexes: Vec<IndexId>,
    records: Vec<Record>,
    by_name: HashMap<String, Vec<PackageId>>,
    /// Who provides a name: the package, and the place in its list.
    provided: HashMap<String, Vec<(PackageId, usize)>>,
    files: HashMap<String, Vec<PackageId>>,
    groups: BTreeMap<String, Vec<String>>,
}

/// Sets of which all must have a member, and one of which must.
struct Part {
    when: Vec<Vec<PackageId>>,
    any_of: Vec<PackageId>,
}

/// More parts come of no dependency that is meant seriously.
const PARTS: usize = 1000;

impl RpmUniverse {
    /// Puts repositories together.
    pub(crate) fn new(
        indexes: &[(IndexId, &RpmTexts)],
        architecture: &str,
    ) -> Result<Self, (usize, RpmError)> {
        let mut universe = Self {
            indexes: Vec::new(),
            records: Vec::new(),
            by_name: HashMap::new(),
            provided: HashMap::new(),
            files: HashMap::new(),
            groups: BTreeMap::new(),
        };
        for (number, (id, texts)) in indexes.iter().enumerate() {
            let failed = |error| (number, error);
            for mut record in primary::records(&texts.primary, architecture).map_err(failed)? {
                record.index = number;
                universe.add(record);
            }
            if let Some(text) = &texts.groups {
                for (name, members) in comps::groups(text).map_err(failed)? {
                    universe.groups.entry(name).or_default().extend(members);
                }
            }
            universe.indexes.push(id.clone());
        }
        let wanted = universe.unknown_files();
        if !wanted.is_empty() {
            for (number, (_, texts)) in indexes.iter().enumerate() {
                let Some(text) = &texts.filelists else { continue };
                let owners = primary::owners(text, &wanted).map_err(|error| (number, error))?;
                universe.add_owners(owners);
            }
        }
        let records = &universe.records;
        for same in universe.by_name.values_mut() {
            same.sort_by(|one, other| {
                let (one_version, other_version) = (&records[one.at()].version, &records[other.at()].version);
                let order = crate::version::compare_versions(Family::Rpm, one_version, other_version);
                order.reverse().then(one.cmp(other))
            });
        }
        Ok(universe)
    }

    /// The packages of one repository's lists, of which nothing is said about who signed them.
    ///
    /// # Errors
    /// If a list can't be understood.
    pub fn of_lists(
        id: IndexId,
        primary: String,
        filelists: Option<String>,
        groups: Option<String>,
        architecture: &str,
    ) -> Result<Self, RpmError> {
        let texts = RpmTexts { primary, filelists, groups };
        Self::new(&[(id, &texts)], architecture).map_err(|(_, error)| error)
    }

    fn add(&mut self, record: Record) {
        let same = self.by_name.entry(record.name.clone()).or_default();
        let known = |id: &PackageId| {
            let other = &self.records[id.at()];
            other.version == record.version && other.architecture == record.architecture
        };
        if same.iter().any(known) {
            return;
        }
        let id = PackageId(self.records.len() as u32);
        same.push(id);
        for (at, provided) in record.provides.iter().enumerate() {
            self.provided.entry(provided.name.clone()).or_default().push((id, at));
        }
        for file in &record.files {
            self.files.entry(file.clone()).or_default().push(id);
        }
        self.records.push(record);
    }

    /// Files that something needs and that only the long lists can know.
    fn unknown_files(&self) -> HashSet<String> {
        let needed = self.records.iter().flat_map(|record| &record.requires).map(|needed| &needed.name);
        let unknown = needed.filter(|name| {
            name.starts_with('/') && !self.files.contains_key(*name) && !self.provided.contains_key(*name)
        });
        unknown.cloned().collect()
    }

    fn add_owners(&mut self, owners: primary::Owners) {
        for (file, packages) in owners {
            for (name, architecture, version) in packages {
                let same = self.by_name.get(&name).into_iter().flatten().copied();
                let is_it = |id: &PackageId| {
                    let record = &self.records[id.at()];
                    record.version == version && record.architecture == architecture
                };
                let found: Vec<PackageId> = same.filter(is_it).collect();
                let owners = self.files.entry(file.clone()).or_default();
                owners.extend(found);
                owners.sort_unstable();
                owners.dedup();
            }
        }
    }

    fn record(&self, id: PackageId) -> &Record {
        &self.records[id.at()]
    }

    fn error(&self, id: PackageId, field: &'static str, text: &str) -> EntryError {
        let record = self.record(id);
        EntryError {
            package: record.name.clone(),
            index: self.indexes[record.index].to_string(),
            field,
            text: text.to_owned(),
        }
    }

    /// Every package that a dependency means; those of its name first, then the newest of each other name.
    fn matching(&self, wanted: &Dependency) -> Vec<PackageId> {
        let provided = self.provided.get(&wanted.name).into_iter().flatten();
        let meets = |(id, at): &&(PackageId, usize)| {
            self.record(*id).provides.get(*at).is_some_and(|provided| wanted.is_met_by(provided))
        };
        let mut found: Vec<PackageId> = provided.filter(meets).map(|(id, _)| *id).collect();
        // Packages provide their own names, but nothing forces who writes the lists to say so.
        found.extend(self.named(&wanted.name).iter().copied().filter(|&id| self.has_version(id, wanted)));
        if wanted.version.is_none() {
            found.extend(self.files.get(&wanted.name).into_iter().flatten());
        }
        found.sort_unstable();
        found.dedup();
        let rank = |id: &PackageId| {
            let place = self.named(self.name(*id)).iter().position(|other| other == id);
            (self.name(*id) != wanted.name, place, *id)
        };
        found.sort_by_cached_key(rank);
        found
    }

    fn has_version(&self, id: PackageId, wanted: &Dependency) -> bool {
        let itself = Dependency {
            name: wanted.name.clone(),
            version: relation::Sense::parse("EQ").map(|equal| (equal, self.record(id).version.clone())),
        };
        wanted.is_met_by(&itself)
    }

    /// All that a formula means as one set, if it is that simple.
    fn set(&self, formula: &Formula) -> Option<Vec<PackageId>> {
        Some(match formula {
            Formula::Simple(wanted) => self.matching(wanted),
            Formula::Any(all) => {
                let mut found: Vec<PackageId> = Vec::new();
                for one in all {
                    found.extend(
                        self.set(one)?.into_iter().filter(|id| !found.contains(id)).collect::<Vec<_>>(),
                    );
                }
                found
            }
            Formula::With(one, other) => {
                let other = self.set(other)?;
                self.set(one)?.into_iter().filter(|id| other.contains(id)).collect()
            }
            Formula::Without(one, other) => {
                let other = self.set(other)?;
                self.set(one)?.into_iter().filter(|id| !other.contains(id)).collect()
            }
            Formula::All(_) | Formula::If(..) | Formula::Unless(..) => return None,
        })
    }

    /// A formula as needs, all of which must be met.
    fn parts(&self, formula: &Formula) -> Option<Vec<Part>> {
        if let Some(any_of) = self.set(formula) {
            return Some(vec![Part { when: Vec::new(), any_of }]);
        }
        let parts = match formula {
            Formula::All(all) => {
                let mut parts = Vec::new();
                for one in all {
                    parts.extend(self.parts(one)?);
                }
                parts
            }
            Formula::Any(all) => {
                let mut all = all.iter();
                let mut parts = self.parts(all.next()?)?;
                for one in all {
                    parts = either(&parts, &self.parts(one)?)?;
                }
                parts
            }
            Formula::If(then, condition, otherwise) => {
                let condition = self.parts(condition)?;
                let mut parts = self.parts(then)?;
                for part in &mut parts {
                    for needed in &condition {
                        if !needed.when.is_empty() {
                            return None;
                        }
                        part.when.push(needed.any_of.clone());
                    }
                }
                if let Some(otherwise) = otherwise {
                    parts.extend(either(&self.parts(otherwise)?, &condition)?);
                }
                parts
            }
            Formula::Unless(then, condition, otherwise) => {
                let condition = self.parts(condition)?;
                let mut parts = either(&self.parts(then)?, &condition)?;
                if let Some(otherwise) = otherwise {
                    parts.extend(self.parts(otherwise)?.into_iter().map(|mut part| {
                        part.when.extend(condition.iter().map(|needed| needed.any_of.clone()));
                        part
                    }));
                }
                parts
            }
            Formula::Simple(_) | Formula::With(..) | Formula::Without(..) => return None,
        };
        (parts.len() <= PARTS).then_some(parts)
    }

    fn clauses(
        &self,
        id: PackageId,
        field: &'static str,
        list: &[Dependency],
    ) -> Result<Vec<Clause>, EntryError> {
        let mut clauses: Vec<Clause> = Vec::new();
        for wanted in list {
            // What rpm itself can do.
            if wanted.name.starts_with("rpmlib(") {
                continue;
            }
            let parts = if wanted.name.starts_with('(') {
                let parts = Formula::parse(&wanted.name).and_then(|formula| self.parts(&formula));
                parts.ok_or_else(|| self.error(id, field, &wanted.name))?
            } else {
                vec![Part { when: Vec::new(), any_of: self.matching(wanted) }]
            };
            for Part { when, any_of } in parts {
                let clause = Clause { when, any_of, text: wanted.text() };
                // Its own files and libraries stand in the lists too.
                if !clause.any_of.contains(&id) && !clauses.contains(&clause) {
                    clauses.push(clause);
                }
            }
        }
        Ok(clauses)
    }

    fn exclusions(
        &self,
        id: PackageId,
        list: &[Dependency],
        word: &str,
    ) -> Result<Vec<Exclusion>, EntryError> {
        let mut exclusions = Vec::new();
        for refused in list {
            let mut none_of = if refused.name.starts_with('(') {
                let formula = Formula::parse(&refused.name);
                let formula = formula.ok_or_else(|| self.error(id, "Conflicts", &refused.name))?;
                // `(a and b)` and the like forbid only what happens together: the package manager sees it.
                self.set(&formula).unwrap_or_default()
            } else if word == "Obsoletes" {
                // Only names count here.
                let named = self.named(&refused.name).iter().copied();
                named.filter(|&other| self.has_version(other, refused)).collect()
            } else {
                self.matching(refused)
            };
            none_of.retain(|&other| self.name(other) != self.name(id));
            if !none_of.is_empty() {
                exclusions.push(Exclusion { none_of, text: format!("{word}: {}", refused.text()) });
            }
        }
        Ok(exclusions)
    }
}

/// One or the other, part by part.
fn either(one: &[Part], other: &[Part]) -> Option<Vec<Part>> {
    if one.len().saturating_mul(other.len()) > PARTS {
        return None;
    }
    let join = |left: &Part, right: &Part| {
        let mut any_of = left.any_of.clone();
        any_of.extend(right.any_of.iter().copied().filter(|id| !left.any_of.contains(id)));
        Part { when: left.when.iter().chain(&right.when).cloned().collect(), any_of }
    };
    Some(one.iter().flat_map(|left| other.iter().map(move |right| join(left, right))).collect())
}

impl Universe for RpmUniverse {
    fn family(&self) -> Family {
        Family::Rpm
    }

    fn count(&self) -> usize {
        self.records.len()
    }

    fn name(&self, id: PackageId) -> &str {
        &self.record(id).name
    }

    fn version(&self, id: PackageId) -> &str {
        &self.record(id).version
    }

    fn index(&self, id: PackageId) -> usize {
        self.record(id).index
    }

    fn named(&self, name: &str) -> &[PackageId] {
        self.by_name.get(name).map_or(&[], |same| same)
    }

    fn names(&self) -> Box<dyn Iterator<Item = &str> + '_> {
        Box::new(self.by_name.keys().map(String::as_str))
    }

    fn providers(&self, word: &str) -> Result<Vec<PackageId>, EntryError> {
        Ok(self.matching(&Dependency { name: word.to_owned(), version: None }))
    }

    fn group(&self, name: &str) -> Option<Vec<PackageId>> {
        let members = self.groups.get(name.strip_prefix("group:")?)?;
        // Lists name packages that some architectures don't have.
        Some(members.iter().filter_map(|member| self.named(member).first().copied()).collect())
    }

    fn groups(&self) -> Vec<String> {
        self.groups.keys().map(|group| format!("group:{group}")).collect()
    }

    fn is_essential(&self, _id: PackageId) -> bool {
        false
    }

    fn installed_size(&self, id: PackageId) -> u64 {
        self.record(id).installed_size
    }

    fn relations(&self, id: PackageId) -> Result<Relations, EntryError> {
        let record = self.record(id);
        let mut excludes = self.exclusions(id, &record.conflicts, "Conflicts")?;
        excludes.extend(self.exclusions(id, &record.obsoletes, "Obsoletes")?);
        Ok(Relations {
            requires: self.clauses(id, "Requires", &record.requires)?,
            recommends: self.clauses(id, "Recommends", &record.recommends)?,
            excludes,
        })
    }

    fn locked(&self, id: PackageId) -> Result<LockedPackage, EntryError> {
        let record = self.record(id);
        let wrong = |field, text: &str| self.error(id, field, text);
        if record.algorithm != "sha256" {
            return Err(wrong("SHA-256 checksum", &record.algorithm));
        }
        Ok(LockedPackage {
            name: record.name.parse().map_err(|_| wrong("name", &record.name))?,
            version: record.version.parse().map_err(|_| wrong("version", &record.version))?,
            architecture: record
                .architecture
                .parse()
                .map_err(|_| wrong("architecture", &record.architecture))?,
            index: self.indexes[record.index].clone(),
            path: record.path.parse().map_err(|_| wrong("location", &record.path))?,
            size: record.size.parse().map_err(|_| wrong("size", &record.size))?,
            sha256: record.checksum.parse().map_err(|_| wrong("checksum", &record.checksum))?,
            requested: false,
        })
    }
}
