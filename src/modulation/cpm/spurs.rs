//! Spurs: lines of constant frequency and amplitude, such as the leak of a receiver's own
//! oscillator, taken out of the samples before signals are looked at.
//!
//! With `c_j` the mean of `x_n e^{-j2πfn}` over hop j, and `m_j` the mean of `c_i` over the last 17
//! hops, `j - 16 ≤ i ≤ j` (a line is as it was: nothing waits for what comes later), hop j is left
//! without
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

/// Hops over which a line is averaged, and how many of them must be there.
const AVERAGED: u64 = 17;
const LEAST_AVERAGED: usize = 8;
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
    /// Samples as they came, from hop `first` on.
    raw: Vec<Complex32>,
    first: u64,
    /// Hops before this one have been cleaned.
    done: u64,
}

/// The hops of some samples, of which the first begins hop `first`.
struct Hops<'a> {
    samples: &'a [Complex32],
    first: u64,
    length: usize,
}

impl Hops<'_> {
    fn mean(&self, hop: u64, frequency: f64) -> Complex64 {
        let Some(at) = hop.checked_sub(self.first) else { return Complex64::ZERO };
        let at = at as usize * self.length;
        let Some(part) = self.samples.get(at..at + self.length) else {
            return Complex64::ZERO;
        };
        let mut rotor = turn(-frequency, hop * self.length as u64);
        let step = Complex64::cis(-2.0 * PI * frequency);
        let mut sum = Complex64::ZERO;
        for x in part {
            sum += rotor * Complex64::new(f64::from(x.re), f64::from(x.im));
            rotor *= step;
        }
        sum / self.length as f64
    }

    /// Frequency of the line near `line` over some hops (cycles per sample): where their means turn
    /// by the same angle from one to the next.
    fn frequency(&self, line: f64, hops: std::ops::Range<u64>) -> f64 {
        let means: Vec<Complex64> = hops.map(|j| self.mean(j, line)).collect();
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
        // Four steps to the top of the peak.
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
        line + best.1 / self.length as f64
    }
}

/// `exp(j 2π f n)`.
fn turn(frequency: f64, n: u64) -> Complex64 {
    Complex64::cis(2.0 * PI * (frequency * n as f64).fract())
}

impl SpurRemover {
    /// For hops of so many samples.
    pub fn new(hop: usize) -> Self {
        Self { hop, spurs: Vec::new(), raw: Vec::new(), first: 0, done: 0 }
    }

    /// Forgets everything.
    pub fn reset(&mut self) {
        self.spurs.clear();
        self.raw.clear();
        self.first = 0;
        self.done = 0;
    }

    /// Takes samples as they come.
    pub fn push(&mut self, samples: impl Iterator<Item = Complex32>) {
        // What has been cleaned is kept for as long as lines are measured on.
        let end = self.first + (self.raw.len() / self.hop) as u64;
        let excess = self.done.min(end.saturating_sub(MEASURED)).saturating_sub(self.first);
        if excess > MEASURED {
            self.raw.drain(..excess as usize * self.hop);
            self.first += excess;
        }
        self.raw.extend(samples);
    }

    /// The samples from hop `hop` on, as they came; empty where there are none.
    pub fn raw(&self, hop: u64) -> &[Complex32] {
        let at = hop.saturating_sub(self.first) as usize * self.hop;
        self.raw.get(at..).unwrap_or_default()
    }

