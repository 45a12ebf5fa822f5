//! What a context is called, who may read it, and its end.

use axum::extract::{Form, State};
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};

use crate::caller::Caller;
use crate::contexts::{Context, Description, Visibility};
use crate::error::HubError;
use crate::hub::Hub;
use crate::ids::ContextId;
use crate::pages::layout::{Place, layout, mark};
use crate::pages::parts::{self, complaint};
use crate::web::Id;

#[derive(serde::Deserialize)]
pub(crate) struct Fields {
    name: String,
    #[serde(default)]
    description: String,
    #[serde(default)]
    visibility: Visibility,
    #[serde(default)]
    template: Option<String>,
    #[serde(default)]
    readers: String,
}

pub(crate) async fn show(
    State(hub): State<Hub>,
    caller: Caller,
    Id(id): Id<ContextId>,
) -> Result<Markup, HubError> {
    let (context, readers) = hub.context(&caller, &id).await?;
    if caller.account_id().as_ref() != Some(&context.owner) {
        return Err(HubError::Forbidden("only its owner decides who reads a context"));
    }
    Ok(page(&caller, &context, &readers.join(", "), None))
}

fn page(caller: &Caller, context: &Context, readers: &str, wrong: Option<&str>) -> Markup {
    let content = html! {
        section.narrow {
            h1 { "Sharing " (context.name) }
            (complaint(wrong))
            form method="post" action={ "/contexts/" (context.id) "/sharing" } {
                (mark(caller))
                label for="name" { "Name" }
                input #name name="name" value=(context.name) required maxlength="100" autocomplete="off";
                label for="description" { "What it is for" }
                textarea #description name="description" rows="3" maxlength="2000" { (context.description) }
                (parts::visibility(context.visibility))
                label for="readers" { "Shared with" }
                input #readers name="readers" value=(readers) autocomplete="off" autocapitalize="none"
                    aria-describedby="readers-help";
                p.help #readers-help { "Names of accounts, with commas between them." }
                label.check {
                    input type="checkbox" name="template" value="yes" checked[context.template];
                    " A template: others are to make contexts of their own from it"
                }
                p.actions { button type="submit" { "Save" } a href={ "/contexts/" (context.id) } { "Leave it" } }
            }
            details {
                summary { "Delete it" }
                p { "The context goes away with all its versions. Machines that have it keep it." }
                form method="post" action={ "/contexts/" (context.id) "/delete" } {
                    (mark(caller))
                    button.danger type="submit" { "Delete " (context.name) }
                }
            }
        }
    };
    layout(caller, Place::Contexts, &format!("Sharing {}", context.name), &content)
}

pub(crate) async fn save(
    State(hub): State<Hub>,
    caller: Caller,
    Id(id): Id<ContextId>,
    Form(fields): Form<Fields>,
) -> Result<Response, HubError> {
    let names = fields.readers.split([',', ' ', '\n']).map(str::trim).filter(|name| !name.is_empty());
    let description = Description {
        name: fields.name.clone(),
        description: fields.description.replace("\r\n", "\n"),
        visibility: fields.visibility,
        template: fields.template.is_some(),
        readers: names.map(str::to_owned).collect(),
    };
    match hub.describe_context(&caller, &id, &description).await {
        Ok(context) => Ok(Redirect::to(&format!("/contexts/{}", context.id)).into_response()),
        Err(error @ (HubError::Invalid { .. } | HubError::Conflict(_))) => {
            let (context, _) = hub.context(&caller, &id).await?;
            let context = Context { visibility: fields.visibility, ..context };
            let page = page(&caller, &context, &fields.readers, Some(&error.told()));
            Ok((error.status(), page).into_response())
        }
        Err(error) => Err(error),
    }
}

pub(crate) async fn delete(
    State(hub): State<Hub>,
    caller: Caller,
    Id(id): Id<ContextId>,
) -> Result<Redirect, HubError> {
    hub.delete_context(&caller, &id).await?;
    Ok(Redirect::to("/contexts"))
}
