//! Satellites of our own for the tests of stations.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::path::Path;

use jiff::Timestamp;
use tulpar::Complex32;
use tulpar::catalogue::Mode;
use tulpar::framing::{self, Options};
use tulpar::modulation::{self, Parameters};
use tulpar::simulation::{Channel, Simulator, Transmission, frames};

/// Where the antenna is.
pub const PLACE: &str = "40.41,49.87,28";
/// Frequency of the satellite S1.
pub const CARRIER_HZ: f64 = 437.01e6;

/// Modulation, symbol rate and framing of the satellites, in turn.
const MODES: [(&str, f64, &str); 4] = [
    ("FSK", 9600.0, "AX.25 G3RUH"),
    ("FSK", 4800.0, "AX100 ASM+Golay"),
    ("BPSK", 1200.0, "AX.25 G3RUH"),
    ("FSK", 2400.0, "AX.25 G3RUH"),
];

/// A folder of satellites S1, S2 …, with the NORAD numbers 90001, 90002 ….
pub fn satellites_folder(folder: &Path, count: usize) {
    fs::create_dir_all(folder).unwrap();
    for k in 1..=count {
        let (modulation, symbol_rate_bd, framing) = MODES[(k - 1) % MODES.len()];
        let frequency_hz = CARRIER_HZ + (k - 1) as f64 * 40e3;
        let text = format!(
            "name = \"S{k}\"\nnorad_id = {}\n[[downlink]]\nlabel = \"beacon\"\n\
             frequency_hz = {frequency_hz:.1}\nmodulation = \"{modulation}\"\n\
             symbol_rate_bd = {symbol_rate_bd:.1}\nframing = \"{framing}\"\n",
            90_000 + k
        );
        fs::write(folder.join(format!("s{k}.toml")), text).unwrap();
    }
}

/// A line of a TLE with its checksum.
fn line(text: &str) -> String {
    assert_eq!(text.len(), 68, "{text}");
    let digit = |c: char| c.to_digit(10).unwrap_or(u32::from(c == '-'));
    format!("{text}{}\n", text.chars().map(digit).sum::<u32>() % 10)
}

fn set(k: usize, epoch: &str, angles: [f64; 4], revolutions_a_day: f64) -> String {
    let [inclination, node, perigee, anomaly] = angles;
    let number = 90_000 + k;
    let first = format!("1 {number:05}U 26001A   {epoch}  .00000000  00000-0  00000-0 0  999");
    let second = format!(
        "2 {number:05} {inclination:8.4} {node:8.4} 0010000 {perigee:8.4} {anomaly:8.4} \
         {revolutions_a_day:11.8}    0"
    );
    format!("S{k}\n{}{}", line(&first), line(&second))
}

/// Elements of satellite S`k` in a low orbit, for 22 November 2026.
pub fn tle(k: usize, inclination_deg: f64, node_deg: f64, anomaly_deg: f64) -> String {
    set(k, "26326.50000000", [inclination_deg, node_deg, 90.0, anomaly_deg], 15.22)
}

/// Elements of satellite S`k` that stands above longitude `-θ` of the sidereal time `θ` of `now`.
pub fn stationary(k: usize, now: Timestamp) -> String {
    let zoned = now.to_zoned(jiff::tz::TimeZone::UTC);
    let midnight = zoned.start_of_day().unwrap().timestamp();
    let day =
        f64::from(zoned.day_of_year()) + now.duration_since(midnight).as_secs_f64() / 86_400.0;
    let epoch = format!("{:02}{day:012.8}", zoned.year() % 100);
    set(k, &epoch, [0.01, 0.0, 0.0, 0.0], 1.002_737_9)
}

/// Some seconds of the beacon of S1, strong, so far above the centre.
pub fn beacon(sample_rate_hz: f64, offset_hz: f64) -> Vec<Complex32> {
    let (name, symbol_rate_bd, framing_name) = MODES[0];
    let mode = Mode {
        modulation: modulation::find(name).unwrap(),
        parameters: Parameters::new(symbol_rate_bd),
        framing_descriptor: framing::find(framing_name).unwrap(),
        framing: framing::build(framing_name, &Options::default()).unwrap(),
    };
    let payloads = frames::for_framing(framing_name, mode.framing.as_ref(), 8, 3);
    let mut transmission = Transmission::new(mode, payloads).unwrap();
    transmission.gap_s = 0.15;
    let channel = Channel {
        esn0_db: 15.0,
        frequency_offset_hz: offset_hz,
        level_dbfs: -12.0,
        seed: 3,
        ..Channel::default()
    };
    let centre_hz = CARRIER_HZ - offset_hz;
    let mut simulator =
        Simulator::new(transmission, channel, sample_rate_hz, None, Some(centre_hz)).unwrap();
    let mut samples = Vec::new();
    while simulator.read_samples(&mut samples, 1 << 16).unwrap() > 0 {}
    samples
}
