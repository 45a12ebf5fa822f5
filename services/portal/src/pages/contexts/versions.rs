//! A version of a context, what changed in it, and back to it.

use axum::extract::{Form, Path, State};
use axum::response::Redirect;
use maud::{Markup, html};

use crate::api::contexts::numbered;
use crate::caller::Caller;
use crate::error::HubError;
use crate::hub::Hub;
use crate::ids::ContextId;
use crate::pages::layout::{Place, layout, mark};
use crate::pages::parts::{self, moment};
use crate::web::Id;

#[derive(serde::Deserialize)]
pub(crate) struct Fields {
    number: i64,
}

pub(crate) async fn show(
    State(hub): State<Hub>,
    caller: Caller,
    Path((id, number)): Path<(String, String)>,
) -> Result<Markup, HubError> {
    let (id, number) = numbered(&id, &number)?;
    let (context, version) = hub.context_version(&caller, &id, Some(number)).await?;
    let difference = match number {
        1 => None,
        number => Some(hub.context_difference(&caller, &id, (number - 1, number)).await?),
    };
    let own = caller.account_id().as_ref() == Some(&context.owner);
    let title = format!("{}, version {number}", context.name);
    let content = html! {
        div.heading {
            h1 { (title) }
            @if own && number != context.version {
                form method="post" action={ "/contexts/" (id) "/undo" } {
                    (mark(&caller))
                    input type="hidden" name="number" value=(number);
                    button type="submit" { "Make it the newest again" }
                }
            }
        }
        p.meta { (version.author) ", " (moment(version.created)) @if !version.note.is_empty() { " · " (version.note) } }
        nav.pages aria-label="Versions" {
            @if number > 1 { a rel="prev" href={ "/contexts/" (id) "/versions/" (number - 1) } { "Before" } }
            a href={ "/contexts/" (id) } { (context.name) }
            @if number < context.version { a rel="next" href={ "/contexts/" (id) "/versions/" (number + 1) } { "After" } }
        }
        @if let Some(difference) = difference {
            h2 { "What changed" }
            (parts::difference(&difference.text))
        }
        h2 { "Content" }
        pre.text { (version.content) }
    };
    Ok(layout(&caller, Place::Contexts, &title, &content))
}

pub(crate) async fn undo(
    State(hub): State<Hub>,
    caller: Caller,
    Id(id): Id<ContextId>,
    Form(fields): Form<Fields>,
) -> Result<Redirect, HubError> {
    hub.undo_context(&caller, &id, fields.number).await?;
    Ok(Redirect::to(&format!("/contexts/{id}")))
}
