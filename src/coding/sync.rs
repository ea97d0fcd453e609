//! Sync words in soft symbols, in either polarity.
//!
//! At every symbol n the last N soft symbols x are compared with the word's signs s (+1 for bit 0):
//!
//! ```text
//!  ρ_n = ∑ s_i·x_{n+i} / √(∑ x_{n+i}²),   |ρ| ≤ √N
//! ```
//!
//! In noise ρ is about normal with variance 1, whatever the symbols' scale; its sign is the
//! polarity. Symbols are clipped to ±[`CLIP`] first, so that strong signals become hard decisions
//! and no impulse outweighs the rest.

/// Soft symbols are clipped to this magnitude before they are compared.
pub const CLIP: f32 = 16.0;

/// Longest sync word.
pub const MAX_WORD_BITS: usize = 64;

/// What a soft symbol counts for: clipped, NaN as unknown.
#[inline]
pub fn clip(llr: f32) -> f32 {
    if llr.is_nan() { 0.0 } else { llr.clamp(-CLIP, CLIP) }
}

/// A sync word to be looked for.
#[derive(Debug, Clone, PartialEq)]
pub struct SyncWord {
    signs: [f32; MAX_WORD_BITS],
    bits: usize,
    threshold: f32,
}

/// A place where the sync word may be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SyncHit {
    /// Index of the word's first symbol in the symbols searched.
    pub index: usize,
    /// ρ; negative if the word is inverted.
    pub correlation: f32,
}

/// Symbols that are worked on at a time.
const BLOCK: usize = 256;

impl SyncWord {
    /// The low `bits` (1 to 64) bits of `word`, sent from the most significant one. `threshold`:
    /// |ρ| from which on there is a hit.
    ///
    /// # Panics
    /// If `bits` is out of range (at compile time in a `const`).
    pub const fn new(word: u64, bits: usize, threshold: f32) -> Self {
        assert!(bits >= 1 && bits <= MAX_WORD_BITS);
        let mut signs = [0.0; MAX_WORD_BITS];
        let mut i = 0;
        while i < bits {
            signs[i] = if word >> (bits - 1 - i) & 1 == 0 { 1.0 } else { -1.0 };
            i += 1;
        }
        Self { signs, bits, threshold }
    }

    /// Length of the word.
    pub const fn bits(&self) -> usize {
        self.bits
    }

    /// Appends the hits among the first `llrs.len() + 1 - bits` symbols (none if there are fewer).
    /// `llrs` must have gone through [`clip`].
    pub fn search(&self, llrs: &[f32], hits: &mut Vec<SyncHit>) {
        let count = (llrs.len() + 1).saturating_sub(self.bits);
        for first in (0..count).step_by(BLOCK) {
            let block = BLOCK.min(count - first);
            self.search_block(&llrs[first..first + block + self.bits - 1], first, hits);
        }
    }

    /// ρ of the word at the first of `llrs`; 0 if there are fewer than the word has.
    pub fn correlation(&self, llrs: &[f32]) -> f32 {
        let Some(llrs) = llrs.get(..self.bits) else { return 0.0 };
        let (mut sum, mut energy) = (0f32, 0f32);
        for (&sign, &x) in self.signs.iter().zip(llrs) {
            sum += sign * x;
            energy += x * x;
        }
        if energy > 0.0 { sum / energy.sqrt() } else { 0.0 }
    }

    /// One block. Every sum is formed in the same order whatever the block, so cuts do not show.
    fn search_block(&self, llrs: &[f32], first: usize, hits: &mut Vec<SyncHit>) {
        let count = llrs.len() + 1 - self.bits;
        let mut sums = [0f32; BLOCK];
        let mut energies = [0f32; BLOCK];
        let (sums, energies) = (&mut sums[..count], &mut energies[..count]);
        for (i, &sign) in self.signs[..self.bits].iter().enumerate() {
            let shifted = &llrs[i..i + count];
            for ((sum, energy), &x) in sums.iter_mut().zip(energies.iter_mut()).zip(shifted) {
                *sum += sign * x;
                *energy += x * x;
            }
        }
        let squared = self.threshold * self.threshold;
        for (n, (&sum, &energy)) in sums.iter().zip(energies.iter()).enumerate() {
            if sum * sum >= squared * energy && energy > 0.0 {
                let correlation = sum / energy.sqrt();
                hits.push(SyncHit { index: first + n, correlation });
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    #[test]
    fn hits_are_those_of_the_formula() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for (word, bits) in [(0x930B_51DE, 32), (0x2DD4, 16), (0x5072_F64B_2D90_B1F5, 64)] {
            let sync = SyncWord::new(word, bits, 2.5);
            let mut llrs: Vec<f32> = (0..2000).map(|_| rng.random_range(-3.0..3.0)).collect();
            for (place, sign) in [(0, 1.0), (777, -1.0), (2000 - bits, 1.0)] {
                for i in 0..bits {
                    llrs[place + i] = sign * (1.0 - 2.0 * (word >> (bits - 1 - i) & 1) as f32);
                }
            }
            let mut hits = Vec::new();
            sync.search(&llrs, &mut hits);
            let mut expected = 0;
            for n in 0..=2000 - bits {
                let sum: f64 = (0..bits).map(|i| f64::from(sync.signs[i] * llrs[n + i])).sum();
                let energy: f64 = (0..bits).map(|i| f64::from(llrs[n + i]).powi(2)).sum();
                let rho = sum / energy.sqrt();
                if rho.abs() > 2.5 {
                    assert_eq!(hits[expected].index, n);
                    assert!((f64::from(hits[expected].correlation) - rho).abs() < 1e-4);
                    expected += 1;
                }
            }
            assert_eq!(hits.len(), expected);
            let at = |n: usize| hits.iter().find(|h| h.index == n).unwrap().correlation;
            assert!(at(0) > 0.99 * (bits as f32).sqrt());
            assert!(at(777) < -0.99 * (bits as f32).sqrt());
            assert!(at(2000 - bits) > 0.99 * (bits as f32).sqrt());
        }
    }

    #[test]
    fn silence_and_garbage_give_nothing() {
        let sync = SyncWord::new(0x930B_51DE, 32, 2.8);
        let mut hits = Vec::new();
        sync.search(&[0.0; 100], &mut hits);
        sync.search(&[1.0; 31], &mut hits);
        sync.search(&[], &mut hits);
        assert!(hits.is_empty());
        assert_eq!([f32::NAN, f32::INFINITY, -1e30].map(clip), [0.0, CLIP, -CLIP]);
    }
}
