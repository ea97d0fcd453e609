//! Radios through the real SoapySDR library: a driver module of our own plays files in real time,
//! and fails as radios do.
//!
//! The library looks for modules where the environment says, and only when it is first used. So the
//! one test that is no `ignored` one builds the module, and runs the others in a process that has
//! that environment.
#![cfg(all(feature = "soapy", feature = "runtime"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../src/source/test_servers.rs"]
#[allow(dead_code)]
mod test_servers;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use num_complex::Complex32;
use tulpar::source::device::{self, DeviceUri, Gain, OpenError, Radio, RadioSettings};
use tulpar::source::reopen::{ReopenEvent, Reopening};
use tulpar::source::{Anchor, SampleBlock, Source, soapy};

const RATE: f64 = 250_000.0;
const CENTRE_HZ: f64 = 437_500_000.0;

/// Set for the process that has the module.
const MODULE: &str = "TULPAR_TEST_MODULE";

/// Builds the module. `None`, said: there is nothing to build it with.
fn build(folder: &Path) -> Option<PathBuf> {
    let skipped = |what: &str| {
        eprintln!("SKIPPED: {what}: apt install g++ pkg-config libsoapysdr-dev");
        None
    };
    let flags = Command::new("pkg-config").args(["--cflags", "--libs", "SoapySDR"]).output();
    let Some(flags) = flags.ok().filter(|output| output.status.success()) else {
        return skipped("no headers of SoapySDR");
    };
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/soapy_module/tulpar_test_radio.cpp");
    let modules = folder.join("modules");
    std::fs::create_dir(&modules).unwrap();
    let compiled = Command::new("c++")
        .args(["-std=c++17", "-O2", "-Wall", "-Wextra", "-Werror", "-fPIC", "-shared", "-o"])
        .arg(modules.join("libtulpar_test_radio.so"))
        .arg(source)
        .args(String::from_utf8(flags.stdout).unwrap().split_whitespace())
        .output();
    let Ok(compiled) = compiled else { return skipped("no C++ compiler") };
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
    Some(modules)
}

/// Sample `k` says that it is sample `k`, up to 2²⁴.
fn numbered(count: u32) -> Vec<Complex32> {
    (0..count)
        .map(|k| Complex32::new((k & 0xfff) as f32 / 4096.0, (k >> 12) as f32 / 4096.0))
        .collect()
}

fn number(z: Complex32) -> i64 {
    ((z.im * 4096.0) as i64) << 12 | (z.re * 4096.0) as i64
}

