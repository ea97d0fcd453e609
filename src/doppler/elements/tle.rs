//! Two-line element sets.
//!
//! ```text
//! 0 AALTO-1                                                       name, with or without "0 "
//! 1 42775U 17036L   24122.52427083  .00012345  00000-0  56789-3 0  9993
//! 2 42775  97.1234 123.4567 0012345 210.9876 149.0123 15.23456789378901
//! ```
//!
//! | line 1, columns | | line 2, columns | |
//! |---|---|---|---|
//! | 3–7 | number, Alpha-5 | 3–7 | number |
//! | 10–17 | launch year, number, piece | 9–16 | inclination, degrees |
//! | 19–20 | year of the epoch: 57 is 1957 | 18–25 | right ascension of the node |
//! | 21–32 | day of the year from 1, with fraction | 27–33 | eccentricity, after "0." |
//! | 34–52 | derivatives of the mean motion (for SGP) | 35–42 | argument of perigee |
//! | 54–61 | B*: ±mmmmm±e is ±0.mmmmm·10^±e | 44–51 | mean anomaly |
//! | 63 | theory: 4 is SGP4-XP | 53–63 | mean motion, revolutions a day |
//! | 69 | checksum | 69 | checksum |
//!
//! The checksum is the sum of the digits before it, a minus counting one, modulo 10. In Alpha-5
//! the first of the five digits is a letter for 10 to 33, without I and O.
//!
//! Files have any number of sets, name lines or none, blank lines, lines that begin with `#`, and
//! ends of line of any system. What follows column 69 behind a blank is left out.

use jiff::civil::date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::{Elements, Found};
use crate::error::RequestError;

/// Letters of Alpha-5 for 10, 11 …
const ALPHA5: &[u8] = b"ABCDEFGHJKLMNPQRSTUVWXYZ";

/// Largest number that Alpha-5 can write: Z9999.
pub const LARGEST_ALPHA5: u32 = 339_999;

/// Columns of a line, with its checksum.
const LENGTH: usize = 69;

/// What to do about a set that came damaged.
const COPY_AGAIN: &str = "copy or fetch the set again, whole lines of 69 characters";

/// Reads every set of a text; `source` names it in messages. Empty if nothing in it looks like a
/// line of a set.
pub(crate) fn parse(source: &str, text: &str) -> Found {
    let mut found = Vec::new();
    let mut name: Option<&str> = None;
    let mut lines = text
        .lines()
        .zip(1..)
        .map(|(line, number)| (line.trim(), number))
        .filter(|(line, _)| !line.is_empty() && !line.starts_with('#'))
        .peekable();
    while let Some((line, number)) = lines.next() {
        let place = format!("{source}:{number}");
        if is_line(line, b'1') {
            let second = lines.next_if(|(line, _)| is_line(line, b'2'));
            found.push(match second {
                Some((second, second_number)) => {
                    set(name, (line, &place), (second, &format!("{source}:{second_number}")))
                }
                None => Err(RequestError::new(
                    place,
                    "line 1 of a set is not followed by line 2",
                    COPY_AGAIN,
                )),
            });
            name = None;
        } else if is_line(line, b'2') {
            let wrong = "line 2 of a set does not follow line 1";
            found.push(Err(RequestError::new(place, wrong, COPY_AGAIN)));
            name = None;
        } else {
            name = Some(line);
        }
    }
    found
}

/// Reads one set from its lines; `name` may be a name line with or without "0 ".
///
/// # Errors
/// A line is malformed, or its checksum is wrong.
pub fn from_lines(
    source: &str,
    name: Option<&str>,
    line1: &str,
    line2: &str,
) -> Result<Elements, RequestError> {
    let elements = set(name, (line1.trim(), source), (line2.trim(), source))?;
    elements.check()?;
    Ok(elements)
}

