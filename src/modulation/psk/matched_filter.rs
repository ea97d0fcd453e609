//! Frequency track, mixing to 0 Hz and the matched filter as a polyphase resampler.
//!
//! One dot product does two things: it matches the pulse and resamples to a grid of
//! [`GRID`] points per nominal symbol, whatever the input rate:
//! `y_n = Σ_i x_i h((i - p_n)/sps)/√sps`, `p_n = n·sps/GRID`, with `h` of unit energy, so white
//! noise keeps its power. The pulse is tabulated at enough fractional positions that rounding to
//! the nearest moves a sample by less than 1/800 symbol.

use std::f64::consts::TAU;

use num_complex::Complex32;

use super::pulse::Pulse;

/// Points of the resampled grid per nominal symbol.
pub const GRID: usize = 4;
/// `f32` lanes that a dot product accumulates in.
const LANES: usize = 16;

/// A quantity known at increasing instants: linear between them, constant outside.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Track {
    /// Instants, increasing.
    pub at: Vec<f64>,
    /// Values.
    pub value: Vec<f64>,
}

impl Track {
    /// The value at `t`; 0 if nothing is known.
    pub fn interpolate(&self, t: f64) -> f64 {
        let mut cursor = 0;
        self.interpolate_from(t, &mut cursor)
    }

    /// The value at `t`, for calls with increasing `t`: `cursor` begins at 0 and is kept by the
    /// caller.
    pub fn interpolate_from(&self, t: f64, cursor: &mut usize) -> f64 {
        let n = self.at.len();
        if n == 0 {
            return 0.0;
        }
        while *cursor + 1 < n && self.at[*cursor + 1] <= t {
            *cursor += 1;
        }
        let i = *cursor;
        if i + 1 >= n || t <= self.at[i] {
            return self.value[i];
        }
        let width = self.at[i + 1] - self.at[i];
        let share = if width > 0.0 { (t - self.at[i]) / width } else { 0.0 };
        self.value[i] + (self.value[i + 1] - self.value[i]) * share
    }

    /// Adds a point; `t` must not be before the last.
    pub fn add(&mut self, t: f64, value: f64) {
        self.at.push(t);
        self.value.push(value);
    }
}

/// A matched filter tabulated at fractional positions.
#[derive(Debug, Clone)]
pub struct MatchedFilter {
    /// log2 of the fractional positions per sample.
    phase_bits: u32,
    /// Coefficients per phase, each twice (for re and im), a multiple of [`LANES`].
    stride: usize,
    /// Samples before the nominal position that the filter reaches.
    half: usize,
    coefficients: Vec<f32>,
    samples_per_symbol: f64,
    rectangular: bool,
    /// Where the first point of the last grid lies in `mixed`.
    origin: f64,
    /// Mixed samples with zeros around, re and im interleaved; kept to be used again.
    mixed: Vec<f32>,
}

impl MatchedFilter {
    /// A filter for `pulse` at this many samples per symbol.
    pub fn new(pulse: &Pulse, samples_per_symbol: f64) -> Self {
        let sps = samples_per_symbol;
        let phases = ((400.0 / sps).ceil() as usize).clamp(16, 512).next_power_of_two();
        let half = (pulse.half_span_symbols() * sps).ceil() as usize + 1;
        let stride = (2 * (2 * half + 1)).next_multiple_of(LANES);
        let mut coefficients = vec![0.0f32; phases * stride];
        let gain = sps.sqrt().recip();
        for phase in 0..phases {
            for tap in 0..=2 * half {
                let distance = tap as f64 - half as f64 - phase as f64 / phases as f64;
                let value = if *pulse == Pulse::Rectangular {
                    // The share of the sample's interval within the symbol.
                    (0.5 * sps + 0.5 - distance.abs()).clamp(0.0, 1.0)
                } else {
                    pulse.amplitude(distance / sps)
                };
                let at = phase * stride + 2 * tap;
                coefficients[at] = (value * gain) as f32;
                coefficients[at + 1] = coefficients[at];
            }
        }
        Self {
            phase_bits: phases.ilog2(),
            stride,
            half,
            coefficients,
            samples_per_symbol,
            rectangular: *pulse == Pulse::Rectangular,
            origin: 0.0,
            mixed: Vec::new(),
        }
    }

