//! Recording beside the receivers: a lane of the feed and a thread of its own.
//!
//! ```text
//!  source thread ──► lane ► recorder's thread ► .sigmf-data, .sigmf-meta
//!  collector ─────► frames ────────┘
//! ```
//!
//! Samples are written out several times a second, and made safe against a power failure every
//! second. A disk that is too slow, too full or broken costs the recording something, and nobody
//! else: what the lane loses is counted and becomes a gap with right times behind it; a full disk
//! ends the recording, which stays whole.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver as ChannelReceiver, Sender, TrySendError, bounded};

use super::ending::join_until;
use super::feed::{LaneReceiver, Next, SharedBlock};
use super::guard;
use crate::doppler::after;
use crate::frame::{Frame, Origin};
use crate::recording::sigmf::name;
use crate::recording::{Band, Folder, Global, Narrowing, SigmfRecording};
use crate::source::{Anchor, SampleBlock};

/// A killed program has written everything up to so long before.
const WRITE: Duration = Duration::from_millis(250);
/// A power failure leaves everything up to so long before, and what syncing takes.
const SAVE: Duration = Duration::from_secs(1);
/// Frames on their way from the collector.
const QUEUE_FRAMES: usize = 4096;
/// Metadata are not let grow beyond this: they are rewritten as a whole, and go on in a new
/// recording.
const LARGEST_METADATA: usize = 4 << 20;
/// Longest wait for samples.
const TICK: Duration = Duration::from_millis(100);

/// What to record, and where.
pub struct RecorderRequest {
    /// The folder, ready.
    pub folder: Folder,
    /// All of the band, or a part.
    pub band: Band,
    /// What is said of all samples; the sample rate is filled in.
    pub global: Global,
    /// Whose signal it is, for the file's name.
    pub satellite: Option<String>,
    /// Its frequency, for the file's name; the centre if it is not known.
    pub frequency_hz: Option<f64>,
}

/// What became of a recording.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RecorderReport {
    /// Its files (`.sigmf-meta`), in their order.
    pub paths: Vec<PathBuf>,
    /// Samples written.
    pub samples: u64,
    /// Their rate.
    pub sample_rate_hz: f64,
    /// Samples of the input that it was too slow for.
    pub lost_samples: u64,
    /// Frames marked in it.
    pub frames: u64,
    /// Why it ended early, if it did.
    pub failure: Option<String>,
}

/// A recorder on its thread.
pub(super) struct Recorder {
    frames: Sender<Arc<Frame>>,
    thread: JoinHandle<RecorderReport>,
    say: Arc<dyn Fn(&str) + Send + Sync>,
}

impl Recorder {
    /// Starts a thread that records what comes in `lane`, samples of `sample_rate_hz`. `carriers`:
    /// the nominal frequencies of what frames come from. `say` is told what goes wrong, once.
    pub fn start(
        request: RecorderRequest,
        lane: LaneReceiver,
        sample_rate_hz: f64,
        carriers: Vec<(Arc<Origin>, Option<f64>)>,
        say: Arc<dyn Fn(&str) + Send + Sync>,
    ) -> io::Result<Self> {
        let (frames, queue) = bounded(QUEUE_FRAMES);
        let speaker = say.clone();
        let thread = std::thread::Builder::new().name("recorder".into()).spawn(move || {
            let mut writer = Writer::new(request, sample_rate_hz, carriers);
            let outcome = guard(|| run(&mut writer, &lane, &queue, &*say));
            lane.close();
            let ended = guard(|| writer.end());
            let failure = outcome.and_then(|o| o).and(ended.and_then(|e| e)).err();
            let mut report = writer.report;
            report.lost_samples = lane.lost_samples();
            if let Some(text) = failure {
                let line = format!("recording ended: {text}; receiving goes on");
                say(&line);
                report.failure = Some(line);
            }
            report
        })?;
        Ok(Self { frames, thread, say: speaker })
    }

    /// Where the collector puts frames.
    pub fn frames(&self) -> Sender<Arc<Frame>> {
        self.frames.clone()
    }

    /// The lane has ended, and no frame will follow. A disk that has not answered by `until` is left
    /// behind; `None` waits for as long as it takes.
    pub fn finish(self, until: Option<Instant>) -> RecorderReport {
        drop(self.frames);
        let failure = match join_until(self.thread, until) {
            Some(Ok(report)) => return report,
            Some(Err(_)) => "recording ended: its thread died",
            None => "recording ended: the disk does not answer, and is left behind",
        };
        (self.say)(failure);
        RecorderReport { failure: Some(failure.to_owned()), ..RecorderReport::default() }
    }
}

