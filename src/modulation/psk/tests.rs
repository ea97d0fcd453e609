#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::f64::consts::TAU;

use num_complex::Complex32;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use super::*;
use crate::modulation::{Preference, SoftBlock};

/// A transmission over a channel.
#[derive(Clone)]
struct Signal {
    parameters: Parameters,
    differential: bool,
    msk: bool,
    rate_hz: f64,
    symbols: usize,
    before_symbols: usize,
    after_symbols: usize,
    esn0_db: f64,
    offset_hz: f64,
    drift_hz_per_s: f64,
    clock_ppm: f64,
    seed: u64,
}

impl Signal {
    fn new(baud: f64, rate_hz: f64, symbols: usize, esn0_db: f64) -> Self {
        Self {
            parameters: Parameters::new(baud),
            differential: false,
            msk: false,
            rate_hz,
            symbols,
            before_symbols: 300,
            after_symbols: 300,
            esn0_db,
            offset_hz: 0.0,
            drift_hz_per_s: 0.0,
            clock_ppm: 0.0,
            seed: 1,
        }
    }

    fn reception(&self, coded: bool) -> Reception {
        Reception {
            input: InputKind::Iq,
            sample_rate_hz: self.rate_hz,
            intermediate_frequency_hz: None,
            search_hz: 5000.0,
            preference: Preference { differential: false, continuous: coded, coded },
            effort: crate::effort::Effort::Full,
        }
    }

    /// Samples, and the phases sent (for MSK the p_k of the contract).
    fn make(&self) -> (Vec<Complex32>, Vec<u8>) {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        let bits: Vec<u8> = (0..self.symbols).map(|_| rng.random_range(0..2)).collect();
        let sps = self.rate_hz / self.parameters.symbol_rate_bd;
        let mut samples = vec![Complex32::default(); (self.before_symbols as f64 * sps) as usize];
        if self.msk {
            // CPFSK with a rectangular frequency pulse.
            let period = sps / (1.0 + self.clock_ppm * 1e-6);
            let mut phase = 0.0f64;
            for n in 0..(self.symbols as f64 * period) as usize {
                let bit = bits[(n as f64 / period) as usize];
                phase += if bit == 1 { 0.25 } else { -0.25 } / period;
                samples.push(Complex32::cis((TAU * phase) as f32));
            }
        } else {
            let modulator = modulator(&self.parameters, self.differential).unwrap();
            modulator.modulate(&bits, self.rate_hz, self.clock_ppm, 0.37, &mut samples);
        }
        let after = (self.after_symbols as f64 * sps) as usize;
        samples.resize(samples.len() + after, Complex32::default());
        let sigma = (0.5 * sps * 10f64.powf(-0.1 * self.esn0_db)).sqrt();
        for (n, x) in samples.iter_mut().enumerate() {
            let t = n as f64 / self.rate_hz;
            let turn = TAU * (self.offset_hz * t + 0.5 * self.drift_hz_per_s * t * t) + 1.0;
            *x *= Complex32::new(turn.cos() as f32, turn.sin() as f32);
            let (a, b): (f64, f64) =
                (StandardNormal.sample(&mut rng), StandardNormal.sample(&mut rng));
            *x += Complex32::new((sigma * a) as f32, (sigma * b) as f32);
            *x *= 0.05;
        }
        let phases = if self.differential || self.msk {
            bits.iter()
                .scan(0, |p, b| {
                    *p ^= b;
                    Some(*p)
                })
                .collect()
        } else {
            bits
        };
        (samples, phases)
    }

    fn receive(&self, samples: &[Complex32], coded: bool) -> Vec<Run> {
        let reception = self.reception(coded);
        let plan = if self.msk {
            msk_plan(&self.parameters, &reception)
        } else {
            let mapping = if self.differential { Mapping::Differential } else { Mapping::Direct };
            plan(&self.parameters, &reception, mapping, false)
        };
        let mut demodulator = (plan.unwrap().make)(self.rate_hz);
        let mut blocks = Vec::new();
        for chunk in samples.chunks(9973) {
            demodulator.push(chunk, &mut blocks);
        }
        demodulator.finish(&mut blocks);
        runs(&blocks)
    }
}

#[derive(Debug, Clone, Default, PartialEq)]
struct Run {
    llr: Vec<f32>,
    at: Vec<f64>,
    frequency_hz: Vec<f64>,
    esn0_db: Vec<f32>,
    ended: bool,
}