fn write(path: &Path, samples: &[Complex32]) {
    let bytes: Vec<u8> =
        samples.iter().flat_map(|z| [z.re.to_le_bytes(), z.im.to_le_bytes()].concat()).collect();
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn radios_through_the_real_library() {
    let folder = tempfile::tempdir().unwrap();
    let Some(modules) = build(folder.path()) else { return };
    write(&folder.path().join("numbered.cf32"), &numbered(3_000_000));
    write(&folder.path().join("carrier.cf32"), &[Complex32::new(0.5, 0.0); 1000]);
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--test-threads=8", "--nocapture"])
        .env("SOAPY_SDR_PLUGIN_PATH", &modules)
        .env(MODULE, folder.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success(), "{said}\n{}", String::from_utf8_lossy(&child.stderr));
    assert!(said.contains(" passed; 0 failed"), "{said}");
    eprint!("{}", String::from_utf8_lossy(&child.stderr));
    the_command_lists_and_shows(folder.path(), &modules);
    the_receivers_to_copy_receive(folder.path(), &modules);
}

/// The flowgraph files for radios, each beside a radio that plays its satellite: all that differs is
/// where the radio is.
fn the_receivers_to_copy_receive(folder: &Path, modules: &Path) {
    let tulpar = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tulpar"));
        command
            .env("SOAPY_SDR_PLUGIN_PATH", modules)
            .env("TULPAR_CONFIG", folder.join("none.toml"))
            .env("TULPAR_CACHE", folder)
            .env_remove("TULPAR_TEST_RADIO")
            .current_dir(folder)
            .stdin(Stdio::null());
        command
    };
    std::fs::write(folder.join("none.toml"), "").unwrap();
    let on_air = |name: &str, satellite: &[&str], rate: &str| -> Vec<String> {
        let made = tulpar()
            .args(["simulate", name, "--rate", rate, "--frames", "4", "--esn0", "14"])
            .args(satellite)
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let frames = std::fs::read_to_string(folder.join(format!("{name}.frames.json"))).unwrap();
        serde_json::from_str(&frames).unwrap()
    };
    let receive = |file: &str, device: &str, more: &[&str]| -> String {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("flowgraphs").join(file);
        let output = tulpar()
            .args(["receive", "--duration", "4", "--json", "--device", device, "--flowgraph"])
            .arg(path)
            .args(more)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{file}: {said}");
        assert!(!said.contains("lost") && !said.contains("missing"), "{file}: {said}");
        String::from_utf8(output.stdout).unwrap()
    };
    let all_there = |file: &str, sent: &[String], received: &str| {
        for frame in sent {
            assert!(received.contains(frame.as_str()), "{file}: no {frame} in {received}");
        }
    };

    let uhf = ["--satellite", "AALTO-1", "--downlink", "9k6 FSK AX.25 downlink"];
    let sent = on_air("aalto", &uhf, "250000");
    let aalto = "driver=tulpar_test,file=aalto.sigmf-data,format=cs16,frequency=437216000";
    let received = receive("rtl-sdr-uhf.toml", &format!("soapy:{aalto},serial=91"), &[]);
    all_there("rtl-sdr-uhf.toml", &sent, &received);
    let kept = std::fs::read_to_string(folder.join("frames.jsonl")).unwrap();
    all_there("rtl-sdr-uhf.toml", &sent, &kept);

    let s_band = ["--satellite", "OTS CubeSat", "--downlink", "S-band payload"];
    let sent = on_air("payload", &s_band, "4000000");
    let payload = "driver=tulpar_test,file=payload.sigmf-data,format=cs16,rate=4000000,\
                   frequency=2245000000,highest=6000000000,highest_gain=76,antenna=RX2,serial=92";
    let received = receive("usrp-s-band.toml", &format!("soapy:{payload}"), &[]);
    all_there("usrp-s-band.toml", &sent, &received);
    assert!(std::fs::metadata(folder.join("frames.kiss")).unwrap().len() > 1000);

    // What the radio at the antenna hands on is what a file holds, in 8 bits.
    let sent = on_air("antenna", &uhf, "250000");
    let samples: Vec<u8> = std::fs::read(folder.join("antenna.sigmf-data"))
        .unwrap()
        .chunks_exact(2)
        .map(|x| (i16::from_le_bytes([x[0], x[1]]) >> 8) as u8 ^ 0x80)
        .collect();
    let count = samples.len() as u64 / 2;
    let sample = move |n: u64| {
        let at = 2 * (n % count) as usize;
        [samples[at], samples[at + 1]]
    };
    let server = test_servers::RtlTcpServer::playing(RATE, 1000, Arc::new(sample));
    // The server has one signal in the middle, wherever it is tuned to.
    let tuned = ["--frequency", "437216000"];
    let received = receive("rtl-tcp-at-the-antenna.toml", &server.uri(), &tuned);
    all_there("rtl-tcp-at-the-antenna.toml", &sent, &received);
}

