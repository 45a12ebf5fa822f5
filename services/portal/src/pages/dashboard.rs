//! The first page: what somebody has, or what this is.

use axum::extract::State;
use maud::{Markup, html};

use super::layout::{Place, layout};
use super::parts;
use crate::accounts::Role;
use crate::caller::Caller;
use crate::error::HubError;
use crate::hub::Hub;

pub(crate) async fn show(State(hub): State<Hub>, caller: Caller) -> Result<Markup, HubError> {
    let Some(account) = &caller.account else { return Ok(welcome(&caller)) };
    let (own, shared) = hub.contexts(&caller).await?;
    let machines = hub.pairings(&caller).await?;
    let content = html! {
        h1 { "Dashboard" }
        div.columns {
            section {
                h2 { "Contexts" }
                @if own.is_empty() && shared.is_empty() {
                    p.empty { "A context says what a machine becomes: its users, its software, its services." }
                } @else {
                    p.figure { (own.len()) " own, " (shared.len()) " shared with you" }
                    (parts::contexts(&own[..own.len().min(3)], false))
                }
                p.actions {
                    @if account.role >= Role::User { a.button href="/contexts/new" { "New context" } }
                    a href="/contexts/public" { "Look at public ones" }
                }
            }
            section {
                h2 { "Machines" }
                @if machines.is_empty() {
                    p.empty {
                        "No machine has been paired yet. Boot an image without user data, with "
                        code { "varve.hub=" (hub.config().address) }
                        " on its kernel's command line: it shows a PIN."
                    }
                } @else {
                    (super::machines::table(&machines[..machines.len().min(5)]))
                }
                @if account.role >= Role::User {
                    p.actions { a.button href="/pair" { "Pair a machine" } a href="/machines" { "All machines" } }
                }
            }
        }
    };
    Ok(layout(&caller, Place::Dashboard, "Dashboard", &content))
}

fn welcome(caller: &Caller) -> Markup {
    let content = html! {
        section.narrow {
            h1 { "Machines that become what you say" }
            p { "Write a context in your browser, boot an image with nothing in it, type the PIN that it shows: the machine \
                 goes on with your context within a second." }
            p.actions {
                a.button href="/sign-in" { "Sign in" }
                a href="/contexts/public" { "Look at public contexts" }
            }
        }
    };
    layout(caller, Place::Elsewhere, "Welcome", &content)
}
