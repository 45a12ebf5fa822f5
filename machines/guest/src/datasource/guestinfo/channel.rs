//! VMware's channel between a machine and its hypervisor: questions and answers, four bytes at a time, through the registers at
//! an access to an input port that no hardware has. It works without privileges.
#![allow(unsafe_code)]

const MAGIC: u32 = 0x564d_5868;
const PORT: u32 = 0x5658;
/// The command that all messages are.
const MESSAGE: u32 = 0x1e;
/// The protocol of questions and answers, and that a channel is known by two numbers of its own.
const PROTOCOL: u32 = 0x4943_5052 | 0x8000_0000;

const OPEN: u32 = 0;
const SEND_SIZE: u32 = 1;
const SEND_PAYLOAD: u32 = 2;
const RECEIVE_SIZE: u32 = 3;
const RECEIVE_PAYLOAD: u32 = 4;
const RECEIVE_STATUS: u32 = 5;
const CLOSE: u32 = 6;

/// In the upper half of `ecx` of an answer.
const SUCCESS: u32 = 1;
const ANSWER_WAITS: u32 = 2;

/// The registers of a call and of its answer.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Registers {
    pub(super) eax: u32,
    pub(super) ebx: u32,
    pub(super) ecx: u32,
    pub(super) edx: u32,
    pub(super) esi: u32,
    pub(super) edi: u32,
}

/// Who answers.
pub(super) trait Port {
    /// Makes a call; the answer is in the same registers.
    fn call(&mut self, registers: Registers) -> Registers;
}

/// The port itself. Only to be used where VMware's hypervisor is known to be beneath: elsewhere the access is a fault.
pub(super) struct Register;

impl Port for Register {
    #[cfg(target_arch = "x86_64")]
    fn call(&mut self, registers: Registers) -> Registers {
        let Registers { mut eax, ebx, mut ecx, mut edx, mut esi, mut edi } = registers;
        let mut rbx = u64::from(ebx);
        // SAFETY: the hypervisor takes the call from the registers, and changes no memory and no others than these. rbx belongs to
        // the compiler and is put back.
        unsafe {
            std::arch::asm!(
                "xchg rbx, {rbx}",
                "in eax, dx",
                "xchg rbx, {rbx}",
                rbx = inout(reg) rbx,
                inout("eax") eax,
                inout("ecx") ecx,
                inout("edx") edx,
                inout("esi") esi,
                inout("edi") edi,
                options(nostack, nomem),
            );
        }
        Registers { eax, ebx: rbx as u32, ecx, edx, esi, edi }
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn call(&mut self, registers: Registers) -> Registers {
        Registers { ecx: 0, ..registers }
    }
}

/// An open channel. Dropping it closes it.
pub(super) struct Channel<'a, P: Port> {
    port: &'a mut P,
    number: u32,
    cookies: (u32, u32),
}

impl<'a, P: Port> Channel<'a, P> {
    pub(super) fn open(port: &'a mut P) -> Option<Self> {
        let answer = port.call(Registers {
            eax: MAGIC,
            ebx: PROTOCOL,
            ecx: OPEN << 16 | MESSAGE,
            edx: PORT,
            ..Registers::default()
        });
        let is_open = answer.ecx >> 16 & SUCCESS != 0;
        is_open.then(|| Self { number: answer.edx >> 16, cookies: (answer.esi, answer.edi), port })
    }

    /// Asks, and returns what is answered if that has at most so many bytes.
    pub(super) fn ask(&mut self, question: &[u8], most: usize) -> Option<Vec<u8>> {
        self.succeed(SEND_SIZE, u32::try_from(question.len()).ok()?)?;
        for part in question.chunks(4) {
            let mut bytes = [0; 4];
            bytes.iter_mut().zip(part).for_each(|(byte, given)| *byte = *given);
            self.succeed(SEND_PAYLOAD, u32::from_le_bytes(bytes))?;
        }
        let announced = self.succeed(RECEIVE_SIZE, 0)?;
        if announced.ecx >> 16 & ANSWER_WAITS == 0 {
            return Some(Vec::new());
        }
        let size = announced.ebx as usize;
        if size > most || announced.edx >> 16 != SEND_SIZE {
            return None;
        }
        let mut answer = Vec::with_capacity(size);
        while answer.len() < size {
            let part = self.succeed(RECEIVE_PAYLOAD, SUCCESS)?;
            if part.edx >> 16 != SEND_PAYLOAD {
                return None;
            }
            let left = (size - answer.len()).min(4);
            answer.extend_from_slice(&part.ebx.to_le_bytes()[..left]);
        }
        self.succeed(RECEIVE_STATUS, SUCCESS)?;
        Some(answer)
    }

