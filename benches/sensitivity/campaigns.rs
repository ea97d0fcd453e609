//! Campaigns: wrong frames near the limit, strong signals in difficult circumstances, modulation
//! indices, noise.

use std::collections::BTreeMap;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use tulpar::Complex32;
use tulpar::effort::Effort;
use tulpar::frame::Check;
use tulpar::framing::{self, Deframed, Deframer, Framing, Options};
use tulpar::modulation::{self, InputKind, Parameters, Preference, Reception};
use tulpar::simulation::{Channel, Curve as Profile, SentFrame, Superposition, clip};

use crate::curve::{Condition, Curve, Demand, measure, parallel, record};
use crate::rows::{Row, fsk};
use crate::scenario::{Scenario, compare, receive, samples};

/// Es/N0 of strong signals.
const STRONG_DB: f64 = 15.0;

/// Frames that were never sent, in bursts between 90 % and 1 % loss on the hard channel.
pub fn wrong(rows: &[Row], bursts: usize) {
    const BATCH: usize = 20;
    let demand = Demand { error_db: [0.15, 0.4, 1.0], least_frames: 40, frames: 60 };
    let ranges: Vec<(f64, f64)> = parallel(rows.len(), |row| {
        let curve: Curve = measure(&rows[row], Condition::Hard, &demand, 77 + row as u64);
        let half = curve.crossing(1, 0.5).esn0_db;
        let at = |level| curve.crossing(1, level).esn0_db;
        (at(0.9).clamp(half - 2.0, half), at(0.01).clamp(half, half + 3.0))
    });
    let batches = bursts.div_ceil(BATCH * rows.len());
    let counts = parallel(batches * rows.len(), |task| {
        let row = &rows[task % rows.len()];
        let (low, high) = ranges[task % rows.len()];
        let mut rng = ChaCha8Rng::seed_from_u64(1_000_000 + task as u64);
        let esn0_db = rng.random_range(low..=high);
        let frames = BATCH.next_multiple_of(row.scenario.frames_per_burst);
        let (samples, sent) = record(&row.scenario, Condition::Hard, esn0_db, frames, &mut rng);
        [Effort::Full, Effort::Doubtful].map(|effort| {
            let received = receive(&mut row.scenario.receiver(effort), &samples);
            let (right, wrong) = compare(&sent, &received);
            [sent.len(), right, wrong]
        })
    });
    println!("Hard channel, Es/N0 by chance between 90 % and 1 % loss\n");
    println!(
        "| signal | Es/N0 | sent | right | wrong | right with doubtful | wrong with doubtful |"
    );
    println!("|---|---|---|---|---|---|---|");
    let mut total = [0; 5];
    for (r, row) in rows.iter().enumerate() {
        let mut sum = [0; 5];
        for [full, doubtful] in counts.iter().skip(r).step_by(rows.len()) {
            for (s, v) in sum.iter_mut().zip([full[0], full[1], full[2], doubtful[1], doubtful[2]])
            {
                *s += v;
            }
        }
        let (low, high) = ranges[r];
        println!(
            "| {} | {low:.1} to {high:.1} | {} |",
            row.scenario.name,
            sum.map(|v| v.to_string()).join(" | ")
        );
        total.iter_mut().zip(sum).for_each(|(t, s)| *t += s);
    }
    println!("| all | | {} |", total.map(|v| v.to_string()).join(" | "));
}

/// A difficulty that a strong signal must survive.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Difficulty {
    None,
    /// Bursts 16 symbols apart.
    Close,
    /// ±6 dB within a second.
    Fading,
    /// A second signal, 20 dB stronger, 1.5 symbol rates away, and both wanted from one receiver.
    Pair,
    /// The same, but the receiver looks for the weak one only.
    Neighbour,
    /// 1 % of the samples clipped.
    Clipped,
    /// Clock off by so many parts per million.
    Clock(f64),
}

