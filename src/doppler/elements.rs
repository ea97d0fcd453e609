//! Mean orbital elements: what a TLE or an OMM says.

use jiff::Timestamp;

/// Mean elements of one object, for SGP4 (units of the TLE).
#[derive(Debug, Clone, PartialEq)]
pub struct Elements {
    /// Its name, if the set has one.
    pub name: Option<String>,
    /// NORAD catalogue number, up to nine digits.
    pub norad_id: u32,
    /// International designator (`1998-067A`), if known.
    pub international_designator: Option<String>,
    /// Instant for which the elements hold.
    pub epoch: Timestamp,
    /// Inclination, degrees.
    pub inclination_deg: f64,
    /// Right ascension of the ascending node, degrees.
    pub raan_deg: f64,
    /// Eccentricity, 0 to below 1.
    pub eccentricity: f64,
    /// Argument of perigee, degrees.
    pub argument_of_perigee_deg: f64,
    /// Mean anomaly, degrees.
    pub mean_anomaly_deg: f64,
    /// Mean motion (Kozai), revolutions a day.
    pub mean_motion_rev_per_day: f64,
    /// Drag term B*, per Earth radius.
    pub bstar: f64,
    /// Where the set was read, for messages: `file:line`, or a URL.
    pub source: String,
}
