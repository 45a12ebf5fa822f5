//! Making an account.

use axum::extract::{Form, Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};

use super::layout::{Place, layout};
use super::parts::complaint;
use crate::accounts::SignUpPolicy;
use crate::caller::Caller;
use crate::error::HubError;
use crate::hub::Hub;
use crate::web::begin_cookie;

#[derive(serde::Deserialize, Default)]
pub(crate) struct Code {
    #[serde(default)]
    code: String,
}

#[derive(serde::Deserialize, Default)]
pub(crate) struct Fields {
    name: String,
    password: String,
    again: String,
    #[serde(default)]
    code: String,
}

pub(crate) async fn show(State(hub): State<Hub>, caller: Caller, Query(code): Query<Code>) -> Markup {
    page(&hub, &caller, &Fields { code: code.code, ..Fields::default() }, None)
}

fn page(hub: &Hub, caller: &Caller, fields: &Fields, wrong: Option<&str>) -> Markup {
    let open = hub.config().sign_up == SignUpPolicy::Open;
    let content = html! {
        section.narrow {
            h1 { "Make an account" }
            (complaint(wrong))
            form method="post" action="/sign-up" {
                label for="name" { "Name" }
                input #name name="name" value=(fields.name) required autocomplete="username" autofocus minlength="2"
                    maxlength="64" autocapitalize="none" spellcheck="false";
                label for="password" { "Password" }
                input #password name="password" type="password" required autocomplete="new-password" minlength="10"
                    aria-describedby="password-help";
                p.help #password-help { "At least 10 characters. A few words that don't belong together are good." }
                label for="again" { "Password, again" }
                input #again name="again" type="password" required autocomplete="new-password";
                label for="code" { "Code" @if open { " (if you have one)" } }
                input #code name="code" value=(fields.code) required[!open] autocomplete="off" autocapitalize="none"
                    spellcheck="false" aria-describedby="code-help";
                p.help #code-help { "From your invitation. Whoever started the hub finds the first one where it was started." }
                p.actions { button type="submit" { "Make the account" } a href="/sign-in" { "I have one" } }
            }
        }
    };
    layout(caller, Place::Elsewhere, "Make an account", &content)
}

pub(crate) async fn sign_up(
    State(hub): State<Hub>,
    caller: Caller,
    Form(fields): Form<Fields>,
) -> Result<Response, HubError> {
    let done = if fields.password == fields.again {
        hub.sign_up(&caller, &fields.name, &fields.password, &fields.code).await
    } else {
        Err(HubError::invalid("again", "the passwords differ"))
    };
    match done {
        Ok(token) => {
            let cookie = [(header::SET_COOKIE, begin_cookie(&token, hub.encrypted()))];
            Ok((cookie, Redirect::to("/")).into_response())
        }
        Err(error @ (HubError::Invalid { .. } | HubError::TooMany(_))) => {
            let page = page(&hub, &caller, &fields, Some(&error.told()));
            Ok((error.status(), page).into_response())
        }
        Err(error) => Err(error),
    }
}
