//! Hostile user data: strings that want to be more than strings, and bytes that want to be much.

use std::io::Write as _;
use std::process::Command;

use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;
use serde_json::{Value, json};
use varve_context::{Content, Plan, read};

use super::machine::Machine;

/// A document with `text` wherever text of a person's choice can stand.
fn document(text: &str) -> Value {
    json!({
        "boot": { "tag": text, "proxy": text },
        "machine": { "hostname": text, "timezone": text, "locale": text, "keyboard": text, "time-servers": [text] },
        "groups": [{ "name": text }],
        "users": [{ "name": "ada", "full-name": text, "shell": text, "home": text, "sudo": [text], "ssh-keys": [text] }],
        "directory": { "ldap": text, "ldap-base": text, "lookups": { "passwd": text } },
        "ssh": { "root-keys": [text], "settings": { "Banner": text } },
        "storage": {
            "mounts": [{ "device": text, "path": "/data", "options": text, "kind": text }],
            "file-systems": [{ "device": text, "kind": text, "label": text }],
            "swap": { "size": text, "file": text }
        },
        "network": {
            "interfaces": [{ "name": text, "addresses": [text], "routes": [{ "to": text, "via": text }], "search": [text] }],
            "kernel": { "net.core.rmem_max": text }, "proxy": text, "name-servers": [text]
        },
        "repositories": {
            "proxy": text, "servers": [text], "cache": text,
            "mount": [{ "name": text, "revision": text, "servers": [text], "directory": text }]
        },
        "environment": { "SITE": text },
        "files": [{ "path": text, "owner": text, "after-packages": true }, { "path": "/etc/link", "link": text }],
        "packages": {
            "install": [{ "name": text, "version": text }], "remove": [text],
            "apt-sources": [{ "name": text, "line": text }], "dnf-sources": [{ "name": "site", "settings": { "baseurl": text } }]
        },
        "squid": { "servers": [text], "parents": [text], "cache": text },
        "htcondor": { "head": text, "pool": text, "settings": { "START": text }, "allow-write": text },
        "slurm": { "head": true, "controller": text, "nodes": [text], "settings": { "AccountingStorageHost": text } },
        "work-queue": { "project": text, "user": text },
        "xrootd": { "origin": text, "cache": text },
        "monitoring": { "ganglia": { "name": text, "host": text, "location": text } },
        "puppet": { "server": text, "main": { "log": text }, "request-attributes": { "pp_role": text } },
        "desktop": { "auto-login": text, "resolution": text },
        "services": { "enable": [text] },
        "scripts": [{ "name": text, "content": "true" }]
    })
}

/// Each section by itself, so that one that is refused doesn't hide the others.
fn sections(text: &str) -> Vec<String> {
    let Value::Object(sections) = document(text) else { return Vec::new() };
    sections.into_iter().map(|(name, section)| json!({ name: section }).to_string()).collect()
}

/// Every field alone: a document with `text` in one place and something harmless in the others.
fn fields(text: &str) -> Vec<String> {
    let mut documents = Vec::new();
    let mut at = 0;
    loop {
        let mut document = document("harmless");
        let mut seen = 0;
        if !place(&mut document, text, at, &mut seen) {
            return documents;
        }
        documents.push(document.to_string());
        at += 1;
    }
}

/// Puts `text` into the place number `at`; false when there are not as many.
fn place(value: &mut Value, text: &str, at: usize, seen: &mut usize) -> bool {
    match value {
        Value::String(old) if old == "harmless" => {
            let here = *seen == at;
            *seen += 1;
            if here {
                text.clone_into(old);
            }
            here
        }
        Value::Array(list) => list.iter_mut().any(|value| place(value, text, at, seen)),
        Value::Object(map) => map.values_mut().any(|value| place(value, text, at, seen)),
        _ => false,
    }
}

/// What is written, with the words taken out of every line but its first, so that only the shape is left.
fn shape(plan: &Plan) -> usize {
    plan.to_string().lines().count()
}

const TRICKS: [&str; 16] = [
    "x\nroot::0:0::/:/bin/sh",
    "x\r\n[Service]",
    "'; touch /pwned; '",
    "\"; touch /pwned; \"",
    "$(touch /pwned)",
    "`touch /pwned`",
    "x:0:0",
    "../../etc/shadow",
    "/etc/../etc/shadow",
    "x\\",
    "%n%H",
    "-o ProxyCommand=x",
    "x\u{2028}y",
    "a\0b",
    "]\n[x]",
    "x # y ; z",
];

#[test]
fn no_string_adds_a_line_anywhere() {
    let usual: Vec<usize> =
        fields("harmless").iter().map(|text| shape(&read(text.as_bytes()).document.plan())).collect();
    assert!(usual.len() > 70);
    for trick in TRICKS {
        for (text, usual) in fields(trick).iter().zip(&usual) {
            // What is refused takes its whole section with it.
            assert!(shape(&read(text.as_bytes()).document.plan()) <= *usual, "{trick:?} in {text}");
        }
    }
}

