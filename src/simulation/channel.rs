//! What happens between a transmitter and the samples of a receiver.
//!
//! ```text
//! y = Q( D + M( level · ( x · g(t) · h(t) · e^(j φ(t)) + n ) ) )
//! ```
//!
//! * `x`: the transmitted signal, unit power while transmitting.
//! * `g(t)`: gain, 0 dB where the stated Es/N0 holds; `h(t)`: flat fading of unit mean power.
//! * `φ(t) = φ₀ + 2π ∫ f dt` with `f(t) = offset + rate · t + doppler(t)`, continuous.
//! * `n`: complex white Gaussian noise. The energy of a symbol in samples is
//!   `Es = P · sps` with `P = 1` and `sps` samples per symbol, and the variance of a complex sample
//!   is `N0`, so that `E|n|² = sps / 10^(EsN0/10)`: over the whole sampled band, burst or no burst.
//! * `level`: brings signal and noise together to a stated level against full scale.
//! * `M`: gain and phase imbalance of the I and Q arms, `I' = a·I`,
//!   `Q' = (Q cos ε + I sin ε) / a` with `a = 10^(imbalance/40)`.
//! * `D`: a constant; `Q`: rounding and clipping to a number of bits.
//!
//! Curves are evaluated every [`SEGMENT`] samples (fading, every 16), counted from the first sample,
//! and taken as linear in between; the phase is the exact integral of that. The output depends on the index of
//! a sample alone, never on how the samples were cut into calls.

use std::f64::consts::TAU;
use std::fmt;
use std::sync::Arc;

use num_complex::{Complex32, Complex64};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

/// Samples between two evaluations of the curves.
pub const SEGMENT: usize = 256;

/// Streams of the generator, so that one use of chance does not change another.
const NOISE_STREAM: u64 = 0;
const FADING_STREAM: u64 = 1;
/// That of the gaps between bursts.
pub(super) const GAP_STREAM: u64 = 2;

/// Samples between two evaluations of the fading, which may be faster than any curve.
const FADING_STEP: usize = 16;

/// Paths that make up the scattered part of a fading signal.
const FADING_PATHS: usize = 16;

/// A quantity over time, in seconds since the first sample.
#[derive(Clone)]
pub enum Curve {
    /// Always the same.
    Constant(f64),
    /// Linear between points (seconds, value) in order of time, constant before and after them.
    /// [`Curve::table`] makes it.
    Table(Vec<(f64, f64)>),
    /// Any function of the time in seconds.
    Function(Arc<dyn Fn(f64) -> f64 + Send + Sync>),
}

impl Curve {
    /// A curve through points (seconds, value) in any order; points that are not finite are left
    /// out.
    pub fn table(points: impl IntoIterator<Item = (f64, f64)>) -> Self {
        let mut points: Vec<(f64, f64)> =
            points.into_iter().filter(|(t, v)| t.is_finite() && v.is_finite()).collect();
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        Curve::Table(points)
    }

    /// The value at a time; 0 where the curve has none or is not finite.
    pub fn at(&self, time_s: f64) -> f64 {
        let value = match self {
            Curve::Constant(value) => *value,
            Curve::Table(points) => {
                let after = points.partition_point(|(t, _)| *t <= time_s);
                match (after.checked_sub(1).and_then(|i| points.get(i)), points.get(after)) {
                    (Some((t0, v0)), Some((t1, v1))) => v0 + (v1 - v0) * (time_s - t0) / (t1 - t0),
                    (Some((_, v)), None) | (None, Some((_, v))) => *v,
                    (None, None) => 0.0,
                }
            }
            Curve::Function(function) => function(time_s),
        };
        if value.is_finite() { value } else { 0.0 }
    }
}

impl fmt::Debug for Curve {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Curve::Constant(value) => write!(f, "Constant({value})"),
            Curve::Table(points) => write!(f, "Table({} points)", points.len()),
            Curve::Function(_) => write!(f, "Function"),
        }
    }
}

