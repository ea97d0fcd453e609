//! The error events of a decoded block: for every data bit the best path that has it otherwise.
//!
//! With the forward metrics M (best path from the start to a state) and the backward metrics B (best
//! path from a state to the end) the best path through state s after step k has the metric
//! M_k(s) + B_k(s). Of the 32 states whose newest bit is not the decided one the best gives the path;
//! it is followed both ways until it runs in the decided one. The data bits in which both differ are
//! the event, half of the difference of their metrics its cost in nats (exact max-log decoding).
//!
//! ```text
//!   B(j)      = max(B'(2j) + g_j, B'(2j + 1) - g_j)
//!   B(j + 32) = max(B'(2j) - g_j, B'(2j + 1) + g_j)
//! ```
//!
//! The losers of the decided path's merges alone (soft-output Viterbi) miss half of the best paths
//! near the code's limit.
//!
//! Reference: L. Bahl, J. Cocke, F. Jelinek, J. Raviv, IEEE Trans. Inf. Theory 20 (1974) 284, with
//! maxima for sums.

use super::{
    BUTTERFLIES, Known, LIMIT, NEVER, NORMALISE_EVERY, Path, STATES, Signs, ViterbiDecoder, clean,
    decision_index, exclude, normalise, phase_of, sign,
};
use crate::coding::event::BitEvent;

/// Longest event in bits; longer ones have lost by far.
const LONGEST: usize = 64;

/// Everything the backward recursion reads and writes.
struct Backward<'a> {
    signs: &'a Signs,
    llr: &'a [f32],
    bits: &'a [u8],
    pins: &'a [u8],
    end: Option<u8>,
    /// Differential channel: sign of p1 ⊕ f(s) after the last step, change of it a step, and
    /// inversion of the first channel bit.
    phase_sign: f32,
    phase_step: f32,
    first_sign: f32,
    history: &'a [f32],
    /// As the forward decisions, but for the next bit of each state.
    decisions: &'a mut [u8],
    /// For each step the best state after it whose newest bit is not the decided one, and its cost.
    flips: &'a mut [(u8, f32)],
}

impl ViterbiDecoder {
    /// Like [`decode`](Self::decode), and writes the error events of the decided path to `events`,
    /// each of them once, in the order of their first bits. On a differential channel the start
    /// state must be known; there are no events otherwise.
    pub fn decode_with_events(
        &mut self,
        llr: &[f32],
        known: &Known<'_>,
        bits: &mut Vec<u8>,
        events: &mut Vec<BitEvent>,
    ) -> Path {
        events.clear();
        let steps = llr.len() / 2;
        let told = known.start.is_some() || !self.differential;
        self.history.clear();
        self.history.resize(if told { (steps + 1) * STATES } else { 0 }, 0.0);
        let start = self.decode_bits_of_either_half(llr, known, bits);
        if told && steps > 0 {
            self.list_events(llr, known, start, bits, events);
        }
        self.compare(llr, bits, start)
    }

    fn list_events(
        &self,
        llr: &[f32],
        known: &Known<'_>,
        start: u8,
        bits: &[u8],
        events: &mut Vec<BitEvent>,
    ) {
        let steps = bits.len();
        let [u, v] = self.convention.inversions();
        let phase_step = sign(u ^ v);
        let odd = if steps % 2 == 1 { phase_step } else { 1.0 };
        let mut decisions = vec![0u8; steps.div_ceil(8) * STATES];
        let mut flips = vec![(0u8, f32::INFINITY); steps];
        let mut backward = Backward {
            signs: &self.signs,
            llr: &llr[..2 * steps],
            bits,
            pins: known.pins,
            end: known.end,
            phase_sign: sign(phase_of(start)) * odd,
            phase_step,
            first_sign: sign(u),
            history: &self.history,
            decisions: &mut decisions,
            flips: &mut flips,
        };
        run_backward(&mut backward, self.differential);

        // The decided state after each step.
        let mut decided = vec![0u8; steps + 1];
        decided[0] = start;
        for (k, &bit) in bits.iter().enumerate() {
            decided[k + 1] = (decided[k] << 1 | bit & 1) & 63;
        }
        for (k, &(flip, cost)) in flips.iter().enumerate() {
            if cost > LIMIT || cost.is_nan() {
                continue;
            }
            // Backward: the first bit that differs.
            let (mut state, mut at, mut first) = (usize::from(flip), k + 1, k);
            // What differs for longer than the bits of the longest event and of a state is none.
            let mut whole = true;
            while at > 0 && state != usize::from(decided[at]) {
                if k + 1 - at > LONGEST + 6 {
                    whole = false;
                    break;
                }
                if (state ^ usize::from(decided[at])) & 1 == 1 {
                    first = at - 1;
                }
                let k = at - 1;
                let decision = self.decisions[k / 8 * STATES + decision_index(state)] >> (k % 8);
                state = state >> 1 | usize::from(decision & 1) << 5;
                at = k;
            }
            if !whole {
                continue;
            }
            // Again, and forward: the bits that differ.
            let mut pattern = 0u64;
            let (mut state, mut at) = (usize::from(flip), k + 1);
            let mark = |bit: usize, pattern: &mut u64| match bit.checked_sub(first) {
                Some(i) if i < LONGEST => {
                    *pattern |= 1 << i;
                    true
                }
                _ => false,
            };
            while at > first {
                if (state ^ usize::from(decided[at])) & 1 == 1 {
                    whole &= mark(at - 1, &mut pattern);
                }
                let k = at - 1;
                let decision = self.decisions[k / 8 * STATES + decision_index(state)] >> (k % 8);
                state = state >> 1 | usize::from(decision & 1) << 5;
                at = k;
            }
            let (mut state, mut at) = (usize::from(flip), k + 1);
            while whole && at < steps && state != usize::from(decided[at]) {
                let bit = decisions[at / 8 * STATES + state] >> (at % 8) & 1;
                state = (state << 1 | usize::from(bit)) & (STATES - 1);
                at += 1;
                if bit != bits[at - 1] & 1 {
                    whole &= mark(at - 1, &mut pattern);
                }
            }
            let event = BitEvent { first_bit: first, pattern, cost: cost / 2.0 };
            let known =
                events.iter().rev().take(LONGEST).any(|other| {
                    other.first_bit == event.first_bit && other.pattern == event.pattern
                });
            if whole && !known {
                events.push(event);
            }
        }
        events.sort_by_key(|event| event.first_bit);
    }
}

