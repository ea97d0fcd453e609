//! Frames of a fixed length behind a sync word, as the packet handlers of radio chips send them.
//!
//! ```text
//!  ┌───────────────┬───────────┬──────────────────────────────────────────┐
//!  │ preamble      │ sync word │ block, ⊕ randomizer                      │
//!  │ 0101… or AA…  │ 16 bits   │ ┌──────────────────────────────┬───────┐ │
//!  │               │           │ │ frame, N bytes               │ CRC   │ │
//!  │               │           │ │                              │ 16 BE │ │
//!  │               │           │ └──────────────────────────────┴───────┘ │
//!  └───────────────┴───────────┴──────────────────────────────────────────┘
//! ```
//!
//! Bytes are sent most significant bit first; the randomizer starts anew with every block. The sync
//! word is looked for softly and in either polarity. It is short and turns up in noise, and 16 bits
//! of CRC let one block in 65 536 pass; so the symbols have their say: what is too doubtful in all to
//! be anything but noise is no frame. A block whose CRC fails is repaired with the likeliest error
//! events ([`crate::coding::crc_repair`]). A framing of this kind is a `Layout`: a constant.
//!
//! References: Silicon Labs, *Si4463 data sheet* and *AN626* (packet handler, PN9 data whitening);
//! Texas Instruments, *DN502* (CRC of the CC11xx radios).

use crate::coding::crc::{self, Crc};
use crate::coding::event::{self, BitEvent};
use crate::coding::randomizer::{self, Randomizer};
use crate::coding::{bits, crc_repair};
use crate::effort::Effort;
use crate::error::RequestError;
use crate::frame::{CERTAIN_ODDS, Check, LIKELY_ODDS};
use crate::framing::ccsds::sync::{Found, Line, SyncBuffer, SyncPattern};
use crate::framing::{Deframed, Deframer, Descriptor, FrameEncoder, Framing, RawFrame, Reject};
use crate::modulation::{Mapping, Preference, SoftBlock};

/// Doubt of a block that is noise, `∑ ln(1 + e^-|llr|)` over its symbols, nats: 32 ± 4 for 37 bytes of
/// a discriminator's noise; signals are below 13.
const NOISE_NATS: f32 = 20.0;
/// Bytes of the CRC.
const CRC_BYTES: usize = 2;

/// What such a framing consists of.
struct Layout {
    sync_word: [u8; 2],
    /// Strength of the sync word for a try. All symbols agreeing is 4, each wrong one takes .5.
    sync_strength: f32,
    /// Bytes of the frame.
    frame_bytes: usize,
    randomizer: &'static Randomizer,
    /// Its highest byte is sent first.
    crc: &'static Crc,
}

impl Layout {
    const fn block_bytes(&self) -> usize {
        self.frame_bytes + CRC_BYTES
    }
}

/// Lucky-7's: image and telemetry pieces of 35 bytes, which a Si4463 sends.
static LUCKY_7_LAYOUT: Layout = Layout {
    sync_word: [0x2D, 0xD4],
    sync_strength: 3.3,
    frame_bytes: 35,
    randomizer: &randomizer::PN9_SI4463,
    crc: &crc::CC11XX,
};

