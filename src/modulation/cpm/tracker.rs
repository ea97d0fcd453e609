//! The first pass: the trellis along a burst, or along a signal without end, with its timing and
//! carrier followed in blocks of 64 symbols.
//!
//! Timing: after each block the survivor's decisions that are older than [`LAG`] symbols correlate
//! the samples an eighth of a symbol late and early; with the reference `r_k = Σ_{|j|≤8} y_{k+j}`
//!
//! ```text
//! e_k = Re{r_k* (z_late - z_early) e^{-jθ_k}} / |r_k|      ε = <e_k> / (A (π h)² κ / 4)  symbols
//! ```
//!
//! with κ the mean square of the pulse's frequency. A second-order loop follows ε. From the same
//! numbers, `<|y|²>` and `<|r|²>`, come amplitude and noise.

use std::f64::consts::PI;
use std::ops::Range;

use super::acquisition::Acquired;
use super::events::{Rival, soft_decisions};
use super::pulse::{BRANCH_SAMPLES, BranchTable, PULSE_SYMBOLS, PulseShape};
use super::resample::{Carrier, GRID, Grid, Interpolator, Stretch};
use super::trellis::{Memory, STATES, StateBranches, Survivors, Trellis};
use crate::modulation::ErrorEvent;

/// Symbols in a block.
pub(super) const BLOCK: usize = 64;
/// Age of decisions that are trusted, in symbols.
const LAG: usize = 24;
/// Symbols of the phase reference on either side.
pub(super) const REFERENCE: usize = 8;
/// Loop gains per block: timing and clock.
const TIMING_GAIN: f64 = 0.15;
const CLOCK_GAIN: f64 = 0.01;
/// Largest relative deviation of the clock that is followed.
const LARGEST_STRETCH: f64 = 0.025;
/// The carrier is moved when the survivor's frequency exceeds this, radians per symbol.
const RETUNE: f32 = 0.02;
/// Blocks that follow before one is decided.
const DECISION_BLOCKS: usize = 2;
/// Blocks on either side that say how strong the signal is.
const LEVEL_BLOCKS: usize = 2;
/// Blocks by which the amplitude follows slow fading.
const FADING_BLOCKS: f64 = 20.0;

/// Error events of a cost, in nats, beyond this are not told.
const LARGEST_COST: f32 = 14.0;

/// What is known about a block.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Block {
    /// Start of its first symbol's branch, in channel samples.
    pub start: f64,
    /// Samples per symbol.
    pub symbol: f64,
    /// Carrier in cycles per sample: that removed and what the survivor found beyond.
    pub frequency: f64,
    /// Sums over symbols around the block: |y|², |r / n|², and how many they are.
    pub levels: Levels,
    /// What the decisions say about the timing.
    pub timing: Timing,
}

/// Where the symbols are, as measured on decisions.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Timing {
    /// Symbol around which it was measured, since the tracker's start.
    pub symbol: f64,
    /// Start of that symbol's branch, in channel samples.
    pub position: f64,
    /// Symbols that tell, each by how coherent it is.
    pub weight: f64,
}

/// Sums from which amplitude and noise are told.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Levels {
    /// Sum of |y|².
    pub power: f64,
    /// Sum of |r / n|², r being the sum of n symbols around.
    pub coherent: f64,
    /// Symbols in the sums.
    pub count: f64,
}

impl Levels {
    /// Amplitude and Es/N0 over several blocks; `None` if they are empty.
    pub fn quality(levels: impl Iterator<Item = Levels>) -> Option<(f64, f64)> {
        let (mut power, mut coherent, mut count) = (0.0, 0.0, 0.0);
        for l in levels {
            power += l.power;
            coherent += l.coherent;
            count += l.count;
        }
        if count < 1.0 {
            return None;
        }
        let (power, coherent) = (power / count, coherent / count);
        // |y|² = A² + σ², |r/n|² = A² + σ²/n.
        let n = (2 * REFERENCE + 1) as f64;
        let noise = ((power - coherent) * n / (n - 1.0)).max(power * 1e-4).max(1e-30);
        let signal = (power - noise).max(noise * 1e-3);
        Some((signal.sqrt(), (signal / noise).min(1e4)))
    }
}

