//! Which system calls take a path, and where in their arguments it stands. Everything that the supervisor knows of them.
//!
//! The lists are those of the kernel's tables, up to Linux 6.18. Calls of other architectures are refused by the filter.

use libc::c_long;

/// Where a path begins that is not absolute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Base {
    /// In the working directory.
    WorkingDirectory,
    /// In the directory that is open under the descriptor in this argument, or in the working directory.
    Argument(u8),
}

/// A path among the arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PathArgument {
    /// Where it begins.
    pub(super) base: Base,
    /// Which argument has its address.
    pub(super) path: u8,
}

/// Whether the last symbolic link of a path is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Follow {
    Always,
    Never,
    /// Unless the flags in this argument have `AT_SYMLINK_NOFOLLOW`.
    UnlessFlag(u8),
    /// Only if the flags in this argument have `AT_SYMLINK_FOLLOW`.
    IfFlag(u8),
}

/// Where the flags of an opening stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OpenFlags {
    /// In this argument.
    Argument(u8),
    /// At the beginning of the structure that this argument points to.
    Structure(u8),
    /// There are none: `creat`.
    Create,
}

/// In which form attributes are returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StatForm {
    /// `struct stat`, at the address in this argument.
    Stat(u8),
    /// `struct statx`, at the address in this argument.
    Statx(u8),
}

/// What a call needs of the files that its paths name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    /// Opens: needs the content, of a directory its entries.
    Open(PathArgument, OpenFlags),
    /// Runs: needs the content, and that of interpreters.
    Execute(PathArgument, Follow),
    /// Asks for attributes.
    Stat(PathArgument, Follow, StatForm),
    /// Asks whether the permissions in this argument are there.
    Access(PathArgument, Follow, u8),
    /// Needs a file that can be used in all ways.
    Whole(PathArgument, Follow),
    /// Asks where a link leads.
    ReadLink(PathArgument),
    /// Needs that the name can be looked up, no more.
    Lookup(PathArgument, Follow),
    /// Two paths, of which the last links are not followed, that only have to be looked up.
    TwoLookups(PathArgument, PathArgument),
    /// Asks for extended attributes.
    Attributes(PathArgument, Follow),
    /// Changes a file in place, which a read-only mount refuses.
    Change(PathArgument, Follow),
    /// Changes what absolute paths mean for the process.
    ChangeRoot(PathArgument),
    /// Lists the directory that is open under descriptor in argument 0, into argument 1 with the length in argument 2.
    List {
        /// In the form without kinds of entries in their place.
        legacy: bool,
    },
}

/// Refused with this errno, whatever the arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refused(pub(super) u16);

const fn cwd(path: u8) -> PathArgument {
    PathArgument { base: Base::WorkingDirectory, path }
}

const fn at(base: u8, path: u8) -> PathArgument {
    PathArgument { base: Base::Argument(base), path }
}

/// Calls that newer kernels have and the library does not name: the same numbers on every architecture.
mod newer {
    pub(super) const FCHMODAT2: i64 = 452;
    pub(super) const SETXATTRAT: i64 = 463;
    pub(super) const GETXATTRAT: i64 = 464;
    pub(super) const LISTXATTRAT: i64 = 465;
    pub(super) const REMOVEXATTRAT: i64 = 466;
    pub(super) const OPEN_TREE_ATTR: i64 = 467;
    pub(super) const FILE_GETATTR: i64 = 468;
    pub(super) const FILE_SETATTR: i64 = 469;
}

