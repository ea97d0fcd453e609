//! `tulpar passes`: when a satellite is above a station, where to look, and on which frequency.

mod calendar;
mod drawing;

use std::fs;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use jiff::{Timestamp, TimestampRound, Unit};
use serde_json::{Value, json};
use tulpar::RequestError;
use tulpar::catalogue::Catalogue;
use tulpar::doppler::elements::{Elements, Store};
use tulpar::doppler::orbit::Orbit;
use tulpar::doppler::passes::{Event, Pass, passes};
use tulpar::doppler::sky::observe;
use tulpar::doppler::station::Station;
use tulpar::doppler::{after, seconds_between};

use super::sky::{self, SkyArguments};
use super::{Outcome, complain, numbers};

/// Frequency of an object that the catalogue does not know.
const ASSUMED_HZ: f64 = 437.5e6;
/// Most objects of which each line of complaint is printed.
const MOST_COMPLAINTS: usize = 5;

/// Predict passes and Doppler over a station.
#[derive(clap::Args)]
#[command(after_long_help = KEYS)]
pub struct Arguments {
    #[command(flatten)]
    sky: SkyArguments,
    /// Name or NORAD number; may be repeated; all objects of the elements if not given
    #[arg(long, value_name = "NAME|NORAD")]
    satellite: Vec<String>,
    /// Nominal frequency; if not given, that of the satellite's first downlink in the catalogue
    #[arg(long, value_name = "HZ", value_parser = numbers::carrier, allow_negative_numbers = true)]
    frequency: Option<f64>,
    /// First instant, UTC; now if not given
    #[arg(long, value_name = "RFC3339", value_parser = numbers::instant, help_heading = "Passes")]
    start: Option<Timestamp>,
    /// How far to look
    #[arg(long, value_name = "N", default_value_t = 1.0, value_parser = numbers::between(0.0, 3653.0),
          allow_negative_numbers = true, help_heading = "Passes")]
    days: f64,
    /// Leave out passes that culminate lower
    #[arg(long, value_name = "DEG", default_value_t = 0.0, value_parser = numbers::between(-90.0, 90.0),
          allow_negative_numbers = true, help_heading = "Passes")]
    min_elevation: f64,
    /// Elevation at which an object rises and sets
    #[arg(long, value_name = "DEG", default_value_t = 0.0, value_parser = numbers::between(-10.0, 89.0),
          allow_negative_numbers = true, help_heading = "Passes")]
    horizon: f64,
    /// Print passes as JSON, one object per line
    #[arg(long, help_heading = "Output")]
    json: bool,
    /// Write the passes as a calendar (iCalendar)
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    ical: Option<PathBuf>,
    /// Instead of passes, print the Doppler curve of the next one, "unix_time frequency" a line, as
    /// --doppler file: reads it
    #[arg(long, conflicts_with = "json", help_heading = "Output")]
    curve: bool,
    /// Seconds between the lines of --curve
    #[arg(long, value_name = "S", default_value_t = 1.0, requires = "curve",
          value_parser = numbers::between(0.01, 3600.0), allow_negative_numbers = true,
          help_heading = "Output")]
    step: f64,
    /// Draw the Doppler curve and the elevation of the next pass
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    svg: Option<PathBuf>,
}

/// The keys of `--json`.
const KEYS: &str = "\
Times are UTC. Light time is in all figures; refraction is not. An object is sunlit while it sees the
centre of the Sun, and visible while it is sunlit and the Sun is 6 degrees below the horizon.

Keys of --json, one object a pass:
  satellite, norad_id            name and catalogue number, each if there is one
  frequency_hz                   for which Doppler shifts are given
  elements_epoch                 of the elements
  rise, culmination, set         objects with
      time                       RFC 3339, to a millisecond
      azimuth_deg, elevation_deg from north through east; above the horizon
      range_km                   distance
      range_rate_km_per_s        positive while it recedes
      doppler_hz                 received minus nominal frequency
      sunlit                     true or false
      sun_elevation_deg          of the Sun at the station
  duration_s                     from rise to set
  in_progress_at_start, in_progress_at_end
                                 rise or set is only the end of the time asked for
  visible                        true if the eye can see it at some instant of the pass
  eclipses                       objects with from and to: when it is in the Earth's shadow";

/// An object and what is said about it.
struct Object {
    orbit: Orbit,
    name: String,
    carrier_hz: f64,
    /// Neither asked for nor in the catalogue.
    carrier_is_assumed: bool,
}

/// A pass of an object.
struct Flight<'a> {
    object: &'a Object,
    pass: Pass,
}

