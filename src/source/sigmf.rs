//! SigMF recordings: samples in a `.sigmf-data` file, what they are in a `.sigmf-meta` file, or both
//! in a `.sigmf` archive (tar), which is read in place.
//!
//! Honoured in `global`: `core:datatype` (every one of the schema), `core:sample_rate`,
//! `core:num_channels` (the first is read), `core:offset`, `core:dataset` and `core:trailing_bytes`
//! (non-conforming datasets), `core:metadata_only`, `core:extensions`. In `captures`:
//! `core:sample_start`, `core:frequency`, `core:datetime`, `core:header_bytes`. Each capture is an
//! anchor. One without a frequency keeps that of the capture before it; one without a date goes on
//! by the sample counter. `core:sha512` is not checked: that would read the recording twice.
//!
//! Positions are samples of the file: `core:sample_start − core:offset`. `core:global_index` is not
//! used; where samples are missing between captures, their dates show it.
//!
//! Reference: SigMF specification 1.2.5.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value};

use super::format::SampleFormat;
use super::stream::{Capture, StreamSource, later, stray_bytes};
use super::{InputOptions, Source, SourceInfo, SourceKind, file_name, unreadable};
use crate::error::RequestError;

/// What this source is, for lists.
pub const KIND: SourceKind = SourceKind {
    name: "sigmf",
    what: "SigMF recordings and archives of every datatype",
    asked_for: "FILE.sigmf-meta, FILE.sigmf-data, FILE.sigmf or their base name",
};

/// The suffix of what says what the samples are.
pub(crate) const META: &str = ".sigmf-meta";
/// The suffix of the samples.
pub(crate) const DATA: &str = ".sigmf-data";
/// The suffix of both in a tar archive.
pub(crate) const ARCHIVE: &str = ".sigmf";

/// More metadata than this is none.
const LARGEST_META: u64 = 16 << 20;
/// More interleaved channels than this are a mistake.
const MOST_CHANNELS: u64 = 1024;
/// Extensions that only describe: none of them changes how samples are read.
const KNOWN_EXTENSIONS: [&str; 5] =
    ["antenna", "capture_details", "signal", "spatial", "traceability"];

/// The part of `path` before a suffix, in any case.
pub(crate) fn stem<'a>(path: &'a str, suffix: &str) -> Option<&'a str> {
    let (stem, end) = path.split_at_checked(path.len().checked_sub(suffix.len())?)?;
    end.eq_ignore_ascii_case(suffix).then_some(stem)
}

/// Opens the recording `stem` whose metadata are in `meta_path`.
///
/// # Errors
/// The metadata are missing, malformed or incomplete, or the samples are missing.
pub(crate) fn open(
    name: &str,
    stem: &str,
    meta_path: &str,
    options: &InputOptions,
) -> Result<Box<dyn Source>, RequestError> {
    let file = File::open(meta_path).map_err(|error| unreadable(meta_path, &error))?;
    let meta = Meta::read(meta_path, file)?;
    let data_path = match &meta.dataset {
        None => format!("{stem}{DATA}"),
        Some(dataset) => {
            let beside = Path::new(meta_path).with_file_name(dataset);
            beside.to_string_lossy().into_owned()
        }
    };
    let (data, length_bytes) = File::open(&data_path)
        .and_then(|file| file.metadata().map(|metadata| (file, metadata.len())))
        .map_err(|error| {
            let mut error = unreadable(&data_path, &error);
            error.wrong.push_str(", and it should hold the samples of ");
            error.wrong.push_str(meta_path);
            error.right = "put the two next to each other".to_owned();
            error
        })?;
    source(name, data, length_bytes, meta, options)
}

