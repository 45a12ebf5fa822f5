//! A filter of system calls as the program that the kernel runs (classic BPF), made of rules.
//!
//! ```text
//! machine is A? ── yes ─▶ number is above what is known? ─▶ rule of A … rule of A ─▶ allow
//!     no │
//! machine is B? ── yes ─▶ …
//!     no └▶ no such call
//! ```

use nix::libc::{self, sock_filter};

/// A kind of machine whose programs a kernel runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Machine {
    /// 64 bits of Intel and AMD.
    X86_64,
    /// Their 32 bits, whose programs run on their 64 too.
    X86,
    /// 64 bits of ARM.
    Aarch64,
}

/// What becomes of a system call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is made.
    Allow,
    /// It fails with this error number.
    Fail(u16),
}

/// When a rule holds, beside the number of the call. Only the lower 32 bits of an argument are looked at: the kernel takes no
/// more of those that rules are about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Condition {
    /// Whatever the arguments are.
    Always,
    /// The argument has one of these bits.
    AnyBit {
        /// Which argument, counted from 0.
        argument: u8,
        /// The bits.
        bits: u32,
    },
    /// The argument is one of these.
    OneOf {
        /// Which argument, counted from 0.
        argument: u8,
        /// The values.
        values: Vec<u32>,
    },
    /// The argument is none of these.
    NoneOf {
        /// Which argument, counted from 0.
        argument: u8,
        /// The values.
        values: Vec<u32>,
    },
}

/// What becomes of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rule {
    /// Its number on the machine.
    pub(crate) call: u32,
    /// When this holds.
    pub(crate) condition: Condition,
    /// What becomes of it then.
    pub(crate) verdict: Verdict,
}

/// A whole filter. The first rule that holds decides; a call without one is made.
#[derive(Clone, Default)]
pub(crate) struct Filter {
    instructions: Vec<sock_filter>,
}

/// Offsets in what the kernel tells of a call.
const NUMBER: u32 = 0;
const MACHINE: u32 = 4;
const ARGUMENTS: u32 = 16;

/// The x32 form of a call has the machine of the 64-bit form and this bit in its number.
const X32: u32 = 0x4000_0000;

const LOAD: u32 = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
const EQUAL: u32 = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
const GREATER: u32 = libc::BPF_JMP | libc::BPF_JGT | libc::BPF_K;
const ANY_BIT: u32 = libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K;
const JUMP: u32 = libc::BPF_JMP | libc::BPF_JA;
const RETURN: u32 = libc::BPF_RET | libc::BPF_K;

impl Machine {
    /// The machines whose programs this one runs, itself first.
    pub(crate) fn here() -> &'static [Self] {
        if cfg!(target_arch = "aarch64") { &[Self::Aarch64] } else { &[Self::X86_64, Self::X86] }
    }

    /// What the kernel calls it.
    fn audit_number(self) -> u32 {
        match self {
            Self::X86_64 => 0xC000_003E,
            Self::X86 => 0x4000_0003,
            Self::Aarch64 => 0xC000_00B7,
        }
    }
}

impl Filter {
    /// A filter of rules for each machine. A call with a number above `last_known`, and any of another machine, is said not to
    /// exist.
    pub(crate) fn new(machines: &[(Machine, Vec<Rule>)], last_known: Option<u32>) -> Self {
        let mut instructions = vec![];
        for (machine, rules) in machines {
            let body = of_machine(rules, last_known);
            instructions.push(plain(LOAD, MACHINE));
            instructions.push(jump(EQUAL, machine.audit_number(), 1, 0));
            instructions.push(plain(JUMP, body.len() as u32));
            instructions.extend(body);
        }
        instructions.push(plain(RETURN, action(Verdict::Fail(libc::ENOSYS as u16))));
        Self { instructions }
    }

    pub(crate) fn instructions(&self) -> &[sock_filter] {
        &self.instructions
    }
}

impl std::fmt::Debug for Filter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Filter of {} instructions", self.instructions.len())
    }
}

