#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use proptest::prelude::*;

use super::*;

const LINE1: &str = "1 42775U 17036L   24122.52427083  .00012345  00000-0  56789-3 0  9997";
const LINE2: &str = "2 42775  97.1234 123.4567 0012345 210.9876 149.0123 15.23456789378906";
const ALPHA1: &str = "1 T0002U 98067A   24001.00000000 -.00001234  12345-4 -11606-4 0  2924";
const ALPHA2: &str = "2 T0002  51.6416 247.4627 0006703 130.5360 325.0288 15.72125391563539";
const BLANK1: &str = "1 00005C          56366.99999999  .00000023  00000-0  28098+1 0  4754";
const BLANK2: &str = "2 00005  34.2682 348.7242 1859667 331.7664  19.3264 10.82419157413667";

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn aalto(source: &str) -> Elements {
    Elements {
        name: Some("AALTO-1".into()),
        norad_id: 42775,
        international_designator: Some("2017-036L".into()),
        epoch: time("2024-05-01T12:34:57.000Z"),
        inclination_deg: 97.1234,
        raan_deg: 123.4567,
        eccentricity: 0.001_234_5,
        argument_of_perigee_deg: 210.9876,
        mean_anomaly_deg: 149.0123,
        mean_motion_rev_per_day: 15.234_567_89,
        bstar: 0.567_89e-3,
        source: source.into(),
    }
}

fn read(content: impl AsRef<[u8]>) -> ElementsFile {
    parse("x", content.as_ref()).unwrap()
}

fn error(content: impl AsRef<[u8]>) -> String {
    parse("x", content.as_ref()).unwrap_err().to_string()
}

/// The epoch of the TLE is rounded to 864 µs.
fn assert_same(read: &Elements, expected: &Elements) {
    assert!(super::super::seconds_between(read.epoch, expected.epoch).abs() < 1e-3);
    assert_eq!(*read, Elements { epoch: read.epoch, ..expected.clone() });
}

#[test]
fn two_and_three_lines_in_one_file_with_any_ends_of_line() {
    for end in ["\n", "\r\n", "  \r\n\r\n"] {
        let lines = [
            "# a comment",
            "AALTO-1         ",
            LINE1,
            LINE2,
            ALPHA1,
            ALPHA2,
            "0 VANGUARD (1)",
            BLANK1,
            BLANK2,
            "0",
            LINE1,
            LINE2,
        ];
        let file = read(lines.join(end));
        assert_eq!(file.warnings, [""; 0]);
        assert_eq!(file.sets.len(), 4);
        let line = if end.contains("\n\r") { 5 } else { 3 };
        assert_same(&file.sets[0], &aalto(&format!("x:{line}")));
        let iss = &file.sets[1];
        assert_eq!((iss.norad_id, iss.name.as_deref()), (270_002, None));
        assert_eq!(iss.epoch, time("2024-01-01T00:00:00Z"));
        assert_eq!(iss.international_designator.as_deref(), Some("1998-067A"));
        assert_eq!(iss.bstar, -0.11606e-4);
        let old = &file.sets[2];
        assert_eq!((old.norad_id, old.name.as_deref()), (5, Some("VANGUARD (1)")));
        assert_eq!(old.international_designator, None);
        assert_eq!(old.epoch, time("2056-12-31T23:59:59.999136Z"));
        assert_eq!((old.bstar, old.eccentricity), (2.8098, 0.185_966_7));
        assert_eq!(file.sets[3].name, None);
    }
}

#[test]
fn text_of_windows_is_read() {
    let text = format!("\u{FEFF}AALTO-1\r\n{LINE1}\r\n{LINE2}\r\n");
    assert_same(&read(&text).sets[0], &aalto("x:2"));
    let words: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert_same(&read(words).sets[0], &aalto("x:2"));
    let words: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
    assert_same(&read(words).sets[0], &aalto("x:2"));
}

