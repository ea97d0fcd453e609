//! FIR filter with real coefficients on complex samples, decimating by an integer.
//!
//! ```text
//! y[m] = Σ h[k]·x[m·D + k],   k = -H ..= H
//! ```
//!
//! The filter has zero delay: output `m` stands for input instant `m·D` exactly, with zeros before
//! the first sample. It comes out once `H` further samples are in, or at the end of the input, as
//! if zeros followed: `n` samples give `⌈n/D⌉` outputs.

use super::planar::Planar;

/// Taps summed side by side; filters are padded to a multiple of it.
pub(super) const TAP_LANES: usize = 8;
/// Samples already used that may stay in the buffer before the rest is moved up.
const SLACK_SAMPLES: usize = 4096;

/// A decimating filter.
#[derive(Debug, Clone)]
pub struct Decimator {
    factor: usize,
    /// Taps in the order of the samples they multiply, after leading zeros.
    taps: Vec<f32>,
    /// H: samples needed after the instant of an output.
    lookahead: usize,
    buffer: Planar,
    /// Index in `buffer` of the first sample under the taps for the next output; may lie behind
    /// its end.
    start: usize,
}

impl Decimator {
    /// A filter with an odd number of symmetric taps that keeps every `factor`-th of its outputs.
    /// (An even number is taken as if a zero followed; a factor of 0 as 1.)
    pub fn new(taps: &[f64], factor: usize) -> Self {
        let lookahead = taps.len() / 2;
        let width = 2 * lookahead + 1;
        let padded = width.next_multiple_of(TAP_LANES);
        let mut all = vec![0.0; padded];
        // Convolution: the tap of the newest sample is the first.
        for (slot, &tap) in all[padded - width..].iter_mut().rev().zip(taps) {
            *slot = tap as f32;
        }
        let mut decimator = Self {
            factor: factor.max(1),
            taps: all,
            lookahead,
            buffer: Planar::default(),
            start: 0,
        };
        decimator.reset();
        decimator
    }

    /// Input samples per output sample.
    pub fn factor(&self) -> usize {
        self.factor
    }

    /// Input samples needed after the instant of an output.
    pub fn lookahead_samples(&self) -> usize {
        self.lookahead
    }

    /// Takes the next samples and appends all outputs that they complete.
    pub fn process(&mut self, samples: &Planar, out: &mut Planar) {
        self.buffer.append(samples);
        self.run(out);
        if self.start >= SLACK_SAMPLES {
            let used = self.start.min(self.buffer.len());
            self.buffer.drain_front(used);
            self.start -= used;
        }
    }

    /// The input has ended: appends the remaining outputs and is as new.
    pub fn finish(&mut self, out: &mut Planar) {
        let end = self.buffer.len() + self.lookahead;
        self.buffer.resize(end);
        self.run(out);
        self.reset();
    }

    fn run(&mut self, out: &mut Planar) {
        let Some(room) = self.buffer.len().checked_sub(self.start + self.taps.len()) else {
            return;
        };
        let outputs = room / self.factor + 1;
        let first = out.len();
        out.resize(first + outputs);
        decimate(
            &self.buffer.re[self.start..],
            &self.buffer.im[self.start..],
            &self.taps,
            self.factor,
            &mut out.re[first..],
            &mut out.im[first..],
        );
        self.start += outputs * self.factor;
    }

    /// Zeros before the first sample, under the taps that reach back.
    fn reset(&mut self) {
        self.buffer.clear();
        self.buffer.resize(self.taps.len() - 1 - self.lookahead);
        self.start = 0;
    }
}

/// `Σ taps[k]·(re[k] + i·im[k])` over all taps, whose number is a multiple of [`TAP_LANES`].
#[inline(always)]
pub(super) fn dot(re: &[f32], im: &[f32], taps: &[f32]) -> (f32, f32) {
    let (re, im) = lane_sums(re, im, taps);
    (total(&re), total(&im))
}

/// The sums of [`dot`], every [`TAP_LANES`]-th product in one.
///
/// Loops over indices throughout: iterator adapters and closures are not inlined into functions
/// with more target features than they have, and cost more than the sums.
#[inline(always)]
fn lane_sums(re: &[f32], im: &[f32], taps: &[f32]) -> ([f32; TAP_LANES], [f32; TAP_LANES]) {
    // Two times eight sums a part hide the latency of the additions.
    let mut sums = [[0.0_f32; TAP_LANES]; 4];
    let length = taps.len();
    let re = re[..length].as_chunks::<TAP_LANES>().0;
    let im = im[..length].as_chunks::<TAP_LANES>().0;
    let taps = taps.as_chunks::<TAP_LANES>().0;
    let mut at = 0;
    while at + 1 < taps.len() {
        add_products(&mut sums[0], &re[at], &taps[at]);
        add_products(&mut sums[1], &im[at], &taps[at]);
        add_products(&mut sums[2], &re[at + 1], &taps[at + 1]);
        add_products(&mut sums[3], &im[at + 1], &taps[at + 1]);
        at += 2;
    }
    if at < taps.len() {
        add_products(&mut sums[0], &re[at], &taps[at]);
        add_products(&mut sums[1], &im[at], &taps[at]);
    }
    let [mut sum_re, mut sum_im, more_re, more_im] = sums;
    for j in 0..TAP_LANES {
        sum_re[j] += more_re[j];
        sum_im[j] += more_im[j];
    }
    (sum_re, sum_im)
}

#[inline(always)]
fn add_products(sums: &mut [f32; TAP_LANES], x: &[f32; TAP_LANES], taps: &[f32; TAP_LANES]) {
    for j in 0..TAP_LANES {
        sums[j] += x[j] * taps[j];
    }
}

