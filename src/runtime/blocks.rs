//! The two blocks of a downlink's flowgraph. They are thin: everything they do is behind
//! [`Receiver`], which is tested without them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use crossbeam_channel::Sender;
use futuresdr::runtime::dev::prelude::*;

use super::collector::{Told, Update};
use super::feed::{LaneReceiver, Next};
use super::guard;
use crate::frame::Frame;
use crate::receiver::Receiver;
use crate::receiver::surroundings::Lookabout;

/// Signs of life of a receiver block.
#[derive(Debug, Default)]
pub(super) struct Pulse {
    /// How often it has done something.
    pub beats: AtomicU64,
    /// Why it ended early, if it did.
    pub failure: OnceLock<String>,
}

/// Runs one receiver on the samples of one lane.
///
/// # Message Outputs
/// `frames`: [`Update`]s.
#[derive(Block)]
#[message_outputs(frames)]
pub(super) struct ReceiverBlock {
    downlink: usize,
    generation: u32,
    lane: LaneReceiver,
    receiver: Receiver,
    pulse: Arc<Pulse>,
    frames: Vec<Frame>,
    reported_sample: u64,
    lookabout: Option<Lookabout>,
}

impl ReceiverBlock {
    pub fn new(
        (downlink, generation): (usize, u32),
        lane: LaneReceiver,
        receiver: Receiver,
        pulse: Arc<Pulse>,
    ) -> Self {
        let (frames, reported_sample) = (Vec::new(), 0);
        let lookabout = receiver.lookabout();
        Self { downlink, generation, lane, receiver, pulse, frames, reported_sample, lookabout }
    }

    /// Calls the receiver; a panic ends this flowgraph and no other, with the frames that it has.
    fn run(&mut self, io: &mut WorkIo, f: impl FnOnce(&mut Receiver, &mut Vec<Frame>)) -> bool {
        let (receiver, frames) = (&mut self.receiver, &mut self.frames);
        let outcome = guard(|| f(receiver, frames));
        self.pulse.beats.fetch_add(1, Ordering::Relaxed);
        match outcome {
            Ok(()) => true,
            Err(text) => {
                let _ = self.pulse.failure.set(text);
                let _ = guard(|| receiver.salvage(frames));
                self.lane.close();
                io.finished = true;
                false
            }
        }
    }
}

impl Kernel for ReceiverBlock {
    async fn work(
        &mut self,
        io: &mut WorkIo,
        mo: &mut MessageOutputs,
        _meta: &mut BlockMeta,
    ) -> futuresdr::runtime::Result<()> {
        let mut ended = false;
        match self.lane.next() {
            Next::Block(anchor, block) => {
                io.call_again = true;
                self.run(io, |receiver, out| {
                    if let Some(anchor) = anchor {
                        receiver.anchor(anchor, out);
                    }
                    receiver.push(block.first_sample, &block.samples, out);
                });
                if let Some(lookabout) = &mut self.lookabout {
                    let centre_hz = self.receiver.looked_for_hz();
                    let looked = guard(|| {
                        lookabout.push(block.first_sample, &block.samples, centre_hz);
                    });
                    if let Err(text) = looked {
                        tracing::warn!("looking around a downlink: {text}; receiving goes on");
                        self.lookabout = None;
                    }
                }
            }
            Next::End => {
                self.run(io, Receiver::finish);
                io.finished = true;
                ended = true;
            }
            Next::Empty => {
                io.block_on(self.lane.ready());
                return Ok(());
            }
        }
        ended |= io.finished;
        let settled_sample = if ended { u64::MAX } else { self.receiver.settled_sample() };
        if !self.frames.is_empty() || settled_sample != self.reported_sample {
            self.reported_sample = settled_sample;
            let around = self.lookabout.as_ref();
            let update = Update {
                downlink: self.downlink,
                generation: self.generation,
                frames: std::mem::take(&mut self.frames),
                settled_sample,
                counts: self.receiver.counts(),
                worked_sample: self.receiver.next_sample(),
                doppler_hz: self.receiver.doppler_hz(),
                fit: self.receiver.fit(),
                surroundings: around.map(Lookabout::total).unwrap_or_default(),
                lately: around.map(Lookabout::recent).unwrap_or_default(),
            };
            mo.post("frames", Pmt::Any(Box::new(Told::Update(Box::new(update))))).await?;
        }
        if io.finished {
            io.call_again = false;
        }
        yield_now().await;
        Ok(())
    }

    async fn deinit(
        &mut self,
        _mo: &mut MessageOutputs,
        _meta: &mut BlockMeta,
    ) -> futuresdr::runtime::Result<()> {
        self.lane.close();
        Ok(())
    }
}

/// Gives the other blocks of this worker a turn: the runtime does not while `call_again` is set.
async fn yield_now() {
    let mut yielded = false;
    std::future::poll_fn(|context| {
        if yielded {
            return std::task::Poll::Ready(());
        }
        yielded = true;
        context.waker().wake_by_ref();
        std::task::Poll::Pending
    })
    .await;
}

/// Hands the receiver block's updates to the collector's thread, which always drains them.
///
/// # Message Inputs
/// `updates`: [`Update`]s.
#[derive(Block)]
#[message_inputs(updates)]
#[null_kernel]
pub(super) struct CollectorTap {
    collector: Sender<Told>,
}

impl CollectorTap {
    pub fn new(collector: Sender<Told>) -> Self {
        Self { collector }
    }

    async fn updates(
        &mut self,
        io: &mut WorkIo,
        _mo: &mut MessageOutputs,
        _meta: &mut BlockMeta,
        message: Pmt,
    ) -> futuresdr::runtime::Result<Pmt> {
        match message {
            Pmt::Any(any) => {
                if let Some(update) = any.take::<Told>() {
                    let _ = self.collector.send(*update);
                }
            }
            Pmt::Finished => io.finished = true,
            _ => {}
        }
        Ok(Pmt::Ok)
    }
}
