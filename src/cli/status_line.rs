//! The line at the bottom of a terminal while samples come in.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use tulpar::doppler::lookout::Overhead;
use tulpar::receiver::diagnosis::{Diagnosis, diagnose};
use tulpar::runtime::status::Snapshot;

/// From this share of clipped samples on they are shown, and from the next on in words.
const CLIPPING: f64 = 1e-4;

/// Everything one looks at beside a radio: `sets in 4:32, el 23°, Doppler +3.2 kHz, -21 dBFS,
/// Es/N0 12.3 dB, 7 frames`.
pub fn live(shown: &Snapshot, now: Timestamp) -> String {
    let mut parts = Vec::new();
    if let Some(overhead) = &shown.overhead {
        parts.extend(until(overhead, now));
        parts.push(format!("el {:.0}°", overhead.elevation_deg));
    }
    let active = || shown.downlinks.iter().filter(|downlink| downlink.active);
    if let Some(hz) = active().find_map(|downlink| downlink.doppler_hz) {
        parts.push(format!("Doppler {:+.1} kHz", hz / 1e3));
    }
    if shown.input.heard.is_none() {
        parts.push("no samples yet".to_owned());
    } else if shown.input.now.samples > 0 {
        let dbfs = shown.input.now.dbfs();
        parts.push(if dbfs.is_finite() { format!("{dbfs:.0} dBFS") } else { "silence".to_owned() });
        let clipped = shown.input.now.clipped_share();
        if clipped >= CLIPPING {
            parts.push(format!("{:.2} % clipped", 100.0 * clipped));
        }
    }
    let last = active().filter_map(|downlink| downlink.last_frame).max_by_key(|last| last.time);
    if let Some(last) = last.filter(|last| last.esn0_db.is_finite()) {
        parts.push(format!("Es/N0 {:.1} dB", last.esn0_db));
    }
    parts.push(frames(shown));
    parts.join(", ")
}

/// While a recording is read: frames, and what was lost.
pub fn frames(shown: &Snapshot) -> String {
    let plural = if shown.frames() == 1 { "" } else { "s" };
    let mut line = format!("{} frame{plural}", shown.frames());
    let lost = shown.input.missing + shown.input.lost;
    if lost > 0 && shown.input.sample_rate_hz > 0.0 {
        line += &format!(", {:.3} s lost", lost as f64 / shown.input.sample_rate_hz);
    }
    line
}

