//! HDLC frames in soft symbols: what fails the FCS is tried again with the most likely errors
//! undone.
//!
//! A wrong channel symbol makes several wrong bits behind NRZI and a descrambler, always at the same
//! distances (the *echo*), so channel symbols are turned, not bits; and a detector with memory errs in
//! several symbols at once, so whole error events are turned ([`ErrorEvent`]). Stuffing and flags move
//! with them, so every trial looks for frames again ([`crate::coding::hdlc_window`]).
//!
//! With C_i the cost of event i of a stretch between two flags (that of a lone symbol is |llr|), the
//! probability that exactly the events S have happened is `e^-c`,
//!
//! ```text
//!  c(S) = ∑_i ln(1 + e^-C_i) + ∑_{i ∈ S} C_i
//! ```
//!
//! and sets of events are tried in the order of c. Say that some of them, of cost c_1 together
//! (-ln of the sum of their `e^-c`), lead to a frame with a right FCS. If it is wrong, then the truth is
//! another frame that came up (those cost c_2 together), or among the sets that were not tried. The
//! latter has the probability 1 - F, with F the sum of `e^-c` over all sets tried; and then flags and
//! stuffing fitted by chance (as they did in a share ρ of the trials), and so did the FCS, with 2^-15:
//! its polynomial has the factor 1 + x, and so has every error behind NRZI, so that one of its 16 bits
//! says nothing. Hence
//!
//! ```text
//!  odds that the frame is right = e^-c_1 / (e^-c_2 + (1 - F) ρ 2^-15)
//! ```
//!
//! So it pays to go on once a frame has come up: the truth might come up later if it is wrong, and if
//! nothing does, that speaks for it. Trials end where nothing could reach odds of 4. In
//! noise the first sum alone is beyond that, and nothing is tried at all; and never more than
//! [`WORK_PER_SYMBOL`] is done in the long run: signals that are something else cost little.
//!
//! The same sum vouches for a frame that came whole but has a content which the framing would not
//! take from a lucky chance ([`Trust::Sure`]): the symbols leave no doubt (c(∅) of at most
//! [`SURE_COST`]; in the noise of our demodulators it was 4 and more in five million stretches of
//! the shortest frame's length), and before the opening flag
//! the transmitter idled: the last [`IDLE_BITS`] bits repeat every 8 bits or faster, as flags and
//! alternating bits do (one in 130 stretches of random bits), or a good frame ended with this flag.
//!
//! A detector with memory that does not tell its error events gives all symbols of one the same
//! reliability: neighbours that are equally weak are one event then.
//!
//! The decision for a flag that opens something unreadable falls with the fifth later flag that may
//! close it, with the first pair of flags, with the next good frame, or after
//! [`MAX_REPAIR_BITS`] – never by how the symbols were cut into calls. Of what its ends lead to, the
//! most likely frame is taken.

use std::cmp::{Ordering, Reverse};
use std::collections::{BinaryHeap, VecDeque};

use crate::coding::hdlc::{Content, Deframer, Fault};
use crate::coding::hdlc_window::Window;
use crate::frame::{CERTAIN_ODDS, LIKELY_ODDS};
use crate::modulation::ErrorEvent;

/// Contents of which one has a right FCS by chance; see the module.
const FCS_CHANCES: f32 = 32_768.0;

/// Trials go on until c alone would leave odds so much too low, in nats: ρ and F may make up for it.
const HEADROOM: f32 = 2.0;

/// Trials end early once the odds are so many times what is beyond doubt.
const BEYOND_DOUBT: f32 = 30.0;

/// Least probability that the truth was not tried, whatever the sums say.
const LEAST_UNTRIED: f32 = 0.01;

/// What a frame's symbols may cost, at most, that is [`Trust::Sure`].
pub const SURE_COST: f64 = 1.0;

/// Bits before an opening flag that must repeat for a frame to be [`Trust::Sure`].
pub const IDLE_BITS: usize = 16;

/// Longest period of idle bits.
const IDLE_PERIOD: usize = 8;

/// Words of 64 bits that are looked at in trials for every symbol, in the long run. A stretch of
/// 1000 symbols that needs 4000 trials takes all of it.
pub const WORK_PER_SYMBOL: usize = 64;

/// Work that may be saved up, for the longest stretch.
const MAX_WORK: usize = 240_000;

/// Longest stretch that is repaired, flags included.
pub const MAX_REPAIR_BITS: u64 = 6000;