/// Hands a frame to a recorder. `wait`: for a slow one; otherwise it is not marked.
pub(super) fn mark(queue: &Sender<Arc<Frame>>, frame: &Arc<Frame>, wait: bool) {
    if let Err(TrySendError::Full(frame)) = queue.try_send(frame.clone())
        && wait
    {
        let _ = queue.send(frame);
    }
}

/// Takes the lane to its end, and all frames.
fn run(
    writer: &mut Writer,
    lane: &LaneReceiver,
    frames: &ChannelReceiver<Arc<Frame>>,
    say: &(dyn Fn(&str) + Send + Sync),
) -> Result<(), String> {
    let mut wrote = Instant::now();
    let mut saved = Instant::now();
    let mut slow = false;
    loop {
        let ended = match lane.next() {
            Next::Block(anchor, block) => {
                writer.push(anchor, &block)?;
                false
            }
            Next::Empty => {
                lane.wait(TICK);
                false
            }
            Next::End => true,
        };
        for frame in frames.try_iter() {
            writer.mark(&frame);
        }
        if ended {
            break;
        }
        if saved.elapsed() >= SAVE {
            (wrote, saved) = (Instant::now(), Instant::now());
            writer.save()?;
            if !slow && lane.lost_samples() > 0 {
                slow = true;
                say("recording: the disk is too slow, samples are missing in the recording");
            }
        } else if wrote.elapsed() >= WRITE {
            wrote = Instant::now();
            writer.write()?;
        }
    }
    writer.drain()?;
    writer.write()?;
    // Frames that were decided last.
    for frame in frames {
        writer.mark(&frame);
    }
    Ok(())
}

/// The recordings of a session.
struct Writer {
    request: RecorderRequest,
    carriers: Vec<(Arc<Origin>, Option<f64>)>,
    narrowing: Option<Narrowing>,
    narrow: Vec<SampleBlock>,
    recording: Option<SigmfRecording>,
    /// The one before it, until the frames in it are out.
    ending: Option<SigmfRecording>,
    /// The last anchor, for what begins later.
    anchor: Option<Anchor>,
    report: RecorderReport,
}

/// An error of the disk as the user may read it.
fn said(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "the disk is full".to_owned(),
        _ => error.to_string(),
    }
}

impl Writer {
    fn new(
        mut request: RecorderRequest,
        input_rate_hz: f64,
        carriers: Vec<(Arc<Origin>, Option<f64>)>,
    ) -> Self {
        let narrowing = match request.band {
            Band::Passband => None,
            Band::Downlink { frequency_hz, half_width_hz, least_rate_hz } => {
                Some(Narrowing::new(input_rate_hz, frequency_hz, half_width_hz, least_rate_hz))
            }
        };
        let sample_rate_hz = narrowing.as_ref().map_or(input_rate_hz, Narrowing::output_rate_hz);
        request.global.sample_rate_hz = sample_rate_hz;
        Self {
            request,
            carriers,
            narrowing,
            narrow: Vec::new(),
            recording: None,
            ending: None,
            anchor: None,
            report: RecorderReport { sample_rate_hz, ..RecorderReport::default() },
        }
    }

    fn push(&mut self, anchor: Option<Anchor>, block: &SharedBlock) -> Result<(), String> {
        let Some(narrowing) = &mut self.narrowing else {
            return self.record(anchor, block.first_sample, &block.samples);
        };
        narrowing.push(anchor, block.first_sample, &block.samples, &mut self.narrow);
        self.record_narrow()
    }

    fn record_narrow(&mut self) -> Result<(), String> {
        for block in std::mem::take(&mut self.narrow) {
            self.record(block.anchor, block.first_sample, &block.samples)?;
        }
        Ok(())
    }

    fn record(
        &mut self,
        anchor: Option<Anchor>,
        first_sample: u64,
        samples: &[num_complex::Complex32],
    ) -> Result<(), String> {
        self.anchor = anchor.or(self.anchor);
        let recording = match &mut self.recording {
            Some(recording) => recording,
            None => {
                let recording = self.begin(first_sample)?;
                self.recording.insert(recording)
            }
        };
        // What begins later needs the anchor that still holds.
        let anchor = if recording.samples() == 0 { self.anchor } else { anchor };
        recording.push(anchor, first_sample, samples).map_err(|error| said(&error))
    }

    /// Creates the next recording, whose first sample is this.
    fn begin(&mut self, first_sample: u64) -> Result<SigmfRecording, String> {
        let request = &mut self.request;
        request.folder.look();
        request.folder.make_room(0)?;
        let rate_hz = request.global.sample_rate_hz;
        let time = self.anchor.and_then(|anchor| {
            let ahead = first_sample as f64 - anchor.sample as f64;
            Some(after(anchor.time?, ahead / rate_hz))
        });
        let centre_hz = self.anchor.and_then(|anchor| anchor.centre_frequency_hz);
        let name = name(time, request.satellite.as_deref(), request.frequency_hz.or(centre_hz));
        let folder = request.folder.path();
        let recording = SigmfRecording::create(folder, &name, request.global.clone())
            .map_err(|error| format!("{}: {}", folder.display(), said(&error)))?;
        self.report.paths.push(recording.path().to_owned());
        Ok(recording)
    }

