//! The two blocks of a downlink's flowgraph. They are thin: everything they do is behind
//! [`Receiver`], which is tested without them.

use std::sync::{Arc, OnceLock};

use crossbeam_channel::Sender;
use futuresdr::runtime::dev::prelude::*;

use super::feed::{LaneReceiver, Next};
use super::guard;
use crate::doppler::refine::Fit;
use crate::frame::Frame;
use crate::receiver::{Counts, Receiver};

/// What a downlink says to the collector.
#[derive(Debug, Clone)]
pub(super) struct Update {
    /// Which downlink.
    pub downlink: usize,
    /// Frames that are due.
    pub frames: Vec<Frame>,
    /// No frame that begins before this sample follows; `u64::MAX` at the end.
    pub settled_sample: u64,
    /// Totals so far.
    pub counts: Counts,
    /// Samples before this one were worked on.
    pub worked_sample: u64,
    /// Doppler shift taken out there; `None` if nothing steers the receiver.
    pub doppler_hz: Option<f64>,
    /// What the frames said about the prediction, if there is one that learns.
    pub fit: Option<Fit>,
}

/// Runs one receiver on the samples of one lane.
///
/// # Message Outputs
/// `frames`: [`Update`]s.
#[derive(Block)]
#[message_outputs(frames)]
pub(super) struct ReceiverBlock {
    downlink: usize,
    lane: LaneReceiver,
    receiver: Receiver,
    failure: Arc<OnceLock<String>>,
    frames: Vec<Frame>,
    reported_sample: u64,
}

impl ReceiverBlock {
    pub fn new(
        downlink: usize,
        lane: LaneReceiver,
        receiver: Receiver,
        failure: Arc<OnceLock<String>>,
    ) -> Self {
        Self { downlink, lane, receiver, failure, frames: Vec::new(), reported_sample: 0 }
    }

    /// Calls the receiver; a panic ends this downlink and no other.
    fn run(&mut self, io: &mut WorkIo, f: impl FnOnce(&mut Receiver, &mut Vec<Frame>)) -> bool {
        let (receiver, frames) = (&mut self.receiver, &mut self.frames);
        match guard(|| f(receiver, frames)) {
            Ok(()) => true,
            Err(text) => {
                let _ = self.failure.set(text);
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
            let update = Update {
                downlink: self.downlink,
                frames: std::mem::take(&mut self.frames),
                settled_sample,
                counts: self.receiver.counts(),
                worked_sample: self.receiver.next_sample(),
                doppler_hz: self.receiver.doppler_hz(),
                fit: self.receiver.fit(),
            };
            mo.post("frames", Pmt::Any(Box::new(update))).await?;
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
    collector: Sender<Update>,
}

impl CollectorTap {
    pub fn new(collector: Sender<Update>) -> Self {
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
                if let Some(update) = any.take::<Update>() {
                    let _ = self.collector.send(*update);
                }
            }
            Pmt::Finished => io.finished = true,
            _ => {}
        }
        Ok(Pmt::Ok)
    }
}
