//! Where a satellite stands over a station, and when it next comes or goes.

use std::sync::Arc;

use jiff::Timestamp;

use super::orbit::Orbit;
use super::passes::{Pass, passes};
use super::sky::observe;
use super::station::Station;
use super::{after, seconds_between};

/// How far ahead passes are looked for, s.
const AHEAD_S: f64 = 86_400.0;
/// When none was found, the next search is so much later, s.
const AGAIN_S: f64 = 3600.0;

/// A satellite over a station at an instant.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Overhead {
    /// Azimuth from north through east, degrees, 0 to below 360.
    pub azimuth_deg: f64,
    /// Elevation above the horizon, degrees, -90 to 90.
    pub elevation_deg: f64,
    /// When it rises next; `None` while it is up, and if it does not within a day.
    pub rises: Option<Timestamp>,
    /// When it sets; `None` while it is down.
    pub sets: Option<Timestamp>,
}

/// Keeps an eye on a satellite: passes are searched for only when the last one is over.
#[derive(Debug, Clone)]
pub struct Lookout {
    orbit: Arc<Orbit>,
    station: Station,
    next: Option<Pass>,
    /// The search holds up to here.
    searched: Option<(Timestamp, Timestamp)>,
}

impl Lookout {
    /// For an orbit over a station.
    pub fn new(orbit: Arc<Orbit>, station: Station) -> Self {
        Self { orbit, station, next: None, searched: None }
    }

    /// Where it stands now; `None` where the elements give no position.
    pub fn at(&mut self, now: Timestamp) -> Option<Overhead> {
        let seen = observe(&self.orbit, &self.station, now).ok()?;
        // Also after a step of the clock.
        if !self.searched.is_some_and(|(from, to)| from <= now && now < to) {
            let found = passes(&self.orbit, &self.station, now, after(now, AHEAD_S), 0.0);
            self.next = found.passes.into_iter().next();
            let until = self.next.as_ref().map_or(after(now, AGAIN_S), |pass| pass.set.time);
            // A pass that ends at once must not be searched for ten times a second.
            self.searched = Some((now, until.max(after(now, 1.0))));
        }
        let up = self.next.as_ref().filter(|pass| seconds_between(pass.rise.time, now) >= 0.0);
        Some(Overhead {
            azimuth_deg: seen.azimuth_deg,
            elevation_deg: seen.elevation_deg,
            rises: self.next.as_ref().filter(|_| up.is_none()).map(|pass| pass.rise.time),
            sets: up.map(|pass| pass.set.time),
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::super::elements::Elements;
    use super::*;

    #[test]
    fn it_rises_sets_and_rises_again() {
        let epoch: Timestamp = "2026-03-01T00:00:00Z".parse().unwrap();
        let orbit = Orbit::new(&Elements {
            name: None,
            norad_id: 1,
            international_designator: None,
            epoch,
            inclination_deg: 97.5,
            raan_deg: 120.0,
            eccentricity: 0.001,
            argument_of_perigee_deg: 90.0,
            mean_anomaly_deg: 10.0,
            mean_motion_rev_per_day: 15.2,
            bstar: 1e-4,
            source: String::new(),
        })
        .unwrap();
        let station = Station { latitude_deg: 52.0, longitude_deg: 4.4, altitude_m: 95.0 };
        let mut lookout = Lookout::new(Arc::new(orbit), station);
        let (mut turns, mut was_up) = (0, None);
        for step in 0..(86_400 / 10) {
            let now = after(epoch, f64::from(step) * 10.0);
            let seen = lookout.at(now).unwrap();
            let up = seen.sets.is_some();
            assert!(up != seen.rises.is_some(), "{seen:?}");
            assert!(up == (seen.elevation_deg >= 0.0) || seen.elevation_deg.abs() < 0.2);
            assert!(seen.rises.is_none_or(|time| time >= now));
            turns += i32::from(was_up.is_some_and(|was| was != up));
            was_up = Some(up);
        }
        assert!((8..=20).contains(&turns), "{turns}");
        // The clock is set back by an hour, and far away.
        assert!(lookout.at(after(epoch, 3600.0)).unwrap().sets.is_none_or(|t| t > epoch));
        let _ = lookout.at(Timestamp::MAX);
    }
}
