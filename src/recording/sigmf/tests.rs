#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::{Arc, Mutex};

use proptest::prelude::*;
use serde_json::Value;

use super::super::SampleCoding;
use super::*;
use crate::source::{self, InputOptions, SampleBlock};

const RATE_HZ: f64 = 1000.0;

fn global(coding: SampleCoding) -> Global {
    Global {
        coding,
        complex: true,
        sample_rate_hz: RATE_HZ,
        description: "a test".into(),
        reception: true,
        hardware: None,
        station: None,
        elements: None,
    }
}

fn start() -> Timestamp {
    "2026-08-01T12:00:00.123456789Z".parse().unwrap()
}

/// Samples and anchors of a recording, and what was odd about it.
fn read(meta_path: &Path) -> (Vec<Complex32>, Vec<Anchor>, Vec<String>) {
    let mut source = source::open(meta_path.to_str().unwrap(), &InputOptions::default()).unwrap();
    let (mut samples, mut anchors) = (Vec::new(), Vec::new());
    let mut block = SampleBlock::default();
    while source.read(&mut block, 100).unwrap() {
        anchors.extend(block.anchor);
        samples.extend_from_slice(&block.samples);
    }
    let warnings = source.info().warnings.clone();
    (samples, anchors, warnings)
}

fn wave(first: u64, count: usize) -> Vec<Complex32> {
    (first..first + count as u64)
        .map(|k| Complex32::from_polar(0.9, (k % 1000) as f32 * 0.3))
        .collect()
}

fn annotate(recording: &mut SigmfRecording, first: u64, end: u64) -> bool {
    recording.annotate(first, end, |centre| centre, 50.0, "X/Y/1 bytes/crc".into())
}

#[test]
fn names_say_time_satellite_and_frequency() {
    let name_of = |satellite, frequency| name(Some(start()), satellite, frequency);
    assert_eq!(name_of(Some("OTS"), Some(437.5e6)), "2026-08-01T12-00-00Z_ots_437500000Hz");
    assert_eq!(name_of(Some("../Ä / b(1)"), None), "2026-08-01T12-00-00Z_b-1");
    assert_eq!(name_of(None, Some(f64::NAN)), "2026-08-01T12-00-00Z");
    assert_eq!(name(None, Some("X"), None), "undated_x");
}

#[test]
fn two_recordings_of_one_second_have_names_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let create = || SigmfRecording::create(folder.path(), "x", global(SampleCoding::Ci16)).unwrap();
    let (a, b) = (create(), create());
    assert!(a.path().ends_with("x.sigmf-meta") && b.path().ends_with("x_2.sigmf-meta"));
    let nowhere = folder.path().join("no");
    assert!(SigmfRecording::create(&nowhere, "x", global(SampleCoding::Ci16)).is_err());
}

