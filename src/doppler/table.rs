//! Frequency tables: what another program computed, a line an instant.
//!
//! ```text
//!  # unix_time frequency
//!  1583840449.0  -3250.5
//!  1583840450.0  -3251.0
//! ```
//!
//! Columns are separated by blanks, tabs, commas or semicolons; `#` begins a comment, and a heading
//! without numbers is passed over. The time is in seconds since 1970 (UTC) or an RFC 3339 instant.
//! The frequency is the received one, or the Doppler shift alone: whatever is nearer to 0 than to
//! the carrier is a shift.
//!
//! Between two lines the shift is that of a cubic through both with the slopes of their neighbours
//! (Catmull–Rom), so that a table in steps of seconds steers as smoothly as an orbit. Before the
//! first and behind the last line the nearest is held.

use jiff::Timestamp;

use super::{Prediction, seconds_between};
use crate::error::RequestError;

/// Shift over time.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// In order of time, no two at the same.
    points: Vec<(Timestamp, f64)>,
    /// The lines were frequencies received, not shifts.
    received: bool,
}

impl Table {
    /// Reads a table; `name` stands for it in errors. `carrier_hz`: the nominal frequency, needed
    /// if the table holds frequencies as received.
    ///
    /// # Errors
    /// A line is no pair of time and frequency, times are not ascending, or there is no line.
    /// Names the line.
    pub fn parse(name: &str, text: &str, carrier_hz: Option<f64>) -> Result<Self, RequestError> {
        const RIGHT: &str = "lines of a table are \"unix_time frequency_hz\"";
        let mut rows: Vec<(Timestamp, f64, usize)> = Vec::new();
        let mut heading = true;
        for (index, line) in text.lines().enumerate() {
            let number = index + 1;
            let line = line.split('#').next().unwrap_or_default().trim();
            let mut columns = line
                .split(|c: char| c.is_whitespace() || c == ',' || c == ';')
                .filter(|c| !c.is_empty());
            let Some(first) = columns.next() else { continue };
            let at = format!("{name}:{number}");
            let (time, frequency) = (instant(first), columns.next().map(str::parse::<f64>));
            let (time, frequency) = match (time, frequency) {
                (Some(time), Some(Ok(frequency))) if frequency.is_finite() => (time, frequency),
                // Words over the columns.
                _ if heading && first.starts_with(|c: char| c.is_alphabetic()) => {
                    heading = false;
                    continue;
                }
                (None, _) => {
                    let wrong = format!("\"{first}\" is no time");
                    return Err(RequestError::new(at, wrong, RIGHT));
                }
                (_, None) => return Err(RequestError::new(at, "the frequency is missing", RIGHT)),
                (_, Some(_)) => {
                    return Err(RequestError::new(at, "the frequency is no number", RIGHT));
                }
            };
            heading = false;
            if let Some((before, _, line_before)) = rows.last()
                && *before >= time
            {
                let wrong = format!("is not later than line {line_before}");
                return Err(RequestError::new(at, wrong, "sort the table by time, one line each"));
            }
            rows.push((time, frequency, number));
        }
        if rows.is_empty() {
            return Err(RequestError::new(name, "holds no line of a table", RIGHT));
        }
        // A shift is at most some 1e-4 of the carrier (a velocity of 30 km/s).
        let largest = rows.iter().fold(0.0f64, |most, (_, f, _)| most.max(f.abs()));
        let received = match carrier_hz {
            Some(carrier) => rows.iter().any(|(_, f, _)| (f - carrier).abs() < f.abs()),
            None if largest > 1e6 => {
                return Err(RequestError::new(
                    name,
                    "holds received frequencies, and the nominal one is not known",
                    "give the carrier with --frequency HZ, or a table of Doppler shifts",
                ));
            }
            None => false,
        };
        let base = if received { carrier_hz.unwrap_or(0.0) } else { 0.0 };
        if let Some(carrier) = carrier_hz
            && let Some((_, f, line)) =
                rows.iter().find(|(_, f, _)| (f - base).abs() > 2e-4 * carrier.abs() + 1e4)
        {
            return Err(RequestError::new(
                format!("{name}:{line}"),
                format!("{f} Hz is neither near {carrier} Hz nor a Doppler shift of it"),
                "give the table of this downlink, or its carrier with --frequency HZ",
            ));
        }
        let points = rows.into_iter().map(|(time, f, _)| (time, f - base)).collect();
        Ok(Self { points, received })
    }

    /// Whether the lines are frequencies as received; otherwise they are shifts.
    pub fn is_received(&self) -> bool {
        self.received
    }

    /// First and last instant.
    pub fn span(&self) -> (Timestamp, Timestamp) {
        let of = |point: Option<&(Timestamp, f64)>| point.map_or(Timestamp::UNIX_EPOCH, |p| p.0);
        (of(self.points.first()), of(self.points.last()))
    }
}

