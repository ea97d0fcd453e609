//! The self-synchronising scrambler of G3RUH's 9600 baud modem, 1 + x^12 + x^17.
//!
//! Scrambler: `y_k = d_k ⊕ y_{k-12} ⊕ y_{k-17}`. Descrambler: `d_k = y_k ⊕ y_{k-12} ⊕ y_{k-17}`:
//! it is right as soon as 17 good bits have gone in, one wrong bit makes three, and an inverted
//! stream stays inverted (an odd number of taps).
//!
//! Reference: J. R. Miller (G3RUH), *9600 Baud Packet Radio Modem Design* (1988).

/// Bits that a descrambler needs before its output is right.
pub const MEMORY_BITS: usize = 17;

/// Parity of the bits 12 and 17 steps back; bit 0 of the register is the latest bit.
#[inline]
fn taps(register: u32) -> u8 {
    ((register >> 11 ^ register >> 16) & 1) as u8
}

/// Scrambler, starting from a register of zeros.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scrambler {
    register: u32,
}

impl Scrambler {
    /// Scrambles the next bit.
    #[inline]
    pub fn scramble(&mut self, bit: u8) -> u8 {
        let out = bit & 1 ^ taps(self.register);
        self.register = self.register << 1 | u32::from(out);
        out
    }
}

/// Descrambler of hard bits, starting from a register of zeros.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Descrambler {
    register: u32,
}

impl Descrambler {
    /// Descrambles the next bit.
    #[inline]
    pub fn descramble(&mut self, bit: u8) -> u8 {
        let out = bit & 1 ^ taps(self.register);
        self.register = self.register << 1 | u32::from(bit & 1);
        out
    }
}

/// Descrambler of soft symbols: signs are multiplied, the least magnitude of the three counts. The
/// first 17 outputs of a run are unknown (0).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SoftDescrambler {
    /// The last 17 symbols; `next` is the oldest and will be replaced.
    past: [f32; MEMORY_BITS],
    next: usize,
}

impl SoftDescrambler {
    /// Descrambles the next soft symbol. NaN counts as 0 (unknown).
    #[inline]
    pub fn descramble(&mut self, llr: f32) -> f32 {
        let llr = if llr.is_nan() { 0.0 } else { llr };
        let oldest = self.past[self.next];
        let twelve = (self.next + MEMORY_BITS - 12) % MEMORY_BITS;
        let middle = self.past[twelve];
        self.past[self.next] = llr;
        self.next = if self.next + 1 == MEMORY_BITS { 0 } else { self.next + 1 };
        let sign = (llr.to_bits() ^ oldest.to_bits() ^ middle.to_bits()) & 0x8000_0000;
        let magnitude = llr.abs().min(oldest.abs()).min(middle.abs());
        f32::from_bits(magnitude.to_bits() | sign)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    /// An array and the formula.
    fn slow_scramble(data: &[u8]) -> Vec<u8> {
        let mut y: Vec<u8> = Vec::new();
        for (k, d) in data.iter().enumerate() {
            let back = |n: usize| if k >= n { y[k - n] } else { 0 };
            y.push(d ^ back(12) ^ back(17));
        }
        y
    }

    #[test]
    fn the_impulse_response_is_that_of_the_polynomial() {
        let mut impulse = vec![0u8; 64];
        impulse[0] = 1;
        let mut scrambler = Scrambler::default();
        let y: Vec<u8> = impulse.iter().map(|&d| scrambler.scramble(d)).collect();
        let ones: Vec<usize> = (0..64).filter(|&k| y[k] == 1).collect();
        // 1/(1 + x^12 + x^17) = ∑ (x^12 + x^17)^n
        let expected = [0, 12, 17, 24, 34, 36, 41, 46, 48, 51, 60];
        assert_eq!(ones, expected);
        assert_eq!(y, slow_scramble(&impulse));
    }

    #[test]
    fn descramblers_undo_it_from_any_state_and_polarity() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let data: Vec<u8> = (0..2000).map(|_| rng.random_range(0..2)).collect();
        let mut scrambler = Scrambler::default();
        let y: Vec<u8> = data.iter().map(|&d| scrambler.scramble(d)).collect();
        assert_eq!(y, slow_scramble(&data));
        for inverted in [0, 1] {
            let mut hard = Descrambler { register: 0x1_5A5A };
            let mut soft = SoftDescrambler::default();
            for (k, (&y, &d)) in y.iter().zip(&data).enumerate() {
                let y = y ^ inverted;
                let bit = hard.descramble(y);
                let llr = soft.descramble((1.0 - 2.0 * f32::from(y)) * (1 + k % 7) as f32);
                if k >= MEMORY_BITS {
                    assert_eq!(bit, d ^ inverted);
                    let weakest = [0, 12, 17].map(|n| 1 + (k - n) % 7).into_iter().min();
                    let sign = 1.0 - 2.0 * f32::from(d ^ inverted);
                    assert_eq!(llr, sign * weakest.unwrap() as f32);
                } else {
                    assert_eq!(llr.abs(), 0.0);
                }
            }
        }
    }

    #[test]
    fn unknown_symbols_stay_unknown() {
        let mut soft = SoftDescrambler::default();
        let out: Vec<f32> =
            (0..60).map(|k| soft.descramble(if k == 30 { f32::NAN } else { -1.0 })).collect();
        for (k, x) in out.iter().enumerate() {
            assert_eq!(x.abs() == 0.0, k < 17 || [30, 42, 47].contains(&k));
        }
    }
}
