//! `varve run`: what a command sees, what becomes of what it writes, how it ends. As root and as a user without any rights.

use std::fs;

use varve_system::{Sandboxes, User};

/// For both kinds of users.
fn each(scenario: impl Fn(&Sandboxes)) {
    for user in [User::Root, User::Nobody] {
        if let Some(sandboxes) = Sandboxes::new(user) {
            scenario(&sandboxes);
            sandboxes.wait_for_nothing();
        }
    }
}

#[test]
fn repositories_stand_beside_the_hosts_own_system() {
    each(|sandboxes| {
        let run = ["run", "-r", Sandboxes::SOFTWARE, "--"];
        let says = |command: &[&str]| sandboxes.call(&[&run[..], command].concat());
        let hello = format!("/cvmfs/{}/hello", Sandboxes::SOFTWARE);
        let seen = says(&["cat", &hello, "/etc/os-release"]);
        let of_host = fs::read_to_string("/etc/os-release").unwrap_or_default();
        assert_eq!((seen.code, seen.stdout), (Some(0), format!("hello\n{of_host}")), "{}", seen.stderr);
        assert_eq!(says(&["sh", "-c", "exit 7"]).code, Some(7));
        assert_eq!(says(&["sh", "-c", "kill -TERM $$"]).code, Some(128 + 15));
        let missing = says(&["no-such-program"]);
        assert_eq!(missing.code, Some(127), "{}", missing.stderr);
        assert!(missing.stderr.contains("no-such-program"), "{}", missing.stderr);
        assert_eq!(says(&["/etc"]).code, Some(126));
        assert_ne!(says(&["touch", &hello]).code, Some(0));
        // The working directory is that of the caller, and can be written to.
        assert_eq!(says(&["sh", "-c", "echo made > 'a file'"]).code, Some(0));
        assert_eq!(fs::read_to_string(sandboxes.work().join("a file")).unwrap(), "made\n");
        // Variables are the caller's, unless they are not wanted.
        assert_eq!(
            says(&["sh", "-c", "echo $VARVE_HOME"]).stdout.trim(),
            sandboxes.own().join("home").to_str().unwrap()
        );
        let clean = [
            "run",
            "-r",
            Sandboxes::SOFTWARE,
            "--clean",
            "--set",
            "A=1",
            "--",
            "sh",
            "-c",
            "echo $A$VARVE_HOME$USER",
        ];
        assert!(["1root\n", "1somebody\n"].contains(&sandboxes.succeed(&clean).as_str()));
        let unknown = sandboxes.call(&["run", "-r", "unknown.lab.example", "--", "true"]);
        assert_eq!(unknown.code, Some(125), "{}", unknown.stderr);
    });
}

#[test]
fn an_operating_system_is_entered_at_its_root() {
    each(|sandboxes| {
        let root = sandboxes.own().join("work").join("outside");
        fs::write(sandboxes.work().join("outside"), "outside\n").unwrap();
        let script = format!(
            "set -e; cat /etc/os-release /cvmfs/{}/hello outside; test ! -e /work; test \"$PATH$VARVE_HOME\" = \
             /usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin; id -un; test $$ = 2; echo here > made; cd; \
             touch in-home; echo > /tmp/file; test -c /dev/null; test ! -e /dev/fuse",
            Sandboxes::SOFTWARE
        );
        let seen = sandboxes.inside(&[], &script);
        assert!(seen.starts_with("ID=lab\nhello\noutside\n"), "{seen}");
        assert!(seen.ends_with("root\n") || seen.ends_with("somebody\n"), "{seen}");
        assert_eq!(fs::read_to_string(root.with_file_name("made")).unwrap(), "here\n");
        // Root inside has the files of the system, whoever it is outside.
        let script = "set -e; id -u; echo more >> /etc/os-release; cat /etc/os-release; chmod 600 /etc/passwd; rm /bin/ls";
        assert_eq!(sandboxes.inside(&["--as-root"], script), "0\nID=lab\nmore\n");
        assert_eq!(sandboxes.inside(&["--as-root"], "cat /etc/os-release; ls -d /bin"), "ID=lab\n/bin\n");
        // Without a network, only the host itself is reached.
        let interfaces = sandboxes.inside(&["--no-network"], "cat /proc/net/dev | tail -n +3 | cut -d: -f1");
        assert_eq!(interfaces.trim(), "lo");
        assert_eq!(sandboxes.inside(&["--hostname", "elsewhere"], "hostname"), "elsewhere\n");
        assert_eq!(sandboxes.inside(&["--no-directory", "-C", "/usr"], "pwd"), "/usr\n");
    });
}

