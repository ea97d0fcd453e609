//! The carrier of a signal of unknown modulation, from its spectrum alone.
//!
//! ```text
//!  samples ─► power spectra ─► rows of 50 ms ─► P / floor - 1 ─► strongest bands ─► chain
//!                                  floor of a bin: a low quantile of it over time
//! ```
//!
//! What stands still in frequency and does not pause is part of the floor: the radio's spike at
//! 0 Hz, birdies, the slopes of its filter. What comes in bursts or moves with the Doppler shift
//! stands out. A signal that never pauses and hardly moves is looked for a second time over a flat
//! floor, with narrow lines masked.
//!
//! In each row, the excess `e` over the floor is summed over bands of one width, that width of a
//! power of two which shows most over the whole recording. The bands that stand out are candidates;
//! the chain of candidates with the greatest sum of scores whose frequency does not move faster
//! than a satellite's is the track, so that a second, weaker signal does not enter it. The frequency
//! is the centroid `Σ e f / Σ e` over twice the band.
//!
//! Its standard deviation has two parts: noise, `σ_e² Σ (f - f₀)² / (Σ e)²`, and the data, whose
//! mean over a row of `T` seconds is not 0: `w / √(3 T w)`, `w` the root mean square width.
//!
//! A signal of two separate tones (FSK of a large modulation index) is tracked by one of them. The
//! spectra, aligned to the track and added up, then show another of like power that moves along, on
//! one side alone: the carrier is half way between.

use num_complex::Complex32;

use super::spectrum::PowerSpectrum;

/// Bins are this wide at most, Hz.
const BIN_HZ: f64 = 150.0;
/// Duration of a row.
const ROW_S: f64 = 0.05;
/// Longest and shortest spectrum, samples.
const LONGEST: usize = 1 << 16;
const SHORTEST: usize = 16;
/// Most bins of a row; more are added up in groups.
const MOST_BINS: usize = 4096;
/// Most numbers kept: 50 minutes of a band of 100 kHz. What comes later is not looked at.
const MOST_CELLS: usize = 1 << 26;
/// The floor of a bin is this quantile over time.
const FLOOR_QUANTILE: f64 = 0.25;
/// Score of a band in noise: standard deviations, if it were Gaussian and bins independent; the
/// rest is margin.
const THRESHOLD: f32 = 9.0;
/// Candidates of a row.
const CANDIDATES: usize = 3;
/// A candidate may follow one of so many before it.
const LOOK_BACK: usize = 400;
/// Neighbouring bins of a Hann window are alike: a sum's variance is greater by this.
const ALIKE: f64 = 1.9;
/// The flat floor is taken if it shows so many times more.
const FLAT_LEAD: f32 = 3.0;
/// A narrow line is above its neighbours by this factor.
const LINE: f32 = 2.0;
/// Within this many bins on either side.
const LINE_BINS: usize = 8;
/// The other tone of a pair is looked for as far as this, Hz.
const PAIR_HZ: f64 = 30e3;
/// Its distance is the same in both halves of the track, to so many bins.
const KEPT_BINS: f64 = 8.0;
/// It has this share of the first one's power at least.
const PAIR_POWER: f64 = 0.5;

/// Where a carrier is looked for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TrackSettings {
    /// Samples per second; above 0.
    pub sample_rate_hz: f64,
    /// Middle of the band that is looked at, against 0 Hz of the input.
    pub middle_hz: f64,
    /// Half its width.
    pub half_band_hz: f64,
    /// Carriers do not move faster than this, Hz/s.
    pub fastest_hz_per_s: f64,
}

/// A carrier in a row of spectra.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TrackPoint {
    /// Index in the input of the row's middle.
    pub sample: u64,
    /// Frequency against 0 Hz of the input.
    pub frequency_hz: f64,
    /// Its standard deviation.
    pub sigma_hz: f64,
    /// Power of the signal against the noise in its band, dB.
    pub snr_db: f32,
}

