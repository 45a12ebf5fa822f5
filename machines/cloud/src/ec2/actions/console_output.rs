//! `GetConsoleOutput`: what a machine wrote to its console last.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{Call, instance_id, no_instances};
use crate::db::{consoles, instances};
use crate::ec2::fault::Fault;
use crate::ec2::time;

pub(super) async fn get(mut call: Call) -> Result<String, Fault> {
    let id = instance_id(&call.parameters.required("InstanceId")?)?;
    // What is there is the latest.
    call.parameters.flag("Latest")?;
    call.finish()?;
    let (wanted, owner) = (id.clone(), call.account.id.clone());
    let console = call
        .cloud
        .database
        .read(move |transaction| match instances::find(transaction, &wanted)? {
            Some(instance) if instance.owner == owner => Ok(consoles::find(transaction, &wanted)?),
            _ => Err(no_instances(std::slice::from_ref(&wanted))),
        })
        .await?;
    let (at, content) = console.unwrap_or((call.now, Vec::new()));
    Ok(call.respond("GetConsoleOutput", |xml| {
        xml.text("instanceId", &id);
        xml.text("timestamp", time::iso(at));
        xml.text("output", STANDARD.encode(&content));
    }))
}
