//! Where in time and frequency is there a signal: short-time spectra against template spectra.
//!
//! Hann windows of 48 to 72 symbols, half overlapping. A template T (sum 1) is the spectrum of
//! random CPM through the same window; the statistic of a window is
//!
//! ```text
//! max over shifts k and templates of  (Σ_i T_i P_{k+i} / N0 - 1) / (1.39 ‖T‖)
//! ```
//!
//! in standard deviations of noise (1.39 = √(1 + 2 (4/9 + 1/36)), the correlation of a Hann
//! window's neighbouring bins). It is taken over two floors:
//!
//! * **per bin**: the 20 % quantile over the last seconds of each bin, which removes spurs, humps
//!   and filter skirts, and needs gaps in the signal;
//! * **flat**: the 25 % quantile over frequency, which also works for signals without gaps. Bins
//!   that always stand out of their neighbours (spurs) are lowered to them.
//!
//! Neither is less than [`LEAST_FLOOR`] of the loudest window around: without any noise (a simulation,
//! a squelched receiver) rounding errors would be signals over it.
//!
//! What is decided about a window depends on the samples up to its end, and on nothing else; only the
//! first half second is decided together when it has come. Floors are those of the past: noise
//! that rises is a signal at first, for less than a second.

use std::f64::consts::PI;
use std::sync::Arc;

use num_complex::Complex32;
use rustfft::{Fft, FftPlanner};

#[cfg(target_arch = "x86_64")]
use super::lanes::Avx;
use super::lanes::{LANES, Lanes, Vector, has_avx2};
use super::pulse::{PhasePulse, autocorrelation};

/// Indices of the templates for signals of any index up to some 1.2.
pub(super) const TEMPLATE_H: [f64; 5] = [0.35, 0.5, 0.7, 0.85, 1.0];
/// Those of them that are used for detection.
pub(super) const DETECTING: [usize; 2] = [1, 3];
/// Half of the spectrum beyond the tones, in units of the symbol rate.
const SKIRT_BAUD: f64 = 0.6;
/// Standard deviation of a weighted sum of bins over that of independent ones.
const HANN_CORRELATION: f32 = 1.39;
/// Quantile of the floor per bin, and what it is of the mean of an exponential distribution.
const BIN_QUANTILE: f64 = 0.2;
const BIN_QUANTILE_OF_MEAN: f32 = 0.2231;
/// Fewest spectra that give a floor per bin.
const LEAST_SPECTRA: usize = 40;

/// The time constants, in seconds, are for signals with so many windows a second at most (40 kBd);
/// faster ones have the same number of windows in less time.
const MOST_WINDOWS_PER_SECOND: f64 = 1600.0;

/// Windows that stay available behind the one that is being decided.
const MEMORY: u64 = 64;

/// Least floor against the mean power per bin of the loudest window in memory: 90 dB below it there
/// are rounding errors, and no signals.
const LEAST_FLOOR: f32 = 1e-9;

/// Most that a bin is over its floor when the carrier is estimated.
const STRONGEST_BIN: f32 = 1e3;

/// The two noise floors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Floor {
    /// Its own for every bin.
    PerBin,
    /// One for all.
    Flat,
}

/// A template spectrum over bins `-reach ..= reach`, padded to a multiple of eight with zeros.
struct Template {
    h: f64,
    weights: Vec<f32>,
    /// The same over pairs of bins, for detection.
    pairs: Vec<f32>,
    norm: f32,
}

/// What an averaged spectrum shows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Estimate {
    /// Carrier in cycles per sample.
    pub frequency: f64,
    /// Modulation index of the template that fits best.
    pub h: f64,
    /// There is something stronger beside it, that the narrow low-pass keeps out.
    pub crowded: bool,
}

/// A floor per bin so many times the flat one is that of a signal.
const RISEN: f32 = 4.0;
/// Signals at once that are told apart.
const MOST_SIGNALS: usize = 3;
/// Mean statistic that a further signal needs.
const FURTHER: f32 = 3.0;
/// A signal covers so many symbol rates on either side of its carrier, one with an index near 1 so many.
const COVERED_BAUD: f64 = 0.9;
const COVERED_WIDE_BAUD: f64 = 1.4;
/// Index from which on it is the latter, and needs the wide low-pass.
const WIDE_INDEX: f64 = 0.8;
/// Outside of what is searched, further away than this, there is nothing but neighbours.
const OUTSIDE_BAUD: f64 = 0.75;

