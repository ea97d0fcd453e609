//! The part of the band around one downlink, at a low rate.
//!
//! The channel is brought to 0 Hz at the downlink's nominal frequency: Doppler and the error of
//! oscillators stay in it, so that it is wide enough for both, and can be followed anew later.
//!
//! Output positions count from the same beginning as those of the input: where samples are missing
//! there, as many are missing here.

use jiff::Timestamp;
use num_complex::Complex32;

use super::sigmf::moved;
use crate::doppler::blind_search_hz;
use crate::dsp::tuner::Tuner;
use crate::modulation::{Channel, Parameters};
use crate::source::{Anchor, SampleBlock};

/// Lowest rate of a downlink's recording.
const LOWEST_RATE_HZ: f64 = 48_000.0;
/// Samples per symbol at least.
const SAMPLES_PER_SYMBOL: f64 = 5.0;
/// The rate may be so many times the lowest one, so that a cheap one can be found.
const RATE_CHOICE: f64 = 2.0;
/// Times that are stated further apart than this belong to captures made one after the other.
const SAME_CLOCK_S: f64 = 2e-3;

/// What is recorded.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Band {
    /// All samples as they come.
    Passband,
    /// What surrounds one downlink.
    Downlink {
        /// Its nominal frequency; `None`: 0 Hz of the input.
        frequency_hz: Option<f64>,
        /// Half of the width that is kept.
        half_width_hz: f64,
        /// Lowest sample rate.
        least_rate_hz: f64,
    },
}

impl Band {
    /// What surrounds a downlink: its signal, wherever Doppler and oscillators put it.
    pub fn around(frequency_hz: Option<f64>, parameters: &Parameters) -> Self {
        let half_width_hz = blind_search_hz(frequency_hz.unwrap_or(0.0))
            + parameters.symbol_rate_bd
            + parameters.deviation_hz.unwrap_or(0.0).abs();
        let least_rate_hz = LOWEST_RATE_HZ.max(SAMPLES_PER_SYMBOL * parameters.symbol_rate_bd);
        Band::Downlink { frequency_hz, half_width_hz, least_rate_hz }
    }
}

/// Makes the samples of a [`Band::Downlink`] of those of an input.
#[derive(Debug)]
pub struct Narrowing {
    input_rate_hz: f64,
    frequency_hz: Option<f64>,
    half_width_hz: f64,
    least_rate_hz: f64,
    tuner: Tuner,
    /// Where the tuner was built to look, against 0 Hz of the input.
    built_hz: f64,
    /// Centre of the input.
    centre_hz: Option<f64>,
    /// A sample of the input, and its time.
    clock: Option<(u64, Timestamp)>,
    /// Index in the input of the first sample of the present run, and the output's that stands for
    /// it.
    run: (u64, u64),
    /// Output samples of the run.
    produced: u64,
    /// Next sample of the input.
    next_sample: u64,
    /// The next output block begins with an anchor.
    anchor_due: bool,
}

impl Narrowing {
    /// Around `frequency_hz` of an input of complex samples. `least_rate_hz`, `half_width_hz`: as of
    /// [`Band::Downlink`].
    pub fn new(
        input_rate_hz: f64,
        frequency_hz: Option<f64>,
        half_width_hz: f64,
        least_rate_hz: f64,
    ) -> Self {
        let mut narrowing = Self {
            input_rate_hz,
            frequency_hz,
            half_width_hz,
            least_rate_hz,
            tuner: Tuner::new(
                input_rate_hz,
                false,
                &Channel {
                    offset_hz: 0.0,
                    half_bandwidth_hz: 1.0,
                    min_rate_hz: 1.0,
                    max_rate_hz: 1.0,
                },
            ),
            built_hz: 0.0,
            centre_hz: None,
            clock: None,
            run: (0, 0),
            produced: 0,
            next_sample: 0,
            anchor_due: true,
        };
        narrowing.build();
        narrowing
    }

    /// Sample rate of the output.
    pub fn output_rate_hz(&self) -> f64 {
        self.tuner.output_rate_hz()
    }

