//! What the names that radio programs give their recordings say of them.
//!
//! | program | name | time |
//! |---|---|---|
//! | SatDump | `2024-05-01_12-34-56[-789]_1000000SPS_437500000Hz.cs16` | UTC |
//! | SDR# | `SDRSharp_20240501_123456Z_437500000Hz_IQ.wav` | UTC |
//! | HDSDR | `HDSDR_20240501_123456Z_437500kHz_RF.wav` | UTC with the Z, otherwise local |
//! | SDRuno | `SDRuno_20240501_123456Z_437500kHz.wav` | as HDSDR |
//! | GQRX | `gqrx_20240501_123456_437500000_1800000_fc.raw` (cf32), `gqrx_20240501_123456_437500000.wav` (audio) | UTC |
//! | SDR++ | `baseband_437500000Hz_12-34-56_01-05-2024.wav`, `audio_…` | local, unless it is set up for UTC |
//! | SDR Console | `01-May-2024 123456.789 437.500MHz 000.wav` | UTC |
//! | SatNOGS | `satnogs_1234567_2024-05-01T12-34-56.ogg` | UTC |
//!
//! What the name says is the last resort: the user's word and the file's own content go before it.
//! Frequencies in names of demodulated audio are those of the tuning, not of a baseband, and are
//! left out.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;

use super::format::SampleFormat;

/// What a name says; `None` where it says nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Hints {
    /// Time of the first sample, as UTC.
    pub start: Option<Timestamp>,
    /// The program writes the time of its own clock's zone, or may do so: `start` is it, read as if
    /// it were UTC.
    pub start_is_local: bool,
    /// Frequency at 0 Hz of the baseband.
    pub centre_frequency_hz: Option<f64>,
    /// Samples per second.
    pub sample_rate_hz: Option<f64>,
    /// How raw samples are coded.
    pub format: Option<SampleFormat>,
}

/// Words at the beginning of names with times in UTC, in lower case.
const UTC_PROGRAMS: [&str; 4] = ["gqrx", "sdrsharp", "satnogs", "receiving"];

/// Words in names of demodulated audio, in lower case.
const AUDIO: [&str; 2] = ["audio", "af"];

const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];

/// What the name of a file (or the last part of a path) says of the recording in it.
pub fn hints(path: &str) -> Hints {
    let name = path.rsplit(['/', '\\']).next().unwrap_or_default();
    let (stem, suffix) = match name.rsplit_once('.') {
        // `437.500MHz 000.wav` has a suffix, `123456.789` has none.
        Some((stem, suffix)) if !suffix.bytes().all(|b| b.is_ascii_digit()) => (stem, suffix),
        _ => (name, ""),
    };
    let words: Vec<&str> = stem.split(['_', ' ']).filter(|word| !word.is_empty()).collect();
    let program = words.first().map(|word| word.to_ascii_lowercase()).unwrap_or_default();
    let mut hints = Hints::default();
    let Some((after, time)) = time(&words) else { return hints };
    hints.start = TimeZone::UTC.to_timestamp(time.time).ok();
    hints.sample_rate_hz =
        words.iter().find_map(|word| quantity(word, "sps")).filter(|&rate| rate > 0.0);
    let is_satdump = hints.sample_rate_hz.is_some();
    let utc = time.is_utc || is_satdump || UTC_PROGRAMS.contains(&program.as_str());
    hints.start_is_local = !utc;
    let has = |word: &str| words.iter().any(|w| w.eq_ignore_ascii_case(word));
    if !AUDIO.iter().any(|word| has(word)) {
        hints.centre_frequency_hz = words.iter().find_map(|word| frequency(word));
    }
    if is_satdump {
        // Earlier versions wrote s16 for cs16.
        let complex =
            if suffix.starts_with('c') { suffix.to_owned() } else { format!("c{suffix}") };
        hints.format = SampleFormat::from_name(&complex);
    }
    if program == "gqrx"
        && suffix.eq_ignore_ascii_case("raw")
        && let Some([centre, rate, fc]) = words.get(after..).and_then(|rest| rest.first_chunk())
        && fc.eq_ignore_ascii_case("fc")
    {
        hints.centre_frequency_hz = number(centre);
        hints.sample_rate_hz = number(rate).filter(|&rate| rate > 0.0);
        hints.format = SampleFormat::from_name("cf32");
    }
    hints
}

impl Hints {
    /// The start, for a file that nothing better is known of; a warning is added if it may be
    /// local time.
    pub(crate) fn start_with_warning(&self, warnings: &mut Vec<String>) -> Option<Timestamp> {
        let start = self.start?;
        if self.start_is_local {
            warnings.push(format!(
                "its time is taken from its name as {start}, but that may be local time: say \
                 --start if it is not UTC"
            ));
        }
        Some(start)
    }
}

