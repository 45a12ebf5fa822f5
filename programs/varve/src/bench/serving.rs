//! `varve bench serve`: requests per second of the server beside nginx, under the load generator wrk.

use std::fmt::Write as _;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::limits;
use super::report::Finding;
use super::trees;
use crate::scratch::{Scratch, ScratchError, Talk, io_error};

/// Seconds that each load lasts.
const SECONDS: u64 = 5;

/// Asks both servers for the same small objects in turn, `rounds` times.
pub(super) fn run(scratch: &mut Scratch, rounds: usize) -> Result<Vec<Finding>, ScratchError> {
    for tool in ["wrk", "nginx"] {
        if Command::new(tool).arg("-v").stdout(Stdio::null()).stderr(Stdio::null()).status().is_err() {
            return Ok(vec![Finding::alone(
                "requests per second",
                format!("skipped: {tool} is not installed"),
                "",
            )]);
        }
    }
    let name = "serve.bench.example";
    let tree = trees::data(scratch)?.join("small");
    scratch.run(scratch.varve("repo create").arg(name), Talk::Kept)?;
    scratch.run(scratch.varve("repo publish").arg(name).arg(&tree), Talk::Kept)?;
    let served = scratch.path("home/repositories");
    let script = scratch.path("objects.lua");
    std::fs::write(&script, script_for(&served.join(name))?).map_err(io_error("write the load script"))?;
    scratch.start_server()?;
    let ours_at = scratch.address()?;
    let nginx = Nginx::start(scratch, &served)?;
    let theirs_at = format!("http://127.0.0.1:{}", nginx.port);
    let mut pairs = vec![];
    for _ in 0..rounds {
        let ours = load(scratch, &script, &ours_at)?;
        let theirs = load(scratch, &script, &theirs_at)?;
        pairs.push((per_request(ours), per_request(theirs)));
    }
    drop(nginx);
    scratch.stop_server();
    let what = "serve objects of 4 KiB: time of 100000 requests";
    Ok(vec![Finding::speed(what, &pairs, "nginx", "")])
}

/// The reciprocal of a rate, scaled so that a table shows it well: the time of 100,000 requests.
fn per_request(rate: f64) -> Duration {
    Duration::from_secs_f64(100_000.0 / rate.max(1.0))
}

/// A script for wrk that asks for one object after the other.
fn script_for(repository: &Path) -> Result<String, ScratchError> {
    let mut script = String::from("local paths = {\n");
    let data = repository.join("data");
    let prefix = repository.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    for (path, _) in limits::regular_files(&data)? {
        if let Ok(object) = path.strip_prefix(&data) {
            let _infallible = writeln!(script, "\"/cvmfs/{prefix}/data/{}\",", object.display());
        }
    }
    script.push_str("}\nlocal at = 0\nrequest = function()\n at = at % #paths + 1\n return wrk.format(\"GET\", paths[at])\nend\n");
    Ok(script)
}

/// Requests per second that a server answers to 2 threads with 32 connections.
fn load(scratch: &Scratch, script: &Path, address: &str) -> Result<f64, ScratchError> {
    let mut wrk = Command::new("wrk");
    wrk.arg("-t2").arg("-c32").arg(format!("-d{SECONDS}s")).arg("-s").arg(script).arg(address);
    let printed = scratch.run(&mut wrk, Talk::Kept)?.stdout;
    let rate = printed.lines().find_map(|line| line.trim().strip_prefix("Requests/sec:"));
    Ok(rate.and_then(|rate| rate.trim().parse().ok()).unwrap_or(0.0))
}

/// An nginx over the same files, with one worker per core, sendfile and no log.
struct Nginx {
    child: Child,
    port: u16,
}

impl Nginx {
    fn start(scratch: &Scratch, served: &Path) -> Result<Self, ScratchError> {
        let port = TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .map_err(io_error("find a free port"))?
            .port();
        let directory = scratch.create_directory("nginx")?;
        let configuration = format!(
            "daemon off; worker_processes auto; user root; pid {d}/pid; error_log {d}/error.log;\n\
             events {{ worker_connections 1024; }}\n\
             http {{ access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000; open_file_cache off;\n\
             client_body_temp_path {d}/a; proxy_temp_path {d}/b; fastcgi_temp_path {d}/c; uwsgi_temp_path {d}/e; scgi_temp_path {d}/f;\n\
             server {{ listen 127.0.0.1:{port}; location /cvmfs/ {{ alias {s}/; }} }} }}\n",
            d = directory.display(),
            s = served.display()
        );
        let file = directory.join("nginx.conf");
        std::fs::write(&file, configuration).map_err(io_error("write nginx's configuration"))?;
        let child = Command::new("nginx")
            .arg("-c")
            .arg(&file)
            .arg("-p")
            .arg(&directory)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(io_error("start nginx"))?;
        let nginx = Self { child, port };
        scratch.wait_for("nginx", || TcpStream::connect(("127.0.0.1", port)).is_ok())?;
        Ok(nginx)
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let id = rustix::process::Pid::from_child(&self.child);
        // The master ends its workers when it is asked to; a forced end would leave them behind.
        if rustix::process::kill_process(id, rustix::process::Signal::TERM).is_ok() {
            let _gone = self.child.wait();
        }
    }
}
