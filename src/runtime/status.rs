//! What a running session is doing, for whoever looks: a status line, metrics, a watchdog.
//!
//! ```text
//!  source thread ──► samples, level, clipping ─┐
//!  collector ──────► per downlink: frames, … ──┼► Status ──► status line, metrics, diagnosis
//!  sink threads ───► delivered, failed ────────┘
//! ```
//!
//! Writers hold a lock for a few stores, a few hundred times a second; readers copy. One status
//! may accompany several sessions, one after the other: its counts go on, as those of metrics must.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use jiff::Timestamp;

use crate::doppler::lookout::Overhead;
use crate::dsp::level::Level;
use crate::frame::{Frame, Origin};
use crate::receiver::diagnosis::Evidence;
use crate::receiver::surroundings::Surroundings;
use crate::receiver::{Counts, Receiver};
use crate::source::SampleBlock;

/// Samples of a block of which the level is measured. A block of 4 ms at 2.4 MS/s has 9600.
const MEASURED: usize = 512;
/// The level shown is a mean over so long, s.
const LEVEL_S: f64 = 0.5;

/// What comes from the radio.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct InputStatus {
    /// Samples per second.
    pub sample_rate_hz: f64,
    /// Samples read.
    pub samples: u64,
    /// Samples that the source did not get.
    pub missing: u64,
    /// Samples that came too fast for a receiver.
    pub lost: u64,
    /// When samples came last.
    pub heard: Option<Instant>,
    /// Level and clipping over the last half second.
    pub now: Level,
    /// And of everything, as far as it was measured.
    pub total: Level,
    /// What is being summed up for `now`.
    gathering: Level,
}

/// The frame that came last.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LastFrame {
    /// Its time, by the samples.
    pub time: Option<Timestamp>,
    /// Es/N0 per channel symbol.
    pub esn0_db: f32,
    /// Carrier against where it was looked for.
    pub frequency_offset_hz: f64,
}

/// One downlink.
#[derive(Debug, Clone, PartialEq)]
pub struct DownlinkStatus {
    /// What its frames are labelled with.
    pub origin: Arc<Origin>,
    /// Nominal carrier.
    pub frequency_hz: Option<f64>,
    /// A session receives it now.
    pub active: bool,
    /// Frames handed to the sinks.
    pub frames: u64,
    /// The last of them.
    pub last_frame: Option<LastFrame>,
    /// Doppler shift that is taken out now; `None` if nothing steers the receiver.
    pub doppler_hz: Option<f64>,
    /// The last sample that its receiver has worked on.
    pub worked_sample: u64,
    /// When that was.
    pub worked: Option<Instant>,
    /// How often its receiver was started anew.
    pub restarts: u64,
    /// What was on the air around it within the last minute.
    pub lately: Surroundings,
    /// What receivers before the present one counted.
    past: Counts,
    /// What the present one has counted.
    pub(super) present: Counts,
}

impl DownlinkStatus {
    /// A downlink of which nothing has come yet.
    pub fn new(origin: Arc<Origin>, frequency_hz: Option<f64>) -> Self {
        Self {
            origin,
            frequency_hz,
            active: true,
            frames: 0,
            last_frame: None,
            doppler_hz: None,
            worked_sample: 0,
            worked: None,
            restarts: 0,
            lately: Surroundings::default(),
            past: Counts::default(),
            present: Counts::default(),
        }
    }

    /// What was counted, by all receivers that there were.
    pub fn counts(&self) -> Counts {
        let mut counts = self.past;
        counts.add(&self.present);
        counts
    }
}

/// One sink.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SinkStatus {
    /// The sink and its target.
    pub name: String,
    /// Frames delivered.
    pub delivered: u64,
    /// Frames that could not be delivered.
    pub failed: u64,
    /// The last frame could not be delivered.
    pub failing: bool,
}

