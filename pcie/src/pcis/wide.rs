//! Copies between memory of this program and a mapping, by the widest loads and stores there are.
//!
//! A copy has three parts. The middle is whole lines of 64 bytes, aligned in the mapping: each is one
//! access of the bus where the processor has stores that wide, or where the mapping is
//! write-combining, as then the parts of a line are merged, and a streaming load fetches a line. The
//! head before it and the tail behind it are words of 8 bytes and less, each aligned to its size.
//! Every byte is accessed once, and none outside the range.
//!
//! Source: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 1, 10.4.6.2 and
//! 12.10.3 (non-temporal stores, streaming loads), volume 3, 12.3.1 (write combining).
#![expect(
    unsafe_code,
    reason = "vector loads and stores through raw pointers into mappings"
)]

use crate::bar::BarError;
use crate::mapping::Mapping;

use super::level::{Level, Width};

/// Bytes of a line: what a processor merges writes into, and what a streaming load fetches.
pub(super) const LINE: usize = 64;

/// From this many bytes on, stores are non-temporal. In memory that is not a device's (a simulated
/// card's), they are the faster ones for what does not fit into a cache anyway, and the slower ones
/// for what does: on a Zen 4 they cross between 1 and 16 MiB. A BAR is not cached, so there the
/// hint changes nothing.
#[cfg(target_arch = "x86_64")]
const PAST_CACHE: usize = 4 << 20;

/// Copies `data` into the mapping. When it returns, the stores are on their way to the device, in
/// front of any later store of this thread.
pub(super) fn write(
    level: Level,
    mapping: &Mapping,
    offset: u64,
    data: &[u8],
) -> Result<(), BarError> {
    let to = mapping.range(offset, data.len())?.as_ptr();
    let (head, lines) = parts(to.addr(), data.len());
    let tail = head + lines * LINE;
    // SAFETY: `range` found `data.len()` bytes from `to` inside a mapping that is live and writable,
    // as it is borrowed; `head` is at most that.
    unsafe { store_words(to, &data[..head]) };
    // SAFETY: in the same range, as `head + lines * LINE` is at most its length, so the addition
    // stays in the mapping.
    let middle = unsafe { to.add(head) };
    // SAFETY: `middle` is aligned to a line, which `parts` sees to; the lines are inside the mapping
    // and as many as `data[head..tail]` has; a value of `level` exists only if the processor has it.
    unsafe { store_lines(level.0, middle, &data[head..tail]) };
    // SAFETY: as for `middle`.
    let end = unsafe { to.add(tail) };
    // SAFETY: as for the head.
    unsafe { store_words(end, &data[tail..]) };
    flush();
    Ok(())
}

/// Copies out of the mapping.
pub(super) fn read(
    level: Level,
    mapping: &Mapping,
    offset: u64,
    data: &mut [u8],
) -> Result<(), BarError> {
    let from = mapping.range(offset, data.len())?.as_ptr().cast_const();
    let (head, lines) = parts(from.addr(), data.len());
    let tail = head + lines * LINE;
    drop_streams();
    // SAFETY: `range` found `data.len()` bytes from `from` inside a mapping that is live and
    // readable, as it is borrowed; `head` is at most that.
    unsafe { load_words(from, &mut data[..head]) };
    // SAFETY: in the same range, as `head + lines * LINE` is at most its length, so the addition
    // stays in the mapping.
    let middle = unsafe { from.add(head) };
    // SAFETY: `middle` is aligned to a line, which `parts` sees to; the lines are inside the mapping
    // and as many as `data[head..tail]` has; a value of `level` exists only if the processor has it.
    unsafe { load_lines(level.0, middle, &mut data[head..tail]) };
    // SAFETY: as for `middle`.
    let end = unsafe { from.add(tail) };
    // SAFETY: as for the head.
    unsafe { load_words(end, &mut data[tail..]) };
    Ok(())
}

/// Bytes before the first whole line, and the number of whole lines, of a range.
const fn parts(address: usize, length: usize) -> (usize, usize) {
    let to_line = address.wrapping_neg() % LINE;
    if to_line >= length {
        return (length, 0);
    }
    (to_line, (length - to_line) / LINE)
}

/// The size of the largest word that is aligned at an address and fits into what is left.
const fn word(address: usize, left: usize) -> usize {
    if address.is_multiple_of(8) && left >= 8 {
        return 8;
    }
    let mut size = 4;
    while !address.is_multiple_of(size) || size > left {
        size /= 2;
    }
    size
}