    /// Takes note of where lines are (cycles per sample, roughly). Hops before `end` are looked at.
    pub fn update(&mut self, lines: &[f64], end: u64) {
        let from = end.saturating_sub(MEASURED).max(self.first);
        if end < from + LEAST_MEASURED {
            return;
        }
        let hops = Hops { samples: &self.raw, first: self.first, length: self.hop };
        let mut old = std::mem::take(&mut self.spurs);
        for line in lines.iter().take(MOST_LINES) {
            let frequency = hops.frequency(*line, from..end);
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
                None => {
                    let first = self.done.saturating_sub(AVERAGED - 1).max(self.first);
                    Spur { frequency, means: VecDeque::new(), first }
                }
            };
            self.spurs.push(spur);
        }
    }

    /// Appends the hops before `end` that were not yet, without the lines, to `out`.
    pub fn clean(&mut self, end: u64, out: &mut Vec<Complex32>) {
        while self.done < end {
            let j = self.done;
            let at = j.saturating_sub(self.first) as usize * self.hop;
            let Some(part) = self.raw.get(at..at + self.hop) else { return };
            let begin = out.len();
            out.extend_from_slice(part);
            let hops = Hops { samples: &self.raw, first: self.first, length: self.hop };
            let from = j.saturating_sub(AVERAGED - 1);
            // The first hops have none before them.
            let to = (from + AVERAGED).min(end);
            for spur in &mut self.spurs {
                while spur.first + (spur.means.len() as u64) < to {
                    let next = spur.first + spur.means.len() as u64;
                    spur.means.push_back(hops.mean(next, spur.frequency));
                }
                while spur.first < from && spur.means.len() > 1 {
                    spur.means.pop_front();
                    spur.first += 1;
                }
                let count = spur.means.len() as f64;
                let mean = spur.means.iter().sum::<Complex64>() / count;
                let variance =
                    spur.means.iter().map(|c| (c - mean).norm_sqr()).sum::<f64>() / count;
                if spur.means.len() < LEAST_AVERAGED || variance >= MOST_VARIANCE * mean.norm_sqr()
                {
                    continue;
                }
                let mut value = mean * turn(spur.frequency, j * self.hop as u64);
                let step = Complex64::cis(2.0 * PI * spur.frequency);
                for x in &mut out[begin..] {
                    *x -= Complex32::new(value.re as f32, value.im as f32);
                    value *= step;
                }
            }
            self.done += 1;
        }
    }

    /// Appends everything that is left: the hops, and the rest of the last one as it came.
    pub fn finish(&mut self, out: &mut Vec<Complex32>) {
        self.clean(u64::MAX, out);
        let at = self.done.saturating_sub(self.first) as usize * self.hop;
        out.extend_from_slice(self.raw.get(at..).unwrap_or_default());
        self.done += 1;
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
        let x = line(128 * 60, 0.0731);
        let mut spurs = SpurRemover::new(128);
        spurs.push(x.into_iter());
        spurs.update(&[0.0731 + 0.002], 60);
        let mut cleaned = Vec::new();
        spurs.clean(20, &mut cleaned);
        spurs.clean(60, &mut cleaned);
        assert_eq!(cleaned.len(), 128 * 60);
        assert!(power(&cleaned) < 1e-3, "{}", power(&cleaned));
        // Later samples are cleaned hop by hop, as they come.
        for j in 60..600 {
            spurs.push(line(128 * (j + 1), 0.0731).into_iter().skip(128 * j));
            if j % 100 == 0 {
                spurs.update(&[0.0731 - 0.001], j as u64 + 1);
            }
            spurs.clean(j as u64 + 1, &mut cleaned);
        }
        assert_eq!(cleaned.len(), 128 * 600);
        assert!(power(&cleaned[128 * 60..]) < 1e-3, "{}", power(&cleaned[128 * 60..]));
    }

    #[test]
    fn a_line_that_comes_and_goes_stays() {
        let mut x = line(128 * 60, 0.0731);
        for (n, v) in x.iter_mut().enumerate() {
            if n / 128 % 16 >= 8 {
                *v = Complex32::ZERO;
            }
        }
        let mut spurs = SpurRemover::new(128);
        spurs.push(x.iter().copied());
        spurs.update(&[0.0731], 60);
        let mut cleaned = Vec::new();
        spurs.clean(40, &mut cleaned);
        assert_eq!(x[128 * 16..128 * 40], cleaned[128 * 16..]);
    }

    #[test]
    fn nonsense_does_no_harm() {
        let x = vec![Complex32::new(f32::NAN, f32::INFINITY); 4000];
        let mut spurs = SpurRemover::new(100);
        spurs.push(x.into_iter());
        spurs.update(&[f64::NAN, 0.1, 0.1], 40);
        let mut cleaned = Vec::new();
        spurs.clean(50, &mut cleaned);
        assert_eq!(cleaned.len(), 4000);
        assert!(spurs.raw(77).is_empty());
        spurs.finish(&mut cleaned);
        spurs.finish(&mut cleaned);
        assert_eq!(cleaned.len(), 4000);
        spurs.reset();
    }
}
