//! Samples out of a stream of bytes: what every file and pipe has in common.
//!
//! A recording is a row of **captures**: some bytes to skip, then samples that begin with an
//! anchor. The stream reads at most a block of bytes ahead, so that a recording may be of any size,
//! and a block of samples never crosses the beginning of a capture.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read};

use jiff::{SignedDuration, Timestamp};
use num_complex::Complex32;

use super::format::SampleFormat;
use super::{Anchor, SampleBlock, Source, SourceError, SourceInfo};

/// Bytes read at a time.
const BLOCK_BYTES: usize = 1 << 18;

/// A row of samples without a break.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Capture {
    /// Bytes before its samples that are none.
    pub skip_bytes: u64,
    /// Number of its samples; `None`: up to the end of the stream.
    pub samples: Option<u64>,
    /// UTC of its first sample.
    pub time: Option<Timestamp>,
    /// Frequency at 0 Hz of the baseband.
    pub centre_frequency_hz: Option<f64>,
}

/// The time `samples` after `start`. `None` beyond the year 9999.
pub(crate) fn later(start: Timestamp, samples: u64, sample_rate_hz: f64) -> Option<Timestamp> {
    let seconds = SignedDuration::try_from_secs_f64(samples as f64 / sample_rate_hz).ok()?;
    start.checked_add(seconds).ok()
}

/// A recording as a stream.
pub(crate) struct StreamSource<R> {
    info: SourceInfo,
    reader: R,
    format: SampleFormat,
    /// Samples interleaved in the file of which the first is read.
    channels: usize,
    /// Blocks are handed on as soon as the stream has given something, not only when they are full.
    live: bool,
    captures: VecDeque<Capture>,
    /// What is left of the capture being read; `None`: up to the end of the stream.
    left: Option<u64>,
    /// The anchor of the capture being read, until its first block is handed on.
    anchor: Option<Anchor>,
    /// Index of the next sample.
    position: u64,
    /// Bytes read and not yet converted are `bytes[start..end]`.
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    /// Every channel, when there are several.
    interleaved: Vec<Complex32>,
    /// A failure that waits until the samples before it are handed on.
    failure: Option<io::Error>,
    ended: bool,
    replaced: u64,
}

impl<R: Read + Send> StreamSource<R> {
    /// Samples of `format`, `channels` of them interleaved, in `captures` (never empty).
    pub fn new(
        info: SourceInfo,
        reader: R,
        format: SampleFormat,
        channels: usize,
        captures: impl IntoIterator<Item = Capture>,
        live: bool,
    ) -> Self {
        Self {
            info,
            reader,
            format,
            channels: channels.max(1),
            live,
            captures: captures.into_iter().collect(),
            left: Some(0),
            anchor: None,
            position: 0,
            bytes: Vec::new(),
            start: 0,
            end: 0,
            interleaved: Vec::new(),
            failure: None,
            ended: false,
            replaced: 0,
        }
    }

    /// Bytes of one sample of all channels.
    fn stride(&self) -> usize {
        self.format.bytes() * self.channels
    }

    /// Reads once behind what is there. `false`: the stream gives no more.
    fn refill(&mut self) -> bool {
        if self.ended {
            return false;
        }
        if self.bytes.is_empty() {
            self.bytes.resize(BLOCK_BYTES.max(self.stride()), 0);
        }
        self.bytes.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        loop {
            match self.reader.read(&mut self.bytes[self.end..]) {
                Ok(0) => {
                    self.ended = true;
                    return false;
                }
                Ok(count) => {
                    self.end += count.min(self.bytes.len() - self.end);
                    return true;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    self.ended = true;
                    self.failure = Some(error);
                    return false;
                }
            }
        }
    }

    /// Goes past `count` bytes. `false`: the stream has fewer.
    fn skip(&mut self, mut count: u64) -> bool {
        loop {
            let step = (self.end - self.start).min(usize::try_from(count).unwrap_or(usize::MAX));
            self.start += step;
            count -= step as u64;
            if count == 0 {
                return true;
            }
            if !self.refill() {
                return false;
            }
        }
    }

    /// Begins the next capture that has samples. `false`: there is none.
    fn begin_capture(&mut self) -> bool {
        while self.left == Some(0) {
            let Some(capture) = self.captures.pop_front() else { return false };
            if !self.skip(capture.skip_bytes) {
                self.end_early();
                return false;
            }
            self.left = capture.samples;
            self.anchor = Some(Anchor {
                sample: self.position,
                time: capture.time,
                centre_frequency_hz: capture.centre_frequency_hz,
            });
        }
        true
    }

