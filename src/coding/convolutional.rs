//! The K = 7, rate 1/2 convolutional code of CCSDS 131.0-B section 3, encoder and soft Viterbi
//! decoder, also jointly with a differential channel.
//!
//! ```text
//!   bit ──►[b0][b1][b2][b3][b4][b5][b6]      b0: newest (not delayed), b6: six bits ago
//!           │   │   │   │           │
//!           G1 = b0 + b1 + b2 + b3 + b6      171 octal
//!           G2 = b0 + b2 + b3 + b5 + b6      133 octal
//! ```
//!
//! Two channel bits a data bit; [`Convention`] says which comes first and whether G2 is inverted.
//!
//! # Decoder
//!
//! With the state s = (b1 … b6) newest bit lowest, data bit x leads from states j and j + 32 to
//! state 2j + x. Both generators contain b0 and b6, so the four branches of that butterfly carry
//! one branch metric g_j with four signs:
//!
//! ```text
//!   M'(2j)     = max(M(j) + g_j, M(j+32) - g_j)       g_j = ±L0 ± L1
//!   M'(2j + 1) = max(M(j) - g_j, M(j+32) + g_j)
//! ```
//!
//! # Joint decoding of a differential channel
//!
//! If soft symbol k is that of p_k, where channel bit c_k = p_k ⊕ p_{k-1} (NRZ-M after the coder,
//! or MSK without precoder), then the pair of phases after data bit k obeys
//!
//! ```text
//!   p1(k) = p1(k-1) ⊕ c0 ⊕ c1,    c0 ⊕ c1 = b1 ⊕ b5 (⊕ 1 if one of them is inverted)
//! ```
//!
//! The trellis of code and phase has 128 states, but D + D⁵ = (1 + D)·D(1 + D)³: with
//! f(s) = b1 ⊕ b2 ⊕ b3 ⊕ b4 the sum p1(k) ⊕ f(s_k) never depends on the data. The trellis falls
//! apart into two of 64 states, one for each start phase, and decoding jointly costs no more than
//! decoding a direct channel. The branch metric is g_j = ±L0 with the signs of the butterfly above,
//! plus ±L1 that is common to the butterfly.
//!
//! References: CCSDS 131.0-B-5 section 3; A. Viterbi, IEEE Trans. Inf. Theory 13 (1967) 260;
//! G. Forney, Proc. IEEE 61 (1973) 268.

mod events;

/// G1 = 171 octal, the newest bit lowest.
const G1: u8 = 0b100_1111;
/// G2 = 133 octal, the newest bit lowest.
const G2: u8 = 0b110_1101;
/// f(s): the phase of a differential channel after a bit, up to a constant, on the register.
const PHASE: u8 = 0b001_1110;
/// Number of trellis states.
const STATES: usize = 64;
/// Number of butterflies.
const BUTTERFLIES: usize = STATES / 2;
/// Metric of a state that cannot be.
const NEVER: f32 = -1e30;
/// Soft symbols are clipped here, so that no sum comes near [`NEVER`].
const LIMIT: f32 = 1e12;
/// Steps between normalisations of the metrics.
const NORMALISE_EVERY: usize = 32;

/// A data bit that is not known, in the `pins` of [`Known`].
pub const FREE: u8 = 2;
/// A data bit that is known to equal the one before it (a 0 before NRZ-M).
pub const SAME: u8 = 3;
/// A data bit that is known to differ from the one before it (a 1 before NRZ-M).
pub const OTHER: u8 = 4;

/// Order and inversion of the two channel bits of a data bit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Convention {
    /// G1, then inverted G2 (CCSDS 131.0-B).
    Ccsds,
    /// G1, then G2.
    CcsdsUninverted,
    /// Inverted G2, then G1 (NASA Deep Space Network).
    NasaDsn,
    /// G2, then G1.
    NasaDsnUninverted,
}

