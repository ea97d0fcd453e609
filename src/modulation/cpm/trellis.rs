//! The per-survivor noncoherent trellis.
//!
//! Eight states are the last three bits; each carries its own phase reference, a sum over the past
//! with exponential memory, so no phase or frequency need be known beforehand. With the
//! correlator's output `z` of a branch (pattern of four bits) that leaves state s:
//!
//! ```text
//! y  = z e^{-jθ_s}          w = β u_s          v = w + y
//! M' = M_s + |v| - |w|                                            (the larger of two survives)
//! u' = v      e = Im(y w*) / (|w| A)      ν' = ν_s + k e      θ' = θ_s + π h a_{n-3} + ν'
//! ```
//!
//! A is the expected |z| of the right branch. (Colavolpe, Raheli: Noncoherent sequence detection,
//! IEEE Trans. Commun. 47, 1999, 1376; Raheli, Polydoros, Tzou: Per-survivor processing, ibid. 43,
//! 1995, 354.)
//!
//! [`Trellis`] runs it along one signal, the states side by side in lanes. [`score`] runs eight
//! hypotheses (frequency, timing, clock, index, pulse) side by side and tells how well each of them
//! explains the signal: the survivor's metric per symbol.

#[cfg(target_arch = "x86_64")]
use super::lanes::Avx;
use super::lanes::{Complex, ComplexLanes, LANES, Lanes, Vector, has_avx2};
use super::pulse::{BRANCH_SAMPLES, BranchTable};
use super::resample::{GRID, Grid};

/// States of the trellis.
pub(super) const STATES: usize = 8;

/// Metric of a survivor that does not exist.
const UNREACHED: f32 = -1e12;

/// Keeps divisions by a magnitude finite.
const TINY: f32 = 1e-20;

/// Branch waveforms as the trellis wants them: `[b][i]`, lane = new state n; the branch that comes
/// from state `n >> 1 | b << 2` has the pattern `n | b << 3`.
#[derive(Debug, Clone)]
pub(super) struct StateBranches([[ComplexLanes; BRANCH_SAMPLES]; 2]);

impl StateBranches {
    /// From the table of a pulse of four symbols.
    pub fn new(table: &BranchTable) -> Self {
        let mut w = [[ComplexLanes::default(); BRANCH_SAMPLES]; 2];
        for (b, row) in w.iter_mut().enumerate() {
            for (i, v) in row.iter_mut().enumerate() {
                for state in 0..STATES {
                    let (re, im) = table.waveforms[(state | b << 3) % table.waveforms.len()][i];
                    v.re.0[state] = re;
                    v.im.0[state] = im;
                }
            }
        }
        Self(w)
    }
}

/// The loop constants of a trellis.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Memory {
    /// Forgetting factor of the phase reference.
    pub beta: f32,
    /// Gain of the frequency loop.
    pub gain: f32,
}

impl Memory {
    /// Survives residual errors of frequency (0.01 cycles a symbol), index and Doppler rate.
    pub const TRACKING: Self = Self { beta: 0.90, gain: 0.0025 };
    /// For a signal whose carrier, clock and index have been fitted.
    pub const FITTED: Self = Self { beta: 0.97, gain: 0.0002 };
    /// The same with classes of survivors, which live on until a small step of the phase shows.
    pub const FITTED_CLASSES: Self = Self { beta: 0.98, gain: 0.0001 };
    /// For hypotheses that are 0.02 baud apart.
    pub const COARSE: Self = Self { beta: 0.80, gain: 0.01 };
}

/// Survivors of the trellis along one signal, `CLASSES` for each of the eight states.
///
/// A single wrong symbol leaves a step of the phase, 2πh. Where it is small (h near 1) the path with
/// that symbol wrong meets the right one, four symbols later, long before the reference has shown
/// the step, and the better of the two may be lost. Survivors of different classes never meet: the
/// class is the number of ones that have left the pulse, modulo `CLASSES`, so one wrong symbol makes
/// another class. The path into state n of class c comes by branch 0 from class c, by branch 1 from
/// class c - 1.
#[derive(Debug, Clone)]
pub(super) struct Trellis<const CLASSES: usize> {
    /// Path metrics, the best at 0 after each call of [`advance`](Self::advance).
    metric: [Lanes; CLASSES],
    reference: [ComplexLanes; CLASSES],
    phasor: [ComplexLanes; CLASSES],
    /// Frequency beyond the carrier that was removed, radians per symbol.
    frequency: [Lanes; CLASSES],
    /// Advance of the phasor when the oldest bit leaves the pulse: states 0–3 lose a 0, 4–7 a 1.
    advance: ComplexLanes,
    memory: Memory,
    inverse_amplitude: f32,
}

