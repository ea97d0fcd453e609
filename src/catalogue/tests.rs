#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;

use super::*;
use crate::{framing, modulation};

const MINIMAL: &str = r#"
name = "MYSAT-1"

[[downlink]]
label = "9k6"
frequency_hz = 437_500_000
modulation = "FSK"
symbol_rate_bd = 9600
framing = "AX.25 G3RUH"
"#;

/// The error of a document made from the minimal one by replacing a line.
fn error_with(from: &str, to: &str) -> String {
    assert!(MINIMAL.contains(from), "{from}");
    let text = MINIMAL.replacen(from, to, 1);
    Satellite::from_toml("mysat.toml", &text).unwrap_err().to_string()
}

#[test]
fn every_embedded_file_is_a_satellite() {
    let catalogue = Catalogue::embedded().unwrap();
    assert!(catalogue.satellites().len() >= 418, "{}", catalogue.satellites().len());
    assert_eq!(catalogue.satellites().len(), SATELLITES.files().count(), "something else there?");
    let mut by_name: BTreeMap<String, &str> = BTreeMap::new();
    for satellite in catalogue.satellites() {
        let again = Satellite::from_toml(satellite.file(), satellite.to_toml()).unwrap();
        assert_eq!(&again, satellite);
        if let Some(other) = by_name.insert(names::fold(&satellite.name), satellite.file()) {
            panic!("{} and {other} have the same name", satellite.file());
        }
        let slug = names::fold(satellite.file().trim_end_matches(".toml"));
        assert_eq!(slug, names::fold(&satellite.name).replace(|c: char| !c.is_ascii(), ""));
    }
}

#[test]
fn every_embedded_satellite_is_found_by_name_and_number() {
    let catalogue = Catalogue::embedded().unwrap();
    for satellite in catalogue.satellites() {
        assert_eq!(catalogue.find(&satellite.name).unwrap(), satellite);
        assert_eq!(catalogue.find(&satellite.name.to_lowercase()).unwrap(), satellite);
        if let Some(norad_id) = satellite.norad_id {
            assert_eq!(catalogue.find(&norad_id.to_string()).unwrap(), satellite);
        }
        for name in &satellite.alternative_names {
            // An alternative name that is another's name, or shared, leads to a choice.
            match catalogue.find(name) {
                Ok(found) => {
                    assert!(found.names().any(|n| names::fold(n) == names::fold(name)));
                }
                Err(error) => assert!(error.right.contains(&satellite.name), "{error}"),
            }
        }
    }
}

#[test]
fn what_is_in_the_table_is_in_the_files() {
    let catalogue = Catalogue::embedded().unwrap();
    let lilacsat = catalogue.find("lilacsat2").unwrap();
    let bpsk = lilacsat.downlink("9K6 BPSK downlink").unwrap();
    assert_eq!(bpsk.options.0["precoding"], "differential");
    assert_eq!(bpsk.options.0["basis"], "conventional");
    assert_eq!(bpsk.options.0["frame_size"], "114");
    let salsat = &catalogue.find("SALSAT").unwrap().downlinks[0];
    assert_eq!(salsat.deviation_hz, Some(-300.0));
    assert_eq!(salsat.audio_carrier_hz, Some(1500.0));
    assert_eq!(salsat.fm_deviation_hz, Some(10_000.0));
    assert_eq!(catalogue.find("Irazu").unwrap().name, catalogue.find("irazú").unwrap().name);
    let ots = catalogue.find("OTS CubeSat").unwrap();
    assert_eq!(ots.norad_id, None);
    assert_eq!(ots.downlinks[1].options.0["frame_size"], "1115");
    assert!(ots.to_toml().starts_with("# The CubeSat"));
    assert_eq!(embedded_framings().len(), 58);
    assert!(embedded_modulations().contains(&"DBPSK Manchester"));
}

