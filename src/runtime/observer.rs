//! Somebody who looks at the samples beside the receivers: a lane of the feed and a thread of its own.
//!
//! What comes while he is busy is lost for him alone, where samples come live.

use std::io;
use std::thread::JoinHandle;
use std::time::Duration;

use num_complex::Complex32;

use super::feed::{LaneReceiver, Next};
use super::guard;
use crate::source::Anchor;

/// Longest wait for samples.
const TICK: Duration = Duration::from_millis(100);

/// Takes the samples of a session as they come.
pub trait Observer: Send {
    /// Contiguous samples; a jump of the index is a gap. `anchor`: a new one that holds from them
    /// on.
    fn samples(&mut self, anchor: Option<Anchor>, first_sample: u64, samples: &[Complex32]);
}

/// Starts a thread that shows an observer what comes in `lane`. A panic ends the observation.
pub(super) fn start(
    mut observer: Box<dyn Observer>,
    lane: LaneReceiver,
) -> io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name("observer".into()).spawn(move || {
        let observed = guard(|| {
            loop {
                match lane.next() {
                    Next::Block(anchor, block) => {
                        observer.samples(anchor, block.first_sample, &block.samples);
                    }
                    Next::Empty => lane.wait(TICK),
                    Next::End => break,
                }
            }
        });
        if let Err(text) = observed {
            tracing::warn!("observer: {text}");
        }
        lane.close();
    })
}
