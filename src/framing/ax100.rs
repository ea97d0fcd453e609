//! GomSpace NanoCom AX100, mode 5 (ASM + Golay) and mode 6 (Reed–Solomon).
//!
//! ```text
//!  ASM+Golay:     ASM 32 | Golay (24,12) | codeword of L bytes, randomized |
//!                          parity 12, flags 4, L 8
//!
//!  Reed Solomon:  ASM 32 | L 8 | codeword of L - 1 bytes |      all of it scrambled (G3RUH)
//!
//!  codeword:      data | 32 parity bytes of the CCSDS (255,223) code, shortened
//! ```
//!
//! All fields most significant bit first. The ASM is 930B51DE (FORESAIL-1: 1ACFFC1D). Of the Golay
//! word's data, bits 0–7 are the length, bits 8–10 say whether the convolutional code, the
//! randomizer and Reed–Solomon are on; in this mode they are ignored. The length of mode 6 counts
//! itself and is not protected. The data are mostly a CSP packet, which may end in a CRC-32C.
//!
//! The deframer works on soft symbols: a soft search of the ASM in both polarities, from so low a
//! correlation that noise passes every few hundred symbols; maximum-likelihood decoding of the
//! Golay word with the runners-up tried next (of a plain length, its weakest bits turned); errors,
//! erasures and the likeliest error events in the codeword ([`crate::coding::chase`]). The code
//! decides: a random word is accepted, with all the sets of events and erasures that are tried,
//! with less than 10⁻⁷.
//!
//! A shortened cyclic code has a trap, though: a codeword with k bytes of anything before or behind
//! it is, taken as one word, a codeword with at most k errors. Where a word may end in zeros, header
//! and symbols decide how long it is, and a frame between whose lengths
//! they hardly tell is doubtful. A word that begins k bytes early has a sync word k bytes later that
//! is the better one.
//!
//! References: GomSpace, *NanoCom AX100 Datasheet* and *Software Documentation* (CSP framing);
//! CCSDS 131.0-B-5 for the code and the randomizer; RFC 3385 for CRC-32C.

use std::collections::VecDeque;

use crate::coding::bits::{hard, pack_llrs_msb_first, unpack_msb_first};
use crate::coding::chase::{self, Budget, Doubts};
use crate::coding::differential::SoftDifferential;
use crate::coding::event::{self, BitEvent, EventBuffer};
use crate::coding::reed_solomon::CCSDS_E16;
use crate::coding::scrambler::{Scrambler, SoftDescrambler};
use crate::coding::sync::{self, SyncHit, SyncWord};
use crate::coding::{crc, golay, randomizer};
use crate::effort::Effort;
use crate::error::RequestError;
use crate::frame::{CERTAIN_ODDS, Check, LIKELY_ODDS};
use crate::framing::{
    Deframed, Deframer, Descriptor, FrameEncoder, Framing, OptionDescriptor, RawFrame, Reject,
};
use crate::modulation::{Mapping, Preference, SoftBlock};

/// Sync word of the AX100.
const AX100_ASM: u32 = 0x930B_51DE;
/// Sync word of FORESAIL-1, that of CCSDS.
const FORESAIL_1_ASM: u32 = 0x1ACF_FC1D;

const ASM_BITS: usize = 32;
const PARITY_BYTES: usize = 32;
/// The Golay word of a frame with randomizer and Reed–Solomon on, without its length.
const FLAGS: u16 = 0x600;

/// |ρ| of a candidate (at most √32 = 5.66). Eight wrong hard bits of 32 give 2.83; at a bit error
/// rate of 10 % fewer than 1 % are missed, noise passes once in 200 symbols.
const SYNC_THRESHOLD: f32 = 2.8;
/// |ρ| from which on erasures and more header hypotheses are worth their time, and a failure is
/// counted as a rejected frame (five wrong hard bits: 3.89). A word that the code can correct is
/// above it almost always.
const SURE_SYNC: f32 = 3.85;

/// Header hypotheses tried, and how much less likely than the first they may be, in nats.
const HYPOTHESES: usize = 4;
const HYPOTHESES_WEAK: usize = 1;
/// Hypotheses that are decoded softly: it costs a hundred times as much.
const HYPOTHESES_SOFT: usize = 2;
const HYPOTHESIS_GAP: f32 = 8.0;

