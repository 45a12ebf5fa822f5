//! `RunInstances`: new instances, each with a host, or none at all. The same request again makes nothing new.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};
use varve_chassis::db::Transaction;

use super::Call;
use super::instances::surroundings;
use crate::account::{Account, Quota};
use crate::db::instances::Told;
use crate::db::requests::Request;
use crate::db::usage::Usage;
use crate::db::{hosts, images, instances, key_pairs, requests, tags, usage};
use crate::ec2::fault::Fault;
use crate::ec2::parameters::{Parameters, shown};
use crate::ec2::tags::specifications;
use crate::host::{self, Host};
use crate::id::{ImageId, InstanceId, ReservationId};
use crate::instance::{Instance, InstanceState, ShutdownBehavior, StateReason, Wanted};
use crate::instance_type::{self, InstanceType};
use crate::tag::{ResourceKind, Tag};

/// The most user data, in bytes, before they are encoded.
pub(super) const MOST_USER_DATA: usize = 16 * 1024;
/// The most instances of one request.
const MOST: u32 = 1000;
/// The longest client token.
const LONGEST_TOKEN: usize = 64;

/// What somebody asks for.
#[derive(Clone, Debug)]
struct Order {
    account: Account,
    image: ImageId,
    kind: &'static InstanceType,
    least: u32,
    most: u32,
    key_name: Option<String>,
    user_data: Option<Vec<u8>>,
    zone: Option<String>,
    tags: Vec<Tag>,
    shutdown_behavior: ShutdownBehavior,
    tokens_required: bool,
    protected: bool,
    client_token: Option<String>,
    /// By which the same request is known again.
    token: String,
    digest: String,
    now: i64,
}

pub(super) async fn run(mut call: Call) -> Result<String, Fault> {
    let order = order(&mut call)?;
    call.finish()?;
    let database = call.cloud.database.clone();
    let made = database.write(move |transaction| order.carry_out(transaction)).await?;
    call.cloud.announce();
    let owner = call.account.id.clone();
    let around = surroundings(&call, owner).await?;
    Ok(call.respond("RunInstances", |xml| around.reservation(xml, &made)))
}

fn order(call: &mut Call) -> Result<Order, Fault> {
    let digest = digest(&call.parameters);
    let parameters = &mut call.parameters;
    let image = parameters.required("ImageId")?;
    let image = image
        .parse()
        .map_err(|_| Fault::new("InvalidAMIID.Malformed", format!("Invalid id: \"{}\"", shown(&image))))?;
    let kind = parameters.take("InstanceType").unwrap_or_else(|| instance_type::DEFAULT.to_owned());
    let kind = instance_type::find(&kind).ok_or_else(|| {
        parameters.invalid("InstanceType", &kind, "DescribeInstanceTypes lists those that there are.")
    })?;
    let least = parameters.number("MinCount", 1, MOST)?.ok_or_else(|| parameters.missing("MinCount"))?;
    let most = parameters.number("MaxCount", 1, MOST)?.ok_or_else(|| parameters.missing("MaxCount"))?;
    if least > most {
        let why = "The maximum count must be at least the minimum count.";
        return Err(parameters.invalid("MaxCount", &most.to_string(), why));
    }
    let user_data = parameters.take("UserData").map(|text| user_data(parameters, &text)).transpose()?;
    let mut placement = parameters.structure("Placement");
    let zone = placement.take("AvailabilityZone");
    placement.take("Tenancy").map_or(Ok(()), |tenancy| expect(&placement, "Tenancy", &tenancy, "default"))?;
    placement.take("GroupName").map_or(Ok(()), |group| expect(&placement, "GroupName", &group, ""))?;
    placement.finish()?;
    let mut metadata = parameters.structure("MetadataOptions");
    let tokens_required = tokens_required(&mut metadata)?.unwrap_or_default();
    metadata.finish()?;
    let shutdown_behavior = match parameters.take("InstanceInitiatedShutdownBehavior") {
        None => ShutdownBehavior::default(),
        Some(text) => text.parse().map_err(|_| {
            parameters.invalid("InstanceInitiatedShutdownBehavior", &text, "It must be stop or terminate.")
        })?,
    };
    let client_token = parameters.take("ClientToken").filter(|token| !token.is_empty());
    if let Some(token) = &client_token
        && (token.len() > LONGEST_TOKEN || !token.bytes().all(|byte| byte.is_ascii_graphic()))
    {
        return Err(parameters.invalid("ClientToken", token, "It has up to 64 ASCII characters."));
    }
    let tags = specifications(parameters, ResourceKind::Instance)?;
    refuse_what_is_not_there(parameters)?;
    Ok(Order {
        image,
        kind,
        least,
        most,
        key_name: parameters.take("KeyName").filter(|name| !name.is_empty()),
        user_data,
        zone: zone.filter(|zone| !zone.is_empty()),
        tags,
        shutdown_behavior,
        tokens_required,
        protected: parameters.flag("DisableApiTermination")?,
        token: match &client_token {
            Some(token) => format!("token {token}"),
            // Who listened and sends it again gets what there is already.
            None => format!("signature {}", call.signature),
        },
        client_token,
        digest,
        account: call.account.clone(),
        now: call.now,
    })
}