    /// The stream ended within a capture.
    fn end_early(&mut self) {
        let stray = self.end - self.start;
        self.start = self.end;
        if self.failure.is_none() {
            if let Some(missing) = self.left.filter(|&missing| missing > 0) {
                self.info.warnings.push(format!(
                    "ends {missing} samples early: {} samples are there",
                    self.position
                ));
            } else if stray > 0 {
                self.info.warnings.push(stray_bytes(stray as u64, self.stride()));
            }
            if self.position == 0 && self.info.length_samples != Some(0) {
                self.info.warnings.push("holds no samples".to_owned());
            }
        }
        self.left = Some(0);
        self.captures.clear();
    }
}

/// The warning about bytes at the end that make no sample.
pub(crate) fn stray_bytes(count: u64, sample_bytes: usize) -> String {
    format!("the last {count} bytes are no whole sample of {sample_bytes} bytes and are left out")
}

impl<R: Read + Send> Source for StreamSource<R> {
    fn info(&self) -> &SourceInfo {
        &self.info
    }

    fn replaced_values(&self) -> u64 {
        self.replaced
    }

    fn read(&mut self, block: &mut SampleBlock, max_samples: usize) -> Result<bool, SourceError> {
        let max_samples = max_samples.max(1);
        block.samples.clear();
        block.anchor = None;
        block.first_sample = self.position;
        if self.begin_capture() {
            let stride = self.stride();
            while block.samples.len() < max_samples {
                let there = (self.end - self.start) / stride;
                let left = self.left.unwrap_or(u64::MAX);
                let count = (max_samples - block.samples.len())
                    .min(there)
                    .min(usize::try_from(left).unwrap_or(usize::MAX));
                let bytes = &self.bytes[self.start..self.start + count * stride];
                if self.channels == 1 {
                    self.replaced += self.format.convert(bytes, &mut block.samples);
                } else {
                    self.interleaved.clear();
                    self.replaced += self.format.convert(bytes, &mut self.interleaved);
                    block.samples.extend(self.interleaved.iter().step_by(self.channels));
                }
                self.start += count * stride;
                self.position += count as u64;
                if let Some(left) = &mut self.left {
                    *left -= count as u64;
                }
                if self.left == Some(0) {
                    break;
                }
                if block.samples.len() < max_samples {
                    if self.live && !block.samples.is_empty() {
                        break;
                    }
                    if !self.refill() {
                        self.end_early();
                        break;
                    }
                }
            }
        }
        if !block.samples.is_empty() {
            block.anchor = self.anchor.take();
            return Ok(true);
        }
        match self.failure.take() {
            Some(cause) => Err(SourceError { name: self.info.name.clone(), cause }),
            None => Ok(false),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
pub(super) mod tests {
    use super::*;

    fn info() -> SourceInfo {
        SourceInfo {
            name: "test".into(),
            sample_rate_hz: 1000.0,
            complex: true,
            length_samples: None,
            warnings: Vec::new(),
        }
    }

    fn capture(skip_bytes: u64, samples: Option<u64>, second: i64) -> Capture {
        Capture {
            skip_bytes,
            samples,
            time: Timestamp::from_second(second).ok(),
            centre_frequency_hz: Some(second as f64),
        }
    }

    /// Everything of a source: samples, anchors, and whether indices are contiguous.
    pub fn drain(source: &mut dyn Source, max_samples: usize) -> (Vec<Complex32>, Vec<Anchor>) {
        let mut block = SampleBlock::default();
        let (mut samples, mut anchors) = (Vec::new(), Vec::new());
        while source.read(&mut block, max_samples).unwrap() {
            assert!(!block.samples.is_empty() && block.samples.len() <= max_samples);
            assert_eq!(block.first_sample, samples.len() as u64);
            if let Some(anchor) = block.anchor {
                assert_eq!(anchor.sample, block.first_sample);
                anchors.push(anchor);
            }
            samples.extend_from_slice(&block.samples);
        }
        assert!(block.samples.is_empty());
        assert!(!source.read(&mut block, max_samples).unwrap());
        (samples, anchors)
    }

    /// Gives a few bytes at a time, then fails if told so.
    struct Dribble {
        bytes: Vec<u8>,
        position: usize,
        step: usize,
        fails: bool,
    }

    impl Read for Dribble {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let count = self.step.min(into.len()).min(self.bytes.len() - self.position);
            if count == 0 && self.fails {
                return Err(io::Error::other("unplugged"));
            }
            into[..count].copy_from_slice(&self.bytes[self.position..self.position + count]);
            self.position += count;
            Ok(count)
        }
    }

    #[test]
    fn any_block_size_gives_the_same_samples_and_anchors() {
        let bytes: Vec<u8> = (0..4001u32).map(|x| (x * 37 % 251) as u8).collect();
        let format = SampleFormat::from_name("ci16").unwrap();
        let captures = [
            capture(3, Some(100), 10),
            capture(0, Some(0), 11),
            capture(7, Some(1), 12),
            capture(0, None, 13),
        ];
        let read = |max, step, live| {
            let reader = Dribble { bytes: bytes.clone(), position: 0, step, fails: false };
            let mut source = StreamSource::new(info(), reader, format, 1, captures, live);
            let all = drain(&mut source, max);
            (all, source.info().warnings.clone())
        };
        let whole = read(usize::MAX, usize::MAX, false);
        assert_eq!(whole.0.0.len(), (4001 - 3 - 7) / 4);
        assert_eq!(whole.0.1.iter().map(|a| a.sample).collect::<Vec<_>>(), [0, 100, 101]);
        assert_eq!(whole.1, ["the last 3 bytes are no whole sample of 4 bytes and are left out"]);
        for (max, step) in [(1, 1), (1, 4001), (7, 3), (64, 1000), (100, 5), (101, 9), (5000, 2)] {
            assert_eq!(read(max, step, false), whole, "{max} {step}");
            assert_eq!(read(max, step, true), whole, "live {max} {step}");
        }
    }

    #[test]
    fn samples_before_a_failure_are_handed_on_first() {
        let format = SampleFormat::from_name("ci8").unwrap();
        let reader = Dribble { bytes: vec![1; 21], position: 0, step: 4, fails: true };
        let mut source = StreamSource::new(info(), reader, format, 1, [capture(0, None, 0)], false);
        let mut block = SampleBlock::default();
        assert!(source.read(&mut block, 100).unwrap());
        assert_eq!(block.samples.len(), 10);
        let error = source.read(&mut block, 100).unwrap_err();
        assert_eq!(error.to_string(), "test: unplugged");
        assert!(block.samples.is_empty());
        assert!(!source.read(&mut block, 100).unwrap());
    }

    #[test]
    fn the_first_of_several_channels_is_read() {
        let format = SampleFormat::from_name("ri8").unwrap();
        let bytes: &[u8] = &[64, 1, 2, 32, 3, 4, 16, 5];
        let mut source = StreamSource::new(info(), bytes, format, 3, [capture(0, None, 0)], false);
        let (samples, _) = drain(&mut source, 1000);
        assert_eq!(samples.iter().map(|z| z.re).collect::<Vec<_>>(), [0.5, 0.25]);
        assert_eq!(source.info().warnings.len(), 1);
    }

    #[test]
    fn a_stream_that_ends_early_says_so() {
        let format = SampleFormat::from_name("ri8").unwrap();
        let bytes: &[u8] = &[1, 2, 3];
        let captures = [capture(0, Some(5), 0), capture(0, None, 1)];
        let mut source = StreamSource::new(info(), bytes, format, 1, captures, false);
        assert_eq!(drain(&mut source, 2).0.len(), 3);
        assert_eq!(source.info().warnings, ["ends 2 samples early: 3 samples are there"]);
        let mut empty = StreamSource::new(info(), &[][..], format, 1, [capture(4, None, 0)], false);
        assert_eq!(drain(&mut empty, 2).0.len(), 0);
        assert_eq!(empty.info().warnings, ["holds no samples"]);
    }

    #[test]
    fn time_follows_the_sample_counter() {
        let start = Timestamp::from_second(100).unwrap();
        assert_eq!(later(start, 48_000, 48_000.0), Timestamp::from_second(101).ok());
        assert_eq!(later(start, u64::MAX, 1e-9), None);
        assert_eq!(later(start, 1, f64::NAN), None);
    }
}
