//! Radios through the SoapySDR library: whatever has a module for it.
//!
//! * **Samples** of 8 bits are taken as they are and converted once, here; otherwise the driver is
//!   asked for floats, and for 16 bits if it has none.
//! * **Place and time** of samples come from the [`SampleClock`], as with every live source. Gaps
//!   are found by the driver's timestamps where they can be believed (`timeline.rs`), else by the
//!   clock. A radio that keeps UTC by itself (GPS) gives the times as well.
//! * **Failures**: an overflow is counted and gone on from; no samples for [`STALL`], and every
//!   other error of the stream, end the reading, and [`super::reopen::Reopening`] opens the radio
//!   again. Drivers tell no other difference between a radio that is unplugged and one that is
//!   silent.

mod advice;
mod listing;
mod settings;
mod timeline;

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytemuck::Pod;
use jiff::Timestamp;
use num_complex::Complex;
use soapysdr::{Device, Direction::Rx, ErrorCode, Format, RxStream, StreamSample};

use self::timeline::Timeline;
use super::clock::{Arrival, SampleClock, Watch};
use super::device::{OpenError, Radio, RadioSettings, STALL};
use super::format::{SampleFormat, Scalar};
use super::{Anchor, SampleBlock, Source, SourceError, SourceInfo};
use crate::error::RequestError;

pub use listing::{Channel, Found, Probe, hints, list, probe};

/// A block is full when it holds so much time.
const GATHER_S: f64 = 0.004;

/// How long a read waits before one looks around.
const TICK_US: i64 = 20_000;

/// A read that took longer than this had to wait for data.
const WAITED: Duration = Duration::from_micros(100);

/// What fails faster than this is not tried again at once.
const BREATH: Duration = Duration::from_millis(1);

/// A radio's own UTC may differ by so much from the system's.
const UTC_AGREES_S: f64 = 1.0;

/// An anchor is due when the last one is wrong by so much.
const ANCHOR_S: f64 = 5e-4;

/// The library's messages go to the program's log, and not to standard error.
fn quiet() {
    static ONCE: Once = Once::new();
    ONCE.call_once(soapysdr::configure_logging);
}

/// The library's device arguments: `KEY=VALUE`, separated by commas.
///
/// # Errors
/// They are not written so.
fn parse_arguments(name: &str, arguments: &str) -> Result<Vec<(String, String)>, RequestError> {
    let mut pairs = Vec::new();
    for part in arguments.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let right = "write soapy:driver=rtlsdr,serial=00000001; tulpar devices lists what is there";
        let Some((key, value)) = part.split_once('=').filter(|(key, _)| !key.trim().is_empty())
        else {
            return Err(RequestError::new(name, format!("\"{part}\" is not KEY=VALUE"), right));
        };
        if part.contains('\0') {
            return Err(RequestError::new(name, "holds a zero byte", right));
        }
        pairs.push((key.trim().to_owned(), value.trim().to_owned()));
    }
    Ok(pairs)
}

/// Samples as the driver gives them.
trait Samples: Send {
    /// Reads behind the first `filled` samples of the buffer, up to `end`.
    fn read(&mut self, filled: usize, end: usize) -> Result<usize, soapysdr::Error>;
    /// Time of the samples last read.
    fn time_ns(&self) -> i64;
    /// Samples of the buffer.
    fn bytes(&self, start: usize, end: usize) -> &[u8];
    /// Moves samples to the beginning of the buffer.
    fn compact(&mut self, start: usize, end: usize);
}

struct Buffered<E: StreamSample> {
    stream: RxStream<E>,
    buffer: Vec<E>,
}

impl<E: StreamSample + Pod + Send> Samples for Buffered<E> {
    fn read(&mut self, filled: usize, end: usize) -> Result<usize, soapysdr::Error> {
        let Some(into) = self.buffer.get_mut(filled..end) else { return Ok(0) };
        let most = into.len();
        // A driver that claims more than it was given room for is not believed.
        self.stream.read(&mut [into], TICK_US).map(|count| count.min(most))
    }

    fn time_ns(&self) -> i64 {
        self.stream.time_ns()
    }

    fn bytes(&self, start: usize, end: usize) -> &[u8] {
        self.buffer.get(start..end).map_or(&[], bytemuck::cast_slice)
    }

