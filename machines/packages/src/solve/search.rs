//! The complete search, by resolvo: a set if there is one.

use std::fmt;

use resolvo::utils::{Pool, VersionSet};
use resolvo::{
    Candidates, Condition, ConditionId, ConditionalRequirement, DenseIndex as _, Dependencies,
    DependencyProvider, HintDependenciesAvailable, Interner, KnownDependencies, LogicalOperator, NameId,
    Requirement, SolvableId, Solver, SolverCache, StringId, VersionSetId, VersionSetUnionId,
};

use super::problem::{Need, Node, Problem};

/// Finds a set; in each choice the hinted packages come first. `None` if there is none.
pub(super) fn search(problem: &Problem, hints: &[Node]) -> Option<Vec<Node>> {
    search_for(problem, &problem.roots.iter().collect::<Vec<_>>(), hints)
}

/// As [`search`], for some of the requests.
pub(super) fn search_for(problem: &Problem, roots: &[&Need], hints: &[Node]) -> Option<Vec<Node>> {
    let provider = Provider::new(problem, hints);
    let roots = roots.iter().map(|need| provider.requirement(need)).collect::<Option<Vec<_>>>()?;
    let goal = resolvo::Problem::new().requirements(roots);
    let mut solver = Solver::new(provider);
    let found = solver.solve(goal).ok()?;
    let provider = solver.provider();
    let mut set: Vec<Node> = found.into_iter().map(|solvable| provider.node(solvable)).collect();
    set.sort_unstable();
    Some(set)
}

/// Some of the packages of one name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Subset(Vec<Node>);

impl fmt::Display for Subset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

impl VersionSet for Subset {
    type V = Node;
}

/// A problem in resolvo's words.
struct Provider<'p> {
    problem: &'p Problem,
    pool: Pool<Subset>,
    names: Vec<NameId>,
    /// By name.
    candidates: Vec<Vec<SolvableId>>,
    /// The place of each package in choices; hinted ones are in front.
    hinted: Vec<bool>,
}

impl<'p> Provider<'p> {
    fn new(problem: &'p Problem, hints: &[Node]) -> Self {
        let pool = Pool::new();
        let mut names = Vec::new();
        let mut candidates: Vec<Vec<SolvableId>> = Vec::new();
        for (at, package) in problem.packages.iter().enumerate() {
            let name = pool.intern_package_name(package.name.as_str());
            let solvable = pool.intern_solvable(name, at as Node);
            names.push(name);
            let number = name.to_index();
            if candidates.len() <= number {
                candidates.resize_with(number + 1, Vec::new);
            }
            candidates[number].push(solvable);
        }
        let mut hinted = vec![false; problem.packages.len()];
        for &node in hints {
            hinted[node as usize] = true;
        }
        Self { problem, pool, names, candidates, hinted }
    }

    fn node(&self, solvable: SolvableId) -> Node {
        self.pool.resolve_solvable(solvable).record
    }

    /// Sets of one name each, in the order that names first come up.
    fn sets(&self, nodes: &[Node]) -> Vec<VersionSetId> {
        let mut groups: Vec<(NameId, Vec<Node>)> = Vec::new();
        for &node in nodes {
            let name = self.names[node as usize];
            match groups.iter_mut().find(|(other, _)| *other == name) {
                Some((_, group)) => group.push(node),
                None => groups.push((name, vec![node])),
            }
        }
        let intern = |(name, mut group): (NameId, Vec<Node>)| {
            group.sort_unstable();
            self.pool.intern_version_set(name, Subset(group))
        };
        groups.into_iter().map(intern).collect()
    }

    /// `None` if nothing can meet it.
    fn requirement(&self, need: &Need) -> Option<ConditionalRequirement> {
        let mut options = need.any_of.clone();
        options.sort_by_key(|&node| !self.hinted[node as usize]);
        let sets = self.sets(&options);
        let requirement = match &sets[..] {
            [] => return None,
            [one] => Requirement::Single(*one),
            [first, rest @ ..] => {
                Requirement::Union(self.pool.intern_version_set_union(*first, rest.iter().copied()))
            }
        };
        let mut condition = None;
        for set in &need.when {
            let alternatives =
                self.sets(set).into_iter().map(|set| self.pool.intern_condition(Condition::Requirement(set)));
            let any = alternatives.reduce(|one, other| self.join(LogicalOperator::Or, one, other))?;
            condition = Some(match condition {
                Some(all) => self.join(LogicalOperator::And, all, any),
                None => any,
            });
        }
        Some(ConditionalRequirement { condition, requirement })
    }

