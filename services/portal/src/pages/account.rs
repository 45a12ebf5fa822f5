//! One's own account: password, API tokens.

use axum::extract::{Form, State};
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};

use super::layout::{Place, layout, mark};
use super::parts::{complaint, moment};
use crate::caller::Caller;
use crate::error::HubError;
use crate::hub::Hub;
use crate::ids::TokenId;
use crate::tokens::ApiToken;
use crate::web::Id;

#[derive(serde::Deserialize)]
pub(crate) struct Passwords {
    old: String,
    new: String,
    again: String,
}

#[derive(serde::Deserialize)]
pub(crate) struct NewToken {
    name: String,
    #[serde(default)]
    days: Option<u16>,
}

pub(crate) async fn show(State(hub): State<Hub>, caller: Caller) -> Result<Markup, HubError> {
    let tokens = hub.tokens(&caller).await?;
    page(&caller, &tokens, None, None)
}

fn page(
    caller: &Caller,
    tokens: &[ApiToken],
    new: Option<&str>,
    wrong: Option<&str>,
) -> Result<Markup, HubError> {
    let account = caller.account()?;
    let content = html! {
        h1 { (account.name) }
        p { "Your role: " strong { (account.role) } ", who " (account.role.meaning()) "." }
        (complaint(wrong))
        div.columns {
            section {
                h2 { "API tokens" }
                p { "A program shows a token instead of your password, and may do what you may, but not this page." }
                @if let Some(text) = new {
                    div.fresh role="status" {
                        p { "This is the token. It is not shown again." }
                        code.token { (text) }
                    }
                }
                @if tokens.is_empty() {
                    p.empty { "You have none." }
                } @else {
                    ul.cards {
                        @for token in tokens {
                            li.card {
                                h3 { (token.name) }
                                p.meta {
                                    "made " (moment(token.created))
                                    @if let Some(used) = token.used { " · used " (moment(used)) } @else { " · never used" }
                                    @if let Some(expires) = token.expires { " · until " (moment(expires)) }
                                }
                                form method="post" action={ "/account/tokens/" (token.id) "/revoke" } {
                                    (mark(caller))
                                    button.quiet type="submit" { "Revoke" }
                                }
                            }
                        }
                    }
                }
                form method="post" action="/account/tokens" {
                    (mark(caller))
                    label for="token-name" { "What it is for" }
                    input #token-name name="name" required maxlength="100" autocomplete="off";
                    label for="days" { "Counts for" }
                    select #days name="days" {
                        option value="30" { "30 days" }
                        option value="365" { "a year" }
                        option value="0" { "ever" }
                    }
                    p.actions { button type="submit" { "Make a token" } }
                }
            }
            section {
                h2 { "Password" }
                form method="post" action="/account/password" {
                    (mark(caller))
                    label for="old" { "Old password" }
                    input #old name="old" type="password" required autocomplete="current-password";
                    label for="new" { "New password" }
                    input #new name="new" type="password" required autocomplete="new-password" minlength="10";
                    label for="again" { "New password, again" }
                    input #again name="again" type="password" required autocomplete="new-password";
                    p.help { "All your other sessions end." }
                    p.actions { button type="submit" { "Change it" } }
                }
            }
        }
    };
    Ok(layout(caller, Place::Account, "Account", &content))
}

pub(crate) async fn change_password(
    State(hub): State<Hub>,
    caller: Caller,
    Form(passwords): Form<Passwords>,
) -> Result<Response, HubError> {
    let changed = if passwords.new == passwords.again {
        hub.change_password(&caller, &passwords.old, &passwords.new).await
    } else {
        Err(HubError::invalid("again", "the passwords differ"))
    };
    match changed {
        Ok(()) => Ok(Redirect::to("/account").into_response()),
        Err(error @ (HubError::Invalid { .. } | HubError::TooMany(_))) => {
            let tokens = hub.tokens(&caller).await?;
            let page = page(&caller, &tokens, None, Some(&error.told()))?;
            Ok((error.status(), page).into_response())
        }
        Err(error) => Err(error),
    }
}

pub(crate) async fn create_token(
    State(hub): State<Hub>,
    caller: Caller,
    Form(new): Form<NewToken>,
) -> Result<Response, HubError> {
    let made = hub.create_token(&caller, &new.name, new.days).await;
    let tokens = hub.tokens(&caller).await?;
    match made {
        Ok(text) => Ok(page(&caller, &tokens, Some(&text), None)?.into_response()),
        Err(error @ (HubError::Invalid { .. } | HubError::Conflict(_))) => {
            Ok((error.status(), page(&caller, &tokens, None, Some(&error.told()))?).into_response())
        }
        Err(error) => Err(error),
    }
}

pub(crate) async fn revoke_token(
    State(hub): State<Hub>,
    caller: Caller,
    Id(id): Id<TokenId>,
) -> Result<Redirect, HubError> {
    hub.revoke_token(&caller, &id).await?;
    Ok(Redirect::to("/account"))
}