/// Predicts, and prints in the form asked for.
pub fn run(arguments: &Arguments) -> anyhow::Result<Outcome> {
    let (station, notice) = arguments.sky.station()?;
    notice.iter().for_each(|notice| complain(notice));
    let now = Timestamp::now();
    let from = arguments.start.unwrap_or(now);
    let to = after(from, arguments.days * 86_400.0);
    let store = arguments.sky.elements()?;
    store.warnings().iter().for_each(|warning| complain(warning));
    let objects = objects(arguments, &store, from)?;
    warn_of_age(&objects, from);
    let flights = flights(arguments, &objects, &station, from, to)?;

    if let Some(path) = &arguments.ical {
        save(path, "--ical", &calendar::calendar(&flights, &station, now))?;
    }
    let next = flights.first();
    if let (Some(path), Some(flight)) = (&arguments.svg, next) {
        let drawing = drawing::draw(flight, &station).ok_or_else(|| {
            RequestError::new("--svg", "the pass cannot be drawn", "take newer elements")
        })?;
        save(path, "--svg", &drawing)?;
    }
    let mut out = BufWriter::new(io::stdout().lock());
    if let Some(flight) = next {
        if arguments.curve {
            print_curve(&mut out, flight, &station, arguments.step)?;
        } else if arguments.json {
            for flight in &flights {
                writeln!(out, "{}", record(flight))?;
            }
        } else {
            print_table(&mut out, &flights, &station, (from, to))?;
        }
        out.flush()?;
    } else {
        let least = match arguments.min_elevation {
            least if least > arguments.horizon => format!(" above {least} degrees"),
            _ => String::new(),
        };
        let whose = match &objects[..] {
            [only] => only.name.clone(),
            objects => format!("{} objects", objects.len()),
        };
        complain(&format!("no pass of {whose}{least} from {} to {}", day(from), day(to)));
    }
    Ok(Outcome::Done)
}

/// The objects asked for, or all there are.
fn objects(
    arguments: &Arguments,
    store: &Store,
    at: Timestamp,
) -> Result<Vec<Object>, RequestError> {
    let catalogue = Catalogue::load()?;
    let object = |elements: &Elements, known: Option<&tulpar::catalogue::Satellite>| {
        let known = known.or_else(|| {
            let number = Some(elements.norad_id).filter(|number| *number > 0);
            number.and_then(|_| catalogue.satellites().find(|s| s.norad_id == number))
        });
        let listed_hz = known.and_then(|s| s.downlinks.first()).map(|d| d.frequency_hz);
        let name = known.map(|satellite| satellite.name.clone());
        Ok(Object {
            orbit: Orbit::new(elements)?,
            name: name
                .or_else(|| elements.name.clone())
                .unwrap_or_else(|| format!("object {}", elements.norad_id)),
            carrier_hz: arguments.frequency.or(listed_hz).unwrap_or(ASSUMED_HZ),
            carrier_is_assumed: arguments.frequency.or(listed_hz).is_none(),
        })
    };
    if arguments.satellite.is_empty() {
        let mut objects = Vec::new();
        let mut wrong: Vec<RequestError> = Vec::new();
        for elements in store.objects(at) {
            match object(elements, None) {
                Ok(object) => objects.push(object),
                Err(error) => wrong.push(error),
            }
        }
        if objects.is_empty()
            && let Some(error) = wrong.first()
        {
            return Err(error.clone());
        }
        // Others can do without these.
        complain_of_some(wrong.iter().map(ToString::to_string));
        return Ok(objects);
    }
    let mut objects: Vec<Object> = Vec::new();
    for written in &arguments.satellite {
        let (elements, known) = match catalogue.find(written) {
            Ok(satellite) => match sky::elements_of(store, satellite, at) {
                Ok((elements, _)) => (elements, Some(satellite)),
                // Under a provisional number, perhaps.
                Err(error) => (store.find_written(written, at).map_err(|_| error)?, None),
            },
            // An object that only the elements know.
            Err(_) => (store.find_written(written, at)?, None),
        };
        if !objects.iter().any(|object| object.orbit.elements() == elements) {
            objects.push(object(elements, known)?);
        }
    }
    Ok(objects)
}

/// Says which elements are too old (or too new) for the time asked for.
fn warn_of_age(objects: &[Object], from: Timestamp) {
    complain_of_some(objects.iter().filter_map(|object| object.orbit.elements().age_warning(from)));
}

/// Some lines, and how many more there are.
fn complain_of_some(lines: impl IntoIterator<Item = String>) {
    let lines: Vec<String> = lines.into_iter().collect();
    lines.iter().take(MOST_COMPLAINTS).for_each(|line| complain(line));
    if lines.len() > MOST_COMPLAINTS {
        complain(&format!("{} more objects like these", lines.len() - MOST_COMPLAINTS));
    }
}

