//! Design of FIR filters, in f64.
//!
//! * Low-pass: windowed sinc `h[n] = 2fc·sinc(2fc·n)·kaiser(n)`.
//! * Raised cosine and its root: CCSDS 401.0-B section 2.4.17A; Proakis, "Digital Communications",
//!   9.2.1. Symbol period 1, roll-off α:
//!
//! ```text
//! rc(t)  = sinc(t)·cos(παt) / (1 - (2αt)²)
//! rrc(t) = [sin(πt(1-α)) + 4αt·cos(πt(1+α))] / [πt·(1 - (4αt)²)]
//! ```

use std::f64::consts::{FRAC_1_SQRT_2, FRAC_PI_4, PI};

use super::window::{bessel_i0, kaiser_beta, kaiser_width_samples};

/// Most taps of a designed low-pass; narrower transitions than these allow are widened.
pub const MAX_TAPS: usize = 8191;

/// `sin(πx) / (πx)`.
pub fn sinc(x: f64) -> f64 {
    if x.abs() < 1e-9 { 1.0 } else { (PI * x).sin() / (PI * x) }
}

/// Number of taps that [`lowpass`] uses: odd, at most [`MAX_TAPS`].
pub fn lowpass_length(transition_hz: f64, attenuation_db: f64, sample_rate_hz: f64) -> usize {
    let half = (0.5 * kaiser_width_samples(transition_hz / sample_rate_hz, attenuation_db)).ceil();
    // `as` takes NaN to 0 and saturates.
    2 * (half.max(0.0) as usize).min(MAX_TAPS / 2) + 1
}

/// Linear-phase Kaiser-windowed low-pass with unit gain at 0 Hz.
///
/// Half of the amplitude is left at `cutoff_hz`; the pass-band ends, and the stop-band begins, half
/// of `transition_hz` from it. An odd number of taps, symmetric about the middle one, hence a group
/// delay of a whole number of samples. A cutoff of half the sample rate or more gives a filter
/// without effect.
pub fn lowpass(
    cutoff_hz: f64,
    transition_hz: f64,
    attenuation_db: f64,
    sample_rate_hz: f64,
) -> Vec<f64> {
    let length = lowpass_length(transition_hz, attenuation_db, sample_rate_hz);
    let half = (length / 2) as f64;
    let beta = kaiser_beta(attenuation_db);
    let cutoff = (cutoff_hz / sample_rate_hz).clamp(0.0, 0.5);
    if cutoff >= 0.5 || !cutoff.is_finite() {
        return vec![1.0];
    }
    let mut taps: Vec<f64> = (0..length)
        .map(|n| {
            let t = n as f64 - half;
            let x = t / half.max(1.0);
            2.0 * cutoff * sinc(2.0 * cutoff * t) * bessel_i0(beta * (1.0 - x * x).sqrt())
        })
        .collect();
    let sum: f64 = taps.iter().sum();
    if sum.abs() > 1e-12 {
        taps.iter_mut().for_each(|tap| *tap /= sum);
    }
    taps
}

/// Raised-cosine pulse at `t` symbols from its peak, which is 1; roll-off in 0..=1. Zero at every
/// other whole `t`.
pub fn raised_cosine_at(t: f64, roll_off: f64) -> f64 {
    let x = 2.0 * roll_off * t;
    if (x.abs() - 1.0).abs() < 1e-7 {
        return FRAC_PI_4 * sinc(t);
    }
    sinc(t) * (PI * roll_off * t).cos() / (1.0 - x * x)
}

/// Root-raised-cosine pulse at `t` symbols from its peak, `1 - α + 4α/π`; roll-off in 0..=1. Its
/// energy `∫ rrc² dt` is 1.
pub fn root_raised_cosine_at(t: f64, roll_off: f64) -> f64 {
    let a = roll_off;
    if t.abs() < 1e-7 {
        return 1.0 - a + 4.0 * a / PI;
    }
    let x = 4.0 * a * t;
    if (x.abs() - 1.0).abs() < 1e-7 {
        let angle = FRAC_PI_4 / a;
        return a
            * FRAC_1_SQRT_2
            * ((1.0 + 2.0 / PI) * angle.sin() + (1.0 - 2.0 / PI) * angle.cos());
    }
    ((PI * t * (1.0 - a)).sin() + x * (PI * t * (1.0 + a)).cos()) / (PI * t * (1.0 - x * x))
}

