//! Pulse shapes of phase-modulated signals, as functions of time in symbols and of frequency in
//! cycles per symbol.
//!
//! * Root raised cosine with roll-off β (CCSDS 401.0-B, ITU-R usage):
//!   `h(t) = [sin(πt(1-β)) + 4βt cos(πt(1+β))] / [πt(1-(4βt)²)]`,
//!   `|H(f)|² = 1` up to `(1-β)/2`, then `cos²` down to 0 at `(1+β)/2`.
//! * Rectangular: 1 over one symbol, `H(f) = sin(πf)/(πf)`.
//! * The main pulse C0 of Laurent's decomposition of an MSK-type signal, `h = 1/2`
//!   (P. A. Laurent, IEEE Trans. Commun. COM-34, 1986, p. 150):
//!   `C0(t) = Π_{i<L} S(t+i)`, `S(t) = sin ψ(t)`, `ψ(t) = π q(t)` for `t < L` and
//!   `π/2 - π q(t-L)` after, with the frequency pulse's integral `q`, `q(L) = 1/2`. For a Gaussian
//!   filter of BT 0.5 it carries 99.97 % of the energy.
//!
//! All are even in time about 0 and have unit energy per symbol: `∫ h² dt = 1`.

use std::f64::consts::{PI, SQRT_2};

/// Length of the frequency pulse of an MSK-type signal, in symbols.
const FREQUENCY_PULSE_SYMBOLS: usize = 4;
/// Points per symbol in the table of C0.
const TABLE_POINTS: usize = 256;
/// The root raised cosine is cut at ± this many symbols.
const ROOT_RAISED_COSINE_SYMBOLS: f64 = 8.0;

/// A pulse shape, even about time 0.
#[derive(Debug, Clone, PartialEq)]
pub enum Pulse {
    /// Root raised cosine.
    RootRaisedCosine {
        /// Excess bandwidth β, 0 < β ≤ 1.
        roll_off: f64,
    },
    /// One symbol of constant amplitude.
    Rectangular,
    /// Laurent's C0 of an MSK-type signal.
    Laurent(LaurentPulse),
}

/// C0 for times ≥ 0, tabulated.
#[derive(Debug, Clone, PartialEq)]
pub struct LaurentPulse {
    table: Vec<f64>,
}

impl Pulse {
    /// The pulse for a roll-off as in [`Parameters`](crate::modulation::Parameters): 0 stands for
    /// rectangular symbols; anything unusable is taken as the nearest usable value.
    pub fn from_roll_off(roll_off: f64) -> Self {
        if roll_off > 0.0 {
            Pulse::RootRaisedCosine { roll_off: roll_off.clamp(0.02, 1.0) }
        } else {
            Pulse::Rectangular
        }
    }

    /// C0 of an MSK-type signal with a Gaussian filter of bandwidth-time product `bt`; infinite
    /// for MSK.
    pub fn laurent(bt: f64) -> Self {
        Pulse::Laurent(LaurentPulse::new(bt))
    }

    /// The pulse is 0 outside ± this many symbols.
    pub fn half_span_symbols(&self) -> f64 {
        match self {
            Pulse::RootRaisedCosine { .. } => ROOT_RAISED_COSINE_SYMBOLS,
            Pulse::Rectangular => 0.5,
            Pulse::Laurent(p) => p.table.len() as f64 / TABLE_POINTS as f64,
        }
    }

    /// One-sided bandwidth in cycles per symbol within which a receiver uses the pulse.
    pub fn half_bandwidth(&self) -> f64 {
        match self {
            Pulse::RootRaisedCosine { roll_off } => 0.5 * (1.0 + roll_off),
            Pulse::Rectangular | Pulse::Laurent(_) => 0.7,
        }
    }

    /// Amplitude at `t` symbols from its middle.
    pub fn amplitude(&self, t: f64) -> f64 {
        match self {
            Pulse::RootRaisedCosine { roll_off } => root_raised_cosine(*roll_off, t),
            Pulse::Rectangular => f64::from(t.abs() < 0.5),
            Pulse::Laurent(p) => p.amplitude(t),
        }
    }

    /// Amplitude of the spectrum at `f` cycles per symbol (real, since the pulse is even).
    pub fn spectrum(&self, f: f64) -> f64 {
        match self {
            Pulse::RootRaisedCosine { roll_off } => {
                let edge = (f.abs() - 0.5 * (1.0 - roll_off)) / roll_off;
                if edge <= 0.0 {
                    1.0
                } else if edge >= 1.0 {
                    0.0
                } else {
                    (0.5 * PI * edge).cos()
                }
            }
            Pulse::Rectangular => {
                if f.abs() < 1e-9 {
                    1.0
                } else {
                    (PI * f).sin() / (PI * f)
                }
            }
            Pulse::Laurent(p) => p.spectrum(f),
        }
    }

    /// `∫ h(t) h(t-lag) dt`: what the matched filter lets through from a symbol `lag` away.
    pub fn autocorrelation(&self, lag: f64) -> f64 {
        let span = self.half_span_symbols();
        let step = 1.0 / 128.0;
        let points = (2.0 * span / step).ceil() as i64;
        (0..=points)
            .map(|i| {
                let t = -span + i as f64 * step;
                self.amplitude(t) * self.amplitude(t - lag) * step
            })
            .sum()
    }
}

