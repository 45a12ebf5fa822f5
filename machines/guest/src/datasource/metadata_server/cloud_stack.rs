//! CloudStack: the router that gives addresses serves the metadata too.

use super::super::{Facts, Found};
use super::{MetadataError, Server, found};

pub(super) async fn read(server: &Server) -> Result<Found, MetadataError> {
    let Some(instance_id) = server.text("/latest/instance-id", &[]).await? else {
        return Err(MetadataError::Absent);
    };
    let keys = server.text("/latest/public-keys", &[]).await?.unwrap_or_default();
    found(Found {
        user_data: server.get("/latest/user-data", &[]).await?,
        facts: Facts {
            instance_id: Some(instance_id),
            hostname: server.text("/latest/local-hostname", &[]).await?,
            public_keys: keys.lines().map(str::to_owned).collect(),
        },
        network_config: None,
        identity: None,
    })
}