    fn compact(&mut self, start: usize, end: usize) {
        self.buffer.copy_within(start..end, 0);
    }
}

/// Opens, sets up and starts a radio.
///
/// # Errors
/// There is none that the arguments describe (now), it may not be opened, or it cannot do what the
/// settings ask for.
pub fn open(
    name: &str,
    arguments: &str,
    settings: &RadioSettings,
) -> Result<Box<dyn Radio>, OpenError> {
    settings.check()?;
    let arguments = parse_arguments(name, arguments)?;
    let device = listing::make(name, &arguments)?;
    let set_up = settings::apply(name, &device, settings)?;
    let channel = set_up.channel;
    let failed = |what: &str, error: &soapysdr::Error| {
        OpenError::absent(name, format!("{what}: {}", listing::said(error)))
    };
    let formats = device.stream_formats(Rx, channel).unwrap_or_default();
    let native = device.native_stream_format(Rx, channel).ok();
    let format = choose_format(&formats, native.map(|(format, _)| format));
    let rate = set_up.sample_rate_hz;
    // Saturates; the rate is finite and above 0.
    let capacity = ((GATHER_S * rate).ceil() as usize).clamp(64, 1 << 18);
    let extra = settings::stream_arguments(&set_up.driver, rate);
    let began = Instant::now();
    let started = match format {
        Format::CU8 => start::<Complex<u8>>(&device, channel, capacity, &extra),
        Format::CS8 => start::<Complex<i8>>(&device, channel, capacity, &extra),
        Format::CS16 => start::<Complex<i16>>(&device, channel, capacity, &extra),
        _ => start::<Complex<f32>>(&device, channel, capacity, &extra),
    };
    let (samples, mtu) = started.map_err(|error| failed("cannot be started", &error))?;
    let scalar = match format {
        Format::CU8 => Scalar::U8,
        Format::CS8 => Scalar::I8,
        Format::CS16 => Scalar::I16,
        _ => Scalar::F32,
    };
    // Converters of 12 or 14 bits in numbers of 16.
    let scale = match native {
        Some((Format::CS16, full)) if format == Format::CS16 && (1.0..32_768.0).contains(&full) => {
            (32_768.0 / full) as f32
        }
        _ => 1.0,
    };
    let has_time = device.has_hardware_time(None).unwrap_or(false);
    let info = SourceInfo {
        name: name.to_owned(),
        sample_rate_hz: rate,
        complex: true,
        length_samples: None,
        warnings: set_up.warnings,
    };
    let watch = Watch::default();
    Ok(Box::new(Soapy {
        samples,
        clock: SampleClock::new(rate, mtu as f64),
        timeline: Timeline::new(rate),
        began,
        watch,
        info,
        format: SampleFormat { scalar, big_endian: cfg!(target_endian = "big"), complex: true },
        scale,
        capacity,
        stall: settings.stall.unwrap_or(STALL),
        heard: Instant::now(),
        stop: None,
        device: has_time.then(|| device.clone()),
        tuner: settings::Tuner { device, channel, ppm: set_up.ppm_by_tuning },
        centre_frequency_hz: set_up.centre_frequency_hz,
        tunings: VecDeque::new(),
        start: 0,
        end: 0,
        gap: None,
        backlog: None,
        stamp: None,
        keeps_utc: None,
        told: None,
        failure: None,
        overflow_said: false,
        overflows: 0,
        replaced: 0,
    }))
}

/// The format to ask a driver for, of those it has.
fn choose_format(formats: &[Format], native: Option<Format>) -> Format {
    let has = |format: &Format| formats.contains(format);
    let small = native.filter(|format| matches!(format, Format::CS8 | Format::CU8) && has(format));
    let order = [Format::CF32, Format::CS16, Format::CS8, Format::CU8];
    // One that names none will know floats.
    small.or_else(|| order.into_iter().find(has)).unwrap_or(Format::CF32)
}

/// Starts the stream; its buffer holds `capacity` samples. Also the samples that the driver hands
/// on at once.
fn start<E: StreamSample + Pod + Send>(
    device: &Device,
    channel: usize,
    capacity: usize,
    extra: &[(String, String)],
) -> Result<(Box<dyn Samples>, usize), soapysdr::Error> {
    let extra: soapysdr::Args = extra.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    let mut stream = device.rx_stream_args::<E, _>(&[channel], extra)?;
    let mtu = stream.mtu().unwrap_or(0);
    stream.activate(None)?;
    Ok((Box::new(Buffered { stream, buffer: vec![E::zeroed(); capacity] }), mtu))
}

