//! The session's cookie.

use axum::http::{HeaderMap, HeaderValue, header};

use crate::ids::SecretText;

/// Its name; where there is TLS one that nobody but this host can set.
const PLAIN: &str = "varve-session";
const ENCRYPTED: &str = "__Host-varve-session";

fn name(encrypted: bool) -> &'static str {
    if encrypted { ENCRYPTED } else { PLAIN }
}

/// The session that a request belongs to.
pub(crate) fn session_in(headers: &HeaderMap, encrypted: bool) -> Option<SecretText> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut cookies =
        cookies.flat_map(|line| line.split(';')).filter_map(|cookie| cookie.trim().split_once('='));
    cookies.find(|(found, _)| *found == name(encrypted)).map(|(_, token)| SecretText::shown(token))
}

/// Sets it. Scripts don't see it, and requests of other sites don't carry it.
pub(crate) fn begin_cookie(token: &SecretText, encrypted: bool) -> HeaderValue {
    let secure = if encrypted { "; Secure" } else { "" };
    let text = format!(
        "{}={}; Path=/; HttpOnly; SameSite=Lax; Max-Age=1209600{secure}",
        name(encrypted),
        token.as_str()
    );
    HeaderValue::from_str(&text).expect("because tokens are letters and digits")
}

/// Takes it away.
pub(crate) fn end_cookie(encrypted: bool) -> HeaderValue {
    let secure = if encrypted { "; Secure" } else { "" };
    let text = format!("{}=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0{secure}", name(encrypted));
    HeaderValue::from_str(&text).expect("because it is made of constants")
}
