//! Small files that came along with one that was touched.

use std::fs;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::sync::Arc;

use varve_repository::{Location, RepositoryError, Snapshot};
use varve_sandbox::fill::{Contents, Service, Tree};
use varve_store::Deadline;

use crate::watched::{OPTIONS, deadline, in_place, watched};
use crate::workshop::Workshop;

/// Contents of which all of a catalog come at once; one of them is damaged.
struct AllAtOnce(Snapshot);

impl Contents for AllAtOnce {
    fn read(
        &self,
        file: &Location,
        offset: u64,
        buffer: &mut [u8],
        deadline: Deadline,
    ) -> Result<usize, RepositoryError> {
        if file.entry().name() == b"damaged" {
            return Err(RepositoryError::NotAFile { path: file.path().to_string() });
        }
        self.0.read(file, offset, buffer, deadline)
    }

    fn beside(&self, file: &Location) -> Vec<Location> {
        let catalog = file.catalog();
        (0..catalog.index().len()).filter_map(|row| Location::new(Arc::clone(catalog), row)).collect()
    }

    fn link_target(&self, published: &[u8]) -> Vec<u8> {
        published.to_vec()
    }
}

#[test]
fn one_touch_fills_what_came_along_in_its_directory_and_nothing_else() {
    let workshop = Workshop::new();
    for number in 0..40 {
        workshop.write(&format!("here/file{number:02}"), format!("content {number}"), 0o640);
    }
    workshop.write("here/twice", "two names", 0o644);
    fs::hard_link(workshop.tree.join("here/twice"), workshop.tree.join("here/two")).expect("linkable");
    workshop.write("here/below/other", "elsewhere", 0o644);
    workshop.write("there/other", "elsewhere", 0o644);
    let snapshot = workshop.publish();
    let published = fs::metadata(workshop.tree.join("here")).expect("it is there");
    let contents = Arc::new(AllAtOnce(snapshot.clone()));
    let tree = Tree::open(&workshop.place(), snapshot, contents, &OPTIONS, deadline()).expect("a tree");
    let view = tree.view();
    watched(in_place(&tree), Service::default(), move || fs::read(view.join("here/file07")))
        .expect("readable");

    // Past the supervisor: whatever isn't filled is a socket.
    let here = tree.view().join("here");
    for number in 0..40 {
        let path = here.join(format!("file{number:02}"));
        assert_eq!(fs::read_to_string(&path).expect("filled"), format!("content {number}"));
        let (found, wanted) = (
            fs::metadata(&path),
            fs::metadata(workshop.tree.join("here").join(path.file_name().expect("it has one"))),
        );
        let (found, wanted) = (found.expect("filled"), wanted.expect("published"));
        assert_eq!((found.mode(), found.mtime()), (wanted.mode(), wanted.mtime()));
    }
    for name in ["twice", "two"] {
        let kind = fs::symlink_metadata(here.join(name)).expect("it is there").file_type();
        assert!(kind.is_socket(), "{name}");
    }
    assert!(!tree.view().join("there/other").exists() && !here.join("below/other").exists());
    assert_eq!(fs::metadata(&here).expect("it is there").mtime(), published.mtime());
}

#[test]
fn one_that_cannot_be_had_is_told_to_whoever_touches_it() {
    let workshop = Workshop::new();
    for name in ["damaged", "sound"] {
        workshop.write(name, name, 0o644);
    }
    let snapshot = workshop.publish();
    let contents = Arc::new(AllAtOnce(snapshot.clone()));
    let tree = Tree::open(&workshop.place(), snapshot, contents, &OPTIONS, deadline()).expect("a tree");
    let view = tree.view();
    let (sound, damaged) = watched(in_place(&tree), Service::default(), move || {
        (fs::read(view.join("sound")), fs::read(view.join("damaged")))
    });
    assert_eq!(sound.expect("readable"), b"sound");
    assert!(damaged.is_err());
    let damaged = fs::symlink_metadata(tree.view().join("damaged")).expect("it is there");
    assert!(damaged.file_type().is_socket());
}
