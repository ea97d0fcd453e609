//! Soft decoding of Reed–Solomon codes: with the least reliable bytes erased, and with the likeliest
//! error events undone.
//!
//! *Generalised minimum distance*: errors only, then with the least reliable bytes erased, a few more
//! at every attempt. *Chase*: all 2^p sets of the p likeliest error events are undone, each followed
//! by decoding. Sets come in the order of Gray's code, the likeliest event changing most often: from
//! one to the next the syndromes change by one event's, and any number of trials is a complete search
//! over the first of the events.
//!
//! The more erasures, the less a success proves: with f of them a random word is accepted with a
//! probability of about 1/e! where e = (roots - f)/2 (and once more for every trial). So whatever is
//! found has to be [accepted](Attempt) by something else as well: by the symbols it contradicts
//! ([`plausible`]), or by the code around it.
//!
//! References: G. D. Forney, *Generalized Minimum Distance Decoding* (IEEE Trans. IT, 1966);
//! D. Chase, *A Class of Algorithms for Decoding Block Codes with Channel Measurement Information*
//! (IEEE Trans. IT, 1972).

use crate::coding::bits::hard;
use crate::coding::event::BitEvent;
use crate::coding::reed_solomon::{ReedSolomon, Syndromes, Uncorrectable};

/// Longest codeword.
const MAX_BYTES: usize = 255;
/// Most events that are undone.
pub const MAX_ALTERNATIVES: usize = 16;
/// Bytes of a codeword that an event may touch: 64 bits, not aligned.
const EVENT_BYTES: usize = 9;

/// What is known of a codeword's errors: how doubtful each byte is, and the likeliest events.
#[derive(Debug, Clone)]
pub struct Doubts {
    bytes: [f32; MAX_BYTES],
    alternatives: [Alternative; MAX_ALTERNATIVES],
    count: usize,
}

/// Bytes of the codeword that are otherwise, all at once.
#[derive(Debug, Clone, Copy)]
struct Alternative {
    first_bit: usize,
    end_bit: usize,
    bytes: [(u8, u8); EVENT_BYTES],
    count: usize,
}

const NO_ALTERNATIVE: Alternative =
    Alternative { first_bit: 0, end_bit: 0, bytes: [(0, 0); EVENT_BYTES], count: 0 };

impl Doubts {
    /// Nothing is doubted.
    pub fn new() -> Self {
        Self { bytes: [0.0; MAX_BYTES], alternatives: [NO_ALTERNATIVE; MAX_ALTERNATIVES], count: 0 }
    }

    /// What `events` say of codeword `index` of the `depth` interleaved ones of a block, each of `n`
    /// bytes: byte b of the block is byte b / depth of codeword b mod depth.
    pub fn add_events(&mut self, events: &[BitEvent], depth: usize, index: usize, n: usize) {
        for event in events {
            let doubt = event.doubt();
            let mut last = usize::MAX;
            for bit in event.bits() {
                let byte = bit / 8;
                if byte != last && byte % depth == index && byte / depth < n.min(MAX_BYTES) {
                    self.bytes[byte / depth] += doubt;
                }
                last = byte;
            }
        }
    }

    /// Expected number of wrong bytes among the first `n`.
    pub fn expected_errors(&self, n: usize) -> f32 {
        self.bytes.iter().take(n).map(|doubt| -(-doubt).exp_m1()).sum()
    }

