//! `tulpar replay`: a recording in, frames out.

use std::sync::Arc;

use tulpar::RequestError;
use tulpar::effort::Effort;
use tulpar::modulation::InputKind;
use tulpar::runtime::{Pace, Session};
use tulpar::source::{self, Source};

use super::Outcome;
use super::decode::{self, ModeArguments, Placement};
use super::doppler::{self, DopplerArguments};
use super::numbers;
use super::output::{self, OutputArguments, Screen};
use super::record::{self, RecordArguments};
use super::recording::{Peeked, RecordingArguments};

/// Decode a recording.
#[derive(clap::Args)]
pub struct Arguments {
    /// Recording: WAV, SigMF (-meta, -data, archive or base name), raw, or - for standard input
    #[arg(value_name = "FILE")]
    file: Option<String>,
    #[command(flatten)]
    mode: ModeArguments,
    #[command(flatten)]
    doppler: DopplerArguments,
    #[command(flatten)]
    recording: RecordingArguments,
    #[command(flatten)]
    input: InputArguments,
    #[command(flatten)]
    record: RecordArguments,
    #[command(flatten)]
    output: OutputArguments,
}

/// How the recording is decoded.
#[derive(clap::Args)]
struct InputArguments {
    /// What a one-channel recording holds; the custom of the modulation if not given
    #[arg(long, value_name = "KIND", value_enum, help_heading = "Input")]
    input: Option<Kind>,
    /// Carrier of a real intermediate frequency
    #[arg(long, value_name = "HZ", value_parser = numbers::between(1.0, 1e9), allow_negative_numbers = true,
          help_heading = "Input")]
    intermediate_frequency: Option<f64>,
    /// Search the carrier within ± this of where it should be; as far as what is known of its
    /// Doppler shift demands if not given
    #[arg(long, value_name = "HZ", value_parser = numbers::between(0.0, 1e9), allow_negative_numbers = true,
          help_heading = "Input")]
    search: Option<f64>,
    /// How far to go for a frame
    #[arg(long, value_name = "HOW", value_enum, default_value_t = Reach::Full, help_heading = "Input")]
    effort: Reach,
    /// Read in real time instead of as fast as possible
    #[arg(long, help_heading = "Input")]
    realtime: bool,
}

/// Words of `--input`.
#[derive(clap::ValueEnum, Clone, Copy)]
enum Kind {
    /// Complex baseband.
    Iq,
    /// Output of an FM discriminator.
    FmAudio,
    /// Real intermediate frequency.
    RealIf,
}

impl From<Kind> for InputKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Iq => InputKind::Iq,
            Kind::FmAudio => InputKind::FmAudio,
            Kind::RealIf => InputKind::RealIf,
        }
    }
}

/// Words of `--effort`.
#[derive(clap::ValueEnum, Clone, Copy)]
pub enum Reach {
    /// Decide every symbol once, repair nothing
    OnePass,
    /// Every frame that is beyond doubt
    Full,
    /// Also frames that are likely right; they are marked
    Doubtful,
}

impl From<Reach> for Effort {
    fn from(reach: Reach) -> Self {
        match reach {
            Reach::OnePass => Effort::OnePass,
            Reach::Full => Effort::Full,
            Reach::Doubtful => Effort::Doubtful,
        }
    }
}

/// Decodes a recording.
pub fn run(arguments: &Arguments) -> anyhow::Result<Outcome> {
    let mut decoding = arguments.mode.resolve()?;
    let said = &arguments.input;
    let options = arguments.recording.or(&decoding.input);
    let file = arguments.file.clone().or(decoding.input_file.take()).ok_or_else(|| {
        RequestError::new("FILE", "missing", "name a recording, or - for standard input")
    })?;
    let source = source::open(&file, &options)?;
    let screen = Screen::new(source.info(), arguments.output.quiet);
    let (source, first) = Peeked::open(source)?;
    let plan = arguments.doppler.plan(&decoding, source.info(), first.as_ref())?;
    let placement = Placement {
        kind: said.input.map(InputKind::from),
        intermediate_frequency_hz: said.intermediate_frequency,
        search_hz: said.search,
        effort: said.effort.into(),
        centre_frequency_hz: first.and_then(|a| a.centre_frequency_hz),
        aim: plan.aim,
    };
    let receivers = decode::receivers(&mut decoding, source.info(), &placement)?;
    let recorder = arguments.record.settings()?.map(|settings| {
        record::request(&settings, &decoding, &receivers, source.info(), &placement.aim, None)
    });
    let recorder = recorder.transpose()?;
    let sinks = arguments.output.open(&decoding.sinks, &screen)?;
    let quiet = arguments.output.quiet;
    let name = source.info().name.clone();
    let warnings = source.info().warnings.len();
    if !quiet {
        for note in &decoding.notes {
            screen.say(note);
        }
        for note in &plan.notes {
            screen.say(note);
        }
        for warning in &source.info().warnings {
            screen.say(&format!("{name}: {warning}"));
        }
    }
    let session = Session {
        source: Box::new(source),
        receivers,
        sinks,
        recorder,
        observer: None,
        // Clients of the radio know no time but now.
        pace: if said.realtime || plan.server.is_some() { Pace::RealTime } else { Pace::Free },
        stop: output::stop_on_signal(&screen),
        status: Arc::default(),
        on_sink_error: Arc::new(|_| {}),
    };
    let summary = output::run(session, &screen)?;
    if !quiet {
        for fit in summary.downlinks.iter().filter_map(|downlink| downlink.fit) {
            screen.say(&format!("Doppler: {}", doppler::said_by_frames(&fit)));
        }
        summary.recorder.iter().for_each(|report| screen.say(&record::said(report)));
        // Some things show only while reading.
        for warning in summary.source_warnings.iter().skip(warnings) {
            screen.say(&format!("{name}: {warning}"));
        }
        if summary.replaced_values > 0 {
            screen.say(&format!(
                "{name}: {} values were NaN, infinite or absurdly large and were read as 0",
                summary.replaced_values
            ));
        }
    }
    Ok(output::conclude(&summary, &screen, quiet, false))
}
