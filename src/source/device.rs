//! Devices that give samples live: their names, their settings, and the trait they share.
//!
//! A device is asked for by a URI ([`DeviceUri`]) and set up by [`RadioSettings`]; [`open`] gives a
//! [`Radio`], which is a [`Source`] that never ends by itself. What it cannot do is a wrong request
//! and said at once; a device that is not there now may be there later, and
//! [`super::reopen::Reopening`] waits for it.

use std::fmt;
use std::net::{SocketAddr, ToSocketAddrs};
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use super::format::SampleFormat;
use super::{Source, SourceError, SourceKind, rtl_tcp, tcp, udp};
use crate::error::RequestError;

/// Every kind of device, in the order in which they are listed.
pub const DEVICES: &[SourceKind] = &[rtl_tcp::KIND, udp::KIND, tcp::KIND, SOAPY];

/// Devices of the SoapySDR library, for lists.
const SOAPY: SourceKind = SourceKind {
    name: "soapy",
    what: "any radio with a SoapySDR module (built with the feature soapy)",
    asked_for: "soapy:driver=rtlsdr[,KEY=VALUE…]",
};

/// The port at which `rtl_tcp` listens.
pub const RTL_TCP_PORT: u16 = 1234;

/// After so long without a sample a device is taken for dead.
pub const STALL: Duration = Duration::from_secs(3);

/// How long a connection may take to come about, and a server to say who it is.
pub(crate) const CONNECT: Duration = Duration::from_secs(3);

/// How strongly the radio amplifies.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Gain {
    /// As the radio thinks fit.
    Auto,
    /// So many dB, or the nearest the radio has.
    Db(f64),
}

impl FromStr for Gain {
    type Err = RequestError;

    fn from_str(text: &str) -> Result<Self, RequestError> {
        let text = text.trim();
        if text.eq_ignore_ascii_case("auto") {
            return Ok(Gain::Auto);
        }
        match text.parse::<f64>().ok().filter(|db| (-200.0..=200.0).contains(db)) {
            Some(db) => Ok(Gain::Db(db)),
            None => {
                let wrong = format!("\"{text}\" is no gain");
                Err(RequestError::new("--gain", wrong, "accepted: auto, or a number of dB"))
            }
        }
    }
}

impl fmt::Display for Gain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Gain::Auto => f.write_str("auto"),
            Gain::Db(db) => write!(f, "{db} dB"),
        }
    }
}

/// How a radio is to be set up; `None` leaves it as the device has it. What a device does not have
/// is a wrong request.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RadioSettings {
    /// Samples per second.
    pub sample_rate_hz: Option<f64>,
    /// Frequency at 0 Hz of the baseband.
    pub centre_frequency_hz: Option<f64>,
    /// Gain; `None`: [`Gain::Auto`] where the radio has it.
    pub gain: Option<Gain>,
    /// By how much the radio's oscillator is too fast, in parts per million. `rtl_tcp` has whole
    /// ones.
    pub ppm: Option<f64>,
    /// Width of the filter before the converter.
    pub bandwidth_hz: Option<f64>,
    /// Which of its inputs.
    pub antenna: Option<String>,
    /// Power on the antenna's cable, for an amplifier at the antenna.
    pub bias_tee: Option<bool>,
    /// Gain control behind the converter (RTL2832 only).
    pub digital_agc: Option<bool>,
    /// Which of several receivers of one device.
    pub channel: Option<usize>,
    /// Where the radio's clock comes from, as the device names it.
    pub clock_source: Option<String>,
    /// Where the radio's time comes from, as the device names it.
    pub time_source: Option<String>,
    /// After how long without a sample reading fails; `None`: [`STALL`].
    pub stall: Option<Duration>,
}

