//! The engine for data in any memory of the program: through buffers that the engine can reach, two
//! for each channel, so that one is copied while the other is under way.

use std::collections::VecDeque;
use std::fmt;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use afi_proto::xdma::Direction;

use super::CardMemoryError;
use crate::dma::DmaMemoryError;
use crate::striped::{Next, share};
use crate::xdma::{Channel, DmaError, Engine, OpenError, Stripe, Submission, Transfer};
use crate::{Deadline, DmaBuffer};

/// Bytes of a bounce buffer: a huge page. Large enough that the start of a transfer is nothing
/// beside it, small enough that what was copied is still in the processor's cache.
const BUFFER: usize = 2 << 20;
/// Buffers of a channel.
const BUFFERS: usize = 2;
/// Bytes of a caller's own buffer that are moved between two reports of progress.
const STEP: u64 = 64 << 20;

/// The engine of a slot, with its channels open.
pub(super) struct Xdma {
    engine: Engine,
    h2c: Lanes,
    c2h: Lanes,
}

/// The channels of one direction.
struct Lanes {
    stripe: Stripe,
    /// The bounce buffers of each channel that are not in use. Made when they are needed.
    idle: Vec<Mutex<Vec<DmaBuffer>>>,
}

impl Xdma {
    /// Opens at most so many channels of each direction.
    pub(super) fn open(engine: Engine, most: usize) -> Result<Self, OpenError> {
        let lanes = |direction| Lanes::open(&engine, direction, most);
        let (h2c, c2h) = (lanes(Direction::H2c)?, lanes(Direction::C2h)?);
        Ok(Self { engine, h2c, c2h })
    }

    /// Channels that are open, of the direction that has more.
    pub(super) fn channels(&self) -> usize {
        self.h2c.idle.len().max(self.c2h.idle.len())
    }

    /// A buffer that the engine reaches without a copy.
    pub(super) fn buffer(&self, length: u64) -> Result<DmaBuffer, DmaMemoryError> {
        self.engine.space().buffer(length)
    }

    pub(super) fn write(
        &self,
        address: u64,
        data: &[u8],
        deadline: &Deadline,
        moved: &(dyn Fn(u64) + Sync),
    ) -> Result<(), CardMemoryError> {
        self.run(&self.h2c, address, data.chunks(BUFFER), deadline, moved)
    }

    pub(super) fn read(
        &self,
        address: u64,
        data: &mut [u8],
        deadline: &Deadline,
        moved: &(dyn Fn(u64) + Sync),
    ) -> Result<(), CardMemoryError> {
        self.run(&self.c2h, address, data.chunks_mut(BUFFER), deadline, moved)
    }

    /// Moves a range of a caller's buffer, over all channels of the direction.
    pub(super) fn copy(
        &self,
        direction: Direction,
        buffer: &mut DmaBuffer,
        range: Range<u64>,
        address: u64,
        deadline: &Deadline,
        moved: &dyn Fn(u64),
    ) -> Result<(), CardMemoryError> {
        let lanes = match direction {
            Direction::H2c => &self.h2c,
            Direction::C2h => &self.c2h,
        };
        let mut start = range.start;
        while start < range.end {
            let end = range.end.min(start + STEP);
            let at = address + (start - range.start);
            let copied = lanes.stripe.copy(buffer, start..end, at, deadline);
            copied.map_err(failed)?;
            moved(end - start);
            start = end;
        }
        Ok(())
    }

    fn run<P: Piece>(
        &self,
        lanes: &Lanes,
        address: u64,
        pieces: impl ExactSizeIterator<Item = P> + Send,
        deadline: &Deadline,
        moved: &(dyn Fn(u64) + Sync),
    ) -> Result<(), CardMemoryError> {
        let channels = lanes.stripe.as_channels().iter().zip(&lanes.idle);
        let workers: Vec<_> = channels.collect();
        share(&workers, pieces.enumerate(), |(channel, idle), next| {
            let mut lane = Lane {
                xdma: self,
                channel,
                idle: std::mem::take(&mut *lock(idle)),
                flight: VecDeque::with_capacity(BUFFERS),
                address,
                deadline,
                moved,
            };
            let result = lane.run(next);
            lane.finish();
            let mut kept = lock(idle);
            kept.append(&mut lane.idle);
            // Two transfers at once have made more than are kept.
            kept.truncate(BUFFERS);
            result
        })
    }
}

impl fmt::Display for Xdma {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (h2c, c2h) = (self.h2c.idle.len(), self.c2h.idle.len());
        write!(f, "{h2c} H2C and {c2h} C2H channels in user space")?;
        match self
            .h2c
            .stripe
            .as_channels()
            .first()
            .map(Channel::submission)
        {
            Some(Submission::Chain { reason }) => write!(f, ", without credits: {reason}"),
            Some(Submission::Credits) | None => Ok(()),
        }
    }
}

