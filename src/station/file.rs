//! `station.toml`: what a station receives unattended, and with what.
//!
//! ```toml
//! place = "40.41,49.87,28"              # LAT,LON,ALT_M, or a locator such as "LN40wj"
//! elements = ["cubesats.tle", "https://celestrak.org/NORAD/elements/gp.php?GROUP=cubesat&FORMAT=json"]
//! passes = "passes"                     # folder of what is written about each pass
//! horizon_deg = 0                       # reception begins and ends at this elevation
//! min_elevation_deg = 5                 # passes that culminate lower are left out
//! effort = "full"                       # as after --effort
//!
//! [[radio]]                             # one or more; the keys of [radio] in a receiver's file, and
//! name = "uhf"
//! device = "soapy:driver=rtlsdr"
//! gain = "32.8"
//! lowest_hz = 430_000_000               # the band that antenna and filters are for
//! highest_hz = 440_000_000
//!
//! [[satellite]]                         # one or more
//! name = "AALTO-1"                      # of the catalogue: name or NORAD number
//! priority = 10                         # 0 to 1000, higher goes first; 0 if not given
//! downlinks = ["9k6 FSK AX.25 downlink"]  # only these
//! min_elevation_deg = 10                # this and the following in place of those above
//! effort = "doubtful"
//! radios = ["uhf"]                      # only these
//! [[satellite.sink]]                    # beside those of all satellites
//! kind = "udp"
//! target = "127.0.0.1:5000"
//!
//! [recording]                           # as --record and its kin
//! folder = "recordings"
//! format = "ci16"
//! band = "downlink"                     # or "passband"
//! keep = "20GB"
//! reserve = "1GB"
//!
//! [[sink]]                              # frames of all satellites; files are appended to
//! kind = "jsonl"
//! path = "frames.jsonl"
//! ```
//!
//! Paths are relative to the file.

use std::path::{Path, PathBuf};

use crate::catalogue::document::{Document, Section};
use crate::catalogue::flowgraph_file::{self, SinkRequest};
use crate::catalogue::names;
use crate::doppler::station::Station;
use crate::effort::Effort;
use crate::error::RequestError;
use crate::recording::RecordingSettings;
use crate::source::device::{DeviceUri, RadioSettings};
use crate::source::tuning::USABLE_SHARE;

const KEYS: &[&str] = &[
    "place",
    "elements",
    "passes",
    "horizon_deg",
    "min_elevation_deg",
    "effort",
    "radio",
    "satellite",
    "recording",
    "sink",
];
const SATELLITE_KEYS: &[&str] =
    &["name", "priority", "downlinks", "min_elevation_deg", "effort", "radios", "sink"];
