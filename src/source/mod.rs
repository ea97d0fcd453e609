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

pub mod clock;
pub mod device;
pub mod file_name;
pub mod format;
mod live;
pub mod raw;
pub mod reopen;
pub mod rtl_tcp;
pub mod sigmf;
#[cfg(feature = "soapy")]
pub mod soapy;
pub mod stdin;
mod stream;
pub mod tcp;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
pub(crate) mod test_servers;
pub mod tuning;
pub mod udp;
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
/// What `options` say goes before what the file says, and that before what its name says
/// ([`file_name`]). A format given with a WAV or SigMF file
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

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use std::io::Cursor;

    use super::stream::tests::drain;
    use super::*;

    fn options(format: &str, rate: f64) -> InputOptions {
        InputOptions {
            format: Some(format.into()),
            sample_rate_hz: Some(rate),
            ..InputOptions::default()
        }
    }

    /// Opens a file of that name and content in a folder of its own.
    fn open_bytes(
        name: &str,
        bytes: &[u8],
        options: &InputOptions,
    ) -> Result<Box<dyn Source>, RequestError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        open(path.to_str().unwrap(), options)
    }

    #[test]
    fn raw_samples_of_every_format_from_files_and_pipes() {
        for base in ["u8", "i8", "s8", "u16", "i16", "s16", "u32", "i32", "s32", "f32", "f64"] {
            for (kind, order) in [("c", ""), ("c", "_le"), ("c", "_be"), ("r", ""), ("r", "_be")] {
                let name = format!("{kind}{base}{order}");
                let format = format::SampleFormat::from_name(&name).unwrap();
                let bytes: Vec<u8> = (0..format.bytes() as u32 * 99 + 1).map(|i| i as u8).collect();
                let mut expected = Vec::new();
                format.convert(&bytes, &mut expected);
                let options = options(&name, 1e6);
                let mut file = open_bytes("x", &bytes, &options).unwrap();
                let info = file.info().clone();
                assert_eq!(
                    (info.complex, info.length_samples),
                    (kind == "c", Some(99 + u64::from(format.bytes() == 1))),
                    "{name}"
                );
                assert_eq!(info.warnings.len(), usize::from(format.bytes() > 1), "{name}");
                assert_eq!(drain(&mut *file, 10).0, expected);
                assert_eq!(file.info().warnings, info.warnings);
                let mut pipe = stdin::open_stream("pipe", Cursor::new(bytes), &options).unwrap();
                assert_eq!(pipe.info().length_samples, None);
                assert_eq!(drain(&mut *pipe, 10).0, expected);
                assert_eq!(pipe.info().warnings, info.warnings);
            }
        }
    }

    #[test]
    fn raw_samples_take_time_and_frequency_from_the_user() {
        let mut options = options("cu8", 48_000.0);
        options.start = "2026-11-22T12:00:00Z".parse().ok();
        options.centre_frequency_hz = Some(145.9e6);
        let mut source = open_bytes("x.iq", &[0; 20], &options).unwrap();
        let (samples, anchors) = drain(&mut *source, 4);
        assert_eq!(samples.len(), 10);
        let anchor = Anchor { sample: 0, time: options.start, centre_frequency_hz: Some(145.9e6) };
        assert_eq!(anchors, [anchor]);
    }

    #[test]
    fn the_name_is_asked_last() {
        let none = InputOptions::default();
        let name = "gqrx_20240501_123456_437500000_48000_fc.raw";
        let mut source = open_bytes(name, &[0; 80], &none).unwrap();
        assert_eq!(source.info().sample_rate_hz, 48_000.0);
        assert!(source.info().warnings.is_empty());
        let (samples, anchors) = drain(&mut *source, 100);
        let time = "2024-05-01T12:34:56Z".parse().ok();
        let anchor = Anchor { sample: 0, time, centre_frequency_hz: Some(437.5e6) };
        assert_eq!((samples.len(), &anchors[..]), (10, &[anchor][..]));
        let said = InputOptions {
            start: "2020-01-01T00:00:00Z".parse().ok(),
            centre_frequency_hz: Some(1e8),
            ..options("cu8", 1e6)
        };
        let mut source = open_bytes(name, &[0; 80], &said).unwrap();
        let (samples, anchors) = drain(&mut *source, 100);
        let anchor = Anchor { sample: 0, time: said.start, centre_frequency_hz: Some(1e8) };
        assert_eq!((samples.len(), &anchors[..]), (40, &[anchor][..]));
        // Local time is said.
        let name = "x_2024-05-01_12-34-56.cu8";
        let mut source = open_bytes(name, &[0; 80], &options("cu8", 1e6)).unwrap();
        assert!(source.info().warnings[0].contains("local time"));
        assert_eq!(drain(&mut *source, 100).1[0].time, time);
    }

    #[test]
    fn what_the_user_must_say_is_named() {
        let none = InputOptions::default();
        let error = open_bytes("x.iq", &[0; 20], &none).err().unwrap().to_string();
        assert!(error.contains("--format") && error.contains("--rate"), "{error}");
        let error = open_bytes("x.cs16", &[0; 20], &none).err().unwrap().to_string();
        assert!(error.contains("--format cs16"), "{error}");
        let rate = InputOptions { sample_rate_hz: Some(1.0), ..InputOptions::default() };
        let error = open_bytes("x", &[0; 20], &rate).err().unwrap();
        assert!(error.wrong.contains("--format is missing"), "{error}");
        let format = InputOptions { format: Some("cf32".into()), ..InputOptions::default() };
        let error = open_bytes("x", &[0; 20], &format).err().unwrap();
        assert!(error.right.contains("--rate"), "{error}");
        let error = stdin::open_stream("pipe", Cursor::new(vec![0; 99]), &none).err().unwrap();
        assert_eq!(error.subject, "pipe");
        for rate in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            let error = open_bytes("x", &[0; 20], &options("cf32", rate)).err().unwrap();
            assert_eq!(error.subject, "--rate");
        }
        let error = open_bytes("x", &[0; 20], &options("cf33", 1.0)).err().unwrap();
        assert_eq!(error.subject, "--format");
        let frequency =
            InputOptions { centre_frequency_hz: Some(f64::NAN), ..InputOptions::default() };
        assert_eq!(open_bytes("x", &[0], &frequency).err().unwrap().subject, "--frequency");
    }

    #[test]
    fn nothing_to_read_is_said() {
        let options = options("cf32", 48_000.0);
        for (length, warnings) in [(0, 1), (7, 2)] {
            let bytes = vec![1; length];
            let mut source = open_bytes("x.wav", &bytes, &options).unwrap();
            assert_eq!(source.info().length_samples, Some(0));
            assert_eq!(source.info().warnings.len(), warnings);
            assert!(drain(&mut *source, 5).0.is_empty());
            let mut pipe = stdin::open_stream("pipe", Cursor::new(bytes), &options).unwrap();
            assert!(drain(&mut *pipe, 5).0.is_empty());
            assert_eq!(pipe.info().warnings.len(), warnings);
        }
    }

    #[test]
    fn what_is_no_recording_is_named() {
        let none = InputOptions::default();
        let error = open("/no such folder/x.wav", &none).err().unwrap();
        assert_eq!(error.subject, "/no such folder/x.wav");
        assert_eq!(error.wrong, "there is no such file");
        let folder = tempfile::tempdir().unwrap();
        let error = open(folder.path().to_str().unwrap(), &none).err().unwrap();
        assert_eq!(error.wrong, "is a folder");
        for (name, bytes, wrong) in [
            ("x.wav", &b""[..], "is empty"),
            ("x.WAV", b"RIFFxxxxAVI ", "is no WAV file"),
            ("x.wav.gz", b"\x1F\x8B\x08\0", "is compressed with gzip"),
            ("x.flac", b"fLaC", "is FLAC"),
            ("x.sigmf-collection", b"{}", "is a list of recordings"),
        ] {
            let error = open_bytes(name, bytes, &none).err().unwrap();
            assert_eq!(error.wrong, wrong, "{name}");
        }
        assert!(open("", &none).is_err());
        assert!(open("a\0b", &none).is_err());
    }

    #[test]
    fn kinds_have_names_of_their_own() {
        for (index, kind) in SOURCES.iter().enumerate() {
            assert!(SOURCES[..index].iter().all(|other| other.name != kind.name));
            assert!(!kind.what.is_empty() && !kind.asked_for.is_empty());
        }
    }
}