/// Flat fading after Jakes: a steady path and many scattered ones.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fading {
    /// Largest Doppler shift of a scattered path, Hz: up to 1/200 of the sample rate.
    pub rate_hz: f64,
    /// Power of the steady path against all scattered ones (Rician K); negative infinity for
    /// Rayleigh fading.
    pub k_factor_db: f64,
}

/// A channel and a receiver's front end, as settings. [`Channel::default`] leaves a signal as it
/// is, but for its level.
#[derive(Debug, Clone)]
pub struct Channel {
    /// Es/N0 per channel symbol at 0 dB gain; infinity for no noise.
    pub esn0_db: f64,
    /// Carrier frequency at the first sample, against where the receiver expects it.
    pub frequency_offset_hz: f64,
    /// Its drift.
    pub frequency_rate_hz_per_s: f64,
    /// Doppler shift, added to them.
    pub doppler_hz: Curve,
    /// Gain of the signal, not of the noise.
    pub gain_db: Curve,
    /// Deviation of the transmitter's symbol clock, positive = fast (applied by the modulator).
    pub clock_ppm: f64,
    /// Position of the first symbol after a sample, 0 to 1 (applied by the modulator).
    pub timing_samples: f64,
    /// Carrier phase at the first sample.
    pub phase_rad: f64,
    /// Flat fading.
    pub fading: Option<Fading>,
    /// Root mean square of signal and noise together (at 0 dB gain, while transmitting) against
    /// full scale 1.
    pub level_dbfs: f64,
    /// Gain of the I arm over that of the Q arm.
    pub iq_gain_imbalance_db: f64,
    /// Angle by which the arms are off quadrature.
    pub iq_phase_imbalance_deg: f64,
    /// Constant added, full scale 1.
    pub dc: Complex32,
    /// Bits of the converter, 2 to 24: rounds to 2^(1-bits) and clips at full scale.
    pub quantisation_bits: Option<u8>,
    /// Seed of noise and fading.
    pub seed: u64,
}

impl Default for Channel {
    fn default() -> Self {
        Self {
            esn0_db: f64::INFINITY,
            frequency_offset_hz: 0.0,
            frequency_rate_hz_per_s: 0.0,
            doppler_hz: Curve::Constant(0.0),
            gain_db: Curve::Constant(0.0),
            clock_ppm: 0.0,
            timing_samples: 0.0,
            phase_rad: 0.0,
            fading: None,
            level_dbfs: -12.0,
            iq_gain_imbalance_db: 0.0,
            iq_phase_imbalance_deg: 0.0,
            dc: Complex32::ZERO,
            quantisation_bits: None,
            seed: 0,
        }
    }
}

impl Channel {
    /// Variance of a complex sample of noise for a signal of unit power:
    /// `sps / 10^(EsN0/10)`.
    pub fn noise_variance(&self, samples_per_symbol: f64) -> f64 {
        if self.esn0_db == f64::INFINITY {
            return 0.0;
        }
        let variance = samples_per_symbol / 10f64.powf(self.esn0_db / 10.0);
        if variance.is_finite() { variance } else { 0.0 }
    }

    /// Carrier frequency at a time, against where the receiver expects it.
    pub fn frequency_hz(&self, time_s: f64) -> f64 {
        self.frequency_offset_hz
            + self.frequency_rate_hz_per_s * time_s
            + self.doppler_hz.at(time_s)
    }
}

/// A fading signal: `h(t) = √(K/(K+1)) + √(1/(K+1)) · Σ e^(j(2π f_i t + θ_i)) / √N`.
struct FadingProcess {
    steady: f64,
    /// Frequency (Hz), phase (rad) of each scattered path.
    paths: [(f64, f64); FADING_PATHS],
    amplitude: f64,
}

