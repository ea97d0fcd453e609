//! Soft decisions along a path of the trellis: how reliable each symbol is, and which error events
//! are likely.
//!
//! Wherever two paths meet on the decided one, the loser is followed back to where it left. The
//! symbols in which it differs err together if they err: that is an error event, and the margin by
//! which it lost is its cost. The reliability of a symbol is the least margin of the events that
//! change it (Hagenauer, Hoeher: A Viterbi algorithm with soft-decision outputs, GLOBECOM 1989).
//!
//! Paths meet when their last three symbols and their classes are the same. At a merge there may be several
//! events: the loser may itself have won against another path before.

use super::trellis::Survivors;

/// Longest competitor that is followed, in symbols.
const COMPETITOR_SYMBOLS: usize = 60;

/// A path that lost against the decided one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Rival {
    /// First symbol that differs.
    pub first: usize,
    /// Bit i: symbol `first + i` differs. Bit 0 is set.
    pub pattern: u64,
    /// Margin of the path metric.
    pub margin: f32,
}

impl Rival {
    /// Last symbol that differs.
    pub fn last(&self) -> usize {
        self.first + 63 - (self.pattern.leading_zeros() as usize).min(63)
    }
}

/// Follows a path back from `state` after symbol `j` until it meets the decided one. Returns which
/// symbols up to `j` differ, bit i standing for symbol `k - i`; `None` if they have not met by
/// symbol `oldest`, or not by the first one if there were symbols before (`continued`).
#[inline(always)]
fn follow(
    survivors: Survivors<'_>,
    states: &[u8],
    mut state: usize,
    (k, j, oldest): (usize, usize, usize),
    continued: bool,
) -> Option<u64> {
    let mut differs = 0u64;
    for i in (oldest..=j).rev() {
        let own = usize::from(states[i]);
        if state == own {
            return Some(differs);
        }
        differs |= (((state ^ own) & 1) as u64) << (k - i);
        state = survivors.before(i, state);
    }
    (oldest == 0 && !continued).then_some(differs)
}

/// Writes the reliability of every symbol of the path `states` (`ceiling` where nothing competes)
/// and the error events with a margin below `event_ceiling`, in the order of their last symbols.
///
/// A competitor has lost against the decided path, or against one that has lost against it: the
/// margins add up. One that has not met the path within 60 symbols, or that leaves it before the
/// first decision if there were symbols before it (`continued`), is not an event.
pub(super) fn soft_decisions(
    survivors: Survivors<'_>,
    states: &[u8],
    (ceiling, event_ceiling): (f32, f32),
    continued: bool,
    reliability: &mut Vec<f32>,
    events: &mut Vec<Rival>,
) {
    reliability.clear();
    reliability.resize(states.len(), ceiling);
    events.clear();
    for k in 1..states.len() {
        let state = usize::from(states[k]);
        let margin = survivors.margin(k, state);
        // A margin that is not a number says nothing either.
        if margin.is_nan() || margin >= ceiling {
            continue;
        }
        let mut rival = survivors.loser(k, state);
        let oldest = k.saturating_sub(COMPETITOR_SYMBOLS);
        // Bit i: symbol k - i differs.
        let mut differs = 0u64;
        let mut met = oldest == 0 && !continued;
        for j in (oldest..k).rev() {
            let own = usize::from(states[j]);
            if rival == own {
                met = true;
                break;
            }
            if (rival ^ own) & 1 == 1 {
                differs |= 1 << (k - j);
                if margin < reliability[j] {
                    reliability[j] = margin;
                }
            }
            let second = margin + survivors.margin(j, rival);
            if j > 0
                && second < event_ceiling
                && let Some(before) = follow(
                    survivors,
                    states,
                    survivors.loser(j, rival),
                    (k, j - 1, oldest),
                    continued,
                )
                && before | differs != 0
            {
                let event = event(k, differs | before, second);
                for i in 0..=event.last() - event.first {
                    let r = &mut reliability[event.first + i];
                    if event.pattern >> i & 1 == 1 && second < *r {
                        *r = second;
                    }
                }
                events.push(event);
            }
            rival = survivors.before(j, rival);
        }
        if met && margin < event_ceiling && differs != 0 {
            events.push(event(k, differs, margin));
        }
    }
    let key = |r: &Rival| (r.last(), r.first, r.pattern);
    events.sort_unstable_by(|a, b| key(a).cmp(&key(b)).then(a.margin.total_cmp(&b.margin)));
    events.dedup_by(|b, a| key(a) == key(b));
}

