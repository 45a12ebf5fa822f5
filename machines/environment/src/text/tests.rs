//! Documents are read as they were written, and mistakes in them are told.

use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use varve_content::{Algorithm, ContentHash};
use varve_repository::KeyFingerprint;

use super::*;
use crate::environment::{Architecture, EnvironmentName};
use crate::sha256::Sha256;

const TEXT: &str = r#"
version = 1
architecture = "x86_64"

[system]
repository = "os.example.org"
root = "38cb3870b263c3327ff694d0ab371c62d9c1d8da"
revision = 12
tag = "basic-1"
key = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

[[software]]
repository = "software.example.org"
root = "8eb208f7e05d987a9b044a8e98c6b087f15a0bfc-rmd160"
revision = 3
key = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

[image]
sha256 = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
size = 10485760

[variables]
SEED = "1\n\"ä\""

[entry]
command = ["python3", "-c", "print(1)"]
directory = "/work"

[hints]
name = "analysis-2012"
description = "what the paper was made with"

[hints.servers]
"os.example.org" = ["http://stratum1.example.org/cvmfs/@fqrn@"]
"#;

const CANONICAL: &str = concat!(
    r#"{"architecture":"x86_64","entry":{"command":["python3","-c","print(1)"],"directory":"/work"},"#,
    r#""image":{"sha256":"sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad","size":10485760},"#,
    r#""software":[{"key":"sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad","#,
    r#""repository":"software.example.org","revision":3,"root":"8eb208f7e05d987a9b044a8e98c6b087f15a0bfc-rmd160"}],"#,
    r#""system":{"key":"sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad","#,
    r#""repository":"os.example.org","revision":12,"root":"38cb3870b263c3327ff694d0ab371c62d9c1d8da","tag":"basic-1"},"#,
    r#""variables":{"SEED":"1\n\"ä\""},"version":1}"#,
);

fn read(text: &str) -> Environment {
    Environment::parse(text).expect("because it is a document")
}

fn told(text: &str) -> String {
    let error = Environment::parse(text).expect_err("because it is none");
    let mut told = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(error) = source {
        told = format!("{told}: {error}");
        source = error.source();
    }
    told
}

#[test]
fn the_canonical_form_is_what_the_documentation_says() {
    let environment = read(TEXT);
    assert_eq!(environment.canonical(), CANONICAL);
    assert_eq!(environment.id().to_string(), Sha256::of(CANONICAL.as_bytes()).to_string());
    let smallest = read("version = 1\narchitecture = 'aarch64'");
    assert_eq!(
        smallest.canonical(),
        r#"{"architecture":"aarch64","software":[],"variables":{},"version":1}"#
    );
}

#[test]
fn hints_and_order_are_no_part_of_the_id() {
    let environment = read(TEXT);
    let without = TEXT.split("[hints]").next().expect("because there is a first part");
    assert_eq!(read(without).id(), environment.id());
    let mut parts = environment.clone().into_parts();
    let mut first = parts.software[0].clone();
    first.repository = "a.example.org".parse().expect("a name");
    parts.software.push(first);
    let one = Environment::new(parts.clone()).expect("because it can be");
    parts.software.reverse();
    assert_eq!(Environment::new(parts).expect("because it can be"), one);
    assert_eq!(one.software[0].repository.as_str(), "a.example.org");
}

#[test]
fn a_changed_document_is_another_environment() {
    let text = read(TEXT).to_text();
    assert_eq!(read(&text).to_text(), text);
    let changed = text.replace("print(1)", "print(2)");
    assert!(matches!(Environment::parse(&changed), Err(TextError::OtherId { .. })), "{changed}");
    let line = changed.lines().find(|line| line.starts_with("id = ")).expect("because it has an id");
    assert_ne!(read(&changed.replace(line, "")).id(), read(&text).id());
}

