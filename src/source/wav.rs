//! WAV recordings.
//!
//! One channel holds real samples, two hold I and Q. PCM of 8 (unsigned), 16, 24 and 32 bits and
//! IEEE floats of 32 and 64 bits are read, plain or as `WAVE_FORMAT_EXTENSIBLE`; RIFF, big-endian
//! RIFX, and RF64/BW64 with their 64-bit sizes in a `ds64` chunk. Unknown chunks are skipped.
//!
//! ```text
//! "RIFF" size "WAVE" { id:4 size:4 content (1 byte of padding if size is odd) }…
//! "fmt "  tag:2 channels:2 rate:4 bytes/s:4 block_align:2 bits:2 [size:2 bits:2 mask:4 GUID:16]
//! "ds64"  riff_size:8 data_size:8 samples:8 …
//! "auxi"  start:16 stop:16 centre:4 …   (two SYSTEMTIMEs in UTC; HDSDR, SDR#, SDRuno), or XML with
//!         UTCSeconds and RadioCenterFreq (SDR Console)
//! ```
//!
//! The size of the `data` chunk is believed only as far as the file bears it out, because streaming
//! writers leave 0 or the largest number there, long recordings wrap at 4 GiB, and copies get cut:
//!
//! * more than is there: everything that is there is read;
//! * less than is there, and no row of chunks up to the end of the file follows: likewise.
//!
//! Each with a warning. References: Microsoft/IBM, *Multimedia Programming Interface and Data
//! Specifications 1.0*, 1991; EBU Tech 3306 (RF64); ITU-R BS.2088 (BW64); SpectraVue User Guide,
//! `auxi` chunk.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::format::{SampleFormat, Scalar};
use super::stream::{Capture, StreamSource, stray_bytes};
use super::{InputOptions, Source, SourceInfo, SourceKind};
use crate::error::RequestError;

/// What this source is, for lists.
pub const KIND: SourceKind = SourceKind {
    name: "wav",
    what: "WAV, RF64 and BW64 recordings: 1 channel real, 2 channels I and Q; PCM and float",
    asked_for: "FILE.wav",
};

/// Bytes that tell a WAV file: the outer chunk's id, its size, and `WAVE`.
pub(crate) const MAGIC_BYTES: usize = 12;

/// The largest `fmt ` or `auxi` chunk that is looked into.
const LARGEST_CHUNK: u64 = 1 << 16;

/// A 32-bit size from here on is a streaming writer's way of saying "unknown" if less is there.
const PLACEHOLDER: u64 = 0x7FFF_0000;

/// Whether a file that begins with `head` is a WAV file.
pub(crate) fn is_wav(head: &[u8]) -> bool {
    head.len() >= MAGIC_BYTES
        && matches!(&head[..4], b"RIFF" | b"RIFX" | b"RF64" | b"BW64")
        && &head[8..12] == b"WAVE"
}

/// What stands before the samples.
#[derive(Debug, Default)]
struct Header {
    big_endian: bool,
    fmt: Option<Fmt>,
    /// Bytes from the beginning of the file to the first sample.
    data_start: u64,
    /// Size of the data as the header says it; `None` if it says that it does not know.
    data_bytes: Option<u64>,
    time: Option<Timestamp>,
    centre_frequency_hz: Option<f64>,
}

#[derive(Debug, Clone, Copy)]
struct Fmt {
    tag: u16,
    channels: u16,
    sample_rate_hz: u32,
    block_align: u16,
    bits: u16,
}

