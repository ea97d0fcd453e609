//! The sets of files and folders, found by number or name.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use jiff::Timestamp;

use super::{Elements, ElementsFile};
use crate::catalogue::names;
use crate::error::RequestError;

/// Largest file that is read, bytes. All objects of the catalogue take 25 MB as JSON.
pub const LARGEST_FILE_BYTES: u64 = 100_000_000;

/// Bytes that are looked at to tell a text from samples.
const HEAD_BYTES: u64 = 4096;

/// What to do when an object is not there.
const GET_IT: &str = "fetch its elements, for instance from celestrak.org or space-track.org, and \
                      name the file with --elements";

/// Element sets from any number of sources.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Store {
    sets: Vec<Elements>,
    sources: Vec<String>,
    warnings: Vec<String>,
}

impl Store {
    /// The sets of a file, or of all files of a folder.
    ///
    /// # Errors
    /// As [`Store::add_path`].
    pub fn read(path: &Path) -> Result<Self, RequestError> {
        let mut store = Self::default();
        store.add_path(path)?;
        Ok(store)
    }

    /// Adds the sets of a file, or of all files in a folder (but not in folders in it). Files of
    /// a folder that hold no elements are passed over, those with none that is right give a
    /// warning.
    ///
    /// # Errors
    /// The file or folder cannot be read, or holds no elements that are right.
    pub fn add_path(&mut self, path: &Path) -> Result<(), RequestError> {
        let name = path.display().to_string();
        let unreadable = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => {
                let right = "name a file or folder of TLEs or OMMs, or a URL";
                RequestError::new(&name, "there is no such file or folder", right)
            }
            _ => RequestError::new(&name, format!("cannot be read: {error}"), "make it readable"),
        };
        let metadata = std::fs::metadata(path).map_err(unreadable)?;
        if !metadata.is_dir() {
            let content = File::open(path).and_then(read_whole).map_err(unreadable)?;
            return self.add_content(&name, &content);
        }
        let entries = std::fs::read_dir(path).map_err(unreadable)?;
        let mut files: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        files.sort();
        let before = self.sets.len();
        let mut first_error = None;
        for file in files.iter().filter(|file| file.is_file()) {
            let file_name = file.display().to_string();
            let content = match read_text(file) {
                Ok(Some(content)) => content,
                Ok(None) => continue,
                Err(error) => {
                    self.warnings.push(format!("{file_name}: cannot be read: {error}"));
                    continue;
                }
            };
            match super::recognise(&file_name, &content) {
                Ok(Some(read)) => self.add(&file_name, read),
                Ok(None) => {}
                Err(error) => {
                    self.warnings.push(error.to_string());
                    first_error.get_or_insert(error);
                }
            }
        }
        if self.sets.len() > before {
            return Ok(());
        }
        Err(first_error.unwrap_or_else(|| {
            let wrong = format!("none of its {} files holds orbital elements", files.len());
            RequestError::new(&name, wrong, "put TLE or OMM files (JSON, XML, CSV) there")
        }))
    }

    /// Adds the sets of the content of a file, or of an answer; `source` names it in messages.
    ///
    /// # Errors
    /// It holds no elements that are right.
    pub fn add_content(&mut self, source: &str, content: &[u8]) -> Result<(), RequestError> {
        let read = super::parse(source, content)?;
        self.add(source, read);
        Ok(())
    }

    /// Adds what was read.
    pub fn add(&mut self, source: &str, read: ElementsFile) {
        self.sets.extend(read.sets);
        self.warnings.extend(read.warnings);
        self.sources.push(source.to_owned());
    }

    /// Adds a line to what there is to say about the sources.
    pub fn warn(&mut self, warning: String) {
        self.warnings.push(warning);
    }

    /// Every set, in the order in which they were read. An object may have several.
    pub fn sets(&self) -> &[Elements] {
        &self.sets
    }

    /// What was wrong with sources and sets left out, one line each.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// One set for each object, in the order of first appearance: the one with the epoch nearest
    /// to `at`. Sets without a number are told apart by their names.
    pub fn objects(&self, at: Timestamp) -> Vec<&Elements> {
        let mut places: BTreeMap<(u32, String), usize> = BTreeMap::new();
        let mut objects: Vec<&Elements> = Vec::new();
        for set in &self.sets {
            let place = *places.entry(key(set)).or_insert(objects.len());
            match objects.get_mut(place) {
                Some(nearest) if distance(set, at) < distance(nearest, at) => *nearest = set,
                Some(_) => {}
                None => objects.push(set),
            }
        }
        objects
    }

    /// The set of the object with that NORAD number whose epoch is nearest to `at`.
    pub fn by_norad(&self, norad_id: u32, at: Timestamp) -> Option<&Elements> {
        let sets = self.sets.iter().filter(|set| set.norad_id == norad_id && norad_id != 0);
        sets.min_by_key(|set| distance(set, at))
    }

    /// The sets, one for each object, that have this name: in full, or before or within its
    /// parentheses (`FOX-1A (AO-85)`). Case, spaces and punctuation do not matter.
    pub fn by_name(&self, name: &str, at: Timestamp) -> Vec<&Elements> {
        let folded = names::fold(name);
        if folded.is_empty() {
            return Vec::new();
        }
        let objects = self.objects(at);
        let with = |test: &dyn Fn(&str) -> bool| -> Vec<&Elements> {
            let named = objects.iter().filter(|set| set.name.as_deref().is_some_and(test));
            named.copied().collect()
        };
        let in_full = with(&|candidate| names::fold(candidate) == folded);
        if !in_full.is_empty() {
            return in_full;
        }
        with(&|candidate| candidate.split(['(', ')']).any(|part| names::fold(part) == folded))
    }

    /// The elements of an object for an instant: by its NORAD number, or, if it has none, by the
    /// first of its names that is found.
    ///
    /// # Errors
    /// There are none, or several objects have the name. Says how many sets were looked through.
    pub fn find<'n>(
        &self,
        norad_id: Option<u32>,
        names: impl IntoIterator<Item = &'n str>,
        at: Timestamp,
    ) -> Result<&Elements, RequestError> {
        let mut asked = norad_id.map(|norad_id| format!("object {norad_id}"));
        match norad_id {
            Some(norad_id) => {
                if let Some(set) = self.by_norad(norad_id, at) {
                    return Ok(set);
                }
            }
            None => {
                for name in names {
                    match self.by_name(name, at)[..] {
                        [] => {}
                        [only] => return Ok(only),
                        ref several => return Err(ambiguous(name, several)),
                    }
                    asked.get_or_insert_with(|| format!("\"{name}\""));
                }
            }
        }
        Err(self.missing(&asked.unwrap_or_else(|| "an object without name".to_owned())))
    }

    /// The elements of what the user wrote: a NORAD number, or a name.
    ///
    /// # Errors
    /// As [`Store::find`]; the nearest names are suggested.
    pub fn find_written(&self, text: &str, at: Timestamp) -> Result<&Elements, RequestError> {
        if let Ok(norad_id) = text.trim().parse()
            && let Some(set) = self.by_norad(norad_id, at)
        {
            return Ok(set);
        }
        let mut error = match self.find(None, [text], at) {
            Ok(set) => return Ok(set),
            Err(error) => error,
        };
        let all = self.sets.iter().filter_map(|set| set.name.as_deref());
        let nearest = names::nearest(text, all, 5);
        if !nearest.is_empty() && self.by_name(text, at).is_empty() {
            let nearest: Vec<String> = nearest.iter().map(|n| format!("\"{n}\"")).collect();
            error.right = format!("did you mean {}? Or {}", nearest.join(", "), error.right);
        }
        Err(error)
    }

    fn missing(&self, asked: &str) -> RequestError {
        let sets = self.sets.len();
        let sets = if sets == 1 { "1 set".to_owned() } else { format!("{sets} sets") };
        let sources = match &self.sources[..] {
            [] => "none was read".to_owned(),
            [only] => format!("{sets} in {only}"),
            sources => format!("{sets} in {} sources", sources.len()),
        };
        let wrong = format!("there is none of {asked} ({sources})");
        RequestError::new("elements", wrong, GET_IT)
    }
}

