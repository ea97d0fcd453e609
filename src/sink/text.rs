//! Frames for reading: a line on what and how well, then a hex dump.
//!
//! ```text
//! 2026-11-22T12:00:01.250000Z  FUNCUBE-1 9k6  gmsk 9600 Bd  AX.25 G3RUH  21 bytes  -123 Hz  Es/N0 12.3 dB  crc
//!   0000  8e a4 40 40 40 40 60 86 82 6c 40 40 40 40 61 03  ..@@@@`..l@@@@a.
//!   0010  f0 41 42 43 44                                   .ABCD
//! ```
//!
//! Without a time the line begins with the sample instead. Meant for people: programs read the JSON
//! lines.

use std::fmt::Write as _;
use std::io::Write;

use super::jsonl::rfc3339;
use super::{Sink, SinkError, SinkKind};
use crate::frame::{Check, Frame};

/// What this sink is, for lists.
pub const KIND: SinkKind = SinkKind {
    name: "text",
    what: "a readable line and a hex dump per frame",
    asked_for: "nothing: standard output without --json",
};

/// Bytes in a line of the dump.
const BYTES_PER_LINE: usize = 16;

/// Writes frames for reading.
pub struct TextSink<W> {
    name: String,
    writer: W,
    text: String,
}

impl<W: Write + Send> TextSink<W> {
    /// Writes to `writer`, which is called `name` in messages.
    pub fn new(name: impl Into<String>, writer: W) -> Self {
        Self { name: name.into(), writer, text: String::new() }
    }
}

impl<W: Write + Send> Sink for TextSink<W> {
    fn name(&self) -> &str {
        &self.name
    }

    fn write(&mut self, frame: &Frame) -> Result<(), SinkError> {
        self.text.clear();
        // Writing into a string does not fail.
        let _ = describe(&mut self.text, frame);
        let _ = dump(&mut self.text, &frame.bytes);
        let written = self.writer.write_all(self.text.as_bytes());
        written
            .and_then(|()| self.writer.flush())
            .map_err(|cause| SinkError { name: self.name.clone(), cause })
    }

    fn flush(&mut self) -> Result<(), SinkError> {
        self.writer.flush().map_err(|cause| SinkError { name: self.name.clone(), cause })
    }
}

/// Appends `name` without what would garble a terminal.
fn push_name(out: &mut String, name: &str) {
    out.extend(name.chars().map(|c| if c.is_control() { '\u{FFFD}' } else { c }));
}

/// The line about the frame.
fn describe(out: &mut String, frame: &Frame) -> std::fmt::Result {
    let origin = &*frame.origin;
    match frame.time {
        Some(time) => out.push_str(&rfc3339(time)),
        None => write!(out, "sample {}", frame.first_sample)?,
    }
    if let Some(satellite) = &origin.satellite {
        out.push_str("  ");
        push_name(out, satellite);
        if let Some(downlink) = &origin.downlink {
            out.push(' ');
            push_name(out, downlink);
        }
    }
    out.push_str("  ");
    push_name(out, &origin.modulation);
    write!(out, " {} Bd  ", origin.symbol_rate_bd)?;
    push_name(out, &origin.framing);
    write!(out, "  {} bytes", frame.bytes.len())?;
    if frame.frequency_offset_hz.is_finite() {
        write!(out, "  {:+.0} Hz", frame.frequency_offset_hz)?;
    }
    if let Some(doppler_hz) = frame.doppler_hz.filter(|hz| hz.is_finite()) {
        write!(out, "  Doppler {doppler_hz:+.0} Hz")?;
    }
    if frame.esn0_db.is_finite() {
        write!(out, "  Es/N0 {:.1} dB", frame.esn0_db)?;
    }
    out.push_str(match frame.check {
        Check::None => "  unchecked",
        _ => "  ",
    });
    if frame.check != Check::None {
        out.push_str(frame.check.as_str());
    }
    let counts = [
        (frame.corrected_symbols, "symbol", "corrected"),
        (frame.corrected_bits, "bit", "corrected"),
        (frame.repaired_bits, "bit", "repaired"),
    ];
    for (count, what, how) in counts {
        if let Some(count) = count.filter(|&count| count > 0) {
            write!(out, "  {count} {what}{} {how}", if count == 1 { "" } else { "s" })?;
        }
    }
    if frame.is_doubtful() {
        out.push_str("  doubtful");
    }
    out.push('\n');
    Ok(())
}

/// The hex dump.
fn dump(out: &mut String, bytes: &[u8]) -> std::fmt::Result {
    for (line, bytes) in bytes.chunks(BYTES_PER_LINE).enumerate() {
        write!(out, "  {:04x}  ", line * BYTES_PER_LINE)?;
        for byte in bytes {
            write!(out, "{byte:02x} ")?;
        }
        for _ in bytes.len()..BYTES_PER_LINE {
            out.push_str("   ");
        }
        out.push(' ');
        let readable = |&byte: &u8| matches!(byte, 0x20..=0x7E).then_some(char::from(byte));
        out.extend(bytes.iter().map(|byte| readable(byte).unwrap_or('.')));
        out.push('\n');
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::super::tests::{bare_frame, full_frame};
    use super::*;

    fn text(frame: &Frame) -> String {
        let mut out = Vec::new();
        TextSink::new("test", &mut out).write(frame).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn golden_text_with_everything() {
        let mut frame = full_frame();
        frame.bytes = (0x38..0x4C).collect();
        assert_eq!(
            text(&frame),
            "2026-11-22T12:00:01.250000Z  TUBSAT \"1\" 9k6  gmsk 9600 Bd  AX.25 G3RUH  20 bytes  \
             -123 Hz  Doppler +8765 Hz  Es/N0 12.3 dB  crc+rs  3 symbols corrected  1 bit repaired\n\
             \x20 0000  38 39 3a 3b 3c 3d 3e 3f 40 41 42 43 44 45 46 47  89:;<=>?@ABCDEFG\n\
             \x20 0010  48 49 4a 4b                                      HIJK\n"
        );
    }

    #[test]
    fn what_is_unknown_is_left_out() {
        assert_eq!(text(&bare_frame()), "sample 0   0 Bd    0 bytes  +0 Hz  unchecked\n");
    }

    #[test]
    fn bytes_and_names_cannot_reach_the_terminal() {
        let mut frame = full_frame();
        frame.bytes = (0..=255).collect();
        let mut origin = (*frame.origin).clone();
        origin.satellite = Some("a\u{1b}[2J\nb".into());
        frame.origin = origin.into();
        let text = text(&frame);
        assert_eq!(text.lines().count(), 17);
        assert!(text.chars().all(|c| c == '\n' || !c.is_control()));
    }
}
