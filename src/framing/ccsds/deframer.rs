//! Deframer of the CCSDS framings: sync, inner decoder, Reed–Solomon decoder.
//!
//! Soft values are used to the end: with both codes as [`crate::coding::concatenated`] does it, with a
//! Reed–Solomon code alone as [`crate::coding::chase`] does, within a budget of work for each symbol.
//!
//! Without a Reed–Solomon code the frame error control field, if frames carry one, settles which of
//! the likeliest errors happened ([`crate::coding::crc_repair`]).
//!
//! Each position of the run is decided once all symbols of a frame that begins there and those of
//! the next sync marker are in. It is tried if its own sync marker is strong, if it and one a frame
//! away are together, or if a frame was found a frame length before (so that a marker buried in
//! noise loses no frame). What the code accepts is a frame; without a code, sync and, where one is
//! carried, the frame error control field (CRC) decide.

use crate::coding::chase::{self, Budget, Doubts};
use crate::coding::concatenated::{self, Codes, ConcatenatedDecoder, Received};
use crate::coding::convolutional::{FREE, Known, ViterbiDecoder};
use crate::coding::event::{self, BitEvent, EventBuffer};
use crate::coding::{bits, crc, crc_repair, randomizer};
use crate::effort::Effort;
use crate::frame::{CERTAIN_ODDS, Check, LIKELY_ODDS};
use crate::framing::ccsds::sync::{Found, Line, SyncBuffer, SyncPattern};
use crate::framing::ccsds::{ASM, Ccsds};
use crate::framing::{Deframed, Deframer, RawFrame, Reject};
use crate::modulation::{Mapping, SoftBlock};

/// The next sync marker is used for decoding if it is at least this strong …
const PIN_STRENGTH: f32 = 2.0;
/// … and not much weaker than the frame's own: without noise even idle bits are strong.
const PIN_SHARE: f32 = 0.6;
/// A frame could begin this many symbols before the end of another one: slips of the demodulator.
const SLIP_SYMBOLS: u64 = 8;
/// By how much a sync marker (the root of its and its neighbour's squared strengths) must be better
/// than one that may belong to the same codeword, shifted.
const SHIFT_MARGIN: f32 = 0.5;
/// A sync marker of this strength counts as seen, in the statistics of rejects and when the code
/// proves little.
const SEEN: f32 = 4.4;
/// Share of the soft symbols' magnitude that the decoded path keeps: .95 at Es/N0 = 0 dB, .90 at
/// -2 dB, .85 in noise, where the decoder finds what fits best. Only asked where no outer code
/// decides, so that hardly a frame is right below 0 dB.
const PLAUSIBLE_PATH: f64 = 0.90;
/// The same behind an outer code. On steady symbols without noise the decoder's ties make a periodic
/// sequence that a Reed–Solomon code may accept, but the path keeps little of them; of hard
/// decisions at the limit it keeps .84.
const PLAUSIBLE_CODED_PATH: f64 = 0.75;

/// When a position is tried.
#[derive(Debug, Clone, Copy)]
struct Thresholds {
    /// Strength of the sync marker alone.
    alone: f32,
    /// Root of the sum of squares with a sync marker one frame away …
    together: f32,
    /// … and strength of its own.
    floor: f32,
    /// Frames that may be missing before their places are no longer tried.
    misses: u32,
}

/// With a code that decides: candidates need only be cheap. At the limit of the concatenated code
/// the strength is 5.4 ± .66, at a channel bit error rate of 8 % without inner code 4.6 ± .6.
const CHECKED: Thresholds = Thresholds { alone: 3.8, together: 5.4, floor: 2.2, misses: 16 };
/// Without a code that decides: noise must not look like a frame.
const UNCHECKED: Thresholds = Thresholds { alone: 4.7, together: 6.2, floor: 3.0, misses: 1 };
/// Equal bytes of a codeword from which on they mean something.
const MONOTONOUS_BYTES: usize = 4;
/// Without a check, a frame where one is expected needs a marker this strong.
const EXPECTED_UNCHECKED: f32 = 3.6;

