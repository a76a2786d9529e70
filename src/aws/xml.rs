//! XML documents, whole or not at all: from the root's start to its end, every element closed, nothing after it. Only
//! refusals are read as far as they go: even incomplete ones are refusals.
//!
//! The SDK's own decoder treats the end of the input as the end of every open element, so that a document that was cut
//! off between two entries is a shorter list. Names are compared without their namespace prefix. Entities of a document
//! type definition are not supported, so none is ever expanded.

use std::borrow::Cow;

use quick_xml::{
    Reader,
    escape::resolve_predefined_entity,
    events::{BytesRef, BytesStart, Event},
};

/// No answer of S3 nests deeper than a handful; deeper nesting is meant to exhaust the reader.
const DEPTH_MAX: usize = 64;

/// A document that was read from its beginning to its end.
#[derive(Debug)]
pub struct Document {
    /// The outermost element.
    pub root: Element,
    /// Whether every byte was UTF-8. One that was not is replaced by U+FFFD.
    pub is_utf8: bool,
}

/// An element with everything in it; attributes are ignored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Element {
    /// Without namespace prefix.
    pub name: String,
    /// The text directly in it, references resolved.
    pub text: String,
    /// In the order of the document.
    pub children: Vec<Element>,
}

impl Element {
    fn named(tag: &BytesStart<'_>) -> Self {
        Element { name: tag.local_name().as_ref().to_owned(), ..Element::default() }
    }

    /// The children of this name.
    pub fn all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a Element> {
        self.children.iter().filter(move |child| child.name == name)
    }

    /// The first element of this name, this one or below it.
    pub fn find(&self, name: &str) -> Option<&Element> {
        if self.name == name { Some(self) } else { self.children.iter().find_map(|child| child.find(name)) }
    }

    /// One text for all documents that mean the same: siblings are ordered, unless `in_order`, and space around text does
    /// not count.
    pub(crate) fn canonical(&self, in_order: bool) -> String {
        if self.children.is_empty() {
            return format!("{}={}", self.name, self.text.trim());
        }
        let mut children: Vec<_> = self.children.iter().map(|child| child.canonical(in_order)).collect();
        if !in_order {
            children.sort();
        }
        format!("{}({})", self.name, children.join(","))
    }

    /// The text of the child of this name, if there is one.
    ///
    /// # Errors
    /// There are several, so that it is ambiguous; or it has more than text.
    pub fn text_of(&self, name: &str) -> Result<Option<&str>, String> {
        let mut found = self.all(name);
        match (found.next(), found.next()) {
            (Some(child), None) if !child.children.is_empty() => {
                Err(format!("its element {name} holds elements where text belongs"))
            }
            (first, None) => Ok(first.map(|child| child.text.as_str())),
            _ => Err(format!("it has several elements {name}")),
        }
    }
}

/// Reads a document.
///
/// # Errors
/// Why it is invalid, without its content: a response may contain names that are to stay out of every record.
pub fn parse(body: &[u8]) -> Result<Document, String> {
    let text = String::from_utf8_lossy(body);
    let mut building = Building::default();
    building.read(&mut Reader::from_str(text.trim_start_matches('\u{feff}')))?;
    Ok(Document { root: building.finish()?, is_utf8: matches!(text, Cow::Borrowed(_)) })
}

/// The elements that were closed before a document ended or broke, under one without a name.
pub(super) fn closed_elements(body: &[u8]) -> Element {
    let text = String::from_utf8_lossy(body);
    let mut reader = Reader::from_str(text.trim_start_matches('\u{feff}'));
    reader.config_mut().allow_dangling_amp = true;
    let mut building = Building::default();
    // Why it ends is ignored.
    let _ = building.read(&mut reader);
    let closed = building.open.into_iter().flat_map(|element| element.children);
    Element { children: closed.chain(building.root).collect(), ..Element::default() }
}

