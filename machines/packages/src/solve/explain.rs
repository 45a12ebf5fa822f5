//! Why there is no set, in words: the few requests that contradict each other, and how.

use std::cell::Cell;
use std::fmt;
use std::rc::Rc;

use super::problem::{Need, Node, Problem};
use super::search::search_for;
use crate::universe::Universe;

/// A contradiction between requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The requests, none of which can be left out of the contradiction.
    pub requests: Vec<String>,
    /// What happens when they are followed, one line each.
    pub reasons: Vec<String>,
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.requests[..] {
            [] => f.write_str("nothing can be installed"),
            [one] => write!(f, "'{one}' cannot be installed"),
            [one, other] => write!(f, "'{one}' and '{other}' cannot be installed together"),
            [all @ .., last] => write!(f, "'{}' and '{last}' cannot be installed together", all.join("', '")),
        }?;
        self.reasons.iter().try_for_each(|line| write!(f, "\n  {line}"))
    }
}

impl std::error::Error for Conflict {}

/// So deep are choices followed.
const DEPTH: usize = 3;

/// So many options are followed in all: what is deeper is not told.
const BRANCHES: u32 = 1000;

/// So many choices are looked at.
const CHOICES: usize = 20;

/// So long is the way to a package that is told.
const LINKS: usize = 8;

/// So many reasons are told.
const REASONS: usize = 12;

/// Explains a problem that has no solution.
pub(super) fn explain(problem: &Problem, universe: &dyn Universe) -> Conflict {
    let roots = contradiction(problem, universe);
    let mut reasons = Vec::new();
    let mut story = Story::new(problem, universe);
    let needs = roots.iter().map(|&root| (Origin::Request(root), &problem.roots[root])).collect();
    story.follow(needs, DEPTH, "", &mut reasons);
    if reasons.len() > REASONS {
        reasons.truncate(REASONS);
        reasons.push("…".to_owned());
    }
    Conflict { requests: roots.iter().map(|&root| problem.roots[root].text.clone()).collect(), reasons }
}

/// Requests that contradict each other, of which none can be left out.
fn contradiction(problem: &Problem, universe: &dyn Universe) -> Vec<usize> {
    let all: Vec<usize> = (0..problem.roots.len()).collect();
    let is_one = |roots: &[usize]| {
        let needs: Vec<&Need> = roots.iter().map(|&root| &problem.roots[root]).collect();
        search_for(problem, &needs, &[]).is_none()
    };
    // Mostly it is enough to follow what is forced.
    let mut story = Story::new(problem, universe);
    let needs = all.iter().map(|&root| (Origin::Request(root), &problem.roots[root])).collect();
    story.follow(needs, 0, "", &mut Vec::new());
    let mut left = match story.culprits {
        Some(culprits) if is_one(&culprits) => culprits,
        _ => all,
    };
    // Without one large part after the other, then smaller ones.
    let mut size = left.len().div_ceil(2).max(1);
    loop {
        let mut at = 0;
        while at < left.len() && left.len() > 1 {
            let fewer: Vec<usize> = left
                .iter()
                .enumerate()
                .filter(|(place, _)| *place < at || *place >= at + size)
                .map(|(_, root)| *root)
                .collect();
            if !fewer.is_empty() && is_one(&fewer) {
                left = fewer;
            } else {
                at += size;
            }
        }
        if size == 1 {
            return left;
        }
        size = size.div_ceil(2);
    }
}

/// What asks for a package.
#[derive(Clone, Copy)]
enum Origin {
    /// A request, by its place.
    Request(usize),
    Package(Node),
}

/// Packages that came in because there was no other way, and what brought each.
#[derive(Clone)]
struct Story<'p> {
    problem: &'p Problem,
    universe: &'p dyn Universe,
    why: Vec<Option<Origin>>,
    /// The requests that a contradiction without choices comes from.
    culprits: Option<Vec<usize>>,
    /// How many more branches are followed, for all branches together.
    budget: Rc<Cell<u32>>,
}

impl<'p> Story<'p> {
    fn new(problem: &'p Problem, universe: &'p dyn Universe) -> Self {
        Self {
            problem,
            universe,
            why: vec![None; problem.packages.len()],
            culprits: None,
            budget: Rc::new(Cell::new(BRANCHES)),
        }
    }