/// Puts blocks together, checking what the contract says about them.
fn runs(blocks: &[SoftBlock]) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for block in blocks {
        let index = block.run as usize;
        runs.resize_with(runs.len().max(index + 1), Run::default);
        let run = &mut runs[index];
        assert!(!run.ended);
        assert_eq!(block.first_symbol as usize, run.llr.len());
        if let Some(last) = run.at.last() {
            let gap = (block.first_sample - last) / block.samples_per_symbol;
            assert!((gap - 1.0).abs() < 0.6, "symbols {gap} periods apart");
        }
        assert!(block.llr.iter().all(|l| l.is_finite()));
        assert!(block.esn0_db.is_finite() && block.frequency_offset_hz.is_finite());
        for (i, llr) in block.llr.iter().enumerate() {
            run.llr.push(*llr);
            run.at.push(block.first_sample + i as f64 * block.samples_per_symbol);
        }
        run.frequency_hz.push(block.frequency_offset_hz);
        run.esn0_db.push(block.esn0_db);
        run.ended = block.end;
    }
    assert!(runs.iter().all(|r| r.ended));
    runs
}

/// Errors of a run against phases at the best alignment, in its better polarity, and their number.
fn errors(run: &Run, phases: &[u8], signal: &Signal) -> (usize, usize) {
    let sps = signal.rate_hz / signal.parameters.symbol_rate_bd;
    // Where the first symbol of the signal should be in the run.
    let start = signal.before_symbols as f64 * sps + 8.0 * sps;
    let near = run.at.partition_point(|p| *p < start) as i64;
    let mut best = (usize::MAX, 0);
    for shift in -14..=14 {
        let from = near + shift;
        let mut wrong = 0;
        let mut count = 0;
        for (k, phase) in phases.iter().enumerate() {
            if let Some(llr) = usize::try_from(from + k as i64).ok().and_then(|i| run.llr.get(i)) {
                count += 1;
                wrong += usize::from(u8::from(*llr < 0.0) != *phase);
            }
        }
        let missing = phases.len() - count;
        let wrong = wrong.min(count - wrong) + missing;
        if wrong < best.0 {
            best = (wrong, phases.len());
        }
    }
    best
}

/// Symbol error probability of coherent BPSK.
fn theory(esn0_db: f64) -> f64 {
    0.5 * (1.0 - pulse::error_function(10f64.powf(0.05 * esn0_db)))
}

fn longest(runs: &[Run]) -> &Run {
    runs.iter().max_by_key(|r| r.llr.len()).expect("a run")
}

#[test]
fn symbol_errors_are_those_of_theory() {
    for (esn0, symbols, tolerance) in [(4.0, 12_000, 1.12), (6.0, 30_000, 1.25)] {
        let signal = Signal { offset_hz: 700.0, ..Signal::new(9600.0, 38_400.0, symbols, esn0) };
        let (samples, phases) = signal.make();
        let runs = signal.receive(&samples, false);
        let (wrong, count) = errors(longest(&runs), &phases, &signal);
        let measured = wrong as f64 / count as f64;
        println!("{esn0} dB: {measured:.5} theory {:.5}, {} runs", theory(esn0), runs.len());
        assert!(measured < tolerance * theory(esn0), "{esn0} dB: {measured}");
    }
}

#[test]
fn coded_symbols_have_no_slips_at_minus_1_5_db() {
    let signal = Signal {
        offset_hz: -2100.0,
        drift_hz_per_s: 60.0,
        clock_ppm: 40.0,
        ..Signal::new(9600.0, 38_400.0, 60_000, -1.5)
    };
    let (samples, phases) = signal.make();
    let runs = signal.receive(&samples, true);
    let (wrong, count) = errors(longest(&runs), &phases, &signal);
    let measured = wrong as f64 / count as f64;
    // 0.1 dB.
    println!("{measured:.5} theory {:.5} {:.5}", theory(-1.5), theory(-1.6));
    assert!(measured < theory(-1.6), "{measured} against {}", theory(-1.5));
}

