//! One downlink as one struct: samples in, frames out. No thread, no socket, no clock.
//!
//! ```text
//!            ┌► tuner ► demodulator ► run ► deframer ┐
//!  samples ──┤                        run ► deframer ├► merger ► frames, in time order
//!            └► tuner ► demodulator ► run ► deframer ┘
//! ```
//!
//! A receiver may be steered: a [`Tracking`] tells the Doppler shift, every tuner follows it with a
//! frequency that moves linearly between the points of a grid [`STEER_S`] apart, and the frames that
//! come out tell the carrier back. The grid is one of sample indices, so cuts do not show here
//! either.
//!
//! A modulation may name several demodulators (alternatives for what is not known beforehand);
//! each has a tuner and runs of its own. Every run of soft symbols has its own deframer. The same
//! samples give the same frames however they are cut into calls.

pub mod diagnosis;
pub mod merge;
mod steering;
pub mod surroundings;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use num_complex::Complex32;

use crate::doppler::refine::Fit;
use crate::doppler::tracking::Tracking;
use crate::dsp::tuner::Tuner;
use crate::effort::Effort;
use crate::error::RequestError;
use crate::frame::{CERTAIN_ODDS, Check, Frame, Origin};
use crate::framing::{Deframed, Deframer, Framing, Reject};
use crate::modulation::{
    self, Channel, Demodulator, DemodulatorPlan, InputKind, Parameters, SoftBlock,
};
use crate::source::Anchor;
use merge::Merger;
use steering::Steering;
use surroundings::Lookabout;

pub use steering::{Carrier, STEER_S};

/// An anchor's time may be stated so roughly (SigMF writers give milliseconds).
const CLOCK_TOLERANCE_S: f64 = 2e-3;

/// The carrier is searched within ± so many symbol rates at most: time and memory grow with it.
const MOST_SEARCHED: f64 = 400.0;

/// A downlink to be received: a mode, and what frames are labelled with.
#[derive(Clone)]
pub struct Downlink {
    /// How to label its frames.
    pub origin: Arc<Origin>,
    /// Nominal carrier frequency; `None`: 0 Hz of the input.
    pub frequency_hz: Option<f64>,
    /// The modulation.
    pub modulation: &'static modulation::Descriptor,
    /// Its parameters, as far as they are known.
    pub parameters: Parameters,
    /// The framing, with its options.
    pub framing: Arc<dyn Framing>,
}

/// What a receiver is told of its input and its task.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Input {
    /// What the samples are.
    pub kind: InputKind,
    /// Samples per second.
    pub sample_rate_hz: f64,
    /// Carrier of a real IF; `None` for the custom of the field.
    pub intermediate_frequency_hz: Option<f64>,
    /// The carrier is searched within ± this of where the downlink should be.
    pub search_hz: f64,
    /// How far to go for a frame.
    pub effort: Effort,
}

/// Counts over a receiver's life.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Samples taken.
    pub samples: u64,
    /// Runs of symbols that demodulators took for a signal.
    pub runs: u64,
    /// Soft symbols.
    pub symbols: u64,
    /// Sync words that noise does not make.
    pub sync_words: u64,
    /// Candidates rejected, by [`Reject`].
    pub rejects: [u64; 4],
    /// Frames emitted.
    pub frames: u64,
    /// Doubtful frames that were not emitted, since they were not asked for.
    pub doubtful: u64,
}

impl Counts {
    /// Adds what another receiver has counted.
    pub fn add(&mut self, other: &Counts) {
        let Counts { samples, runs, symbols, sync_words, rejects, frames, doubtful } = other;
        self.samples += samples;
        self.runs += runs;
        self.symbols += symbols;
        self.sync_words += sync_words;
        self.rejects.iter_mut().zip(rejects).for_each(|(sum, count)| *sum += count);
        self.frames += frames;
        self.doubtful += doubtful;
    }

