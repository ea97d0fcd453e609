//! A frequency that is set in steps, continued between them.
//!
//! A tracking program sets a radio's frequency once a second or so. Followed as it comes, the
//! signal would saw: at 150 Hz/s by 150 Hz. So the rate seen between the last settings is
//! continued: `f(t) = f_n + r·(t - t_n)`, with `r` the slope over the last three settings (less
//! noise from the jitter of their arrival and from whole hertz than over two; the age of the slope
//! costs 1 Hz at 2 Hz/s²), for at most twice the last interval: a program that has stopped leaves
//! the frequency where it is.
//!
//! A step that does not fit is a hand on the dial: more than 500 Hz for each second (2 kHz at
//! most) away from the continuation, more than 20 kHz from the last setting, or after more than
//! 10 s. Then the rate is 0 until it is seen anew. Two steps in a row that agree are no hand but a fast satellite (1 kHz/s at S band), and
//! are followed.

/// A step further from the continuation than this, for each second since the last setting, is a
/// jump.
const JUMP_HZ_PER_S: f64 = 500.0;
/// A change by more than this is a jump in any case.
const JUMP_HZ: f64 = 20_000.0;
/// Settings closer together than this are one, of which the last counts.
const SHORTEST_INTERVAL_S: f64 = 0.02;
/// Steps further apart than this say nothing about a rate.
const LONGEST_INTERVAL_S: f64 = 10.0;
/// No more than so many seconds count for a jump: 2 kHz after a long rest is a hand.
const JUMP_S: f64 = 4.0;
/// A rate is continued for so many intervals.
const CONTINUED_INTERVALS: f64 = 2.0;

#[derive(Debug, Clone, Copy, PartialEq)]
struct Step {
    time_s: f64,
    frequency_hz: f64,
}

/// The frequency wanted, at an instant.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Wanted {
    /// Hz.
    pub frequency_hz: f64,
    /// How fast it changes now, Hz/s.
    pub rate_hz_per_s: f64,
}

/// The last settings and what follows from them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SteppedFrequency {
    last: Option<Step>,
    /// Settings before the last one that lie on one sweep with it, newest first.
    earlier: [Option<Step>; 2],
    /// From the last but one to the last, s.
    interval_s: f64,
    rate_hz_per_s: f64,
    /// The slope of the last step, if it was too steep to be followed at once.
    doubted_hz_per_s: Option<f64>,
}

impl SteppedFrequency {
    /// Nothing set yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The frequency is set to `frequency_hz` at `time_s` (seconds of any clock that does not go
    /// back). What is not finite is ignored.
    pub fn set(&mut self, time_s: f64, frequency_hz: f64) {
        if !(time_s.is_finite() && frequency_hz.is_finite()) {
            return;
        }
        let step = Step { time_s, frequency_hz };
        let Some(last) = self.last else {
            self.last = Some(step);
            return;
        };
        let interval_s = time_s - last.time_s;
        if (0.0..SHORTEST_INTERVAL_S).contains(&interval_s) {
            // Set twice in one go: as if the first had not been.
            let [previous, older] = self.earlier;
            let Some(previous) = previous else {
                *self = Self { last: Some(step), ..Self::default() };
                return;
            };
            *self = Self { last: Some(previous), earlier: [older, None], ..Self::default() };
            self.fit();
            self.set(time_s, frequency_hz);
            return;
        }
        let change_hz = frequency_hz - last.frequency_hz;
        if !(0.0..=LONGEST_INTERVAL_S).contains(&interval_s) || change_hz.abs() > JUMP_HZ {
            *self = Self { last: Some(step), ..Self::default() };
            return;
        }
        let slope_hz_per_s = change_hz / interval_s;
        // The continuation without its end: a late setting is no jump.
        let miss_hz = change_hz - self.rate_hz_per_s * interval_s;
        let agrees = |slope: f64| (slope_hz_per_s - slope).abs() <= JUMP_HZ_PER_S;
        if miss_hz.abs() > JUMP_HZ_PER_S * interval_s.min(JUMP_S) {
            let confirmed = self.doubted_hz_per_s.is_some_and(agrees);
            *self = Self { last: Some(step), ..Self::default() };
            if confirmed {
                self.earlier = [Some(last), None];
                self.fit();
            } else {
                self.doubted_hz_per_s = Some(slope_hz_per_s);
            }
            return;
        }
        self.earlier = [Some(last), self.earlier[0]];
        self.last = Some(step);
        self.doubted_hz_per_s = None;
        self.fit();
    }

    /// Interval and rate from the settings held.
    fn fit(&mut self) {
        let (Some(last), [Some(previous), older]) = (self.last, self.earlier) else {
            self.interval_s = 0.0;
            self.rate_hz_per_s = 0.0;
            return;
        };
        let first = older.unwrap_or(previous);
        self.interval_s = last.time_s - previous.time_s;
        // Least squares over three almost equally spaced settings is the slope of the outer two.
        self.rate_hz_per_s =
            (last.frequency_hz - first.frequency_hz) / (last.time_s - first.time_s);
    }