/// Stores a few bytes, in aligned words.
///
/// # Safety
/// `data.len()` bytes from `to` on are in a live and writable mapping.
unsafe fn store_words(to: *mut u8, data: &[u8]) {
    let mut done = 0;
    while done < data.len() {
        // SAFETY: `done` is less than the length of the range.
        let at = unsafe { to.add(done) };
        let size = word(at.addr(), data.len() - done);
        let bytes = &data[done..done + size];
        macro_rules! store {
            ($word:ty) => {{
                let mut value = [0; size_of::<$word>()];
                value.copy_from_slice(bytes);
                // SAFETY: `word` found the address aligned to the size and that many bytes left.
                unsafe {
                    at.cast::<$word>()
                        .write_volatile(<$word>::from_ne_bytes(value))
                }
            }};
        }
        match size {
            8 => store!(u64),
            4 => store!(u32),
            2 => store!(u16),
            _ => store!(u8),
        }
        done += size;
    }
}

/// Loads a few bytes, in aligned words.
///
/// # Safety
/// `data.len()` bytes from `from` on are in a live and readable mapping.
unsafe fn load_words(from: *const u8, data: &mut [u8]) {
    let mut done = 0;
    while done < data.len() {
        // SAFETY: `done` is less than the length of the range.
        let at = unsafe { from.add(done) };
        let size = word(at.addr(), data.len() - done);
        let bytes = &mut data[done..done + size];
        macro_rules! load {
            ($word:ty) => {{
                // SAFETY: `word` found the address aligned to the size and that many bytes left; any
                // bits are a valid integer.
                let value = unsafe { at.cast::<$word>().read_volatile() };
                bytes.copy_from_slice(&value.to_ne_bytes());
            }};
        }
        match size {
            8 => load!(u64),
            4 => load!(u32),
            2 => load!(u16),
            _ => load!(u8),
        }
        done += size;
    }
}