/// Bytes behind a codeword that could be the last ones of a longer codeword: they are looked at.
const TAIL_BYTES: usize = 2;
/// How much likelier the best length has to be than the next, in nats, beyond what the odds ask for:
/// the detectors' soft symbols are a little too sure.
const OVERSURE_NATS: f32 = 2.3;
/// |ρ| of a sync word up to 16 bytes behind that of a frame may be so much better.
const SHIFT_MARGIN: f32 = 0.5;

/// Symbols that may be missing at the end of a run; they count as unknown.
const MISSING_SYMBOLS: usize = 64;

/// Symbols taken at a time, and kept before the buffer is moved.
const PIECE_SYMBOLS: usize = 4096;

/// How the length is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Header {
    /// Golay (24,12); the length is that of the codeword.
    Golay,
    /// One byte; the length is that of the codeword and of itself.
    Byte,
}

impl Header {
    const fn bits(self) -> usize {
        match self {
            Header::Golay => 24,
            Header::Byte => 8,
        }
    }

    /// What is sent for `data` (flags and length, or length).
    fn encode(self, data: u16) -> u32 {
        match self {
            Header::Golay => golay::encode(data),
            Header::Byte => u32::from(data & 0xFF),
        }
    }

    /// Bytes by which the length exceeds the codeword.
    const fn excess(self) -> usize {
        match self {
            Header::Golay => 0,
            Header::Byte => 1,
        }
    }
}

/// What tells the variants apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Ax100 {
    asm: u32,
    header: Header,
    randomized: bool,
    scrambled: bool,
}

const MODE_6: Ax100 =
    Ax100 { asm: AX100_ASM, header: Header::Byte, randomized: false, scrambled: true };

/// AX100 mode 5.
pub static ASM_GOLAY: Descriptor = Descriptor {
    name: "AX100 ASM+Golay",
    aliases: &["ax100", "ax100-asm-golay", "ax100 mode 5", "asm+golay"],
    summary: "GomSpace AX100 mode 5: Golay header, randomized Reed–Solomon codeword",
    reference: "GomSpace NanoCom AX100; CCSDS 131.0-B-5",
    options: &[OptionDescriptor { key: "randomizer", values: "ccsds, none", default: "ccsds" }],
    build: |options| {
        let randomized = options.choice("randomizer", &[("ccsds", true), ("none", false)])?;
        Ok(Box::new(Ax100 { asm: AX100_ASM, header: Header::Golay, randomized, scrambled: false }))
    },
};

/// AX100 mode 5 with the sync word of CCSDS.
pub static FORESAIL_1: Descriptor = Descriptor {
    name: "FORESAIL-1",
    aliases: &["foresail1"],
    summary: "AX100 ASM+Golay with the CCSDS sync word: FORESAIL-1",
    reference: "GomSpace NanoCom AX100; CCSDS 131.0-B-5",
    options: &[],
    build: |_| {
        Ok(Box::new(Ax100 {
            asm: FORESAIL_1_ASM,
            header: Header::Golay,
            randomized: true,
            scrambled: false,
        }))
    },
};

/// AX100 mode 6.
pub static REED_SOLOMON: Descriptor = Descriptor {
    name: "AX100 Reed Solomon",
    aliases: &["ax100-reed-solomon", "ax100 rs", "ax100-rs", "ax100 mode 6"],
    summary: "GomSpace AX100 mode 6: length byte and Reed–Solomon codeword, scrambled (G3RUH)",
    reference: "GomSpace NanoCom AX100; CCSDS 131.0-B-5",
    options: &[],
    build: |_| Ok(Box::new(MODE_6)),
};

/// Whether `bytes` ends in a CSP CRC-32C (most significant byte first) over all before it, or over
/// all but the CSP header of 4 bytes: both are in use.
pub fn csp_crc_is_right(bytes: &[u8]) -> bool {
    let Some((content, tail)) = bytes.split_last_chunk::<4>() else { return false };
    let sent = u32::from_be_bytes(*tail);
    !content.is_empty()
        && (crc::CRC_32C.checksum(content) == sent
            || content
                .get(4..)
                .is_some_and(|data| !data.is_empty() && crc::CRC_32C.checksum(data) == sent))
}

