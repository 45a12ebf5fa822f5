//! Which image of a layout is meant: by its name in the layout, and by its platform.

use std::fmt;
use std::str::FromStr;

use super::document::{Descriptor, DockerImage, Index, Manifest};
use super::error::ContainerError;
use super::source::{Source, blob_name};
use crate::container::{Digest, ImageConfiguration};

/// Indexes within indexes.
const DEEPEST: usize = 4;

/// The most images in a layout.
const MOST_IMAGES: usize = 10_000;

/// The most layers of an image: the kernel lays no more than 500 over each other.
const MOST_LAYERS: usize = 500;

/// An operating system and a processor: `OS/ARCHITECTURE[/VARIANT]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Platform {
    os: String,
    architecture: String,
    variant: Option<String>,
}

/// The image that was chosen; all its documents are verified.
pub(super) struct Chosen {
    pub(super) manifest: Vec<u8>,
    pub(super) id: Digest,
    pub(super) configuration: Vec<u8>,
    pub(super) parsed: ImageConfiguration,
    pub(super) layers: Vec<LayerBlob>,
}

/// A layer's blob, not read yet.
pub(super) struct LayerBlob {
    pub(super) digest: Digest,
    pub(super) size: u64,
    /// Where it is in the layout.
    pub(super) file: String,
    /// The digest of what it is once its compression is taken off.
    pub(super) content: Digest,
    pub(super) media_type: String,
}

/// What is looked for.
pub(super) struct Wanted<'a> {
    pub(super) reference: Option<&'a str>,
    pub(super) platform: &'a Platform,
}

/// Chooses an image.
pub(super) fn choose(source: &Source, wanted: &Wanted<'_>) -> Result<Chosen, ContainerError> {
    if let Some(bytes) = source.document("index.json")? {
        return of_layout(source, wanted, &parsed("index.json", &bytes)?);
    }
    if let Some(bytes) = source.document("manifest.json")? {
        return of_docker(source, wanted, &parsed::<Vec<DockerImage>>("manifest.json", &bytes)?);
    }
    Err(ContainerError::NoImage { path: source.path().to_owned() })
}

fn of_layout(source: &Source, wanted: &Wanted<'_>, index: &Index) -> Result<Chosen, ContainerError> {
    let mut found = Found { manifests: Vec::new(), left: MOST_IMAGES };
    let named = |descriptor: &&Descriptor| {
        wanted.reference.is_none_or(|reference| descriptor.references().any(|other| other == reference))
    };
    for descriptor in index.manifests.iter().filter(named) {
        gather(source, descriptor, descriptor.references().next(), DEEPEST, &mut found)?;
    }
    if found.manifests.is_empty() && wanted.reference.is_some() {
        let names: Vec<_> = index.manifests.iter().flat_map(Descriptor::references).collect();
        return Err(ContainerError::Ambiguous { found: names.join(", ") });
    }
    let mut fitting = Vec::new();
    let mut platforms = Vec::new();
    for (name, descriptor) in found.manifests {
        let platform = match &descriptor.platform {
            // What else engines attach to an image.
            Some(platform) if platform.os == "unknown" => continue,
            Some(platform) => Platform {
                os: platform.os.clone(),
                architecture: platform.architecture.clone(),
                variant: platform.variant.clone(),
            },
            None => Platform::of(&read(source, &descriptor)?.parsed),
        };
        if wanted.platform.takes(&platform) {
            fitting.push((name, descriptor, platform));
        } else {
            platforms.push(platform.to_string());
        }
    }
    match &fitting[..] {
        [(_, descriptor, _)] => read(source, descriptor),
        [] => {
            platforms.sort();
            platforms.dedup();
            let found = if platforms.is_empty() { "nothing".to_owned() } else { platforms.join(", ") };
            Err(ContainerError::NoPlatform { wanted: wanted.platform.to_string(), found })
        }
        [(_, first, _), rest @ ..]
            if rest.iter().all(|(_, other, _)| other.digest().ok() == first.digest().ok()) =>
        {
            read(source, first)
        }
        several => {
            let name = |(name, _, platform): &(Option<String>, Descriptor, Platform)| {
                format!("{} ({platform})", name.as_deref().unwrap_or("without a name"))
            };
            Err(ContainerError::Ambiguous { found: several.iter().map(name).collect::<Vec<_>>().join(", ") })
        }
    }
}

/// What an index leads to.
struct Found {
    manifests: Vec<(Option<String>, Descriptor)>,
    /// So many more are looked at.
    left: usize,
}

/// Finds the manifests that an index leads to.
fn gather(
    source: &Source,
    descriptor: &Descriptor,
    name: Option<&str>,
    depth: usize,
    found: &mut Found,
) -> Result<(), ContainerError> {
    let too_large = || ContainerError::TooLarge { name: "the index".to_owned() };
    found.left = found.left.checked_sub(1).ok_or_else(too_large)?;
    if !descriptor.is_index() {
        found.manifests.push((name.map(str::to_owned), descriptor.clone()));
        return Ok(());
    }
    let bytes = source.blob_document(descriptor)?;
    let index: Index = parsed(&descriptor.digest()?.to_string(), &bytes)?;
    for inner in &index.manifests {
        gather(source, inner, name, depth.checked_sub(1).ok_or_else(too_large)?, found)?;
    }
    Ok(())
}

