//! Bits from samples at the symbol instants: sequence detection with a model of the channel that
//! is estimated from the decisions.
//!
//! With a ∈ ±1 (bit 1 = +1), the sample m_k of symbol k is taken as
//!
//! ```text
//! m_k = d + Σ_{j=-2}^{1} h_j a_{k-j} + Σ_{i=1}^{2} f_i m_{k-i} + e_k
//! ```
//!
//! with the offset d, the intersymbol interference h of transmitter and receiver, the noise's
//! colour f (a discriminator's noise grows with frequency), and white e of variance σ². All of
//! them come from a least-squares fit to the decisions of a window of some 256 symbols; the first
//! decisions are made against the middle between the two clusters of samples. The bits are then
//! found by a trellis of 8 states (max-log-MAP, forwards and backwards), and all is done again.
//! The metric of a sample is bounded, since a discriminator's noise has clicks.

use std::ops::Range;

/// Regressors: 1, a_{k+1}, a_k, a_{k-1}, a_{k-2}, m_{k-1}, m_{k-2}.
const UNKNOWNS: usize = 7;
const STATES: usize = 8;
/// Fits; decisions are made anew after each.
const FITS: usize = 2;
/// Bound of a sample's metric e²/2σ².
const METRIC_BOUND: f32 = 12.0;
/// Samples are bounded to this times the amplitude in the fit, so that no click rules it.
const SAMPLE_BOUND: f32 = 3.0;
/// Prior weight, in symbols, of the model without memory.
const PRIOR_SYMBOLS: f64 = 3.0;

/// What was estimated on the way.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Eye {
    /// Energy of a symbol in the model over twice its noise variance.
    pub esn0_db: f32,
    /// Middle between the levels of long runs of 0 and 1.
    pub offset: f32,
    /// Half the distance of those levels.
    pub deviation: f32,
}

/// Storage that detections share.
#[derive(Debug, Clone, Default)]
pub(super) struct Workspace {
    /// ±1 a symbol, +1 for bit 1.
    decisions: Vec<f32>,
    /// Samples against the middle, in units of the amplitude, bounded.
    centred: Vec<f32>,
    sorted: Vec<f32>,
    branches: Vec<[f32; 2 * STATES]>,
    forward: Vec<[f32; STATES]>,
    llr: Vec<f32>,
}

#[derive(Debug, Clone, Copy)]
struct Model {
    offset: f32,
    /// Of a_{k+1}, a_k, a_{k-1}, a_{k-2}.
    taps: [f32; 4],
    /// Of m_{k-1}, m_{k-2}.
    memory: [f32; 2],
    variance: f32,
}

/// Decides the symbols of `samples`; `training` is the part of it that the model is estimated
/// from, and appends the log-likelihood ratios (positive = bit 0) of `wanted` to `out`.
pub(super) fn detect(
    samples: &[f32],
    training: Range<usize>,
    wanted: Range<usize>,
    workspace: &mut Workspace,
    out: &mut Vec<f32>,
) -> Eye {
    let wanted = wanted.start.min(samples.len())..wanted.end.min(samples.len());
    let mut training = training.start.min(samples.len())..training.end.min(samples.len());
    if training.len() < 8 {
        training = 0..samples.len();
    }
    let (low, high) = clusters(&samples[training.clone()], &mut workspace.sorted);
    let (middle, amplitude) = (0.5 * (low + high), (0.5 * (high - low)).max(1e-9));
    workspace.decisions.clear();
    workspace.decisions.extend(samples.iter().map(|m| if *m > middle { 1.0 } else { -1.0 }));
    workspace.centred.clear();
    workspace.centred.extend(
        samples.iter().map(|m| ((m - middle) / amplitude).clamp(-SAMPLE_BOUND, SAMPLE_BOUND)),
    );
    let mut model = Model::without_memory(middle, amplitude);
    for _ in 0..FITS {
        let decisions = &workspace.decisions;
        model = fit(&workspace.centred, decisions, training.clone(), middle, amplitude);
        trellis(samples, &model, workspace);
        for (decision, llr) in workspace.decisions.iter_mut().zip(&workspace.llr) {
            *decision = if *llr > 0.0 { -1.0 } else { 1.0 };
        }
    }
    out.extend_from_slice(&workspace.llr[wanted]);
    let energy: f32 = model.taps.iter().map(|h| h * h).sum();
    let static_gain = (1.0 - model.memory[0] - model.memory[1]).max(0.1);
    Eye {
        esn0_db: (10.0 * (energy / (2.0 * model.variance)).log10()).clamp(-20.0, 60.0),
        offset: model.offset / static_gain,
        deviation: model.taps.iter().sum::<f32>().abs().max(1e-9) / static_gain,
    }
}

