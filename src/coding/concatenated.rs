//! Decoder of interleaved Reed–Solomon codewords within a convolutional code.
//!
//! ```text
//!  soft symbols ─► Viterbi ─► [NRZ-M] ─► randomizer ─► codewords (byte j of the block belongs to
//!      ▲                                                  │       codeword j mod depth)
//!      └────────── bits of codewords that are right ──────┘
//! ```
//!
//! 1. One Viterbi decoding, and errors-only decoding of each codeword.
//! 2. *Redecoding*: the bits of the codewords that are right are pinned, and the Viterbi decoder runs
//!    again; its errors are shorter then, and fewer.
//! 3. The Viterbi decoder's error events ([`decode_with_events`]) say which bytes are doubtful and
//!    what they would be otherwise: erasures and sets of events ([`crate::coding::chase`]).
//!
//! A success with many erasures proves little. It has to be a path through the trellis, too: with m
//! the metric of the best path, m' that of the path through the codeword found, and c of the block's
//! n bytes changed,
//!
//! ```text
//!  r = (m - m') / (m c/n)
//! ```
//!
//! is what a changed byte costs in units of what a byte is worth. Of 600 true codewords it was
//! below 0.09, of 15 000 wrong ones above 0.45, near the code's limit and far below; `PATH_COST` is
//! between. With other codewords
//! still wrong the codeword's bits are pinned and the decoder runs again for m'.
//!
//! That does not help where a strong signal begins or ends within the block: then the bytes of
//! the noise beside it cost nothing in comparison, and there are enough of them to make a codeword.
//! So the path must also be likelier than chance in absolute terms. A path through the trellis is
//! one of codewords with a probability of 2^-(8·roots), and
//!
//! ```text
//!  -ln p = (m - m')/2 + ∑ ln(1 + e^-cost of the events)
//! ```
//!
//! of the path found is to stay below the logarithm of that, trials and odds taken off: at most 67
//! for true ones, 187 and more for wrong ones, with 157 allowed (E = 16). In noise that is weak beside
//! the signal several bits share their events, and the sum says too little: where more bytes are
//! expected to be wrong than there are roots to correct them, nothing is tried.
//!
//! [`decode_with_events`]: crate::coding::convolutional::ViterbiDecoder::decode_with_events
//!
//! References: E. Paaske, *Improved Decoding for a Concatenated Coding System Recommended by CCSDS*
//! (IEEE Trans. COM 38, 1990); CCSDS 130.1-G-3.

use std::f64::consts::LN_2;

use crate::coding::chase::{self, Attempt, Doubts, Plan};
use crate::coding::convolutional::{FREE, Known, OTHER, Path, SAME, ViterbiDecoder};
use crate::coding::event::{self, BitEvent};
use crate::coding::reed_solomon::ReedSolomon;
use crate::coding::{bits, randomizer};

/// What a changed byte may cost, in units of what a byte is worth.
const PATH_COST: f64 = 0.2;

/// Log-likelihood that a codeword must not lose for chance: that of as many trials as there are, and
/// of the odds of a frame beyond doubt.
const TRIALS_NATS: f64 = 20.0;

/// Bytes that may be expected to be wrong, in units of the code's roots. A true codeword has as many
/// wrong bytes as can be corrected, give or take a few.
const MOST_WRONG: f32 = 1.25;

/// Numbers of erasures with nothing undone, and with events undone.
const ERASURES: [usize; 14] = [2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28];
const ERASURES_UNDONE: [usize; 5] = [0, 8, 14, 20, 26];
/// Events that are undone in all combinations.
const EVENTS: usize = 8;
/// Trials that a Viterbi decoding of so many bits is worth.
const BITS_A_TRIAL: usize = 256;
/// Share of the magnitude that the best path keeps where more than one decoding is worth while: .90
/// at the code's limit, .84 in noise.
const HOPEFUL_PATH: f64 = 0.87;

/// The codes of a block.
#[derive(Clone, Copy)]
pub struct Codes {
    /// The Reed–Solomon code.
    pub code: &'static ReedSolomon,
    /// Codewords interleaved.
    pub depth: usize,
    /// Bytes of a codeword.
    pub codeword_bytes: usize,
    /// NRZ-M between both codes.
    pub precoding: bool,
    /// The CCSDS randomizer between both codes.
    pub randomizer: bool,
}

