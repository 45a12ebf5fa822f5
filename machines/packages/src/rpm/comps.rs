//! `comps.xml`: the groups that a repository defines.

use std::collections::BTreeMap;

use quick_xml::Reader;
use quick_xml::events::Event;

use super::repomd::{RpmError, attribute};

const FILE: &str = "comps.xml";

/// The names of each group's packages, optional ones left out; of environments, those of all their groups.
pub(crate) fn groups(text: &str) -> Result<BTreeMap<String, Vec<String>>, RpmError> {
    let mut reader = Reader::from_str(text);
    let mut groups: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut environments: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let (mut id, mut members, mut inner) = (String::new(), Vec::new(), Vec::new());
    let (mut words, mut wanted, mut optional) = (String::new(), false, false);
    loop {
        match reader.read_event().map_err(|source| RpmError::Xml { file: FILE, source })? {
            Event::Start(element) => {
                words.clear();
                match element.local_name().as_ref() {
                    b"group" | b"environment" => {
                        id.clear();
                        members.clear();
                        inner.clear();
                    }
                    b"optionlist" => optional = true,
                    b"packagereq" => {
                        let kind = attribute(&element, "type");
                        wanted = matches!(kind.as_deref(), None | Some("mandatory" | "default"));
                    }
                    _ => {}
                }
            }
            Event::Text(part) => words.push_str(&part.xml10_content().unwrap_or_default()),
            Event::End(element) => match element.local_name().as_ref() {
                b"id" => words.trim().clone_into(&mut id),
                b"packagereq" if wanted => members.push(words.trim().to_owned()),
                b"groupid" if !optional => inner.push(words.trim().to_owned()),
                b"optionlist" => optional = false,
                b"group" => drop(groups.insert(id.clone(), std::mem::take(&mut members))),
                b"environment" => drop(environments.insert(id.clone(), std::mem::take(&mut inner))),
                _ => {}
            },
            Event::Eof => break,
            _ => {}
        }
    }
    for (id, inner) in environments {
        let all = inner.iter().filter_map(|group| groups.get(group)).flatten().cloned().collect();
        groups.entry(id).or_insert(all);
    }
    Ok(groups)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_and_environments_are_read() {
        let text = r#"<comps><group><id>core</id><name>Core</name><packagelist><packagereq type="mandatory">bash</packagereq>
            <packagereq type="optional">zsh</packagereq><packagereq type="default">vim</packagereq></packagelist></group>
            <environment><id>server</id><grouplist><groupid>core</groupid></grouplist><optionlist><groupid>x</groupid>
            </optionlist></environment></comps>"#;
        let groups = groups(text).expect("because it is one");
        assert_eq!(groups["core"], ["bash", "vim"]);
        assert_eq!(groups["server"], ["bash", "vim"]);
    }
}
