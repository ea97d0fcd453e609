//! The radio that other programs steer: Hamlib's own client, one that speaks as gpredict does,
//! and clients that misbehave.
#![cfg(feature = "runtime")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Output;
use std::time::{Duration, Instant};

use assert_cmd::Command;
use jiff::Timestamp;
use tulpar::doppler::rigctl::RigAddress;
use tulpar::runtime::rig_server::{RigOptions, RigServer};

const CARRIER_HZ: f64 = 437_500_000.0;

fn local(port: u16) -> RigAddress {
    RigAddress { host: "127.0.0.1".to_owned(), port }
}

fn server(options: RigOptions) -> RigServer {
    RigServer::bind_with(&local(0), options).unwrap()
}

fn plain() -> RigServer {
    server(RigOptions { idle_frequency_hz: CARRIER_HZ, vfo_mode: false })
}

/// The shift that the clients ask for now.
fn shift_hz(server: &RigServer) -> Option<f64> {
    server.tuning().prediction(CARRIER_HZ).shift_hz(Timestamp::UNIX_EPOCH)
}

/// Waits for what another thread is about to do.
fn soon(what: &str, done: impl Fn() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(5), "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Hamlib's client; `None`, said, where it is not installed.
fn hamlib(server: &RigServer, arguments: &[&str], input: &str) -> Option<Output> {
    let run = Command::new("rigctl")
        .args(["-m", "2", "-r", &server.address().to_string()])
        .args(arguments)
        .write_stdin(input)
        .timeout(Duration::from_secs(20))
        .output();
    match run {
        Ok(output) => Some(output),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            eprintln!("SKIPPED: Hamlib's rigctl is not installed (libhamlib-utils)");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

fn said(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A client that takes each reply with one `recv`, as gpredict does.
struct Client {
    stream: TcpStream,
}

impl Client {
    fn new(server: &RigServer) -> Self {
        let stream = TcpStream::connect(server.address()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        Self { stream }
    }

    fn ask(&mut self, line: &str) -> String {
        self.stream.write_all(line.as_bytes()).unwrap();
        self.hear()
    }

    fn hear(&mut self) -> String {
        let mut reply = [0; 4096];
        let count = self.stream.read(&mut reply).unwrap();
        String::from_utf8_lossy(&reply[..count]).into_owned()
    }
}

#[test]
fn hamlib_sets_and_reads_the_frequency() {
    let server = plain();
    let Some(output) = hamlib(&server, &["f"], "") else { return };
    assert_eq!(said(&output), "437500000\n");
    assert_eq!(shift_hz(&server), None, "reading is not setting");
    said(&hamlib(&server, &["F", "437505000"], "").unwrap());
    assert_eq!(shift_hz(&server), Some(5000.0));
    assert!(server.tuning().last_set().unwrap().elapsed() < Duration::from_secs(20));
    let output = hamlib(&server, &["M", "FM", "15000", "f", "m", "v", "t", "s"], "").unwrap();
    assert_eq!(said(&output), "437505000\nFM\n15000\nVFOA\n0\n0\nVFOB\n");
    let output = hamlib(&server, &["F", "437490000", "f"], "").unwrap();
    assert_eq!(said(&output), "437490000\n");
    assert_eq!(shift_hz(&server), Some(-10_000.0));
}

#[test]
fn hamlib_in_a_dialogue() {
    let server = plain();
    let dialogue = "F 437500100\nf\nM USB 2400\nm\nI 145900000\ni\nS 1 VFOB\ns\nV VFOA\nv\n\
                    X FM 0\nT 1\nt\nT 0\n\\get_powerstat\n\\get_vfo_info VFOA\n_\nF -5\n\
                    F 437500200\nq\n";
    let Some(output) = hamlib(&server, &[], dialogue) else { return };
    let text = said(&output);
    for expected in [
        "Frequency: 437500100\n",
        "Mode: USB\nPassband: 2400\n",
        "TX Frequency: 145900000\n",
        "Split: 1\nTX VFO: VFOB\n",
        "VFO: VFOA\n",
        "PTT: 1\n",
        "Power Status: 1\n",
        "Freq: 437500100\nMode: USB\nWidth: 2400\nSplit: 1\n",
        "Info: Tulpar ",
    ] {
        assert!(text.contains(expected), "{expected:?} is not in:\n{text}");
    }
    assert_eq!(shift_hz(&server).map(f64::round), Some(200.0));
}

#[test]
fn hamlib_in_vfo_mode() {
    let server = server(RigOptions { idle_frequency_hz: CARRIER_HZ, vfo_mode: true });
    let arguments =
        ["--vfo", "F", "VFOA", "437503000", "f", "VFOA", "M", "VFOA", "FM", "0", "m", "VFOA"];
    let Some(output) = hamlib(&server, &arguments, "") else { return };
    assert_eq!(said(&output), "437503000\nFM\n15000\n");
    assert_eq!(shift_hz(&server), Some(3000.0));
    let output = hamlib(&server, &["--vfo", "F", "VFOB", "145900000", "f", "VFOB"], "").unwrap();
    assert_eq!(said(&output), "145900000\n");
    assert_eq!(shift_hz(&server), Some(3000.0), "the other VFO is not received");
}

#[test]
fn a_client_that_speaks_as_gpredict_does() {
    let server = plain();
    let mut client = Client::new(&server);
    assert_eq!(client.ask("AOS\n"), "RPRT 0\n");
    assert_eq!(server.tuning().above_horizon(), Some(true));
    let mut last: Option<f64> = None;
    for step in 0..20 {
        // The dial first: anything but what was set is the user's hand.
        if let Some(last) = last {
            let read: f64 = client.ask("f\n").trim_end().parse().unwrap();
            assert!((read - last).abs() < 1.0, "{read} {last}");
        }
        let wanted = CARRIER_HZ + 9000.0 - 12.0 * f64::from(step);
        assert_eq!(client.ask(&format!("F {wanted:10.0}\n")), "RPRT 0\n");
        let read: f64 = client.ask("f\n").trim_end().parse().unwrap();
        assert_eq!(read, wanted);
        last = Some(read);
        let shift = shift_hz(&server).unwrap();
        assert!((shift - (wanted - CARRIER_HZ)).abs() < 15.0, "{step}: {shift}");
        std::thread::sleep(Duration::from_millis(40));
    }
    let wanted = server.tuning().at(Instant::now()).unwrap();
    assert!((-310.0..-150.0).contains(&wanted.rate_hz_per_s), "{wanted:?}");
    // A frequency below 10 digits is padded.
    assert_eq!(client.ask(&format!("F {:10.0}\n", 145_900_000.0)), "RPRT 0\n");
    assert_eq!(client.ask("f\n"), "145900000\n");
    assert_eq!(client.ask("t\n"), "0\n");
    assert_eq!(client.ask("LOS\n"), "RPRT 0\n");
    assert_eq!(server.tuning().above_horizon(), Some(false));
    assert_eq!(client.ask("S 1 Sub\n"), "RPRT 0\n");
    assert_eq!(client.ask(&format!("I {:10.0}\n", 435_000_000.0)), "RPRT 0\n");
    assert_eq!(client.ask("i\n"), "435000000\n");
    assert_eq!(client.ask("U SATMODE 1\n"), "RPRT 0\n");
    assert_eq!(client.ask("\\set_vfo_opt 1\n"), "RPRT 0\n");
    assert_eq!(client.ask("\\chk_vfo\n"), "1\n");
    assert_eq!(client.ask("F currVFO  145900001\n"), "RPRT 0\n");
    assert!(client.ask("\\dump_state\n").ends_with("done\n"), "in one piece");
    client.stream.write_all(b"q\n").unwrap();
    assert_eq!(client.hear(), "RPRT 0\n");
    assert_eq!(client.hear(), "", "closed");
}

#[test]
fn clients_that_misbehave_hold_up_nobody() {
    let server = plain();
    // One says half a line and hangs.
    let mut hanging = Client::new(&server);
    hanging.stream.write_all(b"F 4375").unwrap();
    // One asks for much and reads nothing.
    let mut deaf = Client::new(&server);
    deaf.stream.set_write_timeout(Some(Duration::from_millis(200))).unwrap();
    while deaf.stream.write_all(&b"1\n".repeat(2000)).is_ok() {}
    // One comes and goes.
    for _ in 0..20 {
        drop(Client::new(&server));
    }
    // One sends ten megabytes without a line end.
    let mut endless = Client::new(&server);
    for _ in 0..10 {
        endless.stream.write_all(&vec![b'F'; 1_000_000]).unwrap();
    }
    assert_eq!(endless.ask("\n"), "RPRT -1\n");
    assert_eq!(endless.ask("f\n"), "437500000\n");
    // One sends noise.
    let mut noisy = Client::new(&server);
    noisy.stream.write_all(&[0xff, 0xfb, 1, 0, b'\n']).unwrap();
    assert_eq!(noisy.hear(), "RPRT -11\n");

    let mut good = Client::new(&server);
    assert_eq!(good.ask("F 437501000\n"), "RPRT 0\n");
    assert_eq!(shift_hz(&server), Some(1000.0));
    hanging.stream.write_all(b"02000\n").unwrap();
    assert_eq!(hanging.hear(), "RPRT 0\n");
    assert_eq!(good.ask("f\n"), "437502000\n", "one radio for all");
    let start = Instant::now();
    drop(server);
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    let mut rest = Vec::new();
    let _ = good.stream.read_to_end(&mut rest);
    assert!(rest.is_empty(), "closed with the server");
}

#[test]
fn eight_are_served_and_the_others_are_told() {
    let server = plain();
    let mut clients: Vec<Client> = (0..20).map(|_| Client::new(&server)).collect();
    let mut served = Vec::new();
    for (index, client) in clients.iter_mut().enumerate() {
        // One turned away may find the door closed while it still speaks.
        let _ = client.stream.write_all(b"f\n");
        let mut reply = [0; 64];
        let count = client.stream.read(&mut reply).unwrap_or(0);
        match &reply[..count] {
            b"437500000\n" => served.push(index),
            told => assert!(matches!(told, b"RPRT -9\n" | b""), "{told:?}"),
        }
    }
    assert_eq!(served, [0, 1, 2, 3, 4, 5, 6, 7]);
    drop(clients);
    soon("a place is free again", || {
        let mut client = Client::new(&server);
        client.stream.write_all(b"f\n").is_ok() && client.hear() == "437500000\n"
    });
}

#[test]
fn a_port_in_use_and_a_host_elsewhere_are_said() {
    let server = plain();
    let port = server.address().port();
    let error = RigServer::bind(&local(port)).unwrap_err().to_string();
    assert!(error.contains("--doppler rigctl:HOST:PORT") && error.contains(&port.to_string()));
    drop(server);
    RigServer::bind(&local(port)).expect("the port is free when the server is gone");
    for host in ["192.0.2.1", "no-such-host.invalid"] {
        let address = RigAddress { host: host.to_owned(), port: 4532 };
        let error = RigServer::bind(&address).unwrap_err().to_string();
        assert!(error.contains(host) && error.lines().count() == 1, "{error}");
    }
}
