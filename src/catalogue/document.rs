//! Reading TOML strictly: every key is known, every value has its type and range, and whatever is
//! wrong is said with file, line and key.
//!
//! The tables are read by hand rather than by `serde`: its messages name neither the file nor the
//! accepted range, and cannot suggest the nearest key.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::error::RequestError;

/// Where a document came from; places in it are named as `file:line`.
#[derive(Clone, Copy)]
struct Place<'d> {
    file: &'d str,
    text: &'d str,
}

impl Place<'_> {
    /// `file:line` of a byte offset.
    fn at(&self, offset: usize) -> String {
        let before = self.text.as_bytes().get(..offset).unwrap_or(self.text.as_bytes());
        let line = 1 + before.iter().filter(|&&b| b == b'\n').count();
        format!("{}:{line}", self.file)
    }
}

/// A parsed document.
pub struct Document<'d> {
    place: Place<'d>,
    root: Spanned<DeTable<'d>>,
}

/// One table of a document, all of whose keys are known.
pub struct Section<'d, 't> {
    place: Place<'d>,
    offset: usize,
    table: &'t DeTable<'d>,
}

impl<'d> Document<'d> {
    /// Parses `text`; `file` names it in errors.
    ///
    /// # Errors
    /// The text is not TOML.
    pub fn parse(file: &'d str, text: &'d str) -> Result<Self, RequestError> {
        let place = Place { file, text };
        match DeTable::parse(text) {
            Ok(root) => Ok(Self { place, root }),
            Err(error) => {
                let offset = error.span().map_or(0, |span| span.start);
                let what = error.message().lines().next().unwrap_or("malformed").to_owned();
                Err(RequestError::new(place.at(offset), what, "write it as TOML: key = value"))
            }
        }
    }

    /// The outermost table, which takes the keys in `known`.
    ///
    /// # Errors
    /// It holds another key.
    pub fn root(&self, known: &[&str]) -> Result<Section<'d, '_>, RequestError> {
        Section::new(self.place, 0, self.root.get_ref(), known)
    }
}

/// What a value is, for messages.
fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

impl<'d, 't> Section<'d, 't> {
    fn new(
        place: Place<'d>,
        offset: usize,
        table: &'t DeTable<'d>,
        known: &[&str],
    ) -> Result<Self, RequestError> {
        for key in table.keys() {
            if !known.contains(&key.get_ref().as_ref()) {
                let error = RequestError::unknown(
                    place.at(key.span().start),
                    key.get_ref(),
                    known.iter().copied(),
                );
                return Err(RequestError { wrong: format!("key {}", error.wrong), ..error });
            }
        }
        Ok(Self { place, offset, table })
    }

    fn get(&self, key: &str) -> Option<&'t Spanned<DeValue<'d>>> {
        self.table.get(key)
    }

    /// An error about this table as a whole.
    pub fn error(&self, wrong: impl Into<String>, right: impl Into<String>) -> RequestError {
        RequestError::new(self.place.at(self.offset), wrong, right)
    }

    /// An error about the value of `key`, or about the table if there is none.
    pub fn error_at(
        &self,
        key: &str,
        wrong: impl Into<String>,
        right: impl Into<String>,
    ) -> RequestError {
        let offset = self.get(key).map_or(self.offset, |value| value.span().start);
        RequestError::new(self.place.at(offset), wrong, right)
    }

    fn wrong_type(&self, key: &str, value: &Spanned<DeValue<'_>>, right: &str) -> RequestError {
        RequestError::new(
            self.place.at(value.span().start),
            format!("{key} is {}", kind(value.get_ref())),
            format!("give it as {right}"),
        )
    }

    /// The error that `key` is missing; `right` is an example line.
    pub fn missing(&self, key: &str, right: &str) -> RequestError {
        self.error(format!("{key} is missing"), format!("add for instance: {right}"))
    }

