//! Writes the XML of answers.

use quick_xml::escape::partial_escape;

/// An XML document that is being written.
#[derive(Debug, Default)]
pub(super) struct Xml {
    text: String,
}

impl Xml {
    /// Begins a document with the one element that it consists of.
    pub(super) fn document(
        root: &str,
        namespace: Option<&str>,
        inside: impl FnOnce(&mut Self),
    ) -> String {
        let mut xml = Self::default();
        xml.text
            .push_str("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<");
        xml.text.push_str(root);
        if let Some(namespace) = namespace {
            xml.text.push_str(" xmlns=\"");
            xml.text.push_str(namespace);
            xml.text.push('"');
        }
        xml.text.push('>');
        inside(&mut xml);
        xml.close(root);
        xml.text
    }

    /// An element with others in it.
    pub(super) fn element(&mut self, name: &str, inside: impl FnOnce(&mut Self)) {
        self.open(name);
        inside(self);
        self.close(name);
    }

    /// An element with text in it. Characters that XML cannot hold become U+FFFD, as texts that a
    /// client sent come back in errors.
    pub(super) fn text(&mut self, name: &str, text: &str) {
        let text: String = text
            .chars()
            .map(|c| {
                if is_xml_char(c) {
                    c
                } else {
                    char::REPLACEMENT_CHARACTER
                }
            })
            .collect();
        self.open(name);
        self.text.push_str(&partial_escape(text.as_str()));
        self.close(name);
    }

    /// The same, if there is a text.
    pub(super) fn optional_text(&mut self, name: &str, text: Option<&str>) {
        if let Some(text) = text {
            self.text(name, text);
        }
    }

    /// A list: an element with an `item` for each.
    pub(super) fn list<T>(
        &mut self,
        name: &str,
        items: impl IntoIterator<Item = T>,
        mut item: impl FnMut(&mut Self, T),
    ) {
        self.element(name, |xml| {
            for each in items {
                xml.element("item", |xml| item(xml, each));
            }
        });
    }

    /// What another writer wrote.
    pub(super) fn append(&mut self, other: &Self) {
        self.text.push_str(&other.text);
    }

    fn open(&mut self, name: &str) {
        self.text.push('<');
        self.text.push_str(name);
        self.text.push('>');
    }

    fn close(&mut self, name: &str) {
        self.text.push_str("</");
        self.text.push_str(name);
        self.text.push('>');
    }
}

/// XML 1.0, 2.2, production `Char`.
fn is_xml_char(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}' | '\u{10000}'..)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_cannot_leave_their_element() {
        let document = Xml::document("r", None, |xml| {
            xml.text("t", "</t><x a=\"&'\">\u{0}\u{1b}\u{ffff}")
        });
        let inside = document
            .split_once("<t>")
            .unwrap()
            .1
            .split_once("</t>")
            .unwrap()
            .0;
        assert!(
            !inside.contains(['<', '>', '\0', '\u{1b}', '\u{ffff}']),
            "{inside:?}"
        );
        assert_eq!(inside.matches('\u{fffd}').count(), 3);
        assert!(document.ends_with("</t></r>"));
    }
}
