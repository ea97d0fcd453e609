//! A radio of marks, and a receiver that breaks at some of them.
//!
//! The samples are 0, or a mark of 10 ms whose height says what it does: 1 is a frame, 2 makes a
//! fragile receiver panic, 3 makes it hang, 4 too, for good. A sturdy receiver sees the frames alone.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use num_complex::Complex32;

use super::*;
use crate::effort::Effort;
use crate::error::RequestError;
use crate::frame::{Check, Frame, Origin};
use crate::framing::{Deframed, Deframer, FrameEncoder, Framing, RawFrame};
use crate::modulation::{
    self, Channel, Demodulator, DemodulatorPlan, InputKind, Mapping, Parameters, Preference,
    Reception, SoftBlock,
};
use crate::receiver::{Downlink, Input};
use crate::runtime::session::{Pace, Session, Summary};
use crate::runtime::status::Status;
use crate::sink::{Sink, SinkError};
use crate::source::{Anchor, SampleBlock, Source, SourceError, SourceInfo};

const RATE_HZ: f64 = 10_000.0;
const MARK: u64 = 100;
const FRAGILE_BD: f64 = 100.0;
const STURDY_BD: f64 = 200.0;

static RELEASED: AtomicBool = AtomicBool::new(false);

/// Sees marks: so many samples of about the same height.
struct Marks {
    fragile: bool,
    position: u64,
    height: u32,
    length: u64,
    run: u64,
}

impl Demodulator for Marks {
    fn push(&mut self, samples: &[Complex32], out: &mut Vec<SoftBlock>) {
        for z in samples {
            self.position += 1;
            let near = z.re.round();
            let height = if (z.re - near).abs() < 0.2 { near as u32 } else { 0 };
            self.length = if height == self.height { self.length + 1 } else { 0 };
            self.height = height;
            if self.length != MARK / 2 {
                continue;
            }
            match height {
                1 => {
                    out.push(SoftBlock {
                        run: self.run,
                        first_symbol: 0,
                        first_sample: self.position as f64,
                        samples_per_symbol: 1.0,
                        frequency_offset_hz: 0.0,
                        esn0_db: 10.0,
                        mapping: Mapping::Direct,
                        llr: vec![1.0; 8],
                        events: Vec::new(),
                        end: true,
                    });
                    self.run += 1;
                }
                2 if self.fragile => panic!("a mark of 2"),
                3 if self.fragile => {
                    while !RELEASED.load(Ordering::Relaxed) {
                        std::thread::sleep(Duration::from_millis(5));
                    }
                }
                4 if self.fragile => std::thread::sleep(Duration::from_secs(60)),
                _ => {}
            }
        }
    }

    fn finish(&mut self, _: &mut Vec<SoftBlock>) {
        self.position = 0;
    }

    fn settled_sample(&self) -> f64 {
        self.position as f64
    }
}

fn demodulators(
    parameters: &Parameters,
    _: &Reception,
) -> Result<Vec<DemodulatorPlan>, RequestError> {
    let fragile = parameters.symbol_rate_bd == FRAGILE_BD;
    Ok(vec![DemodulatorPlan {
        channel: Channel {
            offset_hz: 0.0,
            half_bandwidth_hz: 2000.0,
            min_rate_hz: RATE_HZ,
            max_rate_hz: RATE_HZ,
        },
        make: Box::new(move |_| {
            Box::new(Marks { fragile, position: 0, height: 0, length: 0, run: 0 })
        }),
    }])
}

static MARKS: modulation::Descriptor = modulation::Descriptor {
    name: "marks",
    aliases: &[],
    summary: "",
    reference: "",
    real_input: InputKind::Iq,
    demodulators,
    modulator: |_| Err(RequestError::new("marks", "are not sent", "nothing")),
};

/// A run is a frame.
struct Runs;