impl RadioSettings {
    /// Whether the numbers among them make sense.
    ///
    /// # Errors
    /// One does not.
    pub fn check(&self) -> Result<(), RequestError> {
        let numbers = [
            ("--rate", self.sample_rate_hz, 1.0, 1e10, "samples per second, from 1"),
            ("--frequency", self.centre_frequency_hz, 0.0, 3e11, "Hz, from 0 to 3e11"),
            ("--ppm", self.ppm, -1e4, 1e4, "parts per million, from -10000 to 10000"),
            ("--bandwidth", self.bandwidth_hz, 0.0, 1e10, "Hz, from 0"),
        ];
        for (option, number, least, most, right) in numbers {
            if let Some(number) = number.filter(|x| !(least..=most).contains(x)) {
                let wrong = format!("{number} is out of range");
                return Err(RequestError::new(option, wrong, format!("accepted: {right}")));
            }
        }
        if let Some(Gain::Db(db)) = self.gain
            && !db.is_finite()
        {
            let wrong = format!("{db} is no gain");
            return Err(RequestError::new("--gain", wrong, "accepted: auto, or a number of dB"));
        }
        Ok(())
    }

    /// Refuses what is set and that the device cannot set; `name` says which device, `instead`
    /// what to do.
    pub(crate) fn refuse(
        &self,
        options: &[&str],
        name: &str,
        instead: &str,
    ) -> Result<(), RequestError> {
        let set = [
            ("--gain", self.gain.is_some()),
            ("--ppm", self.ppm.is_some()),
            ("--bandwidth", self.bandwidth_hz.is_some()),
            ("--antenna", self.antenna.is_some()),
            ("--bias-tee", self.bias_tee.is_some()),
            ("--digital-agc", self.digital_agc.is_some()),
            ("--channel", self.channel.is_some()),
            ("--clock-source", self.clock_source.is_some()),
            ("--time-source", self.time_source.is_some()),
        ];
        match set.iter().find(|(option, set)| *set && options.contains(option)) {
            Some((option, _)) => {
                Err(RequestError::new(*option, format!("{name} does not offer this"), instead))
            }
            None => Ok(()),
        }
    }
}

/// A stream of samples over the network that says nothing about itself.
#[derive(Debug, Clone, PartialEq)]
pub struct StreamUri {
    /// Name or address of the host; empty: all IPv4 addresses of this computer (UDP only).
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the samples are coded.
    pub format: SampleFormat,
    /// The format as the user wrote it.
    pub format_name: String,
    /// Samples per second, unless the settings say it.
    pub sample_rate_hz: Option<f64>,
    /// Frequency at 0 Hz of the baseband, unless the settings say it.
    pub centre_frequency_hz: Option<f64>,
}

/// Which device, and how to reach it.
#[derive(Debug, Clone, PartialEq)]
pub enum DeviceUri {
    /// A server of the `rtl_tcp` protocol.
    RtlTcp {
        /// Name or address.
        host: String,
        /// Its port.
        port: u16,
    },
    /// Datagrams of samples that arrive here.
    Udp(StreamUri),
    /// A server that sends samples to whoever connects.
    Tcp(StreamUri),
    /// A device of the SoapySDR library.
    Soapy {
        /// The library's arguments, `driver=rtlsdr,serial=1`; empty: the first device found.
        arguments: String,
    },
}

impl DeviceUri {
    /// Whether `text` is meant as a device and no file.
    pub fn is_meant(text: &str) -> bool {
        let scheme = text.split_once(':').map(|(scheme, _)| scheme.to_ascii_lowercase());
        scheme.is_some_and(|s| DEVICES.iter().any(|kind| kind.name == s)) || text.contains("://")
    }

