//! Orbit Mean-elements Messages: the same elements as a TLE's, in named fields.
//!
//! CelesTrak and Space-Track give them as JSON (numbers as numbers, or as strings), XML (`ndm` of
//! `omm`s), CSV (a header line names the columns, in any order) and KVN (`KEY = value`).
//!
//! | key | |
//! |---|---|
//! | `OBJECT_NAME`, `OBJECT_ID`, `NORAD_CAT_ID` | name, international designator, number; one of name and number must be there |
//! | `EPOCH` | UTC: `2024-05-01T12:34:56.789`, or with the day of the year: `2024-122T12:34:56.789` |
//! | `MEAN_MOTION`, `ECCENTRICITY`, `INCLINATION`, `RA_OF_ASC_NODE`, `ARG_OF_PERICENTER`, `MEAN_ANOMALY`, `BSTAR` | revolutions a day, degrees, per Earth radius |
//! | `MEAN_ELEMENT_THEORY`, `EPHEMERIS_TYPE` | if there: SGP4, and not 4 |
//! | `TIME_SYSTEM`, `CENTER_NAME`, `REF_FRAME` | if there: UTC, EARTH, TEME |
//!
//! JSON objects with `tle1` and `tle2` (SatNOGS) are read as the TLEs that they hold.
//!
//! Reference: CCSDS 502.0-B-3, clause 4 and annex.

use std::fmt::Display;

use jiff::Timestamp;
use jiff::civil::{DateTime, date};
use jiff::tz::TimeZone;
use serde_json::Value;

use super::{Elements, Found, tle};
use crate::error::RequestError;

/// Keys that are looked at.
const KEYS: [&str; 16] = [
    "OBJECT_NAME",
    "OBJECT_ID",
    "NORAD_CAT_ID",
    "EPOCH",
    "MEAN_MOTION",
    "ECCENTRICITY",
    "INCLINATION",
    "RA_OF_ASC_NODE",
    "ARG_OF_PERICENTER",
    "MEAN_ANOMALY",
    "BSTAR",
    "MEAN_ELEMENT_THEORY",
    "EPHEMERIS_TYPE",
    "TIME_SYSTEM",
    "CENTER_NAME",
    "REF_FRAME",
];

/// The values of one message, as text.
struct Message {
    place: String,
    values: [Option<String>; KEYS.len()],
}

impl Message {
    fn new(place: impl Display) -> Self {
        Self { place: place.to_string(), values: Default::default() }
    }

    /// Takes a value, if its key is one of ours and it is not blank. The first one counts.
    fn put(&mut self, key: &str, value: impl AsRef<str>) {
        let value = value.as_ref().trim();
        let key = key.trim();
        let slot = KEYS.iter().position(|k| k.eq_ignore_ascii_case(key));
        if let Some(slot) = slot.and_then(|slot| self.values.get_mut(slot))
            && !value.is_empty()
        {
            slot.get_or_insert_with(|| value.to_owned());
        }
    }

    fn get(&self, key: &str) -> Option<&str> {
        let slot = KEYS.iter().position(|k| *k == key)?;
        self.values.get(slot)?.as_deref()
    }

    /// Whether it has anything that only elements have.
    fn is_of_elements(&self) -> bool {
        ["EPOCH", "MEAN_MOTION", "ECCENTRICITY"].iter().any(|key| self.get(key).is_some())
    }

    fn error(&self, wrong: String, right: &str) -> RequestError {
        let named = match self.get("OBJECT_NAME").or(self.get("NORAD_CAT_ID")) {
            Some(name) => format!("{} ({name})", self.place),
            None => self.place.clone(),
        };
        RequestError::new(named, wrong, right)
    }

    fn required(&self, key: &str) -> Result<&str, RequestError> {
        self.get(key).ok_or_else(|| self.error(format!("{key} is missing"), "SGP4 needs it"))
    }

    fn number(&self, key: &str) -> Result<f64, RequestError> {
        let text = self.required(key)?;
        text.parse().ok().filter(|x: &f64| x.is_finite()).ok_or_else(|| {
            self.error(format!("{key} is \"{text}\""), "write it as a number: 12.345")
        })
    }

    /// If the key is there, its value must be one of these.
    fn must_be(&self, key: &str, accepted: &[&str]) -> Result<(), RequestError> {
        match self.get(key) {
            Some(value) if !accepted.iter().any(|a| a.eq_ignore_ascii_case(value)) => {
                let right = format!("only elements with {} can be used", accepted.join(" or "));
                Err(self.error(format!("{key} is {value}"), &right))
            }
            _ => Ok(()),
        }
    }

