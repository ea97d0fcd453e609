//! The command line as interface contract: what is printed where, records, sinks, exit statuses.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::net::{TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::{Duration, Instant};

use common::{frames, hex, records, said, sent, tulpar};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use tempfile::TempDir;

const G3RUH: &[&str] =
    &["--modulation", "gmsk", "--symbol-rate", "9600", "--framing", "AX.25 G3RUH"];

/// Simulates into a folder; returns the recording's base name.
fn simulate(folder: &TempDir, name: &str, arguments: &[&str]) -> PathBuf {
    let base = folder.path().join(name);
    tulpar().arg("simulate").arg(&base).args(arguments).assert().success().stdout("");
    base
}

fn replay(base: &Path, arguments: &[&str]) -> Output {
    tulpar().arg("replay").arg(base).args(arguments).output().unwrap()
}

/// Replays with --json: status 0, and the frames in hex.
fn replayed(base: &Path, arguments: &[&str]) -> Vec<String> {
    let output = tulpar().arg("replay").arg(base).args(arguments).arg("--json").output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{:?}", said(&output));
    frames(&output.stdout)
}

/// One pass gives the least, doubtful frames come only when asked for, and are marked.
#[test]
fn effort_buys_frames_and_doubtful_ones_are_marked() {
    let folder = tempfile::tempdir().unwrap();
    let mut simulated = G3RUH.to_vec();
    simulated.extend(["--frames", "60", "--esn0", "5.4", "--seed", "3"]);
    let base = simulate(&folder, "weak", &simulated);
    let sent = sent(&base);
    let [one_pass, full, doubtful] = ["one-pass", "full", "doubtful"].map(|effort| {
        let arguments = [G3RUH, &["--json", "--quiet", "--effort", effort]].concat();
        records(&replay(&base, &arguments).stdout)
    });
    assert!(one_pass.len() < full.len() && full.len() < doubtful.len());
    assert!(one_pass.iter().all(|r| r.get("repaired_bits").is_none()));
    assert!(full.iter().all(|r| r.get("doubtful").is_none()));
    let marked = doubtful.iter().filter(|r| r.get("doubtful").is_some()).count();
    assert!(marked > 0 && marked < doubtful.len());
    for record in one_pass.iter().chain(&full) {
        assert!(sent.iter().any(|frame| record["frame"] == frame.as_str()));
    }
}

/// Keys of a record, and whether their values have the types of the contract.
fn check_record(record: &Value) -> BTreeSet<&str> {
    let object = record.as_object().unwrap();
    for (key, value) in object {
        let right = match key.as_str() {
            "time" => value.as_str().unwrap().parse::<Timestamp>().is_ok(),
            "satellite" | "downlink" | "modulation" | "framing" => value.is_string(),
            "sample" | "norad_id" | "length" | "corrected_symbols" | "corrected_bits"
            | "repaired_bits" => value.is_u64(),
            "symbol_rate_bd" | "frequency_offset_hz" | "esn0_db" => value.is_f64(),
            "doubtful" => value == &Value::Bool(true),
            "check" => ["crc", "rs", "crc+rs", "none"].contains(&value.as_str().unwrap()),
            "frame" => {
                let text = value.as_str().unwrap();
                text.len() as u64 == 2 * record["length"].as_u64().unwrap()
                    && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
            }
            _ => false,
        };
        assert!(right, "{key} = {value}");
    }
    object.keys().map(String::as_str).collect()
}

