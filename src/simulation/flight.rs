//! A satellite's way over a station, for the channel: Doppler shift and range loss of an orbit.
//!
//! ```text
//!  gain(t) = 20 log10(ρ_min / ρ(t))   above the horizon, else silence
//!  f(t)    = -f_c ρ'(t) / c
//! ```
//!
//! `ρ_min` is the range at culmination, where the stated Es/N0 holds. The
//! quantities are those of [`crate::doppler::sky`]; a table made elsewhere
//! ([`crate::doppler::table`]) can stand for the shift, so that an error in the orbit cannot hide
//! itself.

use std::sync::Arc;

use jiff::Timestamp;

use super::channel::Curve;
use crate::doppler::orbit::{Orbit, OrbitError};
use crate::doppler::passes::passes;
use crate::doppler::sky::{Observation, observe};
use crate::doppler::station::Station;
use crate::doppler::{Prediction, after, seconds_between};

/// Gain below the horizon, dB.
const HIDDEN_DB: f64 = -200.0;

/// A satellite above a station's horizon.
#[derive(Debug, Clone)]
pub struct Flight {
    orbit: Arc<Orbit>,
    station: Station,
    /// Instant of the recording's first sample.
    start: Timestamp,
    /// Seconds from there during which it is above the horizon.
    above_s: (f64, f64),
    closest_km: f64,
}

impl Flight {
    /// The first flight above the horizon that ends after `start` and begins within `search_s` of
    /// it. `None`: there is none.
    ///
    /// # Errors
    /// The elements give no position.
    pub fn first(
        orbit: Arc<Orbit>,
        station: Station,
        start: Timestamp,
        search_s: f64,
    ) -> Result<Option<Self>, OrbitError> {
        let found = passes(&orbit, &station, start, after(start, search_s), 0.0);
        let Some(pass) = found.passes.into_iter().next() else {
            return found.lost.map_or(Ok(None), |(_, why)| Err(why));
        };
        Ok(Some(Self {
            orbit,
            station,
            start,
            above_s: (
                seconds_between(start, pass.rise.time),
                seconds_between(start, pass.set.time),
            ),
            closest_km: pass.culmination.observation.range_km,
        }))
    }

    /// The same flight, with the recording beginning at this second of it.
    #[must_use]
    pub fn beginning_at(mut self, second: f64) -> Self {
        self.start = after(self.start, second);
        self.above_s = ((self.above_s.0 - second).max(0.0), self.above_s.1 - second);
        self
    }

    /// Instant of the recording's first sample.
    pub fn start(&self) -> Timestamp {
        self.start
    }

    /// When it is above the horizon, seconds from the recording's first sample.
    pub fn above_s(&self) -> (f64, f64) {
        self.above_s
    }

    /// Where it is, if the orbit has a position then.
    pub fn observation(&self, second: f64) -> Option<Observation> {
        observe(&self.orbit, &self.station, after(self.start, second)).ok()
    }

    /// Doppler shift of a carrier over the recording.
    pub fn doppler_curve(&self, carrier_hz: f64) -> Curve {
        let flight = self.clone();
        Curve::Function(Arc::new(move |s| {
            flight.observation(s).map_or(0.0, |seen| seen.shift_hz(carrier_hz))
        }))
    }

    /// Range loss against the closest point, dB, and silence below the horizon.
    pub fn gain_curve(&self) -> Curve {
        let flight = self.clone();
        Curve::Function(Arc::new(move |s| match flight.observation(s) {
            Some(seen) if seen.elevation_deg > 0.0 => {
                20.0 * (flight.closest_km / seen.range_km).log10()
            }
            _ => HIDDEN_DB,
        }))
    }
}

/// A prediction (a table made elsewhere) as the Doppler curve of a recording that begins at `start`.
pub fn predicted_curve(prediction: Arc<dyn Prediction>, start: Timestamp) -> Curve {
    Curve::Function(Arc::new(move |s| prediction.shift_hz(after(start, s)).unwrap_or(0.0)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;
    use crate::doppler::elements;

    #[test]
    fn a_flight_rises_culminates_and_sets() {
        let text = "1 44406U 19038W   20069.88080907  .00000505  00000-0  32890-4 0  9992\n\
                    2 44406  97.5270  32.5584 0026284 107.4758 252.9348 15.12089395 37524\n";
        let sets = elements::parse("test", text.as_bytes()).unwrap().sets;
        let orbit = Arc::new(Orbit::new(&sets[0]).unwrap());
        let station = Station { latitude_deg: 53.72, longitude_deg: 47.57, altitude_m: 100.0 };
        let start: Timestamp = "2020-03-10T11:20:00Z".parse().unwrap();
        let flight = Flight::first(orbit, station, start, 7200.0).unwrap().unwrap();
        let (rise, set) = flight.above_s();
        assert!(rise > 0.0 && (300.0..800.0).contains(&(set - rise)), "{rise} {set}");
        let (gain, doppler) = (flight.gain_curve(), flight.doppler_curve(437.525e6));
        assert!(gain.at(rise - 5.0) < -100.0 && gain.at(set + 5.0) < -100.0);
        let middle = 0.5 * (rise + set);
        assert!((-0.5..=0.1).contains(&gain.at(middle)), "{}", gain.at(middle));
        assert!(gain.at(rise + 5.0) < -5.0);
        assert!(doppler.at(rise) > 5e3 && doppler.at(set) < -5e3);
        let later = flight.clone().beginning_at(rise);
        assert_eq!(later.above_s().0, 0.0);
        assert!((later.doppler_curve(437.525e6).at(10.0) - doppler.at(rise + 10.0)).abs() < 1e-3);
    }
}
