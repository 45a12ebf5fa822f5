//! `DescribeImages`, `RegisterImage`, `DeregisterImage`.

use super::Call;
use crate::db::{images, tags};
use crate::ec2::fault::Fault;
use crate::ec2::filters::Filters;
use crate::ec2::paging::Page;
use crate::ec2::parameters::shown;
use crate::ec2::tags::{specifications, write};
use crate::ec2::time;
use crate::id::ImageId;
use crate::image::{self, FirmwareName, Image, ImageFileError};
use crate::tag::ResourceKind;

const FILTERS: &[&str] = &[
    "architecture",
    "boot-mode",
    "creation-date",
    "description",
    "image-id",
    "image-type",
    "is-public",
    "name",
    "owner-id",
    "root-device-type",
    "state",
    "virtualization-type",
];
/// The longest description.
const LONGEST_DESCRIPTION: usize = 255;

pub(super) async fn describe(mut call: Call) -> Result<String, Fault> {
    let ids = call.parameters.list("ImageId").iter().map(|id| image_id(id)).collect::<Result<Vec<_>, _>>()?;
    let owners = call.parameters.list("Owner");
    let executable = call.parameters.list("ExecutableBy");
    let filters = Filters::take(&mut call.parameters, FILTERS)?;
    let page = Page::take(&mut call.parameters, 1)?;
    for flag in ["IncludeDeprecated", "IncludeDisabled"] {
        call.parameters.flag(flag)?;
    }
    call.finish()?;
    let owner = call.account.id.clone();
    let (mut found, tags) = call
        .cloud
        .database
        .read(move |transaction| {
            Ok::<_, Fault>((images::usable(transaction, &owner)?, tags::of_owner(transaction, &owner)?))
        })
        .await?;
    if let Some(absent) = ids.iter().find(|id| !found.iter().any(|image| image.id == **id)) {
        return Err(absent_image(absent));
    }
    let own = call.account.id.clone();
    let is_owner = |image: &Image, word: &String| match word.as_str() {
        "self" => image.owner == own,
        id => image.owner.as_str() == id,
    };
    let can_run = |image: &Image, word: &String| match word.as_str() {
        "all" => image.for_all,
        "self" => !image.for_all,
        _ => false,
    };
    let tags_of = |image: &Image| tags.get(image.id.as_str()).cloned().unwrap_or_default();
    found.retain(|image| {
        (ids.is_empty() || ids.contains(&image.id))
            && (owners.is_empty() || owners.iter().any(|word| is_owner(image, word)))
            && (executable.is_empty() || executable.iter().any(|word| can_run(image, word)))
            && filters.match_all(&tags_of(image), |name| vec![field(image, name)])
    });
    let (found, next) = page.cut(found, |image| format!("{:015} {}", image.created, image.id));
    Ok(call.respond("DescribeImages", |xml| {
        xml.list("imagesSet", &found, |xml, image| {
            xml.text("imageId", &image.id);
            xml.text("imageLocation", &image.location);
            xml.text("imageState", "available");
            xml.text("imageOwnerId", image.owner.as_str());
            xml.text("creationDate", time::iso(image.created));
            xml.text("isPublic", image.for_all);
            xml.text("architecture", "x86_64");
            xml.text("imageType", "machine");
            xml.text("platformDetails", "Linux/UNIX");
            xml.text("name", &image.name);
            xml.text("description", &image.description);
            xml.text("rootDeviceType", "instance-store");
            xml.text("rootDeviceName", "/dev/vda");
            xml.element("blockDeviceMapping", |_| {});
            xml.text("virtualizationType", "hvm");
            xml.text("bootMode", image.firmware);
            xml.text("hypervisor", "xen");
            write(xml, &tags_of(image));
        });
        xml.optional("nextToken", next);
    }))
}

fn field(image: &Image, name: &str) -> String {
    match name {
        "architecture" => "x86_64".to_owned(),
        "boot-mode" => image.firmware.to_string(),
        "creation-date" => time::iso(image.created),
        "description" => image.description.clone(),
        "image-id" => image.id.to_string(),
        "image-type" => "machine".to_owned(),
        "is-public" => image.for_all.to_string(),
        "name" => image.name.clone(),
        "owner-id" => image.owner.as_str().to_owned(),
        "root-device-type" => "instance-store".to_owned(),
        "state" => "available".to_owned(),
        _ => "hvm".to_owned(),
    }
}

