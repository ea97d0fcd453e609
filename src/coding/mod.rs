//! Kernels on symbols, bits and bytes. They take slices and return values; none knows a framing.
//!
//! Soft symbols are log-likelihood ratios, positive = bit 0. Bits are `u8` 0 or 1.

pub mod bits;
pub mod chase;
pub mod concatenated;
pub mod convolutional;
pub mod crc;
pub mod crc_repair;
pub mod differential;
pub mod event;
pub mod golay;
pub mod hdlc;
pub mod hdlc_repair;
pub mod hdlc_window;
pub mod nrzi;
pub mod randomizer;
pub mod reed_solomon;
pub mod scrambler;
pub mod sync;

pub use convolutional::{ConvolutionalEncoder, ViterbiDecoder};
pub use crc::Crc;
pub use differential::SoftDifferential;
pub use randomizer::Randomizer;
pub use reed_solomon::{Basis, ReedSolomon, Uncorrectable};
