//! Rules about the tree that no compiler checks.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::path::{Path, PathBuf};

fn rust_files(folder: &Path, out: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, out);
        } else if path.extension().is_some_and(|e| e == "rs") {
            out.push(path);
        }
    }
}

fn sources() -> Vec<PathBuf> {
    let mut files = Vec::new();
    rust_files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut files);
    files
}

#[test]
fn the_runtime_is_known_in_its_folder_alone() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/runtime");
    let strays: Vec<PathBuf> = sources()
        .into_iter()
        .filter(|path| !path.starts_with(&folder))
        .filter(|path| {
            let text = fs::read_to_string(path).unwrap();
            text.lines().any(|line| {
                let code = line.split("//").next().unwrap_or_default();
                code.contains("futuresdr")
            })
        })
        .collect();
    assert!(strays.is_empty(), "futuresdr is used outside src/runtime: {strays:?}");
}

#[test]
fn no_stream_port_of_the_runtime_is_used() {
    // Its default buffer collapses when the cores are busy.
    for path in sources() {
        let text = fs::read_to_string(&path).unwrap();
        for word in ["DefaultCpuReader", "DefaultCpuWriter", "#[blocking]"] {
            assert!(!text.contains(word), "{} uses {word}", path.display());
        }
    }
}

#[test]
fn files_can_be_read_in_one_go() {
    for path in sources() {
        let lines = fs::read_to_string(&path).unwrap().lines().count();
        assert!(lines <= 900, "{} has {lines} lines", path.display());
    }
}
