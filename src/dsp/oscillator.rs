//! Phase-continuous complex oscillator with frequency and frequency rate.
//!
//! ```text
//! y[n] = exp(i·2π·(φ + f·n + ½·r·n²))        f in cycles/sample, r in cycles/sample²
//! ```
//!
//! The phase is kept in fixed point, as a fraction of 2⁻¹²⁸ of a turn that wraps by itself, so it
//! does not drift however long the oscillator runs. From it, every 1024 samples, eight phasors of
//! neighbouring samples are computed in f64; between these anchors they advance by
//!
//! ```text
//! z[n+8] = z[n]·w[n],    w[n+8] = w[n]·v,    v = exp(i·2π·64·r)
//! ```
//!
//! whose error over 128 steps is below 1e-11. What remains is the rounding of the output to f32:
//! phase within 1e-7 rad, spurs below -130 dBc.

use std::f64::consts::TAU;

use num_complex::Complex32;

use super::planar::Planar;

/// Phasors that advance side by side.
const LANES: usize = 8;
/// Samples between anchors.
const ANCHOR_SAMPLES: usize = 1024;
/// 2⁻⁶⁴.
const ULP_64: f64 = 5.421_010_862_427_522e-20;
/// 2¹²⁷.
const HALF_TURN: f64 = 170_141_183_460_469_231_731_687_303_715_884_105_728.0;

/// Eight phasors of consecutive samples, their steps, and the step of the steps.
#[derive(Debug, Clone, Copy)]
struct Lanes {
    z_re: [f64; LANES],
    z_im: [f64; LANES],
    w_re: [f64; LANES],
    w_im: [f64; LANES],
    v_re: f64,
    v_im: f64,
}

/// A complex oscillator of unit amplitude.
///
/// How its samples are drawn (one by one, in pieces, all at once) does not change them.
#[derive(Debug, Clone)]
pub struct Oscillator {
    sample_rate_hz: f64,
    /// Phase at the last steer or anchor, in 2⁻¹²⁸ turns.
    phase: u128,
    /// Frequency there, in 2⁻¹²⁸ turns per sample.
    frequency: u128,
    /// Half of the frequency rate, in 2⁻¹²⁸ turns per sample².
    half_rate: u128,
    /// Samples drawn since the last steer or anchor.
    drawn: usize,
    /// Phasors of samples `drawn - drawn % LANES ..`.
    lanes: Lanes,
}

/// `value / unit` turns in fixed point, whole turns dropped; exact to 2⁻¹⁰⁰ and better. 0 if it is
/// not finite.
fn turns(value: f64, unit: f64) -> u128 {
    let quotient = value / unit;
    if !quotient.is_finite() {
        return 0;
    }
    // The remainder of the division makes up for the 53 bits of the quotient.
    let rest = -quotient.mul_add(unit, -value) / unit;
    let rest = if rest.is_finite() { rest } else { 0.0 };
    let fixed = |x: f64| {
        let whole = x.round();
        // |x - whole| ≤ ½ is exact, and half of it in 2⁻¹²⁷ turns fits an i128.
        (((x - whole) * HALF_TURN) as i128 as u128).wrapping_mul(2)
    };
    fixed(quotient).wrapping_add(fixed(rest))
}

/// cos and sin of a fixed-point phase.
fn phasor(phase: u128) -> (f64, f64) {
    let turn = ((phase >> 64) as u64 as i64) as f64 * ULP_64;
    let (sin, cos) = (TAU * turn).sin_cos();
    (cos, sin)
}

impl Oscillator {
    /// An oscillator at `frequency_hz` (any sign), phase 0 at its first sample. A frequency or a
    /// rate that is not finite counts as 0 Hz.
    pub fn new(sample_rate_hz: f64, frequency_hz: f64) -> Self {
        let zero = [0.0; LANES];
        let lanes = Lanes { z_re: zero, z_im: zero, w_re: zero, w_im: zero, v_re: 1.0, v_im: 0.0 };
        let mut oscillator =
            Self { sample_rate_hz, phase: 0, frequency: 0, half_rate: 0, drawn: 0, lanes };
        oscillator.steer(frequency_hz, 0.0);
        oscillator
    }

    /// Sets the frequency of the next sample and its rate of change. The phase is continuous.
    pub fn steer(&mut self, frequency_hz: f64, rate_hz_per_s: f64) {
        self.phase = self.phase_after(self.drawn);
        self.frequency = turns(frequency_hz, self.sample_rate_hz);
        self.half_rate = turns(0.5 * rate_hz_per_s / self.sample_rate_hz, self.sample_rate_hz);
        self.anchor();
    }

    /// Frequency at the next sample, between plus and minus half the sample rate.
    pub fn frequency_hz(&self) -> f64 {
        let now = self.frequency_after(self.drawn);
        ((now >> 64) as u64 as i64) as f64 * ULP_64 * self.sample_rate_hz
    }

