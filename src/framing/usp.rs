//! USP, the Unified SPUTNIX Protocol: AX.25 frames within convolutional and Reed–Solomon code.
//!
//! ```text
//!  ┌──────────────────┬──────────┬─────────────────────────────────────────────┐
//!  │ sync word        │ PLS code │ coded data                                  │
//!  │ 5072F64B2D90B1F5 │ 64 bits  │ 2·8·(N + 32) bits                           │
//!  └──────────────────┴──────────┴─────────────────────────────────────────────┘
//!                                 N + 32 bytes: Reed–Solomon, randomised, then K = 7 coder,
//!                                 begun in state 0 and cut off without a tail
//!  ┌──────────┬───────────┬─────────────┬───────────┬───────────┐
//!  │ protocol │ length    │ AX.25 frame │ filling   │ RS parity │
//!  │ 2 bytes  │ 2, LE     │ no FCS      │ up to N   │ 32 bytes  │
//!  └──────────┴───────────┴─────────────┴───────────┴───────────┘
//! ```
//!
//! Bytes are sent most significant bit first. The PLS code (physical layer signalling, as in
//! DVB-S2: a (64,7) code word ⊕ a scrambling word) tells N: 719D83C953422DFA stands for 48,
//! 24C8D69C061778AF for 223. Convolutional code: G1, then inverted G2. Randomizer: CCSDS.
//! Reed–Solomon: CCSDS E = 16, dual basis, shortened.
//!
//! The sync word and the PLS code are looked for softly, in either polarity, and on a differential
//! channel the code is decoded jointly ([`crate::coding::convolutional`]).
//!
//! References: SPUTNIX, *USP protocol description* rev. 1.04 (whose table of PLS codes is swapped);
//! CCSDS 131.0-B-5 for code and randomizer.

use crate::coding::chase::Budget;
use crate::coding::concatenated::{Codes, ConcatenatedDecoder, Received};
use crate::coding::convolutional::{Convention, ConvolutionalEncoder, ViterbiDecoder};
use crate::coding::reed_solomon::CCSDS_E16_DUAL;
use crate::coding::{bits, randomizer};
use crate::effort::Effort;
use crate::error::RequestError;
use crate::frame::Check;
use crate::framing::ccsds::sync::{Found, Line, SyncBuffer, SyncPattern};
use crate::framing::{Deframed, Deframer, Descriptor, FrameEncoder, Framing, RawFrame, Reject};
use crate::modulation::{Mapping, Preference, SoftBlock};

const SYNC_WORD: [u8; 8] = 0x5072_F64B_2D90_B1F5_u64.to_be_bytes();
/// Symbols of sync word and PLS code.
const HEADER_SYMBOLS: usize = 128;
/// PLS code and data bytes, the shorter first.
const PLS: [(u64, usize); 2] = [(0x719D_83C9_5342_2DFA, 48), (0x24C8_D69C_0617_78AF, 223)];
const PARITY_BYTES: usize = 32;
/// Protocol and length.
const PREFIX_BYTES: usize = 4;
const CONVENTION: Convention = Convention::Ccsds;
/// Strength of the sync word for the PLS code to be looked at. At the limit of the code (Es/N0 =
/// -1.8 dB) it is 6.0 ± .65, in noise 0 ± 1.
const SYNC_STRENGTH: f32 = 3.2;
/// Strength of both together for a try; 8.5 ± .65 at the limit.
const HEADER_STRENGTH: f32 = 5.2;
/// Share of the soft symbols that the decoded path keeps: .9 at the limit, .84 of hard decisions
/// there.
const PLAUSIBLE_PATH: f64 = 0.75;
/// Symbols that may be missing at the end of a run: half of what Reed–Solomon corrects.
const MISSING_SYMBOLS: usize = 8 * 16;

/// Symbols of the coded data.
const fn coded_symbols(data_bytes: usize) -> usize {
    2 * 8 * (data_bytes + PARITY_BYTES)
}

struct Usp;

impl Framing for Usp {
    fn deframer(&self, mapping: Mapping, effort: Effort) -> Box<dyn Deframer> {
        Box::new(UspDeframer::new(mapping, effort))
    }

    fn encoder(&self) -> Box<dyn FrameEncoder> {
        Box::new(UspEncoder)
    }

    fn preference(&self) -> Preference {
        Preference { differential: true, continuous: false, coded: true }
    }

