//! Looking at contexts: lists, versions, differences.

use super::{Context, Version};
use crate::caller::Caller;
use crate::db;
use crate::error::HubError;
use crate::hub::Hub;
use crate::ids::ContextId;

/// The most that a list shows.
const LIST: u32 = 500;

/// What changed between two versions.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, schemars::JsonSchema)]
pub struct Difference {
    /// The earlier version.
    pub from: i64,
    /// The later version.
    pub to: i64,
    /// Lines, each behind `+`, `-` or a blank, in the unified form.
    pub text: String,
}

impl Hub {
    /// The caller's own contexts, and those that were shared with them.
    ///
    /// # Errors
    /// [`HubError`].
    pub async fn contexts(&self, caller: &Caller) -> Result<(Vec<Context>, Vec<Context>), HubError> {
        let account = caller.account()?.id.clone();
        self.database()
            .read(move |transaction| {
                let own = db::contexts::owned(transaction, &account, LIST)?;
                Ok((own, db::contexts::shared(transaction, &account, LIST)?))
            })
            .await
    }

    /// Public contexts, those with a word in their name, description or owner's name, or all.
    ///
    /// # Errors
    /// [`HubError`].
    pub async fn public_contexts(&self, word: &str) -> Result<Vec<Context>, HubError> {
        let mut pattern = "%".to_owned();
        for c in word.trim().to_lowercase().chars().filter(|c| !c.is_control()).take(100) {
            if matches!(c, '%' | '_' | '!') {
                pattern.push('!');
            }
            pattern.push(c);
        }
        pattern.push('%');
        self.database().read(move |transaction| Ok(db::contexts::public(transaction, &pattern, LIST)?)).await
    }

    /// A context, and whom it is shared with if it is the caller's.
    ///
    /// # Errors
    /// [`HubError::NotFound`].
    pub async fn context(&self, caller: &Caller, id: &ContextId) -> Result<(Context, Vec<String>), HubError> {
        let (reader, id) = (caller.account_id(), id.clone());
        self.database()
            .read(move |transaction| {
                let context = db::contexts::readable(transaction, &id, reader.as_ref())?;
                let context = context.ok_or(HubError::NotFound("context"))?;
                let own = reader.as_ref() == Some(&context.owner);
                let readers = if own { db::contexts::readers(transaction, &id)? } else { Vec::new() };
                Ok((context, readers))
            })
            .await
    }

    /// A version of a context; the newest if none is named.
    ///
    /// # Errors
    /// [`HubError::NotFound`].
    pub async fn context_version(
        &self,
        caller: &Caller,
        id: &ContextId,
        number: Option<i64>,
    ) -> Result<(Context, Version), HubError> {
        let (reader, id) = (caller.account_id(), id.clone());
        self.database()
            .read(move |transaction| {
                let context = db::contexts::readable(transaction, &id, reader.as_ref())?;
                let context = context.ok_or(HubError::NotFound("context"))?;
                let number = number.unwrap_or(context.version);
                let version = db::contexts::version(transaction, &id, number)?;
                Ok((context, version.ok_or(HubError::NotFound("version"))?))
            })
            .await
    }

    /// All versions of a context, the newest first, without what is in them.
    ///
    /// # Errors
    /// [`HubError::NotFound`].
    pub async fn context_versions(
        &self,
        caller: &Caller,
        id: &ContextId,
    ) -> Result<(Context, Vec<Version>), HubError> {
        let (reader, id) = (caller.account_id(), id.clone());
        self.database()
            .read(move |transaction| {
                let context = db::contexts::readable(transaction, &id, reader.as_ref())?;
                let context = context.ok_or(HubError::NotFound("context"))?;
                let versions = db::contexts::versions(transaction, &id, LIST)?;
                Ok((context, versions))
            })
            .await
    }

    /// What changed between two versions of a context.
    ///
    /// # Errors
    /// [`HubError::NotFound`].
    pub async fn context_difference(
        &self,
        caller: &Caller,
        id: &ContextId,
        (from, to): (i64, i64),
    ) -> Result<Difference, HubError> {
        let (_, earlier) = self.context_version(caller, id, Some(from)).await?;
        let (_, later) = self.context_version(caller, id, Some(to)).await?;
        let text = diffy::create_patch(&earlier.content, &later.content).to_string();
        let text = text.lines().skip(2).map(|line| format!("{line}\n")).collect();
        Ok(Difference { from, to, text })
    }
}
