//! Windows.
//!
//! * Kaiser: `w(x) = I0(β·sqrt(1 - x²)) / I0(β)` for `|x| ≤ 1`, J. F. Kaiser, "Nonrecursive digital
//!   filter design using the I0-sinh window function", ISCAS 1974.
//! * Hann: `w[n] = ½ - ½·cos(2πn/N)`, periodic, for spectra.

use std::f64::consts::PI;

/// Modified Bessel function of the first kind and order 0: `Σ ((x/2)^k / k!)²`.
///
/// Relative error below 1e-14 for `|x| ≤ 100`.
pub fn bessel_i0(x: f64) -> f64 {
    let quarter_square = 0.25 * x * x;
    let (mut sum, mut term) = (1.0, 1.0);
    for k in 1..500_u32 {
        let k = f64::from(k);
        term *= quarter_square / (k * k);
        sum += term;
        if term < sum * 1e-17 {
            break;
        }
    }
    sum
}

/// The Kaiser window at `x`, where its ends are at ±1; 0 outside. `x = 0` gives 1.
pub fn kaiser(x: f64, beta: f64) -> f64 {
    let inside = 1.0 - x * x;
    if inside >= 0.0 { bessel_i0(beta * inside.sqrt()) / bessel_i0(beta) } else { 0.0 }
}

/// β of the Kaiser window whose low-passes have this stop-band attenuation and pass-band ripple
/// `10^(-attenuation/20)` (Kaiser 1974).
pub fn kaiser_beta(attenuation_db: f64) -> f64 {
    if attenuation_db > 50.0 {
        0.1102 * (attenuation_db - 8.7)
    } else if attenuation_db > 21.0 {
        let above = attenuation_db - 21.0;
        0.5842 * above.powf(0.4) + 0.07886 * above
    } else {
        0.0
    }
}

/// Width of a Kaiser-windowed low-pass, in samples, for a transition band of `transition` cycles
/// per sample: `(A - 7.95) / (14.36·Δf)`.
pub fn kaiser_width_samples(transition: f64, attenuation_db: f64) -> f64 {
    (attenuation_db.max(21.0) - 7.95) / (14.36 * transition)
}

/// Periodic Hann window of `length` values: 0 at the first, 1 in the middle.
pub fn hann(length: usize) -> Vec<f32> {
    (0..length).map(|n| (0.5 - 0.5 * (2.0 * PI * n as f64 / length as f64).cos()) as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bessel_agrees_with_the_tables() {
        // Abramowitz & Stegun, table 9.8.
        for (x, expected) in
            [(0.0, 1.0), (1.0, 1.266_065_877_752_008_4), (10.0, 2_815.716_628_466_254)]
        {
            assert!((bessel_i0(x) / expected - 1.0).abs() < 1e-14, "{x}");
        }
    }

    #[test]
    fn kaiser_is_one_in_the_middle_and_nothing_outside() {
        assert_eq!(kaiser(0.0, 8.0), 1.0);
        assert_eq!(kaiser(1.01, 8.0), 0.0);
        assert_eq!(kaiser(f64::NAN, 8.0), 0.0);
        assert!((kaiser(1.0, 8.0) - 1.0 / bessel_i0(8.0)).abs() < 1e-15);
    }

    #[test]
    fn hann_windows_overlap_to_a_constant() {
        let window = hann(64);
        for n in 0..32 {
            assert!((window[n] + window[n + 32] - 1.0).abs() < 1e-6);
        }
        assert!(hann(0).is_empty());
    }
}