/// Odds that frames carry a frame error control field, as long as none was seen.
const UNSEEN_ODDS: f32 = 0.1;
/// Sum of the doubts of a frame that is without doubt: if its frame error control field is wrong, it
/// has none.
const SURE_COST: f32 = 0.01;

/// What is known of the frame error control field of a run's frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ErrorControl {
    Unknown,
    Seen,
    Absent,
}

/// A codeblock that was accepted.
struct Decoded {
    bytes: Vec<u8>,
    check: Check,
    corrected_symbols: Option<u32>,
    corrected_bits: Option<u32>,
    /// Bits turned to satisfy the frame error control field, and the odds that they are right.
    repair: Option<(u32, f32)>,
    /// No code vouches for it, but it is without doubt.
    sure: bool,
    /// Every codeword was one byte over and over on the channel: what a code makes of an
    /// unmodulated carrier or of alternating bits. Such words are valid codewords, but no frame: one
    /// with a header is never like this.
    monotonous: bool,
    /// The code corrected as much as it can.
    at_the_limit: bool,
    /// Share of the soft symbols' magnitude that the inner decoder's path keeps, 1 without one.
    path_share: f64,
}

/// How a position came to be tried.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    found: Found,
    score: f32,
    expected: bool,
}

/// Deframer of one run.
pub(super) struct CcsdsDeframer {
    framing: Ccsds,
    line: Line,
    buffer: SyncBuffer,
    thresholds: Thresholds,
    inner: Inner,
    events: EventBuffer,
    budget: Budget,
    effort: Effort,
    error_control: ErrorControl,
    /// Symbols of a frame with its sync marker.
    frame_symbols: u64,
    /// Bits of a codeblock.
    codeblock_bits: usize,
    /// Next position to be decided.
    cursor: u64,
    /// Where a frame is expected, and how many were missing before it.
    expected: Option<(u64, u32)>,
    ended: bool,
    /// Position after the last symbol received, once the run has ended.
    run_end: u64,
    // Working memory.
    upright: Vec<f32>,
    decoded_bits: Vec<u8>,
    codeblock: Vec<u8>,
    tail: Vec<u8>,
    pins: Vec<u8>,
    symbol_events: Vec<BitEvent>,
    likely_events: Vec<BitEvent>,
}

/// What stands between the soft symbols and the codeblock.
enum Inner {
    /// No code.
    None,
    /// The convolutional code alone.
    Convolutional(Box<ViterbiDecoder>),
    /// The convolutional code with a Reed–Solomon code around it.
    Concatenated(Box<ConcatenatedDecoder>, Codes),
}

impl CcsdsDeframer {
    pub fn new(framing: Ccsds, mapping: Mapping, effort: Effort) -> Self {
        let line = Line { precoding: framing.precoding, convolution: framing.convolution, mapping };
        let buffer = SyncBuffer::new(SyncPattern::new(&ASM, line));
        let codeblock_bits = 8 * framing.codeblock_bytes();
        let frame_symbols = (framing.symbols_per_bit() * (32 + codeblock_bits)) as u64;
        let viterbi = framing.convolution.map(|convention| match mapping {
            Mapping::Direct => ViterbiDecoder::new(convention),
            Mapping::Differential => ViterbiDecoder::differential(convention),
        });
        let inner = match (viterbi, framing.code) {
            (None, _) => Inner::None,
            (Some(viterbi), None) => Inner::Convolutional(Box::new(viterbi)),
            (Some(viterbi), Some(code)) => Inner::Concatenated(
                Box::new(ConcatenatedDecoder::new(viterbi)),
                Codes {
                    code,
                    depth: framing.depth,
                    codeword_bytes: framing.codeblock_bytes() / framing.depth,
                    precoding: framing.precoding,
                    randomizer: framing.randomizer,
                },
            ),
        };
        let thresholds = if framing.code.is_some() { CHECKED } else { UNCHECKED };
        let cursor = buffer.first_position();
        Self {
            framing,
            line,
            buffer,
            thresholds,
            inner,
            events: EventBuffer::default(),
            budget: Budget::new(effort > Effort::OnePass),
            effort,
            error_control: ErrorControl::Unknown,
            frame_symbols,
            codeblock_bits,
            cursor,
            expected: None,
            ended: false,
            run_end: u64::MAX,
            upright: Vec::new(),
            decoded_bits: Vec::new(),
            codeblock: Vec::new(),
            tail: Vec::new(),
            pins: Vec::new(),
            symbol_events: Vec::new(),
            likely_events: Vec::new(),
        }
    }

