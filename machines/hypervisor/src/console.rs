//! What a person types at a console: all goes to the machine, but for the escape key, as telnet has it: Ctrl-] and `.` or `q`
//! leaves, Ctrl-] twice types it.

/// Ctrl-].
const ESCAPE: u8 = 0x1d;

/// Watches for the escape key in what is typed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Keys {
    escaped: bool,
}

/// What became of some typed bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Typed {
    /// For the machine.
    pub bytes: Vec<u8>,
    /// What is asked of the program.
    pub escape: Escape,
}

/// What is asked of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Escape {
    /// Nothing.
    None,
    /// To leave the console. What was typed behind is dropped.
    Leave,
}

impl Keys {
    /// Takes what was typed.
    pub fn take(&mut self, typed: &[u8]) -> Typed {
        let mut bytes = Vec::with_capacity(typed.len());
        for &byte in typed {
            match (self.escaped, byte) {
                (false, ESCAPE) => self.escaped = true,
                (false, byte) => bytes.push(byte),
                (true, b'.' | b'q' | b'Q') => {
                    self.escaped = false;
                    return Typed { bytes, escape: Escape::Leave };
                }
                (true, byte) => {
                    self.escaped = false;
                    if byte != ESCAPE {
                        bytes.push(ESCAPE);
                    }
                    bytes.push(byte);
                }
            }
        }
        Typed { bytes, escape: Escape::None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_escape_key_leaves_also_between_two_reads() {
        let mut keys = Keys::default();
        assert_eq!(keys.take(b"ls\r"), Typed { bytes: b"ls\r".to_vec(), escape: Escape::None });
        assert_eq!(keys.take(b"a\x1d"), Typed { bytes: b"a".to_vec(), escape: Escape::None });
        assert_eq!(keys.take(b".x"), Typed { bytes: vec![], escape: Escape::Leave });
    }

    #[test]
    fn everything_else_reaches_the_machine() {
        let mut keys = Keys::default();
        assert_eq!(keys.take(b"\x1d\x1d").bytes, b"\x1d");
        assert_eq!(keys.take(b"\x1dx\x03").bytes, b"\x1dx\x03");
    }
}
