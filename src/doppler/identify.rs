//! Whose signal is it? Objects ranked by how well their orbits explain carriers that were measured.
//!
//! Every object is fitted with its own frequency bias and time along the track
//! ([`refine`](super::refine)); the cost of the fit in nats is what ranks them, so that an object
//! that needs an oscillator far off, or a satellite seconds late, pays for it. The difference of
//! two costs is the logarithm of the odds between them. An object below the horizon cannot have
//! been heard, is not fitted, and comes last.
//!
//! Odds are worth what the stated deviations of the sightings are worth. [`identify`] therefore
//! scales these by the residuals of the best object (`1.4826 median |r/σ|`, if above 1), and asks
//! twice: with what is known of oscillators, and with a bias that may be anything. An object that
//! leads by its bias alone is not identified.

use std::sync::Arc;

use jiff::Timestamp;

use super::orbit::Orbit;
use super::refine::{Fit, Prior, Sighting, fit};
use super::sightings::{bursts, median};
use super::sky::{OrbitPrediction, observe};
use super::station::Station;
use super::{Prediction, after, seconds_between};

/// Below this elevation nothing is heard, degrees: refraction and hills left aside.
const HORIZON_DEG: f64 = -1.0;
/// Share of the sightings that must be above the horizon.
const HEARD: f64 = 0.8;
/// Times along the track from which the fit starts, in standard deviations.
const STARTS: [f64; 3] = [0.0, -2.0, 2.0];
/// Odds from which an object is identified, 20 : 1, in nats.
pub const CLEAR_NATS: f64 = 2.995_732_273_553_991;
/// Residuals of so many standard deviations are not those of the object's signal.
const STRANGE: f64 = 6.0;
/// Sightings over a shorter time, or fewer, tell nothing but a bias.
const SHORTEST_S: f64 = 5.0;
const FEWEST: usize = 3;
/// Sightings with longer pauses between them are of different bursts, s.
const PAUSE_S: f64 = 2.0;
/// The elevation is computed at so many sightings at most.
const MOST_LOOKS: usize = 50;
/// Predictions over a longer time are not computed beforehand, s.
const LONGEST_TABLE_S: f64 = 7200.0;
/// A bias that is not known at all, Hz.
const ANY_BIAS_HZ: f64 = 1e7;

/// An object and how well it fits.
#[derive(Debug, Clone)]
pub struct Match {
    /// The object.
    pub orbit: Arc<Orbit>,
    /// Bias, time, residuals and cost; `None`: it was below the horizon, or its elements give no
    /// position.
    pub fit: Option<Fit>,
    /// It was above the horizon while the signal was heard.
    pub above_horizon: bool,
    /// Its highest elevation among the sightings, degrees.
    pub highest_deg: f64,
}

impl Match {
    /// Odds against this object, as a logarithm, given those of the best: 0 for the best itself.
    pub fn behind_nats(&self, best: &Match) -> f64 {
        match (self.fit, best.fit) {
            (Some(fit), Some(best)) if self.above_horizon => fit.cost - best.cost,
            _ => f64::INFINITY,
        }
    }
}