    /// Reads a URI: `rtl_tcp://HOST[:PORT]`, `udp://[HOST]:PORT?format=…&rate=…[&frequency=…]`,
    /// `tcp://HOST:PORT?…` the same, `soapy:ARGUMENTS`. IPv6 addresses stand in brackets.
    ///
    /// # Errors
    /// The scheme, a key or a value is unknown, or something is missing.
    pub fn parse(text: &str) -> Result<Self, RequestError> {
        let text = text.trim();
        let examples = || DEVICES.iter().map(|kind| kind.asked_for);
        let Some((scheme, rest)) = text.split_once(':') else {
            let right = format!("accepted: {}", examples().collect::<Vec<_>>().join(", "));
            return Err(RequestError::new(text, "is no device", right));
        };
        let scheme = scheme.to_ascii_lowercase();
        if scheme == "soapy" {
            return Ok(DeviceUri::Soapy { arguments: rest.trim().to_owned() });
        }
        let Some(kind) = DEVICES.iter().find(|kind| kind.name == scheme) else {
            let names = DEVICES.iter().map(|kind| kind.name);
            return Err(RequestError::unknown(text, &scheme, names));
        };
        let expected = || format!("write {}", kind.asked_for);
        let Some(rest) = rest.strip_prefix("//") else {
            return Err(RequestError::new(text, "lacks //", expected()));
        };
        let (authority, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (host, port) = host_and_port(authority.trim_end_matches('/'))
            .ok_or_else(|| RequestError::new(text, "has no proper host and port", expected()))?;
        if host.is_empty() && scheme != "udp" {
            return Err(RequestError::new(text, "names no host", expected()));
        }
        if scheme == "rtl_tcp" {
            if !query.is_empty() {
                let right = "say rate, frequency and gain by options of their own";
                return Err(RequestError::new(text, "takes nothing behind ?", right));
            }
            return Ok(DeviceUri::RtlTcp { host, port: port.unwrap_or(RTL_TCP_PORT) });
        }
        let Some(port) = port else {
            return Err(RequestError::new(text, "names no port", expected()));
        };
        let stream = stream_uri(text, host, port, query)?;
        Ok(if scheme == "udp" { DeviceUri::Udp(stream) } else { DeviceUri::Tcp(stream) })
    }

    /// How long it is worth while to wait, at most, before another attempt to open the device. What
    /// opens a port of this computer need not wait.
    pub fn longest_pause(&self) -> Duration {
        match self {
            DeviceUri::Udp(_) => Duration::from_millis(200),
            _ => Duration::from_secs(10),
        }
    }
}

impl fmt::Display for DeviceUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host_port = |f: &mut fmt::Formatter<'_>, host: &str, port: u16| {
            if host.contains(':') {
                write!(f, "[{host}]:{port}")
            } else {
                write!(f, "{host}:{port}")
            }
        };
        let (scheme, stream) = match self {
            DeviceUri::RtlTcp { host, port } => {
                f.write_str("rtl_tcp://")?;
                return host_port(f, host, *port);
            }
            DeviceUri::Soapy { arguments } => return write!(f, "soapy:{arguments}"),
            DeviceUri::Udp(stream) => ("udp", stream),
            DeviceUri::Tcp(stream) => ("tcp", stream),
        };
        write!(f, "{scheme}://")?;
        host_port(f, &stream.host, stream.port)?;
        write!(f, "?format={}", stream.format_name)?;
        if let Some(rate) = stream.sample_rate_hz {
            write!(f, "&rate={rate}")?;
        }
        if let Some(frequency) = stream.centre_frequency_hz {
            write!(f, "&frequency={frequency}")?;
        }
        Ok(())
    }
}

/// `HOST:PORT`, `[ADDRESS]:PORT`, or without the port. `None` if it is neither.
fn host_and_port(authority: &str) -> Option<(String, Option<u16>)> {
    let (host, port) = if let Some(rest) = authority.strip_prefix('[') {
        let (host, port) = rest.split_once(']')?;
        match port {
            "" => (host, None),
            port => (host, Some(port.strip_prefix(':')?)),
        }
    } else {
        match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        }
    };
    let odd = |c: char| c.is_whitespace() || c.is_control() || "/@#[]".contains(c);
    if host.contains(odd) {
        return None;
    }
    let port = match port {
        None => None,
        // u16 would accept a sign.
        Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => {
            Some(digits.parse().ok().filter(|&port: &u16| port > 0)?)
        }
        Some(_) => return None,
    };
    Some((host.to_owned(), port))
}

