//! `--doppler`: what the receivers are steered by.

use std::sync::Arc;

use jiff::Timestamp;
use tulpar::RequestError;
use tulpar::catalogue::flowgraph_file::TrackingRequest;
use tulpar::doppler::correction::{Corrected, Correction, Corrections};
use tulpar::doppler::elements::{Elements, Store};
use tulpar::doppler::lookout::Lookout;
use tulpar::doppler::orbit::Orbit;
use tulpar::doppler::refine::{Fit, Prior};
use tulpar::doppler::rigctl::RigAddress;
use tulpar::doppler::sky::{OrbitPrediction, observe};
use tulpar::doppler::station::Station;
use tulpar::doppler::table::Table;
use tulpar::doppler::tracking::Tracking;
use tulpar::doppler::{Prediction, after, blind_search_hz};
use tulpar::modulation::InputKind;
use tulpar::runtime::rig_server::{RigOptions, RigServer, RigTuning};
use tulpar::source::{Anchor, SourceInfo};

use super::decode::Decoding;
use super::sky::{self, SkyArguments};

/// Elements further from the recording than this are not used unasked, days.
const USABLE_DAYS: f64 = 60.0;
/// A table that begins or ends so far from the recording does not belong to it, s.
const APART_S: f64 = 600.0;
/// A frequency table is trusted as fresh elements are.
const FRESH_DAYS: f64 = 0.0;

/// How the Doppler shift is followed.
#[derive(clap::Args, Clone, Default)]
pub struct DopplerArguments {
    /// Follow the Doppler shift: auto (the default: the orbit if it is known, else search), orbit,
    /// file:PATH (lines "unix_time frequency"), rigctl[:[HOST:]PORT] (steered by gpredict and
    /// others), off
    #[arg(long, value_name = "HOW", help_heading = "Orbit")]
    doppler: Option<String>,
    #[command(flatten)]
    sky: SkyArguments,
    /// Whose orbit of the elements: a name or NORAD number; the satellite's if not given
    #[arg(long, value_name = "NAME|NORAD", help_heading = "Orbit")]
    object: Option<String>,
}

/// The words of `--doppler`.
enum Choice {
    Auto,
    Orbit,
    Table(String),
    Rig(RigAddress),
    Off,
}

impl Choice {
    fn parse(text: &str) -> Result<Self, RequestError> {
        match text.trim() {
            "auto" => Ok(Choice::Auto),
            "orbit" => Ok(Choice::Orbit),
            "off" => Ok(Choice::Off),
            rig if rig == "rigctl" || rig.starts_with("rigctl:") => {
                Ok(Choice::Rig(RigAddress::parse(rig)?))
            }
            other => match other.strip_prefix("file:") {
                Some("") => Err(RequestError::new(
                    "--doppler file:",
                    "names no file",
                    "write --doppler file:PATH",
                )),
                Some(path) => Ok(Choice::Table(path.to_owned())),
                None => {
                    let words = ["auto", "orbit", "file:PATH", "rigctl", "rigctl:HOST:PORT", "off"];
                    Err(RequestError::unknown("--doppler", other, words))
                }
            },
        }
    }
}

/// What receivers are steered by.
#[derive(Clone, Default)]
pub enum Aim {
    /// Nothing is known: the carrier is searched as far as a satellite's can be.
    #[default]
    Blind,
    /// There is no Doppler shift any more.
    Off,
    /// An orbit over a station.
    Orbit {
        /// The orbit.
        orbit: Arc<Orbit>,
        /// Who receives.
        station: Station,
        /// How old its elements are then.
        age_days: f64,
        /// What an earlier pass told.
        correction: Option<Correction>,
    },
    /// A frequency table.
    Table {
        /// Its name.
        name: String,
        /// Its lines.
        text: String,
    },
    /// Another program.
    Rig(Arc<RigTuning>),
}

/// One receiver's share of it.
pub struct Steered {
    /// What it follows.
    pub tracking: Option<Tracking>,
    /// The carrier is within ± this of it.
    pub search_hz: f64,
}

impl Aim {
    /// Where the satellite stands, if an orbit says so.
    pub fn lookout(&self) -> Option<Lookout> {
        match self {
            Aim::Orbit { orbit, station, .. } => Some(Lookout::new(orbit.clone(), *station)),
            _ => None,
        }
    }

    /// An orbit over a station from an instant on, with what was measured of the object before.
    pub fn over(
        orbit: Arc<Orbit>,
        station: Station,
        start: Timestamp,
        corrections: &Corrections,
    ) -> Self {
        let elements = orbit.elements();
        let correction = corrections.of(elements.norad_id).copied();
        let age_days = elements.age_days(start);
        Aim::Orbit { orbit, station, age_days, correction }
    }

