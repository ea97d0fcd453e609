//! A transmitter and a channel, seeded and reproducible: for the demo, tests and benches.
//!
//! ```text
//!  frames ──► framing's encoder ──► modulator ──► channel ──► samples (a Source, or SigMF)
//!  [frames]   [transmitter::Simulator ............ channel]   [sigmf_writer]
//! ```
//!
//! The same seed gives the same samples, however they are read.

pub mod channel;
pub mod flight;
pub mod frames;
pub mod pass;
pub mod sigmf_writer;
pub mod superposition;
pub mod transmitter;

pub use channel::{Channel, Curve, Fading, Propagation};
pub use flight::Flight;
pub use pass::Pass;
pub use superposition::{Superposition, clip};
pub use transmitter::{SentFrame, Simulator, Transmission};
