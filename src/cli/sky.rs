//! What commands need of the sky: where the antenna is, and the orbital elements.
//!
//! The command line goes before the configuration file, which is `$TULPAR_CONFIG` if that is set,
//! otherwise `tulpar/config.toml` in the folder for configuration.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use tulpar::RequestError;
use tulpar::catalogue::Satellite;
use tulpar::configuration::Configuration;
use tulpar::doppler::correction::Corrections;
use tulpar::doppler::elements::{Elements, Store};
use tulpar::doppler::station::Station;

use super::fetch::{self, Fetcher};

/// Environment variable that names the configuration file.
const CONFIGURATION_VARIABLE: &str = "TULPAR_CONFIG";

/// Where the antenna is, and where the orbital elements are.
#[derive(clap::Args, Debug, Clone, Default)]
pub struct SkyArguments {
    /// Orbital elements, TLE or OMM: a file, a folder of files, or a URL; may be repeated
    #[arg(long, value_name = "FILE|FOLDER|URL", help_heading = "Orbit")]
    elements: Vec<String>,
    /// Where the antenna is: LAT,LON,ALT_M (degrees, metres) or a Maidenhead locator
    #[arg(long, value_name = "PLACE", allow_hyphen_values = true, help_heading = "Orbit")]
    station: Option<String>,
}

impl SkyArguments {
    /// With what another file says, where the command line says nothing.
    #[must_use]
    pub fn or(&self, elements: &[String], station: Option<&String>) -> Self {
        let elements = if self.elements.is_empty() { elements } else { &self.elements };
        Self { elements: elements.to_vec(), station: self.station.as_ref().or(station).cloned() }
    }

    /// Whether elements are asked for here, and not in the configuration file alone.
    pub fn names_elements(&self) -> bool {
        !self.elements.is_empty()
    }

    /// The station, and what is to be said about it.
    ///
    /// # Errors
    /// None is given, or it is wrong.
    pub fn station(&self) -> Result<(Station, Option<String>), RequestError> {
        self.station_if_any()?.ok_or_else(|| {
            RequestError::new(
                "--station",
                "missing",
                format!(
                    "say where the antenna is: --station LAT,LON,ALT_M or a locator, or save it \
                     as station = \"LAT,LON,ALT_M\" in {}",
                    configuration_name()
                ),
            )
        })
    }

    /// As [`SkyArguments::station`]; `None` if none is given.
    ///
    /// # Errors
    /// It is wrong.
    pub fn station_if_any(&self) -> Result<Option<(Station, Option<String>)>, RequestError> {
        match &self.station {
            Some(text) => Station::parse("--station", text).map(Some),
            None => Ok(configuration()?.station),
        }
    }

    /// The orbital elements. What was odd about them is among the store's warnings.
    ///
    /// # Errors
    /// None are given, or a source cannot be read.
    pub fn elements(&self) -> Result<Store, RequestError> {
        self.elements_if_any()?.ok_or_else(|| {
            RequestError::new(
                "--elements",
                "missing",
                format!(
                    "name a file, a folder or a URL of TLEs or OMMs (from celestrak.org, \
                     space-track.org), or save it as elements = [\"…\"] in {}",
                    configuration_name()
                ),
            )
        })
    }

    /// As [`SkyArguments::elements`]; `None` if none are given.
    ///
    /// # Errors
    /// A source cannot be read.
    pub fn elements_if_any(&self) -> Result<Option<Store>, RequestError> {
        Ok(self.read_elements(|_, error| Err(error))?.map(|(store, _)| store))
    }

    /// As [`SkyArguments::elements_if_any`], for whoever must go on: a source that cannot be read is
    /// among the store's warnings. Also whether every source was read, none of them from an old copy.
    ///
    /// # Errors
    /// No source can be read.
    pub fn available_elements_if_any(&self) -> Result<Option<(Store, bool)>, RequestError> {
        let mut first = None;
        let read = self.read_elements(|store, error| {
            store.warn(format!("{}: {}; going on without it", error.subject, error.wrong));
            first.get_or_insert(error);
            Ok(())
        })?;
        match (read, first) {
            (Some((store, _)), Some(error)) if store.sets().is_empty() => Err(error),
            (read, first) => Ok(read.map(|(store, fresh)| (store, fresh && first.is_none()))),
        }
    }