/// Ranks the objects, the likeliest first. `prior` tells for each how well it is known.
pub fn rank(
    orbits: &[Arc<Orbit>],
    station: &Station,
    carrier_hz: f64,
    sightings: &[Sighting],
    prior: impl Fn(&Orbit) -> Prior,
) -> Vec<Match> {
    let mut matches: Vec<Match> = orbits
        .iter()
        .map(|orbit| {
            let prior = prior(orbit);
            let looks = || sightings.iter().step_by(sightings.len() / MOST_LOOKS + 1);
            let elevations: Vec<f64> = looks()
                .filter_map(|s| observe(orbit, station, s.time).ok())
                .map(|seen| seen.elevation_deg)
                .collect();
            let above = elevations.iter().filter(|&&deg| deg > HORIZON_DEG).count();
            let above_horizon = above as f64 >= HEARD * looks().count() as f64;
            let exact = OrbitPrediction { orbit: orbit.clone(), station: *station, carrier_hz };
            let margin_s = 3.0 + 4.0 * prior.time_s;
            let times = || sightings.iter().map(|s| s.time).filter(|_| above_horizon);
            let ends = times().min().zip(times().max());
            let prediction = Tabulated::new(exact, ends, margin_s);
            let fits = STARTS.iter().filter(|_| above_horizon).filter_map(|&sigmas| {
                let late_s = sigmas * prior.time_s;
                let apart = sightings.iter().filter_map(|s| {
                    Some(s.shift_hz - prediction.shift_hz(after(s.time, -late_s))?)
                });
                // With the prior's weight, a bias that many sightings agree on is nearer to them.
                let bias_hz = median(apart.collect()).unwrap_or(0.0);
                let start = Fit { bias_hz, late_s, ..Fit::NONE };
                fit(&prediction, sightings, &prior, &start)
            });
            Match {
                orbit: orbit.clone(),
                fit: fits.min_by(|a, b| a.cost.total_cmp(&b.cost)),
                above_horizon,
                highest_deg: elevations.into_iter().fold(f64::NEG_INFINITY, f64::max),
            }
        })
        .collect();
    matches.sort_by(|a, b| {
        let key = |m: &Match| (!m.above_horizon, m.fit.map_or(f64::INFINITY, |fit| fit.cost));
        let (a, b) = (key(a), key(b));
        a.0.cmp(&b.0).then(a.1.total_cmp(&b.1))
    });
    matches
}

/// A prediction with its values each second computed beforehand: a fit asks for many, and a file of
/// elements may have thousands of objects. Between them it is the cubic through the four values
/// around: right to 1 mHz for any orbit and carrier.
struct Tabulated {
    exact: OrbitPrediction,
    first: Timestamp,
    shifts_hz: Vec<Option<f64>>,
}

impl Tabulated {
    /// Between two instants and some seconds around them; elsewhere it is computed when asked for.
    fn new(exact: OrbitPrediction, ends: Option<(Timestamp, Timestamp)>, margin_s: f64) -> Self {
        let (first, last) = ends.unwrap_or((Timestamp::UNIX_EPOCH, Timestamp::UNIX_EPOCH));
        let first = after(first, -margin_s);
        let seconds = seconds_between(first, after(last, margin_s));
        let worth = ends.is_some() && seconds < LONGEST_TABLE_S;
        let length = if worth { seconds as usize + 2 } else { 0 };
        let shifts_hz = (0..length).map(|s| exact.shift_hz(after(first, s as f64))).collect();
        Self { exact, first, shifts_hz }
    }
}

impl Prediction for Tabulated {
    fn shift_hz(&self, time: Timestamp) -> Option<f64> {
        let seconds = seconds_between(self.first, time);
        let second = seconds.floor();
        // Lagrange, at x from 0 to 1 between the middle two of -1, 0, 1, 2.
        let x = seconds - second;
        let around = (second >= 1.0).then(|| second as usize - 1);
        match around.and_then(|at| self.shifts_hz.get(at..at.checked_add(4)?)) {
            Some(&[Some(a), Some(b), Some(c), Some(d)]) => Some(
                -a * x * (x - 1.0) * (x - 2.0) / 6.0 + b * (x + 1.0) * (x - 1.0) * (x - 2.0) / 2.0
                    - c * (x + 1.0) * x * (x - 2.0) / 2.0
                    + d * (x + 1.0) * x * (x - 1.0) / 6.0,
            ),
            _ => self.exact.shift_hz(time),
        }
    }
}

