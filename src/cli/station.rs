//! `tulpar station`: unattended reception of a station's satellites.

mod clock;
mod folders;
mod pass;
mod preparation;
mod rehearsal;
mod service;
mod shown;
mod sinks;
mod watch;

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use tulpar::doppler::after;
use tulpar::station::plan::plan;

use self::clock::{Clock, SimulatedClock, WallClock};
use self::pass::Say;
use self::preparation::Prepared;
use self::watch::{Extent, Watch};
use super::output::{self, Screen};
use super::watch::WatchArguments;
use super::{Outcome, complain, numbers};

/// Hours of a plan that is printed, if they are not said.
const HOURS: f64 = 24.0;

/// Receive a station's satellites, pass after pass.
#[derive(clap::Args)]
#[command(after_long_help = FILES)]
pub struct Arguments {
    /// What the station is to receive, and with what: TOML, see flowgraphs/station/station.toml
    #[arg(value_name = "FILE.toml")]
    file: PathBuf,
    /// Print the plan and end; no radio is opened
    #[arg(long, conflicts_with_all = ["once", "rehearse"])]
    dry_run: bool,
    /// Print the plan as JSON, one object a pass
    #[arg(long, requires = "dry_run")]
    json: bool,
    /// How long to plan (24 if not given), or to go on
    #[arg(long, value_name = "H", value_parser = numbers::between(0.001, 87_660.0),
          allow_negative_numbers = true)]
    hours: Option<f64>,
    /// End after the first pass
    #[arg(long)]
    once: bool,
    /// Instead of radios, receive a simulated sky, with a clock that runs so many times as fast
    #[arg(long, value_name = "PACE", value_parser = numbers::between(0.1, 10_000.0),
          allow_negative_numbers = true)]
    rehearse: Option<f64>,
    /// Hand the frames of a rehearsal to the sinks of the file too
    #[arg(long, requires = "rehearse")]
    deliver: bool,
    /// First instant of a plan or a rehearsal, UTC; now if not given
    #[arg(long, value_name = "RFC3339", value_parser = numbers::instant)]
    start: Option<Timestamp>,
    #[command(flatten)]
    watch: WatchArguments,
}

/// What a pass leaves.
const FILES: &str = "\
A pass leaves three files in the folder `passes`, named after its time and satellite: .jsonl, the frames
(written as they come); .json, the report; .png, the spectrum over time with the predicted Doppler
shift and the frames. A rehearsal leaves them, and its recordings, in `passes`/rehearsal, removes nothing
elsewhere, and hands its frames to no sink of the file unless --deliver is given.";

/// Plans, or receives until it is told to stop.
pub fn run(arguments: &Arguments) -> anyhow::Result<Outcome> {
    if arguments.start.is_some() && !arguments.dry_run && arguments.rehearse.is_none() {
        return Err(tulpar::RequestError::new(
            "--start",
            "radios receive now",
            "leave it out, or add --dry-run or --rehearse PACE",
        )
        .into());
    }
    let mut prepared = Prepared::open(&arguments.file)?;
    let start = arguments.start.unwrap_or_else(Timestamp::now);
    let (store, complete) = prepared.elements()?;
    let mut notes = store.warnings().to_vec();
    let mut orbits = Vec::new();
    for satellite in 0..prepared.satellites.len() {
        let (orbit, warning) = prepared.orbit(&store, satellite, start)?;
        orbits.push(orbit);
        notes.extend(warning);
    }
    if arguments.dry_run {
        prepared.notes.iter().chain(&notes).for_each(|note| complain(note));
        let to = after(start, arguments.hours.unwrap_or(HOURS) * 3600.0);
        let plan = plan(&prepared.requests(&orbits), &prepared.place, start, to);
        for (request, time, error) in &plan.lost {
            let name = &prepared.satellites[*request].entry.name;
            complain(&format!("{name}: no positions from {time:.0} on: {error}"));
        }
        let mut out = io::BufWriter::new(io::stdout().lock());
        match arguments.json {
            true => shown::records(&mut out, &prepared, &plan)?,
            false => shown::table(&mut out, &prepared, &plan, (start, to))?,
        }
        out.flush()?;
        return Ok(Outcome::Done);
    }

    let rehearsal = arguments.rehearse.is_some();
    if rehearsal {
        prepared.set_apart(arguments.deliver);
    }
    prepared.check_outputs()?;
    if !rehearsal {
        prepared.check_radios()?;
    }
    let screen = Screen::live(true);
    let stop = output::stop_on_signal(&screen);
    let radios = prepared.file.radios.iter().map(|radio| radio.name.clone());
    let radios = radios.zip(prepared.statuses.iter().cloned()).collect();
    let _metrics = arguments.watch.serve(radios)?;
    let speaker = screen.clone();
    let say: Say = Arc::new(move |line| speaker.say(line));
    prepared.notes.iter().chain(&notes).for_each(|note| say(note));
    let clock: Arc<dyn Clock> = match arguments.rehearse {
        Some(pace) => Arc::new(SimulatedClock::new(start, pace)),
        None => Arc::new(WallClock::default()),
    };
    let count = prepared.satellites.len();
    say(&format!(
        "{} satellite{} with {} radio{} at {}; Ctrl-C stops",
        count,
        if count == 1 { "" } else { "s" },
        prepared.file.radios.len(),
        if prepared.file.radios.len() == 1 { "" } else { "s" },
        prepared.place
    ));
    let extent = Extent {
        until: arguments.hours.map(|hours| after(clock.now(), hours * 3600.0)),
        once: arguments.once,
    };
    let mut watch = Watch::new(Arc::new(prepared), orbits, clock, rehearsal, say.clone(), stop);
    watch.elements_were(complete);
    let passes = watch.run(extent);
    say(&format!("{passes} pass{} received", if passes == 1 { "" } else { "es" }));
    Ok(if arguments.once && passes == 0 { Outcome::Failed } else { Outcome::Done })
}
