//! Power spectra with a Hann window.
//!
//! ```text
//! P[k] = |Σ w[n]·x[n]·exp(-i·2πkn/N)|² / Σ w[n]²
//! ```
//!
//! so that white noise of mean power σ² a sample gives σ² in every bin, and a tone of amplitude A
//! in the middle of a bin gives A²·N/1.5 there.

use std::sync::Arc;

use num_complex::Complex32;
use rustfft::{Fft, FftPlanner};

use super::window::hann;

/// A planned power spectrum of one length, with its buffers.
pub struct PowerSpectrum {
    fft: Arc<dyn Fft<f32>>,
    /// Window, divided by the root of its energy.
    window: Vec<f32>,
    buffer: Vec<Complex32>,
    scratch: Vec<Complex32>,
}

impl std::fmt::Debug for PowerSpectrum {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PowerSpectrum").field("length", &self.length()).finish_non_exhaustive()
    }
}

impl PowerSpectrum {
    /// Plans spectra of `length` bins (any number; products of small primes are fast; 0 counts
    /// as 1).
    pub fn new(length: usize) -> Self {
        let length = length.max(1);
        let fft = FftPlanner::new().plan_fft_forward(length);
        let mut window = hann(length);
        let energy: f32 = window.iter().map(|w| w * w).sum();
        let scale = if energy > 0.0 { energy.sqrt().recip() } else { 0.0 };
        window.iter_mut().for_each(|w| *w *= scale);
        let scratch = vec![Complex32::default(); fft.get_inplace_scratch_len()];
        Self { fft, window, buffer: vec![Complex32::default(); length], scratch }
    }

    /// Number of bins, and of samples that go into a spectrum.
    pub fn length(&self) -> usize {
        self.window.len()
    }

    /// Frequency of a bin, between plus and minus half the sample rate: bin 0 is 0 Hz, the upper
    /// half of the bins are the negative frequencies.
    pub fn bin_frequency_hz(&self, bin: usize, sample_rate_hz: f64) -> f64 {
        let length = self.length();
        let signed = if 2 * bin < length { bin as f64 } else { bin as f64 - length as f64 };
        signed * sample_rate_hz / length as f64
    }

    /// Writes the power spectrum of the first [`length`](Self::length) samples to `power`, bin 0
    /// first. Fewer samples are as if followed by zeros; bins that `power` has no room for are
    /// left out.
    pub fn process(&mut self, samples: &[Complex32], power: &mut [f32]) {
        self.transform(samples);
        for (power, bin) in power.iter_mut().zip(&self.buffer) {
            *power = bin.norm_sqr();
        }
    }

    /// As [`process`](Self::process), but adds to `power`.
    pub fn accumulate(&mut self, samples: &[Complex32], power: &mut [f32]) {
        self.transform(samples);
        for (power, bin) in power.iter_mut().zip(&self.buffer) {
            *power += bin.norm_sqr();
        }
    }

    fn transform(&mut self, samples: &[Complex32]) {
        let filled = samples.len().min(self.window.len());
        let (head, tail) = self.buffer.split_at_mut(filled);
        for ((slot, sample), &w) in head.iter_mut().zip(samples).zip(&self.window) {
            *slot = sample * w;
        }
        tail.fill(Complex32::default());
        self.fft.process_with_scratch(&mut self.buffer, &mut self.scratch);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tone_lands_in_its_bin() {
        for length in [256, 240, 97] {
            let mut spectrum = PowerSpectrum::new(length);
            let mut power = vec![0.0; length];
            for bin in [3, length - 5] {
                let tone: Vec<Complex32> = (0..length)
                    .map(|n| {
                        let turn = (bin * n % length) as f32 / length as f32;
                        Complex32::from_polar(0.5, std::f32::consts::TAU * turn)
                    })
                    .collect();
                spectrum.process(&tone, &mut power);
                let expected = 0.25 * length as f32 / 1.5;
                assert!((power[bin] / expected - 1.0).abs() < 1e-3);
                let rest: f32 = power
                    .iter()
                    .enumerate()
                    .filter(|(k, _)| k.abs_diff(bin) > 1)
                    .map(|(_, p)| p)
                    .sum();
                assert!(rest < 1e-6 * expected);
                let frequency_hz = spectrum.bin_frequency_hz(bin, 1.0);
                let expected = if bin == 3 { 3.0 } else { -5.0 } / length as f64;
                assert!((frequency_hz - expected).abs() < 1e-12);
            }
        }
    }

    #[test]
    fn white_noise_keeps_its_power() {
        let (mut spectrum, mut power) = (PowerSpectrum::new(64), vec![0.0; 64]);
        let mut state = 5_u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / 8_388_608.0 - 1.0
        };
        for _ in 0..2_000 {
            let noise: Vec<Complex32> = (0..64).map(|_| Complex32::new(next(), next())).collect();
            spectrum.accumulate(&noise, &mut power);
        }
        // Two uniform parts of variance 1/3.
        for p in &power {
            assert!((p / 2_000.0 / (2.0 / 3.0) - 1.0).abs() < 0.12, "{p}");
        }
    }

    #[test]
    fn short_slices_and_small_buffers_are_taken() {
        let mut spectrum = PowerSpectrum::new(0);
        spectrum.process(&[], &mut []);
        let mut spectrum = PowerSpectrum::new(16);
        let mut power = [1.0; 8];
        spectrum.process(&[Complex32::new(f32::NAN, 0.0)], &mut power);
        spectrum.process(&[], &mut power);
        assert_eq!(power, [0.0; 8]);
    }
}
