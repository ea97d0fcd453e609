//! Error events: bits of a block that may be otherwise, all of them at once.
//!
//! A detector or decoder with memory errs along paths: where it is wrong, several bits are, together.
//! An event is such a path that lost against the decided one, with the natural logarithm of the odds
//! against it. A detector without memory has events of one bit each.
//!
//! ```text
//!  P(event happened) ≈ e^-cost / (1 + e^-cost),   doubt of a bit or byte = ∑ ln(1 + e^-cost)
//! ```
//!
//! the sum being that over the events which touch it.

use std::collections::VecDeque;

/// Bits that may be otherwise, all of them at once.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BitEvent {
    /// Index in the block of the first bit that differs.
    pub first_bit: usize,
    /// Which bits differ: bit i stands for bit `first_bit + i` of the block. Bit 0 is set.
    pub pattern: u64,
    /// By how many nats this is less likely than what was decided.
    pub cost: f32,
}

impl BitEvent {
    /// Index just after the last bit that differs.
    pub fn end_bit(&self) -> usize {
        self.first_bit + 64 - self.pattern.leading_zeros() as usize
    }

    /// Indices of the bits that differ.
    pub fn bits(&self) -> impl Iterator<Item = usize> + use<> {
        let (first, mut pattern) = (self.first_bit, self.pattern);
        std::iter::from_fn(move || {
            let next = (pattern != 0).then(|| first + pattern.trailing_zeros() as usize);
            pattern &= pattern.wrapping_sub(1);
            next
        })
    }

    /// ln(1 + e^-cost): the doubt that it casts on the bits it touches.
    pub fn doubt(&self) -> f32 {
        doubt(self.cost)
    }

    /// The event seen behind y_k = x_k ⊕ x_{k-1} ⊕ …, the delays being those of `taps`, below 64 and
    /// without the 0. `None` if it grows too long.
    pub fn through(&self, taps: &[u32]) -> Option<BitEvent> {
        let fits = taps.iter().all(|&delay| delay <= self.pattern.leading_zeros());
        fits.then(|| {
            let shifted = taps.iter().fold(0, |sum, &delay| sum ^ self.pattern << delay);
            BitEvent { pattern: self.pattern ^ shifted, ..*self }
        })
    }
}

/// -ln of the probability that a decision of this reliability (the magnitude of its log-likelihood
/// ratio) is right: ln(1 + e^-reliability).
#[inline]
pub fn doubt(reliability: f32) -> f32 {
    if reliability.is_nan() { std::f32::consts::LN_2 } else { (-reliability).exp().ln_1p() }
}

/// Neighbours that are equally weak within this are one event: a trellis detector gives all symbols
/// of an event the same reliability.
const TIE: f32 = 1e-3;
/// Furthest that equally weak symbols of one event are apart.
const TIE_SYMBOLS: usize = 2;
/// Most symbols of such an event.
const TIED: usize = 3;

/// Appends the events of soft symbols of which nothing else is known: one a symbol, equally weak
/// neighbours together.
pub fn of_symbols(llrs: &[f32], events: &mut Vec<BitEvent>) {
    let mut first = 0;
    while first < llrs.len() {
        let cost = if llrs[first].is_nan() { 0.0 } else { llrs[first].abs() };
        let (mut last, mut count, mut pattern) = (first, 1, 1u64);
        while count < TIED {
            let near = last + 1..(last + 1 + TIE_SYMBOLS).min(llrs.len());
            let Some(next) = near.into_iter().find(|&k| (llrs[k].abs() - cost).abs() <= TIE * cost)
            else {
                break;
            };
            pattern |= 1 << (next - first);
            last = next;
            count += 1;
        }
        // Strong symbols are alike because they are clipped.
        let clipped = llrs[first + 1..].iter().take(2 * TIED).filter(|x| x.abs() == cost).count();
        if clipped > TIED {
            (pattern, last) = (1, first);
        }
        events.push(BitEvent { first_bit: first, pattern, cost });
        // A symbol between two tied ones, if there is one, is an event of its own.
        for (between, llr) in llrs.iter().enumerate().take(last).skip(first + 1) {
            if pattern >> (between - first) & 1 == 0 {
                let cost = if llr.is_nan() { 0.0 } else { llr.abs() };
                events.push(BitEvent { first_bit: between, pattern: 1, cost });
            }
        }
        first = last + 1;
    }
}

/// Sorts events by their costs; the order of equals does not depend on that before.
pub fn sort(events: &mut [BitEvent]) {
    events.sort_unstable_by(|a, b| {
        a.cost
            .total_cmp(&b.cost)
            .then(a.first_bit.cmp(&b.first_bit))
            .then(a.pattern.cmp(&b.pattern))
    });
}

/// Events of a run of symbols as far as they are still needed.
#[derive(Debug, Clone, Default)]
pub struct EventBuffer {
    /// First symbol, pattern, cost.
    events: VecDeque<(u64, u64, f32)>,
}