#[test]
fn a_bad_set_leaves_the_others() {
    let wrong_sum = format!("{}3", &LINE1[..68]);
    let file = read(format!("A\n{wrong_sum}\n{LINE2}\nB\n{ALPHA1}\n{ALPHA2}\n"));
    assert_eq!(file.sets.len(), 1);
    assert_eq!(file.sets[0].name.as_deref(), Some("B"));
    assert_eq!(file.warnings.len(), 1);
    let warning = &file.warnings[0];
    assert!(warning.starts_with("x:2: its checksum is 3, but its digits give 7"), "{warning}");
    // Alone, it is an error.
    let error_text = error(format!("A\n{wrong_sum}\n{LINE2}\n"));
    assert!(error_text.contains("checksum is 3"), "{error_text}");
    // Many are counted.
    let file = read(format!("{LINE1}\n{LINE2}\n{}", format!("{LINE1}\n").repeat(100)));
    assert_eq!(file.sets.len(), 1);
    assert_eq!(file.warnings.len(), MOST_WARNINGS + 1);
    assert!(file.warnings[MOST_WARNINGS].contains("92 more"));
}

/// The line with other columns (counted from 1) and the right checksum.
fn edited(line: &str, from: usize, columns: &str) -> String {
    let mut line = line.to_owned();
    line.replace_range(from - 1..from - 1 + columns.len(), columns);
    let value = |b: u8| if b == b'-' { 1 } else { char::from(b).to_digit(10).unwrap_or(0) };
    let sum: u32 = line[..68].bytes().map(value).sum();
    format!("{}{}", &line[..68], sum % 10)
}

#[test]
fn what_is_wrong_with_a_tle_is_said() {
    let with1 = |from, columns: &str| error(format!("{}\n{LINE2}", edited(LINE1, from, columns)));
    let with2 = |from, columns: &str| error(format!("{LINE1}\n{}", edited(LINE2, from, columns)));
    for (text, says) in [
        (error(LINE1), "x:1: line 1 of a set is not followed by line 2"),
        (error(LINE2), "x:1: line 2 of a set does not follow line 1"),
        (error(format!("{}\n{LINE2}", &LINE1[..60])), "x:1: has 60 characters"),
        (error(format!("{LINE1}0\n{LINE2}")), "x:1: has 70 characters"),
        (error(format!("{LINE1}\n{ALPHA2}")), "x:2: is about object T0002, but line 1 about 42775"),
        (error(format!("{}\n{LINE2}", LINE1.replace("17036L", "17036É"))), "not ASCII"),
        (with1(21, "000.5"), "epoch"),
        (with1(21, "367.5"), "epoch"),
        (with1(19, "x4"), "epoch"),
        (with1(54, "        "), "B*"),
        (with1(54, " 5678x-3"), "B*"),
        (with1(63, "4"), "SGP4-XP"),
        (with2(9, " 97.12e1"), "inclination"),
        (with2(9, "     nan"), "inclination in columns 9 to 16 is \"     nan\""),
        (with2(9, "181.0000"), "inclination is 181"),
        (with2(18, "400.0000"), "right ascension"),
        (with2(27, "00-2345"), "eccentricity"),
        (with2(53, " 0.00000000"), "mean motion is 0"),
        (with2(53, "25.00000000"), "mean motion is 25"),
        (with2(53, "           "), "mean motion"),
    ] {
        assert!(text.contains(says), "{text}\nshould say {says}");
        assert!(!text.contains('\n'));
    }
    // Blanks for zeros, no exponent, and the verification set's remarks behind the lines.
    assert_eq!(
        read(format!("{LINE1}\n{}", edited(LINE2, 27, "  12345"))).sets[0].eccentricity,
        0.001_234_5
    );
    assert_eq!(read(format!("{LINE1}\n{LINE2}   0.00  4320.0 360.0")).sets.len(), 1);
}

#[test]
fn alpha5_skips_i_and_o() {
    for (text, number) in [
        ("    5", Some(5)),
        ("99999", Some(99_999)),
        ("A0000", Some(100_000)),
        ("H9999", Some(179_999)),
        ("J0000", Some(180_000)),
        ("P0000", Some(230_000)),
        ("Z9999", Some(tle::LARGEST_ALPHA5)),
        ("I0000", None),
        ("O0000", None),
        ("a0000", None),
    ] {
        let lines = (edited(LINE1, 3, text), edited(LINE2, 3, text));
        let set = tle::from_lines("x", None, &lines.0, &lines.1);
        assert_eq!(set.ok().map(|set| set.norad_id), number, "{text}");
    }
}

