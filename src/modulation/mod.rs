//! Complex baseband ↔ soft symbols.
//!
//! A modulation is one file or folder, and one line in [`REGISTRY`]. It tells the receiver which
//! slice of the band it wants ([`Channel`]), demodulates samples of that slice into runs of soft
//! symbols ([`Demodulator`]), and modulates bits for the simulator ([`Modulator`]).

pub mod afsk;
pub mod cpm;
pub mod fm_audio;
pub mod psk;

use num_complex::Complex32;

use crate::effort::Effort;
use crate::error::RequestError;

/// What the samples of an input are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum InputKind {
    /// Complex baseband.
    Iq,
    /// The output of an FM discriminator (real; the imaginary part is 0).
    FmAudio,
    /// A real intermediate frequency (the imaginary part is 0).
    RealIf,
}

/// Parameters of a transmission, as far as they are known. Everything but the symbol rate is a
/// hint to a demodulator, which estimates it; a modulator uses the nominal value in its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameters {
    /// Nominal symbol rate; the receiver finds the true one within ±0.45 % without loss, and most
    /// within ±2 %.
    pub symbol_rate_bd: f64,
    /// FSK: frequency of bit 1 against the carrier; negative if bit 1 is the lower tone.
    /// Modulation index h = 2·|deviation| / symbol rate.
    pub deviation_hz: Option<f64>,
    /// AFSK: centre of the two tones in the audio band.
    pub audio_carrier_hz: Option<f64>,
    /// FSK: bandwidth-time product of the Gaussian filter; `f64::INFINITY` for none.
    pub bt: Option<f64>,
    /// PSK: roll-off of the root-raised-cosine filter; 0 stands for rectangular symbols.
    pub roll_off: Option<f64>,
}

impl Parameters {
    /// Parameters of which only the symbol rate is known.
    pub fn new(symbol_rate_bd: f64) -> Self {
        Self {
            symbol_rate_bd,
            deviation_hz: None,
            audio_carrier_hz: None,
            bt: None,
            roll_off: None,
        }
    }
}

/// What a framing would like from the demodulator below it.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Preference {
    /// The framing decodes [`Mapping::Differential`] symbols jointly with its code, which is up to
    /// 2.4 dB better than differential detection first. A demodulator of a modulation with memory
    /// (MSK family at h = 1/2, differential PSK) then also delivers such runs.
    pub differential: bool,
    /// Frames follow each other without a gap (synchronous CCSDS channels) for minutes.
    pub continuous: bool,
    /// The framing decodes down to Es/N0 of about -2 dB (an inner code): acquire over long windows.
    pub coded: bool,
}

/// The slice of the input's band that a demodulator wants.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Channel {
    /// Frequency in the input that is to come to 0 Hz, against the downlink's nominal frequency
    /// (0 for IQ and FM audio, the intermediate frequency for a real IF, the audio carrier for
    /// AFSK in FM audio).
    pub offset_hz: f64,
    /// The channel is flat (within 0.1 dB) and free of aliases over ± this frequency.
    pub half_bandwidth_hz: f64,
    /// Lowest sample rate the demodulator takes.
    pub min_rate_hz: f64,
    /// Highest sample rate it should be given (efficiency; any rate above works too).
    pub max_rate_hz: f64,
}

/// How soft symbols stand for the bits that the framing encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mapping {
    /// Soft symbol k is the log-likelihood ratio of channel bit k.
    Direct,
    /// Soft symbol k is the log-likelihood ratio of p_k, where channel bit k = p_k ⊕ p_{k-1}.
    /// The polarity ambiguity of an FSK signal shows as alternating signs here; that of a PSK
    /// signal cancels.
    Differential,
}

/// Symbols that may be otherwise, all of them at once: a path that lost against the decided one
/// where both met again in the detector's trellis.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ErrorEvent {
    /// Index within the run of the first symbol that differs.
    pub first_symbol: u64,
    /// Which symbols differ: bit i stands for symbol `first_symbol + i`. Bit 0 is set.
    pub pattern: u64,
    /// By how many nats this path is less likely; at least the largest |llr| of these symbols.
    pub cost: f32,
}

impl ErrorEvent {
    /// Index within the run of the last symbol that differs.
    pub fn last_symbol(&self) -> u64 {
        self.first_symbol + u64::from(63 - self.pattern.leading_zeros().min(63))
    }
}

