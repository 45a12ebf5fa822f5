//! Programs that try to see what isn't filled: by paths that change, by memory that isn't there, past the supervisor.
#![allow(unsafe_code)]

use std::ffi::CString;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use varve_sandbox::fill::Service;

use crate::watched::{in_place, tree_at, watched};
use crate::workshop::Workshop;

/// What a call fails with; 0 if it doesn't.
fn failure(number: libc::c_long, arguments: [usize; 4]) -> i32 {
    let [first, second, third, fourth] = arguments;
    // SAFETY: the calls of these tests write nothing but where their arguments point to, if anywhere.
    let result = unsafe { libc::syscall(number, first, second, third, fourth) };
    if result < 0 { std::io::Error::last_os_error().raw_os_error().unwrap_or(-1) } else { 0 }
}

#[test]
fn paths_that_the_kernel_refuses_are_refused_by_the_kernel() {
    let workshop = Workshop::new();
    workshop.write("file", "x", 0o644);
    let tree = tree_at(&workshop.place(), &workshop.publish());
    let view = tree.view();
    watched(in_place(&tree), Service::default(), move || {
        let here = libc::AT_FDCWD as usize;
        let open = |address: usize| failure(libc::SYS_openat, [here, address, 0, 0]);
        assert_eq!(open(0), libc::EFAULT);
        assert_eq!(open(8), libc::EFAULT);
        assert_eq!(open(usize::MAX - 3), libc::EFAULT);
        let long = [view.as_os_str().as_bytes(), &b"/x".repeat(5000), b"\0"].concat();
        assert_eq!(open(long.as_ptr() as usize), libc::ENAMETOOLONG);
        let endless = vec![b'/'; 10_000];
        assert_eq!(open(endless.as_ptr() as usize), libc::ENAMETOOLONG);
        // A path that ends with the last byte before memory that isn't there, and one that doesn't end there.
        let pages = rustix::param::page_size() * 2;
        // SAFETY: a new mapping that nothing else refers to; its second half is unmapped again.
        let address = unsafe {
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
            let map =
                libc::mmap(std::ptr::null_mut(), pages, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0);
            assert_ne!(map, libc::MAP_FAILED);
            libc::munmap(map.byte_add(pages / 2), pages / 2);
            map as usize
        };
        let path = CString::new(view.join("file").as_os_str().as_bytes()).expect("no NUL");
        let path = path.as_bytes_with_nul();
        for (end, expected) in [(0, 0), (1, libc::EFAULT)] {
            let begin = address + pages / 2 - path.len() + end;
            // SAFETY: both ends lie in the half that is mapped.
            unsafe { std::ptr::copy(path.as_ptr(), begin as *mut u8, path.len() - end) };
            assert_eq!(open(begin), expected);
        }
        let empty = c"";
        assert_eq!(open(empty.as_ptr() as usize), libc::ENOENT);
        let stat = path.as_ptr() as usize;
        assert_eq!(failure(libc::SYS_newfstatat, [here, stat, 16, 0]), libc::EFAULT);
    });
}

#[test]
fn ways_past_the_supervisor_are_closed() {
    let workshop = Workshop::new();
    workshop.write("file", "x", 0o755);
    let tree = tree_at(&workshop.place(), &workshop.publish());
    let view = tree.view();
    watched(in_place(&tree), Service::default(), move || {
        assert_eq!(fs::read_dir(&view).expect("readable").count(), 1);
        assert_eq!(failure(libc::SYS_io_uring_setup, [1, 0, 0, 0]), libc::ENOSYS);
        assert_eq!(failure(libc::SYS_open_by_handle_at, [0; 4]), libc::EPERM);
        assert_eq!(failure(libc::SYS_clone3, [0; 4]), libc::ENOSYS);
        assert_eq!(failure(libc::SYS_unshare, [libc::CLONE_NEWUSER as usize, 0, 0, 0]), libc::EPERM);
        assert_eq!(failure(libc::SYS_mount, [0; 4]), libc::EPERM);
        // x32's way of opening.
        let path = CString::new(view.join("file").as_os_str().as_bytes()).expect("no NUL");
        let arguments = [libc::AT_FDCWD as usize, path.as_ptr() as usize, 0, 0];
        assert_eq!(failure(0x4000_0000 | libc::SYS_openat, arguments), libc::ENOSYS);
        assert_eq!(
            fs::OpenOptions::new()
                .write(true)
                .open(view.join("file"))
                .map(drop)
                .map_err(|error| error.raw_os_error()),
            Err(Some(libc::EROFS))
        );
    });
    // Whoever isn't watched meets what nobody can open, root neither.
    let error = fs::read(tree.view().join("file")).expect_err("it isn't filled");
    assert_eq!(error.raw_os_error(), Some(libc::ENXIO));
    let error = std::process::Command::new(tree.view().join("file")).spawn().expect_err("it isn't filled");
    assert_eq!(error.raw_os_error(), Some(libc::EACCES));
}

