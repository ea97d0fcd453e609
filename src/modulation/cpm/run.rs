//! Runs of soft symbols on their way out: cut to what is wanted, and numbered.

use super::tracker::Decided;
use crate::modulation::{ErrorEvent, Mapping, SoftBlock};

/// Soft symbols that are being given out.
pub(super) struct Run {
    number: u64,
    /// Symbols of the tracker before this one are not given out.
    skipped: usize,
    /// Symbols given out.
    given: u64,
}

impl Run {
    /// The run with the next number.
    pub fn begin(next: &mut u64, skipped: usize) -> Self {
        let number = *next;
        *next += 1;
        Self { number, skipped, given: 0 }
    }

    /// Gives out decided symbols whose middle is not later than `last_wanted`.
    pub fn give(
        &mut self,
        pieces: &mut Vec<Decided>,
        last_wanted: f64,
        sample_rate_hz: f64,
        out: &mut Vec<SoftBlock>,
    ) {
        for mut piece in pieces.drain(..) {
            let skip = self.skipped.saturating_sub(piece.first_symbol);
            if skip >= piece.llr.len() {
                continue;
            }
            piece.llr.drain(..skip);
            let first_sample = piece.first_sample + skip as f64 * piece.samples_per_symbol;
            let wanted = (last_wanted - first_sample) / piece.samples_per_symbol + 1.0;
            if wanted < piece.llr.len() as f64 {
                piece.llr.truncate(wanted.max(0.0) as usize);
            }
            if piece.llr.is_empty() {
                continue;
            }
            for llr in &mut piece.llr {
                if !llr.is_finite() {
                    *llr = 0.0;
                }
            }
            let count = piece.llr.len() as u64;
            let end = self.given + count;
            let events = piece.events.iter().filter_map(|e| cut(*e, self.skipped as u64, end));
            out.push(SoftBlock {
                run: self.number,
                first_symbol: self.given,
                first_sample,
                samples_per_symbol: piece.samples_per_symbol,
                frequency_offset_hz: piece.frequency * sample_rate_hz,
                esn0_db: (10.0 * piece.esn0.max(1e-6).log10()) as f32,
                mapping: Mapping::Direct,
                llr: piece.llr,
                events: events.collect(),
                end: false,
            });
            self.given = end;
        }
    }

    /// Ends it.
    pub fn end(self, last_wanted: f64, samples_per_symbol: f64, out: &mut Vec<SoftBlock>) {
        match out.last_mut() {
            Some(block) if block.run == self.number => block.end = true,
            _ => out.push(SoftBlock {
                run: self.number,
                first_symbol: self.given,
                first_sample: last_wanted,
                samples_per_symbol,
                frequency_offset_hz: 0.0,
                esn0_db: 0.0,
                mapping: Mapping::Direct,
                llr: Vec::new(),
                events: Vec::new(),
                end: true,
            }),
        }
    }
}

/// An event without the symbols before `skipped`, which are not given out; positions count from
/// there. `None` if nothing is left, if it ends at `end` or later, or if its cost says nothing.
fn cut(event: ErrorEvent, skipped: u64, end: u64) -> Option<ErrorEvent> {
    let before = skipped.saturating_sub(event.first_symbol);
    let pattern = event.pattern.checked_shr(before.try_into().ok()?)?;
    let last = 63u64.checked_sub(pattern.leading_zeros().into())?;
    let shift = pattern.trailing_zeros();
    let first = event.first_symbol + before - skipped;
    let told = first + last < end && !event.cost.is_nan();
    told.then(|| ErrorEvent {
        first_symbol: first + u64::from(shift),
        pattern: pattern >> shift,
        cost: event.cost,
    })
}