    /// Reads every source; `failed` is told of those that cannot be read.
    fn read_elements(
        &self,
        mut failed: impl FnMut(&mut Store, RequestError) -> Result<(), RequestError>,
    ) -> Result<Option<(Store, bool)>, RequestError> {
        let sources = match &self.elements[..] {
            [] => configuration()?.elements,
            given => given.to_vec(),
        };
        if sources.is_empty() {
            return Ok(None);
        }
        let mut store = Store::default();
        let mut fetcher = None;
        for source in &sources {
            let read = if fetch::is_url(source) {
                let fetched = fetcher.get_or_insert_with(Fetcher::new).elements(source);
                fetched.map(|read| store.add(&fetch::without_credentials(source), read))
            } else {
                store.add_path(Path::new(source))
            };
            if let Err(error) = read {
                failed(&mut store, error)?;
            }
        }
        let fresh = !fetcher.is_some_and(|fetcher| fetcher.is_stale());
        Ok(Some((store, fresh)))
    }
}

/// The elements of a satellite for an instant (by its NORAD number, or by its names if it has
/// none), and what is to be said of their age.
///
/// # Errors
/// There are none, or its name is that of several objects.
pub fn elements_of<'s>(
    store: &'s Store,
    satellite: &Satellite,
    at: Timestamp,
) -> Result<(&'s Elements, Option<String>), RequestError> {
    let found = store.find(satellite.norad_id, satellite.names(), at);
    let elements = found.map_err(|error| RequestError {
        subject: format!("elements of {}", satellite.name),
        ..error
    })?;
    Ok((elements, elements.age_warning(at)))
}

/// The elements of the one object that there is.
///
/// # Errors
/// There are several.
pub fn only_object(store: &Store, at: Timestamp) -> Result<&Elements, RequestError> {
    match store.objects(at)[..] {
        [only] => Ok(only),
        ref several => Err(RequestError::new(
            "--elements",
            format!("are those of {} objects", several.len()),
            "say whose with --object NAME|NORAD",
        )),
    }
}

/// Where the configuration file is, and whether the user named it.
fn configuration_path() -> Option<(PathBuf, bool)> {
    match std::env::var_os(CONFIGURATION_VARIABLE) {
        Some(path) if !path.is_empty() => Some((path.into(), true)),
        _ => Some((dirs::config_dir()?.join("tulpar").join("config.toml"), false)),
    }
}

/// Where corrections of objects are kept: beside the configuration file.
pub fn corrections_path() -> Option<PathBuf> {
    Some(configuration_path()?.0.parent()?.join("corrections.toml"))
}

/// The corrections that are kept; none if there is no file.
///
/// # Errors
/// The file cannot be read.
pub fn corrections() -> Result<Corrections, RequestError> {
    let Some(path) = corrections_path().filter(|path| path.exists()) else {
        return Ok(Corrections::default());
    };
    let name = path.display().to_string();
    let text = std::fs::read_to_string(&path).map_err(|error| {
        RequestError::new(&name, format!("cannot be read ({error})"), "mend or remove it")
    })?;
    Corrections::parse(&name, &text)
}

/// The configuration file's name for messages.
fn configuration_name() -> String {
    configuration_path()
        .map_or("the configuration file".to_owned(), |(path, _)| path.display().to_string())
}

/// The user's configuration; the default if there is no file.
fn configuration() -> Result<Configuration, RequestError> {
    match configuration_path() {
        Some((path, named)) if named || path.exists() => read_configuration(&path),
        _ => Ok(Configuration::default()),
    }
}

