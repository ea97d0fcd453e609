//! `tulpar simulate`: a recording of a downlink that never was, and the frames in it.

use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use tulpar::RequestError;
use tulpar::catalogue::Catalogue;
use tulpar::doppler::after;
use tulpar::doppler::orbit::Orbit;
use tulpar::doppler::table::Table;
use tulpar::frame::Origin;
use tulpar::recording::SampleCoding;
use tulpar::simulation::flight::predicted_curve;
use tulpar::simulation::sigmf_writer;
use tulpar::simulation::{Channel, Fading, Flight, Pass, Simulator, Transmission, frames};
use tulpar::source::SourceError;

use super::decode::ModeArguments;
use super::numbers;
use super::sky::{self, SkyArguments};
use super::{Outcome, complain};

/// Frames, if neither their number nor a pass is given.
const FRAMES: usize = 10;
/// A pass is looked for so far ahead, s.
const LONGEST_WAIT_S: f64 = 86_400.0;
/// Longest silence before the satellite rises, s.
const MOST_SILENCE_S: f64 = 600.0;
/// Samples of a symbol, if no sample rate is given.
const SAMPLES_PER_SYMBOL: f64 = 5.0;
/// What fits in memory on any machine.
const MOST_FRAMES: i64 = 1_000_000;
/// Likewise: over an hour at 1200 Bd.
const MOST_PREAMBLE_SYMBOLS: i64 = 10_000_000;

/// Write a SigMF recording of a simulated downlink.
#[derive(clap::Args)]
pub struct Arguments {
    /// Where to write: BASE.sigmf-meta, BASE.sigmf-data and BASE.frames.json
    #[arg(value_name = "BASE")]
    base: PathBuf,
    #[command(flatten)]
    mode: ModeArguments,
    #[command(flatten)]
    transmission: TransmissionArguments,
    #[command(flatten)]
    channel: ChannelArguments,
    #[command(flatten)]
    flight: FlightArguments,
}

/// A true pass.
#[derive(clap::Args)]
struct FlightArguments {
    #[command(flatten)]
    sky: SkyArguments,
    /// Whose orbit of the elements: a name or NORAD number; the satellite's if not given
    #[arg(long, value_name = "NAME|NORAD", help_heading = "Orbit")]
    object: Option<String>,
    /// Doppler shift from a table instead: lines "unix_time frequency"; needs --start
    #[arg(long, value_name = "file:PATH", conflicts_with_all = ["elements", "pass"],
          help_heading = "Orbit")]
    doppler: Option<String>,
}

/// What is sent, and when.
#[derive(clap::Args)]
struct TransmissionArguments {
    /// Number of frames; 10 if not given, with --elements as many as the pass has time for
    #[arg(long, value_name = "N", help_heading = "Transmission",
          value_parser = clap::value_parser!(u32).range(..=MOST_FRAMES), allow_negative_numbers = true)]
    frames: Option<u32>,
    /// Length of each frame in bytes; lengths that suit the framing if not given
    #[arg(
        long,
        allow_negative_numbers = true,
        value_name = "BYTES",
        help_heading = "Transmission"
    )]
    frame_length: Option<usize>,
    /// Frames that follow each other in a burst; 0: all in one
    #[arg(
        long,
        allow_negative_numbers = true,
        default_value_t = 1,
        value_name = "N",
        help_heading = "Transmission"
    )]
    frames_per_burst: usize,
    /// Symbols of preamble before each burst
    #[arg(long, default_value_t = 64, value_name = "N", help_heading = "Transmission",
          value_parser = clap::value_parser!(u32).range(..=MOST_PREAMBLE_SYMBOLS), allow_negative_numbers = true)]
    preamble: u32,
    /// Pause before, between and after bursts, in seconds
    #[arg(long, default_value_t = 0.25, value_name = "S", value_parser = numbers::between(0.0, 1e5),
          allow_negative_numbers = true, help_heading = "Transmission")]
    gap: f64,
    /// Seed of frames, noise and fading: the same seed gives the same file
    #[arg(long, allow_negative_numbers = true, default_value_t = 1, help_heading = "Transmission")]
    seed: u64,
    /// FSK: bandwidth × symbol time of the Gaussian filter; "inf" for none
    #[arg(long, value_parser = numbers::between(0.1, f64::INFINITY), allow_negative_numbers = true,
          help_heading = "Transmission")]
    bt: Option<f64>,
    /// PSK: roll-off of the root-raised-cosine filter; 0 for rectangular symbols
    #[arg(long, value_parser = numbers::between(0.0, 1.0), allow_negative_numbers = true,
          help_heading = "Transmission")]
    roll_off: Option<f64>,
}

