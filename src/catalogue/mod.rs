//! Satellites and their downlinks as TOML, found by name.
//!
//! The catalogue is the folder `flowgraphs/satellites`, one file a satellite, embedded in the
//! program; a folder of the user's own adds to it and wins where names are equal. A new satellite
//! is a new file and touches no code. [`satellite`] holds the schema, [`flowgraph_file`] that of
//! the receivers for `--flowgraph`.
//!
//! ```
//! # fn main() -> Result<(), tulpar::RequestError> {
//! let catalogue = tulpar::catalogue::Catalogue::embedded()?;
//! let satellite = catalogue.find("aalto 1")?;
//! assert_eq!(satellite.norad_id, Some(42775));
//! assert_eq!(satellite.downlinks[0].framing, "AX.25 G3RUH");
//! # Ok(())
//! # }
//! ```

pub(crate) mod document;
pub mod flowgraph_file;
pub mod names;
pub mod satellite;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use include_dir::{Dir, include_dir};

pub use flowgraph_file::FlowgraphFile;
pub use satellite::{Downlink, Mode, Satellite};

use crate::error::RequestError;

/// The catalogue's files.
static SATELLITES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/flowgraphs/satellites");

/// Environment variable that names the user's folder of satellites.
pub const FOLDER_VARIABLE: &str = "TULPAR_SATELLITES";

/// Satellites, found by name.
#[derive(Debug, Clone, Default)]
pub struct Catalogue {
    /// In order of their folded names.
    satellites: Vec<Arc<Satellite>>,
}

/// The embedded entries; each file is read once in the life of the program.
fn embedded() -> Result<&'static [Arc<Satellite>], RequestError> {
    static EMBEDDED: OnceLock<Result<Vec<Arc<Satellite>>, RequestError>> = OnceLock::new();
    EMBEDDED
        .get_or_init(|| {
            let mut satellites = SATELLITES
                .files()
                .filter(|file| file.path().extension().is_some_and(|e| e == "toml"))
                .map(|file| {
                    let name = file.path().display().to_string();
                    let text = file.contents_utf8().ok_or_else(|| not_utf8(&name))?;
                    Satellite::from_toml(&name, text).map(Arc::new)
                })
                .collect::<Result<Vec<_>, _>>()?;
            satellites.sort_by_cached_key(|s| names::fold(&s.name));
            Ok(satellites)
        })
        .as_deref()
        .map_err(Clone::clone)
}

fn not_utf8(file: &str) -> RequestError {
    RequestError::new(file, "not UTF-8", "save it as UTF-8 text")
}

/// Distinct values of `of` over the embedded downlinks, in order.
fn embedded_values(of: impl Fn(&'static Downlink) -> &'static str) -> Vec<&'static str> {
    let values: BTreeSet<&str> =
        embedded().unwrap_or_default().iter().flat_map(|s| &s.downlinks).map(of).collect();
    values.into_iter().collect()
}

/// Names of the framings that satellites of the embedded catalogue use, supported or not.
pub fn embedded_framings() -> Vec<&'static str> {
    embedded_values(|d| d.framing.as_str())
}

/// Names of the modulations that satellites of the embedded catalogue use, supported or not.
pub fn embedded_modulations() -> Vec<&'static str> {
    embedded_values(|d| d.modulation.as_str())
}

/// The user's own folder of satellites: `$TULPAR_SATELLITES` if it is set, otherwise
/// `tulpar/satellites` in the folder for configuration. It need not exist.
pub fn user_folder() -> Option<PathBuf> {
    match std::env::var_os(FOLDER_VARIABLE) {
        Some(folder) if !folder.is_empty() => Some(folder.into()),
        _ => dirs::config_dir().map(|folder| folder.join("tulpar").join("satellites")),
    }
}

impl Catalogue {
    /// The catalogue that comes with the program.
    ///
    /// # Errors
    /// One of its files is malformed: not in a tested build.
    pub fn embedded() -> Result<Self, RequestError> {
        Ok(Self { satellites: embedded()?.to_vec() })
    }

    /// The embedded catalogue with the user's own folder, if there is one.
    ///
    /// # Errors
    /// A file of the user's is unreadable or malformed, or `$TULPAR_SATELLITES` names a folder
    /// that does not exist.
    pub fn load() -> Result<Self, RequestError> {
        match user_folder() {
            Some(folder) if folder.is_dir() || std::env::var_os(FOLDER_VARIABLE).is_some() => {
                Self::with_user_folder(&folder)
            }
            _ => Self::embedded(),
        }
    }

