//! `DescribeRegions`, `DescribeAvailabilityZones`, `DescribeAccountAttributes`.

use std::collections::BTreeSet;

use super::Call;
use crate::ec2::fault::Fault;
use crate::ec2::filters::Filters;
use crate::ec2::parameters::shown;

pub(super) fn describe(mut call: Call) -> Result<String, Fault> {
    let names = call.parameters.list("RegionName");
    let filters = Filters::take(&mut call.parameters, &["endpoint", "opt-in-status", "region-name"])?;
    call.parameters.flag("AllRegions")?;
    call.finish()?;
    let config = call.cloud.config.clone();
    if let Some(unknown) = names.iter().find(|name| **name != config.region) {
        let message = format!("The region '{}' does not exist", shown(unknown));
        return Err(Fault::new("InvalidParameterValue", message));
    }
    let matches = filters.match_all(&[], |name| {
        vec![match name {
            "endpoint" => config.endpoint.clone(),
            "opt-in-status" => "opt-in-not-required".to_owned(),
            _ => config.region.clone(),
        }]
    });
    Ok(call.respond("DescribeRegions", |xml| {
        xml.list("regionInfo", matches.then_some(()), |xml, ()| {
            xml.text("regionName", &config.region);
            xml.text("regionEndpoint", &config.endpoint);
            xml.text("optInStatus", "opt-in-not-required");
        });
    }))
}

pub(super) async fn describe_zones(mut call: Call) -> Result<String, Fault> {
    let names = call.parameters.list("ZoneName");
    let ids = call.parameters.list("ZoneId");
    let filters =
        Filters::take(&mut call.parameters, &["region-name", "state", "zone-id", "zone-name", "zone-type"])?;
    call.parameters.flag("AllAvailabilityZones")?;
    call.finish()?;
    let hosts = call.cloud.hosts().await?;
    let zones: BTreeSet<String> =
        hosts.into_iter().map(|host| host.zone).chain([call.cloud.config.first_zone()]).collect();
    if let Some(unknown) = names.iter().chain(&ids).find(|name| !zones.contains(*name)) {
        let message = format!("Invalid availability zone: [{}]", shown(unknown));
        return Err(Fault::new("InvalidParameterValue", message));
    }
    let config = call.cloud.config.clone();
    let wanted = |zone: &&String| {
        (names.is_empty() || names.contains(zone))
            && (ids.is_empty() || ids.contains(zone))
            && filters.match_all(&[], |name| {
                vec![match name {
                    "region-name" => config.region.clone(),
                    "state" => "available".to_owned(),
                    "zone-type" => "availability-zone".to_owned(),
                    _ => (*zone).clone(),
                }]
            })
    };
    Ok(call.respond("DescribeAvailabilityZones", |xml| {
        xml.list("availabilityZoneInfo", zones.iter().filter(wanted), |xml, zone| {
            xml.text("optInStatus", "opt-in-not-required");
            xml.element("messageSet", |_| {});
            xml.text("regionName", &config.region);
            xml.text("zoneName", zone);
            xml.text("zoneId", zone);
            xml.text("groupName", &config.region);
            xml.text("networkBorderGroup", &config.region);
            xml.text("zoneType", "availability-zone");
            xml.text("zoneState", "available");
        });
    }))
}

pub(super) fn describe_account_attributes(mut call: Call) -> Result<String, Fault> {
    let names = call.parameters.list("AttributeName");
    call.finish()?;
    let instances = call.account.quota.instances.to_string();
    let known =
        [("supported-platforms", "VPC"), ("default-vpc", "none"), ("max-instances", instances.as_str())];
    if let Some(unknown) = names.iter().find(|name| !known.iter().any(|(known, _)| *known == name.as_str())) {
        return Err(Fault::new("InvalidParameterValue", format!("Unknown attribute '{}'", shown(unknown))));
    }
    let wanted =
        known.iter().filter(|(name, _)| names.is_empty() || names.iter().any(|wanted| wanted == name));
    Ok(call.respond("DescribeAccountAttributes", |xml| {
        xml.list("accountAttributeSet", wanted, |xml, (name, value)| {
            xml.text("attributeName", name);
            xml.list("attributeValueSet", [value], |xml, value| xml.text("attributeValue", value));
        });
    }))
}
