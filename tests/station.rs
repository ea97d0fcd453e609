//! The station that receives by itself: its plan, what it refuses, a rehearsal of a pass with all that
//! it leaves behind, a radio, and how it ends.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;
#[path = "../src/source/test_servers.rs"]
#[allow(dead_code)]
mod test_servers;

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use common::station::{PLACE, satellites_folder, tle};
use common::{records, refused, said, tulpar};
use jiff::Timestamp;
use serde_json::Value;
use tempfile::TempDir;
use test_servers::RtlTcpServer;

const START: &str = "2026-11-22T12:00:00Z";
const RADIO: &str = "[[radio]]\nname = \"uhf\"\ndevice = \"rtl_tcp://127.0.0.1:1\"\n";

/// A folder with satellites S1 to S3, their elements, and a station's file.
struct Desk {
    folder: TempDir,
}

impl Desk {
    /// `text`: the file without place and elements.
    fn new(text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        satellites_folder(&folder.path().join("satellites"), 3);
        // The second follows the first on its track, half a minute behind; the third is elsewhere.
        let sets = [tle(1, 97.4, 10.0, 270.0), tle(2, 97.4, 10.0, 268.0), tle(3, 97.4, 60.0, 0.0)];
        fs::write(folder.path().join("e.tle"), sets.concat()).unwrap();
        let desk = Self { folder };
        desk.write(&format!("place = \"{PLACE}\"\nelements = [\"e.tle\"]\n{text}"));
        desk
    }

    fn write(&self, text: &str) {
        fs::write(self.path("station.toml"), text).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn arguments<'a>(&self, more: &[&'a str]) -> Vec<std::ffi::OsString> {
        let file = self.path("station.toml").into_os_string();
        let mut all = vec!["station".into(), file];
        all.extend(more.iter().map(|word: &&'a str| (*word).into()));
        all
    }

    fn tulpar(&self, more: &[&str]) -> assert_cmd::Command {
        let mut command = tulpar();
        command.env("TULPAR_SATELLITES", self.path("satellites")).args(self.arguments(more));
        command
    }

    fn command(&self, more: &[&str]) -> Command {
        let mut command = Command::new(assert_cmd::cargo::cargo_bin("tulpar"));
        command
            .args(self.arguments(more))
            .env("TULPAR_SATELLITES", self.path("satellites"))
            .env("TULPAR_CONFIG", Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config.toml"))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    fn spawn(&self, more: &[&str], notify: Option<&Path>) -> Running {
        let mut command = self.command(more);
        if let Some(socket) = notify {
            command.env("NOTIFY_SOCKET", socket).env("WATCHDOG_USEC", "3000000");
        }
        Running::new(&mut command)
    }

    /// Files of passes with this extension, in the order of their names.
    fn passes(&self, extension: &str) -> Vec<PathBuf> {
        let rehearsal = self.path("passes").join("rehearsal");
        let folder = if rehearsal.is_dir() { rehearsal } else { self.path("passes") };
        let entries = fs::read_dir(folder).unwrap();
        let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        paths.retain(|path| path.extension().is_some_and(|e| e == extension));
        paths.sort();
        paths
    }

    /// When the first pass of the plan begins, and when it is highest.
    fn first_pass(&self) -> (Timestamp, Timestamp) {
        let plan = self.tulpar(&["--dry-run", "--json", "--start", START]).output().unwrap();
        let plan = records(&plan.stdout);
        let first = plan.iter().find(|record| record["radio"] == "uhf").unwrap();
        (time(&first["rise"]), time(&first["highest"]))
    }

    fn report(&self) -> Value {
        let paths = self.passes("json");
        assert_eq!(paths.len(), 1, "{paths:?}");
        serde_json::from_slice(&fs::read(&paths[0]).unwrap()).unwrap()
    }
}

/// The program at work.
struct Running {
    child: Child,
    lines: BufReader<std::process::ChildStderr>,
    seen: String,
}

impl Running {
    fn new(command: &mut Command) -> Self {
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap());
        Self { child, lines, seen: String::new() }
    }

    fn wait_for(&mut self, words: &str) {
        loop {
            let mut line = String::new();
            assert!(self.lines.read_line(&mut line).unwrap() > 0, "no {words} in {}", self.seen);
            self.seen += &line;
            if line.contains(words) {
                return;
            }
        }
    }

    fn terminate(&self) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    }

    /// Everything that it said.
    fn end(mut self) -> String {
        self.lines.read_to_string(&mut self.seen).unwrap();
        assert!(self.child.wait().unwrap().success(), "{}", self.seen);
        self.seen
    }
}

