//! The spectrum of a reception over time, in bounded memory.
//!
//! ```text
//!  samples ──► looks, some a second ──► power spectrum ──► mean of the looks of a line
//!              (contiguous samples)     (Hann)             ──► lines, the band that matters
//! ```
//!
//! Only the looks are transformed, so that it costs little at any rate. Lines stand on a grid of
//! sample indices, so that samples that are missing leave lines empty and time stays linear. When
//! there are [`MOST_LINES`], each two become one.

use jiff::Timestamp;
use num_complex::Complex32;

use crate::doppler::after;
use crate::dsp::spectrum::PowerSpectrum;
use crate::source::Anchor;

/// Bins of a line, at most.
pub const MOST_BINS: usize = 1024;
/// Lines, at most.
pub const MOST_LINES: usize = 1536;
/// Duration of a line at first, s.
const LINE_S: f64 = 1.0;
/// Looks at each second.
const LOOKS_PER_S: f64 = 8.0;
/// Lengths of the transform.
const LENGTHS: std::ops::RangeInclusive<usize> = 64..=65_536;

/// What a line tells.
#[derive(Debug, Clone, PartialEq, Default)]
struct Line {
    /// Sums of power over looks, by bin, from the lowest frequency on.
    power: Vec<f32>,
    /// Sum of the looks' mean power.
    level: f64,
    looks: u32,
}

/// Spectra over time.
pub struct Waterfall {
    sample_rate_hz: f64,
    spectrum: PowerSpectrum,
    /// The bins that are kept: index of the lowest, negative below 0 Hz, and their number.
    lowest_bin: i64,
    bins: usize,
    line_samples: f64,
    lines: Vec<Line>,
    /// Contiguous samples of the look that is being taken, and the index of the first.
    look: Vec<Complex32>,
    look_at: u64,
    next_sample: u64,
    power: Vec<f32>,
    /// The first anchors with a time and a centre.
    start: Option<(u64, Timestamp)>,
    centre_frequency_hz: Option<f64>,
    first_sample: Option<u64>,
}

impl std::fmt::Debug for Waterfall {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Waterfall")
            .field("bins", &self.bins)
            .field("lines", &self.lines.len())
            .finish_non_exhaustive()
    }
}

impl Waterfall {
    /// Of samples of `sample_rate_hz`, the band from `low_hz` to `high_hz` against their centre, as
    /// far as they have it.
    pub fn new(sample_rate_hz: f64, low_hz: f64, high_hz: f64) -> Self {
        let half = 0.5 * sample_rate_hz;
        let (low, high) = (low_hz.max(-half), high_hz.min(half));
        let (low, high) = if low < high { (low, high) } else { (-half, half) };
        let share = ((high - low) / sample_rate_hz).clamp(1e-6, 1.0);
        // The largest power of two whose bins in the band are not too many.
        let most = (MOST_BINS as f64 / share) as usize;
        let mut length = *LENGTHS.start();
        while 2 * length <= most.min(*LENGTHS.end()) {
            length *= 2;
        }
        let bin_hz = sample_rate_hz / length as f64;
        let lowest_bin = (low / bin_hz).ceil().max(-(length as f64) / 2.0) as i64;
        let highest_bin = (high / bin_hz).floor().min(length as f64 / 2.0 - 1.0) as i64;
        let bins = usize::try_from(highest_bin - lowest_bin + 1).unwrap_or(1).clamp(1, MOST_BINS);
        Self {
            sample_rate_hz,
            spectrum: PowerSpectrum::new(length),
            lowest_bin,
            bins,
            line_samples: (LINE_S * sample_rate_hz).max(1.0),
            lines: Vec::new(),
            look: Vec::with_capacity(length),
            look_at: 0,
            next_sample: 0,
            power: vec![0.0; length],
            start: None,
            centre_frequency_hz: None,
            first_sample: None,
        }
    }

