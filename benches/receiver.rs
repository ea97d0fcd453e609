//! Whole receivers: how many times faster than real time, per mode, on one core.
//!
//! ```text
//! cargo bench --bench receiver
//! ```
//!
//! Half of the time is signal, 15 dB Es/N0 (3 dB for coded modes), 48 kS/s unless said. The
//! simulation is not in the time.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod scenario;

use std::time::Instant;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use scenario::{Scenario, compare, receive, samples};
use tulpar::Complex32;
use tulpar::effort::Effort;
use tulpar::simulation::Channel;

/// The row without a signal.
const NOISE: &str = "GMSK 9600 Bd, AX.25 G3RUH, noise alone";

fn noise(count: f64) -> Vec<Complex32> {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut part = || 0.1 * rng.sample::<f32, _>(StandardNormal);
    (0..count as usize).map(|_| Complex32::new(part(), part())).collect()
}

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
        (Scenario { name: "GMSK 9600 Bd, AX.25 G3RUH", ..fsk.clone() }, 60, 15.0),
        (
            Scenario {
                name: "GMSK 9600 Bd, AX.25 G3RUH, 6.0 dB: every burst needs repair",
                ..fsk.clone()
            },
            60,
            6.0,
        ),
        (Scenario { name: NOISE, ..fsk.clone() }, 0, f64::NEG_INFINITY),
        (
            Scenario {
                name: "GMSK 9600 Bd, AX.25 G3RUH, 250 kS/s",
                sample_rate_hz: 250_000.0,
                ..fsk.clone()
            },
            60,
            15.0,
        ),
        (
            Scenario {
                name: "GMSK 9600 Bd, AX.25 G3RUH, 2.4 MS/s",
                sample_rate_hz: 2_400_000.0,
                ..fsk.clone()
            },
            10,
            15.0,
        ),
        (
            Scenario {
                name: "GMSK 1200 Bd, AX.25 G3RUH",
                symbol_rate_bd: 1200.0,
                gap_s: 1.0,
                ..fsk.clone()
            },
            20,
            15.0,
        ),
        (
            Scenario {
                name: "GMSK 9600 Bd, AX100 ASM+Golay",
                framing: "AX100 ASM+Golay",
                frame_bytes: 100,
                ..fsk.clone()
            },
            60,
            15.0,
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
        (
            Scenario { name: "BPSK 9600 Bd, AX.25 G3RUH", modulation: "BPSK", ..fsk.clone() },
            60,
            15.0,
        ),
        (
            Scenario {
                name: "BPSK 9600 Bd, AX.25 G3RUH, 6.0 dB: every burst needs repair",
                modulation: "BPSK",
                ..fsk.clone()
            },
            60,
            6.0,
        ),
        (
            Scenario {
                name: "GMSK 1 MBd, AX.25 G3RUH, 1000 bytes, 4.8 MS/s",
                symbol_rate_bd: 1e6,
                sample_rate_hz: 4.8e6,
                frame_bytes: 1000,
                gap_s: 0.01,
                ..fsk.clone()
            },
            60,
            15.0,
        ),
        (
            Scenario {
                name: "GMSK 1 MBd, CCSDS Reed-Solomon, 4.8 MS/s, all signal",
                symbol_rate_bd: 1e6,
                sample_rate_hz: 4.8e6,
                framing: "CCSDS Reed-Solomon",
                frame_bytes: 223,
                frames_per_burst: 400,
                ..fsk
            },
            400,
            10.0,
        ),
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
        let (samples, sent) = if scenario.name == NOISE {
            (noise(60.0 * scenario.sample_rate_hz), Vec::new())
        } else {
            let channel =
                Channel { esn0_db, frequency_offset_hz: 700.0, seed: 1, ..Channel::default() };
            let mut simulator = scenario.simulator(count, channel);
            (samples(&mut simulator), simulator.sent().to_vec())
        };
        let signal_s = samples.len() as f64 / scenario.sample_rate_hz;
        let mut speeds = Vec::new();
        let mut right = 0;
        for _ in 0..3 {
            let mut receiver = scenario.receiver(Effort::Full);
            let started = Instant::now();
            let received = receive(&mut receiver, &samples);
            speeds.push(signal_s / started.elapsed().as_secs_f64());
            right = compare(&sent, &received).0;
        }
        speeds.sort_by(f64::total_cmp);
        let decimals = usize::from(speeds[1] < 10.0);
        println!("| {} | {:.*} | {right} of {count} |", scenario.name, decimals, speeds[1]);
    }
}