    /// Symbols that may be missing at the end of a run: as many as half of the code's power.
    fn missing_symbols(&self) -> usize {
        let bytes = self.framing.code.map_or(0, |code| code.parity_bytes() / 4);
        bytes * self.framing.depth * 8 * self.framing.symbols_per_bit()
    }

    /// Shifts of a codeword that its code may accept.
    fn shifts(&self) -> u64 {
        self.framing.code.map_or(0, |code| code.parity_bytes() as u64)
    }

    /// Symbols of one such shift.
    fn shift_symbols(&self) -> u64 {
        (8 * self.framing.depth * self.framing.symbols_per_bit()) as u64
    }

    fn advance(&mut self, out: &mut Deframed) {
        // A frame, the next sync marker, and as much of both as a better place may lie ahead.
        let ahead = self.buffer.pattern().length as u64 + self.shifts() * self.shift_symbols();
        let needed = self.frame_symbols + if self.ended { 0 } else { ahead };
        // Positions before this one can be decided.
        let limit = (self.buffer.end() + 1).saturating_sub(needed);
        while self.cursor < limit {
            let expected = self.expected.map(|(position, _)| position);
            let next = self.buffer.next_above(self.cursor, limit, self.thresholds.floor);
            let next = match (next, expected) {
                (Some(next), Some(expected)) if expected >= self.cursor => next.min(expected),
                (Some(next), _) => next,
                (None, Some(expected)) if (self.cursor..limit).contains(&expected) => expected,
                (None, _) => {
                    self.cursor = limit;
                    break;
                }
            };
            self.cursor = next;
            self.decide(next, out);
        }
        // A frame back of where a shifted codeword would begin.
        let shifted = self.shifts() * self.shift_symbols();
        self.buffer.forget(self.cursor.saturating_sub(self.frame_symbols + shifted + 2));
        self.events.forget(self.buffer.run_symbol(self.cursor));
    }

    /// What is known of a sync marker at a position and its neighbours.
    fn candidate(&self, position: u64) -> Candidate {
        let found = self.buffer.found(position);
        let after = self.buffer.found(position + self.frame_symbols).strength;
        let before =
            position.checked_sub(self.frame_symbols).map_or(0.0, |p| self.buffer.found(p).strength);
        Candidate {
            found,
            score: found.strength.hypot(before.max(after)),
            expected: self.expected.is_some_and(|(expected, _)| expected == position),
        }
    }

    fn decide(&mut self, position: u64, out: &mut Deframed) {
        let candidate = self.candidate(position);
        let strength = candidate.found.strength;
        let together =
            candidate.score > self.thresholds.together && strength > self.thresholds.floor;
        // Without a code, the CRC of a frame that carries one decides about weak sync markers.
        let tried =
            candidate.expected || together || strength > self.thresholds.alone.min(CHECKED.alone);
        self.cursor = position + 1;
        if !tried {
            return;
        }
        let decoded = self
            .decode(position, candidate.found)
            .filter(|decoded| self.acceptable(&candidate, decoded, position))
            .filter(|_| !self.is_shifted(position, &candidate));
        let Some(decoded) = decoded else {
            if strength > SEEN {
                out.sync_word();
                out.reject(Reject::Uncorrectable);
            }
            if let Some((expected, misses)) = self.expected
                && expected == position
            {
                self.expected = (misses < self.thresholds.misses)
                    .then_some((expected + self.frame_symbols, misses + 1));
            }
            return;
        };
        out.sync_word();
        out.frames.push(RawFrame {
            bytes: decoded.bytes,
            first_symbol: self.buffer.run_symbol(position),
            end_symbol: self.buffer.run_symbol((position + self.frame_symbols).min(self.run_end)),
            check: decoded.check,
            corrected_symbols: decoded.corrected_symbols,
            corrected_bits: decoded.corrected_bits,
            repaired_bits: decoded.repair.map(|(bits, _)| bits),
            log_odds: decoded.repair.map(|(_, log_odds)| log_odds),
        });
        if decoded.check == Check::Crc && decoded.repair.is_none() {
            self.error_control = ErrorControl::Seen;
        } else if decoded.sure && self.error_control == ErrorControl::Unknown {
            self.error_control = ErrorControl::Absent;
        }
        let end = position + self.frame_symbols;
        self.cursor = end - SLIP_SYMBOLS;
        self.expected = Some((end, 0));
    }

