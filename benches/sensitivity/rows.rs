//! The signals that are measured, with the limits of theory.

use crate::limits;
use crate::scenario::Scenario;

/// Shares of lost frames that are reported.
pub const LEVELS: [f64; 3] = [0.5, 0.1, 0.01];

/// A signal.
pub struct Row {
    pub scenario: Scenario,
    /// Es/N0 at which the best detector (maximum likelihood, ideal synchronisation) loses
    /// [`LEVELS`] of the frames if it decides once and repairs nothing.
    pub limit_db: [f64; 3],
    /// What all means are expected to gain over that: where the search for the crossing begins.
    pub expected_gain_db: f64,
    /// Es/N0 at which gr-satellites 5.9 loses half of the frames.
    pub gr_satellites_db: Option<f64>,
}

const DUAL_223: &[(&str, &str)] =
    &[("basis", "dual"), ("interleaving", "1"), ("frame_size", "223")];
const DUAL_1115: &[(&str, &str)] =
    &[("basis", "dual"), ("interleaving", "5"), ("frame_size", "1115")];

/// FSK of an index with the pulse of a bandwidth-time product, AX.25 with the G3RUH scrambler.
pub fn fsk(name: &'static str, h: f64, bt: f64) -> Row {
    let scenario =
        Scenario { name, modulation_index: Some(h), bt: Some(bt), ..Scenario::BASE.clone() };
    Row {
        limit_db: limits::ax25_cpm(h, bt, scenario.frame_bytes),
        scenario,
        expected_gain_db: 0.8,
        gr_satellites_db: None,
    }
}

/// All rows of the table.
pub fn rows() -> Vec<Row> {
    let base = Scenario::BASE;
    let gmsk = Scenario { modulation_index: Some(0.5), bt: Some(0.5), ..base.clone() };
    let ccsds = Scenario {
        options: DUAL_223,
        frame_bytes: 223,
        frames_per_burst: 10,
        preamble_symbols: 600,
        ..gmsk.clone()
    };
    let bpsk = Scenario { modulation: "BPSK", modulation_index: None, bt: None, ..base };
    let slow = Scenario {
        name: "GMSK 1200 Bd, AX.25 G3RUH, 60 bytes",
        symbol_rate_bd: 1200.0,
        frame_bytes: 60,
        gap_s: 0.4,
        ..gmsk.clone()
    };
    vec![
        Row { gr_satellites_db: Some(13.6), ..fsk("GMSK h .5 BT .5, AX.25 G3RUH", 0.5, 0.5) },
        fsk("GMSK h .5 BT .3, AX.25 G3RUH", 0.5, 0.3),
        Row { gr_satellites_db: Some(12.2), ..fsk("GFSK h .66 BT .5, AX.25 G3RUH", 0.66, 0.5) },
        fsk("FSK h 1.0 rectangular, AX.25 G3RUH", 1.0, f64::INFINITY),
        Row {
            limit_db: limits::ax25_cpm(0.5, 0.5, slow.frame_bytes),
            scenario: slow,
            expected_gain_db: 0.8,
            gr_satellites_db: None,
        },
        Row {
            scenario: Scenario {
                name: "GMSK, AX100 ASM+Golay, 100 bytes",
                framing: "AX100 ASM+Golay",
                frame_bytes: 100,
                ..gmsk
            },
            // RS(132, 100) behind the events of GMSK: pairs of symbols.
            limit_db: [3.7, 4.2, 4.6],
            expected_gain_db: 0.1,
            gr_satellites_db: Some(9.4),
        },
        Row {
            scenario: Scenario {
                name: "GMSK, CCSDS Reed-Solomon I=1",
                framing: "CCSDS Reed-Solomon",
                ..ccsds.clone()
            },
            limit_db: [4.8, 5.2, 5.6],
            expected_gain_db: 0.1,
            gr_satellites_db: Some(10.4),
        },
        Row {
            scenario: Scenario {
                name: "GMSK, CCSDS Concatenated I=1",
                framing: "CCSDS Concatenated",
                ..ccsds.clone()
            },
            // Not precoded: the joint trellis of code and modulation.
            limit_db: [-1.6, -1.3, -0.9],
            expected_gain_db: 0.0,
            gr_satellites_db: Some(7.9),
        },
        Row {
            limit_db: limits::ax25_bpsk(bpsk.frame_bytes),
            scenario: Scenario { name: "BPSK, AX.25 G3RUH", ..bpsk.clone() },
            expected_gain_db: 0.8,
            gr_satellites_db: Some(8.2),
        },
        Row {
            scenario: Scenario {
                name: "BPSK, CCSDS Concatenated I=1",
                framing: "CCSDS Concatenated",
                options: DUAL_223,
                frame_bytes: 223,
                frames_per_burst: 10,
                preamble_symbols: 600,
                ..bpsk.clone()
            },
            limit_db: [-1.8, -1.5, -1.1],
            expected_gain_db: 0.0,
            gr_satellites_db: Some(0.0),
        },
        Row {
            scenario: Scenario {
                name: "BPSK, CCSDS Concatenated I=5",
                framing: "CCSDS Concatenated",
                options: DUAL_1115,
                frame_bytes: 1115,
                frames_per_burst: 5,
                preamble_symbols: 600,
                ..bpsk
            },
            limit_db: [-1.7, -1.5, -1.4],
            expected_gain_db: 0.1,
            gr_satellites_db: None,
        },
    ]
}