#[test]
fn the_unknown_is_answered_with_the_nearest() {
    let catalogue = Catalogue::embedded().unwrap();
    let error = catalogue.find("alto-1").unwrap_err().to_string();
    assert!(error.contains("\"alto-1\" is unknown") && error.contains("AALTO-1"), "{error}");
    assert!(error.len() < 300 && error.lines().count() == 1, "{error}");
    for query in ["", "-", "4294967296", "99999999999", "\u{0}", "🛰"] {
        assert!(catalogue.find(query).is_err(), "{query}");
    }
    let ambiguous = catalogue.find("RS8S").unwrap_err().to_string();
    assert!(ambiguous.contains("RESHUCUBE"), "{ambiguous}");
}

#[test]
fn search_looks_at_names_numbers_and_modes() {
    let catalogue = Catalogue::embedded().unwrap();
    assert_eq!(catalogue.search("").len(), catalogue.satellites().len());
    assert!(catalogue.search("beesat").len() >= 3);
    assert_eq!(catalogue.search("42775").len(), 1);
    assert!(catalogue.search("geoscan").len() >= 10);
    assert!(catalogue.search("no such thing").is_empty());
}

#[test]
fn mistakes_are_named_with_file_line_and_key() {
    let error = error_with("frequency_hz", "frequncy_hz");
    assert!(
        error.starts_with(
            "mysat.toml:6: key \"frequncy_hz\" is unknown; did you mean \"frequency_hz\"?"
        ),
        "{error}"
    );
    let cases = [
        ("name = \"MYSAT-1\"", "", "name is missing"),
        ("name = \"MYSAT-1\"", "name = 1", "name is an integer; give it as a string in quotes"),
        ("name = \"MYSAT-1\"", "name = \" \"", "name is empty"),
        ("name = \"MYSAT-1\"", "name = \"--\"", "neither letter nor digit"),
        ("name = \"MYSAT-1\"", "name = \"A\"\nnorad_id = -1", "norad_id = -1 is out of range"),
        ("name = \"MYSAT-1\"", "name = \"A\"\nnorad_id = 1.5", "norad_id is a number"),
        ("name = \"MYSAT-1\"", "name = \"A\"\nalternative_names = \"B\"", "is a string"),
        ("name = \"MYSAT-1\"", "name = \"A\"\nalternative_names = [1]", "is an integer"),
        ("label = \"9k6\"", "", "mysat.toml:4: label is missing"),
        ("437_500_000", "437.5", "frequency_hz = 437.5 is out of range; accepted: 1000000 to"),
        ("437_500_000", "\"437 MHz\"", "frequency_hz is a string"),
        ("437_500_000", "nan", "out of range"),
        ("9600", "0", "symbol_rate_bd = 0 is out of range"),
        ("9600", "9600\ndeviation_hz = 0", "deviation_hz is 0"),
        ("9600", "9600\nroll_off = 2", "roll_off = 2 is out of range"),
        ("9600", "9600\noptions = 5", "options is an integer"),
        ("9600", "9600\noptions = { frame_size = 1.5 }", "options.frame_size is a number"),
        ("[[downlink]]", "[downlink]", "downlink is a table; give it as a list of tables"),
        ("[[downlink]]", "[[downlink", "mysat.toml:4"),
        ("label = \"9k6\"", "label = \"9k6\"\nlabel = \"x\"", "mysat.toml:6: duplicate key"),
    ];
    for (from, to, expected) in cases {
        let error = error_with(from, to);
        assert!(error.contains(expected), "{to}: {error}");
        assert!(error.starts_with("mysat.toml:") && error.lines().count() == 1, "{error}");
    }
    let twice = format!("{MINIMAL}{}", &MINIMAL[MINIMAL.find("[[").unwrap()..]);
    let error = Satellite::from_toml("mysat.toml", &twice).unwrap_err().to_string();
    assert!(error.contains("taken by a downlink above"), "{error}");
    let none = Satellite::from_toml("mysat.toml", "name = \"A\"").unwrap_err().to_string();
    assert!(none.contains("no downlink"), "{none}");
}