impl Trellis<1> {
    /// All states alike, nothing known. `amplitude`: |z| expected of the right branch.
    pub fn new(h: f64, memory: Memory, amplitude: f32) -> Self {
        let (sin, cos) = (std::f64::consts::PI * h).sin_cos();
        let mut advance = ComplexLanes::default();
        for s in 0..STATES {
            advance.re.0[s] = cos as f32;
            advance.im.0[s] = if s < STATES / 2 { sin as f32 } else { -sin as f32 };
        }
        Self {
            metric: [Lanes::default()],
            reference: [ComplexLanes::default()],
            phasor: [ComplexLanes::splat(1.0, 0.0)],
            frequency: [Lanes::default()],
            advance,
            memory,
            inverse_amplitude: 1.0 / amplitude.max(1e-12),
        }
    }

    /// Changes the amplitude that the frequency loop is scaled to.
    pub fn set_amplitude(&mut self, amplitude: f32) {
        self.inverse_amplitude = 1.0 / amplitude.max(1e-12);
    }

    /// Frequency of a state beyond the carrier that was removed, radians per symbol.
    pub fn frequency(&self, state: usize) -> f32 {
        self.frequency[0].0[state % STATES]
    }

    /// Tells the survivors that the carrier was moved by so many radians per symbol.
    pub fn shift_frequency(&mut self, by: f32) {
        self.frequency[0] = self.frequency[0] - Lanes::splat(by);
    }

    /// The same survivors in class 0; the other classes are out of reach until they are reached from
    /// there.
    pub fn with_classes<const CLASSES: usize>(&self) -> Trellis<CLASSES> {
        let mut metric = [Lanes([UNREACHED; LANES]); CLASSES];
        metric[0] = self.metric[0];
        Trellis {
            metric,
            reference: [self.reference[0]; CLASSES],
            phasor: [self.phasor[0]; CLASSES],
            frequency: [self.frequency[0]; CLASSES],
            advance: self.advance,
            memory: self.memory,
            inverse_amplitude: self.inverse_amplitude,
        }
    }
}

impl<const CLASSES: usize> Trellis<CLASSES> {
    /// The most likely state, as in [`Survivors`].
    pub fn best_state(&self) -> usize {
        let mut best = (0, self.metric[0].argmax());
        for (c, metric) in self.metric.iter().enumerate() {
            let n = metric.argmax();
            if metric.0[n] > self.metric[best.0].0[best.1] {
                best = (c, n);
            }
        }
        best.0 * STATES + best.1
    }

