//! What a [`Status`](super::status::Status) says, as Prometheus reads it, and whether all is well.
//!
//! The text is the exposition format 0.0.4: `# HELP`, `# TYPE`, then a line a series. Counters go on
//! from session to session. Health is no more than three questions: do samples flow, do the
//! flowgraphs work on them, do the sinks take the frames?

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::status::{DownlinkStatus, SinkStatus, Snapshot};
use crate::framing::Reject;

/// Without samples, or without progress, for so long all is not well.
const PATIENCE: Duration = Duration::from_secs(5);
/// Until the first sample so much longer: radios take their time.
const FIRST_PATIENCE: Duration = Duration::from_secs(15);

/// Kinds of metrics.
#[derive(Clone, Copy)]
enum Kind {
    Counter,
    Gauge,
}

/// The page being written.
struct Page(String);

impl Page {
    /// A metric with its series: labels (`{…}` or nothing) and values. Without series it is left
    /// out.
    fn metric(&mut self, kind: Kind, name: &str, help: &str, series: &[(String, f64)]) {
        if series.is_empty() {
            return;
        }
        let word = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
        };
        // Writing to a string does not fail.
        let _ = write!(self.0, "# HELP tulpar_{name} {help}\n# TYPE tulpar_{name} {word}\n");
        for (labels, value) in series {
            let _ = match value {
                x if x.is_nan() => writeln!(self.0, "tulpar_{name}{labels} NaN"),
                x if x.is_infinite() => {
                    let sign = if *x > 0.0 { '+' } else { '-' };
                    writeln!(self.0, "tulpar_{name}{labels} {sign}Inf")
                }
                x => writeln!(self.0, "tulpar_{name}{labels} {x}"),
            };
        }
    }
}

/// `{radio="x",a="y"}`, with the values escaped; nothing if there is no label.
fn labels(radio: &str, pairs: &[(&str, &str)]) -> String {
    let radio = (!radio.is_empty()).then_some(("radio", radio));
    let pairs: Vec<String> = radio
        .iter()
        .chain(pairs)
        .map(|(key, value)| {
            let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            format!("{key}=\"{value}\"")
        })
        .collect();
    if pairs.is_empty() { String::new() } else { format!("{{{}}}", pairs.join(",")) }
}

/// How often a name was there, by what it belongs to and itself.
type Taken = BTreeMap<(String, String), u32>;

/// A name, with a number if it was there before.
fn distinct(taken: &mut Taken, of: &str, name: &str) -> String {
    let count = taken.entry((of.to_owned(), name.to_owned())).or_default();
    *count += 1;
    if *count > 1 { format!("{name} ({count})") } else { name.to_owned() }
}

/// Satellite and name of every downlink; no two are the same.
fn names(downlinks: &[DownlinkStatus]) -> Vec<(String, String)> {
    let mut taken = Taken::new();
    let name = |downlink: &DownlinkStatus| {
        let origin = &downlink.origin;
        let mode = format!("{} {} {}", origin.modulation, origin.symbol_rate_bd, origin.framing);
        let satellite = origin.satellite.clone().unwrap_or_default();
        let name = origin.downlink.as_ref().unwrap_or(&mode);
        let name = distinct(&mut taken, &satellite, name);
        (satellite, name)
    };
    downlinks.iter().map(name).collect()
}

/// A status, and the name of the radio that it is of: empty if there is one and no name.
pub type Named<'a> = (&'a str, &'a Snapshot);

/// The series of all radios: every value with what is said of the radio and more labels.
struct Series<'a>(&'a [Named<'a>]);

impl Series<'_> {
    /// One series a radio.
    fn of_radios(&self, value: impl Fn(&Snapshot) -> Option<f64>) -> Vec<(String, f64)> {
        let series = |(radio, shown): &Named<'_>| Some((labels(radio, &[]), value(shown)?));
        self.0.iter().filter_map(series).collect()
    }

    /// One series a downlink.
    fn of_downlinks(&self, value: impl Fn(&DownlinkStatus) -> Option<f64>) -> Vec<(String, f64)> {
        self.0
            .iter()
            .flat_map(|(radio, shown)| {
                let names = names(&shown.downlinks);
                shown
                    .downlinks
                    .iter()
                    .zip(names)
                    .filter_map(|(downlink, (satellite, name))| {
                        let pairs = [("satellite", satellite.as_str()), ("downlink", &name)];
                        Some((labels(radio, &pairs), value(downlink)?))
                    })
                    .collect::<Vec<_>>()
            })
            .collect()
    }

    /// One series a sink.
    fn of_sinks(&self, value: impl Fn(&SinkStatus) -> u64) -> Vec<(String, f64)> {
        let mut series = Vec::new();
        for (radio, shown) in self.0 {
            let mut taken = Taken::new();
            for sink in &shown.sinks {
                let name = distinct(&mut taken, "", &sink.name);
                series.push((labels(radio, &[("sink", &name)]), value(sink) as f64));
            }
        }
        series
    }
}

