//! UTC of samples that come live, from the instants at which they arrive.
//!
//! A network delivers late, never early, and late by a different amount each time. What the
//! samples themselves keep is their count, so time is the count, and arrivals only discipline it.
//! With the arrival `a` of everything up to sample `n` (exclusive), at `r` samples per second and
//! with sample 0 taken at `t₀`, the **lateness** is
//!
//! ```text
//! l = a − (t₀ + n / r)
//! ```
//!
//! It is the way the samples had to make, waits in buffers included, and its lower envelope over
//! time is flat as long as no sample is lost and the clocks agree. Hence:
//!
//! * At first `t₀` is such that the least lateness is 0. Samples come in bursts (`rtl_tcp` hands on
//!   131 072 at a time): the end of a burst is what counts.
//! * Later the least lateness of every interval steers `t₀`, by at most [`STEER`] of the time:
//!   enough for two quartz clocks, too slow for anything to be seen in a frame.
//! * Lateness that stands above [`GAP_S`] for two intervals, without falling as it does while a
//!   buffer somewhere empties, and with the reader waiting for data, is not a delay: that many
//!   samples are missing. The count jumps by them. The samples of these two intervals have already
//!   been handed on with times that are too early; nothing better can be known at that moment.
//! * Lateness below −[`GAP_S`] means that too many were taken for missing: `t₀` is set back.
//! * A step of the system's UTC (NTP, an operator) is told from lost samples by the monotonic
//!   clock, and becomes an anchor.

use std::time::{Duration, Instant};

use jiff::Timestamp;

/// Lateness that is taken for lost samples.
pub const GAP_S: f64 = 0.05;

/// What `t₀` may move, in seconds per second.
pub const STEER: f64 = 5e-4;

/// The shortest interval of which the least lateness is taken.
const SHORTEST_INTERVAL_S: f64 = 0.1;

/// For so long at least after the first arrival the least lateness sets `t₀` at once.
const SETTLING_S: f64 = 1.0;

/// A new anchor is due when the last one is wrong by so much. Below what a receiver takes for an
/// interruption (2 ms).
const ANCHOR_S: f64 = 5e-4;

/// UTC and the monotonic clock may drift apart by so much before UTC is taken anew.
const UTC_STEP_S: f64 = 5e-4;

/// An instant on both clocks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Moment {
    /// Since any fixed instant; never steps.
    pub monotonic: Duration,
    /// As the system says.
    pub utc: Timestamp,
}

/// Reads both clocks.
#[derive(Debug, Clone, Copy)]
pub struct Watch(Instant);

impl Default for Watch {
    fn default() -> Self {
        Self(Instant::now())
    }
}

impl Watch {
    /// Now. Read again when something came between the two clocks.
    pub fn now(&self) -> Moment {
        let read = || {
            let before = self.0.elapsed();
            let utc = Timestamp::now();
            (before, utc, self.0.elapsed())
        };
        let mut best = read();
        for _ in 0..3 {
            if best.2 - best.0 < Duration::from_micros(50) {
                break;
            }
            let again = read();
            if again.2 - again.0 < best.2 - best.0 {
                best = again;
            }
        }
        Moment { monotonic: best.0 + (best.2 - best.0) / 2, utc: best.1 }
    }
}

/// Some samples arrived.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Arrival {
    /// When the last of them, and of those behind them, was there.
    pub at: Moment,
    /// How many there are.
    pub samples: u64,
    /// How many more had arrived by then and are handed on later.
    pub behind: u64,
    /// The reader had to wait for data: nothing was left lying before the last of it came.
    pub waited: bool,
}

/// Where arrived samples belong.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Placement {
    /// Index of the first of them.
    pub first_sample: u64,
    /// Its UTC, if that is news: at first, after a gap, when the clock was corrected.
    pub time: Option<Timestamp>,
    /// How many samples are missing before it.
    pub lost: u64,
}

/// The least lateness of an interval.
#[derive(Debug, Clone, Copy)]
struct Interval {
    /// On the monotonic clock.
    began_s: f64,
    least_s: f64,
    waited: bool,
}

