//! The Doppler shift from end to end: a pass that the simulator flies, by the orbit or by a table
//! that another program made, received by orbit, table, other programs' tuning, and search.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::{frames, records, said, sent, shared, tulpar};

const STATION: &str = "40.41,49.87,28";
const MODE: [&str; 6] =
    ["--modulation", "gmsk", "--symbol-rate", "9600", "--framing", "AX.25 G3RUH"];
/// Shortly before the middle of the pass of the vectors, where the shift changes fastest.
const START_S: f64 = 1_793_811_335.0;
const START: &str = "2026-11-04T16:55:35Z";

fn vector(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(name)
}

fn elements() -> String {
    vector("pass.tle").display().to_string()
}

fn table() -> String {
    format!("file:{}", vector("doppler_table.txt").display())
}

/// Flies a part of the pass; `how`: the orbit or the table.
fn fly(folder: &Path, how: &[&str], frames: u32) -> PathBuf {
    let base = folder.join(format!("pass{}", how.len()));
    tulpar()
        .arg("simulate")
        .arg(&base)
        .args(MODE)
        .args(["--frames", &frames.to_string(), "--start", START, "--esn0", "14"])
        .args(["--frequency", "437500000"])
        .args(how)
        .assert()
        .success();
    base
}

fn replay(base: &Path, how: &[&str]) -> std::process::Output {
    let output =
        tulpar().arg("replay").arg(base).args(MODE).arg("--json").args(how).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output
}

fn offsets_hz(output: &std::process::Output) -> Vec<f64> {
    records(&output.stdout).iter().map(|r| r["frequency_offset_hz"].as_f64().unwrap()).collect()
}

fn rms(values: &[f64]) -> f64 {
    (values.iter().map(|x| x * x).sum::<f64>() / values.len() as f64).sqrt()
}

#[test]
fn a_pass_is_followed_by_orbit_and_table_whichever_flew_it() {
    let folder = tempfile::tempdir().unwrap();
    let (elements, table) = (elements(), table());
    let orbit = ["--elements", &elements, "--station", STATION];
    for flown in [&orbit[..], &["--doppler", &table]] {
        let base = fly(folder.path(), flown, 40);
        let sent = sent(&base);
        for followed in [&orbit[..], &["--doppler", &table]] {
            let output = replay(&base, followed);
            assert_eq!(frames(&output.stdout), sent);
            // As right as the elements are, and what the estimate of a burst's carrier is good for.
            assert!(rms(&offsets_hz(&output)) < 5.0, "{:?}", offsets_hz(&output));
            let shifts: Vec<f64> =
                records(&output.stdout).iter().map(|r| r["doppler_hz"].as_f64().unwrap()).collect();
            assert!(shifts.windows(2).all(|s| s[1] < s[0]) && shifts[0] > 400.0, "{shifts:?}");
        }
        let blind = replay(&base, &["--doppler", "auto"]);
        assert_eq!(frames(&blind.stdout), sent);
        assert!(said(&blind)[0].contains("searching ±25 kHz"), "{:?}", said(&blind));
        assert!(rms(&offsets_hz(&blind)) > 100.0);
    }
}

#[test]
fn a_wrong_crystal_shows_and_the_frames_come_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let elements = elements();
    let how = ["--elements", &elements, "--station", STATION, "--offset", "-875"];
    let base = fly(folder.path(), &how, 60);
    let output = replay(&base, &how[..4]);
    assert_eq!(frames(&output.stdout), sent(&base));
    let offsets = offsets_hz(&output);
    assert!((offsets[0] + 875.0).abs() < 20.0, "{offsets:?}");
    assert!(offsets.last().unwrap().abs() < 200.0, "{offsets:?}");
    let told = said(&output).into_iter().find(|line| line.contains("from its prediction")).unwrap();
    assert!(told.contains("carrier -8"), "{told}");
}

#[test]
fn a_whole_pass_rises_and_sets() {
    let folder = tempfile::tempdir().unwrap();
    let base = folder.path().join("whole");
    let elements = elements();
    tulpar()
        .arg("simulate")
        .arg(&base)
        .args(MODE)
        .args(["--frequency", "437500000", "--esn0", "16", "--gap", "5"])
        .args(["--elements", &elements, "--station", STATION, "--rate", "20000"])
        .assert()
        .success();
    let count = sent(&base).len();
    // Ten minutes of a burst each five seconds, from the first rise after the elements' epoch.
    assert!((90..=130).contains(&count), "{count}");
    let meta: serde_json::Value =
        serde_json::from_slice(&std::fs::read(base.with_extension("sigmf-meta")).unwrap()).unwrap();
    let start = meta["captures"][0]["core:datetime"].as_str().unwrap();
    assert!(start.starts_with("2026-11-04T16:50:5"), "{start}");
}

