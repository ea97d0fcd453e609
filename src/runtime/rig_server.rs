//! A server that other programs take for a radio: they set the frequency, Tulpar follows.
//!
//! The protocol is [`crate::doppler::rigctl`]; here are the sockets, the threads and the clock.
//!
//! One thread accepts, one more serves each client. A client that hangs, goes on for ever without
//! a line end, does not read its replies or vanishes holds up nobody but itself. There are eight
//! places; when all are taken, a client that has said nothing for ten minutes loses its place to a
//! new one, otherwise the new one is told `RPRT -9` (rejected) and closed. Dropping the server
//! closes all connections and waits for its threads.
//!
//! [`RigTuning`] is what comes of it: the frequency wanted now.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::doppler::Prediction;
use crate::doppler::rigctl::{Event, Output, RigAddress, RigState, Session};
use crate::doppler::steps::{SteppedFrequency, Wanted};
use crate::error::RequestError;

/// Clients served at once.
const CLIENTS: usize = 8;
/// How often the listener looks for new clients and for the end. Replies do not wait for it.
const ACCEPT_INTERVAL: Duration = Duration::from_millis(25);
/// A client's thread looks for the end so often, at least.
const READ_TIMEOUT: Duration = Duration::from_millis(500);
/// A client that does not take its replies for so long is left.
const WRITE_TIMEOUT: Duration = Duration::from_secs(2);
/// A client silent for so long may lose its place to another.
const IDLE: Duration = Duration::from_secs(600);
/// Largest shift that is followed, as a part of the carrier: twice that of the fastest orbit, and
/// 40 ppm of oscillators.
const FARTHEST: f64 = 1e-4;
/// What is said to a client for whom there is no place: "rejected", in Hamlib's numbers.
const NO_PLACE: &[u8] = b"RPRT -9\n";

/// How the radio presents itself.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct RigOptions {
    /// Frequency answered before one is set, Hz.
    pub idle_frequency_hz: f64,
    /// Clients are told to name a VFO in each command, as with `rigctld --vfo`.
    pub vfo_mode: bool,
}

/// What the clients have set. Shared by the server's threads and whoever follows them.
#[derive(Debug)]
pub struct RigTuning {
    start: Instant,
    stepped: Mutex<(SteppedFrequency, Option<Instant>)>,
    /// 0: not told; 1: set; 2: risen.
    horizon: AtomicU8,
}

impl Default for RigTuning {
    fn default() -> Self {
        Self {
            start: Instant::now(),
            stepped: Mutex::new((SteppedFrequency::new(), None)),
            horizon: AtomicU8::new(0),
        }
    }
}

impl RigTuning {
    /// The frequency is set to `frequency_hz` at `time`.
    pub fn set(&self, time: Instant, frequency_hz: f64) {
        let mut stepped = lock(&self.stepped);
        stepped.0.set(self.seconds(time), frequency_hz);
        stepped.1 = Some(time);
    }

    /// The frequency wanted at `time`, between settings continued with the rate seen; `None` if
    /// nothing was set yet.
    pub fn at(&self, time: Instant) -> Option<Wanted> {
        lock(&self.stepped).0.at(self.seconds(time))
    }

    /// When the frequency was set last.
    pub fn last_set(&self) -> Option<Instant> {
        lock(&self.stepped).1
    }

    /// Whether the satellite is above the horizon, if a client has said so (`AOS`, `LOS`).
    pub fn above_horizon(&self) -> Option<bool> {
        match self.horizon.load(Ordering::Relaxed) {
            1 => Some(false),
            2 => Some(true),
            _ => None,
        }
    }

    /// The shift of a carrier that follows the clients: frequency wanted now minus `carrier_hz`,
    /// whatever the time stamp asked for, since the clients know no time but now. Unknown until
    /// the first setting.
    pub fn prediction(self: &Arc<Self>, carrier_hz: f64) -> Arc<dyn Prediction> {
        Arc::new(CarrierShift { tuning: Arc::clone(self), carrier_hz })
    }

    fn seconds(&self, time: Instant) -> f64 {
        time.saturating_duration_since(self.start).as_secs_f64()
    }
}

struct CarrierShift {
    tuning: Arc<RigTuning>,
    carrier_hz: f64,
}

impl Prediction for CarrierShift {
    fn shift_hz(&self, _: Timestamp) -> Option<f64> {
        self.untimed_shift_hz()
    }

    fn untimed_shift_hz(&self) -> Option<f64> {
        let shift_hz = self.tuning.at(Instant::now())?.frequency_hz - self.carrier_hz;
        // Another transmitter's frequency is none of ours.
        (shift_hz.abs() <= FARTHEST * self.carrier_hz).then_some(shift_hz)
    }
}

