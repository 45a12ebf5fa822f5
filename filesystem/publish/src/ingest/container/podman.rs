//! What makes the layers of a repository an additional image store of Podman: its lists of images and layers, and per layer how
//! it lies over others. Pure: the lists that are there in, those with one more image out.

use serde_json::{Map, Value, json};
use sha2::Digest as _;

use super::choice::Chosen;
use crate::container::Digest;

/// Where the store is in a repository.
pub(super) const STORE: &str = "podmanStore";

/// A layer over the ones below it.
pub(super) struct ChainLayer {
    /// Names the layer together with all below it: the same one over others is another one.
    pub(super) id: String,
    parent: Option<String>,
    /// A shorter name, since the kernel takes a limited number of bytes.
    pub(super) link: String,
    /// The short names of what lies below, the highest first.
    pub(super) lower: Option<String>,
    /// The blob.
    pub(super) digest: Digest,
    size: u64,
    content: Digest,
    content_size: u64,
}

/// The layers of an image; `content_sizes` are the sizes of their archives without compression.
pub(super) fn chain(image: &Chosen, content_sizes: &[u64]) -> Vec<ChainLayer> {
    let mut chain: Vec<ChainLayer> = Vec::new();
    for (layer, &content_size) in image.layers.iter().zip(content_sizes) {
        let below = chain.last();
        let id = match below {
            None => layer.content.digits().to_owned(),
            Some(below) => {
                Digest::of(format!("{}+{}", below.id, layer.content.digits()).as_bytes()).digits().to_owned()
            }
        };
        let lower = below.map(|below| match &below.lower {
            None => format!("l/{}", below.link),
            Some(lower) => format!("l/{}:{lower}", below.link),
        });
        chain.push(ChainLayer {
            parent: below.map(|below| below.id.clone()),
            link: short(&id),
            lower,
            id,
            digest: layer.digest.clone(),
            size: layer.size,
            content: layer.content.clone(),
            content_size,
        });
    }
    chain
}

/// 26 letters and digits that follow from an id.
fn short(id: &str) -> String {
    const LETTERS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let sum = sha2::Sha256::digest(id);
    sum.iter().take(26).map(|byte| char::from(LETTERS[usize::from(byte % 32)])).collect()
}

/// The list of layers with these in it; `None` if `known` is no list.
pub(super) fn layers(known: Option<&[u8]>, chain: &[ChainLayer], now: &str) -> Option<Vec<u8>> {
    let mut list = read(known)?;
    for layer in chain {
        if list.iter().any(|other| other.get("id").and_then(Value::as_str) == Some(&layer.id)) {
            continue;
        }
        let mut entry = described(&layer.digest, layer.size, &layer.content, layer.content_size, now);
        entry.insert("id".to_owned(), json!(layer.id));
        if let Some(parent) = &layer.parent {
            entry.insert("parent".to_owned(), json!(parent));
        }
        list.push(entry.into());
    }
    Some(Value::from(list).to_string().into_bytes())
}

/// What is kept beside a layer.
pub(super) fn layer_record(
    digest: &Digest,
    size: u64,
    content: &Digest,
    content_size: u64,
    now: &str,
) -> Vec<u8> {
    let mut entry = described(digest, size, content, content_size, now);
    entry.insert("id".to_owned(), json!(content.digits()));
    Value::from(vec![Value::from(entry)]).to_string().into_bytes()
}

/// The digest and size without compression that such a record tells.
pub(super) fn recorded(record: &[u8]) -> Option<(Digest, u64)> {
    let list = read(Some(record))?;
    let entry = list.first()?;
    Some((entry.get("diff-digest")?.as_str()?.parse().ok()?, entry.get("diff-size")?.as_u64()?))
}

fn described(
    digest: &Digest,
    size: u64,
    content: &Digest,
    content_size: u64,
    now: &str,
) -> Map<String, Value> {
    Map::from_iter([
        ("created".to_owned(), json!(now)),
        ("compressed-diff-digest".to_owned(), json!(digest.to_string())),
        ("compressed-size".to_owned(), json!(size)),
        ("diff-digest".to_owned(), json!(content.to_string())),
        ("diff-size".to_owned(), json!(content_size)),
    ])
}

/// The files of an image, by the names that Podman encodes.
pub(super) fn files(image: &Chosen) -> [(String, &[u8]); 3] {
    [
        ("manifest".to_owned(), &image.manifest),
        (format!("manifest-{}", Digest::of(&image.manifest)), &image.manifest),
        (image.id.to_string(), &image.configuration),
    ]
}

/// The list of images with this one in it under that name, which no other has then; `None` if `known` is no list.
pub(super) fn images(
    known: Option<&[u8]>,
    image: &Chosen,
    name: &str,
    top: Option<&ChainLayer>,
    now: &str,
) -> Option<Vec<u8>> {
    let mut list = read(known)?;
    let mut names = vec![name.to_owned()];
    let mut created = now.to_owned();
    list.retain_mut(|other| {
        let is_it = other.get("id").and_then(Value::as_str) == Some(image.id.digits());
        if let Some(Value::Array(known)) = other.get_mut("names") {
            known.retain(|known| known.as_str() != Some(name));
            if is_it {
                names.extend(known.iter().filter_map(|known| Some(known.as_str()?.to_owned())));
            }
        }
        if let (true, Some(known)) = (is_it, other.get("created").and_then(Value::as_str)) {
            known.clone_into(&mut created);
        }
        !is_it
    });
    names.sort();
    let files = files(image);
    let by_name = |value: &dyn Fn(&[u8]) -> Value| -> Map<String, Value> {
        files.iter().map(|(name, bytes)| (name.clone(), value(bytes))).collect()
    };
    list.push(json!({
        "id": image.id.digits(),
        "digest": Digest::of(&image.manifest).to_string(),
        "names": names,
        "layer": top.map_or("", |top| &top.id),
        "metadata": "{}",
        "big-data-names": files.iter().map(|(name, _)| name).collect::<Vec<_>>(),
        "big-data-sizes": by_name(&|bytes| json!(bytes.len())),
        "big-data-digests": by_name(&|bytes| json!(Digest::of(bytes).to_string())),
        "created": created,
    }));
    list.sort_by(|left, right| left["id"].as_str().cmp(&right["id"].as_str()));
    Some(Value::from(list).to_string().into_bytes())
}

fn read(known: Option<&[u8]>) -> Option<Vec<Value>> {
    match known {
        None => Some(Vec::new()),
        Some(known) if known.trim_ascii() == b"null" => Some(Vec::new()),
        Some(known) => serde_json::from_slice(known).ok(),
    }
}