#[test]
fn gaps_retunes_and_steps_of_time_are_captures() {
    let folder = tempfile::tempdir().unwrap();
    let mut recording =
        SigmfRecording::create(folder.path(), "x", global(SampleCoding::Cf32)).unwrap();
    let at = |sample, seconds, hz| Anchor {
        sample,
        time: moved(start(), seconds),
        centre_frequency_hz: Some(hz),
    };
    // A gap whose anchor was lost, one told 10 samples late, a retune, a step, and nothing new.
    recording.push(Some(at(500, 0.0, 1e6)), 500, &wave(500, 100)).unwrap();
    recording.push(None, 600, &wave(600, 100)).unwrap();
    recording.push(None, 800, &wave(800, 50)).unwrap();
    recording.push(Some(at(900, 0.4, 1e6)), 910, &wave(910, 90)).unwrap();
    recording.push(Some(at(1000, 0.5, 2e6)), 1000, &wave(1000, 10)).unwrap();
    recording.push(Some(at(1010, 7.0, 2e6)), 1010, &wave(1010, 10)).unwrap();
    recording.push(Some(at(1020, 7.010_01, 2e6)), 1020, &wave(1020, 10)).unwrap();
    // In the first run, across the gap, in the gap, before and after everything.
    assert!(annotate(&mut recording, 520, 560));
    assert!(annotate(&mut recording, 690, 810));
    assert!(!annotate(&mut recording, 720, 790));
    assert!(annotate(&mut recording, 0, 510));
    assert!(annotate(&mut recording, 1025, 9999));
    assert!(!annotate(&mut recording, 0, 10) && !annotate(&mut recording, 5000, 6000));
    recording.finish().unwrap();

    let (samples, anchors, warnings) = read(recording.path());
    assert!(warnings.is_empty(), "{warnings:?}");
    let kept = [(500, 200), (800, 50), (910, 120)];
    let expected: Vec<Complex32> = kept.iter().flat_map(|&(k, n)| wave(k, n)).collect();
    assert_eq!(samples, expected);
    let expected = [
        at(0, 0.0, 1e6),
        at(200, 0.3, 1e6),
        at(250, 0.41, 1e6),
        at(340, 0.5, 2e6),
        at(350, 7.0, 2e6),
    ];
    assert_eq!(anchors, expected);

    let meta: Value = serde_json::from_slice(&std::fs::read(recording.path()).unwrap()).unwrap();
    let marks: Vec<(u64, u64)> = meta["annotations"]
        .as_array()
        .unwrap()
        .iter()
        .map(|a| {
            let of = |key: &str| a[key].as_u64().unwrap();
            (of("core:sample_start"), of("core:sample_count"))
        })
        .collect();
    assert_eq!(marks, [(0, 10), (20, 40), (190, 20), (365, 5)]);
    assert_eq!(meta["annotations"][3]["core:freq_lower_edge"], 2e6 - 50.0);
    let indices: Vec<u64> = meta["captures"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| c["core:global_index"].as_u64().unwrap())
        .collect();
    assert_eq!(indices, [500, 800, 910, 1000, 1010]);
}

#[test]
fn without_time_and_frequency_it_is_a_recording_too() {
    let folder = tempfile::tempdir().unwrap();
    let mut recording =
        SigmfRecording::create(folder.path(), "plain", global(SampleCoding::Ci8)).unwrap();
    recording.push(None, 7, &wave(7, 10)).unwrap();
    recording.push(None, 30, &[]).unwrap();
    recording.push(None, 5, &wave(5, 10)).unwrap();
    assert!(annotate(&mut recording, 8, u64::MAX));
    recording.finish().unwrap();
    let (samples, anchors, _) = read(recording.path());
    assert_eq!((samples.len(), anchors.len()), (20, 2));
}

/// A file on a disk that can be filled.
struct Quota {
    file: File,
    left: Arc<Mutex<usize>>,
}

