//! Programs of a tree run: static ones, dynamic ones, scripts, from inside and from elsewhere; all ways to name a file.

use std::fs::{self, File};
use std::io::Read as _;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use varve_sandbox::fill::{Mounted, Service, Tree};

use crate::watched::{in_place, tree_at, watched};
use crate::workshop::Workshop;

const BUSYBOX: &str = "/bin/busybox";

fn output(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().expect("it starts");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

fn watch<T: Send + 'static>(tree: &Arc<Tree>, work: impl FnOnce(PathBuf) -> T + Send + 'static) -> T {
    let view = tree.view();
    watched(in_place(tree), Service::default(), move || work(view))
}

#[test]
fn static_programs_and_scripts_run() {
    if !Path::new(BUSYBOX).exists() {
        assert!(std::env::var_os("CI").is_none(), "{BUSYBOX} has to be there in CI");
        println!("skipped: there is no static {BUSYBOX}");
        return;
    }
    let workshop = Workshop::new();
    let view = workshop.place().join("view");
    workshop.write("bin/busybox", fs::read(BUSYBOX).expect("readable"), 0o755);
    workshop.write("bin/script", format!("#!{}/bin/sh\necho from a script\n", view.display()), 0o755);
    workshop.write("bin/second", format!("#!{}/bin/script\n", view.display()), 0o755);
    workshop.write("deep/er/text", "words\n", 0o644);
    symlink("busybox", workshop.tree.join("bin/sh")).expect("writable");
    let tree = tree_at(&workshop.place(), &workshop.publish());
    let outside = workshop.scratch.path().join("outside");
    fs::write(&outside, format!("#! {}/bin/busybox sh\necho from elsewhere\n", view.display()))
        .expect("writable");
    fs::set_permissions(&outside, fs::Permissions::from_mode(0o755)).expect("its owner may");
    let others = workshop.scratch.path().join("link");
    symlink(&view, &others).expect("writable");
    watch(&tree, move |view| {
        assert_eq!(output(&mut Command::new(&outside)), "from elsewhere\n");
        assert_eq!(output(&mut Command::new(view.join("bin/second"))), "from a script\n");
        let text = "cd ../deep && cat er/text && test -x ../bin/script && ls -l er";
        let said = output(Command::new("../bin/sh").args(["-c", text]).current_dir(others.join("bin")));
        assert!(said.starts_with("words\n") && said.contains("\n-rw-r--r--"), "{said}");
    });
}

#[test]
fn a_dynamic_linker_of_a_tree_is_filled_before_the_kernel_opens_it() {
    const LINKER: &str = "/lib64/ld-linux-x86-64.so.2";
    let Ok(mut program) = fs::read("/bin/true") else { return };
    let short = PathBuf::from(format!("/tmp/v{:x}", std::process::id()));
    let name = format!("{}/ld.so\0", short.display());
    let at = program.windows(LINKER.len()).position(|window| window == LINKER.as_bytes());
    let (Some(at), true) = (at, name.len() <= LINKER.len()) else {
        println!("skipped: /bin/true has another dynamic linker than {LINKER}");
        return;
    };
    program[at..at + name.len()].copy_from_slice(name.as_bytes());
    let workshop = Workshop::new();
    workshop.write("bin/true", &program, 0o755);
    workshop.write("ld.so", fs::read(LINKER).expect("it is there"), 0o755);
    let tree = tree_at(&workshop.place(), &workshop.publish());
    symlink(tree.view(), &short).expect("nothing is there");
    let status = watch(&tree, |view| Command::new(view.join("bin/true")).status());
    fs::remove_file(&short).expect("it is ours");
    assert!(status.expect("it starts").success());
}

