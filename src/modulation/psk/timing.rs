//! Symbol timing, feed-forward, with a search over the symbol rate.
//!
//! On a grid of four points per nominal symbol, blocks of 32 symbols give phasors of the
//! symbol-rate line (M. Oerder and H. Meyr, IEEE Trans. Commun. 36, 1988, p. 605):
//! `C_b = Σ |y_n|² e^{-jπn/2}`; for MSK-type signals `C_b = P₊ P₋*`, `P± = Σ y_n² e^{∓jπn/4}`, in
//! which the carrier drops out (M. Morelli and U. Mengali, IEEE Trans. Commun. 47, 1999, p. 938).
//! A rate error ρ turns C_b steadily. Over Hann windows of blocks the rate is searched first for
//! all windows together, then refined in each; the phase at the best rate is the timing. No noisy
//! block phase is ever unwrapped. Blocks are put together from pieces of 8 symbols, which can be turned
//! against each other beforehand: so the same search finds clocks far from the nominal rate.
//!
//! The symbol clock is `u(n) = n/4 + e(n)`, e in symbols; symbols stand where u is whole.

use std::f64::consts::TAU;

use num_complex::{Complex32, Complex64};

use super::matched_filter::{GRID, Track};

/// Symbols per block.
pub const BLOCK_SYMBOLS: usize = 32;
/// Symbols per piece of a block.
const PIECE_SYMBOLS: usize = 8;
/// Pieces per block.
const PIECES: usize = BLOCK_SYMBOLS / PIECE_SYMBOLS;
/// The symbol rate is searched within ± this of each of [`RATE_CENTRES`].
pub const RATE_SEARCH: f64 = 4500e-6;
/// Deviations of the symbol rate around which it is searched.
const RATE_CENTRES: [f64; 5] = [0.0, -0.009, 0.009, -0.018, 0.018];
/// A rate far from the nominal one must be so much stronger.
const FAR_ADVANTAGE: f64 = 1.3;
/// The windows of one piece differ by no more than ± this in rate.
const RATE_REFINE: f64 = 300e-6;
/// Fractional positions of the interpolator between grid points.
const FRACTIONS: usize = 256;
/// Points that the interpolator uses.
const TAPS: usize = 6;

/// Timing error over grid index, and the symbol rate's deviation.
#[derive(Debug, Clone, PartialEq)]
pub struct Clock {
    /// e(n), in symbols, over grid index relative to the slice.
    pub error: Track,
    /// Deviation of the symbol rate from the nominal one, relative: the median of the windows.
    pub rate: f64,
}