/// Whether a line is the first or second of a set, by how all of them begin: `1 42775U `, `2 42775 `.
fn is_line(line: &str, which: u8) -> bool {
    let &[first, b' ', letter, ref digits @ .., last] =
        line.as_bytes().get(..8).unwrap_or_default()
    else {
        return false;
    };
    first == which
        && (letter == b' ' || letter.is_ascii_alphanumeric())
        && digits.iter().all(|b| b.is_ascii_digit() || *b == b' ')
        && digits.iter().any(u8::is_ascii_digit)
        && (last == b' ' || (which == b'1' && last.is_ascii_alphabetic()))
}

/// Columns of one line, counted from 1 as the format's description does.
struct Line<'t> {
    text: &'t str,
    place: &'t str,
}

impl<'t> Line<'t> {
    /// Checks length and checksum.
    fn new(text: &'t str, place: &'t str) -> Result<Self, RequestError> {
        let bad = |wrong: String| Err(RequestError::new(place, wrong, COPY_AGAIN));
        if !text.is_ascii() {
            return bad("holds characters that are not ASCII".to_owned());
        }
        let (line, rest) = text.split_at_checked(LENGTH).unwrap_or((text, ""));
        if line.len() != LENGTH || rest.starts_with(|c: char| !c.is_ascii_whitespace()) {
            return bad(format!("has {} characters", text.len()));
        }
        let line = Self { text: line, place };
        let said = line.columns(LENGTH, LENGTH);
        let right = checksum(line.columns(1, LENGTH - 1));
        if said != right.to_string() {
            return bad(format!("its checksum is {said}, but its digits give {right}"));
        }
        Ok(line)
    }

    fn columns(&self, from: usize, to: usize) -> &'t str {
        self.text.get(from - 1..to).unwrap_or_default()
    }

    fn error(&self, what: &str, from: usize, to: usize) -> RequestError {
        let written = self.columns(from, to);
        let wrong = format!("{what} in columns {from} to {to} is \"{written}\"");
        RequestError::new(self.place, wrong, COPY_AGAIN)
    }

    /// A number with a decimal point; not what else Rust takes for a number.
    fn number(&self, what: &str, from: usize, to: usize) -> Result<f64, RequestError> {
        decimal(self.columns(from, to).trim()).ok_or_else(|| self.error(what, from, to))
    }

    fn norad_id(&self) -> Result<u32, RequestError> {
        parse_alpha5(self.columns(3, 7)).ok_or_else(|| self.error("number", 3, 7))
    }
}

/// A number of digits, sign and point.
fn decimal(text: &str) -> Option<f64> {
    let plain = text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'+' | b'-'));
    text.parse().ok().filter(|_| plain)
}

/// Sum of the digits, a minus counting one, modulo 10.
fn checksum(columns: &str) -> u32 {
    let value = |b: u8| if b == b'-' { 1 } else { char::from(b).to_digit(10).unwrap_or(0) };
    columns.bytes().map(value).sum::<u32>() % 10
}

/// A catalogue number of up to five characters, the first of them perhaps a letter.
fn parse_alpha5(text: &str) -> Option<u32> {
    let text = text.trim();
    let plain = |digits: &str| {
        digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse::<u32>().ok())?
    };
    match text.bytes().next()? {
        letter if letter.is_ascii_alphabetic() => {
            let tens = ALPHA5.iter().position(|&l| l == letter)?;
            let rest = text.get(1..).filter(|rest| rest.len() == 4)?;
            Some((u32::try_from(tens).ok()? + 10) * 10_000 + plain(rest)?)
        }
        _ => plain(text),
    }
}

/// The number in five characters; `None` above [`LARGEST_ALPHA5`].
fn alpha5(norad_id: u32) -> Option<String> {
    let (tens, rest) = (norad_id / 10_000, norad_id % 10_000);
    match tens.checked_sub(10) {
        None => Some(format!("{norad_id:05}")),
        Some(letter) => {
            let letter = ALPHA5.get(usize::try_from(letter).ok()?)?;
            Some(format!("{}{rest:04}", char::from(*letter)))
        }
    }
}

/// A year of two digits: satellites fly since 1957.
fn full_year(two_digits: i16) -> i16 {
    if two_digits < 57 { 2000 + two_digits } else { 1900 + two_digits }
}

