//! Carrier phase of symbols, feed-forward, and what the symbols are worth.
//!
//! * Residual frequency: the line at 2f in the spectrum of x² over overlapping windows.
//! * Phase: argument of x² smoothed by a Hann window, halved (A. J. Viterbi and A. M. Viterbi,
//!   IEEE Trans. Inf. Theory 29, 1983, p. 543). The half's sign follows the previous symbol's.
//! * Refinement: argument of the decided symbols' mean around each, the symbol itself left out
//!   (otherwise its amplitude would be biased).
//! * Log-likelihood ratio `4 A Re x / N0` with the amplitude A and the noise N0 measured over
//!   [`LEVEL_SYMBOLS`] symbols around.

use std::f64::consts::TAU;
use std::sync::Arc;

use num_complex::{Complex32, Complex64};
use rustfft::{Fft, FftPlanner};

use super::matched_filter::Track;

/// Amplitude and noise are measured over this many symbols.
pub const LEVEL_SYMBOLS: usize = 256;
/// Largest residual frequency, in cycles per symbol.
const RESIDUAL: f64 = 0.03;
/// The FFT has this many times the window's points.
const PADDING: usize = 4;

/// Finds the residual frequency over windows of symbols.
pub struct FrequencyTracker {
    threshold: f32,
    fft: Arc<dyn Fft<f32>>,
    hann: Vec<f32>,
    decimation: usize,
    buffer: Vec<Complex32>,
    scratch: Vec<Complex32>,
    squares: Vec<Complex32>,
}

impl FrequencyTracker {
    /// Windows of `window_symbols` (at least 64), accepted if peak over mean is above `threshold`.
    pub fn new(window_symbols: usize, threshold: f32) -> Self {
        // The line is narrow and near 0: sums of up to 4 symbols lose nothing.
        let decimation = (window_symbols / 64).clamp(1, 4);
        let points = (window_symbols / decimation).max(1);
        let fft = FftPlanner::new().plan_fft_forward((PADDING * points).next_power_of_two());
        let scratch = vec![Complex32::default(); fft.get_inplace_scratch_len()];
        let buffer = vec![Complex32::default(); fft.len()];
        let hann = (0..points)
            .map(|i| 0.5 - 0.5 * (TAU * (i as f64 + 0.5) / points as f64).cos() as f32)
            .collect();
        let squares = Vec::new();
        Self { threshold, fft, hann, decimation, buffer, scratch, squares }
    }

    /// The residual frequency (cycles per symbol over symbol index), smoothed, and the number of
    /// windows in which it was seen. If in none, the best guess.
    pub fn track(&mut self, symbols: &[Complex32]) -> (Track, usize) {
        let decimation = self.decimation;
        self.squares.clear();
        self.squares
            .extend(symbols.chunks(decimation).map(|c| c.iter().map(|x| x * x).sum::<Complex32>()));
        let points = self.hann.len();
        let hop = (points / 4).max(1);
        let last = self.squares.len().saturating_sub(points);
        let mut track = Track::default();
        let mut best = (0.0f32, 0.0, 0.0);
        let mut start = 0;
        loop {
            let (strength, frequency) = self.line(start);
            let at = (start as f64 + 0.5 * points as f64) * decimation as f64;
            let at = at.min(symbols.len() as f64);
            if strength > best.0 {
                best = (strength, at, frequency);
            }
            if strength > self.threshold {
                track.add(at, frequency);
            }
            if start >= last {
                break;
            }
            start = (start + hop).min(last);
        }
        let seen = track.at.len();
        if seen == 0 {
            track.add(best.1, best.2);
        }
        smooth(&mut track.value);
        (track, seen)
    }

