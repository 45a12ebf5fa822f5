//! Images made by hand, in every form, against what a repository has of them; and hostile ones.

use std::fs;
use std::num::NonZeroUsize;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use serde_json::{Value, json};
use tar::EntryType;
use varve_repository::{Node, RepositoryPath};
use varve_testkit::{ImageLayout, Scratch, gzip};

use super::{BlobProblem, ContainerError, ContainerRequest};
use crate::container::{Digest, path};
use crate::error::PublishError;
use crate::ingest::ArchiveProblem;
use crate::ingest::tests::{Made, short};
use crate::settings::Settings;
use crate::trial::{Outcome, Trial};

const NAME: &str = "registry.example.org/lab/tool:1";

fn empty(scratch: &Scratch, name: &str) -> ImageLayout {
    ImageLayout::new(&scratch.directory(name))
}

fn request(image: &Path) -> ContainerRequest {
    ContainerRequest {
        image: image.to_owned(),
        name: NAME.parse().expect("a name"),
        reference: None,
        platform: format!("linux/{}", std::env::consts::ARCH).parse().expect("a platform"),
        limit: 1 << 30,
        tag: None,
        threads: NonZeroUsize::MIN,
        memory: 1 << 20,
        now: UNIX_EPOCH + Duration::from_secs(1_600_000_000),
    }
}

fn refused(image: &Path) -> ContainerError {
    let mut trial = Trial::new(Settings::default());
    match trial.ingest_container(&request(image)) {
        Err(PublishError::Container(error)) => {
            assert!(trial.root.is_none());
            error
        }
        other => panic!("{:?}", other.map(drop)),
    }
}

/// Two layers with everything that layers can say.
fn layers() -> [Vec<u8>; 2] {
    let below = Made::new()
        .directory("./")
        .directory("etc")
        .file("etc/kept", "kept")
        .file("etc/changed", "1")
        .file("etc/gone", "gone")
        .file("opaque/hidden", "hidden")
        .file("whole/gone", "gone")
        .file("again/old", "old")
        .file("links/first", "same")
        .link("links/second", "links/first")
        .link("elsewhere", "links/first")
        .member("to-etc", EntryType::Symlink, "etc", b"")
        .file("was-file", "file")
        .end();
    let above = Made::new()
        .file("etc/changed", "22")
        .file("etc/.wh.gone", "")
        .file("opaque/shown", "shown")
        .file("opaque/.wh..wh..opq", "")
        .file(".wh.whole", "")
        .file(".wh.again", "")
        .file("again/new", "new")
        .file(".wh..wh.plnk", "")
        .file("links/.wh.first", "")
        .directory("was-file")
        .file("was-file/in", "in")
        .end();
    [below, above]
}

fn of_files(trial: &Trial, below: &str) -> Vec<String> {
    let lines = short(trial);
    let inside = lines.iter().filter_map(|line| line.strip_prefix(below));
    inside.filter(|line| line.starts_with('/') && line.contains(" f ")).map(str::to_owned).collect()
}

fn text(trial: &Trial, at: &RepositoryPath) -> String {
    let base = trial.base();
    let (parent, name) = at.split_last().expect("a file");
    let parent = base.find(&parent).expect("readable").expect("there");
    match &parent.child(name.as_bytes()).expect("there").node {
        Node::File(content) => String::from_utf8(trial.read(&base, content)).expect("text"),
        Node::Symlink { target } => String::from_utf8_lossy(target).into_owned(),
        other => panic!("{other:?}"),
    }
}

fn image_id(trial: &Trial) -> Digest {
    let target = text(trial, &path(NAME));
    Digest::from_digits(target.rsplit('/').next().expect("a name")).expect("a digest")
}

