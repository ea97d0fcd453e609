//! `tulpar replay`: a recording in, frames out.

use std::sync::Arc;

use jiff::Timestamp;
use tulpar::RequestError;
use tulpar::effort::Effort;
use tulpar::modulation::InputKind;
use tulpar::runtime::Session;
use tulpar::source::{self, Anchor, InputOptions, SampleBlock, Source, SourceError, SourceInfo};

use super::Outcome;
use super::decode::{self, ModeArguments, Placement};
use super::doppler::{self, DopplerArguments};
use super::numbers;
use super::output::{self, OutputArguments, Screen};

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
    input: InputArguments,
    #[command(flatten)]
    output: OutputArguments,
}

/// What the user says of the recording.
#[derive(clap::Args)]
struct InputArguments {
    /// Sample format of a raw file: cu8, ci8, ci16, cf32, … (real: ri16, rf32, …)
    #[arg(long, value_name = "FORMAT", help_heading = "Input")]
    format: Option<String>,
    /// Samples per second
    #[arg(long, value_name = "HZ", value_parser = numbers::sample_rate, allow_negative_numbers = true,
          help_heading = "Input")]
    rate: Option<f64>,
    /// Frequency at the centre of the recording
    #[arg(long, value_name = "HZ", value_parser = numbers::carrier, allow_negative_numbers = true,
          help_heading = "Input")]
    frequency: Option<f64>,
    /// UTC of the first sample
    #[arg(long, value_name = "RFC3339", value_parser = numbers::instant, help_heading = "Input")]
    start: Option<Timestamp>,
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
enum Reach {
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
    let options = InputOptions {
        format: said.format.clone().or(decoding.input.format.take()),
        sample_rate_hz: said.rate.or(decoding.input.sample_rate_hz),
        centre_frequency_hz: said.frequency.or(decoding.input.centre_frequency_hz),
        start: said.start.or(decoding.input.start),
    };
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
        // Clients of the radio know no time but now.
        paced: said.realtime || plan.server.is_some(),
        progress: Arc::default(),
        on_sink_error: Arc::new(|_| {}),
    };
    let summary = output::run(session, &screen)?;
    if !quiet {
        for fit in summary.downlinks.iter().filter_map(|downlink| downlink.fit) {
            screen.say(&format!("Doppler: {}", doppler::said_by_frames(&fit)));
        }
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
    Ok(output::conclude(&summary, &screen, quiet))
}

/// A source whose first sample was looked at before reading goes on.
struct Peeked {
    inner: Box<dyn Source>,
    first: Option<SampleBlock>,
}

impl Peeked {
    /// Reads one sample, and tells the anchor that comes with it (`None`: there is no sample).
    fn open(mut inner: Box<dyn Source>) -> Result<(Self, Option<Anchor>), SourceError> {
        let mut block = SampleBlock::default();
        let any = inner.read(&mut block, 1)?;
        let anchor = block.anchor;
        Ok((Self { inner, first: any.then_some(block) }, anchor))
    }
}

impl Source for Peeked {
    fn info(&self) -> &SourceInfo {
        self.inner.info()
    }

    fn read(&mut self, block: &mut SampleBlock, max_samples: usize) -> Result<bool, SourceError> {
        match self.first.take() {
            Some(first) => {
                *block = first;
                Ok(true)
            }
            None => self.inner.read(block, max_samples),
        }
    }

    fn replaced_values(&self) -> u64 {
        self.inner.replaced_values()
    }
}