/// The calls of every architecture.
const EVERYWHERE: &[(c_long, Call)] = &[
    (libc::SYS_openat, Call::Open(at(0, 1), OpenFlags::Argument(2))),
    (libc::SYS_openat2, Call::Open(at(0, 1), OpenFlags::Structure(2))),
    (libc::SYS_execve, Call::Execute(cwd(0), Follow::Always)),
    (libc::SYS_execveat, Call::Execute(at(0, 1), Follow::UnlessFlag(4))),
    (libc::SYS_newfstatat, Call::Stat(at(0, 1), Follow::UnlessFlag(3), StatForm::Stat(2))),
    (libc::SYS_statx, Call::Stat(at(0, 1), Follow::UnlessFlag(2), StatForm::Statx(4))),
    (libc::SYS_faccessat, Call::Access(at(0, 1), Follow::Always, 2)),
    (libc::SYS_faccessat2, Call::Access(at(0, 1), Follow::UnlessFlag(3), 2)),
    (libc::SYS_readlinkat, Call::ReadLink(at(0, 1))),
    (libc::SYS_chdir, Call::Lookup(cwd(0), Follow::Always)),
    (libc::SYS_chroot, Call::ChangeRoot(cwd(0))),
    (libc::SYS_getdents64, Call::List { legacy: false }),
    (libc::SYS_truncate, Call::Change(cwd(0), Follow::Always)),
    (libc::SYS_renameat2, Call::TwoLookups(at(0, 1), at(2, 3))),
    (libc::SYS_linkat, Call::TwoLookups(at(0, 1), at(2, 3))),
    (libc::SYS_symlinkat, Call::Lookup(at(1, 2), Follow::Never)),
    (libc::SYS_mkdirat, Call::Lookup(at(0, 1), Follow::Never)),
    (libc::SYS_unlinkat, Call::Lookup(at(0, 1), Follow::Never)),
    (libc::SYS_mknodat, Call::Lookup(at(0, 1), Follow::Never)),
    (libc::SYS_fchmodat, Call::Change(at(0, 1), Follow::Always)),
    (newer::FCHMODAT2, Call::Change(at(0, 1), Follow::UnlessFlag(3))),
    (libc::SYS_fchownat, Call::Change(at(0, 1), Follow::UnlessFlag(4))),
    (libc::SYS_utimensat, Call::Change(at(0, 1), Follow::UnlessFlag(3))),
    (libc::SYS_statfs, Call::Lookup(cwd(0), Follow::Always)),
    (libc::SYS_inotify_add_watch, Call::Whole(cwd(1), Follow::Always)),
    (libc::SYS_name_to_handle_at, Call::Whole(at(0, 1), Follow::IfFlag(4))),
    (libc::SYS_getxattr, Call::Attributes(cwd(0), Follow::Always)),
    (libc::SYS_lgetxattr, Call::Attributes(cwd(0), Follow::Never)),
    (libc::SYS_listxattr, Call::Attributes(cwd(0), Follow::Always)),
    (libc::SYS_llistxattr, Call::Attributes(cwd(0), Follow::Never)),
    (newer::GETXATTRAT, Call::Attributes(at(0, 1), Follow::UnlessFlag(2))),
    (newer::LISTXATTRAT, Call::Attributes(at(0, 1), Follow::UnlessFlag(2))),
    (newer::FILE_GETATTR, Call::Whole(at(0, 1), Follow::UnlessFlag(4))),
    (libc::SYS_setxattr, Call::Change(cwd(0), Follow::Always)),
    (libc::SYS_lsetxattr, Call::Change(cwd(0), Follow::Never)),
    (libc::SYS_removexattr, Call::Change(cwd(0), Follow::Always)),
    (libc::SYS_lremovexattr, Call::Change(cwd(0), Follow::Never)),
    (newer::SETXATTRAT, Call::Change(at(0, 1), Follow::UnlessFlag(2))),
    (newer::REMOVEXATTRAT, Call::Change(at(0, 1), Follow::UnlessFlag(2))),
    (newer::FILE_SETATTR, Call::Change(at(0, 1), Follow::UnlessFlag(4))),
];