    /// A string that is not blank, without surrounding space.
    pub fn string(&self, key: &str) -> Result<Option<String>, RequestError> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let DeValue::String(text) = value.get_ref() else {
            return Err(self.wrong_type(key, value, "a string in quotes"));
        };
        let text = text.trim();
        if text.is_empty() {
            return Err(self.error_at(
                key,
                format!("{key} is empty"),
                "write something between the quotes, or leave the key out",
            ));
        }
        Ok(Some(text.to_owned()))
    }

    /// A list of strings, empty if the key is absent.
    pub fn strings(&self, key: &str) -> Result<Vec<String>, RequestError> {
        let Some(value) = self.get(key) else { return Ok(Vec::new()) };
        let right = "a list of strings: [\"one\", \"two\"]";
        let DeValue::Array(items) = value.get_ref() else {
            return Err(self.wrong_type(key, value, right));
        };
        items
            .iter()
            .map(|item| match item.get_ref() {
                DeValue::String(text) if !text.trim().is_empty() => Ok(text.trim().to_owned()),
                _ => Err(self.wrong_type(key, item, right)),
            })
            .collect()
    }

    /// A finite number within `range`, which is given in `unit`.
    pub fn number(
        &self,
        key: &str,
        range: RangeInclusive<f64>,
        unit: &str,
    ) -> Result<Option<f64>, RequestError> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let parsed: Option<f64> = match value.get_ref() {
            DeValue::Integer(integer) => {
                i64::from_str_radix(integer.as_str(), integer.radix()).ok().map(|v| v as f64)
            }
            DeValue::Float(float) => float.as_str().parse().ok(),
            _ => {
                return Err(self.wrong_type(
                    key,
                    value,
                    &format!("a number of {unit}, without quotes"),
                ));
            }
        };
        match parsed {
            Some(number) if range.contains(&number) => Ok(Some(number)),
            _ => Err(self.error_at(
                key,
                format!("{key} = {} is out of range", self.written(value)),
                format!("accepted: {} to {} {unit}", range.start(), range.end()),
            )),
        }
    }

    /// A boolean.
    ///
    /// # Errors
    /// The value is none.
    pub fn boolean(&self, key: &str) -> Result<Option<bool>, RequestError> {
        let Some(value) = self.get(key) else { return Ok(None) };
        match value.get_ref() {
            DeValue::Boolean(boolean) => Ok(Some(*boolean)),
            _ => Err(self.wrong_type(key, value, "true or false, without quotes")),
        }
    }

    /// An integer within `range`.
    pub fn integer(
        &self,
        key: &str,
        range: RangeInclusive<u32>,
    ) -> Result<Option<u32>, RequestError> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let DeValue::Integer(integer) = value.get_ref() else {
            return Err(self.wrong_type(key, value, "an integer, without quotes"));
        };
        match u32::from_str_radix(integer.as_str(), integer.radix()) {
            Ok(number) if range.contains(&number) => Ok(Some(number)),
            _ => Err(self.error_at(
                key,
                format!("{key} = {} is out of range", self.written(value)),
                format!("accepted: {} to {}", range.start(), range.end()),
            )),
        }
    }

    /// A date and time with offset, in quotes or bare.
    pub fn instant(&self, key: &str) -> Result<Option<jiff::Timestamp>, RequestError> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let text = match value.get_ref() {
            DeValue::String(text) => text.trim().to_owned(),
            DeValue::Datetime(date) => date.to_string(),
            _ => return Err(self.wrong_type(key, value, "a date: 2026-08-01T12:00:00Z")),
        };
        text.parse().map(Some).map_err(|_| {
            self.error_at(
                key,
                format!("{key} = {text} is no instant"),
                "write date, time and offset from UTC: 2026-08-01T12:00:00Z",
            )
        })
    }

    /// A table of words: strings, integers, true or false. Empty if the key is absent.
    pub fn words(&self, key: &str) -> Result<BTreeMap<String, String>, RequestError> {
        let Some(value) = self.get(key) else { return Ok(BTreeMap::new()) };
        let DeValue::Table(table) = value.get_ref() else {
            return Err(self.wrong_type(key, value, "a table: { frame_size = 223 }"));
        };
        table
            .iter()
            .map(|(word, value)| {
                let text = match value.get_ref() {
                    DeValue::String(text) => text.trim().to_owned(),
                    DeValue::Integer(integer) if integer.radix() == 10 => {
                        integer.as_str().to_owned()
                    }
                    DeValue::Boolean(truth) => truth.to_string(),
                    _ => {
                        let key = format!("{key}.{}", word.get_ref());
                        return Err(self.wrong_type(&key, value, "a string or an integer"));
                    }
                };
                Ok((word.get_ref().clone().into_owned(), text))
            })
            .collect()
    }

    /// A table of its own, which takes the keys in `known`.
    pub fn table(
        &self,
        key: &str,
        known: &[&str],
    ) -> Result<Option<Section<'d, 't>>, RequestError> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let DeValue::Table(table) = value.get_ref() else {
            return Err(self.wrong_type(key, value, &format!("a table: [{key}]")));
        };
        Section::new(self.place, value.span().start, table, known).map(Some)
    }

    /// A list of tables; the keys that each takes may depend on its content.
    pub fn tables(
        &self,
        key: &str,
        known: impl Fn(Option<&str>) -> &'static [&'static str],
    ) -> Result<Vec<Section<'d, 't>>, RequestError> {
        let Some(value) = self.get(key) else { return Ok(Vec::new()) };
        let right = format!("a list of tables, each under [[{key}]]");
        let DeValue::Array(items) = value.get_ref() else {
            return Err(self.wrong_type(key, value, &right));
        };
        items
            .iter()
            .map(|item| match item.get_ref() {
                DeValue::Table(table) => {
                    let kind = match table.get("kind").map(Spanned::get_ref) {
                        Some(DeValue::String(kind)) => Some(kind.as_ref()),
                        _ => None,
                    };
                    Section::new(self.place, item.span().start, table, known(kind))
                }
                _ => Err(self.wrong_type(key, item, &right)),
            })
            .collect()
    }

    /// A value as it is written in the file.
    fn written(&self, value: &Spanned<DeValue<'_>>) -> &'d str {
        self.place.text.get(value.span()).unwrap_or("…")
    }
}
