//! Finding radios: what the library lists, what one of them can do, and why one cannot be opened.

use serde::Serialize;
use soapysdr::{Args, Device, Direction::Rx, Range};

use super::settings::ranges;
use super::{advice, parse_arguments, quiet};
use crate::error::RequestError;
use crate::source::device::OpenError;

/// A radio that the library lists.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Found {
    /// What `--device` takes.
    pub uri: String,
    /// The driver's name.
    pub driver: String,
    /// Its name for people.
    pub label: String,
    /// Its serial number; empty if it has none.
    pub serial: String,
}

/// What a radio can do.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Probe {
    /// As it was asked for.
    pub uri: String,
    /// The driver's name.
    pub driver: String,
    /// What it is.
    pub hardware: String,
    /// What the driver tells besides: name and value.
    pub information: Vec<(String, String)>,
    /// Where its clock may come from (`--clock-source`).
    pub clock_sources: Vec<String>,
    /// Where its time may come from (`--time-source`).
    pub time_sources: Vec<String>,
    /// Whether it has a clock that can be read.
    pub has_time: bool,
    /// Its receivers (`--channel`), from 0.
    pub channels: Vec<Channel>,
}

/// A receiver of a radio. Ranges: least and most.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Channel {
    /// Sample rates in samples per second (`--rate`).
    pub sample_rates_hz: Vec<(f64, f64)>,
    /// Frequencies (`--frequency`).
    pub frequencies_hz: Vec<(f64, f64)>,
    /// Widths of the filter before the converter (`--bandwidth`).
    pub bandwidths_hz: Vec<(f64, f64)>,
    /// Gain in all (`--gain`).
    pub gain_db: Option<(f64, f64)>,
    /// The amplifiers that make it up, each with its range in dB.
    pub gains_db: Vec<(String, f64, f64)>,
    /// Whether it can set its gain by itself (`--gain auto`).
    pub automatic_gain: bool,
    /// Its inputs (`--antenna`).
    pub antennas: Vec<String>,
    /// Formats of samples, the radio's own first.
    pub formats: Vec<String>,
}

/// What the library said, in one line.
pub(super) fn said(error: &soapysdr::Error) -> String {
    let text: String =
        error.message.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.is_empty() { format!("{:?}", error.code) } else { text }
}

/// The radios that fit `arguments` (`KEY=VALUE,…`; empty: all).
///
/// # Errors
/// The arguments are none, or the library failed.
pub fn list(arguments: &str) -> Result<Vec<Found>, OpenError> {
    let name = format!("soapy:{arguments}");
    found(&name, &parse_arguments(&name, arguments)?)
}

fn found(name: &str, arguments: &[(String, String)]) -> Result<Vec<Found>, OpenError> {
    quiet();
    let listed = soapysdr::enumerate(to_args(arguments)).map_err(|error| {
        OpenError::absent(name, format!("cannot list radios: {}", said(&error)))
    })?;
    let describe = |args: &Args| {
        let get = |key: &str| args.get(key).unwrap_or_default().to_owned();
        let driver = get("driver");
        let serial = get("serial");
        let label = [get("label"), get("product"), get("device"), driver.clone()];
        let label = label.into_iter().find(|text| !text.is_empty()).unwrap_or_default();
        Found { uri: uri(args, &driver, &serial), driver, label, serial }
    };
    // The library's own placeholder is no radio.
    Ok(listed.iter().map(describe).filter(|found| found.driver != "null").collect())
}

/// The arguments that name one radio: the driver, what leads to it over a network, and its serial
/// number or whatever else there is.
fn uri(args: &Args, driver: &str, serial: &str) -> String {
    let mut text = format!("soapy:driver={driver}");
    let described = ["driver", "label", "product", "manufacturer", "version", "part_id", "tuner"];
    for (key, value) in args {
        let leads = match serial.is_empty() {
            false => key == "serial" || key.starts_with("remote"),
            true => !described.contains(&key),
        };
        if leads && !value.is_empty() && !value.contains(',') {
            text.push_str(&format!(",{key}={value}"));
        }
    }
    text
}

fn to_args(arguments: &[(String, String)]) -> Args {
    arguments.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect()
}

