//! Records of tags.

use std::collections::BTreeMap;

use varve_chassis::db::{DatabaseError, Transaction};
use varve_chassis::values;

use crate::account::AccountId;
use crate::tag::{ResourceKind, Tag};

/// Tags of several resources, by the resource's id.
pub(crate) type Tags = BTreeMap<String, Vec<Tag>>;

/// Writes one, or another value for it.
pub(crate) fn put(
    transaction: &mut Transaction<'_>,
    owner: &AccountId,
    resource: &str,
    kind: ResourceKind,
    tag: &Tag,
) -> Result<(), DatabaseError> {
    transaction.execute(
        "INSERT INTO cloud_tags (resource, name, owner, kind, value) VALUES ($1, $2, $3, $4, $5) ON CONFLICT (resource, name) DO \
         UPDATE SET value = excluded.value",
        values![resource, &tag.key, owner, kind.as_str(), &tag.value],
    )?;
    Ok(())
}

/// Removes one; with a value, only if it has that.
pub(crate) fn delete(
    transaction: &mut Transaction<'_>,
    resource: &str,
    key: &str,
    value: Option<&str>,
) -> Result<(), DatabaseError> {
    match value {
        None => transaction
            .execute("DELETE FROM cloud_tags WHERE resource = $1 AND name = $2", values![resource, key]),
        Some(value) => transaction.execute(
            "DELETE FROM cloud_tags WHERE resource = $1 AND name = $2 AND value = $3",
            values![resource, key, value],
        ),
    }?;
    Ok(())
}

/// Removes all of a resource.
pub(crate) fn delete_all(transaction: &mut Transaction<'_>, resource: &str) -> Result<(), DatabaseError> {
    transaction.execute("DELETE FROM cloud_tags WHERE resource = $1", values![resource])?;
    Ok(())
}

/// Those of all resources of an owner.
pub(crate) fn of_owner(transaction: &mut Transaction<'_>, owner: &AccountId) -> Result<Tags, DatabaseError> {
    let sql = "SELECT resource, name, value FROM cloud_tags WHERE owner = $1 ORDER BY resource, name";
    let mut tags = Tags::new();
    for mut row in transaction.query(sql, values![owner])? {
        let tag = Tag { key: row.take(1)?, value: row.take(2)? };
        tags.entry(row.take(0)?).or_default().push(tag);
    }
    Ok(tags)
}

/// Those of one resource.
pub(crate) fn of_resource(
    transaction: &mut Transaction<'_>,
    resource: &str,
) -> Result<Vec<Tag>, DatabaseError> {
    let sql = "SELECT name, value FROM cloud_tags WHERE resource = $1 ORDER BY name";
    let rows = transaction.query(sql, values![resource])?;
    rows.into_iter().map(|mut row| Ok(Tag { key: row.take(0)?, value: row.take(1)? })).collect()
}
