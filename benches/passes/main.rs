//! Whole passes over a station: what steering by the orbit, by old elements, or by nothing costs in
//! frames; the residual offset; and whose signal it is.
//!
//! ```text
//! cargo bench --bench passes                 10 minutes of GMSK, 1 minute of BPSK, identification
//! cargo bench --bench passes -- --full       10 minutes of both: half an hour on two cores
//! cargo bench --bench passes -- gmsk         a part: gmsk, bpsk, identify, prediction
//! ```
//!
//! The pass: a satellite at 500 km overhead at a station in Baku. Gain is held constant, so that
//! every frame is as likely to be lost as any other, 1 dB above the Es/N0 at which 10 % are lost.
//! The true orbit is one of elements 14 days old with a drag that the receiver's old elements do not
//! know, which puts the satellite seconds ahead of them; `right` are elements that do.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../scenario/mod.rs"]
mod scenario;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use scenario::Scenario;
use tulpar::Complex32;
use tulpar::doppler::elements::{self, Elements};
use tulpar::doppler::identify::rank;
use tulpar::doppler::orbit::Orbit;
use tulpar::doppler::passes::{Pass, passes};
use tulpar::doppler::refine::{Prior, Sighting};
use tulpar::doppler::sky::{OrbitPrediction, observe};
use tulpar::doppler::station::Station;
use tulpar::doppler::tracking::Tracking;
use tulpar::doppler::{Prediction, after, blind_search_hz};
use tulpar::effort::Effort;
use tulpar::frame::Frame;
use tulpar::receiver::Receiver;
use tulpar::simulation::flight::predicted_curve;
use tulpar::simulation::{Channel, SentFrame, Simulator};
use tulpar::source::Anchor;

const STATION: Station =
    Station { latitude_deg: 40.4093, longitude_deg: 49.8671, altitude_m: 28.0 };
/// Elements of a sun-synchronous orbit at 500 km.
const ELEMENTS: &str = "1 99001U 26001A   26308.50000000  .00000000  00000-0  30000-3 0  9998\n\
                        2 99001  97.4000 010.0000 0010000 090.0000 270.0000 15.22000000    01\n";
/// Drag that the old elements know, as a part of the true one.
const KNOWN_DRAG: f64 = 0.9;
const AGE_DAYS: f64 = 14.0;
/// Error of the station's crystal.
const CRYSTAL_PPM: f64 = 2.0;
/// Samples made and received at a time.
const BLOCK_SAMPLES: usize = 1 << 16;

/// A mode, its carrier, and where it is flown.
struct Row {
    scenario: Scenario,
    carrier_hz: f64,
    esn0_db: f64,
    duration_s: f64,
}

fn gmsk(duration_s: f64) -> Row {
    Row {
        scenario: Scenario {
            name: "GMSK 9600 Bd, 437.5 MHz, AX.25 G3RUH",
            modulation_index: Some(0.5),
            bt: Some(0.5),
            ..Scenario::BASE
        },
        carrier_hz: 437.5e6,
        esn0_db: 7.6,
        duration_s,
    }
}

fn bpsk(duration_s: f64) -> Row {
    Row {
        scenario: Scenario {
            name: "BPSK 1 MBd, 2.2 GHz, CCSDS Concatenated",
            modulation: "BPSK",
            symbol_rate_bd: 1e6,
            framing: "CCSDS Concatenated",
            options: &[("frame_size", "1115"), ("interleaving", "5")],
            frame_bytes: 1115,
            frames_per_burst: 20,
            preamble_symbols: 2000,
            gap_s: 0.05,
            sample_rate_hz: 2.5e6,
            ..Scenario::BASE
        },
        carrier_hz: 2.2e9,
        esn0_db: -0.8,
        duration_s,
    }
}

/// How a receiver is steered.
#[derive(Clone, Copy, PartialEq)]
enum Steered {
    /// The simulator shifts nothing.
    NoDoppler,
    Orbit,
    Old,
    Blind,
}

