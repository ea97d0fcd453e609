//! What to decode: `--satellite`, `--flowgraph`, or a mode said outright.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use tulpar::RequestError;
use tulpar::catalogue::flowgraph_file::{FlowgraphFile, SinkRequest, TrackingRequest};
use tulpar::catalogue::{self, Catalogue, Mode, Satellite};
use tulpar::effort::Effort;
use tulpar::frame::Origin;
use tulpar::framing::{self, Options};
use tulpar::modulation::{self, InputKind, Parameters};
use tulpar::receiver::{Downlink, Input, Receiver};
use tulpar::recording::RecordingSettings;
use tulpar::source::device::RadioSettings;
use tulpar::source::{InputOptions, SourceInfo};

use super::doppler::Aim;
use super::numbers;

/// Arguments that say what to decode.
#[derive(clap::Args, Clone, Default)]
pub struct ModeArguments {
    /// Satellite of the catalogue: a name or NORAD number; case and punctuation do not matter
    #[arg(long, value_name = "NAME|NORAD", help_heading = "What to decode")]
    pub satellite: Option<String>,
    /// Only this downlink of the satellite, by its label
    #[arg(long, value_name = "LABEL", requires = "satellite", help_heading = "What to decode")]
    pub downlink: Option<String>,
    /// A receiver described in a TOML file
    #[arg(long, value_name = "FILE.toml", conflicts_with_all = ["satellite", "modulation"],
          help_heading = "What to decode")]
    pub flowgraph: Option<PathBuf>,
    /// Modulation of a mode said outright (see `tulpar modes`)
    #[arg(
        long,
        value_name = "NAME",
        conflicts_with = "satellite",
        help_heading = "What to decode"
    )]
    pub modulation: Option<String>,
    /// Symbol rate of that mode, in baud
    #[arg(long, value_name = "BD", requires = "modulation", conflicts_with_all = ["satellite", "flowgraph"], value_parser = numbers::symbol_rate,
          allow_negative_numbers = true, help_heading = "What to decode")]
    pub symbol_rate: Option<f64>,
    /// Framing of that mode (see `tulpar modes`)
    #[arg(long, value_name = "NAME", requires = "modulation", conflicts_with_all = ["satellite", "flowgraph"], help_heading = "What to decode")]
    pub framing: Option<String>,
    /// Frequency on which the satellite sends; its downlink's, or the centre of the input, if not
    /// given
    #[arg(long, value_name = "HZ", value_parser = numbers::carrier, allow_negative_numbers = true,
          help_heading = "What to decode")]
    pub carrier: Option<f64>,
    /// FSK: frequency of bit 1 against the carrier; a hint, it is found without
    #[arg(
        long,
        value_name = "HZ",
        requires = "modulation", conflicts_with_all = ["satellite", "flowgraph"],
        value_parser = numbers::signed_hz,
        allow_negative_numbers = true,
        help_heading = "What to decode"
    )]
    pub deviation: Option<f64>,
    /// AFSK: centre of the two tones
    #[arg(long, value_name = "HZ", requires = "modulation", conflicts_with_all = ["satellite", "flowgraph"], value_parser = numbers::between(1.0, 1e6),
          allow_negative_numbers = true, help_heading = "What to decode")]
    pub audio_carrier: Option<f64>,
    /// Option of the framing (see `tulpar modes`); may be repeated
    #[arg(long, value_name = "KEY=VALUE", requires = "modulation", conflicts_with_all = ["satellite", "flowgraph"], num_args = 1..,
          help_heading = "What to decode")]
    pub option: Vec<String>,
}

/// What is to be decoded, and what the user should know about it. By default nothing: no mode is
/// known.
#[derive(Default)]
pub struct Decoding {
    /// The downlinks that can be received.
    pub downlinks: Vec<Downlink>,
    /// Why others cannot, one line each.
    pub notes: Vec<String>,
    /// What a flowgraph file said besides.
    pub input_file: Option<String>,
    /// Likewise.
    pub input: InputOptions,
    /// Likewise.
    pub device: Option<String>,
    /// Likewise.
    pub radio: RadioSettings,
    /// Likewise.
    pub tracking: TrackingRequest,
    /// Likewise.
    pub recording: Option<RecordingSettings>,
    /// Likewise.
    pub sinks: Vec<SinkRequest>,
    /// The catalogue's entry, if the downlinks are those of one.
    pub satellite: Option<Satellite>,
}

