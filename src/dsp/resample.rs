//! Polyphase resampler by a rational or real ratio, up or down.
//!
//! Output `n` stands for input instant `p = n·ratio` exactly:
//!
//! ```text
//! y[n] = Σ g(p - j)·x[j],   |p - j| < K/2,   g(t) = 2fc·sinc(2fc·t)·kaiser(2t/K)
//! ```
//!
//! With a rational ratio M/L the instants fall on L phases, whose taps are exact. With a real one,
//! the outputs of the two nearest of 256 phases are interpolated linearly, which errs by less than
//! (π/256)²/8, -94 dB. Instants are counted in integers or in fixed point that holds every f64
//! ratio above 2⁻¹² exactly: they never drift.

use super::decimate::{TAP_LANES, dot};
use super::filter::sinc;
use super::planar::Planar;
use super::window::{bessel_i0, kaiser_beta, kaiser_width_samples};

/// Phases of a real ratio.
const REAL_PHASES: usize = 256;
/// Most phases of a rational ratio.
pub const MAX_INTERPOLATION: usize = 4096;
/// Most taps a phase.
const MAX_WIDTH: usize = 4096;
/// The widest pass-band, as a part of the lower of the two sample rates.
pub const WIDEST_PASS: f64 = 0.46;
/// Attenuation of aliases and images.
pub const ATTENUATION_DB: f64 = 76.0;
/// Samples already used that may stay in the buffer before the rest is moved up.
const SLACK_SAMPLES: usize = 4096;

/// Where the next output lies after the sample under the middle taps.
#[derive(Debug, Clone, Copy)]
enum Instant {
    /// `phase/interpolation` of a sample, and `decimation/interpolation` from output to output.
    Rational { phase: usize, interpolation: usize, decimation: usize },
    /// In 2⁻⁶⁴ samples, less than 2⁶⁴, and from output to output.
    Real { fraction: u64, step: u128 },
}

/// A resampler.
#[derive(Debug, Clone)]
pub struct Resampler {
    /// `bank[phase·width ..][.. width]`: the taps of a phase.
    bank: Vec<f32>,
    /// Taps a phase, a multiple of [`TAP_LANES`].
    width: usize,
    /// K/2: samples needed after that before an output.
    lookahead: usize,
    instant: Instant,
    buffer: Planar,
    /// Index in `buffer` of the first sample under the taps for the next output; may lie behind
    /// its end.
    start: usize,
}

impl Resampler {
    /// `interpolation` output samples for `decimation` input samples; both at least 1, and
    /// `interpolation` at most [`MAX_INTERPOLATION`] (0 and above are clamped).
    ///
    /// `pass`: the output is flat up to this frequency, in cycles per input sample, and free of
    /// aliases and images that would fall below it; at most [`WIDEST_PASS`] of the lower rate.
    /// `gain`: amplitude out for amplitude in.
    pub fn rational(interpolation: usize, decimation: usize, pass: f64, gain: f64) -> Self {
        let interpolation = interpolation.clamp(1, MAX_INTERPOLATION);
        let decimation = decimation.max(1);
        let instant = Instant::Rational { phase: 0, interpolation, decimation };
        let ratio = decimation as f64 / interpolation as f64;
        Self::build(instant, interpolation, interpolation, ratio, pass, gain)
    }

    /// `ratio` input samples for an output sample, 2⁻¹² to 2¹² (others are clamped, NaN is 1);
    /// `pass` and `gain` as in [`Resampler::rational`].
    pub fn real(ratio: f64, pass: f64, gain: f64) -> Self {
        let ratio = clean_ratio(ratio);
        // 2⁶⁴·ratio is a whole number for every f64 above 2⁻¹².
        let step = (ratio * 18_446_744_073_709_551_616.0) as u128;
        let instant = Instant::Real { fraction: 0, step };
        Self::build(instant, REAL_PHASES, REAL_PHASES + 1, ratio, pass, gain)
    }

