//! The whole receiver against the modulator.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use num_complex::Complex32;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use super::FSK;
use crate::effort::Effort;
use crate::modulation::{Demodulator, InputKind, Parameters, Preference, Reception, SoftBlock};

/// A transmission and its reception.
struct Link {
    symbol_rate_bd: f64,
    h: f64,
    bt: f64,
    esn0_db: f64,
    offset_hz: f64,
    drift_hz_s: f64,
    clock_ppm: f64,
    /// Bits a burst, bursts, silence between them (s), silence before and after (s).
    bits: usize,
    bursts: usize,
    gap_s: f64,
    silence_s: f64,
    seed: u64,
}

const LINK: Link = Link {
    symbol_rate_bd: 9600.0,
    h: 0.5,
    bt: 0.5,
    esn0_db: 15.0,
    offset_hz: 0.0,
    drift_hz_s: 0.0,
    clock_ppm: 0.0,
    bits: 1000,
    bursts: 3,
    gap_s: 0.1,
    silence_s: 0.6,
    seed: 1,
};

const RATE: f64 = 48_000.0;

/// Where a burst begins (middle of its first symbol) and what it says.
type Truth = Vec<(f64, Vec<u8>)>;

impl Link {
    fn signal(&self) -> (Vec<Complex32>, Truth) {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        let mut parameters = Parameters::new(self.symbol_rate_bd);
        parameters.deviation_hz = Some(self.h * self.symbol_rate_bd / 2.0);
        parameters.bt = Some(self.bt);
        let modulator = (FSK.modulator)(&parameters).unwrap();
        let silence = |x: &mut Vec<Complex32>, s: f64| {
            x.resize(x.len() + (s * RATE) as usize, Complex32::default());
        };
        let (mut x, mut truth) = (Vec::new(), Vec::new());
        silence(&mut x, self.silence_s);
        let symbol = RATE / self.symbol_rate_bd / (1.0 + self.clock_ppm * 1e-6);
        for _ in 0..self.bursts {
            let bits: Vec<u8> = (0..self.bits).map(|_| u8::from(rng.random::<bool>())).collect();
            let timing = rng.random::<f64>();
            let mut burst = Vec::new();
            let head = modulator.modulate(&bits, RATE, self.clock_ppm, timing, &mut burst);
            truth.push((x.len() as f64 + head + timing + symbol / 2.0, bits));
            let phase = rng.random::<f64>();
            x.extend(burst.iter().enumerate().map(|(i, v)| {
                let t = i as f64 / RATE;
                let cycles = phase + self.offset_hz * t + 0.5 * self.drift_hz_s * t * t;
                let (sin, cos) = (2.0 * std::f64::consts::PI * cycles.fract()).sin_cos();
                v * Complex32::new(cos as f32, sin as f32)
            }));
            silence(&mut x, self.gap_s);
        }
        silence(&mut x, self.silence_s);
        let es = RATE / self.symbol_rate_bd;
        let sigma = (es / 10f64.powf(self.esn0_db / 10.0) / 2.0).sqrt() as f32;
        for v in &mut x {
            let re: f32 = StandardNormal.sample(&mut rng);
            let im: f32 = StandardNormal.sample(&mut rng);
            *v = (*v + Complex32::new(re, im) * sigma) * 0.02;
        }
        (x, truth)
    }

    fn receiver(&self) -> Box<dyn Demodulator> {
        receiver(self.symbol_rate_bd, 5000.0, Effort::Full)
    }

    /// Blocks of the signal's reception.
    fn received(&self, effort: Effort) -> (Vec<SoftBlock>, Truth) {
        let (x, truth) = self.signal();
        let mut demodulator = receiver(self.symbol_rate_bd, 5000.0, effort);
        let mut out = Vec::new();
        demodulator.push(&x, &mut out);
        demodulator.finish(&mut out);
        check_runs(&out);
        (out, truth)
    }

    /// Receives the signal and returns bit errors per burst, each from the run that fits best.
    fn errors(&self) -> Vec<usize> {
        let (out, truth) = self.received(Effort::Full);
        let symbol = RATE / self.symbol_rate_bd / (1.0 + self.clock_ppm * 1e-6);
        truth.iter().map(|(start, bits)| errors(&out, *start, symbol, bits)).collect()
    }
}

