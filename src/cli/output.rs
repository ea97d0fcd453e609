//! Where frames go, what is shown while they come, and what is said in the end.

use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use jiff::Timestamp;
use tulpar::RequestError;
use tulpar::catalogue::flowgraph_file::SinkRequest;
use tulpar::doppler::lookout::Lookout;
use tulpar::framing::Reject;
use tulpar::runtime::status::Snapshot;
use tulpar::runtime::{Session, Summary};
use tulpar::sink::Sink;
use tulpar::sink::jsonl::JsonLinesSink;
use tulpar::sink::kiss_file::KissFileSink;
use tulpar::sink::text::TextSink;
use tulpar::sink::udp::UdpSink;
use tulpar::source::SourceInfo;

use super::{Outcome, log, status_line};

/// How often the bar is painted.
const PAINTED: Duration = Duration::from_millis(100);

/// A signal so soon after the first one is the same request.
const ECHO: Duration = Duration::from_secs(1);

/// Arguments that say where frames go.
#[derive(clap::Args, Clone)]
pub struct OutputArguments {
    /// Print frames as JSON, one object per line, instead of text
    #[arg(long, help_heading = "Output")]
    pub json: bool,
    /// Send each frame as a datagram: its bytes and nothing else; may be repeated
    #[arg(long, value_name = "HOST:PORT", help_heading = "Output")]
    pub udp: Vec<String>,
    /// Write frames to a KISS file
    #[arg(long, value_name = "PATH", help_heading = "Output")]
    pub kiss_file: Option<String>,
    /// Precede each KISS frame by its time, as gr-satellites does
    #[arg(long, requires = "kiss_file", help_heading = "Output")]
    pub kiss_timestamps: bool,
    /// Say nothing on standard error but errors
    #[arg(long, short, help_heading = "Output")]
    pub quiet: bool,
}

impl OutputArguments {
    /// Opens every sink: those of the command line, and those of a flowgraph file. Standard output
    /// gets frames unless only the file names sinks, and none of them is standard output.
    pub fn open(
        &self,
        requests: &[SinkRequest],
        screen: &Screen,
    ) -> Result<Vec<Box<dyn Sink>>, RequestError> {
        let mut sinks: Vec<Box<dyn Sink>> = Vec::new();
        let printing = |request: &SinkRequest| {
            matches!(
                request,
                SinkRequest::JsonLines { path: None } | SinkRequest::Text { path: None }
            )
        };
        if self.json || requests.is_empty() {
            sinks.push(printed(self.json, screen));
        }
        for target in &self.udp {
            sinks.push(Box::new(UdpSink::open(target)?));
        }
        if let Some(path) = &self.kiss_file {
            sinks.push(Box::new(KissFileSink::create(path, self.kiss_timestamps)?));
        }
        // --json says how to print; the file's own wish to print would print everything twice.
        for request in requests.iter().filter(|r| !(self.json && printing(r))) {
            sinks.push(match request {
                SinkRequest::Udp { target } => {
                    Box::new(UdpSink::open(target).map_err(|e| of_file("udp", e))?)
                }
                SinkRequest::KissFile { path } => Box::new(
                    KissFileSink::create(path, false).map_err(|e| of_file("kiss-file", e))?,
                ),
                SinkRequest::JsonLines { path: None } => printed(true, screen),
                SinkRequest::Text { path: None } => printed(false, screen),
                SinkRequest::JsonLines { path: Some(path) } => {
                    Box::new(JsonLinesSink::new(path.clone(), create(path)?))
                }
                SinkRequest::Text { path: Some(path) } => {
                    Box::new(TextSink::new(path.clone(), create(path)?))
                }
            });
        }
        Ok(sinks)
    }
}

/// An error about a sink of a flowgraph file, which is no option of the command line.
fn of_file(kind: &str, error: RequestError) -> RequestError {
    RequestError { subject: format!("[[sink]] {kind}"), ..error }
}

fn create(path: &str) -> Result<std::fs::File, RequestError> {
    std::fs::File::create(path).map_err(|error| {
        RequestError::new(path, format!("cannot be created: {error}"), "name a file that can be")
    })
}

fn printed(json: bool, screen: &Screen) -> Box<dyn Sink> {
    let name = "standard output";
    let writer = screen.writer();
    if json {
        Box::new(JsonLinesSink::new(name, writer))
    } else {
        Box::new(TextSink::new(name, writer))
    }
}