pub const DIFFICULTIES: [(&str, Difficulty); 8] = [
    ("plain", Difficulty::None),
    ("16-symbol gaps", Difficulty::Close),
    ("±6 dB fading", Difficulty::Fading),
    ("with one 20 dB stronger, both", Difficulty::Pair),
    ("beside one 20 dB stronger", Difficulty::Neighbour),
    ("1 % clipped", Difficulty::Clipped),
    (".45 % fast or slow", Difficulty::Clock(4500.0)),
    ("2 % fast or slow", Difficulty::Clock(20_000.0)),
];

/// A recording of strong frames; those sent; and the receiver's side of it.
pub fn difficult(
    row: &Row,
    difficulty: Difficulty,
    frames: usize,
    rng: &mut ChaCha8Rng,
) -> (Vec<Complex32>, Vec<SentFrame>, Scenario) {
    let mut scenario = Condition::Hard.scenario(&row.scenario);
    let mut esn0_db = STRONG_DB;
    if difficulty == Difficulty::Fading {
        // Not below what the mode can do in the troughs.
        esn0_db = esn0_db.max(row.limit_db[2] + 8.0);
    }
    let mut channel = Condition::Hard.channel(esn0_db, rng);
    let rate = scenario.symbol_rate_bd;
    match difficulty {
        Difficulty::Close => (scenario.gap_s, scenario.gap_spread_s) = (16.0 / rate, 0.0),
        Difficulty::Fading => {
            let phase: f64 = rng.random_range(0.0..std::f64::consts::TAU);
            channel.gain_db = Profile::Function(std::sync::Arc::new(move |t| {
                6.0 * (std::f64::consts::TAU * t + phase).sin()
            }));
        }
        Difficulty::Clock(ppm) => {
            channel.clock_ppm = if rng.random() { ppm } else { -ppm };
        }
        Difficulty::Pair | Difficulty::Neighbour => {
            let offset_hz = rng.random_range(-100.0..100.0);
            let weak_hz = if difficulty == Difficulty::Pair { -0.75 * rate } else { 0.0 };
            channel.frequency_offset_hz = weak_hz + offset_hz;
            if difficulty == Difficulty::Neighbour {
                scenario.search_hz = 0.3 * rate;
            }
            let mut other: Channel = Condition::Hard.channel(esn0_db, rng);
            // They are to stay beside each other through the recording.
            channel.frequency_rate_hz_per_s *= (rate / 9600.0).powi(2);
            other.frequency_rate_hz_per_s = channel.frequency_rate_hz_per_s;
            other.frequency_offset_hz = channel.frequency_offset_hz + 1.5 * rate;
            let strong = scenario.transmission(frames, other.seed);
            let mut both = Superposition::new(scenario.simulator(frames, channel));
            both.add(strong, other, 20.0, scenario.sample_rate_hz).unwrap();
            let mut samples = Vec::new();
            while both.read_samples(&mut samples, 1 << 20).unwrap() > 0 {}
            let wanted = if difficulty == Difficulty::Pair { 2 } else { 1 };
            let sent =
                both.simulators().iter().take(wanted).flat_map(|s| s.sent().to_vec()).collect();
            return (samples, sent, scenario);
        }
        Difficulty::None | Difficulty::Clipped => {}
    }
    let mut simulator = scenario.simulator(frames, channel);
    let mut samples = samples(&mut simulator);
    if difficulty == Difficulty::Clipped {
        clip(&mut samples, 0.01);
    }
    (samples, simulator.sent().to_vec(), scenario)
}

