//! A transmitter: frames in bursts, through a channel, as a [`Source`] of samples.
//!
//! ```text
//!  lead-in | preamble frame frame … postamble | gap | preamble frame … | … | tail
//!  (noise)   one burst: one modulated piece     (noise)                     (noise)
//! ```
//!
//! Samples are made as they are read. A burst is modulated whole if it is short; a long one (a
//! continuous channel) in pieces of [`PIECE_SYMBOLS`] that overlap by [`OVERLAP_SYMBOLS`]: each
//! piece is turned so that it continues the one before it, whose samples it repeats around the
//! seam. That is exact for modulations whose memory beyond the overlap is a phase (PSK, FSK, their
//! differential kinds). Whether it is, is tried on the first symbols of the burst; if not (tones in
//! FM), the burst is modulated whole.

use std::collections::VecDeque;

use jiff::Timestamp;
use num_complex::{Complex32, Complex64};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::channel::{Channel, GAP_STREAM, Propagation};
use crate::catalogue::Mode;
use crate::error::RequestError;
use crate::framing::{FrameEncoder, Framing};
use crate::modulation::Modulator;
use crate::source::{Anchor, SampleBlock, Source, SourceError, SourceInfo};

/// Symbols of a long burst that are modulated at a time.
pub const PIECE_SYMBOLS: usize = 16_384;

/// Symbols before and after a piece that are modulated with it.
pub const OVERLAP_SYMBOLS: usize = 64;

/// Longest silence, in samples, that is asked for: a day at 100 MS/s.
const LONGEST_PAUSE_SAMPLES: f64 = 8.64e12;

/// What is sent, and when.
pub struct Transmission {
    /// Bits to samples.
    pub modulator: Box<dyn Modulator>,
    /// Nominal symbol rate.
    pub symbol_rate_bd: f64,
    /// Frames to bits.
    pub framing: Box<dyn Framing>,
    /// The frames, in order.
    pub frames: Vec<Vec<u8>>,
    /// Frames of a burst, at least 1; `usize::MAX` for one burst of all.
    pub frames_per_burst: usize,
    /// Least length of the preamble of each burst.
    pub preamble_symbols: usize,
    /// Noise before the first burst.
    pub lead_in_s: f64,
    /// Noise between bursts, at least.
    pub gap_s: f64,
    /// Up to so much more of it, by chance: bursts at random times.
    pub gap_spread_s: f64,
    /// Noise after the last burst.
    pub tail_s: f64,
    /// No frame begins later than this, in seconds from the first sample; what is then left is not
    /// sent, and a frame that is not at its end by then does not count as sent.
    pub until_s: f64,
}

impl Transmission {
    /// One burst per frame, 64 symbols of preamble and 0.25 s of noise around each.
    ///
    /// # Errors
    /// The modulation cannot be modulated with these parameters.
    pub fn new(mode: Mode, frames: Vec<Vec<u8>>) -> Result<Self, RequestError> {
        Ok(Self {
            modulator: (mode.modulation.modulator)(&mode.parameters)?,
            symbol_rate_bd: mode.parameters.symbol_rate_bd,
            framing: mode.framing,
            frames,
            frames_per_burst: 1,
            preamble_symbols: 64,
            lead_in_s: 0.25,
            gap_s: 0.25,
            gap_spread_s: 0.0,
            tail_s: 0.25,
            until_s: f64::INFINITY,
        })
    }

    /// One burst of all frames (a synchronous channel).
    #[must_use]
    pub fn continuous(mut self) -> Self {
        self.frames_per_burst = usize::MAX;
        self
    }

