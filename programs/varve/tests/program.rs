//! The program as people start it: `varve serve` and its signals, listings, and how errors end.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use rustix::process::Signal;
use varve_testkit::{Fixture, ProcessGuard, Scratch, wait_until};

const LIMIT: Duration = Duration::from_secs(60);

fn varve(home: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_varve"));
    command.env_clear().env("VARVE_HOME", home);
    command
}

/// Starts a server on a free port and returns it with its address.
fn serve(home: &Path, log: &Path) -> (ProcessGuard, String) {
    let mut command = varve(home);
    command.args(["serve", "--listen", "127.0.0.1:0", "--grace", "1", "--access-log"]).arg(log);
    command.stderr(Stdio::piped());
    let mut server = ProcessGuard::start(&mut command).expect("started");
    let stderr = server.child().stderr.take().expect("a pipe");
    let mut line = String::new();
    BufReader::new(stderr).read_line(&mut line).expect("it says where it is");
    let address = line.trim_end().strip_suffix('/').and_then(|line| line.split("http://").nth(1));
    (server, address.expect("an address").to_owned())
}

fn get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("connected");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").expect("sent");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("answered");
    String::from_utf8_lossy(&answer).into_owned()
}

fn lines(path: &Path) -> usize {
    fs::read_to_string(path).map_or(0, |text| text.lines().count())
}

fn standard_error(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_server_obeys_its_signals() {
    let home = Scratch::new();
    let fixture = Fixture::sha1();
    symlink(fixture.served(), home.directory("repositories").join(fixture.name())).expect("linked");
    let (log, moved) = (home.path().join("log"), home.path().join("log.1"));
    let (mut server, address) = serve(home.path(), &log);
    let manifest = format!("/cvmfs/{}/.cvmfspublished", fixture.name());
    assert!(get(&address, &manifest).starts_with("HTTP/1.1 200 OK\r\n"));
    wait_until("the first line", LIMIT, || lines(&log) == 1);

    fs::rename(&log, &moved).expect("moved");
    server.signal(Signal::HUP).expect("sent");
    wait_until("a new log", LIMIT, || log.exists());
    get(&address, &manifest);
    wait_until("the second line", LIMIT, || lines(&log) == 1);
    assert_eq!(lines(&moved), 1);

    let status = server.terminate(LIMIT).expect("waited for").expect("it ends");
    assert_eq!(status.code(), Some(0));
}

#[test]
fn a_client_that_takes_nothing_does_not_keep_the_server_alive() {
    let home = Scratch::new();
    let path = "large.example/data/8e/b208f7e05d987a9b044a8e98c6b087f15a0bfc";
    home.directory("repositories/large.example/data/8e");
    let file = fs::File::create(home.path().join("repositories").join(path)).expect("created");
    file.set_len(64 << 20).expect("a sparse file");
    let (mut server, address) = serve(home.path(), &home.path().join("log"));
    let mut lazy = TcpStream::connect(address).expect("connected");
    write!(lazy, "GET /cvmfs/{path} HTTP/1.1\r\nHost: x\r\n\r\n").expect("sent");
    lazy.read_exact(&mut [0; 15]).expect("the transfer began");
    let status = server.terminate(LIMIT).expect("waited for").expect("it ends");
    assert_eq!(status.code(), Some(0));
}

#[test]
fn an_address_that_is_taken_is_named() {
    let home = Scratch::new();
    let (_server, address) = serve(home.path(), &home.path().join("log"));
    let output = varve(home.path()).args(["serve", "--listen", &address]).output().expect("it ran");
    assert_eq!(output.status.code(), Some(6));
    let error = standard_error(&output);
    let expected = format!(
        "error: cannot listen on {address}: Address already in use (os error 98)\n\
         hint: another program may listen there; choose a port with --listen\n"
    );
    assert_eq!(error, expected);
}

#[test]
fn mistakes_of_a_user_are_one_line_and_no_backtrace() {
    let home = Scratch::new();
    for (arguments, variable, code, error) in [
        (
            &["repo", "list"][..],
            ("VARVE_HOME", "relative"),
            2,
            "error: VARVE_HOME is 'relative', but must be an absolute path\n",
        ),
        (
            &["serve", "--access-log", "/nonexistent/x", "--listen", "127.0.0.1:0"],
            ("RUST_BACKTRACE", "1"),
            1,
            "error: cannot open the access log /nonexistent/x: No such file or directory (os error 2)\n",
        ),
        (
            &["repo", "frobnicate"],
            ("RUST_BACKTRACE", "1"),
            2,
            "error: unrecognized subcommand 'frobnicate'\n",
        ),
    ] {
        let mut command = varve(home.path());
        let output = command.args(arguments).env(variable.0, variable.1).output().expect("it ran");
        assert_eq!(output.status.code(), Some(code), "{arguments:?}");
        assert!(standard_error(&output).starts_with(error), "{}", standard_error(&output));
        assert!(!standard_error(&output).contains("backtrace"));
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn listings_are_tables_or_json() {
    let home = Scratch::new();
    home.directory("repositories/a.example");
    let json = varve(home.path()).args(["repo", "list", "--json"]).output().expect("it ran");
    assert!(json.stdout.starts_with(b"[\n"), "{}", String::from_utf8_lossy(&json.stdout));
    let table = varve(home.path()).args(["repo", "list"]).output().expect("it ran");
    assert!(String::from_utf8_lossy(&table.stdout).contains("\na.example"));
}

#[test]
fn manual_pages_and_completions_are_made() {
    let home = Scratch::new();
    let directory = home.path().join("man1");
    assert!(varve(home.path()).arg("man").arg(&directory).status().expect("it ran").success());
    for page in ["varve.1", "varve-serve.1", "varve-repo-list.1"] {
        assert!(directory.join(page).is_file(), "{page}");
    }
    for shell in ["bash", "zsh", "fish"] {
        let output = varve(home.path()).args(["completions", shell]).output().expect("it ran");
        assert!(output.status.success() && !output.stdout.is_empty(), "{shell}");
    }
}

#[test]
fn a_repository_is_served_from_where_its_settings_store_it() {
    let home = Scratch::new();
    let (tree, disk) = (home.directory("tree"), home.path().join("disk"));
    fs::write(tree.join("a"), "1").expect("written");
    let name = "stored.example.org";
    let settings = home.directory("config/repositories").join(format!("{name}.toml"));
    let mut create = varve(home.path());
    assert!(create.args(["repo", "create", name]).status().expect("started").success());
    let (mut server, address) = serve(home.path(), &home.path().join("log"));
    let manifest = format!("/cvmfs/{name}/.cvmfspublished");
    assert!(get(&address, &manifest).starts_with("HTTP/1.1 200 OK\r\n"));

    // Moved to another disk while it is served; its own directory stays, for the lock.
    let own = home.path().join("repositories").join(name);
    fs::rename(&own, &disk).expect("moved");
    fs::create_dir(&own).expect("created");
    let written = fs::read_to_string(&settings).unwrap_or_default();
    let place = format!("{written}\n[storage]\nkind = \"directory\"\npath = \"{}\"\n", disk.display());
    fs::write(&settings, place).expect("written");
    let mut publish = varve(home.path());
    publish.args(["repo", "publish", name]).arg(&tree);
    assert!(publish.status().expect("started").success());
    let answer = get(&address, &manifest);
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("\nS2\n"), "{answer}");
    assert!(get(&address, "/").contains(name));
    server.terminate(LIMIT).expect("waited for").expect("it ends");
}