    /// The output's sample that stands for a sample of the input.
    pub fn position(&self, sample: u64) -> u64 {
        let ratio = self.tuner.input_position(1.0);
        match sample.checked_sub(self.run.0) {
            Some(ahead) => self.run.1.saturating_add((ahead as f64 / ratio).round() as u64),
            None => (sample as f64 / ratio).round() as u64,
        }
    }

    /// Takes samples of the input, of which the first has index `first_sample`, and appends blocks
    /// of the output.
    pub fn push(
        &mut self,
        anchor: Option<Anchor>,
        first_sample: u64,
        samples: &[Complex32],
        out: &mut Vec<SampleBlock>,
    ) {
        if first_sample != self.next_sample {
            self.interrupt(first_sample, out);
        }
        if let Some(anchor) = anchor {
            self.take_anchor(anchor, out);
        }
        self.next_sample += samples.len() as u64;
        let mut narrow = Vec::new();
        self.tuner.process(samples, &mut narrow);
        self.emit(narrow, out);
    }

    /// The input has ended: appends what is still on its way.
    pub fn finish(&mut self, out: &mut Vec<SampleBlock>) {
        let mut narrow = Vec::new();
        self.tuner.finish(&mut narrow);
        self.emit(narrow, out);
    }

    fn build(&mut self) {
        self.built_hz = self.offset_hz();
        let channel = Channel {
            offset_hz: self.built_hz,
            half_bandwidth_hz: self.half_width_hz,
            min_rate_hz: self.least_rate_hz,
            max_rate_hz: RATE_CHOICE * self.least_rate_hz,
        };
        self.tuner = Tuner::new(self.input_rate_hz, false, &channel);
    }

    /// Where the downlink is in the input.
    fn offset_hz(&self) -> f64 {
        match (self.frequency_hz, self.centre_hz) {
            (Some(frequency_hz), Some(centre_hz)) => frequency_hz - centre_hz,
            _ => 0.0,
        }
    }

    /// Ends a run of samples and begins the next one at `first_sample`.
    fn interrupt(&mut self, first_sample: u64, out: &mut Vec<SampleBlock>) {
        self.finish(out);
        let end = self.run.1 + self.produced;
        let here = (first_sample as f64 / self.tuner.input_position(1.0)).round() as u64;
        self.run = (first_sample, here.max(end));
        self.produced = 0;
        self.next_sample = first_sample;
        self.anchor_due = true;
        self.build();
    }

    fn take_anchor(&mut self, anchor: Anchor, out: &mut Vec<SampleBlock>) {
        let begins = self.next_sample == self.run.0;
        if let Some(time) = anchor.time {
            let expected = self.time(anchor.sample as f64);
            let jumps =
                expected.is_some_and(|e| time.duration_since(e).abs().as_secs_f64() > SAME_CLOCK_S);
            if jumps && !begins {
                self.interrupt(self.next_sample, out);
            }
            self.clock = Some((anchor.sample, time));
        }
        if let Some(centre_hz) = anchor.centre_frequency_hz {
            self.centre_hz = Some(centre_hz);
            if self.next_sample == self.run.0 {
                self.build();
            } else {
                self.tuner.steer(self.offset_hz() - self.built_hz, 0.0);
            }
        }
        self.anchor_due = true;
    }

    /// UTC of an instant of the input.
    fn time(&self, sample: f64) -> Option<Timestamp> {
        let (known, time) = self.clock?;
        moved(time, (sample - known as f64) / self.input_rate_hz)
    }

