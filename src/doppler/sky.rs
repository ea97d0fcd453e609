//! Where an object stands in a station's sky, and how fast its distance changes.
//!
//! The station is turned from the Earth-fixed frame into TEME by Greenwich mean sidereal time
//! (GMST 1982, Aoki et al., A&A 105, 359; AIAA 2006-6753, appendix C), with UT1 = UTC and without
//! polar motion. Everything is then computed there:
//!
//! ```text
//! ρ  = |s(t - τ) - g(t)|        τ = ρ/c, iterated      u = (s(t - τ) - g(t)) / ρ
//! ρ' = u·(v_s - v_g) / (1 + u·v_s/c)
//! ```
//!
//! Azimuth and elevation are those of `u`: light time is in them (some 0.001°), aberration and
//! refraction are not.

use std::sync::Arc;

use jiff::Timestamp;

use super::orbit::{Orbit, OrbitError, State, split_days_since_j2000};
use super::station::Station;
use super::{LIGHT_KM_PER_S, Prediction, seconds_between};

/// Equatorial radius in WGS 84, km.
const EQUATOR_KM: f64 = 6378.137;
/// Flattening in WGS 84.
const FLATTENING: f64 = 1.0 / 298.257_223_563;
/// Rate of sidereal time, radians a second.
const EARTH_RAD_PER_S: f64 = 7.292_115_855e-5;

/// An object as a station sees it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Observation {
    /// Azimuth from north through east, degrees, 0 to below 360.
    pub azimuth_deg: f64,
    /// Elevation above the plane at right angles to the ellipsoid's normal, degrees, -90 to 90.
    pub elevation_deg: f64,
    /// Length of the path of the light that arrives now, km.
    pub range_km: f64,
    /// Rate of that length by the station's clock, km/s: positive while the object recedes.
    pub range_rate_km_per_s: f64,
}

impl Observation {
    /// Received minus sent frequency of a carrier, in Hz: positive while the object approaches.
    pub fn shift_hz(&self, carrier_hz: f64) -> f64 {
        -carrier_hz * self.range_rate_km_per_s / LIGHT_KM_PER_S
    }
}

/// An object in a station's sky at an instant of the station's clock.
///
/// # Errors
/// The elements give no position for that instant.
pub fn observe(
    orbit: &Orbit,
    station: &Station,
    time: Timestamp,
) -> Result<Observation, OrbitError> {
    Site::new(station).observe(orbit, time)
}

/// A station with what does not change with time computed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Site {
    /// Distance from the Earth's axis, km.
    axis_km: f64,
    /// Height above the plane of the equator, km.
    equator_km: f64,
    longitude_rad: f64,
    sin_latitude: f64,
    cos_latitude: f64,
}

/// East, north and up at a station, in TEME, and where the station is.
pub(super) struct Place {
    pub position_km: [f64; 3],
    pub velocity_km_per_s: [f64; 3],
    east: [f64; 3],
    north: [f64; 3],
    pub up: [f64; 3],
}

impl Site {
    pub fn new(station: &Station) -> Self {
        let (sin_latitude, cos_latitude) = station.latitude_deg.to_radians().sin_cos();
        // Radius of curvature in the prime vertical: N = a / sqrt(1 - e² sin² φ).
        let square = FLATTENING * (2.0 - FLATTENING);
        let curvature = EQUATOR_KM / (1.0 - square * sin_latitude * sin_latitude).sqrt();
        let altitude = station.altitude_m / 1000.0;
        Self {
            axis_km: (curvature + altitude) * cos_latitude,
            equator_km: (curvature * (1.0 - square) + altitude) * sin_latitude,
            longitude_rad: station.longitude_deg.to_radians(),
            sin_latitude,
            cos_latitude,
        }
    }

