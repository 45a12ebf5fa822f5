//! Signature Version 4: what a request is signed by, whether that is right, and signing.
//!
//! A request carries its signature in the header `Authorization` or, presigned, in its query string. [`Claim::read`] takes it
//! apart, which says whose key is needed; [`Claim::verify`] then computes the signature anew and compares in constant time.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::time::Duration;

use hmac::{Hmac, Mac};
use http::{HeaderMap, Method};
use sha2::{Digest as _, Sha256};

use super::fault::Fault;
use super::time;

/// The only algorithm.
const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// The end of every scope.
const TERMINATOR: &str = "aws4_request";
/// How long after its date a request may come.
const LATE: i64 = 15 * 60;
/// How far clients' clocks may be ahead.
const AHEAD: i64 = 5 * 60;
/// The longest that a presigned request can be good for: seven days.
const LONGEST: i64 = 7 * 24 * 3600;

/// The parts of a request that a signature covers.
#[derive(Clone, Copy, Debug)]
pub struct Signed<'a> {
    /// The method.
    pub method: &'a Method,
    /// The path, as it came.
    pub path: &'a str,
    /// The query string, as it came.
    pub query: &'a str,
    /// The headers.
    pub headers: &'a HeaderMap,
    /// The server that was asked for, where no header says so.
    pub authority: Option<&'a str>,
    /// The body.
    pub body: &'a [u8],
}

/// A key and the secret that goes with it.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The key's id.
    pub key_id: String,
    /// The secret.
    pub secret: String,
    /// What comes with keys that last only for a while.
    pub session_token: Option<String>,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("key_id", &self.key_id).finish_non_exhaustive()
    }
}

/// What a request says of its signature. Nothing of it is known to be true.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The key that it says it was signed with.
    pub key_id: String,
    /// The region that it was signed for.
    pub region: String,
    /// The service that it was signed for.
    pub service: String,
    /// When, in seconds since 1970.
    pub at: i64,
    /// For how long it is good, if it is presigned.
    pub expires: Option<i64>,
    scope: String,
    date: String,
    signed_headers: Vec<String>,
    signature: Vec<u8>,
}

impl Claim {
    /// Takes a request's signature apart.
    ///
    /// # Errors
    /// `MissingAuthenticationToken` if there is none, `IncompleteSignature` if it is no signature.
    pub fn read(request: &Signed<'_>) -> Result<Self, Fault> {
        let header = |name: &str| {
            request
                .headers
                .get(name)
                .map(|value| value.to_str().map_err(|_| incomplete("The header is no text.")))
        };
        if let Some(authorization) = header("authorization").transpose()? {
            let Some(rest) = authorization.strip_prefix(ALGORITHM) else {
                return Err(incomplete(&format!("Authorization must begin with {ALGORITHM}.")));
            };
            let date = header("x-amz-date").transpose()?;
            let date = date.ok_or_else(|| {
                incomplete("Authorization header requires existence of an 'X-Amz-Date' header.")
            })?;
            let mut parts = Parts::default();
            for part in rest.split(',') {
                match part.trim().split_once('=') {
                    Some(("Credential", value)) => parts.credential = Some(value.into()),
                    Some(("SignedHeaders", value)) => parts.signed_headers = Some(value.into()),
                    Some(("Signature", value)) => parts.signature = Some(value.into()),
                    _ => return Err(incomplete("Authorization header has a part that is not known.")),
                }
            }
            return parts.claim(date, None);
        }
        let mut parts = Parts::default();
        let (mut algorithm, mut date, mut expires) = (None, None, None);
        for (name, value) in form_urlencoded::parse(request.query.as_bytes()) {
            match name.as_ref() {
                "X-Amz-Algorithm" => algorithm = Some(value),
                "X-Amz-Date" => date = Some(value),
                "X-Amz-Expires" => expires = Some(value),
                "X-Amz-Credential" => parts.credential = Some(value),
                "X-Amz-SignedHeaders" => parts.signed_headers = Some(value),
                "X-Amz-Signature" => parts.signature = Some(value),
                _ => {}
            }
        }
        if algorithm.is_none() && parts.signature.is_none() {
            return Err(Fault::new("MissingAuthenticationToken", "Request is missing Authentication Token"));
        }
        if algorithm.as_deref() != Some(ALGORITHM) {
            return Err(incomplete(&format!("X-Amz-Algorithm must be {ALGORITHM}.")));
        }
        let date = date.ok_or_else(|| incomplete("X-Amz-Date is missing."))?;
        let expires =
            expires.and_then(|text| text.parse().ok()).filter(|seconds| (1..=LONGEST).contains(seconds));
        let expires = expires.ok_or_else(|| {
            incomplete(&format!("X-Amz-Expires must be a number of seconds from 1 to {LONGEST}."))
        })?;
        parts.claim(&date, Some(expires))
    }