fn receiver(symbol_rate_bd: f64, search_hz: f64, effort: Effort) -> Box<dyn Demodulator> {
    let reception = Reception {
        input: InputKind::Iq,
        sample_rate_hz: RATE,
        intermediate_frequency_hz: None,
        search_hz,
        preference: Preference::default(),
        effort,
    };
    let plans = (FSK.demodulators)(&Parameters::new(symbol_rate_bd), &reception).unwrap();
    (plans[0].make)(RATE)
}

/// Fewest errors of any run in the bits of a burst; a missing symbol is an error.
fn errors(out: &[SoftBlock], start: f64, symbol: f64, bits: &[u8]) -> usize {
    let last_run = out.iter().map(|b| b.run).max().unwrap_or(0);
    (0..=last_run)
        .map(|run| {
            let mut right = vec![false; bits.len()];
            for block in out.iter().filter(|b| b.run == run) {
                for (i, llr) in block.llr.iter().enumerate() {
                    let at = block.first_sample + i as f64 * block.samples_per_symbol;
                    let k = ((at - start) / symbol).round();
                    if k >= 0.0 && (k as usize) < bits.len() {
                        right[k as usize] = u8::from(*llr < 0.0) == bits[k as usize];
                    }
                }
            }
            right.iter().filter(|r| !**r).count()
        })
        .min()
        .unwrap_or(bits.len())
}

/// Runs are contiguous, numbered from 0 and ended once.
fn check_runs(out: &[SoftBlock]) {
    let runs = out.iter().map(|b| b.run + 1).max().unwrap_or(0);
    for run in 0..runs {
        let mut next = 0;
        let blocks: Vec<&SoftBlock> = out.iter().filter(|b| b.run == run).collect();
        for (i, block) in blocks.iter().enumerate() {
            assert_eq!(block.first_symbol, next);
            next += block.llr.len() as u64;
            assert_eq!(block.end, i + 1 == blocks.len());
            assert!(block.llr.iter().all(|l| l.is_finite()));
            assert!(block.first_sample.is_finite() && block.esn0_db.is_finite());
            for event in &block.events {
                let last = event.first_symbol + 63 - u64::from(event.pattern.leading_zeros());
                assert!(event.pattern & 1 == 1 && last >= block.first_symbol && last < next);
                assert!(event.cost >= 0.0 && event.cost < 14.0);
            }
        }
    }
}

#[test]
fn bursts_of_every_index_and_pulse_are_received_without_an_error() {
    for (h, bt) in [(0.35, 0.5), (0.5, 0.5), (0.5, 0.3), (0.66, 0.5), (1.0, f64::INFINITY)] {
        let errors = Link { h, bt, seed: 3, ..LINK }.errors();
        // The very first symbols may be wrong: the trellis has no memory there.
        assert!(errors.iter().all(|e| *e <= 2), "h {h} BT {bt}: {errors:?}");
    }
}

#[test]
fn negative_deviation_shows_as_inverted_bits() {
    let errors = Link { h: -0.5, ..LINK }.errors();
    assert!(errors.iter().all(|e| *e >= LINK.bits - 2), "{errors:?}");
}

#[test]
fn offsets_drifts_and_clocks_do_not_matter() {
    for (offset_hz, drift_hz_s, clock_ppm) in [
        (3000.0, 100.0, 100.0),
        (-3000.0, -100.0, -100.0),
        (1234.0, 0.0, -3100.0),
        (0.0, 0.0, 4500.0),
    ] {
        let errors = Link { offset_hz, drift_hz_s, clock_ppm, ..LINK }.errors();
        assert!(errors.iter().all(|e| *e <= 2), "{offset_hz} {clock_ppm}: {errors:?}");
    }
}

#[test]
fn low_rates_in_a_wide_channel_and_close_bursts() {
    let slow = Link { symbol_rate_bd: 1200.0, bits: 400, gap_s: 0.06, silence_s: 1.0, ..LINK };
    let errors = slow.errors();
    assert!(errors.iter().all(|e| *e <= 2), "{errors:?}");
    let close = Link { gap_s: 0.03, bursts: 6, ..LINK };
    let errors = close.errors();
    assert!(errors.iter().all(|e| *e <= 2), "{errors:?}");
    let short = Link { bits: 330, bursts: 6, ..LINK };
    let errors = short.errors();
    assert!(errors.iter().all(|e| *e <= 2), "{errors:?}");
}

