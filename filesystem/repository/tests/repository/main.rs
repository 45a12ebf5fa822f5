//! What the crate promises, on repositories that CernVM-FS wrote.

mod bundles;
mod catalog_bombs;
mod catalog_index;
mod catalog_rows;
mod documentation;
mod fixture;
mod history;
mod pkcs7;
mod proof;
mod reflog;
mod repository;
mod signing;
mod snapshot;
mod trust;
