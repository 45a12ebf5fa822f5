//! Under which name the program was called. Other names of an installed link will get other command lines here.

use std::ffi::OsStr;

/// The command line that a name of the program stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Persona {
    /// The program's own.
    Varve,
}

impl Persona {
    /// Decides by the last component of `argv[0]`; an unknown name means the program's own command line.
    pub(crate) fn of(called: Option<&OsStr>) -> Self {
        let _name = called.map(std::path::Path::new).and_then(std::path::Path::file_name);
        Self::Varve
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_other_name_is_varve() {
        for name in [None, Some("varve"), Some("/usr/bin/varve"), Some("renamed"), Some("")] {
            assert_eq!(Persona::of(name.map(OsStr::new)), Persona::Varve);
        }
    }
}
