//! The tree of nodes: built from the parser's events, without what a playbook does not use.
//!
//! Leaves out reading the text: `yaml` drives the parser.

use std::borrow::Cow;
use std::collections::HashMap;

use serde_saphyr::granit_parser::{Event, Marker, ScalarStyle, ScanError, Span, Tag};

use super::problem::{Place, Problem, Problems, key_path};
use super::scalar::{self, Kind};

/// How deep lists and mappings may be nested.
const DEPTH_MAX: usize = 32;

/// One value of the document.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub mark: Mark,
    pub value: Value,
}

/// A position in the text, both counted from 1, columns in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    pub line: usize,
    pub column: usize,
}

#[derive(Debug, Clone)]
pub(super) enum Value {
    Scalar {
        text: String,
        kind: Kind,
    },
    Sequence(Vec<Node>),
    Mapping(Vec<Entry>),
    /// Already reported as a problem: later steps skip it silently.
    Refused,
}

/// One `key: value` of a mapping; keys are unique within it.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub key: String,
    pub mark: Mark,
    pub value: Node,
}

impl Mark {
    pub(super) fn place(self, path: impl Into<String>) -> Place {
        Place { line: self.line, column: self.column, path: path.into() }
    }

    fn of(marker: &Marker) -> Self {
        Self { line: marker.line(), column: marker.col() + 1 }
    }
}

/// A list or mapping that is still open.
enum Open {
    Sequence {
        mark: Mark,
        items: Vec<Node>,
    },
    Mapping {
        mark: Mark,
        entries: Vec<Entry>,
        /// Line on which each key was first given.
        seen: HashMap<String, usize>,
        key: Option<Key>,
        /// Not the intended mapping: nothing more is reported about it.
        refused: bool,
    },
}

/// The key that waits for its value.
enum Key {
    Usable { text: String, mark: Mark },
    Refused,
}

/// Takes the parser's events one by one, and returns the tree at the end.
pub(super) struct Builder<'t> {
    text: &'t str,
    problems: &'t Problems,
    open: Vec<Open>,
    root: Option<Node>,
    documents: usize,
    /// Path of the node whose anchor event comes next.
    anchored: String,
}

impl<'t> Builder<'t> {
    pub(super) fn new(text: &'t str, problems: &'t Problems) -> Self {
        Self { text, problems, open: Vec::new(), root: None, documents: 0, anchored: String::new() }
    }

    /// Takes one event. `None` ends the reading; a problem has then been added.
    pub(super) fn take(&mut self, event: Event<'_>, span: Span) -> Option<()> {
        if event.anchor_id().is_some() {
            self.anchored = self.path();
        }
        let mark = Mark::of(&span.start);
        match event {
            Event::DocumentStart(..) => return self.document(mark),
            Event::Scalar(text, style, _, tag) => self.scalar(text, style, tag.as_deref(), mark),
            Event::SequenceStart(_, _, tag) => return self.begin(sequence(mark), tag, mark),
            Event::MappingStart(_, _, tag) => return self.begin(mapping(mark), tag, mark),
            Event::SequenceEnd | Event::MappingEnd => self.end(),
            Event::Anchor(_, name) => self.anchor(&name, mark),
            Event::Alias(_) | Event::UnresolvedAlias(_) => self.alias(&span, mark),
            _ => {}
        }
        Some(())
    }

    fn document(&mut self, mark: Mark) -> Option<()> {
        self.documents += 1;
        if self.documents == 1 {
            return Some(());
        }
        self.problems.add(
            Problem::at(&mark.place(""), "a second YAML document begins here")
                .hint("a playbook is one document: remove the `---` and what follows, or make it a file of its own"),
        );
        None
    }

    fn scalar(&mut self, text: Cow<'_, str>, style: ScalarStyle, tag: Option<&Tag>, mark: Mark) {
        let kind = match style {
            ScalarStyle::Plain => scalar::resolve(&text),
            _ => Kind::Text,
        };
        let text = text.into_owned();
        let value = match tag {
            Some(tag) => self.refuse_tag(tag, mark),
            None => Value::Scalar { text, kind },
        };
        self.add(Node { mark, value });
    }

    fn begin(&mut self, open: Open, tag: Option<Cow<'_, Tag>>, mark: Mark) -> Option<()> {
        if let Some(tag) = tag {
            self.refuse_tag(&tag, mark);
        }
        if self.open.len() >= DEPTH_MAX {
            let message = format!("is nested deeper than {DEPTH_MAX} levels");
            self.problems.add(Problem::at(&mark.place(self.path()), message));
            return None;
        }
        self.open.push(open);
        Some(())
    }

    fn end(&mut self) {
        let (mark, value) = match self.open.pop() {
            Some(Open::Sequence { mark, items }) => (mark, Value::Sequence(items)),
            Some(Open::Mapping { mark, refused: true, .. }) => (mark, Value::Refused),
            Some(Open::Mapping { mark, entries, .. }) => (mark, Value::Mapping(entries)),
            None => return,
        };
        self.add(Node { mark, value });
    }

