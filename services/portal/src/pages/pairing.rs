//! Pairing: typing the PIN, looking at what shows it, deciding.

use axum::extract::{Form, Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};

use super::layout::{Place, layout, mark};
use super::machines;
use super::parts::complaint;
use crate::caller::Caller;
use crate::contexts::Context;
use crate::error::HubError;
use crate::hub::Hub;
use crate::pairing::{Approval, Decision, Pairing};
use crate::web::assets;

#[derive(serde::Deserialize)]
pub(crate) struct Typed {
    #[serde(default)]
    pin: String,
}

#[derive(serde::Deserialize)]
pub(crate) struct Fields {
    pin: String,
    #[serde(default)]
    context: String,
    #[serde(default)]
    sealed: String,
    decision: String,
}

pub(crate) async fn show(State(hub): State<Hub>, caller: Caller, Query(typed): Query<Typed>) -> Markup {
    page(&hub, &caller, &typed.pin, None)
}

fn page(hub: &Hub, caller: &Caller, pin: &str, wrong: Option<&str>) -> Markup {
    let content = html! {
        section.narrow {
            h1 { "Pair a machine" }
            p { "A machine that boots with nothing shows a PIN on its screen." }
            (complaint(wrong))
            form method="post" action="/pair" {
                (mark(caller))
                label for="pin" { "PIN" }
                input.pin #pin name="pin" value=(pin) required autofocus autocomplete="off" autocapitalize="characters"
                    spellcheck="false" placeholder="BCDF-GHJK" maxlength="20" aria-describedby="pin-help";
                p.help #pin-help { "Eight letters. It counts for 15 minutes and once." }
                p.actions { button type="submit" { "Look at the machine" } }
            }
            details {
                summary { "No machine shows a PIN?" }
                p { "It has to know this hub. Boot an image without user data, with" }
                pre.text { "varve.hub=" (hub.config().address) }
                p { "on its kernel's command line." }
            }
        }
    };
    layout(caller, Place::Pair, "Pair a machine", &content)
}

pub(crate) async fn look(
    State(hub): State<Hub>,
    caller: Caller,
    Form(typed): Form<Typed>,
) -> Result<Response, HubError> {
    match hub.waiting_machine(&caller, &typed.pin).await {
        Ok(machine) => {
            let (own, shared) = hub.contexts(&caller).await?;
            Ok(choice(&caller, &machine, &own, &shared, None).into_response())
        }
        Err(error @ (HubError::Invalid { .. } | HubError::TooMany(_))) => {
            let page = page(&hub, &caller, &typed.pin, Some(&error.told()));
            Ok((error.status(), page).into_response())
        }
        Err(error) => Err(error),
    }
}

fn choice(
    caller: &Caller,
    machine: &Pairing,
    own: &[Context],
    shared: &[Context],
    wrong: Option<&str>,
) -> Markup {
    let options = |contexts: &[Context]| {
        html! {
            @for context in contexts {
                option value=(context.id) data-protected[context.protected] {
                    (context.name) " (version " (context.version) @if context.protected { ", protected" } ")"
                }
            }
        }
    };
    let content = html! {
        section.narrow {
            h1 { "Is this your machine?" }
            (complaint(wrong))
            p { "Compare the fingerprint with the one on its screen." }
            (machines::facts(machine))
            form method="post" action="/pair/decide" data-machine-key=(machine.machine_key) {
                (mark(caller))
                input type="hidden" name="pin" value=(machine.pin);
                input type="hidden" name="sealed" value="";
                @if own.is_empty() && shared.is_empty() {
                    p.empty { "You have no context that it could be given. " a href="/contexts/new" { "Write one" }
                              ", then type the PIN again." }
                } @else {
                    label for="context" { "Context" }
                    select #context name="context" {
                        (options(own))
                        @if !shared.is_empty() { optgroup label="Shared with you" { (options(shared)) } }
                    }
                    div.secret hidden {
                        label for="secret" { "Secret of the context" }
                        input #secret type="password" autocomplete="off" aria-describedby="secret-help";
                        p.help #secret-help { "It opens the context in this browser, which seals it for the machine. \
                                               The hub doesn't see it." }
                    }
                }
                p.actions {
                    @if !(own.is_empty() && shared.is_empty()) {
                        button type="submit" name="decision" value="approve" { "Give it this context" }
                    }
                    button.quiet type="submit" name="decision" value="deny" { "Refuse it" }
                }
            }
            script src=(assets::address("secret.js")) defer {}
        }
    };
    layout(caller, Place::Pair, "Is this your machine?", &content)
}

pub(crate) async fn decide(
    State(hub): State<Hub>,
    caller: Caller,
    Form(fields): Form<Fields>,
) -> Result<Response, HubError> {
    let approve = if fields.decision == "approve" {
        let context = fields.context.parse().map_err(|_| HubError::invalid("context", "choose a context"))?;
        let sealed = Some(fields.sealed).filter(|sealed| !sealed.is_empty());
        Some(Approval { context, version: None, sealed })
    } else {
        None
    };
    let machine = hub.decide_pairing(&caller, &Decision { pin: fields.pin, approve }).await?;
    Ok(Redirect::to(&format!("/machines/{}", machine.id)).into_response())
}
