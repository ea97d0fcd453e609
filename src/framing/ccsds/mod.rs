//! CCSDS telemetry: synchronisation and channel coding of CCSDS 131.0-B, without and with
//! Reed–Solomon code, convolutional code, and both.
//!
//! ```text
//!            ┌──────────┬────────────────────────────────┬──────────────┐
//!  codeblock │ ASM      │ transfer frame                 │ parity       │  repeated without a gap
//!            │ 1ACFFC1D │ frame_size bytes               │ I·2E bytes   │
//!            └──────────┴────────────────────────────────┴──────────────┘
//!                        ◄─────────── randomised ───────────────────────►
//!
//!  I codewords are interleaved by bytes: byte j of frame and parity belongs to codeword j mod I.
//!  A codeword has frame_size/I data bytes and 2E of parity; the 255 - 2E - frame_size/I bytes of
//!  virtual fill in front of it are not sent.
//!
//!  frame ─► Reed–Solomon ─► randomizer ─► ASM ─► [NRZ-M] ─► convolutional coder ─► channel
//! ```
//!
//! Bytes are sent most significant bit first. `precoding = differential` is NRZ-M before the
//! convolutional coder (where it costs nothing); NRZ-M behind the coder is a matter of the
//! modulation, and decoded jointly ([`crate::coding::convolutional`]). The convolutional code never
//! ends: state and clock run on from frame to frame.
//!
//! If the last two bytes of a frame are its frame error control field (CRC-16 over all before, CCSDS
//! 132.0-B 4.1.6), that is reported; they stay in the frame.
//!
//! A codeblock whose codewords went through the channel as one byte over and over is no frame: it is
//! a carrier without modulation, or alternating bits, which are valid codewords too.
//!
//! The randomizer must be told: its 255-bit period makes it a codeword itself, so that a code of
//! full length accepts frames with and without it.
//!
//! References: CCSDS 131.0-B-5 sections 3 (convolutional), 4 (Reed–Solomon), 9 (ASM), 10
//! (randomizer); CCSDS 130.1-G-3 for performance.

mod deframer;
pub(super) mod sync;
#[cfg(test)]
pub(super) mod testing;

use crate::coding::convolutional::{Convention, ConvolutionalEncoder};
use crate::coding::differential::DifferentialEncoder;
use crate::coding::reed_solomon::{self, Basis, ReedSolomon};
use crate::coding::{bits, randomizer};
use crate::effort::Effort;
use crate::error::RequestError;
use crate::framing::ccsds::deframer::CcsdsDeframer;
use crate::framing::{Deframer, Descriptor, FrameEncoder, Framing, OptionDescriptor, Options};
use crate::modulation::{Mapping, Preference};

/// Attached sync marker of CCSDS 131.0-B, 9.3.
const ASM: [u8; 4] = [0x1A, 0xCF, 0xFC, 0x1D];
/// Largest frame without a Reed–Solomon code.
const MAX_FRAME_BYTES: u32 = 16_384;
/// Idle bits behind the last frame: they push the receiver's decoder and filters out.
const POSTAMBLE_BITS: usize = 64;

/// The framing with its options settled.
#[derive(Clone, Copy)]
struct Ccsds {
    /// Bytes of a frame, of all codewords together.
    pub frame_bytes: usize,
    /// Codewords interleaved.
    pub depth: usize,
    /// The Reed–Solomon code.
    pub code: Option<&'static ReedSolomon>,
    /// The convolutional code.
    pub convolution: Option<Convention>,
    /// NRZ-M before the convolutional coder.
    pub precoding: bool,
    /// The randomizer of section 10.
    pub randomizer: bool,
}

impl Ccsds {
    /// Bytes of frame and parity.
    pub fn codeblock_bytes(&self) -> usize {
        self.frame_bytes + self.depth * self.code.map_or(0, ReedSolomon::parity_bytes)
    }

    /// Channel symbols of a bit.
    pub fn symbols_per_bit(&self) -> usize {
        if self.convolution.is_some() { 2 } else { 1 }
    }

