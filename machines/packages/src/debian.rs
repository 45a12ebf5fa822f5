//! Debian's repositories: the signed release file, the lists of packages, and what they say of each package.

mod fetch;
mod record;
mod relation;
mod release;
pub(crate) mod stanzas;

use std::collections::HashMap;

use crate::family::Family;
use crate::index::IndexFault;
use crate::lock::LockedPackage;
use crate::name::IndexId;
use crate::universe::{Clause, EntryError, Exclusion, PackageId, Relations, Universe};

pub(crate) use fetch::{fetch, recall};
pub use record::RecordError;
pub(crate) use record::{Record, records};
pub(crate) use relation::Relation;
pub use release::{Release, ReleaseError};

/// All packages of some of Debian's indexes, for one architecture.
#[derive(Debug)]
pub struct DebianUniverse<'a> {
    indexes: Vec<IndexId>,
    records: Vec<Record<'a>>,
    by_name: HashMap<&'a str, Vec<PackageId>>,
    /// Who provides a name, and at which version.
    provided: HashMap<&'a str, Vec<(PackageId, Option<&'a str>)>>,
}

/// The priorities, each of which includes those before it.
const PRIORITIES: [&str; 3] = ["required", "important", "standard"];

impl<'a> DebianUniverse<'a> {
    /// Puts indexes together: for each its id and its records.
    ///
    /// # Errors
    /// If an entry can't be understood.
    pub(crate) fn new(indexes: Vec<(IndexId, Vec<Record<'a>>)>) -> Result<Self, EntryError> {
        let count = indexes.iter().map(|(_, records)| records.len()).sum();
        let mut universe = Self {
            indexes: Vec::with_capacity(indexes.len()),
            records: Vec::with_capacity(count),
            by_name: HashMap::with_capacity(count),
            provided: HashMap::with_capacity(count),
        };
        for (number, (index, records)) in indexes.into_iter().enumerate() {
            universe.indexes.push(index);
            for mut record in records {
                record.index = number as u32;
                let id = PackageId(universe.records.len() as u32);
                universe.records.push(record);
                let same = universe.by_name.entry(record.name).or_default();
                // The same package in two indexes, as a point release has what security had before.
                let known = |other: &PackageId| {
                    let other = &universe.records[other.at()];
                    other.version == record.version && other.architecture == record.architecture
                };
                if same.iter().any(known) {
                    universe.records.pop();
                    continue;
                }
                same.push(id);
                for part in relation::parts(record.provides) {
                    let provided = Relation::parse(part).filter(|provided| {
                        matches!(provided.version, None | Some((relation::Operator::Equal, _)))
                    });
                    let provided = provided.ok_or_else(|| universe.error(id, "Provides", part))?;
                    let version = provided.version.map(|(_, version)| version);
                    universe.provided.entry(provided.name).or_default().push((id, version));
                }
            }
        }
        let records = &universe.records;
        for same in universe.by_name.values_mut().filter(|same| same.len() > 1) {
            same.sort_by(|one, other| {
                let order = crate::version::compare_versions(
                    Family::Debian,
                    records[one.at()].version,
                    records[other.at()].version,
                );
                order.reverse().then(one.cmp(other))
            });
        }
        Ok(universe)
    }

    /// The packages of one list, of which nothing is said about who signed it.
    ///
    /// # Errors
    /// If an entry can't be understood.
    pub fn of_list(id: IndexId, text: &'a str, architecture: &str) -> Result<Self, IndexFault> {
        let records = records(text, architecture, 1)?;
        Ok(Self::new(vec![(id, records)])?)
    }

    fn record(&self, id: PackageId) -> &Record<'a> {
        &self.records[id.at()]
    }

    fn error(&self, id: PackageId, field: &'static str, text: &str) -> EntryError {
        let record = self.record(id);
        EntryError {
            package: record.name.to_owned(),
            index: self.indexes[record.index as usize].to_string(),
            field,
            text: text.to_owned(),
        }
    }

    /// Every package that a relation means: those of the name first, then those that provide it.
    fn matching(&self, relation: &Relation<'_>, found: &mut Vec<PackageId>) {
        for &id in self.named(relation.name) {
            if relation.admits(self.version(id)) && !found.contains(&id) {
                found.push(id);
            }
        }
        for &(id, version) in self.provided.get(relation.name).map_or(&[][..], |all| all) {
            if relation.admits_provided(version) && !found.contains(&id) {
                found.push(id);
            }
        }
    }

    fn clauses(&self, id: PackageId, field: &'static str, value: &str) -> Result<Vec<Clause>, EntryError> {
        let mut clauses = Vec::new();
        for part in relation::parts(value) {
            let mut any_of = Vec::new();
            for relation in relation::alternatives(part) {
                let relation = relation.ok_or_else(|| self.error(id, field, part))?;
                self.matching(&relation, &mut any_of);
            }
            // Its own name, or what it provides itself.
            if !any_of.contains(&id) {
                clauses.push(Clause { when: Vec::new(), any_of, text: part.to_owned() });
            }
        }
        Ok(clauses)
    }