    /// Mixes `samples`, of which the first stands at `first_sample`, by minus the frequency
    /// `frequency` (Hz, over sample positions), and filters. Output `i` stands at grid index
    /// `first_point + i`, that is at sample `(first_point + i)·sps/GRID`. Outside of `samples`
    /// there is silence.
    pub fn run(
        &mut self,
        samples: &[Complex32],
        first_sample: u64,
        sample_rate_hz: f64,
        frequency: &Track,
        first_point: i64,
        out: &mut [Complex32],
    ) {
        let pad = self.stride / 2 + 1;
        let mut mixed = std::mem::take(&mut self.mixed);
        mixed.clear();
        mixed.resize(2 * (samples.len() + 2 * pad), 0.0);
        let inner = &mut mixed[2 * pad..2 * (pad + samples.len())];
        mix(samples, first_sample as f64, sample_rate_hz, frequency, inner);
        let step = self.samples_per_symbol / GRID as f64;
        let grid = Grid {
            first: first_point as f64 * step - first_sample as f64 + pad as f64,
            step,
            phase_bits: self.phase_bits,
            stride: self.stride,
            half: self.half,
        };
        filter(&mixed, &self.coefficients, grid, out);
        self.origin = grid.first;
        self.mixed = mixed;
    }

    /// Filters once more at exactly these points of the last grid, where an interpolator would
    /// not do: the corners of a matched rectangle are too sharp for it.
    pub fn refine(&self, points: &[f64], out: &mut [Complex32]) {
        if !self.rectangular {
            return;
        }
        let step = self.samples_per_symbol / GRID as f64;
        for (point, y) in points.iter().zip(out) {
            let grid = Grid {
                first: self.origin + point * step,
                step: 0.0,
                phase_bits: self.phase_bits,
                stride: self.stride,
                half: self.half,
            };
            filter(&self.mixed, &self.coefficients, grid, std::slice::from_mut(y));
        }
    }
}

/// Where the outputs of a filter lie in its padded input.
#[derive(Clone, Copy)]
struct Grid {
    first: f64,
    step: f64,
    phase_bits: u32,
    stride: usize,
    half: usize,
}

/// Multiplies by `exp(-j2π∫f dt)`, with the frequency renewed every 16 samples.
fn mix(samples: &[Complex32], first: f64, rate_hz: f64, frequency: &Track, out: &mut [f32]) {
    const RUN: usize = 16;
    let mut phase = 0.0f64;
    let mut cursor = 0;
    for (b, (block, target)) in samples.chunks(RUN).zip(out.chunks_mut(2 * RUN)).enumerate() {
        let middle = first + (b * RUN) as f64 + 0.5 * RUN as f64;
        let cycles = frequency.interpolate_from(middle, &mut cursor) / rate_hz;
        let step = Complex32::cis((-TAU * cycles) as f32);
        let mut phasor = Complex32::cis((-TAU * phase) as f32);
        for (x, y) in block.iter().zip(target.chunks_exact_mut(2)) {
            let z = x * phasor;
            y[0] = z.re;
            y[1] = z.im;
            phasor *= step;
        }
        phase += cycles * RUN as f64;
        phase -= phase.floor();
    }
}