    fn check(&self, sample_rate_hz: f64) -> Result<(), RequestError> {
        if !(self.symbol_rate_bd > 0.0 && self.symbol_rate_bd.is_finite()) {
            return Err(RequestError::new(
                "symbol rate",
                format!("{} Bd is impossible", self.symbol_rate_bd),
                "give a positive number",
            ));
        }
        if !(sample_rate_hz >= 2.0 * self.symbol_rate_bd && sample_rate_hz.is_finite()) {
            return Err(RequestError::new(
                "sample rate",
                format!("{sample_rate_hz} Hz is too low for {} Bd", self.symbol_rate_bd),
                format!("accepted: {} Hz and more", 2.0 * self.symbol_rate_bd),
            ));
        }
        for (name, seconds) in [
            ("lead-in", self.lead_in_s),
            ("gap", self.gap_s),
            ("gap", self.gap_spread_s),
            ("tail", self.tail_s),
        ] {
            if !(seconds >= 0.0 && seconds * sample_rate_hz <= LONGEST_PAUSE_SAMPLES) {
                return Err(RequestError::new(
                    name,
                    format!("{seconds} s is impossible"),
                    "give a number of seconds, 0 or more",
                ));
            }
        }
        if self.until_s.is_nan() {
            return Err(RequestError::new("end", "it is no number", "give a number of seconds"));
        }
        let (shortest, longest) = self.framing.frame_bytes();
        match self.frames.iter().find(|f| !(shortest..=longest).contains(&f.len())) {
            Some(frame) => Err(RequestError::new(
                "frame",
                format!("{} bytes do not fit the framing", frame.len()),
                format!("accepted: {shortest} to {longest} bytes"),
            )),
            None => Ok(()),
        }
    }
}

/// A frame that was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SentFrame {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Sample in which its first channel symbol begins: that of its sync word, or of its first
    /// address byte where frames share flags (HDLC: the opening flag lies eight bits before).
    pub first_sample: u64,
    /// Sample in which the symbol after its last begins.
    pub end_sample: u64,
}

/// The burst on the air.
struct Burst {
    encoder: Box<dyn FrameEncoder>,
    /// Frames not yet encoded.
    frames_left: usize,
    /// The postamble has been encoded.
    closed: bool,
    /// Channel bits, from symbol `first_bit` of the burst on.
    bits: VecDeque<u8>,
    first_bit: u64,
    /// Position in the recording of the burst's first sample.
    start: u64,
    /// Samples per symbol, and the position in the burst where the first symbol starts.
    samples_per_symbol: f64,
    first_symbol: f64,
    clock_ppm: f64,
    /// May be modulated in pieces.
    divisible: bool,
    /// Samples handed over.
    samples_done: u64,
    /// The samples around the seam, as the last piece had them: they begin at `seam_start`.
    seam: Vec<Complex32>,
    seam_start: u64,
}

impl Burst {
    /// Position, in samples of the burst, of the start of a symbol.
    fn position(&self, symbol: u64) -> f64 {
        self.first_symbol + symbol as f64 * self.samples_per_symbol
    }
}

/// A transmitter and a channel at work: reads as a [`Source`].
pub struct Simulator {
    transmission: Transmission,
    clock_ppm: f64,
    timing_samples: f64,
    /// Doppler shift of the symbol clock: parts per million per Hz of carrier.
    ppm_per_hz: f64,
    doppler_hz: super::Curve,
    propagation: Propagation,
    /// Draws the gaps.
    gaps: ChaCha8Rng,
    info: SourceInfo,
    start: Option<Timestamp>,
    centre_frequency_hz: Option<f64>,
    next_frame: usize,
    sent: Vec<SentFrame>,
    burst: Option<Burst>,
    /// Samples of the transmitter that are made but not read; after them, so many of silence.
    made: Vec<Complex32>,
    made_read: usize,
    silence: u64,
    /// Samples made, silence included; samples read.
    position: u64,
    read: u64,
    ended: bool,
}

