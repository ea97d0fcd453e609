//! A satellite's way over a station, for the channel: Doppler shift and range loss of an orbit.
//!
//! ```text
//!  gain(t) = 20 log10(ρ_min / ρ(t))   above the horizon, else silence
//!  f(t)    = -f_c ρ'(t) / c
//! ```
//!
//! `ρ_min` is the shortest range of the part that is flown, where the stated Es/N0 holds. The
//! quantities are those of [`crate::doppler::sky`]; a table made elsewhere
//! ([`crate::doppler::table`]) can stand for the shift, so that an error in the orbit cannot hide
//! itself.

use std::sync::Arc;

use jiff::Timestamp;

use super::channel::Curve;
use crate::doppler::orbit::{Orbit, OrbitError};
use crate::doppler::sky::{Observation, observe};
use crate::doppler::station::Station;
use crate::doppler::{Prediction, after};

/// Gain below the horizon, dB.
const HIDDEN_DB: f64 = -200.0;
/// Step in which the sky is scanned, s: a pass that is shorter gives nothing to receive.
const SCAN_S: f64 = 2.0;
/// The ends of a pass are found to this, s.
const EDGE_S: f64 = 0.01;

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
    /// The first flight above the horizon that ends after `start`, looked for up to
    /// `search_s` ahead. `None`: there is none.
    ///
    /// # Errors
    /// The elements give no position.
    pub fn first(
        orbit: Arc<Orbit>,
        station: Station,
        start: Timestamp,
        search_s: f64,
    ) -> Result<Option<Self>, OrbitError> {
        let see = |s: f64| observe(&orbit, &station, after(start, s));
        let up = |s: f64| see(s).map(|o| o.elevation_deg > 0.0);
        let edge = |mut low: f64, mut high: f64, up_at_high: bool| {
            while high - low > EDGE_S {
                let middle = 0.5 * (low + high);
                if up(middle)? == up_at_high { high = middle } else { low = middle }
            }
            Ok(0.5 * (low + high))
        };
        let mut at = 0.0;
        while !up(at)? {
            at += SCAN_S;
            if at > search_s {
                return Ok(None);
            }
        }
        let rise_s = if at > 0.0 { edge(at - SCAN_S, at, true)? } else { 0.0 };
        let (mut closest_km, mut set_s) = (f64::INFINITY, None);
        while at < rise_s + search_s {
            let seen = see(at)?;
            if seen.elevation_deg <= 0.0 {
                set_s = Some(edge(at - SCAN_S, at, false)?);
                break;
            }
            closest_km = closest_km.min(seen.range_km);
            at += SCAN_S;
        }
        let above_s = (rise_s, set_s.unwrap_or(at));
        Ok(Some(Self { orbit, station, start, above_s, closest_km }))
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
