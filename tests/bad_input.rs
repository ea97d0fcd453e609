//! Wrong requests are named in one line; odd recordings are read as far as they go.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::fs;
use std::path::Path;

use common::{refused, said, tulpar};
use serde_json::json;

/// A mode of each family.
const MODES: [&str; 4] =
    ["fsk 9600 AX.25 G3RUH", "bpsk 1200 AX.25", "afsk 1200 AX.25", "bpsk 9600 CCSDS Concatenated"];

fn arguments(mode: &str) -> Vec<&str> {
    let words: Vec<&str> = mode.splitn(3, ' ').collect();
    vec!["--modulation", words[0], "--symbol-rate", words[1], "--framing", words[2]]
}

/// A command from words without spaces in them (`_` stands for one).
fn command(line: &str) -> assert_cmd::Command {
    let mut command = tulpar();
    command.args(line.split(' ').map(|word| word.replace('_', " ")));
    command
}

#[test]
fn wrong_words_are_named_with_the_right_ones() {
    let mode = "--modulation fsk --symbol-rate 9600 --framing";
    for (line, words) in [
        ("replay x --satellite TWIN", &["\"TWIN\" is unknown", "did you mean \"TWINS\""][..]),
        ("satellites nothing-like-it", &["\"nothing-like-it\" is unknown", "tulpar satellites"]),
        ("satellites show", &["satellites show NAME"]),
        ("satellites show TWIN", &["TWINS"]),
        ("replay x --satellite TWINS --downlink third", &["\"third\" is unknown", "first, second"]),
        ("replay x --satellite TWINS --downlink not_yet", &["TWINS", "Mobitex", "not supported"]),
        ("simulate x --satellite TWINS --downlink not_yet", &["Mobitex", "not supported yet"]),
        ("replay x --satellite BEESAT-1", &["not supported yet", "supported: AX.25"]),
        ("replay x", &["what to decode", "--satellite", "--flowgraph", "--modulation"]),
        ("simulate x", &["what to transmit", "--satellite"]),
        ("replay x --modulation fsk", &["--symbol-rate", "missing"]),
        ("replay x --modulation fsk --symbol-rate 9600", &["--framing", "missing", "tulpar modes"]),
        ("replay x --symbol-rate 9600", &["--modulation"]),
        ("replay x --satellite TWINS --symbol-rate 9600", &["--satellite", "--symbol-rate"]),
        ("replay x --satellite TWINS --modulation fsk", &["--satellite", "--modulation"]),
        ("replay x --downlink first", &["--satellite"]),
        ("replay x --modulation qam --symbol-rate 1 --framing USP", &["\"qam\"", "FSK, BPSK"]),
        ("replay x --modulation fsk --symbol-rate 1 --framing UPS", &["\"UPS\"", "\"USP\"?"]),
        ("replay x --modulation fsk --symbol-rate 1 --framing Mobitex", &["not supported yet"]),
        ("replay x @ USP --option a=b", &["--option a", "takes no options"]),
        ("replay x @ CCSDS_Reed-Solomon --option a=b", &["\"a\" is unknown", "frame_size, basis"]),
        ("replay x @ CCSDS_Reed-Solomon --option bais=dual", &["did you mean \"basis\""]),
        ("replay x @ CCSDS_Reed-Solomon --option basis=b", &["basis", "dual, conventional"]),
        ("replay x @ CCSDS_Reed-Solomon --option interleaving=9", &["interleaving", "1 to 8"]),
        ("replay x @ CCSDS_Reed-Solomon --option basis", &["\"basis\" has no =", "key=value"]),
        ("replay @ USP", &["FILE", "missing", "standard input"]),
        ("replay x @ USP --start yesterday", &["--start", "yesterday"]),
        ("replay x @ USP --start 2026-11-22", &["--start"]),
        ("replay x @ USP --rate -1", &["--rate", "-1", "from 1 to"]),
        ("replay x @ USP --rate NaN", &["--rate", "NaN"]),
        ("replay x @ USP --frequency inf", &["--frequency", "inf"]),
        ("replay x @ USP --search x", &["--search", "'x'"]),
        ("replay x @ USP --deviation nan", &["--deviation", "nan"]),
        ("replay x @ USP --input audio", &["--input", "fm-audio"]),
        ("replay x @ USP --format cf33", &["--format", "\"cf33\"", "cf32"]),
        ("replay x --modulation fsk --symbol-rate 0 --framing USP", &["--symbol-rate", "from 1"]),
        ("replay x --modulation fsk --symbol-rate nan --framing USP", &["--symbol-rate", "nan"]),
        ("replay /no/such/file @ USP", &["/no/such/file", "no such file"]),
        ("replay x --flowgraph /no/such.toml", &["/no/such.toml", "cannot be read"]),
        ("simulate /no/such/folder/x @ USP", &["/no/such/folder/x", "cannot be created"]),
        ("simulate x @ USP --rate 5000", &["--rate", "19200"]),
        ("simulate x @ USP --gap -1", &["--gap", "-1"]),
        ("simulate x @ USP --frames -1", &["--frames", "-1"]),
        ("simulate x @ USP --frames 99999999999", &["--frames", "1000000"]),
        ("simulate x @ USP --frame-length 5000", &["--frame-length", "1 to 219"]),
        ("simulate x @ USP --esn0 nan", &["--esn0", "nan"]),
        ("simulate x @ USP --offset 1e6", &["--offset", "--rate"]),
        ("simulate x @ USP --pass 500,40", &["--pass", "--frequency"]),
        ("simulate x @ USP --pass 500 --frequency 437e6", &["--pass", "500,40"]),
        ("simulate x @ USP --fading 1e9,3", &["--fading", "0 to 240"]),
        ("simulate", &["<BASE>"]),
        ("demo --esn0 x", &["--esn0"]),
        ("demo --udp nonsense", &["--udp", "\"nonsense\"", "HOST:PORT"]),
        ("demo --udp no.such.host.invalid:5", &["--udp", "no.such.host.invalid", "resolved"]),
        ("demo --kiss-file /no/such/folder/x", &["--kiss-file", "/no/such/folder/x"]),
        ("demo --kiss-timestamps", &["--kiss-file"]),
        ("nonsense", &["'nonsense'", "--help"]),
        ("modes --nonsense", &["'--nonsense'", "--help"]),
    ] {
        refused(&mut command(&line.replace('@', mode)), words);
    }
}

