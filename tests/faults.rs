//! What happens to radios and computers while frames arrive: every frame outside the gap is there,
//! and the times after it are right.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "common/beacon.rs"]
mod beacon;
mod common;
#[path = "../src/source/test_servers.rs"]
#[allow(dead_code)]
mod test_servers;

use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use beacon::{Beacon, CENTRE_HZ, RATE_HZ, Running, lateness_s, now_s};

/// Frames are late by so much at most: what the samples had to wait for.
const TOLERANCE_S: f64 = 0.03;
/// Times after a gap are right to this.
const RIGHT_S: f64 = 1e-3;
/// What was lost within a stream shows only in when the rest arrives: so long it takes to know. An
/// rtl_tcp server hands on half a second at a time.
const KNOWN_RTL_TCP_S: f64 = 2.6;
const KNOWN_UDP_S: f64 = 0.6;

/// Datagrams of the beacon in real time, 4 ms each.
struct Datagrams {
    start: SystemTime,
    stop: Arc<AtomicBool>,
    /// Sends nothing, and never what was taken meanwhile.
    lose: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Datagrams {
    fn to(port: u16, beacon: &Arc<Beacon>) -> Self {
        let (stop, lose) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let (stopped, lost, beacon) = (stop.clone(), lose.clone(), beacon.clone());
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let (began, start) = (Instant::now(), SystemTime::now());
        let thread = std::thread::spawn(move || {
            for k in 0.. {
                let due = Duration::from_millis(4) * (k + 1);
                std::thread::sleep(due.saturating_sub(began.elapsed()));
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                let first = u64::from(k) * 1000;
                let bytes: Vec<u8> = (first..first + 1000).flat_map(|n| beacon.sample(n)).collect();
                if !lost.load(Ordering::Relaxed) {
                    // Nobody may listen yet.
                    let _ = socket.send_to(&bytes, ("127.0.0.1", port));
                }
            }
        });
        Self { start, stop, lose, thread: Some(thread) }
    }
}

impl Drop for Datagrams {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Asserts that all frames came outside the gap, and at their times after it.
fn check(
    what: &str,
    beacon: &Beacon,
    start: SystemTime,
    (from, gone, known, to): (f64, f64, f64, f64),
    records: &[serde_json::Value],
) {
    let before = beacon.times(start, from, gone - 0.05);
    let after = beacon.times(start, known, to - 0.1);
    assert!(before.len() > 4 && after.len() > 4, "{} {}", before.len(), after.len());
    lateness_s(&before, records, TOLERANCE_S);
    let late_s = lateness_s(&after, records, TOLERANCE_S);
    let off_s = late_s.iter().map(|late| (late - beacon.convention_s).abs()).fold(0.0, f64::max);
    println!("{what}: {} frames after the gap, {:.2} ms off at most", late_s.len(), 1e3 * off_s);
    assert!(off_s < RIGHT_S, "{what}: {off_s} s, {late_s:?}");
}

fn rtl_tcp_arguments() -> Vec<String> {
    let arguments =
        ["--rate", "250000", "--frequency", &CENTRE_HZ.to_string(), "--search", "60000"];
    arguments.map(str::to_owned).to_vec()
}

fn as_strs(arguments: &[String]) -> Vec<&str> {
    arguments.iter().map(String::as_str).collect()
}

/// Receives by rtl_tcp, lets `fault` happen after 2.5 s, and looks 3 s farther.
fn with_rtl_tcp(what: &str, fault: impl Fn(&test_servers::RtlTcpServer, &mut Running)) {
    let beacon = Arc::new(Beacon::new());
    let server = beacon.server();
    let mut running = Running::start(&server.uri(), &as_strs(&rtl_tcp_arguments()));
    let from = now_s() + 1.5;
    std::thread::sleep(Duration::from_millis(2700));
    let gone = now_s();
    fault(&server, &mut running);
    let back = now_s();
    std::thread::sleep(Duration::from_secs_f64(KNOWN_RTL_TCP_S + 1.5));
    let to = now_s();
    running.terminate();
    let (records, said) = running.end();
    assert!(!said.contains("started anew"), "{said}");
    check(what, &beacon, server.start, (from, gone, back + KNOWN_RTL_TCP_S, to), &records);
}

#[test]
fn the_process_is_stopped_for_five_seconds_with_rtl_tcp() {
    with_rtl_tcp("kill -STOP, rtl_tcp", |_, running| {
        running.signal("-STOP");
        std::thread::sleep(Duration::from_secs(5));
        running.signal("-CONT");
    });
}

#[test]
fn a_stall_of_three_seconds() {
    // As of a network: what was taken meanwhile is lost, the connection is not.
    with_rtl_tcp("3 s lost, rtl_tcp", |server, _| {
        server.faults.lose.store(true, Ordering::Relaxed);
        std::thread::sleep(Duration::from_secs(3));
        server.faults.lose.store(false, Ordering::Relaxed);
    });
}

#[test]
fn an_overflow() {
    with_rtl_tcp("0.3 s lost, rtl_tcp", |server, _| {
        server.faults.lose.store(true, Ordering::Relaxed);
        std::thread::sleep(Duration::from_millis(300));
        server.faults.lose.store(false, Ordering::Relaxed);
    });
}

#[test]
fn the_connection_breaks() {
    with_rtl_tcp("hung up, rtl_tcp", |server, running| {
        server.faults.hang_up.store(true, Ordering::Relaxed);
        running.wait_for("is back");
    });
}

#[test]
fn the_server_is_restarted() {
    with_rtl_tcp("server restarted, rtl_tcp", |server, running| {
        server.faults.absent.store(true, Ordering::Relaxed);
        running.wait_for("trying to open it again");
        std::thread::sleep(Duration::from_millis(700));
        server.faults.absent.store(false, Ordering::Relaxed);
        running.wait_for("is back");
    });
}

/// The same with datagrams.
fn with_udp(what: &str, fault: impl Fn(&Datagrams, &Running)) {
    let beacon = Arc::new(Beacon::new());
    let port = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let device = format!("udp://127.0.0.1:{port}?format=cu8&rate={RATE_HZ}&frequency={CENTRE_HZ}");
    let running = Running::start(&device, &["--search", "60000"]);
    let datagrams = Datagrams::to(port, &beacon);
    let from = now_s() + 1.5;
    std::thread::sleep(Duration::from_millis(2700));
    let gone = now_s();
    fault(&datagrams, &running);
    let back = now_s();
    std::thread::sleep(Duration::from_secs_f64(KNOWN_UDP_S + 1.5));
    let to = now_s();
    running.terminate();
    let (records, said) = running.end();
    assert!(!said.contains("started anew"), "{said}");
    check(what, &beacon, datagrams.start, (from, gone, back + KNOWN_UDP_S, to), &records);
}

#[test]
fn the_process_is_stopped_for_five_seconds_with_udp() {
    with_udp("kill -STOP, UDP", |_, running| {
        running.signal("-STOP");
        std::thread::sleep(Duration::from_secs(5));
        running.signal("-CONT");
    });
}

#[test]
fn datagrams_are_lost() {
    with_udp("0.5 s lost, UDP", |datagrams, _| {
        datagrams.lose.store(true, Ordering::Relaxed);
        std::thread::sleep(Duration::from_millis(500));
        datagrams.lose.store(false, Ordering::Relaxed);
    });
}
