//! What every framing must pass: round trips in any mapping, polarity and chunking, and garbage.

use super::{Deframed, Framing};
use crate::effort::Effort;
use crate::frame::Check;
use crate::modulation::{Mapping, SoftBlock};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

/// How a run is cut into blocks.
#[derive(Debug, Clone, Copy)]
pub enum Chunking {
    /// One block.
    Whole,
    /// Blocks of so many symbols.
    Pieces(usize),
    /// Blocks of 0 to 300 symbols, by seed.
    Random(u64),
}

/// Soft symbols of magnitude 4 for channel bits.
pub fn llrs(bits: &[u8], mapping: Mapping) -> Vec<f32> {
    let mut p = 0;
    bits.iter()
        .map(|&bit| {
            p = match mapping {
                Mapping::Direct => bit,
                Mapping::Differential => p ^ bit,
            };
            4.0 - 8.0 * f32::from(p)
        })
        .collect()
}

/// Runs a deframer over one run of symbols. Checks that nothing is found before what was settled.
pub fn deframe(
    framing: &dyn Framing,
    mapping: Mapping,
    llrs: &[f32],
    chunking: Chunking,
) -> Deframed {
    let mut deframer = framing.deframer(mapping, Effort::Full);
    let mut out = Deframed::default();
    let mut first = 0;
    let mut state = if let Chunking::Random(seed) = chunking { seed } else { 0 };
    loop {
        let length = match chunking {
            Chunking::Whole => llrs.len(),
            Chunking::Pieces(length) => length,
            Chunking::Random(_) => {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (state >> 33) as usize % 301
            }
        }
        .min(llrs.len() - first);
        let end = first + length == llrs.len();
        let block = SoftBlock {
            run: 0,
            first_symbol: first as u64,
            first_sample: first as f64 * 5.0,
            samples_per_symbol: 5.0,
            frequency_offset_hz: 0.0,
            esn0_db: 10.0,
            mapping,
            llr: llrs[first..first + length].to_vec(),
            events: Vec::new(),
            end,
        };
        let settled = deframer.settled_symbol();
        let before = out.frames.len();
        deframer.push(&block, &mut out);
        assert!(out.frames[before..].iter().all(|f| f.first_symbol >= settled));
        first += length;
        if end {
            break;
        }
    }
    let settled = deframer.settled_symbol();
    let before = out.frames.len();
    deframer.finish(&mut out);
    assert!(out.frames[before..].iter().all(|f| f.first_symbol >= settled));
    assert!(out.frames.windows(2).all(|f| f[0].first_symbol <= f[1].first_symbol));
    out
}

/// Sends `frames` back to back and apart, in both mappings and polarities, whole and in pieces.
pub fn round_trip(framing: &dyn Framing, frames: &[Vec<u8>], check: Check, rng: &mut ChaCha8Rng) {
    for apart in [false, true] {
        let mut encoder = framing.encoder();
        let mut bits: Vec<u8> =
            (0..rng.random_range(0..100)).map(|_| rng.random_range(0..2)).collect();
        encoder.preamble(80, &mut bits);
        for frame in frames {
            encoder.frame(frame, &mut bits).unwrap();
            if apart {
                encoder.postamble(&mut bits);
                bits.extend((0..rng.random_range(0..200)).map(|_| rng.random_range(0..2u8)));
                encoder.preamble(80, &mut bits);
            }
        }
        encoder.postamble(&mut bits);
        for mapping in [Mapping::Direct, Mapping::Differential] {
            for sign in [1.0, -1.0] {
                let mut llrs = llrs(&bits, mapping);
                for (k, llr) in llrs.iter_mut().enumerate() {
                    // Inverted channel bits alternate the sign of their sum.
                    *llr *= match mapping {
                        Mapping::Differential if k % 2 == 1 => sign,
                        Mapping::Differential => 1.0,
                        Mapping::Direct => sign,
                    };
                }
                let whole = deframe(framing, mapping, &llrs, Chunking::Whole);
                let bytes: Vec<&[u8]> = whole.frames.iter().map(|f| &f.bytes[..]).collect();
                assert_eq!(bytes, frames.iter().map(|f| &f[..]).collect::<Vec<_>>());
                for frame in &whole.frames {
                    assert_eq!(frame.check, check);
                    assert!(frame.first_symbol < frame.end_symbol);
                    assert!(frame.end_symbol <= llrs.len() as u64);
                }
                for chunking in
                    [Chunking::Pieces(1), Chunking::Pieces(7), Chunking::Random(rng.random())]
                {
                    assert_eq!(deframe(framing, mapping, &llrs, chunking), whole);
                }
            }
        }
    }
}

/// Feeds noise, extreme values and runs of equal symbols; nothing may come out or go wrong.
pub fn garbage(framing: &dyn Framing, symbols: usize, rng: &mut ChaCha8Rng) {
    const EXTREMES: [f32; 8] = [
        f32::NAN,
        f32::INFINITY,
        f32::NEG_INFINITY,
        0.0,
        -0.0,
        f32::MAX,
        f32::MIN_POSITIVE,
        -1e-40,
    ];
    for mapping in [Mapping::Direct, Mapping::Differential] {
        let noise: Vec<f32> = (0..symbols).map(|_| StandardNormal.sample(rng)).collect();
        let extreme: Vec<f32> = (0..symbols / 10)
            .map(|_| if rng.random() { EXTREMES[rng.random_range(0..8)] } else { rng.random() })
            .collect();
        let mut runs = Vec::new();
        while runs.len() < symbols / 10 {
            let value = *[1.0, -1.0, f32::NAN, 0.0].get(rng.random_range(0..4)).unwrap();
            let length = rng.random_range(1..3000);
            runs.extend(std::iter::repeat_n(value, length));
        }
        for llrs in [&noise[..], &extreme, &runs, &[], &[f32::NAN]] {
            let whole = deframe(framing, mapping, llrs, Chunking::Whole);
            assert!(whole.frames.is_empty());
            let pieces = deframe(framing, mapping, llrs, Chunking::Random(rng.random()));
            assert_eq!(pieces, whole);
        }
    }
}
