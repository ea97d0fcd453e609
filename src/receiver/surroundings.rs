//! What is on the air around a downlink: short looks at the spectrum beside the receiver.
//!
//! ```text
//!  samples ─► a look, LOOKS_PER_S times a second: SEGMENTS spectra of 8 symbols' length, their mean
//!          ─► lines that stand alone taken out (spurs, the radio's own spike)
//!          ─► mean over a symbol rate ─► the highest point inside, and outside of, what is searched
//!          ─► against the median of the band ─► kept if it is high enough
//! ```
//!
//! CubeSats send bursts, so the best look of a minute counts, and that of the whole reception. In
//! noise the mean over a symbol rate is one of some 40 independent values: its deviation is 0.7 dB,
//! and 3 dB are reached by chance less than once in a day. A bump is believed when it was seen
//! twice.

use num_complex::Complex32;

use crate::dsp::spectrum::PowerSpectrum;

/// Looks a second.
const LOOKS_PER_S: f64 = 4.0;
/// Spectra of a look.
const SEGMENTS: usize = 8;
/// Bins of a symbol rate.
const BINS: f64 = 8.0;
/// Fewest and most bins of a spectrum.
const LENGTHS: (usize, usize) = (64, 16_384);
/// A bump is so much above the median, as a ratio: 3 dB.
const LEAST: f32 = 2.0;
/// A line is so many times what surrounds it.
const LINE: f32 = 8.0;
/// Outside of what is searched, oscillators may be off by this share of the carrier.
const WORST_OSCILLATOR: f64 = 100e-6;
/// Recent looks are those of so long, and of as long again before it, s.
const RECENT_S: f64 = 30.0;

/// Something that is higher than the noise.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bump {
    /// Where it is against where the downlink was looked for, Hz.
    pub offset_hz: f64,
    /// How much it is above the noise, in the bandwidth of a symbol rate, dB.
    pub above_db: f32,
    /// In how many looks it, or another one in this part of the band, was seen.
    pub looks: u32,
}

/// What was seen.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Surroundings {
    /// Number of looks.
    pub looks: u32,
    /// The highest bump where the carrier is searched.
    pub inside: Option<Bump>,
    /// And beside that, as far as bad oscillators may put it.
    pub outside: Option<Bump>,
}

impl Surroundings {
    /// Together with what was seen at another time.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let best = |a: Option<Bump>, b: Option<Bump>| match (a, b) {
            (Some(a), Some(b)) => {
                let highest = if b.above_db > a.above_db { b } else { a };
                Some(Bump { looks: a.looks + b.looks, ..highest })
            }
            (a, b) => a.or(b),
        };
        Self {
            looks: self.looks + other.looks,
            inside: best(self.inside, other.inside),
            outside: best(self.outside, other.outside),
        }
    }
}

/// Takes the looks.
pub struct Lookabout {
    sample_rate_hz: f64,
    symbol_rate_bd: f64,
    /// The carrier is searched within ± this.
    search_hz: f64,
    /// And looked for within ± this.
    reach_hz: f64,
    spectrum: PowerSpectrum,
    /// Samples of the segment being gathered.
    segment: Vec<Complex32>,
    segments: usize,
    power: Vec<f32>,
    smooth: Vec<f32>,
    sorted: Vec<f32>,
    next_sample: u64,
    /// When the next look begins.
    due: u64,
    /// When the recent looks become those before.
    turns: u64,
    total: Surroundings,
    recent: Surroundings,
    before: Surroundings,
}