/// Centres of the two clusters of `samples` (medians of both sides of the middle between them).
fn clusters(samples: &[f32], sorted: &mut Vec<f32>) -> (f32, f32) {
    sorted.clear();
    sorted.extend_from_slice(samples);
    sorted.sort_unstable_by(f32::total_cmp);
    let n = sorted.len();
    if n < 2 {
        return (-1.0, 1.0);
    }
    let (mut low, mut high) = (sorted[n / 10], sorted[n - 1 - n / 10]);
    for _ in 0..6 {
        let split = sorted.partition_point(|x| *x <= 0.5 * (low + high));
        if split == 0 || split == n {
            break;
        }
        (low, high) = (sorted[split / 2], sorted[split + (n - split) / 2]);
    }
    (low, high)
}

impl Model {
    fn without_memory(offset: f32, amplitude: f32) -> Self {
        Self {
            offset,
            taps: [0.0, amplitude, 0.0, 0.0],
            memory: [0.0; 2],
            variance: amplitude * amplitude,
        }
    }
}

/// Least squares; see the module. The sums over products of two of the regressors depend on their
/// distance alone (but for a symbol or two at the edges), so that 15 correlations are enough.
fn fit(
    centred: &[f32],
    decisions: &[f32],
    training: Range<usize>,
    middle: f32,
    amplitude: f32,
) -> Model {
    let start = training.start.max(3);
    let end = training.end.min(centred.len().saturating_sub(3));
    if end < start + 2 * UNKNOWNS {
        return Model::without_memory(middle, amplitude);
    }
    // Σ x_k y_{k+lag}
    let correlation = |x: &[f32], y: &[f32], lag: isize| -> f64 {
        let from = start.wrapping_add_signed(lag);
        f64::from(dot(&x[start..end], &y[from..from + (end - start)]))
    };
    let sum = |x: &[f32]| -> f64 { f64::from(x[start..end].iter().sum::<f32>()) };
    let count = (end - start) as f64;
    let bits: [f64; 4] = std::array::from_fn(|l| correlation(decisions, decisions, l as isize));
    let noise: [f64; 3] = std::array::from_fn(|l| correlation(centred, centred, l as isize));
    // cross[l] = Σ m_k a_{k + l - 2}
    let cross: [f64; 6] = std::array::from_fn(|l| correlation(centred, decisions, l as isize - 2));
    let (sum_bits, sum_samples) = (sum(decisions), sum(centred));

    let mut matrix = [[0.0f64; UNKNOWNS]; UNKNOWNS];
    let mut vector = [0.0f64; UNKNOWNS];
    // Regressors 1..=4 are a at lags 1, 0, -1, -2; 5 and 6 are m at lags -1, -2.
    matrix[0][0] = count;
    vector[0] = sum_samples;
    for i in 1..UNKNOWNS {
        let mean = if i < 5 { sum_bits } else { sum_samples };
        matrix[0][i] = mean;
        matrix[i][0] = mean;
        for j in 1..UNKNOWNS {
            matrix[i][j] = match (i < 5, j < 5) {
                (true, true) => bits[i.abs_diff(j)],
                (false, false) => noise[i.abs_diff(j)],
                // a_{k+2-i} with m_{k+4-j}: the bit lies (2 - i) - (4 - j) after the sample.
                (true, false) => cross[j - i],
                (false, true) => cross[i - j],
            };
        }
        vector[i] = if i < 5 { cross[4 - i] } else { noise[i - 4] };
    }
    let explained_before = noise[0];
    for (i, row) in matrix.iter_mut().enumerate() {
        row[i] += PRIOR_SYMBOLS;
    }
    vector[2] += PRIOR_SYMBOLS;
    let Some(x) = solve(matrix, vector) else {
        return Model::without_memory(middle, amplitude);
    };
    // Σe² = Σy² - x·(2v - Ax), the prior counted as symbols without error.
    let total = explained_before + PRIOR_SYMBOLS;
    let explained: f64 = x.iter().zip(&vector).map(|(x, v)| x * v).sum();
    let variance = ((total - explained) / count).max(1e-4) as f32;
    let x = x.map(|x| x as f32);
    Model {
        offset: amplitude * x[0] + middle * (1.0 - x[5] - x[6]),
        taps: std::array::from_fn(|i| amplitude * x[1 + i]),
        memory: [x[5], x[6]],
        variance: if variance.is_finite() { variance } else { 1.0 } * amplitude * amplitude,
    }
}

