//! Further passes over a whole burst, once the first has told what it is made of.
//!
//! From the decisions of the first pass (indices: symbols since its start):
//!
//! * clock: a weighted line through the timing measured block by block;
//! * carrier: a line through the frequencies of the blocks, then from sums over 16 symbols
//!   `c_j = Σ y_k e^{-jθ_k}` with the phase θ of the decisions, whose increments are
//!   `arg c_{j+1} c_j* = 2π · 16 f_j + π δh (S_{j+1} - S_j)`, with S the sum of the a's so far: weighted
//!   least squares for the frequency, its slope and the error of the index;
//! * amplitude and noise, block by block.
//!
//! With these removed the trellis runs again with a longer memory and survivors of three classes, forwards, and backwards in time:
//! `conj(s(-t))` is a signal of the same kind with its symbols in reverse, since
//! `q(L - t) = 1/2 - q(t)`. Each pass is at its worst where it begins, in the first symbols of the
//! burst or in the last, where it has no phase reference yet; so the passes are cut in the middle
//! and joined crosswise. Outwards, both halves begin in the middle with the reference grown long
//! before, which is the best that there is to the first and last symbol. The other two halves err
//! in other places.

use std::f64::consts::{PI, TAU};

use super::events::{Rival, soft_decisions};
use super::pulse::{BRANCH_SAMPLES, BranchTable, PULSE_SYMBOLS, PulseShape};
use super::resample::{Carrier, Grid, Interpolator, Stretch};
use super::tracker::{
    BLOCK, Block, Decided, Levels, Path, REFERENCE, Timing, Tracker, event_ceiling,
};
use super::trellis::{Memory, STATES, StateBranches, Survivors, Trellis};

/// Symbols in a sum for the carrier.
const SUM: usize = 16;
/// Standard deviation of the index as acquired.
const INDEX_DEVIATION: f64 = 0.004;
/// Increments of the carrier's phase that are farther than this from the fit are slips (radians).
const SLIP: f64 = 1.0;

/// So many symbols before and after a burst there is silence.
const QUIET_FROM: usize = 6;
/// Classes of survivors are counted so many symbols after the beginning of a burst: in the noise
/// before, all classes would come to follow the same path.
const COUNTED_AFTER: usize = 24;
/// Indices so near to 1 are fitted twice.
const REFITTED_WITHIN: f64 = 0.13;
/// Symbols around the middle among which the passes are joined.
const JOIN_WITHIN: usize = 128;
/// Symbols on either side of the joint in which they have to agree.
const JOIN_AGREES: usize = 8;

/// How the passes in the two directions are joined in the middle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// Each half from the pass that comes from the middle: the trellis knows the carrier's phase
    /// wherever it gets, to the first and the last symbol.
    Outwards,
    /// The other halves.
    Inwards,
}

/// What a pass has decided.
#[derive(Default)]
struct Pass {
    states: Vec<u8>,
    reliability: Vec<f32>,
    rivals: Vec<Rival>,
}

/// A burst that has been fitted, and the buffers for it.
#[derive(Default)]
pub(super) struct Passes {
    /// [`BRANCH_SAMPLES`] points a symbol, carrier removed; for the pass at hand.
    grid: Grid,
    piece: Grid,
    blocks: Vec<Block>,
    symbols: usize,
    h: f64,
    amplitude: f64,
    /// Classes of survivors.
    classes: usize,
    branches: Option<StateBranches>,
    prompt: Vec<(f32, f32)>,
    travelled: Vec<f32>,
    decisions: Vec<u32>,
    margins: Vec<[f32; STATES]>,
    /// Forwards and backwards in time; both in the order of time.
    passes: [Pass; 2],
    joined: Pass,
}

/// A trellis' way over the grid.
struct Run<'a> {
    branches: &'a StateBranches,
    grid: (&'a [f32], &'a [f32]),
    decisions: &'a mut [u32],
    margins: &'a mut [[f32; STATES]],
    /// Classes are counted from this symbol on.
    counted_from: usize,
}

