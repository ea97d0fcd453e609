//! `tulpar receive`: a radio in, frames out, until it is told to stop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use tulpar::RequestError;
use tulpar::doppler::blind_search_hz;
use tulpar::receiver::Downlink;
use tulpar::runtime::{Pace, Session};
use tulpar::source::device::{DeviceUri, Gain, OpenError, RadioSettings};
use tulpar::source::reopen::{ReopenEvent, Reopening};
use tulpar::source::tuning::{Occupied, USABLE_SHARE, choose_centre};
use tulpar::source::{Anchor, Source};

use super::Outcome;
use super::decode::{self, Decoding, ModeArguments, Placement};
use super::doppler::{self, DopplerArguments};
use super::numbers;
use super::output::{self, OutputArguments, Screen};
use super::record::{self, RecordArguments};
use super::replay::Reach;

/// Sample rates that are tried in turn if none is given; common radios can do them.
const RATES_HZ: [f64; 4] = [250_000.0, 1_024_000.0, 2_048_000.0, 2_400_000.0];
/// The spike at 0 Hz of a radio is at least so far from a downlink.
const GUARD_HZ: f64 = 2_000.0;

/// Receive live.
#[derive(clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    mode: ModeArguments,
    #[command(flatten)]
    doppler: DopplerArguments,
    #[command(flatten)]
    radio: RadioArguments,
    #[command(flatten)]
    record: RecordArguments,
    #[command(flatten)]
    output: OutputArguments,
}

/// The radio, and how it is set up.
#[derive(clap::Args)]
struct RadioArguments {
    /// Radio or stream: rtl_tcp://HOST[:PORT], udp://[HOST]:PORT?format=cs16&rate=48000,
    /// tcp://HOST:PORT?…, soapy:driver=rtlsdr
    #[arg(long, value_name = "URI", help_heading = "Radio")]
    device: Option<String>,
    /// Samples per second; as few as hold the downlinks if not given
    #[arg(long, value_name = "HZ", value_parser = numbers::sample_rate, allow_negative_numbers = true,
          help_heading = "Radio")]
    rate: Option<f64>,
    /// Frequency to tune to; chosen so that the radio's own spike is outside the downlinks if not
    /// given
    #[arg(long, value_name = "HZ", value_parser = numbers::carrier, allow_negative_numbers = true,
          help_heading = "Radio")]
    frequency: Option<f64>,
    /// Gain in dB, or auto
    #[arg(long, value_name = "DB|auto", allow_hyphen_values = true, help_heading = "Radio")]
    gain: Option<Gain>,
    /// Error of the radio's oscillator, positive if it is too fast
    #[arg(long, value_name = "PPM", value_parser = numbers::between(-1e4, 1e4),
          allow_negative_numbers = true, help_heading = "Radio")]
    ppm: Option<f64>,
    /// Antenna input, as the device names it
    #[arg(long, value_name = "NAME", help_heading = "Radio")]
    antenna: Option<String>,
    /// Width of the filter before the converter
    #[arg(long, value_name = "HZ", value_parser = numbers::between(1.0, 1e10),
          allow_negative_numbers = true, help_heading = "Radio")]
    bandwidth: Option<f64>,
    /// Power an amplifier through the antenna's cable
    #[arg(long, help_heading = "Radio")]
    bias_tee: bool,
    /// Where the radio's clock comes from, as the device names it
    #[arg(long, value_name = "NAME", help_heading = "Radio")]
    clock_source: Option<String>,
    /// Where the radio's time comes from, as the device names it
    #[arg(long, value_name = "NAME", help_heading = "Radio")]
    time_source: Option<String>,
    /// Search the carrier within ± this of where it should be
    #[arg(long, value_name = "HZ", value_parser = numbers::between(0.0, 1e9), allow_negative_numbers = true,
          help_heading = "Radio")]
    search: Option<f64>,
    /// How far to go for a frame
    #[arg(long, value_name = "HOW", value_enum, default_value_t = Reach::Full, help_heading = "Radio")]
    effort: Reach,
    /// Stop after so many seconds
    #[arg(long, value_name = "S", value_parser = numbers::between(0.001, 1e9),
          allow_negative_numbers = true, help_heading = "Radio")]
    duration: Option<f64>,
}

