//! What people and machines read of a result. Everything is made of a [`RunResult`] and the SHA-256 of its file alone, so
//! that anybody who holds `result.json` can make the same report again; nothing here reads or writes a file.
//!
//! | file | what it makes |
//! |---|---|
//! | `view`, `table` | the story in words and rows, the same for every form |
//! | `html`, `svg` | `report.html`: one self-contained file |
//! | `junit`, `xml` | `junit.xml` for build servers |
//! | `oscal` | OSCAL assessment results |
//! | `document` | blocks of a document, and Markdown of them |
//! | `manual` | the exit plan as a document, with the commands that a person would type |

mod document;
mod html;
mod junit;
mod manual;
mod oscal;
mod svg;
mod table;
mod view;
mod xml;

pub use document::{Block, markdown};
pub use html::html;
pub use junit::junit;
pub use manual::manual;
pub use oscal::oscal;
pub use view::View;

use crate::evidence::result::RunResult;

/// Every report by its file name below `data/`.
pub fn all(result: &RunResult, result_json: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let view = View::new(result, result_json);
    vec![
        ("report.html", html(&view).into_bytes()),
        ("junit.xml", junit(&view).into_bytes()),
        ("oscal-assessment-results.json", oscal(&view)),
    ]
}
