//! AFSK: two tones in the audio of an FM transmission (Bell 202 and its relatives).
//!
//! ```text
//! IQ ─► FM discriminator ─► audio ─► tones' centre to 0 Hz ─► low-pass ─► FM discriminator ─► PAM
//!                 FM audio ────────────────┘ (by the tuner)
//! ```
//!
//! Around their centre the tones are an FSK signal of index h = 2·|deviation| / symbol rate
//! (0.83 for Bell 202 at 1200 Bd), whose instantaneous frequency is a signal of two levels; it is
//! received as one by [`super::fm_audio`]'s receiver, with the sequence detection that takes out
//! what the narrow low-pass does to it. The frequency does not depend on the tones' levels, so
//! that a twist by pre-emphasis or de-emphasis does no harm.
//!
//! In FM audio the FSK trellis receiver runs on the tones beside it: some 4 dB better in white
//! noise, but blind to tones of unequal level. Equal frames are emitted once.
//!
//! The low-pass passes Carson's bandwidth, ± (|deviation| + half the symbol rate).
//!
//! References: Bell System Technical Reference PUB 41212 (Data Sets 202S and 202T); AX.25 over it:
//! TAPR, AX.25 Link Access Protocol v2.2.

use std::collections::VecDeque;
use std::f64::consts::TAU;

use num_complex::Complex32;

use super::fm_audio::{checked_rate, pam::PamReceiver};
use super::{
    Channel, Demodulator, DemodulatorPlan, Descriptor, InputKind, Modulator, Parameters, Reception,
    SoftBlock,
};
use crate::error::RequestError;

/// Centre of the tones if it is not given: that of Bell 202.
const DEFAULT_CARRIER_HZ: f64 = 1700.0;
/// Peak deviation of the FM carrier, for the modulator and for the channel's width.
const FM_DEVIATION_HZ: f64 = 3000.0;
/// The FM carrier is searched this far without losing the sidebands.
const FM_SEARCH_LIMIT_HZ: f64 = 4000.0;
/// The trellis looks for the tones' centre within this of its nominal frequency.
const CENTRE_SEARCH_HZ: f64 = 100.0;
/// Low-pass against Carson's bandwidth.
const BANDWIDTH: f64 = 1.0;
/// Samples per symbol after the low-pass, at least.
const SAMPLES_PER_SYMBOL: f64 = 8.0;
/// Samples in a mean of the first discriminator's output.
const MEAN_SAMPLES: u64 = 256;

/// AFSK in FM.
pub const AFSK: Descriptor = Descriptor {
    name: "AFSK",
    aliases: &["bell202", "bell 202", "afsk-fm"],
    summary: "two audio tones in FM (Bell 202: 1200 and 2200 Hz)",
    reference: "Bell System PUB 41212",
    real_input: InputKind::FmAudio,
    demodulators,
    modulator,
};

/// Centre and deviation of the tones.
fn tones(parameters: &Parameters) -> Result<(f64, f64), RequestError> {
    let carrier_hz = parameters.audio_carrier_hz.unwrap_or(DEFAULT_CARRIER_HZ);
    // Bell 202 at 1200 Bd, and the same index at other rates.
    let deviation_hz = parameters.deviation_hz.unwrap_or(parameters.symbol_rate_bd * 5.0 / 12.0);
    if !(carrier_hz.is_finite() && carrier_hz > 0.0) {
        return Err(RequestError::new(
            "audio carrier",
            format!("{carrier_hz} Hz is no audio frequency"),
            "give the centre of the two tones, such as 1700",
        ));
    }
    if !(deviation_hz.is_finite() && deviation_hz != 0.0) {
        return Err(RequestError::new(
            "deviation",
            format!("{deviation_hz} Hz does not separate two tones"),
            "give half the distance of the tones, such as 500",
        ));
    }
    Ok((carrier_hz, deviation_hz))
}

