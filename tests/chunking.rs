//! Whole receivers: the samples alone decide which frames come out and how they are labelled, never
//! how the samples were cut into calls.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::sync::Arc;

use common::scene::{
    Cut, RATE_HZ, Recording, Scene, Take, assert_received, assert_same, push, receive,
};
use jiff::Timestamp;
use tulpar::doppler::Prediction;
use tulpar::doppler::refine::Prior;
use tulpar::doppler::tracking::Tracking;
use tulpar::frame::{Check, Frame};
use tulpar::modulation::{self, InputKind};
use tulpar::receiver::Receiver;
use tulpar::source::Anchor;
use tulpar::{Complex32, framing};

/// Receives a recording whole and in pieces, down to single samples, and compares everything that
/// the receiver says.
fn assert_cuts_do_not_matter(scene: &Scene, recording: &Recording, what: &str) -> Vec<Frame> {
    let (whole, counts) = receive(scene, &recording.samples, Cut::Whole);
    for cut in [Cut::Every(1), Cut::Every(7), Cut::Random(1), Cut::Random(2)] {
        let (cut_up, its_counts) = receive(scene, &recording.samples, cut);
        assert_same(&cut_up, &whole, &format!("{what}, {cut:?}"));
        assert_eq!(its_counts, counts, "{what}, {cut:?}");
    }
    whole
}

fn check(scenes: impl IntoIterator<Item = Scene>) {
    for (index, scene) in scenes.into_iter().enumerate() {
        let name = scene.name();
        let clear = scene.record(&Take { seed: 7 + index as u64, ..scene.clear() });
        let received = assert_cuts_do_not_matter(&scene, &clear, &name);
        assert_received(&received, &clear.sent, &scene, &name);
        // Where a frame is received or not, every decision on the way is a narrow one.
        let weak = scene.record(&Take {
            esn0_db: weak_esn0_db(&scene),
            frames_per_burst: 1,
            seed: 8 + index as u64,
            ..scene.clear()
        });
        let received = assert_cuts_do_not_matter(&scene, &weak, &format!("weak {name}"));
        println!("{name}: {} of {} weak frames", received.len(), weak.sent.len());
        for frame in &received {
            let sent = weak.sent.iter().any(|s| s.bytes == frame.bytes);
            assert!(sent || frame.check == Check::None, "{name}: {frame:?}");
        }
    }
}

/// About where half of the frames come through.
fn weak_esn0_db(scene: &Scene) -> f64 {
    let coded = ["CCSDS Convolutional", "CCSDS Concatenated", "USP"].contains(&scene.framing);
    match (scene.kind, scene.modulation) {
        (_, "AFSK") => 20.0,
        (InputKind::FmAudio, _) if coded => 9.5,
        (InputKind::FmAudio, _) => 12.0,
        (InputKind::RealIf, _) if coded => 2.0,
        (InputKind::RealIf, _) => 9.5,
        _ if coded => -1.0,
        _ => 6.5,
    }
}

fn every_framing(modulation: &'static str, kind: InputKind) {
    check(framing::REGISTRY.iter().map(|f| Scene::iq(modulation, f.name).on(kind)));
}

#[test]
fn every_framing_on_fsk() {
    every_framing("FSK", InputKind::Iq);
}

#[test]
fn every_framing_on_fsk_in_fm_audio() {
    every_framing("FSK", InputKind::FmAudio);
}

#[test]
fn every_framing_on_bpsk() {
    every_framing("BPSK", InputKind::Iq);
}

#[test]
fn every_framing_on_bpsk_in_a_real_if() {
    every_framing("BPSK", InputKind::RealIf);
}

#[test]
fn every_modulation_in_iq_and_as_the_field_records_it() {
    check(modulation::REGISTRY.iter().map(|m| Scene::iq(m.name, "AX.25")));
    check(modulation::REGISTRY.iter().map(|m| Scene::iq(m.name, "AX.25").on(m.real_input)));
}

#[test]
fn fsk_in_a_real_if() {
    check([Scene::iq("FSK", "AX.25 G3RUH").on(InputKind::RealIf)]);
}