/// Stores whole lines.
///
/// # Safety
/// `to` is aligned to a line; `data.len()` bytes, whole lines, from there on are in a live and
/// writable mapping; the processor has `width`.
unsafe fn store_lines(width: Width, to: *mut u8, data: &[u8]) {
    #[cfg(target_arch = "x86_64")]
    let past_cache = data.len() >= PAST_CACHE;
    match width {
        // SAFETY: what the caller promises is more.
        Width::Word => unsafe { store_words(to, data) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: what the caller promises.
        Width::Sse41 => unsafe { x86::store_sse41(to, data, past_cache) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: what the caller promises.
        Width::Avx2 => unsafe { x86::store_avx2(to, data, past_cache) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: what the caller promises.
        Width::Avx512 => unsafe { x86::store_avx512(to, data, past_cache) },
    }
}

/// Loads whole lines.
///
/// # Safety
/// As [`store_lines`], of a readable mapping.
unsafe fn load_lines(width: Width, from: *const u8, data: &mut [u8]) {
    match width {
        // SAFETY: what the caller promises is more.
        Width::Word => unsafe { load_words(from, data) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: what the caller promises.
        Width::Sse41 => unsafe { x86::load_sse41(from, data) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: what the caller promises.
        Width::Avx2 => unsafe { x86::load_avx2(from, data) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: what the caller promises.
        Width::Avx512 => unsafe { x86::load_avx512(from, data) },
    }
}

/// Sends what the processor has merged on its way, in front of later stores.
fn flush() {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: SSE, which every x86-64 has.
    unsafe {
        std::arch::x86_64::_mm_sfence();
    }
    #[cfg(not(target_arch = "x86_64"))]
    std::sync::atomic::fence(std::sync::atomic::Ordering::SeqCst);
}

/// Forgets lines that earlier streaming loads have fetched, and waits for earlier stores.
fn drop_streams() {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: SSE2, which every x86-64 has.
    unsafe {
        std::arch::x86_64::_mm_mfence();
    }
    #[cfg(not(target_arch = "x86_64"))]
    std::sync::atomic::fence(std::sync::atomic::Ordering::SeqCst);
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::{
        __m128i, __m256i, __m512i, _mm_loadu_si128, _mm_storeu_si128, _mm_stream_load_si128,
        _mm_stream_si128, _mm256_loadu_si256, _mm256_storeu_si256, _mm256_stream_load_si256,
        _mm256_stream_si256, _mm512_loadu_si512, _mm512_storeu_si512, _mm512_stream_load_si512,
        _mm512_stream_si512,
    };

    /// Bytes that are loaded before the first of them is stored, so that the loads of several lines
    /// are under way at once.
    const AHEAD: usize = 4 * super::LINE;

    macro_rules! lines {
        ($feature:literal, $vector:ty, $store:ident = $loadu:ident $stream:ident,
         $load:ident = $stream_load:ident $storeu:ident) => {
            /// Stores whole lines.
            ///
            /// # Safety
            /// As [`super::store_lines`].
            #[target_feature(enable = $feature)]
            pub(super) unsafe fn $store(to: *mut u8, data: &[u8], past_cache: bool) {
                let parts = data.chunks_exact(size_of::<$vector>());
                for (number, part) in parts.enumerate() {
                    // SAFETY: `part` has the bytes of a vector; no alignment is wanted.
                    let value = unsafe { $loadu(part.as_ptr().cast()) };
                    // SAFETY: as many vectors from `to` on are in the mapping as `data` has.
                    let at = unsafe { to.cast::<$vector>().add(number) };
                    if past_cache {
                        // SAFETY: in the mapping, as above; aligned, as `to` is to a line.
                        unsafe { $stream(at.cast(), value) };
                    } else {
                        // SAFETY: as above.
                        unsafe { at.write_volatile(value) };
                    }
                }
            }

            /// Loads whole lines.
            ///
            /// # Safety
            /// As [`super::load_lines`].
            #[target_feature(enable = $feature)]
            pub(super) unsafe fn $load(from: *const u8, data: &mut [u8]) {
                const VECTORS: usize = AHEAD / size_of::<$vector>();
                let from = from.cast::<$vector>();
                let mut blocks = data.chunks_exact_mut(AHEAD);
                let mut done = 0;
                for block in &mut blocks {
                    // SAFETY: any bits are a valid vector.
                    let mut values: [$vector; VECTORS] = unsafe { std::mem::zeroed() };
                    for (number, value) in values.iter_mut().enumerate() {
                        // SAFETY: as many vectors from `from` on are in the mapping as `data` has.
                        let at = unsafe { from.add(done + number) };
                        // SAFETY: in the mapping, as above; aligned, as `from` is to a line.
                        *value = unsafe { $stream_load(at.cast()) };
                    }
                    for (part, value) in block.chunks_exact_mut(size_of::<$vector>()).zip(values) {
                        // SAFETY: `part` has the bytes of a vector; no alignment is wanted.
                        unsafe { $storeu(part.as_mut_ptr().cast(), value) };
                    }
                    done += VECTORS;
                }
                let rest = blocks.into_remainder();
                for (number, part) in rest.chunks_exact_mut(size_of::<$vector>()).enumerate() {
                    // SAFETY: as above.
                    let at = unsafe { from.add(done + number) };
                    // SAFETY: as above.
                    let value = unsafe { $stream_load(at.cast()) };
                    // SAFETY: as above.
                    unsafe { $storeu(part.as_mut_ptr().cast(), value) };
                }
            }
        };
    }

    lines!("sse4.1", __m128i, store_sse41 = _mm_loadu_si128 _mm_stream_si128,
           load_sse41 = _mm_stream_load_si128 _mm_storeu_si128);
    lines!("avx2", __m256i, store_avx2 = _mm256_loadu_si256 _mm256_stream_si256,
           load_avx2 = _mm256_stream_load_si256 _mm256_storeu_si256);
    lines!("avx512f", __m512i, store_avx512 = _mm512_loadu_si512 _mm512_stream_si512,
           load_avx512 = _mm512_stream_load_si512 _mm512_storeu_si512);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_a_range_meet_and_the_middle_is_aligned() {
        for address in 0..130 {
            for length in 0..200 {
                let (head, lines) = parts(address, length);
                let tail = length - head - lines * LINE;
                assert!(head < LINE && tail < LINE, "{address}+{length}");
                assert!(lines == 0 || (address + head).is_multiple_of(LINE));
            }
        }
    }

    #[test]
    fn words_are_aligned_and_as_large_as_they_can_be() {
        assert_eq!(word(0, 100), 8);
        assert_eq!(word(4, 100), 4);
        assert_eq!(word(6, 100), 2);
        assert_eq!(word(7, 100), 1);
        assert_eq!(word(8, 7), 4);
        assert_eq!(word(8, 1), 1);
    }
}