/// An open radio.
struct Soapy {
    samples: Box<dyn Samples>,
    clock: SampleClock,
    timeline: Timeline,
    began: Instant,
    watch: Watch,
    info: SourceInfo,
    format: SampleFormat,
    /// On top of the format's.
    scale: f32,
    capacity: usize,
    stall: Duration,
    /// When samples came last.
    heard: Instant,
    stop: Option<Arc<AtomicBool>>,
    /// For its clock, if it has one.
    device: Option<Device>,
    tuner: settings::Tuner,
    /// Frequency at 0 Hz at the next sample.
    centre_frequency_hz: Option<f64>,
    /// Frequencies from samples to come, in their order.
    tunings: VecDeque<(u64, f64)>,
    /// Samples read and not yet handed on: `start..end` of the buffer.
    start: usize,
    end: usize,
    /// So many were lost before this place in the buffer.
    gap: Option<(usize, u64)>,
    /// How many samples waited in the driver behind the first ones, until these are handed on.
    backlog: Option<u64>,
    /// A sample and its timestamp.
    stamp: Option<(u64, i64)>,
    /// Whether timestamps are UTC. Known once they are believed.
    keeps_utc: Option<bool>,
    /// The last anchor that came from timestamps.
    told: Option<(u64, i64)>,
    /// A failure that waits until the samples before it are handed on.
    failure: Option<io::Error>,
    /// An overflow was reported, and what it cost is not yet known.
    overflow_said: bool,
    overflows: u64,
    replaced: u64,
}

/// What came of a read.
enum Came {
    Samples,
    Nothing,
    /// Samples are missing here.
    Overflow,
}

impl Soapy {
    fn error(&self, cause: io::Error) -> SourceError {
        SourceError { name: self.info.name.clone(), cause }
    }

    /// Reads once.
    fn receive(&mut self) -> Came {
        if self.start > 0 {
            self.samples.compact(self.start, self.end);
            self.end -= self.start;
            self.start = 0;
        }
        let before = Instant::now();
        match self.samples.read(self.end, self.capacity) {
            Ok(0) => {
                pause_after(before);
                Came::Nothing
            }
            Ok(count) => {
                self.heard = Instant::now();
                let time_ns = self.samples.time_ns();
                let lost = self.timeline.read(self.began.elapsed(), time_ns, count as u64);
                if lost > 0 {
                    self.found_missing(lost);
                    self.gap = Some((self.end, lost));
                }
                if self.stamp.is_none() {
                    self.backlog = self.backlog_behind(time_ns, count);
                }
                let place = self.clock.next_sample() + (self.end - self.start) as u64;
                self.stamp = Some((place.saturating_add(lost), time_ns));
                self.end += count;
                Came::Samples
            }
            Err(error) => match error.code {
                ErrorCode::Timeout => {
                    pause_after(before);
                    Came::Nothing
                }
                ErrorCode::Overflow | ErrorCode::Corruption | ErrorCode::TimeError => {
                    pause_after(before);
                    self.overflows += 1;
                    self.overflow_said = true;
                    Came::Overflow
                }
                _ => {
                    let text = format!("the radio failed: {}", listing::said(&error));
                    self.failure = Some(io::Error::other(text));
                    Came::Nothing
                }
            },
        }
    }

    /// How many samples have been taken behind the first `count`, of `time_ns`, by the radio's own
    /// clock. At most those since the radio was started.
    fn backlog_behind(&self, time_ns: i64, count: usize) -> Option<u64> {
        let now_ns = self.device.as_ref()?.get_hardware_time(None).ok()?;
        let taken_s = now_ns.saturating_sub(time_ns) as f64 * 1e-9;
        let behind = taken_s * self.info.sample_rate_hz - count as f64;
        // Both clocks are read to some precision.
        let since_s = (self.began.elapsed() + BREATH).as_secs_f64();
        let possible = taken_s <= since_s && behind > 0.0;
        possible.then(|| behind.round() as u64)
    }

