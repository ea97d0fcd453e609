//! What is said on standard error: one line an event, for people or, as JSON, for journald.
//!
//! ```text
//! tulpar: rtl_tcp://pi: no samples for 2 s; trying to open it again
//! {"time":"2026-03-01T12:00:00.123456Z","level":"warn","message":"rtl_tcp://pi: no samples …"}
//! ```
//!
//! On a terminal lines stay above the status line.

use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};

use indicatif::ProgressBar;
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, MakeWriter};
use tracing_subscriber::registry::LookupSpan;
use tulpar::RequestError;

/// Words of `--log`, besides filters.
const LEVELS: [&str; 5] = ["error", "warn", "info", "debug", "trace"];

/// Arguments that every command takes.
#[derive(clap::Args, Clone, Default)]
pub struct LogArguments {
    /// Say what is at least so important; a list as `warn,tulpar=debug` is a filter by module
    #[arg(long, value_name = "error|warn|info|debug|trace", global = true, help_heading = "Log")]
    log: Option<String>,
    /// How it is written: text, or JSON, one object per line; JSON if it goes to journald and this
    /// is not given
    #[arg(long, value_name = "FORMAT", value_enum, global = true, help_heading = "Log")]
    log_format: Option<Format>,
}

/// Words of `--log-format`.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// The status line that lines must not tear, if there is one.
static BAR: Mutex<Option<ProgressBar>> = Mutex::new(None);

/// Lines stay above this bar from now on.
pub fn stay_above(bar: &ProgressBar) {
    *BAR.lock().unwrap_or_else(PoisonError::into_inner) = Some(bar.clone());
}

/// There is no status line any more.
pub fn leave() {
    if let Some(bar) = BAR.lock().unwrap_or_else(PoisonError::into_inner).take() {
        bar.finish_and_clear();
    }
}

/// Says from now on what is asked for.
///
/// # Errors
/// The request is wrong; what is said without one is said.
pub fn start(arguments: &LogArguments) -> Result<(), RequestError> {
    let of_word = |word: &str| match word {
        "error" | "warn" | "info" => format!("error,tulpar={word},soapysdr=off"),
        "debug" | "trace" => format!("info,tulpar={word}"),
        // An error is always said.
        filter => format!("error,{filter}"),
    };
    let is_filter = |word: &str| LEVELS.contains(&word) || word.contains(['=', ',']);
    let parse = |word: &str| {
        let filter = is_filter(word).then(|| EnvFilter::try_new(of_word(word)).ok()).flatten();
        filter.ok_or_else(|| {
            let right = format!("write {}", LEVELS.join(", "));
            RequestError::new(format!("--log {word}"), "is no level and no filter", right)
        })
    };
    let (filter, wrong) = match arguments.log.as_deref().map(parse) {
        Some(Ok(filter)) => (Some(filter), None),
        Some(Err(error)) => (None, Some(error)),
        None => (std::env::var("TULPAR_LOG").ok().and_then(|word| parse(&word).ok()), None),
    };
    let filter = filter.unwrap_or_else(|| EnvFilter::new(of_word("info")));
    let format = arguments.log_format.unwrap_or(if journald_listens() {
        Format::Json
    } else {
        Format::Text
    });
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .event_format(Lines(format))
        .with_writer(Stderr)
        .try_init();
    wrong.map_or(Ok(()), Err)
}

/// Says one line; debugging has words of its own.
pub fn say(level: Level, line: &str) {
    match level {
        Level::ERROR => tracing::error!("{line}"),
        Level::WARN => tracing::warn!("{line}"),
        _ => tracing::info!("{line}"),
    }
}

/// Whether standard error is the stream to journald that systemd has made: `JOURNAL_STREAM` holds
/// its device and inode.
fn journald_listens() -> bool {
    let Ok(stream) = std::env::var("JOURNAL_STREAM") else { return false };
    let Some((device, inode)) = stream.split_once(':') else { return false };
    is_standard_error(device, inode)
}

