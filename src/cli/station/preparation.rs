//! Everything that can be checked before the first pass: satellites, radios, elements, folders.

use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use tulpar::RequestError;
use tulpar::catalogue::flowgraph_file::SinkRequest;
use tulpar::catalogue::{Catalogue, Satellite};
use tulpar::doppler::elements::Store;
use tulpar::doppler::orbit::Orbit;
use tulpar::doppler::station::Station;
use tulpar::receiver::Downlink;
use tulpar::recording::{Folder, Room};
use tulpar::runtime::Status;
use tulpar::source::device::{self, OpenError, RadioSettings};
use tulpar::station::{RadioRequest, Request, SatelliteRequest, StationFile};

use super::{folders, sinks};
use crate::cli::decode::Decoding;
use crate::cli::reception;
use crate::cli::sky::{self, SkyArguments};

/// What a rehearsal leaves is kept here, in the folder for passes.
const REHEARSAL: &str = "rehearsal";

/// A station whose file makes sense.
pub struct Prepared {
    /// The file.
    pub file: StationFile,
    /// Its name.
    pub name: String,
    /// Where the antenna is.
    pub place: Station,
    /// In the order of the file.
    pub satellites: Vec<PreparedSatellite>,
    /// What the user should know, one line each.
    pub notes: Vec<String>,
    /// What each radio is doing, in the order of the file.
    pub statuses: Vec<Arc<Status>>,
    catalogue: Catalogue,
    sky: SkyArguments,
}

/// A satellite that can be received.
pub struct PreparedSatellite {
    /// As the file has it.
    pub request: SatelliteRequest,
    /// The catalogue's entry.
    pub entry: Satellite,
    /// Radios that can receive it, and how they are set up then; the preferred one first.
    pub radios: Vec<(usize, RadioSettings)>,
}

impl PreparedSatellite {
    /// How a radio is set up for it.
    pub fn settings(&self, radio: usize) -> Option<&RadioSettings> {
        self.radios.iter().find(|(index, _)| *index == radio).map(|(_, settings)| settings)
    }
}

impl Prepared {
    /// Reads the file and looks everything up in the catalogue; opens nothing.
    ///
    /// # Errors
    /// The file is wrong, or asks for what there is not.
    pub fn open(path: &Path) -> Result<Self, RequestError> {
        let file = StationFile::open(path)?;
        // Each pass reads them anew; what is wrong now is to be mended now.
        sky::corrections()?;
        let name = path.display().to_string();
        let catalogue = Catalogue::load()?;
        let sky = SkyArguments::default().or(&file.elements, None);
        let (place, note) = match &file.place {
            Some(place) => place.clone(),
            None => sky.station_if_any()?.ok_or_else(|| {
                let right = "add the antenna's: place = \"LAT,LON,ALT_M\", or a locator";
                RequestError::new(&name, "place is missing", right)
            })?,
        };
        let mut prepared = Self {
            name,
            place,
            satellites: Vec::new(),
            notes: note.into_iter().collect(),
            statuses: file.radios.iter().map(|_| Arc::default()).collect(),
            catalogue,
            sky,
            file,
        };
        for request in prepared.file.satellites.clone() {
            let satellite = prepared.satellite(request)?;
            let twice = |other: &&PreparedSatellite| other.entry.name == satellite.entry.name;
            if let Some(other) = prepared.satellites.iter().find(twice) {
                return Err(RequestError::new(
                    &prepared.name,
                    format!(
                        "\"{}\" and \"{}\" are both {}",
                        other.request.name, satellite.request.name, satellite.entry.name
                    ),
                    "name each satellite once",
                ));
            }
            prepared.satellites.push(satellite);
        }
        Ok(prepared)
    }

