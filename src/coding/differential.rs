//! Differential coding: channel bit k is p_k ⊕ p_{k-1}.
//!
//! Soft decoding takes the likelihoods of p to those of the channel bits,
//! `LLR_k = 2 artanh(tanh(p_k/2)·tanh(p_{k-1}/2)) ≈ sign(p_k p_{k-1})·min(|p_k|, |p_{k-1}|)`.
//! The first symbol of a run has no predecessor; its bit is unknown (0), so that indices stay.
//! See J. Hagenauer, E. Offer, L. Papke, *Iterative Decoding of Binary Block and Convolutional
//! Codes* (IEEE Trans. IT, 1996), eq. 11 for the approximation.

/// Soft differential decoder of one run.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SoftDifferential {
    previous: f32,
}

impl SoftDifferential {
    /// A decoder before the first symbol of a run.
    pub fn new() -> Self {
        Self::default()
    }

    /// The soft channel bit that the next symbol completes. NaN counts as 0 (unknown).
    #[inline]
    pub fn decode(&mut self, p: f32) -> f32 {
        let p = if p.is_nan() { 0.0 } else { p };
        let magnitude = p.abs().min(self.previous.abs());
        // The sign of a product is the XOR of the signs.
        let sign = (p.to_bits() ^ self.previous.to_bits()) & 0x8000_0000;
        self.previous = p;
        f32::from_bits(magnitude.to_bits() | sign)
    }
}

/// Hard differential decoder of one run: bit k = p_k ⊕ p_{k-1}, p_{-1} = 0.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DifferentialDecoder {
    previous: u8,
}

impl DifferentialDecoder {
    /// The next bit.
    #[inline]
    pub fn decode(&mut self, p: u8) -> u8 {
        let bit = (p ^ self.previous) & 1;
        self.previous = p;
        bit
    }
}

/// Differential encoder (NRZ-M): p_k = bit k ⊕ p_{k-1}, p_{-1} = 0.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DifferentialEncoder {
    previous: u8,
}

impl DifferentialEncoder {
    /// The next symbol.
    #[inline]
    pub fn encode(&mut self, bit: u8) -> u8 {
        self.previous ^= bit & 1;
        self.previous
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn soft_and_hard_decoding_undo_the_encoder() {
        let mut encoder = DifferentialEncoder::default();
        let mut hard_decoder = DifferentialDecoder::default();
        let mut soft = SoftDifferential::new();
        let mut state = 1u32;
        for k in 0..1000 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let bit = (state >> 31) as u8;
            let p = encoder.encode(bit);
            assert_eq!(hard_decoder.decode(p), bit);
            let llr = soft.decode((1.0 + k as f32) * (1.0 - 2.0 * f32::from(p)));
            if k == 0 {
                assert_eq!(llr.abs(), 0.0);
            } else {
                assert_eq!(llr, (k as f32) * (1.0 - 2.0 * f32::from(bit)));
            }
        }
    }

    #[test]
    fn unknown_symbols_make_unknown_bits() {
        let mut decoder = SoftDifferential::new();
        let p = [1.0, f32::NAN, -2.0, f32::NEG_INFINITY, 3.0];
        let out = p.map(|p| decoder.decode(p));
        assert_eq!(out.map(f32::abs), [0.0, 0.0, 0.0, 2.0, 3.0]);
        assert!(out[3] > 0.0 && out[4] < 0.0);
    }
}
