//! Soft decisions along a path of the trellis: how reliable each symbol is, and which error events
//! are likely.
//!
//! Wherever two paths meet on the decided one, the loser is followed back to where it left. The
//! symbols in which it differs err together if they err: that is an error event, and the margin by
//! which it lost is its cost. The reliability of a symbol is the least margin of the events that
//! change it (Hagenauer, Hoeher: A Viterbi algorithm with soft-decision outputs, GLOBECOM 1989).
//!
//! Paths meet when their last three symbols are the same, and two that meet there for the
//! first time differ in the symbol before these: there is one event for each last symbol.

use super::trellis::STATES;

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

/// Writes the reliability of every symbol of the path `states` (`ceiling` where nothing competes)
/// and the error events with a margin below `event_ceiling`, in the order of their last symbols.
///
/// A competitor that has not met the path within 60 symbols, or that leaves the path before the
/// first decision if there were symbols before it (`continued`), is not an event.
pub(super) fn soft_decisions(
    decisions: &[u8],
    margins: &[[f32; STATES]],
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
        let margin = margins[k][state];
        // A margin that is not a number says nothing either.
        if margin.is_nan() || margin >= ceiling {
            continue;
        }
        let taken = decisions[k] >> state & 1;
        let mut rival = state >> 1 | usize::from(1 - taken) << 2;
        // Bit i: symbol k - 1 - i differs.
        let mut differs = 0u64;
        let oldest = k.saturating_sub(COMPETITOR_SYMBOLS);
        let mut met = oldest == 0 && !continued;
        for j in (oldest..k).rev() {
            let own = usize::from(states[j]);
            if rival == own {
                met = true;
                break;
            }
            if (rival ^ own) & 1 == 1 {
                differs |= 1 << (k - 1 - j);
                if margin < reliability[j] {
                    reliability[j] = margin;
                }
            }
            rival = rival >> 1 | usize::from(decisions[j] >> rival & 1) << 2;
        }
        if met && margin < event_ceiling && differs != 0 {
            let highest = 63 - differs.leading_zeros() as usize;
            let pattern = differs.reverse_bits() >> (63 - highest);
            events.push(Rival { first: k - 1 - highest, pattern, margin });
        }
    }
}