impl Run<'_> {
    /// Goes it with a number of classes; the most likely state at its end.
    fn with_classes<const CLASSES: usize>(&mut self, mut trellis: Trellis<1>) -> usize {
        let from = self.counted_from;
        let points = from * BRANCH_SAMPLES;
        let mut single = vec![[0.0; STATES]; from];
        trellis.advance::<BRANCH_SAMPLES>(
            self.branches,
            (&self.grid.0[..points], &self.grid.1[..points]),
            &mut self.decisions[..from],
            &mut single,
        );
        for (margins, single) in self.margins.chunks_exact_mut(CLASSES).zip(single) {
            margins[0] = single;
        }
        let mut trellis = trellis.with_classes::<CLASSES>();
        trellis.advance::<BRANCH_SAMPLES>(
            self.branches,
            (&self.grid.0[points..], &self.grid.1[points..]),
            &mut self.decisions[from..],
            &mut self.margins[from * CLASSES..],
        );
        trellis.best_state()
    }
}

/// Classes of survivors for an index: 3, but where no step of the phase is left to be seen. A wrong
/// symbol leaves none at h = 1, two alike leave none at h = 1/2; with small indices whoever errs so
/// often is farther than other events.
fn classes(h: f64) -> usize {
    let invisible = h < 0.42 || (h - 0.5).abs() < 0.012 || (h - 1.0).abs() < 0.025;
    if invisible { 1 } else { 3 }
}

/// Weighted least squares `y = a + b x`; `(a, b)`, b = 0 if the points do not tell.
fn line(points: impl Iterator<Item = (f64, f64, f64)> + Clone) -> Option<(f64, f64)> {
    let (mut w, mut wx, mut wy) = (0.0, 0.0, 0.0);
    for (x, y, weight) in points.clone() {
        w += weight;
        wx += weight * x;
        wy += weight * y;
    }
    if w.is_nan() || w <= 0.0 {
        return None;
    }
    let (mx, my) = (wx / w, wy / w);
    let (mut xx, mut xy) = (0.0, 0.0);
    for (x, y, weight) in points {
        xx += weight * (x - mx) * (x - mx);
        xy += weight * (x - mx) * (y - my);
    }
    let b = if xx > 0.0 { xy / xx } else { 0.0 };
    (b.is_finite() && my.is_finite()).then_some((my - b * mx, b))
}

/// Solves a symmetric positive definite system of three equations; `None` if it is singular.
fn solve(mut m: [[f64; 4]; 3]) -> Option<[f64; 3]> {
    for i in 0..3 {
        let pivot = m[i][i];
        if pivot.is_nan() || pivot.abs() < 1e-300 {
            return None;
        }
        let row = m[i];
        for (r, other) in m.iter_mut().enumerate() {
            if r != i {
                let factor = other[i] / pivot;
                for (v, w) in other.iter_mut().zip(row) {
                    *v -= factor * w;
                }
            }
        }
    }
    let x = [m[0][3] / m[0][0], m[1][3] / m[1][1], m[2][3] / m[2][2]];
    x.iter().all(|v| v.is_finite()).then_some(x)
}

