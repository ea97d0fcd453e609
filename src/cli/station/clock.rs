//! The station's time: the computer's, or a simulated one that runs faster.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tulpar::doppler::{after, seconds_between};

/// No wait is longer: a clock may be set, and somebody wants to hear that the loop is alive.
pub const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// How often a wait looks whether it is to end.
const TICK: Duration = Duration::from_millis(50);
/// A wall clock that is off the monotonic one by more has been set, s.
const STEP_S: f64 = 1.0;

/// A number for one who holds a clock.
pub fn holder() -> u64 {
    static NUMBER: AtomicU64 = AtomicU64::new(1);
    NUMBER.fetch_add(1, Ordering::Relaxed)
}

/// Time as the station sees it.
pub trait Clock: Send + Sync {
    /// Now.
    fn now(&self) -> Timestamp;

    /// By how many seconds it was set, if it was, since this was last asked.
    fn stepped_s(&self) -> Option<f64> {
        None
    }

    /// Seconds of the station in a second of the world.
    fn pace(&self) -> f64 {
        1.0
    }

    /// A simulated clock does not go on beyond `time` by more than a little until `who` says so.
    /// `None`: as far as he is concerned it may.
    fn hold(&self, _who: u64, _time: Option<Timestamp>) {}

    /// Waits until `time`, until `stop` is set, or for `longest`.
    fn wait_until(&self, time: Timestamp, longest: Duration, stop: &AtomicBool) {
        let began = Instant::now();
        while !stop.load(Ordering::Relaxed) {
            let left_s = seconds_between(self.now(), time) / self.pace();
            let longest = longest.saturating_sub(began.elapsed());
            let left = Duration::try_from_secs_f64(left_s).unwrap_or_default().min(longest);
            if left.is_zero() {
                return;
            }
            std::thread::sleep(left.min(TICK));
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The computer's clock.
pub struct WallClock {
    steps: Mutex<StepWatch>,
}

impl Default for WallClock {
    fn default() -> Self {
        Self { steps: Mutex::new(StepWatch { wall: Timestamp::now(), steady: Instant::now() }) }
    }
}

impl Clock for WallClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn stepped_s(&self) -> Option<f64> {
        lock(&self.steps).step_s(Timestamp::now(), Instant::now())
    }
}

/// Compares the wall clock with one that is never set.
struct StepWatch {
    wall: Timestamp,
    steady: Instant,
}

impl StepWatch {
    /// The step since the last call, s. A clock that is slewed does not step.
    fn step_s(&mut self, wall: Timestamp, steady: Instant) -> Option<f64> {
        let passed_s = steady.saturating_duration_since(self.steady).as_secs_f64();
        let step_s = seconds_between(self.wall, wall) - passed_s;
        *self = Self { wall, steady };
        Some(step_s).filter(|s| s.abs() > STEP_S)
    }
}

/// A clock of a rehearsal. It waits for whatever the computer is too slow for: simulated radios, reports,
/// plans.
pub struct SimulatedClock {
    pace: f64,
    state: Mutex<State>,
}

struct State {
    /// The station's time at an instant of the world.
    at: (Timestamp, Instant),
    /// How far those have come who hold it.
    held: BTreeMap<u64, Timestamp>,
}

/// Whoever holds the clock may be so far behind, s of the station.
const SLACK_S: f64 = 2.0;

impl SimulatedClock {
    /// Begins now with `start`, and runs `pace` times as fast as the world.
    pub fn new(start: Timestamp, pace: f64) -> Self {
        let state = State { at: (start, Instant::now()), held: BTreeMap::new() };
        Self { pace, state: Mutex::new(state) }
    }
}

impl State {
    fn now(&mut self, pace: f64, instant: Instant) -> Timestamp {
        let passed_s = instant.saturating_duration_since(self.at.1).as_secs_f64();
        let time = after(self.at.0, passed_s * pace);
        let limit = self.held.values().min().map(|time| after(*time, SLACK_S));
        match limit {
            // Never backwards.
            Some(limit) if time > limit => {
                let time = limit.max(self.at.0);
                self.at = (time, instant);
                time
            }
            _ => time,
        }
    }
}

impl Clock for SimulatedClock {
    fn now(&self) -> Timestamp {
        lock(&self.state).now(self.pace, Instant::now())
    }

    fn pace(&self) -> f64 {
        self.pace
    }

    fn hold(&self, who: u64, time: Option<Timestamp>) {
        let mut state = lock(&self.state);
        // What has passed under the old limits stays so.
        let now = state.now(self.pace, Instant::now());
        state.at = (now, Instant::now());
        match time {
            Some(time) => state.held.insert(who, time),
            None => state.held.remove(&who),
        };
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    fn start() -> Timestamp {
        "2026-11-22T12:00:00Z".parse().unwrap()
    }

    #[test]
    fn a_step_is_told_once_and_a_slew_is_none() {
        let began = Instant::now();
        let mut watch = StepWatch { wall: start(), steady: began };
        let at = |s: f64| began + Duration::from_secs_f64(s);
        assert_eq!(watch.step_s(after(start(), 10.0), at(10.0)), None);
        assert!((watch.step_s(after(start(), 80.0), at(20.0)).unwrap() - 60.0).abs() < 1e-6);
        assert_eq!(watch.step_s(after(start(), 90.0), at(30.0)), None);
        assert!((watch.step_s(start(), at(40.0)).unwrap() + 100.0).abs() < 1e-6);
        for k in 1..1000 {
            let s = f64::from(k) * 10.0;
            assert_eq!(watch.step_s(after(start(), 1.0005 * s), at(40.0 + s)), None);
        }
    }

    #[test]
    fn a_simulated_clock_runs_fast_and_waits_for_who_is_slow() {
        let began = Instant::now();
        let mut state = State { at: (start(), began), held: BTreeMap::new() };
        let at = |s: f64| began + Duration::from_secs_f64(s);
        assert_eq!(state.now(60.0, at(1.0)), after(start(), 60.0));
        state.held.insert(1, after(start(), 70.0));
        state.held.insert(2, after(start(), 1000.0));
        assert_eq!(state.now(60.0, at(10.0)), after(start(), 70.0 + SLACK_S));
        // It goes on from where it waited.
        state.held.remove(&1);
        let time = state.now(60.0, at(11.0));
        assert!((seconds_between(start(), time) - (72.0 + 60.0)).abs() < 1e-6);
        state.held.insert(1, start());
        assert!(state.now(60.0, at(11.0)) >= after(start(), 72.0));
        let clock = SimulatedClock::new(start(), 1e4);
        clock.wait_until(after(start(), 1000.0), LONGEST_WAIT, &AtomicBool::new(false));
        assert!(seconds_between(start(), clock.now()) >= 999.0);
        let waited = Instant::now();
        let stop = AtomicBool::new(true);
        WallClock::default().wait_until(Timestamp::MAX, LONGEST_WAIT, &stop);
        assert!(waited.elapsed() < Duration::from_secs(1));
    }
}
