//! Builds the crate anew when a satellite is added to the embedded catalogue: changes of its files
//! are seen without this, new files are not.

fn main() {
    println!("cargo:rerun-if-changed=flowgraphs/satellites");
}
