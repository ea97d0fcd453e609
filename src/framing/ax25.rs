//! AX.25 frames, with and without G3RUH's scrambler.
//!
//! ```text
//!  flag | destination 7 | source 7 | [digipeaters 7 each] | control 1 | PID, information | FCS 2 | flag
//!  7E     ASCII << 1,     bit 0 of a byte: last address                   not handed on           7E
//!
//!  sent:      bytes ─► HDLC stuffing ─► [1/(1 + x^12 + x^17)] ─► NRZI ─► channel bits
//!  received:  soft symbols ─► hard ─► NRZI ─► [1 + x^12 + x^17] ─► flags, destuffing, FCS
//! ```
//!
//! NRZI makes the polarity irrelevant. Symbols of [`Mapping::Differential`] are turned into channel
//! bits first (NRZI twice in effect).
//!
//! A CRC of 16 bits passes once in 65536 flag pairs by chance, so the two callsigns must be
//! plausible too: at least ten of their twelve characters are letters, digits or spaces with bit 0
//! clear. Real downlinks send lower case and wrong extension bits, so there is no stricter rule; one
//! (QBEE) does not shift its callsigns, so twelve plain letters, digits and spaces will do as well.
//! Others (AlSat-1N) send something else than addresses: that is taken if the symbols leave no doubt
//! and the transmitter idled before it ([`Trust::Sure`]).
//!
//! What fails is repaired by undoing the most likely symbol errors ([`crate::coding::hdlc_repair`]),
//! which is worth 1.5 dB and more. A repaired frame must have all twelve characters plausible.
//!
//! References: *AX.25 Link Access Protocol for Amateur Packet Radio*, version 2.2 (1998), sections
//! 3 and 3.12; J. R. Miller (G3RUH), *9600 Baud Packet Radio Modem Design* (1988).

use crate::coding::bits::hard;
use crate::coding::differential::DifferentialDecoder;
use crate::coding::hdlc::{self, Fault};
use crate::coding::hdlc_repair::{Outcome, RepairingDeframer, Trust};
use crate::coding::nrzi::{NrziDecoder, NrziEncoder};
use crate::coding::scrambler::{Descrambler, Scrambler};
use crate::effort::Effort;
use crate::error::RequestError;
use crate::frame::Check;
use crate::framing::{
    Deframed, Deframer, Descriptor, FrameEncoder, Framing, Options, RawFrame, Reject,
};
use crate::modulation::{Mapping, Preference, SoftBlock};

/// Shortest frame: two addresses and the control field (AX.25 2.2, 3.1, without FCS).
pub const MIN_BYTES: usize = 15;

/// Longest frame that is looked for, without FCS. The standard's limit is 330; satellites that
/// raise it stay well below this.
pub const MAX_BYTES: usize = 4094;

/// Characters of the two callsigns.
const CALLSIGN_BYTES: usize = 12;

/// Plausible characters among them that a frame must have.
const MIN_PLAUSIBLE: usize = 10;

/// Bits that a wrong symbol makes wrong, counted from its own: behind NRZI …
const ECHO: [usize; 2] = [0, 1];
/// … behind NRZI after differential decoding …
const ECHO_DIFFERENTIAL: [usize; 2] = [0, 2];
/// … and the same behind the descrambler.
const ECHO_SCRAMBLED: [usize; 6] = [0, 1, 12, 13, 17, 18];
const ECHO_DIFFERENTIAL_SCRAMBLED: [usize; 6] = [0, 2, 12, 14, 17, 19];

/// Plain AX.25: HDLC and NRZI.
pub static AX25: Descriptor = Descriptor {
    name: "AX.25",
    aliases: &["ax25"],
    summary: "AX.25 in HDLC frames with NRZI, not scrambled: AFSK 1200 and slow FSK",
    reference: "AX.25 2.2 (1998)",
    options: &[],
    build: |_: &Options| Ok(Box::new(Ax25 { scrambled: false })),
};

/// AX.25 with the scrambler of G3RUH's modem.
pub static AX25_G3RUH: Descriptor = Descriptor {
    name: "AX.25 G3RUH",
    aliases: &["ax25 g3ruh", "ax25-g3ruh", "ax.25-g3ruh", "g3ruh"],
    summary: "AX.25 in HDLC frames, scrambled with 1 + x^12 + x^17, NRZI: most FSK and BPSK CubeSats",
    reference: "AX.25 2.2 (1998); G3RUH, 9600 Baud Packet Radio Modem Design (1988)",
    options: &[],
    build: |_: &Options| Ok(Box::new(Ax25 { scrambled: true })),
};