    fn add(&mut self, node: Node) {
        match self.open.last_mut() {
            None => self.root = Some(node),
            Some(Open::Sequence { items, .. }) => items.push(node),
            Some(Open::Mapping { key, .. }) => match key.take() {
                None => self.add_key(node),
                Some(given) => self.add_entry(given, node),
            },
        }
    }

    fn add_key(&mut self, node: Node) {
        let usable = match node.value {
            Value::Scalar { kind: Kind::Merge, .. } => self.refuse_merge(node.mark),
            Value::Scalar { text, .. } => self.unique_key(text, node.mark),
            Value::Refused => Key::Refused,
            Value::Sequence(_) | Value::Mapping(_) => self.refuse_complex_key(node.mark),
        };
        if let Some(Open::Mapping { key, .. }) = self.open.last_mut() {
            *key = Some(usable);
        }
    }

    fn unique_key(&mut self, text: String, mark: Mark) -> Key {
        let path = key_path(&self.path(), &text);
        let Some(Open::Mapping { seen, .. }) = self.open.last_mut() else {
            return Key::Refused;
        };
        if let Some(first) = seen.get(&text) {
            let message = format!("is given twice; the first time on line {first}");
            self.problems.add(Problem::at(&mark.place(path), message).hint("keep one of the two"));
            return Key::Refused;
        }
        seen.insert(text.clone(), mark.line);
        Key::Usable { text, mark }
    }

    fn add_entry(&mut self, key: Key, mut value: Node) {
        let Key::Usable { text, mark } = key else {
            return;
        };
        // The parser places a missing value at the next token, which may be lines away.
        if matches!(&value.value, Value::Scalar { text, kind: Kind::Null } if text.is_empty()) {
            value.mark = mark;
        }
        if let Some(Open::Mapping { entries, .. }) = self.open.last_mut() {
            entries.push(Entry { key: text, mark, value });
        }
    }

    fn refuse_merge(&self, mark: Mark) -> Key {
        self.problems.add(
            Problem::at(&mark.place(self.path()), "merge keys (`<<`) are not used in a playbook")
                .hint("write the keys out where they are needed"),
        );
        Key::Refused
    }

    fn refuse_complex_key(&mut self, mark: Mark) -> Key {
        self.problems.add(
            Problem::at(&mark.place(self.path()), "a list or mapping is where a key is needed")
                .hint("keys are plain words; there is no `{{ }}` templating: use env:NAME as the whole value"),
        );
        if let Some(Open::Mapping { refused, .. }) = self.open.last_mut() {
            *refused = true;
        }
        Key::Refused
    }

    fn refuse_tag(&self, tag: &Tag, mark: Mark) -> Value {
        let message = format!("the YAML tag `{}` is not used in a playbook", tag.original());
        self.problems
            .add(Problem::at(&mark.place(self.path()), message).hint("remove the tag; quote a value to make it text"));
        Value::Refused
    }

    fn anchor(&mut self, name: &str, mark: Mark) {
        let place = mark.place(std::mem::take(&mut self.anchored));
        let message = format!("the anchor `&{name}` is not used in a playbook");
        self.problems.add(Problem::at(&place, message).hint("remove it and write the value out where it is needed"));
    }

    fn alias(&mut self, span: &Span, mark: Mark) {
        let written = span.slice(self.text).unwrap_or("*");
        let message = format!("the alias `{written}` is not used in a playbook");
        let place = mark.place(self.path());
        self.problems.add(Problem::at(&place, message).hint("write the value out"));
        self.add(Node { mark, value: Value::Refused });
    }

    /// Path of the node that comes next.
    fn path(&self) -> String {
        self.open.iter().fold(String::new(), |path, open| match open {
            Open::Sequence { items, .. } => format!("{path}[{}]", items.len()),
            Open::Mapping { key: Some(Key::Usable { text, .. }), .. } => key_path(&path, text),
            Open::Mapping { .. } => path,
        })
    }

    pub(super) fn syntax(&self, error: &ScanError) -> Option<Node> {
        let place = Mark::of(error.marker()).place("");
        let message = format!("is not YAML: {}", error.info());
        self.problems.add(Problem::at(&place, message));
        None
    }

    pub(super) fn finish(self) -> Option<Node> {
        if self.root.is_none() && self.problems.is_empty() {
            let problem = Problem::of_file("is empty");
            self.problems.add(problem.hint("`walkaway schema` says what a playbook holds"));
        }
        self.root
    }
}

fn sequence(mark: Mark) -> Open {
    Open::Sequence { mark, items: Vec::new() }
}

fn mapping(mark: Mark) -> Open {
    Open::Mapping { mark, entries: Vec::new(), seen: HashMap::new(), key: None, refused: false }
}