    fn from_options(
        options: &Options,
        reed_solomon: bool,
        convolutional: bool,
    ) -> Result<Self, RequestError> {
        let (code, depth, frame_bytes) = if reed_solomon {
            let (code, data_bytes) = code(options)?;
            let depth = options.integer("interleaving", 1..=8, 1)?;
            let largest = data_bytes * depth;
            let frame_bytes = options.integer("frame_size", 1..=largest, largest)?;
            if frame_bytes % depth != 0 {
                return Err(RequestError::new(
                    "frame_size",
                    format!("{frame_bytes} bytes cannot be shared by {depth} codewords"),
                    format!("give a multiple of {depth}, at most {largest}"),
                ));
            }
            (Some(code), depth, frame_bytes)
        } else {
            (None, 1, options.integer("frame_size", 1..=MAX_FRAME_BYTES, 223)?)
        };
        let convolution = if convolutional {
            Some(options.choice("convolutional", &Convention::WORDS)?)
        } else {
            None
        };
        Ok(Self {
            frame_bytes: frame_bytes as usize,
            depth: depth as usize,
            code,
            convolution,
            precoding: options.choice("precoding", &[("none", false), ("differential", true)])?,
            randomizer: options.choice("randomizer", &[("ccsds", true), ("none", false)])?,
        })
    }
}

/// The Reed–Solomon code, and how many data bytes a codeword has.
fn code(options: &Options) -> Result<(&'static ReedSolomon, u32), RequestError> {
    let basis =
        options.choice("basis", &[("dual", Basis::Dual), ("conventional", Basis::Conventional)])?;
    let sixteen = options.choice("code_rate_e", &[("16", true), ("8", false)])?;
    let code = match (sixteen, basis) {
        (true, Basis::Dual) => &reed_solomon::CCSDS_E16_DUAL,
        (true, Basis::Conventional) => &reed_solomon::CCSDS_E16,
        (false, Basis::Dual) => &reed_solomon::CCSDS_E8_DUAL,
        (false, Basis::Conventional) => &reed_solomon::CCSDS_E8,
    };
    Ok((code, 255 - code.parity_bytes() as u32))
}

impl Framing for Ccsds {
    fn deframer(&self, mapping: Mapping, effort: Effort) -> Box<dyn Deframer> {
        Box::new(CcsdsDeframer::new(*self, mapping, effort))
    }

    fn encoder(&self) -> Box<dyn FrameEncoder> {
        Box::new(Encoder {
            framing: *self,
            precoder: DifferentialEncoder::default(),
            convolution: self.convolution.map(ConvolutionalEncoder::new),
            idle: 0,
        })
    }

    fn preference(&self) -> Preference {
        let coded = self.convolution.is_some();
        Preference { differential: coded, continuous: true, coded }
    }

    fn frame_bytes(&self) -> (usize, usize) {
        (self.frame_bytes, self.frame_bytes)
    }
}

/// The transmitter: precoder and coder run on.
struct Encoder {
    framing: Ccsds,
    precoder: DifferentialEncoder,
    convolution: Option<ConvolutionalEncoder>,
    /// Next idle bit.
    idle: u8,
}

impl Encoder {
    fn send(&mut self, data: &[u8], channel: &mut Vec<u8>) {
        for &bit in data {
            let bit = if self.framing.precoding { self.precoder.encode(bit) } else { bit };
            match &mut self.convolution {
                Some(convolution) => channel.extend(convolution.next(bit)),
                None => channel.push(bit),
            }
        }
    }

    /// Alternating bits.
    fn idle(&mut self, count: usize, channel: &mut Vec<u8>) {
        for _ in 0..count {
            self.send(&[self.idle], channel);
            self.idle ^= 1;
        }
    }
}

impl FrameEncoder for Encoder {
    fn preamble(&mut self, symbols: usize, channel: &mut Vec<u8>) {
        self.idle(symbols.div_ceil(self.framing.symbols_per_bit()), channel);
    }