#[test]
fn a_written_tle_reads_the_same() {
    assert_eq!(aalto("x").to_tle().unwrap()[1][..63], LINE2[..63]);
    let mut vanguard = read(format!("{BLANK1}\n{BLANK2}")).sets[0].clone();
    let [line1, line2] = vanguard.to_tle().unwrap();
    assert_same(&tle::from_lines("x:1", None, &line1, &line2).unwrap(), &vanguard);
    // Rounded into the next year, which the format cannot write.
    vanguard.epoch = time("2056-12-31T23:59:59.9999Z");
    assert!(vanguard.to_tle().unwrap_err().to_string().contains("epoch"));
    let large = Elements { norad_id: 799_500_001, ..aalto("x") };
    assert!(large.to_tle().unwrap_err().to_string().contains("799500001"));
    for bstar in [0.0, -0.0, 1e-30, -9.999_999e-4, 0.1, 1.0, 0.999_999_9, -123.0] {
        let [line1, line2] = Elements { bstar, ..aalto("x") }.to_tle().unwrap();
        let read = tle::from_lines("x", None, &line1, &line2).unwrap();
        assert!((read.bstar - bstar).abs() <= 5.1e-5 * bstar.abs().max(1e-9), "{bstar}: {line1}");
    }
    for bstar in [1e10, f64::INFINITY, f64::NAN] {
        assert!(Elements { bstar, ..aalto("x") }.to_tle().is_err());
    }
}

const JSON: &str = r#"{"OBJECT_NAME":"AALTO-1","OBJECT_ID":"2017-036L","EPOCH":"2024-05-01T12:34:57.000000",
"MEAN_MOTION":15.23456789,"ECCENTRICITY":0.0012345,"INCLINATION":97.1234,"RA_OF_ASC_NODE":123.4567,
"ARG_OF_PERICENTER":210.9876,"MEAN_ANOMALY":149.0123,"EPHEMERIS_TYPE":0,"CLASSIFICATION_TYPE":"U",
"NORAD_CAT_ID":42775,"ELEMENT_SET_NO":999,"REV_AT_EPOCH":37890,"BSTAR":0.00056789,
"MEAN_MOTION_DOT":0.00012345,"MEAN_MOTION_DDOT":0}"#;

/// As Space-Track has it.
const JSON_STRINGS: &str = r#"[{"CCSDS_OMM_VERS":"3.0","COMMENT":"GENERATED VIA SPACE-TRACK.ORG API",
"CREATION_DATE":"2024-05-01T18:00:00","ORIGINATOR":"18 SPCS","OBJECT_NAME":"AALTO-1","OBJECT_ID":"2017-036L",
"CENTER_NAME":"EARTH","REF_FRAME":"TEME","TIME_SYSTEM":"UTC","MEAN_ELEMENT_THEORY":"SGP4",
"EPOCH":"2024-05-01T12:34:57.000000","MEAN_MOTION":"15.23456789","ECCENTRICITY":"0.00123450",
"INCLINATION":"97.1234","RA_OF_ASC_NODE":"123.4567","ARG_OF_PERICENTER":"210.9876",
"MEAN_ANOMALY":"149.0123","EPHEMERIS_TYPE":"0","CLASSIFICATION_TYPE":"U","NORAD_CAT_ID":"42775",
"BSTAR":"0.00056789000000","DECAY_DATE":null,"TLE_LINE0":"0 AALTO-1"}]"#;

