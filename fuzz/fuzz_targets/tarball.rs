//! Any bytes as a tarball.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| afi_image::fuzzing::tarball(bytes));