impl Header {
    fn u16(&self, bytes: [u8; 2]) -> u16 {
        if self.big_endian { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) }
    }

    fn u32(&self, bytes: [u8; 4]) -> u32 {
        if self.big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) }
    }

    /// The 16-bit numbers of `bytes`.
    fn words(&self, bytes: &[u8]) -> Vec<u16> {
        bytes.as_chunks::<2>().0.iter().map(|&pair| self.u16(pair)).collect()
    }

    /// Reads up to the first sample.
    fn parse(reader: &mut impl Read, subject: &str) -> Result<Self, RequestError> {
        let malformed = |wrong: String| {
            RequestError::new(
                subject,
                wrong,
                "a whole WAV file is needed; to read what is there as raw samples, cut its header \
                 off and say --format and --rate",
            )
        };
        let short = |_| malformed("its WAV header ends early".to_owned());
        let mut header = Self::default();
        let mut outer = [0; MAGIC_BYTES];
        reader.read_exact(&mut outer).map_err(short)?;
        if !is_wav(&outer) {
            return Err(malformed("is no WAV file".to_owned()));
        }
        header.big_endian = outer.starts_with(b"RIFX");
        let mut position = MAGIC_BYTES as u64;
        let mut size64 = None;
        loop {
            let mut id = [0; 4];
            let mut size = [0; 4];
            let no_data = |_| malformed("has no data chunk".to_owned());
            reader.read_exact(&mut id).map_err(no_data)?;
            reader.read_exact(&mut size).map_err(no_data)?;
            position += 8;
            let size = header.u32(size);
            if &id == b"data" {
                header.data_start = position;
                header.data_bytes = match (size, size64) {
                    (u32::MAX, Some(size64)) => Some(size64),
                    (u32::MAX, None) => None,
                    (size, _) => Some(u64::from(size)),
                };
                return if header.fmt.is_some() {
                    Ok(header)
                } else {
                    Err(malformed("has no fmt chunk before its data".to_owned()))
                };
            }
            let padded = u64::from(size) + u64::from(size & 1);
            let mut content = Vec::new();
            if matches!(&id, b"fmt " | b"ds64" | b"auxi") {
                reader
                    .by_ref()
                    .take(u64::from(size).min(LARGEST_CHUNK))
                    .read_to_end(&mut content)
                    .map_err(short)?;
            }
            let rest = padded - content.len() as u64;
            io::copy(&mut reader.by_ref().take(rest), &mut io::sink()).map_err(short)?;
            position += padded;
            match &id {
                b"fmt " => {
                    header.fmt = Some(header.fmt(&content).ok_or_else(|| {
                        malformed(format!("its fmt chunk is too short: {} bytes", content.len()))
                    })?);
                }
                b"ds64" => {
                    size64 = content.get(8..16).and_then(|size| {
                        let size = size.try_into().ok()?;
                        Some(u64::from_le_bytes(size)).filter(|&size| size != u64::MAX)
                    });
                }
                b"auxi" => header.auxi(&content),
                _ => {}
            }
        }
    }

    fn fmt(&self, content: &[u8]) -> Option<Fmt> {
        let words = self.words(content);
        let &[tag, channels, _, _, _, _, block_align, bits, ..] = words.as_slice() else {
            return None;
        };
        let sample_rate_hz = self.u32(content.get(4..8)?.try_into().ok()?);
        // WAVE_FORMAT_EXTENSIBLE: the tag is the beginning of the sub-format's GUID.
        let tag = if tag == 0xFFFE { *words.get(12)? } else { tag };
        Some(Fmt { tag, channels, sample_rate_hz, block_align, bits })
    }

    /// Time and frequency as radio programs leave them.
    fn auxi(&mut self, content: &[u8]) {
        // SDR Console writes XML in UTF-16, others might in ASCII: leaving the zeros out serves.
        let text: Vec<u8> = content.iter().copied().filter(|&byte| byte != 0).collect();
        if text.starts_with(b"<?xml") || text.starts_with(b"\xFF\xFE<?xml") {
            let text = String::from_utf8_lossy(&text);
            self.time = xml_number(&text, "UTCSeconds")
                .and_then(|seconds| Timestamp::from_second(seconds as i64).ok());
            self.centre_frequency_hz = xml_number(&text, "RadioCenterFreq").filter(|&f| f > 0.0);
            return;
        }
        let words = self.words(content);
        if let &[year, month, _, day, hour, minute, second, millisecond, ..] = words.as_slice() {
            self.time = system_time([year, month, day, hour, minute, second, millisecond]);
        }
        if let Some(centre) = content.get(32..36).and_then(|bytes| bytes.try_into().ok()) {
            let centre = self.u32(centre);
            self.centre_frequency_hz = (centre != 0).then_some(f64::from(centre));
        }
    }
}

