//! Soft symbols ↔ frames.
//!
//! A framing is one file and one line in [`REGISTRY`]; a variant of it is another constant in the
//! same file. The file opens with its bits drawn, then holds constants with their sources, the
//! deframer, the encoder, the descriptor and the tests.

pub mod ax100;
pub mod ax25;
pub mod ccsds;
pub mod fixed;
pub mod usp;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
pub(crate) mod testing;

use std::collections::BTreeMap;

use crate::effort::Effort;
use crate::error::RequestError;
use crate::frame::Check;
use crate::modulation::{Mapping, Preference, SoftBlock};

/// A frame as a deframer finds it: positions count symbols of the run.
#[derive(Debug, Clone, PartialEq)]
pub struct RawFrame {
    /// The bytes as a consumer wants them.
    pub bytes: Vec<u8>,
    /// First symbol of the sync word or opening flag.
    pub first_symbol: u64,
    /// Just after the last symbol that belongs to the frame.
    pub end_symbol: u64,
    /// What vouches for it.
    pub check: Check,
    /// Symbols corrected by the outer code, if it has one.
    pub corrected_symbols: Option<u32>,
    /// Bits corrected by the inner code, if it has one.
    pub corrected_bits: Option<u32>,
    /// Bits flipped to satisfy the CRC, if any.
    pub repaired_bits: Option<u32>,
    /// Natural logarithm of the odds that the bytes are right, where the check alone does not settle
    /// it (repaired frames).
    pub log_odds: Option<f32>,
}

/// Why something that looked like a frame was not one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reject {
    /// Impossible length.
    Length,
    /// Implausible or uncorrectable header.
    Header,
    /// The CRC failed.
    Check,
    /// The outer code could not be decoded.
    Uncorrectable,
}

impl Reject {
    /// All of them, in the order of [`Deframed::rejects`].
    pub const ALL: [Reject; 4] =
        [Reject::Length, Reject::Header, Reject::Check, Reject::Uncorrectable];
}

/// What deframers produce.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Deframed {
    /// Frames found, in order of their first symbols.
    pub frames: Vec<RawFrame>,
    /// Candidates (what follows a sync word, or lies between flags) that were rejected, by reason.
    pub rejects: [u64; 4],
    /// Sync words that noise does not make, whatever followed them: those of every frame, and those
    /// without a frame that are strong enough alone. HDLC has flags in their place: three or more in a
    /// row count as one.
    pub sync_words: u64,
}

impl Deframed {
    /// Counts a sync word that is beyond doubt.
    pub fn sync_word(&mut self) {
        self.sync_words += 1;
    }

    /// Counts a rejected candidate.
    pub fn reject(&mut self, why: Reject) {
        self.rejects[why as usize] += 1;
    }
}

/// Soft symbols of *one run* → frames, in either polarity.
///
/// The output depends on the symbols alone, never on how they were cut into calls. Any input is
/// taken, NaN and infinity included, and none panics.
pub trait Deframer: Send {
    /// Takes the next block of the run and appends what was found. Positions are symbols of the
    /// run, counted from its first. Every sync word is counted once.
    fn push(&mut self, block: &SoftBlock, out: &mut Deframed);

    /// The run has ended: decides everything that is pending.
    fn finish(&mut self, out: &mut Deframed);

    /// No frame found later will begin before this symbol of the run.
    fn settled_symbol(&self) -> u64;
}

/// Frames → channel bits, for the simulator and tests. Scramblers and coders run on from call to
/// call, as in a transmitter.
pub trait FrameEncoder: Send {
    /// What a transmitter of this framing sends before its first frame: at least `symbols` channel
    /// bits of flags, alternating bits or fill.
    fn preamble(&mut self, symbols: usize, bits: &mut Vec<u8>);

    /// One frame with its sync word, code and check.
    ///
    /// # Errors
    /// The frame's length does not fit the framing.
    fn frame(&mut self, bytes: &[u8], bits: &mut Vec<u8>) -> Result<(), RequestError>;

    /// What follows the last frame (closing flags, flushing bits of coders and receivers).
    fn postamble(&mut self, bits: &mut Vec<u8>);
}

/// A framing with its options settled.
pub trait Framing: Send + Sync {
    /// A deframer for one run of symbols with this mapping, that goes as far as `effort` says.
    fn deframer(&self, mapping: Mapping, effort: Effort) -> Box<dyn Deframer>;

