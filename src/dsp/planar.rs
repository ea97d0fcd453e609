//! Complex samples as two arrays, real parts and imaginary parts: what filters with real
//! coefficients vectorise over without shuffling.

use num_complex::Complex32;

/// Complex samples, real and imaginary parts apart; both parts have the same length.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Planar {
    /// Real parts.
    pub re: Vec<f32>,
    /// Imaginary parts.
    pub im: Vec<f32>,
}

impl Planar {
    /// Number of samples.
    pub fn len(&self) -> usize {
        self.re.len().min(self.im.len())
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Removes all samples.
    pub fn clear(&mut self) {
        self.re.clear();
        self.im.clear();
    }

    /// Lengthens with zeros, or shortens, to `length` samples.
    pub fn resize(&mut self, length: usize) {
        self.re.resize(length, 0.0);
        self.im.resize(length, 0.0);
    }

    /// Appends samples.
    pub fn extend(&mut self, samples: &[Complex32]) {
        let start = self.len();
        self.resize(start + samples.len());
        let parts = self.re[start..].iter_mut().zip(&mut self.im[start..]);
        for ((re, im), sample) in parts.zip(samples) {
            *re = sample.re;
            *im = sample.im;
        }
    }

    /// Appends the samples of another.
    pub fn append(&mut self, other: &Planar) {
        self.re.extend_from_slice(&other.re);
        self.im.extend_from_slice(&other.im);
    }

    /// Removes the first `count` samples; the others move up.
    pub fn drain_front(&mut self, count: usize) {
        self.re.drain(..count.min(self.re.len()));
        self.im.drain(..count.min(self.im.len()));
    }

    /// Appends all samples to `out`.
    pub fn interleave_into(&self, out: &mut Vec<Complex32>) {
        out.extend(self.re.iter().zip(&self.im).map(|(&re, &im)| Complex32::new(re, im)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_survive_the_round_trip() {
        let samples: Vec<Complex32> =
            (0..13).map(|n| Complex32::new(n as f32, -0.5 * n as f32)).collect();
        let mut planar = Planar::default();
        planar.extend(&samples[..5]);
        planar.extend(&samples[5..]);
        planar.drain_front(2);
        let mut out = Vec::new();
        planar.interleave_into(&mut out);
        assert_eq!(out, samples[2..]);
        planar.drain_front(100);
        assert!(planar.is_empty());
    }
}