    /// Takes `decisions.len()` symbols from the grid, of which the first starts at point 0. For
    /// each it writes which of the two branches survived (bit 8c + n: into state n of class c the
    /// one from `n >> 1 | 4`) and, class after class, by how much. The grid has `POINTS` points a
    /// symbol: [`GRID`], of which the odd ones are taken, or [`BRANCH_SAMPLES`].
    #[allow(unsafe_code)] // the call of a function compiled for AVX2, once AVX2 was detected
    pub fn advance<const POINTS: usize>(
        &mut self,
        branches: &StateBranches,
        grid: (&[f32], &[f32]),
        decisions: &mut [u32],
        margins: &mut [[f32; STATES]],
    ) {
        #[cfg(target_arch = "x86_64")]
        if has_avx2() {
            // SAFETY: AVX2 was detected.
            return unsafe {
                advance_avx2::<CLASSES, POINTS>(self, branches, grid, decisions, margins)
            };
        }
        let _ = has_avx2;
        advance_body::<Lanes, CLASSES, POINTS>(self, branches, grid, decisions, margins);
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn advance_avx2<const CLASSES: usize, const POINTS: usize>(
    trellis: &mut Trellis<CLASSES>,
    branches: &StateBranches,
    grid: (&[f32], &[f32]),
    decisions: &mut [u32],
    margins: &mut [[f32; STATES]],
) {
    advance_body::<Avx, CLASSES, POINTS>(trellis, branches, grid, decisions, margins);
}

/// A survivor's metric but for the next branch, its reference faded by a symbol with its magnitude,
/// and its phasor one symbol on.
#[derive(Clone, Copy)]
struct Extended<V> {
    base: V,
    w: Complex<V>,
    inverse: V,
    turned: Complex<V>,
}

#[inline(always)]
fn advance_body<V: Vector, const CLASSES: usize, const POINTS: usize>(
    trellis: &mut Trellis<CLASSES>,
    branches: &StateBranches,
    grid: (&[f32], &[f32]),
    decisions: &mut [u32],
    margins: &mut [[f32; STATES]],
) {
    let beta = V::splat(trellis.memory.beta);
    let gain = V::splat(trellis.memory.gain);
    let advance = Complex::<V>::load(&trellis.advance);
    let inverse_amplitude = trellis.inverse_amplitude;
    let mut metric = trellis.metric.map(V::load);
    let mut u = trellis.reference.map(|u| Complex::<V>::load(&u));
    let mut phasor = trellis.phasor.map(|p| Complex::<V>::load(&p));
    let mut frequency = trellis.frequency.map(V::load);
    let symbols = grid.0.chunks_exact(POINTS).zip(grid.1.chunks_exact(POINTS));
    let margins = margins.chunks_exact_mut(CLASSES);
    for ((decision, margin), (re, im)) in decisions.iter_mut().zip(margins).zip(symbols) {
        let (mut z0, mut z1) = (Complex::<V>::splat(0.0, 0.0), Complex::<V>::splat(0.0, 0.0));
        for i in 0..BRANCH_SAMPLES {
            let at = (2 * i + 1) * POINTS / GRID;
            let g = Complex::<V>::splat(re[at], im[at]);
            z0 = z0 + g * Complex::load(&branches.0[0][i]);
            z1 = z1 + g * Complex::load(&branches.0[1][i]);
        }
        let (old_phasor, old_frequency) = (phasor, frequency);
        let extended: [Extended<V>; CLASSES] = std::array::from_fn(|c| {
            let w = u[c].scale(beta);
            let w_abs = w.norm_sqr().sqrt();
            Extended {
                base: metric[c] - w_abs,
                w,
                inverse: w_abs.reciprocal(inverse_amplitude, TINY),
                turned: phasor[c] * advance,
            }
        });
        let mut decided = 0u32;
        for c in 0..CLASSES {
            // Branch 0 comes from the low states, branch 1 from the high ones of the class before.
            let before = (c + CLASSES - 1) % CLASSES;
            let (low, high) = (&extended[c], &extended[before]);
            let (w0, w1) = (low.w.double_low(), high.w.double_high());
            let y0 = z0 * old_phasor[c].double_low();
            let y1 = z1 * old_phasor[before].double_high();
            let (v0, v1) = (w0 + y0, w1 + y1);
            let m0 = low.base.double_low() + v0.norm_sqr().sqrt();
            let m1 = high.base.double_high() + v1.norm_sqr().sqrt();
            let difference = m0 - m1;
            let e0 = (y0.im * w0.re - y0.re * w0.im) * low.inverse.double_low();
            let e1 = (y1.im * w1.re - y1.re * w1.im) * high.inverse.double_high();
            let nu = difference
                .choose(old_frequency[c].double_low(), old_frequency[before].double_high())
                + gain * difference.choose(e0, e1);
            let p = Complex::choose(difference, low.turned.double_low(), high.turned.double_high());
            // e^{-jν} to second order, then one Newton step towards unit magnitude.
            let small = Complex { re: V::splat(1.0) - V::splat(0.5) * nu * nu, im: -nu };
            phasor[c] = (p * small).renormalised();
            metric[c] = difference.choose(m0, m1);
            u[c] = Complex::choose(difference, v0, v1);
            frequency[c] = nu;
            margin[c] = difference.abs().store().0;
            decided |= u32::from(difference.not_positive()) << (STATES * c);
        }
        *decision = decided;
    }
    let metric = metric.map(V::store);
    let mut best = f32::MIN;
    for m in &metric {
        best = best.max(m.0[m.argmax()]);
    }
    trellis.metric = metric.map(|m| m - Lanes::splat(best));
    trellis.reference = u.map(Complex::store);
    trellis.phasor = phasor.map(Complex::store);
    trellis.frequency = frequency.map(V::store);
}

/// Which branches survived. A state is numbered n + 8c: bits n, class c.
#[derive(Debug, Clone, Copy)]
pub(super) struct Survivors<'a> {
    /// One a symbol, as [`Trellis::advance`] writes them.
    pub decisions: &'a [u32],
    /// By how much, `classes` a symbol.
    pub margins: &'a [[f32; STATES]],
    /// Number of classes.
    pub classes: usize,
    /// From this symbol on they are counted; before there is class 0 alone.
    pub counted_from: usize,
}

impl Survivors<'_> {
    /// The state before symbol `k`, if the state after it is `state` and it came by branch 0 or 1.
    #[inline(always)]
    fn by_branch(&self, k: usize, state: usize, branch: usize) -> usize {
        let n = (state % STATES) >> 1 | branch << 2;
        if self.classes == 1 {
            return n;
        }
        let class = state / STATES;
        let back = if k < self.counted_from { 0 } else { branch };
        n + STATES * ((class + self.classes - back) % self.classes)
    }

