//! `write_files` of cloud-config.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::document::Document;
use crate::place::Notices;
use crate::read::unpack;
use crate::sections::files::File;
use crate::text::{Mode, Owner, TargetPath};
use crate::value::fields::Fields;
use crate::value::{Node, Value};

pub(super) fn read(fields: &mut Fields<'_, '_>, document: &mut Document) {
    for node in fields.list("write_files") {
        document.files.extend(file(node, fields.notices));
    }
}

fn file(node: &Node, notices: &mut Notices) -> Option<File> {
    let mut fields = Fields::of(node, "write_files", notices)?;
    let place = fields.place;
    let path = match fields.text("path").map(|path| TargetPath::lenient(&path)) {
        Some(Ok(path)) => path,
        Some(Err(error)) => {
            fields.notices.error(place, format!("write_files: {error}"));
            return None;
        }
        None => {
            fields.notices.error(place, "write_files: a file without a path");
            return None;
        }
    };
    let mut file = File::at(path);
    let encoding = fields.text("encoding").unwrap_or_default();
    let bytes = match fields.take("content").map(|node| &node.value) {
        None => Vec::new(),
        Some(Value::Binary(bytes)) => bytes.clone(),
        Some(Value::List(_) | Value::Map(_)) => {
            fields.notices.error(place, "write_files: content is neither text nor bytes");
            return None;
        }
        Some(_) => fields.text("content").unwrap_or_default().into_bytes(),
    };
    match decoded(bytes, &encoding) {
        Ok(bytes) => file = file.with_bytes(bytes),
        Err(why) => {
            fields.notices.error(place, format!("write_files: {}: {why}", file.path));
            return None;
        }
    }
    if let Some(owner) = fields.text("owner") {
        match Owner::parse(&owner) {
            Ok(owner) => file.owner = Some(owner),
            Err(error) => fields.notices.error(place, format!("write_files: {error}")),
        }
    }
    file.mode = permissions(&mut fields);
    file.append = fields.truth("append").unwrap_or(false);
    file.after_packages = fields.truth("defer").unwrap_or(false);
    fields.without_meaning(&["source"], "nothing is fetched for it: give the content itself");
    fields.finish();
    Some(file)
}

/// `'0644'`, and `0644` without quotes, which YAML takes for a number.
fn permissions(fields: &mut Fields<'_, '_>) -> Option<Mode> {
    let node = fields.take("permissions")?;
    let mode = match &node.value {
        Value::Integer { value, text } if text.starts_with('0') => {
            u32::try_from(*value).ok().filter(|bits| *bits <= 0o7777).map(Mode)
        }
        _ => node.text().and_then(|text| Mode::parse(text).ok()),
    };
    if mode.is_none() {
        fields.notices.error(node.place, "permissions: not octal, such as '0644'");
    }
    mode
}

fn decoded(bytes: Vec<u8>, encoding: &str) -> Result<Vec<u8>, String> {
    let from_base64 = |bytes: Vec<u8>| {
        let packed: Vec<u8> = bytes.into_iter().filter(|byte| !byte.is_ascii_whitespace()).collect();
        STANDARD.decode(packed).map_err(|_| "its content is no base64".to_owned())
    };
    match encoding.trim().to_ascii_lowercase().as_str() {
        "" | "text/plain" => Ok(bytes),
        "b64" | "base64" => from_base64(bytes),
        "gz" | "gzip" => unpack::gunzip(&bytes),
        "gz+b64" | "gzip+b64" | "gz+base64" | "gzip+base64" => unpack::gunzip(&from_base64(bytes)?),
        other => Err(format!("the encoding {other:?} is not known")),
    }
}
