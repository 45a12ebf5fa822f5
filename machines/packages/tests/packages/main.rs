//! Lists, indexes and archives over small repositories that the tests make and sign themselves.

mod archive;
mod debian;
mod locking;
mod repository;
mod rpm;