    /// Says that samples are missing, and counts it unless the driver has reported it.
    fn found_missing(&mut self, lost: u64) {
        if !self.overflow_said {
            self.overflows += 1;
        }
        self.overflow_said = false;
        let lost_s = lost as f64 / self.info.sample_rate_hz;
        tracing::warn!("{}: {lost} samples lost ({lost_s:.3} s)", self.info.name);
    }

    /// The radio's own time of a sample, if that is UTC.
    fn own_time_ns(&mut self, sample: u64) -> Option<i64> {
        let (stamped, time_ns) = self.stamp.filter(|_| self.timeline.is_believed())?;
        let utc = *self.keeps_utc.get_or_insert_with(|| {
            let now_s = Timestamp::now().as_microsecond() as f64 * 1e-6;
            (time_ns as f64 * 1e-9 - now_s).abs() < UTC_AGREES_S
        });
        let off = (i128::from(sample) - i128::from(stamped)) as f64 / self.info.sample_rate_hz;
        utc.then(|| time_ns.saturating_add((off * 1e9).round() as i64))
    }

    /// [`Self::own_time_ns`], if it is news.
    fn own_time(&mut self, sample: u64, after_gap: bool) -> Option<Timestamp> {
        let time_ns = self.own_time_ns(sample)?;
        let news = after_gap
            || self.told.is_none_or(|(told, told_ns)| {
                let expected_s = sample.saturating_sub(told) as f64 / self.info.sample_rate_hz;
                let passed_s = time_ns.saturating_sub(told_ns) as f64 * 1e-9;
                (passed_s - expected_s).abs() > ANCHOR_S
            });
        if !news {
            return None;
        }
        self.told = Some((sample, time_ns));
        Timestamp::from_nanosecond(i128::from(time_ns)).ok()
    }

    /// The sample that is taken now. The clock knows it but for the time that samples need to get
    /// here, which the radio's clock does not count.
    fn sample_now(&self) -> u64 {
        let arriving = self.clock.sample_at(self.watch.now());
        let by_radio = || {
            let (sample, time_ns) = self.stamp.filter(|_| self.timeline.is_believed())?;
            let now_ns = self.device.as_ref()?.get_hardware_time(None).ok()?;
            let since_s = now_ns.saturating_sub(time_ns) as f64 * 1e-9;
            // Saturates; a negative number becomes 0.
            Some(sample.saturating_add((since_s * self.info.sample_rate_hz).round() as u64))
        };
        let most = arriving.saturating_add(self.info.sample_rate_hz as u64);
        by_radio().filter(|&sample| sample <= most).unwrap_or(0).max(arriving)
    }
}

/// What returns at once, and brings nothing, is not asked again at once.
fn pause_after(began: Instant) {
    if began.elapsed() < BREATH {
        std::thread::sleep(BREATH);
    }
}

