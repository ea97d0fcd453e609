//! What is said of a pass when it is over, as JSON.
//!
//! Counts are of everything; lists are bounded: [`MOST_POINTS`] frames and lines of the waterfall.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;

use super::waterfall::Waterfall;
use crate::frame::{Check, Frame, Origin};
use crate::sink::jsonl::rfc3339;

/// Frames that are listed one by one.
pub const MOST_POINTS: usize = 20_000;

/// A frame in the list.
#[derive(Debug, Clone, PartialEq)]
struct Heard {
    time: Option<Timestamp>,
    downlink: usize,
    esn0_db: f32,
    frequency_offset_hz: f64,
    doppler_hz: Option<f64>,
}

/// Frames as they come.
#[derive(Debug, Clone, Default)]
pub struct Log {
    /// Where they may come from, and its carrier.
    downlinks: Vec<(Arc<Origin>, Option<f64>)>,
    heard: Vec<Heard>,
    counts: BTreeMap<(usize, &'static str), u64>,
    frames: u64,
}

impl Log {
    /// For frames of these downlinks with their carriers, if they are known.
    pub fn new(downlinks: Vec<(Arc<Origin>, Option<f64>)>) -> Self {
        Self { downlinks, ..Self::default() }
    }

    /// Notes a frame.
    pub fn push(&mut self, frame: &Frame) {
        let known = self.downlinks.iter().position(|(origin, _)| *origin == frame.origin);
        let downlink = known.unwrap_or_else(|| {
            self.downlinks.push((frame.origin.clone(), None));
            self.downlinks.len() - 1
        });
        self.frames += 1;
        let check = match frame.check {
            check if frame.is_doubtful() && check == Check::Crc => "crc, doubtful",
            check => check.as_str(),
        };
        *self.counts.entry((downlink, check)).or_default() += 1;
        if self.heard.len() < MOST_POINTS {
            self.heard.push(Heard {
                time: frame.time,
                downlink,
                esn0_db: frame.esn0_db,
                frequency_offset_hz: frame.frequency_offset_hz,
                doppler_hz: frame.doppler_hz,
            });
        }
    }

    /// Number of frames.
    pub fn frames(&self) -> u64 {
        self.frames
    }

    /// When and on which frequency frames came, where both are known.
    pub fn marks(&self) -> Vec<(Timestamp, f64)> {
        let mark = |heard: &Heard| {
            let carrier_hz = self.downlinks.get(heard.downlink)?.1?;
            let shift_hz = heard.doppler_hz.unwrap_or(0.0) + heard.frequency_offset_hz;
            Some((heard.time?, carrier_hz + shift_hz))
        };
        self.heard.iter().filter_map(mark).collect()
    }

    fn label(&self, downlink: usize) -> String {
        let Some((origin, _)) = self.downlinks.get(downlink) else { return String::new() };
        origin.downlink.clone().unwrap_or_else(|| origin.framing.clone())
    }

    fn counts(&self) -> Vec<DownlinkCount> {
        let mut counts: Vec<DownlinkCount> = (0..self.downlinks.len())
            .map(|downlink| DownlinkCount {
                downlink: self.label(downlink),
                frequency_hz: self.downlinks[downlink].1,
                frames: 0,
                by_check: BTreeMap::new(),
            })
            .collect();
        for ((downlink, check), count) in &self.counts {
            if let Some(entry) = counts.get_mut(*downlink) {
                entry.frames += count;
                entry.by_check.insert(check, *count);
            }
        }
        counts
    }

    fn points(&self) -> Vec<FramePoint> {
        self.heard
            .iter()
            .map(|heard| FramePoint {
                time: heard.time.map(rfc3339),
                downlink: self.label(heard.downlink),
                esn0_db: rounded(f64::from(heard.esn0_db), 2),
                frequency_offset_hz: rounded(heard.frequency_offset_hz, 1),
                doppler_hz: heard.doppler_hz.and_then(|hz| rounded(hz, 1)),
            })
            .collect()
    }
}

/// To so many digits; `None` if it is no number.
fn rounded(x: f64, digits: i32) -> Option<f64> {
    let scale = 10f64.powi(digits);
    Some((x * scale).round() / scale + 0.0).filter(|x| x.is_finite())
}

/// A span of time, RFC 3339.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Span {
    /// Its beginning.
    pub from: String,
    /// Its end.
    pub to: String,
}

impl Span {
    /// From one instant to another.
    pub fn new(from: Timestamp, to: Timestamp) -> Self {
        Self { from: rfc3339(from), to: rfc3339(to) }
    }
}

/// Frames of one downlink.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DownlinkCount {
    /// Its label.
    pub downlink: String,
    /// Its carrier, if it is known.
    pub frequency_hz: Option<f64>,
    /// All of them.
    pub frames: u64,
    /// By what vouches for them.
    pub by_check: BTreeMap<&'static str, u64>,
}

/// A frame in the list.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FramePoint {
    /// When it began, RFC 3339.
    pub time: Option<String>,
    /// Label of its downlink.
    pub downlink: String,
    /// Es/N0 per channel symbol.
    pub esn0_db: Option<f64>,
    /// Carrier against where it was looked for.
    pub frequency_offset_hz: Option<f64>,
    /// Doppler shift that was taken out before.
    pub doppler_hz: Option<f64>,
}

/// The level of the samples over time.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Level {
    /// Of the first value.
    pub start: Option<String>,
    /// Between values.
    pub step_s: f64,
    /// Mean power against full scale; `null` where samples are missing.
    pub dbfs: Vec<Option<f64>>,
}

/// What the frames said about the prediction.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct FitReport {
    /// Carrier against its prediction.
    pub bias_hz: f64,
    /// How late the satellite is on its track; negative: early.
    pub late_s: f64,
}