    fn build(
        instant: Instant,
        per_sample: usize,
        phases: usize,
        ratio: f64,
        pass: f64,
        gain: f64,
    ) -> Self {
        // In cycles per input sample.
        let lower_rate = ratio.recip().min(1.0);
        let widest = WIDEST_PASS * lower_rate;
        let pass = if pass > 0.0 { pass.min(widest) } else { widest };
        let transition = lower_rate - 2.0 * pass;
        let lookahead = (0.5 * kaiser_width_samples(transition, ATTENUATION_DB)).ceil();
        let lookahead = (lookahead.max(1.0) as usize).min(MAX_WIDTH / 2);
        let width = (2 * lookahead).next_multiple_of(TAP_LANES);
        let beta = kaiser_beta(ATTENUATION_DB);
        let mut bank = vec![0.0_f32; phases * width];
        let mut taps = vec![0.0_f64; width];
        for (phase, slot) in bank.chunks_exact_mut(width).enumerate() {
            let fraction = phase as f64 / per_sample as f64;
            for (k, tap) in taps.iter_mut().enumerate() {
                // Tap k multiplies the sample this long before the instant.
                let t = fraction + (width - 1 - k) as f64 - lookahead as f64;
                let x = t / lookahead as f64;
                // Open at both ends, so that the taps stay symmetric.
                *tap = if x.abs() < 1.0 {
                    sinc(lower_rate * t) * bessel_i0(beta * (1.0 - x * x).sqrt())
                } else {
                    0.0
                };
            }
            let sum: f64 = taps.iter().sum();
            let scale = if sum.abs() > 1e-9 { gain / sum } else { 0.0 };
            for (slot, tap) in slot.iter_mut().zip(&taps) {
                *slot = (tap * scale) as f32;
            }
        }
        let mut resampler =
            Self { bank, width, lookahead, instant, buffer: Planar::default(), start: 0 };
        resampler.reset();
        resampler
    }

    /// Input samples per output sample.
    pub fn ratio(&self) -> f64 {
        match self.instant {
            Instant::Rational { interpolation, decimation, .. } => {
                decimation as f64 / interpolation as f64
            }
            Instant::Real { step, .. } => step as f64 / 18_446_744_073_709_551_616.0,
        }
    }

    /// Taps a phase.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Input samples needed after that before the instant of an output.
    pub fn lookahead_samples(&self) -> usize {
        self.lookahead
    }

    /// Takes the next samples and appends all outputs that they complete.
    pub fn process(&mut self, samples: &Planar, out: &mut Planar) {
        self.buffer.append(samples);
        self.run(out);
        if self.start >= SLACK_SAMPLES {
            let used = self.start.min(self.buffer.len());
            self.buffer.drain_front(used);
            self.start -= used;
        }
    }

    /// The input has ended: appends the outputs whose instants are before its end, as if zeros
    /// followed, and is as new.
    pub fn finish(&mut self, out: &mut Planar) {
        let end = self.buffer.len() + self.lookahead;
        self.buffer.resize(end);
        self.run(out);
        self.reset();
    }

    fn run(&mut self, out: &mut Planar) {
        let Some(room) = self.buffer.len().checked_sub(self.width) else { return };
        match &mut self.instant {
            Instant::Rational { phase, interpolation, decimation } => {
                let mut state = [self.start, *phase];
                let steps = [*interpolation, *decimation];
                run_rational(&self.buffer, &self.bank, self.width, room, &mut state, steps, out);
                [self.start, *phase] = state;
            }
            Instant::Real { fraction, step } => {
                let mut state = (self.start, *fraction);
                run_real(&self.buffer, &self.bank, self.width, room, &mut state, *step, out);
                (self.start, *fraction) = state;
            }
        }
    }

    fn reset(&mut self) {
        self.buffer.clear();
        self.buffer.resize(self.width - 1 - self.lookahead);
        self.start = 0;
        match &mut self.instant {
            Instant::Rational { phase, .. } => *phase = 0,
            Instant::Real { fraction, .. } => *fraction = 0,
        }
    }
}

/// A ratio that can be had.
pub(super) fn clean_ratio(ratio: f64) -> f64 {
    if ratio.is_nan() { 1.0 } else { ratio.clamp(1.0 / 4096.0, 4096.0) }
}

#[inline(always)]
fn run_rational_body(
    buffer: &Planar,
    bank: &[f32],
    width: usize,
    room: usize,
    state: &mut [usize; 2],
    steps: [usize; 2],
    out: &mut Planar,
) {
    let [mut start, mut phase] = *state;
    let [interpolation, decimation] = steps;
    let (whole, part) = (decimation / interpolation, decimation % interpolation);
    while start <= room {
        let taps = &bank[phase * width..][..width];
        let (re, im) = dot(&buffer.re[start..], &buffer.im[start..], taps);
        out.re.push(re);
        out.im.push(im);
        start += whole;
        phase += part;
        if phase >= interpolation {
            phase -= interpolation;
            start += 1;
        }
    }
    *state = [start, phase];
}

