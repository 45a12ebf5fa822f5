//! What `varve repo ingest` is told of a container image.

use std::path::Path;

use clap::Args;
use varve_publish::{ContainerRequest, ImageName, IngestRequest, Platform};
use varve_store::ByteSize;

use crate::failure::Failure;

/// That it is an image, and which.
#[derive(Args, Debug)]
pub(super) struct ImageOptions {
    /// Publish a container image under this name
    #[arg(long, value_name = "REGISTRY/NAME:TAG", conflicts_with_all = ["at", "delete"], requires = "archive")]
    pub(super) image: Option<ImageName>,
    #[command(flatten)]
    pub(super) choice: ChoiceOptions,
}

/// Which image of several.
#[derive(Args, Debug)]
pub(super) struct ChoiceOptions {
    /// The image for these machines, such as linux/arm64; by default for those like this one
    #[arg(long, value_name = "OS/ARCHITECTURE", requires = "image")]
    platform: Option<Platform>,
    /// The image that is called this within the archive, where there are several
    #[arg(long, value_name = "NAME", requires = "image")]
    reference: Option<String>,
    /// The most that the files of all layers may have together
    #[arg(long, value_name = "SIZE", default_value = "256GiB", requires = "image")]
    limit: ByteSize,
}

/// The image at `path`, to be ingested in a revision as `request` describes it.
pub(super) fn request(
    path: &Path,
    name: ImageName,
    choice: ChoiceOptions,
    request: IngestRequest,
) -> Result<ContainerRequest, Failure> {
    let platform = match choice.platform {
        Some(platform) => platform,
        None => format!("linux/{}", std::env::consts::ARCH).parse().map_err(Failure::usage)?,
    };
    Ok(ContainerRequest {
        image: path.to_owned(),
        name,
        reference: choice.reference,
        platform,
        limit: choice.limit.get(),
        tag: request.tag,
        threads: request.threads,
        memory: request.memory,
        now: request.now,
    })
}