    fn elements(self) -> Result<Elements, RequestError> {
        self.must_be("MEAN_ELEMENT_THEORY", &["SGP4", "SGP/SGP4", "SGP4/SDP4", "SDP4"])?;
        self.must_be("TIME_SYSTEM", &["UTC"])?;
        self.must_be("CENTER_NAME", &["EARTH"])?;
        self.must_be("REF_FRAME", &["TEME", "TEMEOFDATE", "TEME OF DATE"])?;
        if self.get("EPHEMERIS_TYPE") == Some("4") {
            let right = "take a set for SGP4: fitted to the other theory it would mislead";
            return Err(self.error("the set is for SGP4-XP (EPHEMERIS_TYPE 4)".to_owned(), right));
        }
        let name = self
            .get("OBJECT_NAME")
            .map(|name| name.chars().filter(|c| !c.is_control()).take(80).collect::<String>());
        let norad_id = match self.get("NORAD_CAT_ID") {
            Some(text) => {
                let number = text.strip_suffix(".0").unwrap_or(text);
                let number = number.parse().ok().filter(|number| *number < 1_000_000_000);
                number.ok_or_else(|| {
                    let wrong = format!("NORAD_CAT_ID is \"{text}\"");
                    self.error(wrong, "write a number of up to nine digits")
                })?
            }
            None if name.is_some() => 0,
            None => {
                let wrong = "it has neither NORAD_CAT_ID nor OBJECT_NAME".to_owned();
                return Err(self.error(wrong, "say which object it is"));
            }
        };
        let epoch = self.required("EPOCH")?;
        let epoch = instant(epoch).ok_or_else(|| {
            let wrong = format!("EPOCH is \"{epoch}\"");
            self.error(wrong, "write UTC as 2024-05-01T12:34:56.789")
        })?;
        Ok(Elements {
            name,
            norad_id,
            international_designator: self.get("OBJECT_ID").map(str::to_owned),
            epoch,
            inclination_deg: self.number("INCLINATION")?,
            raan_deg: self.number("RA_OF_ASC_NODE")?,
            eccentricity: self.number("ECCENTRICITY")?,
            argument_of_perigee_deg: self.number("ARG_OF_PERICENTER")?,
            mean_anomaly_deg: self.number("MEAN_ANOMALY")?,
            mean_motion_rev_per_day: self.number("MEAN_MOTION")?,
            bstar: self.number("BSTAR")?,
            source: self.place,
        })
    }
}

/// An instant of UTC, with or without `Z`; the date may be year and day of the year.
fn instant(text: &str) -> Option<Timestamp> {
    // Time stamps have nanoseconds, some files more digits.
    let mut digits = 0;
    let mut in_fraction = false;
    let text: String = text
        .chars()
        .filter(|c| {
            in_fraction = if in_fraction { c.is_ascii_digit() } else { *c == '.' };
            digits = if in_fraction { digits + 1 } else { 0 };
            // The point and nine digits.
            digits <= 10
        })
        .collect();
    if let Ok(instant) = text.parse::<Timestamp>() {
        return Some(instant);
    }
    let civil = text.strip_suffix(['Z', 'z']).unwrap_or(&text);
    let time = civil.parse::<DateTime>().ok().or_else(|| {
        let (day, time) = civil.split_once(['T', ' '])?;
        let (year, day) = day.split_once('-').filter(|(y, d)| y.len() == 4 && d.len() == 3)?;
        let day: i64 = day.parse().ok().filter(|day| (1..=366).contains(day))?;
        let first = date(year.parse().ok().filter(|y| (1..=9998).contains(y))?, 1, 1);
        let days = jiff::Span::new().try_days(day - 1).ok()?;
        Some(first.checked_add(days).ok()?.to_datetime(time.parse().ok()?))
    })?;
    TimeZone::UTC.to_timestamp(time).ok()
}

/// Reads JSON: one object, or a list of them. Empty if they are not about elements.
///
/// # Errors
/// The text is not JSON.
pub(crate) fn parse_json(source: &str, text: &str) -> Result<Found, RequestError> {
    let value: Value = serde_json::from_str(text).map_err(|error| {
        let wrong = if error.is_eof() {
            "its JSON is cut off".to_owned()
        } else {
            format!("it is no good JSON ({error})")
        };
        RequestError::new(format!("{source}:{}", error.line()), wrong, "fetch it again")
    })?;
    let objects = match value {
        Value::Array(objects) => objects,
        object => vec![object],
    };
    let several = objects.len() > 1;
    let found = objects.iter().zip(1..).filter_map(|(object, number)| {
        let place = if several { format!("{source}, set {number}") } else { source.to_owned() };
        json_set(place, object)
    });
    Ok(found.collect())
}

