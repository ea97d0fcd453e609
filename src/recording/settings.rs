//! What the user asks of a recording, before there is anything to record.

use std::path::PathBuf;

use super::{Keep, SampleCoding};

/// What is recorded, and where.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordingSettings {
    /// The folder.
    pub folder: PathBuf,
    /// How samples are stored.
    pub coding: SampleCoding,
    /// Only what surrounds the downlink, at a low rate; otherwise all of the band.
    pub downlink_only: bool,
    /// What of the recordings in the folder is kept; `None`: all.
    pub keep: Option<Keep>,
    /// Bytes of the disk that stay free.
    pub keep_free_bytes: u64,
}
