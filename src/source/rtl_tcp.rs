//! RTL-SDR receivers over the network: a client of the `rtl_tcp` protocol.
//!
//! The server greets with 12 bytes, `RTL0`, the tuner's type and the number of its gains (`u32`,
//! big-endian), and from then on sends I and Q as unsigned bytes, `cu8`, zero at 127.5. The client
//! sends commands of 5 bytes, a code and a `u32`, big-endian ([`Command`]), that are not answered.
//! The server has one client at a time: a second one is accepted by its system and never greeted.
//! It keeps some seconds of samples for a client that does not read, then drops the oldest in
//! silence.
//!
//! Reference: `rtl_tcp.c` and `librtlsdr.c` of the Osmocom rtl-sdr library, of which the protocol,
//! the tuners' gains and the possible rates are restated here.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::device::{CONNECT, Gain, OpenError, Radio, RadioSettings};
use super::format::{SampleFormat, Scalar};
use super::live::{LiveStream, TICK};
use super::{SampleBlock, Source, SourceError, SourceInfo, SourceKind, tcp};
use crate::error::RequestError;

/// What this source is, for lists.
pub const KIND: SourceKind = SourceKind {
    name: "rtl_tcp",
    what: "an RTL-SDR receiver, here or elsewhere, through the program rtl_tcp",
    asked_for: "rtl_tcp://HOST[:1234]",
};

/// Samples per second if nothing else is asked for: 28.8 MHz / 28.125, little for a network to
/// carry and enough for every downlink of a satellite at UHF.
pub const DEFAULT_SAMPLE_RATE_HZ: f64 = 1_024_000.0;

/// Rates that the receiver has.
const RATES_HZ: [(f64, f64); 2] = [(225_001.0, 300_000.0), (900_001.0, 3_200_000.0)];

/// Bytes that the server hands on at once.
const BURST_BYTES: usize = 262_144;

/// A command: the code and what goes with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// Centre frequency in Hz.
    Frequency(u32),
    /// Samples per second.
    SampleRate(u32),
    /// Whether the tuner's gain is set by [`Command::Gain`], or else by the tuner.
    ManualGain(bool),
    /// The tuner's gain in tenths of a dB.
    Gain(i32),
    /// Correction of the oscillator in parts per million.
    Ppm(i32),
    /// Gain control behind the converter.
    DigitalAgc(bool),
    /// Power on the antenna's cable.
    BiasTee(bool),
}

impl Command {
    /// As it is sent.
    pub fn bytes(self) -> [u8; 5] {
        let (code, value) = match self {
            Command::Frequency(hz) => (0x01, hz),
            Command::SampleRate(hz) => (0x02, hz),
            Command::ManualGain(on) => (0x03, u32::from(on)),
            Command::Gain(tenths) => (0x04, tenths.cast_unsigned()),
            Command::Ppm(ppm) => (0x05, ppm.cast_unsigned()),
            Command::DigitalAgc(on) => (0x08, u32::from(on)),
            Command::BiasTee(on) => (0x0e, u32::from(on)),
        };
        let [a, b, c, d] = value.to_be_bytes();
        [code, a, b, c, d]
    }
}

/// A tuner that RTL-SDR receivers have.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tuner {
    /// Its number in the greeting.
    pub number: u32,
    /// Its name.
    pub name: &'static str,
    /// Frequencies that it is made for.
    pub range_hz: (f64, f64),
    /// Gains in tenths of a dB, rising. Empty: not known.
    pub gains: &'static [i32],
}

const R82XX_GAINS: &[i32] = &[
    0, 9, 14, 27, 37, 77, 87, 125, 144, 157, 166, 197, 207, 229, 254, 280, 297, 328, 338, 364, 372,
    386, 402, 421, 434, 439, 445, 480, 496,
];

/// The tuners, by their numbers.
pub const TUNERS: &[Tuner] = &[
    Tuner {
        number: 1,
        name: "E4000",
        range_hz: (52e6, 2200e6),
        gains: &[-10, 15, 40, 65, 90, 115, 140, 165, 190, 215, 240, 290, 340, 420],
    },
    Tuner {
        number: 2,
        name: "FC0012",
        range_hz: (22e6, 948.6e6),
        gains: &[-99, -40, 71, 179, 192],
    },
    Tuner {
        number: 3,
        name: "FC0013",
        range_hz: (22e6, 1100e6),
        gains: &[
            -99, -73, -65, -63, -60, -58, -54, 58, 61, 63, 65, 67, 68, 70, 71, 179, 181, 182, 184,
            186, 188, 191, 197,
        ],
    },
    Tuner { number: 4, name: "FC2580", range_hz: (146e6, 924e6), gains: &[] },
    Tuner { number: 5, name: "R820T", range_hz: (24e6, 1766e6), gains: R82XX_GAINS },
    Tuner { number: 6, name: "R828D", range_hz: (24e6, 1766e6), gains: R82XX_GAINS },
];

