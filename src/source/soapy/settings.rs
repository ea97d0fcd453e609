//! Setting up a radio: what was asked for, checked against what the driver says it can do.

use soapysdr::{Device, Direction::Rx, Range};

use super::listing::said;
use crate::error::RequestError;
use crate::source::device::{Gain, OpenError, RadioSettings};
use crate::source::rtl_tcp;

/// Rates and frequencies that differ by less than this part are the same.
const SAME: f64 = 1e-6;

/// What a radio was set to.
pub(super) struct SetUp {
    pub driver: String,
    pub channel: usize,
    pub sample_rate_hz: f64,
    pub centre_frequency_hz: Option<f64>,
    /// The oscillator's error that is corrected by tuning.
    pub ppm_by_tuning: f64,
    pub warnings: Vec<String>,
}

/// Names that drivers have for the power on the antenna's cable.
const BIAS_TEE: [(&str, &str); 6] = [
    ("rtlsdr", "biastee"),
    ("airspy", "biastee"),
    ("sdrplay", "biasT_ctrl"),
    ("bladerf", "biastee_rx"),
    ("hackrf", "bias_tx"),
    ("airspyhf", "bias_tee"),
];

/// Sets up a radio.
///
/// # Errors
/// It cannot do what was asked for, or failed.
pub(super) fn apply(
    name: &str,
    device: &Device,
    settings: &RadioSettings,
) -> Result<SetUp, OpenError> {
    let driver = device.driver_key().unwrap_or_default().to_lowercase();
    let failed = |what: &str| {
        let what = what.to_owned();
        move |error: soapysdr::Error| {
            OpenError::absent(name, format!("{what} failed: {}", said(&error)))
        }
    };
    let channels = device.num_channels(Rx).map_err(failed("asking for its channels"))?;
    let channel = settings.channel.unwrap_or(0);
    if channels == 0 {
        let right = "name a radio that does; tulpar devices lists them";
        return Err(RequestError::new(name, "does not receive", right).into());
    }
    if channel >= channels {
        let wrong = format!("the radio has no channel {channel}");
        let right = format!("accepted: 0 to {}", channels - 1);
        return Err(RequestError::new("--channel", wrong, right).into());
    }
    let mut warnings = Vec::new();

    if let Some(source) = &settings.clock_source {
        let known = device.list_clock_sources().unwrap_or_default();
        let source = one_of("--clock-source", source, &known)?;
        device.set_clock_source(source).map_err(failed("setting the clock source"))?;
    }
    if let Some(source) = &settings.time_source {
        let known = device.list_time_sources().unwrap_or_default();
        let source = one_of("--time-source", source, &known)?;
        device.set_time_source(source).map_err(failed("setting the time source"))?;
    }
    if let Some(antenna) = &settings.antenna {
        let known = device.antennas(Rx, channel).unwrap_or_default();
        let antenna = one_of("--antenna", antenna, &known)?;
        device.set_antenna(Rx, channel, antenna).map_err(failed("choosing the antenna"))?;
    }

    let rates = ranges(device.get_sample_rate_range(Rx, channel).unwrap_or_default());
    let rate = match settings.sample_rate_hz {
        Some(rate) => possible("--rate", "sample at", rate, &rates)?,
        None => nearest(rtl_tcp::DEFAULT_SAMPLE_RATE_HZ, &rates),
    };
    device.set_sample_rate(Rx, channel, rate).map_err(failed("setting the sample rate"))?;
    let is = device.sample_rate(Rx, channel).map_err(failed("asking for the sample rate"))?;
    let is = if is.is_finite() && is >= 1.0 { is } else { rate };
    if settings.sample_rate_hz.is_some() && (is - rate).abs() > 1e-3 * rate {
        let wrong = format!("the radio cannot sample at {rate}");
        let right = format!("the nearest it can is {is}");
        return Err(RequestError::new("--rate", wrong, right).into());
    }

    if let Some(width) = settings.bandwidth_hz {
        let widths = ranges(device.bandwidth_range(Rx, channel).unwrap_or_default());
        if widths.is_empty() {
            return Err(lacks("--bandwidth", "no filter that can be set").into());
        }
        let width = possible("--bandwidth", "filter", width, &widths)?;
        device.set_bandwidth(Rx, channel, width).map_err(failed("setting the bandwidth"))?;
    }

    gain(device, channel, settings.gain, &mut warnings, &failed)?;

    if let Some(on) = settings.digital_agc {
        if driver != "rtlsdr" {
            return Err(lacks("--digital-agc", "none: it is no RTL-SDR").into());
        }
        device
            .write_setting("digital_agc", if on { "true" } else { "false" })
            .map_err(failed("setting the gain control"))?;
    }
    if let Some(on) = settings.bias_tee {
        let key = bias_tee(device, &driver)?;
        device
            .write_setting(key, if on { "true" } else { "false" })
            .map_err(failed("setting the bias tee"))?;
    }

    // By the driver, if it can, in whole ppm if that is all it can; the rest by tuning.
    let mut ppm = settings.ppm.unwrap_or(0.0);
    let components = device.list_frequencies(Rx, channel).unwrap_or_default();
    if settings.ppm.is_some() && components.iter().any(|component| component == "CORR") {
        let set = device.set_component_frequency(Rx, channel, "CORR", ppm, ());
        let is = set.and_then(|()| device.component_frequency(Rx, channel, "CORR"));
        if let Ok(is) = is
            && (is - ppm).abs() <= 1.0
        {
            ppm -= is;
        }
    }
    let tuner = Tuner { device: device.clone(), channel, ppm };
    let centre = settings.centre_frequency_hz;
    let centre = centre.map(|hz| tuner.tune(name, hz)).transpose()?;
    Ok(SetUp {
        driver,
        channel,
        sample_rate_hz: is,
        centre_frequency_hz: centre,
        ppm_by_tuning: ppm,
        warnings,
    })
}