#[test]
fn clocks_two_percent_off_are_found() {
    for clock_ppm in [20_000.0, -20_000.0] {
        let errors = Link { clock_ppm, bursts: 4, seed: 5, ..LINK }.errors();
        assert!(errors.iter().all(|e| *e <= 2), "{clock_ppm}: {errors:?}");
    }
}

#[test]
fn bursts_sixteen_symbols_apart_are_parted_even_while_tracked() {
    for h in [0.5, 1.0] {
        let errors = Link { h, gap_s: 16.0 / 9600.0, bursts: 14, seed: 6, ..LINK }.errors();
        assert!(errors.iter().all(|e| *e <= 2), "{h}: {errors:?}");
    }
}

#[test]
fn a_signal_beside_one_twenty_decibels_stronger_is_received_with_it() {
    let weak = Link { offset_hz: -7200.0, bursts: 5, gap_s: 0.07, seed: 7, ..LINK };
    let strong =
        Link { offset_hz: 7200.0, esn0_db: f64::INFINITY, gap_s: 0.1, bursts: 5, seed: 8, ..LINK };
    let (mut x, weak_truth) = weak.signal();
    let (y, strong_truth) = strong.signal();
    x.resize(x.len().max(y.len()), Complex32::default());
    for (x, y) in x.iter_mut().zip(&y) {
        *x += y * 10.0;
    }
    let mut demodulator = receiver(9600.0, 12_000.0, Effort::Full);
    let mut out = Vec::new();
    demodulator.push(&x, &mut out);
    demodulator.finish(&mut out);
    check_runs(&out);
    for (truth, most) in [(strong_truth, 2), (weak_truth, 6)] {
        for (start, bits) in &truth {
            let errors = errors(&out, *start, RATE / 9600.0, bits);
            assert!(errors <= most, "{start}: {errors}");
        }
    }
}

#[test]
fn spurs_in_the_band_of_a_signal_do_no_harm() {
    let link = Link { bursts: 12, gap_s: 0.12, seed: 9, ..LINK };
    let (mut x, truth) = link.signal();
    for (n, x) in x.iter_mut().enumerate() {
        // 6 dB above the signal, 310 Hz beside its carrier.
        let cycles = 310.0 / RATE * n as f64;
        let (sin, cos) = (2.0 * std::f64::consts::PI * cycles.fract()).sin_cos();
        *x += Complex32::new(cos as f32, sin as f32) * 0.04;
    }
    let mut demodulator = link.receiver();
    let mut out = Vec::new();
    demodulator.push(&x, &mut out);
    demodulator.finish(&mut out);
    check_runs(&out);
    for (start, bits) in &truth {
        let errors = errors(&out, *start, RATE / 9600.0, bits);
        assert!(errors <= 2, "{start}: {errors}");
    }
}

#[test]
fn error_rate_is_near_theory() {
    // MLSE: 1.9 error events of two bits in 1000 symbols at 6 dB (union bound), so some 30 bits in
    // 8000; half as many again allowed.
    let errors = Link { esn0_db: 6.0, bursts: 8, seed: 11, ..LINK }.errors();
    let total: usize = errors.iter().sum();
    assert!(total < 62, "{errors:?}");
    // Half of what remains at h = 0.66 and the same level.
    let errors = Link { h: 0.66, esn0_db: 6.0, bursts: 8, seed: 11, ..LINK }.errors();
    let total: usize = errors.iter().sum();
    assert!(total < 32, "{errors:?}");
}