/// Character references, and the five entities that XML itself defines.
fn resolved(reference: &BytesRef<'_>) -> Option<Cow<'static, str>> {
    match reference.resolve_char_ref().ok()? {
        Some(character) => Some(Cow::Owned(character.to_string())),
        None => resolve_predefined_entity(reference).map(Cow::Borrowed),
    }
}

/// A document being read: the elements that are open, the outermost first.
#[derive(Default)]
struct Building {
    open: Vec<Element>,
    root: Option<Element>,
}

impl Building {
    /// Reads to the end.
    fn read(&mut self, reader: &mut Reader<&[u8]>) -> Result<(), String> {
        let malformed = |at: u64| format!("it is not well-formed XML at byte {at}");
        loop {
            let event = reader.read_event().map_err(|_| malformed(reader.error_position()))?;
            match event {
                Event::Start(tag) => self.open(Element::named(&tag))?,
                Event::Empty(tag) => {
                    self.open(Element::named(&tag))?;
                    self.close()?;
                }
                Event::End(_) => self.close()?,
                Event::Text(text) => self.add(&text)?,
                Event::CData(text) => self.add(&text)?,
                Event::GeneralRef(reference) => {
                    let text = resolved(&reference).ok_or_else(|| malformed(reader.buffer_position()))?;
                    self.add(&text)?;
                }
                Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => {}
                Event::Eof => return Ok(()),
            }
        }
    }

    fn open(&mut self, element: Element) -> Result<(), String> {
        if self.root.is_some() {
            return Err("there is content after the end of the document".to_owned());
        }
        // The reader treats what follows `<` as a name, even where it is not.
        if !element.name.starts_with(|first: char| first.is_alphabetic() || first == '_') {
            return Err("an element has no name".to_owned());
        }
        if self.open.len() == DEPTH_MAX {
            return Err(format!("its elements are nested more than {DEPTH_MAX} deep"));
        }
        self.open.push(element);
        Ok(())
    }

    fn close(&mut self) -> Result<(), String> {
        let done = self.open.pop().ok_or("an element ends that never began")?;
        match self.open.last_mut() {
            Some(parent) => parent.children.push(done),
            None => self.root = Some(done),
        }
        Ok(())
    }

    fn add(&mut self, text: &str) -> Result<(), String> {
        match self.open.last_mut() {
            Some(element) => element.text.push_str(text),
            None if text.trim().is_empty() => {}
            None => return Err("there is text outside of the document".to_owned()),
        }
        Ok(())
    }

    fn finish(self) -> Result<Element, String> {
        match (self.open.len(), self.root) {
            (0, Some(root)) => Ok(root),
            (0, None) => Err("it is empty".to_owned()),
            _ => Err("it ends inside of an element".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = "<?xml version=\"1.0\"?>\n<!-- c --><s3:L xmlns:s3='x'><s3:K a='1'>a &lt;&#x1;<![CDATA[<b>]]>&amp;</s3:K><E/></s3:L>\n";

    #[test]
    fn elements_come_with_their_text_whatever_their_prefix() {
        let root = parse(WHOLE.as_bytes()).expect("whole").root;
        assert_eq!(root.name, "L");
        assert_eq!(root.text_of("K").expect("one"), Some("a <\u{1}<b>&"));
        assert_eq!(root.text_of("E").expect("one"), Some(""));
        assert_eq!(root.text_of("none").expect("none"), None);
    }

    #[test]
    fn a_document_that_is_cut_anywhere_is_none() {
        let end = WHOLE.trim_end().len();
        for cut in 0..end {
            assert!(parse(&WHOLE.as_bytes()[..cut]).is_err(), "cut at {cut}: {}", &WHOLE[..cut]);
        }
        parse(&WHOLE.as_bytes()[..end]).expect("whole");
    }

    #[test]
    fn what_is_no_document_is_refused() {
        let deep = "<a>".repeat(70) + &"</a>".repeat(70);
        for wrong in ["", " \n", "text", "<a></b>", "<a/><b/>", "<a/>x", "</a>", "<a>&unknown;</a>", "<a>&</a>", &deep]
        {
            assert!(parse(wrong.as_bytes()).is_err(), "{wrong}");
        }
        let several = parse(b"<a><b>1</b><b>2</b></a>").expect("whole").root;
        assert!(several.text_of("b").is_err());
        let nested = parse(b"<a><b>1<c>2</c></b></a>").expect("whole").root;
        assert!(nested.text_of("b").is_err(), "1 is not all that it says");
    }

    #[test]
    fn the_order_of_siblings_counts_only_where_it_means_something() {
        let read = |text: &str| parse(text.as_bytes()).expect("whole").root;
        let [one, other] = ["<r><x>1</x><x>2</x></r>", "<r>\n <x> 2</x> <x>1</x></r>"].map(read);
        assert_eq!(one.canonical(false), other.canonical(false));
        assert_ne!(one.canonical(true), other.canonical(true));
    }

    #[test]
    fn of_a_refusal_what_was_closed_is_read() {
        let text = |document: &str, name: &str| {
            closed_elements(document.as_bytes()).find(name).map(|element| element.text.clone())
        };
        let whole = "<E><R><Code>SlowDown</Code><Message>a &amp; &lt;b&gt; & c</Message></R></E>";
        assert_eq!(text(whole, "Message").as_deref(), Some("a & <b> & c"));
        assert_eq!(text("<E><Code>SlowDown</Code><Message>a", "Code").as_deref(), Some("SlowDown"));
        assert_eq!(text("<E><Code>SlowDown</Code></p>", "Code").as_deref(), Some("SlowDown"));
        for none in ["<Code>cut", "", "Code", "{}", "<E>&unknown;<Code>x</Code></E>"] {
            assert_eq!(text(none, "Code"), None, "{none}");
        }
    }

    #[test]
    fn entities_of_a_document_type_are_never_expanded() {
        let declared = "<!DOCTYPE x [<!ENTITY a \"aaaa\">]>";
        assert!(parse(format!("{declared}<x>&a;</x>").as_bytes()).is_err());
        parse(format!("{declared}<x>a</x>").as_bytes()).expect("none is used");
    }

    #[test]
    fn bytes_that_are_no_utf8_are_told() {
        let document = parse(b"<a>\xff</a>").expect("well-formed");
        assert!(!document.is_utf8 && document.root.text == "\u{fffd}");
        assert!(parse("<a>\u{fffd}</a>".as_bytes()).expect("well-formed").is_utf8);
    }
}
