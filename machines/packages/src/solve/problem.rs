//! The part of a universe that some needs can reach, as numbers: what the solver works on.

use std::collections::{BTreeMap, HashMap};

use super::Closure;
use crate::universe::{Clause, EntryError, PackageId, Universe};

/// The number of a package within a problem.
pub(super) type Node = u32;

/// What may be taken, and what it costs.
pub trait Reach {
    /// Whether a package may be in the set at all.
    fn admits(&self, id: PackageId) -> bool;

    /// How little it is wanted; packages that cost less together are preferred.
    fn weight(&self, id: PackageId) -> u32;

    /// Whether what packages recommend is wanted too.
    fn recommends(&self) -> bool;
}

/// Needs and exclusions of every package that can be reached.
#[derive(Debug)]
pub struct Problem {
    pub(super) packages: Vec<Package>,
    /// What was asked for.
    pub(super) roots: Vec<Need>,
}

#[derive(Debug)]
pub(super) struct Package {
    pub(super) id: PackageId,
    pub(super) name: String,
    pub(super) version: String,
    pub(super) weight: u32,
    pub(super) needs: Vec<Need>,
    /// What it recommends, if that is wanted.
    pub(super) wishes: Vec<Need>,
    /// What can't be there with it, in either direction, sorted.
    pub(super) enemies: Vec<Node>,
    /// What it says itself of each of them.
    pub(super) refuses: Vec<(Node, String)>,
}

#[derive(Clone, Debug)]
pub(super) struct Need {
    /// It counts only if of each of these sets one is there.
    pub(super) when: Vec<Vec<Node>>,
    pub(super) any_of: Vec<Node>,
    pub(super) text: String,
    /// Packages that would do but may not be taken.
    pub(super) refused: Vec<PackageId>,
}

impl Problem {
    /// Follows the needs as far as they can lead.
    ///
    /// # Errors
    /// If the entry of a package on the way can't be understood.
    pub fn explore(universe: &dyn Universe, roots: &[Clause], reach: &dyn Reach) -> Result<Self, EntryError> {
        let mut explorer = Explorer { reach, numbers: HashMap::new(), order: Vec::new() };
        let roots: Vec<Need> = roots.iter().map(|root| explorer.need(root)).collect();
        let (mut packages, mut exclusions, mut conditions) = (Vec::new(), Vec::new(), Vec::new());
        while let Some(&id) = explorer.order.get(packages.len()) {
            let relations = universe.relations(id)?;
            let mut needs: Vec<Need> = Vec::with_capacity(relations.requires.len());
            for clause in &relations.requires {
                if !clause.when.is_empty() {
                    conditions.push((packages.len(), needs.len(), clause.when.clone()));
                }
                needs.push(explorer.need(clause));
            }
            let mut wishes = Vec::new();
            if reach.recommends() {
                wishes.extend(
                    relations
                        .recommends
                        .iter()
                        .filter(|clause| clause.when.is_empty())
                        .map(|clause| explorer.need(clause)),
                );
                wishes.retain(|need| !need.any_of.is_empty());
            }
            exclusions.push(relations.excludes);
            packages.push(Package {
                id,
                name: universe.name(id).to_owned(),
                version: universe.version(id).to_owned(),
                weight: reach.weight(id),
                needs,
                wishes,
                enemies: Vec::new(),
                refuses: Vec::new(),
            });
        }
        let mut problem = Self { packages, roots };
        // Only now it is known who is there at all.
        for (package, need, when) in conditions.into_iter().rev() {
            let sets: Vec<Vec<Node>> = when.iter().map(|set| explorer.known(set)).collect();
            let needs = &mut problem.packages[package].needs;
            if sets.iter().any(Vec::is_empty) {
                needs.remove(need);
            } else {
                needs[need].when = sets;
            }
        }
        for (package, exclusions) in exclusions.into_iter().enumerate() {
            for exclusion in exclusions {
                for enemy in explorer.known(&exclusion.none_of) {
                    if enemy as usize != package {
                        problem.packages[package].refuses.push((enemy, exclusion.text.clone()));
                        problem.packages[package].enemies.push(enemy);
                        problem.packages[enemy as usize].enemies.push(package as Node);
                    }
                }
            }
        }
        problem.separate_versions();
        for package in &mut problem.packages {
            package.enemies.sort_unstable();
            package.enemies.dedup();
        }
        Ok(problem)
    }

    /// How many packages can be reached.
    #[must_use]
    pub fn size(&self) -> usize {
        self.packages.len()
    }

    /// The problem as an integer program in the LP format: one variable a package, the fewest are wanted. For comparison
    /// with other solvers.
    #[must_use]
    pub fn to_lp(&self) -> String {
        use std::fmt::Write as _;
        let mut text = String::from("Minimize\n obj:");
        for node in 0..self.packages.len() {
            let _ = write!(text, " + x{node}");
            if node % 20 == 19 {
                text.push('\n');
            }
        }
        text.push_str("\nSubject To\n");
        let row = |text: &mut String, needs: &[Need], package: Option<Node>| {
            for need in needs {
                for mut company in combinations(&need.when) {
                    company.extend(package);
                    for one in &need.any_of {
                        let _ = write!(text, " + x{one}");
                    }
                    for one in &company {
                        let _ = write!(text, " - x{one}");
                    }
                    let _ = writeln!(text, " >= {}", 1 - company.len() as i64);
                }
            }
        };
        row(&mut text, &self.roots, None);
        for (at, package) in self.packages.iter().enumerate() {
            row(&mut text, &package.needs, Some(at as Node));
            for &enemy in package.enemies.iter().filter(|&&enemy| enemy as usize > at) {
                let _ = writeln!(text, " x{at} + x{enemy} <= 1");
            }
        }
        text.push_str("Binary\n");
        for node in 0..self.packages.len() {
            let _ = writeln!(text, " x{node}");
        }
        text.push_str("End\n");
        text
    }