/// Soft symbols of a piece of a run, as the tracker gives them out.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Decided {
    /// Index of the first symbol since the tracker's start.
    pub first_symbol: usize,
    /// Middle of that symbol, in channel samples.
    pub first_sample: f64,
    /// Samples per symbol.
    pub samples_per_symbol: f64,
    /// Carrier, in cycles per sample.
    pub frequency: f64,
    /// Es/N0.
    pub esn0: f64,
    /// Log-likelihood ratios, positive = bit 0.
    pub llr: Vec<f32>,
    /// Error events whose last symbol is among these; positions as `first_symbol`.
    pub events: Vec<ErrorEvent>,
}

/// A decided path with what [`soft_decisions`] says about it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Path<'a> {
    /// Index of its first symbol.
    pub base: usize,
    /// States, whose lowest bits are the symbols.
    pub states: &'a [u8],
    /// Reliabilities.
    pub reliability: &'a [f32],
    /// Error events in the order of their last symbols.
    pub rivals: &'a [Rival],
}

impl Decided {
    /// The symbols `range` of a path, which lie in `block`, at an amplitude and Es/N0.
    pub fn new(
        block: &Block,
        (amplitude, esn0): (f64, f64),
        path: Path<'_>,
        range: Range<usize>,
    ) -> Self {
        let scale = (2.0 * esn0 / amplitude.max(1e-12)) as f32;
        let llr = path.states[range.clone()]
            .iter()
            .zip(&path.reliability[range.clone()])
            .map(|(s, r)| if s & 1 == 1 { -r * scale } else { r * scale })
            .collect();
        let from = path.rivals.partition_point(|r| r.last() < range.start);
        let to = path.rivals.partition_point(|r| r.last() < range.end);
        let events = path.rivals[from..to]
            .iter()
            .map(|r| ErrorEvent {
                first_symbol: (path.base + r.first) as u64,
                pattern: r.pattern,
                cost: r.margin * scale,
            })
            .filter(|e| e.cost < LARGEST_COST)
            .collect();
        Self {
            first_symbol: path.base + range.start,
            first_sample: block.start + PULSE_SYMBOLS as f64 / 2.0 * block.symbol,
            samples_per_symbol: block.symbol,
            frequency: block.frequency,
            esn0,
            llr,
            events,
        }
    }
}

/// Margin beyond which an event costs too much to be told, at the lowest of these qualities.
pub(super) fn event_ceiling(qualities: impl Iterator<Item = (f64, f64)>) -> f32 {
    qualities.map(|(a, e)| LARGEST_COST * (a / (2.0 * e.max(1e-9))) as f32).fold(0.0, f32::max)
}

/// The trellis with its loops.
pub(super) struct Tracker {
    nominal_symbol: f64,
    stretch: f64,
    start: f64,
    carrier: Carrier,
    trellis: Trellis<1>,
    branches: StateBranches,
    table: BranchTable,
    h: f64,
    slope: f64,
    amplitude: f64,
    /// Symbols taken.
    symbols: usize,
    /// Symbols whose timing has been measured.
    measured: usize,
    /// From symbol `kept` on, in whole blocks.
    kept: usize,
    decisions: Vec<u32>,
    margins: Vec<[f32; STATES]>,
    blocks: Vec<Block>,
    /// Levels of the blocks just before those.
    before: Vec<Levels>,
    grid: Grid,
    previous: Grid,
    states: Vec<u8>,
    reliability: Vec<f32>,
    rivals: Vec<Rival>,
    prompt: Vec<(f32, f32)>,
    skew: Vec<(f32, f32)>,
    /// Smoothed coherence, 1 for a clean signal.
    lock: f64,
}

