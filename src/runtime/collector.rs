//! From the downlinks to the sinks: one thread that merges frames in time order.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver as ChannelReceiver, Sender};

use super::outlet::{Outlet, SinkReport};
use super::recorder;
use super::status::Status;
use crate::doppler::refine::Fit;
use crate::frame::Frame;
use crate::receiver::Counts;
use crate::receiver::merge::Merger;
use crate::receiver::surroundings::Surroundings;

/// What a downlink's receiver says.
#[derive(Debug, Clone)]
pub(super) struct Update {
    /// Which downlink.
    pub downlink: usize,
    /// Which of its receivers: 0 is the first.
    pub generation: u32,
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
    /// What was on the air around it, in all.
    pub surroundings: Surroundings,
    /// And within the last minute.
    pub lately: Surroundings,
}

/// What the collector is told.
#[derive(Debug, Clone)]
pub(super) enum Told {
    /// By a receiver.
    Update(Box<Update>),
    /// A downlink has no receiver for now; the next one has this generation.
    Vacant {
        /// Which downlink.
        downlink: usize,
        /// What is said by earlier ones from now on does not count.
        generation: u32,
    },
    /// Everything has been said.
    End,
}

/// What the collector's thread has to say in the end.
pub(super) struct Collected {
    pub frames: u64,
    /// Per downlink.
    pub downlinks: Vec<Account>,
    pub sinks: Vec<SinkReport>,
}

/// What a downlink has to say in the end.
#[derive(Debug, Clone, Default)]
pub(super) struct Account {
    pub counts: Counts,
    pub fit: Option<Fit>,
    pub surroundings: Surroundings,
}

/// A downlink, as the collector sees it.
#[derive(Debug, Clone, Default)]
struct Seat {
    generation: u32,
    /// It has no receiver.
    vacant: bool,
    /// What earlier receivers said, and the present one.
    past: Account,
    present: Account,
}

impl Account {
    /// Together with what a later receiver said.
    fn and(mut self, later: &Account) -> Self {
        self.counts.add(&later.counts);
        Self {
            counts: self.counts,
            fit: later.fit.or(self.fit),
            surroundings: self.surroundings.and(later.surroundings),
        }
    }
}

pub(super) struct Collector {
    pub outlets: Vec<Outlet>,
    /// The recorder's queue.
    pub marks: Option<Sender<Arc<Frame>>>,
    /// For slow sinks.
    pub wait: bool,
    /// So long at the end; `None`: as long as they take.
    pub patience: Option<Duration>,
    pub status: Arc<Status>,
}

impl Collector {
    /// Merges the downlinks in time order and hands every frame to every sink, until the end is
    /// told or nobody can tell anything any more.
    pub fn run(mut self, told: &ChannelReceiver<Told>, downlinks: usize) -> Collected {
        let mut merger = Merger::new(downlinks);
        let mut seats = vec![Seat::default(); downlinks];
        let mut frames = 0;
        let mut due = Vec::new();
        while let Ok(told) = told.recv() {
            match told {
                Told::Update(update) => self.update(*update, &mut merger, &mut seats),
                Told::Vacant { downlink, generation } => {
                    let Some(seat) = seats.get_mut(downlink) else { continue };
                    // The others are not kept waiting for it.
                    merger.settle(downlink, u64::MAX);
                    let ended = std::mem::take(&mut seat.present);
                    seat.past = std::mem::take(&mut seat.past).and(&ended);
                    (seat.generation, seat.vacant) = (generation, true);
                    self.status.vacant(downlink);
                }
                Told::End => break,
            }
            frames += self.emit(&mut merger, &mut due);
        }
        for downlink in 0..downlinks {
            merger.settle(downlink, u64::MAX);
        }
        frames += self.emit(&mut merger, &mut due);
        // The recorder ends meanwhile.
        drop(self.marks.take());
        Collected {
            frames,
            downlinks: seats.into_iter().map(|seat| seat.past.and(&seat.present)).collect(),
            sinks: Outlet::finish(self.outlets, self.patience.map(|p| Instant::now() + p)),
        }
    }

    fn update(&self, update: Update, merger: &mut Merger, seats: &mut [Seat]) {
        let Some(seat) = seats.get_mut(update.downlink) else { return };
        // A receiver that was given up has come back to life.
        if seat.generation != update.generation {
            return;
        }
        if std::mem::take(&mut seat.vacant) {
            merger.reopen(update.downlink, update.settled_sample);
        }
        for frame in update.frames {
            merger.push(update.downlink, frame);
        }
        merger.settle(update.downlink, update.settled_sample);
        let Update { downlink, counts, fit, surroundings, lately, .. } = update;
        seat.present = Account { counts, fit, surroundings };
        self.status.worked(downlink, |shown| {
            shown.present = counts;
            shown.worked_sample = update.worked_sample;
            shown.doppler_hz = update.doppler_hz;
            shown.lately = lately;
        });
    }

    fn emit(&mut self, merger: &mut Merger, due: &mut Vec<Frame>) -> u64 {
        merger.drain(due);
        let count = due.len() as u64;
        for frame in due.drain(..) {
            self.status.frame(&frame);
            let frame = Arc::new(frame);
            if let Some(marks) = &self.marks {
                recorder::mark(marks, &frame, self.wait);
            }
            for outlet in &mut self.outlets {
                outlet.send(&frame, self.wait);
            }
        }
        count
    }
}