fn ambiguous(name: &str, several: &[&Elements]) -> RequestError {
    let mut list: Vec<String> = several.iter().take(6).map(|set| set.label()).collect();
    if several.len() > list.len() {
        list.push(format!("and {} more", several.len() - list.len()));
    }
    let wrong = format!("\"{name}\" is a name of several objects: {}", list.join(", "));
    RequestError::new("elements", wrong, "choose one by its NORAD number")
}

/// What tells objects apart.
fn key(set: &Elements) -> (u32, String) {
    let name = match set.norad_id {
        0 => set.name.as_deref().map(names::fold).unwrap_or_default(),
        _ => String::new(),
    };
    (set.norad_id, name)
}

/// How far an epoch is from an instant.
fn distance(set: &Elements, at: Timestamp) -> jiff::SignedDuration {
    set.epoch.duration_since(at).abs()
}

/// A file's content, if it is not absurdly large.
fn read_whole(file: File) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    file.take(LARGEST_FILE_BYTES + 1).read_to_end(&mut content)?;
    if content.len() as u64 > LARGEST_FILE_BYTES {
        return Err(io::Error::other("it is larger than 100 MB, so no file of elements"));
    }
    Ok(content)
}

/// A file's content; `None` if it is no text, or too large: other files in a folder of elements
/// are no cause for alarm.
fn read_text(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let mut file = File::open(path)?;
    if file.metadata()?.len() > LARGEST_FILE_BYTES {
        return Ok(None);
    }
    let mut content = Vec::new();
    file.by_ref().take(HEAD_BYTES).read_to_end(&mut content)?;
    let utf16 = matches!(content[..], [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..]);
    if content.contains(&0) && !utf16 {
        return Ok(None);
    }
    file.take(LARGEST_FILE_BYTES).read_to_end(&mut content)?;
    Ok(Some(content))
}
