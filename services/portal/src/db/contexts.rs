//! Contexts, their versions and who may read them.

use varve_chassis::db::{DatabaseError, Row, Transaction};
use varve_chassis::values;

use crate::contexts::{Context, Version};
use crate::ids::{AccountId, ContextId};

fn context(mut row: Row) -> Result<Context, DatabaseError> {
    let visibility: String = row.take(5)?;
    Ok(Context {
        id: row.take(0)?,
        owner: row.take(1)?,
        owner_name: row.take(2)?,
        name: row.take(3)?,
        description: row.take(4)?,
        visibility: visibility.parse().map_err(|reason| DatabaseError::Refused { reason })?,
        template: row.take(6)?,
        protected: row.take(7)?,
        version: row.take(8)?,
        created: row.take(9)?,
        changed: row.take(10)?,
    })
}

/// Makes a context, unless its owner has one of that name.
pub(crate) fn insert(transaction: &mut Transaction<'_>, context: &Context) -> Result<bool, DatabaseError> {
    let sql = "INSERT INTO contexts (id, owner, name, description, visibility, template, protected, version, \
               created, changed) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT DO NOTHING";
    let values = values![
        &context.id,
        &context.owner,
        &context.name,
        &context.description,
        context.visibility.as_str(),
        context.template,
        context.protected,
        context.version,
        context.created,
        context.changed
    ];
    Ok(transaction.execute(sql, values)? == 1)
}

/// Whether an account has a context of that name other than this one.
pub(crate) fn is_taken(
    transaction: &mut Transaction<'_>,
    owner: &AccountId,
    name: &str,
    but: &ContextId,
) -> Result<bool, DatabaseError> {
    let sql = "SELECT 1 FROM contexts WHERE owner = $1 AND name = $2 AND id <> $3";
    Ok(transaction.query_first(sql, values![owner, name, but])?.is_some())
}

pub(crate) fn update(transaction: &mut Transaction<'_>, context: &Context) -> Result<(), DatabaseError> {
    let sql = "UPDATE contexts SET name = $2, description = $3, visibility = $4, template = $5, protected = $6, \
               version = $7, changed = $8 WHERE id = $1";
    let values = values![
        &context.id,
        &context.name,
        &context.description,
        context.visibility.as_str(),
        context.template,
        context.protected,
        context.version,
        context.changed
    ];
    transaction.execute(sql, values).map(|_| ())
}

pub(crate) fn delete(transaction: &mut Transaction<'_>, id: &ContextId) -> Result<(), DatabaseError> {
    transaction.execute("DELETE FROM context_readers WHERE context = $1", values![id])?;
    transaction.execute("DELETE FROM context_versions WHERE context = $1", values![id])?;
    transaction.execute("DELETE FROM contexts WHERE id = $1", values![id]).map(|_| ())
}

pub(crate) fn count(transaction: &mut Transaction<'_>, owner: &AccountId) -> Result<i64, DatabaseError> {
    let row = transaction.query_first("SELECT count(*) FROM contexts WHERE owner = $1", values![owner])?;
    row.map_or(Ok(0), |mut row| row.take(0))
}

/// A context that an account may read: its own, a public one, one that was shared with it. Nobody reads public ones.
pub(crate) fn readable(
    transaction: &mut Transaction<'_>,
    id: &ContextId,
    reader: Option<&AccountId>,
) -> Result<Option<Context>, DatabaseError> {
    let sql = "SELECT c.id, c.owner, a.name, c.name, c.description, c.visibility, c.template, c.protected, \
               c.version, c.created, c.changed FROM contexts c JOIN accounts a ON a.id = c.owner \
               WHERE c.id = $1 AND (c.owner = $2 OR c.visibility = 'public' OR (c.visibility = 'shared' \
               AND EXISTS (SELECT 1 FROM context_readers r WHERE r.context = c.id AND r.account = $2)))";
    let reader = reader.map_or("", AccountId::as_str);
    transaction.query_first(sql, values![id, reader])?.map(context).transpose()
}