fn the_command_lists_and_shows(folder: &Path, modules: &Path) {
    let file = folder.join("carrier.cf32");
    let tulpar = |arguments: &[&str], radios: &str| -> Output {
        Command::new(env!("CARGO_BIN_EXE_tulpar"))
            .args(arguments)
            .env("SOAPY_SDR_PLUGIN_PATH", modules)
            .env("TULPAR_TEST_RADIO", radios)
            .env_remove("TULPAR_LOG")
            .stdin(Stdio::null())
            .output()
            .unwrap()
    };
    let text = |output: &Output| {
        assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout.clone()).unwrap()
    };
    let radios = format!("serial=77,file={0};serial=78,file={0}", file.display());
    let listed = text(&tulpar(&["devices"], &radios));
    assert!(listed.contains("  soapy:driver=tulpar_test,serial=77\n      Tulpar test radio 77"));
    assert!(listed.contains("serial=78") && listed.contains("rtl_tcp://HOST"), "{listed}");
    let json: serde_json::Value =
        serde_json::from_str(&text(&tulpar(&["devices", "--json"], &radios))).unwrap();
    let found = json["radios"].as_array().unwrap();
    assert!(found.iter().any(|radio| radio["uri"] == "soapy:driver=tulpar_test,serial=78"));

    let uri = "soapy:driver=tulpar_test,serial=78";
    let shown = text(&tulpar(&["devices", uri], &radios));
    for part in ["0.25 MS/s", "24 to 1766 MHz", "RX, TX/RX", "-40 to 40 dB, or auto", "CF32, "] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let json: serde_json::Value =
        serde_json::from_str(&text(&tulpar(&["devices", "--json", uri], &radios))).unwrap();
    assert_eq!(json["channels"][0]["sample_rates_hz"][0][0], 250_000.0);

    // None there: other radios of the computer that runs this would be listed instead.
    let none = text(&tulpar(&["devices"], ""));
    if none.contains("none found") {
        assert!(none.contains("soapysdr-module-") || none.contains("udev"), "{none}");
    }
    let error = |arguments: &[&str], status: i32| {
        let output = tulpar(arguments, &radios);
        assert_eq!(output.status.code(), Some(status), "{arguments:?}");
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(text.lines().count(), 1, "{text}");
        text
    };
    let text = error(&["devices", "soapy:driver=tulpar_test,serial=5"], 1);
    assert!(text.contains("found instead: soapy:driver=tulpar_test,serial=77"), "{text}");
    let text = error(&["devices", "soapy:driver=nonesuch"], 2);
    assert!(text.contains("no module for the driver \"nonesuch\""), "{text}");
    error(&["devices", "soapy:rtlsdr"], 2);
    error(&["devices", "udp://:7355?format=cs16"], 2);
    error(&["devices", "nonsense"], 2);
}

/// A radio of its own for a test.
struct Set {
    arguments: String,
}

impl Set {
    /// `None`, said: this process has no module.
    fn new(file: &str, more: &str) -> Option<Self> {
        static SERIAL: AtomicU32 = AtomicU32::new(1000);
        let Some(folder) = std::env::var_os(MODULE) else {
            eprintln!("SKIPPED: run by radios_through_the_real_library");
            return None;
        };
        let file = Path::new(&folder).join(file);
        let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
        let file = file.display();
        let arguments =
            format!("driver=tulpar_test,serial={serial},file={file},ring=2,loop=0{more}");
        Some(Self { arguments })
    }

    fn uri(&self) -> DeviceUri {
        DeviceUri::parse(&format!("soapy:{}", self.arguments)).unwrap()
    }

    fn open(&self, settings: &RadioSettings) -> Result<Box<dyn Radio>, OpenError> {
        device::open(&self.uri(), settings)
    }

    /// A setting, through the library's own door.
    fn setting(&self, key: &str) -> String {
        soapysdr::Device::new(&*self.arguments).unwrap().read_setting(key).unwrap()
    }

    /// UTC at which sample 0 of the file was on the air, in seconds since 1970.
    fn switched_on_s(&self) -> f64 {
        let age_s: f64 = self.setting("age").parse().unwrap();
        seconds(Timestamp::now()) - age_s
    }
}

fn seconds(time: Timestamp) -> f64 {
    time.as_microsecond() as f64 * 1e-6
}

/// What was received.
#[derive(Default)]
struct Heard {
    blocks: Vec<(u64, Vec<Complex32>)>,
    anchors: Vec<Anchor>,
}

impl Heard {
    fn read(&mut self, radio: &mut (impl Source + ?Sized), length_s: f64) {
        let start = Instant::now();
        let mut block = SampleBlock::default();
        while start.elapsed().as_secs_f64() < length_s {
            assert!(radio.read(&mut block, 4096).unwrap());
            assert!(!block.samples.is_empty());
            if let Some((first, samples)) = self.blocks.last() {
                assert!(block.first_sample >= first + samples.len() as u64);
            }
            if let Some(anchor) = block.anchor {
                assert_eq!(anchor.sample, block.first_sample);
                self.anchors.push(anchor);
            }
            self.blocks.push((block.first_sample, block.samples.clone()));
        }
    }

