//! `varve run` without FUSE: trees that are filled when they are touched. As root and as a user without any rights.

use std::fs;
use std::os::unix::fs::symlink;
use std::time::Duration;

use varve_system::{Installation, Outcome, Sandboxes, User, fuse_is_missing};
use varve_testkit::{Fixture, TreeBuilder, assert_same, listing, mounts_below, wait_until};

/// For both kinds of users.
fn each(scenario: impl Fn(&Sandboxes)) {
    for user in [User::Root, User::Nobody] {
        if let Some(sandboxes) = Sandboxes::new(user) {
            scenario(&sandboxes);
            wait_until("the end of all that runs have started", Duration::from_secs(30), || {
                ["run", "sandbox-filler"].iter().all(|word| sandboxes.processes(word).is_empty())
            });
            assert!(mounts_below(&sandboxes.own()).is_empty());
        }
    }
}

/// A directory like any with software: programs, links to them, many small files.
fn publish_tools(sandboxes: &Sandboxes) -> String {
    let name = "tools.lab.example";
    let tree = sandboxes.work().join("../tools");
    let mut builder = TreeBuilder::new(&tree);
    for number in 0..300 {
        builder.file(format!("data/{}/{number}", number % 9), format!("content {number}\n"));
    }
    builder.finish();
    fs::create_dir_all(tree.join("bin")).expect("because the scratch directory is writable");
    fs::copy("/bin/busybox", tree.join("bin/busybox")).expect("because the scratch directory is writable");
    symlink("busybox", tree.join("bin/sh")).expect("because the scratch directory is writable");
    let script = format!("#!/cvmfs/{name}/bin/sh\necho \"$0 says $1\"\n");
    fs::write(tree.join("bin/script"), script).expect("because the scratch directory is writable");
    fs::set_permissions(tree.join("bin/script"), std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .expect("because the scratch directory is writable");
    sandboxes.publish(name, &tree);
    format!("/cvmfs/{name}")
}

/// How many filters of system calls a command has.
fn filters(says: &dyn Fn(&[&str]) -> Outcome) -> usize {
    let line = says(&["grep", "Seccomp_filters", "/proc/self/status"]).stdout;
    line.split_whitespace().last().and_then(|count| count.parse().ok()).expect("because the kernel tells it")
}

#[test]
fn programs_scripts_and_files_are_filled_when_they_are_touched() {
    each(|sandboxes| {
        let at = publish_tools(sandboxes);
        let run = ["run", "--no-fuse", "-r", "tools.lab.example", "-r", Sandboxes::SOFTWARE, "--"];
        let says = |command: &[&str]| sandboxes.call(&[&run[..], command].concat());
        let watched = filters(&says);
        let script = format!("{at}/bin/script");
        let said = says(&[&script, "hello"]);
        assert_eq!((said.code, said.stdout), (Some(0), format!("{script} says hello\n")), "{}", said.stderr);
        let hello = says(&["cat", &format!("/cvmfs/{}/hello", Sandboxes::SOFTWARE)]);
        assert_eq!((hello.code, hello.stdout.as_str()), (Some(0), "hello\n"), "{}", hello.stderr);
        // Before anything of them is there, all can be seen.
        let counted = says(&["sh", "-c", &format!("find {at} -type f | wc -l; ls -l {at}/data/3/3")]);
        assert!(counted.stdout.starts_with("302\n-rw-r--r--"), "{}{}", counted.stdout, counted.stderr);
        assert_eq!(says(&["no-such-program"]).code, Some(127));
        assert_ne!(says(&["touch", &script]).code, Some(0));
        assert_eq!(says(&["sh", "-c", "exit 7"]).code, Some(7));
        // Nobody inside reaches the places where files are made.
        let trees = sandboxes.own().join("home/cache/trees");
        assert_eq!(says(&["ls", trees.to_str().unwrap()]).stdout, "");
        // Many at once.
        let each = format!("cat {at}/data/$((n % 9))/$n");
        let many =
            format!("n=0; while test $n -lt 300; do {each} & n=$((n + 1)); done | sort | md5sum; wait");
        let plain = "n=0; while test $n -lt 300; do echo content $n; n=$((n + 1)); done | sort | md5sum";
        assert_eq!(says(&["sh", "-c", &many]).stdout, sandboxes.call_script(plain).stdout);
        // By now all is there, and read without anybody being asked.
        let all = format!("find {at} /cvmfs/{} -type f -exec cat {{}} + | wc -c", Sandboxes::SOFTWARE);
        let (first, second) = (says(&["sh", "-c", &all]), says(&["sh", "-c", &all]));
        assert_eq!((first.code, &first.stdout), (Some(0), &second.stdout), "{}", first.stderr);
        assert_eq!(filters(&says), watched - 1);
    });
}

#[test]
fn an_operating_system_is_filled_and_written_over() {
    each(|sandboxes| {
        let seen = sandboxes.inside(
            &["--no-fuse"],
            "cat /etc/os-release /cvmfs/*/hello; echo new > /etc/new; rm /bin/vi; ls /bin/vi /etc/new 2>&1 | wc -l",
        );
        assert_eq!(seen, "ID=lab\nhello\n2\n");
        assert_eq!(sandboxes.inside(&["--no-fuse"], "test ! -e /etc/new && ls /bin/vi"), "/bin/vi\n");
    });
}

#[test]
fn a_command_ends_with_the_process_that_fills() {
    each(|sandboxes| {
        publish_tools(sandboxes);
        let arguments =
            ["run", "--no-fuse", "-r", "tools.lab.example", "--", "sh", "-c", "echo begun; sleep 1000"];
        let mut command = sandboxes.command(&arguments);
        let mut run = command.stdout(std::process::Stdio::null()).spawn().unwrap();
        let mut filler = vec![];
        wait_until("the process that fills", Duration::from_secs(30), || {
            filler = sandboxes.processes("sandbox-filler");
            !filler.is_empty() && !sandboxes.processes("run").is_empty()
        });
        let filler = rustix::process::Pid::from_raw(filler[0]).unwrap();
        rustix::process::kill_process(filler, rustix::process::Signal::KILL).unwrap();
        assert_eq!(run.wait().unwrap().code(), Some(125));
    });
}

#[test]
fn what_cannot_be_had_is_an_error_of_the_one_who_reads_it() {
    each(|sandboxes| {
        let at = publish_tools(sandboxes);
        let run = ["run", "--no-fuse", "-r", "tools.lab.example", "--"];
        let says = |script: &str| sandboxes.call(&[&run[..], &["sh", "-c", script]].concat());
        assert_eq!(says(&format!("cat {at}/data/1/1")).stdout, "content 1\n");
        let data = sandboxes.own().join("home/repositories/tools.lab.example/data");
        let away = data.with_extension("away");
        fs::rename(&data, &away).unwrap();
        fs::create_dir(&data).unwrap();
        let read = says(&format!("cat {at}/data/1/1 {at}/data/2/2; ls {at}/data | wc -l"));
        assert_eq!(read.stdout, "content 1\n9\n", "{}", read.stderr);
        assert!(
            read.stderr.contains("Input/output error") || read.stderr.contains("I/O error"),
            "{}",
            read.stderr
        );
        fs::remove_dir(&data).unwrap();
        fs::rename(&away, &data).unwrap();
        assert_eq!(says(&format!("cat {at}/data/2/2")).stdout, "content 2\n");
    });
}

#[test]
fn a_repository_of_the_originals_looks_as_through_its_own_client() {
    if fuse_is_missing() {
        return;
    }
    let (fixture, installation) = (Fixture::sha1(), Installation::new());
    let served = installation.directory("served");
    fixture.copy_served(&served.join(fixture.name())).expect("because the fixture is complete");
    let server = installation.serve(Some(&served));
    let tag = "v3";
    let repository = format!("{}@{tag}", fixture.name());
    let (url, key) = (server.url(fixture.name()), fixture.public_key());
    installation.run(&[
        "run",
        "--no-fuse",
        "--whole",
        "-r",
        &repository,
        "--server",
        &url,
        "--key",
        key.to_str().unwrap(),
        "--",
        "true",
    ]);
    let trees = installation.path("home/cache/trees");
    let name = format!("{}@", fixture.name());
    let tree = fs::read_dir(trees)
        .unwrap()
        .flatten()
        .find(|entry| entry.file_name().to_string_lossy().starts_with(&name));
    let expected = fixture.expected_text(Some(tag)).expect("because the fixture is complete");
    let found = listing(&tree.unwrap().path().join("view")).expect("because everything can be read");
    // What nobody can open, and links without a target, stand there as what can't be mistaken; the rest is told by mounts alone.
    let special = |path: &str| found.lines().any(|line| line.starts_with(&format!("{path}\ts\t")));
    let is_root = rustix::process::geteuid().is_root();
    assert_same(&expected, &found, &|path, field| {
        field == 11 || special(path) || (!is_root && (3..5).contains(&field))
    });
}
