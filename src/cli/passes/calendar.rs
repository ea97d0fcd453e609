//! Passes as a calendar: RFC 5545.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use jiff::Timestamp;
use tulpar::doppler::passes::Event;
use tulpar::doppler::station::Station;

use super::Flight;

/// Octets of a line without its end (RFC 5545, 3.1).
const LINE_OCTETS: usize = 75;

/// The calendar of some passes; `now` is when it was made.
pub fn calendar(flights: &[Flight], station: &Station, now: Timestamp) -> String {
    let mut out = Lines::default();
    out.line("BEGIN:VCALENDAR");
    out.line("VERSION:2.0");
    out.line(concat!("PRODID:-//tulpar//tulpar ", env!("CARGO_PKG_VERSION"), "//EN"));
    out.line("CALSCALE:GREGORIAN");
    if flights.is_empty() {
        // A calendar has at least one component (3.4).
        for line in [
            "BEGIN:VTIMEZONE",
            "TZID:UTC",
            "BEGIN:STANDARD",
            "DTSTART:19700101T000000",
            "TZOFFSETFROM:+0000",
            "TZOFFSETTO:+0000",
            "END:STANDARD",
            "END:VTIMEZONE",
        ] {
            out.line(line);
        }
    }
    let mut identifiers = BTreeSet::new();
    for flight in flights {
        let pass = &flight.pass;
        out.line("BEGIN:VEVENT");
        let mut identifier = identifier(flight, station);
        while !identifiers.insert(identifier.clone()) {
            identifier.insert(0, '+');
        }
        out.line(&format!("UID:{identifier}@tulpar"));
        out.line(&format!("DTSTAMP:{}", stamp(now.as_second())));
        out.line(&format!("DTSTART:{}", stamp(pass.rise.time.as_second())));
        // Whole seconds: nothing of the pass is cut off.
        let end = pass.set.time.as_second() + i64::from(pass.set.time.subsec_nanosecond() > 0);
        out.line(&format!("DTEND:{}", stamp(end)));
        let top = pass.culmination.observation.elevation_deg;
        out.line(&format!("SUMMARY:{}", escaped(&format!("{} {top:.0}°", flight.object.name))));
        let event = |name: &str, event: &Event| {
            let seen = event.observation;
            format!(
                "{name} {}: azimuth {:.0}°, elevation {:.0}°, {:+.0} Hz\n",
                super::clock(event.time),
                seen.azimuth_deg,
                seen.elevation_deg,
                seen.shift_hz(flight.object.carrier_hz)
            )
        };
        let description = format!(
            "{}{}{}Doppler at {:.4} MHz. {}.",
            event("Rise", &pass.rise),
            event("Highest", &pass.culmination),
            event("Set", &pass.set),
            flight.object.carrier_hz / 1e6,
            super::light(pass),
        );
        out.line(&format!("DESCRIPTION:{}", escaped(&description)));
        out.line(&format!("GEO:{:.6};{:.6}", station.latitude_deg, station.longitude_deg));
        out.line("TRANSP:TRANSPARENT");
        out.line("END:VEVENT");
    }
    out.line("END:VCALENDAR");
    out.text
}

/// The same for the same pass when it is predicted again from newer elements, which shift it by
/// seconds: object, quarter of an hour, and place.
fn identifier(flight: &Flight, station: &Station) -> String {
    let quarter = flight.pass.culmination.time.as_second().div_euclid(900) * 900;
    let object = match flight.object.orbit.norad_id() {
        // Without a number: the letters and digits of its name.
        0 => flight.object.name.chars().filter(char::is_ascii_alphanumeric).collect(),
        norad_id => norad_id.to_string(),
    };
    let (latitude, longitude) = (station.latitude_deg, station.longitude_deg);
    format!("{object}-{}-{latitude:.2}-{longitude:.2}", stamp(quarter))
}

/// `20260801T120000Z`
fn stamp(second: i64) -> String {
    Timestamp::from_second(second)
        .map(|time| time.strftime("%Y%m%dT%H%M%SZ").to_string())
        .unwrap_or_default()
}

/// TEXT of 3.3.11.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '\\' | ';' | ',' => {
                let _ = write!(out, "\\{c}");
            }
            '\n' => out.push_str("\\n"),
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    out
}

/// Lines that end in CRLF, folded.
#[derive(Default)]
struct Lines {
    text: String,
}

impl Lines {
    fn line(&mut self, line: &str) {
        let mut octets = 0;
        for c in line.chars() {
            if octets + c.len_utf8() > LINE_OCTETS {
                self.text.push_str("\r\n ");
                octets = 1;
            }
            self.text.push(c);
            octets += c.len_utf8();
        }
        self.text.push_str("\r\n");
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_are_folded_between_characters() {
        let mut lines = Lines::default();
        let long = format!("SUMMARY:{}", "°ä🛰x".repeat(40));
        lines.line(&long);
        assert!(lines.text.ends_with("\r\n"));
        for line in lines.text.trim_end().split("\r\n") {
            assert!(line.len() <= LINE_OCTETS, "{}", line.len());
        }
        assert_eq!(lines.text.replace("\r\n ", "").trim_end(), long);
    }

    #[test]
    fn text_is_escaped() {
        assert_eq!(escaped("a;b,c\\d\ne\rf"), "a\\;b\\,c\\\\d\\nef");
    }
}
