//! User data of every form into a [`Document`]. Pure: nothing is fetched, nothing is written.
//!
//! A form is known by how it begins, or by the type that a multipart mix gives it:
//!
//! ```text
//! 1f 8b, base64                     unpacked, and read again            unpack
//! Content-Type:, MIME-Version:      parts, each read by its type        mime
//! #cloud-config                     cloud-config                        cloud_config
//! #!                                a script; INI may follow its exit   script
//! #include                          references                          reference
//! [amiconfig], [cernvm], …          amiconfig's INI                     amiconfig
//! EC2_USER_DATA=, ONE_CONTEXT_PATH= context.sh, CernVM Online           context_sh
//! everything else                   Varve's own, in TOML or YAML        native
//! ```
//!
//! Lines between `[ucernvm-begin]` and `[ucernvm-end]` are read first, wherever they stand in text, and are gone for the
//! other forms.

mod amiconfig;
mod cloud_config;
mod context_sh;
mod hepix;
mod ini;
mod merge;
mod mime;
mod native;
mod reference;
mod script;
mod ucernvm;
mod unpack;

pub use reference::Reference;

use crate::document::Document;
use crate::place::{Notice, Notices, Place, Severity};
use crate::value::{Node, SyntaxError, yaml};

/// What was read.
#[derive(Debug, Default)]
pub struct Context {
    /// What the machine is to become, as far as it was understood.
    pub document: Document,
    /// What is to be fetched and read as well, in order.
    pub references: Vec<Reference>,
    /// What each key of a legacy form became, in order.
    pub mappings: Vec<Mapping>,
    /// The forms that were found.
    pub forms: Vec<&'static str>,
    /// What is wrong or was left out, in the order of the user data.
    pub notices: Vec<Notice>,
}

/// A key of a legacy form.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Mapping {
    /// Where it stands.
    pub place: Place,
    /// The key, with its section.
    pub key: String,
    /// What it became: a key of the document, or words.
    pub becomes: &'static str,
}

impl Context {
    /// Whether anything is wrong.
    pub fn has_errors(&self) -> bool {
        self.notices.iter().any(|notice| notice.severity == Severity::Error)
    }
}

/// Reads user data.
pub fn read(bytes: &[u8]) -> Context {
    let mut reader = Reader::default();
    reader.bytes(bytes, None);
    reader.finish()
}

/// Reads what a HEPIX context has: a script that runs before everything, and one that runs after it.
pub fn read_hepix(prolog: Option<&[u8]>, epilog: Option<&[u8]>) -> Context {
    let mut reader = Reader::default();
    hepix::read(prolog, epilog, &mut reader);
    reader.finish()
}

/// Reads network configuration of cloud-init's, which sources of user data give beside these.
pub fn read_network(bytes: &[u8]) -> Context {
    let mut reader = Reader::default();
    reader.form("network configuration");
    match std::str::from_utf8(bytes) {
        Ok(text) if text.len() <= unpack::MAX_UNPACKED => {
            if let Some(node) = reader.parsed(yaml::parse(text)) {
                cloud_config::network::configuration(&node, &mut reader.notices, &mut reader.document);
            }
        }
        _ => reader.notices.error(Place::default(), "network configuration that is no text"),
    }
    reader.finish()
}

/// How often something may be wrapped into something else.
const MAX_WRAPPINGS: usize = 8;

/// What has been read so far.
#[derive(Debug, Default)]
struct Reader {
    document: Document,
    references: Vec<Reference>,
    mappings: Vec<Mapping>,
    forms: Vec<&'static str>,
    notices: Notices,
    /// All parts that are cloud-config, merged: it is made a document of at the end, as cloud-init does.
    cloud_config: Option<Node>,
    /// How the part that is being read is to be merged, by its header.
    merge_type: Option<String>,
    /// How deep something is wrapped.
    wrappings: usize,
    /// How much has been unpacked, all in all.
    unpacked: usize,
}

impl Reader {
    fn finish(mut self) -> Context {
        if let Some(node) = self.cloud_config.take() {
            self.mappings.extend(cloud_config::mappings(&node));
            self.document.merge(cloud_config::read(&node, &mut self.notices));
        }
        let notices = self.notices.into_list();
        Context {
            document: self.document,
            references: self.references,
            mappings: self.mappings,
            forms: self.forms,
            notices,
        }
    }

    fn mapping(&mut self, place: Place, key: String, becomes: &'static str) {
        let part = if place.part == 0 { self.notices.part() } else { place.part };
        self.mappings.push(Mapping { place: Place { part, ..place }, key, becomes });
    }

    fn form(&mut self, form: &'static str) {
        if !self.forms.contains(&form) {
            self.forms.push(form);
        }
    }

