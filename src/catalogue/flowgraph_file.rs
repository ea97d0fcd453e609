//! A receiver of the user's own, for `--flowgraph FILE`: what to read, what to decode, where the
//! frames go.
//!
//! ```toml
//! satellite = "AALTO-1"                 # of the catalogue, or [[downlink]] tables of one's own
//! downlinks = ["9k6 FSK AX.25 downlink"]  # only these of the satellite; without it, all
//!
//! [input]                               # may be given on the command line instead
//! file = "pass.wav"                     # as after `tulpar replay`
//! format = "ci16"                       # raw files only
//! sample_rate_hz = 48000
//! centre_frequency_hz = 437_216_000
//! start = 2026-08-01T12:00:00Z
//!
//! [radio]                               # for `tulpar receive`; likewise
//! device = "rtl_tcp://192.168.1.20"
//! sample_rate_hz = 250_000
//! frequency_hz = 437_540_000            # chosen beside the downlinks if not given
//! gain = "auto"                         # or dB, as text: "32.8"
//! antenna = "RX2"
//! bandwidth_hz = 200_000
//! ppm = -1.5
//! bias_tee = true
//! clock_source = "external"
//! time_source = "external"
//!
//! [tracking]                            # likewise
//! doppler = "orbit"                     # as after --doppler
//! elements = ["cubesats.tle"]
//! station = "40.41,49.87,28"
//!
//! [recording]                           # likewise, as --record and its kin
//! folder = "recordings"
//! format = "ci16"                       # or "ci8", "cf32"
//! band = "downlink"                     # or "passband"
//! keep = "20GB"                         # or a number of recordings: "50"
//! reserve = "1GB"                       # of the disk stays free
//!
//! [[sink]]                              # any number
//! kind = "udp"
//! target = "127.0.0.1:5000"
//! ```
//!
//! Paths are taken as on the command line, relative to the folder the program runs in.

use std::path::{Path, PathBuf};

use super::Catalogue;
use super::document::{Document, Section};
use super::satellite::{self, Downlink, Satellite};
use crate::error::RequestError;
use crate::recording::{Keep, RecordingSettings, SampleCoding, folder};
use crate::source::InputOptions;
use crate::source::device::{Gain, RadioSettings};

const KEYS: &[&str] =
    &["satellite", "downlinks", "downlink", "input", "radio", "tracking", "recording", "sink"];
const INPUT_KEYS: &[&str] = &["file", "format", "sample_rate_hz", "centre_frequency_hz", "start"];
/// Keys of a radio.
pub(crate) const RADIO_KEYS: &[&str] = &[
    "device",
    "sample_rate_hz",
    "frequency_hz",
    "gain",
    "antenna",
    "bandwidth_hz",
    "ppm",
    "bias_tee",
    "clock_source",
    "time_source",
];
const TRACKING_KEYS: &[&str] = &["doppler", "elements", "station"];
pub(crate) const RECORDING_KEYS: &[&str] = &["folder", "format", "band", "keep", "reserve"];
const BANDS: &[&str] = &["passband", "downlink"];
/// What stays free on the disk if nothing is said.
const RESERVE_BYTES: u64 = 1_000_000_000;
const SINK_KINDS: &[&str] = &["udp", "kiss-file", "jsonl", "text"];

/// A description of a receiver.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct FlowgraphFile {
    /// A satellite of the catalogue. Exactly one of this and [`FlowgraphFile::own_downlinks`] is
    /// given.
    pub satellite: Option<String>,
    /// Labels of the satellite's downlinks; empty for all.
    pub downlinks: Vec<String>,
    /// Downlinks described in the file itself.
    pub own_downlinks: Vec<Downlink>,
    /// The recording, as after `tulpar replay`.
    pub input_file: Option<String>,
    /// What the file says about the recording.
    pub input: InputOptions,
    /// The radio, as after `--device`.
    pub device: Option<String>,
    /// What the file says about the radio.
    pub radio: RadioSettings,
    /// How the Doppler shift is followed.
    pub tracking: TrackingRequest,
    /// What is kept of the samples.
    pub recording: Option<RecordingSettings>,
    /// Where the frames go; none stands for standard output as text.
    pub sinks: Vec<SinkRequest>,
}

