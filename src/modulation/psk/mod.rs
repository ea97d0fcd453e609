//! BPSK, differential BPSK, and MSK-type signals taken as such: a feed-forward receiver.
//!
//! ```text
//! samples ─► windows: power spectrum × pulse, line of the squared signal     [acquisition]
//!         ─► tracks of detections: bursts and continuous signals             [demodulator]
//!         ─► mixing, matched filter to 4 points per symbol                   [matched_filter]
//!         ─► symbol-rate line with a search over ±4500 ppm, symbols          [timing]
//!         ─► residual frequency, phase by squaring, by decisions, levels     [phase]
//!         ─► LLR = 4 A Re x / N0 ─► soft blocks
//! ```
//!
//! Nothing locks and nothing slips out of lock: every estimate is made from the samples around the
//! symbol, before and after it. There is no preamble to wait for, and a burst's first symbol is as
//! good as its last.
//!
//! * BPSK: phase 0 for bit 0. The polarity of a run is unknown (a squaring receiver cannot know
//!   it) but the same through the run.
//! * DBPSK: `p_k = p_{k-1} ⊕ b_k`; runs carry p ([`Mapping::Differential`]): framings with a code
//!   decode both together.
//! * MSK-type signals with h = 1/2 are BPSK with the pulse C0 and a turn of ±90° per symbol
//!   ([`msk_plan`]).

mod acquisition;
mod demodulator;
mod matched_filter;
mod modulator;
mod phase;
mod pulse;
mod segment;
mod timing;

use self::acquisition::Target;
use self::demodulator::PskDemodulator;
use self::modulator::PskModulator;
use self::pulse::Pulse;
use super::{
    Channel, DemodulatorPlan, Descriptor, InputKind, Mapping, Modulator, Parameters, Reception,
};
use crate::error::RequestError;

/// Roll-off assumed if none is given.
const ROLL_OFF: f64 = 0.35;
/// Symbols that a transmitter leaves rectangular and a channel of about a symbol rate rounds are
/// matched within 0.15 dB by a root raised cosine of this roll-off; where the channel is wider, a
/// rectangle does it. Unless a roll-off is given the eye decides.
const WIDE_ROLL_OFF: f64 = 0.7;
/// Bandwidth-time product assumed for MSK-type signals if none is given.
const BT: f64 = 0.5;
/// A carrier may drift by this: windows are short enough, or drifts are tried.
const DRIFT_HZ_PER_S: f64 = 150.0;
/// Coded signals: drifts up to this are tried.
const CODED_DRIFT_HZ_PER_S: f64 = 100.0;
/// Coded signals: a window may be as long as this drift allows, at [`FINE_GRID_BD`] and above; the
/// grid takes the rest. Below, it shrinks with the symbol rate: windows come less often, and a
/// finer grid costs no more time.
const CODED_RESIDUAL_HZ_PER_S: f64 = 5.0;
/// Symbol rate from which on the grid of drifts is no finer.
const FINE_GRID_BD: f64 = 4800.0;
/// Most drifts tried on either side of 0.
const MOST_DRIFTS: f64 = 100.0;
/// The drift found in a window may be wrong by so many steps of the grid.
const DRIFT_STEPS: f64 = 3.0;
/// Fewest samples per symbol.
const MIN_SAMPLES_PER_SYMBOL: f64 = 2.2;

/// Binary phase-shift keying.
pub const BPSK: Descriptor = Descriptor {
    name: "BPSK",
    aliases: &["psk", "bpsk coherent"],
    summary: "binary phase-shift keying, coherent; root-raised-cosine or rectangular symbols",
    reference: "CCSDS 401.0-B",
    real_input: InputKind::RealIf,
    demodulators: |parameters, reception| {
        Ok(vec![plan(parameters, reception, Mapping::Direct, false)?])
    },
    modulator: |parameters| modulator(parameters, false),
};

/// Differential binary phase-shift keying.
pub const DBPSK: Descriptor = Descriptor {
    name: "DBPSK",
    aliases: &["dpsk", "differential bpsk"],
    summary: "binary phase-shift keying, bit 1 as a change of phase",
    reference: "CCSDS 401.0-B; NRZ-M of the channel bits",
    real_input: InputKind::RealIf,
    demodulators: |parameters, reception| {
        Ok(vec![plan(parameters, reception, Mapping::Differential, false)?])
    },
    modulator: |parameters| modulator(parameters, true),
};

