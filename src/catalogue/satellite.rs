//! A satellite and its downlinks: the schema of `flowgraphs/satellites/*.toml`.
//!
//! ```toml
//! name = "AALTO-1"                      # required
//! alternative_names = ["OH2AGS"]
//! norad_id = 42775
//! note = "anything worth knowing"
//!
//! [[downlink]]                          # one or more
//! label = "9k6 FSK AX.25 downlink"      # required, unique within the satellite
//! frequency_hz = 437_216_000            # required
//! modulation = "FSK"                    # required: a name of `tulpar modes`
//! symbol_rate_bd = 9600                 # required
//! deviation_hz = 3000
//! framing = "AX.25 G3RUH"               # required: a name of `tulpar modes`
//! options = { }                         # of the framing
//! data = "AX.25 telemetry"
//! ```
//!
//! Keys, types and ranges are checked when a file is read; whether modulation and framing exist,
//! and take these options, when a downlink is used ([`Downlink::mode`]). So a downlink of a
//! framing that is still to be written keeps its place in the catalogue.

use std::fmt;
use std::sync::Arc;

use super::document::{Document, Section};
use super::names;
use crate::error::RequestError;
use crate::frame::Origin;
use crate::framing::{self, Framing, Options};
use crate::modulation::{self, Parameters};

/// Keys of a satellite.
const SATELLITE_KEYS: &[&str] =
    &["name", "alternative_names", "norad_id", "note", "telemetry_servers", "downlink"];

/// Keys of a downlink.
pub(super) const DOWNLINK_KEYS: &[&str] = &[
    "label",
    "frequency_hz",
    "modulation",
    "symbol_rate_bd",
    "deviation_hz",
    "audio_carrier_hz",
    "fm_deviation_hz",
    "bt",
    "roll_off",
    "framing",
    "options",
    "data",
];

/// A satellite.
#[derive(Debug, Clone, PartialEq)]
pub struct Satellite {
    /// Its name; no two entries of a catalogue share one.
    pub name: String,
    /// Further names: call signs, names of the launch, OSCAR numbers.
    pub alternative_names: Vec<String>,
    /// NORAD catalogue number, once it has one.
    pub norad_id: Option<u32>,
    /// Anything worth knowing.
    pub note: Option<String>,
    /// Where the operators would like to receive frames.
    pub telemetry_servers: Vec<String>,
    /// Its transmitters, at least one.
    pub downlinks: Vec<Downlink>,
    file: String,
    text: Arc<str>,
}

/// One mode of one transmitter.
#[derive(Debug, Clone, PartialEq)]
pub struct Downlink {
    /// Its name within the satellite.
    pub label: String,
    /// Nominal carrier, 1 MHz to 300 GHz.
    pub frequency_hz: f64,
    /// Modulation, as written.
    pub modulation: String,
    /// Symbol rate, 1 to 1e9 Bd.
    pub symbol_rate_bd: f64,
    /// FSK, AFSK: frequency of bit 1 against the centre; negative if bit 1 is the lower tone.
    pub deviation_hz: Option<f64>,
    /// AFSK: centre of the two tones.
    pub audio_carrier_hz: Option<f64>,
    /// AFSK: peak deviation of the FM transmitter that sends the tones.
    pub fm_deviation_hz: Option<f64>,
    /// FSK: bandwidth-time product of the Gaussian filter, infinite for none.
    pub bt: Option<f64>,
    /// PSK: roll-off, 0 for rectangular symbols.
    pub roll_off: Option<f64>,
    /// Framing, as written.
    pub framing: String,
    /// Options of the framing.
    pub options: Options,
    /// What it carries.
    pub data: Option<String>,
}

/// A downlink whose modulation and framing exist and take its options.
pub struct Mode {
    /// The modulation.
    pub modulation: &'static modulation::Descriptor,
    /// Its parameters.
    pub parameters: Parameters,
    /// The framing's descriptor.
    pub framing_descriptor: &'static framing::Descriptor,
    /// The framing, its options settled.
    pub framing: Box<dyn Framing>,
}