    /// Marks a frame.
    fn mark(&mut self, frame: &Frame) {
        let position = |sample: u64| match &self.narrowing {
            Some(narrowing) => narrowing.position(sample),
            None => sample,
        };
        let (first, end) = (position(frame.first_sample), position(frame.end_sample));
        let nominal_hz = self
            .carriers
            .iter()
            .find(|(origin, _)| Arc::ptr_eq(origin, &frame.origin))
            .and_then(|(_, frequency_hz)| *frequency_hz);
        let shift_hz = frame.doppler_hz.unwrap_or(0.0) + frame.frequency_offset_hz;
        let origin = &frame.origin;
        let label = format!(
            "{}/{}/{} bytes/{}",
            origin.satellite.as_deref().unwrap_or(&origin.modulation),
            origin.framing,
            frame.bytes.len(),
            frame.check.as_str()
        );
        let marked = self.recording.iter_mut().chain(&mut self.ending).any(|recording| {
            recording.annotate(
                first,
                end,
                |centre_hz| nominal_hz.or(centre_hz).map(|hz| hz + shift_hz),
                origin.symbol_rate_bd,
                label.clone(),
            )
        });
        self.report.frames += u64::from(marked);
    }

    fn write(&mut self) -> Result<(), String> {
        self.recording.as_mut().map_or(Ok(()), |r| r.write().map_err(|error| said(&error)))
    }

    /// Makes what is there safe, and sees to it that there is room for more.
    fn save(&mut self) -> Result<(), String> {
        let ended = self.ending.take();
        self.finish(ended)?;
        let Some(recording) = &mut self.recording else { return Ok(()) };
        recording.save().map_err(|error| said(&error))?;
        let bytes = recording.bytes();
        self.request.folder.make_room(bytes)?;
        if bytes > self.request.folder.largest_part()
            || recording.metadata_bytes() > LARGEST_METADATA
        {
            self.ending = self.recording.take();
        }
        Ok(())
    }

    /// The input has ended: takes what was still on its way.
    fn drain(&mut self) -> Result<(), String> {
        if let Some(narrowing) = &mut self.narrowing {
            narrowing.finish(&mut self.narrow);
            self.record_narrow()?;
        }
        Ok(())
    }

    /// Ends what is being recorded.
    fn end(&mut self) -> Result<(), String> {
        let (before, present) = (self.ending.take(), self.recording.take());
        let outcome = self.finish(before);
        self.finish(present).and(outcome)
    }

    fn finish(&mut self, recording: Option<SigmfRecording>) -> Result<(), String> {
        let Some(mut recording) = recording else { return Ok(()) };
        let finished = recording.finish();
        self.report.samples += recording.samples();
        self.request.folder.end(recording.path());
        finished.map_err(|error| said(&error))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use std::path::Path;
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicU64, Ordering};

    use jiff::Timestamp;

    use super::super::feed::{Feed, Pool};
    use super::*;
    use crate::frame::testing::bare_frame;
    use crate::recording::{Keep, Room, SampleCoding};
    use crate::source::{self, InputOptions};

    const RATE_HZ: f64 = 1e6;

    fn request(folder: Folder) -> RecorderRequest {
        RecorderRequest {
            folder,
            band: Band::Passband,
            global: Global {
                coding: SampleCoding::Ci16,
                complex: true,
                sample_rate_hz: 0.0,
                description: String::new(),
                reception: true,
                hardware: None,
                station: None,
                elements: None,
            },
            satellite: None,
            frequency_hz: None,
        }
    }

    fn start() -> Timestamp {
        "2026-08-01T12:00:00Z".parse().unwrap()
    }

    fn block(first_sample: u64, count: usize) -> SampleBlock {
        let anchor = Anchor { sample: 0, time: Some(start()), centre_frequency_hz: Some(1e8) };
        SampleBlock {
            first_sample,
            anchor: (first_sample == 0).then_some(anchor),
            samples: vec![Default::default(); count],
        }
    }

    /// Samples and anchors of a recording.
    fn read(path: &Path) -> (u64, Vec<Anchor>) {
        let mut source = source::open(path.to_str().unwrap(), &InputOptions::default()).unwrap();
        let mut block = SampleBlock::default();
        let (mut samples, mut anchors) = (0, Vec::new());
        while source.read(&mut block, 1 << 16).unwrap() {
            samples += block.samples.len() as u64;
            anchors.extend(block.anchor);
        }
        assert!(source.info().warnings.is_empty(), "{:?}", source.info().warnings);
        (samples, anchors)
    }

