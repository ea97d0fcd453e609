//! Spurs: lines of constant frequency and amplitude, such as the leak of a receiver's own
//! oscillator, taken out of the samples before signals are looked at.
//!
//! With `c_j` the mean of `x_n e^{-j2πfn}` over hop j, and `m_j` the mean of `c_i` over
//! `|i - j| ≤ 8`, hop j is left without
//!
//! ```text
//! m_j e^{j2πfn},  where  <|c_i - m_j|²> < |m_j|² / 4
//! ```
//!
//! which is a notch some 1/400 of a symbol rate wide and costs a signal as much of its energy. The
//! condition keeps off lines that come and go, which are a signal's.

use std::collections::VecDeque;
use std::f64::consts::PI;

use num_complex::{Complex32, Complex64};

/// Hops on either side over which a line is averaged.
const REACH: u64 = 8;
/// Hops on which a line's frequency is measured, at most and at least.
const MEASURED: u64 = 128;
const LEAST_MEASURED: u64 = 16;
/// Frequencies tried within ±1/2 cycle a hop.
const TRIED: usize = 512;
/// Lines taken out at most.
const MOST_LINES: usize = 8;
/// Variance of a line's amplitude over its power, at most.
const MOST_VARIANCE: f64 = 0.25;

struct Spur {
    /// Cycles per sample.
    frequency: f64,
    /// `c_j`, from hop `first` on.
    means: VecDeque<Complex64>,
    first: u64,
}

/// Takes lines out of a stream of samples.
pub(super) struct SpurRemover {
    hop: usize,
    spurs: Vec<Spur>,
    /// Hops before this one are done.
    done: u64,
}

/// The hops of some samples, of which the first has index `first`.
struct Hops<'a> {
    samples: &'a [Complex32],
    first: u64,
    length: usize,
}

impl Hops<'_> {
    fn mean(&self, hop: u64, frequency: f64) -> Complex64 {
        let begin = hop * self.length as u64;
        let Some(at) = begin.checked_sub(self.first) else { return Complex64::ZERO };
        let Some(part) = self.samples.get(at as usize..at as usize + self.length) else {
            return Complex64::ZERO;
        };
        let mut rotor = turn(-frequency, begin);
        let step = Complex64::cis(-2.0 * PI * frequency);
        let mut sum = Complex64::ZERO;
        for x in part {
            sum += rotor * Complex64::new(f64::from(x.re), f64::from(x.im));
            rotor *= step;
        }
        sum / self.length as f64
    }
}

/// `exp(j 2π f n)`.
fn turn(frequency: f64, n: u64) -> Complex64 {
    Complex64::cis(2.0 * PI * (frequency * n as f64).fract())
}

impl SpurRemover {
    /// For hops of so many samples.
    pub fn new(hop: usize) -> Self {
        Self { hop, spurs: Vec::new(), done: 0 }
    }

    /// Forgets everything.
    pub fn reset(&mut self) {
        self.spurs.clear();
        self.done = 0;
    }

    /// Takes note of where lines are (cycles per sample, roughly). The samples begin at index `first`,
    /// and hops before `end` are complete.
    pub fn update(&mut self, lines: &[f64], samples: &[Complex32], first: u64, end: u64) {
        let hops = Hops { samples, first, length: self.hop };
        let from = self.done;
        let to = end.min(from + MEASURED);
        if to < from + LEAST_MEASURED {
            return;
        }
        let mut old = std::mem::take(&mut self.spurs);
        for line in lines.iter().take(MOST_LINES) {
            let means: Vec<Complex64> = (from..to).map(|j| hops.mean(j, *line)).collect();
            let power = |cycles: f64| {
                let step = Complex64::cis(-2.0 * PI * cycles);
                let (mut rotor, mut sum) = (Complex64::ONE, Complex64::ZERO);
                for c in &means {
                    sum += c * rotor;
                    rotor *= step;
                }
                sum.norm_sqr()
            };
            let mut best = (0.0, 0.0);
            for i in 0..TRIED {
                let cycles = (i as f64 + 0.5) / TRIED as f64 - 0.5;
                let p = power(cycles);
                if p > best.0 {
                    best = (p, cycles);
                }
            }
            // Three steps to the top of the peak.
            let mut step = 0.5 / TRIED as f64;
            for _ in 0..4 {
                for cycles in [best.1 - step, best.1 + step] {
                    let p = power(cycles);
                    if p > best.0 {
                        best = (p, cycles);
                    }
                }
                step *= 0.5;
            }
            let frequency = line + best.1 / self.hop as f64;
            if !frequency.is_finite() {
                continue;
            }
            let near = |s: &Spur| ((s.frequency - frequency) * self.hop as f64).abs() < 0.1;
            if self.spurs.iter().any(near) {
                continue;
            }
            let spur = match old.iter().position(near) {
                Some(known) => {
                    let mut spur = old.swap_remove(known);
                    let first = spur.first;
                    for (i, c) in spur.means.iter_mut().enumerate() {
                        let middle = (first + i as u64) * self.hop as u64 + self.hop as u64 / 2;
                        *c *= turn(spur.frequency - frequency, middle);
                    }
                    spur.frequency = frequency;
                    spur
                }
                None => Spur { frequency, means: VecDeque::new(), first: from },
            };
            self.spurs.push(spur);
        }
    }