    /// Starts again at phase 0 with the frequency and rate of this moment.
    pub fn restart(&mut self) {
        self.frequency = self.frequency_after(self.drawn);
        self.phase = 0;
        self.anchor();
    }

    /// Phase `n` samples after the last steer or anchor.
    fn phase_after(&self, n: usize) -> u128 {
        let n = n as u128;
        self.phase
            .wrapping_add(self.frequency.wrapping_mul(n))
            .wrapping_add(self.half_rate.wrapping_mul(n * n))
    }

    /// Frequency `n` samples after the last steer or anchor.
    fn frequency_after(&self, n: usize) -> u128 {
        self.frequency.wrapping_add(self.half_rate.wrapping_mul(2 * n as u128))
    }

    /// Computes the lanes from the phase, which is that of the next sample.
    fn anchor(&mut self) {
        const STEP: u128 = LANES as u128;
        self.drawn = 0;
        for lane in 0..LANES {
            (self.lanes.z_re[lane], self.lanes.z_im[lane]) = phasor(self.phase_after(lane));
            // phase(n + 8) - phase(n) = 8·(f + 2hn) + 64·h
            let step = self
                .frequency_after(lane)
                .wrapping_mul(STEP)
                .wrapping_add(self.half_rate.wrapping_mul(STEP * STEP));
            (self.lanes.w_re[lane], self.lanes.w_im[lane]) = phasor(step);
        }
        (self.lanes.v_re, self.lanes.v_im) = phasor(self.half_rate.wrapping_mul(2 * STEP * STEP));
    }

    /// Anchors again if it is time.
    fn anchor_if_due(&mut self) {
        if self.drawn == ANCHOR_SAMPLES {
            let (phase, frequency) =
                (self.phase_after(self.drawn), self.frequency_after(self.drawn));
            (self.phase, self.frequency) = (phase, frequency);
            self.anchor();
        }
    }

    /// Draws the next samples into `re` and `im`, which have the same length.
    pub fn fill(&mut self, re: &mut [f32], im: &mut [f32]) {
        let length = re.len().min(im.len());
        let mut at = 0;
        while at < length {
            self.anchor_if_due();
            let lane = self.drawn % LANES;
            let groups = ((length - at) / LANES).min((ANCHOR_SAMPLES - self.drawn) / LANES);
            if lane == 0 && groups > 0 {
                let end = at + groups * LANES;
                draw_groups(&mut self.lanes, &mut re[at..end], &mut im[at..end]);
                at = end;
                self.drawn += groups * LANES;
            } else {
                re[at] = self.lanes.z_re[lane] as f32;
                im[at] = self.lanes.z_im[lane] as f32;
                at += 1;
                self.drawn += 1;
                if lane == LANES - 1 {
                    advance(&mut self.lanes);
                }
            }
        }
    }

    /// Multiplies the samples with the oscillator.
    pub fn mix(&mut self, samples: &mut [Complex32]) {
        let (mut re, mut im) = ([0.0; ANCHOR_SAMPLES], [0.0; ANCHOR_SAMPLES]);
        for piece in samples.chunks_mut(ANCHOR_SAMPLES) {
            let length = piece.len();
            self.fill(&mut re[..length], &mut im[..length]);
            multiply(piece, &re[..length], &im[..length]);
        }
    }

    /// Appends the products of `samples` with the oscillator to `out`.
    pub fn mix_into(&mut self, samples: &[Complex32], out: &mut Planar) {
        let mut start = out.len();
        out.resize(start + samples.len());
        for piece in samples.chunks(ANCHOR_SAMPLES) {
            let end = start + piece.len();
            let (re, im) = (&mut out.re[start..end], &mut out.im[start..end]);
            self.fill(re, im);
            multiply_planar(piece, re, im);
            start = end;
        }
    }
}

/// The lanes eight samples on.
#[inline(always)]
fn advance(lanes: &mut Lanes) {
    let (v_re, v_im) = (lanes.v_re, lanes.v_im);
    let mut j = 0;
    while j < LANES {
        let (z_re, z_im) = (lanes.z_re[j], lanes.z_im[j]);
        let (w_re, w_im) = (lanes.w_re[j], lanes.w_im[j]);
        lanes.z_re[j] = z_re * w_re - z_im * w_im;
        lanes.z_im[j] = z_re * w_im + z_im * w_re;
        lanes.w_re[j] = w_re * v_re - w_im * v_im;
        lanes.w_im[j] = w_re * v_im + w_im * v_re;
        j += 1;
    }
}

// The bodies below loop over indices: iterator adapters may fail to be inlined into functions with
// more target features than they have.

