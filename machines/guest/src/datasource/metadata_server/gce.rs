//! Google Compute Engine: user data and keys are attributes of the instance.

use super::super::{Facts, Found};
use super::{MetadataError, Server, found};

const HEADERS: [(&str, &str); 1] = [("Metadata-Flavor", "Google")];
const INSTANCE: &str = "/computeMetadata/v1/instance";
const PROJECT: &str = "/computeMetadata/v1/project";

pub(super) async fn read(server: &Server) -> Result<Found, MetadataError> {
    let text = async |path: String| server.text(&path, &HEADERS).await;
    let Some(instance_id) = text(format!("{INSTANCE}/id")).await? else { return Err(MetadataError::Absent) };
    let mut user_data = server.get(&format!("{INSTANCE}/attributes/user-data"), &HEADERS).await?;
    if user_data.is_none() {
        user_data = server.get(&format!("{INSTANCE}/attributes/startup-script"), &HEADERS).await?;
    }
    let mut lines = text(format!("{INSTANCE}/attributes/ssh-keys")).await?.unwrap_or_default();
    let of_project = text(format!("{INSTANCE}/attributes/block-project-ssh-keys")).await?;
    if of_project.is_none_or(|blocked| !blocked.trim().eq_ignore_ascii_case("true")) {
        lines.push('\n');
        lines.push_str(&text(format!("{PROJECT}/attributes/ssh-keys")).await?.unwrap_or_default());
    }
    found(Found {
        user_data,
        facts: Facts {
            instance_id: Some(instance_id),
            hostname: text(format!("{INSTANCE}/hostname")).await?,
            public_keys: lines.lines().filter_map(key).collect(),
        },
        network_config: None,
        identity: None,
    })
}

/// A line is `USER:KEY`, and keys with an end have it in JSON behind them.
fn key(line: &str) -> Option<String> {
    let (user, key) = line.trim().split_once(':')?;
    (!user.contains(' ') && !key.contains("google-ssh")).then(|| key.to_owned())
}
