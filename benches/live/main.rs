//! The whole program beside a radio: how late its datagrams are, and what it takes of the computer.
//!
//! ```text
//! cargo bench --bench live                      latency of every row, and a minute of load
//! cargo bench --bench live -- latency           the former; `latency GMSK` only the rows so named
//! cargo bench --bench live -- load --minutes 10 the latter, for so long
//! ```
//!
//! A server of the rtl_tcp protocol plays a few seconds of a beacon over and over, in real time, 2 ms
//! of samples at a time; the program, started as a user would, sends its frames as datagrams.
//!
//! * **Latency**: from the instant at which the server owns the frame's last symbol (the end of the
//!   2 ms that hold it) to the datagram. The first 3 s, in which the program learns what noise is, are
//!   left out and said apart.
//! * **Load**: at 2.4 MS/s, beside two threads that want a core each. CPU time of the process, its
//!   resident memory, and what it says it lost.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../scenario/mod.rs"]
mod scenario;
#[path = "../../src/source/test_servers.rs"]
#[allow(dead_code)]
mod test_servers;

use std::io::{BufRead, BufReader, Read};
use std::net::UdpSocket;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use scenario::Scenario;
use test_servers::RtlTcpServer;
use tulpar::effort::Effort;
use tulpar::simulation::{Channel, SentFrame};

const CARRIER_HZ: f64 = 437.5e6;
const CENTRE_HZ: f64 = 437.54e6;
/// Samples that the server hands on at a time.
const HANDED_S: f64 = 0.002;
/// The beacon's frames until it begins anew: of bursts, and without gaps.
const FRAMES: usize = 16;
const CONTINUOUS_FRAMES: usize = 80;
/// Of these the program learns its floors.
const WARM_UP_S: f64 = 3.0;

/// Rows of the latency table, with the Es/N0 at which they are sent.
fn rows() -> Vec<(Scenario, f64)> {
    let gmsk =
        Scenario { modulation_index: Some(0.5), gap_s: 0.1, gap_spread_s: 0.2, ..Scenario::BASE };
    let bpsk = Scenario { modulation: "BPSK", ..gmsk.clone() };
    let coded = &[("frame_size", "223")];
    vec![
        (Scenario { name: "GMSK 9600 Bd, AX.25 G3RUH", ..gmsk.clone() }, 12.0),
        (
            Scenario {
                name: "GMSK 9600 Bd, AX100",
                framing: "AX100 ASM+Golay",
                frame_bytes: 100,
                ..gmsk.clone()
            },
            10.0,
        ),
        (
            Scenario {
                name: "GMSK 9600 Bd, CCSDS Reed-Solomon",
                framing: "CCSDS Reed-Solomon",
                options: coded,
                frame_bytes: 223,
                ..gmsk.clone()
            },
            10.0,
        ),
        (
            Scenario {
                name: "GMSK 9600 Bd, AX.25, 8 frames a burst",
                frames_per_burst: 8,
                ..gmsk.clone()
            },
            12.0,
        ),
        (
            Scenario {
                name: "GMSK 9600 Bd, AX.25, continuous",
                frames_per_burst: usize::MAX,
                ..gmsk
            },
            12.0,
        ),
        (Scenario { name: "BPSK 9600 Bd, AX.25 G3RUH", ..bpsk.clone() }, 12.0),
        (
            Scenario {
                name: "BPSK 9600 Bd, CCSDS Concatenated, continuous",
                framing: "CCSDS Concatenated",
                options: coded,
                frame_bytes: 223,
                frames_per_burst: usize::MAX,
                ..bpsk
            },
            4.0,
        ),
    ]
}

fn frames_of(scenario: &Scenario) -> usize {
    if scenario.frames_per_burst == usize::MAX { CONTINUOUS_FRAMES } else { FRAMES }
}

/// A beacon as an 8-bit radio hands it on, over and over.
struct Beacon {
    bytes: Vec<[u8; 2]>,
    sent: Vec<SentFrame>,
    rate_hz: f64,
}

impl Beacon {
    fn new(scenario: &Scenario, esn0_db: f64, rate_hz: f64) -> Self {
        let channel = Channel {
            esn0_db,
            frequency_offset_hz: CARRIER_HZ - CENTRE_HZ,
            level_dbfs: -12.0,
            seed: 7,
            ..Channel::default()
        };
        let scenario = Scenario { sample_rate_hz: rate_hz, ..scenario.clone() };
        let mut simulator = scenario.simulator(frames_of(&scenario), channel);
        let byte = |x: f32| (127.5 + 127.5 * x).round().clamp(0.0, 255.0) as u8;
        let mut bytes = Vec::new();
        let mut samples = Vec::new();
        while simulator.read_samples(&mut samples, 1 << 16).unwrap() > 0 {
            bytes.extend(samples.drain(..).map(|x| [byte(x.re), byte(x.im)]));
        }
        Self { bytes, sent: simulator.sent().to_vec(), rate_hz }
    }

    fn handed_samples(&self) -> u64 {
        (HANDED_S * self.rate_hz) as u64
    }

