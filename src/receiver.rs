//! One downlink as one struct: samples in, frames out. No thread, no socket, no clock.