    /// Whether what was decoded is a frame.
    fn acceptable(&self, candidate: &Candidate, decoded: &Decoded, position: u64) -> bool {
        let strength = candidate.found.strength;
        let together =
            candidate.score > self.thresholds.together && strength > self.thresholds.floor;
        if decoded.monotonous {
            return false;
        }
        if self.framing.code.is_some() {
            return decoded.path_share > PLAUSIBLE_CODED_PATH
                && (strength > SEEN || together || !decoded.at_the_limit);
        }
        let plausible = decoded.path_share > PLAUSIBLE_PATH;
        if decoded.repair.is_some() {
            return plausible && (candidate.expected || strength > CHECKED.alone || together);
        }
        // Noise passes a CRC once in 65536.
        if decoded.check == Check::Crc && strength > self.thresholds.floor {
            return true;
        }
        if candidate.expected {
            return plausible && strength > EXPECTED_UNCHECKED;
        }
        if !(plausible && (strength > self.thresholds.alone || together)) {
            return false;
        }
        // Nothing vouches for it: not if it would hide a stronger one.
        let end = position + self.frame_symbols - SLIP_SYMBOLS;
        let mut from = position + 1;
        while let Some(other) = self.buffer.next_above(from, end, strength) {
            let before = other.checked_sub(self.frame_symbols);
            let before = before.map_or(0.0, |p| self.buffer.found(p).strength);
            if self.buffer.found(other).strength.hypot(before) > candidate.score {
                return false;
            }
            from = other + 1;
        }
        true
    }

    /// Cyclic codes accept a codeword that is shifted by some bytes, as many as they correct: whether
    /// there is a sync marker so far away that is clearly better. It leads to the true frame, if any.
    fn is_shifted(&self, position: u64, candidate: &Candidate) -> bool {
        (1..=self.shifts()).any(|shift| {
            let distance = shift * self.shift_symbols();
            let places = [position.checked_sub(distance), Some(position + distance)];
            places
                .into_iter()
                .flatten()
                .any(|place| self.candidate(place).score > candidate.score + SHIFT_MARGIN)
        })
    }

