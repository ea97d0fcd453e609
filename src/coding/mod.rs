//! Kernels on symbols, bits and bytes. They take slices and return values; none knows a framing.
//!
//! Soft symbols are log-likelihood ratios, positive = bit 0. Bits are `u8` 0 or 1.
