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
use super::{InputOptions, Source, SourceInfo, SourceKind, file_name};
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
    let nanoseconds = 1_000_000 * i32::from(Some(millisecond).filter(|&ms| ms < 1000)?);
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
        if aligned != bytes || !self.block_align.is_multiple_of(self.channels) {
            // Some writers keep 24 bits in 4 bytes without saying so but here.
            let larger = self.block_align.is_multiple_of(self.channels)
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
        let nothing_follows = first >= length_bytes;
        let only_chunks_follow = position > first && position + 8 > length_bytes;
        if nothing_follows || only_chunks_follow {
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
    let hints = file_name::hints(name);
    let own = options.start.or(header.time);
    let time = own.or_else(|| hints.start_with_warning(&mut warnings));
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
        time,
        centre_frequency_hz: options
            .centre_frequency_hz
            .or(header.centre_frequency_hz)
            .or(hints.centre_frequency_hz),
    };
    Ok(Box::new(StreamSource::new(info, reader, format, 1, [capture], live)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use std::io::Cursor;

    use num_complex::Complex32;
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::super::stream::tests::drain;
    use super::*;

    fn chunk(id: &[u8; 4], content: &[u8]) -> Vec<u8> {
        let mut out = id.to_vec();
        out.extend((content.len() as u32).to_le_bytes());
        out.extend(content);
        out.resize(out.len() + content.len() % 2, 0);
        out
    }

    fn fmt(tag: u16, channels: u16, rate: u32, bits: u16) -> Vec<u8> {
        let align = channels * bits.div_ceil(8);
        let mut out = Vec::new();
        out.extend(tag.to_le_bytes());
        out.extend(channels.to_le_bytes());
        out.extend(rate.to_le_bytes());
        out.extend((rate.wrapping_mul(u32::from(align))).to_le_bytes());
        out.extend(align.to_le_bytes());
        out.extend(bits.to_le_bytes());
        out
    }

    fn riff(chunks: &[Vec<u8>]) -> Vec<u8> {
        let mut out = b"RIFF\0\0\0\0WAVE".to_vec();
        out.extend(chunks.concat());
        let size = (out.len() as u32 - 8).to_le_bytes();
        out[4..8].copy_from_slice(&size);
        out
    }

    /// A file with the data chunk's size replaced.
    fn with_data_size(mut file: Vec<u8>, size: u32) -> Vec<u8> {
        let at = file.windows(4).position(|id| id == b"data").unwrap();
        file[at + 4..at + 8].copy_from_slice(&size.to_le_bytes());
        file
    }

    fn open_bytes(bytes: &[u8], options: &InputOptions) -> Result<Box<dyn Source>, RequestError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.wav");
        std::fs::write(&path, bytes).unwrap();
        super::super::open(path.to_str().unwrap(), options)
    }

    fn read(bytes: &[u8]) -> (SourceInfo, Vec<Complex32>) {
        let mut source = open_bytes(bytes, &InputOptions::default()).unwrap();
        let samples = drain(&mut *source, 1000).0;
        let info = source.info().clone();
        assert_eq!(info.length_samples, Some(samples.len() as u64));
        (info, samples)
    }

    /// 16-bit mono samples 1, 2, 3 … as a data chunk's content.
    fn ramp(samples: u16) -> Vec<u8> {
        (1..=samples).flat_map(u16::to_le_bytes).collect()
    }

    fn is_ramp(samples: &[Complex32], length: usize) -> bool {
        samples.len() == length
            && samples.iter().enumerate().all(|(i, z)| z.re == (i + 1) as f32 / 32_768.0)
    }

    /// `tag`, bits and the content of half and minus half.
    fn codings() -> Vec<(u16, u16, Vec<u8>)> {
        let f32s = [0.5f32, -0.5].iter().flat_map(|x| x.to_le_bytes()).collect();
        let f64s = [0.5f64, -0.5].iter().flat_map(|x| x.to_le_bytes()).collect();
        vec![
            (1, 8, vec![192, 64]),
            (1, 16, vec![0, 0x40, 0, 0xC0]),
            (1, 24, vec![0, 0, 0x40, 0, 0, 0xC0]),
            (1, 32, vec![0, 0, 0, 0x40, 0, 0, 0, 0xC0]),
            (3, 32, f32s),
            (3, 64, f64s),
        ]
    }

    #[test]
    fn every_coding_with_1_and_2_channels_plain_and_extensible() {
        for (tag, bits, content) in codings() {
            for (channels, extensible) in [(1, false), (2, false), (1, true), (2, true)] {
                let mut format = fmt(tag, channels, 48_000, bits);
                if extensible {
                    format[..2].copy_from_slice(&0xFFFEu16.to_le_bytes());
                    format.extend([22, 0]);
                    format.extend(bits.to_le_bytes());
                    format.extend([3, 0, 0, 0]);
                    format.extend(tag.to_le_bytes());
                    format.extend([0, 0, 0, 0, 16, 0, 0x80, 0, 0, 0xAA, 0, 0x38, 0x9B, 0x71]);
                }
                let file = riff(&[chunk(b"fmt ", &format), chunk(b"data", &content)]);
                let (info, samples) = read(&file);
                assert_eq!(info.sample_rate_hz, 48_000.0);
                assert_eq!(info.complex, channels == 2);
                assert!(info.warnings.is_empty(), "{:?}", info.warnings);
                let expected = match channels {
                    1 => vec![Complex32::new(0.5, 0.0), Complex32::new(-0.5, 0.0)],
                    _ => vec![Complex32::new(0.5, -0.5)],
                };
                assert_eq!(samples, expected, "{tag} {bits} {channels} {extensible}");
            }
        }
    }

    #[test]
    fn other_chunks_are_skipped_odd_ones_with_their_padding() {
        let file = riff(&[
            chunk(b"JUNK", &[1; 27]),
            chunk(b"fmt ", &fmt(1, 1, 8000, 16)),
            chunk(b"LIST", b"INFOxxx"),
            chunk(b"fact", &[]),
            chunk(b"data", &ramp(100)),
            chunk(b"LIST", b"INFO\0"),
            chunk(b"id3 ", &[7; 300]),
        ]);
        let (info, samples) = read(&file);
        assert!(is_ramp(&samples, 100));
        assert!(info.warnings.is_empty(), "{:?}", info.warnings);
        // Odd data, once with its padding and once without.
        let mut file = riff(&[chunk(b"fmt ", &fmt(1, 1, 8000, 8)), chunk(b"data", &[128; 5])]);
        assert_eq!(read(&file).1.len(), 5);
        file.pop();
        let (info, samples) = read(&file);
        assert_eq!((samples.len(), info.warnings.len()), (5, 0));
        file.extend(chunk(b"LIST", b"unpadded"));
        let (info, samples) = read(&file);
        assert_eq!((samples.len(), info.warnings.len()), (5, 0));
    }

    #[test]
    fn big_endian_riff() {
        let mut file = b"RIFX\0\0\0\x30WAVEfmt \0\0\0\x10".to_vec();
        file.extend([0, 1, 0, 2, 0, 0, 0xBB, 0x80, 0, 2, 0xEE, 0, 0, 4, 0, 16]);
        file.extend(b"data\0\0\0\x04\x40\0\xC0\0");
        let (info, samples) = read(&file);
        assert_eq!(info.sample_rate_hz, 48_000.0);
        assert_eq!(samples, [Complex32::new(0.5, -0.5)]);
    }

    #[test]
    fn sizes_of_64_bits() {
        for id in [b"RF64", b"BW64"] {
            let mut ds64 = vec![0; 28];
            ds64[8..16].copy_from_slice(&200u64.to_le_bytes());
            let chunks = [
                chunk(b"ds64", &ds64),
                chunk(b"fmt ", &fmt(1, 1, 8000, 16)),
                chunk(b"data", &ramp(100)),
                chunk(b"LIST", b"INFO"),
            ];
            let mut file = with_data_size(riff(&chunks), u32::MAX);
            file[..4].copy_from_slice(id);
            let (info, samples) = read(&file);
            assert!(is_ramp(&samples, 100));
            assert!(info.warnings.is_empty(), "{:?}", info.warnings);
            // More than there is, and more than 4 GiB.
            ds64[8..16].copy_from_slice(&(1u64 << 40).to_le_bytes());
            let at = file.windows(4).position(|id| id == b"ds64").unwrap();
            file[at + 8..at + 36].copy_from_slice(&ds64);
            let (info, _) = read(&file);
            assert!(info.warnings[0].starts_with("is truncated"), "{:?}", info.warnings);
        }
    }

    #[test]
    fn lying_data_sizes_lose_nothing() {
        let whole = riff(&[chunk(b"fmt ", &fmt(1, 1, 8000, 16)), chunk(b"data", &ramp(1000))]);
        for size in [0, 1, 2, 777, 1998, 2001, 5000, 0x7FFF_FFFF, 0x8000_0000, u32::MAX] {
            let (info, samples) = read(&with_data_size(whole.clone(), size));
            assert!(is_ramp(&samples, 1000), "{size}: {}", samples.len());
            assert_eq!(info.warnings.len(), 1, "{size}: {:?}", info.warnings);
        }
    }

    #[test]
    fn a_truncated_file_gives_what_is_there() {
        let whole = riff(&[chunk(b"fmt ", &fmt(1, 1, 8000, 16)), chunk(b"data", &ramp(1000))]);
        for cut in [1, 2, 999, 1999, 2000] {
            let (info, samples) = read(&whole[..whole.len() - cut]);
            assert!(is_ramp(&samples, (2000 - cut) / 2), "{cut}");
            assert!(info.warnings[0].starts_with("is truncated"), "{:?}", info.warnings);
        }
        for length in 12..whole.len() - 2000 {
            let error = open_bytes(&whole[..length], &InputOptions::default()).err().unwrap();
            assert!(error.subject.ends_with("x.wav"), "{length}: {error}");
        }
        for length in 0..12 {
            assert!(open_bytes(&whole[..length], &InputOptions::default()).is_err());
        }
    }

    #[test]
    fn no_samples_are_no_error() {
        let trailing = chunk(b"LIST", b"INFO");
        for after in [Vec::new(), trailing] {
            let format = chunk(b"fmt ", &fmt(1, 2, 8000, 16));
            let (info, samples) = read(&riff(&[format, chunk(b"data", &[]), after]));
            assert!(samples.is_empty());
            assert_eq!(info.warnings, ["holds no samples"]);
        }
    }

    #[test]
    fn nan_and_infinity_become_0() {
        let values = [f32::NAN, 0.5, f32::INFINITY, f32::NEG_INFINITY];
        let content: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
        let file = riff(&[chunk(b"fmt ", &fmt(3, 2, 8000, 32)), chunk(b"data", &content)]);
        let mut source = open_bytes(&file, &InputOptions::default()).unwrap();
        let (samples, _) = drain(&mut *source, 10);
        assert_eq!(samples, [Complex32::new(0.0, 0.5), Complex32::new(0.0, 0.0)]);
        assert_eq!(source.replaced_values(), 3);
    }

    #[test]
    fn time_and_frequency_from_auxi() {
        let mut auxi = Vec::new();
        for word in [2026u16, 11, 0, 22, 12, 30, 5, 250] {
            auxi.extend(word.to_le_bytes());
        }
        auxi.extend([0; 16]);
        auxi.extend(437_000_000u32.to_le_bytes());
        auxi.extend([0; 32]);
        let format = chunk(b"fmt ", &fmt(1, 2, 8000, 16));
        let data = chunk(b"data", &ramp(10));
        let before = riff(&[format.clone(), chunk(b"auxi", &auxi), data.clone()]);
        let after = riff(&[format.clone(), data.clone(), chunk(b"auxi", &auxi)]);
        for file in [before.clone(), after] {
            let mut source = open_bytes(&file, &InputOptions::default()).unwrap();
            let anchor = drain(&mut *source, 3).1[0];
            assert_eq!(anchor.time, "2026-11-22T12:30:05.25Z".parse().ok());
            assert_eq!(anchor.centre_frequency_hz, Some(437e6));
        }
        let options = InputOptions {
            start: "2020-01-01T00:00:00Z".parse().ok(),
            centre_frequency_hz: Some(1.0),
            sample_rate_hz: Some(96_000.0),
            ..InputOptions::default()
        };
        let mut source = open_bytes(&before, &options).unwrap();
        assert_eq!(source.info().sample_rate_hz, 96_000.0);
        let anchor = drain(&mut *source, 3).1[0];
        assert_eq!(anchor.time, options.start);
        assert_eq!(anchor.centre_frequency_hz, Some(1.0));
        // SDR Console: XML in UTF-16.
        let xml = r#"<?xml version="1.0"?><SDR-XML-Root><Definition UTCSeconds="1763814605" RadioCenterFreq="145900000" /></SDR-XML-Root>"#;
        let utf16: Vec<u8> = xml.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let file = riff(&[format.clone(), chunk(b"auxi", &utf16), data.clone()]);
        let mut source = open_bytes(&file, &InputOptions::default()).unwrap();
        let anchor = drain(&mut *source, 3).1[0];
        assert_eq!(anchor.time, Timestamp::from_second(1_763_814_605).ok());
        assert_eq!(anchor.centre_frequency_hz, Some(145.9e6));
        // Nonsense is left out.
        for content in [vec![0xFF; 68], vec![0; 68], vec![1; 5], b"<?xml UTCSeconds=\"x".to_vec()] {
            let file = riff(&[format.clone(), chunk(b"auxi", &content), data.clone()]);
            let mut source = open_bytes(&file, &InputOptions::default()).unwrap();
            assert_eq!(drain(&mut *source, 3).1[0].time, None);
        }
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let cases = [
            (fmt(1, 0, 8000, 16), "0 channels"),
            (fmt(1, 4, 8000, 16), "4 channels"),
            (fmt(1, 1, 8000, 64), "PCM of 64 bits"),
            (fmt(1, 1, 8000, 0), "PCM of 0 bits"),
            (fmt(3, 1, 8000, 16), "floats of 16 bits"),
            (fmt(7, 1, 8000, 8), "µ-law"),
            (fmt(0x1234, 1, 8000, 8), "format tag 4660"),
            (fmt(1, 1, 0, 16), "sample rate of 0"),
        ];
        for (format, wrong) in cases {
            let file = riff(&[chunk(b"fmt ", &format), chunk(b"data", &ramp(10))]);
            let error = open_bytes(&file, &InputOptions::default()).err().unwrap();
            assert!(error.wrong.contains(wrong), "{error}");
        }
        let file = riff(&[chunk(b"fmt ", &fmt(1, 1, 0, 16)), chunk(b"data", &ramp(10))]);
        let error = open_bytes(&file, &InputOptions::default()).err().unwrap();
        assert!(error.right.contains("--rate"));
        let options = InputOptions { sample_rate_hz: Some(8000.0), ..InputOptions::default() };
        assert!(open_bytes(&file, &options).is_ok());
        // The user may know better how the numbers are coded.
        let file = riff(&[chunk(b"fmt ", &fmt(7, 4, 8000, 8)), chunk(b"data", &ramp(10))]);
        let options = InputOptions { format: Some("ri16".into()), ..InputOptions::default() };
        let mut source = open_bytes(&file, &options).unwrap();
        assert!(is_ramp(&drain(&mut *source, 100).0, 10));
        assert!(open_bytes(&riff(&[chunk(b"data", &ramp(1))]), &InputOptions::default()).is_err());
        assert!(open_bytes(&riff(&[chunk(b"fmt ", &[1; 10])]), &InputOptions::default()).is_err());
    }

    #[test]
    fn a_pipe_is_read_as_far_as_it_goes() {
        let whole = riff(&[chunk(b"fmt ", &fmt(1, 1, 8000, 16)), chunk(b"data", &ramp(1000))]);
        for size in [0, 2000, 0x7FFF_FFF0, u32::MAX] {
            let file = with_data_size(whole.clone(), size);
            let options = InputOptions::default();
            let mut source = open_stream("pipe", Cursor::new(file), &options).unwrap();
            assert!(is_ramp(&drain(&mut *source, 7).0, 1000), "{size}");
            assert!(source.info().warnings.is_empty());
        }
        let cut = whole[..whole.len() - 500].to_vec();
        let mut source = open_stream("pipe", Cursor::new(cut), &InputOptions::default()).unwrap();
        assert!(is_ramp(&drain(&mut *source, 7).0, 750));
        assert_eq!(source.info().warnings, ["ends 250 samples early: 750 samples are there"]);
    }

    #[test]
    fn random_bytes_never_panic() {
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        let seed = riff(&[
            chunk(b"ds64", &[0; 28]),
            chunk(b"fmt ", &fmt(0xFFFE, 2, 48_000, 16)),
            chunk(b"auxi", &[9; 68]),
            chunk(b"data", &ramp(20)),
            chunk(b"auxi", &[9; 68]),
        ]);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.wav");
        for round in 0..4000 {
            let mut file = seed.clone();
            for _ in 0..rng.random_range(1..8) {
                let at = rng.random_range(0..file.len());
                let interesting = [0, 1, 0x7F, 0x80, 0xFF, rng.random()];
                file[at] = interesting[rng.random_range(0..interesting.len())];
            }
            file.truncate(rng.random_range(0..=file.len() * 2));
            let options = InputOptions::default();
            // Files are slow to write: one in eight.
            let opened = (round % 8 == 0).then(|| {
                std::fs::write(&path, &file).unwrap();
                super::super::open(path.to_str().unwrap(), &options)
            });
            let piped = super::super::stdin::open_stream("pipe", Cursor::new(file), &options);
            for mut source in opened.into_iter().chain([piped]).flatten() {
                drain(&mut *source, 16);
            }
        }
    }
}