/// Expected and true number of error events of the runs `pick`ed, and errors outside of them.
fn events(out: &[SoftBlock], truth: &Truth, pick: impl Fn(u64) -> bool) -> (f64, usize, usize) {
    let (mut expected, mut hits, mut missed) = (0.0, 0, 0);
    let runs = out.iter().map(|b| b.run + 1).max().unwrap_or(0);
    for run in (0..runs).filter(|r| pick(*r)) {
        let blocks: Vec<&SoftBlock> = out.iter().filter(|b| b.run == run).collect();
        let middle = blocks[blocks.len() / 2];
        let offset = |start: f64| (middle.first_sample - start) / middle.samples_per_symbol;
        let Some((start, bits)) =
            truth.iter().find(|(s, b)| (0.0..b.len() as f64).contains(&offset(*s)))
        else {
            continue;
        };
        let shift = offset(*start).round() as i64 - middle.first_symbol as i64;
        let llr: Vec<f32> = blocks.iter().flat_map(|b| b.llr.iter().copied()).collect();
        let wrong: Vec<bool> = (0..bits.len() as i64)
            .map(|k| {
                let llr = usize::try_from(k - shift).ok().and_then(|i| llr.get(i));
                llr.is_none_or(|l| u8::from(*l < 0.0) != bits[k as usize])
            })
            .collect();
        let mut left = wrong.clone();
        for event in blocks.iter().flat_map(|b| &b.events) {
            let first = event.first_symbol as i64 + shift;
            let length = 64 - i64::from(event.pattern.leading_zeros());
            if first < 2 || first + length + 2 > bits.len() as i64 {
                continue;
            }
            expected += 1.0 / (1.0 + f64::from(event.cost).exp());
            let is = |k: i64| (0..length).contains(&k) && event.pattern >> k & 1 == 1;
            if (-2..length + 2).all(|k| wrong[(first + k) as usize] == is(k)) {
                hits += 1;
                for k in 0..length {
                    left[(first + k) as usize] = false;
                }
            }
        }
        missed += left.iter().filter(|l| **l).count();
    }
    (expected, hits, missed)
}

#[test]
fn error_events_are_told_with_their_odds() {
    for (h, bt, esn0_db) in [(0.5, 0.5, 5.5), (0.5, 0.3, 5.5), (1.0, f64::INFINITY, 8.5)] {
        let link = Link { h, bt, esn0_db, bursts: 30, seed: 21, offset_hz: 300.0, ..LINK };
        let (out, truth) = link.received(Effort::OnePass);
        let (expected, hits, missed) = events(&out, &truth, |_| true);
        assert!(hits > 50, "h {h} BT {bt}: {hits}");
        let ratio = hits as f64 / expected;
        assert!((0.75..1.35).contains(&ratio), "h {h} BT {bt}: {hits} of {expected}");
        assert!(missed < hits / 4, "h {h} BT {bt}: {missed} errors in none of {hits} events");
    }
}

#[test]
fn there_are_more_passes_only_in_doubt() {
    let runs = |esn0_db, effort| {
        let (out, _) = Link { esn0_db, ..LINK }.received(effort);
        out.iter().filter(|b| b.end).count()
    };
    assert_eq!(runs(15.0, Effort::Full), 3);
    assert_eq!(runs(6.5, Effort::Full), 9);
    assert_eq!(runs(6.5, Effort::OnePass), 3);
}

#[test]
fn the_fit_is_closer_than_the_first_pass() {
    let link = Link {
        esn0_db: 7.0,
        offset_hz: -1234.0,
        drift_hz_s: 90.0,
        clock_ppm: 80.0,
        bursts: 6,
        ..LINK
    };
    let (out, truth) = link.received(Effort::OnePass);
    let symbol = RATE / link.symbol_rate_bd / (1.0 + link.clock_ppm * 1e-6);
    let mut seen = 0;
    for block in &out {
        let Some((start, at)) = truth
            .iter()
            .map(|(start, _)| (start, (block.first_sample - start) / symbol))
            .find(|(_, at)| (0.0..936.0).contains(at))
        else {
            continue;
        };
        seen += 1;
        assert!((at - at.round()).abs() < 0.04, "{at}");
        assert!((block.samples_per_symbol / symbol - 1.0).abs() < 80e-6);
        let t = (block.first_sample - start + 32.0 * symbol) / RATE;
        let off = block.frequency_offset_hz - link.offset_hz - link.drift_hz_s * t;
        assert!(off.abs() < 2.0, "{off}");
    }
    assert!(seen > 60);
}