/// The part of a stream's URI behind `?`.
fn stream_uri(text: &str, host: String, port: u16, query: &str) -> Result<StreamUri, RequestError> {
    const KEYS: [&str; 3] = ["format", "rate", "frequency"];
    let mut values: [Option<&str>; 3] = [None; 3];
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let Some(slot) = KEYS.iter().position(|k| *k == key) else {
            return Err(RequestError::unknown(text, key, KEYS));
        };
        if values[slot].replace(value).is_some() {
            return Err(RequestError::new(text, format!("says {key} twice"), "say it once"));
        }
    }
    let [format, rate, frequency] = values;
    let Some(format_name) = format else {
        let right = "add ?format=cs16&rate=HZ; GQRX sends format=ri16&rate=48000";
        return Err(RequestError::new(text, "does not say how samples are coded", right));
    };
    let format = SampleFormat::from_option(format_name).map_err(|error| RequestError {
        subject: text.to_owned(),
        wrong: format!("format {}", error.wrong),
        right: error.right,
    })?;
    let number = |key: &str, value: Option<&str>, least: f64, most: f64| match value {
        None => Ok(None),
        Some(value) => match value.parse().ok().filter(|x| (least..=most).contains(x)) {
            Some(number) => Ok(Some(number)),
            None => {
                let wrong = format!("{key} \"{value}\" is no such number");
                let right = format!("accepted: Hz, from {least} to {most:e}");
                Err(RequestError::new(text, wrong, right))
            }
        },
    };
    Ok(StreamUri {
        host,
        port,
        format,
        format_name: format_name.to_owned(),
        sample_rate_hz: number("rate", rate, 1.0, 1e10)?,
        centre_frequency_hz: number("frequency", frequency, 0.0, 3e11)?,
    })
}

impl StreamUri {
    /// Rate and centre frequency: what the URI says, or else the settings; both may, if they agree.
    pub(crate) fn rate_and_centre(
        &self,
        name: &str,
        settings: &RadioSettings,
    ) -> Result<(f64, Option<f64>), RequestError> {
        settings.check()?;
        settings.refuse(
            &[
                "--gain",
                "--ppm",
                "--bandwidth",
                "--antenna",
                "--bias-tee",
                "--digital-agc",
                "--channel",
                "--clock-source",
                "--time-source",
            ],
            name,
            "set it in the program that sends the samples",
        )?;
        let one = |what: &str, option: &str, uri: Option<f64>, set: Option<f64>| match (uri, set) {
            (Some(a), Some(b)) if a != b => {
                let wrong = format!("{b} contradicts {name}");
                Err(RequestError::new(option, wrong, format!("say one {what}")))
            }
            (a, b) => Ok(a.or(b)),
        };
        let rate = one("rate", "--rate", self.sample_rate_hz, settings.sample_rate_hz)?;
        let (uri, set) = (self.centre_frequency_hz, settings.centre_frequency_hz);
        let centre = one("frequency", "--frequency", uri, set)?;
        match rate {
            Some(rate) => Ok((rate, centre)),
            None => {
                let right = "add &rate=HZ, as the program that sends them has it";
                Err(RequestError::new(name, "does not say the sample rate", right))
            }
        }
    }
}

/// A source of live samples.
///
/// [`Source::read`] waits for samples, hands on what is there after a few milliseconds, and fails
/// when none come for [`RadioSettings::stall`] ([`std::io::ErrorKind::TimedOut`]) or the device is
/// gone. After an error the device is to be opened anew.
pub trait Radio: Source {
    /// Tunes to a frequency. Takes effect with a new anchor, at the sample that is taken now as far
    /// as that is known.
    ///
    /// # Errors
    /// The radio is out of reach, or cannot be tuned ([`std::io::ErrorKind::Unsupported`]), or not
    /// there ([`std::io::ErrorKind::InvalidInput`]).
    fn tune(&mut self, frequency_hz: f64) -> Result<(), SourceError>;

    /// Samples that are missing so far, as far as it can be known.
    fn lost_samples(&self) -> u64;

