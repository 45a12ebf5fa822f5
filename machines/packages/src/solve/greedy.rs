//! A set that grows: what is forced at once, then the cheapest choice again and again. No step is taken back, so that it may
//! end without a set where there is one.

use std::collections::HashMap;

use super::problem::{Need, Node, Problem};

/// A set on its way to meet every need.
#[derive(Clone, Debug)]
pub(super) struct Greedy<'p> {
    problem: &'p Problem,
    inside: Vec<bool>,
    /// In the order that they came in.
    members: Vec<Node>,
    /// By how many members each package is excluded.
    excluded: Vec<u32>,
    /// Needs with a choice, not met when they were seen.
    open: Vec<&'p Need>,
    /// Needs that count only in company.
    conditional: Vec<&'p Need>,
}

/// There is no way on.
#[derive(Clone, Copy, Debug)]
struct DeadEnd;

/// Packages that may not be taken are excluded by so many.
const BANNED: u32 = 1 << 30;

/// For each choice that an option leaves open, about this share of a package is added to its cost.
const CHOICE_WEIGHT: u64 = 1;

impl<'p> Greedy<'p> {
    /// The set that everything is in which no choice can avoid; `None` if that contradicts itself.
    pub(super) fn start(problem: &'p Problem) -> Option<Self> {
        Self::among(problem, |_| true)
    }

    /// As [`Self::start`], with nothing but these packages.
    pub(super) fn among(problem: &'p Problem, admits: impl Fn(Node) -> bool) -> Option<Self> {
        let count = problem.packages.len();
        let mut greedy = Self {
            problem,
            inside: vec![false; count],
            members: Vec::new(),
            excluded: (0..count as Node).map(|node| if admits(node) { 0 } else { BANNED }).collect(),
            open: Vec::new(),
            conditional: Vec::new(),
        };
        let mut queue = Vec::new();
        greedy.take_needs(&problem.roots, &mut queue).ok()?;
        greedy.grow(queue).ok()?;
        greedy.settle().ok()?;
        Some(greedy)
    }

    /// Goes without a package from here on; `None` if it is in the set already.
    pub(super) fn without(mut self, node: Node) -> Option<Self> {
        if self.inside[node as usize] {
            return None;
        }
        self.excluded[node as usize] += BANNED;
        self.settle().ok()?;
        Some(self)
    }

    /// Takes packages in; `None` if that contradicts something.
    pub(super) fn with(mut self, nodes: &[Node]) -> Option<Self> {
        self.grow(nodes.to_vec()).ok()?;
        self.settle().ok()?;
        Some(self)
    }

    /// Chooses until no need is open; `None` at a dead end.
    pub(super) fn finish(mut self) -> Option<Self> {
        while !self.open.is_empty() {
            let mut best: Option<(u64, Node)> = None;
            let mut seen = HashMap::new();
            for need in self.open.clone() {
                for &option in &need.any_of {
                    if self.excluded[option as usize] > 0 {
                        continue;
                    }
                    // The same option stands in many needs.
                    let cost = *seen.entry(option).or_insert_with(|| self.cost(option));
                    match cost {
                        Some(cost) if best.is_none_or(|(least, _)| cost < least) => {
                            best = Some((cost, option));
                        }
                        Some(_) => {}
                        None => self.excluded[option as usize] += BANNED,
                    }
                }
            }
            if let Some((_, option)) = best {
                self.grow(vec![option]).ok()?;
            }
            // Without any option it ends here.
            self.settle().ok()?;
        }
        Some(self)
    }

    /// The members, sorted.
    pub(super) fn inside(&self) -> Vec<Node> {
        let mut members = self.members.clone();
        members.sort_unstable();
        members
    }

    /// Whether a package is in it.
    pub(super) fn has(&self, node: Node) -> bool {
        self.inside[node as usize]
    }

    /// Adds what members recommend, as far as nothing speaks against it.
    pub(super) fn with_wishes(mut self) -> Self {
        let mut at = 0;
        while at < self.members.len() {
            let package = self.problem.package(self.members[at]);
            at += 1;
            for wish in &package.wishes {
                if self.is_met(wish) {
                    continue;
                }
                for &option in &wish.any_of {
                    let mut larger = self.clone();
                    if larger.excluded[option as usize] == 0
                        && larger.grow(vec![option]).is_ok()
                        && larger.settle().is_ok()
                        && let Some(done) = larger.finish()
                    {
                        self = done;
                        break;
                    }
                }
            }
        }
        self
    }

    fn is_met(&self, need: &Need) -> bool {
        need.any_of.iter().any(|&node| self.inside[node as usize])
    }

    fn counts(&self, need: &Need) -> bool {
        need.when.iter().all(|set| set.iter().any(|&node| self.inside[node as usize]))
    }