    fn satellite(&mut self, request: SatelliteRequest) -> Result<PreparedSatellite, RequestError> {
        let of_file = |error: RequestError| RequestError {
            subject: format!("{}: {}", self.name, error.subject),
            ..error
        };
        let entry = self.catalogue.find(&request.name).map_err(of_file)?.clone();
        let decoding = Decoding::of_satellite(&self.catalogue, &request.name, &request.downlinks)
            .map_err(of_file)?;
        if self.file.recording.as_ref().is_some_and(|r| r.downlink_only)
            && decoding.downlinks.len() != 1
        {
            return Err(RequestError::new(
                format!("{}: [recording]", self.name),
                format!(
                    "band = \"downlink\", but {} has {} of them",
                    entry.name,
                    decoding.downlinks.len()
                ),
                "choose one with downlinks = [\"LABEL\"], or record the passband",
            ));
        }
        let mut radios = Vec::new();
        let mut refused = None;
        for &index in &request.radios {
            let radio = &self.file.radios[index];
            let within = reached(radio, &decoding.downlinks);
            if within.is_empty() {
                continue;
            }
            match reception::tuned(&radio.device, radio.settings.clone(), &within) {
                Ok(settings) => radios.push((index, settings)),
                Err(error) => refused = Some((radio.name.clone(), error)),
            }
        }
        if radios.is_empty() {
            let megahertz: Vec<String> = decoding
                .downlinks
                .iter()
                .filter_map(|d| d.frequency_hz)
                .map(|hz| format!("{:.3} MHz", hz / 1e6))
                .collect();
            return Err(match refused {
                Some((radio, error)) => RequestError::new(
                    format!("{}: {} with radio {radio}", self.name, entry.name),
                    error.wrong,
                    error.right.replace("--downlink", "downlinks = […]"),
                ),
                None => RequestError::new(
                    format!("{}: {}", self.name, entry.name),
                    format!("no radio of it reaches {}", megahertz.join(", ")),
                    "widen lowest_hz to highest_hz of a radio, or choose another with radios = […]",
                ),
            });
        }
        self.notes.extend(decoding.notes);
        Ok(PreparedSatellite { request, entry, radios })
    }

    /// The downlinks of a satellite that a radio reaches, ready to be decoded.
    ///
    /// # Errors
    /// The catalogue has changed.
    pub fn decoding(&self, satellite: usize, radio: usize) -> Result<Decoding, RequestError> {
        let request = &self.satellites[satellite].request;
        let mut decoding =
            Decoding::of_satellite(&self.catalogue, &request.name, &request.downlinks)?;
        decoding.downlinks = reached(&self.file.radios[radio], &decoding.downlinks);
        Ok(decoding)
    }

    /// Reads the elements, from the network if they are there and old. Also whether every source was
    /// read anew.
    ///
    /// # Errors
    /// There are none, or no source can be read.
    pub fn elements(&self) -> Result<(Store, bool), RequestError> {
        read_elements(&self.sky, &self.name)
    }

