//! Frames in a KISS file, as other programs of this field read and write it.
//!
//! ```text
//! C0 00 <frame, escaped> C0                              a frame
//! C0 09 <u64 milliseconds since 1970, big-endian, escaped> C0   before it, if asked for
//! ```
//!
//! `C0` within is sent as `DB DC`, `DB` as `DB DD`. The type byte is port 0, command 0 (data); 9 is
//! gr-satellites' time stamp, left out unless asked for because readers that ignore the type take it
//! for a frame. Frames of any framing are written, AX.25 without flags and FCS.
//!
//! The file is created, and emptied if it exists. Each frame is written at once and whole: if the
//! disk fills up, what was written before it stays, and half a frame is taken back.
//!
//! References: M. Chepponis, P. Karn, *The KISS TNC*, 1987; gr-satellites `pdu_to_kiss`.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};

use super::{Sink, SinkError, SinkKind};
use crate::error::RequestError;
use crate::frame::Frame;

/// What this sink is, for lists.
pub const KIND: SinkKind = SinkKind {
    name: "kiss-file",
    what: "a KISS file: C0 00, the frame with C0 and DB escaped, C0",
    asked_for: "--kiss-file PATH",
};

/// Ends and begins a frame.
pub const FEND: u8 = 0xC0;
/// Begins an escape.
pub const FESC: u8 = 0xDB;
/// `FEND`, after `FESC`.
pub const TFEND: u8 = 0xDC;
/// `FESC`, after `FESC`.
pub const TFESC: u8 = 0xDD;
/// Type byte of data on port 0.
pub const DATA: u8 = 0x00;
/// Type byte of gr-satellites' time stamp.
pub const TIME: u8 = 0x09;

/// Appends `content` of the given type as KISS.
pub fn push_kiss(out: &mut Vec<u8>, kind: u8, content: &[u8]) {
    out.push(FEND);
    for &byte in [kind].iter().chain(content) {
        match byte {
            FEND => out.extend([FESC, TFEND]),
            FESC => out.extend([FESC, TFESC]),
            byte => out.push(byte),
        }
    }
    out.push(FEND);
}

/// Writes frames into a KISS file.
pub struct KissFileSink {
    name: String,
    file: File,
    /// Bytes of whole frames in the file.
    length_bytes: u64,
    timestamps: bool,
    record: Vec<u8>,
}

impl KissFileSink {
    /// Creates `path`, or empties it. With `timestamps` a time stamp goes before each frame whose
    /// time is known.
    ///
    /// # Errors
    /// The file cannot be created.
    pub fn create(path: &str, timestamps: bool) -> Result<Self, RequestError> {
        Self::over(path, File::create(path).map(|file| (file, 0)), timestamps)
    }

    /// Goes on at the end of `path`, which is created if it is not there.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn append_to(path: &str) -> Result<Self, RequestError> {
        let opened = File::options().create(true).append(true).open(path);
        let measured = opened.and_then(|file| file.metadata().map(|m| (file, m.len())));
        Self::over(path, measured, false)
    }

    /// A file, and the length of what is in it.
    fn over(
        path: &str,
        opened: io::Result<(File, u64)>,
        timestamps: bool,
    ) -> Result<Self, RequestError> {
        let (file, length_bytes) = opened.map_err(|error| {
            let wrong = format!("\"{path}\" cannot be written: {error}");
            RequestError::new("--kiss-file", wrong, "name a file in a folder that can be written")
        })?;
        let name = format!("KISS file {path}");
        Ok(Self { name, file, length_bytes, timestamps, record: Vec::new() })
    }

    fn append(&mut self, frame: &Frame) -> io::Result<()> {
        self.record.clear();
        if let Some(time) = frame.time.filter(|_| self.timestamps) {
            // gr-satellites has no times before 1970.
            let milliseconds = u64::try_from(time.as_millisecond()).unwrap_or(0);
            push_kiss(&mut self.record, TIME, &milliseconds.to_be_bytes());
        }
        push_kiss(&mut self.record, DATA, &frame.bytes);
        let written = self.file.write_all(&self.record);
        match written {
            Ok(()) => self.length_bytes += self.record.len() as u64,
            // What is no regular file cannot be cut, and need not be.
            Err(_) => {
                if self.file.set_len(self.length_bytes).is_ok() {
                    let _ = self.file.seek(SeekFrom::Start(self.length_bytes));
                }
            }
        }
        written
    }
}