impl LaurentPulse {
    fn new(bt: f64) -> Self {
        let length = FREQUENCY_PULSE_SYMBOLS;
        let points = TABLE_POINTS;
        // 2πBT/√(2 ln 2) with erf in place of the Gaussian integral.
        let scale = PI * bt * (2.0 / std::f64::consts::LN_2).sqrt();
        let frequency_pulse = |u: f64| {
            if scale.is_finite() && scale > 0.0 {
                error_function(scale * (u + 0.5)) - error_function(scale * (u - 0.5))
            } else {
                2.0 * f64::from(u.abs() < 0.5)
            }
        };
        let mut q = Vec::with_capacity(length * points + 1);
        let mut sum = 0.0;
        q.push(0.0);
        for i in 0..length * points {
            sum += frequency_pulse((i as f64 + 0.5) / points as f64 - length as f64 / 2.0);
            q.push(sum);
        }
        let psi = |index: usize| {
            let at = |i: usize| 0.5 * PI * q[i.min(length * points)] / sum;
            if index < length * points { at(index) } else { 0.5 * PI - at(index - length * points) }
        };
        // C0 spans 0..L+1 symbols; its middle is at (L+1)/2.
        let middle = (length + 1) * points / 2;
        let mut table: Vec<f64> = (0..middle)
            .map(|k| (0..length).map(|i| psi(middle + k + i * points).sin()).product())
            .collect();
        let energy =
            (2.0 * table.iter().map(|v| v * v).sum::<f64>() - table[0] * table[0]) / points as f64;
        let gain = energy.max(1e-12).sqrt().recip();
        table.iter_mut().for_each(|v| *v *= gain);
        Self { table }
    }

    fn amplitude(&self, t: f64) -> f64 {
        let x = t.abs() * TABLE_POINTS as f64;
        let i = x as usize;
        if i >= self.table.len() {
            return 0.0;
        }
        let next = self.table.get(i + 1).copied().unwrap_or(0.0);
        self.table[i] + (next - self.table[i]) * (x - i as f64)
    }

    fn spectrum(&self, f: f64) -> f64 {
        let step = 8;
        let sum: f64 = self
            .table
            .iter()
            .enumerate()
            .step_by(step)
            .map(|(i, v)| {
                let weight = if i == 0 { 1.0 } else { 2.0 };
                weight * v * (2.0 * PI * f * i as f64 / TABLE_POINTS as f64).cos()
            })
            .sum();
        sum * step as f64 / TABLE_POINTS as f64
    }
}

fn root_raised_cosine(roll_off: f64, t: f64) -> f64 {
    let b = roll_off;
    if t.abs() > ROOT_RAISED_COSINE_SYMBOLS {
        return 0.0;
    }
    if t.abs() < 1e-7 {
        return 1.0 - b + 4.0 * b / PI;
    }
    if (4.0 * b * t.abs() - 1.0).abs() < 1e-6 {
        let angle = PI / (4.0 * b);
        return b / SQRT_2 * ((1.0 + 2.0 / PI) * angle.sin() + (1.0 - 2.0 / PI) * angle.cos());
    }
    let x = 4.0 * b * t;
    ((PI * t * (1.0 - b)).sin() + x * (PI * t * (1.0 + b)).cos()) / (PI * t * (1.0 - x * x))
}

/// erf(x) to 2·10⁻⁷ (Abramowitz and Stegun, Handbook of Mathematical Functions, 7.1.26).
pub(super) fn error_function(x: f64) -> f64 {
    let t = 1.0 / (1.0 + 0.327_591_1 * x.abs());
    let polynomial = t
        * (0.254_829_592
            + t * (-0.284_496_736
                + t * (1.421_413_741 + t * (-1.453_152_027 + t * 1.061_405_429))));
    (1.0 - polynomial * (-x * x).exp()).copysign(x)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pulses() -> Vec<Pulse> {
        vec![
            Pulse::from_roll_off(0.35),
            Pulse::from_roll_off(0.9),
            Pulse::from_roll_off(0.0),
            Pulse::laurent(0.5),
            Pulse::laurent(f64::INFINITY),
        ]
    }

    #[test]
    fn pulses_have_unit_energy_and_the_spectrum_of_their_shape() {
        for pulse in pulses() {
            let energy = pulse.autocorrelation(0.0);
            assert!((energy - 1.0).abs() < 0.01, "{pulse:?}: {energy}");
            for f in [0.0, 0.1, 0.31, 0.5] {
                let span = pulse.half_span_symbols();
                let sum: f64 = (0..=4000)
                    .map(|i| {
                        let t = -span + 2.0 * span * f64::from(i) / 4000.0;
                        pulse.amplitude(t) * (2.0 * PI * f * t).cos() * 2.0 * span / 4000.0
                    })
                    .sum();
                assert!((sum - pulse.spectrum(f)).abs() < 0.02, "{f}: {sum}");
            }
        }
    }

    #[test]
    fn root_raised_cosine_is_free_of_intersymbol_interference() {
        let pulse = Pulse::from_roll_off(0.35);
        for lag in 1..6 {
            assert!(pulse.autocorrelation(f64::from(lag)).abs() < 2e-3);
        }
        // Continuous where the formula has a gap.
        let edge = 1.0 / (4.0 * 0.35);
        assert!((pulse.amplitude(edge) - pulse.amplitude(edge + 1e-5)).abs() < 1e-4);
    }

    #[test]
    fn main_pulse_of_msk_is_a_half_cosine() {
        let pulse = Pulse::laurent(f64::INFINITY);
        for t in [0.0, 0.3, 0.7, 0.99] {
            let ideal = (0.5 * PI * t).cos();
            assert!((pulse.amplitude(t) - ideal).abs() < 0.01, "{t}");
        }
        assert!(pulse.amplitude(1.1).abs() < 0.01);
    }
}