    fn succeed(&mut self, kind: u32, value: u32) -> Option<Registers> {
        let answer = self.call(kind, value);
        (answer.ecx >> 16 & SUCCESS != 0).then_some(answer)
    }

    fn call(&mut self, kind: u32, value: u32) -> Registers {
        self.port.call(Registers {
            eax: MAGIC,
            ebx: value,
            ecx: kind << 16 | MESSAGE,
            edx: self.number << 16 | PORT,
            esi: self.cookies.0,
            edi: self.cookies.1,
        })
    }
}

impl<P: Port> Drop for Channel<'_, P> {
    fn drop(&mut self) {
        let _closed = self.call(CLOSE, 0);
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeMap;

    use super::*;

    const COOKIES: (u32, u32) = (0x1234, 0x5678);

    /// The hypervisor's side.
    #[derive(Default)]
    pub(crate) struct Host {
        variables: BTreeMap<String, String>,
        channels: BTreeMap<u32, Conversation>,
        opened: u32,
        /// The size that every answer is said to have.
        pub(crate) announced: Option<u32>,
        /// Whether it fails in the midst of an answer.
        pub(crate) broken: bool,
    }

    #[derive(Default)]
    struct Conversation {
        expected: usize,
        question: Vec<u8>,
        answer: Vec<u8>,
        sent: usize,
    }

    impl Host {
        pub(crate) fn new(variables: &[(&str, &str)]) -> Self {
            let variables =
                variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            Self { variables, ..Self::default() }
        }

        /// How many channels are open.
        pub(crate) fn open(&self) -> usize {
            self.channels.len()
        }

        fn answer(&self, question: &[u8]) -> Vec<u8> {
            let question = String::from_utf8_lossy(question);
            match question.strip_prefix("info-get ").and_then(|name| self.variables.get(name)) {
                Some(value) => format!("1 {value}").into_bytes(),
                None => b"0 No value found".to_vec(),
            }
        }
    }

    impl Port for Host {
        fn call(&mut self, call: Registers) -> Registers {
            assert_eq!((call.eax, call.edx & 0xffff, call.ecx & 0xffff), (MAGIC, PORT, MESSAGE));
            let (kind, number) = (call.ecx >> 16, call.edx >> 16);
            let success = Registers { ecx: SUCCESS << 16, ..call };
            if kind == OPEN {
                assert_eq!(call.ebx, PROTOCOL);
                self.opened += 1;
                self.channels.insert(self.opened, Conversation::default());
                return Registers { edx: self.opened << 16, esi: COOKIES.0, edi: COOKIES.1, ..success };
            }
            assert_eq!((call.esi, call.edi), COOKIES);
            let mut channel = self.channels.remove(&number).expect("because it is open");
            let answer = match kind {
                CLOSE => return success,
                SEND_SIZE => {
                    channel.expected = call.ebx as usize;
                    success
                }
                SEND_PAYLOAD => {
                    channel.question.extend(call.ebx.to_le_bytes());
                    if channel.question.len() >= channel.expected {
                        channel.question.truncate(channel.expected);
                        channel.answer = self.answer(&channel.question);
                    }
                    success
                }
                RECEIVE_SIZE => Registers {
                    ecx: (SUCCESS | ANSWER_WAITS) << 16,
                    ebx: self.announced.unwrap_or(channel.answer.len() as u32),
                    edx: SEND_SIZE << 16,
                    ..call
                },
                RECEIVE_PAYLOAD if self.broken => Registers { ecx: 0, ..call },
                RECEIVE_PAYLOAD => {
                    let mut bytes = [0; 4];
                    let left = &channel.answer[channel.sent..];
                    bytes.iter_mut().zip(left).for_each(|(byte, given)| *byte = *given);
                    channel.sent += 4;
                    Registers { ebx: u32::from_le_bytes(bytes), edx: SEND_PAYLOAD << 16, ..success }
                }
                RECEIVE_STATUS => success,
                _ => panic!("no such message: {kind}"),
            };
            self.channels.insert(number, channel);
            answer
        }
    }

    #[test]
    fn answers_of_every_length_are_whole() {
        for length in 0..10 {
            let value = "x".repeat(length);
            let mut host = Host::new(&[("a", &value)]);
            let answer = Channel::open(&mut host).unwrap().ask(b"info-get a", 100).unwrap();
            assert_eq!(answer, format!("1 {value}").into_bytes());
        }
    }
}