#[test]
fn a_continuous_signal() {
    for (modulation, kind) in
        [("FSK", InputKind::Iq), ("BPSK", InputKind::Iq), ("FSK", InputKind::FmAudio)]
    {
        let scene = Scene::iq(modulation, "CCSDS Concatenated").on(kind);
        let recording = scene.record(&Take {
            esn0_db: 15.0,
            frames: 12,
            frames_per_burst: usize::MAX,
            ..scene.clear()
        });
        let received = assert_cuts_do_not_matter(&scene, &recording, &scene.name());
        assert_received(&received, &recording.sent, &scene, &scene.name());
    }
}

/// A frame a burst, so that frames can be told apart by their place.
fn bursts(scene: &Scene) -> Recording {
    scene.record(&Take { frames_per_burst: 1, seed: 11, ..scene.clear() })
}

#[test]
fn samples_that_are_missing_cost_the_frame_they_are_in_and_no_other() {
    for scene in Scene::of_every_demodulator() {
        let name = scene.name();
        let Recording { samples, sent } = bursts(&scene);
        // From the middle of the second frame to somewhat after it, an odd number.
        let from = (sent[1].first_sample + sent[1].end_sample) as usize / 2;
        let to = sent[1].end_sample as usize + 1001;
        let receive = |before: Cut, after: Cut| {
            let (mut receiver, mut out) = (scene.receiver(), Vec::new());
            push(&mut receiver, 0, &samples[..from], before, &mut out);
            let settled = out.len();
            push(&mut receiver, to as u64, &samples[to..], after, &mut out);
            assert!(out[..settled].iter().all(|f| f.end_sample <= from as u64), "{name}");
            receiver.finish(&mut out);
            out
        };
        let whole = receive(Cut::Whole, Cut::Whole);
        let expected = [sent[0].clone(), sent[2].clone(), sent[3].clone()];
        assert_received(&whole, &expected, &scene, &name);
        for (before, after) in [(Cut::Every(1), Cut::Random(3)), (Cut::Random(4), Cut::Every(7))] {
            assert_same(&receive(before, after), &whole, &name);
        }
    }
}

#[test]
fn where_the_count_of_samples_begins_shifts_the_frames_and_changes_nothing_else() {
    const FIRST: u64 = 1_000_000_000_007;
    for scene in Scene::of_every_demodulator() {
        let recording = bursts(&scene);
        let (expected, _) = receive(&scene, &recording.samples, Cut::Whole);
        let (mut receiver, mut out) = (scene.receiver(), Vec::new());
        push(&mut receiver, FIRST, &recording.samples, Cut::Random(5), &mut out);
        receiver.finish(&mut out);
        for frame in &mut out {
            frame.first_sample -= FIRST;
            frame.end_sample -= FIRST;
        }
        assert_same(&out, &expected, &scene.name());
    }
}

/// Pushes two captures that follow each other in the count of samples, each with its anchor.
fn two_captures(
    mut receiver: Receiver,
    samples: &[Complex32],
    border: usize,
    anchors: [Anchor; 2],
    cut: Cut,
) -> Vec<Frame> {
    let mut out = Vec::new();
    receiver.anchor(anchors[0], &mut out);
    push(&mut receiver, 0, &samples[..border], cut, &mut out);
    receiver.anchor(anchors[1], &mut out);
    push(&mut receiver, border as u64, &samples[border..], cut, &mut out);
    receiver.finish(&mut out);
    out
}

