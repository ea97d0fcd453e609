//! Where the frames of a station go: as a receiver's sinks, but files are appended to.

use std::fs::File;
use std::io::stdout;

use tulpar::RequestError;
use tulpar::catalogue::flowgraph_file::SinkRequest;
use tulpar::frame::Frame;
use tulpar::sink::jsonl::JsonLinesSink;
use tulpar::sink::kiss_file::KissFileSink;
use tulpar::sink::text::TextSink;
use tulpar::sink::udp::UdpSink;
use tulpar::sink::{Sink, SinkError};

use super::pass::Say;

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