    fn serve(self: &Arc<Self>) -> RtlTcpServer {
        let beacon = self.clone();
        let sample = move |n: u64| beacon.bytes[(n % beacon.bytes.len() as u64) as usize];
        RtlTcpServer::playing(self.rate_hz, self.handed_samples(), Arc::new(sample))
    }

    /// Time between a frame's end and `at_s` (both after the server's start), by its last time round.
    fn late_s(&self, bytes: &[u8], at_s: f64) -> Option<f64> {
        let sent = self.sent.iter().find(|frame| frame.bytes == bytes)?;
        let handed = self.handed_samples();
        let end_s = sent.end_sample.next_multiple_of(handed) as f64 / self.rate_hz;
        let period_s = self.bytes.len() as f64 / self.rate_hz;
        Some((at_s - end_s).rem_euclid(period_s))
    }

    /// The receiver, as a file for `--flowgraph`.
    fn flowgraph(&self, scenario: &Scenario, device: &str, target: &str) -> String {
        let options: Vec<String> =
            scenario.options.iter().map(|(k, v)| format!("{k} = {v}")).collect();
        format!(
            "[[downlink]]\nlabel = \"beacon\"\nfrequency_hz = {CARRIER_HZ:.0}\n\
             modulation = \"{}\"\nsymbol_rate_bd = {}\nframing = \"{}\"\noptions = {{ {} }}\n\
             [radio]\ndevice = \"{device}\"\nsample_rate_hz = {}\nfrequency_hz = {CENTRE_HZ:.0}\n\
             [tracking]\ndoppler = \"off\"\n\
             [[sink]]\nkind = \"udp\"\ntarget = \"{target}\"\n",
            scenario.modulation,
            scenario.symbol_rate_bd,
            scenario.framing,
            options.join(", "),
            self.rate_hz,
        )
    }
}

/// How long a receiver waits after the ends of frames for samples, whatever the computer: median and
/// most, in ms.
fn waited(scenario: &Scenario, esn0_db: f64, rate_hz: f64) -> (f64, f64) {
    let scenario = Scenario { sample_rate_hz: rate_hz, ..scenario.clone() };
    let channel = Channel { esn0_db, seed: 7, ..Channel::default() };
    let mut simulator = scenario.simulator(CONTINUOUS_FRAMES, channel);
    let samples = scenario::samples(&mut simulator);
    let mut receiver = scenario.receiver(Effort::Full);
    let (mut out, mut late, mut at) = (Vec::new(), Vec::new(), 0u64);
    for block in samples.chunks((HANDED_S * rate_hz) as usize) {
        receiver.push(at, block, &mut out);
        at += block.len() as u64;
        for frame in out.drain(..).filter(|_| at as f64 > WARM_UP_S * rate_hz) {
            if let Some(sent) = simulator.sent().iter().find(|s| s.bytes == frame.bytes) {
                late.push(1e3 * (at - sent.end_sample) as f64 / rate_hz);
            }
        }
    }
    (quantile(&mut late, 0.5), quantile(&mut late, 1.0))
}

/// The program at work.
struct Running {
    child: Child,
    lines: BufReader<ChildStderr>,
    datagrams: UdpSocket,
    server: RtlTcpServer,
    began: Instant,
    _folder: tempfile::TempDir,
}

impl Running {
    fn start(beacon: &Arc<Beacon>, scenario: &Scenario) -> Self {
        let datagrams = UdpSocket::bind("127.0.0.1:0").unwrap();
        datagrams.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        let server = beacon.serve();
        let target = datagrams.local_addr().unwrap().to_string();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("receiver.toml");
        std::fs::write(&file, beacon.flowgraph(scenario, &server.uri(), &target)).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_tulpar"))
            .args(["receive", "--flowgraph"])
            .arg(&file)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap());
        let mut said = String::new();
        while !said.contains("listening to") {
            assert!(lines.read_line(&mut said).unwrap() > 0, "{said}");
        }
        Self { child, lines, datagrams, server, began: Instant::now(), _folder: folder }
    }

    /// The next datagram, and when it came, in seconds after the server's start.
    fn datagram(&self) -> Option<(Vec<u8>, f64)> {
        let mut bytes = vec![0; 65_536];
        let length = self.datagrams.recv(&mut bytes).ok()?;
        let at = SystemTime::now().duration_since(self.server.start).unwrap().as_secs_f64();
        bytes.truncate(length);
        Some((bytes, at))
    }

    /// Ends it; what it said last.
    fn end(mut self) -> String {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        let mut said = String::new();
        self.lines.read_to_string(&mut said).unwrap();
        assert!(self.child.wait().unwrap().success(), "{said}");
        said.lines().last().unwrap_or_default().to_owned()
    }

    /// CPU time so far, in seconds, and resident memory in MB; `None` where there is no /proc.
    fn cost(&self) -> Option<(f64, f64)> {
        let folder = format!("/proc/{}", self.child.id());
        let stat = std::fs::read_to_string(format!("{folder}/stat")).ok()?;
        // The name, in parentheses, may hold spaces; utime and stime are the 14th and 15th field.
        let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
        let mut ticks = || fields.next()?.parse::<f64>().ok();
        let cpu_s = (ticks()? + ticks()?) / 100.0;
        let status = std::fs::read_to_string(format!("{folder}/status")).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        let kilobytes: f64 = line.trim().trim_end_matches(" kB").parse().ok()?;
        Some((cpu_s, kilobytes / 1024.0))
    }
}