/// Of a radio: its name and band, and the keys of a receiver's file.
const STATION_RADIO_KEYS: &[&str] = &[
    "name",
    "lowest_hz",
    "highest_hz",
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
const EFFORTS: &[(&str, Effort)] =
    &[("one-pass", Effort::OnePass), ("full", Effort::Full), ("doubtful", Effort::Doubtful)];

/// Lowest culmination of a pass that is received, if the file does not say it, degrees.
const MIN_ELEVATION_DEG: f64 = 5.0;

/// A station.
#[derive(Debug, Clone, PartialEq)]
pub struct StationFile {
    /// Where the antenna is, and what is to be said about it; `None`: as the user's configuration
    /// says.
    pub place: Option<(Station, Option<String>)>,
    /// Sources of elements: paths and URLs; none: as the user's configuration says.
    pub elements: Vec<String>,
    /// Folder of what is written about each pass.
    pub passes: PathBuf,
    /// Passes begin and end at this elevation, degrees.
    pub horizon_deg: f64,
    /// At least one.
    pub radios: Vec<RadioRequest>,
    /// At least one.
    pub satellites: Vec<SatelliteRequest>,
    /// Samples to disk.
    pub recording: Option<RecordingSettings>,
    /// Frames of all satellites.
    pub sinks: Vec<SinkRequest>,
}

/// A radio of the station.
#[derive(Debug, Clone, PartialEq)]
pub struct RadioRequest {
    /// Its name, unique within the file.
    pub name: String,
    /// Which device.
    pub device: DeviceUri,
    /// How it is set up.
    pub settings: RadioSettings,
    /// Lowest frequency that it is for.
    pub lowest_hz: f64,
    /// Highest frequency that it is for.
    pub highest_hz: f64,
}

/// A satellite to be received.
#[derive(Debug, Clone, PartialEq)]
pub struct SatelliteRequest {
    /// Name or NORAD number in the catalogue.
    pub name: String,
    /// Higher goes first.
    pub priority: u32,
    /// Labels of its downlinks; empty for all.
    pub downlinks: Vec<String>,
    /// Passes that culminate lower are left out, degrees.
    pub min_elevation_deg: f64,
    /// How far to go for a frame.
    pub effort: Effort,
    /// Which radios may receive it: indices into [`StationFile::radios`], the preferred one first.
    pub radios: Vec<usize>,
    /// Its frames, besides those that all frames go to.
    pub sinks: Vec<SinkRequest>,
}

impl RadioRequest {
    /// Whether a downlink with all that it occupies lies in the band that the radio is for, and, if
    /// its tuning is fixed, in what it receives.
    pub fn reaches(&self, frequency_hz: f64, width_hz: f64) -> bool {
        let (low, high) = (frequency_hz - width_hz / 2.0, frequency_hz + width_hz / 2.0);
        let tuned = match (self.fixed_centre_hz(), self.fixed_rate_hz()) {
            (Some(centre_hz), Some(rate_hz)) => {
                let half_hz = 0.5 * USABLE_SHARE * rate_hz;
                low >= centre_hz - half_hz && high <= centre_hz + half_hz
            }
            _ => true,
        };
        frequency_hz >= self.lowest_hz && frequency_hz <= self.highest_hz && tuned
    }

    fn stream(&self) -> Option<&crate::source::device::StreamUri> {
        match &self.device {
            DeviceUri::Udp(stream) | DeviceUri::Tcp(stream) => Some(stream),
            DeviceUri::RtlTcp { .. } | DeviceUri::Soapy { .. } => None,
        }
    }

    fn fixed_centre_hz(&self) -> Option<f64> {
        let said = self.settings.centre_frequency_hz;
        said.or(self.stream().and_then(|stream| stream.centre_frequency_hz))
    }

    fn fixed_rate_hz(&self) -> Option<f64> {
        let said = self.settings.sample_rate_hz;
        said.or(self.stream().and_then(|stream| stream.sample_rate_hz))
    }
}

impl StationFile {
    /// Reads a station's file.
    ///
    /// # Errors
    /// It is unreadable, or as [`StationFile::from_toml`].
    pub fn open(path: &Path) -> Result<Self, RequestError> {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|error| {
            let wrong = format!("cannot be read ({error})");
            RequestError::new(&name, wrong, "name the TOML file that describes the station")
        })?;
        Self::from_toml(&name, path.parent().unwrap_or(Path::new("")), &text)
    }

    /// Reads the TOML of `file`, whose name is for errors; paths in it are relative to `folder`.
    ///
    /// # Errors
    /// The text is not TOML, a key is unknown or missing, or a value is wrong: said with file and
    /// line.
    pub fn from_toml(file: &str, folder: &Path, text: &str) -> Result<Self, RequestError> {
        let document = Document::parse(file, text)?;
        let root = document.root(KEYS)?;
        let place = |text: String| {
            let place = Station::parse("place", &text);
            place.map_err(|e| root.error_at("place", format!("place: {}", e.wrong), e.right))
        };
        let radios = radios(&root)?;
        if radios.is_empty() {
            let right = "add a table [[radio]] with name and device";
            return Err(root.error("no radio", right));
        }
        let defaults = Defaults {
            min_elevation_deg: min_elevation(&root)?.unwrap_or(MIN_ELEVATION_DEG),
            effort: effort(&root)?.unwrap_or_default(),
        };
        let satellites = satellites(&root, &radios, &defaults, folder)?;
        if satellites.is_empty() {
            let right = "add a table [[satellite]] with its name";
            return Err(root.error("no satellite", right));
        }
        let elements = root.strings("elements")?.into_iter();
        let passes = root.string("passes")?.unwrap_or_else(|| "passes".to_owned());
        Ok(Self {
            place: root.string("place")?.map(place).transpose()?,
            elements: elements
                .map(|source| match source.contains("://") {
                    true => source,
                    false => beside(folder, &source).display().to_string(),
                })
                .collect(),
            passes: beside(folder, &passes),
            horizon_deg: root.number("horizon_deg", -10.0..=89.0, "degrees")?.unwrap_or(0.0),
            radios,
            satellites,
            recording: root
                .table("recording", flowgraph_file::RECORDING_KEYS)?
                .map(|section| flowgraph_file::recording(&section, |path| beside(folder, path)))
                .transpose()?,
            sinks: sinks(&root, folder)?,
        })
    }
}

