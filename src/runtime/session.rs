//! Runs a source through any number of downlinks into any number of sinks, to the end.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver as ChannelReceiver, Sender, bounded};
use futuresdr::runtime::Flowgraph;

use super::blocks::{CollectorTap, ReceiverBlock, Update};
use super::feed::Feed;
use super::observer::{self, Observer};
use super::outlet::{Outlet, SinkReport};
use super::recorder::{self, Recorder, RecorderReport, RecorderRequest};
use super::{guard, runtime};
use crate::doppler::refine::Fit;
use crate::frame::Frame;
use crate::receiver::merge::Merger;
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

/// How far a running session is, for whoever shows it.
#[derive(Debug, Default)]
pub struct Progress {
    /// Samples read from the source.
    pub samples: AtomicU64,
    /// Frames emitted.
    pub frames: AtomicU64,
    /// Samples lost, before or after they came in.
    pub lost: AtomicU64,
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
    /// Told how far it is.
    pub progress: Arc<Progress>,
    /// Told, once per sink, that it failed; likewise of the recorder.
    pub on_sink_error: Arc<dyn Fn(&str) + Send + Sync>,
}

/// What became of one downlink.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DownlinkReport {
    /// What it counted.
    pub counts: Counts,
    /// What its frames said about the prediction, if there is one that learns.
    pub fit: Option<Fit>,
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
    /// Failures of the source, a downlink or a sink end that part alone and are in the summary.
    ///
    /// # Errors
    /// The flowgraphs could not be started.
    pub fn run(self) -> Result<Summary, SessionError> {
        let started = Instant::now();
        let runtime = runtime()?;
        let sample_rate_hz = self.source.info().sample_rate_hz;
        let (block_samples, lane_samples) = match self.pace {
            Pace::Free => (BLOCK_SAMPLES, LANE_SAMPLES),
            Pace::RealTime | Pace::Live => (
                ((PACED_BLOCK_S * sample_rate_hz) as usize).max(64),
                (PACED_LANE_S * sample_rate_hz) as usize,
            ),
        };

        let mut outlets = Vec::new();
        for sink in self.sinks {
            let on_error = self.on_sink_error.clone();
            outlets.push(Outlet::start(sink, move |text| on_error(text))?);
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
        let observation = match self.observer {
            Some(observer) => Some(observer::start(observer, feed.subscribe_aside(lane_samples))?),
            None => None,
        };
        let marks = recorder.as_ref().map(Recorder::frames);

        let downlinks = self.receivers.len();
        let (updates, collected) = bounded(COLLECTOR_UPDATES);
        let (progress, wait) = (self.progress.clone(), self.pace == Pace::Free);
        let collector = std::thread::Builder::new()
            .name("collector".into())
            .spawn(move || collect(&collected, downlinks, outlets, marks, wait, &progress))?;

        let stop = self.stop.clone();
        let mut running = Vec::new();
        for (index, receiver) in self.receivers.into_iter().enumerate() {
            let failure = Arc::new(OnceLock::new());
            let lane = feed.subscribe(lane_samples);
            let mut flowgraph = Flowgraph::new();
            let block = flowgraph.add(ReceiverBlock::new(index, lane, receiver, failure.clone()));
            let tap = flowgraph.add(CollectorTap::new(updates.clone()));
            let started = flowgraph
                .message(block, "frames", tap, "updates")
                .and_then(|()| runtime.start(flowgraph));
            match started {
                Ok(flowgraph) => running.push((flowgraph, failure)),
                Err(error) => return Err(SessionError::Runtime(error.to_string())),
            }
        }
        drop(updates);

        let reader = {
            let (source, progress, stop, pace) =
                (self.source, self.progress, stop.clone(), self.pace);
            std::thread::Builder::new().name("source".into()).spawn(move || {
                guard(move || read(source, feed, &progress, &stop, block_samples, pace))
            })?
        };

        let mut failures = Vec::new();
        for (flowgraph, failure) in running {
            let ended = flowgraph.wait();
            let text = failure.get().cloned().or_else(|| ended.err().map(|e| e.to_string()));
            failures.push(text);
        }
        stop.store(true, Ordering::Relaxed);
        let read = match reader.join() {
            Ok(Ok(read)) => read,
            Ok(Err(text)) => Read { failure: Some(text), ..Read::default() },
            Err(_) => Read { failure: Some("the reading thread died".into()), ..Read::default() },
        };
        let collected = collector
            .join()
            .map_err(|_| SessionError::Runtime("the collector's thread died".to_owned()))?;
        let recorder = recorder.map(Recorder::finish);
        // Its panics are contained within.
        let _ = observation.map(std::thread::JoinHandle::join);
        Ok(Summary {
            frames: collected.frames,
            samples: read.samples,
            signal_s: read.samples as f64 / sample_rate_hz,
            elapsed_s: started.elapsed().as_secs_f64(),
            behind_s: read.behind.as_secs_f64(),
            missing_samples: read.missing,
            lost_samples: read.lost,
            downlinks: collected
                .downlinks
                .into_iter()
                .zip(failures)
                .map(|((counts, fit), failure)| DownlinkReport { counts, fit, failure })
                .collect(),
            sinks: collected.sinks,
            recorder,
            source_failure: read.failure,
            source_warnings: read.warnings,
            replaced_values: read.replaced_values,
        })
    }
}