/// Sum of all, by halves.
#[inline(always)]
fn total(sums: &[f32; TAP_LANES]) -> f32 {
    let quarter = [sums[0] + sums[4], sums[1] + sums[5], sums[2] + sums[6], sums[3] + sums[7]];
    (quarter[0] + quarter[2]) + (quarter[1] + quarter[3])
}

#[inline(always)]
fn decimate_body(
    re: &[f32],
    im: &[f32],
    taps: &[f32],
    factor: usize,
    out_re: &mut [f32],
    out_im: &mut [f32],
) {
    /// Outputs whose lanes are summed together: apart from the products, whose loop the compiler
    /// would otherwise arrange to suit the last sums rather than the many before.
    const TOGETHER: usize = 32;
    let outputs = out_re.len().min(out_im.len());
    let mut lanes_re = [[0.0_f32; TAP_LANES]; TOGETHER];
    let mut lanes_im = [[0.0_f32; TAP_LANES]; TOGETHER];
    let mut first = 0;
    while first < outputs {
        let count = (outputs - first).min(TOGETHER);
        let mut m = 0;
        while m < count {
            let at = (first + m) * factor;
            (lanes_re[m], lanes_im[m]) = lane_sums(&re[at..], &im[at..], taps);
            m += 1;
        }
        m = 0;
        while m < count {
            out_re[first + m] = total(&lanes_re[m]);
            out_im[first + m] = total(&lanes_im[m]);
            m += 1;
        }
        first += count;
    }
}

dispatch_avx2! {
    /// `out[m] = Σ taps[k]·x[m·factor + k]`, where `x` is long enough for all of `out`.
    fn decimate(
        re: &[f32], im: &[f32], taps: &[f32], factor: usize, out_re: &mut [f32], out_im: &mut [f32],
    ) = decimate_body
}

#[cfg(test)]
mod tests {
    use num_complex::Complex32;
    use proptest::prelude::*;

    use super::*;

    fn samples(seed: u32, count: usize) -> Vec<Complex32> {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / 8_388_608.0 - 1.0
        };
        (0..count).map(|_| Complex32::new(next(), next())).collect()
    }

    /// The definition, in f64.
    fn slow(taps: &[f64], factor: usize, x: &[Complex32]) -> Vec<(f64, f64)> {
        let half = taps.len() as i64 / 2;
        (0..x.len().div_ceil(factor))
            .map(|m| {
                let mut sum = (0.0, 0.0);
                for (k, tap) in taps.iter().enumerate() {
                    let n = (m * factor) as i64 + half - k as i64;
                    if let Some(x) = usize::try_from(n).ok().and_then(|n| x.get(n)) {
                        sum.0 += tap * f64::from(x.re);
                        sum.1 += tap * f64::from(x.im);
                    }
                }
                sum
            })
            .collect()
    }

    fn run(taps: &[f64], factor: usize, x: &[Complex32], pieces: &[usize]) -> Planar {
        let (mut decimator, mut out) = (Decimator::new(taps, factor), Planar::default());
        let (mut rest, mut turn) = (x, 0);
        while !rest.is_empty() {
            let (piece, later) = rest.split_at(pieces[turn % pieces.len()].min(rest.len()));
            let mut planar = Planar::default();
            planar.extend(piece);
            decimator.process(&planar, &mut out);
            (rest, turn) = (later, turn + 1);
        }
        decimator.finish(&mut out);
        out
    }

    #[test]
    fn agrees_with_the_definition() {
        for (length, factor) in [(1, 1), (3, 2), (17, 1), (31, 4), (65, 10), (7, 25), (129, 3)] {
            // Not symmetric, so that the order of the taps shows.
            let taps: Vec<f64> = (0..length).map(|k| 1.0 / (1.0 + f64::from(k))).collect();
            let x = samples(7, 1_003);
            let out = run(&taps, factor, &x, &[1_003]);
            let expected = slow(&taps, factor, &x);
            assert_eq!(out.len(), expected.len());
            for (m, (re, im)) in expected.iter().enumerate() {
                assert!((f64::from(out.re[m]) - re).abs() < 1e-5);
                assert!((f64::from(out.im[m]) - im).abs() < 1e-5);
            }
        }
    }

    #[test]
    fn baseline_and_avx2_agree_to_the_bit() {
        let mut x = Planar::default();
        x.extend(&samples(3, 900));
        let taps: Vec<f32> = (0..88).map(|k| (k as f32).sin()).collect();
        let (mut fast, mut plain) = (Planar::default(), Planar::default());
        fast.resize(100);
        plain.resize(100);
        decimate(&x.re, &x.im, &taps, 8, &mut fast.re, &mut fast.im);
        decimate_body(&x.re, &x.im, &taps, 8, &mut plain.re, &mut plain.im);
        assert_eq!(fast, plain);
    }

    #[test]
    fn nothing_in_nothing_out() {
        let (mut decimator, mut out) = (Decimator::new(&[], 0), Planar::default());
        decimator.finish(&mut out);
        assert!(out.is_empty());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn any_chunking_gives_the_same(
            pieces in prop::collection::vec(1_usize..700, 1..6),
            factor in 1_usize..40,
            half in 0_usize..60,
        ) {
            let taps: Vec<f64> = (0..2 * half + 1).map(|k| (k as f64).cos()).collect();
            let x = samples(11, 2_500);
            let whole = run(&taps, factor, &x, &[2_500]);
            prop_assert_eq!(&run(&taps, factor, &x, &pieces), &whole);
            prop_assert_eq!(&run(&taps, factor, &x, &[1]), &whole);
        }
    }
}
