//! Carriers in a recording, as sightings: those of receivers if a mode is known, otherwise those of
//! a track in the spectrum.

use tulpar::RequestError;
use tulpar::doppler::refine::Sighting;
use tulpar::doppler::sightings::merge;
use tulpar::doppler::{after, blind_search_hz, seconds_between};
use tulpar::dsp::carrier_track::{CarrierTracker, TrackSettings};
use tulpar::effort::Effort;
use tulpar::frame::Frame;
use tulpar::receiver::{Carrier, Receiver};
use tulpar::source::{Anchor, SampleBlock, Source};

use super::decode::{self, Decoding, Placement};

/// Samples read at a time.
const BLOCK_SAMPLES: usize = 1 << 16;
/// One sighting for so long, s.
const CELL_S: f64 = 1.0;
/// Carriers of fewer symbols, or below this Es/N0 without a frame, are not believed.
const FEWEST_SYMBOLS: usize = 32;
const LEAST_ESN0_DB: f32 = 3.0;
/// So many frames vouch for what is the signal.
const ENOUGH_FRAMES: usize = 3;
/// Carriers so near to a frame are its burst's, s.
const AROUND_FRAME_S: f64 = 0.1;
/// Frames must cover this share of the time in which there were carriers, to stand for all.
const COVERED: f64 = 0.5;
/// A carrier measured over n symbols is right to symbol rate · this / √n …
const PER_SYMBOL: f64 = 0.03;
/// … and a burst's to symbol rate · this: what its blocks err by together.
const PER_BURST: f64 = 0.0015;
/// The same for a track in the spectrum, Hz: no carrier is known better without a mode.
const TRACK_FLOOR_HZ: f64 = 15.0;
/// Highest Doppler rate over the carrier, 1/s.
const FASTEST_PER_S: f64 = 6e-7;
/// Half the width of the widest signals below 1 GHz and of the band's plan, Hz.
const HALF_SIGNAL_HZ: f64 = 35e3;
/// Above this carrier, a signal may fill any band.
const WIDE_FROM_HZ: f64 = 1e9;
/// A bias that is not known is taken to be within this share of the sample rate.
const ANYWHERE: f64 = 0.25;

/// What was measured.
pub struct Heard {
    /// One a second at most, in order of time, against `carrier_hz`.
    pub sightings: Vec<Sighting>,
    /// Nominal frequency.
    pub carrier_hz: f64,
    /// How well the carrier is known beforehand, if that is only by the recording's centre.
    pub bias_hz: Option<f64>,
    /// By what: text for the user.
    pub by: String,
    /// What else the user should know.
    pub notes: Vec<String>,
    /// Reading stopped before the end.
    pub stopped: bool,
}

impl Heard {
    /// Time from first to last sighting.
    pub fn span_s(&self) -> f64 {
        match (self.sightings.first(), self.sightings.last()) {
            (Some(first), Some(last)) => seconds_between(first.time, last.time),
            _ => 0.0,
        }
    }
}

