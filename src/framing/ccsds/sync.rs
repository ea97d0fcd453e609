//! Soft correlation with a sync word, as the framings with an inner code need it: on the channel's
//! soft symbols, before any decoding, in every polarity at once.
//!
//! For symbols x and the pattern s of n signs the measure is
//!
//! ```text
//!   ρ = Σ s_t x_t / sqrt(Σ x_t²),   |ρ| ≤ sqrt(n)
//! ```
//!
//! In noise ρ is close to N(0, 1) whatever the noise power; on the sync word its mean is
//! sqrt(n / (1 + 1/(2 Es/N0))). A sign of -1 tells inverted symbols.
//!
//! What a transmission does to the sync word's bits is done to the pattern: precoding (NRZ-M), the
//! convolutional coder, and the differential channel p_k = p_{k-1} ⊕ c_k. Each of them depends on
//! what was sent before; the symbols that do are left out, or, where only a sign is unknown, that
//! sign becomes the sign of ρ. Inverted channel bits c of a differential channel show as p with
//! alternating signs, the second of two values at each position.

use crate::coding::bits;
use crate::coding::convolutional::{self, Convention, ConvolutionalEncoder};
use crate::modulation::Mapping;

/// Channel symbols, each dependent on the past, that a K = 7 rate 1/2 coder puts out first.
const CODER_MEMORY_SYMBOLS: usize = 12;
/// Positions correlated at a time.
const BLOCK: usize = 128;
/// Positions whose sums are kept in registers at a time.
const LANES: usize = 32;
/// Most signs of a pattern: a sync word of 64 symbols and two before it.
const MAX_SIGNS: usize = 66;
/// Symbols that a block of positions depends on.
const WINDOW: usize = BLOCK + MAX_SIGNS - 1;
/// Soft symbols are clipped here: certain anyway, and no impulse outweighs the rest.
const CLIP: f32 = 64.0;
/// Energy below which there is nothing to correlate.
const MIN_ENERGY: f32 = 1e-30;

/// What happens to a sync word on its way to the soft symbols.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::framing) struct Line {
    /// NRZ-M first.
    pub precoding: bool,
    /// Then the convolutional coder.
    pub convolution: Option<Convention>,
    /// What the soft symbols stand for.
    pub mapping: Mapping,
}

/// A sync word on a [`Line`].
#[derive(Debug, Clone)]
pub(in crate::framing) struct SyncPattern {
    /// Position of the first sign, counted from the sync word's first symbol (-2 to 12).
    pub start: isize,
    /// The signs, 1 for bit 0.
    pub signs: Vec<f32>,
    /// Number of symbols of the sync word.
    pub length: usize,
    /// The sync word's bits after precoding, for an upright pattern.
    pub precoded: Vec<u8>,
    /// State of the coder after the sync word of an upright pattern.
    pub state: u8,
    /// There is an alternating variant.
    pub alternates: bool,
}

/// Sums up modulo 2 from a 0, which becomes the first element.
fn accumulate(bits: &[u8]) -> Vec<u8> {
    let mut sum = 0;
    std::iter::once(0)
        .chain(bits.iter().map(|bit| {
            sum ^= bit;
            sum
        }))
        .collect()
}

impl SyncPattern {
    /// The pattern of a sync word's bytes.
    pub fn new(sync_word: &[u8], line: Line) -> Self {
        let mut precoded = Vec::new();
        bits::unpack_msb_first(sync_word, &mut precoded);
        let bit_count = precoded.len();
        let mut start = 0isize;
        if line.precoding {
            precoded = accumulate(&precoded);
            start -= 1;
        }
        let state = convolutional::state_after(&precoded);
        let (mut symbols, length) = match line.convolution {
            Some(convention) => {
                let mut coded = Vec::new();
                ConvolutionalEncoder::new(convention).encode(&precoded, &mut coded);
                coded.drain(..CODER_MEMORY_SYMBOLS.min(coded.len()));
                start = 2 * start + CODER_MEMORY_SYMBOLS as isize;
                (coded, 2 * bit_count)
            }
            None => (precoded.clone(), bit_count),
        };
        precoded.drain(..precoded.len() - bit_count);
        let alternates = line.mapping == Mapping::Differential;
        if alternates {
            symbols = accumulate(&symbols);
            start -= 1;
        }
        let signs: Vec<f32> = symbols.iter().map(|&bit| 1.0 - 2.0 * f32::from(bit)).collect();
        debug_assert!(signs.len() <= MAX_SIGNS);
        Self { start, signs, length, precoded, state, alternates }
    }

    /// Sign of the sync word's last symbol in an upright pattern.
    pub fn last_sign(&self) -> f32 {
        self.signs.last().copied().unwrap_or(1.0)
    }