fn time(value: &Value) -> Timestamp {
    value.as_str().unwrap().parse().unwrap()
}

const BOTH: &str = "[[satellite]]\nname = \"S1\"\n[[satellite]]\nname = \"90002\"\npriority = 5\n";

#[test]
fn a_dry_run_tells_who_is_received_and_who_gives_way() {
    let desk = Desk::new(&format!("{RADIO}{BOTH}"));
    let output = desk.tulpar(&["--dry-run", "--json", "--start", START]).output().unwrap();
    assert!(output.status.success() && said(&output).is_empty(), "{output:?}");
    let plan = records(&output.stdout);
    let of = |name: &str| plan.iter().filter(|r| r["satellite"] == name).collect::<Vec<_>>();
    let (first, second) = (of("S1"), of("S2"));
    assert!(second.len() >= 4 && second.iter().all(|r| r["priority"] == 5));
    assert!(second.iter().all(|r| r["gives_way_to"].as_array().is_none_or(Vec::is_empty)));
    // Too little is left of the first one; no pass is without radio and without reason.
    assert!(first.iter().any(|r| r["left_out"] == "conflict" && r["gives_way_to"][0] == "S2"));
    assert!(plan.iter().all(|r| r["radio"].is_string() != r["left_out"].is_string()));

    // Two radios: nobody gives way.
    let two = RADIO.replace("uhf", "other").replace(":1\"", ":2\"");
    let desk = Desk::new(&format!("{RADIO}{two}{BOTH}"));
    let output = desk.tulpar(&["--dry-run", "--start", START]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("0 of them in part; 0 left out for others"), "{text}");
    assert!(text.contains("  other") && text.contains("  uhf"), "{text}");
    // A plan needs no radio, and writes nothing.
    assert!(!desk.path("passes").exists());

    // With the priorities the other way round the loser keeps the end, if it is long enough.
    let late = [tle(1, 97.4, 10.0, 270.0), tle(2, 97.4, 10.0, 250.0)].concat();
    fs::write(desk.path("e.tle"), late).unwrap();
    let equal = "[[satellite]]\nname = \"S1\"\npriority = 9\n[[satellite]]\nname = \"S2\"\n";
    desk.write(&format!("place = \"{PLACE}\"\nelements = [\"e.tle\"]\n{RADIO}{equal}"));
    let output = desk.tulpar(&["--dry-run", "--start", START]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("the end of it; the rest goes to S1"), "{text}");
}