/// A client that speaks as gpredict does: a setting a second, each answered before the next.
struct Gpredict {
    stream: BufReader<TcpStream>,
}

impl Gpredict {
    fn connect(port: u16) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream: BufReader::new(stream) }
    }

    fn ask(&mut self, command: &str) -> String {
        self.stream.get_mut().write_all(command.as_bytes()).unwrap();
        let mut line = String::new();
        self.stream.read_line(&mut line).unwrap();
        line
    }

    fn set(&mut self, frequency_hz: f64) {
        assert_eq!(self.ask(&format!("F {frequency_hz:10.0}\n")), "RPRT 0\n");
        assert_eq!(self.ask("f\n").trim().parse::<f64>().unwrap(), frequency_hz.round());
    }
}

/// Hamlib's own client, once per setting; `None` if it is not installed.
fn hamlib(port: u16, frequency_hz: f64) -> Option<()> {
    let status = Command::new("rigctl")
        .args(["-m", "2", "-r", &format!("127.0.0.1:{port}"), "F", &format!("{frequency_hz:.0}")])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .ok()?;
    assert!(status.success());
    Some(())
}

/// The received frequency of the table, linear between its lines.
fn tabulated_hz(unix_s: f64) -> f64 {
    let text = std::fs::read_to_string(vector("doppler_table.txt")).unwrap();
    let rows: Vec<(f64, f64)> = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.split_once(' ').unwrap())
        .map(|(t, f)| (t.parse().unwrap(), f.parse().unwrap()))
        .collect();
    let next = rows.partition_point(|row| row.0 <= unix_s);
    let ((t0, f0), (t1, f1)) = (rows[next - 1], rows[next]);
    f0 + (f1 - f0) * (unix_s - t0) / (t1 - t0)
}

/// Replays in real time while `steer(port, seconds since the beginning)` is called every half second.
fn steered(base: &Path, mut steer: impl FnMut(u16, f64)) -> Vec<serde_json::Value> {
    // A port that nobody uses now.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut child = Command::new(assert_cmd::cargo::cargo_bin("tulpar"))
        .arg("replay")
        .arg(base.with_extension("sigmf-meta"))
        .args(MODE)
        .args(["--json", "--doppler", &format!("rigctl:{port}")])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap());
    let mut first = String::new();
    said.read_line(&mut first).unwrap();
    assert!(first.contains(&format!("127.0.0.1:{port}")), "{first}");
    let mut out = child.stdout.take().unwrap();
    let reader = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        out.read_to_end(&mut bytes).unwrap();
        bytes
    });
    let began = Instant::now();
    while child.try_wait().unwrap().is_none() {
        // The server goes with the replay.
        if began.elapsed() < Duration::from_secs(9) {
            steer(port, began.elapsed().as_secs_f64());
        }
        std::thread::sleep(Duration::from_millis(500));
    }
    records(&reader.join().unwrap())
}

#[test]
fn other_programs_steer_a_pass_in_real_time() {
    let folder = tempfile::tempdir().unwrap();
    let elements = elements();
    let base = fly(folder.path(), &["--elements", &elements, "--station", STATION], 30);
    let expected = sent(&base);
    let orbit = replay(&base, &["--elements", &elements, "--station", STATION]);
    assert_eq!(frames(&orbit.stdout), expected);

    std::thread::scope(|scope| {
        let gpredict = scope.spawn(|| {
            let mut client = None;
            steered(&base, |port, seconds| {
                let client = client.get_or_insert_with(|| Gpredict::connect(port));
                client.set(tabulated_hz(START_S + seconds));
            })
        });
        let mut installed = true;
        let by_hamlib = steered(&base, |port, seconds| {
            installed &= hamlib(port, tabulated_hz(START_S + seconds)).is_some();
        });
        for (name, records) in [("gpredict", gpredict.join().unwrap()), ("rigctl", by_hamlib)] {
            let found: Vec<&str> = records.iter().map(|r| r["frame"].as_str().unwrap()).collect();
            assert_eq!(found, expected, "{name}");
            if name == "rigctl" && !installed {
                eprintln!("SKIPPED: rigctl is not installed");
                continue;
            }
            // Once the steps are followed, what is left is a fraction of a step.
            let late = &records[records.len() / 2..];
            for record in late {
                let offset = record["frequency_offset_hz"].as_f64().unwrap();
                assert!(offset.abs() < 60.0, "{name}: {record}");
                let shift = record["doppler_hz"].as_f64().unwrap();
                assert!((-200.0..900.0).contains(&shift), "{name}: {record}");
            }
        }
    });
}