impl Write for Quota {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut left = self.left.lock().unwrap();
        let count = bytes.len().min(*left);
        if count == 0 && !bytes.is_empty() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        *left -= count;
        self.file.write(&bytes[..count])
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl DataFile for Quota {
    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn cut(&mut self, bytes: u64) -> io::Result<()> {
        self.file.set_len(bytes)
    }
}

#[test]
fn a_full_disk_leaves_a_whole_recording() {
    let folder = tempfile::tempdir().unwrap();
    let base = folder.path().join("x");
    let file = File::create(with_suffix(&base, DATA)).unwrap();
    let quota = Quota { file, left: Arc::new(Mutex::new(4 * 150 + 3)) };
    let mut recording =
        SigmfRecording::with_data(&base, Box::new(quota), global(SampleCoding::Ci16)).unwrap();
    let anchor = Anchor { sample: 0, time: Some(start()), centre_frequency_hz: None };
    recording.push(Some(anchor), 0, &wave(0, 100)).unwrap();
    recording.save().unwrap();
    assert!(annotate(&mut recording, 50, 100));
    recording.push(None, 200, &wave(200, 100)).unwrap();
    assert!(annotate(&mut recording, 90, 250));
    let error = recording.save().unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    assert!(recording.write().is_err());
    recording.finish().unwrap_err();
    let (samples, anchors, warnings) = read(recording.path());
    assert!(warnings.is_empty(), "{warnings:?}");
    assert_eq!((samples.len(), anchors.len()), (100, 1));
    let meta: Value = serde_json::from_slice(&std::fs::read(recording.path()).unwrap()).unwrap();
    assert_eq!(meta["annotations"][0]["core:sample_count"], 50);
    assert_eq!(meta["annotations"][1]["core:sample_start"], 90);
    assert_eq!(meta["annotations"][1]["core:sample_count"], 10);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Whatever is written is read again: samples to rounding, and the anchors that say something
    /// new. Left alone at any moment it is what had been written out by then.
    #[test]
    fn round_trip(
        pieces in prop::collection::vec(
            (1usize..60, prop::option::of(1u64..500), prop::option::of(0usize..3), any::<bool>(), any::<bool>()),
            1..20,
        ),
        coding in prop::sample::select(vec![SampleCoding::Ci16, SampleCoding::Ci8, SampleCoding::Cf32]),
        stopped_after in 0usize..20,
    ) {
        let step = match coding {
            SampleCoding::Ci16 => 1.0 / 32_768.0,
            SampleCoding::Ci8 => 1.0 / 128.0,
            SampleCoding::Cf32 => 0.0,
        };
        let folder = tempfile::tempdir().unwrap();
        let mut recording = SigmfRecording::create(folder.path(), "r", global(coding)).unwrap();
        let (mut samples, mut anchors) = (Vec::new(), Vec::<Anchor>::new());
        let (mut index, mut centre_hz, mut late_s) = (0u64, 100e6, 0.0);
        let mut cut = None;
        for (number, (count, gap, tuned, steps, saves)) in pieces.iter().enumerate() {
            index += gap.unwrap_or(0);
            let changed = tuned.map(|k| 100e6 + k as f64 * 1e6).filter(|hz| *hz != centre_hz);
            centre_hz = changed.unwrap_or(centre_hz);
            late_s += if *steps { 0.25 } else { 0.0 };
            let time = moved(start(), index as f64 / RATE_HZ + late_s);
            let anchor = Anchor { sample: index, time, centre_frequency_hz: Some(centre_hz) };
            let told = number == 0 || changed.is_some() || *steps;
            if told || gap.is_some() {
                anchors.push(Anchor { sample: samples.len() as u64, ..anchor });
            }
            let piece = wave(index, *count);
            recording.push(told.then_some(anchor), index, &piece).unwrap();
            samples.extend(piece);
            index += *count as u64;
            if *saves {
                recording.write().unwrap();
                // As a killed program leaves it.
                if cut.is_none() && number >= stopped_after {
                    cut = Some((read(recording.path()), samples.len(), anchors.len()));
                }
            }
        }
        recording.finish().unwrap();
        let whole = (read(recording.path()), samples.len(), anchors.len());
        for ((got, stated, warnings), count, captures) in cut.into_iter().chain([whole]) {
            prop_assert!(warnings.is_empty(), "{:?}", warnings);
            prop_assert_eq!(got.len(), count);
            for (a, b) in got.iter().zip(&samples) {
                prop_assert!((a.re - b.re).abs() <= 0.501 * step && (a.im - b.im).abs() <= 0.501 * step);
            }
            prop_assert_eq!(stated.len(), captures);
            for (a, b) in stated.iter().zip(&anchors) {
                prop_assert_eq!((a.sample, a.centre_frequency_hz), (b.sample, b.centre_frequency_hz));
                let apart = a.time.unwrap().duration_since(b.time.unwrap());
                prop_assert!(apart.abs().as_secs_f64() < 1e-6, "{}", apart);
            }
        }
    }
}
