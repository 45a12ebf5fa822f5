//! What hosts and the service say to each other. New fields have defaults: either side may be the older one.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use varve_hypervisor::Firmware;

use crate::db::instances::Told;
use crate::id::{HostId, ImageId, InstanceId, ReservationId};
use crate::image::Image;
use crate::instance::{Instance, Seen, Wanted};

/// The most of a console's end that is kept.
pub const MOST_CONSOLE: usize = 64 << 10;
/// The most cores and memory that are believed.
const MOST_CORES: u32 = 1 << 20;
const MOST_MEMORY: u64 = 1 << 40;

/// A host wants to take part. Memory is in megabytes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Join {
    /// What people call it.
    pub name: String,
    /// The part of the cloud that it is in, if it isn't the first.
    #[serde(default)]
    pub zone: Option<String>,
    /// The cores that it gives.
    pub cores: u32,
    /// The memory that it gives.
    pub memory: u64,
    /// The version of its program.
    pub version: String,
}

impl Join {
    /// Whether it makes sense.
    pub(super) fn check(&self) -> Result<(), String> {
        let word = |what: &str, text: &str| {
            let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
            if text.is_empty() || text.len() > 63 || !text.bytes().all(allowed) {
                return Err(format!("the {what} of a host has up to 63 letters, digits, dots and dashes"));
            }
            Ok(())
        };
        word("name", &self.name)?;
        self.zone.as_deref().map_or(Ok(()), |zone| word("zone", zone))?;
        check(self.cores, self.memory, &self.version)
    }
}

fn check(cores: u32, memory: u64, version: &str) -> Result<(), String> {
    if cores > MOST_CORES || memory > MOST_MEMORY || version.len() > 64 || version.contains('\0') {
        return Err("no host has so much".to_owned());
    }
    Ok(())
}

/// It takes part.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Joined {
    /// What it is called.
    pub id: HostId,
    /// By which it is known from now on.
    pub token: String,
    /// The part of the cloud that it is in.
    pub zone: String,
    /// The cloud's region.
    pub region: String,
}

/// What a host sees.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Report {
    /// The revision of the orders that it has.
    pub revision: i64,
    /// How many seconds it waits for newer ones.
    pub wait: u64,
    /// The cores that it gives.
    pub cores: u32,
    /// The memory that it gives, in megabytes.
    pub memory: u64,
    /// The version of its program.
    pub version: String,
    /// Its machines, but those that are being worked on.
    pub machines: Vec<Seen>,
}

impl Report {
    /// Whether it makes sense.
    pub(super) fn check(&self, most: usize) -> Result<(), String> {
        check(self.cores, self.memory, &self.version)?;
        let long = |seen: &Seen| {
            seen.ports.len() > 1024
                || seen.ports.contains('\0')
                || seen.failure.as_ref().is_some_and(|failure| failure.len() > 4096 || failure.contains('\0'))
        };
        if self.machines.len() > most || self.machines.iter().any(long) {
            return Err("the report is too long".to_owned());
        }
        Ok(())
    }

    /// How long it waits for newer orders.
    pub(super) fn wait(&self) -> Duration {
        Duration::from_secs(self.wait)
    }
}

/// What is wanted of a host.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Orders {
    /// By which it is known whether there are newer ones.
    pub revision: i64,
    /// Its instances, but those that are terminated.
    pub instances: Vec<Order>,
    /// Machines that were reported and that nobody knows: they are left as they are.
    #[serde(default)]
    pub strangers: Vec<InstanceId>,
}

/// What is wanted of a machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Which instance.
    pub instance: InstanceId,
    /// How it is to be.
    pub wanted: Wanted,
    /// How often it was to be started.
    pub starts: u32,
    /// How often it was to be restarted.
    pub restarts: u32,
    /// Whether its metadata need a session token.
    pub tokens_required: bool,
}

/// What a machine is, for the host that makes it. `Debug` shows no user data.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Definition {
    /// Which instance.
    pub instance: InstanceId,
    /// What it starts from.
    pub image: ImageSource,
    /// Its cores.
    pub cores: u16,
    /// Its memory, in megabytes.
    pub memory: u64,
    /// Its empty disk, in gigabytes.
    pub disk: u64,
    /// The name of its size.
    pub kind: String,
    /// Whose it is.
    pub owner: String,
    /// The request that made it.
    pub reservation: ReservationId,
    /// Its number among those.
    pub launch_index: u32,
    /// The part of the cloud that it is in.
    pub zone: String,
    /// The cloud's region.
    pub region: String,
    /// When it was last started, in milliseconds since 1970.
    pub launched: i64,
    /// The name of the key that lets in, and the key in OpenSSH's form.
    pub key: Option<(String, String)>,
    /// Its user data.
    #[serde(with = "base64_bytes")]
    pub user_data: Option<Vec<u8>>,
}

impl std::fmt::Debug for Definition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Definition").field("instance", &self.instance).finish_non_exhaustive()
    }
}

/// What a machine starts from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageSource {
    /// Which image.
    pub id: ImageId,
    /// Its SHA-256, in hexadecimal digits.
    pub digest: String,
    /// Its bytes.
    pub size: u64,
    /// What starts it.
    pub firmware: Firmware,
}

impl Definition {
    /// What is recorded, as a host needs it.
    pub(crate) fn new(instance: &Instance, image: &Image, told: Told, region: &str) -> Self {
        let disk = crate::instance_type::find(&instance.kind).map_or(0, |kind| kind.disk);
        Self {
            instance: instance.id.clone(),
            image: ImageSource {
                id: image.id.clone(),
                digest: image.digest.clone(),
                size: image.size,
                firmware: image.firmware.0,
            },
            cores: u16::try_from(instance.cores).unwrap_or(u16::MAX),
            memory: instance.memory,
            disk,
            kind: instance.kind.clone(),
            owner: instance.owner.as_str().to_owned(),
            reservation: instance.reservation.clone(),
            launch_index: instance.launch_index,
            zone: instance.zone.clone(),
            region: region.to_owned(),
            launched: instance.launched,
            key: instance.key_name.clone().zip(told.public_key),
            user_data: told.user_data,
        }
    }
}

/// Bytes in JSON.
mod base64_bytes {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

    pub(super) fn serialize<S: Serializer>(
        bytes: &Option<Vec<u8>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        bytes.as_ref().map(|bytes| STANDARD.encode(bytes)).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Vec<u8>>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        let decode = |text: String| STANDARD.decode(text).map_err(serde::de::Error::custom);
        text.map(decode).transpose()
    }
}