impl Deframer for Runs {
    fn push(&mut self, block: &SoftBlock, out: &mut Deframed) {
        out.frames.push(RawFrame {
            bytes: vec![1],
            first_symbol: 0,
            end_symbol: block.llr.len() as u64,
            check: Check::Crc,
            corrected_symbols: None,
            corrected_bits: None,
            repaired_bits: None,
            log_odds: None,
        });
    }

    fn finish(&mut self, _: &mut Deframed) {}

    fn settled_symbol(&self) -> u64 {
        0
    }
}

impl Framing for Runs {
    fn deframer(&self, _: Mapping, _: Effort) -> Box<dyn Deframer> {
        Box::new(Runs)
    }

    fn encoder(&self) -> Box<dyn FrameEncoder> {
        panic!("nothing is sent")
    }

    fn preference(&self) -> Preference {
        Preference::default()
    }

    fn frame_bytes(&self) -> (usize, usize) {
        (1, 1)
    }
}

fn receiver(symbol_rate_bd: f64) -> Receiver {
    let origin = Origin {
        downlink: Some(format!("{symbol_rate_bd} Bd")),
        symbol_rate_bd,
        ..Origin::default()
    };
    let downlink = Downlink {
        origin: Arc::new(origin),
        frequency_hz: None,
        modulation: &MARKS,
        parameters: Parameters::new(symbol_rate_bd),
        framing: Arc::new(Runs),
    };
    let input = Input {
        kind: InputKind::Iq,
        sample_rate_hz: RATE_HZ,
        intermediate_frequency_hz: None,
        search_hz: 0.0,
        effort: Effort::OnePass,
    };
    Receiver::new(downlink, input).unwrap()
}

/// Marks in real time: at these samples, of these heights.
struct Radio {
    info: SourceInfo,
    marks: Vec<(u64, f32)>,
    length: u64,
    began: Instant,
    next: u64,
    /// Lets go of what hangs.
    releases_at: u64,
}

impl Source for Radio {
    fn info(&self) -> &SourceInfo {
        &self.info
    }

    fn read(&mut self, block: &mut SampleBlock, most: usize) -> Result<bool, SourceError> {
        block.samples.clear();
        block.first_sample = self.next;
        block.anchor = (self.next == 0).then_some(Anchor {
            sample: 0,
            time: jiff::Timestamp::from_second(1_800_000_000).ok(),
            centre_frequency_hz: None,
        });
        if self.next >= self.length {
            return Ok(false);
        }
        if self.next >= self.releases_at {
            RELEASED.store(true, Ordering::Relaxed);
        }
        let count = most.min(100) as u64;
        let height = |sample: u64| {
            let mark = self.marks.iter().find(|(at, _)| (*at..*at + MARK).contains(&sample));
            mark.map_or(0.0, |(_, height)| *height)
        };
        block
            .samples
            .extend((self.next..self.next + count).map(|n| Complex32::new(height(n), 0.0)));
        self.next += count;
        let due = Duration::from_secs_f64(self.next as f64 / RATE_HZ);
        std::thread::sleep(due.saturating_sub(self.began.elapsed()));
        Ok(true)
    }
}

#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<Frame>>>);

impl Sink for Kept {
    fn name(&self) -> &str {
        "kept"
    }

    fn write(&mut self, frame: &Frame) -> Result<(), SinkError> {
        self.0.lock().unwrap().push(frame.clone());
        Ok(())
    }

    fn flush(&mut self) -> Result<(), SinkError> {
        Ok(())
    }
}

/// Samples for a while, and then a driver that never returns.
struct Stuck(Radio);

impl Source for Stuck {
    fn info(&self) -> &SourceInfo {
        self.0.info()
    }

    fn read(&mut self, block: &mut SampleBlock, most: usize) -> Result<bool, SourceError> {
        if self.0.next >= 3_000 {
            std::thread::sleep(Duration::from_secs(60));
        }
        self.0.read(block, most)
    }
}

struct Run {
    summary: Summary,
    said: Vec<String>,
    status: Arc<Status>,
    /// First samples of the frames that came, sturdy and fragile ones.
    sturdy: Vec<u64>,
    fragile: Vec<u64>,
}

