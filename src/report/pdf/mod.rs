//! PDF/A-3a and PDF/UA-1 by typst as a library: blocks in, tagged pages out, with fonts embedded and files attached. Nothing is read from the
//! machine: fonts come with the program, so the same blocks give the same bytes everywhere.
//!
//! A character that no font of the program has is printed as its number, `\u{4e2d}`: names come from outside, and PDF/A
//! forbids missing glyphs.

use std::sync::LazyLock;

use jiff::{Timestamp, tz::TimeZone};
use serde_json::{Value, json};
use typst::{
    Library, LibraryExt as _, World,
    diag::{FileError, FileResult, SourceDiagnostic},
    foundations::{Bytes, Datetime, Duration, Smart},
    syntax::{FileId, RootedPath, Source, VirtualPath, VirtualRoot},
    text::{Font, FontBook},
    utils::LazyHash,
};
use typst_layout::PagedDocument;
use typst_pdf::{PdfOptions, PdfStandard, PdfStandards};

use super::document::Block;

const TEMPLATE: &str = include_str!("template.typ");
/// The fonts that come with typst and that the template uses.
const FAMILIES: [&str; 2] = ["Libertinus Serif", "DejaVu Sans Mono"];

/// The frame of the blocks.
#[derive(Clone, Debug)]
pub struct Paper {
    /// The document's title.
    pub title: String,
    /// The header of every page, left and right.
    pub header: [String; 2],
    /// The footer of every page, beside the number.
    pub footer: Vec<String>,
    /// The date of the document.
    pub date: Timestamp,
    /// Files that are attached.
    pub attached: Vec<Attached>,
}

/// A file that is attached.
#[derive(Clone, Debug)]
pub struct Attached {
    name: &'static str,
    media_type: &'static str,
    what: &'static str,
    bytes: Vec<u8>,
}

impl Attached {
    pub(super) fn new(name: &'static str, media_type: &'static str, what: &'static str, bytes: &[u8]) -> Self {
        Attached { name, media_type, what, bytes: bytes.to_owned() }
    }
}

/// Why there are no pages. Blocks are data, so this is a bug in walkaway.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the PDF could not be made: {0}")]
pub struct PdfError(String);

/// Renders the pages.
///
/// # Errors
/// When typst fails, which no block should cause.
pub fn pdf(blocks: &[Block], paper: &Paper) -> Result<Vec<u8>, PdfError> {
    // Fonts may lack clusters of glyphs that they have one by one; ASCII is safe.
    compile(blocks, paper, covered).or_else(|_| compile(blocks, paper, |c| c.is_ascii()))
}

fn compile(blocks: &[Block], paper: &Paper, has_glyph: fn(char) -> bool) -> Result<Vec<u8>, PdfError> {
    let sheet = Sheet::new(blocks, paper, has_glyph)?;
    let document: PagedDocument = typst::compile(&sheet).output.map_err(|errors| messages(&errors))?;
    let standards =
        PdfStandards::new(&[PdfStandard::A_3a, PdfStandard::Ua_1]).map_err(|error| PdfError(format!("{error:?}")))?;
    let options = PdfOptions {
        ident: Smart::Custom(format!("{} {}", paper.title, paper.footer.join(" "))),
        creator: Smart::Custom(Some(format!("walkaway {}", env!("CARGO_PKG_VERSION")))),
        timestamp: datetime(paper.date).map(typst_pdf::Timestamp::new_utc),
        standards,
        ..PdfOptions::default()
    };
    typst_pdf::pdf(&document, &options).map_err(|errors| messages(&errors))
}

fn messages(errors: &[SourceDiagnostic]) -> PdfError {
    PdfError(errors.iter().map(|error| error.message.to_string()).collect::<Vec<_>>().join("; "))
}

fn datetime(at: Timestamp) -> Option<Datetime> {
    let at = TimeZone::UTC.to_datetime(at);
    let small = |number: i8| u8::try_from(number).ok();
    let [month, day, hour, minute, second] = [at.month(), at.day(), at.hour(), at.minute(), at.second()].map(small);
    Datetime::from_ymd_hms(i32::from(at.year()), month?, day?, hour?, minute?, second?)
}

struct Fonts {
    book: LazyHash<FontBook>,
    fonts: Vec<Font>,
}

static FONTS: LazyLock<Fonts> = LazyLock::new(|| {
    let all = typst_assets::fonts().flat_map(|bytes| Font::iter(Bytes::new(bytes)));
    let fonts: Vec<Font> = all.filter(|font| FAMILIES.contains(&font.info().family.as_str())).collect();
    Fonts { book: LazyHash::new(FontBook::from_fonts(&fonts)), fonts }
});

/// Whether a font of the program has a glyph for it, and it does not turn the text around it.
fn covered(c: char) -> bool {
    let turns = matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
    c.is_ascii() || !turns && FONTS.fonts.iter().any(|font| font.info().coverage.contains(u32::from(c)))
}