/// A demodulator of MSK-type signals (MSK, GMSK; h = 1/2, bit 1 as the higher tone) that delivers
/// the phase symbols: [`Mapping::Differential`], bit k = p_k ⊕ p_{k-1}. It serves framings that
/// decode these jointly with a convolutional code, down to Es/N0 of -1.6 dB.
///
/// # Errors
/// The symbol rate does not fit the input.
pub fn msk_plan(
    parameters: &Parameters,
    reception: &Reception,
) -> Result<DemodulatorPlan, RequestError> {
    plan(parameters, reception, Mapping::Differential, true)
}

fn modulator(
    parameters: &Parameters,
    differential: bool,
) -> Result<Box<dyn Modulator>, RequestError> {
    check_rate(parameters)?;
    let pulse = Pulse::from_roll_off(parameters.roll_off.unwrap_or(ROLL_OFF));
    Ok(Box::new(PskModulator::new(pulse, parameters.symbol_rate_bd, differential)))
}

fn check_rate(parameters: &Parameters) -> Result<(), RequestError> {
    let baud = parameters.symbol_rate_bd;
    if baud.is_finite() && baud > 0.0 {
        return Ok(());
    }
    Err(RequestError::new("symbol rate", format!("{baud} is no rate"), "give it in Bd, above 0"))
}

/// Everything the receiver's stages are told.
#[derive(Debug, Clone)]
struct Settings {
    symbol_rate_bd: f64,
    search_hz: f64,
    /// The pulse, and others that it may be instead.
    pulses: Vec<Pulse>,
    msk: bool,
    mapping: Mapping,
    /// Acquisition: symbols per window, drifts to try, lowest strength of a line.
    window_symbols: usize,
    drifts_hz_per_s: Vec<f64>,
    threshold: f32,
    /// A track is believed with one line this strong, or this many lines.
    confirm_threshold: f32,
    confirm_windows: usize,
    /// A track ends after this many windows without a line.
    max_misses: u64,
    /// Lines of a track in consecutive windows differ by less, in symbol rates.
    tolerance: f64,
    /// Residual frequency from symbols.
    frequency_window_symbols: usize,
    frequency_threshold: f32,
    timing_window_blocks: usize,
    phase_window_symbols: usize,
    /// 0: no decisions.
    decision_window_symbols: usize,
    /// Long segments are demodulated in pieces of this length, with margins around.
    piece_symbols: usize,
    margin_symbols: usize,
}

impl Settings {
    fn new(parameters: &Parameters, reception: &Reception, mapping: Mapping, msk: bool) -> Self {
        let baud = parameters.symbol_rate_bd;
        let coded = reception.preference.coded;
        // Lines too weak to be believed alone: coded signals, and the two lines of MSK.
        let weak = coded || msk;
        // A window may be 1.4/√(2R) symbols long at a drift of R cycles per symbol².
        let longest = |drift: f64| 1.4 * baud / (2.0 * drift).sqrt();
        let drifting = longest(DRIFT_HZ_PER_S);
        let whole = |x: f64, most: usize| ((x as usize).min(most) & !7).max(64);
        let coded_residual = CODED_RESIDUAL_HZ_PER_S * (baud / FINE_GRID_BD).min(1.0);
        let window_symbols = match (coded, msk) {
            (false, false) => whole(drifting, 256),
            (false, true) => whole(drifting, 512),
            (true, false) => whole(longest(coded_residual), 1024),
            (true, true) => whole(longest(coded_residual), 2048),
        };
        let residual = (1.4 * baud / window_symbols as f64).powi(2) / 2.0;
        let wanted = if coded { CODED_DRIFT_HZ_PER_S } else { DRIFT_HZ_PER_S };
        let steps = ((wanted - residual) / (2.0 * residual)).ceil().clamp(0.0, MOST_DRIFTS) as i32;
        let drifts_hz_per_s = (-steps..=steps).map(|i| 2.0 * residual * f64::from(i)).collect();
        let tried = 2 * steps + 1;
        let mut pulses = if msk {
            vec![Pulse::laurent(parameters.bt.unwrap_or(BT))]
        } else {
            let pulse = Pulse::from_roll_off(parameters.roll_off.unwrap_or(ROLL_OFF));
            match parameters.roll_off {
                Some(roll_off) if roll_off > 0.0 => vec![pulse],
                Some(_) => vec![pulse, Pulse::from_roll_off(WIDE_ROLL_OFF)],
                None => vec![pulse, Pulse::from_roll_off(WIDE_ROLL_OFF), Pulse::Rectangular],
            }
        };
        if coded {
            pulses.truncate(1); // An eye that is closed by noise shows nothing.
        }
        Self {
            symbol_rate_bd: baud,
            search_hz: search_hz(reception),
            pulses,
            msk,
            mapping,
            window_symbols,
            drifts_hz_per_s,
            threshold: if weak { 9.0 } else { 16.0 },
            // Every drift tried is another chance for noise.
            confirm_threshold: 16.0 + (0.2 * tried as f32).max(1.0).ln(),
            confirm_windows: if weak { 4 } else { usize::MAX },
            max_misses: if weak { 4 } else { 1 },
            tolerance: if weak { 0.006 } else { 0.02 },
            frequency_window_symbols: if coded {
                window_symbols.min(1024)
            } else {
                whole(0.67 * drifting, 256)
            },
            frequency_threshold: if coded { 18.0 } else { 14.0 },
            timing_window_blocks: match (coded, msk) {
                (true, true) => 128,
                (true, false) => 256,
                (false, _) => 20,
            },
            phase_window_symbols: if coded {
                // The phase's error costs .025 dB at -1.5 dB, with half of this .05.
                768.min(window_symbols * 3 / 4)
            } else {
                ((0.5 * drifting) as usize).clamp(48, 96)
            },
            decision_window_symbols: if coded { 0 } else { 64 },
            // Symbols are handed on a piece at a time: a second or so late, and the margin.
            piece_symbols: if coded {
                (1.2 * baud).clamp(8192.0, 12_288.0) as usize
            } else {
                (1.5 * baud).clamp(2560.0, 12_288.0) as usize
            },
            margin_symbols: match (coded, msk) {
                (true, true) => 2048,
                (true, false) => 3072,
                (false, _) => 640,
            },
        }
    }

