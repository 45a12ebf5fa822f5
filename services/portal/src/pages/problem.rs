//! A page that says why there is no other.

use maud::{Markup, html};

use super::layout::{Place, layout};
use crate::caller::Caller;
use crate::error::HubError;

/// The page of a refusal or failure.
pub(crate) fn page(caller: &Caller, error: &HubError) -> Markup {
    let title = error.status().canonical_reason().unwrap_or("Not done");
    let content = html! {
        section.narrow {
            h1 { (title) }
            p { (error.told()) }
            p { a.button href="/" { "To the first page" } }
        }
    };
    layout(caller, Place::Elsewhere, title, &content)
}