/// A block as it was received.
#[derive(Debug, Clone, Copy)]
pub struct Received<'a> {
    /// Soft symbols of the block, and of what follows if that is known.
    pub llr: &'a [f32],
    /// The last six bits before the block.
    pub start: u8,
    /// Bits behind the block that are known.
    pub tail: &'a [u8],
}

/// A block that was decoded.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Decoded {
    /// Bytes that Reed–Solomon decoding corrected, behind the first Viterbi decoding.
    pub corrected_symbols: u32,
    /// The path of the decoded block (that of the first decoding, if the codewords were right).
    pub path: Path,
}

/// The decoder with its working memory.
#[derive(Debug, Clone)]
pub struct ConcatenatedDecoder {
    viterbi: ViterbiDecoder,
    pins: Vec<u8>,
    decided: Vec<u8>,
    events: Vec<BitEvent>,
    mapped: Vec<BitEvent>,
    first_block: Vec<u8>,
    block: Vec<u8>,
    /// The block's codewords, one after the other, and which of them are right.
    codewords: Vec<u8>,
    right: Vec<bool>,
    trial_bits: Vec<u8>,
    trial_pins: Vec<u8>,
    trial_block: Vec<u8>,
}

impl ConcatenatedDecoder {
    /// A decoder on this inner decoder.
    pub fn new(viterbi: ViterbiDecoder) -> Self {
        Self {
            viterbi,
            pins: Vec::new(),
            decided: Vec::new(),
            events: Vec::new(),
            mapped: Vec::new(),
            first_block: Vec::new(),
            block: Vec::new(),
            codewords: Vec::new(),
            right: Vec::new(),
            trial_bits: Vec::new(),
            trial_pins: Vec::new(),
            trial_block: Vec::new(),
        }
    }

    /// The block decoded last: `depth` times `codeword_bytes` bytes.
    pub fn block(&self) -> &[u8] {
        &self.block
    }

    /// Decodes a block. `trials`: what may be spent beyond one decoding of each code, in
    /// Reed–Solomon decodings; what was spent is taken off.
    pub fn decode(
        &mut self,
        codes: &Codes,
        received: &Received<'_>,
        trials: &mut u32,
    ) -> Option<Decoded> {
        let (depth, n) = (codes.depth, codes.codeword_bytes);
        let block_bits = 8 * depth * n;
        if depth == 0 || received.llr.len() < 2 * block_bits || !(1..=255).contains(&n) {
            return None;
        }
        self.pins.clear();
        if !received.tail.is_empty() {
            self.pins.resize(block_bits, FREE);
            self.pins.extend_from_slice(received.tail);
        }
        let known = Known { start: Some(received.start), end: None, pins: &self.pins };
        self.viterbi.decode_bits(received.llr, &known, &mut self.decided);
        self.right.clear();
        self.right.resize(depth, false);
        self.codewords.clear();
        self.codewords.resize(depth * n, 0);
        unwrap(codes, received.start, &self.decided[..block_bits], &mut self.block);
        self.first_block.clear();
        self.first_block.extend_from_slice(&self.block);
        self.decode_errors_only(codes);
        if self.right.contains(&false) && *trials > 0 {
            let share = self.share(received, block_bits);
            if share > HOPEFUL_PATH {
                self.decode_on(codes, received, trials);
            }
        }
        if self.right.contains(&false) {
            return None;
        }
        interleave(&self.codewords, depth, &mut self.block);
        let (changed, _) = chase::differences(&self.block, &self.first_block);
        wrap(codes, received.start, &self.block, &mut self.trial_bits);
        let path =
            self.viterbi.compare(&received.llr[..2 * block_bits], &self.trial_bits, received.start);
        Some(Decoded { corrected_symbols: changed as u32, path })
    }

    fn share(&self, received: &Received<'_>, block_bits: usize) -> f64 {
        let path = self.viterbi.compare(
            &received.llr[..2 * block_bits],
            &self.decided[..block_bits],
            received.start,
        );
        path.metric / path.magnitude.max(f64::MIN_POSITIVE)
    }

    /// Tries every codeword that is not right yet with errors only. Says if one came right.
    fn decode_errors_only(&mut self, codes: &Codes) -> bool {
        let mut progress = false;
        for (index, right) in self.right.iter_mut().enumerate() {
            if *right {
                continue;
            }
            let n = codes.codeword_bytes;
            let word = &mut self.codewords[index * n..][..n];
            extract(&self.block, codes.depth, index, word);
            if codes.code.decode(word, &[]).is_ok() {
                *right = true;
                progress = true;
            }
        }
        progress
    }

