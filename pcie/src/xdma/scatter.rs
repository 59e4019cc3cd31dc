//! Which bytes go where: ranges of buffers, addresses of the card, cut into what one descriptor
//! moves.

use std::ops::Range;
use std::sync::Arc;

use afi_proto::xdma::MAX_LENGTH;

use super::error::DmaError;
use crate::dma::{DmaBuffer, Held};

/// The largest piece that one descriptor moves: [`MAX_LENGTH`] in whole 4 KiB pages, so that the
/// pieces behind it stay as aligned as the first.
pub const LARGEST: u32 = MAX_LENGTH & !0xFFF;

/// Where transfers are cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Split {
    /// The most bytes of a piece, 1 to [`MAX_LENGTH`].
    pub largest: u32,
    /// A power of two that no piece crosses a multiple of on the card: the size of an interface of
    /// its memory, for example.
    pub card_boundary: Option<u64>,
}

impl Default for Split {
    fn default() -> Self {
        Self {
            largest: LARGEST,
            card_boundary: None,
        }
    }
}

/// One piece: what one descriptor moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    /// Bus address in host memory.
    pub host: u64,
    /// Address on the card.
    pub card: u64,
    /// Bytes.
    pub length: u32,
}

/// The pieces of `length` bytes at `host` and `card`, in order.
#[derive(Debug, Clone)]
pub struct Pieces {
    host: u64,
    card: u64,
    left: u64,
    split: Split,
}

impl Pieces {
    /// Cuts a transfer. Neither range may go beyond 64-bit addresses.
    #[inline]
    pub const fn new(host: u64, card: u64, length: u64, split: Split) -> Self {
        Self {
            host,
            card,
            left: length,
            split,
        }
    }
}

impl Iterator for Pieces {
    type Item = Piece;

    #[inline]
    fn next(&mut self) -> Option<Piece> {
        if self.left == 0 {
            return None;
        }
        let mut length = self.left.min(self.split.largest.into());
        if let Some(boundary) = self.split.card_boundary {
            length = length.min(boundary - (self.card & (boundary - 1)));
        }
        let piece = Piece {
            host: self.host,
            card: self.card,
            // At most `largest`, which is a u32.
            length: length as u32,
        };
        // At the end of 64-bit addresses they wrap to 0, with nothing left.
        self.host = self.host.wrapping_add(length);
        self.card = self.card.wrapping_add(length);
        self.left -= length;
        Some(piece)
    }
}

/// One entry of a [`ScatterList`]: a range of a buffer, and where on the card it goes or comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// Number of the buffer in its list.
    pub buffer: usize,
    /// Which bytes of it.
    pub range: Range<u64>,
    /// Address of the first one on the card.
    pub card_address: u64,
}

/// Buffers, and the segments of them that one transfer moves, in this order.
///
/// A list can be used again and again; a transfer that takes it allocates nothing.
#[derive(Debug, Default)]
pub struct ScatterList {
    /// The buffers.
    pub buffers: Vec<DmaBuffer>,
    /// What is moved.
    pub segments: Vec<Segment>,
}

impl ScatterList {
    /// Checks every segment.
    pub(super) fn check(&self) -> Result<(), DmaError> {
        if self.segments.is_empty() {
            return Err(DmaError::Empty);
        }
        for (number, segment) in self.segments.iter().enumerate() {
            let buffer = self.buffers.get(segment.buffer);
            let buffer = buffer.ok_or(DmaError::NoBuffer {
                segment: number,
                buffer: segment.buffer,
                buffers: self.buffers.len(),
            })?;
            check(hold(buffer)?, &segment.range, segment.card_address)?;
        }
        Ok(())
    }

    /// The pieces of a list that was checked.
    pub(super) fn pieces(&self, split: Split) -> impl Iterator<Item = Piece> + Clone {
        self.segments.iter().flat_map(move |segment| {
            let start = self.buffers[segment.buffer].bus_address() + segment.range.start;
            let length = segment.range.end - segment.range.start;
            Pieces::new(start, segment.card_address, length, split)
        })
    }
}

/// What a transfer holds of a buffer.
pub(super) fn hold(buffer: &DmaBuffer) -> Result<&Arc<Held>, DmaError> {
    buffer.held().map_err(|source| DmaError::Buffer {
        source: Arc::new(source),
    })
}

/// Checks one range.
#[inline]
pub(super) fn check(held: &Held, range: &Range<u64>, card: u64) -> Result<(), DmaError> {
    if range.start >= range.end || range.end > held.length() {
        return Err(DmaError::Range {
            start: range.start,
            end: range.end,
            length: held.length(),
        });
    }
    let length = range.end - range.start;
    // The last byte has an address; the one behind it need not.
    if card.checked_add(length - 1).is_none() {
        return Err(DmaError::CardRange {
            address: card,
            length,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pieces(card: u64, length: u64, split: Split) -> Vec<Piece> {
        Pieces::new(0x1_0000_0000, card, length, split).collect()
    }

    #[test]
    fn a_transfer_up_to_the_last_address_ends_there() {
        let all = pieces(u64::MAX - 0xFFF, 0x1000, Split::default());
        assert_eq!(all.len(), 1);
        assert_eq!(all[0].length, 0x1000);
    }

    #[test]
    fn a_large_transfer_stays_aligned() {
        let all = pieces(0, 1 << 30, Split::default());
        assert_eq!(all.len(), 5);
        assert!(
            all.iter()
                .all(|piece| piece.card % 4096 == 0 && piece.host % 4096 == 0)
        );
    }

    proptest! {
        /// Byte for byte: the pieces move what the transfer names, once, in order, and no piece is
        /// empty, too long or across a boundary.
        #[test]
        fn pieces_are_the_transfer(
            host in 0_u64..1 << 20, card in 0_u64..1 << 20, length in 0_u64..5000,
            largest in 1_u32..700, boundary in proptest::option::of(4_u32..12),
        ) {
            let split = Split { largest, card_boundary: boundary.map(|bits| 1 << bits) };
            let mut moved = Vec::new();
            for piece in Pieces::new(host, card, length, split) {
                prop_assert!(piece.length >= 1 && piece.length <= largest);
                let last = piece.card + u64::from(piece.length) - 1;
                if let Some(boundary) = split.card_boundary {
                    prop_assert_eq!(piece.card / boundary, last / boundary);
                }
                let bytes = 0..u64::from(piece.length);
                moved.extend(bytes.map(|byte| (piece.host + byte, piece.card + byte)));
            }
            let wanted: Vec<_> = (0..length).map(|byte| (host + byte, card + byte)).collect();
            prop_assert_eq!(moved, wanted);
        }
    }
}