/// A copy of everything, at an instant.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Snapshot {
    /// A session is running.
    pub running: bool,
    /// When it, or the last one, began.
    pub began: Option<Instant>,
    /// What comes from the radio.
    pub input: InputStatus,
    /// Every downlink, also those of earlier sessions.
    pub downlinks: Vec<DownlinkStatus>,
    /// Every sink.
    pub sinks: Vec<SinkStatus>,
    /// Where the satellite stands, if that is known.
    pub overhead: Option<Overhead>,
    /// Why nothing is received though something should be.
    pub hindrance: Option<String>,
}

impl Snapshot {
    /// Frames of all downlinks.
    pub fn frames(&self) -> u64 {
        self.downlinks.iter().map(|downlink| downlink.frames).sum()
    }

    /// What was measured of each active downlink since an earlier snapshot. Of what is on the air,
    /// the last minute counts.
    pub fn evidence_since(&self, earlier: &Snapshot) -> Vec<Evidence> {
        let evidence = |(index, downlink): (usize, &DownlinkStatus)| {
            let before = earlier.downlinks.get(index).map(DownlinkStatus::counts);
            downlink.active.then(|| Evidence {
                samples: self.input.samples.saturating_sub(earlier.input.samples),
                level: self.input.total.since(&earlier.input.total),
                counts: downlink.counts().since(&before.unwrap_or_default()),
                surroundings: downlink.lately,
            })
        };
        self.downlinks.iter().enumerate().filter_map(evidence).collect()
    }
}

#[derive(Debug, Default)]
struct Board {
    shown: Snapshot,
    /// Which of the downlinks shown are those of the session, and likewise the sinks.
    downlinks: Vec<usize>,
    sinks: Vec<usize>,
    /// What lost and missing were when the session began.
    missing_before: u64,
    lost_before: u64,
}

/// What a running session is doing.
#[derive(Debug, Default)]
pub struct Status(Mutex<Board>);

impl Status {
    fn lock(&self) -> MutexGuard<'_, Board> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Everything, as it is now.
    pub fn snapshot(&self) -> Snapshot {
        self.lock().shown.clone()
    }

    /// Tells where the satellite stands.
    pub fn set_overhead(&self, overhead: Option<Overhead>) {
        self.lock().shown.overhead = overhead;
    }

    /// Tells why a session that is due cannot begin; `None` when it is due no more. It is forgotten when
    /// one begins.
    pub fn set_hindrance(&self, why: Option<String>) {
        self.lock().shown.hindrance = why;
    }

    /// A session begins.
    pub(super) fn begin(&self, sample_rate_hz: f64, receivers: &[Receiver]) {
        let mut board = self.lock();
        let board = &mut *board;
        let shown = &mut board.shown;
        shown.running = true;
        shown.hindrance = None;
        shown.began = Some(Instant::now());
        (board.missing_before, board.lost_before) = (shown.input.missing, shown.input.lost);
        shown.input.sample_rate_hz = sample_rate_hz;
        (shown.input.now, shown.input.gathering) = Default::default();
        shown.input.heard = None;
        shown.downlinks.iter_mut().for_each(|downlink| downlink.active = false);
        board.downlinks.clear();
        for receiver in receivers {
            let downlink = receiver.downlink();
            let known = shown.downlinks.iter().enumerate().position(|(index, known)| {
                !board.downlinks.contains(&index)
                    && known.origin == downlink.origin
                    && known.frequency_hz == downlink.frequency_hz
            });
            let index = known.unwrap_or(shown.downlinks.len());
            board.downlinks.push(index);
            if let Some(known) = shown.downlinks.get_mut(index) {
                known.renew();
            } else {
                let (origin, frequency_hz) = (downlink.origin.clone(), downlink.frequency_hz);
                shown.downlinks.push(DownlinkStatus::new(origin, frequency_hz));
            }
        }
        board.sinks.clear();
    }

    /// A sink of the session; its number is returned.
    pub(super) fn add_sink(&self, name: &str) -> usize {
        let mut board = self.lock();
        let board = &mut *board;
        let sinks = &mut board.shown.sinks;
        let known = sinks
            .iter()
            .enumerate()
            .position(|(index, known)| known.name == name && !board.sinks.contains(&index));
        let index = known.unwrap_or(sinks.len());
        if known.is_none() {
            sinks.push(SinkStatus { name: name.to_owned(), ..SinkStatus::default() });
        }
        board.sinks.push(index);
        index
    }

