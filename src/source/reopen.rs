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

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use std::sync::Mutex;

    use super::super::rtl_tcp::tests::{BURST, RATE, Reader, settings};
    use super::super::test_servers::RtlTcpServer;
    use super::*;
    use crate::error::RequestError;

    type Events = Arc<Mutex<Vec<ReopenEvent>>>;

    fn events() -> (Events, OnEvent) {
        let events = Events::default();
        let sink = events.clone();
        (events, Box::new(move |event| sink.lock().unwrap().push(event)))
    }

    const QUICK: Pauses =
        Pauses { first: Duration::from_millis(20), longest: Duration::from_millis(80) };

    fn reopening(
        server: &RtlTcpServer,
        settings: RadioSettings,
    ) -> (Reopening, Arc<AtomicBool>, Events) {
        let stop = Arc::new(AtomicBool::new(false));
        let (events, on_event) = events();
        let uri = DeviceUri::parse(&server.uri()).unwrap();
        let opener: Opener = Arc::new(move |settings| device::open(&uri, settings));
        let radio = Reopening::new(opener, settings, QUICK, stop.clone(), on_event).unwrap();
        (radio, stop, events)
    }

    #[test]
    fn a_server_that_goes_and_returns() {
        let server = RtlTcpServer::start(RATE, BURST);
        let (mut radio, _, events) = reopening(&server, settings());
        let mut reader = Reader::new();
        reader.read_for(1.0, &mut radio, &server);
        reader.check_time();
        radio.tune(437.6e6).unwrap();
        server.faults.absent.store(true, Ordering::Relaxed);
        let faults = server.faults.clone();
        let returns = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(700));
            faults.absent.store(false, Ordering::Relaxed);
        });
        while reader.jumped == 0 {
            assert!(reader.read(&mut radio, &server).unwrap());
        }
        returns.join().unwrap();
        reader.read_for(1.2, &mut radio, &server);
        reader.check_time();
        assert_eq!(reader.anchor.unwrap().centre_frequency_hz, Some(437.6e6));
        assert!(server.commands.lock().unwrap().contains(&(1, 437_600_000)));
        assert_eq!(server.clients.load(Ordering::Relaxed), 2);
        assert!((700_000..6_000_000).contains(&reader.jumped), "{}", reader.jumped);
        assert_eq!(radio.lost_samples(), reader.jumped);
        assert!(radio.overflows() >= 1);
        let events = events.lock().unwrap();
        assert!(matches!(events[0], ReopenEvent::Lost { .. }), "{events:?}");
        let Some(ReopenEvent::Back { after, lost_samples }) = events.last() else {
            panic!("{events:?}")
        };
        assert!(*after > Duration::from_millis(600) && *lost_samples > 600_000, "{events:?}");
        // Reasons that repeat are not.
        assert!(events.len() <= 5, "{events:?}");
    }

    #[test]
    fn a_stall_is_an_outage() {
        let server = RtlTcpServer::start(RATE, BURST);
        let settings = RadioSettings { stall: Some(Duration::from_millis(200)), ..settings() };
        let (mut radio, _, events) = reopening(&server, settings);
        let mut reader = Reader::new();
        reader.read_for(0.5, &mut radio, &server);
        server.faults.stall.store(true, Ordering::Relaxed);
        let faults = server.faults.clone();
        let returns = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(600));
            faults.stall.store(false, Ordering::Relaxed);
        });
        while reader.jumped == 0 {
            assert!(reader.read(&mut radio, &server).unwrap());
        }
        returns.join().unwrap();
        reader.read_for(1.2, &mut radio, &server);
        reader.check_time();
        let events = events.lock().unwrap();
        let ReopenEvent::Lost { why } = &events[0] else { panic!("{events:?}") };
        assert!(why.starts_with("no samples for 0."), "{why}");
    }

    #[test]
    fn what_can_never_be_mended_ends_it() {
        let server = RtlTcpServer::start(RATE, BURST);
        let (mut radio, _, events) = reopening(&server, settings());
        let mut reader = Reader::new();
        reader.read_for(0.2, &mut radio, &server);
        server.faults.garbage.store(true, Ordering::Relaxed);
        server.faults.hang_up.store(true, Ordering::Relaxed);
        let error = loop {
            match reader.read(&mut radio, &server) {
                Ok(more) => assert!(more),
                Err(error) => break error,
            }
        };
        assert_eq!(error.cause.kind(), ErrorKind::InvalidInput);
        assert!(!reader.read(&mut radio, &server).unwrap());
        let events = events.lock().unwrap();
        assert!(matches!(events.last(), Some(ReopenEvent::GivenUp { .. })), "{events:?}");
    }

    #[test]
    fn waiting_and_opening_can_be_stopped() {
        for silent in [false, true] {
            let server = RtlTcpServer::start(RATE, BURST);
            let fault = if silent { &server.faults.silent } else { &server.faults.absent };
            let (mut radio, stop, _) = reopening(&server, settings());
            let mut reader = Reader::new();
            reader.read_for(0.1, &mut radio, &server);
            fault.store(true, Ordering::Relaxed);
            server.faults.hang_up.store(true, Ordering::Relaxed);
            let stops = std::thread::spawn(move || {
                std::thread::sleep(Duration::from_millis(400));
                stop.store(true, Ordering::Relaxed);
                Instant::now()
            });
            while reader.read(&mut radio, &server).unwrap() {}
            let stopped = stops.join().unwrap();
            assert!(stopped.elapsed() < Duration::from_millis(800));
        }
    }

    /// Gives some blocks of 100 samples at 1000 a second, without a clock, then fails.
    struct Fake {
        info: SourceInfo,
        blocks: u64,
        anchored: bool,
        tuned: Option<f64>,
    }

    impl Fake {
        fn radio(rate: f64, anchored: bool) -> Box<dyn Radio> {
            let info = SourceInfo {
                name: "fake".into(),
                sample_rate_hz: rate,
                complex: true,
                length_samples: None,
                warnings: Vec::new(),
            };
            Box::new(Fake { info, blocks: 0, anchored, tuned: None })
        }
    }

    impl Source for Fake {
        fn info(&self) -> &SourceInfo {
            &self.info
        }

        fn read(&mut self, block: &mut SampleBlock, _: usize) -> Result<bool, SourceError> {
            block.samples.clear();
            block.anchor = None;
            if self.blocks == 3 {
                let cause = io::Error::other("unplugged");
                return Err(SourceError { name: "fake".into(), cause });
            }
            block.first_sample = 100 * self.blocks;
            block.samples.resize(100, Default::default());
            if self.anchored && self.blocks == 0 {
                // A system whose time is nonsense.
                let time = Some(Timestamp::UNIX_EPOCH);
                let centre_frequency_hz = self.tuned;
                block.anchor =
                    Some(Anchor { sample: block.first_sample, time, centre_frequency_hz });
            }
            self.blocks += 1;
            Ok(true)
        }
    }

    impl Radio for Fake {
        fn tune(&mut self, frequency_hz: f64) -> Result<(), SourceError> {
            self.tuned = Some(frequency_hz);
            Ok(())
        }

        fn lost_samples(&self) -> u64 {
            0
        }

        fn overflows(&self) -> u64 {
            0
        }
    }

    type Open = fn() -> Result<Box<dyn Radio>, OpenError>;

    /// Devices in the order in which they are opened; afterwards the last one for ever.
    fn scripted(script: Vec<Open>) -> (Result<Reopening, OpenError>, Arc<AtomicBool>, Events) {
        let stop = Arc::new(AtomicBool::new(false));
        let (events, on_event) = events();
        let turn = Mutex::new(0);
        let opener: Opener = Arc::new(move |_| {
            let device = {
                let mut turn = turn.lock().unwrap();
                *turn += 1;
                script[(*turn - 1).min(script.len() - 1)]
            };
            device()
        });
        let pauses = Pauses { first: Duration::from_millis(5), ..QUICK };
        let radio =
            Reopening::new(opener, RadioSettings::default(), pauses, stop.clone(), on_event);
        (radio, stop, events)
    }

    #[test]
    fn the_count_never_goes_back_whatever_the_device_says() {
        let (radio, stop, events) = scripted(vec![
            || Ok(Fake::radio(1000.0, false)),
            || panic!("a driver's bug"),
            || Err(OpenError::absent("fake", "not yet")),
            || Err(OpenError::absent("fake", "not yet")),
            || Ok(Fake::radio(1000.0, true)),
        ]);
        let mut radio = radio.unwrap();
        let mut block = SampleBlock::default();
        let mut next = 0;
        for k in 0..20 {
            assert!(radio.read(&mut block, 100).unwrap());
            assert!(block.first_sample >= next, "{k}");
            // Milliseconds passed; the device's own time says years.
            assert!(block.first_sample < next + 5000, "{k}");
            if k > 0 && k % 3 == 0 {
                assert_eq!(block.anchor.unwrap().sample, block.first_sample);
            }
            next = block.first_sample + 100;
        }
        for wrong in [f64::NAN, -1.0] {
            assert!(radio.tune(wrong).is_err());
        }
        stop.store(true, Ordering::Relaxed);
        assert!(!radio.read(&mut block, 100).unwrap());
        assert!(block.samples.is_empty());
        let events = events.lock().unwrap();
        assert_eq!(events[0], ReopenEvent::Lost { why: "unplugged".into() });
        assert_eq!(
            events[1],
            ReopenEvent::StillLost { attempt: 1, why: "the driver failed".into() }
        );
        assert_eq!(events[2], ReopenEvent::StillLost { attempt: 2, why: "not yet".into() });
        assert!(matches!(events[3], ReopenEvent::Back { .. }), "{events:?}");
    }

    #[test]
    fn another_rate_and_a_wrong_request_end_it() {
        let (radio, _, events) =
            scripted(vec![|| Ok(Fake::radio(1000.0, true)), || Ok(Fake::radio(2000.0, true))]);
        let mut radio = radio.unwrap();
        let mut block = SampleBlock::default();
        let error = loop {
            match radio.read(&mut block, 100) {
                Ok(more) => assert!(more),
                Err(error) => break error,
            }
        };
        assert!(error.to_string().contains("2000 samples per second, not 1000"), "{error}");
        assert!(!radio.read(&mut block, 100).unwrap());
        assert_eq!(events.lock().unwrap().len(), 2);
        // At first it is the caller's.
        let (radio, ..) =
            scripted(vec![|| Err(RequestError::new("--rate", "is wrong", "right").into())]);
        assert!(matches!(radio.err().unwrap(), OpenError::Request(_)));
        let (radio, ..) = scripted(vec![|| Err(OpenError::absent("fake", "off"))]);
        assert_eq!(radio.err().unwrap().to_string(), "fake: off");
    }

    #[test]
    fn pauses_grow_to_the_longest() {
        let pauses = Pauses::default();
        let milliseconds: Vec<_> =
            (1..9).map(|attempt| pauses.before(attempt).as_millis()).collect();
        assert_eq!(milliseconds, [200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]);
        assert_eq!(pauses.before(u32::MAX), pauses.longest);
        assert_eq!(pauses.before(0), pauses.first);
    }
}
