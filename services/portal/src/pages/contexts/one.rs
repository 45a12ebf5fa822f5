//! One context: what it is, its versions.

use axum::extract::State;
use maud::{Markup, html};

use crate::accounts::Role;
use crate::caller::Caller;
use crate::contexts::check;
use crate::error::HubError;
use crate::hub::Hub;
use crate::ids::ContextId;
use crate::pages::layout::{Place, layout};
use crate::pages::parts::{self, moment};
use crate::web::{Id, assets};

pub(crate) async fn show(
    State(hub): State<Hub>,
    caller: Caller,
    Id(id): Id<ContextId>,
) -> Result<Markup, HubError> {
    let (context, version) = hub.context_version(&caller, &id, None).await?;
    let (_, versions) = hub.context_versions(&caller, &id).await?;
    let own = caller.account_id().as_ref() == Some(&context.owner);
    let content = version.content.clone();
    let checked = tokio::task::spawn_blocking(move || check(&content))
        .await
        .map_err(|_| HubError::NotFound("context"))?;
    let content = html! {
        div.heading {
            h1 { (context.name) }
            @if own {
                a.button href={ "/contexts/" (id) "/edit" } { "Edit" }
                a href={ "/contexts/" (id) "/sharing" } { "Sharing" }
            }
            @if caller.is(Role::User) {
                a href={ "/contexts/new?from=" (id) } { "New one from it" }
            }
        }
        @if !context.description.is_empty() { p { (context.description) } }
        p.meta { "by " (context.owner_name) " · version " (context.version) " · changed " (moment(context.changed)) }
        (parts::badges(&context))
        div.columns {
            section {
                h2 { "Content" }
                @if context.protected {
                    div.opening data-content=(version.content) {
                        label for="secret" { "Secret" }
                        input #secret type="password" autocomplete="off";
                        button type="button" { "Open it here" }
                        p.help { "It is opened in this browser. The hub doesn't see the secret." }
                        pre.text hidden {}
                    }
                    script src=(assets::address("secret.js")) defer {}
                } @else {
                    pre.text { (version.content) }
                }
            }
            section {
                h2 { "What it means" }
                (parts::checked(&checked))
                h2 { "Versions" }
                ol.versions reversed {
                    @for version in &versions {
                        li value=(version.number) {
                            a href={ "/contexts/" (id) "/versions/" (version.number) } {
                                @if version.note.is_empty() { "version " (version.number) } @else { (version.note) }
                            }
                            span.meta { " " (version.author) ", " (moment(version.created)) }
                        }
                    }
                }
            }
        }
    };
    Ok(layout(&caller, Place::Contexts, &context.name, &content))
}
