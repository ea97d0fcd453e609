//! **Tulpar** is a software-defined ground modem for CubeSat downlinks: samples from a radio or a
//! recording in, checked frames out.
//!
//! Everything in the tree is named after a stage on that way, and data goes through it once:
//!
//! ```text
//!  radio / file / network                                        frames to the world
//!         │                                                              ▲
//!      source ──► tuner ──► demodulator ──► deframer ──► frame ──► sinks
//!      samples    channel,   soft symbols    sync, FEC,   bytes +
//!      + time     Doppler    + timing        checks       quality
//! ```
//!
//! | module | what it holds |
//! |---|---|
//! | [`source`] | samples in: WAV, raw, SigMF, standard input; live from rtl_tcp, UDP, TCP, SoapySDR; one file each |
//! | [`doppler`] | orbit and station → range rate → frequency at an instant; passes; tables and other programs; whose signal it is |
//! | [`dsp`] | kernels on samples: oscillators, filters, the tuner, estimators |
//! | [`modulation`] | complex baseband ↔ soft symbols, one file or folder a family, a registry |
//! | [`coding`] | kernels on symbols, bits and bytes: Reed–Solomon, convolutional, Golay, CRC, scramblers; error events and what is repaired with them |
//! | [`framing`] | soft symbols ↔ frames, one file a framing, a registry |
//! | [`frame`] | the frame: bytes, what vouches for it, when, where, how well |
//! | [`effort`] | how far a receiver goes for a frame: one pass, all means, doubtful frames too |
//! | [`receiver`] | one downlink as one struct: samples in, frames out; no thread, no clock |
//! | [`catalogue`] | satellites and their downlinks as TOML, found by name |
//! | [`configuration`] | the user's file of defaults: station, sources of orbital elements |
//! | [`simulation`] | transmitters, alone or together, and a channel, seeded and reproducible |
//! | [`recording`] | samples to disk while they come: SigMF that survives a power failure, room, ring |
//! | [`sink`] | frames out: text, JSON lines, UDP, KISS; one file each |
//! | [`station`] | unattended reception: the station's file, the plan of passes, their reports and pictures |
//! | `runtime` | the FutureSDR flowgraph around all of it (feature `runtime`) |
//!
//! # Conventions
//!
//! * A **sample** is a [`Complex32`] with full scale ±1. Positions count samples of the *input*.
//! * A **soft symbol** is an `f32` log-likelihood ratio `ln P(0)/P(1)`: **positive means bit 0**.
//!   Standards and programs that have it the other way round are converted at the edge.
//! * A **bit** is a `u8` of 0 or 1. Bytes are sent most significant bit first unless a framing
//!   says otherwise.
//! * An FSK transmitter sends bit 1 as the higher frequency; a BPSK transmitter sends bit 0 as
//!   phase 0.
//! * Frequencies are in Hz (`_hz`), symbol rates in baud (`_bd`), ratios of power in dB (`_db`).
//!   Es/N0 is per *channel* symbol.

pub mod catalogue;
pub mod coding;
pub mod configuration;
pub mod doppler;
pub mod dsp;
pub mod effort;
pub mod error;
pub mod frame;
pub mod framing;
pub mod modulation;
pub mod receiver;
pub mod recording;
pub mod simulation;
pub mod sink;
pub mod source;
pub mod station;

#[cfg(feature = "runtime")]
pub mod runtime;

pub use error::RequestError;
pub use num_complex::Complex32;