/// What the source's thread has to say in the end.
#[derive(Debug, Default)]
struct Read {
    samples: u64,
    missing: u64,
    lost: u64,
    behind: Duration,
    failure: Option<String>,
    warnings: Vec<String>,
    replaced_values: u64,
}

fn read(
    mut source: Box<dyn Source>,
    feed: Feed,
    progress: &Progress,
    stop: &AtomicBool,
    block_samples: usize,
    pace: Pace,
) -> Read {
    let mut read = read_blocks(&mut *source, feed, progress, stop, block_samples, pace);
    read.warnings.clone_from(&source.info().warnings);
    read.replaced_values = source.replaced_values();
    read
}

fn read_blocks(
    source: &mut dyn Source,
    mut feed: Feed,
    progress: &Progress,
    stop: &AtomicBool,
    block_samples: usize,
    pace: Pace,
) -> Read {
    let started = Instant::now();
    let sample_rate_hz = source.info().sample_rate_hz;
    let mut read = Read::default();
    let mut next_sample = None;
    while !stop.load(Ordering::Relaxed) {
        let mut block = feed.pool.take();
        match source.read(&mut block, block_samples) {
            Ok(true) => {}
            Ok(false) => return read,
            Err(error) => {
                read.failure = Some(error.to_string());
                return read;
            }
        }
        read.samples += block.samples.len() as u64;
        read.missing += next_sample.map_or(0, |next| block.first_sample.saturating_sub(next));
        next_sample = Some(block.first_sample + block.samples.len() as u64);
        progress.samples.store(read.samples, Ordering::Relaxed);
        if pace == Pace::RealTime {
            let due = Duration::from_secs_f64(read.samples as f64 / sample_rate_hz);
            match due.checked_sub(started.elapsed()) {
                Some(early) => std::thread::sleep(early),
                None => read.behind = read.behind.max(started.elapsed() - due),
            }
        }
        let listened = if pace == Pace::Live {
            let listened = feed.offer(block);
            read.lost = feed.lost_samples();
            listened
        } else {
            feed.publish(block, stop)
        };
        progress.lost.store(read.missing + read.lost, Ordering::Relaxed);
        if !listened {
            return read;
        }
    }
    read
}

/// What the collector's thread has to say in the end.
struct Collected {
    frames: u64,
    downlinks: Vec<(Counts, Option<Fit>)>,
    sinks: Vec<SinkReport>,
}

/// Merges the downlinks in time order and hands every frame to every sink. `wait`: for slow ones.
fn collect(
    updates: &ChannelReceiver<Update>,
    downlinks: usize,
    mut outlets: Vec<Outlet>,
    marks: Option<Sender<Arc<Frame>>>,
    wait: bool,
    progress: &Progress,
) -> Collected {
    let mut merger = Merger::new(downlinks);
    let mut reports = vec![(Counts::default(), None); downlinks];
    let mut frames = 0;
    let mut due = Vec::new();
    let mut emit = |merger: &mut Merger| {
        merger.drain(&mut due);
        for frame in due.drain(..) {
            frames += 1;
            progress.frames.store(frames, Ordering::Relaxed);
            let frame = Arc::new(frame);
            if let Some(marks) = &marks {
                recorder::mark(marks, &frame, wait);
            }
            for outlet in &mut outlets {
                outlet.send(&frame, wait);
            }
        }
    };
    while let Ok(update) = updates.recv() {
        for frame in update.frames {
            merger.push(update.downlink, frame);
        }
        reports[update.downlink] = (update.counts, update.fit);
        merger.settle(update.downlink, update.settled_sample);
        emit(&mut merger);
    }
    for downlink in 0..downlinks {
        merger.settle(downlink, u64::MAX);
    }
    emit(&mut merger);
    Collected {
        frames,
        downlinks: reports,
        sinks: outlets.into_iter().map(Outlet::finish).collect(),
    }
}
