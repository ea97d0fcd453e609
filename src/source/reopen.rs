//! A radio that is opened again when it fails.
//!
//! [`Reopening`] is a [`Radio`] around whatever an [`Opener`] gives. When that fails, falls silent
//! or ends, it is dropped and opened anew, after pauses that double from [`Pauses::first`] to
//! [`Pauses::longest`]. The index of the samples goes on through the outage as if they had been
//! taken, so that time stays the sample counter. What happens is told as [`ReopenEvent`]s from the
//! thread that reads.
//!
//! Opening happens on a thread of its own: a driver that hangs does not keep the reader from being
//! stopped.

use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::device::{self, DeviceUri, OpenError, Radio, RadioSettings};
use super::{Anchor, SampleBlock, Source, SourceError, SourceInfo};

/// How often a pause looks whether it is to end.
const STOP_TICK: Duration = Duration::from_millis(20);

/// The anchors' times and the monotonic clock may disagree by so much about an outage; by more, the
/// system's time was set meanwhile.
const CLOCKS_AGREE_S: f64 = 1.0;

/// Opens a device with settings, from any thread, as often as needed.
pub type Opener =
    Arc<dyn Fn(&RadioSettings) -> Result<Box<dyn Radio>, OpenError> + Send + Sync + 'static>;

/// What happened to the radio.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReopenEvent {
    /// It failed; attempts to open it follow.
    Lost {
        /// The error, one line.
        why: String,
    },
    /// An attempt failed, and not for the reason told last.
    StillLost {
        /// Number of the attempt, from 1.
        attempt: u32,
        /// The error, one line.
        why: String,
    },
    /// Samples come again.
    Back {
        /// Time without samples.
        after: Duration,
        /// Samples that were not received meanwhile.
        lost_samples: u64,
    },
    /// It will not come back: the device now refuses the request.
    GivenUp {
        /// The error, one line.
        why: String,
    },
}

/// The pauses between attempts to open a radio; each is twice the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pauses {
    /// The first one.
    pub first: Duration,
    /// None is longer.
    pub longest: Duration,
}

impl Default for Pauses {
    /// 0.2 s to 10 s.
    fn default() -> Self {
        Self { first: Duration::from_millis(200), longest: Duration::from_secs(10) }
    }
}

impl Pauses {
    /// The pause before attempt `attempt`, from 1.
    fn before(self, attempt: u32) -> Duration {
        let factor = 1u32.checked_shl(attempt.saturating_sub(1)).unwrap_or(u32::MAX);
        self.first.saturating_mul(factor).min(self.longest.max(self.first))
    }
}

/// Takes events.
pub type OnEvent = Box<dyn FnMut(ReopenEvent) + Send>;

/// A radio that comes back.
pub struct Reopening {
    opener: Opener,
    settings: RadioSettings,
    pauses: Pauses,
    stop: Arc<AtomicBool>,
    on_event: OnEvent,
    info: SourceInfo,
    /// The device, unless it is lost.
    radio: Option<Box<dyn Radio>>,
    /// Index here of the device's sample 0.
    base: u64,
    /// The device was opened again and has given nothing since.
    fresh: bool,
    /// Index of the next sample here, and when the last one was read.
    next_sample: u64,
    heard: Instant,
    /// The last anchor, with an index of here.
    anchor: Option<Anchor>,
    outage: Option<Outage>,
    ended: bool,
    /// Counts of devices that are gone, and of outages.
    lost: u64,
    overflows: u64,
    replaced: u64,
}

#[derive(Debug)]
struct Outage {
    attempts: u32,
    why: String,
}

impl Reopening {
    /// Opens a device by its URI.
    ///
    /// # Errors
    /// As [`Reopening::new`].
    pub fn device(
        uri: &DeviceUri,
        settings: RadioSettings,
        stop: Arc<AtomicBool>,
        on_event: OnEvent,
    ) -> Result<Self, OpenError> {
        let pauses = Pauses::default();
        let pauses = Pauses { longest: uri.longest_pause().min(pauses.longest), ..pauses };
        let uri = uri.clone();
        let opener: Opener = Arc::new(move |settings| device::open(&uri, settings));
        Self::new(opener, settings, pauses, stop, on_event)
    }