impl Sink for KissFileSink {
    fn name(&self) -> &str {
        &self.name
    }

    fn write(&mut self, frame: &Frame) -> Result<(), SinkError> {
        self.append(frame).map_err(|cause| SinkError { name: self.name.clone(), cause })
    }

    fn flush(&mut self) -> Result<(), SinkError> {
        self.file.flush().map_err(|cause| SinkError { name: self.name.clone(), cause })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use std::path::Path;

    use super::super::tests::{bare_frame, full_frame};
    use super::*;

    fn written(frames: &[Frame], timestamps: bool) -> Vec<u8> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("frames.kiss");
        std::fs::write(&path, b"older content").unwrap();
        let mut sink = KissFileSink::create(path.to_str().unwrap(), timestamps).unwrap();
        for (index, frame) in frames.iter().enumerate() {
            sink.write(frame).unwrap();
            let length = std::fs::metadata(&path).unwrap().len();
            assert!(length > 0, "frame {index} is there at once");
        }
        sink.flush().unwrap();
        std::fs::read(&path).unwrap()
    }

    #[test]
    fn golden_bytes() {
        assert_eq!(
            written(&[full_frame(), bare_frame()], false),
            [0xC0, 0, 0, 0xDB, 0xDC, 0xDB, 0xDD, 0xFF, 0x41, 0xC0, 0xC0, 0, 0xC0]
        );
    }

    #[test]
    fn golden_bytes_with_time_stamps() {
        // From a dump of gr-satellites: 0187e08ccacd ms, that is 2023-05-03T09:23:29.741Z.
        let mut frame = full_frame();
        frame.time = jiff::Timestamp::from_millisecond(0x0187_E08C_CACD).ok();
        frame.bytes = vec![1, 0x21];
        assert_eq!(
            written(&[frame, bare_frame()], true),
            [
                0xC0, 9, 0, 0, 1, 0x87, 0xE0, 0x8C, 0xCA, 0xCD, 0xC0, 0xC0, 0, 1, 0x21, 0xC0, 0xC0,
                0, 0xC0
            ]
        );
        let mut escaped = Vec::new();
        push_kiss(&mut escaped, FEND, &[FESC, FEND]);
        assert_eq!(escaped, [0xC0, 0xDB, 0xDC, 0xDB, 0xDD, 0xDB, 0xDC, 0xC0]);
    }

    #[test]
    fn any_bytes_come_back() {
        let frames: Vec<Frame> = (0..=255u8)
            .map(|seed| {
                let next = |i: u8| i.wrapping_mul(seed | 1).wrapping_add(seed);
                Frame { bytes: (0..seed).map(next).collect(), ..bare_frame() }
            })
            .collect();
        let kiss = written(&frames, false);
        let mut back = Vec::new();
        for part in kiss.split(|&byte| byte == FEND).filter(|part| !part.is_empty()) {
            assert_eq!(part[0], DATA);
            let mut bytes = Vec::new();
            let mut rest = part[1..].iter();
            while let Some(&byte) = rest.next() {
                bytes.push(match byte {
                    FESC if rest.next() == Some(&TFEND) => FEND,
                    byte => byte,
                });
            }
            back.push(bytes);
        }
        assert!(back.iter().eq(frames.iter().map(|frame| &frame.bytes)));
    }

    #[test]
    fn a_full_disk_is_said_each_time() {
        if !Path::new("/dev/full").exists() {
            eprintln!("skipped: no /dev/full");
            return;
        }
        let mut sink = KissFileSink::create("/dev/full", false).unwrap();
        for _ in 0..3 {
            let error = sink.write(&full_frame()).unwrap_err();
            assert_eq!(error.cause.kind(), io::ErrorKind::StorageFull);
            assert!(error.to_string().starts_with("KISS file /dev/full: "), "{error}");
        }
    }

    #[test]
    fn a_file_that_cannot_be_created_is_named() {
        let error = KissFileSink::create("/no such folder/x.kiss", false).err().unwrap();
        assert_eq!(error.subject, "--kiss-file");
        assert!(error.wrong.contains("/no such folder/x.kiss"));
        assert!(KissFileSink::create("", false).is_err());
    }
}
