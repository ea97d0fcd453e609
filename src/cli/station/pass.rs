//! One pass: the radio is opened and tuned, frames are handed on, and a report is written.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use tracing::Level;
use tulpar::doppler::after;
use tulpar::doppler::correction::Corrections;
use tulpar::doppler::orbit::Orbit;
use tulpar::doppler::sky::observe;
use tulpar::frame::Frame;
use tulpar::receiver::Receiver;
use tulpar::runtime::{Observer, Pace, Summary};
use tulpar::sink::jsonl::JsonLinesSink;
use tulpar::sink::{Sink, SinkError};
use tulpar::source::device::RadioSettings;
use tulpar::source::{Anchor, Source};
use tulpar::station::Task;
use tulpar::station::picture::{self, Legend};
use tulpar::station::plan::{LEAD_S, TRAIL_S};
use tulpar::station::report::{Attempt, FitReport, Log, PassReport, Span};
use tulpar::station::waterfall::Waterfall;
use tulpar::{Complex32, RequestError};

use super::clock::{Clock, LONGEST_WAIT};
use super::folders;
use super::preparation::Prepared;
use super::rehearsal::SimulatedRadio;
use super::sinks;
use crate::cli::decode::Placement;
use crate::cli::doppler::Aim;
use crate::cli::{fetch, log, reception, record, sky};

/// Pause between attempts to open a radio that is not there, s.
const RETRY_S: f64 = 5.0;

/// Doppler shift of the lowest orbits, as a part of the carrier.
pub const FASTEST: f64 = 26e-6;
/// A share of samples at full scale that costs frames.
const MUCH_CLIPPED: f64 = 0.001;
/// What is shown beside the signal, Hz.
pub const MARGIN_HZ: f64 = 3_000.0;

/// What says a line to the user.
pub type Say = Arc<dyn Fn(&str) + Send + Sync>;

/// A pass that is to be received.
pub struct Assignment {
    /// The station.
    pub prepared: Arc<Prepared>,
    /// Satellite, radio and times.
    pub task: Task,
    /// The satellite's orbit.
    pub orbit: Arc<Orbit>,
    /// The station's time.
    pub clock: Arc<dyn Clock>,
    /// By what number it holds the clock.
    pub holder: u64,
    /// The sky is simulated.
    pub rehearsal: bool,
    /// Ends it.
    pub stop: Arc<AtomicBool>,
    /// Told what happens.
    pub say: Say,
    /// Attempts at the same pass that got no sample.
    pub earlier: Vec<Attempt>,
    /// Where the files of these were kept: they are replaced.
    pub base: Option<PathBuf>,
}

/// What became of an attempt at a pass.
pub struct Attended {
    /// What is said of it.
    pub report: PassReport,
    /// When it began.
    pub began: Timestamp,
    /// Path of its files, without extension.
    pub base: PathBuf,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Notes every frame.
struct Logging(Arc<Mutex<Log>>);

impl Sink for Logging {
    fn name(&self) -> &str {
        "report"
    }

    fn write(&mut self, frame: &Frame) -> Result<(), SinkError> {
        lock(&self.0).push(frame);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), SinkError> {
        Ok(())
    }
}

/// Looks at the samples.
struct Looking(Arc<Mutex<Waterfall>>);

impl Observer for Looking {
    fn samples(&mut self, anchor: Option<Anchor>, first_sample: u64, samples: &[Complex32]) {
        lock(&self.0).push(anchor, first_sample, samples);
    }
}

/// What a reception leaves for its report.
struct Reception {
    log: Arc<Mutex<Log>>,
    waterfall: Arc<Mutex<Waterfall>>,
    carriers_hz: Vec<f64>,
}

impl Assignment {
    /// Receives until it is told to stop, and writes what there is to say.
    pub fn receive(mut self) -> Attended {
        let earlier = std::mem::take(&mut self.earlier);
        let satellite = &self.prepared.satellites[self.task.candidate.request];
        let radio = &self.prepared.file.radios[self.task.radio];
        let candidate = &self.task.candidate;
        let began = self.clock.now();
        let (base, lost) = match self.base.take() {
            Some(base) => (base, None),
            None => self.base(began),
        };
        let mut report = PassReport {
            satellite: satellite.entry.name.clone(),
            norad_id: satellite.entry.norad_id,
            radio: radio.name.clone(),
            device: match self.rehearsal {
                true => "simulated".to_owned(),
                false => radio.device.to_string(),
            },
            planned: Some(Span::new(self.task.from, self.task.to)),
            pass: Some(Span::new(candidate.rise, candidate.set)),
            highest_elevation_deg: (candidate.elevation_deg * 10.0).round() / 10.0,
            elements_epoch: self.orbit.epoch().to_string(),
            attempts: earlier,
            ..PassReport::default()
        };
        if let Some(line) = lost {
            self.fail(&mut report, line);
        }
        // Whatever goes wrong inside, there is a report.
        match guarded(|| self.attend(&base, &mut report)) {
            Some(Ok(Some(reception))) => {
                report.add(&lock(&reception.log), Some(&lock(&reception.waterfall)));
                self.write(&base, &report);
                if guarded(|| self.draw(&base, &reception, &mut report)).is_none() {
                    self.fail(&mut report, "no picture: an internal error".to_owned());
                }
            }
            // Stopped before there was a radio.
            Some(Ok(None)) => {}
            Some(Err(error)) => report.failures.push(format!("{error:#}")),
            None => report.failures.push("the reception failed by an internal error".to_owned()),
        }
        self.write(&base, &report);
        Attended { report, began, base }
    }

