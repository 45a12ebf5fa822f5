//! `DescribeInstanceAttribute`, `ModifyInstanceAttribute`, `ModifyInstanceMetadataOptions`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use varve_chassis::db::Transaction;

use super::run_instances::{tokens_required, user_data};
use super::{Call, instance_id, no_instances};
use crate::account::AccountId;
use crate::db::{hosts, instances};
use crate::ec2::fault::Fault;
use crate::ec2::instance_document::metadata_options;
use crate::ec2::parameters::{Parameters, shown};
use crate::id::InstanceId;
use crate::instance::{Instance, InstanceState, ShutdownBehavior};

pub(super) async fn describe(mut call: Call) -> Result<String, Fault> {
    let id = instance_id(&call.parameters.required("InstanceId")?)?;
    let attribute = call.parameters.required("Attribute")?;
    call.finish()?;
    let owner = call.account.id.clone();
    let (instance, told) = call
        .cloud
        .database
        .read(move |transaction| {
            let instance = find(transaction, &id, &owner)?;
            Ok::<_, Fault>((instance, instances::told(transaction, &id)?))
        })
        .await?;
    let value = match attribute.as_str() {
        "userData" => told.user_data.map(|bytes| STANDARD.encode(bytes)),
        "instanceType" => Some(instance.kind.clone()),
        "instanceInitiatedShutdownBehavior" => Some(instance.shutdown_behavior.as_str().to_owned()),
        "disableApiTermination" => Some(instance.protected.to_string()),
        "disableApiStop" | "ebsOptimized" => Some("false".to_owned()),
        "rootDeviceName" => Some("/dev/vda".to_owned()),
        "kernel" | "ramdisk" => None,
        "groupSet" | "blockDeviceMapping" | "productCodes" => {
            return Ok(call.respond("DescribeInstanceAttribute", |xml| {
                xml.text("instanceId", &instance.id);
                xml.element(&attribute, |_| {});
            }));
        }
        other => {
            let why = "This cloud does not have such an attribute.";
            return Err(call.parameters.invalid("Attribute", other, why));
        }
    };
    Ok(call.respond("DescribeInstanceAttribute", |xml| {
        xml.text("instanceId", &instance.id);
        xml.element(&attribute, |xml| xml.optional("value", value));
    }))
}

/// What is to be another.
#[derive(Clone, Debug)]
enum Change {
    UserData(Option<Vec<u8>>),
    Shutdown(ShutdownBehavior),
    Protected(bool),
}

pub(super) async fn modify(mut call: Call) -> Result<String, Fault> {
    let id = instance_id(&call.parameters.required("InstanceId")?)?;
    let change = change(&mut call.parameters)?;
    call.finish()?;
    let (owner, now) = (call.account.id.clone(), call.now);
    call.cloud
        .database
        .write(move |transaction| {
            let mut instance = find(transaction, &id, &owner)?;
            match &change {
                Change::UserData(bytes) => {
                    stopped(&instance, "userData")?;
                    instances::set_user_data(transaction, &id, bytes.as_deref())?;
                    hosts::touch(transaction, &instance.host)?;
                    return Ok(());
                }
                Change::Shutdown(behavior) => instance.shutdown_behavior = *behavior,
                Change::Protected(protected) => instance.protected = *protected,
            }
            tracing::debug!(instance = %instance.id, now, "an attribute was changed");
            Ok::<_, Fault>(instances::save(transaction, &instance)?)
        })
        .await?;
    Ok(call.respond("ModifyInstanceAttribute", |xml| xml.text("return", true)))
}

/// One attribute at a time: `Name.Value=…`, or `Attribute=name&Value=…`.
fn change(parameters: &mut Parameters) -> Result<Change, Fault> {
    let mut given: Vec<(String, String)> = Vec::new();
    if let Some(name) = parameters.take("Attribute") {
        given.push((name, parameters.required("Value")?));
    }
    for name in ["UserData", "InstanceType", "InstanceInitiatedShutdownBehavior", "DisableApiTermination"] {
        let mut value = parameters.structure(name);
        if let Some(value) = value.take("Value") {
            given.push((name.to_owned(), value));
        }
        value.finish()?;
    }
    let [(name, value)] = &given[..] else {
        let message = "The request must contain exactly one attribute that can be changed: UserData, InstanceType, InstanceInitiatedShutdownBehavior or DisableApiTermination";
        return Err(Fault::new("InvalidParameterCombination", message));
    };
    let invalid = |why: &str| {
        Fault::new(
            "InvalidParameterValue",
            format!("Value ({}) for parameter {name} is invalid. {why}", shown(value)),
        )
    };
    Ok(match name.to_ascii_lowercase().as_str() {
        "userdata" => Change::UserData(Some(user_data(parameters, value)?).filter(|bytes| !bytes.is_empty())),
        "instancetype" => {
            return Err(Fault::unsupported("instances that change their type: start another one"));
        }
        "instanceinitiatedshutdownbehavior" => {
            Change::Shutdown(value.parse().map_err(|_| invalid("It must be stop or terminate."))?)
        }
        "disableapitermination" => {
            Change::Protected(value.parse().map_err(|_| invalid("It must be true or false."))?)
        }
        _ => return Err(invalid("This cloud does not have such an attribute.")),
    })
}

pub(super) async fn modify_metadata_options(mut call: Call) -> Result<String, Fault> {
    let id = instance_id(&call.parameters.required("InstanceId")?)?;
    let required = tokens_required(&mut call.parameters)?;
    call.finish()?;
    let owner = call.account.id.clone();
    let instance = call
        .cloud
        .database
        .write(move |transaction| {
            let mut instance = find(transaction, &id, &owner)?;
            if let Some(required) = required {
                instance.tokens_required = required;
                instances::save(transaction, &instance)?;
                hosts::touch(transaction, &instance.host)?;
            }
            Ok::<_, Fault>(instance)
        })
        .await?;
    call.cloud.announce();
    Ok(call.respond("ModifyInstanceMetadataOptions", |xml| {
        xml.text("instanceId", &instance.id);
        let inside = |xml: &mut crate::ec2::xml::Xml| metadata_options(xml, &instance);
        inside(xml);
    }))
}

fn find(transaction: &mut Transaction<'_>, id: &InstanceId, owner: &AccountId) -> Result<Instance, Fault> {
    let found = instances::find(transaction, id)?.filter(|instance| instance.owner == *owner);
    found.ok_or_else(|| no_instances(std::slice::from_ref(id)))
}

fn stopped(instance: &Instance, what: &str) -> Result<(), Fault> {
    if instance.state == InstanceState::Stopped {
        return Ok(());
    }
    let message = format!(
        "The instance '{}' must be in a 'stopped' state to modify its '{what}' attribute.",
        instance.id
    );
    Err(Fault::new("IncorrectInstanceState", message))
}
