//! From mean elements to position and velocity: SGP4 and, for periods of 225 minutes and more,
//! SDP4.
//!
//! The theory is that of Vallado, Crawford, Hujsak, Kelso: "Revisiting Spacetrack Report #3",
//! AIAA 2006-6753, as the crate `sgp4` implements it, with the WGS 72 constants with which element
//! sets are made and in the paper's improved mode: sidereal time at the epoch of deep-space objects
//! is GMST 1982, as in Skyfield. What the paper's code checks and the crate does not (the object
//! is inside the Earth, the mean motion is lost) is checked here.
//!
//! A decayed orbit stays decayed. SGP4's drag is a polynomial in time: some time after it has put an
//! object into the Earth it lets it rise again, faster than anything flies. So the first instants
//! after and before the epoch at which there is no orbit are looked for when an [`Orbit`] is made,
//! and beyond them there is none.
//!
//! An SGP4 position is right to about a kilometre at the epoch and gets worse by one to three
//! kilometres a day in low orbits. The velocity of the theory is not exactly the derivative of its
//! position: they differ by some centimetres a second.

use jiff::Timestamp;

use super::elements::Elements;
use super::seconds_between;
use crate::error::RequestError;

/// How far from the epoch a position is computed, in days: ten years. Elements say nothing long
/// before that; the limit bounds the time spent on resonant orbits, which are integrated from the
/// epoch in steps of half a day.
pub const FARTHEST_DAYS: f64 = 3653.0;

/// Equatorial radius of the Earth in WGS 72, km.
const EARTH_RADIUS_KM: f64 = 6378.135;

/// No bound object is faster, km/s: 11.2 at the Earth's surface.
const FASTEST_KM_PER_S: f64 = 11.5;

/// 2000-01-01T12:00:00Z in seconds since 1970.
const J2000_S: i64 = 946_728_000;

/// Where an object is and how it moves: TEME of date (true equator, mean equinox).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct State {
    /// Position from the centre of the Earth, km.
    pub position_km: [f64; 3],
    /// Velocity, km/s.
    pub velocity_km_per_s: [f64; 3],
}

/// Why there is no position at an instant.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum OrbitError {
    /// The orbit has sunk into the Earth: the object has decayed, or the elements are too old.
    #[error("decayed: the orbit meets the Earth {days:.1} days from the epoch of its elements")]
    Decayed {
        /// Days after the epoch.
        days: f64,
    },
    /// Drag or third bodies have driven the eccentricity out of 0 to 1.
    #[error(
        "the elements do not hold {days:.1} days from their epoch: eccentricity {eccentricity:.3}"
    )]
    Eccentricity {
        /// Days after the epoch.
        days: f64,
        /// What it came to.
        eccentricity: f64,
    },
    /// More than [`FARTHEST_DAYS`] from the epoch.
    #[error("the epoch of the elements is {days:.0} days away; no orbit holds that long")]
    TooFar {
        /// Days after the epoch.
        days: f64,
    },
    /// The theory gives no number: elements that no orbit has.
    #[error("the elements describe no orbit {days:.1} days from their epoch")]
    Diverged {
        /// Days after the epoch.
        days: f64,
    },
}

/// An object's orbit, ready to be asked for positions.
#[derive(Debug, Clone)]
pub struct Orbit {
    elements: Elements,
    constants: sgp4::Constants,
    /// Seconds from the epoch before and after which there is no orbit any more.
    ends_s: (f64, f64),
}