#[test]
fn a_real_satellite_by_its_elements_and_blind() {
    let Some(shared) = shared() else { return };
    let folder = tempfile::tempdir().unwrap();
    let elements = folder.path().join("lucky.tle");
    let lines = "LUCKY-7\n\
        1 44406U 19038W   20069.88080907  .00000505  00000-0  32890-4 0  9992\n\
        2 44406  97.5270  32.5584 0026284 107.4758 252.9348 15.12089395 37524\n";
    std::fs::write(&elements, lines).unwrap();
    let run = |how: &[&str]| {
        let output = tulpar()
            .arg("replay")
            .arg(shared.join("iq/real/lucky_7-48k.cf32"))
            .args(["--format", "cf32", "--rate", "48000", "--frequency", "437525000"])
            .args(["--start", "2020-03-10T11:40:49Z", "--satellite", "lucky-7", "--json"])
            .args(how)
            .output()
            .unwrap();
        assert!(output.status.success());
        records(&output.stdout)
    };
    let orbit = run(&[
        "--doppler",
        "orbit",
        "--elements",
        elements.to_str().unwrap(),
        "--station",
        "53.72,47.57,0",
    ]);
    let blind = run(&["--doppler", "auto"]);
    for records in [&orbit, &blind] {
        assert_eq!(records.len(), 1);
        assert_eq!(records[0]["check"], "crc");
        assert!(records[0]["frame"].as_str().unwrap().contains("4f4b30534154")); // OK0SAT
    }
    // What is left are the two oscillators.
    assert!(orbit[0]["frequency_offset_hz"].as_f64().unwrap().abs() < 1500.0);
    assert!((blind[0]["frequency_offset_hz"].as_f64().unwrap() + 3250.0).abs() < 50.0);
}

#[test]
fn wrong_requests_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let good = std::fs::read_to_string(vector("pass.tle")).unwrap();
    let elements = elements();
    let checksum = path("checksum.tle", &good.replace("15.22000000    01", "15.22000000    02"));
    let fast = good.replace("30000-3 0  9998", "99999+0 0  9998");
    let decayed = path("decayed.tle", &with_checksums(&fast.replace("26308", "26108")));
    let old = path("old.tle", &with_checksums(&good.replace("26308", "20308")));
    let unordered = path("unordered.txt", "1793811335 0\n1793811334 1\n");
    let untimed = path("untimed.txt", "1793811335 0\nnoon 1\n");
    let elsewhere = path("elsewhere.txt", "1593811335 0\n1593811336 1\n");
    let other = path("other.txt", "1793811335 145900000\n");
    let base = fly(folder.path(), &["--doppler", &table()], 2);
    let file = |path: &str| format!("file:{path}");
    let cases: Vec<(Vec<String>, &str)> = vec![
        (vec!["--elements".into(), checksum, "--station".into(), STATION.into()], "checksum"),
        (vec!["--elements".into(), decayed, "--station".into(), STATION.into()], "decayed"),
        (vec!["--elements".into(), elements.clone()], "--station: missing"),
        (
            vec!["--elements".into(), elements.clone(), "--station".into(), "40,50".into()],
            "altitude",
        ),
        (vec!["--elements".into(), elements.clone(), "--station".into(), "95,50,0".into()], "95"),
        (
            vec!["--station".into(), STATION.into(), "--doppler".into(), "orbit".into()],
            "--elements",
        ),
        (vec!["--doppler".into(), file(&unordered)], "unordered.txt:2: is not later than line 1"),
        (vec!["--doppler".into(), file(&untimed)], "untimed.txt:2: \"noon\" is no time"),
        (vec!["--doppler".into(), file(&elsewhere)], "the recording begins at"),
        (vec!["--doppler".into(), file(&other)], "neither near"),
        (vec!["--doppler".into(), "rigctl:nowhere.invalid:4532".into()], "nowhere.invalid"),
    ];
    for (arguments, expected) in cases {
        let output =
            tulpar().arg("replay").arg(&base).args(MODE).args(&arguments).output().unwrap();
        let lines = said(&output);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {lines:?}");
        assert!(lines.len() == 1 && lines[0].contains(expected), "{arguments:?}: {lines:?}");
    }
    // Years away: it is said, and the frames come.
    let output = replay(&base, &["--elements", &old, "--station", STATION]);
    assert!(said(&output).iter().any(|line| line.contains("years old")), "{:?}", said(&output));
}

/// Lines of elements with their checksums put right.
fn with_checksums(text: &str) -> String {
    text.lines()
        .map(|line| {
            if !(line.starts_with("1 ") || line.starts_with("2 ")) {
                return format!("{line}\n");
            }
            let sum: u32 = line[..68]
                .chars()
                .map(|c| if c == '-' { 1 } else { c.to_digit(10).unwrap_or(0) })
                .sum();
            format!("{}{}\n", &line[..68], sum % 10)
        })
        .collect()
}
