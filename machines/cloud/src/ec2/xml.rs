//! The documents that EC2 answers with: a writer that can't write what isn't well-formed.

use std::fmt::{self, Display, Write as _};

/// The namespace of all answers.
pub(crate) const NAMESPACE: &str = "http://ec2.amazonaws.com/doc/2016-11-15/";

/// A document that grows. Names are constants of ours, texts are quoted.
#[derive(Debug)]
pub(crate) struct Xml {
    out: String,
}

impl Xml {
    /// An empty document.
    pub(crate) fn document() -> Self {
        Self { out: "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".to_owned() }
    }

    /// A document whose outermost element is an action's answer.
    pub(crate) fn response(action: &str, request_id: &str, inner: impl FnOnce(&mut Self)) -> String {
        let mut xml = Self::document();
        // Failing is not in it: the writer is a string.
        let _ = write!(xml.out, "<{action}Response xmlns=\"{NAMESPACE}\">");
        xml.text("requestId", request_id);
        inner(&mut xml);
        let _ = write!(xml.out, "</{action}Response>");
        xml.finish()
    }

    /// An element with others in it.
    pub(crate) fn element(&mut self, name: &str, inner: impl FnOnce(&mut Self)) {
        self.out.push('<');
        self.out.push_str(name);
        self.out.push('>');
        inner(self);
        self.out.push_str("</");
        self.out.push_str(name);
        self.out.push('>');
    }

    /// An element with text in it.
    pub(crate) fn text(&mut self, name: &str, value: impl Display) {
        self.element(name, |xml| xml.words(value));
    }

    /// Text in the element that is being written.
    pub(crate) fn words(&mut self, value: impl Display) {
        // Failing is not in it: the writer is a string.
        let _ = write!(Quoting(&mut self.out), "{value}");
    }

    /// The same, if there is a value.
    pub(crate) fn optional(&mut self, name: &str, value: Option<impl Display>) {
        if let Some(value) = value {
            self.text(name, value);
        }
    }

    /// A list: `<name><item>…</item>…</name>`.
    pub(crate) fn list<T>(
        &mut self,
        name: &str,
        items: impl IntoIterator<Item = T>,
        mut each: impl FnMut(&mut Self, T),
    ) {
        self.element(name, |xml| {
            for item in items {
                xml.element("item", |xml| each(xml, item));
            }
        });
    }

    /// The text of it all.
    pub(crate) fn finish(self) -> String {
        self.out
    }
}

/// Writes text so that it can stand in an element.
struct Quoting<'a>(&'a mut String);

impl fmt::Write for Quoting<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for character in text.chars() {
            match character {
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '&' => self.0.push_str("&amp;"),
                '"' => self.0.push_str("&quot;"),
                '\r' => self.0.push_str("&#13;"),
                '\n' | '\t' => self.0.push(character),
                // XML has no way to say these.
                '\u{0}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => self.0.push('\u{fffd}'),
                _ => self.0.push(character),
            }
        }
        Ok(())
    }
}