/// What an account has itself.
pub(crate) fn owned(
    transaction: &mut Transaction<'_>,
    owner: &AccountId,
    limit: u32,
) -> Result<Vec<Context>, DatabaseError> {
    let sql = "SELECT c.id, c.owner, a.name, c.name, c.description, c.visibility, c.template, c.protected, \
               c.version, c.created, c.changed FROM contexts c JOIN accounts a ON a.id = c.owner \
               WHERE c.owner = $1 ORDER BY c.changed DESC, c.id LIMIT $2";
    transaction.query(sql, values![owner, limit])?.into_iter().map(context).collect()
}

/// What others have shared with an account.
pub(crate) fn shared(
    transaction: &mut Transaction<'_>,
    reader: &AccountId,
    limit: u32,
) -> Result<Vec<Context>, DatabaseError> {
    let sql = "SELECT c.id, c.owner, a.name, c.name, c.description, c.visibility, c.template, c.protected, \
               c.version, c.created, c.changed FROM context_readers r JOIN contexts c ON c.id = r.context \
               JOIN accounts a ON a.id = c.owner WHERE r.account = $1 AND c.visibility = 'shared' \
               ORDER BY c.changed DESC, c.id LIMIT $2";
    transaction.query(sql, values![reader, limit])?.into_iter().map(context).collect()
}

/// Public ones with a word in their name, description or owner's name.
pub(crate) fn public(
    transaction: &mut Transaction<'_>,
    pattern: &str,
    limit: u32,
) -> Result<Vec<Context>, DatabaseError> {
    let sql = "SELECT c.id, c.owner, a.name, c.name, c.description, c.visibility, c.template, c.protected, \
               c.version, c.created, c.changed FROM contexts c JOIN accounts a ON a.id = c.owner \
               WHERE c.visibility = 'public' AND lower(c.name || ' ' || c.description || ' ' || a.name) \
               LIKE $1 ESCAPE '!' ORDER BY c.template DESC, c.changed DESC, c.id LIMIT $2";
    transaction.query(sql, values![pattern, limit])?.into_iter().map(context).collect()
}

pub(crate) fn insert_version(
    transaction: &mut Transaction<'_>,
    id: &ContextId,
    version: &Version,
) -> Result<(), DatabaseError> {
    let sql = "INSERT INTO context_versions (context, number, content, note, author, created) \
               VALUES ($1, $2, $3, $4, $5, $6)";
    let Version { number, content, note, author, created } = version;
    transaction.execute(sql, values![id, *number, content, note, author, *created]).map(|_| ())
}

pub(crate) fn version(
    transaction: &mut Transaction<'_>,
    id: &ContextId,
    number: i64,
) -> Result<Option<Version>, DatabaseError> {
    let sql = "SELECT number, content, note, author, created FROM context_versions \
               WHERE context = $1 AND number = $2";
    transaction.query_first(sql, values![id, number])?.map(read_version).transpose()
}

/// The latest versions, without what is in them.
pub(crate) fn versions(
    transaction: &mut Transaction<'_>,
    id: &ContextId,
    limit: u32,
) -> Result<Vec<Version>, DatabaseError> {
    let sql = "SELECT number, '', note, author, created FROM context_versions WHERE context = $1 \
               ORDER BY number DESC LIMIT $2";
    transaction.query(sql, values![id, limit])?.into_iter().map(read_version).collect()
}

fn read_version(mut row: Row) -> Result<Version, DatabaseError> {
    Ok(Version {
        number: row.take(0)?,
        content: row.take(1)?,
        note: row.take(2)?,
        author: row.take(3)?,
        created: row.take(4)?,
    })
}

/// The names of those whom a context is shared with.
pub(crate) fn readers(
    transaction: &mut Transaction<'_>,
    id: &ContextId,
) -> Result<Vec<String>, DatabaseError> {
    let sql = "SELECT a.name FROM context_readers r JOIN accounts a ON a.id = r.account \
               WHERE r.context = $1 ORDER BY a.name";
    transaction.query(sql, values![id])?.into_iter().map(|mut row| row.take(0)).collect()
}

pub(crate) fn set_readers(
    transaction: &mut Transaction<'_>,
    id: &ContextId,
    readers: &[AccountId],
) -> Result<(), DatabaseError> {
    transaction.execute("DELETE FROM context_readers WHERE context = $1", values![id])?;
    for reader in readers {
        let sql = "INSERT INTO context_readers (context, account) VALUES ($1, $2) ON CONFLICT DO NOTHING";
        transaction.execute(sql, values![id, reader])?;
    }
    Ok(())
}
