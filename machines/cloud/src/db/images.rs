//! Records of images.

use varve_chassis::db::{DatabaseError, Row, Transaction};
use varve_chassis::values;

use super::{damaged, signed, unsigned};
use crate::account::AccountId;
use crate::id::ImageId;
use crate::image::Image;

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, owner, name, description, location, digest, size, firmware, for_all, created, deregistered FROM cloud_images ",
            $rest
        )
    };
}

/// Writes a new one.
pub(crate) fn insert(transaction: &mut Transaction<'_>, image: &Image) -> Result<(), DatabaseError> {
    transaction.execute(
        "INSERT INTO cloud_images (id, owner, name, description, location, digest, size, firmware, for_all, created, deregistered) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, NULL)",
        values![
            &image.id,
            &image.owner,
            &image.name,
            &image.description,
            &image.location,
            &image.digest,
            signed(image.size),
            image.firmware.as_str(),
            image.for_all,
            image.created,
        ],
    )?;
    Ok(())
}

/// Those that an owner can use, oldest first.
pub(crate) fn usable(
    transaction: &mut Transaction<'_>,
    owner: &AccountId,
) -> Result<Vec<Image>, DatabaseError> {
    let sql = select!("WHERE deregistered IS NULL AND (owner = $1 OR for_all) ORDER BY created, id");
    transaction.query(sql, values![owner])?.into_iter().map(read).collect()
}

/// One, also if it has been deregistered: machines that started from it go on.
pub(crate) fn find(transaction: &mut Transaction<'_>, id: &ImageId) -> Result<Option<Image>, DatabaseError> {
    transaction.query_first(select!("WHERE id = $1"), values![id])?.map(read).transpose()
}

/// Nobody can start from it any more.
pub(crate) fn deregister(
    transaction: &mut Transaction<'_>,
    id: &ImageId,
    now: i64,
) -> Result<(), DatabaseError> {
    transaction.execute("UPDATE cloud_images SET deregistered = $2 WHERE id = $1", values![id, now])?;
    Ok(())
}

fn read(mut row: Row) -> Result<Image, DatabaseError> {
    Ok(Image {
        id: row.take::<String>(0)?.parse().map_err(|_| damaged("an image's id"))?,
        owner: AccountId::new(&row.take::<String>(1)?).map_err(|_| damaged("an owner"))?,
        name: row.take(2)?,
        description: row.take(3)?,
        location: row.take(4)?,
        digest: row.take(5)?,
        size: unsigned(row.take(6)?)?,
        firmware: row.take::<String>(7)?.parse().map_err(|_| damaged("a firmware"))?,
        for_all: row.take(8)?,
        created: row.take(9)?,
        deregistered: row.take::<Option<i64>>(10)?.is_some(),
    })
}
