//! Frame loss against Es/N0, per mode, beside the limits of theory:
//!
//! ```text
//! cargo bench --bench sensitivity                 about a minute
//! cargo bench --bench sensitivity -- --full       200 frames a point
//! cargo bench --bench sensitivity -- gmsk         modes with that word
//! ```
//!
//! Ideal channel: unknown phase and timing, carrier within ±100 Hz, exact clock. Nothing is told
//! to the receiver but modulation, symbol rate and framing. The limit is that of one pass of the
//! best detector (maximum-likelihood sequence detection and ideal synchronisation); Es/N0 counts
//! channel symbols.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod scenario;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use scenario::{Scenario, compare, receive, samples};
use tulpar::effort::Effort;
use tulpar::simulation::Channel;

/// A mode with the limit of one pass, and what gr-satellites 5.9 reaches on the same signals.
struct Row {
    scenario: Scenario,
    limit_db: f64,
    gr_satellites_db: Option<f64>,
}

const DUAL_223: &[(&str, &str)] =
    &[("basis", "dual"), ("interleaving", "1"), ("frame_size", "223")];
const DUAL_1115: &[(&str, &str)] =
    &[("basis", "dual"), ("interleaving", "5"), ("frame_size", "1115")];

fn rows() -> Vec<Row> {
    let base = Scenario::BASE;
    let ccsds = Scenario {
        options: DUAL_223,
        frame_bytes: 223,
        frames_per_burst: 10,
        preamble_symbols: 600,
        ..base.clone()
    };
    vec![
        Row {
            scenario: Scenario {
                name: "GMSK h .5 BT .5, AX.25 G3RUH",
                modulation_index: Some(0.5),
                bt: Some(0.5),
                ..base.clone()
            },
            limit_db: 7.1,
            gr_satellites_db: Some(13.6),
        },
        Row {
            scenario: Scenario {
                name: "GMSK h .5 BT .3, AX.25 G3RUH",
                modulation_index: Some(0.5),
                bt: Some(0.3),
                ..base.clone()
            },
            limit_db: 7.3,
            gr_satellites_db: None,
        },
        Row {
            scenario: Scenario {
                name: "GFSK h .66 BT .5, AX.25 G3RUH",
                modulation_index: Some(0.66),
                bt: Some(0.5),
                ..base.clone()
            },
            limit_db: 5.5,
            gr_satellites_db: Some(12.2),
        },
        Row {
            scenario: Scenario {
                name: "FSK h 1.0 rectangular, AX.25 G3RUH",
                modulation_index: Some(1.0),
                bt: Some(f64::INFINITY),
                ..base.clone()
            },
            limit_db: 10.1,
            gr_satellites_db: None,
        },
        Row {
            scenario: Scenario {
                name: "GMSK 1200 Bd, AX.25 G3RUH, 60 bytes",
                modulation_index: Some(0.5),
                bt: Some(0.5),
                symbol_rate_bd: 1200.0,
                frame_bytes: 60,
                gap_s: 0.4,
                ..base.clone()
            },
            limit_db: 6.8,
            gr_satellites_db: None,
        },
        Row {
            scenario: Scenario {
                name: "GMSK, AX100 ASM+Golay, 100 bytes",
                modulation_index: Some(0.5),
                bt: Some(0.5),
                framing: "AX100 ASM+Golay",
                frame_bytes: 100,
                ..base.clone()
            },
            limit_db: 3.7,
            gr_satellites_db: Some(9.4),
        },
        Row {
            scenario: Scenario {
                name: "GMSK, CCSDS Reed-Solomon I=1",
                modulation_index: Some(0.5),
                bt: Some(0.5),
                framing: "CCSDS Reed-Solomon",
                ..ccsds.clone()
            },
            limit_db: 4.8,
            gr_satellites_db: Some(10.4),
        },
        Row {
            scenario: Scenario {
                name: "GMSK, CCSDS Concatenated I=1",
                modulation_index: Some(0.5),
                bt: Some(0.5),
                framing: "CCSDS Concatenated",
                ..ccsds.clone()
            },
            limit_db: -1.6,
            gr_satellites_db: Some(7.9),
        },
        Row {
            scenario: Scenario { name: "BPSK, AX.25 G3RUH", modulation: "BPSK", ..base.clone() },
            limit_db: 7.1,
            gr_satellites_db: Some(8.2),
        },
        Row {
            scenario: Scenario {
                name: "BPSK, CCSDS Concatenated I=1",
                modulation: "BPSK",
                framing: "CCSDS Concatenated",
                ..ccsds.clone()
            },
            limit_db: -1.8,
            gr_satellites_db: Some(0.0),
        },
        Row {
            scenario: Scenario {
                name: "BPSK, CCSDS Concatenated I=5",
                modulation: "BPSK",
                framing: "CCSDS Concatenated",
                options: DUAL_1115,
                frame_bytes: 1115,
                frames_per_burst: 5,
                ..ccsds
            },
            limit_db: -1.7,
            gr_satellites_db: None,
        },
    ]
}

