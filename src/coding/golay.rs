//! The extended Golay code (24,12), distance 8, as the AX100 and U482C radios use it.
//!
//! ```text
//!  bit 23 ........ 12 11 ......... 0      sent from bit 23 to bit 0
//!      parity bits     data bits          parity bit 23 - i = parity(data & MASKS[i])
//! ```
//!
//! Soft decoding is by maximum likelihood over all 4096 codewords: the correlation
//! `∑ llr_i·(1 - 2 c_i)` is put together from four tables of 64 partial sums.

/// Which data bits each parity bit covers, first parity bit first.
const MASKS: [u16; 12] =
    [0x8ED, 0x1DB, 0x3B5, 0x769, 0xED1, 0xDA3, 0xB47, 0x68F, 0xD1D, 0xA3B, 0x477, 0xFFE];

/// Codewords by data.
static CODEWORDS: [u32; 4096] = {
    let mut words = [0u32; 4096];
    let mut data = 0;
    while data < 4096 {
        let mut parity = 0;
        let mut i = 0;
        while i < 12 {
            parity = parity << 1 | (data as u16 & MASKS[i]).count_ones() & 1;
            i += 1;
        }
        words[data] = parity << 12 | data as u32;
        data += 1;
    }
    words
};

/// A codeword that soft decoding considers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Candidate {
    /// The twelve data bits.
    pub data: u16,
    /// Sum of |llr| over the bits that the codeword has otherwise than the hard decisions: the
    /// difference of log-likelihood to the best word that is no codeword. 0 is perfect.
    pub cost: f32,
    /// How many bits that are.
    pub errors: u32,
}

/// The codeword of twelve data bits.
pub fn encode(data: u16) -> u32 {
    CODEWORDS[(data & 0xFFF) as usize]
}

/// The data of the only codeword at most three bits from `word` (24 bits), and how many bits.
pub fn decode_hard(word: u32) -> Option<(u16, u32)> {
    let word = word & 0xFF_FFFF;
    CODEWORDS
        .iter()
        .enumerate()
        .map(|(data, codeword)| (data as u16, (codeword ^ word).count_ones()))
        .find(|(_, distance)| *distance <= 3)
}

/// The most likely codewords with acceptable data, best first; fewer than `N` if fewer are
/// acceptable. `llrs` in the order of sending, positive = bit 0; NaN counts as unknown.
pub fn decode_soft<const N: usize>(
    llrs: &[f32; 24],
    accept: impl Fn(u16) -> bool,
) -> [Option<Candidate>; N] {
    let llrs = llrs.map(|x| if x.is_nan() { 0.0 } else { x.clamp(-1e6, 1e6) });
    // Cost of the six bits i of group g having the value v.
    let mut costs = [[0f32; 64]; 4];
    for (group, table) in costs.iter_mut().enumerate() {
        for (value, cost) in table.iter_mut().enumerate() {
            for i in 0..6 {
                let llr = llrs[6 * group + i];
                let bit = value >> (5 - i) & 1;
                if bit != usize::from(llr < 0.0) {
                    *cost += llr.abs();
                }
            }
        }
    }
    let mut best = [(f32::INFINITY, 0u16); N];
    for (data, &codeword) in CODEWORDS.iter().enumerate() {
        let c = codeword as usize;
        let cost = (costs[0][c >> 18 & 63] + costs[1][c >> 12 & 63])
            + (costs[2][c >> 6 & 63] + costs[3][c & 63]);
        if N == 0 || cost >= best[N - 1].0 || !accept(data as u16) {
            continue;
        }
        let mut at = N - 1;
        while at > 0 && cost < best[at - 1].0 {
            best[at] = best[at - 1];
            at -= 1;
        }
        best[at] = (cost, data as u16);
    }
    let hard = llrs.iter().fold(0, |word, &x| word << 1 | u32::from(x < 0.0));
    best.map(|(cost, data)| {
        cost.is_finite().then(|| Candidate {
            data,
            cost,
            errors: (encode(data) ^ hard).count_ones(),
        })
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;
    use rand::seq::index::sample;
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;
    use rand_distr::{Distribution, StandardNormal};

    fn soft(word: u32) -> [f32; 24] {
        std::array::from_fn(|i| 1.0 - 2.0 * (word >> (23 - i) & 1) as f32)
    }

    #[test]
    fn the_distance_is_eight() {
        assert_eq!((1..4096).map(|d| encode(d).count_ones()).min(), Some(8));
        assert!((0..4096).all(|d| encode(d) & 0xFFF == d as u32));
    }

    #[test]
    fn three_errors_are_corrected_and_four_refused() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for _ in 0..300 {
            let data = rng.random_range(0..4096u16);
            for errors in 0..=4 {
                let word =
                    sample(&mut rng, 24, errors).iter().fold(encode(data), |w, i| w ^ 1 << i);
                let expected = (errors <= 3).then_some((data, errors as u32));
                assert_eq!(decode_hard(word), expected);
                if errors <= 3 {
                    let [best] = decode_soft::<1>(&soft(word), |_| true);
                    let best = best.unwrap();
                    assert_eq!((best.data, best.errors), (data, errors as u32));
                    assert_eq!(best.cost, errors as f32);
                }
            }
        }
    }

    #[test]
    fn soft_decoding_is_the_exhaustive_search() {
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        for _ in 0..100 {
            let data = rng.random_range(0..4096u16);
            let mut llrs = soft(encode(data));
            for x in &mut llrs {
                let noise: f32 = StandardNormal.sample(&mut rng);
                *x += 0.9 * noise;
            }
            let mut slow: Vec<(f64, u16)> = (0..4096u16)
                .filter(|d| d % 3 != 0)
                .map(|d| {
                    let c = soft(encode(d));
                    let correlation: f64 = c.iter().zip(&llrs).map(|(c, x)| f64::from(c * x)).sum();
                    (-correlation, d)
                })
                .collect();
            slow.sort_by(|a, b| a.0.total_cmp(&b.0));
            let fast = decode_soft::<4>(&llrs, |d| d % 3 != 0);
            for (fast, slow) in fast.iter().zip(&slow) {
                assert_eq!(fast.unwrap().data, slow.1);
            }
        }
    }

    #[test]
    fn anything_is_taken() {
        for x in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 0.0, f32::MAX] {
            let [best, second] = decode_soft::<2>(&[x; 24], |_| true);
            assert!(best.unwrap().cost <= second.unwrap().cost);
        }
        assert_eq!(decode_soft::<2>(&[1.0; 24], |_| false), [None, None]);
        assert_eq!(decode_soft::<2>(&[1.0; 24], |d| d == 7)[1], None);
    }
}