impl Framing for Ax100 {
    fn deframer(&self, mapping: Mapping, effort: Effort) -> Box<dyn Deframer> {
        Box::new(Ax100Deframer {
            framing: *self,
            sync: SyncWord::new(u64::from(self.asm), ASM_BITS, SYNC_THRESHOLD),
            differential: match mapping {
                Mapping::Direct => None,
                Mapping::Differential => Some(SoftDifferential::new()),
            },
            descrambler: self.scrambled.then(SoftDescrambler::default),
            events: EventBuffer::default(),
            effort,
            budget: Budget::new(effort > Effort::OnePass),
            llrs: Vec::new(),
            base: 0,
            searched: 0,
            hits: Vec::new(),
            candidates: VecDeque::new(),
            masked_until: 0,
            body: Vec::new(),
            codeword: Vec::new(),
            bit_events: Vec::new(),
            likely_events: Vec::new(),
        })
    }

    fn encoder(&self) -> Box<dyn FrameEncoder> {
        Box::new(Ax100Encoder {
            framing: *self,
            scrambler: self.scrambled.then(Scrambler::default),
            scratch: Vec::new(),
        })
    }

    fn preference(&self) -> Preference {
        Preference::default()
    }

    fn frame_bytes(&self) -> (usize, usize) {
        (1, 255 - PARITY_BYTES - self.header.excess())
    }
}

/// A length that a header may stand for: bytes of the codeword.
#[derive(Debug, Clone, Copy)]
struct Hypothesis {
    codeword_bytes: usize,
}

/// How long a codeword is.
#[derive(Debug, Clone, Copy)]
struct Length {
    codeword_bytes: usize,
    /// The header's data.
    data: u16,
    /// ln of the odds against the next likely length.
    log_odds: f32,
}

/// A place where a frame may begin.
struct Candidate {
    first_symbol: u64,
    correlation: f32,
    /// Filled as soon as the header is there; `None` before.
    hypotheses: Option<[Option<Hypothesis>; HYPOTHESES]>,
    next: usize,
}

struct Ax100Deframer {
    framing: Ax100,
    sync: SyncWord,
    differential: Option<SoftDifferential>,
    descrambler: Option<SoftDescrambler>,
    events: EventBuffer,
    effort: Effort,
    budget: Budget,
    /// Soft channel bits from symbol `base` of the run on, clipped.
    llrs: Vec<f32>,
    base: u64,
    /// Entries of `llrs` at which the search for the ASM has been.
    searched: usize,
    hits: Vec<SyncHit>,
    /// Undecided ones, in order.
    candidates: VecDeque<Candidate>,
    /// Symbols before this one belong to a decoded frame.
    masked_until: u64,
    body: Vec<f32>,
    codeword: Vec<u8>,
    bit_events: Vec<BitEvent>,
    likely_events: Vec<BitEvent>,
}

impl Deframer for Ax100Deframer {
    fn push(&mut self, block: &SoftBlock, out: &mut Deframed) {
        for event in &block.events {
            self.events.push(event.first_symbol, event.pattern, event.cost);
        }
        for piece in block.llr.chunks(PIECE_SYMBOLS) {
            for &llr in piece {
                let mut llr = llr;
                if let Some(differential) = &mut self.differential {
                    llr = differential.decode(llr);
                }
                if let Some(descrambler) = &mut self.descrambler {
                    llr = descrambler.descramble(llr);
                }
                self.llrs.push(sync::clip(llr));
            }
            self.search();
            self.decide(None, out);
            self.forget();
        }
    }

    fn finish(&mut self, out: &mut Deframed) {
        let end = self.llrs.len();
        self.llrs.resize(end + MISSING_SYMBOLS, 0.0);
        self.decide(Some(end), out);
        // What is left lacks its header.
        self.candidates.clear();
        self.llrs.truncate(end);
        self.searched = end;
        self.forget();
    }

    fn settled_symbol(&self) -> u64 {
        let searched = self.base + self.searched as u64;
        self.candidates.front().map_or(searched, |c| c.first_symbol)
    }
}