/// What the channel does to it.
#[derive(clap::Args)]
struct ChannelArguments {
    /// Samples per second; five per symbol if not given, for tones in FM at least 48000
    #[arg(long, value_name = "HZ", value_parser = numbers::sample_rate, allow_negative_numbers = true,
          help_heading = "Channel")]
    rate: Option<f64>,
    /// Sample format of the file
    #[arg(long, value_enum, default_value_t = Format::Ci16, help_heading = "Channel")]
    format: Format,
    /// Es/N0 per channel symbol (with --pass: at closest approach); no noise if not given
    #[arg(long, value_name = "DB", value_parser = numbers::decibels, allow_negative_numbers = true,
          help_heading = "Channel")]
    esn0: Option<f64>,
    /// Carrier offset at the first sample
    #[arg(
        long,
        value_name = "HZ",
        default_value_t = 0.0,
        value_parser = numbers::signed_hz,
        allow_negative_numbers = true,
        help_heading = "Channel"
    )]
    offset: f64,
    /// Drift of the carrier
    #[arg(
        long,
        value_name = "HZ/S",
        default_value_t = 0.0,
        value_parser = numbers::signed_hz,
        allow_negative_numbers = true,
        help_heading = "Channel"
    )]
    drift: f64,
    /// Error of the transmitter's symbol clock
    #[arg(
        long,
        value_name = "PPM",
        default_value_t = 0.0,
        value_parser = numbers::between(-1e5, 1e5),
        allow_negative_numbers = true,
        help_heading = "Channel"
    )]
    clock: f64,
    /// Doppler shift and path loss of a pass: altitude and highest elevation; its middle is the
    /// middle of the recording
    #[arg(long, value_name = "KM,DEG", help_heading = "Channel")]
    pass: Option<String>,
    /// Fading: rate in Hz and Rician K in dB ("-inf" for Rayleigh)
    #[arg(long, value_name = "HZ,DB", allow_hyphen_values = true, help_heading = "Channel")]
    fading: Option<String>,
    /// DC of both arms, full scale 1
    #[arg(
        long,
        value_name = "LEVEL",
        default_value_t = 0.0,
        value_parser = numbers::between(-1.0, 1.0),
        allow_negative_numbers = true,
        help_heading = "Channel"
    )]
    dc: f64,
    /// Gain imbalance of the I and Q arms in dB, and their angle error in degrees
    #[arg(long, value_name = "DB,DEG", allow_hyphen_values = true, help_heading = "Channel")]
    iq_imbalance: Option<String>,
    /// Bits of the receiver's converter
    #[arg(long, allow_negative_numbers = true, value_name = "BITS", value_parser = clap::value_parser!(u8).range(2..=24),
          help_heading = "Channel")]
    quantisation: Option<u8>,
    /// Centre frequency; the downlink's if not given
    #[arg(long, value_name = "HZ", value_parser = numbers::carrier,
          allow_negative_numbers = true, help_heading = "Channel")]
    frequency: Option<f64>,
    /// UTC of the first sample; with --elements the next rise after their epoch if not given
    #[arg(long, value_name = "RFC3339", value_parser = numbers::instant, help_heading = "Channel")]
    start: Option<Timestamp>,
}

/// Words of `--format`.
#[derive(clap::ValueEnum, Clone, Copy)]
enum Format {
    /// Two 16-bit integers.
    Ci16,
    /// Two 32-bit floats.
    Cf32,
}

