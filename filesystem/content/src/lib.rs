//! The pure vocabulary of content-addressed storage: hashes, object names, compression and chunking.
//!
//! Everything above speaks in these types. Nothing here does I/O, knows a file system or a network, or is async.
//!
//! Invariants:
//! - A [`ContentHash`] is taken over the *stored* bytes of an object, that is after compression.
//! - Decompression never yields more than the caller's bound, whatever the input says.
//! - The cut points of [`Chunker`] and the bytes of [`Effort::Exact`] equal those of CernVM-FS.

mod chunking;
mod compression;
mod hash;
mod object;
mod path_key;

pub use chunking::{ChunkSizes, ChunkSizesError, Chunker};
pub use compression::{Compression, CompressionError, Compressor, Effort, Inflater, decompress};
pub use hash::{Algorithm, ContentHash, HashError, Hasher};
pub use object::{ObjectKind, ObjectName, ObjectNameError};
pub use path_key::PathKey;
