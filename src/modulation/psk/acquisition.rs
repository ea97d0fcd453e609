//! Is there a PSK signal in this window of samples, and at what frequency?
//!
//! 1. One FFT of the window, padded by the filter's length: its power, correlated with the power
//!    spectrum of the pulse, has maxima where something as wide as the signal sits.
//! 2. At each of the strongest maxima the pulse's spectrum cuts the band out and matches it; an
//!    inverse FFT of just these bins gives the matched filter's output at some 2.4 points per
//!    symbol, at a small cost.
//! 3. Squared, BPSK has a line at 2f, an MSK-type signal two lines at 2f ± R/2 (R: symbol rate),
//!    whatever the data and the symbol timing. The peak over the mean of the spectrum around it
//!    says whether it is one; its place gives f to better than 10⁻³ R. For windows longer than
//!    about `1.4/√(2Ḟ/R²)` symbols a drift Ḟ would smear the line: then drifts on a grid are tried.

use std::f64::consts::TAU;
use std::sync::Arc;

use num_complex::Complex32;
use rustfft::{Fft, FftPlanner};

use super::pulse::Pulse;

/// Signals per window.
const SIGNALS: usize = 4;
/// Places per window that may turn out to be none.
const FAILURES: usize = 2;
/// Unmodulated carriers passed over per window.
const CARRIERS: usize = 2;
/// Two signals closer than this (in symbol rates) are not told apart.
const SEPARATION: f64 = 0.75;
/// A place that is no signal rules out what is closer than this: it may be the skirt of a strong
/// signal beyond the edge of the search.
const SKIRT: f64 = 0.25;
/// Coarse bins of the power spectrum per symbol rate.
const COARSE_BINS: f64 = 32.0;
/// Points per symbol at which the squared signal is looked at.
const SQUARE_RATE: f64 = 2.4;
/// A single line with more than this share of the band's power is a carrier, not data.
const CARRIER_SHARE: f32 = 0.7;

/// What the acquisition looks for.
#[derive(Debug, Clone)]
pub struct Target {
    /// Symbol rate.
    pub symbol_rate_bd: f64,
    /// The carrier lies within ± this.
    pub search_hz: f64,
    /// Pulse, of the signal and of the filter.
    pub pulse: Pulse,
    /// Two lines at 2f ± R/2 in place of one at 2f.
    pub msk: bool,
    /// Symbols per window.
    pub window_symbols: usize,
    /// Drifts to try, in Hz/s.
    pub drifts_hz_per_s: Vec<f64>,
    /// Lowest peak over mean that is handed on.
    pub threshold: f32,
}

/// A line found in a window.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Detection {
    /// Carrier in the middle of the window.
    pub frequency_hz: f64,
    /// Its drift, of those tried the one that shows the line best.
    pub drift_hz_per_s: f64,
    /// Peak of the squared signal's spectrum over its mean: 16 is safe for one window of noise.
    pub strength: f32,
}

/// The detector for windows of one length.
pub struct Acquisition {
    target: Target,
    sample_rate_hz: f64,
    /// Samples per window.
    window: usize,
    /// Coarse bins on either side of 0 to look at.
    reach: i64,
    /// Bins per coarse bin.
    group: usize,
    /// Power of the pulse over coarse bins, from -half to +half.
    template: Vec<f32>,
    /// Amplitude of the pulse over bins, from -half to +half.
    amplitude: Vec<f32>,
    forward: Arc<dyn Fft<f32>>,
    inverse: Arc<dyn Fft<f32>>,
    square: Arc<dyn Fft<f32>>,
    /// Points of the matched signal within the window.
    points: usize,
    /// Each drift but 0, and exp(-j2πḞt²).
    chirps: Vec<(f64, Vec<Complex32>)>,
    spectrum: Vec<Complex32>,
    band: Vec<Complex32>,
    squared: Vec<Complex32>,
    coarse: Vec<f32>,
    scores: Vec<f32>,
    powers: Vec<f32>,
    scratch: Vec<Complex32>,
}

