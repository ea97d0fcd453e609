//! From the channel's samples to the eighths of a symbol that the trellis works on: mixing,
//! low-pass and interpolation in one step.

use std::f64::consts::PI;

use num_complex::Complex32;

#[cfg(target_arch = "x86_64")]
use super::lanes::Avx;
use super::lanes::{LANES, Lanes, Vector, has_avx2};

/// Points of the grid per symbol: the odd ones are the correlators' samples, the even ones lie an
/// eighth of a symbol before and after them.
pub(super) const GRID: usize = 8;

/// Fractional positions tabulated per sample; the nearest is taken.
const PHASES: usize = 64;

/// Taps at five samples a symbol.
const TAPS: f64 = 24.0;
/// Those of the narrow low-pass.
const NARROW_TAPS: f64 = 64.0;

/// Which low-pass is in use; the figures are one-sided bandwidths in units of the symbol rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Band {
    /// 1.25: for the search, where what explains the signal is weighed against all that comes
    /// through.
    Search,
    /// 1.6: for fitted passes. Four samples a symbol allow no more, and less costs 0.25 dB of the
    /// signal at h = 1 with rectangular pulses, and whiteness of the noise.
    Fitted,
    /// 0.875, flat up to 0.75 and closed from 1.0 on: keeps a strong neighbour out.
    Narrow,
}

/// A carrier to be removed: phase (cycles) at an instant (samples) and frequency (cycles a sample).
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Carrier {
    /// Instant at which `phase` holds, in samples.
    pub at: f64,
    /// Phase in cycles.
    pub phase: f64,
    /// Frequency in cycles per sample.
    pub frequency: f64,
}

impl Carrier {
    /// Phase in cycles at an instant, reduced to one turn.
    pub fn phase_at(&self, at: f64) -> f64 {
        let phase = self.phase + self.frequency * (at - self.at);
        phase - phase.floor()
    }

    /// The same carrier, referred to another instant, with its frequency changed there.
    pub fn moved(&self, at: f64, frequency: f64) -> Self {
        Self { at, phase: self.phase_at(at), frequency }
    }
}

/// Samples of the channel, of which the first has the index `first`. Outside there is silence.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stretch<'a> {
    /// Index of the first sample.
    pub first: i64,
    /// The samples.
    pub samples: &'a [Complex32],
}

/// Real and imaginary parts of points a fixed step apart.
#[derive(Debug, Clone, Default)]
pub(super) struct Grid {
    /// Real parts.
    pub re: Vec<f32>,
    /// Imaginary parts.
    pub im: Vec<f32>,
}

/// Taps of a polyphase low-pass (Kaiser-windowed sinc).
#[derive(Debug, Clone)]
struct LowPass {
    taps: usize,
    table: Vec<f32>,
    /// Power of white noise behind it over that before it.
    noise_gain: f32,
}

/// Polyphase low-pass and interpolator.
#[derive(Debug, Clone)]
pub(super) struct Interpolator {
    search: LowPass,
    fitted: LowPass,
    narrow: LowPass,
    band: Band,
    mixed_re: Vec<f32>,
    mixed_im: Vec<f32>,
}

/// Modified Bessel function of the first kind, order 0 (power series).
fn bessel_i0(x: f64) -> f64 {
    let (mut sum, mut term, mut k) = (1.0, 1.0, 1.0);
    while term > 1e-10 * sum && k < 200.0 {
        term *= x * x / 4.0 / (k * k);
        sum += term;
        k += 1.0;
    }
    sum
}

impl LowPass {
    /// With so many taps at five samples a symbol, and a cutoff in units of the symbol rate.
    fn new(samples_per_symbol: f64, taps: f64, cutoff_baud: f64) -> Self {
        let taps = ((taps * samples_per_symbol / 5.0 / 8.0).round() as usize).max(3) * 8;
        let cutoff = (cutoff_baud / samples_per_symbol).min(0.45);
        let half = taps as f64 / 2.0;
        let beta = 5.0;
        let mut table = vec![0f32; (PHASES + 1) * taps];
        let mut noise_gain = 0.0;
        for phase in 0..=PHASES {
            let row: Vec<f64> = (0..taps)
                .map(|i| {
                    let x = i as f64 - (half - 1.0) - phase as f64 / PHASES as f64;
                    if x.abs() >= half {
                        return 0.0;
                    }
                    let sinc = if x.abs() < 1e-9 {
                        2.0 * cutoff
                    } else {
                        (2.0 * PI * cutoff * x).sin() / (PI * x)
                    };
                    sinc * bessel_i0(beta * (1.0 - (x / half).powi(2)).sqrt())
                })
                .collect();
            let sum: f64 = row.iter().sum();
            for (i, v) in row.iter().enumerate() {
                table[phase * taps + i] = (v / sum) as f32;
            }
            noise_gain = row.iter().map(|v| (v / sum).powi(2)).sum();
        }
        Self { taps, table, noise_gain: noise_gain as f32 }
    }
}

impl Interpolator {
    /// For a number of samples per symbol.
    pub fn new(samples_per_symbol: f64) -> Self {
        Self {
            search: LowPass::new(samples_per_symbol, TAPS, 1.25),
            fitted: LowPass::new(samples_per_symbol, TAPS, 1.6),
            narrow: LowPass::new(samples_per_symbol, NARROW_TAPS, 0.875),
            band: Band::Search,
            mixed_re: Vec::new(),
            mixed_im: Vec::new(),
        }
    }

    /// Chooses the low-pass.
    pub fn set_band(&mut self, band: Band) {
        self.band = band;
    }

    /// The low-pass in use.
    pub fn band(&self) -> Band {
        self.band
    }

