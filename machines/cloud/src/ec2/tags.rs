//! Tags as requests carry them.

use super::fault::Fault;
use super::parameters::{Parameters, shown};
use super::xml::Xml;
use crate::tag::{ResourceKind, Tag};

/// The most tags of one thing.
pub(crate) const MOST: usize = 50;
/// The longest key and the longest value, in characters.
const LONGEST_KEY: usize = 127;
const LONGEST_VALUE: usize = 255;
/// What keys of ours and of Amazon's begin with.
const RESERVED: [&str; 2] = ["aws:", "varve:"];

/// Takes `TagSpecification.N.…`, which may speak of one kind of thing only.
pub(crate) fn specifications(parameters: &mut Parameters, kind: ResourceKind) -> Result<Vec<Tag>, Fault> {
    let mut tags = Vec::new();
    for mut one in parameters.structures("TagSpecification") {
        let named = one.required("ResourceType")?;
        if named != kind.as_str() {
            let why = format!("Here only tags of {} can be given.", kind.as_str());
            return Err(one.invalid("ResourceType", &named, &why));
        }
        tags.extend(take(&mut one)?);
        one.finish()?;
    }
    unique(tags)
}

/// Takes `Tag.N.Key` and `Tag.N.Value`.
pub(crate) fn take(parameters: &mut Parameters) -> Result<Vec<Tag>, Fault> {
    let mut tags = Vec::new();
    for mut one in parameters.structures("Tag") {
        let tag = Tag { key: one.required("Key")?, value: one.take("Value").unwrap_or_default() };
        one.finish()?;
        check(&tag)?;
        tags.push(tag);
    }
    unique(tags)
}

/// Writes `tagSet`.
pub(crate) fn write(xml: &mut Xml, tags: &[Tag]) {
    if !tags.is_empty() {
        xml.list("tagSet", tags, |xml, tag| {
            xml.text("key", &tag.key);
            xml.text("value", &tag.value);
        });
    }
}

fn check(tag: &Tag) -> Result<(), Fault> {
    let invalid = |message: String| Err(Fault::new("InvalidParameterValue", message));
    if RESERVED.iter().any(|reserved| tag.key.starts_with(reserved)) {
        return invalid(format!("Tag keys starting with '{}' are reserved", RESERVED.join("' and '")));
    }
    if tag.key.chars().count() > LONGEST_KEY {
        return invalid(format!("Tag key exceeds the maximum length of {LONGEST_KEY} characters"));
    }
    if tag.value.chars().count() > LONGEST_VALUE {
        return invalid(format!("Tag value exceeds the maximum length of {LONGEST_VALUE} characters"));
    }
    // A record of text can't have it.
    if tag.key.contains('\0') || tag.value.contains('\0') {
        return invalid("A tag can't have a zero byte".to_owned());
    }
    Ok(())
}

fn unique(mut tags: Vec<Tag>) -> Result<Vec<Tag>, Fault> {
    tags.sort();
    if let Some(pair) = tags.windows(2).find(|pair| pair[0].key == pair[1].key) {
        let message = format!("Duplicate tag key '{}' specified", shown(&pair[0].key));
        return Err(Fault::new("InvalidParameterValue", message));
    }
    if tags.len() > MOST {
        return Err(Fault::new(
            "TagLimitExceeded",
            format!("The maximum number of Tags for a resource is {MOST}"),
        ));
    }
    Ok(tags)
}
