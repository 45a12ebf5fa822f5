//! What somebody has.

use axum::extract::State;
use maud::{Markup, html};

use crate::accounts::Role;
use crate::caller::Caller;
use crate::error::HubError;
use crate::hub::Hub;
use crate::pages::layout::{Place, layout};
use crate::pages::parts;

pub(crate) async fn show(State(hub): State<Hub>, caller: Caller) -> Result<Markup, HubError> {
    let (own, shared) = hub.contexts(&caller).await?;
    let content = html! {
        div.heading {
            h1 { "Contexts" }
            @if caller.is(Role::User) { a.button href="/contexts/new" { "New context" } }
        }
        @if own.is_empty() {
            p.empty {
                "You have no context yet. Write one, or begin with a "
                a href="/contexts/public" { "public one" } "."
            }
        } @else {
            (parts::contexts(&own, false))
        }
        @if !shared.is_empty() {
            h2 { "Shared with you" }
            (parts::contexts(&shared, true))
        }
    };
    Ok(layout(&caller, Place::Contexts, "Contexts", &content))
}