impl Tracker {
    /// Starts at the symbol boundary nearest to `start` (channel samples). `carrier`: the one that
    /// was removed for the acquisition.
    pub fn new(
        found: &Acquired,
        shape: &PulseShape,
        carrier: Carrier,
        nominal_symbol: f64,
        start: f64,
    ) -> Self {
        let symbol = nominal_symbol * (1.0 + found.stretch);
        let start = found.symbol_start + ((start - found.symbol_start) / symbol).round() * symbol;
        let table = BranchTable::new(shape, found.h);
        let frequency = carrier.frequency + found.frequency / nominal_symbol;
        Self {
            nominal_symbol,
            stretch: found.stretch,
            start,
            carrier: Carrier { at: start, phase: 0.0, frequency },
            trellis: Trellis::new(found.h, Memory::TRACKING, found.amplitude as f32),
            branches: StateBranches::new(&table),
            table,
            h: found.h,
            slope: shape.slope,
            amplitude: found.amplitude,
            symbols: 0,
            measured: 0,
            kept: 0,
            decisions: Vec::new(),
            margins: Vec::new(),
            blocks: Vec::new(),
            grid: Grid::default(),
            previous: Grid::default(),
            states: Vec::new(),
            reliability: Vec::new(),
            rivals: Vec::new(),
            before: Vec::new(),
            prompt: Vec::new(),
            skew: Vec::new(),
            lock: 1.0,
        }
    }

    /// Start of the next block, in channel samples.
    pub fn position(&self) -> f64 {
        self.start
    }

    /// Just after the next block, in channel samples, as far as known now.
    pub fn next_position(&self) -> f64 {
        self.start + BLOCK as f64 * self.nominal_symbol * (1.0 + self.stretch)
    }

    /// Carrier as followed now, cycles per sample.
    pub fn frequency(&self) -> f64 {
        let nu = self.trellis.frequency(self.trellis.best_state());
        self.carrier.frequency + f64::from(nu) / (2.0 * PI * self.nominal_symbol)
    }

    /// How coherent the last blocks were, `(1 + N0/17 Es) / (1 + N0/Es)`: near 1 for a strong signal,
    /// some 0.5 for noise.
    pub fn lock(&self) -> f64 {
        self.lock
    }

    /// Takes the next block.
    pub fn advance(&mut self, interpolator: &mut Interpolator, from: Stretch<'_>) {
        let symbol = self.nominal_symbol * (1.0 + self.stretch);
        std::mem::swap(&mut self.grid, &mut self.previous);
        let points = BLOCK * GRID + 1;
        let step = symbol / GRID as f64;
        interpolator.grid(from, self.carrier, self.start, step, points, &mut self.grid);
        let at = self.decisions.len();
        self.decisions.resize(at + BLOCK, 0);
        self.margins.resize(at + BLOCK, [0.0; STATES]);
        self.trellis.advance::<GRID>(
            &self.branches,
            (&self.grid.re, &self.grid.im),
            &mut self.decisions[at..],
            &mut self.margins[at..],
        );
        self.blocks.push(Block {
            start: self.start,
            symbol,
            frequency: self.frequency(),
            levels: Levels::default(),
            timing: Timing::default(),
        });
        self.symbols += BLOCK;
        self.start += BLOCK as f64 * symbol;
        self.follow_timing();
        let nu = self.trellis.frequency(self.trellis.best_state());
        let mut frequency = self.carrier.frequency;
        if nu.abs() > RETUNE && nu.is_finite() {
            frequency += f64::from(nu) / (2.0 * PI * self.nominal_symbol);
            self.trellis.shift_frequency(nu);
        }
        self.carrier = self.carrier.moved(self.start, frequency);
    }