#[inline(always)]
fn run_real_body(
    buffer: &Planar,
    bank: &[f32],
    width: usize,
    room: usize,
    state: &mut (usize, u64),
    step: u128,
    out: &mut Planar,
) {
    /// Bits of the fraction below the phase's number.
    const BELOW: u32 = u64::BITS - REAL_PHASES.trailing_zeros();
    let (mut start, mut fraction) = *state;
    while start <= room {
        let phase = (fraction >> BELOW) as usize;
        let between = (fraction << (u64::BITS - BELOW)) as f64 / 18_446_744_073_709_551_616.0;
        let between = between as f32;
        let taps = &bank[phase * width..][..2 * width];
        let (re, im) = (&buffer.re[start..], &buffer.im[start..]);
        let (low, high) = (dot(re, im, &taps[..width]), dot(re, im, &taps[width..]));
        out.re.push(low.0 + between * (high.0 - low.0));
        out.im.push(low.1 + between * (high.1 - low.1));
        let next = u128::from(fraction) + step;
        start += (next >> 64) as usize;
        fraction = next as u64;
    }
    *state = (start, fraction);
}

dispatch_avx2! {
    /// All outputs whose taps begin at or before `room`; `state` is the start of the taps and the
    /// phase, `steps` are interpolation and decimation.
    fn run_rational(
        buffer: &Planar, bank: &[f32], width: usize, room: usize,
        state: &mut [usize; 2], steps: [usize; 2], out: &mut Planar,
    ) = run_rational_body
}
dispatch_avx2! {
    /// All outputs whose taps begin at or before `room`; `state` is the start of the taps and the
    /// fraction of a sample.
    fn run_real(
        buffer: &Planar, bank: &[f32], width: usize, room: usize,
        state: &mut (usize, u64), step: u128, out: &mut Planar,
    ) = run_real_body
}

#[cfg(test)]
mod tests {
    use std::f64::consts::TAU;

    use num_complex::{Complex32, Complex64};
    use proptest::prelude::*;

    use super::*;
    use crate::dsp::window::kaiser;

    fn tone(cycles: f64, count: usize) -> Planar {
        let mut planar = Planar::default();
        let samples: Vec<Complex32> = (0..count)
            .map(|n| {
                let x = Complex64::from_polar(1.0, TAU * (cycles * n as f64).fract());
                Complex32::new(x.re as f32, x.im as f32)
            })
            .collect();
        planar.extend(&samples);
        planar
    }

    fn run(mut resampler: Resampler, input: &Planar) -> Planar {
        let mut out = Planar::default();
        resampler.process(input, &mut out);
        resampler.finish(&mut out);
        out
    }

    fn both(interpolation: usize, decimation: usize, pass: f64) -> [Resampler; 2] {
        [
            Resampler::rational(interpolation, decimation, pass, 1.0),
            Resampler::real(decimation as f64 / interpolation as f64, pass, 1.0),
        ]
    }

    const RATIOS: [(usize, usize); 8] =
        [(1, 1), (2, 1), (3, 1), (5, 4), (4, 5), (160, 147), (20, 1), (2, 39)];

    #[test]
    fn tones_keep_amplitude_and_phase() {
        for (up, down) in RATIOS {
            let (rate, pass) = (up as f64 / down as f64, 0.4 * (up as f64 / down as f64).min(1.0));
            for resampler in both(up, down, pass) {
                for part in [-1.0, -0.6, 0.0, 0.33, 0.999] {
                    let (ratio, f) = (resampler.ratio(), part * pass);
                    let edge = resampler.lookahead_samples() as f64 * rate + 1.0;
                    let out = run(resampler.clone(), &tone(f, 6_000));
                    assert!((out.len() as f64 - 6_000.0 / ratio).abs() < 1.0 + 1e-9);
                    for n in edge as usize..out.len() - edge as usize {
                        let x = Complex64::new(out.re[n].into(), out.im[n].into());
                        let expected = Complex64::from_polar(1.0, TAU * f * (n as f64 * ratio));
                        let error = (x - expected).norm();
                        assert!(error < 5e-4, "{up}/{down} {part} {n}: {error:e}");
                    }
                }
            }
        }
    }

