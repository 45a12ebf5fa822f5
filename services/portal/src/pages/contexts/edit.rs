//! Changing what is in a context.

use axum::extract::{Form, State};
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};

use super::editor::Editor;
use crate::caller::Caller;
use crate::contexts::{Context, ContextDraft, is_protected};
use crate::error::HubError;
use crate::hub::Hub;
use crate::ids::ContextId;
use crate::pages::layout::{Place, layout, mark};
use crate::pages::parts::complaint;
use crate::web::Id;

#[derive(serde::Deserialize)]
pub(crate) struct Fields {
    content: String,
    #[serde(default)]
    note: String,
    base: i64,
}

pub(crate) async fn show(
    State(hub): State<Hub>,
    caller: Caller,
    Id(id): Id<ContextId>,
) -> Result<Markup, HubError> {
    let (context, version) = hub.context_version(&caller, &id, None).await?;
    if caller.account_id().as_ref() != Some(&context.owner) {
        return Err(HubError::Forbidden("only its owner changes a context; make one of your own from it"));
    }
    let fields = Fields { content: version.content, note: String::new(), base: context.version };
    Ok(page(&caller, &context, &fields, None))
}

fn page(caller: &Caller, context: &Context, fields: &Fields, wrong: Option<&str>) -> Markup {
    let editor = Editor { content: &fields.content, protected: is_protected(&fields.content) };
    let content = html! {
        h1 { "Edit " (context.name) }
        (complaint(wrong))
        form.editing method="post" action={ "/contexts/" (context.id) "/versions" } {
            (mark(caller))
            input type="hidden" name="base" value=(fields.base);
            (editor.fields())
            label for="note" { "What you changed" }
            input #note name="note" value=(fields.note) maxlength="2000" autocomplete="off";
            p.actions {
                button type="submit" { "Save version " (fields.base + 1) }
                a href={ "/contexts/" (context.id) } { "Leave it" }
            }
        }
    };
    layout(caller, Place::Contexts, &format!("Edit {}", context.name), &content)
}

pub(crate) async fn save(
    State(hub): State<Hub>,
    caller: Caller,
    Id(id): Id<ContextId>,
    Form(fields): Form<Fields>,
) -> Result<Response, HubError> {
    let content = fields.content.replace("\r\n", "\n");
    let draft = ContextDraft { content, note: fields.note.clone(), base: Some(fields.base) };
    match hub.change_context(&caller, &id, &draft).await {
        Ok(context) => Ok(Redirect::to(&format!("/contexts/{}", context.id)).into_response()),
        Err(error @ (HubError::Invalid { .. } | HubError::Conflict(_))) => {
            let (context, _) = hub.context(&caller, &id).await?;
            let page = page(&caller, &context, &fields, Some(&error.told()));
            Ok((error.status(), page).into_response())
        }
        Err(error) => Err(error),
    }
}