#[inline(always)]
fn draw_groups_body(lanes: &mut Lanes, re: &mut [f32], im: &mut [f32]) {
    let mut now = *lanes;
    let mut at = 0;
    while at + LANES <= re.len() && at + LANES <= im.len() {
        let (re, im) = (&mut re[at..at + LANES], &mut im[at..at + LANES]);
        let mut j = 0;
        while j < LANES {
            re[j] = now.z_re[j] as f32;
            im[j] = now.z_im[j] as f32;
            j += 1;
        }
        advance(&mut now);
        at += LANES;
    }
    *lanes = now;
}

#[inline(always)]
fn multiply_body(samples: &mut [Complex32], re: &[f32], im: &[f32]) {
    let length = samples.len();
    let (re, im) = (&re[..length], &im[..length]);
    let mut n = 0;
    while n < length {
        let sample = samples[n];
        samples[n].re = sample.re * re[n] - sample.im * im[n];
        samples[n].im = sample.re * im[n] + sample.im * re[n];
        n += 1;
    }
}

#[inline(always)]
fn multiply_planar_body(samples: &[Complex32], re: &mut [f32], im: &mut [f32]) {
    let length = samples.len();
    let (re, im) = (&mut re[..length], &mut im[..length]);
    let mut n = 0;
    while n < length {
        let (sample, phasor_re, phasor_im) = (samples[n], re[n], im[n]);
        re[n] = sample.re * phasor_re - sample.im * phasor_im;
        im[n] = sample.re * phasor_im + sample.im * phasor_re;
        n += 1;
    }
}