impl Source for Soapy {
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
        let enough = self.capacity.min(max_samples.max(1));
        let mut waited = false;
        let mut after_gap = false;
        let there = loop {
            if self.stop.as_ref().is_some_and(|stop| stop.load(Ordering::Relaxed)) {
                return Ok(false);
            }
            if let Some((_, lost)) = self.gap.take_if(|(place, _)| *place <= self.start) {
                self.clock.skip(lost);
                after_gap = true;
            }
            let there = self.gap.map_or(self.end, |(place, _)| place) - self.start;
            if there >= enough || self.gap.is_some() {
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
            match came {
                Came::Samples => {}
                Came::Nothing | Came::Overflow if there > 0 => break there,
                Came::Nothing | Came::Overflow => {
                    if self.heard.elapsed() >= self.stall && self.failure.is_none() {
                        let text = format!("no samples for {} s", self.stall.as_secs_f64());
                        return Err(self.error(io::Error::new(ErrorKind::TimedOut, text)));
                    }
                }
            }
        };
        let mut count = there.min(max_samples.max(1));
        let next = self.clock.next_sample();
        if let Some(&(sample, _)) = self.tunings.front()
            && sample > next
        {
            count = count.min(usize::try_from(sample - next).unwrap_or(usize::MAX));
        }
        let mut unseen = self.gap.map_or(0, |(_, lost)| lost);
        unseen = unseen.saturating_add(self.backlog.take().unwrap_or(0));
        let placed = self.clock.place(Arrival {
            at: self.watch.now(),
            samples: count as u64,
            behind: ((self.end - self.start - count) as u64).saturating_add(unseen),
            waited,
        });
        if placed.lost > 0 {
            self.found_missing(placed.lost);
            if let Some((sample, _)) = &mut self.stamp {
                *sample = sample.saturating_add(placed.lost);
            }
        }
        block.first_sample = placed.first_sample;
        let mut time = placed.time;
        if let Some(own) = self.own_time(placed.first_sample, after_gap || placed.lost > 0) {
            time = Some(own);
        } else if self.keeps_utc == Some(true) {
            time = None;
        }
        let mut news = time.is_some();
        while let Some(&(sample, frequency_hz)) = self.tunings.front()
            && sample <= placed.first_sample
        {
            self.tunings.pop_front();
            self.centre_frequency_hz = Some(frequency_hz);
            news = true;
        }
        if news {
            let own = self
                .own_time_ns(placed.first_sample)
                .and_then(|ns| Timestamp::from_nanosecond(i128::from(ns)).ok());
            block.anchor = Some(Anchor {
                sample: placed.first_sample,
                time: own.or(time).or_else(|| self.clock.time(placed.first_sample)),
                centre_frequency_hz: self.centre_frequency_hz,
            });
        }
        let bytes = self.samples.bytes(self.start, self.start + count);
        self.replaced += self.format.convert(bytes, &mut block.samples);
        if self.scale != 1.0 {
            for sample in &mut block.samples {
                *sample *= self.scale;
            }
        }
        self.start += count;
        Ok(true)
    }
}

impl Radio for Soapy {
    fn tune(&mut self, frequency_hz: f64) -> Result<(), SourceError> {
        let tuned = self.tuner.tune(&self.info.name, frequency_hz);
        let tuned = tuned.map_err(|error| {
            let kind = match error {
                OpenError::Request(_) => ErrorKind::InvalidInput,
                OpenError::Absent { .. } => ErrorKind::Other,
            };
            let text = match error {
                OpenError::Request(error) => error.to_string(),
                OpenError::Absent { why, .. } => why,
            };
            self.error(io::Error::new(kind, text))
        })?;
        let sample = self.sample_now();
        self.tunings.retain(|&(earlier, _)| earlier < sample);
        self.tunings.push_back((sample, tuned));
        Ok(())
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

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn small_samples_are_converted_here_and_others_by_the_driver() {
        use Format::{CF32, CS8, CS16, CU8};
        for (formats, native, chosen) in [
            (&[CS8, CS16, CF32][..], Some(CS8), CS8),
            (&[CU8, CF32], Some(CU8), CU8),
            (&[CS16, CF32], Some(CS16), CF32),
            (&[CS16, CF32], Some(CS8), CF32),
            (&[CS16], Some(CS16), CS16),
            (&[CS8], None, CS8),
            (&[], None, CF32),
        ] {
            assert!(choose_format(formats, native) == chosen);
        }
    }

    #[test]
    fn arguments_are_read() {
        let read = |text| parse_arguments("soapy:x", text);
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(read("").unwrap(), []);
        assert_eq!(
            read("driver=rtlsdr, serial = 1,").unwrap(),
            [pair("driver", "rtlsdr"), pair("serial", "1")]
        );
        assert_eq!(read("remote=tcp://pi:55132,a=").unwrap()[1], pair("a", ""));
        for text in ["rtlsdr", "=x", "driver=a,b", "driver=a\0"] {
            let error = read(text).unwrap_err();
            assert!(error.right.contains("driver=rtlsdr"), "{error}");
        }
    }

    #[test]
    fn no_radio_is_no_panic() {
        // Whatever is plugged into the computer that runs this.
        let _ = list("driver=nonesuch");
        let settings = RadioSettings::default();
        let Err(error) = open("soapy:driver=nonesuch", "driver=nonesuch", &settings) else {
            panic!()
        };
        let OpenError::Request(error) = error else { panic!("{error}") };
        assert!(error.to_string().contains("SOAPY_SDR_PLUGIN_PATH"), "{error}");
        let Err(error) = open("soapy:type=null", "type=null", &settings) else { panic!() };
        assert!(error.to_string().contains("receive"), "{error}");
    }
}