fn set(
    name: Option<&str>,
    (line1, place1): (&str, &str),
    (line2, place2): (&str, &str),
) -> Result<Elements, RequestError> {
    let line1 = Line::new(line1, place1)?;
    let line2 = Line::new(line2, place2)?;
    let norad_id = line1.norad_id()?;
    if line2.norad_id()? != norad_id {
        let wrong = format!(
            "is about object {}, but line 1 about {}",
            line2.columns(3, 7).trim(),
            line1.columns(3, 7).trim()
        );
        return Err(RequestError::new(place2, wrong, "both lines must be of one set"));
    }
    if line1.columns(63, 63) == "4" {
        return Err(RequestError::new(
            place1,
            "the set is for SGP4-XP (4 in column 63)",
            "take a set for SGP4: fitted to the other theory it would mislead",
        ));
    }
    Ok(Elements {
        name: name.and_then(clean_name),
        norad_id,
        international_designator: designator(line1.columns(10, 17)),
        epoch: epoch(&line1)?,
        inclination_deg: line2.number("inclination", 9, 16)?,
        raan_deg: line2.number("right ascension of the node", 18, 25)?,
        eccentricity: {
            // Blanks stood for zeros when this was read by Fortran.
            let digits = line2.columns(27, 33).replace(' ', "0");
            Some(digits)
                .filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()))
                .and_then(|digits| decimal(&format!("0.{digits}")))
                .ok_or_else(|| line2.error("eccentricity", 27, 33))?
        },
        argument_of_perigee_deg: line2.number("argument of perigee", 35, 42)?,
        mean_anomaly_deg: line2.number("mean anomaly", 44, 51)?,
        mean_motion_rev_per_day: line2.number("mean motion", 53, 63)?,
        bstar: exponential(line1.columns(54, 61)).ok_or_else(|| line1.error("B*", 54, 61))?,
        source: place1.to_owned(),
    })
}

/// The name of a name line, without the "0 " that Space-Track puts before it.
fn clean_name(line: &str) -> Option<String> {
    let line = line.trim();
    let name = match line.strip_prefix('0') {
        Some(rest) if rest.is_empty() || rest.starts_with(' ') => rest.trim(),
        _ => line,
    };
    let name: String = name.chars().filter(|c| !c.is_control()).take(80).collect();
    (!name.is_empty()).then_some(name)
}

/// `98067A` as `1998-067A`; `None` if blank or odd: nothing depends on it.
fn designator(columns: &str) -> Option<String> {
    let (year, rest) = columns.trim().split_at_checked(2)?;
    let (number, piece) = rest.split_at_checked(3)?;
    let year = full_year(year.parse().ok().filter(|y| (0..100).contains(y))?);
    let good = number.bytes().all(|b| b.is_ascii_digit())
        && !piece.is_empty()
        && piece.bytes().all(|b| b.is_ascii_alphanumeric());
    good.then(|| format!("{year}-{number}{piece}"))
}

/// Two digits of the year and the day in it: day 1.0 is the beginning of January 1st.
fn epoch(line1: &Line<'_>) -> Result<Timestamp, RequestError> {
    let instant = || {
        let year = line1.columns(19, 20).trim().parse().ok().filter(|y| (0..100).contains(y))?;
        let day = decimal(line1.columns(21, 32).trim()).filter(|day| (1.0..367.0).contains(day))?;
        let start = date(full_year(year), 1, 1).to_zoned(TimeZone::UTC).ok()?.timestamp();
        // To the microsecond: the field has a resolution of 864 µs.
        let micros = ((day - 1.0) * 86_400e6).round() as i64;
        start.checked_add(SignedDuration::from_micros(micros)).ok()
    };
    instant().ok_or_else(|| line1.error("epoch", 19, 32))
}