#[test]
fn both_ways_to_write_options_are_the_same() {
    let inline = MINIMAL.to_owned() + "options = { frame_size = 1_115, basis = \"dual\" }\n";
    let table = MINIMAL.to_owned() + "[downlink.options]\nframe_size = 1115\nbasis = \"dual\"\n";
    let a = Satellite::from_toml("a", &inline).unwrap();
    let b = Satellite::from_toml("a", &table).unwrap();
    assert_eq!(a.downlinks, b.downlinks);
    assert_eq!(a.downlinks[0].options.0["frame_size"], "1115");
}

#[test]
fn a_mode_exists_exactly_when_the_registries_have_it() {
    let catalogue = Catalogue::embedded().unwrap();
    for satellite in catalogue.satellites() {
        for downlink in &satellite.downlinks {
            let exists = modulation::find(&downlink.modulation).is_ok()
                && framing::find(&downlink.framing).is_ok();
            match downlink.mode() {
                Ok(mode) => {
                    assert!(exists);
                    assert_eq!(mode.parameters.symbol_rate_bd, downlink.symbol_rate_bd);
                }
                Err(error) => {
                    assert!(!exists, "{}: {error}", satellite.file());
                    assert!(error.wrong.ends_with("is not supported yet"), "{error}");
                }
            }
        }
    }
    let text = MINIMAL.replace("AX.25 G3RUH", "AX.52");
    let error = Satellite::from_toml("a", &text).unwrap().downlinks[0].mode().unwrap_err();
    assert!(error.wrong.contains("AX.52") || error.wrong.contains("FSK"), "{error}");
}

#[test]
fn the_users_folder_wins() {
    let folder = tempfile::tempdir().unwrap();
    let own = MINIMAL.replace("MYSAT-1", "aalto 1");
    std::fs::write(folder.path().join("mine.toml"), &own).unwrap();
    std::fs::write(folder.path().join("new.toml"), MINIMAL.replace("MYSAT-1", "ZZ TOP")).unwrap();
    std::fs::write(folder.path().join("notes.txt"), "not a satellite").unwrap();
    let embedded = Catalogue::embedded().unwrap();
    let catalogue = Catalogue::with_user_folder(folder.path()).unwrap();
    assert_eq!(catalogue.satellites().len(), embedded.satellites().len() + 1);
    assert_eq!(catalogue.find("AALTO-1").unwrap().to_toml(), own);
    assert!(catalogue.find("zztop").unwrap().file().ends_with("new.toml"));

    std::fs::write(folder.path().join("twin.toml"), MINIMAL.replace("MYSAT-1", "zz-top")).unwrap();
    let error = Catalogue::with_user_folder(folder.path()).unwrap_err().to_string();
    assert!(error.contains("twin.toml") && error.contains("new.toml"), "{error}");
    std::fs::write(folder.path().join("twin.toml"), [0xff, 0xfe]).unwrap();
    let error = Catalogue::with_user_folder(folder.path()).unwrap_err().to_string();
    assert!(error.contains("not UTF-8"), "{error}");
    let error = Catalogue::with_user_folder(&folder.path().join("none")).unwrap_err().to_string();
    assert!(error.contains("cannot be read"), "{error}");
}

#[test]
fn garbage_is_an_error_never_a_panic() {
    for text in ["", "\u{0}", "=", "[", "name", "downlink = [[[[", "downlink = [1]", "\u{feff}x=1"]
    {
        assert!(Satellite::from_toml("x", text).is_err(), "{text:?}");
        assert!(FlowgraphFile::from_toml("x", text).is_err(), "{text:?}");
    }
    // Every prefix of a real file.
    let text = Catalogue::embedded().unwrap().find("LilacSat-2").unwrap().to_toml().to_owned();
    for end in (0..text.len()).filter(|&end| text.is_char_boundary(end)) {
        let _ = Satellite::from_toml("x", &text[..end]);
    }
}
