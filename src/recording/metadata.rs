//! The text of a `.sigmf-meta` file.
//!
//! What SigMF has no word for stands in the namespace `tulpar`, declared as an optional extension:
//! `tulpar:kind` (`"reception"`: samples that came from outside), `tulpar:omm` (the orbital elements
//! as an Orbit Mean-elements Message in JSON) and `tulpar:tle` (the same as lines, where the format
//! has room for them).
//!
//! References: SigMF specification 1.2.0; GeoJSON, RFC 7946; CCSDS 502.0-B-3, clause 4.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::coding::SampleCoding;
use crate::doppler::elements::Elements;
use crate::doppler::station::Station;

/// `core:recorder`, to which the version is added.
pub const RECORDER: &str = "tulpar ";

/// `tulpar:kind` of samples that came from outside.
pub const RECEPTION: &str = "reception";

/// What holds for all samples.
#[derive(Debug, Clone, PartialEq)]
pub struct Global {
    /// How they are stored.
    pub coding: SampleCoding,
    /// Complex samples; otherwise real ones.
    pub complex: bool,
    /// Samples per second.
    pub sample_rate_hz: f64,
    /// What it is a recording of, for people.
    pub description: String,
    /// Samples that came from outside, not from a simulator.
    pub reception: bool,
    /// The radio.
    pub hardware: Option<String>,
    /// Where its antenna stands.
    pub station: Option<Station>,
    /// The orbit of the object that was received.
    pub elements: Option<Elements>,
}

/// From here on time and frequency go on from new values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Capture {
    /// Sample of the recording.
    pub sample_start: u64,
    /// The same sample in the stream that was recorded.
    pub global_index: Option<u64>,
    /// Frequency at 0 Hz of the baseband.
    pub frequency_hz: Option<f64>,
    /// Its UTC.
    pub time: Option<Timestamp>,
}

/// Something in the samples.
#[derive(Debug, Clone, PartialEq)]
pub struct Annotation {
    /// First sample of the recording.
    pub sample_start: u64,
    /// Number of samples.
    pub sample_count: u64,
    /// Lowest and highest frequency.
    pub edges_hz: Option<(f64, f64)>,
    /// What it is.
    pub label: String,
}

/// The text of the metadata.
pub fn text(global: &Global, captures: &[Capture], annotations: &[Annotation]) -> String {
    let meta = json!({
        "global": global.to_json(),
        "captures": captures.iter().map(|capture| capture.to_json()).collect::<Value>(),
        "annotations": annotations.iter().map(Annotation::to_json).collect::<Value>(),
    });
    format!("{meta:#}\n")
}

impl Global {
    fn to_json(&self) -> Value {
        let mut global = json!({
            "core:datatype": self.coding.datatype(self.complex),
            "core:sample_rate": self.sample_rate_hz,
            "core:version": "1.2.0",
            "core:recorder": format!("{RECORDER}{}", env!("CARGO_PKG_VERSION")),
            "core:description": self.description,
        });
        if let Some(hardware) = &self.hardware {
            global["core:hw"] = json!(hardware);
        }
        if let Some(station) = &self.station {
            global["core:geolocation"] = json!({
                "type": "Point",
                "coordinates":
                    [station.longitude_deg, station.latitude_deg, station.altitude_m],
            });
        }
        if self.reception {
            global["core:extensions"] =
                json!([{ "name": "tulpar", "version": "0.1.0", "optional": true }]);
            global["tulpar:kind"] = json!(RECEPTION);
            if let Some(elements) = &self.elements {
                global["tulpar:omm"] = omm(elements);
                if let Ok(lines) = elements.to_tle() {
                    let lines: Vec<String> =
                        elements.name.clone().into_iter().chain(lines).collect();
                    global["tulpar:tle"] = json!(lines);
                }
            }
        }
        global
    }
}

impl Capture {
    fn to_json(self) -> Value {
        let mut map = Map::new();
        map.insert("core:sample_start".into(), json!(self.sample_start));
        if let Some(index) = self.global_index {
            map.insert("core:global_index".into(), json!(index));
        }
        if let Some(frequency_hz) = self.frequency_hz {
            map.insert("core:frequency".into(), json!(frequency_hz));
        }
        if let Some(time) = self.time {
            map.insert("core:datetime".into(), json!(time.to_string()));
        }
        Value::Object(map)
    }
}

