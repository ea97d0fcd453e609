//! Frame loss against Es/N0, per mode, beside the limits of theory; and campaigns with the same
//! signals.
//!
//! ```text
//! cargo bench --bench sensitivity                      under two minutes on two cores
//! cargo bench --bench sensitivity -- --full            the table of the README: 10 to 15 minutes
//! cargo bench --bench sensitivity -- gmsk ax.25        rows with these words
//! cargo bench --bench sensitivity -- --svg FILE        draws the curves as well
//! cargo bench --bench sensitivity -- --wrong 20000     wrong frames in so many bursts near the limit
//! cargo bench --bench sensitivity -- --strong [N]      frames lost of N a row (1000), 15 dB
//! cargo bench --bench sensitivity -- --index           modulation indices from .35 to 1.1
//! cargo bench --bench sensitivity -- --noise HOURS     frames found in noise
//! ```
//!
//! Ideal channel: unknown phase and timing, carrier within ±100 Hz, exact clock. Hard channel:
//! carrier within ±3 kHz, drifting by up to ±100 Hz/s, clock within ±100 ppm, 32 symbols of
//! preamble, bursts at random times. Nothing is told to the receiver but modulation, symbol rate
//! and framing. One pass: every symbol and codeword decided once, nothing repaired. The limit is
//! that of one pass of the best detector (maximum-likelihood sequence detection and ideal
//! synchronisation); Es/N0 counts channel symbols.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod campaigns;
mod curve;
mod drawing;
mod limits;
mod rows;
#[path = "../scenario/mod.rs"]
mod scenario;

use std::time::Instant;

use curve::{Condition, Crossing, Curve, Demand, EFFORTS};
use rows::{LEVELS, Row, rows};

/// The command line: flags with the number that may follow, and words.
struct Arguments {
    words: Vec<String>,
    full: bool,
    svg: Option<String>,
    wrong: Option<usize>,
    strong: Option<usize>,
    index: bool,
    noise_hours: Option<f64>,
}

impl Arguments {
    fn read() -> Self {
        let mut out = Self {
            words: Vec::new(),
            full: false,
            svg: None,
            wrong: None,
            strong: None,
            index: false,
            noise_hours: None,
        };
        let mut arguments = std::env::args().skip(1).filter(|a| a != "--bench").peekable();
        while let Some(argument) = arguments.next() {
            let number = arguments.peek().and_then(|a| a.parse::<f64>().ok());
            if number.is_some() && ["--wrong", "--strong", "--noise"].contains(&argument.as_str()) {
                arguments.next();
            }
            match argument.as_str() {
                "--full" => out.full = true,
                "--svg" => out.svg = arguments.next(),
                "--wrong" => out.wrong = Some(number.unwrap_or(20_000.0) as usize),
                "--strong" => out.strong = Some(number.unwrap_or(1000.0) as usize),
                "--index" => out.index = true,
                "--noise" => out.noise_hours = Some(number.unwrap_or(1.0)),
                flag if flag.starts_with("--") => panic!("what is {flag}?"),
                word => out.words.push(word.to_lowercase()),
            }
        }
        out
    }
}

fn decibels(crossing: Crossing) -> String {
    if crossing.error_db > 0.5 {
        return "—".to_owned();
    }
    format!("{:.2} ± {:.2}", crossing.esn0_db, crossing.error_db)
}

fn three(effort: usize, curve: &Curve) -> String {
    LEVELS.map(|level| decibels(curve.crossing(effort, level))).join(" / ")
}

fn table(rows: &[Row], curves: &[Curve]) {
    println!(
        "Es/N0 in dB at which 50 % / 10 % / 1 % of the frames are lost, ± one standard error\n"
    );
    println!(
        "| signal | gr-satellites, 50 % | limit of one pass | channel | one pass | all means | and doubtful frames, 50 % | frames | wrong | wrong among doubtful |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    for (row, pair) in rows.iter().zip(curves.chunks(Condition::ALL.len())) {
        for curve in pair {
            println!(
                "| {} | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
                row.scenario.name,
                row.gr_satellites_db.map_or_else(|| "—".to_owned(), |v| format!("{v:.1}")),
                row.limit_db.map(|v| format!("{v:.1}")).join(" / "),
                curve.condition.name(),
                three(0, curve),
                three(1, curve),
                decibels(curve.crossing(2, 0.5)),
                curve.sent(),
                curve.wrong(1),
                curve.wrong(2) - curve.wrong(1).min(curve.wrong(2)),
            );
        }
    }
}

fn main() {
    let arguments = Arguments::read();
    let started = Instant::now();
    let rows: Vec<Row> = rows()
        .into_iter()
        .filter(|r| arguments.words.iter().all(|w| r.scenario.name.to_lowercase().contains(w)))
        .collect();
    assert!(!rows.is_empty(), "no row has all of these words");
    if let Some(bursts) = arguments.wrong {
        campaigns::wrong(&rows, bursts);
    } else if let Some(frames) = arguments.strong {
        campaigns::strong(&rows, frames);
    } else if arguments.index {
        campaigns::index();
    } else if let Some(hours) = arguments.noise_hours {
        campaigns::noise(hours);
    } else {
        let demand = if arguments.full {
            Demand { error_db: [0.03, 0.06, 0.12], least_frames: 400, frames: 1200 }
        } else {
            Demand { error_db: [0.08, 0.2, 0.5], least_frames: 60, frames: 120 }
        };
        let tasks: Vec<(usize, Condition)> = (0..rows.len())
            .flat_map(|row| Condition::ALL.into_iter().map(move |condition| (row, condition)))
            .collect();
        let curves = curve::parallel(tasks.len(), |task| {
            let (row, condition) = tasks[task];
            // The same recordings whichever rows are chosen.
            let name = rows[row].scenario.name.bytes();
            let seed = name.fold(condition as u64, |s, b| s.wrapping_mul(31) + u64::from(b));
            let curve = curve::measure(&rows[row], condition, &demand, seed);
            eprintln!(
                "{:6.1} s  {}, {}",
                started.elapsed().as_secs_f64(),
                rows[row].scenario.name,
                condition.name()
            );
            curve
        });
        table(&rows, &curves);
        println!("\nFrame loss ({:?}) at each point:", EFFORTS);
        for (row, pair) in rows.iter().zip(curves.chunks(Condition::ALL.len())) {
            for curve in pair {
                let list: Vec<String> = curve
                    .points
                    .iter()
                    .map(|p| {
                        let losses = [0, 1, 2].map(|e| format!("{:.3}", p.loss(e))).join(" ");
                        format!("{:.2} dB {losses} of {}", p.esn0_db, p.sent)
                    })
                    .collect();
                println!("{}, {}: {}", row.scenario.name, curve.condition.name(), list.join(", "));
            }
        }
        if let Some(file) = &arguments.svg {
            std::fs::write(file, drawing::draw(&rows, &curves)).expect("cannot write the drawing");
        }
    }
    println!("\n{:.0} s", started.elapsed().as_secs_f64());
}