    /// The state before symbol `k` of the path that survived into `state`.
    #[inline(always)]
    pub fn before(&self, k: usize, state: usize) -> usize {
        self.by_branch(k, state, (self.decisions[k] >> state & 1) as usize)
    }

    /// That of the path that did not.
    #[inline(always)]
    pub fn loser(&self, k: usize, state: usize) -> usize {
        self.by_branch(k, state, (1 - (self.decisions[k] >> state & 1)) as usize)
    }

    /// By how much the path into `state` survived.
    #[inline(always)]
    pub fn margin(&self, k: usize, state: usize) -> f32 {
        self.margins[k * self.classes + state / STATES][state % STATES]
    }

    /// Follows the survivor back from `state` after the last decision; `states[k]` is the state
    /// after symbol k, whose lowest bit is bit k.
    pub fn trace_back(&self, mut state: usize, states: &mut Vec<u8>) {
        states.clear();
        states.resize(self.decisions.len(), 0);
        for (k, s) in states.iter_mut().enumerate().rev() {
            *s = state as u8;
            state = self.before(k, state);
        }
    }
}

/// One hypothesis on a signal.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Hypothesis {
    /// Carrier beyond the one that was removed, in cycles per symbol.
    pub frequency: f64,
    /// Start of the middle symbol, in eighths of a symbol against the middle of the grid.
    pub timing: f64,
    /// Relative excess of the symbol's length over the nominal one.
    pub stretch: f64,
    /// Modulation index.
    pub h: f64,
    /// Index of the pulse.
    pub pulse: usize,
}

/// Branch waveforms of eight hypotheses: `[pattern][i]`, lane = hypothesis.
#[derive(Debug, Clone)]
pub(super) struct HypothesisBranches<const PATTERNS: usize> {
    w: [[ComplexLanes; BRANCH_SAMPLES]; PATTERNS],
    /// e^{-jπh}.
    advance: ComplexLanes,
}

impl<const PATTERNS: usize> HypothesisBranches<PATTERNS> {
    /// From one table a lane; `h` as in the tables.
    pub fn new(tables: [(&BranchTable, f64); LANES]) -> Self {
        let mut w = [[ComplexLanes::default(); BRANCH_SAMPLES]; PATTERNS];
        let mut advance = ComplexLanes::default();
        for (lane, (table, h)) in tables.iter().enumerate() {
            for (pattern, row) in w.iter_mut().enumerate() {
                for (i, v) in row.iter_mut().enumerate() {
                    let (re, im) = table.waveforms[pattern % table.waveforms.len()][i];
                    v.re.0[lane] = re;
                    v.im.0[lane] = im;
                }
            }
            let (sin, cos) = (std::f64::consts::PI * h).sin_cos();
            advance.re.0[lane] = cos as f32;
            advance.im.0[lane] = -sin as f32;
        }
        Self { w, advance }
    }
}

