//! Real recordings of real satellites, and test signals of an independent transmitter. They lie
//! beside the project; where they are absent, these tests are skipped and say so.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::fs;

use common::{frames, shared, tulpar};

/// Signals of an independent transmitter, with no option but what a mode needs.
const TEST_SIGNALS: &[(&str, &[&str])] = &[
    ("bpsk-9k6-ax25-g3ruh", &["--modulation", "bpsk", "--framing", "AX.25 G3RUH"]),
    (
        "bpsk-9k6-ccsds-concatenated-i1",
        &[
            "--modulation",
            "bpsk",
            "--framing",
            "CCSDS Concatenated",
            "--option",
            "basis=dual",
            "--option",
            "interleaving=1",
            "--option",
            "frame_size=223",
        ],
    ),
    (
        "bpsk-9k6-ccsds-concatenated-i4",
        &[
            "--modulation",
            "bpsk",
            "--framing",
            "CCSDS Concatenated",
            "--option",
            "basis=dual",
            "--option",
            "interleaving=4",
            "--option",
            "frame_size=892",
        ],
    ),
    ("gfsk-9k6-ax25-g3ruh-h0p66", &["--modulation", "gfsk", "--framing", "AX.25 G3RUH"]),
    ("gmsk-9k6-ax100-asm-golay", &["--modulation", "gmsk", "--framing", "AX100 ASM+Golay"]),
    ("gmsk-9k6-ax25-g3ruh", &["--modulation", "gmsk", "--framing", "AX.25 G3RUH"]),
    (
        "gmsk-9k6-ccsds-rs-i1",
        &[
            "--modulation",
            "gmsk",
            "--framing",
            "CCSDS Reed-Solomon",
            "--option",
            "basis=dual",
            "--option",
            "interleaving=1",
            "--option",
            "frame_size=223",
        ],
    ),
];

#[test]
fn test_signals_give_exactly_their_frames() {
    let Some(shared) = shared() else { return };
    for (name, mode) in TEST_SIGNALS {
        let base = shared.join("iq").join(name);
        let expected: Vec<String> =
            serde_json::from_str(&fs::read_to_string(base.with_extension("frames.json")).unwrap())
                .unwrap();
        let output = tulpar()
            .arg("replay")
            .arg(base.with_extension("sigmf-meta"))
            .args(*mode)
            .args(["--symbol-rate", "9600", "--json"])
            .output()
            .unwrap();
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(frames(&output.stdout), expected, "{name}");
    }
}

/// Recordings by satellite name alone. `None`: every frame that is listed for it must come out;
/// a number: at least as many.
const RECORDINGS: &[(&str, Option<usize>)] = &[
    ("1kuns_pf", None),
    ("aalto1", Some(1)),
    ("ao27", None),
    ("astrocast_9k6", None),
    ("az02", None),
    ("by701", None),
    ("ca03", None),
    ("delphini1", None),
    ("duchifat_3", None),
    ("facsat_1", None),
    ("fmn1", None),
    ("gr01", None),
    ("irazu", None),
    ("itasat1", None),
    ("koyo", None),
    ("picsat", Some(1)),
    ("picsat_9k6", Some(56)),
    ("se01", None),
    ("trisat", None),
    ("tw_1b", None),
    ("ty_2", None),
    ("upmsat_2", None),
    ("us01", None),
    ("vzlusat2", None),
    ("zhou_enlai", Some(1)),
    ("jradio-lume1", None),
];

#[test]
fn recordings_decode_by_satellite_name_alone() {
    let Some(shared) = shared() else { return };
    let folder = shared.join("recordings");
    let expected: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(folder.join("expected.json")).unwrap()).unwrap();
    let mut failures = Vec::new();
    println!("{:<16} {:>6} {:>9} {:>5}", "recording", "listed", "of them", "all");
    for (name, at_least) in RECORDINGS {
        let entry = &expected[*name];
        let satellite = entry["satellite"].as_str().unwrap();
        let listed: Vec<&str> = entry["frames_by_gr_satellites"]
            .as_array()
            .unwrap()
            .iter()
            .map(|f| f.as_str().unwrap())
            .collect();
        let output = tulpar()
            .arg("replay")
            .arg(folder.join(format!("{name}.wav")))
            .args(["--satellite", satellite, "--json"])
            .output()
            .unwrap();
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        let found = frames(&output.stdout);
        let mut left = found.clone();
        let of_them = listed
            .iter()
            .filter(|f| {
                let position = left.iter().position(|l| l == *f);
                position.map(|p| left.swap_remove(p)).is_some()
            })
            .count();
        println!("{name:<16} {:>6} {of_them:>9} {:>5}", listed.len(), found.len());
        let good = match at_least {
            None => of_them == listed.len(),
            Some(n) => found.len() >= *n,
        };
        if !good {
            failures.push(*name);
        }
    }
    assert!(failures.is_empty(), "frames are missing: {failures:?}");
}

#[test]
fn real_iq_of_orbicraft_zorkiy_decodes() {
    let Some(shared) = shared() else { return };
    let output = tulpar()
        .arg("replay")
        .arg(shared.join("iq/real/orbicraft_z-48k.wav"))
        .args(["--modulation", "fsk", "--symbol-rate", "9600", "--framing", "USP", "--json"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(frames(&output.stdout).len() >= 2);
}