/// Estimates the clock of `grid` over Hann windows of `window_blocks` blocks.
pub fn estimate(grid: &[Complex32], msk: bool, window_blocks: usize) -> Clock {
    let pieces = if msk { Pieces::Msk(msk_phasors(grid)) } else { Pieces::Psk(psk_phasors(grid)) };
    let count = pieces.count().div_ceil(PIECES);
    let block = (BLOCK_SYMBOLS * GRID) as f64;
    let mut clock = Clock { error: Track::default(), rate: 0.0 };
    if count == 0 {
        return clock;
    }
    let single = 2 * count < 3 * window_blocks;
    let length = if single { count } else { window_blocks };
    let hop = (length / 4).max(1);
    let weight: Vec<f64> = (0..length)
        .map(|i| {
            let x = (i as f64 + 0.5) / length as f64;
            if single { 1.0 } else { 0.5 - 0.5 * (TAU * x).cos() }
        })
        .collect();
    let mut starts: Vec<usize> =
        (0..).map(|i| i * hop).take_while(|s| s + length <= count).collect();
    if starts.last().is_some_and(|s| s + length < count) {
        starts.push(count - length);
    }

    // One rate for all windows, around each centre.
    let reach = RATE_SEARCH * BLOCK_SYMBOLS as f64;
    let points = ((reach * length as f64 * 3.0).ceil() as i32).max(1);
    // Far more windows than are needed to find it would only cost time.
    let sparse = starts.len().div_ceil(64).max(1);
    let (mut centre, mut common, mut strength) = (0.0, 0.0, f64::MIN);
    let mut phasors = Vec::with_capacity(count);
    let mut chosen = Vec::new();
    for candidate in RATE_CENTRES {
        pieces.blocks(candidate, &mut phasors);
        let power = |rate: f64| -> f64 {
            let windows = starts.iter().step_by(sparse);
            windows.map(|s| line(&phasors[*s..], &weight, rate).norm_sqr()).sum()
        };
        let (rate, value) = peak(&power, 0.0, reach, points);
        let needed = if strength > 0.0 { strength * FAR_ADVANTAGE } else { f64::MIN };
        if value > needed && (value > 0.0 || candidate == 0.0) {
            // The first, nominal one is the standard that the others are held against.
            strength = if candidate == 0.0 { value } else { value / FAR_ADVANTAGE };
            (centre, common) = (candidate, rate);
            std::mem::swap(&mut chosen, &mut phasors);
        }
    }
    let phasors = chosen;

    let refine = RATE_REFINE * BLOCK_SYMBOLS as f64;
    let points = ((refine * length as f64 * 3.0).ceil() as i32).max(1);
    let mut rates = Vec::with_capacity(starts.len());
    let mut last: Option<(f64, f64, f64)> = None;
    for &start in &starts {
        let window = &phasors[start..];
        let power = |rate: f64| line(window, &weight, rate).norm_sqr();
        let (best, _) = peak(&power, common, refine, points);
        let best = best.clamp(common - refine, common + refine);
        let slope = best / block; // symbols per grid point
        let at = (start as f64 + 0.5 * length as f64) * block;
        let mut error = line(window, &weight, best).arg() / TAU;
        if let Some((at0, error0, slope0)) = last {
            let predicted = error0 + 0.5 * (slope0 + slope) * (at - at0);
            error += (predicted - error).round();
        } else {
            let before = 0.5 * length as f64 * block + block;
            let at = at - before;
            clock.error.add(at, error - slope * before + centre * at / GRID as f64);
        }
        clock.error.add(at, error + centre * at / GRID as f64);
        rates.push(centre + best / BLOCK_SYMBOLS as f64);
        last = Some((at, error, slope));
    }
    if let Some((at, error, slope)) = last {
        let after = (length + 2) as f64 * block;
        let at = at + after;
        clock.error.add(at, error + slope * after + centre * at / GRID as f64);
    }
    rates.sort_by(f64::total_cmp);
    clock.rate = rates.get(rates.len() / 2).copied().unwrap_or(0.0);
    clock
}

/// Phasors of pieces of 8 symbols.
enum Pieces {
    /// Σ |y_n|² e^{-jπn/2}
    Psk(Vec<Complex64>),
    /// P₊ and P₋
    Msk(Vec<[Complex64; 2]>),
}

impl Pieces {
    fn count(&self) -> usize {
        match self {
            Pieces::Psk(pieces) => pieces.len(),
            Pieces::Msk(pieces) => pieces.len(),
        }
    }

    /// Puts blocks together, as if the symbol rate deviated by `centre` less.
    fn blocks(&self, centre: f64, out: &mut Vec<Complex64>) {
        // Cycles of the symbol-rate line at the middle of a piece.
        let cycles =
            |b: usize, i: usize| centre * ((b * PIECES + i) as f64 + 0.5) * PIECE_SYMBOLS as f64;
        out.clear();
        match self {
            Pieces::Psk(pieces) => {
                out.extend(pieces.chunks(PIECES).enumerate().map(|(b, chunk)| {
                    let turned = chunk.iter().enumerate();
                    turned.map(|(i, c)| c * Complex64::cis(-TAU * cycles(b, i))).sum::<Complex64>()
                }))
            }
            // Each of the two lines turns by half of it.
            Pieces::Msk(pieces) => {
                out.extend(pieces.chunks(PIECES).enumerate().map(|(b, chunk)| {
                    let (mut plus, mut minus) = (Complex64::default(), Complex64::default());
                    for (i, lines) in chunk.iter().enumerate() {
                        let turn = Complex64::cis(-0.5 * TAU * cycles(b, i));
                        plus += lines[0] * turn;
                        minus += lines[1] * turn.conj();
                    }
                    plus * minus.conj()
                }))
            }
        }
    }
}

