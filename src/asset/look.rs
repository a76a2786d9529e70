//! How thoroughly a finished asset is re-checked when its run is resumed, and the result: its restored copy may have
//! been removed in between.

use crate::evidence::result::AssetResult;

/// How thoroughly it is re-checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RecheckDepth {
    /// Whether everything exists with the right size: objects by their bytes, tables by their rows; and what is
    /// beside rows is as it was verified.
    #[default]
    Presence,
    /// Everything is read and compared, as after the transfer.
    Content,
}

/// What was re-checked, and how much of it was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecheckCounts {
    /// Objects, or tables.
    pub items: u64,
    /// Of those and of what is beside them.
    pub differ: u64,
}

impl RecheckCounts {
    /// Where nothing remains of an asset's restored copy.
    pub fn nothing_of(result: &AssetResult) -> Self {
        let items = result.database.as_ref().map_or(1, |database| database.tables);
        RecheckCounts { items, differ: items.max(1) }
    }
}
