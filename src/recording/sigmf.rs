//! A SigMF recording that is written while its samples come, and can be read at any moment.
//!
//! Samples are appended to `.sigmf-data`; what says what they are is in `.sigmf-meta` from the
//! beginning, and is replaced as a whole (temporary file, sync, rename). A capture is announced
//! there before its first sample is written, so that whatever is on the disk when power fails has
//! the right time and frequency; a capture whose samples did not get there is one that readers pass
//! over.
//!
//! Where the index of the samples jumps, where the radio was tuned elsewhere, and where the time is
//! not that to which the samples before lead, a new capture begins. `core:sample_start` counts
//! samples written, `core:global_index` samples of the stream.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use num_complex::Complex32;

use super::metadata::{self, Annotation, Capture, Global};
use crate::source::Anchor;
use crate::source::sigmf::{DATA, META};

/// A time that is further from where the samples lead begins a capture.
const TIME_TOLERANCE_S: f64 = 1e-4;
/// Bytes that are kept back at most before they are written.
const PENDING_BYTES: usize = 1 << 20;
/// As much while a capture waits to be announced.
const UNANNOUNCED_BYTES: usize = 8 << 20;
/// What an entry takes in the metadata.
const ENTRY_BYTES: usize = 300;

/// The instant `seconds` after `time`.
pub(super) fn moved(time: Timestamp, seconds: f64) -> Option<Timestamp> {
    time.checked_add(SignedDuration::try_from_secs_f64(seconds).ok()?).ok()
}

/// Where samples are written.
pub trait DataFile: Write + Send {
    /// Everything written so far survives a power failure when this returns.
    ///
    /// # Errors
    /// The medium failed.
    fn sync(&mut self) -> io::Result<()>;

    /// Cuts the file to so many bytes.
    ///
    /// # Errors
    /// The medium failed.
    fn cut(&mut self, bytes: u64) -> io::Result<()>;
}

impl DataFile for File {
    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }

    fn cut(&mut self, bytes: u64) -> io::Result<()> {
        self.set_len(bytes)?;
        self.sync_data()
    }
}

/// A recording being written.
pub struct SigmfRecording {
    meta_path: PathBuf,
    global: Global,
    data: Box<dyn DataFile>,
    captures: Vec<Capture>,
    annotations: Vec<Annotation>,
    /// Captures that the metadata on the disk know.
    announced: usize,
    /// There is more to say than the metadata on the disk do.
    changed: bool,
    /// Samples on the medium.
    written: u64,
    /// Samples coded and not yet written.
    pending: Vec<u8>,
    /// Index in the stream of the next sample.
    next_index: u64,
    failed: bool,
}

/// `base` with a suffix of SigMF's.
pub fn with_suffix(base: &Path, suffix: &str) -> PathBuf {
    let mut path = base.as_os_str().to_owned();
    path.push(suffix);
    path.into()
}

/// The name of a recording: `2026-08-01T12-00-00Z_ots_437500000Hz`. Without a time it is `undated`:
/// readers would take any other for that of the samples.
pub fn name(time: Option<Timestamp>, satellite: Option<&str>, frequency_hz: Option<f64>) -> String {
    let mut name =
        time.map_or("undated".to_owned(), |time| time.strftime("%Y-%m-%dT%H-%M-%SZ").to_string());
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let word: String = satellite.unwrap_or_default().chars().take(60).map(plain).collect();
    let word: Vec<&str> = word.split('-').filter(|part| !part.is_empty()).collect();
    if !word.is_empty() {
        name += &format!("_{}", word.join("-"));
    }
    if let Some(frequency_hz) = frequency_hz.filter(|hz| hz.is_finite()) {
        name += &format!("_{frequency_hz:.0}Hz");
    }
    name
}