    /// Everything beyond one decoding of each code.
    fn decode_on(&mut self, codes: &Codes, received: &Received<'_>, trials: &mut u32) {
        let (depth, n) = (codes.depth, codes.codeword_bytes);
        let block_bits = 8 * depth * n;
        let viterbi_trials = (block_bits / BITS_A_TRIAL) as u32 + 1;
        let pinnable = depth > 1;
        loop {
            if *trials < 4 * viterbi_trials {
                return;
            }
            // Decode with what is known, errors only.
            loop {
                if pinnable && self.right.contains(&true) {
                    self.pin(codes, block_bits);
                }
                let known = Known { start: Some(received.start), end: None, pins: &self.pins };
                *trials = trials.saturating_sub(3 * viterbi_trials);
                self.viterbi.decode_with_events(
                    received.llr,
                    &known,
                    &mut self.decided,
                    &mut self.events,
                );
                unwrap(codes, received.start, &self.decided[..block_bits], &mut self.block);
                if !(pinnable && self.decode_errors_only(codes)) {
                    break;
                }
                if !self.right.contains(&false) {
                    return;
                }
            }
            self.events.retain(|event| event.end_bit() <= block_bits);
            self.mapped.clear();
            if codes.precoding {
                self.mapped.extend(self.events.iter().filter_map(|e| e.through(&[1])));
            } else {
                self.mapped.extend_from_slice(&self.events);
            }
            event::sort(&mut self.mapped);
            let best = self.viterbi.compare(received.llr, &self.decided, received.start).metric;
            let mut progress = false;
            for index in 0..depth {
                if !self.right[index] && self.decode_softly(codes, received, index, best, trials) {
                    self.right[index] = true;
                    progress = true;
                    break;
                }
            }
            if !progress || !self.right.contains(&false) {
                return;
            }
        }
    }

    /// Erasures and events on one codeword.
    fn decode_softly(
        &mut self,
        codes: &Codes,
        received: &Received<'_>,
        index: usize,
        best: f64,
        trials: &mut u32,
    ) -> bool {
        let (depth, n) = (codes.depth, codes.codeword_bytes);
        let block_bits = 8 * depth * n;
        let mut doubts = Doubts::new();
        doubts.add_events(&self.mapped, depth, index, n);
        if doubts.expected_errors(n) > MOST_WRONG * codes.code.parity_bytes() as f32 {
            return false;
        }
        doubts.add_alternatives(&self.mapped, depth, index, n, EVENTS);
        let most = codes.code.parity_bytes() * 7 / 8;
        let erasures = &ERASURES[..ERASURES.iter().take_while(|&&e| e <= most).count()];
        let undone = &ERASURES_UNDONE[..ERASURES_UNDONE.iter().take_while(|&&e| e <= most).count()];
        let plan = Plan { erasures, erasures_undone: undone };
        let mut word = [0u8; 255];
        let word = &mut word[..n];
        extract(&self.block, depth, index, word);
        let before = word.to_vec();
        let others_right = self.right.iter().enumerate().all(|(i, right)| *right || i == index);
        let uncertainty = uncertainty(&self.mapped, depth, index);
        let most_nats = f64::from(8 * codes.code.parity_bytes() as u32) * LN_2 - TRIALS_NATS;
        let mut verifications = 0u32;
        let (viterbi, decided) = (&mut self.viterbi, &self.decided);
        let (block, pins) = (&self.block, &self.pins);
        let (trial_block, trial_bits, trial_pins) =
            (&mut self.trial_block, &mut self.trial_bits, &mut self.trial_pins);
        let accept = |found: &[u8], _: Attempt| {
            let (changed, _) = chase::differences(found, &before);
            trial_block.clear();
            trial_block.extend_from_slice(block);
            for (place, byte) in trial_block.iter_mut().skip(index).step_by(depth).zip(found) {
                *place = *byte;
            }
            let metric = if others_right {
                wrap(codes, received.start, trial_block, trial_bits);
                trial_bits.extend_from_slice(&decided[block_bits..]);
                viterbi.compare(received.llr, trial_bits, received.start).metric
            } else {
                verifications += 1;
                trial_pins.clear();
                trial_pins.extend_from_slice(pins);
                if trial_pins.len() < block_bits {
                    trial_pins.resize(block_bits, FREE);
                }
                pin_codeword(codes, index, trial_block, trial_bits, trial_pins);
                let known = Known { start: Some(received.start), end: None, pins: trial_pins };
                viterbi.decode(received.llr, &known, trial_bits).metric
            };
            let worth = best * changed as f64 / (n * depth) as f64;
            let against = 0.5 * (best - metric) + uncertainty;
            best - metric <= PATH_COST * worth && against <= most_nats
        };
        let found = chase::decode(codes.code, word, &doubts, &plan, trials, accept).is_ok();
        *trials = trials.saturating_sub(verifications * (block_bits / BITS_A_TRIAL) as u32);
        if found {
            self.codewords[index * n..][..n].copy_from_slice(word);
        }
        found
    }