impl fmt::Debug for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mode")
            .field("modulation", &self.modulation.name)
            .field("parameters", &self.parameters)
            .field("framing", &self.framing_descriptor.name)
            .finish_non_exhaustive()
    }
}

impl Satellite {
    /// Reads one catalogue file; `file` names it in errors.
    ///
    /// # Errors
    /// The text is not TOML, a key is unknown or missing, a value has the wrong type or range, or
    /// two downlinks share a label. Names file, line and key.
    pub fn from_toml(file: &str, text: &str) -> Result<Self, RequestError> {
        let document = Document::parse(file, text)?;
        let root = document.root(SATELLITE_KEYS)?;
        let name =
            root.string("name")?.ok_or_else(|| root.missing("name", "name = \"MYSAT-1\""))?;
        if names::fold(&name).is_empty() {
            return Err(root.error_at(
                "name",
                format!("name = \"{name}\" has neither letter nor digit"),
                "give the satellite a name that can be typed",
            ));
        }
        let downlinks = downlinks(&root)?;
        if downlinks.is_empty() {
            return Err(root.error(
                "no downlink",
                "add a table [[downlink]] with label, frequency_hz, modulation, \
                 symbol_rate_bd and framing",
            ));
        }
        Ok(Self {
            name,
            alternative_names: root.strings("alternative_names")?,
            norad_id: root.integer("norad_id", 1..=999_999_999)?,
            note: root.string("note")?,
            telemetry_servers: root.strings("telemetry_servers")?,
            downlinks,
            file: file.to_owned(),
            text: text.into(),
        })
    }

    /// The entry as its author wrote it, comments included.
    pub fn to_toml(&self) -> &str {
        &self.text
    }

    /// The file it was read from: a path, or a path within the embedded catalogue.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// Name and alternative names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.name.as_str()).chain(self.alternative_names.iter().map(String::as_str))
    }

    /// The downlink with this label; case, spaces and punctuation do not matter.
    ///
    /// # Errors
    /// Names the labels there are.
    pub fn downlink(&self, label: &str) -> Result<&Downlink, RequestError> {
        let folded = names::fold(label);
        self.downlinks.iter().find(|d| names::fold(&d.label) == folded).ok_or_else(|| {
            RequestError::unknown(
                format!("downlink of {}", self.name),
                label,
                self.downlinks.iter().map(|d| d.label.as_str()),
            )
        })
    }
}

/// The tables `[[downlink]]` of a document.
pub(super) fn downlinks(root: &Section<'_, '_>) -> Result<Vec<Downlink>, RequestError> {
    let mut downlinks: Vec<Downlink> = Vec::new();
    for section in root.tables("downlink", |_| DOWNLINK_KEYS)? {
        let downlink = Downlink::from_section(&section)?;
        let folded = names::fold(&downlink.label);
        if downlinks.iter().any(|d| names::fold(&d.label) == folded) {
            return Err(section.error_at(
                "label",
                format!("label = \"{}\" is taken by a downlink above", downlink.label),
                "give each downlink of a satellite its own label",
            ));
        }
        downlinks.push(downlink);
    }
    Ok(downlinks)
}