fn json_set(place: String, object: &Value) -> Option<Result<Elements, RequestError>> {
    let object = object.as_object()?;
    let text = |key: &str| object.get(key).and_then(Value::as_str);
    if let (Some(line1), Some(line2)) = (text("tle1"), text("tle2")) {
        return Some(tle::from_lines(&place, text("tle0"), line1, line2));
    }
    let mut message = Message::new(place);
    for (key, value) in object {
        match value {
            Value::String(value) => message.put(key, value),
            Value::Number(value) => message.put(key, value.to_string()),
            _ => {}
        }
    }
    message.is_of_elements().then(|| message.elements())
}

/// Reads XML: every `omm` in it. Empty if there is none.
///
/// # Errors
/// The text is not XML, but begins as if it were an OMM.
pub(crate) fn parse_xml(source: &str, text: &str) -> Result<Found, RequestError> {
    let trimmed = text.trim_start();
    let document = match roxmltree::Document::parse(trimmed) {
        Ok(document) => document,
        // Web pages are seldom good XML, and are none of ours.
        Err(_) if !["<omm", "<ndm", ":omm", ":ndm"].iter().any(|tag| text.contains(tag)) => {
            return Ok(Vec::new());
        }
        Err(error) => {
            let row = text.lines().count() - trimmed.lines().count() + error.pos().row as usize;
            let place = format!("{source}:{row}");
            let wrong = format!("it is no good XML ({error})");
            return Err(RequestError::new(place, wrong, "fetch it again"));
        }
    };
    // Once through the document, so that no nesting makes it slow.
    let mut messages: Vec<Message> = Vec::new();
    let blank = text.get(..text.len() - trimmed.len()).unwrap_or_default();
    let (mut row, mut counted) = (1 + blank.matches('\n').count(), 0);
    for node in document.descendants().filter(roxmltree::Node::is_element) {
        let name = node.tag_name().name();
        if name == "omm" {
            let start = node.range().start;
            row +=
                document.input_text().get(counted..start).unwrap_or_default().matches('\n').count();
            counted = start;
            messages.push(Message::new(format_args!("{source}:{row}")));
        } else if let (Some(message), Some(value)) = (messages.last_mut(), node.text()) {
            message.put(name, value);
        }
    }
    Ok(messages.into_iter().map(Message::elements).collect())
}

/// Whether a text begins with the header line of elements as CSV.
pub(crate) fn is_csv(head: &str) -> bool {
    let header = head.lines().next().unwrap_or_default();
    let mut columns = header.split(',').map(|column| column.trim().trim_matches('"'));
    header.contains(',')
        && columns.any(|c| c.eq_ignore_ascii_case("EPOCH") || c.eq_ignore_ascii_case("MEAN_MOTION"))
}

/// Reads CSV with a header line.
pub(crate) fn parse_csv(source: &str, text: &str) -> Found {
    let mut reader = csv::ReaderBuilder::new()
        .flexible(true)
        .trim(csv::Trim::All)
        .from_reader(text.trim_start().as_bytes());
    let Ok(header) = reader.headers().cloned() else { return Vec::new() };
    let blank = text.len() - text.trim_start().len();
    let (mut line, mut counted) = (1, 0);
    let set = |record: Result<csv::StringRecord, csv::Error>| {
        let record = record.map_err(|error| {
            RequestError::new(source, format!("it is no good CSV ({error})"), "fetch it again")
        })?;
        // A record may begin with the second half of the end of the line before it.
        let start = record.position().map_or(0, csv::Position::byte) as usize + blank;
        let start =
            if text.get(start..).is_some_and(|t| t.starts_with('\n')) { start + 1 } else { start };
        line += text.get(counted..start).unwrap_or_default().matches('\n').count();
        counted = start;
        let mut message = Message::new(format_args!("{source}:{line}"));
        for (key, value) in header.iter().zip(&record) {
            message.put(key, value);
        }
        message.elements()
    };
    reader.records().map(set).collect()
}

/// Whether a text begins as an OMM in KVN.
pub(crate) fn is_kvn(head: &str) -> bool {
    head.starts_with("CCSDS_OMM_VERS")
}

/// Reads KVN: messages of lines `KEY = value [unit]`, each beginning with its version.
pub(crate) fn parse_kvn(source: &str, text: &str) -> Found {
    let mut messages: Vec<Message> = Vec::new();
    for (line, number) in text.lines().zip(1..) {
        let Some((key, value)) = line.split_once('=') else { continue };
        if key.trim() == "CCSDS_OMM_VERS" {
            messages.push(Message::new(format_args!("{source}:{number}")));
        } else if let Some(message) = messages.last_mut() {
            let value = value.split_once('[').map_or(value, |(value, _)| value);
            message.put(key, value);
        }
    }
    messages.into_iter().map(Message::elements).collect()
}
