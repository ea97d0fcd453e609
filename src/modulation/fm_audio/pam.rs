//! Receiver of a real pulse-amplitude signal of two levels: FM audio, or what a tone detector
//! makes of AFSK.
//!
//! ```text
//! samples ─► 4 a nominal symbol ─► timing line ─► windows of 128 symbols, every 16
//!                   │                                   │ coherence, phase, clock rate
//!                   │                                   ▼
//!                   └──────► pulse filter at ◄──── tracks: stretches of one timing
//!                            symbol instants            (they may overlap)
//!                                   │
//!                                   ▼
//!                            sequence detection ─► soft symbols
//! ```
//!
//! A track begins with a steady window, backwards too, takes every window that agrees with it, and
//! ends when the windows' phases turn random or when six windows in a row agree on another timing
//! (bursts back to back). Symbol instants come from lines fitted to the windows within ±256 symbols, so they have
//! no acquisition time: the track's symbols begin 96 symbols before its first window's middle and
//! end as many after the last one's.

use std::collections::VecDeque;
use std::f64::consts::TAU;

use super::detector::{self, Eye, Workspace};
use super::interpolator::{Interpolator, OVERSAMPLING};
use super::timing::{
    HOP_SAMPLES, HOP_SYMBOLS, Reading, TimingLine, WIDE_HOPS, WindowTiming, fitted_phase,
};
use crate::modulation::{Mapping, SoftBlock};

/// Steadiness of a wide window at which a track begins. It is the same for noise of any spectrum,
/// which exceeds it in one of some 500 windows.
const STEADINESS_ON: f32 = 0.39;
/// Coherence at which a track begins though the wide window is not steady: a short burst.
const COHERENCE_ON: f32 = 0.30;
/// Coherence at which a window counts against a track that it does not agree with.
const COHERENCE_AGAINST: f32 = 0.19;
/// Coherence at which a window is believed by a track that it agrees with.
const COHERENCE_HOLD: f32 = 0.08;
/// Coherence below which a window's phase says nothing (silence).
const COHERENCE_NONE: f32 = 0.02;
/// A window agrees with a track within this phase, in symbols.
const AGREEMENT: f64 = 0.2;
/// Windows in a row on another timing that end a track.
const CONTRADICTIONS: u32 = 6;
/// A track ends when the mean cosine of its windows' errors falls below this: 0 in noise, 0.7 on
/// the weakest signal.
const HARMONY_END: f64 = 0.2;
/// Hops over which that mean is taken.
const HARMONY_HOPS: f64 = 20.0;
/// The mean that a track begins with.
const HARMONY_START: f64 = 0.8;
/// Fits of the timing reach this far on each side.
const FIT_HOPS: i64 = 16;
/// Symbols before the first and after the last believed window's middle.
const MARGIN_HOPS: i64 = 6;
/// Tracks begin at least this far from each other.
const BIRTH_HOPS: i64 = 4;
/// Least gain of the causal prediction of the phase; it begins with that of a mean.
const PHASE_GAIN: f64 = 0.08;
/// Largest clock deviation followed. Transmitters 0.8 % off their nominal symbol rate fly.
const RATE_LIMIT: f64 = 0.012;

/// Symbols per detection.
const BLOCK_SYMBOLS: usize = 192;
/// Symbols that the channel's model is estimated from.
const TRAINING_SYMBOLS: usize = 384;
/// Symbols on each side of a block that the trellis runs over, at least.
const GUARD_SYMBOLS: usize = 24;

/// Phases of the pulse filter.
const PULSE_PHASES: usize = 64;
/// Taps of the pulse filter.
const PULSE_TAPS: usize = 2 * PULSE_HALF + 1;
/// Half the length of the pulse filter, in samples.
const PULSE_HALF: usize = 5;

/// A track looks back this far from the window that it begins with.
const BACKWARD_HOPS: usize = 128;
/// Hops of samples kept for tracks.
const KEPT_HOPS: i64 = BACKWARD_HOPS as i64 + MARGIN_HOPS + 8;

