//! Bits → BPSK or DBPSK at complex baseband: `x(t) = Σ_k ±h((t - t_k)/T)`, `+` for bit 0.

use num_complex::Complex32;

use super::pulse::Pulse;
use crate::modulation::Modulator;

/// A BPSK modulator; differential if asked.
#[derive(Debug, Clone)]
pub struct PskModulator {
    pulse: Pulse,
    symbol_rate_bd: f64,
    differential: bool,
}

impl PskModulator {
    /// `differential`: the phase of symbol k is `p_k = p_{k-1} ⊕ b_k`, from `p = 0`.
    pub fn new(pulse: Pulse, symbol_rate_bd: f64, differential: bool) -> Self {
        Self { pulse, symbol_rate_bd, differential }
    }
}

impl Modulator for PskModulator {
    fn modulate(
        &self,
        bits: &[u8],
        sample_rate_hz: f64,
        clock_ppm: f64,
        timing_samples: f64,
        out: &mut Vec<Complex32>,
    ) -> f64 {
        let period = sample_rate_hz / (self.symbol_rate_bd * (1.0 + clock_ppm * 1e-6));
        let rectangular = self.pulse == Pulse::Rectangular;
        let tail = if rectangular { 0.0 } else { self.pulse.half_span_symbols() - 0.5 };
        let head = (tail * period).ceil();
        let base = out.len();
        let length = bits.len() as f64 * period + 2.0 * head + timing_samples.clamp(0.0, 1.0);
        if !(period > 0.0 && length < 1e12) {
            return 0.0;
        }
        out.resize(base + length.ceil() as usize + 1, Complex32::default());
        let mut phase = 0u8;
        for (k, &bit) in bits.iter().enumerate() {
            phase = if self.differential { phase ^ (bit & 1) } else { bit & 1 };
            let sign = if phase == 0 { 1.0f32 } else { -1.0 };
            let middle = head + timing_samples + (k as f64 + 0.5) * period;
            let reach = self.pulse.half_span_symbols() * period + 0.5;
            let first = (middle - reach).ceil().max(0.0) as usize;
            let last = (middle + reach).floor().max(0.0) as usize;
            for n in first..=last.min(out.len() - base - 1) {
                let distance = n as f64 - middle;
                let value = if rectangular {
                    // The share of the sample's interval that the symbol covers.
                    (0.5 * period + 0.5 - distance.abs()).clamp(0.0, 1.0)
                } else {
                    self.pulse.amplitude(distance / period)
                };
                out[base + n].re += sign * value as f32;
            }
        }
        head
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bits(count: usize) -> Vec<u8> {
        let mut state = 0x2545_f491_u32;
        (0..count)
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 17;
                state ^= state << 5;
                (state & 1) as u8
            })
            .collect()
    }

    #[test]
    fn mean_power_is_one_at_any_rate() {
        for roll_off in [0.35, 0.0] {
            for rate in [24_000.0, 47_999.0, 50_123.0] {
                let modulator = PskModulator::new(Pulse::from_roll_off(roll_off), 9600.0, false);
                let mut samples = Vec::new();
                modulator.modulate(&bits(3000), rate, 20.0, 0.3, &mut samples);
                let energy: f64 = samples.iter().map(|x| f64::from(x.norm_sqr())).sum();
                let power = energy / (3000.0 * rate / 9600.0);
                let floor = if roll_off > 0.0 { 0.98 } else { 0.85 };
                assert!(power > floor && power < 1.02, "{roll_off} {rate}: {power}");
            }
        }
    }

    #[test]
    fn symbols_stand_where_the_head_says() {
        let modulator = PskModulator::new(Pulse::from_roll_off(0.35), 9600.0, true);
        let bits = bits(400);
        let mut samples = Vec::new();
        let head = modulator.modulate(&bits, 96_000.0, 0.0, 0.5, &mut samples);
        let mut phase = 0;
        for (k, bit) in bits.iter().enumerate() {
            phase ^= bit;
            let middle = head + 0.5 + (k as f64 + 0.5) * 10.0;
            let value = samples[middle.round() as usize].re;
            assert_eq!(u8::from(value < 0.0), phase, "{k}");
        }
    }
}