    fn frame(&mut self, bytes: &[u8], channel: &mut Vec<u8>) -> Result<(), RequestError> {
        let Ccsds { frame_bytes, depth, code, .. } = self.framing;
        if bytes.len() != frame_bytes {
            return Err(RequestError::new(
                "frame",
                format!("{} bytes do not fit this framing", bytes.len()),
                format!("send {frame_bytes} bytes, or set frame_size"),
            ));
        }
        let mut codeblock = bytes.to_vec();
        if let Some(code) = code {
            codeblock.resize(self.framing.codeblock_bytes(), 0);
            let mut parity = [0u8; reed_solomon::MAX_ROOTS];
            let parity = &mut parity[..code.parity_bytes()];
            for first in 0..depth {
                let data: Vec<u8> = bytes.iter().skip(first).step_by(depth).copied().collect();
                code.encode(&data, parity);
                let places = codeblock.iter_mut().skip(frame_bytes + first).step_by(depth);
                for (place, byte) in places.zip(parity.iter()) {
                    *place = *byte;
                }
            }
        }
        if self.framing.randomizer {
            randomizer::CCSDS.apply_bytes(&mut codeblock, 0);
        }
        let mut data = Vec::with_capacity(8 * (ASM.len() + codeblock.len()));
        bits::unpack_msb_first(&ASM, &mut data);
        bits::unpack_msb_first(&codeblock, &mut data);
        self.send(&data, channel);
        Ok(())
    }

    fn postamble(&mut self, channel: &mut Vec<u8>) {
        self.idle(POSTAMBLE_BITS, channel);
    }
}

const FRAME_SIZE: OptionDescriptor = OptionDescriptor {
    key: "frame_size",
    values: "bytes of a frame, of all interleaved codewords together",
    default: "as long as the code allows (without one: 223)",
};
const BASIS: OptionDescriptor =
    OptionDescriptor { key: "basis", values: "dual, conventional", default: "dual" };
const INTERLEAVING: OptionDescriptor =
    OptionDescriptor { key: "interleaving", values: "1 to 8", default: "1" };
const CODE_RATE_E: OptionDescriptor =
    OptionDescriptor { key: "code_rate_e", values: "16, 8", default: "16" };
const CONVOLUTIONAL: OptionDescriptor = OptionDescriptor {
    key: "convolutional",
    values: "ccsds, ccsds-uninverted, nasa-dsn, nasa-dsn-uninverted",
    default: "ccsds",
};
const PRECODING: OptionDescriptor =
    OptionDescriptor { key: "precoding", values: "none, differential", default: "none" };
const RANDOMIZER: OptionDescriptor =
    OptionDescriptor { key: "randomizer", values: "ccsds, none", default: "ccsds" };

/// Frames behind sync markers, and nothing else.
pub const UNCODED: Descriptor = Descriptor {
    name: "CCSDS Uncoded",
    aliases: &["ccsds-uncoded"],
    summary: "CCSDS telemetry frames without a code; nothing but a CRC in the frame vouches for it",
    reference: "CCSDS 131.0-B-5",
    options: &[FRAME_SIZE, PRECODING, RANDOMIZER],
    build: |options| Ok(Box::new(Ccsds::from_options(options, false, false)?)),
};

/// Reed–Solomon code alone.
pub const REED_SOLOMON: Descriptor = Descriptor {
    name: "CCSDS Reed-Solomon",
    aliases: &["ccsds-rs", "ccsds-reed-solomon"],
    summary: "CCSDS telemetry with Reed–Solomon code",
    reference: "CCSDS 131.0-B-5 section 4",
    options: &[FRAME_SIZE, BASIS, INTERLEAVING, CODE_RATE_E, PRECODING, RANDOMIZER],
    build: |options| Ok(Box::new(Ccsds::from_options(options, true, false)?)),
};

/// Convolutional code alone.
pub const CONVOLUTIONAL_ONLY: Descriptor = Descriptor {
    name: "CCSDS Convolutional",
    aliases: &["ccsds-convolutional"],
    summary: "CCSDS telemetry with convolutional code (K = 7, rate 1/2)",
    reference: "CCSDS 131.0-B-5 section 3",
    options: &[FRAME_SIZE, CONVOLUTIONAL, PRECODING, RANDOMIZER],
    build: |options| Ok(Box::new(Ccsds::from_options(options, false, true)?)),
};

