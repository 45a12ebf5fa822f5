//! A real squid, where it is installed: its own configuration, port, log; nothing is kept on disk.

use std::fs;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::{ProcessGuard, Scratch, wait_for};

/// Where Debian's package and others have it.
const PROGRAMS: [&str; 3] = ["/usr/sbin/squid", "/usr/bin/squid", "/usr/local/sbin/squid"];

const LONG: Duration = Duration::from_secs(60);

/// What every squid of a test is configured with. One that is started by root goes on as `nobody`.
const CONFIGURATION: &str = "\
cache_effective_user nobody
cache_mem 64 MB
maximum_object_size_in_memory 32 MB
minimum_expiry_time 0 seconds
shutdown_lifetime 0 seconds
visible_hostname squid.test
cache_store_log none
pinger_enable off
http_access allow all
";

/// A running squid on loopback.
pub struct Squid {
    process: ProcessGuard,
    port: u16,
    scratch: Scratch,
    configuration: String,
}

/// A line of its log.
#[derive(Clone, Debug)]
pub struct SquidAccess {
    /// What it did, and the status that it gave: `TCP_MEM_HIT/200`.
    pub result: String,
    /// The address that was asked for.
    pub url: String,
}

impl Squid {
    /// Starts one with further lines of configuration before the usual ones. `None`, and a word why, where it isn't
    /// installed.
    ///
    /// # Panics
    /// If it doesn't listen.
    pub fn start(lines: &str) -> Option<Self> {
        let Some(program) = PROGRAMS.iter().find(|program| Path::new(program).exists()) else {
            println!("skipped: squid is not installed");
            return None;
        };
        let scratch = Scratch::new();
        // Squid's own user has to get there and write.
        for (path, mode) in [(scratch.path().to_owned(), 0o755), (scratch.directory("squid"), 0o777)] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode))
                .expect("because the directory is ours");
        }
        let configuration = format!("{lines}\n{CONFIGURATION}");
        let (process, port) = run(program, &scratch, &configuration, None);
        Some(Self { process, port, scratch, configuration })
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Ends it, so that connections to it are refused.
    ///
    /// # Panics
    /// If it doesn't end.
    pub fn stop(&mut self) {
        let status = self.process.terminate(LONG).expect("because it is our child");
        assert!(status.is_some(), "squid goes on");
    }

    /// Starts it again on the same port, with an empty cache.
    ///
    /// # Panics
    /// If it doesn't listen.
    pub fn restart(&mut self) {
        self.stop();
        let program =
            PROGRAMS.iter().find(|program| Path::new(program).exists()).expect("because it ran before");
        self.process = run(program, &self.scratch, &self.configuration, Some(self.port)).0;
    }

    /// What it was asked so far for addresses that have `part` in them.
    pub fn log(&self, part: &str) -> Vec<SquidAccess> {
        let log = fs::read_to_string(self.scratch.join("squid/access.log")).unwrap_or_default();
        let access = |line: &str| {
            let mut words = line.split_whitespace().skip(3);
            let (result, url) = (words.next()?.to_owned(), words.nth(2)?.to_owned());
            Some(SquidAccess { result, url })
        };
        log.lines().filter_map(access).filter(|access| access.url.contains(part)).collect()
    }
}

/// Starts it and waits until it listens; on another port if somebody else got the one.
fn run(program: &str, scratch: &Scratch, configuration: &str, port: Option<u16>) -> (ProcessGuard, u16) {
    let directory = scratch.join("squid");
    let file = directory.join("squid.conf");
    for _ in 0..10 {
        let port = port.unwrap_or_else(free_port);
        let place = directory.display();
        let text = format!(
            "http_port 127.0.0.1:{port}\npid_filename {place}/squid.pid\naccess_log stdio:{place}/access.log squid\n\
             cache_log {place}/cache.log\ncoredump_dir {place}\n{configuration}"
        );
        fs::write(&file, text).expect("because the directory is ours");
        let mut command = Command::new(program);
        command.arg("-N").arg("-f").arg(&file);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut process = ProcessGuard::start(&mut command).expect("because the program exists");
        let listens = wait_for("squid", LONG, || {
            let ended = process.wait(Duration::ZERO).expect("because it is our child").is_some();
            let connected = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok();
            (ended || connected).then_some(!ended)
        });
        if listens {
            return (process, port);
        }
    }
    let said = fs::read_to_string(directory.join("cache.log")).unwrap_or_default();
    panic!("squid does not start:\n{said}");
}

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("because loopback has free ports");
    listener.local_addr().expect("because it is bound").port()
}

impl Drop for Squid {
    fn drop(&mut self) {
        // Its children end with it only if it is asked.
        let _ended = self.process.terminate(Duration::from_secs(10));
    }
}
