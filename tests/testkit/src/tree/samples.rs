//! Ready-made trees: one with every oddity, and pseudo-random ones of any size.

use std::path::Path;

use super::TreeBuilder;
use crate::Random;

/// How large a pseudo-random tree is.
#[derive(Clone, Copy, Debug)]
pub struct TreeSize {
    /// Directories below the root.
    pub directories: usize,
    /// Regular files and links in all.
    pub files: usize,
    /// The largest file, in bytes. Most are far smaller.
    pub largest: u64,
}

impl TreeBuilder {
    /// A tree with every oddity: names, kinds, modes, times, links, attributes, holes.
    ///
    /// What is not permitted here is left out; see [`TreeBuilder::finish`], which this calls.
    pub fn odd(root: &Path) -> (Self, Vec<String>) {
        let mut tree = Self::new(root);
        for (at, name) in [
            &b"with blank"[..],
            b" leading and trailing ",
            b"new\nline",
            b"tab\tand\\backslash",
            b"quote'\"`$(x)",
            b"-rf",
            b"...",
            b"\xff\xfe no UTF-8 \x80",
            "Umläute ünd 汉字 🦀".as_bytes(),
            "combining e\u{301}".as_bytes(),
            b"%41%2F",
            b".hidden",
            &[b'n'; 255],
        ]
        .into_iter()
        .enumerate()
        {
            tree.file([&b"names/"[..], name].concat(), at.to_string());
        }
        tree.directory([&b"names/"[..], &[b'd'; 255]].concat());
        let deep = vec!["deep"; 40].join("/");
        tree.file(format!("{deep}/file"), "at the bottom");

        tree.file("sizes/empty", "").file("sizes/one", "1");
        for size in [4095, 4096, 4097, 65_535, 65_536, 65_537] {
            tree.file(format!("sizes/{size}"), Random::new(size as u64).bytes(size));
        }
        tree.file("sizes/zeros", vec![0; 300_000]);
        tree.sparse_file("sizes/sparse", 1 << 20, &[(0, b"head"), (700_001, b"island")]);
        tree.file("same/one", "the same content").file("same/two", "the same content");

        for mode in [0, 0o400, 0o444, 0o555, 0o600, 0o644, 0o755, 0o777, 0o1644, 0o2755, 0o4755, 0o6711] {
            tree.file(format!("modes/m{mode:04o}"), format!("{mode:o}"))
                .mode(format!("modes/m{mode:04o}"), mode);
        }
        for mode in [0o700, 0o1777, 0o2775] {
            tree.directory(format!("modes/d{mode:04o}")).mode(format!("modes/d{mode:04o}"), mode);
        }
        // Changing the owner takes the set-id bits away.
        tree.file("owners/other", "1").owner("owners/other", 1000, 2000);
        tree.file("owners/large", "2").owner("owners/large", 100_000, 200_000);

        for (name, seconds, nanoseconds) in [
            ("epoch", 0, 0),
            ("nanoseconds", 1_614_834_367, 123_456_789),
            ("before 1970", -1_000, 0),
            ("after 2038", 2_208_988_800, 500_000_001),
        ] {
            tree.file(format!("times/{name}"), name).mtime(format!("times/{name}"), seconds, nanoseconds);
        }

        tree.file("hard/a", "linked").hard_link("hard/b", "hard/a").hard_link("hard/c", "hard/a");
        tree.file("hard/x", "other").hard_link("hard/y", "hard/x");
        tree.file("hard/across", "two directories").hard_link("same/across", "hard/across");

        for (name, target) in [
            ("relative", "../sizes/one"),
            ("absolute", "/etc/passwd"),
            ("dangling", "does/not/exist"),
            ("directory", "../names"),
            ("variable", "$(VARVE_TEST)"),
            ("default", "/opt/$(VARVE_TEST:-x)/y"),
            ("no variable", "$VARVE_TEST$("),
        ] {
            tree.symlink(format!("links/{name}"), target);
        }
        tree.symlink("links/long", vec![b'l'; 1000]).symlink("links/bytes", b"\xff\xfe");

        tree.fifo("special/pipe").socket("special/socket");
        tree.character_device("special/null", 1, 3).block_device("special/disk", 259, 300_000);

        tree.file("attributes/file", "x").xattr("attributes/file", "user.empty", "");
        tree.xattr("attributes/file", "user.long", vec![b'v'; 255]);
        tree.xattr("attributes/file", "user.bytes", b"\x00\xff\n");
        tree.xattr("attributes", "user.directory", "yes");
        let refused = tree.finish();
        (tree, refused)
    }

    /// A tree that depends on `seed` and `size` alone: texts and incompressible files of many sizes, links, modes.
    pub fn random(root: &Path, seed: u64, size: TreeSize) -> Self {
        let mut random = Random::new(seed);
        let mut tree = Self::new(root);
        let mut directories = vec![String::new()];
        for number in 0..size.directories {
            let parent = &directories[random.below(directories.len() as u64) as usize];
            let path = format!("{parent}d{number}/");
            tree.directory(path.trim_end_matches('/'));
            directories.push(path);
        }
        let mut files: Vec<String> = Vec::new();
        for number in 0..size.files {
            let directory = &directories[random.below(directories.len() as u64) as usize];
            let path = format!("{directory}f{number}");
            let earlier = files.get(random.below(files.len() as u64) as usize);
            match (random.below(20), earlier) {
                (0, Some(earlier)) => {
                    tree.symlink(&path, format!("/{earlier}"));
                    continue;
                }
                (1, Some(earlier)) => {
                    let earlier = earlier.clone();
                    tree.hard_link(&path, &earlier);
                    continue;
                }
                _ => {}
            }
            // Sizes spread evenly over the powers of two, as those of real trees nearly do.
            let most = size.largest >> random.below(u64::from(size.largest.max(1).ilog2()) + 1);
            let length = random.below(most + 1) as usize;
            let content = if random.once_in(3) { random.bytes(length) } else { random.text(length) };
            tree.file(&path, content);
            if random.once_in(4) {
                tree.mode(&path, 0o755);
            }
            tree.mtime(
                &path,
                1_600_000_000 + random.below(10_000_000) as i64,
                random.below(1_000_000_000) as u32,
            );
            files.push(path);
        }
        tree.finish();
        tree
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Scratch, listing};

    #[test]
    fn the_odd_tree_is_listed() {
        let scratch = Scratch::new();
        let (_tree, refused) = TreeBuilder::odd(&scratch);
        for line in &refused {
            println!("left out: {line}");
        }
        let listing = listing(&scratch).expect("because it is readable");
        assert!(listing.lines().count() > 100);
        let line = listing.lines().find(|line| line.starts_with("/hard/b\t")).expect("because it was made");
        assert_eq!(line.split('\t').nth(7), Some("3"));
        assert!(listing.contains("/names/new\\x0aline\tf\t"));
    }

    #[test]
    fn random_trees_depend_on_the_seed_alone() {
        let size = TreeSize { directories: 10, files: 60, largest: 20_000 };
        let list = |seed| {
            let scratch = Scratch::new();
            TreeBuilder::random(&scratch, seed, size);
            listing(&scratch).expect("because it is readable")
        };
        let first = list(1);
        assert!(first == list(1) && first != list(2));
        for kind in ["\tf\t", "\td\t", "\tl\t"] {
            assert!(first.contains(kind));
        }
    }
}