    fn frame_bytes(&self) -> (usize, usize) {
        (1, PLS[1].1 - PREFIX_BYTES)
    }
}

/// A PLS code as the symbols behind an upright sync word show it.
struct PlsCode {
    signs: [f32; 64],
    data_bytes: usize,
}

struct UspDeframer {
    buffer: SyncBuffer,
    decoder: ConcatenatedDecoder,
    budget: Budget,
    mapping: Mapping,
    codes: [PlsCode; 2],
    /// Next position to be decided.
    cursor: u64,
    ended: bool,
    run_end: u64,
    // Working memory.
    upright: Vec<f32>,
}

impl UspDeframer {
    fn new(mapping: Mapping, effort: Effort) -> Self {
        let line = Line { precoding: false, convolution: None, mapping };
        let buffer = SyncBuffer::new(SyncPattern::new(&SYNC_WORD, line));
        let codes = PLS.map(|(word, data_bytes)| {
            let mut phase = 0;
            let signs = std::array::from_fn(|k| {
                let bit = (word >> (63 - k) & 1) as u8;
                phase = if mapping == Mapping::Differential { phase ^ bit } else { bit };
                1.0 - 2.0 * f32::from(phase)
            });
            PlsCode { signs, data_bytes }
        });
        let cursor = buffer.first_position();
        Self {
            buffer,
            decoder: ConcatenatedDecoder::new(match mapping {
                Mapping::Direct => ViterbiDecoder::new(CONVENTION),
                Mapping::Differential => ViterbiDecoder::differential(CONVENTION),
            }),
            budget: Budget::new(effort > Effort::OnePass),
            mapping,
            codes,
            cursor,
            ended: false,
            run_end: u64::MAX,
            upright: Vec::new(),
        }
    }

    fn advance(&mut self, out: &mut Deframed) {
        // Positions before this one have their sync word and PLS code in.
        let limit = (self.buffer.end() + 1).saturating_sub(HEADER_SYMBOLS as u64);
        while self.cursor < limit {
            let Some(position) = self.buffer.next_above(self.cursor, limit, SYNC_STRENGTH) else {
                self.cursor = limit;
                break;
            };
            self.cursor = position;
            let found = self.buffer.found(position);
            let Some(code) = self.pls(position, found) else {
                self.cursor += 1;
                continue;
            };
            let symbols = HEADER_SYMBOLS + coded_symbols(self.codes[code].data_bytes);
            let end = position + symbols as u64;
            if end > self.buffer.end() {
                if self.ended {
                    self.cursor += 1;
                    continue;
                }
                break;
            }
            match self.decode(position, found, code) {
                Ok(mut frame) => {
                    frame.first_symbol = self.buffer.run_symbol(position);
                    frame.end_symbol = self.buffer.run_symbol(end.min(self.run_end));
                    out.sync_word();
                    out.frames.push(frame);
                    self.cursor = end;
                }
                Err(reject) => {
                    out.sync_word();
                    out.reject(reject);
                    self.cursor += 1;
                }
            }
        }
        self.buffer.forget(self.cursor);
    }

    /// Which PLS code follows the sync word at a position.
    fn pls(&mut self, position: u64, found: Found) -> Option<usize> {
        let symbols = self.buffer.symbols(position + 64, 64);
        self.buffer.pattern().upright(found, symbols, &mut self.upright);
        let energy: f32 = self.upright.iter().map(|x| x * x).sum();
        let scale = energy.max(f32::MIN_POSITIVE).sqrt().recip();
        let strength = self.codes.each_ref().map(|code| {
            let sum: f32 = code.signs.iter().zip(&self.upright).map(|(s, x)| s * x).sum();
            sum * scale
        });
        let code = usize::from(strength[1] > strength[0]);
        let together = (found.strength + strength[code]) * std::f32::consts::FRAC_1_SQRT_2;
        (together > HEADER_STRENGTH).then_some(code)
    }