    /// Measures timing, amplitude and noise on the decisions that are old enough.
    fn follow_timing(&mut self) {
        let end = self.symbols - LAG;
        if end < self.measured + REFERENCE {
            return;
        }
        // The last two blocks' samples are at hand.
        let oldest = self.symbols.saturating_sub(2 * BLOCK).max(self.kept);
        let low = self.measured.saturating_sub(REFERENCE + 4).max(oldest);
        let state = self.trellis.best_state();
        let mut states = std::mem::take(&mut self.states);
        self.survivors(low).trace_back(state, &mut states);
        self.states = states;
        self.correlate_path(low, state);
        let n = self.states.len();
        let (mut error, mut count, mut weight) = (0.0f64, 0.0, 0.0f64);
        let (mut power, mut coherent) = (0.0f64, 0.0f64);
        let amplitude = self.amplitude as f32;
        for k in self.measured.max(low)..end {
            let i = k - low;
            let (a, b) = (i.saturating_sub(REFERENCE), (i + REFERENCE + 1).min(n));
            let (mut re, mut im) = (0.0f32, 0.0f32);
            for y in &self.prompt[a..b] {
                re += y.0;
                im += y.1;
            }
            let length = (b - a) as f32;
            let magnitude = (re * re + im * im).sqrt();
            if magnitude > 0.0 {
                let w = (magnitude / (length * amplitude)).min(1.5);
                let d = self.skew[i];
                error += f64::from((re * d.0 + im * d.1) / magnitude * w);
                weight += f64::from(w);
            }
            let y = self.prompt[i];
            power += f64::from(y.0 * y.0 + y.1 * y.1);
            coherent += f64::from(magnitude * magnitude / (length * length));
            count += 1.0;
        }
        let middle = (self.measured.max(low) + end) as f64 / 2.0;
        self.measured = end;
        if let Some(block) = self.blocks.last_mut() {
            block.levels = Levels { power, coherent, count };
        }
        if count < 1.0 {
            return;
        }
        let trust = (weight / count).clamp(0.0, 1.0);
        let slope = self.amplitude * (PI * self.h).powi(2) * self.slope * 0.25;
        let epsilon = (error / count / slope.max(1e-12)).clamp(-0.5, 0.5);
        if epsilon.is_finite() {
            let at = (middle as usize - self.kept) / BLOCK;
            if let Some(block) = self.blocks.get(at).copied()
                && let Some(last) = self.blocks.last_mut()
            {
                let within = middle - (self.kept + at * BLOCK) as f64;
                last.timing = Timing {
                    symbol: middle,
                    position: block.start + (within + epsilon) * block.symbol,
                    weight,
                };
            }
            self.start += TIMING_GAIN * trust * epsilon * self.nominal_symbol;
            self.stretch = (self.stretch + CLOCK_GAIN * trust * epsilon / BLOCK as f64)
                .clamp(-LARGEST_STRETCH, LARGEST_STRETCH);
        }
        let coherence = if power > 0.0 { coherent / power } else { 0.0 };
        self.lock += 0.125 * (coherence - self.lock);
    }

    /// Correlator outputs along the path `self.states`, which starts at symbol `low`: prompt and
    /// late minus early, with the phase of the decisions and the survivor's frequency removed.
    fn correlate_path(&mut self, low: usize, state: usize) {
        let current = self.symbols - BLOCK;
        let (sin, cos) = (PI * self.h).sin_cos();
        let advance = (cos as f32, -sin as f32);
        // The carrier may have been moved between the two blocks, but by too little to matter
        // within a reference.
        let (sin, cos) = self.trellis.frequency(state).sin_cos();
        let spin = (cos, -sin);
        let mut c = (1.0f32, 0.0f32);
        self.prompt.clear();
        self.skew.clear();
        let mut last = 0usize;
        for (i, state) in self.states.iter().enumerate() {
            let k = low + i;
            let (grid, at) = if k >= current {
                (&self.grid, (k - current) * GRID)
            } else {
                (&self.previous, (k + BLOCK - current) * GRID)
            };
            // The oldest of the four bits is the highest of the state before.
            let pattern = usize::from(*state) | (last >> 2 & 1) << 3;
            last = usize::from(*state);
            let w = &self.table.waveforms[pattern];
            let re = &grid.re[at..at + GRID + 1];
            let im = &grid.im[at..at + GRID + 1];
            let (mut y, mut d) = ((0.0f32, 0.0f32), (0.0f32, 0.0f32));
            for q in 0..BRANCH_SAMPLES {
                let (w_re, w_im) = w[q];
                let (g_re, g_im) = (re[2 * q + 1], im[2 * q + 1]);
                y.0 += g_re * w_re - g_im * w_im;
                y.1 += g_re * w_im + g_im * w_re;
                let (g_re, g_im) = (re[2 * q + 2] - re[2 * q], im[2 * q + 2] - im[2 * q]);
                d.0 += g_re * w_re - g_im * w_im;
                d.1 += g_re * w_im + g_im * w_re;
            }
            self.prompt.push((y.0 * c.0 - y.1 * c.1, y.0 * c.1 + y.1 * c.0));
            self.skew.push((d.0 * c.0 - d.1 * c.1, d.0 * c.1 + d.1 * c.0));
            let s = if pattern >> 3 & 1 == 1 { advance } else { (advance.0, -advance.1) };
            c = (c.0 * s.0 - c.1 * s.1, c.0 * s.1 + c.1 * s.0);
            c = (c.0 * spin.0 - c.1 * spin.1, c.0 * spin.1 + c.1 * spin.0);
            let norm = 1.5 - 0.5 * (c.0 * c.0 + c.1 * c.1);
            c = (c.0 * norm, c.1 * norm);
        }
    }

