//! The program beside a radio: frames come out while samples come in, with the times of the samples,
//! through outages, until it is told to stop.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;
#[path = "../src/source/test_servers.rs"]
#[allow(dead_code)]
mod test_servers;

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use common::{records, tulpar};
use jiff::Timestamp;
use test_servers::RtlTcpServer;
use tulpar::catalogue::Mode;
use tulpar::framing::{self, Options};
use tulpar::modulation::{self, Parameters};
use tulpar::simulation::{Channel, SentFrame, Simulator, Transmission, frames};

const RATE_HZ: f64 = 250_000.0;
const CARRIER_HZ: f64 = 437.5e6;
/// Where the program tunes the radio to is its choice; the signal follows.
const CENTRE_HZ: f64 = 437.54e6;
/// Samples that the radio hands on at a time: 20 ms.
const BURST: u64 = 5_000;
const MODE: [&str; 6] =
    ["--modulation", "gmsk", "--symbol-rate", "9600", "--framing", "AX.25 G3RUH"];

/// Some seconds of a beacon, over and over.
struct Beacon {
    bytes: Vec<[u8; 2]>,
    sent: Vec<SentFrame>,
}

fn beacon() -> Beacon {
    let mode = Mode {
        modulation: modulation::find("gmsk").unwrap(),
        parameters: Parameters::new(9600.0),
        framing_descriptor: framing::find("AX.25 G3RUH").unwrap(),
        framing: framing::build("AX.25 G3RUH", &Options::default()).unwrap(),
    };
    let payloads = frames::for_framing("AX.25 G3RUH", mode.framing.as_ref(), 8, 3);
    let mut transmission = Transmission::new(mode, payloads).unwrap();
    transmission.gap_s = 0.15;
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
    Beacon { bytes, sent: simulator.sent().to_vec() }
}

impl Beacon {
    fn server(self: &Arc<Self>) -> RtlTcpServer {
        let beacon = self.clone();
        let sample = move |n: u64| beacon.bytes[(n % beacon.bytes.len() as u64) as usize];
        RtlTcpServer::playing(RATE_HZ, BURST, Arc::new(sample))
    }

    /// UTC of the beginnings of each frame from `from` to `to`, seconds of 1970.
    fn times(&self, server: &RtlTcpServer, from: f64, to: f64) -> Vec<(f64, &[u8])> {
        let start = unix_s(server.start);
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

fn unix_s(time: SystemTime) -> f64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs_f64()
}

/// The program at work, with what it said and printed when it ends.
struct Running {
    child: Child,
    lines: BufReader<std::process::ChildStderr>,
}

impl Running {
    fn start(device: &str, more: &[&str]) -> Self {
        let mut child = Command::new(assert_cmd::cargo::cargo_bin("tulpar"))
            .args(["receive", "--device", device, "--json"])
            .args(MODE)
            .args(more)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap());
        let mut running = Self { child, lines };
        running.wait_for("listening to");
        running
    }

    fn wait_for(&mut self, words: &str) -> String {
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

    fn terminate(&self) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    }

    fn end(mut self) -> (Vec<serde_json::Value>, String) {
        let mut out = Vec::new();
        self.child.stdout.take().unwrap().read_to_end(&mut out).unwrap();
        let mut said = String::new();
        self.lines.read_to_string(&mut said).unwrap();
        assert!(self.child.wait().unwrap().success(), "{said}");
        (records(&out), said)
    }
}

/// Asserts that each of the frames due came, at its time to some milliseconds.
fn assert_came(due: &[(f64, &[u8])], records: &[serde_json::Value], tolerance_s: f64) {
    for (at, bytes) in due {
        let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
        let found = records.iter().any(|r| {
            let time: Timestamp = r["time"].as_str().unwrap().parse().unwrap();
            let late_s = time.as_nanosecond() as f64 * 1e-9 - at;
            r["frame"] == hex.as_str() && late_s.abs() < tolerance_s
        });
        assert!(found, "nothing at {at}: {hex}\n{records:#?}");
    }
}

#[test]
fn frames_come_with_their_times_until_the_program_is_told_to_stop() {
    let beacon = Arc::new(beacon());
    let server = beacon.server();
    let centre = CENTRE_HZ.to_string();
    let running = Running::start(
        &server.uri(),
        &["--rate", "250000", "--frequency", &centre, "--search", "60000"],
    );
    let from = unix_s(SystemTime::now()) + 1.5;
    std::thread::sleep(Duration::from_secs(5));
    let to = unix_s(SystemTime::now());
    running.terminate();
    let (records, said) = running.end();
    assert!(said.contains("stopping") && said.contains("frames in "), "{said}");
    assert!(!said.contains("lost"), "{said}");
    let due = beacon.times(&server, from, to - 0.1);
    assert!(due.len() > 10);
    assert_came(&due, &records, 0.03);
    let commands = server.commands.lock().unwrap();
    assert!(commands.contains(&(2, 250_000)) && commands.contains(&(1, CENTRE_HZ as u32)));
}

#[test]
fn a_radio_that_vanishes_is_opened_again_and_later_times_are_right() {
    let beacon = Arc::new(beacon());
    let server = beacon.server();
    let centre = CENTRE_HZ.to_string();
    let mut running = Running::start(
        &server.uri(),
        &["--rate", "250000", "--frequency", &centre, "--search", "60000", "--duration", "9"],
    );
    let from = unix_s(SystemTime::now()) + 1.5;
    std::thread::sleep(Duration::from_secs(3));
    let gone = unix_s(SystemTime::now());
    server.faults.absent.store(true, Ordering::Relaxed);
    running.wait_for("trying to open it again");
    std::thread::sleep(Duration::from_millis(700));
    server.faults.absent.store(false, Ordering::Relaxed);
    running.wait_for("is back");
    let back = unix_s(SystemTime::now());
    let (records, said) = running.end();
    assert!(said.contains("missing in the input"), "{said}");
    assert_came(&beacon.times(&server, from, gone - 0.1), &records, 0.03);
    let to = back + 3.3;
    let due = beacon.times(&server, back + 1.5, to);
    assert!(due.len() > 5);
    assert_came(&due, &records, 0.03);
}

#[test]
fn wrong_requests_are_named_before_anything_is_opened() {
    for (arguments, expected) in [
        (vec!["--device", "rtl_tpc://localhost"], "rtl_tcp"),
        (vec!["--device", "udp://:7355?format=cs16"], "rate"),
        (vec!["--device", "soapy:driver=rtlsdr"], "--features soapy"),
        (vec!["--device", "rtl_tcp://localhost:1", "--rate", "5"], "rate"),
    ] {
        let output = tulpar()
            .arg("receive")
            .args(MODE)
            .args(["--frequency", "437500000"])
            .args(&arguments)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {text}");
        assert!(text.lines().count() == 1 && text.contains(expected), "{arguments:?}: {text}");
    }
    // A radio that is not there: the request is right.
    let output = tulpar()
        .args(["receive", "--device", "rtl_tcp://127.0.0.1:1", "--frequency", "437500000"])
        .args(["--rate", "250000"])
        .args(MODE)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(String::from_utf8_lossy(&output.stderr).lines().count(), 1);
}