#[test]
fn a_signal_without_gaps_is_tracked_as_one_run() {
    let link = Link {
        bits: 40_000,
        bursts: 1,
        gap_s: 0.0,
        silence_s: 0.0,
        esn0_db: 10.0,
        offset_hz: 1500.0,
        drift_hz_s: -100.0,
        clock_ppm: 80.0,
        ..LINK
    };
    let (x, truth) = link.signal();
    let mut demodulator = link.receiver();
    let (mut out, mut early) = (Vec::new(), 0);
    for piece in x.chunks(48_000) {
        demodulator.push(piece, &mut out);
        early = early.max(out.iter().filter(|b| !b.end).count());
    }
    assert!(early > 100, "nothing came out while the signal lasted");
    demodulator.finish(&mut out);
    check_runs(&out);
    let symbol = RATE / link.symbol_rate_bd / (1.0 + link.clock_ppm * 1e-6);
    let errors = errors(&out, truth[0].0, symbol, &truth[0].1);
    assert!(errors <= 16, "{errors}");
}

#[test]
fn estimates_are_true() {
    let link = Link { esn0_db: 9.0, offset_hz: -777.0, ..LINK };
    let (x, truth) = link.signal();
    let mut demodulator = link.receiver();
    let mut out = Vec::new();
    demodulator.push(&x, &mut out);
    demodulator.finish(&mut out);
    let inside = |b: &&SoftBlock| {
        truth.iter().any(|(start, bits)| {
            let k = (b.first_sample - start) / 5.0;
            k > 64.0 && k < bits.len() as f64 - 128.0
        })
    };
    let blocks: Vec<&SoftBlock> = out.iter().filter(inside).collect();
    assert!(blocks.len() > 20);
    for block in &blocks {
        assert!((block.frequency_offset_hz + 777.0).abs() < 20.0);
        assert!((block.esn0_db - 9.0).abs() < 2.0, "{}", block.esn0_db);
        assert!((block.samples_per_symbol - 5.0).abs() < 0.005);
        // Positions are those of the middles of symbols.
        let near = truth.iter().map(|(start, _)| (block.first_sample - start) / 5.0);
        let off = near.map(|k| (k - k.round()).abs()).fold(1.0, f64::min);
        assert!(off < 0.12, "{off}");
    }
}

#[test]
fn ratios_are_calibrated() {
    // Of the symbols with |llr| in [1, 2) some 18 % should be wrong, in [3, 4) some 3 %.
    let link = Link { esn0_db: 3.5, bits: 6000, bursts: 3, seed: 5, ..LINK };
    let (x, truth) = link.signal();
    let mut demodulator = link.receiver();
    let mut out = Vec::new();
    demodulator.push(&x, &mut out);
    demodulator.finish(&mut out);
    let mut bins = [(0usize, 0usize); 8];
    for (start, bits) in &truth {
        for block in &out {
            for (i, llr) in block.llr.iter().enumerate() {
                let k = ((block.first_sample - start) / 5.0 + i as f64).round();
                if k >= 64.0 && k < bits.len() as f64 - 64.0 {
                    let bin = &mut bins[(llr.abs() as usize).min(7)];
                    bin.0 += 1;
                    bin.1 += usize::from(u8::from(*llr < 0.0) != bits[k as usize]);
                }
            }
        }
    }
    let wrong = |b: usize| bins[b].1 as f64 / bins[b].0 as f64;
    assert!(bins[1].0 > 100, "{bins:?}");
    assert!((0.09..0.36).contains(&wrong(1)), "{bins:?}");
    assert!((0.01..0.10).contains(&wrong(3)), "{bins:?}");
}

#[test]
fn any_chunking_gives_the_same_blocks() {
    let link = Link { bursts: 2, esn0_db: 8.0, offset_hz: 500.0, ..LINK };
    let (x, _) = link.signal();
    let mut whole = Vec::new();
    let mut demodulator = link.receiver();
    demodulator.push(&x, &mut whole);
    demodulator.finish(&mut whole);
    assert!(whole.iter().map(|b| b.llr.len()).sum::<usize>() > 2000);
    let mut rng = ChaCha8Rng::seed_from_u64(9);
    for largest in [1, 7, 300, 20_000] {
        let mut out = Vec::new();
        let mut at = 0;
        let mut settled = 0.0f64;
        let mut seen = 0;
        while at < x.len() {
            let n = rng.random_range(1..=largest).min(x.len() - at);
            demodulator.push(&x[at..at + n], &mut out);
            at += n;
            // No run begins before what had been called settled.
            for block in &out[seen..] {
                assert!(block.first_symbol > 0 || block.first_sample >= settled);
            }
            seen = out.len();
            assert!(demodulator.settled_sample() >= settled);
            settled = demodulator.settled_sample();
        }
        demodulator.finish(&mut out);
        let runs = whole.last().map_or(0, |b| b.run + 1);
        for block in &mut out {
            block.run %= runs;
        }
        assert_eq!(whole.len(), out.len(), "chunks of up to {largest}");
        assert!(whole == out, "chunks of up to {largest}");
    }
}