impl ModeArguments {
    /// Looks everything up.
    pub fn resolve(&self) -> Result<Decoding, RequestError> {
        let mut decoding = self.named()?;
        if let Some(carrier_hz) = self.carrier {
            let mut listed = decoding.downlinks.iter().filter_map(|d| d.frequency_hz);
            let first = listed.next();
            if listed.any(|frequency_hz| Some(frequency_hz) != first) {
                return Err(RequestError::new(
                    "--carrier",
                    "the downlinks are on several frequencies",
                    "choose one of them with --downlink",
                ));
            }
            decoding.downlinks.iter_mut().for_each(|d| d.frequency_hz = Some(carrier_hz));
        }
        Ok(decoding)
    }

    fn named(&self) -> Result<Decoding, RequestError> {
        if let Some(name) = &self.satellite {
            let catalogue = Catalogue::load()?;
            let satellite = catalogue.find(name)?;
            let chosen = match &self.downlink {
                Some(label) => vec![satellite.downlink(label)?],
                None => satellite.downlinks.iter().collect(),
            };
            return Decoding::of(Some(satellite), chosen);
        }
        if let Some(path) = &self.flowgraph {
            let file = FlowgraphFile::open(path)?;
            let catalogue = Catalogue::load()?;
            let (satellite, chosen) = file.resolve(&catalogue)?;
            let decoding = Decoding::of(satellite, chosen).map_err(|error| RequestError {
                subject: format!("{}: {}", path.display(), error.subject),
                ..error
            })?;
            return Ok(Decoding {
                input_file: file.input_file,
                input: file.input,
                device: file.device,
                radio: file.radio,
                tracking: file.tracking,
                recording: file.recording,
                sinks: file.sinks,
                ..decoding
            });
        }
        let Some(modulation) = &self.modulation else {
            return Err(RequestError::new(
                "what to decode",
                "nothing is said",
                "give --satellite NAME, --flowgraph FILE, or --modulation, --symbol-rate and \
                 --framing",
            ));
        };
        let (origin, mode) = self.mode(modulation)?;
        Ok(Decoding { downlinks: vec![downlink(origin, None, mode)], ..Decoding::default() })
    }

    /// The one downlink that is to be transmitted: with a satellite or a flowgraph file of several,
    /// the first that is supported unless `--downlink` says another. Also its carrier frequency, if
    /// it is known.
    pub fn transmitted(&self) -> Result<(Origin, Option<f64>, Mode), RequestError> {
        if let Some(name) = &self.satellite {
            let catalogue = Catalogue::load()?;
            let satellite = catalogue.find(name)?;
            let chosen = match &self.downlink {
                Some(label) => vec![satellite.downlink(label)?],
                None => satellite.downlinks.iter().collect(),
            };
            return first_supported(Some(satellite), &chosen);
        }
        if let Some(path) = &self.flowgraph {
            let file = FlowgraphFile::open(path)?;
            let catalogue = Catalogue::load()?;
            let (satellite, chosen) = file.resolve(&catalogue)?;
            return first_supported(satellite, &chosen);
        }
        let Some(modulation) = &self.modulation else {
            return Err(RequestError::new(
                "what to transmit",
                "nothing is said",
                "give --satellite NAME, --flowgraph FILE, or --modulation, --symbol-rate and \
                 --framing",
            ));
        };
        let (origin, mode) = self.mode(modulation)?;
        Ok((origin, self.carrier, mode))
    }

    /// A mode said outright.
    fn mode(&self, modulation: &str) -> Result<(Origin, Mode), RequestError> {
        let modulation = modulation::find(modulation).map_err(|error| {
            not_yet("--modulation", modulation, &catalogue::embedded_modulations(), error)
        })?;
        let missing = |option: &str, right: &str| {
            RequestError::new(option, "missing beside --modulation", right)
        };
        let symbol_rate_bd = self
            .symbol_rate
            .ok_or_else(|| missing("--symbol-rate", "give the symbol rate in baud"))?;
        let framing = self
            .framing
            .as_ref()
            .ok_or_else(|| missing("--framing", "give a framing of `tulpar modes`"))?;
        let mut options = BTreeMap::new();
        for option in &self.option {
            let (key, value) = option.split_once('=').ok_or_else(|| {
                RequestError::new(
                    "--option",
                    format!("\"{option}\" has no ="),
                    "write it as --option key=value, and the file before it",
                )
            })?;
            options.insert(key.trim().to_owned(), value.trim().to_owned());
        }
        let framing_descriptor = framing::find(framing).map_err(|error| {
            not_yet("--framing", framing, &catalogue::embedded_framings(), error)
        })?;
        let origin = Origin {
            modulation: modulation.name.to_owned(),
            symbol_rate_bd,
            framing: framing_descriptor.name.to_owned(),
            ..Origin::default()
        };
        let mode = Mode {
            modulation,
            parameters: Parameters {
                deviation_hz: self.deviation,
                audio_carrier_hz: self.audio_carrier,
                ..Parameters::new(symbol_rate_bd)
            },
            framing_descriptor,
            framing: framing::build(framing_descriptor.name, &Options(options)).map_err(
                |error| {
                    let subject = match error.subject.as_str() {
                        "option" => "--option".to_owned(),
                        key => format!("--option {key}"),
                    };
                    RequestError { subject, ..error }
                },
            )?,
        };
        Ok((origin, mode))
    }
}