dispatch_avx2! {
    /// Draws whole groups of eight samples.
    fn draw_groups(lanes: &mut Lanes, re: &mut [f32], im: &mut [f32]) = draw_groups_body
}
dispatch_avx2! {
    /// `samples[n] *= re[n] + i·im[n]`.
    fn multiply(samples: &mut [Complex32], re: &[f32], im: &[f32]) = multiply_body
}
dispatch_avx2! {
    /// `re[n] + i·im[n] *= samples[n]`.
    fn multiply_planar(samples: &[Complex32], re: &mut [f32], im: &mut [f32]) = multiply_planar_body
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// exp(i·2π·(f·n + ½·r·n²)) for f = `f_mhz`/1000 Hz and r = `r_mhz`/1000 Hz/s, exact but for
    /// the last rounding.
    fn exact(n: i128, rate_hz: i128, f_mhz: i128, r_mhz: i128) -> (f64, f64) {
        let unit = 2_000 * rate_hz * rate_hz;
        let numerator = 2 * f_mhz * rate_hz * n + r_mhz * n * n;
        let turn = numerator.rem_euclid(unit) as f64 / unit as f64;
        let (sin, cos) = (TAU * turn).sin_cos();
        (cos, sin)
    }

    fn draw(oscillator: &mut Oscillator, count: usize) -> Planar {
        let mut out = Planar::default();
        out.resize(count);
        oscillator.fill(&mut out.re, &mut out.im);
        out
    }

    fn assert_exact(out: &Planar, first: i128, rate_hz: i128, f_mhz: i128, r_mhz: i128) {
        for n in 0..out.len() {
            let (re, im) = exact(first + n as i128, rate_hz, f_mhz, r_mhz);
            let error = (f64::from(out.re[n]) - re).hypot(f64::from(out.im[n]) - im);
            // Phase below 1e-7 rad, and spurs below -130 dBc.
            assert!(error < 1e-7, "{n}: {error:e}");
        }
    }

    #[test]
    fn agrees_with_the_definition() {
        for (rate_hz, f_mhz, r_mhz) in [
            (48_000, 1_234_567, 0),
            (48_000, -23_999_999, 0),
            (48_000, 9_600_000, 1_000_000),
            (9_600, -1, -5_000_000),
            (60_000_000, 12_345_678_901, -30_000),
            (1, 250, 10),
        ] {
            let mut oscillator = Oscillator::new(rate_hz as f64, 0.0);
            oscillator.steer(f_mhz as f64 / 1e3, r_mhz as f64 / 1e3);
            assert_exact(&draw(&mut oscillator, 5_000), 0, rate_hz, f_mhz, r_mhz);
        }
    }

    #[test]
    fn does_not_drift_over_a_thousand_million_samples() {
        for (f_mhz, r_mhz) in [(1_234_567, 0), (-7_654_321, 300), (23_999_999, 0)] {
            let mut oscillator = Oscillator::new(48_000.0, 0.0);
            oscillator.steer(f_mhz as f64 / 1e3, r_mhz as f64 / 1e3);
            let mut n = 0_usize;
            while n < 1_000_000_000 {
                // Draws 1024 samples without computing them.
                oscillator.drawn = ANCHOR_SAMPLES;
                oscillator.anchor_if_due();
                n += ANCHOR_SAMPLES;
            }
            assert_exact(&draw(&mut oscillator, 3_000), n as i128, 48_000, f_mhz, r_mhz);
        }
    }

    #[test]
    fn phase_is_continuous_over_a_steer() {
        let mut oscillator = Oscillator::new(1_000.0, 10.0);
        let before = draw(&mut oscillator, 333);
        oscillator.steer(30.0, 0.0);
        let after = draw(&mut oscillator, 2);
        let phase = |planar: &Planar, n: usize| planar.im[n].atan2(planar.re[n]);
        // From the last sample before to the first one after it is still the old frequency.
        let step = f64::from(phase(&after, 0) - phase(&before, 332)).rem_euclid(TAU);
        assert!((step - TAU * 0.01).abs() < 1e-5);
        let step = f64::from(phase(&after, 1) - phase(&after, 0)).rem_euclid(TAU);
        assert!((step - TAU * 0.03).abs() < 1e-5);
    }

    #[test]
    fn frequency_follows_its_rate() {
        let mut oscillator = Oscillator::new(1_000.0, -40.0);
        assert!((oscillator.frequency_hz() + 40.0).abs() < 1e-9);
        oscillator.steer(-40.0, 7.0);
        draw(&mut oscillator, 2_500);
        assert!((oscillator.frequency_hz() + 22.5).abs() < 1e-9);
        oscillator.restart();
        assert!((oscillator.frequency_hz() + 22.5).abs() < 1e-9);
        let first = draw(&mut oscillator, 1);
        assert_eq!((first.re[0], first.im[0]), (1.0, 0.0));
    }

    #[test]
    fn what_is_not_a_number_does_not_stay() {
        for bad in [f64::NAN, f64::INFINITY, f64::MAX, 0.0] {
            let mut oscillator = Oscillator::new(bad, bad);
            oscillator.steer(bad, bad);
            assert!(draw(&mut oscillator, 3_000).re.iter().all(|x| x.abs() <= 1.0 + 1e-6));
        }
        let mut oscillator = Oscillator::new(48_000.0, 1_000.0);
        let mut samples = vec![Complex32::new(f32::NAN, f32::INFINITY); 1_500];
        oscillator.mix(&mut samples);
        assert_exact(&draw(&mut oscillator, 100), 1_500, 48_000, 1_000_000, 0);
    }

    #[test]
    fn baseline_and_avx2_agree_to_the_bit() {
        let mut oscillator = Oscillator::new(48_000.0, 1_234.5);
        oscillator.steer(1_234.5, 77.0);
        let (mut fast, mut plain) = (Planar::default(), Planar::default());
        fast.resize(512);
        plain.resize(512);
        let (mut fast_lanes, mut plain_lanes) = (oscillator.lanes, oscillator.lanes);
        draw_groups(&mut fast_lanes, &mut fast.re, &mut fast.im);
        draw_groups_body(&mut plain_lanes, &mut plain.re, &mut plain.im);
        assert_eq!(fast, plain);
        assert_eq!(fast_lanes.z_re, plain_lanes.z_re);

        let samples: Vec<Complex32> = fast.re.iter().map(|&x| Complex32::new(x, 0.3 - x)).collect();
        let (mut fast_mixed, mut plain_mixed) = (samples.clone(), samples.clone());
        multiply(&mut fast_mixed, &fast.re, &fast.im);
        multiply_body(&mut plain_mixed, &fast.re, &fast.im);
        assert_eq!(fast_mixed, plain_mixed);
        multiply_planar(&samples, &mut fast.re, &mut fast.im);
        multiply_planar_body(&samples, &mut plain.re, &mut plain.im);
        assert_eq!(fast, plain);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn any_chunking_gives_the_same(
            pieces in prop::collection::vec(1_usize..1_500, 1..12),
            frequency_hz in -0.5_f64..0.5,
            rate in -1e-3_f64..1e-3,
        ) {
            let total: usize = pieces.iter().sum();
            let mut oscillator = Oscillator::new(1.0, 0.0);
            oscillator.steer(frequency_hz, rate);
            let whole = draw(&mut oscillator.clone(), total);
            let mut cut = Planar::default();
            for piece in pieces {
                cut.append(&draw(&mut oscillator, piece));
            }
            prop_assert_eq!(&cut, &whole);

            // Mixing gives these phasors times the samples.
            let mut mixed = vec![Complex32::new(1.0, 0.0); total];
            let mut oscillator = Oscillator::new(1.0, 0.0);
            oscillator.steer(frequency_hz, rate);
            let mut planar = Planar::default();
            oscillator.clone().mix_into(&mixed, &mut planar);
            oscillator.mix(&mut mixed);
            prop_assert_eq!(&planar, &whole);
            let mut other = Planar::default();
            other.extend(&mixed);
            prop_assert_eq!(&other, &whole);
        }
    }
}