    /// What was counted since it was as in `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &Counts) -> Self {
        let mut rejects = self.rejects;
        for (count, before) in rejects.iter_mut().zip(earlier.rejects) {
            *count = count.saturating_sub(before);
        }
        Self {
            samples: self.samples.saturating_sub(earlier.samples),
            runs: self.runs.saturating_sub(earlier.runs),
            symbols: self.symbols.saturating_sub(earlier.symbols),
            sync_words: self.sync_words.saturating_sub(earlier.sync_words),
            rejects,
            frames: self.frames.saturating_sub(earlier.frames),
            doubtful: self.doubtful.saturating_sub(earlier.doubtful),
        }
    }

    /// Candidates rejected for this reason.
    pub fn rejected(&self, why: Reject) -> u64 {
        self.rejects[why as usize]
    }
}

/// What a receiver is made of, to make it anew.
#[derive(Clone)]
pub struct Blueprint {
    downlink: Downlink,
    input: Input,
    tracking: Option<Tracking>,
}

impl Blueprint {
    /// A receiver that has seen nothing yet.
    ///
    /// # Errors
    /// As [`Receiver::new`].
    pub fn build(&self) -> Result<Receiver, RequestError> {
        let mut receiver = Receiver::new(self.downlink.clone(), self.input)?;
        receiver.track(self.tracking.clone());
        Ok(receiver)
    }
}

/// Receives one downlink.
pub struct Receiver {
    downlink: Downlink,
    input: Input,
    chains: Vec<Chain>,
    clock: Clock,
    merger: Merger,
    counts: Counts,
    /// Index in the input of the next sample expected.
    next_sample: u64,
    /// Index in the input of the chains' first sample.
    base_sample: u64,
    steering: Option<Steering>,
    /// Carriers measured, if somebody wants them.
    carriers: Option<Vec<Carrier>>,
}

impl Receiver {
    /// A receiver for `downlink` on `input`.
    ///
    /// # Errors
    /// The modulation cannot be received from such an input, or the sample rate is too low for it.
    pub fn new(downlink: Downlink, input: Input) -> Result<Self, RequestError> {
        if !(input.sample_rate_hz.is_finite() && input.sample_rate_hz > 0.0) {
            return Err(RequestError::new(
                "rate",
                format!("{} Hz is no sample rate", input.sample_rate_hz),
                "give a positive number of samples per second",
            ));
        }
        let symbol_rate_bd = downlink.parameters.symbol_rate_bd;
        if input.sample_rate_hz < 2.0 * symbol_rate_bd {
            return Err(RequestError::new(
                "rate",
                format!(
                    "{} samples per second are too few for {symbol_rate_bd} Bd",
                    input.sample_rate_hz
                ),
                format!("at least {} are needed", 2.0 * symbol_rate_bd),
            ));
        }
        if input.search_hz > MOST_SEARCHED * symbol_rate_bd {
            return Err(RequestError::new(
                "search",
                format!("±{} Hz is too wide for {symbol_rate_bd} Bd", input.search_hz),
                format!("give --search HZ, at most {}", MOST_SEARCHED * symbol_rate_bd),
            ));
        }
        let reception = modulation::Reception {
            input: input.kind,
            sample_rate_hz: input.sample_rate_hz,
            intermediate_frequency_hz: input.intermediate_frequency_hz,
            search_hz: input.search_hz,
            preference: downlink.framing.preference(),
            effort: input.effort,
        };
        let plans = (downlink.modulation.demodulators)(&downlink.parameters, &reception)?;
        let chains: Vec<Chain> = plans.into_iter().map(|plan| Chain::new(plan, &input)).collect();
        Ok(Self {
            merger: Merger::new(chains.len()),
            chains,
            downlink,
            input,
            clock: Clock::new(input.sample_rate_hz),
            counts: Counts::default(),
            next_sample: 0,
            base_sample: 0,
            steering: None,
            carriers: None,
        })
    }