#[test]
fn malformed_files_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let meta = |datatype: &str| {
        json!({"global": {"core:datatype": datatype, "core:sample_rate": 48000,
                          "core:version": "1.2.0"}, "captures": [{"core:sample_start": 0}]})
        .to_string()
    };
    fs::write(path("type.sigmf-data"), "12345678").unwrap();
    for (name, content, words) in [
        ("broken.sigmf-meta", "{".to_owned(), &["broken.sigmf-meta"][..]),
        ("type.sigmf-meta", meta("cx16"), &["type.sigmf-meta", "cx16"]),
        ("alone.sigmf-meta", meta("ci16_le"), &["alone.sigmf-data"]),
        ("alone.sigmf-data", String::new(), &["alone.sigmf-data", "no such file"]),
        ("samples.iq", "12345678".to_owned(), &["samples.iq", "--format", "--rate"]),
        ("empty.wav", String::new(), &["empty.wav", "is empty"]),
        ("short.wav", "RIFF\0\0\0\0WAVE".to_owned(), &["short.wav"]),
        ("packed.gz", "\u{1f}\u{b}".to_owned(), &["packed.gz", "--format"]),
        ("", String::new(), &["is a folder"]),
    ] {
        let file = path(name);
        // Without content: a folder, and data that are missing beside their metadata.
        if name == "empty.wav" || !content.is_empty() {
            fs::write(&file, content).unwrap();
        }
        refused(tulpar().args(["replay", &file]).args(arguments(MODES[0])), words);
    }
    let raw = path("samples.iq");
    let mode = arguments(MODES[0]);
    let format = ["--format", "ci16"];
    refused(tulpar().args(["replay", &raw]).args(&mode).args(format), &["--rate is missing"]);
    let rate = ["--rate", "48000"];
    refused(tulpar().args(["replay", &raw]).args(&mode).args(rate), &["--format is missing"]);
    let low = ["--format", "ci16", "--rate", "9600"];
    refused(tulpar().args(["replay", &raw]).args(&mode).args(low), &["too few for 9600 Bd"]);
    let outside = ["--satellite", "TWINS", "--downlink", "first", "--frequency", "145.9e6"];
    let raw_arguments = ["--format", "ci16", "--rate", "48000"];
    refused(
        tulpar().args(["replay", &raw]).args(outside).args(raw_arguments),
        &["TWINS: downlink \"first\"", "437.500000 MHz is outside", "--frequency"],
    );

    // A satellite and a flowgraph of the user's own.
    fs::write(path("mine.toml"), "name = \"MINE\"\nnorat_id = 5\n").unwrap();
    refused(
        tulpar().env("TULPAR_SATELLITES", folder.path()).args(["satellites", "mine"]),
        &["mine.toml:2", "\"norat_id\" is unknown", "did you mean \"norad_id\"", "name,"],
    );
    refused(
        tulpar().env("TULPAR_SATELLITES", path("nowhere")).args(["satellites"]),
        &["nowhere", "TULPAR_SATELLITES"],
    );
    for (text, words) in [
        ("satelite = \"TWINS\"", &["flow.toml:1", "did you mean \"satellite\""][..]),
        ("satellite = \"TWIN\"", &["TWINS"]),
        ("satellite = \"TWINS\"\n[[sink]]\nkind = \"upd\"", &["flow.toml:3", "\"udp\"?"]),
        ("satellite = \"TWINS\"\n[[sink]]\nkind = \"kiss-file\"", &["flow.toml:2", "path"]),
        (
            "[[downlink]]\nlabel = \"a\"\nfrequency_hz = 437e6\nmodulation = \"FSK\"\n\
             symbol_rate_bd = 9600\nframing = \"UPS\"",
            &["flow.toml", "downlink \"a\"", "\"UPS\" is unknown", "\"USP\"?"],
        ),
    ] {
        fs::write(path("flow.toml"), text).unwrap();
        let flow = path("flow.toml");
        refused(tulpar().args(["replay", &raw, "--flowgraph", &flow]).args(raw_arguments), words);
    }
}