/// Opens a SigMF archive; `file` stands at its beginning. The first recording in it is read.
///
/// # Errors
/// It is no archive, or holds no whole recording, and as for [`open`].
pub(crate) fn open_archive(
    path: &str,
    mut file: File,
    length_bytes: u64,
    options: &InputOptions,
) -> Result<Box<dyn Source>, RequestError> {
    let right = "a SigMF archive is a tar file with one .sigmf-meta and one .sigmf-data";
    let wrong = |wrong: String| RequestError::new(path, wrong, right);
    let mut metas: Vec<(String, Meta)> = Vec::new();
    // Name, position and size.
    let mut data: Vec<(String, u64, u64)> = Vec::new();
    let mut end = None;
    let mut archive = tar::Archive::new(&file);
    let entries = archive.entries_with_seek().map_err(|error| unreadable(path, &error))?;
    for entry in entries {
        let mut entry = match entry {
            Ok(entry) => entry,
            // What was found before a broken entry is still there.
            Err(error) => {
                end = Some(error);
                break;
            }
        };
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        // macOS puts a file "._name" beside every file.
        let hidden = name.rsplit('/').next().unwrap_or_default().starts_with("._");
        let kind = entry.header().entry_type();
        if hidden || !(kind.is_file() || kind.is_contiguous() || kind.is_gnu_sparse()) {
            continue;
        }
        if stem(&name, META).is_some() && metas.len() < 2 {
            let meta = Meta::read(&format!("{path}, {name}"), &mut entry)?;
            metas.push((name, meta));
        } else if stem(&name, DATA).is_some() && data.len() < 1024 {
            if kind.is_gnu_sparse() {
                return Err(RequestError::new(
                    path,
                    format!("{name} is stored as a sparse file"),
                    "unpack it and name its .sigmf-meta",
                ));
            }
            data.push((name, entry.raw_file_position(), entry.size()));
        }
    }
    let why = end.map(|error| format!(" ({error})")).unwrap_or_default();
    let several = metas.len() > 1;
    let Some((meta_name, mut meta)) = metas.into_iter().next() else {
        return Err(wrong(format!("no .sigmf-meta could be found in it{why}")));
    };
    let recording = stem(&meta_name, META).unwrap_or_default();
    let Some(&(_, position, size)) =
        data.iter().find(|(name, ..)| stem(name, DATA) == Some(recording))
    else {
        return Err(wrong(format!("{recording}{DATA} could not be found in it{why}")));
    };
    if several {
        meta.warnings.push(format!("holds several recordings: {recording} is read"));
    }
    let there = length_bytes.saturating_sub(position).min(size);
    if there < size {
        meta.warnings
            .push(format!("is truncated: {size} bytes of samples should be there, {there} are"));
    }
    file.seek(SeekFrom::Start(position)).map_err(|error| unreadable(path, &error))?;
    source(path, file.take(there), there, meta, options)
}

/// What the metadata say, as far as it is needed to read the samples.
#[derive(Debug, Default)]
struct Meta {
    /// Where it is from, for messages.
    subject: String,
    datatype: Option<String>,
    sample_rate_hz: Option<f64>,
    channels: u64,
    offset_samples: u64,
    dataset: Option<String>,
    trailing_bytes: u64,
    captures: Vec<MetaCapture>,
    warnings: Vec<String>,
}

#[derive(Debug, Clone, Copy)]
struct MetaCapture {
    /// Sample of the file.
    start: u64,
    header_bytes: u64,
    frequency_hz: Option<f64>,
    time: Option<Timestamp>,
}

/// Reads keys of one JSON object.
struct Object<'a> {
    subject: &'a str,
    /// Where the object stands in the file, such as `captures[1]`.
    place: &'a str,
    map: &'a Map<String, Value>,
}

impl Object<'_> {
    fn wrong(&self, key: &str, value: &Value, right: &str) -> RequestError {
        let value: String = value.to_string().chars().take(60).collect();
        RequestError::new(self.subject, format!("{} \"{key}\": {value}", self.place), right)
    }

    /// The value of a key that is there and not null.
    fn get(&self, key: &str) -> Option<&Value> {
        self.map.get(key).filter(|value| !value.is_null())
    }

    fn read<T>(
        &self,
        key: &str,
        right: &str,
        read: impl Fn(&Value) -> Option<T>,
    ) -> Result<Option<T>, RequestError> {
        let Some(value) = self.get(key) else { return Ok(None) };
        read(value).map(Some).ok_or_else(|| self.wrong(key, value, right))
    }

    fn text(&self, key: &str) -> Result<Option<String>, RequestError> {
        self.read(key, "a string is needed", |value| value.as_str().map(str::to_owned))
    }

    fn number(&self, key: &str) -> Result<Option<f64>, RequestError> {
        self.read(key, "a number is needed", Value::as_f64)
    }

    /// A count; writers without integers may put it as `1.0`.
    fn count(&self, key: &str) -> Result<Option<u64>, RequestError> {
        self.read(key, "a whole number from 0 is needed", |value| {
            let float = || {
                let whole = |x: &f64| (0.0..9e15).contains(x) && x.fract() == 0.0;
                value.as_f64().filter(whole).map(|x| x as u64)
            };
            value.as_u64().or_else(float)
        })
    }
}

