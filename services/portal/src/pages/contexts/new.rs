//! A new context: from nothing, or from one that is there.

use axum::extract::{Form, Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};

use super::editor::Editor;
use crate::caller::Caller;
use crate::contexts::{ContextDraft, Description, Visibility, is_protected};
use crate::error::HubError;
use crate::hub::Hub;
use crate::ids::ContextId;
use crate::pages::layout::{Place, layout, mark};
use crate::pages::parts::{self, complaint};

/// What a context begins with that begins with nothing.
const BEGINNING: &str = "[machine]\nhostname = \"worker.example.org\"\n\n[[users]]\nname = \"ada\"\n";

#[derive(serde::Deserialize)]
pub(crate) struct From {
    from: Option<String>,
}

#[derive(serde::Deserialize)]
pub(crate) struct Fields {
    name: String,
    #[serde(default)]
    description: String,
    #[serde(default)]
    visibility: Visibility,
    content: String,
}

pub(crate) async fn show(
    State(hub): State<Hub>,
    caller: Caller,
    Query(from): Query<From>,
) -> Result<Markup, HubError> {
    let mut fields = Fields {
        name: String::new(),
        description: String::new(),
        visibility: Visibility::Private,
        content: BEGINNING.to_owned(),
    };
    if let Some(from) = from.from {
        let id: ContextId = from.parse().map_err(|_| HubError::NotFound("context"))?;
        let (context, version) = hub.context_version(&caller, &id, None).await?;
        (fields.name, fields.content) = (context.name, version.content);
        fields.description = context.description;
    }
    Ok(page(&caller, &fields, None))
}

fn page(caller: &Caller, fields: &Fields, wrong: Option<&str>) -> Markup {
    let editor = Editor { content: &fields.content, protected: is_protected(&fields.content) };
    let content = html! {
        h1 { "New context" }
        (complaint(wrong))
        form.editing method="post" action="/contexts" {
            (mark(caller))
            div.columns {
                div {
                    label for="name" { "Name" }
                    input #name name="name" value=(fields.name) required maxlength="100" autocomplete="off" autofocus;
                }
                div { (parts::visibility(fields.visibility)) }
            }
            label for="description" { "What it is for" }
            input #description name="description" value=(fields.description) maxlength="2000" autocomplete="off";
            (editor.fields())
            p.actions { button type="submit" { "Make the context" } a href="/contexts" { "Leave it" } }
        }
    };
    layout(caller, Place::Contexts, "New context", &content)
}

pub(crate) async fn create(
    State(hub): State<Hub>,
    caller: Caller,
    Form(fields): Form<Fields>,
) -> Result<Response, HubError> {
    let description = Description {
        name: fields.name.clone(),
        description: fields.description.clone(),
        visibility: fields.visibility,
        ..Description::default()
    };
    // Browsers send forms with the line ends of Windows.
    let content = fields.content.replace("\r\n", "\n");
    let draft = ContextDraft { content, ..ContextDraft::default() };
    match hub.create_context(&caller, &description, &draft).await {
        Ok(context) => Ok(Redirect::to(&format!("/contexts/{}", context.id)).into_response()),
        Err(error @ (HubError::Invalid { .. } | HubError::Conflict(_))) => {
            Ok((error.status(), page(&caller, &fields, Some(&error.told()))).into_response())
        }
        Err(error) => Err(error),
    }
}