impl Annotation {
    fn to_json(&self) -> Value {
        let mut annotation = json!({
            "core:sample_start": self.sample_start,
            "core:sample_count": self.sample_count,
            "core:label": self.label,
        });
        if let Some((low_hz, high_hz)) = self.edges_hz {
            annotation["core:freq_lower_edge"] = json!(low_hz);
            annotation["core:freq_upper_edge"] = json!(high_hz);
        }
        annotation
    }
}

/// The elements as an OMM, with the keys of CCSDS 502.0-B-3.
fn omm(elements: &Elements) -> Value {
    // An OMM's epoch is UTC without a zone.
    let epoch = elements.epoch.to_string();
    let mut omm = json!({
        "EPOCH": epoch.trim_end_matches('Z'),
        "MEAN_MOTION": elements.mean_motion_rev_per_day,
        "ECCENTRICITY": elements.eccentricity,
        "INCLINATION": elements.inclination_deg,
        "RA_OF_ASC_NODE": elements.raan_deg,
        "ARG_OF_PERICENTER": elements.argument_of_perigee_deg,
        "MEAN_ANOMALY": elements.mean_anomaly_deg,
        "NORAD_CAT_ID": elements.norad_id,
        "BSTAR": elements.bstar,
        "MEAN_MOTION_DOT": 0.0,
        "MEAN_MOTION_DDOT": 0.0,
        "EPHEMERIS_TYPE": 0,
    });
    if let Some(name) = &elements.name {
        omm["OBJECT_NAME"] = json!(name);
    }
    if let Some(designator) = &elements.international_designator {
        omm["OBJECT_ID"] = json!(designator);
    }
    omm
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;
    use crate::doppler::elements;

    const TLE: &str = "AALTO-1\n\
        1 42775U 17036L   24122.52427083  .00000000  00000-0  56789-3 0  9990\n\
        2 42775  97.1234 123.4567 0012345 210.9876 149.0123 15.23456789378906\n";

    #[test]
    fn station_and_elements_can_be_read_back() {
        let fixed = TLE.replace("9990", "999");
        let sum = |line: &str| -> u32 {
            line.bytes()
                .map(|b| {
                    if b == b'-' {
                        1
                    } else {
                        u32::from(b.saturating_sub(b'0')) * u32::from(b.is_ascii_digit())
                    }
                })
                .sum::<u32>()
                % 10
        };
        let first = fixed.lines().nth(1).unwrap().to_owned();
        let fixed = fixed.replace(&first, &format!("{first}{}", sum(&first)));
        let set = elements::parse("test", fixed.as_bytes()).unwrap().sets.remove(0);
        let (station, _) = Station::parse("--station", "48.2,16.37,190").unwrap();
        let global = Global {
            coding: SampleCoding::Ci16,
            complex: true,
            sample_rate_hz: 48_000.0,
            description: "a test".into(),
            reception: true,
            hardware: Some("rtl_tcp".into()),
            station: Some(station),
            elements: Some(set.clone()),
        };
        let meta: Value = serde_json::from_str(&text(&global, &[], &[])).unwrap();
        let written = &meta["global"];
        assert_eq!(written["core:geolocation"]["coordinates"], json!([16.37, 48.2, 190.0]));
        assert_eq!(written["core:extensions"][0]["optional"], true);
        let tle: Vec<&str> =
            written["tulpar:tle"].as_array().unwrap().iter().map(|l| l.as_str().unwrap()).collect();
        for text in [tle.join("\n"), json!([written["tulpar:omm"]]).to_string()] {
            let read = elements::parse("back", text.as_bytes()).unwrap();
            let read = read.sets.first().unwrap();
            assert_eq!(read.norad_id, set.norad_id);
            assert_eq!(read.name, set.name);
            assert!((read.mean_motion_rev_per_day - set.mean_motion_rev_per_day).abs() < 1e-8);
            assert!(read.epoch.duration_since(set.epoch).abs().as_secs_f64() < 1e-3);
        }
        // A simulation is no reception, and says nothing of what it has not.
        let simulated = Global { reception: false, station: None, hardware: None, ..global };
        let meta: Value = serde_json::from_str(&text(&simulated, &[], &[])).unwrap();
        assert_eq!(meta["global"].as_object().unwrap().len(), 5);
    }
}
