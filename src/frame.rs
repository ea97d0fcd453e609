//! The frame: what a receiver hands on, and everything said about it.

use std::sync::Arc;

use jiff::Timestamp;

/// What vouches for a frame's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Check {
    /// A cyclic redundancy check over the frame.
    Crc,
    /// A Reed–Solomon code whose decoder accepted every codeword.
    ReedSolomon,
    /// Both of them.
    CrcAndReedSolomon,
    /// Nothing: the bytes are as likely right as the symbols they came from.
    None,
}

impl Check {
    /// The word in the frame record.
    pub fn as_str(self) -> &'static str {
        match self {
            Check::Crc => "crc",
            Check::ReedSolomon => "rs",
            Check::CrcAndReedSolomon => "crc+rs",
            Check::None => "none",
        }
    }
}

/// Where a frame came from, in the words of the request.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Origin {
    /// Name of the satellite in the catalogue; absent for ad hoc modes.
    pub satellite: Option<String>,
    /// NORAD catalogue number.
    pub norad_id: Option<u32>,
    /// Label of the downlink in its catalogue entry.
    pub downlink: Option<String>,
    /// Name of the modulation in the registry.
    pub modulation: String,
    /// Nominal symbol rate.
    pub symbol_rate_bd: f64,
    /// Name of the framing in the registry.
    pub framing: String,
}

/// One decoded frame.
#[derive(Debug, Clone, PartialEq)]
pub struct Frame {
    /// The bytes as a consumer wants them: after all decoding, without sync word, parity or FCS.
    pub bytes: Vec<u8>,
    /// Where it came from.
    pub origin: Arc<Origin>,
    /// Index, in the input, of the first symbol of the sync word or opening flag.
    pub first_sample: u64,
    /// Index, in the input, just after the last symbol of the frame.
    pub end_sample: u64,
    /// UTC of `first_sample`, from the sample counter; `None` if the input has no time.
    pub time: Option<Timestamp>,
    /// Carrier against the frequency where the downlink was looked for, at the frame.
    pub frequency_offset_hz: f64,
    /// Doppler shift that was taken out before, where it was looked for: received minus nominal
    /// frequency is the sum of both. `None` if nothing steered the receiver.
    pub doppler_hz: Option<f64>,
    /// Estimated Es/N0 per channel symbol.
    pub esn0_db: f32,
    /// What vouches for the bytes.
    pub check: Check,
    /// Symbols corrected by the outer code (Reed–Solomon), if it has one.
    pub corrected_symbols: Option<u32>,
    /// Bits corrected by the inner code (convolutional, Golay), if it has one.
    pub corrected_bits: Option<u32>,
    /// Bits flipped to satisfy the CRC, if any.
    pub repaired_bits: Option<u32>,
    /// Natural logarithm of the odds that the bytes are right, where the check alone does not settle
    /// it (repaired frames).
    pub log_odds: Option<f32>,
}

/// A frame whose odds are known and below this is doubtful.
pub const CERTAIN_ODDS: f32 = 1000.0;

/// Least odds of a frame that is handed on at all, as doubtful.
pub const LIKELY_ODDS: f32 = 4.0;

impl Frame {
    /// Whether it is likely right, but not beyond doubt.
    pub fn is_doubtful(&self) -> bool {
        self.log_odds.is_some_and(|odds| odds < CERTAIN_ODDS.ln())
    }
}

#[cfg(test)]
pub(crate) mod testing {
    use super::*;

    /// A frame of which nothing is known.
    pub fn bare_frame() -> Frame {
        Frame {
            bytes: Vec::new(),
            origin: Arc::new(Origin::default()),
            first_sample: 0,
            end_sample: 0,
            time: None,
            frequency_offset_hz: 0.0,
            doppler_hz: None,
            esn0_db: f32::NAN,
            check: Check::None,
            corrected_symbols: None,
            corrected_bits: None,
            repaired_bits: None,
            log_odds: None,
        }
    }
}