    /// The only option that is left, `None` if there are more.
    fn only_option(&self, need: &Need) -> Result<Option<Node>, DeadEnd> {
        let mut options = need.any_of.iter().copied().filter(|&node| self.excluded[node as usize] == 0);
        let first = options.next().ok_or(DeadEnd)?;
        Ok(if options.next().is_none() { Some(first) } else { None })
    }

    fn take_needs(&mut self, needs: &'p [Need], queue: &mut Vec<Node>) -> Result<(), DeadEnd> {
        for need in needs {
            if self.is_met(need) {
                continue;
            }
            if !need.when.is_empty() && !self.counts(need) {
                self.conditional.push(need);
                continue;
            }
            match self.only_option(need)? {
                Some(only) => queue.push(only),
                None => self.open.push(need),
            }
        }
        Ok(())
    }

    /// Takes packages in, with all that they force.
    fn grow(&mut self, mut queue: Vec<Node>) -> Result<(), DeadEnd> {
        while let Some(node) = queue.pop() {
            if self.inside[node as usize] {
                continue;
            }
            if self.excluded[node as usize] > 0 {
                return Err(DeadEnd);
            }
            self.inside[node as usize] = true;
            self.members.push(node);
            let package = self.problem.package(node);
            for &enemy in &package.enemies {
                self.excluded[enemy as usize] += 1;
            }
            self.take_needs(&package.needs, &mut queue)?;
        }
        Ok(())
    }

    /// Looks again at what is open: what is met goes, what has one option left is forced.
    fn settle(&mut self) -> Result<(), DeadEnd> {
        loop {
            let mut queue = Vec::new();
            let mut open = std::mem::take(&mut self.open);
            let mut failed = false;
            open.retain(|need| {
                if self.is_met(need) {
                    return false;
                }
                match self.only_option(need) {
                    Ok(Some(only)) => queue.push(only),
                    Ok(None) => return true,
                    Err(DeadEnd) => failed = true,
                }
                false
            });
            let mut conditional = std::mem::take(&mut self.conditional);
            conditional.retain(|need| {
                let counts = self.counts(need);
                if counts && !self.is_met(need) {
                    match self.only_option(need) {
                        Ok(Some(only)) => queue.push(only),
                        Ok(None) => open.push(need),
                        Err(DeadEnd) => failed = true,
                    }
                }
                !counts
            });
            (self.open, self.conditional) = (open, conditional);
            if failed {
                return Err(DeadEnd);
            }
            if queue.is_empty() {
                return Ok(());
            }
            self.grow(queue)?;
        }
    }

    /// What it would cost to take a package in, with all that it forces and something for each choice that it opens;
    /// `None` if it can't be taken. Nothing is changed.
    fn cost(&mut self, node: Node) -> Option<u64> {
        let (members, open, conditional) = (self.members.len(), self.open.len(), self.conditional.len());
        let grown = self.grow(vec![node]).is_ok();
        let weight = self.problem.weight_of(&self.members[members..]);
        let choices = self.open[open..].iter().filter(|need| !self.is_met(need)).count() as u64;
        for node in self.members.drain(members..) {
            self.inside[node as usize] = false;
            for &enemy in &self.problem.package(node).enemies {
                self.excluded[enemy as usize] -= 1;
            }
        }
        self.open.truncate(open);
        self.conditional.truncate(conditional);
        grown.then_some(2 * weight + CHOICE_WEIGHT * choices)
    }
}

#[cfg(test)]
mod tests {
    use super::super::problem::samples::{names, problem};
    use super::*;

    fn chosen(text: &str) -> Option<String> {
        let problem = problem(text);
        let set = Greedy::start(&problem)?.finish()?.inside();
        assert!(problem.is_solution(&set));
        Some(names(&problem, &set))
    }

    #[test]
    fn the_smaller_closure_is_chosen() {
        assert_eq!(chosen("x\nx: a | b\na: c\nb\nc").as_deref(), Some("b x"));
        assert_eq!(chosen("x\nx: a | b\na\nb").as_deref(), Some("a x"));
        assert_eq!(chosen("x, y\nx: a | b\ny: b | c\na\nb\nc").map(|set| set.len()), Some(5));
    }

    #[test]
    fn a_choice_that_opens_another_comes_to_an_end() {
        assert_eq!(
            chosen("x, y\nx: a | b\ny: e | f\na: c | d\nb: c | d\nc\nd\ne: c | d\nf: c | d")
                .map(|set| set.len()),
            Some(9)
        );
    }

    #[test]
    fn exclusions_decide_what_is_left() {
        assert_eq!(chosen("x, y\nx: a | b\ny ! a\na\nb").as_deref(), Some("b x y"));
        assert_eq!(chosen("x, y\nx ! y\ny"), None);
        assert_eq!(chosen("x\nx: nothing"), None);
    }
}