    /// Whether the request was signed with this secret, for this service, about now (in seconds since 1970).
    ///
    /// # Errors
    /// `RequestExpired`, `SignatureDoesNotMatch`.
    pub fn verify(&self, request: &Signed<'_>, secret: &str, service: &str, now: i64) -> Result<(), Fault> {
        if self.at > now + AHEAD {
            return Err(mismatch(&format!(
                "Signature not yet current: {} is later than this server's time",
                time::compact(self.at)
            )));
        }
        if now > self.at + self.expires.unwrap_or(LATE) {
            return Err(Fault::new("RequestExpired", "Request has expired."));
        }
        if self.service != service {
            return Err(mismatch(&format!("Credential should be scoped to correct service: '{service}'.")));
        }
        for header in ["host"]
            .into_iter()
            .chain(request.headers.keys().map(|name| name.as_str()).filter(|name| name.starts_with("x-amz-")))
        {
            if !self.signed_headers.iter().any(|signed| signed == header) {
                return Err(mismatch(&format!(
                    "'{header}' must be a 'SignedHeader' in the AWS Authorization."
                )));
            }
        }
        let hash = hex::encode(Sha256::digest(request.body));
        if let Some(said) = request.headers.get("x-amz-content-sha256")
            && said.as_bytes() != hash.as_bytes()
        {
            return Err(mismatch("The header x-amz-content-sha256 is not the hash of the body."));
        }
        let canonical = canonical_request(request, &self.signed_headers, &hash);
        let text = string_to_sign(&time::compact(self.at), &self.scope, &canonical);
        let mut mac = keyed(&signing_key(secret, &self.date, &self.region, &self.service));
        mac.update(text.as_bytes());
        mac.verify_slice(&self.signature).map_err(|_| {
            mismatch(
                "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access \
                 Key and signing method. Consult the service documentation for details.",
            )
        })
    }

    /// How long from `now` on the request is good for.
    pub fn validity(&self, now: i64) -> Duration {
        let until = self.at + self.expires.unwrap_or(LATE);
        Duration::from_secs(u64::try_from(until - now).unwrap_or_default())
    }

    /// The signature as text: two requests with the same one are the same request.
    pub fn text(&self) -> String {
        hex::encode(&self.signature)
    }
}

/// The parts of a signature that are one text each.
#[derive(Default)]
struct Parts<'a> {
    credential: Option<Cow<'a, str>>,
    signed_headers: Option<Cow<'a, str>>,
    signature: Option<Cow<'a, str>>,
}

impl Parts<'_> {
    fn claim(self, date_and_time: &str, expires: Option<i64>) -> Result<Claim, Fault> {
        let missing = |name: &str| incomplete(&format!("Authorization requires '{name}' parameter."));
        let credential = self.credential.ok_or_else(|| missing("Credential"))?;
        let signed_headers = self.signed_headers.ok_or_else(|| missing("SignedHeaders"))?;
        let signature = self.signature.ok_or_else(|| missing("Signature"))?;
        let fields: Vec<&str> = credential.split('/').collect();
        let [key_id, date, region, service, TERMINATOR] = fields[..] else {
            return Err(incomplete("Credential must be KEY/DATE/REGION/SERVICE/aws4_request."));
        };
        let at = time::parse_compact(date_and_time)
            .ok_or_else(|| incomplete("Date must be in ISO-8601 'basic format'."))?;
        if !date_and_time.starts_with(date) || date.len() != 8 {
            return Err(mismatch(
                "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP",
            ));
        }
        let signature = hex::decode(signature.as_ref()).ok().filter(|bytes| bytes.len() == 32);
        Ok(Claim {
            key_id: key_id.to_owned(),
            region: region.to_owned(),
            service: service.to_owned(),
            at,
            expires,
            scope: format!("{date}/{region}/{service}/{TERMINATOR}"),
            date: date.to_owned(),
            signed_headers: signed_headers.split(';').map(str::to_ascii_lowercase).collect(),
            signature: signature.ok_or_else(|| incomplete("Signature must be 64 hexadecimal digits."))?,
        })
    }
}

