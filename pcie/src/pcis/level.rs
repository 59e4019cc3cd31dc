//! How wide the processor's loads and stores are.

use std::fmt;
use std::sync::LazyLock;

/// How wide loads and stores are. There are values only for what the processor has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Level(pub(super) Width);

/// The widths that there is code for, narrow ones first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Width {
    /// 8 bytes, by any processor.
    Word,
    /// 16 bytes: SSE2 stores, SSE4.1 streaming loads.
    #[cfg(target_arch = "x86_64")]
    Sse41,
    /// 32 bytes.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// 64 bytes: one access for a whole line.
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Level {
    /// What every processor can: words of 8 bytes.
    pub const PLAIN: Self = Self(Width::Word);

    /// What this processor can, narrow ones first. It is asked once.
    pub fn available() -> &'static [Self] {
        static AVAILABLE: LazyLock<Vec<Level>> = LazyLock::new(detect);
        &AVAILABLE
    }

    /// The widest that this processor can.
    pub fn best() -> Self {
        Self::available().last().copied().unwrap_or(Self::PLAIN)
    }

    /// Its name, as processors are described.
    pub const fn name(self) -> &'static str {
        match self.0 {
            Width::Word => "plain",
            #[cfg(target_arch = "x86_64")]
            Width::Sse41 => "SSE4.1",
            #[cfg(target_arch = "x86_64")]
            Width::Avx2 => "AVX2",
            #[cfg(target_arch = "x86_64")]
            Width::Avx512 => "AVX-512",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

fn detect() -> Vec<Level> {
    std::iter::once(Level::PLAIN).chain(wide()).collect()
}

#[cfg(target_arch = "x86_64")]
fn wide() -> Vec<Level> {
    let there = [
        (is_x86_feature_detected!("sse4.1"), Width::Sse41),
        (is_x86_feature_detected!("avx2"), Width::Avx2),
        (is_x86_feature_detected!("avx512f"), Width::Avx512),
    ];
    let wide = there.into_iter().filter(|(has, _)| *has);
    wide.map(|(_, width)| Level(width)).collect()
}

#[cfg(not(target_arch = "x86_64"))]
fn wide() -> Vec<Level> {
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_is_the_widest_of_those_there_are() {
        let available = Level::available();
        assert_eq!(available.first(), Some(&Level::PLAIN));
        assert!(available.is_sorted());
        assert_eq!(available.last(), Some(&Level::best()));
        #[cfg(target_arch = "x86_64")]
        assert_eq!(
            is_x86_feature_detected!("avx512f"),
            Level::best().name() == "AVX-512"
        );
    }
}