impl Meta {
    /// Reads the metadata out of `reader`, which is called `subject`.
    fn read(subject: &str, reader: impl Read) -> Result<Self, RequestError> {
        let mut text = Vec::new();
        let read = reader.take(LARGEST_META + 1).read_to_end(&mut text);
        read.map_err(|error: io::Error| unreadable(subject, &error))?;
        if text.len() as u64 > LARGEST_META {
            return Err(RequestError::new(
                subject,
                format!("holds more than {} MiB", LARGEST_META >> 20),
                "SigMF metadata are needed; samples belong into the .sigmf-data",
            ));
        }
        Self::parse(subject, &text)
    }

    fn parse(subject: &str, text: &[u8]) -> Result<Self, RequestError> {
        let text = text.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(text);
        // The text of a JSON error ends with its line and column.
        let value: Value = serde_json::from_slice(text).map_err(|error| {
            RequestError::new(
                subject,
                format!("is no readable JSON: {error}"),
                "mend it, or name the samples with --format and --rate under another suffix",
            )
        })?;
        let sections = "a JSON object with \"global\" and \"captures\" is needed";
        let wrong = |wrong: &str| RequestError::new(subject, wrong, sections);
        let Some(global) = value.get("global").and_then(Value::as_object) else {
            return Err(wrong("has no \"global\" object"));
        };
        let global = Object { subject, place: "global", map: global };
        let mut meta = Self { subject: subject.to_owned(), channels: 1, ..Self::default() };
        if global.get("core:metadata_only").and_then(Value::as_bool) == Some(true) {
            return Err(RequestError::new(
                subject,
                "\"core:metadata_only\" says that there are no samples",
                "name a recording that has some",
            ));
        }
        meta.check_extensions(&global)?;
        meta.datatype = global.text("core:datatype")?;
        meta.sample_rate_hz = global.number("core:sample_rate")?;
        meta.channels = global.count("core:num_channels")?.unwrap_or(1);
        if !(1..=MOST_CHANNELS).contains(&meta.channels) {
            return Err(RequestError::new(
                subject,
                format!("\"core:num_channels\" is {}", meta.channels),
                format!("1 to {MOST_CHANNELS} are possible"),
            ));
        }
        if meta.channels > 1 {
            meta.warnings.push(format!("has {} channels: the first is read", meta.channels));
        }
        meta.offset_samples = global.count("core:offset")?.unwrap_or(0);
        meta.trailing_bytes = global.count("core:trailing_bytes")?.unwrap_or(0);
        meta.dataset = global.read(
            "core:dataset",
            "the name of a file in the same folder is needed",
            |value| {
                let name = value.as_str()?;
                let plain = !name.is_empty()
                    && !matches!(name, "." | "..")
                    && !name.contains(['/', '\\', '\0']);
                plain.then(|| name.to_owned())
            },
        )?;
        match value.get("captures") {
            None | Some(Value::Null) => {}
            Some(Value::Array(captures)) => {
                for (index, capture) in captures.iter().enumerate() {
                    meta.add_capture(index, capture)?;
                }
            }
            Some(_) => return Err(wrong("its \"captures\" are no array")),
        }
        if !meta.captures.is_sorted_by_key(|capture| capture.start) {
            meta.warnings.push("its captures are not in order: sorted".to_owned());
            meta.captures.sort_by_key(|capture| capture.start);
        }
        Ok(meta)
    }

    /// An extension that is not optional changes how the recording must be read.
    fn check_extensions(&self, global: &Object<'_>) -> Result<(), RequestError> {
        let Some(Value::Array(extensions)) = global.get("core:extensions") else { return Ok(()) };
        for extension in extensions {
            let name = extension.get("name").and_then(Value::as_str).unwrap_or_default();
            let optional = extension.get("optional").and_then(Value::as_bool) == Some(true);
            if !optional && !KNOWN_EXTENSIONS.contains(&name) {
                let name: String = name.chars().take(60).collect();
                return Err(RequestError::new(
                    &self.subject,
                    format!("cannot be read without the extension \"{name}\", which is unknown"),
                    "if its samples are plain all the same, make the extension optional in \
                     \"core:extensions\"",
                ));
            }
        }
        Ok(())
    }

    fn add_capture(&mut self, index: usize, capture: &Value) -> Result<(), RequestError> {
        let place = format!("captures[{index}]");
        let Some(map) = capture.as_object() else {
            let wrong = format!("{place} is no object");
            return Err(RequestError::new(&self.subject, wrong, "an object is needed"));
        };
        let object = Object { subject: &self.subject, place: &place, map };
        let start = object.count("core:sample_start")?.unwrap_or(self.offset_samples);
        let header_bytes = object.count("core:header_bytes")?.unwrap_or(0);
        let frequency_hz = object.number("core:frequency")?;
        let mut time = None;
        if let Some(text) = object.text("core:datetime")? {
            time = text.trim().parse::<Timestamp>().ok();
            if time.is_none() {
                let text: String = text.chars().take(60).collect();
                self.warnings.push(format!(
                    "{place} \"core:datetime\" \"{text}\" is no RFC 3339 date and left out"
                ));
            }
        }
        if start < self.offset_samples {
            self.warnings.push(format!("{place} begins before \"core:offset\""));
        }
        let start = start.saturating_sub(self.offset_samples);
        self.captures.push(MetaCapture { start, header_bytes, frequency_hz, time });
        Ok(())
    }

