//! Where the antenna stands.

/// A place on the Earth, geodetic (WGS 84).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Station {
    /// Positive north, -90 to 90.
    pub latitude_deg: f64,
    /// Positive east, -180 to 180.
    pub longitude_deg: f64,
    /// Above the ellipsoid, in metres.
    pub altitude_m: f64,
}