    /// Takes the likeliest of `events` as alternatives; they must be in the order of their costs. Of
    /// those that overlap only the likeliest is taken.
    pub fn add_alternatives(
        &mut self,
        events: &[BitEvent],
        depth: usize,
        index: usize,
        n: usize,
        most: usize,
    ) {
        for event in events {
            if self.count >= most.min(MAX_ALTERNATIVES) {
                return;
            }
            let (first_bit, end_bit) = (event.first_bit, event.end_bit());
            let overlaps = self.alternatives[..self.count]
                .iter()
                .any(|other| first_bit < other.end_bit && other.first_bit < end_bit);
            if overlaps {
                continue;
            }
            let mut alternative = Alternative { first_bit, end_bit, ..NO_ALTERNATIVE };
            for bit in event.bits() {
                let byte = bit / 8;
                if byte % depth != index || byte / depth >= n.min(MAX_BYTES) {
                    continue;
                }
                let (place, value) = ((byte / depth) as u8, 0x80u8 >> (bit % 8));
                let count = alternative.count;
                match alternative.bytes[..count].iter_mut().find(|(other, _)| *other == place) {
                    Some((_, difference)) => *difference |= value,
                    None if count < EVENT_BYTES => {
                        alternative.bytes[count] = (place, value);
                        alternative.count += 1;
                    }
                    None => {}
                }
            }
            if alternative.count > 0 {
                self.alternatives[self.count] = alternative;
                self.count += 1;
            }
        }
    }
}

impl Default for Doubts {
    fn default() -> Self {
        Self::new()
    }
}

/// How far to go.
#[derive(Debug, Clone, Copy)]
pub struct Plan<'a> {
    /// Numbers of erasures with nothing undone.
    pub erasures: &'a [usize],
    /// Numbers of erasures with every set of events undone.
    pub erasures_undone: &'a [usize],
}

/// How a codeword was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempt {
    /// Bytes that were erased.
    pub erased: usize,
    /// Attempts up to this one.
    pub attempts: u32,
}

/// Decodes `word` in place as `plan` says. Every attempt takes one of `trials`; it ends with none
/// left. What is found and `accept` refuses, given the corrected word, is passed over.
///
/// # Errors
/// [`Uncorrectable`]; the word is then unchanged.
pub fn decode(
    code: &ReedSolomon,
    word: &mut [u8],
    doubts: &Doubts,
    plan: &Plan<'_>,
    trials: &mut u32,
    mut accept: impl FnMut(&[u8], Attempt) -> bool,
) -> Result<Attempt, Uncorrectable> {
    let n = word.len();
    let mut syndromes = code.syndromes(word)?;
    // Indices of the bytes, most doubtful first; equals in their order.
    let mut order: [usize; MAX_BYTES] = std::array::from_fn(|i| i);
    let order = &mut order[..n];
    order.sort_unstable_by(|&a, &b| doubts.bytes[b].total_cmp(&doubts.bytes[a]).then(a.cmp(&b)));
    let alternatives = &doubts.alternatives[..doubts.count];
    let mut additions = [Syndromes::default(); MAX_ALTERNATIVES];
    for (addition, alternative) in additions.iter_mut().zip(alternatives) {
        for &(index, difference) in &alternative.bytes[..alternative.count] {
            addition.add(&code.byte_syndromes(n, usize::from(index), difference));
        }
    }
    let mut trial = [0u8; MAX_BYTES];
    let trial = &mut trial[..n];
    trial.copy_from_slice(word);
    let mut corrected = [0u8; MAX_BYTES];
    let corrected = &mut corrected[..n];
    // How many of the events undone touch each byte: those are not erased.
    let mut touched = [0u8; MAX_BYTES];
    let mut undone = 0u32;
    let mut attempts = 0;
    for set in 0u32..1 << alternatives.len() {
        if set > 0 {
            let which = set.trailing_zeros() as usize;
            let back = undone >> which & 1 == 1;
            undone ^= 1 << which;
            syndromes.add(&additions[which]);
            for &(index, difference) in &alternatives[which].bytes[..alternatives[which].count] {
                let index = usize::from(index);
                let Some(byte) = trial.get_mut(index) else { continue };
                *byte ^= difference;
                touched[index] = if back { touched[index] - 1 } else { touched[index] + 1 };
            }
        }
        let numbers = if set == 0 { plan.erasures } else { plan.erasures_undone };
        let most = numbers.iter().copied().max().unwrap_or(0).min(code.parity_bytes());
        let mut erasures = [0usize; crate::coding::reed_solomon::MAX_ROOTS];
        let mut there = 0;
        if most > 0 {
            for &index in order.iter().filter(|&&index| touched[index] == 0).take(most) {
                erasures[there] = index;
                there += 1;
            }
        }
        for &number in numbers {
            if number > there {
                continue;
            }
            if *trials == 0 {
                return Err(Uncorrectable);
            }
            *trials -= 1;
            attempts += 1;
            let Ok(errata) = code.solve(&syndromes, n, &erasures[..number]) else { continue };
            corrected.copy_from_slice(trial);
            for (index, difference) in errata.iter() {
                corrected[index] ^= difference;
            }
            let attempt = Attempt { erased: number, attempts };
            if accept(corrected, attempt) {
                word.copy_from_slice(corrected);
                return Ok(attempt);
            }
        }
    }
    Err(Uncorrectable)
}