    fn decode(&mut self, position: u64, found: Found, code: usize) -> Result<RawFrame, Reject> {
        let code = &self.codes[code];
        let symbols = coded_symbols(code.data_bytes);
        let all = self.buffer.symbols(position + 64, 64 + symbols);
        self.buffer.pattern().upright(found, all, &mut self.upright);
        self.upright.drain(..64.min(self.upright.len()));
        if self.mapping == Mapping::Differential {
            // The decoder takes the phase before its first symbol as 0: that of the PLS's last.
            let sign = code.signs[63];
            self.upright.iter_mut().for_each(|symbol| *symbol *= sign);
        }
        let codes = Codes {
            code: &CCSDS_E16_DUAL,
            depth: 1,
            codeword_bytes: code.data_bytes + PARITY_BYTES,
            precoding: false,
            randomizer: true,
        };
        let received = Received { llr: &self.upright, start: 0, tail: &[] };
        let decoded = self.decoder.decode(&codes, &received, self.budget.at(position));
        let decoded = decoded.ok_or(Reject::Uncorrectable)?;
        if decoded.path.metric <= PLAUSIBLE_PATH * decoded.path.magnitude {
            return Err(Reject::Uncorrectable);
        }
        let codeword = self.decoder.block();
        let length = usize::from(u16::from_le_bytes([codeword[2], codeword[3]]));
        if length == 0 || length > code.data_bytes - PREFIX_BYTES {
            return Err(Reject::Length);
        }
        Ok(RawFrame {
            bytes: codeword[PREFIX_BYTES..PREFIX_BYTES + length].to_vec(),
            first_symbol: 0,
            end_symbol: 0,
            check: Check::ReedSolomon,
            corrected_symbols: Some(decoded.corrected_symbols),
            corrected_bits: Some(decoded.path.corrected_bits),
            repaired_bits: None,
            log_odds: None,
        })
    }
}

impl Deframer for UspDeframer {
    fn push(&mut self, block: &SoftBlock, out: &mut Deframed) {
        if self.ended {
            return;
        }
        self.buffer.extend(&block.llr);
        self.advance(out);
    }

    fn finish(&mut self, out: &mut Deframed) {
        if self.ended {
            return;
        }
        self.ended = true;
        self.run_end = self.buffer.end();
        self.buffer.pad(MISSING_SYMBOLS);
        self.advance(out);
    }

    fn settled_symbol(&self) -> u64 {
        self.buffer.run_symbol(self.cursor)
    }
}

struct UspEncoder;

impl UspEncoder {
    fn alternating(symbols: usize, channel: &mut Vec<u8>) {
        channel.extend((0..symbols).map(|k| (k % 2) as u8));
    }
}

impl FrameEncoder for UspEncoder {
    fn preamble(&mut self, symbols: usize, channel: &mut Vec<u8>) {
        Self::alternating(symbols, channel);
    }

    fn frame(&mut self, bytes: &[u8], channel: &mut Vec<u8>) -> Result<(), RequestError> {
        let fits = |data_bytes: usize| bytes.len() + PREFIX_BYTES <= data_bytes;
        let Some((word, data_bytes)) = PLS.into_iter().find(|(_, data_bytes)| fits(*data_bytes))
        else {
            return Err(RequestError::new(
                "frame",
                format!("{} bytes do not fit this framing", bytes.len()),
                format!("send at most {} bytes", PLS[1].1 - PREFIX_BYTES),
            ));
        };
        if bytes.is_empty() {
            return Err(RequestError::new("frame", "it is empty", "send at least 1 byte"));
        }
        let mut codeword = vec![0, 0];
        codeword.extend_from_slice(&(bytes.len() as u16).to_le_bytes());
        codeword.extend_from_slice(bytes);
        codeword.resize(data_bytes, 0);
        let mut parity = [0; PARITY_BYTES];
        CCSDS_E16_DUAL.encode(&codeword, &mut parity);
        codeword.extend_from_slice(&parity);
        randomizer::CCSDS.apply_bytes(&mut codeword, 0);
        bits::unpack_msb_first(&SYNC_WORD, channel);
        bits::unpack_msb_first(&word.to_be_bytes(), channel);
        let mut data = Vec::with_capacity(8 * codeword.len());
        bits::unpack_msb_first(&codeword, &mut data);
        ConvolutionalEncoder::new(CONVENTION).encode(&data, channel);
        Ok(())
    }

    fn postamble(&mut self, channel: &mut Vec<u8>) {
        Self::alternating(32, channel);
    }
}