    /// For a downlink with this carrier, if it is known.
    ///
    /// # Errors
    /// The carrier is needed and not known, or a table does not fit it.
    pub fn at(
        &self,
        kind: InputKind,
        carrier_hz: Option<f64>,
        symbol_rate_bd: f64,
    ) -> Result<Steered, RequestError> {
        let near_hz = carrier_hz.unwrap_or(0.0);
        let blind = Steered { tracking: None, search_hz: blind_search_hz(near_hz) };
        // What was demodulated or mixed before has nothing to be steered, or was steered then.
        if kind != InputKind::Iq {
            return Ok(Steered { search_hz: blind_search_hz(0.0), ..blind });
        }
        let carrier = || {
            carrier_hz.filter(|hz| *hz > 0.0).ok_or_else(|| {
                RequestError::new("--doppler", "the carrier is not known", "add --frequency HZ")
            })
        };
        let closed = |prediction: Arc<dyn Prediction>, carrier_hz: f64, age_days: f64| {
            let prior = Prior::of_elements(carrier_hz, age_days);
            let search_hz = prior.search_hz(carrier_hz);
            let tracking = Tracking::closed_loop(prediction, prior, symbol_rate_bd);
            Steered { tracking: Some(tracking), search_hz }
        };
        match self {
            Aim::Blind => Ok(blind),
            Aim::Off => {
                let search_hz = blind_search_hz(0.0).max(25e-6 * near_hz);
                Ok(Steered { search_hz, ..blind })
            }
            Aim::Orbit { orbit, station, age_days, correction } => {
                let carrier_hz = carrier()?;
                let orbit = orbit.clone();
                let epoch = orbit.epoch();
                let mut prediction: Arc<dyn Prediction> =
                    Arc::new(OrbitPrediction { orbit, station: *station, carrier_hz });
                if let Some(correction) = correction {
                    prediction =
                        Arc::new(Corrected::new(prediction, correction, carrier_hz, epoch));
                }
                Ok(closed(prediction, carrier_hz, *age_days))
            }
            Aim::Table { name, text } => {
                let table = Table::parse(name, text, carrier_hz)?;
                Ok(closed(Arc::new(table), near_hz, FRESH_DAYS))
            }
            Aim::Rig(tuning) => {
                let carrier_hz = carrier()?;
                let tracking = Tracking::open_loop(tuning.prediction(carrier_hz));
                // Until a client has said something, it may be anywhere.
                Ok(Steered { tracking: Some(tracking), ..blind })
            }
        }
    }
}

/// What was made of the request.
pub struct Plan {
    /// What steers.
    pub aim: Aim,
    /// What the user should know, one line each.
    pub notes: Vec<String>,
    /// The radio that clients steer; it stops when this is dropped.
    pub server: Option<RigServer>,
}

impl Plan {
    fn new(aim: Aim, note: impl Into<String>) -> Self {
        Self { aim, notes: vec![note.into()], server: None }
    }
}

impl DopplerArguments {
    /// Looks everything up. `request`: what a flowgraph file says.
    ///
    /// # Errors
    /// What was asked for outright is not there or does not fit.
    pub fn plan(
        &self,
        decoding: &Decoding,
        info: &SourceInfo,
        first: Option<&Anchor>,
    ) -> Result<Plan, RequestError> {
        let request: &TrackingRequest = &decoding.tracking;
        let said = self.doppler.as_ref().or(request.doppler.as_ref());
        let choice = said.map_or(Ok(Choice::Auto), |text| Choice::parse(text))?;
        let sky = self.sky.or(&request.elements, request.station.as_ref());
        if !info.complex {
            return match choice {
                Choice::Auto | Choice::Off => {
                    Ok(Plan { aim: Aim::Blind, notes: Vec::new(), server: None })
                }
                _ => Err(RequestError::new(
                    "--doppler",
                    format!("{} is no IQ: a receiver before it was tuned already", info.name),
                    "leave it out",
                )),
            };
        }
        let start = first.and_then(|anchor| anchor.time);
        let no_time = || {
            RequestError::new(
                "--doppler",
                format!("{} does not say when it begins", info.name),
                "add --start, for instance --start 2026-08-01T12:00:00Z",
            )
        };
        let centre_hz = first.and_then(|anchor| anchor.centre_frequency_hz);
        match choice {
            Choice::Off => Ok(Plan { aim: Aim::Off, notes: Vec::new(), server: None }),
            Choice::Orbit => self.orbit(&sky, decoding, start.ok_or_else(no_time)?),
            Choice::Auto => self.auto(&sky, decoding, start, centre_hz, no_time),
            Choice::Table(path) => {
                let start = start.ok_or_else(no_time)?;
                let text = std::fs::read_to_string(&path).map_err(|error| {
                    RequestError::new(
                        format!("--doppler file:{path}"),
                        format!("cannot be read ({error})"),
                        "name a table of lines \"unix_time frequency\"",
                    )
                })?;
                let carrier_hz =
                    decoding.downlinks.first().and_then(|d| d.frequency_hz).or(centre_hz);
                let table = Table::parse(&path, &text, carrier_hz)?;
                table_fits(&path, &table, start, info)?;
                let what = if table.is_received() { "received frequencies" } else { "shifts" };
                let note = format!("Doppler: table {path} of {what}");
                Ok(Plan::new(Aim::Table { name: path, text }, note))
            }
            Choice::Rig(address) => {
                let carrier_hz =
                    decoding.downlinks.first().and_then(|d| d.frequency_hz).or(centre_hz);
                let options = RigOptions {
                    idle_frequency_hz: carrier_hz.unwrap_or(0.0),
                    ..RigOptions::default()
                };
                let server = RigServer::bind_with(&address, options)?;
                let note = format!(
                    "Doppler: steered by rigctl clients at {}, in real time",
                    server.address()
                );
                let aim = Aim::Rig(server.tuning());
                Ok(Plan { aim, notes: vec![note], server: Some(server) })
            }
        }
    }

