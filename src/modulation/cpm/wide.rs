//! Wide FSK (index from 1.25 on, told): the two tones, each received by itself.
//!
//! With tones that are orthogonal, or nearly so, the best detector that does not know their phases
//! correlates a symbol with either and compares (Proakis, *Digital Communications*, 5-4):
//!
//! ```text
//! z_b = ∫ x(t) e^{-j 2π (f ± h/2T) t} dt over a symbol      LLR = ln I0(2A|z_0|/N) - ln I0(2A|z_1|/N)
//! ```
//!
//! The gate finds bursts by their spectrum, two humps h/T apart, and `segments` their edges. Then,
//! forwards without any loop: with D = |z_1| - |z_0| at eight instants a symbol, the timing is the
//! phase of `Σ D² e^{-j 2π t/T}` (Oerder, Meyr, IEEE Trans. Commun. 36, 1988, 605), summed with the
//! clock at which the sum over all blocks is largest; the error of each tone's frequency is the
//! phase between the halves of the symbols decided for it, with the drift as a line over the burst.
//! Amplitude and noise come from the larger and the smaller of |z_0|², |z_1|².

use std::f64::consts::{PI, TAU};

use num_complex::{Complex32, Complex64};

use super::gate::{Floor, Gate};
use super::receiver::Search;
use super::segments::{levels, segments};
use crate::modulation::{Demodulator, Mapping, SoftBlock};

/// The gate opens and closes at these many standard deviations of noise.
const OPEN: f32 = 6.0;
const CLOSE: f32 = 3.5;
/// Windows below the closing threshold that end a stretch.
const HANGOVER: u64 = 3;
/// A stretch that lasts longer is cut.
const LONGEST_SYMBOLS: f64 = 16384.0;
/// Symbols of silence looked at on either side of a stretch.
const MARGIN_SYMBOLS: f64 = 64.0;
/// Symbols given out before and after a burst.
const SPARE_SYMBOLS: usize = 16;
/// Instants per symbol at which the timing is measured.
const INSTANTS: usize = 8;
/// Symbols that are measured together.
const BLOCK: usize = 64;
/// Largest deviation of a clock, and what of a turn of the timing over the burst is a step of it.
const LARGEST_STRETCH: f64 = 0.005;
const STRETCH_STEP: f64 = 0.25;
/// Rounds of fitting the tones.
const ROUNDS: usize = 3;
/// Input beyond this magnitude is clipped.
const LARGEST_INPUT: f32 = 1e4;

/// A stretch in which the gate is open.
struct Open {
    from: f64,
    last_window: u64,
    spectrum: Vec<f32>,
    windows: u32,
}

/// What a burst is made of; times in samples from the start of the stretch, which has `count` of
/// them.
#[derive(Debug, Clone, Copy)]
struct Tones {
    /// Carrier in cycles per sample, at the middle of the stretch.
    frequency: f64,
    /// Its change per sample.
    drift: f64,
    /// Half the distance of the tones in cycles per sample.
    deviation: f64,
}

/// The integral of the samples against the two tones, from the start of the stretch.
struct Integrals {
    sums: [Vec<Complex64>; 2],
}

impl Integrals {
    fn new(samples: &[Complex32], tones: Tones) -> Self {
        let middle = samples.len() as f64 / 2.0;
        let bend = Complex64::cis(-TAU * tones.drift);
        let sums = [-1.0, 1.0].map(|sign| {
            let mut sum = Complex64::default();
            let mut out = Vec::with_capacity(samples.len() + 1);
            out.push(sum);
            let first = tones.frequency + tones.drift * (0.5 - middle) + sign * tones.deviation;
            let (mut rotor, mut step) = (Complex64::ONE, Complex64::cis(-TAU * first));
            for x in samples {
                sum += Complex64::new(f64::from(x.re), f64::from(x.im)) * rotor;
                out.push(sum);
                rotor *= step;
                step *= bend;
            }
            out
        });
        Self { sums }
    }

    fn until(&self, tone: usize, t: f64) -> Complex64 {
        let sums = &self.sums[tone];
        let last = sums.len() - 1;
        let t = t.clamp(0.0, last as f64);
        let i = (t as usize).min(last.saturating_sub(1));
        let Some(next) = sums.get(i + 1) else { return sums[i] };
        sums[i] + (next - sums[i]) * (t - i as f64)
    }

