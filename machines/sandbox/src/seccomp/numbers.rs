//! The numbers of the system calls that rules name, from the kernel's tables. A call that a machine lacks has none.

use super::program::Machine;

/// A call by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Call {
    pub(super) name: &'static str,
    x86_64: Option<u32>,
    x86: Option<u32>,
    aarch64: Option<u32>,
}

impl Call {
    pub(super) fn number(&self, machine: Machine) -> Option<u32> {
        match machine {
            Machine::X86_64 => self.x86_64,
            Machine::X86 => self.x86,
            Machine::Aarch64 => self.aarch64,
        }
    }
}

const fn call(name: &'static str, x86_64: i32, x86: i32, aarch64: i32) -> Call {
    const fn number(number: i32) -> Option<u32> {
        if number < 0 { None } else { Some(number as u32) }
    }
    Call { name, x86_64: number(x86_64), x86: number(x86), aarch64: number(aarch64) }
}

/// A call of the time since which all machines have the same numbers.
const fn everywhere(name: &'static str, number: i32) -> Call {
    call(name, number, number, number)
}

/// The latest call that was looked at: mseal, xattrat, and file_setattr. What comes after it is unknown.
pub(super) const LAST_KNOWN: u32 = 469;

/// -1: the machine doesn't have it.
const NONE: i32 = -1;

pub(super) const CLONE: Call = call("clone", 56, 120, 220);
pub(super) const CLONE3: Call = everywhere("clone3", 435);
pub(super) const IOCTL: Call = call("ioctl", 16, 54, 29);
pub(super) const PERSONALITY: Call = call("personality", 135, 136, 92);
pub(super) const SOCKET: Call = call("socket", 41, 359, 198);

/// Calls that nobody inside has a use for that isn't harm.
pub(super) const REFUSED: &[Call] = &[
    // The tree that is seen, and the namespaces.
    call("mount", 165, 21, 40),
    call("umount2", 166, 52, 39),
    call("umount", NONE, 22, NONE),
    call("pivot_root", 155, 217, 41),
    call("setns", 308, 346, 268),
    call("unshare", 272, 310, 97),
    everywhere("open_tree", 428),
    everywhere("move_mount", 429),
    everywhere("fsopen", 430),
    everywhere("fsconfig", 431),
    everywhere("fsmount", 432),
    everywhere("fspick", 433),
    everywhere("mount_setattr", 442),
    everywhere("open_tree_attr", 467),
    call("open_by_handle_at", 304, 342, 265),
    call("fanotify_init", 300, 338, 262),
    call("quotactl", 179, 131, 60),
    everywhere("quotactl_fd", 443),
    call("swapon", 167, 87, 224),
    call("swapoff", 168, 115, 225),
    call("acct", 163, 51, 89),
    call("nfsservctl", 180, 169, 42),
    call("lookup_dcookie", 212, 253, 18),
    // The kernel itself.
    call("bpf", 321, 357, 280),
    call("perf_event_open", 298, 336, 241),
    call("userfaultfd", 323, 374, 282),
    everywhere("io_uring_setup", 425),
    everywhere("io_uring_enter", 426),
    everywhere("io_uring_register", 427),
    call("kexec_load", 246, 283, 104),
    call("kexec_file_load", 320, NONE, 294),
    call("init_module", 175, 128, 105),
    call("finit_module", 313, 350, 273),
    call("delete_module", 176, 129, 106),
    call("create_module", 174, 127, NONE),
    call("query_module", 178, 167, NONE),
    call("get_kernel_syms", 177, 130, NONE),
    call("syslog", 103, 103, 116),
    call("reboot", 169, 88, 142),
    call("iopl", 172, 110, NONE),
    call("ioperm", 173, 101, NONE),
    call("vm86old", NONE, 113, NONE),
    call("vm86", NONE, 166, NONE),
    call("uselib", 134, 86, NONE),
    call("ustat", 136, 62, NONE),
    call("sysfs", 139, 135, NONE),
    call("_sysctl", 156, 149, NONE),
    // Keys, that belong to the user and not to the sandbox.
    call("add_key", 248, 286, 217),
    call("request_key", 249, 287, 218),
    call("keyctl", 250, 288, 219),
    // The clock, and the terminal of others.
    call("settimeofday", 164, 79, 170),
    call("stime", NONE, 25, NONE),
    call("clock_settime", 227, 264, 112),
    call("clock_settime64", NONE, 404, NONE),
    call("vhangup", 153, 111, 58),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_number_is_named_twice() {
        for machine in [Machine::X86_64, Machine::X86, Machine::Aarch64] {
            let all = REFUSED.iter().chain([&CLONE, &CLONE3, &IOCTL, &PERSONALITY, &SOCKET]);
            let numbers: Vec<u32> = all.filter_map(|call| call.number(machine)).collect();
            assert_eq!(numbers.iter().collect::<BTreeSet<_>>().len(), numbers.len());
            assert!(numbers.iter().all(|number| *number <= LAST_KNOWN));
        }
    }

    #[test]
    fn this_machines_numbers_are_the_systems() {
        use nix::libc;
        let of = |name: &str| {
            let call = REFUSED.iter().find(|call| call.name == name).expect("because it is in the table");
            call.number(Machine::here()[0]).map(i64::from)
        };
        let known = [
            ("mount", libc::SYS_mount),
            ("umount2", libc::SYS_umount2),
            ("pivot_root", libc::SYS_pivot_root),
            ("setns", libc::SYS_setns),
            ("unshare", libc::SYS_unshare),
            ("open_tree", libc::SYS_open_tree),
            ("mount_setattr", libc::SYS_mount_setattr),
            ("open_by_handle_at", libc::SYS_open_by_handle_at),
            ("fanotify_init", libc::SYS_fanotify_init),
            ("quotactl", libc::SYS_quotactl),
            ("swapon", libc::SYS_swapon),
            ("acct", libc::SYS_acct),
            ("bpf", libc::SYS_bpf),
            ("perf_event_open", libc::SYS_perf_event_open),
            ("userfaultfd", libc::SYS_userfaultfd),
            ("io_uring_setup", libc::SYS_io_uring_setup),
            ("kexec_load", libc::SYS_kexec_load),
            ("kexec_file_load", libc::SYS_kexec_file_load),
            ("init_module", libc::SYS_init_module),
            ("finit_module", libc::SYS_finit_module),
            ("delete_module", libc::SYS_delete_module),
            ("syslog", libc::SYS_syslog),
            ("reboot", libc::SYS_reboot),
            ("add_key", libc::SYS_add_key),
            ("request_key", libc::SYS_request_key),
            ("keyctl", libc::SYS_keyctl),
            ("settimeofday", libc::SYS_settimeofday),
            ("clock_settime", libc::SYS_clock_settime),
            ("vhangup", libc::SYS_vhangup),
        ];
        for (name, number) in known {
            assert_eq!(of(name), Some(number), "{name}");
        }
    }
}
