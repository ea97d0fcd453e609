//! Simulated recordings on disk: SigMF (1.2) and the frames they contain.
//!
//! `name.sigmf-data` holds the samples, `name.sigmf-meta` says what they are (with an annotation
//! per frame), `name.frames.json` lists the transmitted frames in hex.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use serde_json::json;

use super::transmitter::{SentFrame, Simulator};
use crate::source::{SampleBlock, Source, SourceError};

/// Samples read at a time.
const BLOCK: usize = 1 << 16;

/// How samples are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SampleFormat {
    /// Two 32-bit floats, little endian.
    Cf32,
    /// Two 16-bit integers, little endian: rounded, and clipped at full scale.
    Ci16,
}

impl SampleFormat {
    /// `core:datatype` of SigMF.
    pub fn datatype(self) -> &'static str {
        match self {
            SampleFormat::Cf32 => "cf32_le",
            SampleFormat::Ci16 => "ci16_le",
        }
    }
}

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
    format: SampleFormat,
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
    let mut capture = json!({ "core:sample_start": 0 });
    let mut block = SampleBlock::default();
    let failed = |path: &Path| {
        let name = path.display().to_string();
        move |cause| SourceError { name, cause }
    };
    let mut data = BufWriter::new(File::create(&recording.data).map_err(failed(&recording.data))?);
    let mut bytes = Vec::with_capacity(8 * BLOCK);
    while simulator.read(&mut block, BLOCK)? {
        if let Some(anchor) = block.anchor {
            if let Some(frequency) = anchor.centre_frequency_hz {
                capture["core:frequency"] = json!(frequency);
            }
            if let Some(time) = anchor.time {
                capture["core:datetime"] = json!(time.to_string());
            }
        }
        bytes.clear();
        for part in block.samples.iter().flat_map(|s| [s.re, s.im]) {
            match format {
                SampleFormat::Cf32 => bytes.extend(part.to_le_bytes()),
                // A cast saturates, and takes NaN to 0.
                SampleFormat::Ci16 => {
                    bytes.extend(((part * 32_768.0).round() as i16).to_le_bytes());
                }
            }
        }
        data.write_all(&bytes).map_err(failed(&recording.data))?;
        recording.samples += block.samples.len() as u64;
    }
    data.flush().map_err(failed(&recording.data))?;

    let annotations: Vec<_> = simulator
        .sent()
        .iter()
        .map(|frame| {
            json!({
                "core:sample_start": frame.first_sample,
                "core:sample_count": frame.end_sample - frame.first_sample,
                "core:label": format!("{} bytes", frame.bytes.len()),
            })
        })
        .collect();
    let meta = json!({
        "global": {
            "core:datatype": format.datatype(),
            "core:sample_rate": simulator.info().sample_rate_hz,
            "core:version": "1.2.0",
            "core:recorder": concat!("tulpar ", env!("CARGO_PKG_VERSION")),
            "core:description": description,
        },
        "captures": [capture],
        "annotations": annotations,
    });
    std::fs::write(&recording.meta, format!("{meta:#}\n")).map_err(failed(&recording.meta))?;
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