    /// Over an interval.
    fn over(&self, tone: usize, from: f64, to: f64) -> Complex64 {
        self.until(tone, to) - self.until(tone, from)
    }
}

/// ln I0(x), x ≥ 0 (Abramowitz, Stegun 9.8.1 and 9.8.2, to 2e-7).
fn ln_i0(x: f64) -> f64 {
    if x < 3.75 {
        let t = (x / 3.75).powi(2);
        let i0 = 1.0
            + t * (3.515_622_9
                + t * (3.089_942_4
                    + t * (1.206_749_2 + t * (0.265_973_2 + t * (0.036_076_8 + t * 0.004_581_3)))));
        return i0.ln();
    }
    let t = 3.75 / x;
    let p = [
        0.003_923_77,
        -0.016_476_33,
        0.026_355_37,
        -0.020_577_06,
        0.009_162_81,
        -0.001_575_65,
        0.002_253_19,
        0.013_285_92,
        0.398_942_28,
    ]
    .iter()
    .fold(0.0, |sum, c| sum * t + c);
    x - 0.5 * x.ln() + p.ln()
}

/// The demodulator.
pub(super) struct WideReceiver {
    search: Search,
    samples_per_symbol: f64,
    index: f64,
    gate: Gate,
    samples: Vec<Complex32>,
    first: u64,
    received: u64,
    decided: u64,
    open: Option<Open>,
    /// Nothing before this sample is looked at again.
    done: f64,
    next_run: u64,
}

impl WideReceiver {
    /// For a channel and an index.
    pub fn new(search: Search, index: f64) -> Self {
        let samples_per_symbol = search.sample_rate_hz / search.symbol_rate_bd;
        let rate = search.sample_rate_hz;
        let room = (rate / 2.0 - (0.5 + index / 2.0) * search.symbol_rate_bd).max(0.0);
        let gate = Gate::new(
            samples_per_symbol,
            search.search_hz.min(room) / rate,
            search.half_bandwidth_hz.min(rate / 2.0) / rate,
            rate,
            (&[index], &[0]),
        );
        Self {
            search,
            samples_per_symbol,
            index,
            gate,
            samples: Vec::new(),
            first: 0,
            received: 0,
            decided: 0,
            open: None,
            done: 0.0,
            next_run: 0,
        }
    }

    /// Samples in the gate's windows so far; later ones are not looked at.
    fn visible_end(&self, last: bool) -> u64 {
        if last { self.received } else { self.gate.end() }
    }

    fn work(&mut self, last: bool, out: &mut Vec<SoftBlock>) {
        let (hop, length) = (self.gate.hop() as u64, self.gate.length() as u64);
        while self.gate.count() * hop + length <= self.received {
            let from = (self.gate.count() * hop - self.first) as usize;
            self.gate.take(&self.samples[from..from + length as usize]);
            while self.gate.ready(self.decided, false) {
                self.decide(out);
            }
            self.forget();
        }
        if last {
            while self.gate.ready(self.decided, true) {
                self.decide(out);
            }
        }
    }

    /// Decides the next window.
    fn decide(&mut self, out: &mut Vec<SoftBlock>) {
        let w = self.decided;
        self.decided += 1;
        let hop = self.gate.hop() as f64;
        // A signal that is there most of the time is its own floor per bin.
        let [per_bin, flat] = [Floor::PerBin, Floor::Flat].map(|f| self.gate.statistic(w, f));
        let (floor, statistic) =
            if per_bin >= flat { (Floor::PerBin, per_bin) } else { (Floor::Flat, flat) };
        if self.open.is_none() && statistic >= OPEN {
            // The window before holds the burst's beginning.
            let from = (w.saturating_sub(1) as f64 * hop).max(self.done);
            self.open = Some(Open { from, last_window: w, spectrum: Vec::new(), windows: 0 });
        }
        let Some(open) = &mut self.open else { return };
        if statistic > CLOSE {
            open.last_window = w;
            self.gate.accumulate(w, floor, &mut open.spectrum);
            open.windows += 1;
        }
        let long = w as f64 * hop - open.from > LONGEST_SYMBOLS * self.samples_per_symbol;
        if long || w - open.last_window >= HANGOVER {
            self.examine(false, out);
        }
    }