impl Passes {
    /// Fits a burst that the tracker has decided as a whole. `first`, `last`: where it begins and
    /// ends, in channel samples. `false` if there is nothing to be fitted.
    pub fn fit(
        &mut self,
        interpolator: &mut Interpolator,
        from: Stretch<'_>,
        tracker: &Tracker,
        shape: &PulseShape,
        (first, last): (f64, f64),
    ) -> bool {
        let blocks = tracker.blocks();
        if blocks.is_empty() || tracker.kept() > 0 {
            return false;
        }
        self.symbols = blocks.len() * BLOCK;
        self.h = tracker.index();
        self.amplitude = tracker.amplitude();
        let within = |b: &&Block| b.timing.position > first && b.timing.position < last;
        let told = || blocks.iter().filter(within).filter(|b| b.timing.weight > 0.0);
        let timing = |t: Timing| (t.symbol, t.position, t.weight);
        let Some((start, symbol)) = line(told().map(|b| timing(b.timing))) else { return false };
        let nominal = blocks.iter().map(|b| b.symbol).sum::<f64>() / blocks.len() as f64;
        if told().count() < 3 || (symbol / nominal - 1.0).abs() > 0.005 {
            return false;
        }
        // Carrier over the symbols, in cycles per sample.
        let middle = 0.5 * (first + last);
        let Some((f0, slope)) = line(
            told().map(|b| (b.start + 32.0 * b.symbol - middle, b.frequency, b.timing.weight)),
        ) else {
            return false;
        };
        let step = symbol / BRANCH_SAMPLES as f64;
        let mut carrier = Carrier { at: start, phase: 0.0, frequency: f0 };
        self.grid.re.clear();
        self.grid.im.clear();
        for b in 0..blocks.len() {
            let at = start + (b * BLOCK) as f64 * symbol;
            let frequency = f0 + slope * (at + 32.0 * symbol - middle);
            carrier = carrier.moved(at, frequency);
            let points = BLOCK * BRANCH_SAMPLES;
            interpolator.grid(from, carrier, at + step / 2.0, step, points, &mut self.piece);
            self.grid.re.extend_from_slice(&self.piece.re);
            self.grid.im.extend_from_slice(&self.piece.im);
        }
        self.correlate(&BranchTable::new(shape, self.h), tracker.path());
        // Symbols of the burst proper.
        let a = ((first - start) / symbol - 2.0).ceil().max(0.0) as usize;
        let z = (((last - start) / symbol - 2.0).max(0.0) as usize).min(self.symbols);
        let (mut f, mut rate) = self.fit_carrier(a, z);
        self.turn(f, rate, (a + z) as f64 / 2.0);
        self.correlate(&BranchTable::new(shape, self.h), tracker.path());
        self.branches = Some(StateBranches::new(&BranchTable::new(shape, self.h)));
        self.hush(a.saturating_sub(QUIET_FROM), (z + PULSE_SYMBOLS + QUIET_FROM).min(self.symbols));
        self.classes = classes(self.h);
        // Nothing but the path is wanted until they are there.
        self.blocks.clear();
        if self.classes > 1 && (self.h - 1.0).abs() < REFITTED_WITHIN {
            // Every symbol that the first pass has wrong has shifted the phase a little.
            self.run(0, a);
            let path: Vec<u8> = self.passes[0].states.iter().map(|s| s % STATES as u8).collect();
            self.correlate(&BranchTable::new(shape, self.h), &path);
            let more = self.fit_carrier(a, z);
            self.turn(more.0, more.1, (a + z) as f64 / 2.0);
            (f, rate) = (f + more.0, rate + more.1);
            self.correlate(&BranchTable::new(shape, self.h), &path);
            self.branches = Some(StateBranches::new(&BranchTable::new(shape, self.h)));
        }
        for b in 0..blocks.len() {
            let k = (b * BLOCK + BLOCK / 2) as f64;
            let cycles = f + rate * (k - (a + z) as f64 / 2.0);
            let at = start + (b * BLOCK) as f64 * symbol;
            self.blocks.push(Block {
                start: at,
                symbol,
                frequency: f0 + slope * (at + 32.0 * symbol - middle) + cycles / symbol,
                levels: self.levels(b * BLOCK..(b + 1) * BLOCK),
                timing: Timing::default(),
            });
        }
        self.run(0, a);
        self.grid.re.reverse();
        self.grid.im.reverse();
        for im in &mut self.grid.im {
            *im = -*im;
        }
        self.run(1, self.symbols.saturating_sub(z + PULSE_SYMBOLS));
        true
    }

    /// Correlator outputs along a path, with the phase of its symbols removed, and the sum of the
    /// symbols (±1) up to the middle of each.
    fn correlate(&mut self, table: &BranchTable, path: &[u8]) {
        let (sin, cos) = (PI * self.h).sin_cos();
        let advance = (cos as f32, -sin as f32);
        let mut c = (1.0f32, 0.0f32);
        let mut travelled = 0.0;
        let mut last = 0usize;
        self.prompt.clear();
        self.travelled.clear();
        let points = self.grid.re.chunks_exact(BRANCH_SAMPLES);
        for (state, (re, im)) in
            path.iter().zip(points.zip(self.grid.im.chunks_exact(BRANCH_SAMPLES)))
        {
            let pattern = usize::from(*state) | (last >> 2 & 1) << 3;
            last = usize::from(*state);
            let mut y = (0.0f32, 0.0f32);
            for ((g_re, g_im), (w_re, w_im)) in re.iter().zip(im).zip(&table.waveforms[pattern]) {
                y.0 += g_re * w_re - g_im * w_im;
                y.1 += g_re * w_im + g_im * w_re;
            }
            self.prompt.push((y.0 * c.0 - y.1 * c.1, y.0 * c.1 + y.1 * c.0));
            let sign = |bit: usize| if pattern >> bit & 1 == 1 { 1.0 } else { -1.0 };
            self.travelled.push(travelled + sign(3) + sign(2));
            travelled += sign(3);
            let s = if pattern >> 3 & 1 == 1 { advance } else { (advance.0, -advance.1) };
            c = (c.0 * s.0 - c.1 * s.1, c.0 * s.1 + c.1 * s.0);
            let norm = 1.5 - 0.5 * (c.0 * c.0 + c.1 * c.1);
            c = (c.0 * norm, c.1 * norm);
        }
    }

