//! Generalised-minimum-distance decoding of Reed–Solomon codes: errors first, then with the least
//! reliable bytes erased, a few more at every attempt.
//!
//! A byte is as reliable as the probability that all its bits are right, `∏ 1/(1 + e^-|llr|)`. The
//! more erasures, the less a success proves (see [`ReedSolomon::decode`]), so attempts with erasures
//! must also look like noise: a true correction changes few bits of a byte, the codeword next to a
//! random word about half of them.
//!
//! Reference: G. D. Forney, *Generalized Minimum Distance Decoding* (IEEE Trans. IT, 1966).

use std::f32::consts::LN_2;

use crate::coding::bits::hard;
use crate::coding::reed_solomon::{ReedSolomon, Uncorrectable};

/// Erasures that an attempt has more than the one before. At most half of the roots are erased:
/// beyond, too much would be accepted.
const STEP: usize = 2;

/// With erasures, the bits changed may be at most this many quarters of the bytes changed. Errors
/// come in pairs behind differential decoding, so a true byte changes by 1 to 2 bits, a random one
/// by 4.
const MAX_BITS_QUARTERS: u32 = 11;

/// What soft decoding did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Corrected {
    /// Bytes changed.
    pub bytes: usize,
    /// Bits changed in them.
    pub bits: u32,
    /// Bytes that had been erased.
    pub erased: usize,
}

/// Unreliability of a byte: -ln of the probability that its eight hard decisions are right.
fn unreliability(llrs: &[f32]) -> f32 {
    llrs.iter().map(|x| if x.is_nan() { LN_2 } else { (-x.abs()).exp().ln_1p() }).sum()
}

/// Decodes `codeword` in place, the hard decisions of `llrs` (eight a byte, most significant bit
/// first). At most `max_erasures` bytes are erased (0: errors only; never more than half of the
/// roots).
///
/// # Errors
/// [`Uncorrectable`]; the codeword is then unchanged.
pub fn decode(
    code: &ReedSolomon,
    codeword: &mut [u8],
    llrs: &[f32],
    max_erasures: usize,
) -> Result<Corrected, Uncorrectable> {
    let n = codeword.len();
    if n > 255 || llrs.len() != 8 * n {
        return Err(Uncorrectable);
    }
    let mut received = [0u8; 255];
    let received = &mut received[..n];
    received.copy_from_slice(codeword);
    let bits = |after: &[u8]| -> u32 {
        after.iter().zip(received.iter()).map(|(a, b)| (a ^ b).count_ones()).sum()
    };
    if let Ok(bytes) = code.decode(codeword, &[]) {
        return Ok(Corrected { bytes, bits: bits(codeword), erased: 0 });
    }
    let limit = max_erasures.min(code.parity_bytes() / 2).min(n);
    if limit < STEP {
        return Err(Uncorrectable);
    }
    // Indices of the bytes, least reliable first; equals in their order.
    let mut unreliabilities = [0f32; 255];
    for (u, llrs) in unreliabilities.iter_mut().zip(llrs.chunks(8)) {
        *u = unreliability(llrs);
    }
    let mut order: [usize; 255] = std::array::from_fn(|i| i);
    let order = &mut order[..n];
    order.sort_unstable_by(|&a, &b| {
        unreliabilities[b].total_cmp(&unreliabilities[a]).then(a.cmp(&b))
    });
    for erased in (STEP..=limit).step_by(STEP) {
        let Ok(bytes) = code.decode(codeword, &order[..erased]) else { continue };
        let bits = bits(codeword);
        if 4 * bits <= MAX_BITS_QUARTERS * bytes as u32 {
            return Ok(Corrected { bytes, bits, erased });
        }
        codeword.copy_from_slice(received);
    }
    Err(Uncorrectable)
}

/// Sum of |llr| over the bits that `bytes` (most significant bit first) has otherwise than the hard
/// decisions of `llrs`: how unlikely the bytes are, in nats below the hard decisions.
pub fn disagreement(bytes: &[u8], llrs: &[f32]) -> f32 {
    let bits = bytes.iter().flat_map(|byte| (0..8).map(move |i| byte >> (7 - i) & 1));
    bits.zip(llrs).filter(|(bit, llr)| *bit != hard(**llr)).map(|(_, llr)| llr.abs()).sum()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;
    use crate::coding::bits::{pack_llrs_msb_first, unpack_msb_first};
    use crate::coding::reed_solomon::CCSDS_E16;
    use rand::{RngCore, SeedableRng};
    use rand_chacha::ChaCha8Rng;
    use rand_distr::{Distribution, StandardNormal};

    /// Soft symbols of a random codeword of `n` bytes in noise of the given deviation.
    fn noisy(n: usize, deviation: f32, rng: &mut ChaCha8Rng) -> (Vec<u8>, Vec<f32>) {
        let mut sent = vec![0; n];
        rng.fill_bytes(&mut sent[..n - 32]);
        let (data, parity) = sent.split_at_mut(n - 32);
        CCSDS_E16.encode(data, parity);
        let mut bits = Vec::new();
        unpack_msb_first(&sent, &mut bits);
        let llrs = bits
            .iter()
            .map(|&b| {
                let noise: f32 = StandardNormal.sample(rng);
                (1.0 - 2.0 * f32::from(b) + deviation * noise) * 2.0 / deviation.powi(2)
            })
            .collect();
        (sent, llrs)
    }

    #[test]
    fn erasures_correct_more_and_nothing_wrong() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let (mut errors_only, mut with_erasures) = (0, 0);
        for _ in 0..300 {
            let (sent, llrs) = noisy(132, 0.475, &mut rng);
            let mut received = Vec::new();
            pack_llrs_msb_first(&llrs, &mut received);
            for (max_erasures, good) in [(0, &mut errors_only), (16, &mut with_erasures)] {
                let mut word = received.clone();
                match decode(&CCSDS_E16, &mut word, &llrs, max_erasures) {
                    Ok(corrected) => {
                        assert_eq!(word, sent);
                        assert!(corrected.bits >= corrected.bytes as u32);
                        assert!(disagreement(&word, &llrs) > 0.0);
                        *good += 1;
                    }
                    Err(Uncorrectable) => assert_eq!(word, received),
                }
            }
        }
        assert!(errors_only > 60 && errors_only < 240, "{errors_only}");
        assert!(with_erasures > errors_only + 30, "{errors_only} {with_erasures}");
    }

    #[test]
    fn noise_is_refused() {
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        for n in [33, 100, 255] {
            for _ in 0..1000 {
                let (_, llrs) = noisy(n, 1e3, &mut rng);
                let mut word = Vec::new();
                pack_llrs_msb_first(&llrs, &mut word);
                assert_eq!(decode(&CCSDS_E16, &mut word, &llrs, 16), Err(Uncorrectable));
            }
        }
    }

    #[test]
    fn anything_is_taken() {
        let mut word = vec![0; 300];
        assert!(decode(&CCSDS_E16, &mut word, &[], 16).is_err());
        assert!(decode(&CCSDS_E16, &mut word, &[0.0; 2400], 16).is_err());
        assert!(decode(&CCSDS_E16, &mut [], &[], 16).is_err());
        for x in [f32::NAN, f32::INFINITY, 0.0] {
            assert!(decode(&CCSDS_E16, &mut [7; 60], &[x; 480], 99).is_err());
        }
    }
}