#[test]
fn mistakes_are_told() {
    let head = "version = 1\narchitecture = 'x86_64'\n";
    let source = "repository = 'a.b'\nroot = '38cb3870b263c3327ff694d0ab371c62d9c1d8da'\nrevision = 1\nkey = \
                  'sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad'\n";
    for (text, expected) in [
        ("version = 2\nfuture = 1".to_owned(), "a document of version 2, but this program reads version 1"),
        (format!("{head}sofware = []"), "unknown key 'sofware' in line 3; did you mean 'software'?"),
        (
            format!("{head}[system]\n{source}tags = ''"),
            "unknown key 'system.tags' in line 8; did you mean 'tag'?",
        ),
        (format!("{head}[[software]]\nnonsense = 1"), "unknown key 'software.nonsense' in line 4"),
        (
            format!("{head}[[software]]\n{source}[[software]]\n{source}"),
            "a.b stands in the environment twice",
        ),
        (format!("{head}[system]\n{source}[[software]]\n{}", source.replace("= 1", "= 2")), "twice"),
        (format!("{head}[variables]\n'1A' = ''"), "'1A' is no name of a variable"),
        (format!("{head}[variables]\nA = \"\\u0000\""), "variable A has a zero byte in it"),
        (format!("{head}[entry]\ncommand = []\ndirectory = 'here'"), "'here' is not an absolute path"),
        (format!("{head}[hints]\nname = '../x'"), "'../x' is no name of an environment"),
        (format!("{head}[hints.servers]\n'a/b' = []"), "a repository's name can't be used"),
        (format!("{head}[image]\nsha256 = 'x'\nsize = 1"), "the digest of the image can't be used: 'x'"),
        (
            format!("{head}[system]\n{}", source.replace("root = '38", "root = '3")),
            "the root of a.b is no hash",
        ),
        (format!("{head}[system]\n{}", source.replace("sha256:b", "b")), "the key of a.b is no fingerprint"),
        (format!("{head}[system]\n{}", source.replace("= 1", "= -1")), "not the document of an environment"),
        (format!("{head}[system]\n{}", source.replace("= 1", "= 9007199254740992")), "too large"),
        ("architecture = 'x86_64'".to_owned(), "missing field `version`"),
        ("version = 1\narchitecture = 'vax'".to_owned(), "'vax' is no architecture"),
        ("version = ".to_owned(), "not the document of an environment"),
    ] {
        let told = told(&text);
        assert!(told.contains(expected), "{text}\n{told}\nlacks {expected}");
    }
    let long = "x".repeat(LARGEST_DOCUMENT + 1);
    assert!(matches!(Environment::parse(&long), Err(TextError::TooLarge { .. })));
}

#[test]
fn a_repository_may_be_system_and_software() {
    let mut parts = read(TEXT).into_parts();
    parts.software.push(parts.system.clone().expect("because it has one"));
    let environment = Environment::new(parts).expect("because both are one revision");
    assert_eq!((environment.software.len(), environment.sources().count()), (2, 2));
}

fn hash() -> impl Strategy<Value = ContentHash> {
    (0..3_usize, any::<[u8; 20]>())
        .prop_map(|(algorithm, digest)| ContentHash::from_digest(Algorithm::ALL[algorithm], digest))
}

fn source(repository: &'static str) -> impl Strategy<Value = Source> {
    (hash(), 0..1_u64 << 53, option::of("[^\\p{Cc}]{1,40}"), any::<[u8; 32]>()).prop_map(
        move |(root, revision, tag, key)| Source {
            repository: repository.parse().expect("a name"),
            root,
            revision,
            tag: tag.map(|tag| tag.parse().expect("a tag")),
            key: KeyFingerprint::from_digest(key),
        },
    )
}

/// Any text without zero bytes, line ends of all kinds among it.
fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[^\\x00]{0,40}", "['\"\\\\\r\n\t #=]{0,12}"]
}

fn name() -> impl Strategy<Value = EnvironmentName> {
    "[a-z0-9][a-z0-9._-]{0,8}x".prop_map(|name| name.parse().expect("a name"))
}

prop_compose! {
    fn environment()(
        architecture in 0..2_usize,
        system in option::of(source("os.example.org")),
        first in option::of(source("a.example.org")),
        second in option::of(source("b.example.org")),
        image in option::of((any::<[u8; 32]>(), 0..1_u64 << 53)),
        context in option::of(text()),
        variables in btree_map("[A-Za-z_][A-Za-z0-9_]{0,9}", text(), 0..4),
        entry in option::of((vec(text(), 0..4), option::of(text()))),
        name in option::of(name()),
        description in option::of(text()),
        servers in option::of(vec("http://[a-z]{1,9}/", 0..3)),
    ) -> Environment {
        let servers = servers.map(|servers| ("a.example.org".parse().expect("a name"), servers));
        Environment::new(EnvironmentParts {
            architecture: Architecture::ALL[architecture],
            system,
            software: second.into_iter().chain(first).collect(),
            image: image.map(|(digest, size)| Image { sha256: Sha256::from_digest(digest), size }),
            context,
            variables,
            entry: entry.map(|(command, directory)| Entry { command, directory: directory.map(|path| format!("/{path}")) }),
            hints: Hints { name, description, servers: servers.into_iter().collect() },
        }).expect("because every part can be")
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read(environment in environment()) {
        let text = environment.to_text();
        let read = Environment::parse(&text).expect("because it was written here");
        prop_assert_eq!(&read, &environment);
        prop_assert_eq!(read.id(), environment.id());
        prop_assert_eq!(read.to_text(), text);
        prop_assert!(crate::compare(&read, &environment).is_empty());
    }

    #[test]
    fn environments_are_equal_if_nothing_differs(one in environment(), other in environment()) {
        let same = crate::compare(&one, &other).is_empty();
        prop_assert_eq!(same, one.id() == other.id());
        prop_assert_eq!(same, one.canonical() == other.canonical());
    }

    #[test]
    fn no_text_makes_it_panic(text in "\\PC{0,200}") {
        let _ = Environment::parse(&text);
    }
}
