#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::f64::consts::TAU;

use super::*;
use crate::framing::Deframer;
use crate::modulation::{Mapping, Preference};
use crate::recording::SampleCoding;
use crate::simulation::{Curve, frames, sigmf_writer};

/// Length byte before the bytes, alternating bits as preamble, eight zeros as postamble.
struct ToyFraming;

struct ToyEncoder;

impl FrameEncoder for ToyEncoder {
    fn preamble(&mut self, symbols: usize, bits: &mut Vec<u8>) {
        bits.extend((0..symbols).map(|k| (k % 2) as u8));
    }

    fn frame(&mut self, bytes: &[u8], bits: &mut Vec<u8>) -> Result<(), RequestError> {
        for byte in std::iter::once(&(bytes.len() as u8)).chain(bytes) {
            bits.extend((0..8).rev().map(|k| (byte >> k) & 1));
        }
        Ok(())
    }

    fn postamble(&mut self, bits: &mut Vec<u8>) {
        bits.extend([0; 8]);
    }
}

impl Framing for ToyFraming {
    fn deframer(&self, _: Mapping, _: crate::effort::Effort) -> Box<dyn Deframer> {
        unreachable!("only sent")
    }

    fn encoder(&self) -> Box<dyn FrameEncoder> {
        Box::new(ToyEncoder)
    }

    fn preference(&self) -> Preference {
        Preference::default()
    }

    fn frame_bytes(&self) -> (usize, usize) {
        (1, 200)
    }
}

/// MSK with a head of one symbol, or its tones in FM, whose state is more than a phase.
struct ToyModulator {
    symbol_rate_bd: f64,
    tones: bool,
}

impl Modulator for ToyModulator {
    fn modulate(
        &self,
        bits: &[u8],
        sample_rate_hz: f64,
        clock_ppm: f64,
        timing_samples: f64,
        out: &mut Vec<Complex32>,
    ) -> f64 {
        let sps = sample_rate_hz / (self.symbol_rate_bd * (1.0 + clock_ppm * 1e-6));
        let head = sps.ceil();
        let length = (head + timing_samples + bits.len() as f64 * sps).ceil() as usize;
        let before: Vec<f64> = bits
            .iter()
            .scan(0.0, |sum, bit| {
                let now = *sum;
                *sum += f64::from(*bit) * 2.0 - 1.0;
                Some(now)
            })
            .collect();
        for n in 0..length {
            let x = (n as f64 - head - timing_samples) / sps;
            let k = (x.max(0.0) as usize).min(bits.len() - 1);
            let ramp = (x - k as f64).clamp(0.0, 1.0) * (f64::from(bits[k]) * 2.0 - 1.0);
            let cycles = 0.25 * (before[k] + ramp);
            out.push(if self.tones {
                let audio = (TAU * (0.3 * n as f64 / sps + cycles)).sin();
                Complex32::from_polar(1.0, audio as f32)
            } else {
                Complex32::from_polar(1.0, (TAU * cycles.fract()) as f32)
            });
        }
        head
    }
}

fn transmission(count: usize, bytes: usize) -> Transmission {
    let mut rng = rand::SeedableRng::seed_from_u64(5);
    Transmission {
        modulator: Box::new(ToyModulator { symbol_rate_bd: 9600.0, tones: false }),
        symbol_rate_bd: 9600.0,
        framing: Box::new(ToyFraming),
        frames: (0..count).map(|_| frames::random(bytes, bytes, &mut rng)).collect(),
        frames_per_burst: 2,
        preamble_symbols: 40,
        lead_in_s: 0.01,
        gap_s: 0.02,
        gap_spread_s: 0.0,
        tail_s: 0.005,
        until_s: f64::INFINITY,
    }
}

fn clean() -> Channel {
    Channel { level_dbfs: 0.0, ..Channel::default() }
}

fn read_all(simulator: &mut Simulator, piece: usize) -> Vec<Complex32> {
    let mut out = Vec::new();
    while simulator.read_samples(&mut out, piece).unwrap() > 0 {}
    out
}