impl Interval {
    fn new(began_s: f64) -> Self {
        Self { began_s, least_s: f64::INFINITY, waited: false }
    }
}

/// The clock of one stream of samples. Pure: it is told the time.
#[derive(Debug, Clone)]
pub struct SampleClock {
    sample_rate_hz: f64,
    interval_s: f64,
    next_sample: u64,
    /// Set by the first arrival.
    running: Option<Running>,
    lost: u64,
}

#[derive(Debug, Clone, Copy)]
struct Running {
    /// `t₀` on the monotonic clock.
    zero_s: f64,
    /// UTC minus the monotonic clock.
    utc_s: f64,
    settles_until_s: f64,
    interval: Interval,
    /// Least lateness of the interval before, if it tells about lost samples.
    before_s: Option<f64>,
    /// UTC of sample 0 as the last anchor has it.
    told_s: f64,
}

impl SampleClock {
    /// A clock for `sample_rate_hz` samples per second that come in bursts of about
    /// `burst_samples` (0: as they are taken). A rate that is none is taken for 1 Hz.
    pub fn new(sample_rate_hz: f64, burst_samples: f64) -> Self {
        let usable = sample_rate_hz.is_finite() && sample_rate_hz > 0.0;
        let sample_rate_hz = if usable { sample_rate_hz } else { 1.0 };
        let burst_s = burst_samples / sample_rate_hz;
        let interval_s = (1.5 * burst_s).clamp(SHORTEST_INTERVAL_S, 10.0);
        Self { sample_rate_hz, interval_s, next_sample: 0, running: None, lost: 0 }
    }

    /// Index of the next sample, unless some turn out to be missing.
    pub fn next_sample(&self) -> u64 {
        self.next_sample
    }

    /// How many samples were found missing so far.
    pub fn lost_samples(&self) -> u64 {
        self.lost
    }

    /// The device itself says that `samples` are missing after those that have arrived.
    pub fn skip(&mut self, samples: u64) {
        self.lost = self.lost.saturating_add(samples);
        self.next_sample = self.next_sample.saturating_add(samples);
        if let Some(running) = &mut self.running {
            running.before_s = None;
            // Time did not jump, but what follows a gap begins with an anchor.
            running.told_s = f64::NAN;
        }
    }

    /// Index of the sample that is taken at `at`; at least [`Self::next_sample`].
    pub fn sample_at(&self, at: Moment) -> u64 {
        let index = self.running.map_or(0.0, |running| {
            (at.monotonic.as_secs_f64() - running.zero_s) * self.sample_rate_hz
        });
        // Saturates; a negative number becomes 0.
        (index.round() as u64).max(self.next_sample)
    }

    /// UTC of a sample. `None` before the first arrival, and beyond the years of UTC.
    pub fn time(&self, sample: u64) -> Option<Timestamp> {
        let running = self.running?;
        timestamp(running.zero_s + running.utc_s + sample as f64 / self.sample_rate_hz)
    }

