//! Multipart mixes: parts in order, each read by its type; and `#cloud-config-archive`, which is the same as a list.

use mail_parser::{Message, MessageParser, MessagePart, MimeHeaders as _, PartType};

use super::Reader;
use crate::place::{Place, shown};
use crate::value::fields::Fields;
use crate::value::{Value, yaml};

/// What a part says that it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    CloudConfig,
    Script,
    Boothook,
    Include,
    Archive,
    Ucernvm,
    Amiconfig,
    Own,
}

/// More parts are refused.
const MAX_PARTS: usize = 500;
const MAX_DEPTH: usize = 8;

/// Whether text is a message: its first lines are headers, and one of them is of MIME's.
pub(super) fn is_mix(text: &str) -> bool {
    for line in text.trim_start_matches('\n').lines().take(40) {
        let Some((name, _)) = line.split_once(':') else {
            return line.starts_with([' ', '\t']) && !line.trim().is_empty();
        };
        if name.eq_ignore_ascii_case("content-type") || name.eq_ignore_ascii_case("mime-version") {
            return true;
        }
        let header = !line.starts_with('#')
            && (line.starts_with([' ', '\t'])
                || name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-'));
        let usual = [
            "from",
            "to",
            "subject",
            "date",
            "number-attachments",
            "content-disposition",
            "content-transfer-encoding",
        ];
        if !header || !(line.starts_with([' ', '\t']) || usual.contains(&name.to_ascii_lowercase().as_str()))
        {
            return false;
        }
    }
    false
}

pub(super) fn read(bytes: &[u8], reader: &mut Reader) {
    reader.form("mime");
    let start = bytes.iter().position(|byte| *byte != b'\n').unwrap_or(0);
    let Some(message) = MessageParser::default().parse(&bytes[start..]) else {
        return reader.notices.error(Place::default(), "a multipart mix that can't be taken apart");
    };
    if message.parts.len() > MAX_PARTS {
        return reader.notices.error(Place::default(), format!("more than {MAX_PARTS} parts"));
    }
    let before = reader.notices.part();
    part(&message, 0, 0, reader);
    reader.notices.set_part(before);
}

fn part(message: &Message<'_>, at: usize, depth: usize, reader: &mut Reader) {
    let Some(part_of) = message.parts.get(at) else { return };
    if depth > MAX_DEPTH {
        return reader.notices.error(Place::default(), "a mix within a mix, more often than anyone would");
    }
    match &part_of.body {
        PartType::Multipart(parts) => {
            parts.iter().for_each(|at| part(message, *at as usize, depth + 1, reader));
        }
        PartType::Message(inner) => part(inner, 0, depth + 1, reader),
        _ => leaf(part_of, reader),
    }
}

fn leaf(part: &MessagePart<'_>, reader: &mut Reader) {
    reader.notices.next_part();
    let contents = part.contents();
    if contents.trim_ascii().is_empty() {
        return;
    }
    let kind = part.content_type().map(|kind| {
        let subtype = kind.subtype().unwrap_or_default();
        format!("{}/{subtype}", kind.ctype()).to_ascii_lowercase()
    });
    reader.merge_type = header(part, &["Merge-Type", "X-Merge-Type"]);
    typed(contents, kind.as_deref(), part.attachment_name(), reader);
    reader.merge_type = None;
}

/// The text of the first of these headers that a part has.
fn header(part: &MessagePart<'_>, names: &[&str]) -> Option<String> {
    let header = part
        .headers
        .iter()
        .find(|header| names.iter().any(|name| header.name().eq_ignore_ascii_case(name)))?;
    header.value().as_text().map(str::to_owned)
}

/// Reads a part of a type.
fn typed(bytes: &[u8], kind: Option<&str>, name: Option<&str>, reader: &mut Reader) {
    let kind = match kind.unwrap_or("text/plain") {
        "text/cloud-config" => Some(Kind::CloudConfig),
        "text/x-shellscript"
        | "text/x-shellscript-per-boot"
        | "text/x-shellscript-per-instance"
        | "text/x-shellscript-per-once" => Some(Kind::Script),
        "text/cloud-boothook" => Some(Kind::Boothook),
        "text/x-include-url" | "text/x-include-once-url" => Some(Kind::Include),
        "text/cloud-config-archive" => Some(Kind::Archive),
        "text/ucernvm" => Some(Kind::Ucernvm),
        "text/amiconfig" | "text/amiconfig-user-data" => Some(Kind::Amiconfig),
        "text/varve" | "text/x-varve" | "application/toml" => Some(Kind::Own),
        "text/plain"
        | "text/html"
        | "application/octet-stream"
        | "application/x-gzip"
        | "application/gzip"
        | "multipart/mixed" => None,
        "text/part-handler" | "text/upstart-job" | "text/jinja2" | "text/cloud-config-jsonp" => {
            let message = format!("a part of the type {} is not read", kind.unwrap_or_default());
            return reader.notices.error(Place::default(), message);
        }
        other => {
            let name = name.map_or(String::new(), |name| format!(" ({})", shown(name)));
            let message = format!("a part of the type {}{name} is left out", shown(other));
            return reader.notices.warn(Place::default(), message);
        }
    };
    reader.bytes(bytes, kind);
}

/// `#cloud-config-archive`: a list of parts in YAML.
pub(super) fn archive(text: &str, reader: &mut Reader) {
    reader.form("cloud-config-archive");
    let Some(node) = reader.parsed(yaml::parse(text)) else { return };
    let Value::List(parts) = &node.value else {
        return reader.notices.error(node.place, "an archive of cloud-config is a list");
    };
    if parts.len() > MAX_PARTS {
        return reader.notices.error(node.place, format!("more than {MAX_PARTS} parts"));
    }
    let before = reader.notices.part();
    for part in parts {
        reader.notices.next_part();
        if let Some(text) = part.text() {
            typed(text.as_bytes(), None, None, reader);
            continue;
        }
        let Some(mut fields) = Fields::of(part, "cloud-config-archive", &mut reader.notices) else {
            continue;
        };
        let (kind, name, content) = (fields.text("type"), fields.text("filename"), fields.text("content"));
        let _ = fields.take("launch-index");
        fields.finish();
        typed(content.unwrap_or_default().as_bytes(), kind.as_deref(), name.as_deref(), reader);
    }
    reader.notices.set_part(before);
}
