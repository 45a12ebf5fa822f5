//! A cloud behind the EC2 API: instances, images and key pairs in a database, on hosts that join; and a client for any EC2
//! endpoint.
//!
//! - [`Cloud`] is what one process of the service has; [`ec2::router`] answers EC2's requests.
//! - [`hosts::router`] answers the hosts, each of which runs an [`agent::Agent`]; machines ask [`metadata`].
//! - [`client::Client`] drives any EC2 endpoint.
//! - [`SCHEMA`] are its tables. Who has access, and how much, is known elsewhere: [`Accounts`].
//!
//! Invariants:
//! - What has been answered has been recorded. The same request again, by its client token or its signature, makes nothing new.
//! - An instance is on one host, chosen in the transaction that records it, and never moves: so no two hosts run it.
//! - Requests change what is wanted, hosts report what they see, and [`instance::settle`] alone makes a state of both. Any process
//!   can do it, any number of times.
//! - A parameter that isn't known is refused; nothing that somebody asked for is ignored in silence.
//! - SQL stands in `db`, EC2's way to write things in `ec2`.

pub mod account;
pub mod agent;
pub mod client;
mod cloud;
mod db;
pub mod ec2;
pub mod host;
pub mod hosts;
pub mod id;
pub mod image;
pub mod instance;
pub mod instance_type;
pub mod key_pair;
pub mod metadata;
pub mod tag;

pub use account::{AccessKey, Account, AccountId, Accounts, AccountsUnavailable, Quota};
pub use cloud::{Cloud, CloudConfig};
pub use db::SCHEMA;