    /// Follows needs until something contradicts; where there are choices, each of them. Whether a contradiction came up.
    fn follow(
        &mut self,
        mut queue: Vec<(Origin, &'p Need)>,
        depth: usize,
        indent: &str,
        reasons: &mut Vec<String>,
    ) -> bool {
        queue.reverse();
        let mut choices: Vec<(Origin, &'p Need)> = Vec::new();
        loop {
            let Some((from, need)) = queue.pop() else {
                // A choice of which one option is left is none.
                let at =
                    choices.iter().position(|(_, need)| self.is_met(need) || self.options(need).len() < 2);
                match at {
                    Some(at) => queue.push(choices.swap_remove(at)),
                    None => break,
                }
                continue;
            };
            let counts = need.when.iter().all(|set| set.iter().any(|&node| self.has(node)));
            if self.is_met(need) || !counts {
                continue;
            }
            match self.options(need)[..] {
                [] => {
                    reasons.push(format!("{indent}{}", self.dead_end(from, need)));
                    self.blame(from, need);
                    return true;
                }
                [only] => {
                    self.why[only as usize] = Some(from);
                    queue.extend(
                        self.problem.package(only).needs.iter().map(|need| (Origin::Package(only), need)),
                    );
                }
                _ => choices.push((from, need)),
            }
        }
        if depth == 0 {
            return false;
        }
        // The choice of which every option fails.
        choices.sort_by_key(|(_, need)| need.any_of.len());
        for (from, need) in choices.iter().take(CHOICES) {
            let mut told = vec![format!("{indent}{} {}:", self.chain(*from), need.text)];
            let inner = format!("{indent}  ");
            let fails = self.options(need).into_iter().all(|option| {
                let Some(left) = self.budget.get().checked_sub(1) else { return false };
                self.budget.set(left);
                let mut branch = self.clone();
                branch.why[option as usize] = Some(*from);
                let needs = self.problem.package(option).needs.iter();
                let needs = needs
                    .map(|need| (Origin::Package(option), need))
                    .chain(choices.iter().copied())
                    .collect();
                branch.follow(needs, depth - 1, &inner, &mut told)
            });
            if fails {
                reasons.append(&mut told);
                return true;
            }
        }
        false
    }

    /// Remembers which requests lead to a dead end.
    fn blame(&mut self, from: Origin, need: &Need) {
        let enemies = need.any_of.iter().filter_map(|&option| self.enemy(option));
        let mut culprits: Vec<usize> =
            enemies.map(Origin::Package).chain([from]).filter_map(|origin| self.request(origin)).collect();
        culprits.sort_unstable();
        culprits.dedup();
        self.culprits = Some(culprits);
    }

    /// The request that something came in for.
    fn request(&self, mut origin: Origin) -> Option<usize> {
        for _ in 0..=self.why.len() {
            match origin {
                Origin::Request(root) => return Some(root),
                Origin::Package(node) => origin = self.why[node as usize]?,
            }
        }
        None
    }

    /// What keeps a package out.
    fn enemy(&self, node: Node) -> Option<Node> {
        self.problem.package(node).enemies.iter().copied().find(|&enemy| self.has(enemy))
    }

    fn has(&self, node: Node) -> bool {
        self.why[node as usize].is_some()
    }

    fn is_met(&self, need: &Need) -> bool {
        need.any_of.iter().any(|&node| self.has(node))
    }

    fn options(&self, need: &Need) -> Vec<Node> {
        let free = |node: &Node| !self.problem.package(*node).enemies.iter().any(|&enemy| self.has(enemy));
        need.any_of.iter().copied().filter(free).collect()
    }

    /// Why nothing meets a need.
    fn dead_end(&self, from: Origin, need: &Need) -> String {
        let who = self.chain(from);
        let text = &need.text;
        if need.any_of.is_empty() {
            if let Some(&refused) = need.refused.first() {
                let (name, version) = (self.universe.name(refused), self.universe.version(refused));
                return format!("{who} {text}, but {name} {version} is excluded");
            }
            let name = text
                .trim_start_matches('(')
                .split([' ', '(', ':', '|', '<', '>', '='])
                .next()
                .unwrap_or(text);
            let versions: Vec<&str> =
                self.universe.named(name).iter().map(|&id| self.universe.version(id)).collect();
            return match &versions[..] {
                [] => format!("{who} {text}, which no index has"),
                versions => {
                    format!("{who} {text}, but the indexes have {name} {}", versions.join(", "))
                }
            };
        }
        let option = need.any_of[0];
        let package = self.problem.package(option);
        let enemy = self.enemy(option).unwrap_or(option);
        let other = self.problem.package(enemy);
        let says = |one: Node, other: Node| {
            let refuses = &self.problem.package(one).refuses;
            refuses.iter().find(|(node, _)| *node == other).map(|(_, text)| text.as_str())
        };
        let verdict = match (says(option, enemy), says(enemy, option)) {
            (Some(text), _) => format!("{} says '{text}'", package.name),
            (_, Some(text)) => format!("{} says '{text}'", other.name),
            _ => format!("only one version of {} can be installed", package.name),
        };
        format!(
            "{who} {text}, that is {} {}; it cannot be beside {} {}, {}: {verdict}",
            package.name,
            package.version,
            other.name,
            other.version,
            self.reason(enemy)
        )
    }

    /// `a (needed by b, asked for) needs`.
    fn chain(&self, origin: Origin) -> String {
        match origin {
            Origin::Request(_) => "the list asks for".to_owned(),
            Origin::Package(node) => {
                format!("{} ({}) needs", self.problem.package(node).name, self.reason(node))
            }
        }
    }

    fn reason(&self, node: Node) -> String {
        let mut words = Vec::new();
        let mut at = node;
        while let Some(origin) = self.why[at as usize] {
            let Origin::Package(from) = origin else {
                words.push("asked for".to_owned());
                break;
            };
            words.push(format!("needed by {}", self.problem.package(from).name));
            at = from;
            if words.len() > LINKS {
                words.push("…".to_owned());
                break;
            }
        }
        words.join(", ")
    }
}
