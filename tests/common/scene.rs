//! Short simulated recordings of every mode, and receivers for them.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::f64::consts::TAU;
use std::sync::Arc;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tulpar::Complex32;
use tulpar::catalogue::Mode;
use tulpar::dsp::discriminator::Discriminator;
use tulpar::effort::Effort;
use tulpar::frame::{Frame, Origin};
use tulpar::framing::{self, Options};
use tulpar::modulation::{self, InputKind, Parameters};
use tulpar::receiver::{Counts, Downlink, Input, Receiver};
use tulpar::simulation::{Channel, SentFrame, Simulator, Transmission, frames};

/// Sample rate of every scene.
pub const RATE_HZ: f64 = 48_000.0;
/// Carrier of scenes with a real intermediate frequency.
pub const INTERMEDIATE_HZ: f64 = 12_000.0;

/// A mode on a kind of input.
#[derive(Debug, Clone)]
pub struct Scene {
    pub modulation: &'static str,
    pub framing: &'static str,
    pub options: &'static [(&'static str, &'static str)],
    pub kind: InputKind,
    pub symbol_rate_bd: f64,
}

/// What is recorded.
#[derive(Debug, Clone, Copy)]
pub struct Take {
    pub esn0_db: f64,
    pub frames: usize,
    pub frames_per_burst: usize,
    pub lead_in_s: f64,
    pub seed: u64,
}

/// A recording, and what was sent in it.
pub struct Recording {
    pub samples: Vec<Complex32>,
    pub sent: Vec<SentFrame>,
}

impl Scene {
    /// A mode in IQ at a rate that suits the modulation.
    pub fn iq(modulation: &'static str, framing: &'static str) -> Self {
        let symbol_rate_bd = if modulation == "AFSK" { 1200.0 } else { 9600.0 };
        Self { modulation, framing, options: &[], kind: InputKind::Iq, symbol_rate_bd }
    }

    /// The same on another kind of input.
    pub fn on(self, kind: InputKind) -> Self {
        Self { kind, ..self }
    }

    /// Every modulation, every framing, every kind of input.
    pub fn all() -> Vec<Self> {
        let mut scenes = Vec::new();
        for framing in framing::REGISTRY {
            for modulation in ["FSK", "BPSK"] {
                scenes.push(Self::iq(modulation, framing.name));
            }
            scenes.push(Self::iq("FSK", framing.name).on(InputKind::FmAudio));
            scenes.push(Self::iq("BPSK", framing.name).on(InputKind::RealIf));
        }
        for modulation in modulation::REGISTRY {
            scenes.push(Self::iq(modulation.name, "AX.25"));
            if modulation.real_input == InputKind::FmAudio {
                scenes.push(Self::iq(modulation.name, "AX.25").on(InputKind::FmAudio));
            }
        }
        scenes.push(Self::iq("FSK", "AX.25 G3RUH").on(InputKind::RealIf));
        scenes
    }

    /// One of every demodulator, or nearly so.
    pub fn of_every_demodulator() -> Vec<Self> {
        vec![
            Self::iq("FSK", "AX.25 G3RUH"),
            Self::iq("FSK", "CCSDS Concatenated"),
            Self::iq("FSK", "AX.25 G3RUH").on(InputKind::FmAudio),
            Self::iq("FSK", "AX.25 G3RUH").on(InputKind::RealIf),
            Self::iq("BPSK", "AX.25 G3RUH"),
            Self::iq("BPSK", "CCSDS Concatenated").on(InputKind::RealIf),
            Self::iq("DBPSK", "AX.25"),
            Self::iq("AFSK", "AX.25"),
            Self::iq("AFSK", "AX.25").on(InputKind::FmAudio),
        ]
    }

    pub fn name(&self) -> String {
        format!("{} {} Bd {} {:?}", self.modulation, self.symbol_rate_bd, self.framing, self.kind)
    }

    fn mode(&self) -> Mode {
        let options: BTreeMap<String, String> =
            self.options.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Mode {
            modulation: modulation::find(self.modulation).unwrap(),
            parameters: Parameters::new(self.symbol_rate_bd),
            framing_descriptor: framing::find(self.framing).unwrap(),
            framing: framing::build(self.framing, &Options(options)).unwrap(),
        }
    }

    /// Four frames, two a burst, in little noise.
    pub fn clear(&self) -> Take {
        // The discriminator of AFSK must be above its threshold.
        let esn0_db = if self.modulation == "AFSK" { 28.0 } else { 20.0 };
        Take { esn0_db, frames: 4, frames_per_burst: 2, lead_in_s: 0.15, seed: 1 }
    }