/// Sum of products, in eight partial sums for the compiler to make vectors of.
fn dot(x: &[f32], y: &[f32]) -> f32 {
    let mut sums = [0.0f32; 8];
    let (x8, x_rest) = x.as_chunks::<8>();
    let (y8, y_rest) = y.as_chunks::<8>();
    for (x, y) in x8.iter().zip(y8) {
        for i in 0..8 {
            sums[i] += x[i] * y[i];
        }
    }
    sums.iter().sum::<f32>() + x_rest.iter().zip(y_rest).map(|(x, y)| x * y).sum::<f32>()
}

/// Gauss's elimination of a symmetric positive definite system.
fn solve(
    mut matrix: [[f64; UNKNOWNS]; UNKNOWNS],
    mut vector: [f64; UNKNOWNS],
) -> Option<[f64; UNKNOWNS]> {
    for i in 0..UNKNOWNS {
        let pivot = matrix[i][i];
        if !(pivot > 0.0 && pivot.is_finite()) {
            return None;
        }
        for row in i + 1..UNKNOWNS {
            let factor = matrix[row][i] / pivot;
            let above = matrix[i];
            for (cell, above) in matrix[row].iter_mut().zip(above).skip(i) {
                *cell -= factor * above;
            }
            vector[row] -= factor * vector[i];
        }
    }
    for i in (0..UNKNOWNS).rev() {
        let sum: f64 = (i + 1..UNKNOWNS).map(|j| matrix[i][j] * vector[j]).sum();
        vector[i] = (vector[i] - sum) / matrix[i][i];
    }
    vector.iter().all(|v| v.is_finite()).then_some(vector)
}

/// Log-likelihood ratios of all symbols into the workspace.
///
/// The state before step k is (a_{k-2}, a_{k-1}, a_k), newest bit lowest; step k adds a_{k+1} and
/// makes the pattern of four bits whose level is compared with sample k. Metrics are not
/// normalised: a few hundred steps of at most [`METRIC_BOUND`] each.
fn trellis(samples: &[f32], model: &Model, workspace: &mut Workspace) {
    let n = samples.len();
    let Workspace { branches, forward, llr, .. } = workspace;
    llr.clear();
    llr.resize(n, 0.0);
    if n < 2 {
        return;
    }
    let scale = (0.5 / model.variance).sqrt();
    let mut levels = [0.0f32; 2 * STATES];
    for (pattern, level) in levels.iter_mut().enumerate() {
        *level = model.offset;
        for (j, h) in model.taps.iter().enumerate() {
            *level += if pattern >> j & 1 == 1 { *h } else { -*h };
        }
        *level *= scale;
    }
    branches.clear();
    let (mut before, mut long_before) = (samples[0], samples[0]);
    branches.extend(samples[..n - 1].iter().map(|m| {
        let x = (m - model.memory[0] * before - model.memory[1] * long_before) * scale;
        long_before = before;
        before = *m;
        let mut metrics = [0.0f32; 2 * STATES];
        for (metric, level) in metrics.iter_mut().zip(&levels) {
            let e = x - level;
            let square = e * e;
            *metric = if square < METRIC_BOUND { -square } else { -METRIC_BOUND };
        }
        metrics
    }));
    // forward[k]: best metric of paths into each state before step k.
    forward.clear();
    let mut from = [0.0f32; STATES];
    for branch in branches.iter() {
        forward.push(from);
        let mut next = [0.0f32; STATES];
        for s in 0..STATES {
            // The two patterns that end in state s: its oldest bit was 0 or 1.
            next[s] = larger(from[s >> 1] + branch[s], from[s >> 1 | 4] + branch[s | STATES]);
        }
        from = next;
    }
    let mut backward = [0.0f32; STATES];
    for k in (0..n - 1).rev() {
        let (from, branch) = (&forward[k], &branches[k]);
        let mut tails = [0.0f32; 2 * STATES];
        for s in 0..STATES {
            tails[s] = branch[s] + backward[s];
            tails[s | STATES] = branch[s | STATES] + backward[s];
        }
        let mut zeros = [0.0f32; STATES];
        let mut ones = [0.0f32; STATES];
        for s in 0..STATES {
            let (zero, one) = (tails[2 * s], tails[2 * s + 1]);
            zeros[s] = from[s] + zero;
            ones[s] = from[s] + one;
            backward[s] = larger(zero, one);
        }
        llr[k + 1] = largest(zeros) - largest(ones);
    }
    // The first symbol has no step of its own: it is the state's newest bit before step 0.
    let best =
        |bit: usize| (0..STATES / 2).map(|s| backward[2 * s + bit]).fold(f32::NEG_INFINITY, larger);
    llr[0] = best(0) - best(1);
}

fn larger(a: f32, b: f32) -> f32 {
    if a > b { a } else { b }
}