/// What can be said of whose signal it is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Verdict {
    /// There is no sighting.
    NothingSeen,
    /// No object was above the horizon.
    NoneAbove,
    /// Too few sightings, or over too short a time: any bias explains them.
    TooShort {
        /// Bursts, parted by pauses of seconds.
        bursts: usize,
        /// Time from first to last sighting.
        span_s: f64,
    },
    /// The best object does not explain the sightings.
    NoFit {
        /// Median of its residuals' magnitudes.
        residual_hz: f64,
    },
    /// Others are as good, or nearly.
    Unclear {
        /// Odds of the best object, against the next by [`Match::behind_nats`].
        nats: f64,
        /// Objects that are not [`CLEAR_NATS`] behind, the best included.
        candidates: usize,
        /// What is known of oscillators tells them apart, and nothing else.
        by_bias_alone: bool,
    },
    /// The best object it is.
    Clear {
        /// Odds against the next object; infinite if no other was above the horizon.
        nats: f64,
    },
}

/// Objects ranked, and what to make of it.
#[derive(Debug, Clone)]
pub struct Identification {
    /// The objects, the likeliest first.
    pub matches: Vec<Match>,
    /// What can be said.
    pub verdict: Verdict,
    /// The sightings, with their deviations as the best object's residuals have them.
    pub sightings: Vec<Sighting>,
}

impl Identification {
    /// Residuals of an object at the sightings: measured minus fitted, Hz.
    pub fn residuals_hz(&self, of: &Match, station: &Station, carrier_hz: f64) -> Vec<Option<f64>> {
        residuals(of, station, carrier_hz, &self.sightings)
    }
}

fn residuals(
    of: &Match,
    station: &Station,
    carrier_hz: f64,
    sightings: &[Sighting],
) -> Vec<Option<f64>> {
    let prediction = OrbitPrediction { orbit: of.orbit.clone(), station: *station, carrier_hz };
    let residual = |s: &Sighting| Some(s.shift_hz - of.fit?.shift_hz(&prediction, s.time)?);
    sightings.iter().map(residual).collect()
}

/// Ranks the objects as [`rank`], and judges. Sightings are in order of time.
pub fn identify(
    orbits: &[Arc<Orbit>],
    station: &Station,
    carrier_hz: f64,
    sightings: &[Sighting],
    prior: impl Fn(&Orbit) -> Prior,
) -> Identification {
    let mut sightings = sightings.to_vec();
    let mut matches = rank(orbits, station, carrier_hz, &sightings, &prior);
    let is_up = |m: &&Match| m.above_horizon && m.fit.is_some();
    let above: Vec<Arc<Orbit>> = matches.iter().filter(is_up).map(|m| m.orbit.clone()).collect();
    let (Some(first), Some(last)) = (sightings.first(), sightings.last()) else {
        return Identification { matches, verdict: Verdict::NothingSeen, sightings };
    };
    let span_s = seconds_between(first.time, last.time);
    let Some(best) = matches.first().filter(is_up) else {
        return Identification { matches, verdict: Verdict::NoneAbove, sightings };
    };
    let left: Vec<(f64, f64)> = residuals(best, station, carrier_hz, &sightings)
        .into_iter()
        .zip(&sightings)
        .filter_map(|(r, s)| Some((r?.abs(), s.sigma_hz)))
        .collect();
    let residual_hz = median(left.iter().map(|(r, _)| *r).collect()).unwrap_or(0.0);
    let scale = 1.4826 * median(left.iter().map(|(r, sigma)| r / sigma).collect()).unwrap_or(0.0);
    if scale > 1.0 {
        for sighting in &mut sightings {
            sighting.sigma_hz *= scale.min(STRANGE);
        }
        let mut again = rank(&above, station, carrier_hz, &sightings, &prior);
        again.extend(matches.into_iter().filter(|m| !is_up(&m)));
        matches = again;
    }
    let verdict = if sightings.len() < FEWEST || span_s < SHORTEST_S {
        Verdict::TooShort { bursts: bursts(&sightings, PAUSE_S), span_s }
    } else if scale > STRANGE {
        Verdict::NoFit { residual_hz }
    } else {
        let any_bias = |orbit: &Orbit| Prior { bias_hz: ANY_BIAS_HZ, ..prior(orbit) };
        let unbiased = rank(&above, station, carrier_hz, &sightings, any_bias);
        judge(&matches, &unbiased)
    };
    Identification { matches, verdict, sightings }
}

