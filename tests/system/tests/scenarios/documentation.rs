//! What README.md, docs/operate and docs/tutorials tell people to type: every `sh` block, run as it stands there.
//!
//! The blocks of a page are run one after another in one directory, in which there is a directory `tree`. Only what must
//! differ is replaced: ports, names of machines, and `cargo`, whose commands are but looked for. A server goes on in the
//! background until the page or another server ends it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use varve_system::{Installation, Server, fuse_is_missing, overlays_are_missing, shell_blocks};
use varve_testkit::{S3Server, TreeBuilder};

/// Pages that have a test of their own, since they need machines: `tests/machines`.
const ELSEWHERE: [&str; 2] = ["analysis.md", "machine.md"];

/// Where documented servers listen.
const LISTEN: &str = "0.0.0.0:8000";

/// The documented S3 service.
const S3: &str = "https://s3.example.org";

/// Its bucket.
const S3_BUCKET: &str = "s3://software/";

/// What documented clients call them.
const PUBLISHER: &str = "publisher:8000";

#[test]
fn what_the_documentation_says_can_be_typed() {
    let mut commands = 0;
    for page in pages() {
        let name = page.display();
        let text = fs::read_to_string(&page).expect("because the page is in the tree");
        let s3 = if text.contains(S3) {
            let Some(server) = S3Server::start() else { continue };
            Some(server)
        } else {
            None
        };
        let mut typist = Typist::new(s3);
        for block in shell_blocks(&text).unwrap_or_else(|fault| panic!("{name}: {fault}")) {
            println!("{name}:\n{block}");
            commands += block.lines().count();
            typist.enter(block);
        }
    }
    assert!(commands > 10, "only {commands} lines were found");
}

/// README.md, the pages for operators, and the tutorials.
fn pages() -> Vec<PathBuf> {
    let directories = ["docs/operate", "docs/tutorials"].map(|directory| root().join(directory));
    let entries = directories
        .iter()
        .flat_map(|directory| fs::read_dir(directory).expect("because the directory is in the tree"));
    let mut pages: Vec<_> = entries.map(|entry| entry.expect("because it can be read").path()).collect();
    pages.retain(|page| page.extension().is_some_and(|extension| extension == "md"));
    pages.retain(|page| ELSEWHERE.iter().all(|name| !page.ends_with(name)));
    pages.sort();
    pages.insert(0, root().join("README.md"));
    pages
}

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// Who follows one page.
struct Typist {
    installation: Installation,
    server: Option<Server>,
    s3: Option<S3Server>,
}

impl Typist {
    fn new(s3: Option<S3Server>) -> Self {
        let installation = Installation::new();
        TreeBuilder::new(&installation.directory("work/tree"))
            .file("bin/hello", b"#!/bin/sh\necho hello\n")
            .finish();
        Self { installation, server: None, s3 }
    }

    /// Types a block: commands that end together, servers by themselves.
    fn enter(&mut self, block: &str) {
        let mounts =
            block.lines().any(|line| line.starts_with("varve mount") || line.starts_with("varve run"));
        if mounts && fuse_is_missing() {
            return;
        }
        if ["varve repo transaction", "varve repo shell"].iter().any(|verb| block.contains(verb))
            && overlays_are_missing()
        {
            return;
        }
        let mut script = String::new();
        for line in block.lines() {
            if let Some(arguments) = line.strip_prefix("cargo ") {
                self.look_for(arguments);
            } else if line.starts_with("varve serve") {
                self.run(&std::mem::take(&mut script));
                self.serve(line);
            } else {
                script.push_str(line);
                script.push('\n');
            }
        }
        self.run(&script);
    }

    fn run(&mut self, script: &str) {
        let script = match &self.server {
            Some(server) => script.replace(PUBLISHER, &format!("127.0.0.1:{}", server.port())),
            None => script.to_owned(),
        };
        let script = match &self.s3 {
            Some(s3) => script
                .replace(S3, &format!("{} --s3-allow-http", s3.url()))
                .replace(S3_BUCKET, &format!("s3://{}/", S3Server::BUCKET))
                .replace("AWS_ACCESS_KEY_ID=publisher", &format!("AWS_ACCESS_KEY_ID={}", S3Server::KEY_ID))
                .replace("the secret", S3Server::SECRET),
            None => script,
        };
        assert!(!script.contains(PUBLISHER), "nobody serves yet:\n{script}");
        let outcome = self.installation.end(self.installation.shell(&script));
        assert_eq!(outcome.code, Some(0), "{script}{}{}", outcome.stdout, outcome.stderr);
    }

    fn serve(&mut self, line: &str) {
        assert!(line.contains(LISTEN), "documented servers listen at {LISTEN}: {line}");
        let line = line.replace(LISTEN, "127.0.0.1:0");
        // The one before ends first, as it would have to on one machine.
        self.server = None;
        self.server = Some(self.installation.start_server(self.installation.shell(&format!("exec {line}"))));
        self.bring_keys();
    }

    /// A client's machine has got the public keys somehow.
    fn bring_keys(&self) {
        let keys = fs::read_dir(self.installation.path("home/keys")).into_iter().flatten().flatten();
        for key in keys.filter(|key| key.path().extension().is_some_and(|extension| extension == "pub")) {
            let copy = self.installation.path("work").join(key.file_name());
            fs::copy(key.path(), copy).expect("because the scratch directory is writable");
        }
    }

    /// A command of cargo would build and run everything again: only that there is such a command is seen.
    fn look_for(&self, arguments: &str) {
        let words: Vec<&str> =
            arguments.split_whitespace().take_while(|word| !word.starts_with('#')).collect();
        let told = match words.as_slice() {
            ["xtask", command, ..] => {
                let mut cargo = Command::new(env!("CARGO"));
                cargo.args(["xtask", "--help"]).current_dir(root());
                self.installation.end(cargo).stderr.contains(&format!("cargo xtask {command}"))
            }
            ["run", .., "-p", "varve", "--", command] => {
                self.installation.call(&[command, "--help"]).code == Some(0)
            }
            _ => false,
        };
        assert!(told, "there is no 'cargo {arguments}', or nothing is known of it");
    }
}
