//! How closely a finished asset is looked at when its run is resumed, and what there was to see: what it restored may have
//! been removed in between.

use crate::evidence::result::AssetResult;

/// How closely it is looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Depth {
    /// Whether everything is there, and of the right size: objects by their bytes, tables by their rows; and what stands
    /// beside rows is as it was proven.
    #[default]
    Presence,
    /// Everything is read and compared, as after the transfer.
    Content,
}

/// What there is to see, and how much of it is not as it was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Looked {
    /// Objects, or tables.
    pub items: u64,
    /// Of those and of what stands beside them.
    pub differ: u64,
}

impl Looked {
    /// Where nothing is left of what an asset restored.
    pub fn nothing_of(result: &AssetResult) -> Self {
        let items = result.database.as_ref().map_or(1, |database| database.tables);
        Looked { items, differ: items.max(1) }
    }
}
