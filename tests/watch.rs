//! What one sees while nothing, or something, is received: diagnosis, metrics, health, logs.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "common/beacon.rs"]
mod beacon;
mod common;
#[path = "../src/source/test_servers.rs"]
#[allow(dead_code)]
mod test_servers;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use beacon::{Beacon, CENTRE_HZ, MODE, Running};
use common::{refused, said, tulpar};

/// What `replay` says at last of a simulated recording.
fn verdict(simulate: &[&str], replay: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let base = folder.path().join("x");
    let at = ["--rate", "250000", "--frequency", "437500000", "--gap", "0.3", "--frames", "12"];
    let mut command = tulpar();
    command.arg("simulate").arg(&base).args(at).args(simulate).assert().success();
    let mut command = tulpar();
    command.arg("replay").arg(folder.path().join("x.sigmf-meta")).args(["--doppler", "off"]);
    let output = command.args(replay).output().unwrap();
    assert!(output.status.success());
    said(&output).pop().unwrap()
}

#[test]
fn replay_says_why_there_is_no_frame() {
    let gmsk = |more: &[&'static str]| [&MODE[..], more].concat();
    let other = ["--modulation", "gmsk", "--symbol-rate", "9600", "--framing"];
    for (simulate, replay, words) in [
        (gmsk(&["--esn0", "12"]), gmsk(&[]), "12 frames in"),
        (gmsk(&["--esn0", "-40"]), gmsk(&[]), "no signal was found"),
        (gmsk(&["--esn0", "10", "--offset", "-40000"]), gmsk(&[]), "kHz below where the downlink"),
        (gmsk(&["--esn0", "12"]), [&other[..], &["USP"]].concat(), "found, but no sync word in"),
        (
            [&other[..], &["CCSDS Reed-Solomon", "--option", "frame_size=223", "--esn0", "12"]]
                .concat(),
            [&other[..], &["CCSDS Reed-Solomon", "--option", "frame_size=100"]].concat(),
            "found, but no valid frame: most could not be corrected",
        ),
    ] {
        let line = verdict(&simulate, &replay);
        assert!(line.contains(words), "{words}: {line}");
    }
}

#[test]
fn clipping_is_told_from_everything_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("loud.cu8");
    let bytes: Vec<u8> = (0..400_000u32).map(|k| if k / 7 % 2 == 0 { 255 } else { 0 }).collect();
    std::fs::write(&path, bytes).unwrap();
    let mut command = tulpar();
    command.arg("replay").arg(&path).args(["--format", "cu8", "--rate", "250000"]).args(MODE);
    let line = said(&command.output().unwrap()).pop().unwrap();
    assert!(line.contains("at full scale; record with a lower gain"), "{line}");
}

fn get(address: &str, path: &str) -> (String, String) {
    let mut client = TcpStream::connect(address).unwrap();
    write!(client, "GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n").unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.lines().next().unwrap().to_owned(), body.to_owned())
}

/// The value of the first series that begins so.
fn value(page: &str, series: &str) -> f64 {
    let line = page.lines().find(|line| line.starts_with(series)).unwrap();
    line.rsplit_once(' ').unwrap().1.parse().unwrap()
}

#[test]
fn metrics_health_and_logs_of_a_session() {
    let beacon = Arc::new(Beacon::new());
    let server = beacon.server();
    let centre = CENTRE_HZ.to_string();
    let arguments = ["--rate", "250000", "--frequency", &centre, "--search", "60000"];
    let watch = ["--metrics", "127.0.0.1:0", "--log-format", "json"];
    let mut running = Running::begin(&server.uri(), &[&arguments[..], &watch].concat());
    let line = running.wait_for("metrics at http://");
    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(line["level"], "info");
    let message = line["message"].as_str().unwrap();
    let address = message.split("http://").nth(1).unwrap().split('/').next().unwrap().to_owned();
    running.wait_for("listening to");
    std::thread::sleep(Duration::from_secs(4));
    let (status, page) = get(&address, "/metrics");
    assert_eq!(status, "HTTP/1.1 200 OK");
    assert!(value(&page, "tulpar_frames_total{satellite=\"\",downlink=\"FSK 9600") > 5.0, "{page}");
    assert!(value(&page, "tulpar_samples_total") > 500_000.0);
    assert!((-40.0..0.0).contains(&value(&page, "tulpar_level_dbfs")));
    assert!(value(&page, "tulpar_sync_words_total") > 5.0);
    assert!(value(&page, "tulpar_last_frame_esn0_db") > 8.0);
    let (status, body) = get(&address, "/healthz");
    assert!(status.contains("200") && body.contains("\"receiving\""), "{status} {body}");
    server.faults.stall.store(true, Ordering::Relaxed);
    server.faults.absent.store(true, Ordering::Relaxed);
    let began = Instant::now();
    let failing = loop {
        let (status, body) = get(&address, "/healthz");
        if status.contains("503") {
            break body;
        }
        assert!(began.elapsed() < Duration::from_secs(12), "still well");
        std::thread::sleep(Duration::from_millis(200));
    };
    assert!(failing.contains("no samples for"), "{failing}");
    running.terminate();
    let (_, said) = running.end();
    let lost = said.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let lost: Vec<_> = lost.filter(|line| line["level"] == "warn").collect();
    assert!(lost[0]["message"].as_str().unwrap().contains("trying to open it again"), "{said}");
    assert!(lost[0]["time"].as_str().unwrap().ends_with('Z'));
    assert!(TcpStream::connect(&address).is_err());
}

#[test]
fn wrong_requests_are_refused() {
    let receive = |more: &[&str]| {
        let mut command = tulpar();
        command.args(["receive", "--device", "udp://127.0.0.1:47355?format=cs16&rate=48000"]);
        command.args(MODE).args(more);
        command
    };
    refused(&mut receive(&["--metrics", "nowhere"]), &["--metrics nowhere", "127.0.0.1:9797"]);
    refused(&mut receive(&["--log", "loud"]), &["--log loud", "error, warn, info"]);
    refused(&mut receive(&["--log-format", "xml"]), &["--log-format"]);
}