/// Reads MSK bits back from a clean signal, one from the phase step over each symbol.
fn bits_at(samples: &[Complex32], first: f64, sps: f64, count: usize) -> Vec<u8> {
    (0..count)
        .map(|k| {
            let a = samples[(first + (k as f64 + 0.2) * sps) as usize];
            let b = samples[(first + (k as f64 + 0.8) * sps) as usize];
            u8::from((b * a.conj()).im > 0.0)
        })
        .collect()
}

fn bytes_at(samples: &[Complex32], first: f64, sps: f64, count: usize) -> Vec<u8> {
    bits_at(samples, first, sps, count * 8)
        .chunks(8)
        .map(|byte| byte.iter().fold(0, |sum, bit| (sum << 1) | bit))
        .collect()
}

#[test]
fn frames_lie_where_they_are_said_to_lie() {
    let (rate, ppm) = (96_000.0, 80.0);
    let channel = Channel { clock_ppm: ppm, timing_samples: 0.4, ..clean() };
    let mut simulator = Simulator::new(transmission(5, 100), channel, rate, None, None).unwrap();
    let samples = read_all(&mut simulator, 1000);
    let sps = rate / (9600.0 * (1.0 + ppm * 1e-6));
    assert_eq!(simulator.sent().len(), 5);
    for frame in simulator.sent() {
        let first = frame.first_sample as f64 + 0.5;
        assert_eq!(bytes_at(&samples, first + 8.0 * sps, sps, 100), frame.bytes);
        let length = (frame.end_sample - frame.first_sample) as f64;
        assert!((length - 808.0 * sps).abs() <= 1.0, "{length}");
    }
    // Three bursts: lead-in of 960 samples, then head, preamble, frame.
    let first = 960.0 + 10.0 + 0.4 + 40.0 * sps;
    assert_eq!(simulator.sent()[0].first_sample, first as u64);
    assert!(samples[..960].iter().all(|s| *s == Complex32::ZERO));
    assert!(samples[samples.len() - 480..].iter().all(|s| *s == Complex32::ZERO));
    let pauses = samples.iter().filter(|s| **s == Complex32::ZERO).count();
    assert_eq!(pauses, 960 + 2 * 1920 + 480);
}

#[test]
fn reading_in_any_pieces_gives_the_same_samples() {
    let make = || {
        let channel = Channel {
            esn0_db: 10.0,
            frequency_offset_hz: 500.0,
            doppler_hz: Curve::table([(0.0, 900.0), (1.0, -900.0)]),
            clock_ppm: -30.0,
            seed: 9,
            ..Channel::default()
        };
        Simulator::new(transmission(4, 60), channel, 48_000.0, None, Some(437e6)).unwrap()
    };
    let whole = read_all(&mut make(), usize::MAX);
    for piece in [1, 255, 4096] {
        let mut simulator = make();
        assert_eq!(read_all(&mut simulator, piece), whole, "{piece}");
        assert_eq!(simulator.samples_read(), whole.len() as u64);
    }
}

#[test]
fn a_long_burst_in_pieces_is_the_burst_modulated_whole() {
    let rate = 31_234.5;
    for timing_samples in [0.0, 0.73] {
        // Some 50 000 symbols: four pieces.
        let continuous = transmission(31, 200).continuous();
        let mut bits = Vec::new();
        ToyEncoder.preamble(40, &mut bits);
        for frame in &continuous.frames {
            ToyEncoder.frame(frame, &mut bits).unwrap();
        }
        ToyEncoder.postamble(&mut bits);
        assert!(bits.len() > 3 * PIECE_SYMBOLS);
        let mut whole = Vec::new();
        continuous.modulator.modulate(&bits, rate, 55.0, timing_samples, &mut whole);

        let channel = Channel { clock_ppm: 55.0, timing_samples, ..clean() };
        let mut simulator = Simulator::new(continuous, channel, rate, None, None).unwrap();
        let samples = read_all(&mut simulator, 10_000);
        let (lead, tail) = (312, 156);
        assert_eq!(samples.len(), lead + whole.len() + tail);
        for (n, (a, b)) in samples[lead..].iter().zip(&whole).enumerate() {
            assert!((a - b).norm() < 1e-4, "sample {n}: {a} {b}");
        }
        assert!(simulator.made.capacity() <= 8 * PIECE_SYMBOLS, "did not stream");
    }
}