/// Reed–Solomon code within a convolutional one.
pub const CONCATENATED: Descriptor = Descriptor {
    name: "CCSDS Concatenated",
    aliases: &["ccsds-concatenated"],
    summary: "CCSDS telemetry with Reed–Solomon and convolutional code",
    reference: "CCSDS 131.0-B-5 sections 3 and 4",
    options: &[FRAME_SIZE, BASIS, INTERLEAVING, CODE_RATE_E, CONVOLUTIONAL, PRECODING, RANDOMIZER],
    build: |options| Ok(Box::new(Ccsds::from_options(options, true, true)?)),
};

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;
    use crate::coding::crc;
    use crate::frame::Check;
    use crate::framing::{Deframed, RawFrame, build, ccsds::testing, testing as common};
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    fn options(pairs: &[(&str, &str)]) -> Options {
        Options(pairs.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect())
    }

    fn framing(name: &str, pairs: &[(&str, &str)]) -> Box<dyn Framing> {
        build(name, &options(pairs)).unwrap()
    }

    fn random_frames(rng: &mut ChaCha8Rng, framing: &dyn Framing, n: usize) -> Vec<Vec<u8>> {
        (0..n).map(|_| (0..framing.frame_bytes().0).map(|_| rng.random()).collect()).collect()
    }

    fn bytes_of(frames: &[RawFrame]) -> Vec<Vec<u8>> {
        frames.iter().map(|frame| frame.bytes.clone()).collect()
    }

    /// Channel bits of frames behind `preamble` idle symbols.
    fn channel_bits(framing: &dyn Framing, frames: &[Vec<u8>], preamble: usize) -> Vec<u8> {
        let mut encoder = framing.encoder();
        let mut channel = Vec::new();
        encoder.preamble(preamble, &mut channel);
        for frame in frames {
            encoder.frame(frame, &mut channel).unwrap();
        }
        encoder.postamble(&mut channel);
        channel
    }

    #[test]
    fn every_option_makes_the_round_trip() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let conventions: Vec<&str> = Convention::WORDS.iter().map(|(word, _)| *word).collect();
        let mut rounds = Vec::new();
        for name in
            ["CCSDS Uncoded", "CCSDS Reed-Solomon", "CCSDS Convolutional", "CCSDS Concatenated"]
        {
            for precoding in ["none", "differential"] {
                for randomizer in ["ccsds", "none"] {
                    for (variant, convention) in conventions.iter().enumerate() {
                        let convolutional = name.ends_with("olutional") || name.ends_with("ated");
                        if !convolutional && variant > 1 {
                            continue;
                        }
                        let mut pairs = vec![("precoding", precoding), ("randomizer", randomizer)];
                        if convolutional {
                            pairs.push(("convolutional", convention));
                        }
                        if name.ends_with("Solomon") || name.ends_with("ated") {
                            pairs.push(("basis", ["dual", "conventional"][variant % 2]));
                            pairs.push(("code_rate_e", ["16", "8"][variant / 2 % 2]));
                            let (depth, size) =
                                [("1", "114"), ("4", "400"), ("5", ""), ("2", "60")]
                                    [rounds.len() % 4];
                            pairs.push(("interleaving", depth));
                            if !size.is_empty() {
                                pairs.push(("frame_size", size));
                            }
                        } else {
                            pairs.push(("frame_size", "100"));
                        }
                        rounds.push((name, pairs));
                    }
                }
            }
        }
        for (round, (name, pairs)) in rounds.iter().enumerate() {
            let framing = framing(name, pairs);
            let frames = random_frames(&mut rng, framing.as_ref(), 2);
            let channel = channel_bits(framing.as_ref(), &frames, 61 + round % 4);
            for mapping in [Mapping::Direct, Mapping::Differential] {
                for inverted in [false, true] {
                    let llr = testing::soft(&channel, mapping, inverted, 4.0);
                    let found = testing::deframe(framing.as_ref(), mapping, &llr);
                    let context = format!("{name} {pairs:?} {mapping:?} {inverted}");
                    assert_eq!(bytes_of(&found.frames), frames, "{context}");
                    let symbols_per_bit = if framing.preference().coded { 2 } else { 1 };
                    let start = (61 + round % 4).next_multiple_of(symbols_per_bit);
                    assert_eq!(found.frames[0].first_symbol, start as u64, "{context}");
                    assert_eq!(found.frames[0].end_symbol, found.frames[1].first_symbol);
                    for frame in &found.frames {
                        assert_eq!(frame.corrected_bits, (symbols_per_bit == 2).then_some(0));
                        if name.ends_with("Solomon") || name.ends_with("ated") {
                            assert_eq!(frame.check, Check::ReedSolomon);
                            assert_eq!(frame.corrected_symbols, Some(0));
                        } else {
                            assert_eq!(frame.check, Check::None);
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn a_channel_that_begins_or_ends_within_the_frame() {
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        for name in ["CCSDS Reed-Solomon", "CCSDS Concatenated"] {
            let framing = framing(name, &[]);
            let per_bit = if framing.preference().coded { 2 } else { 1 };
            let frames = random_frames(&mut rng, framing.as_ref(), 1);
            let channel = channel_bits(framing.as_ref(), &frames, 0);
            let whole = (32 + 255 * 8) * per_bit;
            for mapping in [Mapping::Direct, Mapping::Differential] {
                let llr = testing::soft(&channel, mapping, false, 4.0);
                for (from, to) in [(0, whole), (0, whole - 20), (14 * per_bit, whole + 1)] {
                    let found = testing::deframe(framing.as_ref(), mapping, &llr[from..to]);
                    assert_eq!(bytes_of(&found.frames), frames, "{name} {mapping:?} {from} {to}");
                    assert_eq!(found.frames[0].first_symbol, 0);
                    assert!(found.frames[0].end_symbol <= (to - from) as u64);
                }
            }
        }
    }

    /// The sync marker of the second of five frames is destroyed, and that of the fourth replaced by
    /// its inverse.
    #[test]
    fn a_buried_sync_marker_loses_no_frame() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        for name in
            ["CCSDS Reed-Solomon", "CCSDS Concatenated", "CCSDS Convolutional", "CCSDS Uncoded"]
        {
            let framing = framing(name, &[]);
            let coded = framing.preference().coded;
            let checked = name.ends_with("Solomon") || name.ends_with("ated");
            let per_bit = if coded { 2 } else { 1 };
            let frames = random_frames(&mut rng, framing.as_ref(), 5);
            let channel = channel_bits(framing.as_ref(), &frames, 100);
            let frame_symbols = (channel.len() - 100 - POSTAMBLE_BITS * per_bit) / 5;
            let mut llr = testing::soft(&channel, Mapping::Direct, false, 4.0);
            let second = 100 + frame_symbols;
            for symbol in &mut llr[second..second + 26 * per_bit] {
                *symbol = if rng.random() { 0.3 } else { -0.3 };
            }
            let found = testing::deframe(framing.as_ref(), Mapping::Direct, &llr);
            if checked {
                assert_eq!(bytes_of(&found.frames), frames, "{name}");
            } else {
                assert!(found.frames.len() >= 4, "{name}");
            }
        }
    }

    /// The frames of a second burst begin twelve bytes off the grid of the first: the code would
    /// accept their codewords shifted, randomizer and all.
    #[test]
    fn a_burst_need_not_keep_the_grid_of_the_one_before() {
        let mut rng = ChaCha8Rng::seed_from_u64(13);
        for name in ["CCSDS Reed-Solomon", "CCSDS Concatenated"] {
            let framing = framing(name, &[("frame_size", "223")]);
            let per_bit = if framing.preference().coded { 2 } else { 1 };
            let frames = random_frames(&mut rng, framing.as_ref(), 5);
            let mut channel = channel_bits(framing.as_ref(), &frames[..2], 100);
            channel.truncate(channel.len() - POSTAMBLE_BITS * per_bit);
            channel.extend(channel_bits(framing.as_ref(), &frames[2..], 12 * 8 * per_bit));
            let llr = testing::noisy(&mut rng, &channel, Mapping::Direct, false, 12.0);
            let found = testing::deframe(framing.as_ref(), Mapping::Direct, &llr);
            assert_eq!(bytes_of(&found.frames), frames, "{name}");
        }
    }

    #[test]
    fn the_shortest_frames_make_the_round_trip() {
        for (name, size) in [
            ("CCSDS Uncoded", "1"),
            ("CCSDS Convolutional", "3"),
            ("CCSDS Reed-Solomon", "1"),
            ("CCSDS Concatenated", "1"),
        ] {
            let framing = framing(name, &[("frame_size", size)]);
            let frames = vec![vec![0x5A; framing.frame_bytes().0]; 3];
            let channel = channel_bits(framing.as_ref(), &frames, 90);
            let llr = testing::soft(&channel, Mapping::Direct, true, 4.0);
            let found = testing::deframe(framing.as_ref(), Mapping::Direct, &llr);
            assert_eq!(bytes_of(&found.frames), frames, "{name}");
        }
    }

    fn survivors(name: &str, pairs: &[(&str, &str)], mapping: Mapping, esn0_db: f32, seed: u64) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let framing = framing(name, pairs);
        let frames = random_frames(&mut rng, framing.as_ref(), 40);
        let channel = channel_bits(framing.as_ref(), &frames, 300);
        for inverted in [false, true] {
            let llr = testing::noisy(&mut rng, &channel, mapping, inverted, esn0_db);
            let found = testing::deframe(framing.as_ref(), mapping, &llr);
            let right = found.frames.iter().filter(|f| frames.contains(&f.bytes)).count();
            assert_eq!(right, found.frames.len(), "wrong frames");
            assert!(right >= 32, "{name} {mapping:?} {esn0_db} dB: {right} of 40");
        }
    }

    #[test]
    fn concatenated_decodes_at_its_limit() {
        survivors("CCSDS Concatenated", &[], Mapping::Direct, -1.5, 4);
        survivors("CCSDS Concatenated", &[("precoding", "differential")], Mapping::Direct, -1.4, 5);
    }

    #[test]
    fn concatenated_decodes_jointly_with_a_differential_channel() {
        survivors("CCSDS Concatenated", &[], Mapping::Differential, -1.0, 6);
        survivors(
            "CCSDS Concatenated",
            &[("precoding", "differential"), ("convolutional", "nasa-dsn")],
            Mapping::Differential,
            -0.9,
            7,
        );
    }

    #[test]
    fn reed_solomon_alone_decodes_at_its_limit() {
        // FER 10 % at Eb/N0 = 5.56 dB, that is Es/N0 = 4.98 dB.
        survivors("CCSDS Reed-Solomon", &[], Mapping::Direct, 5.2, 8);
        survivors("CCSDS Reed-Solomon", &[("interleaving", "4")], Mapping::Direct, 5.3, 9);
        // A strong code, so that the sync marker has to be found at a bit error rate of 5.6 %.
        survivors("CCSDS Reed-Solomon", &[("frame_size", "1")], Mapping::Direct, 1.0, 10);
    }

    #[test]
    fn a_frame_error_control_field_is_seen() {
        let mut rng = ChaCha8Rng::seed_from_u64(11);
        for (name, check) in
            [("CCSDS Uncoded", Check::Crc), ("CCSDS Concatenated", Check::CrcAndReedSolomon)]
        {
            let framing = framing(name, &[("frame_size", "120")]);
            let mut frames = random_frames(&mut rng, framing.as_ref(), 2);
            let field = crc::CCITT_FALSE.checksum(&frames[1][..118]) as u16;
            frames[1][118..].copy_from_slice(&field.to_be_bytes());
            let channel = channel_bits(framing.as_ref(), &frames, 50);
            let llr = testing::soft(&channel, Mapping::Direct, true, 1.0);
            let found = testing::deframe(framing.as_ref(), Mapping::Direct, &llr);
            assert_eq!(bytes_of(&found.frames), frames);
            assert_ne!(found.frames[0].check, check);
            assert_eq!(found.frames[1].check, check);
        }
    }

    /// Near the limit of the convolutional code half of the frames lost are repaired; frames without
    /// the field are left as they are.
    #[test]
    fn a_frame_error_control_field_settles_errors() {
        let mut rng = ChaCha8Rng::seed_from_u64(17);
        for (name, esn0_db) in [("CCSDS Convolutional", -0.5), ("CCSDS Uncoded", 7.0)] {
            for (precoding, with_field) in [("none", true), ("differential", true), ("none", false)]
            {
                let pairs = [("frame_size", "128"), ("precoding", precoding)];
                let framing = framing(name, &pairs);
                let mut frames = random_frames(&mut rng, framing.as_ref(), 60);
                for frame in frames.iter_mut().filter(|_| with_field) {
                    let (data, field) = frame.split_last_chunk_mut::<2>().unwrap();
                    *field = (crc::CCITT_FALSE.checksum(data) as u16).to_be_bytes();
                }
                let channel = channel_bits(framing.as_ref(), &frames, 300);
                let esn0_db = if precoding == "none" { esn0_db } else { esn0_db + 0.3 };
                let llr = testing::noisy(&mut rng, &channel, Mapping::Direct, false, esn0_db);
                let found = testing::deframe(framing.as_ref(), Mapping::Direct, &llr);
                let checked: Vec<_> =
                    found.frames.iter().filter(|f| f.check == Check::Crc).collect();
                assert!(checked.iter().all(|f| frames.contains(&f.bytes)), "{name} {precoding}");
                let repaired = checked.iter().filter(|f| f.repaired_bits.is_some()).count();
                for frame in &checked {
                    assert_eq!(frame.repaired_bits.is_some(), frame.log_odds.is_some());
                    assert!(frame.log_odds.is_none_or(|odds| odds >= 1000f32.ln() - 1e-3));
                }
                if with_field {
                    let whole = checked.len() - repaired;
                    assert!(repaired >= 4 && whole >= 20, "{name} {precoding} {whole} {repaired}");
                } else {
                    assert_eq!(checked.len(), 0);
                }
            }
        }
    }

    #[test]
    fn one_pass_repairs_nothing() {
        let mut rng = ChaCha8Rng::seed_from_u64(18);
        for (name, esn0_db) in [("CCSDS Concatenated", -1.9), ("CCSDS Reed-Solomon", 4.6)] {
            let framing = framing(name, &[]);
            let frames = random_frames(&mut rng, framing.as_ref(), 30);
            let channel = channel_bits(framing.as_ref(), &frames, 300);
            let llr = testing::noisy(&mut rng, &channel, Mapping::Direct, false, esn0_db);
            let [one, all] = [Effort::OnePass, Effort::Full].map(|effort| {
                let mut deframer = framing.deframer(Mapping::Direct, effort);
                let mut out = Deframed::default();
                deframer.push(&testing::block(&llr, Mapping::Direct, 0), &mut out);
                deframer.finish(&mut out);
                assert!(out.frames.iter().all(|f| frames.contains(&f.bytes)));
                out.frames.len()
            });
            assert!(one + 4 <= all, "{name} {one} {all}");
        }
    }

    /// An unmodulated carrier, or alternating bits, after a frame: valid codewords all of them.
    #[test]
    fn steady_bits_are_no_frames() {
        let mut rng = ChaCha8Rng::seed_from_u64(12);
        for name in
            ["CCSDS Uncoded", "CCSDS Reed-Solomon", "CCSDS Convolutional", "CCSDS Concatenated"]
        {
            for randomizer in ["ccsds", "none"] {
                for convention in ["ccsds", "ccsds-uninverted"] {
                    let mut pairs = vec![("randomizer", randomizer)];
                    let coded = !(name.ends_with("Solomon") || name.ends_with("Uncoded"));
                    if coded {
                        pairs.push(("convolutional", convention));
                    }
                    let framing = framing(name, &pairs);
                    let frames = random_frames(&mut rng, framing.as_ref(), 1);
                    let frame_bits = channel_bits(framing.as_ref(), &frames, 10);
                    for fill in 0..4usize {
                        let mut channel = frame_bits.clone();
                        let idle: Vec<u8> = (0..20_000)
                            .map(|k| match fill {
                                0 => 0,
                                1 => 1,
                                2 => (k % 2) as u8,
                                _ => (k / 2 % 2) as u8,
                            })
                            .collect();
                        channel.truncate(channel.len() - 64);
                        channel.extend(&idle);
                        for mapping in [Mapping::Direct, Mapping::Differential] {
                            let llr = testing::soft(&channel, mapping, false, 3.0);
                            let found = testing::deframe(framing.as_ref(), mapping, &llr);
                            assert_eq!(
                                bytes_of(&found.frames),
                                frames,
                                "{name} {pairs:?} {mapping:?} {fill}"
                            );
                            let llr = testing::noisy(&mut rng, &idle, mapping, false, 6.0);
                            let found = testing::deframe(framing.as_ref(), mapping, &llr);
                            assert!(found.frames.is_empty(), "{name} {pairs:?} {mapping:?}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn what_every_framing_must_pass() {
        let mut rng = ChaCha8Rng::seed_from_u64(16);
        for (name, check) in [
            ("CCSDS Uncoded", Check::None),
            ("CCSDS Reed-Solomon", Check::ReedSolomon),
            ("CCSDS Convolutional", Check::None),
            ("CCSDS Concatenated", Check::ReedSolomon),
        ] {
            let framing = framing(name, &[("frame_size", "150")]);
            let frames = random_frames(&mut rng, framing.as_ref(), 4);
            common::round_trip(framing.as_ref(), &frames, check, &mut rng);
            common::garbage(framing.as_ref(), 30_000, &mut rng);
        }
    }

    #[test]
    fn noise_holds_no_frames() {
        let mut rng = ChaCha8Rng::seed_from_u64(13);
        for name in
            ["CCSDS Uncoded", "CCSDS Reed-Solomon", "CCSDS Convolutional", "CCSDS Concatenated"]
        {
            for mapping in [Mapping::Direct, Mapping::Differential] {
                let framing = framing(name, &[("frame_size", "40")]);
                let llr = testing::noise(&mut rng, 200_000);
                let found = testing::deframe(framing.as_ref(), mapping, &llr);
                assert_eq!(found.frames, [], "{name}");
            }
        }
    }

    #[test]
    fn any_chunking_gives_the_same_and_rubbish_is_taken() {
        let mut rng = ChaCha8Rng::seed_from_u64(14);
        for (round, name) in
            ["CCSDS Uncoded", "CCSDS Reed-Solomon", "CCSDS Convolutional", "CCSDS Concatenated"]
                .into_iter()
                .cycle()
                .take(8)
                .enumerate()
        {
            let mapping = if round < 4 { Mapping::Direct } else { Mapping::Differential };
            let framing = framing(name, &[("frame_size", "36")]);
            let frames = random_frames(&mut rng, framing.as_ref(), 6);
            let channel = channel_bits(framing.as_ref(), &frames, 77);
            let esn0_db = if framing.preference().coded { 0.0 } else { 6.0 };
            let mut llr = testing::noisy(&mut rng, &channel, mapping, false, esn0_db);
            llr.extend(testing::noise(&mut rng, 1500));
            llr.extend(testing::rubbish(&mut rng, 1500));
            llr.extend(testing::noisy(&mut rng, &channel, mapping, true, esn0_db));
            llr.extend(testing::rubbish(&mut rng, 333));
            let whole = testing::deframe(framing.as_ref(), mapping, &llr);
            assert!(whole.frames.len() >= 8, "{name} {}", whole.frames.len());
            testing::check_chunkings(&mut rng, framing.as_ref(), mapping, &llr, &whole);
        }
    }

    #[test]
    fn nothing_is_begun_before_the_settled_symbol() {
        let mut rng = ChaCha8Rng::seed_from_u64(15);
        let framing = framing("CCSDS Concatenated", &[("frame_size", "30")]);
        let frames = random_frames(&mut rng, framing.as_ref(), 6);
        let channel = channel_bits(framing.as_ref(), &frames, 77);
        let llr = testing::noisy(&mut rng, &channel, Mapping::Direct, false, 0.0);
        let mut deframer = framing.deframer(Mapping::Direct, Effort::Full);
        let mut out = Deframed::default();
        for (k, piece) in llr.chunks(13).enumerate() {
            let settled = deframer.settled_symbol();
            assert!(settled <= 13 * k as u64);
            let before = out.frames.len();
            deframer.push(&testing::block(piece, Mapping::Direct, 13 * k as u64), &mut out);
            assert!(out.frames[before..].iter().all(|frame| frame.first_symbol >= settled));
        }
        deframer.finish(&mut out);
        assert_eq!(bytes_of(&out.frames), frames);
    }

    #[test]
    fn wrong_requests_say_what_would_be_right() {
        let error = |name: &str, pairs: &[(&str, &str)]| {
            build(name, &options(pairs)).err().unwrap().to_string()
        };
        assert!(error("CCSDS Concatenated", &[("frame_size", "224")]).contains("1 to 223"));
        assert!(
            error("CCSDS Concatenated", &[("frame_size", "445"), ("interleaving", "2")])
                .contains("multiple of 2")
        );
        assert!(error("CCSDS Reed-Solomon", &[("interleaving", "9")]).contains("1 to 8"));
        assert!(error("CCSDS Reed-Solomon", &[("convolutional", "ccsds")]).contains("frame_size"));
        assert!(error("CCSDS Uncoded", &[("basis", "dual")]).contains("randomizer"));
        let framing = framing("CCSDS Reed-Solomon", &[("interleaving", "5")]);
        assert_eq!(framing.frame_bytes(), (1115, 1115));
        assert!(framing.encoder().frame(&[0; 5], &mut Vec::new()).is_err());
    }
}
