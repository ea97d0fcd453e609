//! Where the antenna stands.
//!
//! Written as `LAT,LON,ALT_M` in decimal degrees and metres, or as a Maidenhead locator: pairs of
//! characters, longitude before latitude, each pair dividing what the one before it left:
//!
//! | pair | characters | longitude | latitude |
//! |---|---|---|---|
//! | field | A–R | 20° | 10° |
//! | square | 0–9 | 2° | 1° |
//! | subsquare | a–x | 5′ | 2.5′ |
//! | extended square | 0–9 | 30″ | 15″ |
//! | extended subsquare | a–x | 1.25″ | 0.625″ |
//!
//! A locator stands for the middle of its area. Reference: IARU Region 1 VHF Managers Handbook,
//! *Locator system*.

use std::fmt;
use std::str::FromStr;

use crate::error::RequestError;

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

/// Altitudes that are accepted, metres: from the shores of the Dead Sea to a balloon.
const LOWEST_M: f64 = -1000.0;
const HIGHEST_M: f64 = 100_000.0;

/// How a place is written.
const WRITE: &str = "write LAT,LON,ALT_M in decimal degrees and metres, such as 48.2,16.37,190, or \
                     a locator such as JN88ee";

/// Number of letters or digits that each pair of a locator counts through.
const LOCATOR_BASES: [(u8, u8); 5] = [(b'A', 18), (b'0', 10), (b'A', 24), (b'0', 10), (b'A', 24)];

impl Station {
    /// The place written in `text`, and what is to be said about it, if anything (a locator has no
    /// altitude). `subject` names in errors where it was written.
    ///
    /// # Errors
    /// It is neither coordinates nor a locator, coordinates are out of range, or the altitude is
    /// missing.
    pub fn parse(subject: &str, text: &str) -> Result<(Self, Option<String>), RequestError> {
        let text = text.trim();
        if let Some(station) = from_locator(text) {
            let notice = format!(
                "{subject}: {text} is the middle of its square, and the altitude is taken as 0 m; \
                 LAT,LON,ALT_M is more exact"
            );
            return Ok((station, Some(notice)));
        }
        let wrong = |wrong: String, right: &str| Err(RequestError::new(subject, wrong, right));
        if text.is_empty() {
            return wrong("is empty".to_owned(), WRITE);
        }
        let parts: Vec<&str> = text.split(',').map(str::trim).collect();
        let mut numbers = Vec::new();
        for part in &parts {
            match number(part) {
                Some(number) => numbers.push(number),
                None if parts.len() == 1 => {
                    return wrong(format!("\"{text}\" is neither place nor locator"), WRITE);
                }
                None => return wrong(format!("\"{part}\" in \"{text}\" is no number"), WRITE),
            }
        }
        let (latitude_deg, longitude_deg, altitude_m) = match numbers[..] {
            [latitude_deg, longitude_deg, altitude_m] => (latitude_deg, longitude_deg, altitude_m),
            [latitude_deg, longitude_deg] => {
                in_range(subject, latitude_deg, longitude_deg)?;
                let right = format!("add the altitude in metres, or 0: {text},0");
                return wrong(format!("\"{text}\" has no altitude"), &right);
            }
            [_] => return wrong(format!("\"{text}\" is one number"), WRITE),
            _ => {
                let right = format!("{WRITE}; decimals after a point");
                return wrong(format!("\"{text}\" has {} numbers", numbers.len()), &right);
            }
        };
        in_range(subject, latitude_deg, longitude_deg)?;
        if !(LOWEST_M..=HIGHEST_M).contains(&altitude_m) {
            let right = format!("metres above the sea, {LOWEST_M} to {HIGHEST_M}");
            return wrong(format!("the altitude {altitude_m} m is out of range"), &right);
        }
        Ok((Self { latitude_deg, longitude_deg, altitude_m }, None))
    }

