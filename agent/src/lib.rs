//! What should happen to the slots? Resolves images through the cloud's API, checks that they fit,
//! loads them and verifies what appeared on the bus; and the `afi` command line on top.
#![forbid(unsafe_code)]

pub mod capture;
pub mod cli;
pub mod cloud;
pub mod dropin;
pub mod image;
pub mod instance;
pub mod lock;
pub mod output;
pub mod pipeline;
pub mod problem;
pub mod resolve;
mod serial;
pub mod settings;
mod signals;