impl Convention {
    /// The words for it in options, the default first.
    pub const WORDS: [(&'static str, Convention); 4] = [
        ("ccsds", Convention::Ccsds),
        ("ccsds-uninverted", Convention::CcsdsUninverted),
        ("nasa-dsn", Convention::NasaDsn),
        ("nasa-dsn-uninverted", Convention::NasaDsnUninverted),
    ];

    /// The generators in the order of the channel bits, the newest bit lowest.
    const fn generators(self) -> [u8; 2] {
        match self {
            Convention::Ccsds | Convention::CcsdsUninverted => [G1, G2],
            Convention::NasaDsn | Convention::NasaDsnUninverted => [G2, G1],
        }
    }

    /// What is added to the channel bits.
    const fn inversions(self) -> [u8; 2] {
        match self {
            Convention::Ccsds => [0, 1],
            Convention::NasaDsn => [1, 0],
            Convention::CcsdsUninverted | Convention::NasaDsnUninverted => [0, 0],
        }
    }

    /// The two channel bits of a register (bits b0 … b6, b0 lowest).
    #[inline]
    fn channel_bits(self, register: u8) -> [u8; 2] {
        CHANNEL_BITS[self as usize][usize::from(register & 127)]
    }

    const fn channel_bit_table(self) -> [[u8; 2]; 128] {
        let [a, b] = self.generators();
        let [u, v] = self.inversions();
        let mut table = [[0; 2]; 128];
        let mut register = 0;
        while register < 128 {
            table[register] = [parity(register as u8 & a) ^ u, parity(register as u8 & b) ^ v];
            register += 1;
        }
        table
    }
}

/// Channel bits by convention and register.
static CHANNEL_BITS: [[[u8; 2]; 128]; 4] = [
    Convention::Ccsds.channel_bit_table(),
    Convention::CcsdsUninverted.channel_bit_table(),
    Convention::NasaDsn.channel_bit_table(),
    Convention::NasaDsnUninverted.channel_bit_table(),
];

/// The sum of the bits, modulo 2.
#[inline]
const fn parity(bits: u8) -> u8 {
    (bits.count_ones() & 1) as u8
}

/// +1 for bit 0, -1 for bit 1.
#[inline]
const fn sign(bit: u8) -> f32 {
    if bit == 0 { 1.0 } else { -1.0 }
}

/// State of the coder after `bits` (0 or 1), starting from state 0: the last six of them, the
/// newest lowest.
pub fn state_after(bits: &[u8]) -> u8 {
    bits.iter().fold(0, |state, bit| (state << 1 | (bit & 1)) & 63)
}

/// The coder.
#[derive(Debug, Clone)]
pub struct ConvolutionalEncoder {
    convention: Convention,
    state: u8,
}

impl ConvolutionalEncoder {
    /// A coder in state 0.
    pub fn new(convention: Convention) -> Self {
        Self { convention, state: 0 }
    }

    /// A coder in `state`, the last six data bits, the newest lowest.
    pub fn with_state(convention: Convention, state: u8) -> Self {
        Self { convention, state: state & 63 }
    }

    /// The last six data bits, the newest lowest.
    pub fn state(&self) -> u8 {
        self.state
    }

    /// The two channel bits of the next data bit (0 or 1).
    #[inline]
    pub fn next(&mut self, bit: u8) -> [u8; 2] {
        let register = self.state << 1 | (bit & 1);
        self.state = register & 63;
        self.convention.channel_bits(register)
    }

    /// Appends the channel bits of `bits`, two for each, to `out`. The state runs on.
    pub fn encode(&mut self, bits: &[u8], out: &mut Vec<u8>) {
        out.reserve(2 * bits.len());
        for &bit in bits {
            out.extend_from_slice(&self.next(bit));
        }
    }
}

/// What a decoder knows of a block beforehand.
#[derive(Debug, Clone, Copy, Default)]
pub struct Known<'a> {
    /// State before the block (the six data bits before it, the newest lowest); `None`: any.
    pub start: Option<u8>,
    /// State after the block, `Some(0)` for a coder flushed with zeros; `None`: any.
    pub end: Option<u8>,
    /// Data bits: 0 or 1 where a bit is known, [`SAME`] or [`OTHER`] where its relation to the one
    /// before is, [`FREE`] where nothing is. May be shorter than the block; the rest is free.
    pub pins: &'a [u8],
}

