//! Making, changing and deleting contexts.

use varve_chassis::db::Transaction;

use super::checked::is_protected;
use super::{Context, MOST_BYTES, MOST_CONTEXTS, Version, Visibility};
use crate::accounts::AccountName;
use crate::audit::Action;
use crate::caller::Caller;
use crate::db;
use crate::error::HubError;
use crate::hub::Hub;
use crate::ids::ContextId;

/// The most characters of names, and of other texts.
const NAME: usize = 100;
const TEXT: usize = 2000;
/// Whom a context can be shared with.
const MOST_READERS: usize = 200;

/// What a context is called and who may read it.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Description {
    /// What its owner calls it.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// Who may read it.
    pub visibility: Visibility,
    /// Whether others are to be made from it.
    pub template: bool,
    /// The names of the accounts that it is shared with.
    pub readers: Vec<String>,
}

/// What a new version is made of.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ContextDraft {
    /// The user data.
    pub content: String,
    /// What was changed.
    pub note: String,
    /// The version that it was made from: if there is a newer one, it is refused. Nothing for whatever there is.
    pub base: Option<i64>,
}

impl Description {
    fn checked(&self) -> Result<Self, HubError> {
        let name = self.name.trim();
        if name.is_empty() || name.chars().count() > NAME || name.chars().any(char::is_control) {
            return Err(HubError::invalid("name", format!("a name has 1 to {NAME} characters")));
        }
        if self.description.chars().count() > TEXT || self.description.contains('\0') {
            return Err(HubError::invalid(
                "description",
                format!("a description has at most {TEXT} characters"),
            ));
        }
        if self.readers.len() > MOST_READERS {
            let reason = format!("a context is shared with at most {MOST_READERS} accounts; make it public");
            return Err(HubError::invalid("readers", reason));
        }
        Ok(Self { name: name.to_owned(), ..self.clone() })
    }
}

impl ContextDraft {
    fn check(&self) -> Result<(), HubError> {
        if self.content.len() > MOST_BYTES {
            return Err(HubError::TooLong(MOST_BYTES));
        }
        if self.content.contains('\0') {
            return Err(HubError::invalid("content", "user data are text, without NUL characters"));
        }
        if self.note.chars().count() > TEXT || self.note.contains('\0') {
            return Err(HubError::invalid("note", format!("a note has at most {TEXT} characters")));
        }
        Ok(())
    }

    fn version(&self, number: i64, caller: &Caller) -> Version {
        Version {
            number,
            content: self.content.clone(),
            note: self.note.trim().to_owned(),
            author: caller.name().to_owned(),
            created: caller.time,
        }
    }
}

impl Hub {
    /// Makes a context with its first version.
    ///
    /// # Errors
    /// [`HubError`].
    pub async fn create_context(
        &self,
        caller: &Caller,
        description: &Description,
        draft: &ContextDraft,
    ) -> Result<Context, HubError> {
        let description = description.checked()?;
        draft.check()?;
        let account = caller.account()?.clone();
        let (caller, draft, id) = (caller.clone(), draft.clone(), ContextId::generate());
        self.database()
            .write(move |transaction| {
                if db::contexts::count(transaction, &account.id)? >= MOST_CONTEXTS {
                    let reason = format!("you have {MOST_CONTEXTS} contexts: delete some first");
                    return Err(HubError::Conflict(reason));
                }
                let context = Context {
                    id: id.clone(),
                    owner: account.id.clone(),
                    owner_name: account.name.to_string(),
                    name: description.name.clone(),
                    description: description.description.clone(),
                    visibility: description.visibility,
                    template: description.template,
                    protected: is_protected(&draft.content),
                    version: 1,
                    created: caller.time,
                    changed: caller.time,
                };
                if !db::contexts::insert(transaction, &context)? {
                    return Err(taken(&context.name));
                }
                db::contexts::insert_version(transaction, &id, &draft.version(1, &caller))?;
                share(transaction, &context, &description.readers)?;
                caller.actor().did(transaction, Action::ContextCreated, &object(&context))?;
                Ok(context)
            })
            .await
    }