    /// Takes out the Doppler shift that `tracking` tells, from the next sample on. `None` stops.
    pub fn track(&mut self, tracking: Option<Tracking>) {
        self.steering = tracking.map(|t| Steering::new(t, self.input.sample_rate_hz));
        for chain in &mut self.chains {
            chain.steer(0.0, 0.0);
        }
    }

    /// Samples come from a radio: a jump of their time is a clock that was set, not a pause.
    pub fn set_live(&mut self) {
        if let Some(steering) = &mut self.steering {
            steering.set_live();
        }
    }

    /// What the frames received so far said about the prediction; `None` without a prediction that
    /// learns, or without frames.
    pub fn fit(&mut self) -> Option<Fit> {
        self.steering.as_mut().and_then(Steering::fit)
    }

    /// Keeps what is measured of carriers from now on, for [`Receiver::take_carriers`].
    pub fn keep_carriers(&mut self) {
        self.carriers.get_or_insert_default();
    }

    /// The carriers measured since the last call.
    pub fn take_carriers(&mut self) -> Vec<Carrier> {
        self.carriers.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// What it is made of; what it has learnt of the prediction so far included.
    pub fn blueprint(&self) -> Blueprint {
        Blueprint {
            downlink: self.downlink.clone(),
            input: self.input,
            tracking: self.steering.as_ref().map(|steering| steering.tracking().clone()),
        }
    }

    /// The downlink that is received.
    pub fn downlink(&self) -> &Downlink {
        &self.downlink
    }

    /// What has been counted so far.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// The Doppler shift that is taken out at the next sample; `None` if nothing steers it.
    pub fn doppler_hz(&self) -> Option<f64> {
        self.steering.as_ref().map(|steering| steering.shift_hz(self.next_sample))
    }

    /// Where the downlink is looked for at the next sample, against 0 Hz of the input.
    pub fn looked_for_hz(&self) -> f64 {
        let nominal_hz = self.chains.first().map_or(0.0, |chain| chain.downlink_offset_hz);
        nominal_hz + self.doppler_hz().unwrap_or(0.0)
    }

    /// What looks around beside it; `None` if the input is no band of the air.
    pub fn lookabout(&self) -> Option<Lookabout> {
        let Input { kind, sample_rate_hz, search_hz, .. } = self.input;
        let symbol_rate_bd = self.downlink.parameters.symbol_rate_bd;
        (kind == InputKind::Iq).then(|| {
            Lookabout::new(sample_rate_hz, symbol_rate_bd, search_hz, self.downlink.frequency_hz)
        })
    }

    /// Index in the input of the next sample expected.
    pub fn next_sample(&self) -> u64 {
        self.next_sample
    }

    /// No frame emitted later begins before this sample of the input.
    pub fn settled_sample(&self) -> u64 {
        self.merger.emitted_sample()
    }

    /// Ties a sample at or after the next one to time and centre frequency.
    ///
    /// Symbols are not carried across an anchor whose time is not where the samples before it
    /// lead (captures that were made one after the other). A radio that was tuned elsewhere without
    /// a pause is followed, with the phase continuous.
    pub fn anchor(&mut self, anchor: Anchor, out: &mut Vec<Frame>) {
        if let (Some(expected), Some(stated)) = (self.clock.time(anchor.sample), anchor.time) {
            let step_s = stated.duration_since(expected).as_secs_f64();
            if step_s.abs() > CLOCK_TOLERANCE_S {
                self.interrupt(anchor.sample, out);
                if let Some(steering) = &mut self.steering {
                    steering.stepped(step_s);
                }
            }
        }
        self.clock.add(anchor);
        // Audio and a real IF have a receiver before them that was tuned to the downlink.
        if self.input.kind == InputKind::Iq
            && let (Some(centre_hz), Some(frequency_hz)) =
                (anchor.centre_frequency_hz, self.downlink.frequency_hz)
        {
            let offset_hz = frequency_hz - centre_hz;
            if self.chains.iter().any(|c| c.downlink_offset_hz != offset_hz) {
                let contiguous = anchor.sample == self.next_sample;
                if !contiguous || self.next_sample == self.base_sample {
                    self.interrupt(anchor.sample, out);
                    for chain in &mut self.chains {
                        chain.retune(offset_hz, &self.input);
                    }
                } else {
                    let (shift_hz, rate_hz_per_s) =
                        self.steering.as_ref().map_or((0.0, 0.0), |s| s.now(anchor.sample));
                    for chain in &mut self.chains {
                        chain.downlink_offset_hz = offset_hz;
                        chain.steer(shift_hz, rate_hz_per_s);
                    }
                }
            }
        }
    }

    /// Takes samples of which the first has index `first_sample` in the input, and appends the
    /// frames that are due. A jump of the index is a gap: symbols are not carried across it.
    pub fn push(&mut self, first_sample: u64, samples: &[Complex32], out: &mut Vec<Frame>) {
        if first_sample != self.next_sample {
            self.interrupt(first_sample, out);
        }
        self.counts.samples += samples.len() as u64;
        let mut rest = samples;
        while !rest.is_empty() {
            let mut piece = rest.len();
            if let Some(steering) = &mut self.steering {
                let now = self.next_sample;
                if steering.is_due(now) {
                    let clock = &self.clock;
                    let (shift_hz, rate_hz_per_s) =
                        steering.advance(now, |sample| clock.time(sample));
                    for chain in &mut self.chains {
                        chain.steer(shift_hz, rate_hz_per_s);
                    }
                }
                let ahead = usize::try_from(steering.next_due() - now).unwrap_or(usize::MAX);
                piece = piece.min(ahead.max(1));
            }
            let (now, later) = rest.split_at(piece);
            self.next_sample += piece as u64;
            self.take(now);
            rest = later;
        }
        self.emit(out);
    }

    /// Takes contiguous samples through every chain.
    fn take(&mut self, samples: &[Complex32]) {
        for (index, chain) in self.chains.iter_mut().enumerate() {
            chain.push(samples);
            let mut sorter = Sorter {
                stream: index,
                base_sample: self.base_sample,
                origin: &self.downlink.origin,
                clock: &self.clock,
                merger: &mut self.merger,
                counts: &mut self.counts,
                steering: self.steering.as_mut(),
                carriers: self.carriers.as_mut(),
            };
            chain.deframe(self.downlink.framing.as_ref(), self.input.effort, &mut sorter);
            let settled = self.base_sample + chain.settled_sample() as u64;
            self.merger.settle(index, settled.min(self.next_sample));
        }
    }

    /// The input has ended: decides everything that is pending. Nothing can follow.
    pub fn finish(&mut self, out: &mut Vec<Frame>) {
        self.flush();
        for index in 0..self.chains.len() {
            self.merger.settle(index, u64::MAX);
        }
        self.emit(out);
    }

    /// Something broke inside: hands out the frames that were decided, and no more.
    pub fn salvage(&mut self, out: &mut Vec<Frame>) {
        for index in 0..self.chains.len() {
            self.merger.settle(index, u64::MAX);
        }
        self.emit(out);
    }

    /// Decides everything before a gap and goes on at `first_sample`.
    fn interrupt(&mut self, first_sample: u64, out: &mut Vec<Frame>) {
        self.flush();
        self.base_sample = first_sample;
        self.next_sample = first_sample;
        for index in 0..self.chains.len() {
            self.merger.settle(index, first_sample);
        }
        self.emit(out);
    }

    fn flush(&mut self) {
        for (index, chain) in self.chains.iter_mut().enumerate() {
            chain.finish();
            let mut sorter = Sorter {
                stream: index,
                base_sample: self.base_sample,
                origin: &self.downlink.origin,
                clock: &self.clock,
                merger: &mut self.merger,
                counts: &mut self.counts,
                steering: self.steering.as_mut(),
                carriers: self.carriers.as_mut(),
            };
            chain.deframe(self.downlink.framing.as_ref(), self.input.effort, &mut sorter);
            chain.end_runs(&mut sorter);
            chain.restart(&self.input);
        }
        if let Some(steering) = &mut self.steering {
            steering.restart();
        }
    }

    fn emit(&mut self, out: &mut Vec<Frame>) {
        let before = out.len();
        self.merger.drain(out);
        if self.input.effort < Effort::Doubtful {
            let mut kept = before;
            for i in before..out.len() {
                if !out[i].is_doubtful() {
                    out.swap(kept, i);
                    kept += 1;
                }
            }
            self.counts.doubtful += (out.len() - kept) as u64;
            out.truncate(kept);
        }
        self.counts.frames += (out.len() - before) as u64;
        let settled = self.merger.settled_sample();
        self.clock.forget_before(settled);
        if let Some(steering) = &mut self.steering {
            steering.forget_before(settled);
        }
    }
}

/// Sample index → UTC.
#[derive(Debug)]
struct Clock {
    sample_rate_hz: f64,
    anchors: VecDeque<Anchor>,
}

impl Clock {
    fn new(sample_rate_hz: f64) -> Self {
        Self { sample_rate_hz, anchors: VecDeque::new() }
    }