/// A path through the trellis, compared with what was received.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Path {
    /// Sum of the soft symbols, each with the sign that the path gives it: the larger the likelier.
    pub metric: f64,
    /// Sum of the soft symbols' magnitudes: what the metric would be without noise.
    pub magnitude: f64,
    /// Channel bits (phases p_k for a differential channel) whose hard decision disagrees.
    pub corrected_bits: u32,
}

/// The signs of the branch metrics from state j with data bit 0, for the two soft symbols.
#[derive(Debug, Clone)]
struct Signs {
    first: [f32; BUTTERFLIES],
    second: [f32; BUTTERFLIES],
}

/// Soft Viterbi decoder of whole blocks. Owns its working memory: make one and keep it.
#[derive(Debug, Clone)]
pub struct ViterbiDecoder {
    convention: Convention,
    differential: bool,
    signs: Signs,
    /// Metrics of the states before each step and after the last, if they were asked for.
    history: Vec<f32>,
    /// For each eight steps 64 bytes, one a state in the order of [`decision_index`]; bit k of a
    /// byte is step k's decision for the upper predecessor.
    decisions: Vec<u8>,
}

/// Everything the forward recursion reads.
struct Forward<'a> {
    signs: &'a Signs,
    llr: &'a [f32],
    pins: &'a [u8],
    start: [f32; STATES],
    /// Differential channel: sign of p1 ⊕ f(s) before the first step, change of it a step, and
    /// inversion of the first channel bit.
    phase_sign: f32,
    phase_step: f32,
    first_sign: f32,
}

impl ViterbiDecoder {
    /// A decoder for soft symbols of the channel bits themselves.
    pub fn new(convention: Convention) -> Self {
        Self::with_channel(convention, false)
    }

    /// A decoder for soft symbols of p_k, where channel bit c_k = p_k ⊕ p_{k-1}. The phase before
    /// a block's first symbol is taken as p = 0: turn the symbols' signs if it is 1.
    pub fn differential(convention: Convention) -> Self {
        Self::with_channel(convention, true)
    }

    fn with_channel(convention: Convention, differential: bool) -> Self {
        let mut signs = Signs { first: [0.0; BUTTERFLIES], second: [0.0; BUTTERFLIES] };
        let [a, b] = convention.generators();
        let [u, v] = convention.inversions();
        for j in 0..BUTTERFLIES {
            let register = (j as u8) << 1;
            if differential {
                // p0 = p1(k-1) ⊕ c0 with p1(k-1) = f(s_{k-1}): f delayed by a bit.
                signs.first[j] = sign(parity(register & (a ^ PHASE << 1)));
                signs.second[j] = sign(parity(register & PHASE));
            } else {
                signs.first[j] = sign(parity(register & a) ^ u);
                signs.second[j] = sign(parity(register & b) ^ v);
            }
        }
        Self { convention, differential, signs, history: Vec::new(), decisions: Vec::new() }
    }

    /// The most likely data bits of a block: one for each two soft symbols of `llr` (positive =
    /// bit 0; an odd last one is ignored), written to `bits`, which is cleared first.
    ///
    /// What is known must not contradict itself; if it does, the bits are arbitrary. NaN counts as
    /// an erasure.
    pub fn decode(&mut self, llr: &[f32], known: &Known<'_>, bits: &mut Vec<u8>) -> Path {
        let start = self.decode_bits(llr, known, bits);
        self.compare(llr, bits, start)
    }