#[test]
fn bursts_with_offsets_and_clock_errors_are_received() {
    for (baud, rate, offset, drift, ppm, symbols) in [
        (9600.0, 48_000.0, 1558.0, 0.0, -3107.0, 500),
        (9600.0, 48_000.0, -4900.0, 100.0, 1945.0, 1500),
        (9600.0, 23_500.0, 2000.0, 0.0, -3100.0, 1500),
        (1200.0, 12_000.0, 500.0, -103.0, -3162.0, 1200),
        (1200.0, 12_000.0, -1400.0, -47.0, 1945.0, 1200),
    ] {
        let signal = Signal {
            offset_hz: offset,
            drift_hz_per_s: drift,
            clock_ppm: ppm,
            ..Signal::new(baud, rate, symbols, 11.0)
        };
        let (samples, phases) = signal.make();
        let runs = signal.receive(&samples, false);
        let (wrong, count) = errors(longest(&runs), &phases, &signal);
        println!("{baud} Bd {offset} Hz {ppm} ppm: {wrong} of {count}, {} runs", runs.len());
        assert!(wrong <= 2, "{baud} Bd {offset} Hz {ppm} ppm: {wrong} of {count}");
    }
}

#[test]
fn what_a_block_says_is_true() {
    let signal =
        Signal { offset_hz: 333.0, clock_ppm: 80.0, ..Signal::new(9600.0, 48_000.0, 6000, 8.0) };
    let (samples, _) = signal.make();
    let runs = signal.receive(&samples, false);
    let run = longest(&runs);
    let middle = run.frequency_hz.len() / 2;
    assert!((run.frequency_hz[middle] - 333.0).abs() < 5.0, "{:?}", run.frequency_hz);
    assert!((run.esn0_db[middle] - 8.0).abs() < 0.6, "{:?}", run.esn0_db);
    let spacing = (run.at[5000] - run.at[1000]) / 4000.0;
    assert!((spacing / 5.0 - 1.0 + 80e-6).abs() < 20e-6, "{spacing}");
    // The symbols' middles: the first symbol starts 0.37 samples after head and silence.
    let phase = (run.at[3000] - 1500.0 - 38.0 - 0.37) / spacing - 0.5;
    assert!((phase - phase.round()).abs() < 0.06, "{phase}");
}

#[test]
fn a_long_signal_is_one_run_without_seams() {
    let signal = Signal {
        offset_hz: -150.0,
        clock_ppm: -3100.0,
        ..Signal::new(9600.0, 28_800.0, 40_000, 10.0)
    };
    let (samples, phases) = signal.make();
    let runs = signal.receive(&samples, false);
    let (wrong, count) = errors(longest(&runs), &phases, &signal);
    println!("{wrong} of {count}, {} runs", runs.len());
    assert!(wrong < 5, "{wrong} of {count}");
}

#[test]
fn rectangular_symbols_are_received() {
    let mut signal = Signal { offset_hz: 900.0, ..Signal::new(9600.0, 48_000.0, 3000, 9.0) };
    signal.parameters.roll_off = Some(0.0);
    let (samples, phases) = signal.make();
    let (wrong, count) = errors(longest(&signal.receive(&samples, false)), &phases, &signal);
    assert!(wrong < 10, "{wrong} of {count}");
}

#[test]
fn phases_of_msk_follow_the_contract() {
    for coded in [false, true] {
        let signal = Signal {
            msk: true,
            parameters: Parameters { bt: Some(f64::INFINITY), ..Parameters::new(9600.0) },
            offset_hz: 420.0,
            clock_ppm: 20.0,
            ..Signal::new(9600.0, 38_400.0, 8000, 9.0)
        };
        let (samples, phases) = signal.make();
        let runs = signal.receive(&samples, coded);
        let run = longest(&runs);
        // Changes of phase are the bits: compare those, so that no alignment can hide an error.
        let changes: Vec<u8> =
            run.llr.windows(2).map(|w| u8::from((w[0] < 0.0) != (w[1] < 0.0))).collect();
        let sent: Vec<u8> = phases.windows(2).map(|w| w[0] ^ w[1]).collect();
        let found = (0..changes.len().saturating_sub(sent.len()) + 1)
            .map(|s| changes[s..].iter().zip(&sent).skip(4).filter(|(a, b)| a != b).count())
            .min()
            .unwrap();
        println!("{coded}: {found} wrong");
        assert!(found < 8, "{found} wrong");
    }
}