impl Acquisition {
    /// A detector for samples at `sample_rate_hz`.
    pub fn new(target: Target, sample_rate_hz: f64) -> Self {
        let sps = sample_rate_hz / target.symbol_rate_bd;
        let window = (target.window_symbols as f64 * sps).round().max(16.0) as usize;
        let tail = (2.0 * target.pulse.half_span_symbols().min(4.0) * sps).ceil() as usize;
        let length = fast_length(window + tail);
        let bins = length as f64 / sps; // per symbol rate
        let group = ((bins / COARSE_BINS) as usize).max(1);
        let template_half = (target.pulse.half_bandwidth() * bins / group as f64).ceil() as i64;
        let template = (-template_half..=template_half)
            .map(|c| {
                let f = c as f64 * group as f64 / bins;
                let inside = f.abs() <= target.pulse.half_bandwidth();
                if inside { target.pulse.spectrum(f).powi(2) as f32 } else { 0.0 }
            })
            .collect();
        let half =
            ((target.pulse.half_bandwidth() * bins).ceil() as i64).min(length as i64 / 2 - 1);
        let amplitude =
            (-half..=half).map(|k| target.pulse.spectrum(k as f64 / bins) as f32).collect();
        let limit = target
            .search_hz
            .min(0.5 * sample_rate_hz - target.pulse.half_bandwidth() * target.symbol_rate_bd)
            .max(0.0);
        let reach = (limit / sample_rate_hz * length as f64 / group as f64).ceil() as i64;
        let band = fast_length(((SQUARE_RATE * bins).ceil() as usize).max(2 * half as usize + 2));
        let points = (window * band).div_ceil(length).min(band);
        let square = fast_length(2 * points);
        let point_s = length as f64 / band as f64 / sample_rate_hz;
        let chirps = target
            .drifts_hz_per_s
            .iter()
            .filter(|d| **d != 0.0)
            .map(|drift| {
                let turn = |i: usize| {
                    let t = (i as f64 - 0.5 * points as f64) * point_s;
                    Complex32::cis((-TAU * drift * t * t) as f32)
                };
                (*drift, (0..points).map(turn).collect())
            })
            .collect();
        let mut planner = FftPlanner::new();
        let forward = planner.plan_fft_forward(length);
        let inverse = planner.plan_fft_inverse(band);
        let square_fft = planner.plan_fft_forward(square);
        let scratch = [&forward, &inverse, &square_fft]
            .iter()
            .map(|f| f.get_inplace_scratch_len())
            .max()
            .unwrap_or(0);
        Self {
            target,
            sample_rate_hz,
            window,
            reach,
            group,
            template,
            amplitude,
            forward,
            inverse,
            square: square_fft,
            points,
            chirps,
            spectrum: vec![Complex32::default(); length],
            band: vec![Complex32::default(); band],
            squared: vec![Complex32::default(); square],
            coarse: Vec::new(),
            scores: Vec::new(),
            powers: Vec::new(),
            scratch: vec![Complex32::default(); scratch],
        }
    }

    /// Samples in a window.
    pub fn window_samples(&self) -> usize {
        self.window
    }