/// What the server says when a client connects.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Greeting {
    /// The tuner, if its number is known.
    pub tuner: Option<&'static Tuner>,
    /// How many gains it has.
    pub gain_count: u32,
}

impl Greeting {
    /// Reads a greeting. `None`: it is none.
    pub fn parse(bytes: &[u8; 12]) -> Option<Self> {
        let [b'R', b'T', b'L', b'0', t0, t1, t2, t3, g0, g1, g2, g3] = *bytes else { return None };
        let number = u32::from_be_bytes([t0, t1, t2, t3]);
        Some(Self {
            tuner: TUNERS.iter().find(|tuner| tuner.number == number),
            gain_count: u32::from_be_bytes([g0, g1, g2, g3]),
        })
    }

    /// The tuner's gain nearest to `gain_db`, in tenths of a dB; as asked for if its gains are not
    /// known.
    pub fn nearest_gain(&self, gain_db: f64) -> i32 {
        // Saturates; NaN becomes 0.
        let asked = (gain_db * 10.0).round() as i32;
        let gains = self.tuner.map_or(&[][..], |tuner| tuner.gains);
        gains.iter().copied().min_by_key(|gain| gain.abs_diff(asked)).unwrap_or(asked)
    }
}

/// What a receiver is set to, in the order of the commands.
///
/// # Errors
/// The receiver cannot do something of it.
fn commands(settings: &RadioSettings) -> Result<(u32, Vec<Command>), RequestError> {
    settings.check()?;
    settings.refuse(
        &["--bandwidth", "--antenna", "--channel", "--clock-source", "--time-source"],
        "rtl_tcp",
        "leave it away",
    )?;
    let rate = settings.sample_rate_hz.unwrap_or(DEFAULT_SAMPLE_RATE_HZ).round();
    if !RATES_HZ.iter().any(|&(least, most)| (least..=most).contains(&rate)) {
        let edges = RATES_HZ.iter().flat_map(|&(least, most)| [least, most]);
        let nearest =
            edges.min_by(|a, b| (a - rate).abs().total_cmp(&(b - rate).abs())).unwrap_or(rate);
        let wrong = format!("an RTL-SDR cannot sample at {rate}");
        let right = format!(
            "the nearest it can is {nearest}; accepted: 225001 to 300000, 900001 to 3200000"
        );
        return Err(RequestError::new("--rate", wrong, right));
    }
    let rate = rate as u32;
    let mut commands = vec![Command::SampleRate(rate)];
    if let Some(ppm) = settings.ppm {
        commands.push(Command::Ppm(ppm.round() as i32));
    }
    if let Some(frequency_hz) = settings.centre_frequency_hz {
        commands.push(Command::Frequency(frequency(frequency_hz)?));
    }
    commands.push(Command::DigitalAgc(settings.digital_agc.unwrap_or(false)));
    if let Some(on) = settings.bias_tee {
        commands.push(Command::BiasTee(on));
    }
    Ok((rate, commands))
}

/// A centre frequency as the protocol has it.
fn frequency(frequency_hz: f64) -> Result<u32, RequestError> {
    let rounded = frequency_hz.round();
    if (0.0..=f64::from(u32::MAX)).contains(&rounded) {
        return Ok(rounded as u32);
    }
    let wrong = format!("rtl_tcp cannot be tuned to {frequency_hz} Hz");
    Err(RequestError::new("--frequency", wrong, "accepted: Hz, from 0 to 4294967295"))
}

