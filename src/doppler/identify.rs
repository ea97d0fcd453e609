//! Whose signal is it? Objects ranked by how well their orbits explain carriers that were measured.
//!
//! Every object is fitted with its own frequency bias and time along the track
//! ([`refine`](super::refine)); the cost of the fit in nats is what ranks them, so that an object
//! that needs an oscillator far off, or a satellite seconds late, pays for it. The difference of
//! two costs is the logarithm of the odds between them. An object below the horizon cannot have
//! been heard, and comes last.

use std::sync::Arc;

use super::orbit::Orbit;
use super::refine::{Fit, Prior, Sighting, fit};
use super::sky::{OrbitPrediction, observe};
use super::station::Station;

/// Below this elevation nothing is heard, degrees: refraction and hills left aside.
const HORIZON_DEG: f64 = -1.0;
/// Share of the sightings that must be above the horizon.
const HEARD: f64 = 0.8;
/// Times along the track from which the fit starts, in standard deviations.
const STARTS: [f64; 3] = [0.0, -2.0, 2.0];

/// An object and how well it fits.
#[derive(Debug, Clone)]
pub struct Match {
    /// The object.
    pub orbit: Arc<Orbit>,
    /// Bias, time, residuals and cost; `None`: its elements give no position.
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
            let fits = STARTS.iter().filter_map(|&sigmas| {
                let start = Fit { late_s: sigmas * prior.time_s, ..Fit::NONE };
                fit(&prediction, sightings, &prior, &start)
            });
            let elevations: Vec<f64> = sightings
                .iter()
                .filter_map(|s| observe(orbit, station, s.time).ok())
                .map(|seen| seen.elevation_deg)
                .collect();
            let above = elevations.iter().filter(|&&deg| deg > HORIZON_DEG).count();
            Match {
                orbit: orbit.clone(),
                fit: fits.min_by(|a, b| a.cost.total_cmp(&b.cost)),
                above_horizon: above as f64 >= HEARD * sightings.len() as f64,
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
