//! `DescribeInstances`.

use super::{Call, no_instances};
use crate::account::AccountId;
use crate::db::{hosts, instances, tags};
use crate::ec2::fault::Fault;
use crate::ec2::filters::Filters;
use crate::ec2::instance_document::{FILTERS, Surroundings};
use crate::ec2::paging::Page;
use crate::id::InstanceId;
use crate::instance::Instance;

/// What goes with an owner's instances in a document.
pub(super) async fn surroundings(call: &Call, owner: AccountId) -> Result<Surroundings, Fault> {
    let now = call.now;
    call.cloud
        .database
        .read(move |transaction| {
            let tags = tags::of_owner(transaction, &owner)?;
            let hosts = hosts::all(transaction)?.into_iter().map(|host| (host.id.clone(), host)).collect();
            Ok(Surroundings { tags, hosts, now })
        })
        .await
}

/// An owner's instances, all or those of some ids, with what goes with them.
pub(super) async fn read(call: &Call, ids: &[InstanceId]) -> Result<(Vec<Instance>, Surroundings), Fault> {
    let (owner, ids, now) = (call.account.id.clone(), ids.to_vec(), call.now);
    call.cloud
        .database
        .read(move |transaction| {
            let found = if ids.is_empty() {
                instances::of_owner(transaction, &owner)?
            } else {
                let (mut found, mut absent) = (Vec::new(), Vec::new());
                for id in &ids {
                    match instances::find(transaction, id)?.filter(|instance| instance.owner == owner) {
                        Some(instance) => found.push(instance),
                        None => absent.push(id.clone()),
                    }
                }
                if !absent.is_empty() {
                    return Err(no_instances(&absent));
                }
                found.sort_by_key(key);
                found
            };
            let tags = tags::of_owner(transaction, &owner)?;
            let hosts = hosts::all(transaction)?.into_iter().map(|host| (host.id.clone(), host)).collect();
            Ok((found, Surroundings { tags, hosts, now }))
        })
        .await
}

/// By which instances are sorted and found again.
pub(super) fn key(instance: &Instance) -> String {
    format!("{:015} {} {:04}", instance.created, instance.reservation, instance.launch_index)
}

pub(super) async fn describe(mut call: Call) -> Result<String, Fault> {
    let ids = call.instance_ids()?;
    let filters = Filters::take(&mut call.parameters, FILTERS)?;
    let page = Page::take(&mut call.parameters, 5)?;
    call.parameters.boolean("IncludeManagedResources")?;
    if !ids.is_empty() && page.is_asked_for() {
        let message = "The parameter instancesSet cannot be used with the parameter maxResults";
        return Err(Fault::new("InvalidParameterCombination", message));
    }
    call.finish()?;
    let (mut found, around) = read(&call, &ids).await?;
    if !filters.is_empty() {
        found.retain(|instance| {
            filters.match_all(&around.tags_of(instance), |name| around.field(instance, name))
        });
    }
    let (found, next) = page.cut(found, key);
    Ok(call.respond("DescribeInstances", |xml| {
        around.reservations(xml, &found);
        xml.optional("nextToken", next);
    }))
}