#[test]
fn what_is_written_is_dropped_or_kept() {
    each(|sandboxes| {
        let keep = sandboxes.work().join("kept");
        let options = ["--as-root", "--keep", keep.to_str().unwrap()];
        sandboxes.inside(&options, "echo one > /etc/one; rm /etc/os-release; mkdir -p /var/new/dir");
        let again = "cat /etc/one; ls -d /var/new/dir; test ! -e /etc/os-release; echo two >> /etc/one";
        assert_eq!(sandboxes.inside(&options, again), "one\n/var/new/dir\n");
        assert_eq!(sandboxes.inside(&options, "cat /etc/one"), "one\ntwo\n");
        assert_eq!(
            sandboxes.inside(&["--as-root"], "ls /etc/os-release; ls /etc/one || true"),
            "/etc/os-release\n"
        );
        let archive = sandboxes.work().join("out.tar");
        let collect = ["--as-root", "--collect", archive.to_str().unwrap()];
        sandboxes.inside(&collect, "echo one > /etc/one; rm /etc/os-release; echo two > beside");
        let listed = std::process::Command::new("tar").args(["-tf"]).arg(&archive).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&listed.stdout), "etc\netc/one\netc/.wh.os-release\n");
        // What is there is not overwritten, and a limit that can't be had is not left out.
        assert_eq!(sandboxes.call(&sandboxes.arguments(&collect, "true")).code, Some(125));
        let limited = sandboxes.call(&sandboxes.arguments(&["--memory", "1GiB"], "echo runs"));
        assert!(
            limited.code == Some(0)
                || limited.code == Some(125) && limited.stderr.contains("cannot limit memory"),
            "{}",
            limited.stderr
        );
        // One at a time.
        let both = sandboxes.call_script(&format!(
            "\"$VARVE\" run --system {0} --keep kept -- sh -c 'touch ready; while ! [ -e go ]; do sleep 0.05; done' & while ! [ \
             -e ready ]; do sleep 0.05; done; \"$VARVE\" run --system {0} --keep kept -- true; echo $?; touch go; wait $!; echo \
             $?",
            Sandboxes::SYSTEM
        ));
        assert_eq!(both.stdout, "125\n0\n", "{}", both.stderr);
        assert!(both.stderr.contains("in use"), "{}", both.stderr);
    });
}

#[test]
fn directories_of_the_host_are_shown_where_they_are_wanted() {
    each(|sandboxes| {
        let shared = sandboxes.work().join("shared");
        fs::create_dir(&shared).unwrap();
        fs::write(shared.join("file"), "shared\n").unwrap();
        let bind = |rest: &str| format!("{}:{rest}", shared.display());
        let seen = sandboxes.inside(&["--bind", &bind("/mnt/deep/in")], "cat /mnt/deep/in/file");
        assert_eq!(seen, "shared\n");
        let script =
            "cat /data/file; echo x > /data/file || echo refused; echo x > /data/new || echo refused";
        assert_eq!(sandboxes.inside(&["--bind", &bind("/data:ro")], script), "shared\nrefused\nrefused\n");
        let file = format!("{}/file:/etc/os-release", shared.display());
        assert_eq!(sandboxes.inside(&["--bind", &file], "cat /etc/os-release"), "shared\n");
        for bad in ["/nowhere", "/tmp:relative", "/tmp:/a:b", "/tmp:/a/../b"] {
            let refused = sandboxes.call(&sandboxes.arguments(&["--bind", bad], "true"));
            assert_eq!(refused.code, Some(125), "{bad}: {}", refused.stderr);
        }
    });
}