    /// A sink took a frame, or did not.
    pub(super) fn delivered(&self, sink: usize, well: bool) {
        if let Some(sink) = self.lock().shown.sinks.get_mut(sink) {
            sink.delivered += u64::from(well);
            sink.failed += u64::from(!well);
            sink.failing = !well;
        }
    }

    /// A sink's queue had no room for a frame.
    pub(super) fn overflowed(&self, sink: usize) {
        if let Some(sink) = self.lock().shown.sinks.get_mut(sink) {
            sink.failed += 1;
        }
    }

    /// Samples were read; what was measured of them is returned.
    pub(super) fn read(&self, block: &SampleBlock) -> Level {
        let level = Level::of(&block.samples[..block.samples.len().min(MEASURED)]);
        let now = Instant::now();
        let mut board = self.lock();
        let input = &mut board.shown.input;
        input.samples += block.samples.len() as u64;
        input.heard = Some(now);
        input.total.add(&level);
        input.gathering.add(&level);
        // Of so many of these pieces is half a second made.
        let length = block.samples.len().max(1) as f64;
        let pieces = LEVEL_S * input.sample_rate_hz / length;
        if input.gathering.samples as f64 >= pieces * level.samples as f64 {
            input.now = std::mem::take(&mut input.gathering);
        }
        level
    }

    /// What was lost so far in this session.
    pub(super) fn lost(&self, missing: u64, lost: u64) {
        let mut board = self.lock();
        board.shown.input.missing = board.missing_before + missing;
        board.shown.input.lost = board.lost_before + lost;
    }

    /// A downlink's receiver tells what it has counted, and where it is.
    pub(super) fn worked(&self, downlink: usize, change: impl FnOnce(&mut DownlinkStatus)) {
        let mut board = self.lock();
        let board = &mut *board;
        let shown = board.downlinks.get(downlink).copied();
        if let Some(downlink) = shown.and_then(|index| board.shown.downlinks.get_mut(index)) {
            downlink.worked = Some(Instant::now());
            change(downlink);
        }
    }

    /// A downlink's receiver is gone; another will take over.
    pub(super) fn vacant(&self, downlink: usize) {
        self.worked(downlink, |downlink| {
            downlink.renew();
            downlink.restarts += 1;
        });
    }

    /// A frame goes to the sinks.
    pub(super) fn frame(&self, frame: &Frame) {
        let mut board = self.lock();
        let board = &mut *board;
        let shown = &mut board.shown.downlinks;
        let whose = |origin: &Arc<Origin>| Arc::ptr_eq(origin, &frame.origin);
        let found = board.downlinks.iter().copied().find(|&i| whose(&shown[i].origin));
        let found = found
            .or_else(|| board.downlinks.iter().copied().find(|&i| shown[i].origin == frame.origin));
        if let Some(downlink) = found.and_then(|index| shown.get_mut(index)) {
            downlink.frames += 1;
            downlink.last_frame = Some(LastFrame {
                time: frame.time,
                esn0_db: frame.esn0_db,
                frequency_offset_hz: frame.frequency_offset_hz,
            });
        }
    }

    /// The session has ended. Sinks of earlier ones are forgotten: files have a name each.
    pub(super) fn end(&self) {
        let mut board = self.lock();
        let board = &mut *board;
        let kept = std::mem::take(&mut board.sinks);
        let mut index = 0..;
        board.shown.sinks.retain(|_| index.next().is_some_and(|index| kept.contains(&index)));
        board.shown.running = false;
        board.shown.downlinks.iter_mut().for_each(|downlink| downlink.active = false);
    }
}

impl DownlinkStatus {
    /// Another receiver takes over.
    fn renew(&mut self) {
        self.active = true;
        self.past.add(&std::mem::take(&mut self.present));
        self.worked_sample = 0;
        self.worked = None;
        self.doppler_hz = None;
        self.lately = Surroundings::default();
    }
}
