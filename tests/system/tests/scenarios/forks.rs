//! `varve fork`: named copies of environments, each with what was written in it.

use std::fs;
use std::process::Stdio;
use std::time::Duration;

use varve_system::{Sandboxes, User};
use varve_testkit::{ProcessGuard, wait_until};

#[test]
fn forks_are_apart_and_keep_what_is_written() {
    for user in [User::Root, User::Nobody] {
        let Some(sandboxes) = Sandboxes::new(user) else { return };
        sandboxes.succeed(&[
            "env",
            "freeze",
            "lab",
            "--system",
            Sandboxes::SYSTEM,
            "-r",
            Sandboxes::SOFTWARE,
        ]);
        let root = |name: &str, script: &str| {
            sandboxes.succeed(&["fork", "exec", name, "--as-root", "--", "sh", "-c", script])
        };
        let first =
            ["fork", "one", "--env", "lab", "--as-root", "--", "sh", "-c", "echo one > /etc/mine; hostname"];
        assert_eq!(sandboxes.succeed(&first), "one\n");
        sandboxes.succeed(&["fork", "two", "--env", "lab", "--", "true"]);
        assert_eq!(
            root("one", "cat /etc/mine; ls /etc/os-release; rm /etc/os-release"),
            "one\n/etc/os-release\n"
        );
        assert_eq!(root("two", "ls /etc/mine || ls /etc/os-release"), "/etc/os-release\n");
        let hello = format!("cat /cvmfs/{}/hello; test ! -e /etc/os-release", Sandboxes::SOFTWARE);
        assert_eq!(root("one", &hello), "hello\n");
        // The environment is told again only if it is another one.
        sandboxes.succeed(&["fork", "one", "--env", "lab", "--", "true"]);
        for bad in [&["fork", "three"][..], &["fork", "exec", "three"], &["fork", "destroy", "three"]] {
            assert_ne!(sandboxes.call(bad).code, Some(0), "{bad:?}");
        }

        // While a command runs it is alone, is seen, and can be ended.
        let ready = sandboxes.work().join("ready");
        let mut command =
            sandboxes.command(&["fork", "exec", "one", "--", "sh", "-c", "touch ready; exec sleep 1000"]);
        let mut running =
            ProcessGuard::start(command.stdout(Stdio::null())).expect("because the program exists");
        wait_until("the command", Duration::from_secs(30), || ready.exists());
        assert_eq!(sandboxes.call(&["fork", "exec", "one", "--", "true"]).code, Some(125));
        assert_eq!(sandboxes.call(&["fork", "destroy", "one"]).code, Some(6));
        let listed: serde_json::Value = serde_json::from_str(&sandboxes.succeed(&["fork", "list", "--json"]))
            .expect("because it is JSON");
        let seen: Vec<_> = listed
            .as_array()
            .expect("because it is a list")
            .iter()
            .map(|fork| (fork["name"].as_str().unwrap_or_default(), fork["running"].as_bool()))
            .collect();
        assert_eq!(seen, [("one", Some(true)), ("two", Some(false))]);
        sandboxes.succeed(&["fork", "stop", "one"]);
        let ended = running.wait(Duration::from_secs(30)).expect("because it is our child");
        assert_eq!(ended.and_then(|status| status.code()), Some(128 + 15));

        root("one", "mkdir -p /var/closed/deep; chmod 0 /var/closed");
        sandboxes.succeed(&["fork", "destroy", "one", "two"]);
        let left = fs::read_dir(sandboxes.own().join("home/forks")).map(Iterator::count);
        assert_eq!(left.unwrap_or_default(), 0);
        sandboxes.wait_for_nothing();
    }
}