#[test]
fn a_hundred_at_once_start_one_holder() {
    each(|sandboxes| {
        let script = format!(
            "mkdir out; for i in $(seq 100); do \"$VARVE\" run -r {0} -- sh -c \"cat /cvmfs/{0}/hello > out/$i\" & done; wait; \
             cat out/* | sort | uniq -c",
            Sandboxes::SOFTWARE
        );
        let outcome = sandboxes.call_script(&script);
        assert_eq!(outcome.stdout.trim(), "100 hello", "{}", outcome.stderr);
    });
}

#[test]
fn input_output_and_signals_pass_through() {
    each(|sandboxes| {
        let outcome = sandboxes.call_script(&format!(
            "echo words | \"$VARVE\" run --system {0} -- cat; \"$VARVE\" run --system {0} -- sh -c 'trap \"echo got it; exit 3\" \
             TERM; echo $$ > ready; while :; do sleep 0.1; done' & while ! [ -s ready ]; do sleep 0.1; done; kill -TERM $!; wait \
             $!; echo $?",
            Sandboxes::SYSTEM
        ));
        assert_eq!(outcome.stdout, "words\ngot it\n3\n", "{}", outcome.stderr);
    });
}

#[test]
fn an_environment_stays_what_it_was() {
    each(|sandboxes| {
        let freeze = [
            "env",
            "freeze",
            "lab",
            "--system",
            Sandboxes::SYSTEM,
            "-r",
            Sandboxes::SOFTWARE,
            "--set",
            "LAB=1",
        ];
        sandboxes.succeed(&freeze);
        // The software goes on.
        let newer = sandboxes.work().join("newer");
        fs::create_dir(&newer).unwrap();
        fs::write(newer.join("hello"), "newer\n").unwrap();
        sandboxes.succeed(&["repo", "publish", Sandboxes::SOFTWARE, newer.to_str().unwrap()]);
        let hello = format!("cat /cvmfs/{}/hello; echo $LAB", Sandboxes::SOFTWARE);
        assert_eq!(sandboxes.succeed(&["run", "--env", "lab", "--", "sh", "-c", &hello]), "hello\n1\n");
        assert_eq!(sandboxes.inside(&[], &hello), "newer\n\n");
        let unknown = sandboxes.call(&["run", "--env", "no-such-environment", "--", "true"]);
        assert_eq!(unknown.code, Some(125), "{}", unknown.stderr);
    });
}

#[test]
fn what_stands_in_the_way_is_named() {
    let Some(sandboxes) = Sandboxes::new(User::Nobody) else { return };
    let run = format!("\"$VARVE\" run -r {} -- true", Sandboxes::SOFTWARE);
    // As in a container: parts of /proc are hidden.
    let masked = sandboxes.call_script_after("mount -t tmpfs none /proc/irq", &run);
    assert_eq!(masked.code, Some(125), "{}", masked.stderr);
    assert!(masked.stderr.contains("/proc") && masked.stderr.contains("unmask=ALL"), "{}", masked.stderr);
    // Nobody may have namespaces any more.
    let script =
        format!("unshare --user --map-root-user sh -c 'echo 0 > /proc/sys/user/max_user_namespaces; {run}'");
    let refused = sandboxes.call_script(&script);
    assert_eq!(refused.code, Some(125), "{}", refused.stderr);
    assert!(refused.stderr.contains("max_user_namespaces"), "{}", refused.stderr);
    sandboxes.wait_for_nothing();
}