    /// The embedded catalogue and every `*.toml` of a folder. An entry of the folder replaces the
    /// embedded one of the same name.
    ///
    /// # Errors
    /// The folder or a file is unreadable, a file is malformed, or two files give the same name.
    pub fn with_user_folder(folder: &Path) -> Result<Self, RequestError> {
        let unreadable = |path: &Path, error: std::io::Error| {
            RequestError::new(
                path.display().to_string(),
                format!("cannot be read ({error})"),
                format!("mend it, or set {FOLDER_VARIABLE} to another folder of satellites"),
            )
        };
        let mut files = std::fs::read_dir(folder)
            .and_then(|entries| {
                entries.map(|entry| entry.map(|e| e.path())).collect::<Result<Vec<_>, _>>()
            })
            .map_err(|error| unreadable(folder, error))?;
        files.retain(|path| path.extension().is_some_and(|e| e == "toml"));
        files.sort();
        let mut own: Vec<Arc<Satellite>> = Vec::with_capacity(files.len());
        for path in files {
            let bytes = std::fs::read(&path).map_err(|error| unreadable(&path, error))?;
            let name = path.display().to_string();
            let text = std::str::from_utf8(&bytes).map_err(|_| not_utf8(&name))?;
            let satellite = Satellite::from_toml(&name, text)?;
            let folded = names::fold(&satellite.name);
            if let Some(other) = own.iter().find(|s| names::fold(&s.name) == folded) {
                return Err(RequestError::new(
                    name,
                    format!("satellite \"{}\" is also in {}", satellite.name, other.file()),
                    "keep one of the files",
                ));
            }
            own.push(Arc::new(satellite));
        }
        let replaced: BTreeSet<String> = own.iter().map(|s| names::fold(&s.name)).collect();
        own.extend(
            embedded()?.iter().filter(|s| !replaced.contains(&names::fold(&s.name))).cloned(),
        );
        own.sort_by_cached_key(|s| names::fold(&s.name));
        Ok(Self { satellites: own })
    }

    /// Every satellite, in order of names.
    pub fn satellites(&self) -> impl ExactSizeIterator<Item = &Satellite> {
        self.satellites.iter().map(Arc::as_ref)
    }

    /// The satellite with this name, NORAD number or alternative name (in this order of
    /// preference); case, spaces, punctuation and accents do not matter.
    ///
    /// # Errors
    /// No satellite has it (names the nearest), or several have it as an alternative name.
    pub fn find(&self, query: &str) -> Result<&Satellite, RequestError> {
        let folded = names::fold(query);
        if let Some(found) = self.satellites().find(|s| names::fold(&s.name) == folded) {
            return Ok(found);
        }
        if let Ok(norad_id) = query.trim().parse::<u32>()
            && let Some(found) = self.satellites().find(|s| s.norad_id == Some(norad_id))
        {
            return Ok(found);
        }
        let found: Vec<&Satellite> = self
            .satellites()
            .filter(|s| {
                !folded.is_empty() && s.alternative_names.iter().any(|n| names::fold(n) == folded)
            })
            .collect();
        match found[..] {
            [only] => Ok(only),
            [] => Err(self.unknown(query)),
            _ => {
                let all: Vec<String> = found.iter().map(|s| format!("\"{}\"", s.name)).collect();
                Err(RequestError::new(
                    "satellite",
                    format!("\"{query}\" is a name of several"),
                    format!("choose one of {}", all.join(", ")),
                ))
            }
        }
    }

    fn unknown(&self, query: &str) -> RequestError {
        let nearest = names::nearest(query, self.satellites().flat_map(Satellite::names), 5);
        let list = "`tulpar satellites` lists all";
        let right = if nearest.is_empty() {
            list.to_owned()
        } else {
            let nearest: Vec<String> = nearest.iter().map(|n| format!("\"{n}\"")).collect();
            format!("did you mean {}? {list}", nearest.join(", "))
        };
        RequestError::new("satellite", format!("\"{query}\" is unknown"), right)
    }

    /// The satellites that a query selects, in order of names: those with it in a name, with it at
    /// the beginning of their NORAD number, or with a downlink of that modulation or framing. An
    /// empty query selects all.
    pub fn search(&self, query: &str) -> Vec<&Satellite> {
        let folded = names::fold(query);
        self.satellites()
            .filter(|s| {
                s.names().any(|n| names::fold(n).contains(&folded))
                    || s.norad_id.is_some_and(|n| n.to_string().starts_with(query.trim()))
                    || s.downlinks.iter().any(|d| {
                        names::fold(&d.framing) == folded || names::fold(&d.modulation) == folded
                    })
            })
            .collect()
    }
}

#[cfg(test)]
mod tests;
