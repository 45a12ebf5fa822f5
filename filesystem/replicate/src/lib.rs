//! Gives repositories to others.
//!
//! [`RepositoryServer`] answers HTTP requests for the repositories below a directory, with the headers that
//! CernVM-FS's clients, proxies and mirrors expect. It checks nothing: whoever fetches verifies.

mod serve;

pub use serve::{Elsewhere, RepositoryServer, ServeConfig, ServeError};