/// Root-raised-cosine filter: unit energy, `±span_symbols/2` about the middle tap, an odd number of
/// taps. Cascading two of them gives a raised cosine with a peak of 1.
pub fn root_raised_cosine(samples_per_symbol: f64, roll_off: f64, span_symbols: usize) -> Vec<f64> {
    let mut taps = pulse(samples_per_symbol, span_symbols, |t| root_raised_cosine_at(t, roll_off));
    let energy: f64 = taps.iter().map(|tap| tap * tap).sum();
    if energy > 0.0 {
        let scale = energy.sqrt().recip();
        taps.iter_mut().for_each(|tap| *tap *= scale);
    }
    taps
}

/// Raised-cosine filter: peak 1, `±span_symbols/2` about the middle tap, an odd number of taps.
pub fn raised_cosine(samples_per_symbol: f64, roll_off: f64, span_symbols: usize) -> Vec<f64> {
    pulse(samples_per_symbol, span_symbols, |t| raised_cosine_at(t, roll_off))
}

/// Samples of a pulse over `±span_symbols/2`.
fn pulse(samples_per_symbol: f64, span_symbols: usize, value: impl Fn(f64) -> f64) -> Vec<f64> {
    let half = (0.5 * span_symbols as f64 * samples_per_symbol).ceil() as usize;
    let half = half.min(MAX_TAPS / 2);
    (0..=2 * half).map(|n| value((n as f64 - half as f64) / samples_per_symbol)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// |H(f)| in dB.
    fn gain_db(taps: &[f64], frequency_hz: f64, sample_rate_hz: f64) -> f64 {
        let omega = 2.0 * PI * frequency_hz / sample_rate_hz;
        let (mut re, mut im) = (0.0, 0.0);
        for (n, tap) in taps.iter().enumerate() {
            re += tap * (omega * n as f64).cos();
            im += tap * (omega * n as f64).sin();
        }
        10.0 * (re * re + im * im).log10()
    }

    #[test]
    fn lowpass_keeps_its_mask() {
        for attenuation_db in [60.0, 75.0, 90.0] {
            let taps = lowpass(6_000.0, 2_000.0, attenuation_db, 48_000.0);
            assert_eq!(taps.len() % 2, 1);
            for f in (0..=5_000).step_by(50) {
                assert!(gain_db(&taps, f64::from(f), 48_000.0).abs() < 0.02);
            }
            for f in (7_000..=24_000).step_by(25) {
                let gain = gain_db(&taps, f64::from(f), 48_000.0);
                // Kaiser's formulas are good to about a decibel.
                assert!(gain < -attenuation_db + 1.0, "{f}: {gain}");
            }
            assert!((gain_db(&taps, 6_000.0, 48_000.0) + 6.02).abs() < 0.05);
            for n in 0..taps.len() / 2 {
                assert!((taps[n] - taps[taps.len() - 1 - n]).abs() < 1e-15);
            }
        }
    }

    #[test]
    fn any_request_gives_a_filter() {
        for value in [f64::NAN, f64::INFINITY, -1.0, 0.0, 1e300] {
            assert!(!lowpass(value, 1.0, 70.0, 10.0).is_empty());
            assert!(!lowpass(1.0, value, 70.0, 10.0).is_empty());
            assert!(!lowpass(1.0, 1.0, value, 10.0).is_empty());
            assert!(!lowpass(1.0, 1.0, 70.0, value).is_empty());
            assert!(!root_raised_cosine(value, 0.5, 8).is_empty());
        }
    }

    #[test]
    fn root_raised_cosines_cascade_to_a_raised_cosine() {
        for roll_off in [0.2, 0.25, 0.35, 0.5, 1.0] {
            let root = root_raised_cosine(4.0, roll_off, 60);
            let full = raised_cosine(4.0, roll_off, 60);
            let middle = root.len() / 2;
            for lag in 0..40_usize {
                let product: f64 = (lag..root.len()).map(|n| root[n] * root[n - lag]).sum();
                assert!((product - full[middle + lag]).abs() < 2e-3, "{roll_off} {lag}");
            }
        }
    }

    #[test]
    fn pulses_are_continuous_at_their_poles() {
        for roll_off in [0.2, 0.35, 0.5, 1.0] {
            for (value, pole) in [
                (raised_cosine_at as fn(f64, f64) -> f64, 0.5 / roll_off),
                (root_raised_cosine_at, 0.25 / roll_off),
                (root_raised_cosine_at, 0.0),
            ] {
                let (at, near) = (value(pole, roll_off), value(pole + 1e-5, roll_off));
                assert!((at - near).abs() < 1e-4, "{roll_off} {pole} {at} {near}");
            }
        }
    }

    #[test]
    fn raised_cosine_has_no_intersymbol_interference() {
        for k in 1..10 {
            assert!(raised_cosine_at(f64::from(k), 0.35).abs() < 1e-12);
        }
    }
}
