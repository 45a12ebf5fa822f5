//! Machines that were paired.

use axum::extract::State;
use maud::{Markup, html};

use super::layout::{Place, layout};
use super::parts::moment;
use crate::caller::Caller;
use crate::error::HubError;
use crate::hub::Hub;
use crate::ids::PairingId;
use crate::pairing::{Pairing, State as PairingState};
use crate::web::Id;

pub(crate) async fn show(State(hub): State<Hub>, caller: Caller) -> Result<Markup, HubError> {
    let machines = hub.pairings(&caller).await?;
    let content = html! {
        h1 { "Machines" }
        @if machines.is_empty() {
            p.empty { "You have paired no machine yet. A machine that boots with nothing shows a PIN; type it, and choose what it \
                       becomes." }
            p.actions { a.button href="/pair" { "Pair a machine" } }
        } @else {
            (table(&machines))
            p.actions { a.button href="/pair" { "Pair another one" } }
        }
    };
    Ok(layout(&caller, Place::Machines, "Machines", &content))
}

/// Machines in a table.
pub(super) fn table(machines: &[Pairing]) -> Markup {
    html! {
        div.scroll {
            table {
                thead { tr { th { "Machine" } th { "Address" } th { "Context" } th { "State" } th { "Paired" } } }
                tbody {
                    @for machine in machines {
                        tr {
                            td { a href={ "/machines/" (machine.id) } { (name(machine)) } }
                            td { (machine.address) }
                            td {
                                @if let (Some(context), Some(version)) = (&machine.context, machine.version) {
                                    a href={ "/contexts/" (context) "/versions/" (version) } { "version " (version) }
                                } @else { "—" }
                            }
                            td { (state(machine.state)) }
                            td { @if let Some(decided) = machine.decided { (moment(decided)) } }
                        }
                    }
                }
            }
        }
    }
}

/// What a machine is called; something, always.
pub(super) fn name(machine: &Pairing) -> &str {
    let facts = &machine.facts;
    [&facts.name, &facts.model].into_iter().find(|text| !text.is_empty()).map_or("a machine", String::as_str)
}

fn state(state: PairingState) -> &'static str {
    match state {
        PairingState::Waiting => "waits",
        PairingState::Approved => "fetches its context",
        PairingState::Denied => "refused",
        PairingState::Taken => "has its context",
    }
}

pub(crate) async fn one(
    State(hub): State<Hub>,
    caller: Caller,
    Id(id): Id<PairingId>,
) -> Result<Markup, HubError> {
    let machine = hub.pairing(&caller, &id).await?;
    let content = html! {
        section.narrow {
            h1 { (name(&machine)) }
            p.state data-watch={ "/api/v1/pairings/" (machine.id) } data-state=(machine.state.as_str()) role="status" {
                (state(machine.state))
            }
            (facts(&machine))
            @if let (Some(context), Some(version)) = (&machine.context, machine.version) {
                p { a href={ "/contexts/" (context) "/versions/" (version) } { "The context that it got" } }
            }
            p.actions { a href="/machines" { "All machines" } }
        }
    };
    Ok(layout(&caller, Place::Machines, name(&machine), &content))
}

/// What is known of a machine.
pub(super) fn facts(machine: &Pairing) -> Markup {
    let facts = &machine.facts;
    html! {
        dl {
            @for (what, value) in [
                ("Name", facts.name.as_str()),
                ("Model", &facts.model),
                ("Architecture", &facts.architecture),
                ("Would boot", &facts.system),
                ("Its own address", &facts.network),
                ("Asks from", &machine.address),
            ] {
                @if !value.is_empty() { dt { (what) } dd { (value) } }
            }
            dt { "Fingerprint" } dd { code { (machine.fingerprint()) } }
            dt { "Asks since" } dd { (moment(machine.created)) }
        }
    }
}