    /// Takes samples of which the first has this index.
    pub fn push(&mut self, anchor: Option<Anchor>, first_sample: u64, samples: &[Complex32]) {
        if let Some(anchor) = anchor {
            self.start = self.start.or(anchor.time.map(|time| (anchor.sample, time)));
            self.centre_frequency_hz = self.centre_frequency_hz.or(anchor.centre_frequency_hz);
        }
        if self.first_sample.is_none() {
            self.first_sample = Some(first_sample);
            self.look_at = first_sample;
        }
        if first_sample != self.next_sample {
            self.look.clear();
            self.look_at = self.look_at.max(first_sample);
        }
        let end = first_sample.saturating_add(samples.len() as u64);
        self.next_sample = end;
        let length = self.spectrum.length();
        let every = (self.sample_rate_hz / LOOKS_PER_S).max(length as f64) as u64;
        loop {
            let from = self.look_at.saturating_add(self.look.len() as u64);
            if from >= end || from < first_sample {
                break;
            }
            let skip = usize::try_from(from - first_sample).unwrap_or(usize::MAX);
            let there = samples.get(skip..).unwrap_or_default();
            let wanted = there.len().min(length - self.look.len());
            self.look.extend_from_slice(&there[..wanted]);
            if self.look.len() < length {
                break;
            }
            self.take_look();
            self.look.clear();
            self.look_at = self.look_at.saturating_add(every);
        }
    }

    /// Adds a look to its line.
    fn take_look(&mut self) {
        let since = self.look_at - self.first_sample.unwrap_or(self.look_at).min(self.look_at);
        let mut index = (since as f64 / self.line_samples) as usize;
        while index >= MOST_LINES {
            self.halve();
            index = (since as f64 / self.line_samples) as usize;
        }
        if self.lines.len() <= index {
            self.lines.resize_with(index + 1, Line::default);
        }
        self.spectrum.process(&self.look, &mut self.power);
        let length = self.power.len();
        let line = &mut self.lines[index];
        line.power.resize(self.bins, 0.0);
        for (k, sum) in line.power.iter_mut().enumerate() {
            let bin = (self.lowest_bin + k as i64).rem_euclid(length as i64) as usize;
            *sum += self.power[bin];
        }
        let energy: f64 = self.look.iter().map(|x| f64::from(x.norm_sqr())).sum();
        line.level += energy / length as f64;
        line.looks += 1;
    }

    /// Makes one line of each two.
    fn halve(&mut self) {
        self.line_samples *= 2.0;
        let lines = std::mem::take(&mut self.lines);
        let mut lines = lines.into_iter();
        while let Some(mut line) = lines.next() {
            if let Some(other) = lines.next()
                && other.looks > 0
            {
                line.power.resize(self.bins, 0.0);
                line.power.iter_mut().zip(&other.power).for_each(|(a, b)| *a += b);
                line.level += other.level;
                line.looks += other.looks;
            }
            self.lines.push(line);
        }
    }

    /// Number of lines so far.
    pub fn lines(&self) -> usize {
        self.lines.len()
    }

    /// Number of bins of a line.
    pub fn bins(&self) -> usize {
        self.bins
    }

    /// Duration of a line, seconds.
    pub fn line_s(&self) -> f64 {
        self.line_samples / self.sample_rate_hz
    }

