//! `CreateTags`, `DeleteTags`, `DescribeTags`.

use varve_chassis::db::Transaction;

use super::{Call, no_instances};
use crate::account::AccountId;
use crate::db::{images, instances, key_pairs, tags};
use crate::ec2::fault::Fault;
use crate::ec2::filters::Filters;
use crate::ec2::paging::Page;
use crate::ec2::parameters::{Parameters, shown};
use crate::ec2::tags::{MOST, take};
use crate::tag::{ResourceKind, Tag};

/// The most resources of one request.
const MOST_RESOURCES: usize = 1000;

pub(super) async fn create(mut call: Call) -> Result<String, Fault> {
    let resources = resources(&mut call.parameters)?;
    let new = take(&mut call.parameters)?;
    if new.is_empty() {
        return Err(call.parameters.missing("Tag"));
    }
    call.finish()?;
    let owner = call.account.id.clone();
    call.cloud
        .database
        .write(move |transaction| {
            for resource in &resources {
                let kind = own(transaction, resource, &owner)?;
                for tag in &new {
                    tags::put(transaction, &owner, resource, kind, tag)?;
                }
                if tags::of_resource(transaction, resource)?.len() > MOST {
                    let message = format!("The maximum number of Tags for a resource is {MOST}");
                    return Err(Fault::new("TagLimitExceeded", message));
                }
            }
            Ok(())
        })
        .await?;
    Ok(call.respond("CreateTags", |xml| xml.text("return", true)))
}

pub(super) async fn delete(mut call: Call) -> Result<String, Fault> {
    let resources = resources(&mut call.parameters)?;
    let mut old = Vec::new();
    for mut one in call.parameters.structures("Tag") {
        old.push((one.required("Key")?, one.take("Value")));
        one.finish()?;
    }
    call.finish()?;
    let owner = call.account.id.clone();
    call.cloud
        .database
        .write(move |transaction| {
            for resource in &resources {
                own(transaction, resource, &owner)?;
                if old.is_empty() {
                    tags::delete_all(transaction, resource)?;
                }
                for (key, value) in &old {
                    tags::delete(transaction, resource, key, value.as_deref())?;
                }
            }
            Ok::<_, Fault>(())
        })
        .await?;
    Ok(call.respond("DeleteTags", |xml| xml.text("return", true)))
}

pub(super) async fn describe(mut call: Call) -> Result<String, Fault> {
    let filters = Filters::take(&mut call.parameters, &["key", "resource-id", "resource-type", "value"])?;
    let page = Page::take(&mut call.parameters, 5)?;
    call.finish()?;
    let owner = call.account.id.clone();
    let all = call
        .cloud
        .database
        .read(move |transaction| Ok::<_, Fault>(tags::of_owner(transaction, &owner)?))
        .await?;
    let kind_of = |resource: &str| ResourceKind::of(resource).map_or("", ResourceKind::as_str);
    let rows =
        all.into_iter().flat_map(|(resource, tags)| tags.into_iter().map(move |tag| (resource.clone(), tag)));
    let wanted = |(resource, tag): &(String, Tag)| {
        filters.match_all(std::slice::from_ref(tag), |name| {
            vec![match name {
                "key" => tag.key.clone(),
                "value" => tag.value.clone(),
                "resource-id" => resource.clone(),
                _ => kind_of(resource).to_owned(),
            }]
        })
    };
    let (found, next) =
        page.cut(rows.filter(wanted).collect(), |(resource, tag)| format!("{resource} {}", tag.key));
    Ok(call.respond("DescribeTags", |xml| {
        xml.list("tagSet", &found, |xml, (resource, tag)| {
            xml.text("resourceId", resource);
            xml.text("resourceType", kind_of(resource));
            xml.text("key", &tag.key);
            xml.text("value", &tag.value);
        });
        xml.optional("nextToken", next);
    }))
}

fn resources(parameters: &mut Parameters) -> Result<Vec<String>, Fault> {
    let mut resources = parameters.list("ResourceId");
    resources.sort();
    resources.dedup();
    if resources.is_empty() {
        return Err(parameters.missing("ResourceId"));
    }
    if resources.len() > MOST_RESOURCES {
        let message = format!("A request names at most {MOST_RESOURCES} resources");
        return Err(Fault::new("InvalidParameterValue", message));
    }
    Ok(resources)
}

/// What kind of thing a resource is; whose isn't the owner's is not there.
fn own(transaction: &mut Transaction<'_>, resource: &str, owner: &AccountId) -> Result<ResourceKind, Fault> {
    let malformed = || Fault::new("InvalidID", format!("The ID '{}' is not valid", shown(resource)));
    let kind = ResourceKind::of(resource).ok_or_else(malformed)?;
    let (there, absent) = match kind {
        ResourceKind::Instance => {
            let id = resource.parse().map_err(|_| malformed())?;
            let found = instances::find(transaction, &id)?;
            (found.is_some_and(|instance| instance.owner == *owner), no_instances(&[id]))
        }
        ResourceKind::Image => {
            let id = resource.parse().map_err(|_| malformed())?;
            let found = images::find(transaction, &id)?;
            let message = format!("The image id '[{id}]' does not exist");
            let there = found.is_some_and(|image| image.owner == *owner && !image.deregistered);
            (there, Fault::new("InvalidAMIID.NotFound", message))
        }
        ResourceKind::KeyPair => {
            let found = key_pairs::of_owner(transaction, owner)?;
            let message = format!("The key pair with ID '{}' does not exist", shown(resource));
            (
                found.iter().any(|pair| pair.id.as_str() == resource),
                Fault::new("InvalidKeyPair.NotFound", message),
            )
        }
    };
    if there { Ok(kind) } else { Err(absent) }
}