    /// Amplitude and Es/N0 around a block (index in `blocks`).
    fn quality(&self, block: usize) -> (f64, f64) {
        let from = block.saturating_sub(LEVEL_BLOCKS);
        let to = (block + LEVEL_BLOCKS + 1).min(self.blocks.len());
        let before = self.before.iter().rev().take(LEVEL_BLOCKS.saturating_sub(block));
        let around = self.blocks[from..to].iter().map(|b| &b.levels);
        Levels::quality(before.chain(around).copied()).unwrap_or((self.amplitude, 1e-3))
    }

    /// Survivors from symbol `from` on.
    fn survivors(&self, from: usize) -> Survivors<'_> {
        let at = from - self.kept;
        Survivors {
            decisions: &self.decisions[at..],
            margins: &self.margins[at..],
            classes: 1,
            counted_from: 0,
        }
    }

    /// Decides `count` blocks from the first kept one and appends them.
    fn decide(&mut self, count: usize, out: &mut Vec<Decided>) {
        let mut states = std::mem::take(&mut self.states);
        self.survivors(self.kept).trace_back(self.trellis.best_state(), &mut states);
        self.states = states;
        let ceiling = 8.0 * self.amplitude as f32;
        let mut reliability = std::mem::take(&mut self.reliability);
        let mut rivals = std::mem::take(&mut self.rivals);
        soft_decisions(
            self.survivors(self.kept),
            &self.states,
            (ceiling, event_ceiling((0..count).map(|b| self.quality(b)))),
            self.kept > 0,
            &mut reliability,
            &mut rivals,
        );
        let path = Path {
            base: self.kept,
            states: &self.states,
            reliability: &reliability,
            rivals: &rivals,
        };
        for b in 0..count {
            let range = b * BLOCK..(b + 1) * BLOCK;
            out.push(Decided::new(&self.blocks[b], self.quality(b), path, range));
        }
        self.reliability = reliability;
        self.rivals = rivals;
    }

    /// Decides what is old enough, `group` blocks (one or more) at a time, and forgets it. For
    /// signals without end. Every group is traced back through the blocks that follow it: many are
    /// cheaper, few are earlier.
    pub fn drain(&mut self, group: usize, out: &mut Vec<Decided>) {
        while self.blocks.len() >= group + DECISION_BLOCKS {
            self.decide(group, out);
            let symbols = group * BLOCK;
            self.decisions.drain(..symbols);
            self.margins.drain(..symbols);
            self.before.extend(self.blocks.drain(..group).map(|b| b.levels));
            self.before.drain(..self.before.len().saturating_sub(LEVEL_BLOCKS));
            self.kept += symbols;
            // Follow slow fading.
            let (amplitude, esn0) = self.quality(0);
            if esn0 > 0.5 && amplitude.is_finite() {
                let gain = group as f64 / FADING_BLOCKS;
                self.amplitude += gain * (amplitude - self.amplitude);
                self.trellis.set_amplitude(self.amplitude as f32);
            }
        }
    }

    /// Decides everything. Nothing is taken any more.
    pub fn finish(&mut self, out: &mut Vec<Decided>) {
        self.decide(self.blocks.len(), out);
    }

    /// After [`finish`](Self::finish): states along the path from the symbol [`kept`](Self::kept)
    /// on.
    pub fn path(&self) -> &[u8] {
        &self.states
    }

    /// First symbol that has not been forgotten.
    pub fn kept(&self) -> usize {
        self.kept
    }

    /// Blocks from the first kept symbol on.
    pub fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    /// Modulation index.
    pub fn index(&self) -> f64 {
        self.h
    }

    /// |z| expected of the right branch.
    pub fn amplitude(&self) -> f64 {
        self.amplitude
    }
}