#[inline(always)]
fn filter_body(mixed: &[f32], coefficients: &[f32], grid: Grid, out: &mut [Complex32]) {
    /// Outputs whose lanes are kept at once. Storing the lanes, instead of adding them up at
    /// once, is what lets the compiler keep them in vector registers.
    const BATCH: usize = 32;
    let mut lanes = [[0.0f32; LANES]; BATCH];
    let last = mixed.len().saturating_sub(grid.stride) / 2;
    let phases = f64::from(1u32 << grid.phase_bits);
    for (batch, outputs) in out.chunks_mut(BATCH).enumerate() {
        for (n, stored) in lanes.iter_mut().take(outputs.len()).enumerate() {
            let position = grid.first + (batch * BATCH + n) as f64 * grid.step;
            let fine = (position * phases + 0.5).floor() as i64;
            let sample = (fine >> grid.phase_bits) - grid.half as i64;
            let phase = (fine & ((1 << grid.phase_bits) - 1)) as usize;
            if sample < 0 || sample as usize > last {
                *stored = [0.0; LANES];
                continue;
            }
            let x = &mixed[2 * sample as usize..2 * sample as usize + grid.stride];
            let h = &coefficients[phase * grid.stride..(phase + 1) * grid.stride];
            let mut sum = [0.0f32; LANES];
            for (x, h) in x.as_chunks::<LANES>().0.iter().zip(h.as_chunks::<LANES>().0) {
                for ((s, x), h) in sum.iter_mut().zip(x).zip(h) {
                    *s += x * h;
                }
            }
            *stored = sum;
        }
        for (y, sum) in outputs.iter_mut().zip(&lanes) {
            let eight: [f32; 8] = std::array::from_fn(|i| sum[i] + sum[i + 8]);
            let four: [f32; 4] = std::array::from_fn(|i| eight[i] + eight[i + 4]);
            *y = Complex32::new(four[0] + four[2], four[1] + four[3]);
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn filter_avx2(mixed: &[f32], coefficients: &[f32], grid: Grid, out: &mut [Complex32]) {
    filter_body(mixed, coefficients, grid, out);
}

/// The filter with the widest instructions that the processor has; the same operations in the
/// same order on all of them.
#[cfg_attr(
    target_arch = "x86_64",
    allow(unsafe_code, reason = "calls a function compiled for AVX2 after asking for AVX2")
)]
fn filter(mixed: &[f32], coefficients: &[f32], grid: Grid, out: &mut [Complex32]) {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
        // SAFETY: the processor has the features.
        return unsafe { filter_avx2(mixed, coefficients, grid, out) };
    }
    filter_body(mixed, coefficients, grid, out);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(count: usize) -> Vec<Complex32> {
        (0..count)
            .map(|i| {
                let x = i as f32;
                Complex32::new((0.37 * x).sin() + (0.011 * x * x).cos(), (0.21 * x).cos())
            })
            .collect()
    }

    #[test]
    fn the_kernel_agrees_with_the_convolution_written_out() {
        for sps in [2.4, 5.0, 20.013] {
            let pulse = Pulse::from_roll_off(0.35);
            let x = samples(600);
            let track = Track { at: vec![1000.0, 1500.0], value: vec![800.0, 900.0] };
            let mut filter = MatchedFilter::new(&pulse, sps);
            let first_point = (1000.0 / sps * GRID as f64) as i64;
            let mut out = vec![Complex32::default(); 60];
            filter.run(&x, 1000, 48_000.0, &track, first_point, &mut out);
            let mut phase = 0.0;
            let mixed: Vec<_> = x
                .iter()
                .enumerate()
                .map(|(i, v)| {
                    let z = v * Complex32::cis((-TAU * phase) as f32);
                    let middle = 1000.0 + (i / 16 * 16) as f64 + 8.0;
                    phase += track.interpolate(middle) / 48_000.0;
                    z
                })
                .collect();
            for (n, y) in out.iter().enumerate() {
                let p = (first_point + n as i64) as f64 * sps / GRID as f64 - 1000.0;
                let sum: Complex32 = mixed
                    .iter()
                    .enumerate()
                    .map(|(i, z)| z * (pulse.amplitude((i as f64 - p) / sps) / sps.sqrt()) as f32)
                    .sum();
                assert!((sum - y).norm() < 0.03, "{sps} {n}: {sum} {y}");
            }
        }
    }

    #[test]
    fn both_paths_of_the_kernel_give_the_same_bits() {
        let mixed: Vec<f32> = samples(400).iter().flat_map(|z| [z.re, z.im]).collect();
        let filter_bank = MatchedFilter::new(&Pulse::from_roll_off(0.5), 3.3);
        let grid = Grid {
            first: 60.3,
            step: 0.825,
            phase_bits: filter_bank.phase_bits,
            stride: filter_bank.stride,
            half: filter_bank.half,
        };
        let mut plain = vec![Complex32::default(); 300];
        let mut wide = plain.clone();
        filter_body(&mixed, &filter_bank.coefficients, grid, &mut plain);
        filter(&mixed, &filter_bank.coefficients, grid, &mut wide);
        assert_eq!(plain, wide);
    }
}