/// The text with the number of each character that can't be printed.
fn printed(text: &str, has_glyph: fn(char) -> bool, breaks: bool) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        let fits = if c.is_control() { breaks && c == '\n' } else { has_glyph(c) };
        if fits { out.push(c) } else { out.extend(c.escape_unicode()) }
    }
    out
}

fn print_all(value: &mut Value, has_glyph: fn(char) -> bool, breaks: bool) {
    match value {
        Value::String(text) => *text = printed(text, has_glyph, breaks),
        Value::Array(items) => items.iter_mut().for_each(|item| print_all(item, has_glyph, breaks)),
        Value::Object(fields) => fields.values_mut().for_each(|field| print_all(field, has_glyph, breaks)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// The world of one document: a template, its data, and the files that are attached.
struct Sheet {
    library: LazyHash<Library>,
    main: Source,
    files: Vec<(FileId, Bytes)>,
    date: Option<Datetime>,
}

impl Sheet {
    fn new(blocks: &[Block], paper: &Paper, has_glyph: fn(char) -> bool) -> Result<Self, PdfError> {
        let mut data = json!({"title": paper.title, "header": paper.header, "footer": paper.footer});
        print_all(&mut data, has_glyph, false);
        let mut printed = json!(blocks);
        for (value, block) in printed.as_array_mut().into_iter().flatten().zip(blocks) {
            print_all(value, has_glyph, matches!(block, Block::Code { .. }));
        }
        data["blocks"] = printed;
        data["attached"] = paper.attached.iter().map(|file| json!([file.name, file.media_type, file.what])).collect();
        let data = serde_json::to_vec(&data).map_err(|error| PdfError(error.to_string()))?;
        let mut files = vec![(file("data/blocks.json")?, Bytes::new(data))];
        for attached in &paper.attached {
            files.push((file(attached.name)?, Bytes::new(attached.bytes.clone())));
        }
        Ok(Sheet {
            library: LazyHash::new(Library::default()),
            main: Source::new(file("main.typ")?, TEMPLATE.to_owned()),
            files,
            date: datetime(paper.date),
        })
    }
}

fn file(path: &str) -> Result<FileId, PdfError> {
    let path = VirtualPath::new(path).map_err(|error| PdfError(format!("{error:?}")))?;
    Ok(RootedPath::new(VirtualRoot::Project, path).intern())
}

impl World for Sheet {
    fn library(&self) -> &LazyHash<Library> {
        &self.library
    }

    fn book(&self) -> &LazyHash<FontBook> {
        &FONTS.book
    }

    fn main(&self) -> FileId {
        self.main.id()
    }

    fn source(&self, id: FileId) -> FileResult<Source> {
        if id == self.main.id() { Ok(self.main.clone()) } else { Err(FileError::AccessDenied) }
    }

    fn file(&self, id: FileId) -> FileResult<Bytes> {
        let found = self.files.iter().find(|(known, _)| *known == id);
        found.map(|(_, bytes)| bytes.clone()).ok_or(FileError::AccessDenied)
    }

    fn font(&self, index: usize) -> Option<Font> {
        FONTS.fonts.get(index).cloned()
    }

    fn today(&self, _: Option<Duration>) -> Option<Datetime> {
        self.date
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paper(attached: Vec<Attached>) -> Paper {
        Paper {
            title: "PASS: r-1".to_owned(),
            header: ["PASS".to_owned(), "r-1".to_owned()],
            footer: vec!["bundle 00".to_owned()],
            date: Timestamp::constant(1_790_000_000, 0),
            attached,
        }
    }

    #[test]
    fn what_no_font_has_is_printed_as_its_number() {
        assert_eq!(printed("a→é✔", covered, false), "a→é✔");
        assert_eq!(printed("中\u{202e}\n", covered, false), "\\u{4e2d}\\u{202e}\\u{a}");
        assert_eq!(printed("a\nb", covered, true), "a\nb");
    }

    #[test]
    fn text_from_outside_always_gives_the_same_pages() {
        let odd = "#set page(1) $ * _ `x` <a>&\u{1b}[0m e\u{301}\u{489}中文 \u{1f3f4}\u{e0067} \u{5d0}\u{627}\u{644}";
        let blocks = [
            Block::heading(1, odd),
            Block::text(odd),
            Block::plain_table(&[odd], vec![vec![odd.repeat(20)]]),
            Block::sh(odd),
            Block::Figure {
                svg: "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 9 9\"><text>中</text></svg>".into(),
                alt: "a figure".into(),
            },
        ];
        let made =
            || pdf(&blocks, &paper(vec![Attached::new("a.json", "application/json", "x", b"{}")])).expect("pages");
        let bytes = made();
        assert_eq!(bytes, made());
        assert!(bytes.starts_with(b"%PDF-1."));
    }
}