    /// Turns the symbols that follow a sync word with these signs so that the phase before them is
    /// p = 0 on a differential channel, and the sync word was upright on a direct one.
    pub fn upright(&self, found: Found, following: &[f32], out: &mut Vec<f32>) {
        out.clear();
        if self.alternates {
            // Symbol `length - 1` has this parity of its place in the pattern.
            let odd = (self.signs.len() - 1) % 2 == 1;
            let mut sign = found.sign * self.last_sign();
            if found.alternating && odd {
                sign = -sign;
            }
            let step = if found.alternating { -1.0 } else { 1.0 };
            out.extend(following.iter().map(|&symbol| {
                sign *= step;
                symbol * sign
            }));
        } else {
            out.extend(following.iter().map(|&symbol| symbol * found.sign));
        }
    }
}

/// How a sync word was found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::framing) struct Found {
    /// |ρ|.
    pub strength: f32,
    /// 1, or -1 for inverted symbols.
    pub sign: f32,
    /// On a differential channel: the channel bits are inverted.
    pub alternating: bool,
}

/// The symbols of a run as far as they are still needed, with their correlation.
///
/// Positions count from some symbols of silence that stand before the run, so that a sync word
/// whose first symbols were not received is found too.
#[derive(Debug, Clone)]
pub(in crate::framing) struct SyncBuffer {
    pattern: SyncPattern,
    lead: usize,
    symbols: Vec<f32>,
    /// ρ of the plain and of the alternating pattern, at the positions of `symbols`.
    plain: Vec<f32>,
    alternating: Vec<f32>,
    /// Position of `symbols[0]`.
    first: u64,
}

impl SyncBuffer {
    /// An empty buffer.
    pub fn new(pattern: SyncPattern) -> Self {
        let lead = pattern.length / 2 + 2;
        let symbols = vec![0.0; lead];
        let below = usize::try_from(-pattern.start).unwrap_or(0);
        let (plain, alternating) = (vec![0.0; below], vec![0.0; below]);
        Self { pattern, lead, symbols, plain, alternating, first: 0 }
    }

    /// The pattern.
    pub fn pattern(&self) -> &SyncPattern {
        &self.pattern
    }

    /// Position just after the last symbol.
    pub fn end(&self) -> u64 {
        self.first + self.symbols.len() as u64
    }

    /// Symbol of the run at a position; those before the run count as its first.
    pub fn run_symbol(&self, position: u64) -> u64 {
        position.saturating_sub(self.lead as u64)
    }

    /// The first position where a sync word may begin.
    pub fn first_position(&self) -> u64 {
        self.plain_start() as u64
    }

    fn plain_start(&self) -> usize {
        usize::try_from(-self.pattern.start).unwrap_or(0)
    }

    /// Takes symbols and correlates as far as they go. NaN counts as an erasure.
    pub fn extend(&mut self, symbols: &[f32]) {
        let clipped = symbols.iter().map(|&x| if x.is_nan() { 0.0 } else { x.clamp(-CLIP, CLIP) });
        self.symbols.extend(clipped);
        self.correlate();
    }

    /// The run has ended: `count` erasures follow.
    pub fn pad(&mut self, count: usize) {
        self.symbols.resize(self.symbols.len() + count, 0.0);
        self.correlate();
    }

    /// Forgets everything before a position.
    pub fn forget(&mut self, position: u64) {
        let count = usize::try_from(position.saturating_sub(self.first)).unwrap_or(usize::MAX);
        // The next position's pattern begins up to two symbols before it.
        let count = count.min(self.plain.len().saturating_sub(self.plain_start()));
        // Moving what remains is worth it only now and then.
        if count > 4096 && count > self.symbols.len() / 2 {
            self.symbols.drain(..count);
            self.plain.drain(..count);
            self.alternating.drain(..count);
            self.first += count as u64;
        }
    }

    /// How well a sync word at a position agrees; 0 where nothing is known.
    pub fn found(&self, position: u64) -> Found {
        let nothing = Found { strength: 0.0, sign: 1.0, alternating: false };
        let Some(index) = position.checked_sub(self.first) else { return nothing };
        let index = usize::try_from(index).unwrap_or(usize::MAX);
        let (Some(&plain), Some(&other)) = (self.plain.get(index), self.alternating.get(index))
        else {
            return nothing;
        };
        let alternating = self.pattern.alternates && other.abs() > plain.abs();
        let rho = if alternating { other } else { plain };
        Found { strength: rho.abs(), sign: if rho < 0.0 { -1.0 } else { 1.0 }, alternating }
    }

    /// Signed ρ of one variant at a position.
    pub fn rho(&self, position: u64, alternating: bool) -> f32 {
        let values = if alternating { &self.alternating } else { &self.plain };
        position
            .checked_sub(self.first)
            .and_then(|index| values.get(usize::try_from(index).ok()?))
            .copied()
            .unwrap_or(0.0)
    }

