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

    pub(super) fn tracking(&self) -> &Tracking {
        &self.tracking
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

    /// From now on times are so much later than the count of samples says.
    pub(super) fn stepped(&mut self, step_s: f64) {
        self.tracking.stepped(step_s);
    }

    /// Times come from a clock that may be set.
    pub(super) fn set_live(&mut self) {
        self.tracking.set_live();
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

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use std::f64::consts::TAU;
    use std::sync::Arc;

    use num_complex::{Complex32, Complex64};
    use rustfft::FftPlanner;

    use super::*;
    use crate::doppler::{LIGHT_KM_PER_S, Prediction, after, seconds_between};
    use crate::dsp::oscillator::Oscillator;

    const RATE_HZ: f64 = 48_000.0;
    const SPEED_KM_PER_S: f64 = 7.5;
    const CLOSEST_KM: f64 = 500.0;

    /// A straight flight past the station, closest 20 s after the beginning.
    struct Flyby {
        start: Timestamp,
        carrier_hz: f64,
    }

    impl Flyby {
        fn range_km(&self, seconds: f64) -> f64 {
            (SPEED_KM_PER_S * (seconds - 20.0)).hypot(CLOSEST_KM)
        }
    }

    impl Prediction for Flyby {
        fn shift_hz(&self, time: Timestamp) -> Option<f64> {
            let s = seconds_between(self.start, time);
            let along_km = SPEED_KM_PER_S * (s - 20.0);
            let range_rate = SPEED_KM_PER_S * along_km / self.range_km(s);
            Some(-self.carrier_hz * range_rate / LIGHT_KM_PER_S)
        }
    }

    /// Takes the shift out of an exact carrier; largest line of what remains, dBc.
    fn worst_spur_dbc(carrier_hz: f64) -> f64 {
        let start: Timestamp = "2026-11-22T12:00:00Z".parse().unwrap();
        let flyby = Arc::new(Flyby { start, carrier_hz });
        let mut steering = Steering::new(Tracking::open_loop(flyby.clone()), RATE_HZ);
        let mut oscillator = Oscillator::new(RATE_HZ, 0.0);
        let total = (40.0 * RATE_HZ) as u64;
        let mut rest = Vec::new();
        for sample in 0..total {
            if steering.is_due(sample) {
                let time = |n: u64| Some(after(start, n as f64 / RATE_HZ));
                let (shift_hz, rate_hz_per_s) = steering.advance(sample, time);
                oscillator.steer(-shift_hz, -rate_hz_per_s);
            }
            let range = flyby.range_km(sample as f64 / RATE_HZ) - CLOSEST_KM;
            let cycles = -carrier_hz / LIGHT_KM_PER_S * range;
            let carrier = Complex64::cis(TAU * cycles.fract());
            let mut one = [Complex32::new(carrier.re as f32, carrier.im as f32)];
            oscillator.mix(&mut one);
            rest.push(one[0]);
        }
        const N: usize = 1 << 17;
        let fft = FftPlanner::<f32>::new().plan_fft_forward(N);
        let mut worst = f64::NEG_INFINITY;
        for piece in rest.chunks_exact(N) {
            // Blackman–Harris: side lobes 92 dB down, main lobe of 8 bins.
            let mut bins: Vec<Complex32> = piece
                .iter()
                .enumerate()
                .map(|(n, x)| {
                    let x0 = TAU * n as f64 / N as f64;
                    let window = 0.358_75 - 0.488_29 * x0.cos() + 0.141_28 * (2.0 * x0).cos()
                        - 0.011_68 * (3.0 * x0).cos();
                    x * window as f32
                })
                .collect();
            fft.process(&mut bins);
            let power = |k: usize| f64::from(bins[k % N].norm_sqr());
            // What is left of the shift is a hundredth of a hertz.
            let carrier = (0..3).map(power).chain((N - 2..N).map(power)).fold(0.0, f64::max);
            let spur = (8..N - 8).map(power).fold(0.0, f64::max);
            worst = worst.max(10.0 * (spur / carrier).log10());
        }
        worst
    }

    #[test]
    fn steering_adds_no_spur() {
        for (carrier_hz, limit_dbc) in [(437.5e6, -90.0), (2.2e9, -88.0)] {
            let worst = worst_spur_dbc(carrier_hz);
            println!("{carrier_hz} Hz: largest spur {worst:.1} dBc");
            assert!(worst < limit_dbc, "{carrier_hz}: {worst}");
        }
    }

    #[test]
    fn a_gap_begins_where_the_prediction_is() {
        let start: Timestamp = "2026-11-22T12:00:00Z".parse().unwrap();
        let flyby = Arc::new(Flyby { start, carrier_hz: 437.5e6 });
        let mut steering = Steering::new(Tracking::open_loop(flyby.clone()), RATE_HZ);
        let time = |n: u64| Some(after(start, n as f64 / RATE_HZ));
        let at = |n: u64| flyby.shift_hz(time(n).unwrap()).unwrap();
        assert_eq!(steering.advance(100, time).0, at(100));
        steering.restart();
        assert!((steering.advance(900_001, time).0 - at(900_001)).abs() < 1e-9);
        assert!((steering.shift_hz(900_100) - at(900_100)).abs() < 0.01);
        assert_eq!(steering.shift_hz(100), at(100));
        steering.forget_before(900_001);
        assert_eq!(steering.ramps.len(), 1);
        // Nothing known: nothing moves.
        struct Nothing;
        impl Prediction for Nothing {
            fn shift_hz(&self, _: Timestamp) -> Option<f64> {
                None
            }
        }
        let mut steering = Steering::new(Tracking::open_loop(Arc::new(Nothing)), RATE_HZ);
        assert_eq!(steering.advance(5, time), (0.0, 0.0));
        assert_eq!(steering.advance(2400, |_| None), (0.0, 0.0));
    }
}
