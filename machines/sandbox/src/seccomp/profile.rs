//! The rules for every sandbox: what containers usually get. What reaches out of the namespaces, changes them or speaks to rarely
//! used parts of the kernel fails with EPERM; calls later than those that were looked at are said not to exist.

use nix::libc;

use super::numbers::{CLONE, CLONE3, Call, IOCTL, LAST_KNOWN, PERSONALITY, REFUSED, SOCKET};
use super::program::{Condition, Filter, Machine, Rule, Verdict};

/// Flags of clone(2) that make namespaces.
const NAMESPACES: u32 = (libc::CLONE_NEWNS
    | libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET) as u32;

/// Commands that put words into a terminal's input, or into what the console selects.
const TYPING: [u32; 2] = [0x5412, 0x541c];

/// Linux, 32-bit Linux, both with an old version number, and the question.
const PERSONALITIES: [u32; 5] = [0, 8, 0x2_0000, 0x2_0008, u32::MAX];

/// The filter of every sandbox on this machine.
pub(crate) fn profile() -> Filter {
    let machines: Vec<_> = Machine::here().iter().map(|&machine| (machine, rules(machine))).collect();
    Filter::new(&machines, Some(LAST_KNOWN))
}

fn rules(machine: Machine) -> Vec<Rule> {
    let conditional = [
        (CLONE, Condition::AnyBit { argument: 0, bits: NAMESPACES }, libc::EPERM),
        // Its flags lie in memory, where a filter can't look. Without it, everybody takes the older one.
        (CLONE3, Condition::Always, libc::ENOSYS),
        (IOCTL, Condition::OneOf { argument: 1, values: TYPING.to_vec() }, libc::EPERM),
        (PERSONALITY, Condition::NoneOf { argument: 0, values: PERSONALITIES.to_vec() }, libc::EPERM),
        (SOCKET, Condition::OneOf { argument: 0, values: vec![libc::AF_VSOCK as u32] }, libc::EPERM),
    ];
    let rule = |call: &Call, condition, errno: i32| {
        Some(Rule { call: call.number(machine)?, condition, verdict: Verdict::Fail(errno as u16) })
    };
    let refused = REFUSED.iter().filter_map(|call| rule(call, Condition::Always, libc::EPERM));
    conditional
        .into_iter()
        .filter_map(|(call, condition, errno)| rule(&call, condition, errno))
        .chain(refused)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::program::tests::verdict;
    use super::*;

    #[test]
    fn the_known_ways_out_are_closed_on_every_machine() {
        let machines = [Machine::X86_64, Machine::X86, Machine::Aarch64];
        let filter = Filter::new(&machines.map(|machine| (machine, rules(machine))), Some(LAST_KNOWN));
        let refused = libc::SECCOMP_RET_ERRNO | libc::EPERM as u32;
        for machine in machines {
            for call in REFUSED {
                let Some(number) = call.number(machine) else { continue };
                assert_eq!(verdict(&filter, machine, number, &[]), refused, "{} of {machine:?}", call.name);
            }
            let clone = CLONE.number(machine).expect("because all have it");
            let says = |flags: i32| verdict(&filter, machine, clone, &[flags as u64]);
            assert_eq!(says(libc::CLONE_NEWUSER | libc::SIGCHLD), refused);
            assert_eq!(says(libc::CLONE_VM | libc::CLONE_THREAD), libc::SECCOMP_RET_ALLOW);
            let ioctl = IOCTL.number(machine).expect("because all have it");
            // With dirt in the half that the kernel doesn't look at.
            assert_eq!(verdict(&filter, machine, ioctl, &[0, 0x1_0000_5412]), refused);
            assert_eq!(verdict(&filter, machine, ioctl, &[0, 0x5413]), libc::SECCOMP_RET_ALLOW);
        }
    }
}
