//! Several streams of frames into one, in time order, each frame once.
//!
//! One transmission may be decoded more than once: by alternative demodulators of a downlink, by
//! overlapping runs of one demodulator, or by two downlinks of a satellite. Each stream says up to
//! which sample it is *settled* (no frame that begins earlier will still come). A frame is held
//! until every stream is settled past its middle, or its end if others may be right in its place: all
//! its twins have come by then, the best of them is emitted, and nothing that comes later begins
//! earlier.

use crate::frame::{Check, Frame};

/// Merges the frames of a fixed number of streams.
#[derive(Debug)]
pub struct Merger {
    /// Per stream: no frame that begins before this sample will still come.
    settled: Vec<u64>,
    /// Frames not yet emitted, no two of them twins.
    held: Vec<Held>,
    /// Emitted frames that end after the settled sample.
    recent: Vec<Frame>,
}

/// A frame that waits.
#[derive(Debug)]
struct Held {
    stream: usize,
    frame: Frame,
    /// Logarithm of the odds of the likeliest other frame in its place; 0 if there was none.
    rival_log_odds: f32,
}

impl Held {
    /// The frame; where another was found in its place, it is right with the odds of the one against
    /// the other.
    fn into_frame(self) -> Frame {
        let log_odds = self.frame.log_odds.map(|odds| odds - self.rival_log_odds);
        Frame { log_odds, ..self.frame }
    }
}

impl Merger {
    /// A merger of `streams` streams, all at sample 0.
    pub fn new(streams: usize) -> Self {
        Self { settled: vec![0; streams], held: Vec::new(), recent: Vec::new() }
    }

    /// Takes a frame of a stream.
    pub fn push(&mut self, stream: usize, frame: Frame) {
        let emitted = |r: &Frame| r.bytes == frame.bytes || rank(r) >= rank(&frame);
        if self.recent.iter().any(|r| are_twins(r, &frame) && emitted(r)) {
            return;
        }
        let Some(place) = self.held.iter().position(|h| are_twins(&h.frame, &frame)) else {
            self.held.push(Held { stream, frame, rival_log_odds: 0.0 });
            return;
        };
        let held = &mut self.held[place];
        let better = rank(&frame).total_cmp(&rank(&held.frame)).then(held.stream.cmp(&stream));
        let same = held.frame.bytes == frame.bytes;
        let mut loser = Some(frame);
        if better.is_gt() {
            held.stream = stream;
            loser = loser.map(|frame| std::mem::replace(&mut held.frame, frame));
        }
        let rival = loser.and_then(|frame| frame.log_odds).unwrap_or(0.0);
        if !same {
            held.rival_log_odds = held.rival_log_odds.max(rival);
        }
        if better.is_gt() {
            // It may have more twins than the one it takes the place of.
            let best = held.frame.clone();
            let mut index = 0..;
            self.held.retain(|h| index.next() == Some(place) || !are_twins(&h.frame, &best));
        }
    }

    /// No frame of `stream` that begins before `sample` will still come; `u64::MAX` when it ends.
    pub fn settle(&mut self, stream: usize, sample: u64) {
        let settled = &mut self.settled[stream];
        *settled = (*settled).max(sample);
    }

    /// A stream that had ended begins again, with nothing before `sample`.
    pub fn reopen(&mut self, stream: usize, sample: u64) {
        self.settled[stream] = sample;
    }

    /// The sample up to which every stream is settled.
    pub fn settled_sample(&self) -> u64 {
        self.settled.iter().copied().min().unwrap_or(u64::MAX)
    }

    /// No frame that is drained later begins before this sample.
    pub fn emitted_sample(&self) -> u64 {
        let held = self.held.iter().map(|h| h.frame.first_sample).min();
        self.settled_sample().min(held.unwrap_or(u64::MAX))
    }

    /// Appends the frames that are due to `out`, in order of their first samples.
    pub fn drain(&mut self, out: &mut Vec<Frame>) {
        let settled = self.settled_sample();
        self.recent.retain(|r| r.end_sample > settled);
        if self.held.is_empty() {
            return;
        }
        self.held.sort_by_key(|held| (held.frame.first_sample, held.frame.end_sample, held.stream));
        let due = self.held.iter().take_while(|held| settled > certain_at(&held.frame)).count();
        for frame in self.held.drain(..due).map(Held::into_frame) {
            if frame.end_sample > settled {
                self.recent.push(frame.clone());
            }
            out.push(frame);
        }
    }
}

/// Once everything before this sample has come, all twins of a frame have: they begin in its first
/// half, as they have its length; but where others may be right in its place, anywhere in it.
fn certain_at(frame: &Frame) -> u64 {
    if frame.check == Check::None || frame.log_odds.is_some() {
        return frame.end_sample;
    }
    frame.first_sample + frame.end_sample.saturating_sub(frame.first_sample) / 2
}

