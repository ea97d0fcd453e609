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
            let prediction =
                OrbitPrediction { orbit: orbit.clone(), station: *station, carrier_hz };
            let elevations: Vec<f64> = sightings
                .iter()
                .filter_map(|s| observe(orbit, station, s.time).ok())
                .map(|seen| seen.elevation_deg)
                .collect();
            let above = elevations.iter().filter(|&&deg| deg > HORIZON_DEG).count();
            let above_horizon = above as f64 >= HEARD * sightings.len() as f64;
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