    /// Opens a device for the first time, once. When `stop` is set, from any thread, reading ends
    /// with `Ok(false)`, also while the device is being waited for.
    ///
    /// # Errors
    /// It cannot be opened (now): the caller decides whether to try again.
    pub fn new(
        opener: Opener,
        settings: RadioSettings,
        pauses: Pauses,
        stop: Arc<AtomicBool>,
        on_event: OnEvent,
    ) -> Result<Self, OpenError> {
        let mut radio = match attempt(&opener, &settings, &stop) {
            Some(opened) => opened?,
            None => return Err(OpenError::absent("radio", "stopped before it was open")),
        };
        radio.stop_with(stop.clone());
        Ok(Self {
            opener,
            settings,
            pauses,
            stop,
            on_event,
            info: radio.info().clone(),
            radio: Some(radio),
            base: 0,
            fresh: false,
            next_sample: 0,
            heard: Instant::now(),
            anchor: None,
            outage: None,
            ended: false,
            lost: 0,
            overflows: 0,
            replaced: 0,
        })
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// The device failed: lets go of it.
    fn lose(&mut self, why: String) {
        if let Some(radio) = self.radio.take() {
            self.lost = self.lost.saturating_add(radio.lost_samples());
            self.overflows = self.overflows.saturating_add(radio.overflows());
            self.replaced = self.replaced.saturating_add(radio.replaced_values());
        }
        match &mut self.outage {
            None => {
                (self.on_event)(ReopenEvent::Lost { why: why.clone() });
                self.outage = Some(Outage { attempts: 0, why });
            }
            Some(outage) if outage.why != why => {
                outage.why.clone_from(&why);
                let attempt = outage.attempts;
                (self.on_event)(ReopenEvent::StillLost { attempt, why });
            }
            Some(_) => {}
        }
    }

    /// Makes the next attempt. `Ok(false)`: stopped.
    fn reopen(&mut self) -> Result<bool, SourceError> {
        let attempts = match &mut self.outage {
            Some(outage) => {
                outage.attempts = outage.attempts.saturating_add(1);
                outage.attempts
            }
            None => 1,
        };
        if !pause(self.pauses.before(attempts), &self.stop) {
            return Ok(false);
        }
        let mut radio = match attempt(&self.opener, &self.settings, &self.stop) {
            None => return Ok(false),
            Some(Ok(radio)) => radio,
            Some(Err(OpenError::Absent { why, .. })) => {
                self.lose(why);
                return Ok(true);
            }
            Some(Err(OpenError::Request(error))) => return Err(self.give_up(error.to_string())),
        };
        let (was, is) = (self.info.sample_rate_hz, radio.info().sample_rate_hz);
        if was != is {
            return Err(self.give_up(format!("came back with {is} samples per second, not {was}")));
        }
        radio.stop_with(self.stop.clone());
        self.info = radio.info().clone();
        self.radio = Some(radio);
        self.fresh = true;
        Ok(true)
    }

    fn give_up(&mut self, why: String) -> SourceError {
        self.ended = true;
        (self.on_event)(ReopenEvent::GivenUp { why: why.clone() });
        SourceError {
            name: self.info.name.clone(),
            cause: io::Error::new(ErrorKind::InvalidInput, why),
        }
    }

    /// Gives the first block after an outage its place: `base` is chosen so that it lies where the
    /// clock says.
    fn come_back(&mut self, block: &SampleBlock) {
        let rate = self.info.sample_rate_hz;
        let length_s = block.samples.len() as f64 / rate;
        // Without times: it arrived now, the samples before the outage when they were read.
        let quiet_s = (self.heard.elapsed().as_secs_f64() - length_s).max(0.0);
        let by_time = || -> Option<f64> {
            let before = self.anchor?;
            let expected_s = (self.next_sample - before.sample) as f64 / rate;
            let new = block.anchor?.time?;
            Some(new.duration_since(before.time?).as_secs_f64() - expected_s)
        };
        let gap_s = by_time().filter(|s| (s - quiet_s).abs() < CLOCKS_AGREE_S).unwrap_or(quiet_s);
        // Saturates; less than nothing becomes 0.
        let lost = (gap_s * rate).round() as u64;
        let first_sample = self.next_sample.saturating_add(lost);
        self.base = first_sample.saturating_sub(block.first_sample);
        self.lost = self.lost.saturating_add(lost);
        self.overflows = self.overflows.saturating_add(1);
        self.fresh = false;
        self.outage = None;
        let after = Duration::try_from_secs_f64(quiet_s).unwrap_or(Duration::ZERO);
        (self.on_event)(ReopenEvent::Back { after, lost_samples: lost });
    }

    /// Moves a block from the device's indices to those of here.
    fn rebase(&mut self, block: &mut SampleBlock) {
        if self.fresh {
            self.come_back(block);
            // A new stretch of samples has an anchor, even if the device gave none.
            block.anchor.get_or_insert(Anchor {
                sample: block.first_sample,
                time: arrived(block.samples.len(), self.info.sample_rate_hz),
                centre_frequency_hz: self.settings.centre_frequency_hz,
            });
        }
        // Never backwards, whatever the device says.
        block.first_sample = block.first_sample.saturating_add(self.base).max(self.next_sample);
        if let Some(anchor) = &mut block.anchor {
            anchor.sample = block.first_sample;
            self.anchor = Some(*anchor);
        }
        self.next_sample = block.first_sample.saturating_add(block.samples.len() as u64);
        self.heard = Instant::now();
    }
}

/// When the first of `samples` was taken that have just arrived.
fn arrived(samples: usize, sample_rate_hz: f64) -> Option<Timestamp> {
    let length = Duration::try_from_secs_f64(samples as f64 / sample_rate_hz).ok()?;
    Timestamp::now().checked_sub(length).ok()
}

/// Waits; `false`: stopped.
fn pause(length: Duration, stop: &AtomicBool) -> bool {
    let began = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        let left = length.saturating_sub(began.elapsed());
        if left.is_zero() {
            return true;
        }
        std::thread::sleep(left.min(STOP_TICK));
    }
    false
}

