//! What a receiver is steered by: a prediction, refined by what is received.
//!
//! The receiver asks for the shift at instants on a grid and ramps its oscillator linearly from one
//! to the next, so that frequency and phase are continuous. Frames that were received tell the
//! carrier back ([`Tracking::sighted`]); the fit of [`refine`](super::refine) then corrects what is
//! asked for later. A correction is not applied at once, since a burst may be in the air: it moves
//! with `Rs²/2·10⁶` Hz/s at most (46 Hz/s at 9600 Bd), which no demodulator feels.

use std::sync::Arc;

use jiff::Timestamp;

use super::refine::{Fit, Prior, Sighting, fit};
use super::{Prediction, after, seconds_between};

/// Sightings nearer to each other than this are one, s.
const MERGED_S: f64 = 1.0;
/// Most sightings that are remembered.
const REMEMBERED: usize = 1024;
/// Standard deviation of a carrier's estimate, Hz, and how it grows with the time since: CubeSats'
/// oscillators drift with their temperature.
const SIGMA_HZ: f64 = 4.0;
const DRIFT_HZ_PER_S: f64 = 0.2;
/// A clock that was set by less does no harm, s.
const LEAST_STEP_S: f64 = 0.1;
/// Correction's fastest change over the square of the symbol rate, s.
const SLEW_S: f64 = 0.5e-6;

/// A prediction on its way to a tuner.
#[derive(Clone)]
pub struct Tracking {
    prediction: Arc<dyn Prediction>,
    /// `None`: the prediction is taken as it is.
    refinement: Option<Refinement>,
    /// Times are those of a running clock.
    live: bool,
}

#[derive(Clone)]
struct Refinement {
    prior: Prior,
    slew_hz_per_s: f64,
    sightings: Vec<Merged>,
    /// Sightings have come since the last fit.
    stale: bool,
    fit: Fit,
    /// Correction applied at the last instant asked for.
    applied: Option<(Timestamp, f64)>,
}

/// Sightings near to each other, as their mean.
#[derive(Clone)]
struct Merged {
    mean: Sighting,
    first: Timestamp,
    count: f64,
}

impl Tracking {
    /// Follows a prediction as it is: another program knows better.
    pub fn open_loop(prediction: Arc<dyn Prediction>) -> Self {
        Self { prediction, refinement: None, live: false }
    }

    /// Follows a prediction that is known as well as `prior` says, refined by the carriers that
    /// were received at this symbol rate.
    pub fn closed_loop(prediction: Arc<dyn Prediction>, prior: Prior, symbol_rate_bd: f64) -> Self {
        let refinement = Refinement {
            prior,
            slew_hz_per_s: SLEW_S * symbol_rate_bd * symbol_rate_bd,
            sightings: Vec::new(),
            stale: false,
            fit: Fit::NONE,
            applied: None,
        };
        Self { prediction, refinement: Some(refinement), live: false }
    }

    /// The shift to steer to at an instant not before the last one asked for; `None` if nothing is
    /// known. `time` is `None` if the input has no time.
    pub fn shift_hz(&mut self, time: Option<Timestamp>) -> Option<f64> {
        let Some(time) = time else { return self.prediction.untimed_shift_hz() };
        let predicted = self.prediction.shift_hz(time)?;
        let Some(refinement) = &mut self.refinement else { return Some(predicted) };
        refinement.refit(self.prediction.as_ref(), time);
        let wanted = refinement.fit.shift_hz(self.prediction.as_ref(), time)? - predicted;
        let applied = match refinement.applied {
            Some((before, applied)) => {
                let most = refinement.slew_hz_per_s * seconds_between(before, time).max(0.0);
                applied + (wanted - applied).clamp(-most, most)
            }
            None => wanted,
        };
        refinement.applied = Some((time, applied));
        Some(predicted + applied)
    }

    /// A frame beyond doubt was received with its carrier shifted so.
    pub fn sighted(&mut self, time: Timestamp, shift_hz: f64) {
        let Some(refinement) = &mut self.refinement else { return };
        if !shift_hz.is_finite() {
            return;
        }
        refinement.stale = true;
        if let Some(last) = refinement.sightings.last_mut()
            && seconds_between(last.first, time).abs() < MERGED_S
        {
            // So that many frames a second cost no more than one.
            last.count += 1.0;
            last.mean.shift_hz += (shift_hz - last.mean.shift_hz) / last.count;
            last.mean.time =
                after(last.mean.time, seconds_between(last.mean.time, time) / last.count);
            return;
        }
        if refinement.sightings.len() == REMEMBERED {
            refinement.sightings.remove(0);
        }
        let mean = Sighting { time, shift_hz, sigma_hz: SIGMA_HZ };
        refinement.sightings.push(Merged { mean, first: time, count: 1.0 });
    }

    /// Times come from a clock that may be set while samples come, not from a recording.
    pub fn set_live(&mut self) {
        self.live = true;
    }

