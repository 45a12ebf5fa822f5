//! The server over real sockets, with the repositories that CernVM-FS wrote and with clients that misbehave.

#[path = "serve/announce.rs"]
mod announce;
#[path = "serve/client.rs"]
mod client;
#[path = "serve/content.rs"]
mod content;
#[path = "serve/geo.rs"]
mod geo;
#[path = "serve/hostile.rs"]
mod hostile;
#[path = "serve/record.rs"]
mod record;
#[path = "serve/running.rs"]
mod running;
#[path = "serve/shutdown.rs"]
mod shutdown;
