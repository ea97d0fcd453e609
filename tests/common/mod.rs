//! What the black-box tests share.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

pub mod scene;
pub mod station;

use std::path::{Path, PathBuf};

use assert_cmd::Command;

/// The program.
pub fn tulpar() -> Command {
    let mut command = Command::cargo_bin("tulpar").unwrap();
    // The tests must not depend on the satellites of whoever runs them.
    command
        .env("TULPAR_SATELLITES", Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/satellites"))
        // Nor on their station; the folder is named by a file that says nothing.
        .env("TULPAR_CONFIG", Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config.toml"));
    command.timeout(std::time::Duration::from_secs(300));
    command
}

/// The folder of recordings beside the project: `$TULPAR_SHARED`, or `../shared`. Tests that need
/// it are skipped, and say so, where it is absent.
pub fn shared() -> Option<PathBuf> {
    let folder = std::env::var_os("TULPAR_SHARED")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared"), PathBuf::from);
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!("SKIPPED: {} is not there", folder.display());
    None
}

/// The frames, in hex, of `--json` output.
pub fn frames(json_lines: &[u8]) -> Vec<String> {
    records(json_lines).iter().map(|r| r["frame"].as_str().unwrap().to_owned()).collect()
}

/// The records of `--json` output.
pub fn records(json_lines: &[u8]) -> Vec<serde_json::Value> {
    String::from_utf8(json_lines.to_vec())
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// The frames that `tulpar simulate` says it has sent, in hex.
pub fn sent(base: &Path) -> Vec<String> {
    let mut path = base.as_os_str().to_owned();
    path.push(".frames.json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// What a run has said on standard error, without `tulpar: `.
pub fn said(output: &std::process::Output) -> Vec<String> {
    let text = String::from_utf8(output.stderr.clone()).unwrap();
    text.lines()
        .map(|line| line.strip_prefix("tulpar: ").expect("every line says who speaks").to_owned())
        .collect()
}

/// Bytes as lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// A wrong request: exit status 2, nothing on standard output, and one line that names all of
/// `words`.
pub fn refused(command: &mut Command, words: &[&str]) {
    let output = command.output().unwrap();
    let lines = said(&output);
    assert_eq!(output.status.code(), Some(2), "{lines:?}");
    assert!(output.stdout.is_empty(), "{lines:?}");
    assert_eq!(lines.len(), 1, "{lines:?}");
    for word in words {
        assert!(lines[0].contains(word), "no {word} in: {}", lines[0]);
    }
    for word in ["panic", "RUST_BACKTRACE", "internal error"] {
        assert!(!lines[0].contains(word), "{}", lines[0]);
    }
}