/// Connects to a server and sets up its receiver. What was sampled before is thrown away.
///
/// # Errors
/// Nobody answers, or another client is served, or what answers is no `rtl_tcp`; or the settings
/// ask for what the receiver does not have.
pub fn open(
    name: &str,
    host: &str,
    port: u16,
    settings: &RadioSettings,
) -> Result<Box<dyn Radio>, OpenError> {
    let (rate, mut commands) = commands(settings)?;
    let mut socket = tcp::connect(name, host, port)?;
    let cannot = |error: io::Error| OpenError::absent(name, error.to_string());
    socket.set_nodelay(true).map_err(cannot)?;
    socket.set_read_timeout(Some(CONNECT)).map_err(cannot)?;
    socket.set_write_timeout(Some(CONNECT)).map_err(cannot)?;
    let mut greeting = [0; 12];
    socket.read_exact(&mut greeting).map_err(|error| {
        let silent = "connected, but not greeted: another program may be using the receiver";
        match error.kind() {
            io::ErrorKind::WouldBlock
            | io::ErrorKind::TimedOut
            | io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset => OpenError::absent(name, silent),
            _ => cannot(error),
        }
    })?;
    let Some(greeting) = Greeting::parse(&greeting) else {
        let right = "name the host and port of rtl_tcp";
        return Err(RequestError::new(name, "what answers there is no rtl_tcp", right).into());
    };
    match settings.gain.unwrap_or(Gain::Auto) {
        Gain::Auto => commands.push(Command::ManualGain(false)),
        Gain::Db(db) => {
            commands.push(Command::ManualGain(true));
            commands.push(Command::Gain(greeting.nearest_gain(db)));
        }
    }
    for command in &commands {
        socket.write_all(&command.bytes()).map_err(cannot)?;
    }
    socket.set_read_timeout(Some(TICK)).map_err(cannot)?;
    let mut info = SourceInfo {
        name: name.to_owned(),
        sample_rate_hz: f64::from(rate),
        complex: true,
        length_samples: None,
        warnings: Vec::new(),
    };
    match greeting.tuner {
        None => info.warnings.push("the tuner is of an unknown type".to_owned()),
        Some(tuner) => {
            let (low, high) = tuner.range_hz;
            if let Some(hz) = settings.centre_frequency_hz.filter(|f| !(low..=high).contains(f)) {
                info.warnings.push(format!(
                    "the tuner {} is made for {:.0} to {:.0} MHz: {:.3} MHz may not be received",
                    tuner.name,
                    low / 1e6,
                    high / 1e6,
                    hz / 1e6
                ));
            }
        }
    }
    let format = SampleFormat { scalar: Scalar::U8, big_endian: false, complex: true };
    let burst = (BURST_BYTES / format.bytes()) as f64;
    let centre = settings.centre_frequency_hz;
    let mut stream = LiveStream::new(info, socket, format, burst, centre, settings);
    // The first buffer was begun, and the second may have been, before the receiver was set up.
    stream.skip_bytes = 2 * BURST_BYTES;
    Ok(Box::new(RtlTcp { stream }))
}

/// A receiver behind `rtl_tcp`.
struct RtlTcp {
    stream: LiveStream<TcpStream>,
}

impl Source for RtlTcp {
    fn info(&self) -> &SourceInfo {
        self.stream.info()
    }

    fn read(&mut self, block: &mut SampleBlock, max_samples: usize) -> Result<bool, SourceError> {
        self.stream.read(block, max_samples)
    }
}

impl Radio for RtlTcp {
    fn tune(&mut self, frequency_hz: f64) -> Result<(), SourceError> {
        let hz = frequency(frequency_hz).map_err(|error| {
            self.stream.error(io::Error::new(io::ErrorKind::InvalidInput, error))
        })?;
        let sent = self.stream.receiver.write_all(&Command::Frequency(hz).bytes());
        sent.map_err(|error| self.stream.error(error))?;
        self.stream.tuned(f64::from(hz));
        Ok(())
    }

    fn lost_samples(&self) -> u64 {
        self.stream.lost_samples()
    }

    fn overflows(&self) -> u64 {
        self.stream.overflows()
    }

