//! A beacon on the air, and the program that listens to it.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::SystemTime;

use jiff::Timestamp;
use tulpar::Complex32;
use tulpar::catalogue::Mode;
use tulpar::effort::Effort;
use tulpar::framing::{self, Options};
use tulpar::modulation::{self, InputKind, Parameters};
use tulpar::receiver::{Downlink, Input, Receiver};
use tulpar::simulation::{Channel, SentFrame, Simulator, Transmission, frames};

use crate::common::{hex, records};
use crate::test_servers::RtlTcpServer;

pub const RATE_HZ: f64 = 250_000.0;
pub const CARRIER_HZ: f64 = 437.5e6;
/// Where the program tunes the radio to is its choice; the signal follows.
pub const CENTRE_HZ: f64 = 437.54e6;
/// Samples that the radio hands on at a time: 20 ms.
const BURST: u64 = 5_000;
pub const MODE: [&str; 6] =
    ["--modulation", "gmsk", "--symbol-rate", "9600", "--framing", "AX.25 G3RUH"];

/// Some seconds of a beacon, over and over.
pub struct Beacon {
    pub bytes: Vec<[u8; 2]>,
    pub sent: Vec<SentFrame>,
    /// By how much the receiver dates a frame later than the transmitter does, where nothing is
    /// live: a matter of where a frame begins.
    pub convention_s: f64,
}

impl Beacon {
    pub fn new() -> Self {
        let mode = Mode {
            modulation: modulation::find("gmsk").unwrap(),
            parameters: Parameters::new(9600.0),
            framing_descriptor: framing::find("AX.25 G3RUH").unwrap(),
            framing: framing::build("AX.25 G3RUH", &Options::default()).unwrap(),
        };
        let payloads = frames::for_framing("AX.25 G3RUH", mode.framing.as_ref(), 8, 3);
        let mut transmission = Transmission::new(mode, payloads).unwrap();
        transmission.gap_s = 0.06;
        let channel = Channel {
            esn0_db: 15.0,
            frequency_offset_hz: CARRIER_HZ - CENTRE_HZ,
            level_dbfs: -12.0,
            seed: 3,
            ..Channel::default()
        };
        let mut simulator =
            Simulator::new(transmission, channel, RATE_HZ, None, Some(CENTRE_HZ)).unwrap();
        let mut samples = Vec::new();
        while simulator.read_samples(&mut samples, 1 << 16).unwrap() > 0 {}
        let byte = |x: f32| (127.5 + 127.5 * x).round().clamp(0.0, 255.0) as u8;
        let bytes = samples.iter().map(|x| [byte(x.re), byte(x.im)]).collect();
        let sent = simulator.sent().to_vec();
        let convention_s = convention_s(&samples, &sent);
        Beacon { bytes, sent, convention_s }
    }

    /// I and Q of a sample of the air.
    pub fn sample(&self, n: u64) -> [u8; 2] {
        self.bytes[(n % self.bytes.len() as u64) as usize]
    }

    pub fn server(self: &Arc<Self>) -> RtlTcpServer {
        let beacon = self.clone();
        RtlTcpServer::playing(RATE_HZ, BURST, Arc::new(move |n| beacon.sample(n)))
    }

    /// UTC of the beginnings of each frame from `from` to `to`, seconds of 1970; sample 0 of the air
    /// is at `start`.
    pub fn times(&self, start: SystemTime, from: f64, to: f64) -> Vec<(f64, &[u8])> {
        let start = unix_s(start);
        let period_s = self.bytes.len() as f64 / RATE_HZ;
        let mut out = Vec::new();
        for turn in 0..1000 {
            for frame in &self.sent {
                let at = start + f64::from(turn) * period_s + frame.first_sample as f64 / RATE_HZ;
                let end = at + (frame.end_sample - frame.first_sample) as f64 / RATE_HZ;
                if at >= from && end <= to {
                    out.push((at, &frame.bytes[..]));
                }
            }
        }
        out
    }
}

