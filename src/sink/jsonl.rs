//! The frame record: one JSON object per frame and line.
//!
//! | key | from |
//! |---|---|
//! | `time` | [`Frame::time`], RFC 3339 UTC with microseconds |
//! | `sample` | [`Frame::first_sample`] |
//! | `satellite`, `norad_id`, `downlink` | [`Origin`](crate::frame::Origin) |
//! | `modulation`, `symbol_rate_bd`, `framing` | [`Origin`](crate::frame::Origin) |
//! | `length`, `frame` | number of bytes, and the bytes in lower-case hex |
//! | `frequency_offset_hz`, `doppler_hz`, `esn0_db` | to a thousandth |
//! | `check` | [`Check::as_str`](crate::frame::Check::as_str) |
//! | `corrected_symbols`, `corrected_bits`, `repaired_bits` | as in the frame |
//! | `doubtful` | `true` if [`Frame::is_doubtful`] |
//!
//! Keys stand in this order; one whose value is unknown (or no finite number) is absent. Lines end
//! with a line feed and are written and flushed whole.

use std::io::{self, Write};

use jiff::Timestamp;
use serde::Serialize;

use super::{Sink, SinkError, SinkKind};
use crate::frame::Frame;

/// What this sink is, for lists.
pub const KIND: SinkKind =
    SinkKind { name: "jsonl", what: "one JSON object per frame and line", asked_for: "--json" };

/// Nanoseconds in the microsecond to which times are rounded.
const MICROSECOND: i128 = 1000;

/// RFC 3339 UTC, to the nearest microsecond.
pub fn rfc3339(time: Timestamp) -> String {
    let nearest = (time.as_nanosecond() + MICROSECOND / 2).div_euclid(MICROSECOND) * MICROSECOND;
    format!("{:.6}", Timestamp::from_nanosecond(nearest).unwrap_or(time))
}

/// Appends `bytes` to `out` in lower-case hex.
pub(crate) fn push_hex(out: &mut String, bytes: &[u8]) {
    const DIGITS: [char; 16] =
        ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    for byte in bytes {
        out.push(DIGITS[usize::from(byte >> 4)]);
        out.push(DIGITS[usize::from(byte & 15)]);
    }
}

/// To a thousandth, without −0; `None` if it is no number.
fn rounded(x: f64) -> Option<f64> {
    x.is_finite().then(|| (x * 1e3).round() / 1e3 + 0.0).filter(|x| x.is_finite())
}

/// The record in the order of its keys.
#[derive(Serialize)]
struct Record<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<String>,
    sample: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    satellite: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    norad_id: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    downlink: Option<&'a str>,
    modulation: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    symbol_rate_bd: Option<f64>,
    framing: &'a str,
    length: usize,
    frame: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    frequency_offset_hz: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    doppler_hz: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    esn0_db: Option<f64>,
    check: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    corrected_symbols: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    corrected_bits: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    repaired_bits: Option<u32>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    doubtful: bool,
}

/// The frame record as one JSON object, without a line feed.
///
/// # Errors
/// None that a frame can cause; serialisation has them in its type.
pub fn record(frame: &Frame) -> io::Result<Vec<u8>> {
    let origin = &*frame.origin;
    let mut hex = String::with_capacity(2 * frame.bytes.len());
    push_hex(&mut hex, &frame.bytes);
    let record = Record {
        time: frame.time.map(rfc3339),
        sample: frame.first_sample,
        satellite: origin.satellite.as_deref(),
        norad_id: origin.norad_id,
        downlink: origin.downlink.as_deref(),
        modulation: &origin.modulation,
        symbol_rate_bd: Some(origin.symbol_rate_bd).filter(|rate| rate.is_finite()),
        framing: &origin.framing,
        length: frame.bytes.len(),
        frame: hex,
        frequency_offset_hz: rounded(frame.frequency_offset_hz),
        doppler_hz: frame.doppler_hz.and_then(rounded),
        esn0_db: rounded(f64::from(frame.esn0_db)),
        check: frame.check.as_str(),
        corrected_symbols: frame.corrected_symbols,
        corrected_bits: frame.corrected_bits,
        repaired_bits: frame.repaired_bits,
        doubtful: frame.is_doubtful(),
    };
    serde_json::to_vec(&record).map_err(io::Error::from)
}

/// Writes the frame record, a line each.
pub struct JsonLinesSink<W> {
    name: String,
    writer: W,
    /// The last line may have no end.
    torn: bool,
}