#[test]
fn tones_in_fm_are_modulated_whole() {
    let mut long = transmission(31, 200).continuous();
    long.modulator = Box::new(ToyModulator { symbol_rate_bd: 9600.0, tones: true });
    let mut bits = Vec::new();
    ToyEncoder.preamble(40, &mut bits);
    for frame in &long.frames {
        ToyEncoder.frame(frame, &mut bits).unwrap();
    }
    ToyEncoder.postamble(&mut bits);
    let mut whole = Vec::new();
    long.modulator.modulate(&bits, 48_000.0, 0.0, 0.0, &mut whole);
    let mut simulator = Simulator::new(long, clean(), 48_000.0, None, None).unwrap();
    let samples = read_all(&mut simulator, 10_000);
    assert_eq!(samples[480..480 + whole.len()], whole);
}

#[test]
fn doppler_moves_the_symbol_clock() {
    let rate = 96_000.0;
    let channel = || Channel { doppler_hz: Curve::Constant(43_700.0), ..clean() };
    let length = |centre| {
        let mut simulator =
            Simulator::new(transmission(2, 200), channel(), rate, None, centre).unwrap();
        read_all(&mut simulator, 9999);
        simulator.sent()[1].end_sample as f64 - simulator.sent()[0].first_sample as f64
    };
    // 100 ppm of 3216 symbols of ten samples.
    assert!((length(None) - length(Some(437e6)) - 3.2).abs() <= 1.0);
}

#[test]
fn a_source_has_one_anchor_and_ends() {
    let start: Timestamp = "2026-08-01T12:00:00Z".parse().unwrap();
    let mut simulator =
        Simulator::new(transmission(1, 10), clean(), 48_000.0, Some(start), Some(437e6)).unwrap();
    let mut block = SampleBlock::default();
    assert!(simulator.read(&mut block, 100).unwrap());
    assert_eq!(
        block.anchor,
        Some(Anchor { sample: 0, time: Some(start), centre_frequency_hz: Some(437e6) })
    );
    let mut next = 100;
    while simulator.read(&mut block, 333).unwrap() {
        assert_eq!(block.anchor, None);
        assert_eq!(block.first_sample, next);
        next += block.samples.len() as u64;
    }
    assert!(block.samples.is_empty());
    assert!(!simulator.read(&mut block, 1).unwrap());
}

#[test]
fn the_impossible_is_refused_with_words() {
    let refused = |change: &dyn Fn(&mut Transmission, &mut Channel, &mut f64)| {
        let (mut transmission, mut channel, mut rate) = (transmission(1, 10), clean(), 48_000.0);
        change(&mut transmission, &mut channel, &mut rate);
        match Simulator::new(transmission, channel, rate, None, None) {
            Ok(_) => panic!("accepted"),
            Err(error) => error.to_string(),
        }
    };
    assert!(refused(&|t, _, _| t.frames[0] = vec![0; 201]).contains("1 to 200 bytes"));
    assert!(refused(&|t, _, _| t.gap_s = -1.0).contains("gap: -1 s"));
    assert!(refused(&|t, _, _| t.tail_s = f64::NAN).contains("tail"));
    assert!(refused(&|t, _, _| t.lead_in_s = 1e30).contains("lead-in"));
    assert!(refused(&|t, _, _| t.symbol_rate_bd = f64::NAN).contains("symbol rate"));
    assert!(refused(&|_, _, rate| *rate = 10_000.0).contains("19200 Hz and more"));
    assert!(refused(&|_, _, rate| *rate = f64::INFINITY).contains("sample rate"));
    assert!(refused(&|_, c, _| c.clock_ppm = f64::NAN).contains("clock"));
    assert!(refused(&|_, c, _| c.timing_samples = 1.0).contains("timing"));
    // Nothing to send is a recording of noise.
    let mut nothing = Simulator::new(transmission(0, 1), clean(), 48_000.0, None, None).unwrap();
    assert_eq!(read_all(&mut nothing, 7).len(), 480);
}