/// What a shell takes a variable of the plan's profile for.
fn in_a_shell(plan: &Plan, variable: &str) -> Option<String> {
    let file = plan.files().find(|file| file.path.as_str() == "/etc/profile.d/varve.sh")?;
    let Content::Text(text) = &file.content else { return None };
    let script = format!("{text}printf %s \"${variable}\"");
    let output = Command::new("/bin/sh").env_clear().args(["-euc", &script]).output().unwrap();
    assert!(output.status.success(), "{script}");
    String::from_utf8(output.stdout).ok()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn a_shell_reads_a_variable_as_it_was_given(text in "[ -~äß€]{0,40}") {
        let document = json!({ "environment": { "SITE": text } }).to_string();
        let plan = read(document.as_bytes()).document.plan();
        prop_assert_eq!(in_a_shell(&plan, "SITE"), Some(text));
    }

    #[test]
    fn a_command_of_words_gets_these_words(words in prop::collection::vec("[ -~\n\t]{0,20}", 1..4)) {
        let mut command = vec!["printf".to_owned(), "%s|".to_owned()];
        command.extend(words.iter().cloned());
        let document = format!("#cloud-config\n{}", json!({ "runcmd": [command] }));
        let context = read(document.as_bytes());
        let output = Command::new("/bin/sh").args(["-c", &context.document.scripts[0].content]).output().unwrap();
        let expected: String = words.iter().map(|word| format!("{word}|")).collect();
        prop_assert_eq!(String::from_utf8_lossy(&output.stdout).into_owned(), expected);
    }

    #[test]
    fn client_settings_hold_what_was_given(text in "[ -~]{1,40}") {
        let document = json!({ "repositories": { "proxy": text, "mount": [{ "name": "a.example.org", "proxy": text }] } });
        let plan = read(document.to_string().as_bytes()).document.plan();
        let file = plan.files().find(|file| file.path.as_str() == "/etc/varve/client.toml").unwrap();
        let Content::Text(settings) = &file.content else { panic!("text") };
        let settings: toml::Table = settings.parse().unwrap();
        prop_assert_eq!(settings["default"]["proxy"].as_str(), Some(text.as_str()));
        prop_assert_eq!(settings["repository"]["a.example.org"]["proxy"].as_str(), Some(text.as_str()));
        prop_assert_eq!(settings.len(), 2);
    }

    #[test]
    fn an_account_is_one_line_whatever_it_is_called(name in "[ -~\n]{0,20}") {
        if let Some(machine) = Machine::new() {
            let document = json!({ "users": [{ "name": "eve", "full-name": name }] }).to_string();
            let plan = read(document.as_bytes()).document.plan();
            plan.apply(machine.root(), 20_000).unwrap();
            let passwd = machine.text("/etc/passwd");
            prop_assert!(passwd.lines().count() <= 3);
            prop_assert!(passwd.lines().all(|line| line.matches(':').count() == 6));
        }
    }

    #[test]
    fn any_bytes_are_read(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = read(&bytes).document.plan();
    }

    #[test]
    fn any_words_of_the_forms_are_read(words in prop::collection::vec(prop::sample::select(WORDS.to_vec()), 0..30)) {
        let _ = read(words.concat().as_bytes()).document.plan();
    }
}

const WORDS: [&str; 26] = [
    "#cloud-config\n",
    "users:\n",
    "  - name: a\n",
    "[cernvm]\n",
    "[ucernvm-begin]\n",
    "[ucernvm-end]\n",
    "=",
    "#!/bin/sh\n",
    "exit 0\n",
    "\n",
    "Content-Type: multipart/mixed; boundary=b\n",
    "--b\n",
    "--b--\n",
    "#include\n",
    "http://x/\n",
    "network:\n",
    "  version: 2\n",
    "  ethernets: {a: {}}\n",
    "&a",
    "*a",
    "EC2_USER_DATA=",
    "\"",
    "write_files: [",
    "]\n",
    "\t",
    ": ",
];

fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn complaint(bytes: &[u8]) -> String {
    let context = read(bytes);
    assert!(context.has_errors());
    context.notices[0].message.clone()
}

#[test]
fn bombs_do_not_go_off() {
    let zeros = packed(&vec![b'#'; 64 << 20]);
    assert!(complaint(&zeros).contains("unpacks to more than"));
    let mut nested = b"#cloud-config\nhostname: x\n".to_vec();
    for _ in 0..20 {
        nested = packed(&nested);
    }
    assert!(complaint(&nested).contains("packed more often"));
    assert!(complaint(&vec![b'a'; 17 << 20]).contains("unpack to more than"));
    let deep = format!("#cloud-config\nx: {}", "[".repeat(100_000));
    assert!(!complaint(deep.as_bytes()).is_empty());
    let mix: String =
        (0..50).map(|n| format!("Content-Type: multipart/mixed; boundary=b{n}\n\n--b{n}\n")).collect();
    let _ = read(mix.as_bytes());
    let quotes = format!("EC2_USER_DATA=\"\n{}", "'\n".repeat(200_000));
    let _ = read(quotes.as_bytes());
}

#[test]
fn every_section_is_refused_or_whole() {
    for trick in TRICKS {
        for section in sections(trick) {
            let _ = read(section.as_bytes()).document.plan().to_string();
        }
    }
}