    /// Pins the bits of the codewords that are right.
    fn pin(&mut self, codes: &Codes, block_bits: usize) {
        interleave(&self.codewords, codes.depth, &mut self.trial_block);
        if self.pins.len() < block_bits {
            self.pins.resize(block_bits, FREE);
        }
        for (index, _) in self.right.iter().enumerate().filter(|(_, right)| **right) {
            let (block, bits) = (&self.trial_block, &mut self.trial_bits);
            pin_codeword(codes, index, block, bits, &mut self.pins);
        }
    }
}

/// Pins the bits of one codeword of a block. Behind NRZ-M each bit is known against the one before.
fn pin_codeword(codes: &Codes, index: usize, block: &[u8], bits: &mut Vec<u8>, pins: &mut [u8]) {
    bits_of(block, None, codes.randomizer, bits);
    let bytes = pins.chunks_exact_mut(8).zip(bits.chunks_exact(8));
    for (pins, bits) in bytes.skip(index).step_by(codes.depth) {
        for (pin, &bit) in pins.iter_mut().zip(bits) {
            *pin = match (codes.precoding, bit) {
                (false, _) => bit,
                (true, 0) => SAME,
                (true, _) => OTHER,
            };
        }
    }
}

/// -ln of the probability that codeword `index` has none of `events`, whose bits count for the
/// codewords that they touch.
fn uncertainty(events: &[BitEvent], depth: usize, index: usize) -> f64 {
    events
        .iter()
        .map(|event| {
            let (mut bits, mut all) = (0u32, 0u32);
            for bit in event.bits() {
                all += 1;
                bits += u32::from(bit / 8 % depth == index);
            }
            f64::from(event.doubt()) * f64::from(bits) / f64::from(all.max(1))
        })
        .sum()
}

fn extract(block: &[u8], depth: usize, index: usize, word: &mut [u8]) {
    for (byte, received) in word.iter_mut().zip(block.iter().skip(index).step_by(depth)) {
        *byte = *received;
    }
}

fn interleave(codewords: &[u8], depth: usize, block: &mut Vec<u8>) {
    let n = codewords.len() / depth;
    block.clear();
    block.extend((0..codewords.len()).map(|j| codewords[j % depth * n + j / depth]));
}

/// Bits that the inner decoder gave → bytes of the block.
fn unwrap(codes: &Codes, start: u8, decided: &[u8], block: &mut Vec<u8>) {
    bytes_of(decided, codes.precoding.then_some(start & 1), codes.randomizer, block);
}

/// Data bits of an inner decoder → bytes, with NRZ-M undone if there is a bit before, and the CCSDS
/// randomizer if it is used. Bits of an incomplete byte are left out.
pub fn bytes_of(decided: &[u8], before: Option<u8>, randomized: bool, bytes: &mut Vec<u8>) {
    bytes.clear();
    if let Some(mut previous) = before {
        bytes.extend(decided.chunks_exact(8).map(|byte| {
            byte.iter().fold(0u8, |value, &bit| {
                let data = bit ^ previous;
                previous = bit;
                value << 1 | data
            })
        }));
    } else {
        bits::pack_msb_first(&decided[..decided.len() / 8 * 8], bytes);
    }
    if randomized {
        randomizer::CCSDS.apply_bytes(bytes, 0);
    }
}

/// Bytes of the block → bits that the inner coder was given.
fn wrap(codes: &Codes, start: u8, block: &[u8], data: &mut Vec<u8>) {
    bits_of(block, codes.precoding.then_some(start & 1), codes.randomizer, data);
}