/// How the Doppler shift is to be followed, in the words of the command line.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TrackingRequest {
    /// As after `--doppler`.
    pub doppler: Option<String>,
    /// As after `--elements`.
    pub elements: Vec<String>,
    /// As after `--station`.
    pub station: Option<String>,
}

/// Where frames are to go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SinkRequest {
    /// One datagram per frame.
    Udp {
        /// `HOST:PORT`.
        target: String,
    },
    /// Frames in KISS framing.
    KissFile {
        /// The file, created or overwritten.
        path: String,
    },
    /// One JSON object per line.
    JsonLines {
        /// The file; `None` for standard output.
        path: Option<String>,
    },
    /// A readable line and hex dump per frame.
    Text {
        /// The file; `None` for standard output.
        path: Option<String>,
    },
}

impl FlowgraphFile {
    /// Reads a description from a file.
    ///
    /// # Errors
    /// The file is unreadable, or as [`FlowgraphFile::from_toml`].
    pub fn open(path: &Path) -> Result<Self, RequestError> {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|error| {
            RequestError::new(
                &name,
                format!("cannot be read ({error})"),
                "give --flowgraph the path of a TOML file",
            )
        })?;
        Self::from_toml(&name, &text)
    }

    /// Reads a description; `file` names it in errors.
    ///
    /// # Errors
    /// The text is not TOML, a key is unknown or missing, a value has the wrong type or range, or
    /// nothing (or twice) is said about what to decode. Names file, line and key.
    pub fn from_toml(file: &str, text: &str) -> Result<Self, RequestError> {
        let document = Document::parse(file, text)?;
        let root = document.root(KEYS)?;
        let satellite = root.string("satellite")?;
        let downlinks = root.strings("downlinks")?;
        let own_downlinks = satellite::downlinks(&root)?;
        match (&satellite, own_downlinks.is_empty()) {
            (Some(_), false) => {
                return Err(root.error_at(
                    "satellite",
                    "satellite and [[downlink]] are both given",
                    "keep one of them",
                ));
            }
            (None, true) => {
                return Err(root.error(
                    "nothing to decode",
                    "add satellite = \"NAME\" or a table [[downlink]]",
                ));
            }
            (None, false) if !downlinks.is_empty() => {
                return Err(root.error_at(
                    "downlinks",
                    "downlinks without satellite",
                    "downlinks selects those of a satellite of the catalogue: add satellite = \
                     \"NAME\", or leave it out",
                ));
            }
            _ => {}
        }
        let (input_file, input) = match root.table("input", INPUT_KEYS)? {
            Some(section) => input(&section)?,
            None => (None, InputOptions::default()),
        };
        let (device, radio) = match root.table("radio", RADIO_KEYS)? {
            Some(section) => radio(&section)?,
            None => (None, RadioSettings::default()),
        };
        let tracking = match root.table("tracking", TRACKING_KEYS)? {
            Some(section) => TrackingRequest {
                doppler: section.string("doppler")?,
                elements: section.strings("elements")?,
                station: section.string("station")?,
            },
            None => TrackingRequest::default(),
        };
        let recording = root
            .table("recording", RECORDING_KEYS)?
            .map(|section| recording(&section, |path| PathBuf::from(path)))
            .transpose()?;
        let sinks =
            root.tables("sink", sink_keys)?.iter().map(sink).collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            satellite,
            downlinks,
            own_downlinks,
            input_file,
            input,
            device,
            radio,
            tracking,
            recording,
            sinks,
        })
    }

    /// The downlinks that are to be decoded, with their satellite if they are the catalogue's.
    ///
    /// # Errors
    /// The catalogue does not have the satellite, or the satellite not the downlink.
    pub fn resolve<'c>(
        &'c self,
        catalogue: &'c Catalogue,
    ) -> Result<(Option<&'c Satellite>, Vec<&'c Downlink>), RequestError> {
        let Some(name) = &self.satellite else {
            return Ok((None, self.own_downlinks.iter().collect()));
        };
        let satellite = catalogue.find(name)?;
        let downlinks = if self.downlinks.is_empty() {
            satellite.downlinks.iter().collect()
        } else {
            self.downlinks
                .iter()
                .map(|label| satellite.downlink(label))
                .collect::<Result<Vec<_>, _>>()?
        };
        Ok((Some(satellite), downlinks))
    }
}