    fn add(&mut self, anchor: Anchor) {
        self.anchors.push_back(anchor);
    }

    /// UTC of a sample: from the last anchor with a time at or before it.
    fn time(&self, sample: u64) -> Option<Timestamp> {
        let anchor = self.anchors.iter().rev().find(|a| a.sample <= sample)?;
        let seconds = (sample - anchor.sample) as f64 / self.sample_rate_hz;
        anchor.time?.checked_add(SignedDuration::try_from_secs_f64(seconds).ok()?).ok()
    }

    /// Only samples from here on will be asked for.
    fn forget_before(&mut self, sample: u64) {
        while self.anchors.get(1).is_some_and(|second| second.sample <= sample) {
            self.anchors.pop_front();
        }
    }
}

/// One demodulator with its tuner and its runs.
struct Chain {
    plan: DemodulatorPlan,
    /// Nominal frequency of the downlink in the input.
    downlink_offset_hz: f64,
    /// That for which the tuner was built.
    built_offset_hz: f64,
    tuner: Tuner,
    demodulator: Box<dyn Demodulator>,
    runs: BTreeMap<u64, Run>,
    tuned: Vec<Complex32>,
    blocks: Vec<SoftBlock>,
    deframed: Deframed,
}

impl Chain {
    fn new(plan: DemodulatorPlan, input: &Input) -> Self {
        let tuner = new_tuner(&plan.channel, 0.0, input);
        let demodulator = (plan.make)(tuner.output_rate_hz());
        Self {
            plan,
            downlink_offset_hz: 0.0,
            built_offset_hz: 0.0,
            tuner,
            demodulator,
            runs: BTreeMap::new(),
            tuned: Vec::new(),
            blocks: Vec::new(),
            deframed: Deframed::default(),
        }
    }

