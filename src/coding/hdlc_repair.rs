//! HDLC frames in soft symbols: what fails the FCS is tried again with the most likely errors
//! undone.
//!
//! A wrong channel symbol makes several wrong bits behind NRZI and a descrambler, always at the same
//! distances (the *echo*), so channel symbols are turned, not bits. Stuffing and flags move with
//! them, so every trial looks for frames again ([`crate::coding::hdlc_window`]). With |L_k| the reliabilities of the symbols of a
//! stretch between two flags, the probability that exactly the symbols S of it are wrong is `e^-c`,
//!
//! ```text
//!  c(S) = ∑_k ln(1 + e^-|L_k|) + ∑_{k ∈ S} |L_k|
//! ```
//!
//! and the FCS is right by chance with 2^-15: its polynomial has the factor 1 + x, and so has
//! every error behind NRZI, so that one of its 16 bits says nothing. Sets of up to three errors are tried in the
//! order of c as long as `c < ln(2^15/ODDS)`: an accepted frame is right with odds of [`ODDS`] or
//! better. In noise the first sum alone is beyond that, and nothing is tried at all. Since the
//! probabilities add up to at most 1, there are never more than 2^15/ODDS trials for a stretch, and
//! never more than [`WORK_PER_SYMBOL`] allows in the long run: signals that are something else cost
//! little.
//!
//! The same sum vouches for a frame that came whole but has a content which the framing would not
//! take from a lucky chance ([`Trust::Sure`]): the symbols leave no doubt (c(∅) of at most
//! [`SURE_COST`]; in the noise of our demodulators it was 4 and more in five million stretches of
//! the shortest frame's length), and before the opening flag
//! the transmitter idled: the last [`IDLE_BITS`] bits repeat every 8 bits or faster, as flags and
//! alternating bits do (one in 130 stretches of random bits), or a good frame ended with this flag.
//!
//! A trellis demodulator gives all symbols of one error event the same reliability: neighbours that
//! are equally weak are one event.
//!
//! The decision for a flag that opens something unreadable falls with the fifth later flag that may
//! close it, with the first pair of flags, with the next good frame, or after
//! [`MAX_REPAIR_BITS`] – never by how the symbols were cut into calls.

use std::collections::VecDeque;

use crate::coding::hdlc::{Content, Deframer, Fault};
use crate::coding::hdlc_window::Window;

/// Odds that a repaired frame is right, were the reliabilities exact. Of the repaired frames of
/// 29 000 simulated receptions between 95 % and 1 % loss (FSK of h 0.5, 0.66 and 1, BPSK), 2 of
/// 5681 were wrong; with odds of 15, which would be worth 0.2 to 0.4 dB, one in 300.
pub const ODDS: f32 = 300.0;

/// Contents of which one has a right FCS by chance; see the module.
const FCS_CHANCES: f32 = 32_768.0;

/// What a frame's symbols may cost, at most, that is [`Trust::Sure`].
pub const SURE_COST: f64 = 1.0;

/// Bits before an opening flag that must repeat for a frame to be [`Trust::Sure`].
pub const IDLE_BITS: usize = 16;

/// Longest period of idle bits.
const IDLE_PERIOD: usize = 8;

/// Words of 64 bits that are looked at in trials for every symbol, in the long run. A stretch of
/// 1000 symbols that needs all its trials takes 4.
pub const WORK_PER_SYMBOL: usize = 16;

/// Work that may be saved up, for the longest stretch.
const MAX_WORK: usize = 60_000;

/// Longest stretch that is repaired, flags included.
pub const MAX_REPAIR_BITS: u64 = 6000;

/// Errors undone at once, at most.
const MAX_ERRORS: usize = 3;
/// Least reliable events that are considered.
const MAX_EVENTS: usize = 32;
/// Symbols of one event.
const MAX_EVENT_SYMBOLS: usize = 3;
/// Later flags that may close a stretch.
const MAX_ENDS: usize = 5;
/// Symbols before an opening flag whose errors may have left it whole.
const LEAD_SYMBOLS: u64 = 6;
/// Symbols kept before what is needed is moved to the front.
const SLACK_SYMBOLS: usize = 8192;