/// Frames lost of strong signals.
pub fn strong(rows: &[Row], frames: usize) {
    const BATCH: usize = 20;
    let batches = frames.div_ceil(BATCH);
    let cases = rows.len() * DIFFICULTIES.len();
    let counts = parallel(cases * batches, |task| {
        let case = task % cases;
        let row = &rows[case / DIFFICULTIES.len()];
        let (_, difficulty) = DIFFICULTIES[case % DIFFICULTIES.len()];
        let mut rng = ChaCha8Rng::seed_from_u64(2_000_000 + task as u64);
        let count = BATCH.next_multiple_of(row.scenario.frames_per_burst);
        let (samples, sent, scenario) = difficult(row, difficulty, count, &mut rng);
        let received = receive(&mut scenario.receiver(Effort::Full), &samples);
        let (right, wrong) = compare(&sent, &received);
        (sent.len(), right, wrong)
    });
    println!("Frames lost of those sent, {STRONG_DB} dB, hard channel\n");
    let names: Vec<&str> = DIFFICULTIES.iter().map(|d| d.0).collect();
    println!("| signal | {} | wrong |", names.join(" | "));
    println!("|---|{}", "---|".repeat(names.len() + 1));
    for (r, row) in rows.iter().enumerate() {
        let mut wrong = 0;
        let cells: Vec<String> = (0..DIFFICULTIES.len())
            .map(|d| {
                let (mut sent, mut right) = (0, 0);
                for count in counts.iter().skip(r * DIFFICULTIES.len() + d).step_by(cases) {
                    sent += count.0;
                    right += count.1;
                    wrong += count.2;
                }
                format!("{} of {sent}", sent - right)
            })
            .collect();
        println!("| {} | {} | {wrong} |", row.scenario.name, cells.join(" | "));
    }
}

/// Es/N0 at 50 % loss over the modulation index, which is not told.
pub fn index() {
    let indices: Vec<f64> = (0..16).map(|i| 0.35 + 0.05 * f64::from(i)).collect();
    let demand = Demand { error_db: [0.06, 10.0, 10.0], least_frames: 100, frames: 300 };
    let lines = parallel(indices.len(), |i| {
        let row = fsk("", indices[i], 0.5);
        let curve = measure(&row, Condition::Ideal, &demand, 300 + i as u64);
        let [one, full] = [0, 1].map(|effort| curve.crossing(effort, 0.5));
        format!(
            "| {:.2} | {:.2} | {:.2} ± {:.2} | {:.2} | {:.2} ± {:.2} |",
            indices[i],
            row.limit_db[0],
            one.esn0_db,
            one.error_db,
            one.esn0_db - row.limit_db[0],
            full.esn0_db,
            full.error_db,
        )
    });
    println!("GFSK BT .5, AX.25 G3RUH, 116 bytes, ideal channel: Es/N0 at which half is lost\n");
    println!("| index | limit of one pass | one pass | behind the limit | all means |");
    println!("|---|---|---|---|---|");
    lines.iter().for_each(|line| println!("{line}"));
}

/// Every framing with a check.
fn framings() -> Vec<(&'static str, Box<dyn Framing>)> {
    framing::REGISTRY
        .iter()
        .map(|d| (d.name, framing::build(d.name, &Options::default()).unwrap()))
        .collect()
}

/// A way to receive a modulation.
struct Way {
    name: &'static str,
    modulation: &'static str,
    symbol_rate_bd: f64,
    input: InputKind,
    /// Acquire for an inner code.
    coded: bool,
}

const WAYS: [Way; 6] = [
    Way {
        name: "FSK",
        modulation: "FSK",
        symbol_rate_bd: 9600.0,
        input: InputKind::Iq,
        coded: true,
    },
    Way {
        name: "FSK, FM audio",
        modulation: "FSK",
        symbol_rate_bd: 9600.0,
        input: InputKind::FmAudio,
        coded: false,
    },
    Way {
        name: "BPSK",
        modulation: "BPSK",
        symbol_rate_bd: 9600.0,
        input: InputKind::Iq,
        coded: false,
    },
    Way {
        name: "BPSK, for an inner code",
        modulation: "BPSK",
        symbol_rate_bd: 9600.0,
        input: InputKind::Iq,
        coded: true,
    },
    Way {
        name: "DBPSK",
        modulation: "DBPSK",
        symbol_rate_bd: 9600.0,
        input: InputKind::Iq,
        coded: false,
    },
    Way {
        name: "AFSK 1200 Bd, FM audio",
        modulation: "AFSK",
        symbol_rate_bd: 1200.0,
        input: InputKind::FmAudio,
        coded: false,
    },
];

