//! A hub: the machine shows a PIN, its owner types it there, and the machine gets what they picked. docs/formats/pairing.md.
//!
//! What comes is sealed to a key that is made here for it, so nobody on the way reads it. Who answers is believed if the address is
//! `https://` and the certificate is the one that was named; with `http://` whoever is on the way could answer, as with a cloud's
//! metadata server.

use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::Duration;

use qrcode::render::unicode::Dense1x2;
use qrcode::{EcLevel, QrCode};
use reqwest::{Client, StatusCode};
use serde::{Deserialize, Serialize};
use varve_context::MachinePair;

use super::{MOST_USER_DATA, text_file};
use crate::console::{Console, chain};
use crate::plain_http::{self, PinnedCertificate};

/// For how long the hub may keep a question, in seconds; and how much later an answer is no answer.
const WAIT: u16 = 20;
const ANSWER: Duration = Duration::from_secs(WAIT as u64 + 15);
const CONNECT: Duration = Duration::from_secs(10);
/// The pause before a hub that doesn't answer is asked again; doubled each time.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);
/// An answer holds the user data in base64, and little else.
const MOST_ANSWER: u64 = MOST_USER_DATA / 3 * 4 + 4096;

/// Where the hub is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HubAddress {
    /// `http://` or `https://`, without a slash at the end.
    pub address: String,
    /// The SHA-256 of its certificate, in hexadecimal.
    pub certificate: Option<String>,
}

/// What the machine says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct MachineFacts {
    /// What its network calls it.
    pub name: String,
    /// What it is made by, or runs in.
    pub model: String,
    /// `x86_64`, as a rule.
    pub architecture: String,
    /// Its address.
    pub network: String,
    /// What it would boot.
    pub system: String,
}

impl MachineFacts {
    /// What the firmware says, in the kernel's directory for that.
    pub fn of_firmware(directory: &Path) -> Self {
        let word = |name: &str| text_file(&directory.join(name)).unwrap_or_default().trim().to_owned();
        let model = format!("{} {}", word("sys_vendor"), word("product_name")).trim().to_owned();
        Self { model, architecture: std::env::consts::ARCH.to_owned(), ..Self::default() }
    }
}

#[derive(Serialize)]
struct Request<'a> {
    machine_key: String,
    facts: &'a MachineFacts,
}

#[derive(Deserialize)]
struct Started {
    device_code: String,
    user_code: String,
    verification_uri: String,
    verification_uri_complete: String,
}