/// A frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The bytes without FCS.
    pub bytes: Vec<u8>,
    /// Index of the first bit of the opening flag.
    pub first_bit: u64,
    /// Index just after the last bit of the closing flag.
    pub end_bit: u64,
    /// Channel symbols turned; 0 if it came whole.
    pub turned_symbols: u32,
}

/// What came out, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Frames.
    pub found: Vec<Found>,
    /// Stretches between flags that gave none. [`None`]: the content was refused.
    pub faults: Vec<Option<Fault>>,
}

/// What speaks for a content, besides a right FCS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// Nothing: the FCS was right at the first attempt.
    Whole,
    /// The FCS was right at the first attempt, and neither symbols nor flags leave a doubt.
    Sure,
    /// It was repaired: more attempts, more chances.
    Repaired,
}

/// Which contents are accepted. For [`Trust::Repaired`] it is given the first `min_bytes` bytes
/// alone, before the FCS is looked at.
pub type Accept = fn(&[u8], Trust) -> bool;

/// A flag that opened something which is no frame so far.
struct Opener {
    first_bit: u64,
    /// Ends of flags that may close it.
    ends: [u64; MAX_ENDS],
    count: usize,
    fault: Option<Option<Fault>>,
}

/// The latest flag.
#[derive(Clone, Copy, Default)]
struct LatestFlag {
    /// Sum of ln(1 + e^-|L|) from the symbols on which it depends up to now.
    cost: f64,
    /// Idle bits or a frame ended where it begins.
    follows: bool,
}

#[derive(Clone, Copy)]
struct Event {
    cost: f32,
    symbols: [usize; MAX_EVENT_SYMBOLS],
    count: usize,
}

/// HDLC deframer with repair, one bit at a time.
pub struct RepairingDeframer {
    hdlc: Deframer,
    echo: &'static [usize],
    accept: Accept,
    min_bytes: usize,
    max_repair_bytes: usize,
    /// From bit `base` on: bits, reliabilities of the symbols, and sums of ln(1 + e^-|L|) before
    /// each of them.
    bits: Vec<u8>,
    reliabilities: Vec<f32>,
    sums: Vec<f64>,
    sum: f64,
    base: u64,
    latest: Option<LatestFlag>,
    /// A frame was accepted at this bit.
    accepted_at: u64,
    openers: VecDeque<Opener>,
    /// Words that trials may still look at.
    work: usize,
    window: Window,
    events: Vec<Event>,
    sets: Vec<(f32, [u8; MAX_ERRORS])>,
    results: Vec<Found>,
}

/// No event.
const NONE: u8 = u8::MAX;

impl RepairingDeframer {
    /// A deframer for frames of `min_bytes` to `max_bytes` without FCS. A wrong symbol k makes the
    /// bits k + `echo` wrong, an even number of them. `accept` sees every content with a right FCS.
    pub fn new(min_bytes: usize, max_bytes: usize, echo: &'static [usize], accept: Accept) -> Self {
        Self {
            hdlc: Deframer::new(min_bytes, max_bytes),
            echo,
            accept,
            min_bytes,
            max_repair_bytes: max_bytes.min(MAX_REPAIR_BITS as usize / 8),
            bits: Vec::new(),
            reliabilities: Vec::new(),
            sums: Vec::new(),
            sum: 0.0,
            base: 0,
            latest: None,
            accepted_at: 0,
            openers: VecDeque::new(),
            work: MAX_WORK,
            window: Window::default(),
            events: Vec::new(),
            sets: Vec::new(),
            results: Vec::new(),
        }
    }

    /// No frame that comes out later begins before this bit.
    pub fn settled_bit(&self) -> u64 {
        let hard = self.hdlc.settled_bit();
        self.openers.front().map_or(hard, |opener| hard.min(opener.first_bit))
    }

