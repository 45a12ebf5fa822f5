//! `StartInstances`, `StopInstances`, `RebootInstances`, `TerminateInstances`: all of the instances that are named, or none.

use varve_chassis::db::Transaction;

use super::run_instances::powered_within_quota;
use super::{Call, no_instances};
use crate::account::Account;
use crate::db::{hosts, instances, usage};
use crate::ec2::fault::Fault;
use crate::ec2::instance_document::state;
use crate::id::InstanceId;
use crate::instance::{Instance, InstanceState, Settled, StateReason, Wanted};
use crate::instance_type::InstanceType;

/// What an instance was, and is.
type Change = (InstanceId, InstanceState, InstanceState);

pub(super) async fn start(call: Call) -> Result<String, Fault> {
    let (account, now) = (call.account.clone(), call.now);
    change(call, "StartInstances", move |transaction, instance| {
        start_one(transaction, instance, &account, now)
    })
    .await
}

pub(super) async fn stop(mut call: Call) -> Result<String, Fault> {
    let force = call.parameters.flag("Force")?;
    call.parameters.flag("SkipOsShutdown")?;
    if call.parameters.flag("Hibernate")? {
        return Err(Fault::new(
            "UnsupportedHibernationConfiguration",
            "This cloud does not have hibernation.",
        ));
    }
    let now = call.now;
    change(call, "StopInstances", move |transaction, instance| {
        let wanted = if force { Wanted::StoppedByForce } else { Wanted::Stopped };
        match instance.state {
            InstanceState::Stopped => return Ok(()),
            InstanceState::Stopping if !force => return Ok(()),
            InstanceState::Running | InstanceState::Stopping => {}
            _ => return Err(incorrect(instance, "stopped")),
        }
        let settled = Settled { state: InstanceState::Stopping, wanted, reason: Some(StateReason::asked()) };
        put(transaction, instance, settled, now)
    })
    .await
}

pub(super) async fn terminate(mut call: Call) -> Result<String, Fault> {
    for flag in ["Force", "SkipOsShutdown"] {
        call.parameters.flag(flag)?;
    }
    let now = call.now;
    change(call, "TerminateInstances", move |transaction, instance| {
        if matches!(instance.state, InstanceState::ShuttingDown | InstanceState::Terminated) {
            return Ok(());
        }
        if instance.protected {
            let message = format!(
                "The instance '{}' may not be terminated. Modify its 'disableApiTermination' instance attribute and try again.",
                instance.id
            );
            return Err(Fault::new("OperationNotPermitted", message));
        }
        let reason = StateReason::asked();
        let settled = Settled { state: InstanceState::ShuttingDown, wanted: Wanted::Terminated, reason: Some(reason) };
        put(transaction, instance, settled, now)
    })
    .await
}

pub(super) async fn reboot(mut call: Call) -> Result<String, Fault> {
    let ids = ids(&mut call)?;
    call.finish()?;
    let owner = call.account.clone();
    call.cloud
        .database
        .write(move |transaction| {
            for mut instance in find(transaction, &ids, &owner)? {
                if instance.state != InstanceState::Running {
                    return Err(incorrect(&instance, "rebooted"));
                }
                instance.restarts += 1;
                instances::save(transaction, &instance)?;
                hosts::touch(transaction, &instance.host)?;
            }
            Ok(())
        })
        .await?;
    call.cloud.announce();
    Ok(call.respond("RebootInstances", |xml| xml.text("return", true)))
}

fn start_one(
    transaction: &mut Transaction<'_>,
    instance: &mut Instance,
    account: &Account,
    now: i64,
) -> Result<(), Fault> {
    match instance.state {
        InstanceState::Pending | InstanceState::Running => return Ok(()),
        InstanceState::Stopped => {}
        _ => return Err(incorrect(instance, "started")),
    }
    let cores = u16::try_from(instance.cores).unwrap_or(u16::MAX);
    let kind = InstanceType { name: "this one", cores, memory: instance.memory, disk: 0 };
    powered_within_quota(&account.quota, &usage::of(transaction, &account.id)?, &kind, 1)?;
    let host = hosts::find(transaction, &instance.host)?;
    let fits = host.is_some_and(|host| {
        !host.is_lost(now) && host.free_cores() >= instance.cores && host.free_memory() >= instance.memory
    });
    if !fits {
        let message = format!(
            "We currently do not have sufficient {} capacity on the host of {}.",
            instance.kind, instance.id
        );
        return Err(Fault::new("InsufficientInstanceCapacity", message));
    }
    instance.starts += 1;
    instance.launched = now;
    let settled = Settled { state: InstanceState::Pending, wanted: Wanted::Running, reason: None };
    put(transaction, instance, settled, now)
}

/// Writes a change down and lets the host know.
fn put(
    transaction: &mut Transaction<'_>,
    instance: &mut Instance,
    settled: Settled,
    now: i64,
) -> Result<(), Fault> {
    instances::change(transaction, instance, settled, now)?;
    Ok(hosts::touch(transaction, &instance.host)?)
}

/// Changes the instances that a request names, and answers with what they were and are.
async fn change<F>(mut call: Call, action: &str, change: F) -> Result<String, Fault>
where
    F: Fn(&mut Transaction<'_>, &mut Instance) -> Result<(), Fault> + Send + 'static,
{
    let ids = ids(&mut call)?;
    call.finish()?;
    let owner = call.account.clone();
    let changes: Vec<Change> = call
        .cloud
        .database
        .write(move |transaction| {
            let mut changes = Vec::new();
            for mut instance in find(transaction, &ids, &owner)? {
                let was = instance.state;
                change(transaction, &mut instance)?;
                changes.push((instance.id, was, instance.state));
            }
            Ok::<_, Fault>(changes)
        })
        .await?;
    call.cloud.announce();
    Ok(call.respond(action, |xml| {
        xml.list("instancesSet", changes, |xml, (id, was, is)| {
            xml.text("instanceId", id);
            xml.element("currentState", |xml| state(xml, is));
            xml.element("previousState", |xml| state(xml, was));
        });
    }))
}

fn ids(call: &mut Call) -> Result<Vec<InstanceId>, Fault> {
    let ids = call.instance_ids()?;
    if ids.is_empty() {
        return Err(call.parameters.missing("InstanceId"));
    }
    Ok(ids)
}

fn find(
    transaction: &mut Transaction<'_>,
    ids: &[InstanceId],
    owner: &Account,
) -> Result<Vec<Instance>, Fault> {
    let (mut found, mut absent) = (Vec::new(), Vec::new());
    for id in ids {
        match instances::find(transaction, id)?.filter(|instance| instance.owner == owner.id) {
            Some(instance) => found.push(instance),
            None => absent.push(id.clone()),
        }
    }
    if absent.is_empty() { Ok(found) } else { Err(no_instances(&absent)) }
}

fn incorrect(instance: &Instance, verb: &str) -> Fault {
    let message = format!("The instance '{}' is not in a state from which it can be {verb}.", instance.id);
    Fault::new("IncorrectInstanceState", message)
}