/// Reads a configuration file; paths in it become relative to where we are.
fn read_configuration(path: &Path) -> Result<Configuration, RequestError> {
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|error| {
        let right = format!("mend it, or set {CONFIGURATION_VARIABLE} to another file");
        RequestError::new(&name, format!("cannot be read ({error})"), right)
    })?;
    let mut configuration = Configuration::from_toml(&name, &text)?;
    let folder = path.parent().unwrap_or(Path::new(""));
    for source in &mut configuration.elements {
        if fetch::is_url(source) {
            continue;
        }
        let full = match (source.strip_prefix("~/"), dirs::home_dir()) {
            (Some(rest), Some(home)) => home.join(rest),
            _ => folder.join(&*source),
        };
        *source = full.display().to_string();
    }
    Ok(configuration)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use tulpar::catalogue::Catalogue;

    use super::*;

    const TLE: &str = "AALTO-1\n\
        1 42775U 17036L   24122.52427083  .00012345  00000-0  56789-3 0  9997\n\
        2 42775  97.1234 123.4567 0012345 210.9876 149.0123 15.23456789378906\n";

    fn arguments(elements: &[&Path], station: &str) -> SkyArguments {
        SkyArguments {
            elements: elements.iter().map(|path| path.display().to_string()).collect(),
            station: Some(station.to_owned()),
        }
    }

    #[test]
    fn options_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.tle");
        std::fs::write(&file, TLE).unwrap();
        let arguments = arguments(&[&file, folder.path()], "-33.9,151.2,10");
        let (station, notice) = arguments.station().unwrap();
        assert_eq!((station.latitude_deg, notice), (-33.9, None));
        assert_eq!(arguments.elements().unwrap().sets().len(), 2);
        let missing = folder.path().join("missing");
        let wrong = super::tests::arguments(&[&file, &missing], "x");
        assert_eq!(wrong.elements().unwrap_err().subject, missing.display().to_string());
        let (available, complete) = wrong.available_elements_if_any().unwrap().unwrap();
        assert!(!complete);
        assert_eq!((available.sets().len(), available.warnings().len()), (1, 1));
        let none = super::tests::arguments(&[&missing], "x").available_elements_if_any();
        assert_eq!(none.unwrap_err().subject, missing.display().to_string());
        assert_eq!(wrong.station().unwrap_err().subject, "--station");
    }

    #[test]
    fn satellites_of_the_catalogue_are_looked_up() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.tle");
        std::fs::write(&file, TLE).unwrap();
        let store = arguments(&[&file], "").elements().unwrap();
        let catalogue = Catalogue::embedded().unwrap();
        let at = "2024-05-20T00:00:00Z".parse().unwrap();
        let (set, warning) = elements_of(&store, catalogue.find("AALTO-1").unwrap(), at).unwrap();
        assert_eq!(set.norad_id, 42775);
        assert!(warning.unwrap().contains("18 days old"));
        let other = catalogue.find("AAUSAT-4").unwrap();
        let error = elements_of(&store, other, at).unwrap_err().to_string();
        assert!(error.starts_with("elements of AAUSAT-4: there is none of object "), "{error}");
        assert!(error.contains("(1 set in ") && error.contains("celestrak.org"), "{error}");
    }

    #[test]
    fn paths_of_the_configuration_are_relative_to_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.toml");
        let text = "elements = [\"a.tle\", \"/b\", \"https://c/d\", \"~/e\"]\nstation = \"JN88\"";
        std::fs::write(&file, text).unwrap();
        let read = read_configuration(&file).unwrap();
        let in_folder = folder.path().join("a.tle").display().to_string();
        assert_eq!(read.elements[..3], [in_folder, "/b".to_owned(), "https://c/d".to_owned()]);
        assert!(read.elements[3].ends_with("/e"), "{:?}", read.elements);
        assert!(read.station.is_some());
        std::fs::write(&file, b"station = \"\xFF\"").unwrap();
        assert!(read_configuration(&file).unwrap_err().wrong.contains("cannot be read"));
        assert!(read_configuration(folder.path()).is_err());
    }
}
