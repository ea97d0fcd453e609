//! A sky instead of a radio: the satellite whose pass it is transmits, and the station's clock says
//! how fast.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use jiff::Timestamp;
use tulpar::RequestError;
use tulpar::catalogue::{Downlink, Satellite};
use tulpar::doppler::orbit::Orbit;
use tulpar::doppler::station::Station;
use tulpar::doppler::{after, seconds_between};
use tulpar::simulation::{Channel, Flight, Simulator, Transmission, frames};
use tulpar::source::{SampleBlock, Source, SourceError, SourceInfo};

use super::clock::{Clock, LONGEST_WAIT, holder};
use super::pass::{FASTEST, MARGIN_HZ};

/// Es/N0 at closest approach, dB; the range takes its part towards the horizon.
const ESN0_DB: f64 = 17.0;
/// Pause between bursts, s, and what it is longer by, by chance.
const GAP_S: (f64, f64) = (3.0, 2.0);
/// Lowest sample rate.
const LEAST_RATE_HZ: f64 = 48_000.0;
/// Samples of a symbol, at least.
const SAMPLES_PER_SYMBOL: f64 = 3.0;

/// A simulated radio.
pub struct SimulatedRadio {
    simulator: Simulator,
    clock: Arc<dyn Clock>,
    stop: Arc<AtomicBool>,
    who: u64,
    start: Timestamp,
    /// It ends after so many samples.
    length: u64,
    read: u64,
}

impl SimulatedRadio {
    /// From now to `end`, tuned to the first of the downlinks that can be transmitted; also its
    /// centre frequency.
    ///
    /// # Errors
    /// None of them can.
    pub fn open(
        satellite: &Satellite,
        labels: &[String],
        (orbit, station): (Arc<Orbit>, Station),
        end: Timestamp,
        clock: Arc<dyn Clock>,
        stop: Arc<AtomicBool>,
    ) -> anyhow::Result<(Self, f64)> {
        let who = holder();
        let wanted = |d: &&Downlink| {
            labels.is_empty()
                || labels
                    .iter()
                    .any(|l| satellite.downlink(l).is_ok_and(|named| named.label == d.label))
        };
        let chosen = satellite.downlinks.iter().filter(wanted).find_map(|downlink| {
            let mode = downlink.mode().ok()?;
            let per_symbol = (mode.modulation.modulator)(&mode.parameters).is_ok();
            per_symbol.then_some((downlink, mode))
        });
        let (downlink, mode) = chosen.ok_or_else(|| {
            let wrong = format!("no downlink of {} can be simulated", satellite.name);
            RequestError::new("--rehearse", wrong, "leave the satellite out")
        })?;
        let start = clock.now();
        let duration_s = seconds_between(start, end).clamp(1.0, 864_000.0);
        let carrier_hz = downlink.frequency_hz;
        let reach_hz = FASTEST * carrier_hz + 1.5 * downlink.symbol_rate_bd + MARGIN_HZ;
        let sample_rate_hz =
            LEAST_RATE_HZ.max(SAMPLES_PER_SYMBOL * downlink.symbol_rate_bd).max(2.0 * reach_hz);
        let framing = downlink.origin(None).framing;
        let count = (duration_s / GAP_S.0).ceil() as usize;
        let payloads = frames::for_framing(&framing, mode.framing.as_ref(), count, who);
        let mut transmission = Transmission::new(mode, payloads)?;
        let flight = Flight::first(orbit, station, start, duration_s)?;
        (transmission.gap_s, transmission.gap_spread_s) = GAP_S;
        transmission.tail_s = duration_s;
        let mut channel =
            Channel { esn0_db: ESN0_DB, level_dbfs: -30.0, seed: who, ..Channel::default() };
        if let Some(flight) = flight {
            let (rise_s, set_s) = flight.above_s();
            transmission.lead_in_s = rise_s.max(0.5);
            transmission.until_s = set_s;
            channel.doppler_hz = flight.doppler_curve(carrier_hz);
            channel.gain_db = flight.gain_curve();
        } else {
            transmission.until_s = 0.0;
        }
        let simulator =
            Simulator::new(transmission, channel, sample_rate_hz, Some(start), Some(carrier_hz))?;
        let length = (duration_s * sample_rate_hz) as u64;
        clock.hold(who, Some(start));
        Ok((Self { simulator, clock, stop, who, start, length, read: 0 }, carrier_hz))
    }
}

impl Source for SimulatedRadio {
    fn info(&self) -> &SourceInfo {
        self.simulator.info()
    }

    fn read(&mut self, block: &mut SampleBlock, max_samples: usize) -> Result<bool, SourceError> {
        let left = usize::try_from(self.length - self.read).unwrap_or(usize::MAX);
        if left == 0 || self.stop.load(Ordering::Relaxed) {
            block.samples.clear();
            block.anchor = None;
            self.clock.hold(self.who, None);
            return Ok(false);
        }
        let more = self.simulator.read(block, max_samples.min(left))?;
        self.read += block.samples.len() as u64;
        let rate_hz = self.info().sample_rate_hz;
        let time = after(self.start, self.read as f64 / rate_hz);
        self.clock.hold(self.who, Some(time));
        self.clock.wait_until(time, LONGEST_WAIT, &self.stop);
        if !more {
            self.clock.hold(self.who, None);
        }
        Ok(more)
    }
}

impl Drop for SimulatedRadio {
    fn drop(&mut self) {
        self.clock.hold(self.who, None);
    }
}
