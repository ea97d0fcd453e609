//! A tracking's shift on a grid of samples, and what it was at samples past.

use std::collections::VecDeque;

use jiff::Timestamp;

use crate::doppler::refine::Fit;
use crate::doppler::tracking::Tracking;

/// Distance of the grid's points. The Doppler rate changes by up to 12 Hz/s² (500 km, 2.2 GHz), so
/// that the straight line is off by .004 Hz at most: a ripple of the phase 95 dB below the carrier.
pub const STEER_S: f64 = 0.05;

/// Most carriers kept; nobody fetched them.
pub(super) const MOST_CARRIERS: usize = 1 << 20;

/// A carrier measured over a run of symbols, framed or not.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Carrier {
    /// Index in the input, in the middle of the symbols.
    pub sample: u64,
    /// Its UTC, if the input has time.
    pub time: Option<Timestamp>,
    /// Received minus nominal frequency.
    pub shift_hz: f64,
    /// Es/N0 over these symbols.
    pub esn0_db: f32,
    /// Their number.
    pub symbols: usize,
}

/// A piece of the grid: from this sample on, the frequency moves linearly.
#[derive(Debug, Clone, Copy)]
struct Ramp {
    first_sample: u64,
    shift_hz: f64,
    rate_hz_per_s: f64,
}

/// Steers a receiver's tuners.
pub(super) struct Steering {
    tracking: Tracking,
    sample_rate_hz: f64,
    step_samples: u64,
    /// The next point; 0: as soon as there is a sample.
    due: u64,
    /// In order; never empty once a sample was taken.
    ramps: VecDeque<Ramp>,
}

impl Steering {
    pub(super) fn new(tracking: Tracking, sample_rate_hz: f64) -> Self {
        let step_samples = ((STEER_S * sample_rate_hz).round() as u64).max(1);
        Self { tracking, sample_rate_hz, step_samples, due: 0, ramps: VecDeque::new() }
    }

    /// Whether a ramp begins at this sample.
    pub(super) fn is_due(&self, sample: u64) -> bool {
        sample >= self.due
    }

    /// The sample at which the next ramp begins.
    pub(super) fn next_due(&self) -> u64 {
        self.due
    }

    /// Begins a ramp at `sample`: its shift there and its rate. Points that are not known leave the
    /// shift where it was.
    pub(super) fn advance(
        &mut self,
        sample: u64,
        time: impl Fn(u64) -> Option<Timestamp>,
    ) -> (f64, f64) {
        let shift_hz = match self.due {
            0 => self.tracking.shift_hz(time(sample)).or(self.ramps.back().map(|r| r.shift_hz)),
            _ => Some(self.now(sample).0),
        }
        .unwrap_or(0.0);
        self.due = (sample / self.step_samples + 1) * self.step_samples;
        let target_hz = self.tracking.shift_hz(time(self.due)).unwrap_or(shift_hz);
        let duration_s = (self.due - sample) as f64 / self.sample_rate_hz;
        let rate_hz_per_s = (target_hz - shift_hz) / duration_s;
        self.ramps.push_back(Ramp { first_sample: sample, shift_hz, rate_hz_per_s });
        (shift_hz, rate_hz_per_s)
    }

    /// Shift and rate at a sample.
    pub(super) fn now(&self, sample: u64) -> (f64, f64) {
        let after = self.ramps.partition_point(|r| r.first_sample <= sample);
        let Some(ramp) = self.ramps.get(after.saturating_sub(1)) else { return (0.0, 0.0) };
        let elapsed_s = sample.saturating_sub(ramp.first_sample) as f64 / self.sample_rate_hz;
        (ramp.shift_hz + ramp.rate_hz_per_s * elapsed_s, ramp.rate_hz_per_s)
    }

    /// Shift that was taken out at a sample.
    pub(super) fn shift_hz(&self, sample: u64) -> f64 {
        self.now(sample).0
    }

    /// A frame beyond doubt came with this offset from what was taken out.
    pub(super) fn sighted(&mut self, sample: u64, time: Timestamp, offset_hz: f64) {
        self.tracking.sighted(time, self.shift_hz(sample) + offset_hz);
    }

    /// A gap in the input: what follows begins where the prediction is.
    pub(super) fn restart(&mut self) {
        self.due = 0;
    }

    /// Samples before this one will not be asked for.
    pub(super) fn forget_before(&mut self, sample: u64) {
        while self.ramps.get(1).is_some_and(|second| second.first_sample <= sample) {
            self.ramps.pop_front();
        }
    }

    pub(super) fn fit(&mut self) -> Option<Fit> {
        self.tracking.fit()
    }
}