/// The backward recursion.
fn run_backward(backward: &mut Backward<'_>, differential: bool) {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma") {
        // The only thing unsafe is the call of a function compiled for a wider instruction set,
        // which was detected the line before.
        #[allow(unsafe_code)]
        unsafe {
            backward_avx2(backward, differential);
        }
        return;
    }
    backward_portable(backward, differential);
}

fn backward_portable(backward: &mut Backward<'_>, differential: bool) {
    if differential {
        backward_body::<true>(backward);
    } else {
        backward_body::<false>(backward);
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn backward_avx2(backward: &mut Backward<'_>, differential: bool) {
    if differential {
        backward_body::<true>(backward);
    } else {
        backward_body::<false>(backward);
    }
}

#[inline(always)]
fn backward_body<const DIFFERENTIAL: bool>(backward: &mut Backward<'_>) {
    let steps = backward.bits.len();
    let mut metrics = [0.0f32; STATES];
    if let Some(end) = backward.end {
        metrics = [NEVER; STATES];
        metrics[usize::from(end & 63)] = 0.0;
    }
    let mut phase_sign = backward.phase_sign;
    for k in (0..steps).rev() {
        if let Some(&pin) = backward.pins.get(k) {
            exclude(&mut metrics, pin);
        }
        // States after step k, by their newest bit.
        let mut by_bit = [[0.0f32; BUTTERFLIES]; 2];
        let mut through = [[0.0f32; BUTTERFLIES]; 2];
        let row = &backward.history[(k + 1) * STATES..(k + 2) * STATES];
        for j in 0..BUTTERFLIES {
            by_bit[0][j] = metrics[2 * j];
            by_bit[1][j] = metrics[2 * j + 1];
            through[0][j] = metrics[2 * j] + row[2 * j];
            through[1][j] = metrics[2 * j + 1] + row[2 * j + 1];
        }
        let bit = usize::from(backward.bits[k] & 1);
        let others = &through[1 - bit];
        let best = others.iter().fold(2.0 * NEVER, |best, &m| if m > best { m } else { best });
        let which = others.iter().position(|&m| m == best).unwrap_or(0);
        let decided = through[bit].iter().fold(2.0 * NEVER, |b, &m| if m > b { m } else { b });
        backward.flips[k] = ((2 * which + 1 - bit) as u8, decided - best);

        let (mut first, mut second) = (clean(backward.llr[2 * k]), clean(backward.llr[2 * k + 1]));
        if DIFFERENTIAL {
            second *= phase_sign;
            phase_sign *= backward.phase_step;
            first *= phase_sign * backward.first_sign;
        }
        let mark = 1u8 << (k % 8);
        let octet = &mut backward.decisions[k / 8 * STATES..(k / 8 + 1) * STATES];
        let (lower, upper) = octet.split_at_mut(BUTTERFLIES);
        let (low, high) = metrics.split_at_mut(BUTTERFLIES);
        let [zero, one] = &by_bit;
        for j in 0..BUTTERFLIES {
            let (branch, common) = if DIFFERENTIAL {
                (backward.signs.first[j] * first, backward.signs.second[j] * second)
            } else {
                (backward.signs.first[j] * first + backward.signs.second[j] * second, 0.0)
            };
            let (a, b) = (zero[j] + branch, one[j] - branch);
            let (c, d) = (zero[j] - branch, one[j] + branch);
            lower[j] |= if b > a { mark } else { 0 };
            upper[j] |= if d > c { mark } else { 0 };
            low[j] = (if b > a { b } else { a }) + common;
            high[j] = (if d > c { d } else { c }) + common;
        }
        if k % NORMALISE_EVERY == 0 {
            normalise(&mut metrics);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;
    use crate::coding::convolutional::{Convention, ConvolutionalEncoder, FREE, OTHER, SAME};
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    /// Every event is a path that is as much less likely as it says, and the best way to have a bit
    /// otherwise (a decoder with that bit pinned) is among them.
    #[test]
    fn events_are_the_paths_that_lost() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let (mut weak, mut found) = (0, 0);
        for round in 0..12 {
            let convention = Convention::WORDS[round % 4].1;
            let differential = round % 2 == 1;
            let bits: Vec<u8> = (0..200).map(|_| rng.random_range(0..2)).collect();
            let start = rng.random_range(0..64);
            let mut channel = Vec::new();
            ConvolutionalEncoder::with_state(convention, start).encode(&bits, &mut channel);
            let mut phase = 0;
            let llr: Vec<f32> = channel
                .iter()
                .map(|&bit| {
                    phase = if differential { phase ^ bit } else { bit };
                    2.0 * sign(phase) + rng.random_range(-3.2f32..3.2)
                })
                .collect();
            let mut decoder = ViterbiDecoder::with_channel(convention, differential);
            let mut pins = vec![FREE; bits.len()];
            pins[100..110].copy_from_slice(&bits[100..110]);
            pins[50] = if bits[50] == bits[49] { SAME } else { OTHER };
            let known = Known { start: Some(start), end: None, pins: &pins };
            let (mut decided, mut events) = (Vec::new(), Vec::new());
            let path = decoder.decode_with_events(&llr, &known, &mut decided, &mut events);
            let mut again = Vec::new();
            assert_eq!(decoder.decode(&llr, &known, &mut again), path);
            assert_eq!(again, decided);
            assert!(events.len() > 5, "{}", events.len());
            for event in &events {
                let mut other = decided.clone();
                event.bits().for_each(|k| other[k] ^= 1);
                assert!(event.pattern & 1 == 1 && event.end_bit() <= 200);
                assert!(event.bits().all(|k| !(100..110).contains(&k)));
                let metric = decoder.compare(&llr, &other, start).metric;
                let nats = (path.metric - metric) / 2.0;
                assert!((nats - f64::from(event.cost)).abs() < 1e-2, "{nats} {event:?}");
            }
            for k in (0..190).step_by(7).filter(|k| !(100..110).contains(k)) {
                let mut pins = pins.clone();
                pins[k] = decided[k] ^ 1;
                let known = Known { start: Some(start), end: None, pins: &pins };
                let forced = decoder.decode(&llr, &known, &mut again);
                let nats = (path.metric - forced.metric) / 2.0;
                let weakest = events
                    .iter()
                    .filter(|e| e.bits().any(|bit| bit == k))
                    .fold(f32::INFINITY, |c, e| c.min(e.cost));
                assert!(f64::from(weakest) > nats - 1e-2);
                if nats < 3.0 {
                    weak += 1;
                    found += u32::from(f64::from(weakest) < nats + 1e-2);
                }
            }
        }
        assert!(weak > 5 && found == weak, "{found} of {weak}");
    }

    #[test]
    fn both_instruction_sets_agree() {
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let llr: Vec<f32> = (0..602).map(|_| rng.random_range(-9.0..9.0)).collect();
        for differential in [false, true] {
            let mut decoder = ViterbiDecoder::with_channel(Convention::Ccsds, differential);
            let known = Known { start: Some(3), end: None, pins: &[0, 1] };
            let mut bits = Vec::new();
            decoder.decode_with_events(&llr, &known, &mut bits, &mut Vec::new());
            let mut results = Vec::new();
            for portable in [false, true] {
                let mut decisions = vec![0; 301usize.div_ceil(8) * STATES];
                let mut flips = vec![(0, 0.0); 301];
                let mut backward = Backward {
                    signs: &decoder.signs,
                    llr: &llr,
                    bits: &bits,
                    pins: &[0, 1],
                    end: None,
                    phase_sign: 1.0,
                    phase_step: -1.0,
                    first_sign: 1.0,
                    history: &decoder.history,
                    decisions: &mut decisions,
                    flips: &mut flips,
                };
                if portable {
                    backward_portable(&mut backward, differential);
                } else {
                    run_backward(&mut backward, differential);
                }
                results.push((decisions, flips));
            }
            assert_eq!(results[0], results[1]);
        }
    }

    #[test]
    fn anything_is_taken() {
        let (mut bits, mut events) = (Vec::new(), Vec::new());
        for differential in [false, true] {
            let mut decoder = ViterbiDecoder::with_channel(Convention::Ccsds, differential);
            for x in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 0.0, 1e38] {
                for length in [0, 1, 2, 3, 30, 301] {
                    for start in [None, Some(7)] {
                        let known = Known { start, end: None, pins: &[1, FREE, 9, 0] };
                        decoder.decode_with_events(
                            &vec![x; length],
                            &known,
                            &mut bits,
                            &mut events,
                        );
                        assert_eq!(bits.len(), length / 2);
                        assert!(events.iter().all(|e| e.end_bit() <= bits.len()));
                    }
                }
            }
        }
    }
}
