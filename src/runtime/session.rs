//! Runs a source through any number of downlinks into any number of sinks, to the end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::bounded;

use super::collector::{Collector, Told};
use super::ending::join_until;
use super::feed::Feed;
use super::guard;
use super::observer::{self, Observer};
use super::outlet::{Outlet, SinkReport};
use super::reading::{Read, read};
use super::recorder::{Recorder, RecorderReport, RecorderRequest};
use super::status::Status;
use super::supervisor::{Supervisor, Watchdog};
use crate::doppler::refine::Fit;
use crate::dsp::level::Level;
use crate::receiver::diagnosis::{Diagnosis, Evidence, diagnose};
use crate::receiver::surroundings::Surroundings;
use crate::receiver::{Counts, Receiver};
use crate::sink::Sink;
use crate::source::Source;

/// Samples in a block read as fast as possible.
const BLOCK_SAMPLES: usize = 16_384;
/// Duration of a block of what comes in real time.
const PACED_BLOCK_S: f64 = 0.004;
/// What a lane holds, in samples, when reading as fast as possible.
const LANE_SAMPLES: usize = 1 << 19;
/// What a lane holds, in seconds, of what comes in real time.
const PACED_LANE_S: f64 = 3.0;
/// What the recorder's lane holds, in seconds: disks take their time at times.
const RECORDER_LANE_S: f64 = 6.0;
/// At the end a sink, the source and the observer of what comes in real time have so long each.
const PATIENCE: Duration = Duration::from_secs(10);
/// And the recorder, whose lane may be full.
const RECORDER_PATIENCE: Duration = Duration::from_secs(20);
/// Updates on their way to the collector.
const COLLECTOR_UPDATES: usize = 256;

/// A session could not start or did not get to its end.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The runtime could not be set up, or a flowgraph failed in it.
    #[error("flowgraph: {0}")]
    Runtime(String),
    /// The system has no thread to give.
    #[error("cannot start a thread: {0}")]
    Thread(#[from] std::io::Error),
}

/// How fast samples are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Pace {
    /// As fast as the receivers go.
    #[default]
    Free,
    /// A recording, as fast as it was made.
    RealTime,
    /// A radio: it waits for nobody, and what comes too fast is lost and counted.
    Live,
}

/// A source, receivers and sinks, ready to run.
pub struct Session {
    /// Samples in.
    pub source: Box<dyn Source>,
    /// One per downlink.
    pub receivers: Vec<Receiver>,
    /// Frames out.
    pub sinks: Vec<Box<dyn Sink>>,
    /// Samples to disk.
    pub recorder: Option<RecorderRequest>,
    /// Looks at the samples besides.
    pub observer: Option<Box<dyn Observer>>,
    /// How fast samples come.
    pub pace: Pace,
    /// Ends the session when it is set: what was read is still decoded and delivered.
    pub stop: Arc<AtomicBool>,
    /// Told what it is doing.
    pub status: Arc<Status>,
    /// Told what fails while it runs: a sink and the recorder once each, a downlink each time.
    pub on_sink_error: Arc<dyn Fn(&str) + Send + Sync>,
}

/// What became of one downlink.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DownlinkReport {
    /// What it counted.
    pub counts: Counts,
    /// What its frames said about the prediction, if there is one that learns.
    pub fit: Option<Fit>,
    /// What was on the air around it.
    pub surroundings: Surroundings,
    /// How often it was started anew.
    pub restarts: u32,
    /// Why it ended early, if it did.
    pub failure: Option<String>,
}

/// What became of a session.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    /// Frames emitted to the sinks.
    pub frames: u64,
    /// Samples read.
    pub samples: u64,
    /// Their level, as far as it was measured.
    pub level: Level,
    /// Duration of the samples.
    pub signal_s: f64,
    /// Duration of the session.
    pub elapsed_s: f64,
    /// Paced: the most that reading was behind real time.
    pub behind_s: f64,
    /// Samples that the source did not get: jumps of its index.
    pub missing_samples: u64,
    /// Live: samples that came too fast for a receiver.
    pub lost_samples: u64,
    /// Per receiver, in their order.
    pub downlinks: Vec<DownlinkReport>,
    /// Per sink, in their order.
    pub sinks: Vec<SinkReport>,
    /// What was recorded, if that was asked for.
    pub recorder: Option<RecorderReport>,
    /// Why reading stopped early, if it did.
    pub source_failure: Option<String>,
    /// The source's warnings, those from before its first sample included.
    pub source_warnings: Vec<String>,
    /// Numbers of the input that were NaN, infinite or absurdly large and became 0.
    pub replaced_values: u64,
}

impl Summary {
    /// What a downlink saw, and where on the way to frames it ended.
    pub fn diagnosis(&self, downlink: &DownlinkReport) -> Diagnosis {
        diagnose(&Evidence {
            samples: self.samples,
            level: self.level,
            counts: downlink.counts,
            surroundings: downlink.surroundings,
        })
    }

    /// Without any frame: how far the downlink got that got farthest.
    pub fn why_no_frame(&self) -> Option<Diagnosis> {
        let seen = self.downlinks.iter().map(|downlink| self.diagnosis(downlink));
        seen.max_by_key(Diagnosis::progress).filter(|_| self.frames == 0)
    }

    /// Whether everything went to its end.
    pub fn is_clean(&self) -> bool {
        self.source_failure.is_none()
            && self.downlinks.iter().all(|d| d.failure.is_none())
            && self.sinks.iter().all(|s| s.first_error.is_none() && s.failed == 0)
            && self.recorder.iter().all(|r| r.failure.is_none())
    }
}

