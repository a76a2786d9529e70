//! Counts what was transferred, for the progress; shared by all workers of an asset, cheap to add to.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Running totals of one phase of one asset.
#[derive(Debug, Default)]
pub struct Meter {
    items: AtomicU64,
    items_total: AtomicU64,
    bytes: AtomicU64,
    bytes_total: AtomicU64,
}

/// One reading of a [`Meter`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// Objects or rows finished.
    pub items: u64,
    /// Objects or rows known so far.
    pub items_total: u64,
    /// Bytes finished.
    pub bytes: u64,
    /// Bytes known so far.
    pub bytes_total: u64,
}

impl Meter {
    /// Adds to the known totals.
    pub fn expect(&self, items: u64, bytes: u64) {
        self.items_total.fetch_add(items, Relaxed);
        self.bytes_total.fetch_add(bytes, Relaxed);
    }

    /// Items transferred.
    pub fn add_items(&self, items: u64) {
        self.items.fetch_add(items, Relaxed);
    }

    /// Bytes transferred.
    pub fn add_bytes(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Relaxed);
    }

    /// Bytes of an attempt that failed do not count.
    pub fn take_back_bytes(&self, bytes: u64) {
        self.bytes.fetch_sub(bytes, Relaxed);
    }

    /// Items of an attempt that failed do not count.
    pub fn take_back_items(&self, items: u64) {
        self.items.fetch_sub(items, Relaxed);
    }

    /// The totals now.
    pub fn read(&self) -> Reading {
        Reading {
            items: self.items.load(Relaxed),
            items_total: self.items_total.load(Relaxed),
            bytes: self.bytes.load(Relaxed),
            bytes_total: self.bytes_total.load(Relaxed),
        }
    }
}
