//! `DescribeInstanceTypes`, `DescribeInstanceTypeOfferings`.

use super::Call;
use crate::ec2::fault::Fault;
use crate::ec2::filters::Filters;
use crate::ec2::paging::Page;
use crate::ec2::parameters::shown;
use crate::instance_type::{self, InstanceType};

const FILTERS: &[&str] = &[
    "bare-metal",
    "current-generation",
    "hypervisor",
    "instance-type",
    "memory-info.size-in-mib",
    "processor-info.supported-architecture",
    "supported-virtualization-type",
    "vcpu-info.default-vcpus",
];

pub(super) fn describe(mut call: Call) -> Result<String, Fault> {
    let names = call.parameters.list("InstanceType");
    let filters = Filters::take(&mut call.parameters, FILTERS)?;
    let page = Page::take(&mut call.parameters, 5)?;
    call.finish()?;
    let unknown: Vec<String> =
        names.iter().filter(|name| instance_type::find(name).is_none()).map(|name| shown(name)).collect();
    if !unknown.is_empty() {
        let message = format!("The following supplied instance types do not exist: [{}]", unknown.join(", "));
        return Err(Fault::new("InvalidInstanceType", message));
    }
    let wanted = |kind: &&InstanceType| {
        (names.is_empty() || names.iter().any(|name| name == kind.name))
            && filters.match_all(&[], |name| vec![field(kind, name)])
    };
    let found = instance_type::ALL.iter().filter(wanted).collect();
    let (found, next) = page.cut(found, |kind| kind.name.to_owned());
    Ok(call.respond("DescribeInstanceTypes", |xml| {
        xml.list("instanceTypeSet", &found, |xml, kind| {
            xml.text("instanceType", kind.name);
            xml.text("currentGeneration", true);
            xml.text("freeTierEligible", false);
            xml.list("supportedUsageClasses", ["on-demand"], item);
            xml.list("supportedRootDeviceTypes", ["instance-store"], item);
            xml.list("supportedVirtualizationTypes", ["hvm"], item);
            xml.text("bareMetal", false);
            xml.text("hypervisor", "nitro");
            xml.element("processorInfo", |xml| xml.list("supportedArchitectures", ["x86_64"], item));
            xml.element("vCpuInfo", |xml| {
                xml.text("defaultVCpus", kind.cores);
                xml.text("defaultCores", kind.cores);
                xml.text("defaultThreadsPerCore", 1);
            });
            xml.element("memoryInfo", |xml| xml.text("sizeInMiB", kind.memory));
            xml.text("instanceStorageSupported", true);
            xml.element("instanceStorageInfo", |xml| {
                xml.text("totalSizeInGB", kind.disk);
                xml.list("disks", [()], |xml, ()| {
                    xml.text("sizeInGB", kind.disk);
                    xml.text("count", 1);
                    xml.text("type", "hdd");
                });
            });
            xml.text("hibernationSupported", false);
            xml.text("burstablePerformanceSupported", false);
            xml.text("dedicatedHostsSupported", false);
            xml.text("autoRecoverySupported", false);
            xml.list("supportedBootModes", ["legacy-bios", "uefi"], item);
        });
        xml.optional("nextToken", next);
    }))
}

/// A list's items that are words and not structures.
fn item(xml: &mut crate::ec2::xml::Xml, word: &str) {
    xml.words(word);
}

fn field(kind: &InstanceType, name: &str) -> String {
    match name {
        "bare-metal" => "false".to_owned(),
        "current-generation" => "true".to_owned(),
        "hypervisor" => "nitro".to_owned(),
        "instance-type" => kind.name.to_owned(),
        "memory-info.size-in-mib" => kind.memory.to_string(),
        "processor-info.supported-architecture" => "x86_64".to_owned(),
        "supported-virtualization-type" => "hvm".to_owned(),
        _ => kind.cores.to_string(),
    }
}

pub(super) fn describe_offerings(mut call: Call) -> Result<String, Fault> {
    let location = call.parameters.take("LocationType").unwrap_or_else(|| "region".to_owned());
    let place = match location.as_str() {
        "region" => call.cloud.config.region.clone(),
        "availability-zone" => call.cloud.config.first_zone(),
        other => {
            return Err(call.parameters.invalid(
                "LocationType",
                other,
                "It must be region or availability-zone.",
            ));
        }
    };
    let filters = Filters::take(&mut call.parameters, &["instance-type", "location"])?;
    let page = Page::take(&mut call.parameters, 5)?;
    call.finish()?;
    let wanted = |kind: &&InstanceType| {
        filters.match_all(&[], |name| {
            vec![if name == "location" { place.clone() } else { kind.name.to_owned() }]
        })
    };
    let (found, next) =
        page.cut(instance_type::ALL.iter().filter(wanted).collect(), |kind| kind.name.to_owned());
    Ok(call.respond("DescribeInstanceTypeOfferings", |xml| {
        xml.list("instanceTypeOfferingSet", &found, |xml, kind| {
            xml.text("instanceType", kind.name);
            xml.text("locationType", &location);
            xml.text("location", &place);
        });
        xml.optional("nextToken", next);
    }))
}
