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
                let near = nearest >= 0.0 && (symbol - nearest).abs() < 0.4;
                if let Some(bit) = bits.get(nearest as usize).filter(|_| near) {
                    right[nearest as usize] |= (*llr < 0.0) == (*bit == 1);
                }
            }
        }
        right[16..right.len() - 16].iter().filter(|r| !**r).count()
    }

    /// Bits in error of one GFSK burst, without the outermost 16.
    fn burst_errors(signal: &DiscriminatorSignal, count: usize, seed: u64) -> usize {
        let mut rng = seeded(seed);
        let bits = random_bits(count, &mut rng);
        let audio = signal.receive(&bits, &mut rng);
        let out = blocks(&audio, signal.samples_per_symbol);
        errors(&bits, signal.silence_symbols, signal.samples_per_symbol, &out)
    }

    /// The figures of an FM discriminator and a slicer at an error rate of 1e-2 are 8.7 dB (GMSK,
    /// BT 0.5), 13.1 dB (BT 0.3), 7.2 dB (h = 2/3) and 7.7 dB (h = 1).
    #[test]
    fn gfsk_is_received_better_than_by_a_slicer() {
        for (index, bt, bandwidth, esn0_db, limit) in [
            (0.5, 0.5, 1.5, 8.7, 40),
            (0.5, 0.5, 1.5, 11.0, 3),
            (0.5, 0.3, 1.2, 13.1, 20),
            (0.667, 0.5, 1.5, 7.5, 40),
            (1.0, 0.5, 2.0, 8.5, 60),
            (1.0, 0.5, 2.0, 12.0, 3),
        ] {
            let signal = DiscriminatorSignal {
                index,
                bt,
                esn0_db,
                intermediate_bandwidth: bandwidth,
                offset: 0.1,
                ..Default::default()
            };
            let wrong = burst_errors(&signal, 4000, 3);
            assert!(wrong <= limit, "h {index} BT {bt} {esn0_db} dB: {wrong} of 4000");
        }
    }

    #[test]
    fn short_bursts_in_loud_noise_are_whole() {
        for count in [160, 250, 600] {
            for seed in 0..6 {
                let signal = DiscriminatorSignal { esn0_db: 14.0, ..Default::default() };
                let wrong = burst_errors(&signal, count, seed);
                assert!(wrong <= 1, "{count} symbols: {wrong} wrong");
            }
        }
    }

    #[test]
    fn every_rate_and_clock_is_found() {
        for samples_per_symbol in [2.5 * 1.0045, 4.915, 5.0, 5.0 * 0.9955, 10.0, 40.0 * 1.004] {
            let nominal = (samples_per_symbol * 2.0f64).round() / 2.0;
            let signal =
                DiscriminatorSignal { samples_per_symbol, esn0_db: 16.0, ..Default::default() };
            let mut rng = seeded(11);
            let bits = random_bits(1200, &mut rng);
            let audio = signal.receive(&bits, &mut rng);
            let nominal = if (nominal / samples_per_symbol - 1.0).abs() < 0.0046 {
                nominal
            } else {
                samples_per_symbol
            };
            let out = blocks(&audio, nominal);
            let wrong = errors(&bits, signal.silence_symbols, samples_per_symbol, &out);
            assert!(wrong <= 2, "{samples_per_symbol} for {nominal}: {wrong} wrong");
        }
    }

    #[test]
    fn bursts_back_to_back_with_another_phase_are_both_whole() {
        let mut rng = seeded(5);
        let first = DiscriminatorSignal { silence_symbols: 100, ..Default::default() };
        let (a, b) = (random_bits(500, &mut rng), random_bits(500, &mut rng));
        let mut audio = first.receive(&a, &mut rng);
        audio.truncate(600 * 5 + 2);
        let second = DiscriminatorSignal { silence_symbols: 0, ..Default::default() };
        audio.extend(second.receive(&b, &mut rng));
        audio.extend(std::iter::repeat_n(0.0, 500));
        let out = blocks(&audio, 5.0);
        assert!(errors(&a, 100, 5.0, &out) <= 1);
        let shifted: Vec<SoftBlock> = out
            .into_iter()
            .map(|block| SoftBlock { first_sample: block.first_sample - 3002.0, ..block })
            .collect();
        assert!(errors(&b, 0, 5.0, &shifted) <= 1);
    }

    #[test]
    fn drifting_offset_and_long_runs_of_equal_bits_do_no_harm() {
        let mut rng = seeded(6);
        let mut bits = random_bits(3000, &mut rng);
        for start in (200..2800).step_by(300) {
            let value = bits[start];
            bits[start..start + 24].fill(value);
        }
        let signal = DiscriminatorSignal { esn0_db: 15.0, ..Default::default() };
        let mut audio = signal.receive(&bits, &mut rng);
        for (n, x) in audio.iter_mut().enumerate() {
            // From -1 to +1 deviations over the burst, scaled to a quiet recording.
            *x = 0.01 * (*x + 0.5 * (n as f32 / 18_000.0 - 0.5));
        }
        let out = blocks(&audio, 5.0);
        assert!(errors(&bits, 300, 5.0, &out) <= 2);
    }

    #[test]
    fn blocks_of_a_run_follow_each_other_and_tell_the_offset() {
        let mut rng = seeded(8);
        let bits = random_bits(2000, &mut rng);
        let signal = DiscriminatorSignal { esn0_db: 18.0, offset: 0.2, ..Default::default() };
        let audio = signal.receive(&bits, &mut rng);
        let parameters = Parameters { deviation_hz: Some(2400.0), ..Parameters::new(9600.0) };
        let plan = plan(&parameters, &reception()).unwrap();
        let mut demodulator = (plan.make)(48_000.0);
        let samples: Vec<Complex32> = audio.iter().map(|x| Complex32::from(*x)).collect();
        let mut out = Vec::new();
        demodulator.push(&samples, &mut out);
        demodulator.finish(&mut out);
        let longest = out.iter().max_by_key(|b| b.first_symbol).unwrap().run;
        let run: Vec<&SoftBlock> = out.iter().filter(|b| b.run == longest).collect();
        for pair in run.windows(2) {
            assert!(!pair[0].end);
            assert_eq!(pair[1].first_symbol, pair[0].first_symbol + pair[0].llr.len() as u64);
            let advance = pair[1].first_sample - pair[0].first_sample;
            let expected = 5.0 * pair[0].llr.len() as f64;
            assert!((advance - expected).abs() < 2.0, "{advance} for {expected}");
        }
        assert!(run.last().unwrap().end);
        let block = run[run.len() / 2];
        assert!((block.samples_per_symbol - 5.0).abs() < 0.01);
        // 0.2 symbol rates.
        assert!((block.frequency_offset_hz - 1920.0).abs() < 250.0, "{block:?}");
        assert!(block.esn0_db > 10.0 && block.esn0_db < 22.0, "{}", block.esn0_db);
    }

    fn reception() -> Reception {
        Reception {
            input: super::super::InputKind::FmAudio,
            sample_rate_hz: 48_000.0,
            intermediate_frequency_hz: None,
            search_hz: 0.0,
            preference: Default::default(),
            effort: crate::effort::Effort::Full,
        }
    }

    #[test]
    fn any_chunking_gives_the_same_blocks_and_finish_begins_anew() {
        let mut rng = seeded(9);
        let signal = DiscriminatorSignal { esn0_db: 10.0, ..Default::default() };
        let audio = signal.receive(&random_bits(1500, &mut rng), &mut rng);
        let whole = blocks(&audio, 5.0);
        assert!(!whole.is_empty());
        for size in [1, 13, 997] {
            let mut receiver = PamReceiver::new(5.0, 0.0, false);
            let mut runs = 0;
            for _ in 0..2 {
                let mut out = Vec::new();
                for piece in audio.chunks(size) {
                    let settled = receiver.settled_sample();
                    let known = out.len();
                    receiver.push(piece.iter().copied(), &mut out);
                    for block in &out[known..] {
                        assert!(block.first_symbol > 0 || block.first_sample >= settled);
                    }
                }
                receiver.finish(&mut out);
                let next = out.iter().map(|b| b.run + 1).max().unwrap();
                out.iter_mut().for_each(|block| block.run -= runs);
                assert_eq!(out, whole, "pieces of {size}");
                runs = next;
            }
        }
    }

    #[test]
    fn noise_is_cheap_and_silence_is_free() {
        let mut rng = seeded(10);
        let signal = DiscriminatorSignal { silence_symbols: 20_000, ..Default::default() };
        let audio = signal.receive(&[], &mut rng);
        let symbols: usize = blocks(&audio, 5.0).iter().map(|b| b.llr.len()).sum();
        assert!(symbols < 12_000, "{symbols} of 40 000");
        assert!(blocks(&vec![0.25; 50_000], 5.0).is_empty());
    }

    #[test]
    fn garbage_does_not_panic() {
        let mut rng = seeded(12);
        let mut audio: Vec<f32> = Vec::new();
        for (n, bit) in random_bits(20_000, &mut rng).into_iter().enumerate() {
            audio.push(match n % 7 {
                0 => f32::NAN,
                1 => f32::INFINITY,
                2 => f32::MAX,
                3 => -f32::MIN_POSITIVE,
                4 => f32::NEG_INFINITY,
                _ => f32::from(bit),
            });
        }
        audio.extend(random_bits(20_000, &mut rng).iter().map(|b| f32::from(*b) * 1e30));
        for samples_per_symbol in [0.0, f64::NAN, 2.5, 5.0, 100.0] {
            let mut receiver = PamReceiver::new(samples_per_symbol, f64::NAN, true);
            let mut out = Vec::new();
            receiver.finish(&mut out);
            receiver.push(audio.iter().copied(), &mut out);
            receiver.finish(&mut out);
            receiver.push([1.0].into_iter(), &mut out);
            receiver.finish(&mut out);
            assert!(out.iter().all(|b| b.llr.iter().all(|l| l.is_finite())));
        }
    }

    #[test]
    fn impossible_rates_are_refused() {
        for rate_bd in [0.0, -1.0, f64::NAN, 40_000.0] {
            assert!(plan(&Parameters::new(rate_bd), &reception()).is_err());
        }
    }
}