/// ` 56789-3` as 0.56789e-3.
fn exponential(columns: &str) -> Option<f64> {
    let text = columns.trim();
    let (negative, rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (mantissa, exponent) = match rest.rfind(['-', '+', ' ']) {
        Some(at) => rest.split_at_checked(at)?,
        None => (rest, "+0"),
    };
    let mantissa = mantissa.trim_start_matches('.');
    if mantissa.is_empty() || !mantissa.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let exponent: i32 = exponent.trim_start_matches(' ').parse().ok()?;
    let size: f64 = format!("0.{mantissa}e{exponent}").parse().ok()?;
    Some(if negative { -size } else { size })
}

/// B* as the format writes it, eight characters; `None` if it is 1e9 or more.
fn to_exponential(value: f64) -> Option<String> {
    let size = value.abs();
    if !size.is_finite() {
        return None;
    }
    let mut exponent = if size > 0.0 { size.log10().floor() as i32 + 1 } else { 0 };
    let mut mantissa = (size * 10f64.powi(5 - exponent)).round();
    if mantissa >= 1e5 {
        mantissa /= 10.0;
        exponent += 1;
    }
    if exponent < -9 || mantissa == 0.0 {
        (mantissa, exponent) = (0.0, 0);
    }
    if exponent > 9 {
        return None;
    }
    let sign = if value < 0.0 && mantissa > 0.0 { '-' } else { ' ' };
    let exponent_sign = if exponent > 0 { '+' } else { '-' };
    Some(format!("{sign}{mantissa:05.0}{exponent_sign}{}", exponent.abs()))
}

/// An angle in 0 to below 360, as it is written with four decimals.
fn angle(angle_deg: f64) -> String {
    let written = format!("{:8.4}", angle_deg.rem_euclid(360.0));
    if written == "360.0000" { "  0.0000".to_owned() } else { written }
}

impl Elements {
    /// The two lines of the set, without its name. The derivatives of the mean motion, which SGP4
    /// does not use, are written as 0.
    ///
    /// # Errors
    /// The format has no room for it: a number above 339999, an epoch from 2057 on, or what
    /// [`Elements::check`] refuses.
    pub fn to_tle(&self) -> Result<[String; 2], RequestError> {
        self.check()?;
        let no_room = |what: String| {
            RequestError::new(&self.source, what, "a TLE has no room for it: write it as OMM")
        };
        let number = alpha5(self.norad_id)
            .ok_or_else(|| no_room(format!("its number is {}", self.norad_id)))?;
        let designator = self.international_designator.as_deref().and_then(|designator| {
            let (year, rest) = designator.split_once('-')?;
            let short = format!("{}{rest}", year.get(2..4)?);
            (short.is_ascii() && short.len() <= 8 && year.len() == 4).then_some(short)
        });
        // A day has 10^8 units of 864 µs, which the epoch is rounded to.
        let unit_ns = 864_000;
        let nanos = self.epoch.as_nanosecond();
        let units = (nanos + unit_ns / 2).div_euclid(unit_ns);
        let epoch = Timestamp::from_nanosecond(units * unit_ns)
            .map(|epoch| epoch.to_zoned(TimeZone::UTC))
            .ok()
            .filter(|epoch| (1957..2057).contains(&epoch.year()))
            .ok_or_else(|| no_room(format!("its epoch is {}", self.epoch)))?;
        let bstar =
            to_exponential(self.bstar).ok_or_else(|| no_room(format!("B* is {}", self.bstar)))?;
        // Rounding must not make an eccentricity of 1.
        let eccentricity = (self.eccentricity * 1e7).round().min(9_999_999.0);
        let line1 = format!(
            "1 {number}U {:<8} {:02}{:03}.{:08}  .00000000  00000-0 {bstar} 0  999",
            designator.unwrap_or_default(),
            epoch.year() % 100,
            epoch.day_of_year(),
            units.rem_euclid(100_000_000),
        );
        let line2 = format!(
            "2 {number} {} {} {eccentricity:07.0} {} {} {:11.8}    0",
            format_args!("{:8.4}", self.inclination_deg),
            angle(self.raan_deg),
            angle(self.argument_of_perigee_deg),
            angle(self.mean_anomaly_deg),
            self.mean_motion_rev_per_day,
        );
        Ok([line1, line2].map(|line| {
            let sum = checksum(&line);
            line + &sum.to_string()
        }))
    }
}
