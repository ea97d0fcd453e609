//! `tulpar identify`: whose signal is it?
//!
//! `--json` prints an object a line, the likeliest first:
//!
//! | key | meaning |
//! |---|---|
//! | `rank` | 1 for the likeliest; null below the horizon |
//! | `name`, `norad_id` | of the elements; null if they have none |
//! | `above_horizon` | it was up while the signal was heard; the keys below are null if not |
//! | `highest_elevation_deg` | while the signal was heard, degrees; also below the horizon |
//! | `rms_hz`, `median_hz` | residuals: root mean square, and median of the magnitude |
//! | `bias_hz`, `bias_ppm` | measured against predicted carrier |
//! | `late_s` | how late it is on its track |
//! | `behind_nats` | logarithm of the odds against it, given the best |
//! | `identified` | the verdict is clear, and this is the object |
//! | `residuals` | of the best, with `--residuals`: objects of `time`, `measured_hz`, `predicted_hz`, `residual_hz`, `sigma_hz` |
//!
//! The verdict is on standard error then.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::json;
use tulpar::RequestError;
use tulpar::doppler::correction::{Correction, Corrections};
use tulpar::doppler::elements::{Elements, Store};
use tulpar::doppler::identify::{Identification, Match, Verdict, identify};
use tulpar::doppler::orbit::Orbit;
use tulpar::doppler::refine::{Prior, Sighting};
use tulpar::doppler::station::Station;
use tulpar::source::{self, Source};

use super::decode::{Decoding, ModeArguments};
use super::heard::{self, Heard};
use super::recording::{Peeked, RecordingArguments};
use super::sky::{self, SkyArguments};
use super::{Outcome, complain};

/// Rows of the table.
const MOST_ROWS: usize = 20;
/// Names of objects below the horizon.
const MOST_NAMES: usize = 8;
/// A bias that no oscillator has: the carrier was not where it was taken to be.
const ODD_BIAS_PPM: f64 = 30.0;

/// Tell whose signal is in a recording, by its Doppler shift.
#[derive(clap::Args)]
#[command(
    after_help = "With a mode, the receiver's carriers are compared with the orbits; without, \
    a track in the spectrum.\n\n\
    JSON keys: rank, name, norad_id, above_horizon, highest_elevation_deg, rms_hz, median_hz \
    (residuals), bias_hz, bias_ppm, late_s, behind_nats, identified, residuals; null where there \
    is none."
)]
pub struct Arguments {
    /// Recording: WAV, SigMF (-meta, -data, archive or base name), raw, or - for standard input
    #[arg(value_name = "FILE")]
    file: Option<String>,
    #[command(flatten)]
    mode: ModeArguments,
    #[command(flatten)]
    sky: SkyArguments,
    /// Consider this object of the elements alone, by name or NORAD number; may be repeated
    #[arg(long, value_name = "NAME|NORAD", help_heading = "Orbit")]
    object: Vec<String>,
    #[command(flatten)]
    recording: RecordingArguments,
    /// Keep the best object's offsets for later passes, in this file or where replay looks for them
    #[arg(long, value_name = "FILE", num_args = 0..=1, help_heading = "Output")]
    save: Option<Option<PathBuf>>,
    /// Show every sighting: measured, predicted, residual
    #[arg(long, help_heading = "Output")]
    residuals: bool,
    /// Print objects as JSON, one a line
    #[arg(long, help_heading = "Output")]
    json: bool,
    /// Say nothing on standard error but errors
    #[arg(long, short, help_heading = "Output")]
    quiet: bool,
}

/// What is compared with what.
struct Case {
    name: String,
    station: Station,
    carrier_hz: f64,
    heard: Heard,
    found: Identification,
}

