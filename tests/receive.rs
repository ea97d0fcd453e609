//! The program beside a radio: frames come out while samples come in, with the times of the samples,
//! through outages, until it is told to stop.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "common/beacon.rs"]
mod beacon;
mod common;
#[path = "../src/source/test_servers.rs"]
#[allow(dead_code)]
mod test_servers;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use beacon::{Beacon, CARRIER_HZ, CENTRE_HZ, MODE, Running, lateness_s, now_s};
use common::tulpar;

#[test]
fn frames_come_with_their_times_until_the_program_is_told_to_stop() {
    let beacon = Arc::new(Beacon::new());
    let server = beacon.server();
    let centre = CENTRE_HZ.to_string();
    let running = Running::start(
        &server.uri(),
        &["--rate", "250000", "--frequency", &centre, "--search", "60000"],
    );
    let from = now_s() + 1.5;
    std::thread::sleep(Duration::from_secs(5));
    let to = now_s();
    running.terminate();
    let (records, said) = running.end();
    assert!(said.contains("stopping") && said.contains("frames in "), "{said}");
    assert!(!said.contains("lost"), "{said}");
    let due = beacon.times(server.start, from, to - 0.1);
    assert!(due.len() > 10);
    lateness_s(&due, &records, 0.03);
    let commands = server.commands.lock().unwrap();
    assert!(commands.contains(&(2, 250_000)) && commands.contains(&(1, CENTRE_HZ as u32)));
}

#[test]
fn a_radio_that_vanishes_is_opened_again_and_later_times_are_right() {
    let beacon = Arc::new(Beacon::new());
    let server = beacon.server();
    let centre = CENTRE_HZ.to_string();
    let carrier = CARRIER_HZ.to_string();
    let mut running = Running::start(
        &server.uri(),
        &["--rate", "250000", "--frequency", &centre, "--carrier", &carrier, "--duration", "9"],
    );
    let from = now_s() + 1.5;
    std::thread::sleep(Duration::from_secs(3));
    let gone = now_s();
    server.faults.absent.store(true, Ordering::Relaxed);
    running.wait_for("trying to open it again");
    std::thread::sleep(Duration::from_millis(700));
    server.faults.absent.store(false, Ordering::Relaxed);
    running.wait_for("is back");
    let back = now_s();
    let (records, said) = running.end();
    assert!(said.contains("missing in the input"), "{said}");
    lateness_s(&beacon.times(server.start, from, gone - 0.1), &records, 0.03);
    let to = back + 3.3;
    let due = beacon.times(server.start, back + 1.5, to);
    assert!(due.len() > 5);
    lateness_s(&due, &records, 0.03);
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