/// The terminal: a progress bar on standard error if that is one, frames on standard output.
#[derive(Clone)]
pub struct Screen {
    bar: ProgressBar,
    quiet: bool,
}

impl Screen {
    /// A screen for an input.
    pub fn new(info: &SourceInfo, quiet: bool) -> Self {
        let seconds = info.length_samples.map(|n| (n as f64 / info.sample_rate_hz) as u64);
        Self::with_length(seconds, quiet)
    }

    /// A screen for an input without end.
    pub fn live(quiet: bool) -> Self {
        Self::with_length(None, quiet)
    }

    fn with_length(seconds: Option<u64>, quiet: bool) -> Self {
        let bar = if quiet || !io::stderr().is_terminal() {
            ProgressBar::hidden()
        } else {
            let bar = ProgressBar::new(seconds.unwrap_or(0));
            let template = if seconds.is_some() {
                "{bar:30} {pos}/{len} s  {msg}"
            } else {
                "{spinner} {pos} s  {msg}"
            };
            bar.set_style(
                ProgressStyle::with_template(template)
                    .unwrap_or_else(|_| ProgressStyle::default_bar()),
            );
            log::stay_above(&bar);
            bar
        };
        Self { bar, quiet }
    }

    /// Says one line on standard error, above the bar.
    pub fn say(&self, line: &str) {
        tracing::info!("{line}");
    }

    /// Standard output, above the bar.
    fn writer(&self) -> Printer {
        Printer { bar: self.bar.clone() }
    }
}

/// Writes to standard output without tearing the bar. A reader that has closed the pipe
/// (`tulpar … | head`) has enough; the other sinks go on.
struct Printer {
    bar: ProgressBar,
}

impl Write for Printer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // Only a terminal has both; a pipe that nobody reads must not hold the bar.
        let written = match io::stdout().is_terminal() {
            true => self.bar.suspend(|| io::stdout().write(bytes)),
            false => io::stdout().write(bytes),
        };
        unless_closed(written, bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        unless_closed(io::stdout().flush(), ())
    }
}

fn unless_closed<T>(result: io::Result<T>, otherwise: T) -> io::Result<T> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(otherwise),
        result => result,
    }
}

/// A flag that Ctrl-C or a request to terminate sets: what was read is then still decoded and
/// delivered. The second time the program ends at once; what comes within [`ECHO`] of the first is the
/// same request (a terminal and a service manager both tell a group of processes).
pub fn stop_on_signal(screen: &Screen) -> Arc<AtomicBool> {
    let stop = Arc::new(AtomicBool::new(false));
    let (flag, speaker) = (stop.clone(), screen.clone());
    // Without the handler a signal ends the program as usual.
    let mut first = None;
    let _ = ctrlc::set_handler(move || match request(&mut first, Instant::now()) {
        Request::End => {
            flag.store(true, Ordering::Relaxed);
            speaker.say("stopping: what has come is decoded; once more to end at once");
        }
        Request::Echo => {}
        Request::EndAtOnce => std::process::exit(130),
    });
    stop
}

/// What a signal means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Request {
    End,
    Echo,
    EndAtOnce,
}

/// `first`: when the first one came.
fn request(first: &mut Option<Instant>, now: Instant) -> Request {
    match first {
        None => {
            *first = Some(now);
            Request::End
        }
        Some(first) if now.saturating_duration_since(*first) < ECHO => Request::Echo,
        Some(_) => Request::EndAtOnce,
    }
}

/// Runs a session with a progress bar.
pub fn run(session: Session, screen: &Screen) -> anyhow::Result<Summary> {
    run_with(session, screen, status_line::frames)
}

/// Runs a session with a radio, with a status line. `lookout`: over the satellite, if there is one.
pub fn run_live(
    session: Session,
    screen: &Screen,
    mut lookout: Option<Lookout>,
) -> anyhow::Result<Summary> {
    let (status, speaker) = (session.status.clone(), screen.clone());
    let mut reporter = status_line::Reporter::default();
    run_with(session, screen, move |shown| {
        if let Some(line) = reporter.report(shown, Instant::now()).filter(|_| !speaker.quiet) {
            tracing::warn!("{line}");
        }
        let now = Timestamp::now();
        let overhead = lookout.as_mut().and_then(|lookout| lookout.at(now));
        status.set_overhead(overhead);
        status_line::live(&Snapshot { overhead, ..shown.clone() }, now)
    })
}