#[test]
fn coded_gmsk_phases_at_minus_1_2_db() {
    let signal = Signal {
        msk: true,
        parameters: Parameters { bt: Some(f64::INFINITY), ..Parameters::new(9600.0) },
        offset_hz: 1200.0,
        drift_hz_per_s: 50.0,
        ..Signal::new(9600.0, 38_400.0, 40_000, -1.2)
    };
    let (samples, phases) = signal.make();
    let runs = signal.receive(&samples, true);
    let (wrong, count) = errors(longest(&runs), &phases, &signal);
    let measured = wrong as f64 / count as f64;
    println!("{measured:.5} theory {:.5} {:.5}, {} runs", theory(-1.2), theory(-1.35), runs.len());
    assert!(measured < theory(-1.35), "{measured} against {}", theory(-1.2));
}

#[test]
fn slow_coded_signals_may_drift() {
    for (baud, msk) in [(4800.0, true), (1200.0, true), (1200.0, false)] {
        let signal = Signal {
            msk,
            parameters: Parameters { bt: Some(f64::INFINITY), ..Parameters::new(baud) },
            offset_hz: -300.0,
            drift_hz_per_s: 98.0,
            ..Signal::new(baud, 4.0 * baud, 8_000, -0.5)
        };
        let (samples, phases) = signal.make();
        let (wrong, count) = errors(longest(&signal.receive(&samples, true)), &phases, &signal);
        let measured = wrong as f64 / count as f64;
        println!("{baud} {msk}: {measured:.4} theory {:.4}", theory(-0.5));
        assert!(measured < theory(-1.0), "{baud} {msk}: {measured} against {}", theory(-0.5));
    }
}

#[test]
fn any_chunking_gives_the_same_blocks() {
    let first = Signal { offset_hz: 600.0, ..Signal::new(9600.0, 25_000.0, 3000, 7.0) };
    let (mut samples, _) = first.make();
    let second =
        Signal { offset_hz: -3000.0, seed: 3, ..Signal::new(9600.0, 25_000.0, 15_000, 9.0) };
    samples.extend(second.make().0);
    let make =
        plan(&first.parameters, &first.reception(false), Mapping::Direct, false).unwrap().make;
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let mut receive = |largest: usize| {
        let mut demodulator = make(first.rate_hz);
        let mut blocks = Vec::new();
        let mut rest = &samples[..];
        let mut settled = 0.0;
        while !rest.is_empty() {
            let (now, later) = rest.split_at(rng.random_range(1..=largest).min(rest.len()));
            let known = blocks.len();
            demodulator.push(now, &mut blocks);
            for block in &blocks[known..] {
                assert!(block.first_symbol > 0 || block.first_sample >= settled);
            }
            assert!(demodulator.settled_sample() >= settled);
            settled = demodulator.settled_sample();
            rest = later;
        }
        demodulator.finish(&mut blocks);
        blocks
    };
    let whole = receive(usize::MAX / 2);
    assert!(whole.len() > 20);
    assert_eq!(whole, receive(700));
    assert_eq!(whole, receive(40_000));
}

#[test]
fn after_finish_it_is_as_new() {
    let signal = Signal::new(9600.0, 38_400.0, 1000, 9.0);
    let (samples, _) = signal.make();
    let mut demodulator =
        (plan(&signal.parameters, &signal.reception(false), Mapping::Direct, false).unwrap().make)(
            38_400.0,
        );
    let mut receive = || {
        let mut blocks = Vec::new();
        demodulator.push(&samples, &mut blocks);
        demodulator.finish(&mut blocks);
        blocks
    };
    let once = receive();
    let runs = once.iter().map(|b| b.run).max().unwrap() + 1;
    let mut again = receive();
    again.iter_mut().for_each(|b| b.run -= runs);
    assert_eq!(once, again);
}

#[test]
fn noise_invents_next_to_nothing() {
    let mut quiet = Signal::new(9600.0, 38_400.0, 0, 0.0);
    quiet.before_symbols = 96_000;
    for coded in [false, true] {
        let (samples, _) = quiet.make();
        let runs = quiet.receive(&samples, coded);
        println!("{coded}: {} runs in 10 s", runs.len());
        assert!(runs.len() <= 3);
    }
}