fn demodulators(
    parameters: &Parameters,
    reception: &Reception,
) -> Result<Vec<DemodulatorPlan>, RequestError> {
    let rate_bd = checked_rate(parameters, reception)?;
    let (carrier_hz, deviation_hz) = tones(parameters)?;
    let half_bandwidth_hz = BANDWIDTH * (deviation_hz.abs() + 0.5 * rate_bd);
    let plan = if reception.input == InputKind::FmAudio {
        DemodulatorPlan {
            channel: Channel {
                offset_hz: carrier_hz,
                half_bandwidth_hz: 1.3 * half_bandwidth_hz,
                min_rate_hz: 4.0 * half_bandwidth_hz,
                max_rate_hz: (2.0 * SAMPLES_PER_SYMBOL * rate_bd).max(8.0 * half_bandwidth_hz),
            },
            make: Box::new(move |rate_hz| {
                Box::new(AfskDemodulator {
                    discriminator: None,
                    tones: ToneReceiver::new(
                        rate_hz,
                        0.0,
                        half_bandwidth_hz,
                        rate_bd,
                        deviation_hz,
                    ),
                })
            }),
        }
    } else {
        let search_hz = reception.search_hz.abs().min(FM_SEARCH_LIMIT_HZ);
        let sidebands_hz = FM_DEVIATION_HZ + carrier_hz + half_bandwidth_hz;
        DemodulatorPlan {
            channel: Channel {
                offset_hz: 0.0,
                half_bandwidth_hz: sidebands_hz + search_hz,
                min_rate_hz: 2.5 * (sidebands_hz + search_hz),
                max_rate_hz: 6.0 * (sidebands_hz + search_hz),
            },
            make: Box::new(move |rate_hz| {
                Box::new(AfskDemodulator {
                    discriminator: Some(CarrierDiscriminator::new(rate_hz)),
                    tones: ToneReceiver::new(
                        rate_hz,
                        carrier_hz,
                        half_bandwidth_hz,
                        rate_bd,
                        deviation_hz,
                    ),
                })
            }),
        }
    };
    let mut plans = vec![plan];
    if reception.input == InputKind::FmAudio {
        plans.push(trellis(parameters, reception, carrier_hz, deviation_hz)?);
    }
    Ok(plans)
}

/// The tones as what they are around their centre, FSK of continuous phase, received by its
/// trellis: some 4 dB better in white noise than a discriminator, but it wants tones of equal
/// level and a phase that runs on from symbol to symbol.
fn trellis(
    parameters: &Parameters,
    reception: &Reception,
    carrier_hz: f64,
    deviation_hz: f64,
) -> Result<DemodulatorPlan, RequestError> {
    let parameters = Parameters { deviation_hz: Some(deviation_hz), ..parameters.clone() };
    let reception = Reception { input: InputKind::Iq, search_hz: CENTRE_SEARCH_HZ, ..*reception };
    let mut plans = (super::cpm::FSK.demodulators)(&parameters, &reception)?;
    let mut plan = plans.swap_remove(0);
    plan.channel.offset_hz += carrier_hz;
    Ok(plan)
}

fn modulator(parameters: &Parameters) -> Result<Box<dyn Modulator>, RequestError> {
    let (carrier_hz, deviation_hz) = tones(parameters)?;
    let symbol_rate_bd = parameters.symbol_rate_bd;
    if !(symbol_rate_bd.is_finite() && symbol_rate_bd > 0.0) {
        return Err(RequestError::new(
            "symbol rate",
            format!("{symbol_rate_bd} Bd is not a rate"),
            "give a positive number of baud",
        ));
    }
    Ok(Box::new(AfskModulator { symbol_rate_bd, carrier_hz, deviation_hz }))
}

/// The FM discriminator of an IQ input: instantaneous frequency in cycles per sample.
struct CarrierDiscriminator {
    rate_hz: f64,
    previous: Complex32,
    /// Means of the output over [`MEAN_SAMPLES`], from mean number `first_mean` on.
    means: VecDeque<f64>,
    first_mean: u64,
    sum: f64,
    count: u64,
}

impl CarrierDiscriminator {
    fn new(rate_hz: f64) -> Self {
        Self {
            rate_hz,
            previous: Complex32::ZERO,
            means: VecDeque::new(),
            first_mean: 0,
            sum: 0.0,
            count: 0,
        }
    }