    fn emit(&mut self, samples: Vec<Complex32>, out: &mut Vec<SampleBlock>) {
        if samples.is_empty() {
            return;
        }
        let first_sample = self.run.1 + self.produced;
        let instant = self.run.0 as f64 + self.tuner.input_position(self.produced as f64);
        let anchor = std::mem::take(&mut self.anchor_due).then(|| Anchor {
            sample: first_sample,
            time: self.time(instant),
            centre_frequency_hz: self.frequency_hz.or(self.centre_hz),
        });
        self.produced += samples.len() as u64;
        out.push(SampleBlock { first_sample, anchor, samples });
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    const RATE_HZ: f64 = 250_000.0;

    fn start() -> Timestamp {
        "2026-08-01T12:00:00Z".parse().unwrap()
    }

    /// A carrier `offset_hz` from the centre.
    fn carrier(first: u64, count: usize, offset_hz: f64) -> Vec<Complex32> {
        let turn = |k: u64| (k as f64 * offset_hz / RATE_HZ).fract() * std::f64::consts::TAU;
        (first..first + count as u64).map(|k| Complex32::cis(turn(k) as f32)).collect()
    }

    #[test]
    fn the_downlink_comes_to_0_hz_with_right_times_behind_gaps_and_retunes() {
        let mut narrowing = Narrowing::new(RATE_HZ, Some(437.5e6), 20_000.0, 48_000.0);
        let rate_hz = narrowing.output_rate_hz();
        assert!((48_000.0..=96_000.0).contains(&rate_hz), "{rate_hz}");
        let mut out = Vec::new();
        let anchor = |sample: u64, centre_frequency_hz| Anchor {
            sample,
            time: moved(start(), sample as f64 / RATE_HZ),
            centre_frequency_hz: Some(centre_frequency_hz),
        };
        // 1 s, a gap of 0.2 s, and another tuning half a second later.
        let (a, b, c) = (0, 300_000, 425_000);
        for k in 0..25 {
            let at = a + 10_000 * k;
            let said = (k == 0).then(|| anchor(0, 437.45e6));
            narrowing.push(said, at, &carrier(at, 10_000, 51_000.0), &mut out);
        }
        narrowing.push(None, b, &carrier(b, 125_000, 51_000.0), &mut out);
        narrowing.push(Some(anchor(c, 437.53e6)), c, &carrier(c, 50_000, -29_000.0), &mut out);
        narrowing.finish(&mut out);
        let total: usize = out.iter().map(|block| block.samples.len()).sum();
        let expected = (250_000.0 + 175_000.0) * rate_hz / RATE_HZ;
        assert!((total as f64 - expected).abs() <= 4.0, "{total}");
        let mut next = 0;
        for block in &out {
            assert!(block.first_sample >= next);
            next = block.first_sample + block.samples.len() as u64;
            let exact_s = block.first_sample as f64 / rate_hz;
            if let Some(anchor) = block.anchor {
                assert_eq!(anchor.centre_frequency_hz, Some(437.5e6));
                let time = anchor.time.unwrap().duration_since(start()).as_secs_f64();
                assert!((time - exact_s).abs() < 2.0 / rate_hz, "{time} {exact_s}");
            }
            // The tone is 1 kHz above the nominal frequency, whatever the radio was tuned to.
            if let Some(middle) = block.samples.get(200..block.samples.len().saturating_sub(200)) {
                for pair in middle.windows(2) {
                    let turn = f64::from((pair[1] * pair[0].conj()).arg());
                    let hz = turn / std::f64::consts::TAU * rate_hz;
                    let edge = block.first_sample as f64 * RATE_HZ / rate_hz;
                    let near = (edge - 425_000.0).abs() < 5_000.0;
                    assert!((hz - 1_000.0).abs() < 5.0 || near, "{hz} at {edge}");
                }
            }
        }
        assert!(out.iter().filter(|block| block.anchor.is_some()).count() >= 3);
        let there = narrowing.position(c);
        assert!((there as f64 - c as f64 * rate_hz / RATE_HZ).abs() <= 2.0);
    }

    #[test]
    fn nonsense_does_no_harm() {
        let mut out = Vec::new();
        for rate_hz in [f64::NAN, 0.0, 1.0, f64::INFINITY] {
            let mut narrowing = Narrowing::new(rate_hz, Some(f64::NAN), f64::NAN, -1.0);
            let anchor = Anchor { sample: 9, time: Some(start()), centre_frequency_hz: Some(1.0) };
            narrowing.push(Some(anchor), 3, &[Complex32::new(f32::NAN, 1.0); 9], &mut out);
            narrowing.push(None, 1, &[Complex32::default(); 9], &mut out);
            narrowing.finish(&mut out);
            narrowing.position(u64::MAX);
        }
    }
}