/// Unix time in seconds, or RFC 3339.
fn instant(text: &str) -> Option<Timestamp> {
    if let Ok(seconds) = text.parse::<f64>() {
        let duration = jiff::SignedDuration::try_from_secs_f64(seconds).ok()?;
        return Timestamp::from_duration(duration).ok();
    }
    text.parse().ok()
}

impl Prediction for Table {
    fn shift_hz(&self, time: Timestamp) -> Option<f64> {
        let points = &self.points;
        let next = points.partition_point(|(t, _)| *t <= time);
        let (Some(before), Some(later)) = (next.checked_sub(1), points.get(next)) else {
            return points.first().filter(|(t, _)| *t > time).or(points.last()).map(|p| p.1);
        };
        let (t0, y0) = points[before];
        let (t1, y1) = *later;
        let width = seconds_between(t0, t1);
        let slope =
            |a: (Timestamp, f64), b: (Timestamp, f64)| (b.1 - a.1) / seconds_between(a.0, b.0);
        let m0 =
            before.checked_sub(1).map_or(slope((t0, y0), (t1, y1)), |i| slope(points[i], (t1, y1)));
        let m1 = points.get(next + 1).map_or(slope((t0, y0), (t1, y1)), |p| slope((t0, y0), *p));
        // Hermite's cubic.
        let x = seconds_between(t0, time) / width;
        let (x2, x3) = (x * x, x * x * x);
        Some(
            (2.0 * x3 - 3.0 * x2 + 1.0) * y0
                + (x3 - 2.0 * x2 + x) * width * m0
                + (3.0 * x2 - 2.0 * x3) * y1
                + (x3 - x2) * width * m1,
        )
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::doppler::refine::tests::{Flyby, time};

    fn error(text: &str, carrier_hz: Option<f64>) -> String {
        Table::parse("t.txt", text, carrier_hz).unwrap_err().to_string()
    }

    #[test]
    fn follows_a_pass_between_the_lines() {
        for (base, carrier) in [(0.0, None), (0.0, Some(437.5e6)), (437.5e6, Some(437.5e6))] {
            let lines: String = (-300..=300)
                .map(|s| {
                    let f = base + Flyby::at(f64::from(s));
                    format!("{}\t{f:.3}\n", 1000 + s)
                })
                .collect();
            let table = Table::parse("t", &lines, carrier).unwrap();
            assert_eq!(table.is_received(), base > 0.0);
            for tenth in -2990..2990 {
                let s = f64::from(tenth) / 10.0;
                let error = table.shift_hz(time(s)).unwrap() - Flyby::at(s);
                assert!(error.abs() < 0.2, "{s}: {error}");
            }
            // Held outside.
            assert!((table.shift_hz(time(-1e4)).unwrap() - Flyby::at(-300.0)).abs() < 1e-3);
            assert!((table.shift_hz(time(1e6)).unwrap() - Flyby::at(300.0)).abs() < 1e-3);
        }
    }

    #[test]
    fn other_people_s_tables() {
        let text = "time,doppler\n# made by hand\n2026-01-01T00:00:00Z, 1.5\n\n1767225601;2.5 x\n";
        let table = Table::parse("t", text, None).unwrap();
        assert_eq!(table.points.len(), 2);
        assert_eq!(seconds_between(table.span().0, table.span().1), 1.0);
        assert_eq!(table.shift_hz(table.span().0), Some(1.5));
        let one = Table::parse("t", "5 7", None).unwrap();
        assert_eq!(one.shift_hz(Timestamp::UNIX_EPOCH), Some(7.0));
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        assert!(error("", None).starts_with("t.txt: holds no line"));
        assert!(error("1 2\nnoon 3\n", None).starts_with("t.txt:2: \"noon\" is no time"));
        assert!(error("1 2\n2\n", None).starts_with("t.txt:2: the frequency is missing"));
        assert!(error("1 2\n2 x\n", None).starts_with("t.txt:2: the frequency is no number"));
        assert!(error("1 2\n2 inf\n", None).contains("is no number"));
        assert!(error("5 2\n4 2\n", None).starts_with("t.txt:2: is not later than line 1"));
        assert!(error("1 2\n1 2\n", None).contains("not later"));
        assert!(error("1 437500000\n", None).contains("--frequency"));
        assert!(error("1 145e6\n", Some(437.5e6)).contains("neither near"));
    }

    proptest! {
        #[test]
        fn garbage(text in "[0-9.eE+ \n#,;:TZna-]{0,200}", carrier in proptest::option::of(any::<f64>())) {
            if let Ok(table) = Table::parse("x", &text, carrier) {
                let _ = table.shift_hz(Timestamp::UNIX_EPOCH);
                let _ = table.shift_hz(table.span().1);
            }
        }
    }
}