    /// How far a carrier's drift may be from the one found in a window.
    fn drift_error(&self, found_hz_per_s: f64) -> f64 {
        let largest = self.drifts_hz_per_s.last().copied().unwrap_or(0.0);
        if found_hz_per_s.abs() < largest {
            DRIFT_STEPS * largest / (self.drifts_hz_per_s.len() / 2) as f64
        } else {
            DRIFT_HZ_PER_S - 0.5 * largest
        }
    }

    fn target(&self) -> Target {
        Target {
            symbol_rate_bd: self.symbol_rate_bd,
            search_hz: self.search_hz,
            pulse: self.pulses.first().cloned().unwrap_or(Pulse::Rectangular),
            msk: self.msk,
            window_symbols: self.window_symbols,
            drifts_hz_per_s: self.drifts_hz_per_s.clone(),
            threshold: self.threshold,
        }
    }
}

fn search_hz(reception: &Reception) -> f64 {
    if reception.search_hz.is_finite() { reception.search_hz.abs() } else { 0.0 }
}

/// Frequency of the carrier in the input, and how far the input's band reaches from it: on both
/// sides of complex inputs, on the further side of real ones, of which the tuner takes what is
/// there.
fn carrier_and_band(parameters: &Parameters, reception: &Reception) -> (f64, f64) {
    let nyquist = 0.5 * reception.sample_rate_hz;
    match reception.input {
        InputKind::Iq => (0.0, nyquist),
        InputKind::RealIf | InputKind::FmAudio => {
            let custom = if parameters.symbol_rate_bd <= 2400.0 { 1500.0 } else { 12_000.0 };
            let carrier = reception.intermediate_frequency_hz.unwrap_or(custom);
            (carrier, carrier.max(nyquist - carrier))
        }
    }
}

fn plan(
    parameters: &Parameters,
    reception: &Reception,
    mapping: Mapping,
    msk: bool,
) -> Result<DemodulatorPlan, RequestError> {
    check_rate(parameters)?;
    let baud = parameters.symbol_rate_bd;
    let (offset_hz, band_hz) = carrier_and_band(parameters, reception);
    if band_hz < 0.55 * baud || band_hz.is_nan() {
        return Err(RequestError::new(
            "symbol rate",
            format!(
                "{baud} Bd do not fit a {:?} input of {} samples per second",
                reception.input, reception.sample_rate_hz
            ),
            format!("record at least {} samples per second", (2.4 * baud).ceil()),
        ));
    }
    let rectangular = !msk && parameters.roll_off.is_some_and(|r| r <= 0.0);
    let reach = if rectangular { 1.5 } else { 0.75 };
    let half_bandwidth_hz = (search_hz(reception) + reach * baud).min(band_hz);
    let least = MIN_SAMPLES_PER_SYMBOL * baud;
    let min_rate_hz =
        (2.0 * half_bandwidth_hz).max(4.0 * baud).min(reception.sample_rate_hz).max(least);
    let settings = Settings::new(parameters, reception, mapping, msk);
    Ok(DemodulatorPlan {
        channel: Channel {
            offset_hz,
            half_bandwidth_hz,
            min_rate_hz,
            max_rate_hz: (2.5 * min_rate_hz).max(10.0 * baud),
        },
        make: Box::new(move |rate| Box::new(PskDemodulator::new(settings.clone(), rate))),
    })
}

#[cfg(test)]
mod tests;
