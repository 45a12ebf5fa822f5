//! Who may use the API: whoever shows the machine's token, or a token that was given for an administrator's password.
//!
//! Tokens go in the `Authorization` header, never in a cookie, so that no other page can make the browser send one. Passwords are
//! checked by the operating system's own `unix_chkpwd`, which knows all of its hashes. Guessing is limited for everybody
//! together: nobody can try more than [`GUESSES`] in a minute, from wherever.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use varve_context::text::AccountName;

use super::Shared;
use super::problem::Problem;
use super::system::System;

/// Wrong passwords in a minute.
const GUESSES: usize = 5;
const MINUTE: Duration = Duration::from_secs(60);
/// How long a token that was given for a password is good.
const SESSION: Duration = Duration::from_secs(12 * 3600);
/// Tokens that are given at one time.
const SESSIONS: usize = 64;
/// Longer ones are refused.
const LONGEST_PASSWORD: usize = 512;
/// Members of these may do everything.
const ADMINISTRATORS: [&str; 3] = ["sudo", "wheel", "admin"];
const CHECK: &str = "usr/sbin/unix_chkpwd";

/// The tokens that are good.
#[derive(Debug)]
pub(super) struct Access {
    machine: String,
    state: Mutex<State_>,
}

#[derive(Debug, Default)]
struct State_ {
    given: Vec<(String, Instant)>,
    wrong: Vec<Instant>,
}

impl Access {
    /// Makes a new token of the machine, and leaves it where root finds it.
    pub(super) fn new(path: &Path) -> io::Result<Self> {
        let machine = token()?;
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory)?;
        }
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        file.write_all(machine.as_bytes())?;
        Ok(Self { machine, state: Mutex::default() })
    }

    fn admits(&self, token: &str) -> bool {
        let now = Instant::now();
        let mut state = self.state.lock();
        state.given.retain(|(_, until)| now < *until);
        same(token, &self.machine) || state.given.iter().any(|(given, _)| same(token, given))
    }

    /// Whether somebody may try a password now. Each try counts as wrong until it is known to be right.
    fn try_now(&self) -> bool {
        let now = Instant::now();
        let mut state = self.state.lock();
        state.wrong.retain(|at| now.duration_since(*at) < MINUTE);
        if state.wrong.len() >= GUESSES {
            return false;
        }
        state.wrong.push(now);
        true
    }

    fn give(&self) -> io::Result<String> {
        let token = token()?;
        let mut state = self.state.lock();
        state.wrong.pop();
        if state.given.len() >= SESSIONS {
            state.given.remove(0);
        }
        state.given.push((token.clone(), Instant::now() + SESSION));
        Ok(token)
    }
}

/// Lets a request through that shows a good token.
pub(super) async fn required(
    State(shared): State<Arc<Shared>>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let shown = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    match shown.and_then(|value| value.strip_prefix("Bearer ")) {
        Some(token) if shared.access.admits(token) => Ok(next.run(request).await),
        _ => Err(Problem::new(
            StatusCode::UNAUTHORIZED,
            "sign in with an administrator's password, or with the machine's token ('varve-guest appliance token' prints it)",
        )),
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SignIn {
    user: String,
    password: String,
}

#[derive(Debug, Serialize)]
pub(super) struct Session {
    token: String,
}

/// Gives a token for a password.
pub(super) async fn open(
    State(shared): State<Arc<Shared>>,
    Json(sign_in): Json<SignIn>,
) -> Result<Json<Session>, Problem> {
    if !shared.access.try_now() {
        return Err(Problem::new(
            StatusCode::TOO_MANY_REQUESTS,
            "too many wrong passwords: wait for a minute, or use the machine's token",
        ));
    }
    let asked = Arc::clone(&shared);
    let right = tokio::task::spawn_blocking(move || is_administrator(&asked.system, &sign_in))
        .await
        .map_err(|error| Problem::failed(&error))??;
    if !right {
        return Err(Problem::new(StatusCode::FORBIDDEN, "no administrator with this name and password"));
    }
    Ok(Json(Session { token: shared.access.give()? }))
}

fn is_administrator(system: &System, sign_in: &SignIn) -> Result<bool, Problem> {
    let SignIn { user, password } = sign_in;
    if AccountName::parse(user.as_str()).is_err()
        || password.is_empty()
        || password.len() > LONGEST_PASSWORD
        || password.contains('\0')
    {
        return Ok(false);
    }
    let admitted = user == "root"
        || system.groups_of(user)?.iter().any(|group| ADMINISTRATORS.contains(&group.as_str()));
    if !admitted {
        return Ok(false);
    }
    let program = system.path(CHECK);
    let mut check = Command::new(&program)
        .args([user, "nonull"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| {
            let detail = format!(
                "cannot check passwords with {}: {error}; use the machine's token",
                program.display()
            );
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, detail)
        })?;
    if let Some(mut input) = check.stdin.take() {
        input.write_all(format!("{password}\0").as_bytes())?;
    }
    Ok(check.wait()?.success())
}

fn token() -> io::Result<String> {
    let mut bytes = [0_u8; 24];
    getrandom::fill(&mut bytes).map_err(|error| io::Error::other(error.to_string()))?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// Compares without telling by its time how much is the same.
fn same(one: &str, other: &str) -> bool {
    one.len() == other.len()
        && one.bytes().zip(other.bytes()).fold(0, |sum, (one, other)| sum | (one ^ other)) == 0
}
