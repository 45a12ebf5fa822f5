//! Smaller sets from a set that meets every need: first without what nothing needs, then without one chosen package after
//! the other, as long as that pays.

use super::greedy::Greedy;
use super::problem::{Node, Problem};

/// What of a set is enough; `None` if greed finds no way within it.
pub(super) fn without_waste(problem: &Problem, set: &[Node]) -> Option<Vec<Node>> {
    let mut inside = vec![false; problem.packages.len()];
    for &node in set {
        inside[node as usize] = true;
    }
    Some(Greedy::among(problem, |node| inside[node as usize])?.finish()?.inside())
}

/// Tries to do without each package that was chosen and not forced, until none can be spared. `start` is the forced part.
pub(super) fn shrink(problem: &Problem, start: &Greedy<'_>, set: Vec<Node>) -> Vec<Node> {
    let mut best = set;
    let mut weight = problem.weight_of(&best);
    loop {
        let before = weight;
        for node in chosen(problem, start, &best) {
            let Some(found) = start.clone().without(node).and_then(Greedy::finish) else { continue };
            let found = found.inside();
            let found = without_waste(problem, &found).unwrap_or(found);
            if problem.weight_of(&found) < weight && problem.is_solution(&found) {
                (weight, best) = (problem.weight_of(&found), found);
                break;
            }
        }
        if weight == before {
            return best;
        }
    }
}

/// Members that meet a need which something else could meet too, and that no choice forces.
fn chosen(problem: &Problem, start: &Greedy<'_>, set: &[Node]) -> Vec<Node> {
    let mut inside = vec![false; problem.packages.len()];
    for &node in set {
        inside[node as usize] = true;
    }
    let needs = set.iter().flat_map(|&node| &problem.package(node).needs).chain(&problem.roots);
    let mut chosen: Vec<Node> = needs
        .filter(|need| need.any_of.len() > 1)
        .filter_map(|need| {
            let mut members = need.any_of.iter().copied().filter(|&node| inside[node as usize]);
            let only = members.next()?;
            members.next().is_none().then_some(only)
        })
        .filter(|&node| !start.has(node))
        .collect();
    chosen.sort_unstable();
    chosen.dedup();
    chosen
}

#[cfg(test)]
mod tests {
    use super::super::problem::samples::{names, problem};
    use super::*;

    #[test]
    fn what_nothing_needs_goes() {
        let problem = problem("x\nx: a | b\na\nb\nc: d\nd");
        let set = without_waste(&problem, &[0, 1, 2, 3, 4]).expect("because there is a set");
        assert_eq!(names(&problem, &set), "a x");
    }

    #[test]
    fn a_choice_that_costs_is_taken_back() {
        let problem = problem("x, y, z\nx: a | d\ny: b | d\nz: c | d\na\nb\nc\nd: e\ne");
        let start = Greedy::start(&problem).expect("because there is a set");
        let set = shrink(&problem, &start, vec![0, 1, 2, 3, 4, 5]);
        assert_eq!(names(&problem, &set), "d e x y z");
    }
}