impl SigmfRecording {
    /// Creates a recording in `folder`; where there is one of that name, `_2` or more is added.
    ///
    /// # Errors
    /// Its files cannot be written.
    pub fn create(folder: &Path, name: &str, global: Global) -> io::Result<Self> {
        let mut number = 1;
        loop {
            let unique = if number == 1 { name.to_owned() } else { format!("{name}_{number}") };
            let base = folder.join(unique);
            let path = with_suffix(&base, DATA);
            match OpenOptions::new().write(true).create_new(true).open(&path) {
                Ok(file) => return Self::with_data(&base, Box::new(file), global),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && number < 10_000 => {
                    number += 1;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// A recording whose samples go to `data`, with its metadata at `base`.
    ///
    /// # Errors
    /// The metadata cannot be written.
    pub fn with_data(base: &Path, data: Box<dyn DataFile>, global: Global) -> io::Result<Self> {
        let mut recording = Self {
            meta_path: with_suffix(base, META),
            global,
            data,
            captures: Vec::new(),
            annotations: Vec::new(),
            announced: 0,
            changed: true,
            written: 0,
            pending: Vec::new(),
            next_index: 0,
            failed: false,
        };
        recording.write_metadata()?;
        Ok(recording)
    }

    /// The file that names the recording.
    pub fn path(&self) -> &Path {
        &self.meta_path
    }

    /// Samples taken.
    pub fn samples(&self) -> u64 {
        self.written + (self.pending.len() / self.stride()) as u64
    }

    /// Bytes that it takes on the disk, more or less.
    pub fn bytes(&self) -> u64 {
        self.samples() * self.stride() as u64 + self.metadata_bytes() as u64
    }

    /// Bytes of its metadata, at most.
    pub fn metadata_bytes(&self) -> usize {
        4096 + ENTRY_BYTES * (self.captures.len() + self.annotations.len())
    }

    fn stride(&self) -> usize {
        self.global.coding.bytes(self.global.complex)
    }

    /// Takes samples of which the first has index `first_index` in the stream.
    ///
    /// # Errors
    /// They cannot be written; [`SigmfRecording::finish`] then keeps what was.
    pub fn push(
        &mut self,
        anchor: Option<Anchor>,
        first_index: u64,
        samples: &[Complex32],
    ) -> io::Result<()> {
        if samples.is_empty() {
            return Ok(());
        }
        self.begin_capture(anchor, first_index);
        self.next_index = first_index + samples.len() as u64;
        self.global.coding.encode(samples, self.global.complex, &mut self.pending);
        let held =
            if self.announced < self.captures.len() { UNANNOUNCED_BYTES } else { PENDING_BYTES };
        if self.pending.len() >= held { self.write() } else { Ok(()) }
    }

    /// Begins a capture if one is needed for what is known now.
    fn begin_capture(&mut self, anchor: Option<Anchor>, first_index: u64) {
        let last = self.captures.last().copied();
        let expected = last.and_then(|last| {
            let passed = first_index as f64 - last.global_index? as f64;
            moved(last.time?, passed / self.global.sample_rate_hz)
        });
        let stated = anchor.and_then(|anchor| {
            let passed = first_index as f64 - anchor.sample as f64;
            moved(anchor.time?, passed / self.global.sample_rate_hz)
        });
        let known_hz = last.and_then(|last| last.frequency_hz);
        let frequency_hz = anchor.and_then(|anchor| anchor.centre_frequency_hz).or(known_hz);
        let is_late = match (expected, stated) {
            (Some(expected), Some(stated)) => {
                stated.duration_since(expected).abs().as_secs_f64() > TIME_TOLERANCE_S
            }
            (None, Some(_)) => true,
            (_, None) => false,
        };
        let jumps = last.is_none() || first_index != self.next_index;
        if jumps || is_late || frequency_hz != known_hz {
            self.captures.push(Capture {
                sample_start: self.samples(),
                global_index: Some(first_index),
                frequency_hz,
                time: stated.or(expected),
            });
            self.changed = true;
        }
    }

    /// Marks what lies between two indices of the stream, with its lowest and highest frequency
    /// as received; the centre's ± `half_width_hz` if they are not known. `false`: none of it is in
    /// the recording.
    pub fn annotate(
        &mut self,
        first_index: u64,
        end_index: u64,
        carrier_hz: impl FnOnce(Option<f64>) -> Option<f64>,
        half_width_hz: f64,
        label: String,
    ) -> bool {
        // The last sample at or before an index, and just after it, as the recording counts.
        let place = |index: u64| {
            let which = self.captures.iter().rposition(|c| c.global_index <= Some(index))?;
            let capture = self.captures[which];
            let end = self.captures.get(which + 1).map_or(self.samples(), |c| c.sample_start);
            let ahead = index - capture.global_index.unwrap_or(index);
            Some((capture.sample_start.saturating_add(ahead).min(end), capture))
        };
        let first = place(first_index).or_else(|| Some((0, *self.captures.first()?)));
        let (Some((start, capture)), Some((end, _))) = (first, place(end_index)) else {
            return false;
        };
        if end <= start {
            return false;
        }
        let edges_hz =
            carrier_hz(capture.frequency_hz).map(|hz| (hz - half_width_hz, hz + half_width_hz));
        self.annotations.push(Annotation {
            sample_start: start,
            sample_count: end - start,
            edges_hz: edges_hz.filter(|(low, high)| low.is_finite() && high.is_finite()),
            label,
        });
        self.changed = true;
        true
    }

    /// Writes what was kept back: a killed program leaves it behind, a power failure perhaps not.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(&mut self) -> io::Result<()> {
        if self.failed {
            return Err(io::Error::other("writing failed before"));
        }
        if self.announced < self.captures.len() {
            self.write_metadata()?;
        }
        let written = self.data.write_all(&self.pending).and_then(|()| self.data.flush());
        if let Err(error) = written {
            self.failed = true;
            return Err(error);
        }
        self.written = self.samples();
        self.pending.clear();
        Ok(())
    }

    /// Makes everything taken so far survive a power failure.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn save(&mut self) -> io::Result<()> {
        self.write()?;
        self.data.sync()?;
        if self.changed { self.write_metadata() } else { Ok(()) }
    }

    /// Ends the recording; it is exact then. After an error it ends where all was well.
    ///
    /// # Errors
    /// Not all of it could be written; what is there is whole in itself.
    pub fn finish(&mut self) -> io::Result<()> {
        let saved = if self.failed { Err(io::ErrorKind::StorageFull.into()) } else { self.save() };
        if saved.is_err() {
            // What did not get there is no part of it.
            self.pending.clear();
            let bytes = self.written * self.stride() as u64;
            let cut = self.data.cut(bytes);
            let written = self.written;
            let is_there = |start: u64| start < written;
            self.captures.retain(|capture| is_there(capture.sample_start));
            self.annotations.retain(|annotation| is_there(annotation.sample_start));
            for annotation in &mut self.annotations {
                annotation.sample_count =
                    annotation.sample_count.min(written - annotation.sample_start);
            }
            cut.and(self.write_metadata())?;
        }
        saved
    }

    /// Replaces the metadata on the disk.
    fn write_metadata(&mut self) -> io::Result<()> {
        self.annotations.sort_by_key(|annotation| annotation.sample_start);
        let text = metadata::text(&self.global, &self.captures, &self.annotations);
        let temporary = with_suffix(&self.meta_path, TEMPORARY);
        let replaced = (|| {
            let mut file = File::create(&temporary)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            std::fs::rename(&temporary, &self.meta_path)?;
            // The names must survive too; not every system lets a folder be opened.
            if let Some(Ok(folder)) = self.meta_path.parent().map(File::open) {
                let _ = folder.sync_all();
            }
            Ok(())
        })();
        if replaced.is_ok() {
            self.announced = self.captures.len();
            self.changed = false;
        } else {
            let _ = std::fs::remove_file(&temporary);
        }
        replaced
    }
}

/// Added to the name of metadata while they are written.
pub(super) const TEMPORARY: &str = ".tmp";

#[cfg(test)]
#[path = "sigmf/tests.rs"]
mod tests;