/// Measures, ranks, prints, saves.
pub fn run(arguments: &Arguments) -> anyhow::Result<Outcome> {
    let mode = &arguments.mode;
    let told = mode.satellite.is_some() || mode.flowgraph.is_some() || mode.modulation.is_some();
    let mut decoding = if told { mode.resolve()? } else { Decoding::default() };
    let options = arguments.recording.or(&decoding.input);
    let file = arguments.file.clone().or(decoding.input_file.take()).ok_or_else(|| {
        RequestError::new("FILE", "missing", "name a recording, or - for standard input")
    })?;
    let sky = arguments.sky.or(&decoding.tracking.elements, decoding.tracking.station.as_ref());
    let (source, first) = Peeked::open(source::open(&file, &options)?)?;
    let name = source.info().name.clone();
    if !source.info().complex {
        return Err(RequestError::new(
            &name,
            "is no IQ: a receiver before it was tuned already, and what is left tells no Doppler \
             shift",
            "give a recording of IQ samples",
        )
        .into());
    }
    let start = first.and_then(|anchor| anchor.time).ok_or_else(|| {
        RequestError::new(
            &name,
            "does not say when it begins",
            "add --start, for instance --start 2026-08-01T12:00:00Z",
        )
    })?;
    let (station, place_note) = sky.station()?;
    let store = sky.elements()?;
    let (orbits, mut notes) = candidates(&store, &arguments.object, start)?;
    notes.extend(place_note);
    notes.extend(store.warnings().iter().cloned());
    let centre_hz = first.and_then(|anchor| anchor.centre_frequency_hz);
    let mut heard = heard::listen(source, &mut decoding, arguments.mode.carrier, centre_hz)?;
    notes.append(&mut decoding.notes);
    notes.append(&mut heard.notes);
    if !arguments.quiet {
        notes.iter().for_each(|note| complain(note));
    }
    if heard.sightings.is_empty() {
        complain(&format!("{name}: no signal was found: nothing to compare with the orbits"));
        let failed = heard.stopped || arguments.save.is_some();
        return Ok(if failed { Outcome::Failed } else { Outcome::Done });
    }
    let carrier_hz = heard.carrier_hz;
    let bias_hz = heard.bias_hz;
    let prior = |orbit: &Orbit| {
        let prior = Prior::of_elements(carrier_hz, orbit.elements().age_days(start));
        Prior { bias_hz: bias_hz.unwrap_or(prior.bias_hz), ..prior }
    };
    let found = identify(&orbits, &station, carrier_hz, &heard.sightings, prior);
    if found.verdict == Verdict::NoneAbove {
        let objects = match &orbits[..] {
            [only] => format!("{} was", only.elements().label()),
            several => format!("none of the {} objects was", several.len()),
        };
        let negation = if orbits.len() == 1 { "not " } else { "" };
        return Err(RequestError::new(
            "--elements",
            format!("{objects} {negation}above the horizon while the signal was heard"),
            "are --start, --station and the elements right?",
        )
        .into());
    }
    let stopped = heard.stopped;
    let case = Case { name, station, carrier_hz, heard, found };
    let mut out = std::io::stdout().lock();
    if arguments.json {
        case.print_json(&mut out, arguments.residuals)?;
        if !arguments.quiet {
            complain(&case.verdict());
        }
    } else {
        case.print_table(&mut out, arguments.residuals)?;
    }
    out.flush()?;
    let saved = match &arguments.save {
        Some(file) => {
            let path = file.clone().or_else(sky::corrections_path).ok_or_else(|| {
                RequestError::new("--save", "there is no folder for it", "name a file")
            })?;
            case.save(&path, arguments.object.len() == 1, arguments.quiet)?
        }
        None => true,
    };
    Ok(if saved && !stopped { Outcome::Done } else { Outcome::Failed })
}