    /// Looks at one window (samples missing at its end count as 0) and appends what is there.
    pub fn analyse(&mut self, samples: &[Complex32], out: &mut Vec<Detection>) {
        let used = samples.len().min(self.window);
        self.spectrum[..used].copy_from_slice(&samples[..used]);
        self.spectrum[used..].fill(Complex32::default());
        self.forward.process_with_scratch(&mut self.spectrum, &mut self.scratch);
        let length = self.spectrum.len() as i64;
        let half = self.template.len() as i64 / 2;
        let group = self.group as i64;
        self.coarse.clear();
        let edge = self.reach + half;
        powers(&self.spectrum, -edge * group, (2 * edge + 1) * group, &mut self.powers);
        self.coarse.extend(self.powers.chunks_exact(self.group).map(|c| c.iter().sum::<f32>()));
        self.scores.clear();
        let template = &self.template;
        self.scores.extend(
            self.coarse
                .windows(template.len())
                .map(|w| w.iter().zip(template).map(|(p, t)| p * t).sum::<f32>()),
        );
        let bins = length as f64 / self.sample_rate_hz / group as f64;
        let apart = |rates: f64| (rates * self.target.symbol_rate_bd * bins) as i64;
        let (separation, skirt) = (apart(SEPARATION), apart(SKIRT));
        // Places looked at, and how close to them nothing else is looked for.
        let mut taken = [(0i64, 0i64); SIGNALS + FAILURES + CARRIERS];
        let (mut places, mut signals, mut failures) = (0, 0, 0);
        while places < taken.len() && signals < SIGNALS && failures < FAILURES {
            let scores = &self.scores;
            let best = (0..scores.len())
                .filter(|&i| {
                    (i == 0 || scores[i] >= scores[i - 1])
                        && (i + 1 == scores.len() || scores[i] > scores[i + 1])
                        && taken[..places].iter().all(|(t, near)| (t - i as i64).abs() > *near)
                })
                .max_by(|&a, &b| scores[a].total_cmp(&scores[b]));
            let Some(best) = best else { break };
            if scores[best] <= 0.0 {
                break;
            }
            let centre = (best as i64 - self.reach) * group + (group - 1) / 2;
            // At the edge what is found may be a skirt's, too.
            let edge = best == 0 || best + 1 == self.scores.len();
            taken[places] = (best as i64, if edge { skirt } else { separation });
            if let Some(power) = self.cut_out(centre) {
                if let Some(detection) = self.confirm(centre, power) {
                    // Two places may show the same line.
                    let near = SKIRT * self.target.symbol_rate_bd;
                    let away = |d: &Detection| (d.frequency_hz - detection.frequency_hz).abs();
                    if out.iter().all(|d| away(d) > near) {
                        out.push(detection);
                    }
                    signals += 1;
                } else {
                    taken[places].1 = skirt;
                    failures += 1;
                }
            }
            places += 1;
        }
    }

    /// Cuts the band around bin `centre` out and matches it to the pulse. Its power; `None` if
    /// there is nothing, or nothing but a carrier.
    fn cut_out(&mut self, centre: i64) -> Option<f32> {
        let length = self.spectrum.len() as i64;
        let half = self.amplitude.len() as i64 / 2;
        let band = self.band.len() as i64;
        self.band.fill(Complex32::default());
        let (mut power, mut line) = (0.0f32, 0.0f32);
        let mut previous = [0.0f32; 2];
        for (i, amplitude) in self.amplitude.iter().enumerate() {
            let k = i as i64 - half;
            let x = self.spectrum[(centre + k).rem_euclid(length) as usize];
            let p = x.norm_sqr();
            power += p;
            line = line.max(p + previous[0] + previous[1]);
            previous = [p, previous[0]];
            self.band[k.rem_euclid(band) as usize] = x * amplitude;
        }
        (power > 0.0 && line <= CARRIER_SHARE * power).then_some(power)
    }

    /// Looks for the line of the squared signal in the band cut out around bin `centre`.
    fn confirm(&mut self, centre: i64, power: f32) -> Option<Detection> {
        let length = self.spectrum.len() as i64;
        let scale = power.sqrt().recip();
        self.inverse.process_with_scratch(&mut self.band, &mut self.scratch);
        let mut best: Option<(f32, f64, f64)> = None;
        for drift in 0..=self.chirps.len() {
            let matched = &self.band[..self.points];
            let drift_hz_per_s = match drift.checked_sub(1) {
                None => {
                    for (q, y) in self.squared.iter_mut().zip(matched) {
                        let z = y * scale;
                        *q = z * z;
                    }
                    0.0
                }
                Some(d) => {
                    let (drift_hz_per_s, chirp) = &self.chirps[d];
                    for ((q, y), c) in self.squared.iter_mut().zip(matched).zip(chirp) {
                        let z = y * scale;
                        *q = z * z * c;
                    }
                    *drift_hz_per_s
                }
            };
            self.squared[self.points..].fill(Complex32::default());
            self.square.process_with_scratch(&mut self.squared, &mut self.scratch);
            let (strength, doubled) = self.line();
            if best.is_none_or(|(s, ..)| strength > s) {
                best = Some((strength, doubled, drift_hz_per_s));
            }
        }
        let (strength, doubled_hz, drift_hz_per_s) = best?;
        let frequency_hz = centre as f64 * self.sample_rate_hz / length as f64 + 0.5 * doubled_hz;
        let inside = frequency_hz.abs() <= self.target.search_hz + 0.1 * self.target.symbol_rate_bd;
        let seen = strength > self.target.threshold && inside;
        seen.then_some(Detection { frequency_hz, drift_hz_per_s, strength })
    }

