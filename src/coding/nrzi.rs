//! NRZI as HDLC uses it (NRZ-S): a 0 is a change of level, a 1 is none.
//!
//! Polarity is lost on the way and does not matter: an inverted stream decodes to the same bits.

/// NRZI encoder, starting at level 0.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NrziEncoder {
    level: u8,
}

impl NrziEncoder {
    /// The level that sends the next bit.
    #[inline]
    pub fn encode(&mut self, bit: u8) -> u8 {
        self.level ^= bit & 1 ^ 1;
        self.level
    }
}

/// NRZI decoder, as if level 0 had gone before.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NrziDecoder {
    level: u8,
}

impl NrziDecoder {
    /// The bit that the next level completes.
    #[inline]
    pub fn decode(&mut self, level: u8) -> u8 {
        let bit = (level ^ self.level ^ 1) & 1;
        self.level = level;
        bit
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn zeros_toggle_and_both_polarities_decode() {
        let bits = [0, 0, 1, 1, 0, 1, 0, 0, 0, 1];
        let mut encoder = NrziEncoder::default();
        let levels: Vec<u8> = bits.iter().map(|&b| encoder.encode(b)).collect();
        assert_eq!(levels, [1, 0, 0, 0, 1, 1, 0, 1, 0, 0]);
        for inverted in [0, 1] {
            let mut decoder = NrziDecoder::default();
            let back: Vec<u8> = levels.iter().map(|l| decoder.decode(l ^ inverted)).collect();
            assert_eq!(back[1..], bits[1..]);
        }
    }
}