impl<W: Write + Send> JsonLinesSink<W> {
    /// Writes to `writer`, which is called `name` in messages.
    pub fn new(name: impl Into<String>, writer: W) -> Self {
        Self { name: name.into(), writer, torn: false }
    }
}

impl<W: Write + Send> Sink for JsonLinesSink<W> {
    fn name(&self) -> &str {
        &self.name
    }

    fn write(&mut self, frame: &Frame) -> Result<(), SinkError> {
        let written = record(frame).and_then(|mut line| {
            line.push(b'\n');
            if self.torn {
                line.insert(0, b'\n');
            }
            self.writer.write_all(&line)?;
            self.writer.flush()
        });
        self.torn = written.is_err();
        written.map_err(|cause| SinkError { name: self.name.clone(), cause })
    }

    fn flush(&mut self) -> Result<(), SinkError> {
        self.writer.flush().map_err(|cause| SinkError { name: self.name.clone(), cause })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::super::tests::{bare_frame, full_frame};
    use super::*;

    fn line(frame: &Frame) -> String {
        let mut out = Vec::new();
        JsonLinesSink::new("test", &mut out).write(frame).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn golden_record_with_everything() {
        assert_eq!(
            line(&full_frame()),
            concat!(
                r#"{"time":"2026-11-22T12:00:01.250000Z","sample":60000,"satellite":"TUBSAT \"1\"","#,
                r#""norad_id":12345,"downlink":"9k6","modulation":"gmsk","symbol_rate_bd":9600.0,"#,
                r#""framing":"AX.25 G3RUH","length":5,"frame":"00c0dbff41","#,
                r#""frequency_offset_hz":-123.457,"doppler_hz":8765.25,"esn0_db":12.3,"check":"crc+rs","#,
                r#""corrected_symbols":3,"corrected_bits":0,"repaired_bits":1}"#,
                "\n"
            )
        );
    }

    /// A disk with so much room.
    struct Disk {
        written: Vec<u8>,
        room: usize,
    }

    impl Write for &mut Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let count = bytes.len().min(self.room - self.written.len());
            if count == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.written.extend(&bytes[..count]);
            Ok(count)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn half_a_line_does_not_spoil_the_next_one() {
        let whole = line(&full_frame());
        let mut disk = Disk { written: Vec::new(), room: whole.len() + 20 };
        let mut sink = JsonLinesSink::new("test", &mut disk);
        sink.write(&full_frame()).unwrap();
        assert!(sink.write(&full_frame()).is_err());
        assert!(sink.write(&full_frame()).is_err());
        sink.writer.room = usize::MAX;
        sink.write(&full_frame()).unwrap();
        sink.write(&full_frame()).unwrap();
        let text = String::from_utf8(disk.written).unwrap();
        assert_eq!(text, format!("{whole}{}\n{whole}{whole}", &whole[..20]));
    }

    #[test]
    fn unknown_keys_are_absent() {
        assert_eq!(
            line(&bare_frame()),
            concat!(
                r#"{"sample":0,"modulation":"","symbol_rate_bd":0.0,"framing":"","length":0,"#,
                r#""frame":"","frequency_offset_hz":0.0,"check":"none"}"#,
                "\n"
            )
        );
    }

    #[test]
    fn times_are_rounded_to_microseconds() {
        let time = |text: &str| rfc3339(text.parse().unwrap());
        assert_eq!(time("2026-01-02T03:04:05Z"), "2026-01-02T03:04:05.000000Z");
        assert_eq!(time("2026-01-02T03:04:05.9999995Z"), "2026-01-02T03:04:06.000000Z");
        assert_eq!(time("1969-12-31T23:59:59.1234564Z"), "1969-12-31T23:59:59.123456Z");
        assert!(rfc3339(Timestamp::MAX).starts_with("9999-12-30T"));
        assert!(rfc3339(Timestamp::MIN).starts_with("-009999-"));
    }

    #[test]
    fn numbers_that_are_none_do_not_break_the_record() {
        for x in [f64::NAN, f64::INFINITY, f64::MAX, -0.0, 1e-9] {
            let mut frame = full_frame();
            frame.frequency_offset_hz = x;
            frame.esn0_db = x as f32;
            let value: serde_json::Value = serde_json::from_str(&line(&frame)).unwrap();
            assert_eq!(value["length"], 5);
            assert!(!line(&frame).contains("null") && !line(&frame).contains("-0.0"));
        }
    }
}