impl Ax100Deframer {
    fn search(&mut self) {
        self.hits.clear();
        self.sync.search(&self.llrs[self.searched..], &mut self.hits);
        for hit in &self.hits {
            let first_symbol = self.base + (self.searched + hit.index) as u64;
            if first_symbol >= self.masked_until {
                self.candidates.push_back(Candidate {
                    first_symbol,
                    correlation: hit.correlation,
                    hypotheses: None,
                    next: 0,
                });
            }
        }
        self.searched = (self.llrs.len() + 1).saturating_sub(ASM_BITS).max(self.searched);
    }

    /// Decides the candidates in order, as far as their symbols are there. `end`: entries of `llrs`
    /// that were received, if no more will be; what is not there then is not tried.
    fn decide(&mut self, end: Option<usize>, out: &mut Deframed) {
        while let Some(mut candidate) = self.candidates.pop_front() {
            if candidate.first_symbol < self.masked_until {
                continue;
            }
            match self.try_candidate(&mut candidate, end) {
                Some(Ok(frame)) => {
                    self.masked_until = frame.end_symbol;
                    out.sync_word();
                    out.frames.push(frame);
                }
                Some(Err(why)) => {
                    if candidate.correlation.abs() >= SURE_SYNC {
                        out.sync_word();
                        out.reject(why);
                    }
                }
                None => {
                    self.candidates.push_front(candidate);
                    break;
                }
            }
        }
    }

    /// `None`: symbols are missing.
    fn try_candidate(
        &mut self,
        candidate: &mut Candidate,
        end: Option<usize>,
    ) -> Option<Result<RawFrame, Reject>> {
        let header = (candidate.first_symbol - self.base) as usize + ASM_BITS;
        let first = header + self.framing.header.bits();
        if first > self.llrs.len() {
            return None;
        }
        let sign = 1f32.copysign(candidate.correlation);
        let hypotheses = match candidate.hypotheses {
            Some(hypotheses) => hypotheses,
            None => {
                let sure = candidate.correlation.abs() >= SURE_SYNC;
                *candidate.hypotheses.insert(self.hypotheses(header, sign, sure))
            }
        };
        if hypotheses[0].is_none() {
            return Some(Err(Reject::Length));
        }
        while let Some(&Some(hypothesis)) = hypotheses.get(candidate.next) {
            let body_end = first + 8 * hypothesis.codeword_bytes;
            if end.is_none() && body_end + 8 * TAIL_BYTES > self.llrs.len() {
                return None;
            }
            let there = body_end <= self.llrs.len();
            candidate.next += 1;
            if there && let Some(frame) = self.decode(candidate, hypothesis, header, sign, end) {
                return Some(Ok(frame));
            }
        }
        Some(Err(Reject::Uncorrectable))
    }

    fn hypothesis_count(&self, sure: bool) -> usize {
        if sure && self.effort > Effort::OnePass { HYPOTHESES } else { HYPOTHESES_WEAK }
    }

    /// The lengths to be tried, most likely first.
    fn hypotheses(&self, header: usize, sign: f32, sure: bool) -> [Option<Hypothesis>; HYPOTHESES] {
        let mut hypotheses = [None; HYPOTHESES];
        let least = PARITY_BYTES + 1;
        match self.framing.header {
            Header::Golay => {
                let llrs: [f32; 24] = std::array::from_fn(|i| sign * self.llrs[header + i]);
                let found = golay::decode_soft::<HYPOTHESES>(&llrs, |data| {
                    usize::from(data as u8) >= least
                });
                let count = self.hypothesis_count(sure);
                let best = found[0].map_or(0.0, |c| c.cost);
                for (hypothesis, found) in hypotheses.iter_mut().zip(found).take(count) {
                    *hypothesis = found
                        .filter(|c| c.cost - best <= HYPOTHESIS_GAP)
                        .map(|c| Hypothesis { codeword_bytes: usize::from(c.data as u8) });
                }
            }
            Header::Byte => {
                // As received, and with either or both of the two weakest bits turned.
                let llrs: [f32; 8] = std::array::from_fn(|i| sign * self.llrs[header + i]);
                let received = llrs.iter().fold(0u8, |byte, &x| byte << 1 | hard(x));
                let mut order: [usize; 8] = std::array::from_fn(|i| i);
                order.sort_by(|&a, &b| llrs[a].abs().total_cmp(&llrs[b].abs()));
                let turned = order.map(|i| 0x80u8 >> i);
                let masks = [0, turned[0], turned[1], turned[0] | turned[1]];
                let count = self.hypothesis_count(sure);
                let lengths = masks[..count].iter().map(|mask| received ^ mask);
                let possible = lengths.filter(|&length| usize::from(length) > least);
                for (hypothesis, length) in hypotheses.iter_mut().zip(possible) {
                    *hypothesis = Some(Hypothesis { codeword_bytes: usize::from(length) - 1 });
                }
            }
        }
        hypotheses
    }

