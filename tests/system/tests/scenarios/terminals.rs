//! `varve run` at a terminal: a shell with job control, keys that send signals, a window that changes its size.

use std::fs;
use std::io::{Read as _, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use varve_system::{Sandboxes, User, programs_are_missing};
use varve_testkit::wait_until;

/// A terminal with a program in it, by script(1).
struct Terminal {
    child: Child,
    said: Arc<Mutex<String>>,
}

impl Terminal {
    fn open(mut script: Command) -> Self {
        let mut child = script.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it exists");
        let said = Arc::new(Mutex::new(String::new()));
        let (mut output, heard) = (child.stdout.take().expect("it is piped"), Arc::clone(&said));
        std::thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Ok(length @ 1..) = output.read(&mut piece) {
                heard.lock().expect("no panic").push_str(&String::from_utf8_lossy(&piece[..length]));
            }
        });
        Self { child, said }
    }

    fn press(&mut self, keys: &str) {
        let input = self.child.stdin.as_mut().expect("it is piped");
        input.write_all(keys.as_bytes()).and_then(|()| input.flush()).expect("it is open");
    }

    /// Waits until this was said, and forgets everything up to there.
    fn expect(&self, text: &str) -> String {
        let mut before = None;
        let found = || {
            let mut said = self.said.lock().expect("no panic");
            let at = said.find(text);
            if let Some(at) = at {
                let rest = said.split_off(at + text.len());
                before = Some(std::mem::replace(&mut *said, rest));
            }
            at.is_some()
        };
        let what = format!("'{text}'");
        let waited = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            wait_until(&what, Duration::from_secs(30), found);
        }));
        assert!(waited.is_ok(), "no {what} in {:?}", self.said.lock());
        before.unwrap_or_default()
    }
}

/// The process that sleeps so many seconds.
fn sleeper(seconds: &str) -> Option<i32> {
    let line = format!("sleep\0{seconds}\0");
    fs::read_dir("/proc").ok()?.flatten().find_map(|entry| {
        let is_it = fs::read(entry.path().join("cmdline")).is_ok_and(|found| found == line.as_bytes());
        is_it.then(|| entry.file_name().to_str()?.parse().ok()).flatten()
    })
}

#[test]
fn a_shell_has_its_keys_its_jobs_and_its_window() {
    if programs_are_missing(&["script", "bash", "stty"]) {
        return;
    }
    for user in [User::Root, User::Nobody] {
        let Some(sandboxes) = Sandboxes::new(user) else { return };
        let shell = format!("$VARVE run -r {} -- bash --norc --noprofile -i", Sandboxes::SOFTWARE);
        let mut terminal =
            Terminal::open(sandboxes.script(&format!("exec script -qfec '{shell}' /dev/null")));
        terminal.press("PS1='rea''dy> '; stty rows 33 cols 77\n");
        terminal.expect("ready> ");

        // Nobody else has these numbers.
        let number = std::process::id() % 100_000;
        let (first, second) = (format!("1{number:05}"), format!("2{number:05}"));
        terminal.press(&format!("sleep {first}\n"));
        let mut process = None;
        wait_until("a command of the shell", Duration::from_secs(30), || {
            process = sleeper(&first);
            process.is_some()
        });
        let process = process.expect("because it was waited for");
        let window = fs::read_link(format!("/proc/{process}/fd/0")).expect("its terminal");
        terminal.press("\x03");
        terminal.press("echo after $((40 + 2)) $(stty size)\n");
        terminal.expect("after 42 33 77");
        assert_eq!(sleeper(&first), None);

        terminal.press(&format!("sleep {second}\n"));
        wait_until("a command of the shell", Duration::from_secs(30), || sleeper(&second).is_some());
        terminal.press("\x1a");
        terminal.expect("Stopped");
        terminal.press("kill %1; fg; echo gone $((40 + 3))\n");
        terminal.expect("gone 43");
        assert_eq!(sleeper(&second), None);

        terminal.press("trap 'echo win''dow $(stty size)' WINCH; echo set $((40 + 4))\n");
        terminal.expect("set 44");
        let resized = Command::new("stty").arg("-F").arg(&window).args(["cols", "99"]).status();
        assert!(resized.is_ok_and(|status| status.success()), "{}", window.display());
        terminal.press("\n");
        terminal.expect("window 33 99");

        terminal.press("exit 7\n");
        let status = terminal.child.wait().expect("it ends");
        assert_eq!(status.code(), Some(7), "{:?}: {:?}", user, terminal.said.lock());
        sandboxes.wait_for_nothing();
    }
}