/// Opens a radio, or finds out why it cannot be.
pub(super) fn make(name: &str, arguments: &[(String, String)]) -> Result<Device, OpenError> {
    quiet();
    let error = match Device::new(to_args(arguments)) {
        Ok(device) => return Ok(device),
        Err(error) => error,
    };
    let text = said(&error);
    let driver = arguments.iter().find(|(key, _)| key == "driver").map(|(_, value)| &**value);
    let plugged_in = advice::plugged_in();
    let mine = plugged_in.iter().find(|radio| driver.is_none_or(|driver| driver == radio.driver));
    if advice::is_without_module(&text) {
        if let Some(driver) = driver {
            let wrong = format!("SoapySDR has no module for the driver \"{driver}\"");
            return Err(RequestError::new(name, wrong, advice::module_of(driver)).into());
        }
        if let Some(radio) = mine {
            return Err(OpenError::absent(name, format!("{}: {}", radio.driver, radio.advice())));
        }
        let why = format!("no radio was found; plug it in, or {}", advice::INSTALL);
        return Err(OpenError::absent(name, why));
    }
    let mut why = text.clone();
    if let Some(advice) = mine.and_then(|radio| radio.forbidden.as_ref()) {
        why = format!("{why}; {advice}");
    } else if let Some(advice) = advice::advice(driver.unwrap_or_default(), &text) {
        why = format!("{why}; {advice}");
    }
    // It is not there: what is.
    if found(name, arguments).is_ok_and(|found| found.is_empty()) {
        let others = found(name, &[]).unwrap_or_default();
        let uris: Vec<&str> = others.iter().map(|other| &*other.uri).collect();
        if !uris.is_empty() {
            why = format!("{why}; found instead: {}", uris.join(", "));
        }
    }
    Err(OpenError::absent(name, why))
}

/// What to do if no radio is listed: about those that are plugged in, or about modules.
pub fn hints() -> Vec<String> {
    let plugged_in = advice::plugged_in();
    if plugged_in.is_empty() {
        return vec![format!("plug the radio in, or {}", advice::INSTALL)];
    }
    plugged_in.iter().map(|radio| format!("{}: {}", radio.driver, radio.advice())).collect()
}

/// What a radio can do.
///
/// # Errors
/// It cannot be opened.
pub fn probe(arguments: &str) -> Result<Probe, OpenError> {
    let uri = format!("soapy:{arguments}");
    let device = make(&uri, &parse_arguments(&uri, arguments)?)?;
    let channels = device.num_channels(Rx).unwrap_or(0);
    let pair = |range: Range| (range.minimum, range.maximum);
    let channel = |index: usize| {
        let gains = device.list_gains(Rx, index).unwrap_or_default();
        let native = device.native_stream_format(Rx, index).ok().map(|(format, _)| format);
        let mut formats = device.stream_formats(Rx, index).unwrap_or_default();
        formats.sort_by_key(|format| Some(*format) != native);
        Channel {
            sample_rates_hz: ranges(device.get_sample_rate_range(Rx, index).unwrap_or_default()),
            frequencies_hz: ranges(device.frequency_range(Rx, index).unwrap_or_default()),
            bandwidths_hz: ranges(device.bandwidth_range(Rx, index).unwrap_or_default()),
            gain_db: device.gain_range(Rx, index).ok().map(pair),
            gains_db: gains
                .into_iter()
                .filter_map(|name| {
                    let (least, most) = pair(device.gain_element_range(Rx, index, &*name).ok()?);
                    Some((name, least, most))
                })
                .collect(),
            automatic_gain: device.has_gain_mode(Rx, index).unwrap_or(false),
            antennas: device.antennas(Rx, index).unwrap_or_default(),
            formats: formats.iter().map(ToString::to_string).collect(),
        }
    };
    let information = device
        .hardware_info()
        .map(|args| args.iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect());
    Ok(Probe {
        driver: device.driver_key().unwrap_or_default(),
        hardware: device.hardware_key().unwrap_or_default(),
        information: information.unwrap_or_default(),
        clock_sources: device.list_clock_sources().unwrap_or_default(),
        time_sources: device.list_time_sources().unwrap_or_default(),
        has_time: device.has_hardware_time(None).unwrap_or(false),
        channels: (0..channels).map(channel).collect(),
        uri,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn a_radio_is_named_by_what_tells_it_from_others() {
        for (listed, expected) in [
            (
                "driver=rtlsdr,label=Generic :: 1,serial=1,tuner=Rafael Micro",
                "soapy:driver=rtlsdr,serial=1",
            ),
            (
                "driver=remote,remote=tcp://10.0.0.2:55132,remote:driver=rtlsdr,serial=7",
                "soapy:driver=remote,remote=tcp://10.0.0.2:55132,remote:driver=rtlsdr,serial=7",
            ),
            ("driver=audio,device_id=3,label=x", "soapy:driver=audio,device_id=3"),
        ] {
            let args = Args::from(listed);
            let serial = args.get("serial").unwrap_or_default().to_owned();
            assert_eq!(uri(&args, args.get("driver").unwrap(), &serial), expected);
        }
    }

    #[test]
    fn what_is_said_is_one_line() {
        let error = |message: &str| soapysdr::Error {
            code: soapysdr::ErrorCode::StreamError,
            message: message.to_owned(),
        };
        assert_eq!(said(&error(" a\nb ")), "a b");
        assert_eq!(said(&error("")), "StreamError");
    }
}