#[test]
fn what_is_wrong_is_said_at_once_in_one_line() {
    let station = |text: &str| Desk::new(text);
    let satellite = "[[satellite]]\nname = \"S1\"\n";
    for (text, words) in [
        (format!("{RADIO}[[satelite]]\nname = \"S1\""), ["station.toml:6", "did you mean"]),
        (format!("{RADIO}{satellite}prioritty = 5"), ["station.toml:8", "\"priority\"?"]),
        (format!("{RADIO}{satellite}radios = [\"vhf\"]"), ["\"vhf\" is unknown", "uhf"]),
        (format!("{RADIO}[[satellite]]\nname = \"S9\""), ["station.toml: ", "\"S9\""]),
        (format!("{RADIO}{satellite}downlinks = [\"x\"]"), ["downlink of S1", "\"x\""]),
        (format!("{RADIO}highest_hz = 150e6\n{satellite}"), ["no radio of it reaches", "437.0"]),
        (format!("{RADIO}{satellite}[[satellite]]\nname = \"90001\""), ["both S1", "once"]),
        (format!("{RADIO}{satellite}[[sink]]\nkind = \"udp\"\ntarget = \"x\""), ["target", "HOST"]),
    ] {
        refused(&mut station(&text).tulpar(&["--dry-run", "--start", START]), &words);
    }
    let desk = station(&format!("{RADIO}{satellite}"));
    fs::write(desk.path("e.tle"), tle(3, 97.4, 60.0, 0.0)).unwrap();
    refused(&mut desk.tulpar(&["--dry-run"]), &["elements of S1", "there is none", "90001"]);
    desk.write(&format!("elements = [\"e.tle\"]\n{RADIO}{satellite}"));
    refused(&mut desk.tulpar(&["--dry-run"]), &["place is missing", "LAT,LON,ALT_M"]);
    desk.write(&format!("place = \"{PLACE}\"\n{RADIO}{satellite}"));
    refused(&mut desk.tulpar(&["--dry-run"]), &["elements is missing", "cubesats.tle"]);
    desk.write(&format!("place = \"{PLACE}\"\nelements = [\"no.tle\"]\n{RADIO}{satellite}"));
    refused(&mut desk.tulpar(&["--dry-run"]), &["no.tle", "no such file"]);

    let desk = station(&format!("{RADIO}{satellite}"));
    refused(&mut desk.tulpar(&["--start", START]), &["--start", "--rehearse"]);
    refused(&mut desk.tulpar(&["--json"]), &["--dry-run"]);
    refused(tulpar().args(["station", "/no/such.toml"]), &["/no/such.toml", "cannot be read"]);
    let desk = station(&format!("passes = \"/proc/no\"\n{RADIO}{satellite}"));
    refused(&mut desk.tulpar(&[]), &["passes = /proc/no", "cannot be written to"]);
    // A radio that is not there is no wrong request.
    let output = station(&format!("{RADIO}{satellite}")).tulpar(&[]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let lines = said(&output);
    assert!(lines.len() == 1 && lines[0].contains("radio uhf: rtl_tcp://127.0.0.1:1"), "{lines:?}");
}

/// A short pass, high in the sky.
const HIGH: &str = "horizon_deg = 35\n";

#[test]
fn a_rehearsed_pass_leaves_frames_report_and_picture_also_with_a_full_disk() {
    let desk = Desk::new(&format!(
        "{HIGH}{RADIO}[[satellite]]\nname = \"S1\"\n[[sink]]\nkind = \"jsonl\"\npath = \"/dev/full\"\n\
         [[sink]]\nkind = \"text\"\npath = \"all.txt\"\n[recording]\nfolder = \"recordings\"\n\
         band = \"downlink\"\nreserve = \"0\"\nkeep = \"1\"\n"
    ));
    fs::write(desk.path("all.txt"), "older\n").unwrap();
    let (rise, _) = desk.first_pass();
    let start = rise.checked_add(jiff::SignedDuration::from_secs(-60)).unwrap().to_string();
    // A recording that is real, and a keep that would have it removed.
    fs::create_dir_all(desk.path("recordings")).unwrap();
    for extension in ["sigmf-meta", "sigmf-data"] {
        fs::write(desk.path("recordings").join(format!("real.{extension}")), "{}").unwrap();
    }
    let arguments = ["--rehearse", "150", "--start", &start, "--once", "--deliver"];
    let output = desk.tulpar(&arguments).output().unwrap();
    let lines = said(&output);
    assert!(output.status.success(), "{lines:?}");
    assert!(lines.iter().any(|line| line.contains("S1: receiving from")), "{lines:?}");
    assert_eq!(lines.iter().filter(|line| line.starts_with("/dev/full")).count(), 1, "{lines:?}");

    let report = desk.report();
    let count = report["frames"].as_u64().unwrap() as usize;
    assert!(count >= 10, "{count}");
    let frames = records(&fs::read(&desk.passes("jsonl")[0]).unwrap());
    assert_eq!(frames.len(), count);
    assert_eq!(report["frame_list"].as_array().unwrap().len(), count);
    let (rise, set) = (time(&report["pass"]["from"]), time(&report["pass"]["to"]));
    for frame in &frames {
        // The radio listens ten seconds before, and five after.
        let after_rise_s = time(&frame["time"]).duration_since(rise).as_secs_f64();
        let after_set_s = time(&frame["time"]).duration_since(set).as_secs_f64();
        assert!(after_rise_s > -11.0 && after_set_s < 5.0, "{frame}");
        assert_eq!(frame["satellite"], "S1");
        let offset_hz = frame["frequency_offset_hz"].as_f64().unwrap();
        assert!(offset_hz.abs() < 300.0 && frame["doppler_hz"].as_f64().unwrap().abs() > 0.0);
    }
    assert_eq!(report["downlinks"][0]["by_check"]["crc"], count);
    let levels = report["level"]["dbfs"].as_array().unwrap();
    let seconds = set.duration_since(rise).as_secs_f64();
    assert!((levels.len() as f64 - seconds - 15.0).abs() < 5.0, "{} {seconds}", levels.len());
    assert!(report["highest_elevation_deg"].as_f64().unwrap() > 35.0);
    let failures = report["failures"].as_array().unwrap();
    assert!(failures.iter().any(|f| f.as_str().unwrap().contains("/dev/full")), "{failures:?}");
    // Older frames stay.
    let text = fs::read_to_string(desk.path("all.txt")).unwrap();
    assert!(text.starts_with("older\n") && text.len() > 100 * count);
    let recording = report["recordings"][0].as_str().unwrap();
    assert!(Path::new(recording).is_file());
    // What is simulated stays apart from what was received.
    assert!(Path::new(recording).starts_with(desk.path("passes").join("rehearsal")));
    assert_eq!(fs::read_dir(desk.path("recordings")).unwrap().count(), 2);
    assert_eq!(fs::read_dir(desk.path("passes")).unwrap().count(), 1);

    let picture = fs::File::open(&desk.passes("png")[0]).unwrap();
    let mut reader = png::Decoder::new(BufReader::new(picture)).read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut pixels).unwrap();
    assert!(info.width > 600 && info.height > 360, "{info:?}");
    assert!(pixels.iter().any(|pixel| *pixel != pixels[0]));
}