/// Opens the device on a thread of its own. `None`: stopped meanwhile; the thread ends by itself.
fn attempt(
    opener: &Opener,
    settings: &RadioSettings,
    stop: &AtomicBool,
) -> Option<Result<Box<dyn Radio>, OpenError>> {
    let (sender, receiver) = mpsc::sync_channel(1);
    let (opener, settings) = (opener.clone(), settings.clone());
    let spawned = std::thread::Builder::new().name("open radio".into()).spawn(move || {
        // Nobody may be waiting any more.
        let _ = sender.send(opener(&settings));
    });
    if let Err(error) = spawned {
        return Some(Err(OpenError::absent("radio", format!("cannot start a thread: {error}"))));
    }
    while !stop.load(Ordering::Relaxed) {
        match receiver.recv_timeout(STOP_TICK) {
            Ok(opened) => return Some(opened),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                return Some(Err(OpenError::absent("radio", "the driver failed")));
            }
        }
    }
    None
}

impl Source for Reopening {
    fn info(&self) -> &SourceInfo {
        self.radio.as_ref().map_or(&self.info, |radio| radio.info())
    }

    fn read(&mut self, block: &mut SampleBlock, max_samples: usize) -> Result<bool, SourceError> {
        loop {
            if self.ended || self.stopped() {
                block.samples.clear();
                block.anchor = None;
                block.first_sample = self.next_sample;
                return Ok(false);
            }
            let Some(radio) = &mut self.radio else {
                if let Err(error) = self.reopen() {
                    block.samples.clear();
                    block.anchor = None;
                    return Err(error);
                }
                continue;
            };
            match radio.read(block, max_samples) {
                Ok(true) => {
                    self.rebase(block);
                    return Ok(true);
                }
                Ok(false) if self.stopped() => {}
                Ok(false) => self.lose("the device ended".to_owned()),
                Err(error) => self.lose(error.cause.to_string()),
            }
        }
    }

    fn replaced_values(&self) -> u64 {
        self.replaced + self.radio.as_ref().map_or(0, |radio| radio.replaced_values())
    }
}

impl Radio for Reopening {
    /// During an outage the frequency is noted for when the device is back.
    fn tune(&mut self, frequency_hz: f64) -> Result<(), SourceError> {
        let centre_frequency_hz = Some(frequency_hz);
        let asked = RadioSettings { centre_frequency_hz, ..RadioSettings::default() };
        if let Err(error) = asked.check() {
            let cause = io::Error::new(ErrorKind::InvalidInput, error);
            return Err(SourceError { name: self.info.name.clone(), cause });
        }
        match self.radio.as_mut().map(|radio| radio.tune(frequency_hz)) {
            None | Some(Ok(())) => {}
            Some(Err(error)) => match error.cause.kind() {
                ErrorKind::InvalidInput | ErrorKind::Unsupported => return Err(error),
                // It is tuned when it is back.
                _ => self.lose(error.cause.to_string()),
            },
        }
        self.settings.centre_frequency_hz = Some(frequency_hz);
        Ok(())
    }

    fn lost_samples(&self) -> u64 {
        self.lost.saturating_add(self.radio.as_ref().map_or(0, |radio| radio.lost_samples()))
    }

    fn overflows(&self) -> u64 {
        self.overflows.saturating_add(self.radio.as_ref().map_or(0, |radio| radio.overflows()))
    }
}