    /// What reads the elements anew, on another thread.
    pub fn elements_reader(
        &self,
    ) -> impl FnOnce() -> Result<(Store, bool), RequestError> + Send + 'static {
        let (sky, name) = (self.sky.clone(), self.name.clone());
        move || read_elements(&sky, &name)
    }

    /// The orbit of a satellite at an instant, and what is to be said of it.
    ///
    /// # Errors
    /// There are no elements of it, or they are wrong.
    pub fn orbit(
        &self,
        store: &Store,
        satellite: usize,
        at: Timestamp,
    ) -> Result<(Arc<Orbit>, Option<String>), RequestError> {
        let (elements, warning) = sky::elements_of(store, &self.satellites[satellite].entry, at)
            .map_err(|error| RequestError {
                right: error.right.replace("--elements", "elements = […]"),
                ..error
            })?;
        Ok((Arc::new(Orbit::new(elements)?), warning))
    }

    /// What is to be planned, for these orbits.
    pub fn requests(&self, orbits: &[Arc<Orbit>]) -> Vec<Request> {
        let both = self.satellites.iter().zip(orbits);
        both.map(|(satellite, orbit)| Request {
            orbit: orbit.clone(),
            priority: satellite.request.priority,
            min_elevation_deg: satellite.request.min_elevation_deg,
            horizon_deg: self.file.horizon_deg,
            radios: satellite.radios.iter().map(|(radio, _)| *radio).collect(),
        })
        .collect()
    }

    /// Keeps what is simulated away from what was received: passes and recordings go into a folder of
    /// their own, and no sink gets a frame unless `deliver` says so.
    pub fn set_apart(&mut self, deliver: bool) {
        self.file.passes.push(REHEARSAL);
        if let Some(recording) = &mut self.file.recording {
            // What is removed to make room is removed there.
            recording.folder = self.file.passes.join("recordings");
        }
        if !deliver {
            self.file.sinks.clear();
            for satellite in &mut self.satellites {
                satellite.request.sinks.clear();
            }
            self.file.satellites.iter_mut().for_each(|satellite| satellite.sinks.clear());
        }
    }

    /// Makes the folders ready and opens the sinks once. A disk without room for recordings is a
    /// note: it costs nothing but them. So is a host that is not known: it may be later.
    ///
    /// # Errors
    /// Something cannot be written to.
    pub fn check_outputs(&mut self) -> Result<(), RequestError> {
        writable(&self.file.passes, "passes")?;
        if let Some(recording) = &self.file.recording {
            let subject = |error: RequestError| RequestError {
                subject: format!("{}: [recording] folder", self.name),
                ..error
            };
            Folder::open(&recording.folder, Room { keep_free_bytes: 0 }, None).map_err(subject)?;
            let room = Room { keep_free_bytes: recording.keep_free_bytes };
            if let Err(error) = Folder::open(&recording.folder, room, recording.keep) {
                self.notes.push(format!("no recording for now: {}", error.wrong));
            }
        }
        let own = self.file.satellites.iter().flat_map(|satellite| &satellite.sinks);
        for sink in self.file.sinks.iter().chain(own) {
            match (sinks::open(sink), sink) {
                (Ok(_), _) => {}
                // The network may come later.
                (Err(error), SinkRequest::Udp { .. }) => {
                    self.notes.push(format!("{}: {}; trying again", error.subject, error.wrong));
                }
                (Err(error), _) => return Err(error),
            }
        }
        Ok(())
    }

    /// Opens each radio once, as it is set up for the first satellite that it can receive. One that
    /// does not answer is a note if another does: each pass tries again.
    ///
    /// # Errors
    /// None can be opened, or one never will as it is asked for: a [`RequestError`].
    pub fn check_radios(&mut self) -> anyhow::Result<()> {
        let mut absent = Vec::new();
        let mut answers = false;
        for (index, radio) in self.file.radios.iter().enumerate() {
            let Some(settings) = self.satellites.iter().find_map(|s| s.settings(index)) else {
                continue;
            };
            match device::open(&radio.device, settings) {
                Ok(_) => answers = true,
                Err(OpenError::Request(error)) => {
                    let subject = format!("radio {}: {}", radio.name, error.subject);
                    return Err(RequestError { subject, ..error }.into());
                }
                Err(error @ OpenError::Absent { .. }) => {
                    absent.push(format!("radio {}: {error}", radio.name));
                }
            }
        }
        if !answers && !absent.is_empty() {
            return Err(anyhow::anyhow!(absent.join("; ")));
        }
        let again = |line| format!("{line}; each pass tries again");
        self.notes.extend(absent.into_iter().map(again));
        Ok(())
    }
}

fn read_elements(sky: &SkyArguments, name: &str) -> Result<(Store, bool), RequestError> {
    sky.available_elements_if_any()?.ok_or_else(|| {
        let right = "add files, folders or URLs of TLEs or OMMs: elements = [\"cubesats.tle\"]";
        RequestError::new(name, "elements is missing", right)
    })
}

/// The downlinks that lie in a radio's band.
fn reached(radio: &RadioRequest, downlinks: &[Downlink]) -> Vec<Downlink> {
    let within = |downlink: &&Downlink| {
        reception::occupied(downlink).is_none_or(|o| radio.reaches(o.frequency_hz, o.width_hz))
    };
    downlinks.iter().filter(within).cloned().collect()
}

/// Sees to it that a folder is there and can be written to.
fn writable(folder: &Path, key: &str) -> Result<(), RequestError> {
    folders::make_ready(folder).map_err(|error| {
        let subject = format!("{key} = {}", folder.display());
        let wrong = format!("cannot be written to ({error})");
        RequestError::new(subject, wrong, "name a folder that can be")
    })
}