    /// Demodulates the open stretch.
    fn examine(&mut self, last: bool, out: &mut Vec<SoftBlock>) {
        let Some(open) = self.open.take() else { return };
        let hop = self.gate.hop() as f64;
        let sps = self.samples_per_symbol;
        let end = self.visible_end(last);
        let to = open.last_window as f64 * hop + self.gate.length() as f64;
        let Some(estimate) = self.gate.estimates(&open.spectrum, open.windows).first().copied()
        else {
            return;
        };
        let margin = MARGIN_SYMBOLS * sps;
        let a = (open.from - margin).max(self.done).max(self.first as f64).ceil() as u64;
        let b = ((to + margin) as u64).min(end);
        self.done = to.min(end as f64);
        if b <= a {
            return;
        }
        let samples = self.samples[(a - self.first) as usize..(b - self.first) as usize].to_vec();
        let tones =
            Tones { frequency: estimate.frequency, drift: 0.0, deviation: self.index / 2.0 / sps };
        let integrals = Integrals::new(&samples, tones);
        let symbols = (samples.len() as f64 / sps) as usize;
        let energies: Vec<f32> = (0..symbols)
            .map(|k| {
                let at = k as f64 * sps;
                let energy = |tone| integrals.over(tone, at, at + sps).norm_sqr();
                (0.5 * (energy(0) + energy(1))) as f32
            })
            .collect();
        let bursts = match levels(&energies, 0.0) {
            Some(levels) => segments(&energies, levels),
            None => vec![(0, symbols)],
        };
        for (i, (x, y)) in bursts.iter().enumerate() {
            let before = if i > 0 { bursts[i - 1].1 } else { 0 };
            let after = bursts.get(i + 1).map_or(symbols, |next| next.0);
            let x = x.saturating_sub(SPARE_SYMBOLS).max(before);
            let y = (y + SPARE_SYMBOLS).min(after);
            let range = (x as f64 * sps) as usize..((y as f64 * sps) as usize).min(samples.len());
            let start = a as f64 + range.start as f64;
            self.demodulate(&samples[range], start, tones, out);
        }
    }

    /// Timing of the first symbol, in samples, and samples per symbol.
    fn timing(&self, integrals: &Integrals, count: usize) -> (f64, f64) {
        let sps = self.samples_per_symbol;
        let step = sps / INSTANTS as f64;
        let symbols = (count as f64 / sps) as usize;
        let mut blocks: Vec<Complex64> = Vec::with_capacity(symbols / BLOCK + 1);
        let mut sum = Complex64::default();
        for k in 0..symbols {
            for p in 0..INSTANTS {
                let at = k as f64 * sps + p as f64 * step;
                let d =
                    integrals.over(1, at, at + sps).norm() - integrals.over(0, at, at + sps).norm();
                sum += Complex64::from_polar(d * d, -TAU * p as f64 / INSTANTS as f64);
            }
            if (k + 1) % BLOCK == 0 || k + 1 == symbols {
                blocks.push(std::mem::take(&mut sum));
            }
        }
        // The clock at which the blocks add up best.
        let reach = (LARGEST_STRETCH * symbols as f64 / STRETCH_STEP).ceil() as i64;
        let at = |stretch: f64| -> Complex64 {
            let turn = |b: usize| TAU * stretch * ((b as f64 + 0.5) * BLOCK as f64);
            blocks.iter().enumerate().map(|(b, e)| e * Complex64::from_polar(1.0, turn(b))).sum()
        };
        let unit = STRETCH_STEP / symbols.max(1) as f64;
        let value = |i: i64| at(i as f64 * unit).norm();
        let mut best = 0;
        for i in -reach..=reach {
            if value(i) > value(best) {
                best = i;
            }
        }
        let (left, middle, right) = (value(best - 1), value(best), value(best + 1));
        let curvature = left - 2.0 * middle + right;
        let extra = if curvature < 0.0 { 0.5 * (left - right) / curvature } else { 0.0 };
        let stretch = (best as f64 + extra.clamp(-0.5, 0.5)) * unit;
        // Symbols begin where D² is largest: at sps·φ, φ turns of the sum's phase behind 0.
        let phase = -at(stretch).arg() / TAU;
        ((phase - phase.floor()) * sps, sps * (1.0 + stretch))
    }