    /// Decodes the codeblock behind a sync marker. `None`: a codeword is beyond correction, or the
    /// symbols are not all there.
    fn decode(&mut self, position: u64, found: Found) -> Option<Decoded> {
        let sync_symbols = self.buffer.pattern().length as u64;
        let block_symbols = self.framing.symbols_per_bit() * self.codeblock_bits;
        let coded = !matches!(self.inner, Inner::None);
        let first = position + sync_symbols;
        let count = block_symbols + if coded { sync_symbols as usize } else { 0 };
        let data = self.buffer.symbols(first, count);
        if data.len() < block_symbols {
            return None;
        }
        self.buffer.pattern().upright(found, data, &mut self.upright);
        let tail = if coded { self.next_sync_marker(position, found) } else { None };
        let pattern = self.buffer.pattern();
        let state = pattern.state;
        self.tail.clear();
        if let Some(inverted) = tail {
            self.tail.extend(pattern.precoded.iter().map(|bit| bit ^ inverted));
        }
        let last_precoded = pattern.precoded.last().copied().unwrap_or(0);
        let mut corrected_symbols = None;
        let mut corrected_bits = None;
        let mut path_share = 1.0;
        let mut repair = None;
        let mut sure = false;
        let before = self.framing.precoding.then_some(last_precoded);
        match &mut self.inner {
            Inner::None => {
                self.soft_bits(last_precoded, first);
                corrected_symbols = self.correct(position)?;
                if self.framing.code.is_none() && self.wants_repair() {
                    let events = self.repairable_events();
                    (repair, sure) = self.repair(&events);
                    for bit in repair.iter().flat_map(|(bits, _)| bits) {
                        self.codeblock[bit / 8] ^= 0x80 >> (bit % 8);
                    }
                }
            }
            Inner::Convolutional(viterbi) => {
                self.pins.clear();
                if !self.tail.is_empty() {
                    self.pins.resize(self.codeblock_bits, FREE);
                    self.pins.extend_from_slice(&self.tail);
                }
                let known = Known { start: Some(state), end: None, pins: &self.pins };
                viterbi.decode_bits(&self.upright, &known, &mut self.decoded_bits);
                let data = &self.decoded_bits[..self.codeblock_bits];
                let randomized = self.framing.randomizer;
                concatenated::bytes_of(data, before, randomized, &mut self.codeblock);
                if self.wants_repair()
                    && let Inner::Convolutional(viterbi) = &mut self.inner
                {
                    let known = Known { start: Some(state), end: None, pins: &self.pins };
                    let mut events = Vec::new();
                    viterbi.decode_with_events(
                        &self.upright,
                        &known,
                        &mut self.decoded_bits,
                        &mut events,
                    );
                    events.retain(|event| event.end_bit() <= self.codeblock_bits);
                    if before.is_some() {
                        events = events.iter().filter_map(|e| e.through(&[1])).collect();
                    }
                    event::sort(&mut events);
                    (repair, sure) = self.repair(&events);
                }
                for bit in repair.iter().flat_map(|(bits, _)| bits) {
                    self.codeblock[bit / 8] ^= 0x80 >> (bit % 8);
                }
                if let Inner::Convolutional(viterbi) = &self.inner {
                    concatenated::bits_of(&self.codeblock, before, randomized, &mut self.pins);
                    let path = viterbi.compare(&self.upright[..block_symbols], &self.pins, state);
                    corrected_bits = Some(path.corrected_bits);
                    path_share = path.metric / path.magnitude.max(f64::MIN_POSITIVE);
                }
            }
            Inner::Concatenated(decoder, codes) => {
                let received = Received { llr: &self.upright, start: state, tail: &self.tail };
                let decoded = decoder.decode(codes, &received, self.budget.at(position))?;
                self.codeblock.clear();
                self.codeblock.extend_from_slice(decoder.block());
                corrected_symbols = Some(decoded.corrected_symbols);
                corrected_bits = Some(decoded.path.corrected_bits);
                path_share = decoded.path.metric / decoded.path.magnitude.max(f64::MIN_POSITIVE);
            }
        }
        let mut bytes = self.codeblock.clone();
        // As it went through the channel.
        if self.framing.randomizer {
            randomizer::CCSDS.apply_bytes(&mut self.codeblock, 0);
        }
        let depth = self.framing.depth;
        let monotonous = self.codeblock.len() >= MONOTONOUS_BYTES * depth
            && self.codeblock.iter().zip(self.codeblock.iter().skip(depth)).all(|(a, b)| a == b);
        bytes.truncate(self.framing.frame_bytes);
        let crc = has_error_control(&bytes);
        let check = match (self.framing.code, crc) {
            (Some(_), true) => Check::CrcAndReedSolomon,
            (Some(_), false) => Check::ReedSolomon,
            (None, true) => Check::Crc,
            (None, false) => Check::None,
        };
        let at_the_limit = self.framing.code.is_some_and(|code| {
            // For E = 16 a random word is accepted once in 16!; for E = 8 once in 40 000.
            code.parity_bytes() < 32
                && depth == 1
                && corrected_symbols.unwrap_or(0) as usize * 2 >= code.parity_bytes()
        });
        Some(Decoded {
            bytes,
            check,
            repair: repair.map(|(bits, log_odds)| (bits.len() as u32, log_odds)),
            sure,
            corrected_symbols,
            corrected_bits,
            monotonous,
            at_the_limit,
            path_share,
        })
    }