    /// The orbit, as asked for.
    fn orbit(
        &self,
        sky: &SkyArguments,
        decoding: &Decoding,
        start: Timestamp,
    ) -> Result<Plan, RequestError> {
        let store = sky.elements()?;
        let place = sky.station()?;
        self.over(&store, place, decoding, start)
    }

    /// The best there is.
    fn auto(
        &self,
        sky: &SkyArguments,
        decoding: &Decoding,
        start: Option<Timestamp>,
        centre_hz: Option<f64>,
        no_time: impl Fn() -> RequestError,
    ) -> Result<Plan, RequestError> {
        let blind = |why: &str| {
            let carriers = decoding.downlinks.iter().filter_map(|d| d.frequency_hz.or(centre_hz));
            let search_hz = blind_search_hz(carriers.fold(0.0, f64::max));
            let note = format!("Doppler: searching ±{:.0} kHz ({why})", search_hz / 1e3);
            Ok(Plan::new(Aim::Blind, note))
        };
        if sky.names_elements() {
            return self.orbit(sky, decoding, start.ok_or_else(no_time)?);
        }
        // The configuration file's elements are there for whatever they are good for.
        let Some(store) = sky.elements_if_any()? else {
            return blind("no --elements");
        };
        let Some(place) = sky.station_if_any()? else { return blind("no --station") };
        let Some(start) = start else { return blind("the recording does not say when it begins") };
        match self.over(&store, place, decoding, start) {
            Ok(Plan { aim: Aim::Orbit { age_days, .. }, .. }) if age_days.abs() > USABLE_DAYS => {
                blind("the elements are from another time")
            }
            Ok(plan) => Ok(plan),
            Err(error) => blind(&format!("{}: {}", error.subject, error.wrong)),
        }
    }

    /// The orbit of the satellite over a station.
    fn over(
        &self,
        store: &Store,
        (station, place_note): (Station, Option<String>),
        decoding: &Decoding,
        start: Timestamp,
    ) -> Result<Plan, RequestError> {
        let elements = self.elements(store, decoding, start)?;
        let orbit = Arc::new(Orbit::new(elements)?);
        let age_days = elements.age_days(start);
        let aim = Aim::over(orbit.clone(), station, start, &sky::corrections()?);
        let seen = observe(&orbit, &station, start).map_err(|error| {
            RequestError::new(
                format!("elements of {}", elements.label()),
                error.to_string(),
                "take elements from within a few days of the recording",
            )
        })?;
        let mut notes = vec![format!(
            "Doppler: orbit of {} over {station}, elements {age_days:.1} days old",
            elements.label()
        )];
        notes.extend(elements.age_warning(start));
        notes.extend(place_note);
        notes.extend(store.warnings().iter().cloned());
        if let Aim::Orbit { correction: Some(c), .. } = &aim {
            notes.push(format!("corrected by what was measured at {}", c.measured));
        }
        if seen.elevation_deg < 0.0 && seen.range_rate_km_per_s > 0.0 {
            notes.push(format!(
                "{} stands {:.0}° below the horizon at the beginning, and sinks: are the time and \
                 --station right?",
                elements.label(),
                -seen.elevation_deg
            ));
        }
        Ok(Plan { aim, notes, server: None })
    }

    /// Whose elements are used.
    fn elements<'s>(
        &self,
        store: &'s Store,
        decoding: &Decoding,
        at: Timestamp,
    ) -> Result<&'s Elements, RequestError> {
        if let Some(name) = &self.object {
            return store.find_written(name, at);
        }
        if let Some(satellite) = &decoding.satellite {
            return Ok(sky::elements_of(store, satellite, at)?.0);
        }
        sky::only_object(store, at)
    }
}

/// A table belongs to the recording's time.
fn table_fits(
    path: &str,
    table: &Table,
    start: Timestamp,
    info: &SourceInfo,
) -> Result<(), RequestError> {
    let (from, to) = table.span();
    let duration_s = info.length_samples.map_or(0.0, |n| n as f64 / info.sample_rate_hz);
    if to < after(start, -APART_S) || from > after(start, duration_s + APART_S) {
        return Err(RequestError::new(
            path,
            format!("is for {from:.0} to {to:.0}, and the recording begins at {start:.0}"),
            "give the table of that pass, or the right --start",
        ));
    }
    Ok(())
}

/// What the frames told of the prediction.
pub fn said_by_frames(fit: &Fit) -> String {
    let late = if fit.late_s < 0.0 { "early" } else { "late" };
    format!(
        "carrier {:+.0} Hz from its prediction, satellite {:.2} s {late} on its track",
        fit.bias_hz,
        fit.late_s.abs()
    )
}