impl Session {
    /// Runs to the end of the source.
    ///
    /// Failures of the source, a downlink or a sink end that part alone and are in the summary. In
    /// real time a downlink that fails, or makes no progress, is started anew.
    ///
    /// # Errors
    /// The flowgraphs could not be started.
    pub fn run(self) -> Result<Summary, SessionError> {
        let watchdog = (self.pace != Pace::Free).then(Watchdog::default);
        self.run_watched(watchdog)
    }

    pub(super) fn run_watched(self, watchdog: Option<Watchdog>) -> Result<Summary, SessionError> {
        let started = Instant::now();
        let sample_rate_hz = self.source.info().sample_rate_hz;
        let (block_samples, lane_samples) = match self.pace {
            Pace::Free => (BLOCK_SAMPLES, LANE_SAMPLES),
            Pace::RealTime | Pace::Live => (
                ((PACED_BLOCK_S * sample_rate_hz) as usize).max(64),
                (PACED_LANE_S * sample_rate_hz) as usize,
            ),
        };

        self.status.begin(sample_rate_hz, &self.receivers);
        let mut outlets = Vec::new();
        for sink in self.sinks {
            let on_error = self.on_sink_error.clone();
            outlets.push(Outlet::start(sink, self.status.clone(), on_error)?);
        }
        let mut feed = Feed::default();
        let mut recorder = None;
        if let Some(request) = self.recorder {
            let carriers = self
                .receivers
                .iter()
                .map(|r| (r.downlink().origin.clone(), r.downlink().frequency_hz))
                .collect();
            let lane = feed.subscribe_aside(match self.pace {
                Pace::Free => lane_samples,
                Pace::RealTime | Pace::Live => (RECORDER_LANE_S * sample_rate_hz) as usize,
            });
            let say = self.on_sink_error.clone();
            recorder = Some(Recorder::start(request, lane, sample_rate_hz, carriers, say)?);
        }
        let before = self.status.snapshot().input;
        let observation = match self.observer {
            Some(observer) => Some(observer::start(observer, feed.subscribe_aside(lane_samples))?),
            None => None,
        };
        let marks = recorder.as_ref().map(Recorder::frames);

        let downlinks = self.receivers.len();
        let (updates, told) = bounded(COLLECTOR_UPDATES);
        let wait = self.pace == Pace::Free;
        let patience = (!wait).then_some(PATIENCE);
        let collector = Collector { outlets, marks, wait, patience, status: self.status.clone() };
        let collector = std::thread::Builder::new()
            .name("collector".into())
            .spawn(move || collector.run(&told, downlinks))?;

        let say = self.on_sink_error.clone();
        let stop = self.stop.clone();
        let mut supervisor =
            Supervisor::new(&feed, lane_samples, updates.clone(), watchdog, say, stop);
        for mut receiver in self.receivers {
            if self.pace == Pace::Live {
                receiver.set_live();
            }
            supervisor.start(&mut feed, receiver)?;
        }

        let reader = {
            let (source, status, stop, pace) =
                (self.source, self.status.clone(), self.stop.clone(), self.pace);
            std::thread::Builder::new().name("source".into()).spawn(move || {
                guard(move || read(source, feed, &status, &stop, block_samples, pace))
            })?
        };
        let watched = supervisor.run();
        self.stop.store(true, Ordering::Relaxed);
        let until = |patience: Option<Duration>| patience.map(|p| Instant::now() + p);
        // One that hangs has had its time.
        let last = if watched.source_hangs { Some(Duration::ZERO) } else { patience };
        let read = match join_until(reader, until(last)) {
            Some(Ok(Ok(read))) => read,
            Some(Ok(Err(text))) => Read { failure: Some(text), ..Read::default() },
            Some(Err(_)) => {
                Read { failure: Some("the reading thread died".into()), ..Read::default() }
            }
            None => {
                let input = self.status.snapshot().input;
                Read {
                    samples: input.samples.saturating_sub(before.samples),
                    level: input.total.since(&before.total),
                    missing: input.missing.saturating_sub(before.missing),
                    lost: input.lost.saturating_sub(before.lost),
                    failure: Some("the radio does not answer, and is left behind".into()),
                    ..Read::default()
                }
            }
        };
        // A flowgraph that hangs holds the channel, too.
        let _ = updates.send(Told::End);
        let collected = collector
            .join()
            .map_err(|_| SessionError::Runtime("the collector's thread died".to_owned()))?;
        let say = &self.on_sink_error;
        let last = until(patience.map(|_| RECORDER_PATIENCE));
        let recorder = recorder.map(|recorder| recorder.finish(last));
        self.status.end();
        // Its panics are contained within.
        if observation.is_some_and(|thread| join_until(thread, until(patience)).is_none()) {
            say("what looks at the samples does not answer, and is left behind");
        }
        Ok(Summary {
            frames: collected.frames,
            samples: read.samples,
            level: read.level,
            signal_s: read.samples as f64 / sample_rate_hz,
            elapsed_s: started.elapsed().as_secs_f64(),
            behind_s: read.behind.as_secs_f64(),
            missing_samples: read.missing,
            lost_samples: read.lost,
            downlinks: collected
                .downlinks
                .into_iter()
                .zip(watched.downlinks)
                .map(|(account, (restarts, failure))| DownlinkReport {
                    counts: account.counts,
                    fit: account.fit,
                    surroundings: account.surroundings,
                    restarts,
                    failure,
                })
                .collect(),
            sinks: collected.sinks,
            recorder,
            source_failure: read.failure,
            source_warnings: read.warnings,
            replaced_values: read.replaced_values,
        })
    }
}