/// Collects spectra, and finds the strongest track in them at the end.
#[derive(Debug)]
pub struct CarrierTracker {
    settings: TrackSettings,
    spectrum: PowerSpectrum,
    /// Bins of the spectrum, in ascending order of frequency, of the first of each group.
    first_bin: i64,
    group: usize,
    bins: usize,
    spectra_per_row: usize,
    pending: Vec<Complex32>,
    /// Index in the input after the last of `pending`.
    next_sample: u64,
    /// Power of all bins, and sum of a row so far.
    power: Vec<f32>,
    gathered: usize,
    row_first: u64,
    /// Middle of each row, and all rows one after the other.
    rows: Vec<u64>,
    cells: Vec<f32>,
}

/// A band of a row that stands out.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    row: usize,
    score: f32,
    point: TrackPoint,
}

impl CarrierTracker {
    /// A tracker for some band.
    pub fn new(settings: TrackSettings) -> Self {
        let or = |x: f64, least: f64| if x.is_finite() { x.max(least) } else { least };
        let rate_hz = or(settings.sample_rate_hz, 1.0);
        let middle_hz = if settings.middle_hz.is_finite() { settings.middle_hz } else { 0.0 };
        let settings = TrackSettings {
            sample_rate_hz: rate_hz,
            middle_hz: middle_hz.clamp(-0.5 * rate_hz, 0.5 * rate_hz),
            half_band_hz: or(settings.half_band_hz, 0.0),
            fastest_hz_per_s: or(settings.fastest_hz_per_s, 0.0),
        };
        let wanted = (rate_hz / BIN_HZ).clamp(SHORTEST as f64, LONGEST as f64) as usize;
        let length = wanted.next_power_of_two();
        let bin_hz = rate_hz / length as f64;
        let half = length as i64 / 2;
        let edge = |hz: f64| ((hz / bin_hz).round() as i64).clamp(-half, half - 1);
        let first_bin = edge(settings.middle_hz - settings.half_band_hz);
        let last_bin = edge(settings.middle_hz + settings.half_band_hz);
        let wide = (last_bin - first_bin + 1).max(1) as usize;
        let group = wide.div_ceil(MOST_BINS);
        Self {
            settings,
            spectrum: PowerSpectrum::new(length),
            first_bin,
            group,
            bins: (wide / group).max(1),
            spectra_per_row: ((ROW_S * rate_hz / (length / 2) as f64).round() as usize).max(2),
            pending: Vec::new(),
            next_sample: 0,
            power: vec![0.0; length],
            gathered: 0,
            row_first: 0,
            rows: Vec::new(),
            cells: Vec::new(),
        }
    }

    /// Takes samples of which the first has this index in the input; a jump is a gap.
    pub fn push(&mut self, first_sample: u64, samples: &[Complex32]) {
        if first_sample != self.next_sample {
            self.pending.clear();
            self.gathered = 0;
            self.power.fill(0.0);
        }
        self.next_sample = first_sample + samples.len() as u64;
        self.pending.extend_from_slice(samples);
        let length = self.spectrum.length();
        let mut at = 0;
        while self.pending.len() - at >= length {
            if self.gathered == 0 {
                self.row_first = self.next_sample - (self.pending.len() - at) as u64;
            }
            self.spectrum.accumulate(&self.pending[at..at + length], &mut self.power);
            self.gathered += 1;
            at += length / 2;
            if self.gathered == self.spectra_per_row {
                self.end_row();
            }
        }
        self.pending.drain(..at);
    }

    fn end_row(&mut self) {
        let length = self.spectrum.length();
        if self.cells.len() + self.bins <= MOST_CELLS {
            for bin in 0..self.bins {
                let first = self.first_bin + (bin * self.group) as i64;
                let sum: f32 = (first..first + self.group as i64)
                    .map(|b| self.power[b.rem_euclid(length as i64) as usize])
                    .sum();
                self.cells.push(if sum.is_finite() { sum } else { 0.0 });
            }
            let samples = (self.gathered + 1) * length / 2;
            self.rows.push(self.row_first + samples as u64 / 2);
        }
        self.gathered = 0;
        self.power.fill(0.0);
    }