fn gain<F: Fn(soapysdr::Error) -> OpenError>(
    device: &Device,
    channel: usize,
    asked: Option<Gain>,
    warnings: &mut Vec<String>,
    failed: &impl Fn(&str) -> F,
) -> Result<(), OpenError> {
    let automatic = device.has_gain_mode(Rx, channel).unwrap_or(false);
    let range = device.gain_range(Rx, channel).ok();
    let accepted = || match &range {
        Some(Range { minimum, maximum, .. }) => format!("--gain {minimum} to {maximum} dB"),
        None => "--gain DB".to_owned(),
    };
    match asked {
        Some(Gain::Db(db)) => {
            if automatic {
                device.set_gain_mode(Rx, channel, false).map_err(failed("setting the gain"))?;
            }
            let within = match &range {
                Some(range) if range.minimum < range.maximum => {
                    db.clamp(range.minimum, range.maximum)
                }
                _ => db,
            };
            if within != db {
                warnings.push(format!("a gain of {db} dB is impossible, {within} dB is set"));
            }
            device.set_gain(Rx, channel, within).map_err(failed("setting the gain"))?;
        }
        _ if automatic => {
            device.set_gain_mode(Rx, channel, true).map_err(failed("setting the gain"))?;
        }
        Some(Gain::Auto) => {
            let wrong = "the radio has no automatic gain";
            return Err(RequestError::new("--gain", wrong, accepted()).into());
        }
        None => {
            if let Ok(db) = device.gain(Rx, channel) {
                let text = format!("no automatic gain: it stands at {db} dB; {}", accepted());
                warnings.push(text);
            }
        }
    }
    Ok(())
}

/// The radio has no such thing.
fn lacks(option: &str, what: &str) -> RequestError {
    RequestError::new(option, format!("the radio has {what}"), "leave it away")
}

/// The driver's name for the bias tee.
fn bias_tee(device: &Device, driver: &str) -> Result<&'static str, RequestError> {
    let known = BIAS_TEE.iter().find(|(name, _)| *name == driver);
    // A driver answers with nothing about a setting that it does not have.
    let tried = || {
        BIAS_TEE.iter().find(|(_, key)| device.read_setting(*key).is_ok_and(|is| !is.is_empty()))
    };
    known.or_else(tried).map(|(_, key)| *key).ok_or_else(|| lacks("--bias-tee", "none"))
}

/// The option's value as the driver writes it.
fn one_of<'a>(option: &str, value: &str, known: &'a [String]) -> Result<&'a str, RequestError> {
    if known.is_empty() {
        return Err(lacks(option, "only one"));
    }
    let found = known.iter().find(|name| name.eq_ignore_ascii_case(value.trim()));
    found
        .map(String::as_str)
        .ok_or_else(|| RequestError::unknown(option, value, known.iter().map(String::as_str)))
}

/// Ranges without those that make no sense.
pub(super) fn ranges(ranges: Vec<Range>) -> Vec<(f64, f64)> {
    let sane = |range: &Range| range.minimum.is_finite() && range.minimum <= range.maximum;
    ranges.iter().filter(|range| sane(range)).map(|range| (range.minimum, range.maximum)).collect()
}

/// The value in the ranges that is nearest; the value itself if there are none.
fn nearest(value: f64, ranges: &[(f64, f64)]) -> f64 {
    let within = ranges.iter().map(|&(least, most)| value.clamp(least, most));
    within.min_by(|a, b| (a - value).abs().total_cmp(&(b - value).abs())).unwrap_or(value)
}