    fn step(&mut self, sample: Complex32) -> f32 {
        let turn = (sample * self.previous.conj()).arg() / std::f32::consts::TAU;
        self.previous = sample;
        let turn = if turn.is_finite() { turn } else { 0.0 };
        self.sum += f64::from(turn);
        self.count += 1;
        if self.count == MEAN_SAMPLES {
            self.means.push_back(self.sum / MEAN_SAMPLES as f64);
            self.sum = 0.0;
            self.count = 0;
            // Far more than a block of symbols and its delay.
            if self.means.len() > 1 << 14 {
                self.means.pop_front();
                self.first_mean += 1;
            }
        }
        turn
    }

    /// Carrier during a block of symbols: the mean frequency over it.
    fn carrier_hz(&self, block: &SoftBlock) -> f64 {
        let index = |sample: f64| {
            let mean = (sample / MEAN_SAMPLES as f64).max(0.0) as u64;
            (mean.saturating_sub(self.first_mean) as usize).min(self.means.len())
        };
        let from = index(block.first_sample);
        let length = block.llr.len() as f64 * block.samples_per_symbol;
        let to = (index(block.first_sample + length) + 1).min(self.means.len());
        if from >= to {
            return 0.0;
        }
        self.rate_hz * self.means.range(from..to).sum::<f64>() / (to - from) as f64
    }
}

/// Complex samples with the tones around a frequency → soft symbols.
struct ToneReceiver {
    /// Frequency of the tones' centre, in cycles per sample.
    carrier: f64,
    taps: Vec<f32>,
    decimation: usize,
    /// Samples brought to 0 Hz, from position `first` on; zeros before the first sample.
    held: Vec<Complex32>,
    first: i64,
    taken: u64,
    next: i64,
    previous: Complex32,
    /// Output of the discriminator, in units of the deviation.
    frequency: Vec<f32>,
    scale: f32,
    receiver: PamReceiver,
}

impl ToneReceiver {
    fn new(
        rate_hz: f64,
        carrier_hz: f64,
        half_bandwidth_hz: f64,
        rate_bd: f64,
        deviation_hz: f64,
    ) -> Self {
        let decimation = (rate_hz / (SAMPLES_PER_SYMBOL * rate_bd)).floor().max(1.0);
        // Hann-windowed sinc; its transition is about the symbol rate wide.
        let cut_off = (half_bandwidth_hz / rate_hz).min(0.45);
        let half = (2.0 * rate_hz / rate_bd).ceil().clamp(4.0, 4096.0) as usize;
        let taps: Vec<f64> = (0..=2 * half)
            .map(|i| {
                let t = i as f64 - half as f64;
                let x = TAU * cut_off * t;
                let sinc = if t == 0.0 { 1.0 } else { x.sin() / x };
                sinc * (0.25 * TAU * t / (half + 1) as f64).cos().powi(2)
            })
            .collect();
        let sum: f64 = taps.iter().sum();
        let output_rate_hz = rate_hz / decimation;
        let mut new = Self {
            carrier: carrier_hz / rate_hz,
            taps: taps.iter().map(|tap| (tap / sum) as f32).collect(),
            decimation: decimation as usize,
            held: Vec::new(),
            first: 0,
            taken: 0,
            next: 0,
            previous: Complex32::ZERO,
            frequency: Vec::new(),
            scale: (output_rate_hz / (TAU * deviation_hz.abs())) as f32,
            receiver: PamReceiver::new(output_rate_hz / rate_bd, 0.0, deviation_hz < 0.0),
        };
        new.restart();
        new
    }

    fn restart(&mut self) {
        let half = self.taps.len() / 2;
        self.held.clear();
        self.held.resize(half, Complex32::ZERO);
        self.first = -(half as i64);
        self.taken = 0;
        self.next = 0;
        self.previous = Complex32::ZERO;
    }

