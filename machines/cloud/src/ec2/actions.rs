//! What can be asked for: one file for each kind of thing, and the table of all of it.

mod console_output;
mod images;
mod instance_attribute;
mod instance_status;
mod instance_types;
mod instances;
mod key_pairs;
mod power;
mod regions;
mod run_instances;
mod tags;

use super::fault::Fault;
use super::parameters::{Parameters, shown};
use super::xml::Xml;
use crate::account::Account;
use crate::cloud::Cloud;
use crate::id::InstanceId;

/// A request that is known to be from somebody.
pub(super) struct Call {
    pub(super) cloud: Cloud,
    pub(super) account: Account,
    pub(super) parameters: Parameters,
    pub(super) request_id: String,
    /// What the request was signed with.
    pub(super) signature: String,
    /// Milliseconds since 1970.
    pub(super) now: i64,
}

impl Call {
    /// Everything has been taken from the parameters; refuses what is left, and stops what is only tried.
    fn finish(&mut self) -> Result<(), Fault> {
        let dry = match self.parameters.boolean("DryRun")? {
            None => self.parameters.boolean("dryRun")?.unwrap_or_default(),
            Some(dry) => dry,
        };
        self.parameters.finish()?;
        if dry {
            return Err(Fault::new(
                "DryRunOperation",
                "Request would have succeeded, but DryRun flag is set.",
            ));
        }
        Ok(())
    }

    /// The answer.
    fn respond(&self, action: &str, inner: impl FnOnce(&mut Xml)) -> String {
        Xml::response(action, &self.request_id, inner)
    }

    /// Takes `InstanceId.N`, none of them twice.
    fn instance_ids(&mut self) -> Result<Vec<InstanceId>, Fault> {
        let mut ids = Vec::new();
        for text in self.parameters.list("InstanceId") {
            let id = instance_id(&text)?;
            if !ids.contains(&id) {
                ids.push(id);
            }
        }
        Ok(ids)
    }
}

fn instance_id(text: &str) -> Result<InstanceId, Fault> {
    let malformed = |_| Fault::new("InvalidInstanceID.Malformed", format!("Invalid id: \"{}\"", shown(text)));
    text.parse().map_err(malformed)
}

/// The fault for instances that aren't there, or are somebody else's: nobody learns which.
fn no_instances(ids: &[InstanceId]) -> Fault {
    let words: Vec<&str> = ids.iter().map(InstanceId::as_str).collect();
    let message = match words[..] {
        [one] => format!("The instance ID '{one}' does not exist"),
        _ => format!("The instance IDs '{}' do not exist", words.join(", ")),
    };
    Fault::new("InvalidInstanceID.NotFound", message)
}

/// Carries an action out and gives the document that answers it.
pub(super) async fn perform(action: &str, call: Call) -> Result<String, Fault> {
    match action {
        "RunInstances" => run_instances::run(call).await,
        "DescribeInstances" => instances::describe(call).await,
        "DescribeInstanceStatus" => instance_status::describe(call).await,
        "StartInstances" => power::start(call).await,
        "StopInstances" => power::stop(call).await,
        "RebootInstances" => power::reboot(call).await,
        "TerminateInstances" => power::terminate(call).await,
        "GetConsoleOutput" => console_output::get(call).await,
        "DescribeInstanceAttribute" => instance_attribute::describe(call).await,
        "ModifyInstanceAttribute" => instance_attribute::modify(call).await,
        "ModifyInstanceMetadataOptions" => instance_attribute::modify_metadata_options(call).await,
        "DescribeImages" => images::describe(call).await,
        "RegisterImage" => images::register(call).await,
        "DeregisterImage" => images::deregister(call).await,
        "CreateKeyPair" => key_pairs::create(call).await,
        "ImportKeyPair" => key_pairs::import(call).await,
        "DescribeKeyPairs" => key_pairs::describe(call).await,
        "DeleteKeyPair" => key_pairs::delete(call).await,
        "CreateTags" => tags::create(call).await,
        "DeleteTags" => tags::delete(call).await,
        "DescribeTags" => tags::describe(call).await,
        "DescribeInstanceTypes" => instance_types::describe(call),
        "DescribeInstanceTypeOfferings" => instance_types::describe_offerings(call),
        "DescribeRegions" => regions::describe(call),
        "DescribeAvailabilityZones" => regions::describe_zones(call).await,
        "DescribeAccountAttributes" => regions::describe_account_attributes(call),
        _ => Err(Fault::new(
            "InvalidAction",
            format!("The action {} is not valid for this web service.", shown(action)),
        )),
    }
}
