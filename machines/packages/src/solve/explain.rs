//! Why there is no set, in words: the few requests that contradict each other, and how.

use std::fmt;

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

/// So many reasons are told.
const REASONS: usize = 12;

/// Explains a problem that has no solution.
pub(super) fn explain(problem: &Problem, universe: &dyn Universe) -> Conflict {
    // What can be left out of the contradiction is left out, the last first.
    let mut roots: Vec<&Need> = problem.roots.iter().collect();
    for at in (0..roots.len()).rev() {
        let mut fewer = roots.clone();
        fewer.remove(at);
        if search_for(problem, &fewer, &[]).is_none() {
            roots = fewer;
        }
    }
    let mut reasons = Vec::new();
    let mut story = Story { problem, universe, why: vec![None; problem.packages.len()], order: Vec::new() };
    story.follow(&roots, Vec::new(), DEPTH, "", &mut reasons);
    if reasons.len() > REASONS {
        reasons.truncate(REASONS);
        reasons.push("…".to_owned());
    }
    Conflict { requests: roots.iter().map(|need| need.text.clone()).collect(), reasons }
}

/// Packages that came in because there was no other way, and what brought each.
struct Story<'p> {
    problem: &'p Problem,
    universe: &'p dyn Universe,
    /// The package that needs it (`None` for a request), and the words.
    why: Vec<Option<(Option<Node>, String)>>,
    order: Vec<Node>,
}

impl<'p> Story<'p> {
    /// Follows needs until something contradicts; where there are choices, each of them. Whether a contradiction came up.
    fn follow(
        &mut self,
        roots: &[&'p Need],
        open: Vec<(Node, &'p Need)>,
        depth: usize,
        indent: &str,
        reasons: &mut Vec<String>,
    ) -> bool {
        let mut queue: Vec<(Option<Node>, &'p Need)> = roots.iter().map(|need| (None, *need)).collect();
        queue.extend(open.into_iter().map(|(node, need)| (Some(node), need)));
        let mut choices: Vec<(Option<Node>, &'p Need)> = Vec::new();
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
                    return true;
                }
                [only] => {
                    self.take(only, from, need);
                    queue.extend(self.problem.package(only).needs.iter().map(|need| (Some(only), need)));
                }
                _ => choices.push((from, need)),
            }
        }
        if depth == 0 {
            return false;
        }
        // The choice of which every option fails.
        choices.sort_by_key(|(_, need)| need.any_of.len());
        for (from, need) in choices.iter().take(20) {
            let mut told = vec![format!("{indent}{} needs {}:", self.chain(*from), need.text)];
            let inner = format!("{indent}  ");
            let fails = self.options(need).into_iter().all(|option| {
                let mut branch = Story {
                    problem: self.problem,
                    universe: self.universe,
                    why: self.why.clone(),
                    order: self.order.clone(),
                };
                branch.take(option, *from, need);
                let needs = self.problem.package(option).needs.iter().map(|need| (option, need)).collect();
                branch.follow(&[], needs, depth - 1, &inner, &mut told)
            });
            if fails {
                reasons.append(&mut told);
                return true;
            }
        }
        false
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

    fn take(&mut self, node: Node, from: Option<Node>, need: &Need) {
        self.why[node as usize] = Some((from, need.text.clone()));
        self.order.push(node);
    }

    /// Why nothing meets a need.
    fn dead_end(&self, from: Option<Node>, need: &Need) -> String {
        let who = self.chain(from);
        let text = &need.text;
        if need.any_of.is_empty() {
            if let Some(&refused) = need.refused.first() {
                let (name, version) = (self.universe.name(refused), self.universe.version(refused));
                return format!("{who} needs {text}, but {name} {version} is excluded");
            }
            let name = text
                .trim_start_matches('(')
                .split([' ', '(', ':', '|', '<', '>', '='])
                .next()
                .unwrap_or(text);
            let versions: Vec<&str> =
                self.universe.named(name).iter().map(|&id| self.universe.version(id)).collect();
            return match &versions[..] {
                [] => format!("{who} needs {text}, which no index has"),
                versions => {
                    format!("{who} needs {text}, but the indexes have {name} {}", versions.join(", "))
                }
            };
        }
        let option = need.any_of[0];
        let package = self.problem.package(option);
        let enemy = package.enemies.iter().copied().find(|&enemy| self.has(enemy)).unwrap_or(option);
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
            "{who} needs {text}, that is {} {}; it cannot be beside {} {}, {}: {verdict}",
            package.name,
            package.version,
            other.name,
            other.version,
            self.reason(enemy)
        )
    }

    /// `a (which b needs, which was asked for)`.
    fn chain(&self, node: Option<Node>) -> String {
        match node {
            None => "the list".to_owned(),
            Some(node) => format!("{} ({})", self.problem.package(node).name, self.reason(node)),
        }
    }

    fn reason(&self, node: Node) -> String {
        let mut words = Vec::new();
        let mut at = node;
        while let Some((from, _)) = &self.why[at as usize] {
            match from {
                None => {
                    words.push("asked for".to_owned());
                    break;
                }
                Some(from) => words.push(format!("needed by {}", self.problem.package(*from).name)),
            }
            at = from.unwrap_or(at);
            if words.len() > 8 {
                words.push("…".to_owned());
                break;
            }
        }
        words.join(", ")
    }
}
