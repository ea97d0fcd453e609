//! Mean orbital elements: what a TLE or an OMM says.
//!
//! | module | what it holds |
//! |---|---|
//! | [`tle`] | two-line element sets, with or without a name line: read and written |
//! | [`omm`] | Orbit Mean-elements Messages as JSON, XML, CSV and KVN |
//! | [`store`] | the sets of files and folders, found by number or name |
//!
//! What a file holds is told by its content ([`parse`]), not by its name. A set that is wrong does
//! not keep the others from being read: it becomes a warning. All of this is for SGP4 only; sets
//! for other theories (SGP4-XP among them) are refused.
//!
//! References: CelesTrak, *NORAD Two-Line Element Set Format* and *A New Way to Obtain GP Data*;
//! CCSDS 502.0-B-3, *Orbit Data Messages*, clause 4; Space-Track, *Alpha-5*.

pub mod omm;
pub mod store;
pub mod tle;

use std::fmt::Display;

use jiff::Timestamp;

use crate::error::RequestError;

pub use store::Store;

/// Mean elements of one object, for SGP4 (units of the TLE).
#[derive(Debug, Clone, PartialEq)]
pub struct Elements {
    /// Its name, if the set has one.
    pub name: Option<String>,
    /// NORAD catalogue number, up to nine digits; 0 if the set has none.
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

/// Elements up to this age say where a satellite is, in days.
pub const FRESH_DAYS: f64 = 7.0;

/// From this age on they say next to nothing of a satellite in a low orbit, in days.
const STALE_DAYS: f64 = 60.0;

/// Largest mean motion that is accepted, revolutions a day; a circle at the Earth's surface has 17.
const FASTEST_REV_PER_DAY: f64 = 20.0;

impl Elements {
    /// Name and number for messages: `"AALTO-1" (42775)`, `object 42775`.
    pub fn label(&self) -> String {
        match (&self.name, self.norad_id) {
            (Some(name), 0) => format!("\"{name}\""),
            (Some(name), norad_id) => format!("\"{name}\" ({norad_id})"),
            (None, norad_id) => format!("object {norad_id}"),
        }
    }

    /// Whether the numbers can be those of an orbit around the Earth.
    ///
    /// # Errors
    /// Names the first that cannot, at [`Self::source`].
    pub fn check(&self) -> Result<(), RequestError> {
        let wrong = |what: &str, value: &dyn Display, right: &str| {
            Err(RequestError::new(&self.source, format!("{what} is {value}"), right))
        };
        let eccentricity = self.eccentricity;
        if !(0.0..1.0).contains(&eccentricity) {
            return wrong("eccentricity", &eccentricity, "an orbit has 0 to below 1");
        }
        let mean_motion = self.mean_motion_rev_per_day;
        if !(mean_motion > 0.0 && mean_motion <= FASTEST_REV_PER_DAY) {
            let right = "an orbit has above 0, at most 20 revolutions a day";
            return wrong("mean motion", &mean_motion, right);
        }
        if !(0.0..=180.0).contains(&self.inclination_deg) {
            return wrong("inclination", &self.inclination_deg, "an orbit has 0 to 180 degrees");
        }
        for (what, angle_deg) in [
            ("right ascension of the node", self.raan_deg),
            ("argument of perigee", self.argument_of_perigee_deg),
            ("mean anomaly", self.mean_anomaly_deg),
        ] {
            if !(-360.0..=360.0).contains(&angle_deg) {
                return wrong(what, &angle_deg, "an orbit has 0 to 360 degrees");
            }
        }
        if !self.bstar.is_finite() {
            return wrong("B*", &self.bstar, "it is a number per Earth radius");
        }
        // Sputnik 1 was launched in October 1957.
        let year = self.epoch.to_zoned(jiff::tz::TimeZone::UTC).year();
        if !(1957..2100).contains(&year) {
            return wrong("epoch", &self.epoch, "satellites fly in the years 1957 to 2099");
        }
        Ok(())
    }

    /// Age of the elements at an instant, in days; negative if their epoch is later.
    pub fn age_days(&self, at: Timestamp) -> f64 {
        super::seconds_between(self.epoch, at) / 86_400.0
    }

