//! Whose signal is it: recordings of one object of a launch, among all of them.
#![cfg(feature = "runtime")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::{Arc, OnceLock};

use common::{records, refused, said, shared, tulpar};
use serde_json::Value;
use tulpar::catalogue::Mode;
use tulpar::doppler::after;
use tulpar::doppler::elements::{self, Elements};
use tulpar::doppler::orbit::Orbit;
use tulpar::doppler::passes::passes;
use tulpar::doppler::sky::OrbitPrediction;
use tulpar::doppler::station::Station;
use tulpar::framing::{self, Options};
use tulpar::modulation::{self, Parameters};
use tulpar::recording::SampleCoding;
use tulpar::simulation::flight::predicted_curve;
use tulpar::simulation::sigmf_writer;
use tulpar::simulation::{Channel, Simulator, Transmission, frames};

const STATION: Station = Station { latitude_deg: 40.41, longitude_deg: 62.0, altitude_m: 28.0 };
const PLACE: &str = "40.41,62,28";
const MODE: [&str; 6] =
    ["--modulation", "gmsk", "--symbol-rate", "9600", "--framing", "AX.25 G3RUH"];
const CARRIER_HZ: f64 = 437.5e6;
const RATE_HZ: f64 = 32_000.0;
/// The object that sends, with its oscillator and the elements' error.
const SENDER: usize = 4;
const BIAS_HZ: f64 = 700.0;
const LATE_S: f64 = 0.2;

fn one() -> Elements {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/pass.tle");
    elements::parse("pass", &std::fs::read(path).unwrap()).unwrap().sets.remove(0)
}

/// Ten objects, 15 s apart on one orbit, and one on the other side of the Earth.
fn launch() -> Vec<Elements> {
    let mut sets: Vec<Elements> = (0..10)
        .map(|k| {
            let ahead_s = 15.0 * (SENDER as f64 - f64::from(k));
            let mut set = one();
            set.norad_id = 99_001 + k as u32;
            set.name = Some(format!("OBJECT {}", char::from(b'A' + k as u8)));
            let turned =
                set.mean_anomaly_deg + ahead_s / 86_400.0 * 360.0 * set.mean_motion_rev_per_day;
            set.mean_anomaly_deg = turned.rem_euclid(360.0);
            set
        })
        .collect();
    let mut far = one();
    far.norad_id = 99_100;
    far.name = Some("FAR AWAY".to_owned());
    far.mean_anomaly_deg = (far.mean_anomaly_deg + 180.0).rem_euclid(360.0);
    sets.push(far);
    sets
}

struct Scene {
    folder: tempfile::TempDir,
    base: PathBuf,
    elements: PathBuf,
}

/// A burst each four seconds for 80 s around culmination.
fn scene() -> &'static Scene {
    static SCENE: OnceLock<Scene> = OnceLock::new();
    SCENE.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let sets = launch();
        let mut text = String::new();
        for set in &sets {
            let [first, second] = set.to_tle().unwrap();
            writeln!(text, "{}\n{first}\n{second}", set.name.as_ref().unwrap()).unwrap();
        }
        let elements = folder.path().join("launch.tle");
        std::fs::write(&elements, &text).unwrap();
        let base = folder.path().join("pass");
        record(&base, 80.0, 4.0);
        Scene { folder, base, elements }
    })
}

/// Records the sender around its culmination.
fn record(base: &Path, duration_s: f64, period_s: f64) {
    let orbit = Arc::new(Orbit::new(&launch()[SENDER]).unwrap());
    let from = "2026-11-04T16:40:00Z".parse().unwrap();
    let found = passes(&orbit, &STATION, from, after(from, 3600.0), 0.0).passes;
    let start = after(found[0].culmination.time, -0.45 * duration_s);
    let framing_descriptor = framing::find("AX.25 G3RUH").unwrap();
    let mode = Mode {
        modulation: modulation::find("GMSK").unwrap(),
        parameters: Parameters::new(9600.0),
        framing_descriptor,
        framing: framing::build("AX.25 G3RUH", &Options(BTreeMap::new())).unwrap(),
    };
    let burst_s = 0.3;
    let payloads = frames::of_length("AX.25 G3RUH", 100, 2 * (duration_s / period_s) as usize, 5);
    let transmission = Transmission {
        frames_per_burst: 2,
        preamble_symbols: 300,
        lead_in_s: 0.5,
        gap_s: period_s - burst_s,
        tail_s: 0.2,
        ..Transmission::new(mode, payloads).unwrap()
    };
    let prediction = OrbitPrediction { orbit, station: STATION, carrier_hz: CARRIER_HZ };
    let channel = Channel {
        esn0_db: 13.0,
        frequency_offset_hz: BIAS_HZ,
        doppler_hz: predicted_curve(Arc::new(prediction), after(start, -LATE_S)),
        seed: 5,
        ..Channel::default()
    };
    let mut simulator =
        Simulator::new(transmission, channel, RATE_HZ, Some(start), Some(CARRIER_HZ)).unwrap();
    sigmf_writer::write(base, &mut simulator, SampleCoding::Ci16, "a launch").unwrap();
}