impl Lanes {
    fn open(engine: &Engine, direction: Direction, most: usize) -> Result<Self, OpenError> {
        let there = engine.channels().iter();
        let usable = there.filter(|info| info.id.direction == direction && !info.is_stream);
        let mut channels = Vec::new();
        for info in usable.take(most.max(1)) {
            channels.push(engine.channel(direction, info.id.number)?);
        }
        if channels.is_empty() {
            // The engine says how many there are of it.
            channels.push(engine.channel(direction, 0)?);
        }
        let idle = channels.iter().map(|_| Mutex::default()).collect();
        let stripe = Stripe::new(channels).expect("1 to 4 channels of one direction");
        Ok(Self { stripe, idle })
    }
}

/// A part of the caller's data.
trait Piece: Send {
    fn length(&self) -> usize;
    /// Copies it into a buffer, if it goes to the card.
    fn load(&self, into: &mut DmaBuffer) -> Result<(), DmaMemoryError>;
    /// Copies it out of a buffer, if it comes from the card.
    fn store(&mut self, from: &DmaBuffer) -> Result<(), DmaMemoryError>;
}

impl Piece for &[u8] {
    fn length(&self) -> usize {
        self.len()
    }

    fn load(&self, into: &mut DmaBuffer) -> Result<(), DmaMemoryError> {
        into.copy_in(0, self)
    }

    fn store(&mut self, _: &DmaBuffer) -> Result<(), DmaMemoryError> {
        Ok(())
    }
}

impl Piece for &mut [u8] {
    fn length(&self) -> usize {
        self.len()
    }

    fn load(&self, _: &mut DmaBuffer) -> Result<(), DmaMemoryError> {
        Ok(())
    }

    fn store(&mut self, from: &DmaBuffer) -> Result<(), DmaMemoryError> {
        from.copy_out(0, self)
    }
}

/// A channel at work for one call.
struct Lane<'a, P> {
    xdma: &'a Xdma,
    channel: &'a Channel,
    idle: Vec<DmaBuffer>,
    flight: VecDeque<(Transfer<DmaBuffer>, P)>,
    address: u64,
    deadline: &'a Deadline,
    moved: &'a (dyn Fn(u64) + Sync),
}

impl<P: Piece> Lane<'_, P> {
    /// Keeps as many transfers under way as there are buffers, until there are no more pieces.
    fn run(&mut self, next: Next<'_, (usize, P)>) -> Result<(), CardMemoryError> {
        loop {
            self.deadline
                .check()
                .map_err(|source| CardMemoryError::Wait { source })?;
            let piece = if self.flight.len() < BUFFERS {
                next()
            } else {
                None
            };
            match piece {
                Some((number, piece)) => self.begin(number, piece)?,
                None if self.flight.is_empty() => return Ok(()),
                None => self.end_first()?,
            }
        }
    }

    fn begin(&mut self, number: usize, piece: P) -> Result<(), CardMemoryError> {
        let mut buffer = match self.idle.pop() {
            Some(buffer) => buffer,
            None => self.xdma.buffer(BUFFER as u64).map_err(memory)?,
        };
        piece.load(&mut buffer).map_err(memory)?;
        let at = self.address + (number * BUFFER) as u64;
        match self.channel.submit(buffer, 0..piece.length() as u64, at) {
            Ok(transfer) => {
                self.flight.push_back((transfer, piece));
                Ok(())
            }
            Err(refused) => {
                self.idle.extend(refused.payload);
                Err(failed(refused.error))
            }
        }
    }

    fn end_first(&mut self) -> Result<(), CardMemoryError> {
        let Some((transfer, mut piece)) = self.flight.pop_front() else {
            return Ok(());
        };
        match transfer.wait(self.deadline) {
            Ok(buffer) => {
                let stored = piece.store(&buffer);
                self.idle.push(buffer);
                stored.map_err(memory)?;
                (self.moved)(piece.length() as u64);
                Ok(())
            }
            Err(refused) => {
                self.idle.extend(refused.payload);
                Err(failed(refused.error))
            }
        }
    }

    /// Takes back the buffers of what is still under way after a failure.
    fn finish(&mut self) {
        for (transfer, _) in self.flight.drain(..) {
            let buffer = match transfer.abort() {
                Ok(buffer) => Some(buffer),
                Err(refused) => refused.payload,
            };
            self.idle.extend(buffer);
        }
    }
}

fn failed(error: DmaError) -> CardMemoryError {
    match error {
        DmaError::Ended { source, .. } => CardMemoryError::Wait { source },
        source => CardMemoryError::Xdma { source },
    }
}

fn memory(source: DmaMemoryError) -> CardMemoryError {
    CardMemoryError::Memory { source }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
