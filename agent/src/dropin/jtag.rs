//! `fpga-start-virtual-jtag`: a server that lets a debugger on the network use the slot's JTAG.
//!
//! One client at a time, as the shift register is one; others wait until it is done. The
//! registers are those of the management function, whose ids do not change with the image. They
//! are apart from the mailbox, so the slot's lock is not held: a debugging session must not keep
//! others from describing the slot.

mod bridge;
mod server;
mod session;
#[cfg(test)]
mod tests;
mod xvc;

use std::io;
use std::net::{SocketAddr, TcpListener};

use afi_pcie::bus::Caching;
use afi_proto::BarIndex;
use afi_proto::mailbox::ErrorCode;

use super::commands::{Stop, Work};
use super::error::Failure;
use crate::instance;
use crate::output::ErrorReport;
use crate::problem::{Class, Problem};
use bridge::Bridge;

/// What `xvcserver_start` returns when it cannot listen.
const CANNOT_LISTEN: ErrorCode = ErrorCode(1);

/// The server cannot do its work.
#[derive(Debug, thiserror::Error)]
enum ServerError {
    /// The port is taken, or may not be used.
    #[error("cannot listen on {address}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The listening socket or the wait for it broke.
    #[error("cannot wait for clients")]
    Wait {
        /// What the system said.
        source: io::Error,
    },
}

impl Problem for ServerError {
    fn class(&self) -> Class {
        Class::Failed
    }

    fn remedy(&self) -> Option<String> {
        match self {
            Self::Listen { .. } => Some("name another port with -P".to_owned()),
            Self::Wait { .. } => None,
        }
    }
}

impl From<ServerError> for Failure {
    fn from(error: ServerError) -> Self {
        Self::new(CANNOT_LISTEN, &error)
    }
}

impl Work<'_> {
    pub(super) fn serve_jtag(&mut self) -> Result<(), Stop> {
        let slot = self.arguments.slot;
        let port = self.arguments.listen.text.clone();
        self.print(&format!(
            "Starting Virtual JTAG XVC Server for FPGA slot id {slot}, listening to TCP port {port}.\n\
             Press CTRL-C to stop the service.\n"
        ))?;
        self.out.flush().map_err(Stop::Output)?;
        // A slot that is not there is told at once, not to each client.
        let mgmt = self.slot()?.mgmt.bdf;
        let address = self.arguments.listen.address;
        let listener =
            TcpListener::bind(address).map_err(|source| ServerError::Listen { address, source })?;
        let instance = self.instance()?.clone();
        let (host, limit) = (self.host, self.request_timeout());
        let open = || {
            let deadline = host.deadline(limit);
            let function = instance::open_function(instance.bus(), mgmt, &deadline)?;
            let bar = function.bar(BarIndex::BAR2, Caching::None)?;
            Ok(Bridge::new(function, bar))
        };
        let served = server::serve(&listener, host.stop, &open, &mut |error| {
            self.say(&ErrorReport::new(error).to_text());
        });
        served.map_err(|source| ServerError::Wait { source })?;
        Err(Stop::Ended)
    }
}