/// Writes a recording.
pub fn run(arguments: &Arguments) -> anyhow::Result<Outcome> {
    let (origin, frequency_hz, mut mode) = arguments.mode.transmitted()?;
    let (sent, channel) = (&arguments.transmission, &arguments.channel);
    mode.parameters.bt = sent.bt.or(mode.parameters.bt);
    mode.parameters.roll_off = sent.roll_off.or(mode.parameters.roll_off);
    let symbol_rate_bd = mode.parameters.symbol_rate_bd;
    let sample_rate_hz = channel
        .rate
        .unwrap_or_else(|| (SAMPLES_PER_SYMBOL * symbol_rate_bd).max(least_rate_hz(&origin)));
    let deviation_hz = mode.parameters.deviation_hz;
    let centre_frequency_hz = channel.frequency.or(frequency_hz);
    let carrier_hz = frequency_hz.or(centre_frequency_hz);
    let flight = arguments.flight.flight(arguments.mode.satellite.as_deref(), channel.start)?;
    let audible_s = flight.as_ref().map(Flight::above_s);
    let count = match (sent.frames, audible_s) {
        (Some(count), _) => count as usize,
        (None, None) => FRAMES,
        (None, Some((rise_s, set_s))) => {
            let length = sent.frame_length.unwrap_or_else(|| mode.framing.frame_bytes().0);
            let per_frame_s = 8.0 * length.max(1) as f64 / symbol_rate_bd;
            let gap_s = if sent.frames_per_burst == 1 { sent.gap } else { 0.0 };
            ((set_s - rise_s) / (per_frame_s + gap_s)).clamp(1.0, MOST_FRAMES as f64) as usize
        }
    };
    let payloads = match sent.frame_length {
        None => frames::for_framing(&origin.framing, mode.framing.as_ref(), count, sent.seed),
        Some(length) => {
            let (shortest, longest) = mode.framing.frame_bytes();
            if !(shortest..=longest).contains(&length) {
                return Err(RequestError::new(
                    "--frame-length",
                    format!("{length} bytes do not fit {}", origin.framing),
                    format!("accepted: {shortest} to {longest}"),
                )
                .into());
            }
            frames::of_length(&origin.framing, length, count, sent.seed)
        }
    };
    let mut transmission = Transmission::new(mode, payloads)?;
    transmission.frames_per_burst =
        if sent.frames_per_burst == 0 { usize::MAX } else { sent.frames_per_burst };
    transmission.preamble_symbols = sent.preamble as usize;
    transmission.lead_in_s = sent.gap;
    transmission.gap_s = sent.gap;
    transmission.tail_s = sent.gap;
    if let Some((rise_s, set_s)) = audible_s {
        transmission.lead_in_s = sent.gap.max(rise_s);
        transmission.until_s = set_s;
    }

    // The carrier lies where a receiver tuned to the centre would see it.
    let offset_hz = channel.offset
        + match (channel.frequency, frequency_hz) {
            (Some(centre_hz), Some(carrier_hz)) => carrier_hz - centre_hz,
            _ => 0.0,
        };
    let placed_by = if offset_hz == channel.offset { "--offset" } else { "--frequency" };
    for (option, hz) in [(placed_by, Some(offset_hz)), ("--deviation", deviation_hz)] {
        if let Some(hz) = hz.filter(|hz| hz.abs() > sample_rate_hz / 2.0) {
            return Err(RequestError::new(
                option,
                format!("{hz} Hz is outside a recording of {sample_rate_hz} samples per second"),
                format!("accepted: up to ±{} Hz, or give a higher --rate", sample_rate_hz / 2.0),
            )
            .into());
        }
    }
    let mut settings = Channel {
        esn0_db: channel.esn0.unwrap_or(f64::INFINITY),
        frequency_offset_hz: offset_hz,
        frequency_rate_hz_per_s: channel.drift,
        clock_ppm: channel.clock,
        dc: tulpar::Complex32::new(channel.dc as f32, channel.dc as f32),
        quantisation_bits: channel.quantisation,
        seed: sent.seed,
        ..Channel::default()
    };
    if let Some(text) = &channel.pass {
        let (altitude_km, elevation_deg) = pair("--pass", text, "500,40")?;
        let carrier_hz = carrier_hz.ok_or_else(|| {
            RequestError::new("--pass", "the carrier is not known", "add --frequency HZ")
        })?;
        if !(altitude_km > 0.0 && (0.0..=90.0).contains(&elevation_deg)) {
            return Err(RequestError::new(
                "--pass",
                format!("{altitude_km} km and {elevation_deg}° are no pass"),
                "accepted: an altitude above 0 km and an elevation of 0 to 90°",
            )
            .into());
        }
        let pass = Pass::new(altitude_km, elevation_deg);
        let middle_s = duration_s(&transmission) / 2.0;
        settings.doppler_hz = pass.doppler_curve(carrier_hz, -middle_s);
        settings.gain_db = pass.gain_curve(-middle_s);
    }
    let start = flight.as_ref().map(Flight::start).or(channel.start);
    if let Some(flight) = &flight {
        let carrier_hz = carrier_hz.ok_or_else(|| {
            RequestError::new("--elements", "the carrier is not known", "add --frequency HZ")
        })?;
        settings.doppler_hz = flight.doppler_curve(carrier_hz);
        settings.gain_db = flight.gain_curve();
    }
    if let Some(table) = arguments.flight.table(carrier_hz)? {
        let start = start.ok_or_else(|| {
            RequestError::new("--doppler", "the table needs a time", "add --start RFC3339")
        })?;
        settings.doppler_hz = predicted_curve(Arc::new(table), start);
    }
    if let Some(text) = &channel.fading {
        let (rate_hz, k_factor_db) = pair("--fading", text, "2,6")?;
        // Above a 200th of the sample rate the model does not hold.
        let fastest_hz = sample_rate_hz / 200.0;
        if !(0.0..=fastest_hz).contains(&rate_hz) {
            return Err(RequestError::new(
                "--fading",
                format!("{rate_hz} Hz is out of range"),
                format!("accepted: a rate of 0 to {fastest_hz} Hz"),
            )
            .into());
        }
        settings.fading = Some(Fading { rate_hz, k_factor_db });
    }
    if let Some(text) = &channel.iq_imbalance {
        let (gain_db, phase_deg) = pair("--iq-imbalance", text, "0.5,2")?;
        settings.iq_gain_imbalance_db = gain_db;
        settings.iq_phase_imbalance_deg = phase_deg;
    }
    let mut simulator =
        Simulator::new(transmission, settings, sample_rate_hz, start, centre_frequency_hz)
            .map_err(as_written)?;
    let format = match channel.format {
        Format::Ci16 => SampleCoding::Ci16,
        Format::Cf32 => SampleCoding::Cf32,
    };
    let description = format!(
        "tulpar simulate: {} {} Bd, {}",
        origin.modulation, origin.symbol_rate_bd, origin.framing
    );
    let written = sigmf_writer::write(&arguments.base, &mut simulator, format, &description);
    let recording = written.map_err(unwritable)?;
    let frames = simulator.sent().len();
    let plural = if frames == 1 { "" } else { "s" };
    complain(&format!(
        "{frames} frame{plural} in {:.2} s, {}",
        simulator.samples_read() as f64 / sample_rate_hz,
        recording.meta.display()
    ));
    Ok(Outcome::Done)
}