const XML: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<ndm xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
<omm id="CCSDS_OMM_VERS" version="2.0"><header><CREATION_DATE/><ORIGINATOR/></header><body><segment>
<metadata><OBJECT_NAME>AALTO-1</OBJECT_NAME><OBJECT_ID>2017-036L</OBJECT_ID><CENTER_NAME>EARTH</CENTER_NAME>
<REF_FRAME>TEME</REF_FRAME><TIME_SYSTEM>UTC</TIME_SYSTEM><MEAN_ELEMENT_THEORY>SGP4</MEAN_ELEMENT_THEORY></metadata>
<data><meanElements><EPOCH>2024-05-01T12:34:57</EPOCH><MEAN_MOTION>15.23456789</MEAN_MOTION>
<ECCENTRICITY>.0012345</ECCENTRICITY><INCLINATION>97.1234</INCLINATION><RA_OF_ASC_NODE units="deg">123.4567</RA_OF_ASC_NODE>
<ARG_OF_PERICENTER>210.9876</ARG_OF_PERICENTER><MEAN_ANOMALY>149.0123</MEAN_ANOMALY></meanElements>
<tleParameters><EPHEMERIS_TYPE>0</EPHEMERIS_TYPE><NORAD_CAT_ID>42775</NORAD_CAT_ID><BSTAR>.56789E-3</BSTAR>
</tleParameters></data></segment></body></omm></ndm>"#;

const CSV_HEADER: &str = "OBJECT_NAME,OBJECT_ID,EPOCH,MEAN_MOTION,ECCENTRICITY,INCLINATION,RA_OF_ASC_NODE,\
ARG_OF_PERICENTER,MEAN_ANOMALY,EPHEMERIS_TYPE,CLASSIFICATION_TYPE,NORAD_CAT_ID,ELEMENT_SET_NO,\
REV_AT_EPOCH,BSTAR,MEAN_MOTION_DOT,MEAN_MOTION_DDOT";
const CSV_LINE: &str = "AALTO-1,2017-036L,2024-05-01T12:34:57.000000,15.23456789,.0012345,97.1234,\
123.4567,210.9876,149.0123,0,U,42775,999,37890,.56789E-3,.12345E-3,0";

const KVN: &str = "CCSDS_OMM_VERS = 2.0
CREATION_DATE  = 2024-05-01T18:00:00
ORIGINATOR     = NASA
OBJECT_NAME    = AALTO-1
OBJECT_ID      = 2017-036L
CENTER_NAME    = EARTH
REF_FRAME      = TEME
TIME_SYSTEM    = UTC
MEAN_ELEMENT_THEORY = SGP/SGP4
COMMENT = the fields below hold
EPOCH          = 2024-122T12:34:57
MEAN_MOTION    = 15.23456789 [rev/day]
ECCENTRICITY   = 0.0012345
INCLINATION    = 97.1234 [deg]
RA_OF_ASC_NODE = 123.4567 [deg]
ARG_OF_PERICENTER = 210.9876 [deg]
MEAN_ANOMALY   = 149.0123
NORAD_CAT_ID   = 42775
BSTAR          = 0.56789E-3 [1/ER]
";

#[test]
fn every_kind_of_omm_says_the_same() {
    assert_eq!(read(JSON).sets, [aalto("x")]);
    assert_eq!(read(JSON_STRINGS).sets, [aalto("x")]);
    assert_eq!(read(format!("[{JSON},{JSON}]")).sets[1], aalto("x, set 2"));
    assert_eq!(read(XML).sets, [aalto("x:3")]);
    assert_eq!(read(format!("\r\n {XML}")).sets.len(), 1);
    assert_eq!(read(format!("{CSV_HEADER}\r\n{CSV_LINE}\r\n")).sets, [aalto("x:2")]);
    assert_eq!(read(KVN).sets, [aalto("x:1")]);
    assert_eq!(read(format!("{KVN}\n{KVN}")).sets.len(), 2);
    // One `omm` alone; columns in another order, quoted, with fewer of them.
    let one = XML.split_once("<omm").unwrap().1.split_once("</ndm").unwrap().0;
    assert_eq!(read(format!("<omm{one}")).sets, [aalto("x:1")]);
    let columns: Vec<&str> = CSV_HEADER.split(',').rev().collect();
    let values: Vec<String> = CSV_LINE.split(',').rev().map(|v| format!("\"{v}\"")).collect();
    let text = format!("{}\n{}", columns.join(", "), values.join(","));
    assert_eq!(read(text).sets, [aalto("x:2")]);
    // SatNOGS.
    let satnogs = serde_json::json!([
        {"tle0": "0 AALTO-1", "tle1": LINE1, "tle2": LINE2, "norad_cat_id": 42775}
    ]);
    assert_same(&read(satnogs.to_string()).sets[0], &aalto("x"));
}