#[test]
fn layers_lie_over_each_other() {
    let scratch = Scratch::new();
    let layout = empty(&scratch, "image");
    let manifest = layout.image(&layers(), &json!({"Env": ["A=1"], "Cmd": ["/bin/tool"]}));
    layout.index(&[manifest]);
    let mut trial = Trial::new(Settings::default());
    let outcome = trial.ingest_container(&request(layout.path())).expect("sound");
    assert_eq!(outcome.walked.warnings, []);
    let id = image_id(&trial);
    let flat = id.root_directory().to_string();
    let own = |line: &&String| {
        !line.starts_with("/.singularity.d")
            && !line.starts_with("/.cvmfscatalog")
            && !line.contains(" 0:0 0 ")
    };
    let files = of_files(&trial, &flat);
    assert_eq!(
        files.iter().filter(own).collect::<Vec<_>>(),
        [
            "/again/new f 0640 7:8 3 1",
            "/elsewhere f 0640 7:8 4 1",
            "/etc/changed f 0640 7:8 2 1",
            "/etc/kept f 0640 7:8 4 1",
            "/links/second f 0640 7:8 4 1",
            "/opaque/shown f 0640 7:8 5 1",
            "/was-file/in f 0640 7:8 2 1",
        ]
    );
    let listing = short(&trial).join("\n");
    for made in ["/proc d 0755", "/tmp d 1777", "/var/tmp d 1777", "/etc/resolv.conf f 0644"] {
        assert!(listing.contains(&format!("{flat}{made}")), "{made} in {listing}");
    }
    // Overlays know what is hidden by devices and attributes.
    for device in ["/etc/gone c 0000", "/links/first c 0000", "/whole c 0000"] {
        assert!(listing.contains(&format!("layerfs{device} 0:0")), "{device} in {listing}");
    }
    let opaque: Vec<String> = trial
        .listing()
        .lines()
        .filter(|line| line.contains("trusted.overlay.opaque=79,user.overlay.opaque=79"))
        .map(|line| {
            line.split('\t').next().unwrap_or_default().rsplit('/').next().unwrap_or_default().to_owned()
        })
        .collect();
    assert_eq!(opaque, ["again", "opaque"]);
    trial.check_counters();
    let variables =
        text(&trial, &path(&format!("{}/.singularity.d/env/10-docker2singularity.sh", &flat[1..])));
    assert!(variables.contains("A='1'"), "{variables}");
    assert!(text(&trial, &path(&format!(".metadata/{NAME}/manifest.json"))).contains(&id.to_string()));
    assert!(text(&trial, &id.configuration()).contains("/bin/tool"));
    let images: Value =
        serde_json::from_str(&text(&trial, &path("podmanStore/overlay-images/images.json"))).expect("JSON");
    assert_eq!(images[0]["names"], json!([NAME]));
    let known: Value =
        serde_json::from_str(&text(&trial, &path("podmanStore/overlay-layers/layers.json"))).expect("JSON");
    assert_eq!(known[1]["parent"], known[0]["id"]);
    assert_eq!(images[0]["layer"], known[1]["id"]);
    let top = known[1]["id"].as_str().expect("text");
    let lower = text(&trial, &path(&format!("podmanStore/overlay/{top}/lower")));
    assert_eq!(
        text(&trial, &path(&format!("podmanStore/overlay/{lower}"))),
        format!("../{}/diff", known[0]["id"].as_str().expect("text"))
    );
}

#[test]
fn what_is_there_is_not_read_again() {
    let scratch = Scratch::new();
    let layout = empty(&scratch, "image");
    let [below, above] = layers();
    layout.index(&[layout.image(&[below.clone(), above.clone()], &json!({}))]);
    let mut trial = Trial::new(Settings::default());
    trial.ingest_container(&request(layout.path())).expect("sound");
    let again = trial.ingest_container(&request(layout.path())).expect("sound");
    assert!(again.catalogs.unchanged);
    assert_eq!((again.read.files, again.walked.entries), (0, 0));
    // The blobs of layers that are known need not even be there.
    let more = Made::new().file("more", "more").end();
    let other = empty(&scratch, "other");
    other.index(&[other.image(&[below, above, more], &json!({}))]);
    for file in fs::read_dir(layout.path().join("blobs/sha256")).expect("readable") {
        let name = file.expect("readable").file_name();
        let _ = fs::remove_file(other.path().join("blobs/sha256").join(name));
    }
    let before = short(&trial);
    let first = image_id(&trial);
    let second = trial.ingest_container(&request(other.path())).expect("sound");
    assert_eq!(second.walked.entries, 1);
    let id = image_id(&trial);
    assert_ne!(first, id);
    let flat = |id: &Digest| of_files(&trial, &id.root_directory().to_string());
    let mut expected = flat(&first);
    expected.push("/more f 0640 7:8 4 1".to_owned());
    expected.sort();
    let mut found = flat(&id);
    found.sort();
    assert_eq!(found, expected);
    assert!(before.len() < short(&trial).len());
    trial.check_counters();
    // The name is the new image's alone.
    let images: Value =
        serde_json::from_str(&text(&trial, &path("podmanStore/overlay-images/images.json"))).expect("JSON");
    let names: Vec<_> =
        images.as_array().expect("a list").iter().map(|image| image["names"].clone()).collect();
    assert!(names.contains(&json!([])) && names.contains(&json!([NAME])), "{names:?}");
}