    /// Looks for the downlink elsewhere in the input from now on.
    fn retune(&mut self, downlink_offset_hz: f64, input: &Input) {
        self.downlink_offset_hz = downlink_offset_hz;
        self.restart(input);
    }

    /// The next sample is unrelated to those before.
    fn restart(&mut self, input: &Input) {
        self.tuner = new_tuner(&self.plan.channel, self.downlink_offset_hz, input);
        self.built_offset_hz = self.downlink_offset_hz;
    }

    /// Looks for the downlink this far from its nominal frequency from the next sample on.
    fn steer(&mut self, shift_hz: f64, rate_hz_per_s: f64) {
        let retuned_hz = self.downlink_offset_hz - self.built_offset_hz;
        self.tuner.steer(retuned_hz + shift_hz, rate_hz_per_s);
    }

    fn push(&mut self, samples: &[Complex32]) {
        self.tuned.clear();
        self.tuner.process(samples, &mut self.tuned);
        self.demodulator.push(&self.tuned, &mut self.blocks);
    }

    fn finish(&mut self) {
        self.tuned.clear();
        self.tuner.finish(&mut self.tuned);
        self.demodulator.push(&self.tuned, &mut self.blocks);
        self.demodulator.finish(&mut self.blocks);
    }

    fn deframe(&mut self, framing: &dyn Framing, effort: Effort, sorter: &mut Sorter<'_>) {
        for block in self.blocks.drain(..) {
            let run = self.runs.entry(block.run).or_insert_with(|| {
                sorter.counts.runs += 1;
                Run { deframer: framing.deframer(block.mapping, effort), timeline: VecDeque::new() }
            });
            sorter.counts.symbols += block.llr.len() as u64;
            sorter.measure(&block, &self.tuner);
            run.timeline.push_back(Mark {
                first_symbol: block.first_symbol,
                end_symbol: block.first_symbol + block.llr.len() as u64,
                first_sample: block.first_sample,
                samples_per_symbol: block.samples_per_symbol,
                frequency_offset_hz: block.frequency_offset_hz,
                esn0_db: block.esn0_db,
            });
            run.deframer.push(&block, &mut self.deframed);
            let ended = block.end;
            if ended {
                run.deframer.finish(&mut self.deframed);
            }
            sorter.take(&mut self.deframed, run, &self.tuner);
            if ended {
                self.runs.remove(&block.run);
            } else {
                run.prune();
            }
        }
    }