impl FlightArguments {
    /// The pass that is flown, if elements are given: the one at `start`, or the first after the
    /// elements' epoch.
    fn flight(
        &self,
        satellite: Option<&str>,
        start: Option<Timestamp>,
    ) -> Result<Option<Flight>, RequestError> {
        if !self.sky.names_elements() {
            return Ok(None);
        }
        let store = self.sky.elements()?;
        let (station, _) = self.sky.station()?;
        // Of several sets of an object the one that is nearest to the start.
        let at = start.unwrap_or(Timestamp::UNIX_EPOCH);
        let elements = match (&self.object, satellite) {
            (Some(name), _) => store.find_written(name, at)?,
            (None, Some(name)) => {
                let catalogue = Catalogue::load()?;
                sky::elements_of(&store, catalogue.find(name)?, at)?.0
            }
            (None, None) => sky::only_object(&store, at)?,
        };
        let subject = format!("elements of {}", elements.label());
        let orbit = Arc::new(Orbit::new(elements)?);
        let from = start.unwrap_or(elements.epoch);
        let found = Flight::first(orbit, station, from, LONGEST_WAIT_S).map_err(|error| {
            RequestError::new(&subject, error.to_string(), "give a --start near their epoch")
        })?;
        let Some(flight) = found else {
            return Err(RequestError::new(
                subject,
                format!("it does not rise over {station} within a day of {from:.0}"),
                "choose another --station or --start",
            ));
        };
        let rise_s = flight.above_s().0;
        let rise = after(from, rise_s);
        match start {
            Some(_) if rise_s > MOST_SILENCE_S => Err(RequestError::new(
                "--start",
                format!("the satellite rises {:.0} minutes later", rise_s / 60.0),
                format!("accepted: up to {MOST_SILENCE_S} s before, for instance {rise:.0}"),
            )),
            Some(_) => Ok(Some(flight)),
            None => Ok(Some(flight.beginning_at(rise_s))),
        }
    }

