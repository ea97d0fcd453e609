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
    if !RATES_HZ.iter().any(|(least, most)| (least..=most).contains(&&rate)) {
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