    /// What there is to say of the age of the elements at an instant; `None` while it is at most
    /// [`FRESH_DAYS`] either way.
    pub fn age_warning(&self, at: Timestamp) -> Option<String> {
        let age_days = self.age_days(at);
        let size = age_days.abs();
        // Written so that NaN would warn.
        if size <= FRESH_DAYS {
            return None;
        }
        let span = if size < 2.0 * 365.25 {
            format!("{size:.0} days")
        } else {
            format!("{:.1} years", size / 365.25)
        };
        let when = if age_days > 0.0 {
            format!("are {span} old")
        } else {
            format!("are for {span} after the time they are used for")
        };
        // Drag makes the error along the track grow with the square of the age: kilometres after a
        // week, thousands of kilometres after a season, at 7.5 km/s.
        let what = if size <= 21.0 {
            "the satellite may be seconds early or late"
        } else if size <= STALE_DAYS {
            "the satellite may be a minute early or late"
        } else if size <= 365.25 {
            "the satellite may be anywhere on its orbit"
        } else {
            "where the satellite is cannot be told from them"
        };
        Some(format!(
            "elements of {} {when}: {what}; take elements from within a few days",
            self.label()
        ))
    }
}

/// The sets of one file or answer.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ElementsFile {
    /// The good ones, in their order.
    pub sets: Vec<Elements>,
    /// What was wrong with others, one line each.
    pub warnings: Vec<String>,
}

/// Most warnings about one file; the rest are counted.
const MOST_WARNINGS: usize = 8;

/// What a parser found, set by set.
pub(crate) type Found = Vec<Result<Elements, RequestError>>;

/// Reads orbital elements of any kind from the content of a file; `source` names it in messages.
///
/// # Errors
/// It holds none, or none that is right.
pub fn parse(source: &str, content: &[u8]) -> Result<ElementsFile, RequestError> {
    recognise(source, content)?.ok_or_else(|| no_elements(source, content))
}

/// As [`parse`]; `None` if the content is something else.
///
/// # Errors
/// It holds elements, but none that is right.
pub(crate) fn recognise(
    source: &str,
    content: &[u8],
) -> Result<Option<ElementsFile>, RequestError> {
    let text = decode(content);
    let text = text.trim_start_matches('\u{FEFF}');
    let head = text.trim_start();
    let found = if head.starts_with(['[', '{']) {
        omm::parse_json(source, text)?
    } else if head.starts_with('<') {
        omm::parse_xml(source, text)?
    } else if omm::is_kvn(head) {
        omm::parse_kvn(source, text)
    } else if omm::is_csv(head) {
        omm::parse_csv(source, text)
    } else {
        tle::parse(source, text)
    };
    if found.is_empty() {
        return Ok(None);
    }
    let total = found.len();
    let mut file = ElementsFile::default();
    let mut first_error = None;
    let mut errors = 0;
    for set in found {
        match set.and_then(|set| set.check().map(|()| set)) {
            Ok(set) => file.sets.push(set),
            Err(error) => {
                if errors < MOST_WARNINGS {
                    file.warnings.push(format!("{error} (this set is left out)"));
                }
                errors += 1;
                first_error.get_or_insert(error);
            }
        }
    }
    if errors > MOST_WARNINGS {
        let more = errors - MOST_WARNINGS;
        file.warnings.push(format!("{source}: {more} more sets are wrong and left out"));
    }
    match first_error {
        Some(error) if file.sets.is_empty() => Err(if total == 1 {
            error
        } else {
            let wrong = format!("{} (as the others of {total} sets)", error.wrong);
            RequestError { wrong, ..error }
        }),
        _ => Ok(Some(file)),
    }
}

/// Text as files have it: UTF-8, or UTF-16 with its mark (which Windows' shell writes). What is
/// neither becomes replacement characters.
fn decode(content: &[u8]) -> String {
    let (pairs, _) = content.as_chunks::<2>();
    let words: fn([u8; 2]) -> u16 = match content {
        [0xFF, 0xFE, ..] => u16::from_le_bytes,
        [0xFE, 0xFF, ..] => u16::from_be_bytes,
        _ => return String::from_utf8_lossy(content).into_owned(),
    };
    char::decode_utf16(pairs.iter().map(|&pair| words(pair)))
        .map(|character| character.unwrap_or(char::REPLACEMENT_CHARACTER))
        .collect()
}

/// The error about content that is not elements, quoting how it begins.
fn no_elements(source: &str, content: &[u8]) -> RequestError {
    let head = String::from_utf8_lossy(content.get(..content.len().min(400)).unwrap_or_default());
    let head = head.trim();
    let lower = head.to_ascii_lowercase();
    let wrong = if head.is_empty() {
        "is empty".to_owned()
    } else if lower.starts_with("<!doctype html") || lower.starts_with("<html") {
        "is a web page and holds no orbital elements".to_owned()
    } else {
        let line = head.lines().next().unwrap_or_default();
        let quoted: String = line
            .chars()
            .map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c })
            .take(40)
            .collect();
        format!("holds no orbital elements (it begins \"{quoted}\")")
    };
    RequestError::new(source, wrong, "give a TLE file, or an OMM as JSON, XML or CSV")
}

#[cfg(test)]
mod tests;