struct Sky {
    truth: Arc<Orbit>,
    old: Arc<Orbit>,
    pass: Pass,
}

fn orbit(change: impl Fn(&mut Elements)) -> Arc<Orbit> {
    let mut set = elements::parse("bench", ELEMENTS.as_bytes()).unwrap().sets.remove(0);
    change(&mut set);
    Arc::new(Orbit::new(&set).unwrap())
}

/// The highest pass of the day that begins `AGE_DAYS` after the epoch.
fn sky() -> Sky {
    let truth = orbit(|_| ());
    let from = after(truth.epoch(), AGE_DAYS * 86_400.0);
    // Any place under the orbit has such a pass; the node is turned until this one does.
    let mut best: Option<(Pass, f64)> = None;
    for turn in 0..60 {
        let turned = orbit(|e| e.raan_deg += 0.5 * f64::from(turn));
        for pass in passes(&turned, &STATION, from, after(from, 86_400.0), 0.0).passes {
            let elevation = pass.culmination.observation.elevation_deg;
            if best
                .as_ref()
                .is_none_or(|(b, _)| b.culmination.observation.elevation_deg < elevation)
            {
                best = Some((pass, 0.5 * f64::from(turn)));
            }
        }
    }
    let (pass, turn) = best.unwrap();
    let truth = orbit(|e| e.raan_deg += turn);
    let old = orbit(|e| {
        e.raan_deg += turn;
        e.bstar *= KNOWN_DRAG;
    });
    Sky { truth, old, pass }
}

fn prediction(orbit: &Arc<Orbit>, carrier_hz: f64) -> Arc<dyn Prediction> {
    Arc::new(OrbitPrediction { orbit: orbit.clone(), station: STATION, carrier_hz })
}

struct Outcome {
    sent: usize,
    right: usize,
    wrong: usize,
    rms_hz: f64,
    fit: String,
    elapsed_s: f64,
}

/// Flies the middle of the pass once.
fn fly(row: &Row, sky: &Sky, steered: Steered) -> Outcome {
    let began = Instant::now();
    let scenario = &row.scenario;
    let start = after(sky.pass.culmination.time, -0.5 * row.duration_s);
    let mut channel = Channel { esn0_db: row.esn0_db, seed: 7, ..Channel::default() };
    if steered != Steered::NoDoppler {
        channel.doppler_hz = predicted_curve(prediction(&sky.truth, row.carrier_hz), start);
    }
    if steered == Steered::Old {
        channel.frequency_offset_hz = CRYSTAL_PPM * 1e-6 * row.carrier_hz;
    }
    let most = (row.duration_s / scenario.gap_s) as usize * scenario.frames_per_burst;
    let mut transmission = scenario.transmission(most, 7);
    transmission.until_s = row.duration_s;
    let rate_hz = scenario.sample_rate_hz;
    let mut simulator =
        Simulator::new(transmission, channel, rate_hz, Some(start), Some(row.carrier_hz)).unwrap();
    let age_days = if steered == Steered::Old { AGE_DAYS } else { 0.0 };
    let prior = Prior::of_elements(row.carrier_hz, age_days);
    let search_hz = match steered {
        Steered::Orbit | Steered::Old => prior.search_hz(row.carrier_hz),
        Steered::NoDoppler | Steered::Blind => blind_search_hz(row.carrier_hz),
    };
    let mut receiver = Scenario { search_hz, ..scenario.clone() }.receiver(Effort::Full);
    let orbit = match steered {
        Steered::Orbit => Some(&sky.truth),
        Steered::Old => Some(&sky.old),
        Steered::NoDoppler | Steered::Blind => None,
    };
    receiver.track(orbit.map(|orbit| {
        let prediction = prediction(orbit, row.carrier_hz);
        Tracking::closed_loop(prediction, prior, scenario.symbol_rate_bd)
    }));
    let (frames, sent) = receive(&mut receiver, &mut simulator, start);
    // The last may have begun in time and ended later.
    let whole = |f: &&Frame| f.end_sample as f64 <= row.duration_s * rate_hz;
    let frames: Vec<Frame> = frames.iter().filter(whole).cloned().collect();
    let right = matched(&sent, &frames);
    let offsets = frames.iter().map(|f| f.frequency_offset_hz.powi(2));
    Outcome {
        sent: sent.len(),
        right,
        wrong: frames.len() - right,
        rms_hz: (offsets.sum::<f64>() / frames.len().max(1) as f64).sqrt(),
        fit: receiver
            .fit()
            .map(|fit| format!("{:+.0} Hz, {:+.2} s late", fit.bias_hz, fit.late_s))
            .unwrap_or_default(),
        elapsed_s: began.elapsed().as_secs_f64(),
    }
}