/// The objects that are compared, and what is to be said of those that cannot.
fn candidates(
    store: &Store,
    only: &[String],
    at: Timestamp,
) -> Result<(Vec<Arc<Orbit>>, Vec<String>), RequestError> {
    let sets: Vec<&Elements> = if only.is_empty() {
        store.objects(at)
    } else {
        only.iter().map(|text| store.find_written(text, at)).collect::<Result<_, _>>()?
    };
    let (mut orbits, mut refused) = (Vec::new(), Vec::new());
    for set in sets {
        match Orbit::new(set) {
            Ok(orbit) => orbits.push(Arc::new(orbit)),
            Err(error) => refused.push(error),
        }
    }
    let mut notes = Vec::new();
    match refused.into_iter().next() {
        Some(error) if orbits.is_empty() => return Err(error),
        Some(error) => notes.push(format!("left out: {error}")),
        None => {}
    }
    // The least old tell for all: most come from one file.
    let least = orbits.iter().min_by_key(|o| at.duration_since(o.epoch()).abs());
    notes.extend(least.and_then(|orbit| orbit.elements().age_warning(at)));
    Ok((orbits, notes))
}

/// An object's name for people.
fn called(of: &Match) -> String {
    of.orbit.name().map_or_else(|| format!("object {}", of.orbit.norad_id()), str::to_owned)
}

/// Odds of so many nats.
fn odds(nats: f64) -> String {
    match nats {
        n if n < 10f64.ln() => format!("{:.1} : 1", n.exp()),
        n if n < 1000f64.ln() => format!("{:.0} : 1", n.exp()),
        n if n.is_finite() => format!("e^{n:.0} : 1"),
        _ => "-".to_owned(),
    }
}

