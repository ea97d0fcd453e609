//! Tests of the AX100 framings.

use super::*;
use crate::framing::Options;
use crate::framing::testing::{self, Chunking};
use crate::modulation::ErrorEvent;
use rand::seq::index::sample;
use rand::{Rng, RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

fn framings() -> Vec<Box<dyn Framing>> {
    let none = Options([("randomizer".into(), "none".into())].into());
    let mut all: Vec<_> = [&ASM_GOLAY, &FORESAIL_1, &REED_SOLOMON]
        .iter()
        .map(|d| (d.build)(&Options::default()).unwrap())
        .collect();
    all.push((ASM_GOLAY.build)(&none).unwrap());
    all
}

fn random(rng: &mut ChaCha8Rng, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    rng.fill_bytes(&mut bytes);
    bytes
}

/// Channel bits of frames with preamble and postamble; index of the first ASM.
fn send(framing: &dyn Framing, frames: &[Vec<u8>]) -> (Vec<u8>, usize) {
    let mut encoder = framing.encoder();
    let mut bits = Vec::new();
    encoder.preamble(80, &mut bits);
    let first = bits.len();
    for frame in frames {
        encoder.frame(frame, &mut bits).unwrap();
    }
    encoder.postamble(&mut bits);
    (bits, first)
}

#[test]
fn round_trip_in_any_mapping_polarity_and_chunking() {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    for framing in framings() {
        let most = framing.frame_bytes().1;
        let frames = [1, 2, 100, most, 57, most - 1].map(|n| random(&mut rng, n));
        testing::round_trip(framing.as_ref(), &frames, Check::ReedSolomon, &mut rng);
    }
}

#[test]
fn the_bits_are_those_of_the_specification() {
    let framing = (ASM_GOLAY.build)(&Options::default()).unwrap();
    let (bits, first) = send(framing.as_ref(), &[vec![0; 100]]);
    let mut bytes = Vec::new();
    crate::coding::bits::pack_msb_first(&bits[first..], &mut bytes);
    assert_eq!(bytes[..4], [0x93, 0x0B, 0x51, 0xDE]);
    // L = 132 = 084, flags 6: parity(684 & mask) for each mask of the specification.
    let parity: u16 =
        [0x8ED, 0x1DB, 0x3B5, 0x769, 0xED1, 0xDA3, 0xB47, 0x68F, 0xD1D, 0xA3B, 0x477, 0xFFE]
            .iter()
            .fold(0, |p, m| p << 1 | (0x684u16 & m).count_ones() as u16 & 1);
    assert_eq!(u16::from_be_bytes([bytes[4], bytes[5]]) >> 4, parity);
    assert_eq!((bytes[5] & 0xF, bytes[6]), (0x6, 0x84));
    // A codeword of zeros shows the randomizer.
    assert_eq!(bytes[7..11], [0xFF, 0x48, 0x0E, 0xC0]);
    let llrs = testing::llrs(&bits, Mapping::Direct);
    let out = testing::deframe(framing.as_ref(), Mapping::Direct, &llrs, Chunking::Whole);
    let end = first as u64 + 56 + 8 * 132;
    assert_eq!((out.frames[0].first_symbol, out.frames[0].end_symbol), (first as u64, end));
    assert_eq!(out.frames[0].corrected_symbols, Some(0));
    assert_eq!(out.frames[0].corrected_bits, Some(0));
}

#[test]
fn errors_up_to_the_radius_are_corrected_and_counted() {
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    let framing = (ASM_GOLAY.build)(&Options::default()).unwrap();
    for errors in [0, 1, 8, 16, 20] {
        for header_errors in 0..=3 {
            let sent = random(&mut rng, 100);
            let (mut bits, first) = send(framing.as_ref(), std::slice::from_ref(&sent));
            for i in sample(&mut rng, 32, 4) {
                bits[first + i] ^= 1;
            }
            for i in sample(&mut rng, 24, header_errors) {
                bits[first + 32 + i] ^= 1;
            }
            for i in sample(&mut rng, 132, errors) {
                bits[first + 56 + 8 * i + rng.random_range(0..8)] ^= 1;
            }
            let llrs = testing::llrs(&bits, Mapping::Direct);
            let out = testing::deframe(framing.as_ref(), Mapping::Direct, &llrs, Chunking::Whole);
            if errors > 16 {
                assert!(out.frames.is_empty());
                assert_eq!(out.rejects[Reject::Uncorrectable as usize], 1);
                continue;
            }
            assert_eq!(out.frames[0].bytes, sent);
            assert_eq!(out.frames[0].corrected_symbols, Some(errors as u32));
            assert_eq!(out.frames[0].corrected_bits, Some(header_errors as u32));
        }
    }
}

#[test]
fn a_tone_behind_a_sync_word_is_no_frame() {
    for framing in framings() {
        let (bits, first) = send(framing.as_ref(), &[vec![1; 100]]);
        for bit in [0, 1] {
            let mut bits = bits[..first + ASM_BITS].to_vec();
            bits.resize(bits.len() + 3000, bit);
            let llrs = testing::llrs(&bits, Mapping::Direct);
            let out = testing::deframe(framing.as_ref(), Mapping::Direct, &llrs, Chunking::Whole);
            assert!(out.frames.is_empty());
        }
    }
}

#[test]
fn weak_bytes_are_erased() {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    for framing in framings() {
        let sent = random(&mut rng, 100);
        let (bits, first) = send(framing.as_ref(), std::slice::from_ref(&sent));
        let mut llrs = testing::llrs(&bits, Mapping::Direct);
        // A fade over 17 to 20 bytes, in which every sixth bit is wrong (every byte has one).
        let from = first + 400;
        for (i, x) in llrs[from..from + 8 * 17].iter_mut().enumerate() {
            *x *= if i % 6 == 0 { -0.02 } else { 0.02 };
        }
        let out = testing::deframe(framing.as_ref(), Mapping::Direct, &llrs, Chunking::Whole);
        assert_eq!(out.frames.len(), 1);
        assert_eq!(out.frames[0].bytes, sent);
        assert!(out.frames[0].corrected_symbols > Some(16));
        // Where there is nothing at all, what was corrected looks like chance.
        for x in &mut llrs[from..from + 8 * 40] {
            *x = 0.1 * rng.random_range(-1.0f32..1.0);
        }
        let out = testing::deframe(framing.as_ref(), Mapping::Direct, &llrs, Chunking::Whole);
        assert!(out.frames.is_empty());
    }
}

/// Sixteen errors, and five strong ones that only the demodulator's events tell of.
#[test]
fn events_of_the_demodulator_are_undone() {
    let mut rng = ChaCha8Rng::seed_from_u64(10);
    let framing = (ASM_GOLAY.build)(&Options::default()).unwrap();
    let sent = random(&mut rng, 100);
    let (bits, first) = send(framing.as_ref(), std::slice::from_ref(&sent));
    for mapping in [Mapping::Direct, Mapping::Differential] {
        let mut llrs = testing::llrs(&bits, mapping);
        // A wrong symbol of a differential channel is two wrong bits.
        let pattern = if mapping == Mapping::Direct { 0b11 } else { 0b1 };
        let mut events = Vec::new();
        for (i, byte) in sample(&mut rng, 132, 41).into_iter().enumerate() {
            let symbol = first + 56 + 8 * byte + rng.random_range(0..7);
            // The last twenty are right, and weaker than what is wrong.
            llrs[symbol] *= match i {
                0..16 => -0.4 - 0.01 * i as f32,
                16..21 => -1.0,
                _ => 0.2 + 0.001 * i as f32,
            };
            if (16..21).contains(&i) {
                if mapping == Mapping::Direct {
                    llrs[symbol + 1] *= -1.0;
                }
                let first_symbol = symbol as u64;
                events.push(ErrorEvent { first_symbol, pattern, cost: 0.1 * i as f32 });
            }
        }
        for with_events in [false, true] {
            let mut deframer = framing.deframer(mapping, Effort::Full);
            let mut out = Deframed::default();
            let block = SoftBlock {
                run: 0,
                first_symbol: 0,
                first_sample: 0.0,
                samples_per_symbol: 5.0,
                frequency_offset_hz: 0.0,
                esn0_db: 0.0,
                mapping,
                llr: llrs.clone(),
                events: if with_events { events.clone() } else { Vec::new() },
                end: true,
            };
            deframer.push(&block, &mut out);
            deframer.finish(&mut out);
            assert_eq!(out.frames.len(), usize::from(with_events), "{mapping:?}");
            assert!(out.frames.iter().all(|frame| frame.bytes == sent));
        }
    }
}

/// The header says two bytes more than there are, with as many errors as it can have and still
/// point there.
#[test]
fn a_word_with_junk_behind_it_is_not_taken_for_a_longer_one() {
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    let framing = (ASM_GOLAY.build)(&Options::default()).unwrap();
    let mut found = 0;
    // Flags of the wrong word: the right ones, and others.
    for (longer, flags) in (1..=8u16).flat_map(|k| [FLAGS, 0, 0xB00].map(|flags| (k, flags))) {
        let sent = random(&mut rng, 100);
        let (bits, first) = send(framing.as_ref(), std::slice::from_ref(&sent));
        let mut llrs = testing::llrs(&bits, Mapping::Direct);
        llrs.iter_mut().for_each(|llr| *llr *= 2.0);
        let wrong = golay::encode(flags | (132 + longer));
        let right = golay::encode(FLAGS | 132);
        // Just more than half of the bits in which they differ go over to the wrong word.
        let mut over = (wrong ^ right).count_ones() / 2 + 1;
        for i in 0..24 {
            if (wrong ^ right) >> (23 - i) & 1 == 1 && over > 0 {
                llrs[first + 32 + i] *= -1.0;
                over -= 1;
            }
        }
        let out = testing::deframe(framing.as_ref(), Mapping::Direct, &llrs, Chunking::Whole);
        found += usize::from(flags == FLAGS && !out.frames.is_empty());
        for frame in &out.frames {
            assert_eq!(frame.bytes, sent);
            assert_eq!(frame.end_symbol, first as u64 + 56 + 8 * 132);
        }
    }
    // By chance another length may be nearly as likely.
    assert!(found >= 5, "{found}");
}

/// Neither the header nor what follows tells how long the codeword is: doubtful.
#[test]
fn an_ambiguous_length_is_doubtful() {
    let mut rng = ChaCha8Rng::seed_from_u64(11);
    let framing = Ax100 { scrambled: false, ..MODE_6 };
    let sent = random(&mut rng, 99);
    let (bits, first) = send(&framing, std::slice::from_ref(&sent));
    let mut llrs = testing::llrs(&bits, Mapping::Direct);
    // Length 132 or 133, and the byte behind weakly zero.
    llrs[first + 39] = 0.1;
    let end = first + 40 + 8 * 131;
    llrs[end..end + 8].fill(0.3);
    for effort in [Effort::OnePass, Effort::Full, Effort::Doubtful] {
        let mut deframer = framing.deframer(Mapping::Direct, effort);
        let mut out = Deframed::default();
        let block = SoftBlock {
            run: 0,
            first_symbol: 0,
            first_sample: 0.0,
            samples_per_symbol: 2.0,
            frequency_offset_hz: 0.0,
            esn0_db: 10.0,
            mapping: Mapping::Direct,
            llr: llrs.clone(),
            events: Vec::new(),
            end: true,
        };
        deframer.push(&block, &mut out);
        deframer.finish(&mut out);
        if effort == Effort::Doubtful {
            assert_eq!(out.frames.len(), 1);
            assert!(out.frames[0].log_odds.is_some_and(|odds| odds < CERTAIN_ODDS.ln()));
        } else {
            assert_eq!(out.frames, []);
        }
    }
}

/// Something like a sync word and a header a few bytes before the true ones.
#[test]
fn a_frame_does_not_begin_early() {
    let mut rng = ChaCha8Rng::seed_from_u64(12);
    let framing = Ax100 { scrambled: false, ..MODE_6 };
    for early in [5, 7, 9] {
        let sent = random(&mut rng, 80);
        let (mut bits, first) = send(&framing, std::slice::from_ref(&sent));
        let mut false_start = Vec::new();
        unpack_msb_first(&AX100_ASM.to_be_bytes(), &mut false_start);
        for wrong in [3, 9, 20, 22] {
            false_start[wrong] ^= 1;
        }
        unpack_msb_first(&[(80 + 33 + early) as u8], &mut false_start);
        bits[first - 8 * early..][..40].copy_from_slice(&false_start);
        let llrs = testing::llrs(&bits, Mapping::Direct);
        let out = testing::deframe(&framing, Mapping::Direct, &llrs, Chunking::Whole);
        assert_eq!(out.frames.len(), 1, "{early}");
        assert_eq!(out.frames[0].bytes, sent);
        assert_eq!(out.frames[0].first_symbol, first as u64);
    }
}

/// The same for a plain length with one wrong bit.
#[test]
fn a_wrong_length_byte_is_mended() {
    let mut rng = ChaCha8Rng::seed_from_u64(9);
    let framing = Ax100 { scrambled: false, ..MODE_6 };
    for length in [100, 110, 117, 140] {
        for bit in 0..8 {
            let sent = random(&mut rng, length);
            let (bits, first) = send(&framing, std::slice::from_ref(&sent));
            let mut llrs = testing::llrs(&bits, Mapping::Direct);
            llrs.extend((0..1000).map(|_| rng.random_range(-2.0f32..2.0)));
            llrs[first + 32 + bit] *= -0.5;
            let out = testing::deframe(&framing, Mapping::Direct, &llrs, Chunking::Whole);
            assert_eq!(out.frames.len(), 1);
            assert_eq!(out.frames[0].bytes, sent);
        }
    }
}

#[test]
fn a_csp_crc_vouches_too() {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    for skipped in [0, 4] {
        let mut packet = random(&mut rng, 40);
        let sum = crc::CRC_32C.checksum(&packet[skipped..]);
        packet.extend(sum.to_be_bytes());
        for framing in framings() {
            let (bits, _) = send(framing.as_ref(), std::slice::from_ref(&packet));
            let llrs = testing::llrs(&bits, Mapping::Direct);
            let out = testing::deframe(framing.as_ref(), Mapping::Direct, &llrs, Chunking::Whole);
            assert_eq!(out.frames[0].bytes, packet);
            assert_eq!(out.frames[0].check, Check::CrcAndReedSolomon);
        }
    }
    assert!(!csp_crc_is_right(&[]) && !csp_crc_is_right(&[0; 4]) && !csp_crc_is_right(&[0; 8]));
}

/// At a bit error rate of 10 %, which no codeword survives, the ASM is still found, whether
/// the symbols are soft or hard; noise passes rarely enough.
#[test]
fn the_threshold_misses_less_than_a_hundredth() {
    let mut rng = ChaCha8Rng::seed_from_u64(6);
    let sync = SyncWord::new(u64::from(AX100_ASM), ASM_BITS, SYNC_THRESHOLD);
    let deviation = 1.0 / 1.2816;
    let mut missed = [0; 2];
    let mut hits = Vec::new();
    for _ in 0..4000 {
        let soft: Vec<f32> = (0..32)
            .map(|i| {
                let noise: f32 = StandardNormal.sample(&mut rng);
                1.0 - 2.0 * (AX100_ASM >> (31 - i) & 1) as f32 + deviation * noise
            })
            .collect();
        let decided: Vec<f32> = soft.iter().map(|x| 1f32.copysign(*x)).collect();
        for (llrs, missed) in [soft, decided].iter().zip(&mut missed) {
            hits.clear();
            sync.search(llrs, &mut hits);
            *missed += usize::from(hits.is_empty());
        }
    }
    assert!(missed[0] < 40 && missed[1] < 40, "{missed:?}");
    let noise: Vec<f32> = (0..200_000).map(|_| StandardNormal.sample(&mut rng)).collect();
    hits.clear();
    sync.search(&noise, &mut hits);
    assert!(hits.len() < 1000, "{}", hits.len());
}

#[test]
fn the_end_of_a_run_may_cut_a_frame_a_little() {
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    for framing in framings() {
        let sent = random(&mut rng, 80);
        let mut encoder = framing.encoder();
        let mut bits = Vec::new();
        encoder.preamble(40, &mut bits);
        encoder.frame(&sent, &mut bits).unwrap();
        for (cut, count) in [(0, 1), (40, 1), (200, 0)] {
            let llrs = testing::llrs(&bits[..bits.len() - cut], Mapping::Direct);
            let out = testing::deframe(framing.as_ref(), Mapping::Direct, &llrs, Chunking::Whole);
            assert_eq!(out.frames.len(), count);
            assert!(out.frames.iter().all(|f| f.end_symbol == llrs.len() as u64));
        }
    }
}

#[test]
fn lengths_out_of_range_are_refused() {
    for framing in framings() {
        let most = framing.frame_bytes().1;
        for length in [0, most + 1, 3000] {
            assert!(framing.encoder().frame(&vec![0; length], &mut Vec::new()).is_err());
        }
    }
    let wrong = Options([("randomizer".into(), "g3ruh".into())].into());
    assert!((ASM_GOLAY.build)(&wrong).is_err());
}

#[test]
fn garbage_gives_no_frames() {
    let mut rng = ChaCha8Rng::seed_from_u64(8);
    for framing in framings() {
        testing::garbage(framing.as_ref(), 60_000, &mut rng);
    }
}