    /// Frequency of the middle of a bin of a row.
    fn frequency_hz(&self, bin: usize) -> f64 {
        let middle = self.first_bin as f64 + (bin * self.group) as f64;
        (middle + 0.5 * (self.group - 1) as f64) * self.bin_hz() / self.group as f64
    }

    /// Width of a bin of a row.
    fn bin_hz(&self) -> f64 {
        self.settings.sample_rate_hz / self.spectrum.length() as f64 * self.group as f64
    }

    /// The input has ended: the strongest track, in order of time. Empty: nothing stands out.
    pub fn finish(mut self) -> Vec<TrackPoint> {
        if self.rows.is_empty() {
            return Vec::new();
        }
        let steady = self.floor_over_time();
        let flat = self.flat_floor(&steady);
        let cells = std::mem::take(&mut self.cells);
        let (bursts, bursts_score) = self.track(&cells, &steady);
        let (all, all_score) = self.track(&cells, &flat);
        // A slope of the filter does not move.
        let moves = spread(&all) > 3.0 * self.bin_hz();
        if all_score > FLAT_LEAD * bursts_score && moves { all } else { bursts }
    }

    /// A low quantile of each bin over time.
    fn floor_over_time(&self) -> Vec<f32> {
        let mut column = Vec::with_capacity(self.rows.len());
        (0..self.bins)
            .map(|bin| {
                column.clear();
                column.extend(self.cells.iter().skip(bin).step_by(self.bins));
                quantile(&mut column, FLOOR_QUANTILE)
            })
            .collect()
    }

    /// The same for all bins but those of narrow lines.
    fn flat_floor(&self, steady: &[f32]) -> Vec<f32> {
        let level = quantile(&mut steady.to_vec(), FLOOR_QUANTILE);
        (0..self.bins)
            .map(|bin| {
                let around = bin.saturating_sub(LINE_BINS)..(bin + LINE_BINS + 1).min(self.bins);
                let usual = quantile(&mut steady[around].to_vec(), 0.5);
                if steady[bin] > LINE * usual { steady[bin] } else { level }
            })
            .collect()
    }

    /// The track over a floor, and the sum of its scores.
    fn track(&self, cells: &[f32], floor: &[f32]) -> (Vec<TrackPoint>, f32) {
        let ratio = |power: f32, floor: f32| if floor > 0.0 { power / floor } else { 0.0 };
        let mut excess: Vec<f32> = cells
            .chunks_exact(self.bins)
            .flat_map(|row| row.iter().zip(floor).map(|(&p, &f)| ratio(p, f)))
            .collect();
        // The floor was a low quantile; noise is what most cells hold.
        let stride = (excess.len() / 200_000).max(1) | 1;
        let mut some: Vec<f32> = excess.iter().copied().step_by(stride).collect();
        let noise = quantile(&mut some, 0.5);
        if !(noise > 0.0 && noise.is_finite()) {
            return (Vec::new(), 0.0);
        }
        excess.iter_mut().for_each(|x| *x = *x / noise - 1.0);
        some.iter_mut().for_each(|x| *x = (*x / noise - 1.0).abs());
        let sigma = (1.4826 * quantile(&mut some, 0.5)).max(1e-6);

        let mut sums = vec![0.0f32; self.bins + 1];
        let mut widths: Vec<(usize, f32)> = Vec::new();
        let mut width = 2;
        while width <= self.bins.div_ceil(3).max(2) && width <= self.bins {
            widths.push((width, 0.0));
            width *= 2;
        }
        for row in excess.chunks_exact(self.bins) {
            add_up(row, &mut sums);
            for (width, total) in &mut widths {
                let unit = sigma * (*width as f32).sqrt();
                let best = (*width..=self.bins)
                    .map(|end| sums[end] - sums[end - *width])
                    .fold(0.0f32, f32::max);
                *total += (best / unit - THRESHOLD).max(0.0);
            }
        }
        let Some(&(width, total)) = widths.iter().max_by(|a, b| a.1.total_cmp(&b.1)) else {
            return (Vec::new(), 0.0);
        };
        if total <= 0.0 {
            return (Vec::new(), 0.0);
        }
        let mut candidates = Vec::new();
        for (index, row) in excess.chunks_exact(self.bins).enumerate() {
            add_up(row, &mut sums);
            self.candidates(index, row, &sums, width, sigma, &mut candidates);
        }
        let (chain, score) = self.chain(&candidates);
        // A tone of the same signal keeps its distance; another signal's Doppler shift is another.
        let (early, late) = chain.split_at(chain.len() / 2);
        let apart_hz = self.pair_hz(&excess, late, width);
        let before_hz = self.pair_hz(&excess, early, width);
        let kept = (apart_hz - before_hz).abs() <= KEPT_BINS * self.bin_hz();
        let apart_hz = if kept { 0.5 * (apart_hz + before_hz) } else { 0.0 };
        let points = chain.iter().map(|candidate| TrackPoint {
            frequency_hz: candidate.point.frequency_hz + 0.5 * apart_hz,
            ..candidate.point
        });
        (points.collect(), score)
    }

