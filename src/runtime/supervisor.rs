//! Starts the flowgraphs, and starts another in the place of one that fails or hangs.
//!
//! ```text
//!            ┌──────────────── ended, or 5 s without a beat ──────────────┐
//!  blueprint ┴► receiver ► lane ► flowgraph ► waiter's thread ─► supervisor ─► pause ─► again
//! ```
//!
//! A flowgraph **fails** when its receiver panics; it **hangs** when samples wait in its lane and it
//! takes none of them for [`Watchdog::patience`] turns of the watch. Turns are counted, not time:
//! a process that was stopped (`kill -STOP`, a suspended laptop) finds all its flowgraphs alive.
//!
//! What runs inside a block cannot be ended from outside. A flowgraph that hangs is left behind with
//! its thread: its lane is closed, what it says later does not count, and new flowgraphs get a
//! runtime with all its workers. That costs memory, so it is done [`Watchdog::most_left`] times at most.
//!
//! A source that does not end when it is told to is left behind as well: its lanes are ended for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver as ChannelReceiver, RecvTimeoutError, Sender, unbounded};
use futuresdr::runtime::Flowgraph;

use super::blocks::{CollectorTap, Pulse, ReceiverBlock};
use super::collector::Told;
use super::feed::{Door, Feed, LaneGauge, LaneReceiver};
use super::session::SessionError;
use super::{Shared, guard, leave_runtime, runtime};
use crate::receiver::{Blueprint, Receiver};

/// After the end of the source a flowgraph has so many times as long to finish.
const LAST_PATIENCE: u32 = 6;
/// And the source, from when it was told to stop.
const SOURCE_PATIENCE: u32 = 2;

/// When a flowgraph is started anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Watchdog {
    /// Between two looks.
    pub turn: Duration,
    /// So many looks without progress are a hang.
    pub patience: u32,
    /// Before the first restart; doubles from one to the next.
    pub first_pause: Duration,
    /// No pause is longer; and what has run for so long is well again.
    pub longest_pause: Duration,
    /// Most flowgraphs of a session that are left behind.
    pub most_left: u32,
}

impl Default for Watchdog {
    fn default() -> Self {
        Self {
            turn: Duration::from_millis(250),
            patience: 20,
            first_pause: Duration::from_millis(500),
            longest_pause: Duration::from_secs(60),
            most_left: 16,
        }
    }
}

/// A flowgraph has come to its end.
struct Ended {
    downlink: usize,
    generation: u32,
    error: Option<String>,
}

/// Where a downlink is.
enum State {
    /// In a flowgraph.
    Running {
        pulse: Arc<Pulse>,
        gauge: LaneGauge,
        runtime: Shared,
        since: Instant,
        /// Beats at the last look, and looks since they changed.
        beats: u64,
        quiet: u32,
    },
    /// Between two flowgraphs.
    Pausing { until: Instant },
    /// For good.
    Ended,
}

struct Post {
    /// For messages.
    name: String,
    blueprint: Blueprint,
    state: State,
    generation: u32,
    /// Failures in a row.
    failures: u32,
    restarts: u32,
    /// Why it is not running.
    failure: Option<String>,
}

/// Keeps the flowgraphs of a session going.
pub(super) struct Supervisor {
    /// `None`: lanes cannot be added, and nothing is started anew.
    watch: Option<(Watchdog, Door)>,
    lane_samples: usize,
    updates: Sender<Told>,
    say: Arc<dyn Fn(&str) + Send + Sync>,
    ended: (Sender<Ended>, ChannelReceiver<Ended>),
    posts: Vec<Post>,
    left: u32,
    stop: Arc<AtomicBool>,
    /// Looks since it was set.
    stopping: u32,
    source_hangs: bool,
}

/// What became of what was watched.
pub(super) struct Watched {
    /// Per downlink: how often it was started anew, and why it ended early, if it did.
    pub downlinks: Vec<(u32, Option<String>)>,
    /// The source did not end when it was told to.
    pub source_hangs: bool,
}