    fn decode(
        &mut self,
        candidate: &Candidate,
        hypothesis: Hypothesis,
        header: usize,
        sign: f32,
        end: Option<usize>,
    ) -> Option<RawFrame> {
        let first = header + self.framing.header.bits();
        let length = hypothesis.codeword_bytes;
        self.body.clear();
        self.body.extend(self.llrs[first..first + 8 * length].iter().map(|x| sign * x));
        if self.framing.randomized {
            randomizer::CCSDS.apply_llrs(&mut self.body, 0);
        }
        self.codeword.clear();
        pack_llrs_msb_first(&self.body, &mut self.codeword);
        let softly = candidate.correlation.abs() >= SURE_SYNC
            && candidate.next <= HYPOTHESES_SOFT
            && self.effort > Effort::OnePass;
        if CCSDS_E16.decode(&mut self.codeword, &[]).is_err() {
            if !softly {
                return None;
            }
            let doubts = self.doubts(self.base + first as u64, length);
            let trials = self.budget.at(candidate.first_symbol);
            chase::decode_symbols(&CCSDS_E16, &mut self.codeword, &self.body, &doubts, trials)
                .ok()?;
        }
        if self.is_bare_carrier() {
            return None;
        }
        let Length { codeword_bytes: length, data, log_odds } = self.length(header, sign);
        let certain = log_odds >= CERTAIN_ODDS.ln();
        let likely = self.effort == Effort::Doubtful && log_odds >= LIKELY_ODDS.ln();
        if !(certain || likely) || self.is_shifted(candidate) {
            return None;
        }
        self.codeword.resize(length, 0);
        let changed = self.codeword.iter().zip(self.body.chunks(8)).filter(|(byte, llrs)| {
            llrs.iter().enumerate().any(|(i, &x)| hard(x) != *byte >> (7 - i) & 1)
        });
        let corrected_symbols = Some(changed.count() as u32);
        let corrected_bits = match self.framing.header {
            Header::Golay => {
                let llrs = self.llrs[header..header + 24].iter();
                let received = llrs.fold(0, |word, x| word << 1 | u32::from(hard(sign * x)));
                Some((golay::encode(data) ^ received).count_ones())
            }
            Header::Byte => None,
        };
        let bytes = self.codeword[..length - PARITY_BYTES].to_vec();
        let check =
            if csp_crc_is_right(&bytes) { Check::CrcAndReedSolomon } else { Check::ReedSolomon };
        Some(RawFrame {
            bytes,
            first_symbol: candidate.first_symbol,
            end_symbol: self.base + (first + 8 * length).min(end.unwrap_or(usize::MAX)) as u64,
            check,
            corrected_symbols,
            corrected_bits,
            repaired_bits: None,
            log_odds: (!certain).then_some(log_odds),
        })
    }

    /// What is known of the errors in the codeword of `length` bytes that begins at a symbol and
    /// whose soft bits are in `body`.
    fn doubts(&mut self, first_symbol: u64, length: usize) -> Doubts {
        let count = 8 * length;
        let mut doubts = Doubts::new();
        self.bit_events.clear();
        event::of_symbols(&self.body, &mut self.bit_events);
        doubts.add_events(&self.bit_events, 1, 0, length);
        self.likely_events.clear();
        // Events that begin before the codeword may have their echo in it.
        let before = (self.differential.is_some() as u64 + 17 * self.framing.scrambled as u64)
            .min(first_symbol);
        let all = count + before as usize;
        self.events.within(first_symbol - before, all, &mut self.likely_events);
        self.likely_events.retain_mut(|event| {
            let mut mapped = Some(*event);
            if self.differential.is_some() {
                mapped = mapped.and_then(|event| event.through(&[1]));
            }
            if self.framing.scrambled {
                mapped = mapped.and_then(|event| event.through(&[12, 17]));
            }
            let Some(mapped) = mapped else { return false };
            // Back to the codeword's bits, what lies outside of it cut off.
            let mut bits = mapped
                .bits()
                .filter_map(|bit| bit.checked_sub(before as usize))
                .filter(|&bit| bit < count);
            let Some(first) = bits.next() else { return false };
            let pattern = bits.fold(1u64, |pattern, bit| pattern | 1 << (bit - first));
            *event = BitEvent { first_bit: first, pattern, cost: mapped.cost };
            true
        });
        if self.likely_events.is_empty() {
            self.likely_events.extend_from_slice(&self.bit_events);
        }
        event::sort(&mut self.likely_events);
        doubts.add_alternatives(&self.likely_events, 1, 0, length, chase::EVENTS);
        doubts
    }