/// Most events kept: some for every symbol of the longest block. The oldest go first.
const MOST_EVENTS: usize = 1 << 17;

impl EventBuffer {
    /// Takes an event: symbols of the run that may be otherwise (bit i of `pattern` stands for
    /// symbol `first_symbol + i`), at a cost in nats. Events without symbols are left out.
    pub fn push(&mut self, first_symbol: u64, pattern: u64, cost: f32) {
        if pattern == 0 {
            return;
        }
        if self.events.len() == MOST_EVENTS {
            self.events.pop_front();
        }
        let shift = pattern.trailing_zeros();
        let cost = if cost.is_nan() { 0.0 } else { cost.max(0.0) };
        self.events.push_back((first_symbol + u64::from(shift), pattern >> shift, cost));
    }

    /// Appends the events of symbols `first` to `first + count`, counted from there. What begins
    /// before is cut off; what ends behind them is left out.
    pub fn within(&self, first: u64, count: usize, events: &mut Vec<BitEvent>) {
        for &(symbol, mut pattern, cost) in &self.events {
            let mut place = symbol;
            if place < first {
                pattern = u32::try_from(first - place)
                    .ok()
                    .and_then(|shift| pattern.checked_shr(shift))
                    .unwrap_or(0);
                if pattern == 0 {
                    continue;
                }
                place = first + u64::from(pattern.trailing_zeros());
                pattern >>= pattern.trailing_zeros();
            }
            let Ok(first_bit) = usize::try_from(place - first) else { continue };
            let event = BitEvent { first_bit, pattern, cost };
            if first_bit < count && event.end_bit() <= count {
                events.push(event);
            }
        }
    }

    /// Forgets the events before a symbol.
    pub fn forget(&mut self, symbol: u64) {
        while self.events.front().is_some_and(|&(first, _, _)| first + 64 <= symbol) {
            self.events.pop_front();
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn bits_and_ends() {
        let event = BitEvent { first_bit: 10, pattern: 0b1011, cost: 0.0 };
        assert_eq!(event.bits().collect::<Vec<_>>(), [10, 11, 13]);
        assert_eq!(event.end_bit(), 14);
        assert_eq!(event.through(&[1]).unwrap().pattern, 0b11101);
        assert_eq!(event.through(&[2, 3]).unwrap().pattern, 0b1011 ^ 0b101100 ^ 0b1011000);
        assert!((event.doubt() - std::f32::consts::LN_2).abs() < 1e-6);
        let long = BitEvent { first_bit: 0, pattern: 1 | 1 << 63, cost: 1.0 };
        assert_eq!(long.through(&[1]), None);
        assert_eq!(long.through(&[]), Some(long));
        assert_eq!(long.end_bit(), 64);
    }

    #[test]
    fn a_buffer_gives_what_lies_within() {
        let mut buffer = EventBuffer::default();
        buffer.push(5, 0b110, f32::NAN);
        buffer.push(98, 0b1001, 2.0);
        buffer.push(100, 0, 1.0);
        buffer.push(110, 0b11, 3.0);
        buffer.push(119, 0b11, 4.0);
        let mut events = Vec::new();
        buffer.within(100, 20, &mut events);
        let event = |first_bit, pattern, cost| BitEvent { first_bit, pattern, cost };
        assert_eq!(events, [event(1, 1, 2.0), event(10, 0b11, 3.0)]);
        events.clear();
        buffer.within(0, 20, &mut events);
        assert_eq!(events, [event(6, 0b11, 0.0)]);
        buffer.forget(150);
        events.clear();
        buffer.within(0, 200, &mut events);
        assert_eq!(events.len(), 3);
        sort(&mut events);
        buffer.within(u64::MAX - 3, 200, &mut events);
        buffer.within(3, usize::MAX, &mut events);
    }

    #[test]
    fn ties_are_one_event_and_clipped_symbols_are_not() {
        let mut llrs = [16.0f32; 30];
        llrs[4] = -0.5;
        llrs[5] = 0.5;
        llrs[10] = 0.7;
        llrs[12] = 0.7;
        llrs[20] = f32::NAN;
        let mut events = Vec::new();
        of_symbols(&llrs, &mut events);
        let weak: Vec<(usize, u64)> =
            events.iter().filter(|e| e.cost < 1.0).map(|e| (e.first_bit, e.pattern)).collect();
        assert_eq!(weak, [(4, 0b11), (10, 0b101), (20, 1)]);
        let mut seen = [0; 30];
        events.iter().flat_map(|e| e.bits()).for_each(|k| seen[k] += 1);
        assert_eq!(seen, [1; 30]);
        of_symbols(&[], &mut events);
        of_symbols(&[f32::INFINITY; 5], &mut events);
    }
}
