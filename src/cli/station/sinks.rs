//! Where the frames of a station go: as a receiver's sinks, but files are appended to.

use std::fs::File;
use std::io::{Error, stdout};
use std::time::{Duration, Instant};

use tulpar::RequestError;
use tulpar::catalogue::flowgraph_file::SinkRequest;
use tulpar::frame::Frame;
use tulpar::sink::jsonl::JsonLinesSink;
use tulpar::sink::kiss_file::KissFileSink;
use tulpar::sink::text::TextSink;
use tulpar::sink::udp::UdpSink;
use tulpar::sink::{Sink, SinkError};

use super::pass::Say;

/// Opening a sink that could not be opened is tried again after so long.
const AGAIN: Duration = Duration::from_secs(5);

/// A sink that could not be opened: with the frames, it is tried again.
pub struct Later {
    request: SinkRequest,
    name: String,
    tried: Instant,
    opened: Option<Box<dyn Sink>>,
}

impl Later {
    /// For a sink that could not be opened now.
    pub fn new(request: &SinkRequest) -> Self {
        let name = match request {
            SinkRequest::Udp { target } => format!("udp {target}"),
            SinkRequest::KissFile { path } => path.clone(),
            SinkRequest::JsonLines { path } | SinkRequest::Text { path } => {
                path.clone().unwrap_or_else(|| PRINTED.to_owned())
            }
        };
        Self { request: request.clone(), name, tried: Instant::now(), opened: None }
    }
}

impl Sink for Later {
    fn name(&self) -> &str {
        &self.name
    }

    fn write(&mut self, frame: &Frame) -> Result<(), SinkError> {
        let error = |text: String| SinkError { name: self.name.clone(), cause: Error::other(text) };
        if self.opened.is_none() {
            if self.tried.elapsed() < AGAIN {
                return Err(error("could not be opened".to_owned()));
            }
            self.tried = Instant::now();
            self.opened = Some(open(&self.request).map_err(|e| error(e.wrong))?);
        }
        self.opened.as_mut().map_or(Ok(()), |sink| sink.write(frame))
    }

    fn flush(&mut self) -> Result<(), SinkError> {
        self.opened.as_mut().map_or(Ok(()), |sink| sink.flush())
    }
}

/// Says each frame in hex: where it cannot be kept it can at least be read.
pub struct Spoken(pub Say);

impl Sink for Spoken {
    fn name(&self) -> &str {
        "log"
    }

    fn write(&mut self, frame: &Frame) -> Result<(), SinkError> {
        let hex: String = frame.bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let satellite = frame.origin.satellite.as_deref().unwrap_or("?");
        let time = frame.time.map_or("?".to_owned(), |time| format!("{time:.3}"));
        (self.0)(&format!("frame {satellite} {time} {hex}"));
        Ok(())
    }

    fn flush(&mut self) -> Result<(), SinkError> {
        Ok(())
    }
}

const PRINTED: &str = "standard output";

/// Opens a sink.
///
/// # Errors
/// It cannot be written to.
pub fn open(request: &SinkRequest) -> Result<Box<dyn Sink>, RequestError> {
    let of_file = |kind: &str, error: RequestError| RequestError {
        subject: format!("[[sink]] {kind}"),
        ..error
    };
    Ok(match request {
        SinkRequest::Udp { target } => {
            Box::new(UdpSink::open(target).map_err(|error| of_file("udp", error))?)
        }
        SinkRequest::KissFile { path } => {
            Box::new(KissFileSink::append_to(path).map_err(|error| of_file("kiss-file", error))?)
        }
        SinkRequest::JsonLines { path: Some(path) } => {
            Box::new(JsonLinesSink::new(path.clone(), append_to(path)?))
        }
        SinkRequest::Text { path: Some(path) } => {
            Box::new(TextSink::new(path.clone(), append_to(path)?))
        }
        SinkRequest::JsonLines { path: None } => Box::new(JsonLinesSink::new(PRINTED, stdout())),
        SinkRequest::Text { path: None } => Box::new(TextSink::new(PRINTED, stdout())),
    })
}

fn append_to(path: &str) -> Result<File, RequestError> {
    File::options().create(true).append(true).open(path).map_err(|error| {
        let wrong = format!("cannot be written ({error})");
        RequestError::new(path, wrong, "name a file in a folder that can be written")
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use std::sync::Arc;

    use tulpar::frame::Check;

    use super::*;

    #[test]
    fn a_sink_that_cannot_be_opened_now_is_opened_later() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("later").join("a.txt").display().to_string();
        let request = SinkRequest::Text { path: Some(path.clone()) };
        assert!(open(&request).is_err());
        let mut sink = Later::new(&request);
        assert_eq!(sink.name(), path);
        let frame = Frame {
            bytes: vec![1, 2],
            origin: Arc::default(),
            first_sample: 0,
            end_sample: 0,
            time: None,
            frequency_offset_hz: 0.0,
            doppler_hz: None,
            esn0_db: 10.0,
            check: Check::Crc,
            corrected_symbols: None,
            corrected_bits: None,
            repaired_bits: None,
            log_odds: None,
        };
        assert!(sink.write(&frame).is_err());
        std::fs::create_dir(folder.path().join("later")).unwrap();
        assert!(sink.write(&frame).is_err() && sink.flush().is_ok());
        sink.tried = Instant::now().checked_sub(AGAIN).unwrap();
        sink.write(&frame).unwrap();
        sink.flush().unwrap();
        assert!(!std::fs::read(&path).unwrap().is_empty());
    }
}