    /// Where the captures lie in `length_bytes`, `stride` bytes a sample.
    fn layout(&mut self, length_bytes: u64, stride: u64) -> Vec<Capture> {
        let total = length_bytes.saturating_sub(self.trailing_bytes);
        if self.trailing_bytes > length_bytes {
            self.warnings.push("is shorter than its \"core:trailing_bytes\"".to_owned());
        }
        let mut starts = self.captures.clone();
        if starts.first().is_none_or(|first| first.start > 0) {
            let nothing = MetaCapture { start: 0, header_bytes: 0, frequency_hz: None, time: None };
            starts.insert(0, nothing);
        }
        let mut captures: Vec<Capture> = Vec::new();
        let (mut byte, mut sample) = (0u64, 0u64);
        for (index, capture) in starts.iter().enumerate() {
            let there = total - byte;
            if capture.header_bytes > there || capture.start > sample {
                self.warnings.push(format!(
                    "ends before sample {}, where a capture should begin: {sample} samples are \
                     there",
                    capture.start
                ));
                break;
            }
            byte += capture.header_bytes;
            let there = (total - byte) / stride;
            let count = match starts.get(index + 1) {
                Some(next) => there.min(next.start - sample),
                None => there,
            };
            captures.push(Capture {
                skip_bytes: capture.header_bytes,
                samples: Some(count),
                time: capture.time,
                centre_frequency_hz: capture.frequency_hz,
            });
            byte += count * stride;
            sample += count;
        }
        let stray = total - byte;
        if (1..stride).contains(&stray) {
            self.warnings.push(stray_bytes(stray, usize::try_from(stride).unwrap_or(usize::MAX)));
        }
        if sample == 0 {
            self.warnings.push("holds no samples".to_owned());
        }
        captures
    }
}

/// Fills in what captures inherit and what the user overrides.
fn fill_in(captures: &mut [Capture], sample_rate_hz: f64, options: &InputOptions) {
    let mut sample = 0;
    let mut time: Option<(u64, Timestamp)> = None;
    let mut frequency_hz = None;
    let said = captures.first().and_then(|first| first.time);
    let shift = match (options.start, said) {
        (Some(start), Some(said)) => Some(start.duration_since(said)),
        _ => None,
    };
    if let Some(start) = options.start {
        time = Some((0, start));
    }
    for capture in captures {
        let own = match (options.start, shift) {
            (None, _) => capture.time,
            (_, Some(shift)) => capture.time.and_then(|own| shifted(own, shift)),
            (Some(_), None) => None,
        };
        if let Some(own) = own {
            time = Some((sample, own));
        }
        capture.time = time.and_then(|(at, time)| later(time, sample - at, sample_rate_hz));
        frequency_hz = options.centre_frequency_hz.or(capture.centre_frequency_hz).or(frequency_hz);
        capture.centre_frequency_hz = frequency_hz;
        sample += capture.samples.unwrap_or(0);
    }
}

fn shifted(time: Timestamp, by: SignedDuration) -> Option<Timestamp> {
    time.checked_add(by).ok()
}