impl Downlink {
    fn from_section(section: &Section<'_, '_>) -> Result<Self, RequestError> {
        let text = |key: &str, example: &str| {
            section.string(key)?.ok_or_else(|| section.missing(key, example))
        };
        let deviation_hz = section.number("deviation_hz", -1e9..=1e9, "Hz")?;
        if deviation_hz == Some(0.0) {
            return Err(section.error_at(
                "deviation_hz",
                "deviation_hz is 0",
                "leave it out if it is not known",
            ));
        }
        Ok(Self {
            label: text("label", "label = \"9k6 GMSK downlink\"")?,
            frequency_hz: section
                .number("frequency_hz", 1e6..=3e11, "Hz")?
                .ok_or_else(|| section.missing("frequency_hz", "frequency_hz = 437_500_000"))?,
            modulation: text("modulation", "modulation = \"FSK\"")?,
            symbol_rate_bd: section
                .number("symbol_rate_bd", 1.0..=1e9, "Bd")?
                .ok_or_else(|| section.missing("symbol_rate_bd", "symbol_rate_bd = 9600"))?,
            deviation_hz,
            audio_carrier_hz: section.number("audio_carrier_hz", 1.0..=1e6, "Hz")?,
            fm_deviation_hz: section.number("fm_deviation_hz", 1.0..=1e6, "Hz")?,
            bt: section.number("bt", 0.1..=f64::INFINITY, "(bandwidth × time)")?,
            roll_off: section.number("roll_off", 0.0..=1.0, "(a ratio)")?,
            framing: text("framing", "framing = \"AX.25 G3RUH\"")?,
            options: Options(section.words("options")?),
            data: section.string("data")?,
        })
    }

    /// Parameters for the modulation.
    pub fn parameters(&self) -> Parameters {
        Parameters {
            symbol_rate_bd: self.symbol_rate_bd,
            deviation_hz: self.deviation_hz,
            audio_carrier_hz: self.audio_carrier_hz,
            bt: self.bt,
            roll_off: self.roll_off,
        }
    }

    /// Looks the modulation and the framing up and settles the options.
    ///
    /// # Errors
    /// The modulation or framing is not supported yet (the catalogue knows its name), or is
    /// unknown, or does not take these options.
    pub fn mode(&self) -> Result<Mode, RequestError> {
        let modulation = modulation::find(&self.modulation).map_err(|error| {
            not_yet(
                "modulation",
                self,
                &self.modulation,
                &super::embedded_modulations(),
                modulation::REGISTRY.iter().map(|d| d.name).collect(),
                error,
            )
        })?;
        let framing_descriptor = framing::find(&self.framing).map_err(|error| {
            not_yet(
                "framing",
                self,
                &self.framing,
                &super::embedded_framings(),
                framing::REGISTRY.iter().map(|d| d.name).collect(),
                error,
            )
        })?;
        let framing = framing::build(framing_descriptor.name, &self.options).map_err(|error| {
            RequestError {
                subject: format!("downlink \"{}\": {}", self.label, error.subject),
                ..error
            }
        })?;
        Ok(Mode { modulation, parameters: self.parameters(), framing_descriptor, framing })
    }

    /// What frames of this downlink say of where they came from. The registries' names stand for
    /// modulation and framing where they have them.
    pub fn origin(&self, satellite: Option<&Satellite>) -> Origin {
        Origin {
            satellite: satellite.map(|s| s.name.clone()),
            norad_id: satellite.and_then(|s| s.norad_id),
            downlink: satellite.map(|_| self.label.clone()),
            modulation: modulation::find(&self.modulation)
                .map_or_else(|_| self.modulation.clone(), |d| d.name.to_owned()),
            symbol_rate_bd: self.symbol_rate_bd,
            framing: framing::find(&self.framing)
                .map_or_else(|_| self.framing.clone(), |d| d.name.to_owned()),
        }
    }
}

/// The error for a name that is not in a registry: "not supported yet" if satellites use it,
/// otherwise `unknown`.
fn not_yet(
    what: &str,
    downlink: &Downlink,
    name: &str,
    flying: &[&str],
    supported: Vec<&str>,
    unknown: RequestError,
) -> RequestError {
    let subject = format!("downlink \"{}\"", downlink.label);
    if flying.iter().any(|f| f.eq_ignore_ascii_case(name.trim())) {
        RequestError::new(
            subject,
            format!("{what} \"{name}\" is not supported yet"),
            format!("supported: {}", supported.join(", ")),
        )
    } else {
        RequestError { subject: format!("{subject}: {what}"), ..unknown }
    }
}
