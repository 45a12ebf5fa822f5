//! Azure's metadata service; what it calls custom data is on a disk instead, see `ovf_environment`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::super::{Facts, Found};
use super::{MetadataError, Server, found};

const HEADERS: [(&str, &str); 1] = [("Metadata", "true")];
const PATH: &str = "/metadata/instance?api-version=2021-02-01";

pub(super) async fn read(server: &Server) -> Result<Found, MetadataError> {
    let Some(text) = server.text(PATH, &HEADERS).await? else { return Err(MetadataError::Absent) };
    let unsound = |reason: &str| MetadataError::Unsound { path: PATH.to_owned(), reason: reason.to_owned() };
    let value: serde_json::Value = serde_json::from_str(&text).map_err(|_| unsound("it is no JSON"))?;
    let compute = value.get("compute").ok_or(MetadataError::Absent)?;
    let word = |name: &str| compute.get(name).and_then(|word| word.as_str()).map(str::to_owned);
    let user_data = match word("userData").filter(|text| !text.is_empty()) {
        Some(text) => Some(STANDARD.decode(text.trim()).map_err(|_| unsound("userData is no base64"))?),
        None => None,
    };
    let keys = compute.get("publicKeys").and_then(|keys| keys.as_array());
    let keys = keys.into_iter().flatten().filter_map(|key| key.get("keyData")?.as_str());
    found(Found {
        user_data,
        facts: Facts {
            instance_id: word("vmId"),
            hostname: word("name"),
            public_keys: keys.map(str::to_owned).collect(),
        },
        network_config: None,
        identity: None,
    })
}
