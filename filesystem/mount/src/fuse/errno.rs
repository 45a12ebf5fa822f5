//! Which errno an application sees. The one place that decides it.
//!
//! | failure | errno |
//! |---|---|
//! | no such name, and only that | ENOENT |
//! | an inode number that was never given out | ESTALE |
//! | wrong content: hash, signature, size, structure of a catalog | EIO |
//! | an object that a catalog names is nowhere | EIO |
//! | nothing came by the deadline | ETIMEDOUT |
//! | servers and proxies can't be reached or fail | EIO |
//! | no such attribute | ENODATA |

use fuser::Errno;
use varve_store::StoreError;

use crate::failure::Failure;

/// The errno of a failure.
pub(crate) fn errno_of(failure: &Failure) -> Errno {
    match failure {
        Failure::NoEntry => Errno::ENOENT,
        Failure::NoInode { .. } => Errno::ESTALE,
        Failure::NotDirectory => Errno::ENOTDIR,
        Failure::IsDirectory => Errno::EISDIR,
        Failure::OtherKind => Errno::EINVAL,
        Failure::NoAttribute => Errno::ENODATA,
        failure if timed_out(failure) => Errno::ETIMEDOUT,
        Failure::WouldBlock
        | Failure::External
        | Failure::Repository(_)
        | Failure::Store(_)
        | Failure::Journal(_)
        | Failure::Attach { .. } => Errno::EIO,
    }
}

/// Whether a failure tells more than that a name is absent or of another kind: it is logged and counted.
pub(crate) fn is_fault(failure: &Failure) -> bool {
    !matches!(
        failure,
        Failure::NoEntry
            | Failure::NoInode { .. }
            | Failure::NotDirectory
            | Failure::IsDirectory
            | Failure::OtherKind
            | Failure::NoAttribute
    )
}

fn timed_out(failure: &Failure) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = match failure {
        Failure::Store(error) => Some(error),
        Failure::Repository(error) => Some(error),
        _ => None,
    };
    while let Some(error) = cause {
        if matches!(error.downcast_ref(), Some(StoreError::TimedOut { .. })) {
            return true;
        }
        cause = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absence_of_an_object_is_not_absence_of_a_file() {
        let name = || "ab/cd".to_owned();
        let absent = Failure::Store(StoreError::NotFound { name: name(), place: "a server".into() });
        let late = Failure::Store(StoreError::TimedOut { name: name(), place: "a server".into() });
        assert_eq!(errno_of(&absent).code(), Errno::EIO.code());
        assert_eq!(errno_of(&late).code(), Errno::ETIMEDOUT.code());
        assert_eq!(errno_of(&Failure::External).code(), Errno::EIO.code());
        assert!(Failure::External.to_string().contains("--external-server"));
        assert_eq!(errno_of(&Failure::NoEntry).code(), Errno::ENOENT.code());
        assert!(is_fault(&absent) && !is_fault(&Failure::NoEntry));
    }
}