/// A piece of a run of soft symbols. A run is contiguous in time; its first block has
/// `first_symbol == 0`, blocks of one run follow each other without a gap, the last has `end` set.
/// Blocks of several runs may interleave (two signals at once, or two hypotheses on one signal).
#[derive(Debug, Clone, PartialEq)]
pub struct SoftBlock {
    /// Which run of this demodulator, counted from 0.
    pub run: u64,
    /// Index within the run of the first symbol in `llr`.
    pub first_symbol: u64,
    /// Position, in samples given to the demodulator since its start, of the middle of that symbol.
    pub first_sample: f64,
    /// Samples given to the demodulator per symbol, as measured.
    pub samples_per_symbol: f64,
    /// Carrier against 0 Hz of the channel, in the middle of the block.
    pub frequency_offset_hz: f64,
    /// Es/N0 estimate over the block.
    pub esn0_db: f32,
    /// What the symbols stand for; the same through a run.
    pub mapping: Mapping,
    /// Soft symbols, positive = bit 0.
    pub llr: Vec<f32>,
    /// The likeliest error events whose last symbol is in this block, in the order of these. Empty if the detector has no
    /// memory: its symbols err one by one.
    pub events: Vec<ErrorEvent>,
    /// No block of this run follows. `llr` may be empty.
    pub end: bool,
}

/// Complex baseband → soft symbols.
///
/// The output depends on the samples alone, never on how they were cut into calls: any chunking
/// gives the same blocks' symbols, bit for bit. Any input is taken, NaN and infinity included, and
/// none panics.
pub trait Demodulator: Send {
    /// Takes the next samples of the channel and appends blocks that are complete.
    fn push(&mut self, samples: &[Complex32], out: &mut Vec<SoftBlock>);

    /// The input has ended (or has a gap): decides everything that is pending, ends every run and
    /// is then as new, its positions starting at 0 again; run numbers go on.
    fn finish(&mut self, out: &mut Vec<SoftBlock>);

    /// No run that begins later will begin before this position (in samples given since the
    /// start).
    fn settled_sample(&self) -> f64;
}

/// Bits → complex baseband, for the simulator and tests. Unit amplitude (FSK) or unit mean power
/// (PSK) while transmitting.
pub trait Modulator: Send {
    /// Modulates one whole transmission: every symbol of `bits` with its pulse's head and tail,
    /// at `sample_rate_hz`. `clock_ppm`: deviation of the symbol clock, positive = fast.
    /// `timing_samples` (0 ≤ x < 1): position of the first symbol's start after the first sample.
    /// Appends to `out` and returns the number of samples by which the pulse's head precedes the
    /// start of the first symbol.
    fn modulate(
        &self,
        bits: &[u8],
        sample_rate_hz: f64,
        clock_ppm: f64,
        timing_samples: f64,
        out: &mut Vec<Complex32>,
    ) -> f64;
}

/// What a modulation is made of.
pub struct Descriptor {
    /// Name in records, TOML and `tulpar modes`.
    pub name: &'static str,
    /// Further names accepted, lower case.
    pub aliases: &'static [&'static str],
    /// One line: what it is.
    pub summary: &'static str,
    /// Standard or paper.
    pub reference: &'static str,
    /// What a one-channel recording of it means in this field.
    pub real_input: InputKind,
    /// The demodulators for an input of this kind, each with the channel it wants. Several
    /// demodulators on one downlink are alternatives; equal frames are emitted once.
    pub demodulators: fn(&Parameters, &Reception) -> Result<Vec<DemodulatorPlan>, RequestError>,
    /// The modulator.
    pub modulator: fn(&Parameters) -> Result<Box<dyn Modulator>, RequestError>,
}

/// How a downlink is received.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reception {
    /// What the input's samples are.
    pub input: InputKind,
    /// Input sample rate.
    pub sample_rate_hz: f64,
    /// Real IF: carrier; `None` for the custom of the field (1500 Hz up to 2400 Bd, else 12 kHz).
    pub intermediate_frequency_hz: Option<f64>,
    /// The carrier is searched within ± this of the nominal frequency.
    pub search_hz: f64,
    /// What the framing would like.
    pub preference: Preference,
    /// How far to go for a frame.
    pub effort: Effort,
}

/// Makes a demodulator for channel samples at the given rate (Hz).
pub type MakeDemodulator = Box<dyn Fn(f64) -> Box<dyn Demodulator> + Send + Sync>;

/// A demodulator to be made, and the channel it will run on.
pub struct DemodulatorPlan {
    /// Slice of the band that it wants.
    pub channel: Channel,
    /// Makes it, once the tuner has settled on a sample rate.
    pub make: MakeDemodulator,
}

/// Every modulation.
pub const REGISTRY: &[&Descriptor] = &[&cpm::FSK, &psk::BPSK, &psk::DBPSK, &afsk::AFSK];

/// Finds a modulation by its name or an alias, in any case.
///
/// # Errors
/// Names the accepted words if there is none.
pub fn find(name: &str) -> Result<&'static Descriptor, RequestError> {
    let folded = name.trim().to_lowercase();
    REGISTRY
        .iter()
        .find(|d| d.name.to_lowercase() == folded || d.aliases.contains(&folded.as_str()))
        .copied()
        .ok_or_else(|| RequestError::unknown("modulation", name, REGISTRY.iter().map(|d| d.name)))
}
