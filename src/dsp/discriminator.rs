//! FM discriminator: `f[n] = arg(x[n]·conj(x[n-1])) / 2π` cycles per sample.
//!
//! The arctangent is the polynomial 4.4.49 of Abramowitz & Stegun, within 2e-8 rad, so that the
//! loop vectorises.

use std::f32::consts::{FRAC_1_PI, FRAC_PI_2, PI};

use num_complex::Complex32;

/// An FM discriminator, continuous over calls.
#[derive(Debug, Clone, Default)]
pub struct Discriminator {
    previous: Complex32,
}

impl Discriminator {
    /// A new discriminator; its first output is 0.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends one frequency per sample, in cycles per sample, within ±½. Multiply with the sample
    /// rate for Hz. Where a sample is 0 or not finite, the frequency is 0.
    pub fn process(&mut self, samples: &[Complex32], out: &mut Vec<f32>) {
        let Some(&last) = samples.last() else { return };
        let start = out.len();
        out.resize(start + samples.len(), 0.0);
        out[start] = frequency(samples[0], self.previous);
        discriminate(samples, &mut out[start + 1..]);
        self.previous = last;
    }
}

#[inline(always)]
fn frequency(now: Complex32, before: Complex32) -> f32 {
    let re = now.re * before.re + now.im * before.im;
    let im = now.im * before.re - now.re * before.im;
    arctangent(im, re) * (0.5 * FRAC_1_PI)
}

/// `atan2(y, x)` within 3e-7 rad; 0 where it is not defined.
#[inline(always)]
fn arctangent(y: f32, x: f32) -> f32 {
    let (x_abs, y_abs) = (x.abs(), y.abs());
    let steep = y_abs > x_abs;
    let (small, large) = if steep { (x_abs, y_abs) } else { (y_abs, x_abs) };
    let t = small / large;
    let s = t * t;
    let p = 0.002_866_225_7_f32 * s - 0.016_165_737;
    let p = p * s + 0.042_909_615;
    let p = p * s - 0.075_289_64;
    let p = p * s + 0.106_562_64;
    let p = p * s - 0.142_089;
    let p = p * s + 0.199_935_51;
    let p = p * s - 0.333_331_45;
    let p = p * s + 1.0;
    let a = p * t;
    let a = if steep { FRAC_PI_2 - a } else { a };
    let a = if x < 0.0 { PI - a } else { a };
    let a = if y < 0.0 { -a } else { a };
    if a.is_finite() { a } else { 0.0 }
}

#[inline(always)]
fn discriminate_body(samples: &[Complex32], out: &mut [f32]) {
    // Over indices: iterator adapters may fail to be inlined into functions with more target
    // features than they have.
    let length = out.len().min(samples.len().saturating_sub(1));
    let (before, now, out) =
        (&samples[..length], &samples[samples.len() - length..], &mut out[..length]);
    let mut n = 0;
    while n < length {
        out[n] = frequency(now[n], before[n]);
        n += 1;
    }
}

dispatch_avx2! {
    /// `out[n]`: frequency from sample n to sample n + 1.
    fn discriminate(samples: &[Complex32], out: &mut [f32]) = discriminate_body
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arctangent_agrees_with_the_library() {
        for n in 0..10_000 {
            let angle = (n as f32 / 5_000.0 - 1.0) * 3.1;
            let (y, x) = (7.0 * angle.sin(), 7.0 * angle.cos());
            assert!((arctangent(y, x) - y.atan2(x)).abs() < 4e-7, "{angle}");
        }
    }

    #[test]
    fn a_tone_has_its_frequency() {
        for cycles in [-0.49_f32, -0.2, 0.0, 0.01, 0.3] {
            let tone: Vec<Complex32> = (0..100)
                .map(|n| Complex32::from_polar(0.3, std::f32::consts::TAU * cycles * n as f32))
                .collect();
            let (mut discriminator, mut out) = (Discriminator::new(), Vec::new());
            discriminator.process(&tone[..37], &mut out);
            discriminator.process(&[], &mut out);
            discriminator.process(&tone[37..], &mut out);
            assert_eq!(out.len(), 100);
            assert_eq!(out[0], 0.0);
            for f in &out[1..] {
                assert!((f - cycles).abs() < 1e-5);
            }
        }
    }

    #[test]
    fn baseline_and_avx2_agree_to_the_bit() {
        let samples: Vec<Complex32> =
            (0..103).map(|n| Complex32::new((n as f32).sin(), (1.7 * n as f32).cos())).collect();
        let (mut fast, mut plain) = (vec![0.0; 102], vec![0.0; 102]);
        discriminate(&samples, &mut fast);
        discriminate_body(&samples, &mut plain);
        assert_eq!(fast, plain);
    }

    #[test]
    fn garbage_gives_numbers() {
        let mut out = Vec::new();
        let bad = [f32::NAN, f32::INFINITY, f32::MAX, 0.0, f32::MIN_POSITIVE];
        let samples: Vec<Complex32> =
            bad.iter().flat_map(|&a| bad.iter().map(move |&b| Complex32::new(a, -b))).collect();
        Discriminator::new().process(&samples, &mut out);
        assert!(out.iter().all(|f| f.abs() <= 0.5));
    }
}