    /// The Maidenhead locator of 4, 6, 8 or 10 characters (other numbers: the next of them) whose
    /// area the station is in.
    pub fn locator(&self, characters: usize) -> String {
        let mut longitude = (self.longitude_deg + 180.0) / 360.0;
        let mut latitude = (self.latitude_deg + 90.0) / 180.0;
        let mut locator = String::new();
        for (pair, (first, base)) in LOCATOR_BASES.into_iter().enumerate() {
            if pair >= 2 && pair * 2 >= characters {
                break;
            }
            // Subsquares are customarily written small.
            let first = if pair >= 2 { first.to_ascii_lowercase() } else { first };
            for fraction in [&mut longitude, &mut latitude] {
                // The pole and the date line belong to the last area; NaN to the first.
                let scaled = fraction.clamp(0.0, 1.0) * f64::from(base);
                let digit = (scaled as u8).min(base - 1);
                *fraction = scaled - f64::from(digit);
                locator.push(char::from(first + digit));
            }
        }
        locator
    }
}

/// A finite number as people write coordinates, also with a sign of typography.
fn number(text: &str) -> Option<f64> {
    let text = text.replace('\u{2212}', "-");
    let text = text.trim_end_matches(['m', '°']).trim_end();
    let plain = text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'.'));
    text.parse().ok().filter(|x: &f64| plain && x.is_finite())
}

/// Whether latitude and longitude exist.
fn in_range(subject: &str, latitude_deg: f64, longitude_deg: f64) -> Result<(), RequestError> {
    let wrong = |wrong: String, right: &str| Err(RequestError::new(subject, wrong, right));
    if !(-90.0..=90.0).contains(&latitude_deg) {
        let right = if latitude_deg.abs() <= 180.0 && longitude_deg.abs() <= 90.0 {
            "latitude comes first, -90 to 90: are the two swapped?"
        } else {
            "degrees north from -90 to 90 come first"
        };
        return wrong(format!("the latitude {latitude_deg} is out of range"), right);
    }
    if !(-180.0..=180.0).contains(&longitude_deg) {
        let right = if (180.0..=360.0).contains(&longitude_deg) {
            format!("west is negative: write {}", longitude_deg - 360.0)
        } else {
            "degrees east from -180 to 180 come second".to_owned()
        };
        return wrong(format!("the longitude {longitude_deg} is out of range"), &right);
    }
    Ok(())
}

/// The middle of a locator's area, at altitude 0; `None` if the text is no locator of 4 to 10
/// characters.
fn from_locator(text: &str) -> Option<Station> {
    if !matches!(text.len(), 4 | 6 | 8 | 10) {
        return None;
    }
    let (pairs, _) = text.as_bytes().as_chunks::<2>();
    let (mut longitude_deg, mut latitude_deg) = (-180.0, -90.0);
    let mut size_deg = 180.0;
    for (pair, (first, base)) in pairs.iter().zip(LOCATOR_BASES) {
        size_deg /= f64::from(base);
        let digit = |character: u8| {
            let digit = character.to_ascii_uppercase().checked_sub(first)?;
            (digit < base).then_some(f64::from(digit))
        };
        longitude_deg += digit(pair[0])? * 2.0 * size_deg;
        latitude_deg += digit(pair[1])? * size_deg;
    }
    Some(Station {
        latitude_deg: latitude_deg + size_deg / 2.0,
        longitude_deg: longitude_deg + size_deg,
        altitude_m: 0.0,
    })
}

impl FromStr for Station {
    type Err = RequestError;

    /// As [`Station::parse`], without what is to be said.
    fn from_str(text: &str) -> Result<Self, RequestError> {
        Self::parse("station", text).map(|(station, _)| station)
    }
}

impl fmt::Display for Station {
    /// As [`Station::parse`] reads it, to a metre.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { latitude_deg, longitude_deg, altitude_m } = self;
        write!(f, "{latitude_deg:.5},{longitude_deg:.5},{altitude_m:.0}")
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn error(text: &str) -> String {
        Station::parse("--station", text).unwrap_err().to_string()
    }

    #[test]
    fn coordinates_are_read_and_shown() {
        let vienna = Station { latitude_deg: 48.2, longitude_deg: 16.37, altitude_m: 190.0 };
        for text in ["48.2,16.37,190", " 48.2 , 16.37 , 190 m ", "+48.2°,16.37°,190"] {
            assert_eq!(Station::parse("x", text).unwrap(), (vienna, None), "{text}");
        }
        assert_eq!(vienna.to_string(), "48.20000,16.37000,190");
        assert_eq!(vienna.to_string().parse::<Station>().unwrap(), vienna);
        let ushuaia: Station = "\u{2212}54.8,-68.3,-5".parse().unwrap();
        assert_eq!((ushuaia.latitude_deg, ushuaia.altitude_m), (-54.8, -5.0));
        for edge in ["90,180,0", "-90,-180,0"] {
            assert!(edge.parse::<Station>().is_ok());
        }
    }

