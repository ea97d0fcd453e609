//! How strong samples are, and how many of them are at the converter's limit.
//!
//! ```text
//! level = 10·log10(mean |z|²) dBFS: 0 dBFS is a carrier that just fills the circle of radius 1
//! ```
//!
//! A sample counts as clipped when |I| or |Q| is within one step of 8 bits of full scale:
//! 127/128 ≤ x ≤ 129/128. For finer converters that is the last 0.07 dB. What lies beyond comes
//! from a program with another scale, and is not clipped.

use num_complex::Complex32;

/// Least magnitude of a part that counts as clipped.
const CLIPPED_FROM: f32 = 127.0 / 128.0;
/// And the largest.
const CLIPPED_TO: f32 = 129.0 / 128.0;

/// What was measured over some samples.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Level {
    /// Number of samples measured.
    pub samples: u64,
    /// Sum of |z|².
    pub energy: f64,
    /// How many are at full scale.
    pub clipped: u64,
}

impl Level {
    /// Measures samples.
    pub fn of(samples: &[Complex32]) -> Self {
        let (mut energy, mut clipped) = (0.0f32, 0u32);
        for z in samples {
            energy += z.norm_sqr();
            let x = z.re.abs().max(z.im.abs());
            clipped += u32::from((CLIPPED_FROM..=CLIPPED_TO).contains(&x));
        }
        Self { samples: samples.len() as u64, energy: f64::from(energy), clipped: clipped.into() }
    }

    /// Takes in what was measured elsewhere.
    pub fn add(&mut self, other: &Level) {
        self.samples += other.samples;
        self.energy += other.energy;
        self.clipped += other.clipped;
    }

    /// What was measured since it was as in `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &Level) -> Self {
        Self {
            samples: self.samples.saturating_sub(earlier.samples),
            // Sums of floats may differ by a rounding.
            energy: (self.energy - earlier.energy).max(0.0),
            clipped: self.clipped.saturating_sub(earlier.clipped),
        }
    }

    /// Mean power in dBFS; minus infinity for silence and for no samples at all.
    pub fn dbfs(&self) -> f64 {
        10.0 * (self.energy / self.samples.max(1) as f64).log10()
    }

    /// Share of clipped samples, 0 to 1.
    pub fn clipped_share(&self) -> f64 {
        self.clipped as f64 / self.samples.max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_circle_is_0_dbfs_and_steps_are_told_from_the_limit() {
        let circle: Vec<Complex32> =
            (0..100).map(|k| Complex32::from_polar(0.99, 0.1 + k as f32)).collect();
        let level = Level::of(&circle);
        assert!((level.dbfs() + 0.087).abs() < 0.01, "{}", level.dbfs());
        let parts = [
            (1.0, 0.0, 1),
            (0.0, -1.0, 1),
            (127.0 / 128.0, 0.0, 1),
            (126.0 / 128.0, 0.0, 0),
            // A program whose samples are numbers up to 32767.
            (20_000.0, 0.0, 0),
            (f32::NAN, 0.0, 0),
        ];
        for (re, im, clipped) in parts {
            assert_eq!(Level::of(&[Complex32::new(re, im)]).clipped, clipped, "{re} {im}");
        }
        let mut sum = Level::of(&[Complex32::new(1.0, 1.0)]);
        sum.add(&Level::of(&[Complex32::default()]));
        assert_eq!((sum.samples, sum.clipped_share()), (2, 0.5));
        assert_eq!(Level::default().dbfs(), f64::NEG_INFINITY);
        assert_eq!(Level::of(&[]).clipped_share(), 0.0);
    }
}