    /// The station in TEME at an instant.
    pub fn place(&self, time: Timestamp) -> Place {
        let (sin, cos) = (gmst_rad(time) + self.longitude_rad).sin_cos();
        let (x, y) = (self.axis_km * cos, self.axis_km * sin);
        Place {
            position_km: [x, y, self.equator_km],
            velocity_km_per_s: [-EARTH_RAD_PER_S * y, EARTH_RAD_PER_S * x, 0.0],
            east: [-sin, cos, 0.0],
            north: [-self.sin_latitude * cos, -self.sin_latitude * sin, self.cos_latitude],
            up: [self.cos_latitude * cos, self.cos_latitude * sin, self.sin_latitude],
        }
    }

    /// See [`observe`].
    pub fn observe(&self, orbit: &Orbit, time: Timestamp) -> Result<Observation, OrbitError> {
        self.observe_with_state(orbit, time).map(|(observation, _)| observation)
    }

    /// The observation, and the state of the object when it sent the light that arrives.
    pub fn observe_with_state(
        &self,
        orbit: &Orbit,
        time: Timestamp,
    ) -> Result<(Observation, State), OrbitError> {
        let place = self.place(time);
        let since_epoch = seconds_between(orbit.epoch(), time);
        let mut state = orbit.state_since_epoch(since_epoch)?;
        // Each round brings τ nearer by v/c: after the second, range is right to a micrometre.
        for _ in 0..2 {
            let light_time_s =
                norm(difference(state.position_km, place.position_km)) / LIGHT_KM_PER_S;
            state = orbit.state_since_epoch(since_epoch - light_time_s)?;
        }
        let line = difference(state.position_km, place.position_km);
        let range_km = norm(line);
        let (azimuth_deg, elevation_deg) = place.direction_deg(line);
        // At the station itself any direction will do.
        let unit = if range_km > 0.0 { line.map(|x| x / range_km) } else { place.up };
        let closing = difference(state.velocity_km_per_s, place.velocity_km_per_s);
        let range_rate_km_per_s =
            dot(unit, closing) / (1.0 + dot(unit, state.velocity_km_per_s) / LIGHT_KM_PER_S);
        let observation = Observation { azimuth_deg, elevation_deg, range_km, range_rate_km_per_s };
        Ok((observation, state))
    }
}

impl Place {
    /// Azimuth (0 to below 360) and elevation of a direction, degrees.
    pub fn direction_deg(&self, line: [f64; 3]) -> (f64, f64) {
        let [east, north, up] = [self.east, self.north, self.up].map(|axis| dot(axis, line));
        let azimuth = east.atan2(north).to_degrees();
        let azimuth = if azimuth < 0.0 { azimuth + 360.0 } else { azimuth };
        // -1e-17 + 360 is 360.
        let azimuth = if azimuth >= 360.0 { 0.0 } else { azimuth };
        (azimuth, up.atan2(east.hypot(north)).to_degrees())
    }
}

/// The prediction that an orbit gives for a carrier at a station.
#[derive(Debug, Clone)]
pub struct OrbitPrediction {
    /// The orbit.
    pub orbit: Arc<Orbit>,
    /// Who receives.
    pub station: Station,
    /// Nominal frequency, Hz.
    pub carrier_hz: f64,
}

impl Prediction for OrbitPrediction {
    fn shift_hz(&self, time: Timestamp) -> Option<f64> {
        let observation = observe(&self.orbit, &self.station, time).ok()?;
        Some(observation.shift_hz(self.carrier_hz))
    }
}

/// Greenwich mean sidereal time 1982 with UT1 = UTC, radians, 0 to below 2π.
pub(super) fn gmst_rad(time: Timestamp) -> f64 {
    // GMST = 67310.54841 + (876600·3600 + 8640184.812866) T + 0.093104 T² - 6.2e-6 T³ seconds at
    // T Julian centuries since 2000-01-01T12:00. The large term is a turn a day: only the day's
    // fraction of it counts.
    let (days, fraction) = split_days_since_j2000(time);
    let t = (days + fraction) / 36_525.0;
    let slow = 67_310.548_41 + (8_640_184.812_866 + (0.093_104 - 6.2e-6 * t) * t) * t;
    (fraction + slow / 86_400.0).rem_euclid(1.0) * std::f64::consts::TAU
}