/// What has come of a question.
enum Said {
    Pending,
    Denied,
    Expired,
    Sealed(String),
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
enum PairingError {
    #[error("the hub can't be asked")]
    Http(#[from] reqwest::Error),
    #[error("the hub says {status}: {detail}")]
    Refused { status: StatusCode, detail: String },
    #[error("the hub's answer is longer than {MOST_ANSWER} bytes")]
    TooLong,
    #[error("the hub's answer can't be read")]
    Form(#[from] serde_json::Error),
    #[error(transparent)]
    Key(#[from] varve_context::DeliveryError),
}

/// Pairs the machine: waits until somebody has decided. `None` if they refused, or the address can't be meant.
pub fn pair(hub: &HubAddress, facts: &MachineFacts, console: &Console) -> Option<Vec<u8>> {
    let secure = hub.address.starts_with("https://");
    let client = match (&hub.certificate, secure) {
        (Some(fingerprint), true) => PinnedCertificate::new(fingerprint).map(plain_http::pinned),
        (None, false) if hub.address.starts_with("http://") => Some(plain_http::client()),
        _ => None,
    };
    let Some(client) = client else {
        console.error(
            format_args!("the hub's address {:?} can't be used", hub.address),
            Some("varve.hub= begins with http://, or with https:// beside varve.hub-certificate=SHA256, which `varve hub` prints"),
        );
        return None;
    };
    let client = client.no_proxy().connect_timeout(CONNECT).timeout(ANSWER).build().ok()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
    runtime.block_on(Pairing { hub, facts, console, client }.until_decided())
}

/// Keeps what the machine was given, whole or not at all, for nobody but root.
///
/// # Errors
/// What the operating system says.
pub fn keep(path: &Path, user_data: &[u8]) -> io::Result<()> {
    let new = path.with_extension("new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    file.write_all(user_data)?;
    file.sync_all()?;
    fs::rename(new, path)
}

struct Pairing<'a> {
    hub: &'a HubAddress,
    facts: &'a MachineFacts,
    console: &'a Console,
    client: Client,
}

impl Pairing<'_> {
    async fn until_decided(&self) -> Option<Vec<u8>> {
        let mut pause = FIRST_PAUSE;
        loop {
            match self.once(&mut pause).await {
                Ok(Some(user_data)) => return Some(user_data),
                Ok(None) => {
                    self.console.warn("the hub's user refused this machine: it goes on without user data");
                    return None;
                }
                Err(error) => {
                    self.console.error(chain(&error), Some("the machine begins again with another PIN"));
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
    }

    /// One PIN after the other, as they expire.
    async fn once(&self, pause: &mut Duration) -> Result<Option<Vec<u8>>, PairingError> {
        loop {
            let key = MachinePair::generate()?;
            let request = Request { machine_key: key.public().to_text(), facts: self.facts };
            let (_, body) = self.post("pairings", &serde_json::to_vec(&request)?).await?;
            let started: Started = serde_json::from_slice(&body)?;
            self.console.write_raw(&screen(&started, &key.public().fingerprint()));
            *pause = FIRST_PAUSE;
            match self.wait(&started).await? {
                Said::Sealed(sealed) => {
                    let user_data = key.open(&sealed)?;
                    let taken = serde_json::json!({ "device_code": started.device_code });
                    // It has what it needs: whether the hub hears of it doesn't matter to it.
                    let _ = self.post("pairings/taken", &serde_json::to_vec(&taken)?).await;
                    return Ok(Some(user_data));
                }
                Said::Denied => return Ok(None),
                Said::Expired | Said::Pending => self.console.say("the PIN has expired: here is another one"),
            }
        }
    }

    /// Asks until there is an answer. A hub that is away is waited for: the PIN is still on the screen.
    async fn wait(&self, started: &Started) -> Result<Said, PairingError> {
        let question = serde_json::json!({ "device_code": started.device_code, "wait": WAIT });
        let question = serde_json::to_vec(&question)?;
        let (mut pause, mut away) = (FIRST_PAUSE, false);
        loop {
            let passing = match self.post("pairings/poll", &question).await {
                Ok((status, body)) => match said(status, &body)? {
                    Said::Pending => {
                        (pause, away) = (FIRST_PAUSE, false);
                        continue;
                    }
                    said => return Ok(said),
                },
                Err(error @ PairingError::Http(_)) => error,
                Err(PairingError::Refused { status, detail }) if status.is_server_error() => {
                    PairingError::Refused { status, detail }
                }
                Err(error) => return Err(error),
            };
            if !std::mem::replace(&mut away, true) {
                self.console.warn(format_args!("{}; it is waited for", chain(&passing)));
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn post(&self, path: &str, body: &[u8]) -> Result<(StatusCode, Vec<u8>), PairingError> {
        let address = format!("{}/api/v1/{path}", self.hub.address);
        let request =
            self.client.post(address).header("content-type", "application/json").body(body.to_vec());
        let mut answer = request.send().await?;
        let status = answer.status();
        let mut bytes = Vec::new();
        while let Some(chunk) = answer.chunk().await? {
            if bytes.len() as u64 + chunk.len() as u64 > MOST_ANSWER {
                return Err(PairingError::TooLong);
            }
            bytes.extend_from_slice(&chunk);
        }
        if status.is_success() || (status == StatusCode::BAD_REQUEST && path == "pairings/poll") {
            return Ok((status, bytes));
        }
        let problem: serde_json::Value = serde_json::from_slice(&bytes).unwrap_or_default();
        let detail = problem["detail"].as_str().unwrap_or_default().chars().take(200).collect();
        Err(PairingError::Refused { status, detail })
    }
}

fn said(status: StatusCode, body: &[u8]) -> Result<Said, PairingError> {
    let answer: serde_json::Value = serde_json::from_slice(body)?;
    if status.is_success() {
        return Ok(Said::Sealed(answer["sealed"].to_string()));
    }
    Ok(match answer["error"].as_str() {
        Some("authorization_pending" | "slow_down") => Said::Pending,
        Some("access_denied") => Said::Denied,
        _ => Said::Expired,
    })
}

/// What people see: the PIN, where it is typed, and the key's fingerprint.
fn screen(started: &Started, fingerprint: &str) -> String {
    let plain = |text: &str| text.chars().filter(|c| !c.is_control()).take(300).collect::<String>();
    let mut text = "\n".to_owned();
    // Light modules are what a console writes: it is dark itself.
    if let Ok(code) =
        QrCode::with_error_correction_level(plain(&started.verification_uri_complete), EcLevel::L)
    {
        let picture =
            code.render::<Dense1x2>().dark_color(Dense1x2::Dark).light_color(Dense1x2::Light).build();
        for line in picture.lines() {
            let _ = writeln!(text, "    {line}");
        }
    }
    let _ = write!(
        text,
        "\n    This machine has no user data. Give it some at\n\n        {}\n\n    with the PIN\n\n        {}\n\n    \
         Its fingerprint is {fingerprint}.\n\n",
        plain(&started.verification_uri),
        plain(&started.user_code),
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_screen_shows_the_pin_and_nothing_that_steers_it() {
        let started = Started {
            device_code: "secret".into(),
            user_code: "BCDF-\u{1b}[2JGHJK".into(),
            verification_uri: "https://hub.example.org/pair".into(),
            verification_uri_complete: "https://hub.example.org/pair?pin=BCDF-GHJK".into(),
        };
        let text = screen(&started, "0123 4567 89ab cdef");
        assert!(
            text.contains("https://hub.example.org/pair\n") && text.contains("0123 4567 89ab cdef"),
            "{text}"
        );
        assert!(!text.contains('\u{1b}') && !text.contains("secret"), "{text}");
        assert!(
            text.lines().any(|line| line.contains('█')) && text.lines().all(|line| line.chars().count() < 80)
        );
    }

    #[test]
    fn an_address_must_be_one_that_can_be_trusted_as_it_says() {
        let console = Console::of(Vec::new());
        let facts = MachineFacts::of_firmware(Path::new("/nonexistent"));
        for (address, certificate) in [
            ("hub.example.org", None),
            ("https://hub.example.org", None),
            ("https://hub", Some("12")),
            ("http://hub", Some("00")),
        ] {
            let hub = HubAddress { address: address.into(), certificate: certificate.map(str::to_owned) };
            assert_eq!(pair(&hub, &facts, &console), None, "{address}");
        }
    }
}