    /// Whether the next sync marker stands behind the codeblock: known bits make the decoder sure of
    /// the last ones. With NRZ-M before the coder its sign tells which of two it is: the result is 1
    /// if its bits are inverted.
    fn next_sync_marker(&self, position: u64, found: Found) -> Option<u8> {
        let next = position + self.frame_symbols;
        let pattern = self.buffer.pattern();
        let same = self.buffer.rho(next, found.alternating)
            * if pattern.alternates { 1.0 } else { found.sign };
        let other = self.buffer.rho(next, !found.alternating);
        let threshold = PIN_STRENGTH.max(PIN_SHARE * found.strength);
        let (strength, inverted) = match (self.line.precoding, pattern.alternates) {
            (false, false) => (same, 0),
            (false, true) => (same.abs(), 0),
            (true, false) => (same.abs(), u8::from(same < 0.0)),
            (true, true) => (same.abs().max(other.abs()), u8::from(other.abs() > same.abs())),
        };
        (strength > threshold).then_some(inverted)
    }

    /// Without an inner code: turns `upright` from soft symbols to soft bits of the codeblock and
    /// lists their events; `first` is the position of the first.
    fn soft_bits(&mut self, last_precoded: u8, first: u64) {
        let differential = self.line.mapping == Mapping::Differential;
        self.symbol_events.clear();
        self.likely_events.clear();
        event::of_symbols(&self.upright, &mut self.symbol_events);
        let run_symbol = self.buffer.run_symbol(first);
        self.events.within(run_symbol, self.upright.len(), &mut self.likely_events);
        for (through, mut last) in [(differential, 0), (self.framing.precoding, last_precoded)] {
            if !through {
                continue;
            }
            // The soft bit of a sum: product of the signs, the smaller of the magnitudes.
            let mut previous = if last == 0 { f32::INFINITY } else { f32::NEG_INFINITY };
            for symbol in &mut self.upright {
                let current = *symbol;
                let weaker = current.abs().min(previous.abs());
                last = bits::hard(current) ^ bits::hard(previous);
                *symbol = if last == 0 { weaker } else { -weaker };
                previous = current;
            }
            let count = self.upright.len();
            for events in [&mut self.symbol_events, &mut self.likely_events] {
                events.retain_mut(|event| match event.through(&[1]) {
                    Some(mapped) => {
                        *event = mapped;
                        if event.end_bit() > count {
                            event.pattern &= !(1 << (count - event.first_bit));
                        }
                        true
                    }
                    None => false,
                });
            }
        }
        if self.framing.randomizer {
            randomizer::CCSDS.apply_llrs(&mut self.upright, 0);
        }
        event::sort(&mut self.likely_events);
        self.codeblock.clear();
        bits::pack_llrs_msb_first(&self.upright, &mut self.codeblock);
    }

    /// Whether it is worth while to look for errors that would explain a wrong frame error control
    /// field in `codeblock`.
    fn wants_repair(&self) -> bool {
        self.effort > Effort::OnePass
            && self.error_control != ErrorControl::Absent
            && self.codeblock.len() > 2
            && !has_error_control(&self.codeblock)
    }

    /// Events of a codeblock without any code, sorted by cost.
    fn repairable_events(&self) -> Vec<BitEvent> {
        let mut events = if self.likely_events.is_empty() {
            self.symbol_events.clone()
        } else {
            self.likely_events.clone()
        };
        event::sort(&mut events);
        events
    }

