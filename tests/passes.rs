//! `tulpar passes`: what it prints and writes, and what it says to bad requests.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use common::{records, said, tulpar};
use jiff::Timestamp;
use tempfile::TempDir;
use tulpar::doppler::Prediction;
use tulpar::doppler::elements::{self, Elements};
use tulpar::doppler::orbit::Orbit;
use tulpar::doppler::sky::{OrbitPrediction, observe};
use tulpar::doppler::station::Station;
use tulpar::doppler::table::Table;

const STATION: &str = "60.19,24.83,50";
const START: &str = "2026-03-02T00:00:00Z";

/// A line of a TLE with its checksum.
fn summed(line: &str) -> String {
    let sum: u32 = line.chars().map(|c| c.to_digit(10).unwrap_or(u32::from(c == '-'))).sum();
    format!("{line}{}", sum % 10)
}

/// A set: name, number, epoch as year and day, eccentricity, mean motion, B*.
fn tle(name: &str, number: u32, epoch: &str, motion: f64, bstar: &str) -> String {
    let first =
        summed(&format!("1 {number:05}U 17036L   {epoch}  .00001000  00000-0 {bstar} 0  999"));
    let second = summed(&format!(
        "2 {number:05}  97.4500 120.0000 0010000  90.0000  10.0000 {motion:11.8}    1"
    ));
    format!("{name}\n{first}\n{second}\n")
}

fn aalto() -> String {
    tle("AALTO-1", 42775, "26060.50000000", 15.2, " 50000-4")
}

fn unlisted() -> String {
    tle("TEST; OBJECT, ONE", 88801, "26060.50000000", 14.9, " 10000-4")
}

fn file(folder: &TempDir, name: &str, text: &str) -> PathBuf {
    let path = folder.path().join(name);
    fs::write(&path, text).unwrap();
    path
}

/// The command, without the configuration of whoever runs the tests.
fn command() -> assert_cmd::Command {
    let mut command = tulpar();
    command.env("XDG_CONFIG_HOME", concat!(env!("CARGO_TARGET_TMPDIR"), "/no-configuration"));
    command.arg("passes");
    command
}

fn passes(elements: &Path, arguments: &[&str]) -> Output {
    command().args(["--elements", elements.to_str().unwrap()]).args(arguments).output().unwrap()
}

fn seen(elements: &Path, arguments: &[&str]) -> Output {
    passes(elements, &[&["--station", STATION, "--start", START], arguments].concat())
}

fn printed(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(0), "{:?}", said(output));
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn elements_of(text: &str) -> Elements {
    elements::parse("test", text.as_bytes()).unwrap().sets.remove(0)
}

#[test]
fn the_table_has_all_passes_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let both = file(&folder, "both.tle", &(aalto() + &unlisted()));
    let output = seen(&both, &["--days", "2"]);
    let text = printed(&output);
    assert_eq!(said(&output), Vec::<String>::new());
    assert!(text.starts_with("Station 60.1900,24.8300,50  2026-03-02 00:00:00 UTC to 2026-03-04"));
    // The catalogue's first downlink, and an assumption that is said.
    assert!(text.contains("Doppler of AALTO-1 at 437.2160 MHz\n"), "{text}");
    assert!(text.contains("Doppler of TEST; OBJECT, ONE at 437.5000 MHz (assumed"), "{text}");
    let rows: Vec<&str> = text.lines().filter(|line| line.starts_with("2026-03-0")).collect();
    let mut ordered = rows.clone();
    ordered.sort_unstable();
    assert!(rows.len() > 20 && rows == ordered, "{text}");
    for name in ["AALTO-1", "TEST; OBJECT, ONE"] {
        assert!(rows.iter().filter(|row| row.contains(name)).count() > 10);
    }
    // As many as in JSON.
    let records = records(printed(&seen(&both, &["--days", "2", "--json"])).as_bytes());
    assert_eq!(records.len(), rows.len());
}