    /// Frequency (cycles per symbol, in the middle of `a..z`) and its rate (per symbol) beyond what
    /// has been removed; corrects the index.
    fn fit_carrier(&mut self, a: usize, z: usize) -> (f64, f64) {
        let sums: Vec<(f64, f64, f64)> = (a..z.saturating_sub(SUM - 1))
            .step_by(SUM)
            .map(|k| {
                let mut c = (0.0f64, 0.0f64, 0.0f64);
                for (y, s) in self.prompt[k..k + SUM].iter().zip(&self.travelled[k..k + SUM]) {
                    c.0 += f64::from(y.0);
                    c.1 += f64::from(y.1);
                    c.2 += f64::from(*s) / SUM as f64;
                }
                c
            })
            .collect();
        let n = sums.len();
        if n < 4 {
            return (0.0, 0.0);
        }
        let middle = (n - 1) as f64 / 2.0;
        // Phase noise of an increment at some 6 dB, against which the index' deviation counts.
        let prior = (0.15 / INDEX_DEVIATION).powi(2);
        let mut fitted = [0.0f64; 3];
        for round in 0..3 {
            let mut m = [[0.0f64; 4]; 3];
            for (j, pair) in sums.windows(2).enumerate() {
                let (p, q) = (pair[0], pair[1]);
                let x = [1.0, (j as f64 + 0.5 - middle) / middle, PI * (q.2 - p.2)];
                let expected = fitted[0] * x[0] + fitted[1] * x[1] + fitted[2] * x[2];
                let (re, im) = (q.0 * p.0 + q.1 * p.1, q.1 * p.0 - q.0 * p.1);
                let off = im.atan2(re) - expected;
                let off = off - TAU * (off / TAU).round();
                if round > 0 && off.abs() > SLIP {
                    continue;
                }
                // The weights that make the increments tell as much as the phases (Kay 1989).
                let w = ((j + 1) * (n - 1 - j)) as f64 * 4.0 / (n * n) as f64;
                for r in 0..3 {
                    for c in 0..3 {
                        m[r][c] += w * x[r] * x[c];
                    }
                    m[r][3] += w * x[r] * (off + expected);
                }
            }
            m[2][2] += prior;
            match solve(m) {
                Some(x) => fitted = x,
                None => break,
            }
        }
        let index = fitted[2].clamp(-0.02, 0.02);
        self.h += index;
        let per_symbol = TAU * SUM as f64;
        (fitted[0] / per_symbol, fitted[1] / per_symbol / (middle * SUM as f64))
    }

    /// Removes a frequency `f + rate (k - middle)`, in cycles per symbol.
    fn turn(&mut self, f: f64, rate: f64, middle: f64) {
        let mut phase = 0.0f64;
        let symbols = self.grid.re.chunks_exact_mut(BRANCH_SAMPLES);
        for (k, (re, im)) in symbols.zip(self.grid.im.chunks_exact_mut(BRANCH_SAMPLES)).enumerate()
        {
            let step = (f + rate * (k as f64 - middle)) / BRANCH_SAMPLES as f64;
            let (sin, cos) = (-TAU * (phase - phase.floor())).sin_cos();
            let mut c = (cos as f32, sin as f32);
            let (sin, cos) = (-TAU * step).sin_cos();
            let turn = (cos as f32, sin as f32);
            for (r, i) in re.iter_mut().zip(im) {
                (*r, *i) = (*r * c.0 - *i * c.1, *r * c.1 + *i * c.0);
                c = (c.0 * turn.0 - c.1 * turn.1, c.0 * turn.1 + c.1 * turn.0);
            }
            phase += step * BRANCH_SAMPLES as f64;
        }
    }