    /// Demodulates one burst; `start`: where its samples begin.
    fn demodulate(
        &mut self,
        samples: &[Complex32],
        start: f64,
        mut tones: Tones,
        out: &mut Vec<SoftBlock>,
    ) {
        let count = samples.len();
        if (count as f64) < 2.0 * BLOCK as f64 * self.samples_per_symbol / 2.0 {
            return;
        }
        let mut integrals = Integrals::new(samples, tones);
        let (mut first, mut symbol) = self.timing(&integrals, count);
        for _ in 0..ROUNDS {
            tones = fitted(&integrals, tones, (first, symbol), count);
            integrals = Integrals::new(samples, tones);
            (first, symbol) = self.timing(&integrals, count);
        }
        let symbols = ((count as f64 - first) / symbol) as usize;
        let levels: Vec<[f64; 2]> = (0..symbols)
            .map(|k| {
                let at = first + k as f64 * symbol;
                [0, 1].map(|tone| integrals.over(tone, at, at + symbol).norm())
            })
            .collect();
        let x = TAU * tones.deviation * symbol;
        let overlap = (x.sin() / x).powi(2);
        let qualities: Vec<(f64, f64)> =
            levels.chunks(BLOCK).map(|z| quality(z, overlap)).collect();
        let mut llr = Vec::with_capacity(symbols);
        let mut esn0 = 0.0;
        for (k, z) in levels.iter().enumerate() {
            let (power, noise) = qualities[k / BLOCK];
            let scale = 2.0 * power.sqrt() / noise;
            let value = ln_i0(scale * z[0]) - ln_i0(scale * z[1]);
            llr.push(if value.is_finite() { value as f32 } else { 0.0 });
            esn0 += power / noise / symbols as f64;
        }
        out.push(SoftBlock {
            run: self.next_run,
            first_symbol: 0,
            first_sample: start + first + symbol / 2.0,
            samples_per_symbol: symbol,
            frequency_offset_hz: tones.frequency * self.search.sample_rate_hz,
            esn0_db: (10.0 * esn0.clamp(1e-6, 1e4).log10()) as f32,
            mapping: Mapping::Direct,
            llr,
            events: Vec::new(),
            end: true,
        });
        self.next_run += 1;
    }

    /// First sample that may be needed again.
    fn needed(&self) -> f64 {
        let settled = self.decided.saturating_sub(2) as f64 * self.gate.hop() as f64;
        let from = self.open.as_ref().map_or(settled, |open| open.from.min(settled));
        (from - (MARGIN_SYMBOLS + 2.0) * self.samples_per_symbol).max(0.0)
    }

    /// Drops samples that are not needed any more.
    fn forget(&mut self) {
        let excess = (self.needed() as u64).saturating_sub(self.first) as usize;
        if excess > 16384 && excess > self.samples.len() / 2 {
            self.samples.drain(..excess);
            self.first += excess as u64;
        }
    }
}

/// Power of the tones |z|² = A² and mean noise in it, over some symbols. Of either tone the share
/// `overlap` of its power shows as the other, (sin πh / πh)².
fn quality(levels: &[[f64; 2]], overlap: f64) -> (f64, f64) {
    let n = levels.len().max(1) as f64;
    let mean =
        |f: fn(f64, f64) -> f64| levels.iter().map(|z| f(z[0], z[1]).powi(2)).sum::<f64>() / n;
    let (large, small) = (mean(f64::max), mean(f64::min));
    let power = ((large - small) / (1.0 - overlap)).max(0.0);
    let noise = (small - overlap * power).max(large * 1e-4).max(1e-30);
    (power.max(noise * 1e-3), noise)
}