#[cfg(unix)]
fn is_standard_error(device: &str, inode: &str) -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/dev/fd/2").is_ok_and(|metadata| {
        device.parse() == Ok(metadata.dev()) && inode.parse() == Ok(metadata.ino())
    })
}

#[cfg(not(unix))]
fn is_standard_error(_: &str, _: &str) -> bool {
    false
}

/// Standard error, above the status line. If nobody can hear it, so be it.
struct Stderr;

impl MakeWriter<'_> for Stderr {
    type Writer = Stderr;

    fn make_writer(&self) -> Stderr {
        Stderr
    }
}

impl Write for Stderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let bar = BAR.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let write = || {
            let _ = io::stderr().write_all(bytes);
        };
        match bar {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes events as lines.
struct Lines(Format);

/// The message and the fields of an event.
#[derive(Default)]
struct Content {
    message: String,
    fields: Map<String, Value>,
}

impl Content {
    fn put(&mut self, field: &Field, value: Value) {
        if field.name() == "message" {
            self.message = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        } else if !field.name().starts_with("log.") {
            // The bridge from the crate `log` says where it was said.
            let taken = ["time", "level", "target"].contains(&field.name());
            let name = if taken { format!("{}_", field.name()) } else { field.name().to_owned() };
            self.fields.insert(name, value);
        }
    }
}

impl Visit for Content {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.put(field, format!("{value:?}").into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> std::fmt::Result {
        let mut content = Content::default();
        event.record(&mut content);
        let metadata = event.metadata();
        let line = match self.0 {
            Format::Text => text(*metadata.level(), metadata.target(), &content),
            Format::Json => json_line(*metadata.level(), metadata.target(), content),
        };
        writeln!(writer, "{line}")
    }
}

fn word(level: Level) -> &'static str {
    match level {
        Level::ERROR => "error",
        Level::WARN => "warn",
        Level::INFO => "info",
        Level::DEBUG => "debug",
        Level::TRACE => "trace",
    }
}

/// For people: who speaks; what only somebody reads who looks for it says where it comes from.
fn text(level: Level, target: &str, content: &Content) -> String {
    let mut line = "tulpar: ".to_owned();
    if level > Level::INFO {
        line += &format!("{} {target}: ", word(level));
    }
    line += &content.message;
    for (name, value) in &content.fields {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        line += &format!("; {name} {value}");
    }
    line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// For programs: time, level, where it comes from, message, and the fields beside them.
fn json_line(level: Level, target: &str, content: Content) -> String {
    let record = Record {
        time: format!("{:.6}", jiff::Timestamp::now()),
        level: word(level),
        target,
        message: &content.message,
        fields: content.fields,
    };
    serde_json::to_string(&record).unwrap_or_default()
}

/// A line of JSON.
#[derive(serde::Serialize)]
struct Record<'a> {
    time: String,
    level: &'a str,
    target: &'a str,
    message: &'a str,
    /// Those that are named as none of the above.
    #[serde(flatten)]
    fields: Map<String, Value>,
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use serde_json::json;

    use super::*;

    fn content() -> Content {
        let mut content = Content { message: "lost\n\"it\"".into(), fields: Map::new() };
        content.fields.insert("samples".into(), json!(12));
        content.fields.insert("radio".into(), json!("no"));
        content
    }

    #[test]
    fn a_line_is_a_line() {
        let line = text(Level::WARN, "tulpar::x", &content());
        assert_eq!(line, "tulpar: lost \"it\"; radio no; samples 12");
        assert!(
            text(Level::DEBUG, "tulpar::x", &content()).starts_with("tulpar: debug tulpar::x: ")
        );
        let line = json_line(Level::WARN, "tulpar::x", content());
        assert!(line.starts_with("{\"time\":\"") && !line.contains('\n'));
        let read: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(read["message"], "lost\n\"it\"");
        assert_eq!((&read["level"], &read["samples"]), (&json!("warn"), &json!(12)));
        assert!(read["time"].as_str().unwrap().parse::<jiff::Timestamp>().is_ok());
    }
}