    /// Silences what lies before symbol `from` and after symbol `to`: a trellis that comes in from
    /// the noise would bring a reference full of it.
    fn hush(&mut self, from: usize, to: usize) {
        for part in [&mut self.grid.re, &mut self.grid.im] {
            part[..from * BRANCH_SAMPLES].fill(0.0);
            part[to * BRANCH_SAMPLES..].fill(0.0);
        }
    }

    fn levels(&self, symbols: std::ops::Range<usize>) -> Levels {
        let mut levels = Levels::default();
        for k in symbols {
            let (a, b) = (k.saturating_sub(REFERENCE), (k + REFERENCE + 1).min(self.prompt.len()));
            let (mut re, mut im) = (0.0f32, 0.0f32);
            for y in &self.prompt[a..b] {
                re += y.0;
                im += y.1;
            }
            let Some(y) = self.prompt.get(k) else { break };
            let length = (b - a) as f32;
            levels.power += f64::from(y.0 * y.0 + y.1 * y.1);
            levels.coherent += f64::from((re * re + im * im) / (length * length));
            levels.count += 1.0;
        }
        levels
    }

    fn quality(&self, block: usize) -> (f64, f64) {
        let from = block.saturating_sub(2);
        let to = (block + 3).min(self.blocks.len());
        Levels::quality(self.blocks[from..to].iter().map(|b| b.levels))
            .unwrap_or((self.amplitude, 1e-3))
    }

    /// Runs the trellis over the grid, which is backwards for pass 1. The burst begins at symbol
    /// `from` of it.
    fn run(&mut self, pass: usize, from: usize) {
        let Some(branches) = &self.branches else { return };
        let n = self.symbols;
        let classes = self.classes;
        let counted_from = (from + COUNTED_AFTER).min(n);
        self.decisions.clear();
        self.decisions.resize(n, 0);
        self.margins.clear();
        self.margins.resize(n * classes, [f32::INFINITY; STATES]);
        let memory = if classes > 1 { Memory::FITTED_CLASSES } else { Memory::FITTED };
        let trellis = Trellis::new(self.h, memory, self.amplitude as f32);
        let mut run = Run {
            branches,
            grid: (&self.grid.re, &self.grid.im),
            decisions: &mut self.decisions,
            margins: &mut self.margins,
            counted_from,
        };
        let state = match classes {
            3 => run.with_classes::<3>(trellis),
            _ => run.with_classes::<1>(trellis),
        };
        let survivors =
            Survivors { decisions: &self.decisions, margins: &self.margins, classes, counted_from };
        survivors.trace_back(state, &mut self.passes[pass].states);
        if self.blocks.is_empty() {
            return;
        }
        let ceiling = 8.0 * self.amplitude as f32;
        let event_ceiling = event_ceiling((0..self.blocks.len()).map(|b| self.quality(b)));
        let Pass { states, reliability, rivals } = &mut self.passes[pass];
        soft_decisions(survivors, states, (ceiling, event_ceiling), false, reliability, rivals);
        if pass == 0 {
            return;
        }
        // Symbol k is the newest of the reversed branch n - L - k.
        let count = n.saturating_sub(PULSE_SYMBOLS - 1);
        states.truncate(count);
        states.reverse();
        states.resize(n, 0);
        reliability.truncate(count);
        reliability.reverse();
        reliability.resize(n, 0.0);
        rivals.retain(|r| r.last() < count);
        for r in rivals.iter_mut() {
            let (first, last) = (r.first, r.last());
            r.first = count - 1 - last;
            r.pattern = r.pattern.reverse_bits() >> (63 - (last - first));
        }
        rivals.sort_by_key(Rival::last);
    }