    /// Takes the lines out of all hops before `until`; hops before `end` are complete.
    pub fn clean(&mut self, samples: &mut [Complex32], first: u64, until: u64, end: u64) {
        if self.spurs.is_empty() {
            self.done = self.done.max(until);
            return;
        }
        while self.done < until.min(end) {
            let j = self.done;
            let mut lines: Vec<(f64, Complex64)> = Vec::with_capacity(MOST_LINES);
            for spur in &mut self.spurs {
                let hops = Hops { samples, first, length: self.hop };
                while spur.first + (spur.means.len() as u64) < end.min(j + REACH + 1) {
                    let next = spur.first + spur.means.len() as u64;
                    spur.means.push_back(hops.mean(next, spur.frequency));
                }
                while spur.first + REACH < j && spur.means.len() > 1 {
                    spur.means.pop_front();
                    spur.first += 1;
                }
                let count = spur.means.len() as f64;
                let mean = spur.means.iter().sum::<Complex64>() / count;
                let variance =
                    spur.means.iter().map(|c| (c - mean).norm_sqr()).sum::<f64>() / count;
                if count >= REACH as f64 && variance < MOST_VARIANCE * mean.norm_sqr() {
                    lines.push((spur.frequency, mean));
                }
            }
            let begin = j * self.hop as u64;
            if let Some(at) = begin.checked_sub(first)
                && let Some(part) = samples.get_mut(at as usize..at as usize + self.hop)
            {
                for (frequency, amplitude) in lines {
                    let mut value = amplitude * turn(frequency, begin);
                    let step = Complex64::cis(2.0 * PI * frequency);
                    for x in part.iter_mut() {
                        *x -= Complex32::new(value.re as f32, value.im as f32);
                        value *= step;
                    }
                }
            }
            self.done += 1;
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    fn power(x: &[Complex32]) -> f32 {
        x.iter().map(|v| v.norm_sqr()).sum::<f32>() / x.len() as f32
    }

    fn line(count: usize, frequency: f64) -> Vec<Complex32> {
        (0..count as u64)
            .map(|n| {
                let v = turn(frequency, n);
                Complex32::new(v.re as f32, v.im as f32)
            })
            .collect()
    }

    #[test]
    fn a_line_is_taken_out_though_its_frequency_is_known_roughly() {
        let mut x = line(128 * 60, 0.0731);
        let mut spurs = SpurRemover::new(128);
        spurs.update(&[0.0731 + 0.002], &x, 0, 60);
        spurs.clean(&mut x, 0, 20, 60);
        spurs.clean(&mut x, 0, 60, 60);
        assert!(power(&x) < 1e-3, "{}", power(&x));
    }

    #[test]
    fn a_line_that_comes_and_goes_stays() {
        let mut x = line(128 * 60, 0.0731);
        for (n, v) in x.iter_mut().enumerate() {
            if n / 128 % 16 >= 8 {
                *v = Complex32::ZERO;
            }
        }
        let before = x.clone();
        let mut spurs = SpurRemover::new(128);
        spurs.update(&[0.0731], &x, 0, 60);
        spurs.clean(&mut x, 0, 40, 60);
        assert_eq!(x[128 * 16..128 * 40], before[128 * 16..128 * 40]);
    }

    #[test]
    fn nonsense_does_no_harm() {
        let mut x = vec![Complex32::new(f32::NAN, f32::INFINITY); 4000];
        let mut spurs = SpurRemover::new(100);
        spurs.update(&[f64::NAN, 0.1, 0.1], &x, 0, 40);
        spurs.clean(&mut x, 0, 50, 40);
        spurs.clean(&mut [], 10_000, 60, 55);
        spurs.reset();
    }
}