    #[test]
    fn what_is_wrong_with_a_place_is_said() {
        for (text, says) in [
            ("", "is empty"),
            ("Vienna", "\"Vienna\" is neither place nor locator"),
            ("48.2", "is one number"),
            ("48.2,16.37", "has no altitude; add the altitude in metres, or 0: 48.2,16.37,0"),
            ("48.2,16.37,x", "\"x\" in \"48.2,16.37,x\" is no number"),
            ("48.2,16.37,nan", "is no number"),
            ("48.2,16.37,1e400", "is no number"),
            ("48,2,16,37,190", "has 5 numbers"),
            ("91,200,0", "the latitude 91 is out of range; degrees north"),
            ("151.2,-33.9,10", "are the two swapped?"),
            ("151.2,-33.9", "are the two swapped?"),
            ("48.2,181,0", "west is negative: write -179"),
            ("48.2,-181,0", "the longitude -181 is out of range; degrees east"),
            ("48.2,16.37,200000", "the altitude 200000 m is out of range"),
            (",,", "is no number"),
        ] {
            let error = error(text);
            assert!(error.starts_with("--station: "), "{error}");
            assert!(error.contains(says), "{error}\nshould say {says}");
        }
    }

    #[test]
    fn locators_of_every_length_are_the_middle_of_their_area() {
        // Munich, the example of the system's descriptions: JN58td.
        for (text, latitude_deg, longitude_deg) in [
            ("JN58", 48.5, 11.0),
            ("jn58TD", 48.145_833, 11.625),
            ("JN58td25", 48.147_917, 11.604_167),
            ("jn58td25al", 48.147_830, 11.600_174),
            ("AA00", -89.5, -179.0),
            ("RR99xx", 89.979_167, 179.958_333),
        ] {
            let (station, notice) = Station::parse("x", text).unwrap();
            assert!((station.latitude_deg - latitude_deg).abs() < 1e-6, "{text}: {station:?}");
            assert!((station.longitude_deg - longitude_deg).abs() < 1e-6, "{text}: {station:?}");
            assert_eq!(station.altitude_m, 0.0);
            assert!(notice.unwrap().contains("altitude is taken as 0 m"));
            assert!(station.locator(text.len()).eq_ignore_ascii_case(text));
        }
        for text in ["JN5", "JN588", "SN58", "JNa8", "JN58ty", "JN58td2x", "JN58td25ay", "JN58tdé"]
        {
            assert!(error(text).contains("neither place nor locator"), "{text}");
        }
        let pole = Station { latitude_deg: 90.0, longitude_deg: 180.0, altitude_m: 0.0 };
        assert_eq!(pole.locator(6), "RR99xx");
        assert_eq!(pole.locator(0), "RR99");
        let nowhere = Station { latitude_deg: f64::NAN, longitude_deg: f64::INFINITY, ..pole };
        assert_eq!(nowhere.locator(4), "RA90");
    }

    proptest! {
        #[test]
        fn garbage_does_no_harm(text in "\\PC{0,30}", characters in 0usize..20) {
            if let Ok((station, _)) = Station::parse("x", &text) {
                station.locator(characters);
            }
        }

        #[test]
        fn a_locator_is_around_the_place(latitude_deg in -90.0..90.0, longitude_deg in -180.0..180.0) {
            let place = Station { latitude_deg, longitude_deg, altitude_m: 0.0 };
            let mut size_deg = 1.0;
            for characters in [4, 6, 8, 10] {
                let middle: Station = place.locator(characters).parse().unwrap();
                let north_deg = (middle.latitude_deg - latitude_deg).abs();
                let east_deg = (middle.longitude_deg - longitude_deg).abs();
                prop_assert!(north_deg <= size_deg * 0.500_001 && east_deg <= size_deg * 1.000_001);
                size_deg /= if characters == 6 { 10.0 } else { 24.0 };
            }
        }
    }
}
