//! The phase pulse of a Gaussian-filtered FSK signal, the waveforms of the trellis' branches, and
//! the signal's power spectrum.
//!
//! The complex envelope is `exp(j 2π h Σ_k a_k q(t - kT))` with `a = ±1` (bit 1 = +1 = the higher
//! frequency). The phase pulse `q` rises from 0 to 1/2; its derivative is a rectangle of one symbol
//! filtered by a Gaussian of bandwidth `BT / T`:
//!
//! ```text
//! g(t) = Q(2π BT (t - 1/2) / √ln2) - Q(2π BT (t + 1/2) / √ln2)        t in symbols
//! ```
//!
//! truncated to [`PULSE_SYMBOLS`] symbols and scaled to its full area; `BT = ∞` is the rectangle.
//! (Anderson, Aulin, Sundberg: Digital Phase Modulation, 1986; Murota, Hirade: GMSK, 1981.)

use std::f64::consts::PI;

/// Length of the phase pulse in symbols.
pub(super) const PULSE_SYMBOLS: usize = 4;

/// Samples a symbol in a branch waveform, at the middles of quarters of the symbol.
pub(super) const BRANCH_SAMPLES: usize = 4;

/// Steps of the tabulated pulse per symbol.
const STEPS: usize = 64;

/// Complementary error function, relative error < 1.2e-7 (Chebyshev fit; Press et al., Numerical
/// Recipes, 6.2).
fn erfc(x: f64) -> f64 {
    let z = x.abs();
    let t = 1.0 / (1.0 + 0.5 * z);
    let poly = -z * z - 1.265_512_23
        + t * (1.000_023_68
            + t * (0.374_091_96
                + t * (0.096_784_18
                    + t * (-0.186_288_06
                        + t * (0.278_868_07
                            + t * (-1.135_203_98
                                + t * (1.488_515_87 + t * (-0.822_152_23 + t * 0.170_872_77))))))));
    let r = t * poly.exp();
    if x >= 0.0 { r } else { 2.0 - r }
}

/// A phase pulse: 0 at time 0, 1/2 from `symbols` on, `symbols` long and symmetric.
#[derive(Debug, Clone)]
pub(super) struct PhasePulse {
    symbols: usize,
    table: Vec<f64>,
}

impl PhasePulse {
    /// The pulse for a bandwidth-time product (not a positive finite number: rectangular frequency
    /// pulse), truncated to `symbols` symbols.
    pub fn new(bt: f64, symbols: usize) -> Self {
        let gaussian = bt.is_finite() && bt > 0.0;
        let k = 2.0 * PI * bt / 2f64.ln().sqrt() / 2f64.sqrt();
        let oversampling = 4;
        let steps = symbols * STEPS;
        let mut table = Vec::with_capacity(steps + 1);
        table.push(0.0);
        let mut area = 0.0;
        for i in 0..steps * oversampling {
            let t = (i as f64 + 0.5) / (STEPS * oversampling) as f64 - symbols as f64 / 2.0;
            area += if gaussian {
                0.5 * (erfc(k * (t - 0.5)) - erfc(k * (t + 0.5)))
            } else if t.abs() < 0.5 {
                1.0
            } else {
                0.0
            };
            if i % oversampling == oversampling - 1 {
                table.push(area);
            }
        }
        // erfc(k(t-½)) - erfc(k(t+½)) is a positive bump; any sign cancels here.
        for value in &mut table {
            *value *= 0.5 / area;
        }
        Self { symbols, table }
    }

    /// q(t), t in symbols.
    pub fn at(&self, t: f64) -> f64 {
        let x = t * STEPS as f64;
        if x <= 0.0 || x.is_nan() {
            return 0.0;
        }
        let i = x as usize;
        if i + 1 >= self.table.len() {
            return 0.5;
        }
        let f = x - i as f64;
        self.table[i] * (1.0 - f) + self.table[i + 1] * f
    }

    /// Length in symbols.
    pub fn symbols(&self) -> usize {
        self.symbols
    }
}

/// What a pulse does in one symbol, for every pattern of the last `symbols()` bits and index 1.
#[derive(Debug, Clone)]
pub(super) struct PulseShape {
    /// `[pattern][i]`: `Σ_m a_{n-m} q(t_i + m)` with `t_i = (i + 1/2) / 4`; bit m of the pattern is
    /// the bit m symbols ago.
    phases: Vec<[f64; BRANCH_SAMPLES]>,
    /// Mean square of the frequency, 1 for a rectangular pulse: slope of the timing discriminator.
    pub slope: f64,
}

