//! An instance as documents show it, and its fields as filters name them.

use std::collections::BTreeMap;

use super::time;
use super::xml::Xml;
use crate::db::tags::Tags;
use crate::host::Host;
use crate::id::HostId;
use crate::instance::{Instance, InstanceState, StateReason};
use crate::tag::Tag;

/// The tag that says which ports lead into an instance.
const PORTS: &str = "varve:ports";

/// The filters of instances, beside those of tags.
pub(super) const FILTERS: &[&str] = &[
    "architecture",
    "availability-zone",
    "client-token",
    "host-id",
    "image-id",
    "instance-id",
    "instance-state-code",
    "instance-state-name",
    "instance-type",
    "ip-address",
    "key-name",
    "launch-index",
    "launch-time",
    "owner-id",
    "reservation-id",
    "root-device-type",
    "state-reason-code",
    "virtualization-type",
];

/// What goes with instances in a document.
#[derive(Debug)]
pub(super) struct Surroundings {
    pub(super) tags: Tags,
    pub(super) hosts: BTreeMap<HostId, Host>,
    /// Milliseconds since 1970.
    pub(super) now: i64,
}

impl Surroundings {
    /// The tags that people have given, and the one of ports.
    pub(super) fn tags_of(&self, instance: &Instance) -> Vec<Tag> {
        let mut tags = self.tags.get(instance.id.as_str()).cloned().unwrap_or_default();
        if !instance.ports.is_empty() {
            tags.push(Tag { key: PORTS.to_owned(), value: instance.ports.clone() });
        }
        tags
    }

    /// Whether the host of an instance that should be somewhere isn't heard of.
    pub(super) fn is_lost(&self, instance: &Instance) -> bool {
        let lives = !matches!(instance.state, InstanceState::Terminated | InstanceState::Stopped);
        lives && self.hosts.get(&instance.host).is_none_or(|host| host.is_lost(self.now))
    }

    /// Why an instance is as it is.
    pub(super) fn reason_of(&self, instance: &Instance) -> Option<StateReason> {
        if !self.is_lost(instance) {
            return instance.reason.clone();
        }
        let since = self.hosts.get(&instance.host).map_or(0, |host| host.heard);
        let message = format!("Server.HostLost: its host has not been heard of since {}", time::iso(since));
        Some(StateReason { code: "Server.HostLost".to_owned(), message })
    }

    /// What an instance has under the name of a filter.
    pub(super) fn field(&self, instance: &Instance, name: &str) -> Vec<String> {
        let one = match name {
            "architecture" => Some("x86_64".to_owned()),
            "availability-zone" => Some(instance.zone.clone()),
            "client-token" => instance.client_token.clone(),
            "host-id" => Some(instance.host.to_string()),
            "image-id" => Some(instance.image.to_string()),
            "instance-id" => Some(instance.id.to_string()),
            "instance-state-code" => Some(instance.state.code().to_string()),
            "instance-state-name" => Some(instance.state.to_string()),
            "instance-type" => Some(instance.kind.clone()),
            "ip-address" => address(instance).map(str::to_owned),
            "key-name" => instance.key_name.clone(),
            "launch-index" => Some(instance.launch_index.to_string()),
            "launch-time" => Some(time::iso(instance.launched)),
            "owner-id" => Some(instance.owner.as_str().to_owned()),
            "reservation-id" => Some(instance.reservation.to_string()),
            "root-device-type" => Some("instance-store".to_owned()),
            "state-reason-code" => self.reason_of(instance).map(|reason| reason.code),
            "virtualization-type" => Some("hvm".to_owned()),
            _ => None,
        };
        one.into_iter().collect()
    }

    /// Writes the inside of an instance's `item`.
    pub(super) fn write(&self, xml: &mut Xml, instance: &Instance) {
        xml.text("instanceId", &instance.id);
        xml.text("imageId", &instance.image);
        xml.element("instanceState", |xml| state(xml, instance.state));
        let address = address(instance);
        xml.text("privateDnsName", host_name(instance));
        xml.text("dnsName", address.unwrap_or_default());
        let reason = self.reason_of(instance);
        xml.text("reason", reason.as_ref().map_or("", |reason| reason.message.as_str()));
        xml.optional("keyName", instance.key_name.as_deref());
        xml.text("amiLaunchIndex", instance.launch_index);
        xml.element("productCodes", |_| {});
        xml.text("instanceType", &instance.kind);
        xml.text("launchTime", time::iso(instance.launched));
        xml.element("placement", |xml| {
            xml.text("availabilityZone", &instance.zone);
            xml.text("groupName", "");
            xml.text("tenancy", "default");
            xml.text("hostId", &instance.host);
        });
        xml.element("monitoring", |xml| xml.text("state", "disabled"));
        xml.optional("ipAddress", address);
        xml.element("groupSet", |_| {});
        if let Some(reason) = reason {
            xml.element("stateReason", |xml| {
                xml.text("code", &reason.code);
                xml.text("message", &reason.message);
            });
        }
        xml.text("architecture", "x86_64");
        xml.text("rootDeviceType", "instance-store");
        xml.text("rootDeviceName", "/dev/vda");
        xml.element("blockDeviceMapping", |_| {});
        xml.text("virtualizationType", "hvm");
        xml.text("clientToken", instance.client_token.as_deref().unwrap_or_default());
        super::tags::write(xml, &self.tags_of(instance));
        xml.text("hypervisor", "xen");
        xml.element("networkInterfaceSet", |_| {});
        xml.text("ebsOptimized", false);
        xml.element("cpuOptions", |xml| {
            xml.text("coreCount", instance.cores);
            xml.text("threadsPerCore", 1);
        });
        metadata_options(xml, instance);
    }

    /// Writes the inside of the `item`s of reservations: instances that one request made stand together.
    pub(super) fn reservations(&self, xml: &mut Xml, instances: &[Instance]) {
        xml.element("reservationSet", |xml| {
            for together in instances.chunk_by(|one, other| one.reservation == other.reservation) {
                xml.element("item", |xml| self.reservation(xml, together));
            }
        });
    }

    /// Writes the inside of a reservation.
    pub(super) fn reservation(&self, xml: &mut Xml, together: &[Instance]) {
        if let Some(first) = together.first() {
            xml.text("reservationId", &first.reservation);
            xml.text("ownerId", first.owner.as_str());
        }
        xml.element("groupSet", |_| {});
        xml.list("instancesSet", together, |xml, instance| self.write(xml, instance));
    }
}

/// Writes the inside of a state.
pub(super) fn state(xml: &mut Xml, state: InstanceState) {
    xml.text("code", state.code());
    xml.text("name", state);
}

/// Writes how the metadata of an instance are reached.
pub(super) fn metadata_options(xml: &mut Xml, instance: &Instance) {
    xml.element("metadataOptions", |xml| {
        xml.text("state", "applied");
        xml.text("httpTokens", if instance.tokens_required { "required" } else { "optional" });
        xml.text("httpPutResponseHopLimit", 1);
        xml.text("httpEndpoint", "enabled");
        xml.text("httpProtocolIpv6", "disabled");
        xml.text("instanceMetadataTags", "disabled");
    });
}

/// What an instance is called in its own network.
pub(crate) fn host_name(instance: &Instance) -> String {
    format!("{}.internal", instance.id)
}

/// The address behind which ports lead into an instance.
fn address(instance: &Instance) -> Option<&str> {
    let (_, place) = instance.ports.split(' ').next()?.split_once('=')?;
    place.rsplit_once(':').map(|(address, _)| address)
}
