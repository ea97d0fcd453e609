//! Whether a driver's timestamps can be believed, and what they say about lost samples.
//!
//! The library's flag for "has a time" does not reach us, and a driver without times leaves 0 or an
//! old number. A stream of timestamps is believed once it has advanced with the count of samples
//! for [`AGREEMENTS`] reads in a row:
//!
//! ```text
//! |t(k+1) − t(k) − n(k) / r| ≤ tolerance
//! ```
//!
//! with `n(k)` samples in read `k` at `r` samples per second. From then on a step forward of `d`
//! seconds means `d · r` lost samples, unless it leads further than the host's monotonic clock has
//! gone since (the radio's clock was set). A step back means that the clock was set, too.

use std::time::Duration;

/// So many reads in a row must agree before timestamps are believed.
const AGREEMENTS: u32 = 4;

/// Timestamps may be rounded: in samples, and in seconds.
const TOLERANCE_SAMPLES: f64 = 1.5;
const TOLERANCE_S: f64 = 2e-6;

/// The radio's clock may be ahead of the host's, since both were first compared, by so much and by
/// this part of the time.
const AHEAD_S: f64 = 1.0;
const AHEAD_PART: f64 = 1e-3;

/// The timestamps of one stream. Pure: it is told the time.
#[derive(Debug, Clone)]
pub(super) struct Timeline {
    sample_rate_hz: f64,
    /// The last timestamp, and the samples since.
    last: Option<(i64, u64)>,
    agreed: u32,
    /// Host's and radio's time when timestamps were first believed or the radio's clock was set.
    compared: Option<(Duration, i64)>,
}

impl Timeline {
    pub fn new(sample_rate_hz: f64) -> Self {
        Self { sample_rate_hz, last: None, agreed: 0, compared: None }
    }

    /// Whether timestamps are believed.
    pub fn is_believed(&self) -> bool {
        self.compared.is_some()
    }

    /// `samples` were read at `now` on the host's monotonic clock, the first of them of `time_ns`.
    /// How many were lost before them.
    pub fn read(&mut self, now: Duration, time_ns: i64, samples: u64) -> u64 {
        let Some((last_ns, since)) = self.last else {
            self.last = Some((time_ns, samples));
            return 0;
        };
        // No new timestamp came with these.
        if time_ns == last_ns {
            self.last = Some((last_ns, since.saturating_add(samples)));
            return 0;
        }
        self.last = Some((time_ns, samples));
        let step_s = time_ns.saturating_sub(last_ns) as f64 * 1e-9;
        let off_s = step_s - since as f64 / self.sample_rate_hz;
        let tolerance_s = (TOLERANCE_SAMPLES / self.sample_rate_hz).max(TOLERANCE_S);
        if off_s.abs() <= tolerance_s {
            self.agreed = self.agreed.saturating_add(1);
            if self.agreed >= AGREEMENTS && self.compared.is_none() {
                self.compared = Some((now, time_ns));
            }
            return 0;
        }
        self.agreed = 0;
        let Some((then, then_ns)) = self.compared else { return 0 };
        let host_s = now.saturating_sub(then).as_secs_f64();
        let radio_s = time_ns.saturating_sub(then_ns) as f64 * 1e-9;
        if off_s < 0.0 || radio_s > host_s * (1.0 + AHEAD_PART) + AHEAD_S {
            self.compared = Some((now, time_ns));
            return 0;
        }
        // Saturates.
        (off_s * self.sample_rate_hz).round() as u64
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    const RATE: f64 = 250_000.0;

    fn at(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    /// Reads of 1000 samples (4 ms), with the radio's clock at `offset_ns`.
    fn run(timeline: &mut Timeline, from: i64, to: i64, offset_ns: i64) -> u64 {
        (from..to)
            .map(|k| timeline.read(at(k as f64 * 4e-3), offset_ns + k * 4_000_000, 1000))
            .sum()
    }

    #[test]
    fn a_step_is_lost_samples() {
        let mut timeline = Timeline::new(RATE);
        assert_eq!(run(&mut timeline, 0, 100, 7), 0);
        assert!(timeline.is_believed());
        assert_eq!(timeline.read(at(0.4 + 0.1), 7 + 400_000_000 + 16_384_000, 1000), 4096);
        assert_eq!(run(&mut timeline, 200, 300, 7), 94_904);
    }

    #[test]
    fn what_does_not_advance_is_not_believed() {
        let mut timeline = Timeline::new(RATE);
        for k in 0..100 {
            assert_eq!(timeline.read(at(f64::from(k) * 4e-3), 0, 1000), 0);
        }
        assert!(!timeline.is_believed());
        // The time of the read, not of the samples.
        for k in 0..100i64 {
            let jitter = (k % 3) * 100_000;
            assert_eq!(timeline.read(at(k as f64 * 4e-3), k * 4_000_000 + jitter, 1000), 0);
        }
        assert!(!timeline.is_believed());
    }

    #[test]
    fn fragments_without_a_time_of_their_own_are_counted() {
        let mut timeline = Timeline::new(RATE);
        for k in 0..40i64 {
            for _ in 0..4 {
                assert_eq!(timeline.read(at(k as f64 * 4e-3), k * 4_000_000, 250), 0);
            }
        }
        assert!(timeline.is_believed());
    }

    #[test]
    fn a_clock_that_is_set_loses_nothing() {
        let mut timeline = Timeline::new(RATE);
        run(&mut timeline, 0, 100, 0);
        assert_eq!(run(&mut timeline, 100, 200, 1_700_000_000_000_000_000), 0);
        assert_eq!(run(&mut timeline, 200, 300, 0), 0);
        // And goes on finding losses.
        assert_eq!(timeline.read(at(1.5), 1_204_000_000, 1000), 1000);
    }

    #[test]
    fn absurd_timestamps_do_no_harm() {
        for rate in [RATE, 1.0, f64::NAN, 0.0, f64::INFINITY, -5.0] {
            let mut timeline = Timeline::new(rate);
            for time in [i64::MIN, i64::MAX, 0, -1, i64::MAX, 1, 2, 3, 4, 5, i64::MIN, i64::MAX] {
                timeline.read(at(1.0), time, u64::MAX);
                timeline.read(at(0.0), time, 0);
            }
        }
    }
}