#[test]
fn two_signals_beside_a_strong_carrier_are_received() {
    let first = Signal { offset_hz: -3000.0, ..Signal::new(1200.0, 16_000.0, 1500, 12.0) };
    let second = Signal { offset_hz: 2500.0, seed: 2, ..first.clone() };
    let ((mut samples, phases), (others, other_phases)) = (first.make(), second.make());
    for (n, (x, y)) in samples.iter_mut().zip(&others).enumerate() {
        *x += y + 0.15 * Complex32::cis((TAU * 0.001 * n as f64) as f32);
    }
    let runs = first.receive(&samples, false);
    for (signal, phases) in [(&first, &phases), (&second, &other_phases)] {
        let least = runs.iter().map(|r| errors(r, phases, signal).0).min();
        assert!(least.is_some_and(|wrong| wrong < 5), "{least:?} in {} runs", runs.len());
    }
    assert!(runs.len() < 5, "{}", runs.len());
}

#[test]
fn a_signal_beside_a_stronger_one_outside_the_search_is_received() {
    for coded in [false, true] {
        // 20 dB stronger, 1.5 symbol rates away: its skirt is the strongest thing in the search.
        let weak = Signal { offset_hz: 500.0, ..Signal::new(9600.0, 48_000.0, 6000, 15.0) };
        let strong = Signal { offset_hz: 14_900.0, esn0_db: 60.0, seed: 2, ..weak.clone() };
        let ((mut samples, phases), (others, _)) = (weak.make(), strong.make());
        for (x, y) in samples.iter_mut().zip(&others) {
            *x += 10.0 * y;
        }
        let runs = weak.receive(&samples, coded);
        let (wrong, count) = errors(longest(&runs), &phases, &weak);
        assert!(wrong < 5, "{wrong} of {count} in {} runs", runs.len());
    }
}

#[test]
fn garbage_is_survived() {
    let signal = Signal::new(9600.0, 38_400.0, 0, 0.0);
    let inputs: Vec<Vec<Complex32>> =
        vec![
            vec![],
            vec![Complex32::default(); 1],
            vec![Complex32::default(); 20_000],
            vec![Complex32::new(1.0, 0.0); 20_000],
            vec![Complex32::new(f32::NAN, f32::INFINITY); 20_000],
            vec![Complex32::new(f32::MAX, f32::MIN); 20_000],
            (0..20_000).map(|n| Complex32::new(if n % 7 < 4 { 1.0 } else { -1.0 }, 0.0)).collect(),
            (0..20_000)
                .map(|n| {
                    if n % 999 == 0 {
                        Complex32::new(1e30, 1e30)
                    } else {
                        Complex32::new(1e-30, 0.0)
                    }
                })
                .collect(),
        ];
    for samples in &inputs {
        for coded in [false, true] {
            for msk in [false, true] {
                Signal { msk, ..signal.clone() }.receive(samples, coded);
            }
        }
    }
    let odd = Reception { search_hz: f64::NAN, ..signal.reception(false) };
    for rate in [0.0, f64::NAN, 10_000.0] {
        let plan = plan(&signal.parameters, &odd, Mapping::Direct, false).unwrap();
        let mut demodulator = (plan.make)(rate);
        demodulator.push(&inputs[6], &mut Vec::new());
        demodulator.finish(&mut Vec::new());
    }
    let (mut samples, phases) = Signal::new(9600.0, 38_400.0, 3000, 15.0).make();
    for x in &mut samples {
        // Clipped hard.
        let clip = |v: f32| (v * 100.0).clamp(-1.0, 1.0);
        *x = Complex32::new(clip(x.re), clip(x.im));
    }
    let signal = Signal::new(9600.0, 38_400.0, 3000, 15.0);
    let (wrong, count) = errors(longest(&signal.receive(&samples, false)), &phases, &signal);
    assert!(wrong < 30, "{wrong} of {count}");
}

#[test]
fn what_does_not_fit_the_input_is_refused() {
    let signal = Signal::new(1e6, 1.05e6, 0, 0.0);
    let refused = (BPSK.demodulators)(&signal.parameters, &signal.reception(false));
    assert!(refused.is_err());
    assert!((BPSK.modulator)(&Parameters::new(f64::NAN)).is_err());
    let real =
        Reception { input: InputKind::RealIf, sample_rate_hz: 48_000.0, ..signal.reception(false) };
    let plans = (DBPSK.demodulators)(&Parameters::new(1200.0), &real).unwrap();
    assert_eq!(plans[0].channel.offset_hz, 1500.0);
    assert_eq!(plans[0].channel.half_bandwidth_hz, 5900.0);
}