/// The verdict of two rankings: with what is known of oscillators, and without.
fn judge(matches: &[Match], unbiased: &[Match]) -> Verdict {
    let Some(best) = matches.first() else { return Verdict::NoneAbove };
    let number = |m: &Match| (m.orbit.norad_id(), m.orbit.elements().name.clone());
    let Some(same) = unbiased.iter().find(|m| number(m) == number(best)) else {
        return Verdict::NoneAbove;
    };
    let lead = |ranked: &[Match], best: &Match| {
        let others = ranked.iter().filter(|m| number(m) != number(best));
        others.map(|m| m.behind_nats(best)).fold(f64::INFINITY, f64::min)
    };
    let (nats, nats_unbiased) = (lead(matches, best), lead(unbiased, same));
    if nats.min(nats_unbiased) >= CLEAR_NATS {
        return Verdict::Clear { nats: nats.min(nats_unbiased) };
    }
    let near = |ranked: &[Match], best: &Match| {
        ranked.iter().filter(|m| m.behind_nats(best) < CLEAR_NATS).count()
    };
    Verdict::Unclear {
        nats: nats.min(nats_unbiased),
        candidates: near(matches, best).max(near(unbiased, same)),
        by_bias_alone: nats >= CLEAR_NATS,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;
    use crate::doppler::elements;
    use crate::doppler::passes::passes;

    const ELEMENTS: &str = "1 99001U 26001A   26308.50000000  .00000000  00000-0  30000-3 0  9998\n\
                            2 99001  97.4000 010.0000 0010000 090.0000 270.0000 15.22000000    01\n";
    const STATION: Station = Station { latitude_deg: 40.41, longitude_deg: 62.0, altitude_m: 28.0 };
    const CARRIER_HZ: f64 = 437.5e6;

    /// Objects one after the other on one orbit.
    fn launch(objects: u32, apart_s: f64) -> Vec<Arc<Orbit>> {
        let set = elements::parse("test", ELEMENTS.as_bytes()).unwrap().sets.remove(0);
        (0..objects)
            .map(|k| {
                let mut set = set.clone();
                set.norad_id += k;
                let behind =
                    f64::from(k) * apart_s / 86_400.0 * 360.0 * set.mean_motion_rev_per_day;
                set.mean_anomaly_deg = (set.mean_anomaly_deg - behind).rem_euclid(360.0);
                Arc::new(Orbit::new(&set).unwrap())
            })
            .collect()
    }

    fn culmination(orbit: &Orbit) -> Timestamp {
        let from = "2026-11-04T16:40:00Z".parse().unwrap();
        passes(orbit, &STATION, from, after(from, 3600.0), 0.0).passes[0].culmination.time
    }

    /// What is seen of an object from `from_s` to `to_s` around its culmination.
    fn seen(orbit: &Arc<Orbit>, from_s: f64, to_s: f64, count: u32, off_hz: f64) -> Vec<Sighting> {
        let middle = culmination(orbit);
        (0..count)
            .map(|k| {
                let share = f64::from(k) / f64::from(count - 1).max(1.0);
                let time = after(middle, from_s + (to_s - from_s) * share);
                let wiggle_hz = if k % 2 == 0 { 12.0 } else { -12.0 };
                let shift_hz = observe(orbit, &STATION, time).unwrap().shift_hz(CARRIER_HZ)
                    + off_hz
                    + wiggle_hz;
                Sighting { time, shift_hz, sigma_hz: 20.0 }
            })
            .collect()
    }

    fn judged(orbits: &[Arc<Orbit>], sightings: &[Sighting]) -> Identification {
        let prior = |_: &Orbit| Prior::of_elements(CARRIER_HZ, 1.0);
        identify(orbits, &STATION, CARRIER_HZ, sightings, prior)
    }

    #[test]
    fn a_table_is_as_good_as_the_orbit() {
        let orbit = launch(1, 0.0).remove(0);
        let exact =
            || OrbitPrediction { orbit: orbit.clone(), station: STATION, carrier_hz: 2.2e9 };
        let middle = culmination(&orbit);
        let ends = (after(middle, -300.0), after(middle, 300.0));
        let table = Tabulated::new(exact(), Some(ends), 5.0);
        for k in -4000..4000 {
            let time = after(middle, f64::from(k) * 0.0813);
            let error = table.shift_hz(time).unwrap() - exact().shift_hz(time).unwrap();
            assert!(error.abs() < 1e-3, "{error} at {k}");
        }
        assert!(Tabulated::new(exact(), None, 5.0).shifts_hz.is_empty());
        let far = Tabulated::new(exact(), Some((Timestamp::MIN, Timestamp::MAX)), 5.0);
        assert!(far.shifts_hz.is_empty() && far.shift_hz(middle).is_some());
    }

    #[test]
    fn a_whole_arc_tells_and_a_burst_does_not() {
        let orbits = launch(10, 15.0);
        let arc = seen(&orbits[3], -60.0, 60.0, 20, 900.0);
        let found = judged(&orbits, &arc);
        let best = &found.matches[0];
        assert_eq!(best.orbit.norad_id(), orbits[3].norad_id());
        assert!((best.fit.unwrap().bias_hz - 900.0).abs() < 30.0);
        assert!(
            matches!(found.verdict, Verdict::Clear { nats } if nats > 5.0),
            "{:?}",
            found.verdict
        );

        let found = judged(&orbits, &seen(&orbits[3], 0.0, 1.0, 4, 900.0));
        assert!(
            matches!(found.verdict, Verdict::TooShort { bursts: 1, .. }),
            "{:?}",
            found.verdict
        );
        // Far from culmination the curve hardly bends, and the bias explains it.
        let found = judged(&orbits, &seen(&orbits[3], -280.0, -255.0, 6, 900.0));
        assert!(
            matches!(found.verdict, Verdict::Unclear { candidates: 2.., .. }),
            "{:?}",
            found.verdict
        );
    }

    #[test]
    fn a_signal_of_none_of_them_and_none_at_all() {
        let orbits = launch(4, 15.0);
        let still: Vec<Sighting> = seen(&orbits[0], -60.0, 60.0, 20, 0.0)
            .into_iter()
            .map(|s| Sighting { shift_hz: 500.0, ..s })
            .collect();
        let found = judged(&orbits, &still);
        assert!(matches!(found.verdict, Verdict::NoFit { residual_hz } if residual_hz > 500.0));
        assert_eq!(judged(&orbits, &[]).verdict, Verdict::NothingSeen);
        let later: Vec<Sighting> =
            still.iter().map(|s| Sighting { time: after(s.time, 2700.0), ..*s }).collect();
        assert_eq!(judged(&orbits, &later).verdict, Verdict::NoneAbove);
        assert_eq!(judged(&[], &still).verdict, Verdict::NoneAbove);
    }

    #[test]
    fn a_second_signal_and_garbage_among_the_sightings() {
        let orbits = launch(10, 15.0);
        let mut mixed = seen(&orbits[6], -60.0, 60.0, 30, -400.0);
        for sighting in mixed.iter_mut().step_by(5) {
            sighting.shift_hz += 4000.0;
        }
        let found = judged(&orbits, &mixed);
        assert_eq!(found.matches[0].orbit.norad_id(), orbits[6].norad_id());
        assert!(matches!(found.verdict, Verdict::Clear { .. }), "{:?}", found.verdict);
        for odd in [f64::NAN, f64::INFINITY, -1e300, 0.0] {
            let odd: Vec<Sighting> = mixed
                .iter()
                .map(|s| Sighting { shift_hz: s.shift_hz * odd, sigma_hz: odd, ..*s })
                .collect();
            judged(&orbits, &odd);
        }
        judged(&orbits, &[Sighting { time: Timestamp::MAX, ..mixed[0] }]);
    }
}