    /// Takes note of an arrival, and says where its samples belong.
    pub fn place(&mut self, arrival: Arrival) -> Placement {
        let now_s = arrival.at.monotonic.as_secs_f64();
        let utc_s = seconds(arrival.at.utc) - now_s;
        let received = self.next_sample.saturating_add(arrival.samples + arrival.behind);
        let received_s = received as f64 / self.sample_rate_hz;
        let mut lost = 0;
        let running = match &mut self.running {
            None => {
                let zero_s = now_s - received_s;
                self.running = Some(Running {
                    zero_s,
                    utc_s,
                    settles_until_s: now_s + SETTLING_S.max(2.0 * self.interval_s),
                    interval: Interval::new(now_s),
                    before_s: None,
                    told_s: f64::NAN,
                });
                None
            }
            Some(running) => Some(running),
        };
        if let Some(running) = running {
            if (utc_s - running.utc_s).abs() > UTC_STEP_S {
                running.utc_s = utc_s;
            }
            let mut lateness_s = now_s - received_s - running.zero_s;
            if lateness_s < -GAP_S || (lateness_s < 0.0 && now_s < running.settles_until_s) {
                running.zero_s += lateness_s;
                running.before_s = None;
                running.interval = Interval::new(now_s);
                lateness_s = 0.0;
            }
            running.interval.least_s = running.interval.least_s.min(lateness_s);
            running.interval.waited |= arrival.waited;
            let length_s = now_s - running.interval.began_s;
            if length_s >= self.interval_s {
                let Interval { least_s, waited, .. } = running.interval;
                let stands = running.before_s.filter(|&before_s| {
                    least_s > GAP_S && least_s > before_s - (0.02 * length_s).max(1e-3)
                });
                // The reader was behind all the time: it lags, and nothing else is known.
                running.before_s = (waited && least_s > GAP_S).then_some(least_s);
                if let Some(before_s) = stands.filter(|_| waited) {
                    lost = (before_s.min(least_s) * self.sample_rate_hz).round() as u64;
                    running.before_s = None;
                } else if least_s.abs() <= GAP_S {
                    let most_s = STEER * length_s.min(2.0 * self.interval_s);
                    running.zero_s += (0.25 * least_s).clamp(-most_s, most_s);
                }
                running.interval = Interval::new(now_s);
            }
        }
        self.lost = self.lost.saturating_add(lost);
        let first_sample = self.next_sample.saturating_add(lost);
        self.next_sample = first_sample.saturating_add(arrival.samples);
        let mut time = None;
        if let Some(running) = &mut self.running {
            let zero_utc_s = running.zero_s + running.utc_s;
            // True as well for the NaN of a clock that has told nothing yet.
            let news = (zero_utc_s - running.told_s).abs() <= ANCHOR_S;
            if !news || lost > 0 {
                running.told_s = zero_utc_s;
                time = timestamp(zero_utc_s + first_sample as f64 / self.sample_rate_hz);
            }
        }
        Placement { first_sample, time, lost }
    }
}

/// Seconds since 1970, to a quarter of a microsecond.
fn seconds(time: Timestamp) -> f64 {
    time.as_microsecond() as f64 * 1e-6
}