#[cfg(unix)]
#[test]
fn told_to_stop_in_the_middle_of_a_pass_it_reports_what_there_was() {
    use std::os::unix::net::UnixDatagram;

    let sink = "[[sink]]\nkind = \"text\"\npath = \"all.txt\"\n";
    let desk = Desk::new(&format!("{HIGH}{RADIO}[[satellite]]\nname = \"S1\"\n{sink}"));
    let manager = UnixDatagram::bind(desk.path("notify")).unwrap();
    manager.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    // In the middle of the first pass: it takes the rest.
    let (_, middle) = desk.first_pass();
    let middle = &middle.to_string();
    let socket = desk.path("notify");
    let mut running = desk.spawn(&["--rehearse", "20", "--start", middle], Some(socket.as_path()));
    running.wait_for("in the middle of it");
    std::thread::sleep(Duration::from_millis(2500));
    running.terminate();
    let text = running.end();
    assert!(text.contains("S1: ") && text.contains("1 pass received"), "{text}");
    let report = desk.report();
    assert!(time(&report["received"]["to"]) < time(&report["planned"]["to"]), "{report}");
    assert!(time(&report["received"]["from"]) >= middle.parse().unwrap(), "{report}");
    assert!(report["frames"].as_u64().unwrap() > 0, "{report}");
    assert_eq!(desk.passes("png").len(), 1);
    // Nobody asked for the simulated frames to be handed on.
    assert!(!desk.path("all.txt").exists());

    let mut told = Vec::new();
    let mut buffer = [0; 512];
    manager.set_nonblocking(true).unwrap();
    while let Ok(length) = manager.recv(&mut buffer) {
        told.push(String::from_utf8_lossy(&buffer[..length]).trim().to_owned());
    }
    assert_eq!(told[0], "READY=1");
    for word in ["WATCHDOG=1", "STATUS=receiving S1", "STOPPING=1"] {
        assert!(told.iter().any(|text| text == word), "{word}: {told:?}");
    }
}

