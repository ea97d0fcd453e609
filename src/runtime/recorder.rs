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
use jiff::Timestamp;

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
        Ok(Self { frames, thread })
    }

    /// Where the collector puts frames.
    pub fn frames(&self) -> Sender<Arc<Frame>> {
        self.frames.clone()
    }

    /// The lane has ended, and no frame will follow.
    pub fn finish(self) -> RecorderReport {
        drop(self.frames);
        self.thread.join().unwrap_or_else(|_| RecorderReport {
            failure: Some("recording ended: its thread died".to_owned()),
            ..RecorderReport::default()
        })
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
    /// The last anchor, for what begins later.
    anchor: Option<Anchor>,
    /// Samples of the recordings before.
    before: u64,
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
            anchor: None,
            before: 0,
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
        let name = name(
            time.unwrap_or_else(Timestamp::now),
            request.satellite.as_deref(),
            request.frequency_hz.or(centre_hz),
        );
        let folder = request.folder.path();
        let recording = SigmfRecording::create(folder, &name, request.global.clone())
            .map_err(|error| format!("{}: {}", folder.display(), said(&error)))?;
        self.report.paths.push(recording.path().to_owned());
        Ok(recording)
    }

    /// Marks a frame.
    fn mark(&mut self, frame: &Frame) {
        let Some(recording) = &mut self.recording else { return };
        let position = |sample: u64| match &self.narrowing {
            Some(narrowing) => narrowing.position(sample),
            None => sample,
        };
        let nominal_hz = self
            .carriers
            .iter()
            .find(|(origin, _)| Arc::ptr_eq(origin, &frame.origin))
            .and_then(|(_, frequency_hz)| *frequency_hz);
        let shift_hz = frame.doppler_hz.unwrap_or(0.0) + frame.frequency_offset_hz;
        let origin = &frame.origin;
        let marked = recording.annotate(
            position(frame.first_sample),
            position(frame.end_sample),
            |centre_hz| nominal_hz.or(centre_hz).map(|hz| hz + shift_hz),
            origin.symbol_rate_bd,
            format!(
                "{}/{}/{} bytes/{}",
                origin.satellite.as_deref().unwrap_or(&origin.modulation),
                origin.framing,
                frame.bytes.len(),
                frame.check.as_str()
            ),
        );
        self.report.frames += u64::from(marked);
    }

    fn write(&mut self) -> Result<(), String> {
        self.recording.as_mut().map_or(Ok(()), |r| r.write().map_err(|error| said(&error)))
    }

    /// Makes what is there safe, and sees to it that there is room for more.
    fn save(&mut self) -> Result<(), String> {
        let Some(recording) = &mut self.recording else { return Ok(()) };
        recording.save().map_err(|error| said(&error))?;
        let bytes = recording.bytes();
        self.request.folder.make_room(bytes)?;
        if bytes > self.request.folder.largest_part()
            || recording.metadata_bytes() > LARGEST_METADATA
        {
            self.end()?;
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

    /// Ends the present recording.
    fn end(&mut self) -> Result<(), String> {
        let Some(mut recording) = self.recording.take() else { return Ok(()) };
        let finished = recording.finish();
        self.before += recording.samples();
        self.report.samples = self.before;
        self.request.folder.end(recording.path());
        finished.map_err(|error| said(&error))
    }
}