#[test]
fn json_says_what_the_orbit_says() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder, "a.tle", &aalto());
    let output = seen(&path, &["--satellite", "aalto 1", "--json", "--min-elevation", "5"]);
    let records = records(printed(&output).as_bytes());
    assert!(records.len() > 4);
    let orbit = Orbit::new(&elements_of(&aalto())).unwrap();
    let station = Station { latitude_deg: 60.19, longitude_deg: 24.83, altitude_m: 50.0 };
    for record in &records {
        assert_eq!((&record["satellite"], &record["norad_id"]), (&"AALTO-1".into(), &42775.into()));
        assert_eq!(record["elements_epoch"], "2026-03-01T12:00:00.000Z");
        let time =
            |event: &str| -> Timestamp { record[event]["time"].as_str().unwrap().parse().unwrap() };
        let number = |event: &str, key: &str| record[event][key].as_f64().unwrap();
        assert!(time("rise") < time("culmination") && time("culmination") < time("set"));
        assert!(number("rise", "elevation_deg").abs() < 1e-3);
        assert!(number("set", "elevation_deg").abs() < 1e-3);
        assert!(number("culmination", "elevation_deg") >= 5.0);
        for event in ["rise", "culmination", "set"] {
            let there = observe(&orbit, &station, time(event)).unwrap();
            assert!((number(event, "elevation_deg") - there.elevation_deg).abs() < 2e-3);
            let azimuth = number(event, "azimuth_deg") - there.azimuth_deg;
            assert!((azimuth + 180.0).rem_euclid(360.0) - 180.0 < 0.1);
            assert!((number(event, "range_km") - there.range_km).abs() < 0.02);
            let shift = there.shift_hz(record["frequency_hz"].as_f64().unwrap());
            assert!((number(event, "doppler_hz") - shift).abs() < 1.0);
        }
        assert!(number("rise", "doppler_hz") > 5000.0 && number("set", "doppler_hz") < -5000.0);
        let lasts = time("set").duration_since(time("rise")).as_secs_f64();
        assert!((record["duration_s"].as_f64().unwrap() - lasts).abs() < 2e-3);
        assert_eq!(record["in_progress_at_start"], false);
        for eclipse in record["eclipses"].as_array().unwrap() {
            assert!(eclipse["from"].as_str() < eclipse["to"].as_str());
        }
        for key in ["sunlit", "sun_elevation_deg", "range_rate_km_per_s"] {
            assert!(!record["set"][key].is_null());
        }
        assert!(record["visible"].is_boolean() && record["in_progress_at_end"].is_boolean());
    }
}

#[test]
fn the_calendar_is_one_by_the_letter() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder, "both.tle", &(aalto() + &unlisted()));
    let (first, second) = (folder.path().join("1.ics"), folder.path().join("2.ics"));
    let count =
        printed(&seen(&path, &["--json", "--ical", first.to_str().unwrap()])).lines().count();
    printed(&seen(&path, &["--ical", second.to_str().unwrap()]));
    let text = fs::read_to_string(&first).unwrap();
    assert!(text.starts_with("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:"));
    assert!(text.ends_with("END:VCALENDAR\r\n"));
    assert_eq!(text.matches('\n').count(), text.matches("\r\n").count());
    assert!(text.split("\r\n").all(|line| line.len() <= 75));
    let unfolded = text.replace("\r\n ", "");
    let values = |text: &str, key: &str| -> Vec<String> {
        let lines = text.split("\r\n").filter_map(|line| line.strip_prefix(key));
        lines.map(str::to_owned).collect()
    };
    for key in ["BEGIN:VEVENT", "END:VEVENT", "UID:", "DTSTAMP:", "DTSTART:", "DTEND:", "SUMMARY:"]
    {
        assert_eq!(values(&unfolded, key).len(), count, "{key}");
    }
    for key in ["DTSTAMP:", "DTSTART:", "DTEND:"] {
        for value in values(&unfolded, key) {
            assert!(value.len() == 16 && value.ends_with('Z') && &value[8..9] == "T", "{value}");
        }
    }
    assert!(unfolded.contains("SUMMARY:TEST\\; OBJECT\\, ONE "));
    assert!(unfolded.contains("\\nHighest "));
    // The same passes have the same identifiers, and each its own.
    let identifiers = values(&unfolded, "UID:");
    let again = fs::read_to_string(&second).unwrap().replace("\r\n ", "");
    assert_eq!(identifiers, values(&again, "UID:"));
    let mut single = identifiers.clone();
    single.sort();
    single.dedup();
    assert_eq!(single.len(), identifiers.len());
}

