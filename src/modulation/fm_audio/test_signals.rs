//! Signals for the tests of this folder: random bits, GFSK through noise and an FM discriminator.

use num_complex::Complex32;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

/// Random numbers from a seed.
pub(in crate::modulation) fn seeded(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

/// Random bits.
pub(in crate::modulation) fn random_bits(count: usize, rng: &mut ChaCha8Rng) -> Vec<u8> {
    (0..count).map(|_| u8::from(rng.random::<bool>())).collect()
}

/// A GFSK transmission received by an FM receiver.
#[derive(Debug, Clone, Copy)]
pub(in crate::modulation) struct DiscriminatorSignal {
    pub samples_per_symbol: f64,
    pub index: f64,
    pub bt: f64,
    pub esn0_db: f64,
    /// Noise bandwidth (two-sided) of the intermediate frequency, in symbol rates.
    pub intermediate_bandwidth: f64,
    /// Carrier offset in symbol rates.
    pub offset: f64,
    /// Symbols of noise before and after.
    pub silence_symbols: usize,
}

impl Default for DiscriminatorSignal {
    fn default() -> Self {
        Self {
            samples_per_symbol: 5.0,
            index: 0.5,
            bt: 0.5,
            esn0_db: 15.0,
            intermediate_bandwidth: 1.5,
            offset: 0.0,
            silence_symbols: 300,
        }
    }
}

impl DiscriminatorSignal {
    /// Output of the discriminator in units of the symbol rate; the carrier is off during the
    /// silence. The middle of bit k lies at `(silence_symbols + k + 0.5) * samples_per_symbol`.
    pub(in crate::modulation) fn receive(&self, bits: &[u8], rng: &mut ChaCha8Rng) -> Vec<f32> {
        // Four times the rate, so that the discriminator's own bandwidth is no limit.
        const FINE: usize = 4;
        let fine = self.samples_per_symbol * FINE as f64;
        let total = ((bits.len() + 2 * self.silence_symbols) as f64 * fine) as usize;
        let sigma = (2.0f64.ln()).sqrt() / (std::f64::consts::TAU * self.bt);
        let mut phase = 0.0f64;
        let noise = (fine / 10f64.powf(self.esn0_db / 10.0) / 2.0).sqrt();
        let iq: Vec<Complex32> = (0..total)
            .map(|n| {
                let t = n as f64 / fine - self.silence_symbols as f64;
                let on = t >= 0.0 && t < bits.len() as f64;
                let level: f64 = (-2..=2)
                    .map(|j| t.floor() + f64::from(j))
                    .filter(|k| *k >= 0.0 && *k < bits.len() as f64)
                    .map(|k| {
                        let sign = if bits[k as usize] == 1 { 1.0 } else { -1.0 };
                        let edge = |x: f64| 0.5 * erf(x / (sigma * std::f64::consts::SQRT_2));
                        sign * (edge(t - k) - edge(t - k - 1.0))
                    })
                    .sum();
                phase += std::f64::consts::TAU * (0.5 * self.index * level + self.offset) / fine;
                let carrier = if on { phase.cos() } else { 0.0 };
                let quadrature = if on { phase.sin() } else { 0.0 };
                let (a, b): (f64, f64) = (rng.sample(StandardNormal), rng.sample(StandardNormal));
                Complex32::new((carrier + noise * a) as f32, (quadrature + noise * b) as f32)
            })
            .collect();
        let filtered =
            low_pass(&iq, 0.5 * self.intermediate_bandwidth / fine, (4.0 * fine) as usize);
        let audio: Vec<Complex32> = filtered
            .windows(2)
            .map(|pair| {
                let turn = (pair[1] * pair[0].conj()).arg();
                Complex32::from(turn / std::f32::consts::TAU * fine as f32)
            })
            .collect();
        low_pass(&audio, 0.45 / FINE as f64, 12 * FINE).iter().step_by(FINE).map(|x| x.re).collect()
    }
}

/// Windowed-sinc low-pass without delay.
fn low_pass(samples: &[Complex32], cut_off: f64, half: usize) -> Vec<Complex32> {
    let taps: Vec<f32> = (0..=2 * half)
        .map(|i| {
            let t = i as f64 - half as f64;
            let x = std::f64::consts::TAU * cut_off * t;
            let sinc = if t == 0.0 { 1.0 } else { x.sin() / x };
            let hann = (std::f64::consts::FRAC_PI_2 * t / (half as f64 + 1.0)).cos().powi(2);
            (2.0 * cut_off * sinc * hann) as f32
        })
        .collect();
    (0..samples.len())
        .map(|n| {
            let from = half.saturating_sub(n);
            let to = (2 * half + 1).min(samples.len() + half - n);
            (from..to).map(|i| samples[n + i - half] * taps[i]).sum()
        })
        .collect()
}

/// Error function (Abramowitz & Stegun 7.1.26, 1.5e-7).
fn erf(x: f64) -> f64 {
    let t = 1.0 / (1.0 + 0.327_591_1 * x.abs());
    let poly = t
        * (0.254_829_592
            + t * (-0.284_496_736
                + t * (1.421_413_741 + t * (-1.453_152_027 + t * 1.061_405_429))));
    (1.0 - poly * (-x * x).exp()).copysign(x)
}