    /// How often samples were found missing.
    fn overflows(&self) -> u64;

    /// From now on reading ends, with `Ok(false)`, soon after `stop` is set. A radio that ignores
    /// this ends between two blocks.
    fn stop_with(&mut self, stop: Arc<AtomicBool>) {
        let _ = stop;
    }
}

/// A device could not be opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// It never will: the request is wrong.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// It is not there, or busy: it may be later.
    #[error("{name}: {why}")]
    Absent {
        /// The device.
        name: String,
        /// What happened, and what to look at.
        why: String,
    },
}

impl OpenError {
    /// The device `name` is not there now.
    pub fn absent(name: impl Into<String>, why: impl Into<String>) -> Self {
        OpenError::Absent { name: name.into(), why: why.into() }
    }
}

/// Opens a device and sets it up.
///
/// # Errors
/// See [`OpenError`].
pub fn open(uri: &DeviceUri, settings: &RadioSettings) -> Result<Box<dyn Radio>, OpenError> {
    settings.check()?;
    match uri {
        DeviceUri::RtlTcp { host, port } => rtl_tcp::open(&uri.to_string(), host, *port, settings),
        DeviceUri::Udp(stream) => udp::open(&uri.to_string(), stream, settings),
        DeviceUri::Tcp(stream) => tcp::open(&uri.to_string(), stream, settings),
        #[cfg(feature = "soapy")]
        DeviceUri::Soapy { arguments } => super::soapy::open(&uri.to_string(), arguments, settings),
        #[cfg(not(feature = "soapy"))]
        DeviceUri::Soapy { .. } => {
            let right = "build it in: cargo build --release --features soapy";
            Err(RequestError::new(uri.to_string(), "SoapySDR is not built in", right).into())
        }
    }
}