    /// From now on times are `step_s` later than the count of samples says. Where the clock was set,
    /// the sightings' times were wrong, and what they said is forgotten. A recording may have a pause
    /// there, but none goes back.
    pub fn stepped(&mut self, step_s: f64) {
        let Some(refinement) = &mut self.refinement else { return };
        if step_s < -LEAST_STEP_S || self.live && step_s > LEAST_STEP_S {
            refinement.sightings.clear();
            refinement.stale = false;
            refinement.fit = Fit::NONE;
            refinement.applied = None;
        }
    }

    /// What the sightings said so far; `None` if the prediction is taken as it is, or none came.
    pub fn fit(&mut self) -> Option<Fit> {
        let refinement = self.refinement.as_mut()?;
        let last = refinement.sightings.last()?.mean.time;
        refinement.refit(self.prediction.as_ref(), last);
        Some(refinement.fit).filter(|fit| fit.used > 0)
    }
}

impl Refinement {
    fn refit(&mut self, prediction: &dyn Prediction, now: Timestamp) {
        if !std::mem::take(&mut self.stale) {
            return;
        }
        let sightings: Vec<Sighting> = self
            .sightings
            .iter()
            .map(|merged| {
                let age_s = seconds_between(merged.mean.time, now).max(0.0);
                let sigma_hz = merged.mean.sigma_hz.hypot(DRIFT_HZ_PER_S * age_s);
                Sighting { sigma_hz, ..merged.mean }
            })
            .collect();
        if let Some(fit) = fit(prediction, &sightings, &self.prior, &self.fit) {
            self.fit = fit;
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;
    use crate::doppler::refine::tests::{Flyby, time};

    #[test]
    fn an_open_loop_is_the_prediction() {
        let mut tracking = Tracking::open_loop(Arc::new(Flyby));
        tracking.sighted(time(0.0), 500.0);
        assert_eq!(tracking.shift_hz(Some(time(10.0))), Some(Flyby::at(10.0)));
        assert_eq!(tracking.shift_hz(None), None);
        assert!(tracking.fit().is_none());
    }

    #[test]
    fn a_late_satellite_with_a_wrong_crystal_is_centred_by_its_bursts() {
        let prior = Prior::of_elements(437.5e6, 14.0);
        let mut tracking = Tracking::closed_loop(Arc::new(Flyby), prior, 9600.0);
        let truth = |s: f64| Flyby::at(s - 2.5) + 875.0;
        let (mut worst, mut last) = (0f64, tracking.shift_hz(Some(time(-300.0))).unwrap());
        for tenth in -2999..3000 {
            let s = f64::from(tenth) / 10.0;
            let now = tracking.shift_hz(Some(time(s))).unwrap();
            // Never faster than the pass and the slew together.
            assert!((now - last).abs() < 0.1 * (160.0 + 46.1), "{s}: {}", now - last);
            last = now;
            if tenth % 100 == 0 {
                tracking.sighted(time(s), truth(s));
            }
            if s > 30.0 {
                worst = worst.max((now - truth(s)).abs());
            } else if s > -250.0 && s < -100.0 {
                assert!((now - truth(s)).abs() < 40.0, "{s}: {}", now - truth(s));
            }
        }
        assert!(worst < 10.0, "{worst}");
        assert!((tracking.fit().unwrap().late_s - 2.5).abs() < 0.1);
    }

    #[test]
    fn what_was_seen_at_wrong_times_is_forgotten_when_the_clock_is_set() {
        for (live, step_s, forgets) in [
            (true, 30.0, true),
            (true, -30.0, true),
            (true, 0.05, false),
            (false, 30.0, false),
            (false, -30.0, true),
        ] {
            let prior = Prior::of_elements(437.5e6, 1.0);
            let mut tracking = Tracking::closed_loop(Arc::new(Flyby), prior, 9600.0);
            if live {
                tracking.set_live();
            }
            for k in -100..0 {
                let s = f64::from(k);
                tracking.sighted(time(s), Flyby::at(s) + 500.0);
            }
            tracking.shift_hz(Some(time(0.0)));
            assert!(tracking.fit().is_some());
            tracking.stepped(step_s);
            assert_eq!(tracking.fit().is_none(), forgets, "{live} {step_s}");
            let now = time(1.0 + step_s);
            let correction = tracking.shift_hz(Some(now)).unwrap() - Flyby::at(1.0 + step_s);
            assert_eq!(correction.abs() < 1.0, forgets, "{live} {step_s}: {correction}");
        }
    }

    #[test]
    fn many_frames_a_second_are_one_sighting_each_second() {
        let prior = Prior::of_elements(437.5e6, 1.0);
        let mut tracking = Tracking::closed_loop(Arc::new(Flyby), prior, 9600.0);
        for k in 0..5000 {
            let s = f64::from(k) / 50.0;
            tracking.sighted(time(s), Flyby::at(s) + 100.0);
        }
        let remembered = tracking.refinement.as_ref().unwrap().sightings.len();
        assert!((90..=110).contains(&remembered), "{remembered}");
        tracking.shift_hz(Some(time(100.0)));
        assert!((tracking.fit().unwrap().bias_hz - 100.0).abs() < 1.0);
        tracking.sighted(time(101.0), f64::NAN);
        assert!(tracking.shift_hz(Some(time(102.0))).unwrap().is_finite());
    }
}