#[test]
fn noise_alone_gives_next_to_nothing() {
    let link = Link { bursts: 0, silence_s: 10.0, ..LINK };
    let (x, _) = link.signal();
    let mut demodulator = link.receiver();
    let mut out = Vec::new();
    demodulator.push(&x, &mut out);
    demodulator.finish(&mut out);
    let symbols: usize = out.iter().map(|b| b.llr.len()).sum();
    assert!(symbols < 2000, "{symbols} symbols in 20 s of noise");
}

#[test]
fn garbage_does_no_harm() {
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    let nan = Complex32::new(f32::NAN, f32::INFINITY);
    let noise = |rng: &mut ChaCha8Rng, scale: f32| {
        Complex32::new(rng.random::<f32>() - 0.5, rng.random::<f32>() - 0.5) * scale
    };
    let inputs: Vec<Vec<Complex32>> = vec![
        Vec::new(),
        vec![Complex32::default(); 200_000],
        vec![nan; 150_000],
        vec![Complex32::new(1.0, 0.0); 200_000],
        vec![Complex32::new(f32::MAX, f32::MIN); 150_000],
        (0..150_000).map(|i| if i % 977 == 0 { nan } else { noise(&mut rng, 1e30) }).collect(),
        (0..150_000).map(|_| noise(&mut rng, 1e-30)).collect(),
        (0..150_000)
            .map(|i| if i / 20_000 % 2 == 0 { Complex32::default() } else { noise(&mut rng, 1.0) })
            .collect(),
    ];
    for symbol_rate_bd in [9600.0, 300.0, 20_000.0] {
        let mut demodulator = receiver(symbol_rate_bd, 5000.0, Effort::Full);
        for input in &inputs {
            let mut out = Vec::new();
            demodulator.push(input, &mut out);
            demodulator.finish(&mut out);
            assert!(out.iter().all(|b| b.llr.iter().all(|l| l.is_finite())));
            // As new again: positions start at 0.
            assert_eq!(demodulator.settled_sample(), 0.0);
        }
    }
}

#[test]
fn clipping_costs_little() {
    let link = Link { esn0_db: 12.0, ..LINK };
    let (mut x, truth) = link.signal();
    for v in &mut x {
        *v = Complex32::new(v.re.clamp(-0.012, 0.012), v.im.clamp(-0.012, 0.012));
    }
    let mut demodulator = link.receiver();
    let mut out = Vec::new();
    demodulator.push(&x, &mut out);
    demodulator.finish(&mut out);
    for (start, bits) in truth {
        assert!(errors(&out, start, 5.0, &bits) <= 4);
    }
}

#[test]
fn wrong_requests_are_refused() {
    let reception = |sample_rate_hz, input| Reception {
        input,
        sample_rate_hz,
        intermediate_frequency_hz: None,
        search_hz: 3000.0,
        preference: Preference::default(),
        effort: Effort::Full,
    };
    let plans = |bd: f64, r: Reception| (FSK.demodulators)(&Parameters::new(bd), &r);
    assert!(plans(f64::NAN, reception(48e3, InputKind::Iq)).is_err());
    assert!(plans(-9600.0, reception(48e3, InputKind::Iq)).is_err());
    assert!(plans(100e3, reception(48e3, InputKind::Iq)).is_err());
    assert!(plans(9600.0, reception(f64::NAN, InputKind::Iq)).is_err());
    // 48 kS/s passes through at 9600 Bd.
    let plan = plans(9600.0, reception(48e3, InputKind::Iq)).unwrap().remove(0);
    assert!(plan.channel.min_rate_hz <= 48e3 && plan.channel.max_rate_hz >= 48e3);
    assert!((FSK.modulator)(&Parameters::new(0.0)).is_err());
}