fn timestamp(seconds: f64) -> Option<Timestamp> {
    // Saturates; beyond the years of UTC there is none.
    Timestamp::from_microsecond((seconds * 1e6).round() as i64).ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    const EPOCH_S: f64 = 1_800_000_000.0;

    /// Feeds a clock, in seconds of true time; sample 0 is taken at 10 s.
    struct Bench {
        clock: SampleClock,
        rate: f64,
        utc_offset_s: f64,
        /// Samples handed on so far.
        handed: u64,
        /// Last anchor: sample and time.
        anchor: (u64, f64),
        anchors: usize,
        biggest_step_s: f64,
    }

    impl Bench {
        fn new(rate: f64, burst: f64) -> Self {
            Self {
                clock: SampleClock::new(rate, burst),
                rate,
                utc_offset_s: 0.0,
                handed: 0,
                anchor: (0, f64::NAN),
                anchors: 0,
                biggest_step_s: 0.0,
            }
        }

        fn arrive(&mut self, at_s: f64, samples: u64, waited: bool) -> Placement {
            let at = Moment {
                monotonic: Duration::from_secs_f64(at_s),
                utc: timestamp(EPOCH_S + at_s + self.utc_offset_s).unwrap(),
            };
            let placed = self.clock.place(Arrival { at, samples, behind: 0, waited });
            if let Some(time) = placed.time {
                let time = seconds(time) - EPOCH_S;
                let expected =
                    self.anchor.1 + (placed.first_sample - self.anchor.0) as f64 / self.rate;
                if self.anchors > 0 {
                    self.biggest_step_s = self.biggest_step_s.max((time - expected).abs());
                }
                self.anchor = (placed.first_sample, time);
                self.anchors += 1;
            }
            self.handed += samples;
            placed
        }

        /// Error of the time of the next sample, of which `taken_s` is the truth.
        fn error_s(&self, taken_s: f64) -> f64 {
            let (sample, time) = self.anchor;
            time + (self.clock.next_sample() - sample) as f64 / self.rate - taken_s
        }
    }

    /// A small generator, enough for jitter: uniform in 0 … 1.
    fn jitter(state: &mut u64) -> f64 {
        *state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (*state >> 40) as f64 / (1u64 << 24) as f64
    }

    #[test]
    fn jitter_of_arrival_is_not_taken_over() {
        let mut bench = Bench::new(48_000.0, 0.0);
        let mut state = 1;
        for k in 1..=6000u64 {
            // Blocks of 10 ms, late by 1 ms and up to 30 ms more, in order.
            let late = 0.001 + 0.03 * jitter(&mut state).powi(3);
            let placed = bench.arrive(10.0 + k as f64 * 0.01 + late, 480, true);
            assert_eq!(placed.lost, 0);
            if k > 100 {
                let error = bench.error_s(10.0 + k as f64 * 0.01);
                assert!((0.0..0.004).contains(&error), "{k}: {error}");
            }
        }
        assert_eq!(bench.clock.lost_samples(), 0);
        assert!(bench.anchors < 60, "{}", bench.anchors);
    }

    #[test]
    fn bursts_are_dated_by_their_ends() {
        // 131 072 samples at once, each in eight pieces; also if nobody knows of the bursts.
        let rate = 250_000.0;
        for known_burst in [131_072.0, 0.0] {
            let mut bench = Bench::new(rate, known_burst);
            for burst in 1..=100u64 {
                let taken = 10.0 + (burst * 131_072) as f64 / rate;
                for piece in 0..8 {
                    let at_s = taken + 0.001 * f64::from(piece + 1);
                    let placed = bench.arrive(at_s, 16_384, true);
                    assert_eq!(placed.lost, 0, "{burst} {piece}");
                }
                assert!((bench.error_s(taken) - 0.008).abs() < 0.002, "{}", bench.error_s(taken));
            }
        }
    }

    #[test]
    fn lost_samples_are_found_and_later_times_right() {
        let rate = 48_000.0;
        let mut bench = Bench::new(rate, 0.0);
        let mut taken = 10.0;
        for k in 0..2000 {
            if k == 1000 {
                taken += 0.7;
            }
            taken += 0.01;
            bench.arrive(taken + 0.002, 480, true);
            if !(1000..1030).contains(&k) {
                assert!(
                    (bench.error_s(taken) - 0.002).abs() < 1e-3,
                    "{k} {}",
                    bench.error_s(taken)
                );
            }
        }
        let lost = bench.clock.lost_samples() as f64 / rate;
        assert!((lost - 0.7).abs() < 0.002, "{lost}");
    }

    #[test]
    fn a_stall_after_which_everything_comes_loses_nothing() {
        let rate = 2.4e6;
        for speed in [1.1, 2.0, 20.0] {
            let mut bench = Bench::new(rate, 131_072.0);
            let (mut now, mut received) = (10.0f64, 0.0f64);
            for k in 0..1500 {
                // Two seconds of nothing, then `speed` times real time until all is there.
                now += if k == 200 { 2.0 } else { 0.01 / speed };
                let next = (received + 0.01).min(f64::MAX);
                now = now.max(10.0 + next);
                received = next;
                assert_eq!(bench.arrive(now, 24_000, true).lost, 0, "{speed} {k}");
            }
            assert!(
                bench.error_s(10.0 + received).abs() < 2e-3,
                "{}",
                bench.error_s(10.0 + received)
            );
        }
    }

    #[test]
    fn a_reader_that_lags_loses_nothing() {
        let mut bench = Bench::new(48_000.0, 0.0);
        let mut now = 10.0;
        for k in 0..1000 {
            // Half as fast as real time, never waiting; then twice as fast.
            now += if k < 500 { 0.02 } else { 0.005 };
            let placed = bench.arrive(now, 480, k < 10);
            assert_eq!(placed.lost, 0, "{k}");
        }
    }

    #[test]
    fn two_quartz_clocks_are_followed_in_steps_that_nobody_sees() {
        for ppm in [-100.0, -20.0, 20.0, 100.0] {
            let rate = 48_000.0;
            let mut bench = Bench::new(rate, 0.0);
            for k in 1..=60_000u64 {
                let taken = 10.0 + k as f64 * 0.01 * (1.0 + ppm * 1e-6);
                assert_eq!(bench.arrive(taken + 0.001, 480, true).lost, 0);
                let error = bench.error_s(taken) - 0.001;
                assert!(error.abs() < 1.5e-3, "{ppm} {k}: {error}");
            }
            assert!(bench.biggest_step_s < 1e-3, "{}", bench.biggest_step_s);
        }
    }

    #[test]
    fn a_step_of_utc_is_an_anchor_and_no_gap() {
        for step in [-3600.0, -0.02, 0.02, 86_400.0] {
            let mut bench = Bench::new(48_000.0, 0.0);
            for k in 1..=1000u64 {
                if k == 500 {
                    bench.utc_offset_s = step;
                }
                let taken = 10.0 + k as f64 * 0.01;
                assert_eq!(bench.arrive(taken, 480, true).lost, 0);
                let error = bench.error_s(taken) - bench.utc_offset_s;
                assert!(error.abs() < 1e-3, "{k} {error}");
            }
            assert_eq!(bench.anchors, 2);
        }
    }

    #[test]
    fn too_large_a_gap_is_taken_back_in_time() {
        let mut bench = Bench::new(1000.0, 0.0);
        for k in 1..=500u64 {
            bench.arrive(10.0 + k as f64 * 0.01, 10, true);
        }
        // Half a second that was only under way, and stood for long.
        for k in 501..=600u64 {
            bench.arrive(10.5 + k as f64 * 0.01, 10, true);
        }
        assert!((bench.clock.lost_samples() as f64 - 500.0).abs() < 5.0);
        for k in 601..=800u64 {
            let taken = 10.0 + k as f64 * 0.01;
            bench.arrive(taken, 10, true);
            assert!(bench.error_s(taken).abs() < 2e-3, "{}", bench.error_s(taken));
        }
    }

    #[test]
    fn nonsense_is_survived() {
        for rate in [f64::NAN, f64::INFINITY, 0.0, -1.0, 1e-300, 1e300] {
            for burst in [f64::NAN, f64::INFINITY, -1.0, 0.0] {
                let mut clock = SampleClock::new(rate, burst);
                for (second, samples) in [(0, 0), (5, u64::MAX / 4), (3, 1), (1 << 40, 7)] {
                    let at = Moment { monotonic: Duration::from_secs(second), utc: Timestamp::MIN };
                    let arrival = Arrival { at, samples, behind: 3, waited: true };
                    let placed = clock.place(arrival);
                    assert!(placed.first_sample <= clock.next_sample());
                    let _ = (clock.sample_at(at), clock.time(u64::MAX));
                }
            }
        }
    }

    #[test]
    fn samples_that_the_device_misses_are_skipped() {
        let mut bench = Bench::new(48_000.0, 0.0);
        for k in 1..=200u64 {
            let mut taken = 10.0 + k as f64 * 0.01;
            if k > 100 {
                taken += 0.5;
            }
            if k == 101 {
                bench.clock.skip(24_000);
            }
            let placed = bench.arrive(taken + 0.001, 480, true);
            assert_eq!(placed.lost, 0);
            assert_eq!(placed.first_sample, (k - 1) * 480 + if k > 100 { 24_000 } else { 0 });
            assert_eq!(placed.time.is_some(), k == 1 || k == 101, "{k}");
            assert!((bench.error_s(taken) - 0.001).abs() < 1e-4);
        }
        assert_eq!(bench.clock.lost_samples(), 24_000);
    }

    #[test]
    fn the_sample_of_an_instant() {
        let watch = Watch::default();
        let mut clock = SampleClock::new(1000.0, 0.0);
        let at = watch.now();
        assert_eq!(clock.sample_at(at), 0);
        assert_eq!(clock.time(0), None);
        clock.place(Arrival { at, samples: 100, behind: 50, waited: true });
        assert_eq!(clock.sample_at(at), 150);
        let later = Moment { monotonic: at.monotonic + Duration::from_millis(20), ..at };
        assert_eq!(clock.sample_at(later), 170);
        let time = clock.time(150).unwrap();
        assert!(time.duration_since(at.utc).abs().as_secs_f64() < 1e-5);
    }
}