impl Simulator {
    /// A recording of `transmission` through `channel`.
    ///
    /// `start`: UTC of the first sample. `centre_frequency_hz`: frequency at 0 Hz of the baseband;
    /// with it, the channel's Doppler shift also moves the symbol clock (as it is at the beginning
    /// of each burst).
    ///
    /// # Errors
    /// A sample rate below two samples a symbol, impossible times, or a frame that does not fit
    /// the framing.
    pub fn new(
        transmission: Transmission,
        channel: Channel,
        sample_rate_hz: f64,
        start: Option<Timestamp>,
        centre_frequency_hz: Option<f64>,
    ) -> Result<Self, RequestError> {
        transmission.check(sample_rate_hz)?;
        let clock_ppm = channel.clock_ppm;
        if !(-1e5..=1e5).contains(&clock_ppm) {
            return Err(RequestError::new(
                "clock",
                format!("{clock_ppm} ppm is impossible"),
                "accepted: -100000 to 100000 ppm",
            ));
        }
        let timing = channel.timing_samples;
        if !(0.0..1.0).contains(&timing) {
            return Err(RequestError::new(
                "timing",
                format!("{timing} samples is out of range"),
                "accepted: 0 up to 1, without 1",
            ));
        }
        let samples_per_symbol = sample_rate_hz / transmission.symbol_rate_bd;
        Ok(Self {
            clock_ppm,
            timing_samples: timing,
            ppm_per_hz: centre_frequency_hz.filter(|f| *f >= 1e6).map_or(0.0, |f| 1e6 / f),
            doppler_hz: channel.doppler_hz.clone(),
            gaps: {
                let mut gaps = ChaCha8Rng::seed_from_u64(channel.seed);
                gaps.set_stream(GAP_STREAM);
                gaps
            },
            propagation: Propagation::new(channel, sample_rate_hz, samples_per_symbol),
            info: SourceInfo {
                name: "simulation".to_owned(),
                sample_rate_hz,
                complex: true,
                length_samples: None,
                warnings: Vec::new(),
            },
            start,
            centre_frequency_hz,
            next_frame: 0,
            sent: Vec::with_capacity(transmission.frames.len()),
            burst: None,
            made: Vec::new(),
            made_read: 0,
            silence: (transmission.lead_in_s * sample_rate_hz).round() as u64,
            position: (transmission.lead_in_s * sample_rate_hz).round() as u64,
            read: 0,
            ended: false,
            transmission,
        })
    }

    /// The frames sent so far, in order; all of them once everything has been read.
    pub fn sent(&self) -> &[SentFrame] {
        &self.sent
    }

    /// Amplitude of the signal in the samples, at 0 dB gain.
    pub fn signal_amplitude(&self) -> f32 {
        self.propagation.signal_amplitude()
    }

    /// Samples read so far.
    pub fn samples_read(&self) -> u64 {
        self.read
    }

    /// Appends up to `max_samples` samples to `out`; returns how many. 0: the recording has ended.
    ///
    /// # Errors
    /// The framing refused a frame.
    pub fn read_samples(
        &mut self,
        out: &mut Vec<Complex32>,
        max_samples: usize,
    ) -> Result<usize, RequestError> {
        let begin = out.len();
        while out.len() - begin < max_samples {
            let room = max_samples - (out.len() - begin);
            if self.made_read < self.made.len() {
                let end = self.made.len().min(self.made_read + room);
                out.extend_from_slice(&self.made[self.made_read..end]);
                self.made_read = end;
            } else if self.silence > 0 {
                let count = self.silence.min(room as u64);
                out.resize(out.len() + count as usize, Complex32::ZERO);
                self.silence -= count;
            } else if self.ended {
                break;
            } else {
                self.make()?;
            }
        }
        let count = out.len() - begin;
        self.propagation.apply(&mut out[begin..]);
        self.read += count as u64;
        Ok(count)
    }

    /// Makes the next piece of a burst, the burst if it has none, or the end.
    fn make(&mut self) -> Result<(), RequestError> {
        self.made.clear();
        self.made_read = 0;
        let mut burst = match self.burst.take() {
            Some(burst) => burst,
            None if self.has_next(self.position as f64) => self.begin_burst()?,
            None => {
                self.ended = true;
                return Ok(());
            }
        };
        let rest = self.make_piece(&mut burst)?;
        self.position += self.made.len() as u64;
        if rest {
            self.burst = Some(burst);
        } else {
            let pause_s = if self.has_next(self.position as f64) {
                self.transmission.gap_s + self.transmission.gap_spread_s * self.gaps.random::<f64>()
            } else {
                self.transmission.tail_s
            };
            self.silence = (pause_s * self.info.sample_rate_hz).round() as u64;
            self.position += self.silence;
        }
        Ok(())
    }

    /// Whether there is a frame that may begin at this sample.
    fn has_next(&self, sample: f64) -> bool {
        self.next_frame < self.transmission.frames.len()
            && sample / self.info.sample_rate_hz <= self.transmission.until_s
    }

