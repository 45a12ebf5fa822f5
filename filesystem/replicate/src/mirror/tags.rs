//! Which tagged revisions a replica holds beside the newest one.

use std::fmt;
use std::str::FromStr;

use globset::{Glob, GlobMatcher};
use varve_content::ContentHash;
use varve_repository::{History, Tag};

/// The tagged revisions that are wanted.
#[derive(Clone, Debug, Default)]
pub enum TagSelection {
    /// Every one.
    #[default]
    All,
    /// None: the newest revision alone.
    None,
    /// Those whose tags match one of the patterns (any if there are none) and were published since a time.
    Some {
        /// At least one has to match, if there are any.
        patterns: Vec<TagPattern>,
        /// In seconds since 1970.
        since: Option<u64>,
    },
}

/// A pattern of tags: `*` stands for any text, `?` for any character, `[ab]` for one of those, `{x,y}` for either.
#[derive(Clone, Debug)]
pub struct TagPattern(GlobMatcher);

impl FromStr for TagPattern {
    type Err = globset::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(Glob::new(text)?.compile_matcher()))
    }
}

impl TagSelection {
    /// The wanted tags whose revision is not the newest one, the newest first.
    pub(super) fn select<'a>(&self, history: &'a History, newest: ContentHash) -> Vec<&'a Tag> {
        let others = history.newest_first().into_iter().filter(|tag| tag.root_catalog != newest);
        others.filter(|tag| self.wants(tag)).collect()
    }

    /// Whether a replica with these tags, as [`fmt::Display`] writes it, has all that are wanted.
    pub(super) fn is_covered_by(&self, held: &str) -> bool {
        matches!(self, Self::None) || held == Self::All.to_string() || held == self.to_string()
    }

    fn wants(&self, tag: &Tag) -> bool {
        match self {
            Self::All => true,
            Self::None => false,
            Self::Some { patterns, since } => {
                let matches = |pattern: &TagPattern| pattern.0.is_match(tag.name.as_str());
                (patterns.is_empty() || patterns.iter().any(matches))
                    && since.is_none_or(|since| tag.published >= since)
            }
        }
    }
}

impl fmt::Display for TagSelection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::None => f.write_str("none"),
            Self::Some { patterns, since } => {
                f.write_str("some")?;
                for pattern in patterns {
                    write!(f, " {}", pattern.0.glob())?;
                }
                since.iter().try_for_each(|since| write!(f, " since {since}"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use varve_content::Algorithm;
    use varve_repository::PublishedRoot;

    use super::*;

    fn history() -> History {
        let mut history = History::new("a.example".parse().expect("a name"));
        for (revision, name) in [(1, "v1"), (2, "v2"), (3, "nightly-1"), (4, "newest")] {
            let root = PublishedRoot {
                root_catalog: Algorithm::Sha1.hash(&[revision]),
                root_catalog_size: 0,
                revision: revision.into(),
                published: 100 * u64::from(revision),
            };
            history.insert(root.tag(name.parse().expect("a tag"), "")).expect("a new tag");
        }
        history
    }

    fn selected(selection: &TagSelection) -> Vec<String> {
        let history = history();
        let tags = selection.select(&history, Algorithm::Sha1.hash(&[4]));
        tags.into_iter().map(|tag| tag.name.to_string()).collect()
    }

    fn some(patterns: &[&str], since: Option<u64>) -> TagSelection {
        let patterns = patterns.iter().map(|pattern| pattern.parse().expect("a pattern")).collect();
        TagSelection::Some { patterns, since }
    }

    #[test]
    fn tags_are_selected_by_name_and_time() {
        assert_eq!(selected(&TagSelection::All), ["nightly-1", "v2", "v1"]);
        assert!(selected(&TagSelection::None).is_empty());
        assert_eq!(selected(&some(&["v*"], None)), ["v2", "v1"]);
        assert_eq!(selected(&some(&["v*", "nightly-?"], Some(200))), ["nightly-1", "v2"]);
        assert_eq!(selected(&some(&[], Some(300))), ["nightly-1"]);
        assert!("a[".parse::<TagPattern>().is_err());
    }

    #[test]
    fn what_is_held_covers_what_is_wanted() {
        let some = some(&["v*"], Some(7));
        for (wanted, held, covers) in [
            (&TagSelection::All, "all", true),
            (&TagSelection::All, "none", false),
            (&TagSelection::None, "some v*", true),
            (&some, "all", true),
            (&some, "some v* since 7", true),
            (&some, "some v* since 8", false),
        ] {
            assert_eq!(wanted.is_covered_by(held), covers, "{wanted} by {held}");
        }
    }
}