    /// Gives a context a new version, unless it has the same content already.
    ///
    /// # Errors
    /// [`HubError::Conflict`] if it was changed since, and as [`Hub::create_context`].
    pub async fn change_context(
        &self,
        caller: &Caller,
        id: &ContextId,
        draft: &ContextDraft,
    ) -> Result<Context, HubError> {
        draft.check()?;
        let (caller, id, draft) = (caller.clone(), id.clone(), draft.clone());
        self.database()
            .write(move |transaction| {
                let context = own(transaction, &caller, &id)?;
                if draft.base.is_some_and(|base| base != context.version) {
                    let reason = format!(
                        "the context was changed meanwhile: its newest version is {}; load it again",
                        context.version
                    );
                    return Err(HubError::Conflict(reason));
                }
                let newest = db::contexts::version(transaction, &id, context.version)?;
                if newest.is_some_and(|newest| newest.content == draft.content) {
                    return Ok(context);
                }
                let context = Context {
                    version: context.version + 1,
                    protected: is_protected(&draft.content),
                    changed: caller.time,
                    ..context
                };
                db::contexts::update(transaction, &context)?;
                db::contexts::insert_version(transaction, &id, &draft.version(context.version, &caller))?;
                caller.actor().did(transaction, Action::ContextChanged, &object(&context))?;
                Ok(context)
            })
            .await
    }

    /// Makes an earlier version the newest again, as a version of its own.
    ///
    /// # Errors
    /// As [`Hub::change_context`].
    pub async fn undo_context(
        &self,
        caller: &Caller,
        id: &ContextId,
        number: i64,
    ) -> Result<Context, HubError> {
        let (_, version) = self.context_version(caller, id, Some(number)).await?;
        let note = format!("as version {number}");
        self.change_context(caller, id, &ContextDraft { content: version.content, note, base: None }).await
    }

    /// Changes what a context is called and who may read it.
    ///
    /// # Errors
    /// As [`Hub::create_context`].
    pub async fn describe_context(
        &self,
        caller: &Caller,
        id: &ContextId,
        description: &Description,
    ) -> Result<Context, HubError> {
        let description = description.checked()?;
        let (caller, id) = (caller.clone(), id.clone());
        self.database()
            .write(move |transaction| {
                let context = own(transaction, &caller, &id)?;
                if db::contexts::is_taken(transaction, &context.owner, &description.name, &id)? {
                    return Err(taken(&description.name));
                }
                let context = Context {
                    name: description.name.clone(),
                    description: description.description.clone(),
                    visibility: description.visibility,
                    template: description.template,
                    changed: caller.time,
                    ..context
                };
                db::contexts::update(transaction, &context)?;
                share(transaction, &context, &description.readers)?;
                caller.actor().did(transaction, Action::ContextDescribed, &object(&context))?;
                Ok(context)
            })
            .await
    }

    /// Deletes a context with all its versions.
    ///
    /// # Errors
    /// [`HubError::NotFound`].
    pub async fn delete_context(&self, caller: &Caller, id: &ContextId) -> Result<(), HubError> {
        let (caller, id) = (caller.clone(), id.clone());
        self.database()
            .write(move |transaction| {
                let context = own(transaction, &caller, &id)?;
                db::contexts::delete(transaction, &id)?;
                Ok(caller.actor().did(transaction, Action::ContextDeleted, &object(&context))?)
            })
            .await
    }
}

/// A context that the caller may change. One that they may read they are told about, another one isn't there.
fn own(transaction: &mut Transaction<'_>, caller: &Caller, id: &ContextId) -> Result<Context, HubError> {
    let account = caller.account()?;
    let context = db::contexts::readable(transaction, id, Some(&account.id))?;
    let context = context.ok_or(HubError::NotFound("context"))?;
    if context.owner == account.id {
        Ok(context)
    } else {
        Err(HubError::Forbidden("only its owner changes a context; make one of your own from it"))
    }
}

fn share(transaction: &mut Transaction<'_>, context: &Context, readers: &[String]) -> Result<(), HubError> {
    let mut ids = Vec::new();
    for name in readers.iter().filter(|_| context.visibility == Visibility::Shared) {
        let unknown = || HubError::invalid("readers", format!("there is no account {name:?}"));
        let name: AccountName = name.parse().map_err(|_| unknown())?;
        ids.push(db::accounts::by_name(transaction, &name)?.ok_or_else(unknown)?.0.id);
    }
    Ok(db::contexts::set_readers(transaction, &context.id, &ids)?)
}

fn taken(name: &str) -> HubError {
    HubError::Conflict(format!("you have a context {name:?} already"))
}

fn object(context: &Context) -> String {
    format!("{}/{} ({})", context.owner_name, context.name, context.id)
}