#[test]
fn epochs_as_people_write_them() {
    for epoch in [
        "2024-05-01T12:34:57Z",
        "2024-05-01 12:34:57",
        "2024-122T12:34:57Z",
        "2024-05-01T12:34:57.0000000001234",
        "2024-05-01T14:34:57+02:00",
        "2024-122T12:34:57.000Z",
    ] {
        let text = JSON.replace("2024-05-01T12:34:57.000000", epoch);
        assert_eq!(read(text).sets, [aalto("x")], "{epoch}");
    }
    for epoch in ["", "2024", "2024-13-01T00:00:00", "2024-400T00:00:00", "12:34", "T", "9999-366T"]
    {
        let text = JSON.replace("2024-05-01T12:34:57.000000", epoch);
        assert!(error(text).contains("EPOCH"), "{epoch}");
    }
}

#[test]
fn what_is_wrong_with_an_omm_is_said() {
    for (from, to, says) in [
        ("15.23456789", "\"fast\"", "MEAN_MOTION is \"fast\""),
        ("15.23456789", "null", "MEAN_MOTION is missing"),
        ("0.0012345", "1.5", "eccentricity is 1.5"),
        ("0.0012345", "\"nan\"", "ECCENTRICITY is \"nan\""),
        ("2024-05-01", "1924-05-01", "satellites fly"),
        ("\"EPHEMERIS_TYPE\":0", "\"EPHEMERIS_TYPE\":4", "SGP4-XP"),
        ("\"EPHEMERIS_TYPE\":0", "\"MEAN_ELEMENT_THEORY\":\"DSST\"", "MEAN_ELEMENT_THEORY is DSST"),
        ("\"EPHEMERIS_TYPE\":0", "\"TIME_SYSTEM\":\"TAI\"", "TIME_SYSTEM is TAI"),
        (":42775", ":-1", "NORAD_CAT_ID is \"-1\""),
        (":42775", ":12345678901", "NORAD_CAT_ID"),
        ("\"MEAN_MOTION_DDOT\":0}", "", "its JSON is cut off"),
        ("\"MEAN_MOTION_DDOT\":0}", "}", "no good JSON"),
    ] {
        let text = error(JSON.replace(from, to));
        assert!(text.contains(says), "{text}\nshould say {says}");
    }
    let nameless = JSON.replace("\"AALTO-1\"", "null").replace(":42775", ":null");
    assert!(error(nameless).contains("neither NORAD_CAT_ID nor OBJECT_NAME"));
    // No number yet, as before a launch.
    assert_eq!(read(JSON.replace(":42775", ":null")).sets[0].norad_id, 0);
    // One of several.
    let file = read(format!("[{JSON},{}]", JSON.replace("0.0012345", "1.5")));
    assert_eq!(file.sets.len(), 1);
    assert!(file.warnings[0].starts_with("x, set 2: eccentricity is 1.5"), "{:?}", file.warnings);
    let file = read(format!("{CSV_HEADER}\n{CSV_LINE}\nshort,line\n{CSV_LINE}\n"));
    assert_eq!(file.sets.len(), 2);
    assert!(file.warnings[0].starts_with("x:3"), "{:?}", file.warnings);
    assert!(error(XML.replace("</ndm>", "")).contains("no good XML"));
}

#[test]
fn what_holds_no_elements_is_said() {
    for (content, says) in [
        ("", "is empty"),
        (" \n", "is empty"),
        ("<!DOCTYPE html><html><p>404</html>", "is a web page"),
        ("No GP data found", "it begins \"No GP data found\""),
        ("{\"error\": 1}", "holds no orbital elements"),
        ("[]", "holds no orbital elements"),
        ("a,b,c\n1,2,3", "holds no orbital elements"),
        (CSV_HEADER, "holds no orbital elements"),
        ("\u{1}\u{2}\u{3}", "holds no orbital elements"),
    ] {
        let text = error(content);
        assert!(text.contains(says), "{text}");
        assert!(!text.contains(char::is_control), "{text:?}");
    }
}

#[test]
fn deep_nesting_is_no_danger() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}"), ("<omm>", "</omm>"), ("<ndm>", "</ndm>")] {
        let _ = parse("x", format!("{}{}", open.repeat(50_000), close.repeat(50_000)).as_bytes());
        let _ = parse("x", open.repeat(50_000).as_bytes());
    }
}