/// What vouches for it, then its Es/N0; larger is better.
fn rank(frame: &Frame) -> f64 {
    let check = match (frame.check, frame.log_odds) {
        (Check::CrcAndReedSolomon, None) => 3.0,
        (Check::Crc | Check::ReedSolomon, None) => 2.0,
        (Check::None, None) => 0.0,
        (_, Some(odds)) => f64::from(odds.clamp(0.0, 40.0) / 40.0),
    };
    let esn0_db = f64::from(frame.esn0_db);
    1e4 * check + if esn0_db.is_finite() { esn0_db } else { 0.0 }
}

/// Whether two frames are the same transmission: they overlap by half of the shorter and have the
/// same bytes, or one of them may be wrong, so that at most one of them is right.
fn are_twins(a: &Frame, b: &Frame) -> bool {
    let overlap = a.end_sample.min(b.end_sample).saturating_sub(a.first_sample.max(b.first_sample));
    let shorter = (a.end_sample.saturating_sub(a.first_sample))
        .min(b.end_sample.saturating_sub(b.first_sample));
    let unchecked = a.check == Check::None && b.check == Check::None;
    let uncertain = unchecked || a.log_odds.is_some() || b.log_odds.is_some();
    // Two signals beside each other are two.
    let apart = (a.frequency_offset_hz - b.frequency_offset_hz).abs()
        > 0.5 * a.origin.symbol_rate_bd.max(0.0);
    let rivals = uncertain && a.origin.framing == b.origin.framing && !apart;
    2 * overlap >= shorter && overlap > 0 && (a.bytes == b.bytes || rivals)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::testing::bare_frame;

    fn frame(bytes: &[u8], first: u64, end: u64, esn0_db: f32) -> Frame {
        Frame {
            bytes: bytes.to_vec(),
            first_sample: first,
            end_sample: end,
            esn0_db,
            check: Check::Crc,
            ..bare_frame()
        }
    }

    /// Of frames that contradict each other the likelier one is left, with its odds against the other;
    /// the same frame found again changes nothing.
    #[test]
    fn rivals_lower_the_odds() {
        let repaired =
            |bytes: &[u8], odds| Frame { log_odds: Some(odds), ..frame(bytes, 0, 9, 5.0) };
        let odds = |frames: &[Frame]| {
            let (mut merger, mut out) = (Merger::new(1), Vec::new());
            frames.iter().for_each(|f| merger.push(0, f.clone()));
            merger.settle(0, 10);
            merger.drain(&mut out);
            assert_eq!(out.len(), 1);
            (out[0].bytes.clone(), out[0].log_odds)
        };
        let (a, b) = (repaired(b"a", 8.0), repaired(b"b", 3.0));
        let expected = (b"a".to_vec(), Some(5.0));
        assert_eq!(odds(&[a.clone(), b.clone()]), expected);
        assert_eq!(odds(&[b.clone(), a.clone(), a.clone()]), expected);
        assert_eq!(odds(&[repaired(b"a", 7.0), a.clone()]), (b"a".to_vec(), Some(8.0)));
        assert_eq!(odds(&[frame(b"a", 0, 9, 5.0), b]), (b"a".to_vec(), None));
    }

    #[test]
    fn twins_leave_once_and_the_better_one_wins() {
        let mut merger = Merger::new(2);
        let mut out = Vec::new();
        merger.push(0, frame(b"x", 100, 200, 5.0));
        merger.settle(0, 1000);
        merger.drain(&mut out);
        assert!(out.is_empty(), "stream 1 may still bring a twin");
        merger.push(1, frame(b"x", 103, 203, 9.0));
        merger.settle(1, 160);
        merger.drain(&mut out);
        assert_eq!(out.len(), 1);
        assert_eq!(out[0].first_sample, 103);
        merger.push(1, frame(b"x", 104, 204, 20.0));
        merger.settle(1, 1000);
        merger.drain(&mut out);
        assert_eq!(out.len(), 1, "a late twin is not a second frame");
    }

    #[test]
    fn equal_bytes_sent_twice_are_two_frames() {
        let mut merger = Merger::new(1);
        let mut out = Vec::new();
        merger.push(0, frame(b"x", 300, 400, 5.0));
        merger.push(0, frame(b"x", 100, 200, 5.0));
        merger.settle(0, u64::MAX);
        merger.drain(&mut out);
        let firsts: Vec<u64> = out.iter().map(|f| f.first_sample).collect();
        assert_eq!(firsts, [100, 300]);
    }

    #[test]
    fn order_of_time_is_kept_across_streams() {
        let mut merger = Merger::new(2);
        let mut out = Vec::new();
        merger.push(0, frame(b"late", 500, 600, 5.0));
        merger.settle(0, 700);
        merger.settle(1, 90);
        merger.drain(&mut out);
        assert!(out.is_empty());
        merger.push(1, frame(b"early", 100, 900, 5.0));
        merger.settle(1, 700);
        merger.drain(&mut out);
        assert_eq!(out.iter().map(|f| f.first_sample).collect::<Vec<_>>(), [100, 500]);
    }
}
