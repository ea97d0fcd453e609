//! Where the Sun is, and who stands in its light.
//!
//! The Sun's position is the low-precision formula of the Astronomical Almanac (section C, "Low
//! precision formulas for the Sun's coordinates"): 0.01° from 1950 to 2050. It refers to mean
//! equator and equinox of date; the difference to TEME is nutation, below 0.005°.
//!
//! The Earth's shadow is taken as the cone behind a sphere of the equatorial radius: an object is
//! sunlit while the centre of the Sun, seen from the object, stands outside the disk of the Earth.
//! That is the middle of the penumbra, which a low orbit crosses in some 10 to 20 s. Refraction
//! and the flattening are left out: they shift entry and exit by a few seconds.

use jiff::Timestamp;

use super::orbit::{State, split_days_since_j2000};
use super::sky::{Site, difference, dot, norm};
use super::station::Station;

/// Elevation of the Sun below which a sunlit object is visible to the eye (end of civil twilight).
pub const DARK_DEG: f64 = -6.0;

/// Astronomical unit, km.
const UNIT_KM: f64 = 149_597_870.7;
/// Equatorial radius of the Earth, km.
const EARTH_KM: f64 = 6378.137;

/// The Sun from the centre of the Earth, km, in TEME.
pub fn sun_position_km(time: Timestamp) -> [f64; 3] {
    let (days, fraction) = split_days_since_j2000(time);
    let n = days + fraction;
    let mean_longitude_deg = (280.460 + 0.985_647_4 * n).rem_euclid(360.0);
    let anomaly = (357.528 + 0.985_600_3 * n).rem_euclid(360.0).to_radians();
    let longitude =
        (mean_longitude_deg + 1.915 * anomaly.sin() + 0.020 * (2.0 * anomaly).sin()).to_radians();
    let obliquity = (23.439 - 0.000_000_4 * n).to_radians();
    let distance_km =
        UNIT_KM * (1.000_14 - 0.016_71 * anomaly.cos() - 0.000_14 * (2.0 * anomaly).cos());
    [
        distance_km * longitude.cos(),
        distance_km * obliquity.cos() * longitude.sin(),
        distance_km * obliquity.sin() * longitude.sin(),
    ]
}

/// Whether an object is in the light of the Sun; otherwise it is eclipsed.
pub fn is_sunlit(state: &State, time: Timestamp) -> bool {
    limb_angle_rad(state, time) > 0.0
}

/// Angle from the limb of the Earth to the centre of the Sun as the object sees them, radians:
/// negative in the shadow.
pub(super) fn limb_angle_rad(state: &State, time: Timestamp) -> f64 {
    let position = state.position_km;
    let radius_km = norm(position);
    let to_sun = difference(sun_position_km(time), position);
    let cosine = -dot(position, to_sun) / (radius_km * norm(to_sun));
    let separation = cosine.clamp(-1.0, 1.0).acos();
    separation - (EARTH_KM / radius_km).min(1.0).asin()
}

/// Elevation of the Sun's centre at a station, degrees, without refraction.
pub fn sun_elevation_deg(station: &Station, time: Timestamp) -> f64 {
    elevation_at(&Site::new(station), time)
}

