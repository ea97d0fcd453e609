//! FSK, GFSK, MSK and GMSK: continuous phase modulation with two levels, any index.
//!
//! ```text
//! s(t) = exp(j 2π h Σ_k a_k q(t - kT)),  a = ±1 (bit 1 = +1 = the higher frequency)
//! h = 2 · deviation / symbol rate;  q: see [`pulse`]
//! ```
//!
//! The receiver needs nothing but the symbol rate. It finds bursts by their spectrum (`gate`) and
//! energy (`segments`), then carrier, timing, clock, index and pulse on the burst's own symbols
//! (`acquisition`), and decides them with a trellis in which every survivor keeps its own phase
//! reference (`trellis`, `tracker`, `passes`); no preamble, no loop that has to lock first. A negative
//! deviation shows as inverted bits, which every deframer takes.
//!
//! If an index of 1.25 or more is told, the tones no longer overlap and each is received by itself
//! (`wide`).
//!
//! References: Anderson, Aulin, Sundberg, *Digital Phase Modulation*, 1986; Colavolpe, Raheli,
//! *Noncoherent sequence detection*, IEEE Trans. Commun. 47 (1999) 1376; CCSDS 413.0-G.

mod acquisition;
mod events;
mod gate;
mod lanes;
mod modulator;
mod passes;
mod pulse;
mod receiver;
mod resample;
mod run;
mod segments;
mod spurs;
mod tracker;
mod trellis;
mod wide;

use crate::error::RequestError;
use crate::modulation::{
    Channel, DemodulatorPlan, Descriptor, InputKind, Modulator, Parameters, Reception, fm_audio,
    psk,
};
use modulator::CpmModulator;
use receiver::{BurstReceiver, Search};
use wide::WideReceiver;

/// Largest modulation index that the channel leaves room for.
const LARGEST_INDEX: f64 = 1.0;

/// From this index on, if it is told, the tones are received each by itself.
const WIDE_INDEX: f64 = 1.25;
/// Largest index that is told.
const LARGEST_TOLD: f64 = 8.0;

/// FSK with any index and Gaussian or rectangular pulse.
pub const FSK: Descriptor = Descriptor {
    name: "FSK",
    aliases: &["gfsk", "msk", "gmsk", "2fsk", "2-fsk"],
    summary: "frequency shift keying with two levels: FSK, GFSK, MSK, GMSK, any modulation index",
    reference: "Anderson, Aulin, Sundberg: Digital Phase Modulation (1986); CCSDS 413.0-G",
    real_input: InputKind::FmAudio,
    demodulators,
    modulator,
};

fn check(parameters: &Parameters) -> Result<(), RequestError> {
    let rate = parameters.symbol_rate_bd;
    if rate.is_finite() && rate > 0.0 {
        return Ok(());
    }
    Err(RequestError::new(
        "symbol rate",
        format!("{rate} Bd is impossible"),
        "a positive number, e.g. 9600",
    ))
}

fn demodulators(
    parameters: &Parameters,
    reception: &Reception,
) -> Result<Vec<DemodulatorPlan>, RequestError> {
    check(parameters)?;
    match reception.input {
        InputKind::Iq => {}
        InputKind::FmAudio => return Ok(vec![fm_audio::plan(parameters, reception)?]),
        InputKind::RealIf if reception.intermediate_frequency_hz.is_none() => {
            return Err(RequestError::new(
                "intermediate frequency",
                "no custom says where FSK lies in a real intermediate frequency",
                "give --intermediate-frequency HZ",
            ));
        }
        InputKind::RealIf => {}
    }
    let rate = parameters.symbol_rate_bd;
    let available = reception.sample_rate_hz;
    if available.is_nan() || available < 2.0 * rate {
        return Err(RequestError::new(
            "sample rate",
            format!("{available} Hz is too low for {rate} Bd"),
            format!("at least {} Hz", 3.5 * rate),
        ));
    }
    // The widest transmitter, or the one that was told if it is wider still.
    let told = parameters.deviation_hz.map_or(0.0, |d| 2.0 * d.abs() / rate);
    let index =
        if told.is_finite() { told.clamp(LARGEST_INDEX, LARGEST_TOLD) } else { LARGEST_INDEX };
    let search_hz = if reception.search_hz.is_finite() { reception.search_hz.abs() } else { 0.0 };
    let wanted = search_hz + (0.75 + index / 2.0) * rate;
    let half_bandwidth_hz = wanted.min(available / 2.0);
    let min_rate_hz = (2.0 * half_bandwidth_hz).max((4.0 * rate).min(available.max(3.5 * rate)));
    let channel = Channel {
        offset_hz: reception.intermediate_frequency_hz.unwrap_or(0.0),
        half_bandwidth_hz,
        min_rate_hz,
        max_rate_hz: 1.6 * min_rate_hz,
    };
    let effort = reception.effort;
    let make = move |sample_rate_hz: f64| -> Box<dyn crate::modulation::Demodulator> {
        let search =
            Search { sample_rate_hz, symbol_rate_bd: rate, search_hz, half_bandwidth_hz, effort };
        if index >= WIDE_INDEX {
            return Box::new(WideReceiver::new(search, index));
        }
        Box::new(BurstReceiver::new(search))
    };
    let mut plans = vec![DemodulatorPlan { channel, make: Box::new(make) }];
    if reception.preference.differential && index < WIDE_INDEX {
        // The index is not known: if it is 1/2, the framing gains 2.4 dB from phase symbols.
        plans.push(psk::msk_plan(parameters, reception)?);
    }
    Ok(plans)
}

fn modulator(parameters: &Parameters) -> Result<Box<dyn Modulator>, RequestError> {
    check(parameters)?;
    let rate = parameters.symbol_rate_bd;
    let h = parameters.deviation_hz.map_or(0.5, |d| 2.0 * d / rate);
    if !h.is_finite() {
        return Err(RequestError::new("deviation", "is not a number", "e.g. 2400 (Hz)"));
    }
    let bt = parameters.bt.unwrap_or(0.5);
    Ok(Box::new(CpmModulator::new(rate, h, bt)))
}

#[cfg(test)]
mod tests;
