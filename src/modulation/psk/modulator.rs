//! Bits → BPSK or DBPSK at complex baseband: `x(t) = Σ_k ±h((t - t_k)/T)`, `+` for bit 0.

use num_complex::Complex32;

use super::pulse::Pulse;
use crate::modulation::Modulator;

/// Points per symbol in the table of the pulse; between them it is taken as linear, which is
/// right to 2·10⁻⁵.
const TABLE_POINTS: f64 = 256.0;

/// A BPSK modulator; differential if asked.
#[derive(Debug, Clone)]
pub struct PskModulator {
    pulse: Pulse,
    /// The pulse from its middle on.
    table: Vec<f32>,
    symbol_rate_bd: f64,
    differential: bool,
}

impl PskModulator {
    /// `differential`: the phase of symbol k is `p_k = p_{k-1} ⊕ b_k`, from `p = 0`.
    pub fn new(pulse: Pulse, symbol_rate_bd: f64, differential: bool) -> Self {
        let points = (pulse.half_span_symbols() * TABLE_POINTS) as usize;
        let mut table: Vec<f32> =
            (0..=points).map(|i| pulse.amplitude(i as f64 / TABLE_POINTS) as f32).collect();
        table.extend([0.0; 2]);
        Self { pulse, table, symbol_rate_bd, differential }
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
        // A rectangle's edges within a sample take 1/3 sample's worth of energy from it.
        let gain =
            if rectangular { (1.0 - 1.0 / (3.0 * period)).max(0.1).sqrt().recip() } else { 1.0 };
        let scale = TABLE_POINTS / period;
        let mut phase = 0u8;
        for (k, &bit) in bits.iter().enumerate() {
            phase = if self.differential { phase ^ (bit & 1) } else { bit & 1 };
            let sign = if phase == 0 { 1.0f32 } else { -1.0 };
            let middle = head + timing_samples + (k as f64 + 0.5) * period;
            let reach = self.pulse.half_span_symbols() * period + 0.5;
            let first = (middle - reach).ceil().max(0.0) as usize;
            let last = (middle + reach).floor().max(0.0) as usize;
            for n in first..=last.min(out.len() - base - 1) {
                let distance = (n as f64 - middle).abs();
                let value = if rectangular {
                    // The share of the sample's interval that the symbol covers.
                    (gain * (0.5 * period + 0.5 - distance).clamp(0.0, 1.0)) as f32
                } else {
                    let x = distance * scale;
                    let i = (x as usize).min(self.table.len() - 2);
                    self.table[i] + (self.table[i + 1] - self.table[i]) * (x - i as f64) as f32
                };
                out[base + n].re += sign * value;
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
                assert!(power > 0.97 && power < 1.03, "{roll_off} {rate}: {power}");
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