fn downlink(origin: Origin, frequency_hz: Option<f64>, mode: Mode) -> Downlink {
    Downlink {
        origin: Arc::new(origin),
        frequency_hz,
        modulation: mode.modulation,
        parameters: mode.parameters,
        framing: mode.framing.into(),
    }
}

/// The error for a name that no registry has: "not supported yet" if satellites fly it.
fn not_yet(option: &str, name: &str, flying: &[&str], unknown: RequestError) -> RequestError {
    if !flying.iter().any(|f| f.eq_ignore_ascii_case(name.trim())) {
        return RequestError { subject: option.to_owned(), ..unknown };
    }
    let right = unknown.right.rsplit_once("accepted: ").map_or("", |(_, names)| names);
    RequestError::new(
        option,
        format!("\"{name}\" is not supported yet"),
        format!("supported: {right}"),
    )
}

/// The first of these downlinks that is supported, or why the first of all is not.
fn first_supported(
    satellite: Option<&Satellite>,
    chosen: &[&catalogue::Downlink],
) -> Result<(Origin, Option<f64>, Mode), RequestError> {
    let mut refused = None;
    for entry in chosen {
        match entry.mode() {
            Ok(mode) => return Ok((entry.origin(satellite), Some(entry.frequency_hz), mode)),
            Err(error) => refused = refused.or(Some(error)),
        }
    }
    Err(refused.unwrap_or_else(|| {
        RequestError::new("what to transmit", "there is no downlink", "choose another satellite")
    }))
}

impl Decoding {
    /// The downlinks with these labels of a satellite of the catalogue; without labels, all.
    ///
    /// # Errors
    /// The catalogue does not have it, or it does not have the label; no downlink is supported.
    pub fn of_satellite(
        catalogue: &Catalogue,
        name: &str,
        labels: &[String],
    ) -> Result<Self, RequestError> {
        let satellite = catalogue.find(name)?;
        let chosen = match labels {
            [] => satellite.downlinks.iter().collect(),
            _ => labels.iter().map(|l| satellite.downlink(l)).collect::<Result<Vec<_>, _>>()?,
        };
        Self::of(Some(satellite), chosen)
    }

    /// The downlinks of an entry; those that are not supported are noted, unless none is left, or
    /// the user wrote them (there is no satellite): then that is an error.
    fn of(
        satellite: Option<&Satellite>,
        chosen: Vec<&catalogue::Downlink>,
    ) -> Result<Self, RequestError> {
        let mut downlinks = Vec::new();
        let mut refused = Vec::new();
        for entry in chosen {
            match entry.mode() {
                Ok(mode) => downlinks.push(downlink(
                    entry.origin(satellite),
                    Some(entry.frequency_hz),
                    mode,
                )),
                Err(error) if satellite.is_none() => return Err(error),
                Err(error) => refused.push((entry.label.clone(), error)),
            }
        }
        let name = satellite.map_or("", |s| s.name.as_str());
        if downlinks.is_empty() && !refused.is_empty() {
            return Err(all_refused(name, "no downlink can be decoded", refused));
        }
        let notes = if refused.is_empty() { Vec::new() } else { vec![not_decoded(name, &refused)] };
        Ok(Self { downlinks, notes, satellite: satellite.cloned(), ..Self::default() })
    }
}

/// What is wrong with downlinks: `"a", "b" (reason); "c" (reason)`.
fn reasons(refused: &[(String, RequestError)]) -> String {
    let mut by_reason: Vec<(&str, Vec<String>)> = Vec::new();
    for (label, error) in refused {
        let label = format!("\"{label}\"");
        match by_reason.iter_mut().find(|(reason, _)| *reason == error.wrong) {
            Some((_, labels)) => labels.push(label),
            None => by_reason.push((&error.wrong, vec![label])),
        }
    }
    let parts: Vec<String> = by_reason
        .iter()
        .map(|(reason, labels)| format!("{} ({reason})", labels.join(", ")))
        .collect();
    parts.join("; ")
}

/// The one line about downlinks that are left out while others are decoded.
fn not_decoded(satellite: &str, refused: &[(String, RequestError)]) -> String {
    let subject = if satellite.is_empty() { String::new() } else { format!("{satellite}: ") };
    format!("{subject}not decoded: {}", reasons(refused))
}