/// Receives samples as a recording, and compares the frames' beginnings.
fn convention_s(samples: &[Complex32], sent: &[SentFrame]) -> f64 {
    let downlink = Downlink {
        origin: Arc::default(),
        frequency_hz: None,
        modulation: modulation::find("gmsk").unwrap(),
        parameters: Parameters::new(9600.0),
        framing: framing::build("AX.25 G3RUH", &Options::default()).unwrap().into(),
    };
    let input = Input {
        kind: InputKind::Iq,
        sample_rate_hz: RATE_HZ,
        intermediate_frequency_hz: None,
        search_hz: 60_000.0,
        effort: Effort::Full,
    };
    let mut receiver = Receiver::new(downlink, input).unwrap();
    let mut frames = Vec::new();
    receiver.push(0, samples, &mut frames);
    receiver.finish(&mut frames);
    assert_eq!(frames.len(), sent.len());
    let late = frames.iter().zip(sent).map(|(frame, sent)| {
        assert_eq!(frame.bytes, sent.bytes);
        frame.first_sample as f64 - sent.first_sample as f64
    });
    late.sum::<f64>() / sent.len() as f64 / RATE_HZ
}

pub fn unix_s(time: SystemTime) -> f64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs_f64()
}

pub fn now_s() -> f64 {
    unix_s(SystemTime::now())
}

/// The program at work, with what it said and printed when it ends.
pub struct Running {
    child: Child,
    lines: BufReader<std::process::ChildStderr>,
}

impl Running {
    /// Listens.
    pub fn start(device: &str, more: &[&str]) -> Self {
        let mut running = Self::begin(device, more);
        running.wait_for("listening to");
        running
    }

    /// Has just been started.
    pub fn begin(device: &str, more: &[&str]) -> Self {
        let mut child = Command::new(assert_cmd::cargo::cargo_bin("tulpar"))
            .args(["receive", "--device", device, "--json"])
            .args(MODE)
            .args(more)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap());
        Self { child, lines }
    }

    pub fn wait_for(&mut self, words: &str) -> String {
        let mut seen = String::new();
        loop {
            let mut line = String::new();
            assert!(self.lines.read_line(&mut line).unwrap() > 0, "no \"{words}\" in {seen}");
            if line.contains(words) {
                return line;
            }
            seen += &line;
        }
    }

    pub fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([name, &id]).status().unwrap().success());
    }

    pub fn terminate(&self) {
        self.signal("-TERM");
    }

    pub fn end(mut self) -> (Vec<serde_json::Value>, String) {
        let mut out = Vec::new();
        self.child.stdout.take().unwrap().read_to_end(&mut out).unwrap();
        let mut said = String::new();
        self.lines.read_to_string(&mut said).unwrap();
        assert!(self.child.wait().unwrap().success(), "{said}");
        (records(&out), said)
    }
}

impl Drop for Running {
    /// A failed test must not leave it behind.
    fn drop(&mut self) {
        let _ = self.child.kill();
    }
}

/// By how many seconds the frames that were due are late, in their order; each must have come, to
/// `tolerance_s`. Those that did not are named by their time after the first.
pub fn lateness_s(
    due: &[(f64, &[u8])],
    records: &[serde_json::Value],
    tolerance_s: f64,
) -> Vec<f64> {
    let late = |(at, bytes): &(f64, &[u8])| {
        let hex = hex(bytes);
        let late = records.iter().filter(|r| r["frame"] == hex.as_str()).map(|r| {
            let time: Timestamp = r["time"].as_str().unwrap().parse().unwrap();
            time.as_nanosecond() as f64 * 1e-9 - at
        });
        let late = late.min_by(|a, b| a.abs().total_cmp(&b.abs()));
        let late = late.filter(|late| late.abs() < tolerance_s);
        late.ok_or_else(|| format!("{:.3} s", at - due[0].0))
    };
    let (late, missing): (Vec<_>, Vec<_>) = due.iter().map(late).partition(Result::is_ok);
    let missing: Vec<String> = missing.into_iter().filter_map(Result::err).collect();
    let count = records.len();
    assert!(missing.is_empty(), "{} due, {count} came; none at {missing:?}", due.len());
    late.into_iter().flatten().collect()
}
