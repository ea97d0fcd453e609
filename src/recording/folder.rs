//! The folder of recordings: the room that is left on its disk, and the oldest recordings that make
//! room for new ones.
//!
//! Only what was written here is ever removed: recordings whose metadata say that they were received
//! by this program ([`metadata`](super::metadata)), never one that is being written.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use serde_json::Value;

use super::metadata::{RECEPTION, RECORDER};
use super::sigmf::{TEMPORARY, with_suffix};
use crate::error::RequestError;
use crate::source::sigmf::{DATA, META, stem};

/// A recording that was written to so recently may still be.
const IN_USE: Duration = Duration::from_secs(15);

/// Room that is left to others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Bytes of the disk that stay free.
    pub keep_free_bytes: u64,
}

impl Default for Room {
    fn default() -> Self {
        Self { keep_free_bytes: 1_000_000_000 }
    }
}

/// What of the recordings is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// Not more than so many bytes.
    Bytes(u64),
    /// Not more than so many recordings.
    Recordings(usize),
}

/// A number of bytes: `1GB`, `500 MiB`, `2e9B`.
///
/// # Errors
/// It is none; `subject` is named as what is wrong.
pub fn bytes(subject: &str, text: &str) -> Result<u64, RequestError> {
    let text = text.trim();
    let at = text.find(|c: char| c.is_ascii_alphabetic() && c != 'e' && c != 'E');
    let (number, unit) = text.split_at(at.unwrap_or(text.len()));
    let factor = match unit.trim().to_ascii_lowercase().as_str() {
        "b" => Some(1.0),
        "k" | "kb" => Some(1e3),
        "m" | "mb" => Some(1e6),
        "g" | "gb" => Some(1e9),
        "t" | "tb" => Some(1e12),
        "kib" => Some(1024.0),
        "mib" => Some(1_048_576.0),
        "gib" => Some(1_073_741_824.0),
        "tib" => Some(1_099_511_627_776.0),
        _ => None,
    };
    let number = number.trim().parse::<f64>().ok().filter(|x| (0.0..1e15).contains(x));
    match (number, factor) {
        (Some(number), Some(factor)) => Ok((number * factor) as u64),
        // Nothing needs no unit.
        (Some(0.0), None) if unit.is_empty() => Ok(0),
        _ => Err(RequestError::new(
            subject,
            format!("\"{text}\" is no number of bytes"),
            "write it with a unit: 500MB, 20GB, 1GiB",
        )),
    }
}

impl FromStr for Keep {
    type Err = RequestError;

    fn from_str(text: &str) -> Result<Self, RequestError> {
        const OPTION: &str = "--record-keep";
        let right = "write a size with a unit (20GB), or a number of recordings (50)";
        let keep = match text.trim().parse::<usize>() {
            Ok(count) => Keep::Recordings(count),
            Err(_) => Keep::Bytes(
                bytes(OPTION, text)
                    .map_err(|error| RequestError { right: right.into(), ..error })?,
            ),
        };
        if matches!(keep, Keep::Recordings(0) | Keep::Bytes(0)) {
            return Err(RequestError::new(OPTION, format!("\"{text}\" keeps nothing"), right));
        }
        Ok(keep)
    }
}

/// A recording of ours that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Its path without suffix.
    pub base: PathBuf,
    /// Bytes on the disk.
    pub bytes: u64,
    /// When it was last written to.
    pub written: SystemTime,
    /// Somebody may be writing it.
    pub in_use: bool,
}

/// Which of the `stored` recordings have to go, oldest first, so that what is kept holds beside a
/// current one of `current_bytes`, and `missing_bytes` more are free.
pub fn surplus(
    stored: &[Stored],
    keep: Keep,
    current_bytes: u64,
    missing_bytes: u64,
) -> Vec<PathBuf> {
    let mut oldest_first: Vec<&Stored> = stored.iter().collect();
    oldest_first.sort_by(|a, b| (a.written, &a.base).cmp(&(b.written, &b.base)));
    let mut count = stored.len() + 1;
    let mut bytes = stored.iter().fold(current_bytes, |sum, s| sum.saturating_add(s.bytes));
    let mut missing = missing_bytes;
    let mut gone = Vec::new();
    for recording in oldest_first.into_iter().filter(|recording| !recording.in_use) {
        let too_much = match keep {
            Keep::Bytes(most) => bytes > most,
            Keep::Recordings(most) => count > most,
        };
        if !too_much && missing == 0 {
            break;
        }
        count -= 1;
        bytes = bytes.saturating_sub(recording.bytes);
        missing = missing.saturating_sub(recording.bytes);
        gone.push(recording.base.clone());
    }
    gone
}

/// Tells how many bytes of a path's disk are free.
pub type FreeBytes = Box<dyn Fn(&Path) -> io::Result<u64> + Send>;

/// A folder that recordings are written to.
pub struct Folder {
    path: PathBuf,
    room: Room,
    keep: Option<Keep>,
    free: FreeBytes,
    /// Others of ours, if old ones make room.
    stored: Vec<Stored>,
    /// Those that were written and ended here.
    ended: Vec<PathBuf>,
}

impl Folder {
    /// Makes the folder ready: it is there, can be written to, and has room.
    ///
    /// # Errors
    /// It is not, or has none.
    pub fn open(path: &Path, room: Room, keep: Option<Keep>) -> Result<Self, RequestError> {
        Self::open_with(path, room, keep, Box::new(|path| fs4::available_space(path)))
    }

