//! Soft symbols for the tests of the coded framings.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use crate::effort::Effort;
use crate::framing::{Deframed, Framing};
use crate::modulation::{Mapping, SoftBlock};

/// Symbols ±1 of channel bits, as a demodulator with this mapping would show them.
fn symbols(channel: &[u8], mapping: Mapping, inverted: bool) -> Vec<f32> {
    let mut phase = 0;
    channel
        .iter()
        .map(|bit| {
            let bit = bit ^ u8::from(inverted);
            phase = if mapping == Mapping::Differential { phase ^ bit } else { bit };
            1.0 - 2.0 * f32::from(phase)
        })
        .collect()
}

/// Soft symbols without noise.
pub fn soft(channel: &[u8], mapping: Mapping, inverted: bool, magnitude: f32) -> Vec<f32> {
    symbols(channel, mapping, inverted).iter().map(|x| x * magnitude).collect()
}

/// Log-likelihood ratios 4 Es/N0 (±1 + n).
pub fn noisy(
    rng: &mut ChaCha8Rng,
    channel: &[u8],
    mapping: Mapping,
    inverted: bool,
    esn0_db: f32,
) -> Vec<f32> {
    let esn0 = 10f32.powf(esn0_db / 10.0);
    let sigma = (0.5 / esn0).sqrt();
    symbols(channel, mapping, inverted)
        .iter()
        .map(|x| {
            let noise: f32 = StandardNormal.sample(rng);
            4.0 * esn0 * (x + sigma * noise)
        })
        .collect()
}

/// Soft symbols of no signal.
pub fn noise(rng: &mut ChaCha8Rng, count: usize) -> Vec<f32> {
    (0..count)
        .map(|_| {
            let noise: f32 = StandardNormal.sample(rng);
            2.0 * noise
        })
        .collect()
}

/// Soft symbols that no demodulator should give.
pub fn rubbish(rng: &mut ChaCha8Rng, count: usize) -> Vec<f32> {
    let odd = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 0.0, 1e38, -1e-40, f32::MIN];
    (0..count)
        .map(|_| if rng.random() { odd[rng.random_range(0..odd.len())] } else { rng.random() })
        .collect()
}

/// A block of a run.
pub fn block(llr: &[f32], mapping: Mapping, first_symbol: u64) -> SoftBlock {
    SoftBlock {
        run: 0,
        first_symbol,
        first_sample: 0.0,
        samples_per_symbol: 5.0,
        frequency_offset_hz: 0.0,
        esn0_db: 0.0,
        mapping,
        llr: llr.to_vec(),
        events: Vec::new(),
        end: false,
    }
}

/// Everything found in one run, pushed whole.
pub fn deframe(framing: &dyn Framing, mapping: Mapping, llr: &[f32]) -> Deframed {
    let mut deframer = framing.deframer(mapping, Effort::Full);
    let mut out = Deframed::default();
    deframer.push(&block(llr, mapping, 0), &mut out);
    deframer.finish(&mut out);
    out
}

/// Any chunking must give what the whole run gave.
pub fn check_chunkings(
    rng: &mut ChaCha8Rng,
    framing: &dyn Framing,
    mapping: Mapping,
    llr: &[f32],
    whole: &Deframed,
) {
    for longest in [1, 7, 500, 5000] {
        let mut deframer = framing.deframer(mapping, Effort::Full);
        let mut out = Deframed::default();
        let mut at = 0;
        while at < llr.len() {
            let length = if longest < 10 { longest } else { rng.random_range(0..longest) };
            let end = (at + length).min(llr.len());
            deframer.push(&block(&llr[at..end], mapping, at as u64), &mut out);
            at = end;
        }
        deframer.finish(&mut out);
        assert_eq!(out, *whole, "chunks of {longest}");
    }
}