#[test]
fn every_way_to_name_a_file_fills_it() {
    let workshop = Workshop::new();
    for number in 0..8 {
        workshop.write(&format!("d{number}/sub/file"), format!("content {number}"), 0o644);
    }
    symlink("../d1/sub", workshop.tree.join("d0/link")).expect("writable");
    let view = workshop.place().join("view");
    symlink(view.join("d2"), workshop.tree.join("absolute")).expect("writable");
    symlink("/usr/../proc/self/root", workshop.tree.join("roundabout")).expect("writable");
    let tree = tree_at(&workshop.place(), &workshop.publish());
    let outside = workshop.scratch.path().join("o");
    fs::create_dir(&outside).expect("writable");
    symlink(&view, outside.join("in")).expect("writable");
    symlink("in/d3/sub/file", outside.join("file")).expect("writable");
    watch(&tree, move |view| {
        let read = |path: &Path| {
            fs::read_to_string(path).unwrap_or_else(|error| format!("{}: {error}", path.display()))
        };
        assert_eq!(read(&view.join("d0/link/file")), "content 1");
        assert_eq!(read(&view.join("absolute/sub/file")), "content 2");
        assert_eq!(read(&outside.join("file")), "content 3");
        assert_eq!(read(&outside.join("in/d4/./sub//../sub/file")), "content 4");
        let directory = File::open(view.join("d5")).expect("it is there");
        let number = directory.as_raw_fd();
        assert_eq!(read(&PathBuf::from(format!("/proc/self/fd/{number}/sub/file"))), "content 5");
        assert_eq!(read(&PathBuf::from(format!("/dev/fd/{number}/../d0/sub/file"))), "content 0");
        let flags = rustix::fs::OFlags::RDONLY;
        let opened = rustix::fs::openat(&directory, "../d6/sub/file", flags, rustix::fs::Mode::empty());
        let mut text = String::new();
        File::from(opened.expect("it is there")).read_to_string(&mut text).expect("text");
        assert_eq!(text, "content 6");
        let roundabout = view.join("roundabout").join(view.strip_prefix("/").expect("absolute"));
        assert_eq!(read(&roundabout.join("d7/sub/file")), "content 7");
        assert!(view.join("d7/sub/none").symlink_metadata().is_err());
    });
}

#[test]
fn a_file_keeps_its_number_and_time_when_it_is_filled() {
    let workshop = Workshop::new();
    workshop.write("d/one", "1", 0o640);
    fs::hard_link(workshop.tree.join("d/one"), workshop.tree.join("d/two")).expect("writable");
    let tree = tree_at(&workshop.place(), &workshop.publish());
    watch(&tree, |view| {
        let look = |name: &str| {
            let found = fs::symlink_metadata(view.join(name)).expect("it is there");
            (found.dev(), found.ino(), found.mode(), found.nlink(), found.size(), found.mtime(), found.uid())
        };
        let before = (look("d/one"), look("d/two"), look("d"));
        assert_eq!(before.0, before.1);
        assert_eq!(before.0.3, 2);
        assert_eq!(fs::read(view.join("d/two")).expect("readable"), b"1");
        assert_eq!((look("d/one"), look("d/two"), look("d")), before);
    });
}

#[test]
fn many_threads_and_supervisors_fill_one_tree() {
    let workshop = Workshop::new();
    for number in 0..60 {
        workshop.write(
            &format!("d{}/f{number}", number % 7),
            vec![number; 3000 + usize::from(number)],
            0o644,
        );
    }
    let snapshot = workshop.publish();
    // As two programs would.
    let trees = [tree_at(&workshop.place(), &snapshot), tree_at(&workshop.place(), &snapshot)];
    std::thread::scope(|scope| {
        for tree in &trees {
            scope.spawn(move || {
                watch(tree, |view| {
                    let readers: Vec<_> = (0..8)
                        .map(|_| {
                            let view = view.clone();
                            std::thread::spawn(move || {
                                for number in 0..60_u8 {
                                    let path = view.join(format!("d{}/f{number}", number % 7));
                                    let content = fs::read(&path).expect("readable");
                                    assert_eq!(content, vec![number; 3000 + usize::from(number)]);
                                }
                            })
                        })
                        .collect();
                    readers.into_iter().for_each(|reader| reader.join().expect("it read the right bytes"));
                });
            });
        }
    });
}

#[test]
fn what_is_full_needs_no_supervisor() {
    let workshop = Workshop::new();
    for number in 0..20 {
        workshop.write(&format!("a/b{number}/c"), format!("{number}"), 0o444);
    }
    let tree = tree_at(&workshop.place(), &workshop.publish());
    tree.fill_all(3, &crate::watched::deadline).expect("it can be filled");
    for number in 0..20 {
        let content = fs::read_to_string(tree.view().join(format!("a/b{number}/c"))).expect("readable");
        assert_eq!(content, format!("{number}"));
    }
    let listed = watched(
        vec![Mounted { path: tree.view(), tree: Arc::clone(&tree) }],
        Service::default(),
        move || fs::read_dir(tree.view().join("a")).expect("readable").count(),
    );
    assert_eq!(listed, 20);
}
