//! Samples from standard input, or anything else that comes as a stream and cannot be rewound.
//!
//! A stream that begins as a WAV file is read as one; any other is raw. Time is what the user says
//! of the first sample, then the sample counter: when bytes arrive means nothing.

use std::io::{self, Cursor, Read};

use super::{InputOptions, Source, SourceKind, raw, unreadable, wav};
use crate::error::RequestError;

/// What this source is, for lists.
pub const KIND: SourceKind = SourceKind {
    name: "stdin",
    what: "standard input: raw samples, or a WAV file as it is being written",
    asked_for: "- --format FORMAT --rate HZ",
};

/// Reads standard input.
///
/// # Errors
/// As [`open_stream`].
pub fn open(options: &InputOptions) -> Result<Box<dyn Source>, RequestError> {
    open_stream("standard input", io::stdin(), options)
}

/// Reads a stream called `name`, from its first byte.
///
/// # Errors
/// It is no WAV file and the format or the rate is missing, or the WAV header is malformed.
pub fn open_stream(
    name: &str,
    mut reader: impl Read + Send + 'static,
    options: &InputOptions,
) -> Result<Box<dyn Source>, RequestError> {
    options.check()?;
    let mut head = Vec::with_capacity(wav::MAGIC_BYTES);
    reader
        .by_ref()
        .take(wav::MAGIC_BYTES as u64)
        .read_to_end(&mut head)
        .map_err(|error| unreadable(name, &error))?;
    let is_wav = wav::is_wav(&head);
    let whole = Cursor::new(head).chain(reader);
    if is_wav {
        wav::open_stream(name, whole, options)
    } else {
        raw::open(name, whole, None, options)
    }
}