/// The gate.
pub(super) struct Gate {
    fft: Arc<dyn Fft<f32>>,
    window: Vec<f32>,
    /// Samples from one window to the next.
    hop: usize,
    templates: Vec<Template>,
    /// Templates that are used for detection.
    detecting: &'static [usize],
    reach: usize,
    /// Width of a bin in units of the symbol rate.
    bin_baud: f64,
    /// Sum of the window's squares.
    window_power: f32,
    search_bins: usize,
    usable_bins: usize,
    box_bins: usize,
    quantile_of_mean: f32,
    warm_up: u64,
    second: u64,
    update: u64,
    /// Every so many-th spectrum is kept: at first all, and fewer as time goes on.
    history_stride: u64,
    longest_stride: u64,
    /// Spectra of the last windows, in a ring.
    ring: Vec<f32>,
    ring_windows: u64,
    flat: Vec<f32>,
    /// Mean power per bin of the windows in the ring.
    mean: Vec<f32>,
    count: u64,
    /// Every `history_stride`-th spectrum, in a ring: `[entry][bin]`.
    history: Vec<f32>,
    history_entries: usize,
    history_filled: u64,
    /// 1 / floor per bin; empty before there is one.
    inverse_floor: Vec<f32>,
    /// What lowers the spurs to their neighbours.
    despur: Vec<f32>,
    flat_floor: f32,
    /// Lines that always stand out of their neighbours, in cycles per sample.
    lines: Vec<f64>,
    scratch: Vec<Complex32>,
    fft_scratch: Vec<Complex32>,
    line: Vec<f32>,
    values: Vec<f32>,
}

/// Element of rank `q` (0 to 1) of some values; reorders them.
fn quantile(values: &mut [f32], q: f64) -> f32 {
    if values.is_empty() {
        return 0.0;
    }
    let k = ((values.len() - 1) as f64 * q) as usize;
    *values.select_nth_unstable_by(k, f32::total_cmp).1
}