impl RadioArguments {
    /// As the command line says, or else the flowgraph file.
    fn settings(
        &self,
        uri: &DeviceUri,
        decoding: &Decoding,
    ) -> Result<RadioSettings, RequestError> {
        let file = &decoding.radio;
        let mut settings = RadioSettings {
            sample_rate_hz: self.rate.or(file.sample_rate_hz),
            centre_frequency_hz: self.frequency.or(file.centre_frequency_hz),
            gain: self.gain.or(file.gain),
            ppm: self.ppm.or(file.ppm),
            bandwidth_hz: self.bandwidth.or(file.bandwidth_hz),
            antenna: self.antenna.clone().or(file.antenna.clone()),
            bias_tee: self.bias_tee.then_some(true).or(file.bias_tee),
            clock_source: self.clock_source.clone().or(file.clock_source.clone()),
            time_source: self.time_source.clone().or(file.time_source.clone()),
            ..RadioSettings::default()
        };
        if matches!(uri, DeviceUri::RtlTcp { .. } | DeviceUri::Soapy { .. }) {
            (settings.sample_rate_hz, settings.centre_frequency_hz) =
                tuned(settings.sample_rate_hz, settings.centre_frequency_hz, &decoding.downlinks)?;
        }
        Ok(settings)
    }
}

/// Rate and frequency of a radio that has to be told: as asked for, else as the downlinks need.
fn tuned(
    rate: Option<f64>,
    frequency: Option<f64>,
    downlinks: &[Downlink],
) -> Result<(Option<f64>, Option<f64>), RequestError> {
    let occupied: Vec<Occupied> = downlinks
        .iter()
        .filter_map(|downlink| {
            let frequency_hz = downlink.frequency_hz?;
            let width_hz = 2.0
                * (blind_search_hz(frequency_hz)
                    + downlink.parameters.symbol_rate_bd
                    + downlink.parameters.deviation_hz.unwrap_or(0.0).abs());
            Some(Occupied { frequency_hz, width_hz })
        })
        .collect();
    if frequency.is_some() && rate.is_some() {
        return Ok((rate, frequency));
    }
    let widest = occupied.iter().map(|o| o.width_hz).fold(0.0, f64::max);
    let rates: Vec<f64> = rate.map_or_else(|| RATES_HZ.to_vec(), |rate| vec![rate]);
    let mut refused = None;
    for rate_hz in rates {
        match frequency {
            Some(frequency_hz) => {
                let fits = |o: &Occupied| {
                    (o.frequency_hz - frequency_hz).abs() + o.width_hz / 2.0
                        <= 0.5 * USABLE_SHARE * rate_hz
                };
                if widest <= USABLE_SHARE * rate_hz && occupied.iter().all(fits) {
                    return Ok((Some(rate_hz), Some(frequency_hz)));
                }
            }
            None => match choose_centre(&occupied, USABLE_SHARE * rate_hz, rate_hz, GUARD_HZ) {
                Ok(centre_hz) => return Ok((Some(rate_hz), Some(centre_hz))),
                Err(error) => refused = Some(error),
            },
        }
    }
    Err(refused.unwrap_or_else(|| {
        RequestError::new(
            "--frequency",
            "the downlinks do not fit into a radio's band around it",
            "leave it out, or choose fewer downlinks with --downlink",
        )
    }))
}