/// What satellites have where they say nothing.
struct Defaults {
    min_elevation_deg: f64,
    effort: Effort,
}

/// A path as it is written in a file of `folder`.
fn beside(folder: &Path, path: &str) -> PathBuf {
    match (path.strip_prefix("~/"), dirs::home_dir()) {
        (Some(rest), Some(home)) => home.join(rest),
        _ => folder.join(path),
    }
}

fn min_elevation(section: &Section<'_, '_>) -> Result<Option<f64>, RequestError> {
    section.number("min_elevation_deg", -10.0..=90.0, "degrees")
}

fn effort(section: &Section<'_, '_>) -> Result<Option<Effort>, RequestError> {
    let Some(word) = section.string("effort")? else { return Ok(None) };
    match EFFORTS.iter().find(|(name, _)| *name == word) {
        Some((_, effort)) => Ok(Some(*effort)),
        None => {
            let names = EFFORTS.iter().map(|(name, _)| *name);
            let error = RequestError::unknown("effort", &word, names);
            Err(section.error_at("effort", format!("effort {}", error.wrong), error.right))
        }
    }
}

fn sinks(section: &Section<'_, '_>, folder: &Path) -> Result<Vec<SinkRequest>, RequestError> {
    let beside = |path: &str| beside(folder, path).display().to_string();
    let sections = section.tables("sink", flowgraph_file::sink_keys)?;
    let sinks = sections.iter().map(|section| {
        Ok(match flowgraph_file::sink(section)? {
            udp @ SinkRequest::Udp { .. } => udp,
            SinkRequest::KissFile { path } => SinkRequest::KissFile { path: beside(&path) },
            SinkRequest::JsonLines { path } => {
                SinkRequest::JsonLines { path: path.as_deref().map(beside) }
            }
            SinkRequest::Text { path } => SinkRequest::Text { path: path.as_deref().map(beside) },
        })
    });
    sinks.collect()
}

