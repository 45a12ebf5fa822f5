//! Files whose bytes lie outside of a repository's objects: on web servers of their own, below their path, whole. What is
//! fetched is checked against the hash that the catalog has of the file or, of a chunked one, of the chunk.

use std::sync::Arc;

use varve_content::ObjectName;

use super::HttpSource;
use super::exchange::Part;
use super::pursuit::{Receiver, Wanted};
use crate::{Deadline, Freshness, ObjectSink, ObjectSource, RepositoryFile, StoreError};

/// Such a file, or a part of it, as the source of the one object that it is.
pub struct ExternalFile {
    servers: Arc<HttpSource>,
    path: String,
    part: Option<Part>,
}

impl ExternalFile {
    /// The whole file at a path, which begins with a slash.
    pub fn whole(servers: Arc<HttpSource>, path: &[u8]) -> Self {
        Self { servers, path: escape(path), part: None }
    }

    /// The `size` bytes of it from `offset` on, stored plainly.
    pub fn part(servers: Arc<HttpSource>, path: &[u8], offset: u64, size: u64) -> Self {
        Self { part: Some(Part { offset, size }), ..Self::whole(servers, path) }
    }
}

impl ObjectSource for ExternalFile {
    fn fetch(
        &self,
        name: &ObjectName,
        limit: u64,
        sink: &mut dyn ObjectSink,
        deadline: Deadline,
    ) -> Result<(), StoreError> {
        let wanted = Wanted {
            name: &self.path,
            path: self.path.clone(),
            part: self.part,
            hash: Some(name.hash),
            limit,
            revalidate: false,
            optional: false,
        };
        self.servers.pursue(&wanted, &mut Passing(sink), deadline)
    }

    /// There are none.
    fn fetch_file(
        &self,
        file: RepositoryFile,
        _freshness: Freshness,
        _deadline: Deadline,
    ) -> Result<Vec<u8>, StoreError> {
        Err(StoreError::NotFound { name: file.to_string(), place: self.place() })
    }

    fn place(&self) -> String {
        self.servers.place()
    }
}

/// The path as it stands in an address. What CernVM-FS leaves as it is stays, but brackets.
fn escape(path: &[u8]) -> String {
    let mut escaped = String::with_capacity(path.len());
    for &byte in path {
        if byte.is_ascii_alphanumeric() || b"/-._~:@+,".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}

/// Passes bytes on.
struct Passing<'a>(&'a mut dyn ObjectSink);

impl Receiver for Passing<'_> {
    fn restart(&mut self) -> std::io::Result<()> {
        self.0.restart()
    }

    fn take(&mut self, bytes: bytes::Bytes) -> std::io::Result<()> {
        self.0.write(&bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_of_a_name_can_stand_in_an_address() {
        assert_eq!(escape(b"/a-b_c.d~e/f:g@h+i,j"), "/a-b_c.d~e/f:g@h+i,j");
        assert_eq!(escape("/50% ü?#[;\"\n".as_bytes()), "/50%25%20%C3%BC%3F%23%5B%3B%22%0A");
        assert_eq!(escape(b"/\xff"), "/%FF");
    }
}
