//! Container images in the image layout, made by hand: whatever real tools would not write, too.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// A directory in the image layout.
#[derive(Debug)]
pub struct ImageLayout {
    directory: PathBuf,
}

impl ImageLayout {
    /// An empty one.
    ///
    /// # Panics
    /// If it can't be written.
    pub fn new(directory: &Path) -> Self {
        fs::create_dir_all(directory.join("blobs/sha256")).expect("because scratch directories are writable");
        fs::write(directory.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#)
            .expect("because scratch directories are writable");
        Self { directory: directory.to_owned() }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.directory
    }

    /// Adds a blob. Returns its descriptor.
    ///
    /// # Panics
    /// If it can't be written.
    pub fn blob(&self, media_type: &str, bytes: &[u8]) -> Value {
        let digest = sha256(bytes);
        fs::write(self.directory.join("blobs/sha256").join(&digest), bytes)
            .expect("because scratch directories are writable");
        json!({"mediaType": media_type, "digest": format!("sha256:{digest}"), "size": bytes.len()})
    }

    /// Where the blob of a descriptor is.
    pub fn blob_file(&self, descriptor: &Value) -> PathBuf {
        let digest = descriptor["digest"].as_str().unwrap_or_default();
        self.directory.join("blobs/sha256").join(digest.trim_start_matches("sha256:"))
    }

    /// Adds an image of layers, archives without compression, which are compressed with gzip. `run` says how it is run.
    pub fn image(&self, layers: &[Vec<u8>], run: &Value) -> Value {
        let content: Vec<_> = layers.iter().map(|layer| format!("sha256:{}", sha256(layer))).collect();
        let blobs: Vec<_> = layers
            .iter()
            .map(|layer| self.blob("application/vnd.oci.image.layer.v1.tar+gzip", &gzip(layer)))
            .collect();
        self.described(&blobs, &content, run)
    }

    /// Adds an image of blobs that are there, with digests of what they are without compression.
    pub fn described(&self, blobs: &[Value], content: &[String], run: &Value) -> Value {
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        let configuration = json!({"architecture": architecture, "os": "linux", "config": run,
            "rootfs": {"type": "layers", "diff_ids": content}});
        let configuration =
            self.blob("application/vnd.oci.image.config.v1+json", configuration.to_string().as_bytes());
        let manifest =
            json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": configuration, "layers": blobs});
        self.blob(MANIFEST, manifest.to_string().as_bytes())
    }

    /// Says which images, or indexes of such, there are.
    ///
    /// # Panics
    /// If that can't be written.
    pub fn index(&self, manifests: &[Value]) {
        let index = json!({"schemaVersion": 2, "manifests": manifests});
        fs::write(self.directory.join("index.json"), index.to_string())
            .expect("because scratch directories are writable");
    }
}

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// What gzip makes of some bytes.
///
/// # Panics
/// Never: memory takes everything.
pub fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(plain).expect("because memory takes everything");
    gzip.finish().expect("because memory takes everything")
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
