//! Everybody's accounts, for administrators.

use axum::extract::{Form, State};
use axum::response::Redirect;
use maud::{Markup, html};

use super::layout::{Place, layout, mark};
use super::parts::moment;
use crate::accounts::{Account, AccountChange, Role};
use crate::caller::Caller;
use crate::error::HubError;
use crate::hub::Hub;
use crate::ids::AccountId;
use crate::web::Id;

#[derive(serde::Deserialize)]
pub(crate) struct Fields {
    role: Role,
    #[serde(default)]
    disabled: Option<String>,
}

#[derive(serde::Deserialize)]
pub(crate) struct Invitation {
    role: Role,
}

pub(crate) async fn show(State(hub): State<Hub>, caller: Caller) -> Result<Markup, HubError> {
    Ok(page(&caller, &hub.accounts().await?, None))
}

fn page(caller: &Caller, accounts: &[Account], invitation: Option<&str>) -> Markup {
    let roles = |chosen: Role| {
        html! {
            @for role in Role::ALL {
                option value=(role) selected[role == chosen] { (role) }
            }
        }
    };
    let content = html! {
        h1 { "Accounts" }
        section {
            h2 { "Invite somebody" }
            @if let Some(address) = invitation {
                div.fresh role="status" {
                    p { "Give them this address. It counts once, for a week, and is not shown again." }
                    code.token { (address) }
                }
            }
            form.inline method="post" action="/invitations" {
                (mark(caller))
                label for="invitation-role" { "As" }
                select #invitation-role name="role" { (roles(Role::User)) }
                button type="submit" { "Make an invitation" }
            }
            p.help { @for role in Role::ALL { "A " strong { (role) } " " (role.meaning()) ". " } }
        }
        section {
            h2 { "Everybody" }
            div.scroll {
                table {
                    thead { tr { th { "Name" } th { "Since" } th { "Role" } } }
                    tbody {
                        @for account in accounts {
                            tr {
                                td { (account.name) }
                                td { (moment(account.created)) }
                                td {
                                    form.inline method="post" action={ "/accounts/" (account.id) } {
                                        (mark(caller))
                                        select name="role" aria-label={ "Role of " (account.name) } { (roles(account.role)) }
                                        label.check {
                                            input type="checkbox" name="disabled" value="yes" checked[account.disabled];
                                            " kept out"
                                        }
                                        button.quiet type="submit" { "Save" }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    };
    layout(caller, Place::Accounts, "Accounts", &content)
}

pub(crate) async fn change(
    State(hub): State<Hub>,
    caller: Caller,
    Id(id): Id<AccountId>,
    Form(fields): Form<Fields>,
) -> Result<Redirect, HubError> {
    let change = AccountChange { role: fields.role, disabled: fields.disabled.is_some() };
    hub.change_account(&caller, &id, change).await?;
    Ok(Redirect::to("/accounts"))
}

pub(crate) async fn invite(
    State(hub): State<Hub>,
    caller: Caller,
    Form(invitation): Form<Invitation>,
) -> Result<Markup, HubError> {
    let code = hub.invite(&caller, invitation.role).await?;
    let address = format!("{}/sign-up?code={}", hub.config().address, code.as_str());
    Ok(page(&caller, &hub.accounts().await?, Some(&address)))
}