    /// How far the other tone of a pair is; 0 if there is none.
    fn pair_hz(&self, excess: &[f32], chain: &[Candidate], width: usize) -> f64 {
        let reach = (PAIR_HZ / self.bin_hz()) as usize + width;
        let mut profile = vec![0.0f64; 2 * reach + 1];
        for candidate in chain {
            let row = excess.get(candidate.row * self.bins..).unwrap_or_default();
            let from_first_hz = candidate.point.frequency_hz - self.frequency_hz(0);
            let middle = (from_first_hz / self.bin_hz()).round() as i64;
            for (k, sum) in profile.iter_mut().enumerate() {
                let bin = usize::try_from(middle + k as i64 - reach as i64);
                let inside = bin.ok().filter(|bin| *bin < self.bins);
                *sum += inside.and_then(|bin| row.get(bin)).map_or(0.0, |&e| f64::from(e));
            }
        }
        let power = |at: usize| profile[at - width..=at + width].iter().sum::<f64>();
        let places = width..profile.len().saturating_sub(width);
        let other = places
            .filter(|at| at.abs_diff(reach) > 2 * width)
            .map(|at| (at, power(at)))
            .max_by(|a, b| a.1.total_cmp(&b.1));
        match other {
            // Sidebands on both sides are not a pair.
            Some((at, strength))
                if strength >= PAIR_POWER * power(reach)
                    && power(2 * reach - at) < PAIR_POWER * strength =>
            {
                (at as f64 - reach as f64) * self.bin_hz()
            }
            _ => 0.0,
        }
    }

    /// The bands of a row that stand out most.
    fn candidates(
        &self,
        index: usize,
        row: &[f32],
        sums: &[f32],
        width: usize,
        sigma: f32,
        out: &mut Vec<Candidate>,
    ) {
        let unit = sigma * (width as f32).sqrt();
        let mut taken: Vec<usize> = Vec::new();
        while taken.len() < CANDIDATES {
            let best = (0..=self.bins - width)
                .filter(|first| taken.iter().all(|other| first.abs_diff(*other) > 2 * width))
                .map(|first| (first, (sums[first + width] - sums[first]) / unit))
                .max_by(|a, b| a.1.total_cmp(&b.1));
            let Some((first, score)) = best.filter(|(_, score)| *score >= THRESHOLD) else { break };
            taken.push(first);
            if let Some(point) = self.centroid(index, row, first, width, sigma) {
                out.push(Candidate { row: index, score, point });
            }
        }
    }