/// The page for `/metrics`.
pub fn exposition(radios: &[Named<'_>]) -> String {
    use Kind::{Counter, Gauge};
    let mut page = Page(String::with_capacity(8192));
    let all = Series(radios);
    let version = labels("", &[("version", env!("CARGO_PKG_VERSION"))]);
    page.metric(Gauge, "build_info", "The program.", &[(version, 1.0)]);
    let mut each = |kind, name: &str, help: &str, value: &dyn Fn(&Snapshot) -> Option<f64>| {
        page.metric(kind, name, help, &all.of_radios(value));
    };
    let help = "1 while samples are received.";
    each(Gauge, "receiving", help, &|s| Some(f64::from(u8::from(s.running))));
    each(Counter, "samples_total", "Samples read.", &|s| Some(s.input.samples as f64));
    let help = "Samples that the radio lost, or that were not received during outages.";
    each(Counter, "samples_missing_total", help, &|s| Some(s.input.missing as f64));
    let help = "Samples that came too fast for a receiver.";
    each(Counter, "samples_lost_total", help, &|s| Some(s.input.lost as f64));
    each(Gauge, "sample_rate_hertz", "Samples per second.", &|s| Some(s.input.sample_rate_hz));
    let measured = |s: &Snapshot| s.running && s.input.now.samples > 0;
    let help = "Mean power of the samples; 0 is a carrier at full scale.";
    each(Gauge, "level_dbfs", help, &|s| measured(s).then(|| s.input.now.dbfs()));
    let help = "Share of the samples at full scale, 0 to 1.";
    each(Gauge, "clipped_ratio", help, &|s| measured(s).then(|| s.input.now.clipped_share()));
    let unix_s = |time: jiff::Timestamp| time.as_millisecond() as f64 / 1e3;
    let help = "Elevation of the satellite.";
    each(Gauge, "elevation_degrees", help, &|s| Some(s.overhead?.elevation_deg));
    each(Gauge, "azimuth_degrees", "Azimuth of the satellite.", &|s| Some(s.overhead?.azimuth_deg));
    let help = "When the satellite rises next, seconds of 1970.";
    each(Gauge, "rise_timestamp_seconds", help, &|s| s.overhead?.rises.map(unix_s));
    let help = "When the satellite sets, seconds of 1970.";
    each(Gauge, "set_timestamp_seconds", help, &|s| s.overhead?.sets.map(unix_s));
    downlinks(&mut page, &all);
    let delivered = all.of_sinks(|sink| sink.delivered);
    page.metric(Counter, "sink_delivered_total", "Frames delivered.", &delivered);
    let help = "Frames that could not be delivered.";
    page.metric(Counter, "sink_failed_total", help, &all.of_sinks(|sink| sink.failed));
    page.0
}

/// The metrics of the downlinks.
fn downlinks(page: &mut Page, all: &Series<'_>) {
    use Kind::{Counter, Gauge};
    let mut each =
        |kind, name: &str, help: &str, value: &dyn Fn(&DownlinkStatus) -> Option<f64>| {
            page.metric(kind, name, help, &all.of_downlinks(value));
        };
    each(Counter, "frames_total", "Frames received.", &|d| Some(d.frames as f64));
    let help = "Frames that are likely right and were left out.";
    each(Counter, "doubtful_frames_total", help, &|d| Some(d.counts().doubtful as f64));
    let help = "Runs of symbols that were taken for a signal.";
    each(Counter, "runs_total", help, &|d| Some(d.counts().runs as f64));
    let help = "Sync words that noise does not make.";
    each(Counter, "sync_words_total", help, &|d| Some(d.counts().sync_words as f64));
    let help = "How often the receiver was started anew.";
    each(Counter, "receiver_restarts_total", help, &|d| Some(d.restarts as f64));
    let help = "Doppler shift that is taken out.";
    each(Gauge, "doppler_hertz", help, &|d| d.doppler_hz.filter(|_| d.active));
    let help = "Time of the last frame, seconds of 1970.";
    each(Gauge, "last_frame_timestamp_seconds", help, &|d| {
        Some(d.last_frame?.time?.as_millisecond() as f64 / 1e3)
    });
    let help = "Es/N0 per channel symbol of the last frame.";
    each(Gauge, "last_frame_esn0_db", help, &|d| Some(f64::from(d.last_frame?.esn0_db)));
    let help = "Carrier of the last frame against where it was looked for.";
    each(Gauge, "last_frame_offset_hertz", help, &|d| Some(d.last_frame?.frequency_offset_hz));
    for (why, word) in Reject::ALL.iter().zip(["length", "header", "check", "uncorrectable"]) {
        let name = format!("rejected_{word}_total");
        let help = "Candidates for frames that were none, for this reason.";
        each(Counter, &name, help, &|d| Some(d.counts().rejected(*why) as f64));
    }
}

/// Whether all is well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Health {
    /// `receiving`, `idle`, or `failing`.
    pub status: &'static str,
    /// What is not well, one line each.
    pub reasons: Vec<String>,
}