/// How many of the twelve characters of destination and source could be a callsign's; 0 if the
/// frame is too short to have them. Characters that are not shifted count if all twelve are plain.
pub fn plausible_characters(bytes: &[u8]) -> usize {
    if bytes.len() < MIN_BYTES {
        return 0;
    }
    let characters = || bytes[..6].iter().chain(&bytes[7..13]);
    let plausible = |character: u8| character.is_ascii_alphanumeric() || character == b' ';
    if characters().all(|&byte| plausible(byte)) {
        return CALLSIGN_BYTES;
    }
    characters().filter(|&&byte| byte & 1 == 0 && plausible(byte >> 1)).count()
}

fn accept(bytes: &[u8], trust: Trust) -> bool {
    let least = match trust {
        Trust::Whole => MIN_PLAUSIBLE,
        Trust::Sure => return true,
        Trust::Repaired => CALLSIGN_BYTES,
    };
    plausible_characters(bytes) >= least
}

struct Ax25 {
    scrambled: bool,
}

impl Framing for Ax25 {
    fn deframer(&self, mapping: Mapping, effort: Effort) -> Box<dyn Deframer> {
        Box::new(Ax25Deframer {
            differential: match mapping {
                Mapping::Direct => None,
                Mapping::Differential => Some(DifferentialDecoder::default()),
            },
            nrzi: NrziDecoder::default(),
            descrambler: self.scrambled.then(Descrambler::default),
            hdlc: RepairingDeframer::new(
                MIN_BYTES,
                MAX_BYTES,
                match (mapping, self.scrambled) {
                    (Mapping::Direct, false) => &ECHO,
                    (Mapping::Direct, true) => &ECHO_SCRAMBLED,
                    (Mapping::Differential, false) => &ECHO_DIFFERENTIAL,
                    (Mapping::Differential, true) => &ECHO_DIFFERENTIAL_SCRAMBLED,
                },
                accept,
                effort > Effort::OnePass,
            ),
            outcome: Outcome::default(),
        })
    }

    fn encoder(&self) -> Box<dyn FrameEncoder> {
        Box::new(Ax25Encoder {
            scrambler: self.scrambled.then(Scrambler::default),
            nrzi: NrziEncoder::default(),
            after_flag: false,
            scratch: Vec::new(),
        })
    }

    fn preference(&self) -> Preference {
        Preference::default()
    }

    fn frame_bytes(&self) -> (usize, usize) {
        (MIN_BYTES, MAX_BYTES)
    }
}

struct Ax25Deframer {
    differential: Option<DifferentialDecoder>,
    nrzi: NrziDecoder,
    descrambler: Option<Descrambler>,
    hdlc: RepairingDeframer,
    outcome: Outcome,
}

impl Ax25Deframer {
    fn hand_on(&mut self, out: &mut Deframed) {
        out.sync_words += std::mem::take(&mut self.outcome.fills);
        for fault in self.outcome.faults.drain(..) {
            out.reject(match fault {
                Some(Fault::Length) => Reject::Length,
                Some(Fault::Check) => Reject::Check,
                None => Reject::Header,
            });
        }
        out.frames.extend(self.outcome.found.drain(..).map(|found| RawFrame {
            bytes: found.bytes,
            first_symbol: found.first_bit,
            end_symbol: found.end_bit,
            check: Check::Crc,
            corrected_symbols: None,
            corrected_bits: None,
            repaired_bits: (found.turned_symbols > 0).then_some(found.turned_symbols),
            log_odds: found.log_odds,
        }));
    }
}

impl Deframer for Ax25Deframer {
    fn push(&mut self, block: &SoftBlock, out: &mut Deframed) {
        let mut events = block.events.iter().copied().peekable();
        for (&llr, symbol) in block.llr.iter().zip(block.first_symbol..) {
            let mut bit = hard(llr);
            if let Some(differential) = &mut self.differential {
                bit = differential.decode(bit);
            }
            bit = self.nrzi.decode(bit);
            if let Some(descrambler) = &mut self.descrambler {
                bit = descrambler.descramble(bit);
            }
            self.hdlc.push(bit, llr, &mut self.outcome);
            while let Some(event) = events.next_if(|event| event.last_symbol() <= symbol) {
                self.hdlc.event(event);
            }
        }
        self.hand_on(out);
    }