#[test]
fn the_demo_receives_what_it_sends() {
    let output = tulpar().args(["demo", "--frames", "8"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    assert_eq!(text.lines().filter(|l| l.contains("OTS CubeSat UHF beacon")).count(), 8);
    assert!(text.lines().all(|l| l.starts_with("2026-") || l.starts_with("  ")), "{text}");
    let lines = said(&output);
    let lines: Vec<_> = lines.iter().filter(|line| !line.starts_with("Doppler: ")).collect();
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert!(lines[1].contains("8 of 8 frames sent were received"), "{lines:?}");
    assert!(lines[2].starts_with("8 frames in "), "{lines:?}");

    let output = tulpar().args(["demo", "--frames", "4", "--json", "--quiet"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(output.stderr.is_empty());
    let records = records(&output.stdout);
    assert_eq!(records.len(), 4);
    let always = [
        "time",
        "sample",
        "satellite",
        "downlink",
        "modulation",
        "symbol_rate_bd",
        "framing",
        "length",
        "frame",
        "frequency_offset_hz",
        "esn0_db",
        "check",
    ];
    for record in &records {
        let mut keys = check_record(record);
        keys.remove("repaired_bits");
        assert_eq!(keys, BTreeSet::from(always));
    }
}

#[test]
fn what_is_simulated_is_replayed() {
    let folder = tempfile::tempdir().unwrap();
    let modes: &[(&str, &[&str])] = &[
        ("gmsk 9600 AX.25 G3RUH", &["--deviation", "2400"]),
        ("gmsk 4800 AX.25 G3RUH", &["--offset", "3000"]),
        ("bpsk 9600 CCSDS Concatenated", &[]),
        ("dbpsk 1200 AX.25 G3RUH", &[]),
        ("gmsk 9600 AX100 ASM+Golay", &[]),
        ("fsk 4800 AX100 Reed Solomon", &[]),
        ("gmsk 9600 USP", &[]),
        ("afsk 1200 AX.25", &[]),
    ];
    for (index, (mode, more)) in modes.iter().enumerate() {
        let words: Vec<&str> = mode.splitn(3, ' ').collect();
        let mut mode = vec!["--modulation", words[0], "--symbol-rate", words[1]];
        mode.extend(["--framing", words[2]]);
        if words[2].starts_with("CCSDS C") {
            mode.extend(["--option", "frame_size=446", "interleaving=2", "basis=conventional"]);
            mode.extend(["--option", "convolutional=nasa-dsn", "--option", "randomizer=none"]);
        }
        // Without noise and with some. Tones in FM are wider than their symbol rate, by 10 dB.
        let noisy = if words[0] == "afsk" { "30" } else { "18" };
        for esn0 in ["inf", noisy] {
            let mut simulated = mode.clone();
            simulated.extend(["--frames", "4", "--esn0", esn0]);
            simulated.extend(*more);
            let base = simulate(&folder, &index.to_string(), &simulated);
            let sent = sent(&base);
            assert_eq!(sent.len(), 4);
            assert_eq!(replayed(&base, &mode), sent, "{words:?} at {esn0} dB");
        }
    }
}

#[test]
fn the_catalogue_is_asked_by_any_name() {
    let folder = tempfile::tempdir().unwrap();
    let base = simulate(&folder, "a", &["--satellite", "TWINS", "--frames", "3", "--esn0", "20"]);
    let sent = sent(&base);
    for name in ["TWINS", "twins", "99001", "twin-sat 1", "ts1"] {
        assert_eq!(replayed(&base, &["--satellite", name]), sent, "{name}");
    }
    // Two downlinks hear the same frames: each is emitted once, in order of time.
    let output = replay(&base, &["--satellite", "TWINS", "--json"]);
    let records = records(&output.stdout);
    let samples: Vec<u64> = records.iter().map(|r| r["sample"].as_u64().unwrap()).collect();
    assert!(samples.is_sorted(), "{samples:?}");
    assert_eq!(records[0]["norad_id"], 99001);
    // What is left out is said: once for what is not supported, once for what is elsewhere.
    let lines = said(&output);
    let lines: Vec<_> = lines.iter().filter(|line| !line.starts_with("Doppler: ")).collect();
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert!(
        lines[0].starts_with("TWINS: not decoded: \"not yet\", \"neither\" (framing \"Mobitex\""),
        "{lines:?}"
    );
    assert!(lines[1].contains("\"elsewhere\" (145.900000 MHz is outside the reco"), "{lines:?}");
    assert!(lines.iter().all(|l| l.len() < 200), "{lines:?}");

    let second = ["--satellite", "TWINS", "--downlink", "SECOND", "--json"];
    let output = replay(&base, &second);
    assert_eq!(frames(&output.stdout), sent);
    assert_eq!(common::records(&output.stdout)[0]["downlink"], "second");
    let offset = common::records(&output.stdout)[0]["frequency_offset_hz"].as_f64().unwrap();
    assert!((offset + 2000.0).abs() < 100.0, "{offset}");
}

#[test]
fn time_is_the_start_and_the_sample_counter() {
    let folder = tempfile::tempdir().unwrap();
    let start: Timestamp = "2026-11-22T12:00:00.5Z".parse().unwrap();
    let mut arguments = G3RUH.to_vec();
    arguments.extend(["--frames", "3", "--start", "2026-11-22T12:00:00.5Z", "--esn0", "20"]);
    let base = simulate(&folder, "a", &arguments);
    let meta: Value =
        serde_json::from_slice(&fs::read(base.with_extension("sigmf-meta")).unwrap()).unwrap();
    let rate = meta["global"]["core:sample_rate"].as_f64().unwrap();
    let check = |output: Output, start: Option<Timestamp>| {
        let records = records(&output.stdout);
        assert_eq!(records.len(), 3, "{:?}", said(&output));
        for (record, sent) in records.iter().zip(meta["annotations"].as_array().unwrap()) {
            check_record(record);
            let sample = record["sample"].as_u64().unwrap();
            // The opening flag begins eight symbols of five samples before the annotated frame.
            let flag = sent["core:sample_start"].as_u64().unwrap() - 40;
            assert!(sample.abs_diff(flag) <= 10, "{sample} {flag}");
            let Some(start) = start else {
                assert!(record.get("time").is_none());
                continue;
            };
            let right = start + SignedDuration::try_from_secs_f64(sample as f64 / rate).unwrap();
            let time: Timestamp = record["time"].as_str().unwrap().parse().unwrap();
            assert!(time.duration_since(right).abs() <= SignedDuration::from_micros(1));
        }
    };
    let with = |more: &[&'static str]| [G3RUH, &["--json"], more].concat();
    check(replay(&base, &with(&[])), Some(start));
    let other = "1999-12-31T23:59:59Z";
    check(replay(&base, &with(&["--start", other])), Some(other.parse().unwrap()));

    // The same samples through a pipe, which says nothing of itself.
    let data = fs::read(base.with_extension("sigmf-data")).unwrap();
    let raw = with(&["--format", "ci16", "--rate", "48000"]);
    let piped = |arguments: &[&str]| {
        let mut command = tulpar();
        command.args(["replay", "-"]).args(arguments).write_stdin(data.clone()).output().unwrap()
    };
    check(piped(&raw), None);
    check(piped(&[&raw[..], &["--start", other]].concat()), Some(other.parse().unwrap()));
}

#[test]
fn every_sink_gets_every_frame() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let mut arguments = G3RUH.to_vec();
    arguments.extend(["--frames", "5", "--frame-length", "60", "--esn0", "20"]);
    let base = simulate(&folder, "a", &arguments);
    let sent = sent(&base);
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let target = socket.local_addr().unwrap().to_string();
    let received = || {
        let mut buffer = [0; 2000];
        let mut next = || {
            let count = socket.recv(&mut buffer).unwrap();
            hex(&buffer[..count])
        };
        (0..5).map(|_| next()).collect::<Vec<_>>()
    };
    let kiss: Vec<String> = sent.iter().map(|frame| format!("c000{frame}c0")).collect();
    let kiss_file = || {
        // No byte of these frames needs an escape.
        assert!(sent.iter().all(|f| !f.as_bytes().chunks(2).any(|b| b == b"c0" || b == b"db")));
        hex(&fs::read(path("frames.kiss")).unwrap())
    };

    let sinks = ["--udp", &target, "--kiss-file", &path("frames.kiss")];
    assert_eq!(replayed(&base, &[G3RUH, &sinks].concat()), sent);
    assert_eq!(received(), sent);
    assert_eq!(kiss_file(), kiss.concat());

    // The same from a file; what it does not name is not printed.
    fs::remove_file(path("frames.kiss")).unwrap();
    let toml = format!(
        "[[downlink]]\nlabel = \"mine\"\nfrequency_hz = 437_500_000\nmodulation = \"FSK\"\n\
         symbol_rate_bd = 9600\nframing = \"AX.25 G3RUH\"\n\
         [input]\nfile = \"a.sigmf-data\"\nformat = \"ci16\"\nsample_rate_hz = 48_000\n\
         centre_frequency_hz = 437_500_000\nstart = 2026-08-01T12:00:00Z\n\
         [[sink]]\nkind = \"udp\"\ntarget = \"{target}\"\n\
         [[sink]]\nkind = \"jsonl\"\npath = \"frames.jsonl\"\n\
         [[sink]]\nkind = \"kiss-file\"\npath = \"frames.kiss\"\n"
    );
    fs::write(path("mine.toml"), &toml).unwrap();
    let mut command = tulpar();
    command.current_dir(folder.path()).args(["replay", "--flowgraph", "mine.toml"]);
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{:?}", said(&output));
    assert!(output.stdout.is_empty());
    assert_eq!(received(), sent);
    assert_eq!(kiss_file(), kiss.concat());
    let lines = fs::read(path("frames.jsonl")).unwrap();
    assert_eq!(frames(&lines), sent);
    assert!(records(&lines)[0]["time"].as_str().unwrap().starts_with("2026-08-01T12:00:00.25"));

    // It says what to transmit as well.
    let again = path("again");
    let arguments = ["simulate", &again, "--flowgraph", "mine.toml", "--frames", "1"];
    tulpar().current_dir(folder.path()).args(arguments).assert().success();
}

#[test]
fn a_failing_sink_is_said_once_and_the_others_go_on() {
    if !Path::new("/dev/full").exists() {
        eprintln!("SKIPPED: there is no /dev/full");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut arguments = G3RUH.to_vec();
    arguments.extend(["--frames", "3", "--esn0", "20"]);
    let base = simulate(&folder, "a", &arguments);
    let sent = sent(&base);
    let check = |output: Output| {
        assert_eq!(output.status.code(), Some(1));
        assert_eq!(frames(&output.stdout), sent);
        let lines = said(&output);
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].contains("/dev/full: No space left on device"), "{lines:?}");
    };
    let kiss = ["--kiss-file", "/dev/full", "--json", "--quiet"];
    check(replay(&base, &[G3RUH, &kiss].concat()));
    for kind in ["jsonl", "text", "kiss-file"] {
        let toml = format!(
            "satellite = \"TWINS\"\ndownlinks = [\"first\"]\n\
             [[sink]]\nkind = \"{kind}\"\npath = \"/dev/full\"\n[[sink]]\nkind = \"jsonl\"\n"
        );
        let path = folder.path().join("mine.toml");
        fs::write(&path, toml).unwrap();
        check(replay(&base, &["--flowgraph", path.to_str().unwrap(), "--quiet"]));
    }
}

#[test]
fn real_time_is_real_and_the_runtime_keeps_to_itself() {
    let folder = tempfile::tempdir().unwrap();
    let mut arguments = G3RUH.to_vec();
    arguments.extend(["--frames", "1", "--gap", "0.5", "--esn0", "20"]);
    let base = simulate(&folder, "a", &arguments);
    // The runtime would read this, and serve this port, if it were let.
    fs::write(folder.path().join("config.toml"), "queue_size = \"junk\"\n").unwrap();
    let port = TcpListener::bind("127.0.0.1:1337");
    let begin = Instant::now();
    let runs: Vec<_> = (0..2)
        .map(|_| {
            let (base, folder) = (base.clone(), folder.path().to_owned());
            std::thread::spawn(move || {
                let mut command = tulpar();
                command.current_dir(folder).arg("replay").arg(base).args(G3RUH);
                command.args(["--realtime", "--json"]).output().unwrap()
            })
        })
        .collect();
    for run in runs {
        let output = run.join().unwrap();
        assert_eq!(output.status.code(), Some(0), "{:?}", said(&output));
        assert_eq!(frames(&output.stdout), sent(&base));
        assert_eq!(said(&output).len(), 2, "{:?}", said(&output));
    }
    assert!(begin.elapsed() >= Duration::from_millis(900));
    drop(port);
}

#[test]
fn lists_are_on_standard_output() {
    for (arguments, words) in [
        (&["modes"][..], &["FSK", "AX.25 G3RUH", "CCSDS 131.0-B", "--option frame_size="][..]),
        (&["devices"], &["rtl_tcp://HOST", "udp://", "tcp://"]),
        (&["devices", "--json"], &["\"kinds\"", "\"radios\"", "\"hints\""]),
        (&["satellites", "twins"], &["TWINS (Twin Sat 1, TS-1)  99001", "[not supported yet]"]),
        (&["satellites", "show", "TS-1"], &["name = \"TWINS\"", "# For the tests"]),
        (&["--help"], &["Usage: tulpar", "demo", "replay", "simulate", "modes", "satellites"]),
        (&["replay", "--help"], &["--satellite", "--json", "--udp", "--realtime"]),
        (&["--version"], &["tulpar "]),
    ] {
        let output = tulpar().args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(0));
        assert!(output.stderr.is_empty());
        let text = String::from_utf8(output.stdout).unwrap();
        for word in words {
            assert!(text.contains(word), "no {word} in: {text}");
        }
    }
}