/// Calls that only this architecture still has.
#[cfg(target_arch = "x86_64")]
const OLDER: &[(c_long, Call)] = &[
    (libc::SYS_open, Call::Open(cwd(0), OpenFlags::Argument(1))),
    (libc::SYS_creat, Call::Open(cwd(0), OpenFlags::Create)),
    (libc::SYS_stat, Call::Stat(cwd(0), Follow::Always, StatForm::Stat(1))),
    (libc::SYS_lstat, Call::Stat(cwd(0), Follow::Never, StatForm::Stat(1))),
    (libc::SYS_access, Call::Access(cwd(0), Follow::Always, 1)),
    (libc::SYS_readlink, Call::ReadLink(cwd(0))),
    (libc::SYS_getdents, Call::List { legacy: true }),
    (libc::SYS_rename, Call::TwoLookups(cwd(0), cwd(1))),
    (libc::SYS_renameat, Call::TwoLookups(at(0, 1), at(2, 3))),
    (libc::SYS_link, Call::TwoLookups(cwd(0), cwd(1))),
    (libc::SYS_symlink, Call::Lookup(cwd(1), Follow::Never)),
    (libc::SYS_mkdir, Call::Lookup(cwd(0), Follow::Never)),
    (libc::SYS_rmdir, Call::Lookup(cwd(0), Follow::Never)),
    (libc::SYS_unlink, Call::Lookup(cwd(0), Follow::Never)),
    (libc::SYS_mknod, Call::Lookup(cwd(0), Follow::Never)),
    (libc::SYS_chmod, Call::Change(cwd(0), Follow::Always)),
    (libc::SYS_chown, Call::Change(cwd(0), Follow::Always)),
    (libc::SYS_lchown, Call::Change(cwd(0), Follow::Never)),
    (libc::SYS_utime, Call::Change(cwd(0), Follow::Always)),
    (libc::SYS_utimes, Call::Change(cwd(0), Follow::Always)),
    (libc::SYS_futimesat, Call::Change(at(0, 1), Follow::Always)),
];
#[cfg(not(target_arch = "x86_64"))]
const OLDER: &[(c_long, Call)] = &[];

/// Ways to a file that a notification never tells of, and ways to another view of the files.
pub(super) const REFUSED: &[(c_long, Refused)] = &[
    (libc::SYS_io_uring_setup, Refused(libc::ENOSYS as u16)),
    (libc::SYS_io_uring_enter, Refused(libc::ENOSYS as u16)),
    (libc::SYS_io_uring_register, Refused(libc::ENOSYS as u16)),
    (libc::SYS_open_by_handle_at, Refused(libc::EPERM as u16)),
    (libc::SYS_mount, Refused(libc::EPERM as u16)),
    (libc::SYS_umount2, Refused(libc::EPERM as u16)),
    (libc::SYS_pivot_root, Refused(libc::EPERM as u16)),
    (libc::SYS_open_tree, Refused(libc::EPERM as u16)),
    (newer::OPEN_TREE_ATTR, Refused(libc::EPERM as u16)),
    (libc::SYS_move_mount, Refused(libc::EPERM as u16)),
    (libc::SYS_fsopen, Refused(libc::EPERM as u16)),
    (libc::SYS_fsmount, Refused(libc::EPERM as u16)),
    (libc::SYS_fspick, Refused(libc::EPERM as u16)),
    (libc::SYS_mount_setattr, Refused(libc::EPERM as u16)),
    (libc::SYS_setns, Refused(libc::EPERM as u16)),
    (libc::SYS_fanotify_mark, Refused(libc::EPERM as u16)),
    (libc::SYS_swapon, Refused(libc::EPERM as u16)),
    (libc::SYS_acct, Refused(libc::EPERM as u16)),
    // Its flags stand in memory, where a filter can't look; whoever is told that there is no such call uses clone.
    (libc::SYS_clone3, Refused(libc::ENOSYS as u16)),
];

/// Calls that are refused with EPERM if they ask for a new user or mount name space, by the argument that has the flags.
pub(super) const NAME_SPACES: &[(c_long, u8)] = &[(libc::SYS_unshare, 0), (libc::SYS_clone, 0)];

/// Calls that are not looked at if their flags, in this argument, are `AT_EMPTY_PATH`: they ask about a descriptor.
pub(super) const BY_DESCRIPTOR: &[(c_long, u8)] = &[(libc::SYS_newfstatat, 3), (libc::SYS_statx, 2)];

/// Every call that the supervisor is asked about.
pub(super) fn watched() -> impl Iterator<Item = (c_long, Call)> {
    EVERYWHERE.iter().chain(OLDER).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_stands_in_one_list_once() {
        let mut numbers: Vec<_> = watched().map(|(number, _)| number).collect();
        numbers.extend(REFUSED.iter().map(|(number, _)| *number));
        numbers.extend(NAME_SPACES.iter().map(|(number, _)| *number));
        let count = numbers.len();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), count);
    }
}