/// Numbers of erasures behind a detector of symbols. More than half of the roots are never erased:
/// too much would be accepted.
const ERASURES: [usize; 9] = [0, 2, 4, 6, 8, 10, 12, 14, 16];
/// Events behind a detector of symbols that are undone in all combinations.
pub const EVENTS: usize = 11;
/// Decodes a codeword with what the soft bits `llrs` (eight a byte, most significant first) say of
/// its hard decisions `word`, in place: errors only, erasures, and all sets of the events in
/// `doubts`. What is found beyond errors only must be [`plausible`].
///
/// # Errors
/// [`Uncorrectable`]; the word is then unchanged.
pub fn decode_symbols(
    code: &ReedSolomon,
    word: &mut [u8],
    llrs: &[f32],
    doubts: &Doubts,
    trials: &mut u32,
) -> Result<Attempt, Uncorrectable> {
    if code.decode(word, &[]).is_ok() {
        return Ok(Attempt { erased: 0, attempts: 0 });
    }
    let radius = code.parity_bytes() / 2;
    let erasures = &ERASURES[1..=radius / 2];
    let plan = Plan { erasures, erasures_undone: &ERASURES[..1] };
    let mut received = [0u8; MAX_BYTES];
    let received = &mut received[..word.len().min(MAX_BYTES)];
    received.copy_from_slice(&word[..received.len()]);
    decode(code, word, doubts, &plan, trials, |found, _| plausible(found, received, llrs))
}

/// A budget of [trials](decode) that grows with the symbols received, so that signals full of what
/// looks like frames cost no more than a share of the time.
#[derive(Debug, Clone)]
pub struct Budget {
    trials: u32,
    symbol: u64,
}

/// Symbols that earn a trial, of 3 to 9 µs.
const SYMBOLS_A_TRIAL: u64 = 1;
/// Trials that may be saved up.
const MAX_TRIALS: u32 = 20_000;

impl Budget {
    /// A full budget at symbol 0 of a run; an empty one for good if it is not to be used.
    pub fn new(used: bool) -> Self {
        if used {
            Self { trials: MAX_TRIALS, symbol: 0 }
        } else {
            Self { trials: 0, symbol: u64::MAX }
        }
    }

    /// What may be spent at a symbol of the run. What is spent is to be taken off.
    pub fn at(&mut self, symbol: u64) -> &mut u32 {
        let earned = symbol.saturating_sub(self.symbol) / SYMBOLS_A_TRIAL;
        self.symbol += earned * SYMBOLS_A_TRIAL;
        let earned = u32::try_from(earned).unwrap_or(MAX_TRIALS);
        self.trials = self.trials.saturating_add(earned).min(MAX_TRIALS);
        &mut self.trials
    }
}

/// Bytes that differ, and bits.
pub fn differences(a: &[u8], b: &[u8]) -> (usize, u32) {
    a.iter().zip(b).fold((0, 0), |(bytes, bits), (a, b)| {
        (bytes + usize::from(a != b), bits + (a ^ b).count_ones())
    })
}

