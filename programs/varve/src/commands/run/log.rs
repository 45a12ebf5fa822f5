//! The logs of the processes behind runs, which nobody else looks after: one that has become large begins anew.

use std::fs::File;
use std::io;
use std::path::Path;

/// From here on a log is large.
const LARGE: u64 = 1 << 20;

/// Opens a log to write behind what is in it.
pub(super) fn open(path: &Path) -> io::Result<File> {
    let log = File::options().create(true).append(true).open(path)?;
    if log.metadata()?.len() > LARGE {
        // Whoever writes to it just now goes on behind what is left.
        log.set_len(0)?;
    }
    Ok(log)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn a_log_grows_up_to_a_limit() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("log");
        for text in ["one\n", "two\n"] {
            open(&path).and_then(|mut log| log.write_all(text.as_bytes())).expect("writable");
        }
        assert_eq!(std::fs::read_to_string(&path).expect("readable"), "one\ntwo\n");
        open(&path).and_then(|log| log.set_len(LARGE + 1)).expect("writable");
        assert_eq!(open(&path).and_then(|log| log.metadata()).expect("readable").len(), 0);
    }
}