    fn line(&mut self, start: usize) -> (f32, f64) {
        let length = self.buffer.len();
        let available = &self.squares[start.min(self.squares.len())..];
        self.buffer.fill(Complex32::default());
        for ((b, q), h) in self.buffer.iter_mut().zip(available).zip(&self.hann) {
            *b = q * h;
        }
        self.fft.process_with_scratch(&mut self.buffer, &mut self.scratch);
        let limit = (2.0 * RESIDUAL * self.decimation as f64 * length as f64) as i64;
        let limit = limit.min(length as i64 / 2 - 1);
        let at = |k: i64| self.buffer[k.rem_euclid(length as i64) as usize].norm_sqr();
        let (mut best, mut peak) = (0.0f32, 0i64);
        for k in -limit..=limit {
            let p = at(k);
            if p > best {
                best = p;
                peak = k;
            }
        }
        let mean = self.buffer.iter().map(|z| z.norm_sqr()).sum::<f32>() / length as f32;
        let ln = |p: f32| f64::from(p.max(1e-30)).ln();
        let (a, b, c) = (ln(at(peak - 1)), ln(best), ln(at(peak + 1)));
        let curve = 2.0 * b - a - c;
        let fine = if curve > 0.0 { (0.5 * (c - a) / curve).clamp(-0.5, 0.5) } else { 0.0 };
        let doubled = (peak as f64 + fine) / (length * self.decimation) as f64;
        (best / (mean + 1e-30), 0.5 * doubled)
    }
}

/// Median of three, then mean of three.
fn smooth(values: &mut [f64]) {
    let n = values.len();
    if n < 5 {
        return;
    }
    let at = |v: &[f64], i: usize| [v[i.saturating_sub(1)], v[i], v[(i + 1).min(n - 1)]];
    let median: Vec<f64> = (0..n)
        .map(|i| {
            let mut three = at(values, i);
            three.sort_by(f64::total_cmp);
            three[1]
        })
        .collect();
    for (i, v) in values.iter_mut().enumerate() {
        *v = at(&median, i).iter().sum::<f64>() / 3.0;
    }
}

/// Turns symbols back by the integral of a frequency track in cycles per symbol.
pub fn remove_frequency(symbols: &mut [Complex32], frequency: &Track) {
    const RUN: usize = 16;
    let mut phase = 0.0f64;
    let mut cursor = 0;
    for (b, block) in symbols.chunks_mut(RUN).enumerate() {
        let cycles = frequency.interpolate_from((b * RUN + RUN / 2) as f64, &mut cursor);
        let step = Complex32::cis((-TAU * cycles) as f32);
        let mut phasor = Complex32::cis((-TAU * phase) as f32);
        for x in block {
            *x *= phasor;
            phasor *= step;
        }
        phase += cycles * RUN as f64;
        phase -= phase.floor();
    }
}

/// Sums over a Hann window that slides over a sequence: a box and two boxes of turned values,
/// each renewed by one value in, one out.
struct SlidingHann {
    length: usize,
    step: Complex64,
    newest: Complex64,
    sum: Complex64,
    up: Complex64,
    down: Complex64,
}

impl SlidingHann {
    /// A window of an odd number of points, at least 1; `h_i = 1/2 - 1/2 cos 2π(i+1)/(length+1)`.
    fn new(length: usize) -> Self {
        let angle = TAU / (length as f64 + 1.0);
        let zero = Complex64::default();
        let newest = Complex64::cis(angle * length as f64);
        Self { length, step: Complex64::cis(angle), newest, sum: zero, up: zero, down: zero }
    }

    /// Moves on by one: `new` enters, `old` (which entered `length` moves ago) leaves.
    #[inline(always)]
    fn advance(&mut self, new: Complex64, old: Complex64) -> Complex64 {
        // Before the move the oldest has weight e^{±jθ}; all turn back by one step, the new one
        // enters at e^{±jθ·length}.
        self.sum += new - old;
        self.up = (self.up - old * self.step) * self.step.conj() + new * self.newest;
        self.down = (self.down - old * self.step.conj()) * self.step + new * self.newest.conj();
        0.5 * self.sum - 0.25 * (self.up + self.down)
    }