/// Receives until it is told to stop.
pub fn run(arguments: &Arguments) -> anyhow::Result<Outcome> {
    let mut decoding = arguments.mode.resolve()?;
    let said = &arguments.radio;
    let device = said.device.clone().or(decoding.device.take()).ok_or_else(|| {
        RequestError::new(
            "--device",
            "missing",
            "name a radio or stream, for instance rtl_tcp://localhost, or soapy:driver=rtlsdr",
        )
    })?;
    let uri = DeviceUri::parse(&device)?;
    let settings = said.settings(&uri, &decoding)?;
    let screen = Screen::live(arguments.output.quiet);
    let stop = output::stop_on_signal(&screen);
    let source = open(&uri, settings.clone(), &stop, &screen)?;
    let centre_frequency_hz = settings.centre_frequency_hz.or(stream_centre_hz(&uri));
    let now = Anchor { sample: 0, time: Some(Timestamp::now()), centre_frequency_hz };
    let plan = arguments.doppler.plan(&decoding, source.info(), Some(&now))?;
    let placement = Placement {
        kind: None,
        intermediate_frequency_hz: None,
        search_hz: said.search,
        effort: said.effort.into(),
        centre_frequency_hz,
        aim: plan.aim,
    };
    let receivers = decode::receivers(&mut decoding, source.info(), &placement)?;
    let recorder = arguments.record.request(
        &decoding,
        &receivers,
        source.info(),
        &placement.aim,
        Some(uri.to_string()),
    )?;
    let sinks = arguments.output.open(&decoding.sinks, &screen)?;
    let quiet = arguments.output.quiet;
    if !quiet {
        decoding.notes.iter().chain(&plan.notes).for_each(|note| screen.say(note));
        screen.say(&listening(&uri, source.info().sample_rate_hz, centre_frequency_hz, &decoding));
    }
    if let Some(duration_s) = said.duration {
        stop_after(duration_s, stop.clone())?;
    }
    let session = Session {
        source: Box::new(source),
        receivers,
        sinks,
        recorder,
        pace: Pace::Live,
        stop,
        status: Arc::default(),
        on_sink_error: Arc::new(|_| {}),
    };
    let summary = output::run_live(session, &screen, placement.aim.lookout())?;
    if !quiet {
        for fit in summary.downlinks.iter().filter_map(|downlink| downlink.fit) {
            screen.say(&format!("Doppler: {}", doppler::said_by_frames(&fit)));
        }
        summary.recorder.iter().for_each(|report| screen.say(&record::said(report)));
    }
    Ok(output::conclude(&summary, &screen, quiet))
}

/// Opens the radio; what becomes of it later is said on the screen.
fn open(
    uri: &DeviceUri,
    settings: RadioSettings,
    stop: &Arc<AtomicBool>,
    screen: &Screen,
) -> anyhow::Result<Reopening> {
    let (speaker, name) = (screen.clone(), uri.to_string());
    let on_event = Box::new(move |event: ReopenEvent| {
        speaker.say(&match event {
            ReopenEvent::Lost { why } => format!("{why}; trying to open it again"),
            ReopenEvent::StillLost { why, .. } => why,
            ReopenEvent::Back { after, lost_samples } => format!(
                "{name} is back after {:.1} s; {lost_samples} samples are missing",
                after.as_secs_f64()
            ),
            ReopenEvent::GivenUp { why } => format!("{why}; giving it up"),
        });
    });
    match Reopening::device(uri, settings, stop.clone(), on_event) {
        Ok(source) => Ok(source),
        Err(OpenError::Request(error)) => Err(error.into()),
        // A radio that is not there is no wrong request.
        Err(absent @ OpenError::Absent { .. }) => Err(absent.into()),
    }
}

/// The centre frequency that a stream's URI names.
fn stream_centre_hz(uri: &DeviceUri) -> Option<f64> {
    match uri {
        DeviceUri::Udp(stream) | DeviceUri::Tcp(stream) => stream.centre_frequency_hz,
        _ => None,
    }
}

fn listening(
    uri: &DeviceUri,
    sample_rate_hz: f64,
    centre_frequency_hz: Option<f64>,
    decoding: &Decoding,
) -> String {
    let tuned = centre_frequency_hz.map_or(String::new(), |hz| format!(" at {:.6} MHz", hz / 1e6));
    let whose = decoding.satellite.as_ref().map_or(String::new(), |s| format!(" for {}", s.name));
    format!("listening to {uri}{whose}: {sample_rate_hz} samples per second{tuned}; Ctrl-C stops")
}

/// Sets the flag after a time.
fn stop_after(duration_s: f64, stop: Arc<AtomicBool>) -> std::io::Result<()> {
    std::thread::Builder::new().name("duration".into()).spawn(move || {
        std::thread::sleep(Duration::from_secs_f64(duration_s));
        stop.store(true, Ordering::Relaxed);
    })?;
    Ok(())
}
