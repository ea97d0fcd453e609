//! Recording while receiving, as users see it: the program is fed in real time over TCP, killed,
//! ended, and given too small a disk.
#![cfg(feature = "runtime")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use common::{frames, records, refused, sent, tulpar};
use serde_json::Value;
use tulpar::source::{self, Anchor, InputOptions, SampleBlock};

const RATE_HZ: usize = 48_000;
/// Bytes of a sample.
const SAMPLE: usize = 4;
const MODE: [&str; 6] =
    ["--modulation", "fsk", "--symbol-rate", "9600", "--framing", "AX.25 G3RUH"];

/// Simulates a signal; returns the base name.
fn simulate(folder: &Path, arguments: &[&str]) -> PathBuf {
    let base = folder.join("sent");
    tulpar().arg("simulate").arg(&base).args(arguments).assert().success();
    base
}

fn meta(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// Sends bytes in real time to the first who connects, then keeps the connection open.
struct Feeder {
    address: SocketAddr,
    sent: Arc<AtomicUsize>,
}

impl Feeder {
    fn start(bytes: Vec<u8>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let sent = Arc::new(AtomicUsize::new(0));
        let count = sent.clone();
        thread::spawn(move || {
            let (mut client, _) = listener.accept().unwrap();
            let started = Instant::now();
            let mut next = 0;
            while next < bytes.len() {
                let due = (started.elapsed().as_secs_f64() * RATE_HZ as f64) as usize * SAMPLE;
                let due = due.min(bytes.len());
                if client.write_all(&bytes[next..due]).is_err() {
                    return;
                }
                next = due;
                count.store(next, Ordering::SeqCst);
                thread::sleep(Duration::from_millis(5));
            }
            // Until the program has enough.
            let _ = client.read(&mut [0]);
        });
        Self { address, sent }
    }

    /// Waits until so many samples are sent.
    fn wait_for(&self, samples: usize) {
        let end = Instant::now() + Duration::from_secs(30);
        while self.sent.load(Ordering::SeqCst) < SAMPLE * samples {
            assert!(Instant::now() < end, "nobody takes the samples");
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Starts the program on it.
    fn receive(&self, folder: &Path, arguments: &[&str]) -> Child {
        let uri = format!("tcp://{}?format=cs16&rate={RATE_HZ}&frequency=437500000", self.address);
        Command::new(env!("CARGO_BIN_EXE_tulpar"))
            .args(["receive", "--device", &uri, "--json", "--doppler", "off"])
            .args(MODE)
            .arg("--record")
            .arg(folder)
            .args(arguments)
            .env("TULPAR_CONFIG", Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config.toml"))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }
}

/// Asks a program to end, and waits for it.
fn terminate(child: Child) -> Output {
    let status = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert!(status.success());
    child.wait_with_output().unwrap()
}

/// The metadata files in a folder.
fn recordings(folder: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "sigmf-meta"))
        .collect();
    found.sort();
    found
}

/// Number of samples, anchors and warnings of a recording, as it is read.
fn opened(path: &Path) -> (usize, Vec<Anchor>, Vec<String>) {
    let mut source = source::open(path.to_str().unwrap(), &InputOptions::default()).unwrap();
    let (mut count, mut anchors) = (0, Vec::new());
    let mut block = SampleBlock::default();
    while source.read(&mut block, 1 << 16).unwrap() {
        count += block.samples.len();
        anchors.extend(block.anchor);
    }
    (count, anchors, source.info().warnings.clone())
}

fn replayed(path: &Path, mode: &[&str]) -> Vec<Value> {
    let output =
        tulpar().arg("replay").arg(path).args(mode).args(["--json", "--quiet"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    records(&output.stdout)
}

/// The frames that were sent before a sample, and those that were on their way.
fn sent_before(base: &Path, sample: u64) -> Vec<String> {
    let annotations = meta(&base.with_extension("sigmf-meta"))["annotations"].clone();
    let ends = annotations.as_array().unwrap().iter().map(|a| {
        a["core:sample_start"].as_u64().unwrap() + a["core:sample_count"].as_u64().unwrap()
    });
    // What a frame needs behind it to be decided.
    let margin = RATE_HZ as u64 / 20;
    sent(base)
        .into_iter()
        .zip(ends)
        .filter(|(_, end)| end + margin <= sample)
        .map(|(frame, _)| frame)
        .collect()
}

const SIGNAL: [&str; 8] = ["--rate", "48000", "--esn0", "20", "--frames", "12", "--seed", "5"];

#[test]
fn a_killed_recording_replays_up_to_a_second_before() {
    let folder = tempfile::tempdir().unwrap();
    let base = simulate(folder.path(), &[&MODE[..], &SIGNAL].concat());
    let bytes = fs::read(base.with_extension("sigmf-data")).unwrap();
    let feeder = Feeder::start(bytes.clone());
    let there = folder.path().join("recordings");
    let mut child = feeder.receive(&there, &["--record-reserve", "0"]);
    feeder.wait_for(3 * RATE_HZ);
    // On Unix this is SIGKILL.
    child.kill().unwrap();
    let handed_over = feeder.sent.load(Ordering::SeqCst) / SAMPLE;
    child.wait().unwrap();

    let found = recordings(&there);
    assert_eq!(found.len(), 1, "{found:?}");
    let (samples, anchors, warnings) = opened(&found[0]);
    println!("{samples} of {handed_over} samples, {warnings:?}");
    assert!(samples + RATE_HZ >= handed_over, "{samples} of {handed_over}");
    assert!(anchors[0].time.is_some() && anchors[0].centre_frequency_hz == Some(437.5e6));
    let data = fs::read(found[0].with_extension("sigmf-data")).unwrap();
    assert!(bytes.starts_with(&data[..samples * SAMPLE]), "other samples than were sent");
    let got: Vec<String> = replayed(&found[0], &MODE)
        .iter()
        .map(|record| record["frame"].as_str().unwrap().to_owned())
        .collect();
    let expected = sent_before(&base, samples as u64);
    assert!(
        expected.len() >= 4 && got.starts_with(&expected),
        "{} of {}",
        got.len(),
        expected.len()
    );
}

#[test]
fn a_recording_that_is_ended_is_exact() {
    let folder = tempfile::tempdir().unwrap();
    let base = simulate(folder.path(), &[&MODE[..], &SIGNAL].concat());
    let bytes = fs::read(base.with_extension("sigmf-data")).unwrap();
    let feeder = Feeder::start(bytes.clone());
    let there = folder.path().join("recordings");
    let child = feeder.receive(&there, &["--record-reserve", "0", "--record-keep", "1GB"]);
    feeder.wait_for(2 * RATE_HZ + RATE_HZ / 2);
    let output = terminate(child);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    let received = records(&output.stdout);

    let found = recordings(&there);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].to_str().unwrap().ends_with("_437500000Hz.sigmf-meta"), "{found:?}");
    assert!(stderr.contains(found[0].to_str().unwrap()), "{stderr}");
    let (samples, _, warnings) = opened(&found[0]);
    assert!(warnings.is_empty(), "{warnings:?}");
    let data = fs::read(found[0].with_extension("sigmf-data")).unwrap();
    assert_eq!(data.len(), samples * SAMPLE);
    assert!(samples >= 2 * RATE_HZ && bytes.starts_with(&data));
    let meta = meta(&found[0]);
    let marks = meta["annotations"].as_array().unwrap();
    assert!(received.len() >= 3 && marks.len() == received.len(), "{}: {marks:?}", received.len());
    for (mark, record) in marks.iter().zip(&received) {
        assert_eq!(mark["core:sample_start"], record["sample"]);
        let label = mark["core:label"].as_str().unwrap();
        assert!(label.contains("AX.25 G3RUH") && label.ends_with("/crc"), "{label}");
    }
    // Replaying it gives the same frames, at the same times.
    let again = replayed(&found[0], &[&MODE[..], &["--doppler", "off"]].concat());
    assert_eq!(again.len(), received.len());
    for (a, b) in again.iter().zip(&received) {
        assert_eq!((&a["frame"], &a["sample"]), (&b["frame"], &b["sample"]));
        let time = |r: &Value| r["time"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
        let apart_s = time(a).duration_since(time(b)).as_secs_f64();
        assert!(apart_s.abs() < 1e-3, "{apart_s} s");
    }
    // No temporary file is left.
    assert_eq!(fs::read_dir(&there).unwrap().count(), 2);
}

#[test]
fn the_downlink_alone_is_a_small_recording_with_the_same_frames() {
    const TWINS: [&str; 4] = ["--satellite", "TWINS", "--downlink", "first"];
    let folder = tempfile::tempdir().unwrap();
    let base = simulate(
        folder.path(),
        &[
            &TWINS[..],
            &["--rate", "250000", "--esn0", "15", "--frames", "6"],
            // The carrier is 50 kHz above it.
            &["--frequency", "437450000", "--start", "2026-08-01T12:00:00Z"],
        ]
        .concat(),
    );
    let there = folder.path().join("recordings");
    let record = there.to_str().unwrap().to_owned();
    let recording = ["--record", &record, "--record-band", "downlink", "--record-format", "ci8"];
    let whole = replayed(
        &base,
        &[&TWINS[..], &["--frequency", "437450000"], &recording[..], &["--record-reserve", "0"]]
            .concat(),
    );
    assert_eq!(frames_of(&whole), sent(&base));
    let found = recordings(&there);
    let meta = meta(&found[0]);
    assert_eq!(meta["captures"][0]["core:frequency"], 437.5e6);
    assert_eq!(meta["annotations"].as_array().unwrap().len(), 6);
    let rate_hz = meta["global"]["core:sample_rate"].as_f64().unwrap();
    assert!((48_000.0..=96_000.0).contains(&rate_hz), "{rate_hz}");
    assert!(
        found[0].to_str().unwrap().contains("2026-08-01T12-00-00Z_twins_437500000Hz"),
        "{found:?}"
    );
    let narrow = replayed(&found[0], &TWINS);
    assert_eq!(frames_of(&narrow), sent(&base));
    // Two downlinks are no channel.
    let mut command = tulpar();
    command.arg("replay").arg(&base).args(["--satellite", "TWINS", "--frequency", "437450000"]);
    refused(command.args(recording), &["--record-band", "--downlink"]);
}

fn frames_of(records: &[Value]) -> Vec<String> {
    records.iter().map(|record| record["frame"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn wrong_requests_are_said_before_anything_is_received() {
    let folder = tempfile::tempdir().unwrap();
    let base = simulate(folder.path(), &[&MODE[..], &["--frames", "1"]].concat());
    let there = folder.path().join("recordings");
    for (arguments, words) in [
        (&["--record-reserve", "99999TB"][..], &["--record", "are free", "--record-reserve"][..]),
        (&["--record-reserve", "some"], &["--record-reserve", "1GiB"]),
        (&["--record-keep", "0"], &["--record-keep", "20GB"]),
        (&["--record-format", "cf64"], &["--record-format", "cf32"]),
    ] {
        let mut command = tulpar();
        command.arg("replay").arg(&base).args(MODE).arg("--record").arg(&there);
        refused(command.args(arguments), words);
    }
    let mut command = tulpar();
    command.arg("replay").arg(&base).args(MODE).arg("--record");
    refused(command.arg(base.with_extension("sigmf-data")), &["--record", "cannot be written"]);
}

/// A small disk; needs the right to mount one.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(at: &Path) -> Option<Self> {
        fs::create_dir(at).unwrap();
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", "size=256k", "tmpfs"]).arg(at);
        let mounted = command.stderr(Stdio::null()).status().is_ok_and(|status| status.success());
        if !mounted {
            eprintln!("SKIPPED: no disk can be mounted here");
        }
        mounted.then(|| Self(at.to_owned()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_ends_the_recording_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let Some(disk) = SmallDisk::mount(&folder.path().join("disk")) else { return };
    let base = simulate(folder.path(), &[&MODE[..], &SIGNAL].concat());
    let bytes = fs::read(base.with_extension("sigmf-data")).unwrap();
    let all = bytes.len() / SAMPLE;
    let feeder = Feeder::start(bytes.clone());
    let child = feeder.receive(&disk.0, &["--record-reserve", "0"]);
    feeder.wait_for(all);
    thread::sleep(Duration::from_millis(300));
    let output = terminate(child);
    let stderr = String::from_utf8_lossy(&output.stderr);
    let lines = stderr.lines().filter(|line| line.contains("the disk is full")).count();
    assert_eq!(lines, 1, "{stderr}");
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert_eq!(frames(&output.stdout), sent(&base), "{stderr}");
    let found = recordings(&disk.0);
    let (samples, _, warnings) = opened(&found[0]);
    println!("{samples} of {all} samples on a disk of 256 kB");
    assert!(warnings.is_empty(), "{warnings:?}");
    assert!(samples > 20_000, "{samples}");
    let data = fs::read(found[0].with_extension("sigmf-data")).unwrap();
    assert!(data.len() == samples * SAMPLE && bytes.starts_with(&data));
}
