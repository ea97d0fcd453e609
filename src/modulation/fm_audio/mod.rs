//! FSK from FM audio: the output of a receiver's FM discriminator, as most recordings of the
//! field are.
//!
//! The instantaneous frequency of an FSK signal is a pulse-amplitude signal, so its demodulation
//! is that of two real levels: amplitude = deviation, mean = carrier offset, both unknown and
//! drifting. Where there is no carrier a discriminator's noise is louder than a signal, so there
//! is no energy to detect a burst by; the symbol clock's own spectral line is the gate.
//!
//! * `interpolator`: any rate → 4 samples a nominal symbol
//! * `timing`: the line at the symbol rate, every 16 symbols (Oerder & Meyr, IEEE Trans. Commun.
//!   36 (5), 1988)
//! * `pam`: stretches of one timing, symbol instants, blocks of soft symbols
//! * `detector`: intersymbol interference, noise colour, levels and bits together (noise-predictive
//!   maximum likelihood, Chevillat et al. 1992)
//!
//! **Es/N0** is that of the eye: energy of a symbol in the estimated channel over twice the noise
//! variance, i.e. that of a coherent antipodal signal with the same distance. On a discriminator
//! it lies some dB below the Es/N0 of the signal before it.
//!
//! **Frequency offset** is the offset in the audio times the nominal deviation over the deviation
//! in the audio; 0 if the deviation is unknown.

mod detector;
mod interpolator;
pub(in crate::modulation) mod pam;
mod timing;

use num_complex::Complex32;

use super::{Channel, Demodulator, DemodulatorPlan, Parameters, Reception, SoftBlock};
use crate::error::RequestError;
use pam::PamReceiver;

/// The channel is wanted flat up to this times the symbol rate.
const HALF_BANDWIDTH: f64 = 1.0;
/// Lowest and highest sample rates, against the symbol rate.
const MIN_SAMPLES_PER_SYMBOL: f64 = 2.2;
const MAX_SAMPLES_PER_SYMBOL: f64 = 10.0;

/// The demodulator of FSK in FM audio.
///
/// # Errors
/// The symbol rate is not a positive number, or too high for the audio.
pub fn plan(
    parameters: &Parameters,
    reception: &Reception,
) -> Result<DemodulatorPlan, RequestError> {
    let rate_bd = checked_rate(parameters, reception)?;
    let deviation_hz = parameters.deviation_hz.unwrap_or(0.0);
    Ok(DemodulatorPlan {
        channel: Channel {
            offset_hz: 0.0,
            half_bandwidth_hz: HALF_BANDWIDTH * rate_bd,
            min_rate_hz: MIN_SAMPLES_PER_SYMBOL * rate_bd,
            max_rate_hz: MAX_SAMPLES_PER_SYMBOL * rate_bd,
        },
        make: Box::new(move |rate_hz| {
            Box::new(FmAudioDemodulator {
                receiver: PamReceiver::new(rate_hz / rate_bd, deviation_hz, deviation_hz < 0.0),
            })
        }),
    })
}

/// The symbol rate, if FM audio of this sample rate can carry it.
pub(in crate::modulation) fn checked_rate(
    parameters: &Parameters,
    reception: &Reception,
) -> Result<f64, RequestError> {
    let rate_bd = parameters.symbol_rate_bd;
    if !(rate_bd.is_finite() && rate_bd > 0.0) {
        return Err(RequestError::new(
            "symbol rate",
            format!("{rate_bd} Bd is not a rate"),
            "give a positive number of baud",
        ));
    }
    let highest = reception.sample_rate_hz / MIN_SAMPLES_PER_SYMBOL;
    if rate_bd > highest {
        return Err(RequestError::new(
            "symbol rate",
            format!("{rate_bd} Bd does not fit into audio of {} Hz", reception.sample_rate_hz),
            format!("at most {highest:.0} Bd, or an IQ recording"),
        ));
    }
    Ok(rate_bd)
}

/// See the module.
struct FmAudioDemodulator {
    receiver: PamReceiver,
}

impl Demodulator for FmAudioDemodulator {
    fn push(&mut self, samples: &[Complex32], out: &mut Vec<SoftBlock>) {
        self.receiver.push(samples.iter().map(|x| x.re), out);
    }

    fn finish(&mut self, out: &mut Vec<SoftBlock>) {
        self.receiver.finish(out);
    }

