//! How much a document may hold. What people freeze stays far below; a hostile document costs nothing.

/// Repositories of software.
pub(crate) const MOST_SOFTWARE: usize = 256;
/// Variables.
pub(crate) const MOST_VARIABLES: usize = 1024;
/// Words of a command.
pub(crate) const MOST_WORDS: usize = 4096;
/// Bytes of a word, and of a variable with its name: what Linux takes, with the zero at the end.
pub(crate) const LONGEST_WORD: usize = 131_071;
/// Bytes of a path, the same way.
pub(crate) const LONGEST_PATH: usize = 4095;
/// Bytes of a context.
pub(crate) const LARGEST_CONTEXT: usize = 1 << 20;
/// Bytes of a name of an environment.
pub(crate) const LONGEST_NAME: usize = 128;
/// Bytes of a description.
pub(crate) const LONGEST_DESCRIPTION: usize = 4096;
/// Servers of one repository.
pub(crate) const MOST_SERVERS: usize = 32;
/// Bytes of a server's address.
pub(crate) const LONGEST_ADDRESS: usize = 2048;