impl Supervisor {
    /// For the lanes of `feed`, which hold `lane_samples` each. `say` is told what fails. `stop` tells
    /// the source to end.
    pub fn new(
        feed: &Feed,
        lane_samples: usize,
        updates: Sender<Told>,
        watchdog: Option<Watchdog>,
        say: Arc<dyn Fn(&str) + Send + Sync>,
        stop: Arc<AtomicBool>,
    ) -> Self {
        let watch = watchdog.map(|watchdog| (watchdog, feed.door()));
        let (posts, left) = (Vec::new(), 0);
        Self {
            watch,
            lane_samples,
            updates,
            say,
            ended: unbounded(),
            posts,
            left,
            stop,
            stopping: 0,
            source_hangs: false,
        }
    }

    /// Starts the next downlink, before samples come.
    ///
    /// # Errors
    /// The flowgraph cannot be started.
    pub fn start(&mut self, feed: &mut Feed, receiver: Receiver) -> Result<(), SessionError> {
        let origin = &receiver.downlink().origin;
        let mode =
            || format!("{} {} Bd {}", origin.modulation, origin.symbol_rate_bd, origin.framing);
        let name = origin.downlink.clone().unwrap_or_else(mode);
        let blueprint = receiver.blueprint();
        let lane = feed.subscribe(self.lane_samples);
        let state = self.launch((self.posts.len(), 0), lane, receiver)?;
        self.posts.push(Post {
            name,
            blueprint,
            state,
            generation: 0,
            failures: 0,
            restarts: 0,
            failure: None,
        });
        Ok(())
    }

    /// A flowgraph for one receiver, and a thread that waits for its end.
    fn launch(
        &self,
        (downlink, generation): (usize, u32),
        lane: LaneReceiver,
        receiver: Receiver,
    ) -> Result<State, SessionError> {
        let runtime = runtime()?;
        let (pulse, gauge) = (Arc::new(Pulse::default()), lane.gauge());
        let mut flowgraph = Flowgraph::new();
        let block = ReceiverBlock::new((downlink, generation), lane, receiver, pulse.clone());
        let block = flowgraph.add(block);
        let tap = flowgraph.add(CollectorTap::new(self.updates.clone()));
        let flowgraph = flowgraph
            .message(block, "frames", tap, "updates")
            .and_then(|()| runtime.start(flowgraph))
            .map_err(|error| SessionError::Runtime(error.to_string()))?;
        let ended = self.ended.0.clone();
        std::thread::Builder::new().name("flowgraph".into()).spawn(move || {
            let error = match guard(|| flowgraph.wait().map(drop)) {
                Ok(outcome) => outcome.err().map(|error| error.to_string()),
                Err(text) => Some(text),
            };
            let _ = ended.send(Ended { downlink, generation, error });
        })?;
        Ok(State::Running { pulse, gauge, runtime, since: Instant::now(), beats: 0, quiet: 0 })
    }

