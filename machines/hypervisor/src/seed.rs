//! The NoCloud data source of cloud-init: a small FAT image labelled `cidata` with `meta-data` and `user-data`, deterministic.

use std::io::{self, Cursor, Write as _};

use fatfs::{FileSystem, FormatVolumeOptions, FsOptions};
use serde::Serialize;

/// Beyond the files: tables, root directory, rounding.
const OVERHEAD: usize = 128 * 1024;

/// What a machine is told about itself besides its user data, in cloud-init's words. JSON is YAML, and quotes everything.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Metadata<'a> {
    #[serde(rename = "instance-id")]
    pub(crate) instance_id: &'a str,
    #[serde(rename = "local-hostname")]
    pub(crate) local_hostname: &'a str,
    #[serde(rename = "public-keys", skip_serializing_if = "<[String]>::is_empty")]
    pub(crate) public_keys: &'a [String],
}

impl Metadata<'_> {
    /// As the file `meta-data`.
    pub(crate) fn bytes(&self) -> io::Result<Vec<u8>> {
        let mut bytes = serde_json::to_vec(self)?;
        bytes.push(b'\n');
        Ok(bytes)
    }
}

/// The image.
pub(crate) fn image(metadata: &[u8], user_data: &[u8]) -> io::Result<Vec<u8>> {
    let size = (metadata.len() + user_data.len() + OVERHEAD).next_multiple_of(64 * 1024);
    let mut image = Cursor::new(vec![0; size]);
    let options = FormatVolumeOptions::new().volume_label(*b"cidata     ").volume_id(0x6369_6461);
    fatfs::format_volume(&mut image, options)?;
    let file_system = FileSystem::new(&mut image, FsOptions::new())?;
    for (name, bytes) in [("meta-data", metadata), ("user-data", user_data)] {
        file_system.root_dir().create_file(name)?.write_all(bytes)?;
    }
    file_system.unmount()?;
    Ok(image.into_inner())
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn the_seed_is_read_back_whole() {
        let keys = ["ssh-ed25519 AAAA \"x\"".to_owned()];
        let metadata = Metadata { instance_id: "i", local_hostname: "m", public_keys: &keys };
        let metadata = metadata.bytes().expect("because it is data");
        for user_data in [vec![], b"#!/bin/sh\n".to_vec(), vec![7; 1 << 20]] {
            let bytes = image(&metadata, &user_data).expect("because it fits");
            assert_eq!(bytes, image(&metadata, &user_data).expect("because it fits"), "deterministic");
            let read = FileSystem::new(Cursor::new(bytes), FsOptions::new()).expect("because it is FAT");
            assert_eq!(read.volume_label(), "cidata");
            let mut found = Vec::new();
            let mut file = read.root_dir().open_file("user-data").expect("because it was written");
            file.read_to_end(&mut found).expect("because it was written");
            assert!(found == user_data);
            let mut text = String::new();
            let mut file = read.root_dir().open_file("meta-data").expect("because it was written");
            file.read_to_string(&mut text).expect("because it was written");
            assert_eq!(
                text,
                "{\"instance-id\":\"i\",\"local-hostname\":\"m\",\"public-keys\":[\"ssh-ed25519 AAAA \\\"x\\\"\"]}\n"
            );
        }
    }
}
