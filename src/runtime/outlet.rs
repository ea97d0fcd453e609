//! From the collector to the sinks: one thread and one bounded queue each.
//!
//! Reading as fast as possible, a slow sink is waited for. In real time it is not: frames that its
//! queue has no room for are lost to it alone, counted and said. A sink that fails is reported once;
//! the others go on. One that does not come to its end is left behind, and what is in its queue.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Instant;

use crossbeam_channel::{Sender, TrySendError, bounded};

use super::ending::join_until;
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
    name: String,
    queue: Sender<Arc<Frame>>,
    thread: JoinHandle<SinkReport>,
    on_error: Arc<dyn Fn(&str) + Send + Sync>,
    /// Frames put into the queue, and those of them that were delivered.
    queued: u64,
    delivered: Arc<AtomicU64>,
    /// Frames that the queue had no room for.
    overflowed: u64,
    status: Arc<Status>,
    /// Its number there.
    number: usize,
}

impl Outlet {
    /// Starts a thread for `sink`, which tells `status` what it delivers. `on_error` is called
    /// once, at its first failure, and if it is left behind.
    ///
    /// # Errors
    /// The system has no thread to give.
    pub fn start(
        sink: Box<dyn Sink>,
        status: Arc<Status>,
        on_error: Arc<dyn Fn(&str) + Send + Sync>,
    ) -> std::io::Result<Self> {
        let (name, say) = (sink.name().to_owned(), on_error.clone());
        let delivered = Arc::new(AtomicU64::new(0));
        let count = delivered.clone();
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
                    Ok(()) => {
                        report.delivered += 1;
                        count.store(report.delivered, Ordering::Relaxed);
                    }
                    Err(text) => {
                        report.failed += 1;
                        if report.first_error.is_none() {
                            say(&text);
                            report.first_error = Some(text);
                        }
                    }
                }
            }
            let flushed = super::guard(|| sink.flush().map_err(|e| e.to_string()));
            if let Err(text) = flushed.and_then(|f| f)
                && report.first_error.is_none()
            {
                say(&text);
                report.first_error = Some(text);
            }
            report
        })?;
        Ok(Self {
            name,
            queue,
            thread,
            on_error,
            queued: 0,
            delivered,
            overflowed: 0,
            status,
            number,
        })
    }

    /// Hands a frame on. While the queue is full, waits or counts the frame as lost.
    pub fn send(&mut self, frame: &Arc<Frame>, wait: bool) {
        if wait {
            let _ = self.queue.send(frame.clone());
        } else if let Err(TrySendError::Full(_)) = self.queue.try_send(frame.clone()) {
            self.overflowed += 1;
            self.status.overflowed(self.number);
            return;
        }
        self.queued += 1;
    }

    /// Delivers what is queued and ends the threads. What has not ended by `until` is left behind;
    /// `None` waits for as long as it takes.
    pub fn finish(outlets: Vec<Self>, until: Option<Instant>) -> Vec<SinkReport> {
        // All of them at once, so that one that hangs does not take the others' time.
        let ending: Vec<_> = outlets.into_iter().map(Self::close).collect();
        ending.into_iter().map(|end| end(until)).collect()
    }

    /// Nothing more comes. What is returned waits for the thread.
    fn close(self) -> impl FnOnce(Option<Instant>) -> SinkReport {
        let Self { name, queue, thread, on_error, queued, delivered, overflowed, .. } = self;
        drop(queue);
        move |until| {
            let broken = |name: String, what: &str| {
                let delivered = delivered.load(Ordering::Relaxed);
                let failed = queued.saturating_sub(delivered);
                let first_error = Some(format!("{name}: {what}"));
                SinkReport { name, delivered, failed, first_error }
            };
            let mut report = match join_until(thread, until) {
                Some(Ok(report)) => report,
                Some(Err(_)) => broken(name, "its thread ended unexpectedly"),
                None => {
                    let report = broken(name, "does not answer, and is left behind");
                    report.first_error.iter().for_each(|text| on_error(text));
                    report
                }
            };
            report.failed += overflowed;
            if overflowed > 0 && report.first_error.is_none() {
                report.first_error = Some(format!("{}: too slow for the frames", report.name));
            }
            report
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

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

    fn silent() -> Arc<dyn Fn(&str) + Send + Sync> {
        Arc::new(|_| {})
    }

    fn finish(outlet: Outlet, until: Option<Instant>) -> SinkReport {
        Outlet::finish(vec![outlet], until).remove(0)
    }

    fn frame() -> Arc<Frame> {
        Arc::new(Frame { bytes: vec![1], end_sample: 1, check: Check::Crc, ..bare_frame() })
    }

    #[test]
    fn a_stalled_sink_loses_frames_in_real_time_and_says_so() {
        let (go, wait) = mpsc::channel();
        let mut outlet = Outlet::start(Box::new(Slow(wait)), Arc::default(), silent()).unwrap();
        let sent = QUEUE_FRAMES as u64 + 100;
        for _ in 0..sent {
            outlet.send(&frame(), false);
        }
        drop(go);
        let report = finish(outlet, None);
        assert_eq!(report.delivered + report.failed, sent);
        assert!(report.failed >= 99, "{report:?}");
        assert!(report.first_error.is_some());
    }

    #[test]
    fn a_slow_sink_is_waited_for_otherwise() {
        let (go, wait) = mpsc::channel();
        let mut outlet = Outlet::start(Box::new(Slow(wait)), Arc::default(), silent()).unwrap();
        let sent = QUEUE_FRAMES as u64 + 100;
        let helper = std::thread::spawn(move || (0..sent).try_for_each(|_| go.send(())));
        for _ in 0..sent {
            outlet.send(&frame(), true);
        }
        let _ = helper.join();
        let report = finish(outlet, None);
        assert_eq!((report.delivered, report.failed), (sent, 0));
    }

    #[test]
    fn a_sink_that_hangs_is_left_behind_with_what_it_has() {
        let (go, wait) = mpsc::channel();
        let (said, heard) = mpsc::channel();
        let on_error = Arc::new(move |text: &str| {
            let _ = said.send(text.to_owned());
        });
        let mut outlet = Outlet::start(Box::new(Slow(wait)), Arc::default(), on_error).unwrap();
        (0..5).for_each(|_| outlet.send(&frame(), false));
        go.send(()).unwrap();
        while outlet.delivered.load(Ordering::Relaxed) == 0 {
            std::thread::yield_now();
        }
        let report = finish(outlet, Some(Instant::now() + Duration::from_millis(50)));
        assert_eq!((report.delivered, report.failed), (1, 4));
        assert!(heard.recv().unwrap().contains("slow: does not answer"));
        drop(go);
    }
}
