//! The environment of an OVF appliance, an XML file on a disc: Azure's form of it with custom data, and that of VMware and
//! others with properties. And the plain file that people put on such discs for µCernVM.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use super::{Found, MOST_USER_DATA, file, text_file};

pub(super) fn read(directory: &Path) -> Option<Found> {
    let plain = file(&directory.join("user-data.txt"), MOST_USER_DATA);
    let custom = file(&directory.join("CustomData.bin"), MOST_USER_DATA);
    let environment = ["ovf-env.xml", "OVF-ENV.XML"].iter().find_map(|name| text_file(&directory.join(name)));
    let mut found = environment.and_then(|text| parse(&text)).unwrap_or_default();
    found.user_data = found.user_data.or(custom).or(plain);
    found.facts = found.facts.checked();
    (found != Found::default()).then_some(found)
}

/// The few words that matter. What isn't XML has none.
fn parse(text: &str) -> Option<Found> {
    let mut reader = Reader::from_str(text);
    let mut found = Found::default();
    let mut element = String::new();
    loop {
        match reader.read_event().ok()? {
            Event::Start(start) => {
                element = name(&start);
                property(&start, &mut found);
            }
            Event::Empty(start) => property(&start, &mut found),
            Event::Text(text) => {
                let text = text.decode().ok()?.trim().to_owned();
                if !text.is_empty() {
                    set(&element, text, &mut found);
                }
            }
            Event::End(_) => element.clear(),
            Event::Eof => return Some(found),
            _ => {}
        }
    }
}

fn name(start: &BytesStart<'_>) -> String {
    String::from_utf8_lossy(start.local_name().as_ref()).to_ascii_lowercase()
}

/// `<Property oe:key="…" oe:value="…"/>`
fn property(start: &BytesStart<'_>, found: &mut Found) {
    if name(start) != "property" {
        return;
    }
    let attribute = |wanted: &[u8]| {
        let mut attributes = start.attributes().flatten();
        let attribute = attributes.find(|attribute| attribute.key.local_name().as_ref() == wanted)?;
        let value = std::str::from_utf8(&attribute.value).ok()?;
        Some(quick_xml::escape::unescape(value).ok()?.into_owned())
    };
    if let (Some(key), Some(value)) = (attribute(b"key"), attribute(b"value")) {
        set(&key.to_ascii_lowercase(), value, found);
    }
}

fn set(name: &str, value: String, found: &mut Found) {
    match name {
        "customdata" | "user-data" | "userdata" | "guestinfo.userdata" => {
            let compact: String = value.split_whitespace().collect();
            found.user_data = Some(STANDARD.decode(compact).unwrap_or_else(|_| value.into_bytes()));
        }
        "hostname" | "guestinfo.hostname" => found.facts.hostname = Some(value),
        "instance-id" => found.facts.instance_id = Some(value),
        "public-keys" | "guestinfo.ssh-keys" => {
            found.facts.public_keys.extend(value.lines().map(str::to_owned));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn azure_s_custom_data() {
        let found = parse(
            "<?xml version='1.0' encoding='utf-8'?><ns0:Environment xmlns:ns0='http://schemas.dmtf.org/ovf/environment/1' \
             xmlns:ns1='http://schemas.microsoft.com/windowsazure'><ns1:ProvisioningSection><ns1:Version>1.0</ns1:Version>\
             <ns1:LinuxProvisioningConfigurationSet><ns1:HostName>vm1</ns1:HostName><ns1:CustomData>aGVsbG8=</ns1:CustomData>\
             </ns1:LinuxProvisioningConfigurationSet></ns1:ProvisioningSection></ns0:Environment>",
        )
        .unwrap();
        assert_eq!(found.user_data.as_deref(), Some(&b"hello"[..]));
        assert_eq!(found.facts.hostname.as_deref(), Some("vm1"));
    }

    #[test]
    fn properties_of_an_appliance() {
        let found = parse(
            "<Environment xmlns:oe='http://schemas.dmtf.org/ovf/environment/1'><PropertySection>\
             <Property oe:key='user-data' oe:value='aGVsbG8='/><Property oe:key='hostname' oe:value='a&amp;b'/>\
             </PropertySection></Environment>",
        )
        .unwrap();
        assert_eq!(found.user_data.as_deref(), Some(&b"hello"[..]));
        assert_eq!(found.facts.hostname.as_deref(), Some("a&b"));
        assert_eq!(found.facts.clone().checked().hostname.as_deref(), Some("a&b"));
    }

    #[test]
    fn what_is_no_environment_has_nothing() {
        let scratch = varve_testkit::Scratch::new();
        assert_eq!(read(&scratch.join("")), None);
        fs::write(scratch.join("ovf-env.xml"), "<a><b></a>").unwrap();
        assert_eq!(read(&scratch.join("")), None);
        fs::write(scratch.join("user-data.txt"), "plain").unwrap();
        assert_eq!(read(&scratch.join("")).unwrap().user_data.as_deref(), Some(&b"plain"[..]));
    }
}