    /// Carrier of a band, over twice its width.
    fn centroid(
        &self,
        index: usize,
        row: &[f32],
        first: usize,
        width: usize,
        sigma: f32,
    ) -> Option<TrackPoint> {
        let mut middle = first as f64 + 0.5 * (width - 1) as f64;
        let (mut sum, mut second, mut spread) = (0.0, 0.0, 0.0);
        for _ in 0..4 {
            let from = (middle - width as f64).round().max(0.0) as usize;
            let to = ((middle + width as f64).round().max(0.0) as usize).min(self.bins - 1);
            let band = row.get(from..=to)?;
            let terms = || band.iter().zip(from..).map(|(&e, bin)| (f64::from(e), bin as f64));
            sum = terms().map(|(e, _)| e).sum();
            if sum <= 0.0 {
                return None;
            }
            middle = terms().map(|(e, bin)| e * bin).sum::<f64>() / sum;
            if !(from as f64..=to as f64).contains(&middle) {
                return None;
            }
            second = terms().map(|(e, bin)| e * (bin - middle).powi(2)).sum::<f64>() / sum;
            spread = terms().map(|(_, bin)| (bin - middle).powi(2)).sum::<f64>();
        }
        let bin_hz = self.bin_hz();
        let noise_hz = bin_hz * f64::from(sigma) * (ALIKE * spread).sqrt() / sum;
        let width_hz = bin_hz * second.max(0.25).sqrt();
        let row_s = (self.spectra_per_row + 1) as f64 * self.spectrum.length() as f64
            / (2.0 * self.settings.sample_rate_hz);
        let data_hz = width_hz / (3.0 * row_s * width_hz).max(1.0).sqrt();
        Some(TrackPoint {
            sample: *self.rows.get(index)?,
            frequency_hz: self.frequency_hz(0) + middle * bin_hz,
            sigma_hz: noise_hz.hypot(data_hz).max(1e-3),
            snr_db: (10.0 * (sum / width as f64).log10()) as f32,
        })
    }

    /// The chain with the greatest sum of scores.
    fn chain(&self, candidates: &[Candidate]) -> (Vec<Candidate>, f32) {
        let mut best: Vec<(f32, Option<usize>)> = Vec::with_capacity(candidates.len());
        for (here, candidate) in candidates.iter().enumerate() {
            let mut before: (f32, Option<usize>) = (0.0, None);
            for earlier in (here.saturating_sub(LOOK_BACK)..here).rev() {
                let other = &candidates[earlier];
                if other.row == candidate.row || best[earlier].0 <= before.0 {
                    continue;
                }
                let samples = candidate.point.sample.saturating_sub(other.point.sample) as f64;
                let reach_hz = self.settings.fastest_hz_per_s * samples
                    / self.settings.sample_rate_hz
                    + 4.0 * candidate.point.sigma_hz.hypot(other.point.sigma_hz)
                    + 2.0 * self.bin_hz();
                let apart_hz = candidate.point.frequency_hz - other.point.frequency_hz;
                if apart_hz.abs() <= reach_hz {
                    before = (best[earlier].0, Some(earlier));
                }
            }
            best.push((before.0 + candidate.score, before.1));
        }
        let last = (0..best.len()).max_by(|a, b| best[*a].0.total_cmp(&best[*b].0));
        let Some(last) = last else { return (Vec::new(), 0.0) };
        let mut points = Vec::new();
        let mut at = Some(last);
        while let Some(here) = at {
            points.push(candidates[here]);
            at = best[here].1;
        }
        points.reverse();
        (points, best[last].0)
    }
}

/// Sums from the row's beginning.
fn add_up(row: &[f32], sums: &mut [f32]) {
    let mut sum = 0.0;
    for (slot, e) in sums.iter_mut().skip(1).zip(row) {
        sum += e;
        *slot = sum;
    }
}

/// A quantile; the values are put in another order. 0 of none.
fn quantile(values: &mut [f32], share: f64) -> f32 {
    let Some(last) = values.len().checked_sub(1) else { return 0.0 };
    let at = (share * last as f64).round() as usize;
    *values.select_nth_unstable_by(at.min(last), f32::total_cmp).1
}