    /// The bits of `codeblock` that were wrong, judging by its frame error control field, with the
    /// odds; and whether there is no doubt about it at all, so that it carries no such field.
    fn repair(&self, events: &[BitEvent]) -> (Option<(Vec<usize>, f32)>, bool) {
        let doubts: f32 = events.iter().map(|event| event.doubt()).sum();
        let Some((data, field)) = self.codeblock.split_last_chunk::<2>() else {
            return (None, false);
        };
        let code = &crc::CCITT_FALSE;
        let syndrome = code.checksum(data) ^ u32::from(u16::from_be_bytes(*field));
        let prior = if self.error_control == ErrorControl::Seen { 1.0 } else { UNSEEN_ODDS };
        let odds = if self.effort == Effort::Doubtful { LIKELY_ODDS } else { CERTAIN_ODDS };
        let least = (odds / prior).ln();
        // What costs more is too unlikely for a CRC of 16 bits to tell.
        if doubts > 16.0 * std::f32::consts::LN_2 - least {
            return (None, false);
        }
        let syndromes = code.bit_syndromes(self.codeblock.len());
        let found = crc_repair::repair(events, &syndromes, syndrome, code.width_bits(), least);
        let turned = found.map(|found| {
            let mut turned = Vec::new();
            for &index in found.indices() {
                turned.extend(events[index].bits());
            }
            (turned, found.log_odds + prior.ln())
        });
        (turned, doubts < SURE_COST)
    }

    /// Corrects the codewords interleaved in `codeblock`, whose soft bits are in `upright`.
    /// `Some(None)`: there is no code.
    fn correct(&mut self, position: u64) -> Option<Option<u32>> {
        let Some(code) = self.framing.code else { return Some(None) };
        let depth = self.framing.depth;
        let length = self.codeblock.len() / depth;
        let mut codeword = [0u8; 255];
        let codeword = codeword.get_mut(..length)?;
        let mut corrected = 0;
        let mut sorted = false;
        for first in 0..depth {
            for (byte, received) in
                codeword.iter_mut().zip(self.codeblock.iter().skip(first).step_by(depth))
            {
                *byte = *received;
            }
            match code.decode(codeword, &[]) {
                Ok(count) => corrected += count,
                Err(_) => {
                    let trials = self.budget.at(position);
                    if *trials == 0 {
                        return None;
                    }
                    if !std::mem::replace(&mut sorted, true) && self.likely_events.is_empty() {
                        self.likely_events.extend_from_slice(&self.symbol_events);
                        event::sort(&mut self.likely_events);
                    }
                    let mut doubts = Doubts::new();
                    doubts.add_events(&self.symbol_events, depth, first, length);
                    let events = &self.likely_events;
                    doubts.add_alternatives(events, depth, first, length, chase::EVENTS);
                    let llrs: Vec<f32> = self
                        .upright
                        .chunks_exact(8)
                        .skip(first)
                        .step_by(depth)
                        .flatten()
                        .copied()
                        .collect();
                    chase::decode_symbols(code, codeword, &llrs, &doubts, trials).ok()?;
                    let received = self.codeblock.iter().skip(first).step_by(depth);
                    corrected += codeword.iter().zip(received).filter(|(a, b)| a != b).count();
                }
            }
            for (byte, received) in
                codeword.iter().zip(self.codeblock.iter_mut().skip(first).step_by(depth))
            {
                *received = *byte;
            }
        }
        Some(Some(corrected as u32))
    }
}

/// Whether the last two bytes are the frame error control field of CCSDS 132.0-B, 4.1.6.
fn has_error_control(bytes: &[u8]) -> bool {
    match bytes.split_last_chunk::<2>() {
        Some((data, field)) if !data.is_empty() => {
            crc::CCITT_FALSE.checksum(data) == u32::from(u16::from_be_bytes(*field))
        }
        _ => false,
    }
}

impl Deframer for CcsdsDeframer {
    fn push(&mut self, block: &SoftBlock, out: &mut Deframed) {
        if self.ended {
            return;
        }
        for event in &block.events {
            self.events.push(event.first_symbol, event.pattern, event.cost);
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
        self.buffer.pad(self.missing_symbols());
        self.advance(out);
    }

    fn settled_symbol(&self) -> u64 {
        self.buffer.run_symbol(self.cursor)
    }
}