/// The source of `length_bytes` of samples in `reader`.
fn source(
    name: &str,
    reader: impl Read + Send + 'static,
    length_bytes: u64,
    mut meta: Meta,
    options: &InputOptions,
) -> Result<Box<dyn Source>, RequestError> {
    let format = match (&options.format, &meta.datatype) {
        (Some(format), _) => SampleFormat::from_option(format)?,
        (None, Some(datatype)) => SampleFormat::from_name(datatype).ok_or_else(|| {
            RequestError::new(
                &meta.subject,
                format!("\"core:datatype\" is \"{datatype}\""),
                "it must be one of the schema, such as cf32_le or ci16_le; or say --format",
            )
        })?,
        (None, None) => {
            return Err(RequestError::new(
                &meta.subject,
                "has no \"core:datatype\"",
                "say --format, such as --format ci16",
            ));
        }
    };
    let usable = |rate: &f64| (1.0..=1e10).contains(rate);
    let sample_rate_hz = options.rate(meta.sample_rate_hz.filter(usable)).ok_or_else(|| {
        let wrong = match meta.sample_rate_hz {
            Some(rate) => format!("\"core:sample_rate\" is {rate}"),
            None => "has no \"core:sample_rate\"".to_owned(),
        };
        RequestError::new(&meta.subject, wrong, "say --rate HZ")
    })?;
    let stride = format.bytes() as u64 * meta.channels;
    let mut captures = meta.layout(length_bytes, stride);
    if let Some(first) = captures.first_mut().filter(|first| first.time.is_none())
        && options.start.is_none()
    {
        let hints = file_name::hints(name);
        first.time = hints.start_with_warning(&mut meta.warnings);
    }
    fill_in(&mut captures, sample_rate_hz, options);
    let samples = captures.iter().filter_map(|capture| capture.samples).sum();
    let info = SourceInfo {
        name: name.to_owned(),
        sample_rate_hz,
        complex: format.complex,
        length_samples: Some(samples),
        warnings: meta.warnings,
    };
    let channels = usize::try_from(meta.channels).unwrap_or(1);
    Ok(Box::new(StreamSource::new(info, reader, format, channels, captures, false)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use num_complex::Complex32;
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;
    use serde_json::json;
    use tempfile::TempDir;

    use super::super::stream::tests::drain;
    use super::super::{Anchor, open};
    use super::*;

    fn meta(global: Value, captures: Value) -> Vec<u8> {
        let mut all = json!({
            "core:datatype": "ri8", "core:version": "1.2.5", "core:sample_rate": 100.0
        });
        for (key, value) in global.as_object().unwrap() {
            all[key] = value.clone();
        }
        json!({"global": all, "captures": captures, "annotations": []}).to_string().into_bytes()
    }

    fn path(folder: &TempDir, name: &str) -> String {
        folder.path().join(name).to_str().unwrap().to_owned()
    }

    fn folder(files: &[(&str, &[u8])]) -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, bytes) in files {
            std::fs::write(folder.path().join(name), bytes).unwrap();
        }
        folder
    }

    fn open_both(meta: &[u8], data: &[u8]) -> Result<Box<dyn Source>, RequestError> {
        let folder = folder(&[("x.sigmf-meta", meta), ("x.sigmf-data", data)]);
        open(&path(&folder, "x.sigmf-meta"), &InputOptions::default())
    }

    fn codes(samples: &[Complex32]) -> Vec<i32> {
        samples.iter().map(|z| (z.re * 128.0) as i32).collect()
    }

    /// A tar archive of these entries.
    fn archive(entries: &[(&str, &[u8])]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (name, bytes) in entries {
            let mut header = tar::Header::new_ustar();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            builder.append_data(&mut header, name, *bytes).unwrap();
        }
        builder.into_inner().unwrap()
    }

    #[test]
    fn every_datatype_of_the_schema() {
        for base in ["f32", "f64", "i32", "i16", "u32", "u16", "i8", "u8"] {
            for (kind, order) in [("c", ""), ("c", "_le"), ("c", "_be"), ("r", "_le"), ("r", "_be")]
            {
                let datatype = format!("{kind}{base}{order}");
                let format = SampleFormat::from_name(&datatype).unwrap();
                let data: Vec<u8> = (0..format.bytes() as u32 * 50).map(|i| i as u8).collect();
                let mut expected = Vec::new();
                format.convert(&data, &mut expected);
                let meta = meta(json!({"core:datatype": datatype}), json!([]));
                let mut source = open_both(&meta, &data).unwrap();
                assert_eq!(source.info().complex, kind == "c");
                assert_eq!(source.info().length_samples, Some(50));
                assert_eq!(drain(&mut *source, 8).0, expected, "{datatype}");
            }
        }
    }

    #[test]
    fn any_name_of_the_recording_opens_it() {
        let text = meta(
            json!({}),
            json!([{"core:sample_start": 0, "core:frequency": 437e6,
            "core:datetime": "2026-11-22T12:00:00.5Z"}]),
        );
        let folder = folder(&[("x.sigmf-meta", &text), ("x.sigmf-data", &[1, 2, 3])]);
        for name in ["x.sigmf-meta", "x.sigmf-data", "x"] {
            let mut source = open(&path(&folder, name), &InputOptions::default()).unwrap();
            assert_eq!(source.info().sample_rate_hz, 100.0);
            assert!(source.info().warnings.is_empty());
            let (samples, anchors) = drain(&mut *source, 2);
            assert_eq!(codes(&samples), [1, 2, 3]);
            let time = "2026-11-22T12:00:00.5Z".parse().ok();
            assert_eq!(anchors, [Anchor { sample: 0, time, centre_frequency_hz: Some(437e6) }]);
        }
    }

    #[test]
    fn archives_are_read_in_place_in_any_order() {
        let text = meta(json!({}), json!([]));
        let entries = [("r/r.sigmf-meta", &text[..]), ("r/r.sigmf-data", &[1, 2, 3][..])];
        let reversed = [("r/._r.sigmf-meta", &b"junk"[..]), entries[1], entries[0]];
        let several =
            [("other.sigmf-data", &[9][..]), entries[1], entries[0], ("z.sigmf-meta", &text)];
        for (entries, warnings) in [(&entries[..], 0), (&reversed, 0), (&several, 1)] {
            let tar = archive(entries);
            let folder = folder(&[("x.sigmf", &tar), ("y.tar", &tar)]);
            for name in ["x.sigmf", "x", "y.tar"] {
                let mut source = open(&path(&folder, name), &InputOptions::default()).unwrap();
                assert_eq!(codes(&drain(&mut *source, 2).0), [1, 2, 3]);
                assert_eq!(source.info().warnings.len(), warnings, "{:?}", source.info().warnings);
            }
        }
    }

    #[test]
    fn broken_archives_give_what_is_there_or_an_error() {
        let text = meta(json!({}), json!([]));
        let data: Vec<u8> = (0..2000u32).map(|i| i as u8).collect();
        let tar = archive(&[("r.sigmf-meta", &text), ("r.sigmf-data", &data)]);
        let open_tar = |bytes: &[u8]| {
            let folder = folder(&[("x.sigmf", bytes)]);
            open(&path(&folder, "x.sigmf"), &InputOptions::default())
        };
        let cut = 512 + text.len().next_multiple_of(512) + 512 + 700;
        let mut source = open_tar(&tar[..cut]).unwrap();
        assert_eq!(drain(&mut *source, 64).0.len(), 700);
        assert!(source.info().warnings[0].starts_with("is truncated"));
        for bytes in [&[][..], &[0; 1024], &tar[..100], &tar[..700], &tar[..1024], &[7; 2048]] {
            let error = open_tar(bytes).err().unwrap();
            assert!(error.subject.contains("x.sigmf"), "{error}");
        }
        let error = open_tar(&archive(&[("r.sigmf-meta", &text)])).err().unwrap();
        assert!(error.wrong.contains("r.sigmf-data"), "{error}");
        let error = open_tar(&archive(&[("r.sigmf-meta", b"{"), ("r.sigmf-data", &data)]));
        assert!(error.err().unwrap().to_string().contains("line 1 column 1"));
    }

    #[test]
    fn captures_are_anchors() {
        let captures = json!([
            {"core:sample_start": 10, "core:frequency": 1e6, "core:header_bytes": 2,
             "core:datetime": "2026-01-01T00:00:00Z"},
            {"core:sample_start": 13, "core:header_bytes": 1},
            {"core:sample_start": 15, "core:frequency": 2e6,
             "core:datetime": "2026-01-01T01:00:00Z"},
        ]);
        let global = json!({"core:offset": 10, "core:trailing_bytes": 3, "core:dataset": "d.bin"});
        let text = meta(global, captures);
        let data = [101, 102, 1, 2, 3, 103, 4, 5, 6, 7, 8, 104, 105, 106];
        let folder = folder(&[("x.sigmf-meta", &text), ("d.bin", &data)]);
        let read = |options: &InputOptions| {
            let mut whole = open(&path(&folder, "x"), options).unwrap();
            let all = drain(&mut *whole, 1000);
            for max in 1..10 {
                let mut source = open(&path(&folder, "x"), options).unwrap();
                assert_eq!(drain(&mut *source, max), all);
            }
            assert!(whole.info().warnings.is_empty());
            all
        };
        let anchor = |sample, time: &str, frequency| Anchor {
            sample,
            time: time.parse().ok(),
            centre_frequency_hz: Some(frequency),
        };
        let (samples, anchors) = read(&InputOptions::default());
        assert_eq!(codes(&samples), [1, 2, 3, 4, 5, 6, 7, 8]);
        let expected = [
            anchor(0, "2026-01-01T00:00:00Z", 1e6),
            anchor(3, "2026-01-01T00:00:00.03Z", 1e6),
            anchor(5, "2026-01-01T01:00:00Z", 2e6),
        ];
        assert_eq!(anchors, expected);
        // The user's start moves every date, the user's frequency holds everywhere.
        let options = InputOptions {
            start: "2027-01-01T00:00:00Z".parse().ok(),
            centre_frequency_hz: Some(5.0),
            ..InputOptions::default()
        };
        let expected = [
            anchor(0, "2027-01-01T00:00:00Z", 5.0),
            anchor(3, "2027-01-01T00:00:00.03Z", 5.0),
            anchor(5, "2027-01-01T01:00:00Z", 5.0),
        ];
        assert_eq!(read(&options).1, expected);
    }

    #[test]
    fn odd_layouts_are_coped_with_and_said() {
        let captures = |starts: &[u64]| {
            starts.iter().map(|start| json!({"core:sample_start": start})).collect::<Value>()
        };
        let open = |global: Value, starts: &[u64], data: &[u8]| {
            let mut source = open_both(&meta(global, captures(starts)), data).unwrap();
            let (samples, anchors) = drain(&mut *source, 4);
            assert_eq!(source.info().length_samples, Some(samples.len() as u64));
            let anchors: Vec<u64> = anchors.iter().map(|anchor| anchor.sample).collect();
            (samples.len(), anchors, source.info().warnings.len())
        };
        assert_eq!(open(json!({}), &[3], &[0; 10]), (10, vec![0, 3], 0));
        assert_eq!(open(json!({}), &[4, 0], &[0; 10]), (10, vec![0, 4], 1));
        assert_eq!(open(json!({}), &[0, 4, 4], &[0; 10]), (10, vec![0, 4], 0));
        assert_eq!(open(json!({}), &[0, 20, u64::MAX], &[0; 10]), (10, vec![0], 1));
        assert_eq!(open(json!({}), &[0], &[]), (0, vec![], 1));
        assert_eq!(open(json!({"core:offset": 5}), &[0], &[0; 10]), (10, vec![0], 1));
        assert_eq!(open(json!({"core:trailing_bytes": 99}), &[0], &[0; 10]), (0, vec![], 2));
        assert_eq!(open(json!({"core:datatype": "ci16"}), &[0], &[0; 10]), (2, vec![0], 1));
        assert_eq!(open(json!({"core:num_channels": 3}), &[0], &[0; 10]), (3, vec![0], 2));
        assert_eq!(open(json!({"core:num_channels": 2.0}), &[0], &[0; 10]), (5, vec![0], 1));
        let captures = json!([{"core:sample_start": 0, "core:datetime": "yesterday"},
            {"core:sample_start": 1, "core:header_bytes": u64::MAX}]);
        let mut source = open_both(&meta(json!({}), captures), &[1, 2, 3]).unwrap();
        assert_eq!(drain(&mut *source, 9).0.len(), 1);
        assert_eq!(source.info().warnings.len(), 2, "{:?}", source.info().warnings);
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        let wrong = |meta: &[u8], subject: &str, words: &[&str]| {
            let error = open_both(meta, &[0; 10]).err().unwrap();
            assert!(error.subject.ends_with(subject), "{error}");
            for word in words {
                assert!(error.to_string().contains(word), "{error}");
            }
        };
        let global = |key: &str, value: Value| meta(json!({key: value}), json!([]));
        let m = "x.sigmf-meta";
        wrong(&global("core:sample_rate", Value::Null), m, &["core:sample_rate", "--rate"]);
        wrong(&global("core:sample_rate", json!(-1)), m, &["core:sample_rate", "-1", "--rate"]);
        wrong(&global("core:sample_rate", json!("48k")), m, &["core:sample_rate", "48k"]);
        wrong(&global("core:datatype", Value::Null), m, &["core:datatype", "--format"]);
        wrong(&global("core:datatype", json!("cf16_le")), m, &["cf16_le"]);
        wrong(&global("core:datatype", json!(5)), m, &["core:datatype", "5"]);
        wrong(&global("core:metadata_only", json!(true)), m, &["core:metadata_only"]);
        wrong(&global("core:num_channels", json!(0)), m, &["core:num_channels"]);
        wrong(&global("core:num_channels", json!(u64::MAX)), m, &["core:num_channels"]);
        wrong(&global("core:dataset", json!("../secret")), m, &["core:dataset"]);
        wrong(&global("core:dataset", json!("missing.bin")), "missing.bin", &[m, "next to"]);
        let extension = |optional| json!([{"name": "evil", "version": "1", "optional": optional}]);
        wrong(&global("core:extensions", extension(false)), m, &["evil"]);
        assert!(open_both(&global("core:extensions", extension(true)), &[]).is_ok());
        let known = json!([{"name": "antenna", "version": "1", "optional": false}]);
        assert!(open_both(&global("core:extensions", known), &[]).is_ok());
        wrong(b"{\n \"global\": }", m, &["JSON", "line 2 column 12"]);
        wrong(b"", m, &["JSON", "line 1 column 0"]);
        wrong(b"\xFF\xFE", m, &["JSON"]);
        wrong(&b"[".repeat(100_000), m, &["JSON"]);
        wrong(b"[]", m, &["global"]);
        wrong(b"{\"global\": 5}", m, &["global"]);
        wrong(&meta(json!({}), json!(5)), m, &["captures"]);
        wrong(&meta(json!({}), json!([5])), m, &["captures[0]"]);
        let negative = json!([{"core:sample_start": -1}]);
        wrong(&meta(json!({}), negative), m, &["captures[0]", "core:sample_start"]);
        let mut with_mark = b"\xEF\xBB\xBF".to_vec();
        with_mark.extend(meta(json!({}), json!([])));
        assert!(open_both(&with_mark, &[0; 10]).is_ok());
    }

    #[test]
    fn missing_files_are_named() {
        let none = InputOptions::default();
        let folder =
            folder(&[("a.sigmf-meta", &meta(json!({}), json!([]))), ("b.sigmf-data", &[1, 2])]);
        let error = open(&path(&folder, "a.sigmf-meta"), &none).err().unwrap();
        assert!(error.subject.ends_with("a.sigmf-data"), "{error}");
        assert!(error.wrong.contains("a.sigmf-meta"), "{error}");
        let error = open(&path(&folder, "b.sigmf-data"), &none).err().unwrap();
        assert!(error.wrong.contains("b.sigmf-meta") && error.right.contains("--rate"), "{error}");
        let raw = InputOptions {
            format: Some("ri8".into()),
            sample_rate_hz: Some(1.0),
            ..InputOptions::default()
        };
        let mut source = open(&path(&folder, "b.sigmf-data"), &raw).unwrap();
        assert_eq!(codes(&drain(&mut *source, 9).0), [1, 2]);
        for name in ["c.sigmf-meta", "c.sigmf-data", "c.sigmf", "c"] {
            let error = open(&path(&folder, name), &raw).err().unwrap();
            assert!(error.subject.ends_with(name), "{error}");
        }
    }

    #[test]
    fn the_user_overrides_the_metadata() {
        let text = meta(json!({"core:sample_rate": null, "core:datatype": null}), json!([]));
        let folder = folder(&[("x.sigmf-meta", &text), ("x.sigmf-data", &[1, 2])]);
        let options = InputOptions {
            format: Some("ri8".into()),
            sample_rate_hz: Some(7.0),
            start: "2027-01-01T00:00:00Z".parse().ok(),
            centre_frequency_hz: Some(3.0),
        };
        let mut source = open(&path(&folder, "x"), &options).unwrap();
        assert_eq!(source.info().sample_rate_hz, 7.0);
        let (samples, anchors) = drain(&mut *source, 9);
        assert_eq!(codes(&samples), [1, 2]);
        assert_eq!(anchors[0].time, options.start);
        assert_eq!(anchors[0].centre_frequency_hz, Some(3.0));
    }

    #[test]
    fn random_metadata_and_archives_never_panic() {
        let mut rng = ChaCha8Rng::seed_from_u64(11);
        let captures = json!([{"core:sample_start": 3, "core:header_bytes": 2, "core:frequency": 1,
            "core:datetime": "2026-01-01T00:00:00Z"}, {"core:sample_start": 7}]);
        let global = json!({"core:offset": 1, "core:num_channels": 2, "core:trailing_bytes": 1});
        let text = meta(global, captures);
        let data: Vec<u8> = (0..50).collect();
        let tar = archive(&[("x.sigmf-data", &data), ("x.sigmf-meta", &text)]);
        let folder = folder(&[("x.sigmf-data", &data)]);
        let none = InputOptions::default();
        for (name, seed) in [("x.sigmf-meta", &text), ("y.sigmf", &tar)] {
            for _ in 0..400 {
                let mut bytes = seed.clone();
                for _ in 0..rng.random_range(1..6) {
                    // Half of the changes in the first header, where an archive is most fragile.
                    let end = if rng.random() { bytes.len() } else { bytes.len().min(512) };
                    let at = rng.random_range(0..end);
                    let interesting =
                        [b'0', b'7', b'9', b'-', b'e', b'"', 0, 0x80, 0xFF, rng.random()];
                    bytes[at] = interesting[rng.random_range(0..interesting.len())];
                }
                if rng.random_range(0..4) == 0 {
                    bytes.truncate(rng.random_range(0..=bytes.len()));
                }
                let path = path(&folder, name);
                std::fs::write(&path, &bytes).unwrap();
                if let Ok(mut source) = open(&path, &none) {
                    drain(&mut *source, 5);
                }
            }
        }
    }
}