/// What a request is signed for.
#[derive(Clone, Copy, Debug)]
pub struct Scope<'a> {
    /// The region.
    pub region: &'a str,
    /// The service.
    pub service: &'a str,
}

/// The header `Authorization` for a request whose headers, `x-amz-date` among them, are complete; `at` in seconds since 1970.
pub fn authorization(request: &Signed<'_>, credentials: &Credentials, scope: Scope<'_>, at: i64) -> String {
    let mut signed: Vec<String> = request.headers.keys().map(|name| name.as_str().to_owned()).collect();
    if !signed.iter().any(|name| name == "host") {
        signed.push("host".to_owned());
    }
    signed.sort();
    let hash = hex::encode(Sha256::digest(request.body));
    let canonical = canonical_request(request, &signed, &hash);
    let at = time::compact(at);
    let date = &at[..8];
    let range = format!("{date}/{}/{}/{TERMINATOR}", scope.region, scope.service);
    let mut mac = keyed(&signing_key(&credentials.secret, date, scope.region, scope.service));
    mac.update(string_to_sign(&at, &range, &canonical).as_bytes());
    let signature = hex::encode(mac.finalize().into_bytes());
    let key_id = &credentials.key_id;
    format!(
        "{ALGORITHM} Credential={key_id}/{range}, SignedHeaders={}, Signature={signature}",
        signed.join(";")
    )
}

/// The request in the one form in which it is signed.
fn canonical_request(request: &Signed<'_>, signed_headers: &[String], body_hash: &str) -> String {
    let mut text = format!("{}\n{}\n", request.method, encode(&normal_path(request.path), true));
    let mut pairs: Vec<(String, String)> = form_urlencoded::parse(request.query.as_bytes())
        .filter(|(name, _)| name != "X-Amz-Signature")
        .map(|(name, value)| (encode(&name, false), encode(&value, false)))
        .collect();
    pairs.sort();
    let pairs: Vec<String> = pairs.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    text.push_str(&pairs.join("&"));
    text.push('\n');
    for name in signed_headers {
        let mut values: Vec<String> = request
            .headers
            .get_all(name.as_str())
            .iter()
            .map(|value| {
                String::from_utf8_lossy(value.as_bytes())
                    .split_ascii_whitespace()
                    .collect::<Vec<_>>()
                    .join(" ")
            })
            .collect();
        if values.is_empty() && name == "host" {
            values.extend(request.authority.map(str::to_owned));
        }
        // Writing to a string doesn't fail.
        let _ = writeln!(text, "{name}:{}", values.join(","));
    }
    let _ = write!(text, "\n{}\n{body_hash}", signed_headers.join(";"));
    text
}

fn string_to_sign(at: &str, scope: &str, canonical: &str) -> String {
    format!("{ALGORITHM}\n{at}\n{scope}\n{}", hex::encode(Sha256::digest(canonical.as_bytes())))
}

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("because any length is good for HMAC")
}

fn signing_key(secret: &str, date: &str, region: &str, service: &str) -> Vec<u8> {
    let mut key = format!("AWS4{secret}").into_bytes();
    for part in [date, region, service, TERMINATOR] {
        let mut mac = keyed(&key);
        mac.update(part.as_bytes());
        key = mac.finalize().into_bytes().to_vec();
    }
    key
}

/// Without `.`, `..` and empty segments.
fn normal_path(path: &str) -> String {
    let mut segments: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                segments.pop();
            }
            segment => segments.push(segment),
        }
    }
    let end = if path.ends_with('/') && !segments.is_empty() { "/" } else { "" };
    format!("/{}{end}", segments.join("/"))
}

/// Percent-encodes all but what never needs it.
pub(crate) fn encode(text: &str, slashes: bool) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(byte.into()),
            b'/' if slashes => out.push('/'),
            byte => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
    out
}

fn incomplete(why: &str) -> Fault {
    Fault::new("IncompleteSignature", why)
}

fn mismatch(why: &str) -> Fault {
    Fault::new("SignatureDoesNotMatch", why)
}

#[cfg(test)]
mod tests;