    /// Reads bytes, of a type that is known or not.
    fn bytes(&mut self, bytes: &[u8], kind: Option<mime::Kind>) {
        let place = Place::default();
        self.unpacked += bytes.len();
        if self.unpacked > unpack::MAX_UNPACKED {
            let message = format!("the user data unpack to more than {} bytes", unpack::MAX_UNPACKED);
            return self.notices.error(place, message);
        }
        if self.wrappings >= MAX_WRAPPINGS {
            return self.notices.error(place, "packed more often than anyone would");
        }
        self.wrappings += 1;
        self.wrapped(bytes, kind);
        self.wrappings -= 1;
    }

    fn wrapped(&mut self, bytes: &[u8], kind: Option<mime::Kind>) {
        if unpack::is_gzip(bytes) {
            self.form("gzip");
            return match unpack::gunzip(bytes) {
                Ok(unpacked) => self.bytes(&unpacked, kind),
                Err(why) => self.notices.error(Place::default(), why),
            };
        }
        if let Some(unpacked) = unpack::base64(bytes) {
            self.form("base64");
            return self.bytes(&unpacked, kind);
        }
        let Ok(text) = std::str::from_utf8(bytes) else {
            if bytes.iter().all(u8::is_ascii_whitespace) {
                return;
            }
            return self.notices.error(Place::default(), "neither text nor anything that is known");
        };
        if text.contains('\0') {
            return self.notices.error(Place::default(), "text with NUL bytes in it");
        }
        // Windows' line ends mean nothing to any form, and break scripts.
        let text = text.trim_start_matches('\u{feff}').replace("\r\n", "\n");
        match kind {
            Some(kind) => self.part(&text, kind),
            None => self.text(&text),
        }
    }

    /// Reads text whose form must be found out.
    fn text(&mut self, text: &str) {
        if text.trim().is_empty() {
            return;
        }
        if mime::is_mix(text) {
            return mime::read(text.as_bytes(), self);
        }
        let text = &ucernvm::take(text, self);
        let Some(first) = text.lines().map(str::trim_end).find(|line| !line.is_empty()) else { return };
        if first.starts_with("#cloud-config-archive") {
            mime::archive(text, self);
        } else if first.starts_with(cloud_config::HEADING) {
            self.cloud_config(text);
        } else if first.starts_with("#cloud-boothook") {
            self.part(text, mime::Kind::Boothook);
        } else if first.starts_with("#include") {
            reference::read(text, self);
        } else if first.starts_with("#!") {
            script::read(text, self);
        } else if let Some(what) = unsupported(first) {
            self.notices.error(Place::line(1), what);
        } else if context_sh::is(text) {
            context_sh::read(text, self);
        } else if amiconfig::is(text) {
            amiconfig::read(text, self);
        } else {
            native::read(text, self);
        }
    }

    fn part(&mut self, text: &str, kind: mime::Kind) {
        match kind {
            mime::Kind::CloudConfig => self.cloud_config(text),
            mime::Kind::Script => script::read(text, self),
            mime::Kind::Boothook => script::boothook(text, self),
            mime::Kind::Include => reference::read(text, self),
            mime::Kind::Archive => mime::archive(text, self),
            mime::Kind::Ucernvm => ucernvm::read_all(text, self),
            mime::Kind::Amiconfig => {
                let text = ucernvm::take(text, self);
                amiconfig::read(&text, self);
            }
            mime::Kind::Own => native::read(text, self),
        }
    }

    fn cloud_config(&mut self, text: &str) {
        self.form("cloud-config");
        match self.parsed(yaml::parse(text)) {
            Some(node) => merge::merge(&mut self.cloud_config, node, self.merge_type.take().as_deref()),
            None => self.notices.hint("cloud-config is YAML: check the indentation and the quotes"),
        }
    }

    /// A syntax error becomes a notice.
    fn parsed(&mut self, result: Result<Node, SyntaxError>) -> Option<Node> {
        match result {
            Ok(mut node) => {
                node.stamp(self.notices.part());
                Some(node)
            }
            Err(error) => {
                self.notices.error(error.place, error.message);
                None
            }
        }
    }
}

/// What is known and not read.
fn unsupported(first: &str) -> Option<&'static str> {
    const KNOWN: [(&str, &str); 5] = [
        ("#part-handler", "a part handler is a Python program of cloud-init: it is not run"),
        ("#upstart-job", "a job for upstart: write a unit of systemd"),
        ("## template:", "a template: render it before it is given to the machine"),
        (
            "ENCRYPTED:",
            "a context that CernVM Online encrypted: decrypt it by `openssl enc -d -aes-256-cfb8 -md md5`",
        ),
        ("{\"ignition\"", "a configuration of Ignition"),
    ];
    KNOWN.iter().find(|(start, _)| first.starts_with(start)).map(|(_, what)| *what)
}
