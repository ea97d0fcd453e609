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
//! The randomizer must be told: its 255-bit period makes it a codeword itself, so that a code of
//! full length accepts frames with and without it.
//!
//! References: CCSDS 131.0-B-5 sections 3 (convolutional), 4 (Reed–Solomon), 9 (ASM), 10
//! (randomizer); CCSDS 130.1-G-3 for performance.

use crate::coding::convolutional::{Convention, ConvolutionalEncoder};
use crate::coding::differential::DifferentialEncoder;
use crate::coding::reed_solomon::{self, Basis, ReedSolomon};
use crate::coding::{bits, randomizer};
use crate::error::RequestError;
use crate::framing::ccsds_deframer::CcsdsDeframer;
use crate::framing::{
    Deframer, Descriptor, FrameEncoder, Framing, OptionDescriptor, Options,
};
use crate::modulation::{Mapping, Preference};

/// Attached sync marker of CCSDS 131.0-B, 9.3.
pub(super) const ASM: [u8; 4] = [0x1A, 0xCF, 0xFC, 0x1D];
/// Largest frame without a Reed–Solomon code.
const MAX_FRAME_BYTES: u32 = 16_384;
/// Idle bits behind the last frame: they push the receiver's decoder and filters out.
const POSTAMBLE_BITS: usize = 64;

/// The framing with its options settled.
#[derive(Clone, Copy)]
pub(super) struct Ccsds {
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
            precoding: options
                .choice("precoding", &[("none", false), ("differential", true)])?,
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
    fn deframer(&self, mapping: Mapping) -> Box<dyn Deframer> {
        Box::new(CcsdsDeframer::new(*self, mapping))
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
    options: &[
        FRAME_SIZE,
        BASIS,
        INTERLEAVING,
        CODE_RATE_E,
        CONVOLUTIONAL,
        PRECODING,
        RANDOMIZER,
    ],
    build: |options| Ok(Box::new(Ccsds::from_options(options, true, true)?)),
};