    fn stop_with(&mut self, stop: Arc<AtomicBool>) {
        self.stream.stop_with(stop);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
pub(super) mod tests {
    use std::sync::atomic::Ordering;
    use std::time::{Duration, Instant};

    use super::super::device::{self, DeviceUri};
    use super::super::test_servers::{COUNTER_PERIOD, COUNTER_STEP, RtlTcpServer};
    use super::*;
    use crate::source::Anchor;

    /// The lowest rate of the upper range: little work for a slow machine.
    pub const RATE: f64 = 1_000_000.0;

    /// Bursts of 4 ms.
    pub const BURST: u64 = 4000;

    pub fn settings() -> RadioSettings {
        RadioSettings {
            sample_rate_hz: Some(RATE),
            centre_frequency_hz: Some(437.5e6),
            stall: Some(Duration::from_millis(500)),
            ..RadioSettings::default()
        }
    }

    fn open(server: &RtlTcpServer, settings: &RadioSettings) -> Result<Box<dyn Radio>, OpenError> {
        device::open(&DeviceUri::parse(&server.uri()).unwrap(), settings)
    }

    /// Reads a radio and checks what it gives against what the server sent.
    pub struct Reader {
        pub block: SampleBlock,
        pub anchor: Option<Anchor>,
        pub next: u64,
        /// Samples missing by the indices.
        pub jumped: u64,
        /// Of the last block: its time minus the true one.
        pub error_s: f64,
    }

    impl Reader {
        pub fn new() -> Self {
            let block = SampleBlock::default();
            Self { block, anchor: None, next: 0, jumped: 0, error_s: f64::NAN }
        }

        /// Reads and checks one block.
        pub fn read(
            &mut self,
            radio: &mut dyn Radio,
            server: &RtlTcpServer,
        ) -> Result<bool, SourceError> {
            if !radio.read(&mut self.block, 50_000)? {
                assert!(self.block.samples.is_empty());
                return Ok(false);
            }
            let block = &self.block;
            assert!(!block.samples.is_empty() && block.samples.len() <= 50_000);
            assert!(block.first_sample >= self.next);
            self.jumped += block.first_sample - self.next;
            if block.anchor.is_some() {
                self.anchor = block.anchor;
                assert_eq!(self.anchor.unwrap().sample, block.first_sample);
            }
            self.next = block.first_sample + block.samples.len() as u64;
            let anchor = self.anchor.expect("the first block has an anchor");
            let ahead = (block.first_sample - anchor.sample) as f64 / RATE;
            let start = jiff::Timestamp::try_from(server.start).unwrap();
            let since = anchor.time.unwrap().duration_since(start).as_secs_f64() + ahead;
            let byte = |x: f32| (x * 127.5 + 127.5).round() as u64;
            let z = block.samples[0];
            let count = byte(z.re) + 256 * byte(z.im);
            let period = COUNTER_PERIOD as f64 / RATE;
            let error = since - (count * COUNTER_STEP) as f64 / RATE;
            self.error_s = error - (error / period).round() * period;
            Ok(true)
        }

        /// Reads for some time.
        pub fn read_for(&mut self, seconds: f64, radio: &mut dyn Radio, server: &RtlTcpServer) {
            let began = Instant::now();
            while began.elapsed().as_secs_f64() < seconds {
                assert!(self.read(radio, server).unwrap());
            }
        }

        /// The time is right to what a slow machine and bursts cost; never too early.
        pub fn check_time(&self) {
            assert!((-2e-3..60e-3).contains(&self.error_s), "{}", self.error_s);
        }
    }

    #[test]
    fn the_receiver_is_set_up_as_asked() {
        let server = RtlTcpServer::start(RATE, BURST);
        let settings = RadioSettings {
            gain: Some(Gain::Db(28.5)),
            ppm: Some(-2.4),
            bias_tee: Some(true),
            digital_agc: Some(true),
            ..settings()
        };
        let radio = open(&server, &settings).unwrap();
        assert_eq!(radio.info().sample_rate_hz, RATE);
        assert!(radio.info().complex && radio.info().warnings.is_empty());
        let expected = [
            (0x02, 1_000_000),
            (0x05, (-2i32).cast_unsigned()),
            (0x01, 437_500_000),
            (0x08, 1),
            (0x0e, 1),
            (0x03, 1),
            (0x04, 280),
        ];
        let began = Instant::now();
        while server.commands.lock().unwrap().len() < expected.len() {
            assert!(began.elapsed() < Duration::from_secs(5));
            std::thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(*server.commands.lock().unwrap(), expected);
    }

    #[test]
    fn commands_are_sent_as_the_protocol_has_them() {
        assert_eq!(Command::Frequency(437_500_000).bytes(), [1, 0x1A, 0x13, 0xB8, 0x60]);
        assert_eq!(Command::Gain(-99).bytes(), [4, 0xFF, 0xFF, 0xFF, 0x9D]);
        assert_eq!(Command::BiasTee(false).bytes(), [0x0E, 0, 0, 0, 0]);
        assert_eq!(Command::DigitalAgc(true).bytes(), [8, 0, 0, 0, 1]);
    }

    #[test]
    fn greetings_and_gains() {
        let greeting = Greeting::parse(b"RTL0\0\0\0\x01\0\0\0\x0e").unwrap();
        assert_eq!((greeting.tuner.unwrap().name, greeting.gain_count), ("E4000", 14));
        assert_eq!(greeting.nearest_gain(-40.0), -10);
        assert_eq!(greeting.nearest_gain(1e300), 420);
        assert_eq!(greeting.nearest_gain(f64::NAN), -10);
        let unknown = Greeting::parse(b"RTL0\0\0\xFF\x05\0\0\0\0").unwrap();
        assert_eq!((unknown.tuner, unknown.nearest_gain(12.34)), (None, 123));
        assert_eq!(Greeting::parse(b"RTL1\0\0\0\x05\0\0\0\x1d"), None);
        assert!(TUNERS.iter().all(|tuner| tuner.gains.is_sorted()));
    }

    #[test]
    fn what_the_receiver_cannot_do_is_refused() {
        for (settings, subject, right) in [
            (RadioSettings { sample_rate_hz: Some(500e3), ..settings() }, "--rate", "300000;"),
            (RadioSettings { sample_rate_hz: Some(8e3), ..settings() }, "--rate", "225001;"),
            (RadioSettings { sample_rate_hz: Some(20e6), ..settings() }, "--rate", "3200000;"),
            (
                RadioSettings { centre_frequency_hz: Some(8.4e9), ..settings() },
                "--frequency",
                "4294967295",
            ),
            (RadioSettings { antenna: Some("RX2".into()), ..settings() }, "--antenna", "leave"),
            (RadioSettings { bandwidth_hz: Some(1e6), ..settings() }, "--bandwidth", "leave"),
        ] {
            let uri = DeviceUri::parse("rtl_tcp://127.0.0.1:9").unwrap();
            let Err(OpenError::Request(error)) = device::open(&uri, &settings) else { panic!() };
            assert_eq!(error.subject, subject);
            assert!(error.right.contains(right), "{error}");
        }
    }

    #[test]
    fn samples_are_contiguous_and_dated() {
        let server = RtlTcpServer::start(RATE, BURST);
        let mut radio = open(&server, &settings()).unwrap();
        let mut reader = Reader::new();
        let began = Instant::now();
        let mut counts = Vec::new();
        while began.elapsed() < Duration::from_millis(1500) {
            assert!(reader.read(radio.as_mut(), &server).unwrap());
            counts.extend(reader.block.samples.iter().map(|z| {
                let byte = |x: f32| (x * 127.5 + 127.5).round() as u32;
                byte(z.re) + 256 * byte(z.im)
            }));
        }
        reader.check_time();
        assert_eq!((reader.jumped, radio.lost_samples(), radio.overflows()), (0, 0, 0));
        assert_eq!(reader.anchor.unwrap().centre_frequency_hz, Some(437.5e6));
        assert!(counts.len() > 500_000, "{}", counts.len());
        for pair in counts.chunk_by(|a, b| a == b).collect::<Vec<_>>().windows(2) {
            assert_eq!(pair[1][0], (pair[0][0] + 1) % 65_536);
        }
    }

    #[test]
    fn what_the_server_drops_is_counted_and_times_are_right_after_it() {
        let server = RtlTcpServer::start(RATE, BURST);
        let mut radio = open(&server, &settings()).unwrap();
        let mut reader = Reader::new();
        reader.read_for(1.2, radio.as_mut(), &server);
        reader.check_time();
        server.faults.lose.store(true, Ordering::Relaxed);
        std::thread::sleep(Duration::from_millis(300));
        server.faults.lose.store(false, Ordering::Relaxed);
        reader.read_for(1.2, radio.as_mut(), &server);
        reader.check_time();
        let lost = radio.lost_samples();
        assert_eq!(lost, reader.jumped);
        assert!((230_000..600_000).contains(&lost), "{lost}");
        assert!(radio.overflows() >= 1);
    }

    #[test]
    fn a_stall_after_which_everything_comes_loses_nothing() {
        let server = RtlTcpServer::start(RATE, BURST);
        let mut radio = open(&server, &RadioSettings { stall: None, ..settings() }).unwrap();
        let mut reader = Reader::new();
        reader.read_for(1.2, radio.as_mut(), &server);
        server.faults.stall.store(true, Ordering::Relaxed);
        std::thread::sleep(Duration::from_millis(600));
        server.faults.stall.store(false, Ordering::Relaxed);
        reader.read_for(1.0, radio.as_mut(), &server);
        reader.check_time();
        assert_eq!(reader.jumped, 0);
    }

    #[test]
    fn a_dead_stall_and_a_closed_connection_are_errors() {
        let server = RtlTcpServer::start(RATE, BURST);
        for (fault, kind) in [
            (&server.faults.stall, io::ErrorKind::TimedOut),
            (&server.faults.hang_up, io::ErrorKind::UnexpectedEof),
        ] {
            let mut radio = open(&server, &settings()).unwrap();
            let mut reader = Reader::new();
            reader.read_for(0.3, radio.as_mut(), &server);
            fault.store(true, Ordering::Relaxed);
            let began = Instant::now();
            let error = loop {
                match reader.read(radio.as_mut(), &server) {
                    Ok(more) => assert!(more),
                    Err(error) => break error,
                }
            };
            assert!(began.elapsed() < Duration::from_secs(3));
            assert_eq!(error.cause.kind(), kind, "{error}");
            assert!(reader.block.samples.is_empty());
            fault.store(false, Ordering::Relaxed);
        }
    }

    #[test]
    fn what_is_no_server_is_told_from_one_that_is_not_there() {
        let server = RtlTcpServer::start(RATE, BURST);
        server.faults.garbage.store(true, Ordering::Relaxed);
        let error = open(&server, &settings()).err().unwrap();
        let OpenError::Request(error) = error else { panic!("{error}") };
        assert_eq!(error.wrong, "what answers there is no rtl_tcp");
        server.faults.garbage.store(false, Ordering::Relaxed);
        server.faults.absent.store(true, Ordering::Relaxed);
        std::thread::sleep(Duration::from_millis(50));
        let error = open(&server, &settings()).err().unwrap();
        assert!(matches!(error, OpenError::Absent { .. }), "{error}");
        assert!(error.to_string().contains("nothing listens"), "{error}");
        // Accepted and closed at once, as by a proxy.
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let uri = format!("rtl_tcp://{}", listener.local_addr().unwrap());
        let closes = std::thread::spawn(move || drop(listener.accept()));
        let error = device::open(&DeviceUri::parse(&uri).unwrap(), &settings()).err().unwrap();
        assert!(error.to_string().contains("another program"), "{error}");
        closes.join().unwrap();
    }

    #[test]
    fn tuning_takes_effect_where_the_samples_are_taken() {
        let server = RtlTcpServer::start(RATE, BURST);
        let mut radio = open(&server, &settings()).unwrap();
        let mut reader = Reader::new();
        reader.read_for(0.6, radio.as_mut(), &server);
        let tuned = jiff::Timestamp::now();
        radio.tune(145.9e6).unwrap();
        for wrong in [f64::NAN, -1.0, 1e10] {
            let error = radio.tune(wrong).unwrap_err();
            assert_eq!(error.cause.kind(), io::ErrorKind::InvalidInput);
        }
        let began = Instant::now();
        while reader.anchor.unwrap().centre_frequency_hz != Some(145.9e6) {
            assert!(reader.read(radio.as_mut(), &server).unwrap());
            assert!(began.elapsed() < Duration::from_secs(3));
        }
        let late = reader.anchor.unwrap().time.unwrap().duration_since(tuned).as_secs_f64();
        assert!((-0.01..0.2).contains(&late), "{late}");
        assert!(server.commands.lock().unwrap().contains(&(1, 145_900_000)));
    }

    #[test]
    fn reading_can_be_stopped() {
        let server = RtlTcpServer::start(RATE, BURST);
        let mut radio = open(&server, &RadioSettings { stall: None, ..settings() }).unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        radio.stop_with(stop.clone());
        let mut reader = Reader::new();
        reader.read_for(0.2, radio.as_mut(), &server);
        server.faults.stall.store(true, Ordering::Relaxed);
        let stops = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(200));
            stop.store(true, Ordering::Relaxed);
        });
        let began = Instant::now();
        while reader.read(radio.as_mut(), &server).unwrap() {}
        assert!(began.elapsed() < Duration::from_secs(2));
        stops.join().unwrap();
    }
}