    /// Smooths `count` values of `value`; at the ends the window sees what there is.
    fn run(
        mut self,
        count: usize,
        value: impl Fn(usize) -> Complex32,
        mut each: impl FnMut(usize, Complex64),
    ) {
        let half = self.length / 2;
        let wide = |i: usize| {
            let z = value(i);
            Complex64::new(f64::from(z.re), f64::from(z.im))
        };
        for i in 0..count + half {
            let new = if i < count { wide(i) } else { Complex64::default() };
            let old = if i >= self.length { wide(i - self.length) } else { Complex64::default() };
            let smoothed = self.advance(new, old);
            if i >= half {
                each(i - half, smoothed);
            }
        }
    }
}

/// Turns every symbol back by the phase of its neighbourhood's squares. The result has the signal
/// in the real part, in one of two polarities through the whole slice.
pub fn remove_phase(symbols: &mut [Complex32], window_symbols: usize) {
    let mut squares: Vec<Complex32> = symbols.iter().map(|x| x * x).collect();
    let squares = &mut squares[..];
    let mut last = Complex64::new(1.0, 0.0);
    SlidingHann::new(window_symbols | 1).run(
        symbols.len(),
        |i| squares[i],
        |i, z| {
            let half = half_angle(z);
            let half = if (half * last.conj()).re < 0.0 { -half } else { half };
            last = half;
            symbols[i] *= Complex32::new(half.re as f32, -half.im as f32);
        },
    );
}

/// A unit phasor of half of `z`'s argument, in either sign; 1 for 0.
fn half_angle(z: Complex64) -> Complex64 {
    let norm = z.norm_sqr().sqrt();
    if !(norm > 0.0 && norm.is_finite()) {
        return Complex64::new(1.0, 0.0);
    }
    let (re, im) = (z.re / norm, z.im / norm);
    if re >= 0.0 {
        let c = (0.5 * (1.0 + re)).sqrt();
        Complex64::new(c, 0.5 * im / c)
    } else {
        let s = (0.5 * (1.0 - re)).sqrt();
        Complex64::new(0.5 * im / s, s)
    }
}

/// Turns every symbol back by the mean phase of the decided symbols around it, itself left out.
pub fn refine_phase(symbols: &mut [Complex32], window_symbols: usize) {
    let window = window_symbols | 1;
    let decided: Vec<Complex32> =
        symbols.iter().map(|x| if x.re < 0.0 { -x } else { *x }).collect();
    SlidingHann::new(window).run(
        symbols.len(),
        |i| decided[i],
        |i, z| {
            // The middle of the window has weight 1.
            let own = decided[i];
            let (re, im) = (z.re - f64::from(own.re), z.im - f64::from(own.im));
            let norm = (re * re + im * im).sqrt();
            if norm > 0.0 && norm.is_finite() {
                symbols[i] *= Complex32::new((re / norm) as f32, (-im / norm) as f32);
            }
        },
    );
}

/// Signal and noise power around each symbol.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Level {
    /// Mean square of the amplitude, A².
    pub signal: f32,
    /// N0: twice the noise power in one component.
    pub noise: f32,
}

