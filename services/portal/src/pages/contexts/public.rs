//! Public contexts.

use axum::extract::{Query, State};
use maud::{Markup, html};

use crate::caller::Caller;
use crate::error::HubError;
use crate::hub::Hub;
use crate::pages::layout::{Place, layout};
use crate::pages::parts;

#[derive(serde::Deserialize)]
pub(crate) struct Search {
    #[serde(default)]
    q: String,
}

pub(crate) async fn show(
    State(hub): State<Hub>,
    caller: Caller,
    Query(search): Query<Search>,
) -> Result<Markup, HubError> {
    let found = hub.public_contexts(&search.q).await?;
    let content = html! {
        h1 { "Public contexts" }
        form.inline role="search" method="get" action="/contexts/public" {
            label for="q" { "Look for" }
            input #q name="q" type="search" value=(search.q) maxlength="100";
            button type="submit" { "Search" }
        }
        @if found.is_empty() {
            @if search.q.is_empty() {
                p.empty { "Nobody has made a context public yet. Yours can be the first: make it public on its page, under \
                           “Sharing”." }
            } @else {
                p.empty { "No public context has “" (search.q) "” in its name, description or owner's name. "
                          a href="/contexts/public" { "Show all" } }
            }
        } @else {
            (parts::contexts(&found, true))
        }
    };
    Ok(layout(&caller, Place::Public, "Public contexts", &content))
}
