//! What should happen to the slots? Resolves images through the cloud's API, checks that they fit,
//! loads them and verifies what appeared on the bus; and the `afi` command line on top.
#![forbid(unsafe_code)]

pub mod problem;