/// What goes without saying may be said; what isn't there is refused.
fn refuse_what_is_not_there(parameters: &mut Parameters) -> Result<(), Fault> {
    for (flag, what) in [
        ("EbsOptimized", "optimized volumes"),
        ("DisableApiStop", "protection from being stopped"),
        ("EnablePrimaryIpv6", "IPv6"),
    ] {
        if parameters.flag(flag)? {
            return Err(Fault::unsupported(what));
        }
    }
    if parameters.structure("Monitoring").flag("Enabled")? {
        return Err(Fault::unsupported("detailed monitoring"));
    }
    let mut groups = parameters.list("SecurityGroup");
    groups.extend(parameters.list("SecurityGroupId"));
    if groups.iter().any(|group| group != "default") {
        return Err(Fault::unsupported("security groups"));
    }
    for (name, what) in [
        ("KernelId", "kernels apart from images"),
        ("RamdiskId", "initial RAM disks apart from images"),
        ("SubnetId", "subnets"),
        ("PrivateIpAddress", "private addresses to choose from"),
    ] {
        if parameters.take(name).is_some_and(|value| !value.is_empty()) {
            return Err(Fault::unsupported(what));
        }
    }
    for (name, what) in [
        ("BlockDeviceMapping", "block device mappings"),
        ("NetworkInterface", "network interfaces"),
        ("IamInstanceProfile", "instance profiles"),
        ("LaunchTemplate", "launch templates"),
        ("InstanceMarketOptions", "spot instances"),
        ("CpuOptions", "CPU options"),
        ("HibernationOptions", "hibernation"),
        ("CreditSpecification", "CPU credits"),
    ] {
        if !parameters.structure(name).is_empty() {
            return Err(Fault::unsupported(what));
        }
    }
    Ok(())
}

fn expect(parameters: &Parameters, name: &str, value: &str, expected: &str) -> Result<(), Fault> {
    if value.is_empty() || value == expected {
        return Ok(());
    }
    Err(parameters.invalid(name, value, "This cloud does not have it."))
}

/// Takes how metadata are to be reached: whether a session token is needed, if that is said.
pub(super) fn tokens_required(options: &mut Parameters) -> Result<Option<bool>, Fault> {
    if let Some(endpoint) = options.take("HttpEndpoint")
        && endpoint != "enabled"
    {
        return Err(options.invalid("HttpEndpoint", &endpoint, "It is always enabled here."));
    }
    if let Some(protocol) = options.take("HttpProtocolIpv6")
        && protocol != "disabled"
    {
        return Err(options.invalid("HttpProtocolIpv6", &protocol, "It is always disabled here."));
    }
    if let Some(tags) = options.take("InstanceMetadataTags")
        && tags != "disabled"
    {
        return Err(options.invalid("InstanceMetadataTags", &tags, "They are always disabled here."));
    }
    // A machine's metadata are one hop away, whatever it is.
    options.number("HttpPutResponseHopLimit", 1, 64)?;
    match options.take("HttpTokens").as_deref() {
        None => Ok(None),
        Some("required") => Ok(Some(true)),
        Some("optional") => Ok(Some(false)),
        Some(other) => Err(options.invalid("HttpTokens", other, "It must be optional or required.")),
    }
}