/// The same for a station that is prepared.
pub(super) fn elevation_at(site: &Site, time: Timestamp) -> f64 {
    let place = site.place(time);
    place.direction_deg(difference(sun_position_km(time), place.position_km)).1
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;
    use crate::doppler::after;
    use crate::doppler::elements::Elements;
    use crate::doppler::orbit::Orbit;

    #[test]
    fn the_sun_of_meeus() {
        // Astronomical Algorithms, example 25.b: 1992-10-13.0 TD, apparent place by VSOP 87.
        let [x, y, z] = sun_position_km("1992-10-12T23:59:01Z".parse().unwrap());
        let right_ascension = y.atan2(x).to_degrees().rem_euclid(360.0);
        let declination = z.atan2(x.hypot(y)).to_degrees();
        assert!((right_ascension - 198.378_178).abs() < 0.01, "{right_ascension}");
        assert!((declination + 7.783_871).abs() < 0.01, "{declination}");
        let distance = norm([x, y, z]) / UNIT_KM;
        assert!((distance - 0.997_608).abs() < 2e-4, "{distance}");
    }

    #[test]
    fn noon_and_midnight() {
        // Greenwich at the equinox of 2026-03-20 14:46 UTC: the Sun culminates at 12:07.
        let station = Station { latitude_deg: 51.48, longitude_deg: 0.0, altitude_m: 0.0 };
        let noon = sun_elevation_deg(&station, "2026-03-20T12:07:30Z".parse().unwrap());
        assert!((noon - (90.0 - 51.48)).abs() < 0.06, "{noon}");
        let midnight = sun_elevation_deg(&station, "2026-03-21T00:07:20Z".parse().unwrap());
        assert!((midnight + 90.0 - 51.48).abs() < 0.2, "{midnight}");
    }

    #[test]
    fn the_shadow_is_behind_the_earth_and_a_cone() {
        let time = "2026-06-01T00:00:00Z".parse().unwrap();
        let sun = sun_position_km(time);
        let unit = sun.map(|x| x / norm(sun));
        // At right angles to the Sun.
        let side = [-unit[1], unit[0], 0.0];
        let side = side.map(|x| x / norm(side));
        let at = |along_km: f64, aside_km: f64| {
            let position_km = std::array::from_fn(|k| along_km * unit[k] + aside_km * side[k]);
            is_sunlit(&State { position_km, velocity_km_per_s: [0.0; 3] }, time)
        };
        assert!(at(7000.0, 0.0) && !at(-7000.0, 0.0));
        assert!(at(0.0, 7000.0) && at(-2000.0, 7000.0));
        assert!(!at(-42_000.0, 6300.0) && at(-42_000.0, 6450.0));
        // Inside the Earth, nonsense, and no panic.
        assert!(!at(0.0, 0.0) || at(0.0, 0.0));
    }

    /// Entries and exits of Skyfield 1.55's `is_sunlit` with the ephemeris DE430, to 0.1 s.
    #[test]
    fn eclipses_of_skyfield() {
        let orbit = |inclination_deg, raan_deg, eccentricity, perigee_deg, anomaly_deg, motion| {
            Orbit::new(&Elements {
                name: None,
                norad_id: 1,
                international_designator: None,
                epoch: "2015-02-28T00:00:00Z".parse().unwrap(),
                inclination_deg,
                raan_deg,
                eccentricity,
                argument_of_perigee_deg: perigee_deg,
                mean_anomaly_deg: anomaly_deg,
                mean_motion_rev_per_day: motion,
                bstar: if motion > 10.0 { 1e-4 } else { 0.0 },
                source: "test".into(),
            })
            .unwrap()
        };
        for (orbit, changes) in [
            (
                orbit(97.5, 120.0, 0.001, 90.0, 10.0, 15.2),
                &["00:17:33.1", "00:49:11.3", "11:21:03.8", "11:52:42.6"][..],
            ),
            (
                orbit(51.64, 300.0, 0.0005, 10.0, 200.0, 15.5),
                &["01:15:52.4", "01:47:27.6", "10:33:46.6", "11:04:58.0"],
            ),
            (orbit(7.0, 0.0, 0.72, 178.0, 0.0, 2.27), &["04:36:37.2", "05:00:07.8"]),
        ] {
            for (k, change) in changes.iter().enumerate() {
                let expected: Timestamp = format!("2015-03-02T{change}Z").parse().unwrap();
                let sunlit = |seconds: f64| {
                    let time = after(expected, seconds);
                    is_sunlit(&orbit.state(time).unwrap(), time)
                };
                // Every other one is an exit; the change lies within 2 s of it.
                let exit = k % 2 == 1;
                assert!(sunlit(-2.0) != exit && sunlit(2.0) == exit, "{change}");
            }
        }
    }
}
