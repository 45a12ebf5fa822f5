//! What the machine's kernel and guest say, and QEMU: shown if it is wanted, else kept for when something goes wrong.

use std::collections::VecDeque;
use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// The most lines that are kept.
const MOST_LINES: usize = 200;
/// The longest line that is.
const LONGEST_LINE: usize = 400;
/// So many of them tell why.
const TOLD: usize = 12;

/// The last lines.
#[derive(Clone, Debug, Default)]
pub(super) struct Console {
    lines: Arc<Mutex<Lines>>,
}

#[derive(Debug, Default)]
struct Lines {
    whole: VecDeque<String>,
    begun: Vec<u8>,
}

impl Console {
    /// Reads until the machine is gone; with `shown`, everything goes to standard error too.
    pub(super) fn follow(mut stream: UnixStream, shown: bool) -> Self {
        let console = Self::default();
        let lines = Arc::clone(&console.lines);
        thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Ok(length @ 1..) = stream.read(&mut piece) {
                if shown {
                    let _ = io::stderr().write_all(&piece[..length]);
                }
                lines.lock().unwrap_or_else(PoisonError::into_inner).take(&piece[..length]);
            }
        });
        console
    }

    /// What was said last, line by line.
    pub(super) fn excerpt(&self) -> String {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let begun = plain(&lines.begun);
        let all: Vec<&str> = lines.whole.iter().map(String::as_str).chain([begun.as_str()]).collect();
        let told: Vec<&str> = all.into_iter().filter(|line| !line.is_empty()).collect();
        told[told.len().saturating_sub(TOLD)..].join("\n  ")
    }
}

impl Lines {
    fn take(&mut self, bytes: &[u8]) {
        for byte in bytes {
            match byte {
                b'\n' => {
                    self.whole.push_back(plain(&self.begun));
                    self.begun.clear();
                    if self.whole.len() > MOST_LINES {
                        self.whole.pop_front();
                    }
                }
                byte if self.begun.len() < LONGEST_LINE => self.begun.push(*byte),
                _ => {}
            }
        }
    }
}

/// Foreign text must not steer the terminal.
fn plain(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    text.trim_end().chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_kept_and_plain() {
        let console = Console::default();
        let mut lines = console.lines.lock().expect("because nobody else has it");
        for number in 0..1000 {
            lines.take(format!("line {number}\r\n").as_bytes());
        }
        lines.take(&[b'x'; 10_000]);
        lines.take(b"\n\n\x1b[2Jend");
        assert_eq!(lines.whole.len(), MOST_LINES);
        drop(lines);
        let told = console.excerpt();
        assert_eq!(told.lines().count(), TOLD);
        assert!(told.ends_with(" [2Jend") && told.contains("line 999") && told.len() < 2000, "{told}");
    }
}