    /// Number of the file's sample minus index, at the beginning of each block; every block is
    /// checked to be contiguous.
    fn offsets(&self) -> Vec<i64> {
        let offset = |(first, samples): &(u64, Vec<Complex32>)| {
            let number_of_first = number(samples[0]);
            for (i, z) in samples.iter().enumerate() {
                assert_eq!(number(*z), number_of_first + i as i64);
            }
            number_of_first - *first as i64
        };
        self.blocks.iter().map(offset).collect()
    }

    /// By how many ms the time of each block is late. Of numbered samples.
    fn lateness_ms(&self, switched_on_s: f64) -> Vec<f64> {
        let mut anchors = self.anchors.iter().peekable();
        let mut anchor = None;
        let late = |(first, samples): &(u64, Vec<Complex32>)| {
            while let Some(next) = anchors.next_if(|next| next.sample <= *first) {
                anchor = Some(next);
            }
            let anchor = anchor.expect("the first block has an anchor");
            let since_s = (first - anchor.sample) as f64 / RATE;
            let time_s = seconds(anchor.time.expect("a time")) + since_s;
            (time_s - switched_on_s - number(samples[0]) as f64 / RATE) * 1e3
        };
        self.blocks.iter().map(late).collect()
    }
}

fn max_abs(values: &[f64]) -> f64 {
    values.iter().fold(0.0, |most, x| most.max(x.abs()))
}

#[test]
#[ignore = "run by radios_through_the_real_library"]
fn samples_come_as_they_are_at_their_times() {
    let Some(set) = Set::new("numbered.cf32", "") else { return };
    let found = soapy::list(&set.arguments).unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].driver, "tulpar_test");
    let settings = RadioSettings {
        sample_rate_hz: Some(RATE),
        centre_frequency_hz: Some(CENTRE_HZ),
        ..RadioSettings::default()
    };
    let mut radio = set.open(&settings).unwrap();
    assert_eq!(radio.info().sample_rate_hz, RATE);
    let mut heard = Heard::default();
    let start = Instant::now();
    heard.read(&mut *radio, 3.0);
    let offsets = heard.offsets();
    assert!(offsets.iter().all(|offset| *offset == offsets[0]));
    let samples: usize = heard.blocks.iter().map(|(_, samples)| samples.len()).sum();
    let rate = samples as f64 / start.elapsed().as_secs_f64();
    assert!((rate / RATE - 1.0).abs() < 0.03, "{rate}");
    assert_eq!(heard.anchors[0].centre_frequency_hz, Some(CENTRE_HZ));
    assert_eq!((radio.lost_samples(), radio.overflows()), (0, 0));
    let late = heard.lateness_ms(set.switched_on_s());
    eprintln!("late by {:.3} ms at last", late[late.len() - 1]);
    assert!(max_abs(&late[late.len() / 2..]) < 5.0, "{:?}", late.last());
    // Blocks come soon: about 4 ms each.
    assert!(heard.blocks.len() > 300, "{}", heard.blocks.len());
}

#[test]
#[ignore = "run by radios_through_the_real_library"]
fn a_radio_that_keeps_utc_is_believed() {
    // Its clock, which may be better than ours, tells the time, also beyond a gap.
    let Some(set) = Set::new("numbered.cf32", ",utc=1,overflow_at=0.8") else { return };
    let mut radio = set.open(&RadioSettings::default()).unwrap();
    let mut heard = Heard::default();
    heard.read(&mut *radio, 1.6);
    let late = heard.lateness_ms(set.switched_on_s());
    let (first, last) = (late[50], late[late.len() - 1]);
    assert!(first.abs() < 1.0 && last.abs() < 1.0, "{first} {last}");
    assert!((first - last).abs() < 0.005, "{first} {last}");
    // One at first, one when the radio's time is believed, one after the gap.
    assert!((2..=4).contains(&heard.anchors.len()), "{:?}", heard.anchors);
    assert_eq!(radio.lost_samples(), 25_000);
}