/// A number and a noun.
fn count(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

impl Case {
    fn up(&self) -> impl Iterator<Item = &Match> {
        self.found.matches.iter().filter(|m| m.above_horizon && m.fit.is_some())
    }

    fn down(&self) -> impl Iterator<Item = &Match> {
        self.found.matches.iter().filter(|m| !(m.above_horizon && m.fit.is_some()))
    }

    /// Measured against predicted carrier, parts per million.
    fn ppm(&self, bias_hz: f64) -> f64 {
        1e6 * bias_hz / self.carrier_hz
    }

    /// Median magnitude of an object's residuals.
    fn median_hz(&self, of: &Match) -> f64 {
        let left = self.found.residuals_hz(of, &self.station, self.carrier_hz);
        let mut left: Vec<f64> = left.into_iter().flatten().map(f64::abs).collect();
        left.sort_by(f64::total_cmp);
        left.get(left.len() / 2).copied().unwrap_or(0.0)
    }

    /// What can be said, in a line.
    fn verdict(&self) -> String {
        let mut up = self.up();
        let best = up.next().map(called).unwrap_or_default();
        let next = up.next().map(called);
        match self.found.verdict {
            Verdict::NothingSeen | Verdict::NoneAbove => "nothing to compare".to_owned(),
            Verdict::TooShort { bursts, span_s } => {
                let bursts = match bursts {
                    1 => "one burst".to_owned(),
                    several => format!("{several} bursts"),
                };
                format!(
                    "only {bursts} within {:.0} s: cannot tell, an error of the oscillators \
                     explains any frequency",
                    span_s.max(1.0)
                )
            }
            Verdict::NoFit { residual_hz } => {
                format!("no object fits: best residual {residual_hz:.0} Hz ({best})")
            }
            Verdict::Unclear { nats, candidates, by_bias_alone } => {
                let others = match candidates.saturating_sub(1) {
                    0 | 1 => next.unwrap_or_default(),
                    more => {
                        format!("{} and {} more", next.unwrap_or_default(), more.saturating_sub(1))
                    }
                };
                let verb = if candidates > 2 { "are" } else { "is" };
                if by_bias_alone {
                    return format!(
                        "{best} fits best, but for its carrier bias alone: others fit as well with \
                         another error of the oscillators"
                    );
                }
                format!(
                    "{best} fits best, odds {} only: {others} {verb} {} good",
                    odds(nats.max(0.0)),
                    if nats < 1.0 { "as" } else { "nearly as" }
                )
            }
            Verdict::Clear { nats } if nats.is_finite() => {
                format!("it is {best}: odds {} against {}", odds(nats), next.unwrap_or_default())
            }
            Verdict::Clear { .. } => {
                format!("{best} fits, and no other object was above the horizon")
            }
        }
    }

    fn print_table(&self, out: &mut impl Write, residuals: bool) -> std::io::Result<()> {
        let sightings = &self.found.sightings;
        let sigma_hz = {
            let mut sigmas: Vec<f64> = sightings.iter().map(|s| s.sigma_hz).collect();
            sigmas.sort_by(f64::total_cmp);
            sigmas.get(sigmas.len() / 2).copied().unwrap_or(0.0)
        };
        writeln!(
            out,
            "{}: {} within {:.0} s, ±{sigma_hz:.0} Hz, near {:.4} MHz, measured by {}",
            self.name,
            count(sightings.len(), "sighting"),
            self.heard.span_s().max(1.0),
            self.carrier_hz / 1e6,
            self.heard.by,
        )?;
        let width = self.up().take(MOST_ROWS).map(|m| called(m).chars().count()).max();
        let width = width.unwrap_or(0).clamp(6, 32);
        writeln!(
            out,
            "\n  # {:<width$}  NORAD  rms Hz  median Hz  bias Hz     ppm  late s  highest  behind",
            "object"
        )?;
        let Some(best) = self.up().next() else { return Ok(()) };
        for (index, m) in self.up().take(MOST_ROWS).enumerate() {
            let Some(fit) = m.fit else { continue };
            let behind = if index == 0 { "best".to_owned() } else { odds(m.behind_nats(best)) };
            writeln!(
                out,
                "{:>3} {:<width$} {:>6} {:>7.1} {:>10.1} {:>+8.0} {:>+7.2} {:>+7.2} {:>7.0}°  {behind}",
                index + 1,
                called(m),
                m.orbit.norad_id(),
                fit.rms_hz,
                self.median_hz(m),
                fit.bias_hz,
                self.ppm(fit.bias_hz),
                fit.late_s,
                m.highest_deg,
            )?;
        }
        let more = self.up().count().saturating_sub(MOST_ROWS);
        if more > 0 {
            writeln!(out, "    and {more} more (--json lists them)")?;
        }
        let down: Vec<String> = self.down().map(called).collect();
        if !down.is_empty() {
            let more = down.len().saturating_sub(MOST_NAMES);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            let names = down[..down.len().min(MOST_NAMES)].join(", ");
            writeln!(out, "below the horizon: {names}{more}")?;
        }
        if residuals {
            writeln!(
                out,
                "\n{:<24} {:>12} {:>12} {:>12} {:>9}",
                "time", "measured Hz", "predicted Hz", "residual Hz", "sigma Hz"
            )?;
            for (sighting, left) in self.residuals(best) {
                let time = format!("{:.3}", sighting.time);
                let number = |x: Option<f64>| x.map_or("-".to_owned(), |x| format!("{x:.1}"));
                writeln!(
                    out,
                    "{time:<24} {:>12.1} {:>12} {:>12} {:>9.1}",
                    sighting.shift_hz,
                    number(left.map(|r| sighting.shift_hz - r)),
                    number(left),
                    sighting.sigma_hz
                )?;
            }
        }
        writeln!(out, "\n{}", self.verdict())
    }

    fn residuals(&self, of: &Match) -> Vec<(&Sighting, Option<f64>)> {
        let left = self.found.residuals_hz(of, &self.station, self.carrier_hz);
        self.found.sightings.iter().zip(left).collect()
    }

    fn print_json(&self, out: &mut impl Write, residuals: bool) -> std::io::Result<()> {
        let clear = matches!(self.found.verdict, Verdict::Clear { .. });
        let best = self.up().next();
        let mut rank = 0;
        for m in &self.found.matches {
            let fit = m.fit.filter(|_| m.above_horizon);
            rank += usize::from(fit.is_some());
            let norad_id = Some(m.orbit.norad_id()).filter(|id| *id != 0);
            let highest_deg = Some(m.highest_deg).filter(|deg| deg.is_finite());
            let behind = best.map(|best| m.behind_nats(best)).filter(|nats| nats.is_finite());
            let mut line = json!({
                "rank": fit.map(|_| rank),
                "name": m.orbit.name(),
                "norad_id": norad_id,
                "above_horizon": m.above_horizon,
                "highest_elevation_deg": highest_deg,
                "rms_hz": fit.map(|f| f.rms_hz),
                "median_hz": fit.map(|_| self.median_hz(m)),
                "bias_hz": fit.map(|f| f.bias_hz),
                "bias_ppm": fit.map(|f| self.ppm(f.bias_hz)),
                "late_s": fit.map(|f| f.late_s),
                "behind_nats": behind,
                "identified": clear && rank == 1 && fit.is_some(),
            });
            if residuals && rank == 1 && fit.is_some() {
                let left: Vec<_> = self
                    .residuals(m)
                    .into_iter()
                    .map(|(s, left)| {
                        json!({
                            "time": s.time.to_string(),
                            "measured_hz": s.shift_hz,
                            "predicted_hz": left.map(|r| s.shift_hz - r),
                            "residual_hz": left,
                            "sigma_hz": s.sigma_hz,
                        })
                    })
                    .collect();
                line["residuals"] = json!(left);
            }
            writeln!(out, "{line}")?;
        }
        Ok(())
    }

    /// Writes the best object's offsets into a file of corrections. `false`: it was refused, and
    /// said why.
    fn save(&self, path: &Path, chosen: bool, quiet: bool) -> Result<bool, RequestError> {
        let refuse = |why: String| {
            complain(&format!("not saved: {why}"));
            Ok(false)
        };
        let Some((best, fit)) = self.up().next().and_then(|m| Some((m, m.fit?))) else {
            return refuse("there is nothing to save".to_owned());
        };
        let clear = matches!(self.found.verdict, Verdict::Clear { .. });
        if matches!(self.found.verdict, Verdict::NoFit { .. }) {
            return refuse(self.verdict());
        }
        if !clear && !chosen {
            return refuse(format!("{}; say which with --object NAME|NORAD", self.verdict()));
        }
        let norad_id = best.orbit.norad_id();
        if norad_id == 0 {
            return refuse(format!("the elements of {} have no NORAD number", called(best)));
        }
        let bias_ppm = self.ppm(fit.bias_hz);
        if self.heard.bias_hz.is_some() && bias_ppm.abs() > ODD_BIAS_PPM {
            return refuse(format!(
                "the carrier is {bias_ppm:+.0} ppm from the recording's centre: say where the \
                 satellite sends with --carrier HZ"
            ));
        }
        let name = path.display().to_string();
        let mut corrections = if path.exists() {
            let text = std::fs::read_to_string(path).map_err(|error| {
                RequestError::new(&name, format!("cannot be read ({error})"), "mend or remove it")
            })?;
            Corrections::parse(&name, &text)?
        } else {
            Corrections::default()
        };
        let last = self.found.sightings.last().map_or(Timestamp::UNIX_EPOCH, |s| s.time);
        corrections.set(Correction {
            norad_id,
            bias_ppm,
            late_s: fit.late_s,
            elements_epoch: best.orbit.epoch(),
            measured: last,
        });
        if let Err(error) = write_whole(path, &corrections.to_toml()) {
            return refuse(format!("{name} cannot be written ({error})"));
        }
        if !quiet {
            complain(&format!(
                "{}: carrier {bias_ppm:+.2} ppm, {:+.2} s late, saved in {name}",
                called(best),
                fit.late_s
            ));
        }
        Ok(true)
    }
}

/// Puts a file in place in one step: whoever reads it sees the old one or the new one.
fn write_whole(path: &Path, text: &str) -> std::io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    std::fs::create_dir_all(folder)?;
    let mut new = path.as_os_str().to_owned();
    new.push(format!(".{}.new", std::process::id()));
    let new = PathBuf::from(new);
    let mut file = std::fs::File::create(&new)?;
    let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
    drop(file);
    let placed = written.and_then(|()| std::fs::rename(&new, path));
    if placed.is_err() {
        let _ = std::fs::remove_file(&new);
    }
    placed
}