#[derive(Debug, Clone)]
struct Track {
    run: u64,
    /// Believed windows; those that no fit needs any more are dropped.
    readings: VecDeque<Reading>,
    first_hop: i64,
    last_hop: i64,
    /// For the last hop looked at.
    prediction: Prediction,
    /// Set when the track takes no more windows.
    ended: bool,
    /// Next knot of the timing, and θ(n) = n/4 + phase at the previous one.
    next_knot: i64,
    theta: f64,
    /// θ of the first symbol, once the first knot is there.
    first_theta: f64,
    /// Pulse filter's output for symbols `base_symbol..`.
    samples: Vec<f32>,
    base_symbol: usize,
    /// Sample position (4 a symbol) of some symbols: (symbol, position), one a knot.
    positions: VecDeque<(f64, f64)>,
    /// Symbols within the believed stretch.
    core_start: usize,
    core_end: usize,
    /// Symbols emitted.
    emitted: usize,
}

/// See the module.
pub(in crate::modulation) struct PamReceiver {
    interpolator: Interpolator,
    timing: TimingLine,
    pulse: Vec<[f32; PULSE_TAPS]>,
    /// Samples, 4 a symbol, from index `first` on.
    held: Vec<f32>,
    first: i64,
    /// Last hop whose window was looked at.
    hop: i64,
    windows: Vec<WindowTiming>,
    /// Windows looked at, the latest first.
    past: VecDeque<WindowTiming>,
    tracks: Vec<Track>,
    next_run: u64,
    /// Hop in which the youngest track began.
    last_birth: i64,
    workspace: Workspace,
    /// Frequency of a sample's value 1 where the track's deviation is 1.
    deviation_hz: f64,
    inverted: bool,
}

impl PamReceiver {
    /// For real samples at `samples_per_symbol` (nominal, at least 2). Level of bit 1: the higher
    /// one unless `inverted`. Frequency offsets are reported for a signal of `deviation_hz` (0 if
    /// unknown).
    pub(in crate::modulation) fn new(
        samples_per_symbol: f64,
        deviation_hz: f64,
        inverted: bool,
    ) -> Self {
        let samples_per_symbol =
            if samples_per_symbol.is_finite() { samples_per_symbol.clamp(2.0, 1e5) } else { 2.0 };
        Self {
            interpolator: Interpolator::new(samples_per_symbol),
            timing: TimingLine::new(),
            pulse: pulse_filter(),
            held: Vec::new(),
            first: 0,
            hop: 0,
            windows: Vec::new(),
            past: VecDeque::with_capacity(BACKWARD_HOPS + 1),
            tracks: Vec::new(),
            next_run: 0,
            last_birth: -BIRTH_HOPS * 8,
            workspace: Workspace::default(),
            deviation_hz: deviation_hz.abs(),
            inverted,
        }
    }

    /// Takes the next samples.
    pub(in crate::modulation) fn push(
        &mut self,
        samples: impl Iterator<Item = f32>,
        out: &mut Vec<SoftBlock>,
    ) {
        let start = self.held.len();
        self.interpolator.push(samples, &mut self.held);
        self.look(start, out);
    }

    /// Looks at the samples held from `start` on.
    fn look(&mut self, start: usize, out: &mut Vec<SoftBlock>) {
        let mut windows = std::mem::take(&mut self.windows);
        windows.clear();
        self.timing.push(&self.held[start..], &mut windows);
        for window in &windows {
            self.step(window, out);
        }
        self.windows = windows;
        let oldest = (self.hop - KEPT_HOPS) * HOP_SAMPLES as i64;
        let spent = (oldest - self.first).max(0) as usize;
        if spent > 4096 && spent <= self.held.len() {
            self.held.drain(..spent);
            self.first += spent as i64;
        }
    }

