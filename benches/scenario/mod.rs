//! What the sensitivity and speed benches share: a mode, a simulated recording of it, a receiver.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::sync::Arc;

use tulpar::Complex32;
use tulpar::catalogue::Mode;
use tulpar::effort::Effort;
use tulpar::frame::{Frame, Origin};
use tulpar::framing::{self, Options};
use tulpar::modulation::{self, InputKind, Parameters};
use tulpar::receiver::{Downlink, Input, Receiver};
use tulpar::simulation::{Channel, SentFrame, Simulator, Transmission, frames};

/// Samples handed over at a time.
const BLOCK_SAMPLES: usize = 16_384;

/// A mode as it is sent and received.
#[derive(Debug, Clone)]
pub struct Scenario {
    pub name: &'static str,
    pub modulation: &'static str,
    pub symbol_rate_bd: f64,
    /// FSK: 2 · deviation / symbol rate.
    pub modulation_index: Option<f64>,
    pub bt: Option<f64>,
    pub framing: &'static str,
    pub options: &'static [(&'static str, &'static str)],
    pub frame_bytes: usize,
    /// Frames that follow each other in one burst.
    pub frames_per_burst: usize,
    pub preamble_symbols: usize,
    pub gap_s: f64,
    /// Up to so much more, by chance.
    pub gap_spread_s: f64,
    pub sample_rate_hz: f64,
    /// The receiver searches within ± this.
    pub search_hz: f64,
}

impl Scenario {
    /// 9600 Bd in 48 kS/s, a frame a burst, 32 bytes of preamble.
    pub const BASE: Scenario = Scenario {
        name: "",
        modulation: "FSK",
        symbol_rate_bd: 9600.0,
        modulation_index: None,
        bt: None,
        framing: "AX.25 G3RUH",
        options: &[],
        frame_bytes: 116,
        frames_per_burst: 1,
        preamble_symbols: 256,
        gap_s: 0.1,
        gap_spread_s: 0.0,
        sample_rate_hz: 48_000.0,
        search_hz: 12_000.0,
    };

    fn mode(&self, told: bool) -> Mode {
        let options: BTreeMap<String, String> =
            self.options.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let framing_descriptor = framing::find(self.framing).unwrap();
        let mut parameters = Parameters::new(self.symbol_rate_bd);
        if told {
            parameters.deviation_hz = self.modulation_index.map(|h| h * self.symbol_rate_bd / 2.0);
            parameters.bt = self.bt;
        }
        Mode {
            modulation: modulation::find(self.modulation).unwrap(),
            parameters,
            framing_descriptor,
            framing: framing::build(self.framing, &Options(options)).unwrap(),
        }
    }

    /// What is sent: `count` frames.
    pub fn transmission(&self, count: usize, seed: u64) -> Transmission {
        let payloads = frames::of_length(self.framing, self.frame_bytes, count, seed);
        let mut transmission = Transmission::new(self.mode(true), payloads).unwrap();
        transmission.frames_per_burst = self.frames_per_burst;
        transmission.preamble_symbols = self.preamble_symbols;
        transmission.lead_in_s = 0.3;
        transmission.gap_s = self.gap_s;
        transmission.gap_spread_s = self.gap_spread_s;
        transmission.tail_s = 0.3;
        transmission
    }

    /// A recording of `count` frames.
    pub fn simulator(&self, count: usize, channel: Channel) -> Simulator {
        let transmission = self.transmission(count, channel.seed);
        Simulator::new(transmission, channel, self.sample_rate_hz, None, None).unwrap()
    }

    /// A receiver that is told nothing but modulation, symbol rate and framing.
    pub fn receiver(&self, effort: Effort) -> Receiver {
        let mode = self.mode(false);
        let downlink = Downlink {
            origin: Arc::new(Origin::default()),
            frequency_hz: None,
            modulation: mode.modulation,
            parameters: mode.parameters,
            framing: mode.framing.into(),
        };
        let input = Input {
            kind: InputKind::Iq,
            sample_rate_hz: self.sample_rate_hz,
            intermediate_frequency_hz: None,
            search_hz: self.search_hz,
            effort,
        };
        Receiver::new(downlink, input).unwrap()
    }
}

/// Reads a simulation to its end.
pub fn samples(simulator: &mut Simulator) -> Vec<Complex32> {
    let mut out = Vec::new();
    while simulator.read_samples(&mut out, 1 << 20).unwrap() > 0 {}
    out
}

/// Receives samples.
pub fn receive(receiver: &mut Receiver, samples: &[Complex32]) -> Vec<Frame> {
    let mut out = Vec::new();
    let mut first = 0;
    for block in samples.chunks(BLOCK_SAMPLES) {
        receiver.push(first, block, &mut out);
        first += block.len() as u64;
    }
    receiver.finish(&mut out);
    out
}

/// How many of the frames sent were received, and how many received were not sent.
pub fn compare(sent: &[SentFrame], received: &[Frame]) -> (usize, usize) {
    let mut left: Vec<&[u8]> = received.iter().map(|f| f.bytes.as_slice()).collect();
    let right = sent
        .iter()
        .filter(|s| {
            let position = left.iter().position(|l| *l == s.bytes);
            position.map(|p| left.swap_remove(p)).is_some()
        })
        .count();
    (right, left.len())
}