/// Decodes user data.
pub(super) fn user_data(parameters: &Parameters, text: &str) -> Result<Vec<u8>, Fault> {
    let compact: String = text.chars().filter(|character| !character.is_ascii_whitespace()).collect();
    let bytes = STANDARD
        .decode(compact)
        .map_err(|_| Fault::new("InvalidUserData.Malformed", "Invalid BASE64 encoding of user data"))?;
    if bytes.len() > MOST_USER_DATA {
        let why = format!("User data is limited to {MOST_USER_DATA} bytes");
        return Err(parameters.invalid("UserData", &format!("{} bytes", bytes.len()), &why));
    }
    Ok(bytes)
}

/// Of everything that is asked for.
fn digest(parameters: &Parameters) -> String {
    let mut digest = Sha256::new();
    for (name, value) in parameters.pairs().filter(|(name, _)| !matches!(*name, "ClientToken" | "DryRun")) {
        for part in [name, value] {
            digest.update((part.len() as u64).to_le_bytes());
            digest.update(part);
        }
    }
    hex::encode(digest.finalize())
}

impl Order {
    fn carry_out(&self, transaction: &mut Transaction<'_>) -> Result<Vec<Instance>, Fault> {
        let owner = &self.account.id;
        if let Some(earlier) = requests::find(transaction, owner, &self.token)? {
            return self.again(transaction, &earlier);
        }
        let image = images::find(transaction, &self.image)?;
        let usable =
            image.is_some_and(|image| !image.deregistered && (image.for_all || image.owner == *owner));
        if !usable {
            return Err(Fault::new(
                "InvalidAMIID.NotFound",
                format!("The image id '[{}]' does not exist", self.image),
            ));
        }
        let public_key = match &self.key_name {
            None => None,
            Some(name) => {
                let pair = key_pairs::named(transaction, owner, name)?;
                let absent = || {
                    Fault::new(
                        "InvalidKeyPair.NotFound",
                        format!("The key pair '{}' does not exist", shown(name)),
                    )
                };
                Some(pair.ok_or_else(absent)?.public_key)
            }
        };
        let allowed =
            within_quota(&self.account.quota, &usage::of(transaction, owner)?, self.kind, self.least)?;
        let mut hosts = hosts::all(transaction)?;
        if let Some(zone) = &self.zone
            && !hosts.iter().any(|host| host.zone == *zone)
        {
            return Err(Fault::new(
                "InvalidParameterValue",
                format!("Invalid availability zone: [{}]", shown(zone)),
            ));
        }
        let count = self.most.min(allowed);
        let (cores, memory) = (u32::from(self.kind.cores), self.kind.memory);
        let places = host::place(&mut hosts, cores, memory, self.zone.as_deref(), count, self.now);
        if places.len() < self.least as usize {
            let message = format!(
                "We currently do not have sufficient {} capacity in the Availability Zone you requested.",
                self.kind.name
            );
            return Err(Fault::new("InsufficientInstanceCapacity", message));
        }
        let told = Told { public_key, user_data: self.user_data.clone() };
        let reservation = ReservationId::new();
        let mut made = Vec::with_capacity(places.len());
        for (index, place) in places.iter().enumerate() {
            let instance = self.instance(&reservation, index, &hosts[*place]);
            instances::insert(transaction, &instance, &told)?;
            for tag in &self.tags {
                tags::put(transaction, owner, instance.id.as_str(), ResourceKind::Instance, tag)?;
            }
            made.push(instance);
        }
        for (index, host) in hosts.iter().enumerate() {
            let here = places.iter().filter(|place| **place == index).count() as i64;
            if here > 0 {
                hosts::take(
                    transaction,
                    &host.id,
                    i64::from(cores) * here,
                    crate::db::signed(memory) * here,
                )?;
            }
        }
        let count = made.len() as i64;
        usage::add(transaction, owner, count, i64::from(cores) * count, crate::db::signed(memory) * count)?;
        let request = Request { digest: self.digest.clone(), reservation };
        requests::insert(transaction, owner, &self.token, &request, self.now)?;
        Ok(made)
    }