/// The tones as the halves of the symbols decided for them tell: line through the errors of the
/// frequency, block by block, and the mean difference of both tones.
fn fitted(integrals: &Integrals, tones: Tones, (first, symbol): (f64, f64), count: usize) -> Tones {
    let symbols = ((count as f64 - first) / symbol) as usize;
    let blocks = symbols.div_ceil(BLOCK);
    let mut halves = vec![[Complex64::default(); 2]; blocks];
    for k in 0..symbols {
        let at = first + k as f64 * symbol;
        let energy = |tone| integrals.over(tone, at, at + symbol).norm_sqr();
        let tone = usize::from(energy(1) > energy(0));
        let early = integrals.over(tone, at, at + symbol / 2.0);
        let late = integrals.over(tone, at + symbol / 2.0, at + symbol);
        halves[k / BLOCK][tone] += late * early.conj();
    }
    // Half a symbol apart: turns to cycles per sample.
    let cycles = |c: Complex64| c.arg() / PI / symbol;
    let mut sums = [Complex64::default(); 2];
    for block in &halves {
        sums[0] += block[0];
        sums[1] += block[1];
    }
    let errors = sums.map(cycles);
    let (mut w, mut xx, mut xy) = (0.0, 0.0, 0.0);
    for (b, block) in halves.iter().enumerate() {
        let x = first + (b as f64 + 0.5) * BLOCK as f64 * symbol - count as f64 / 2.0;
        for tone in 0..2 {
            let c = block[tone] * Complex64::from_polar(1.0, -PI * symbol * errors[tone]);
            let weight = c.norm();
            w += weight;
            xx += weight * x * x;
            xy += weight * x * cycles(c);
        }
    }
    // Fewer than 256 symbols do not tell a drift.
    let drift = if blocks >= 4 && xx > 0.0 && w > 0.0 { xy / xx } else { 0.0 };
    let moved = Tones {
        frequency: tones.frequency + 0.5 * (errors[0] + errors[1]),
        drift: tones.drift + drift,
        deviation: tones.deviation + 0.5 * (errors[1] - errors[0]),
    };
    let sound = [moved.frequency, moved.drift, moved.deviation].iter().all(|x| x.is_finite());
    if sound { moved } else { tones }
}

impl Demodulator for WideReceiver {
    fn push(&mut self, samples: &[Complex32], out: &mut Vec<SoftBlock>) {
        for piece in samples.chunks(1 << 15) {
            let clean = |x: f32| {
                if x.is_finite() { x.clamp(-LARGEST_INPUT, LARGEST_INPUT) } else { 0.0 }
            };
            self.samples.extend(piece.iter().map(|x| Complex32::new(clean(x.re), clean(x.im))));
            self.received += piece.len() as u64;
            self.work(false, out);
        }
    }

    fn finish(&mut self, out: &mut Vec<SoftBlock>) {
        self.work(true, out);
        self.examine(true, out);
        self.samples.clear();
        self.first = 0;
        self.received = 0;
        self.decided = 0;
        self.done = 0.0;
        self.open = None;
        self.gate.reset();
    }