    /// Takes the next bit and the soft channel symbol that came with it.
    pub fn push(&mut self, bit: u8, llr: f32, out: &mut Outcome) {
        let reliability = if llr.is_nan() { 0.0 } else { llr.abs() };
        self.bits.push(bit & 1);
        self.reliabilities.push(reliability);
        self.sums.push(self.sum);
        if reliability < 16.0 {
            let cost = doubt(reliability);
            if let Some(flag) = &mut self.latest {
                flag.cost += cost;
            }
            let twin = self.reliabilities.iter().rev().skip(1).take(2);
            // An event counts once.
            if !twin.into_iter().any(|&other| tied(reliability, other)) {
                self.sum += cost;
            }
        }
        self.work = (self.work + WORK_PER_SYMBOL).min(MAX_WORK);
        let position = self.base + self.bits.len() as u64;
        let sure = self.is_sure();
        let mut whole = None;
        match self.hdlc.push(bit) {
            None => {}
            Some(Err(fault)) => Self::note(&mut self.openers, Some(fault)),
            Some(Ok(Content { bytes, first_bit, end_bit })) => {
                let accept = |trust| (self.accept)(bytes, trust);
                if accept(Trust::Whole) || sure && accept(Trust::Sure) {
                    let bytes = bytes.to_vec();
                    whole = Some(Found { bytes, first_bit, end_bit, turned_symbols: 0 });
                } else {
                    Self::note(&mut self.openers, None);
                }
            }
        }
        if let Some(found) = whole {
            self.openers.retain(|opener| opener.first_bit < found.first_bit);
            self.resolve_all(out);
            self.accepted_at = found.end_bit;
            out.found.push(found);
        }
        if let Some(first_bit) = self.hdlc.flag_bit() {
            self.flag(first_bit, position, out);
        } else if self
            .openers
            .front()
            .is_some_and(|opener| position - opener.first_bit >= MAX_REPAIR_BITS)
        {
            self.resolve_front(out);
        }
        self.forget();
    }

    /// No more bits will come: decides everything that is pending.
    pub fn finish(&mut self, out: &mut Outcome) {
        self.resolve_all(out);
    }

    /// Whether the symbols since the latest flag leave no doubt, nor that it is a flag.
    fn is_sure(&self) -> bool {
        self.latest.is_some_and(|flag| flag.follows && flag.cost <= SURE_COST)
    }

    /// What stood behind the latest flag was no frame.
    fn note(openers: &mut VecDeque<Opener>, fault: Option<Fault>) {
        if let Some(opener) = openers.back_mut() {
            opener.fault = Some(fault);
        }
    }

    fn flag(&mut self, first_bit: u64, position: u64, out: &mut Outcome) {
        let kept = (first_bit - self.base) as usize;
        let idle = kept
            .checked_sub(IDLE_BITS)
            .and_then(|from| self.bits.get(from..kept))
            .is_some_and(is_idle);
        let from = kept.saturating_sub(LEAD_SYMBOLS as usize);
        self.latest = Some(LatestFlag {
            cost: self.reliabilities[from..].iter().map(|&r| doubt(r)).sum(),
            follows: idle || self.accepted_at == position,
        });
        let pair = self.openers.back().is_some_and(|last| first_bit <= last.first_bit + 8);
        if pair {
            self.openers.pop_back();
            self.resolve_all(out);
        } else {
            let min_bits = 8 * (self.min_bytes as u64 + 2);
            for opener in &mut self.openers {
                let content = first_bit.saturating_sub(opener.first_bit + 8);
                if content >= min_bits && opener.count < MAX_ENDS {
                    opener.ends[opener.count] = position;
                    opener.count += 1;
                }
            }
            while self.openers.front().is_some_and(|opener| opener.count == MAX_ENDS) {
                self.resolve_front(out);
            }
        }
        self.openers.push_back(Opener { first_bit, ends: [0; MAX_ENDS], count: 0, fault: None });
    }

    fn resolve_all(&mut self, out: &mut Outcome) {
        while !self.openers.is_empty() {
            self.resolve_front(out);
        }
    }

    /// Decides the oldest opener.
    fn resolve_front(&mut self, out: &mut Outcome) {
        let Some(opener) = self.openers.pop_front() else { return };
        for &end in &opener.ends[..opener.count] {
            if self.repair(opener.first_bit, end) {
                let masked_until = self.results.last().map_or(0, |found| found.end_bit);
                // The closing flag may open the next frame.
                self.openers.retain(|later| later.first_bit + 8 >= masked_until);
                out.found.append(&mut self.results);
                return;
            }
        }
        out.faults.extend(opener.fault);
    }