    fn settled_sample(&self) -> f64 {
        self.receiver.settled_sample()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
pub(in crate::modulation) mod test_signals;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::test_signals::{DiscriminatorSignal, random_bits, seeded};
    use super::*;

    fn blocks(audio: &[f32], samples_per_symbol: f64) -> Vec<SoftBlock> {
        let mut receiver = PamReceiver::new(samples_per_symbol, 0.0, false);
        let mut out = Vec::new();
        receiver.push(audio.iter().copied(), &mut out);
        receiver.finish(&mut out);
        out
    }

    /// Symbols of `bits` found in no run at their place, or wrong there.
    fn errors(bits: &[u8], silence: usize, samples_per_symbol: f64, blocks: &[SoftBlock]) -> usize {
        let mut right = vec![false; bits.len()];
        for block in blocks {
            for (i, llr) in block.llr.iter().enumerate() {
                let sample = block.first_sample + i as f64 * block.samples_per_symbol;
                let symbol = sample / samples_per_symbol - silence as f64 - 0.5;
                let nearest = symbol.round();
                if nearest >= 0.0 && (symbol - nearest).abs() < 0.4 {
                    if let Some(bit) = bits.get(nearest as usize) {
                        right[nearest as usize] |= (*llr < 0.0) == (*bit == 1);
                    }
                }
            }
        }
        right.iter().filter(|r| !**r).count()
    }

    #[test]
    #[ignore]
    fn experiment_coherence() {
        use super::timing::TimingLine;
        let mut rng = seeded(7);
        for (label, bt, index, esn0_db, offset) in [
            ("noise", 0.5, 0.5, -30.0, 0.0),
            ("gmsk 10", 0.5, 0.5, 10.0, 0.0),
            ("gmsk 12", 0.5, 0.5, 12.0, 0.1),
            ("gmsk.3 13", 0.3, 0.5, 13.0, 0.0),
            ("gmsk.3 16", 0.3, 0.5, 16.0, 0.0),
            ("h1 10", 9.0, 1.0, 10.0, 0.0),
        ] {
            let bits = random_bits(20000, &mut rng);
            let signal = DiscriminatorSignal {
                bt,
                index,
                esn0_db,
                offset,
                silence_symbols: 0,
                intermediate_bandwidth: 1.0 + index,
                ..Default::default()
            };
            let audio = signal.receive(&bits, &mut rng);
            let mut z = Vec::new();
            super::interpolator::Interpolator::new(5.0).push(audio.iter().copied(), &mut z);
            let mut windows = Vec::new();
            TimingLine::new().push(&z, &mut windows);
            let mut c: Vec<f32> = windows.iter().map(|w| w.coherence).collect();
            c.sort_by(f32::total_cmp);
            let q = |x: f64| c[(x * (c.len() - 1) as f64) as usize];
            let deviation: Vec<f64> = windows
                .iter()
                .map(|w| {
                    let e = w.phase - 0.5;
                    e - e.round()
                })
                .collect();
            let rms =
                (deviation.iter().map(|e| e * e).sum::<f64>() / deviation.len() as f64).sqrt();
            eprintln!(
                "{label}: min {:.3} 1% {:.3} 10% {:.3} 50% {:.3} 90% {:.3} 99% {:.3} 99.9% {:.3} rms phase {rms:.3}",
                q(0.0),
                q(0.01),
                q(0.1),
                q(0.5),
                q(0.9),
                q(0.99),
                q(0.999)
            );
        }
    }

    #[test]
    #[ignore]
    fn experiment_ber() {
        let mut rng = seeded(3);
        for (label, bt, index, bandwidth) in [
            ("gmsk.5 1.2", 0.5, 0.5, 1.2),
            ("gmsk.5 1.5", 0.5, 0.5, 1.5),
            ("gmsk.5 2.5", 0.5, 0.5, 2.5),
            ("gmsk.3 1.2", 0.3, 0.5, 1.2),
            ("h1 2", 0.5, 1.0, 2.0),
            ("h2/3 1.5", 0.5, 0.667, 1.5),
        ] {
            for esn0_db in [8.0, 9.0, 10.0, 11.0, 12.0, 13.0, 14.0, 16.0] {
                let bits = random_bits(20000, &mut rng);
                let signal = DiscriminatorSignal {
                    bt,
                    index,
                    esn0_db,
                    intermediate_bandwidth: bandwidth,
                    offset: 0.1,
                    ..Default::default()
                };
                let audio = signal.receive(&bits, &mut rng);
                let out = blocks(&audio, 5.0);
                let runs = out.iter().map(|b| b.run).max();
                let eye: f32 = out.iter().map(|b| b.esn0_db).sum::<f32>() / out.len() as f32;
                eprintln!(
                    "{label} {esn0_db} dB: ber {:.5} runs {:?} eye {eye:.1}",
                    errors(&bits, 300, 5.0, &out) as f64 / 20000.0,
                    runs
                );
            }
        }
    }
}
