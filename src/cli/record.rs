//! `--record`: samples to disk while they are received.

use std::path::PathBuf;

use tulpar::RequestError;
use tulpar::receiver::Receiver;
use tulpar::recording::{Band, Folder, Global, Keep, RecordingSettings, Room, folder};
use tulpar::runtime::{RecorderReport, RecorderRequest};
use tulpar::source::SourceInfo;

use super::decode::Decoding;
use super::doppler::Aim;

/// What is recorded, and where.
#[derive(clap::Args, Clone)]
pub struct RecordArguments {
    /// Record the samples in this folder as SigMF, with the frames marked
    #[arg(long, value_name = "FOLDER", help_heading = "Recording")]
    record: Option<PathBuf>,
    /// How samples are stored: ci16, ci8 or cf32
    #[arg(
        long,
        value_name = "FORMAT",
        requires = "record",
        default_value = "ci16",
        help_heading = "Recording"
    )]
    record_format: String,
    /// Record all of the band, or what surrounds the downlink, at a low rate
    #[arg(long, value_name = "WHAT", requires = "record", value_enum, default_value_t = What::Passband,
          help_heading = "Recording")]
    record_band: What,
    /// Keep so much of the recordings in the folder (20GB), or so many (50): the oldest are removed
    #[arg(long, value_name = "SIZE|COUNT", requires = "record", help_heading = "Recording")]
    record_keep: Option<String>,
    /// End the recording when no more than this is free on the disk
    #[arg(
        long,
        value_name = "SIZE",
        requires = "record",
        default_value = "1GB",
        help_heading = "Recording"
    )]
    record_reserve: String,
}

/// Words of `--record-band`.
#[derive(clap::ValueEnum, Clone, Copy, PartialEq, Eq)]
enum What {
    /// All of it.
    Passband,
    /// What surrounds the downlink.
    Downlink,
}

impl RecordArguments {
    /// What is asked for, if anything is.
    ///
    /// # Errors
    /// An option is wrong.
    pub fn settings(&self) -> Result<Option<RecordingSettings>, RequestError> {
        let Some(folder) = &self.record else { return Ok(None) };
        Ok(Some(RecordingSettings {
            folder: folder.clone(),
            coding: self.record_format.parse()?,
            downlink_only: self.record_band == What::Downlink,
            keep: self.record_keep.as_deref().map(str::parse::<Keep>).transpose()?,
            keep_free_bytes: folder::bytes("--record-reserve", &self.record_reserve)?,
        }))
    }
}

/// The recorder for a reception. `hardware`: the radio, in words.
///
/// # Errors
/// The folder cannot be written to, or has no room; only the downlink is to be recorded, and there
/// are several.
pub fn request(
    settings: &RecordingSettings,
    decoding: &Decoding,
    receivers: &[Receiver],
    info: &SourceInfo,
    aim: &Aim,
    hardware: Option<String>,
) -> Result<RecorderRequest, RequestError> {
    let band = match settings.downlink_only {
        false => Band::Passband,
        true => downlink_band(receivers, info)?,
    };
    let first = receivers.first().map(Receiver::downlink);
    let satellite = decoding.satellite.as_ref().map(|satellite| satellite.name.clone());
    let modes: Vec<String> = receivers
        .iter()
        .map(|receiver| {
            let origin = &receiver.downlink().origin;
            format!("{} {} Bd {}", origin.modulation, origin.symbol_rate_bd, origin.framing)
        })
        .collect();
    let subject = satellite.as_deref().map_or(String::new(), |name| format!("{name}: "));
    let (station, elements) = match aim {
        Aim::Orbit { orbit, station, .. } => (Some(*station), Some(orbit.elements().clone())),
        _ => (None, None),
    };
    let room = Room { keep_free_bytes: settings.keep_free_bytes };
    Ok(RecorderRequest {
        folder: Folder::open(&settings.folder, room, settings.keep)?,
        band,
        global: Global {
            coding: settings.coding,
            complex: info.complex,
            sample_rate_hz: info.sample_rate_hz,
            description: format!("{subject}{}", modes.join(", ")),
            reception: true,
            hardware,
            station,
            elements,
        },
        satellite,
        frequency_hz: first.and_then(|downlink| downlink.frequency_hz),
    })
}

/// What surrounds the one downlink that there is.
fn downlink_band(receivers: &[Receiver], info: &SourceInfo) -> Result<Band, RequestError> {
    let wrong =
        |wrong: String, right: &str| Err(RequestError::new("--record-band downlink", wrong, right));
    if !info.complex {
        return wrong(format!("{} has one channel", info.name), "record the passband");
    }
    match receivers {
        [one] => Ok(Band::around(one.downlink().frequency_hz, &one.downlink().parameters)),
        several => wrong(
            format!("there are {}", several.len()),
            "choose one with --downlink LABEL, or record the passband",
        ),
    }
}

/// What was recorded, in one line.
pub fn said(report: &RecorderReport) -> String {
    let seconds = report.samples as f64 / report.sample_rate_hz.max(1.0);
    let mut line = match &report.paths[..] {
        [] => "recorded nothing".to_owned(),
        [path] => format!("recorded {seconds:.1} s to {}", path.display()),
        [first, .., last] => format!(
            "recorded {seconds:.1} s to {} files, {} to {}",
            report.paths.len(),
            first.display(),
            last.display()
        ),
    };
    if report.lost_samples > 0 {
        line += &format!("; {} samples are missing in it: too slow a disk", report.lost_samples);
    }
    line
}