    /// A new encoder.
    fn encoder(&self) -> Box<dyn FrameEncoder>;

    /// What it would like from the demodulator.
    fn preference(&self) -> Preference;

    /// Lengths in bytes that [`FrameEncoder::frame`] accepts, smallest and largest.
    fn frame_bytes(&self) -> (usize, usize);
}

/// An option of a framing.
#[derive(Debug, Clone, Copy)]
pub struct OptionDescriptor {
    /// The key, in TOML and after `--option`.
    pub key: &'static str,
    /// The values, for help and errors.
    pub values: &'static str,
    /// The value if it is not given.
    pub default: &'static str,
}

/// What a framing is made of.
pub struct Descriptor {
    /// Name in records, TOML and `tulpar modes`.
    pub name: &'static str,
    /// Further names accepted, lower case.
    pub aliases: &'static [&'static str],
    /// One line: what it is and who flies it.
    pub summary: &'static str,
    /// Standard or specification.
    pub reference: &'static str,
    /// The options it takes.
    pub options: &'static [OptionDescriptor],
    /// Settles the options.
    pub build: fn(&Options) -> Result<Box<dyn Framing>, RequestError>,
}

/// Options of a framing as given: key → value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options(pub BTreeMap<String, String>);

impl Options {
    /// Reads an integer within `range`, or `default` if the key is absent.
    ///
    /// # Errors
    /// Names the key and the range.
    pub fn integer(
        &self,
        key: &str,
        range: std::ops::RangeInclusive<u32>,
        default: u32,
    ) -> Result<u32, RequestError> {
        let Some(text) = self.0.get(key) else { return Ok(default) };
        text.trim().parse().ok().filter(|v| range.contains(v)).ok_or_else(|| {
            RequestError::new(
                key,
                format!("\"{text}\" is out of range"),
                format!("accepted: {} to {}", range.start(), range.end()),
            )
        })
    }

    /// Reads one of the words of `choices`, in any case, or the first of them if the key is
    /// absent.
    ///
    /// # Errors
    /// Names the key and the words.
    pub fn choice<T: Copy>(&self, key: &str, choices: &[(&str, T)]) -> Result<T, RequestError> {
        let Some(text) = self.0.get(key) else { return Ok(choices[0].1) };
        choices
            .iter()
            .find(|(word, _)| word.eq_ignore_ascii_case(text.trim()))
            .map(|(_, value)| *value)
            .ok_or_else(|| RequestError::unknown(key, text, choices.iter().map(|(word, _)| *word)))
    }
}

/// Every framing.
pub const REGISTRY: &[&Descriptor] = &[
    &ax25::AX25,
    &ax25::AX25_G3RUH,
    &ax100::ASM_GOLAY,
    &ax100::FORESAIL_1,
    &ax100::REED_SOLOMON,
    &usp::USP,
    &ccsds::UNCODED,
    &ccsds::REED_SOLOMON,
    &ccsds::CONVOLUTIONAL_ONLY,
    &ccsds::CONCATENATED,
    &fixed::LUCKY_7,
];

/// Finds a framing by its name or an alias, in any case.
///
/// # Errors
/// Names the accepted words if there is none.
pub fn find(name: &str) -> Result<&'static Descriptor, RequestError> {
    let folded = name.trim().to_lowercase();
    REGISTRY
        .iter()
        .find(|d| d.name.to_lowercase() == folded || d.aliases.contains(&folded.as_str()))
        .copied()
        .ok_or_else(|| RequestError::unknown("framing", name, REGISTRY.iter().map(|d| d.name)))
}

/// Builds a framing from its name and options; keys that it does not take are refused.
///
/// # Errors
/// Unknown framing, key or value, with the accepted ones.
pub fn build(name: &str, options: &Options) -> Result<Box<dyn Framing>, RequestError> {
    let descriptor = find(name)?;
    for key in options.0.keys() {
        if !descriptor.options.iter().any(|o| o.key == key) {
            let keys: Vec<&str> = descriptor.options.iter().map(|o| o.key).collect();
            if keys.is_empty() {
                return Err(RequestError::new(
                    key,
                    format!("framing \"{}\" takes no options", descriptor.name),
                    "leave it out",
                ));
            }
            return Err(RequestError::unknown("option", key, keys));
        }
    }
    (descriptor.build)(options)
}