    /// As [`Folder::open`], with another way to know what is free.
    ///
    /// # Errors
    /// As for [`Folder::open`].
    pub fn open_with(
        path: &Path,
        room: Room,
        keep: Option<Keep>,
        free: FreeBytes,
    ) -> Result<Self, RequestError> {
        let subject = || format!("--record {}", path.display());
        let cannot = |error: io::Error| {
            RequestError::new(
                subject(),
                format!("cannot be written to ({error})"),
                "name a folder that can be",
            )
        };
        fs::create_dir_all(path).map_err(cannot)?;
        let probe = path.join(format!(".tulpar-{}{TEMPORARY}", std::process::id()));
        fs::write(&probe, b"").map_err(cannot)?;
        let _ = fs::remove_file(&probe);
        let (stored, ended) = (Vec::new(), Vec::new());
        let mut folder = Self { path: path.to_owned(), room, keep, free, stored, ended };
        folder.look();
        folder.make_room(0).map_err(|wrong| {
            RequestError::new(subject(), wrong, "make room, or lower --record-reserve")
        })?;
        Ok(folder)
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A recording that grows beyond this goes on in a new one, so that old parts can go.
    pub fn largest_part(&self) -> u64 {
        match self.keep {
            Some(Keep::Bytes(bytes)) => bytes / 4,
            _ => u64::MAX,
        }
    }

    /// Looks again what is there, before a new recording begins.
    pub fn look(&mut self) {
        if self.keep.is_some() {
            self.stored = list(&self.path, SystemTime::now());
            for stored in &mut self.stored {
                stored.in_use &= !self.ended.contains(&stored.base);
            }
        }
    }

    /// A recording that was written here has ended: it may go when it is the oldest.
    pub fn end(&mut self, meta_path: &Path) {
        if self.keep.is_some()
            && let Some(base) = meta_path.to_str().and_then(|path| stem(path, META))
        {
            self.ended.push(base.into());
        }
    }

    /// Removes what is too much beside a recording of `current_bytes`, and looks whether there is
    /// room.
    ///
    /// # Errors
    /// There is too little, in words.
    pub fn make_room(&mut self, current_bytes: u64) -> Result<(), String> {
        let free = self.free_bytes();
        let missing = free.map_or(0, |free| self.room.keep_free_bytes.saturating_sub(free));
        let Some(keep) = self.keep else {
            return self.check(free);
        };
        let gone = surplus(&self.stored, keep, current_bytes, missing);
        if gone.is_empty() {
            return self.check(free);
        }
        for base in &gone {
            remove(base);
        }
        self.stored.retain(|stored| !gone.contains(&stored.base));
        self.check(self.free_bytes())
    }

    /// `None` where the system does not say: then writing shows it.
    fn free_bytes(&self) -> Option<u64> {
        (self.free)(&self.path).ok()
    }

    fn check(&self, free: Option<u64>) -> Result<(), String> {
        match free {
            Some(free) if free < self.room.keep_free_bytes => Err(format!(
                "{} are free, and {} are to stay so",
                megabytes(free),
                megabytes(self.room.keep_free_bytes)
            )),
            _ => Ok(()),
        }
    }
}

fn megabytes(bytes: u64) -> String {
    match bytes as f64 {
        b if b >= 1e10 => format!("{:.0} GB", b / 1e9),
        b if b >= 1e9 => format!("{:.1} GB", b / 1e9),
        b => format!("{:.0} MB", b / 1e6),
    }
}

/// The recordings in a folder that this program has received.
pub fn list(folder: &Path, now: SystemTime) -> Vec<Stored> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut stored = Vec::new();
    for path in entries.flatten().map(|entry| entry.path()) {
        let Some(base) = path.to_str().and_then(|path| stem(path, META)).map(PathBuf::from) else {
            continue;
        };
        if !fs::symlink_metadata(&path).is_ok_and(|m| m.is_file()) || !is_ours(&path) {
            continue;
        }
        let sizes = [META, DATA].map(|suffix| fs::metadata(with_suffix(&base, suffix)).ok());
        let times = sizes.iter().flatten().filter_map(|m| m.modified().ok());
        let written = times.max().unwrap_or(SystemTime::UNIX_EPOCH);
        stored.push(Stored {
            base,
            bytes: sizes.iter().flatten().map(fs::Metadata::len).sum(),
            written,
            in_use: now.duration_since(written).is_ok_and(|age| age < IN_USE),
        });
    }
    stored
}

fn is_ours(meta_path: &Path) -> bool {
    let Ok(text) = fs::read(meta_path) else { return false };
    let Ok(meta) = serde_json::from_slice::<Value>(&text) else { return false };
    let global = &meta["global"];
    global["core:recorder"].as_str().is_some_and(|recorder| recorder.starts_with(RECORDER))
        && global["tulpar:kind"] == RECEPTION
}

/// Removes a recording. Its metadata go last: until then it is known as ours.
fn remove(base: &Path) {
    let meta = with_suffix(base, META);
    let data_gone = match fs::remove_file(with_suffix(base, DATA)) {
        Ok(()) => true,
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    };
    if data_gone {
        let _ = fs::remove_file(with_suffix(&meta, TEMPORARY));
        let _ = fs::remove_file(meta);
    }
}

#[cfg(test)]
#[path = "folder/tests.rs"]
mod tests;
