//! µCernVM's block: `key=value` between `[ucernvm-begin]` and `[ucernvm-end]`, for what happens before there is an operating
//! system.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::Reader;
use crate::place::{Place, nearest, shown};
use crate::sections::boot::Cluster;
use crate::sections::files::File;
use crate::text::{TargetPath, TextError, Word};
use crate::value::decode::truth;

const BEGIN: &str = "[ucernvm-begin]";
const END: &str = "[ucernvm-end]";

/// The keys, and what they became.
const KEYS: [(&str, &str); 16] = [
    ("resize_rootfs", "boot.whole-disk"),
    ("cvmfs_http_proxy", "boot.proxy"),
    ("cvmfs_pac_urls", "boot.proxy-scripts"),
    ("cvmfs_server", "boot.servers"),
    ("cvmfs_cdn", "boot.servers"),
    ("cvmfs_branch", "boot.repository"),
    ("cvmfs_tag", "boot.tag"),
    ("cvmfs_wait_on_squid", "boot.proxy-wait"),
    ("cernvm_path", "boot.directory"),
    ("cvmfs_path", "boot.directory"),
    ("cernvm_inject", "an archive that is unpacked at the first boot"),
    ("useglideinwms", "nothing"),
    ("use_boothd", "nothing"),
    ("cvm_cluster_pin", "boot.cluster.pin"),
    ("cvm_cluster_master", "boot.cluster.head"),
    ("cvm_service_url", "boot.cluster.service"),
];

/// Reads the first block and leaves empty lines in its place, so that what follows stands in the same lines.
pub(super) fn take(text: &str, reader: &mut Reader) -> String {
    let mut rest = String::with_capacity(text.len());
    let (mut inside, mut done) = (false, false);
    let mut begun = 0;
    for (number, line) in (1..).zip(text.split_inclusive('\n')) {
        match line.trim_end() {
            BEGIN if !inside && !done => {
                inside = true;
                begun = number;
                reader.form("ucernvm");
            }
            END if inside => (inside, done) = (false, true),
            key_value if inside => pair(key_value, Place::line(number), reader),
            _ => {
                rest += line;
                continue;
            }
        }
        rest.push('\n');
    }
    if inside {
        reader.notices.warn(Place::line(begun), format!("{BEGIN} without {END}: read to the end"));
    }
    rest
}

/// A part that is nothing but such lines, with or without the marks.
pub(super) fn read_all(text: &str, reader: &mut Reader) {
    if text.lines().any(|line| line.trim_end() == BEGIN) {
        take(text, reader);
        return;
    }
    reader.form("ucernvm");
    for (number, line) in (1..).zip(text.lines()) {
        pair(line.trim_end(), Place::line(number), reader);
    }
}

fn pair(line: &str, place: Place, reader: &mut Reader) {
    if line.trim().is_empty() || line.starts_with('#') {
        return;
    }
    let Some((key, value)) = line.split_once('=') else {
        return reader.notices.warn(place, format!("{} is no key=value", shown(line)));
    };
    let lower = key.trim().to_ascii_lowercase();
    let known: Vec<&str> = KEYS.iter().map(|(key, _)| *key).collect();
    if !known.contains(&lower.as_str()) {
        reader.notices.warn(place, format!("unknown key {}", shown(key)));
        if let Some(near) = nearest(&lower, &known) {
            reader.notices.hint(format!("did you mean {near:?}?"));
        }
        return;
    }
    if let Some((_, becomes)) = KEYS.iter().find(|(key, _)| *key == lower) {
        reader.mapping(place, lower.clone(), becomes);
    }
    if let Err(why) = apply(&lower, value.trim(), reader) {
        reader.notices.error(place, format!("{lower}: {why}"));
    }
}

fn apply(key: &str, value: &str, reader: &mut Reader) -> Result<(), String> {
    fn parsed<T: std::str::FromStr<Err = TextError>>(value: &str) -> Result<Option<T>, String> {
        value.parse().map(Some).map_err(|error: TextError| error.to_string())
    }
    let on = || truth(value).ok_or_else(|| format!("{} is neither on nor off", shown(value)));
    let document = &mut reader.document;
    let boot = &mut document.boot;
    match key {
        "resize_rootfs" => boot.whole_disk = Some(on()?),
        "cvmfs_http_proxy" => boot.proxy = parsed(value)?,
        "cvmfs_pac_urls" => {
            boot.proxy_scripts = words(value, ';')?;
        }
        "cvmfs_server" | "cvmfs_cdn" => {
            boot.servers = words(value, ',')?.iter().map(server).collect::<Result<_, _>>()?;
        }
        "cvmfs_branch" => boot.repository = parsed(value)?,
        "cvmfs_tag" => boot.tag = parsed(value)?,
        "cvmfs_wait_on_squid" => {
            boot.proxy_wait =
                Some(value.parse().map_err(|_| format!("{} is no number of seconds", shown(value)))?);
        }
        "cernvm_path" | "cvmfs_path" => boot.directory = parsed(value)?,
        "cernvm_inject" => inject(value, reader)?,
        "cvm_cluster_pin" => boot.cluster.get_or_insert_default().pin = parsed(value)?,
        "cvm_cluster_master" => boot.cluster.get_or_insert_default().head = on()?,
        "cvm_service_url" => boot.cluster.get_or_insert_with(Cluster::default).service = parsed(value)?,
        // Which of the two was found is nothing that the machine depends on any more.
        _ => {}
    }
    Ok(())
}

fn words(value: &str, separator: char) -> Result<Vec<Word>, String> {
    let words = value.split(separator).map(str::trim).filter(|word| !word.is_empty());
    words.map(|word| Word::parse(word).map_err(|error| error.to_string())).collect()
}

/// A bare name stands for the place where a stratum 1 has its repositories.
fn server(word: &Word) -> Result<Word, String> {
    if word.contains("://") {
        return Ok(word.clone());
    }
    Word::parse(format!("http://{word}/cvmfs/@fqrn@")).map_err(|error| error.to_string())
}

/// An archive that is unpacked over the root directory.
fn inject(value: &str, reader: &mut Reader) -> Result<(), String> {
    let bytes = STANDARD.decode(value).map_err(|_| "its base64 is none".to_owned())?;
    let path = TargetPath::of("/var/lib/varve/context/inject.tar.gz");
    reader.document.files.push(File::at(path).with_bytes(bytes));
    let content = "#!/bin/sh\ntar -C / -xzf /var/lib/varve/context/inject.tar.gz\n".to_owned();
    reader.script("inject", content, crate::plan::Stage::BeforeNetwork, false);
    Ok(())
}