/// A WAV file of two 16-bit channels.
fn wav(data: &[u8], said_bytes: u32) -> Vec<u8> {
    let mut out = b"RIFF".to_vec();
    out.extend(said_bytes.wrapping_add(36).to_le_bytes());
    out.extend(b"WAVEfmt \x10\0\0\0\x01\0\x02\0");
    out.extend(48_000u32.to_le_bytes());
    out.extend(192_000u32.to_le_bytes());
    out.extend(b"\x04\0\x10\0data");
    out.extend(said_bytes.to_le_bytes());
    out.extend(data);
    out
}

/// Status 0, no frame, and warnings that name all of `words`.
fn nothing_found(file: &Path, more: &[&str], words: &[&str]) {
    for mode in MODES {
        let mut command = tulpar();
        command.arg("replay").arg(file).args(arguments(mode)).args(more);
        let output = command.output().unwrap();
        let lines = said(&output);
        assert_eq!(output.status.code(), Some(0), "{mode}: {lines:?}");
        assert!(output.stdout.is_empty(), "{mode}");
        assert!(lines.last().unwrap().starts_with("0 frames in "), "{lines:?}");
        for word in words {
            assert!(lines.iter().any(|l| l.contains(word)), "{mode}: no {word} in {lines:?}");
        }
        let others = lines.iter().filter(|line| !line.starts_with("Doppler: ")).count();
        assert_eq!(others, 1 + usize::from(!words.is_empty()), "{mode}: {lines:?}");
    }
}

#[test]
fn odd_recordings_are_read_as_far_as_they_go() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x");
    let write = |bytes: &[u8]| fs::write(&file, bytes).unwrap();
    let mut state = 1u32;
    let mut random = |count: usize| -> Vec<u8> {
        (0..count)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 24) as u8
            })
            .collect()
    };
    let noise = random(40_000);

    write(&wav(&noise, 80_000));
    nothing_found(&file, &[], &["is truncated", "x: "]);
    write(&wav(&noise, 7));
    nothing_found(&file, &[], &["no chunk follows"]);
    write(&wav(&[], 0));
    nothing_found(&file, &[], &["holds no samples"]);
    write(&wav(&noise[..39_998], 39_998));
    nothing_found(&file, &[], &["no whole sample"]);

    let cu8 = ["--format", "cu8", "--rate", "48000"];
    write(&noise);
    nothing_found(&file, &cu8, &[]);
    write(&noise[..39_999]);
    nothing_found(&file, &cu8, &["no whole sample"]);
    write(&[]);
    nothing_found(&file, &cu8, &["holds no samples"]);
    write(&[0; 40_000]);
    nothing_found(&file, &["--format", "ci16", "--rate", "48000"], &[]);
    // Clipped at full scale: random signs.
    let clipped: Vec<u8> = noise.iter().map(|b| if b & 1 == 0 { 0x7F } else { 0x80 }).collect();
    write(&clipped);
    nothing_found(&file, &["--format", "ci8", "--rate", "48000"], &[]);
    // One number in four is none.
    let floats: Vec<u8> = noise
        .iter()
        .enumerate()
        .flat_map(|(i, b)| {
            let values = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e38];
            let value = if i % 4 == 0 { values[i / 4 % 4] } else { f32::from(*b) / 128.0 - 1.0 };
            value.to_le_bytes()
        })
        .collect();
    write(&floats);
    let cf32 = ["--format", "cf32", "--rate", "48000"];
    nothing_found(&file, &cf32, &["10000 values were NaN, infinite or absurdly large"]);
}

#[test]
fn frames_outlive_a_damaged_recording() {
    let folder = tempfile::tempdir().unwrap();
    let base = folder.path().join("a");
    let mode = arguments(MODES[0]);
    let mut command = tulpar();
    command.arg("simulate").arg(&base).args(&mode);
    command.args(["--frames", "4", "--esn0", "20", "--format", "cf32"]).assert().success();
    let sent = common::sent(&base);
    let data = base.with_extension("sigmf-data");
    let mut bytes = fs::read(&data).unwrap();
    // Cut within the last frame, and between frames a few values that are none.
    let end = bytes.len() - 8 * 17_000 - 3;
    bytes.truncate(end);
    for value in bytes.chunks_exact_mut(4).skip(1000).take(7) {
        value.copy_from_slice(&f32::NAN.to_le_bytes());
    }
    fs::write(&data, bytes).unwrap();
    let output = tulpar().arg("replay").arg(&base).args(&mode).arg("--json").output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(common::frames(&output.stdout), sent[..3]);
    let lines = said(&output);
    assert!(lines.iter().any(|l| l.contains("7 values were NaN")), "{lines:?}");
}