fn radios(root: &Section<'_, '_>) -> Result<Vec<RadioRequest>, RequestError> {
    let mut radios: Vec<RadioRequest> = Vec::new();
    for section in root.tables("radio", |_| STATION_RADIO_KEYS)? {
        let (device, settings) = flowgraph_file::radio(&section)?;
        let device =
            device.ok_or_else(|| section.missing("device", "device = \"soapy:driver=rtlsdr\""))?;
        let name = section.string("name")?.unwrap_or_else(|| device.clone());
        if radios.iter().any(|radio| names::fold(&radio.name) == names::fold(&name)) {
            let wrong = format!("name = \"{name}\" is taken by a radio above");
            return Err(section.error_at("name", wrong, "give each radio its own name"));
        }
        let device = DeviceUri::parse(&device).map_err(|error| {
            section.error_at(
                "device",
                format!("device {}: {}", error.subject, error.wrong),
                error.right,
            )
        })?;
        let lowest_hz = section.number("lowest_hz", 0.0..=3e11, "Hz")?.unwrap_or(0.0);
        let highest_hz = section.number("highest_hz", 0.0..=3e11, "Hz")?.unwrap_or(f64::INFINITY);
        if lowest_hz >= highest_hz {
            let wrong = format!("lowest_hz = {lowest_hz} is not below highest_hz = {highest_hz}");
            return Err(section.error_at("lowest_hz", wrong, "swap them"));
        }
        let radio = RadioRequest { name, device, settings, lowest_hz, highest_hz };
        if radio.stream().is_some() && radio.fixed_centre_hz().is_none() {
            let right = "a stream does not say its frequency: add frequency_hz = 437_500_000";
            return Err(section.error("frequency_hz is missing", right));
        }
        radios.push(radio);
    }
    Ok(radios)
}