    fn settled_sample(&self) -> f64 {
        self.needed()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;
    use rand_distr::StandardNormal;

    use super::super::modulator::CpmModulator;
    use super::*;
    use crate::effort::Effort;
    use crate::modulation::Modulator;

    const RATE_HZ: f64 = 48_000.0;
    const BAUD: f64 = 4800.0;
    const BURST: usize = 1200;

    fn receiver(index: f64) -> WideReceiver {
        let search = Search {
            sample_rate_hz: RATE_HZ,
            symbol_rate_bd: BAUD,
            search_hz: 6000.0,
            half_bandwidth_hz: 20_000.0,
            effort: Effort::Full,
        };
        WideReceiver::new(search, index)
    }

    /// Two bursts of random bits in noise, and the bits.
    fn recording(index: f64, esn0_db: f64) -> (Vec<Complex32>, Vec<Vec<u8>>) {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let sigma = (RATE_HZ / BAUD / 10f64.powf(esn0_db / 10.0) / 2.0).sqrt() as f32;
        let modulator = CpmModulator::new(BAUD, index, f64::INFINITY);
        let mut samples = vec![Complex32::default(); 24_000];
        let mut sent = Vec::new();
        for timing in [0.2, 0.7] {
            let bits: Vec<u8> = (0..BURST).map(|_| u8::from(rng.random::<bool>())).collect();
            modulator.modulate(&bits, RATE_HZ, 60.0, timing, &mut samples);
            samples.resize(samples.len() + 24_000, Complex32::default());
            sent.push(bits);
        }
        for (i, x) in samples.iter_mut().enumerate() {
            // -1300 Hz, falling by 60 Hz/s.
            let t = i as f64 / RATE_HZ;
            let phase = TAU * (-1300.0 * t - 30.0 * t * t);
            let noise = Complex32::new(rng.sample(StandardNormal), rng.sample(StandardNormal));
            *x = *x * Complex32::new(phase.cos() as f32, phase.sin() as f32) + noise * sigma;
        }
        (samples, sent)
    }

    /// Fewest differences of the bits from those of any run, at any place.
    fn errors(bits: &[u8], blocks: &[SoftBlock]) -> usize {
        let mut least = bits.len();
        for block in blocks {
            let got: Vec<u8> = block.llr.iter().map(|l| u8::from(*l < 0.0)).collect();
            for window in got.windows(bits.len()) {
                least = least.min(window.iter().zip(bits).filter(|(a, b)| a != b).count());
            }
        }
        least
    }

    fn receive(mut receiver: WideReceiver, samples: &[Complex32], chunk: usize) -> Vec<SoftBlock> {
        let mut out = Vec::new();
        for piece in samples.chunks(chunk) {
            receiver.push(piece, &mut out);
        }
        receiver.finish(&mut out);
        out
    }

    #[test]
    fn tones_far_apart_are_received() {
        for index in [1.5, 2.0, 3.0] {
            let (samples, sent) = recording(index, 13.0);
            // The deviation is told a little wrong.
            let blocks = receive(receiver(0.98 * index), &samples, 10_000);
            assert_eq!(blocks.len(), 2, "{index}");
            for bits in &sent {
                assert!(errors(bits, &blocks) <= 1, "{index}");
            }
            for b in &blocks {
                assert!((b.esn0_db - 13.0).abs() < 2.0, "{index}: {} dB", b.esn0_db);
            }
        }
    }

    /// No silence from which a floor could be taken bin by bin.
    #[test]
    fn a_signal_without_gaps_is_received() {
        let (samples, sent) = recording(2.0, 13.0);
        let burst = &samples[24_000..24_000 + 10 * BURST];
        // 1.5 s of one burst after the other.
        let continuous: Vec<Complex32> = burst.iter().copied().cycle().take(72_000).collect();
        let blocks = receive(receiver(2.0), &continuous, 10_000);
        assert!(errors(&sent[0], &blocks) <= 4, "{}", errors(&sent[0], &blocks));
    }

    #[test]
    fn errors_near_the_limit_are_those_of_theory() {
        // P = e^{-γ/2} / 2: 0.8 % at 9.2 dB.
        let (samples, sent) = recording(2.0, 9.2);
        let blocks = receive(receiver(2.0), &samples, samples.len());
        let wrong: usize = sent.iter().map(|bits| errors(bits, &blocks)).sum();
        assert!((4..=42).contains(&wrong), "{wrong} of {}", 2 * BURST);
    }

    #[test]
    fn chunks_do_not_matter() {
        let (samples, _) = recording(2.0, 12.0);
        let whole = receive(receiver(2.0), &samples, samples.len());
        assert_eq!(whole, receive(receiver(2.0), &samples, 777));
    }

    #[test]
    fn nonsense_is_taken() {
        let nonsense = [f32::NAN, f32::INFINITY, 0.0, 1e38, -1.0];
        let samples: Vec<Complex32> =
            (0..40_000).map(|i| Complex32::new(nonsense[i % 5], nonsense[i / 7 % 5])).collect();
        for index in [1.3, 8.0] {
            for block in receive(receiver(index), &samples, 5000) {
                assert!(block.llr.iter().all(|l| l.is_finite()));
            }
        }
        assert!(receive(receiver(2.0), &[], 1).is_empty());
        assert!(receive(receiver(2.0), &vec![Complex32::default(); 100_000], 4096).is_empty());
    }

    #[test]
    fn bessel_function_is_smooth_and_right() {
        assert!(ln_i0(0.0).abs() < 1e-9);
        assert!((ln_i0(1.0) - 1.266_065_877_752f64.ln()).abs() < 1e-5);
        assert!((ln_i0(10.0) - 2_815.716_628_466_f64.ln()).abs() < 1e-3);
        assert!((ln_i0(3.7499) - ln_i0(3.7501)).abs() < 1e-3);
    }
}