/// Signal and noise power around each symbol of a slice whose signal is real.
/// `crosstalk`: power that a symbol leaks into the imaginary parts, relative to A² (0 for BPSK;
/// 2ρ₁² for an MSK-type signal, ρ₁ = the pulse's autocorrelation one symbol away).
///
/// `E Re² = A² + N0/2` and `E Im² = crosstalk A² + N0/2` give both, without a bias at low SNR.
pub fn levels(symbols: &[Complex32], crosstalk: f32, out: &mut Vec<Level>) {
    out.clear();
    let half = LEVEL_SYMBOLS / 2;
    let (mut real, mut imaginary, mut count) = (0.0f64, 0.0f64, 0u32);
    let n = symbols.len();
    for i in 0..n + half {
        if i < n {
            real += f64::from(symbols[i].re).powi(2);
            imaginary += f64::from(symbols[i].im).powi(2);
            count += 1;
        }
        if i > 2 * half {
            let old = symbols[i - 2 * half - 1];
            real -= f64::from(old.re).powi(2);
            imaginary -= f64::from(old.im).powi(2);
            count -= 1;
        }
        if i >= half && count > 0 {
            let re = (real / f64::from(count)) as f32;
            let im = (imaginary / f64::from(count)) as f32;
            let signal = ((re - im) / (1.0 - crosstalk)).max(0.0);
            // Clean signals: rounding and interference bound the ratio at 40 dB.
            let noise = (2.0 * (im - crosstalk * signal)).max(1e-4 * re).max(1e-30);
            out.push(Level { signal, noise });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(count: usize) -> Vec<Complex32> {
        let mut state = 99u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / 8_388_608.0 - 1.0
        };
        (0..count).map(|_| Complex32::new(next(), next())).collect()
    }

    #[test]
    fn the_sliding_window_agrees_with_the_sum_written_out() {
        let x = noise(700);
        for length in [1, 33, 97, 385] {
            let mut smoothed = vec![Complex64::default(); x.len()];
            SlidingHann::new(length).run(x.len(), |i| x[i], |i, z| smoothed[i] = z);
            for (k, s) in smoothed.iter().enumerate() {
                let mut sum = Complex64::default();
                for i in 0..length {
                    let at = k as i64 + i as i64 - (length / 2) as i64;
                    if (0..x.len() as i64).contains(&at) {
                        let z = x[at as usize];
                        let h = 0.5 - 0.5 * (TAU * (i as f64 + 1.0) / (length as f64 + 1.0)).cos();
                        sum += Complex64::new(f64::from(z.re), f64::from(z.im)) * h;
                    }
                }
                assert!((sum - s).norm() < 1e-9, "{length} {k}: {sum} {s}");
            }
        }
    }

    #[test]
    fn frequency_and_phase_are_removed() {
        let data = noise(2000);
        let mut symbols: Vec<Complex32> = data
            .iter()
            .enumerate()
            .map(|(k, d)| {
                let turn = TAU * (0.004 * k as f64 + 1e-6 * (k * k) as f64) + 0.7;
                d.re.signum() * Complex32::cis(turn as f32)
            })
            .collect();
        let (track, seen) = FrequencyTracker::new(256, 14.0).track(&symbols);
        assert!(seen > 20);
        remove_frequency(&mut symbols, &track);
        remove_phase(&mut symbols, 96);
        refine_phase(&mut symbols, 64);
        let sign = symbols[1000].re.signum() * data[1000].re.signum();
        for (x, d) in symbols.iter().zip(&data).skip(10).take(1980) {
            assert!(x.re * d.re.signum() * sign > 0.98, "{x} {d}");
        }
    }

    #[test]
    fn levels_are_unbiased_at_low_ratios() {
        let n = noise(4000);
        // The noise is uniform in ±1: N0 = 2/3.
        let symbols: Vec<Complex32> =
            n.iter().enumerate().map(|(i, z)| z + if i % 3 == 0 { 0.5 } else { -0.5 }).collect();
        let mut out = Vec::new();
        levels(&symbols, 0.0, &mut out);
        assert_eq!(out.len(), symbols.len());
        let mean = |f: fn(&Level) -> f32| out.iter().map(f).sum::<f32>() / out.len() as f32;
        assert!((mean(|l| l.signal) - 0.25).abs() < 0.03);
        assert!((mean(|l| l.noise) - 2.0 / 3.0).abs() < 0.05);
    }

    #[test]
    fn empty_and_silent_slices_are_survived() {
        for count in [0, 1, 5, 300] {
            let mut x = vec![Complex32::default(); count];
            let (track, seen) = FrequencyTracker::new(64, 14.0).track(&x);
            assert_eq!(seen, 0);
            remove_frequency(&mut x, &track);
            remove_phase(&mut x, 96);
            refine_phase(&mut x, 64);
            let mut out = Vec::new();
            levels(&x, 0.3, &mut out);
            assert_eq!(out.len(), count);
        }
    }
}