fn satellites(
    root: &Section<'_, '_>,
    radios: &[RadioRequest],
    defaults: &Defaults,
    folder: &Path,
) -> Result<Vec<SatelliteRequest>, RequestError> {
    let mut satellites: Vec<SatelliteRequest> = Vec::new();
    for section in root.tables("satellite", |_| SATELLITE_KEYS)? {
        let name =
            section.string("name")?.ok_or_else(|| section.missing("name", "name = \"AALTO-1\""))?;
        if satellites.iter().any(|other| names::fold(&other.name) == names::fold(&name)) {
            let wrong = format!("name = \"{name}\" is that of a satellite above");
            return Err(section.error_at("name", wrong, "name each satellite once"));
        }
        let chosen = section.strings("radios")?;
        let chosen = chosen.iter().map(|wanted| {
            let folded = names::fold(wanted);
            radios.iter().position(|radio| names::fold(&radio.name) == folded).ok_or_else(|| {
                let known = radios.iter().map(|radio| radio.name.as_str());
                let error = RequestError::unknown("radios", wanted, known);
                section.error_at("radios", format!("radio {}", error.wrong), error.right)
            })
        });
        let chosen = chosen.collect::<Result<Vec<_>, _>>()?;
        satellites.push(SatelliteRequest {
            name,
            priority: section.integer("priority", 0..=1000)?.unwrap_or(0),
            downlinks: section.strings("downlinks")?,
            min_elevation_deg: min_elevation(&section)?.unwrap_or(defaults.min_elevation_deg),
            effort: effort(&section)?.unwrap_or(defaults.effort),
            radios: if chosen.is_empty() { (0..radios.len()).collect() } else { chosen },
            sinks: sinks(&section, folder)?,
        });
    }
    Ok(satellites)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::catalogue::flowgraph_file::RADIO_KEYS;

    const LEAST: &str = "[[radio]]\ndevice = \"rtl_tcp://a\"\n[[satellite]]\nname = \"AALTO-1\"\n";

    fn read(text: &str) -> Result<StationFile, RequestError> {
        StationFile::from_toml("s.toml", Path::new("/there"), text)
    }

    #[test]
    fn the_file_to_copy_is_understood() {
        let text = include_str!("../../flowgraphs/station/station.toml");
        // What is commented out is right as well.
        let all: String = text
            .lines()
            .map(|line| match line.strip_prefix("# ") {
                Some(rest) if rest.starts_with('[') || rest.contains(" = ") => format!("{rest}\n"),
                _ => format!("{line}\n"),
            })
            .collect();
        for text in [text, &all] {
            let file = read(text).unwrap();
            let catalogue = crate::catalogue::Catalogue::embedded().unwrap();
            for satellite in &file.satellites {
                let entry = catalogue.find(&satellite.name).unwrap();
                for label in &satellite.downlinks {
                    entry.downlink(label).unwrap();
                }
            }
            assert!(file.place.is_some() && file.recording.is_some());
            assert_eq!(file.passes, Path::new("/there/passes"));
        }
    }

    #[test]
    fn the_least_that_makes_a_station() {
        let file = read(LEAST).unwrap();
        assert_eq!(file.radios[0].name, "rtl_tcp://a");
        let satellite = &file.satellites[0];
        assert_eq!((satellite.priority, satellite.min_elevation_deg), (0, 5.0));
        assert_eq!((&satellite.radios[..], satellite.effort), (&[0][..], Effort::Full));
        assert!(file.radios[0].reaches(437e6, 50e3) && file.recording.is_none());
        assert!(RADIO_KEYS.iter().all(|key| STATION_RADIO_KEYS.contains(key)));
    }

    #[test]
    fn a_radio_reaches_its_band_and_what_it_is_tuned_to() {
        let file = read(&format!(
            "{LEAST}[[radio]]\nname = \"u\"\ndevice = \"rtl_tcp://b\"\nlowest_hz = 430e6\n\
             highest_hz = 440e6\n[[radio]]\ndevice = \"udp://:5?format=cs16&rate=100000\"\n\
             frequency_hz = 437.5e6\n"
        ));
        let radios = file.unwrap().radios;
        assert!(radios[1].reaches(437e6, 50e3) && !radios[1].reaches(145.9e6, 20e3));
        assert!(radios[2].reaches(437.51e6, 50e3) && !radios[2].reaches(437.53e6, 50e3));
    }

    #[test]
    fn mistakes_are_said_with_their_line() {
        for (text, says) in [
            ("", "s.toml:1: no radio; add"),
            ("[[radio]]\ndevice = \"rtl_tcp://a\"", "s.toml:1: no satellite; add"),
            ("plase = 1", "s.toml:1: key \"plase\" is unknown; did you mean \"place\"?"),
            ("[[radio]]\ngain = \"5\"", "s.toml:1: device is missing"),
            ("[[radio]]\ndevice = \"rtltcp://a\"", "s.toml:2: device rtltcp://a: \"rtltcp\" is"),
            ("[[radio]]\ndevice = \"udp://:5?format=cs16&rate=5\"", "frequency_hz is missing"),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains(says), "{error}\nshould say {says}");
        }
        for (more, says) in [
            ("[[satellite]]\nnam = \"x\"", "s.toml:6: key \"nam\" is unknown; did you mean"),
            ("[[satellite]]\nname = \"aalto 1\"", "s.toml:6: name = \"aalto 1\" is that of"),
            ("radios = [\"vhf\"]", "s.toml:5: radio \"vhf\" is unknown"),
            ("effort = \"max\"", "s.toml:5: effort \"max\" is unknown; accepted: one-pass"),
            ("priority = -1", "s.toml:5: priority = -1 is out of range; accepted: 0 to 1000"),
            ("[[radio]]\ndevice = \"rtl_tcp://a\"", "is taken by a radio above"),
            ("[recording]\nformat = \"ci16\"", "s.toml:5: folder is missing"),
            ("[recording]\nfolder = \"r\"\nkeep = \"0\"", "s.toml:7: keep \"0\" keeps nothing"),
            ("[recording]\nfolder = \"r\"\nband = \"all\"", "s.toml:7: band \"all\" is unknown"),
            ("[recording]\nfolder = \"r\"\nreserve = \"5\"", "s.toml:7: reserve \"5\" is no"),
            ("[[sink]]\nkind = \"upd\"", "s.toml:6: kind \"upd\" is unknown; did you mean"),
        ] {
            let error = read(&format!("{LEAST}{more}")).unwrap_err().to_string();
            assert!(error.contains(says), "{error}\nshould say {says}");
        }
    }

    proptest! {
        #[test]
        fn garbage_does_no_harm(text in "[\\[\\]a-z_= \"\\n0-9.#,:/-]{0,200}") {
            let _ = read(&text);
            let _ = read(&format!("{LEAST}{text}"));
        }
    }
}