pub(super) async fn register(mut call: Call) -> Result<String, Fault> {
    let parameters = &mut call.parameters;
    let name = parameters.required("Name")?;
    let characters =
        |character: char| character.is_ascii_alphanumeric() || "()[]{} ./-'@_".contains(character);
    if !(3..=128).contains(&name.len()) || !name.chars().all(characters) {
        let message = "AMI names must be between 3 and 128 characters long, and may contain letters, numbers, '(', ')', '.', '-', '/' and '_'";
        return Err(Fault::new("InvalidAMIName.Malformed", message));
    }
    let location = parameters.required("ImageLocation")?;
    let description = parameters.take("Description").unwrap_or_default();
    if description.chars().count() > LONGEST_DESCRIPTION || description.contains('\0') {
        return Err(parameters.invalid("Description", &description, "It has up to 255 characters."));
    }
    let firmware = match parameters.take("BootMode") {
        None => FirmwareName(varve_hypervisor::Firmware::Bios),
        Some(mode) => mode
            .parse()
            .map_err(|_| parameters.invalid("BootMode", &mode, "It must be legacy-bios or uefi."))?,
    };
    for (parameter, expected) in [("Architecture", "x86_64"), ("VirtualizationType", "hvm")] {
        if let Some(value) = parameters.take(parameter)
            && value != expected
        {
            return Err(parameters.invalid(parameter, &value, &format!("It must be {expected}.")));
        }
    }
    // What the first disk is called is the machine's matter; its card is always a fast one.
    parameters.take("RootDeviceName");
    parameters.flag("EnaSupport")?;
    let tags = specifications(parameters, ResourceKind::Image)?;
    call.finish()?;

    let (directory, file) = (call.cloud.config.images.clone(), location.clone());
    let examined = tokio::task::spawn_blocking(move || image::examine(&directory, &file)).await;
    let (digest, size) = examined.map_err(|_| Fault::internal())?.map_err(|error| refused(&error))?;
    let image = Image {
        id: ImageId::new(),
        owner: call.account.id.clone(),
        name,
        description,
        location,
        digest,
        size,
        firmware,
        for_all: call.account.operator,
        created: call.now,
        deregistered: false,
    };
    let id = image.id.clone();
    call.cloud
        .database
        .write(move |transaction| {
            let taken = images::usable(transaction, &image.owner)?
                .into_iter()
                .find(|other| other.owner == image.owner && other.name == image.name);
            if let Some(other) = taken {
                let message =
                    format!("AMI name {} is already in use by AMI {}", shown(&image.name), other.id);
                return Err(Fault::new("InvalidAMIName.Duplicate", message));
            }
            images::insert(transaction, &image)?;
            for tag in &tags {
                tags::put(transaction, &image.owner, image.id.as_str(), ResourceKind::Image, tag)?;
            }
            Ok(())
        })
        .await?;
    Ok(call.respond("RegisterImage", |xml| xml.text("imageId", id)))
}

fn refused(error: &ImageFileError) -> Fault {
    match error {
        ImageFileError::Read { name, source } => {
            tracing::error!(%name, error = %source, "an image can't be read");
            Fault::internal()
        }
        ImageFileError::Unusable(unusable) => {
            // Where the directory is is nobody's business.
            tracing::info!(error = %unusable, "a file was refused as an image");
            Fault::new(
                "InvalidManifest",
                "The file is no image of a disk or a CD that a machine can start from.",
            )
        }
        other => Fault::new("InvalidManifest", other.to_string()),
    }
}

pub(super) async fn deregister(mut call: Call) -> Result<String, Fault> {
    let id = image_id(&call.parameters.required("ImageId")?)?;
    call.parameters.flag("DeleteAssociatedSnapshots")?;
    call.finish()?;
    let (owner, now) = (call.account.id.clone(), call.now);
    call.cloud
        .database
        .write(move |transaction| {
            let image = images::find(transaction, &id)?.filter(|image| !image.deregistered);
            match image {
                Some(image) if image.owner == owner => {
                    images::deregister(transaction, &id, now)?;
                    Ok(tags::delete_all(transaction, id.as_str())?)
                }
                Some(image) if image.for_all => {
                    Err(Fault::new("AuthFailure", format!("Not authorized for image:{id}")))
                }
                _ => Err(absent_image(&id)),
            }
        })
        .await?;
    Ok(call.respond("DeregisterImage", |xml| xml.text("return", true)))
}

fn image_id(text: &str) -> Result<ImageId, Fault> {
    let malformed = |_| Fault::new("InvalidAMIID.Malformed", format!("Invalid id: \"{}\"", shown(text)));
    text.parse().map_err(malformed)
}

fn absent_image(id: &ImageId) -> Fault {
    Fault::new("InvalidAMIID.NotFound", format!("The image id '[{id}]' does not exist"))
}
