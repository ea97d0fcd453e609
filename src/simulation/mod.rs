//! A transmitter and a channel, seeded and reproducible: for the demo, tests and benches.