#[test]
fn a_pass_without_samples_is_none_that_was_received() {
    let desk = Desk::new("");
    let now = Timestamp::now();
    let server = RtlTcpServer::playing(250_000.0, 5_000, Arc::new(|_| [127, 127]));
    let days = now.as_nanosecond() as f64 * 1e-9 / 86_400.0 - 10_957.5;
    let greenwich_deg = (280.460_618 + 360.985_647_366 * days).rem_euclid(360.0);
    let longitude_deg = (540.0 - greenwich_deg).rem_euclid(360.0) - 180.0;
    fs::write(desk.path("e.tle"), common::station::stationary(1, now)).unwrap();
    desk.write(&format!(
        "place = \"0,{longitude_deg:.3},0\"\nelements = [\"e.tle\"]\n[[radio]]\nname = \"uhf\"\n\
         device = \"{}\"\nsample_rate_hz = 250_000\n[[satellite]]\nname = \"S1\"\n\
         radios = [\"dead\"]\n[[satellite]]\nname = \"S2\"\nradios = [\"uhf\"]\n{}",
        server.uri(),
        RADIO.replace("\"uhf\"", "\"dead\"")
    ));
    // The other one is never seen: its radio answers at the start, that is all.
    let sets = [common::station::stationary(1, now), tle(2, 0.0, 0.0, 0.0)].concat();
    fs::write(desk.path("e.tle"), sets).unwrap();
    desk.write(
        &fs::read_to_string(desk.path("station.toml"))
            .unwrap()
            .replace("radios = [\"uhf\"]", "radios = [\"uhf\"]\nmin_elevation_deg = 90"),
    );
    let output = desk.tulpar(&["--once", "--hours", "0.0012"]).output().unwrap();
    let lines = said(&output);
    assert_eq!(output.status.code(), Some(1), "{lines:?}");
    assert!(lines.iter().any(|line| line == "0 passes received"), "{lines:?}");
    assert!(desk.report()["failures"][0].as_str().unwrap().contains("radio dead"));
}

#[test]
fn corrections_that_cannot_be_read_are_refused_at_the_start_and_cost_no_pass() {
    let desk = Desk::new(&format!("{HIGH}{RADIO}[[satellite]]\nname = \"S1\"\n"));
    let (_, middle) = desk.first_pass();
    fs::write(desk.path("config.toml"), "").unwrap();
    fs::write(desk.path("corrections.toml"), "[[").unwrap();
    let config = desk.path("config.toml");
    let mut refusing = desk.tulpar(&["--dry-run", "--start", START]);
    refused(refusing.env("TULPAR_CONFIG", &config), &["corrections.toml"]);
    fs::remove_file(desk.path("corrections.toml")).unwrap();
    let late = middle.checked_add(jiff::SignedDuration::from_secs(-200)).unwrap().to_string();
    let mut command = desk.command(&["--rehearse", "40", "--start", &late, "--once"]);
    let mut running = Running::new(command.env("TULPAR_CONFIG", &config));
    running.wait_for("Ctrl-C stops");
    fs::write(desk.path("corrections.toml"), "[[").unwrap();
    running.wait_for("receiving without corrections");
    std::thread::sleep(Duration::from_millis(2000));
    running.terminate();
    running.end();
    assert!(desk.report()["frames"].as_u64().unwrap() > 0);
}

