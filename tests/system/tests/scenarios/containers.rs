//! Container images: published from an image layout, run by `varve run` and by the engines that machines have.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use serde_json::json;
use varve_system::{Installation, Outcome, Sandboxes, User, fuse_is_missing, programs_are_missing};
use varve_testkit::ImageLayout;

const REPOSITORY: &str = "images.lab.example";
const NAME: &str = "registry.lab.example/tools/busybox:1";

/// A tar archive of a tree, everything in it being root's.
fn packed(tree: &Path) -> Vec<u8> {
    let packed = Command::new("tar")
        .args(["--owner=0", "--group=0", "--numeric-owner", "-cf", "-", "-C"])
        .arg(tree)
        .arg(".")
        .output()
        .expect("because tar is installed");
    assert!(packed.status.success());
    packed.stdout
}

/// Publishes an image of two layers: busybox, and what is configured over it. Returns its layout.
fn publish(sandboxes: &Sandboxes) -> ImageLayout {
    let scratch = sandboxes.own().join("work/../image");
    let (below, above) = (scratch.join("below"), scratch.join("above"));
    for directory in
        [below.join("bin"), below.join("etc/old"), below.join("data"), above.join("etc"), above.join("data")]
    {
        fs::create_dir_all(directory).expect("because the scratch directory is writable");
    }
    fs::copy("/bin/busybox", below.join("bin/busybox")).expect("because busybox is installed");
    for tool in ["sh", "cat", "echo", "ls", "pwd", "id", "touch", "test", "env"] {
        symlink("busybox", below.join("bin").join(tool)).expect("because the directory is new");
    }
    for (file, text) in [
        (below.join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n"),
        (below.join("etc/issue"), "below\n"),
        (below.join("etc/gone"), "gone\n"),
        (below.join("data/hidden"), "hidden\n"),
        (above.join("etc/issue"), "above\n"),
        (above.join("etc/.wh.gone"), ""),
        (above.join("data/.wh..wh..opq"), ""),
        (above.join("data/shown"), "shown\n"),
    ] {
        fs::write(file, text).expect("because the scratch directory is writable");
    }
    let layout = ImageLayout::new(&scratch.join("layout"));
    let run = json!({"Env": ["PATH=/bin", "GREETING=hello from the image"], "WorkingDir": "/data",
        "Entrypoint": ["sh", "-c", "echo \"$GREETING:\" \"$@\"", "entry"], "Cmd": ["nobody"], "User": "1000"});
    layout.index(&[layout.image(&[packed(&below), packed(&above)], &run)]);
    sandboxes.succeed(&["repo", "create", REPOSITORY]);
    let path = layout.path().to_str().expect("because scratch paths are text");
    sandboxes.succeed(&["repo", "ingest", REPOSITORY, path, "--image", NAME, "--tag", "v1"]);
    layout
}

#[test]
fn an_image_is_run_as_it_says() {
    for user in [User::Root, User::Nobody] {
        let Some(sandboxes) = Sandboxes::new(user) else { return };
        publish(&sandboxes);
        for options in [&[][..], &["--no-fuse"]] {
            let run = |image: &str, more: &[&str], command: &[&str]| {
                sandboxes.call(&[&["run", "--image", image], options, more, &["--"], command].concat())
            };
            let image = format!("{REPOSITORY}:{NAME}");
            let said = run(&image, &[], &[]);
            assert_eq!(
                (said.code, said.stdout.as_str()),
                (Some(0), "hello from the image: nobody\n"),
                "{options:?}: {}",
                said.stderr
            );
            assert!(said.stderr.contains("'1000'"), "{}", said.stderr);
            assert_eq!(run(&image, &[], &["you", "all"]).stdout, "hello from the image: you all\n");
            let pinned = format!("{REPOSITORY}@v1:/{NAME}");
            let script = "pwd; ls /etc/gone /data/hidden; cat /etc/issue shown; echo $PATH";
            let seen = run(&pinned, &["--entrypoint", ""], &["sh", "-c", script]);
            assert_eq!(seen.stdout, "/data\nabove\nshown\n/bin\n", "{}", seen.stderr);
            let root = run(
                &image,
                &["--as-root", "--entrypoint", ""],
                &["sh", "-c", "id -u; touch /etc/new && echo written"],
            );
            assert_eq!(root.stdout, "0\nwritten\n", "{}", root.stderr);
            // The same directory without what the image says.
            let system = format!("{REPOSITORY}@v1:/{NAME}");
            let plain = sandboxes
                .call(&[&["run", "--system", &system], options, &["--", "cat", "/etc/issue"]].concat());
            assert_eq!(plain.stdout, "above\n", "{}", plain.stderr);
            let missing = run(&format!("{REPOSITORY}:registry.lab.example/none:1"), &[], &[]);
            assert_eq!(missing.code, Some(125));
            assert!(missing.stderr.contains("has no directory"), "{}", missing.stderr);
        }
        varve_testkit::wait_until("the end of all runs", std::time::Duration::from_secs(30), || {
            ["run", "sandbox-holder", "sandbox-filler"]
                .iter()
                .all(|word| sandboxes.processes(word).is_empty())
        });
    }
}

/// Podman with storage of its own, and a repository's as an additional one.
struct Podman<'a> {
    installation: &'a Installation,
}