    /// Ends the runs that the demodulator left open (it should not).
    fn end_runs(&mut self, sorter: &mut Sorter<'_>) {
        for (_, mut run) in std::mem::take(&mut self.runs) {
            run.deframer.finish(&mut self.deframed);
            sorter.take(&mut self.deframed, &run, &self.tuner);
        }
    }

    /// Samples of the input since the last gap before which no further frame begins.
    fn settled_sample(&self) -> f64 {
        let runs = self.runs.values().map(|run| {
            run.sample(run.deframer.settled_symbol())
                .unwrap_or_else(|| self.demodulator.settled_sample())
        });
        let channel = runs.fold(self.demodulator.settled_sample(), f64::min);
        self.tuner.input_position(channel).max(0.0)
    }
}

fn new_tuner(channel: &Channel, downlink_offset_hz: f64, input: &Input) -> Tuner {
    let channel = Channel { offset_hz: channel.offset_hz + downlink_offset_hz, ..*channel };
    let real = match input.kind {
        InputKind::Iq => false,
        InputKind::RealIf => true,
        // FM audio is real too; it is mixed only where a sub-carrier is wanted.
        InputKind::FmAudio => channel.offset_hz != 0.0,
    };
    Tuner::new(input.sample_rate_hz, real, &channel)
}

/// A run of soft symbols on its way through a deframer.
struct Run {
    deframer: Box<dyn Deframer>,
    timeline: VecDeque<Mark>,
}

/// Where some symbols of a run were in the channel.
struct Mark {
    first_symbol: u64,
    end_symbol: u64,
    first_sample: f64,
    samples_per_symbol: f64,
    frequency_offset_hz: f64,
    esn0_db: f32,
}

impl Run {
    /// The mark that holds a symbol (the nearest if none does).
    fn mark(&self, symbol: u64) -> Option<&Mark> {
        let index = self.timeline.partition_point(|m| m.end_symbol <= symbol);
        self.timeline.get(index.min(self.timeline.len().checked_sub(1)?))
    }

    /// Channel sample where a symbol starts.
    fn sample(&self, symbol: u64) -> Option<f64> {
        let mark = self.mark(symbol)?;
        let symbols = symbol as f64 - mark.first_symbol as f64 - 0.5;
        Some(mark.first_sample + symbols * mark.samples_per_symbol)
    }