/// Ranges, for messages.
pub(super) fn written(ranges: &[(f64, f64)]) -> String {
    let one = |&(least, most): &(f64, f64)| match least == most {
        true => least.to_string(),
        false => format!("{least} to {most}"),
    };
    ranges.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// Whether a radio with these ranges can do `value`; the nearest of its own that is the same.
fn possible(
    option: &str,
    what: &str,
    value: f64,
    ranges: &[(f64, f64)],
) -> Result<f64, RequestError> {
    let nearest = nearest(value, ranges);
    if (nearest - value).abs() <= SAME * value.abs() {
        return Ok(nearest);
    }
    let wrong = format!("the radio cannot {what} {value} Hz");
    let right = format!("the nearest it can is {nearest}; accepted: {}", written(ranges));
    Err(RequestError::new(option, wrong, right))
}

/// What tunes a radio.
pub(super) struct Tuner {
    pub device: Device,
    pub channel: usize,
    /// By how much its oscillator is too fast, as far as the driver does not correct it.
    pub ppm: f64,
}

impl Tuner {
    /// Tunes. Returns the frequency that was reached.
    pub fn tune(&self, name: &str, frequency_hz: f64) -> Result<f64, OpenError> {
        // An oscillator that is too fast tunes too high.
        let factor = 1.0 + self.ppm * 1e-6;
        let ranges = ranges(self.device.frequency_range(Rx, self.channel).unwrap_or_default());
        let beyond = |reached: Option<f64>| {
            let wrong = format!("the radio cannot be tuned to {frequency_hz} Hz");
            let nearest = reached.unwrap_or_else(|| nearest(frequency_hz, &ranges));
            let mut right = format!("the nearest it can is {nearest}");
            if !ranges.is_empty() {
                right = format!("{right}; accepted: {} Hz", written(&ranges));
            }
            OpenError::Request(RequestError::new("--frequency", wrong, right))
        };
        if !frequency_hz.is_finite() {
            return Err(beyond(None));
        }
        let asked = frequency_hz / factor;
        if let Err(error) = self.device.set_frequency(Rx, self.channel, asked, ()) {
            // Ranges are what the driver says; radios are known that do more.
            let outside = (nearest(frequency_hz, &ranges) - frequency_hz).abs() > 0.0;
            let why = format!("tuning to {frequency_hz} Hz failed: {}", said(&error));
            return Err(if outside { beyond(None) } else { OpenError::absent(name, why) });
        }
        // Drivers that cannot tell say 0.
        let is = self.device.frequency(Rx, self.channel).ok();
        let Some(is) = is.filter(|hz| hz.is_finite() && *hz > 0.0) else { return Ok(frequency_hz) };
        // Tuners have steps; one that is further away was held at the edge of its range.
        if (is - asked).abs() > 1e5_f64.max(1e-4 * asked) {
            return Err(beyond(Some(is * factor)));
        }
        Ok(is * factor)
    }
}

/// Buffers of a stream: small enough for samples to come soon, where the driver's own are not.
pub(super) fn stream_arguments(driver: &str, sample_rate_hz: f64) -> Vec<(String, String)> {
    if driver != "rtlsdr" {
        return Vec::new();
    }
    // 2 bytes a sample, 10 ms, in units of USB's 512; and half a second of them.
    let bytes = ((sample_rate_hz * 2.0 * 0.01 / 512.0).ceil() * 512.0).clamp(4096.0, 262_144.0);
    let buffers = (sample_rate_hz / bytes).ceil().clamp(15.0, 512.0);
    vec![
        ("bufflen".to_owned(), format!("{bytes:.0}")),
        ("buffers".to_owned(), format!("{buffers:.0}")),
    ]
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_that_is_possible_is_named() {
        let rtl = [(225_001.0, 300_000.0), (900_001.0, 3_200_000.0)];
        assert_eq!(possible("--rate", "sample at", 1_024_000.0, &rtl).unwrap(), 1_024_000.0);
        let error = possible("--rate", "sample at", 500_000.0, &rtl).unwrap_err();
        assert_eq!(error.wrong, "the radio cannot sample at 500000 Hz");
        assert!(error.right.starts_with("the nearest it can is 300000; "), "{error}");
        assert!(error.right.contains("900001 to 3200000"));
        // A rate that a driver does not write exactly.
        let odd = [(333_333.333_3, 333_333.333_3)];
        assert_eq!(possible("--rate", "sample at", 333_333.333_4, &odd).unwrap(), odd[0].0);
        // One that says nothing may be asked anything.
        assert_eq!(possible("--rate", "sample at", 5.0, &[]).unwrap(), 5.0);
        let none = Range { minimum: f64::NAN, maximum: 1.0, step: 0.0 };
        assert!(ranges(vec![none]).is_empty());
    }

    #[test]
    fn names_are_found_or_the_nearest_is_suggested() {
        let known = ["RX2".to_owned(), "TX/RX".to_owned()];
        assert_eq!(one_of("--antenna", "tx/rx", &known).unwrap(), "TX/RX");
        let error = one_of("--antenna", "RX3", &known).unwrap_err();
        assert!(error.right.contains("\"RX2\""), "{error}");
        assert!(one_of("--antenna", "RX", &[]).is_err());
    }

    #[test]
    fn buffers_of_an_rtl_sdr_hold_10_ms() {
        assert!(stream_arguments("uhd", 1e6).is_empty());
        for (rate, bytes, buffers) in
            [(250e3, "5120", "49"), (2.4e6, "48128", "50"), (1.0, "4096", "15")]
        {
            let arguments = stream_arguments("rtlsdr", rate);
            assert_eq!((&*arguments[0].1, &*arguments[1].1), (bytes, buffers));
        }
        assert_eq!(stream_arguments("rtlsdr", f64::NAN).len(), 2);
    }
}