/// Says once in a while why nothing is decoded.
#[derive(Default)]
pub struct Reporter {
    /// When it looked last, and what it saw then.
    before: Option<(Instant, Snapshot)>,
    /// What was said last, and when.
    said: Option<(&'static str, Instant)>,
}

/// How often it looks.
const LOOK: Duration = Duration::from_secs(60);
/// The same thing is not said more often.
const REPEAT: Duration = Duration::from_secs(600);

impl Reporter {
    /// What there is to say, if there is something.
    pub fn report(&mut self, shown: &Snapshot, now: Instant) -> Option<String> {
        let Some((looked, before)) = &self.before else {
            self.before = Some((now, shown.clone()));
            return None;
        };
        if now.saturating_duration_since(*looked) < LOOK {
            return None;
        }
        let seen =
            shown.evidence_since(before).iter().map(diagnose).max_by_key(Diagnosis::progress);
        self.before = Some((now, shown.clone()));
        let seen = seen?;
        // What is below the horizon cannot be heard.
        let down = shown.overhead.is_some_and(|overhead| overhead.elevation_deg < 0.0);
        let of_the_radio = seen.progress() <= Diagnosis::Clipping { share: 0.0 }.progress();
        if seen == Diagnosis::Frames || down && !of_the_radio {
            self.said = None;
            return None;
        }
        let old = |(word, when): (&str, Instant)| {
            word == seen.word() && now.saturating_duration_since(when) < REPEAT
        };
        if self.said.is_some_and(old) {
            return None;
        }
        self.said = Some((seen.word(), now));
        Some(format!("no frames in the last minute: {}; {}", seen.seen(), seen.advice(true)))
    }
}

/// Time to the next pass, or to the end of this one.
fn until(overhead: &Overhead, now: Timestamp) -> Option<String> {
    let (what, time) = match (overhead.sets, overhead.rises) {
        (Some(sets), _) => ("sets", sets),
        (None, Some(rises)) => ("pass", rises),
        (None, None) => return Some("no pass within a day".to_owned()),
    };
    let seconds = time.duration_since(now).as_secs().max(0);
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    Some(match hours {
        0 => format!("{what} in {minutes}:{seconds:02}"),
        _ => format!("{what} in {hours}:{minutes:02}:{seconds:02}"),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use std::sync::Arc;

    use tulpar::dsp::level::Level;
    use tulpar::runtime::status::DownlinkStatus;

    use super::*;

    #[test]
    fn what_is_wrong_is_said_once_and_again_when_it_changes() {
        let mut shown = Snapshot::default();
        let began = Instant::now();
        let mut reporter = Reporter::default();
        let mut said = Vec::new();
        // No downlink, nothing to say.
        for minute in 0..3u32 {
            assert_eq!(reporter.report(&shown, began + minute * LOOK), None);
        }
        shown.downlinks.push(DownlinkStatus::new(Arc::default(), Some(437.5e6)));
        for minute in 3..30u32 {
            shown.input.samples += u64::from(minute >= 5);
            shown.input.total.add(&Level {
                samples: 1000,
                energy: 1.0,
                clipped: if minute > 25 { 500 } else { 0 },
            });
            // Nothing is up for a while.
            let elevation_deg = if minute == 20 { -1.0 } else { 10.0 };
            shown.overhead =
                Some(Overhead { azimuth_deg: 0.0, elevation_deg, rises: None, sets: None });
            let line = reporter.report(&shown, began + minute * LOOK);
            said.extend(line.map(|line| (minute, line)));
        }
        let minutes: Vec<u32> = said.iter().map(|(minute, _)| *minute).collect();
        assert_eq!(minutes, [3, 5, 15, 21, 26], "{said:?}");
        assert!(said[0].1.contains("no samples come; check that the radio"));
        assert!(said[1].1.contains("in the last minute: no signal was found; check antenna"));
        assert!(said[4].1.contains("50.0 % of the samples are at full scale; lower --gain"));
    }

    #[test]
    fn a_line_says_what_is_known_and_nothing_else() {
        let now: Timestamp = "2026-03-01T12:00:00Z".parse().unwrap();
        let mut shown = Snapshot::default();
        assert_eq!(live(&shown, now), "no samples yet, 0 frames");
        shown.input.heard = Some(Instant::now());
        shown.input.sample_rate_hz = 1000.0;
        shown.input.now = Level { samples: 1000, energy: 10.0, clipped: 0 };
        assert_eq!(live(&shown, now), "-20 dBFS, 0 frames");
        shown.input.now = Level { samples: 1000, energy: 500.0, clipped: 20 };
        shown.input.missing = 1500;
        shown.overhead = Some(Overhead {
            azimuth_deg: 180.0,
            elevation_deg: 23.4,
            rises: None,
            sets: "2026-03-01T12:04:32Z".parse().ok(),
        });
        assert_eq!(
            live(&shown, now),
            "sets in 4:32, el 23°, -3 dBFS, 2.00 % clipped, 0 frames, 1.500 s lost"
        );
        let overhead = shown.overhead.as_mut().unwrap();
        (overhead.sets, overhead.rises) = (None, "2026-03-01T15:04:05Z".parse().ok());
        assert!(live(&shown, now).starts_with("pass in 3:04:05, el 23°"));
        shown.overhead.as_mut().unwrap().rises = None;
        shown.input.now = Level { samples: 10, ..Level::default() };
        assert!(live(&shown, now).starts_with("no pass within a day, el 23°, silence"));
    }
}