/// Frames found in noise alone, which have a check and pass it.
pub fn noise(hours: f64) {
    const PIECE_S: f64 = 900.0;
    let pieces = (hours * 3600.0 / PIECE_S).ceil().max(1.0) as usize;
    let counts = parallel(pieces * WAYS.len(), |task| {
        let way = &WAYS[task % WAYS.len()];
        let descriptor = modulation::find(way.modulation).unwrap();
        let reception = Reception {
            input: way.input,
            sample_rate_hz: 48_000.0,
            intermediate_frequency_hz: None,
            search_hz: 12_000.0,
            preference: Preference { differential: way.coded, continuous: false, coded: way.coded },
            effort: Effort::Doubtful,
        };
        let parameters = Parameters::new(way.symbol_rate_bd);
        let plans = (descriptor.demodulators)(&parameters, &reception).unwrap();
        let framings = framings();
        let mut rng = ChaCha8Rng::seed_from_u64(3_000_000 + task as u64);
        let mut found: BTreeMap<&str, [u64; 2]> = BTreeMap::new();
        let mut runs = 0u64;
        for (number, plan) in plans.iter().enumerate() {
            // White noise at the rate of the channel itself.
            let rate_hz = plan.channel.min_rate_hz;
            let mut demodulator = (plan.make)(rate_hz);
            let mut deframers: BTreeMap<(u64, usize), Box<dyn Deframer>> = BTreeMap::new();
            let (mut blocks, mut deframed) = (Vec::new(), Deframed::default());
            let mut left = (PIECE_S * rate_hz) as usize;
            let mut block = Vec::new();
            while left > 0 || !blocks.is_empty() {
                for soft in blocks.drain(..) {
                    let soft: modulation::SoftBlock = soft;
                    runs += u64::from(soft.first_symbol == 0);
                    for (f, (name, framing)) in framings.iter().enumerate() {
                        if number > 0 && !framing.preference().differential {
                            continue;
                        }
                        let deframer = deframers
                            .entry((soft.run, f))
                            .or_insert_with(|| framing.deframer(soft.mapping, Effort::Doubtful));
                        deframer.push(&soft, &mut deframed);
                        if soft.end {
                            deframer.finish(&mut deframed);
                            deframers.remove(&(soft.run, f));
                        }
                        for frame in deframed.frames.drain(..) {
                            if frame.check != Check::None {
                                let doubtful = frame
                                    .log_odds
                                    .is_some_and(|o| o < tulpar::frame::CERTAIN_ODDS.ln());
                                found.entry(name).or_default()[usize::from(doubtful)] += 1;
                            }
                        }
                    }
                }
                let count = left.min(16_384);
                left -= count;
                if count == 0 {
                    break;
                }
                block.clear();
                let real = reception.input != InputKind::Iq;
                block.extend((0..count).map(|_| {
                    let im: f32 = if real { 0.0 } else { rng.sample(StandardNormal) };
                    Complex32::new(rng.sample(StandardNormal), im) * 0.1
                }));
                demodulator.push(&block, &mut blocks);
                if left == 0 {
                    demodulator.finish(&mut blocks);
                }
            }
        }
        (runs, found)
    });
    let hours = pieces as f64 * PIECE_S / 3600.0;
    println!("Frames with a check found in {hours} h of noise: sure + doubtful\n");
    println!("| modulation | candidates an hour | frames | sure frames in 24 h |");
    println!("|---|---|---|---|");
    for (m, way) in WAYS.iter().enumerate() {
        let mut all: BTreeMap<&str, [u64; 2]> = BTreeMap::new();
        let mut runs = 0;
        for (r, found) in counts.iter().skip(m).step_by(WAYS.len()) {
            runs += r;
            for (name, count) in found {
                let sum = all.entry(name).or_default();
                sum[0] += count[0];
                sum[1] += count[1];
            }
        }
        let list: Vec<String> =
            all.iter().map(|(name, [sure, doubt])| format!("{name}: {sure} + {doubt}")).collect();
        let sure: u64 = all.values().map(|c| c[0]).sum();
        println!(
            "| {} | {:.1} | {} | {:.1} |",
            way.name,
            runs as f64 / hours,
            if list.is_empty() { "none".to_owned() } else { list.join(", ") },
            sure as f64 / hours * 24.0
        );
    }
}
