//! Simulated recordings on disk: SigMF (1.2) and the frames they contain.
//!
//! `name.sigmf-data` holds the samples, `name.sigmf-meta` says what they are (with an annotation
//! per frame), `name.frames.json` lists the transmitted frames in hex.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use super::transmitter::{SentFrame, Simulator};
use crate::recording::SampleCoding;
use crate::recording::metadata::{self, Annotation, Capture, Global};
use crate::source::{SampleBlock, Source, SourceError};

/// Samples read at a time.
const BLOCK: usize = 1 << 16;

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recording {
    /// `….sigmf-data`.
    pub data: PathBuf,
    /// `….sigmf-meta`.
    pub meta: PathBuf,
    /// `….frames.json`.
    pub frames: PathBuf,
    /// Number of samples.
    pub samples: u64,
}

/// Runs a simulation to its end and writes it. `base`: path without extension (one of SigMF's is
/// taken off).
///
/// # Errors
/// A file could not be written, or a frame not be encoded.
pub fn write(
    base: &Path,
    simulator: &mut Simulator,
    coding: SampleCoding,
    description: &str,
) -> Result<Recording, SourceError> {
    let base = match base.extension().and_then(|e| e.to_str()) {
        Some("sigmf" | "sigmf-data" | "sigmf-meta") => base.with_extension(""),
        _ => base.to_owned(),
    };
    let with = |extension: &str| {
        let mut path = base.clone().into_os_string();
        path.push(extension);
        PathBuf::from(path)
    };
    let mut recording = Recording {
        data: with(".sigmf-data"),
        meta: with(".sigmf-meta"),
        frames: with(".frames.json"),
        samples: 0,
    };
    // The first anchor comes with the first samples; without samples there is none.
    let mut capture =
        Capture { sample_start: 0, global_index: None, frequency_hz: None, time: None };
    let mut block = SampleBlock::default();
    let failed = |path: &Path| {
        let name = path.display().to_string();
        move |cause| SourceError { name, cause }
    };
    let mut data = BufWriter::new(File::create(&recording.data).map_err(failed(&recording.data))?);
    let mut bytes = Vec::with_capacity(8 * BLOCK);
    while simulator.read(&mut block, BLOCK)? {
        if let Some(anchor) = block.anchor {
            capture.frequency_hz = anchor.centre_frequency_hz.or(capture.frequency_hz);
            capture.time = anchor.time.or(capture.time);
        }
        bytes.clear();
        coding.encode(&block.samples, true, &mut bytes);
        data.write_all(&bytes).map_err(failed(&recording.data))?;
        recording.samples += block.samples.len() as u64;
    }
    data.flush().map_err(failed(&recording.data))?;

    let annotations: Vec<Annotation> = simulator
        .sent()
        .iter()
        .map(|frame| Annotation {
            sample_start: frame.first_sample,
            sample_count: frame.end_sample - frame.first_sample,
            edges_hz: None,
            label: format!("{} bytes", frame.bytes.len()),
        })
        .collect();
    let global = Global {
        coding,
        complex: true,
        sample_rate_hz: simulator.info().sample_rate_hz,
        description: description.to_owned(),
        reception: false,
        hardware: None,
        station: None,
        elements: None,
    };
    std::fs::write(&recording.meta, metadata::text(&global, &[capture], &annotations))
        .map_err(failed(&recording.meta))?;
    std::fs::write(&recording.frames, frames_json(simulator.sent()))
        .map_err(failed(&recording.frames))?;
    Ok(recording)
}

/// The frames as a JSON list of lower-case hex, one a line.
pub fn frames_json(frames: &[SentFrame]) -> String {
    let lines: Vec<String> = frames
        .iter()
        .map(|frame| {
            let hex: String = frame.bytes.iter().map(|b| format!("{b:02x}")).collect();
            format!("\"{hex}\"")
        })
        .collect();
    format!("[\n{}\n]\n", lines.join(",\n"))
}