    /// See [`crate::modulation::Demodulator::finish`].
    pub(in crate::modulation) fn finish(&mut self, out: &mut Vec<SoftBlock>) {
        let symbols = (WIDE_HOPS / 2 + 1) * HOP_SYMBOLS + 32;
        let padding = (self.interpolator.step() * (symbols * OVERSAMPLING) as f64) as usize
            + self.interpolator.half();
        let start = self.held.len();
        self.interpolator.push(std::iter::repeat_n(0.0, padding), &mut self.held);
        self.look(start, out);
        let mut tracks = std::mem::take(&mut self.tracks);
        for track in &mut tracks {
            track.ended = true;
            self.advance(track, out);
        }
        self.interpolator.restart();
        self.timing = TimingLine::new();
        self.held.clear();
        self.past.clear();
        self.first = 0;
        self.hop = 0;
        self.last_birth = -BIRTH_HOPS * 8;
    }

    /// See [`crate::modulation::Demodulator::settled_sample`].
    pub(in crate::modulation) fn settled_sample(&self) -> f64 {
        let unborn = self.hop + 1;
        let silent = self.tracks.iter().filter(|t| t.emitted == 0).map(|t| t.first_hop);
        let hop = silent.fold(unborn - BACKWARD_HOPS as i64, i64::min) - MARGIN_HOPS - 1;
        (hop as f64 * HOP_SAMPLES as f64 * self.interpolator.step()).max(0.0)
    }

    /// Shows a window to the tracks.
    fn step(&mut self, window: &WindowTiming, out: &mut Vec<SoftBlock>) {
        self.hop = window.hop;
        let mut taken = false;
        let mut tracks = std::mem::take(&mut self.tracks);
        for track in &mut tracks {
            taken |= track.look(window);
        }
        let strong = window.coherence >= COHERENCE_ON
            || window.steadiness >= STEADINESS_ON && window.coherence >= COHERENCE_HOLD;
        if strong && !taken && window.hop >= self.last_birth + BIRTH_HOPS {
            self.last_birth = window.hop;
            tracks.push(Track::new(self.next_run, window, &self.past));
            self.next_run += 1;
        }
        self.past.truncate(BACKWARD_HOPS - 1);
        self.past.push_front(*window);
        for track in &mut tracks {
            self.advance(track, out);
        }
        tracks.retain(|track| !track.ended);
        self.tracks = tracks;
    }

    /// Emits what the track's timing allows by now.
    fn advance(&mut self, track: &mut Track, out: &mut Vec<SoftBlock>) {
        loop {
            let knot = track.next_knot;
            let due = knot.max(track.first_hop) + FIT_HOPS;
            if !track.ended && due > self.hop || knot > track.last_hop + MARGIN_HOPS {
                break;
            }
            self.knot(track, knot);
            track.next_knot += 1;
        }
        self.detect(track, out);
    }

    /// Takes the symbols up to the beginning of hop `knot`.
    fn knot(&self, track: &mut Track, knot: i64) {
        let middle = knot.clamp(track.first_hop, track.last_hop);
        let near = |r: &&Reading| (r.hop - middle).abs() <= FIT_HOPS;
        let phase = fitted_phase(track.readings.iter().filter(near), knot);
        let position = (knot * HOP_SAMPLES as i64) as f64;
        let theta = position / OVERSAMPLING as f64 + phase;
        while track.readings.front().is_some_and(|r| r.hop < middle - FIT_HOPS) {
            track.readings.pop_front();
        }
        if track.positions.is_empty() {
            track.theta = theta;
            track.first_theta = theta.ceil();
            track.positions.push_back((theta - track.first_theta, position));
            return;
        }
        let nominal = HOP_SYMBOLS as f64;
        let limit = RATE_LIMIT * nominal;
        let advance = (theta - track.theta).clamp(nominal - limit, nominal + limit);
        let end = track.theta + advance;
        loop {
            let symbol = track.base_symbol + track.samples.len();
            let theta = track.first_theta + symbol as f64;
            if theta >= end {
                break;
            }
            let part = (theta - track.theta) / advance;
            track.samples.push(self.sample(position + (part - 1.0) * HOP_SAMPLES as f64));
            if knot <= track.first_hop {
                track.core_start = symbol + 1;
            }
            if knot <= track.last_hop {
                track.core_end = symbol + 1;
            }
        }
        track.theta = end;
        track.positions.push_back((end - track.first_theta, position));
    }

