//! From the elements in the sky to the frequency of a sample.
//!
//! ```text
//!  TLE, OMM ─► elements ─► orbit ──┐ SGP4/SDP4, TEME
//!                                  ├─► sky: azimuth, elevation, range, range rate ─► passes
//!  LAT,LON,ALT or locator ► station┘            │
//!                                               ▼
//!  "unix_time frequency" ───────► table ─► Prediction: carrier shift at an instant
//!  another program (rigctl) ────────────►       │
//!                                               ▼
//!  bursts measured ─────────────────────► tracking: prediction + bias, along-track time
//!                                               │
//!                                               ▼ frequency and rate, phase-continuous
//!                                             tuner
//! ```
//!
//! | module | what it holds |
//! |---|---|
//! | [`elements`] | TLE and OMM, read, checked, found by number or name |
//! | [`station`] | where the antenna is: coordinates, locators |
//! | [`orbit`], [`sky`], [`sun`] | SGP4; azimuth, elevation, range rate with light time; sunlight |
//! | [`passes`], [`lookout`] | when an object is above the horizon; when it next comes or goes |
//! | [`table`] | frequency tables of other programs |
//! | [`rigctl`], [`steps`] | what other programs say to a radio, and what they mean between two settings |
//! | [`refine`], [`tracking`] | bias and along-track time from measured carriers; what steers a receiver |
//! | [`correction`] | what was learnt of an object, for later passes |
//! | [`sightings`], [`identify`] | measured carriers, merged; whose signal they are |
//!
//! Everything here is pure: no thread, no socket, no clock. Instants are [`Timestamp`]s (UTC).
//!
//! # Conventions
//!
//! * Positions are in km, velocities in km/s, in the frame that SGP4 works in: TEME, the true
//!   equator and mean equinox of date. Sidereal time is GMST 1982 with UT1 = UTC: |UT1 - UTC| is
//!   below 0.9 s by definition and below 0.1 s in the 2020s, which turns the station by 46 m: some
//!   0.3 m/s of range rate, 0.5 Hz at 437 MHz, and far less than what elements are off by.
//! * A **range rate** is positive while the satellite recedes. It is the rate, by the station's
//!   clock, of the length of the path of the light that arrives now: with the light time `τ = ρ/c`,
//!   `ρ(t) = |s(t - τ) - g(t)|` and `ρ' = u·(v_s - v_g) / (1 + u·v_s/c)`, `u` from station to
//!   satellite. Then `f_received = f_sent · (1 - ρ'/c)` exactly, but for relativity (1e-10).
//! * A **shift** is received minus nominal frequency in Hz: positive while the satellite
//!   approaches.

pub mod correction;
pub mod elements;
pub mod identify;
pub mod lookout;
pub mod orbit;
pub mod passes;
pub mod refine;
pub mod rigctl;
pub mod sightings;
pub mod sky;
pub mod station;
pub mod steps;
pub mod sun;
pub mod table;
pub mod tracking;

use jiff::Timestamp;

/// Speed of light, km/s.
pub const LIGHT_KM_PER_S: f64 = 299_792.458;

/// Tells by how much a carrier is shifted.
pub trait Prediction: Send + Sync {
    /// Received minus nominal frequency, in Hz, at an instant of the station's clock; `None` where
    /// nothing is known (a decayed orbit, an empty table).
    fn shift_hz(&self, time: Timestamp) -> Option<f64>;

    /// The same for an input without time: only what another program says now can tell.
    fn untimed_shift_hz(&self) -> Option<f64> {
        None
    }
}

/// How far from its nominal frequency a carrier is searched if nothing is known of the orbit: the
/// Doppler shift of a low orbit and some 5 to 30 ppm of oscillators. ±12 kHz up to 300 MHz, ±25 kHz
/// up to 1 GHz, ±27 ppm above (60 kHz at 2.2 GHz).
pub fn blind_search_hz(carrier_hz: f64) -> f64 {
    match carrier_hz {
        f if f >= 1e9 => f.min(1e11) * 27.3e-6,
        f if f > 300e6 => 25_000.0,
        _ => 12_000.0,
    }
}

/// Seconds from `from` to `to`, with the resolution of the time stamps.
pub fn seconds_between(from: Timestamp, to: Timestamp) -> f64 {
    to.duration_since(from).as_secs_f64()
}

/// The instant so many seconds after `from` (before it, if negative); the nearest there is if it
/// would be out of range.
pub fn after(from: Timestamp, seconds: f64) -> Timestamp {
    let far = if seconds < 0.0 { Timestamp::MIN } else { Timestamp::MAX };
    jiff::SignedDuration::try_from_secs_f64(seconds)
        .ok()
        .and_then(|duration| from.checked_add(duration).ok())
        .unwrap_or(far)
}