#[test]
fn the_age_is_said_when_it_matters() {
    let set = aalto("x");
    let at = |days: f64| super::super::after(set.epoch, days * 86_400.0);
    assert_eq!(set.age_days(at(12.0)), 12.0);
    assert_eq!(set.age_days(at(-12.0)), -12.0);
    assert_eq!(set.age_warning(at(6.9)), None);
    assert_eq!(set.age_warning(at(-6.9)), None);
    let text = set.age_warning(at(12.0)).unwrap();
    assert!(text.starts_with("elements of \"AALTO-1\" (42775) are 12 days old: "), "{text}");
    let text = set.age_warning(at(-12.0)).unwrap();
    assert!(text.contains("for 12 days after"), "{text}");
    let text = set.age_warning(at(2000.0)).unwrap();
    assert!(text.contains("5.5 years old") && text.contains("cannot be told"), "{text}");
    let mut seen = Vec::new();
    for days in [10.0, 40.0, 200.0, 400.0] {
        seen.push(set.age_warning(at(days)).unwrap().split_once(": ").unwrap().1.to_owned());
    }
    seen.dedup();
    assert_eq!(seen.len(), 4);
    assert!(set.age_warning(Timestamp::MIN).is_some() && set.age_warning(Timestamp::MAX).is_some());
}

#[test]
fn folders_and_files_are_read_and_searched() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, content: &[u8]| {
        std::fs::write(folder.path().join(name), content).unwrap();
    };
    let error = Store::read(folder.path()).unwrap_err();
    assert!(error.wrong.contains("none of its 0 files"), "{error}");
    let later = JSON.replace("2024-05-01T12", "2024-05-03T12");
    write("a.tle", format!("AALTO-1\n{LINE1}\n{LINE2}\n").as_bytes());
    write("b.json", later.as_bytes());
    write("bad.txt", LINE1.as_bytes());
    write(
        "c.txt",
        format!("LUCKY-7 (A1)\n{ALPHA1}\n{ALPHA2}\nLucky 7\n{BLANK1}\n{BLANK2}").as_bytes(),
    );
    write("notes.md", b"# notes");
    write("samples.iq", &[0; 10_000]);
    std::fs::create_dir(folder.path().join("more")).unwrap();
    let store = Store::read(folder.path()).unwrap();
    assert_eq!(store.sets().len(), 4);
    assert_eq!(store.warnings().len(), 1, "{:?}", store.warnings());
    let (may, june) = (time("2024-05-02T00:00:00Z"), time("2024-06-01T00:00:00Z"));
    let day = |at| store.by_norad(42775, at).unwrap().epoch.to_string()[..10].to_owned();
    assert_eq!(day(may), "2024-05-01");
    assert_eq!(day(june), "2024-05-03");
    assert_eq!(store.objects(june).len(), 3);
    assert_eq!(store.find(Some(42775), ["wrong"], may).unwrap().norad_id, 42775);
    assert_eq!(store.find(None, ["nothing", "aalto 1"], may).unwrap().norad_id, 42775);
    // The full name goes before a part of one.
    assert_eq!(store.find(None, ["LUCKY-7"], may).unwrap().norad_id, 5);
    assert_eq!(store.find(None, ["a1"], may).unwrap().norad_id, 270_002);
    for text in ["42775", " 5 ", "aalto1", "Lucky_7"] {
        assert!(store.find_written(text, may).is_ok(), "{text}");
    }
    let error = store.find(Some(1), [], may).unwrap_err().to_string();
    assert!(error.contains("object 1 (4 sets in 3 sources)"), "{error}");
    let error = store.find_written("aalto 2", may).unwrap_err().to_string();
    assert!(error.contains("did you mean \"AALTO-1\"?"), "{error}");
    assert!(store.find(None, [], may).is_err() && store.find(Some(0), [], may).is_err());
    let missing = Store::read(&folder.path().join("none")).unwrap_err();
    assert_eq!(missing.wrong, "there is no such file or folder");
    let one = Store::read(&folder.path().join("b.json")).unwrap();
    let error = one.find(Some(7), [], may).unwrap_err().to_string();
    assert!(error.contains("1 set in ") && error.contains("b.json"), "{error}");
    assert!(Store::default().find(Some(7), [], may).is_err());
}