/// A listening radio. Stops when dropped.
#[derive(Debug)]
pub struct RigServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    listener: Option<JoinHandle<()>>,
}

/// What the server's threads have in common.
#[derive(Debug)]
struct Shared {
    stop: AtomicBool,
    vfo_mode: bool,
    state: Mutex<RigState>,
    tuning: Arc<RigTuning>,
}

/// A client's place.
struct Place {
    stream: TcpStream,
    heard: Arc<Mutex<Instant>>,
    thread: JoinHandle<()>,
}

impl RigServer {
    /// Listens at an address.
    ///
    /// # Errors
    /// The host is unknown, the port is in use, or may not be used.
    pub fn bind(address: &RigAddress) -> Result<Self, RequestError> {
        Self::bind_with(address, RigOptions::default())
    }

    /// Listens at an address.
    ///
    /// # Errors
    /// The host is unknown, the port is in use, or may not be used.
    pub fn bind_with(address: &RigAddress, options: RigOptions) -> Result<Self, RequestError> {
        let refused = |error: &io::Error| refused(address, error);
        let mut found: Vec<SocketAddr> = (address.host.as_str(), address.port)
            .to_socket_addrs()
            .map_err(|error| {
                RequestError::new(
                    format!("--doppler rigctl:{address}"),
                    format!("the host cannot be found: {error}"),
                    "name an address of this computer, or leave the host out for 127.0.0.1",
                )
            })?
            .collect();
        // Trackers look up IPv4 first, some nothing else.
        found.sort_by_key(SocketAddr::is_ipv6);
        let listener = TcpListener::bind(&found[..]).map_err(|e| refused(&e))?;
        listener.set_nonblocking(true).map_err(|e| refused(&e))?;
        let address = listener.local_addr().map_err(|e| refused(&e))?;
        let shared = Arc::new(Shared {
            stop: AtomicBool::new(false),
            vfo_mode: options.vfo_mode,
            state: Mutex::new(RigState::new(options.idle_frequency_hz)),
            tuning: Arc::new(RigTuning::default()),
        });
        let thread = {
            let shared = Arc::clone(&shared);
            std::thread::Builder::new()
                .name("rigctl".to_owned())
                .spawn(move || accept(&listener, &shared))
                .map_err(|e| refused(&e))?
        };
        Ok(Self { address, shared, listener: Some(thread) })
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// What the clients have set.
    pub fn tuning(&self) -> Arc<RigTuning> {
        Arc::clone(&self.shared.tuning)
    }
}

impl Drop for RigServer {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(listener) = self.listener.take() {
            let _ = listener.join();
        }
    }
}

/// Why it cannot listen there, and what to do.
fn refused(address: &RigAddress, error: &io::Error) -> RequestError {
    let subject = format!("--doppler rigctl:{address}");
    match error.kind() {
        io::ErrorKind::AddrInUse => RequestError::new(
            subject,
            "another program (rigctld, or another receiver) has this port",
            "end it, or choose another port with --doppler rigctl:HOST:PORT, here and in the \
             tracking program",
        ),
        io::ErrorKind::PermissionDenied => RequestError::new(
            subject,
            "this port may not be used",
            "choose one above 1023 with --doppler rigctl:HOST:PORT",
        ),
        io::ErrorKind::AddrNotAvailable => RequestError::new(
            subject,
            "this computer does not have that address",
            "name one of its own, 0.0.0.0 for all of them, or leave the host out for 127.0.0.1",
        ),
        _ => RequestError::new(
            subject,
            format!("cannot listen: {error}"),
            "choose another address with --doppler rigctl:HOST:PORT",
        ),
    }
}

/// Takes clients until the end, then closes their connections and waits for their threads.
fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    let mut places: Vec<Place> = Vec::new();
    while !shared.stop.load(Ordering::Relaxed) {
        match listener.accept() {
            Ok((stream, from)) => {
                places.retain(|place| !place.thread.is_finished());
                if places.len() >= CLIENTS {
                    // Those who have just left may not have been noticed yet.
                    std::thread::sleep(ACCEPT_INTERVAL);
                    places.retain(|place| !place.thread.is_finished());
                }
                if places.len() >= CLIENTS {
                    make_room(&mut places);
                }
                if places.len() >= CLIENTS {
                    tracing::info!("{from}: no place for another client");
                    turn_away(stream);
                } else if let Err(error) = seat(stream, shared, &mut places) {
                    tracing::info!("{from}: {error}");
                }
            }
            // Nobody there, or a client gone before it was greeted, or no descriptors left.
            Err(_) => std::thread::sleep(ACCEPT_INTERVAL),
        }
    }
    for place in &places {
        let _ = place.stream.shutdown(Shutdown::Both);
    }
    for place in places {
        let _ = place.thread.join();
    }
}