/// Phasor of a window at a rate (cycles per block), referred to the window's middle.
fn line(phasors: &[Complex64], weight: &[f64], rate: f64) -> Complex64 {
    let middle = 0.5 * (weight.len() as f64 - 1.0);
    let step = Complex64::cis(-TAU * rate);
    let mut turn = Complex64::cis(TAU * rate * middle);
    let mut sum = Complex64::default();
    for (c, w) in phasors.iter().zip(weight) {
        sum += c * turn * *w;
        turn *= step;
    }
    sum
}

/// Where `f` is largest within `centre` ± `reach`, and its value on the grid of `points` to either
/// side; between them by a parabola.
fn peak(f: &dyn Fn(f64) -> f64, centre: f64, reach: f64, points: i32) -> (f64, f64) {
    let step = reach / f64::from(points);
    let value = |i: i32| f(centre + step * f64::from(i));
    let mut best = (0, f64::MIN);
    for i in -points..=points {
        let v = value(i);
        if v > best.1 {
            best = (i, v);
        }
    }
    let (i, v) = best;
    let (a, c) = (value(i - 1), value(i + 1));
    let curve = 2.0 * v - a - c;
    let fine = if curve > 0.0 { (0.5 * (c - a) / curve).clamp(-0.5, 0.5) } else { 0.0 };
    (centre + step * (f64::from(i) + fine), v)
}

fn psk_phasors(grid: &[Complex32]) -> Vec<Complex64> {
    // e^{-jπn/2} repeats every 4 points, the piece's length is a multiple of 4.
    grid.chunks(PIECE_SYMBOLS * GRID)
        .map(|block| {
            let mut sum = [0.0f32; 4];
            for y in block.chunks_exact(4) {
                for (s, y) in sum.iter_mut().zip(y) {
                    *s += y.norm_sqr();
                }
            }
            Complex64::new(f64::from(sum[0] - sum[2]), f64::from(sum[3] - sum[1]))
        })
        .collect()
}

fn msk_phasors(grid: &[Complex32]) -> Vec<[Complex64; 2]> {
    let table: Vec<Complex32> =
        (0..8).map(|i| Complex32::cis(-(TAU as f32) * i as f32 / 8.0)).collect();
    grid.chunks(PIECE_SYMBOLS * GRID)
        .map(|block| {
            let (mut plus, mut minus) = (Complex32::default(), Complex32::default());
            for (i, y) in block.iter().enumerate() {
                let turn = table[i & 7];
                let square = y * y;
                plus += square * turn;
                minus += square * turn.conj();
            }
            [plus, minus].map(|p| Complex64::new(f64::from(p.re), f64::from(p.im)))
        })
        .collect()
}

/// Six-point Lagrange interpolation at tabulated fractions.
#[derive(Debug, Clone)]
pub struct Interpolator {
    weights: Vec<[f32; TAPS]>,
}

impl Interpolator {
    /// Tabulates the weights.
    pub fn new() -> Self {
        let weights = (0..=FRACTIONS)
            .map(|f| {
                let x = f as f64 / FRACTIONS as f64;
                std::array::from_fn(|k| {
                    let k = k as f64 - 2.0;
                    (0..TAPS)
                        .map(|j| j as f64 - 2.0)
                        .filter(|j| *j != k)
                        .map(|j| (x - j) / (k - j))
                        .product::<f64>() as f32
                })
            })
            .collect();
        Self { weights }
    }