    fn join(&self, operator: LogicalOperator, one: ConditionId, other: ConditionId) -> ConditionId {
        self.pool.intern_condition(Condition::Binary(operator, one, other))
    }

    /// What of the names of its enemies a package lets be.
    fn constraints(&self, node: Node) -> Vec<VersionSetId> {
        let enemies = &self.problem.package(node).enemies;
        let own = self.names[node as usize];
        let mut names: Vec<NameId> =
            enemies.iter().map(|&enemy| self.names[enemy as usize]).filter(|&name| name != own).collect();
        names.sort_unstable();
        names.dedup();
        let allowed = |name: NameId| {
            let all = self.candidates[name.to_index()].iter().map(|&solvable| self.node(solvable));
            let allowed = all.filter(|node| enemies.binary_search(node).is_err()).collect();
            self.pool.intern_version_set(name, Subset(allowed))
        };
        names.into_iter().map(allowed).collect()
    }
}

impl Interner for Provider<'_> {
    type NameId = NameId;
    type SolvableId = SolvableId;

    fn display_solvable(&self, solvable: SolvableId) -> impl fmt::Display + '_ {
        &self.problem.package(self.node(solvable)).version
    }

    fn display_name(&self, name: NameId) -> impl fmt::Display + '_ {
        self.pool.resolve_package_name(name)
    }

    fn display_version_set(&self, set: VersionSetId) -> impl fmt::Display + '_ {
        self.pool.resolve_version_set(set)
    }

    fn display_string(&self, text: StringId) -> impl fmt::Display + '_ {
        self.pool.resolve_string(text)
    }

    fn version_set_name(&self, set: VersionSetId) -> NameId {
        self.pool.resolve_version_set_package_name(set)
    }

    fn solvable_name(&self, solvable: SolvableId) -> NameId {
        self.names[self.node(solvable) as usize]
    }

    fn version_sets_in_union(&self, union: VersionSetUnionId) -> impl Iterator<Item = VersionSetId> {
        self.pool.resolve_version_set_union(union)
    }

    fn resolve_condition(&self, condition: ConditionId) -> Condition {
        self.pool.resolve_condition(condition).clone()
    }
}

impl DependencyProvider for Provider<'_> {
    async fn filter_candidates(
        &self,
        all: &[SolvableId],
        set: VersionSetId,
        inverse: bool,
    ) -> Vec<SolvableId> {
        let set = &self.pool.resolve_version_set(set).0;
        let inside = |solvable: &SolvableId| set.binary_search(&self.node(*solvable)).is_ok() != inverse;
        all.iter().copied().filter(inside).collect()
    }

    async fn get_candidates(&self, name: NameId) -> Option<Candidates> {
        let candidates = self.candidates.get(name.to_index())?.clone();
        let hint_dependencies_available = HintDependenciesAvailable::None;
        Some(Candidates { candidates, hint_dependencies_available, ..Candidates::default() })
    }

    async fn sort_candidates(&self, _solver: &SolverCache<Self>, solvables: &mut [SolvableId]) {
        solvables.sort_by_key(|&solvable| {
            let node = self.node(solvable);
            (!self.hinted[node as usize], node)
        });
    }

    async fn get_dependencies(&self, solvable: SolvableId) -> Dependencies {
        let node = self.node(solvable);
        let package = self.problem.package(node);
        let requirements =
            package.needs.iter().map(|need| self.requirement(need)).collect::<Option<Vec<_>>>();
        match requirements {
            Some(requirements) => {
                Dependencies::Known(KnownDependencies { requirements, constrains: self.constraints(node) })
            }
            None => Dependencies::Unknown(self.pool.intern_string("something that it needs is nowhere")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::problem::samples::{names, problem};
    use super::*;

    fn found(text: &str) -> Option<String> {
        let problem = problem(text);
        let set = search(&problem, &[])?;
        assert!(problem.is_solution(&set), "{}", names(&problem, &set));
        Some(names(&problem, &set))
    }

    #[test]
    fn dead_ends_are_left_again() {
        assert_eq!(found("x, y\nx: a | b\ny: c\na ! c\nb\nc").as_deref(), Some("b c x y"));
        assert_eq!(found("x\nx: a | b\na: nothing\nb").as_deref(), Some("b x"));
        assert_eq!(found("x, y\nx: a\ny: b\na ! b\nb"), None);
        assert_eq!(found("nothing\nx"), None);
    }
}
