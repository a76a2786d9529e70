//! What people and machines read of a result. Everything is made of a [`RunResult`](crate::evidence::result::RunResult), its file's bytes and
//! the rows of `coverage.csv` alone (the one on paper has the playbook attached), so that anybody who holds them can make the same report again; nothing here reads or
//! writes a file.
//!
//! | file | what it makes |
//! |---|---|
//! | `view`, `tables`, `table`, `filed` | the story in words and rows, the same for every form |
//! | `html`, `svg` | `report.html`: one self-contained file |
//! | `junit`, `xml` | `junit.xml` for build servers |
//! | `oscal` | OSCAL assessment results |
//! | `first_page` | the five answers of the first page |
//! | `scope` | what became of everything there is, in things and bytes |
//! | `phrases` | what the story is put together from |
//! | `document` | blocks of a document, and Markdown of them |
//! | `pages` | the report as blocks |
//! | `pdf` | PDF/A-3a and PDF/UA-1 of blocks |
//! | `manual` | the exit plan as a document, with the commands that a person would type |

mod document;
mod filed;
mod first_page;
mod html;
mod junit;
mod manual;
mod oscal;
mod pages;
mod pdf;
mod phrases;
mod scope;
mod svg;
mod table;
mod tables;
mod view;
mod xml;

pub use document::Block;
pub use html::html;
pub use junit::junit;
pub use manual::{Plan, plan};
pub use oscal::oscal;
pub use pdf::{Attached, Paper, PdfError, pdf};
pub use view::View;

/// The report for people.
pub const HTML: &str = "report.html";
/// The report on paper.
pub const PDF: &str = "report.pdf";
const JUNIT: &str = "junit.xml";
const OSCAL: &str = "oscal-assessment-results.json";
/// Every report by its file name below `data/`.
pub const NAMES: [&str; 4] = [HTML, PDF, JUNIT, OSCAL];

/// One report by its name. The one on paper has the result and the playbook attached.
///
/// # Errors
/// When there are no pages.
pub fn make(name: &str, view: &View, result_json: &[u8], playbook: &[u8]) -> Result<Vec<u8>, PdfError> {
    match name {
        PDF => paper(view, result_json, playbook),
        JUNIT => Ok(junit(view).into_bytes()),
        OSCAL => Ok(oscal(view)),
        _ => Ok(html(view).into_bytes()),
    }
}

fn paper(view: &View, result_json: &[u8], playbook: &[u8]) -> Result<Vec<u8>, PdfError> {
    let attached = vec![
        Attached::new("result.json", "application/json", "The result that this report is made of", result_json),
        Attached::new("playbook.yaml", "application/yaml", "The playbook that was run", playbook),
    ];
    pdf(&pages::report(view), &pages::surroundings(view, attached))
}