    /// Looks for frames from the flag at `first_bit` up to `end`; they are in `results` then.
    fn repair(&mut self, first_bit: u64, end: u64) -> bool {
        let from = (first_bit.saturating_sub(LEAD_SYMBOLS).max(self.base) - self.base) as usize;
        let first = (first_bit - self.base) as usize;
        let end = (end - self.base) as usize;
        let sum_at_end = self.sums.get(end).copied().unwrap_or(self.sum);
        let budget = (FCS_CHANCES / ODDS).ln() - (sum_at_end - self.sums[from]) as f32;
        if budget <= 0.0 || (end - first) as u64 > MAX_REPAIR_BITS {
            return false;
        }
        self.list_events(from, end, budget);
        self.list_sets(budget);
        self.window.set(&self.bits[first..end]);
        self.results.clear();
        for &(_, set) in &self.sets {
            let Some(work) = self.work.checked_sub(self.window.words()) else { return false };
            self.work = work;
            let events = set.iter().take_while(|&&i| i != NONE).map(|&i| self.events[i as usize]);
            let mut turned = 0;
            for event in events.clone() {
                turned += event.count as u32;
                turn(&mut self.window, &event, first, self.echo);
            }
            let (accept, results) = (self.accept, &mut self.results);
            self.window.frames(
                self.min_bytes,
                self.max_repair_bytes,
                |head| accept(head, Trust::Repaired),
                |frame| {
                    results.push(Found {
                        bytes: frame.bytes.to_vec(),
                        first_bit: first_bit + frame.first_bit as u64,
                        end_bit: first_bit + frame.end_bit as u64,
                        turned_symbols: turned,
                    });
                },
            );
            if !self.results.is_empty() {
                return true;
            }
            for event in events {
                turn(&mut self.window, &event, first, self.echo);
            }
        }
        false
    }

    /// Lists what may have gone wrong in the symbols `from..end`, most likely first.
    fn list_events(&mut self, from: usize, end: usize, budget: f32) {
        self.events.clear();
        for k in from..end {
            let cost = self.reliabilities[k];
            if cost >= budget {
                continue;
            }
            self.events.push(Event { cost, symbols: [k; MAX_EVENT_SYMBOLS], count: 1 });
            // Equally weak neighbours, each at most two symbols from the one before.
            let mut event = Event { cost, symbols: [k; MAX_EVENT_SYMBOLS], count: 1 };
            for other in k + 1..end.min(k + 2 * MAX_EVENT_SYMBOLS - 1) {
                if event.count < MAX_EVENT_SYMBOLS
                    && other - event.symbols[event.count - 1] <= 2
                    && tied(cost, self.reliabilities[other])
                {
                    event.symbols[event.count] = other;
                    event.count += 1;
                    self.events.push(event);
                }
            }
        }
        self.events.sort_by(|a, b| a.cost.total_cmp(&b.cost));
        self.events.truncate(MAX_EVENTS);
    }

    /// Lists the sets of up to three events within the budget, most likely first.
    fn list_sets(&mut self, budget: f32) {
        self.sets.clear();
        let costs = |i: usize| self.events[i].cost;
        let n = self.events.len();
        for i in 0..n {
            self.sets.push((costs(i), [i as u8, NONE, NONE]));
            for j in i + 1..n {
                let two = costs(i) + costs(j);
                if two >= budget {
                    break;
                }
                self.sets.push((two, [i as u8, j as u8, NONE]));
                for l in j + 1..n {
                    let three = two + costs(l);
                    if three >= budget {
                        break;
                    }
                    self.sets.push((three, [i as u8, j as u8, l as u8]));
                }
            }
        }
        let order = |a: &(f32, [u8; MAX_ERRORS]), b: &(f32, [u8; MAX_ERRORS])| {
            a.0.total_cmp(&b.0).then(a.1.cmp(&b.1))
        };
        let most = (FCS_CHANCES / ODDS) as usize;
        if self.sets.len() > most {
            self.sets.select_nth_unstable_by(most, order);
            self.sets.truncate(most);
        }
        self.sets.sort_unstable_by(order);
    }