    fn finish(&mut self, out: &mut Deframed) {
        self.hdlc.finish(&mut self.outcome);
        self.hand_on(out);
    }

    fn settled_symbol(&self) -> u64 {
        self.hdlc.settled_bit()
    }
}

struct Ax25Encoder {
    scrambler: Option<Scrambler>,
    nrzi: NrziEncoder,
    /// The last thing sent was a flag, which opens the next frame.
    after_flag: bool,
    scratch: Vec<u8>,
}

/// Flags after the last frame, besides the one that closes it.
const POSTAMBLE_FLAGS: usize = 5;

impl Ax25Encoder {
    /// Sends what is in `scratch`.
    fn send(&mut self, bits: &mut Vec<u8>) {
        for &bit in &self.scratch {
            let scrambled = match &mut self.scrambler {
                Some(scrambler) => scrambler.scramble(bit),
                None => bit,
            };
            bits.push(self.nrzi.encode(scrambled));
        }
        self.scratch.clear();
    }

    fn flags(&mut self, count: usize, bits: &mut Vec<u8>) {
        for _ in 0..count {
            hdlc::encode_flag(&mut self.scratch);
            self.after_flag = true;
        }
        self.send(bits);
    }
}

impl FrameEncoder for Ax25Encoder {
    fn preamble(&mut self, symbols: usize, bits: &mut Vec<u8>) {
        self.flags(symbols.div_ceil(8), bits);
    }

    fn frame(&mut self, bytes: &[u8], bits: &mut Vec<u8>) -> Result<(), RequestError> {
        if !(MIN_BYTES..=MAX_BYTES).contains(&bytes.len()) {
            return Err(RequestError::new(
                "frame",
                format!("{} bytes do not fit AX.25", bytes.len()),
                format!("accepted: {MIN_BYTES} to {MAX_BYTES} bytes"),
            ));
        }
        if !self.after_flag {
            hdlc::encode_flag(&mut self.scratch);
        }
        hdlc::encode_frame(bytes, &mut self.scratch);
        self.flags(1, bits);
        Ok(())
    }

    fn postamble(&mut self, bits: &mut Vec<u8>) {
        self.flags(POSTAMBLE_FLAGS, bits);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;
    use crate::framing::testing::{self, Chunking};
    use rand::{RngCore, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    fn frame(rng: &mut ChaCha8Rng, length: usize) -> Vec<u8> {
        let mut bytes: Vec<u8> =
            b"TA2NBEj4M1ILON".iter().map(|c| (c & 0x7F) << 1).chain([0x03]).collect();
        bytes[6] = 0x60;
        bytes[13] = 0x61;
        bytes.resize(length, 0);
        rng.fill_bytes(&mut bytes[15..]);
        bytes
    }

    fn framings() -> [Box<dyn Framing>; 2] {
        [&AX25, &AX25_G3RUH].map(|d| (d.build)(&Options::default()).unwrap())
    }

    #[test]
    fn round_trip_in_any_mapping_polarity_and_chunking() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for framing in framings() {
            let sent: Vec<Vec<u8>> =
                [15, 16, 17, 60, 118, 300, 4094].map(|length| frame(&mut rng, length)).to_vec();
            testing::round_trip(framing.as_ref(), &sent, Check::Crc, &mut rng);
        }
    }

    /// A frame of 118 bytes whose first flag is at a known place.
    #[test]
    fn positions_count_from_the_opening_flag() {
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        for framing in framings() {
            let mut encoder = framing.encoder();
            let mut bits = Vec::new();
            encoder.preamble(77, &mut bits);
            assert_eq!(bits.len(), 80);
            encoder.frame(&frame(&mut rng, 118), &mut bits).unwrap();
            let end = bits.len() as u64;
            encoder.postamble(&mut bits);
            assert!(bits.len() as u64 >= end + 36);
            let llrs = testing::llrs(&bits, Mapping::Direct);
            let out = testing::deframe(framing.as_ref(), Mapping::Direct, &llrs, Chunking::Whole);
            assert_eq!((out.frames[0].first_symbol, out.frames[0].end_symbol), (72, end));
        }
    }

    /// The opening flag may be the first of the run: there is no memory before it.
    #[test]
    fn four_flags_suffice_at_the_start_of_a_run() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        for (framing, symbols) in framings().iter().zip([9, 32]) {
            // NRZI needs the level before the flag, the descrambler 17 of them.
            for level in [0, 1] {
                let mut encoder = framing.encoder();
                let mut bits = Vec::new();
                encoder.preamble(64, &mut bits);
                bits.drain(..64 - symbols);
                encoder.frame(&frame(&mut rng, 118), &mut bits).unwrap();
                bits.iter_mut().for_each(|b| *b ^= level);
                let llrs = testing::llrs(&bits, Mapping::Direct);
                let out =
                    testing::deframe(framing.as_ref(), Mapping::Direct, &llrs, Chunking::Whole);
                assert_eq!(out.frames.len(), 1);
            }
        }
    }