#[test]
fn a_recording_is_written_as_sigmf() {
    let folder = tempfile::tempdir().unwrap();
    let start: Timestamp = "2026-08-01T12:00:00Z".parse().unwrap();
    for (format, bytes) in
        [(SampleCoding::Cf32, 8), (SampleCoding::Ci16, 4), (SampleCoding::Ci8, 2)]
    {
        let make = || {
            let channel = Channel { level_dbfs: -6.0, ..Channel::default() };
            Simulator::new(transmission(3, 20), channel, 48_000.0, Some(start), Some(437e6))
                .unwrap()
        };
        let base = folder.path().join(format!("pass.{bytes}.sigmf-meta"));
        let recording = sigmf_writer::write(&base, &mut make(), format, "a test").unwrap();
        let samples = read_all(&mut make(), usize::MAX);
        assert_eq!(recording.samples, samples.len() as u64);
        let data = std::fs::read(&recording.data).unwrap();
        assert_eq!(data.len(), samples.len() * bytes);
        let n = samples.len() / 3;
        let re = match format {
            SampleCoding::Cf32 => f32::from_le_bytes(data[8 * n..8 * n + 4].try_into().unwrap()),
            SampleCoding::Ci8 => f32::from(data[2 * n] as i8) / 128.0,
            SampleCoding::Ci16 => {
                f32::from(i16::from_le_bytes(data[4 * n..4 * n + 2].try_into().unwrap())) / 32_768.0
            }
        };
        let step = if format == SampleCoding::Ci8 { 5e-3 } else { 1e-4 };
        assert!((re - samples[n].re).abs() < step);
        let meta: serde_json::Value =
            serde_json::from_slice(&std::fs::read(&recording.meta).unwrap()).unwrap();
        assert_eq!(meta["global"]["core:datatype"], format.datatype(true));
        assert_eq!(meta["global"]["core:sample_rate"], 48_000.0);
        assert_eq!(meta["captures"][0]["core:frequency"], 437e6);
        assert_eq!(meta["captures"][0]["core:datetime"], "2026-08-01T12:00:00Z");
        assert_eq!(meta["annotations"].as_array().unwrap().len(), 3);
        let frames: Vec<String> =
            serde_json::from_slice(&std::fs::read(&recording.frames).unwrap()).unwrap();
        assert_eq!(frames.len(), 3);
        assert_eq!(frames[0].len(), 40);
    }
    let nowhere = folder.path().join("none").join("x");
    let mut simulator = Simulator::new(transmission(1, 1), clean(), 48e3, None, None).unwrap();
    let error = sigmf_writer::write(&nowhere, &mut simulator, SampleCoding::Cf32, "").unwrap_err();
    assert!(error.to_string().contains("x.sigmf-data"));
}

#[test]
fn example_frames_fit_their_framing() {
    for name in ["AX.25 G3RUH", "CCSDS Uncoded", "GEOSCAN"] {
        let made = frames::for_framing(name, &ToyFraming, 20, 1);
        assert_eq!(made.len(), 20);
        assert!(made.iter().all(|f| (1..=200).contains(&f.len())));
        assert_eq!(made, frames::for_framing(name, &ToyFraming, 20, 1));
        assert_ne!(made, frames::for_framing(name, &ToyFraming, 20, 2));
    }
    let made = frames::for_framing("CCSDS Uncoded", &ToyFraming, 1, 1);
    assert_eq!((made[0].len(), frames::fecf(&made[0])), (200, 0));
}

#[test]
fn gaps_are_spread_by_chance_and_by_the_seed_alone() {
    let starts = |seed: u64| -> Vec<u64> {
        let mut transmission = transmission(6, 100);
        transmission.frames_per_burst = 1;
        transmission.gap_s = 0.1;
        transmission.gap_spread_s = 0.2;
        let channel = Channel { seed, ..Channel::default() };
        let mut simulator = Simulator::new(transmission, channel, 96_000.0, None, None).unwrap();
        read_all(&mut simulator, 10_000);
        simulator.sent().iter().map(|s| s.first_sample).collect()
    };
    let (a, b) = (starts(1), starts(2));
    assert_eq!(a, starts(1));
    assert_ne!(a, b);
    let gaps: Vec<u64> = a.windows(2).map(|w| w[1] - w[0]).collect();
    let (least, most) = (gaps.iter().min().unwrap(), gaps.iter().max().unwrap());
    // Up to 0.2 s at 96 kS/s.
    assert!((2_000..=19_202).contains(&(most - least)), "{gaps:?}");
}