fn input(section: &Section<'_, '_>) -> Result<(Option<String>, InputOptions), RequestError> {
    let options = InputOptions {
        format: section.string("format")?,
        sample_rate_hz: section.number("sample_rate_hz", 1.0..=1e10, "Hz")?,
        centre_frequency_hz: section.number("centre_frequency_hz", 0.0..=3e11, "Hz")?,
        start: section.instant("start")?,
    };
    Ok((section.string("file")?, options))
}

/// The device and the settings of a radio's table.
pub(crate) fn radio(
    section: &Section<'_, '_>,
) -> Result<(Option<String>, RadioSettings), RequestError> {
    let gain = match section.string("gain")? {
        Some(text) => Some(text.parse::<Gain>().map_err(|error| {
            section.error_at("gain", format!("gain {}", error.wrong), error.right)
        })?),
        None => None,
    };
    let settings = RadioSettings {
        sample_rate_hz: section.number("sample_rate_hz", 1.0..=1e10, "Hz")?,
        centre_frequency_hz: section.number("frequency_hz", 0.0..=3e11, "Hz")?,
        gain,
        ppm: section.number("ppm", -1e4..=1e4, "ppm")?,
        bandwidth_hz: section.number("bandwidth_hz", 1.0..=1e10, "Hz")?,
        antenna: section.string("antenna")?,
        bias_tee: section.boolean("bias_tee")?,
        clock_source: section.string("clock_source")?,
        time_source: section.string("time_source")?,
        ..RadioSettings::default()
    };
    Ok((section.string("device")?, settings))
}

/// Keys of a sink of this kind.
pub(crate) fn sink_keys(kind: Option<&str>) -> &'static [&'static str] {
    match kind {
        Some("udp") => &["kind", "target"],
        Some("kiss-file" | "jsonl" | "text") => &["kind", "path"],
        // Unknown or missing kinds are the first thing to say.
        _ => &["kind", "target", "path"],
    }
}

/// A sink of any kind.
pub(crate) fn sink(section: &Section<'_, '_>) -> Result<SinkRequest, RequestError> {
    let kind = section.string("kind")?.ok_or_else(|| section.missing("kind", "kind = \"udp\""))?;
    match kind.as_str() {
        "udp" => {
            let right = "target = \"127.0.0.1:5000\"";
            let target =
                section.string("target")?.ok_or_else(|| section.missing("target", right))?;
            let port = target.rsplit_once(':').map(|(host, port)| (host, port.parse::<u16>()));
            if !matches!(port, Some((host, Ok(1..))) if !host.is_empty()) {
                return Err(section.error_at(
                    "target",
                    format!("target = \"{target}\" is not HOST:PORT"),
                    format!("write it like {right}"),
                ));
            }
            Ok(SinkRequest::Udp { target })
        }
        "kiss-file" => Ok(SinkRequest::KissFile {
            path: section
                .string("path")?
                .ok_or_else(|| section.missing("path", "path = \"frames.kiss\""))?,
        }),
        "jsonl" => Ok(SinkRequest::JsonLines { path: section.string("path")? }),
        "text" => Ok(SinkRequest::Text { path: section.string("path")? }),
        other => {
            let error = RequestError::unknown("kind", other, SINK_KINDS.iter().copied());
            Err(section.error_at("kind", format!("kind {}", error.wrong), error.right))
        }
    }
}