fn read(source: &Source, descriptor: &Descriptor) -> Result<Chosen, ContainerError> {
    let manifest = source.blob_document(descriptor)?;
    let parsed: Manifest = parsed(&descriptor.digest()?.to_string(), &manifest)?;
    let configuration = source.blob_document(&parsed.config)?;
    let blobs = parsed
        .layers
        .iter()
        .map(|layer| {
            let digest = layer.digest()?;
            Ok((digest.clone(), layer.size, blob_name(&digest), layer.media_type.clone()))
        })
        .collect::<Result<Vec<_>, ContainerError>>()?;
    chosen(manifest, parsed.config.digest()?, configuration, blobs)
}

/// An archive of Docker's has no manifest: one is made. Its layers aren't compressed, and named by their content.
fn of_docker(source: &Source, wanted: &Wanted<'_>, images: &[DockerImage]) -> Result<Chosen, ContainerError> {
    let tags = |image: &DockerImage| image.repo_tags.clone().unwrap_or_default();
    let mut fitting = images.iter().filter(|image| {
        wanted.reference.is_none_or(|reference| tags(image).iter().any(|tag| tag == reference))
    });
    let (Some(image), None) = (fitting.next(), fitting.next()) else {
        return Err(ContainerError::Ambiguous {
            found: images.iter().flat_map(tags).collect::<Vec<_>>().join(", "),
        });
    };
    let missing = |name: &str| ContainerError::Missing { name: name.to_owned() };
    let configuration = source.document(&image.config)?.ok_or_else(|| missing(&image.config))?;
    let id = Digest::of(&configuration);
    let parsed = ImageConfiguration::read(&configuration, &id)?;
    let platform = Platform::of(&parsed);
    if !wanted.platform.takes(&platform) {
        let (wanted, found) = (wanted.platform.to_string(), platform.to_string());
        return Err(ContainerError::NoPlatform { wanted, found });
    }
    if image.layers.len() != parsed.layers().len() {
        let described = parsed.layers().len();
        return Err(ContainerError::Layers { layers: image.layers.len(), described });
    }
    let mut blobs = Vec::new();
    for (file, content) in image.layers.iter().zip(parsed.layers()) {
        let (_, size) = source.file(file)?.ok_or_else(|| missing(file))?;
        blobs.push((content.parse()?, size, file.clone(), LAYER.to_owned()));
    }
    let manifest = Manifest {
        schema_version: 2,
        media_type: "application/vnd.oci.image.manifest.v1+json".to_owned(),
        config: Descriptor::new("application/vnd.oci.image.config.v1+json", &id, configuration.len() as u64),
        layers: blobs.iter().map(|(digest, size, ..)| Descriptor::new(LAYER, digest, *size)).collect(),
    };
    let manifest = serde_json::to_vec(&manifest)
        .map_err(|source| ContainerError::Document { name: "manifest".to_owned(), source })?;
    chosen(manifest, id, configuration, blobs)
}

const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

fn chosen(
    manifest: Vec<u8>,
    id: Digest,
    configuration: Vec<u8>,
    blobs: Vec<(Digest, u64, String, String)>,
) -> Result<Chosen, ContainerError> {
    let parsed = ImageConfiguration::read(&configuration, &id)?;
    if blobs.len() != parsed.layers().len() {
        return Err(ContainerError::Layers { layers: blobs.len(), described: parsed.layers().len() });
    }
    if blobs.len() > MOST_LAYERS {
        return Err(ContainerError::TooLarge { name: format!("the list of {} layers", blobs.len()) });
    }
    let layers = blobs
        .into_iter()
        .zip(parsed.layers())
        .map(|((digest, size, file, media_type), content)| {
            Ok(LayerBlob { digest, size, file, content: content.parse()?, media_type })
        })
        .collect::<Result<_, ContainerError>>()?;
    Ok(Chosen { manifest, id, configuration, parsed, layers })
}

fn parsed<T: for<'a> serde::Deserialize<'a>>(name: &str, bytes: &[u8]) -> Result<T, ContainerError> {
    serde_json::from_slice(bytes).map_err(|source| ContainerError::Document { name: name.to_owned(), source })
}

impl Platform {
    fn of(configuration: &ImageConfiguration) -> Self {
        Self {
            os: configuration.os.clone(),
            architecture: configuration.architecture.clone(),
            variant: configuration.variant.clone(),
        }
    }

    /// Whether an image for `other` can be taken for it.
    fn takes(&self, other: &Self) -> bool {
        let variant = |variant: &Option<String>| match (self.architecture.as_str(), variant.as_deref()) {
            // All of these processors are of that kind at least.
            ("arm64", None) => Some("v8".to_owned()),
            ("amd64", None) => Some("v1".to_owned()),
            (_, variant) => variant.map(str::to_owned),
        };
        self.os == other.os
            && self.architecture == other.architecture
            && (self.variant.is_none() && self.architecture == "arm"
                || variant(&self.variant) == variant(&other.variant))
    }
}

impl FromStr for Platform {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.split('/').collect();
        let (os, architecture, variant) = match parts[..] {
            [os, architecture] => (os, architecture, None),
            [os, architecture, variant] => (os, architecture, Some(variant)),
            _ => return Err("expected OS/ARCHITECTURE or OS/ARCHITECTURE/VARIANT".to_owned()),
        };
        // What the kernel calls them.
        let architecture = match architecture {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        Ok(Self {
            os: os.to_owned(),
            architecture: architecture.to_owned(),
            variant: variant.map(str::to_owned),
        })
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        self.variant.as_ref().map_or(Ok(()), |variant| write!(f, "/{variant}"))
    }
}