    /// At most `count` symbols from a position on.
    pub fn symbols(&self, position: u64, count: usize) -> &[f32] {
        let from = usize::try_from(position.saturating_sub(self.first)).unwrap_or(usize::MAX);
        let from = from.min(self.symbols.len());
        let to = from.saturating_add(count).min(self.symbols.len());
        &self.symbols[from..to]
    }

    /// The first position of `from..to` whose sync word is stronger than `threshold`.
    pub fn next_above(&self, from: u64, to: u64, threshold: f32) -> Option<u64> {
        let index = |position: u64| {
            usize::try_from(position.saturating_sub(self.first))
                .unwrap_or(usize::MAX)
                .min(self.plain.len())
        };
        let (a, b) = (index(from), index(to));
        if a >= b {
            return None;
        }
        let hit = self.plain[a..b]
            .iter()
            .zip(&self.alternating[a..b])
            .position(|(plain, other)| plain.abs() > threshold || other.abs() > threshold)?;
        Some(self.first + (a + hit) as u64)
    }

    fn correlate(&mut self) {
        let taps = self.pattern.signs.len();
        loop {
            // The next position, and the place of its pattern's first sign.
            let place = self.plain.len() as isize + self.pattern.start;
            let Ok(place) = usize::try_from(place) else { return };
            let ready = (self.symbols.len() + 1).saturating_sub(place + taps).min(BLOCK);
            if ready == 0 {
                return;
            }
            let mut window = [0.0; WINDOW];
            let received = taps + ready - 1;
            window[..received].copy_from_slice(&self.symbols[place..place + received]);
            let sums = correlate_block(&self.pattern.signs, &window);
            for k in 0..ready {
                let energy = sums.energy[k];
                let scale = if energy > MIN_ENERGY { 1.0 / energy.sqrt() } else { 0.0 };
                self.plain.push((sums.even[k] + sums.odd[k]) * scale);
                let alternating = (sums.even[k] - sums.odd[k]) * scale;
                self.alternating.push(if self.pattern.alternates { alternating } else { 0.0 });
            }
        }
    }
}

/// Sums at [`BLOCK`] positions k: of s_t x_{k+t} over even and over odd t, and of x_{k+t}².
///
/// The order of the additions is the same at every position, whatever the block.
#[derive(Debug, Clone, PartialEq)]
struct Sums {
    even: [f32; BLOCK],
    odd: [f32; BLOCK],
    energy: [f32; BLOCK],
}

fn correlate_block(signs: &[f32], window: &[f32; WINDOW]) -> Sums {
    let mut sums = Sums { even: [0.0; BLOCK], odd: [0.0; BLOCK], energy: [0.0; BLOCK] };
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma") {
        // The only thing unsafe is the call of a function compiled for a wider instruction set,
        // which was detected the line before.
        #[allow(unsafe_code)]
        unsafe {
            correlate_avx2(signs, window, &mut sums);
        }
        return sums;
    }
    correlate_body(signs, window, &mut sums);
    sums
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn correlate_avx2(signs: &[f32], window: &[f32; WINDOW], sums: &mut Sums) {
    correlate_body(signs, window, sums);
}