    /// The pulse filter's output at a position (4 samples a symbol).
    fn sample(&self, position: f64) -> f32 {
        let nearest = position.round();
        let phase = ((position - nearest + 0.5) * PULSE_PHASES as f64).round() as usize;
        let start = nearest as i64 - PULSE_HALF as i64 - self.first;
        let taps = &self.pulse[phase.min(PULSE_PHASES)];
        let at = |i: usize| {
            let index = usize::try_from(start + i as i64).ok();
            index.and_then(|i| self.held.get(i)).copied().unwrap_or(0.0)
        };
        taps.iter().enumerate().map(|(i, tap)| tap * at(i)).sum()
    }

    /// Decides the blocks of symbols that are complete.
    fn detect(&mut self, track: &mut Track, out: &mut Vec<SoftBlock>) {
        loop {
            let available = track.base_symbol + track.samples.len();
            let start = track.emitted;
            let end = start + BLOCK_SYMBOLS;
            let beside = (TRAINING_SYMBOLS - BLOCK_SYMBOLS) / 2;
            let mut training = start.saturating_sub(beside).max(track.core_start);
            let mut training_end = training + TRAINING_SYMBOLS;
            if !track.ended && available < training_end.max(end + GUARD_SYMBOLS) {
                return;
            }
            if track.ended {
                training_end = training_end.min(track.core_end);
                training = training
                    .min(training_end.saturating_sub(TRAINING_SYMBOLS).max(track.core_start));
            }
            let end = end.min(available);
            let last = track.ended && end == available;
            let base = start.saturating_sub(GUARD_SYMBOLS).min(training).max(track.base_symbol);
            let top = (end + GUARD_SYMBOLS).max(training_end).min(available);
            let within = |symbol: usize| symbol.clamp(base, top) - track.base_symbol;
            let samples = &track.samples[within(base)..within(top)];
            let shifted = |symbol: usize| within(symbol) - within(base);
            let mut llr = Vec::with_capacity(end - start);
            let eye = detector::detect(
                samples,
                shifted(training)..shifted(training_end),
                shifted(start)..shifted(end),
                &mut self.workspace,
                &mut llr,
            );
            if self.inverted {
                llr.iter_mut().for_each(|l| *l = -*l);
            }
            out.push(self.block(track, start, llr, &eye, last));
            track.emitted = end;
            if last {
                return;
            }
            // The next block's training may reach back this far, and its end's even further.
            let needed = end.saturating_sub(2 * TRAINING_SYMBOLS);
            if needed > track.base_symbol + 1024 {
                track.samples.drain(..needed - track.base_symbol);
                track.base_symbol = needed;
            }
        }
    }

    fn block(
        &self,
        track: &mut Track,
        start: usize,
        llr: Vec<f32>,
        eye: &Eye,
        end: bool,
    ) -> SoftBlock {
        while track.positions.len() > 2 && track.positions[1].0 <= start as f64 {
            track.positions.pop_front();
        }
        let (mut position, mut spacing) = (0.0, OVERSAMPLING as f64);
        if let (Some(a), Some(b)) = (track.positions.front(), track.positions.get(1)) {
            spacing = (b.1 - a.1) / (b.0 - a.0);
            position = a.1 + (start as f64 - a.0) * spacing;
        }
        let step = self.interpolator.step();
        SoftBlock {
            run: track.run,
            first_symbol: start as u64,
            first_sample: position * step,
            samples_per_symbol: spacing * step,
            frequency_offset_hz: f64::from(eye.offset / eye.deviation) * self.deviation_hz,
            esn0_db: eye.esn0_db,
            mapping: Mapping::Direct,
            llr,
            events: Vec::new(),
            end,
        }
    }
}