    /// The frequency wanted at `time_s`; before the last setting it is that setting. `None` if
    /// nothing was set yet.
    pub fn at(&self, time_s: f64) -> Option<Wanted> {
        let last = self.last?;
        let age_s = time_s - last.time_s;
        let end_s = CONTINUED_INTERVALS * self.interval_s;
        // NaN is in no range.
        let running = (0.0..end_s).contains(&age_s);
        let continued_s = if age_s >= end_s { end_s } else { age_s.max(0.0) };
        Some(Wanted {
            frequency_hz: last.frequency_hz + self.rate_hz_per_s * continued_s,
            rate_hz_per_s: if running { self.rate_hz_per_s } else { 0.0 },
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn set(settings: &[(f64, f64)]) -> SteppedFrequency {
        let mut track = SteppedFrequency::new();
        for &(time_s, frequency_hz) in settings {
            track.set(time_s, frequency_hz);
        }
        track
    }

    fn at(track: &SteppedFrequency, time_s: f64) -> f64 {
        track.at(time_s).unwrap().frequency_hz
    }

    #[test]
    fn nothing_before_the_first_setting_and_a_constant_after_it() {
        assert_eq!(SteppedFrequency::new().at(0.0), None);
        let track = set(&[(5.0, 437.5e6)]);
        for time_s in [4.0, 5.0, 6.0, 1e9, f64::INFINITY, f64::NAN] {
            let wanted = track.at(time_s).unwrap();
            assert_eq!((wanted.frequency_hz, wanted.rate_hz_per_s), (437.5e6, 0.0));
        }
    }

    #[test]
    fn the_rate_is_continued_for_two_intervals() {
        let track = set(&[(0.0, 1000.0), (1.0, 900.0), (2.0, 800.0)]);
        assert_eq!(at(&track, 2.0), 800.0);
        assert_eq!(at(&track, 2.5), 750.0);
        assert_eq!(track.at(2.5).unwrap().rate_hz_per_s, -100.0);
        assert_eq!(at(&track, 4.0), 600.0);
        assert_eq!(at(&track, 4.1), 600.0);
        assert_eq!(track.at(4.1).unwrap().rate_hz_per_s, 0.0);
        assert_eq!(at(&track, 1e9), 600.0);
        assert_eq!(at(&track, 1.0), 800.0);
        assert_eq!(at(&set(&[(0.0, 1000.0), (1.0, 900.0)]), 1.5), 850.0);
    }

    #[test]
    fn an_overhead_pass_in_steps_of_a_second_stays_within_a_few_hertz() {
        // Steepest at t = 0: -150 Hz/s; asymptotes ±10 kHz.
        let truth = |t: f64| -10_000.0 * (t / 66.7) / (1.0 + (t / 66.7).powi(2)).sqrt();
        let mut track = SteppedFrequency::new();
        let (mut worst, mut stair): (f64, f64) = (0.0, 0.0);
        for second in -300..300 {
            let t = f64::from(second);
            track.set(t, 437.5e6 + truth(t).round());
            if second < -297 {
                continue;
            }
            for tenth in 0..10 {
                let now = t + f64::from(tenth) / 10.0;
                worst = worst.max((at(&track, now) - 437.5e6 - truth(now)).abs());
                stair = stair.max((truth(t) - truth(now)).abs());
            }
        }
        assert!(stair > 130.0, "{stair}");
        assert!(worst < 4.0, "{worst}");
    }

    #[test]
    fn a_hand_on_the_dial_stops_the_sweep() {
        let sweep = [(0.0, 0.0), (1.0, 100.0), (2.0, 200.0)];
        for jump in [900.0, -400.0, 19_000.0, 30_000.0, -30_000.0, 1e9] {
            let mut track = set(&sweep);
            track.set(3.0, jump);
            assert_eq!(at(&track, 3.9), jump);
            track.set(4.0, jump + 100.0);
            assert_eq!(at(&track, 4.5), jump + 150.0, "{jump}: the sweep goes on from there");
        }
        let mut track = set(&sweep);
        track.set(30.0, 3000.0);
        assert_eq!(at(&track, 31.0), 3000.0, "nothing follows from a setting after long rest");
        let mut track = set(&sweep);
        track.set(10.0, 4000.0);
        assert_eq!(at(&track, 11.0), 4000.0, "2 kHz from the continuation after 8 s is a hand");
    }

    #[test]
    fn a_fast_satellite_is_followed_from_its_third_setting() {
        let track = set(&[(0.0, 0.0), (1.0, -1000.0), (2.0, -2010.0)]);
        assert_eq!(at(&track, 2.5), -2515.0);
        let track = set(&[(0.0, 0.0), (1.0, -1000.0), (2.0, -2010.0), (3.0, -3000.0)]);
        assert!((at(&track, 3.5) + 3500.0).abs() < 5.0);
    }

    #[test]
    fn two_settings_in_one_go_count_as_the_second() {
        let track = set(&[(0.0, 0.0), (1.0, 100.0), (2.0, 477.0), (2.001, 200.0)]);
        assert!((at(&track, 2.5) - 250.0).abs() < 0.5);
        let track = set(&[(0.0, 5.0), (0.0, 7.0)]);
        assert_eq!(at(&track, 1.0), 7.0);
        let back = set(&[(10.0, 0.0), (11.0, 100.0), (5.0, 50.0)]);
        assert_eq!(at(&back, 6.0), 50.0);
    }

    proptest! {
        #[test]
        fn any_settings_give_finite_frequencies_near_the_last(
            settings in prop::collection::vec(
                (prop::num::f64::ANY, 0.0..300e9_f64).prop_map(|(t, f)| (t % 100.0, f)), 0..20),
            time_s in prop::num::f64::ANY,
        ) {
            let mut track = SteppedFrequency::new();
            for &(t, f) in &settings {
                track.set(t, f);
                track.set(t, f64::NAN);
                let wanted = track.at(time_s);
                if t.is_finite() {
                    prop_assert!((wanted.unwrap().frequency_hz - f).abs() <= 2.0 * JUMP_HZ + 1e-3);
                }
                prop_assert!(wanted.is_none_or(|w| w.rate_hz_per_s.is_finite()));
            }
        }
    }
}