/// Width of the middle 80 % of the frequencies, Hz.
fn spread(points: &[TrackPoint]) -> f64 {
    let mut frequencies: Vec<f64> = points.iter().map(|p| p.frequency_hz).collect();
    frequencies.sort_by(f64::total_cmp);
    let at = |share: f64| {
        let last = frequencies.len().saturating_sub(1);
        frequencies.get((share * last as f64).round() as usize).copied().unwrap_or(0.0)
    };
    at(0.9) - at(0.1)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use std::f64::consts::TAU;

    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;
    use rand_distr::StandardNormal;

    use super::*;

    const RATE_HZ: f64 = 48_000.0;

    /// MSK of random symbols while `on`, its carrier at `at(seconds)`.
    fn add(
        samples: &mut [Complex32],
        amplitude: f64,
        symbol_rate_bd: f64,
        on: impl Fn(f64) -> bool,
        at: impl Fn(f64) -> f64,
        seed: u64,
    ) {
        add_fsk(samples, amplitude, (symbol_rate_bd, 0.5), on, at, seed);
    }

    /// FSK of a symbol rate and a modulation index.
    fn add_fsk(
        samples: &mut [Complex32],
        amplitude: f64,
        (symbol_rate_bd, index): (f64, f64),
        on: impl Fn(f64) -> bool,
        at: impl Fn(f64) -> f64,
        seed: u64,
    ) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let (mut phase, mut symbol, mut sign) = (0.0f64, 0u64, 1.0);
        for (n, sample) in samples.iter_mut().enumerate() {
            let t = n as f64 / RATE_HZ;
            if (t * symbol_rate_bd) as u64 != symbol {
                symbol = (t * symbol_rate_bd) as u64;
                sign = if rng.random() { 1.0 } else { -1.0 };
            }
            phase += TAU * (at(t) + sign * index * symbol_rate_bd / 2.0) / RATE_HZ;
            phase %= TAU;
            if on(t) {
                *sample += Complex32::from_polar(amplitude as f32, phase as f32);
            }
        }
    }

    fn noise(seconds: f64, seed: u64) -> Vec<Complex32> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut normal =
            || 0.1 * std::f32::consts::FRAC_1_SQRT_2 * rng.sample::<f32, _>(StandardNormal);
        (0..(seconds * RATE_HZ) as usize).map(|_| Complex32::new(normal(), normal())).collect()
    }

    fn settings() -> TrackSettings {
        TrackSettings {
            sample_rate_hz: RATE_HZ,
            middle_hz: 0.0,
            half_band_hz: 50e3,
            fastest_hz_per_s: 250.0,
        }
    }

    fn tracked(samples: &[Complex32], chunk: usize) -> Vec<TrackPoint> {
        let mut tracker = CarrierTracker::new(settings());
        let mut first = 0;
        for piece in samples.chunks(chunk) {
            tracker.push(first, piece);
            first += piece.len() as u64;
        }
        tracker.finish()
    }

    /// Root mean square of the error, and of the error in standard deviations.
    fn errors(points: &[TrackPoint], at: impl Fn(f64) -> f64) -> (f64, f64) {
        let n = points.len().max(1) as f64;
        let error = |p: &TrackPoint| p.frequency_hz - at(p.sample as f64 / RATE_HZ);
        let rms = points.iter().map(|p| error(p).powi(2)).sum::<f64>() / n;
        let ratio = points.iter().map(|p| (error(p) / p.sigma_hz).powi(2)).sum::<f64>() / n;
        (rms.sqrt(), ratio.sqrt())
    }

    /// As at culmination.
    fn doppler(t: f64) -> f64 {
        -6000.0 * ((t - 15.0) / 40.0).tanh()
    }

    #[test]
    fn bursts_in_noise_among_birdies_and_a_weaker_signal() {
        let mut samples = noise(30.0, 1);
        // 6 dB in a band of 9600 Hz: the noise of 48 kHz has power .01.
        let amplitude = (0.01 * 9600.0 / RATE_HZ * 4.0f64).sqrt();
        let on = |t: f64| t % 3.0 < 0.4;
        add(&mut samples, amplitude, 9600.0, on, doppler, 2);
        add(&mut samples, 0.6 * amplitude, 4800.0, |t| t % 2.0 > 1.7, |_| 17_000.0, 3);
        for (n, sample) in samples.iter_mut().enumerate() {
            let tone = |hz: f64| {
                Complex32::from_polar(0.2, (TAU * (hz * n as f64 / RATE_HZ).fract()) as f32)
            };
            *sample += Complex32::new(0.3, 0.0) + tone(2500.0) + tone(-9100.0);
        }
        let points = tracked(&samples, 10_000);
        assert!(points.len() > 60, "{}", points.len());
        assert!(
            points
                .iter()
                .all(|p| on(p.sample as f64 / RATE_HZ - 0.03)
                    || on(p.sample as f64 / RATE_HZ + 0.03))
        );
        let (rms, ratio) = errors(&points, doppler);
        assert!(rms < 300.0 && (0.4..2.0).contains(&ratio), "{rms} Hz, {ratio} sigma");
        assert_eq!(points, tracked(&samples, 777), "cuts do not show");
    }

    #[test]
    fn two_tones_are_one_signal_and_two_signals_are_not() {
        let mut samples = noise(30.0, 11);
        let on = |t: f64| t % 3.0 < 0.4;
        add_fsk(&mut samples, 0.1, (4800.0, 2.0), on, doppler, 12);
        let (rms, _) = errors(&tracked(&samples, 10_000), doppler);
        assert!(rms < 200.0, "{rms} Hz");
        let mut samples = noise(30.0, 13);
        add(&mut samples, 0.1, 4800.0, on, doppler, 14);
        add(&mut samples, 0.09, 4800.0, on, |t| 9000.0 - doppler(t), 15);
        let (rms, _) = errors(&tracked(&samples, 10_000), doppler);
        assert!(rms < 300.0, "{rms} Hz");
    }

    #[test]
    fn a_signal_that_never_pauses() {
        let mut samples = noise(30.0, 4);
        let slow = |t: f64| 3000.0 - 30.0 * t;
        add(&mut samples, 0.15, 9600.0, |_| true, slow, 5);
        let points = tracked(&samples, 4096);
        let (rms, ratio) = errors(&points, slow);
        assert!(points.len() > 400 && rms < 250.0 && ratio < 2.5, "{} {rms} {ratio}", points.len());
    }

    #[test]
    fn noise_has_no_carrier() {
        let points = tracked(&noise(20.0, 6), 5000);
        assert!(points.len() < 3, "{points:?}");
        assert!(tracked(&vec![Complex32::default(); 100_000], 5000).is_empty());
        assert!(tracked(&[], 1).is_empty());
        let constant = vec![Complex32::new(0.5, 0.0); 100_000];
        assert!(tracked(&constant, 5000).is_empty());
    }

    #[test]
    fn no_input_panics() {
        let odd = [0.0, -1.0, f64::NAN, f64::INFINITY, 1e-300, 1e12];
        for sample_rate_hz in odd {
            for half_band_hz in odd {
                let settings = TrackSettings {
                    sample_rate_hz,
                    middle_hz: half_band_hz,
                    half_band_hz,
                    fastest_hz_per_s: half_band_hz,
                };
                let mut tracker = CarrierTracker::new(settings);
                let mut samples = vec![Complex32::new(f32::NAN, f32::INFINITY); 300];
                samples.extend(vec![Complex32::new(1e30, -1e30); 300]);
                tracker.push(0, &samples);
                tracker.push(5, &samples);
                tracker.push(u64::MAX / 2, &samples);
                tracker.finish();
            }
        }
    }

    #[test]
    fn rows_count_samples_of_the_input_across_gaps() {
        let mut samples = noise(8.0, 7);
        add(&mut samples, 0.15, 9600.0, |t| t % 2.0 < 0.5, |_| 5000.0, 8);
        let mut tracker = CarrierTracker::new(settings());
        let (before, after) = samples.split_at(4 * RATE_HZ as usize);
        tracker.push(0, before);
        tracker.push(1_000_000, after);
        let points = tracker.finish();
        assert!(points.iter().any(|p| p.sample < 100_000));
        assert!(points.iter().any(|p| (1_000_000..1_030_000).contains(&p.sample)));
        assert!(points.iter().all(|p| (p.frequency_hz - 5000.0).abs() < 600.0));
    }
}
