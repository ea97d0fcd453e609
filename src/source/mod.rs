//! Samples in, one file a kind.
//!
//! A source is read by one thread, in blocks, and never holds more than a block in memory. Time is
//! the sample counter: a source says once per anchor which UTC and which centre frequency a sample
//! has, and everything later is derived.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use jiff::Timestamp;
use num_complex::Complex32;

use crate::error::RequestError;

pub mod format;
pub mod raw;
pub mod sigmf;
pub mod stdin;
mod stream;
pub mod wav;

/// Every kind of source, in the order in which they are listed.
pub const SOURCES: &[SourceKind] = &[wav::KIND, sigmf::KIND, raw::KIND, stdin::KIND];

/// A kind of source, for lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SourceKind {
    /// Its name.
    pub name: &'static str,
    /// What it reads.
    pub what: &'static str,
    /// What the user writes to get it.
    pub asked_for: &'static str,
}

/// What a source knows before its first sample; `warnings` may grow while it is read.
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

    /// Reads the next block, clearing `block` first; at most `max_samples` samples (at least
    /// one). `false`: the input has ended and the block is empty.
    ///
    /// # Errors
    /// The medium failed.
    fn read(&mut self, block: &mut SampleBlock, max_samples: usize) -> Result<bool, SourceError>;

    /// How many numbers (I and Q count one each) read so far were NaN, infinite or absurdly large
    /// and became 0.
    fn replaced_values(&self) -> u64 {
        0
    }
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

impl InputOptions {
    /// Whether the numbers among them make sense.
    ///
    /// # Errors
    /// One does not.
    pub fn check(&self) -> Result<(), RequestError> {
        if let Some(rate) = self.sample_rate_hz.filter(|rate| !(rate.is_finite() && *rate > 0.0)) {
            let wrong = format!("{rate} is no sample rate");
            return Err(RequestError::new("--rate", wrong, "samples per second, above 0"));
        }
        if let Some(centre) = self.centre_frequency_hz.filter(|centre| !centre.is_finite()) {
            let wrong = format!("{centre} is no frequency");
            return Err(RequestError::new("--frequency", wrong, "a number in Hz"));
        }
        if let Some(format) = &self.format {
            format::SampleFormat::from_option(format)?;
        }
        Ok(())
    }

    /// The sample rate: as the user says, or else as the file does.
    fn rate(&self, said_by_file: Option<f64>) -> Option<f64> {
        self.sample_rate_hz.or(said_by_file)
    }
}

/// The error about a file that cannot be opened or read.
fn unreadable(path: &str, error: &io::Error) -> RequestError {
    match error.kind() {
        io::ErrorKind::NotFound => {
            RequestError::new(path, "there is no such file", "name a recording, or - for a pipe")
        }
        _ => RequestError::new(path, format!("cannot be read: {error}"), "make it readable"),
    }
}

/// Opens a recording by what its name and content say: SigMF, WAV, raw, or `-` for standard input.
///
/// What `options` say goes before what the file says. A format given with a WAV or SigMF file
/// changes how its samples are read, not where they are looked for.
///
/// # Errors
/// The file is missing, malformed, or lacks something the user must say.
pub fn open(path: &str, options: &InputOptions) -> Result<Box<dyn Source>, RequestError> {
    options.check()?;
    if path == "-" {
        return stdin::open(options);
    }
    if let Some(stem) = sigmf::stem(path, sigmf::META) {
        return sigmf::open(path, stem, path, options);
    }
    if let Some(stem) = sigmf::stem(path, sigmf::DATA) {
        let meta = format!("{stem}{}", sigmf::META);
        if Path::new(&meta).exists() {
            return sigmf::open(path, stem, &meta, options);
        }
        if Path::new(path).exists() && (options.format.is_none() || options.rate(None).is_none()) {
            let wrong = format!("{meta} is missing, which should say what the samples are");
            return Err(RequestError::new(path, wrong, "say --format and --rate"));
        }
    }
    if sigmf::stem(path, ".sigmf-collection").is_some() {
        let wrong = "is a list of recordings";
        return Err(RequestError::new(path, wrong, "name one of their .sigmf-meta files"));
    }
    // The base name of a SigMF recording.
    if !Path::new(path).is_file() {
        let meta = format!("{path}{}", sigmf::META);
        if Path::new(&meta).exists() {
            return sigmf::open(path, path, &meta, options);
        }
        let archive = format!("{path}{}", sigmf::ARCHIVE);
        if Path::new(&archive).is_file() {
            return open_file(&archive, options);
        }
    }
    open_file(path, options)
}

/// Opens a file by its content.
fn open_file(path: &str, options: &InputOptions) -> Result<Box<dyn Source>, RequestError> {
    let cannot = |error: io::Error| unreadable(path, &error);
    let mut file = File::open(path).map_err(cannot)?;
    let metadata = file.metadata().map_err(cannot)?;
    if metadata.is_dir() {
        return Err(RequestError::new(path, "is a folder", "name a recording in it"));
    }
    if !metadata.is_file() {
        return stdin::open_stream(path, file, options);
    }
    let mut head = Vec::new();
    file.by_ref().take(512).read_to_end(&mut head).map_err(cannot)?;
    file.seek(SeekFrom::Start(0)).map_err(cannot)?;
    let length_bytes = metadata.len();
    if wav::is_wav(&head) {
        return wav::open(path, file, length_bytes, options);
    }
    let is_tar = head.get(257..262) == Some(b"ustar");
    if is_tar || sigmf::stem(path, sigmf::ARCHIVE).is_some() {
        return sigmf::open_archive(path, file, length_bytes, options);
    }
    if options.format.is_none() {
        if let Some(kind) = foreign(&head) {
            return Err(RequestError::new(
                path,
                format!("is {kind}"),
                "convert or unpack it first",
            ));
        }
        if [".wav", ".wave"].iter().any(|suffix| sigmf::stem(path, suffix).is_some()) {
            let wrong = if head.is_empty() { "is empty" } else { "is no WAV file" };
            let right = "if it holds raw samples, say --format and --rate";
            return Err(RequestError::new(path, wrong, right));
        }
    }
    raw::open(path, file, Some(length_bytes), options)
}

/// What a file that holds no plain samples is, by its first bytes.
fn foreign(head: &[u8]) -> Option<&'static str> {
    const MAGICS: [(&[u8], &str); 8] = [
        (b"\x1F\x8B\x08", "compressed with gzip"),
        (b"\xFD7zXZ\0", "compressed with xz"),
        (b"\x28\xB5\x2F\xFD", "compressed with zstd"),
        (b"BZh", "compressed with bzip2"),
        (b"PK\x03\x04", "a ZIP archive"),
        (b"fLaC", "FLAC"),
        (b"OggS", "Ogg"),
        (b"\x89HDF", "HDF5"),
    ];
    MAGICS.iter().find(|(magic, _)| head.starts_with(magic)).map(|(_, kind)| *kind)
}