    pub(super) fn has_wishes(&self) -> bool {
        self.packages.iter().any(|package| !package.wishes.is_empty())
    }

    pub(super) fn package(&self, node: Node) -> &Package {
        &self.packages[node as usize]
    }

    pub(super) fn weight_of(&self, set: &[Node]) -> u64 {
        set.iter().map(|&node| u64::from(self.package(node).weight)).sum()
    }

    pub(super) fn closure(&self, set: &[Node]) -> Closure {
        let mut packages: Vec<PackageId> = set.iter().map(|&node| self.package(node).id).collect();
        packages.sort_unstable();
        Closure { packages }
    }

    /// Whether a set meets every need and excludes nothing of itself.
    pub(super) fn is_solution(&self, set: &[Node]) -> bool {
        let mut inside = vec![false; self.packages.len()];
        for &node in set {
            inside[node as usize] = true;
        }
        let has = |nodes: &[Node]| nodes.iter().any(|&node| inside[node as usize]);
        let met = |need: &Need| has(&need.any_of) || !need.when.iter().all(|set| has(set));
        self.roots.iter().all(met)
            && set.iter().all(|&node| {
                let package = self.package(node);
                package.needs.iter().all(met) && !has(&package.enemies)
            })
    }

    /// Of one name there is one package at most.
    fn separate_versions(&mut self) {
        let mut same: BTreeMap<String, Vec<Node>> = BTreeMap::new();
        for (at, package) in self.packages.iter().enumerate() {
            same.entry(package.name.clone()).or_default().push(at as Node);
        }
        for nodes in same.into_values().filter(|nodes| nodes.len() > 1) {
            for &node in &nodes {
                self.packages[node as usize].enemies.extend(nodes.iter().filter(|&&other| other != node));
            }
        }
    }
}

/// One of each set, in every way.
fn combinations(sets: &[Vec<Node>]) -> Vec<Vec<Node>> {
    let mut all = vec![Vec::new()];
    for set in sets {
        let longer = |start: &Vec<Node>| -> Vec<Vec<Node>> {
            set.iter().map(|&node| start.iter().copied().chain([node]).collect()).collect()
        };
        all = all.iter().flat_map(longer).collect();
    }
    all
}

struct Explorer<'a> {
    reach: &'a dyn Reach,
    numbers: HashMap<PackageId, Node>,
    order: Vec<PackageId>,
}

impl Explorer<'_> {
    fn need(&mut self, clause: &Clause) -> Need {
        let (mut any_of, mut refused) = (Vec::new(), Vec::new());
        for &id in &clause.any_of {
            if self.reach.admits(id) {
                any_of.push(self.number(id));
            } else {
                refused.push(id);
            }
        }
        Need { when: Vec::new(), any_of, text: clause.text.clone(), refused }
    }

    fn number(&mut self, id: PackageId) -> Node {
        let order = &mut self.order;
        *self.numbers.entry(id).or_insert_with(|| {
            order.push(id);
            order.len() as Node - 1
        })
    }

    fn known(&self, ids: &[PackageId]) -> Vec<Node> {
        let mut nodes: Vec<Node> = ids.iter().filter_map(|id| self.numbers.get(id).copied()).collect();
        nodes.sort_unstable();
        nodes.dedup();
        nodes
    }
}

#[cfg(test)]
pub(super) mod samples {
    //! Problems written as text: `a: b | c, d ! e` is a package that needs b or c, and d, and refuses e.

    use super::*;

    /// The first line is what was asked for.
    pub(in crate::solve) fn problem(text: &str) -> Problem {
        let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let names: Vec<&str> =
            lines[1..].iter().map(|line| line.split([':', '!']).next().unwrap_or("").trim()).collect();
        let node = |name: &str| names.iter().position(|other| *other == name.trim()).map(|at| at as Node);
        let needs = |text: &str| -> Vec<Need> {
            let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
            parts
                .map(|part| Need {
                    when: Vec::new(),
                    any_of: part.split('|').filter_map(node).collect(),
                    text: part.to_owned(),
                    refused: Vec::new(),
                })
                .collect()
        };
        let mut packages: Vec<Package> = Vec::new();
        for (at, line) in lines[1..].iter().enumerate() {
            let (rest, refuses) = line.split_once('!').unwrap_or((line, ""));
            let (name, needed) = rest.split_once(':').unwrap_or((rest, ""));
            let refuses: Vec<(Node, String)> = refuses
                .split(',')
                .filter_map(|name| Some((node(name)?, format!("Conflicts: {}", name.trim()))))
                .collect();
            packages.push(Package {
                id: PackageId(at as u32),
                name: name.trim().to_owned(),
                version: "1".to_owned(),
                weight: 1,
                needs: needs(needed),
                wishes: Vec::new(),
                enemies: refuses.iter().map(|(node, _)| *node).collect(),
                refuses,
            });
        }
        for at in 0..packages.len() {
            for (enemy, _) in packages[at].refuses.clone() {
                packages[enemy as usize].enemies.push(at as Node);
            }
        }
        Problem { packages, roots: needs(lines[0]) }
    }

    pub(in crate::solve) fn names(problem: &Problem, set: &[Node]) -> String {
        let mut names: Vec<&str> = set.iter().map(|&node| &*problem.package(node).name).collect();
        names.sort_unstable();
        names.join(" ")
    }
}
