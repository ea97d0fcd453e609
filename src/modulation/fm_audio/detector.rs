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
const METRIC_BOUND: f32 = 6.0;
/// Prior weight, in symbols, of the model without memory.
const PRIOR_SYMBOLS: f64 = 8.0;

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
    decisions: Vec<i8>,
    sorted: Vec<f32>,
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
    workspace.decisions.extend(samples.iter().map(|m| if *m > middle { 1 } else { -1 }));
    let mut model = Model {
        offset: middle,
        taps: [0.0, amplitude, 0.0, 0.0],
        memory: [0.0; 2],
        variance: amplitude * amplitude,
    };
    for _ in 0..FITS {
        model = fit(samples, &workspace.decisions, training.clone(), middle, amplitude);
        trellis(samples, &model, workspace);
        for (decision, llr) in workspace.decisions.iter_mut().zip(&workspace.llr) {
            *decision = if *llr > 0.0 { -1 } else { 1 };
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

/// Least squares; see the module.
fn fit(
    samples: &[f32],
    decisions: &[i8],
    training: Range<usize>,
    middle: f32,
    amplitude: f32,
) -> Model {
    let start = training.start.max(2);
    let end = training.end.min(samples.len().saturating_sub(1)).max(start);
    // Samples are taken against the middle, so that the prior's offset and memory are 0.
    let row = |k: usize| -> [f32; UNKNOWNS] {
        let a = |i: usize| f32::from(decisions[i]) * amplitude;
        [
            amplitude,
            a(k + 1),
            a(k),
            a(k - 1),
            a(k - 2),
            samples[k - 1] - middle,
            samples[k - 2] - middle,
        ]
    };
    let mut normal = [[0.0f32; UNKNOWNS]; UNKNOWNS];
    let mut right = [0.0f32; UNKNOWNS];
    // A click must not rule the fit: samples are bounded.
    let bound = 3.0 * amplitude;
    for k in start..end {
        let x = row(k);
        let y = (samples[k] - middle).clamp(-bound, bound);
        for i in 0..UNKNOWNS {
            let xi = x[i].clamp(-bound, bound);
            for j in 0..=i {
                normal[i][j] += xi * x[j].clamp(-bound, bound);
            }
            right[i] += xi * y;
        }
    }
    let prior = PRIOR_SYMBOLS * f64::from(amplitude).powi(2);
    let mut matrix = [[0.0f64; UNKNOWNS]; UNKNOWNS];
    let mut vector = [0.0f64; UNKNOWNS];
    for i in 0..UNKNOWNS {
        for j in 0..=i {
            matrix[i][j] = f64::from(normal[i][j]);
            matrix[j][i] = f64::from(normal[i][j]);
        }
        matrix[i][i] += prior;
        vector[i] = f64::from(right[i]);
    }
    vector[2] += prior;
    let solution = solve(matrix, vector).unwrap_or([0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0]);
    let x: [f32; UNKNOWNS] = std::array::from_fn(|i| solution[i] as f32);
    let mut model = Model {
        offset: amplitude * x[0] + middle * (1.0 - x[5] - x[6]),
        taps: std::array::from_fn(|i| amplitude * x[1 + i]),
        memory: [x[5], x[6]],
        variance: 0.0,
    };
    let mut sum = 0.0f32;
    for k in start..end {
        let x = row(k);
        let e = samples[k]
            - model.offset
            - x[1..5].iter().zip(&model.taps).map(|(a, h)| a / amplitude * h).sum::<f32>()
            - model.memory[0] * samples[k - 1]
            - model.memory[1] * samples[k - 2];
        sum += (e * e).min(amplitude * amplitude * 4.0);
    }
    model.variance = (sum / (end - start).max(1) as f32).max(amplitude * amplitude * 1e-4);
    if !model.variance.is_finite() {
        model.variance = amplitude * amplitude;
    }
    model
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
            for column in i..UNKNOWNS {
                matrix[row][column] -= factor * matrix[i][column];
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
/// The state before step k is (a_{k-2}, a_{k-1}, a_k), newest bit lowest; step k adds a_{k+1}.
fn trellis(samples: &[f32], model: &Model, workspace: &mut Workspace) {
    let n = samples.len();
    let llr = &mut workspace.llr;
    llr.clear();
    llr.resize(n, 0.0);
    if n < 2 {
        return;
    }
    let mut levels = [0.0f32; 2 * STATES];
    for (pattern, level) in levels.iter_mut().enumerate() {
        *level = model.offset;
        for (j, h) in model.taps.iter().enumerate() {
            *level += if pattern >> j & 1 == 1 { *h } else { -*h };
        }
    }
    let scale = 0.5 / model.variance;
    let excess = |k: usize| {
        let before = |i: usize| if k >= i { samples[k - i] } else { samples[0] };
        samples[k] - model.memory[0] * before(1) - model.memory[1] * before(2)
    };
    let branches = |k: usize| -> [f32; 2 * STATES] {
        let x = excess(k);
        std::array::from_fn(|p| {
            let e = x - levels[p];
            -(e * e * scale).min(METRIC_BOUND)
        })
    };
    // forward[k]: best metric of paths into each state before step k.
    let forward = &mut workspace.forward;
    forward.clear();
    forward.push([0.0; STATES]);
    for k in 0..n - 1 {
        let (from, branch) = (forward[k], branches(k));
        let mut next: [f32; STATES] = std::array::from_fn(|s| {
            // Patterns that end in state s: its oldest bit was 0 or 1.
            (from[s >> 1] + branch[s]).max(from[s >> 1 | 4] + branch[s | 8])
        });
        let top = next.iter().fold(f32::NEG_INFINITY, |a, b| a.max(*b));
        next.iter_mut().for_each(|m| *m -= top);
        forward.push(next);
    }
    let mut backward = [0.0f32; STATES];
    for k in (0..n - 1).rev() {
        let (from, branch) = (forward[k], branches(k));
        let mut best = [f32::NEG_INFINITY; 2];
        let mut next = [f32::NEG_INFINITY; STATES];
        for s in 0..STATES {
            for bit in 0..2 {
                let pattern = s << 1 | bit;
                let tail = branch[pattern] + backward[pattern & 7];
                next[s] = next[s].max(tail);
                best[bit] = best[bit].max(from[s] + tail);
            }
        }
        llr[k + 1] = best[0] - best[1];
        let top = next.iter().fold(f32::NEG_INFINITY, |a, b| a.max(*b));
        next.iter_mut().for_each(|m| *m -= top);
        backward = next;
    }
    // The first symbol has no step of its own: it is the state's newest bit before step 0.
    let mut best = [f32::NEG_INFINITY; 2];
    for (s, metric) in backward.iter().enumerate() {
        best[s & 1] = best[s & 1].max(*metric);
    }
    llr[0] = best[0] - best[1];
}
