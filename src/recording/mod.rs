//! Samples to disk while they come.
//!
//! | module | what it holds |
//! |---|---|
//! | [`coding`] | how samples are stored: `ci16_le`, `ci8`, `cf32_le` |
//! | [`metadata`] | the text of a `.sigmf-meta` file; the simulator writes its files with it too |
//! | [`sigmf`] | a recording that is written while its samples come |
//! | [`band`] | the part of the band around one downlink, at a low rate |
//! | [`settings`] | what the user asks for |
//! | [`folder`] | the room that is left, and the oldest recordings making it |
//!
//! Nothing here has a thread or a clock: whoever writes says when to save.

pub mod band;
pub mod coding;
pub mod folder;
pub mod metadata;
pub mod settings;
pub mod sigmf;

pub use band::{Band, Narrowing};
pub use coding::SampleCoding;
pub use folder::{Folder, Keep, Room};
pub use metadata::Global;
pub use settings::RecordingSettings;
pub use sigmf::SigmfRecording;