impl Lookabout {
    /// For a downlink of `symbol_rate_bd`, searched within ±`search_hz` of where it should be.
    /// `carrier_hz`: its nominal frequency, if it is known.
    pub fn new(
        sample_rate_hz: f64,
        symbol_rate_bd: f64,
        search_hz: f64,
        carrier_hz: Option<f64>,
    ) -> Self {
        let wanted = BINS * sample_rate_hz / symbol_rate_bd.max(1e-3);
        // Saturates.
        let length = (wanted as usize).clamp(LENGTHS.0, LENGTHS.1).next_power_of_two();
        let search_hz = search_hz + 0.5 * symbol_rate_bd;
        let off_hz = carrier_hz.map_or(f64::INFINITY, |hz| WORST_OSCILLATOR * hz.abs());
        Self {
            sample_rate_hz,
            symbol_rate_bd,
            search_hz,
            reach_hz: search_hz + off_hz.max(2.0 * symbol_rate_bd),
            spectrum: PowerSpectrum::new(length),
            segment: Vec::with_capacity(length),
            segments: 0,
            power: vec![0.0; length],
            smooth: vec![0.0; length],
            sorted: Vec::with_capacity(length),
            next_sample: 0,
            due: 0,
            turns: 0,
            total: Surroundings::default(),
            recent: Surroundings::default(),
            before: Surroundings::default(),
        }
    }

    /// Everything that was seen.
    pub fn total(&self) -> Surroundings {
        self.total
    }

    /// What was seen within the last half minute to minute.
    pub fn recent(&self) -> Surroundings {
        self.recent.and(self.before)
    }

    /// Takes samples of which the first has this index. `centre_hz`: where the downlink is looked
    /// for now, against 0 Hz of the input.
    pub fn push(&mut self, first_sample: u64, samples: &[Complex32], centre_hz: f64) {
        if first_sample != self.next_sample {
            self.restart();
        }
        self.next_sample = first_sample;
        let length = self.spectrum.length();
        let mut rest = samples;
        while !rest.is_empty() {
            let ahead = usize::try_from(self.due.saturating_sub(self.next_sample));
            let skipped = ahead.unwrap_or(usize::MAX).min(rest.len());
            let count = (rest.len() - skipped).min(length - self.segment.len());
            self.segment.extend_from_slice(&rest[skipped..skipped + count]);
            rest = &rest[skipped + count..];
            self.next_sample = self.next_sample.saturating_add((skipped + count) as u64);
            if self.segment.len() < length {
                continue;
            }
            self.spectrum.accumulate(&self.segment, &mut self.power);
            self.segment.clear();
            self.segments += 1;
            if self.segments == SEGMENTS {
                self.look(centre_hz);
                self.restart();
                let pause = (self.sample_rate_hz / LOOKS_PER_S) as u64;
                self.due = self.next_sample.saturating_add(pause);
            }
        }
    }

    fn restart(&mut self) {
        self.segment.clear();
        self.segments = 0;
        self.power.fill(0.0);
    }

    fn look(&mut self, centre_hz: f64) {
        let seen = self.seen(centre_hz);
        self.total = self.total.and(seen);
        if self.next_sample >= self.turns {
            self.before = std::mem::take(&mut self.recent);
            let turn = (RECENT_S * self.sample_rate_hz) as u64;
            self.turns = self.next_sample.saturating_add(turn);
        }
        self.recent = self.recent.and(seen);
    }

    /// One look: what stands out in `power`.
    fn seen(&mut self, centre_hz: f64) -> Surroundings {
        let length = self.power.len();
        let bin_hz = self.sample_rate_hz / length as f64;
        without_lines(&self.power, &mut self.smooth);
        std::mem::swap(&mut self.power, &mut self.smooth);
        let width = ((self.symbol_rate_bd / bin_hz).round() as usize).clamp(1, length);
        moving_mean(&self.power, width, &mut self.smooth);
        self.sorted.clear();
        self.sorted.extend_from_slice(&self.smooth);
        let middle = length / 2;
        let (_, median, _) = self.sorted.select_nth_unstable_by(middle, f32::total_cmp);
        let floor = *median;
        let mut seen = Surroundings { looks: 1, ..Surroundings::default() };
        if !(floor.is_finite() && floor > 0.0) {
            return seen;
        }
        for (bin, &power) in self.smooth.iter().enumerate() {
            let ratio = power / floor;
            if !(ratio >= LEAST && ratio.is_finite()) {
                continue;
            }
            // The mean of a run of bins belongs to its middle.
            let middle = (bin as f64) + 0.5 * (width as f64 - 1.0);
            let at_hz = wrapped(middle * bin_hz - centre_hz, self.sample_rate_hz);
            let place = match at_hz.abs() {
                hz if hz <= self.search_hz => &mut seen.inside,
                hz if hz <= self.reach_hz => &mut seen.outside,
                _ => continue,
            };
            let above_db = 10.0 * ratio.log10();
            if place.is_none_or(|bump: Bump| above_db > bump.above_db) {
                *place = Some(Bump { offset_hz: at_hz, above_db, looks: 1 });
            }
        }
        // The foot of a signal reaches across the border.
        if let (Some(inside), Some(outside)) = (seen.inside, seen.outside)
            && (inside.offset_hz - outside.offset_hz).abs() < 2.0 * self.symbol_rate_bd
        {
            if inside.above_db >= outside.above_db {
                seen.outside = None;
            } else {
                seen.inside = None;
            }
        }
        seen
    }
}

