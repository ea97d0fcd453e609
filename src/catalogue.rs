//! Satellites and their downlinks as TOML, found by name.
