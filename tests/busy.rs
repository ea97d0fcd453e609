//! The program under strain: beside others that want every core, and for a long time.
#![cfg(feature = "runtime")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use common::{frames, tulpar};

const MODE: [&str; 6] =
    ["--modulation", "fsk", "--symbol-rate", "9600", "--framing", "AX.25 G3RUH"];
/// What a replay may need, however long it is.
const MOST_MEMORY_KB: u64 = 100 * 1024;

/// Threads that do nothing, as fast as they can; they end when dropped, and by themselves.
struct Hogs {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Hogs {
    fn start(count: usize) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let end = Instant::now() + Duration::from_secs(60);
        let hog = || {
            let stop = stop.clone();
            thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) && Instant::now() < end {
                    std::hint::spin_loop();
                }
            })
        };
        let threads = (0..count).map(|_| hog()).collect();
        Self { stop, threads }
    }
}

impl Drop for Hogs {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// Writes a recording, and returns the frames in it.
fn simulate(base: &Path, arguments: &[&str]) -> Vec<String> {
    let output = tulpar().arg("simulate").arg(base).args(MODE).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = fs::read_to_string(base.with_extension("frames.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// The number before a word of the last line that the program says.
fn said(stderr: &str, after: &str, before: &str) -> Option<f64> {
    let line = stderr.lines().last()?;
    let (_, rest) = line.split_once(after)?;
    rest.split_once(before)?.0.trim().parse().ok()
}

#[test]
fn keeps_up_with_a_radio_on_a_busy_machine() {
    let folder = tempfile::tempdir().unwrap();
    let base = folder.path().join("radio");
    let sent = simulate(
        &base,
        &["--rate", "2400000", "--esn0", "15", "--offset", "5000", "--frames", "12"],
    );
    let hogs = Hogs::start(2);
    let output = tulpar()
        .arg("replay")
        .arg(base.with_extension("sigmf-meta"))
        .args(MODE)
        .args(["--realtime", "--json"])
        .output()
        .unwrap();
    drop(hogs);
    let stderr = String::from_utf8_lossy(&output.stderr);
    println!("{stderr}");
    assert!(output.status.success(), "{stderr}");
    assert_eq!(frames(&output.stdout), sent);
    let behind_s = said(&stderr, "was up to", "s behind").unwrap_or(0.0);
    assert!(behind_s < 0.5, "{stderr}");
    // Receivers that lag behind the reading would end late.
    let (signal_s, took_s) =
        (said(&stderr, "frames in", "s of").unwrap(), said(&stderr, "took", "s (").unwrap());
    assert!(took_s < signal_s + 0.5, "{stderr}");
}

/// The most memory that a process has had so far, in kB; `None` where it cannot be known.
fn peak_memory_kb(process: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().trim_end_matches(" kB").parse().ok()
}

/// Starts a replay of a file or a pipe at 48 kS/s.
fn replay(file: &Path) -> Child {
    Command::new(env!("CARGO_BIN_EXE_tulpar"))
        .arg("replay")
        .arg(file)
        .args(["--format", "ci16", "--rate", "48000", "--json"])
        .args(MODE)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

#[test]
fn a_long_file_takes_no_more_memory_than_a_short_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("silence.ci16");
    // Twenty minutes of zeros, which take no room on most file systems.
    fs::File::create(&path).unwrap().set_len(1200 * 48_000 * 4).unwrap();
    let mut child = replay(&path);
    let (mut peak_kb, started) = (None, Instant::now());
    while child.try_wait().unwrap().is_none() {
        peak_kb = peak_memory_kb(child.id()).or(peak_kb);
        if started.elapsed() > Duration::from_secs(120) {
            child.kill().unwrap();
        }
        thread::sleep(Duration::from_millis(5));
    }
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.stdout.is_empty());
    let Some(peak_kb) = peak_kb else {
        eprintln!("SKIPPED: this system does not tell how much memory a process has had");
        return;
    };
    println!("{peak_kb} kB for twenty minutes of silence");
    assert!(peak_kb < MOST_MEMORY_KB, "{peak_kb} kB");
}

#[test]
fn a_long_pipe_takes_no_more_memory_than_a_short_one() {
    const TIMES: usize = 30;
    let folder = tempfile::tempdir().unwrap();
    let base = folder.path().join("some");
    let sent = simulate(&base, &["--rate", "48000", "--esn0", "15", "--frames", "30"]);
    let samples = fs::read(base.with_extension("sigmf-data")).unwrap();
    let mut child = replay(Path::new("-"));
    let mut pipe = child.stdin.take().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let reader = thread::spawn(move || {
        let mut out = Vec::new();
        std::io::Read::read_to_end(&mut stdout, &mut out).unwrap();
        out
    });
    let mut early_kb = None;
    for time in 0..TIMES {
        pipe.write_all(&samples).unwrap();
        if time == TIMES / 5 {
            early_kb = peak_memory_kb(child.id());
        }
    }
    let peak_kb = peak_memory_kb(child.id());
    drop(pipe);
    let found = frames(&reader.join().unwrap());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let expected = vec![sent; TIMES].concat();
    assert!(found == expected, "{} frames of {}", found.len(), expected.len());
    let (Some(early_kb), Some(peak_kb)) = (early_kb, peak_kb) else {
        eprintln!("SKIPPED: this system does not tell how much memory a process has had");
        return;
    };
    println!(
        "{peak_kb} kB for {} s of signal, {early_kb} kB for a fifth of it",
        samples.len() / 4 / 48_000 * TIMES
    );
    assert!(peak_kb < MOST_MEMORY_KB, "{peak_kb} kB");
    assert!(peak_kb < early_kb + 8 * 1024, "{early_kb} kB, then {peak_kb} kB");
}
