//! Signatures as text.

use super::{
    style::{Paint, Style, near, stamp},
    table::{self, Cell},
};
use crate::{
    domain::finding::printable,
    run::{Endorsement, Stamped},
};

/// Who signed, and who attests when.
pub(super) fn lines(style: Style, endorsement: &Endorsement) -> Vec<String> {
    let time = match &endorsement.stamped {
        Stamped::At(at) => format!("stamped {}", stamp(*at)),
        Stamped::NotAsked => "of this machine's clock: no time-stamp authority was named".to_owned(),
        Stamped::Failed(reason) => format!("of this machine's clock: no time-stamp, {reason}"),
    };
    let rows = [("signed", endorsement.fingerprint.clone()), ("in", near(&endorsement.file)), ("time", time)];
    let row = |(word, text): &(&str, String)| {
        vec![Cell::painted(format!("{word:<10}"), Paint::Faint), printable(text).into()]
    };
    table::lines(style, &rows.iter().map(row).collect::<Vec<_>>())
}
