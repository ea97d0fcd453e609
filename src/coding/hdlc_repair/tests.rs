//! Repair against what was sent.

use super::*;
use crate::coding::bits::hard;
use crate::coding::hdlc::{encode_flag, encode_frame};
use crate::coding::nrzi::{NrziDecoder, NrziEncoder};
use crate::coding::scrambler::{Descrambler, Scrambler};
use rand::seq::index::sample;
use rand::{Rng, RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

const ECHO: [usize; 6] = [0, 1, 12, 13, 17, 18];
const LENGTH: usize = 100;

/// Frames begin with a 7, or with an 8 if they are sure.
fn accept(bytes: &[u8], trust: Trust) -> bool {
    bytes[0] == 7 || bytes[0] == 8 && trust == Trust::Sure
}

fn deframer() -> RepairingDeframer {
    RepairingDeframer::new(15, 500, &ECHO, accept, true)
}

/// Channel symbols ±1 of frames with so many flags before each and after the last.
fn send(frames: &[Vec<u8>], flags: usize) -> Vec<f32> {
    let mut bits = Vec::new();
    (0..4).for_each(|_| encode_flag(&mut bits));
    for frame in frames {
        encode_frame(frame, &mut bits);
        (0..flags).for_each(|_| encode_flag(&mut bits));
    }
    let (mut scrambler, mut nrzi) = (Scrambler::default(), NrziEncoder::default());
    bits.iter().map(|&b| 1.0 - 2.0 * f32::from(nrzi.encode(scrambler.scramble(b)))).collect()
}

fn receive(llrs: &[f32]) -> Outcome {
    receive_with(&mut deframer(), llrs)
}

fn receive_with(deframer: &mut RepairingDeframer, llrs: &[f32]) -> Outcome {
    let mut out = Outcome::default();
    let (mut descrambler, mut nrzi) = (Descrambler::default(), NrziDecoder::default());
    for &llr in llrs {
        let bit = descrambler.descramble(nrzi.decode(hard(llr)));
        let settled = deframer.settled_bit();
        let before = out.found.len();
        deframer.push(bit, llr, &mut out);
        assert!(out.found[before..].iter().all(|f| f.first_bit >= settled));
    }
    deframer.finish(&mut out);
    assert!(out.found.windows(2).all(|f| f[0].first_bit < f[1].first_bit));
    out
}

fn frames(count: usize, rng: &mut ChaCha8Rng) -> Vec<Vec<u8>> {
    let mut frames = vec![vec![7; LENGTH]; count];
    frames.iter_mut().for_each(|f| rng.fill_bytes(&mut f[1..]));
    frames
}

/// One, two and three wrong symbols anywhere in a frame or its flags, however flags are shared.
#[test]
fn up_to_three_wrong_symbols_are_found() {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    for flags in [1, 2, 3] {
        for errors in 1..=3 {
            for _ in 0..15 {
                let sent = frames(3, &mut rng);
                let mut llrs: Vec<f32> = send(&sent, flags).iter().map(|x| 20.0 * x).collect();
                let middle = llrs.len() / 2;
                for i in sample(&mut rng, 700, errors) {
                    llrs[middle - 350 + i] *= -0.02;
                }
                for _ in 0..5 {
                    let weak = rng.random_range(300..llrs.len() - 100);
                    llrs[weak] *= 0.09;
                }
                let out = receive(&llrs);
                assert_eq!(out.found.len(), 3);
                for (found, sent) in out.found.iter().zip(&sent) {
                    assert_eq!(&found.bytes, sent);
                }
                let turned: u32 = out.found.iter().map(|f| f.turned_symbols).sum();
                assert_eq!(turned, errors as u32);
                assert!(out.faults.is_empty());
            }
        }
    }
}

/// An error event of two symbols costs as much as one.
#[test]
fn tied_neighbours_are_one_event() {
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    let sent = frames(1, &mut rng);
    let mut llrs: Vec<f32> = send(&sent, 3).iter().map(|x| 20.0 * x).collect();
    for k in [300, 301, 500, 501, 700, 702] {
        llrs[k] *= -0.05;
    }
    let out = receive(&llrs);
    assert_eq!(out.found.len(), 1);
    assert_eq!((&out.found[0].bytes, out.found[0].turned_symbols), (&sent[0], 6));
}

/// Symbols of a detector with memory: p_k is what it decides, and a wrong p_k makes the symbols k
/// and k + 1 wrong. Returns the symbols, and event k with the symbol with which it ends.
fn with_memory(llrs: &[f32]) -> (Vec<f32>, Vec<ErrorEvent>) {
    // The sent symbols s are products p_k p_{k-1}.
    let (mut p, mut before) = (1.0f32, 20.0f32);
    let mut symbols = Vec::new();
    let mut events = Vec::new();
    for (k, &llr) in (0..).zip(llrs) {
        // What stands for +1 in `llr` is the product of the signs sent.
        p *= llr.signum();
        let now = p * llr.abs();
        symbols.push(now.signum() * before.signum() * now.abs().min(before.abs()));
        if k > 0 {
            events.push(ErrorEvent { first_symbol: k - 1, pattern: 3, cost: before.abs() });
        }
        before = now;
    }
    (symbols, events)
}

/// Events that are told are turned, all their symbols at once.
#[test]
fn told_events_are_undone() {
    let mut rng = ChaCha8Rng::seed_from_u64(6);
    for _ in 0..20 {
        let sent = frames(1, &mut rng);
        let clean: Vec<f32> = send(&sent, 3).iter().map(|x| 20.0 * x).collect();
        let (mut symbols, mut events) = with_memory(&clean);
        assert!(symbols.iter().zip(&clean).all(|(a, b)| a.signum() == b.signum()));
        for i in sample(&mut rng, 700, 3) {
            let event = &mut events[100 + i];
            event.cost = 0.5;
            for k in [100 + i, 101 + i] {
                symbols[k] *= -0.02;
            }
        }
        let mut out = Outcome::default();
        let mut deframer = deframer();
        let (mut descrambler, mut nrzi) = (Descrambler::default(), NrziDecoder::default());
        let mut events = events.iter().peekable();
        for (k, &llr) in (0..).zip(&symbols) {
            deframer.push(descrambler.descramble(nrzi.decode(hard(llr))), llr, &mut out);
            while let Some(event) = events.next_if(|event| event.last_symbol() <= k) {
                deframer.event(*event);
            }
        }
        deframer.finish(&mut out);
        assert_eq!(out.found.len(), 1);
        assert_eq!(out.found[0].bytes, sent[0]);
        assert!((4..=6).contains(&out.found[0].turned_symbols));
    }
}

/// The odds that a frame comes with are no exaggeration: near the limit, where every other frame
/// is lost, the wrong ones are at most as many as they say.
#[test]
fn odds_are_true() {
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let deviation = (0.5 / 10f32.powf(0.55)).sqrt();
    let (mut expected, mut wrong, mut right, mut doubtful) = (0.0f32, 0, 0, 0);
    for _ in 0..300 {
        let sent = frames(1, &mut rng);
        let noisy = |x: &f32, rng: &mut ChaCha8Rng| {
            let noise: f32 = StandardNormal.sample(rng);
            (x + deviation * noise) * 2.0 / deviation.powi(2)
        };
        let llrs: Vec<f32> = send(&sent, 3).iter().map(|x| noisy(x, &mut rng)).collect();
        let mut deframer = RepairingDeframer::new(15, 500, &ECHO, accept, true);
        for found in receive_with(&mut deframer, &llrs).found {
            let Some(log_odds) = found.log_odds else { continue };
            expected += 1.0 / (1.0 + log_odds.exp());
            wrong += usize::from(found.bytes != sent[0]);
            right += usize::from(found.bytes == sent[0]);
            doubtful += usize::from(log_odds < CERTAIN_ODDS.ln());
        }
    }
    assert!(right > 100 && doubtful > 30, "{right} {doubtful}");
    assert!(wrong as f32 <= 2.0 * expected + 2.0, "{wrong} wrong, {expected} expected");
}

/// What would be refused comes out if its symbols are sure and the transmitter idled before it.
#[test]
fn sure_frames_need_no_more() {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let mut sent = frames(2, &mut rng);
    sent[1][0] = 8;
    let flags: Vec<f32> = send(&sent, 3).iter().map(|x| 20.0 * x).collect();
    assert_eq!(receive(&flags).found.len(), 2);
    let mut doubtful = flags.clone();
    for i in [1000, 1100, 1200] {
        doubtful[i] *= 0.01;
    }
    let out = receive(&doubtful);
    assert_eq!((out.found.len(), out.faults.len()), (1, 1));
    // One flag behind a good frame is as good; one behind anything else is not.
    let chained: Vec<f32> = send(&sent, 1).iter().map(|x| 20.0 * x).collect();
    assert_eq!(receive(&chained).found.len(), 2);
    let mut alone = sent.clone();
    alone[0][0] = 9;
    let alone: Vec<f32> = send(&alone, 1).iter().map(|x| 20.0 * x).collect();
    assert_eq!(receive(&alone).found.len(), 0);
}

/// Gaussian noise on single symbols: the gain is there, and nothing false comes out.
#[test]
fn more_frames_survive_noise() {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let sent = frames(100, &mut rng);
    // Es/N0 = 6.6 dB
    let deviation = (0.5 / 10f32.powf(0.66)).sqrt();
    let llrs: Vec<f32> = send(&sent, 3)
        .iter()
        .map(|x| {
            let noise: f32 = StandardNormal.sample(&mut rng);
            (x + deviation * noise) * 2.0 / deviation.powi(2)
        })
        .collect();
    let out = receive(&llrs);
    let whole = out.found.iter().filter(|f| f.turned_symbols == 0).count();
    assert!(out.found.iter().all(|f| sent.contains(&f.bytes)));
    assert!(whole < 50, "{whole}");
    assert!(out.found.len() >= 80, "{whole} {}", out.found.len());
    assert!(out.faults.len() <= 40);
}

#[test]
fn noise_is_left_alone() {
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    for scale in [0.1, 1.0, 3.0] {
        let llrs: Vec<f32> = (0..100_000)
            .map(|_| {
                let noise: f32 = StandardNormal.sample(&mut rng);
                scale * noise
            })
            .collect();
        assert!(receive(&llrs).found.is_empty());
    }
    for x in [f32::NAN, f32::INFINITY, 0.0, -1.0] {
        assert!(receive(&vec![x; 20_000]).found.is_empty());
    }
}