    /// Mean power of a line by bin, from the lowest frequency on; `None` if nothing was looked at.
    pub fn power(&self, line: usize) -> Option<impl Iterator<Item = f32> + '_> {
        let line = self.lines.get(line).filter(|line| line.looks > 0)?;
        Some(line.power.iter().map(|power| power / line.looks as f32))
    }

    /// Mean power of the samples of a line against full scale, dB; `None` if nothing was looked at,
    /// or all was 0.
    pub fn level_dbfs(&self, line: usize) -> Option<f64> {
        let line = self.lines.get(line).filter(|line| line.looks > 0)?;
        Some(10.0 * (line.level / f64::from(line.looks)).log10()).filter(|db| db.is_finite())
    }

    /// UTC of the beginning of a line (or of its end, as that of the next), if the samples have a
    /// time.
    pub fn time(&self, line: usize) -> Option<Timestamp> {
        let (sample, time) = self.start?;
        let ahead = self.first_sample? as f64 - sample as f64 + line as f64 * self.line_samples;
        Some(after(time, ahead / self.sample_rate_hz))
    }

    /// The edges of the band: lower edge of the lowest bin, upper edge of the highest, against the
    /// samples' centre.
    pub fn band_hz(&self) -> (f64, f64) {
        let bin_hz = self.sample_rate_hz / self.spectrum.length() as f64;
        let low = (self.lowest_bin as f64 - 0.5) * bin_hz;
        (low, low + self.bins as f64 * bin_hz)
    }

    /// Frequency of the samples' centre, if it is known.
    pub fn centre_frequency_hz(&self) -> Option<f64> {
        self.centre_frequency_hz
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use std::f64::consts::TAU;

    use super::*;

    const RATE: f64 = 48_000.0;

    fn tone(hz: f64, from: u64, count: usize) -> Vec<Complex32> {
        let sample = |n: u64| {
            let (sin, cos) = (TAU * (hz * n as f64 / RATE).fract()).sin_cos();
            Complex32::new(0.1 * cos as f32, 0.1 * sin as f32)
        };
        (from..from + count as u64).map(sample).collect()
    }

    fn anchor() -> Anchor {
        let time = "2026-11-22T12:00:00Z".parse().ok();
        Anchor { sample: 0, time, centre_frequency_hz: Some(437.5e6) }
    }

    fn peak_hz(waterfall: &Waterfall, line: usize) -> f64 {
        let power: Vec<f32> = waterfall.power(line).unwrap().collect();
        let best = (0..power.len()).max_by(|&a, &b| power[a].total_cmp(&power[b])).unwrap();
        let (low, high) = waterfall.band_hz();
        low + (high - low) * (best as f64 + 0.5) / power.len() as f64
    }

    #[test]
    fn a_tone_stands_where_it_is_however_samples_are_cut() {
        for piece in [97, 1000, 200_000] {
            let mut waterfall = Waterfall::new(RATE, -20e3, 12e3);
            let samples = tone(-5_000.0, 0, 200_000);
            let mut from = 0;
            for block in samples.chunks(piece) {
                waterfall.push((from == 0).then(anchor), from, block);
                from += block.len() as u64;
            }
            assert_eq!(waterfall.lines(), 5);
            assert!(waterfall.bins() > 512 && waterfall.bins() <= MOST_BINS);
            for line in 0..4 {
                assert!((peak_hz(&waterfall, line) + 5_000.0).abs() < 50.0);
                assert!((waterfall.level_dbfs(line).unwrap() + 20.0).abs() < 0.1);
            }
            assert_eq!(waterfall.time(2), "2026-11-22T12:00:02Z".parse().ok());
        }
    }

    #[test]
    fn missing_samples_leave_lines_empty() {
        let mut waterfall = Waterfall::new(RATE, -24e3, 24e3);
        waterfall.push(Some(anchor()), 0, &tone(1e3, 0, 48_000));
        waterfall.push(None, 5 * 48_000, &tone(1e3, 0, 48_000));
        assert_eq!(waterfall.lines(), 6);
        assert!(waterfall.power(3).is_none() && waterfall.level_dbfs(3).is_none());
        assert!(waterfall.power(5).is_some());
    }

    #[test]
    fn memory_is_bounded_whatever_comes() {
        let mut waterfall = Waterfall::new(RATE, -24e3, 24e3);
        let samples = tone(1e3, 0, 4096);
        for second in 0..5000 {
            waterfall.push(None, second * 48_000, &samples);
        }
        assert!(waterfall.lines() <= MOST_LINES);
        assert_eq!(waterfall.line_s(), 4.0);
        assert!((peak_hz(&waterfall, 7) - 1e3).abs() < 50.0);
        for first in [1 << 40, u64::MAX - 10, 0, 77] {
            waterfall.push(None, first, &samples);
        }
        assert!(waterfall.lines() <= MOST_LINES);
        // Odd requests are all of the band.
        for (low, high) in [(5.0, 5.0), (f64::NAN, 1.0), (1e9, 2e9), (-1.0, 1.0)] {
            let mut waterfall = Waterfall::new(RATE, low, high);
            waterfall.push(None, 0, &samples);
            assert!((1..=MOST_BINS).contains(&waterfall.bins()), "{low} {high}");
        }
        Waterfall::new(0.0, -1.0, 1.0).push(None, 0, &samples);
        Waterfall::new(f64::NAN, -1.0, 1.0).push(None, 0, &samples);
    }
}