    fn push(&mut self, samples: impl Iterator<Item = Complex32>, out: &mut Vec<SoftBlock>) {
        for sample in samples {
            let finite = sample.re.abs() < 1e9 && sample.im.abs() < 1e9;
            let mut sample = if finite { sample } else { Complex32::ZERO };
            if self.carrier != 0.0 {
                let cycles = (self.taken as f64 * self.carrier).fract();
                sample *= Complex32::cis((-TAU * cycles) as f32);
            }
            self.held.push(sample);
            self.taken += 1;
        }
        self.frequency.clear();
        let half = (self.taps.len() / 2) as i64;
        loop {
            let start = (self.next - half - self.first).max(0) as usize;
            let Some(window) = self.held.get(start..start + self.taps.len()) else { break };
            let filtered: Complex32 = window.iter().zip(&self.taps).map(|(x, tap)| x * tap).sum();
            let turn = (filtered * self.previous.conj()).arg();
            self.previous = filtered;
            self.frequency.push(turn * self.scale);
            self.next += self.decimation as i64;
        }
        let spent = (self.next - half - self.first).max(0) as usize;
        if spent > self.held.len() / 2 {
            let spent = spent.min(self.held.len());
            self.held.drain(..spent);
            self.first += spent as i64;
        }
        let start = out.len();
        self.receiver.push(self.frequency.iter().copied(), out);
        self.in_input_samples(&mut out[start..]);
    }

    fn finish(&mut self, out: &mut Vec<SoftBlock>) {
        let half = self.taps.len() / 2;
        let start = out.len();
        self.push(std::iter::repeat_n(Complex32::ZERO, half), out);
        let end = out.len();
        self.receiver.finish(out);
        self.in_input_samples(&mut out[end..]);
        debug_assert!(start <= end);
        self.restart();
    }

    /// The receiver counts decimated samples; its frequency is the tones', not the carrier's. The
    /// second discriminator's output lies half a sample before its number.
    fn in_input_samples(&self, blocks: &mut [SoftBlock]) {
        for block in blocks {
            block.first_sample = (block.first_sample - 0.5) * self.decimation as f64;
            block.samples_per_symbol *= self.decimation as f64;
            block.frequency_offset_hz = 0.0;
        }
    }

    fn settled_sample(&self) -> f64 {
        ((self.receiver.settled_sample() - 0.5) * self.decimation as f64).max(0.0)
    }
}

/// See the module.
struct AfskDemodulator {
    discriminator: Option<CarrierDiscriminator>,
    tones: ToneReceiver,
}

impl AfskDemodulator {
    fn with_carrier(&self, blocks: &mut [SoftBlock]) {
        if let Some(discriminator) = &self.discriminator {
            for block in blocks {
                block.frequency_offset_hz = discriminator.carrier_hz(block);
            }
        }
    }
}

impl Demodulator for AfskDemodulator {
    fn push(&mut self, samples: &[Complex32], out: &mut Vec<SoftBlock>) {
        // Blocks come out as soon as they are complete, whatever the size of the pieces, so that
        // the means of the first discriminator that exist then are the same.
        for piece in samples.chunks(1024) {
            let start = out.len();
            match &mut self.discriminator {
                Some(discriminator) => {
                    let audio = piece.iter().map(|x| Complex32::from(discriminator.step(*x)));
                    self.tones.push(audio, out);
                }
                None => self.tones.push(piece.iter().copied(), out),
            }
            self.with_carrier(&mut out[start..]);
        }
    }

    fn finish(&mut self, out: &mut Vec<SoftBlock>) {
        let start = out.len();
        self.tones.finish(out);
        self.with_carrier(&mut out[start..]);
        if let Some(discriminator) = &mut self.discriminator {
            *discriminator = CarrierDiscriminator::new(discriminator.rate_hz);
        }
    }

    fn settled_sample(&self) -> f64 {
        self.tones.settled_sample()
    }
}

/// Tones of continuous phase on an FM carrier.
struct AfskModulator {
    symbol_rate_bd: f64,
    carrier_hz: f64,
    deviation_hz: f64,
}

