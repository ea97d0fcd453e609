//! From the collector to the sinks: one thread and one bounded queue each.
//!
//! Reading as fast as possible, a slow sink is waited for. In real time it is not: frames that its
//! queue has no room for are lost to it alone, counted and said. A sink that fails is reported once;
//! the others go on.

use std::sync::Arc;
use std::thread::JoinHandle;

use crossbeam_channel::{Sender, TrySendError, bounded};

use super::status::Status;
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
    /// Frames that the queue had no room for.
    overflowed: u64,
    status: Arc<Status>,
    /// Its number there.
    number: usize,
}

impl Outlet {
    /// Starts a thread for `sink`, which tells `status` what it delivers. `on_error` is called there, once, at its first failure.
    ///
    /// # Errors
    /// The system has no thread to give.
    pub fn start(
        sink: Box<dyn Sink>,
        status: Arc<Status>,
        on_error: impl Fn(&str) + Send + 'static,
    ) -> std::io::Result<Self> {
        let (queue, frames) = bounded::<Arc<Frame>>(QUEUE_FRAMES);
        let number = status.add_sink(sink.name());
        let told = status.clone();
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
                let written = written.and_then(|w| w);
                told.delivered(number, written.is_ok());
                match written {
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
        Ok(Self { queue, thread, overflowed: 0, status, number })
    }

    /// Hands a frame on. While the queue is full, waits or counts the frame as lost.
    pub fn send(&mut self, frame: &Arc<Frame>, wait: bool) {
        if wait {
            let _ = self.queue.send(frame.clone());
        } else if let Err(TrySendError::Full(_)) = self.queue.try_send(frame.clone()) {
            self.overflowed += 1;
            self.status.overflowed(self.number);
        }
    }

    /// Delivers what is queued and ends the thread.
    pub fn finish(self) -> SinkReport {
        drop(self.queue);
        let mut report = self.thread.join().unwrap_or_else(|_| SinkReport {
            name: "sink".to_owned(),
            delivered: 0,
            failed: 0,
            first_error: Some("its thread ended unexpectedly".to_owned()),
        });
        report.failed += self.overflowed;
        if self.overflowed > 0 && report.first_error.is_none() {
            report.first_error = Some(format!("{}: too slow for the frames", report.name));
        }
        report
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::frame::Check;
    use crate::frame::testing::bare_frame;
    use crate::sink::SinkError;

    /// Takes a frame when it is told to.
    struct Slow(mpsc::Receiver<()>);

    impl Sink for Slow {
        fn name(&self) -> &str {
            "slow"
        }

        fn write(&mut self, _frame: &Frame) -> Result<(), SinkError> {
            let _ = self.0.recv();
            Ok(())
        }

        fn flush(&mut self) -> Result<(), SinkError> {
            Ok(())
        }
    }

    fn frame() -> Arc<Frame> {
        Arc::new(Frame { bytes: vec![1], end_sample: 1, check: Check::Crc, ..bare_frame() })
    }

    #[test]
    fn a_stalled_sink_loses_frames_in_real_time_and_says_so() {
        let (go, wait) = mpsc::channel();
        let mut outlet = Outlet::start(Box::new(Slow(wait)), Arc::default(), |_| {}).unwrap();
        let sent = QUEUE_FRAMES as u64 + 100;
        for _ in 0..sent {
            outlet.send(&frame(), false);
        }
        drop(go);
        let report = outlet.finish();
        assert_eq!(report.delivered + report.failed, sent);
        assert!(report.failed >= 99, "{report:?}");
        assert!(report.first_error.is_some());
    }

    #[test]
    fn a_slow_sink_is_waited_for_otherwise() {
        let (go, wait) = mpsc::channel();
        let mut outlet = Outlet::start(Box::new(Slow(wait)), Arc::default(), |_| {}).unwrap();
        let sent = QUEUE_FRAMES as u64 + 100;
        let helper = std::thread::spawn(move || (0..sent).try_for_each(|_| go.send(())));
        for _ in 0..sent {
            outlet.send(&frame(), true);
        }
        let _ = helper.join();
        let report = outlet.finish();
        assert_eq!((report.delivered, report.failed), (sent, 0));
    }
}