fn receive(
    receiver: &mut Receiver,
    simulator: &mut Simulator,
    start: Timestamp,
) -> (Vec<Frame>, Vec<SentFrame>) {
    let anchor = Anchor { sample: 0, time: Some(start), centre_frequency_hz: None };
    let (mut frames, mut samples) = (Vec::new(), Vec::<Complex32>::new());
    receiver.anchor(anchor, &mut frames);
    let mut first = 0;
    while simulator.read_samples(&mut samples, BLOCK_SAMPLES).unwrap() > 0 {
        receiver.push(first, &samples, &mut frames);
        first += samples.len() as u64;
        samples.clear();
    }
    receiver.finish(&mut frames);
    (frames, simulator.sent().to_vec())
}

/// Frames sent that were received.
fn matched(sent: &[SentFrame], frames: &[Frame]) -> usize {
    let received: HashSet<&[u8]> = frames.iter().map(|f| &f.bytes[..]).collect();
    sent.iter().filter(|s| received.contains(&s.bytes[..])).count()
}

fn table(row: &Row, sky: &Sky) {
    println!(
        "\n{}, Es/N0 {} dB, {} s around culmination at {:.0}°",
        row.scenario.name,
        row.esn0_db,
        row.duration_s,
        sky.pass.culmination.observation.elevation_deg
    );
    println!(
        "{:<36} {:>6} {:>8} {:>6} {:>9} {:>10}  found by the bursts",
        "", "sent", "received", "wrong", "against", "offset rms"
    );
    let kinds = [
        ("no Doppler in the simulator", Steered::NoDoppler),
        ("orbit", Steered::Orbit),
        ("elements 14 days old, 2 ppm crystal", Steered::Old),
        ("blind", Steered::Blind),
    ];
    // Two cores.
    let outcomes: Vec<Outcome> = kinds
        .chunks(2)
        .flat_map(|pair| {
            std::thread::scope(|scope| {
                let running: Vec<_> =
                    pair.iter().map(|(_, s)| scope.spawn(move || fly(row, sky, *s))).collect();
                running.into_iter().map(|r| r.join().unwrap()).collect::<Vec<_>>()
            })
        })
        .collect();
    for ((name, _), o) in kinds.iter().zip(&outcomes) {
        println!(
            "{name:<36} {:>6} {:>8} {:>6} {:>+8.2}% {:>7.1} Hz  {}  ({:.0} s)",
            o.sent,
            o.right,
            o.wrong,
            100.0 * (o.right as f64 / outcomes[0].right.max(1) as f64 - 1.0),
            o.rms_hz,
            o.fit,
            o.elapsed_s
        );
    }
}