/// The framing of SPUTNIX's satellites.
pub const USP: Descriptor = Descriptor {
    name: "USP",
    aliases: &["sputnix"],
    summary: "Unified SPUTNIX Protocol: AX.25 frames within convolutional and Reed–Solomon code",
    reference: "SPUTNIX, USP protocol description rev. 1.04",
    options: &[],
    build: |_| Ok(Box::new(Usp)),
};

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;
    use crate::framing::{ccsds::testing as soft, testing};
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    fn random_frame(rng: &mut ChaCha8Rng, length: usize) -> Vec<u8> {
        (0..length).map(|_| rng.random()).collect()
    }

    #[test]
    fn round_trip() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let frames: Vec<Vec<u8>> =
            [1, 44, 45, 219, 16].into_iter().map(|n| random_frame(&mut rng, n)).collect();
        testing::round_trip(&Usp, &frames, Check::ReedSolomon, &mut rng);
    }

    #[test]
    fn garbage() {
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        testing::garbage(&Usp, 60_000, &mut rng);
    }

    #[test]
    fn the_header_is_as_specified() {
        let mut channel = Vec::new();
        UspEncoder.frame(&[1, 2, 3], &mut channel).unwrap();
        assert_eq!(channel.len(), 128 + 1280);
        let mut bytes = Vec::new();
        bits::pack_msb_first(&channel[..128], &mut bytes);
        assert_eq!(bytes[..8], [0x50, 0x72, 0xF6, 0x4B, 0x2D, 0x90, 0xB1, 0xF5]);
        assert_eq!(bytes[8..], [0x71, 0x9D, 0x83, 0xC9, 0x53, 0x42, 0x2D, 0xFA]);
        channel.clear();
        UspEncoder.frame(&[0; 45], &mut channel).unwrap();
        assert_eq!(channel.len(), 128 + 4080);
        assert!(UspEncoder.frame(&[0; 220], &mut channel).is_err());
        assert!(UspEncoder.frame(&[], &mut channel).is_err());
    }

    #[test]
    fn decodes_at_the_limit_of_the_code() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        for (mapping, esn0_db) in [(Mapping::Direct, -1.4), (Mapping::Differential, -0.9)] {
            for length in [40, 219] {
                let frames: Vec<_> = (0..40).map(|_| random_frame(&mut rng, length)).collect();
                let mut channel = Vec::new();
                for frame in &frames {
                    UspEncoder.preamble(100, &mut channel);
                    UspEncoder.frame(frame, &mut channel).unwrap();
                }
                let llr = soft::noisy(&mut rng, &channel, mapping, true, esn0_db);
                let found = soft::deframe(&Usp, mapping, &llr);
                assert!(found.frames.iter().all(|frame| frames.contains(&frame.bytes)));
                assert!(found.frames.len() >= 32, "{mapping:?} {length} {}", found.frames.len());
            }
        }
    }

    #[test]
    fn a_run_that_begins_or_ends_within_the_frame() {
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        for mapping in [Mapping::Direct, Mapping::Differential] {
            let frame = random_frame(&mut rng, 100);
            let mut channel = Vec::new();
            UspEncoder.frame(&frame, &mut channel).unwrap();
            let llr = soft::soft(&channel, mapping, false, 3.0);
            let found = soft::deframe(&Usp, mapping, &llr[30..llr.len() - 100]);
            assert_eq!(found.frames.len(), 1);
            assert_eq!(found.frames[0].bytes, frame);
            assert_eq!(found.frames[0].first_symbol, 0);
            assert_eq!(found.frames[0].end_symbol, llr.len() as u64 - 130);
        }
    }

    #[test]
    fn an_impossible_length_is_rejected() {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let mut codeword = random_frame(&mut rng, 48);
        codeword[2..4].copy_from_slice(&45u16.to_le_bytes());
        let mut parity = [0; PARITY_BYTES];
        CCSDS_E16_DUAL.encode(&codeword, &mut parity);
        codeword.extend_from_slice(&parity);
        randomizer::CCSDS.apply_bytes(&mut codeword, 0);
        let mut channel = Vec::new();
        bits::unpack_msb_first(&SYNC_WORD, &mut channel);
        bits::unpack_msb_first(&PLS[0].0.to_be_bytes(), &mut channel);
        let mut data = Vec::new();
        bits::unpack_msb_first(&codeword, &mut data);
        ConvolutionalEncoder::new(CONVENTION).encode(&data, &mut channel);
        let llr = soft::soft(&channel, Mapping::Direct, false, 3.0);
        let found = soft::deframe(&Usp, Mapping::Direct, &llr);
        assert!(found.frames.is_empty());
        assert_eq!(found.rejects[Reject::Length as usize], 1);
    }
}