fn largest(x: [f32; STATES]) -> f32 {
    let four: [f32; 4] = std::array::from_fn(|i| larger(x[i], x[i + 4]));
    larger(larger(four[0], four[2]), larger(four[1], four[3]))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use rand::Rng;
    use rand_distr::StandardNormal;

    use super::super::test_signals::{random_bits, seeded};
    use super::*;

    fn channel(model: &Model, bits: &[u8], seed: u64) -> Vec<f32> {
        let mut rng = seeded(seed);
        let level = |k: usize| if bits[k.min(bits.len() - 1)] == 1 { 1.0 } else { -1.0 };
        let mut samples: Vec<f32> = Vec::new();
        for k in 0..bits.len() {
            let noise: f32 = rng.sample(StandardNormal);
            let mut m = model.offset + noise * model.variance.sqrt();
            for (j, h) in model.taps.iter().enumerate() {
                m += h * level((k + 1).saturating_sub(j));
            }
            for (i, f) in model.memory.iter().enumerate() {
                m += f * if k > i { samples[k - 1 - i] } else { 0.0 };
            }
            samples.push(m);
        }
        samples
    }

    const MODEL: Model =
        Model { offset: 0.5, taps: [0.3, 1.0, 0.35, -0.1], memory: [-0.4, 0.15], variance: 0.05 };

    #[test]
    fn trellis_equals_the_best_of_all_sequences() {
        const N: usize = 9;
        let samples = channel(&MODEL, &random_bits(N, &mut seeded(1)), 2);
        let mut workspace = Workspace::default();
        trellis(&samples, &MODEL, &mut workspace);
        // Two more bits lie before the first symbol.
        let mut best = [[f32::NEG_INFINITY; 2]; N];
        for sequence in 0..1usize << (N + 2) {
            let a = |k: usize| if sequence >> k & 1 == 1 { 1.0 } else { -1.0 };
            let mut metric = 0.0;
            for k in 0..N - 1 {
                let m = |i: usize| if k >= i { samples[k - i] } else { samples[0] };
                let mut e = m(0) - MODEL.offset - MODEL.memory[0] * m(1) - MODEL.memory[1] * m(2);
                for (j, h) in MODEL.taps.iter().enumerate() {
                    e -= h * a(k + 3 - j);
                }
                metric -= (e * e / (2.0 * MODEL.variance)).min(METRIC_BOUND);
            }
            for (k, best) in best.iter_mut().enumerate() {
                let bit = sequence >> (k + 2) & 1;
                best[bit] = best[bit].max(metric);
            }
        }
        for (k, best) in best.iter().enumerate() {
            let difference = workspace.llr[k] - (best[0] - best[1]);
            assert!(difference.abs() < 1e-2, "symbol {k}: {difference}");
        }
    }

    #[test]
    fn fit_finds_the_channel() {
        let bits = random_bits(6000, &mut seeded(3));
        let samples = channel(&MODEL, &bits, 4);
        let decisions: Vec<f32> = bits.iter().map(|b| f32::from(*b) * 2.0 - 1.0).collect();
        let (middle, amplitude) = (0.3, 0.9);
        let centred: Vec<f32> = samples.iter().map(|m| (m - middle) / amplitude).collect();
        let found = fit(&centred, &decisions, 0..6000, middle, amplitude);
        assert!((found.offset - MODEL.offset).abs() < 0.03, "{found:?}");
        for (a, b) in found.taps.iter().zip(&MODEL.taps) {
            assert!((a - b).abs() < 0.03, "{found:?}");
        }
        for (a, b) in found.memory.iter().zip(&MODEL.memory) {
            assert!((a - b).abs() < 0.03, "{found:?}");
        }
        assert!((found.variance - MODEL.variance).abs() < 0.01, "{found:?}");
    }

    #[test]
    fn detection_takes_out_the_interference() {
        let bits = random_bits(500, &mut seeded(5));
        let samples = channel(&MODEL, &bits, 6);
        let (mut llr, mut workspace) = (Vec::new(), Workspace::default());
        let eye = detect(&samples, 50..450, 0..500, &mut workspace, &mut llr);
        let wrong = llr.iter().zip(&bits).filter(|(l, b)| (**l < 0.0) != (**b == 1)).count();
        assert!(wrong <= 1, "{wrong} wrong");
        assert!((eye.esn0_db - 11.0).abs() < 1.5, "{eye:?}");
    }

    #[test]
    fn odd_lengths_are_taken() {
        for n in 0..40 {
            let samples: Vec<f32> = (0..n).map(|k| (k % 3) as f32).collect();
            let (mut llr, mut workspace) = (Vec::new(), Workspace::default());
            detect(&samples, 0..n, 0..n + 7, &mut workspace, &mut llr);
            assert_eq!(llr.len(), n);
            assert!(llr.iter().all(|l| l.is_finite()));
        }
    }
}
