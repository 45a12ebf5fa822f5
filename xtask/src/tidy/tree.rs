//! The files of the workspace as the rules see them: paths and texts, and which crate a file belongs to.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use super::rust_code::RustCode;

/// Written by another program or foreign by nature: no rule looks into these.
const FOREIGN: [&str; 2] = ["tests/fixtures/", "fuzz/corpus/"];

/// A file that is kept under version control, or would be.
pub(crate) struct File {
    /// Relative to the workspace, with `/`.
    pub(crate) path: String,
    pub(crate) text: String,
}

impl File {
    pub(crate) fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// The text taken apart into code, strings and comments.
    pub(crate) fn code(&self) -> RustCode {
        RustCode::of(&self.text)
    }
}

/// All text files, and the paths of all files.
pub(crate) struct Tree {
    pub(crate) files: Vec<File>,
    paths: Vec<String>,
}

impl Tree {
    /// What git tracks below `root`, and what it would track if it were told to.
    pub(crate) fn read(root: &Path) -> Result<Self> {
        let output = Command::new("git")
            .current_dir(root)
            // The clone may belong to another user than the one who checks it.
            .args(["-c", "safe.directory=*", "ls-files", "-z"])
            .args(["--cached", "--others", "--exclude-standard", "--deduplicate"])
            .stdin(Stdio::null())
            .output()
            .context("cannot run git")?;
        if !output.status.success() {
            bail!("git ls-files: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        let list = String::from_utf8(output.stdout).context("a file's name is not UTF-8")?;
        let mut tree = Self { files: Vec::new(), paths: Vec::new() };
        for path in list.split_terminator('\0') {
            let Ok(bytes) = fs::read(root.join(path)) else { continue };
            tree.paths.push(path.to_owned());
            if FOREIGN.iter().any(|prefix| path.starts_with(prefix)) {
                continue;
            }
            if let Ok(text) = String::from_utf8(bytes) {
                tree.files.push(File { path: path.to_owned(), text });
            }
        }
        Ok(tree)
    }

    /// A tree of these files, for the tests of the rules.
    #[cfg(test)]
    pub(crate) fn of(files: &[(&str, &str)]) -> Self {
        Self {
            paths: files.iter().map(|(path, _)| (*path).to_owned()).collect(),
            files: files
                .iter()
                .map(|(path, text)| File { path: (*path).to_owned(), text: (*text).to_owned() })
                .collect(),
        }
    }

    pub(crate) fn rust(&self) -> impl Iterator<Item = &File> {
        self.files.iter().filter(|file| file.is_rust())
    }

    pub(crate) fn get(&self, path: &str) -> Option<&File> {
        self.files.iter().find(|file| file.path == path)
    }

    /// Whether there is a file or a directory of that path.
    pub(crate) fn exists(&self, path: &str) -> bool {
        let path = path.trim_end_matches('/');
        self.paths
            .iter()
            .any(|file| file.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
    }

    /// The manifests of the workspace's packages, without the workspace's own.
    pub(crate) fn manifests(&self) -> impl Iterator<Item = &File> {
        self.files.iter().filter(|file| file.path.ends_with("/Cargo.toml") && !file.path.starts_with("fuzz/"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_and_their_directories_exist() {
        let tree = Tree::of(&[("filesystem/content/src/lib.rs", "")]);
        for path in ["filesystem", "filesystem/", "filesystem/content/src/lib.rs"] {
            assert!(tree.exists(path), "{path}");
        }
        for path in ["file", "filesystem/con", "filesystem/content/src/lib.rs/x"] {
            assert!(!tree.exists(path), "{path}");
        }
    }

    #[test]
    fn the_own_workspace_is_read() {
        let tree = Tree::read(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/..")));
        let tree = tree.expect("because tests run in a clone");
        assert!(tree.get("xtask/src/tidy/tree.rs").is_some() && tree.exists("LICENSE"));
    }
}