    /// Peak over mean in the spectrum of the squared signal, and the peak's frequency.
    fn line(&mut self) -> (f32, f64) {
        let length = self.squared.len() as i64;
        let point_rate = self.sample_rate_hz * self.band.len() as f64 / self.spectrum.len() as f64;
        let bin_hz = point_rate / length as f64;
        let baud = self.target.symbol_rate_bd;
        let offset = (0.5 * baud / bin_hz).round() as i64;
        let limit = (0.4 * baud / bin_hz) as i64;
        let wide = (0.8 * baud / bin_hz) as i64;
        let outer = if self.target.msk { wide + offset } else { wide };
        powers(&self.squared, -outer, 2 * outer + 1, &mut self.powers);
        if self.target.msk {
            let apart = 2 * offset as usize;
            for i in 0..self.powers.len() - apart {
                self.powers[i] += self.powers[i + apart];
            }
            self.powers.truncate(2 * wide as usize + 1);
        }
        let at = |k: i64| self.powers[(k + wide) as usize];
        let (mut best, mut peak) = (0.0f32, 0i64);
        for k in -limit..=limit {
            let p = at(k);
            if p > best {
                best = p;
                peak = k;
            }
        }
        let near = (peak + wide - 8).max(0) as usize;
        let far = (peak + wide + 9).max(0) as usize;
        let far = far.min(self.powers.len());
        let around = self.powers[..near].iter().chain(&self.powers[far..]);
        let count = near + self.powers.len() - far;
        let strength = best * count as f32 / (around.sum::<f32>() + 1e-30);
        let side = |k: i64| self.powers.get((k + wide) as usize).map_or(0.0, |p| p.sqrt());
        let (a, b, c) = (side(peak - 1), best.sqrt(), side(peak + 1));
        let curve = 2.0 * b - a - c;
        let fine = if curve > 0.0 { (0.5 * (c - a) / curve).clamp(-0.5, 0.5) } else { 0.0 };
        (strength, (peak as f64 + f64::from(fine)) * bin_hz)
    }
}

/// Powers of `count` bins of a spectrum from bin `first` on, which may be negative.
fn powers(spectrum: &[Complex32], first: i64, count: i64, out: &mut Vec<f32>) {
    out.clear();
    let length = spectrum.len();
    let mut at = first.rem_euclid(length as i64) as usize;
    let mut left = count.max(0) as usize;
    while left > 0 {
        let run = left.min(length - at);
        out.extend(spectrum[at..at + run].iter().map(|x| x.norm_sqr()));
        left -= run;
        at = 0;
    }
}

/// The smallest 2^a·3^b that is not below `n`: lengths that an FFT is quick at.
pub fn fast_length(n: usize) -> usize {
    let mut best = n.max(2).next_power_of_two();
    let mut three = 3;
    while three < best {
        let two = n.div_ceil(three).next_power_of_two();
        // An even length keeps the FFT in its quick kernels.
        best = best.min(three * two.max(4));
        three *= 3;
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fast_lengths_are_smooth_and_close() {
        for n in 1..5000 {
            let m = fast_length(n);
            assert!(m >= n && (n < 12 || m < 2 * n));
            let mut rest = m;
            while rest.is_multiple_of(2) {
                rest /= 2;
            }
            while rest.is_multiple_of(3) {
                rest /= 3;
            }
            assert_eq!(rest, 1);
        }
    }
}