/// What the radio itself lost, and how far the samples' times move when it does.
fn lossy(more: &str, sleep: Option<Duration>) {
    let Some(set) = Set::new("numbered.cf32", more) else { return };
    let mut radio = set.open(&RadioSettings::default()).unwrap();
    let mut heard = Heard::default();
    heard.read(&mut *radio, 1.4);
    if let Some(sleep) = sleep {
        std::thread::sleep(sleep);
    }
    heard.read(&mut *radio, 1.8);
    let dropped: u64 = set.setting("dropped").parse().unwrap();
    assert!(dropped > 0);
    assert_eq!(radio.lost_samples(), dropped);
    assert_eq!(radio.overflows(), 1);
    let offsets = heard.offsets();
    assert!(offsets.iter().all(|offset| *offset == offsets[0]), "{:?}", offsets.last());
    let gap = heard.blocks.windows(2).find(|pair| pair[1].0 > pair[0].0 + pair[0].1.len() as u64);
    let (first, _) = &gap.unwrap()[1];
    assert!(heard.anchors.iter().any(|anchor| anchor.sample == *first));
    let late = heard.lateness_ms(set.switched_on_s());
    let before = heard.blocks.iter().position(|(f, _)| f == first).unwrap() - 1;
    let moved: Vec<f64> = late[before..].iter().map(|ms| ms - late[before]).collect();
    eprintln!("{dropped} dropped, times moved by {:.3} ms", max_abs(&moved));
    assert!(max_abs(&moved) < 1.0, "{}", max_abs(&moved));
}

#[test]
#[ignore = "run by radios_through_the_real_library"]
fn an_overflow_is_a_gap_of_its_size() {
    lossy(",overflow_at=1.2,overflow_length=0.1", None);
}

#[test]
#[ignore = "run by radios_through_the_real_library"]
fn a_slow_reader_loses_what_does_not_fit_the_memory() {
    lossy(",ring=0.4", Some(Duration::from_millis(900)));
}

#[test]
#[ignore = "run by radios_through_the_real_library"]
fn without_timestamps_the_clock_finds_what_is_lost() {
    let Some(set) = Set::new("numbered.cf32", ",time=0,overflow_at=1.6,overflow_length=0.3") else {
        return;
    };
    let mut radio = set.open(&RadioSettings::default()).unwrap();
    let mut heard = Heard::default();
    heard.read(&mut *radio, 3.2);
    let offsets = heard.offsets();
    let off = offsets[offsets.len() - 1] - offsets[0];
    eprintln!("without timestamps: off by {off} samples after a gap of 75000");
    assert!(off.abs() < 750, "{off}");
    assert_eq!(radio.overflows(), 1);
    assert!(radio.lost_samples().abs_diff(75_000) < 750, "{}", radio.lost_samples());
}

/// Reads through a failure with a radio that is opened again.
fn failing(more: &str, settings: RadioSettings, why: &str) {
    let Some(set) = Set::new("numbered.cf32", more) else { return };
    let events = Arc::new(Mutex::new(Vec::new()));
    let seen = events.clone();
    let stop = Arc::new(AtomicBool::new(false));
    let on_event = Box::new(move |event| seen.lock().unwrap().push(event));
    let mut radio = Reopening::device(&set.uri(), settings, stop, on_event).unwrap();
    let mut heard = Heard::default();
    heard.read(&mut radio, 5.0);
    let events = events.lock().unwrap();
    let ReopenEvent::Lost { why: said } = &events[0] else { panic!("{events:?}") };
    assert!(said.contains(why), "{said}");
    let Some(ReopenEvent::Back { after, lost_samples }) = events.last() else {
        panic!("{events:?}")
    };
    let offsets = heard.offsets();
    let off = offsets[offsets.len() - 1] - offsets[0];
    let late = heard.lateness_ms(set.switched_on_s());
    let gap = heard.blocks.windows(2).position(|p| p[1].0 > p[0].0 + 4096).unwrap();
    let moved = late[late.len() - 1] - late[gap];
    eprintln!(
        "{more}: away for {after:?}, {lost_samples} lost, index off by {off} samples, times moved \
         by {moved:.3} ms; {} events",
        events.len()
    );
    assert!(moved.abs() < 1.0, "{moved}");
    assert!(off.abs() < 1250, "{off}");
    assert!(set.setting("opened").parse::<i64>().unwrap() >= 2);
}