#[test]
fn the_curve_is_read_back_and_drawn() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder, "a.tle", &aalto());
    let svg = folder.path().join("a.svg");
    let arguments =
        ["--curve", "--step", "0.5", "--frequency", "2.2e9", "--svg", svg.to_str().unwrap()];
    let text = printed(&seen(&path, &arguments));
    assert!(text.starts_with("# AALTO-1 over 60.19,24.83,50"));
    let table = Table::parse("curve", &text, Some(2.2e9)).unwrap();
    let prediction = OrbitPrediction {
        orbit: Orbit::new(&elements_of(&aalto())).unwrap().into(),
        station: Station { latitude_deg: 60.19, longitude_deg: 24.83, altitude_m: 50.0 },
        carrier_hz: 2.2e9,
    };
    let first = text.lines().find(|line| !line.starts_with('#')).unwrap();
    let start: f64 = first.split(' ').next().unwrap().parse().unwrap();
    for k in 0..400 {
        let time =
            Timestamp::from_millisecond(((start + f64::from(k)) * 1e3) as i64 + 217).unwrap();
        let (read, computed) = (table.shift_hz(time).unwrap(), prediction.shift_hz(time).unwrap());
        assert!((read - computed).abs() < 0.1, "{read} {computed}");
    }
    let drawing = fs::read_to_string(&svg).unwrap();
    let parsed = roxmltree::Document::parse(&drawing).unwrap();
    assert_eq!(parsed.root_element().tag_name().name(), "svg");
    let curves: Vec<_> =
        parsed.descendants().filter(|node| node.has_tag_name("polyline")).collect();
    assert_eq!(curves.len(), 2);
    assert!(curves.iter().all(|c| c.attribute("points").unwrap().split(' ').count() == 301));
    assert!(drawing.contains("AALTO-1"));
}

#[test]
fn no_pass_is_no_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder, "a.tle", &aalto());
    let calendar = folder.path().join("none.ics");
    let arguments = ["--days", "0.001", "--ical", calendar.to_str().unwrap()];
    let output = seen(&path, &arguments);
    assert_eq!(printed(&output), "");
    assert!(said(&output)[0].starts_with("no pass of AALTO-1 from 2026-03-02"), "{output:?}");
    assert!(fs::read_to_string(&calendar).unwrap().contains("BEGIN:VTIMEZONE"));
    let output = seen(&path, &["--min-elevation", "89.99"]);
    assert_eq!(printed(&output), "");
    assert!(said(&output)[0].contains("above 89.99 degrees"));
}

/// One line, status 2, and the words that name what is wrong.
fn refused(output: &Output, words: &[&str]) {
    let lines = said(output);
    assert_eq!(output.status.code(), Some(2), "{lines:?}");
    assert_eq!(lines.len(), 1, "{lines:?}");
    for word in words {
        assert!(lines[0].contains(word), "{word}: {lines:?}");
    }
    assert!(output.stdout.is_empty());
}

