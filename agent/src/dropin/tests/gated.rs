//! A shell that reports an image as loaded and an error with it. The simulated one reports such a
//! load as failed.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use afi_proto::mailbox::{Header, MgmtRegister, SlotStatus};
use afi_proto::{BarIndex, Bdf, Family};
use afi_sim::function::{BarMemory, DeviceFunction, HostPort};

use super::super::Tool;
use super::rig::{HELLO, Rig};

/// The word of a metrics response that holds the status: after the header, 64 bytes of image id and
/// four ids.
const STATUS_WORD: usize = (Header::SIZE + 64 + 8) / 4;

/// The first word of the image id.
const ID_WORD: usize = Header::SIZE / 4;

/// A management function that says `loaded` where the one in it says `load-failed`, and always
/// names the same image.
struct LoadedAnyway {
    inner: Arc<dyn DeviceFunction>,
    /// The word of the response that is read next.
    word: AtomicUsize,
}

impl DeviceFunction for LoadedAnyway {
    fn bdf(&self) -> Bdf {
        self.inner.bdf()
    }

    fn is_present(&self) -> bool {
        self.inner.is_present()
    }

    fn read_config(&self, offset: u16, data: &mut [u8]) {
        self.inner.read_config(offset, data);
    }

    fn write_config(&self, offset: u16, data: &[u8]) {
        self.inner.write_config(offset, data);
    }

    fn bar_size(&self, bar: BarIndex) -> Option<u64> {
        self.inner.bar_size(bar)
    }

    fn read_bar(&self, bar: BarIndex, offset: u64, data: &mut [u8]) {
        self.inner.read_bar(bar, offset, data);
        if bar != BarIndex::BAR0 || offset != MgmtRegister::ReadData.offset() {
            return;
        }
        let word = self.word.fetch_add(1, Ordering::Relaxed);
        if word == STATUS_WORD && data == SlotStatus::LOAD_FAILED.0.to_le_bytes() {
            data.copy_from_slice(&SlotStatus::LOADED.0.to_le_bytes());
        }
        let mut id = HELLO.as_bytes().chunks(4);
        if let Some(part) = word.checked_sub(ID_WORD).and_then(|at| id.nth(at)) {
            data[..part.len()].copy_from_slice(part);
        }
    }

    fn write_bar(&self, bar: BarIndex, offset: u64, data: &[u8]) {
        if bar == BarIndex::BAR0 && offset == MgmtRegister::ReadIndex.offset() {
            self.word.store(0, Ordering::Relaxed);
        }
        self.inner.write_bar(bar, offset, data);
    }

    fn bar_memory(&self, bar: BarIndex) -> Option<BarMemory> {
        self.inner.bar_memory(bar)
    }

    fn msix_vectors(&self) -> u16 {
        self.inner.msix_vectors()
    }

    fn reset(&self) {
        self.inner.reset();
    }

    fn attach(&self, host: Arc<dyn HostPort>) {
        self.inner.attach(host);
    }

    fn detach(&self) {
        self.inner.detach();
    }
}

#[test]
fn an_image_that_is_loaded_with_an_error_is_shown_with_it() {
    let rig = Rig::new(Family::F1, 1).with_functions(|inner| {
        let word = AtomicUsize::new(0);
        Arc::new(LoadedAnyway { inner, word })
    });
    rig.fault("load-error=afi-power-violation");
    let ran = rig.run(Tool::Load, &format!("-S 0 -I {HELLO}"));
    ran.fails(
        0,
        "AFI          0       agfi-0f1f1000000000001  loaded            0        afi-power-violation        17       0x04261818\n\
         AFIDEVICE    0       0x1d0f      0xf000      0000:00:1d.0\n",
    );
    assert!(ran.err.contains("afi-power-violation"), "{}", ran.err);
}

#[test]
fn an_image_that_is_stopped_for_its_power_is_an_error() {
    let rig = Rig::new(Family::F1, 1);
    rig.fault("load-error=afi-power-violation");
    rig.run(Tool::Load, &format!("-S 0 -I {HELLO}")).fails(
        17,
        "Error: (17) afi-power-violation\n\
         The loaded CL exceeded maximum allowed power consumption and was\n\
         automatically disabled. To clear this condition, simply reload the AFI.\n",
    );
}