    #[test]
    fn aliases_and_images_are_70_db_down() {
        // Downwards: a tone that would fold into the pass-band.
        for (up, down) in [(4, 5), (1, 3), (2, 39)] {
            let lower = up as f64 / down as f64;
            for resampler in both(up, down, 0.4 * lower) {
                for f in [0.601, 0.62, 0.7, 0.9, 1.0].map(|f| f * lower) {
                    // What is above half of the input's rate is not there.
                    let f = f.min(0.5);
                    let out = run(resampler.clone(), &tone(f, 8_000));
                    let edge = resampler.lookahead_samples();
                    let inside = edge..out.len().saturating_sub(edge);
                    let peak = inside.map(|n| out.re[n].hypot(out.im[n])).fold(0.0, f32::max);
                    assert!(peak < 3.2e-4, "{up}/{down} {f}: {peak:e}");
                }
            }
        }
    }

    #[test]
    fn nearest_phases_interpolate_to_the_definition() {
        let ratio = 0.618_033_988_7;
        let resampler = Resampler::real(ratio, 0.4, 1.0);
        let half = resampler.lookahead as f64;
        let beta = kaiser_beta(ATTENUATION_DB);
        let input = tone(0.37, 400);
        let out = run(resampler, &input);
        for n in 100..500 {
            let p = n as f64 * ratio;
            let (mut sum, mut weight) = (Complex64::default(), 0.0);
            for j in 0..400 {
                let t = p - j as f64;
                if t.abs() < half {
                    let g = sinc(t) * kaiser(t / half, beta);
                    sum += Complex64::new(input.re[j].into(), input.im[j].into()) * g;
                    weight += g;
                }
            }
            let error = sum / weight - Complex64::new(out.re[n].into(), out.im[n].into());
            assert!(error.norm() < 1e-4, "{n}: {error}");
        }
    }

    #[test]
    fn positions_do_not_drift() {
        // Ten thousand million outputs on, without computing them.
        let ratio = 0.789_012_345_678_9;
        let Instant::Real { step, .. } = Resampler::real(ratio, 0.4, 1.0).instant else {
            unreachable!()
        };
        let far = step * 10_000_000_000;
        let whole = (far >> 64) as f64;
        let fraction = (far as u64) as f64 / 18_446_744_073_709_551_616.0;
        // 1e10·ratio in two parts, exact enough.
        let expected = ratio * 1e10;
        assert!((whole - expected.floor()).abs() <= 1.0);
        assert!((whole + fraction - expected).abs() < 1e-5);
        assert_eq!(step as f64 / 2_f64.powi(64), ratio);
    }

    #[test]
    fn baseline_and_avx2_agree_to_the_bit() {
        let buffer = tone(0.123, 700);
        let (width, room) = (24, 700 - 24);
        let bank: Vec<f32> = (0..width * (REAL_PHASES + 1)).map(|k| (k as f32).sin()).collect();
        let (mut fast, mut plain) = (Planar::default(), Planar::default());
        run_rational(&buffer, &bank, width, room, &mut [0, 0], [7, 5], &mut fast);
        run_rational_body(&buffer, &bank, width, room, &mut [0, 0], [7, 5], &mut plain);
        assert_eq!(fast, plain);
        let step = (1_u128 << 64) / 10 * 13;
        run_real(&buffer, &bank, width, room, &mut (0, 0), step, &mut fast);
        run_real_body(&buffer, &bank, width, room, &mut (0, 0), step, &mut plain);
        assert_eq!(fast, plain);
    }

    #[test]
    fn nonsense_is_clamped() {
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -1.0, 1e-300, 1e300] {
            let input = tone(0.1, 50);
            run(Resampler::real(bad.clamp(0.1, 4096.0), bad, 1.0), &input);
            run(Resampler::real(1.0, bad, bad), &input);
            assert!(Resampler::real(bad, 0.1, 1.0).ratio() > 0.0);
        }
        assert_eq!(run(Resampler::rational(0, 0, 0.4, 1.0), &tone(0.1, 50)).len(), 50);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn any_chunking_gives_the_same(
            pieces in prop::collection::vec(1_usize..900, 1..6),
            up in 1_usize..12,
            down in 1_usize..12,
        ) {
            let input = tone(0.0123, 6_000);
            for resampler in both(up, down, 0.4) {
                let whole = run(resampler.clone(), &input);
                let (mut cut, mut resampler) = (Planar::default(), resampler);
                let (mut at, mut turn) = (0, 0);
                while at < input.len() {
                    let end = (at + pieces[turn % pieces.len()]).min(input.len());
                    let piece =
                        Planar { re: input.re[at..end].to_vec(), im: input.im[at..end].to_vec() };
                    resampler.process(&piece, &mut cut);
                    (at, turn) = (end, turn + 1);
                }
                resampler.finish(&mut cut);
                prop_assert_eq!(&cut, &whole);
            }
        }
    }
}
