//! Reads Thrift's compact protocol, as far as needed to check a footer and the headers of
//! pages before a decoder does: nothing is allocated by the file's own numbers, and nesting is limited.
//!
//! Stricter than the protocol: the fields of a struct come in the order of their numbers, each once, as every writer of
//! Parquet puts them. Otherwise two readers could read different values of one field.
//!
//! Source: Apache Thrift, "Thrift Compact protocol encoding".

/// How deep structs and lists may nest.
const DEPTH_MAX: u32 = 16;

/// A value's type, as it is encoded in a field or a list.
pub(super) type Kind = u8;

const TRUE: Kind = 1;
const FALSE: Kind = 2;

/// What is still to be read.
#[derive(Clone, Copy)]
pub(super) struct Compact<'a> {
    rest: &'a [u8],
    depth: u32,
}

impl<'a> Compact<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Compact { rest: bytes, depth: 0 }
    }

    /// The number of remaining bytes.
    pub(super) fn left(&self) -> usize {
        self.rest.len()
    }

    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    fn skip_bytes(&mut self, count: u64) -> Option<()> {
        self.rest = self.rest.get(usize::try_from(count).ok()?..)?;
        Some(())
    }

    fn varint(&mut self) -> Option<u64> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if bits << shift >> shift != bits {
                return None;
            }
            number |= bits << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    /// A whole number.
    pub(super) fn integer(&mut self) -> Option<i64> {
        let number = self.varint()?;
        Some((number >> 1) as i64 ^ -((number & 1) as i64))
    }

    /// A whole number of 32 bits.
    pub(super) fn small(&mut self) -> Option<i32> {
        i32::try_from(self.integer()?).ok()
    }

    /// A field that is a boolean has its value in its kind.
    pub(super) fn boolean(kind: Kind) -> Option<bool> {
        match kind {
            TRUE => Some(true),
            FALSE => Some(false),
            _ => None,
        }
    }

    /// The fields of a struct, one by one; `take` reads the field's value, or skips it.
    pub(super) fn fields(&mut self, mut take: impl FnMut(&mut Self, i16, Kind) -> Option<()>) -> Option<()> {
        self.depth += 1;
        let mut last = 0_i16;
        loop {
            if self.depth > DEPTH_MAX {
                return None;
            }
            let byte = self.byte()?;
            let delta = i16::from(byte >> 4);
            let kind = byte & 0x0f;
            if kind == 0 {
                self.depth -= 1;
                return Some(());
            }
            let id = if delta > 0 { last.checked_add(delta)? } else { i16::try_from(self.integer()?).ok()? };
            if id <= last {
                return None;
            }
            last = id;
            take(self, id, kind)?;
        }
    }

    /// The kind and the number of a list's values, which follow; there can't be more of them than bytes.
    pub(super) fn list(&mut self) -> Option<(Kind, u64)> {
        let byte = self.byte()?;
        let count = if byte >> 4 == 15 { self.varint()? } else { u64::from(byte >> 4) };
        (count <= self.rest.len() as u64).then_some((byte & 0x0f, count))
    }

    /// Skips a value.
    pub(super) fn skip(&mut self, kind: Kind) -> Option<()> {
        match kind {
            TRUE | FALSE => Some(()),
            3 => self.skip_bytes(1),
            4..=6 => self.varint().map(drop),
            7 => self.skip_bytes(8),
            8 => {
                let length = self.varint()?;
                self.skip_bytes(length)
            }
            9 | 10 => self.skip_list(),
            12 => self.fields(|value, _, kind| value.skip(kind)),
            _ => None,
        }
    }

    fn skip_list(&mut self) -> Option<()> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return None;
        }
        let (kind, count) = self.list()?;
        for _ in 0..count {
            match kind {
                // In a list, a boolean is a byte.
                TRUE | FALSE => self.skip_bytes(1)?,
                _ => self.skip(kind)?,
            }
        }
        self.depth -= 1;
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(bytes: &[u8]) -> Option<Vec<(i16, i64)>> {
        let mut found = Vec::new();
        let take = |value: &mut Compact<'_>, id: i16, kind: Kind| match kind {
            5 | 6 => value.integer().map(|number| found.push((id, number))),
            _ => value.skip(kind),
        };
        Compact::new(bytes).fields(take).map(|()| found)
    }

    #[test]
    fn fields_come_in_the_order_of_their_numbers() {
        // Field 1 is 7, field 3 a list of three booleans, field 4 a text, field 20 is -1.
        let bytes = [0x15, 14, 0x29, 0x31, 1, 2, 1, 0x18, 2, b'a', b'b', 0x05, 40, 1, 0];
        assert_eq!(numbers(&bytes), Some(vec![(1, 7), (20, -1)]));
        for cut in 0..bytes.len() {
            assert_eq!(numbers(&bytes[..cut]), None, "{cut}");
        }
        // Field 1 twice.
        assert_eq!(numbers(&[0x15, 14, 0x05, 2, 14, 0]), None);
    }

    #[test]
    fn numbers_of_things_are_no_reason_to_make_room() {
        // A list of 2 to the 31 structs, a text as long, a varint without end.
        assert_eq!(numbers(&[0x19, 0xfc, 0xff, 0xff, 0xff, 0xff, 7, 0]), None);
        assert_eq!(numbers(&[0x18, 0xff, 0xff, 0xff, 0xff, 7, 0]), None);
        assert_eq!(numbers(&[0x15; 40]), None);
        assert_eq!(numbers(&[&[0x15][..], &[0xff; 40]].concat()), None);
        assert_eq!(numbers(&[0x1c; 5000]), None);
        assert_eq!(numbers(&[0x19; 5000]), None);
    }
}
