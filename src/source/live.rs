//! Samples out of a socket: what every live stream has in common.
//!
//! A block is handed on as soon as [`GATHER_S`] of samples are there, or when the socket is empty
//! for [`TICK`]. Its place and time come from the [`SampleClock`].

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read};
use std::net::{TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::clock::{Arrival, SampleClock, Watch};
use super::device::{Radio, RadioSettings, STALL};
use super::format::SampleFormat;
use super::{Anchor, SampleBlock, Source, SourceError, SourceInfo};

/// A block is full when it holds so much time.
const GATHER_S: f64 = 0.004;

/// How long a socket is waited for before one looks around.
pub(crate) const TICK: Duration = Duration::from_millis(20);

/// A read that took longer than this had to wait for data.
const WAITED: Duration = Duration::from_micros(100);

/// The most bytes kept; also the largest datagram and more.
const BUFFER_BYTES: usize = 1 << 18;

/// Where bytes come from.
pub(crate) trait Receive: Send {
    /// Bytes come in datagrams of whole samples; otherwise as a stream, of which nothing more means
    /// its end.
    const DATAGRAMS: bool;

    /// Waits for bytes, for about [`TICK`].
    fn receive(&mut self, into: &mut [u8]) -> io::Result<usize>;
}

impl Receive for TcpStream {
    const DATAGRAMS: bool = false;

    fn receive(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.read(into)
    }
}

impl Receive for UdpSocket {
    const DATAGRAMS: bool = true;

    fn receive(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.recv(into)
    }
}

/// A live stream of samples.
pub(crate) struct LiveStream<R> {
    pub info: SourceInfo,
    pub receiver: R,
    format: SampleFormat,
    clock: SampleClock,
    watch: Watch,
    stall: Duration,
    /// When bytes came last.
    heard: Instant,
    stop: Option<Arc<AtomicBool>>,
    /// Frequency at 0 Hz at the next sample.
    centre_frequency_hz: Option<f64>,
    /// Frequencies from samples to come, in their order.
    tunings: VecDeque<(u64, f64)>,
    /// Bytes received and not yet converted are `bytes[start..end]`.
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    /// Bytes still to be thrown away: from before the radio was set up.
    pub skip_bytes: usize,
    /// A failure that waits until the samples before it are handed on.
    failure: Option<io::Error>,
    /// Bytes at the ends of datagrams that are no whole sample.
    stray_bytes: u64,
    overflows: u64,
    replaced: u64,
}

impl<R: Receive> LiveStream<R> {
    /// Samples of `format` that arrive in bursts of about `burst_samples`.
    pub fn new(
        info: SourceInfo,
        receiver: R,
        format: SampleFormat,
        burst_samples: f64,
        centre_frequency_hz: Option<f64>,
        settings: &RadioSettings,
    ) -> Self {
        Self {
            clock: SampleClock::new(info.sample_rate_hz, burst_samples),
            info,
            receiver,
            format,
            watch: Watch::default(),
            stall: settings.stall.unwrap_or(STALL),
            heard: Instant::now(),
            stop: None,
            centre_frequency_hz,
            tunings: VecDeque::new(),
            bytes: vec![0; BUFFER_BYTES],
            start: 0,
            end: 0,
            skip_bytes: 0,
            failure: None,
            stray_bytes: 0,
            overflows: 0,
            replaced: 0,
        }
    }

    /// The radio was just tuned: the sample that it takes now is the first at `frequency_hz`.
    pub fn tuned(&mut self, frequency_hz: f64) {
        let sample = self.clock.sample_at(self.watch.now());
        self.tunings.retain(|&(earlier, _)| earlier < sample);
        self.tunings.push_back((sample, frequency_hz));
    }

    pub fn error(&self, cause: io::Error) -> SourceError {
        SourceError { name: self.info.name.clone(), cause }
    }

    /// Receives once. `false`: nothing came within a tick, or the stream failed.
    fn receive(&mut self) -> bool {
        if self.start > 0 {
            self.bytes.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        match self.receiver.receive(&mut self.bytes[self.end..]) {
            Ok(0) if !R::DATAGRAMS => {
                let text = "the other side closed the connection";
                self.failure = Some(io::Error::new(ErrorKind::UnexpectedEof, text));
                false
            }
            Ok(mut count) => {
                self.heard = Instant::now();
                if R::DATAGRAMS {
                    let stray = count % self.format.bytes();
                    if stray > 0 && self.stray_bytes == 0 {
                        self.info.warnings.push(format!(
                            "datagrams of {count} bytes are no whole samples of {} bytes: is the \
                             format right?",
                            self.format.bytes()
                        ));
                    }
                    self.stray_bytes += stray as u64;
                    count -= stray;
                }
                self.end += count;
                let skip = self.skip_bytes.min(self.end);
                self.skip_bytes -= skip;
                self.start = skip;
                true
            }
            Err(error) => match error.kind() {
                ErrorKind::Interrupted => true,
                ErrorKind::WouldBlock | ErrorKind::TimedOut => false,
                // A datagram sent from here could not be delivered: says nothing about reception.
                ErrorKind::ConnectionRefused if R::DATAGRAMS => true,
                _ => {
                    self.failure = Some(error);
                    false
                }
            },
        }
    }
}

impl<R: Receive> Source for LiveStream<R> {
    fn info(&self) -> &SourceInfo {
        &self.info
    }

    fn replaced_values(&self) -> u64 {
        self.replaced
    }

    fn read(&mut self, block: &mut SampleBlock, max_samples: usize) -> Result<bool, SourceError> {
        block.samples.clear();
        block.anchor = None;
        block.first_sample = self.clock.next_sample();
        let stride = self.format.bytes();
        let gathered = (GATHER_S * self.info.sample_rate_hz).ceil() as usize;
        let enough = gathered.clamp(1, (BUFFER_BYTES / 2 / stride).min(max_samples.max(1)));
        let mut waited = false;
        let there = loop {
            if self.stop.as_ref().is_some_and(|stop| stop.load(Ordering::Relaxed)) {
                return Ok(false);
            }
            let there = (self.end - self.start) / stride;
            if there >= enough {
                break there;
            }
            if let Some(cause) = self.failure.take_if(|_| there == 0) {
                return Err(self.error(cause));
            }
            if self.failure.is_some() {
                break there;
            }
            let before = Instant::now();
            let came = self.receive();
            waited |= before.elapsed() > WAITED;
            let there = (self.end - self.start) / stride;
            if !came && there > 0 {
                break there;
            }
            if !came && self.failure.is_none() && self.heard.elapsed() >= self.stall {
                let text = format!("no samples for {} s", self.stall.as_secs_f64());
                return Err(self.error(io::Error::new(ErrorKind::TimedOut, text)));
            }
        };
        let mut count = there.min(max_samples.max(1));
        let next = self.clock.next_sample();
        if let Some(&(sample, _)) = self.tunings.front()
            && sample > next
        {
            count = count.min(usize::try_from(sample - next).unwrap_or(usize::MAX));
        }
        let placed = self.clock.place(Arrival {
            at: self.watch.now(),
            samples: count as u64,
            behind: (there - count) as u64,
            waited,
        });
        self.overflows += u64::from(placed.lost > 0);
        block.first_sample = placed.first_sample;
        let mut news = placed.time.is_some();
        while let Some(&(sample, frequency_hz)) = self.tunings.front()
            && sample <= placed.first_sample
        {
            self.tunings.pop_front();
            self.centre_frequency_hz = Some(frequency_hz);
            news = true;
        }
        if news {
            block.anchor = Some(Anchor {
                sample: placed.first_sample,
                time: placed.time.or_else(|| self.clock.time(placed.first_sample)),
                centre_frequency_hz: self.centre_frequency_hz,
            });
        }
        let bytes = &self.bytes[self.start..self.start + count * stride];
        self.replaced += self.format.convert(bytes, &mut block.samples);
        self.start += count * stride;
        Ok(true)
    }
}

/// A stream that is tuned by whoever sends it.
impl<R: Receive> Radio for LiveStream<R> {
    fn tune(&mut self, _frequency_hz: f64) -> Result<(), SourceError> {
        let text = "the program that sends the samples tunes the radio";
        Err(self.error(io::Error::new(ErrorKind::Unsupported, text)))
    }

    fn lost_samples(&self) -> u64 {
        self.clock.lost_samples()
    }

    fn overflows(&self) -> u64 {
        self.overflows
    }

    fn stop_with(&mut self, stop: Arc<AtomicBool>) {
        self.stop = Some(stop);
    }
}