/// Runs a session; `line` is asked some times a second for what is shown beside the bar.
fn run_with(
    mut session: Session,
    screen: &Screen,
    mut line: impl FnMut(&Snapshot) -> String + Send + 'static,
) -> anyhow::Result<Summary> {
    let status = session.status.clone();
    session.on_sink_error = Arc::new(|text| tracing::warn!("{text}"));
    let (ended, end) = crossbeam_channel::bounded::<()>(0);
    let bar = screen.bar.clone();
    let painter = std::thread::Builder::new().name("status".into()).spawn(move || {
        while end.recv_timeout(PAINTED).is_err_and(|e| e.is_timeout()) {
            let shown = status.snapshot();
            bar.set_message(line(&shown));
            let rate_hz = shown.input.sample_rate_hz.max(1e-9);
            bar.set_position((shown.input.samples as f64 / rate_hz) as u64);
        }
        bar.finish_and_clear();
    })?;
    let summary = session.run();
    drop(ended);
    let _ = painter.join();
    Ok(summary?)
}

/// Says what became of a session, and whether all of it went well.
/// `live`: there is a radio that could be set otherwise.
pub fn conclude(summary: &Summary, screen: &Screen, quiet: bool, live: bool) -> Outcome {
    if let Some(text) = &summary.source_failure {
        tracing::error!("reading stopped early: {text}");
    }
    for downlink in &summary.downlinks {
        if let Some(text) = &downlink.failure {
            tracing::error!("a downlink stopped early: {text}");
        }
    }
    if !quiet {
        let mut line = summary_line(summary);
        if let Some(farthest) = summary.why_no_frame() {
            line += &format!("; {}; {}", farthest.seen(), farthest.advice(live));
        }
        screen.say(&line);
    }
    if summary.is_clean() { Outcome::Done } else { Outcome::Failed }
}

fn summary_line(summary: &Summary) -> String {
    let plural = if summary.frames == 1 { "" } else { "s" };
    let speed = summary.signal_s / summary.elapsed_s.max(1e-9);
    let mut line = format!(
        "{} frame{plural} in {:.1} s of signal; took {:.2} s ({speed:.0}× real time)",
        summary.frames, summary.signal_s, summary.elapsed_s
    );
    let rejected: Vec<String> = Reject::ALL
        .iter()
        .map(|why| (why, summary.downlinks.iter().map(|d| d.counts.rejected(*why)).sum::<u64>()))
        .filter(|(_, count)| *count > 0)
        .map(|(why, count)| {
            let word = match why {
                Reject::Length => "length",
                Reject::Header => "header",
                Reject::Check => "check",
                Reject::Uncorrectable => "uncorrectable",
            };
            format!("{count} {word}")
        })
        .collect();
    if !rejected.is_empty() {
        line += &format!("; candidates rejected: {}", rejected.join(", "));
    }
    let doubtful: u64 = summary.downlinks.iter().map(|d| d.counts.doubtful).sum();
    if doubtful > 0 {
        line += &format!("; {doubtful} doubtful left out (--effort doubtful shows them)");
    }
    let restarts: u32 = summary.downlinks.iter().map(|d| d.restarts).sum();
    if restarts > 0 {
        line += &format!("; receivers were started anew {restarts}×");
    }
    for sink in summary.sinks.iter().filter(|s| s.failed > 0) {
        line += &format!("; {} not delivered to {}", sink.failed, sink.name);
    }
    let rate_hz = summary.samples as f64 / summary.signal_s.max(1e-9);
    for (samples, what) in [
        (summary.missing_samples, "missing in the input"),
        (summary.lost_samples, "lost, since this computer was too slow"),
    ] {
        if samples > 0 {
            line += &format!("; {:.3} s {what}", samples as f64 / rate_hz);
        }
    }
    if summary.behind_s > 0.1 {
        line += &format!("; was up to {:.2} s behind real time", summary.behind_s);
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_that_comes_twice_at_once_is_one_request() {
        let (mut first, now) = (None, Instant::now());
        let after = |ms| now + Duration::from_millis(ms);
        assert_eq!(request(&mut first, now), Request::End);
        assert_eq!(request(&mut first, after(3)), Request::Echo);
        assert_eq!(request(&mut first, after(900)), Request::Echo);
        assert_eq!(request(&mut first, after(1100)), Request::EndAtOnce);
    }
}