/// Where the lanes read the grid and what they remove from it.
struct Reading {
    /// Start of the first symbol in points, 16 fractional bits.
    start: [i64; LANES],
    /// Length of a symbol in points, 16 fractional bits.
    step: [i64; LANES],
    /// e^{-j 2π f / 4}: from one of the correlator's samples to the next.
    turn: ComplexLanes,
}

/// Metric per symbol of eight hypotheses over `symbols` symbols around the middle of the grid.
/// `SAME`: all of them have the same timing and stretch. The trellis has `S` states, the pulse
/// spans `log2 PATTERNS` symbols.
#[allow(unsafe_code)] // the call of a function compiled for AVX2, once AVX2 was detected
pub(super) fn score<const S: usize, const PATTERNS: usize, const SAME: bool>(
    grid: &Grid,
    branches: &HypothesisBranches<PATTERNS>,
    hypotheses: &[Hypothesis; LANES],
    symbols: usize,
    memory: Memory,
    amplitude: f32,
) -> [f32; LANES] {
    let middle = (grid.re.len() / 2) as f64;
    let mut reading =
        Reading { start: [0; LANES], step: [0; LANES], turn: ComplexLanes::default() };
    let mut fits = symbols > 0;
    for (lane, hypothesis) in hypotheses.iter().enumerate() {
        let length = GRID as f64 * (1.0 + hypothesis.stretch);
        let start = middle + hypothesis.timing - (symbols / 2) as f64 * length;
        reading.start[lane] = (start * 65536.0) as i64 + 32768;
        reading.step[lane] = (length * 65536.0) as i64;
        let end = (reading.start[lane] + reading.step[lane] * symbols as i64) >> 16;
        fits &= reading.start[lane] >= 0 && end + 1 < grid.re.len() as i64;
        let (sin, cos) =
            (-2.0 * std::f64::consts::PI * hypothesis.frequency / BRANCH_SAMPLES as f64).sin_cos();
        reading.turn.re.0[lane] = cos as f32;
        reading.turn.im.0[lane] = sin as f32;
    }
    if !fits {
        return [0.0; LANES];
    }
    #[cfg(target_arch = "x86_64")]
    if has_avx2() {
        // SAFETY: AVX2 was detected.
        return unsafe {
            score_avx2::<S, PATTERNS, SAME>(grid, branches, &reading, symbols, memory, amplitude)
        };
    }
    let _ = has_avx2;
    score_body::<Lanes, S, PATTERNS, SAME>(grid, branches, &reading, symbols, memory, amplitude)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn score_avx2<const S: usize, const PATTERNS: usize, const SAME: bool>(
    grid: &Grid,
    branches: &HypothesisBranches<PATTERNS>,
    reading: &Reading,
    symbols: usize,
    memory: Memory,
    amplitude: f32,
) -> [f32; LANES] {
    score_body::<Avx, S, PATTERNS, SAME>(grid, branches, reading, symbols, memory, amplitude)
}

#[inline(always)]
fn score_body<V: Vector, const S: usize, const PATTERNS: usize, const SAME: bool>(
    grid: &Grid,
    branches: &HypothesisBranches<PATTERNS>,
    reading: &Reading,
    symbols: usize,
    memory: Memory,
    amplitude: f32,
) -> [f32; LANES] {
    let beta = V::splat(memory.beta);
    let gain = V::splat(memory.gain);
    let inverse_amplitude = 1.0 / amplitude.max(1e-12);
    let advance = Complex::<V>::load(&branches.advance);
    let backwards = -advance.im;
    let turn = Complex::<V>::load(&reading.turn);
    let zero = Complex::<V>::splat(0.0, 0.0);
    let mut metric = [V::splat(0.0); S];
    let mut u = [zero; S];
    let mut phasor = [Complex::<V>::splat(1.0, 0.0); S];
    let mut frequency = [V::splat(0.0); S];
    let mut carrier = Complex::<V>::splat(1.0, 0.0);
    let mut position = reading.start;
    for _ in 0..symbols {
        let mut z = [zero; PATTERNS];
        for i in 0..BRANCH_SAMPLES {
            let g = if SAME {
                let at = (position[0] >> 16) as usize + 2 * i + 1;
                Complex::splat(grid.re[at], grid.im[at])
            } else {
                let (mut re, mut im) = ([0.0; LANES], [0.0; LANES]);
                for lane in 0..LANES {
                    let at = (position[lane] >> 16) as usize + 2 * i + 1;
                    re[lane] = grid.re[at];
                    im[lane] = grid.im[at];
                }
                Complex { re: V::gather(&re), im: V::gather(&im) }
            };
            let g = g * carrier;
            carrier = carrier * turn;
            // W of the complement is the conjugate: four products serve two patterns.
            for p in 0..PATTERNS / 2 {
                let w = Complex::<V>::load(&branches.w[p][i]);
                let (rr, ii) = (g.re * w.re, g.im * w.im);
                let (ri, ir) = (g.re * w.im, g.im * w.re);
                z[p] = z[p] + Complex { re: rr - ii, im: ri + ir };
                let q = PATTERNS - 1 - p;
                z[q] = z[q] + Complex { re: rr + ii, im: ir - ri };
            }
        }
        carrier = carrier.renormalised();
        let mut w = [zero; S];
        let mut base = [V::splat(0.0); S];
        let mut inverse = [V::splat(0.0); S];
        for s in 0..S {
            w[s] = u[s].scale(beta);
            let w_abs = w[s].norm_sqr().sqrt();
            base[s] = metric[s] - w_abs;
            inverse[s] = w_abs.reciprocal(inverse_amplitude, TINY);
        }
        let (old_phasor, old_frequency) = (phasor, frequency);
        for n in 0..S {
            let (s0, s1) = (n >> 1, n >> 1 | S >> 1);
            let (p0, p1) = (n % PATTERNS, (n | S) % PATTERNS);
            let y0 = z[p0] * old_phasor[s0];
            let y1 = z[p1] * old_phasor[s1];
            let (v0, v1) = (w[s0] + y0, w[s1] + y1);
            let m0 = base[s0] + v0.norm_sqr().sqrt();
            let m1 = base[s1] + v1.norm_sqr().sqrt();
            let difference = m0 - m1;
            let e0 = (y0.im * w[s0].re - y0.re * w[s0].im) * inverse[s0];
            let e1 = (y1.im * w[s1].re - y1.re * w[s1].im) * inverse[s1];
            let nu = difference.choose(old_frequency[s0], old_frequency[s1])
                + gain * difference.choose(e0, e1);
            // The oldest bit of the pattern has left the pulse.
            let a0 = if p0 & PATTERNS >> 1 != 0 { advance.im } else { backwards };
            let a1 = if p1 & PATTERNS >> 1 != 0 { advance.im } else { backwards };
            let p = Complex::choose(difference, old_phasor[s0], old_phasor[s1])
                * Complex { re: advance.re, im: difference.choose(a0, a1) };
            let small = Complex { re: V::splat(1.0) - V::splat(0.5) * nu * nu, im: -nu };
            phasor[n] = (p * small).renormalised();
            metric[n] = difference.choose(m0, m1);
            u[n] = Complex::choose(difference, v0, v1);
            frequency[n] = nu;
        }
        for (position, step) in position.iter_mut().zip(reading.step) {
            *position += step;
        }
    }
    let mut best = metric[0];
    for m in &metric[1..] {
        best = (best - *m).choose(best, *m);
    }
    (best * V::splat(1.0 / symbols as f32)).store().0
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use std::ops::Range;

    use num_complex::Complex64;
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::super::pulse::{PhasePulse, PulseShape};
    use super::*;

    const SYMBOLS: usize = 300;

    /// A noisy signal on the grid, and its bits: bit k is the newest of branch k.
    fn signal(seed: u64, h: f64, noise: f32) -> (Grid, Vec<u8>) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let pulse = PhasePulse::new(0.5, 4);
        let bits: Vec<u8> = (0..SYMBOLS).map(|_| u8::from(rng.random::<bool>())).collect();
        let mut grid = Grid::default();
        for i in 0..=SYMBOLS * GRID {
            let t = i as f64 / GRID as f64;
            let sum: f64 = bits
                .iter()
                .enumerate()
                .map(|(k, b)| pulse.at(t - k as f64) * if *b == 1 { 1.0 } else { -1.0 })
                .sum();
            let (sin, cos) = (2.0 * std::f64::consts::PI * h * sum + 0.7).sin_cos();
            grid.re.push(cos as f32 + noise * (rng.random::<f32>() - 0.5));
            grid.im.push(sin as f32 + noise * (rng.random::<f32>() - 0.5));
        }
        (grid, bits)
    }

    /// The recursion of the module's head, as it stands there. Decisions, and the best metric.
    fn slow(grid: &Grid, table: &BranchTable, h: f64, symbols: Range<usize>) -> (Vec<u8>, f64) {
        let (memory, a) = (Memory::TRACKING, 4.0);
        let mut states = [(0.0f64, Complex64::new(0.0, 0.0), 0.0f64, 0.0f64); STATES];
        let mut decisions = Vec::new();
        for k in symbols {
            let mut next = states;
            let mut decision = 0u8;
            for n in 0..STATES {
                let branch = |b: usize| {
                    let (m, u, nu, theta) = states[n >> 1 | b << 2];
                    let mut z = Complex64::new(0.0, 0.0);
                    for i in 0..BRANCH_SAMPLES {
                        let at = k * GRID + 2 * i + 1;
                        let (re, im) = table.waveforms[n | b << 3][i];
                        z += Complex64::new(f64::from(grid.re[at]), f64::from(grid.im[at]))
                            * Complex64::new(f64::from(re), f64::from(im));
                    }
                    let y = z * Complex64::from_polar(1.0, -theta);
                    let w = u * f64::from(memory.beta);
                    let v = w + y;
                    let e = if w.norm() > 0.0 { (y * w.conj()).im / (w.norm() * a) } else { 0.0 };
                    let nu = nu + f64::from(memory.gain) * e;
                    let sign = if b == 1 { 1.0 } else { -1.0 };
                    let theta = theta + std::f64::consts::PI * h * sign + nu;
                    (m + v.norm() - w.norm(), v, nu, theta)
                };
                let (zero, one) = (branch(0), branch(1));
                if one.0 > zero.0 {
                    decision |= 1 << n;
                }
                next[n] = if one.0 > zero.0 { one } else { zero };
            }
            states = next;
            decisions.push(decision);
        }
        (decisions, states.iter().map(|s| s.0).fold(f64::MIN, f64::max))
    }

    #[test]
    fn the_fast_trellis_decides_as_the_slow_one() {
        let h = 0.62;
        let shape = PulseShape::new(&PhasePulse::new(0.5, 4));
        let table = BranchTable::new(&shape, h);
        let (grid, bits) = signal(1, h, 1.5);
        let (slow_decisions, _) = slow(&grid, &table, h, 0..SYMBOLS);
        let mut trellis = Trellis::new(h, Memory::TRACKING, 4.0);
        let mut decisions = vec![0; SYMBOLS];
        let mut margins = vec![[0.0; STATES]; SYMBOLS];
        let points = (&grid.re[..], &grid.im[..]);
        trellis.advance::<GRID>(&StateBranches::new(&table), points, &mut decisions, &mut margins);
        // Equal but where the two branches were as good as each other.
        for (k, (fast, slow)) in decisions.iter().zip(&slow_decisions).enumerate() {
            for (n, margin) in margins[k].iter().enumerate() {
                assert!((fast ^ u32::from(*slow)) >> n & 1 == 0 || *margin < 1e-2, "{k} {n}");
            }
        }
        let mut states = Vec::new();
        let survivors =
            Survivors { decisions: &decisions, margins: &margins, classes: 1, counted_from: 0 };
        survivors.trace_back(trellis.best_state(), &mut states);
        let wrong = states.iter().zip(&bits).skip(8).filter(|(s, b)| *s & 1 != **b).count();
        assert!(wrong <= 4, "{wrong} of {SYMBOLS} bits wrong");

        let hypothesis = Hypothesis { frequency: 0.0, timing: 0.0, stretch: 0.0, h, pulse: 0 };
        let branches = HypothesisBranches::<16>::new([(&table, h); LANES]);
        let scores = score::<8, 16, false>(
            &grid,
            &branches,
            &[hypothesis; LANES],
            SYMBOLS - 4,
            Memory::TRACKING,
            4.0,
        );
        // Around the middle of the grid.
        let (_, slow_metric) = slow(&grid, &table, h, 2..SYMBOLS - 2);
        let expected = slow_metric / (SYMBOLS - 4) as f64;
        for s in scores {
            assert!((f64::from(s) - expected).abs() < 2e-3 * expected, "{s} {expected}");
        }
    }

    #[test]
    fn a_path_of_another_class_lives_on() {
        // h = 0.9: one wrong symbol turns the phase by 36°. The rivals of one class alone are
        // decided within four symbols.
        let h = 0.9;
        let table = BranchTable::new(&PulseShape::new(&PhasePulse::new(0.5, 4)), h);
        let wrong = |classes: usize| -> usize {
            (0..40u64)
                .map(|seed| {
                    let (grid, bits) = signal(seed, h, 2.5);
                    let trellis = Trellis::new(h, Memory::FITTED_CLASSES, 4.0);
                    let mut decisions = vec![0; SYMBOLS];
                    let mut margins = vec![[0.0; STATES]; SYMBOLS * classes];
                    let points = (&grid.re[..], &grid.im[..]);
                    let branches = StateBranches::new(&table);
                    let state = if classes == 3 {
                        let mut trellis = trellis.with_classes::<3>();
                        trellis.advance::<GRID>(&branches, points, &mut decisions, &mut margins);
                        trellis.best_state()
                    } else {
                        let mut trellis = trellis.with_classes::<1>();
                        trellis.advance::<GRID>(&branches, points, &mut decisions, &mut margins);
                        trellis.best_state()
                    };
                    let survivors = Survivors {
                        decisions: &decisions,
                        margins: &margins,
                        classes,
                        counted_from: 0,
                    };
                    let mut states = Vec::new();
                    survivors.trace_back(state, &mut states);
                    let pairs = states.iter().zip(&bits).take(SYMBOLS - 40).skip(8);
                    pairs.filter(|(s, b)| *s & 1 != **b).count()
                })
                .sum()
        };
        let (one, three) = (wrong(1), wrong(3));
        assert!(one > 20 && 2 * three < one, "{three} of {one}");
    }

    #[test]
    fn the_right_hypothesis_scores_best() {
        let shape = PulseShape::new(&PhasePulse::new(0.5, 4));
        let (grid, _) = signal(2, 0.5, 1.0);
        let h: [f64; LANES] = std::array::from_fn(|i| 0.38 + 0.04 * i as f64);
        let tables = h.map(|h| BranchTable::new(&shape, h));
        let branches = HypothesisBranches::<16>::new(std::array::from_fn(|i| (&tables[i], h[i])));
        let hypotheses =
            h.map(|h| Hypothesis { frequency: 0.0, timing: 0.0, stretch: 0.0, h, pulse: 0 });
        let scores =
            score::<8, 16, true>(&grid, &branches, &hypotheses, 256, Memory::TRACKING, 4.0);
        assert_eq!(Lanes(scores).argmax(), 3, "{scores:?}");
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn plain_and_vector_kernels_agree_bit_for_bit() {
        if !has_avx2() {
            return;
        }
        let shape = PulseShape::new(&PhasePulse::new(0.5, 4));
        let table = BranchTable::new(&shape, 0.5);
        let branches = StateBranches::new(&table);
        let (grid, _) = signal(3, 0.5, 3.0);
        let points = (&grid.re[..], &grid.im[..]);
        fn agree<const C: usize>(
            mut fast: Trellis<C>,
            branches: &StateBranches,
            points: (&[f32], &[f32]),
        ) {
            let mut plain = fast.clone();
            let mut decisions = [vec![0; SYMBOLS], vec![0; SYMBOLS]];
            let mut margins = [vec![[0.0; STATES]; SYMBOLS * C], vec![[0.0; STATES]; SYMBOLS * C]];
            fast.advance::<GRID>(branches, points, &mut decisions[0], &mut margins[0]);
            let (d, m) = (&mut decisions[1], &mut margins[1]);
            advance_body::<Lanes, C, GRID>(&mut plain, branches, points, d, m);
            assert_eq!(decisions[0], decisions[1]);
            assert_eq!(margins[0], margins[1]);
            assert_eq!(fast.frequency, plain.frequency);
        }
        let trellis = Trellis::new(0.5, Memory::TRACKING, 4.0);
        agree(trellis.with_classes::<3>(), &branches, points);
        agree(trellis, &branches, points);
    }
}