    /// Whether the codeword is one and the same bit over and over on the channel: a tone. Those are
    /// codewords, with the randomizer (a maximum-length sequence is one, too) and without, behind
    /// a header that is one as well.
    fn is_bare_carrier(&self) -> bool {
        let sent = |index: usize, byte: u8| {
            byte ^ if self.framing.randomized { randomizer::CCSDS.byte(index) } else { 0 }
        };
        let mut bytes = self.codeword.iter().enumerate().map(|(index, &byte)| sent(index, byte));
        let first = bytes.next().unwrap_or(0);
        matches!(first, 0 | 0xFF) && bytes.all(|byte| byte == first)
    }

    /// How long the corrected word in `codeword` is, without or with some of the zeros that it ends
    /// in or that may follow. Header and symbols decide: with a longer codeword the last k bytes
    /// were sent as zeros, which a codeword ends in by chance with 2^-8k; with a shorter one they are
    /// anything, and each of their values has 2^-8k. So the cost of a length, in nats, is that of
    /// its header and of the zeros in it. A right CRC-32C settles it.
    fn length(&self, header: usize, sign: f32) -> Length {
        let decoded = self.codeword.len();
        let zeros = self.codeword.iter().rev().take_while(|&&byte| byte == 0).count();
        let least = (decoded - zeros).max(PARITY_BYTES + 1);
        let excess = self.framing.header.excess();
        let most = (decoded + TAIL_BYTES).min(255 - excess);
        let mut best = Length { codeword_bytes: decoded, data: 0, log_odds: f32::INFINITY };
        let (mut lowest, mut second) = (f32::INFINITY, f32::INFINITY);
        let mut cost_of_zeros = 0.0;
        for codeword_bytes in least..=most {
            if codeword_bytes > least {
                cost_of_zeros += self.cost_of_zero(header, sign, codeword_bytes - 1);
            }
            let (data, cost) = self.header_of((codeword_bytes + excess) as u16, header, sign);
            if let Some(bytes) = self.codeword.get(..codeword_bytes - PARITY_BYTES)
                && csp_crc_is_right(bytes)
            {
                return Length { codeword_bytes, data, log_odds: f32::INFINITY };
            }
            let cost = cost + cost_of_zeros;
            if cost < lowest {
                (lowest, second) = (cost, lowest);
                best = Length { codeword_bytes, data, log_odds: 0.0 };
            } else {
                second = second.min(cost);
            }
        }
        Length { log_odds: second - lowest - OVERSURE_NATS, ..best }
    }

    /// -ln of the probability that byte `index` of the codeword was sent as zero, from its symbols
    /// alone; those that were not received are unknown.
    fn cost_of_zero(&self, header: usize, sign: f32, index: usize) -> f32 {
        let first = header + self.framing.header.bits() + 8 * index;
        let sent = if self.framing.randomized { randomizer::CCSDS.byte(index) } else { 0 };
        (0..8)
            .map(|i| {
                let llr = sign * self.llrs.get(first + i).copied().unwrap_or(0.0);
                let bit = sent >> (7 - i) & 1;
                let against = if hard(llr) == bit { 0.0 } else { llr.abs() };
                against + (-llr.abs()).exp().ln_1p()
            })
            .sum()
    }