    /// The symbols of `grid` at the ticks of `clock`, and their grid positions.
    pub fn symbols(
        &self,
        grid: &[Complex32],
        clock: &Clock,
        symbols: &mut Vec<Complex32>,
        positions: &mut Vec<f64>,
    ) {
        symbols.clear();
        positions.clear();
        if grid.len() < TAPS + 2 {
            return;
        }
        let end = grid.len() as f64 - 4.0;
        let quarter = 1.0 / GRID as f64;
        let track = &clock.error;
        let mut piece = 0;
        let mut tick = (2.0 * quarter + track.interpolate(2.0)).ceil();
        loop {
            // In the linear piece i: n/4 + e_i + s (n - n_i) = tick.
            let mut position;
            loop {
                let (start, value, slope) = linear(track, piece);
                position = (tick - value + slope * start) / (quarter + slope);
                match track.at.get(piece + 1) {
                    Some(next) if position > *next && piece + 2 < track.at.len() => piece += 1,
                    _ => break,
                }
            }
            tick += 1.0;
            if position >= end || position.is_nan() {
                break;
            }
            if position < 2.0 {
                continue;
            }
            let base = position as usize;
            let fraction = ((position - base as f64) * FRACTIONS as f64 + 0.5) as usize;
            let y = &grid[base - 2..base - 2 + TAPS];
            let mut sum = Complex32::default();
            for (y, w) in y.iter().zip(&self.weights[fraction]) {
                sum += y * w;
            }
            symbols.push(sum);
            positions.push(position);
        }
    }
}

/// Start, value and slope of the track's linear piece `i`.
fn linear(track: &Track, i: usize) -> (f64, f64, f64) {
    match (track.at.get(i), track.at.get(i + 1)) {
        (Some(a), Some(b)) if b > a => {
            // A clock that stands still or runs backwards is no clock.
            let slope = (track.value[i + 1] - track.value[i]) / (b - a);
            (*a, track.value[i], slope.clamp(-0.1, 0.1))
        }
        (Some(a), _) => (*a, track.value[i], 0.0),
        _ => (0.0, 0.0, 0.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::modulation::psk::pulse::Pulse;

    /// A noiseless grid of symbols, `rate` fast, the first in the middle at grid index `offset`.
    fn grid(count: usize, offset: f64, rate: f64) -> (Vec<Complex32>, Vec<f32>) {
        let pulse = Pulse::from_roll_off(0.5);
        let mut state = 7u32;
        let signs: Vec<f32> = (0..count)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                if state >> 31 == 0 { 1.0 } else { -1.0 }
            })
            .collect();
        let period = GRID as f64 / (1.0 + rate);
        let mut out = vec![Complex32::default(); (count as f64 * period) as usize];
        for (k, sign) in signs.iter().enumerate() {
            let middle = offset + k as f64 * period;
            for (n, y) in out.iter_mut().enumerate() {
                let t = (n as f64 - middle) / period;
                if t.abs() < 6.0 {
                    // Raised cosine through the autocorrelation would be exact; the root serves.
                    y.re += sign * pulse.amplitude(t) as f32;
                }
            }
        }
        (out, signs)
    }

    #[test]
    fn offset_and_rate_are_found_over_the_whole_range() {
        for (offset, rate) in [
            (0.0, 0.0),
            (1.7, -3100e-6),
            (3.1, 1945e-6),
            (2.2, 4400e-6),
            (2.2, -8000e-6),
            (0.3, 0.012),
            (2.9, 0.02),
            (1.1, -0.02),
        ] {
            let (grid, signs) = grid(900, offset, rate);
            let clock = estimate(&grid, false, 20);
            assert!((clock.rate - rate).abs() < 40e-6, "{rate}: {}", clock.rate);
            let (mut symbols, mut positions) = (Vec::new(), Vec::new());
            Interpolator::new().symbols(&grid, &clock, &mut symbols, &mut positions);
            let period = GRID as f64 / (1.0 + rate);
            for (x, p) in symbols.iter().zip(&positions).skip(20).take(850) {
                let k = (p - offset) / period;
                assert!((k - k.round()).abs() < 0.06, "{rate}: symbol at {k}");
                assert_eq!(x.re > 0.0, signs[k.round() as usize] > 0.0);
            }
        }
    }

    #[test]
    fn nothing_and_garbage_are_survived() {
        let interpolator = Interpolator::new();
        let (mut symbols, mut positions) = (Vec::new(), Vec::new());
        for count in [0, 1, 7, 100, 3000] {
            for value in [0.0, 1.0, 1e9] {
                for msk in [false, true] {
                    let grid = vec![Complex32::new(value, -value); count];
                    let clock = estimate(&grid, msk, 20);
                    interpolator.symbols(&grid, &clock, &mut symbols, &mut positions);
                }
            }
        }
    }
}
