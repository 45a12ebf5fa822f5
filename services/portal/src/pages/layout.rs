//! What all pages have around them.

use maud::{DOCTYPE, Markup, html};

use crate::accounts::Role;
use crate::caller::Caller;
use crate::web::assets;

/// Where in the menu a page is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Elsewhere,
    Dashboard,
    Contexts,
    Public,
    Pair,
    Machines,
    Accounts,
    Audit,
    Account,
}

/// A page.
pub(super) fn layout(caller: &Caller, place: Place, title: &str, content: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · Varve" }
                link rel="icon" type="image/svg+xml" href=(assets::address("icon.svg"));
                link rel="stylesheet" href=(assets::address("style.css"));
                @if let Some(mark) = caller.csrf() {
                    meta name="csrf" content=(mark.as_str());
                }
                script src=(assets::address("page.js")) defer {}
            }
            body {
                a.skip href="#main" { "Skip to the content" }
                header.top {
                    a.brand href="/" { (logo()) span { "Varve" } }
                    nav aria-label="Main" { (menu(caller, place)) }
                    (who(caller, place))
                }
                main #main tabindex="-1" { (content) }
                footer { "Varve " (env!("CARGO_PKG_VERSION")) " · " a href="/api/v1/openapi.json" { "API" } }
            }
        }
    }
}

fn menu(caller: &Caller, place: Place) -> Markup {
    let entry = |at: Place, address: &str, text: &str| {
        html! {
            li { a href=(address) aria-current=[(at == place).then_some("page")] { (text) } }
        }
    };
    html! {
        ul {
            @if caller.is(Role::Reader) {
                (entry(Place::Dashboard, "/", "Dashboard"))
                (entry(Place::Contexts, "/contexts", "Contexts"))
            }
            (entry(Place::Public, "/contexts/public", "Public"))
            @if caller.is(Role::User) {
                (entry(Place::Pair, "/pair", "Pair a machine"))
                (entry(Place::Machines, "/machines", "Machines"))
            }
            @if caller.is(Role::Administrator) {
                (entry(Place::Accounts, "/accounts", "Accounts"))
            }
            @if caller.is(Role::Reader) {
                (entry(Place::Audit, "/audit", "Log"))
            }
        }
    }
}

fn who(caller: &Caller, place: Place) -> Markup {
    html! {
        div.who {
            @if let Some(account) = &caller.account {
                a href="/account" aria-current=[(place == Place::Account).then_some("page")] { (account.name) }
                form method="post" action="/sign-out" {
                    (mark(caller))
                    button.quiet type="submit" { "Sign out" }
                }
            } @else {
                a.button href="/sign-in" { "Sign in" }
            }
        }
    }
}

/// The field that shows that a form is this session's.
pub(super) fn mark(caller: &Caller) -> Markup {
    html! {
        @if let Some(mark) = caller.csrf() {
            input type="hidden" name="csrf" value=(mark.as_str());
        }
    }
}

/// Layers, as a lake lays them down.
fn logo() -> Markup {
    html! {
        svg viewBox="0 0 24 24" width="24" height="24" aria-hidden="true" {
            path d="M2 7c4-3 8 3 12 0s6-1 8 0" {}
            path d="M2 12c4-3 8 3 12 0s6-1 8 0" {}
            path d="M2 17c4-3 8 3 12 0s6-1 8 0" {}
        }
    }
}
