//! What could have been meant by a name that is not there.

/// The known names that differ least, the nearest first; none if all differ too much.
pub(crate) fn similar<'a>(name: &str, known: impl Iterator<Item = &'a str>, most: usize) -> Vec<String> {
    let limit = 1 + name.chars().count() / 4;
    let lower = name.to_lowercase();
    let mut near: Vec<(usize, &str)> = known
        .filter_map(|other| {
            let distance = distance(&lower, &other.to_lowercase(), limit)?;
            Some((distance, other))
        })
        .collect();
    near.sort_unstable();
    near.dedup();
    near.truncate(most);
    near.into_iter().map(|(_, other)| other.to_owned()).collect()
}

/// How many characters were added, left out, changed or swapped with their neighbour; `None` above the limit.
fn distance(one: &str, other: &str, limit: usize) -> Option<usize> {
    let (one, other): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    if one.len().abs_diff(other.len()) > limit {
        return None;
    }
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=other.len()).collect();
    for (row, &left) in one.iter().enumerate() {
        let mut next = vec![row + 1];
        for (column, &right) in other.iter().enumerate() {
            let mut best =
                (last[column] + usize::from(left != right)).min(last[column + 1] + 1).min(next[column] + 1);
            if row > 0 && column > 0 && left == other[column - 1] && right == one[row - 1] {
                best = best.min(before[column - 1] + 1);
            }
            next.push(best);
        }
        if next.iter().min().is_none_or(|&least| least > limit) {
            return None;
        }
        (before, last) = (last, next);
    }
    last.last().copied().filter(|&distance| distance <= limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_found() {
        let known = ["openssh-server", "openssh-client", "systemd", "vim"];
        let of = |name| similar(name, known.iter().copied(), 2);
        assert_eq!(of("opensshserver"), ["openssh-server"]);
        assert_eq!(of("sytsemd"), ["systemd"]);
        assert_eq!(of("VIM"), ["vim"]);
        assert!(of("nothing-like-it").is_empty());
        assert_eq!(distance("ab", "ba", 3), Some(1));
        assert_eq!(distance("", "abc", 3), Some(3));
    }
}
