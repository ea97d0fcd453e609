//! Whole receivers on samples that no satellite sent: nothing panics, no frame comes out, it takes
//! no longer, and what is sent afterwards is received.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::collections::BTreeSet;
use std::time::Instant;

use common::scene::{Cut, RATE_HZ, Scene, Take, push};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tulpar::Complex32;
use tulpar::framing::Reject;
use tulpar::modulation::InputKind;

/// Samples of each kind of garbage.
const LENGTH: usize = 40_000;
/// After that much noise, garbage is forgotten: noise floors are taken over seconds.
const SETTLING_S: f64 = 4.0;
/// Kinds that a noise floor, a filter or a level might remember.
const REMEMBERED: [&str; 9] =
    ["zeros", "constant", "small", "loud", "clipped", "tone in noise", "NaN", "infinity", IN_TURNS];
/// The kind after the last.
const IN_TURNS: &str = "all in turns";

type Make = fn(usize, &mut ChaCha8Rng) -> Complex32;

fn tone(n: usize, frequency_hz: f64) -> Complex32 {
    Complex32::cis((std::f64::consts::TAU * (frequency_hz / RATE_HZ * n as f64).fract()) as f32)
}

/// Sum of two uniform numbers a part: as good as Gaussian here.
fn noise(rng: &mut ChaCha8Rng) -> Complex32 {
    let mut part = || rng.random_range(-1.0f32..1.0) + rng.random_range(-1.0f32..1.0);
    Complex32::new(part(), part())
}

/// Kinds of garbage: sample `n`, with some chance.
const GARBAGE: &[(&str, Make)] = &[
    ("noise", |_, rng| noise(rng) * 0.1),
    ("zeros", |_, _| Complex32::ZERO),
    ("constant", |_, _| Complex32::new(0.7, -0.3)),
    ("tiny", |_, rng| noise(rng) * 1e-42),
    ("small", |_, rng| noise(rng) * 1e-12),
    ("loud", |_, rng| noise(rng) * 1e3),
    ("clipped", |_, rng| {
        let noise = noise(rng);
        Complex32::new(noise.re.signum(), noise.im.signum())
    }),
    ("impulse", |n, _| if n == 12_345 { Complex32::ONE } else { Complex32::ZERO }),
    ("impulses", |n, _| if n % 997 == 0 { Complex32::ONE } else { Complex32::ZERO }),
    ("impulses at a symbol rate", |n, _| if n % 5 == 0 { Complex32::ONE } else { Complex32::ZERO }),
    (
        "impulses in noise",
        |n, rng| {
            if n % 997 == 0 { Complex32::new(1.0, 1.0) } else { noise(rng) * 1e-3 }
        },
    ),
    ("tone at 1 kHz", |n, _| tone(n, 1000.0)),
    ("tone at half the symbol rate", |n, _| tone(n, 4800.0)),
    ("tone in noise", |n, rng| tone(n, 700.0) + noise(rng) * 0.3),
    ("tone at Nyquist", |n, _| tone(n, RATE_HZ / 2.0)),
    ("two tones", |n, _| tone(n, 2400.0) + tone(n, -2400.0)),
    ("sweep", |n, _| {
        let (t, rate_hz_per_s) = (n as f64 / RATE_HZ, 30_000.0);
        let turns = rate_hz_per_s * t * t / 2.0 - 12_000.0 * t;
        Complex32::cis((std::f64::consts::TAU * turns.fract()) as f32)
    }),
    ("keyed noise", |n, rng| if n / 4000 % 2 == 0 { noise(rng) } else { Complex32::ZERO }),
    ("keyed tone", |n, rng| {
        noise(rng) * 0.1 + if n / 3000 % 2 == 0 { tone(n, 300.0) } else { Complex32::ZERO }
    }),
    ("NaN", |_, _| Complex32::new(f32::NAN, f32::NAN)),
    (
        "a NaN in noise",
        |n, rng| if n == 20_000 { Complex32::new(f32::NAN, 0.0) } else { noise(rng) },
    ),
    ("huge", |_, rng| noise(rng) * 1e38),
    ("infinity", |_, _| Complex32::new(f32::INFINITY, f32::INFINITY)),
    ("infinities of both signs", |n, _| {
        Complex32::new(f32::INFINITY, if n % 2 == 0 { f32::NEG_INFINITY } else { 0.0 })
    }),
    ("an infinity in noise", |n, rng| {
        if n == 20_000 { Complex32::new(0.0, f32::NEG_INFINITY) } else { noise(rng) }
    }),
];