pub(super) fn difference(a: [f64; 3], b: [f64; 3]) -> [f64; 3] {
    [a[0] - b[0], a[1] - b[1], a[2] - b[2]]
}

pub(super) fn dot(a: [f64; 3], b: [f64; 3]) -> f64 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

pub(super) fn norm(a: [f64; 3]) -> f64 {
    dot(a, a).sqrt()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;
    use crate::doppler::after;
    use crate::doppler::elements::Elements;

    const DELFT: Station = Station { latitude_deg: 52.0, longitude_deg: 4.4, altitude_m: 95.0 };

    fn low() -> Orbit {
        Orbit::new(&Elements {
            name: None,
            norad_id: 1,
            international_designator: None,
            epoch: "2026-03-01T00:00:00Z".parse().unwrap(),
            inclination_deg: 97.5,
            raan_deg: 120.0,
            eccentricity: 0.001,
            argument_of_perigee_deg: 90.0,
            mean_anomaly_deg: 10.0,
            mean_motion_rev_per_day: 15.2,
            bstar: 1e-4,
            source: "test".into(),
        })
        .unwrap()
    }

    #[test]
    fn sidereal_time() {
        // Meeus, Astronomical Algorithms, example 12.b: 1987-04-10 19:21:00 UT, 8 h 34 min
        // 57.0896 s.
        let hours = 8.0 + 34.0 / 60.0 + 57.0896 / 3600.0;
        let got = gmst_rad("1987-04-10T19:21:00Z".parse().unwrap());
        assert!((got.to_degrees() - hours * 15.0).abs() < 1e-6);
    }

    #[test]
    fn poles_and_equator_of_the_ellipsoid() {
        let at = |latitude_deg| {
            let site = Site::new(&Station { latitude_deg, longitude_deg: 0.0, altitude_m: 0.0 });
            (site.axis_km, site.equator_km)
        };
        let (axis, height) = at(90.0);
        assert!(axis.abs() < 1e-9 && (height - 6_356.752_314_245).abs() < 1e-6);
        let (axis, height) = at(0.0);
        assert!((axis - 6378.137).abs() < 1e-9 && height.abs() < 1e-9);
    }

    /// The rate is that of the range, but for SGP4's own velocity not being quite the derivative
    /// of its position.
    #[test]
    fn the_rate_is_the_rate_of_the_range() {
        let orbit = low();
        for minute in 0..200 {
            let time = after(orbit.epoch(), f64::from(minute) * 60.0);
            let range = |s| observe(&orbit, &DELFT, after(time, s)).unwrap().range_km;
            let rate = observe(&orbit, &DELFT, time).unwrap().range_rate_km_per_s;
            assert!((rate - (range(0.5) - range(-0.5))).abs() < 1e-4, "minute {minute}");
        }
    }

    #[test]
    fn a_shift_is_positive_while_the_satellite_approaches() {
        let orbit = Arc::new(low());
        let prediction =
            OrbitPrediction { orbit: orbit.clone(), station: DELFT, carrier_hz: 437.5e6 };
        for minute in 0..200 {
            let time = after(orbit.epoch(), f64::from(minute) * 60.0);
            let rate = observe(&orbit, &DELFT, time).unwrap().range_rate_km_per_s;
            let shift = prediction.shift_hz(time).unwrap();
            assert!((shift + rate * 437.5e6 / LIGHT_KM_PER_S).abs() < 1e-6);
        }
        assert_eq!(prediction.shift_hz(Timestamp::MAX), None);
    }

    #[test]
    fn no_station_panics() {
        let orbit = low();
        for latitude_deg in [-90.0, 90.0, 0.0, f64::NAN, f64::INFINITY, 1e300] {
            for altitude_m in [0.0, -1e7, f64::NAN, 1e300] {
                let station = Station { latitude_deg, longitude_deg: f64::NAN, altitude_m };
                let _ = observe(&orbit, &station, orbit.epoch());
            }
        }
    }
}