/// The number in `key="number"`.
fn xml_number(text: &str, key: &str) -> Option<f64> {
    let (_, rest) = text.split_once(&format!("{key}=\""))?;
    let (number, _) = rest.split_once('"')?;
    number.trim().parse().ok().filter(|number: &f64| number.is_finite())
}

/// A Windows SYSTEMTIME without its day of the week.
fn system_time(fields: [u16; 7]) -> Option<Timestamp> {
    let [year, month, day, hour, minute, second, millisecond] = fields;
    let small = |field: u16| i8::try_from(field).ok();
    // Year 1601 and the like are a structure that was never filled in.
    let year = i16::try_from(year).ok().filter(|&year| year >= 1970)?;
    let nanoseconds = i32::from(i16::try_from(millisecond).ok()?) * 1_000_000;
    let time = DateTime::new(
        year,
        small(month)?,
        small(day)?,
        small(hour)?,
        small(minute)?,
        small(second)?,
        nanoseconds,
    );
    TimeZone::UTC.to_timestamp(time.ok()?).ok()
}

impl Fmt {
    /// How the samples are coded, with a remark if that took a guess.
    fn format(
        self,
        big_endian: bool,
        subject: &str,
    ) -> Result<(SampleFormat, Option<String>), RequestError> {
        if !matches!(self.channels, 1 | 2) {
            return Err(RequestError::new(
                subject,
                format!("has {} channels", self.channels),
                "1 channel (real samples) or 2 (I and Q) can be read",
            ));
        }
        let mut bytes = self.bits.div_ceil(8);
        let mut remark = None;
        let aligned = self.block_align / self.channels;
        if aligned != bytes || self.block_align % self.channels != 0 {
            // Some writers keep 24 bits in 4 bytes without saying so but here.
            let larger = self.block_align % self.channels == 0
                && aligned > bytes
                && matches!(aligned, 2 | 3 | 4 | 8);
            if larger {
                bytes = aligned;
            }
            remark = Some(format!(
                "its header contradicts itself ({} channels of {} bits in blocks of {} bytes): \
                 read as {bytes} bytes a number",
                self.channels, self.bits, self.block_align
            ));
        }
        let scalar = match (self.tag, bytes) {
            (1, 1) => Scalar::WavU8,
            (1, 2) => Scalar::I16,
            (1, 3) => Scalar::I24,
            (1, 4) => Scalar::I32,
            (3, 4) => Scalar::F32,
            (3, 8) => Scalar::F64,
            (tag, _) => {
                return Err(RequestError::new(
                    subject,
                    match tag {
                        1 => format!("holds PCM of {} bits", self.bits),
                        3 => format!("holds floats of {} bits", self.bits),
                        2 | 0x11 => "is coded with ADPCM".to_owned(),
                        6 => "is coded with A-law".to_owned(),
                        7 => "is coded with µ-law".to_owned(),
                        0x55 => "is coded with MP3".to_owned(),
                        tag => format!("is coded with format tag {tag}"),
                    },
                    "PCM of 8, 16, 24 or 32 bits and float of 32 or 64 bits can be read: convert it",
                ));
            }
        };
        let format = SampleFormat { scalar, big_endian, complex: self.channels == 2 };
        Ok((format, remark))
    }
}

/// Opens a WAV file; `file` stands at its beginning.
///
/// # Errors
/// The header is malformed, or the samples are coded in a way that is not read.
pub(crate) fn open(
    path: &str,
    mut file: File,
    length_bytes: u64,
    options: &InputOptions,
) -> Result<Box<dyn Source>, RequestError> {
    let unreadable = |error: io::Error| super::unreadable(path, &error);
    let mut header = Header::parse(&mut BufReader::new(&file), path)?;
    let mut warnings = Vec::new();
    let there = length_bytes.saturating_sub(header.data_start);
    let bytes = match header.data_bytes {
        Some(bytes) if bytes <= there => {
            let end = header.data_start + bytes;
            if chunks_follow(&mut header, &mut file, end, length_bytes).map_err(unreadable)? {
                bytes
            } else {
                warnings.push(format!(
                    "its header says {bytes} bytes of samples, but no chunk follows them: read up \
                     to the end of the file, {there} bytes"
                ));
                there
            }
        }
        Some(bytes) if bytes < PLACEHOLDER || bytes > u64::from(u32::MAX) => {
            warnings.push(format!(
                "is truncated: its header says {bytes} bytes of samples, {there} are there"
            ));
            there
        }
        _ => {
            warnings.push(format!(
                "its header does not say how long it is: read up to the end of the file, {there} \
                 bytes"
            ));
            there
        }
    };
    file.seek(SeekFrom::Start(header.data_start)).map_err(unreadable)?;
    source(path, file, &header, (Some(bytes), false), warnings, options)
}