#[test]
#[ignore = "run by radios_through_the_real_library"]
fn a_stall_ends_with_the_radio_opened_again() {
    let stall = Some(Duration::from_millis(500));
    let settings = RadioSettings { stall, ..RadioSettings::default() };
    failing(",stall_at=1.5:1.0", settings, "no samples for 0.5");
}

#[test]
#[ignore = "run by radios_through_the_real_library"]
fn an_error_ends_with_the_radio_opened_again() {
    failing(",error_at=1.5", RadioSettings::default(), "StreamError");
}

#[test]
#[ignore = "run by radios_through_the_real_library"]
fn a_radio_that_is_unplugged_comes_back() {
    failing(",unplug_at=1.5,replug_at=1.2", RadioSettings::default(), "StreamError");
}

#[test]
#[ignore = "run by radios_through_the_real_library"]
fn a_radio_that_is_unplugged_in_silence_comes_back() {
    let stall = Some(Duration::from_millis(500));
    let settings = RadioSettings { stall, ..RadioSettings::default() };
    failing(",unplug_at=1.5,replug_at=1.2,silent_unplug=1", settings, "no samples for");
}

#[test]
#[ignore = "run by radios_through_the_real_library"]
fn tuning_shifts_the_spectrum_where_it_is_said() {
    let Some(set) = Set::new("carrier.cf32", ",loop=1") else { return };
    let settings =
        RadioSettings { centre_frequency_hz: Some(CENTRE_HZ), ..RadioSettings::default() };
    let mut radio = set.open(&settings).unwrap();
    let mut heard = Heard::default();
    heard.read(&mut *radio, 1.2);
    radio.tune(CENTRE_HZ - 10_000.0).unwrap();
    heard.read(&mut *radio, 0.5);
    let error = radio.tune(5e9).unwrap_err();
    assert!(error.to_string().contains("1766000000"), "{error}");
    assert_eq!(error.cause.kind(), std::io::ErrorKind::InvalidInput);
    let anchor = heard.anchors.iter().find(|a| a.centre_frequency_hz != Some(CENTRE_HZ)).unwrap();
    assert_eq!(anchor.centre_frequency_hz, Some(CENTRE_HZ - 10_000.0));
    // The carrier stands until then, and is at +10 kHz from then on.
    let first = |(first, samples): &(u64, Vec<Complex32>)| {
        let moved = samples.iter().position(|z| (z - Complex32::new(0.5, 0.0)).norm() > 1e-3)?;
        Some(first + moved as u64)
    };
    let moved = heard.blocks.iter().find_map(first).unwrap();
    let off = moved as i64 - anchor.sample as i64;
    eprintln!("tuned {off} samples after what is said");
    assert!(off.abs() < 250, "{off}");
    let (_, samples) = heard.blocks.last().unwrap();
    for pair in samples.windows(2) {
        let turn_hz = f64::from((pair[1] * pair[0].conj()).arg()) / std::f64::consts::TAU * RATE;
        assert!((turn_hz - 10_000.0).abs() < 5.0, "{turn_hz}");
    }
}

#[test]
#[ignore = "run by radios_through_the_real_library"]
fn integers_are_converted_here() {
    for (more, accuracy) in [
        (",loop=1,formats=CS8", 1e-6),
        (",loop=1,formats=CS8/CF32", 1e-6),
        (",loop=1,formats=CS16,full_scale=2048", 1e-6),
        (",loop=1,formats=CS16/CF32", 1e-6),
    ] {
        let Some(set) = Set::new("carrier.cf32", more) else { return };
        let mut heard = Heard::default();
        heard.read(&mut *set.open(&RadioSettings::default()).unwrap(), 0.1);
        for (_, samples) in &heard.blocks {
            for z in samples {
                assert!((z - Complex32::new(0.5, 0.0)).norm() < accuracy, "{more} {z}");
            }
        }
    }
}

