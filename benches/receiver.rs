//! Whole receivers: how many times faster than real time, per mode, on one core.
//!
//! ```text
//! cargo bench --bench receiver
//! ```
//!
//! Half of the time is signal, 12 dB Es/N0 (3 dB for coded modes), 48 kS/s unless said. The
//! simulation is not in the time.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod scenario;

use std::time::Instant;

use scenario::{Scenario, compare, receive, samples};
use tulpar::effort::Effort;
use tulpar::simulation::Channel;

fn main() {
    let word = std::env::args().skip(1).find(|a| !a.starts_with("--")).unwrap_or_default();
    let base = Scenario::BASE;
    let coded = Scenario {
        framing: "CCSDS Concatenated",
        frame_bytes: 223,
        frames_per_burst: 4,
        gap_s: 1.7,
        ..base.clone()
    };
    let fsk = Scenario { modulation_index: Some(0.5), bt: Some(0.5), gap_s: 0.13, ..base.clone() };
    let rows = [
        (Scenario { name: "GMSK 9600 Bd, AX.25 G3RUH", ..fsk.clone() }, 60, 12.0),
        (
            Scenario {
                name: "GMSK 9600 Bd, AX.25 G3RUH, 250 kS/s",
                sample_rate_hz: 250_000.0,
                ..fsk.clone()
            },
            60,
            12.0,
        ),
        (
            Scenario {
                name: "GMSK 9600 Bd, AX.25 G3RUH, 2.4 MS/s",
                sample_rate_hz: 2_400_000.0,
                ..fsk.clone()
            },
            10,
            12.0,
        ),
        (
            Scenario {
                name: "GMSK 1200 Bd, AX.25 G3RUH",
                symbol_rate_bd: 1200.0,
                gap_s: 1.0,
                ..fsk.clone()
            },
            20,
            12.0,
        ),
        (
            Scenario {
                name: "GMSK 9600 Bd, AX100 ASM+Golay",
                framing: "AX100 ASM+Golay",
                frame_bytes: 100,
                ..fsk.clone()
            },
            60,
            12.0,
        ),
        (
            Scenario {
                name: "GMSK 9600 Bd, CCSDS Concatenated",
                modulation_index: Some(0.5),
                bt: Some(0.5),
                ..coded.clone()
            },
            24,
            3.0,
        ),
        (Scenario { name: "BPSK 9600 Bd, AX.25 G3RUH", modulation: "BPSK", ..fsk }, 60, 12.0),
        (
            Scenario { name: "BPSK 9600 Bd, CCSDS Concatenated", modulation: "BPSK", ..coded },
            24,
            3.0,
        ),
        (
            Scenario {
                name: "BPSK 1 MBd, CCSDS Concatenated I=5, 2.4 MS/s, all signal",
                modulation: "BPSK",
                symbol_rate_bd: 1e6,
                sample_rate_hz: 2.4e6,
                framing: "CCSDS Concatenated",
                options: &[("interleaving", "5"), ("frame_size", "1115")],
                frame_bytes: 1115,
                frames_per_burst: 1000,
                ..base
            },
            40,
            3.0,
        ),
    ];
    println!("| mode | × real time, one core | frames |");
    println!("|---|---|---|");
    for (scenario, count, esn0_db) in rows {
        if !scenario.name.to_lowercase().contains(&word.to_lowercase()) {
            continue;
        }
        let channel =
            Channel { esn0_db, frequency_offset_hz: 700.0, seed: 1, ..Channel::default() };
        let mut simulator = scenario.simulator(count, channel);
        let samples = samples(&mut simulator);
        let signal_s = samples.len() as f64 / scenario.sample_rate_hz;
        let mut speeds = Vec::new();
        let mut right = 0;
        for _ in 0..3 {
            let mut receiver = scenario.receiver(Effort::Full);
            let started = Instant::now();
            let received = receive(&mut receiver, &samples);
            speeds.push(signal_s / started.elapsed().as_secs_f64());
            right = compare(simulator.sent(), &received).0;
        }
        speeds.sort_by(f64::total_cmp);
        println!("| {} | {:.0} | {right} of {count} |", scenario.name, speeds[1]);
    }
}