    fn exclusions(
        &self,
        id: PackageId,
        field: &'static str,
        value: &str,
    ) -> Result<Vec<Exclusion>, EntryError> {
        let mut exclusions = Vec::new();
        for part in relation::parts(value) {
            let relation = Relation::parse(part).ok_or_else(|| self.error(id, field, part))?;
            let mut none_of = Vec::new();
            self.matching(&relation, &mut none_of);
            // Two versions of one package are never together anyway.
            none_of.retain(|&other| self.name(other) != self.name(id));
            if !none_of.is_empty() {
                exclusions.push(Exclusion { none_of, text: format!("{field}: {part}") });
            }
        }
        Ok(exclusions)
    }

    fn of_priority(&self, priority: &str) -> Option<Vec<PackageId>> {
        let last = PRIORITIES.iter().position(|known| *known == priority)?;
        Some(self.newest(|record| PRIORITIES[..=last].contains(&record.priority)))
    }

    /// The newest of each name, if it is so.
    fn newest(&self, holds: impl Fn(&Record<'a>) -> bool) -> Vec<PackageId> {
        let newest = self.by_name.values().filter_map(|same| same.first().copied());
        let mut found: Vec<PackageId> = newest.filter(|&id| holds(self.record(id))).collect();
        found.sort_unstable();
        found
    }
}

impl Universe for DebianUniverse<'_> {
    fn family(&self) -> Family {
        Family::Debian
    }

    fn count(&self) -> usize {
        self.records.len()
    }

    fn name(&self, id: PackageId) -> &str {
        self.record(id).name
    }

    fn version(&self, id: PackageId) -> &str {
        self.record(id).version
    }

    fn index(&self, id: PackageId) -> usize {
        self.record(id).index as usize
    }

    fn named(&self, name: &str) -> &[PackageId] {
        self.by_name.get(name).map_or(&[], |same| same)
    }

    fn names(&self) -> Box<dyn Iterator<Item = &str> + '_> {
        Box::new(self.by_name.keys().chain(self.provided.keys()).copied())
    }

    fn providers(&self, word: &str) -> Result<Vec<PackageId>, EntryError> {
        let mut found = Vec::new();
        if let Some(relation) = Relation::parse(word) {
            self.matching(&relation, &mut found);
        }
        Ok(found)
    }

    fn group(&self, name: &str) -> Option<Vec<PackageId>> {
        if let Some(priority) = name.strip_prefix("priority:") {
            return self.of_priority(priority);
        }
        let task = name.strip_prefix("task:")?;
        let found = self.newest(|record| relation::parts(record.task).any(|other| other == task));
        (!found.is_empty()).then_some(found)
    }

    fn groups(&self) -> Vec<String> {
        let mut tasks: Vec<String> = self
            .records
            .iter()
            .flat_map(|record| relation::parts(record.task))
            .map(|task| format!("task:{task}"))
            .chain(PRIORITIES.iter().map(|priority| format!("priority:{priority}")))
            .collect();
        tasks.sort();
        tasks.dedup();
        tasks
    }

    fn is_essential(&self, id: PackageId) -> bool {
        self.record(id).essential
    }

    fn installed_size(&self, id: PackageId) -> u64 {
        self.record(id).installed_size.parse::<u64>().unwrap_or(0).saturating_mul(1024)
    }

    fn relations(&self, id: PackageId) -> Result<Relations, EntryError> {
        let record = self.record(id);
        let mut requires = self.clauses(id, "Pre-Depends", record.pre_depends)?;
        requires.extend(self.clauses(id, "Depends", record.depends)?);
        let mut excludes = self.exclusions(id, "Conflicts", record.conflicts)?;
        excludes.extend(self.exclusions(id, "Breaks", record.breaks)?);
        let recommends = self.clauses(id, "Recommends", record.recommends)?;
        Ok(Relations { requires, recommends, excludes })
    }

    fn locked(&self, id: PackageId) -> Result<LockedPackage, EntryError> {
        let record = self.record(id);
        let wrong = |field, text: &str| self.error(id, field, text);
        Ok(LockedPackage {
            name: record.name.parse().map_err(|_| wrong("Package", record.name))?,
            version: record.version.parse().map_err(|_| wrong("Version", record.version))?,
            architecture: record
                .architecture
                .parse()
                .map_err(|_| wrong("Architecture", record.architecture))?,
            index: self.indexes[record.index as usize].clone(),
            path: record.filename.parse().map_err(|_| wrong("Filename", record.filename))?,
            size: record.size.parse().map_err(|_| wrong("Size", record.size))?,
            sha256: record.sha256.parse().map_err(|_| wrong("SHA256", record.sha256))?,
            requested: false,
        })
    }
}
