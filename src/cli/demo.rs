//! `tulpar demo`: a simulated pass, received by the same flowgraph as everything else.

use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use tulpar::catalogue::Catalogue;
use tulpar::runtime::{Pace, Session};
use tulpar::simulation::{Channel, Pass, SentFrame, Simulator, Transmission, frames};
use tulpar::source::{SampleBlock, Source, SourceError, SourceInfo};

use super::Outcome;
use super::decode::{self, ModeArguments, Placement};
use super::numbers;
use super::output::{self, OutputArguments, Screen};

/// The satellite of the demo.
const SATELLITE: &str = "OTS CubeSat";
/// Its beacon.
const DOWNLINK: &str = "UHF beacon";
/// The middle of a pass of this orbit, in the beacon's hours of need: a frame a second.
const ALTITUDE_KM: f64 = 500.0;
const ELEVATION_DEG: f64 = 55.0;
const SAMPLE_RATE_HZ: f64 = 48_000.0;
const FRAMES: u32 = 60;
/// More than that is no short pass.
const MOST_FRAMES: i64 = 10_000;
const GAP_S: f64 = 0.85;
/// Es/N0 at closest approach, and what is lost towards the ends is path loss.
const ESN0_DB: f64 = 12.0;
const CLOCK_PPM: f64 = 12.0;
const START: &str = "2026-11-22T09:41:00Z";

/// Transmit a short simulated pass and receive it.
#[derive(clap::Args)]
pub struct Arguments {
    /// Es/N0 at closest approach, in dB
    #[arg(long, value_name = "DB", default_value_t = ESN0_DB, value_parser = numbers::decibels,
          allow_negative_numbers = true)]
    esn0: f64,
    /// Number of frames sent
    #[arg(long, default_value_t = FRAMES, value_name = "N",
          value_parser = clap::value_parser!(u32).range(..=MOST_FRAMES), allow_negative_numbers = true)]
    frames: u32,
    /// Seed of frames and noise
    #[arg(long, default_value_t = 1, allow_negative_numbers = true)]
    seed: u64,
    #[command(flatten)]
    output: OutputArguments,
}

/// Runs the demo.
pub fn run(arguments: &Arguments) -> anyhow::Result<Outcome> {
    let catalogue = Catalogue::load()?;
    let entry = catalogue.find(SATELLITE)?.downlink(DOWNLINK)?;
    let mode = entry.mode()?;
    let payloads = frames::for_framing(
        &entry.framing,
        mode.framing.as_ref(),
        arguments.frames as usize,
        arguments.seed,
    );
    let mut transmission = Transmission::new(mode, payloads)?;
    transmission.gap_s = GAP_S;
    let middle_s = f64::from(arguments.frames) * (GAP_S + 0.15) / 2.0;
    let pass = Pass::new(ALTITUDE_KM, ELEVATION_DEG);
    let channel = Channel {
        esn0_db: arguments.esn0,
        doppler_hz: pass.doppler_curve(entry.frequency_hz, -middle_s),
        gain_db: pass.gain_curve(-middle_s),
        clock_ppm: CLOCK_PPM,
        quantisation_bits: Some(8),
        seed: arguments.seed,
        ..Channel::default()
    };
    let start: Timestamp = START.parse()?;
    let simulator = Simulator::new(
        transmission,
        channel,
        SAMPLE_RATE_HZ,
        Some(start),
        Some(entry.frequency_hz),
    )?;
    let screen = Screen::new(simulator.info(), arguments.output.quiet);
    let request = ModeArguments {
        satellite: Some(SATELLITE.to_owned()),
        downlink: Some(DOWNLINK.to_owned()),
        ..ModeArguments::default()
    };
    let mut decoding = request.resolve()?;
    let placement =
        Placement { centre_frequency_hz: Some(entry.frequency_hz), ..Placement::default() };
    let receivers = decode::receivers(&mut decoding, simulator.info(), &placement)?;
    let sinks = arguments.output.open(&[], &screen)?;
    if !arguments.output.quiet {
        screen.say(&format!(
            "{SATELLITE}, {DOWNLINK}: {} Bd GMSK at {:.3} MHz, simulated pass over {ELEVATION_DEG}°, \
             Es/N0 {} dB at closest approach",
            entry.symbol_rate_bd,
            entry.frequency_hz / 1e6,
            arguments.esn0
        ));
    }
    let sent = Arc::new(Mutex::new(Vec::new()));
    let session = Session {
        source: Box::new(Told { simulator, sent: sent.clone() }),
        receivers,
        sinks,
        recorder: None,
        observer: None,
        pace: Pace::Free,
        stop: Arc::default(),
        status: Arc::default(),
        on_sink_error: Arc::new(|_| {}),
    };
    let summary = output::run(session, &screen)?;
    if !arguments.output.quiet {
        let sent = sent.lock().unwrap_or_else(PoisonError::into_inner).len();
        screen.say(&format!("{} of {sent} frames sent were received", summary.frames));
    }
    Ok(output::conclude(&summary, &screen, arguments.output.quiet, false))
}

/// A simulator that leaves the list of what it sent behind when it ends.
struct Told {
    simulator: Simulator,
    sent: Arc<Mutex<Vec<SentFrame>>>,
}

impl Source for Told {
    fn info(&self) -> &SourceInfo {
        self.simulator.info()
    }

    fn read(&mut self, block: &mut SampleBlock, max_samples: usize) -> Result<bool, SourceError> {
        let more = self.simulator.read(block, max_samples)?;
        if !more {
            *self.sent.lock().unwrap_or_else(PoisonError::into_inner) =
                self.simulator.sent().to_vec();
        }
        Ok(more)
    }
}