/// Errors undone at once, at most.
const MAX_ERRORS: u32 = 5;
/// Least reliable events that are considered.
const MAX_EVENTS: usize = 64;
/// Symbols of an implied event.
const MAX_EVENT_SYMBOLS: usize = 3;
/// Later flags that may close a stretch.
const MAX_ENDS: usize = 5;
/// Symbols before an opening flag whose errors may have left it whole.
const LEAD_SYMBOLS: u64 = 6;
/// Symbols kept before what is needed is moved to the front.
const SLACK_SYMBOLS: usize = 8192;

/// A frame.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// The bytes without FCS.
    pub bytes: Vec<u8>,
    /// Index of the first bit of the opening flag.
    pub first_bit: u64,
    /// Index just after the last bit of the closing flag.
    pub end_bit: u64,
    /// Channel symbols turned; 0 if it came whole.
    pub turned_symbols: u32,
    /// Logarithm of the odds that it is right; `None` if it came whole.
    pub log_odds: Option<f32>,
}

/// So many flags in a row are a fill.
const FILL_FLAGS: u32 = 3;

/// What came out, in order.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Outcome {
    /// Frames.
    pub found: Vec<Found>,
    /// Stretches between flags that gave none. [`None`]: the content was refused.
    pub faults: Vec<Option<Fault>>,
    /// Fills: so many flags in a row as noise does not make.
    pub fills: u64,
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

/// Symbols that are turned together; positions count from the start of the kept bits.
#[derive(Debug, Clone, Copy)]
struct Event {
    cost: f32,
    first: usize,
    pattern: u64,
}

/// A set of events on its way to be tried: bit i stands for event i.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Trial {
    cost: f32,
    events: u64,
}

impl Eq for Trial {}

impl Ord for Trial {
    fn cmp(&self, other: &Self) -> Ordering {
        self.cost.total_cmp(&other.cost).then(self.events.cmp(&other.events))
    }
}