/// Opens a WAV file that comes through a pipe; `reader` stands at its beginning.
///
/// # Errors
/// As [`open`].
pub(crate) fn open_stream(
    name: &str,
    mut reader: impl Read + Send + 'static,
    options: &InputOptions,
) -> Result<Box<dyn Source>, RequestError> {
    let mut header = Header::parse(&mut reader, name)?;
    // A program that writes into a pipe cannot come back to fill the size in.
    header.data_bytes = header
        .data_bytes
        .filter(|&bytes| bytes != 0 && (bytes < PLACEHOLDER || bytes > u64::from(u32::MAX)));
    let bytes = header.data_bytes;
    source(name, reader, &header, (bytes, true), Vec::new(), options)
}

/// Whether the file ends at `end`, or a row of chunks leads from there to its end (odd sizes with or
/// without their padding). Notes what an `auxi` chunk among them says.
fn chunks_follow(
    header: &mut Header,
    file: &mut File,
    end: u64,
    length_bytes: u64,
) -> io::Result<bool> {
    for first in [end + (end - header.data_start) % 2, end] {
        let mut position = first;
        let mut auxi = None;
        // Less than the head of a chunk is left: that is the end.
        while position + 8 <= length_bytes {
            let mut head = [0; 8];
            file.seek(SeekFrom::Start(position))?;
            file.read_exact(&mut head)?;
            let [a, b, c, d, size @ ..] = head;
            let size = u64::from(header.u32(size));
            let printable = [a, b, c, d].iter().all(|byte| (0x20..0x7F).contains(byte));
            if !printable || position + 8 + size > length_bytes {
                break;
            }
            if [a, b, c, d] == *b"auxi" {
                auxi = Some(position + 8).zip(Some(size));
            }
            position += 8 + size + size % 2;
        }
        if position + 8 > length_bytes {
            if let Some((position, size)) = auxi {
                let mut content = Vec::new();
                file.seek(SeekFrom::Start(position))?;
                file.by_ref().take(size.min(LARGEST_CHUNK)).read_to_end(&mut content)?;
                header.auxi(&content);
            }
            return Ok(true);
        }
    }
    Ok(false)
}

/// The source behind a header; `bytes` of samples follow, or an unknown number. `live`: it is a pipe.
fn source(
    name: &str,
    reader: impl Read + Send + 'static,
    header: &Header,
    (bytes, live): (Option<u64>, bool),
    mut warnings: Vec<String>,
    options: &InputOptions,
) -> Result<Box<dyn Source>, RequestError> {
    let Some(fmt) = header.fmt else {
        return Err(RequestError::new(name, "has no fmt chunk", "a whole WAV file is needed"));
    };
    let format = match &options.format {
        Some(format) => SampleFormat::from_option(format)?,
        None => {
            let (format, remark) = fmt.format(header.big_endian, name)?;
            warnings.extend(remark);
            format
        }
    };
    let said = Some(f64::from(fmt.sample_rate_hz)).filter(|&rate| rate > 0.0);
    let sample_rate_hz = options.rate(said).ok_or_else(|| {
        RequestError::new(name, "its header gives a sample rate of 0", "say --rate HZ")
    })?;
    let samples = bytes.map(|bytes| {
        let stray = bytes % format.bytes() as u64;
        if stray > 0 {
            warnings.push(stray_bytes(stray, format.bytes()));
        }
        bytes / format.bytes() as u64
    });
    if samples == Some(0) {
        warnings.push("holds no samples".to_owned());
    }
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
        time: options.start.or(header.time),
        centre_frequency_hz: options.centre_frequency_hz.or(header.centre_frequency_hz),
    };
    Ok(Box::new(StreamSource::new(info, reader, format, 1, [capture], live)))
}
