//! The RAM of 1 KiB behind SDA in `cl_dram_dma` and `cl_dram_hbm_dma` (`cl_sda_slv.sv`).

const WORDS: usize = 256;

/// The RAM; only address bits 9:0 are decoded, so it repeats through the BAR.
#[derive(Debug)]
pub(super) struct SdaRam {
    words: Box<[u32; WORDS]>,
}

impl Default for SdaRam {
    fn default() -> Self {
        Self {
            words: Box::new([0; WORDS]),
        }
    }
}

impl SdaRam {
    pub(super) const fn read(&self, offset: u64) -> u32 {
        self.words[Self::index(offset)]
    }

    pub(super) const fn write(&mut self, offset: u64, value: u32) {
        self.words[Self::index(offset)] = value;
    }

    const fn index(offset: u64) -> usize {
        (offset / 4) as usize % WORDS
    }
}
