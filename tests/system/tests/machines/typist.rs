//! Somebody who types what a tutorial says.
//!
//! Only what must differ is replaced: the port that a server listens on, and the publisher's name.

use std::fs;

use varve_system::{Installation, Outcome, Server};

/// Where documented servers listen.
const LISTEN: &str = "0.0.0.0:8000";
/// What documented clients call the server.
const PUBLISHER: &str = "publisher:8000";

/// Who follows a page.
pub(crate) struct Typist {
    installation: Installation,
    /// What the clients call the host of the server.
    publisher: &'static str,
    server: Option<Server>,
    /// What the commands have printed.
    pub(crate) said: Vec<String>,
    /// Says more about a failure.
    pub(crate) on_failure: &'static [&'static str],
    /// Ends what would go on after a failure.
    pub(crate) at_end: &'static [&'static str],
}

impl Typist {
    /// One with an empty home, whose clients reach this host by an address.
    pub(crate) fn new(publisher: &'static str) -> Self {
        let installation = Installation::new();
        Self { installation, publisher, server: None, said: Vec::new(), on_failure: &[], at_end: &[] }
    }

    /// The home, and the directory `work` in which everything is typed.
    pub(crate) fn installation(&self) -> &Installation {
        &self.installation
    }

    /// Types a block of the page, which has to succeed.
    ///
    /// # Panics
    /// If it doesn't.
    pub(crate) fn enter(&mut self, block: &str) {
        println!("{block}");
        if let Some(line) = block.lines().find(|line| line.starts_with("varve serve")) {
            let (before, _) = block.split_once(line).expect("because it was found there");
            self.run(before);
            assert!(line.contains(LISTEN), "documented servers listen at {LISTEN}: {line}");
            let line = line.replace(LISTEN, "127.0.0.1:0");
            let command = self.installation.shell(&format!("exec {line}"));
            self.server = Some(self.installation.start_server(command));
            self.bring_keys();
        } else {
            self.run(block);
        }
    }

    /// Ends the server.
    pub(crate) fn stop_server(&mut self) {
        self.server = None;
    }

    fn run(&mut self, script: &str) {
        let script = match &self.server {
            Some(server) => script.replace(PUBLISHER, &format!("{}:{}", self.publisher, server.port())),
            None => script.to_owned(),
        };
        let Outcome { code, stdout, stderr } = self.installation.end(self.installation.shell(&script));
        print!("{stdout}{stderr}");
        assert_eq!(code, Some(0), "{script}{}", self.installation.call(self.on_failure).stdout);
        self.said.push(stdout);
        self.said.push(stderr);
    }

    /// Public keys come to other machines somehow.
    fn bring_keys(&self) {
        let keys = fs::read_dir(self.installation.path("home/keys")).into_iter().flatten().flatten();
        for key in keys.filter(|key| key.path().extension().is_some_and(|extension| extension == "pub")) {
            let copy = self.installation.path("work").join(key.file_name());
            fs::copy(key.path(), copy).expect("because the scratch directory is writable");
        }
    }
}

impl Drop for Typist {
    fn drop(&mut self) {
        if !self.at_end.is_empty() {
            self.installation.call(self.at_end);
        }
    }
}