impl Orbit {
    /// Prepares the theory for some elements.
    ///
    /// # Errors
    /// Elements that are not numbers or out of range: eccentricity from 0 to below 1, inclination
    /// from 0 to 180 degrees, mean motion above 0.
    pub fn new(elements: &Elements) -> Result<Self, RequestError> {
        let wrong = |what: String, right: &str| {
            let name = elements.name.clone().unwrap_or_else(|| elements.norad_id.to_string());
            RequestError::new(elements.source.clone(), format!("{name}: {what}"), right)
        };
        let numbers = [
            ("inclination", elements.inclination_deg),
            ("right ascension of the node", elements.raan_deg),
            ("eccentricity", elements.eccentricity),
            ("argument of perigee", elements.argument_of_perigee_deg),
            ("mean anomaly", elements.mean_anomaly_deg),
            ("mean motion", elements.mean_motion_rev_per_day),
            ("drag term", elements.bstar),
        ];
        if let Some((name, value)) = numbers.iter().find(|(_, value)| !value.is_finite()) {
            return Err(wrong(format!("the {name} is {value}"), "it must be a number"));
        }
        if !(0.0..1.0).contains(&elements.eccentricity) {
            return Err(wrong(
                format!("the eccentricity is {}", elements.eccentricity),
                "it must be from 0 to below 1",
            ));
        }
        if !(0.0..=180.0).contains(&elements.inclination_deg) {
            return Err(wrong(
                format!("the inclination is {} degrees", elements.inclination_deg),
                "it must be from 0 to 180",
            ));
        }
        if elements.mean_motion_rev_per_day <= 0.0 {
            return Err(wrong(
                format!("the mean motion is {} a day", elements.mean_motion_rev_per_day),
                "it must be above 0",
            ));
        }
        let no_orbit =
            |_| wrong("the elements describe no orbit".into(), "take them again from their source");
        let brouwer = sgp4::Orbit::from_kozai_elements(
            &sgp4::WGS72,
            elements.inclination_deg.to_radians(),
            elements.raan_deg.to_radians(),
            elements.eccentricity,
            elements.argument_of_perigee_deg.to_radians(),
            elements.mean_anomaly_deg.to_radians(),
            elements.mean_motion_rev_per_day * (std::f64::consts::PI / 720.0),
        )
        .map_err(|_| no_orbit(()))?;
        let constants = sgp4::Constants::new(
            sgp4::WGS72,
            sgp4::iau_epoch_to_sidereal_time,
            days_since_j2000(elements.epoch) / 365.25,
            elements.bstar,
            brouwer,
        )
        .map_err(|_| no_orbit(()))?;
        let mut orbit = Self {
            elements: elements.clone(),
            constants,
            ends_s: (f64::NEG_INFINITY, f64::INFINITY),
        };
        orbit.ends_s = (orbit.end_s(-1.0), orbit.end_s(1.0));
        Ok(orbit)
    }

    /// Name, if the elements have one.
    pub fn name(&self) -> Option<&str> {
        self.elements.name.as_deref()
    }

    /// NORAD catalogue number.
    pub fn norad_id(&self) -> u32 {
        self.elements.norad_id
    }

    /// The instant for which the elements hold.
    pub fn epoch(&self) -> Timestamp {
        self.elements.epoch
    }

    /// The elements it was made from.
    pub fn elements(&self) -> &Elements {
        &self.elements
    }

    /// Time of one revolution, seconds, by the mean motion at the epoch.
    pub fn period_s(&self) -> f64 {
        86_400.0 / self.elements.mean_motion_rev_per_day
    }

    /// Position and velocity at an instant.
    ///
    /// # Errors
    /// The elements give none for that instant.
    pub fn state(&self, time: Timestamp) -> Result<State, OrbitError> {
        self.state_since_epoch(seconds_between(self.elements.epoch, time))
    }

    /// Position and velocity so many seconds after the epoch.
    ///
    /// # Errors
    /// The elements give none for that instant.
    pub fn state_since_epoch(&self, seconds: f64) -> Result<State, OrbitError> {
        let days = seconds / 86_400.0;
        if days.is_nan() || days.abs() > FARTHEST_DAYS {
            return Err(OrbitError::TooFar { days });
        }
        for (end_s, beyond) in
            [(self.ends_s.0, seconds < self.ends_s.0), (self.ends_s.1, seconds > self.ends_s.1)]
        {
            if beyond {
                return Err(OrbitError::Decayed { days: end_s / 86_400.0 });
            }
        }
        self.theory(seconds)
    }