    /// Like [`decode`](Self::decode), without the comparison of what was decoded with what was
    /// received. Returns the state before the block.
    pub fn decode_bits(&mut self, llr: &[f32], known: &Known<'_>, bits: &mut Vec<u8>) -> u8 {
        self.history.clear();
        self.decode_bits_of_either_half(llr, known, bits)
    }

    fn decode_bits_of_either_half(
        &mut self,
        llr: &[f32],
        known: &Known<'_>,
        bits: &mut Vec<u8>,
    ) -> u8 {
        if !self.differential || known.start.is_some() {
            return self.decode_from(llr, known, None, bits);
        }
        // An unknown start state leaves both halves of the joint trellis.
        let start = self.decode_from(llr, known, Some(0), bits);
        let mut other = Vec::with_capacity(bits.len());
        let other_start = self.decode_from(llr, known, Some(1), &mut other);
        if self.compare(llr, &other, other_start).metric > self.compare(llr, bits, start).metric {
            std::mem::swap(bits, &mut other);
            return other_start;
        }
        start
    }

    /// Decodes from the known start state, or from those states whose f(s) is `half`.
    fn decode_from(
        &mut self,
        llr: &[f32],
        known: &Known<'_>,
        half: Option<u8>,
        bits: &mut Vec<u8>,
    ) -> u8 {
        let steps = llr.len() / 2;
        let llr = &llr[..2 * steps];
        bits.clear();
        bits.resize(steps, 0);
        self.decisions.clear();
        self.decisions.resize(steps.div_ceil(8) * STATES, 0);

        let mut start = [NEVER; STATES];
        match known.start {
            Some(state) => start[usize::from(state & 63)] = 0.0,
            None => {
                for (state, metric) in (0u8..).zip(start.iter_mut()) {
                    if half.is_none_or(|half| phase_of(state) == half) {
                        *metric = 0.0;
                    }
                }
            }
        }
        let [u, v] = self.convention.inversions();
        let phase = known.start.map_or(half.unwrap_or(0), phase_of);
        let forward = Forward {
            signs: &self.signs,
            llr,
            pins: known.pins,
            start,
            phase_sign: sign(phase),
            phase_step: sign(u ^ v),
            first_sign: sign(u),
        };
        let metrics =
            run_forward(&forward, self.differential, &mut self.decisions, &mut self.history);

        let mut state = match known.end {
            Some(state) => usize::from(state & 63),
            None => {
                let mut best = 0;
                for (state, metric) in metrics.iter().enumerate() {
                    if *metric > metrics[best] {
                        best = state;
                    }
                }
                best
            }
        };
        for k in (0..steps).rev() {
            bits[k] = (state & 1) as u8;
            let decision = self.decisions[k / 8 * STATES + decision_index(state)] >> (k % 8) & 1;
            state = state >> 1 | usize::from(decision) << 5;
        }
        state as u8
    }

    /// Compares the soft symbols of a block with the path of data bits `bits` from state `start`.
    pub fn compare(&self, llr: &[f32], bits: &[u8], start: u8) -> Path {
        let mut encoder = ConvolutionalEncoder::with_state(self.convention, start);
        let mut path = Path::default();
        let mut phase = 0;
        for (pair, &bit) in llr.chunks_exact(2).zip(bits) {
            for (&soft, channel_bit) in pair.iter().zip(encoder.next(bit)) {
                phase = if self.differential { phase ^ channel_bit } else { channel_bit };
                let soft = clean(soft);
                // The sign bit of the soft symbol ⊕ that of the path.
                let agreement = f32::from_bits(soft.to_bits() ^ u32::from(phase) << 31);
                path.metric += f64::from(agreement);
                path.magnitude += f64::from(soft.abs());
                path.corrected_bits += u32::from(agreement < 0.0);
            }
        }
        path
    }
}

/// f(s) of the module's documentation, on a state.
fn phase_of(state: u8) -> u8 {
    parity(state & PHASE)
}

/// Place of a state's decisions: butterflies side by side, first those of data bit 0.
#[inline]
fn decision_index(state: usize) -> usize {
    (state & 1) << 5 | state >> 1
}

