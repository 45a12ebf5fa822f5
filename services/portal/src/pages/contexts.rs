//! Pages of contexts.

pub(crate) mod edit;
mod editor;
pub(crate) mod list;
pub(crate) mod new;
pub(crate) mod one;
pub(crate) mod public;
pub(crate) mod sharing;
pub(crate) mod versions;
