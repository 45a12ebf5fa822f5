//! `DescribeInstanceStatus`: the checks of instances. A host that isn't heard of makes those of its instances fail.

use super::Call;
use super::instances::{key, read};
use crate::ec2::fault::Fault;
use crate::ec2::filters::Filters;
use crate::ec2::instance_document::{Surroundings, state};
use crate::ec2::paging::Page;
use crate::ec2::time;
use crate::instance::{Instance, InstanceState};

const FILTERS: &[&str] = &[
    "availability-zone",
    "instance-state-code",
    "instance-state-name",
    "instance-status.reachability",
    "instance-status.status",
    "system-status.reachability",
    "system-status.status",
];

pub(super) async fn describe(mut call: Call) -> Result<String, Fault> {
    let ids = call.instance_ids()?;
    let all = call.parameters.flag("IncludeAllInstances")?;
    let filters = Filters::take(&mut call.parameters, FILTERS)?;
    let page = Page::take(&mut call.parameters, 5)?;
    if !ids.is_empty() && page.is_asked_for() {
        let message = "The parameter instancesSet cannot be used with the parameter maxResults";
        return Err(Fault::new("InvalidParameterCombination", message));
    }
    call.finish()?;
    let (mut found, around) = read(&call, &ids).await?;
    found.retain(|instance| all || instance.state == InstanceState::Running);
    found.retain(|instance| filters.match_all(&[], |name| vec![field(&around, instance, name)]));
    let (found, next) = page.cut(found, key);
    Ok(call.respond("DescribeInstanceStatus", |xml| {
        xml.list("instanceStatusSet", &found, |xml, instance| {
            xml.text("instanceId", &instance.id);
            xml.text("availabilityZone", &instance.zone);
            xml.element("instanceState", |xml| state(xml, instance.state));
            let (status, reachability) = checks(&around, instance);
            for name in ["systemStatus", "instanceStatus"] {
                xml.element(name, |xml| {
                    xml.text("status", status);
                    xml.list("details", [()], |xml, ()| {
                        xml.text("name", "reachability");
                        xml.text("status", reachability);
                        if status == "impaired" {
                            let since = around.hosts.get(&instance.host).map(|host| time::iso(host.heard));
                            xml.optional("impairedSince", since);
                        }
                    });
                });
            }
        });
        xml.optional("nextToken", next);
    }))
}

/// The status and the reachability of an instance.
fn checks(around: &Surroundings, instance: &Instance) -> (&'static str, &'static str) {
    match instance.state {
        _ if around.is_lost(instance) => ("impaired", "failed"),
        InstanceState::Running => ("ok", "passed"),
        InstanceState::Pending => ("initializing", "initializing"),
        _ => ("not-applicable", "not-applicable"),
    }
}

fn field(around: &Surroundings, instance: &Instance, name: &str) -> String {
    let (status, reachability) = checks(around, instance);
    match name {
        "availability-zone" => instance.zone.clone(),
        "instance-state-code" => instance.state.code().to_string(),
        "instance-state-name" => instance.state.to_string(),
        "instance-status.reachability" | "system-status.reachability" => reachability.to_owned(),
        _ => status.to_owned(),
    }
}
