//! Raw samples: a file or pipe that holds samples and nothing else.
//!
//! Nothing in it says how it is coded or how fast it was sampled, so the user does: `--format` with
//! a name of [`super::format`] and `--rate`; unless its name is one of those of [`file_name`].

use std::io::Read;

use super::format::SampleFormat;
use super::stream::{Capture, StreamSource, stray_bytes};
use super::{InputOptions, Source, SourceInfo, SourceKind, file_name};
use crate::error::RequestError;

/// What this source is, for lists.
pub const KIND: SourceKind = SourceKind {
    name: "raw",
    what: "raw samples: cu8 ci8 cu16 ci16 cu32 ci32 cf32 cf64, or r… for real ones; _le or _be",
    asked_for: "FILE --format FORMAT --rate HZ",
};

/// Reads `reader` as raw samples. With `length_bytes` unknown it is a pipe, of which every block is
/// handed on as soon as there is something in it.
///
/// # Errors
/// The format or the rate is missing, or the format is unknown.
pub(crate) fn open(
    name: &str,
    reader: impl Read + Send + 'static,
    length_bytes: Option<u64>,
    options: &InputOptions,
) -> Result<Box<dyn Source>, RequestError> {
    let hints = file_name::hints(name);
    let rate = options.rate(hints.sample_rate_hz);
    let format = match &options.format {
        Some(format) => Some(SampleFormat::from_option(format)?),
        None => hints.format,
    };
    let (Some(format), Some(sample_rate_hz)) = (format, rate) else {
        let (missing, mut right) = match (format, rate) {
            (None, None) => ("--format and --rate are missing", "say both".to_owned()),
            (None, _) => ("--format is missing", "say how its samples are coded".to_owned()),
            _ => ("--rate is missing", "say its samples per second: --rate HZ".to_owned()),
        };
        if format.is_none() {
            let suffix = name.rsplit('.').next().unwrap_or_default();
            right.push_str(&match SampleFormat::from_name(suffix) {
                Some(_) => format!(", --format {suffix} as its name suggests"),
                None => ", such as --format ci16 --rate 48000".to_owned(),
            });
        }
        let wrong = format!("holds neither WAV nor SigMF, and for raw samples {missing}");
        return Err(RequestError::new(name, wrong, right));
    };
    let mut warnings = Vec::new();
    let sample_bytes = format.bytes() as u64;
    if let Some(length_bytes) = length_bytes {
        if length_bytes % sample_bytes > 0 {
            warnings.push(stray_bytes(length_bytes % sample_bytes, format.bytes()));
        }
        if length_bytes < sample_bytes {
            warnings.push("holds no samples".to_owned());
        }
    }
    let start = options.start.or_else(|| hints.start_with_warning(&mut warnings));
    let samples = length_bytes.map(|bytes| bytes / sample_bytes);
    let info = SourceInfo {
        name: name.to_owned(),
        sample_rate_hz,
        complex: format.complex,
        length_samples: samples,
        warnings,
    };
    let capture = Capture {
        skip_bytes: 0,
        samples,
        time: start,
        centre_frequency_hz: options.centre_frequency_hz.or(hints.centre_frequency_hz),
    };
    let live = length_bytes.is_none();
    Ok(Box::new(StreamSource::new(info, reader, format, 1, [capture], live)))
}