    /// The instant nearest to the epoch, in one direction, at which the theory is found to give
    /// nothing; infinite if there is none.
    fn end_s(&self, sign: f64) -> f64 {
        // Once inside the Earth, the polynomial keeps an object there for longer than it took to
        // get there, or nearly: steps that grow by a fifth cannot jump over that time. The phases
        // are for ellipses, which are outside at apogee still.
        const PHASES: u32 = 8;
        let period_s = self.period_s().min(86_400.0);
        let fails = |from_s: f64| {
            (0..PHASES)
                .map(|k| sign * (from_s + period_s * f64::from(k) / f64::from(PHASES)))
                .find(|t| self.theory(*t).is_err())
        };
        // Resonant orbits, which have no such polynomial, are slow to follow for years.
        let deep = self.period_s() > 225.0 * 60.0;
        let reach_s = if deep { 100.0 } else { FARTHEST_DAYS } * 86_400.0;
        let (mut good_s, mut at_s) = (0.0, 0.0);
        let mut end_s = loop {
            if let Some(end_s) = fails(at_s) {
                break end_s;
            }
            good_s = at_s;
            at_s = (at_s * 1.2).max(at_s + 600.0);
            if at_s > reach_s {
                return sign * f64::INFINITY;
            }
        };
        // Down to a revolution: what fails before the end fails by itself.
        while at_s - good_s > period_s {
            let middle_s = (good_s + at_s) / 2.0;
            match fails(middle_s) {
                Some(earlier_s) => (at_s, end_s) = (middle_s, earlier_s),
                None => good_s = middle_s,
            }
        }
        end_s
    }

    /// What the theory says, without regard to what it said for earlier instants.
    fn theory(&self, seconds: f64) -> Result<State, OrbitError> {
        let days = seconds / 86_400.0;
        let prediction = self
            .constants
            .propagate(sgp4::MinutesSinceEpoch(seconds / 60.0))
            .map_err(|error| match error {
                sgp4::Error::OutOfRangeEccentricity { eccentricity, .. }
                | sgp4::Error::OutOfRangePerturbedEccentricity { eccentricity, .. } => {
                    if eccentricity.is_nan() {
                        OrbitError::Diverged { days }
                    } else {
                        OrbitError::Eccentricity { days, eccentricity }
                    }
                }
                sgp4::Error::NegativeSemiLatusRectum { .. } => OrbitError::Decayed { days },
            })?;
        let state =
            State { position_km: prediction.position, velocity_km_per_s: prediction.velocity };
        let radius_km = state.position_km.iter().map(|x| x * x).sum::<f64>().sqrt();
        let speed = state.velocity_km_per_s.iter().map(|v| v * v).sum::<f64>().sqrt();
        if !(radius_km + speed).is_finite() {
            return Err(OrbitError::Diverged { days });
        }
        if radius_km < EARTH_RADIUS_KM {
            return Err(OrbitError::Decayed { days });
        }
        if speed > FASTEST_KM_PER_S {
            return Err(OrbitError::Diverged { days });
        }
        Ok(state)
    }
}

/// Days of 86 400 s from 2000-01-01T12:00:00Z.
fn days_since_j2000(time: Timestamp) -> f64 {
    let (days, fraction) = split_days_since_j2000(time);
    days + fraction
}