#[test]
fn wrong_requests_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let good = file(&folder, "a.tle", &aalto());
    let wrong_sum = aalto().replacen("97.4500", "97.4600", 1);
    let wrong = file(&folder, "wrong.tle", &wrong_sum);
    refused(&seen(&wrong, &[]), &["wrong.tle", "checksum"]);

    refused(&passes(&good, &["--station", "60.19,24.83", "--start", START]), &["--station"]);
    refused(&passes(&good, &["--station", "91,24.83,50", "--start", START]), &["--station"]);
    refused(&passes(&good, &["--station", "60.19,524.83,50", "--start", START]), &["--station"]);
    refused(&passes(&good, &["--start", START]), &["--station"]);
    refused(&seen(&good, &["--satellite", "NOSUCHSAT"]), &["NOSUCHSAT"]);
    refused(&seen(&good, &["--satellite", "AAUSAT-4"]), &["AAUSAT-4"]);
    refused(&seen(&good, &["--days", "nan"]), &["--days"]);
    refused(&seen(&good, &["--days", "-1"]), &["--days"]);
    refused(&seen(&good, &["--min-elevation", "91"]), &["--min-elevation"]);
    refused(&seen(&good, &["--step", "1"]), &["--curve"]);
    refused(&seen(&good, &["--curve", "--json"]), &["--json"]);
    refused(&passes(&good, &["--station", STATION, "--start", "yesterday"]), &["--start"]);
    let nowhere = folder.path().join("no/such/folder.ics");
    refused(&seen(&good, &["--ical", nowhere.to_str().unwrap()]), &["--ical", "folder.ics"]);
    refused(&seen(&folder.path().join("missing.tle"), &[]), &["missing.tle"]);
    refused(&command().args(["--station", STATION]).output().unwrap(), &["--elements"]);
}

#[test]
fn old_and_decayed_objects() {
    let folder = tempfile::tempdir().unwrap();
    // Weeks old: said, and done all the same.
    let old = file(&folder, "old.tle", &tle("OLD", 88802, "26030.50000000", 15.2, " 10000-4"));
    let output = seen(&old, &[]);
    assert!(!printed(&output).is_empty());
    assert!(said(&output)[0].contains("old"), "{:?}", said(&output));
    // Decades: no position at all.
    let ancient =
        file(&folder, "ancient.tle", &tle("OLD", 88803, "05030.50000000", 15.2, " 10000-4"));
    let output = seen(&ancient, &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(said(&output).last().unwrap().contains("epoch"), "{:?}", said(&output));
    // Decayed before the time asked for: alone it is refused, among others they are predicted.
    let decayed = tle("GONE", 88804, "26057.50000000", 16.45, " 50000-1");
    let gone = file(&folder, "gone.tle", &decayed);
    let output = seen(&gone, &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(said(&output).last().unwrap().contains("GONE"), "{:?}", said(&output));
    let both = file(&folder, "both.tle", &(decayed + &aalto()));
    let output = seen(&both, &[]);
    let text = printed(&output);
    assert!(text.contains("AALTO-1") && !text.contains("GONE"));
    assert!(said(&output).iter().any(|line| line.contains("GONE")), "{:?}", said(&output));
    // A set that is wrong does not keep the others from being used.
    let broken = aalto().replacen("97.4500", "97.4600", 1).replace("AALTO", "BROKEN");
    let some = file(&folder, "some.tle", &(broken + &aalto()));
    let output = seen(&some, &[]);
    assert!(printed(&output).contains("AALTO-1"));
    assert!(said(&output).iter().any(|line| line.contains("checksum")), "{:?}", said(&output));
}

#[test]
fn an_object_overhead_all_the_time_is_said_to_be_in_progress() {
    let folder = tempfile::tempdir().unwrap();
    let text =
        tle("STILL", 88805, "26060.50000000", 1.002_74, " 00000-0").replace("97.4500", " 0.0500");
    let text: String = text
        .lines()
        .map(|line| match line.as_bytes()[0] {
            b'1' | b'2' if line.len() > 60 => summed(&line[..68]) + "\n",
            _ => format!("{line}\n"),
        })
        .collect();
    let path = file(&folder, "still.tle", &text);
    let mut up = 0;
    for longitude in (-180..180).step_by(60) {
        let station = format!("0,{longitude},0");
        let output = passes(&path, &["--station", &station, "--start", START, "--json"]);
        for record in records(printed(&output).as_bytes()) {
            assert_eq!(record["in_progress_at_start"], true);
            assert_eq!(record["in_progress_at_end"], true);
            assert!((record["duration_s"].as_f64().unwrap() - 86_400.0).abs() < 0.01);
            up += 1;
        }
    }
    assert!((2..=3).contains(&up), "{up}");
}