impl FadingProcess {
    fn new(fading: &Fading, seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(FADING_STREAM);
        // 10·log10(K): 200 dB and more is a steady path alone.
        let k = 10f64.powf(fading.k_factor_db.clamp(-200.0, 200.0) / 10.0);
        Self {
            steady: (k / (k + 1.0)).sqrt(),
            // Angles of arrival, one in each of N equal sectors: f_i = f_max cos α_i.
            paths: std::array::from_fn(|i| {
                let arrival = TAU * (i as f64 + rng.random::<f64>()) / FADING_PATHS as f64;
                (fading.rate_hz * arrival.cos(), TAU * rng.random::<f64>())
            }),
            amplitude: (1.0 / (k + 1.0) / FADING_PATHS as f64).sqrt(),
        }
    }

    fn at(&self, time_s: f64) -> Complex64 {
        let scattered: Complex64 = self
            .paths
            .iter()
            .map(|(frequency, phase)| Complex64::cis(TAU * frequency * time_s + phase))
            .sum();
        self.steady + scattered * self.amplitude
    }
}

/// A channel at work on a stream of samples.
pub struct Propagation {
    channel: Channel,
    sample_rate_hz: f64,
    fading: Option<FadingProcess>,
    noise: ChaCha8Rng,
    /// Standard deviation of the noise in I and in Q, before the level.
    sigma: f32,
    scale: f32,
    /// I' = i_i·I; Q' = q_q·Q + q_i·I.
    i_i: f32,
    q_q: f32,
    q_i: f32,
    impaired: bool,
    /// Half the number of steps of the converter.
    half_steps: Option<f32>,
    /// Index of the next sample.
    position: u64,
    /// Phase at the beginning of the next segment, in cycles.
    phase_cycles: f64,
    /// Gain and rotation of the samples of the current segment.
    rotors: Box<[Complex32; SEGMENT]>,
}

impl Propagation {
    /// The channel for a signal of unit power at a sample rate, with so many samples per symbol.
    pub fn new(channel: Channel, sample_rate_hz: f64, samples_per_symbol: f64) -> Self {
        let variance = channel.noise_variance(samples_per_symbol);
        let level = 10f64.powf(channel.level_dbfs / 20.0) / (1.0 + variance).sqrt();
        let a = 10f64.powf(channel.iq_gain_imbalance_db / 40.0);
        let (sin, cos) = channel.iq_phase_imbalance_deg.to_radians().sin_cos();
        let mut noise = ChaCha8Rng::seed_from_u64(channel.seed);
        noise.set_stream(NOISE_STREAM);
        Self {
            fading: channel.fading.as_ref().map(|f| FadingProcess::new(f, channel.seed)),
            noise,
            sigma: (variance / 2.0).sqrt() as f32,
            scale: level as f32,
            i_i: a as f32,
            q_q: (cos / a) as f32,
            q_i: (sin / a) as f32,
            impaired: channel.iq_gain_imbalance_db != 0.0
                || channel.iq_phase_imbalance_deg != 0.0
                || channel.dc != Complex32::ZERO,
            half_steps: channel
                .quantisation_bits
                .map(|bits| (1u32 << (bits.clamp(2, 24) - 1)) as f32),
            position: 0,
            phase_cycles: channel.phase_rad / TAU,
            rotors: Box::new([Complex32::ZERO; SEGMENT]),
            sample_rate_hz,
            channel,
        }
    }

    /// Factor of a signal of unit power in the output at 0 dB gain.
    pub fn signal_amplitude(&self) -> f32 {
        self.scale
    }

    /// Passes the next samples of the signal through the channel, in place. Zeros are pauses: they
    /// become noise.
    pub fn apply(&mut self, samples: &mut [Complex32]) {
        for sample in samples {
            let in_segment = (self.position % SEGMENT as u64) as usize;
            if in_segment == 0 {
                self.begin_segment();
            }
            self.position += 1;
            let mut y = *sample * self.rotors[in_segment];
            if self.sigma > 0.0 {
                let re: f32 = self.noise.sample(StandardNormal);
                let im: f32 = self.noise.sample(StandardNormal);
                y += Complex32::new(re, im) * self.sigma;
            }
            y *= self.scale;
            if self.impaired {
                y = Complex32::new(self.i_i * y.re, self.q_q * y.im + self.q_i * y.re)
                    + self.channel.dc;
            }
            if let Some(half) = self.half_steps {
                let quantise = |x: f32| (x * half).round().clamp(-half, half - 1.0) / half;
                y = Complex32::new(quantise(y.re), quantise(y.im));
            }
            *sample = y;
        }
    }