#[test]
fn an_archive_and_dockers_form_give_the_same_tree() {
    let scratch = Scratch::new();
    let layout = empty(&scratch, "image");
    layout.index(&[layout.image(&layers(), &json!({"Cmd": ["x"]}))]);
    let mut expected = Trial::new(Settings::default());
    expected.ingest_container(&request(layout.path())).expect("sound");
    let archive = scratch.path().join("image.tar");
    let mut packing = std::process::Command::new("tar");
    packing.arg("-cf").arg(&archive).arg("-C").arg(layout.path()).arg(".");
    assert!(packing.status().expect("startable").success());
    let mut trial = Trial::new(Settings::default());
    trial.ingest_container(&request(&archive)).expect("sound");
    assert_eq!(trial.catalogs(), expected.catalogs());

    let docker = scratch.directory("docker");
    let id = image_id(&expected);
    let configuration = text(&expected, &id.configuration());
    fs::write(docker.join(format!("{}.json", id.digits())), configuration).expect("writable");
    for (name, layer) in ["0.tar", "1.tar"].iter().zip(layers()) {
        fs::write(docker.join(name), layer).expect("writable");
    }
    let manifest = json!([{"Config": format!("{}.json", id.digits()), "RepoTags": ["tool:1"],
        "Layers": ["0.tar", "1.tar"]}]);
    fs::write(docker.join("manifest.json"), manifest.to_string()).expect("writable");
    let mut trial = Trial::new(Settings::default());
    trial.ingest_container(&request(&docker)).expect("sound");
    let flat = id.root_directory().to_string();
    assert_eq!(of_files(&trial, &flat), of_files(&expected, &flat));
    fs::write(docker.join("0.tar"), layers()[1].clone()).expect("writable");
    assert!(matches!(
        refused(&docker),
        ContainerError::Blob { problem: BlobProblem::Size { .. }, .. }
            | ContainerError::Blob { problem: BlobProblem::Digest { .. }, .. }
    ));
}

#[test]
fn the_platform_and_the_name_choose() {
    let scratch = Scratch::new();
    let layout = empty(&scratch, "image");
    let one = |text: &str, os: &str, architecture: &str| {
        let layer = Made::new().file("which", text).end();
        let mut manifest = layout.image(&[layer], &json!({"Cmd": [text]}));
        manifest["platform"] = json!({"os": os, "architecture": architecture});
        manifest
    };
    let (amd, arm) = (one("amd", "linux", "amd64"), one("arm", "linux", "arm64"));
    let attestation = one("attestation", "unknown", "unknown");
    let inner = json!({"schemaVersion": 2, "manifests": [amd, arm, attestation]});
    let mut index = layout.blob("application/vnd.oci.image.index.v1+json", inner.to_string().as_bytes());
    index["annotations"] = json!({"org.opencontainers.image.ref.name": "both"});
    let mut other = one("other", "linux", "amd64");
    other["annotations"] = json!({"org.opencontainers.image.ref.name": "other"});
    layout.index(&[index, other]);
    assert!(matches!(refused(layout.path()), ContainerError::Ambiguous { .. }));
    let chosen = |reference: &str, platform: &str| {
        let mut trial = Trial::new(Settings::default());
        let request = ContainerRequest {
            reference: Some(reference.to_owned()),
            platform: platform.parse().expect("a platform"),
            ..request(layout.path())
        };
        trial.ingest_container(&request).map(|_| text(&trial, &image_id(&trial).configuration()))
    };
    assert!(chosen("both", "linux/x86_64").expect("there").contains("\"amd\""));
    assert!(chosen("both", "linux/arm64").expect("there").contains("\"arm\""));
    assert!(chosen("other", "linux/amd64").expect("there").contains("\"other\""));
    for (reference, platform) in [("both", "linux/riscv64"), ("nobody", "linux/amd64")] {
        let error = chosen(reference, platform).map(drop).expect_err("refused");
        assert!(
            matches!(
                error,
                PublishError::Container(ContainerError::NoPlatform { .. } | ContainerError::Ambiguous { .. })
            ),
            "{error}"
        );
    }
}