fn identify(arguments: &[&str]) -> Output {
    let scene = scene();
    tulpar()
        .arg("identify")
        .arg(&scene.base)
        .arg("--elements")
        .arg(&scene.elements)
        .args(["--station", PLACE])
        .args(arguments)
        .output()
        .unwrap()
}

fn text(output: &Output) -> String {
    assert!(output.status.success(), "{:?}", said(output));
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn number(record: &Value, key: &str) -> f64 {
    record[key].as_f64().unwrap_or_else(|| panic!("{key} in {record}"))
}

#[test]
fn the_sender_comes_first_by_receiver_and_by_spectrum() {
    let with_mode = MODE.iter().copied().chain(["--json", "--residuals"]).collect::<Vec<_>>();
    for (arguments, worst_hz) in
        [(&with_mode[..], 30.0), (&["--json", "--residuals", "--carrier", "437500000"], 120.0)]
    {
        let output = identify(arguments);
        assert!(output.status.success(), "{:?}", said(&output));
        let objects = records(&output.stdout);
        assert_eq!(objects.len(), 11);
        let best = &objects[0];
        assert_eq!(best["name"], "OBJECT E", "{:?}", said(&output));
        assert_eq!(best["norad_id"], 99_001 + SENDER as u64);
        assert_eq!((&best["rank"], &best["identified"]), (&Value::from(1), &Value::from(true)));
        assert!(number(best, "rms_hz") < worst_hz, "{best}");
        assert!((number(best, "bias_hz") - BIAS_HZ).abs() < worst_hz, "{best}");
        assert!((number(best, "bias_ppm") - 1e6 * BIAS_HZ / CARRIER_HZ).abs() < 0.3);
        assert!((number(best, "late_s") - LATE_S).abs() < 0.6, "{best}");
        assert!(number(best, "highest_elevation_deg") > 10.0);
        assert_eq!(number(best, "behind_nats"), 0.0);
        assert!(number(&objects[1], "behind_nats") > 5.0, "{}", objects[1]);
        let residuals = best["residuals"].as_array().unwrap();
        assert!(residuals.len() >= 15, "{}", residuals.len());
        for r in residuals {
            let sum = number(r, "predicted_hz") + number(r, "residual_hz");
            assert!((sum - number(r, "measured_hz")).abs() < 1e-6);
            assert!(number(r, "sigma_hz") > 0.0 && r["time"].as_str().unwrap().ends_with('Z'));
        }
        let far = &objects[10];
        assert_eq!((&far["name"], &far["rank"]), (&Value::from("FAR AWAY"), &Value::Null));
        assert!(number(far, "highest_elevation_deg") < 0.0 && far["above_horizon"] == false);
        let said = said(&output);
        assert!(said.iter().any(|line| line.starts_with("it is OBJECT E: odds ")), "{said:?}");
    }
}

#[test]
fn the_table_says_what_was_used_and_what_came_of_it() {
    let by_spectrum = text(&identify(&["--residuals"]));
    assert!(by_spectrum.contains("measured by a track in the spectrum"), "{by_spectrum}");
    assert!(by_spectrum.contains("\n  1 OBJECT E  99005 "), "{by_spectrum}");
    assert!(by_spectrum.contains("below the horizon: FAR AWAY\n"), "{by_spectrum}");
    assert!(by_spectrum.contains("residual Hz"), "{by_spectrum}");
    assert!(by_spectrum.lines().last().unwrap().starts_with("it is OBJECT E: odds "));
    let narrowed =
        text(&identify(&[&MODE[..], &["--object", "object d", "--object", "99005"]].concat()));
    assert!(narrowed.contains("measured by the receiver, around "), "{narrowed}");
    assert!(narrowed.contains(" against OBJECT D\n") && !narrowed.contains("OBJECT F"));
    let wrong = text(&identify(&["--object", "OBJECT I"]));
    assert!(wrong.contains("no object fits: best residual "), "{wrong}");
}

#[test]
fn offsets_are_saved_and_used_by_later_passes() {
    let scene = scene();
    let folder = scene.folder.path().join("saved/deeper");
    let save = |arguments: &[&str]| {
        tulpar()
            .env("TULPAR_CONFIG", folder.join("config.toml"))
            .arg("identify")
            .arg(&scene.base)
            .args(["--elements", scene.elements.to_str().unwrap(), "--station", PLACE])
            .args(MODE)
            .args(arguments)
            .output()
            .unwrap()
    };
    // No configuration file yet: it may be missing only where nobody named it.
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("config.toml"), "").unwrap();
    let other = "[[object]]\nnorad_id = 7\nbias_ppm = 1.0\nlate_s = 0.5\n\
                 elements_epoch = 2026-01-01T00:00:00Z\nmeasured = 2026-01-01T00:00:00Z\n";
    let file = folder.join("corrections.toml");
    std::fs::write(&file, other).unwrap();
    let output = save(&["--save"]);
    assert!(output.status.success(), "{:?}", said(&output));
    let saved = std::fs::read_to_string(&file).unwrap();
    assert!(saved.contains("norad_id = 7\n") && saved.contains("norad_id = 99005\n"), "{saved}");
    let files = std::fs::read_dir(&folder).unwrap().count();
    assert_eq!(files, 2, "nothing else is left there");

    // A pass of the same object: the frames come where the corrected orbit says.
    let replay = |configuration: &Path| {
        let output = tulpar()
            .env("TULPAR_CONFIG", configuration)
            .arg("replay")
            .arg(&scene.base)
            .args(["--elements", scene.elements.to_str().unwrap(), "--station", PLACE])
            .args(["--object", "OBJECT E", "--doppler", "orbit", "--json"])
            .args(MODE)
            .output()
            .unwrap();
        assert!(output.status.success(), "{:?}", said(&output));
        let first = records(&output.stdout)[0]["frequency_offset_hz"].as_f64().unwrap();
        (first, said(&output).join("\n"))
    };
    let nothing = scene.folder.path().join("none/config.toml");
    std::fs::create_dir_all(nothing.parent().unwrap()).unwrap();
    std::fs::write(&nothing, "").unwrap();
    let (plain, _) = replay(&nothing);
    let (corrected, lines) = replay(&folder.join("config.toml"));
    assert!((plain - BIAS_HZ).abs() < 100.0, "{plain}");
    assert!(corrected.abs() < 40.0, "{corrected}");
    assert!(lines.contains("corrected by what was measured at 2026-11-04"), "{lines}");

    // A file of one's own, in a folder that is not there yet.
    let own = scene.folder.path().join("a/b/own.toml");
    let output = save(&["--save", own.to_str().unwrap(), "--quiet"]);
    assert!(output.status.success() && said(&output).is_empty(), "{:?}", said(&output));
    assert!(std::fs::read_to_string(&own).unwrap().contains("norad_id = 99005\n"));
}