/// A time in a name.
struct Named {
    time: DateTime,
    /// The name itself says so.
    is_utc: bool,
}

/// The first time in the words of a name, and the index of the word after it.
fn time(words: &[&str]) -> Option<(usize, Named)> {
    for (index, word) in words.iter().enumerate() {
        // 2024-05-01T12-34-56 and 20240501T123456 are one word.
        if let Some((first, second)) = word.split_once('T')
            && let Some(named) = from_pair(first, second)
        {
            return Some((index + 1, named));
        }
        if let Some(second) = words.get(index + 1)
            && let Some(named) = from_pair(word, second)
        {
            return Some((index + 2, named));
        }
    }
    None
}

/// A time from two words.
fn from_pair(first: &str, second: &str) -> Option<Named> {
    let (second, zulu) = match second.strip_suffix(['Z', 'z']) {
        Some(second) => (second, true),
        None => (second, false),
    };
    let parts = |word: &str| -> Vec<String> { word.split('-').map(str::to_owned).collect() };
    let (date, time, is_utc) = match (&parts(first)[..], &parts(second)[..]) {
        ([date], [time]) if date.len() == 8 => {
            let (year, rest) = date.split_at_checked(4)?;
            let (month, day) = rest.split_at_checked(2)?;
            (civil_date(year, month, day)?, compact_time(time)?, zulu)
        }
        ([year, month, day], [hour, minute, second]) if year.len() == 4 => {
            (civil_date(year, month, day)?, civil_time(hour, minute, second, "")?, zulu)
        }
        ([year, month, day], [hour, minute, second, millis]) if year.len() == 4 => {
            (civil_date(year, month, day)?, civil_time(hour, minute, second, millis)?, zulu)
        }
        ([hour, minute, second], [day, month, year]) if year.len() == 4 => {
            (civil_date(year, month, day)?, civil_time(hour, minute, second, "")?, zulu)
        }
        ([day, month, year], [time]) if year.len() == 4 => {
            let month = month.to_ascii_lowercase();
            let number = MONTHS.iter().position(|m| *m == month)? + 1;
            (civil_date(year, &format!("{number:02}"), day)?, compact_time(time)?, true)
        }
        _ => return None,
    };
    Some(Named { time: DateTime::from_parts(date, time), is_utc })
}

/// A whole number of digits only, at most `most` of them.
fn digits(text: &str, most: usize) -> Option<i16> {
    let good = (1..=most).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    good.then(|| text.parse().ok())?
}

fn civil_date(year: &str, month: &str, day: &str) -> Option<Date> {
    let small = |text| i8::try_from(digits(text, 2)?).ok();
    // Nothing was recorded by any of these programs before.
    let year = digits(year, 4).filter(|&year| year >= 1970)?;
    Date::new(year, small(month)?, small(day)?).ok()
}

fn civil_time(hour: &str, minute: &str, second: &str, fraction: &str) -> Option<Time> {
    let small = |text: &str| i8::try_from(digits(text, 2).filter(|_| text.len() == 2)?).ok();
    let nanosecond = match fraction {
        "" => 0,
        _ => {
            let millis = digits(fraction, 4).filter(|_| fraction.len() >= 3)?;
            // 999.6 ms are written as 1000.
            i32::from(millis.min(999)) * 1_000_000
        }
    };
    Time::new(small(hour)?, small(minute)?, small(second)?, nanosecond).ok()
}

/// `123456`, or with milliseconds `123456.789`.
fn compact_time(text: &str) -> Option<Time> {
    let (time, fraction) = text.split_once('.').unwrap_or((text, ""));
    let (hour, rest) = time.split_at_checked(2)?;
    let (minute, second) = rest.split_at_checked(2)?;
    civil_time(hour, minute, second, fraction)
}

/// A number of digits and at most one point.
fn number(text: &str) -> Option<f64> {
    let plain = text.len() <= 15 && text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    text.parse().ok().filter(|_| plain)
}

/// The number before a unit, which may be in any case.
fn quantity(word: &str, unit: &str) -> Option<f64> {
    let (value, end) = word.split_at_checked(word.len().checked_sub(unit.len())?)?;
    end.eq_ignore_ascii_case(unit).then(|| number(value))?
}