    fn low_pass(&self) -> &LowPass {
        match self.band {
            Band::Search => &self.search,
            Band::Fitted => &self.fitted,
            Band::Narrow => &self.narrow,
        }
    }

    /// Power of white noise in the points over that in the samples.
    pub fn noise_gain(&self) -> f32 {
        self.low_pass().noise_gain
    }

    /// Samples needed after the last point, whichever low-pass is in use.
    pub fn reach(&self) -> f64 {
        self.narrow.taps as f64 / 2.0 + 1.0
    }

    /// Fills `out` with `points` points at `start + i · step` (channel samples), carrier removed.
    /// Where the filter reaches beyond the samples they count as 0.
    pub fn grid(
        &mut self,
        from: Stretch<'_>,
        carrier: Carrier,
        start: f64,
        step: f64,
        points: usize,
        out: &mut Grid,
    ) {
        out.re.clear();
        out.im.clear();
        out.re.resize(points, 0.0);
        out.im.resize(points, 0.0);
        if points == 0 {
            return;
        }
        let half = self.low_pass().taps as i64 / 2;
        let first = start.floor() as i64 - half;
        let last = (start + step * points as f64).ceil() as i64 + half + 1;
        let length = (last - first).max(0) as usize;
        self.mixed_re.clear();
        self.mixed_im.clear();
        self.mixed_re.resize(length, 0.0);
        self.mixed_im.resize(length, 0.0);
        // The part of [first, last) that exists.
        let a = first.max(from.first);
        let b = last.min(from.first + from.samples.len() as i64);
        if a >= b {
            return;
        }
        mix(
            &from.samples[(a - from.first) as usize..(b - from.first) as usize],
            carrier.phase_at(a as f64),
            carrier.frequency,
            &mut self.mixed_re[(a - first) as usize..(b - first) as usize],
            &mut self.mixed_im[(a - first) as usize..(b - first) as usize],
        );
        let low_pass = self.low_pass();
        let work = Filtering {
            taps: low_pass.taps,
            table: &low_pass.table,
            re: &self.mixed_re,
            im: &self.mixed_im,
            start: start - (first + half - 1) as f64,
            step,
        };
        interpolate(&work, &mut out.re, &mut out.im);
    }
}

/// Removes a carrier: `y_i = x_i exp(-j 2π (phase + frequency i))`.
fn mix(x: &[Complex32], phase: f64, frequency: f64, re: &mut [f32], im: &mut [f32]) {
    const BLOCK: usize = 256;
    let turn = |cycles: f64| {
        let (sin, cos) = (-2.0 * PI * (cycles - cycles.floor())).sin_cos();
        (cos as f32, sin as f32)
    };
    let mut lane_re = [0f32; 8];
    let mut lane_im = [0f32; 8];
    for i in 0..8 {
        (lane_re[i], lane_im[i]) = turn(frequency * i as f64);
    }
    let (step_re, step_im) = turn(frequency * 8.0);
    for (b, block) in x.chunks(BLOCK).enumerate() {
        let at = b * BLOCK;
        let (mut p_re, mut p_im) = turn(phase + frequency * at as f64);
        for (c, chunk) in block.chunks(8).enumerate() {
            for (i, v) in chunk.iter().enumerate() {
                let (r, m) =
                    (p_re * lane_re[i] - p_im * lane_im[i], p_re * lane_im[i] + p_im * lane_re[i]);
                re[at + c * 8 + i] = v.re * r - v.im * m;
                im[at + c * 8 + i] = v.re * m + v.im * r;
            }
            (p_re, p_im) = (p_re * step_re - p_im * step_im, p_re * step_im + p_im * step_re);
        }
    }
}

/// What [`interpolate`] works on: point i lies at `start + i · step` of `re`, `im`.
struct Filtering<'a> {
    taps: usize,
    table: &'a [f32],
    /// The samples, from tap 0 of a point at 0 on.
    re: &'a [f32],
    im: &'a [f32],
    start: f64,
    step: f64,
}

#[inline(always)]
fn interpolate_body<V: Vector>(work: &Filtering<'_>, out_re: &mut [f32], out_im: &mut [f32]) {
    for (i, (o_re, o_im)) in out_re.iter_mut().zip(out_im.iter_mut()).enumerate() {
        let t = work.start + i as f64 * work.step;
        let whole = t as usize;
        let phase = ((t - whole as f64) * PHASES as f64 + 0.5) as usize;
        let h = &work.table[phase * work.taps..(phase + 1) * work.taps];
        let (re, im) = (&work.re[whole..whole + work.taps], &work.im[whole..whole + work.taps]);
        let (mut a, mut b) = (V::splat(0.0), V::splat(0.0));
        let pieces = h.chunks_exact(LANES).zip(re.chunks_exact(LANES)).zip(im.chunks_exact(LANES));
        for ((h, re), im) in pieces {
            let h = V::gather(h);
            a = a + h * V::gather(re);
            b = b + h * V::gather(im);
        }
        *o_re = a.sum();
        *o_im = b.sum();
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn interpolate_avx2(work: &Filtering<'_>, out_re: &mut [f32], out_im: &mut [f32]) {
    interpolate_body::<Avx>(work, out_re, out_im);
}

// The call of a function compiled for AVX2 is safe once the processor is known to have it.
#[allow(unsafe_code)]
fn interpolate(work: &Filtering<'_>, out_re: &mut [f32], out_im: &mut [f32]) {
    #[cfg(target_arch = "x86_64")]
    if has_avx2() {
        // SAFETY: AVX2 was detected.
        return unsafe { interpolate_avx2(work, out_re, out_im) };
    }
    let _ = has_avx2;
    interpolate_body::<Lanes>(work, out_re, out_im);
}