#[test]
fn captures_of_different_times_and_centres() {
    for scene in Scene::of_every_demodulator() {
        let name = scene.name();
        let Recording { mut samples, sent } = bursts(&scene);
        let start = "2026-11-22T12:00:00Z".parse().unwrap();
        let seconds = |s: f64| jiff::SignedDuration::from_secs_f64(s);
        // In the middle of the third frame.
        let border = (sent[2].first_sample + sent[2].end_sample) as usize / 2;
        let border_s = border as f64 / RATE_HZ;
        let anchor = |sample: usize, time, centre_hz| Anchor {
            sample: sample as u64,
            time: Some(time),
            centre_frequency_hz: Some(centre_hz),
        };
        let carrier_hz = 435e6;
        let first = anchor(0, start, carrier_hz);

        // The second goes on where the first ended: one anchor would have done.
        let continued = anchor(border, start + seconds(border_s), carrier_hz);
        let receiver = || scene.receiver_at(Some(carrier_hz));
        let whole = two_captures(receiver(), &samples, border, [first, continued], Cut::Whole);
        assert_received(&whole, &sent, &scene, &name);
        let cut_up = two_captures(receiver(), &samples, border, [first, continued], Cut::Random(6));
        assert_same(&cut_up, &whole, &name);
        for frame in &whole {
            let expected = start + seconds(frame.first_sample as f64 / RATE_HZ);
            let error = frame.time.unwrap().duration_since(expected).abs().as_secs_f64();
            assert!(error < 1e-6, "{name}: {error} s");
        }

        // The second is made without a pause, but somewhere else in the band, or ten seconds later and somewhere else in the band.
        let shift_hz = if scene.kind == InputKind::Iq { 3000.0 } else { 0.0 };
        for (n, x) in samples[border..].iter_mut().enumerate() {
            let turns = shift_hz / RATE_HZ * n as f64;
            if shift_hz != 0.0 {
                *x *= Complex32::cis((std::f64::consts::TAU * turns.fract()) as f32);
            }
        }
        if scene.kind == InputKind::Iq {
            let retuned = anchor(border, start + seconds(border_s), carrier_hz - shift_hz);
            let found = two_captures(receiver(), &samples, border, [first, retuned], Cut::Whole);
            assert_received(&found, &sent, &scene, &format!("{name}, retuned"));
            let cut_up =
                two_captures(receiver(), &samples, border, [first, retuned], Cut::Random(7));
            assert_same(&cut_up, &found, &name);
        }
        let later = anchor(border, start + seconds(border_s + 10.0), carrier_hz - shift_hz);
        let apart = two_captures(receiver(), &samples, border, [first, later], Cut::Whole);
        let expected = [sent[0].clone(), sent[1].clone(), sent[3].clone()];
        assert_received(&apart, &expected, &scene, &name);
        let last = &apart[2];
        let expected = start + seconds(last.first_sample as f64 / RATE_HZ + 10.0);
        assert!(last.time.unwrap().duration_since(expected).abs().as_secs_f64() < 1e-6);
        let offset_change_hz = last.frequency_offset_hz - apart[0].frequency_offset_hz;
        assert!(offset_change_hz.abs() < 200.0, "{name}: {offset_change_hz} Hz");
        let cut_up = two_captures(receiver(), &samples, border, [first, later], Cut::Every(7));
        assert_same(&cut_up, &apart, &name);
    }
}

/// A shift that grows, and is not quite that of the recording.
struct Growing(Timestamp);

impl Prediction for Growing {
    fn shift_hz(&self, time: Timestamp) -> Option<f64> {
        let seconds = time.duration_since(self.0).as_secs_f64();
        Some(60.0 + 45.0 * seconds + 3.0 * seconds * seconds)
    }
}

#[test]
fn a_receiver_that_is_steered_and_learns() {
    let start: Timestamp = "2026-11-22T12:00:00Z".parse().unwrap();
    for scene in Scene::of_every_demodulator() {
        let name = scene.name();
        let recording =
            scene.record(&Take { frames: 12, frames_per_burst: 1, seed: 12, ..scene.clear() });
        let receive = |cut: Cut| {
            let (mut receiver, mut out) = (scene.receiver(), Vec::new());
            let prior = Prior { bias_hz: 500.0, time_s: 1.0 };
            let tracking =
                Tracking::closed_loop(Arc::new(Growing(start)), prior, scene.symbol_rate_bd);
            receiver.track(Some(tracking));
            let anchor = Anchor { sample: 0, time: Some(start), centre_frequency_hz: None };
            receiver.anchor(anchor, &mut out);
            push(&mut receiver, 0, &recording.samples, cut, &mut out);
            receiver.finish(&mut out);
            (out, receiver.fit())
        };
        if scene.kind != InputKind::Iq {
            continue;
        }
        let (whole, fit) = receive(Cut::Whole);
        assert_received(&whole, &recording.sent, &scene, &name);
        assert!(fit.unwrap().used > 0);
        assert!(whole.iter().all(|frame| frame.doppler_hz.is_some()));
        for cut in [Cut::Every(1), Cut::Every(7), Cut::Random(1)] {
            let (cut_up, its_fit) = receive(cut);
            assert_same(&cut_up, &whole, &format!("{name}, {cut:?}"));
            assert_eq!(its_fit, fit, "{name}");
        }
    }
}