/// The event in which symbols `k - i` differ for the bits i of `differs`, which is not 0.
fn event(k: usize, differs: u64, margin: f32) -> Rival {
    let highest = 63 - differs.leading_zeros() as usize;
    Rival { first: k - highest, pattern: differs.reverse_bits() >> (63 - highest), margin }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use std::collections::BTreeMap;

    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::super::trellis::STATES;
    use super::*;

    /// A trellis that has run on nothing sensible.
    struct Nonsense {
        decisions: Vec<u32>,
        margins: Vec<[f32; STATES]>,
        states: Vec<u8>,
        classes: usize,
    }

    impl Nonsense {
        fn new(seed: u64, n: usize, classes: usize) -> Self {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let decisions: Vec<u32> = (0..n).map(|_| rng.random()).collect();
            let margins = (0..n * classes)
                .map(|_| std::array::from_fn(|_| rng.random_range(0.0..9.0)))
                .collect();
            let mut made = Self { decisions, margins, states: Vec::new(), classes };
            let mut states = Vec::new();
            made.survivors().trace_back(3, &mut states);
            made.states = states;
            made
        }

        fn survivors(&self) -> Survivors<'_> {
            Survivors {
                decisions: &self.decisions,
                margins: &self.margins,
                classes: self.classes,
                counted_from: 0,
            }
        }
    }

    /// The states of the survivor of `state` after symbol k.
    fn survivor(survivors: Survivors<'_>, k: usize, mut state: usize) -> Vec<usize> {
        let mut path = vec![0; k + 1];
        for j in (0..=k).rev() {
            path[j] = state;
            state = survivors.before(j, state);
        }
        path
    }

    /// What [`soft_decisions`] says, path by path: at every merge of the decided path the loser, and
    /// at every merge of the loser, as long as it is apart, its own loser.
    fn slow(survivors: Survivors<'_>, states: &[u8], limit: f32) -> BTreeMap<(usize, u64), f32> {
        let mut events = BTreeMap::new();
        let mut note = |path: &[usize], k: usize, margin: f32| {
            // Behind the point where it meets the decided path it is the same.
            let from = (0..k).rev().find(|j| path[*j] == usize::from(states[*j]));
            let bits: Vec<usize> = (from.map_or(0, |f| f + 1)..k)
                .filter(|j| (path[*j] ^ usize::from(states[*j])) & 1 == 1)
                .collect();
            if let Some(first) = bits.first()
                && margin < limit
            {
                let pattern = bits.iter().map(|j| 1u64 << (j - first)).sum();
                let best = events.entry((*first, pattern)).or_insert(f32::INFINITY);
                *best = best.min(margin);
            }
        };
        for k in 1..states.len() {
            let state = usize::from(states[k]);
            let margin = survivors.margin(k, state);
            let rival = survivor(survivors, k - 1, survivors.loser(k, state));
            note(&rival, k, margin);
            for j in (1..k).rev() {
                if rival[j] == usize::from(states[j]) {
                    break;
                }
                let mut path = survivor(survivors, j - 1, survivors.loser(j, rival[j]));
                path.extend_from_slice(&rival[j..]);
                note(&path, k, margin + survivors.margin(j, rival[j]));
            }
        }
        events
    }

    #[test]
    fn events_are_those_of_the_slow_twin() {
        for (seed, classes) in (0..40).map(|i| (i, 1 + i as usize % 3)) {
            let made = Nonsense::new(seed, 50, classes);
            let states = &made.states;
            let (mut reliability, mut events) = (Vec::new(), Vec::new());
            let limits = (20.0, 7.0);
            soft_decisions(made.survivors(), states, limits, false, &mut reliability, &mut events);
            let found: BTreeMap<(usize, u64), f32> =
                events.iter().map(|e| ((e.first, e.pattern), e.margin)).collect();
            assert_eq!(found.len(), events.len(), "an event twice");
            assert_eq!(found, slow(made.survivors(), states, limits.1));
            assert!(events.is_sorted_by_key(Rival::last));
            for e in &events {
                assert_eq!(e.pattern & 1, 1);
                for i in 0..=e.last() - e.first {
                    assert!(e.pattern >> i & 1 == 0 || reliability[e.first + i] <= e.margin);
                }
            }
        }
    }

    #[test]
    fn nonsense_and_nothing_are_taken() {
        let mut made = Nonsense::new(1, 30, 1);
        made.margins[7] = [f32::NAN; STATES];
        made.margins[9] = [f32::INFINITY; STATES];
        let (mut reliability, mut events) = (Vec::new(), Vec::new());
        for (limits, continued) in [((9.0, 9.0), true), ((f32::NAN, f32::NAN), false)] {
            let out = (&mut reliability, &mut events);
            soft_decisions(made.survivors(), &made.states, limits, continued, out.0, out.1);
            assert!(events.iter().all(|e| !e.margin.is_nan()));
        }
        let nothing = Nonsense::new(1, 0, 2);
        soft_decisions(nothing.survivors(), &[], (1.0, 1.0), false, &mut reliability, &mut events);
        assert!(reliability.is_empty() && events.is_empty());
    }
}