fn of_machine(rules: &[Rule], last_known: Option<u32>) -> Vec<sock_filter> {
    let missing = plain(RETURN, action(Verdict::Fail(libc::ENOSYS as u16)));
    let mut body = vec![plain(LOAD, NUMBER)];
    body.extend([jump(GREATER, last_known.unwrap_or(X32 - 1), 0, 1), missing]);
    for rule in rules {
        let verdict = plain(RETURN, action(rule.verdict));
        let checks = match &rule.condition {
            Condition::Always => {
                body.extend([jump(EQUAL, rule.call, 0, 1), verdict]);
                continue;
            }
            Condition::AnyBit { argument, bits } => {
                vec![load(*argument), jump(ANY_BIT, *bits, 0, 1), verdict, plain(LOAD, NUMBER)]
            }
            Condition::OneOf { argument, values } => {
                let mut checks = vec![load(*argument)];
                for value in values {
                    checks.extend([jump(EQUAL, *value, 0, 1), verdict]);
                }
                checks.push(plain(LOAD, NUMBER));
                checks
            }
            Condition::NoneOf { argument, values } => {
                let mut checks = vec![load(*argument)];
                for (at, value) in values.iter().enumerate() {
                    // Over the others and over the verdict.
                    checks.push(jump(EQUAL, *value, (values.len() - at) as u8, 0));
                }
                checks.extend([verdict, plain(LOAD, NUMBER)]);
                checks
            }
        };
        body.push(jump(EQUAL, rule.call, 1, 0));
        body.push(plain(JUMP, checks.len() as u32));
        body.extend(checks);
    }
    body.push(plain(RETURN, action(Verdict::Allow)));
    body
}

fn action(verdict: Verdict) -> u32 {
    match verdict {
        Verdict::Allow => libc::SECCOMP_RET_ALLOW,
        Verdict::Fail(errno) => libc::SECCOMP_RET_ERRNO | u32::from(errno),
    }
}

/// The lower half of an argument.
fn load(argument: u8) -> sock_filter {
    let lower = if cfg!(target_endian = "big") { 4 } else { 0 };
    plain(LOAD, ARGUMENTS + 8 * u32::from(argument) + lower)
}

fn plain(code: u32, k: u32) -> sock_filter {
    sock_filter { code: code as u16, jt: 0, jf: 0, k }
}

fn jump(code: u32, k: u32, jt: u8, jf: u8) -> sock_filter {
    sock_filter { code: code as u16, jt, jf, k }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// What the kernel's interpreter would answer.
    pub(crate) fn verdict(filter: &Filter, machine: Machine, call: u32, arguments: &[u64]) -> u32 {
        let load = |offset: u32| match offset {
            NUMBER => call,
            MACHINE => machine.audit_number(),
            _ => {
                let at = (offset - ARGUMENTS) as usize;
                let argument = arguments.get(at / 8).copied().unwrap_or_default();
                if at.is_multiple_of(8) { argument as u32 } else { (argument >> 32) as u32 }
            }
        };
        let (mut at, mut accumulator) = (0, 0);
        loop {
            let step = filter.instructions[at];
            at += 1;
            let chosen = |holds: bool| usize::from(if holds { step.jt } else { step.jf });
            match u32::from(step.code) {
                LOAD => accumulator = load(step.k),
                EQUAL => at += chosen(accumulator == step.k),
                GREATER => at += chosen(accumulator > step.k),
                ANY_BIT => at += chosen(accumulator & step.k != 0),
                JUMP => at += step.k as usize,
                RETURN => return step.k,
                other => panic!("unknown instruction {other}"),
            }
        }
    }

    fn rule(call: u32, condition: Condition) -> Rule {
        Rule { call, condition, verdict: Verdict::Fail(1) }
    }

    #[test]
    fn the_first_rule_that_holds_decides() {
        let rules = vec![
            rule(7, Condition::Always),
            rule(8, Condition::AnyBit { argument: 1, bits: 0b110 }),
            rule(9, Condition::OneOf { argument: 0, values: vec![3, 5] }),
            rule(10, Condition::NoneOf { argument: 0, values: vec![3, 5] }),
        ];
        let filter = Filter::new(&[(Machine::X86_64, rules), (Machine::X86, vec![])], Some(100));
        let says = |call, arguments: &[u64]| verdict(&filter, Machine::X86_64, call, arguments);
        let (allow, fail) = (action(Verdict::Allow), action(Verdict::Fail(1)));
        assert_eq!(says(6, &[]), allow);
        assert_eq!(says(7, &[]), fail);
        assert_eq!((says(8, &[6, 1]), says(8, &[0, 4])), (allow, fail));
        assert_eq!((says(9, &[4]), says(9, &[5]), says(9, &[3])), (allow, fail, fail));
        assert_eq!((says(10, &[4]), says(10, &[5]), says(10, &[3])), (fail, allow, allow));
        // The kernel looks at the lower half only, and so does the rule.
        assert_eq!(says(9, &[0xffff_ffff_0000_0005]), fail);
        let missing = action(Verdict::Fail(libc::ENOSYS as u16));
        assert_eq!((says(100, &[]), says(101, &[]), says(X32 | 6, &[])), (allow, missing, missing));
        assert_eq!(verdict(&filter, Machine::X86, 7, &[]), allow);
        assert_eq!(verdict(&filter, Machine::Aarch64, 6, &[]), missing);
    }
}