#[test]
fn a_name_of_several_objects_is_not_guessed() {
    let mut store = Store::default();
    let text = format!(
        "OBJECT A\n{ALPHA1}\n{ALPHA2}\nOBJECT A\n{BLANK1}\n{BLANK2}\nOBJECT A\n{BLANK1}\n{BLANK2}"
    );
    store.add_content("x", text.as_bytes()).unwrap();
    let error = store.find(None, ["object a"], Timestamp::UNIX_EPOCH).unwrap_err().to_string();
    assert!(error.contains("(270002), \"OBJECT A\" (5); choose"), "{error}");
}

proptest! {
    #[test]
    fn garbage_does_no_harm(content in proptest::collection::vec(any::<u8>(), 0..600)) {
        let _ = parse("x", &content);
    }

    #[test]
    fn garbage_behind_a_good_beginning_does_no_harm(
        which in 0usize..8, cut in 0usize..1400, garbage in "\\PC{0,40}", tail in 0usize..1400
    ) {
        let csv = format!("{CSV_HEADER}\n{CSV_LINE}\n");
        let two = format!("AALTO-1\n{LINE1}\n{LINE2}\n");
        let list = format!("[{JSON}]");
        let text = [JSON, JSON_STRINGS, XML, &csv, KVN, &two, &list, "\u{FEFF}"][which];
        let mut bytes = text.as_bytes()[..cut.min(text.len())].to_vec();
        bytes.extend(garbage.as_bytes());
        bytes.extend(&text.as_bytes()[tail.min(text.len())..]);
        let _ = parse("x", &bytes);
    }

    #[test]
    fn any_columns_do_no_harm(
        line1 in "1 42775U[ -~]{61}", line2 in "2 42775 [ -~]{61}",
    ) {
        let _ = tle::from_lines("x", Some(&line1), &edited(&line1, 3, "42775"), &edited(&line2, 3, "42775"));
    }

    #[test]
    fn tle_writing_and_reading_agree(
        inclination_deg in 0.0..=180.0, raan_deg in -360.0..=360.0, eccentricity in 0.0..1.0,
        argument_of_perigee_deg in 0.0..=360.0, mean_anomaly_deg in 0.0..360.0,
        mean_motion_rev_per_day in 0.01..17.0, bstar in -1.0..1.0, norad_id in 0u32..=339_999,
        second in -400_000_000i64..2_700_000_000, nanosecond in 0i32..1_000_000_000,
    ) {
        let set = Elements {
            epoch: Timestamp::new(second, nanosecond / 2).unwrap(),
            inclination_deg, raan_deg, eccentricity, argument_of_perigee_deg, mean_anomaly_deg,
            mean_motion_rev_per_day, bstar, norad_id, ..aalto("x")
        };
        let [line1, line2] = set.to_tle().unwrap();
        let read = tle::from_lines("x", Some("0 AALTO-1"), &line1, &line2).unwrap();
        let turn = |a: f64, b: f64| ((a - b + 180.0).rem_euclid(360.0) - 180.0).abs();
        prop_assert!(super::super::seconds_between(read.epoch, set.epoch).abs() < 500e-6);
        prop_assert!((read.inclination_deg - inclination_deg).abs() < 6e-5);
        prop_assert!(turn(read.raan_deg, raan_deg) < 6e-5);
        prop_assert!(turn(read.argument_of_perigee_deg, argument_of_perigee_deg) < 6e-5);
        prop_assert!(turn(read.mean_anomaly_deg, mean_anomaly_deg) < 6e-5);
        prop_assert!((read.eccentricity - eccentricity).abs() < 1.1e-7);
        prop_assert!((read.mean_motion_rev_per_day - mean_motion_rev_per_day).abs() < 6e-9);
        prop_assert!((read.bstar - bstar).abs() <= 5.1e-5 * bstar.abs() + 1e-14);
        prop_assert_eq!(read.norad_id, norad_id);
        prop_assert_eq!(&read.name, &set.name);
    }
}