#[test]
#[ignore = "run by radios_through_the_real_library"]
fn settings_reach_the_radio() {
    let Some(set) = Set::new("carrier.cf32", ",loop=1") else { return };
    let settings = RadioSettings {
        gain: Some(Gain::Db(-20.0)),
        antenna: Some("tx/rx".to_owned()),
        bandwidth_hz: Some(200e3),
        bias_tee: Some(true),
        clock_source: Some("external".to_owned()),
        time_source: Some("gpsdo".to_owned()),
        ..RadioSettings::default()
    };
    let mut radio = set.open(&settings).unwrap();
    for (key, value) in [
        ("antenna", "TX/RX"),
        ("agc", "false"),
        ("biastee", "true"),
        ("clock_source", "external"),
        ("time_source", "gpsdo"),
        ("bandwidth", "200000.000000"),
    ] {
        assert_eq!(set.setting(key), value, "{key}");
    }
    let mut heard = Heard::default();
    heard.read(&mut *radio, 0.1);
    assert!((heard.blocks[0].1[0].re - 0.05).abs() < 1e-6);
    drop(radio);
    assert!(set.open(&RadioSettings::default()).is_ok());

    // The oscillator is too fast: corrected by tuning, or by the driver as far as that goes.
    for more in [",oscillator_ppm=10.4", ",oscillator_ppm=10.4,corr=1"] {
        let more = format!("{more},loop=1");
        let Some(set) = Set::new("carrier.cf32", &more) else { return };
        let settings = RadioSettings {
            ppm: Some(10.4),
            centre_frequency_hz: Some(CENTRE_HZ),
            ..RadioSettings::default()
        };
        let mut radio = set.open(&settings).unwrap();
        let mut heard = Heard::default();
        heard.read(&mut *radio, 0.2);
        let centre = heard.anchors[0].centre_frequency_hz.unwrap();
        assert!((centre - CENTRE_HZ).abs() < 1.0, "{centre}");
        let (_, samples) = &heard.blocks[3];
        let turn = (samples[samples.len() - 1] * samples[0].conj()).arg().abs();
        // Less than 1 Hz; 10.4 ppm were 4550 Hz.
        assert!(f64::from(turn) < 6.3 * samples.len() as f64 / RATE, "{turn}");
    }
}

#[test]
#[ignore = "run by radios_through_the_real_library"]
fn what_is_wrong_is_said_with_what_is_right() {
    let none = RadioSettings::default();
    let Some(set) = Set::new("carrier.cf32", ",agc=0") else { return };
    for (settings, part) in [
        (
            RadioSettings { sample_rate_hz: Some(300e3), ..none.clone() },
            "--rate: the radio cannot sample at 300000 Hz; the nearest it can is 250000",
        ),
        (
            RadioSettings { centre_frequency_hz: Some(2.2e9), ..none.clone() },
            "the nearest it can is 1766000000; accepted: 24000000 to 1766000000 Hz",
        ),
        (RadioSettings { antenna: Some("RX2".to_owned()), ..none.clone() }, "\"RX\""),
        (RadioSettings { clock_source: Some("gps".to_owned()), ..none.clone() }, "external"),
        (RadioSettings { gain: Some(Gain::Auto), ..none.clone() }, "--gain -40 to 40 dB"),
        (RadioSettings { channel: Some(3), ..none.clone() }, "accepted: 0 to 0"),
        (RadioSettings { digital_agc: Some(true), ..none.clone() }, "no RTL-SDR"),
        (
            RadioSettings { bandwidth_hz: Some(9e6), ..none.clone() },
            "the nearest it can is 8000000",
        ),
    ] {
        let Err(OpenError::Request(error)) = set.open(&settings) else { panic!("{settings:?}") };
        assert!(error.to_string().contains(part), "{error}");
    }
    let Some(set) = Set::new("carrier.cf32", ",permission=0") else { return };
    let Err(OpenError::Absent { why, .. }) = set.open(&none) else { panic!() };
    assert!(why.contains("udev") && !why.contains("instead"), "{why}");
    let Some(set) = Set::new("no_such_file", "") else { return };
    let Err(OpenError::Absent { why, .. }) = set.open(&none) else { panic!() };
    assert!(why.contains("cannot open"), "{why}");
    let Some(set) = Set::new("carrier.cf32", ",unplug_at=0") else { return };
    let Err(OpenError::Absent { why, .. }) = set.open(&none) else { panic!() };
    assert!(why.contains("plug it in"), "{why}");
}