impl Track {
    /// Begins with a window, and goes back through the `past` ones (latest first).
    fn new(run: u64, window: &WindowTiming, past: &VecDeque<WindowTiming>) -> Self {
        let slope = window.rate * HOP_SYMBOLS as f64;
        let reading = Reading {
            hop: window.hop,
            phase: window.phase,
            rate: window.rate,
            weight: f64::from(window.coherence),
        };
        let mut readings = VecDeque::from([reading]);
        let mut backward = Prediction::new(window.phase, -slope);
        let mut first_hop = window.hop;
        for window in past {
            match backward.look(window) {
                Some(reading) => {
                    readings.push_front(reading);
                    first_hop = window.hop;
                }
                None if backward.lost() => break,
                None => {}
            }
        }
        // The slope is better known than from one window if there were others.
        let near = |r: &&Reading| window.hop - r.hop <= FIT_HOPS;
        let phase = |hop| fitted_phase(readings.iter().filter(near), hop);
        let slope = phase(window.hop) - phase(window.hop - 1);
        let prediction = Prediction::new(window.phase, slope);
        Self {
            run,
            readings,
            first_hop,
            last_hop: window.hop,
            prediction,
            ended: false,
            next_knot: (first_hop - MARGIN_HOPS).max(0),
            theta: 0.0,
            first_theta: 0.0,
            samples: Vec::new(),
            base_symbol: 0,
            positions: VecDeque::new(),
            core_start: 0,
            core_end: 0,
            emitted: 0,
        }
    }

    /// Looks at the next window; true if it belongs to the track.
    fn look(&mut self, window: &WindowTiming) -> bool {
        let reading = self.prediction.look(window);
        if let Some(reading) = reading {
            self.readings.push_back(reading);
            self.last_hop = window.hop;
        }
        self.ended = self.prediction.lost();
        reading.is_some()
    }
}

/// Where the timing of a track is expected, from hop to hop.
#[derive(Debug, Clone, Copy)]
struct Prediction {
    phase: f64,
    /// Per hop, in the direction of the looking.
    slope: f64,
    /// Windows taken.
    taken: u32,
    /// Mean cosine of the errors.
    harmony: f64,
    /// Coherent windows in a row on another timing.
    contradictions: u32,
}

impl Prediction {
    fn new(phase: f64, slope: f64) -> Self {
        Self { phase, slope, taken: 0, harmony: HARMONY_START, contradictions: 0 }
    }

    /// Looks at the next window; its reading if it agrees.
    fn look(&mut self, window: &WindowTiming) -> Option<Reading> {
        let limit = RATE_LIMIT * HOP_SYMBOLS as f64;
        self.phase += self.slope;
        let error = window.phase - self.phase;
        let error = error - error.round();
        let cosine = if window.coherence > COHERENCE_NONE { (TAU * error).cos() } else { 0.0 };
        self.harmony += (cosine - self.harmony) / HARMONY_HOPS;
        if window.coherence >= COHERENCE_HOLD && error.abs() <= AGREEMENT {
            let phase = self.phase + error;
            self.taken += 1;
            let gain = (1.5 / (f64::from(self.taken) + 4.0)).max(PHASE_GAIN);
            self.phase += gain * error;
            self.slope = (self.slope + 0.25 * gain * gain * error).clamp(-limit, limit);
            self.contradictions = 0;
            let weight = f64::from(window.coherence);
            return Some(Reading { hop: window.hop, phase, rate: window.rate, weight });
        }
        if window.coherence >= COHERENCE_AGAINST {
            self.contradictions += 1;
        }
        None
    }

    /// The windows are no longer the track's.
    fn lost(&self) -> bool {
        self.contradictions >= CONTRADICTIONS || self.harmony < HARMONY_END
    }
}

/// cos² pulse two symbols long, at [`PULSE_PHASES`] positions between -½ and ½ sample: passes
/// half the symbol rate at -6 dB and stops the symbol rate.
fn pulse_filter() -> Vec<[f32; PULSE_TAPS]> {
    (0..=PULSE_PHASES)
        .map(|phase| {
            let shift = phase as f64 / PULSE_PHASES as f64 - 0.5;
            let row: [f64; PULSE_TAPS] = std::array::from_fn(|i| {
                let t = (i as f64 - PULSE_HALF as f64 - shift) / PULSE_HALF as f64;
                if t.abs() < 1.0 { (std::f64::consts::FRAC_PI_2 * t).cos().powi(2) } else { 0.0 }
            });
            let sum: f64 = row.iter().sum();
            row.map(|tap| (tap / sum) as f32)
        })
        .collect()
}