    /// Writes the report, as a whole or not at all.
    fn write(&self, base: &Path, report: &PassReport) {
        let path = base.with_extension("json");
        if let Err(error) = fetch::keep(&path, report.to_json().as_bytes()) {
            (self.say)(&format!("{}: cannot be written ({error})", path.display()));
        }
    }

    /// Path of the pass's files, without extension, in a folder that can be written to, and what is to
    /// be said if that is not the station's.
    fn base(&self, began: Timestamp) -> (PathBuf, Option<String>) {
        let name = &self.prepared.satellites[self.task.candidate.request].entry.name;
        let kept = |c: char| if c.is_alphanumeric() || "-_+".contains(c) { c } else { '_' };
        let name: String = name.chars().map(kept).collect();
        let time = began.strftime("%Y-%m-%dT%H%M%SZ");
        let (folder, lost) = folders::for_files(&self.prepared.file.passes);
        // Extensions are set: the name may have no dot.
        (folder.join(format!("{time}_{name}")), lost)
    }

    /// Opens the radio, again and again until it is there. `None`: stopped meanwhile.
    fn open(&self, report: &mut PassReport) -> anyhow::Result<Option<Opened>> {
        let opened = self.try_to_open(report);
        self.prepared.statuses[self.task.radio].set_hindrance(None);
        opened
    }

    fn try_to_open(&self, report: &mut PassReport) -> anyhow::Result<Option<Opened>> {
        let satellite = &self.prepared.satellites[self.task.candidate.request];
        if self.rehearsal {
            let (radio, centre_hz) = SimulatedRadio::open(
                &satellite.entry,
                &satellite.request.downlinks,
                (self.orbit.clone(), self.prepared.place),
                after(self.task.to, TRAIL_S),
                self.clock.clone(),
                self.stop.clone(),
            )?;
            let centre_hz = Some(centre_hz);
            return Ok(Some(Opened { source: Box::new(radio), centre_hz, pace: Pace::Free }));
        }
        let radio = &self.prepared.file.radios[self.task.radio];
        let settings: RadioSettings =
            satellite.settings(self.task.radio).cloned().unwrap_or_default();
        let mut told = false;
        while !self.stop.load(Ordering::Relaxed) {
            let name = radio.name.clone();
            let speaker =
                move |level, line: &str| log::say(level, &format!("radio {name}: {line}"));
            let opened = reception::open(&radio.device, settings.clone(), &self.stop, speaker);
            match opened {
                Ok(source) => {
                    let centre_hz = reception::centre_hz(&radio.device, &settings);
                    let source = Box::new(source);
                    return Ok(Some(Opened { source, centre_hz, pace: Pace::Live }));
                }
                Err(error) if error.downcast_ref::<RequestError>().is_some() => return Err(error),
                Err(_) if self.stop.load(Ordering::Relaxed) => break,
                Err(error) => {
                    let why = format!("{error:#}");
                    self.prepared.statuses[self.task.radio].set_hindrance(Some(why.clone()));
                    if !std::mem::replace(&mut told, true) {
                        let line = format!("radio {}: {why}", radio.name);
                        (self.say)(&format!("{line}; trying again until the pass is over"));
                        report.failures.push(line);
                    }
                    let again = after(self.clock.now(), RETRY_S);
                    self.clock.wait_until(again, LONGEST_WAIT, &self.stop);
                }
            }
        }
        Ok(None)
    }