    /// The table, if one is given.
    fn table(&self, carrier_hz: Option<f64>) -> Result<Option<Table>, RequestError> {
        let Some(text) = &self.doppler else { return Ok(None) };
        let path = text.strip_prefix("file:").filter(|path| !path.is_empty()).ok_or_else(|| {
            RequestError::new("--doppler", format!("\"{text}\" is no table"), "write file:PATH")
        })?;
        let lines = std::fs::read_to_string(path).map_err(|error| {
            RequestError::new(text, format!("cannot be read ({error})"), "name a table")
        })?;
        Table::parse(path, &lines, carrier_hz).map(Some)
    }
}

/// The simulator's words for what are options here.
fn as_written(error: RequestError) -> RequestError {
    let option = match error.subject.as_str() {
        "sample rate" => "--rate",
        "clock" => "--clock",
        "lead-in" | "gap" | "tail" => "--gap",
        _ => return error,
    };
    RequestError { subject: option.to_owned(), ..error }
}

/// A place that cannot be written is a wrong request; a disk that fills up is not.
fn unwritable(error: SourceError) -> anyhow::Error {
    use std::io::ErrorKind;
    match error.cause.kind() {
        ErrorKind::NotFound
        | ErrorKind::NotADirectory
        | ErrorKind::IsADirectory
        | ErrorKind::PermissionDenied
        | ErrorKind::ReadOnlyFilesystem
        | ErrorKind::InvalidInput
        | ErrorKind::InvalidFilename => RequestError::new(
            &error.name,
            format!("cannot be created: {}", error.cause),
            "name a folder that exists and can be written to",
        )
        .into(),
        _ => error.into(),
    }
}

/// Room that a modulation needs whatever its symbol rate.
fn least_rate_hz(origin: &Origin) -> f64 {
    // Voice-grade FM: ±5 kHz of deviation and its sidebands.
    if origin.modulation == "AFSK" { 48_000.0 } else { 0.0 }
}

/// Two numbers with a comma between them.
fn pair(option: &str, text: &str, example: &str) -> Result<(f64, f64), RequestError> {
    text.split_once(',')
        .and_then(|(a, b)| Some((a.trim().parse().ok()?, b.trim().parse().ok()?)))
        .filter(|(a, b): &(f64, f64)| a.is_finite() && !b.is_nan())
        .ok_or_else(|| {
            RequestError::new(
                option,
                format!("\"{text}\" is not two numbers"),
                format!("write it like {option} {example}"),
            )
        })
}

/// About how long a transmission takes.
fn duration_s(transmission: &Transmission) -> f64 {
    let mut bits = Vec::new();
    let mut encoder = transmission.framing.encoder();
    if let Some(frame) = transmission.frames.first() {
        // A frame that does not fit is refused later, with its reason.
        let _ = encoder.frame(frame, &mut bits);
    }
    let frames = transmission.frames.len();
    let bursts = frames.div_ceil(transmission.frames_per_burst.max(1)).max(1);
    let symbols = frames * bits.len() + bursts * transmission.preamble_symbols;
    transmission.lead_in_s
        + transmission.tail_s
        + (bursts - 1) as f64 * transmission.gap_s
        + symbols as f64 / transmission.symbol_rate_bd
}