const WATCHDOG: Watchdog = Watchdog {
    turn: Duration::from_millis(10),
    patience: 60,
    first_pause: Duration::from_millis(50),
    longest_pause: Duration::from_secs(1),
    most_left: 16,
};

/// Frames every 100 ms for `length_s`, and other marks between them.
fn run(bad: &[(u64, f32)], length_s: f64, watchdog: Option<Watchdog>, releases_at: u64) -> Run {
    let length = (length_s * RATE_HZ) as u64;
    let mut marks: Vec<(u64, f32)> = (1..length / 1000).map(|k| (1000 * k, 1.0)).collect();
    marks.extend(bad);
    let info = SourceInfo {
        name: "marks".into(),
        sample_rate_hz: RATE_HZ,
        complex: true,
        length_samples: None,
        warnings: Vec::new(),
    };
    let began = Instant::now();
    let said = Arc::new(Mutex::new(Vec::new()));
    let (kept, heard, status) = (Kept::default(), said.clone(), Arc::<Status>::default());
    let session = Session {
        source: Box::new(Radio { info, marks, length, began, next: 0, releases_at }),
        receivers: vec![receiver(FRAGILE_BD), receiver(STURDY_BD)],
        sinks: vec![Box::new(kept.clone())],
        recorder: None,
        observer: None,
        pace: Pace::Live,
        stop: Arc::default(),
        status: status.clone(),
        on_sink_error: Arc::new(move |text| heard.lock().unwrap().push(text.to_owned())),
    };
    let summary = session.run_watched(watchdog).unwrap();
    let frames = kept.0.lock().unwrap();
    let of = |rate: f64| {
        let of_rate = frames.iter().filter(|frame| frame.origin.symbol_rate_bd == rate);
        of_rate.map(|frame| frame.first_sample).collect()
    };
    let (sturdy, fragile) = (of(STURDY_BD), of(FRAGILE_BD));
    let said = said.lock().unwrap().clone();
    Run { summary, said, status, sturdy, fragile }
}

/// Whether there is a frame for the mark at a sample.
fn came(frames: &[u64], mark: u64) -> bool {
    frames.iter().any(|&at| (mark..mark + MARK).contains(&at))
}

#[test]
fn a_receiver_that_panics_is_started_anew_and_the_others_go_on() {
    let run = run(&[(5_500, 2.0), (12_500, 2.0)], 2.5, Some(WATCHDOG), u64::MAX);
    assert_eq!(run.said.len(), 2, "{:?}", run.said);
    assert!(run.said[0].contains("100 Bd") && run.said[0].contains("a mark of 2"));
    let [fragile, sturdy] = &run.summary.downlinks[..] else { panic!("two downlinks") };
    assert_eq!((fragile.restarts, sturdy.restarts), (2, 0));
    assert_eq!((&fragile.failure, &sturdy.failure), (&None, &None));
    // What both received is emitted once, by either, unless it came just as one of them began.
    let all: Vec<u64> = [&run.sturdy[..], &run.fragile[..]].concat();
    for mark in (1..25).map(|k| 1000 * k) {
        assert!(came(&all, mark), "{mark}: {all:?}");
    }
    assert!((24..=26).contains(&run.summary.frames), "{all:?}");
    // Counts go on from receiver to receiver; a pause takes no more than two frames.
    assert!((16..=24).contains(&fragile.counts.frames), "{:?}", fragile.counts);
    assert_eq!(sturdy.counts.frames, 24);
    let shown = run.status.snapshot();
    assert_eq!((shown.downlinks[0].restarts, shown.downlinks[1].restarts), (2, 0));
    assert_eq!(shown.downlinks[0].counts(), fragile.counts);
    assert_eq!((shown.frames(), shown.running), (run.summary.frames, false));
    assert_eq!(shown.sinks[0].delivered, run.summary.frames);
}