#[test]
fn damage_is_found() {
    let scratch = Scratch::new();
    for (number, twist) in ["layer", "config", "manifest", "missing", "longer"].into_iter().enumerate() {
        let layout = empty(&scratch, &number.to_string());
        let manifest = layout.image(&layers(), &json!({}));
        let blob = |descriptor: &Value| layout.blob_file(descriptor);
        let read: Value =
            serde_json::from_slice(&fs::read(blob(&manifest)).expect("readable")).expect("JSON");
        let file = match twist {
            "config" => blob(&read["config"]),
            "manifest" => blob(&manifest),
            _ => blob(&read["layers"][1]),
        };
        let mut bytes = fs::read(&file).expect("readable");
        match twist {
            "missing" => fs::remove_file(&file).expect("removable"),
            "longer" => {
                bytes.push(0);
                fs::write(&file, &bytes).expect("writable");
            }
            _ => {
                let middle = bytes.len() / 2;
                bytes[middle] ^= 1;
                fs::write(&file, &bytes).expect("writable");
            }
        }
        layout.index(&[manifest]);
        let error = refused(layout.path());
        match twist {
            "missing" => assert!(matches!(error, ContainerError::Missing { .. }), "{error}"),
            _ => assert!(
                matches!(error, ContainerError::Blob { .. } | ContainerError::Layer { .. }),
                "{twist}: {error}"
            ),
        }
    }
    // The compression says nothing of what is in it.
    let layout = empty(&scratch, "content");
    let [below, above] = layers();
    let blob = layout.blob("application/vnd.oci.image.layer.v1.tar+gzip", &gzip(&below));
    layout.index(&[layout.described(&[blob], &[Digest::of(&above).to_string()], &json!({}))]);
    let error = refused(layout.path());
    assert!(matches!(error, ContainerError::Blob { problem: BlobProblem::Content { .. }, .. }), "{error}");
    // As many layers as contents.
    let layout = empty(&scratch, "number");
    layout.index(&[layout.described(&[], &[Digest::of(&above).to_string()], &json!({}))]);
    assert!(matches!(refused(layout.path()), ContainerError::Layers { .. }));
    assert!(matches!(refused(&scratch.directory("empty")), ContainerError::NoImage { .. }));
    assert!(matches!(refused(&scratch.path().join("nowhere")), ContainerError::Open { .. }));
}

#[test]
fn hostile_images_are_refused() {
    let scratch = Scratch::new();
    let problem = |name: &str, layer: Vec<u8>| {
        let layout = empty(&scratch, name);
        layout.index(&[layout.image(&[layer], &json!({}))]);
        match refused(layout.path()) {
            ContainerError::Layer { source, .. } => source.problem,
            other => panic!("{other}"),
        }
    };
    let outside = Made::new().file("../../etc/passwd", "x").end();
    assert!(matches!(problem("outside", outside), ArchiveProblem::Name { .. }));
    let through = Made::new().member("link", EntryType::Symlink, "/etc", b"").file("link/passwd", "x").end();
    assert!(matches!(problem("through", through), ArchiveProblem::NoDirectory));
    let link = Made::new().link("shadow", "/etc/shadow").end();
    assert!(matches!(problem("link", link), ArchiveProblem::LinkTarget { .. }));
    // Devices are left out, those first that an overlay takes for whiteouts.
    let layout = empty(&scratch, "devices");
    let devices = Made::new()
        .member("null", EntryType::Char, "", b"")
        .member("disk", EntryType::Block, "", b"")
        .file("../file".trim_start_matches("../"), "x")
        .end();
    layout.index(&[layout.image(&[devices], &json!({}))]);
    let mut trial = Trial::new(Settings::default());
    let Outcome { walked, .. } = trial.ingest_container(&request(layout.path())).expect("sound");
    assert_eq!(walked.warnings.len(), 2);
    assert!(!short(&trial).iter().any(|line| line.contains(" c ") || line.contains(" b ")));
    // More than is allowed, packed well.
    let layout = empty(&scratch, "bomb");
    let bomb = Made::new().member("zeros", EntryType::Regular, "", &vec![0; 3 << 20]).end();
    layout.index(&[layout.image(&[bomb], &json!({}))]);
    let small = ContainerRequest { limit: 2 << 20, ..request(layout.path()) };
    let error = Trial::new(Settings::default()).ingest_container(&small).map(drop).expect_err("refused");
    assert!(format!("{error:?}").contains("sum of all files"), "{error:?}");
    // Nothing of the host is read in the place of a blob.
    let layout = empty(&scratch, "symbolic");
    fs::remove_file(layout.path().join("oci-layout")).expect("removable");
    std::os::unix::fs::symlink("/etc/hostname", layout.path().join("index.json")).expect("creatable");
    assert!(matches!(refused(layout.path()), ContainerError::Open { .. }));
    // Lists that lead to themselves, or to too much.
    let layout = empty(&scratch, "indexes");
    let mut inner = json!({"schemaVersion": 2, "manifests": []});
    for _ in 0..6 {
        let blob = layout.blob("application/vnd.oci.image.index.v1+json", inner.to_string().as_bytes());
        inner = json!({"schemaVersion": 2, "manifests": vec![blob; 30]});
    }
    fs::write(layout.path().join("index.json"), inner.to_string()).expect("writable");
    assert!(matches!(refused(layout.path()), ContainerError::TooLarge { .. }));
}