    /// The answer to a request that has been answered before.
    fn again(&self, transaction: &mut Transaction<'_>, earlier: &Request) -> Result<Vec<Instance>, Fault> {
        if earlier.digest != self.digest {
            let message = "The client token you have provided is associated with a resource that was created with different parameters. Please provide a different client token.";
            return Err(Fault::new("IdempotentParameterMismatch", message));
        }
        let made = instances::of_reservation(transaction, &earlier.reservation)?;
        if made.is_empty() {
            let message =
                "The client token you have provided is associated with instances that have been terminated.";
            return Err(Fault::new("IdempotentInstanceTerminated", message));
        }
        Ok(made)
    }

    fn instance(&self, reservation: &ReservationId, index: usize, host: &Host) -> Instance {
        Instance {
            id: InstanceId::new(),
            owner: self.account.id.clone(),
            reservation: reservation.clone(),
            launch_index: u32::try_from(index).unwrap_or(u32::MAX),
            image: self.image.clone(),
            kind: self.kind.name.to_owned(),
            cores: self.kind.cores.into(),
            memory: self.kind.memory,
            key_name: self.key_name.clone(),
            state: InstanceState::Pending,
            wanted: Wanted::Running,
            reason: Some(StateReason::new("pending", "pending")),
            created: self.now,
            launched: self.now,
            ended: None,
            host: host.id.clone(),
            zone: host.zone.clone(),
            starts: 1,
            restarts: 0,
            holds: true,
            shutdown_behavior: self.shutdown_behavior,
            tokens_required: self.tokens_required,
            protected: self.protected,
            client_token: self.client_token.clone(),
            ports: String::new(),
        }
    }
}

/// How many more of a size an account may have; at least `least`.
pub(super) fn within_quota(
    quota: &Quota,
    usage: &Usage,
    kind: &InstanceType,
    least: u32,
) -> Result<u32, Fault> {
    let instances = quota.instances.saturating_sub(usage.instances);
    if instances < least {
        let message = format!(
            "Your quota allows for {instances} more running instance(s). You requested at least {least}"
        );
        return Err(Fault::new("InstanceLimitExceeded", message));
    }
    powered_within_quota(quota, usage, kind, least).map(|powered| powered.min(instances))
}

/// How many more of a size an account may let run; at least `least`.
pub(super) fn powered_within_quota(
    quota: &Quota,
    usage: &Usage,
    kind: &InstanceType,
    least: u32,
) -> Result<u32, Fault> {
    let cores = quota.cores.saturating_sub(usage.cores) / u32::from(kind.cores);
    if cores < least {
        let message = format!(
            "You have requested more vCPU capacity than your current vCPU limit of {} allows. {} are in use.",
            quota.cores, usage.cores
        );
        return Err(Fault::new("VcpuLimitExceeded", message));
    }
    let memory = quota.memory.saturating_sub(usage.memory) / kind.memory;
    let memory = u32::try_from(memory).unwrap_or(u32::MAX);
    if memory < least {
        let message = format!(
            "Your quota of {} MiB of memory allows for {memory} more instance(s) of type {}. You requested at least {least}",
            quota.memory, kind.name
        );
        return Err(Fault::new("InstanceLimitExceeded", message));
    }
    Ok(cores.min(memory))
}
