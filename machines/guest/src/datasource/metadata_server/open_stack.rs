//! OpenStack's own metadata; its imitation of EC2's is only asked where this is missing.

use super::super::{Found, open_stack_facts};
use super::{MetadataError, Server, found};

pub(super) async fn read(server: &Server) -> Result<Found, MetadataError> {
    let Some(text) = server.text("/openstack/latest/meta_data.json", &[]).await? else {
        return Err(MetadataError::Absent);
    };
    found(Found {
        user_data: server.get("/openstack/latest/user_data", &[]).await?,
        facts: open_stack_facts(&text).ok_or_else(|| MetadataError::Unsound {
            path: "meta_data.json".to_owned(),
            reason: "it is no JSON object".to_owned(),
        })?,
        network_config: None,
        identity: None,
    })
}