/// The same as whole days and a fraction from 0 to below 1, for angles that turn once a day.
pub(super) fn split_days_since_j2000(time: Timestamp) -> (f64, f64) {
    // The two parts of a time stamp have the same sign.
    let seconds = time.as_second() - J2000_S;
    let within = seconds.rem_euclid(86_400) as f64 + f64::from(time.subsec_nanosecond()) * 1e-9;
    (seconds.div_euclid(86_400) as f64, within / 86_400.0)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// AIAA 2006-6753, object 00005.
    fn vanguard() -> Elements {
        Elements {
            name: Some("VANGUARD 1".into()),
            norad_id: 5,
            international_designator: None,
            epoch: "2000-06-27T18:50:19.733568Z".parse().unwrap(),
            inclination_deg: 34.2682,
            raan_deg: 348.7242,
            eccentricity: 0.1859667,
            argument_of_perigee_deg: 331.7664,
            mean_anomaly_deg: 19.3264,
            mean_motion_rev_per_day: 10.82419157,
            bstar: 0.28098e-4,
            source: "test".into(),
        }
    }

    #[test]
    fn threads_may_share_an_orbit() {
        fn shared<T: Send + Sync + Clone>() {}
        shared::<Orbit>();
    }

    #[test]
    fn the_papers_example() {
        let orbit = Orbit::new(&vanguard()).unwrap();
        let state = orbit.state(orbit.epoch()).unwrap();
        let expected = [7022.46529266, -1400.08296755, 0.03995155];
        for (got, expected) in state.position_km.iter().zip(expected) {
            assert!((got - expected).abs() < 1e-6, "{got} {expected}");
        }
        assert!((orbit.period_s() - 7982.1).abs() < 0.1);
    }

    /// The polynomial of the drag lets it rise again: it must not.
    #[test]
    fn a_decayed_object_stays_decayed() {
        let mut elements = vanguard();
        elements.eccentricity = 0.001;
        elements.mean_motion_rev_per_day = 16.45;
        elements.bstar = 5e-3;
        let orbit = Orbit::new(&elements).unwrap();
        let first = (0..200_000).find(|k| orbit.state_since_epoch(f64::from(*k) * 5.0).is_err());
        let first_s = f64::from(first.unwrap()) * 5.0;
        for days in 1..3000 {
            let state = orbit.state_since_epoch(first_s + 86_400.0 * f64::from(days));
            assert!(matches!(state, Err(OrbitError::Decayed { .. })), "{days}");
        }
        // An object that does not decay does not.
        let orbit = Orbit::new(&vanguard()).unwrap();
        assert!(orbit.state_since_epoch(3600.0 * 86_400.0).is_ok());
    }

    #[test]
    fn years_away_is_said() {
        let orbit = Orbit::new(&vanguard()).unwrap();
        for time in [Timestamp::MIN, Timestamp::MAX] {
            assert!(matches!(orbit.state(time), Err(OrbitError::TooFar { .. })));
        }
        assert!(matches!(
            orbit.state_since_epoch(f64::NAN),
            Err(OrbitError::TooFar { .. } | OrbitError::Diverged { .. })
        ));
    }

    #[test]
    fn wrong_elements_are_said_in_one_line() {
        type Change = fn(&mut Elements);
        let wrong: [(Change, &str); 6] = [
            (|e| e.eccentricity = 1.0, "eccentricity"),
            (|e| e.eccentricity = -0.1, "eccentricity"),
            (|e| e.inclination_deg = 181.0, "inclination"),
            (|e| e.mean_motion_rev_per_day = 0.0, "mean motion"),
            (|e| e.mean_anomaly_deg = f64::NAN, "mean anomaly"),
            (|e| e.bstar = f64::INFINITY, "drag term"),
        ];
        for (change, word) in wrong {
            let mut elements = vanguard();
            change(&mut elements);
            let said = Orbit::new(&elements).unwrap_err().to_string();
            assert!(said.contains(word) && said.starts_with("test: VANGUARD 1"), "{said}");
        }
    }

    proptest! {
        /// Whatever the elements and the instant: a finite state or an error.
        #[test]
        fn no_elements_panic(
            inclination in 0.0..180.0, eccentricity in 0.0..1.0, motion in 1e-6..1e6,
            bstar in -1e3..1e3, days in -4000.0..4000.0, tiny in any::<bool>(),
        ) {
            let mut elements = vanguard();
            elements.inclination_deg = inclination;
            elements.eccentricity = if tiny { eccentricity * 1e-5 } else { eccentricity };
            elements.mean_motion_rev_per_day = motion;
            elements.bstar = bstar;
            if let Ok(orbit) = Orbit::new(&elements)
                && let Ok(state) = orbit.state_since_epoch(days * 86_400.0)
            {
                prop_assert!(state.position_km.iter().all(|x| x.is_finite()));
                prop_assert!(state.velocity_km_per_s.iter().all(|x| x.is_finite()));
            }
        }
    }
}