/// A frequency with its unit, in Hz.
fn frequency(word: &str) -> Option<f64> {
    [("khz", 1e3), ("mhz", 1e6), ("ghz", 1e9), ("hz", 1.0)]
        .iter()
        .find_map(|&(unit, scale)| Some(quantity(word, unit)? * scale))
        .filter(|&hz| hz > 0.0)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Start (`L` behind it if local), centre frequency, rate and format of a name.
    fn read(name: &str) -> (String, Option<f64>, Option<f64>, Option<SampleFormat>) {
        let hints = hints(name);
        let start = hints.start.map(|start| start.to_string()).unwrap_or_default();
        let local = if hints.start_is_local { "L" } else { "" };
        (start + local, hints.centre_frequency_hz, hints.sample_rate_hz, hints.format)
    }

    #[test]
    fn names_of_every_program() {
        let time = "2024-05-01T12:34:56Z";
        let centre = Some(437.5e6);
        for (name, start, centre, rate, format) in [
            ("2024-05-01_12-34-56_1000000SPS_437500000Hz.cs16", time, centre, Some(1e6), "cs16"),
            ("2024-05-01_12-34-56_1000000SPS_437500000Hz.s8", time, centre, Some(1e6), "cs8"),
            ("2024-05-01_12-34-56_2400000SPS_437500000Hz.f32", time, centre, Some(2.4e6), "cf32"),
            ("2024-05-01_12-34-56_1000000SPS_437500000Hz.ziq", time, centre, Some(1e6), ""),
            ("2024-05-01_12-34-56_1000000SPS_437500000Hz.wav", time, centre, Some(1e6), ""),
            (
                "2024-05-01_12-34-56-789_48000SPS_437500000Hz.cf32",
                "2024-05-01T12:34:56.789Z",
                centre,
                Some(48e3),
                "cf32",
            ),
            ("SDRSharp_20240501_123456Z_437500000Hz_IQ.wav", time, centre, None, ""),
            ("SDRSharp_20240501_123456Z_12kHz_IQ.wav", time, Some(12e3), None, ""),
            ("SDRSharp_20240501_123456Z_437500000Hz_AF.wav", time, None, None, ""),
            ("HDSDR_20240501_123456Z_437500kHz_RF.wav", time, centre, None, ""),
            ("HDSDR_20240501_123456_437500kHz_RF.wav", "2024-05-01T12:34:56ZL", centre, None, ""),
            ("ecars_net_7255_HDSDR_20240501_123456Z_437500kHz_RF.wav", time, centre, None, ""),
            ("SDRuno_20240501_123456Z_437500kHz.wav", time, centre, None, ""),
            ("gqrx_20240501_123456_437500000_1800000_fc.raw", time, centre, Some(1.8e6), "cf32"),
            ("gqrx_20240501_123456_437500000.wav", time, None, None, ""),
            (
                "baseband_437500000Hz_12-34-56_01-05-2024.wav",
                "2024-05-01T12:34:56ZL",
                centre,
                None,
                "",
            ),
            ("audio_437500000Hz_12-34-56_01-05-2024.wav", "2024-05-01T12:34:56ZL", None, None, ""),
            (
                "01-May-2024 123456.789 437.500MHz 000.wav",
                "2024-05-01T12:34:56.789Z",
                centre,
                None,
                "",
            ),
            ("satnogs_1234567_2024-05-01T12-34-56.ogg", time, None, None, ""),
            ("/home/x/gqrx_1/satnogs_1234567_2024-05-01T12-34-56.out", time, None, None, ""),
            ("C:\\rec\\SDRSharp_20240501_123456Z_437500000Hz_IQ.wav", time, centre, None, ""),
            ("pass_20240501T123456Z.cf32", time, None, None, ""),
            ("pass-of-today_2024-05-01_12-34-56.wav", "2024-05-01T12:34:56ZL", None, None, ""),
        ] {
            let expected = (start.to_owned(), centre, rate, SampleFormat::from_name(format));
            assert_eq!(read(name), expected, "{name}");
        }
    }

    #[test]
    fn other_names_say_nothing() {
        for name in [
            "",
            ".",
            "/",
            "_",
            "T",
            "pass.wav",
            "lucky_7-48k.cf32",
            "x_20241301_123456Z.wav",
            "x_20240501_256000Z.wav",
            "x_20240501_1234Z.wav",
            "20240501.wav",
            "x_2024-5_12-34.wav",
            "gqrx_20240501.raw",
            "1_2_3_4_fc.raw",
            "baseband_437500000Hz_12-34-56_31-02-2024.wav",
            "x_19000101_000000Z.wav",
            "é_é-é-é_é-é-é",
            "12345678_é23456",
            "01-Foo-2024 123456.789",
            "48000SPS.cf32",
            "437500000Hz.wav",
            "+2024501_+12345.wav",
        ] {
            assert_eq!(hints(name), Hints::default(), "{name}");
        }
    }

    proptest! {
        #[test]
        fn garbage_does_no_harm(name in "\\PC{0,60}") {
            hints(&name);
        }

        #[test]
        fn nearly_good_names_do_no_harm(name in "[0-9TZ_ .\\-HzkMSPé]{0,50}") {
            hints(&name);
        }
    }
}