impl PulseShape {
    /// Of a pulse.
    pub fn new(pulse: &PhasePulse) -> Self {
        let l = pulse.symbols();
        let mut phases = vec![[0.0; BRANCH_SAMPLES]; 1 << l];
        let mut power = 0.0;
        let d = 1.0 / STEPS as f64;
        for (pattern, row) in phases.iter_mut().enumerate() {
            for (i, phase) in row.iter_mut().enumerate() {
                let t = (i as f64 + 0.5) / BRANCH_SAMPLES as f64;
                let mut frequency = 0.0;
                for m in 0..l {
                    let a = if pattern >> m & 1 == 1 { 1.0 } else { -1.0 };
                    let t = t + m as f64;
                    *phase += a * pulse.at(t);
                    frequency += a * (pulse.at(t + d) - pulse.at(t - d)) / (2.0 * d);
                }
                power += (2.0 * frequency).powi(2);
            }
        }
        let slope = power / (phases.len() * BRANCH_SAMPLES) as f64;
        Self { phases, slope }
    }
}

/// The waveforms of one symbol for every pattern, conjugated for correlation:
/// `W_p(i) = exp(-j 2π h Σ_m a_{n-m} q(t_i + m))`.
#[derive(Debug, Clone)]
pub(super) struct BranchTable {
    /// `[pattern][i]` as (real, imaginary).
    pub waveforms: Vec<[(f32, f32); BRANCH_SAMPLES]>,
}

impl BranchTable {
    /// Table for a pulse and a modulation index.
    pub fn new(shape: &PulseShape, h: f64) -> Self {
        let waveforms = shape.phases.iter().map(|row| {
            row.map(|phase| {
                let (sin, cos) = (-2.0 * PI * h * phase).sin_cos();
                (cos as f32, sin as f32)
            })
        });
        Self { waveforms: waveforms.collect() }
    }
}

/// Autocorrelation of random CPM at lags of `lag_symbols`, averaged over a symbol:
/// `R(τ) = <Π_k cos(2π h (q(t + τ - k) - q(t - k)))>_t`.
pub(super) fn autocorrelation(pulse: &PhasePulse, h: f64, lag_symbols: f64) -> f64 {
    const INSTANTS: usize = 8;
    let l = pulse.symbols() as i64;
    let mut sum = 0.0;
    for i in 0..INSTANTS {
        let t = (i as f64 + 0.5) / INSTANTS as f64;
        let last = (t + lag_symbols).floor() as i64;
        // Symbols k with 0 < t - k + τ and t - k < L contribute. Those wholly passed in between
        // (t - k ≤ 0 and t - k + τ ≥ L) give cos(π h) each.
        let mut product = 1.0;
        let first_whole = 1;
        let last_whole = (t + lag_symbols - l as f64).floor() as i64;
        let whole = (last_whole - first_whole + 1).max(0);
        product *= (PI * h).cos().powi(whole.min(1 << 20) as i32);
        for k in 1 - l..=last {
            if whole > 0 && k >= first_whole && k <= last_whole {
                continue;
            }
            let d = pulse.at(t + lag_symbols - k as f64) - pulse.at(t - k as f64);
            product *= (2.0 * PI * h * d).cos();
        }
        sum += product;
    }
    sum / INSTANTS as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pulse_rises_from_zero_to_one_half_and_is_symmetric() {
        for bt in [0.3, 0.5, 1.0, f64::INFINITY] {
            let pulse = PhasePulse::new(bt, PULSE_SYMBOLS);
            assert_eq!(pulse.at(-1.0), 0.0);
            assert!((pulse.at(4.0) - 0.5).abs() < 1e-12);
            for t in [0.3, 1.0, 1.7] {
                assert!((pulse.at(2.0 + t) + pulse.at(2.0 - t) - 0.5).abs() < 1e-6, "{bt} {t}");
            }
        }
    }

    #[test]
    fn slope_of_the_timing_discriminator_falls_with_bandwidth() {
        let slope = |bt| PulseShape::new(&PhasePulse::new(bt, 4)).slope;
        assert!((slope(f64::INFINITY) - 1.0).abs() < 0.15);
        assert!(slope(0.5) < slope(1.0) && slope(0.3) < slope(0.5));
        assert!(slope(0.3) > 0.5);
    }

    #[test]
    fn autocorrelation_of_msk_is_the_known_one() {
        // MSK (Murota, Hirade): R(τ) within one symbol = mean of cos² and cos·cos terms; at τ = 0 it
        // is 1, and beyond two symbols it vanishes.
        let pulse = PhasePulse::new(f64::INFINITY, 4);
        assert!((autocorrelation(&pulse, 0.5, 0.0) - 1.0).abs() < 1e-9);
        assert!(autocorrelation(&pulse, 0.5, 2.5).abs() < 1e-9);
        // h = 1: lines, the correlation never dies.
        assert!(autocorrelation(&pulse, 1.0, 40.0).abs() > 0.4);
    }
}
