//! A hub with somebody of every role.

use std::collections::BTreeMap;
use std::future::Future;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use varve_chassis::db::{Database, DatabaseConfig, Location};
use varve_portal::accounts::{Role, SignUpPolicy};
use varve_portal::{Hub, HubConfig, SCHEMA};
use varve_testkit::{Postgres, Scratch};

use crate::client::Client;

pub(crate) const PASSWORD: &str = "correct horse battery";

pub(crate) struct Scene {
    pub(crate) hub: Hub,
    pub(crate) clients: BTreeMap<&'static str, Client>,
}

pub(crate) fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

pub(crate) fn hub(location: Location, sign_up: SignUpPolicy) -> Hub {
    let config = DatabaseConfig { location, threads: 4, patience: Duration::from_secs(20) };
    let database = Database::open(&config, &[SCHEMA]).unwrap();
    let config =
        HubConfig { address: "http://hub.example.org".to_owned(), sign_up, behind_proxy: false, clock: now };
    Hub::new(config, database, Instant::now())
}

impl Scene {
    /// An administrator `root`, an operator `otto`, users `ada` and `bob`, a reader `rita`, and `nobody`.
    pub(crate) async fn of(hub: Hub) -> Self {
        let code = hub.first_code().await.unwrap().expect("nobody has an account");
        let mut clients = BTreeMap::new();
        let mut root = Client::of(&hub);
        root.sign_up("root", code.as_str()).await;
        for (name, role) in
            [("otto", Role::Operator), ("ada", Role::User), ("bob", Role::User), ("rita", Role::Reader)]
        {
            let page = root.post("/invitations", &[("role", role.as_str())]).await.ok();
            let code = page.split("sign-up?code=").nth(1).unwrap().split('<').next().unwrap().to_owned();
            let mut client = Client::of(&hub);
            client.sign_up(name, &code).await;
            clients.insert(name, client);
        }
        clients.insert("root", root);
        clients.insert("nobody", Client::of(&hub));
        Self { hub, clients }
    }

    pub(crate) fn client(&self, name: &str) -> &Client {
        &self.clients[name]
    }
}

/// Runs a test on SQLite and, where there is one, on PostgreSQL.
pub(crate) fn on_both<F: Future<Output = ()>>(test: impl Fn(Hub) -> F) {
    let scratch = Scratch::new();
    on(&Location::Sqlite(scratch.join("hub.db")), &test);
    if let Some(server) = Postgres::start() {
        on(&Location::Postgres(server.address()), &test);
    }
}

/// Runs a test on SQLite.
pub(crate) fn on_sqlite<F: Future<Output = ()>>(test: impl Fn(Hub) -> F) {
    let scratch = Scratch::new();
    on(&Location::Sqlite(scratch.join("hub.db")), &test);
}

fn on<F: Future<Output = ()>>(location: &Location, test: &impl Fn(Hub) -> F) {
    let hub = hub(location.clone(), SignUpPolicy::Invitation);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(test(hub));
}
