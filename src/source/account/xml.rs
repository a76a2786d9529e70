//! XML answers as trees, whole or not at all: an answer that ends early, closes what it did not open or holds two roots is
//! an error. Attributes and namespaces carry nothing in the answers that are read here and are dropped.

/// Deeper than any answer of S3, RDS or IAM.
const DEPTH_MAX: usize = 64;

/// An element with its text and its children in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Element {
    /// Its name without a prefix.
    pub name: String,
    /// Its own text, without white space around it.
    pub text: String,
    pub children: Vec<Element>,
}

impl Element {
    /// The first child of that name.
    pub fn child(&self, name: &str) -> Option<&Element> {
        self.children.iter().find(|child| child.name == name)
    }

    /// The text of the first child of that name.
    pub fn text_of(&self, name: &str) -> Option<&str> {
        self.child(name).map(|child| child.text.as_str())
    }

    /// The first element of that name, this one or below it.
    pub fn find(&self, name: &str) -> Option<&Element> {
        if self.name == name { Some(self) } else { self.children.iter().find_map(|child| child.find(name)) }
    }

    /// One text for all answers that mean the same: siblings are ordered, unless `in_order`.
    pub fn canonical(&self, in_order: bool) -> String {
        if self.children.is_empty() {
            return format!("{}={}", self.name, self.text);
        }
        let mut children: Vec<_> = self.children.iter().map(|child| child.canonical(in_order)).collect();
        if !in_order {
            children.sort();
        }
        format!("{}({})", self.name, children.join(","))
    }
}

/// Reads a whole document.
///
/// # Errors
/// What about it is not one XML document.
pub(super) fn read(text: &str) -> Result<Element, String> {
    let (mut open, mut root): (Vec<Element>, _) = (Vec::new(), None);
    let mut rest = text.trim_start_matches('\u{feff}');
    while let Some((before, after)) = rest.split_once('<') {
        add_text(&mut open, before)?;
        if let Some(after) = after.strip_prefix("!--") {
            rest = after.split_once("-->").ok_or("a comment does not end")?.1;
        } else if let Some(after) = after.strip_prefix("![CDATA[") {
            let (data, after) = after.split_once("]]>").ok_or("a section of text does not end")?;
            open.last_mut().ok_or("text outside of the root")?.text.push_str(data);
            rest = after;
        } else if let Some(after) = after.strip_prefix('?') {
            rest = after.split_once("?>").ok_or("an instruction does not end")?.1;
        } else if after.starts_with('!') {
            return Err("it declares a document type".to_owned());
        } else {
            let (tag, after) = after.split_once('>').ok_or("it ends within a tag")?;
            rest = after;
            match tag.strip_prefix('/') {
                Some(name) => close(&mut open, &mut root, name.trim())?,
                None => begin(&mut open, &mut root, tag)?,
            }
        }
    }
    add_text(&mut open, rest)?;
    match (open.last(), root) {
        (Some(open), _) => Err(format!("it ends within {}", open.name)),
        (None, Some(root)) => Ok(root),
        (None, None) => Err("it holds no element".to_owned()),
    }
}

fn local(name: &str) -> String {
    name.rsplit(':').next().unwrap_or(name).to_owned()
}

fn begin(open: &mut Vec<Element>, root: &mut Option<Element>, tag: &str) -> Result<(), String> {
    let (tag, ends) = tag.strip_suffix('/').map_or((tag, false), |tag| (tag, true));
    let name = local(tag.split_whitespace().next().ok_or("a tag has no name")?);
    if root.is_some() {
        return Err("it goes on after its root".to_owned());
    }
    if open.len() >= DEPTH_MAX {
        return Err(format!("it is deeper than {DEPTH_MAX} elements"));
    }
    open.push(Element { name: name.clone(), ..Element::default() });
    if ends { close(open, root, &name) } else { Ok(()) }
}

fn close(open: &mut Vec<Element>, root: &mut Option<Element>, name: &str) -> Result<(), String> {
    let mut ended = open.pop().ok_or_else(|| format!("{name} ends and never began"))?;
    if ended.name != local(name) {
        return Err(format!("{} ends as {name}", ended.name));
    }
    ended.text = ended.text.trim().to_owned();
    match open.last_mut() {
        Some(parent) => parent.children.push(ended),
        None => *root = Some(ended),
    }
    Ok(())
}

fn add_text(open: &mut [Element], text: &str) -> Result<(), String> {
    if let Some(element) = open.last_mut() {
        element.text.push_str(&unescaped(text)?);
        return Ok(());
    }
    if text.trim().is_empty() { Ok(()) } else { Err("text outside of the root".to_owned()) }
}

fn unescaped(text: &str) -> Result<String, String> {
    let mut parts = text.split('&');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (name, rest) = part.split_once(';').ok_or("a character reference does not end")?;
        let code = |digits: &str, radix| u32::from_str_radix(digits, radix).ok().and_then(char::from_u32);
        let c = match name {
            "lt" => Some('<'),
            "gt" => Some('>'),
            "amp" => Some('&'),
            "quot" => Some('"'),
            "apos" => Some('\''),
            _ => match name.strip_prefix("#x").or_else(|| name.strip_prefix("#X")) {
                Some(digits) => code(digits, 16),
                None => name.strip_prefix('#').and_then(|digits| code(digits, 10)),
            },
        };
        plain.push(c.ok_or_else(|| format!("it holds the unknown character reference {name:.16}"))?);
        plain.push_str(rest);
    }
    Ok(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_whole_or_not_at_all() {
        let text =
            "<?xml version=\"1.0\"?>\n<a xmlns=\"x\"><b>1 &lt; 2 &#38; 3</b><ns:c/><b> <![CDATA[<&]]> </b></a>\n";
        let root = read(text).unwrap();
        assert_eq!((root.text_of("b"), root.children.len()), (Some("1 < 2 & 3"), 3));
        assert_eq!(root.children[2].text, "<&");
        for cut in 1..text.trim_end().len() {
            assert!(read(&text[..cut]).is_err(), "{}", &text[..cut]);
        }
        for wrong in ["", " ", "abc", "<a></b>", "<a/><a/>", "<!DOCTYPE a><a/>", "<a>&x;</a>", "</a>", "<a/>tail"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
        assert!(read(&"<a>".repeat(100)).is_err());
    }

    #[test]
    fn the_order_of_siblings_counts_only_where_it_means_something() {
        let [one, other] = ["<r><x>1</x><x>2</x></r>", "<r>\n <x>2</x> <x>1</x></r>"].map(|text| read(text).unwrap());
        assert_eq!(one.canonical(false), other.canonical(false));
        assert_ne!(one.canonical(true), other.canonical(true));
    }
}
