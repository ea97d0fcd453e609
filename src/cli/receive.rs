//! `tulpar receive`: a radio in, frames out, until it is told to stop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use tulpar::RequestError;
use tulpar::runtime::Status;
use tulpar::source::device::{DeviceUri, Gain, RadioSettings};
use tulpar::source::{Anchor, Source};

use super::Outcome;
use super::decode::{Decoding, ModeArguments, Placement};
use super::doppler::{self, DopplerArguments};
use super::log;
use super::numbers;
use super::output::{self, OutputArguments, Screen};
use super::reception;
use super::record::{self, RecordArguments};
use super::replay::Reach;
use super::watch::WatchArguments;

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
    watch: WatchArguments,
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
        let settings = RadioSettings {
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
        reception::tuned(uri, settings, &decoding.downlinks)
    }
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
    let status = Arc::<Status>::default();
    let _metrics = arguments.watch.serve(vec![(String::new(), status.clone())])?;
    let source = reception::open(&uri, settings.clone(), &stop, log::say)?;
    let centre_frequency_hz = reception::centre_hz(&uri, &settings);
    let sample_rate_hz = source.info().sample_rate_hz;
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
    let recording = arguments.record.settings()?.or(decoding.recording.take());
    let mut session = reception::session(
        Box::new(source),
        &mut decoding,
        &placement,
        recording.as_ref(),
        uri.to_string(),
        stop,
    )?;
    session.sinks = arguments.output.open(&decoding.sinks, &screen)?;
    let quiet = arguments.output.quiet;
    if !quiet {
        decoding.notes.iter().chain(&plan.notes).for_each(|note| screen.say(note));
        screen.say(&listening(&uri, sample_rate_hz, centre_frequency_hz, &decoding));
    }
    if let Some(duration_s) = said.duration {
        stop_after(duration_s, session.stop.clone())?;
    }
    session.status = status;
    let summary = output::run_live(session, &screen, placement.aim.lookout())?;
    if !quiet {
        for fit in summary.downlinks.iter().filter_map(|downlink| downlink.fit) {
            screen.say(&format!("Doppler: {}", doppler::said_by_frames(&fit)));
        }
        summary.recorder.iter().for_each(|report| screen.say(&record::said(report)));
    }
    Ok(output::conclude(&summary, &screen, quiet, true))
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
