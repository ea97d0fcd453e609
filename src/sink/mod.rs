//! Frames out, one file a kind. Each sink runs on a thread of its own behind a bounded queue
//! (see the runtime): a sink itself is plain and synchronous.

use crate::frame::Frame;

pub mod jsonl;
pub mod kiss_file;
pub mod text;
pub mod udp;

/// Every kind of sink, in the order in which they are listed.
pub const SINKS: &[SinkKind] = &[text::KIND, jsonl::KIND, udp::KIND, kiss_file::KIND];

/// A kind of sink, for lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SinkKind {
    /// Its name.
    pub name: &'static str,
    /// What it delivers.
    pub what: &'static str,
    /// What the user writes to get it.
    pub asked_for: &'static str,
}

/// A sink failed; what it had delivered stays delivered.
#[derive(Debug, thiserror::Error)]
#[error("{name}: {cause}")]
pub struct SinkError {
    /// The sink and its target.
    pub name: String,
    /// What happened.
    #[source]
    pub cause: std::io::Error,
}

/// Takes frames.
pub trait Sink: Send {
    /// The sink and its target, for messages.
    fn name(&self) -> &str;

    /// Delivers one frame.
    ///
    /// # Errors
    /// It could not be delivered. The caller counts it and tells the user once.
    fn write(&mut self, frame: &Frame) -> Result<(), SinkError>;

    /// Delivers whatever is buffered.
    ///
    /// # Errors
    /// As [`Sink::write`].
    fn flush(&mut self) -> Result<(), SinkError>;
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use std::io::{self, Write};
    use std::sync::Arc;

    use super::*;
    use crate::frame::{Check, Origin};

    /// A frame of which everything is known.
    pub fn full_frame() -> Frame {
        Frame {
            bytes: vec![0x00, 0xC0, 0xDB, 0xFF, 0x41],
            origin: Arc::new(Origin {
                satellite: Some("TUBSAT \"1\"".into()),
                norad_id: Some(12_345),
                downlink: Some("9k6".into()),
                modulation: "gmsk".into(),
                symbol_rate_bd: 9600.0,
                framing: "AX.25 G3RUH".into(),
            }),
            first_sample: 60_000,
            end_sample: 61_000,
            time: "2026-11-22T12:00:01.25Z".parse().ok(),
            frequency_offset_hz: -123.456_789,
            doppler_hz: Some(8_765.25),
            esn0_db: 12.3,
            check: Check::CrcAndReedSolomon,
            corrected_symbols: Some(3),
            corrected_bits: Some(0),
            repaired_bits: Some(1),
            log_odds: Some(8.0),
        }
    }

    pub use crate::frame::testing::bare_frame;

    /// Fails from some byte on, as a disk does that is full.
    struct Full(usize);

    impl Write for Full {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if bytes.len() > self.0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.0 -= bytes.len();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_writer_that_fails_is_an_error_with_the_sinks_name() {
        let mut sinks: [Box<dyn Sink>; 2] = [
            Box::new(text::TextSink::new("standard output", Full(500))),
            Box::new(jsonl::JsonLinesSink::new("frames.jsonl", Full(500))),
        ];
        for sink in &mut sinks {
            sink.write(&full_frame()).unwrap();
            let error = loop {
                if let Err(error) = sink.write(&full_frame()) {
                    break error;
                }
            };
            assert_eq!(error.name, sink.name());
            assert_eq!(error.cause.kind(), io::ErrorKind::StorageFull);
            assert!(sink.write(&full_frame()).is_err());
            sink.flush().unwrap();
        }
    }

    #[test]
    fn kinds_have_names_of_their_own() {
        for (index, kind) in SINKS.iter().enumerate() {
            assert!(SINKS[..index].iter().all(|other| other.name != kind.name));
            assert!(!kind.what.is_empty() && !kind.asked_for.is_empty());
        }
    }
}
