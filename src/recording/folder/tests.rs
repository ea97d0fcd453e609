#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::super::{Global, SampleCoding, SigmfRecording};
use super::*;

fn stored(name: &str, bytes: u64, second: u64, in_use: bool) -> Stored {
    let written = SystemTime::UNIX_EPOCH + Duration::from_secs(second);
    Stored { base: name.into(), bytes, written, in_use }
}

fn gone(stored: &[Stored], keep: Keep, current: u64, missing: u64) -> String {
    let paths = surplus(stored, keep, current, missing);
    paths.iter().map(|p| p.to_str().unwrap()).collect::<Vec<_>>().join(" ")
}

#[test]
fn the_oldest_go_first_and_never_one_in_use() {
    let all = [stored("c", 10, 3, false), stored("a", 10, 1, false), stored("b", 10, 2, true)];
    assert_eq!(gone(&all, Keep::Recordings(4), 0, 0), "");
    assert_eq!(gone(&all, Keep::Recordings(3), 0, 0), "a");
    assert_eq!(gone(&all, Keep::Recordings(1), 0, 0), "a c");
    assert_eq!(gone(&all, Keep::Bytes(35), 5, 0), "");
    assert_eq!(gone(&all, Keep::Bytes(34), 5, 0), "a");
    assert_eq!(gone(&all, Keep::Bytes(1), u64::MAX, 0), "a c");
    assert_eq!(gone(&all, Keep::Recordings(9), 0, 10), "a");
    assert_eq!(gone(&all, Keep::Bytes(999), 0, 11), "a c");
    assert_eq!(gone(&[], Keep::Bytes(1), 5, 5), "");
}

#[test]
fn sizes_are_read_with_their_unit() {
    for (text, expected) in [
        ("20GB", 20_000_000_000),
        ("1.5 gb", 1_500_000_000),
        ("1GiB", 1 << 30),
        ("0", 0),
        ("500 kB", 500_000),
        ("7B", 7),
    ] {
        assert_eq!(bytes("x", text).unwrap(), expected, "{text}");
    }
    for text in ["", "GB", "12", "-1GB", "nan GB", "inf GB", "1e99TB", "3 parsecs", "é", "1G1B"] {
        assert_eq!(bytes("--x", text).unwrap_err().subject, "--x", "{text}");
    }
    assert_eq!("50".parse::<Keep>().unwrap(), Keep::Recordings(50));
    assert_eq!("2 MB".parse::<Keep>().unwrap(), Keep::Bytes(2_000_000));
    for text in ["0", "0GB", "-3", "many"] {
        assert!(text.parse::<Keep>().unwrap_err().to_string().contains("20GB"), "{text}");
    }
}

fn global(reception: bool) -> Global {
    Global {
        coding: SampleCoding::Ci8,
        complex: true,
        sample_rate_hz: 1e3,
        description: String::new(),
        reception,
        hardware: None,
        station: None,
        elements: None,
    }
}

fn record(path: &Path, name: &str, reception: bool, age_s: u64) {
    let mut recording = SigmfRecording::create(path, name, global(reception)).unwrap();
    recording.push(None, 0, &[Default::default(); 500]).unwrap();
    recording.finish().unwrap();
    let time = SystemTime::now() - Duration::from_secs(age_s);
    for suffix in [META, DATA] {
        let file = path.join(format!("{name}{suffix}"));
        fs::File::options().append(true).open(file).unwrap().set_modified(time).unwrap();
    }
}

fn names(path: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(path)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn old_recordings_of_ours_make_room_and_nothing_else_does() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    record(path, "old", true, 3000);
    record(path, "newer", true, 2000);
    record(path, "newest", true, 1000);
    record(path, "present", true, 0);
    record(path, "simulated", false, 9000);
    let foreign = r#"{"global":{"core:recorder":"tulpar 9","core:datatype":"ci8"},"captures":[]}"#;
    fs::write(path.join("foreign.sigmf-meta"), foreign).unwrap();
    fs::write(path.join("foreign.sigmf-data"), [0; 10]).unwrap();
    fs::write(path.join("broken.sigmf-meta"), "{").unwrap();
    fs::write(path.join("notes.txt"), "mine").unwrap();
    fs::write(path.join("old.png"), "a picture").unwrap();
    let before = names(path).len();

    let free = Arc::new(AtomicU64::new(1000));
    let told = free.clone();
    let open = |keep| {
        let told = told.clone();
        let free: FreeBytes = Box::new(move |_| Ok(told.load(Ordering::Relaxed)));
        Folder::open_with(path, Room { keep_free_bytes: 900 }, keep, free)
    };
    let mut three = open(Some(Keep::Recordings(4))).unwrap();
    assert_eq!(names(path).len(), before - 2);
    assert!(!names(path).contains(&"old.sigmf-data".to_owned()));
    assert!(names(path).contains(&"old.png".to_owned()));
    // A disk that others fill: the next one goes, and then there is nothing left to do.
    free.store(800, Ordering::Relaxed);
    let error = three.make_room(5).unwrap_err();
    assert!(error.contains("are free"), "{error}");
    assert!(!names(path).contains(&"newer.sigmf-meta".to_owned()));
    assert!(names(path).contains(&"newest.sigmf-meta".to_owned()));
    three.make_room(5).unwrap_err();
    three.make_room(5).unwrap_err();
    for kept in ["present", "simulated", "foreign"] {
        assert!(names(path).contains(&format!("{kept}.sigmf-data")), "{kept}");
    }
    // One that was ended here is known not to be in use.
    free.store(1000, Ordering::Relaxed);
    let mut one = open(Some(Keep::Recordings(1))).unwrap();
    one.end(&path.join("present.sigmf-meta"));
    one.look();
    one.make_room(0).unwrap();
    assert!(!names(path).contains(&"present.sigmf-data".to_owned()));
    // Without a limit nothing goes.
    free.store(1, Ordering::Relaxed);
    record(path, "kept", true, 5000);
    let error = open(None).err().unwrap().to_string();
    assert!(error.contains("--record") && error.contains("--record-reserve"), "{error}");
    assert!(names(path).contains(&"kept.sigmf-data".to_owned()));
}

#[test]
fn a_folder_that_cannot_be_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    for path in [&file, &file.join("below")] {
        let error = Folder::open(path, Room { keep_free_bytes: 0 }, None).err().unwrap();
        assert!(error.subject.starts_with("--record "), "{error}");
    }
    let error = Folder::open(folder.path(), Room { keep_free_bytes: u64::MAX }, None);
    assert!(error.err().unwrap().wrong.contains("are free"));
    let made = folder.path().join("a/b");
    assert_eq!(Folder::open(&made, Room { keep_free_bytes: 0 }, None).unwrap().path(), made);
    assert!(names(&made).is_empty());
}
