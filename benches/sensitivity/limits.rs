//! Limits of theory for uncoded frames: the union bound over the error events of the best detector.
//!
//! ```text
//! frame loss = 1 - (1 - P)^n
//! P(g) = Σ_γ 2^-w(γ) Q(√(d²(γ) g)),   g = Es/N0
//! d²(γ) = 1/T ∫ (1 - cos 2πh Σ_i γ_i q(t - iT)) dt
//! ```
//!
//! γ: differences of symbols (0, ±2), the first not 0, w of them not 0, until both paths have met:
//! `h Σγ` even (Anderson, Aulin, Sundberg, *Digital Phase Modulation*, chapter 2). For BPSK
//! `P = Q(√(2g))`. n: bits of an AX.25 frame of B bytes with its FCS that must be right,
//! `8B (1 + 1/62)` with stuffing, 16 of flags, 18 of the memory of descrambler and NRZI.

use std::f64::consts::{PI, TAU};

use tulpar::modulation::{self, Parameters};

use crate::rows::LEVELS;

/// Points per symbol of the integrals.
const POINTS: usize = 32;
/// Longest difference of any kind looked at, in symbols.
const LONGEST: usize = 6;
/// Longest one with two wrong symbols: near h = 1 the phase step between them costs little.
const LONGEST_PAIR: usize = 60;
/// Events further apart than this many times the nearest do not count.
const FARTHEST: f64 = 2.5;

fn ax25_bits(frame_bytes: usize) -> f64 {
    8.0 * (frame_bytes + 2) as f64 * (1.0 + 1.0 / 62.0) + 16.0 + 18.0
}

/// Q function: Abramowitz and Stegun 7.1.26 on erfc, and its asymptotic series in the tail.
pub fn q(x: f64) -> f64 {
    let z = x / std::f64::consts::SQRT_2;
    if z > 3.0 {
        let s = 1.0 / (2.0 * z * z);
        return 0.5 * (-z * z).exp() / (z * PI.sqrt()) * (1.0 - s + 3.0 * s * s - 15.0 * s.powi(3));
    }
    let t = 1.0 / (1.0 + 0.327_591_1 * z);
    let poly = t
        * (0.254_829_592
            + t * (-0.284_496_736
                + t * (1.421_413_741 + t * (-1.453_152_027 + t * 1.061_405_429))));
    0.5 * poly * (-z * z).exp()
}

/// Phase pulse of our transmitter, from 0 to 1/2, [`POINTS`] a symbol: from the phase between two
/// transmissions that differ in one symbol.
fn phase_pulse(bt: f64) -> Vec<f64> {
    let h = 0.2;
    let mut parameters = Parameters::new(1.0);
    parameters.deviation_hz = Some(h / 2.0);
    parameters.bt = Some(bt);
    let modulator = (modulation::find("FSK").unwrap().modulator)(&parameters).unwrap();
    let wave = |bit: u8| {
        let mut bits = [0u8; 16];
        bits[8] = bit;
        let mut out = Vec::new();
        modulator.modulate(&bits, POINTS as f64, 0.0, 0.0, &mut out);
        out
    };
    let (a, b) = (wave(0), wave(1));
    // 2πh · 2 q(t), which stays below π.
    let q: Vec<f64> =
        a.iter().zip(&b).map(|(a, b)| f64::from((b * a.conj()).arg()) / (2.0 * TAU * h)).collect();
    let from = q.iter().position(|x| *x > 1e-4).unwrap_or(0);
    let to = q.iter().position(|x| *x > 0.4999).unwrap_or(q.len()).min(from + 5 * POINTS);
    q[from..to].to_vec()
}

/// Squared distances of the error events of CPM and how often each is possible per symbol.
fn events(h: f64, bt: f64) -> Vec<(f64, f64)> {
    let pulse = phase_pulse(bt);
    let mut found = Vec::new();
    let short = (1..3usize.pow(LONGEST as u32)).map(|code| {
        // Digits of `code`: 0, +2, -2; the first must not be 0, and the paths must not have met
        // before the last that is not 0.
        let mut gamma: Vec<f64> =
            (0..LONGEST as u32).map(|i| [0.0, 2.0, -2.0][code / 3usize.pow(i) % 3]).collect();
        while gamma.last() == Some(&0.0) {
            gamma.pop();
        }
        gamma
    });
    let pairs = (LONGEST..LONGEST_PAIR).flat_map(|apart| {
        [[2.0, -2.0], [-2.0, 2.0], [2.0, 2.0], [-2.0, -2.0]].map(|[first, last]| {
            let mut gamma = vec![0.0; apart + 1];
            (gamma[0], gamma[apart]) = (first, last);
            gamma
        })
    });
    for gamma in short.chain(pairs) {
        let met = |sum: f64| {
            let turns = h * sum / 2.0;
            (turns - turns.round()).abs() < 1e-9
        };
        let total: f64 = gamma.iter().sum();
        if gamma.first() == Some(&0.0) || !met(total) {
            continue;
        }
        let weight = gamma.iter().filter(|g| **g != 0.0).count() as i32;
        let length = gamma.len() * POINTS + pulse.len();
        let d2: f64 = (0..length)
            .map(|k| {
                let phase: f64 = gamma
                    .iter()
                    .enumerate()
                    .map(|(i, g)| match k.checked_sub(i * POINTS) {
                        Some(at) => g * pulse.get(at).copied().unwrap_or(0.5),
                        None => 0.0,
                    })
                    .sum();
                1.0 - (TAU * h * phase).cos()
            })
            .sum::<f64>()
            / POINTS as f64;
        found.push((d2, 0.5f64.powi(weight)));
    }
    let nearest = found.iter().map(|e| e.0).fold(f64::INFINITY, f64::min);
    found.retain(|e| e.0 <= FARTHEST * nearest);
    found
}

/// Es/N0 in dB at which `n` bits suffer an event with each of [`LEVELS`].
fn crossings(events: &[(f64, f64)], n: f64) -> [f64; 3] {
    LEVELS.map(|level| {
        let wanted = 1.0 - (1.0 - level).powf(1.0 / n);
        let (mut low, mut high) = (-5.0f64, 25.0f64);
        while high - low > 1e-3 {
            let middle = 0.5 * (low + high);
            let g = 10f64.powf(middle / 10.0);
            let p: f64 = events.iter().map(|(d2, share)| share * q((d2 * g).sqrt())).sum();
            if p > wanted { low = middle } else { high = middle }
        }
        high
    })
}

/// The limit of AX.25 frames behind the G3RUH scrambler on FSK.
pub fn ax25_cpm(h: f64, bt: f64, frame_bytes: usize) -> [f64; 3] {
    crossings(&events(h, bt), ax25_bits(frame_bytes))
}

/// That on BPSK.
pub fn ax25_bpsk(frame_bytes: usize) -> [f64; 3] {
    crossings(&[(2.0, 1.0)], ax25_bits(frame_bytes))
}
