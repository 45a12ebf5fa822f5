//! Signing in and out.

use axum::extract::{Form, Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};

use super::layout::{Place, layout};
use super::parts::complaint;
use crate::caller::Caller;
use crate::error::HubError;
use crate::hub::Hub;
use crate::web::{begin_cookie, end_cookie, form};

#[derive(serde::Deserialize, Default)]
pub(crate) struct Next {
    #[serde(default)]
    next: String,
}

#[derive(serde::Deserialize)]
pub(crate) struct Fields {
    name: String,
    password: String,
    #[serde(default)]
    next: String,
}

pub(crate) async fn show(caller: Caller, Query(next): Query<Next>) -> Response {
    if caller.account.is_some() {
        return Redirect::to(form::next(&next.next)).into_response();
    }
    page(&caller, "", &next.next, None).into_response()
}

fn page(caller: &Caller, name: &str, next: &str, wrong: Option<&str>) -> Markup {
    let content = html! {
        section.narrow {
            h1 { "Sign in" }
            (complaint(wrong))
            form method="post" action="/sign-in" {
                input type="hidden" name="next" value=(form::next(next));
                label for="name" { "Name" }
                input #name name="name" value=(name) required autocomplete="username" autofocus autocapitalize="none"
                    spellcheck="false";
                label for="password" { "Password" }
                input #password name="password" type="password" required autocomplete="current-password";
                p.actions { button type="submit" { "Sign in" } a href="/sign-up" { "Make an account" } }
            }
        }
    };
    layout(caller, Place::Elsewhere, "Sign in", &content)
}

pub(crate) async fn sign_in(
    State(hub): State<Hub>,
    caller: Caller,
    Form(fields): Form<Fields>,
) -> Result<Response, HubError> {
    match hub.sign_in(&caller, &fields.name, &fields.password).await {
        Ok(token) => {
            let cookie = [(header::SET_COOKIE, begin_cookie(&token, hub.encrypted()))];
            Ok((cookie, Redirect::to(form::next(&fields.next))).into_response())
        }
        Err(error @ (HubError::SignInFailed | HubError::TooMany(_))) => {
            let page = page(&caller, &fields.name, &fields.next, Some(&error.told()));
            Ok((error.status(), page).into_response())
        }
        Err(error) => Err(error),
    }
}

pub(crate) async fn sign_out(State(hub): State<Hub>, caller: Caller) -> Result<Response, HubError> {
    hub.sign_out(&caller).await?;
    let cookie = [(header::SET_COOKIE, end_cookie(hub.encrypted()))];
    Ok((cookie, Redirect::to("/")).into_response())
}