/// The error when no downlink is left: about the one, or about all of them.
fn all_refused(
    subject: &str,
    none: &str,
    mut refused: Vec<(String, RequestError)>,
) -> RequestError {
    let told = format!("{none}: {}", reasons(&refused));
    let several = refused.len() > 1;
    let (label, error) = refused.swap_remove(0);
    if several {
        return RequestError::new(subject, told, error.right);
    }
    let named = error.subject.starts_with("downlink \"");
    let own = if named || label.is_empty() {
        error.subject
    } else {
        format!("downlink \"{label}\": {}", error.subject)
    };
    let subject = if subject.is_empty() { own } else { format!("{subject}: {own}") };
    RequestError { subject, ..error }
}

/// What the samples of an input are, for one downlink.
fn input_kind(
    downlink: &Downlink,
    info: &SourceInfo,
    said: Option<InputKind>,
) -> Result<InputKind, RequestError> {
    match (said, info.complex) {
        (None, true) | (Some(InputKind::Iq), true) => Ok(InputKind::Iq),
        (None, false) => Ok(downlink.modulation.real_input),
        (Some(InputKind::Iq), false) => Err(RequestError::new(
            "--input",
            format!("iq, but {} has one channel", info.name),
            "accepted for it: fm-audio, real-if",
        )),
        (Some(_), true) => Err(RequestError::new(
            "--input",
            format!("a real input, but {} is complex", info.name),
            "leave it out, or say iq",
        )),
        (Some(kind), false) => Ok(kind),
    }
}

/// Where the downlinks are looked for.
#[derive(Clone, Default)]
pub struct Placement {
    /// What the user says of the input.
    pub kind: Option<InputKind>,
    /// Carrier of a real IF.
    pub intermediate_frequency_hz: Option<f64>,
    /// Search range, if the user says it.
    pub search_hz: Option<f64>,
    /// How far to go for a frame.
    pub effort: Effort,
    /// Centre frequency at the first sample.
    pub centre_frequency_hz: Option<f64>,
    /// What steers the receivers.
    pub aim: Aim,
}

/// A receiver per downlink. Downlinks that do not fit the input are noted, unless none is left.
///
/// # Errors
/// No downlink fits the input.
pub fn receivers(
    decoding: &mut Decoding,
    info: &SourceInfo,
    placement: &Placement,
) -> Result<Vec<Receiver>, RequestError> {
    let mut receivers = Vec::new();
    let mut refused = Vec::new();
    let mut satellite = String::new();
    for downlink in std::mem::take(&mut decoding.downlinks) {
        let origin = downlink.origin.clone();
        match receiver(downlink, info, placement) {
            Ok(receiver) => receivers.push(receiver),
            Err(error) => {
                satellite = origin.satellite.clone().unwrap_or_default();
                refused.push((origin.downlink.clone().unwrap_or_default(), error));
            }
        }
    }
    if receivers.is_empty() && !refused.is_empty() {
        return Err(all_refused(&satellite, "no downlink fits the recording", refused));
    }
    if !refused.is_empty() {
        decoding.notes.push(not_decoded(&satellite, &refused));
    }
    Ok(receivers)
}

fn receiver(
    downlink: Downlink,
    info: &SourceInfo,
    placement: &Placement,
) -> Result<Receiver, RequestError> {
    let kind = input_kind(&downlink, info, placement.kind)?;
    let half_band_hz = info.sample_rate_hz / 2.0;
    if kind == InputKind::Iq
        && let (Some(centre_hz), Some(frequency_hz)) =
            (placement.centre_frequency_hz, downlink.frequency_hz)
        && (frequency_hz - centre_hz).abs() > half_band_hz
    {
        return Err(RequestError::new(
            "frequency",
            format!(
                "{:.6} MHz is outside the recording, {:.6} to {:.6} MHz",
                frequency_hz / 1e6,
                (centre_hz - half_band_hz) / 1e6,
                (centre_hz + half_band_hz) / 1e6
            ),
            "give the recording's centre with --frequency HZ, or choose another satellite",
        ));
    }
    let carrier_hz = downlink.frequency_hz.or(placement.centre_frequency_hz);
    let steered = placement.aim.at(kind, carrier_hz, downlink.parameters.symbol_rate_bd)?;
    let search_hz = placement.search_hz.unwrap_or(steered.search_hz);
    let input = Input {
        kind,
        sample_rate_hz: info.sample_rate_hz,
        intermediate_frequency_hz: placement.intermediate_frequency_hz,
        search_hz,
        effort: placement.effort,
    };
    let mut receiver = Receiver::new(downlink, input)?;
    if let Some(tracking) = steered.tracking {
        receiver.track(Some(tracking));
    }
    Ok(receiver)
}