impl Gate {
    /// For samples at `rate` per symbol; carriers are searched within ± `search` and the channel is
    /// usable within ± `usable` cycles per sample; `samples_per_second` sets the time constants.
    /// `indices`: those of the templates; `detecting`: which of them are used for detection.
    pub fn new(
        rate: f64,
        search: f64,
        usable: f64,
        samples_per_second: f64,
        (indices, detecting): (&[f64], &'static [usize]),
    ) -> Self {
        let mut length = (48.0 * rate).max(32.0) as usize;
        length = length.next_power_of_two();
        if length as f64 > 72.0 * rate && length > 64 {
            length /= 2;
            // Between 36 and 48 symbols: take three quarters of the next power of two instead.
            if (length as f64) < 48.0 * rate {
                length = length * 3 / 2;
            }
        }
        let hop = length / 2;
        let window: Vec<f32> = (0..length)
            .map(|i| (0.5 - 0.5 * (2.0 * PI * (i as f64 + 0.5) / length as f64).cos()) as f32)
            .collect();
        let mut planner = FftPlanner::new();
        let fft = planner.plan_fft_forward(length);
        let bin_baud = rate / length as f64;
        let widest = indices.iter().copied().fold(0.0, f64::max);
        let reach = (((widest / 2.0 + SKIRT_BAUD) / bin_baud) as usize).min(length / 2 - 1);
        let templates = templates(length, rate, reach, &fft, indices);
        let box_bins = ((0.5 / bin_baud) as usize).max(3);
        // 25 % quantile of the mean of box_bins correlated exponential variates (Wilson, Hilferty).
        let freedom = box_bins as f64 / f64::from(HANN_CORRELATION * HANN_CORRELATION);
        let nine = 1.0 / (9.0 * freedom);
        let quantile_of_mean = (1.0 - nine - 0.674_49 * nine.sqrt()).powi(3) as f32;
        let windows_per_second = (samples_per_second / hop as f64).min(MOST_WINDOWS_PER_SECOND);
        let windows = |seconds: f64, least: u64| (seconds * windows_per_second) as u64 + least;
        let warm_up = windows(0.5, 0).max(64);
        let second = windows(1.0, 0).max(warm_up);
        let ring_windows = second.max(windows(2.0, 0)) + MEMORY + 8;
        let history_windows = windows(8.0, 0).max(320);
        let longest_stride = (history_windows / 200).max(1).ilog2();
        let longest_stride = 1u64 << longest_stride;
        let history_entries = (history_windows / longest_stride) as usize;
        let to_bins = |f: f64| ((f.abs() * length as f64) as usize).min(length / 2 - 1);
        let fft_scratch = vec![Complex32::default(); fft.get_inplace_scratch_len()];
        Self {
            fft,
            hop,
            templates,
            detecting,
            reach,
            bin_baud,
            window_power: window.iter().map(|w| w * w).sum(),
            search_bins: to_bins(search),
            usable_bins: to_bins(usable).max(box_bins),
            box_bins,
            quantile_of_mean,
            warm_up,
            second,
            update: windows(1.0, 1),
            history_stride: 1,
            longest_stride,
            ring: vec![0.0; ring_windows as usize * length],
            ring_windows,
            flat: vec![0.0; ring_windows as usize],
            mean: vec![0.0; ring_windows as usize],
            count: 0,
            history: vec![0.0; history_entries * length],
            history_entries,
            history_filled: 0,
            inverse_floor: Vec::new(),
            despur: vec![1.0; length],
            flat_floor: 0.0,
            lines: Vec::new(),
            scratch: vec![Complex32::default(); length],
            fft_scratch,
            line: Vec::new(),
            values: Vec::new(),
            window,
        }
    }

    /// Samples in a window.
    pub fn length(&self) -> usize {
        self.window.len()
    }

    /// Just after the last sample of the windows taken so far.
    pub fn end(&self) -> u64 {
        match self.count {
            0 => 0,
            n => (n - 1) * self.hop as u64 + self.window.len() as u64,
        }
    }

    /// Samples from one window to the next.
    pub fn hop(&self) -> usize {
        self.hop
    }

    /// Windows that stay available behind the one that is being decided.
    pub fn memory(&self) -> u64 {
        MEMORY
    }

    /// Forgets everything.
    pub fn reset(&mut self) {
        self.count = 0;
        self.history_filled = 0;
        self.history_stride = 1;
        self.inverse_floor.clear();
        self.despur.fill(1.0);
        self.lines.clear();
        self.flat_floor = 0.0;
    }

    /// Windows taken so far.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Takes the next window.
    pub fn take(&mut self, samples: &[Complex32]) {
        let n = self.window.len();
        for ((s, x), w) in self.scratch.iter_mut().zip(samples).zip(&self.window) {
            *s = x * w;
        }
        self.fft.process_with_scratch(&mut self.scratch, &mut self.fft_scratch);
        let slot = (self.count % self.ring_windows) as usize;
        let spectrum = &mut self.ring[slot * n..(slot + 1) * n];
        for (p, s) in spectrum.iter_mut().zip(&self.scratch) {
            *p = s.norm_sqr();
        }
        self.mean[slot] = spectrum.iter().sum::<f32>() / n as f32;
        if self.count.is_multiple_of(2) {
            self.flat[slot] = self.level(slot);
        } else {
            let before = (self.count - 1) % self.ring_windows;
            self.flat[slot] = self.flat[before as usize];
        }
        self.keep(slot);
        self.count += 1;
        if self.is_updated() {
            self.update_floor();
        }
    }

    /// Puts the spectrum of the window just taken into the history, if it is its turn.
    fn keep(&mut self, slot: usize) {
        let n = self.window.len();
        let entries = self.history_entries;
        if self.history_filled == entries as u64 && self.history_stride < self.longest_stride {
            // Full for the first time: every other one makes room.
            for entry in 1..entries.div_ceil(2) {
                self.history.copy_within(2 * entry * n..(2 * entry + 1) * n, entry * n);
            }
            self.history_filled = entries.div_ceil(2) as u64;
            self.history_stride *= 2;
        }
        if self.count.is_multiple_of(self.history_stride) {
            let entry = (self.history_filled % entries as u64) as usize;
            let spectrum = &self.ring[slot * n..(slot + 1) * n];
            self.history[entry * n..(entry + 1) * n].copy_from_slice(spectrum);
            self.history_filled += 1;
        }
    }

    /// Level of a spectrum: box-smoothed over half a baud, within the usable band; quantile over
    /// frequency.
    fn level(&mut self, slot: usize) -> f32 {
        let n = self.window.len();
        let spectrum = &self.ring[slot * n..(slot + 1) * n];
        self.values.clear();
        let (bins, usable) = (self.box_bins, self.usable_bins);
        let at = |k: isize| k.rem_euclid(n as isize) as usize;
        let low = -(usable as isize);
        let mut sum: f32 = (0..bins as isize).map(|i| spectrum[at(low + i)]).sum();
        for i in 0..=(2 * usable).saturating_sub(bins) as isize {
            self.values.push(sum);
            sum += spectrum[at(low + i + bins as isize)] - spectrum[at(low + i)];
        }
        quantile(&mut self.values, 0.25) / (bins as f32 * self.quantile_of_mean)
    }

    /// Whether window `w` can be decided now; `last`: nothing more will come.
    pub fn ready(&mut self, w: u64, last: bool) -> bool {
        if w >= self.count {
            return false;
        }
        if last {
            if self.inverse_floor.is_empty() && self.count < self.warm_up {
                self.update_floor();
            }
            return true;
        }
        self.is_warm()
    }

    /// Whether enough has come for floors.
    pub fn is_warm(&self) -> bool {
        self.count >= self.warm_up
    }

    fn update_floor(&mut self) {
        let n = self.window.len();
        let filled = (self.history_filled as usize).min(self.history_entries);
        if filled < LEAST_SPECTRA {
            return;
        }
        let mut floor = vec![0.0f32; n];
        for (k, f) in floor.iter_mut().enumerate() {
            self.values.clear();
            self.values.extend((0..filled).map(|e| self.history[e * n + k]));
            *f = quantile(&mut self.values, BIN_QUANTILE) / BIN_QUANTILE_OF_MEAN;
        }
        let least = self.least_floor();
        self.inverse_floor.clear();
        self.inverse_floor.extend((0..n).map(|k| {
            let mean = (floor[(k + n - 1) % n] + floor[k] + floor[(k + 1) % n]) / 3.0;
            1.0 / mean.max(floor[k]).max(least)
        }));
        for k in 0..n {
            let side =
                |from: usize| (0..5).map(|i| floor[(k + n + from + i) % n]).sum::<f32>() / 5.0;
            // Bins 4 to 8 on either side.
            let around = side(4).max(side(n - 8));
            self.despur[k] =
                if floor[k] > 4.0 * around { (around / floor[k]).max(1e-6) } else { 1.0 };
        }
        self.lines.clear();
        for k in 0..n {
            let (before, after) = (floor[(k + n - 1) % n], floor[(k + 1) % n]);
            if self.despur[k] < 1.0 && floor[k] >= before && floor[k] > after {
                let bin = if k < n / 2 { k as f64 } else { k as f64 - n as f64 };
                self.lines.push(bin / n as f64);
            }
        }
        // Lines half a symbol rate to one symbol rate apart are those of a signal.
        let baud = 1.0 / (self.bin_baud * n as f64);
        let all = self.lines.clone();
        let related = |a: f64, b: f64| (0.4..1.1).contains(&((a - b).abs() / baud));
        self.lines.retain(|a| !all.iter().any(|b| related(*a, *b)));
    }

    /// Lines that always stand out of their neighbours, in cycles per sample, within half a bin.
    pub fn lines(&self) -> &[f64] {
        &self.lines
    }

    /// Whether floors were measured anew with the last window taken.
    pub fn is_updated(&self) -> bool {
        // At first whenever there is twice as much to measure on.
        let early = [1, 2, 4].iter().any(|times| self.count == times * self.warm_up);
        early || (self.count > self.warm_up && self.count.is_multiple_of(self.update))
    }

    /// What no floor is less than, by the windows in the ring.
    fn least_floor(&self) -> f32 {
        let there = self.count.min(self.ring_windows) as usize;
        let loudest = self.mean[..there].iter().copied().fold(0.0, f32::max);
        (LEAST_FLOOR * loudest).max(1e-30)
    }

    /// Level of the flat floor over the second that ends with window `w` (the first second for what is
    /// in it); refreshed every 16 windows.
    fn flat_floor(&mut self, w: u64) -> f32 {
        if w.is_multiple_of(16) || self.flat_floor <= 0.0 {
            let oldest = self.count.saturating_sub(self.ring_windows);
            let from = (w + 1).saturating_sub(self.second).max(oldest);
            let to = (w + 1).max(from + self.second).min(self.count);
            self.values.clear();
            self.values.extend((from..to).map(|v| self.flat[(v % self.ring_windows) as usize]));
            self.flat_floor = quantile(&mut self.values, 0.5).max(self.least_floor());
        }
        self.flat_floor
    }

    /// Bins `-search - reach - 1 ..= search + reach + 1` of the whitened spectrum of window `w` go
    /// into `self.line`. `false`: there is no such floor yet.
    fn whiten(&mut self, w: u64, floor: Floor) -> bool {
        let n = self.window.len();
        let slot = (w % self.ring_windows) as usize;
        let level = match floor {
            Floor::PerBin if self.inverse_floor.is_empty() => return false,
            Floor::PerBin => 0.0,
            Floor::Flat => 1.0 / self.flat_floor(w),
        };
        let spectrum = &self.ring[slot * n..(slot + 1) * n];
        let scale = match floor {
            Floor::PerBin => &self.inverse_floor,
            Floor::Flat => &self.despur,
        };
        let half = (self.search_bins + self.reach + 1) as isize;
        self.line.clear();
        // The whole line, in at most a few contiguous pieces of the circular spectrum.
        let mut k = -half;
        while k <= half {
            let from = k.rem_euclid(n as isize) as usize;
            let length = (n - from).min((half - k + 1) as usize);
            let piece = from..from + length;
            let values = spectrum[piece.clone()].iter().zip(&scale[piece]);
            if level > 0.0 {
                self.line.extend(values.map(|(p, s)| p * s * level));
            } else {
                self.line.extend(values.map(|(p, s)| (p * s).min(1e4)));
            }
            k += length as isize;
        }
        // Room for the templates' padding.
        self.line.extend([0.0; 8]);
        true
    }

    /// Statistic of window `w` over a floor, in standard deviations of noise.
    pub fn statistic(&mut self, w: u64, floor: Floor) -> f32 {
        if !self.whiten(w, floor) {
            return 0.0;
        }
        self.values.clear();
        self.values.extend(self.line.chunks_exact(2).map(|c| c[0] + c[1]));
        self.values.extend([0.0; LANES]);
        let mut best = f32::MIN;
        for t in self.detecting {
            let template = &self.templates[*t];
            let shifts = self.search_bins + 2;
            let top = correlate(&self.values, &template.pairs, shifts, None);
            best = best.max((top - 1.0) / (template.norm * HANN_CORRELATION));
        }
        best
    }

    /// Adds the whitened spectrum of window `w` to `sum`, which may be empty at first.
    pub fn accumulate(&mut self, w: u64, floor: Floor, sum: &mut Vec<f32>) {
        if !self.whiten(w, floor) {
            return;
        }
        if floor == Floor::PerBin {
            self.unclip(w);
        }
        sum.resize(self.line.len(), 0.0);
        for (s, l) in sum.iter_mut().zip(&self.line) {
            *s += l;
        }
    }

    /// Whitens `self.line` again where it was clipped: no floor is less than 1e-3 of the largest bin,
    /// so that a strong signal keeps its shape.
    fn unclip(&mut self, w: u64) {
        let n = self.window.len();
        let half = (self.search_bins + self.reach + 1) as isize;
        let slot = (w % self.ring_windows) as usize;
        let spectrum = &self.ring[slot * n..(slot + 1) * n];
        let bins = || (-half..=half).map(|k| k.rem_euclid(n as isize) as usize);
        let largest = bins().map(|k| spectrum[k]).fold(0.0, f32::max);
        let most = STRONGEST_BIN / largest.max(1e-30);
        for (l, k) in self.line.iter_mut().zip(bins()) {
            *l = spectrum[k] * self.inverse_floor[k].min(most);
        }
    }

    /// Where the carriers of the signals in a sum of whitened spectra lie, the strongest first.
    pub fn estimates(&mut self, sum: &[f32], windows: u32) -> Vec<Estimate> {
        let mut found = Vec::new();
        let half = self.search_bins + self.reach + 1;
        if sum.len() < 2 * half + 1 || windows == 0 {
            return found;
        }
        let mut line = sum.to_vec();
        let nothing = windows as f32;
        let outside = self.search_bins + (OUTSIDE_BAUD / self.bin_baud) as usize;
        let largest = |line: &[f32], outer: bool| {
            let bins = line[..2 * half + 1].iter().enumerate();
            bins.filter(|(i, _)| (i.abs_diff(half) > outside) == outer)
                .map(|(_, p)| *p)
                .fold(0.0, f32::max)
        };
        if largest(&line, true) > largest(&line, false) {
            for (i, p) in line[..2 * half + 1].iter_mut().enumerate() {
                if i.abs_diff(half) > outside {
                    *p = nothing;
                }
            }
        }
        while found.len() < MOST_SIGNALS {
            let Some((value, mut estimate)) = self.estimate(&line, windows) else { break };
            if !found.is_empty() && value < FURTHER * HANN_CORRELATION {
                break;
            }
            let carrier = estimate.frequency * self.window.len() as f64;
            let index = |baud: f64| {
                (carrier + half as f64 + baud / self.bin_baud).clamp(0.0, 2.0 * half as f64)
                    as usize
            };
            // Power above the floor within two limits.
            let power = |from: f64, to: f64| {
                sum[index(from)..=index(to)].iter().map(|p| p - nothing).sum::<f32>()
            };
            let beside = power(-1.75, -0.75) + power(0.75, 1.75);
            estimate.crowded = estimate.h < WIDE_INDEX && beside > 0.5 * power(-0.65, 0.65);
            let covered = if estimate.h < WIDE_INDEX { COVERED_BAUD } else { COVERED_WIDE_BAUD };
            line[index(-covered)..=index(covered)].fill(nothing);
            found.push(estimate);
        }
        found
    }

    /// The strongest signal in a line of whitened spectra, and its statistic times
    /// [`HANN_CORRELATION`].
    fn estimate(&mut self, line: &[f32], windows: u32) -> Option<(f32, Estimate)> {
        let shifts = 2 * self.search_bins + 3;
        let mut best: Option<(f32, Estimate)> = None;
        for template in &self.templates {
            correlate(line, &template.weights, shifts, Some(&mut self.values));
            let v = &self.values;
            let mut top = 1;
            for i in 1..shifts - 1 {
                if v[i] > v[top] {
                    top = i;
                }
            }
            let value = (v[top] / windows as f32 - 1.0) / template.norm;
            let curvature = v[top - 1] - 2.0 * v[top] + v[top + 1];
            let fraction =
                if curvature < 0.0 { 0.5 * (v[top - 1] - v[top + 1]) / curvature } else { 0.0 };
            if best.is_none_or(|(b, _)| value > b) {
                let bin = top as f64 - 1.0 - self.search_bins as f64
                    + f64::from(fraction.clamp(-1.0, 1.0));
                let frequency = bin / self.window.len() as f64;
                best = Some((value, Estimate { frequency, h: template.h, crowded: false }));
            }
        }
        best
    }

    /// Variance of the noise in a sample, around a frequency (cycles per sample): by the floor per
    /// bin, or by the flat one if that has risen far above it in the presence of a signal. 0 if none
    /// is known.
    pub fn noise(&self, frequency: f64) -> f32 {
        let n = self.window.len();
        let mut floor = self.flat_floor;
        if !self.inverse_floor.is_empty() {
            let centre = (frequency * n as f64).round() as isize;
            let reach = ((0.75 / self.bin_baud) as isize).max(1);
            let sum: f32 = (centre - reach..=centre + reach)
                .map(|k| 1.0 / self.inverse_floor[k.rem_euclid(n as isize) as usize])
                .sum();
            let around = sum / (2 * reach + 1) as f32;
            if floor <= 0.0 || around < RISEN * floor {
                floor = around;
            }
        }
        if floor.is_finite() { floor / self.window_power } else { 0.0 }
    }
}

/// Spectra of random CPM through the window: transform of its autocorrelation times the window's.
fn templates(
    n: usize,
    rate: f64,
    reach: usize,
    fft: &Arc<dyn Fft<f32>>,
    indices: &[f64],
) -> Vec<Template> {
    let pulse = PhasePulse::new(0.5, 3);
    // Autocorrelation of the Hann window over its value at 0, x = lag/n:
    // (1 - x) (2 + cos 2πx) / 3 + sin(2πx) / 2π.
    let windowed: Vec<f32> = (0..=n / 2)
        .map(|lag| {
            let x = lag as f64 / n as f64;
            let (sin, cos) = (2.0 * PI * x).sin_cos();
            ((1.0 - x) * (2.0 + cos) / 3.0 + sin / (2.0 * PI)) as f32
        })
        .collect();
    indices
        .iter()
        .map(|h| {
            // Lags of ±n/2 of the n that fit: the spectrum is as fine as its bins.
            let mut spectrum = vec![Complex32::default(); n];
            for lag in 0..=n / 2 {
                let r = autocorrelation(&pulse, *h, lag as f64 / rate) as f32 * windowed[lag];
                spectrum[lag].re = r;
                spectrum[(n - lag) % n].re = r;
            }
            fft.process(&mut spectrum);
            let mut weights: Vec<f32> =
                (0..=2 * reach).map(|i| spectrum[(i + n - reach) % n].re.max(0.0)).collect();
            let sum: f32 = weights.iter().sum();
            for w in &mut weights {
                *w /= sum.max(1e-30);
            }
            let norm = weights.iter().map(|w| w * w).sum::<f32>().sqrt();
            let mut pairs: Vec<f32> =
                weights.chunks(2).map(|c| c.iter().sum::<f32>() * 0.5).collect();
            weights.resize(weights.len().next_multiple_of(LANES), 0.0);
            pairs.resize(pairs.len().next_multiple_of(LANES), 0.0);
            Template { h: *h, weights, pairs, norm }
        })
        .collect()
}

#[inline(always)]
fn correlate_body<V: Vector>(
    line: &[f32],
    weights: &[f32],
    shifts: usize,
    mut values: Option<&mut Vec<f32>>,
) -> f32 {
    let mut best = f32::MIN;
    let mut k = 0;
    while k < shifts && k + weights.len() <= line.len() {
        let mut a = V::splat(0.0);
        let piece = &line[k..k + weights.len()];
        for (w, p) in weights.chunks_exact(LANES).zip(piece.chunks_exact(LANES)) {
            a = a + V::gather(w) * V::gather(p);
        }
        let sum = a.sum();
        if sum > best {
            best = sum;
        }
        if let Some(values) = &mut values {
            values.push(sum);
        }
        k += 1;
    }
    best
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn correlate_avx2(
    line: &[f32],
    weights: &[f32],
    shifts: usize,
    values: Option<&mut Vec<f32>>,
) -> f32 {
    correlate_body::<Avx>(line, weights, shifts, values)
}

/// Largest of `Σ weights_i line_{k+i}` over `0 <= k < shifts`; all of them go into `values`.
#[allow(unsafe_code)] // the call of a function compiled for AVX2, once AVX2 was detected
fn correlate(
    line: &[f32],
    weights: &[f32],
    shifts: usize,
    mut values: Option<&mut Vec<f32>>,
) -> f32 {
    if let Some(values) = &mut values {
        values.clear();
    }
    #[cfg(target_arch = "x86_64")]
    if has_avx2() {
        // SAFETY: AVX2 was detected.
        return unsafe { correlate_avx2(line, weights, shifts, values) };
    }
    let _ = has_avx2;
    correlate_body::<Lanes>(line, weights, shifts, values)
}