/// A soft symbol as it is used: finite, NaN as an erasure.
#[inline]
fn clean(soft: f32) -> f32 {
    if soft.is_nan() { 0.0 } else { soft.clamp(-LIMIT, LIMIT) }
}

/// The forward recursion: decisions of every step, and the last metrics. `history`: 64 metrics
/// for every step and 64 more, or nothing.
fn run_forward(
    forward: &Forward<'_>,
    differential: bool,
    decisions: &mut [u8],
    history: &mut [f32],
) -> [f32; STATES] {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma") {
        // The only thing unsafe is the call of a function compiled for a wider instruction set,
        // which was detected the line before.
        #[allow(unsafe_code)]
        return unsafe { forward_avx2(forward, differential, decisions, history) };
    }
    forward_portable(forward, differential, decisions, history)
}

fn forward_portable(
    forward: &Forward<'_>,
    differential: bool,
    decisions: &mut [u8],
    history: &mut [f32],
) -> [f32; STATES] {
    if differential {
        forward_body::<true>(forward, decisions, history)
    } else {
        forward_body::<false>(forward, decisions, history)
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn forward_avx2(
    forward: &Forward<'_>,
    differential: bool,
    decisions: &mut [u8],
    history: &mut [f32],
) -> [f32; STATES] {
    if differential {
        forward_body::<true>(forward, decisions, history)
    } else {
        forward_body::<false>(forward, decisions, history)
    }
}

#[inline(always)]
fn forward_body<const DIFFERENTIAL: bool>(
    forward: &Forward<'_>,
    decisions: &mut [u8],
    history: &mut [f32],
) -> [f32; STATES] {
    let mut history = history.chunks_exact_mut(STATES);
    let (mut front, mut back) = (forward.start, [0.0; STATES]);
    let (mut old, mut new) = (&mut front, &mut back);
    let signs = forward.signs;
    let mut phase_sign = forward.phase_sign;
    let rows = decisions.chunks_exact_mut(STATES);
    for (octet, (row, symbols)) in rows.zip(forward.llr.chunks(16)).enumerate() {
        let (row_zero, row_one) = row.split_at_mut(BUTTERFLIES);
        for (step, pair) in symbols.chunks_exact(2).enumerate() {
            let k = octet * 8 + step;
            let mark = 1u8 << step;
            if let Some(row) = history.next() {
                row.copy_from_slice(old);
            }
            let (mut first, mut second) = (clean(pair[0]), clean(pair[1]));
            if DIFFERENTIAL {
                first *= phase_sign * forward.first_sign;
                phase_sign *= forward.phase_step;
                second *= phase_sign;
            }
            butterflies::<DIFFERENTIAL>(signs, first, second, old, new, mark, row_zero, row_one);
            if let Some(&pin) = forward.pins.get(k) {
                exclude(new, pin);
            }
            if k % NORMALISE_EVERY == NORMALISE_EVERY - 1 {
                normalise(new);
            }
            std::mem::swap(&mut old, &mut new);
        }
    }
    if let Some(row) = history.next() {
        row.copy_from_slice(old);
    }
    *old
}

/// One step of all butterflies.
#[inline(always)]
#[allow(clippy::too_many_arguments)]
fn butterflies<const DIFFERENTIAL: bool>(
    signs: &Signs,
    first: f32,
    second: f32,
    old: &[f32; STATES],
    new: &mut [f32; STATES],
    mark: u8,
    row_zero: &mut [u8],
    row_one: &mut [u8],
) {
    let (lower, upper) = old.split_at(BUTTERFLIES);
    let mut zero = [0.0f32; BUTTERFLIES];
    let mut one = [0.0f32; BUTTERFLIES];
    let row_zero = &mut row_zero[..BUTTERFLIES];
    let row_one = &mut row_one[..BUTTERFLIES];
    for j in 0..BUTTERFLIES {
        let (branch, common) = if DIFFERENTIAL {
            (signs.first[j] * first, signs.second[j] * second)
        } else {
            (signs.first[j] * first + signs.second[j] * second, 0.0)
        };
        let (a, b) = (lower[j] + branch, upper[j] - branch);
        let (c, d) = (lower[j] - branch, upper[j] + branch);
        let (z, o) = (if b > a { b } else { a }, if d > c { d } else { c });
        row_zero[j] |= if b > a { mark } else { 0 };
        row_one[j] |= if d > c { mark } else { 0 };
        (zero[j], one[j]) = if DIFFERENTIAL { (z + common, o + common) } else { (z, o) };
    }
    for j in 0..BUTTERFLIES {
        new[2 * j] = zero[j];
        new[2 * j + 1] = one[j];
    }
}

/// Excludes the states after a step that contradict a pin.
#[inline(always)]
fn exclude(metrics: &mut [f32; STATES], pin: u8) {
    match pin {
        0 | 1 => {
            for excluded in metrics.iter_mut().skip(usize::from(pin == 0)).step_by(2) {
                *excluded = NEVER;
            }
        }
        SAME | OTHER => {
            // The newest two bits of states 4i … 4i + 3 are 00, 01, 10, 11.
            let (a, b) = if pin == SAME { (1, 2) } else { (0, 3) };
            for four in metrics.chunks_exact_mut(4) {
                four[a] = NEVER;
                four[b] = NEVER;
            }
        }
        _ => {}
    }
}

/// Brings the best metric to 0.
#[inline(always)]
fn normalise(metrics: &mut [f32; STATES]) {
    let best = metrics.iter().fold(NEVER, |best, &m| if m > best { m } else { best });
    for metric in metrics.iter_mut() {
        *metric -= best;
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;
    use rand_distr::{Distribution, StandardNormal};

    fn conventions() -> impl Iterator<Item = Convention> + Clone {
        Convention::WORDS.iter().map(|(_, convention)| *convention)
    }

    fn random_bits(rng: &mut ChaCha8Rng, n: usize) -> Vec<u8> {
        (0..n).map(|_| rng.random_range(0..2)).collect()
    }

    fn encode(convention: Convention, start: u8, bits: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        ConvolutionalEncoder::with_state(convention, start).encode(bits, &mut out);
        out
    }

    /// p_k = p_{k-1} ⊕ c_k from p = `phase`.
    fn integrate(bits: &[u8], mut phase: u8) -> Vec<u8> {
        bits.iter()
            .map(|&bit| {
                phase ^= bit;
                phase
            })
            .collect()
    }

    fn noisy(rng: &mut ChaCha8Rng, bits: &[u8], esn0_db: f32) -> Vec<f32> {
        let esn0 = 10f32.powf(esn0_db / 10.0);
        let sigma = (0.5 / esn0).sqrt();
        bits.iter()
            .map(|&bit| {
                let noise: f32 = StandardNormal.sample(rng);
                4.0 * esn0 * (sign(bit) + sigma * noise)
            })
            .collect()
    }

    /// The slow obvious twin: one trellis of (six bits, phase) with 128 states, two successors
    /// each, in double precision.
    fn twin(
        convention: Convention,
        differential: bool,
        llr: &[f32],
        known: &Known<'_>,
    ) -> (f64, Vec<u8>) {
        let mut metrics = [f64::NEG_INFINITY; 128];
        for (state, metric) in metrics.iter_mut().enumerate() {
            if known.start.is_none_or(|start| usize::from(start) == state >> 1) && state & 1 == 0 {
                *metric = 0.0;
            }
        }
        let mut history: Vec<[(usize, u8); 128]> = Vec::new();
        for (k, pair) in llr.chunks_exact(2).enumerate() {
            let mut next = [f64::NEG_INFINITY; 128];
            let mut from = [(0, 0); 128];
            for (state, &metric) in metrics.iter().enumerate() {
                for bit in 0..2u8 {
                    let before = (state >> 1) as u8 & 1;
                    let excluded = match known.pins.get(k) {
                        Some(&SAME) => bit != before,
                        Some(&OTHER) => bit == before,
                        Some(&pin) => pin != FREE && pin != bit,
                        None => false,
                    };
                    if excluded {
                        continue;
                    }
                    let register = ((state >> 1) as u8) << 1 | bit;
                    let [c0, c1] = convention.channel_bits(register);
                    let (p0, p1) = if differential {
                        ((state & 1) as u8 ^ c0, (state & 1) as u8 ^ c0 ^ c1)
                    } else {
                        (c0, c1)
                    };
                    let phase = if differential { p1 } else { 0 };
                    let to = usize::from(register & 63) << 1 | usize::from(phase);
                    let sum = metric
                        + f64::from(clean(pair[0]) * sign(p0))
                        + f64::from(clean(pair[1]) * sign(p1));
                    if sum > next[to] {
                        next[to] = sum;
                        from[to] = (state, bit);
                    }
                }
            }
            metrics = next;
            history.push(from);
        }
        let mut state = (0..128)
            .filter(|state| known.end.is_none_or(|end| usize::from(end) == state >> 1))
            .max_by(|a, b| metrics[*a].total_cmp(&metrics[*b]))
            .unwrap();
        let best = metrics[state];
        let mut bits = Vec::new();
        for from in history.iter().rev() {
            let (previous, bit) = from[state];
            bits.push(bit);
            state = previous;
        }
        bits.reverse();
        (best, bits)
    }

    #[test]
    fn encodes_the_impulse_response() {
        // One 1: the generators' digits come out, G1 = 1111001, G2 = 1011011.
        let bits = [1, 0, 0, 0, 0, 0, 0];
        let uninverted = encode(Convention::CcsdsUninverted, 0, &bits);
        let g1: Vec<u8> = uninverted.iter().step_by(2).copied().collect();
        let g2: Vec<u8> = uninverted.iter().skip(1).step_by(2).copied().collect();
        assert_eq!(g1, [1, 1, 1, 1, 0, 0, 1]);
        assert_eq!(g2, [1, 0, 1, 1, 0, 1, 1]);
        for (k, pair) in encode(Convention::Ccsds, 0, &bits).chunks(2).enumerate() {
            assert_eq!(pair, [g1[k], g2[k] ^ 1]);
        }
        for (k, pair) in encode(Convention::NasaDsn, 0, &bits).chunks(2).enumerate() {
            assert_eq!(pair, [g2[k] ^ 1, g1[k]]);
        }
        for (k, pair) in encode(Convention::NasaDsnUninverted, 0, &bits).chunks(2).enumerate() {
            assert_eq!(pair, [g2[k], g1[k]]);
        }
    }

    #[test]
    fn agrees_with_the_twin() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut decoded = Vec::new();
        for (round, convention) in conventions().cycle().take(48).enumerate() {
            let differential = round % 8 >= 4;
            let bits = random_bits(&mut rng, 150 + round);
            let first = rng.random_range(0..64);
            let mut channel = encode(convention, first, &bits);
            if differential {
                channel = integrate(&channel, 0);
            }
            let llr = noisy(&mut rng, &channel, -2.0);
            let mut pins = vec![FREE; bits.len()];
            if round % 3 == 1 {
                for _ in 0..30 {
                    let at = rng.random_range(0..bits.len());
                    pins[at] = bits[at];
                    let at = rng.random_range(1..bits.len());
                    pins[at] = if bits[at] == bits[at - 1] { SAME } else { OTHER };
                }
            }
            let known = Known {
                start: (round % 5 != 0).then_some(first),
                end: (round % 7 == 0).then_some(state_after(&bits)),
                pins: &pins,
            };
            let mut decoder = ViterbiDecoder::with_channel(convention, differential);
            let path = decoder.decode(&llr, &known, &mut decoded);
            let (metric, expected) = twin(convention, differential, &llr, &known);
            assert_eq!(decoded, expected, "{convention:?} {differential} {round}");
            if known.start.is_some() {
                assert!((path.metric - metric).abs() < 1e-3, "{} {metric}", path.metric);
            }
            for (at, &pin) in pins.iter().enumerate() {
                match pin {
                    FREE => {}
                    SAME => assert_eq!(decoded[at], decoded[at - 1]),
                    OTHER => assert_ne!(decoded[at], decoded[at - 1]),
                    _ => assert_eq!(decoded[at], pin),
                }
            }
        }
    }

    #[test]
    fn both_instruction_sets_agree() {
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        for differential in [false, true] {
            let decoder = ViterbiDecoder::with_channel(Convention::Ccsds, differential);
            let llr: Vec<f32> = (0..2 * 501).map(|_| rng.random_range(-9.0..9.0)).collect();
            let forward = Forward {
                signs: &decoder.signs,
                llr: &llr,
                pins: &[0, 1, FREE, 1],
                start: [0.0; STATES],
                phase_sign: 1.0,
                phase_step: -1.0,
                first_sign: 1.0,
            };
            let mut portable = vec![0; 501usize.div_ceil(8) * STATES];
            let mut dispatched = portable.clone();
            let a = forward_portable(&forward, differential, &mut portable, &mut []);
            let b = run_forward(&forward, differential, &mut dispatched, &mut []);
            assert_eq!(a, b);
            assert_eq!(portable, dispatched);
        }
    }

    #[test]
    fn corrects_errors_and_counts_them() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let mut decoded = Vec::new();
        for convention in conventions() {
            for differential in [false, true] {
                let mut bits = random_bits(&mut rng, 200);
                bits.extend([0; 6]);
                let mut channel = encode(convention, 0, &bits);
                if differential {
                    channel = integrate(&channel, 0);
                }
                let mut llr: Vec<f32> = channel.iter().map(|&bit| sign(bit)).collect();
                for at in (10..llr.len()).step_by(40) {
                    llr[at] = -llr[at];
                }
                let mut decoder = ViterbiDecoder::with_channel(convention, differential);
                let known = Known { start: Some(0), end: Some(0), pins: &[] };
                let path = decoder.decode(&llr, &known, &mut decoded);
                assert_eq!(decoded, bits);
                assert_eq!(path.corrected_bits, 11);
                assert_eq!(path.metric, 412.0 - 22.0);
                assert_eq!(path.magnitude, 412.0);
            }
        }
    }

    #[test]
    fn any_scale_and_any_rubbish_is_taken() {
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        let bits = random_bits(&mut rng, 300);
        let mut decoded = Vec::new();
        for differential in [false, true] {
            let mut channel = encode(Convention::Ccsds, 0, &bits);
            if differential {
                channel = integrate(&channel, 0);
            }
            let mut decoder = ViterbiDecoder::with_channel(Convention::Ccsds, differential);
            for scale in [1e-30f32, 1e-3, 1.0, 1e6, f32::INFINITY] {
                let llr: Vec<f32> = channel.iter().map(|&bit| scale * sign(bit)).collect();
                decoder.decode(&llr, &Known { start: Some(0), ..Known::default() }, &mut decoded);
                assert_eq!(decoded, bits, "{scale}");
            }
            let values = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 0.0, 1e38, -1e-40];
            for length in 0..70 {
                let llr: Vec<f32> = (0..length).map(|_| values[rng.random_range(0..6)]).collect();
                let pins: Vec<u8> = (0..length).map(|_| rng.random()).collect();
                let known = Known {
                    start: rng.random::<bool>().then(|| rng.random()),
                    end: rng.random::<bool>().then(|| rng.random()),
                    pins: &pins,
                };
                decoder.decode(&llr, &known, &mut decoded);
                assert_eq!(decoded.len(), length / 2);
            }
        }
    }
}