    /// The likeliest header of a length: its data, and the sum of |llr| over the bits that were
    /// received otherwise. The flags are not to be relied on: any will do.
    fn header_of(&self, length: u16, header: usize, sign: f32) -> (u16, f32) {
        let llrs = &self.llrs[header..header + self.framing.header.bits()];
        let flags = match self.framing.header {
            Header::Golay => 16,
            Header::Byte => 1,
        };
        let mut best = (length, f32::INFINITY);
        for data in (0..flags).map(|flags| flags << 8 | length) {
            let word = self.framing.header.encode(data);
            let bit = |i: usize| (word >> (llrs.len() - 1 - i) & 1) as u8;
            let cost = llrs
                .iter()
                .enumerate()
                .filter(|(i, llr)| hard(sign * **llr) != bit(*i))
                .map(|(_, llr)| llr.abs())
                .sum();
            if cost < best.1 {
                best = (data, cost);
            }
        }
        best
    }

    /// Whether there is a clearly better sync word so few bytes later that the code may have
    /// accepted that one's codeword behind bytes of something else.
    fn is_shifted(&self, candidate: &Candidate) -> bool {
        let at = (candidate.first_symbol - self.base) as usize;
        let good = candidate.correlation.abs() + SHIFT_MARGIN;
        (1..=PARITY_BYTES / 2).any(|shift| {
            let symbols = self.llrs.get(at + 8 * shift..at + 8 * shift + ASM_BITS);
            symbols.is_some_and(|symbols| self.sync.correlation(symbols).abs() > good)
        })
    }

    /// Drops the symbols that nothing needs any more.
    fn forget(&mut self) {
        let needed = (self.settled_symbol() - self.base) as usize;
        if needed >= PIECE_SYMBOLS {
            self.llrs.drain(..needed);
            self.base += needed as u64;
            self.searched -= needed;
            self.events.forget(self.base);
        }
    }
}

struct Ax100Encoder {
    framing: Ax100,
    scrambler: Option<Scrambler>,
    scratch: Vec<u8>,
}

impl Ax100Encoder {
    /// Sends what is in `scratch`.
    fn send(&mut self, bits: &mut Vec<u8>) {
        match &mut self.scrambler {
            Some(scrambler) => bits.extend(self.scratch.iter().map(|&b| scrambler.scramble(b))),
            None => bits.extend_from_slice(&self.scratch),
        }
        self.scratch.clear();
    }
}

/// Alternating bits after the last frame.
const POSTAMBLE_BITS: usize = 32;

impl FrameEncoder for Ax100Encoder {
    fn preamble(&mut self, symbols: usize, bits: &mut Vec<u8>) {
        // 10101010…, and whole bytes of it.
        self.scratch
            .extend((0..symbols.next_multiple_of(8)).map(|i| (i as u8).wrapping_add(1) & 1));
        self.send(bits);
    }

    fn frame(&mut self, bytes: &[u8], bits: &mut Vec<u8>) -> Result<(), RequestError> {
        let (least, most) = self.framing.frame_bytes();
        if !(least..=most).contains(&bytes.len()) {
            return Err(RequestError::new(
                "frame",
                format!("{} bytes do not fit AX100", bytes.len()),
                format!("accepted: {least} to {most} bytes"),
            ));
        }
        unpack_msb_first(&self.framing.asm.to_be_bytes(), &mut self.scratch);
        let length = bytes.len() + PARITY_BYTES + self.framing.header.excess();
        match self.framing.header {
            Header::Golay => {
                let word = golay::encode(FLAGS | length as u16);
                unpack_msb_first(&word.to_be_bytes()[1..], &mut self.scratch);
            }
            Header::Byte => unpack_msb_first(&[length as u8], &mut self.scratch),
        }
        let mut codeword = bytes.to_vec();
        codeword.resize(bytes.len() + PARITY_BYTES, 0);
        let (data, parity) = codeword.split_at_mut(bytes.len());
        CCSDS_E16.encode(data, parity);
        if self.framing.randomized {
            randomizer::CCSDS.apply_bytes(&mut codeword, 0);
        }
        unpack_msb_first(&codeword, &mut self.scratch);
        self.send(bits);
        Ok(())
    }

    fn postamble(&mut self, bits: &mut Vec<u8>) {
        self.scratch.extend((0..POSTAMBLE_BITS).map(|i| (i as u8).wrapping_add(1) & 1));
        self.send(bits);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests;