impl Podman<'_> {
    fn new<'a>(installation: &'a Installation, additional: &Path) -> Podman<'a> {
        let own = installation.directory("podman");
        let configuration = format!(
            "[storage]\ndriver = \"overlay\"\ngraphroot = \"{0}/root\"\nrunroot = \"{0}/run\"\n[storage.options]\n\
             additionalimagestores = [\"{1}\"]\n",
            own.display(),
            additional.display()
        );
        fs::write(own.join("storage.conf"), configuration)
            .expect("because the scratch directory is writable");
        Podman { installation }
    }

    fn call(&self, arguments: &[&str]) -> Outcome {
        let own = self.installation.path("podman");
        let mut command = Command::new("podman");
        command.args([
            "--cgroup-manager",
            "cgroupfs",
            "--events-backend",
            "file",
            "--runtime",
            "runc",
            "--tmpdir",
        ]);
        command.arg(own.join("tmp")).args(arguments).env("CONTAINERS_STORAGE_CONF", own.join("storage.conf"));
        self.installation.end(command)
    }

    fn succeed(&self, arguments: &[&str]) -> String {
        let outcome = self.call(arguments);
        assert_eq!(outcome.code, Some(0), "podman {arguments:?}: {}{}", outcome.stdout, outcome.stderr);
        outcome.stdout
    }

    /// Runs a container to its end. Limits are ones that this process may set.
    fn run(&self, arguments: &[&str]) -> String {
        let options = [
            "run",
            "--rm",
            "--network",
            "host",
            "--ulimit",
            "nofile=1000:1000",
            "--ulimit",
            "nproc=1000:1000",
        ];
        self.succeed(&[&options[..], arguments].concat())
    }
}

