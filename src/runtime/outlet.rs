//! From the collector to the sinks: one thread and one bounded queue each.
//!
//! Replaying a recording, a slow sink is waited for. A sink that fails is reported once; frames
//! that it misses are counted, and the others go on.

use std::sync::Arc;
use std::thread::JoinHandle;

use crossbeam_channel::{Sender, bounded};

use crate::frame::Frame;
use crate::sink::Sink;

/// Frames in a sink's queue.
const QUEUE_FRAMES: usize = 256;

/// What became of a sink.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SinkReport {
    /// The sink and its target.
    pub name: String,
    /// Frames delivered.
    pub delivered: u64,
    /// Frames that could not be delivered.
    pub failed: u64,
    /// The first failure.
    pub first_error: Option<String>,
}

/// A sink on its thread.
pub struct Outlet {
    queue: Sender<Arc<Frame>>,
    thread: JoinHandle<SinkReport>,
}

impl Outlet {
    /// Starts a thread for `sink`. `on_error` is called there, once, at its first failure.
    ///
    /// # Errors
    /// The system has no thread to give.
    pub fn start(
        sink: Box<dyn Sink>,
        on_error: impl Fn(&str) + Send + 'static,
    ) -> std::io::Result<Self> {
        let (queue, frames) = bounded::<Arc<Frame>>(QUEUE_FRAMES);
        let thread = std::thread::Builder::new().name("sink".into()).spawn(move || {
            let mut report = SinkReport {
                name: sink.name().to_owned(),
                delivered: 0,
                failed: 0,
                first_error: None,
            };
            let mut sink = sink;
            while let Ok(frame) = frames.recv() {
                let written = super::guard(|| sink.write(&frame).map_err(|e| e.to_string()));
                match written.and_then(|w| w) {
                    Ok(()) => report.delivered += 1,
                    Err(text) => {
                        report.failed += 1;
                        if report.first_error.is_none() {
                            on_error(&text);
                            report.first_error = Some(text);
                        }
                    }
                }
            }
            let flushed = super::guard(|| sink.flush().map_err(|e| e.to_string()));
            if let Err(text) = flushed.and_then(|f| f)
                && report.first_error.is_none()
            {
                on_error(&text);
                report.first_error = Some(text);
            }
            report
        })?;
        Ok(Self { queue, thread })
    }

    /// Hands a frame on, waiting while the queue is full.
    pub fn send(&self, frame: &Arc<Frame>) {
        let _ = self.queue.send(frame.clone());
    }

    /// Delivers what is queued and ends the thread.
    pub fn finish(self) -> SinkReport {
        drop(self.queue);
        self.thread.join().unwrap_or_else(|_| SinkReport {
            name: "sink".to_owned(),
            delivered: 0,
            failed: 0,
            first_error: Some("its thread ended unexpectedly".to_owned()),
        })
    }
}