#[test]
fn a_folder_that_is_gone_costs_no_frame() {
    let desk = Desk::new(&format!("{HIGH}{RADIO}[[satellite]]\nname = \"S1\"\n"));
    let (rise, _) = desk.first_pass();
    let start = rise.checked_add(jiff::SignedDuration::from_secs(-40)).unwrap().to_string();
    let state = desk.path("state");
    let mut command = desk.command(&["--rehearse", "15", "--start", &start, "--once"]);
    let mut running = Running::new(command.env("STATE_DIRECTORY", &state));
    running.wait_for("Ctrl-C stops");
    // No folder can be made below a file.
    fs::remove_dir_all(desk.path("passes")).unwrap();
    fs::write(desk.path("passes"), "").unwrap();
    running.wait_for("the pass is kept in");
    std::thread::sleep(Duration::from_millis(2500));
    running.terminate();
    running.end();
    let kept = |extension: &str| {
        let entries = fs::read_dir(state.join("passes")).unwrap();
        let mut paths = entries.map(|entry| entry.unwrap().path());
        fs::read(paths.find(|path| path.extension().is_some_and(|e| e == extension)).unwrap())
    };
    assert!(!records(&kept("jsonl").unwrap()).is_empty());
    let report: Value = serde_json::from_slice(&kept("json").unwrap()).unwrap();
    assert!(report["failures"][0].as_str().unwrap().contains("the pass is kept in"), "{report}");
}

#[test]
fn a_radio_is_opened_tuned_and_received_from() {
    // A satellite that always stands there: geostationary, over the antenna's meridian.
    let now = Timestamp::now();
    let days = now.as_nanosecond() as f64 * 1e-9 / 86_400.0 - 10_957.5;
    let greenwich_deg = (280.460_618 + 360.985_647_366 * days).rem_euclid(360.0);
    let longitude_deg = (540.0 - greenwich_deg).rem_euclid(360.0) - 180.0;
    let recorded = common::station::beacon(250_000.0, 60_000.0);
    let bytes: Vec<[u8; 2]> = recorded
        .iter()
        .map(|x| [x.re, x.im].map(|v| (127.5 + 127.5 * v).round().clamp(0.0, 255.0) as u8))
        .collect();
    let bytes = Arc::new(bytes);
    let sample = move |n: u64| bytes[(n % bytes.len() as u64) as usize];
    let server = RtlTcpServer::playing(250_000.0, 5_000, Arc::new(sample));
    let desk = Desk::new("");
    // Beside it, what does not answer costs nothing: elements, a radio, a host.
    fs::write(desk.path("e.tle"), common::station::stationary(1, now)).unwrap();
    let centre_hz = common::station::CARRIER_HZ - 60_000.0;
    desk.write(&format!(
        "place = \"0,{longitude_deg:.3},0\"\nelements = [\"no.tle\", \"e.tle\"]\n[[radio]]\n\
         name = \"uhf\"\ndevice = \"{}\"\ngain = \"30\"\nsample_rate_hz = 250_000\nfrequency_hz = {centre_hz:.1}\n\
         [[satellite]]\nname = \"S1\"\n[[sink]]\nkind = \"jsonl\"\n[[sink]]\nkind = \"udp\"\n\
         target = \"no-such-host.invalid:5000\"\n{}",
        server.uri(),
        RADIO.replace("\"uhf\"", "\"dead\"")
    ));
    let mut running = desk.spawn(&["--hours", "0.002"], None);
    running.wait_for("in the middle of it");
    let mut out = String::new();
    running.child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
    let text = running.end();
    for words in ["no.tle: there is no such", "radio dead: ", "no-such-host.invalid:5000"] {
        assert!(text.contains(words), "{words} in {text}");
    }
    let frames = records(out.as_bytes());
    assert!(frames.len() > 5, "{text}");
    let late = |frame: &Value| time(&frame["time"]).duration_since(now).as_secs_f64();
    assert!(frames.iter().all(|frame| (0.0..15.0).contains(&late(frame))), "{frames:?}");
    let report = desk.report();
    assert_eq!(report["frames"], frames.len());
    assert_eq!((&report["lost_samples"], &report["missing_samples"]), (&0.into(), &0.into()));
    assert_eq!(report["centre_frequency_hz"], centre_hz);
    let commands = server.commands.lock().unwrap();
    assert!(commands.contains(&(2, 250_000)) && commands.contains(&(1, centre_hz as u32)));
}