/// An attempt at a pass that got no sample.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Attempt {
    /// When it began, RFC 3339.
    pub time: String,
    /// What went wrong, one line each.
    pub failures: Vec<String>,
}

impl Attempt {
    /// Begun then.
    pub fn new(began: Timestamp, failures: Vec<String>) -> Self {
        Self { time: rfc3339(began), failures }
    }
}

/// A pass, when it is over.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct PassReport {
    /// Whose.
    pub satellite: String,
    /// Its number, if it has one.
    pub norad_id: Option<u32>,
    /// Which radio.
    pub radio: String,
    /// The device of it.
    pub device: String,
    /// When reception was planned.
    pub planned: Option<Span>,
    /// When it took place: from the first sample on.
    pub received: Option<Span>,
    /// When the satellite was above the horizon.
    pub pass: Option<Span>,
    /// How high it came, degrees.
    pub highest_elevation_deg: f64,
    /// Epoch of its elements.
    pub elements_epoch: String,
    /// Frames in all.
    pub frames: u64,
    /// Frames by downlink and check.
    pub downlinks: Vec<DownlinkCount>,
    /// Samples per second.
    pub sample_rate_hz: Option<f64>,
    /// Frequency at 0 Hz of the samples.
    pub centre_frequency_hz: Option<f64>,
    /// Samples read.
    pub samples: u64,
    /// Samples that the radio did not deliver.
    pub missing_samples: u64,
    /// Samples that this computer was too slow for.
    pub lost_samples: u64,
    /// Share of the samples that were at full scale, 0 to 1.
    pub clipped_share: f64,
    /// What the frames said about the prediction.
    pub doppler_fit: Option<FitReport>,
    /// Recordings (`.sigmf-meta`).
    pub recordings: Vec<String>,
    /// File of the frames.
    pub frames_file: Option<String>,
    /// File of the picture.
    pub picture: Option<String>,
    /// Attempts before this one, none of which got a sample.
    pub attempts: Vec<Attempt>,
    /// What went wrong, one line each.
    pub failures: Vec<String>,
    /// What else there is to know, one line each.
    pub notes: Vec<String>,
    /// How strong the samples were.
    pub level: Level,
    /// Frames one by one.
    pub frame_list: Vec<FramePoint>,
}

impl PassReport {
    /// Takes over what was counted.
    pub fn add(&mut self, log: &Log, waterfall: Option<&Waterfall>) {
        self.frames = log.frames();
        self.downlinks = log.counts();
        self.frame_list = log.points();
        if let Some(waterfall) = waterfall {
            self.level = Level {
                start: waterfall.time(0).map(rfc3339),
                step_s: waterfall.line_s(),
                dbfs: (0..waterfall.lines())
                    .map(|line| waterfall.level_dbfs(line).and_then(|db| rounded(db, 1)))
                    .collect(),
            };
        }
    }

    /// As JSON, in lines.
    pub fn to_json(&self) -> String {
        // Nothing in it can fail to be written.
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }

    /// In one line.
    pub fn said(&self) -> String {
        let plural = if self.frames == 1 { "" } else { "s" };
        let mut line = format!("{}: {} frame{plural}", self.satellite, self.frames);
        let rate_hz = self.sample_rate_hz.unwrap_or(f64::INFINITY);
        for (samples, what) in
            [(self.missing_samples, "missing"), (self.lost_samples, "lost, too slow a computer")]
        {
            if samples > 0 {
                line += &format!("; {:.3} s {what}", samples as f64 / rate_hz);
            }
        }
        for failure in &self.failures {
            line += &format!("; {failure}");
        }
        line
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;
    use crate::frame::testing::bare_frame;

    fn origin(label: &str) -> Arc<Origin> {
        Arc::new(Origin { downlink: Some(label.into()), ..Origin::default() })
    }

    #[test]
    fn frames_are_counted_by_downlink_and_check() {
        let (a, b) = (origin("a"), origin("b"));
        let mut log = Log::new(vec![(a.clone(), Some(437e6)), (b, None)]);
        for k in 0..MOST_POINTS + 5 {
            let time = (k > 0).then_some("2026-11-22T12:00:00Z".parse().unwrap());
            let check = if k % 2 == 0 { Check::Crc } else { Check::None };
            let doppler_hz = Some(500.0);
            let frequency_offset_hz = if k == 1 { f64::NAN } else { 10.0 };
            log.push(&Frame {
                origin: a.clone(),
                time,
                check,
                doppler_hz,
                frequency_offset_hz,
                ..bare_frame()
            });
        }
        log.push(&bare_frame());
        let mut report = PassReport::default();
        report.add(&log, Some(&Waterfall::new(1e3, -1.0, 1.0)));
        let value: serde_json::Value = serde_json::from_str(&report.to_json()).unwrap();
        assert_eq!(value["frames"], 20_006);
        assert_eq!(value["downlinks"][0]["by_check"]["crc"], 10_003);
        assert_eq!(value["downlinks"][1]["frames"], 0);
        assert_eq!(value["downlinks"][2]["frames"], 1);
        assert_eq!(value["frame_list"].as_array().unwrap().len(), MOST_POINTS);
        assert!(value["frame_list"][1]["frequency_offset_hz"].is_null());
        assert!(value["frame_list"][0]["esn0_db"].is_null());
        let marks = log.marks();
        assert_eq!(marks.len(), MOST_POINTS - 1);
        assert_eq!(marks[1].1, 437e6 + 510.0);
        report.failures.push("the disk is full".into());
        report.missing_samples = 5;
        report.sample_rate_hz = Some(1e3);
        assert_eq!(report.said(), ": 20006 frames; 0.005 s missing; the disk is full");
    }
}