    /// A recording with a small carrier offset that drifts.
    pub fn record(&self, take: &Take) -> Recording {
        let seed = take.seed;
        let mode = self.mode();
        let (shortest, longest) = mode.framing.frame_bytes();
        let length = 40.clamp(shortest, longest);
        let payloads = frames::of_length(self.framing, length, take.frames, seed);
        let mut transmission = Transmission::new(mode, payloads).unwrap();
        transmission.frames_per_burst = take.frames_per_burst;
        transmission.preamble_symbols = 128;
        transmission.lead_in_s = take.lead_in_s;
        transmission.gap_s = 0.15;
        transmission.tail_s = 0.15;
        let channel = Channel {
            esn0_db: take.esn0_db,
            frequency_offset_hz: 170.0,
            frequency_rate_hz_per_s: -20.0,
            clock_ppm: 20.0,
            timing_samples: 0.3,
            phase_rad: 1.0,
            seed,
            ..Channel::default()
        };
        let mut simulator = Simulator::new(transmission, channel, RATE_HZ, None, None).unwrap();
        let mut samples = Vec::new();
        while simulator.read_samples(&mut samples, 1 << 20).unwrap() > 0 {}
        let sent = simulator.sent().to_vec();
        match self.kind {
            InputKind::Iq => {}
            InputKind::FmAudio => {
                let mut audio = Vec::new();
                Discriminator::new().process(&samples, &mut audio);
                samples = audio.into_iter().map(|x| Complex32::new(x, 0.0)).collect();
            }
            InputKind::RealIf => {
                for (n, x) in samples.iter_mut().enumerate() {
                    let phase = (TAU * (INTERMEDIATE_HZ / RATE_HZ * n as f64).fract()) as f32;
                    *x = Complex32::new((*x * Complex32::cis(phase)).re, 0.0);
                }
            }
        }
        Recording { samples, sent }
    }

    /// A receiver that is told the mode, and where it is in a real intermediate frequency.
    pub fn receiver(&self) -> Receiver {
        self.receiver_at(None)
    }

    /// The same for a downlink at a frequency.
    pub fn receiver_at(&self, frequency_hz: Option<f64>) -> Receiver {
        let mode = self.mode();
        let downlink = Downlink {
            origin: Arc::new(Origin::default()),
            frequency_hz,
            modulation: mode.modulation,
            parameters: mode.parameters,
            framing: mode.framing.into(),
        };
        let input = Input {
            kind: self.kind,
            sample_rate_hz: RATE_HZ,
            intermediate_frequency_hz: (self.kind == InputKind::RealIf).then_some(INTERMEDIATE_HZ),
            search_hz: 2000.0,
            effort: Effort::Full,
        };
        Receiver::new(downlink, input).unwrap()
    }
}

/// Cuts `length` samples into pieces: fixed ones, or of random sizes from 0 to some thousands.
#[derive(Debug, Clone, Copy)]
pub enum Cut {
    Whole,
    Every(usize),
    Random(u64),
}

impl Cut {
    pub fn pieces(self, length: usize) -> Vec<usize> {
        match self {
            Cut::Whole => vec![length],
            Cut::Every(size) => {
                let mut pieces = vec![size; length / size];
                pieces.push(length % size);
                pieces
            }
            Cut::Random(seed) => {
                let mut rng = ChaCha8Rng::seed_from_u64(seed);
                let (mut pieces, mut left) = (Vec::new(), length);
                while left > 0 {
                    // Every order of magnitude is as likely; some are empty.
                    let magnitude = rng.random_range(1..14);
                    let piece = rng.random_range(0..1usize << magnitude).min(left);
                    pieces.push(piece);
                    left -= piece;
                }
                pieces
            }
        }
    }
}

/// Pushes samples that begin at `first_sample` in pieces.
pub fn push(
    receiver: &mut Receiver,
    mut first_sample: u64,
    mut samples: &[Complex32],
    cut: Cut,
    out: &mut Vec<Frame>,
) {
    for piece in cut.pieces(samples.len()) {
        let (now, later) = samples.split_at(piece);
        receiver.push(first_sample, now, out);
        first_sample += now.len() as u64;
        samples = later;
    }
}

/// Receives a whole recording in pieces.
pub fn receive(scene: &Scene, samples: &[Complex32], cut: Cut) -> (Vec<Frame>, Counts) {
    let (mut receiver, mut out) = (scene.receiver(), Vec::new());
    push(&mut receiver, 0, samples, cut, &mut out);
    receiver.finish(&mut out);
    (out, receiver.counts())
}

/// Asserts that two receptions are the same in every field, bit for bit.
pub fn assert_same(found: &[Frame], expected: &[Frame], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}: number of frames");
    for (a, b) in found.iter().zip(expected) {
        // NaN is equal to itself here, and 0 is not equal to -0.
        let bits = |f: &Frame| (f.frequency_offset_hz.to_bits(), f.esn0_db.to_bits());
        assert_eq!(bits(a), bits(b), "{what}: {a:?}\n{b:?}");
        let settled = |f: &Frame| Frame { esn0_db: 0.0, frequency_offset_hz: 0.0, ..f.clone() };
        assert_eq!(settled(a), settled(b), "{what}");
    }
}

/// Asserts that the frames sent were received, each once, in order, where they were sent; none
/// else.
pub fn assert_received(found: &[Frame], sent: &[SentFrame], scene: &Scene, what: &str) {
    let bytes = |f: &[u8]| f.iter().take(24).map(|b| format!("{b:02x}")).collect::<String>();
    assert_eq!(
        found.iter().map(|f| bytes(&f.bytes)).collect::<Vec<_>>(),
        sent.iter().map(|f| bytes(&f.bytes)).collect::<Vec<_>>(),
        "{what}"
    );
    // Positions: the opening flag of HDLC lies eight bits before what the simulator calls the
    // start; coded symbols are two to the bit.
    let tolerance = 20.0 * RATE_HZ / scene.symbol_rate_bd;
    for (f, s) in found.iter().zip(sent) {
        assert_eq!(f.bytes, s.bytes, "{what}");
        assert!(f.esn0_db.is_finite(), "{what}: {f:?}");
        for (a, b) in [(f.first_sample, s.first_sample), (f.end_sample, s.end_sample)] {
            assert!(a.abs_diff(b) as f64 <= tolerance, "{what}: sample {a} instead of {b}");
        }
    }
}
