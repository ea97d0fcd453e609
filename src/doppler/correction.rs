//! What was learnt of an object's frequency and time, for later passes: a TOML file.
//!
//! ```toml
//! [[object]]
//! norad_id = 44406
//! bias_ppm = -7.43                       # received against predicted carrier
//! late_s = 0.8                           # along the track, for these elements only
//! elements_epoch = 2020-03-09T21:08:21.939648Z
//! measured = 2020-03-10T11:40:49.9Z
//! ```
//!
//! The bias holds for any downlink of the object (both oscillators are scaled with the carrier) at
//! the station where it was measured. The time holds for the elements with which it was measured
//! alone: newer ones are off by something else.

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Prediction, after};
use crate::error::RequestError;

/// Elements of the same epoch to this are the same, s.
const SAME_EPOCH_S: f64 = 1.0;

/// What is known of one object.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Correction {
    /// NORAD catalogue number.
    pub norad_id: u32,
    /// Received against predicted carrier, parts per million of the carrier.
    pub bias_ppm: f64,
    /// How late the satellite is on its track, s.
    pub late_s: f64,
    /// Epoch of the elements that `late_s` belongs to.
    #[serde(with = "instant")]
    pub elements_epoch: Timestamp,
    /// When it was measured.
    #[serde(with = "instant")]
    pub measured: Timestamp,
}

/// Times as strings or TOML date-times.
mod instant {
    use jiff::Timestamp;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub fn serialize<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(time)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Text(String),
            Date(toml::value::Datetime),
        }
        let text = match Written::deserialize(deserializer)? {
            Written::Text(text) => text,
            Written::Date(date) => date.to_string(),
        };
        text.parse().map_err(D::Error::custom)
    }
}

/// The corrections of a file.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Corrections {
    /// One an object.
    #[serde(default)]
    pub object: Vec<Correction>,
}

impl Corrections {
    /// Reads a file's text; `name` stands for it in errors.
    ///
    /// # Errors
    /// It is no TOML of this kind, or a number is not finite.
    pub fn parse(name: &str, text: &str) -> Result<Self, RequestError> {
        const RIGHT: &str = "write it with `tulpar identify --save`, or remove it";
        let corrections: Self = toml::from_str(text).map_err(|error| {
            let line = error.span().map_or(1, |span| {
                1 + text.get(..span.start).map_or(0, |before| before.matches('\n').count())
            });
            RequestError::new(format!("{name}:{line}"), error.message(), RIGHT)
        })?;
        match corrections.object.iter().find(|c| !(c.bias_ppm.is_finite() && c.late_s.is_finite()))
        {
            Some(odd) => {
                let wrong = format!("the correction of {} is no number", odd.norad_id);
                Err(RequestError::new(name, wrong, RIGHT))
            }
            None => Ok(corrections),
        }
    }

    /// That of an object.
    pub fn of(&self, norad_id: u32) -> Option<&Correction> {
        self.object.iter().find(|c| c.norad_id == norad_id)
    }

    /// Puts one in the place of the object's last.
    pub fn set(&mut self, correction: Correction) {
        self.object.retain(|c| c.norad_id != correction.norad_id);
        self.object.push(correction);
        self.object.sort_by_key(|c| c.norad_id);
    }

    /// The file's text.
    pub fn to_toml(&self) -> String {
        let mut text = String::from("# Written by `tulpar identify --save`.\n");
        for c in &self.object {
            text.push_str(&format!(
                "\n[[object]]\nnorad_id = {}\nbias_ppm = {:.4}\nlate_s = {:.3}\n\
                 elements_epoch = {}\nmeasured = {}\n",
                c.norad_id, c.bias_ppm, c.late_s, c.elements_epoch, c.measured
            ));
        }
        text
    }
}

/// A prediction with a correction applied.
pub struct Corrected {
    prediction: Arc<dyn Prediction>,
    bias_hz: f64,
    late_s: f64,
}

impl Corrected {
    /// Applies what was learnt to the prediction of a carrier by elements of this epoch.
    pub fn new(
        prediction: Arc<dyn Prediction>,
        correction: &Correction,
        carrier_hz: f64,
        elements_epoch: Timestamp,
    ) -> Self {
        let apart_s = super::seconds_between(correction.elements_epoch, elements_epoch).abs();
        let late_s = if apart_s < SAME_EPOCH_S { correction.late_s } else { 0.0 };
        Self { prediction, bias_hz: 1e-6 * correction.bias_ppm * carrier_hz, late_s }
    }
}

impl Prediction for Corrected {
    fn shift_hz(&self, time: Timestamp) -> Option<f64> {
        Some(self.prediction.shift_hz(after(time, -self.late_s))? + self.bias_hz)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::doppler::refine::tests::{Flyby, time};

    fn correction() -> Correction {
        Correction {
            norad_id: 44406,
            bias_ppm: -2.0,
            late_s: 1.5,
            elements_epoch: time(0.0),
            measured: time(60.0),
        }
    }

    #[test]
    fn a_file_holds_what_was_set() {
        let mut corrections = Corrections::default();
        corrections.set(Correction { norad_id: 7, ..correction() });
        corrections.set(Correction { late_s: 9.0, ..correction() });
        corrections.set(correction());
        let read = Corrections::parse("c.toml", &corrections.to_toml()).unwrap();
        assert_eq!(read, corrections);
        assert_eq!(read.object.len(), 2);
        assert_eq!(read.of(44406), Some(&correction()));
        assert_eq!(read.of(1), None);
        assert_eq!(Corrections::parse("c.toml", "").unwrap(), Corrections::default());
        let error = Corrections::parse("c.toml", "\n[[object]]\nnorad = 5\n").unwrap_err();
        assert!(error.subject.starts_with("c.toml:"), "{error}");
    }

    #[test]
    fn time_belongs_to_its_elements_and_the_bias_to_the_carrier() {
        let corrected = |epoch| Corrected::new(Arc::new(Flyby), &correction(), 437.5e6, epoch);
        let shift = corrected(time(0.0)).shift_hz(time(20.0)).unwrap();
        assert!((shift - (Flyby::at(18.5) - 875.0)).abs() < 1e-6);
        let newer = corrected(time(5000.0)).shift_hz(time(20.0)).unwrap();
        assert!((newer - (Flyby::at(20.0) - 875.0)).abs() < 1e-6);
    }

    proptest! {
        #[test]
        fn garbage(text in "\\PC{0,200}") {
            let _ = Corrections::parse("x", &text);
        }
    }
}