/// Passes of one object among 40 of a launch, from 10 bursts each.
fn identify(sky: &Sky, trials: usize) {
    const OBJECTS: usize = 40;
    const SPREAD_S: f64 = 600.0;
    const BURSTS: usize = 10;
    const CARRIER_HZ: f64 = 437.5e6;
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let (mut first, mut worst_odds) = (0, f64::INFINITY);
    for trial in 0..trials {
        // One plane, one after the other within ten minutes.
        let motion = sky.truth.elements().mean_motion_rev_per_day;
        let orbits: Vec<Arc<Orbit>> = (0..OBJECTS)
            .map(|k| {
                let behind_s = SPREAD_S * (k as f64 + rng.random::<f64>()) / OBJECTS as f64;
                orbit(|e| {
                    *e = sky.truth.elements().clone();
                    e.norad_id = 99_001 + k as u32;
                    e.mean_anomaly_deg = (e.mean_anomaly_deg
                        - behind_s / 86_400.0 * motion * 360.0)
                        .rem_euclid(360.0);
                })
            })
            .collect();
        let right = &orbits[rng.random_range(0..OBJECTS)];
        // Any pass over 10° within two days.
        let from = after(sky.truth.epoch(), 86_400.0 * rng.random_range(0.5..2.0));
        let found = passes(right, &STATION, from, after(from, 2.0 * 86_400.0), 0.0).passes;
        let high: Vec<&Pass> =
            found.iter().filter(|p| p.culmination.observation.elevation_deg > 10.0).collect();
        let pass = high[rng.random_range(0..high.len())];
        // Elements a day or two after the launch: half a second off; a crystal and a transmitter of
        // a few ppm; carriers measured to some 15 Hz.
        let normal = |rng: &mut ChaCha8Rng| rng.sample::<f64, _>(rand_distr::StandardNormal);
        let (late_s, bias_hz) = (0.5 * normal(&mut rng), 1500.0 * normal(&mut rng));
        let sightings: Vec<Sighting> = (0..BURSTS)
            .map(|_| {
                let time = after(pass.rise.time, rng.random_range(0.05..0.95) * pass.duration_s());
                let seen = observe(right, &STATION, after(time, -late_s)).unwrap();
                let shift_hz = seen.shift_hz(CARRIER_HZ) + bias_hz + 15.0 * normal(&mut rng);
                Sighting { time, shift_hz, sigma_hz: 20.0 }
            })
            .collect();
        let prior = |_: &Orbit| Prior::of_elements(CARRIER_HZ, 2.0);
        let ranked = rank(&orbits, &STATION, CARRIER_HZ, &sightings, prior);
        let place = ranked.iter().position(|m| m.orbit.norad_id() == right.norad_id()).unwrap();
        first += usize::from(place == 0);
        worst_odds = worst_odds.min(ranked[1].behind_nats(&ranked[0]));
        if place > 0 {
            println!(
                "  trial {trial}: place {}, {:.1} nats behind, culmination {:.0}°",
                place + 1,
                ranked[place].behind_nats(&ranked[0]),
                pass.culmination.observation.elevation_deg
            );
        }
    }
    println!(
        "\nidentification: right object first in {first} of {trials} passes, {OBJECTS} objects over \
         {SPREAD_S} s, {BURSTS} bursts; least lead {worst_odds:.1} nats"
    );
}

/// Time to predict the passes of many objects.
fn prediction_speed(sky: &Sky) {
    const OBJECTS: usize = 40;
    let began = Instant::now();
    let found: usize = (0..OBJECTS)
        .map(|k| {
            let object = orbit(|e| {
                *e = sky.truth.elements().clone();
                e.raan_deg = (e.raan_deg + 9.0 * k as f64).rem_euclid(360.0);
            });
            let from = object.epoch();
            passes(&object, &STATION, from, after(from, 7.0 * 86_400.0), 0.0).passes.len()
        })
        .sum();
    println!(
        "\nprediction: {found} passes of {OBJECTS} objects in a week found in {:.2} s",
        began.elapsed().as_secs_f64()
    );
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let full = words.iter().any(|w| w == "--full");
    let parts: Vec<&String> = words.iter().filter(|w| !w.starts_with("--")).collect();
    let wanted = |part: &str| parts.is_empty() || parts.iter().any(|w| *w == part);
    let sky = sky();
    if wanted("gmsk") {
        table(&gmsk(600.0), &sky);
    }
    if wanted("bpsk") {
        table(&bpsk(if full { 600.0 } else { 60.0 }), &sky);
    }
    if wanted("prediction") {
        prediction_speed(&sky);
    }
    if wanted("identify") {
        identify(&sky, if full { 200 } else { 20 });
    }
}