#[inline(always)]
fn correlate_body(signs: &[f32], window: &[f32; WINDOW], sums: &mut Sums) {
    for group in (0..BLOCK).step_by(LANES) {
        let (mut even, mut odd) = ([0.0f32; LANES], [0.0f32; LANES]);
        for (pair, signs) in signs.chunks(2).enumerate() {
            let from = group + 2 * pair;
            let first = &window[from..from + LANES];
            for k in 0..LANES {
                even[k] += signs[0] * first[k];
            }
            if let Some(sign) = signs.get(1) {
                let second = &window[from + 1..from + 1 + LANES];
                for k in 0..LANES {
                    odd[k] += sign * second[k];
                }
            }
        }
        sums.even[group..group + LANES].copy_from_slice(&even);
        sums.odd[group..group + LANES].copy_from_slice(&odd);
    }
    // Σ of n squares by the binary digits of n: sums of 1, 2, 4 … squares, each from the last.
    let mut squares = window.map(|x| x * x);
    let (mut length, mut done) = (1, 0);
    while length <= signs.len() {
        if signs.len() & length != 0 {
            for k in 0..BLOCK {
                sums.energy[k] += squares[k + done];
            }
            done += length;
        }
        for k in 0..WINDOW - length {
            squares[k] += squares[k + length];
        }
        length *= 2;
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    const ASM: [u8; 4] = [0x1A, 0xCF, 0xFC, 0x1D];

    #[test]
    fn the_pattern_is_what_a_transmitter_sends() {
        for precoding in [false, true] {
            for convolution in [None, Some(Convention::Ccsds), Some(Convention::NasaDsn)] {
                for mapping in [Mapping::Direct, Mapping::Differential] {
                    // Two different pasts; the sync word after 40 bits of them.
                    for past in [0x55u8, 0x0Fu8, 0xE1] {
                        for inverted in [0u8, 1] {
                            let line = Line { precoding, convolution, mapping };
                            check(line, past, inverted);
                        }
                    }
                }
            }
        }
    }

    fn check(line: Line, past: u8, inverted: u8) {
        let mut data = Vec::new();
        bits::unpack_msb_first(&[past; 5], &mut data);
        bits::unpack_msb_first(&ASM, &mut data);
        bits::unpack_msb_first(&[past; 10], &mut data);
        if line.precoding {
            data = accumulate(&data)[1..].to_vec();
        }
        let mut at = 40;
        if let Some(convention) = line.convolution {
            let mut coded = Vec::new();
            ConvolutionalEncoder::new(convention).encode(&data, &mut coded);
            data = coded;
            at *= 2;
        }
        for bit in &mut data {
            *bit ^= inverted;
        }
        if line.mapping == Mapping::Differential {
            data = accumulate(&data)[1..].to_vec();
        }
        let pattern = SyncPattern::new(&ASM, line);
        let length = pattern.length;
        let known = pattern.signs.len() as f32;
        let mut buffer = SyncBuffer::new(pattern);
        let symbols: Vec<f32> = data.iter().map(|&b| 3.0 - 6.0 * f32::from(b)).collect();
        for piece in symbols.chunks(7) {
            buffer.extend(piece);
        }
        let position = at as u64 + buffer.lead as u64;
        let found = buffer.found(position);
        assert!((found.strength - known.sqrt()).abs() < 1e-3, "{line:?} {found:?}");
        assert!(buffer.next_above(0, buffer.end(), found.strength - 0.01) == Some(position));
        // The symbols of the sync word's second half, as if they followed it, come out upright.
        let mut out = Vec::new();
        buffer.pattern().upright(found, buffer.symbols(position + length as u64, 20), &mut out);
        let channel = |k: usize| data[k] ^ if k == 0 { 0 } else { data[k - 1] };
        if line.mapping == Mapping::Differential && !line.precoding {
            let mut phase = 0;
            for (k, &symbol) in out.iter().enumerate() {
                phase ^= channel(at + length + k) ^ inverted;
                assert_eq!(symbol < 0.0, phase == 1, "{line:?} {past} {inverted} {k}");
            }
        } else if line.mapping == Mapping::Direct && !line.precoding {
            for (k, &symbol) in out.iter().enumerate() {
                assert_eq!(symbol < 0.0, data[at + length + k] ^ inverted == 1);
            }
        }
    }

    #[test]
    fn agrees_with_the_obvious_sums_in_both_instruction_sets() {
        let mut state = 1u32;
        let window: [f32; WINDOW] = std::array::from_fn(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 16) as f32 / 32768.0 - 1.0
        });
        for taps in [1, 2, 31, 32, 33, 53, 64, 65, 66] {
            let signs: Vec<f32> = (0..taps).map(|t| [1.0, -1.0, -1.0][t % 3]).collect();
            let sums = correlate_block(&signs, &window);
            let zero = [0.0; BLOCK];
            let mut portable = Sums { even: zero, odd: zero, energy: zero };
            correlate_body(&signs, &window, &mut portable);
            assert_eq!(sums, portable);
            for k in 0..BLOCK {
                let (mut even, mut odd, mut energy) = (0.0f64, 0.0f64, 0.0f64);
                for t in 0..taps {
                    let x = f64::from(window[k + t]);
                    let sum = if t % 2 == 0 { &mut even } else { &mut odd };
                    *sum += f64::from(signs[t]) * x;
                    energy += x * x;
                }
                assert!((f64::from(sums.even[k]) - even).abs() < 1e-4);
                assert!((f64::from(sums.odd[k]) - odd).abs() < 1e-4);
                assert!((f64::from(sums.energy[k]) - energy).abs() < 1e-4);
            }
        }
    }

    #[test]
    fn rubbish_and_silence_correlate_with_nothing() {
        let line = Line { precoding: false, convolution: None, mapping: Mapping::Differential };
        let mut buffer = SyncBuffer::new(SyncPattern::new(&ASM, line));
        buffer.extend(&[f32::NAN; 100]);
        buffer.extend(&[0.0; 100]);
        buffer.extend(&[f32::INFINITY; 100]);
        buffer.extend(&[f32::NEG_INFINITY, f32::NAN, 1e38, -1e-40]);
        buffer.pad(100);
        for position in 0..buffer.end() {
            let found = buffer.found(position);
            assert!(found.strength < 3.0, "{position} {found:?}");
        }
    }
}