/// A byte may be changed at the cost of this many mean symbols; a random one costs four.
const PLAUSIBLE_SYMBOLS: f32 = 1.5;
/// Bits changed may be at most this many quarters of the bytes changed: a true byte changes by 1 to
/// 2 bits, a random one by 4.
const PLAUSIBLE_BIT_QUARTERS: u32 = 11;

/// Whether a correction looks like noise: a true one changes few and weak bits of a byte, the
/// codeword next to a random word about half of them. `llrs`: the soft bits of `received`, eight a
/// byte.
pub fn plausible(corrected: &[u8], received: &[u8], llrs: &[f32]) -> bool {
    let (bytes, bits) = differences(corrected, received);
    let total: f32 = llrs.iter().filter(|x| !x.is_nan()).map(|x| x.abs()).sum();
    let mean = total / llrs.len().max(1) as f32;
    4 * bits <= PLAUSIBLE_BIT_QUARTERS * bytes as u32
        && disagreement(corrected, llrs) <= PLAUSIBLE_SYMBOLS * mean * bytes as f32
}

/// Sum of |llr| over the bits that `bytes` (most significant bit first) has otherwise than the hard
/// decisions of `llrs`: how unlikely the bytes are, in nats below the hard decisions.
pub fn disagreement(bytes: &[u8], llrs: &[f32]) -> f32 {
    let bits = bytes.iter().flat_map(|byte| (0..8).map(move |i| byte >> (7 - i) & 1));
    bits.zip(llrs)
        .filter(|(bit, llr)| *bit != hard(**llr) && !llr.is_nan())
        .map(|(_, llr)| llr.abs())
        .sum()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;
    use crate::coding::bits::{pack_llrs_msb_first, unpack_msb_first};
    use crate::coding::event;
    use crate::coding::reed_solomon::CCSDS_E16;
    use rand::{RngCore, SeedableRng};
    use rand_chacha::ChaCha8Rng;
    use rand_distr::{Distribution, StandardNormal};

    const GMD: [usize; 9] = [0, 2, 4, 6, 8, 10, 12, 14, 16];

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

    fn attempt(llrs: &[f32], erasures: &[usize], events: usize) -> Option<Vec<u8>> {
        let n = llrs.len() / 8;
        let mut received = Vec::new();
        pack_llrs_msb_first(llrs, &mut received);
        let mut list = Vec::new();
        event::of_symbols(llrs, &mut list);
        let mut doubts = Doubts::new();
        doubts.add_events(&list, 1, 0, n);
        list.sort_by(|a, b| a.cost.total_cmp(&b.cost));
        doubts.add_alternatives(&list, 1, 0, n, events);
        let plan = Plan { erasures, erasures_undone: &[0] };
        let mut word = received.clone();
        let mut trials = 5000;
        let accept = |word: &[u8], a: Attempt| a.erased == 0 || plausible(word, &received, llrs);
        match decode(&CCSDS_E16, &mut word, &doubts, &plan, &mut trials, accept) {
            Ok(_) => Some(word),
            Err(Uncorrectable) => {
                assert_eq!(word, received);
                None
            }
        }
    }

    #[test]
    fn more_effort_corrects_more_and_nothing_wrong() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut good = [0; 3];
        for _ in 0..200 {
            let (sent, llrs) = noisy(132, 0.475, &mut rng);
            let results =
                [attempt(&llrs, &[0], 0), attempt(&llrs, &GMD, 0), attempt(&llrs, &GMD, 8)];
            for (result, good) in results.iter().zip(&mut good) {
                assert!(result.as_ref().is_none_or(|word| *word == sent));
                *good += usize::from(result.is_some());
            }
        }
        assert!(good[0] > 40 && good[0] < 160, "{good:?}");
        assert!(good[1] > good[0] + 10 && good[2] > good[1] + 20, "{good:?}");
    }

    /// One trial for each set; every set of errors among the events is undone.
    #[test]
    fn every_set_of_events_is_tried_once() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let (sent, _) = noisy(60, 1.0, &mut rng);
        let llr = |bytes: &[u8]| -> Vec<f32> {
            let mut bits = Vec::new();
            unpack_msb_first(bytes, &mut bits);
            bits.iter().map(|&b| 8.0 - 16.0 * f32::from(b)).collect()
        };
        for set in 0..16u8 {
            let mut received = sent.clone();
            for byte in &mut received[10..26] {
                *byte ^= 0x55;
            }
            let mut llrs = llr(&received);
            for event in 0..4usize {
                let weak = 1.0 + event as f32 / 10.0;
                for bit in [320 + 16 * event, 321 + 16 * event] {
                    let flip = if set >> event & 1 == 1 { -1.0 } else { 1.0 };
                    llrs[bit] = llrs[bit].signum() * flip * weak;
                }
            }
            let mut received = Vec::new();
            pack_llrs_msb_first(&llrs, &mut received);
            let mut list = Vec::new();
            event::of_symbols(&llrs, &mut list);
            list.sort_by(|a, b| a.cost.total_cmp(&b.cost));
            let mut doubts = Doubts::new();
            doubts.add_alternatives(&list, 1, 0, 60, 4);
            let plan = Plan { erasures: &[0], erasures_undone: &[0] };
            let mut trials = 16;
            let found = decode(&CCSDS_E16, &mut received, &doubts, &plan, &mut trials, |_, _| true)
                .unwrap();
            assert_eq!(received, sent);
            assert_eq!(found.attempts, 16 - trials);
            // Its place in Gray's code.
            let place = (0..16u32).find(|k| k ^ k >> 1 == u32::from(set)).unwrap();
            assert_eq!(found.attempts, place + 1);
        }
    }

    #[test]
    fn a_budget_grows_with_the_symbols() {
        let mut budget = Budget::new(true);
        *budget.at(0) -= 1000;
        assert_eq!(*budget.at(101), MAX_TRIALS - 899);
        assert_eq!(*budget.at(102), MAX_TRIALS - 898);
        assert_eq!(*budget.at(50), MAX_TRIALS - 898);
        assert_eq!(*budget.at(u64::MAX), MAX_TRIALS);
        assert_eq!(*Budget::new(false).at(u64::MAX), 0);
    }

    #[test]
    fn noise_is_refused() {
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        for n in [33, 100, 255] {
            for _ in 0..40 {
                let (_, llrs) = noisy(n, 1e3, &mut rng);
                assert_eq!(attempt(&llrs, &GMD, 6), None);
            }
        }
    }

    #[test]
    fn anything_is_taken() {
        let plan = Plan { erasures: &[0, 99, 4], erasures_undone: &[50, 0] };
        let mut doubts = Doubts::new();
        let events = [
            BitEvent { first_bit: 0, pattern: u64::MAX, cost: f32::NAN },
            BitEvent { first_bit: 5000, pattern: 1, cost: 0.0 },
            BitEvent { first_bit: 70, pattern: u64::MAX, cost: f32::NEG_INFINITY },
        ];
        doubts.add_events(&events, 3, 1, 300);
        doubts.add_alternatives(&events, 3, 1, 300, 99);
        for n in [0, 3, 33, 60, 255, 300] {
            let mut trials = 50;
            let mut word = vec![7; n];
            let _ = decode(&CCSDS_E16, &mut word, &doubts, &plan, &mut trials, |_, _| false);
            assert_eq!(word, vec![7; n]);
        }
        for x in [f32::NAN, f32::INFINITY, 0.0] {
            assert_eq!(attempt(&[x; 480], &GMD, 4).filter(|w| w[0] != 0), None);
            plausible(&[1; 60], &[0; 60], &[x; 480]);
        }
        plausible(&[], &[], &[]);
    }
}