/// The inverse of [`bytes_of`]: bytes → data bits of an inner coder.
pub fn bits_of(bytes: &[u8], before: Option<u8>, randomized: bool, data: &mut Vec<u8>) {
    data.clear();
    let mut level = before.unwrap_or(0);
    for (index, &byte) in bytes.iter().enumerate() {
        let sent = byte ^ if randomized { randomizer::CCSDS.byte(index) } else { 0 };
        for i in 0..8 {
            let bit = sent >> (7 - i) & 1;
            level = if before.is_some() { level ^ bit } else { bit };
            data.push(level);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;
    use crate::coding::convolutional::{Convention, ConvolutionalEncoder};
    use crate::coding::reed_solomon::{CCSDS_E8, CCSDS_E16_DUAL};
    use rand::{Rng, RngCore, SeedableRng};
    use rand_chacha::ChaCha8Rng;
    use rand_distr::{Distribution, StandardNormal};

    const START: u8 = 0b01_1101;
    const TAIL: [u8; 16] = [0, 0, 0, 1, 1, 0, 1, 0, 1, 1, 0, 0, 1, 1, 1, 1];

    fn codes(depth: usize, codeword_bytes: usize) -> Codes {
        Codes { code: &CCSDS_E16_DUAL, depth, codeword_bytes, precoding: false, randomizer: true }
    }

    fn block(codes: &Codes, rng: &mut ChaCha8Rng) -> Vec<u8> {
        let n = codes.codeword_bytes;
        let mut words = vec![0; codes.depth * n];
        for word in words.chunks_mut(n) {
            let (data, parity) = word.split_at_mut(n - codes.code.parity_bytes());
            rng.fill_bytes(data);
            codes.code.encode(data, parity);
        }
        let mut block = Vec::new();
        interleave(&words, codes.depth, &mut block);
        block
    }

    fn send(
        codes: &Codes,
        block: &[u8],
        differential: bool,
        esn0_db: f32,
        rng: &mut ChaCha8Rng,
    ) -> Vec<f32> {
        let mut data = Vec::new();
        wrap(codes, START, block, &mut data);
        data.extend(TAIL);
        let mut channel = Vec::new();
        ConvolutionalEncoder::with_state(Convention::Ccsds, START).encode(&data, &mut channel);
        let esn0 = 10f32.powf(esn0_db / 10.0);
        let mut phase = 0;
        channel
            .iter()
            .map(|&bit| {
                phase = if differential { phase ^ bit } else { bit };
                let noise: f32 = StandardNormal.sample(rng);
                4.0 * esn0 * (1.0 - 2.0 * f32::from(phase)) + (8.0 * esn0).sqrt() * noise
            })
            .collect()
    }

    fn decoder(differential: bool) -> ConcatenatedDecoder {
        ConcatenatedDecoder::new(if differential {
            ViterbiDecoder::differential(Convention::Ccsds)
        } else {
            ViterbiDecoder::new(Convention::Ccsds)
        })
    }

    /// Blocks of `count` that one decoding gets, and all means; none may be wrong.
    fn right(codes: &Codes, differential: bool, esn0_db: f32, count: usize) -> [usize; 2] {
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        let mut decoder = decoder(differential);
        let mut right = [0; 2];
        for _ in 0..count {
            let sent = block(codes, &mut rng);
            let llr = send(codes, &sent, differential, esn0_db, &mut rng);
            let tail = if codes.precoding { &[][..] } else { &TAIL };
            let received = Received { llr: &llr, start: START, tail };
            for (budget, right) in [0, 20_000].into_iter().zip(&mut right) {
                let mut trials = budget;
                if decoder.decode(codes, &received, &mut trials).is_some() {
                    assert_eq!(decoder.block(), sent);
                    *right += 1;
                }
                assert!(trials <= budget);
            }
        }
        right
    }

    #[test]
    fn all_means_are_worth_a_tenth_of_a_decibel() {
        // Theory for one decoding: half of the blocks at -1.81 and -1.75 dB.
        let [one, all] = right(&codes(1, 255), false, -1.9, 40);
        assert!(one < 24 && all >= one + 8, "{one} {all}");
        let [one, all] = right(&codes(4, 255), false, -1.85, 10);
        assert!(one < 8 && all > 7, "{one} {all}");
        let precoded = Codes { precoding: true, ..codes(2, 255) };
        let [one, all] = right(&precoded, false, -1.8, 10);
        assert!(one < 8 && all > 7, "{one} {all}");
        // The joint trellis is 0.25 dB behind.
        let [one, all] = right(&codes(1, 255), true, -1.65, 40);
        assert!(one < 24 && all >= one + 8, "{one} {all}");
    }

    #[test]
    fn any_arrangement_is_decoded() {
        for depth in [1, 2, 5] {
            for precoding in [false, true] {
                for (code, n) in [(&CCSDS_E16_DUAL, 60), (&CCSDS_E8, 17), (&CCSDS_E8, 255)] {
                    let codes =
                        Codes { code, depth, codeword_bytes: n, precoding, randomizer: depth != 2 };
                    let [one, all] = right(&codes, false, 0.5, 3);
                    assert!(one <= all && all == 3, "{depth} {precoding} {n}: {one} {all}");
                }
            }
        }
    }

    #[test]
    fn what_was_corrected_is_counted() {
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let codes = codes(2, 100);
        let sent = block(&codes, &mut rng);
        let mut llr: Vec<f32> = send(&codes, &sent, false, 9.0, &mut rng);
        let mut decoder = decoder(false);
        let decoded = decoder
            .decode(&codes, &Received { llr: &llr, start: START, tail: &TAIL }, &mut 0)
            .unwrap();
        let before = decoded.path.corrected_bits;
        assert_eq!(decoded.corrected_symbols, 0);
        llr[100] *= -1.0;
        // Twenty bits the other way round: the path goes along.
        let mut other = Vec::new();
        wrap(&codes, START, &sent, &mut other);
        other[400..420].iter_mut().for_each(|bit| *bit ^= 1);
        let mut channel = Vec::new();
        ConvolutionalEncoder::with_state(Convention::Ccsds, START).encode(&other, &mut channel);
        for (symbol, bit) in llr.iter_mut().zip(&channel).take(840).skip(800) {
            *symbol = 30.0 * (1.0 - 2.0 * f32::from(*bit));
        }
        let received = Received { llr: &llr, start: START, tail: &[] };
        let decoded = decoder.decode(&codes, &received, &mut 0).unwrap();
        assert_eq!(decoder.block(), sent);
        assert!((2..=6).contains(&decoded.corrected_symbols), "{decoded:?}");
        assert!(decoded.path.corrected_bits > before + 5);
    }

    /// A strong signal that ends within the block: the noise behind it is cheap to change.
    #[test]
    fn half_of_a_block_is_not_completed() {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let codes = codes(1, 255);
        let mut decoder = decoder(false);
        for noisy_bytes in [36, 48, 64, 100] {
            for _ in 0..2 {
                let sent = block(&codes, &mut rng);
                let mut llr = send(&codes, &sent, false, 15.0, &mut rng);
                for symbol in &mut llr[16 * (255 - noisy_bytes)..] {
                    let noise: f32 = StandardNormal.sample(&mut rng);
                    *symbol = 16.0 * noise;
                }
                let received = Received { llr: &llr, start: START, tail: &[] };
                let found = decoder.decode(&codes, &received, &mut 20_000);
                assert!(found.is_none() || decoder.block() == sent, "{noisy_bytes}");
            }
        }
    }

    #[test]
    fn noise_is_refused_and_anything_taken() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        for (depth, n) in [(1, 33), (1, 255), (3, 60)] {
            let codes = codes(depth, n);
            let symbols = 16 * depth * n;
            let mut decoder = decoder(depth == 3);
            for _ in 0..10 {
                let llr: Vec<f32> = (0..symbols).map(|_| StandardNormal.sample(&mut rng)).collect();
                let received = Received { llr: &llr, start: 0, tail: &[] };
                assert_eq!(decoder.decode(&codes, &received, &mut 5000), None);
            }
            for x in [f32::NAN, f32::INFINITY, 0.0, -1e38] {
                for length in [0, symbols - 1, symbols, symbols + 31] {
                    let mut llr = vec![x; length];
                    for symbol in llr.iter_mut().step_by(3) {
                        *symbol = if rng.random() { 1.0 } else { -1.0 };
                    }
                    let received = Received { llr: &llr, start: 255, tail: &[1, 7, 2] };
                    decoder.decode(&codes, &received, &mut 2000);
                }
            }
        }
        let odd = codes(0, 255);
        let received = Received { llr: &[], start: 0, tail: &[] };
        assert_eq!(decoder(false).decode(&odd, &received, &mut 9), None);
    }
}
