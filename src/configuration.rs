//! The user's configuration file: what need not be said with every command.
//!
//! ```toml
//! station = "48.2,16.37,190"                   # LAT,LON,ALT_M, or a locator such as "JN88ee"
//! elements = ["elements/cubesats.tle",         # files, folders or URLs, relative to this file
//!             "https://celestrak.org/NORAD/elements/gp.php?GROUP=cubesat&FORMAT=json"]
//! ```
//!
//! Options of the command line go before it. Unknown keys are errors.

use crate::catalogue::document::Document;
use crate::doppler::station::Station;
use crate::error::RequestError;

/// What a configuration file says.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Configuration {
    /// The antenna's place, and what is to be said about it.
    pub station: Option<(Station, Option<String>)>,
    /// Sources of orbital elements as they are written: files, folders, URLs.
    pub elements: Vec<String>,
}

impl Configuration {
    /// Reads the TOML of `file`, whose name is for messages.
    ///
    /// # Errors
    /// It is no TOML, holds an unknown key, or a value that is wrong: said with file and line.
    pub fn from_toml(file: &str, text: &str) -> Result<Self, RequestError> {
        let document = Document::parse(file, text)?;
        let root = document.root(&["station", "elements"])?;
        let place = |text: String| {
            let place = Station::parse("station", &text);
            place.map_err(|e| root.error_at("station", format!("station: {}", e.wrong), e.right))
        };
        Ok(Self {
            station: root.string("station")?.map(place).transpose()?,
            elements: root.strings("elements")?,
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let text =
            "# mine\nstation = \"48.2,16.37,190\"\nelements = [\"a.tle\", \"https://x/y\"]\n";
        let read = Configuration::from_toml("c", text).unwrap();
        let station = Station { latitude_deg: 48.2, longitude_deg: 16.37, altitude_m: 190.0 };
        assert_eq!(read.station, Some((station, None)));
        assert_eq!(read.elements, ["a.tle", "https://x/y"]);
        assert_eq!(Configuration::from_toml("c", "").unwrap(), Configuration::default());
        let locator = Configuration::from_toml("c", "station = \"JN88ee\"").unwrap();
        assert!(locator.station.unwrap().1.is_some());
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        for (text, says) in [
            ("\nstaton = \"x\"", "c:2: key \"staton\" is unknown; did you mean \"station\"?"),
            ("\n\nstation = \"48.2,16.3\"", "c:3: station: \"48.2,16.3\" has no altitude; add"),
            ("station = 5", "c:1: station is an integer"),
            ("elements = \"a\"", "c:1: elements is a string; give it as a list"),
            ("station = ", "c:1: "),
        ] {
            let error = Configuration::from_toml("c", text).unwrap_err().to_string();
            assert!(error.starts_with(says), "{error}\nshould say {says}");
        }
    }
}
