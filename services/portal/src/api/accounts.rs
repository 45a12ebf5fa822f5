//! Accounts and tokens.

use axum::Json;
use axum::extract::State;
use http::StatusCode;

use super::Body;
use crate::accounts::{Account, AccountChange, Role};
use crate::caller::Caller;
use crate::error::HubError;
use crate::hub::Hub;
use crate::ids::AccountId;
use crate::tokens::ApiToken;
use crate::web::Id;

/// An account, as it is shown.
#[derive(serde::Serialize, schemars::JsonSchema)]
pub(crate) struct AccountView {
    id: AccountId,
    name: String,
    role: Role,
    disabled: bool,
    created: i64,
}

impl From<&Account> for AccountView {
    fn from(account: &Account) -> Self {
        let Account { id, name, role, disabled, created } = account.clone();
        Self { id, name: name.to_string(), role, disabled, created }
    }
}

pub(crate) async fn me(caller: Caller) -> Result<Json<AccountView>, HubError> {
    Ok(Json(caller.account()?.into()))
}

pub(crate) async fn tokens(State(hub): State<Hub>, caller: Caller) -> Result<Json<Vec<ApiToken>>, HubError> {
    Ok(Json(hub.tokens(&caller).await?))
}

pub(crate) async fn list(State(hub): State<Hub>) -> Result<Json<Vec<AccountView>>, HubError> {
    Ok(Json(hub.accounts().await?.iter().map(AccountView::from).collect()))
}

pub(crate) async fn change(
    State(hub): State<Hub>,
    caller: Caller,
    Id(id): Id<AccountId>,
    Body(change): Body<AccountChange>,
) -> Result<StatusCode, HubError> {
    hub.change_account(&caller, &id, change).await?;
    Ok(StatusCode::NO_CONTENT)
}