    /// Whether a wrong symbol is repaired depends on how unlikely it is, in either mapping.
    #[test]
    fn a_weak_wrong_symbol_is_repaired_and_a_strong_one_counted() {
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        for framing in framings() {
            let sent = [0; 3].map(|_| frame(&mut rng, 100));
            let mut encoder = framing.encoder();
            let mut bits = Vec::new();
            encoder.preamble(80, &mut bits);
            for frame in &sent {
                encoder.frame(frame, &mut bits).unwrap();
            }
            encoder.postamble(&mut bits);
            let middle = bits.len() / 2;
            for mapping in [Mapping::Direct, Mapping::Differential] {
                for (wrong, count) in [(-1.0, 3), (-20.0, 2)] {
                    let mut llrs = testing::llrs(&bits, mapping);
                    llrs.iter_mut().for_each(|x| *x *= 5.0);
                    llrs[middle] = wrong * llrs[middle].signum();
                    let out = testing::deframe(framing.as_ref(), mapping, &llrs, Chunking::Whole);
                    assert_eq!(out.frames.len(), count);
                    assert!(out.frames.iter().all(|f| sent.contains(&f.bytes)));
                    assert_eq!(out.rejects.iter().sum::<u64>() > 0, count == 2);
                    let repaired = out.frames.iter().filter_map(|f| f.repaired_bits);
                    assert_eq!(repaired.sum::<u32>(), u32::from(count == 3));
                    for chunking in [Chunking::Pieces(1), Chunking::Random(5)] {
                        assert_eq!(
                            testing::deframe(framing.as_ref(), mapping, &llrs, chunking),
                            out
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn addresses_must_be_plausible() {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let mut bytes = frame(&mut rng, 40);
        assert_eq!(plausible_characters(&bytes), 12);
        bytes[0] |= 1;
        bytes[12] = 0xFE;
        assert!(accept(&bytes, Trust::Whole) && !accept(&bytes, Trust::Repaired));
        bytes[1] = b'%' << 1;
        assert!(!accept(&bytes, Trust::Whole));
        assert!(!accept(&bytes[..14], Trust::Whole) && !accept(&[], Trust::Whole));
        // As QBEE sends it.
        assert!(accept(b"ON01SE\0ON01SE\0\x03", Trust::Repaired));
        assert!(!accept(b"ON01S%\0ON01SE\0\x03", Trust::Whole));
        assert!(accept(&bytes, Trust::Sure));
        // A right FCS does not save it, but for sure symbols behind flags.
        let framing = &framings()[0];
        let mut encoder = framing.encoder();
        let mut bits = Vec::new();
        encoder.frame(&bytes, &mut bits).unwrap();
        let llrs = testing::llrs(&bits, Mapping::Direct);
        let out = testing::deframe(framing.as_ref(), Mapping::Direct, &llrs, Chunking::Whole);
        assert!(out.frames.is_empty());
        assert_eq!(out.rejects[Reject::Header as usize], 1);
        let mut encoder = framing.encoder();
        bits.clear();
        encoder.preamble(32, &mut bits);
        encoder.frame(&bytes, &mut bits).unwrap();
        for (reliability, count) in [(20.0, 1), (1.0, 0)] {
            let mut llrs = testing::llrs(&bits, Mapping::Direct);
            llrs.iter_mut().for_each(|x| *x = reliability * x.signum());
            let out = testing::deframe(framing.as_ref(), Mapping::Direct, &llrs, Chunking::Whole);
            assert_eq!(out.frames.len(), count);
        }
    }

    #[test]
    fn lengths_out_of_range_are_refused() {
        for framing in framings() {
            for length in [0, 14, 4095] {
                assert!(framing.encoder().frame(&vec![0; length], &mut Vec::new()).is_err());
            }
        }
    }

    #[test]
    fn garbage_gives_no_frames() {
        let mut rng = ChaCha8Rng::seed_from_u64(6);
        for framing in framings() {
            testing::garbage(framing.as_ref(), 200_000, &mut rng);
        }
    }
}