    /// Watches until every downlink has ended.
    pub fn run(mut self) -> Watched {
        let turn = self.watch.as_ref().map_or(Duration::MAX, |(watchdog, _)| watchdog.turn);
        let mut looked = Instant::now();
        while self.posts.iter().any(|post| !matches!(post.state, State::Ended)) {
            let received = match turn.checked_sub(looked.elapsed()) {
                _ if self.watch.is_none() => {
                    self.ended.1.recv().map_err(|_| RecvTimeoutError::Disconnected)
                }
                Some(left) => self.ended.1.recv_timeout(left),
                None => Err(RecvTimeoutError::Timeout),
            };
            match received {
                Ok(ended) => self.take(ended),
                Err(RecvTimeoutError::Timeout) => {
                    looked = Instant::now();
                    self.look();
                }
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        let source_hangs = self.source_hangs;
        let downlinks = self.posts.into_iter().map(|post| (post.restarts, post.failure)).collect();
        Watched { downlinks, source_hangs }
    }

    /// A flowgraph has ended.
    fn take(&mut self, ended: Ended) {
        let Some(post) = self.posts.get_mut(ended.downlink) else { return };
        if post.generation != ended.generation {
            return;
        }
        let State::Running { pulse, .. } = &post.state else { return };
        match pulse.failure.get().cloned().or(ended.error) {
            None => post.state = State::Ended,
            Some(why) => self.fail(ended.downlink, why),
        }
    }

    /// A downlink has no flowgraph any more.
    fn fail(&mut self, downlink: usize, why: String) {
        let Some(post) = self.posts.get_mut(downlink) else { return };
        let since = match &post.state {
            State::Running { since, .. } => since.elapsed(),
            _ => Duration::ZERO,
        };
        post.failure = Some(why);
        post.state = State::Ended;
        let Some((watchdog, door)) = &self.watch else { return };
        post.generation += 1;
        // In any case: the others' frames are not kept waiting for its own.
        let _ = self.updates.send(Told::Vacant { downlink, generation: post.generation });
        if door.has_ended() {
            return;
        }
        let why = post.failure.as_deref().unwrap_or_default();
        if self.left >= watchdog.most_left {
            (self.say)(&format!(
                "downlink {}: {why}; it is not started anew, since {} receivers have been left \
                 behind",
                post.name, self.left
            ));
            return;
        }
        if since >= watchdog.longest_pause {
            post.failures = 0;
        }
        let factor = 1u32.checked_shl(post.failures).unwrap_or(u32::MAX);
        let pause = watchdog.first_pause.saturating_mul(factor).min(watchdog.longest_pause);
        post.failures = post.failures.saturating_add(1);
        post.state = State::Pausing { until: Instant::now() + pause };
        (self.say)(&format!(
            "downlink {}: {why}; it is started anew in {:.1} s",
            post.name,
            pause.as_secs_f64()
        ));
    }

    /// Looks at everybody once.
    fn look(&mut self) {
        let Some((watchdog, door)) = &self.watch else { return };
        let (patience, over) = (watchdog.patience, door.has_ended());
        if !over && self.stop.load(Ordering::Relaxed) {
            self.stopping += 1;
            if self.stopping >= SOURCE_PATIENCE * patience {
                self.source_hangs = true;
                door.end();
            }
        }
        for downlink in 0..self.posts.len() {
            let post = &mut self.posts[downlink];
            match &mut post.state {
                State::Running { pulse, gauge, beats, quiet, runtime, .. } => {
                    let now = pulse.beats.load(Ordering::Relaxed);
                    if now != *beats || !over && gauge.waiting_samples() == 0 {
                        (*beats, *quiet) = (now, 0);
                        continue;
                    }
                    *quiet += 1;
                    if *quiet < if over { LAST_PATIENCE * patience } else { patience } {
                        continue;
                    }
                    gauge.close();
                    leave_runtime(runtime);
                    self.left += 1;
                    self.fail(downlink, "makes no progress".to_owned());
                }
                State::Pausing { until } if over || *until <= Instant::now() => {
                    self.renew(downlink)
                }
                State::Pausing { .. } | State::Ended => {}
            }
        }
    }

    /// The pause is over.
    fn renew(&mut self, downlink: usize) {
        let Some((_, door)) = &self.watch else { return };
        if door.has_ended() {
            self.posts[downlink].state = State::Ended;
            return;
        }
        let place = (downlink, self.posts[downlink].generation);
        let built = guard(|| self.posts[downlink].blueprint.build().map_err(|e| e.to_string()));
        let launched = built.and_then(|built| built).and_then(|receiver| {
            let lane = door.subscribe(self.lane_samples);
            self.launch(place, lane, receiver).map_err(|error| error.to_string())
        });
        match launched {
            Ok(state) => {
                let post = &mut self.posts[downlink];
                post.state = state;
                post.restarts += 1;
                post.failure = None;
            }
            Err(why) => self.fail(downlink, why),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests;