    /// The symbol, near the middle, around which both passes are surest and agree.
    fn joint(&self) -> usize {
        let middle = self.symbols / 2;
        let reach = JOIN_WITHIN.min(middle.saturating_sub(2 * JOIN_AGREES));
        let [a, b] = &self.passes;
        let mut best = (-1.0, middle);
        for m in middle - reach..middle + reach {
            let around = m.saturating_sub(JOIN_AGREES)..(m + JOIN_AGREES).min(self.symbols);
            let mut least = f32::INFINITY;
            for k in around {
                let agree = (a.states[k] ^ b.states[k]) & 1 == 0;
                least = least.min(if agree { a.reliability[k].min(b.reliability[k]) } else { 0.0 });
            }
            if least > best.0 {
                best = (least, m);
            }
        }
        best.1
    }

    /// Appends the symbols of both passes, joined in the middle.
    pub fn give(&mut self, order: Order, out: &mut Vec<Decided>) {
        let joint = self.joint();
        let [forwards, backwards] = &self.passes;
        let (early, late) = match order {
            Order::Outwards => (backwards, forwards),
            Order::Inwards => (forwards, backwards),
        };
        let mut joined = std::mem::take(&mut self.joined);
        let Pass { states, reliability, rivals } = &mut joined;
        states.clear();
        states.extend_from_slice(&early.states[..joint]);
        states.extend_from_slice(&late.states[joint..]);
        reliability.clear();
        reliability.extend_from_slice(&early.reliability[..joint]);
        reliability.extend_from_slice(&late.reliability[joint..]);
        rivals.clear();
        rivals.extend(early.rivals.iter().filter(|r| r.last() < joint));
        let ends = |r: &&Rival| r.last() >= joint && r.first + JOIN_AGREES >= joint;
        rivals.extend(late.rivals.iter().filter(ends));
        let path = Path { base: 0, states, reliability, rivals };
        for b in 0..self.blocks.len() {
            let range = b * BLOCK..(b + 1) * BLOCK;
            out.push(Decided::new(&self.blocks[b], self.quality(b), path, range));
        }
        self.joined = joined;
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_equations_are_solved() {
        let points = [(0.0, 1.0, 1.0), (1.0, 3.0, 2.0), (2.0, 5.0, 0.5), (3.0, 99.0, 0.0)];
        let (a, b) = line(points.iter().copied()).unwrap();
        assert!((a - 1.0).abs() < 1e-12 && (b - 2.0).abs() < 1e-12);
        assert_eq!(line([(2.0, 5.0, 1.0)].iter().copied()), Some((5.0, 0.0)));
        assert!(line([].iter().copied()).is_none());
        assert!(line([(0.0, f64::NAN, 1.0)].iter().copied()).is_none());
        let x = solve([[4.0, 1.0, 0.0, 6.0], [1.0, 3.0, 1.0, 10.0], [0.0, 1.0, 2.0, 8.0]]).unwrap();
        for (x, expected) in x.iter().zip([1.0, 2.0, 3.0]) {
            assert!((x - expected).abs() < 1e-12);
        }
        assert!(solve([[0.0; 4]; 3]).is_none());
        assert!(solve([[f64::NAN; 4]; 3]).is_none());
    }

    #[test]
    fn carrier_drift_and_index_are_found_in_the_sums() {
        // Phase of the decisions removed: what is left turns by the carrier and, with every symbol,
        // by the error of the index.
        let (f, rate, index) = (3e-3, 2e-6, 0.006);
        let symbols = 900;
        let mut passes = Passes { symbols, h: 0.5, ..Passes::default() };
        let mut seed = 1u32;
        let mut sum = 0.0f64;
        for k in 0..symbols {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            sum += if seed >> 31 == 1 { 1.0 } else { -1.0 };
            let t = k as f64 - symbols as f64 / 2.0;
            let phase = TAU * (f * t + rate * t * t / 2.0) + PI * index * sum;
            passes.prompt.push((phase.cos() as f32, phase.sin() as f32));
            passes.travelled.push(sum as f32);
        }
        let (found, slope) = passes.fit_carrier(0, symbols);
        assert!((found - f).abs() < 1e-4, "{found}");
        assert!((slope - rate).abs() < 6e-7, "{slope}");
        // Pulled towards the index of the acquisition.
        assert!((passes.h - 0.506).abs() < 2e-3, "{}", passes.h);
    }
}