/// Reads a table `[recording]`; `place` makes its folder a path.
pub(crate) fn recording(
    section: &Section<'_, '_>,
    place: impl Fn(&str) -> PathBuf,
) -> Result<RecordingSettings, RequestError> {
    let wrong = |key: &str, error: RequestError| {
        section.error_at(key, format!("{key} {}", error.wrong), error.right)
    };
    let path = section
        .string("folder")?
        .ok_or_else(|| section.missing("folder", "folder = \"recordings\""))?;
    let coding = match section.string("format")? {
        Some(word) => word.parse().map_err(|error| wrong("format", error))?,
        None => SampleCoding::Ci16,
    };
    let band = section.string("band")?;
    if let Some(word) = band.as_deref().filter(|word| !BANDS.contains(word)) {
        return Err(wrong("band", RequestError::unknown("band", word, BANDS.iter().copied())));
    }
    let keep = section.string("keep")?.map(|text| text.parse::<Keep>()).transpose();
    let keep_free_bytes = match section.string("reserve")? {
        Some(text) => folder::bytes("reserve", &text).map_err(|error| wrong("reserve", error))?,
        None => RESERVE_BYTES,
    };
    Ok(RecordingSettings {
        folder: place(&path),
        coding,
        downlink_only: band.as_deref() == Some("downlink"),
        keep: keep.map_err(|error| wrong("keep", error))?,
        keep_free_bytes,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use super::*;

    const EXAMPLE: &str =
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/flowgraphs/replay-to-udp.toml"));

    fn error(text: &str) -> String {
        FlowgraphFile::from_toml("mine.toml", text).unwrap_err().to_string()
    }

    #[test]
    fn what_is_kept_of_the_samples() {
        let own = "satellite = \"AALTO-1\"\n";
        let read = |text: &str| FlowgraphFile::from_toml("r.toml", &format!("{own}{text}"));
        assert_eq!(read("").unwrap().recording, None);
        let kept = read("[recording]\nfolder = \"r\"\nband = \"downlink\"").unwrap();
        let kept = kept.recording.unwrap();
        assert_eq!(kept.folder, PathBuf::from("r"));
        assert!(kept.downlink_only && kept.keep.is_none());
        let error = read("[recording]\nfolder = \"r\"\nkept = \"1\"").unwrap_err().to_string();
        assert!(error.starts_with("r.toml:4: key \"kept\" is unknown"), "{error}");
    }

    #[test]
    fn the_example_is_understood() {
        let file = FlowgraphFile::from_toml("replay-to-udp.toml", EXAMPLE).unwrap();
        let catalogue = Catalogue::embedded().unwrap();
        let (satellite, downlinks) = file.resolve(&catalogue).unwrap();
        assert_eq!(satellite.unwrap().norad_id, Some(42775));
        assert_eq!(downlinks.len(), 1);
        assert_eq!(file.input_file.as_deref(), Some("pass.raw"));
        assert_eq!(file.input.format.as_deref(), Some("ci16"));
        assert_eq!(file.input.sample_rate_hz, Some(48_000.0));
        assert_eq!(file.input.centre_frequency_hz, Some(437_216_000.0));
        assert_eq!(file.input.start, Some("2026-08-01T12:00:00Z".parse().unwrap()));
        assert_eq!(
            file.sinks,
            [
                SinkRequest::Udp { target: "127.0.0.1:5000".into() },
                SinkRequest::JsonLines { path: Some("frames.jsonl".into()) },
            ]
        );
        // What is commented out is right as well.
        let own: String = EXAMPLE
            .lines()
            .filter(|l| !l.starts_with("satellite") && !l.starts_with("downlinks"))
            .map(|l| {
                l.strip_prefix("# ")
                    .filter(|l| l.contains(" = ") || l.starts_with('['))
                    .unwrap_or(l)
            })
            .filter(|l| !l.starts_with("Instead"))
            .map(|l| format!("{l}\n"))
            .collect();
        let file = FlowgraphFile::from_toml("own.toml", &own).unwrap();
        assert_eq!(file.own_downlinks[0].label, "my beacon");
        assert_eq!(file.sinks.len(), 3);
        assert!(file.resolve(&catalogue).unwrap().0.is_none());
    }

    #[test]
    fn the_receivers_to_copy_are_understood() {
        let catalogue = Catalogue::embedded().unwrap();
        for (name, text) in [
            ("rtl-sdr-uhf.toml", include_str!("../../flowgraphs/rtl-sdr-uhf.toml")),
            ("usrp-s-band.toml", include_str!("../../flowgraphs/usrp-s-band.toml")),
            (
                "rtl-tcp-at-the-antenna.toml",
                include_str!("../../flowgraphs/rtl-tcp-at-the-antenna.toml"),
            ),
        ] {
            let file = FlowgraphFile::from_toml(name, text).unwrap();
            assert!(!file.resolve(&catalogue).unwrap().1.is_empty(), "{name}");
            let device = file.device.unwrap();
            assert!(crate::source::device::DeviceUri::parse(&device).is_ok(), "{name}");
            assert!(file.radio.sample_rate_hz.is_some() && file.radio.gain.is_some(), "{name}");
        }
    }

    #[test]
    fn mistakes_are_named() {
        let cases = [
            ("", "mine.toml:1: nothing to decode"),
            ("satelite = \"A\"", "did you mean \"satellite\"?"),
            ("downlinks = [\"x\"]", "nothing to decode"),
            ("satellite = \"A\"\n[[downlink]]", "mine.toml:2: label is missing"),
            ("satellite = \"A\"\n[input]\nrate = 5", "mine.toml:3: key \"rate\" is unknown"),
            ("satellite = \"A\"\n[input]\nstart = \"noon\"", "start = noon is no instant"),
            ("satellite = \"A\"\n[input]\nstart = 2026-08-01", "is no instant"),
            ("satellite = \"A\"\n[input]\nstart = 5", "start is an integer"),
            ("satellite = \"A\"\n[radio]\nrate = 5", "key \"rate\" is unknown"),
            ("satellite = \"A\"\n[radio]\ngain = \"loud\"", "gain \"loud\" is no gain"),
            ("satellite = \"A\"\n[radio]\nbias_tee = 1", "bias_tee is an integer"),
            ("satellite = \"A\"\n[tracking]\ndopler = 5", "did you mean \"doppler\"?"),
            ("satellite = \"A\"\n[tracking]\nstation = 5", "station is an integer"),
            ("satellite = \"A\"\n[[sink]]", "kind is missing"),
            ("satellite = \"A\"\n[[sink]]\nkind = \"upd\"", "did you mean \"udp\"?"),
            ("satellite = \"A\"\n[[sink]]\nkind = \"udp\"", "target is missing"),
            ("satellite = \"A\"\n[[sink]]\nkind = \"udp\"\npath = \"x\"", "accepted: kind, target"),
            ("satellite = \"A\"\n[[sink]]\nkind = \"udp\"\ntarget = \"x\"", "not HOST:PORT"),
            ("satellite = \"A\"\n[[sink]]\nkind = \"udp\"\ntarget = \":1\"", "not HOST:PORT"),
            ("satellite = \"A\"\n[[sink]]\nkind = \"udp\"\ntarget = \"x:0\"", "not HOST:PORT"),
            ("satellite = \"A\"\n[[sink]]\nkind = \"kiss-file\"", "path is missing"),
            ("satellite = \"A\"\nsink = \"udp\"", "a list of tables, each under [[sink]]"),
        ];
        for (text, expected) in cases {
            let error = error(text);
            assert!(error.contains(expected), "{text}: {error}");
            assert!(error.starts_with("mine.toml:") && error.lines().count() == 1, "{error}");
        }
        let both = "satellite = \"A\"\n[[downlink]]\nlabel = \"l\"\nfrequency_hz = 1e8\n\
                    modulation = \"FSK\"\nsymbol_rate_bd = 1\nframing = \"F\"\n";
        assert!(error(both).contains("both given"));
        let own = both.replacen("satellite = \"A\"", "downlinks = [\"l\"]", 1);
        assert!(error(&own).contains("downlinks without satellite"));
        let missing = FlowgraphFile::open(Path::new("/nowhere/x.toml")).unwrap_err();
        assert!(missing.to_string().contains("cannot be read"));
        let catalogue = Catalogue::embedded().unwrap();
        let unknown = FlowgraphFile::from_toml("x", "satellite = \"no such one\"").unwrap();
        assert!(unknown.resolve(&catalogue).is_err());
    }
}