#[test]
fn one_burst_cannot_tell() {
    let scene = scene();
    let base = scene.folder.path().join("burst");
    record(&base, 4.0, 4.0);
    let file = scene.folder.path().join("unclear.toml");
    let run = |arguments: &[&str]| {
        tulpar()
            .arg("identify")
            .arg(&base)
            .args(["--elements", scene.elements.to_str().unwrap(), "--station", PLACE])
            .args(MODE)
            .args(arguments)
            .output()
            .unwrap()
    };
    let shown = text(&run(&[]));
    assert!(
        shown.lines().last().unwrap().starts_with("only one burst within 1 s: cannot tell"),
        "{shown}"
    );
    let output = run(&["--save", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    let lines = said(&output);
    assert!(lines.iter().any(|l| l.starts_with("not saved: only one burst")), "{lines:?}");
    assert!(lines.iter().any(|l| l.ends_with("say which with --object NAME|NORAD")), "{lines:?}");
    assert!(!file.exists());
    let output = run(&["--save", file.to_str().unwrap(), "--object", "OBJECT E"]);
    assert!(output.status.success(), "{:?}", said(&output));
    assert!(std::fs::read_to_string(&file).unwrap().contains("norad_id = 99005\n"));
}

/// A real burst of two seconds.
#[test]
fn lucky_7_cannot_be_told_by_one_burst() {
    let Some(shared) = shared() else { return };
    let recording = shared.join("iq/real/lucky_7-48k.cf32");
    let folder = tempfile::tempdir().unwrap();
    let elements = folder.path().join("lucky_7.tle");
    std::fs::write(
        &elements,
        "LUCKY-7\n\
         1 44406U 19038W   20069.88080907  .00000505  00000-0  32890-4 0  9992\n\
         2 44406  97.5270  32.5584 0026284 107.4758 252.9348 15.12089395 37524\n",
    )
    .unwrap();
    let output = tulpar()
        .arg("identify")
        .arg(&recording)
        .args(["--format", "cf32", "--rate", "48000", "--frequency", "437525000"])
        .args(["--start", "2020-03-10T11:40:49Z", "--station", "53.72,47.57,100"])
        .args(["--elements", elements.to_str().unwrap()])
        .output()
        .unwrap();
    let shown = text(&output);
    assert!(shown.contains("LUCKY-7") && shown.contains("cannot tell"), "{shown}");
}

#[test]
fn wrong_requests() {
    let scene = scene();
    let elements = scene.elements.to_str().unwrap();
    let base = scene.base.to_str().unwrap();
    let raw = scene.base.with_extension("sigmf-data");
    let noise = scene.folder.path().join("noise.ci16");
    let mut state = 1u32;
    let samples: Vec<u8> = (0..400_000)
        .flat_map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            ((state >> 20) as i16 - 2048).to_le_bytes()
        })
        .collect();
    std::fs::write(&noise, samples).unwrap();
    // A copy under another name: the recording's own metadata must not speak.
    let bare = scene.folder.path().join("bare.ci16");
    std::fs::copy(&raw, &bare).unwrap();
    let bare = bare.to_str().unwrap();
    let run = |arguments: &[&str]| {
        let mut command = tulpar();
        command.arg("identify").args(arguments);
        command
    };
    let raw = ["--format", "ci16", "--rate", "32000"];
    let sky = ["--elements", elements, "--station", PLACE];
    refused(&mut run(&[]), &["FILE: missing"]);
    refused(&mut run(&["nowhere.wav"]), &["nowhere.wav", "no such file"]);
    refused(&mut run(&[base, "--station", PLACE]), &["--elements: missing"]);
    refused(&mut run(&[base, "--elements", elements]), &["--station: missing"]);
    let none = [&[base][..], &sky, &["--object", "OBJECT Z"]].concat();
    refused(&mut run(&none), &["OBJECT Z"]);
    let no_time = [&[bare][..], &raw, &sky, &["--frequency", "437500000"]].concat();
    refused(&mut run(&no_time), &["does not say when it begins", "--start"]);
    let start = ["--start", "2026-11-04T16:55:35Z"];
    let no_frequency = [&[bare][..], &raw, &sky, &start].concat();
    refused(&mut run(&no_frequency), &["on which frequency", "--frequency"]);
    let elsewhere = [&[base][..], &sky, &["--carrier", "145900000"]].concat();
    refused(&mut run(&elsewhere), &["carrier", "outside the recording"]);
    let below = [&[base][..], &sky, &["--object", "FAR AWAY"]].concat();
    refused(&mut run(&below), &["FAR AWAY", "not above the horizon", "--start"]);
    let half = [&[base][..], &sky, &["--modulation", "gmsk"]].concat();
    refused(&mut run(&half), &["--symbol-rate"]);

    let noise = noise.to_str().unwrap();
    let empty = [&[noise][..], &raw, &sky, &start, &["--frequency", "437500000"]].concat();
    for arguments in [empty.clone(), [&empty[..], &MODE].concat()] {
        let output = run(&arguments).output().unwrap();
        assert!(output.status.success() && output.stdout.is_empty(), "{:?}", said(&output));
        let lines = said(&output);
        assert!(lines.iter().any(|l| l.contains("no signal was found")), "{lines:?}");
    }
    let output = run(&[&empty[..], &["--save"]].concat()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
}
