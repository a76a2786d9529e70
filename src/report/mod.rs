//! Renderings of a result for people and machines. Everything is made from a [`RunResult`](crate::evidence::result::RunResult), its file's bytes and
//! the rows of `coverage.csv` alone (the one on paper has the playbook attached), so that the same report can be regenerated from them; nothing here reads or
//! writes a file.
//!
//! | file | what it generates |
//! |---|---|
//! | `view`, `tables`, `table`, `filed` | the content in sentences and rows, the same for every format |
//! | `html`, `svg` | `report.html`: one self-contained file |
//! | `junit`, `xml` | `junit.xml` for build servers |
//! | `oscal` | OSCAL assessment results |
//! | `first_page` | the five answers of the first page |
//! | `scope` | the outcome for everything, in resources and bytes |
//! | `phrases` | the building blocks of the content |
//! | `document` | blocks of a document, and Markdown of them |
//! | `pages` | the report as blocks |
//! | `pdf` | PDF/A-3a and PDF/UA-1 of blocks |
//! | `manual` | the exit plan as a document, with the commands to run by hand |

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
/// The report as PDF.
pub const PDF: &str = "report.pdf";
const JUNIT: &str = "junit.xml";
const OSCAL: &str = "oscal-assessment-results.json";
/// Every report by its file name below `data/`.
pub const NAMES: [&str; 4] = [HTML, PDF, JUNIT, OSCAL];

/// One report by its name. The PDF has the result and the playbook attached.
///
/// # Errors
/// When no pages can be rendered.
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