/// All passes, in the order of time.
///
/// # Errors
/// No object has an orbit at that time.
fn flights<'a>(
    arguments: &Arguments,
    objects: &'a [Object],
    station: &Station,
    from: Timestamp,
    to: Timestamp,
) -> Result<Vec<Flight<'a>>, RequestError> {
    let mut flights = Vec::new();
    let mut losses = Vec::new();
    for object in objects {
        let found = passes(&object.orbit, station, from, to, arguments.horizon);
        if let Some((time, error)) = found.lost {
            let nothing = time <= from && found.passes.is_empty();
            losses.push((nothing, object, time, error));
        }
        flights.extend(
            found
                .passes
                .into_iter()
                .filter(|pass| {
                    pass.culmination.observation.elevation_deg >= arguments.min_elevation
                })
                .map(|pass| Flight { object, pass }),
        );
    }
    if !objects.is_empty()
        && losses.iter().filter(|(nothing, ..)| *nothing).count() == objects.len()
        && let Some((_, object, _, error)) = losses.first()
    {
        return Err(RequestError::new(
            object.orbit.elements().source.clone(),
            format!("{}: {error}", object.orbit.elements().label()),
            "take newer elements, or another time with --start",
        ));
    }
    complain_of_some(losses.iter().map(|(_, object, time, error)| {
        format!("{}: no positions from {} on: {error}", object.name, day(*time))
    }));
    flights.sort_by_key(|flight| flight.pass.rise.time);
    Ok(flights)
}

fn save(path: &Path, option: &str, text: &str) -> Result<(), RequestError> {
    fs::write(path, text).map_err(|error| {
        RequestError::new(
            format!("{option} {}", path.display()),
            error.to_string(),
            "name a file that can be written",
        )
    })
}

/// The nearest tenth of a second.
fn tenth(time: Timestamp) -> Timestamp {
    let to = TimestampRound::new().smallest(Unit::Millisecond).increment(100);
    time.round(to).unwrap_or(time)
}

/// `12:00:00.0`
fn clock(time: Timestamp) -> String {
    tenth(time).strftime("%H:%M:%S%.1f").to_string()
}

/// `2026-08-01 12:00:00 UTC`
fn day(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// How the Sun shines on an object.
fn light(pass: &Pass) -> String {
    let dark_s: f64 = pass.eclipses.iter().map(|(from, to)| seconds_between(*from, *to)).sum();
    let light = match &pass.eclipses[..] {
        [] => "sunlit".to_owned(),
        _ if dark_s > pass.duration_s() - 0.01 => "eclipsed".to_owned(),
        [(from, _)] if *from > pass.rise.time => {
            format!("eclipsed from {}", from.strftime("%H:%M:%S"))
        }
        [(_, to)] => format!("eclipsed until {}", to.strftime("%H:%M:%S")),
        _ => "partly eclipsed".to_owned(),
    };
    if pass.visible { format!("{light}; visible") } else { light }
}

fn print_table(
    out: &mut impl Write,
    flights: &[Flight],
    station: &Station,
    (from, to): (Timestamp, Timestamp),
) -> io::Result<()> {
    let Station { latitude_deg, longitude_deg, altitude_m } = station;
    writeln!(
        out,
        "Station {latitude_deg:.4},{longitude_deg:.4},{altitude_m:.0}  {} to {}",
        day(from),
        day(to)
    )?;
    let mut carriers: Vec<(&str, f64, bool)> = Vec::new();
    for Flight { object, .. } in flights {
        let carrier = (&*object.name, object.carrier_hz, object.carrier_is_assumed);
        if !carriers.contains(&carrier) {
            carriers.push(carrier);
        }
    }
    for (name, carrier_hz, assumed) in carriers.iter().take(MOST_COMPLAINTS) {
        let assumed = if *assumed { " (assumed: the catalogue has no downlink)" } else { "" };
        writeln!(out, "Doppler of {} at {:.4} MHz{assumed}", printable(name), carrier_hz / 1e6)?;
    }
    if carriers.len() > MOST_COMPLAINTS {
        writeln!(
            out,
            "Doppler of others at their first downlink in the catalogue, or {} MHz; see --json",
            ASSUMED_HZ / 1e6
        )?;
    }
    writeln!(out)?;
    writeln!(out, "{:<10}  {:^26}  {:^26}  {:^26}  {:>7}", "", "rise", "highest", "set", "")?;
    let columns = format!("{:<8} {:>4} {:>4} {:>7}", "UTC", "az", "el", "Hz");
    writeln!(
        out,
        "{:<10}  {columns}  {columns}  {columns}  {:>7}  satellite, light",
        "date", "lasts"
    )?;
    for Flight { object, pass } in flights {
        let column = |event: &Event| {
            let seen = event.observation;
            // 359.7 is 0.
            let azimuth = seen.azimuth_deg.round().rem_euclid(360.0);
            // -0.2 is 0, without a sign.
            let elevation = seen.elevation_deg.round() + 0.0;
            let time = event.time.round(Unit::Second).unwrap_or(event.time);
            format!(
                "{} {azimuth:>4.0} {elevation:>4.0} {:>+7.0}",
                time.strftime("%H:%M:%S"),
                seen.shift_hz(object.carrier_hz) + 0.0
            )
        };
        let going_on = match (pass.in_progress_at_start, pass.in_progress_at_end) {
            (false, false) => "",
            (true, false) => "; has risen before",
            (false, true) => "; sets later",
            (true, true) => "; up all the time",
        };
        writeln!(
            out,
            "{}  {}  {}  {}  {:>7}  {}, {}{going_on}",
            pass.rise.time.round(Unit::Second).unwrap_or(pass.rise.time).strftime("%Y-%m-%d"),
            column(&pass.rise),
            column(&pass.culmination),
            column(&pass.set),
            lasts(pass.duration_s()),
            printable(&object.name),
            light(pass),
        )?;
    }
    Ok(())
}

/// `12:34`, or `5:12:34`.
fn lasts(seconds: f64) -> String {
    let seconds = seconds.round() as u64;
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, minutes, seconds) => format!("{minutes}:{seconds:02}"),
        (hours, minutes, seconds) => format!("{hours}:{minutes:02}:{seconds:02}"),
    }
}

