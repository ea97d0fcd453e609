//! The source's thread: reads, and does nothing else.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::feed::Feed;
use super::session::Pace;
use super::status::Status;
use crate::dsp::level::Level;
use crate::source::Source;

/// What the source's thread has to say in the end.
#[derive(Debug, Default)]
pub(super) struct Read {
    pub samples: u64,
    pub level: Level,
    pub missing: u64,
    pub lost: u64,
    pub behind: Duration,
    pub failure: Option<String>,
    pub warnings: Vec<String>,
    pub replaced_values: u64,
}

/// Reads to the end, or until it is told to stop.
pub(super) fn read(
    mut source: Box<dyn Source>,
    feed: Feed,
    status: &Status,
    stop: &AtomicBool,
    block_samples: usize,
    pace: Pace,
) -> Read {
    let mut read = read_blocks(&mut *source, feed, status, stop, block_samples, pace);
    read.warnings.clone_from(&source.info().warnings);
    read.replaced_values = source.replaced_values();
    read
}

fn read_blocks(
    source: &mut dyn Source,
    mut feed: Feed,
    status: &Status,
    stop: &AtomicBool,
    block_samples: usize,
    pace: Pace,
) -> Read {
    let started = Instant::now();
    let sample_rate_hz = source.info().sample_rate_hz;
    let mut read = Read::default();
    let mut next_sample = None;
    while !stop.load(Ordering::Relaxed) {
        let mut block = feed.pool.take();
        match source.read(&mut block, block_samples) {
            Ok(true) => {}
            Ok(false) => return read,
            Err(error) => {
                read.failure = Some(error.to_string());
                return read;
            }
        }
        read.samples += block.samples.len() as u64;
        read.missing += next_sample.map_or(0, |next| block.first_sample.saturating_sub(next));
        next_sample = Some(block.first_sample + block.samples.len() as u64);
        read.level.add(&status.read(&block));
        if pace == Pace::RealTime {
            let due = Duration::from_secs_f64(read.samples as f64 / sample_rate_hz);
            match due.checked_sub(started.elapsed()) {
                Some(early) => std::thread::sleep(early),
                None => read.behind = read.behind.max(started.elapsed() - due),
            }
        }
        let listened = if pace == Pace::Live {
            let listened = feed.offer(block);
            read.lost = feed.lost_samples();
            listened
        } else {
            feed.publish(block, stop)
        };
        status.lost(read.missing, read.lost);
        if !listened {
            return read;
        }
    }
    read
}
