//! Additive scramblers: a fixed sequence is XORed to the bits, from a known place on.
//!
//! A sequence is that of a shift register of up to 9 bits that moves right: bit 0 goes out, the
//! parity of the tapped bits comes in at the top. Its period P is odd, so the bytes repeat after P
//! bytes, and a table of one period is all there is.
//!
//! References: CCSDS 131.0-B-5 section 10.4 (h(x) = x^8 + x^7 + x^5 + x^3 + 1, seed all ones); TI
//! CC1101 data sheet section 15.1 and design note DN509 (PN9, x^9 + x^5 + 1); Silicon Labs AN626
//! (Si446x: the same register, other seed and bit order).

/// Longest period in bytes.
const MAX_PERIOD: usize = 511;

/// Which bit of a byte is sent first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BitOrder {
    /// The most significant.
    MsbFirst,
    /// The least significant.
    LsbFirst,
}

/// An additive scrambler. Applied twice it does nothing.
pub struct Randomizer {
    bytes: [u8; MAX_PERIOD],
    period: usize,
    order: BitOrder,
}

/// CCSDS pseudo-randomizer: FF 48 0E C0 …
pub static CCSDS: Randomizer = Randomizer::new(8, 0b1010_1001, 0xFF, BitOrder::MsbFirst);
/// PN9 of TI's CC11xx radios: FF E1 1D 9A …
pub static PN9: Randomizer = Randomizer::new(9, 0b10_0001, 0x1FF, BitOrder::LsbFirst);
/// PN9 as the Si4463 sends it: 87 B8 59 B7 …
pub static PN9_SI4463: Randomizer = Randomizer::new(9, 0b10_0001, 0x1E1, BitOrder::MsbFirst);
/// PN9 of Grizu-263A: 00 11 13 57 …
pub static PN9_GRIZU: Randomizer = Randomizer::new(9, 0b10_0001, 0x100, BitOrder::LsbFirst);

impl Randomizer {
    /// The sequence of the register of `degree` bits (2 to 9) that starts at `seed` and feeds back
    /// the parity of the bits in `taps`; bytes are filled in `order`.
    ///
    /// # Panics
    /// If the degree is out of range (at compile time in a `static`).
    pub const fn new(degree: u32, taps: u32, seed: u32, order: BitOrder) -> Self {
        assert!(degree >= 2 && degree <= 9);
        let period = (1 << degree) - 1;
        let mut bytes = [0; MAX_PERIOD];
        let mut register = seed;
        let mut i = 0;
        while i < 8 * period {
            let bit = (register & 1) as u8;
            let feedback = (register & taps).count_ones() & 1;
            register = register >> 1 | feedback << (degree - 1);
            bytes[i / 8] |= bit << Self::shift(order, i);
            i += 1;
        }
        Self { bytes, period, order }
    }

    const fn shift(order: BitOrder, bit: usize) -> usize {
        match order {
            BitOrder::MsbFirst => 7 - bit % 8,
            BitOrder::LsbFirst => bit % 8,
        }
    }

    /// Byte `index` of the sequence.
    #[inline]
    pub fn byte(&self, index: usize) -> u8 {
        self.bytes[index % self.period]
    }

    /// Bit `index` of the sequence, in the order of sending.
    #[inline]
    pub fn bit(&self, index: usize) -> u8 {
        self.byte(index / 8) >> Self::shift(self.order, index) & 1
    }

    /// XORs the sequence to `bytes`, from its byte `first` on.
    pub fn apply_bytes(&self, bytes: &mut [u8], first: usize) {
        let mut at = first % self.period;
        for byte in bytes {
            *byte ^= self.bytes[at];
            at += 1;
            if at == self.period {
                at = 0;
            }
        }
    }

    /// Turns the sign of the soft symbols whose bit of the sequence is 1, from its bit `first` on.
    pub fn apply_llrs(&self, llrs: &mut [f32], first: usize) {
        for (i, llr) in llrs.iter_mut().enumerate() {
            // The sign bit is XORed.
            *llr = f32::from_bits(llr.to_bits() ^ u32::from(self.bit(first + i)) << 31);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn first_bytes() {
        let expected: [(&Randomizer, [u8; 16]); 4] = [
            (
                &CCSDS,
                [
                    0xFF, 0x48, 0x0E, 0xC0, 0x9A, 0x0D, 0x70, 0xBC, 0x8E, 0x2C, 0x93, 0xAD, 0xA7,
                    0xB7, 0x46, 0xCE,
                ],
            ),
            (
                &PN9,
                [
                    0xFF, 0xE1, 0x1D, 0x9A, 0xED, 0x85, 0x33, 0x24, 0xEA, 0x7A, 0xD2, 0x39, 0x70,
                    0x97, 0x57, 0x0A,
                ],
            ),
            (
                &PN9_SI4463,
                [
                    0x87, 0xB8, 0x59, 0xB7, 0xA1, 0xCC, 0x24, 0x57, 0x5E, 0x4B, 0x9C, 0x0E, 0xE9,
                    0xEA, 0x50, 0x2A,
                ],
            ),
            (
                &PN9_GRIZU,
                [
                    0x00, 0x11, 0x13, 0x57, 0x1B, 0x47, 0x2A, 0x36, 0x9F, 0x47, 0x3B, 0x25, 0xC8,
                    0x5C, 0x7C, 0x0F,
                ],
            ),
        ];
        for (randomizer, bytes) in expected {
            let mut out = [0; 16];
            randomizer.apply_bytes(&mut out, 0);
            assert_eq!(out, bytes);
        }
    }

    #[test]
    fn bytes_bits_and_soft_symbols_agree_over_periods() {
        for randomizer in [&CCSDS, &PN9, &PN9_SI4463, &PN9_GRIZU] {
            let n = 3 * randomizer.period;
            let mut bytes = vec![0; n];
            randomizer.apply_bytes(&mut bytes, 0);
            let bits: Vec<u8> = (0..8 * n).map(|i| randomizer.bit(i)).collect();
            let mut llrs = vec![1.0f32; 8 * n - 5];
            randomizer.apply_llrs(&mut llrs, 5);
            for (i, &bit) in bits.iter().enumerate() {
                assert_eq!(bytes[i / 8] >> Randomizer::shift(randomizer.order, i) & 1, bit);
                if i >= 5 {
                    assert_eq!(llrs[i - 5] < 0.0, bit == 1);
                }
            }
            assert_eq!(bytes[..randomizer.period], bytes[randomizer.period..2 * randomizer.period]);
            let mut tail = vec![0; n - 300];
            randomizer.apply_bytes(&mut tail, 300);
            assert_eq!(tail, bytes[300..]);
        }
    }
}
