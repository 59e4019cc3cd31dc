//! Ids of what is made here. They have the form of real ones, 17 hexadecimal digits, and begin with
//! `0c1c1`, so that nobody takes one for a real image.

use afi_proto::{AfiId, AgfiId};

use super::State;

impl State {
    /// Ids of a new image.
    pub(in crate::cloud) fn new_image_ids(&mut self) -> (AfiId, AgfiId) {
        let digits = self.new_digits();
        let afi = format!("afi-{digits}").parse();
        let agfi = format!("agfi-{digits}").parse();
        let why = "17 hexadecimal digits make an id";
        (afi.expect(why), agfi.expect(why))
    }

    /// An id of this kind, such as `snap`.
    pub(in crate::cloud) fn new_id(&mut self, kind: &str) -> String {
        format!("{kind}-{}", self.new_digits())
    }

    fn new_digits(&mut self) -> String {
        self.next_id += 1;
        format!("0c1c1{:012x}", self.next_id)
    }
}
