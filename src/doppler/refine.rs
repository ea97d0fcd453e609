//! What measured carriers say about a prediction: a bias of the frequency and an error along the
//! track.
//!
//! ```text
//!  y_i = D(t_i - τ) + b + e_i
//! ```
//!
//! `y_i` is the shift measured at `t_i`, `D` the prediction. `b` holds the errors of both
//! oscillators. `τ` is how late the satellite is on its track, which is how elements go wrong with
//! age: drag is not known well, and acts along the track. The maximum of the posterior is found by
//! Gauss–Newton steps on
//!
//! ```text
//!  c = ∑ h((y_i - D(t_i - τ) - b) / σ_i) + b²/2σ_b² + τ²/2σ_τ²
//! ```
//!
//! with Huber's `h(x) = x²/2` up to [`HUBER`], then linear: a measurement that belongs to another
//! satellite pulls no more than a poor one. The priors σ_b, σ_τ keep what is not yet measured at
//! its predicted value: one burst moves the bias alone, and the time only as the Doppler rate
//! turns.
//!
//! Reference: P. J. Huber, *Robust Estimation of a Location Parameter* (1964).

use jiff::Timestamp;

use super::{Prediction, after, blind_search_hz};

/// Deviations beyond which a measurement's pull no longer grows.
pub const HUBER: f64 = 2.0;
/// Half the step of the numeric derivative of the prediction, s.
const DERIVATIVE_S: f64 = 0.05;
/// Doppler rate over the carrier of an orbit at 400 km overhead, 1/s: v²/(d c).
const STEEPEST_PER_S: f64 = 5e-7;
/// A carrier is searched within ± this at least.
const LEAST_SEARCH_HZ: f64 = 10_000.0;
/// Most Gauss–Newton steps.
const STEPS: usize = 12;
/// The steps end when the time changes by less, s.
const SETTLED_S: f64 = 1e-5;
/// And the bias by less, Hz.
const SETTLED_HZ: f64 = 1e-4;

/// A carrier measured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sighting {
    /// When, by the station's clock.
    pub time: Timestamp,
    /// Received minus nominal frequency, Hz.
    pub shift_hz: f64,
    /// Standard deviation of it, Hz; above 0.
    pub sigma_hz: f64,
}

/// How well bias and time of a prediction are known beforehand: standard deviations.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Prior {
    /// Of the frequency bias, Hz; above 0.
    pub bias_hz: f64,
    /// Of the time along the track, s; above 0.
    pub time_s: f64,
}

impl Prior {
    /// That of elements of this age and oscillators as CubeSats and cheap radios have them:
    /// 4 ppm, and .3 s growing by .15 s a day.
    pub fn of_elements(carrier_hz: f64, age_days: f64) -> Self {
        Self { bias_hz: 4e-6 * carrier_hz.abs().max(1e6), time_s: 0.3 + 0.15 * age_days.abs() }
    }

    /// How far from the prediction a carrier is searched: three standard deviations at the highest
    /// Doppler rate there is, 10 kHz at least, and no farther than without a prediction.
    pub fn search_hz(&self, carrier_hz: f64) -> f64 {
        let along_track_hz = self.time_s * STEEPEST_PER_S * carrier_hz.abs();
        let search_hz = 3.0 * (self.bias_hz + along_track_hz);
        search_hz.max(LEAST_SEARCH_HZ).min(blind_search_hz(carrier_hz))
    }
}

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fit {
    /// Measured minus predicted frequency, Hz.
    pub bias_hz: f64,
    /// How late the satellite is on its track, s.
    pub late_s: f64,
    /// Root mean square of the residuals, Hz.
    pub rms_hz: f64,
    /// The cost c at the minimum, in nats.
    pub cost: f64,
    /// Sightings for which the prediction had a value.
    pub used: usize,
}

impl Fit {
    /// No correction.
    pub const NONE: Fit = Fit { bias_hz: 0.0, late_s: 0.0, rms_hz: 0.0, cost: 0.0, used: 0 };

