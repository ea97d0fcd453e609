//! A pass of a satellite over a station: Doppler shift and path loss on a circular orbit above an
//! Earth that does not turn.
//!
//! ```text
//! r = R + h,  ω = √(μ / r³),  cos ψ(t) = cos ψ₀ · cos ωt,  ψ₀ = acos(R/r · cos E) - E
//! d² = R² + r² - 2 R r cos ψ          (range; E: elevation at closest approach)
//! ḋ  = R r ω cos ψ₀ sin ωt / d        (range rate)
//! f  = -f_c ḋ / c
//! ```
//!
//! `t = 0` at closest approach, ψ the angle between station and satellite seen from the Earth's
//! centre. Good to some percent of a true pass; exact orbits are another matter.

use std::sync::Arc;

use super::channel::Curve;

/// Mean radius of the Earth (IUGG R₁), km.
const EARTH_RADIUS_KM: f64 = 6371.0;
/// Gravitational parameter of the Earth (WGS 84), km³/s².
const MU_KM3_PER_S2: f64 = 398_600.441_8;
/// Speed of light, km/s.
const LIGHT_KM_PER_S: f64 = 299_792.458;

/// Geometry of a pass.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pass {
    /// Height of the orbit above the ground, 100 to 50 000 km.
    altitude_km: f64,
    /// cos ψ₀.
    cos_closest: f64,
    /// ω, rad/s.
    rate_rad_per_s: f64,
}

impl Pass {
    /// A pass at an altitude (clamped to 100 … 50 000 km) that culminates at an elevation (clamped
    /// to 0° … 90°).
    pub fn new(altitude_km: f64, max_elevation_deg: f64) -> Self {
        let or = |value: f64, default: f64| if value.is_nan() { default } else { value };
        let altitude_km = or(altitude_km, 500.0).clamp(100.0, 50_000.0);
        let elevation = or(max_elevation_deg, 90.0).clamp(0.0, 90.0).to_radians();
        let radius_km = EARTH_RADIUS_KM + altitude_km;
        let closest = (EARTH_RADIUS_KM / radius_km * elevation.cos()).acos() - elevation;
        Self {
            altitude_km,
            cos_closest: closest.cos(),
            rate_rad_per_s: (MU_KM3_PER_S2 / radius_km.powi(3)).sqrt(),
        }
    }

    fn radius_km(&self) -> f64 {
        EARTH_RADIUS_KM + self.altitude_km
    }

    /// Distance from station to satellite, km, at a time since closest approach.
    pub fn range_km(&self, time_s: f64) -> f64 {
        let (radius, cos) =
            (self.radius_km(), self.cos_closest * (self.rate_rad_per_s * time_s).cos());
        (EARTH_RADIUS_KM.powi(2) + radius.powi(2) - 2.0 * EARTH_RADIUS_KM * radius * cos).sqrt()
    }

    /// Its derivative, km/s: negative while the satellite approaches.
    pub fn range_rate_km_per_s(&self, time_s: f64) -> f64 {
        EARTH_RADIUS_KM
            * self.radius_km()
            * self.rate_rad_per_s
            * self.cos_closest
            * (self.rate_rad_per_s * time_s).sin()
            / self.range_km(time_s)
    }

    /// Doppler shift of a carrier, Hz, at a time since closest approach.
    pub fn doppler_hz(&self, carrier_hz: f64, time_s: f64) -> f64 {
        -carrier_hz * self.range_rate_km_per_s(time_s) / LIGHT_KM_PER_S
    }

    /// Path loss against closest approach, dB: negative or 0, `-20 log10(d/d₀)`.
    pub fn gain_db(&self, time_s: f64) -> f64 {
        -20.0 * (self.range_km(time_s) / self.range_km(0.0)).log10()
    }

    /// Time from closest approach to the horizon, s: `cos ωt = R / (r cos ψ₀)`.
    pub fn half_duration_s(&self) -> f64 {
        (EARTH_RADIUS_KM / (self.radius_km() * self.cos_closest)).clamp(-1.0, 1.0).acos()
            / self.rate_rad_per_s
    }

    /// The Doppler curve of a recording whose first sample is at `start_s` since closest approach.
    pub fn doppler_curve(self, carrier_hz: f64, start_s: f64) -> Curve {
        Curve::Function(Arc::new(move |t| self.doppler_hz(carrier_hz, start_s + t)))
    }

    /// The gain curve of such a recording.
    pub fn gain_curve(self, start_s: f64) -> Curve {
        Curve::Function(Arc::new(move |t| self.gain_db(start_s + t)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_overhead_pass_at_500_km_is_as_known() {
        let pass = Pass::new(500.0, 90.0);
        assert!((pass.range_km(0.0) - 500.0).abs() < 1e-6);
        // Horizon at √(r² - R²) = 2573 km, some 5.8 minutes away, ±10 kHz at 437 MHz.
        let half = pass.half_duration_s();
        assert!((pass.range_km(half) - 2573.0).abs() < 1.0, "{}", pass.range_km(half));
        assert!((330.0..360.0).contains(&half), "{half}");
        let rise = pass.doppler_hz(437e6, -half);
        assert!((9_500.0..10_800.0).contains(&rise), "{rise}");
        assert!((rise + pass.doppler_hz(437e6, half)).abs() < 1e-6);
        assert_eq!(pass.doppler_hz(437e6, 0.0), 0.0);
        assert_eq!(pass.gain_db(0.0), 0.0);
        assert!((pass.gain_db(half) + 14.2).abs() < 0.1, "{}", pass.gain_db(half));
    }

    #[test]
    fn the_rate_is_the_derivative_of_the_range() {
        let pass = Pass::new(550.0, 35.0);
        for t in [-300.0, -50.0, 0.0, 1.0, 200.0] {
            let numeric = (pass.range_km(t + 0.01) - pass.range_km(t - 0.01)) / 0.02;
            assert!((numeric - pass.range_rate_km_per_s(t)).abs() < 1e-5);
        }
        // Elevation at closest approach: sin E = (r cos ψ - R) / d.
        let sine = (pass.radius_km() * pass.cos_closest - EARTH_RADIUS_KM) / pass.range_km(0.0);
        assert!((sine.asin().to_degrees() - 35.0).abs() < 1e-6);
    }

    #[test]
    fn any_geometry_is_finite() {
        for altitude in [f64::NAN, -5.0, 0.0, 500.0, f64::INFINITY] {
            for elevation in [f64::NAN, -5.0, 0.0, 90.0, 1e9] {
                let pass = Pass::new(altitude, elevation);
                assert!(pass.half_duration_s().is_finite());
                assert!(pass.doppler_hz(437e6, pass.half_duration_s()).is_finite());
                assert!(pass.gain_db(10.0).is_finite());
            }
        }
    }
}
