//! Bits → FSK with a Gaussian or rectangular pulse and any index.

use std::f64::consts::PI;

use num_complex::Complex32;

use super::pulse::{PULSE_SYMBOLS, PhasePulse};
use crate::modulation::Modulator;

/// The modulator: unit amplitude, phase 0 at the start, carrier at 0 Hz.
#[derive(Debug, Clone)]
pub(super) struct CpmModulator {
    symbol_rate_bd: f64,
    h: f64,
    pulse: PhasePulse,
}

impl CpmModulator {
    /// `h` may be negative (bit 1 is then the lower tone).
    pub fn new(symbol_rate_bd: f64, h: f64, bt: f64) -> Self {
        Self { symbol_rate_bd, h, pulse: PhasePulse::new(bt, PULSE_SYMBOLS) }
    }
}

impl Modulator for CpmModulator {
    fn modulate(
        &self,
        bits: &[u8],
        sample_rate_hz: f64,
        clock_ppm: f64,
        timing_samples: f64,
        out: &mut Vec<Complex32>,
    ) -> f64 {
        let symbol = sample_rate_hz / (self.symbol_rate_bd * (1.0 + clock_ppm * 1e-6));
        // Symbol k is [timing + k symbol, + symbol); its pulse reaches 3/2 symbols to both sides.
        let overhang = (PULSE_SYMBOLS as f64 - 1.0) / 2.0;
        let head = (overhang * symbol).ceil();
        if !symbol.is_finite() || symbol <= 0.0 || !timing_samples.is_finite() || bits.is_empty() {
            return 0.0;
        }
        let length = (head + timing_samples + (bits.len() as f64 + overhang) * symbol).ceil();
        let length = length as usize;
        out.reserve(length);
        // Symbols whose pulse is over: their phase, half a turn times h each, modulo 2/h symbols.
        let mut done = 0usize;
        let mut settled = 0.0f64;
        for i in 0..length {
            let t = (i as f64 - head - timing_samples) / symbol + overhang;
            // Pulse of symbol k is over when t - k >= PULSE_SYMBOLS.
            while done < bits.len() && t - done as f64 >= PULSE_SYMBOLS as f64 {
                settled += if bits[done] & 1 == 1 { 0.5 } else { -0.5 };
                done += 1;
            }
            let mut phase = settled;
            for (k, bit) in bits.iter().enumerate().skip(done).take(PULSE_SYMBOLS + 1) {
                let x = t - k as f64;
                if x <= 0.0 {
                    break;
                }
                phase += if bit & 1 == 1 { self.pulse.at(x) } else { -self.pulse.at(x) };
            }
            let cycles = self.h * phase;
            let (sin, cos) = (2.0 * PI * (cycles - cycles.floor())).sin_cos();
            out.push(Complex32::new(cos as f32, sin as f32));
        }
        head
    }
}