    /// The corrected shift, Hz.
    pub fn shift_hz(&self, prediction: &dyn Prediction, time: Timestamp) -> Option<f64> {
        Some(prediction.shift_hz(after(time, -self.late_s))? + self.bias_hz)
    }
}

/// Fits bias and time. Begins at `start`, the last fit or [`Fit::NONE`]. `None` if the prediction
/// has a value at no sighting, or nothing finite comes out.
pub fn fit(
    prediction: &dyn Prediction,
    sightings: &[Sighting],
    prior: &Prior,
    start: &Fit,
) -> Option<Fit> {
    let weight = |sigma: f64| {
        let sigma = if sigma.is_finite() { sigma.max(1e-3) } else { 1e9 };
        1.0 / (sigma * sigma)
    };
    let (prior_bias, prior_time) = (weight(prior.bias_hz), weight(prior.time_s));
    let evaluate = |bias: f64, late: f64| {
        let (mut cost, mut squares, mut used) = (0.0, 0.0, 0);
        // Normal equations: [aa ab; ab bb] · step = [ga; gb], a for the bias and b for the time.
        let (mut aa, mut ab, mut bb) = (prior_bias, 0.0, prior_time);
        let (mut ga, mut gb) = (-prior_bias * bias, -prior_time * late);
        cost += 0.5 * (prior_bias * bias * bias + prior_time * late * late);
        for sighting in sightings {
            let at = |offset_s: f64| prediction.shift_hz(after(sighting.time, offset_s - late));
            let (Some(early), Some(later)) = (at(-DERIVATIVE_S), at(DERIVATIVE_S)) else {
                continue;
            };
            let slope = -(later - early) / (2.0 * DERIVATIVE_S);
            let residual = sighting.shift_hz - 0.5 * (early + later) - bias;
            if !(residual.is_finite() && slope.is_finite()) {
                continue;
            }
            let base = weight(sighting.sigma_hz);
            let x = residual.abs() * base.sqrt();
            let robust = if x > HUBER { HUBER / x } else { 1.0 };
            cost += if x > HUBER { HUBER * (x - 0.5 * HUBER) } else { 0.5 * x * x };
            let w = base * robust;
            aa += w;
            ab += w * slope;
            bb += w * slope * slope;
            ga += w * residual;
            gb += w * residual * slope;
            squares += residual * residual;
            used += 1;
        }
        let determinant = aa * bb - ab * ab;
        let step = ((bb * ga - ab * gb) / determinant, (aa * gb - ab * ga) / determinant);
        let rms_hz = if used > 0 { (squares / used as f64).sqrt() } else { 0.0 };
        (Fit { bias_hz: bias, late_s: late, rms_hz, cost, used }, step)
    };
    let (mut best, mut step) = evaluate(start.bias_hz, start.late_s);
    if best.used == 0 || !best.cost.is_finite() {
        return None;
    }
    for _ in 0..STEPS {
        // Halved until it is an improvement: the curve bends at closest approach.
        let mut scale = 1.0;
        let next = loop {
            let (bias, late) = (best.bias_hz + scale * step.0, best.late_s + scale * step.1);
            let (fit, next_step) = evaluate(bias, late);
            if fit.cost <= best.cost && fit.used == best.used {
                break Some((fit, next_step));
            }
            scale *= 0.5;
            if !(scale > 1e-3 && step.0.is_finite() && step.1.is_finite()) {
                break None;
            }
        };
        let Some((fit, next_step)) = next else { break };
        let moved = (fit.bias_hz - best.bias_hz, fit.late_s - best.late_s);
        (best, step) = (fit, next_step);
        if moved.0.abs() < SETTLED_HZ && moved.1.abs() < SETTLED_S {
            break;
        }
    }
    (best.bias_hz.is_finite() && best.late_s.is_finite()).then_some(best)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
pub(crate) mod tests {
    use super::*;
    use crate::doppler::seconds_between;

    /// An overhead pass of 437.5 MHz in closed form, closest at the epoch of Unix time plus 1000 s.
    pub struct Flyby;

    impl Flyby {
        pub fn at(seconds: f64) -> f64 {
            let (speed, distance) = (7.5, 550.0);
            let x = speed * seconds;
            -437.5e6 / crate::doppler::LIGHT_KM_PER_S * speed * x / x.hypot(distance)
        }
    }

    pub fn time(seconds: f64) -> Timestamp {
        after(Timestamp::UNIX_EPOCH, 1000.0 + seconds)
    }

    impl Prediction for Flyby {
        fn shift_hz(&self, at: Timestamp) -> Option<f64> {
            Some(Self::at(seconds_between(time(0.0), at)))
        }
    }

    const PRIOR: Prior = Prior { bias_hz: 1750.0, time_s: 2.4 };

    fn sighting(seconds: f64, late: f64, bias: f64) -> Sighting {
        Sighting { time: time(seconds), shift_hz: Flyby::at(seconds - late) + bias, sigma_hz: 5.0 }
    }

    #[test]
    fn bias_and_time_are_found_once_the_pass_has_turned() {
        let seen: Vec<Sighting> =
            (-20..=20).map(|k| sighting(10.0 * f64::from(k), 3.2, -640.0)).collect();
        let fit = fit(&Flyby, &seen, &PRIOR, &Fit::NONE).unwrap();
        assert!((fit.late_s - 3.2).abs() < 0.01, "{fit:?}");
        assert!((fit.bias_hz + 640.0).abs() < 1.0, "{fit:?}");
        assert!(fit.rms_hz < 1.0 && fit.used == 41);
        let there = fit.shift_hz(&Flyby, time(33.0)).unwrap();
        assert!((there - sighting(33.0, 3.2, -640.0).shift_hz).abs() < 1.0);
    }

    #[test]
    fn one_burst_far_from_culmination_moves_the_bias_alone() {
        let fit = fit(&Flyby, &[sighting(-250.0, 0.0, 800.0)], &PRIOR, &Fit::NONE).unwrap();
        assert!((fit.bias_hz - 800.0).abs() < 5.0, "{fit:?}");
        assert!(fit.late_s.abs() < 0.1, "{fit:?}");
    }

    #[test]
    fn what_belongs_to_another_satellite_does_not_pull() {
        let mut seen: Vec<Sighting> =
            (-10..=10).map(|k| sighting(10.0 * f64::from(k), -1.5, 300.0)).collect();
        for k in [2, 9, 15] {
            seen[k].shift_hz += 6000.0;
        }
        let fit = fit(&Flyby, &seen, &PRIOR, &Fit::NONE).unwrap();
        assert!((fit.late_s + 1.5).abs() < 0.05 && (fit.bias_hz - 300.0).abs() < 6.0, "{fit:?}");
    }

    #[test]
    fn nonsense_gives_nothing_or_something_finite() {
        struct Nothing;
        impl Prediction for Nothing {
            fn shift_hz(&self, _: Timestamp) -> Option<f64> {
                None
            }
        }
        let seen = [sighting(0.0, 0.0, 0.0)];
        assert!(fit(&Nothing, &seen, &PRIOR, &Fit::NONE).is_none());
        assert!(fit(&Flyby, &[], &PRIOR, &Fit::NONE).is_none());
        for bad in [f64::NAN, f64::INFINITY, -1.0, 0.0] {
            let prior = Prior { bias_hz: bad, time_s: bad };
            for (shift_hz, sigma_hz) in [(bad, 5.0), (100.0, bad), (bad, bad)] {
                let odd = Sighting { time: time(5.0), shift_hz, sigma_hz };
                if let Some(fit) = fit(&Flyby, &[seen[0], odd], &prior, &Fit::NONE) {
                    assert!(fit.bias_hz.is_finite() && fit.late_s.is_finite(), "{fit:?}");
                }
            }
        }
        let far = Sighting { time: Timestamp::MAX, shift_hz: 0.0, sigma_hz: 1.0 };
        assert!(fit(&Flyby, &[far], &PRIOR, &Fit::NONE).is_some());
    }
}