/// The addresses of a host.
pub(crate) fn addresses(name: &str, host: &str, port: u16) -> Result<Vec<SocketAddr>, OpenError> {
    let found = (host, port).to_socket_addrs().map(Iterator::collect::<Vec<_>>);
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(OpenError::absent(name, format!("{host} has no address"))),
        Err(error) => Err(OpenError::absent(name, format!("cannot find {host}: {error}"))),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn uris_are_read_and_written() {
        for (text, written) in [
            ("rtl_tcp://pi", "rtl_tcp://pi:1234"),
            (" RTL_TCP://10.0.0.2:99/ ", "rtl_tcp://10.0.0.2:99"),
            ("rtl_tcp://[::1]", "rtl_tcp://[::1]:1234"),
            ("udp://:7355?format=ri16&rate=48000", "udp://:7355?format=ri16&rate=48000"),
            (
                "udp://127.0.0.1:7355?rate=1e6&format=cs16&frequency=437.5e6",
                "udp://127.0.0.1:7355?format=cs16&rate=1000000&frequency=437500000",
            ),
            ("tcp://[fe80::1]:5000?format=cf32", "tcp://[fe80::1]:5000?format=cf32"),
            ("soapy:driver=rtlsdr,serial=1", "soapy:driver=rtlsdr,serial=1"),
            ("soapy:", "soapy:"),
        ] {
            let uri = DeviceUri::parse(text).unwrap();
            assert_eq!(uri.to_string(), written);
            assert_eq!(DeviceUri::parse(written).unwrap(), uri);
            assert!(DeviceUri::is_meant(text.trim()), "{text}");
        }
        for text in ["a.wav", "-", "c:\\a.wav", "pass.2026-08-01T12:00:00.cs16"] {
            assert!(!DeviceUri::is_meant(text), "{text}");
        }
    }

    #[test]
    fn wrong_uris_say_what_would_be_right() {
        for (text, wrong, right) in [
            ("", "is no device", "rtl_tcp://HOST"),
            ("rtl_tpc://x", "\"rtl_tpc\" is unknown", "\"rtl_tcp\""),
            ("rtl_tcp:x", "lacks //", "write rtl_tcp://"),
            ("rtl_tcp://", "names no host", "write"),
            ("rtl_tcp://x:0", "has no proper host and port", "write"),
            ("rtl_tcp://x:70000", "has no proper host and port", "write"),
            ("rtl_tcp://x:+1", "has no proper host and port", "write"),
            ("rtl_tcp://a b", "has no proper host and port", "write"),
            ("rtl_tcp://x?rate=5", "takes nothing behind ?", "options"),
            ("udp://x", "names no port", "write udp://"),
            ("udp://:1", "does not say how samples are coded", "format=ri16"),
            ("udp://:1?format=cs61", "format \"cs61\" is unknown", "\"cs16\""),
            ("udp://:1?format=cs16&rate=0", "rate \"0\" is no such number", "from 1"),
            ("udp://:1?format=cs16&rate=NaN", "rate \"NaN\" is no such number", "from 1"),
            ("udp://:1?fromat=cs16", "\"fromat\" is unknown", "\"format\""),
            ("udp://:1?format=cs16&format=cu8", "says format twice", "once"),
            ("tcp://:1?format=cs16", "names no host", "write"),
            ("tcp://[::1?format=cs16", "has no proper host and port", "write"),
        ] {
            let error = DeviceUri::parse(text).unwrap_err();
            assert_eq!(error.wrong, wrong, "{text}");
            assert!(error.right.contains(right), "{text}: {error}");
            assert_eq!(error.subject, text);
        }
    }

    proptest! {
        #[test]
        fn no_text_is_too_odd(
            scheme in prop::sample::select(vec!["rtl_tcp://", "udp://", "tcp://", "soapy:", ""]),
            rest in "[a-z0-9:\\[\\]?&=./ é+-]{0,12}",
            query in "(\\?(format=c?[su](8|16)|rate=[0-9e.-]{0,5}|frequency=[0-9e]{1,4}|&){0,6})?",
        ) {
            if let Ok(uri) = DeviceUri::parse(&format!("{scheme}{rest}{query}")) {
                prop_assert_eq!(DeviceUri::parse(&uri.to_string()).unwrap(), uri);
            }
        }
    }

    #[test]
    fn settings_that_make_no_sense_are_refused() {
        let none = RadioSettings::default();
        assert!(none.check().is_ok());
        for settings in [
            RadioSettings { sample_rate_hz: Some(0.0), ..none.clone() },
            RadioSettings { sample_rate_hz: Some(f64::NAN), ..none.clone() },
            RadioSettings { centre_frequency_hz: Some(-1.0), ..none.clone() },
            RadioSettings { ppm: Some(f64::INFINITY), ..none.clone() },
            RadioSettings { gain: Some(Gain::Db(f64::NAN)), ..none.clone() },
        ] {
            assert!(settings.check().is_err(), "{settings:?}");
        }
        assert_eq!("Auto".parse::<Gain>().unwrap(), Gain::Auto);
        assert_eq!(" 28.5 ".parse::<Gain>().unwrap(), Gain::Db(28.5));
        assert!("nan".parse::<Gain>().is_err() && "".parse::<Gain>().is_err());
    }

    #[test]
    fn what_a_stream_cannot_set_is_refused_before_it_is_opened() {
        let uri = DeviceUri::parse("udp://127.0.0.1:9?format=cs16&rate=48000").unwrap();
        let none = RadioSettings::default();
        for (settings, subject) in [
            (RadioSettings { gain: Some(Gain::Auto), ..none.clone() }, "--gain"),
            (RadioSettings { bias_tee: Some(false), ..none.clone() }, "--bias-tee"),
            (RadioSettings { sample_rate_hz: Some(96e3), ..none.clone() }, "--rate"),
        ] {
            let Err(OpenError::Request(error)) = open(&uri, &settings) else { panic!() };
            assert_eq!(error.subject, subject);
        }
        let uri = DeviceUri::parse("tcp://127.0.0.1:9?format=cs16").unwrap();
        let Err(OpenError::Request(error)) = open(&uri, &none) else { panic!() };
        assert_eq!(error.wrong, "does not say the sample rate");
    }
}