struct Fixed(&'static Layout);

impl Framing for Fixed {
    fn deframer(&self, mapping: Mapping, effort: Effort) -> Box<dyn Deframer> {
        Box::new(FixedDeframer::new(self.0, mapping, effort))
    }

    fn encoder(&self) -> Box<dyn FrameEncoder> {
        Box::new(FixedEncoder(self.0))
    }

    fn preference(&self) -> Preference {
        Preference::default()
    }

    fn frame_bytes(&self) -> (usize, usize) {
        (self.0.frame_bytes, self.0.frame_bytes)
    }
}

struct FixedDeframer {
    layout: &'static Layout,
    buffer: SyncBuffer,
    mapping: Mapping,
    /// Odds, as a logarithm, that a repaired frame must have; `None`: nothing is repaired.
    least_log_odds: Option<f32>,
    /// What turning each bit of a block adds to the syndrome.
    syndromes: Vec<u32>,
    /// Next position to be decided.
    cursor: u64,
    ended: bool,
    // Working memory.
    upright: Vec<f32>,
    bits: Vec<u8>,
    block: Vec<u8>,
    events: Vec<BitEvent>,
}

impl FixedDeframer {
    fn new(layout: &'static Layout, mapping: Mapping, effort: Effort) -> Self {
        let line = Line { precoding: false, convolution: None, mapping };
        let buffer = SyncBuffer::new(SyncPattern::new(&layout.sync_word, line));
        let cursor = buffer.first_position();
        Self {
            layout,
            buffer,
            mapping,
            least_log_odds: match effort {
                Effort::OnePass => None,
                Effort::Full => Some(CERTAIN_ODDS.ln()),
                Effort::Doubtful => Some(LIKELY_ODDS.ln()),
            },
            syndromes: layout.crc.bit_syndromes(layout.block_bytes()),
            cursor,
            ended: false,
            upright: Vec::new(),
            bits: Vec::new(),
            block: Vec::new(),
            events: Vec::new(),
        }
    }

    fn sync_symbols(&self) -> u64 {
        8 * self.layout.sync_word.len() as u64
    }

    fn advance(&mut self, out: &mut Deframed) {
        let symbols = self.sync_symbols() + 8 * self.layout.block_bytes() as u64;
        // Positions before this one have their whole block in.
        let limit = (self.buffer.end() + 1).saturating_sub(symbols);
        while self.cursor < limit {
            let threshold = self.layout.sync_strength;
            let Some(position) = self.buffer.next_above(self.cursor, limit, threshold) else {
                self.cursor = limit;
                break;
            };
            let found = self.buffer.found(position);
            match self.decode(position, found) {
                Ok(mut frame) => {
                    frame.first_symbol = self.buffer.run_symbol(position);
                    frame.end_symbol = self.buffer.run_symbol(position + symbols);
                    out.sync_word();
                    out.frames.push(frame);
                    self.cursor = position + symbols;
                }
                Err(reject) => {
                    out.sync_word();
                    out.reject(reject);
                    self.cursor = position + 1;
                }
            }
        }
        self.buffer.forget(self.cursor);
    }

    fn decode(&mut self, position: u64, found: Found) -> Result<RawFrame, Reject> {
        let symbols = 8 * self.layout.block_bytes();
        let all = self.buffer.symbols(position + self.sync_symbols(), symbols);
        self.buffer.pattern().upright(found, all, &mut self.upright);
        if self.mapping == Mapping::Differential {
            // c_k = p_k ⊕ p_{k-1}, and p = 0 before the first.
            let mut before = f32::INFINITY;
            for symbol in &mut self.upright {
                let now = *symbol;
                *symbol = now.abs().min(before.abs()).copysign(now * before.signum());
                before = now;
            }
        }
        let doubt: f32 = self.upright.iter().map(|llr| event::doubt(llr.abs())).sum();
        if doubt > NOISE_NATS {
            return Err(Reject::Header);
        }
        self.bits.clear();
        self.bits.extend(self.upright.iter().map(|&llr| u8::from(llr < 0.0)));
        self.block.clear();
        bits::pack_msb_first(&self.bits, &mut self.block);
        self.layout.randomizer.apply_bytes(&mut self.block, 0);
        let syndrome = self.syndrome();
        let (mut repaired_bits, mut log_odds) = (None, None);
        if syndrome != 0 {
            let least = self.least_log_odds.ok_or(Reject::Check)?;
            self.events.clear();
            event::of_symbols(&self.upright, &mut self.events);
            event::sort(&mut self.events);
            let (events, width) = (&self.events, self.layout.crc.width_bits());
            let repair = crc_repair::repair(events, &self.syndromes, syndrome, width, least);
            let repair = repair.ok_or(Reject::Check)?;
            let mut count = 0;
            for bit in repair.indices().iter().flat_map(|&i| events[i].bits()) {
                self.block[bit / 8] ^= 0x80 >> (bit % 8);
                count += 1;
            }
            (repaired_bits, log_odds) = (Some(count), Some(repair.log_odds));
        }
        Ok(RawFrame {
            bytes: self.block[..self.layout.frame_bytes].to_vec(),
            first_symbol: 0,
            end_symbol: 0,
            check: Check::Crc,
            corrected_symbols: None,
            corrected_bits: None,
            repaired_bits,
            log_odds,
        })
    }

    /// Checksum ⊕ field.
    fn syndrome(&self) -> u32 {
        let (frame, field) = self.block.split_at(self.layout.frame_bytes);
        let crc = self.layout.crc;
        let sent = field.iter().fold(0, |sum, &byte| sum << 8 | u32::from(byte));
        crc.finish(crc.update(crc.start(), frame)) ^ sent
    }
}

impl Deframer for FixedDeframer {
    fn push(&mut self, block: &SoftBlock, out: &mut Deframed) {
        if !self.ended {
            self.buffer.extend(&block.llr);
            self.advance(out);
        }
    }

    fn finish(&mut self, _: &mut Deframed) {
        // A block that is not all there cannot be checked.
        self.ended = true;
        self.cursor = self.cursor.max(self.buffer.end());
    }

    fn settled_symbol(&self) -> u64 {
        self.buffer.run_symbol(self.cursor)
    }
}

struct FixedEncoder(&'static Layout);

impl FrameEncoder for FixedEncoder {
    fn preamble(&mut self, symbols: usize, channel: &mut Vec<u8>) {
        channel.extend((0..symbols.next_multiple_of(2)).map(|k| (k % 2) as u8));
    }

    fn frame(&mut self, bytes: &[u8], channel: &mut Vec<u8>) -> Result<(), RequestError> {
        let layout = self.0;
        if bytes.len() != layout.frame_bytes {
            return Err(RequestError::new(
                "frame",
                format!("{} bytes do not fit this framing", bytes.len()),
                format!("send {} bytes", layout.frame_bytes),
            ));
        }
        let crc = layout.crc.finish(layout.crc.update(layout.crc.start(), bytes));
        let mut block = bytes.to_vec();
        block.extend_from_slice(&crc.to_be_bytes()[4 - CRC_BYTES..]);
        layout.randomizer.apply_bytes(&mut block, 0);
        bits::unpack_msb_first(&layout.sync_word, channel);
        bits::unpack_msb_first(&block, channel);
        Ok(())
    }

    fn postamble(&mut self, channel: &mut Vec<u8>) {
        channel.extend((0..16).map(|k| k % 2));
    }
}

/// The framing of Lucky-7.
pub const LUCKY_7: Descriptor = Descriptor {
    name: "Lucky-7",
    aliases: &["lucky7"],
    summary: "35 bytes and CRC, whitened with PN9, behind 2DD4: packets of a Si4463",
    reference: "Silicon Labs Si4463 data sheet, AN626",
    options: &[],
    build: |_| Ok(Box::new(Fixed(&LUCKY_7_LAYOUT))),
};

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;
    use crate::framing::testing::{self, Chunking};
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    const LUCKY_7: Fixed = Fixed(&LUCKY_7_LAYOUT);

    fn frames(count: usize, rng: &mut ChaCha8Rng) -> Vec<Vec<u8>> {
        (0..count).map(|_| (0..35).map(|_| rng.random()).collect()).collect()
    }

    #[test]
    fn round_trip() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let frames = frames(4, &mut rng);
        testing::round_trip(&LUCKY_7, &frames, Check::Crc, &mut rng);
    }

    #[test]
    fn garbage() {
        testing::garbage(&LUCKY_7, 60_000, &mut ChaCha8Rng::seed_from_u64(2));
    }

    #[test]
    fn a_block_is_as_specified() {
        let mut channel = Vec::new();
        FixedEncoder(&LUCKY_7_LAYOUT).frame(&[0; 35], &mut channel).unwrap();
        let mut bytes = Vec::new();
        bits::pack_msb_first(&channel, &mut bytes);
        assert_eq!(bytes.len(), 2 + 37);
        // Zeros show the whitening.
        assert_eq!(bytes[..6], [0x2D, 0xD4, 0x87, 0xB8, 0x59, 0xB7]);
        assert!(FixedEncoder(&LUCKY_7_LAYOUT).frame(&[0; 36], &mut channel).is_err());
    }

    #[test]
    fn weak_bits_are_repaired_and_the_odds_said() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let sent = frames(1, &mut rng).remove(0);
        let mut channel = Vec::new();
        FixedEncoder(&LUCKY_7_LAYOUT).preamble(40, &mut channel);
        FixedEncoder(&LUCKY_7_LAYOUT).frame(&sent, &mut channel).unwrap();
        let mut llrs: Vec<f32> = testing::llrs(&channel, Mapping::Direct);
        llrs.iter_mut().for_each(|x| *x *= 4.0);
        llrs[100] *= -0.05;
        let found = testing::deframe(&LUCKY_7, Mapping::Direct, &llrs, Chunking::Whole);
        assert_eq!(found.frames.len(), 1);
        assert_eq!(found.frames[0].bytes, sent);
        assert_eq!(found.frames[0].repaired_bits, Some(1));
        assert!(found.frames[0].log_odds.unwrap() >= CERTAIN_ODDS.ln());
        let mut one_pass = LUCKY_7.deframer(Mapping::Direct, Effort::OnePass);
        let mut out = Deframed::default();
        let block = SoftBlock {
            run: 0,
            first_symbol: 0,
            first_sample: 0.0,
            samples_per_symbol: 5.0,
            frequency_offset_hz: 0.0,
            esn0_db: 10.0,
            mapping: Mapping::Direct,
            llr: llrs,
            events: Vec::new(),
            end: true,
        };
        one_pass.push(&block, &mut out);
        assert!(out.frames.is_empty());
        assert!(out.rejects[Reject::Check as usize] > 0);
    }
}