/// The value below which a share of them lies; sorts them.
fn quantile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let rank = (share * values.len() as f64).ceil() as usize;
    values.get(rank.clamp(1, values.len().max(1)) - 1).copied().unwrap_or(f64::NAN)
}

fn latency(only: Option<&str>, duration_s: f64) {
    println!("Sample to datagram, in ms (ends of frames in 2 ms steps):");
    println!(
        "{:45} {:>9} {:>7} {:>7} {:>7} {:>7}   of it waiting for samples: median, most",
        "", "rate", "frames", "median", "99 %", "most"
    );
    for (scenario, esn0_db) in rows() {
        if only.is_some_and(|name| !scenario.name.contains(name)) {
            continue;
        }
        for rate_hz in [250e3, 2.4e6] {
            let beacon = Arc::new(Beacon::new(&scenario, esn0_db, rate_hz));
            let running = Running::start(&beacon, &scenario);
            let (mut late, mut first, mut strange) = (Vec::new(), Vec::new(), 0);
            while running.began.elapsed().as_secs_f64() < WARM_UP_S + duration_s {
                let Some((bytes, at_s)) = running.datagram() else { continue };
                match beacon.late_s(&bytes, at_s) {
                    Some(late_s) if running.began.elapsed().as_secs_f64() < WARM_UP_S => {
                        first.push(1e3 * late_s);
                    }
                    Some(late_s) => late.push(1e3 * late_s),
                    None => strange += 1,
                }
            }
            let said = running.end();
            let (waited_ms, longest_ms) = waited(&scenario, esn0_db, rate_hz);
            println!(
                "{:45} {:>6.2} MS {:>7} {:>7.1} {:>7.1} {:>7.1}   {waited_ms:.1} {longest_ms:.1}; first 3 s: at most {:.0}",
                scenario.name,
                rate_hz / 1e6,
                late.len(),
                quantile(&mut late, 0.5),
                quantile(&mut late, 0.99),
                quantile(&mut late, 1.0),
                quantile(&mut first, 1.0),
            );
            if strange > 0 || said.contains("lost") || said.contains("missing") {
                println!("  {strange} frames that were not sent; {said}");
            }
        }
    }
}

fn load(duration_s: f64) {
    let (scenario, esn0_db) = rows().swap_remove(0);
    println!(
        "{} at 2.4 MS/s beside two threads that want a core each, {duration_s:.0} s:",
        scenario.name
    );
    let beacon = Arc::new(Beacon::new(&scenario, esn0_db, 2.4e6));
    let stop = Arc::new(AtomicBool::new(false));
    let hogs: Vec<_> = (0..2)
        .map(|_| {
            let stop = stop.clone();
            std::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            })
        })
        .collect();
    let running = Running::start(&beacon, &scenario);
    let (mut frames, mut late, mut due_s) = (0u64, Vec::new(), 10.0f64.min(duration_s));
    while running.began.elapsed().as_secs_f64() < duration_s {
        if let Some((bytes, at_s)) = running.datagram()
            && let Some(late_s) = beacon.late_s(&bytes, at_s)
        {
            frames += 1;
            late.push(1e3 * late_s);
        }
        let elapsed_s = running.began.elapsed().as_secs_f64();
        if elapsed_s >= due_s {
            due_s += (duration_s / 10.0).max(10.0);
            if let Some((cpu_s, megabytes)) = running.cost() {
                let share = 100.0 * cpu_s / elapsed_s;
                println!(
                    "{elapsed_s:6.0} s: {share:4.1} % of a core, {megabytes:.1} MB, {frames} frames"
                );
            }
        }
    }
    let period_s = beacon.bytes.len() as f64 / beacon.rate_hz;
    let sent = beacon.sent.len() as f64 * running.began.elapsed().as_secs_f64() / period_s;
    println!("{}", running.end());
    println!(
        "{frames} of about {sent:.0} frames, {:.1} ms late (median), {:.1} ms (99 %)",
        quantile(&mut late, 0.5),
        quantile(&mut late, 0.99)
    );
    stop.store(true, Ordering::Relaxed);
    for hog in hogs {
        hog.join().unwrap();
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let minutes = |default: f64| {
        let place = words.iter().position(|w| *w == "--minutes");
        place.and_then(|p| words.get(p + 1)).map_or(default, |w| w.parse().unwrap())
    };
    match words.first() {
        Some(&"latency") => {
            let only = words.get(1).copied().filter(|w| !w.starts_with("--"));
            latency(only, 60.0 * minutes(0.5));
        }
        Some(&"load") => load(60.0 * minutes(1.0)),
        _ => {
            latency(None, 60.0 * minutes(0.25));
            load(60.0 * minutes(1.0));
        }
    }
}
