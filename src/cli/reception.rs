//! Live reception as `tulpar receive` and `tulpar station` share it: how a radio is tuned to
//! downlinks, opened, and made into a session.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use tracing::Level;
use tulpar::RequestError;
use tulpar::doppler::blind_search_hz;
use tulpar::receiver::Downlink;
use tulpar::recording::RecordingSettings;
use tulpar::runtime::{Pace, Session};
use tulpar::source::Source;
use tulpar::source::device::{DeviceUri, OpenError, RadioSettings};
use tulpar::source::reopen::{ReopenEvent, Reopening};
use tulpar::source::tuning::{Occupied, USABLE_SHARE, choose_centre};

use super::decode::{self, Decoding, Placement};
use super::record;

/// Sample rates that are tried in turn if none is given; common radios can do them.
const RATES_HZ: [f64; 4] = [250_000.0, 1_024_000.0, 2_048_000.0, 2_400_000.0];
/// The spike at 0 Hz of a radio is at least so far from a downlink.
const GUARD_HZ: f64 = 2_000.0;

/// What a downlink occupies, with its Doppler shift and the errors of crystals; `None` if its carrier
/// is not known.
pub fn occupied(downlink: &Downlink) -> Option<Occupied> {
    let frequency_hz = downlink.frequency_hz?;
    let parameters = &downlink.parameters;
    // A root-raised-cosine pulse takes (1 + roll-off) / 2 of the symbol rate on either side.
    let pulse = match parameters.roll_off {
        Some(roll_off) if roll_off > 0.0 => 0.5 * (1.0 + roll_off.min(1.0)),
        _ => 1.0,
    };
    let width_hz = 2.0
        * (blind_search_hz(frequency_hz)
            + pulse * parameters.symbol_rate_bd
            + parameters.deviation_hz.unwrap_or(0.0).abs());
    Some(Occupied { frequency_hz, width_hz })
}

/// Settings with the rate and frequency of a radio that has to be told: as asked for, else as the
/// downlinks need.
///
/// # Errors
/// The downlinks do not fit.
pub fn tuned(
    uri: &DeviceUri,
    settings: RadioSettings,
    downlinks: &[Downlink],
) -> Result<RadioSettings, RequestError> {
    if matches!(uri, DeviceUri::Udp(_) | DeviceUri::Tcp(_)) {
        return Ok(settings);
    }
    let (sample_rate_hz, centre_frequency_hz) =
        rate_and_centre(settings.sample_rate_hz, settings.centre_frequency_hz, downlinks)?;
    Ok(RadioSettings { sample_rate_hz, centre_frequency_hz, ..settings })
}

fn rate_and_centre(
    rate: Option<f64>,
    frequency: Option<f64>,
    downlinks: &[Downlink],
) -> Result<(Option<f64>, Option<f64>), RequestError> {
    let occupied: Vec<Occupied> = downlinks.iter().filter_map(occupied).collect();
    if frequency.is_some() && rate.is_some() {
        return Ok((rate, frequency));
    }
    let widest = occupied.iter().map(|o| o.width_hz).fold(0.0, f64::max);
    let rates: Vec<f64> = rate.map_or_else(|| RATES_HZ.to_vec(), |rate| vec![rate]);
    let mut refused = None;
    for rate_hz in rates {
        match frequency {
            Some(frequency_hz) => {
                let fits = |o: &Occupied| {
                    (o.frequency_hz - frequency_hz).abs() + o.width_hz / 2.0
                        <= 0.5 * USABLE_SHARE * rate_hz
                };
                if widest <= USABLE_SHARE * rate_hz && occupied.iter().all(fits) {
                    return Ok((Some(rate_hz), Some(frequency_hz)));
                }
            }
            None => match choose_centre(&occupied, USABLE_SHARE * rate_hz, rate_hz, GUARD_HZ) {
                Ok(centre_hz) => return Ok((Some(rate_hz), Some(centre_hz))),
                Err(error) => refused = Some(error),
            },
        }
    }
    Err(refused.unwrap_or_else(|| {
        RequestError::new(
            "--frequency",
            "the downlinks do not fit into a radio's band around it",
            "leave it out, or choose fewer downlinks with --downlink",
        )
    }))
}

/// Opens the radio; `say` is told what becomes of it later, and how grave it is.
///
/// # Errors
/// It cannot be opened: a [`RequestError`] if it never will, as it is asked for.
pub fn open(
    uri: &DeviceUri,
    settings: RadioSettings,
    stop: &Arc<AtomicBool>,
    say: impl Fn(Level, &str) + Send + 'static,
) -> anyhow::Result<Reopening> {
    let name = uri.to_string();
    let on_event = Box::new(move |event: ReopenEvent| match event {
        ReopenEvent::Lost { why } => say(Level::WARN, &format!("{why}; trying to open it again")),
        ReopenEvent::StillLost { why, .. } => say(Level::WARN, &why),
        ReopenEvent::Back { after, lost_samples } => {
            let after_s = after.as_secs_f64();
            let line =
                format!("{name} is back after {after_s:.1} s; {lost_samples} samples are missing");
            say(Level::INFO, &line);
        }
        ReopenEvent::GivenUp { why } => say(Level::ERROR, &format!("{why}; giving it up")),
    });
    match Reopening::device(uri, settings, stop.clone(), on_event) {
        Ok(source) => Ok(source),
        Err(OpenError::Request(error)) => Err(error.into()),
        // A radio that is not there is no wrong request.
        Err(absent @ OpenError::Absent { .. }) => Err(absent.into()),
    }
}

/// The centre frequency: as set, or as a stream's URI names it.
pub fn centre_hz(uri: &DeviceUri, settings: &RadioSettings) -> Option<f64> {
    settings.centre_frequency_hz.or(match uri {
        DeviceUri::Udp(stream) | DeviceUri::Tcp(stream) => stream.centre_frequency_hz,
        _ => None,
    })
}

/// A session of live reception that only lacks its sinks. What does not fit the radio is among the
/// decoding's notes. `hardware`: the radio, in words.
///
/// # Errors
/// No downlink fits, or what is asked of the recording cannot be done.
pub fn session(
    source: Box<dyn Source>,
    decoding: &mut Decoding,
    placement: &Placement,
    recording: Option<&RecordingSettings>,
    hardware: String,
    stop: Arc<AtomicBool>,
) -> Result<Session, RequestError> {
    let receivers = decode::receivers(decoding, source.info(), placement)?;
    let recorder = recording
        .map(|settings| {
            let (info, aim) = (source.info(), &placement.aim);
            record::request(settings, decoding, &receivers, info, aim, Some(hardware))
        })
        .transpose()?;
    Ok(Session {
        source,
        receivers,
        sinks: Vec::new(),
        recorder,
        observer: None,
        pace: Pace::Live,
        stop,
        status: Arc::default(),
        on_sink_error: Arc::new(|_| {}),
    })
}