    fn begin_burst(&mut self) -> Result<Burst, RequestError> {
        let start_s = self.position as f64 / self.info.sample_rate_hz;
        let clock_ppm = self.clock_ppm + self.ppm_per_hz * self.doppler_hz.at(start_s);
        let rate_bd = self.transmission.symbol_rate_bd * (1.0 + clock_ppm * 1e-6);
        let mut encoder = self.transmission.framing.encoder();
        let mut bits = Vec::new();
        encoder.preamble(self.transmission.preamble_symbols, &mut bits);
        let mut burst = Burst {
            encoder,
            frames_left: (self.transmission.frames.len() - self.next_frame)
                .min(self.transmission.frames_per_burst.max(1)),
            closed: false,
            bits: bits.into(),
            first_bit: 0,
            start: self.position,
            samples_per_symbol: self.info.sample_rate_hz / rate_bd,
            first_symbol: 0.0,
            clock_ppm,
            divisible: false,
            samples_done: 0,
            seam: Vec::new(),
            seam_start: 0,
        };
        // Where the first symbol lies is the modulator's to say.
        let mut samples = Vec::new();
        let head = self.modulate(&[0; 2], clock_ppm, self.timing_samples, &mut samples);
        burst.first_symbol = head + self.timing_samples;
        self.encode(&mut burst, PIECE_SYMBOLS + 2 * OVERLAP_SYMBOLS)?;
        if !burst.closed {
            burst.divisible = self.is_divisible(&mut burst);
        }
        Ok(burst)
    }

    fn modulate(
        &self,
        bits: &[u8],
        clock_ppm: f64,
        timing_samples: f64,
        out: &mut Vec<Complex32>,
    ) -> f64 {
        out.clear();
        self.transmission.modulator.modulate(
            bits,
            self.info.sample_rate_hz,
            clock_ppm,
            timing_samples,
            out,
        )
    }

    /// Encodes frames until `count` bits are there or the burst is complete.
    fn encode(&mut self, burst: &mut Burst, count: usize) -> Result<(), RequestError> {
        let mut bits = Vec::new();
        while burst.bits.len() < count && !burst.closed {
            bits.clear();
            let begin = burst.first_bit + burst.bits.len() as u64;
            let begin_sample = burst.start as f64 + burst.position(begin);
            if burst.frames_left > 0 && self.has_next(begin_sample) {
                let bytes = self.transmission.frames[self.next_frame].clone();
                burst.encoder.frame(&bytes, &mut bits)?;
                burst.frames_left -= 1;
                self.next_frame += 1;
                let sample = |symbol| burst.start + burst.position(symbol).max(0.0) as u64;
                let sent = SentFrame {
                    bytes,
                    first_sample: sample(begin),
                    end_sample: sample(begin + bits.len() as u64),
                };
                let end_s = sent.end_sample as f64 / self.info.sample_rate_hz;
                if end_s <= self.transmission.until_s {
                    self.sent.push(sent);
                }
            } else {
                burst.encoder.postamble(&mut bits);
                burst.closed = true;
            }
            burst.bits.extend(&bits);
        }
        Ok(())
    }

    /// Modulates the symbols from `first` to `end` of the burst (both symbols of the burst) and
    /// returns the position in the burst of the first sample, which is whole; `None` if the
    /// modulator's head is not.
    fn modulate_symbols(
        &self,
        burst: &mut Burst,
        first: u64,
        end: u64,
        out: &mut Vec<Complex32>,
    ) -> Option<i64> {
        let position = burst.position(first);
        let (from, to) = ((first - burst.first_bit) as usize, (end - burst.first_bit) as usize);
        let bits = &burst.bits.make_contiguous()[from..to];
        let head = self.modulate(bits, burst.clock_ppm, position - position.floor(), out);
        (head.fract() == 0.0).then(|| position.floor() as i64 - head as i64)
    }

    /// Whether a burst may be modulated in pieces: its first symbols from the beginning and from
    /// later on agree, but for a turn.
    fn is_divisible(&self, burst: &mut Burst) -> bool {
        let overlap = OVERLAP_SYMBOLS as u64;
        let (mut a, mut b) = (Vec::new(), Vec::new());
        let Some(a_start) = self.modulate_symbols(burst, 0, 6 * overlap, &mut a) else {
            return false;
        };
        let Some(b_start) = self.modulate_symbols(burst, 2 * overlap, 6 * overlap, &mut b) else {
            return false;
        };
        let from = burst.position(5 * overlap / 2) as i64;
        let to = burst.position(11 * overlap / 2) as i64;
        let part = |x: &[Complex32], start: i64| -> Option<Vec<Complex32>> {
            let range = usize::try_from(from - start).ok()?..usize::try_from(to - start).ok()?;
            x.get(range).map(<[_]>::to_vec)
        };
        let (Some(a), Some(b)) = (part(&a, a_start), part(&b, b_start)) else { return false };
        let Some(turn) = turn(&a, &b) else { return false };
        let difference: f64 =
            a.iter().zip(&b).map(|(a, b)| f64::from((a - b * turn).norm_sqr())).sum();
        let energy: f64 = a.iter().map(|a| f64::from(a.norm_sqr())).sum();
        // -70 dB, far below what any receiver sees.
        difference <= 1e-7 * energy
    }

