//! Tests of this crate against what CernVM-FS wrote, and against damage done to it.

mod catalog_index;
mod catalog_rows;
mod fixture;