    /// Gain and rotation of the next [`SEGMENT`] samples:
    /// `φ(k) = φ + f₀ k/fs + (f₁ - f₀) k² / (2 N fs)` cycles, and a linear complex gain.
    fn begin_segment(&mut self) {
        let start_s = self.position as f64 / self.sample_rate_hz;
        let end_s = (self.position + SEGMENT as u64) as f64 / self.sample_rate_hz;
        let f0 = self.channel.frequency_hz(start_s) / self.sample_rate_hz;
        let f1 = self.channel.frequency_hz(end_s) / self.sample_rate_hz;
        let n = SEGMENT as f64;
        let bend = (f1 - f0) / (2.0 * n);
        let amplitude = |time_s: f64| 10f64.powf(self.channel.gain_db.at(time_s) / 20.0);
        let (a0, a1) = (amplitude(start_s), amplitude(end_s));
        let gain = |k: usize| {
            let time_s = (self.position + k as u64) as f64 / self.sample_rate_hz;
            let fading = self.fading.as_ref().map_or(Complex64::ONE, |f| f.at(time_s));
            fading * (a0 + (a1 - a0) * k as f64 / n)
        };
        let mut rotor = Complex64::cis(TAU * self.phase_cycles);
        let mut step = Complex64::cis(TAU * (f0 + bend));
        let turn = Complex64::cis(TAU * 2.0 * bend);
        let mut g = gain(0);
        for (i, part) in self.rotors.chunks_mut(FADING_STEP).enumerate() {
            let next = gain((i + 1) * FADING_STEP);
            let slope = (next - g) / FADING_STEP as f64;
            for (k, out) in part.iter_mut().enumerate() {
                let value = rotor * (g + slope * k as f64);
                *out = Complex32::new(value.re as f32, value.im as f32);
                rotor *= step;
                step *= turn;
            }
            g = next;
        }
        // Whole cycles do not matter; without them the phase keeps its precision for ever.
        self.phase_cycles = (self.phase_cycles + (f0 + f1) / 2.0 * n).fract();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use super::*;

    fn run(channel: Channel, rate: f64, sps: f64, length: usize) -> Vec<Complex32> {
        let mut samples = vec![Complex32::ONE; length];
        Propagation::new(channel, rate, sps).apply(&mut samples);
        samples
    }

    fn power(samples: &[Complex32]) -> f64 {
        samples.iter().map(|s| f64::from(s.norm_sqr())).sum::<f64>() / samples.len() as f64
    }

    #[test]
    fn noise_has_the_stated_power() {
        for (esn0_db, sps) in [(0.0, 5.0), (10.0, 5.0), (7.5, 4.37), (-2.0, 250.0)] {
            let channel = Channel { esn0_db, level_dbfs: -20.0, seed: 3, ..Channel::default() };
            let mut noise = vec![Complex32::ZERO; 400_000];
            let mut propagation = Propagation::new(channel, 48_000.0, sps);
            let signal = f64::from(propagation.signal_amplitude()).powi(2);
            propagation.apply(&mut noise);
            // Es/N0 = P·sps / σ².
            let measured = signal * sps / power(&noise);
            let wanted = 10f64.powf(esn0_db / 10.0);
            assert!((measured / wanted - 1.0).abs() < 0.01, "{esn0_db} dB: {measured}");
            // Both together have the stated level.
            assert!(((signal + power(&noise)) / 0.01 - 1.0).abs() < 0.01);
            // White, and I independent of Q.
            let lag: Complex32 = noise.windows(2).map(|w| w[1] * w[0].conj()).sum();
            let square: Complex32 = noise.iter().map(|s| s * s).sum();
            let energy = power(&noise) * noise.len() as f64;
            assert!(f64::from(lag.norm()) / energy < 0.01);
            assert!(f64::from(square.norm()) / energy < 0.01);
        }
    }

    #[test]
    fn frequency_and_rate_are_exact() {
        let rate = 48_000.0;
        let channel = Channel {
            frequency_offset_hz: 1234.5,
            frequency_rate_hz_per_s: -180.0,
            phase_rad: 0.7,
            level_dbfs: 0.0,
            ..Channel::default()
        };
        let samples = run(channel, rate, 5.0, 200_000);
        for (n, sample) in samples.iter().enumerate() {
            let t = n as f64 / rate;
            let wanted = Complex64::cis(0.7 + TAU * (1234.5 * t - 90.0 * t * t));
            let error = Complex64::new(f64::from(sample.re), f64::from(sample.im)) - wanted;
            assert!(error.norm() < 1e-5, "sample {n}: {error}");
        }
    }

    #[test]
    fn a_doppler_curve_is_followed_without_steps() {
        let rate = 48_000.0;
        // f = 9000 cos(t/4) Hz, whose integral is 36000 sin(t/4).
        let doppler_hz = Curve::Function(Arc::new(|t: f64| 9000.0 * (t / 4.0).cos()));
        let channel = Channel { doppler_hz, level_dbfs: 0.0, ..Channel::default() };
        let samples = run(channel, rate, 5.0, 150_000);
        for (n, sample) in samples.iter().enumerate() {
            let wanted = Complex64::cis(TAU * 36_000.0 * (n as f64 / rate / 4.0).sin());
            let error = Complex64::new(f64::from(sample.re), f64::from(sample.im)) - wanted;
            // A curve taken as linear over T is off by f''·T²/12, here 0.0013 Hz.
            assert!(error.norm() < 0.03, "sample {n}: {error}");
        }
    }

    #[test]
    fn curves_are_total() {
        let table = Curve::table([(10.0, 5.0), (0.0, 1.0), (f64::NAN, 7.0), (20.0, f64::INFINITY)]);
        assert_eq!([-1.0, 0.0, 5.0, 10.0, 99.0].map(|t| table.at(t)), [1.0, 1.0, 3.0, 5.0, 5.0]);
        assert_eq!(Curve::table([]).at(1.0), 0.0);
        assert_eq!(Curve::table([(1.0, 2.0), (1.0, 3.0)]).at(1.0), 3.0);
        assert_eq!(Curve::Function(Arc::new(|_| f64::NAN)).at(1.0), 0.0);
        assert!(table.at(f64::NAN).is_finite());
    }

    #[test]
    fn the_same_seed_gives_the_same_samples_in_any_pieces() {
        let channel = Channel {
            esn0_db: 8.0,
            frequency_offset_hz: 777.0,
            doppler_hz: Curve::table([(0.0, 0.0), (0.1, 500.0)]),
            gain_db: Curve::table([(0.0, 0.0), (0.1, -6.0)]),
            fading: Some(Fading { rate_hz: 20.0, k_factor_db: 6.0 }),
            iq_gain_imbalance_db: 0.5,
            dc: Complex32::new(0.01, -0.02),
            quantisation_bits: Some(8),
            seed: 42,
            ..Channel::default()
        };
        let whole = run(channel.clone(), 48_000.0, 5.0, 5000);
        for size in [1, 7, 255, 256, 257, 1000] {
            let mut pieces = vec![Complex32::ONE; 5000];
            let mut propagation = Propagation::new(channel.clone(), 48_000.0, 5.0);
            for piece in pieces.chunks_mut(size) {
                propagation.apply(piece);
            }
            assert_eq!(pieces, whole, "pieces of {size}");
        }
        let other = run(Channel { seed: 43, ..channel }, 48_000.0, 5.0, 5000);
        assert_ne!(other, whole);
        // FNV-1a of the 8-bit samples, so that a seed means the same for ever.
        let hash = whole
            .iter()
            .flat_map(|s| [s.re, s.im])
            .map(|x| (x * 128.0) as i8 as u8)
            .fold(0xcbf2_9ce4_8422_2325u64, |h, b| {
                (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3)
            });
        assert_eq!(hash, 0x65a2_3e7d_08fc_5082, "{hash:#x}");
    }

    #[test]
    fn fading_has_unit_power_and_the_stated_steady_part() {
        for k_factor_db in [f64::NEG_INFINITY, 0.0, 10.0] {
            let fading = Some(Fading { rate_hz: 200.0, k_factor_db });
            let (mut mean, mut total) = (Complex32::ZERO, 0.0);
            for seed in 0..20 {
                let channel = Channel { fading, level_dbfs: 0.0, seed, ..Channel::default() };
                let samples = run(channel, 48_000.0, 5.0, 48_000);
                total += power(&samples) / 20.0;
                mean += samples.iter().sum::<Complex32>() / (48_000.0 * 20.0);
            }
            let k = 10f64.powf(k_factor_db / 10.0);
            assert!((total - 1.0).abs() < 0.1, "K {k_factor_db} dB: power {total}");
            assert!((f64::from(mean.norm()) - (k / (k + 1.0)).sqrt()).abs() < 0.1, "{mean}");
        }
    }

    #[test]
    fn the_front_end_is_as_its_formulas() {
        let channel = Channel {
            frequency_offset_hz: 6000.0,
            level_dbfs: 0.0,
            iq_gain_imbalance_db: 1.0,
            iq_phase_imbalance_deg: 3.0,
            dc: Complex32::new(0.1, 0.05),
            ..Channel::default()
        };
        // Eight samples a cycle: over whole cycles the mean is the constant.
        let samples = run(channel, 48_000.0, 5.0, 4800);
        let mean = samples.iter().sum::<Complex32>() / 4800.0;
        assert!((mean - Complex32::new(0.1, 0.05)).norm() < 1e-4);
        // Image: (a - (cos ε - j sin ε)/a… )/2 at the negative frequency; against the signal
        // |image/signal|² ≈ (g² + ε²)/4, g = ln(10)/20·dB.
        let bin = |sign: f64| {
            samples
                .iter()
                .enumerate()
                .map(|(n, s)| {
                    Complex64::new(f64::from(s.re), f64::from(s.im))
                        * Complex64::cis(sign * TAU * n as f64 / 8.0)
                })
                .sum::<Complex64>()
                .norm_sqr()
        };
        let ratio = bin(1.0) / bin(-1.0);
        let wanted = ((0.115_129f64).powi(2) + 3f64.to_radians().powi(2)) / 4.0;
        assert!((ratio / wanted - 1.0).abs() < 0.02, "{ratio} {wanted}");

        let quantised = run(
            Channel {
                quantisation_bits: Some(8),
                level_dbfs: 10.0,
                frequency_offset_hz: 777.0,
                ..Channel::default()
            },
            48_000.0,
            5.0,
            1000,
        );
        assert!(
            quantised
                .iter()
                .flat_map(|s| [s.re, s.im])
                .all(|x| { (x * 128.0).fract() == 0.0 && (-1.0..=127.0 / 128.0).contains(&x) })
        );
        assert!(quantised.iter().any(|s| s.re == 127.0 / 128.0));
        assert!(quantised.iter().any(|s| s.re == -1.0));
    }

    #[test]
    fn absurd_settings_do_not_panic() {
        for x in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -1e300] {
            let channel = Channel {
                esn0_db: x,
                frequency_offset_hz: x,
                frequency_rate_hz_per_s: x,
                gain_db: Curve::Constant(x),
                phase_rad: x,
                fading: Some(Fading { rate_hz: x, k_factor_db: x }),
                level_dbfs: x,
                iq_gain_imbalance_db: x,
                iq_phase_imbalance_deg: x,
                quantisation_bits: Some(255),
                ..Channel::default()
            };
            run(channel.clone(), 48_000.0, 5.0, 600);
            run(channel, x, x, 600);
        }
    }
}