    /// Modulates the next piece of a burst into `made`; `false` if it was the last.
    fn make_piece(&mut self, burst: &mut Burst) -> Result<bool, RequestError> {
        let overlap = OVERLAP_SYMBOLS as u64;
        let wanted = if burst.divisible { PIECE_SYMBOLS + 3 * OVERLAP_SYMBOLS } else { usize::MAX };
        self.encode(burst, wanted)?;
        let first = burst.first_bit;
        let available = first + burst.bits.len() as u64;
        let mut made = std::mem::take(&mut self.made);
        let last = burst.closed && (burst.bits.len() <= wanted || !burst.divisible);
        // Symbols modulated: up to one overlap after the seam, which is the start of `cut`.
        let cut = first + PIECE_SYMBOLS as u64;
        let end = if last { available } else { cut + overlap };
        // `is_divisible` has seen that the head is whole; the fallback only rounds.
        let piece_start = self
            .modulate_symbols(burst, first, end, &mut made)
            .unwrap_or_else(|| burst.position(first).floor() as i64);
        // Turn it into the phase of the piece before, and leave out what that piece handed over.
        if !burst.seam.is_empty() {
            let offset = usize::try_from(burst.seam_start as i64 - piece_start).unwrap_or(0);
            let seam_end = made.len().min(offset + burst.seam.len());
            if let Some(turn) = made.get(offset..seam_end).and_then(|b| turn(&burst.seam, b)) {
                made.iter_mut().for_each(|s| *s *= turn);
            }
            let done = usize::try_from(burst.samples_done as i64 - piece_start).unwrap_or(0);
            made.drain(..done.min(made.len()));
        }
        if !last {
            // Half an overlap on either side of the seam is free of the piece's edges.
            let base = burst.samples_done;
            let end_sample = burst.position(cut).floor() as u64;
            let seam_start = burst.position(cut - overlap / 2).floor() as u64;
            let seam_end = burst.position(cut + overlap / 2).floor() as u64;
            let index =
                |sample: u64, length: usize| (sample.saturating_sub(base) as usize).min(length);
            let length = made.len();
            burst.seam = made[index(seam_start, length)..index(seam_end, length)].to_vec();
            burst.seam_start = seam_start;
            made.truncate(index(end_sample, length));
            let kept = cut - overlap;
            burst.bits.drain(..(kept - first) as usize);
            burst.first_bit = kept;
        }
        burst.samples_done += made.len() as u64;
        self.made = made;
        Ok(!last)
    }
}

/// The unit factor that turns `b` into `a`; `None` if they have nothing in common.
fn turn(a: &[Complex32], b: &[Complex32]) -> Option<Complex32> {
    let wide = |x: &Complex32| Complex64::new(f64::from(x.re), f64::from(x.im));
    let sum: Complex64 = a.iter().zip(b).map(|(a, b)| wide(a) * wide(b).conj()).sum();
    let turn = sum / sum.norm();
    turn.is_finite().then(|| Complex32::new(turn.re as f32, turn.im as f32))
}

impl Source for Simulator {
    fn info(&self) -> &SourceInfo {
        &self.info
    }

    fn read(&mut self, block: &mut SampleBlock, max_samples: usize) -> Result<bool, SourceError> {
        block.samples.clear();
        block.first_sample = self.read;
        block.anchor = (self.read == 0).then_some(Anchor {
            sample: 0,
            time: self.start,
            centre_frequency_hz: self.centre_frequency_hz,
        });
        let count = self.read_samples(&mut block.samples, max_samples).map_err(|error| {
            SourceError { name: self.info.name.clone(), cause: std::io::Error::other(error) }
        })?;
        Ok(count > 0)
    }
}

#[cfg(test)]
mod tests;