/// Frames sent, received, and received but not sent.
#[derive(Debug, Clone, Copy, Default)]
struct Point {
    esn0_db: f64,
    sent: usize,
    received: usize,
    wrong: usize,
}

impl Point {
    fn loss(&self) -> f64 {
        1.0 - self.received as f64 / self.sent.max(1) as f64
    }
}

/// One point: several recordings, each with its own carrier, phase and timing.
fn measure(scenario: &Scenario, esn0_db: f64, frames: usize, seed: u64) -> Point {
    let per_recording = scenario.frames_per_burst.max(10);
    let mut point = Point { esn0_db, ..Point::default() };
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    while point.sent < frames {
        let channel = Channel {
            esn0_db,
            frequency_offset_hz: rng.random_range(-100.0..100.0),
            phase_rad: rng.random_range(0.0..std::f64::consts::TAU),
            timing_samples: rng.random_range(0.0..1.0),
            seed: rng.random(),
            ..Channel::default()
        };
        let mut simulator = scenario.simulator(per_recording, channel);
        let samples = samples(&mut simulator);
        let received = receive(&mut scenario.receiver(Effort::Full), &samples);
        let (right, wrong) = compare(simulator.sent(), &received);
        point.sent += simulator.sent().len();
        point.received += right;
        point.wrong += wrong;
    }
    point
}

/// Es/N0 at which the loss falls to `loss`, between two neighbouring points.
fn crossing(points: &[Point], loss: f64) -> Option<f64> {
    let pair = points.windows(2).find(|w| w[0].loss() >= loss && w[1].loss() < loss)?;
    let (a, b) = (pair[0].loss(), pair[1].loss());
    Some(pair[0].esn0_db + (a - loss) / (a - b) * (pair[1].esn0_db - pair[0].esn0_db))
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let full = arguments.iter().any(|a| a == "--full");
    let words: Vec<String> =
        arguments.iter().filter(|a| !a.starts_with("--")).map(|a| a.to_lowercase()).collect();
    let (frames, steps_db): (usize, &[f64]) = if full {
        (200, &[-1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5])
    } else {
        (40, &[-1.5, -1.0, -0.5, 0.0, 0.5, 1.0])
    };
    let rows: Vec<Row> = rows()
        .into_iter()
        .filter(|r| words.iter().all(|w| r.scenario.name.to_lowercase().contains(w)))
        .collect();
    let tasks: Vec<(usize, f64)> = rows
        .iter()
        .enumerate()
        .flat_map(|(i, row)| steps_db.iter().map(move |step| (i, row.limit_db + step)))
        .collect();
    let next = AtomicUsize::new(0);
    let results: Mutex<Vec<Vec<Point>>> = Mutex::new(vec![Vec::new(); rows.len()]);
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some((row, esn0_db)) = tasks.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let seed = 1 + *row as u64;
                    let point = measure(&rows[*row].scenario, *esn0_db, frames, seed);
                    results.lock().unwrap()[*row].push(point);
                }
            });
        }
    });

    let figure = |value: Option<f64>| value.map_or_else(|| "—".to_owned(), |v| format!("{v:.1}"));
    println!(
        "Es/N0 in dB at which so many frames are lost; ideal channel, {frames} frames a point\n"
    );
    println!(
        "| signal | gr-satellites, 50 % | limit, 50 % | 50 % | behind the limit | 10 % | 1 % | wrong frames |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    let mut results = results.into_inner().unwrap();
    for (row, points) in rows.iter().zip(&mut results) {
        points.sort_by(|a, b| a.esn0_db.total_cmp(&b.esn0_db));
        let half = crossing(points, 0.5);
        let wrong: usize = points.iter().map(|p| p.wrong).sum();
        println!(
            "| {} | {} | {:.1} | {} | {} | {} | {} | {wrong} |",
            row.scenario.name,
            figure(row.gr_satellites_db),
            row.limit_db,
            half.map_or_else(|| "—".to_owned(), |v| format!("{v:.2}")),
            half.map_or_else(|| "—".to_owned(), |v| format!("{:.2}", v - row.limit_db)),
            figure(crossing(points, 0.1)),
            figure(crossing(points, 0.01)),
        );
    }
    println!("\nFrame loss at each point:");
    for (row, points) in rows.iter().zip(&results) {
        let list: Vec<String> =
            points.iter().map(|p| format!("{:.2} dB {:.3}", p.esn0_db, p.loss())).collect();
        println!("{}: {}", row.scenario.name, list.join(", "));
    }
}