/// Closes the connection of the client that has been silent longest, if that is long.
fn make_room(places: &mut Vec<Place>) {
    let longest = places
        .iter()
        .enumerate()
        .map(|(index, place)| (lock(&place.heard).elapsed(), index))
        .max()
        .filter(|(silent, _)| *silent >= IDLE);
    if let Some((_, index)) = longest {
        let place = places.swap_remove(index);
        let _ = place.stream.shutdown(Shutdown::Both);
    }
}

fn turn_away(mut stream: TcpStream) {
    let _ = stream.set_nonblocking(true);
    let _ = stream.write_all(NO_PLACE);
    let _ = stream.shutdown(Shutdown::Write);
    // What has arrived is taken, so that closing does not look like an error to the client.
    let _ = stream.read(&mut [0; 1024]);
}

fn seat(stream: TcpStream, shared: &Arc<Shared>, places: &mut Vec<Place>) -> io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(READ_TIMEOUT))?;
    stream.set_write_timeout(Some(WRITE_TIMEOUT))?;
    let heard = Arc::new(Mutex::new(Instant::now()));
    let thread = {
        let (stream, shared, heard) = (stream.try_clone()?, Arc::clone(shared), Arc::clone(&heard));
        std::thread::Builder::new().name("rigctl client".to_owned()).spawn(move || {
            serve(&stream, &shared, &heard);
            let _ = stream.shutdown(Shutdown::Both);
        })?
    };
    places.push(Place { stream, heard, thread });
    Ok(())
}

/// Serves a client until it leaves, fails, or the server ends.
fn serve(mut stream: &TcpStream, shared: &Shared, heard: &Mutex<Instant>) {
    let mut session = Session::new(shared.vfo_mode);
    let mut bytes = [0; 4096];
    let mut outputs = Vec::new();
    while !shared.stop.load(Ordering::Relaxed) {
        let count = match stream.read(&mut bytes) {
            Ok(0) => return,
            Ok(count) => count,
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock
                | io::ErrorKind::TimedOut
                | io::ErrorKind::Interrupted => continue,
                _ => return,
            },
        };
        let now = Instant::now();
        *lock(heard) = now;
        outputs.clear();
        {
            // Held until the events are taken, so that they come in the order of the settings.
            let mut state = lock(&shared.state);
            session.feed(bytes.get(..count).unwrap_or_default(), &mut state, &mut outputs);
            for output in &outputs {
                if let Output::Event(event) = output {
                    take(*event, now, &shared.tuning);
                }
            }
        }
        for output in &outputs {
            match output {
                Output::Reply(reply) => {
                    if stream.write_all(reply).is_err() {
                        return;
                    }
                }
                Output::Event(Event::Quit) => return,
                Output::Event(_) => {}
            }
        }
    }
}

fn take(event: Event, now: Instant, tuning: &RigTuning) {
    match event {
        Event::Tune { frequency_hz, .. } => tuning.set(now, frequency_hz),
        Event::Los => tuning.horizon.store(1, Ordering::Relaxed),
        Event::Aos => tuning.horizon.store(2, Ordering::Relaxed),
        Event::Quit => {}
    }
}

/// The lock, also after a panic of another thread: what it guards is whole after each call.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn the_shift_follows_the_settings_and_goes_on_between_them() {
        let tuning = Arc::new(RigTuning::default());
        let prediction = tuning.prediction(437.5e6);
        assert_eq!(prediction.shift_hz(Timestamp::MIN), None);
        assert_eq!((tuning.last_set(), tuning.above_horizon()), (None, None));
        let start = Instant::now();
        let after = |seconds: f64| start + Duration::from_secs_f64(seconds);
        tuning.set(start, 437.509e6);
        assert_eq!(prediction.shift_hz(Timestamp::MAX), Some(9000.0));
        tuning.set(after(1.0), 437.509e6 - 100.0);
        assert_eq!(tuning.last_set(), Some(after(1.0)));
        let wanted = tuning.at(after(1.5)).unwrap();
        assert!((wanted.frequency_hz - (437.509e6 - 150.0)).abs() < 1e-3);
        assert!((wanted.rate_hz_per_s + 100.0).abs() < 1e-3);
    }

    #[test]
    fn an_instant_before_the_server_is_its_start() {
        let early = Instant::now();
        let tuning = RigTuning::default();
        tuning.set(early, 5.0);
        assert_eq!(tuning.at(early).unwrap().frequency_hz, 5.0);
    }
}