/// A name from a file, as a terminal may have it.
fn printable(name: &str) -> String {
    name.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// RFC 3339 to a millisecond.
fn instant(time: Timestamp) -> String {
    let time = time.round(Unit::Millisecond).unwrap_or(time);
    time.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

/// So many digits behind the point.
fn rounded(value: f64, digits: i32) -> f64 {
    let scale = 10f64.powi(digits);
    (value * scale).round() / scale
}

fn record(Flight { object, pass }: &Flight) -> Value {
    let event = |event: &Event| {
        let seen = event.observation;
        json!({
            "time": instant(event.time),
            "azimuth_deg": rounded(seen.azimuth_deg, 3),
            "elevation_deg": rounded(seen.elevation_deg, 3),
            "range_km": rounded(seen.range_km, 3),
            "range_rate_km_per_s": rounded(seen.range_rate_km_per_s, 6),
            "doppler_hz": rounded(seen.shift_hz(object.carrier_hz), 2),
            "sunlit": event.sunlit,
            "sun_elevation_deg": rounded(event.sun_elevation_deg, 2),
        })
    };
    let eclipses: Vec<Value> = pass
        .eclipses
        .iter()
        .map(|(from, to)| json!({ "from": instant(*from), "to": instant(*to) }))
        .collect();
    let mut record = json!({
        "satellite": object.name,
        "norad_id": object.orbit.norad_id(),
        "frequency_hz": object.carrier_hz,
        "elements_epoch": instant(object.orbit.epoch()),
        "rise": event(&pass.rise),
        "culmination": event(&pass.culmination),
        "set": event(&pass.set),
        "duration_s": rounded(pass.duration_s(), 3),
        "in_progress_at_start": pass.in_progress_at_start,
        "in_progress_at_end": pass.in_progress_at_end,
        "visible": pass.visible,
        "eclipses": eclipses,
    });
    if object.orbit.norad_id() == 0
        && let Some(record) = record.as_object_mut()
    {
        record.remove("norad_id");
    }
    record
}

fn print_curve(
    out: &mut impl Write,
    Flight { object, pass }: &Flight,
    station: &Station,
    step_s: f64,
) -> io::Result<()> {
    let Station { latitude_deg, longitude_deg, altitude_m } = station;
    writeln!(
        out,
        "# {} over {latitude_deg},{longitude_deg},{altitude_m}: frequency received, nominal {} Hz",
        printable(&object.name),
        object.carrier_hz
    )?;
    writeln!(
        out,
        "# {} to {}, highest {:.1} degrees",
        day(pass.rise.time),
        day(pass.set.time),
        pass.culmination.observation.elevation_deg
    )?;
    writeln!(out, "# unix_time frequency_hz")?;
    let steps = (pass.duration_s() / step_s).floor() as u64;
    let inner = (0..=steps).map(|k| after(pass.rise.time, k as f64 * step_s));
    let last = (pass.duration_s() > steps as f64 * step_s + 1e-3).then_some(pass.set.time);
    for time in inner.chain(last) {
        // The time as it is printed.
        let time = time.round(Unit::Millisecond).unwrap_or(time);
        let Ok(seen) = observe(&object.orbit, station, time) else { continue };
        let frequency_hz = object.carrier_hz + seen.shift_hz(object.carrier_hz);
        writeln!(out, "{:.3} {frequency_hz:.3}", time.as_millisecond() as f64 / 1000.0)?;
    }
    Ok(())
}
