//! How a recording is opened: what the user says of it, and a look at its first sample.

use jiff::Timestamp;
use tulpar::source::{Anchor, InputOptions, SampleBlock, Source, SourceError, SourceInfo};

use super::numbers;

/// What the user says of a recording.
#[derive(clap::Args, Clone, Default)]
pub struct RecordingArguments {
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
}

impl RecordingArguments {
    /// With what another file says, where the command line says nothing.
    pub fn or(&self, other: &InputOptions) -> InputOptions {
        InputOptions {
            format: self.format.clone().or_else(|| other.format.clone()),
            sample_rate_hz: self.rate.or(other.sample_rate_hz),
            centre_frequency_hz: self.frequency.or(other.centre_frequency_hz),
            start: self.start.or(other.start),
        }
    }
}

/// A source whose first sample was looked at before reading goes on.
pub struct Peeked {
    inner: Box<dyn Source>,
    first: Option<SampleBlock>,
}

impl Peeked {
    /// Reads one sample, and tells the anchor that comes with it (`None`: there is no sample).
    pub fn open(mut inner: Box<dyn Source>) -> Result<(Self, Option<Anchor>), SourceError> {
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