/// A frequency within ± half the sample rate.
fn wrapped(hz: f64, sample_rate_hz: f64) -> f64 {
    hz - sample_rate_hz * (hz / sample_rate_hz).round()
}

/// Replaces lines that stand alone by what surrounds them. The spectrum is circular.
fn without_lines(power: &[f32], out: &mut [f32]) {
    let length = power.len();
    out.copy_from_slice(power);
    let at = |bin: usize, offset: usize| power[(bin + length + offset - 8) % length];
    for bin in 0..length {
        // Offsets are against 8 bins before: a Hann line has 3 bins, and half a bin of reserve.
        let around = [2, 3, 4, 12, 13, 14].map(|offset| at(bin, offset));
        let around = around.iter().sum::<f32>() / around.len() as f32;
        if power[bin] > LINE * around && [6, 7, 9, 10].iter().all(|o| at(bin, *o) <= power[bin]) {
            for offset in 5..=11 {
                out[(bin + length + offset - 8) % length] = around;
            }
        }
    }
}

/// `out[k]` is the mean of `width` values from k on, around the end.
fn moving_mean(values: &[f32], width: usize, out: &mut [f32]) {
    let length = values.len();
    let mut sum: f64 = values.iter().take(width).map(|x| f64::from(*x)).sum();
    for (k, slot) in out.iter_mut().enumerate() {
        *slot = (sum / width as f64) as f32;
        sum += f64::from(values[(k + width) % length]) - f64::from(values[k]);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use std::f32::consts::TAU;

    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;
    use rand_distr::StandardNormal;

    use super::*;

    const RATE_HZ: f64 = 250_000.0;
    const SYMBOL_BD: f64 = 9600.0;

    /// Noise of -20 dBFS, and in half of the time MSK at a frequency, at so many dB of Es/N0.
    fn air(seconds: f64, signal: Option<(f64, f32)>, line_hz: Option<f64>) -> Vec<Complex32> {
        let mut random = ChaCha8Rng::seed_from_u64(7);
        let mut phase = 0.0f32;
        let mut bit = 1.0f32;
        let symbol = RATE_HZ / SYMBOL_BD;
        (0..(seconds * RATE_HZ) as usize)
            .map(|n| {
                let noise = Complex32::new(
                    random.sample::<f32, _>(StandardNormal),
                    random.sample::<f32, _>(StandardNormal),
                ) * (0.1 / 2f32.sqrt());
                let mut z = noise;
                if let Some((at_hz, esn0_db)) = signal {
                    if (n as f64 % symbol) < 1.0 {
                        bit = if random.random() { 1.0 } else { -1.0 };
                    }
                    phase += TAU * (at_hz as f32 + bit * SYMBOL_BD as f32 / 4.0) / RATE_HZ as f32;
                    phase %= TAU;
                    if n / 100_000 % 2 == 1 {
                        let power = 0.01 * 10f32.powf(esn0_db / 10.0) / symbol as f32;
                        z += Complex32::from_polar(power.sqrt(), phase);
                    }
                }
                if let Some(hz) = line_hz {
                    let turn = (hz * n as f64 / RATE_HZ).fract() as f32;
                    z += Complex32::from_polar(0.3, TAU * turn);
                }
                z
            })
            .collect()
    }

    fn looked(samples: &[Complex32], centre_hz: f64, piece: usize) -> Surroundings {
        let mut lookabout = Lookabout::new(RATE_HZ, SYMBOL_BD, 10_000.0, Some(437.5e6));
        for (k, piece_samples) in samples.chunks(piece).enumerate() {
            lookabout.push((k * piece) as u64, piece_samples, centre_hz);
        }
        assert_eq!(lookabout.total(), lookabout.recent());
        lookabout.total()
    }

    #[test]
    fn a_signal_is_found_where_it_is_and_cuts_do_not_matter() {
        // At 8 dB a frame can be had; 5 dB are below what AX.25 needs.
        for (esn0_db, piece) in [(8.0, 1000), (5.0, 77_777), (20.0, 13)] {
            let samples = air(4.0, Some((31_000.0, esn0_db)), Some(3_000.0));
            let seen = looked(&samples, 0.0, piece);
            assert!((13..=16).contains(&seen.looks), "{seen:?}");
            let bump = seen.outside.unwrap();
            assert!((bump.offset_hz - 31_000.0).abs() < 1500.0, "{seen:?}");
            assert!((3..=11).contains(&bump.looks), "{seen:?}");
            assert!(
                (bump.above_db - (1.0 + 10f32.powf(esn0_db / 10.0)).log10() * 10.0).abs() < 2.5
            );
            assert_eq!(seen.inside, None, "the line is none");
            // Steered there, it is where it should be.
            let seen = looked(&samples, 30_000.0, piece);
            assert!((seen.inside.unwrap().offset_hz - 1000.0).abs() < 1500.0, "{seen:?}");
            assert_eq!(seen.outside, None);
        }
    }

    #[test]
    fn noise_lines_and_what_is_far_away_are_no_signal() {
        for line in [None, Some(0.0), Some(-8_123.4)] {
            let seen = looked(&air(20.0, None, line), 0.0, 1000);
            assert_eq!((seen.inside, seen.outside), (None, None), "{line:?}");
            assert!(seen.looks > 60);
        }
        // Oscillators are not off by 100 kHz.
        let seen = looked(&air(2.0, Some((100_000.0, 20.0)), None), 0.0, 1000);
        assert_eq!((seen.inside, seen.outside), (None, None));
    }

    #[test]
    fn nonsense_is_survived() {
        for (rate, symbols) in [(48_000.0, 24_000.0), (1.0, 1e9), (1e9, 1e-3), (8000.0, f64::NAN)] {
            let mut lookabout = Lookabout::new(rate, symbols, 1000.0, None);
            let mut samples = vec![Complex32::new(f32::NAN, f32::INFINITY); 20_000];
            samples.extend(vec![Complex32::default(); 200_000]);
            for k in 0..4 {
                lookabout.push(k * 220_000, &samples, f64::NAN);
            }
            lookabout.push(3, &samples, 1e300);
            lookabout.push(u64::MAX - 5, &samples, -1e300);
        }
    }

    #[test]
    fn what_was_seen_long_ago_is_not_recent() {
        let mut lookabout = Lookabout::new(RATE_HZ, SYMBOL_BD, 10_000.0, None);
        let strong = air(1.0, Some((0.0, 20.0)), None);
        lookabout.push(0, &strong, 0.0);
        let noise = air(1.0, None, None);
        for second in 1..130u64 {
            lookabout.push(second * 250_000, &noise, 0.0);
            if second == 25 {
                assert!(lookabout.recent().inside.is_some());
            }
        }
        assert!(lookabout.recent().inside.is_none() && lookabout.total().inside.is_some());
        assert!(lookabout.recent().looks < lookabout.total().looks);
    }
}