    fn forget(&mut self) {
        let position = self.base + self.bits.len() as u64;
        let needed = self.openers.front().map_or(position, |opener| opener.first_bit);
        let before = (8 + IDLE_BITS as u64).max(8 + LEAD_SYMBOLS);
        let spare = needed.saturating_sub(before).saturating_sub(self.base) as usize;
        if spare >= SLACK_SYMBOLS {
            self.bits.drain(..spare);
            self.reliabilities.drain(..spare);
            self.sums.drain(..spare);
            self.base += spare as u64;
        }
    }
}

/// ln(1 + e^-|L|): what it costs that the symbol is right.
fn doubt(reliability: f32) -> f64 {
    f64::from((-reliability).exp().ln_1p())
}

/// Whether bits repeat as those of a transmitter that has nothing to send.
fn is_idle(bits: &[u8]) -> bool {
    (1..=IDLE_PERIOD).any(|period| bits.windows(period + 1).all(|w| w[0] == w[period]))
}

/// Whether two symbols are equally reliable as if one error event had given them both.
fn tied(a: f32, b: f32) -> bool {
    (a - b).abs() <= 1e-3 * a.max(b)
}

/// Turns the symbols of an event: toggles the bits that depend on them, in a window that begins at
/// bit `first`.
fn turn(window: &mut Window, event: &Event, first: usize, echo: &[usize]) {
    for &symbol in &event.symbols[..event.count] {
        for &delay in echo {
            if let Some(index) = (symbol + delay).checked_sub(first) {
                window.turn(index);
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;
    use crate::coding::bits::hard;
    use crate::coding::hdlc::{encode_flag, encode_frame};
    use crate::coding::nrzi::{NrziDecoder, NrziEncoder};
    use crate::coding::scrambler::{Descrambler, Scrambler};
    use rand::seq::index::sample;
    use rand::{Rng, RngCore, SeedableRng};
    use rand_chacha::ChaCha8Rng;
    use rand_distr::{Distribution, StandardNormal};

    const ECHO: [usize; 6] = [0, 1, 12, 13, 17, 18];
    const LENGTH: usize = 100;

    /// Frames begin with a 7, or with an 8 if they are sure.
    fn accept(bytes: &[u8], trust: Trust) -> bool {
        bytes[0] == 7 || bytes[0] == 8 && trust == Trust::Sure
    }

    fn deframer() -> RepairingDeframer {
        RepairingDeframer::new(15, 500, &ECHO, accept)
    }

    /// Channel symbols ±1 of frames with so many flags before each and after the last.
    fn send(frames: &[Vec<u8>], flags: usize) -> Vec<f32> {
        let mut bits = Vec::new();
        (0..4).for_each(|_| encode_flag(&mut bits));
        for frame in frames {
            encode_frame(frame, &mut bits);
            (0..flags).for_each(|_| encode_flag(&mut bits));
        }
        let (mut scrambler, mut nrzi) = (Scrambler::default(), NrziEncoder::default());
        bits.iter().map(|&b| 1.0 - 2.0 * f32::from(nrzi.encode(scrambler.scramble(b)))).collect()
    }

    fn receive(llrs: &[f32]) -> Outcome {
        let mut out = Outcome::default();
        let mut deframer = deframer();
        let (mut descrambler, mut nrzi) = (Descrambler::default(), NrziDecoder::default());
        for &llr in llrs {
            let bit = descrambler.descramble(nrzi.decode(hard(llr)));
            let settled = deframer.settled_bit();
            let before = out.found.len();
            deframer.push(bit, llr, &mut out);
            assert!(out.found[before..].iter().all(|f| f.first_bit >= settled));
        }
        deframer.finish(&mut out);
        assert!(out.found.windows(2).all(|f| f[0].first_bit < f[1].first_bit));
        out
    }

    fn frames(count: usize, rng: &mut ChaCha8Rng) -> Vec<Vec<u8>> {
        let mut frames = vec![vec![7; LENGTH]; count];
        frames.iter_mut().for_each(|f| rng.fill_bytes(&mut f[1..]));
        frames
    }

    /// One, two and three wrong symbols anywhere in a frame or its flags, however flags are shared.
    #[test]
    fn up_to_three_wrong_symbols_are_found() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for flags in [1, 2, 3] {
            for errors in 1..=3 {
                for _ in 0..15 {
                    let sent = frames(3, &mut rng);
                    let mut llrs: Vec<f32> = send(&sent, flags).iter().map(|x| 20.0 * x).collect();
                    let middle = llrs.len() / 2;
                    for i in sample(&mut rng, 700, errors) {
                        llrs[middle - 350 + i] *= -0.02;
                    }
                    for _ in 0..5 {
                        let weak = rng.random_range(300..llrs.len() - 100);
                        llrs[weak] *= 0.09;
                    }
                    let out = receive(&llrs);
                    assert_eq!(out.found.len(), 3);
                    for (found, sent) in out.found.iter().zip(&sent) {
                        assert_eq!(&found.bytes, sent);
                    }
                    let turned: u32 = out.found.iter().map(|f| f.turned_symbols).sum();
                    assert_eq!(turned, errors as u32);
                    assert!(out.faults.is_empty());
                }
            }
        }
    }

    /// An error event of two symbols costs as much as one.
    #[test]
    fn tied_neighbours_are_one_event() {
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let sent = frames(1, &mut rng);
        let mut llrs: Vec<f32> = send(&sent, 3).iter().map(|x| 20.0 * x).collect();
        for k in [300, 301, 500, 501, 700, 702] {
            llrs[k] *= -0.05;
        }
        let out = receive(&llrs);
        assert_eq!(out.found.len(), 1);
        assert_eq!((&out.found[0].bytes, out.found[0].turned_symbols), (&sent[0], 6));
    }

    /// What would be refused comes out if its symbols are sure and the transmitter idled before it.
    #[test]
    fn sure_frames_need_no_more() {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let mut sent = frames(2, &mut rng);
        sent[1][0] = 8;
        let flags: Vec<f32> = send(&sent, 3).iter().map(|x| 20.0 * x).collect();
        assert_eq!(receive(&flags).found.len(), 2);
        let mut doubtful = flags.clone();
        for i in [1000, 1100, 1200] {
            doubtful[i] *= 0.01;
        }
        let out = receive(&doubtful);
        assert_eq!((out.found.len(), out.faults.len()), (1, 1));
        // One flag behind a good frame is as good; one behind anything else is not.
        let chained: Vec<f32> = send(&sent, 1).iter().map(|x| 20.0 * x).collect();
        assert_eq!(receive(&chained).found.len(), 2);
        let mut alone = sent.clone();
        alone[0][0] = 9;
        let alone: Vec<f32> = send(&alone, 1).iter().map(|x| 20.0 * x).collect();
        assert_eq!(receive(&alone).found.len(), 0);
    }

    /// Gaussian noise on single symbols: the gain is there, and nothing false comes out.
    #[test]
    fn more_frames_survive_noise() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let sent = frames(100, &mut rng);
        // Es/N0 = 6.6 dB
        let deviation = (0.5 / 10f32.powf(0.66)).sqrt();
        let llrs: Vec<f32> = send(&sent, 3)
            .iter()
            .map(|x| {
                let noise: f32 = StandardNormal.sample(&mut rng);
                (x + deviation * noise) * 2.0 / deviation.powi(2)
            })
            .collect();
        let out = receive(&llrs);
        let whole = out.found.iter().filter(|f| f.turned_symbols == 0).count();
        assert!(out.found.iter().all(|f| sent.contains(&f.bytes)));
        assert!(whole < 50, "{whole}");
        assert!(out.found.len() >= 80, "{whole} {}", out.found.len());
        assert!(out.faults.len() <= 40);
    }

    #[test]
    fn noise_is_left_alone() {
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        for scale in [0.1, 1.0, 3.0] {
            let llrs: Vec<f32> = (0..100_000)
                .map(|_| {
                    let noise: f32 = StandardNormal.sample(&mut rng);
                    scale * noise
                })
                .collect();
            assert!(receive(&llrs).found.is_empty());
        }
        for x in [f32::NAN, f32::INFINITY, 0.0, -1.0] {
            assert!(receive(&vec![x; 20_000]).found.is_empty());
        }
    }
}