/// Reads a recording to its end. `carrier_hz`: as the user says it.
///
/// # Errors
/// No frequency is known, or no receiver fits.
pub fn listen(
    mut source: impl Source,
    decoding: &mut Decoding,
    carrier_hz: Option<f64>,
    centre_hz: Option<f64>,
) -> Result<Heard, RequestError> {
    let info = source.info().clone();
    let listed = decoding.downlinks.iter().filter_map(|d| d.frequency_hz).next();
    let stated_hz = carrier_hz.or(listed);
    let nominal_hz = stated_hz.or(centre_hz).filter(|hz| *hz > 0.0).ok_or_else(|| {
        RequestError::new(
            &info.name,
            "does not say on which frequency it was made",
            "add --frequency HZ, its centre",
        )
    })?;
    if let Some(carrier_hz) = carrier_hz {
        decoding.downlinks.iter_mut().for_each(|d| d.frequency_hz = Some(carrier_hz));
    }
    let middle_hz = centre_hz.map_or(0.0, |centre| nominal_hz - centre);
    if middle_hz.abs() > 0.5 * info.sample_rate_hz {
        return Err(RequestError::new(
            "carrier",
            format!(
                "{:.4} MHz is outside the recording, {:.4} MHz ± {:.1} kHz",
                nominal_hz / 1e6,
                centre_hz.unwrap_or(0.0) / 1e6,
                info.sample_rate_hz / 2e3
            ),
            "give the recording's centre with --frequency HZ, or the carrier with --carrier HZ",
        ));
    }
    let mut receivers = Vec::new();
    if !decoding.downlinks.is_empty() {
        let placement = Placement {
            effort: Effort::OnePass,
            centre_frequency_hz: centre_hz,
            ..Placement::default()
        };
        receivers = decode::receivers(decoding, &info, &placement)?;
        receivers.iter_mut().for_each(Receiver::keep_carriers);
    }
    let half_band_hz = if nominal_hz < WIDE_FROM_HZ && stated_hz.is_some() {
        blind_search_hz(nominal_hz) + HALF_SIGNAL_HZ
    } else {
        info.sample_rate_hz
    };
    let mut tracker = CarrierTracker::new(TrackSettings {
        sample_rate_hz: info.sample_rate_hz,
        middle_hz,
        half_band_hz,
        fastest_hz_per_s: FASTEST_PER_S * nominal_hz,
    });
    let mut frames: Vec<Vec<Frame>> = vec![Vec::new(); receivers.len()];
    let mut anchors: Vec<Anchor> = Vec::new();
    let mut block = SampleBlock::default();
    let (mut notes, mut stopped) = (Vec::new(), false);
    loop {
        match source.read(&mut block, BLOCK_SAMPLES) {
            Ok(true) => {}
            Ok(false) => break,
            Err(error) => {
                notes.push(format!("reading stopped early: {error}"));
                stopped = true;
                break;
            }
        }
        anchors.extend(block.anchor);
        for (receiver, frames) in receivers.iter_mut().zip(&mut frames) {
            if let Some(anchor) = block.anchor {
                receiver.anchor(anchor, frames);
            }
            receiver.push(block.first_sample, &block.samples, frames);
        }
        tracker.push(block.first_sample, &block.samples);
    }
    for warning in &source.info().warnings {
        notes.push(format!("{}: {warning}", info.name));
    }
    let bias_hz = stated_hz.is_none().then_some(ANYWHERE * info.sample_rate_hz);
    let mut best: Option<(u64, Heard)> = None;
    for (receiver, frames) in receivers.iter_mut().zip(&mut frames) {
        receiver.finish(frames);
        let carriers = receiver.take_carriers();
        let carrier_hz = receiver.downlink().frequency_hz.unwrap_or(nominal_hz);
        let rate_bd = receiver.downlink().parameters.symbol_rate_bd;
        let (weight, sightings, by) = believed(&carriers, frames, rate_bd, info.sample_rate_hz);
        if sightings.is_empty() || best.as_ref().is_some_and(|(other, _)| *other >= weight) {
            continue;
        }
        let sightings = merge(&sightings, CELL_S, PER_BURST * rate_bd);
        let heard = Heard { sightings, carrier_hz, bias_hz, by, notes: Vec::new(), stopped };
        best = Some((weight, heard));
    }
    if let Some((_, heard)) = best {
        return Ok(Heard { notes, ..heard });
    }
    let points: Vec<Sighting> = tracker
        .finish()
        .iter()
        .filter_map(|point| {
            let anchor = anchors.iter().rev().find(|a| a.sample <= point.sample)?;
            let elapsed_s = (point.sample - anchor.sample) as f64 / info.sample_rate_hz;
            let centre_hz = anchor.centre_frequency_hz.unwrap_or(nominal_hz - middle_hz);
            Some(Sighting {
                time: after(anchor.time?, elapsed_s),
                shift_hz: point.frequency_hz + centre_hz - nominal_hz,
                sigma_hz: point.sigma_hz,
            })
        })
        .collect();
    let mut by = format!("a track in the spectrum ({} spectra)", points.len());
    if !receivers.is_empty() {
        by += ", since the receiver found no symbols";
    }
    let sightings = merge(&points, CELL_S, TRACK_FLOOR_HZ);
    Ok(Heard { sightings, carrier_hz: nominal_hz, bias_hz, by, notes, stopped })
}

/// The carriers of a receiver that are worth something: how much in all, what, and by what.
fn believed(
    carriers: &[Carrier],
    frames: &[Frame],
    symbol_rate_bd: f64,
    sample_rate_hz: f64,
) -> (u64, Vec<Sighting>, String) {
    let near = (AROUND_FRAME_S * sample_rate_hz) as u64;
    // Frames come in order of time, and are of about one length.
    let mut spans: Vec<(u64, u64)> = frames
        .iter()
        .map(|f| (f.first_sample.saturating_sub(near), f.end_sample.saturating_add(near)))
        .collect();
    spans.sort_unstable();
    let framed = |c: &&Carrier| {
        let after = spans.partition_point(|(first, _)| *first <= c.sample);
        spans[..after].iter().rev().take(4).any(|(_, end)| c.sample <= *end)
    };
    let strong = |c: &&Carrier| c.esn0_db >= LEAST_ESN0_DB && c.symbols >= FEWEST_SYMBOLS;
    let span = |some: &[&Carrier]| match (some.first(), some.last()) {
        (Some(first), Some(last)) => last.sample.saturating_sub(first.sample) as f64,
        _ => 0.0,
    };
    let mut all: Vec<&Carrier> = carriers.iter().filter(|c| strong(c) || framed(c)).collect();
    all.sort_by_key(|c| c.sample);
    let of_frames: Vec<&Carrier> = all.iter().copied().filter(|c| framed(c)).collect();
    let by_frames = frames.len() >= ENOUGH_FRAMES && span(&of_frames) >= COVERED * span(&all);
    let (chosen, by) = if by_frames {
        (of_frames, format!("the receiver, around {} frames", frames.len()))
    } else {
        let symbols: usize = all.iter().map(|c| c.symbols).sum();
        let frames = match frames.len() {
            0 => "no frame".to_owned(),
            1 => "1 frame".to_owned(),
            n => format!("{n} frames"),
        };
        (all, format!("the receiver, from {symbols} symbols with {frames}"))
    };
    let weight = chosen.iter().map(|c| c.symbols as u64).sum::<u64>()
        + (frames.len() as u64).saturating_mul(1 << 32);
    let sightings = chosen
        .iter()
        .filter_map(|c| {
            Some(Sighting {
                time: c.time?,
                shift_hz: c.shift_hz,
                sigma_hz: PER_SYMBOL * symbol_rate_bd / (c.symbols.max(1) as f64).sqrt(),
            })
        })
        .collect();
    (weight, sightings, by)
}