    #[test]
    fn what_the_lane_loses_is_counted_and_times_are_right_behind_it() {
        let folder = tempfile::tempdir().unwrap();
        let there = Folder::open(folder.path(), Room { keep_free_bytes: 0 }, None).unwrap();
        let mut feed = Feed::default();
        let lane = feed.subscribe_aside(20_000);
        let recorder =
            Recorder::start(request(there), lane, RATE_HZ, Vec::new(), Arc::new(|_| {})).unwrap();
        let frames = recorder.frames();
        let offered = 500;
        for k in 0..offered {
            assert!(feed.offer(block(10_000 * k, 10_000)));
        }
        drop(feed);
        // Frames come later than their samples.
        mark(&frames, &Arc::new(Frame { end_sample: 5_000, ..bare_frame() }), false);
        drop(frames);
        let report = recorder.finish(None);
        assert_eq!(report.failure, None);
        assert_eq!(report.frames, 1);
        assert_eq!(report.samples + report.lost_samples, 10_000 * offered);
        let (samples, anchors) = read(&report.paths[0]);
        assert_eq!(samples, report.samples);
        assert_eq!(anchors.len() > 1, report.lost_samples > 0);
        let text = std::fs::read(&report.paths[0]).unwrap();
        let meta: serde_json::Value = serde_json::from_slice(&text).unwrap();
        for (capture, anchor) in meta["captures"].as_array().unwrap().iter().zip(&anchors) {
            let index = capture["core:global_index"].as_u64().unwrap() as f64;
            let time = anchor.time.unwrap().duration_since(start()).as_secs_f64();
            assert!((time - index / RATE_HZ).abs() < 1e-6);
        }
    }

    #[test]
    fn a_disk_that_fills_ends_the_recording_with_one_line() {
        let folder = tempfile::tempdir().unwrap();
        let free = Arc::new(AtomicU64::new(2000));
        let told = free.clone();
        let there = Folder::open_with(
            folder.path(),
            Room { keep_free_bytes: 1000 },
            None,
            Box::new(move |_| Ok(told.load(Ordering::Relaxed))),
        )
        .unwrap();
        let mut feed = Feed::default();
        let lane = feed.subscribe_aside(1 << 20);
        let lines = Arc::new(Mutex::new(Vec::new()));
        let heard = lines.clone();
        let say = Arc::new(move |line: &str| heard.lock().unwrap().push(line.to_owned()));
        let recorder = Recorder::start(request(there), lane, RATE_HZ, Vec::new(), say).unwrap();
        let mut next = 0;
        let end = Instant::now() + Duration::from_secs(10);
        // The lane closes when the recorder has ended.
        while feed.offer(block(1000 * next, 1000)) && Instant::now() < end {
            next += 1;
            std::thread::sleep(Duration::from_millis(10));
            free.store(500, Ordering::Relaxed);
        }
        let report = recorder.finish(None);
        let lines = lines.lock().unwrap();
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].contains("are free") && report.failure.is_some(), "{lines:?}");
        if let Some(path) = report.paths.first() {
            assert_eq!(read(path).0, report.samples);
        }
    }

    #[test]
    fn what_is_kept_is_bounded_also_while_one_recording_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let keep = Some(Keep::Bytes(400_000));
        let there = Folder::open(folder.path(), Room { keep_free_bytes: 0 }, keep).unwrap();
        let mut writer = Writer::new(request(there), RATE_HZ, Vec::new());
        let pool = Arc::new(Pool::default());
        for k in 0..30 {
            let block = block(10_000 * k, 10_000);
            let anchor = block.anchor;
            writer.push(anchor, &SharedBlock::new(block, &pool)).unwrap();
            writer.save().unwrap();
            // Across the beginning of a part, or in the part before.
            let last = Frame {
                first_sample: 10_000 * k + 100,
                end_sample: 10_000 * k + 200,
                ..bare_frame()
            };
            writer.mark(&last);
        }
        writer.end().unwrap();
        assert_eq!(writer.report.samples, 300_000);
        assert_eq!(writer.report.frames, 30);
        assert!(writer.report.paths.len() > 5);
        let there: u64 = std::fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().metadata().unwrap().len())
            .sum();
        assert!((200_000..=500_000).contains(&there), "{there}");
        let last = writer.report.paths.last().unwrap();
        let (samples, anchors) = read(last);
        let time = anchors[0].time.unwrap().duration_since(start()).as_secs_f64();
        assert!((time - (300_000 - samples) as f64 / RATE_HZ).abs() < 1e-6);
        assert_eq!(anchors[0].centre_frequency_hz, Some(1e8));
    }
}