#[test]
fn a_receiver_that_hangs_is_left_behind() {
    let run = run(&[(5_500, 3.0)], 3.0, Some(WATCHDOG), 20_000);
    assert_eq!(run.said.len(), 1, "{:?}", run.said);
    assert!(run.said[0].contains("makes no progress"), "{:?}", run.said);
    let [fragile, sturdy] = &run.summary.downlinks[..] else { panic!("two downlinks") };
    assert_eq!((fragile.restarts, sturdy.restarts), (1, 0));
    assert_eq!(fragile.failure, None);
    assert_eq!(sturdy.counts.frames, 29);
    // It did its part before and after, and what the first one said when it was released is not
    // counted twice.
    assert!((10..=25).contains(&fragile.counts.frames), "{:?}", fragile.counts);
    assert!((29..=30).contains(&run.summary.frames), "{}", run.summary.frames);
    assert_eq!(run.summary.lost_samples, 0);
}

#[test]
fn a_downlink_that_is_given_up_is_said_and_does_not_hold_the_others() {
    let watchdog = Watchdog { most_left: 1, ..WATCHDOG };
    let run = run(&[(2_500, 4.0)], 2.0, Some(watchdog), u64::MAX);
    assert!(run.said.iter().any(|line| line.contains("not started anew")), "{:?}", run.said);
    let [fragile, sturdy] = &run.summary.downlinks[..] else { panic!("two downlinks") };
    assert!(fragile.failure.as_ref().unwrap().contains("no progress"));
    assert_eq!((fragile.restarts, sturdy.counts.frames), (0, 19));
    assert_eq!(run.summary.frames, 19);
}

#[test]
fn a_source_that_hangs_is_left_behind() {
    let info = SourceInfo {
        name: "stuck".into(),
        sample_rate_hz: RATE_HZ,
        complex: true,
        length_samples: None,
        warnings: Vec::new(),
    };
    let (marks, began) = (vec![(1_000, 1.0)], Instant::now());
    let radio = Radio { info, marks, length: u64::MAX, began, next: 0, releases_at: u64::MAX };
    let kept = Kept::default();
    let session = Session {
        source: Box::new(Stuck(radio)),
        receivers: vec![receiver(STURDY_BD)],
        sinks: vec![Box::new(kept.clone())],
        recorder: None,
        observer: None,
        pace: Pace::Live,
        stop: Arc::default(),
        status: Arc::default(),
        on_sink_error: Arc::new(|_| {}),
    };
    let stop = session.stop.clone();
    std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(500));
        stop.store(true, Ordering::Relaxed);
    });
    let summary = session.run_watched(Some(WATCHDOG)).unwrap();
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    assert_eq!((summary.frames, kept.0.lock().unwrap().len()), (1, 1));
    assert!((3_000..3_200).contains(&summary.samples), "{}", summary.samples);
    assert!(summary.source_failure.unwrap().contains("does not answer"));
}

#[test]
fn without_a_watchdog_a_failure_ends_the_downlink() {
    let run = run(&[(2_500, 2.0)], 0.8, None, u64::MAX);
    let [fragile, sturdy] = &run.summary.downlinks[..] else { panic!("two downlinks") };
    assert!(fragile.failure.as_ref().unwrap().contains("a mark of 2"));
    assert_eq!((fragile.restarts, fragile.counts.frames), (0, 2));
    assert_eq!((sturdy.counts.frames, run.summary.frames), (7, 7));
    assert!(!run.summary.is_clean());
}

#[test]
fn what_fails_again_and_again_is_tried_after_growing_pauses() {
    let bad: Vec<(u64, f32)> = (0..30).map(|k| (500 + 1000 * k, 2.0)).collect();
    let run = run(&bad, 2.5, Some(WATCHDOG), u64::MAX);
    // After 50, 100, 200, 400, 800 ms, and up to 100 ms of life each.
    let restarts = run.summary.downlinks[0].restarts;
    assert!((3..=6).contains(&restarts), "{restarts}");
    assert!((24..=30).contains(&run.summary.frames), "{}", run.summary.frames);
}
