//! Writes a file to disk while it is still arriving: the disk works from the first bytes on, the sync at the end of the
//! unit finds little left, and the page cache is left to others. What is read back later comes from the disk
//! anyway, see `verify`.

use std::{fs::File, num::NonZero};

use rustix::fs::{Advice, fadvise};

/// After this many new bytes their writing is started.
const PUSHED_BYTES: u64 = 2 << 20;
/// At this distance the pages are most likely written, and can leave the cache.
const KEPT_BYTES: u64 = 32 << 20;

/// A section of a file that is written sequentially.
pub(super) struct WriteBehind {
    begin: u64,
    /// Writing of everything before this offset was started.
    pushed: u64,
}

impl WriteBehind {
    /// A section that starts at this offset.
    pub(super) fn from(begin: u64) -> Self {
        WriteBehind { begin, pushed: begin }
    }

    /// Everything before `offset` is written.
    pub(super) fn reached(&mut self, file: &File, offset: u64) {
        if offset - self.pushed >= PUSHED_BYTES {
            self.push(file, offset);
        }
    }

    /// Everything is written. A small section is left to the sync, together with its neighbours.
    pub(super) fn ended(&mut self, file: &File, offset: u64) {
        if self.pushed > self.begin {
            self.push(file, offset);
        }
    }

    fn push(&mut self, file: &File, offset: u64) {
        give_up(file, self.pushed, offset);
        let behind = |offset: u64| offset.saturating_sub(KEPT_BYTES).max(self.begin);
        give_up(file, behind(self.pushed), behind(offset));
        self.pushed = offset;
    }
}

/// Dropping pages (posix_fadvise(2), POSIX_FADV_DONTNEED) makes Linux write those that are not written, without waiting
/// for it; those that are written leave the cache. Nothing depends on whether a file system follows the advice.
fn give_up(file: &File, from: u64, to: u64) {
    if let Some(bytes) = NonZero::new(to - from) {
        let _ = fadvise(file, from, Some(bytes), Advice::DontNeed);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt as _;

    use super::*;

    #[test]
    fn what_was_pushed_is_what_was_written() {
        let file = tempfile::tempfile_in(".").expect("file");
        let bytes: Vec<u8> = (0..KEPT_BYTES + 3 * PUSHED_BYTES + 5000).map(|at| (at / 7 + at / 4099) as u8).collect();
        for begin in [0, 4096, 5001] {
            let mut behind = WriteBehind::from(begin);
            let mut at = begin;
            for piece in bytes.chunks(300_007) {
                file.write_all_at(piece, at).expect("written");
                at += piece.len() as u64;
                behind.reached(&file, at);
            }
            behind.ended(&file, at);
            assert_eq!(behind.pushed, at);
            let mut found = vec![0; bytes.len()];
            file.read_exact_at(&mut found, begin).expect("read");
            assert!(found == bytes, "from {begin}");
        }
    }
}
