//! Samples in, one file a kind.
//!
//! A source is read by one thread, in blocks, and never holds more than a block in memory. Time is
//! the sample counter: a source says once per anchor which UTC and which centre frequency a sample
//! has, and everything later is derived.

use jiff::Timestamp;
use num_complex::Complex32;

use crate::error::RequestError;

/// What a source knows before its first sample.
#[derive(Debug, Clone, PartialEq)]
pub struct SourceInfo {
    /// What is read, for messages: a path, "standard input", a device.
    pub name: String,
    /// Samples per second.
    pub sample_rate_hz: f64,
    /// Complex samples; otherwise real ones, with imaginary parts of 0.
    pub complex: bool,
    /// Number of samples, if it is known.
    pub length_samples: Option<u64>,
    /// Something odd that the source coped with (truncated file, lying chunk size), one line each.
    pub warnings: Vec<String>,
}

/// Ties a sample to time and frequency. Holds until the next one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Anchor {
    /// Index of the sample in the input.
    pub sample: u64,
    /// Its UTC.
    pub time: Option<Timestamp>,
    /// Frequency at 0 Hz of the baseband.
    pub centre_frequency_hz: Option<f64>,
}

/// Some contiguous samples of an input.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SampleBlock {
    /// Index of the first of them. More than the end of the previous block: samples are missing.
    pub first_sample: u64,
    /// A new anchor, if one begins with this block. The first block of an input always has one.
    pub anchor: Option<Anchor>,
    /// The samples, full scale ±1. Real inputs have imaginary parts of 0. NaN and infinity are
    /// replaced by 0 by the source.
    pub samples: Vec<Complex32>,
}

/// Reading stopped before the end of the input: everything read so far is good.
#[derive(Debug, thiserror::Error)]
#[error("{name}: {cause}")]
pub struct SourceError {
    /// The source.
    pub name: String,
    /// What happened.
    #[source]
    pub cause: std::io::Error,
}

/// An open input.
pub trait Source: Send {
    /// What is known of it.
    fn info(&self) -> &SourceInfo;

    /// Reads the next block, clearing `block` first; at most `max_samples` samples. `false`: the
    /// input has ended and the block is empty.
    ///
    /// # Errors
    /// The medium failed.
    fn read(&mut self, block: &mut SampleBlock, max_samples: usize) -> Result<bool, SourceError>;
}

/// What the user said about an input; `None` leaves it to the file.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct InputOptions {
    /// Raw sample format (`cu8`, `ci16`, `cf32`, `rf32` …).
    pub format: Option<String>,
    /// Sample rate.
    pub sample_rate_hz: Option<f64>,
    /// Frequency at 0 Hz of the baseband.
    pub centre_frequency_hz: Option<f64>,
    /// UTC of the first sample.
    pub start: Option<Timestamp>,
}

/// Opens a recording by what its name and content say: SigMF, WAV, raw, or `-` for standard input.
///
/// # Errors
/// The file is missing, malformed, or lacks something the user must say.
pub fn open(path: &str, options: &InputOptions) -> Result<Box<dyn Source>, RequestError> {
    let _ = (path, options);
    Err(RequestError::new(path, "no source reads this yet", "nothing"))
}