#[test]
fn a_link_that_changes_all_the_time_never_shows_a_wrong_byte() {
    const FILES: usize = 400;
    let workshop = Workshop::new();
    for number in 0..FILES {
        workshop.write(&format!("d/{number}"), format!("{number:08}").repeat(100), 0o644);
    }
    let tree = tree_at(&workshop.place(), &workshop.publish());
    let (view, place) = (tree.view(), workshop.scratch.directory("links"));
    let seen = watched(in_place(&tree), Service::default(), move || {
        let (done, link) = (Arc::new(AtomicBool::new(false)), place.join("link"));
        symlink(view.join("d/0"), &link).expect("writable");
        let changer = {
            let (done, link) = (Arc::clone(&done), link.clone());
            std::thread::spawn(move || {
                for number in (0..FILES).cycle() {
                    let fresh = place.join("fresh");
                    let _ = symlink(view.join(format!("d/{number}")), &fresh);
                    let _ = fs::rename(&fresh, &link);
                    if done.load(Ordering::Relaxed) {
                        return;
                    }
                }
            })
        };
        let (mut right, mut refused) = (0, 0);
        for _ in 0..3000 {
            match fs::read(&link) {
                Ok(content) => {
                    assert_eq!(content.len(), 800);
                    assert!(content.chunks(8).all(|chunk| *chunk == content[..8]));
                    right += 1;
                }
                Err(error) => {
                    assert_eq!(error.raw_os_error(), Some(libc::ENXIO));
                    refused += 1;
                }
            }
        }
        done.store(true, Ordering::Relaxed);
        changer.join().expect("no panic");
        (right, refused)
    });
    println!("{} times the right content, {} times none", seen.0, seen.1);
    assert_eq!(seen.0 + seen.1, 3000);
}

#[test]
fn a_path_that_changes_in_memory_never_shows_a_wrong_byte() {
    let workshop = Workshop::new();
    for number in 0..10 {
        workshop.write(&format!("d/{number}"), [b'0' + number; 500], 0o644);
    }
    let tree = tree_at(&workshop.place(), &workshop.publish());
    let view = tree.view();
    watched(in_place(&tree), Service::default(), move || {
        let path: Arc<[AtomicU8]> = [view.join("d/0").as_os_str().as_bytes(), b"\0"]
            .concat()
            .into_iter()
            .map(AtomicU8::new)
            .collect();
        let (done, digit) = (Arc::new(AtomicBool::new(false)), path.len() - 2);
        let changer = {
            let (done, path) = (Arc::clone(&done), Arc::clone(&path));
            std::thread::spawn(move || {
                for number in (b'0'..=b'9').cycle() {
                    path[digit].store(number, Ordering::Relaxed);
                    if done.load(Ordering::Relaxed) {
                        return;
                    }
                }
            })
        };
        for _ in 0..500 {
            // SAFETY: the path ends with NUL whatever the digit is, and the buffer has room for what is read.
            unsafe {
                let descriptor = libc::openat(libc::AT_FDCWD, path.as_ptr().cast(), libc::O_RDONLY);
                if descriptor >= 0 {
                    let mut content = [0_u8; 600];
                    let length = libc::read(descriptor, content.as_mut_ptr().cast(), 600);
                    libc::close(descriptor);
                    assert_eq!(length, 500);
                    assert!(
                        content[0].is_ascii_digit() && content[..500].iter().all(|byte| *byte == content[0])
                    );
                }
            }
        }
        done.store(true, Ordering::Relaxed);
        changer.join().expect("no panic");
    });
}