    /// Receives.
    fn attend(&self, base: &Path, report: &mut PassReport) -> anyhow::Result<Option<Reception>> {
        let (index, radio) = (self.task.candidate.request, self.task.radio);
        let request = &self.prepared.satellites[index].request;
        let Some(Opened { source, centre_hz, pace }) = self.open(report)? else { return Ok(None) };
        // The next pass waits for the report of this one.
        self.clock.hold(self.holder, Some(after(self.task.to, TRAIL_S)));
        let began = self.clock.now();
        let sample_rate_hz = source.info().sample_rate_hz;
        let mut decoding = self.prepared.decoding(index, radio)?;
        let corrections = sky::corrections().unwrap_or_else(|error| {
            self.fail(report, format!("{error}; receiving without corrections"));
            Corrections::default()
        });
        let placement = Placement {
            effort: request.effort,
            centre_frequency_hz: centre_hz,
            aim: Aim::over(self.orbit.clone(), self.prepared.place, began, &corrections),
            ..Placement::default()
        };
        let mut session = reception::session(
            source,
            &mut decoding,
            &placement,
            None,
            String::new(),
            self.stop.clone(),
        )?;
        if let Some(recording) = &self.prepared.file.recording {
            let (info, aim) = (session.source.info(), &placement.aim);
            let hardware = Some(report.device.clone());
            let receivers = &session.receivers;
            match record::request(recording, &decoding, receivers, info, aim, hardware) {
                Ok(recorder) => session.recorder = Some(recorder),
                // Receiving goes on without.
                Err(error) => self.fail(report, format!("no recording: {}", error.wrong)),
            }
        }
        report.notes.append(&mut decoding.notes);
        report.sample_rate_hz = Some(sample_rate_hz);
        report.centre_frequency_hz = centre_hz;

        let downlinks = session.receivers.iter().map(Receiver::downlink);
        let carriers = downlinks.map(|d| (d.origin.clone(), d.frequency_hz)).collect();
        let shown: Vec<(f64, f64)> = session
            .receivers
            .iter()
            .filter_map(|receiver| {
                let downlink = receiver.downlink();
                let hz = downlink.frequency_hz?;
                let around_hz = FASTEST * hz + 1.5 * downlink.parameters.symbol_rate_bd + MARGIN_HZ;
                Some((hz, around_hz))
            })
            .collect();
        let centre = |hz: f64| centre_hz.unwrap_or(hz);
        let lows = shown.iter().map(|(hz, around_hz)| hz - around_hz - centre(*hz));
        let highs = shown.iter().map(|(hz, around_hz)| hz + around_hz - centre(*hz));
        let low_hz = lows.fold(f64::INFINITY, f64::min);
        let high_hz = highs.fold(f64::NEG_INFINITY, f64::max);
        let reception = Reception {
            log: Arc::new(Mutex::new(Log::new(carriers))),
            waterfall: Arc::new(Mutex::new(Waterfall::new(sample_rate_hz, low_hz, high_hz))),
            carriers_hz: shown.iter().map(|(hz, _)| *hz).collect(),
        };
        session.observer = Some(Box::new(Looking(reception.waterfall.clone())));
        session.sinks.push(Box::new(Logging(reception.log.clone())));
        let frames = base.with_extension("jsonl");
        match std::fs::File::create(&frames) {
            Ok(file) => {
                let name = frames.display().to_string();
                session.sinks.push(Box::new(JsonLinesSink::new(name.clone(), file)));
                report.frames_file = Some(name);
            }
            Err(error) => {
                let line = format!("{}: cannot be written ({error})", frames.display());
                self.fail(report, format!("{line}; the frames go to the log"));
                session.sinks.push(Box::new(sinks::Spoken(self.say.clone())));
            }
        }
        for sink in self.prepared.file.sinks.iter().chain(&request.sinks) {
            match sinks::open(sink) {
                Ok(sink) => session.sinks.push(sink),
                Err(error) => {
                    self.fail(report, format!("{error}; trying again with the frames"));
                    session.sinks.push(Box::new(sinks::Later::new(sink)));
                }
            }
        }
        session.pace = pace;
        session.status = self.prepared.statuses[radio].clone();
        session.on_sink_error = Arc::new(|line| log::say(Level::WARN, line));
        let status = session.status.clone();
        let before = status.snapshot().input.total;
        let summary = session.run()?;
        add_summary(report, &summary);
        if let Some(seen) = summary.why_no_frame() {
            report.notes.push(format!("{}; {}", seen.seen(), seen.advice(true)));
        }
        report.clipped_share = status.snapshot().input.total.since(&before).clipped_share();
        if report.clipped_share > MUCH_CLIPPED {
            let percent = 100.0 * report.clipped_share;
            let line = format!("{percent:.1} % of the samples are at full scale: lower the gain");
            report.notes.push(line);
        }
        let until = after(began, summary.signal_s.max(0.0));
        report.received = Some(Span::new(began, until.min(self.clock.now())));
        Ok(Some(reception))
    }