#[test]
fn engines_run_images_from_a_mounted_repository() {
    if fuse_is_missing() || programs_are_missing(&["busybox", "podman", "runc"]) {
        return;
    }
    if !rustix::process::geteuid().is_root() {
        println!("skipped: engines are started as root");
        return;
    }
    let installation = Installation::new();
    let tree = installation.directory("tree/bin");
    fs::copy("/bin/busybox", tree.join("busybox")).expect("because busybox is installed");
    for tool in ["sh", "cat", "echo", "ls", "touch", "rm", "mkdir"] {
        symlink("busybox", tree.join(tool)).expect("because the directory is new");
    }
    let directory = installation.directory("mounted");
    let podman = Podman::new(&installation, &installation.directory("nothing"));
    // Images as Podman makes and saves them.
    let archive = installation.path("tree.tar");
    fs::write(&archive, packed(&installation.path("tree")))
        .expect("because the scratch directory is writable");
    let base = "lab.example.org/made/base:1";
    let text = |path: &Path| path.to_str().expect("because scratch paths are text").to_owned();
    podman.succeed(&["import", "-q", "-c", "ENV GREETING=hello", &text(&archive), base]);
    let change = ["sh", "-c", "mkdir /new /opaque; echo changed > /new/file; rm /bin/touch"];
    let options =
        ["run", "--name", "changed", "--network", "host", "--ulimit", "nofile=1000:1000", "--ulimit"];
    let made = podman.call(&[&options[..], &["nproc=1000:1000", base], &change].concat());
    if made.code != Some(0) {
        println!("skipped: podman can't run anything on this machine: {}", made.stderr);
        return;
    }
    let changed = "lab.example.org/made/changed:1";
    podman.succeed(&[
        "commit",
        "-q",
        "-c",
        "CMD [\"sh\", \"-c\", \"echo $GREETING; cat /new/file\"]",
        "changed",
        changed,
    ]);
    installation.run(&["repo", "create", REPOSITORY]);
    for format in ["oci-archive", "docker-archive"] {
        let saved = text(&installation.path(&format!("{format}.tar")));
        podman.succeed(&["save", "-q", "--format", format, "-o", &saved, changed]);
        let name = format!("lab.example.org/published/{format}:1");
        installation.run(&["repo", "ingest", REPOSITORY, &saved, "--image", &name]);
    }
    let saved = text(&installation.path("base.tar"));
    podman.succeed(&["save", "-q", "--format", "oci-archive", "-o", &saved, base]);
    let first = installation.run(&[
        "repo",
        "ingest",
        REPOSITORY,
        &saved,
        "--image",
        "lab.example.org/published/base:1",
        "--json",
    ]);
    let first: serde_json::Value = serde_json::from_str(&first).expect("because it is JSON");
    assert_eq!(first["entries"], 0, "its layer is there: {first}");
    podman.succeed(&["rm", "changed"]);
    podman.succeed(&["rmi", changed, base]);

    installation.run(&["mount", REPOSITORY, &text(&directory)]);
    let podman = Podman::new(&installation, &directory.join("podmanStore"));
    for format in ["oci-archive", "docker-archive"] {
        let name = format!("lab.example.org/published/{format}:1");
        assert_eq!(podman.run(&[&name]), "hello\nchanged\n");
        assert_eq!(
            podman.run(&[&name, "sh", "-c", "ls /bin/touch || echo none; echo x > /new/other; ls /new"]),
            "none\nfile\nother\n"
        );
        let root = text(&directory.join(&name));
        assert_eq!(podman.run(&["--rootfs", &format!("{root}:O"), "cat", "/new/file"]), "changed\n");
        let root = text(&Path::new(&root).canonicalize().expect("because it is there"));
        assert_eq!(podman.run(&["--read-only", "--rootfs", &root, "cat", "/new/file"]), "changed\n");
    }
    // A runtime alone, which has to be told everything.
    let bundle = installation.directory("bundle");
    let mut specification = Command::new("runc");
    specification.arg("spec").current_dir(&bundle);
    assert_eq!(installation.end(specification).code, Some(0));
    let file = bundle.join("config.json");
    let read = fs::read(&file).expect("because runc has written it");
    let mut configuration: serde_json::Value = serde_json::from_slice(&read).expect("because it is JSON");
    let root = directory
        .join("lab.example.org/published/oci-archive:1")
        .canonicalize()
        .expect("because it is there");
    configuration["root"] = json!({"path": root, "readonly": true});
    configuration["process"]["terminal"] = json!(false);
    configuration["process"]["args"] = json!(["/bin/cat", "/new/file"]);
    configuration["process"]["rlimits"] = json!([]);
    fs::write(&file, configuration.to_string()).expect("because the scratch directory is writable");
    let mut run = Command::new("runc");
    run.arg("--root").arg(installation.path("runc")).args(["run", "varve-scenario"]).current_dir(&bundle);
    let outcome = installation.end(run);
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(0), "changed\n"), "{}", outcome.stderr);
    installation.unmount(&directory);
}
