//! The audit log.

use axum::extract::{Query, State};
use maud::{Markup, html};

use super::layout::{Place, layout};
use super::parts::moment;
use crate::accounts::Role;
use crate::audit::Action;
use crate::caller::Caller;
use crate::error::HubError;
use crate::hub::Hub;

/// Entries on a page.
const PAGE: u32 = 100;

#[derive(serde::Deserialize)]
pub(crate) struct Part {
    before: Option<i64>,
}

pub(crate) async fn show(
    State(hub): State<Hub>,
    caller: Caller,
    Query(part): Query<Part>,
) -> Result<Markup, HubError> {
    let entries = hub.audit(&caller, part.before, PAGE).await?;
    let meaning = |name: &str| {
        Action::ALL.iter().find(|action| action.as_str() == name).map_or("", |action| action.meaning())
    };
    let content = html! {
        h1 { "Log" }
        p { @if caller.is(Role::Administrator) { "What everybody did." } @else { "What you did, and others in your name." } }
        @if entries.is_empty() {
            p.empty { "There is nothing" @if part.before.is_some() { " before that" } "." }
        } @else {
            div.scroll {
                table {
                    thead { tr { th { "When" } th { "Who" } th { "From" } th { "What" } th { "Of what" } } }
                    tbody {
                        @for entry in &entries {
                            tr {
                                td { (moment(entry.time)) }
                                td { (entry.actor) }
                                td { (entry.address) }
                                td { (meaning(&entry.action)) br; code { (entry.action) } }
                                td { (entry.object) }
                            }
                        }
                    }
                }
            }
            @if entries.len() as u32 == PAGE && let Some(last) = entries.last() {
                p.actions { a href={ "/audit?before=" (last.time) } { "Earlier" } }
            }
        }
    };
    Ok(layout(&caller, Place::Audit, "Log", &content))
}