impl Health {
    /// Whether nothing is wrong.
    pub fn is_well(&self) -> bool {
        self.reasons.is_empty()
    }
}

/// The answer to `/healthz` at an instant. While nothing is to be received all is well.
pub fn health(radios: &[Named<'_>], now: Instant) -> Health {
    let mut reasons = Vec::new();
    for (radio, shown) in radios {
        let of = if radio.is_empty() { String::new() } else { format!("radio {radio}: ") };
        reasons.extend(complaints(shown, now).into_iter().map(|reason| of.clone() + &reason));
    }
    let running = radios.iter().any(|(_, shown)| shown.running);
    let status = match (reasons.is_empty(), running) {
        (false, _) => "failing",
        (true, true) => "receiving",
        (true, false) => "idle",
    };
    Health { status, reasons }
}

/// What is not well with one radio's session.
fn complaints(shown: &Snapshot, now: Instant) -> Vec<String> {
    if !shown.running {
        return shown.hindrance.iter().cloned().collect();
    }
    let mut reasons = Vec::new();
    let ago = |then: Instant| now.saturating_duration_since(then);
    let begun = shown.began.map_or(Duration::ZERO, ago);
    match shown.input.heard.map(ago) {
        None if begun > FIRST_PATIENCE => reasons.push("no samples have come yet".to_owned()),
        Some(quiet) if quiet > PATIENCE => {
            reasons.push(format!("no samples for {} s", quiet.as_secs()));
        }
        None => {}
        Some(_) => {
            for (downlink, (_, name)) in shown.downlinks.iter().zip(names(&shown.downlinks)) {
                let worked = downlink.worked.map_or(begun, ago);
                if downlink.active && worked > PATIENCE {
                    reasons.push(format!("{name}: no progress for {} s", worked.as_secs()));
                }
            }
        }
    }
    let failing = shown.sinks.iter().filter(|sink| sink.failing);
    reasons.extend(failing.map(|sink| format!("{}: frames are not delivered", sink.name)));
    reasons
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use std::sync::Arc;

    use super::super::status::LastFrame;
    use super::*;
    use crate::doppler::lookout::Overhead;
    use crate::dsp::level::Level;
    use crate::frame::Origin;

    fn shown() -> Snapshot {
        let mut shown = Snapshot { running: true, ..Snapshot::default() };
        shown.input.samples = 12_345;
        shown.input.now = Level { samples: 100, energy: 1.0, clipped: 5 };
        let origin = Origin {
            satellite: Some("TUB\"SAT\\\n1".into()),
            downlink: Some("9k6".into()),
            ..Origin::default()
        };
        let mut downlink = DownlinkStatus::new(Arc::new(origin), Some(437.5e6));
        downlink.frames = 3;
        downlink.last_frame = Some(LastFrame {
            time: "2026-03-01T12:00:00.5Z".parse().ok(),
            esn0_db: f32::NAN,
            frequency_offset_hz: -12.5,
        });
        shown.downlinks = vec![downlink.clone(), downlink];
        let sink = SinkStatus { name: "udp 127.0.0.1:5000".into(), ..SinkStatus::default() };
        shown.sinks = vec![sink.clone(), sink];
        shown.overhead =
            Some(Overhead { azimuth_deg: 1.0, elevation_deg: -2.0, rises: None, sets: None });
        shown
    }

    #[test]
    fn the_page_is_one_that_prometheus_reads() {
        let page = exposition(&[("", &shown())]);
        for line in [
            "# HELP tulpar_samples_total Samples read.",
            "# TYPE tulpar_samples_total counter",
            "tulpar_samples_total 12345",
            "tulpar_level_dbfs -20",
            "tulpar_clipped_ratio 0.05",
            "tulpar_elevation_degrees -2",
            "tulpar_frames_total{satellite=\"TUB\\\"SAT\\\\\\n1\",downlink=\"9k6\"} 3",
            "tulpar_frames_total{satellite=\"TUB\\\"SAT\\\\\\n1\",downlink=\"9k6 (2)\"} 3",
            "tulpar_last_frame_esn0_db{satellite=\"TUB\\\"SAT\\\\\\n1\",downlink=\"9k6\"} NaN",
            "tulpar_sink_failed_total{sink=\"udp 127.0.0.1:5000 (2)\"} 0",
        ] {
            assert!(page.lines().any(|l| l == line), "no {line} in\n{page}");
        }
        // Each series once, each metric with its type before it, nothing else.
        let mut seen = std::collections::BTreeSet::new();
        let mut metric = "";
        for line in page.lines() {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                metric = rest.split(' ').next().unwrap();
            } else if !line.starts_with("# HELP ") {
                let (series, value) = line.rsplit_once(' ').unwrap();
                assert!(series.starts_with(metric) && !metric.is_empty(), "{line}");
                assert!(["NaN", "+Inf", "-Inf"].contains(&value) || value.parse::<f64>().is_ok());
                assert!(seen.insert(series.to_owned()), "{series} twice");
            }
        }
        assert!(page.ends_with('\n'));
        let two = exposition(&[("uhf", &shown()), ("s", &shown())]);
        assert!(two.contains(
            "tulpar_samples_total{radio=\"uhf\"} 12345\ntulpar_samples_total{radio=\"s\"}"
        ));
        assert_eq!(two.matches("# TYPE tulpar_frames_total").count(), 1);
        let nothing = exposition(&[("", &Snapshot::default())]);
        assert!(nothing.contains("tulpar_receiving 0\n") && !nothing.contains("level"));
    }

    #[test]
    fn health_names_what_is_not_well() {
        let began = Instant::now();
        let after = |seconds: u64| began + Duration::from_secs(seconds);
        let mut shown = shown();
        shown.began = Some(began);
        assert!(health(&[("", &shown)], after(10)).is_well());
        assert_eq!(health(&[("", &shown)], after(20)).reasons, ["no samples have come yet"]);
        shown.input.heard = Some(after(20));
        shown.downlinks[0].worked = Some(after(20));
        assert_eq!(health(&[("", &shown)], after(21)).reasons, ["9k6 (2): no progress for 21 s"]);
        shown.downlinks[1].worked = Some(after(20));
        assert_eq!(health(&[("", &shown)], after(21)).status, "receiving");
        shown.sinks[0].failing = true;
        let failing = health(&[("", &shown)], after(30));
        assert_eq!(failing.status, "failing");
        assert_eq!(failing.reasons.len(), 2);
        assert!(failing.reasons[0].contains("no samples for 10 s"));
        assert!(failing.reasons[1].contains("udp 127.0.0.1:5000"));
        assert!(
            health(&[("uhf", &shown)], after(30)).reasons[0].starts_with("radio uhf: no samples")
        );
        shown.running = false;
        assert_eq!(
            health(&[("", &shown)], after(1000)),
            Health { status: "idle", reasons: Vec::new() }
        );
        shown.hindrance = Some("no answer".to_owned());
        let absent = health(&[("uhf", &shown)], after(30));
        assert_eq!(
            (absent.status, &absent.reasons[..]),
            ("failing", &["radio uhf: no answer".to_owned()][..])
        );
    }
}
