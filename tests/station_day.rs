//! A day of a station in a fraction of it: twelve satellites, a simulated sky, a fast clock. Every pass
//! is taken as planned, and neither memory nor descriptors grow.
//!
//! ```text
//! TULPAR_HOURS=24 TULPAR_PACE=60 cargo test --test station_day -- --ignored --nocapture
//! ```
//!
//! takes 24 minutes; a pace that the computer cannot keep makes it take longer, and changes nothing
//! else: the clock waits for the simulated radios.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::records;
use common::station::{PLACE, satellites_folder, tle};
use jiff::Timestamp;
use serde_json::Value;

const SATELLITES: usize = 12;
const START: &str = "2026-11-22T12:00:00Z";

fn variable(name: &str, otherwise: f64) -> f64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

/// Resident memory in kB, and open descriptors.
fn resources(id: u32) -> Option<(u64, usize)> {
    let status = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    let memory = line.split_whitespace().nth(1)?.parse().ok()?;
    Some((memory, fs::read_dir(format!("/proc/{id}/fd")).ok()?.count()))
}

fn time(value: &Value) -> Timestamp {
    value.as_str().unwrap().parse().unwrap()
}

fn apart_s(a: &Value, b: &Value) -> f64 {
    time(a).duration_since(time(b)).as_secs_f64().abs()
}

#[test]
#[ignore = "takes as long as TULPAR_HOURS at TULPAR_PACE; run by hand"]
fn every_pass_of_a_day_is_taken_and_nothing_grows() {
    let (hours, pace) = (variable("TULPAR_HOURS", 24.0), variable("TULPAR_PACE", 60.0));
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    satellites_folder(&path("satellites"), SATELLITES);
    let sets: Vec<String> = (1..=SATELLITES)
        .map(|k| tle(k, 97.4, (k * 67 % 360) as f64, (k * k * 37 % 360) as f64))
        .collect();
    fs::write(path("e.tle"), sets.concat()).unwrap();
    let satellites: String = (1..=SATELLITES)
        .map(|k| format!("[[satellite]]\nname = \"S{k}\"\npriority = {}\n", k % 3))
        .collect();
    let text = format!(
        "place = \"{PLACE}\"\nelements = [\"e.tle\"]\n[[radio]]\nname = \"uhf\"\n\
         device = \"rtl_tcp://localhost\"\n{satellites}[[sink]]\nkind = \"jsonl\"\npath = \"all.jsonl\"\n"
    );
    fs::write(path("station.toml"), text).unwrap();
    let tulpar = |more: &[&str]| {
        let mut command = Command::new(assert_cmd::cargo::cargo_bin("tulpar"));
        let file = path("station.toml");
        command.arg("station").arg(file).args(["--start", START]).args(more);
        command
            .env("TULPAR_SATELLITES", path("satellites"))
            .env("TULPAR_CONFIG", Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config.toml"))
            .stdout(Stdio::piped());
        command
    };
    let hours_text = hours.to_string();
    let plan = tulpar(&["--dry-run", "--json", "--hours", &hours_text]).output().unwrap();
    let plan = records(&plan.stdout);
    let tasks: Vec<&Value> = plan.iter().filter(|record| record["radio"].is_string()).collect();
    let conflicts = plan
        .iter()
        .filter(|r| r["gives_way_to"].as_array().is_some_and(|rivals| !rivals.is_empty()))
        .count();
    println!("{hours} h at ×{pace}: {} receptions planned, {conflicts} conflicts", tasks.len());

    let began = Instant::now();
    let pace_text = pace.to_string();
    let mut child =
        tulpar(&["--rehearse", &pace_text, "--hours", &hours_text, "--deliver"]).spawn().unwrap();
    let mut seen = Vec::new();
    while child.try_wait().unwrap().is_none() {
        std::thread::sleep(Duration::from_millis(500));
        seen.extend(resources(child.id()));
    }
    assert!(child.wait().unwrap().success());
    println!("took {:.0} s", began.elapsed().as_secs_f64());
    let most_kb: Vec<u64> = seen
        .chunks(seen.len().div_ceil(12).max(1))
        .map(|part| part.iter().map(|(memory, _)| *memory).max().unwrap_or(0))
        .collect();
    println!("memory over time, kB at most: {most_kb:?}");

    let end =
        time(&Value::from(START)).checked_add(jiff::SignedDuration::from_secs_f64(3600.0 * hours));
    let end = end.unwrap();
    let mut reports: Vec<Value> = fs::read_dir(path("passes").join("rehearsal"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "json"))
        .map(|path| serde_json::from_slice(&fs::read(path).unwrap()).unwrap())
        .collect();
    reports.sort_by_key(|report| time(&report["planned"]["from"]));
    let mut frames = 0;
    let mut missed = Vec::new();
    for task in &tasks {
        let taken = reports.iter().find(|report| {
            report["satellite"] == task["satellite"]
                && apart_s(&report["planned"]["from"], &task["from"]) < 1.0
                && apart_s(&report["planned"]["to"], &task["to"]) < 1.0
        });
        // One that is in progress in the end may have heard nothing yet.
        let cut = time(&task["to"]) > end;
        match taken {
            Some(report) => {
                assert!(report["failures"].as_array().unwrap().is_empty(), "{report}");
                let lost = [&report["lost_samples"], &report["missing_samples"]];
                assert!(lost.iter().all(|n| **n == 0), "{report}");
                assert!(cut || report["frames"].as_u64().unwrap() > 0, "{report}");
                frames += report["frames"].as_u64().unwrap();
            }
            None if cut => {}
            None => missed.push(task),
        }
    }
    println!("{} receptions, {frames} frames", reports.len());
    assert!(missed.is_empty(), "{missed:#?}");
    assert!(reports.len() <= tasks.len(), "{} {}", reports.len(), tasks.len());
    let all = fs::read_to_string(path("all.jsonl")).unwrap().lines().count() as u64;
    assert_eq!(all, frames);
    assert!(hours < 12.0 || conflicts >= 3, "{conflicts}");

    // The second half needs no more than the first.
    let halves = seen.split_at(seen.len() / 2);
    let most = |part: &[(u64, usize)]| {
        let memory = part.iter().map(|(memory, _)| *memory).max().unwrap_or(0);
        (memory, part.iter().map(|(_, descriptors)| *descriptors).max().unwrap_or(0))
    };
    let (first, second) = (most(halves.0), most(halves.1));
    println!("memory and descriptors, at most: {first:?} kB, then {second:?} kB");
    assert!(second.0 <= first.0 + 10_000, "{first:?} {second:?}");
    assert!(second.1 <= first.1 + 2, "{first:?} {second:?}");
}