    /// Says what went wrong, and keeps it for the report.
    fn fail(&self, report: &mut PassReport, line: String) {
        log::say(Level::WARN, &line);
        report.failures.push(line);
    }

    /// Draws the picture.
    fn draw(&self, base: &Path, reception: &Reception, report: &mut PassReport) {
        let (from, to) = (after(self.task.from, -LEAD_S), after(self.task.to, TRAIL_S));
        let curve = |carrier_hz: &f64| {
            picture::points(from, to, |time| {
                let seen = observe(&self.orbit, &self.prepared.place, time).ok()?;
                Some(carrier_hz + seen.shift_hz(*carrier_hz)).filter(|_| seen.elevation_deg > -1.0)
            })
        };
        let carrier_hz = reception.carriers_hz.first().copied();
        let megahertz = carrier_hz.map_or(String::new(), |hz| format!(" {:.3} MHZ", hz / 1e6));
        let plural = if report.frames == 1 { "" } else { "S" };
        let legend = Legend {
            title: format!(
                "{}{megahertz} {} {:.0}° {} FRAME{plural}",
                report.satellite,
                self.task.from.strftime("%Y-%m-%d"),
                report.highest_elevation_deg,
                report.frames
            ),
            carrier_hz,
            curves: reception.carriers_hz.iter().map(curve).collect(),
            frames: lock(&reception.log).marks(),
        };
        let Some(image) = picture::draw(&lock(&reception.waterfall), &legend) else { return };
        let path = base.with_extension("png");
        let written = std::fs::File::create(&path)
            .and_then(|file| image.write_png(std::io::BufWriter::new(file)));
        match written {
            Ok(()) => report.picture = Some(path.display().to_string()),
            Err(error) => {
                self.fail(report, format!("{}: cannot be written ({error})", path.display()));
            }
        }
    }
}

/// What `work` returns; `None` if it panics.
fn guarded<T>(work: impl FnOnce() -> T) -> Option<T> {
    // What it leaves half done is read by nobody but the report.
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).ok()
}

/// An open radio.
struct Opened {
    source: Box<dyn Source>,
    centre_hz: Option<f64>,
    pace: Pace,
}

/// Takes over what became of a session.
fn add_summary(report: &mut PassReport, summary: &Summary) {
    report.samples = summary.samples;
    report.missing_samples = summary.missing_samples;
    report.lost_samples = summary.lost_samples;
    for downlink in &summary.downlinks {
        if downlink.restarts > 0 {
            let times = downlink.restarts;
            report.failures.push(format!("a downlink was started anew {times} times"));
        }
        if let Some(text) = &downlink.failure {
            report.failures.push(format!("a downlink stopped early: {text}"));
        }
        if let Some(fit) = &downlink.fit {
            report.doppler_fit = Some(FitReport { bias_hz: fit.bias_hz, late_s: fit.late_s });
        }
    }
    for sink in summary.sinks.iter().filter(|sink| sink.failed > 0) {
        let what = format!("{} frames not delivered to {}", sink.failed, sink.name);
        report.failures.push(what);
    }
    if let Some(recorder) = &summary.recorder {
        report.recordings = recorder.paths.iter().map(|path| path.display().to_string()).collect();
        report.failures.extend(recorder.failure.clone());
    }
    if let Some(text) = &summary.source_failure {
        report.failures.push(format!("reading stopped early: {text}"));
    }
    report.notes.extend(summary.source_warnings.iter().cloned());
}