    /// Es/N0 over the symbols from `first` to `end`: the mean of the powers.
    fn esn0_db(&self, first: u64, end: u64) -> f32 {
        let (mut sum, mut weight) = (0.0f64, 0.0f64);
        for mark in &self.timeline {
            let overlap =
                mark.end_symbol.min(end).saturating_sub(mark.first_symbol.max(first)) as f64;
            if overlap > 0.0 && mark.esn0_db.is_finite() {
                sum += overlap * 10f64.powf(f64::from(mark.esn0_db) / 10.0);
                weight += overlap;
            }
        }
        if weight > 0.0 { (10.0 * (sum / weight).log10()) as f32 } else { f32::NAN }
    }

    /// Forgets the marks that no further frame can touch.
    fn prune(&mut self) {
        let settled = self.deframer.settled_symbol();
        while self.timeline.len() > 1
            && self.timeline.front().is_some_and(|m| m.end_symbol <= settled)
        {
            self.timeline.pop_front();
        }
    }
}

/// Turns raw frames of a chain into frames of the input.
struct Sorter<'a> {
    stream: usize,
    base_sample: u64,
    origin: &'a Arc<Origin>,
    clock: &'a Clock,
    merger: &'a mut Merger,
    counts: &'a mut Counts,
    steering: Option<&'a mut Steering>,
    carriers: Option<&'a mut Vec<Carrier>>,
}

impl Sorter<'_> {
    /// Keeps the carrier of a block of soft symbols, if somebody wants it.
    fn measure(&mut self, block: &SoftBlock, tuner: &Tuner) {
        let Some(carriers) = &mut self.carriers else { return };
        if block.llr.is_empty() || carriers.len() >= steering::MOST_CARRIERS {
            return;
        }
        let middle = block.first_sample + 0.5 * block.llr.len() as f64 * block.samples_per_symbol;
        let sample = self.base_sample + tuner.input_position(middle).round().max(0.0) as u64;
        let steered = self.steering.as_ref().map_or(0.0, |s| s.shift_hz(sample));
        carriers.push(Carrier {
            sample,
            time: self.clock.time(sample),
            shift_hz: steered + block.frequency_offset_hz,
            esn0_db: block.esn0_db,
            symbols: block.llr.len(),
        });
    }

    fn take(&mut self, deframed: &mut Deframed, run: &Run, tuner: &Tuner) {
        for (total, rejects) in self.counts.rejects.iter_mut().zip(&mut deframed.rejects) {
            *total += std::mem::take(rejects);
        }
        self.counts.sync_words += std::mem::take(&mut deframed.sync_words);
        for raw in deframed.frames.drain(..) {
            let Some(mark) = run.mark(raw.first_symbol) else { continue };
            let position = |symbol: u64| {
                let sample = tuner.input_position(run.sample(symbol).unwrap_or(0.0));
                self.base_sample + sample.round().max(0.0) as u64
            };
            let first_sample = position(raw.first_symbol);
            let certain = raw.check != Check::None
                && raw.log_odds.is_none_or(|odds| odds >= CERTAIN_ODDS.ln());
            if let Some(steering) = &mut self.steering
                && certain
            {
                // The mark's carrier is that of its middle.
                let sample = position((mark.first_symbol + mark.end_symbol) / 2);
                if let Some(time) = self.clock.time(sample) {
                    steering.sighted(sample, time, mark.frequency_offset_hz);
                }
            }
            self.merger.push(
                self.stream,
                Frame {
                    bytes: raw.bytes,
                    origin: self.origin.clone(),
                    first_sample,
                    end_sample: position(raw.end_symbol).max(first_sample + 1),
                    time: self.clock.time(first_sample),
                    frequency_offset_hz: mark.frequency_offset_hz,
                    doppler_hz: self.steering.as_ref().map(|s| s.shift_hz(first_sample)),
                    esn0_db: run.esn0_db(raw.first_symbol, raw.end_symbol),
                    check: raw.check,
                    corrected_symbols: raw.corrected_symbols,
                    corrected_bits: raw.corrected_bits,
                    repaired_bits: raw.repaired_bits,
                    log_odds: raw.log_odds,
                },
            );
        }
    }
}