impl Modulator for AfskModulator {
    fn modulate(
        &self,
        bits: &[u8],
        sample_rate_hz: f64,
        clock_ppm: f64,
        timing_samples: f64,
        out: &mut Vec<Complex32>,
    ) -> f64 {
        let rate_hz = if sample_rate_hz > 0.0 { sample_rate_hz } else { 1.0 };
        let symbols_per_sample = self.symbol_rate_bd * (1.0 + clock_ppm * 1e-6) / rate_hz;
        let total = (bits.len() as f64 / symbols_per_sample + timing_samples).ceil().max(0.0);
        let (mut tone, mut carrier) = (0.0f64, 0.0f64);
        for n in 0..total as u64 {
            let symbol = ((n as f64 - timing_samples) * symbols_per_sample).floor().max(0.0);
            let sign =
                if bits.get(symbol as usize).is_some_and(|bit| *bit == 1) { 1.0 } else { -1.0 };
            out.push(Complex32::cis((TAU * carrier) as f32));
            carrier = (carrier + FM_DEVIATION_HZ * (TAU * tone).sin() / rate_hz).fract();
            tone = (tone + (self.carrier_hz + sign * self.deviation_hz) / rate_hz).fract();
        }
        0.0
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use rand::Rng;
    use rand_distr::StandardNormal;

    use super::super::Preference;
    use super::super::fm_audio::test_signals::{random_bits, seeded};
    use super::*;

    fn reception(input: InputKind) -> Reception {
        Reception {
            input,
            sample_rate_hz: 48_000.0,
            intermediate_frequency_hz: None,
            search_hz: 3000.0,
            preference: Preference::default(),
            effort: crate::effort::Effort::Full,
        }
    }

    fn demodulator(parameters: &Parameters, input: InputKind) -> Box<dyn Demodulator> {
        let plans = demodulators(parameters, &reception(input)).unwrap();
        (plans[0].make)(48_000.0)
    }

    /// Wrong bits, apart from the outermost 8.
    fn errors(bits: &[u8], start: f64, samples_per_symbol: f64, blocks: &[SoftBlock]) -> usize {
        let mut right = vec![false; bits.len()];
        for block in blocks {
            for (i, llr) in block.llr.iter().enumerate() {
                let sample = block.first_sample + i as f64 * block.samples_per_symbol;
                let symbol = (sample - start) / samples_per_symbol - 0.5;
                let nearest = symbol.round();
                let near = nearest >= 0.0 && (symbol - nearest).abs() < 0.3;
                if let Some(bit) = bits.get(nearest as usize).filter(|_| near) {
                    right[nearest as usize] |= (*llr < 0.0) == (*bit == 1);
                }
            }
        }
        right[8..right.len() - 8].iter().filter(|right| !**right).count()
    }

    /// An AFSK transmission at IQ between noise, with a carrier offset.
    fn iq(parameters: &Parameters, bits: &[u8], carrier_hz: f64, noise: f32) -> Vec<Complex32> {
        let mut rng = seeded(4);
        let mut samples = vec![Complex32::ZERO; 8000];
        let modulator = modulator(parameters).unwrap();
        assert!(modulator.modulate(bits, 48_000.0, 0.0, 0.0, &mut samples) == 0.0);
        samples.resize(samples.len() + 8000, Complex32::ZERO);
        for (n, x) in samples.iter_mut().enumerate() {
            let turn = (carrier_hz * n as f64 / 48_000.0).fract();
            let (a, b): (f32, f32) = (rng.sample(StandardNormal), rng.sample(StandardNormal));
            *x = *x * Complex32::cis((TAU * turn) as f32) + Complex32::new(a, b) * noise;
        }
        samples
    }

    fn run(
        demodulator: &mut dyn Demodulator,
        samples: &[Complex32],
        size: usize,
    ) -> Vec<SoftBlock> {
        let mut out = Vec::new();
        for piece in samples.chunks(size) {
            demodulator.push(piece, &mut out);
        }
        demodulator.finish(&mut out);
        out
    }

    fn modes() -> Vec<Parameters> {
        [
            (1200.0, 1700.0, 500.0),
            (1240.0, 1700.0, 500.0),
            (1200.0, 1500.0, -600.0),
            (1200.0, 1500.0, -300.0),
        ]
        .into_iter()
        .map(|(rate_bd, carrier_hz, deviation_hz)| Parameters {
            audio_carrier_hz: Some(carrier_hz),
            deviation_hz: Some(deviation_hz),
            ..Parameters::new(rate_bd)
        })
        .collect()
    }

    #[test]
    fn every_bit_comes_through_iq() {
        for parameters in modes() {
            let bits = random_bits(500, &mut seeded(3));
            let samples = iq(&parameters, &bits, 1100.0, 0.25);
            let mut demodulator = demodulator(&parameters, InputKind::Iq);
            let out = run(demodulator.as_mut(), &samples, 4096);
            let symbol = 48_000.0 / parameters.symbol_rate_bd;
            assert_eq!(errors(&bits, 8000.0, symbol, &out), 0, "{parameters:?}");
            let middle = out.iter().max_by(|a, b| a.esn0_db.total_cmp(&b.esn0_db)).unwrap();
            assert!((middle.frequency_offset_hz - 1100.0).abs() < 200.0, "{middle:?}");
        }
    }

    /// As the tuner gives FM audio: the tones around 0 Hz, with a twist of 6 dB between them.
    #[test]
    fn every_bit_comes_through_twisted_audio() {
        for parameters in modes() {
            let mut rng = seeded(5);
            let bits = random_bits(600, &mut rng);
            let symbol = 48_000.0 / parameters.symbol_rate_bd;
            let deviation_hz = parameters.deviation_hz.unwrap();
            let mut phase = 0.0;
            let samples: Vec<Complex32> = (0..((bits.len() + 400) as f64 * symbol) as usize)
                .map(|n| {
                    let (a, b): (f32, f32) =
                        (rng.sample(StandardNormal), rng.sample(StandardNormal));
                    let noise = Complex32::new(a, b) * 0.3;
                    let position = n as f64 / symbol - 200.0;
                    if position < 0.0 || position >= bits.len() as f64 {
                        return noise;
                    }
                    let one = bits[position as usize] == 1;
                    phase += if one { deviation_hz } else { -deviation_hz } / 48_000.0;
                    Complex32::cis((TAU * phase) as f32) * if one { 1.0 } else { 0.5 } + noise
                })
                .collect();
            let mut demodulator = demodulator(&parameters, InputKind::FmAudio);
            let out = run(demodulator.as_mut(), &samples, 4096);
            assert!(errors(&bits, 200.0 * symbol, symbol, &out) <= 1, "{parameters:?}");
        }
    }

    #[test]
    fn any_chunking_gives_the_same_blocks() {
        let parameters = Parameters::new(1200.0);
        let samples = iq(&parameters, &random_bits(300, &mut seeded(6)), -500.0, 0.2);
        for input in [InputKind::Iq, InputKind::FmAudio] {
            let mut demodulator = demodulator(&parameters, input);
            let whole = run(demodulator.as_mut(), &samples, samples.len());
            let runs = whole.iter().map(|b| b.run + 1).max().unwrap_or(0);
            let mut again = run(demodulator.as_mut(), &samples, 37);
            again.iter_mut().for_each(|block| block.run -= runs);
            assert_eq!(whole, again, "{input:?}");
        }
    }

    #[test]
    fn garbage_and_wrong_requests_do_not_panic() {
        let samples: Vec<Complex32> = (0..20_000)
            .map(|n| match n % 5 {
                0 => Complex32::new(f32::NAN, 0.0),
                1 => Complex32::new(f32::INFINITY, f32::MAX),
                2 => Complex32::new(f32::MIN, f32::MIN_POSITIVE),
                _ => Complex32::new(1.0, -1.0),
            })
            .collect();
        for input in [InputKind::Iq, InputKind::FmAudio] {
            let mut demodulator = demodulator(&Parameters::new(1200.0), input);
            let mut out = Vec::new();
            demodulator.finish(&mut out);
            demodulator.push(&samples, &mut out);
            demodulator.finish(&mut out);
            assert!(out.iter().all(|b| b.llr.iter().all(|l| l.is_finite())));
        }
        for (rate_bd, carrier_hz, deviation_hz) in
            [(0.0, 1700.0, 500.0), (1200.0, -1.0, 500.0), (1200.0, 1700.0, 0.0)]
        {
            let parameters = Parameters {
                audio_carrier_hz: Some(carrier_hz),
                deviation_hz: Some(deviation_hz),
                ..Parameters::new(rate_bd)
            };
            assert!(demodulators(&parameters, &reception(InputKind::FmAudio)).is_err());
            assert!(modulator(&parameters).is_err());
        }
    }
}