impl PartialOrd for Trial {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// HDLC deframer with repair, one bit at a time.
pub struct RepairingDeframer {
    hdlc: Deframer,
    echo: &'static [usize],
    accept: Accept,
    /// Whether anything is repaired.
    repairs: bool,
    min_bytes: usize,
    max_repair_bytes: usize,
    /// From bit `base` on: bits, reliabilities of the symbols, and before each of them the sum of
    /// ln(1 + e^-C) over the events that ended earlier.
    bits: Vec<u8>,
    reliabilities: Vec<f32>,
    sums: Vec<f64>,
    sum: f64,
    base: u64,
    latest: Option<LatestFlag>,
    /// First bit of the last flag, and how many there were in a row.
    last_flag: Option<u64>,
    in_row: u32,
    /// A frame was accepted at this bit.
    accepted_at: u64,
    openers: VecDeque<Opener>,
    /// Words that trials may still look at.
    work: usize,
    /// The detector tells its error events; they are in the order of their last symbols.
    told: bool,
    told_events: VecDeque<ErrorEvent>,
    // Working memory of a repair.
    window: Window,
    events: Vec<Event>,
    trials: BinaryHeap<Reverse<Trial>>,
    results: Vec<Found>,
    best: Vec<Found>,
}

impl RepairingDeframer {
    /// A deframer for frames of `min_bytes` to `max_bytes` without FCS. A wrong symbol k makes the
    /// bits k + `echo` wrong, an even number of them. `accept` sees every content with a right FCS.
    /// `repairs`: with repair, of frames that are at least likely.
    pub fn new(
        min_bytes: usize,
        max_bytes: usize,
        echo: &'static [usize],
        accept: Accept,
        repairs: bool,
    ) -> Self {
        Self {
            hdlc: Deframer::new(min_bytes, max_bytes),
            echo,
            accept,
            repairs,
            min_bytes,
            max_repair_bytes: max_bytes.min(MAX_REPAIR_BITS as usize / 8),
            bits: Vec::new(),
            reliabilities: Vec::new(),
            sums: Vec::new(),
            sum: 0.0,
            base: 0,
            latest: None,
            last_flag: None,
            in_row: 0,
            accepted_at: 0,
            openers: VecDeque::new(),
            work: MAX_WORK,
            told: false,
            told_events: VecDeque::new(),
            window: Window::default(),
            events: Vec::new(),
            trials: BinaryHeap::new(),
            results: Vec::new(),
            best: Vec::new(),
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
            if !self.told && !twin.into_iter().any(|&other| tied(reliability, other)) {
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
                    whole = Some(Found {
                        bytes,
                        first_bit,
                        end_bit,
                        turned_symbols: 0,
                        log_odds: None,
                    });
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
            let follows = self.last_flag.is_some_and(|last| first_bit <= last + 8);
            self.last_flag = Some(first_bit);
            self.in_row = if follows { self.in_row.saturating_add(1) } else { 1 };
            out.fills += u64::from(self.in_row == FILL_FLAGS);
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

    /// Takes an error event of the detector, after the symbol with which it ends.
    pub fn event(&mut self, event: ErrorEvent) {
        self.told = true;
        if self.repairs && event.cost < 16.0 && event.pattern != 0 {
            self.sum += doubt(event.cost);
            self.told_events.push_back(event);
        }
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
        self.best.clear();
        let mut best = f32::NEG_INFINITY;
        for &end in &opener.ends[..opener.count] {
            if let Some(log_odds) = self.attempt(opener.first_bit, end)
                && log_odds > best
            {
                best = log_odds;
                std::mem::swap(&mut self.best, &mut self.results);
            }
            if best >= CERTAIN_ODDS.ln() {
                break;
            }
        }
        match self.best.last() {
            Some(last) => {
                let masked_until = last.end_bit;
                // The closing flag may open the next frame.
                self.openers.retain(|later| later.first_bit + 8 >= masked_until);
                out.found.append(&mut self.best);
            }
            None => out.faults.extend(opener.fault),
        }
    }

    /// Looks for frames from the flag at `first_bit` up to `end`; they are in `results` then. Returns
    /// the logarithm of the odds that they are right.
    fn attempt(&mut self, first_bit: u64, end: u64) -> Option<f32> {
        if !self.repairs {
            return None;
        }
        let from = (first_bit.saturating_sub(LEAD_SYMBOLS).max(self.base) - self.base) as usize;
        let first = (first_bit - self.base) as usize;
        let end = (end - self.base) as usize;
        let sum_at_end = self.sums.get(end).copied().unwrap_or(self.sum);
        let base_cost = (sum_at_end - self.sums[from]) as f32;
        let budget = (FCS_CHANCES / LIKELY_ODDS).ln() + HEADROOM - base_cost;
        if budget <= 0.0 || (end - first) as u64 > MAX_REPAIR_BITS {
            return None;
        }
        if self.told {
            self.list_told_events(from, end, budget);
        } else {
            self.list_implied_events(from, end, budget);
        }
        self.window.set(&self.bits[first..end]);
        self.trials.clear();
        if let Some(event) = self.events.first() {
            self.trials.push(Reverse(Trial { cost: event.cost, events: 1 }));
        }
        self.results.clear();
        // F, beginning with the bits as they came; e^-c_1 and e^-c_2.
        let (mut tried, mut right, mut rivals) = ((-base_cost).exp(), 0.0f32, 0.0f32);
        let (mut trials, mut fitting) = (1.0f32, 1.0f32);
        let odds = |tried: f32, right: f32, rivals: f32, share: f32| {
            let untried = (1.0 - tried).max(LEAST_UNTRIED);
            right / (rivals + untried * share.min(1.0) / FCS_CHANCES)
        };
        let mut turned = 0u64;
        while let Some(Reverse(trial)) = self.trials.pop() {
            let Some(work) = self.work.checked_sub(self.window.words()) else { break };
            self.work = work;
            self.branch(trial, budget);
            let mut changed = trial.events ^ turned;
            while changed != 0 {
                let event = self.events[changed.trailing_zeros() as usize];
                turn(&mut self.window, &event, first, self.echo);
                changed &= changed - 1;
            }
            turned = trial.events;
            let probability = (-base_cost - trial.cost).exp();
            tried += probability;
            let known = self.results.len();
            let (accept, results) = (self.accept, &mut self.results);
            let checks = self.window.frames(
                self.min_bytes,
                self.max_repair_bytes,
                |head| accept(head, Trust::Repaired),
                |frame| {
                    results.push(Found {
                        bytes: frame.bytes.to_vec(),
                        first_bit: first_bit + frame.first_bit as u64,
                        end_bit: first_bit + frame.end_bit as u64,
                        turned_symbols: 0,
                        log_odds: None,
                    });
                },
            );
            trials += 1.0;
            fitting += checks as f32;
            if self.results.len() == known {
                continue;
            }
            if known == 0 {
                right = probability;
                let count = turned_symbols(&self.events, trial.events);
                self.results.iter_mut().for_each(|found| found.turned_symbols = count);
                if odds(tried, right, rivals, fitting / trials) > BEYOND_DOUBT * CERTAIN_ODDS {
                    break;
                }
            } else {
                let same = self.results[0].bytes == self.results[known].bytes;
                self.results.truncate(known);
                *(if same { &mut right } else { &mut rivals }) += probability;
            }
        }
        let odds = odds(tried, right, rivals, fitting / trials);
        if self.results.is_empty() || odds < LIKELY_ODDS {
            return None;
        }
        let log_odds = odds.ln();
        self.results.iter_mut().for_each(|found| found.log_odds = Some(log_odds));
        Some(log_odds)
    }

    /// Puts the two sets that follow from one in the queue: its last event moved on, and the event
    /// after it added. So every set comes up once, after those that cost less.
    fn branch(&mut self, trial: Trial, budget: f32) {
        let last = 63 - trial.events.leading_zeros() as usize;
        let Some(next) = self.events.get(last + 1) else { return };
        let moved = trial.cost - self.events[last].cost + next.cost;
        if moved < budget {
            let events = trial.events ^ (3 << last);
            self.trials.push(Reverse(Trial { cost: moved, events }));
        }
        let added = trial.cost + next.cost;
        if added < budget && trial.events.count_ones() < MAX_ERRORS {
            let events = trial.events | 2 << last;
            self.trials.push(Reverse(Trial { cost: added, events }));
        }
    }

    /// Lists the detector's events in the symbols `from..end`, most likely first.
    fn list_told_events(&mut self, from: usize, end: usize, budget: f32) {
        self.events.clear();
        let last = |event: &ErrorEvent| event.last_symbol().saturating_sub(self.base) as usize;
        let begin = self.told_events.partition_point(|event| last(event) < from);
        for event in self.told_events.range(begin..).take_while(|event| last(event) < end) {
            if event.cost < budget && event.first_symbol >= self.base {
                let first = (event.first_symbol - self.base) as usize;
                self.events.push(Event { cost: event.cost, first, pattern: event.pattern });
            }
        }
        self.keep_likeliest();
    }

    /// Lists what may have gone wrong in the symbols `from..end`, most likely first, if the detector
    /// does not tell.
    fn list_implied_events(&mut self, from: usize, end: usize, budget: f32) {
        self.events.clear();
        for k in from..end {
            let cost = self.reliabilities[k];
            if cost >= budget {
                continue;
            }
            let mut event = Event { cost, first: k, pattern: 1 };
            self.events.push(event);
            // Equally weak neighbours, each at most two symbols from the one before.
            for other in k + 1..end.min(k + 2 * MAX_EVENT_SYMBOLS - 1) {
                let last = k + 63 - event.pattern.leading_zeros() as usize;
                if (event.pattern.count_ones() as usize) < MAX_EVENT_SYMBOLS
                    && other - last <= 2
                    && tied(cost, self.reliabilities[other])
                {
                    event.pattern |= 1 << (other - k);
                    self.events.push(event);
                }
            }
        }
        self.keep_likeliest();
    }

    fn keep_likeliest(&mut self) {
        let order = |a: &Event, b: &Event| {
            a.cost.total_cmp(&b.cost).then((a.first, a.pattern).cmp(&(b.first, b.pattern)))
        };
        if self.events.len() > MAX_EVENTS {
            self.events.select_nth_unstable_by(MAX_EVENTS, order);
            self.events.truncate(MAX_EVENTS);
        }
        self.events.sort_unstable_by(order);
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
            while self.told_events.front().is_some_and(|event| event.first_symbol < self.base) {
                self.told_events.pop_front();
            }
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
    let mut pattern = event.pattern;
    while pattern != 0 {
        let symbol = event.first + pattern.trailing_zeros() as usize;
        for &delay in echo {
            if let Some(index) = (symbol + delay).checked_sub(first) {
                window.turn(index);
            }
        }
        pattern &= pattern - 1;
    }
}

/// Symbols that differ once all events of a set are turned.
fn turned_symbols(events: &[Event], set: u64) -> u32 {
    let chosen = || (0..events.len().min(64)).filter(|i| set >> i & 1 == 1).map(|i| events[i]);
    let mut symbols: Vec<usize> = chosen()
        .flat_map(|event| {
            (0..64).filter(move |i| event.pattern >> i & 1 == 1).map(move |i| event.first + i)
        })
        .collect();
    symbols.sort_unstable();
    // A symbol that is turned twice is not turned.
    symbols.chunk_by(|a, b| a == b).filter(|same| same.len() % 2 == 1).count() as u32
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests;