/// `LENGTH` samples of a kind, of which the last is "all of them in turns".
fn garbage(kind: usize, input: InputKind, rng: &mut ChaCha8Rng) -> Vec<Complex32> {
    let sample = |n: usize, rng: &mut ChaCha8Rng| {
        let turn = GARBAGE.get(kind).unwrap_or(&GARBAGE[n / 1000 % GARBAGE.len()]);
        turn.1(n, rng)
    };
    let mut samples: Vec<Complex32> = (0..LENGTH).map(|n| sample(n, rng)).collect();
    if input != InputKind::Iq {
        samples.iter_mut().for_each(|x| x.im = 0.0);
    }
    samples
}

/// Receivers of every modulation, framing and kind of input, once each.
fn scenes() -> Vec<Scene> {
    let mut names = BTreeSet::new();
    Scene::all().into_iter().filter(|scene| names.insert(scene.name())).collect()
}

fn name_of(kind: usize) -> &'static str {
    GARBAGE.get(kind).map_or(IN_TURNS, |(name, _)| name)
}

#[test]
fn no_frame_comes_out_of_garbage() {
    let mut failures = Vec::new();
    let mut times = Vec::new();
    let mut rejects = [0u64; Reject::ALL.len()];
    for (index, scene) in scenes().iter().enumerate() {
        let mut rng = ChaCha8Rng::seed_from_u64(index as u64);
        for kind in 0..=GARBAGE.len() {
            let samples = garbage(kind, scene.kind, &mut rng);
            let (mut receiver, mut out) = (scene.receiver(), Vec::new());
            let started = Instant::now();
            push(&mut receiver, 0, &samples, Cut::Every(16_384), &mut out);
            receiver.finish(&mut out);
            let took_s = started.elapsed().as_secs_f64();
            let counts = receiver.counts();
            times.push((
                took_s,
                format!("{}, {}, {} symbols", scene.name(), name_of(kind), counts.symbols),
            ));
            if !out.is_empty() {
                failures.push(format!("{}: {out:?} from {}", scene.name(), name_of(kind)));
            }
            for (total, rejected) in rejects.iter_mut().zip(counts.rejects) {
                *total += rejected;
            }
        }
    }
    times.sort_by(|a, b| b.0.total_cmp(&a.0));
    for (took_s, what) in &times[..5] {
        println!("{:.1} × real time: {what}", LENGTH as f64 / RATE_HZ / took_s);
    }
    println!("rejects {:?}: {rejects:?}", Reject::ALL);
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn what_comes_after_garbage_is_received() {
    let mut failures = Vec::new();
    for scene in Scene::of_every_demodulator() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let take = Take { frames_per_burst: 1, lead_in_s: SETTLING_S, seed: 21, ..scene.clear() };
        let recording = scene.record(&take);
        for kind in (0..=GARBAGE.len()).filter(|kind| REMEMBERED.contains(&name_of(*kind))) {
            let (mut receiver, mut out) = (scene.receiver(), Vec::new());
            let samples = garbage(kind, scene.kind, &mut rng);
            push(&mut receiver, 0, &samples, Cut::Every(16_384), &mut out);
            push(&mut receiver, LENGTH as u64, &recording.samples, Cut::Every(16_384), &mut out);
            receiver.finish(&mut out);
            let received: Vec<&Vec<u8>> = out.iter().map(|f| &f.bytes).collect();
            let sent: Vec<&Vec<u8>> = recording.sent.iter().map(|s| &s.bytes).collect();
            if received != sent {
                failures.push(format!(
                    "{}: {} of {} after {}",
                    scene.name(),
                    received.len(),
                    sent.len(),
                    name_of(kind)
                ));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
